/* SPDX-License-Identifier: ISC */
/*
 * One loop thread of the role front: accepts, holds its sessions, and has its
 * own pipeline and channels.  Made on the main thread before the threads start;
 * afterwards only the functions marked "any thread" are called from elsewhere.
 */
#ifndef PW_SMTP_FRONT_THREAD_H
#define PW_SMTP_FRONT_THREAD_H

#include "host/msg.h"
#include "host/scan_client.h"
#include "smtp/front.h"
#include "smtp/session.h"

/* What all threads share. */
struct front_shared {
	const struct pw_config *cfg;
	const struct pw_front_listener *listener;
	size_t nlistener;
	struct pw_tls *tls;
	struct pw_config_smtp *limit; /* of each listener */
	struct pw_limits *limits;
	struct pw_budget budget;
	struct pw_scan_pool *scans;
	struct pw_loop *main_loop;
	/* All are run on the main loop. */
	void (*on_ended)(void *arg);
	void (*on_stuck)(void *arg, unsigned number);
	void (*on_lost)(void *arg, enum pw_role_id peer, unsigned number,
	    unsigned lane);
	void *arg;
};

struct front_thread;

int front_thread_new(struct front_shared *shared, size_t index,
    struct front_thread **out, struct pw_err *err);
/* After its loop has ended. */
void front_thread_free(struct front_thread **t);
struct pw_loop *front_thread_loop(struct front_thread *t);

/* Any thread: begins to accept (when the accounts are there, at most 5 s
 * later); takes a channel; ends when the last session has ended, or NOW: soon;
 * its counters and pipeline; other "name value" lines, of thread 0 fresh, else at most a
 * second old. */
void front_thread_start(struct front_thread *t);
void front_thread_peer(struct front_thread *t, enum pw_role_id peer,
    unsigned number, int fd);
void front_thread_end(struct front_thread *t, bool now);
const struct pw_counters *front_thread_counters(const struct front_thread *t);
const struct pw_pipeline *front_thread_pipeline(const struct front_thread *t);
void front_thread_status(struct front_thread *t, struct pw_strbuf *out);

#endif
