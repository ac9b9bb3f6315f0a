/* SPDX-License-Identifier: ISC */
/*
 * The wire form of list entries (base/listentry.h): which of them were looked
 * at for a recipient, so that its judgement can be made again.  Any thread.
 */
#ifndef PW_NET_LISTCODE_H
#define PW_NET_LISTCODE_H

#include "base/listentry.h"
#include "base/pool.h"
#include "net/codec.h"

#define PW_LIST_HITS 32u /* entries that are looked at for one recipient */

void pw_list_enc(struct pw_enc *e, const struct pw_list_entry *v, size_t n);
/* A copy in POOL, *n of them; NULL when there are none, and with d->bad when
 * malformed. */
struct pw_list_entry *pw_list_dec(struct pw_dec *d, struct pw_pool *pool,
    size_t *n);

#endif
