/* SPDX-License-Identifier: ISC */
/*
 * The real system calls and the small loops round them: short counts,
 * interruptions, folders.  Any thread of the store role.
 */
#include "storage/sysio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int
real_openat(int dir, const char *path, int flags, mode_t mode)
{
	return openat(dir, path, flags, mode);
}

static int
real_renameat(int from_dir, const char *from, int to_dir, const char *to,
    unsigned flags)
{
	/* The plain call is known to every file system. */
	return flags == 0 ? renameat(from_dir, from, to_dir, to) :
			    renameat2(from_dir, from, to_dir, to, flags);
}

const struct pw_sysio pw_sysio_real = {
	.openat = real_openat,
	.close = close,
	.pread = pread,
	.pwrite = pwrite,
	.pwritev = pwritev,
	.writev = writev,
	.fsync = fsync,
	.fdatasync = fdatasync,
	.syncfs = syncfs,
	.renameat = real_renameat,
	.unlinkat = unlinkat,
	.mkdirat = mkdirat,
	.fstat = fstat,
	.fstatat = fstatat,
	.fstatvfs = fstatvfs,
	.fdopendir = fdopendir,
	.readdir = readdir,
	.closedir = closedir,
	.flock = flock,
};

const struct pw_sysio *pw_sys = &pw_sysio_real;

int
pw_sys_pread(int fd, void *p, size_t n, off_t at)
{
	char *to = p;

	while (n > 0) {
		ssize_t got = pw_sys->pread(fd, to, n, at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			errno = EIO;
		if (got <= 0)
			return -1;
		to += got;
		n -= (size_t)got;
		at += got;
	}
	return 0;
}

int
pw_sys_pwrite(int fd, const void *p, size_t n, off_t at)
{
	const char *from = p;

	while (n > 0) {
		ssize_t put = pw_sys->pwrite(fd, from, n, at);
		if (put < 0 && errno == EINTR)
			continue;
		if (put == 0)
			errno = EIO;
		if (put <= 0)
			return -1;
		from += put;
		n -= (size_t)put;
		at += put;
	}
	return 0;
}

/* Takes PUT bytes off the front of the vectors. */
static void
advance(struct iovec **iov, size_t *n, size_t put)
{
	while (*n > 0 && put >= (*iov)->iov_len) {
		put -= (*iov)->iov_len;
		(*iov)++;
		(*n)--;
	}
	if (put > 0) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + put;
		(*iov)->iov_len -= put;
	}
}

/* AT below 0: at the file's position. */
static int
vectors(int fd, struct iovec *iov, size_t n, off_t at)
{
	advance(&iov, &n, 0);
	while (n > 0) {
		int now = n < IOV_MAX ? (int)n : IOV_MAX;
		ssize_t put = at < 0 ? pw_sys->writev(fd, iov, now) :
				       pw_sys->pwritev(fd, iov, now, at);
		if (put < 0 && errno == EINTR)
			continue;
		if (put == 0)
			errno = EIO;
		if (put <= 0)
			return -1;
		if (at >= 0)
			at += put;
		advance(&iov, &n, (size_t)put);
	}
	return 0;
}

int
pw_sys_writev(int fd, struct iovec *iov, size_t n)
{
	return vectors(fd, iov, n, -1);
}

int
pw_sys_pwritev(int fd, struct iovec *iov, size_t n, off_t at)
{
	return vectors(fd, iov, n, at);
}

int
pw_sys_opendir(int dir, const char *name, bool make)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = pw_sys->openat(dir, name, flags, 0);

	if (fd >= 0 || errno != ENOENT || !make)
		return fd;
	if (pw_sys->mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
		return -1;
	return pw_sys->openat(dir, name, flags, 0);
}

int
pw_sys_list(int dir, int (*fn)(void *arg, const char *name), void *arg)
{
	int r = 0, saved;
	int fd = pw_sys->openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC,
	    0);
	DIR *d = fd >= 0 ? pw_sys->fdopendir(fd) : NULL;

	if (d == NULL) {
		pw_sys_close(&fd);
		return -1;
	}
	while (r == 0) {
		errno = 0;
		struct dirent *e = pw_sys->readdir(d);
		if (e == NULL) {
			r = errno != 0 ? -1 : 0;
			break;
		}
		if (strcmp(e->d_name, ".") != 0 &&
		    strcmp(e->d_name, "..") != 0)
			r = fn(arg, e->d_name);
	}
	saved = errno;
	(void)pw_sys->closedir(d);
	errno = saved;
	return r;
}

void
pw_sys_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)pw_sys->close(*fd);
	*fd = -1;
	errno = saved;
}
