/* SPDX-License-Identifier: ISC */
/*
 * Turns a finished transaction into what the store gets: the decision record
 * and one target for each mailbox.  Role front.
 */
#ifndef PW_SMTP_DELIVERY_H
#define PW_SMTP_DELIVERY_H

#include "smtp/session.h"

/*
 * What the judgement of a transaction was: RESULT of the pipeline, with each
 * recipient's .fate (verdict.h), or NULL when it never got there (then the
 * message is refused or deferred with REPLY).
 */
struct pw_judgement {
	const struct pw_pipe_result *result;
	uint8_t action;    /* enum pw_action, of all: the mildest */
	const char *reply; /* to the end of data */
	const char *step;
	double score;
	bool unkept; /* copies that refuse-keep asks for are not kept */
};

/*
 * The delivery, in the transaction's arena; D->fd is the transaction's own.
 * Without targets (refused, deferred, discarded) only the record is kept.
 * NULL when the arena is full.
 */
struct pw_delivery *pw_delivery_make(struct pw_session *s,
    const struct pw_judgement *j);

/* The record alone, in POOL: of transaction TX, or of the session when that is
 * NULL.  What it points to is the session's and the transaction's. */
struct pw_decision *pw_delivery_decision(struct pw_session *s,
    const struct pw_tx *tx, const struct pw_judgement *j,
    struct pw_pool *pool);

#endif
