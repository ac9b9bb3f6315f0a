/* SPDX-License-Identifier: ISC */
/*
 * The timer heap.  Called by net/loop.c on the loop's thread.
 */
#include "net/heap.h"

#include <stdlib.h>

#include "base/pool.h"
#include "net/loop.h"

#define ARITY 4u
#define CAP_FIRST 64u

static void
place(struct pw_heap *h, uint32_t pos, struct pw_heap_entry e)
{
	h->e[pos] = e;
	e.t->pos = pos;
}

static void
sift_up(struct pw_heap *h, uint32_t pos)
{
	struct pw_heap_entry e = h->e[pos];

	while (pos > 0) {
		uint32_t up = (pos - 1) / ARITY;
		if (h->e[up].due <= e.due)
			break;
		place(h, pos, h->e[up]);
		pos = up;
	}
	place(h, pos, e);
}

static void
sift_down(struct pw_heap *h, uint32_t pos)
{
	struct pw_heap_entry e = h->e[pos];

	for (;;) {
		uint32_t first = pos * ARITY + 1, best = pos;
		uint64_t due = e.due;
		for (uint32_t c = first; c < first + ARITY && c < h->n; c++)
			if (h->e[c].due < due) {
				best = c;
				due = h->e[c].due;
			}
		if (best == pos)
			break;
		place(h, pos, h->e[best]);
		pos = best;
	}
	place(h, pos, e);
}

static void
settle(struct pw_heap *h, uint32_t pos)
{
	if (pos > 0 && h->e[pos].due < h->e[(pos - 1) / ARITY].due)
		sift_up(h, pos);
	else
		sift_down(h, pos);
}

void
pw_heap_add(struct pw_heap *h, struct pw_timer *t)
{
	if (h->n == h->cap) {
		/* Far from where a position times ARITY could wrap. */
		PW_ASSERT(h->cap < UINT32_MAX / (2 * ARITY));
		h->cap = h->cap > 0 ? h->cap * 2 : CAP_FIRST;
		h->e = pw_xrealloc(h->e, h->cap, sizeof(h->e[0]));
	}
	h->e[h->n] = (struct pw_heap_entry){ t->due_ms, t };
	sift_up(h, h->n++);
}

void
pw_heap_move(struct pw_heap *h, struct pw_timer *t)
{
	PW_ASSERT(t->pos < h->n && h->e[t->pos].t == t);
	h->e[t->pos].due = t->due_ms;
	settle(h, t->pos);
}

void
pw_heap_del(struct pw_heap *h, struct pw_timer *t)
{
	uint32_t pos = t->pos;

	PW_ASSERT(pos < h->n && h->e[pos].t == t);
	h->n--;
	if (pos < h->n) {
		place(h, pos, h->e[h->n]);
		settle(h, pos);
	}
}

struct pw_timer *
pw_heap_first(const struct pw_heap *h)
{
	return h->n > 0 ? h->e[0].t : NULL;
}

void
pw_heap_fini(struct pw_heap *h)
{
	free(h->e);
	*h = (struct pw_heap){ 0 };
}
