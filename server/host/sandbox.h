/* SPDX-License-Identifier: ISC */
/*
 * What a role may still do once it has what it needs: no_new_privs, Landlock
 * (files) and seccomp (system calls).  Called by each role's main thread after
 * its set-up and before it starts threads or reads a byte from outside.
 */
#ifndef PW_HOST_SANDBOX_H
#define PW_HOST_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "host/msg.h"

struct pw_sandbox {
	enum pw_role_id role;
	/* Folders below which files may be read and written (store only). */
	const char *const *rw;
	size_t nrw;
	/* Folders below which files may be read (scan: character sets). */
	const char *const *ro;
	size_t nro;
};

/*
 * Confines the calling process for good.  Landlock is used as far as the
 * kernel has it (a log line says when not); a kernel without seccomp is an
 * error.  In builds with a sanitizer, whose run-time needs more, nothing is
 * confined and a log line says so.  0, or -1 and ERR.
 */
int pw_sandbox_enter(const struct pw_sandbox *sb, struct pw_err *err);

/* The same as the role scan is confined, for a process that reads hostile bytes
 * as that does. */
struct pw_config;
int pw_scan_confine(const struct pw_config *cfg, struct pw_err *err);

/* True when this build confines its roles. */
bool pw_sandbox_available(void);

#endif
