/* SPDX-License-Identifier: ISC */
/*
 * One epoll loop per thread: descriptors, timers, posts from other threads and
 * work put off to the end of the round.  Everything here is called on the
 * loop's own thread, but for pw_loop_post() and pw_loop_stop().
 */
#ifndef PW_NET_LOOP_H
#define PW_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct pw_loop;

/*
 * A watched descriptor, embedded in its owner, who also owns the descriptor.
 * The callback may delete and free any pw_io, its own included: events already
 * fetched for a deleted one are not delivered.
 */
struct pw_io {
	int fd;
	uint32_t events; /* EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLET... */
	void (*cb)(struct pw_io *io, uint32_t ready);
	struct pw_loop *loop; /* NULL when not watched */
	uint32_t slot;        /* the loop's own */
};

/* A one-shot timer, embedded in its owner; zero-initialised is "not set". */
struct pw_timer {
	uint64_t due_ms;
	void (*cb)(struct pw_timer *t);
	struct pw_loop *loop; /* NULL when not set */
	uint32_t pos;         /* the loop's own */
};

/* Work for the end of this round, once, however often it is put off. */
struct pw_defer {
	void (*cb)(struct pw_defer *d);
	struct pw_defer *next; /* the loop's own, as is prev */
	struct pw_defer *prev;
	bool queued;
};

/* NULL with the reason. */
struct pw_loop *pw_loop_new(struct pw_err *err);
/* Sets *loop to NULL; what is still watched or set is told so (.loop NULL),
 * posts not yet run are dropped. */
void pw_loop_free(struct pw_loop **loop);

/* 0, or -1 with errno.  IO must not be watched already. */
int pw_io_add(struct pw_loop *loop, struct pw_io *io, int fd, uint32_t events,
    void (*cb)(struct pw_io *, uint32_t));
/* Other events; no system call when they are the same already. */
int pw_io_events(struct pw_io *io, uint32_t events);
/* No more callbacks; harmless when not watched.  Call before close(fd). */
void pw_io_del(struct pw_io *io);

/* Sets or moves the timer to MS from the loop's now.  It is out of the loop
 * again when CB runs, which may set it anew or free it. */
void pw_timer_set(struct pw_loop *loop, struct pw_timer *t, uint64_t ms,
    void (*cb)(struct pw_timer *));
void pw_timer_stop(struct pw_timer *t);

/* What is put off while put-off work runs is done in the next round, which
 * then does not sleep. */
void pw_loop_defer(struct pw_loop *loop, struct pw_defer *d);
/* Takes a queued one out again; harmless otherwise. */
void pw_loop_undefer(struct pw_loop *loop, struct pw_defer *d);

/* From any thread: runs FN(ARG) on the loop's thread, in order. */
void pw_loop_post(struct pw_loop *loop, void (*fn)(void *), void *arg);

/* Monotonic milliseconds at the begin of this round. */
uint64_t pw_loop_now(const struct pw_loop *loop);
/* Until pw_loop_stop(); 0. */
int pw_loop_run(struct pw_loop *loop);
/* One round, waiting at most MS (-1: no limit); for tests. */
void pw_loop_step(struct pw_loop *loop, int ms);
/* From any thread and from signal handlers. */
void pw_loop_stop(struct pw_loop *loop);

/* One pointer per loop for net/conn.c: its scratch buffer. */
void *pw_loop_local(const struct pw_loop *loop);
void pw_loop_set_local(struct pw_loop *loop, void *local);

/* How long rounds took from wake-up to sleep: the lag others feel. */
struct pw_loop_lag {
	uint64_t rounds;
	uint64_t max_us; /* since the last call of pw_loop_lag() */
	uint64_t worst_us; /* since the loop was made */
	uint64_t bucket[12]; /* < 2^n * 100 us; the last also all above */
};
void pw_loop_lag(struct pw_loop *loop, struct pw_loop_lag *out);

#endif
