/* SPDX-License-Identifier: ISC */
#ifndef PW_HOST_LANDLOCK_H
#define PW_HOST_LANDLOCK_H

#include "host/sandbox.h"

/* The file side of pw_sandbox_enter(); needs no_new_privs. 0, or -1 and ERR.
 * A kernel without Landlock is a log line, not an error. */
int pw_landlock_enter(const struct pw_sandbox *sb, struct pw_err *err);

#endif
