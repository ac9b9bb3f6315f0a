/* SPDX-License-Identifier: ISC */
/*
 * The snapshot's layout: header, slots, entries, lists, targets, strings, in
 * this order, all little endian as the machine has it (it never leaves the
 * host).  Keys are canonical: "user@domain", "@domain" for a catch-all,
 * "domain".  An entry of the allow and block lists has the key "pattern\n" and
 * whom it is for (nothing: all), so that a look-up is one of the table; "\n"
 * and whom says that there is an allow entry by name for them.
 */
#ifndef PW_STORAGE_SNAPSHOT_FORMAT_H
#define PW_STORAGE_SNAPSHOT_FORMAT_H

#include <stdint.h>

#define PW_SNAP_MAGIC 0x31504e5350570a02ull
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
	uint32_t nlists;
	uint32_t unused;
	/* Lengths of the networks in lists, a bit each: IPv4, IPv6. */
	uint64_t bits4;
	uint64_t bits6[3];
};

/* Open addressing, the next slot on collision. */
struct pw_snap_slot {
	uint32_t entry; /* NONE: empty */
	uint32_t tag;   /* upper half of the hash */
};

enum {
	PW_SNAP_DOMAIN = 1,
	PW_SNAP_MAILBOX = 2,
	PW_SNAP_ALIAS = 4,
	PW_SNAP_LIST = 8,  /* its targets are elements of lists */
	PW_SNAP_ALLOWS = 16
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

/* Texts end with a NUL that their length does not count. */
struct pw_snap_list {
	int64_t id;
	int64_t expires; /* microseconds since the epoch; 0: never */
	uint32_t pattern, comment;
	uint16_t pattern_len, comment_len;
	uint8_t kind, what, scope, action;
};

/* An element of targets is the number of an entry. */

#endif
