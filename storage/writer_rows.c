/* SPDX-License-Identifier: ISC */
/*
 * What each operation does to index.db: deliveries, and what the follower saw
 * readers do.  Writer's thread, inside its transaction.
 */
#include "storage/writer_private.h"

#include "base/clock.h"

/* One file of a delivery. */
static enum pw_db_rc
delivered_file(struct pw_writer *w, const struct pw_filed *f, int64_t msg,
    const struct pw_decision *d)
{
	struct pw_file_row r = { .has_msg = true,
		.msg = msg,
		.prefix = (int64_t)f->prefix,
		.has_action = f->rcpt < d->nrcpt };
	struct pw_file_row there;
	struct pw_strmap_val *box;
	bool added;
	enum pw_db_rc rc = pw_row_box_of(w, f, &box);

	if (rc != PW_DB_DONE)
		return rc;
	if (r.has_action)
		r.action = d->rcpt[f->rcpt].action;
	rc = pw_row_add_file(w, (int64_t)box->a, f, PW_LIT(""), &r, &added);
	if (rc != PW_DB_DONE || added)
		return rc;
	/* It is on the index already: by a replay, or because the follower saw
	 * the file before its row was queued, and perhaps had it read. */
	rc = pw_row_get_file(w, (int64_t)box->a, f->base, &there);
	if (rc != PW_DB_DONE)
		return rc;
	if (there.has_msg && there.msg == msg)
		return pw_row_drop_ref(w, msg);
	rc = pw_row_set_msg(w, (int64_t)box->a, f, &r);
	return rc == PW_DB_DONE && there.has_msg ?
	    pw_row_drop_ref(w, there.msg) :
	    rc;
}

static enum pw_db_rc
delivered(struct pw_writer *w, const struct pw_op *op,
    const struct pw_decision *d, const struct pw_meta *m)
{
	int64_t msg;
	enum pw_db_rc rc;

	if (op->nfiles == 0)
		return PW_DB_DONE;
	rc = pw_row_add_message(w, pw_bytes_of(d->id.s),
	    pw_bytes_of(d->auth_results), m, op->files[0].internal_us,
	    op->nfiles, &msg);
	for (size_t i = 0; rc == PW_DB_DONE && i < op->nfiles; i++)
		rc = delivered_file(w, &op->files[i], msg, d);
	return rc;
}

/* ---- what readers did ---------------------------------------------------- */

/* Takes over the content of a file that went away. */
static enum pw_db_rc
from_gone(struct pw_writer *w, const struct pw_filed *f, struct pw_bytes base,
    struct pw_file_row *r)
{
	struct pw_q *q = pw_q(w->ix, PW_Q_GONE_GET);

	pw_q_text(q, 1, f->mailbox);
	pw_q_text(q, 2, base);
	enum pw_db_rc rc = pw_q_step(q);
	if (rc != PW_DB_ROW)
		return rc;
	*r = (struct pw_file_row){ .has_msg = true,
		.msg = pw_q_i64(q, 0),
		.prefix = pw_q_i64(q, 1),
		.has_action = !pw_q_is_null(q, 2),
		.action = pw_q_i64(q, 2) };
	pw_q_reset(q);
	q = pw_q(w->ix, PW_Q_GONE_REMOVE);
	pw_q_text(q, 1, f->mailbox);
	pw_q_text(q, 2, base);
	return pw_q_run(q);
}

/* The content of a file that is in the mailbox still: one reference more. */
static enum pw_db_rc
from_other(struct pw_writer *w, const struct pw_filed *f, struct pw_bytes base,
    struct pw_file_row *r)
{
	struct pw_q *q = pw_q(w->ix, PW_Q_FILE_LIKE);

	pw_q_text(q, 1, f->mailbox);
	pw_q_text(q, 2, base);
	enum pw_db_rc rc = pw_q_step(q);
	if (rc != PW_DB_ROW)
		return rc;
	*r = (struct pw_file_row){ .has_msg = true,
		.msg = pw_q_i64(q, 0),
		.prefix = pw_q_i64(q, 1),
		.has_action = !pw_q_is_null(q, 2),
		.action = pw_q_i64(q, 2) };
	pw_q_reset(q);
	return pw_row_add_ref(w, r->msg, 1);
}

/* The record of the delivery, when its content is on the index already by
 * another recipient's copy. */
