/* SPDX-License-Identifier: ISC */
/*
 * The writer's two databases: opening them, what follows when they fail, and
 * the work between batches.  index.db is a cache: damaged or replaced it is
 * made anew and the follower told (epoch).  decisions.db is a record: damaged
 * it is set aside for repair, with a line in the log, and a new one begun.
 * Writer's thread, and pw_writer_open() before there is one.
 */
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "storage/writer_private.h"

#define BUSY_MS 1000
#define CARE_MS 1000
/* WAL pages (4 KB) from which they are moved into the database, and from which
 * readers are waited for as well, so that it cannot grow without end. */
#define WAL_PASSIVE 4000
#define WAL_RESTART 16000
/* How long the content of a file that went away can be found again. */
#define GONE_US ((int64_t)10 * 60 * 1000000)
#define BACKOFF_FIRST_MS 50
#define BACKOFF_MAX_MS 1000
#define REPORT_MS 60000

static enum pw_db_rc
open_one(struct pw_writer *w, enum pw_db_id id, struct pw_db **db,
    struct pw_err *err)
{
	const struct pw_db_opts opts = { .write = true,
		.create = true,
		.wal = true,
		.mode = 0600,
		.busy_ms = BUSY_MS,
		.large_cache = true };
	bool index = id == PW_DB_INDEX;
	const char *path = index ? w->ix_path : w->dc_path;
	struct pw_err why;
	enum pw_db_rc rc = pw_db_open(path, id, &opts, db, err);

	if (rc != PW_DB_CORRUPT)
		return rc;
	w->fresh_ix = w->fresh_ix || index;
	pw_logf(PW_LOG_ERROR, index ? "store.index_damaged" :
				      "store.decisions_damaged",
	    "%s; it is set aside as %s.damaged-* and a new one is begun%s",
	    err->text, path,
	    index ? "; the index is made again from the mailboxes" :
		    "; older decisions are missing until it is repaired");
	if (pw_db_move_aside(path, index ? 1 : 3, &why) != 0) {
		*err = why;
		return PW_DB_IO;
	}
	return pw_db_open(path, id, &opts, db, err);
}

static enum pw_db_rc
read_key(struct pw_db *db, enum pw_stmt stmt, uint8_t key[16])
{
	struct pw_q *q = pw_q(db, stmt);
	enum pw_db_rc rc = pw_q_step(q);

	if (rc == PW_DB_ROW) {
		struct pw_bytes b = pw_q_bytes(q, 0);
		rc = b.len == 16 ? PW_DB_DONE : PW_DB_CORRUPT;
		if (b.len == 16)
			memcpy(key, b.ptr, 16);
	} else if (rc == PW_DB_DONE)
		rc = PW_DB_CORRUPT;
	pw_q_reset(q);
	return rc;
}

/* A number that a statement gives; NULL is 0. */
static enum pw_db_rc
read_number(struct pw_db *db, enum pw_stmt stmt, int64_t *n)
{
	struct pw_q *q = pw_q(db, stmt);
	enum pw_db_rc rc = pw_q_step(q);

	*n = rc == PW_DB_ROW ? pw_q_i64(q, 0) : 0;
	pw_q_reset(q);
	return rc == PW_DB_ROW ? PW_DB_DONE : rc;
}

/* The sums of what is on the index; what is queued stays counted. */
static enum pw_db_rc
load_usage(struct pw_writer *w)
{
	struct pw_q *q = pw_q(w->ix, PW_Q_USAGE_LOAD);
	struct pw_strmap_val *v;
	struct pw_bytes key;
	enum pw_db_rc rc;

	(void)pthread_mutex_lock(&w->usage_lock);
	for (size_t at = 0; pw_strmap_next(&w->usage, &at, &key, &v);)
		v->a = 0;
	while ((rc = pw_q_step(q)) == PW_DB_ROW)
		pw_strmap_put(&w->usage, pw_q_bytes(q, 0), NULL)->a +=
		    (uint64_t)pw_q_i64(q, 1);
	(void)pthread_mutex_unlock(&w->usage_lock);
	return rc;
}

static enum pw_db_rc
ensure_index(struct pw_writer *w, struct pw_err *err)
{
	if (access(w->ix_path, F_OK) != 0)
		w->fresh_ix = true;
	enum pw_db_rc rc = open_one(w, PW_DB_INDEX, &w->ix, err);
	if (rc != PW_DB_DONE)
		return rc;
	if ((rc = read_key(w->ix, PW_Q_IX_SECRET, w->ix_key)) == PW_DB_DONE)
		rc = read_number(w->ix, PW_Q_FILE_LAST_ID, &w->next_file);
	w->next_file++;
	if (rc == PW_DB_DONE)
		rc = load_usage(w);
	if (rc != PW_DB_DONE) {
		(void)pw_err_set(err, 0, "%s: %s", w->ix_path,
		    pw_db_why(w->ix));
		pw_db_close(&w->ix);
	} else if (w->fresh_ix)
		(void)__atomic_add_fetch(&w->epoch, 1, __ATOMIC_RELEASE);
	w->fresh_ix = false;
	return rc;
}

