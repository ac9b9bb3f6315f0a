/* SPDX-License-Identifier: ISC */
/*
 * The inside of the scan role's side that the structure stage shares with
 * pw_scanner_parse_file().  Internal to filters/.
 */
#ifndef PW_FILTERS_SCANNER_H
#define PW_FILTERS_SCANNER_H

#include "filters/msgview.h"
#include "net/meta.h"

/* Reads V's content into a new struct pw_meta in POOL (without cuts); NULL at
 * POOL's bound. */
struct pw_meta *pw_structure_meta(const struct pw_msgview *v,
    struct pw_pool *pool);
/* The bound that keeps parsers away from V, in words; or NULL. */
const char *pw_structure_bound(const struct pw_msgview *v);
/* Once per process, before the sandbox: GMime, iconv and its tables. */
void pw_structure_init(void);

#endif
