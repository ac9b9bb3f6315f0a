/* SPDX-License-Identifier: ISC */
/*
 * The wire form of work for the scan role and of what comes back.  Jobs come
 * from front and are trusted as far as form goes; results come from a process
 * that has read hostile bytes, and everything in them is checked against the
 * descriptors of the stages that were asked for.  Internal to filters/.
 */
#ifndef PW_FILTERS_JOB_H
#define PW_FILTERS_JOB_H

#include "filters/eval.h"
#include "filters/registry.h"
#include "net/codec.h"

#define PW_JOB_MAX (1u << 20)
#define PW_RESULTS_MAX (128u << 10)
#define PW_JOB_ITEMS 128u

/* One run asked for: stage by its index in the registry. */
struct pw_job_item {
	uint8_t stage;
	uint8_t phase;
};

void pw_job_enc(struct pw_enc *e, const struct pw_registry *r,
    const struct pw_job_item *item, size_t n, const struct pw_env *env);

/* A job as scan reads it; all in POOL. */
struct pw_job {
	size_t n;
	struct pw_job_item *item; /* by the reader's own registry */
	struct pw_facts facts;
	int64_t now_us;
	uint8_t seed[16];
	const struct pw_dns_set *dns[2];
};
/* 0, or -1: malformed, or it names a stage that REGISTRY lacks. */
int pw_job_dec(struct pw_bytes in, const struct pw_registry *registry,
    struct pw_pool *pool, struct pw_job *out);

void pw_results_begin(struct pw_enc *e, size_t n);
void pw_result_enc(struct pw_enc *e, const struct pw_loaded *stage,
    uint8_t phase, const struct pw_out *out);

/*
 * Reads results for exactly the N runs of ITEM, in that order, into OUT[].
 * HEADER_LEN bounds what may be cut.  0; -1 when anything is malformed, names
 * something that its stage did not declare, or passes a bound: then nothing of
 * OUT counts.
 */
int pw_results_dec(struct pw_bytes in, const struct pw_registry *r,
    const struct pw_job_item *item, size_t n, uint64_t header_len,
    struct pw_pool *pool, struct pw_out *out);

#endif