enum pw_db_rc
pw_writer_ensure(struct pw_writer *w, struct pw_err *err)
{
	enum pw_db_rc rc = PW_DB_DONE;

	if (w->dc == NULL) {
		rc = open_one(w, PW_DB_DECISIONS, &w->dc, err);
		if (rc == PW_DB_DONE)
			rc = read_key(w->dc, PW_Q_DC_SECRET, w->dc_key);
		if (rc == PW_DB_DONE)
			rc = read_number(w->dc, PW_Q_FIND_LAST,
			    &w->find_bucket);
		/* How full the last one is nobody knows: begin another. */
		w->find_rows = UINT_MAX;
		if (rc != PW_DB_DONE && w->dc != NULL) {
			(void)pw_err_set(err, 0, "%s: no key", w->dc_path);
			pw_db_close(&w->dc);
		}
		memset(w->dns_seen, 0, sizeof(w->dns_seen));
	}
	if (rc == PW_DB_DONE && w->ix == NULL)
		rc = ensure_index(w, err);
	return rc;
}

void
pw_writer_close_dbs(struct pw_writer *w)
{
	pw_strmap_clear(&w->boxes);
	pw_db_close(&w->ix);
	pw_db_close(&w->dc);
}

/* ---- failures ------------------------------------------------------------ */

void
pw_writer_roll_back(struct pw_db *db, enum pw_stmt stmt)
{
	if (db != NULL && pw_db_in_transaction(db))
		(void)pw_q_exec(db, stmt);
}

static void
report(struct pw_writer *w, enum pw_db_rc rc, const char *why)
{
	uint64_t now = pw_clock_mono_ms();

	if (w->failing_since_ms == 0)
		w->failing_since_ms = now;
	else if (now < w->next_report_ms)
		return;
	w->next_report_ms = now + REPORT_MS;
	pw_logf(PW_LOG_ERROR, "store.database",
	    "the databases take no rows (%s: %s); mail is kept by the journal "
	    "meanwhile, trying again",
	    pw_db_rc_name(rc), why);
}

/* Closed, it is examined when it is opened again: what is damaged inside but
 * opens well is set aside here. */
static void
set_aside(struct pw_writer *w, struct pw_db **db, const char *path,
    unsigned keep)
{
	struct pw_err err;

	pw_logf(PW_LOG_ERROR, "store.database_damaged",
	    "%s is damaged (%s); it is set aside as %s.damaged-* and a new one "
	    "is begun",
	    path, pw_db_why(*db), path);
	pw_db_close(db);
	if (pw_db_move_aside(path, keep, &err) != 0)
		pw_logf(PW_LOG_ERROR, "store.database", "%s", err.text);
	w->fresh_ix = w->fresh_ix || path == w->ix_path;
}

/* ---- databases that went away -------------------------------------------- */

static bool
gone(const struct pw_db *db)
{
	return db != NULL && pw_db_replaced(db);
}

bool
pw_writer_check_replaced(struct pw_writer *w)
{
	bool ix = gone(w->ix), dc = gone(w->dc);

	if (!ix && !dc)
		return false;
	/* A batch that was under way is not finished in either. */
	pw_writer_roll_back(w->ix, PW_Q_IX_ROLLBACK);
	pw_writer_roll_back(w->dc, PW_Q_DC_ROLLBACK);
	pw_strmap_clear(&w->boxes);
	w->ndeltas = 0;
	if (ix) {
		pw_logf(PW_LOG_ERROR, "store.index_replaced",
		    "%s was removed or exchanged; the index is made again from "
		    "the mailboxes",
		    w->ix_path);
		pw_db_close(&w->ix);
		w->fresh_ix = true;
	}
	if (dc) {
		pw_logf(PW_LOG_ERROR, "store.decisions_replaced",
		    "%s was removed or exchanged; new decisions go to what is "
		    "there now",
		    w->dc_path);
		pw_db_close(&w->dc);
	}
	return true;
}

