/* SPDX-License-Identifier: ISC */
/*
 * The snapshot's layout: header, slots, entries, targets, strings, in this
 * order, all little endian as the machine has it (it never leaves the host).
 * Keys are canonical: "user@domain", "@domain" for a catch-all, "domain".
 */
#ifndef PW_STORAGE_SNAPSHOT_FORMAT_H
#define PW_STORAGE_SNAPSHOT_FORMAT_H

#include <stdint.h>

#define PW_SNAP_MAGIC 0x31504e5350570a01ull
#define PW_SNAP_NONE UINT32_MAX

struct pw_snap_header {
	uint64_t magic;
	uint64_t version;
	uint64_t size;    /* of all */
	uint8_t key[16];  /* of the hash, random for each snapshot */
	uint32_t nslots;  /* a power of two, more than half of them empty */
	uint32_t nentries;
	uint32_t ntargets;
	uint32_t nstrings; /* bytes */
	/* Entries of last resort for postmaster and abuse, or NONE: what is
	 * configured, and any postmaster of ours. */
	uint32_t postmaster;
	uint32_t any_postmaster;
};

/* Open addressing, the next slot on collision. */
struct pw_snap_slot {
	uint32_t entry; /* NONE: empty */
	uint32_t tag;   /* upper half of the hash */
};

enum {
	PW_SNAP_DOMAIN = 1,
	PW_SNAP_MAILBOX = 2,
	PW_SNAP_ALIAS = 4
};

struct pw_snap_entry {
	uint32_t key, path; /* in strings */
	uint16_t key_len, path_len;
	uint16_t flags;
	uint16_t unused;
	uint32_t target;    /* first of ntarget in targets */
	uint32_t ntarget;
	uint64_t quota;
	uint64_t usage;
};

/* An element of targets is the number of an entry. */

#endif
