/* SPDX-License-Identifier: ISC */
/*
 * One entry of the allow and block lists, as it passes from the snapshot of the
 * accounts (storage/) to the policy (filters/), which do not know each other.
 */
#ifndef PW_BASE_LISTENTRY_H
#define PW_BASE_LISTENTRY_H

#include <stdint.h>

/* The numbers are on disk. */
enum pw_list_kind { PW_LIST_ALLOW = 0, PW_LIST_BLOCK = 1 };
enum pw_list_what {
	PW_LIST_ADDRESS = 0, /* of the sender: envelope or From */
	PW_LIST_DOMAIN = 1,  /* the same, and domains below it */
	PW_LIST_NETWORK = 2  /* the client's address */
};
/* Whose mail it is about. */
enum pw_list_scope {
	PW_LIST_FOR_MAILBOX = 0,
	PW_LIST_FOR_DOMAIN = 1,
	PW_LIST_FOR_ALL = 2
};

struct pw_list_entry {
	int64_t id;
	uint8_t kind;   /* enum pw_list_kind */
	uint8_t what;   /* enum pw_list_what */
	uint8_t scope;  /* enum pw_list_scope */
	uint8_t action; /* of block: what follows, as storage's enum pw_action */
	const char *pattern; /* canonical */
	const char *comment; /* the admin's, or "" */
};

#endif