static enum pw_db_rc
from_record(struct pw_writer *w, const struct pw_filed *f,
    struct pw_file_row *r)
{
	struct pw_origin o;
	enum pw_db_rc rc = pw_writer_origin(w, f, &o);

	if (rc != PW_DB_DONE || o.tid.len == 0)
		return rc;
	if ((rc = pw_row_by_tid(w, o.tid, &r->msg)) != PW_DB_ROW)
		return rc;
	r->has_msg = true;
	r->prefix = (int64_t)o.prefix;
	r->has_action = o.has_action;
	r->action = o.action;
	return pw_row_add_ref(w, r->msg, 1);
}

static enum pw_db_rc
find_content(struct pw_writer *w, const struct pw_filed *f,
    struct pw_file_row *r)
{
	enum pw_db_rc rc = PW_DB_DONE;
	struct pw_bytes names[2] = { f->base, f->like };

	*r = (struct pw_file_row){ 0 };
	for (int i = 0; i < 2 && rc == PW_DB_DONE && !r->has_msg; i++) {
		if (names[i].len == 0)
			continue;
		rc = from_other(w, f, names[i], r);
		if (rc == PW_DB_DONE && !r->has_msg)
			rc = from_gone(w, f, names[i], r);
	}
	if (rc == PW_DB_DONE && !r->has_msg)
		rc = from_record(w, f, r);
	return rc;
}

static enum pw_db_rc
seen(struct pw_writer *w, const struct pw_op *op)
{
	const struct pw_filed *f = &op->files[0];
	struct pw_strmap_val *box;
	struct pw_file_row r;
	bool added;
	enum pw_db_rc rc = pw_row_box_of(w, f, &box);

	if (rc != PW_DB_DONE)
		return rc;
	struct pw_q *q = pw_q(w->ix, PW_Q_FILE_UPDATE);
	pw_q_int(q, 1, (int64_t)box->a);
	pw_q_text(q, 2, f->base);
	pw_q_text(q, 3, op->text);
	pw_q_int(q, 4, f->in_new);
	pw_q_int(q, 5, (int64_t)f->inode);
	if ((rc = pw_q_run(q)) != PW_DB_DONE || pw_db_changes(w->ix) > 0)
		return rc;
	if ((rc = find_content(w, f, &r)) != PW_DB_DONE)
		return rc;
	return pw_row_add_file(w, (int64_t)box->a, f, op->text, &r, &added);
}

/* Its content stays for a while, in case that it only moved. */
static enum pw_db_rc
into_gone(struct pw_writer *w, const struct pw_filed *f,
    const struct pw_file_row *r)
{
	struct pw_file_row old = { 0 };
	enum pw_db_rc rc = from_gone(w, f, f->base, &old);

	if (rc == PW_DB_DONE && old.has_msg)
		rc = pw_row_drop_ref(w, old.msg);
	if (rc != PW_DB_DONE)
		return rc;
	struct pw_q *q = pw_q(w->ix, PW_Q_GONE_ADD);
	pw_q_text(q, 1, f->mailbox);
	pw_q_text(q, 2, f->base);
	pw_q_int(q, 3, r->inode);
	pw_q_int(q, 4, r->prefix);
	pw_q_int_if(q, 5, r->has_action, r->action);
	pw_q_int(q, 6, r->msg);
	pw_q_int(q, 7, pw_clock_real_us());
	pw_q_int(q, 8, r->size);
	pw_q_int(q, 9, r->internal_us);
	return pw_q_run(q);
}

static enum pw_db_rc
gone(struct pw_writer *w, const struct pw_op *op)
{
	const struct pw_filed *f = &op->files[0];
	struct pw_strmap_val *box;
	struct pw_file_row r;
	enum pw_db_rc rc = pw_row_box_of(w, f, &box);

	if (rc == PW_DB_DONE)
		rc = pw_row_get_file(w, (int64_t)box->a, f->base, &r);
	if (rc != PW_DB_DONE || !r.there)
		return rc;
	struct pw_q *q = pw_q(w->ix, PW_Q_FILE_REMOVE);
	pw_q_int(q, 1, (int64_t)box->a);
	pw_q_text(q, 2, f->base);
	if ((rc = pw_q_run(q)) != PW_DB_DONE)
		return rc;
	pw_writer_delta(w, f->mailbox, -r.size);
	return r.has_msg ? into_gone(w, f, &r) : PW_DB_DONE;
}

