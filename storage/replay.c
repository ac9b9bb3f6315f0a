/* SPDX-License-Identifier: ISC */
/*
 * What a start does with every record that still counts, by the table in
 * filer.h.  A record that cannot be filed now (disk full, no descriptors) is
 * tried again by the checkpoint thread; its segment stays meanwhile.
 */
#include "storage/filer_private.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "storage/strmap.h"
#include "storage/sysio.h"

struct rrec {
	struct pw_segment *seg;
	uint64_t seq, at;
	enum pw_jstate state;
	bool unknown, cancelled, done;
};

struct pw_replay {
	struct rrec *rec;
	size_t n, cap, left;
	uint64_t *cancel;
	size_t ncancel;
	struct pw_pool *pool; /* of one record at a time */
	struct pw_locate *locate;
	struct pw_strmap folders; /* to be cleaned: place, path, folder */
	bool first;
	unsigned filed, renamed, whole, replaced, voided, holes;
};

/* ---- reading -------------------------------------------------------------- */

static int
by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
note_cancels(struct pw_replay *r, const struct pw_record *rec)
{
	if (rec->ncancel == 0)
		return;
	r->cancel = pw_xrealloc(r->cancel, r->ncancel + rec->ncancel,
	    sizeof(r->cancel[0]));
	memcpy(r->cancel + r->ncancel, rec->cancel,
	    rec->ncancel * sizeof(rec->cancel[0]));
	r->ncancel += rec->ncancel;
}

static void
note_folders(struct pw_replay *r, const struct pw_record *rec)
{
	char key[2304];

	for (size_t i = 0; i < rec->nfile; i++) {
		const struct pw_rfile *f = &rec->file[i];
		size_t n = 2 + f->path.len + f->folder.len;
		PW_ASSERT(n <= sizeof(key));
		key[0] = (char)f->place;
		memcpy(key + 1, f->path.ptr, f->path.len);
		key[f->path.len + 1] = '\0';
		if (f->folder.len > 0)
			memcpy(key + f->path.len + 2, f->folder.ptr,
			    f->folder.len);
		(void)pw_strmap_put(&r->folders, pw_bytes(key, n), NULL);
	}
}

static int
on_record(void *arg, const struct pw_jread *in)
{
	struct pw_replay *r = arg;
	struct pw_record rec;

	pw_pool_reset(r->pool);
	if (pw_record_dec(in->payload, r->pool, &rec) < 0) {
		r->holes++;
		return 0;
	}
	if (rec.kind == PW_RECORD_CANCEL) {
		note_cancels(r, &rec);
		return 0;
	}
	note_folders(r, &rec);
	if (r->n == r->cap) {
		r->cap = r->cap > 0 ? 2 * r->cap : 1024;
		r->rec = pw_xrealloc(r->rec, r->cap, sizeof(r->rec[0]));
	}
	r->rec[r->n++] = (struct rrec){ .seg = in->seg, .seq = in->seq,
		.at = in->at, .state = in->state, .unknown = in->unknown,
		.cancelled = in->state == PW_JS_CANCELLED };
	return 0;
}

static bool
is_cancelled(const struct pw_replay *r, uint64_t seq)
{
	return r->ncancel > 0 &&
	    bsearch(&seq, r->cancel, r->ncancel, sizeof(r->cancel[0]),
		by_number) != NULL;
}

int
pw_replay_open(struct pw_filer *f, struct pw_replay **out, struct pw_err *err)
{
	struct pw_replay *r = pw_xcalloc(1, sizeof(*r));
	struct pw_segment *const *seg;
	size_t n;

	*out = r;
	r->first = true;
	r->pool = pw_pool_new((size_t)1 << 30);
	pw_strmap_init(&r->folders);
	seg = pw_journal_live(f->journal, &n);
	for (size_t i = 0; i < n; i++)
		if (pw_journal_scan(f->journal, seg[i], on_record, r,
			&r->holes, err) < 0)
			return -1;
	/* Only now: what was read above rests on the former state files. */
	for (size_t i = 0; i < n; i++)
		if (pw_journal_adopt(f->journal, seg[i]) < 0)
			return pw_err_sys(err, "journal: state files");
	if (r->ncancel > 0)
		qsort(r->cancel, r->ncancel, sizeof(r->cancel[0]), by_number);
	for (size_t i = 0; i < r->n; i++) {
		r->rec[i].cancelled |= is_cancelled(r, r->rec[i].seq);
		pw_journal_unsettle(f->journal, r->rec[i].seg);
	}
	r->left = r->n;
	return 0;
}

void
pw_replay_free(struct pw_replay **r)
{
	if (*r == NULL)
		return;
	pw_locate_free(&(*r)->locate);
	pw_strmap_clear(&(*r)->folders);
	pw_pool_free(&(*r)->pool);
	free((*r)->rec);
	free((*r)->cancel);
	free(*r);
	*r = NULL;
}

/* ---- one record ----------------------------------------------------------- */

