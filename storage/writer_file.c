/* SPDX-License-Identifier: ISC */
/*
 * Single rows of index.db: folders, contents, files.  One content is shared by
 * all files that came from it; message.refs counts the rows of file and gone
 * that name it.  Writer's thread, inside its transaction.
 */
#include "storage/writer_private.h"

#define PROBES 1000 /* ids tried when many fall into one microsecond */

/* ---- folders ------------------------------------------------------------- */

static enum pw_db_rc
look_up_box(struct pw_writer *w, const struct pw_filed *f, int64_t *id,
    uint64_t *uidvalidity)
{
	struct pw_q *q = pw_q(w->ix, PW_Q_BOX_GET);

	pw_q_text(q, 1, f->mailbox);
	pw_q_text(q, 2, f->folder);
	enum pw_db_rc rc = pw_q_step(q);
	if (rc == PW_DB_ROW) {
		*id = pw_q_i64(q, 0);
		*uidvalidity = pw_q_is_null(q, 1) ?
		    0 :
		    (uint64_t)pw_q_i64(q, 1) + 1;
		pw_q_reset(q);
		return PW_DB_DONE;
	}
	if (rc != PW_DB_DONE)
		return rc;
	q = pw_q(w->ix, PW_Q_BOX_ADD);
	pw_q_text(q, 1, f->mailbox);
	pw_q_text(q, 2, f->folder);
	rc = pw_q_run(q);
	*id = pw_db_last_id(w->ix);
	*uidvalidity = 0;
	return rc;
}

enum pw_db_rc
pw_row_box_of(struct pw_writer *w, const struct pw_filed *f,
    struct pw_strmap_val **val)
{
	int64_t id = 0;
	uint64_t uidvalidity = 0;

	pw_strbuf_reset(&w->key);
	pw_strbuf_add(&w->key, f->mailbox);
	pw_strbuf_addc(&w->key, '\0');
	pw_strbuf_add(&w->key, f->folder);
	if (w->key.overflow)
		return PW_DB_BAD;
	*val = pw_strmap_get(&w->boxes, pw_strbuf_bytes(&w->key));
	if (*val != NULL)
		return PW_DB_DONE;
	enum pw_db_rc rc = look_up_box(w, f, &id, &uidvalidity);
	if (rc != PW_DB_DONE)
		return rc;
	if (w->boxes.count >= 65536)
		pw_strmap_clear(&w->boxes);
	*val = pw_strmap_put(&w->boxes, pw_strbuf_bytes(&w->key), NULL);
	**val = (struct pw_strmap_val){ (uint64_t)id, uidvalidity };
	return PW_DB_DONE;
}

/* ---- contents ------------------------------------------------------------ */

enum pw_db_rc
pw_row_add_ref(struct pw_writer *w, int64_t msg, int64_t n)
{
	struct pw_q *q = pw_q(w->ix, PW_Q_MESSAGE_REF);

	pw_q_int(q, 1, msg);
	pw_q_int(q, 2, n);
	return pw_q_run(q);
}

enum pw_db_rc
pw_row_drop_ref(struct pw_writer *w, int64_t msg)
{
	enum pw_db_rc rc = pw_row_add_ref(w, msg, -1);
	struct pw_q *q;

	if (rc != PW_DB_DONE)
		return rc;
	q = pw_q(w->ix, PW_Q_MESSAGE_DROP);
	pw_q_int(q, 1, msg);
	return pw_q_run(q);
}

enum pw_db_rc
pw_row_by_tid(struct pw_writer *w, struct pw_bytes tid, int64_t *msg)
{
	struct pw_q *q = pw_q(w->ix, PW_Q_MESSAGE_BY_TID);

	pw_q_text(q, 1, tid);
	enum pw_db_rc rc = pw_q_step(q);
	if (rc == PW_DB_ROW)
		*msg = pw_q_i64(q, 0);
	pw_q_reset(q);
	return rc;
}

static void
bind_message(struct pw_writer *w, struct pw_q *q, struct pw_bytes tid,
    struct pw_bytes auth, const struct pw_meta *m, size_t refs)
{
	if (tid.len > 0)
		pw_q_text(q, 2, tid);
	pw_q_int_if(q, 3, tid.len == 0 && m->message_id.len > 0,
	    pw_key_hash(w->ix_key, m->message_id));
	pw_q_text(q, 4, m->message_id);
	pw_q_text(q, 5, m->in_reply_to);
	pw_q_text(q, 6, m->references);
	pw_q_text(q, 7, m->from);
	pw_q_text(q, 8, m->to);
	pw_q_text(q, 9, m->cc);
	pw_q_text(q, 10, m->subject);
	pw_q_int(q, 11, m->date);
	pw_q_int(q, 12, (int64_t)m->header_len);
	pw_q_int(q, 13, m->complex);
	pw_q_text(q, 14, auth);
	pw_q_text(q, 15, m->envelope);
	pw_q_text(q, 16, m->structure);
	pw_q_int(q, 17, (int64_t)refs);
}

