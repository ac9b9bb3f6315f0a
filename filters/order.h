/* SPDX-License-Identifier: ISC */
/*
 * The order of stages, from the facts that they need and provide.  Internal to
 * filters/.
 */
#ifndef PW_FILTERS_ORDER_H
#define PW_FILTERS_ORDER_H

#include "base/err.h"
#include "filters/stage.h"

/*
 * Writes into ORDER the indices of the N (at most 64) stages so that each comes
 * after those whose facts it needs, cheap ones first, else as given; and into
 * DEPS[i] the producers of stage i, as bits by the given indices.
 * -1: a cycle, a fact that nobody provides (unless written "x?"), or one that
 * two provide; the line names them.
 */
int pw_order(const struct pw_stage *const *stage, size_t n, size_t *order,
    uint64_t *deps, struct pw_err *err);

#endif
