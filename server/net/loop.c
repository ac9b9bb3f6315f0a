/* SPDX-License-Identifier: ISC */
/*
 * The epoll loop.  A round is: wait, descriptors (posts are one of them),
 * timers, work put off.  Each phase handles what was there when it began, so
 * that no phase can starve another.  One per thread of front and of every
 * other role.
 */
#include "net/loop.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/pool.h"
#include "net/heap.h"

#define EVENTS_MAX 256
#define SLOT_NONE UINT32_MAX

/* What epoll's data points to by number: the generation tells an event of
 * today's owner from one that was fetched for an earlier owner. */
struct slot {
	struct pw_io *io; /* NULL: free */
	uint32_t gen;
	uint32_t next_free;
};

struct post {
	struct post *next;
	void (*fn)(void *);
	void *arg;
};

struct pw_loop {
	int epfd;
	struct slot *slots;
	uint32_t nslots;
	uint32_t free_slot;
	struct pw_heap timers;
	bool in_timers;
	uint64_t now_ms;
	/* Rings with these as their fixed points. */
	struct pw_defer waiting;
	struct pw_defer running;
	void *local;
	struct pw_loop_lag lag;
	struct pw_io wake;
	atomic_bool stop;
	/* Under lock: */
	pthread_mutex_t lock;
	struct post *posts;
	struct post **posts_end;
	struct epoll_event events[EVENTS_MAX];
};

static void wake_up(struct pw_io *io, uint32_t ready);

/* ---- making and freeing ------------------------------------------------- */

static void
ring_init(struct pw_defer *d)
{
	d->next = d->prev = d;
}

struct pw_loop *
pw_loop_new(struct pw_err *err)
{
	struct pw_loop *loop = pw_xcalloc(1, sizeof(*loop));
	int evfd = -1;

	loop->free_slot = SLOT_NONE;
	ring_init(&loop->waiting);
	ring_init(&loop->running);
	loop->posts_end = &loop->posts;
	(void)pthread_mutex_init(&loop->lock, NULL);
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epfd >= 0)
		evfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (evfd < 0 ||
	    pw_io_add(loop, &loop->wake, evfd, EPOLLIN, wake_up) < 0) {
		pw_err_sys(err, "cannot make an event loop");
		if (evfd >= 0)
			close(evfd);
		loop->wake.fd = -1;
		pw_loop_free(&loop);
		return NULL;
	}
	loop->now_ms = pw_clock_mono_ms();
	return loop;
}

static void
ring_forget(struct pw_defer *ring)
{
	for (struct pw_defer *d = ring->next, *next; d != ring; d = next) {
		next = d->next;
		*d = (struct pw_defer){ .cb = d->cb };
	}
}

void
pw_loop_free(struct pw_loop **loopp)
{
	struct pw_loop *loop = *loopp;

	if (loop == NULL)
		return;
	/* Owners that outlive the loop find themselves not watched. */
	for (uint32_t i = 0; i < loop->nslots; i++)
		if (loop->slots[i].io != NULL)
			loop->slots[i].io->loop = NULL;
	for (uint32_t i = 0; i < loop->timers.n; i++)
		loop->timers.e[i].t->loop = NULL;
	ring_forget(&loop->waiting);
	ring_forget(&loop->running);
	while (loop->posts != NULL) {
		struct post *p = loop->posts;
		loop->posts = p->next;
		free(p);
	}
	pw_heap_fini(&loop->timers);
	if (loop->wake.fd >= 0)
		close(loop->wake.fd);
	if (loop->epfd >= 0)
		close(loop->epfd);
	(void)pthread_mutex_destroy(&loop->lock);
	free(loop->slots);
	free(loop);
	*loopp = NULL;
}

/* ---- descriptors -------------------------------------------------------- */

static uint32_t
slot_take(struct pw_loop *loop)
{
	if (loop->free_slot == SLOT_NONE) {
		uint32_t old = loop->nslots, n = old > 0 ? old * 2 : 64;
		PW_ASSERT(n > old);
		loop->slots = pw_xrealloc(loop->slots, n,
		    sizeof(loop->slots[0]));
		for (uint32_t i = old; i < n; i++)
			loop->slots[i] = (struct slot){ .next_free =
				i + 1 < n ? i + 1 : SLOT_NONE };
		loop->nslots = n;
		loop->free_slot = old;
	}
	uint32_t s = loop->free_slot;
	loop->free_slot = loop->slots[s].next_free;
	return s;
}

