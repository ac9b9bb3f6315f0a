/* SPDX-License-Identifier: ISC */
/*
 * The commit thread: gathers what came while the last commit ran, so that it
 * never waits for company; one write and one sync for all; staged; renamed;
 * answered.
 *
 * When something fails after a record is durable, the record is void: its
 * word of state says so at once, a cancelling record says so to a start after
 * a power cut, its files are taken back, and only then 4xx is answered.  What
 * cannot be undone: a copy that a reader has moved out of new/ meanwhile, or
 * a record whose cancellation the disk refuses too.  Then the message may
 * appear although its sender was told to send it again: twice, never lost.
 */
#include "storage/filer_private.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "storage/sysio.h"

#define FULL_WAIT_MS 10000u
#define HEAL_MS 1000u

/* ---- void records --------------------------------------------------------- */

/* JOB's record is durable, or may be, but must not count. */
static void
make_void(struct pw_filer *f, struct pw_job *job)
{
	if (f->nvoid == f->void_cap) {
		f->void_cap = f->void_cap > 0 ? 2 * f->void_cap : 64;
		f->void_seq = pw_xrealloc(f->void_seq, f->void_cap,
		    sizeof(f->void_seq[0]));
	}
	f->void_seq[f->nvoid++] = job->rec.seq;
	pw_files_remove(job->file, job->nfile);
	*f->void_tail = job;
	f->void_tail = &job->next;
	job->next = NULL;
}

/* Answers the jobs of void records; OK: that they are void is durable. */
static void
answer_void(struct pw_filer *f, bool ok)
{
	struct pw_job *list = f->void_jobs;

	for (struct pw_job *job = list; job != NULL; job = job->next) {
		pw_files_release(f, job->file, job->nfile);
		if (job->unsettled)
			pw_journal_settle(f->journal, job->rec.seg, 0, false);
	}
	f->void_jobs = NULL;
	f->void_tail = &f->void_jobs;
	if (ok)
		f->nvoid = 0;
	else if (f->nvoid > PW_FILER_WAITING_MAX) {
		pw_logf(PW_LOG_ERROR, "store.cancel",
		    "%zu records could not be cancelled", f->nvoid);
		f->nvoid = 0;
	}
	pw_filer_done(f, list);
}

/* Writes one record that cancels all void ones.  True when mail may be taken
 * (again). */
static bool
cancel(struct pw_filer *f)
{
	struct pw_jrec rec = { 0 }, *one = &rec;
	struct pw_enc e;
	struct pw_err err;
	size_t n = 1;
	enum pw_jresult r;

	pw_enc_init(&e, 1u << 20);
	pw_record_begin(&e, PW_RECORD_CANCEL, pw_clock_real_us());
	pw_record_body(&e, 0, 0);
	pw_record_cancel(&e, f->void_seq, f->nvoid);
	PW_ASSERT(pw_record_end(&e));
	rec.buf = e.sb.ptr;
	rec.len = (uint32_t)(e.sb.len - PW_JOURNAL_HEAD);
	rec.crc = pw_journal_crc(e.sb.ptr + PW_JOURNAL_HEAD, rec.len);
	r = pw_journal_append(f->journal, &one, &n, &err);
	if (r == PW_J_OK)
		pw_journal_settle(f->journal, rec.seg, 0, false);
	else
		pw_logf(PW_LOG_ERROR, "store.journal", "%s", err.text);
	pw_enc_free(&e);
	answer_void(f, r == PW_J_OK);
	return r == PW_J_OK;
}

/* ---- one batch ------------------------------------------------------------ */

static void
fail_list(struct pw_filer *f, struct pw_job **job, size_t n, const char *why)
{
	struct pw_job *list = NULL, **tail = &list;

	for (size_t i = 0; i < n; i++) {
		(void)pw_job_fail(job[i], PW_STORE_TEMPFAIL, "%s", why);
		pw_files_remove(job[i]->file, job[i]->nfile);
		pw_files_release(f, job[i]->file, job[i]->nfile);
		job[i]->next = NULL;
		*tail = job[i];
		tail = &job[i]->next;
	}
	pw_filer_done(f, list);
}

/* Marks N jobs of one append as cancelled; the words matter only until the
 * cancelling record is durable. */
static void
void_batch(struct pw_filer *f, struct pw_job **job, struct pw_jrec **rec,
    size_t n, const char *why)
{
	if (pw_journal_mark(rec, n, PW_JS_CANCELLED) < 0)
		pw_logf(PW_LOG_ERROR, "store.cancel", "%s", why);
	for (size_t i = 0; i < n; i++) {
		(void)pw_job_fail(job[i], PW_STORE_TEMPFAIL, "%s", why);
		make_void(f, job[i]);
	}
}

static struct pw_bytes
marked(const struct pw_job *job, size_t mark)
{
	struct pw_dec d;

	pw_dec_init(&d, pw_bytes(job->enc.sb.ptr + mark,
			    job->enc.sb.len - mark));
	return pw_dec_bytes(&d);
}