/* Staged: what is still in tmp/ is renamed, what is not was filed. */
static int
file_staged(struct pw_filer *f, struct pw_replay *r,
    const struct pw_record *rec, struct pw_file *file)
{
	if (pw_file_look(f, file) < 0)
		return -1;
	if (!file->in_tmp)
		return 0;
	bool torn = !file->whole && (rec->flags & PW_RECORD_BODYLESS) == 0;
	file->folder = pw_folders_get(f->folders, file->r.place,
	    file->r.path, file->r.folder);
	if (file->folder == NULL ||
	    (torn && pw_file_write(f, file, rec->body, true, false) < 0))
		return -1;
	r->renamed++;
	return pw_file_rename(f, file);
}

/* What is in tmp/ of a file that lies elsewhere is of no use. */
static int
drop_tmp(struct pw_filer *f, struct pw_file *file)
{
	if (pw_file_look(f, file) < 0)
		return -1;
	if (!file->in_tmp)
		return 0;
	file->folder = pw_folders_get(f->folders, file->r.place,
	    file->r.path, file->r.folder);
	if (file->folder == NULL ||
	    pw_sys->unlinkat(file->folder->dir.tmp, file->name, 0) < 0)
		return -1;
	file->in_tmp = false;
	return 0;
}

/* It may lie in any folder, whole or not.  1: it was filed once. */
static int
look_round(struct pw_filer *f, struct pw_replay *r,
    const struct pw_record *rec, struct pw_file *file)
{
	const struct pw_found *at = pw_locate_get(r->locate, &file->r);

	if (at == NULL)
		return 0;
	for (; at != NULL; at = at->next)
		switch (pw_repair(f, rec, &file->r, at, false, false)) {
		case PW_REPAIR_REPLACED:
			r->replaced++;
			break;
		case PW_REPAIR_FAILED:
			return -1;
		default:
			r->whole++;
			break;
		}
	return drop_tmp(f, file) < 0 ? -1 : 1;
}

/* Not staged as far as is known: complete in tmp/, unless it was filed. */
static int
stage_again(struct pw_filer *f, struct pw_replay *r,
    const struct rrec *rr, const struct pw_record *rec, struct pw_file *file)
{
	int found = rr->unknown ? look_round(f, r, rec, file) : 0;

	if (found != 0)
		return found < 0 ? -1 : 0;
	if (rec->flags & PW_RECORD_BODYLESS) {
		/* Complete in tmp/ before its record; if it is not there it
		 * was filed and deleted, or never answered. */
		if (pw_file_look(f, file) < 0)
			return -1;
		file->in_tmp &= file->whole;
		if (!file->in_tmp)
			return 0;
		file->folder = pw_folders_get(f->folders, file->r.place,
		    file->r.path, file->r.folder);
		return file->folder != NULL ? 0 : -1;
	}
	r->filed++;
	return pw_file_write(f, file, rec->body, true, false);
}

static int
file_again(struct pw_filer *f, struct pw_replay *r, struct rrec *rr,
    const struct pw_record *rec, struct pw_file *file)
{
	for (size_t i = 0; i < rec->nfile; i++)
		if (stage_again(f, r, rr, rec, &file[i]) < 0)
			return -1;
	if (pw_journal_mark_read(rr->seg, rr->seq, PW_JS_STAGED) < 0)
		return -1;
	/* If it must be tried again, then from here. */
	rr->state = PW_JS_STAGED;
	for (size_t i = 0; i < rec->nfile; i++)
		if (file[i].in_tmp && pw_file_rename(f, &file[i]) < 0)
			return -1;
	return 0;
}

/* Its files away, wherever they were to be. */
static int
remove_void(struct pw_filer *f, struct pw_file *file, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (pw_file_look(f, &file[i]) < 0)
			return -1;
		if (!file[i].in_tmp && !file[i].in_new)
			continue;
		file[i].folder = pw_folders_get(f->folders, file[i].r.place,
		    file[i].r.path, file[i].r.folder);
		if (file[i].folder == NULL)
			return -1;
	}
	pw_files_remove(file, n);
	return 0;
}

/* Those files that are in new/ are in the index at once; others the follower
 * finds. */
static void
settle(struct pw_filer *f, struct pw_replay *r, const struct rrec *rr,
    const struct pw_record *rec, struct pw_file *file)
{
	uint64_t ticket = 0;
	size_t n = 0;

	if (!rr->cancelled) {
		for (size_t i = 0; i < rec->nfile; i++)
			if (file[i].in_new)
				file[n++] = file[i];
		ticket = pw_rows(f, r->pool, rec, file, n);
	}
	pw_journal_settle(f->journal, rr->seg, ticket,
	    !rr->cancelled && ticket == 0);
}

