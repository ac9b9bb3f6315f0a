/* SPDX-License-Identifier: ISC */
/*
 * What the files of the writer share: the operations that wait, and the state
 * of its thread.  Fields below "thread" belong to the writer's thread alone.
 */
#ifndef PW_STORAGE_WRITER_PRIVATE_H
#define PW_STORAGE_WRITER_PRIVATE_H

#include <pthread.h>

#include "base/strbuf.h"
#include "storage/address.h"
#include "storage/db.h"
#include "storage/strmap.h"
#include "storage/writer.h"

enum pw_op_kind {
	PW_OP_RECORD, /* a decision, with files or without */
	PW_OP_CUT,
	PW_OP_SEEN,
	PW_OP_GONE,
	PW_OP_META,
	PW_OP_UIDS
};

/* One operation, a single block of memory with all that it points to. */
struct pw_op {
	struct pw_op *next;
	enum pw_op_kind kind;
	uint64_t ticket;
	size_t bytes;  /* of the whole block */
	struct pw_bytes decision, meta;
	struct pw_bytes text; /* info of SEEN; bytes of CUT */
	struct pw_bytes tid;
	uint64_t offset;
	size_t nfiles;
	struct pw_filed *files; /* SEEN, GONE, META: one */
	uint32_t uidvalidity;   /* UIDS: files[0] names the folder */
	size_t nuids;
	struct pw_uid_row *uids;
	bool early; /* RECORD: of no message, may be lost */
};

/* A change of what a mailbox holds, counted when its rows are committed. */
struct pw_usage_delta {
	struct pw_bytes mailbox; /* in the op */
	int64_t bytes;
};

#define PW_BATCH_MAX 256
#define PW_DNS_SEEN 4096 /* answers remembered as written today */

struct pw_writer {
	char *ix_path, *dc_path;
	size_t max_queue, max_bytes;
	uint64_t keep_ms, keep_early_ms, max_dc_bytes; /* atomic */
	uint64_t bound_drops; /* atomic */
	uint64_t epoch;   /* atomic */
	bool healthy;     /* atomic */
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t work, finished;
	struct pw_op *head, **tail;
	size_t queued, queued_bytes;
	uint64_t issued, done;
	unsigned waiting; /* threads in pw_writer_wait() */
	bool stop;
	/* Counters, for status. */
	uint64_t batches, rows, refused, retries;
	int wal_ix, wal_dc;

	pthread_mutex_t usage_lock;
	struct pw_strmap usage; /* mailbox: a committed, b queued */

	/* thread */
	struct pw_db *ix, *dc;
	bool fresh_ix; /* the next open makes a new one */
	uint8_t ix_key[16], dc_key[16];
	struct pw_pool *pool;
	int64_t next_file;   /* id of the next row of file */
	int64_t find_bucket; /* of the next rows of find, and how many it has */
	unsigned find_rows;
	struct pw_strmap boxes; /* mailbox NUL folder: a id, b uidvalidity+1 */
	struct pw_strbuf key, evidence, runs, dns;
	struct pw_enc enc;
	struct {
		int64_t hash;
		uint32_t day;
		uint32_t len;
	} dns_seen[PW_DNS_SEEN];
	struct pw_usage_delta *deltas;
	size_t ndeltas, deltas_cap;
	uint64_t next_care_ms; /* retention and the like */
	uint64_t next_bound_ms; /* of the line about their size */
	uint64_t failing_since_ms, next_report_ms;
	unsigned backoff_ms;
};

/* ---- writer_db.c: the databases and what follows from their failures ----- */

/* Opens what is not open; DONE when both are. */
enum pw_db_rc pw_writer_ensure(struct pw_writer *w, struct pw_err *err);
void pw_writer_close_dbs(struct pw_writer *w);
/* Closes what was deleted or exchanged under us, where rows would go to a file
 * that nobody sees, and rolls back the other; true when there was such. */
bool pw_writer_check_replaced(struct pw_writer *w);
/* After a failed batch: rolls back, forgets what was cached, sets aside what is
 * damaged, logs.  WHY is for databases that could not be opened. */
