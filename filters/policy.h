/* SPDX-License-Identifier: ISC */
/*
 * From evidence to an action, for one recipient.  Pure: no clock, no state, so
 * that a judgement can be made again.  Internal to filters/; runs in front.
 * What follows when the verdicts of several recipients differ: settle.h.
 */
#ifndef PW_FILTERS_POLICY_H
#define PW_FILTERS_POLICY_H

#include "config/config.h"
#include "filters/pipeline.h"
#include "filters/registry.h"
#include "filters/thresholds.h"

/* The numbers of storage's enum pw_action. */
enum pw_verdict_action {
	PW_VERDICT_DELIVER = 0,
	PW_VERDICT_JUNK = 1,
	PW_VERDICT_HOLD = 2,
	PW_VERDICT_REFUSE_KEEP = 3,
	PW_VERDICT_REFUSE = 4,
	PW_VERDICT_DEFER = 5,
	PW_VERDICT_DISCARD = 6,
	PW_VERDICT_COUNT
};
/* As the configuration writes them; "deliver" where there is none. */
const char *pw_verdict_name(uint8_t action);

struct pw_policy_run {
	const char *stage, *reason;
	uint8_t outcome;  /* as in struct pw_pipe_run */
	uint8_t on_error; /* enum pw_on_error of the stage */
	bool shadow;
	bool malware;     /* the stage looks for malware */
};

struct pw_policy_in {
	const struct pw_config *cfg;
	const struct pw_pipe_evidence *evidence;
	size_t nevidence;
	const struct pw_policy_run *run;
	size_t nrun;
	bool crashed_first; /* a scan process died of it, for the first time */
	/* The recipient: its number in the transaction, from 1 (0: evidence on
	 * single recipients is left out); its thresholds; the list entries that
	 * fit it and the message. */
	unsigned rcpt;
	struct pw_threshold limit;
	const struct pw_list_entry *entry;
	size_t nentry;
	/* Domains that authenticated for this message. */
	const char *const *auth;
	size_t nauth;
};
struct pw_verdict {
	uint8_t action; /* enum pw_verdict_action */
	double score;
	char reply[480]; /* "" unless refused or deferred */
	char step[480];
};

/* The verdict on a message for one recipient.  The order of steps is written
 * out in policy.c. */
void pw_policy_decide(const struct pw_policy_in *in, struct pw_verdict *out);

/* What can be answered to RCPT already: refuse and defer, by evidence or by a
 * block entry; false: go on.  MAY_ALLOW: an allow entry could still apply once
 * the message is there, so that nothing is answered early. */
bool pw_policy_early(const struct pw_policy_in *in, bool may_allow,
    struct pw_verdict *out);
/* True when the answer of PHASE must wait for STAGE, although it runs in the
 * background: a refusal may rest on it. */
struct pw_weights;
bool pw_policy_awaits(const struct pw_weights *w, enum pw_phase phase,
    const struct pw_stage *stage);

#endif
