/* SPDX-License-Identifier: ISC */
/*
 * The store: takes messages and makes them durable, in this order (see
 * server/ARCHITECTURE.md): mail file complete in tmp/, journal record synced
 * (group commit), record marked staged, rename into new/, reply; then index
 * and decision rows in batches; then a checkpoint syncs files and rows and
 * frees the journal.
 *
 * Called by the store role only, on its loop's thread; the work is done by
 * writer threads, one commit thread and one SQLite thread that belong to it.
 */
#ifndef PW_STORAGE_STORE_H
#define PW_STORAGE_STORE_H

#include "base/err.h"
#include "config/config.h"
#include "net/loop.h"
#include "storage/decision.h"
#include "storage/meta.h"

struct pw_store;

/* One copy to file. */
struct pw_target {
	struct pw_bytes mailbox;  /* "user@domain", canonical */
	const char *folder;       /* "" is INBOX, "Junk" */
	uint8_t action;           /* DELIVER, JUNK, HOLD, REFUSE_KEEP */
	/* Our fields for this copy, CRLF line ends: Return-Path, Delivered-To,
	 * X-Original-To, Received, Authentication-Results... */
	struct pw_bytes prefix;
	uint64_t quota; /* bytes, 0: none; over it by more than the grace ... */
	bool hold_over_quota; /* ... hold this copy instead of failing all */
	size_t rcpt;    /* its place in decision->rcpt */
};

struct pw_delivery {
	struct pw_decision *decision;
	struct pw_meta *meta; /* NULL when it could not be read */
	int fd;             /* sealed memfd, or spool file; store's to close */
	uint64_t size;      /* octets of the message in it, as it came */
	struct pw_id spool; /* id.s[0] != 0: the message is this spool file,
			     * which goes with the answer */
	/* Until when somebody waits for the answer, by CLOCK_MONOTONIC; what
	 * is begun later is answered TEMPFAIL and not filed.  0: no matter. */
	uint64_t deadline_ms;
	size_t ntarget;     /* 0: only the decision is kept, as durably */
	struct pw_target *target;
};
/* The frame form (without the descriptor). */
void pw_delivery_enc(struct pw_enc *e, const struct pw_delivery *d);
struct pw_delivery *pw_delivery_dec(struct pw_dec *d, struct pw_pool *pool);

enum pw_store_code {
	PW_STORE_OK = 0,    /* durable, filed: the reply may be 250 */
	PW_STORE_TEMPFAIL,  /* 451 4.3.0; nothing of it will appear */
	PW_STORE_NOSPACE,   /* 452 4.3.1 */
	PW_STORE_OVERQUOTA, /* 452 4.2.2, sole recipient */
	PW_STORE_NOMAILBOX  /* 451 4.2.0: an account without usable folder */
};

struct pw_store_result {
	enum pw_store_code code;
	const char *reason;  /* for the log, "" when OK */
	size_t ntarget;
	const char *const *fate; /* per target: "stored", "junk",
				  * "held: over quota"... */
};

/* Called exactly once for each delivery, on the loop's thread. */
typedef void (*pw_store_cb)(void *arg, const struct pw_store_result *r);

/*
 * Opens all: migrates the databases, replays the journal to its end, starts
 * the threads, heals the index in the background.  Says in the log what it did.
 * BOOT_ID is the kernel's (NULL: read it).
 */
int pw_store_open(struct pw_loop *loop, const struct pw_config *cfg,
    const char *boot_id, struct pw_store **out, struct pw_err *err);
/* Commits what is under way, checkpoints, stops the threads. */
void pw_store_close(struct pw_store **store);
/* Takes up the LIVE options of a new generation. */
void pw_store_reconfigure(struct pw_store *store, const struct pw_config *cfg);

/* Without targets (refused, deferred, discarded mail) D->fd is -1 and only the
 * decision is recorded.
 * Takes over D->fd and POOL, in which D lies. Above its bound on waiting
 * deliveries it answers TEMPFAIL at once (never inside the call). */
void pw_store_deliver(struct pw_store *store, struct pw_delivery *d,
    struct pw_pool *pool, pw_store_cb cb, void *arg);

/* The record (encoded) of what never became a message.  False when too many
 * rows wait: then it is lost. */
bool pw_store_record(struct pw_store *store, struct pw_bytes decision);

/* Large bodies: pieces are written to a spool file on the mail file system by
 * the writer threads, in order.  PIECE is a memfd of LEN bytes (taken over).
 * The callback of each says whether it was written. */
void pw_store_spool_piece(struct pw_store *store, const struct pw_id *spool,
    int piece, uint64_t len, pw_store_cb cb, void *arg);
/* A read-only descriptor of the finished spool file, or -1; the caller's. */
int pw_store_spool_open(struct pw_store *store, const struct pw_id *spool);
void pw_store_spool_drop(struct pw_store *store, const struct pw_id *spool);

/* Keeps a message that crashed a stage in <state>/aside for the developer;
 * FD is taken over, WHY goes beside it.  Bounded by store.keep-aside, oldest
 * removed first; failure is a log line only. */
void pw_store_aside(struct pw_store *store, int fd, struct pw_bytes why);

/* False, with the reason, when mail should be answered 4xx already at MAIL
 * (no space, journal and fallback broken). Cheap. */
bool pw_store_ready(const struct pw_store *store, const char **reason,
    enum pw_store_code *code);

/* ---- the parts, for the control verbs (all on the loop's thread) ---- */
struct pw_accounts *pw_store_accounts(struct pw_store *store);
struct pw_index *pw_store_index(struct pw_store *store);
struct pw_follow *pw_store_follow(struct pw_store *store);

/* Bytes in all folders of a mailbox, by the index.  Any thread. */
uint64_t pw_store_usage(struct pw_store *store, struct pw_bytes mailbox);

/* The parser of files that came without us (IMAP APPEND, rebuild): asks the
 * scan role.  FD is the function's to close; CB gets NULL when it failed. */
typedef void (*pw_parse_cb)(void *arg, const struct pw_meta *m);
typedef void (*pw_parse_fn)(void *host, int fd, pw_parse_cb cb, void *arg);
void pw_store_set_parser(struct pw_store *store, pw_parse_fn fn, void *host);

/* Counters and states for `postward status`, as "name value" lines. */
void pw_store_status(struct pw_store *store, struct pw_strbuf *out);

/* Closes the open WAL positions etc.; true when nothing waits anywhere:
 * journal checkpointed, rows written (for tests and benchmarks). */
bool pw_store_idle(struct pw_store *store);

#endif
