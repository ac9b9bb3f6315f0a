/* SPDX-License-Identifier: ISC */
/*
 * The writer's thread: takes what has come, at most 256 operations, and commits
 * it in one transaction for each database; waits and tries again while a
 * database fails.  Owned by the store; its queue's entrance is writer_op.c.
 */
#include "storage/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "storage/writer_private.h"

#define QUEUE_MAX 20000
#define QUEUE_BYTES ((size_t)128 << 20)
/* Rows may wait this long for company, unless somebody waits for them. */
#define LINGER_MS 100
#define IDLE_MS 1000
#define CLOSE_MS 5000

/* ---- usage --------------------------------------------------------------- */

void
pw_writer_usage_queued(struct pw_writer *w, const struct pw_op *op, bool add)
{
	if (op->nfiles == 0)
		return;
	(void)pthread_mutex_lock(&w->usage_lock);
	for (size_t i = 0; i < op->nfiles; i++) {
		struct pw_strmap_val *v =
		    pw_strmap_put(&w->usage, op->files[i].mailbox, NULL);
		if (add)
			v->b += op->files[i].size;
		else
			v->b -= op->files[i].size;
	}
	(void)pthread_mutex_unlock(&w->usage_lock);
}

void
pw_writer_delta(struct pw_writer *w, struct pw_bytes mailbox, int64_t bytes)
{
	if (w->ndeltas == w->deltas_cap) {
		w->deltas_cap = w->deltas_cap > 0 ? w->deltas_cap * 2 : 256;
		w->deltas = pw_xrealloc(w->deltas, w->deltas_cap,
		    sizeof(*w->deltas));
	}
	w->deltas[w->ndeltas++] = (struct pw_usage_delta){ mailbox, bytes };
}

void
pw_writer_usage_commit(struct pw_writer *w)
{
	(void)pthread_mutex_lock(&w->usage_lock);
	for (size_t i = 0; i < w->ndeltas; i++) {
		const struct pw_usage_delta *d = &w->deltas[i];
		struct pw_strmap_val *v =
		    pw_strmap_put(&w->usage, d->mailbox, NULL);
		if (d->bytes < 0 && v->a < (uint64_t)-d->bytes)
			v->a = 0;
		else
			v->a += (uint64_t)d->bytes;
	}
	(void)pthread_mutex_unlock(&w->usage_lock);
	w->ndeltas = 0;
}

uint64_t
pw_writer_usage(struct pw_writer *w, struct pw_bytes mailbox)
{
	(void)pthread_mutex_lock(&w->usage_lock);
	const struct pw_strmap_val *v = pw_strmap_get(&w->usage, mailbox);
	uint64_t n = v != NULL ? v->a + v->b : 0;
	(void)pthread_mutex_unlock(&w->usage_lock);
	return n;
}

/* ---- a batch ------------------------------------------------------------- */

static void
log_refused(struct pw_writer *w, const struct pw_op *op)
{
	struct pw_log_line l;

	w->refused++;
	pw_log_begin(&l, PW_LOG_ERROR, "store.row_refused", NULL, NULL);
	pw_log_i(&l, "kind", op->kind);
	if (op->nfiles > 0) {
		pw_log_peer(&l, "mailbox", pw_peer(op->files[0].mailbox));
		pw_log_peer(&l, "file", pw_peer(op->files[0].base));
	}
	pw_log_s(&l, "index", pw_db_why(w->ix));
	pw_log_s(&l, "decisions", pw_db_why(w->dc));
	pw_log_end(&l);
}

/* All rows of OPS.  A row that no database will ever take is left out, so that
 * it cannot hold up what comes behind it. */
