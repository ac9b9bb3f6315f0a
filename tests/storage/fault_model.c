/* SPDX-License-Identifier: ISC */
/* The table of calls; what it knows of the disk is in fault_disk.c. */
#include "fault_model.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "fault_disk.h"
#include "storage/sysio.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fault_plan plan;
static uint64_t calls;
static bool met;
static unsigned opened;

/* Counts a call; true when it must fail (errno is set).  The lock is held from
 * here to leave(). */
static bool
enter(void)
{
	(void)pthread_mutex_lock(&lock);
	calls++;
	if (calls != plan.at)
		return false;
	met = true;
	if (plan.kind != FAULT_ERROR)
		return false;
	errno = plan.error;
	return true;
}

/* The call in which the power is cut; 0: none. */
static uint64_t
cut_at(void)
{
	if (plan.kind == FAULT_CUT)
		return plan.at;
	return plan.kind == FAULT_ERROR && plan.cut_after > 0 ?
	    plan.at + plan.cut_after : 0;
}

/* After the call was made, or not: ends the process if this is the one. */
static void
leave(void)
{
	if (calls == plan.at && plan.kind == FAULT_KILL)
		_exit(FAULT_EXIT);
	if (calls == cut_at()) {
		disk_write(plan.disk, plan.cut, plan.seed);
		_exit(FAULT_EXIT);
	}
	int saved = errno;
	(void)pthread_mutex_unlock(&lock);
	errno = saved;
}

/* A kill in a write leaves a part of it, when the seed is odd. */
static size_t
partly(size_t n)
{
	return calls == plan.at && plan.kind == FAULT_KILL &&
	    plan.seed % 2 == 1 ? n / 2 : n;
}

static int
m_openat(int dir, const char *path, int flags, mode_t mode)
{
	int fd = -1;

	if (!enter()) {
		bool there = faccessat(dir, path, F_OK,
		    AT_SYMLINK_NOFOLLOW) == 0;
		fd = openat(dir, path, flags, mode);
		if (fd >= 0) {
			opened++;
			disk_opened(dir, path, fd, !there,
			    (flags & O_TRUNC) != 0);
		}
	}
	leave();
	return fd;
}

static int
m_close(int fd)
{
	bool fail = enter();

	/* A close that fails has closed all the same. */
	opened -= disk_closed(fd);
	int r = close(fd);
	if (fail) {
		errno = plan.error;
		r = -1;
	}
	leave();
	return r;
}

static ssize_t
m_pread(int fd, void *p, size_t n, off_t at)
{
	ssize_t r = enter() ? -1 : pread(fd, p, n, at);

	leave();
	return r;
}

static ssize_t
m_pwrite(int fd, const void *p, size_t n, off_t at)
{
	ssize_t r = -1;

	if (!enter()) {
		r = pwrite(fd, p, partly(n), at);
		if (r > 0)
			disk_written(fd, p, (size_t)r, (uint64_t)at);
	}
	leave();
	return r;
}

/* One vector after the other, which is one way to do it. */
static ssize_t
vectors(int fd, const struct iovec *iov, int n, off_t at)
{
	ssize_t total = 0;

	for (int i = 0; i < n; i++) {
		ssize_t r = pwrite(fd, iov[i].iov_base,
		    partly(iov[i].iov_len), at);
		if (r < 0)
			return total > 0 ? total : -1;
		disk_written(fd, iov[i].iov_base, (size_t)r, (uint64_t)at);
		at += r;
		total += r;
		if ((size_t)r < iov[i].iov_len)
			break;
	}
	return total;
}

static ssize_t
m_pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	ssize_t r = enter() ? -1 : vectors(fd, iov, n, at);

	leave();
	return r;
}

static ssize_t
m_writev(int fd, const struct iovec *iov, int n)
{
	ssize_t r = -1;

	if (!enter()) {
		off_t at = lseek(fd, 0, SEEK_CUR);
		r = vectors(fd, iov, n, at);
		if (r > 0)
			(void)lseek(fd, at + r, SEEK_SET);
	}
	leave();
	return r;
}

static int
m_fsync(int fd)
{
	bool fail = enter();

	if (fail)
		disk_sync_failed(fd);
	else
		disk_synced(fd);
	leave();
	return fail ? -1 : 0;
}

static int
m_syncfs(int fd)
{
	bool fail = enter();

	(void)fd;
	if (fail)
		disk_sync_failed_all();
	else
		disk_synced_all();
	leave();
	return fail ? -1 : 0;
}

static int
m_renameat(int a, const char *from, int b, const char *to, unsigned flags)
{
	int r = -1;

	if (!enter()) {
		r = flags == 0 ? renameat(a, from, b, to) :
				 renameat2(a, from, b, to, flags);
		if (r == 0)
			disk_renamed(a, from, b, to,
			    (flags & RENAME_EXCHANGE) != 0);
	}
	leave();
	return r;
}

