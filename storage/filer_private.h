/* SPDX-License-Identifier: ISC */
/*
 * What the files behind filer.h share: the job, which is one delivery on its
 * way through the threads, their queues, and the steps of each.
 */
#ifndef PW_STORAGE_FILER_PRIVATE_H
#define PW_STORAGE_FILER_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/pool.h"
#include "storage/filer.h"
#include "storage/folders.h"
#include "storage/journal.h"
#include "storage/msgfile.h"
#include "storage/record.h"

#define PW_FILER_WAITING_MAX 4096u
/* Prepared records that may wait for the commit thread. */
#define PW_FILER_COMMIT_MAX ((size_t)64 << 20)

enum pw_job_kind {
	PW_JOB_DELIVER = 0,
	PW_JOB_FINISH, /* renamed; folders to be synced (bodyless record) */
	PW_JOB_SPOOL,
	PW_JOB_SPOOL_DROP,
	PW_JOB_ASIDE
};

/* A file of a delivery. */
struct pw_file {
	struct pw_rfile r;
	char name[PW_MAILDIR_NAME_MAX + 1]; /* r.base */
	struct pw_folder *folder; /* referenced while the job is under way */
	uint64_t inode;
	bool in_tmp, in_new;
	bool whole; /* pw_file_look(): has its size */
};

struct pw_job {
	struct pw_job *next;
	enum pw_job_kind kind;
	pw_store_cb cb;
	void *arg;
	/* The answer. */
	enum pw_store_code code;
	char reason[160];
	const char **fate;
	size_t nfate;
	/* DELIVER, FINISH */
	struct pw_pool *pool;
	struct pw_delivery *d;
	const char *const *path;
	int64_t us;
	bool large;     /* above the journal's bound: synced file by file */
	bool unsettled; /* its record counts in its segment */
	bool cancel;    /* nothing of it may appear: its record is void */
	struct pw_msgform form; /* of the body */
	size_t nfile, ncut;
	struct pw_file *file;
	struct pw_rcut *cut;
	struct pw_enc enc;
	struct pw_jrec rec;
	size_t decision_at, meta_at; /* marks in enc */
	/* SPOOL, SPOOL_DROP, ASIDE */
	struct pw_id spool;
	int fd;
	uint64_t len;
	char *why;
};

/* Bytes are those of the records that the jobs have built. */
struct pw_queue {
	pthread_mutex_t lock;
	pthread_cond_t more, less;
	struct pw_job *head, **tail;
	size_t bytes;
	bool stopped;
};
void pw_queue_init(struct pw_queue *q);
void pw_queue_fini(struct pw_queue *q);
void pw_queue_push(struct pw_queue *q, struct pw_job *job);
/* Waits, at most MS (0: no limit), for at least one and takes up to MAX jobs
 * as a list, or NULL.  *STOPPED: it was stopped and is empty now. */
struct pw_job *pw_queue_take(struct pw_queue *q, size_t max, unsigned ms,
    bool *stopped);
/* Waits while more than BYTES are queued. */
void pw_queue_drain_to(struct pw_queue *q, size_t bytes);
void pw_queue_stop(struct pw_queue *q);

struct pw_spool;

struct pw_filer {
	struct pw_loop *loop;
	struct pw_writer *writer;
	void (*expect)(void *arg, struct pw_bytes base);
	void (*replayed)(void *arg, const char *host);
	void *expect_arg;
	int state_dir, mail_root;
	int root[2];    /* by enum pw_place */
	bool two_disks; /* state and mail are on different file systems */
	struct pw_journal *journal;
	struct pw_folders *folders;
	struct pw_spool *spool;

	pthread_mutex_t lock; /* of host */
	char host[101];
	_Atomic uint64_t journal_message, checkpoint_ms, min_free, keep_aside;
	_Atomic unsigned quota_grace;

