/* SPDX-License-Identifier: ISC */
/*
 * The writer threads' part of a delivery: the record, and its files complete
 * in tmp/.  They are made before the record goes to the journal, so that
 * nothing of them can fail any more once it is durable, but for the rename.
 */
#include "storage/filer_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "storage/sysio.h"

#define SCRATCH_MIN ((size_t)256 << 10)

void
pw_scratch_need(struct pw_scratch *s, size_t n)
{
	if (n < SCRATCH_MIN)
		n = SCRATCH_MIN;
	if (s->n >= n)
		return;
	s->buf = pw_xrealloc(s->buf, n, 1);
	s->half = pw_xrealloc(s->half, SCRATCH_MIN, 1);
	s->n = n;
}

void
pw_scratch_free(struct pw_scratch *s)
{
	free(s->buf);
	free(s->half);
	*s = (struct pw_scratch){ 0 };
}

/* A folder that is not usable is the mailbox's fault, unless we are short of
 * something. */
static int
fail_folder(struct pw_job *job, const struct pw_file *file)
{
	enum pw_store_code code = PW_STORE_TEMPFAIL;

	switch (errno) {
	case EACCES:
	case EPERM:
	case ENOENT:
	case ENOTDIR:
	case ELOOP:
	case EINVAL:
	case ENAMETOOLONG:
		code = PW_STORE_NOMAILBOX;
		break;
	default:
		break;
	}
	char what[96];
	(void)snprintf(what, sizeof(what), "mailbox %.*s",
	    file->r.path.len < 80 ? (int)file->r.path.len : 80,
	    file->r.path.ptr);
	return pw_job_fail_sys(job, code, what);
}

static int
write_small(struct pw_filer *f, struct pw_job *job, struct pw_file *file)
{
	struct pw_bytes body = pw_bytes(
	    job->enc.sb.ptr + PW_RECORD_BODY_AT, (size_t)job->form.size);

	if (pw_file_write(f, file, body, false, false) == 0)
		return 0;
	return file->in_tmp ?
	    pw_job_fail_sys(job, PW_STORE_TEMPFAIL, "writing a mail file") :
	    fail_folder(job, file);
}

static int
write_large(struct pw_filer *f, struct pw_scratch *s, struct pw_job *job,
    struct pw_file *file, int fd)
{
	const struct pw_meta *m = job->d->meta;
	struct iovec iov = { (void *)(uintptr_t)file->r.prefix.ptr,
		file->r.prefix.len };
	size_t n = s->n < SCRATCH_MIN ? s->n : SCRATCH_MIN;
	int out = pw_file_open_tmp(f, file);

	if (out < 0)
		return fail_folder(job, file);
	if (pw_sys_writev(out, &iov, 1) == 0 &&
	    pw_msgfile_copy(out, fd, job->d->size, m != NULL ? m->cut : NULL,
		m != NULL ? m->ncut : 0, job->form.lf, s->buf, s->half,
		n) == 0 &&
	    pw_file_close(file, &out, true) == 0)
		return 0;
	pw_sys_close(&out);
	return pw_job_fail_sys(job, PW_STORE_TEMPFAIL, "writing a mail file");
}

static int
prepare(struct pw_filer *f, struct pw_scratch *s, struct pw_job *job, int fd)
{
	int r = job->large ? 1 : pw_plan_small(f, s, job, fd);

	if (r > 0) {
		job->large = true;
		r = pw_plan_large(f, s, job, fd);
	}
	for (size_t i = 0; r == 0 && i < job->nfile; i++)
		r = job->large ?
		    write_large(f, s, job, &job->file[i], fd) :
		    write_small(f, job, &job->file[i]);
	if (r < 0) {
		pw_files_remove(job->file, job->nfile);
		pw_files_release(f, job->file, job->nfile);
		pw_enc_free(&job->enc);
	}
	return r;
}

int
pw_prepare(struct pw_filer *f, struct pw_scratch *s, struct pw_job *job)
{
	struct pw_delivery *d = job->d;
	int fd = d->fd, r;

	/* The client was told to come again: it must not get it twice. */
	if (d->deadline_ms != 0 && pw_clock_mono_ms() >= d->deadline_ms) {
		pw_logf(PW_LOG_WARN, "store.cancel",
		    "%s: nobody waits for it any more", d->decision->id.s);
		return pw_job_fail(job, PW_STORE_TEMPFAIL, "too late");
	}
	if (pw_rows_waiting(f) > PW_ROWS_WAITING_MAX)
		return pw_job_fail(job, PW_STORE_TEMPFAIL,
		    "the databases do not take rows");
	if (fd < 0 && d->spool.s[0] != '\0')
		fd = pw_spool_read(f, &d->spool);
	if (fd < 0 && (d->ntarget > 0 || d->spool.s[0] != '\0'))
		return pw_job_fail(job, PW_STORE_TEMPFAIL, "no message");
	pw_scratch_need(s, 0);
	job->us = pw_clock_real_us();
	job->large = d->ntarget > 0 &&
	    d->size > atomic_load(&f->journal_message);
	if (d->ntarget == 0)
		d->size = 0;
	r = prepare(f, s, job, d->ntarget > 0 ? fd : -1);
	/* All is read: here its memory is given back, not on the loop. */
	if (fd != d->fd)
		pw_sys_close(&fd);
	pw_sys_close(&d->fd);
	return r;
}
