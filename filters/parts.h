/* SPDX-License-Identifier: ISC */
/*
 * A message's MIME parts, decoded: made once for a message, when a stage first
 * asks.  In the role scan and the harness.  Internal to filters/.
 */
#ifndef PW_FILTERS_PARTS_H
#define PW_FILTERS_PARTS_H

#include "filters/msgview.h"
#include "filters/stage.h"

#define PW_PARTS_BYTES_MAX (32u << 20) /* of all decoded content */

/* Zeroed at first; belongs to one message and one pool. */
struct pw_parts {
	bool made;
	size_t n;
	struct pw_part *v;
	uint64_t bytes;
};

/* Part I of V, all in POOL: 0, or -1 past the last one, and for a message that
 * the host does not hand to a parser. */
int pw_parts_get(struct pw_parts *p, const struct pw_msgview *v,
    struct pw_pool *pool, size_t i, struct pw_part *out);

#endif
