/* SPDX-License-Identifier: ISC */
/*
 * The loop's timers in order of time: a 4-ary heap whose entries know their
 * place, so that moving one among tens of thousands touches a few cache lines.
 * Private to net/loop.c and its test.
 */
#ifndef PW_NET_HEAP_H
#define PW_NET_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct pw_timer;

struct pw_heap_entry {
	uint64_t due; /* a copy of the timer's, to compare without a miss */
	struct pw_timer *t;
};

/* Zero-initialised is empty. */
struct pw_heap {
	struct pw_heap_entry *e; /* owned */
	uint32_t n;
	uint32_t cap;
};

/* Puts T in at its due_ms; T must not be in. */
void pw_heap_add(struct pw_heap *h, struct pw_timer *t);
/* Puts T, which is in, to where its changed due_ms belongs. */
void pw_heap_move(struct pw_heap *h, struct pw_timer *t);
void pw_heap_del(struct pw_heap *h, struct pw_timer *t);
/* The earliest, or NULL. */
struct pw_timer *pw_heap_first(const struct pw_heap *h);
/* Frees the table, not the timers. */
void pw_heap_fini(struct pw_heap *h);

#endif
