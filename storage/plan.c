/* SPDX-License-Identifier: ISC */
/*
 * What becomes of each recipient's copy: its file's name, size and form, or
 * the quarantine, or why the whole delivery must wait; and the journal record
 * that says so.  Writer threads.
 */
#include "storage/filer_private.h"

#include <errno.h>

#include "base/clock.h"
#include "storage/sysio.h"

#define QUARANTINE_PATH PW_LIT("quarantine")
/* A record without its body: decision, meta, prefixes. */
#define RECORD_MAX ((size_t)96 << 20)

static const char *
fate_of(uint8_t action)
{
	switch (action) {
	case PW_ACT_DELIVER:
		return "stored";
	case PW_ACT_JUNK:
		return "junk";
	case PW_ACT_HOLD:
		return "held";
	default:
		return "refused, copy kept";
	}
}

/* LIMIT and GRACE per cent of it, at most the largest number. */
static uint64_t
with_grace(uint64_t limit, unsigned grace)
{
	uint64_t more = limit / 100 * grace + limit % 100 * grace / 100;

	return limit > UINT64_MAX - more ? UINT64_MAX : limit + more;
}

static bool
over_quota(struct pw_filer *f, const struct pw_target *t, uint64_t size)
{
	uint64_t limit = with_grace(t->quota, atomic_load(&f->quota_grace));
	uint64_t used;

	if (t->quota == 0)
		return false;
	used = pw_writer_usage(f->writer, t->mailbox);
	return used > limit || size > limit - used;
}

/* PREFIX in the body's form, and the sizes of the whole file. */
static int
form_file(struct pw_job *job, const struct pw_target *t, struct pw_rfile *r)
{
	struct pw_msgform form = job->form;
	char *p = pw_pool_alloc(job->pool, t->prefix.len + 1);

	if (p == NULL)
		return pw_job_fail(job, PW_STORE_TEMPFAIL,
		    "too many recipients for one delivery");
	r->prefix = pw_bytes(p, pw_msgfile_prefix(p, t->prefix, &form));
	r->size = form.size;
	r->vsize = form.vsize;
	return 0;
}

static void
name_file(struct pw_filer *f, struct pw_job *job, struct pw_file *file)
{
	char host[sizeof(f->host)];
	size_t n;

	(void)pthread_mutex_lock(&f->lock);
	memcpy(host, f->host, sizeof(host));
	(void)pthread_mutex_unlock(&f->lock);
	n = pw_maildir_name(file->name, job->us, host, file->r.size,
	    file->r.vsize);
	file->r.base = pw_bytes(file->name, n);
}

/* One target: a file of its own, or a part in the one quarantine copy. */
static int
plan_target(struct pw_filer *f, struct pw_job *job, size_t i, bool *held)
{
	const struct pw_target *t = &job->d->target[i];
	struct pw_file *file = &job->file[job->nfile];
	bool hold = t->action == PW_ACT_HOLD ||
	    t->action == PW_ACT_REFUSE_KEEP;
	const char *fate = fate_of(t->action);

	if (form_file(job, t, &file->r) < 0)
		return -1;
	if (!hold && over_quota(f, t, file->r.size)) {
		if (!t->hold_over_quota || job->d->ntarget == 1)
			return pw_job_fail(job, PW_STORE_OVERQUOTA,
			    "%.*s is over its quota", (int)t->mailbox.len,
			    t->mailbox.ptr);
		hold = true;
		fate = "held: over quota";
	}
	job->fate[i] = fate;
	job->d->decision->rcpt[t->rcpt].fate = fate;
	file->r.rcpt = (uint32_t)t->rcpt;
	if (hold) {
		if (*held)
			return 0;
		*held = true;
		file->r.place = PW_PLACE_QUARANTINE;
		file->r.path = QUARANTINE_PATH;
	} else {
		if (job->path == NULL || job->path[i] == NULL)
			return pw_job_fail(job, PW_STORE_NOMAILBOX,
			    "%.*s has no mailbox", (int)t->mailbox.len,
			    t->mailbox.ptr);
		file->r.path = pw_bytes_of(job->path[i]);
		file->r.folder = pw_bytes_of(t->folder);
	}
	file->r.mailbox = t->mailbox;
	name_file(f, job, file);
	job->nfile++;
	return 0;
}

static int
plan_files(struct pw_filer *f, struct pw_job *job)
{
	size_t n = job->d->ntarget;
	bool held = false;

	job->file = pw_pool_array(job->pool, n + 1, sizeof(*job->file));
	job->fate = pw_pool_array(job->pool, n + 1, sizeof(*job->fate));
	if (job->file == NULL || job->fate == NULL)
		return pw_job_fail(job, PW_STORE_TEMPFAIL,
		    "too many recipients for one delivery");
	job->nfate = n;
	for (size_t i = 0; i < n; i++)
		job->fate[i] = "";
	for (size_t i = 0; i < n; i++)
		if (plan_target(f, job, i, &held) < 0)
			return -1;
	return 0;
}

/* ---- the record ----------------------------------------------------------- */

