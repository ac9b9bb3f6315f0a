/* SPDX-License-Identifier: ISC */
/*
 * What a role's process starts with, and its line to master.  Each role is a
 * function that master calls in a fresh child: it sets itself up, enters its
 * sandbox, says READY, serves its channels, and returns an exit code.
 */
#ifndef PW_HOST_ROLE_H
#define PW_HOST_ROLE_H

#include "config/config.h"
#include "host/msg.h"
#include "net/ipc.h"
#include "net/loop.h"

struct pw_role_start {
	const struct pw_config *cfg;
	enum pw_role_id id;
	unsigned number;     /* of this kind within the generation */
	int master_fd;       /* SOCK_SEQPACKET to master */
	int control_fd;      /* store: listening control socket, or -1 */
	const char *boot_id; /* store: the kernel's */
};

/* The line to master, made by a role on its own loop. */
struct pw_master_link;
struct pw_master_link_ops {
	/* A channel to PEER; FD is the callee's. */
	void (*on_peer)(void *arg, enum pw_role_id peer, unsigned number,
	    unsigned lane, int fd);
	/* Another frame of master's: CONFIG, DRAIN, and answers. */
	void (*on_frame)(void *arg, struct pw_frame *f);
	/* End now, gracefully (STOP, or master is gone). */
	void (*on_stop)(void *arg);
	/* Appends "name value" lines. */
	void (*on_status)(void *arg, struct pw_strbuf *out);
};
/* LINK lives until the loop ends; NULL members of OPS are ignored. */
struct pw_master_link *pw_master_link_new(struct pw_loop *loop, int fd,
    const struct pw_master_link_ops *ops, void *arg);
void pw_master_link_free(struct pw_master_link **link);
int pw_master_link_send(struct pw_master_link *link, enum pw_msg type,
    uint64_t id, struct pw_bytes body);
/* A channel that on_peer() gave has ended; if the peer lives, a new one comes
 * within a second or so. */
void pw_master_link_lost(struct pw_master_link *link, enum pw_role_id peer,
    unsigned number, unsigned lane);
void pw_master_link_ready(struct pw_master_link *link);

/* Before a link exists: tells master on FD why the set-up failed, logs it, and
 * returns the exit code EX_SOFTWARE, or EX_CONFIG where err->code is EINVAL. */
int pw_role_failed(int master_fd, const char *role, const struct pw_err *err);

const char *pw_role_name(enum pw_role_id id);

int pw_scan_role_run(const struct pw_role_start *role);
int pw_resolve_role_run(const struct pw_role_start *role);

#endif
