/* SPDX-License-Identifier: ISC */
/*
 * A thin layer over SQLite, the only one that speaks to it: connections,
 * migrations, and the statements of schema/queries.sql by their number.  A
 * connection belongs to one thread at a time.  Whoever calls decides what
 * follows from a failure; the codes here are made for that decision.
 */
#ifndef PW_STORAGE_DB_H
#define PW_STORAGE_DB_H

#include "base/bytes.h"
#include "base/err.h"
#include "schema/statements.h"

struct pw_db;
struct pw_q; /* one prepared statement of a connection */

enum pw_db_rc {
	PW_DB_DONE = 0, /* finished; for reads: no more rows */
	PW_DB_ROW,
	PW_DB_EXISTS,   /* such a row is there already */
	PW_DB_BAD,      /* this row or statement cannot go in, ever */
	PW_DB_BUSY,     /* somebody else holds a lock: try again */
	PW_DB_FULL,     /* no space, or a quota of the file system */
	PW_DB_IO,       /* read, write, open or permission: try again, reopen */
	PW_DB_CORRUPT,  /* not a database, damaged, or not our schema */
	PW_DB_NEWER,    /* made by a later version of this program */
	PW_DB_TIMEOUT   /* pw_db_deadline() passed */
};
const char *pw_db_rc_name(enum pw_db_rc rc);

struct pw_db_opts {
	bool write;        /* else read-only, and the file must be there */
	bool create;       /* with write: make it when it is not there */
	bool wal;          /* with write: WAL and synchronous NORMAL; else
			    * rollback journal and FULL */
	unsigned mode;     /* of a new file: 0600 */
	unsigned busy_ms;  /* wait for locks of others */
	bool large_cache;  /* 16 MB of pages instead of SQLite's 2 */
};

/*
 * Opens the file PATH as database ID.  A writer brings it to the newest
 * schema, each migration in one transaction, and prepares all its statements.
 * DONE with *OUT, or another code with ERR.
 */
enum pw_db_rc pw_db_open(const char *path, enum pw_db_id id,
    const struct pw_db_opts *opts, struct pw_db **out, struct pw_err *err);
/* Statements are finished first; *DB may be NULL. */
void pw_db_close(struct pw_db **db);
/* True when PATH now names another file than the one that is open. */
bool pw_db_replaced(const struct pw_db *db);
/* Renames the closed file PATH to PATH.damaged-TIME, with its WAL; of such
 * files the KEEP newest stay.  0, or -1 and ERR. */
int pw_db_move_aside(const char *path, unsigned keep, struct pw_err *err);
/* Why the last failing call failed, and its code; DONE when none did since
 * pw_db_forget(). */
const char *pw_db_why(const struct pw_db *db);
enum pw_db_rc pw_db_last(const struct pw_db *db);
void pw_db_forget(struct pw_db *db);

/*
 * A statement, reset and with nothing bound.  Never NULL; what goes wrong in
 * preparing and binding is told by the next pw_q_step().  Bound bytes must stay
 * where they are until pw_q_reset() or the last row.
 */
struct pw_q *pw_q(struct pw_db *db, enum pw_stmt stmt);
void pw_q_int(struct pw_q *q, int n, int64_t v);
void pw_q_real(struct pw_q *q, int n, double v);
void pw_q_text(struct pw_q *q, int n, struct pw_bytes v);
void pw_q_str(struct pw_q *q, int n, const char *v); /* NULL binds NULL */
void pw_q_blob(struct pw_q *q, int n, struct pw_bytes v);
/* Integer with IS, else NULL. */
void pw_q_int_if(struct pw_q *q, int n, bool is, int64_t v);
/* ROW while there are rows; anything else has reset the statement. */
enum pw_db_rc pw_q_step(struct pw_q *q);
/* Steps to the end, for statements without rows of interest. */
enum pw_db_rc pw_q_run(struct pw_q *q);
/* A statement without values. */
enum pw_db_rc pw_q_exec(struct pw_db *db, enum pw_stmt stmt);
void pw_q_reset(struct pw_q *q);
/* Columns of the row that pw_q_step() found, from 0; bytes hold until the next
 * step or reset, and a NULL is empty bytes. */
bool pw_q_is_null(struct pw_q *q, int col);
int64_t pw_q_i64(struct pw_q *q, int col);
double pw_q_f64(struct pw_q *q, int col);
struct pw_bytes pw_q_bytes(struct pw_q *q, int col);

/* Rows changed by the last finished statement. */
int64_t pw_db_changes(const struct pw_db *db);
int64_t pw_db_last_id(const struct pw_db *db);
bool pw_db_in_transaction(const struct pw_db *db);
/* From now on statements wait MS for locks of others. */
void pw_db_busy(struct pw_db *db, unsigned ms);
/* Statements of this connection end with TIMEOUT after MS from now; 0: no
 * limit. */
void pw_db_deadline(struct pw_db *db, unsigned ms);

/* Pages in the WAL after the last commit; nothing is checkpointed unasked. */
int pw_db_wal_pages(const struct pw_db *db);
/* Moves the WAL's pages into the database; with RESTART also waits for readers
 * (busy_ms), so that the WAL begins anew. */
enum pw_db_rc pw_db_checkpoint(struct pw_db *db, bool restart);

/* The statement as EXPLAIN sees it, for tests: 0 when it compiles. */
int pw_db_explain(struct pw_db *db, enum pw_stmt stmt, bool query_plan,
    void (*line)(void *arg, const char *text), void *arg, struct pw_err *err);

#endif
