/* SPDX-License-Identifier: ISC */
/*
 * The journal: a ring of segments, files that were filled with zeros once and
 * are only ever overwritten, in <state_dir>/journal/.  A batch of records is
 * one write and one fdatasync.
 *
 *   lock        held while a store runs
 *   super       which segments still count: two slots, the newer valid one
 *   seg.NNNN    a page of header, then batches, each from a page's begin
 *   state.NNNN  a word for each record of that segment: how far it came
 *   *.dead      segments whose sync failed, kept for the admin
 *
 * The words of state files are never synced: they matter to a start under the
 * same boot id only, when the kernel still has them, and are void under any
 * other.
 *
 * A segment is free, active (one at most), closed or dead.  Closed and dead
 * ones become free (or *.dead) by a checkpoint.  What a former lap left in a
 * segment is known by its epoch, a random number that goes into the checksum
 * of every record.
 *
 * Append, mark and roll: the commit thread.  Settle: any thread.  Checkpoint
 * functions: the checkpoint thread.  Open, scan, adopt: before those start.
 */
#ifndef PW_STORAGE_JOURNAL_H
#define PW_STORAGE_JOURNAL_H

#include "base/bytes.h"
#include "base/err.h"

/* Room that a record's buffer has before its payload. */
#define PW_JOURNAL_HEAD 64u
#define PW_JOURNAL_PAGE 4096u
/* Most records of one append. */
#define PW_JOURNAL_BATCH 256u

enum pw_jstate {
	PW_JS_NONE = 0,      /* in the journal at most */
	PW_JS_STAGED = 1,    /* durable, files complete in tmp/: renamed next */
	PW_JS_CANCELLED = 2  /* answered 4xx: none of it may appear */
};

enum pw_jresult {
	PW_J_OK = 0,
	PW_J_FULL,  /* no segment is free: wait for a checkpoint */
	PW_J_FAILED /* not durable, and will not be: see pw_journal_append() */
};

struct pw_journal;
struct pw_segment;

struct pw_jrec {
	/* PW_JOURNAL_HEAD bytes, then LEN bytes of payload, a multiple of 8,
	 * whose crc32 is CRC; the owner's. */
	char *buf;
	uint32_t len;
	uint32_t crc;
	/* Set by append. */
	struct pw_segment *seg;
	uint64_t seq;
};

/*
 * Opens or makes the journal below STATE_DIR (a descriptor), with segments of
 * SIZE bytes in all, and takes its lock (waits at most 10 s for a former
 * process to end).  Segments that still count are closed ones now.
 */
int pw_journal_open(int state_dir, uint64_t size, const char *boot_id,
    struct pw_journal **out, struct pw_err *err);
/* Closes without a checkpoint. */
void pw_journal_close(struct pw_journal **j);

/* Largest payload that a record may have. */
uint32_t pw_journal_max(const struct pw_journal *j);

/*
 * Writes the first *N of the records (fewer where the segment ends; *N is set)
 * and syncs them.  FAILED: the segment is dead, .seg and .seq of the *N
 * records say where they may be read after all, so that they can be marked
 * cancelled; *N may be 0, when there was nothing to write to.  An OK record is
 * unsettled in its segment.
 */
enum pw_jresult pw_journal_append(struct pw_journal *j, struct pw_jrec **rec,
    size_t *n, struct pw_err *err);
/* The checksum of a payload. */
uint32_t pw_journal_crc(const void *p, size_t n);
/* Marks N records of one append, in their order. 0, or -1 and errno. */
int pw_journal_mark(struct pw_jrec *const *rec, size_t n,
    enum pw_jstate state);
/* Record done: filed, and its rows have TICKET (0: it has none; OWED: they
 * must be given to the writer again, from the journal). */
void pw_journal_settle(struct pw_journal *j, struct pw_segment *seg,
    uint64_t ticket, bool owed);
