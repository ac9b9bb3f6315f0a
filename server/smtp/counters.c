/* SPDX-License-Identifier: ISC */
/* Printing the counters of the front role. */
#include "smtp/counters.h"

#include <inttypes.h>

static const char *const names[PW_CNT_COUNT] = {
#define PW_X(id, name) name,
	PW_COUNTERS(PW_X)
#undef PW_X
};

void
pw_counters_print(const struct pw_counters *const *c, size_t n,
    struct pw_strbuf *out)
{
	for (size_t i = 0; i < PW_CNT_COUNT; i++) {
		uint64_t sum = 0;

		for (size_t k = 0; k < n; k++)
			sum += atomic_load_explicit(&c[k]->v[i],
			    memory_order_relaxed);
		pw_strbuf_addf(out, "%s %" PRIu64 "\n", names[i], sum);
	}
}