void
pw_writer_failed(struct pw_writer *w, enum pw_db_rc rc, const char *why)
{
	struct pw_err err = { 0 };

	pw_writer_roll_back(w->ix, PW_Q_IX_ROLLBACK);
	pw_writer_roll_back(w->dc, PW_Q_DC_ROLLBACK);
	pw_strmap_clear(&w->boxes);
	memset(w->dns_seen, 0, sizeof(w->dns_seen));
	w->ndeltas = 0;
	__atomic_store_n(&w->healthy, false, __ATOMIC_RELEASE);
	w->backoff_ms = w->backoff_ms == 0 ? BACKOFF_FIRST_MS :
	    w->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS :
						 w->backoff_ms * 2;
	if (w->ix == NULL || w->dc == NULL) {
		report(w, rc, why);
		return;
	}
	/* Which of the two it was: their last errors tell. */
	bool index = pw_db_last(w->ix) == rc;
	struct pw_db **db = index ? &w->ix : &w->dc;
	(void)pw_err_set(&err, 0, "%s: %s", index ? w->ix_path : w->dc_path,
	    pw_db_why(*db));
	report(w, rc, err.text);
	if (rc == PW_DB_CORRUPT)
		set_aside(w, db, index ? w->ix_path : w->dc_path,
		    index ? 1 : 3);
	else if (rc == PW_DB_IO || rc == PW_DB_BAD)
		pw_writer_close_dbs(w); /* a connection may be beyond help */
}

void
pw_writer_recovered(struct pw_writer *w)
{
	if (w->failing_since_ms != 0)
		pw_logf(PW_LOG_NOTICE, "store.database",
		    "the databases take rows again, after %llu ms",
		    (unsigned long long)(pw_clock_mono_ms() -
			w->failing_since_ms));
	w->failing_since_ms = 0;
	w->backoff_ms = 0;
	__atomic_store_n(&w->healthy, true, __ATOMIC_RELEASE);
}

/* ---- between batches ----------------------------------------------------- */

static void
checkpoint(struct pw_db *db, bool idle)
{
	int pages = pw_db_wal_pages(db);

	if (pages >= WAL_RESTART)
		(void)pw_db_checkpoint(db, true);
	else if (pages >= WAL_PASSIVE || (idle && pages >= WAL_PASSIVE / 2))
		(void)pw_db_checkpoint(db, false);
}

struct old_gone {
	struct pw_bytes mailbox, base;
	int64_t msg;
};

static enum pw_db_rc
forget_one(struct pw_writer *w, const struct old_gone *g)
{
	struct pw_q *q = pw_q(w->ix, PW_Q_GONE_REMOVE);

	pw_q_text(q, 1, g->mailbox);
	pw_q_text(q, 2, g->base);
	enum pw_db_rc rc = pw_q_run(q);
	return rc == PW_DB_DONE ? pw_row_drop_ref(w, g->msg) : rc;
}

/* True: there may be more. */
static bool
forget_gone(struct pw_writer *w)
{
	struct old_gone old[200];
	size_t n = 0;
	struct pw_q *q = pw_q(w->ix, PW_Q_GONE_OLD);
	enum pw_db_rc rc;

	pw_pool_reset(w->pool);
	pw_q_int(q, 1, pw_clock_real_us() - GONE_US);
	while (n < PW_COUNT(old) && pw_q_step(q) == PW_DB_ROW) {
		old[n].mailbox = pw_pool_copy(w->pool, pw_q_bytes(q, 0));
		old[n].base = pw_pool_copy(w->pool, pw_q_bytes(q, 1));
		old[n++].msg = pw_q_i64(q, 2);
	}
	pw_q_reset(q);
	if (n == 0 || pw_q_exec(w->ix, PW_Q_IX_BEGIN) != PW_DB_DONE)
		return false;
	rc = PW_DB_DONE;
	for (size_t i = 0; i < n && rc == PW_DB_DONE; i++)
		rc = forget_one(w, &old[i]);
	if (rc == PW_DB_DONE)
		rc = pw_q_exec(w->ix, PW_Q_IX_COMMIT);
	if (rc != PW_DB_DONE)
		pw_writer_roll_back(w->ix, PW_Q_IX_ROLLBACK);
	return rc == PW_DB_DONE && n == PW_COUNT(old);
}

void
pw_writer_care(struct pw_writer *w, bool idle)
{
	uint64_t now = pw_clock_mono_ms();
	struct pw_err err;

	if (w->ix != NULL && w->dc != NULL) {
		checkpoint(w->ix, idle);
		checkpoint(w->dc, idle);
	}
	if (now < w->next_care_ms)
		return;
	w->next_care_ms = now + CARE_MS;
	(void)pw_writer_check_replaced(w);
	if (w->ix == NULL || w->dc == NULL) {
		enum pw_db_rc rc = pw_writer_ensure(w, &err);
		if (rc != PW_DB_DONE)
			report(w, rc, err.text);
		else
			pw_writer_recovered(w);
		return;
	}
	bool more = pw_writer_retain(w);
	if (forget_gone(w) || more)
		w->next_care_ms = now + CARE_MS / 20;
}
