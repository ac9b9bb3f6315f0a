/* SPDX-License-Identifier: ISC */
/*
 * The control socket: one line of JSON in, one out.
 *
 *   {"argv": ["mailbox","add","alice@example.com"], "json": false,
 *    "input": "..."}            request, at most 16 MiB
 *   {"exit": 0, "out": "..."}   answer
 *
 * Served in the store role by a thread of its own with its own handles on the
 * databases, so that no admin's question delays a delivery.  Who may ask is
 * decided by the user that the kernel names (SO_PEERCRED): root, the role's own
 * user, and those in control.admins.
 */
#ifndef PW_CTL_CONTROL_H
#define PW_CTL_CONTROL_H

#include <sys/types.h>

#include "config/config.h"
#include "net/loop.h"

struct pw_control;

/* Called on the control thread. WAITER names the client that waits. */
struct pw_control_ops {
	void (*ask_master)(void *arg, uint64_t waiter, int msg);
	void (*snapshot)(void *arg, int fd); /* a new one; the callee's */
	void (*accounts_changed)(void *arg);
	void (*rescan)(void *arg, const char *mailbox);
	uint64_t (*usage)(void *arg, struct pw_bytes mailbox);
};

#define PW_CONTROL_ADMINS_MAX 256

/* Users of control.admins. */
struct pw_control_admins {
	uid_t uid[PW_CONTROL_ADMINS_MAX];
	size_t n;
};

/* Looks them up, which needs files that a confined role has not. */
int pw_control_find_admins(const struct pw_config *cfg,
    struct pw_control_admins *out, struct pw_err *err);

/* Opens the databases and starts the thread; LISTEN_FD stays the caller's.
 * The first snapshot is made before it returns. */
int pw_control_start(const struct pw_config *cfg,
    const struct pw_control_admins *admins, int listen_fd,
    const struct pw_control_ops *ops, void *arg, struct pw_control **out,
    struct pw_err *err);
/* Ends the thread; clients are closed. */
void pw_control_stop(struct pw_control **c);
/* Any thread: accounts.postmaster changed. */
void pw_control_postmaster(struct pw_control *c, struct pw_bytes mailbox);
/* Any thread: the answer that a client waits for. */
void pw_control_answer(struct pw_control *c, uint64_t waiter, int exit_code,
    struct pw_bytes text);

#endif
