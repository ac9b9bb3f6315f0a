/* SPDX-License-Identifier: ISC */
/*
 * The filer's outside: deliveries in from the loop's thread, answers back to
 * it, and the writer threads that stand between.  Opening and closing are in
 * filer_open.c.
 */
#include "storage/filer_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "storage/sysio.h"

/* ---- failures ------------------------------------------------------------- */

int
pw_job_fail(struct pw_job *job, enum pw_store_code code, const char *fmt, ...)
{
	va_list ap;

	if (job->code != PW_STORE_OK)
		return -1;
	job->code = code;
	va_start(ap, fmt);
	(void)vsnprintf(job->reason, sizeof(job->reason), fmt, ap);
	va_end(ap);
	return -1;
}

int
pw_job_fail_sys(struct pw_job *job, enum pw_store_code other,
    const char *what)
{
	int e = errno;

	if (e == ENOSPC || e == EDQUOT || e == EFBIG)
		other = PW_STORE_NOSPACE;
	return pw_job_fail(job, other, "%s: %s", what, strerror(e));
}

/* ---- answers -------------------------------------------------------------- */

void
pw_filer_done(struct pw_filer *f, struct pw_job *jobs)
{
	const uint64_t one = 1;
	bool wake;

	if (jobs == NULL)
		return;
	(void)pthread_mutex_lock(&f->done_lock);
	wake = f->done == NULL;
	*f->done_tail = jobs;
	while (*f->done_tail != NULL)
		f->done_tail = &(*f->done_tail)->next;
	(void)pthread_mutex_unlock(&f->done_lock);
	/* One wake-up serves all that comes before the loop looks. */
	if (wake && write(f->wake_fd, &one, sizeof(one)) < 0)
		PW_ASSERT(errno == EAGAIN);
}

static void
job_free(struct pw_job *job)
{
	pw_enc_free(&job->enc);
	if (job->d != NULL)
		pw_sys_close(&job->d->fd);
	pw_sys_close(&job->fd);
	pw_pool_free(&job->pool);
	free(job->why);
	free(job);
}

static void
answer(struct pw_filer *f, struct pw_job *job)
{
	struct pw_store_result r = { .code = job->code,
		.reason = job->reason,
		.ntarget = job->code == PW_STORE_OK ? job->nfate : 0,
		.fate = job->fate };

	if (job->code != PW_STORE_OK)
		atomic_fetch_add(&f->failed, 1);
	else if (job->kind == PW_JOB_DELIVER || job->kind == PW_JOB_FINISH)
		atomic_fetch_add(&f->delivered, 1);
	if (job->d != NULL && job->d->spool.s[0] != '\0')
		pw_filer_spool_drop(f, &job->d->spool);
	f->waiting--;
	if (job->cb != NULL)
		job->cb(job->arg, &r);
	job_free(job);
}

void
pw_filer_answer(struct pw_filer *f)
{
	struct pw_job *list, *next;

	(void)pthread_mutex_lock(&f->done_lock);
	list = f->done;
	f->done = NULL;
	f->done_tail = &f->done;
	(void)pthread_mutex_unlock(&f->done_lock);
	for (; list != NULL; list = next) {
		next = list->next;
		answer(f, list);
	}
}

