/* SPDX-License-Identifier: ISC */
/*
 * postward replay: stored mail is judged again under another configuration, on
 * what was recorded.  replay.c, in the admin's program as the store's user,
 * finds the mail and compares; what reads it is a child, confined as the role
 * scan is (replay_judge.c).
 */
#ifndef PW_CTL_REPLAY_H
#define PW_CTL_REPLAY_H

#include "config/config.h"
#include "storage/decision.h"
#include "storage/index.h"

/* The verb: WORDs behind "replay"; CFG says where the mail is.  An exit code;
 * text goes to standard output and error. */
int pw_replay_verb(const struct pw_config *cfg, const char **word,
    size_t nword, bool json);

/* ---- replay_judge.c ---------------------------------------------------------- */

struct pw_judge;
/* A child with the pipeline of CFG, which must outlive it. NULL and ERR. */
struct pw_judge *pw_judge_new(const struct pw_config *cfg, struct pw_err *err);
void pw_judge_free(struct pw_judge **j);

struct pw_verdict_again {
	/* In POOL: action, step, reply, score, evidence, runs. NULL: there is
	 * none, see .why. */
	struct pw_decision *decision;
	const char *why;
	bool listener_gone; /* judged as for the first listener */
};
/* Message FD (as it came) by what J says of it.  A child that crashes or takes
 * longer than a minute is replaced. */
void pw_judge_again(struct pw_judge *judge, const struct pw_judged *j, int fd,
    struct pw_pool *pool, struct pw_verdict_again *out);

#endif