	struct pw_queue write_queue, commit_queue;
	pthread_t *writer_thread;
	unsigned nwriter;
	pthread_t commit_thread, checkpoint_thread;
	bool commit_started, checkpoint_started;
	pthread_mutex_t tick_lock;
	pthread_cond_t tick;
	bool tick_stop, tick_now;
	uint64_t unwell_ms; /* checkpoint: not again before this */

	/* Answers on their way to the loop. */
	pthread_mutex_t done_lock;
	struct pw_job *done, **done_tail;
	struct pw_io wake;
	int wake_fd;

	/* The commit thread's: records that must be cancelled, and the jobs
	 * that are answered once that is durable. */
	uint64_t *void_seq;
	size_t nvoid, void_cap;
	struct pw_job *void_jobs, **void_tail;
	const struct pw_segment *last_seg; /* written to; only compared */
	uint64_t full_since_ms; /* no segment is free since; 0 */

	struct pw_replay *replay; /* what could not be filed yet */

	size_t waiting; /* the loop's: not yet answered */
	bool closing;
	pthread_mutex_t aside_lock;
	_Atomic bool no_space;
	_Atomic uint64_t delivered, failed, batch_max, checkpoints, rewritten;
};

/* ---- answers (filer.c) ---- */

/* Records the failure; only the first counts.  Always -1. */
int pw_job_fail(struct pw_job *job, enum pw_store_code code, const char *fmt,
    ...) __attribute__((format(printf, 3, 4)));
/* The same by errno: no space or quota of the disk is NOSPACE, else OTHER. */
int pw_job_fail_sys(struct pw_job *job, enum pw_store_code other,
    const char *what);
/* Hands the list to the loop; any thread. */
void pw_filer_done(struct pw_filer *f, struct pw_job *jobs);
/* Answers all of those; the loop's thread. */
void pw_filer_answer(struct pw_filer *f);
void pw_filer_on_wake(struct pw_io *io, uint32_t ready);

/* ---- prepare.c: the writer threads' part of a delivery ---- */

struct pw_scratch {
	char *buf, *half;
	size_t n; /* of each */
};
void pw_scratch_need(struct pw_scratch *s, size_t n);
void pw_scratch_free(struct pw_scratch *s);
/* Files complete in tmp/ and the record built: 0, else the job's code says
 * why not, and nothing is left. */
int pw_prepare(struct pw_filer *f, struct pw_scratch *s, struct pw_job *job);

/* ---- plan.c: which files, in which form, and the record ---- */

/* 0, -1 when the job failed, 1 when the record is too large for the journal:
 * then it is planned as a large one. */
int pw_plan_small(struct pw_filer *f, struct pw_scratch *s,
    struct pw_job *job, int fd);
int pw_plan_large(struct pw_filer *f, struct pw_scratch *s,
    struct pw_job *job, int fd);

/* ---- filing.c: files of one job, or of one record ---- */

int pw_file_open_tmp(struct pw_filer *f, struct pw_file *file);
/* Closes *FD, which was written; 0, or -1 and errno. */
int pw_file_close(struct pw_file *file, int *fd, bool sync);
/* A whole small file in tmp/; an old one of its name goes first with AGAIN. */
int pw_file_write(struct pw_filer *f, struct pw_file *file,
    struct pw_bytes body, bool again, bool sync);
int pw_file_rename(struct pw_filer *f, struct pw_file *file);
/* Sets .in_tmp and .in_new (and .inode) by what is there, making nothing; 0,
 * or -1 and errno. */
int pw_file_look(struct pw_filer *f, struct pw_file *file);
/* Takes the files of a delivery away again from tmp/ and, where no reader has
 * moved them yet, from new/. */
void pw_files_remove(struct pw_file *file, size_t n);
void pw_files_release(struct pw_filer *f, struct pw_file *file, size_t n);
/* What R says of file I, to be used with the functions above. */
void pw_file_of(struct pw_file *file, const struct pw_rfile *r);
/* Rows that the SQLite writer may be behind: below its own bound, so that a
 * delivery is refused before anything of it was made. */
