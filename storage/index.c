/* SPDX-License-Identifier: ISC */
/*
 * Questions about messages to index.db.  Connections are read-only and are
 * opened when they are needed, again when the file was exchanged; each query is
 * one statement without a transaction around it, bounded in rows and time.
 * Control thread of store, or the program postward.
 */
#include "storage/index.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/valid.h"
#include "storage/address.h"
#include "storage/decision.h"
#include "storage/index_private.h"
#include "storage/maildir.h"

#define QUERY_MS 3000
#define ROWS_DEFAULT 100
#define ROWS_MAX 10000
#define PATTERN_MAX 1024

/* ---- connections --------------------------------------------------------- */

static char *
file_in(const char *dir, const char *name)
{
	size_t n = strlen(dir) + strlen(name) + 2;
	char *path = pw_xcalloc(1, n);

	(void)snprintf(path, n, "%s/%s", dir, name);
	return path;
}

int
pw_index_open(const char *state_dir, struct pw_index **out, struct pw_err *err)
{
	struct pw_index *x = pw_xcalloc(1, sizeof(*x));

	(void)err; /* files that are not there yet are told by the query */
	x->ix_path = file_in(state_dir, "index.db");
	x->dc_path = file_in(state_dir, "decisions.db");
	*out = x;
	return 0;
}

void
pw_index_close(struct pw_index **xp)
{
	struct pw_index *x = *xp;

	if (x == NULL)
		return;
	*xp = NULL;
	pw_db_close(&x->ix);
	pw_db_close(&x->dc);
	free(x->ix_path);
	free(x->dc_path);
	free(x);
}

int
pw_index_end(struct pw_db *db, enum pw_db_rc rc, struct pw_err *err)
{
	switch (rc) {
	case PW_DB_DONE:
	case PW_DB_ROW:
		return 0;
	case PW_DB_TIMEOUT:
		return pw_err_set(err, ETIMEDOUT,
		    "the question takes too long; narrow it, by --mailbox or "
		    "--since");
	case PW_DB_BUSY:
		return pw_err_set(err, EBUSY, "the database is locked");
	default:
		return pw_err_set(err, EIO, "%s", pw_db_why(db));
	}
}

static int
read_key(struct pw_db *db, enum pw_stmt stmt, uint8_t key[16],
    struct pw_err *err)
{
	struct pw_q *q = pw_q(db, stmt);
	enum pw_db_rc rc = pw_q_step(q);
	int r = pw_index_end(db, rc, err);

	if (rc == PW_DB_ROW && pw_q_bytes(q, 0).len == 16)
		memcpy(key, pw_q_bytes(q, 0).ptr, 16);
	else if (r == 0)
		r = pw_err_set(err, EIO, "the database has no key");
	pw_q_reset(q);
	return r;
}

struct pw_db *
pw_index_db(struct pw_index *x, enum pw_db_id id, struct pw_err *err)
{
	const struct pw_db_opts opts = { .busy_ms = 1000 };
	bool index = id == PW_DB_INDEX;
	struct pw_db **db = index ? &x->ix : &x->dc;
	const char *path = index ? x->ix_path : x->dc_path;

	if (*db != NULL && pw_db_replaced(*db))
		pw_db_close(db);
	if (*db == NULL) {
		if (pw_db_open(path, id, &opts, db, err) != PW_DB_DONE)
			return NULL;
		if (read_key(*db, index ? PW_Q_IX_SECRET : PW_Q_DC_SECRET,
			index ? x->ix_key : x->dc_key, err) != 0) {
			pw_db_close(db);
			return NULL;
		}
	}
	pw_db_deadline(*db, QUERY_MS);
	return *db;
}

/* ---- JSON ---------------------------------------------------------------- */

json_t *
pw_index_text(struct pw_bytes b)
{
	char text[4096];

	/* JSON text may hold NUL, but many of its readers may not. */
	if (pw_bytes_chr(b, '\0') < 0 && pw_is_utf8(b))
		return json_stringn(b.ptr, b.len);
	size_t n = pw_escape(text, sizeof(text), pw_peer(b));
	return json_stringn(text, n);
}

json_t *
pw_index_json(struct pw_bytes b)
{
	json_t *v = b.len > 0 ? json_loadb(b.ptr, b.len, 0, NULL) : NULL;

	return v != NULL ? v : json_null();
}

