/* SPDX-License-Identifier: ISC */
/*
 * Statements of an open SQLite connection: preparing, binding, stepping, and
 * what a failure means.  Opening and migrating are in db_open.c.  Every role
 * that reads or writes a database goes through here; no SQL text is made at
 * run time.
 */
#include <sqlite3.h>

#include <stdio.h>

#include "base/clock.h"
#include "storage/db_private.h"

const char *
pw_db_rc_name(enum pw_db_rc rc)
{
	static const char *const names[] = {
		[PW_DB_DONE] = "done",
		[PW_DB_ROW] = "row",
		[PW_DB_EXISTS] = "exists",
		[PW_DB_BAD] = "refused",
		[PW_DB_BUSY] = "busy",
		[PW_DB_FULL] = "no space",
		[PW_DB_IO] = "input/output",
		[PW_DB_CORRUPT] = "damaged",
		[PW_DB_NEWER] = "newer version",
		[PW_DB_TIMEOUT] = "took too long",
	};

	return (size_t)rc < PW_COUNT(names) ? names[rc] : "unknown";
}

static enum pw_db_rc
constraint_code(int extended)
{
	switch (extended) {
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
	case SQLITE_CONSTRAINT_ROWID:
		return PW_DB_EXISTS;
	default:
		return PW_DB_BAD;
	}
}

enum pw_db_rc
pw_db_code(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
		return PW_DB_DONE;
	case SQLITE_ROW:
		return PW_DB_ROW;
	case SQLITE_CONSTRAINT:
		return constraint_code(rc);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return PW_DB_BUSY;
	case SQLITE_FULL:
		return PW_DB_FULL;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
		return PW_DB_CORRUPT;
	case SQLITE_INTERRUPT:
		return PW_DB_TIMEOUT;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_NOMEM:
	case SQLITE_ERROR: /* the schema changed under us, and the like */
	case SQLITE_SCHEMA:
	case SQLITE_MISUSE:
		return PW_DB_IO;
	default: /* too big, mismatch: the row itself */
		return PW_DB_BAD;
	}
}

const char *
pw_db_why(const struct pw_db *db)
{
	return db->why[0] != '\0' ? db->why : "no error";
}

enum pw_db_rc
pw_db_last(const struct pw_db *db)
{
	return db->last;
}

void
pw_db_forget(struct pw_db *db)
{
	db->last = PW_DB_DONE;
	db->why[0] = '\0';
}

/* Keeps the text of a failure: a later call may overwrite SQLite's own. */
enum pw_db_rc
pw_db_failed(struct pw_db *db, int rc)
{
	enum pw_db_rc code = pw_db_code(rc);

	if (code != PW_DB_DONE && code != PW_DB_ROW) {
		db->last = code;
		(void)snprintf(db->why, sizeof(db->why), "%s (%d)",
		    db->sq != NULL ? sqlite3_errmsg(db->sq) :
				     sqlite3_errstr(rc),
		    rc);
	}
	return code;
}

int
pw_q_prepare(struct pw_db *db, enum pw_stmt stmt)
{
	struct pw_q *q = &db->q[stmt];

	q->db = db;
	if (q->st != NULL)
		return SQLITE_OK;
	PW_ASSERT(pw_stmt_texts[stmt].db == db->id);
	return sqlite3_prepare_v3(db->sq, pw_stmt_texts[stmt].text, -1,
	    SQLITE_PREPARE_PERSISTENT, &q->st, NULL);
}

struct pw_q *
pw_q(struct pw_db *db, enum pw_stmt stmt)
{
	struct pw_q *q = &db->q[stmt];

	q->bind = pw_q_prepare(db, stmt);
	if (q->bind == SQLITE_OK) {
		if (q->running)
			(void)sqlite3_reset(q->st);
		(void)sqlite3_clear_bindings(q->st);
	}
	q->running = false;
	return q;
}

static void
bound(struct pw_q *q, int rc)
{
	if (q->bind == SQLITE_OK)
		q->bind = rc;
}

void
pw_q_int(struct pw_q *q, int n, int64_t v)
{
	bound(q, sqlite3_bind_int64(q->st, n, v));
}

void
pw_q_int_if(struct pw_q *q, int n, bool is, int64_t v)
{
	if (is)
		pw_q_int(q, n, v);
}

void
pw_q_real(struct pw_q *q, int n, double v)
{
	bound(q, sqlite3_bind_double(q->st, n, v));
}

void
pw_q_text(struct pw_q *q, int n, struct pw_bytes v)
{
	bound(q,
	    sqlite3_bind_text64(q->st, n, v.ptr != NULL ? v.ptr : "", v.len,
		SQLITE_STATIC, SQLITE_UTF8));
}