static enum pw_db_rc
write_rows(struct pw_writer *w, const struct pw_op *ops)
{
	enum pw_db_rc rc;

	if ((rc = pw_q_exec(w->dc, PW_Q_DC_BEGIN)) != PW_DB_DONE ||
	    (rc = pw_q_exec(w->ix, PW_Q_IX_BEGIN)) != PW_DB_DONE)
		return rc;
	for (const struct pw_op *op = ops; op != NULL; op = op->next) {
		pw_pool_reset(w->pool);
		rc = pw_writer_rows(w, op);
		if (rc == PW_DB_BAD)
			log_refused(w, op);
		else if (rc != PW_DB_DONE)
			return rc;
	}
	/* Decisions first: rows of the index can be made again from them. */
	if ((rc = pw_q_exec(w->dc, PW_Q_DC_COMMIT)) != PW_DB_DONE)
		return rc;
	/* Removed before that commit, the file took them with it.  What the
	 * index loses later, the mailboxes give back. */
	if (pw_db_replaced(w->dc) || pw_db_replaced(w->ix))
		return PW_DB_IO;
	return pw_q_exec(w->ix, PW_Q_IX_COMMIT);
}

static enum pw_db_rc
write_batch(struct pw_writer *w, const struct pw_op *ops, struct pw_err *err)
{
	enum pw_db_rc rc;

	(void)pw_writer_check_replaced(w);
	rc = pw_writer_ensure(w, err);
	w->ndeltas = 0;
	if (rc == PW_DB_DONE) {
		pw_db_forget(w->ix);
		pw_db_forget(w->dc);
		rc = write_rows(w, ops);
		/* "Refused" here is a COMMIT or BEGIN: not one row's fault. */
		if (rc == PW_DB_BAD || rc == PW_DB_EXISTS ||
		    rc == PW_DB_NEWER)
			rc = PW_DB_IO;
	}
	return rc;
}

static enum pw_db_rc
try_batch(struct pw_writer *w, const struct pw_op *ops)
{
	struct pw_err err = { 0 };
	enum pw_db_rc rc = write_batch(w, ops, &err);

	/* A database went away meanwhile: into the one that is there now. */
	if (rc != PW_DB_DONE && pw_writer_check_replaced(w))
		rc = write_batch(w, ops, &err);
	if (rc == PW_DB_DONE)
		pw_writer_recovered(w);
	else
		pw_writer_failed(w, rc, err.text);
	return rc;
}

static void
free_ops(struct pw_op *ops)
{
	while (ops != NULL) {
		struct pw_op *next = ops->next;
		free(ops);
		ops = next;
	}
}

/* ---- the thread ---------------------------------------------------------- */

