/* SPDX-License-Identifier: ISC */
/*
 * Open addressing with linear probing; removed slots are kept as such until
 * the table is made anew.  See strmap.h for who uses it.
 */
#include "storage/strmap.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/pool.h"

struct pw_strmap_slot {
	char *key; /* NULL: never used, or removed when .hash is 1 */
	uint32_t len;
	uint64_t hash;
	struct pw_strmap_val val;
};

#define REMOVED 1

void
pw_strmap_init(struct pw_strmap *m)
{
	*m = (struct pw_strmap){ 0 };
}

void
pw_strmap_clear(struct pw_strmap *m)
{
	for (size_t i = 0; i < m->nslots; i++)
		free(m->slots[i].key);
	free(m->slots);
	pw_strmap_init(m);
}

/* The slot of KEY, or the first one that it may go to. */
static struct pw_strmap_slot *
slot_of(const struct pw_strmap *m, struct pw_bytes key, uint64_t hash)
{
	size_t at = (size_t)hash & (m->nslots - 1);
	struct pw_strmap_slot *free_slot = NULL;

	for (;; at = (at + 1) & (m->nslots - 1)) {
		struct pw_strmap_slot *s = &m->slots[at];
		if (s->key == NULL) {
			if (free_slot == NULL)
				free_slot = s;
			if (s->hash != REMOVED)
				return free_slot;
		} else if (s->hash == hash &&
		    pw_bytes_eq(pw_bytes(s->key, s->len), key))
			return s;
	}
}

static void
rebuild(struct pw_strmap *m)
{
	struct pw_strmap old = *m;
	size_t n = 64;

	while (n < (m->count + 1) * 3)
		n *= 2;
	*m = (struct pw_strmap){ .nslots = n,
		.slots = pw_xcalloc(n, sizeof(*m->slots)),
		.count = old.count,
		.used = old.count };
	for (size_t i = 0; i < old.nslots; i++) {
		struct pw_strmap_slot *s = &old.slots[i];
		if (s->key != NULL)
			*slot_of(m, pw_bytes(s->key, s->len), s->hash) = *s;
	}
	free(old.slots);
}

struct pw_strmap_val *
pw_strmap_get(const struct pw_strmap *m, struct pw_bytes key)
{
	if (m->count == 0)
		return NULL;
	struct pw_strmap_slot *s =
	    slot_of(m, key, pw_hash(key.ptr, key.len));
	return s->key != NULL ? &s->val : NULL;
}

struct pw_strmap_val *
pw_strmap_put(struct pw_strmap *m, struct pw_bytes key, bool *made)
{
	uint64_t hash = pw_hash(key.ptr, key.len);

	if ((m->used + 1) * 4 > m->nslots * 3)
		rebuild(m);
	struct pw_strmap_slot *s = slot_of(m, key, hash);
	bool fresh = s->key == NULL;
	if (fresh) {
		if (s->hash != REMOVED)
			m->used++;
		*s = (struct pw_strmap_slot){ .key = pw_xbytesdup(key),
			.len = (uint32_t)key.len,
			.hash = hash };
		m->count++;
	}
	if (made != NULL)
		*made = fresh;
	return &s->val;
}

bool
pw_strmap_del(struct pw_strmap *m, struct pw_bytes key)
{
	if (m->count == 0)
		return false;
	struct pw_strmap_slot *s =
	    slot_of(m, key, pw_hash(key.ptr, key.len));
	if (s->key == NULL)
		return false;
	free(s->key);
	*s = (struct pw_strmap_slot){ .hash = REMOVED };
	m->count--;
	return true;
}

bool
pw_strmap_next(const struct pw_strmap *m, size_t *at, struct pw_bytes *key,
    struct pw_strmap_val **val)
{
	for (; *at < m->nslots; (*at)++) {
		struct pw_strmap_slot *s = &m->slots[*at];
		if (s->key == NULL)
			continue;
		*key = pw_bytes(s->key, s->len);
		*val = &s->val;
		(*at)++;
		return true;
	}
	return false;
}
