/* SPDX-License-Identifier: ISC */
/*
 * The role front: one process, N loop threads that share the listening sockets,
 * each with its own sessions, pipeline and channels to store, resolve and scan.
 * Started by master in a fresh child with dropped rights.
 */
#ifndef PW_SMTP_FRONT_H
#define PW_SMTP_FRONT_H

#include "config/config.h"
#include "smtp/tls.h"

struct pw_front_listener {
	int fd;          /* listening, non-blocking; shared with other fronts */
	size_t listener; /* its place in cfg->listener */
};

struct pw_front_args {
	const struct pw_config *cfg;
	int master_fd;
	const struct pw_front_listener *listener;
	size_t nlistener;
	const struct pw_pem *pem; /* wiped by front once they are loaded */
	size_t npem;
	/* The segment of session counts that this process writes, and those
	 * of other front processes, which it reads (pw_front_limits_fd()). */
	int limits_fd;
	const int *other_limits_fd;
	size_t nother_limits;
};

/*
 * Sets up, enters the sandbox, tells master READY, serves until told to DRAIN
 * or STOP; an exit code of sysexits.h.  After DRAIN nothing is accepted and
 * sessions go on until they end, at most smtp.session-timeout; after STOP each
 * session ends with 421 when its message at hand is done, at most 10 s later.
 */
int pw_front_run(const struct pw_front_args *args);

/* A new segment of session counts, for master: a descriptor, or -1. */
int pw_front_limits_fd(void);
/* Its owner has died: all counts in it are zero again. */
void pw_front_limits_clear(int fd);

#endif