static enum pw_db_rc
content(struct pw_writer *w, const struct pw_op *op, const struct pw_meta *m)
{
	const struct pw_filed *f = &op->files[0];
	struct pw_strmap_val *box;
	struct pw_origin o;
	struct pw_file_row r;
	enum pw_db_rc rc = pw_row_box_of(w, f, &box);

	if (rc == PW_DB_DONE)
		rc = pw_row_get_file(w, (int64_t)box->a, f->base, &r);
	if (rc != PW_DB_DONE || !r.there || r.has_msg)
		return rc;
	if ((rc = pw_writer_origin(w, f, &o)) != PW_DB_DONE)
		return rc;
	rc = pw_row_add_message(w, o.tid, o.auth, m, f->internal_us, 1, &r.msg);
	if (rc != PW_DB_DONE)
		return rc;
	r.prefix = (int64_t)o.prefix;
	r.has_action = o.has_action;
	r.action = o.action;
	return pw_row_set_msg(w, (int64_t)box->a, f, &r);
}

static enum pw_db_rc
uids(struct pw_writer *w, const struct pw_op *op)
{
	struct pw_strmap_val *box;
	enum pw_db_rc rc = pw_row_box_of(w, &op->files[0], &box);
	struct pw_q *q;

	if (rc != PW_DB_DONE)
		return rc;
	if (box->b != (uint64_t)op->uidvalidity + 1) {
		q = pw_q(w->ix, PW_Q_FILE_CLEAR_UIDS);
		pw_q_int(q, 1, (int64_t)box->a);
		rc = pw_q_run(q);
		q = pw_q(w->ix, PW_Q_BOX_UIDVALIDITY);
		pw_q_int(q, 1, (int64_t)box->a);
		pw_q_int(q, 2, op->uidvalidity);
		if (rc == PW_DB_DONE)
			rc = pw_q_run(q);
		box->b = (uint64_t)op->uidvalidity + 1;
	}
	for (size_t i = 0; rc == PW_DB_DONE && i < op->nuids; i++) {
		q = pw_q(w->ix, PW_Q_FILE_SET_UID);
		pw_q_int(q, 1, (int64_t)box->a);
		pw_q_text(q, 2, op->uids[i].base);
		pw_q_int(q, 3, op->uids[i].uid);
		rc = pw_q_run(q);
	}
	return rc;
}

/* ---- one operation ------------------------------------------------------- */

static enum pw_db_rc
record(struct pw_writer *w, const struct pw_op *op)
{
	static const struct pw_meta nothing = { .complex = true };
	const struct pw_meta *m = NULL;
	struct pw_decision *d;
	struct pw_dec dec;
	int64_t id;

	pw_dec_init(&dec, op->decision);
	d = pw_decision_dec(&dec, w->pool);
	if (d == NULL || pw_dec_end(&dec) != 0)
		return PW_DB_BAD;
	if (op->meta.len > 0) {
		pw_dec_init(&dec, op->meta);
		m = pw_meta_dec(&dec, w->pool);
		if (pw_dec_end(&dec) != 0)
			m = NULL;
	}
	enum pw_db_rc rc = pw_writer_record(w, op, d, m, &id);
	if (rc == PW_DB_DONE)
		rc = delivered(w, op, d, m != NULL ? m : &nothing);
	return rc;
}

static enum pw_db_rc
parsed(struct pw_writer *w, const struct pw_op *op)
{
	struct pw_dec dec;

	pw_dec_init(&dec, op->meta);
	struct pw_meta *m = pw_meta_dec(&dec, w->pool);
	if (m == NULL || pw_dec_end(&dec) != 0)
		return PW_DB_BAD;
	return content(w, op, m);
}

enum pw_db_rc
pw_writer_rows(struct pw_writer *w, const struct pw_op *op)
{
	switch (op->kind) {
	case PW_OP_RECORD:
		return record(w, op);
	case PW_OP_CUT:
		return pw_writer_cut_row(w, op);
	case PW_OP_SEEN:
		return seen(w, op);
	case PW_OP_GONE:
		return gone(w, op);
	case PW_OP_META:
		return parsed(w, op);
	case PW_OP_UIDS:
		return uids(w, op);
	}
	return PW_DB_BAD;
}
