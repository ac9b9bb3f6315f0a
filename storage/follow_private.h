/* SPDX-License-Identifier: ISC */
/*
 * What the files of the follower share.  All below "thread" belongs to its own
 * thread; "shared" is under the lock.
 */
#ifndef PW_STORAGE_FOLLOW_PRIVATE_H
#define PW_STORAGE_FOLLOW_PRIVATE_H

#include <pthread.h>
#include <time.h>

#include "storage/db.h"
#include "storage/follow.h"
#include "storage/scan_dir.h"
#include "storage/strmap.h"
#include "storage/uidlist.h"

#define PW_FOLLOW_PARSE_OPEN 4       /* files with the parser at once */
#define PW_FOLLOW_PARSE_QUEUE 20000  /* files that wait for it */
#define PW_FOLLOW_TOUCHED 50000      /* files that one round may gather */
#define PW_FOLLOW_FILES_MAX 1000000  /* of one folder */
#define PW_FOLLOW_UIDLIST_MAX ((size_t)256 << 20)
#define PW_FOLLOW_EXPECTED 65536u    /* slots of a table of own names */
#define PW_FOLLOW_ROW_LATE_MS 4000   /* own file to its row, at most */
#define PW_FOLLOW_WRITER_MS 2000     /* wait for rows that are on their way */

struct pw_fmailbox;

enum pw_watch_kind {
	PW_WATCH_ROOT,
	PW_WATCH_NEW,
	PW_WATCH_CUR,
	PW_WATCH_KINDS
};

struct pw_ffolder {
	struct pw_ffolder *next;    /* of the mailbox */
	struct pw_fmailbox *mailbox;
	char *name;                 /* "" is INBOX */
	int wd[PW_WATCH_KINDS];     /* -1: not watched */
	uint32_t uidvalidity, max_uid;
	bool uids_due;              /* dovecot-uidlist changed */
	bool scan_due, scan_forced; /* forced: also when nothing changed */
	bool listed;                /* on the list of folders with work */
	struct pw_ffolder *work;
	/* Files seen without a UID, to be looked for in lines that were read
	 * before; and what the last comparison found. */
	struct pw_strmap no_uid;
	struct timespec mtime[3];   /* new, cur, uidlist */
	uint64_t scanned_ms;
	uint64_t cleaned_ms;        /* when tmp/ was, or 0 */
};

struct pw_fmailbox {
	char *address, *path;
	struct pw_ffolder *folders; /* INBOX first; NULL: not on disk yet */
	bool wanted;                /* while accounts are read again */
	uint64_t moved_ms;          /* when a file went away here, or 0 */
};

/* What the events of a round say of one file: the last one counts. */
struct pw_touch {
	struct pw_ffolder *folder; /* NULL: gone meanwhile */
	struct pw_bytes base, info; /* in the pool */
	bool there, in_new;
	uint64_t since_ms;
};

/* A file that the parser is to read. */
struct pw_fjob {
	struct pw_fjob *next;
	struct pw_follow *f;
	char *mailbox, *path, *folder, *base;
	unsigned tries;
	uint64_t not_before_ms;
	int fd;
	struct pw_filed filed; /* points into the strings */
};

struct pw_follow {
	struct pw_loop *loop;
	struct pw_writer *writer;
	char *mail_root, *accounts_path, *index_path;
	char *clean_host;   /* atomic; NULL: tmp/ is not to be touched */
	int64_t opened_us;  /* by the clock of files */
	uint64_t opened_ms;
	uint64_t rescan_ms;
	pthread_t thread;
	int wake_fd;
	unsigned refs; /* the owner and jobs that are with the loop */
	bool closed;   /* loop's thread */

	/* shared */
	pthread_mutex_t lock;
	bool stop, accounts_due, rescan_all;
	struct pw_strmap rescans; /* addresses */
	pw_parse_fn parse;
	void *parse_host;
	unsigned parsing;
	struct pw_fjob *again; /* came back without a result */
	uint64_t *expected[2]; /* hashes of base names: newer, older */
	size_t nexpected;
	uint64_t expected_since_ms;
	struct {
		uint64_t events, own, seen, gone, parsed, unparsed, scans,
		    skipped, lost, cleaned, mailboxes, folders, watches, parse_queue;
		bool idle;
	} n;

	/* thread */
	int root, inotify;
	struct pw_db *ix;
	struct pw_strmap mailboxes; /* address: a is a struct pw_fmailbox * */
	struct pw_strmap watch_of;  /* wd: a is a struct pw_ffolder *, b kind */
	struct pw_pool *pool;       /* of touched, for a round */
	struct pw_touch *touched;
	size_t ntouched, touched_cap;
	struct pw_strmap touch_of;  /* folder's address and base: a place */
	struct pw_ffolder *work, **work_tail;
	bool have_watches;          /* atomic; false: the kernel has no more */
	struct pw_fjob *jobs, **jobs_tail;
	size_t njobs;
	struct pw_strmap queued_jobs;
	uint64_t epoch, next_rescan_ms, next_tick_ms, missing_at;
	uint64_t resting_until_ms; /* no comparisons before */
	bool hurry;                /* this round of comparisons was asked for */
	/* Mailboxes whose folders are still to be read in this round. */
	struct pw_fmailbox **round;
	size_t nround, round_at;
	struct pw_fmailbox **missing; /* not on disk yet */
	size_t nmissing, missing_cap;
};

