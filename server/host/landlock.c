/* SPDX-License-Identifier: ISC */
/*
 * Landlock by its three system calls: the file side of a role's confinement.
 * Used by sandbox.c only.
 */
#include "host/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

/* Rights known to the ABI that Debian 12's kernel has (2). */
#define READ_RIGHTS                                                          \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |        \
	    LANDLOCK_ACCESS_FS_EXECUTE)
#define WRITE_RIGHTS                                                         \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |     \
	    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |   \
	    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SYM |      \
	    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |    \
	    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif

static int
add_folder(int ruleset, const char *path, uint64_t rights, struct pw_err *err)
{
	struct landlock_path_beneath_attr beneath = { 0 };
	int rc;

	beneath.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (beneath.parent_fd < 0) {
		if (errno == ENOENT)
			return 0;
		return pw_err_sys(err, "sandbox: %s", path);
	}
	beneath.allowed_access = rights;
	rc = (int)syscall(SYS_landlock_add_rule, ruleset,
	    LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
	if (rc != 0)
		(void)pw_err_sys(err, "sandbox: landlock rule for %s", path);
	(void)close(beneath.parent_fd);
	return rc == 0 ? 0 : -1;
}

static int
add_all(int ruleset, const struct pw_sandbox *sb, uint64_t handled,
    struct pw_err *err)
{
	for (size_t i = 0; i < sb->nrw; i++)
		if (add_folder(ruleset, sb->rw[i],
			handled & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE,
			err) != 0)
			return -1;
	for (size_t i = 0; i < sb->nro; i++)
		if (add_folder(ruleset, sb->ro[i], handled & READ_RIGHTS,
			err) != 0)
			return -1;
	return 0;
}

int
pw_landlock_enter(const struct pw_sandbox *sb, struct pw_err *err)
{
	struct landlock_ruleset_attr attr = { 0 };
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	int ruleset, rc;

	if (abi < 1) {
		pw_logf(PW_LOG_WARN, "sandbox.landlock",
		    "this kernel has no Landlock: files are guarded by "
		    "ownership and seccomp only");
		return 0;
	}
	attr.handled_access_fs = READ_RIGHTS | WRITE_RIGHTS;
	if (abi >= 2)
		attr.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr,
	    sizeof(attr.handled_access_fs), 0);
	if (ruleset < 0)
		return pw_err_sys(err, "sandbox: landlock");
	rc = add_all(ruleset, sb, attr.handled_access_fs, err);
	if (rc == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
		rc = pw_err_sys(err, "sandbox: landlock_restrict_self");
	(void)close(ruleset);
	return rc;
}
