/* SPDX-License-Identifier: ISC */
/* What the reader's files of the accounts snapshot share. */
#ifndef PW_STORAGE_SNAPSHOT_PRIVATE_H
#define PW_STORAGE_SNAPSHOT_PRIVATE_H

#include "storage/snapshot.h"
#include "storage/snapshot_format.h"

struct pw_snapshot {
	const char *map;
	size_t size;
	const struct pw_snap_header *h;
	const struct pw_snap_slot *slots;
	const struct pw_snap_entry *entries;
	const struct pw_snap_list *lists;
	const uint32_t *targets;
	const char *strings;
	unsigned refs;
};

/* LEN bytes at AT of the strings, or none where they do not lie in them. */
struct pw_bytes pw_snap_string(const struct pw_snapshot *s, uint32_t at,
    size_t len);
/* The entry of KEY, or NULL. */
const struct pw_snap_entry *pw_snap_find(const struct pw_snapshot *s,
    struct pw_bytes key);

#endif
