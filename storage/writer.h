/* SPDX-License-Identifier: ISC */
/*
 * The SQLite writer: one thread that owns the only writing connections to
 * index.db and decisions.db and commits in batches.  What it is given comes
 * from the journal's path (deliveries) and from the follower (moves, flags,
 * deletions seen in the Maildir).
 */
#ifndef PW_STORAGE_WRITER_H
#define PW_STORAGE_WRITER_H

#include "base/err.h"
#include "net/codec.h"
#include "storage/decision.h"
#include "storage/meta.h"

struct pw_writer;

/* A file that a delivery made (or a replay found again). */
struct pw_filed {
	struct pw_bytes mailbox; /* "user@domain" */
	struct pw_bytes folder;  /* "" is INBOX; "Junk", "Archive.2026" */
	struct pw_bytes base;    /* unique name without ":2,flags" */
	struct pw_bytes path;    /* of the mailbox, below the mail root */
	bool in_new;
	uint64_t size, vsize;    /* of the file; with CRLF line ends */
	int64_t internal_us;
	uint64_t inode;
	size_t rcpt;             /* place in the decision's recipients */
	uint64_t prefix;         /* octets of our own fields in the file */
	/* Of the follower: base name of the file of this mailbox that it is a
	 * copy of (same inode, another name), or "". */
	struct pw_bytes like;
};

struct pw_writer_opts {
	const char *state_dir; /* where index.db and decisions.db are */
	uint64_t keep_decisions_ms;
	uint64_t keep_early_ms; /* of records without a message; 0: as long */
	uint64_t max_bytes;     /* of all records; 0: no bound */
	size_t max_queue;      /* rows waiting; 0: 20,000 */
};

/*
 * Opens and migrates both databases.  One that is damaged is moved aside (log
 * line) and made anew; the index is then rebuilt by the follower.  No space or
 * a lock of somebody else is no error here: rows wait until it is over.
 */
int pw_writer_open(const struct pw_writer_opts *opts, struct pw_writer **out,
    struct pw_err *err);
/* Writes what waits, stops the thread.  What a failing database does not take
 * within 5 seconds stays with the journal. */
void pw_writer_close(struct pw_writer **w);
/* New values of the three opts above, as there; any thread. */
void pw_writer_keep(struct pw_writer *w, uint64_t keep_decisions_ms,
    uint64_t keep_early_ms, uint64_t max_bytes);

/*
 * Any thread.  Queues the rows of one delivery; DECISION and META are the
 * encoded forms, copied.  Returns a ticket (rising from 1), or 0 when the
 * queue is full: then the caller answers 4xx.  Rows that are there already
 * (a replay) are left as they are.
 */
uint64_t pw_writer_delivered(struct pw_writer *w, struct pw_bytes decision,
    struct pw_bytes meta, const struct pw_filed *files, size_t nfiles);
/* A decision without a stored message. */
uint64_t pw_writer_decision(struct pw_writer *w, struct pw_bytes decision);
/* The record of what never became a message: may fill half of the queue only.
 * It is in no journal, so a crash loses those of the last moment. */
uint64_t pw_writer_early(struct pw_writer *w, struct pw_bytes decision);
/* Bytes of the message as it came that were left out of its files (a cut of
 * its meta), to be kept in the record; after its delivery was queued. */
uint64_t pw_writer_cut(struct pw_writer *w, struct pw_bytes tid,
    uint64_t offset, struct pw_bytes bytes);

/* All tickets up to this one are committed (in the WAL, not necessarily
 * synced).  Any thread. */
uint64_t pw_writer_done(struct pw_writer *w);
/* Waits at most MS until pw_writer_done() >= TICKET; 0, or -1. Not for loop
 * threads. */
int pw_writer_wait(struct pw_writer *w, uint64_t ticket, unsigned ms);
/* True while the databases take rows. */
bool pw_writer_healthy(struct pw_writer *w);

/* The last ticket that was given. */
uint64_t pw_writer_last(struct pw_writer *w);
/* Rises when index.db was made anew while running: the follower then compares
 * everything. */
uint64_t pw_writer_epoch(struct pw_writer *w);
/* "writer.name value" lines. */
void pw_writer_status(struct pw_writer *w, struct pw_strbuf *out);

/* Operations of the follower; any thread; same tickets. They may fill half of
 * the queue only. */
/* There; INFO is its name behind the base: "" or ":2,flags".  Content and
 * verdict come from a file of the same base name in the mailbox (or LIKE), from
 * one that has just gone, or from the record of the delivery. */
uint64_t pw_writer_seen(struct pw_writer *w, const struct pw_filed *f,
    struct pw_bytes info);
uint64_t pw_writer_gone(struct pw_writer *w, const struct pw_filed *f);
uint64_t pw_writer_meta(struct pw_writer *w, const struct pw_filed *f,
    struct pw_bytes meta);                  /* content of one seen file */
struct pw_uid_row {
	struct pw_bytes base;
	uint32_t uid;
};
uint64_t pw_writer_uids(struct pw_writer *w, struct pw_bytes mailbox,
    struct pw_bytes folder, uint32_t uidvalidity, const struct pw_uid_row *u,
    size_t n);

/* Bytes in all folders of a mailbox by the index, kept in memory and exact
 * after each delivery's ticket was given.  Any thread. */
uint64_t pw_writer_usage(struct pw_writer *w, struct pw_bytes mailbox);

#endif
