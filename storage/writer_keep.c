/* SPDX-License-Identifier: ISC */
/*
 * How long records stay: by age, each class its own, and by size, where what
 * never became a message goes first.  A few rows at once between batches, so
 * that no batch waits long.  Writer's thread.
 */
#include "base/clock.h"
#include "base/log.h"
#include "storage/writer_private.h"

#define DAY_US ((int64_t)86400 * 1000000)
#define REPORT_MS 600000

/* The first number of a row, or FALLBACK. */
static int64_t
number(struct pw_db *db, enum pw_stmt stmt, int64_t fallback)
{
	struct pw_q *q = pw_q(db, stmt);
	int64_t n = fallback;

	if (pw_q_step(q) == PW_DB_ROW && !pw_q_is_null(q, 0))
		n = pw_q_i64(q, 0);
	pw_q_reset(q);
	return n;
}

uint64_t
pw_writer_decision_bytes(struct pw_writer *w)
{
	int64_t pages = number(w->dc, PW_Q_DC_PAGES, 0) -
	    number(w->dc, PW_Q_DC_FREE, 0);

	return (uint64_t)(pages > 0 ? pages : 0) *
	    (uint64_t)number(w->dc, PW_Q_DC_PAGE_SIZE, 4096);
}

/* Oldest and newest of the rows that STMT finds below LIMIT. */
static bool
range(struct pw_writer *w, enum pw_stmt stmt, int64_t limit, int64_t out[2])
{
	struct pw_q *q = pw_q(w->dc, stmt);
	bool is;

	pw_q_int(q, 1, limit);
	is = pw_q_step(q) == PW_DB_ROW && !pw_q_is_null(q, 0);
	if (is) {
		out[0] = pw_q_i64(q, 0);
		out[1] = pw_q_i64(q, 1);
	}
	pw_q_reset(q);
	return is;
}

static enum pw_db_rc
run_all(struct pw_writer *w, const enum pw_stmt *stmt, size_t n,
    const int64_t ids[2])
{
	enum pw_db_rc rc = pw_q_exec(w->dc, PW_Q_DC_BEGIN);

	for (size_t i = 0; rc == PW_DB_DONE && i < n; i++) {
		struct pw_q *q = pw_q(w->dc, stmt[i]);

		pw_q_int(q, 1, ids[0]);
		pw_q_int(q, 2, ids[1]);
		rc = pw_q_run(q);
	}
	if (rc == PW_DB_DONE)
		rc = pw_q_exec(w->dc, PW_Q_DC_COMMIT);
	if (rc != PW_DB_DONE)
		pw_writer_roll_back(w->dc, PW_Q_DC_ROLLBACK);
	return rc;
}

/* The oldest records below LIMIT, of every kind.  True: there were some. */
static bool
drop_any(struct pw_writer *w, int64_t limit)
{
	static const enum pw_stmt drop[] = { PW_Q_OLD_RCPT, PW_Q_OLD_FILED,
		PW_Q_OLD_CUT, PW_Q_OLD_FIND, PW_Q_OLD_DECISION };
	int64_t ids[2];

	return range(w, PW_Q_OLD_BOUND, limit, ids) &&
	    run_all(w, drop, PW_COUNT(drop), ids) == PW_DB_DONE;
}

/* The same of those without a message. */
static bool
drop_early(struct pw_writer *w, int64_t limit)
{
	static const enum pw_stmt drop[] = { PW_Q_EARLY_RCPT, PW_Q_EARLY_FIND,
		PW_Q_EARLY_DECISION };
	int64_t ids[2];

	return range(w, PW_Q_EARLY_BOUND, limit, ids) &&
	    run_all(w, drop, PW_COUNT(drop), ids) == PW_DB_DONE;
}

/* Answers that no record rests on any more. */
static bool
drop_dns(struct pw_writer *w)
{
	int64_t oldest = number(w->dc, PW_Q_OLDEST, pw_clock_real_us());
	struct pw_q *q = pw_q(w->dc, PW_Q_OLD_DNS);

	pw_q_int(q, 1, oldest / DAY_US);
	return pw_q_run(q) == PW_DB_DONE && pw_db_changes(w->dc) > 0;
}

/* True when it was above its bound and something went. */
static bool
drop_by_size(struct pw_writer *w, uint64_t max)
{
	uint64_t now = pw_clock_mono_ms();
	bool early;

	if (max == 0 || pw_writer_decision_bytes(w) <= max)
		return false;
	early = drop_early(w, INT64_MAX);
	if (!early && !drop_any(w, INT64_MAX))
		return false;
	(void)__atomic_add_fetch(&w->bound_drops, 1, __ATOMIC_RELAXED);
	if (now >= w->next_bound_ms) {
		w->next_bound_ms = now + REPORT_MS;
		pw_logf(early ? PW_LOG_NOTICE : PW_LOG_WARN,
		    "store.decisions_bound",
		    "the records pass store.max-decisions: the oldest %s "
		    "removed before their time",
		    early ? "of those without a message are" : "are");
	}
	return true;
}

bool
pw_writer_retain(struct pw_writer *w)
{
	int64_t now = pw_clock_real_us();
	uint64_t keep = __atomic_load_n(&w->keep_ms, __ATOMIC_RELAXED);
	uint64_t early = __atomic_load_n(&w->keep_early_ms, __ATOMIC_RELAXED);
	bool more = false;

	if (keep != 0)
		more = drop_any(w, now - (int64_t)keep * 1000);
	if (early != 0)
		more |= drop_early(w, now - (int64_t)early * 1000);
	more |= drop_by_size(w,
	    __atomic_load_n(&w->max_dc_bytes, __ATOMIC_RELAXED));
	return drop_dns(w) || more;
}
