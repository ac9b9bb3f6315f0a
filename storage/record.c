/* SPDX-License-Identifier: ISC */
/*
 * The payload of journal records, written and read.  What is read was covered
 * by a checksum, but names of files are checked again before they are used.
 * Writer threads, replay, checkpoint.
 */
#include "storage/record.h"

#define RECORD_VERSION 1
#define FLAGS_AT (PW_JOURNAL_HEAD + 2)
#define BODY_LEN_AT (PW_JOURNAL_HEAD + 4)
#define FILES_MAX 50001u
#define CANCELS_MAX 65536u

/* ---- writing -------------------------------------------------------------- */

void
pw_record_begin(struct pw_enc *e, enum pw_record_kind kind, int64_t us)
{
	char *head = pw_strbuf_reserve(&e->sb, PW_JOURNAL_HEAD);

	if (head != NULL) {
		memset(head, 0, PW_JOURNAL_HEAD);
		e->sb.len += PW_JOURNAL_HEAD;
	}
	pw_enc_u8(e, RECORD_VERSION);
	pw_enc_u8(e, (uint8_t)kind);
	pw_enc_u16(e, 0);
	pw_enc_u32(e, 0);
	pw_enc_i64(e, us);
}

void
pw_record_body(struct pw_enc *e, size_t len, uint8_t flags)
{
	if (e->sb.overflow)
		return;
	e->sb.len += len;
	e->sb.ptr[FLAGS_AT] = (char)flags;
	pw_enc_patch(e, BODY_LEN_AT, (uint32_t)len);
}

void
pw_record_files(struct pw_enc *e, const char *id, const struct pw_rfile *file,
    size_t n)
{
	pw_enc_str(e, id);
	pw_enc_u32(e, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		const struct pw_rfile *f = &file[i];
		pw_enc_u8(e, (uint8_t)f->place);
		pw_enc_bytes(e, f->mailbox);
		pw_enc_bytes(e, f->folder);
		pw_enc_bytes(e, f->path);
		pw_enc_bytes(e, f->base);
		pw_enc_bytes(e, f->prefix);
		pw_enc_u64(e, f->size);
		pw_enc_u64(e, f->vsize);
		pw_enc_u32(e, f->rcpt);
	}
}

size_t
pw_record_open(struct pw_enc *e)
{
	return pw_enc_mark(e);
}

void
pw_record_shut(struct pw_enc *e, size_t mark)
{
	pw_enc_patch(e, mark, (uint32_t)(e->sb.len - mark - 4));
}

void
pw_record_cuts(struct pw_enc *e, const struct pw_rcut *cut, size_t n)
{
	pw_enc_u32(e, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		pw_enc_u64(e, cut[i].offset);
		pw_enc_bytes(e, cut[i].bytes);
	}
}

void
pw_record_cancel(struct pw_enc *e, const uint64_t *seq, size_t n)
{
	pw_enc_u32(e, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		pw_enc_u64(e, seq[i]);
}

bool
pw_record_end(struct pw_enc *e)
{
	while (!e->sb.overflow && e->sb.len % 8 != 0)
		pw_enc_u8(e, 0);
	return !e->sb.overflow;
}

/* ---- reading -------------------------------------------------------------- */

static bool
file_ok(const struct pw_rfile *f)
{
	return f->place <= PW_PLACE_QUARANTINE &&
	    pw_maildir_path_ok(f->path) && pw_maildir_folder_ok(f->folder) &&
	    pw_maildir_base_ok(f->base);
}

static void
dec_mail(struct pw_dec *d, struct pw_pool *pool, struct pw_record *o)
{
	o->id = pw_dec_bytes(d);
	o->nfile = pw_dec_count(d, FILES_MAX, 41);
	o->file = pw_pool_array(pool, o->nfile + 1, sizeof(*o->file));
	for (size_t i = 0; i < o->nfile && o->file != NULL; i++) {
		struct pw_rfile *f = &o->file[i];
		f->place = pw_dec_u8(d);
		f->mailbox = pw_dec_bytes(d);
		f->folder = pw_dec_bytes(d);
		f->path = pw_dec_bytes(d);
		f->base = pw_dec_bytes(d);
		f->prefix = pw_dec_bytes(d);
		f->size = pw_dec_u64(d);
		f->vsize = pw_dec_u64(d);
		f->rcpt = pw_dec_u32(d);
		if (!file_ok(f))
			d->bad = true;
	}
	o->decision = pw_dec_bytes(d);
	o->meta = pw_dec_bytes(d);
	o->ncut = pw_dec_count(d, PW_META_CUTS_MAX, 12);
	o->cut = pw_pool_array(pool, o->ncut + 1, sizeof(*o->cut));
	for (size_t i = 0; i < o->ncut && o->cut != NULL; i++) {
		o->cut[i].offset = pw_dec_u64(d);
		o->cut[i].bytes = pw_dec_bytes(d);
	}
	if (o->file == NULL || o->cut == NULL)
		d->bad = true;
}

static void
dec_cancel(struct pw_dec *d, struct pw_pool *pool, struct pw_record *o)
{
	o->ncancel = pw_dec_count(d, CANCELS_MAX, 8);
	o->cancel = pw_pool_array(pool, o->ncancel + 1, sizeof(*o->cancel));
	for (size_t i = 0; i < o->ncancel && o->cancel != NULL; i++)
		o->cancel[i] = pw_dec_u64(d);
	if (o->cancel == NULL)
		d->bad = true;
}

int
pw_record_dec(struct pw_bytes payload, struct pw_pool *pool,
    struct pw_record *out)
{
	struct pw_dec d;
	size_t body;

	*out = (struct pw_record){ 0 };
	pw_dec_init(&d, payload);
	if (pw_dec_u8(&d) != RECORD_VERSION)
		return -1;
	out->kind = pw_dec_u8(&d);
	out->flags = pw_dec_u8(&d);
	(void)pw_dec_u8(&d);
	body = pw_dec_u32(&d);
	out->us = pw_dec_i64(&d);
	if (d.bad || body > payload.len - d.pos)
		return -1;
	out->body = pw_bytes(payload.ptr + d.pos, body);
	d.pos += body;
	if (out->kind == PW_RECORD_MAIL)
		dec_mail(&d, pool, out);
	else if (out->kind == PW_RECORD_CANCEL)
		dec_cancel(&d, pool, out);
	else
		return -1;
	/* Less than 8 bytes of padding. */
	return !d.bad && payload.len - d.pos < 8 ? 0 : -1;
}
