/* SPDX-License-Identifier: ISC */
/*
 * The pipeline's inside: shared by pipeline.c (set-up, facts), pipe_run.c (runs
 * of stages), pipe_scan.c (work for scan processes) and pipe_result.c (what
 * follows).  All on the loop's thread.
 *
 * A SLOT is one run of one stage in one phase:
 *
 *   NEW ──run──► DONE
 *    ▲  └──────► DNS ─────all answers──► NEW      (again from its beginning)
 *    │  └──────► TICKET ──finished─────► NEW
 *    └─ SCAN ◄── NEW (of the role scan) ; SCAN ──results──► DONE or DNS
 *
 * From every state but DONE: time limit, budget, reset ──► DONE.
 */
#ifndef PW_FILTERS_PIPE_INT_H
#define PW_FILTERS_PIPE_INT_H

#include <stdatomic.h>

#include "filters/eval.h"
#include "filters/mapped.h"
#include "filters/pipeline.h"
#include "filters/policy.h"
#include "filters/registry.h"
#include "filters/tickets.h"
#include "filters/weights.h"

#define PW_SLOT_ROUNDS 64u /* restarts of one run */
#define PW_RCPT_FACTS 100u

struct pw_pipeline {
	const struct pw_config *cfg;
	struct pw_loop *loop;
	struct pw_dns_client *dns;
	const struct pw_scan_runner *scan; /* NULL in master's check */
	struct pw_registry *reg;
	struct pw_weights *weights;
	struct pw_thresholds *thresholds;
	const char *authserv_id;
	_Atomic uint64_t jobs, crashes, garbage, refused_jobs; /* read by any */
};

enum pw_slot_state {
	PW_SLOT_NEW,
	PW_SLOT_DNS,
	PW_SLOT_TICKET,
	PW_SLOT_SCAN,
	PW_SLOT_DONE
};

struct pw_slot;
struct pw_asked {
	struct pw_slot *slot;
	struct pw_dns_query *query;
};

/* What belongs together and ends together: a session or a transaction. */
struct pw_side {
	struct pw_pool *pool;
	struct pw_facts facts;
	struct pw_dns_set *dns;
	struct pw_slot *first, *last;
	unsigned nslot;
	int64_t now_us;
	uint8_t seed[16];
	struct pw_enc script; /* recording.c: what the host told, in order */
};

struct pw_slot {
	struct pw_slot *next;
	struct pw_pipe *pipe;
	struct pw_side *side;
	struct pw_scanjob *job;
	struct pw_timer timer;
	struct pw_asked *asked; /* of this round */
	struct pw_ticket ticket;
	struct pw_out out;
	uint64_t started_ms;
	uint32_t wall_us, cpu_us;
	unsigned nasked, open; /* questions, and those without an answer */
	uint16_t rounds;
	uint32_t rcpt; /* that a run of phase RCPT is about, from 1 */
	uint8_t stage, phase, state;
	bool ran;       /* started_ms is set */
	bool cancelled; /* given up: cancel() is due if it is async */
	bool alone;     /* a process ended with its job: it gets its own */
	bool forced; /* could not run for a reason outside of the stage */
};

struct pw_scanjob {
	struct pw_pipe *pipe;
	void *handle;
	size_t n;
	struct pw_job_item *item;
	struct pw_slot **slot;
};

struct pw_pipe {
	struct pw_pipeline *p;
	struct pw_session_info info;
	struct pw_side session, trans;
	struct pw_id id;
	struct pw_defer wake;
	struct pw_timer budget;
	pw_pipe_cb cb; /* of the phase under way, or NULL */
	void *arg;
	const struct pw_pipe_result *result;
	struct pw_judging *judging; /* with the result, or NULL */
	const struct pw_dns_set *replay; /* or NULL: questions are asked */
	const struct pw_failures *failures; /* of the replay, or NULL */
	size_t script_mark; /* the session's when the transaction began */
	uint64_t mail_size, header_len, end_started;
	unsigned nrcpt;
	int fd;
	struct pw_mapped map;   /* of the message, for stages that run here */
	struct pw_msgview view;
	bool viewed;
	uint8_t phase; /* that is waited for, or was last */
	uint8_t given_up; /* cost classes given up for want of time */
	bool in_trans, stepping;
	bool crashed, crashed_first;
};

/* Facts of the host that need no storing, for the time of one run. */
struct pw_base_facts {
	struct pw_facts list;
	struct pw_factrow row[6];
};
/* Fills ENV for a run on SIDE; *base must live as long. */
void pw_pipe_env(struct pw_pipe *pipe, struct pw_side *side,
    struct pw_base_facts *base, struct pw_env *env);

/* The message for a stage that runs in front: NULL and *why when it cannot be
 * had there. */
const struct pw_msgview *pw_pipe_view(struct pw_pipe *pipe, const char **why);

/* pipe_verdict.c: IN is what all recipients share; false at the memory's
 * bound. */
bool pw_pipe_judge(struct pw_pipe *pipe, const struct pw_policy_in *in);

/* pipe_run.c */
void pw_slot_add(struct pw_pipe *pipe, struct pw_side *side, size_t stage,
    enum pw_phase phase);
void pw_pipe_step(struct pw_pipe *pipe);
void pw_pipe_wake(struct pw_pipe *pipe);
bool pw_pipe_settled(const struct pw_pipe *pipe, enum pw_phase phase);
/* Takes over what a run gave: DONE, or its questions are asked. */
void pw_slot_take(struct pw_slot *s);
void pw_slot_fail(struct pw_slot *s, const char *reason);
unsigned pw_slot_remaining(const struct pw_slot *s);
/* Cancels all that is under way and gives the memory back. */
void pw_side_end(struct pw_pipe *pipe, struct pw_side *side);
void pw_pipe_give_up(struct pw_pipe *pipe, uint8_t cost, const char *reason);

/* pipe_scan.c */
bool pw_slot_ready(const struct pw_pipe *pipe, const struct pw_slot *s,
    const struct pw_scanjob *joining);
/* Gathers the slots that are ready into jobs and submits them; true when
 * anything changed. */
bool pw_pipe_submit(struct pw_pipe *pipe);
void pw_scanjob_drop(struct pw_scanjob *job);

/* recording.c: the host's facts and phases, for judging again. */
enum pw_script {
	PW_SCRIPT_PHASE = 1,
	PW_SCRIPT_TEXT,
	PW_SCRIPT_INT,
	PW_SCRIPT_MESSAGE
};
struct pw_failures {
	size_t n;
	struct pw_failure {
		const char *stage, *reason;
		uint8_t phase;
		uint16_t nth; /* of the runs of this stage in this phase */
	} *v;
};
void pw_script_phase(struct pw_pipe *pipe, enum pw_phase phase);
void pw_script_text(struct pw_pipe *pipe, const char *name, struct pw_bytes v);
void pw_script_int(struct pw_pipe *pipe, const char *name, int64_t v);
void pw_script_message(struct pw_pipe *pipe, uint64_t size,
    uint64_t header_len);
/* All that was noted up to now, in POOL; "" when a bound was met. */
struct pw_bytes pw_recording_make(const struct pw_pipe *pipe,
    struct pw_pool *pool);
/* Why S could not run in the recorded judgement, or NULL. */
const char *pw_recorded_failure(const struct pw_pipe *pipe,
    const struct pw_slot *s);

/* crash.c: true when content like this was noted within the last hour; notes
 * it. */
bool pw_crash_seen(int fd, uint64_t size);

#endif
