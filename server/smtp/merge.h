/* SPDX-License-Identifier: ISC */
/*
 * Keeps records of what never became a message from flooding the store: up to
 * a rate each has its own; above it those of one kind, network and recipient
 * domain share one, with a count, which leaves every few seconds.  One table
 * for each loop thread of front, on its loop.
 */
#ifndef PW_SMTP_MERGE_H
#define PW_SMTP_MERGE_H

#include "net/loop.h"
#include "storage/decision.h"

struct pw_merge;

/* Takes a record away (encodes it); D is valid during the call. */
typedef void (*pw_merge_send)(void *arg, const struct pw_decision *d);

/* RATE records a minute of each kind go alone. */
struct pw_merge *pw_merge_new(struct pw_loop *loop, uint32_t rate,
    pw_merge_send send, void *arg);
/* Sends what it holds first; *m may be NULL. */
void pw_merge_free(struct pw_merge **m);
/* Sends what it holds now. */
void pw_merge_flush(struct pw_merge *m);

/* What makes two records alike. */
struct pw_merge_key {
	uint8_t kind;           /* enum pw_decision_kind */
	uint16_t listener;
	struct pw_ip peer;
	struct pw_bytes reply;  /* its codes count, not its words */
	struct pw_bytes domain; /* of the first recipient, or "" */
};
enum pw_merge_verdict {
	PW_MERGE_ALONE,  /* make the record and send it */
	PW_MERGE_FIRST,  /* make the record and give it to pw_merge_hold() */
	PW_MERGE_COUNTED /* one like it is held: nothing is left to do */
};
/* Counts one more at time US (microseconds since the epoch). */
enum pw_merge_verdict pw_merge_ask(struct pw_merge *m,
    const struct pw_merge_key *key, int64_t us);
/* Keeps D, cut to its first recipient, for those that follow. */
void pw_merge_hold(struct pw_merge *m, const struct pw_merge_key *key,
    const struct pw_decision *d);
/* Records held now. */
size_t pw_merge_held(const struct pw_merge *m);

#endif
