/* SPDX-License-Identifier: ISC */
/*
 * Large bodies on their way in: <mail_root>/.spool/<id>, written in pieces, in
 * order, by whichever writer thread is free.  Nothing here outlives a process:
 * mail is answered only once it is filed.
 */
#include "storage/filer_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/strmap.h"
#include "storage/sysio.h"

#define SPOOL_MAX 4096u
#define CHUNK ((size_t)256 << 10)

/* One spool file that is being written. */
struct body {
	uint64_t size;
	bool failed;
	bool busy; /* a thread works on it; others leave their job here */
	struct pw_job *jobs, **tail;
};

struct pw_spool {
	int dir;
	pthread_mutex_t lock;
	struct pw_strmap bodies; /* id: struct body */
};

static int
remove_old(void *arg, const char *name)
{
	(void)pw_sys->unlinkat(*(int *)arg, name, 0);
	return 0;
}

int
pw_spool_start(struct pw_filer *f, struct pw_err *err)
{
	struct pw_spool *s = pw_xcalloc(1, sizeof(*s));

	f->spool = s;
	(void)pthread_mutex_init(&s->lock, NULL);
	pw_strmap_init(&s->bodies);
	s->dir = pw_sys_opendir(f->mail_root, ".spool", true);
	if (s->dir < 0 || pw_sys_list(s->dir, remove_old, &s->dir) < 0)
		return pw_err_sys(err, ".spool");
	return 0;
}

void
pw_spool_end(struct pw_filer *f)
{
	struct pw_spool *s = f->spool;
	struct pw_strmap_val *v;
	struct pw_bytes key;

	if (s == NULL)
		return;
	for (size_t at = 0; pw_strmap_next(&s->bodies, &at, &key, &v);)
		free((void *)(uintptr_t)v->a);
	pw_strmap_clear(&s->bodies);
	pw_sys_close(&s->dir);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
	f->spool = NULL;
}

int
pw_spool_read(struct pw_filer *f, const struct pw_id *id)
{
	return pw_sys->openat(f->spool->dir, id->s,
	    O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0);
}

/* ---- pieces --------------------------------------------------------------- */

static int
copy_piece(struct pw_scratch *s, int from, uint64_t len, int to, uint64_t at)
{
	for (uint64_t done = 0; done < len;) {
		size_t n = len - done < CHUNK ? (size_t)(len - done) : CHUNK;
		if (pw_sys_pread(from, s->buf, n, (off_t)done) < 0 ||
		    pw_sys_pwrite(to, s->buf, n, (off_t)(at + done)) < 0)
			return -1;
		done += n;
	}
	return 0;
}

static void
piece(struct pw_filer *f, struct pw_scratch *s, struct pw_job *job,
    struct body *b)
{
	int fd;

	if (b->failed) {
		(void)pw_job_fail(job, PW_STORE_TEMPFAIL,
		    "an earlier piece could not be written");
		return;
	}
	pw_scratch_need(s, CHUNK);
	fd = pw_sys->openat(f->spool->dir, job->spool.s,
	    O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || copy_piece(s, job->fd, job->len, fd, b->size) < 0) {
		(void)pw_job_fail_sys(job, PW_STORE_TEMPFAIL,
		    "writing a spool file");
		b->failed = true;
	} else {
		b->size += job->len;
	}
	pw_sys_close(&fd);
}

/* Under the lock: the body of ID, made for a first piece; NULL. */
static struct body *
body_of(struct pw_spool *s, const struct pw_job *job)
{
	struct pw_bytes key = pw_bytes_of(job->spool.s);
	struct pw_strmap_val *v = pw_strmap_get(&s->bodies, key);
	struct body *b;

	if (v != NULL)
		return (struct body *)(uintptr_t)v->a;
	if (job->kind == PW_JOB_SPOOL_DROP || s->bodies.count >= SPOOL_MAX)
		return NULL;
	b = pw_xcalloc(1, sizeof(*b));
	b->tail = &b->jobs;
	v = pw_strmap_put(&s->bodies, key, NULL);
	v->a = (uintptr_t)b;
	return b;
}

/* Under the lock: the next job of B in order, or NULL and B is idle. */
static struct pw_job *
next_of(struct body *b)
{
	struct pw_job *job = b->jobs;

	b->busy = job != NULL;
	if (job == NULL)
		return NULL;
	b->jobs = job->next;
	if (b->jobs == NULL)
		b->tail = &b->jobs;
	job->next = NULL;
	return job;
}

/* Under the lock: forgets B; what still waited for it fails. */
static struct pw_job *
forget(struct pw_spool *s, struct body *b, const struct pw_id *id)
{
	struct pw_job *rest = b->jobs;

	for (struct pw_job *j = rest; j != NULL; j = j->next)
		if (j->kind == PW_JOB_SPOOL)
			(void)pw_job_fail(j, PW_STORE_TEMPFAIL,
			    "the spool file was dropped");
	(void)pw_strmap_del(&s->bodies, pw_bytes_of(id->s));
	free(b);
	return rest;
}

void
pw_spool_work(struct pw_filer *f, struct pw_scratch *scratch,
    struct pw_job *job)
{
	struct pw_spool *s = f->spool;
	struct body *b;

	(void)pthread_mutex_lock(&s->lock);
	b = body_of(s, job);
	if (b == NULL && job->kind == PW_JOB_SPOOL)
		(void)pw_job_fail(job, PW_STORE_TEMPFAIL,
		    "too many spool files");
	if (b != NULL && b->busy) {
		job->next = NULL;
		*b->tail = job;
		b->tail = &job->next;
		job = NULL;
	} else if (b != NULL) {
		b->busy = true;
	}
	(void)pthread_mutex_unlock(&s->lock);

	while (job != NULL) {
		struct pw_job *next = NULL, *rest = NULL;
		bool drop = job->kind == PW_JOB_SPOOL_DROP;

		if (drop)
			(void)pw_sys->unlinkat(s->dir, job->spool.s, 0);
		else if (b != NULL)
			piece(f, scratch, job, b);
		(void)pthread_mutex_lock(&s->lock);
		if (b != NULL && drop) {
			rest = forget(s, b, &job->spool);
			b = NULL;
		} else if (b != NULL) {
			next = next_of(b);
		}
		(void)pthread_mutex_unlock(&s->lock);
		pw_filer_done(f, job);
		pw_filer_done(f, rest);
		job = next;
	}
}
