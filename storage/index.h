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

struct pw_index;

int pw_index_open(const char *state_dir, struct pw_index **out,
    struct pw_err *err);
void pw_index_close(struct pw_index **ix);

struct pw_message_filter {
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
int pw_index_message(struct pw_index *ix, const char *mailbox,
    const char *base_or_id, json_t **row, struct pw_err *err);
/* Decision with recipients, evidence, runs, DNS; by transaction id or
 * Message-ID. */
int pw_index_decision(struct pw_index *ix, const char *id, json_t **row,
    struct pw_err *err);
/*
 * Decisions behind AFTER_US and before UNTIL_US (their times are unique), the
 * oldest first, one page of a bounded number of rows: {"rows": [{time, peer,
 * mail_from, action, auth_results, symbols, dns}], "next": time to go on
 * behind, or null}.  Rows without a result of METHOD ("dmarc") are left out.
 */
int pw_index_day(struct pw_index *ix, int64_t after_us, int64_t until_us,
    const char *method, json_t **page, struct pw_err *err);
/* Newest decisions that name ADDRESS as sender or recipient. */
int pw_index_trace(struct pw_index *ix, const char *address, int64_t since_us,
    int limit, json_t **rows, struct pw_err *err);

#endif