/* Columns of all statements list_* and show_*. */
enum {
	C_MAILBOX, C_FOLDER, C_BASE, C_INFO, C_IN_NEW, C_UID, C_UIDVALIDITY,
	C_SIZE, C_VSIZE, C_INTERNAL, C_INODE, C_PREFIX, C_ACTION, C_TID,
	C_MESSAGE_ID, C_IN_REPLY_TO, C_REFERENCES, C_FROM, C_TO, C_CC,
	C_SUBJECT, C_DATE, C_HEADER_LEN, C_COMPLEX, C_AUTH, C_ENVELOPE,
	C_STRUCTURE
};

static void
set_text(json_t *o, const char *key, struct pw_q *q, int col)
{
	(void)json_object_set_new(o, key,
	    pw_q_is_null(q, col) ? json_null() :
				   pw_index_text(pw_q_bytes(q, col)));
}

static void
set_int(json_t *o, const char *key, struct pw_q *q, int col)
{
	(void)json_object_set_new(o, key,
	    pw_q_is_null(q, col) ? json_null() :
				   json_integer(pw_q_i64(q, col)));
}

static void
set_file(json_t *o, struct pw_q *q)
{
	struct pw_strbuf name;
	struct pw_bytes info = pw_q_bytes(q, C_INFO);
	bool in_new = pw_q_i64(q, C_IN_NEW) != 0;

	pw_strbuf_init(&name, 4096);
	pw_strbuf_adds(&name, in_new ? "new/" : "cur/");
	pw_strbuf_add(&name, pw_q_bytes(q, C_BASE));
	pw_strbuf_add(&name, info);
	(void)json_object_set_new(o, "file",
	    pw_index_text(pw_strbuf_bytes(&name)));
	pw_strbuf_free(&name);
	/* ":2,FS" */
	(void)json_object_set_new(o, "flags",
	    pw_index_text(pw_bytes_sub(info, 3, info.len)));
	(void)json_object_set_new(o, "new", json_boolean(in_new));
}

static json_t *
row_to_json(struct pw_q *q, bool whole)
{
	json_t *o = json_object();

	set_text(o, "mailbox", q, C_MAILBOX);
	set_text(o, "folder", q, C_FOLDER);
	set_text(o, "base", q, C_BASE);
	set_file(o, q);
	set_int(o, "uid", q, C_UID);
	set_int(o, "uidvalidity", q, C_UIDVALIDITY);
	set_int(o, "size", q, C_SIZE);
	set_int(o, "vsize", q, C_VSIZE);
	(void)json_object_set_new(o, "internal_date",
	    json_integer(pw_q_i64(q, C_INTERNAL) / 1000000));
	set_int(o, "inode", q, C_INODE);
	set_int(o, "prefix", q, C_PREFIX);
	(void)json_object_set_new(o, "verdict",
	    pw_q_is_null(q, C_ACTION) ?
		json_null() :
		json_string(pw_action_name((uint8_t)pw_q_i64(q, C_ACTION))));
	set_text(o, "id", q, C_TID);
	set_text(o, "message_id", q, C_MESSAGE_ID);
	set_text(o, "in_reply_to", q, C_IN_REPLY_TO);
	set_text(o, "references", q, C_REFERENCES);
	set_text(o, "from", q, C_FROM);
	set_text(o, "to", q, C_TO);
	set_text(o, "cc", q, C_CC);
	set_text(o, "subject", q, C_SUBJECT);
	set_int(o, "date", q, C_DATE);
	set_int(o, "header_len", q, C_HEADER_LEN);
	(void)json_object_set_new(o, "complex",
	    pw_q_is_null(q, C_COMPLEX) ?
		json_null() :
		json_boolean(pw_q_i64(q, C_COMPLEX) != 0));
	set_text(o, "auth_results", q, C_AUTH);
	if (whole) {
		(void)json_object_set_new(o, "envelope",
		    pw_index_json(pw_q_bytes(q, C_ENVELOPE)));
		(void)json_object_set_new(o, "structure",
		    pw_index_json(pw_q_bytes(q, C_STRUCTURE)));
	}
	return o;
}

/* ---- lists --------------------------------------------------------------- */

/* "%text%" with LIKE's own characters escaped; NULL text gives none. -1: too
 * long. */
static int
pattern(const char *text, char out[PATTERN_MAX], struct pw_bytes *p)
{
	size_t n = 0;

	*p = PW_BYTES_NONE;
	if (text == NULL)
		return 0;
	out[n++] = '%';
	for (; *text != '\0'; text++) {
		if (n + 4 > PATTERN_MAX)
			return -1;
		if (*text == '%' || *text == '_' || *text == '\\')
			out[n++] = '\\';
		out[n++] = *text;
	}
	out[n++] = '%';
	*p = pw_bytes(out, n);
	return 0;
}