void
pw_q_str(struct pw_q *q, int n, const char *v)
{
	if (v != NULL)
		pw_q_text(q, n, pw_bytes_of(v));
}

void
pw_q_blob(struct pw_q *q, int n, struct pw_bytes v)
{
	bound(q,
	    sqlite3_bind_blob64(q->st, n, v.ptr != NULL ? v.ptr : "", v.len,
		SQLITE_STATIC));
}

enum pw_db_rc
pw_q_step(struct pw_q *q)
{
	int rc = q->bind != SQLITE_OK ? q->bind : sqlite3_step(q->st);
	enum pw_db_rc code = pw_db_failed(q->db, rc);

	q->running = code == PW_DB_ROW;
	if (code != PW_DB_ROW && q->st != NULL)
		(void)sqlite3_reset(q->st);
	return code;
}

enum pw_db_rc
pw_q_run(struct pw_q *q)
{
	enum pw_db_rc code;

	while ((code = pw_q_step(q)) == PW_DB_ROW)
		continue;
	return code;
}

enum pw_db_rc
pw_q_exec(struct pw_db *db, enum pw_stmt stmt)
{
	return pw_q_run(pw_q(db, stmt));
}

void
pw_q_reset(struct pw_q *q)
{
	if (q->running)
		(void)sqlite3_reset(q->st);
	q->running = false;
}

bool
pw_q_is_null(struct pw_q *q, int col)
{
	return sqlite3_column_type(q->st, col) == SQLITE_NULL;
}

int64_t
pw_q_i64(struct pw_q *q, int col)
{
	return sqlite3_column_int64(q->st, col);
}

double
pw_q_f64(struct pw_q *q, int col)
{
	return sqlite3_column_double(q->st, col);
}

struct pw_bytes
pw_q_bytes(struct pw_q *q, int col)
{
	/* Text keeps its bytes: the blob form would be the same, but the
	 * length must be asked after the pointer. */
	const void *p = sqlite3_column_type(q->st, col) == SQLITE_BLOB ?
	    sqlite3_column_blob(q->st, col) :
	    sqlite3_column_text(q->st, col);
	int n = sqlite3_column_bytes(q->st, col);

	return p != NULL && n > 0 ? pw_bytes(p, (size_t)n) : PW_LIT("");
}

int64_t
pw_db_changes(const struct pw_db *db)
{
	return sqlite3_changes64(db->sq);
}

int64_t
pw_db_last_id(const struct pw_db *db)
{
	return sqlite3_last_insert_rowid(db->sq);
}

void
pw_db_busy(struct pw_db *db, unsigned ms)
{
	(void)sqlite3_busy_timeout(db->sq, (int)ms);
}

bool
pw_db_in_transaction(const struct pw_db *db)
{
	return sqlite3_get_autocommit(db->sq) == 0;
}

static int
deadline_passed(void *arg)
{
	const struct pw_db *db = arg;

	return pw_clock_mono_ms() >= db->deadline_ms;
}

void
pw_db_deadline(struct pw_db *db, unsigned ms)
{
	db->deadline_ms = pw_clock_mono_ms() + ms;
	/* Every few thousand steps of its machine: some ten microseconds. */
	sqlite3_progress_handler(db->sq, 4000, ms > 0 ? deadline_passed : NULL,
	    db);
}

int
pw_db_wal_pages(const struct pw_db *db)
{
	return db->wal_pages;
}

enum pw_db_rc
pw_db_checkpoint(struct pw_db *db, bool restart)
{
	int left = 0, moved = 0;
	int rc = sqlite3_wal_checkpoint_v2(db->sq, NULL,
	    restart ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE,
	    &left, &moved);

	if (rc == SQLITE_OK && moved >= left)
		db->wal_pages = 0;
	return pw_db_failed(db, rc);
}

int
pw_db_explain(struct pw_db *db, enum pw_stmt stmt, bool query_plan,
    void (*line)(void *arg, const char *text), void *arg, struct pw_err *err)
{
	sqlite3_stmt *st = NULL;
	char *text = sqlite3_mprintf("EXPLAIN %s%s",
	    query_plan ? "QUERY PLAN " : "", pw_stmt_texts[stmt].text);
	int rc = text == NULL ? SQLITE_NOMEM :
				sqlite3_prepare_v2(db->sq, text, -1, &st, NULL);

	sqlite3_free(text);
	while (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
		line(arg, (const char *)sqlite3_column_text(st,
			      query_plan ? 3 : 1));
	if (rc == SQLITE_OK)
		rc = sqlite3_finalize(st);
	if (rc != SQLITE_OK)
		return pw_err_set(err, 0, "%s: %s", pw_stmt_texts[stmt].name,
		    sqlite3_errmsg(db->sq));
	return 0;
}
