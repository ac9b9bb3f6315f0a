/* SPDX-License-Identifier: ISC */
/*
 * A queue of files before the scan processes.  See parse_client.h.
 */
#include "host/parse_client.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/pool.h"
#include "host/msg.h"
#include "net/ipc.h"

#define MAX_SCANS 64
#define QUEUE_MAX 256
#define DEADLINE_MS 20000
#define META_POOL (1u << 20)

struct parse {
	struct parse *next;
	int fd;
	bool again; /* a process ended with it once */
	pw_parse_cb cb;
	void *arg;
};

struct worker {
	struct pw_parse_client *c;
	struct pw_ipc *ipc;
	struct parse *now;
	struct pw_timer timer;
};

struct pw_parse_client {
	struct pw_loop *loop;
	void (*on_lost)(void *arg, unsigned number);
	void *arg;
	struct worker worker[MAX_SCANS];
	struct parse *first, **last;
	size_t queued;
	struct pw_defer defer;
};

static void pump(struct pw_parse_client *c);

static void
answer(struct parse *p, const struct pw_meta *m)
{
	if (p->fd >= 0)
		(void)close(p->fd);
	p->cb(p->arg, m);
	free(p);
}

/* The worker is gone or useless.  Its process may have ended of something else
 * than this file, a message that front had given it: the file has a second try,
 * unless it was GUILTY. */
static void
worker_close(struct worker *w, bool guilty)
{
	struct pw_parse_client *c = w->c;
	struct parse *p = w->now;

	w->now = NULL;
	pw_timer_stop(&w->timer);
	pw_ipc_free(&w->ipc);
	if (p == NULL)
		return;
	if (guilty || p->again) {
		answer(p, NULL);
		return;
	}
	p->again = true;
	p->next = c->first;
	c->first = p;
	if (p->next == NULL)
		c->last = &p->next;
	c->queued++;
}

static void
worker_lost(struct worker *w, bool guilty)
{
	struct pw_parse_client *c = w->c;

	worker_close(w, guilty);
	if (c->on_lost != NULL)
		c->on_lost(c->arg, (unsigned)(w - c->worker));
	pump(c);
}

static void
on_frame(struct pw_ipc *ipc, struct pw_frame *f)
{
	struct worker *w = pw_ipc_arg(ipc);
	struct parse *p = w->now;
	struct pw_pool *pool;
	struct pw_meta *m = NULL;
	struct pw_bytes block;
	struct pw_dec d;

	if (f->type != PW_MSG_PARSED || p == NULL)
		return;
	w->now = NULL;
	pw_timer_stop(&w->timer);
	pool = pw_pool_new(META_POOL);
	pw_dec_init(&d, f->body);
	if (pw_dec_u8(&d) == 1) {
		block = pw_dec_bytes(&d);
		if (pw_dec_end(&d) == 0) {
			pw_dec_init(&d, block);
			m = pw_meta_dec(&d, pool);
		}
	}
	answer(p, m);
	pw_pool_free(&pool);
	pump(w->c);
}

static void
on_close(struct pw_ipc *ipc)
{
	worker_lost(pw_ipc_arg(ipc), false);
}

static void
on_late(struct pw_timer *t)
{
	struct worker *w = (struct worker *)((char *)t -
	    offsetof(struct worker, timer));

	/* Front's deadline or its own limits end it, if anything must; a new
	 * channel knows nothing of this file. */
	worker_lost(w, true);
}

static void
pump(struct pw_parse_client *c)
{
	for (size_t i = 0; i < MAX_SCANS && c->first != NULL; i++) {
		struct worker *w = &c->worker[i];
		struct parse *p = c->first;

		if (w->ipc == NULL || w->now != NULL)
			continue;
		c->first = p->next;
		if (c->first == NULL)
			c->last = &c->first;
		c->queued--;
		w->now = p;
		if (pw_ipc_send(w->ipc, PW_MSG_PARSE, 0, PW_BYTES_NONE, &p->fd,
			1) != 0) {
			worker_close(w, false);
			continue;
		}
		pw_timer_set(c->loop, &w->timer, DEADLINE_MS, on_late);
	}
}

static void
on_defer(struct pw_defer *d)
{
	struct pw_parse_client *c = (struct pw_parse_client *)((char *)d -
	    offsetof(struct pw_parse_client, defer));

	pump(c);
}

struct pw_parse_client *
pw_parse_client_new(struct pw_loop *loop)
{
	struct pw_parse_client *c = pw_xcalloc(1, sizeof(*c));

	c->loop = loop;
	c->last = &c->first;
	c->defer.cb = on_defer;
	for (size_t i = 0; i < MAX_SCANS; i++)
		c->worker[i].c = c;
	return c;
}

void
pw_parse_client_on_lost(struct pw_parse_client *c,
    void (*on_lost)(void *arg, unsigned number), void *arg)
{
	c->on_lost = on_lost;
	c->arg = arg;
}

void
pw_parse_client_channel(struct pw_parse_client *c, unsigned number, int fd)
{
	static const struct pw_ipc_ops ops = { on_frame, on_close };

	if (number >= MAX_SCANS) {
		(void)close(fd);
		return;
	}
	worker_close(&c->worker[number], false);
	c->worker[number].ipc = pw_ipc_new(c->loop, fd, &ops,
	    &c->worker[number]);
	pump(c);
}

void
pw_parse_client_parse(void *host, int fd, pw_parse_cb cb, void *arg)
{
	struct pw_parse_client *c = host;
	struct parse *p = pw_xcalloc(1, sizeof(*p));

	p->fd = fd;
	p->cb = cb;
	p->arg = arg;
	if (c->queued >= QUEUE_MAX) {
		answer(p, NULL); /* the rescan comes by again */
		return;
	}
	*c->last = p;
	c->last = &p->next;
	c->queued++;
	pw_loop_defer(c->loop, &c->defer);
}

void
pw_parse_client_free(struct pw_parse_client **cp)
{
	struct pw_parse_client *c = *cp;

	if (c == NULL)
		return;
	*cp = NULL;
	pw_loop_undefer(c->loop, &c->defer);
	for (size_t i = 0; i < MAX_SCANS; i++)
		worker_close(&c->worker[i], true);
	while (c->first != NULL) {
		struct parse *p = c->first;

		c->first = p->next;
		answer(p, NULL);
	}
	free(c);
}