static int
file_record(struct pw_filer *f, struct pw_replay *r, struct rrec *rr,
    const struct pw_record *rec)
{
	struct pw_file *file = pw_pool_array(r->pool, rec->nfile + 1,
	    sizeof(*file));
	int rc = 0;

	if (file == NULL) {
		errno = ENOMEM;
		return -1;
	}
	for (size_t i = 0; i < rec->nfile; i++)
		pw_file_of(&file[i], &rec->file[i]);
	if (rr->cancelled) {
		rc = remove_void(f, file, rec->nfile);
		r->voided += rc == 0;
	} else if (rr->state == PW_JS_STAGED) {
		for (size_t i = 0; rc == 0 && i < rec->nfile; i++)
			rc = file_staged(f, r, rec, &file[i]);
	} else {
		rc = file_again(f, r, rr, rec, file);
	}
	int saved = errno;
	pw_files_release(f, file, rec->nfile);
	errno = saved;
	if (rc == 0)
		settle(f, r, rr, rec, file);
	return rc;
}

/* Reads the record of RR again and calls FN; the payload lives meanwhile. */
static int
with_record(struct pw_filer *f, struct pw_replay *r, struct rrec *rr,
    int (*fn)(struct pw_filer *, struct pw_replay *, struct rrec *,
	const struct pw_record *))
{
	struct pw_bytes payload = pw_journal_read(rr->seg, rr->at);
	struct pw_record rec;
	int rc = 0;

	pw_pool_reset(r->pool);
	if (payload.ptr == NULL ||
	    pw_record_dec(payload, r->pool, &rec) < 0) {
		/* It could be read a moment ago: the disk is dying. */
		pw_logf(PW_LOG_ERROR, "store.replay",
		    "a record of the journal cannot be read any more");
		r->holes++;
		rr->done = true;
		pw_journal_settle(f->journal, rr->seg, 0, false);
	} else {
		rc = fn(f, r, rr, &rec);
	}
	int saved = errno;
	free((void *)(uintptr_t)payload.ptr);
	errno = saved;
	return rc;
}

/* ---- all ------------------------------------------------------------------ */

static int
want_files(struct pw_filer *f, struct pw_replay *r, struct rrec *rr,
    const struct pw_record *rec)
{
	(void)f;
	(void)rr;
	for (size_t i = 0; i < rec->nfile; i++)
		pw_locate_want(r->locate, &rec->file[i]);
	return 0;
}

static bool
must_look(const struct rrec *rr)
{
	return !rr->done && rr->unknown && !rr->cancelled &&
	    rr->state == PW_JS_NONE;
}

static int
look_for_all(struct pw_filer *f, struct pw_replay *r)
{
	r->locate = pw_locate_new();
	for (size_t i = 0; i < r->n; i++)
		if (must_look(&r->rec[i]))
			(void)with_record(f, r, &r->rec[i], want_files);
	return pw_locate_run(r->locate, f->root);
}

/* Before any thread writes, whatever is in these tmp/ was left by a process
 * that is no more. */
static void
clean_folders(struct pw_filer *f, struct pw_replay *r)
{
	struct pw_strmap_val *v;
	struct pw_bytes key;

	for (size_t at = 0; pw_strmap_next(&r->folders, &at, &key, &v);) {
		struct pw_bytes rest = pw_bytes_sub(key, 1, SIZE_MAX);
		size_t n = (size_t)pw_bytes_chr(rest, '\0');
		struct pw_maildir m;

		if (pw_maildir_open(f->root[(int)key.ptr[0]],
			pw_bytes_sub(rest, 0, n),
			pw_bytes_sub(rest, n + 1, SIZE_MAX), false, false,
			&m) < 0)
			continue;
		(void)pw_maildir_clean(&m, f->host, NULL, NULL);
		pw_maildir_close(&m);
	}
	pw_strmap_clear(&r->folders);
}

static void
report(const struct pw_replay *r)
{
	if (r->n == 0 && r->holes == 0)
		return;
	pw_logf(r->left > 0 || r->holes > 0 ? PW_LOG_WARN : PW_LOG_NOTICE,
	    "store.replay",
	    "%zu records: %u files written, %u renamed, %u found whole, "
	    "%u replaced, %u records void, %u damaged, %zu records left",
	    r->n, r->filed, r->renamed, r->whole, r->replaced, r->voided,
	    r->holes, r->left);
}

size_t
pw_replay_run(struct pw_filer *f, struct pw_replay *r)
{
	size_t before = r->left;
	bool looked = look_for_all(f, r) == 0;
	int why = errno;

	for (size_t i = 0; i < r->n; i++) {
		struct rrec *rr = &r->rec[i];
		if (rr->done || (!looked && must_look(rr)))
			continue;
		if (with_record(f, r, rr, file_record) == 0)
			rr->done = true;
		else
			why = errno;
	}
	r->left = 0;
	for (size_t i = 0; i < r->n; i++)
		r->left += !r->rec[i].done;
	if (r->left > 0)
		pw_logf(PW_LOG_ERROR, "store.replay",
		    "%zu records of the journal wait: %s", r->left,
		    strerror(why));
	pw_locate_free(&r->locate);
	if (r->first && r->left == 0)
		clean_folders(f, r);
	if (r->first || (before > 0 && r->left == 0))
		report(r);
	r->first = false;
	return r->left;
}
