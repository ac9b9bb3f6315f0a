/* SPDX-License-Identifier: ISC */
/*
 * Which loop thread of front uses which scan process: every thread has a channel
 * to every process, but a process holds one message at a time, so that a crash
 * or a hang concerns the job that caused it and no other.  One pool for all
 * threads of a front process; every function may be called from any of them.
 */
#ifndef PW_HOST_SCAN_POOL_H
#define PW_HOST_SCAN_POOL_H

#include <stdbool.h>

#include "net/loop.h"

#define PW_SCAN_PROCS 65u /* scan-processes and number 0, for envelope work */

/* The two kinds of work never wait for each other. */
enum pw_scan_kind { PW_SCAN_ENVELOPE, PW_SCAN_MESSAGE, PW_SCAN_KINDS };

struct pw_scan_pool;

/* A thread that waits for a process; embedded in its owner, zeroed. */
struct pw_scan_waiter {
	struct pw_loop *loop;
	void (*wake)(void *arg); /* on LOOP: a process may be free now */
	void *arg;
	enum pw_scan_kind kind;
	bool queued; /* the rest is the pool's own */
	struct pw_scan_waiter *prev, *next;
};

struct pw_scan_pool *pw_scan_pool_new(void);
void pw_scan_pool_free(struct pw_scan_pool **p);

/* Takes a process of W's kind that is free and that W's owner can reach
 * (USABLE[number]); or -1, and W is woken once when one was given back. */
int pw_scan_pool_take(struct pw_scan_pool *p, struct pw_scan_waiter *w,
    const bool usable[PW_SCAN_PROCS]);
/* Gives process NUMBER back; the thread that waits longest is woken. */
void pw_scan_pool_give(struct pw_scan_pool *p, unsigned number);
/* W, which was woken, does not need a process any more: the next one may. */
void pw_scan_pool_pass(struct pw_scan_pool *p, enum pw_scan_kind kind);
/* W does not wait any more; a wake that is already posted still comes. */
void pw_scan_pool_leave(struct pw_scan_pool *p, struct pw_scan_waiter *w);

#endif
