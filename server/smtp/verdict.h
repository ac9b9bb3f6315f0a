/* SPDX-License-Identifier: ISC */
/*
 * What the policy says for each mailbox of a message, and what is done and
 * answered when the verdicts differ (filters/settle.h).  Role front.
 */
#ifndef PW_SMTP_VERDICT_H
#define PW_SMTP_VERDICT_H

#include "filters/settle.h"
#include "smtp/session.h"

/* Recipients whose replies of their own are given in one go; with more of them
 * the message has one reply for all.  So many of the longest fit what a client
 * may leave unread. */
#define PW_PRDR_MAX 500u

/* Of one recipient and mailbox. */
struct pw_fate {
	uint8_t verdict;   /* enum pw_action, of policy */
	uint8_t action;    /* what is done */
	const char *reply; /* of policy */
	const char *step;  /* of the verdict, and why something else is done */
	double score;
	const struct pw_list_entry *entry; /* that were looked at */
	size_t nentry;
};

/*
 * Fills in .fate of all accepted recipients, and with PRDR their .settled and
 * .end.  *end is the class of the last reply and *by the fate that decided.
 * -1 at the arena's bound.
 */
int pw_verdict_all(struct pw_session *s, enum pw_settled *end,
    const struct pw_fate **by);
/* What is said where BY decided an END that is no acceptance: checked text in
 * the transaction's memory, or a fixed one. */
const char *pw_verdict_reply(struct pw_session *s, enum pw_settled end,
    const struct pw_fate *by);

/* What policy says to RCPT of R already, with the lists: see pw_pipe_early(). */
void pw_verdict_early(struct pw_session *s, const struct pw_rcpt *r,
    struct pw_early *out);

#endif
