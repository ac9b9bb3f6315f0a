/* SPDX-License-Identifier: ISC */
/*
 * What a run of a stage sees (struct pw_env) and what came of it (struct
 * pw_out): the same on both sides, in front and in the scan role, so that a
 * stage may run in either.  Internal to filters/.
 */
#ifndef PW_FILTERS_EVAL_H
#define PW_FILTERS_EVAL_H

#include "base/pool.h"
#include "dns/dns.h"
#include "filters/msgview.h"
#include "filters/parts.h"
#include "filters/stage.h"
#include "net/meta.h"

/* Bounds of one run; what passes them is dropped and sets .clipped. */
#define PW_OUT_EVIDENCE 64u
#define PW_OUT_FACTS 64u
#define PW_OUT_AUTHRES 16u
#define PW_OUT_FIELDS 8u
#define PW_OUT_NEEDS 64u
#define PW_OUT_TEXT 400u
#define PW_FACT_TEXT_MAX 1024u
#define PW_FACT_NAME_MAX 64u
#define PW_FACT_INDEX_MAX 65536u

struct pw_factrow {
	struct pw_factrow *next;
	const char *name;
	uint32_t index;
	struct pw_fact value;
};
struct pw_facts {
	struct pw_factrow *first, *last;
	unsigned count;
};
/* Sets value INDEX of NAME; all is copied into POOL.  -1 at its bound. */
int pw_facts_set(struct pw_facts *f, struct pw_pool *pool, const char *name,
    size_t index, const struct pw_fact *value);
const struct pw_fact *pw_facts_get(const struct pw_facts *f, const char *name,
    size_t index);

struct pw_env {
	struct pw_pool *pool;           /* until the judgement ends */
	const struct pw_facts *fact[3]; /* looked at in this order; or NULL */
	const struct pw_dns_set *dns[2];
	const struct pw_msgview *msg;   /* NULL: none yet */
	struct pw_parts *parts;         /* of it; NULL: not decoded here */
	int64_t now_us;
	uint8_t seed[16];
};

/* Found things, in lists in the order in which they came. */
struct pw_out_evidence {
	struct pw_out_evidence *next;
	const char *symbol;
	double factor;
	struct pw_bytes text;
};
struct pw_out_authres {
	struct pw_out_authres *next;
	const char *method, *result, *props, *reason; /* reason may be NULL */
};
struct pw_out_field {
	struct pw_out_field *next;
	const char *name, *value;
};
struct pw_out_need {
	const char *name;
	uint16_t type;
};

/* The numbers are those of storage's enum pw_outcome, but for PENDING. */
enum pw_out_state {
	PW_OUTCOME_HIT = 0,
	PW_OUTCOME_NO_HIT = 1,
	PW_OUTCOME_NA = 2,
	PW_OUTCOME_FAILED = 3,
	PW_OUTCOME_PENDING = 4
};

struct pw_out {
	uint8_t state;      /* enum pw_out_state */
	const char *reason; /* of FAILED, else "" */
	uint32_t wall_us, cpu_us;
	bool clipped;
	struct pw_out_evidence *evidence, *evidence_last;
	struct pw_out_authres *authres, *authres_last;
	struct pw_out_field *field, *field_last;
	struct pw_facts fact;
	size_t nevidence, nauthres, nfield, ncut, nneed;
	struct pw_cut *cut;
	struct pw_bytes meta;
	struct pw_out_need *need; /* DNS questions without an answer yet */
};

struct pw_loaded;
/*
 * Runs STAGE once and measures it: fills *out, whose parts lie in env->pool.
 * HOOK is told of tickets, or NULL where there can be none (scan).
 */
struct pw_ticket_hook {
	void *arg;
	struct pw_ticket (*ticket)(void *arg);
};
void pw_eval_run(const struct pw_env *env, struct pw_loaded *stage,
    enum pw_phase phase, const struct pw_ticket_hook *hook,
    struct pw_out *out);
/* Tells an async stage that its run is given up. */
void pw_eval_cancel(const struct pw_env *env, struct pw_loaded *stage,
    enum pw_phase phase);
/* The cuts that a run has made so far: for the structure stage. */
struct pw_cut *pw_eval_cuts(struct pw_ctx *ctx, size_t *n);
/* The view that the host itself has of the message, or NULL. */
const struct pw_msgview *pw_eval_view(struct pw_ctx *ctx);
/* The table that stages get; also for init(). */
const struct pw_host *pw_host_table(void);
/* True for facts that the host itself provides. */
bool pw_host_has_fact(const char *name);
/* Field names that no stage may add. */
bool pw_host_field_allowed(const char *name);
/* What finish() calls; set once by tickets.c. */
void pw_ticket_finish(struct pw_ticket t);
uint64_t pw_thread_cpu_ns(void);

#endif
