/* SPDX-License-Identifier: ISC */
/*
 * A hash table from byte strings to two numbers, for what is kept about
 * mailboxes, folders and file names.  Keys are copied.  Not locked: the owner
 * does that.
 */
#ifndef PW_STORAGE_STRMAP_H
#define PW_STORAGE_STRMAP_H

#include "base/bytes.h"

struct pw_strmap_val {
	uint64_t a, b;
};
struct pw_strmap_slot;
struct pw_strmap {
	struct pw_strmap_slot *slots;
	size_t nslots, used; /* used counts removed ones until a resize */
	size_t count;
};

void pw_strmap_init(struct pw_strmap *m);
/* Removes all; the map stays usable. */
void pw_strmap_clear(struct pw_strmap *m);
/* NULL when KEY is not there.  Pointers hold until the next put or clear. */
struct pw_strmap_val *pw_strmap_get(const struct pw_strmap *m,
    struct pw_bytes key);
/* The value of KEY, made as zeros; *MADE (may be NULL) says so. */
struct pw_strmap_val *pw_strmap_put(struct pw_strmap *m, struct pw_bytes key,
    bool *made);
/* Whether it was there. */
bool pw_strmap_del(struct pw_strmap *m, struct pw_bytes key);
/* Walk: *AT begins at 0; false at the end.  No put or clear meanwhile. */
bool pw_strmap_next(const struct pw_strmap *m, size_t *at,
    struct pw_bytes *key, struct pw_strmap_val **val);

#endif
