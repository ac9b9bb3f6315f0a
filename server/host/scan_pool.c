/* SPDX-License-Identifier: ISC */
/* See scan_pool.h.  All under one lock, which is held for a few instructions. */
#include "host/scan_pool.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/pool.h"

struct pw_scan_pool {
	pthread_mutex_t lock;
	bool taken[PW_SCAN_PROCS];
	struct pw_scan_waiter *first[PW_SCAN_KINDS], *last[PW_SCAN_KINDS];
};

struct pw_scan_pool *
pw_scan_pool_new(void)
{
	struct pw_scan_pool *p = pw_xcalloc(1, sizeof(*p));

	(void)pthread_mutex_init(&p->lock, NULL);
	return p;
}

void
pw_scan_pool_free(struct pw_scan_pool **p)
{
	if (*p == NULL)
		return;
	(void)pthread_mutex_destroy(&(*p)->lock);
	free(*p);
	*p = NULL;
}

static void
append(struct pw_scan_pool *p, struct pw_scan_waiter *w)
{
	if (w->queued)
		return;
	w->queued = true;
	w->next = NULL;
	w->prev = p->last[w->kind];
	if (w->prev != NULL)
		w->prev->next = w;
	else
		p->first[w->kind] = w;
	p->last[w->kind] = w;
}

static void
take_out(struct pw_scan_pool *p, struct pw_scan_waiter *w)
{
	if (!w->queued)
		return;
	if (w->prev != NULL)
		w->prev->next = w->next;
	else
		p->first[w->kind] = w->next;
	if (w->next != NULL)
		w->next->prev = w->prev;
	else
		p->last[w->kind] = w->prev;
	w->queued = false;
}

static enum pw_scan_kind
kind_of(unsigned number)
{
	return number == 0 ? PW_SCAN_ENVELOPE : PW_SCAN_MESSAGE;
}

/* Under the lock, so that the waiter is not freed meanwhile. */
static void
wake_first(struct pw_scan_pool *p, enum pw_scan_kind kind)
{
	struct pw_scan_waiter *w = p->first[kind];

	if (w == NULL)
		return;
	take_out(p, w);
	pw_loop_post(w->loop, w->wake, w->arg);
}

int
pw_scan_pool_take(struct pw_scan_pool *p, struct pw_scan_waiter *w,
    const bool usable[PW_SCAN_PROCS])
{
	int found = -1;

	(void)pthread_mutex_lock(&p->lock);
	for (unsigned i = 0; i < PW_SCAN_PROCS && found < 0; i++)
		if (kind_of(i) == w->kind && usable[i] && !p->taken[i])
			found = (int)i;
	if (found >= 0)
		p->taken[found] = true;
	else
		append(p, w);
	(void)pthread_mutex_unlock(&p->lock);
	return found;
}

void
pw_scan_pool_give(struct pw_scan_pool *p, unsigned number)
{
	(void)pthread_mutex_lock(&p->lock);
	p->taken[number] = false;
	wake_first(p, kind_of(number));
	(void)pthread_mutex_unlock(&p->lock);
}

void
pw_scan_pool_pass(struct pw_scan_pool *p, enum pw_scan_kind kind)
{
	(void)pthread_mutex_lock(&p->lock);
	wake_first(p, kind);
	(void)pthread_mutex_unlock(&p->lock);
}

void
pw_scan_pool_leave(struct pw_scan_pool *p, struct pw_scan_waiter *w)
{
	(void)pthread_mutex_lock(&p->lock);
	take_out(p, w);
	(void)pthread_mutex_unlock(&p->lock);
}