/* Tries to get over a failure, so that mail can be taken again; cheap when
 * there is none.  The commit thread, now and then. */
void pw_journal_heal(struct pw_journal *j);
/* Waits at most MS until a segment is free. */
void pw_journal_wait_free(struct pw_journal *j, unsigned ms);

/* For pw_store_ready(), any thread: NULL, or why no mail can be taken. */
const char *pw_journal_trouble(const struct pw_journal *j);

/* ---- checkpoint ----------------------------------------------------------- */

/* Closes the active segment if its first record is older than MS and no older
 * one waits to be freed; 0: in any case. */
void pw_journal_close_aged(struct pw_journal *j, uint64_t ms);
/* The oldest closed or dead segments, at most MAX of them, of which nothing is
 * unsettled; oldest first.  They stay so until freed. */
size_t pw_journal_ready(struct pw_journal *j, struct pw_segment **seg,
    size_t max);
/* The N oldest segments are durable elsewhere: writes and syncs the super
 * file, then they are free. 0, or -1 and ERR: then nothing changed. */
int pw_journal_free(struct pw_journal *j, struct pw_segment *const *seg,
    size_t n, struct pw_err *err);
/* Nothing but free segments. */
bool pw_journal_idle(struct pw_journal *j);

/* What the checkpoint knows of a segment. */
struct pw_segment_info {
	uint64_t ticket; /* highest of its records' */
	bool owed;
	bool dead;
};
struct pw_segment_info pw_segment_info(struct pw_journal *j,
    const struct pw_segment *seg);
/* Its rows were given again, the last with TICKET. */
void pw_segment_paid(struct pw_journal *j, struct pw_segment *seg,
    uint64_t ticket);
/* A sync of the file system failed: the files of every segment that is not
 * free, and of those begun in the next minute (whose files may have been in
 * tmp/ already), must be written anew before it may be freed.  How many. */
unsigned pw_journal_suspect(struct pw_journal *j);
bool pw_segment_is_suspect(struct pw_journal *j, const struct pw_segment *seg);
void pw_segment_trust(struct pw_journal *j, struct pw_segment *seg);

struct pw_journal_stats {
	uint64_t batches, records, bytes;
	unsigned free, active, closed, dead;
};
void pw_journal_stats(struct pw_journal *j, struct pw_journal_stats *out);

/* ---- reading (journal_scan.c) --------------------------------------------- */

struct pw_jread {
	struct pw_segment *seg;
	uint64_t seq;
	uint64_t at;  /* in the segment's file */
	enum pw_jstate state;
	/* The segment was written under another boot id, or its state file was
	 * lost: NONE then says nothing of what was filed. */
	bool unknown;
	struct pw_bytes payload; /* valid during the callback */
};
/* Calls FN for every whole record of SEG in order until it returns non-zero.
 * Damaged places are passed over and counted in *HOLES.  0, FN's value, or -1
 * and ERR. */
int pw_journal_scan(struct pw_journal *j, struct pw_segment *seg,
    int (*fn)(void *arg, const struct pw_jread *r), void *arg,
    unsigned *holes, struct pw_err *err);
/* The payload of the record at AT again, malloc()ed; or PW_BYTES_NONE. */
struct pw_bytes pw_journal_read(struct pw_segment *seg, uint64_t at);
/* Begins a state file for SEG under this boot where it has none that counts;
 * to be called once all its records were seen. 0, or -1 and errno. */
int pw_journal_adopt(struct pw_journal *j, struct pw_segment *seg);
/* Marks one record that was read. */
int pw_journal_mark_read(struct pw_segment *seg, uint64_t seq,
    enum pw_jstate state);
/* A record that was read is unsettled from now on. */
void pw_journal_unsettle(struct pw_journal *j, struct pw_segment *seg);
/* Segments that counted at open, oldest first; the array is the journal's. */
struct pw_segment *const *pw_journal_live(struct pw_journal *j, size_t *n);

#endif