static int
m_unlinkat(int dir, const char *path, int flags)
{
	int r = -1;

	if (!enter()) {
		r = unlinkat(dir, path, flags);
		if (r == 0)
			disk_unlinked(dir, path);
	}
	leave();
	return r;
}

static int
m_mkdirat(int dir, const char *path, mode_t mode)
{
	int r = -1;

	if (!enter()) {
		r = mkdirat(dir, path, mode);
		if (r == 0)
			disk_made(dir, path);
	}
	leave();
	return r;
}

static int
m_fstat(int fd, struct stat *st)
{
	int r = enter() ? -1 : fstat(fd, st);

	leave();
	return r;
}

static int
m_fstatat(int dir, const char *path, struct stat *st, int flags)
{
	int r = enter() ? -1 : fstatat(dir, path, st, flags);

	leave();
	return r;
}

static int
m_fstatvfs(int fd, struct statvfs *st)
{
	int r = enter() ? -1 : fstatvfs(fd, st);

	leave();
	return r;
}

static DIR *
m_fdopendir(int fd)
{
	DIR *d = enter() ? NULL : fdopendir(fd);

	leave();
	return d;
}

static struct dirent *
m_readdir(DIR *dir)
{
	struct dirent *e = enter() ? NULL : readdir(dir);

	leave();
	return e;
}

static int
m_closedir(DIR *dir)
{
	bool fail = enter();
	int r;

	opened -= disk_closed(dirfd(dir));
	r = closedir(dir);
	leave();
	return fail ? -1 : r;
}

static int
m_flock(int fd, int op)
{
	int r = enter() ? -1 : flock(fd, op);

	leave();
	return r;
}

static const struct pw_sysio table = {
	.openat = m_openat,
	.close = m_close,
	.pread = m_pread,
	.pwrite = m_pwrite,
	.pwritev = m_pwritev,
	.writev = m_writev,
	.fsync = m_fsync,
	.fdatasync = m_fsync,
	.syncfs = m_syncfs,
	.renameat = m_renameat,
	.unlinkat = m_unlinkat,
	.mkdirat = m_mkdirat,
	.fstat = m_fstat,
	.fstatat = m_fstatat,
	.fstatvfs = m_fstatvfs,
	.fdopendir = m_fdopendir,
	.readdir = m_readdir,
	.closedir = m_closedir,
	.flock = m_flock,
};

void
fault_model_start(const char *root, const struct fault_plan *p)
{
	plan = *p;
	calls = 0;
	met = false;
	opened = 0;
	disk_start(root);
	pw_sys = &table;
}

uint64_t
fault_model_calls(void)
{
	(void)pthread_mutex_lock(&lock);
	uint64_t n = calls;
	(void)pthread_mutex_unlock(&lock);
	return n;
}

unsigned
fault_model_open(void)
{
	return opened;
}

bool
fault_model_met(void)
{
	(void)pthread_mutex_lock(&lock);
	bool r = met;
	(void)pthread_mutex_unlock(&lock);
	return r;
}

/* ---- readers -------------------------------------------------------------- */

static int
open_dir(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int
fault_reader_rename(const char *from_dir, const char *from,
    const char *to_dir, const char *to)
{
	int a = open_dir(from_dir), b = open_dir(to_dir), r;

	(void)pthread_mutex_lock(&lock);
	r = renameat(a, from, b, to);
	if (r == 0)
		disk_renamed(a, from, b, to, false);
	(void)pthread_mutex_unlock(&lock);
	(void)close(a);
	(void)close(b);
	return r;
}

int
fault_reader_unlink(const char *dir, const char *name)
{
	int d = open_dir(dir), r;

	(void)pthread_mutex_lock(&lock);
	r = unlinkat(d, name, 0);
	if (r == 0)
		disk_unlinked(d, name);
	(void)pthread_mutex_unlock(&lock);
	(void)close(d);
	return r;
}

int
fault_reader_mkdir(const char *dir, const char *name)
{
	int d = open_dir(dir), r;

	(void)pthread_mutex_lock(&lock);
	r = mkdirat(d, name, 0700);
	if (r == 0)
		disk_made(d, name);
	(void)pthread_mutex_unlock(&lock);
	(void)close(d);
	return r;
}

/* ---- without account ------------------------------------------------------ */

static int
no_sync(int fd)
{
	(void)fd;
	return 0;
}

void
fault_nosync(void)
{
	static struct pw_sysio plain;

	plain = pw_sysio_real;
	plain.fsync = plain.fdatasync = plain.syncfs = no_sync;
	pw_sys = &plain;
}