/* ---- follow.c ------------------------------------------------------------ */

void pw_follow_wake(struct pw_follow *f);
void pw_follow_unref(struct pw_follow *f);
/* True when BASE is one of our own and has not appeared yet; with TAKE now it
 * has. */
bool pw_follow_expected(struct pw_follow *f, struct pw_bytes base, bool take);
/* True when BASE is one of our own, of the last minute or two. */
bool pw_follow_is_own(struct pw_follow *f, struct pw_bytes base);
/* The older names are forgotten when the newer ones began AGE_MS ago. */
void pw_follow_forget_expected(struct pw_follow *f, uint64_t age_ms);
/* The index's reader; NULL while it cannot be opened. */
struct pw_db *pw_follow_db(struct pw_follow *f);
/* Rows of all deliveries that can be on disk now are committed; false: not in
 * time. */
bool pw_follow_sync(struct pw_follow *f);
#define PW_FOLLOW_COUNT(f, what, by)                                         \
	(void)__atomic_add_fetch(&(f)->n.what, (by), __ATOMIC_RELAXED)

/* ---- follow_watch.c: mailboxes, folders, watches ------------------------- */

/* Reads the accounts again; new mailboxes are to be compared. */
void pw_follow_load(struct pw_follow *f);
void pw_follow_unload(struct pw_follow *f);
/* Looks whether some mailboxes that were not on disk are there now. */
void pw_follow_missing(struct pw_follow *f, size_t n);
/* Reads which folders M has: new ones are watched and get work, those that
 * are gone take their rows with them. */
void pw_follow_discover(struct pw_follow *f, struct pw_fmailbox *m);
/* The folder, made known and watched; NULL: too many. */
struct pw_ffolder *pw_follow_folder(struct pw_follow *f,
    struct pw_fmailbox *m, struct pw_bytes name);
/* It is no more: its rows go. */
void pw_follow_folder_gone(struct pw_follow *f, struct pw_fmailbox *m,
    struct pw_bytes name);
void pw_follow_watch(struct pw_follow *f, struct pw_ffolder *d);
void pw_follow_unwatch(struct pw_follow *f, int wd);
struct pw_strmap_val *pw_follow_watched(struct pw_follow *f, int wd);
/* Puts D on the list of folders with work. */
void pw_follow_due(struct pw_follow *f, struct pw_ffolder *d);

/* ---- follow_event.c ------------------------------------------------------ */

/* Reads what inotify has to say. */
void pw_follow_events(struct pw_follow *f);
/* Tells the writer; what has to wait for it stays for the next call. */
void pw_follow_touched(struct pw_follow *f);

/* ---- follow_scan.c: comparing, UIDs -------------------------------------- */

/* One folder's work: comparison with the index, UIDs.  D may be gone after
 * it. */
void pw_follow_work(struct pw_follow *f, struct pw_ffolder *d);
/* A file that has no row in its folder; SUB is "new" or "cur", DIR the open
 * folder.  INODES (may be NULL) is filled when it is needed. */
void pw_follow_new_file(struct pw_follow *f, struct pw_ffolder *d, int dir,
    bool in_new, struct pw_bytes base, struct pw_bytes info,
    struct pw_strmap *inodes);
void pw_follow_inodes_free(struct pw_strmap *inodes);
/* Rows of a folder to the writer as gone, when it has vanished. */
void pw_follow_rows_gone(struct pw_follow *f, const char *mailbox,
    struct pw_bytes folder);
struct pw_filed pw_follow_filed(const struct pw_ffolder *d,
    struct pw_bytes base);

/* ---- follow_uids.c ------------------------------------------------------- */

/* Reads dovecot-uidlist of the open folder DIR.  ROWS (after a comparison):
 * base name to UID + 1, or 0, of the rows; NULL: only lines that are new count,
 * and those of files that were seen without a UID. */
void pw_follow_uids(struct pw_follow *f, struct pw_ffolder *d, int dir,
    const struct pw_strmap *rows);

/* ---- follow_tmp.c -------------------------------------------------------- */

/* Cleans tmp/ of the open folder DIR when it is due. */
void pw_follow_clean(struct pw_follow *f, struct pw_ffolder *d, int dir);

/* ---- follow_parse.c ------------------------------------------------------ */

/* Asks for F's content, unless that is asked for already. */
void pw_follow_parse(struct pw_follow *f, struct pw_ffolder *d,
    const struct pw_filed *filed);
/* Hands waiting files to the parser as long as it may have more. */
void pw_follow_parse_more(struct pw_follow *f);
void pw_follow_parse_free(struct pw_follow *f);

#endif
