/* SPDX-License-Identifier: ISC */
/*
 * Reading the index and the decisions: read-only connections, no transaction
 * kept across calls, each query bounded in rows and time.  Store role's loop
 * thread (control verbs), and `postward` when the daemon is not running.
 */
#ifndef PW_STORAGE_INDEX_H
#define PW_STORAGE_INDEX_H

#include <jansson.h>

#include "base/err.h"
#include "base/pool.h"
#include "storage/decision.h"
#include "storage/original.h"
#include "storage/view.h"

struct pw_index;

int pw_index_open(const char *state_dir, struct pw_index **out,
    struct pw_err *err);
void pw_index_close(struct pw_index **ix);

/* Who asks with each question below: NULL is everybody. */
struct pw_message_filter {
	const struct pw_view *view;
	const char *mailbox; /* "user@domain" or NULL */
	const char *folder;  /* or NULL */
	const char *id;      /* transaction id or NULL */
	const char *message_id;
	const char *from, *to, *subject, *text; /* parts of words, or NULL */
	int64_t since_us, until_us; /* 0: open */
	int limit, offset;          /* limit 0: 100; at most 10,000 */
};
/* Rows as JSON objects, newest first: everything that the index holds of each
 * (mailbox, folder, file, uid, uidvalidity, size, internal_date, flags,
 * message_id, from, to, cc, subject, date, verdict, id, ...).  The caller owns
 * the array. */
int pw_index_messages(struct pw_index *ix, const struct pw_message_filter *f,
    json_t **rows, struct pw_err *err);
/* One message with its structure, envelope and decision. BASE or ID. */
int pw_index_message(struct pw_index *ix, const struct pw_view *view,
    const char *mailbox, const char *base_or_id, json_t **row,
    struct pw_err *err);
/*
 * Decisions behind AFTER_US and before UNTIL_US (their times are unique), the
 * oldest first, one page of a bounded number of rows: {"rows": [{time, peer,
 * mail_from, action, auth_results, symbols, dns}], "next": time to go on
 * behind, or null}.  Rows without a result of METHOD ("dmarc") are left out.
 */
int pw_index_day(struct pw_index *ix, int64_t after_us, int64_t until_us,
    const char *method, json_t **page, struct pw_err *err);
/* Decision with recipients, evidence, runs, DNS, and where its files are now;
 * by the id of its transaction or connection, or by Message-ID. */
int pw_index_decision(struct pw_index *ix, const struct pw_view *view,
    const char *id, json_t **row, struct pw_err *err);
/* Newest decisions that name WHAT as sender or recipient, or, when it is an IP
 * address, whose client it was. */
struct pw_trace {
	const struct pw_view *view;
	const char *what;
	int64_t since_us, until_us; /* 0: open */
	int limit;                  /* 0: 100; at most 10,000 */
	bool whole;                 /* with DNS answers and the like */
};
int pw_index_trace(struct pw_index *ix, const struct pw_trace *t,
    json_t **rows, struct pw_err *err);

/* A message's judgement with what it takes to make it again. */
struct pw_judged {
	int64_t time_us;
	const char *tid, *listener, *reply, *step;
	struct pw_bytes mail_from;
	struct pw_ip peer;
	uint16_t port;
	uint64_t size;
	uint8_t action;
	double score;
	struct pw_bytes recording; /* of the pipeline, or "" */
	struct pw_bytes dns;       /* an encoded set of the answers */
	struct pw_bytes evidence;  /* JSON */
	size_t nrcpt;              /* mailboxes that were judged, with */
	struct pw_decision_rcpt *rcpt; /* given, mailbox, action, step, score
				    * and list entries */
	size_t nmissing;           /* what was not filed, rising */
	struct pw_missing *missing;
};
/* The first message taken after AFTER_US and before UNTIL_US, in POOL; *out
 * NULL when there is none.  For the admin only: it takes no view. */
int pw_index_judged(struct pw_index *ix, int64_t after_us, int64_t until_us,
    struct pw_pool *pool, struct pw_judged **out, struct pw_err *err);

#endif