struct pw_bytes
pw_index_other_form(struct pw_bytes mid, char *out, size_t size)
{
	if (mid.len > 2 && mid.ptr[0] == '<' && mid.ptr[mid.len - 1] == '>')
		return pw_bytes_sub(mid, 1, mid.len - 2);
	if (mid.len + 3 > size)
		return mid;
	int n = snprintf(out, size, "<%.*s>", (int)mid.len, mid.ptr);
	return pw_bytes(out, (size_t)n);
}

struct patterns {
	char text[4][PATTERN_MAX];
	struct pw_bytes p[4];
};

static int
make_patterns(const struct pw_message_filter *f, struct patterns *p,
    struct pw_err *err)
{
	const char *const given[4] = { f->from, f->to, f->subject, f->text };

	for (int i = 0; i < 4; i++)
		if (pattern(given[i], p->text[i], &p->p[i]) != 0)
			return pw_err_set(err, EINVAL,
			    "\"%.40s...\" is too long to search for",
			    given[i]);
	return 0;
}

/* Addresses are on the index in canonical form. */
static struct pw_bytes
mailbox_form(const char *mailbox, char form[PW_ADDR_SIZE])
{
	return pw_addr_key(pw_bytes_of(mailbox), form);
}

static void
bind_view(struct pw_q *q, const struct pw_view *view)
{
	const struct pw_view *v = view != NULL ? view : &pw_view_all;

	if (v->kind == PW_VIEW_MAILBOX)
		pw_q_text(q, 13, pw_view_mailbox(v));
	if (v->kind == PW_VIEW_DOMAIN)
		pw_q_text(q, 14, pw_view_suffix(v));
}

/* The rows of one statement, behind those that are in ROWS. */
static int
run_list(struct pw_index *x, struct pw_db *db, enum pw_stmt stmt,
    const struct pw_message_filter *f, const struct patterns *p,
    struct pw_bytes what, json_t *rows, struct pw_err *err)
{
	char form[PW_ADDR_SIZE];
	struct pw_q *q = pw_q(db, stmt);
	enum pw_db_rc rc;

	if (f->mailbox != NULL)
		pw_q_text(q, 1, mailbox_form(f->mailbox, form));
	pw_q_str(q, 2, f->folder);
	pw_q_int_if(q, 3, f->since_us != 0, f->since_us);
	pw_q_int_if(q, 4, f->until_us != 0, f->until_us);
	for (int i = 0; i < 4; i++)
		if (p->p[i].ptr != NULL)
			pw_q_text(q, 5 + i, p->p[i]);
	bind_view(q, f->view);
	pw_q_int(q, 9, f->limit);
	pw_q_int(q, 10, f->offset);
	if (stmt == PW_Q_LIST_MID) {
		pw_q_int(q, 11, pw_key_hash(x->ix_key, what));
		pw_q_text(q, 12, what);
	} else if (stmt == PW_Q_LIST_TID)
		pw_q_text(q, 11, what);
	while ((rc = pw_q_step(q)) == PW_DB_ROW)
		(void)json_array_append_new(rows, row_to_json(q, false));
	return pw_index_end(db, rc, err);
}

/* Transactions by Message-ID: deliveries are found through their records. */
static int
tids_of(struct pw_index *x, const struct pw_view *view, struct pw_bytes mid,
    json_t *tids, struct pw_err *err)
{
	struct pw_db *db = pw_index_db(x, PW_DB_DECISIONS, err);
	enum pw_db_rc rc;

	if (db == NULL)
		return -1;
	struct pw_q *q = pw_q(db, PW_Q_TIDS_BY_MID);
	pw_index_bind_view(q, view);
	pw_q_int(q, 1, pw_key_hash(x->dc_key, mid));
	pw_q_text(q, 2, mid);
	while ((rc = pw_q_step(q)) == PW_DB_ROW)
		(void)json_array_append_new(tids,
		    pw_index_text(pw_q_bytes(q, 0)));
	return pw_index_end(db, rc, err);
}

/* Rows by Message-ID in one form: what came through us, and what did not. */
static int
list_mid(struct pw_index *x, struct pw_db *db,
    const struct pw_message_filter *f, const struct patterns *p,
    struct pw_bytes mid, json_t *rows, struct pw_err *err)
{
	json_t *tids = json_array(), *tid;
	size_t i;
	int r = tids_of(x, f->view, mid, tids, err);

