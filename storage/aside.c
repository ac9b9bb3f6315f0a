/* SPDX-License-Identifier: ISC */
/*
 * Messages that crashed a stage, kept for whoever mends it:
 * <state_dir>/aside/<id>.eml and, beside it, <id>.txt that says why.  Names
 * sort by time; the oldest go when store.keep-aside is passed.  A writer
 * thread.
 */
#include "storage/filer_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "storage/sysio.h"

#define CHUNK ((size_t)256 << 10)
#define NEW_FILE (O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC)
/* Beyond this many files, whatever their sizes, the oldest go too. */
#define FILES_MAX 4096u

struct aside_list {
	int dir;
	char (*name)[40];
	size_t n, cap;
	uint64_t total;
};

static int
add_name(void *arg, const char *name)
{
	struct aside_list *l = arg;
	struct stat st;

	if (strlen(name) >= sizeof(l->name[0]) ||
	    pw_sys->fstatat(l->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (l->n == l->cap) {
		l->cap = l->cap > 0 ? 2 * l->cap : 64;
		l->name = pw_xrealloc(l->name, l->cap, sizeof(l->name[0]));
	}
	memcpy(l->name[l->n++], name, strlen(name) + 1);
	l->total += (uint64_t)st.st_size;
	return 0;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Removes the oldest until at most MAX bytes are left. */
static int
trim(int dir, uint64_t max)
{
	struct aside_list l = { .dir = dir };
	int r = pw_sys_list(dir, add_name, &l);

	if (l.n > 0)
		qsort(l.name, l.n, sizeof(l.name[0]), by_name);
	for (size_t i = 0;
	     i < l.n && (l.total > max || l.n - i > FILES_MAX); i++) {
		struct stat st;
		if (pw_sys->fstatat(dir, l.name[i], &st,
			AT_SYMLINK_NOFOLLOW) == 0 &&
		    pw_sys->unlinkat(dir, l.name[i], 0) == 0)
			l.total -= (uint64_t)st.st_size < l.total ?
			    (uint64_t)st.st_size : l.total;
	}
	free(l.name);
	return r;
}

static int
write_why(int dir, const char *id, const char *why)
{
	char name[40];
	struct iovec iov = { (void *)(uintptr_t)why, strlen(why) };
	int fd, r;

	(void)snprintf(name, sizeof(name), "%s.txt", id);
	fd = pw_sys->openat(dir, name, NEW_FILE, 0600);
	if (fd < 0)
		return -1;
	r = pw_sys_writev(fd, &iov, 1);
	pw_sys_close(&fd);
	return r;
}

static int
write_message(struct pw_scratch *s, int dir, const char *id, int from,
    uint64_t size)
{
	char name[40];
	int fd, r = 0;

	(void)snprintf(name, sizeof(name), "%s.eml", id);
	fd = pw_sys->openat(dir, name, NEW_FILE, 0600);
	if (fd < 0)
		return -1;
	pw_scratch_need(s, CHUNK);
	for (uint64_t at = 0; r == 0 && at < size;) {
		size_t n = size - at < CHUNK ? (size_t)(size - at) : CHUNK;
		r = pw_sys_pread(from, s->buf, n, (off_t)at);
		if (r == 0)
			r = pw_sys_pwrite(fd, s->buf, n, (off_t)at);
		at += n;
	}
	pw_sys_close(&fd);
	if (r < 0) {
		int saved = errno;
		(void)pw_sys->unlinkat(dir, name, 0);
		errno = saved;
	}
	return r;
}

void
pw_aside_write(struct pw_filer *f, struct pw_scratch *s, struct pw_job *job)
{
	uint64_t max = atomic_load(&f->keep_aside);
	struct pw_id id = pw_id_new();
	struct stat st = { 0 };
	int dir = -1;

	if (pw_sys->fstat(job->fd, &st) == 0 && (uint64_t)st.st_size > max) {
		pw_logf(PW_LOG_WARN, "store.aside",
		    "not kept, larger than store.keep-aside: %s", job->why);
		return;
	}
	(void)pthread_mutex_lock(&f->aside_lock);
	dir = pw_sys_opendir(f->state_dir, "aside", true);
	if (dir < 0 ||
	    write_message(s, dir, id.s, job->fd, (uint64_t)st.st_size) < 0 ||
	    write_why(dir, id.s, job->why) < 0 || trim(dir, max) < 0)
		pw_logf(PW_LOG_ERROR, "store.aside", "%s: %s", job->why,
		    strerror(errno));
	else
		pw_logf(PW_LOG_NOTICE, "store.aside", "aside/%s.eml: %s",
		    id.s, job->why);
	pw_sys_close(&dir);
	(void)pthread_mutex_unlock(&f->aside_lock);
}