void pw_writer_failed(struct pw_writer *w, enum pw_db_rc rc, const char *why);
void pw_writer_recovered(struct pw_writer *w);
/* Between batches: checkpoints, old records, traces of gone files. */
void pw_writer_care(struct pw_writer *w, bool idle);

void pw_writer_roll_back(struct pw_db *db, enum pw_stmt stmt);

/* ---- writer_keep.c: how long records stay --------------------------------- */

/* Removes a few that have had their time; true when there may be more. */
bool pw_writer_retain(struct pw_writer *w);
/* Bytes in use of decisions.db. */
uint64_t pw_writer_decision_bytes(struct pw_writer *w);

/* ---- writer_record.c: decisions.db; writer_rows.c: index.db -------------- */

/* Rows of one operation in the open transactions.  DONE, BAD (it was logged and
 * left out), or a failure of a whole database. */
enum pw_db_rc pw_writer_record(struct pw_writer *w, const struct pw_op *op,
    const struct pw_decision *d, const struct pw_meta *m, int64_t *id);
enum pw_db_rc pw_writer_cut_row(struct pw_writer *w, const struct pw_op *op);
enum pw_db_rc pw_writer_rows(struct pw_writer *w, const struct pw_op *op);

/* ---- writer_file.c: single rows of index.db ------------------------------ */

struct pw_file_row {
	bool there, has_msg, has_action;
	int64_t size, inode, prefix, action, msg, internal_us;
};
/* The row of F's folder, made when there is none: a its id, b its UIDVALIDITY
 * + 1, or 0.  Holds until the next call. */
enum pw_db_rc pw_row_box_of(struct pw_writer *w, const struct pw_filed *f,
    struct pw_strmap_val **val);
enum pw_db_rc pw_row_add_ref(struct pw_writer *w, int64_t msg, int64_t n);
/* The content goes with its last reference. */
enum pw_db_rc pw_row_drop_ref(struct pw_writer *w, int64_t msg);
/* ROW with *MSG, or DONE. */
enum pw_db_rc pw_row_by_tid(struct pw_writer *w, struct pw_bytes tid,
    int64_t *msg);
/* A new content with REFS references, or the one of transaction TID, its
 * references raised, when there is one.  Its id is the arrival. */
enum pw_db_rc pw_row_add_message(struct pw_writer *w, struct pw_bytes tid,
    struct pw_bytes auth, const struct pw_meta *m, int64_t arrival, size_t refs,
    int64_t *msg);
enum pw_db_rc pw_row_get_file(struct pw_writer *w, int64_t box,
    struct pw_bytes base, struct pw_file_row *r);
enum pw_db_rc pw_row_set_msg(struct pw_writer *w, int64_t box,
    const struct pw_filed *f, const struct pw_file_row *r);
/* *ADDED is false when such a row was there: then nothing was done. */
enum pw_db_rc pw_row_add_file(struct pw_writer *w, int64_t box,
    const struct pw_filed *f, struct pw_bytes info,
    const struct pw_file_row *r, bool *added);

/* What the record of the delivery knows of a file. */
struct pw_origin {
	struct pw_bytes tid, auth; /* in w->pool; "" when there is none */
	uint64_t prefix;
	bool has_action;
	int64_t action;
};
enum pw_db_rc pw_writer_origin(struct pw_writer *w, const struct pw_filed *f,
    struct pw_origin *o);

/* The time in a file's name in microseconds, or 0. */
int64_t pw_file_stamp(struct pw_bytes base);

/* Numbers of a mailbox's use. */
void pw_writer_usage_queued(struct pw_writer *w, const struct pw_op *op,
    bool add);
void pw_writer_usage_commit(struct pw_writer *w);
void pw_writer_delta(struct pw_writer *w, struct pw_bytes mailbox,
    int64_t bytes);

/* Evidence and runs of stages as JSON arrays. */
void pw_record_evidence(struct pw_strbuf *sb, const struct pw_decision *d);
void pw_record_runs(struct pw_strbuf *sb, const struct pw_decision *d);

#endif
