/* SPDX-License-Identifier: ISC */
/*
 * The table of tickets.  A slot's generation is odd while the ticket is open
 * and rises with every change, so that an old ticket never fits again.
 */
#include "filters/tickets.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/pool.h"
#include "filters/eval.h"

struct entry {
	uint32_t generation; /* odd: open */
	bool finished;
	struct pw_loop *loop;
	void (*fn)(void *arg);
	void *arg;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry table[PW_TICKETS_MAX];
static uint32_t next_slot;
static uint64_t rejected;

struct pw_ticket
pw_ticket_open(struct pw_loop *loop, void (*fn)(void *), void *arg)
{
	struct pw_ticket t = { 0, 0 };

	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < PW_TICKETS_MAX; i++) {
		uint32_t slot = (next_slot + i) % PW_TICKETS_MAX;
		struct entry *e = &table[slot];

		if (e->generation % 2 == 1)
			continue;
		e->generation++;
		e->finished = false;
		e->loop = loop;
		e->fn = fn;
		e->arg = arg;
		next_slot = slot + 1;
		t = (struct pw_ticket){ slot, e->generation };
		break;
	}
	pthread_mutex_unlock(&lock);
	return t;
}

void
pw_ticket_close(struct pw_ticket t)
{
	if (t.generation == 0 || t.slot >= PW_TICKETS_MAX)
		return;
	pthread_mutex_lock(&lock);
	if (table[t.slot].generation == t.generation)
		table[t.slot].generation++;
	pthread_mutex_unlock(&lock);
}

/* On the loop's thread: only here is it known that the owner still lives,
 * since it closes its tickets on this thread. */
static void
deliver(void *arg)
{
	struct pw_ticket *t = arg;
	void (*fn)(void *) = NULL;
	void *fn_arg = NULL;

	pthread_mutex_lock(&lock);
	if (table[t->slot].generation == t->generation) {
		fn = table[t->slot].fn;
		fn_arg = table[t->slot].arg;
		table[t->slot].generation++;
	} else {
		rejected++;
	}
	pthread_mutex_unlock(&lock);
	free(t);
	if (fn != NULL)
		fn(fn_arg);
}

void
pw_ticket_finish(struct pw_ticket t)
{
	struct pw_ticket *copy = NULL;
	struct pw_loop *loop = NULL;

	pthread_mutex_lock(&lock);
	if (t.slot < PW_TICKETS_MAX && t.generation % 2 == 1 &&
	    table[t.slot].generation == t.generation &&
	    !table[t.slot].finished) {
		table[t.slot].finished = true;
		loop = table[t.slot].loop;
		copy = pw_xcalloc(1, sizeof(*copy));
		*copy = t;
		/* Under the lock, so that the loop is still there. */
		pw_loop_post(loop, deliver, copy);
	} else {
		rejected++;
	}
	pthread_mutex_unlock(&lock);
}

uint64_t
pw_ticket_rejected(void)
{
	uint64_t n;

	pthread_mutex_lock(&lock);
	n = rejected;
	pthread_mutex_unlock(&lock);
	return n;
}
