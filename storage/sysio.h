/* SPDX-License-Identifier: ISC */
/*
 * The system calls that the storage of mail rests on, in one table, so that
 * tests can let the n-th one fail, kill the process there, or keep account of
 * what a power cut would leave.  Every file of storage/ that touches mail or
 * the journal calls through it; SQLite has its own.  Any thread of the store
 * role; the table is replaced before the first thread starts or never.
 */
#ifndef PW_STORAGE_SYSIO_H
#define PW_STORAGE_SYSIO_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Each as the call of that name in section 2 (renameat: renameat2). */
struct pw_sysio {
	int (*openat)(int dir, const char *path, int flags, mode_t mode);
	int (*close)(int fd);
	ssize_t (*pread)(int fd, void *p, size_t n, off_t at);
	ssize_t (*pwrite)(int fd, const void *p, size_t n, off_t at);
	ssize_t (*pwritev)(int fd, const struct iovec *iov, int n, off_t at);
	ssize_t (*writev)(int fd, const struct iovec *iov, int n);
	int (*fsync)(int fd);
	int (*fdatasync)(int fd);
	int (*syncfs)(int fd);
	int (*renameat)(int from_dir, const char *from, int to_dir,
	    const char *to, unsigned flags);
	int (*unlinkat)(int dir, const char *path, int flags);
	int (*mkdirat)(int dir, const char *path, mode_t mode);
	int (*fstat)(int fd, struct stat *st);
	int (*fstatat)(int dir, const char *path, struct stat *st, int flags);
	int (*fstatvfs)(int fd, struct statvfs *st);
	DIR *(*fdopendir)(int fd);
	struct dirent *(*readdir)(DIR *dir);
	int (*closedir)(DIR *dir);
	int (*flock)(int fd, int op);
};

extern const struct pw_sysio pw_sysio_real;
extern const struct pw_sysio *pw_sys;

/* All N bytes, carrying on after short counts and EINTR; 0, or -1 and errno
 * (EIO when the file ended early or the disk took nothing). */
int pw_sys_pread(int fd, void *p, size_t n, off_t at);
int pw_sys_pwrite(int fd, const void *p, size_t n, off_t at);
/* The same for vectors, which are used up; at the file's position, or at AT. */
int pw_sys_writev(int fd, struct iovec *iov, size_t n);
int pw_sys_pwritev(int fd, struct iovec *iov, size_t n, off_t at);

/* Opens the folder NAME below DIR, which must not be a symbolic link; with
 * MAKE it is made (mode 0700) when missing.  A descriptor, or -1 and errno. */
int pw_sys_opendir(int dir, const char *name, bool make);
/* Calls FN for each name but "." and ".." until it returns non-zero, which is
 * then returned; -1 and errno on error. DIR stays open. */
int pw_sys_list(int dir, int (*fn)(void *arg, const char *name), void *arg);
/* Closes *FD unless it is -1, and sets it to -1; errno is kept. */
void pw_sys_close(int *fd);

#endif
