/* SPDX-License-Identifier: ISC */
/*
 * The durable heart of the store: from a delivery to a file in new/ that
 * survives kill and power cut.  Its threads:
 *
 *   writers     turn the message into its file form, write the complete files
 *               in tmp/, build the journal record; write spool files
 *   commit      gathers the records that came while it was busy, one write and
 *               one sync for all of them, marks them staged, renames the files
 *               into new/, gives the rows to the SQLite writer, answers
 *   checkpoint  makes files and rows durable in the background and frees the
 *               journal; watches free space
 *
 * What a kill between two steps leaves, and what the next start does:
 *
 *   nothing in the journal       files in tmp/ are removed
 *   a record, not staged         filed anew from the record
 *   staged, file still in tmp/   renamed
 *   staged, gone from tmp/       it was filed; a reader may have moved or
 *                                deleted it since: left alone
 *   after a power cut            looked for by name in all folders; replaced
 *                                where it lies if it is not whole, filed if
 *                                it is nowhere
 *   cancelled                    none of it may appear
 *
 * Called by store.c on the loop's thread.
 */
#ifndef PW_STORAGE_FILER_H
#define PW_STORAGE_FILER_H

#include "storage/store.h"
#include "storage/writer.h"

struct pw_filer;

struct pw_filer_opts {
	const char *state_dir, *mail_root;
	const char *host; /* for file names */
	const char *boot_id;
	struct pw_writer *writer;
	/* Called from the commit thread before a file appears; may be NULL. */
	void (*expect)(void *arg, struct pw_bytes base);
	/* Nothing that a former process left in tmp/ is wanted any more; HOST
	 * is in its names.  Once, from pw_filer_open() or the checkpoint
	 * thread; may be NULL. */
	void (*replayed)(void *arg, const char *host);
	void *expect_arg; /* of both */
	uint64_t journal; /* bytes, allocated at the first start */
	unsigned writers;
	/* May be changed later. */
	uint64_t journal_message, checkpoint_ms, min_free, keep_aside;
	unsigned quota_grace; /* per cent */
};

/* Opens, replays the journal, starts the threads. */
int pw_filer_open(struct pw_loop *loop, const struct pw_filer_opts *opts,
    struct pw_filer **out, struct pw_err *err);
/* Ends what was taken (all callbacks are called), checkpoints, stops. */
void pw_filer_close(struct pw_filer **f);
void pw_filer_set(struct pw_filer *f, const struct pw_filer_opts *opts);

/* As pw_store_deliver(); PATH[i] is where target I's mailbox lies below the
 * mail root, or NULL when it is unknown; in POOL. */
void pw_filer_deliver(struct pw_filer *f, struct pw_delivery *d,
    const char *const *path, struct pw_pool *pool, pw_store_cb cb, void *arg);
/* As the functions of store.h of that name. */
void pw_filer_spool_piece(struct pw_filer *f, const struct pw_id *spool,
    int piece, uint64_t len, pw_store_cb cb, void *arg);
int pw_filer_spool_open(struct pw_filer *f, const struct pw_id *spool);
void pw_filer_spool_drop(struct pw_filer *f, const struct pw_id *spool);
void pw_filer_aside(struct pw_filer *f, int fd, struct pw_bytes why);

bool pw_filer_ready(const struct pw_filer *f, const char **reason,
    enum pw_store_code *code);
bool pw_filer_idle(struct pw_filer *f);
void pw_filer_status(struct pw_filer *f, struct pw_strbuf *out);

#endif
