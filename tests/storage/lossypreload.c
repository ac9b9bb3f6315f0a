/* SPDX-License-Identifier: ISC */
/*
 * Preloaded into a daemon that runs on lossyfs:
 *
 *   syncfs()        becomes what lossyfs takes for it
 *   LOSSY_BOOT_ID   a file that stands for the kernel's boot id
 *   LOSSY_NO_SYNC   if set, no sync does anything: the test must then fail
 */
#include <fcntl.h>
#include <stdarg.h>
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

	if (boot != NULL && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0)
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

static int
do_sync(long call, int fd)
{
	if (getenv("LOSSY_NO_SYNC") != NULL)
		return 0;
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
	const struct timespec t[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = LM_SYNCFS } };

	return getenv("LOSSY_NO_SYNC") != NULL ? 0 : futimens(fd, t);
}
