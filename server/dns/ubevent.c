/* SPDX-License-Identifier: ISC */
/*
 * The pluggable event base of libunbound over net/loop: descriptors and timers
 * of the resolver are watched by the one epoll loop of the resolve role, so
 * that it needs neither a thread nor a pipe.
 *
 * libunbound gives one event to one descriptor.  A timeout fires once, however
 * much happened on the descriptor before; that is how unbound's own event loop
 * does it.
 */
#include "dns/ub.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/time.h>

#include "base/log.h"

struct pw_ub_base {
	struct ub_event_base super; /* first: libunbound knows only this */
	struct pw_loop *loop;
	size_t events;
};

struct event {
	struct ub_event super; /* first, as above */
	struct pw_ub_base *base;
	struct pw_io io;
	struct pw_timer timer;
	int fd;
	short bits; /* UB_EV_... */
	void (*cb)(int fd, short bits, void *arg);
	void *arg;
};

/* ---- what has happened ------------------------------------------------- */

/* The callback may free the event: nothing is touched after it. */
static void
on_ready(struct pw_io *io, uint32_t ready)
{
	struct event *ev =
	    (struct event *)((char *)io - offsetof(struct event, io));
	short bits = 0;

	/* An error shows itself by the next read or write. */
	if ((ready & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0)
		bits |= UB_EV_READ;
	if ((ready & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0)
		bits |= UB_EV_WRITE;
	bits &= ev->bits;
	if (bits == 0)
		return;
	if ((ev->bits & UB_EV_PERSIST) == 0) {
		pw_io_del(&ev->io);
		pw_timer_stop(&ev->timer);
	}
	ev->cb(ev->fd, bits, ev->arg);
}

static void
on_timeout(struct pw_timer *t)
{
	struct event *ev =
	    (struct event *)((char *)t - offsetof(struct event, timer));

	if ((ev->bits & UB_EV_PERSIST) == 0)
		pw_io_del(&ev->io);
	ev->cb(ev->fd, UB_EV_TIMEOUT, ev->arg);
}

/* ---- methods of an event ----------------------------------------------- */

static void
event_add_bits(struct ub_event *super, short bits)
{
	((struct event *)super)->bits |= bits;
}

static void
event_del_bits(struct ub_event *super, short bits)
{
	((struct event *)super)->bits &= (short)~bits;
}

static void
event_set_fd(struct ub_event *super, int fd)
{
	((struct event *)super)->fd = fd;
}

static int
event_del(struct ub_event *super)
{
	struct event *ev = (struct event *)super;

	pw_io_del(&ev->io);
	pw_timer_stop(&ev->timer);
	return 0;
}

static void
event_free(struct ub_event *super)
{
	struct event *ev = (struct event *)super;

	(void)event_del(super);
	ev->base->events--;
	free(ev);
}

/* Never earlier than asked for. */
static uint64_t
to_ms(const struct timeval *tv)
{
	if (tv->tv_sec < 0)
		return 0;
	return (uint64_t)tv->tv_sec * 1000 +
	       ((uint64_t)tv->tv_usec + 999) / 1000;
}

static int
event_add(struct ub_event *super, struct timeval *tv)
{
	struct event *ev = (struct event *)super;
	uint32_t want = 0;

	if ((ev->bits & UB_EV_READ) != 0)
		want |= EPOLLIN;
	if ((ev->bits & UB_EV_WRITE) != 0)
		want |= EPOLLOUT;
	if (want == 0 || ev->fd < 0) {
		pw_io_del(&ev->io);
	} else if (ev->io.loop != NULL && ev->io.fd == ev->fd) {
		if (pw_io_events(&ev->io, want) != 0)
			return -1;
	} else {
		pw_io_del(&ev->io);
		if (pw_io_add(
			ev->base->loop, &ev->io, ev->fd, want, on_ready) != 0)
			return -1;
	}
	if (tv != NULL && (ev->bits & UB_EV_TIMEOUT) != 0)
		pw_timer_set(ev->base->loop, &ev->timer, to_ms(tv), on_timeout);
	return 0;
}

static int
event_add_timer(struct ub_event *super, struct ub_event_base *base,
    void (*cb)(int, short, void *), void *arg, struct timeval *tv)
{
	struct event *ev = (struct event *)super;

	(void)base;
	ev->cb = cb;
	ev->arg = arg;
	ev->bits |= UB_EV_TIMEOUT;
	pw_timer_set(ev->base->loop, &ev->timer, to_ms(tv), on_timeout);
	return 0;
}

static int
event_del_timer(struct ub_event *super)
{
	pw_timer_stop(&((struct event *)super)->timer);
	return 0;
}

/* Signals are the role's own business; libunbound never asks for them here. */
static int
event_add_signal(struct ub_event *super, struct timeval *tv)
{
	(void)super;
	(void)tv;
	return -1;
}

static int
event_del_signal(struct ub_event *super)
{
	(void)super;
	return -1;
}

static void
event_other_system(struct ub_event *super)
{
	(void)super;
}

static void
event_other_system_bits(struct ub_event *super, int bits)
{
	(void)super;
	(void)bits;
}

static struct ub_event_vmt event_methods = {
    .add_bits = event_add_bits,
    .del_bits = event_del_bits,
    .set_fd = event_set_fd,
    .free = event_free,
    .add = event_add,
    .del = event_del,
    .add_timer = event_add_timer,
    .del_timer = event_del_timer,
    .add_signal = event_add_signal,
    .del_signal = event_del_signal,
    .winsock_unregister_wsaevent = event_other_system,
    .winsock_tcp_wouldblock = event_other_system_bits,
};

/* ---- methods of the base ----------------------------------------------- */

static struct ub_event *
base_new_event(struct ub_event_base *super, int fd, short bits,
    void (*cb)(int, short, void *), void *arg)
{
	struct pw_ub_base *base = (struct pw_ub_base *)super;
	struct event *ev = pw_xcalloc(1, sizeof(*ev));

	ev->super.magic = UB_EVENT_MAGIC;
	ev->super.vmt = &event_methods;
	ev->base = base;
	ev->fd = fd;
	ev->bits = bits;
	ev->cb = cb;
	ev->arg = arg;
	base->events++;
	return &ev->super;
}

static struct ub_event *
base_new_signal(struct ub_event_base *super, int fd,
    void (*cb)(int, short, void *), void *arg)
{
	(void)super;
	(void)fd;
	(void)cb;
	(void)arg;
	return NULL;
}

static struct ub_event *
base_other_system(struct ub_event_base *super, void *wsaevent,
    void (*cb)(int, short, void *), void *arg)
{
	(void)super;
	(void)wsaevent;
	(void)cb;
	(void)arg;
	return NULL;
}

/* The loop is run, ended and freed by its owner. */
static void
base_free(struct ub_event_base *super)
{
	(void)super;
}

static int
base_dispatch(struct ub_event_base *super)
{
	(void)super;
	return -1;
}

static int
base_loopexit(struct ub_event_base *super, struct timeval *tv)
{
	(void)super;
	(void)tv;
	return 0;
}

static struct ub_event_base_vmt base_methods = {
    .free = base_free,
    .dispatch = base_dispatch,
    .loopexit = base_loopexit,
    .new_event = base_new_event,
    .new_signal = base_new_signal,
    .winsock_register_wsaevent = base_other_system,
};

struct pw_ub_base *
pw_ub_base_new(struct pw_loop *loop)
{
	struct pw_ub_base *base = pw_xcalloc(1, sizeof(*base));

	base->super.magic = UB_EVENT_MAGIC;
	base->super.vmt = &base_methods;
	base->loop = loop;
	return base;
}

struct ub_event_base *
pw_ub_base_get(struct pw_ub_base *base)
{
	return &base->super;
}

size_t
pw_ub_base_events(const struct pw_ub_base *base)
{
	return base->events;
}

void
pw_ub_base_free(struct pw_ub_base **base)
{
	if (*base == NULL)
		return;
	/* An event that the library forgot still points to the base. */
	if ((*base)->events == 0)
		free(*base);
	else
		pw_logf(PW_LOG_WARN, "dns.unbound",
		    "%zu events were not given back", (*base)->events);
	*base = NULL;
}