static struct timespec
after_ms(unsigned ms)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += (long)(ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

/* What has come, at most a batch; NULL after IDLE_MS of nothing or at the end.
 * They stay counted as queued until they are committed. */
static struct pw_op *
take(struct pw_writer *w, size_t *n)
{
	struct timespec until = after_ms(IDLE_MS);
	struct pw_op *ops = NULL, **last;

	(void)pthread_mutex_lock(&w->lock);
	while (w->head == NULL && !w->stop)
		if (pthread_cond_timedwait(&w->work, &w->lock, &until) != 0)
			break;
	until = after_ms(LINGER_MS);
	while (w->head != NULL && !w->stop && w->waiting == 0 &&
	    w->queued < PW_BATCH_MAX)
		if (pthread_cond_timedwait(&w->work, &w->lock, &until) != 0)
			break;
	last = &w->head;
	for (*n = 0; *n < PW_BATCH_MAX && *last != NULL; (*n)++)
		last = &(*last)->next;
	if (*n > 0) {
		ops = w->head;
		w->head = *last;
		*last = NULL;
		if (w->head == NULL)
			w->tail = &w->head;
	}
	(void)pthread_mutex_unlock(&w->lock);
	return ops;
}

static void
finished(struct pw_writer *w, struct pw_op *ops, size_t n)
{
	size_t bytes = 0;
	uint64_t last = 0;

	/* Committed rows count first, so that no moment misses them. */
	pw_writer_usage_commit(w);
	for (struct pw_op *op = ops; op != NULL; op = op->next) {
		bytes += op->bytes;
		last = op->ticket;
		if (op->kind == PW_OP_RECORD)
			pw_writer_usage_queued(w, op, false);
	}
	(void)pthread_mutex_lock(&w->lock);
	w->queued -= n;
	w->queued_bytes -= bytes;
	w->done = last;
	w->batches++;
	w->rows += n;
	w->wal_ix = pw_db_wal_pages(w->ix);
	w->wal_dc = pw_db_wal_pages(w->dc);
	(void)pthread_cond_broadcast(&w->finished);
	(void)pthread_mutex_unlock(&w->lock);
	free_ops(ops);
}

/* Waits out the back-off; false when the writer is to end and has tried long
 * enough. */
static bool
may_retry(struct pw_writer *w, uint64_t *stop_since)
{
	struct timespec until = after_ms(w->backoff_ms);

	(void)pthread_mutex_lock(&w->lock);
	w->retries++;
	while (!w->stop)
		if (pthread_cond_timedwait(&w->work, &w->lock, &until) != 0)
			break;
	bool stop = w->stop;
	(void)pthread_mutex_unlock(&w->lock);
	if (!stop)
		return true;
	if (*stop_since == 0)
		*stop_since = pw_clock_mono_ms();
	(void)nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	return pw_clock_mono_ms() - *stop_since < CLOSE_MS;
}

static bool
is_over(struct pw_writer *w)
{
	(void)pthread_mutex_lock(&w->lock);
	bool over = w->stop && w->head == NULL;
	(void)pthread_mutex_unlock(&w->lock);
	return over;
}

static void *
writer_thread(void *arg)
{
	struct pw_writer *w = arg;
	uint64_t stop_since = 0;

	while (!is_over(w)) {
		size_t n;
		struct pw_op *ops = take(w, &n);
		if (ops != NULL) {
			while (try_batch(w, ops) != PW_DB_DONE)
				if (!may_retry(w, &stop_since)) {
					free_ops(ops);
					return NULL;
				}
			finished(w, ops, n);
		}
		pw_writer_care(w, ops == NULL);
	}
	return NULL;
}

/* ---- the owner's side ---------------------------------------------------- */

uint64_t
pw_writer_done(struct pw_writer *w)
{
	(void)pthread_mutex_lock(&w->lock);
	uint64_t done = w->done;
	(void)pthread_mutex_unlock(&w->lock);
	return done;
}

uint64_t
pw_writer_last(struct pw_writer *w)
{
	(void)pthread_mutex_lock(&w->lock);
	uint64_t last = w->issued;
	(void)pthread_mutex_unlock(&w->lock);
	return last;
}

int
pw_writer_wait(struct pw_writer *w, uint64_t ticket, unsigned ms)
{
	struct timespec until = after_ms(ms);

	(void)pthread_mutex_lock(&w->lock);
	/* Ends the lingering of the batch that is gathered now. */
	if (w->waiting++ == 0)
		(void)pthread_cond_signal(&w->work);
	while (w->done < ticket)
		if (pthread_cond_timedwait(&w->finished, &w->lock, &until) != 0)
			break;
	w->waiting--;
	int r = w->done >= ticket ? 0 : -1;
	(void)pthread_mutex_unlock(&w->lock);
	return r;
}

bool
pw_writer_healthy(struct pw_writer *w)
{
	return __atomic_load_n(&w->healthy, __ATOMIC_ACQUIRE);
}

uint64_t
pw_writer_epoch(struct pw_writer *w)
{
	return __atomic_load_n(&w->epoch, __ATOMIC_ACQUIRE);
}

void
pw_writer_keep(struct pw_writer *w, uint64_t keep_decisions_ms,
    uint64_t keep_early_ms, uint64_t max_bytes)
{
	__atomic_store_n(&w->keep_ms, keep_decisions_ms, __ATOMIC_RELAXED);
	__atomic_store_n(&w->keep_early_ms, keep_early_ms, __ATOMIC_RELAXED);
	__atomic_store_n(&w->max_dc_bytes, max_bytes, __ATOMIC_RELAXED);
}

void
pw_writer_status(struct pw_writer *w, struct pw_strbuf *out)
{
	(void)pthread_mutex_lock(&w->lock);
	pw_strbuf_addf(out,
	    "writer.healthy %d\nwriter.queued %zu\nwriter.queued_bytes %zu\n"
	    "writer.batches %llu\nwriter.rows %llu\nwriter.refused %llu\n"
	    "writer.retries %llu\nwriter.wal_pages_index %d\n"
	    "writer.wal_pages_decisions %d\nwriter.bound_drops %llu\n",
	    pw_writer_healthy(w), w->queued, w->queued_bytes,
	    (unsigned long long)w->batches, (unsigned long long)w->rows,
	    (unsigned long long)w->refused, (unsigned long long)w->retries,
	    w->wal_ix, w->wal_dc,
	    (unsigned long long)__atomic_load_n(&w->bound_drops,
		__ATOMIC_RELAXED));
	(void)pthread_mutex_unlock(&w->lock);
}

static char *
file_in(const char *dir, const char *name)
{
	size_t n = strlen(dir) + strlen(name) + 2;
	char *path = pw_xcalloc(1, n);

	(void)snprintf(path, n, "%s/%s", dir, name);
	return path;
}

static struct pw_writer *
writer_new(const struct pw_writer_opts *opts)
{
	struct pw_writer *w = pw_xcalloc(1, sizeof(*w));
	pthread_condattr_t attr;

	w->ix_path = file_in(opts->state_dir, "index.db");
	w->dc_path = file_in(opts->state_dir, "decisions.db");
	w->keep_ms = opts->keep_decisions_ms;
	w->keep_early_ms = opts->keep_early_ms;
	w->max_dc_bytes = opts->max_bytes;
	w->max_queue = opts->max_queue > 0 ? opts->max_queue : QUEUE_MAX;
	w->max_bytes = QUEUE_BYTES;
	w->tail = &w->head;
	w->pool = pw_pool_new(0);
	pw_strmap_init(&w->usage);
	pw_strmap_init(&w->boxes);
	pw_strbuf_init(&w->key, 4096);
	pw_strbuf_init(&w->evidence, 8u << 20);
	pw_strbuf_init(&w->runs, 1u << 20);
	pw_strbuf_init(&w->dns, 8192);
	pw_enc_init(&w->enc, 1u << 20);
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_mutex_init(&w->usage_lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&w->work, &attr);
	(void)pthread_cond_init(&w->finished, &attr);
	(void)pthread_condattr_destroy(&attr);
	return w;
}

static void
writer_free(struct pw_writer *w)
{
	pw_writer_close_dbs(w);
	free_ops(w->head);
	pw_strmap_clear(&w->usage);
	pw_strbuf_free(&w->key);
	pw_strbuf_free(&w->evidence);
	pw_strbuf_free(&w->runs);
	pw_strbuf_free(&w->dns);
	pw_enc_free(&w->enc);
	pw_pool_free(&w->pool);
	(void)pthread_mutex_destroy(&w->lock);
	(void)pthread_mutex_destroy(&w->usage_lock);
	(void)pthread_cond_destroy(&w->work);
	(void)pthread_cond_destroy(&w->finished);
	free(w->deltas);
	free(w->ix_path);
	free(w->dc_path);
	free(w);
}

int
pw_writer_open(const struct pw_writer_opts *opts, struct pw_writer **out,
    struct pw_err *err)
{
	struct pw_writer *w = writer_new(opts);
	enum pw_db_rc rc = pw_writer_ensure(w, err);

	*out = NULL;
	if (rc != PW_DB_DONE && rc != PW_DB_BUSY && rc != PW_DB_FULL) {
		writer_free(w);
		return -1;
	}
	w->healthy = rc == PW_DB_DONE;
	if (!w->healthy)
		pw_logf(PW_LOG_ERROR, "store.database",
		    "%s; rows wait until that is over", err->text);
	if (pthread_create(&w->thread, NULL, writer_thread, w) != 0) {
		writer_free(w);
		return pw_err_set(err, 0, "cannot start the writer's thread");
	}
	*out = w;
	return 0;
}

void
pw_writer_close(struct pw_writer **wp)
{
	struct pw_writer *w = *wp;

	if (w == NULL)
		return;
	*wp = NULL;
	(void)pthread_mutex_lock(&w->lock);
	w->stop = true;
	(void)pthread_cond_broadcast(&w->work);
	(void)pthread_mutex_unlock(&w->lock);
	(void)pthread_join(w->thread, NULL);
	if (w->done < w->issued)
		pw_logf(PW_LOG_ERROR, "store.database",
		    "%llu rows are not written; the journal keeps them",
		    (unsigned long long)(w->issued - w->done));
	writer_free(w);
}
