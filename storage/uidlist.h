/* SPDX-License-Identifier: ISC */
/*
 * Reads dovecot-uidlist, version 3, the file in which Dovecot keeps the UIDs of
 * a Maildir folder.  We never write it.  It may be in the middle of being
 * appended to: a last line without its end is left for later.  Pure, any
 * thread.
 */
#ifndef PW_STORAGE_UIDLIST_H
#define PW_STORAGE_UIDLIST_H

#include "base/bytes.h"

struct pw_uidlist {
	uint32_t uidvalidity;
	uint32_t next_uid; /* 0 when the header does not say */
};

/* Calls FN for each line, in file order, with the name up to its flags. 0, or
 * -1 when it is not a version 3 list (then FN was not called). Lines that make
 * no sense are passed over. */
typedef void (*pw_uidlist_fn)(void *arg, uint32_t uid, struct pw_bytes base);
int pw_uidlist_parse(struct pw_bytes text, struct pw_uidlist *out,
    pw_uidlist_fn fn, void *arg);

#endif