void
pw_filer_on_wake(struct pw_io *io, uint32_t ready)
{
	struct pw_filer *f = (struct pw_filer *)(void *)((char *)io -
	    offsetof(struct pw_filer, wake));
	uint64_t n;

	(void)ready;
	if (read(f->wake_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		pw_logf(PW_LOG_ERROR, "store.wake", "%s", strerror(errno));
	pw_filer_answer(f);
}

/* ---- jobs ----------------------------------------------------------------- */

static struct pw_job *
job_new(struct pw_filer *f, enum pw_job_kind kind, pw_store_cb cb, void *arg)
{
	struct pw_job *job = pw_xcalloc(1, sizeof(*job));

	job->kind = kind;
	job->cb = cb;
	job->arg = arg;
	job->fd = -1;
	f->waiting++;
	return job;
}

/* To the writer threads, or, above the bound, straight back. */
static void
submit(struct pw_filer *f, struct pw_job *job, bool bounded)
{
	if (bounded && f->waiting > PW_FILER_WAITING_MAX)
		(void)pw_job_fail(job, PW_STORE_TEMPFAIL,
		    "too many deliveries wait");
	else if (f->closing)
		(void)pw_job_fail(job, PW_STORE_TEMPFAIL, "closing");
	if (job->code != PW_STORE_OK)
		pw_filer_done(f, job);
	else
		pw_queue_push(&f->write_queue, job);
}

void
pw_filer_deliver(struct pw_filer *f, struct pw_delivery *d,
    const char *const *path, struct pw_pool *pool, pw_store_cb cb, void *arg)
{
	struct pw_job *job = job_new(f, PW_JOB_DELIVER, cb, arg);

	job->d = d;
	job->pool = pool;
	job->path = path;
	submit(f, job, true);
}

void
pw_filer_spool_piece(struct pw_filer *f, const struct pw_id *spool, int piece,
    uint64_t len, pw_store_cb cb, void *arg)
{
	struct pw_job *job = job_new(f, PW_JOB_SPOOL, cb, arg);

	job->spool = *spool;
	job->fd = piece;
	job->len = len;
	submit(f, job, true);
}

void
pw_filer_spool_drop(struct pw_filer *f, const struct pw_id *spool)
{
	struct pw_job *job = job_new(f, PW_JOB_SPOOL_DROP, NULL, NULL);

	job->spool = *spool;
	submit(f, job, false);
}

int
pw_filer_spool_open(struct pw_filer *f, const struct pw_id *spool)
{
	return pw_spool_read(f, spool);
}

void
pw_filer_aside(struct pw_filer *f, int fd, struct pw_bytes why)
{
	struct pw_job *job = job_new(f, PW_JOB_ASIDE, NULL, NULL);

	job->fd = fd;
	job->why = pw_xbytesdup(why);
	submit(f, job, true);
}

/* ---- the writer threads --------------------------------------------------- */

static void
work(struct pw_filer *f, struct pw_scratch *s, struct pw_job *job)
{
	switch (job->kind) {
	case PW_JOB_DELIVER:
		if (pw_prepare(f, s, job) < 0) {
			pw_filer_done(f, job);
			return;
		}
		pw_queue_drain_to(&f->commit_queue, PW_FILER_COMMIT_MAX);
		pw_queue_push(&f->commit_queue, job);
		return;
	case PW_JOB_FINISH:
		pw_commit_finish(f, job);
		return;
	case PW_JOB_SPOOL:
	case PW_JOB_SPOOL_DROP:
		pw_spool_work(f, s, job);
		return;
	case PW_JOB_ASIDE:
		pw_aside_write(f, s, job);
		pw_filer_done(f, job);
		return;
	}
}

void *
pw_writer_main(void *filer)
{
	struct pw_filer *f = filer;
	struct pw_scratch s = { 0 };
	bool stopped = false;

	while (!stopped) {
		struct pw_job *job = pw_queue_take(&f->write_queue, 1, 0,
		    &stopped);
		if (job != NULL)
			work(f, &s, job);
	}
	pw_scratch_free(&s);
	return NULL;
}

/* ---- state ---------------------------------------------------------------- */

bool
pw_filer_ready(const struct pw_filer *f, const char **reason,
    enum pw_store_code *code)
{
	const char *why = pw_journal_trouble(f->journal);

	*code = PW_STORE_TEMPFAIL;
	if (atomic_load(&f->no_space)) {
		why = "less than store.min-free is left";
		*code = PW_STORE_NOSPACE;
	} else if (why == NULL && pw_rows_waiting(f) > PW_ROWS_WAITING_MAX) {
		why = "the databases do not take rows";
	}
	*reason = why;
	if (why == NULL)
		*code = PW_STORE_OK;
	return why == NULL;
}

bool
pw_filer_idle(struct pw_filer *f)
{
	return f->waiting == 0 && pw_journal_idle(f->journal) &&
	    pw_rows_waiting(f) == 0;
}

void
pw_filer_status(struct pw_filer *f, struct pw_strbuf *out)
{
	struct pw_journal_stats j;
	const char *why = pw_journal_trouble(f->journal);

	pw_journal_stats(f->journal, &j);
	pw_strbuf_addf(out,
	    "store.waiting %zu\n"
	    "store.delivered %llu\n"
	    "store.failed %llu\n"
	    "store.rewritten %llu\n"
	    "store.no_space %d\n"
	    "journal.state %s\n"
	    "journal.batches %llu\n"
	    "journal.records %llu\n"
	    "journal.bytes %llu\n"
	    "journal.batch_max %llu\n"
	    "journal.checkpoints %llu\n"
	    "journal.segments_free %u\n"
	    "journal.segments_used %u\n"
	    "journal.segments_dead %u\n",
	    f->waiting, (unsigned long long)atomic_load(&f->delivered),
	    (unsigned long long)atomic_load(&f->failed),
	    (unsigned long long)atomic_load(&f->rewritten),
	    atomic_load(&f->no_space), why != NULL ? why : "ok",
	    (unsigned long long)j.batches, (unsigned long long)j.records,
	    (unsigned long long)j.bytes,
	    (unsigned long long)atomic_load(&f->batch_max),
	    (unsigned long long)atomic_load(&f->checkpoints), j.free,
	    j.active + j.closed, j.dead);
}
