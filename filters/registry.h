/* SPDX-License-Identifier: ISC */
/*
 * The stages of one configuration: built-in ones and plug-ins, checked, in the
 * order in which they run, each with what the configuration says of it.
 * Internal to filters/; master, front and scan each make their own.
 */
#ifndef PW_FILTERS_REGISTRY_H
#define PW_FILTERS_REGISTRY_H

#include <stdatomic.h>

#include "config/config.h"
#include "filters/plugin.h"
#include "filters/stage.h"

#define PW_STAGES_MAX 64u /* one bit each in a uint64_t */
#define PW_STAGE_VALUE_MAX 2047u /* octets of the value of one option */

struct pw_stage_conf {
	const struct pw_stage *desc;
	const struct pw_config_stage *section; /* or NULL */
	char buf[PW_STAGE_VALUE_MAX + 1]; /* what option() gave last */
};

/* Written by the thread that owns the registry, read by any. */
enum pw_stage_count {
	PW_SC_RUNS, PW_SC_HITS, PW_SC_NOHITS, PW_SC_NA, PW_SC_ERRORS,
	PW_SC_REJECTED, /* runs that gave something that was not taken */
	PW_SC_SLOW,     /* runs that held up a loop */
	PW_SC_WALL_US, PW_SC_CPU_US, PW_SC_COUNT
};
struct pw_stage_counts {
	_Atomic uint64_t v[PW_SC_COUNT];
};
static inline void
pw_stage_count(struct pw_stage_counts *c, enum pw_stage_count id, uint64_t n)
{
	atomic_store_explicit(&c->v[id], n + atomic_load_explicit(&c->v[id],
	    memory_order_relaxed), memory_order_relaxed);
}

struct pw_loaded {
	const struct pw_stage *desc;
	struct pw_stage_conf conf;
	void *instance;
	bool inited;
	uint8_t role;     /* enum pw_role */
	uint8_t on_error; /* enum pw_on_error, never DEFAULT */
	bool shadow;
	uint32_t timeout_ms;
	uint64_t deps;    /* stages whose facts it needs */
	bool plugin;      /* came from a file of its own */
	struct pw_stage_counts count;
};

struct pw_registry {
	size_t n;
	struct pw_loaded v[PW_STAGES_MAX]; /* in the order of running */
	uint64_t *listener; /* which of them run, for each listener */
	size_t nlistener;
};

extern const struct pw_stage pw_stage_iprev, pw_stage_helo, pw_stage_null_mx,
    pw_stage_spf, pw_stage_dkim, pw_stage_arc, pw_stage_from, pw_stage_dmarc,
    pw_stage_structure;

/*
 * Loads what CFG names and orders it; init() of the stages that run in ROLES
 * (enum pw_role, by bits) is called.  CFG must outlive the registry.
 */
int pw_registry_new(const struct pw_config *cfg, unsigned roles,
    struct pw_registry **out, struct pw_err *err);
/* The same with the given descriptors in place of the built-in ones: tests. */
int pw_registry_with(const struct pw_config *cfg, unsigned roles,
    const struct pw_stage *const *table, size_t ntable,
    struct pw_registry **out, struct pw_err *err);
void pw_registry_free(struct pw_registry **r);
/* Index of NAME, or -1. */
int pw_registry_find(const struct pw_registry *r, const char *name);
/* Names that a configuration may use: a static list, NULL at the end. */
const struct pw_stage *const *pw_registry_builtin(size_t *n);

#endif