/* The bytes that are not filed, from SRC if it is in memory, else from FD. */
static int
keep_cuts(struct pw_job *job, struct pw_bytes src, int fd)
{
	const struct pw_meta *m = job->d->meta;
	uint64_t size = job->d->size;

	if (m == NULL || m->ncut == 0)
		return 0;
	job->cut = pw_pool_array(job->pool, m->ncut, sizeof(*job->cut));
	for (size_t i = 0; job->cut != NULL && i < m->ncut; i++) {
		uint64_t from = m->cut[i].offset;
		uint64_t len = m->cut[i].len;
		char *p;

		if (from >= size)
			break;
		if (len > size - from)
			len = size - from;
		p = pw_pool_alloc(job->pool, len);
		if (p == NULL)
			break;
		if (fd < 0)
			memcpy(p, src.ptr + from, len);
		else if (pw_sys_pread(fd, p, len, (off_t)from) < 0)
			return pw_job_fail_sys(job, PW_STORE_TEMPFAIL,
			    "reading the message");
		job->cut[job->ncut++] = (struct pw_rcut){ from,
			pw_bytes(p, len) };
	}
	return 0;
}

/* All behind the body.  1 when it is too large for the journal. */
static int
end_record(struct pw_filer *f, struct pw_job *job)
{
	struct pw_enc *e = &job->enc;
	struct pw_rfile *r = pw_pool_array(job->pool, job->nfile + 1,
	    sizeof(*r));

	for (size_t i = 0; r != NULL && i < job->nfile; i++)
		r[i] = job->file[i].r;
	if (r != NULL) {
		pw_record_files(e, job->d->decision->id.s, r, job->nfile);
		job->decision_at = pw_record_open(e);
		pw_decision_enc(e, job->d->decision);
		pw_record_shut(e, job->decision_at);
		job->meta_at = pw_record_open(e);
		if (job->d->meta != NULL)
			pw_meta_enc(e, job->d->meta);
		pw_record_shut(e, job->meta_at);
		pw_record_cuts(e, job->cut, job->ncut);
	}
	if (r == NULL || !pw_record_end(e) ||
	    e->sb.len - PW_JOURNAL_HEAD > pw_journal_max(f->journal))
		return 1;
	job->rec.buf = e->sb.ptr;
	job->rec.len = (uint32_t)(e->sb.len - PW_JOURNAL_HEAD);
	job->rec.crc = pw_journal_crc(e->sb.ptr + PW_JOURNAL_HEAD,
	    job->rec.len);
	return 0;
}

static const struct pw_cut *
cuts(const struct pw_job *job, size_t *n)
{
	const struct pw_meta *m = job->d->meta;

	*n = m != NULL ? m->ncut : 0;
	return m != NULL ? m->cut : NULL;
}

int
pw_plan_small(struct pw_filer *f, struct pw_scratch *s, struct pw_job *job,
    int fd)
{
	/* Decision, meta and prefixes are seldom more than this together. */
	const size_t rest = 6u << 10;
	size_t size = (size_t)job->d->size, ncut;
	const struct pw_cut *cut = cuts(job, &ncut);
	struct pw_bytes src;
	char *body;

	pw_scratch_need(s, size);
	/* Reading a memfd is cheaper than mapping it up to megabytes. */
	if (fd >= 0 && pw_sys_pread(fd, s->buf, size, 0) < 0)
		return pw_job_fail_sys(job, PW_STORE_TEMPFAIL,
		    "reading the message");
	src = pw_bytes(s->buf, fd >= 0 ? size : 0);
	pw_enc_init(&job->enc, RECORD_MAX + size);
	(void)pw_strbuf_reserve(&job->enc.sb,
	    PW_RECORD_BODY_AT + src.len + job->d->ntarget * 512 + rest);
	pw_record_begin(&job->enc, PW_RECORD_MAIL, job->us);
	body = pw_strbuf_reserve(&job->enc.sb, src.len);
	pw_msgfile_body(body, src, cut, ncut, &job->form);
	pw_record_body(&job->enc, (size_t)job->form.size,
	    job->form.lf ? PW_RECORD_LF : 0);
	if (keep_cuts(job, src, -1) < 0 || plan_files(f, job) < 0)
		return -1;
	return end_record(f, job);
}

/* After a small plan whose record did not fit, too. */
int
pw_plan_large(struct pw_filer *f, struct pw_scratch *s, struct pw_job *job,
    int fd)
{
	size_t ncut;
	const struct pw_cut *cut = cuts(job, &ncut);

	if (pw_msgfile_scan(fd, job->d->size, cut, ncut, s->buf, s->n,
		&job->form) < 0)
		return pw_job_fail_sys(job, PW_STORE_TEMPFAIL,
		    "reading the message");
	pw_enc_free(&job->enc);
	pw_enc_init(&job->enc, RECORD_MAX);
	job->nfile = job->ncut = 0;
	pw_record_begin(&job->enc, PW_RECORD_MAIL, job->us);
	pw_record_body(&job->enc, 0,
	    PW_RECORD_BODYLESS | (job->form.lf ? PW_RECORD_LF : 0));
	if (keep_cuts(job, PW_BYTES_NONE, fd) < 0 || plan_files(f, job) < 0)
		return -1;
	return end_record(f, job) == 0 ? 0 :
	    pw_job_fail(job, PW_STORE_TEMPFAIL,
		"record too large for the journal");
}
