/* SPDX-License-Identifier: ISC */
/*
 * The table of weights: what each symbol adds to a message's score, and which
 * action it asks for by itself.  The default weights stand beside the symbols
 * in the stages' descriptors, the default actions in weights.c; policy.weights
 * and policy.actions put others in their place.  Internal to filters/.
 */
#ifndef PW_FILTERS_WEIGHTS_H
#define PW_FILTERS_WEIGHTS_H

#include "base/strbuf.h"
#include "filters/registry.h"

struct pw_weight {
	const char *stage, *symbol, *help;
	double weight, def;
	bool shadow; /* by policy.shadow: recorded, not counted */
	uint8_t asks; /* 1 + enum pw_verdict_action, or 0 */
	bool malware;
};
struct pw_weights {
	size_t n;
	struct pw_weight *v; /* sorted by symbol, then stage */
};
/* -1 and a line: policy.weights, .shadow or .actions names a symbol that no
 * stage has, a weight is no number, or there is no such action. */
int pw_weights_new(const struct pw_config *cfg, const struct pw_registry *r,
    struct pw_weights **out, struct pw_err *err);
void pw_weights_free(struct pw_weights **w);
/* NULL when no loaded stage has it. */
const struct pw_weight *pw_weights_get(const struct pw_weights *w, const char *stage,
    const char *symbol);
/* The documented table: one line a symbol. */
void pw_weights_show(const struct pw_weights *w, struct pw_strbuf *out);

#endif