static void
slot_give(struct pw_loop *loop, uint32_t s)
{
	loop->slots[s].io = NULL;
	loop->slots[s].gen++;
	loop->slots[s].next_free = loop->free_slot;
	loop->free_slot = s;
}

static int
io_ctl(struct pw_loop *loop, int op, const struct pw_io *io, uint32_t events)
{
	struct epoll_event ev = { .events = events };

	ev.data.u64 = (uint64_t)loop->slots[io->slot].gen << 32 | io->slot;
	return epoll_ctl(loop->epfd, op, io->fd, &ev);
}

int
pw_io_add(struct pw_loop *loop, struct pw_io *io, int fd, uint32_t events,
    void (*cb)(struct pw_io *, uint32_t))
{
	PW_ASSERT(io->loop == NULL);
	io->fd = fd;
	io->events = events;
	io->cb = cb;
	io->slot = slot_take(loop);
	if (io_ctl(loop, EPOLL_CTL_ADD, io, events) < 0) {
		int saved = errno;
		slot_give(loop, io->slot);
		errno = saved;
		return -1;
	}
	loop->slots[io->slot].io = io;
	io->loop = loop;
	return 0;
}

int
pw_io_events(struct pw_io *io, uint32_t events)
{
	if (io->loop == NULL) {
		errno = ENOENT;
		return -1;
	}
	if (io->events == events)
		return 0;
	if (io_ctl(io->loop, EPOLL_CTL_MOD, io, events) < 0)
		return -1;
	io->events = events;
	return 0;
}

void
pw_io_del(struct pw_io *io)
{
	struct pw_loop *loop = io->loop;

	if (loop == NULL)
		return;
	(void)io_ctl(loop, EPOLL_CTL_DEL, io, 0);
	slot_give(loop, io->slot);
	io->loop = NULL;
}

static void
deliver(struct pw_loop *loop, const struct epoll_event *ev)
{
	uint32_t s = (uint32_t)ev->data.u64;
	uint32_t gen = (uint32_t)(ev->data.u64 >> 32);
	struct slot *slot = &loop->slots[s];

	if (slot->io != NULL && slot->gen == gen)
		slot->io->cb(slot->io, ev->events);
}

/* ---- timers ------------------------------------------------------------- */

void
pw_timer_set(struct pw_loop *loop, struct pw_timer *t, uint64_t ms,
    void (*cb)(struct pw_timer *))
{
	PW_ASSERT(t->loop == NULL || t->loop == loop);
	/* One that sets itself to "now" again waits for the next round. */
	if (ms == 0 && loop->in_timers)
		ms = 1;
	if (__builtin_add_overflow(loop->now_ms, ms, &t->due_ms))
		t->due_ms = UINT64_MAX;
	t->cb = cb;
	if (t->loop != NULL) {
		pw_heap_move(&loop->timers, t);
		return;
	}
	t->loop = loop;
	pw_heap_add(&loop->timers, t);
}

void
pw_timer_stop(struct pw_timer *t)
{
	if (t->loop == NULL)
		return;
	pw_heap_del(&t->loop->timers, t);
	t->loop = NULL;
}

static void
run_timers(struct pw_loop *loop)
{
	struct pw_timer *t;

	loop->in_timers = true;
	while ((t = pw_heap_first(&loop->timers)) != NULL &&
	    t->due_ms <= loop->now_ms) {
		pw_timer_stop(t);
		t->cb(t);
	}
	loop->in_timers = false;
}

/* ---- work put off ------------------------------------------------------- */

static void
ring_insert(struct pw_defer *ring, struct pw_defer *d)
{
	d->next = ring;
	d->prev = ring->prev;
	ring->prev->next = d;
	ring->prev = d;
	d->queued = true;
}

static void
ring_remove(struct pw_defer *d)
{
	d->prev->next = d->next;
	d->next->prev = d->prev;
	d->next = d->prev = NULL;
	d->queued = false;
}

void
pw_loop_defer(struct pw_loop *loop, struct pw_defer *d)
{
	if (!d->queued)
		ring_insert(&loop->waiting, d);
}

void
pw_loop_undefer(struct pw_loop *loop, struct pw_defer *d)
{
	(void)loop;
	if (d->queued)
		ring_remove(d);
}

static bool
ring_empty(const struct pw_defer *ring)
{
	return ring->next == ring;
}

