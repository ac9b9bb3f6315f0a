/* SPDX-License-Identifier: ISC */
/*
 * Preloaded into a daemon under test:
 *
 *   syncfs()        becomes what lossyfs takes for it
 *   LOSSY_BOOT_ID   a file that stands for the kernel's boot id
 *   LOSSY_NO_SYNC   if set, no sync does anything: the test must then fail
 *   LOSSY_EIO       a file: while it is there, every sync fails
 *   LOSSY_SLOW      a file: while it is there, every sync takes a second
 *   LOSSY_PLAIN     if set, syncfs() is left as it is
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lossymodel.h"

int syncfs(int fd);
int open64(const char *path, int flags, ...);
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);

static int
do_open(const char *path, int flags, mode_t mode)
{
	const char *boot = getenv("LOSSY_BOOT_ID");

	if (boot != NULL &&
	    strcmp(path, "/proc/sys/kernel/random/boot_id") == 0)
		path = boot;
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int
open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return do_open(path, flags, mode);
}

int
open64(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return do_open(path, flags, mode);
}

int
__open_2(const char *path, int flags)
{
	return do_open(path, flags, 0);
}

int
__open64_2(const char *path, int flags)
{
	return do_open(path, flags, 0);
}

static bool
is_there(const char *variable)
{
	const char *path = getenv(variable);

	return path != NULL && access(path, F_OK) == 0;
}

/* True: the sync is over already, with *RC. */
static bool
is_faked(int *rc)
{
	*rc = 0;
	if (getenv("LOSSY_NO_SYNC") != NULL)
		return true;
	if (is_there("LOSSY_SLOW"))
		(void)sleep(1);
	if (!is_there("LOSSY_EIO"))
		return false;
	errno = EIO;
	*rc = -1;
	return true;
}

static int
do_sync(long call, int fd)
{
	int rc;

	if (is_faked(&rc))
		return rc;
	return (int)syscall(call, fd);
}

int
fsync(int fd)
{
	return do_sync(SYS_fsync, fd);
}

int
fdatasync(int fd)
{
	return do_sync(SYS_fdatasync, fd);
}

int
syncfs(int fd)
{
	const struct timespec t[2] = {
	    {.tv_nsec = UTIME_OMIT}, {.tv_sec = LM_SYNCFS}};

	int rc;

	if (is_faked(&rc))
		return rc;
	return getenv("LOSSY_PLAIN") != NULL ? (int)syscall(SYS_syncfs, fd)
					     : futimens(fd, t);
}