/* Filed for good: rows, and the record is settled. */
static void
give_rows(struct pw_filer *f, struct pw_job *job)
{
	const struct pw_record r = {
		.kind = PW_RECORD_MAIL,
		.us = job->us,
		.decision = marked(job, job->decision_at),
		.meta = marked(job, job->meta_at),
		.id = pw_bytes_of(job->d->decision->id.s),
		.nfile = job->nfile,
		.ncut = job->ncut,
		.cut = job->cut,
	};
	uint64_t ticket = pw_rows(f, job->pool, &r, job->file, job->nfile);

	pw_journal_settle(f->journal, job->rec.seg, ticket, ticket == 0);
	pw_files_release(f, job->file, job->nfile);
	pw_enc_free(&job->enc);
}

/* The files of one staged record into new/. */
static int
rename_files(struct pw_filer *f, struct pw_job *job)
{
	for (size_t i = 0; i < job->nfile; i++)
		if (pw_file_rename(f, &job->file[i]) < 0)
			return pw_job_fail_sys(job, PW_STORE_TEMPFAIL,
			    "renaming into new/");
	return 0;
}

static void
file_batch(struct pw_filer *f, struct pw_job **job, struct pw_jrec **rec,
    size_t n)
{
	struct pw_job *list = NULL, **tail = &list;

	for (size_t i = 0; i < n; i++)
		job[i]->unsettled = true;
	if (pw_journal_mark(rec, n, PW_JS_STAGED) < 0) {
		void_batch(f, job, rec, n, "journal: marking failed");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (rename_files(f, job[i]) < 0) {
			void_batch(f, &job[i], &rec[i], 1, "rename failed");
			continue;
		}
		if (job[i]->large) {
			/* A writer thread syncs its folders. */
			job[i]->kind = PW_JOB_FINISH;
			pw_queue_push(&f->write_queue, job[i]);
			continue;
		}
		give_rows(f, job[i]);
		job[i]->next = NULL;
		*tail = job[i];
		tail = &job[i]->next;
	}
	pw_filer_done(f, list);
}

/* Appends N jobs, in as many pieces as the segments' ends ask for. */
static void
commit(struct pw_filer *f, struct pw_job **job, size_t n)
{
	struct pw_jrec *rec[PW_JOURNAL_BATCH];
	struct pw_err err;

	for (size_t i = 0; i < n; i++)
		rec[i] = &job[i]->rec;
	for (size_t at = 0, k; at < n; at += k) {
		k = n - at;
		switch (pw_journal_append(f->journal, rec + at, &k, &err)) {
		case PW_J_OK:
			f->full_since_ms = 0;
			if (rec[at]->seg != f->last_seg)
				/* One was closed. */
				pw_checkpoint_now(f);
			f->last_seg = rec[at]->seg;
			if (k > atomic_load(&f->batch_max))
				atomic_store(&f->batch_max, k);
			file_batch(f, job + at, rec + at, k);
			break;
		case PW_J_FULL:
			k = 0;
			if (f->full_since_ms == 0)
				f->full_since_ms = pw_clock_mono_ms();
			if (pw_clock_mono_ms() - f->full_since_ms >
			    FULL_WAIT_MS) {
				fail_list(f, job + at, n - at, err.text);
				return;
			}
			pw_checkpoint_now(f);
			pw_journal_wait_free(f->journal, HEAL_MS);
			break;
		case PW_J_FAILED:
			pw_logf(PW_LOG_ERROR, "store.journal", "%s", err.text);
			if (k > 0)
				void_batch(f, job + at, rec + at, k, err.text);
			fail_list(f, job + at + k, n - at - k, err.text);
			return;
		}
	}
}

/* Jobs that come back from a writer thread: renamed, but their folders could
 * not be synced. */
static size_t
take_cancelled(struct pw_filer *f, struct pw_job **job, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		struct pw_jrec *rec = &job[i]->rec;
		if (job[i]->kind == PW_JOB_FINISH)
			void_batch(f, &job[i], &rec, 1, job[i]->reason);
		else
			job[k++] = job[i];
	}
	return k;
}

void *
pw_commit_main(void *filer)
{
	struct pw_filer *f = filer;
	struct pw_job *job[PW_JOURNAL_BATCH];
	bool stopped = false;

	while (!stopped) {
		bool trouble = pw_journal_trouble(f->journal) != NULL;
		struct pw_job *list = pw_queue_take(&f->commit_queue,
		    PW_JOURNAL_BATCH, trouble ? HEAL_MS : 0, &stopped);
		size_t n = 0;

		for (; list != NULL; list = list->next)
			job[n++] = list;
		n = take_cancelled(f, job, n);
		if (n > 0)
			commit(f, job, n);
		else
			pw_journal_heal(f->journal);
		if (f->nvoid > 0)
			(void)cancel(f);
	}
	return NULL;
}

/* A writer thread, for a large message: its folders are synced last. */
void
pw_commit_finish(struct pw_filer *f, struct pw_job *job)
{
	for (size_t i = 0; i < job->nfile; i++) {
		const struct pw_rfile *r = &job->file[i].r;
		if (pw_maildir_sync(f->root[r->place], r->path, r->folder) <
		    0) {
			(void)pw_job_fail_sys(job, PW_STORE_TEMPFAIL,
			    "syncing a mail folder");
			pw_queue_push(&f->commit_queue, job);
			return;
		}
	}
	give_rows(f, job);
	job->next = NULL;
	pw_filer_done(f, job);
}