static void
run_deferred(struct pw_loop *loop)
{
	struct pw_defer *run = &loop->running;

	if (ring_empty(&loop->waiting))
		return;
	/* What is put off from here on runs in the next round. */
	run->next = loop->waiting.next;
	run->prev = loop->waiting.prev;
	run->next->prev = run->prev->next = run;
	ring_init(&loop->waiting);
	while (!ring_empty(run)) {
		struct pw_defer *d = run->next;
		ring_remove(d);
		d->cb(d);
	}
}

/* ---- posts -------------------------------------------------------------- */

static void
ring_bell(struct pw_loop *loop)
{
	uint64_t one = 1;

	/* EAGAIN would mean that the bell rings already. */
	(void)!write(loop->wake.fd, &one, sizeof(one));
}

void
pw_loop_post(struct pw_loop *loop, void (*fn)(void *), void *arg)
{
	struct post *p = pw_xcalloc(1, sizeof(*p));

	p->fn = fn;
	p->arg = arg;
	(void)pthread_mutex_lock(&loop->lock);
	bool first = loop->posts == NULL;
	*loop->posts_end = p;
	loop->posts_end = &p->next;
	/* Inside the lock, so that the loop cannot end and be freed between
	 * running the post and this write. */
	if (first)
		ring_bell(loop);
	(void)pthread_mutex_unlock(&loop->lock);
}

static void
wake_up(struct pw_io *io, uint32_t ready)
{
	struct pw_loop *loop = io->loop;
	uint64_t count;

	(void)ready;
	(void)!read(io->fd, &count, sizeof(count));
	(void)pthread_mutex_lock(&loop->lock);
	struct post *list = loop->posts;
	loop->posts = NULL;
	loop->posts_end = &loop->posts;
	(void)pthread_mutex_unlock(&loop->lock);
	while (list != NULL) {
		struct post *p = list;
		list = p->next;
		p->fn(p->arg);
		free(p);
	}
}

/* ---- rounds ------------------------------------------------------------- */

uint64_t
pw_loop_now(const struct pw_loop *loop)
{
	return loop->now_ms;
}

void *
pw_loop_local(const struct pw_loop *loop)
{
	return loop->local;
}

void
pw_loop_set_local(struct pw_loop *loop, void *local)
{
	loop->local = local;
}

/* How long epoll may sleep: no longer than LIMIT (-1: for ever). */
static int
sleep_ms(const struct pw_loop *loop, int limit)
{
	const struct pw_timer *t = pw_heap_first(&loop->timers);

	if (!ring_empty(&loop->waiting))
		return 0;
	if (t == NULL)
		return limit;
	uint64_t now = pw_clock_mono_ms();
	uint64_t ms = t->due_ms > now ? t->due_ms - now : 0;
	if (ms > INT_MAX)
		ms = INT_MAX;
	return limit >= 0 && (uint64_t)limit < ms ? limit : (int)ms;
}

static void
count_lag(struct pw_loop *loop, uint64_t us)
{
	size_t b = 0;

	while (b + 1 < sizeof(loop->lag.bucket) / sizeof(uint64_t) &&
	    us >= (UINT64_C(100) << b))
		b++;
	loop->lag.bucket[b]++;
	loop->lag.rounds++;
	if (us > loop->lag.max_us)
		loop->lag.max_us = us;
	if (us > loop->lag.worst_us)
		loop->lag.worst_us = us;
}

void
pw_loop_step(struct pw_loop *loop, int ms)
{
	int n = epoll_wait(loop->epfd, loop->events, EVENTS_MAX,
	    sleep_ms(loop, ms));
	uint64_t begin = pw_clock_mono_ns();

	/* A signal is an empty round; nothing else can fail here. */
	PW_ASSERT(n >= 0 || errno == EINTR);
	loop->now_ms = begin / 1000000;
	for (int i = 0; i < n; i++)
		deliver(loop, &loop->events[i]);
	run_timers(loop);
	run_deferred(loop);
	count_lag(loop, (pw_clock_mono_ns() - begin) / 1000);
}

int
pw_loop_run(struct pw_loop *loop)
{
	while (!atomic_load_explicit(&loop->stop, memory_order_acquire))
		pw_loop_step(loop, -1);
	atomic_store(&loop->stop, false);
	return 0;
}

void
pw_loop_stop(struct pw_loop *loop)
{
	atomic_store_explicit(&loop->stop, true, memory_order_release);
	ring_bell(loop);
}

void
pw_loop_lag(struct pw_loop *loop, struct pw_loop_lag *out)
{
	*out = loop->lag;
	loop->lag.max_us = 0;
}
