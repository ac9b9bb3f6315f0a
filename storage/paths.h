/* SPDX-License-Identifier: ISC */
/*
 * Where mailboxes lie, remembered from accounts.db, so that a delivery costs
 * no query.  What was remembered is dropped when the accounts have changed,
 * which is looked at once a second.  Nothing waits here: a database that
 * another program has locked is told as such.  The store's loop thread.
 */
#ifndef PW_STORAGE_PATHS_H
#define PW_STORAGE_PATHS_H

#include "base/pool.h"
#include "storage/accounts.h"

struct pw_paths;
struct pw_paths *pw_paths_new(struct pw_accounts *a);
void pw_paths_free(struct pw_paths **p);
/* The path of MAILBOX below the mail root, in POOL; NULL when unknown, or, with
 * *LOCKED set, when that cannot be looked up now. */
const char *pw_paths_get(struct pw_paths *p, struct pw_bytes mailbox,
    struct pw_pool *pool, bool *locked);

#endif