#define PW_ROWS_WAITING_MAX 15000u
uint64_t pw_rows_waiting(const struct pw_filer *f);
/* Gives the rows of a record to the SQLite writer: the last ticket, or 0 when
 * it did not take all of them.  FILE: those that are there. */
uint64_t pw_rows(struct pw_filer *f, struct pw_pool *pool,
    const struct pw_record *r, const struct pw_file *file, size_t n);

/* ---- threads ---- */

void *pw_writer_main(void *filer);

void *pw_commit_main(void *filer);
/* A writer thread's: a large message is renamed, its folders are to be synced;
 * answers it, or hands it back to the commit thread to be cancelled. */
void pw_commit_finish(struct pw_filer *f, struct pw_job *job);

void *pw_checkpoint_main(void *filer);
/* Wakes the checkpoint thread; any thread. */
void pw_checkpoint_now(struct pw_filer *f);
/* One round of what it does; FORCE: also a young segment. */
void pw_checkpoint_round(struct pw_filer *f, bool force);

/* ---- replay.c ---- */

struct pw_replay;
/* Reads all live segments; what is to be done for each record. */
int pw_replay_open(struct pw_filer *f, struct pw_replay **out,
    struct pw_err *err);
/* Does it; how many records are left because something failed. */
size_t pw_replay_run(struct pw_filer *f, struct pw_replay *r);
void pw_replay_free(struct pw_replay **r);
/* filer_open.c: what is left of the replay, if anything. */
void pw_filer_replay(struct pw_filer *f);

/* ---- locate.c: where files lie that were filed once ---- */

struct pw_locate;
struct pw_found {
	struct pw_found *next;
	struct pw_bytes folder;
	bool in_new;
	const char *name;
};
struct pw_locate *pw_locate_new(void);
void pw_locate_free(struct pw_locate **l);
void pw_locate_want(struct pw_locate *l, const struct pw_rfile *f);
/* Looks through all folders of all mailboxes that were named. 0, or -1 and
 * errno: then some may not have been found. */
int pw_locate_run(struct pw_locate *l, const int root[2]);
const struct pw_found *pw_locate_get(struct pw_locate *l,
    const struct pw_rfile *f);

/* ---- repair.c: making them whole again ---- */

enum pw_repair {
	PW_REPAIR_WHOLE,    /* it is as it should be */
	PW_REPAIR_REPLACED, /* now it is */
	PW_REPAIR_GONE,     /* not there any more */
	PW_REPAIR_FAILED    /* errno */
};
/* Compares WANT, a file of REC, as it lies at AT with the record (its size
 * only when the record has no body) or, with FORCE, takes it for bad; replaces
 * it in its place, keeping its name; SYNC: durably. */
enum pw_repair pw_repair(struct pw_filer *f, const struct pw_record *rec,
    const struct pw_rfile *want, const struct pw_found *at, bool force,
    bool sync);
/* Writes every file of SEG anew, durably: a sync of their file system failed.
 * 0, or -1 and errno. */
int pw_rewrite_segment(struct pw_filer *f, struct pw_segment *seg);
/* Gives the rows of every record of SEG again; the last ticket, or 0 when not
 * all were taken. */
uint64_t pw_repay_segment(struct pw_filer *f, struct pw_segment *seg);

/* ---- spool.c, aside.c ---- */

int pw_spool_start(struct pw_filer *f, struct pw_err *err);
void pw_spool_end(struct pw_filer *f);
/* A piece or a drop, and what waited behind it; answers them. */
void pw_spool_work(struct pw_filer *f, struct pw_scratch *s,
    struct pw_job *job);
int pw_spool_read(struct pw_filer *f, const struct pw_id *id);
void pw_aside_write(struct pw_filer *f, struct pw_scratch *s,
    struct pw_job *job);

#endif