enum pw_db_rc
pw_row_add_message(struct pw_writer *w, struct pw_bytes tid,
    struct pw_bytes auth, const struct pw_meta *m, int64_t arrival, size_t refs,
    int64_t *msg)
{
	enum pw_db_rc rc;

	*msg = arrival;
	for (int i = 0; i < PROBES; i++, (*msg)++) {
		struct pw_q *q = pw_q(w->ix, PW_Q_MESSAGE_ADD);
		pw_q_int(q, 1, *msg);
		bind_message(w, q, tid, auth, m, refs);
		if ((rc = pw_q_run(q)) != PW_DB_EXISTS)
			return rc;
		int64_t there = *msg;
		rc = tid.len > 0 ? pw_row_by_tid(w, tid, &there) : PW_DB_DONE;
		if (rc == PW_DB_ROW) {
			*msg = there;
			return pw_row_add_ref(w, there, (int64_t)refs);
		}
		if (rc != PW_DB_DONE)
			return rc;
	}
	return PW_DB_BAD;
}

/* ---- files --------------------------------------------------------------- */

enum pw_db_rc
pw_row_get_file(struct pw_writer *w, int64_t box, struct pw_bytes base,
    struct pw_file_row *r)
{
	struct pw_q *q = pw_q(w->ix, PW_Q_FILE_GET);

	*r = (struct pw_file_row){ 0 };
	pw_q_int(q, 1, box);
	pw_q_text(q, 2, base);
	enum pw_db_rc rc = pw_q_step(q);
	if (rc == PW_DB_ROW) {
		*r = (struct pw_file_row){ .there = true,
			.size = pw_q_i64(q, 0),
			.inode = pw_q_i64(q, 1),
			.prefix = pw_q_i64(q, 2),
			.has_action = !pw_q_is_null(q, 3),
			.action = pw_q_i64(q, 3),
			.has_msg = !pw_q_is_null(q, 4),
			.msg = pw_q_i64(q, 4),
			.internal_us = pw_q_i64(q, 5) };
		rc = PW_DB_DONE;
	}
	pw_q_reset(q);
	return rc;
}

enum pw_db_rc
pw_row_set_msg(struct pw_writer *w, int64_t box, const struct pw_filed *f,
    const struct pw_file_row *r)
{
	struct pw_q *q = pw_q(w->ix, PW_Q_FILE_SET_MSG);

	pw_q_int(q, 1, box);
	pw_q_text(q, 2, f->base);
	pw_q_int(q, 3, r->msg);
	pw_q_int_if(q, 4, r->has_action, r->action);
	pw_q_int(q, 5, r->prefix);
	pw_q_int(q, 6, (int64_t)f->vsize);
	return pw_q_run(q);
}

enum pw_db_rc
pw_row_add_file(struct pw_writer *w, int64_t box, const struct pw_filed *f,
    struct pw_bytes info, const struct pw_file_row *r, bool *added)
{
	struct pw_q *q = pw_q(w->ix, PW_Q_FILE_ADD);

	pw_q_int(q, 1, box);
	pw_q_text(q, 2, f->base);
	pw_q_text(q, 3, info);
	pw_q_int(q, 4, f->in_new);
	pw_q_int(q, 5, (int64_t)f->size);
	pw_q_int(q, 6, (int64_t)f->vsize);
	pw_q_int(q, 7, f->internal_us);
	pw_q_int(q, 8, (int64_t)f->inode);
	pw_q_int(q, 9, r->prefix);
	pw_q_int_if(q, 10, r->has_action, r->action);
	pw_q_int_if(q, 11, r->has_msg, r->msg);
	pw_q_int(q, 12, w->next_file);
	enum pw_db_rc rc = pw_q_run(q);
	*added = rc == PW_DB_DONE && pw_db_changes(w->ix) > 0;
	if (*added) {
		w->next_file++;
		pw_writer_delta(w, f->mailbox, (int64_t)f->size);
	}
	return rc;
}