	json_array_foreach(tids, i, tid)
	{
		if (r == 0)
			r = run_list(x, db, PW_Q_LIST_TID, f, p,
			    pw_bytes_of(json_string_value(tid)), rows, err);
	}
	json_decref(tids);
	if (r == 0)
		r = run_list(x, db, PW_Q_LIST_MID, f, p, mid, rows, err);
	while (json_array_size(rows) > (size_t)f->limit)
		(void)json_array_remove(rows, json_array_size(rows) - 1);
	return r;
}

static int
list(struct pw_index *x, struct pw_db *db, const struct pw_message_filter *f,
    const struct patterns *p, json_t *rows, struct pw_err *err)
{
	struct pw_bytes mid = pw_bytes_of(f->message_id);
	char other[2048];
	int r;

	if (mid.len == 0)
		return run_list(x, db,
		    f->id != NULL	   ? PW_Q_LIST_TID :
			f->mailbox != NULL ? PW_Q_LIST_MAILBOX :
					     PW_Q_LIST_ALL,
		    f, p, pw_bytes_of(f->id), rows, err);
	r = list_mid(x, db, f, p, mid, rows, err);
	if (r == 0 && json_array_size(rows) == 0)
		r = list_mid(x, db, f, p,
		    pw_index_other_form(mid, other, sizeof(other)), rows, err);
	return r;
}

int
pw_index_messages(struct pw_index *x, const struct pw_message_filter *given,
    json_t **rows, struct pw_err *err)
{
	struct pw_db *db = pw_index_db(x, PW_DB_INDEX, err);
	struct pw_message_filter f = *given;
	struct patterns p;

	*rows = NULL;
	f.limit = f.limit <= 0	   ? ROWS_DEFAULT :
	    f.limit > ROWS_MAX ? ROWS_MAX :
				 f.limit;
	f.offset = f.offset > 0 ? f.offset : 0;
	if (db == NULL || make_patterns(&f, &p, err) != 0)
		return -1;
	json_t *found = json_array();
	if (list(x, db, &f, &p, found, err) != 0) {
		json_decref(found);
		return -1;
	}
	*rows = found;
	return 0;
}

/* ---- one message --------------------------------------------------------- */

static enum pw_db_rc
show(struct pw_db *db, enum pw_stmt stmt, const struct pw_view *view,
    const char *mailbox, struct pw_bytes what, json_t **row)
{
	char form[PW_ADDR_SIZE];
	struct pw_q *q = pw_q(db, stmt);

	if (mailbox != NULL)
		pw_q_text(q, 1, mailbox_form(mailbox, form));
	pw_q_text(q, 2, what);
	bind_view(q, view);
	enum pw_db_rc rc = pw_q_step(q);
	if (rc == PW_DB_ROW)
		*row = row_to_json(q, true);
	pw_q_reset(q);
	return rc;
}

/* "cur/BASE:2,S" and "BASE:2,S" name BASE. */
static struct pw_bytes
base_of(const char *name)
{
	struct pw_bytes b = pw_bytes_of(name);
	ptrdiff_t slash = pw_bytes_rchr(b, '/');

	b = pw_bytes_sub(b, (size_t)(slash + 1), b.len);
	ptrdiff_t colon = pw_bytes_chr(b, ':');
	return colon >= 0 ? pw_bytes_sub(b, 0, (size_t)colon) : b;
}

int
pw_index_message(struct pw_index *x, const struct pw_view *view,
    const char *mailbox, const char *base_or_id, json_t **row,
    struct pw_err *err)
{
	struct pw_db *db = pw_index_db(x, PW_DB_INDEX, err);
	json_t *decision = NULL;
	struct pw_err none;
	enum pw_db_rc rc;

	*row = NULL;
	if (db == NULL)
		return -1;
	rc = show(db, PW_Q_SHOW_TID, view, mailbox, pw_bytes_of(base_or_id), row);
	if (rc == PW_DB_DONE)
		rc = show(db, PW_Q_SHOW_BASE, view, mailbox,
		    base_of(base_or_id), row);
	if (pw_index_end(db, rc, err) != 0)
		return -1;
	if (*row == NULL)
		return pw_err_set(err, ENOENT,
		    "%s has no message %s on its index",
		    mailbox != NULL ? mailbox : "nobody", base_or_id);
	const char *tid = json_string_value(json_object_get(*row, "id"));
	if (tid != NULL &&
	    pw_index_decision(x, view, tid, &decision, &none) == 0)
		(void)json_object_set_new(*row, "decision", decision);
	else
		(void)json_object_set_new(*row, "decision", json_null());
	return 0;
}
