/* SPDX-License-Identifier: ISC */
/*
 * From evidence to an action.  Pure: no clock, no state, so that a judgement
 * can be made again.  Internal to filters/; runs in front.
 */
#ifndef PW_FILTERS_POLICY_H
#define PW_FILTERS_POLICY_H

#include "config/config.h"
#include "filters/pipeline.h"
#include "filters/registry.h"

/* The numbers of storage's enum pw_action. */
enum pw_verdict_action {
	PW_VERDICT_DELIVER = 0,
	PW_VERDICT_JUNK = 1,
	PW_VERDICT_HOLD = 2,
	PW_VERDICT_REFUSE_KEEP = 3,
	PW_VERDICT_REFUSE = 4,
	PW_VERDICT_DEFER = 5
};

struct pw_policy_run {
	const char *stage, *reason;
	uint8_t outcome;  /* as in struct pw_pipe_run */
	uint8_t on_error; /* enum pw_on_error of the stage */
	bool shadow;
};
struct pw_policy_in {
	const struct pw_config *cfg;
	const struct pw_pipe_evidence *evidence;
	size_t nevidence;
	const struct pw_policy_run *run;
	size_t nrun;
	bool crashed_first; /* a scan process died of it, for the first time */
};
struct pw_verdict {
	uint8_t action; /* enum pw_verdict_action */
	bool error_note; /* a stage could not run and its rule is tag */
	double score;
	char reply[480]; /* "" unless refused or deferred */
	char step[240];
};

/*
 * The verdict on a message, for one recipient.  (All recipients share the
 * evidence that is not of recipient scope; in this version they share the
 * verdict.)  The order of steps is written out in policy.c.
 */
void pw_policy_decide(const struct pw_policy_in *in, struct pw_verdict *out);

/* A refusal that the evidence of PHASE already justifies; false: go on. */
bool pw_policy_early(const struct pw_config *cfg, enum pw_phase phase,
    const struct pw_pipe_evidence *evidence, size_t n, struct pw_verdict *out);
/* True when the answer of PHASE must wait for STAGE, although it runs in the
 * background: a refusal may rest on it. */
bool pw_policy_awaits(const struct pw_config *cfg, enum pw_phase phase,
    const struct pw_stage *stage);

#endif
