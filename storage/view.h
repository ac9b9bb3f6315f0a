/* SPDX-License-Identifier: ISC */
/*
 * Who asks: everything, one domain, or one mailbox.  Each question to the index
 * and the records takes a view, and its statements give rows within it only:
 * of a mail to several, the recipients within the view and no other.
 */
#ifndef PW_STORAGE_VIEW_H
#define PW_STORAGE_VIEW_H

#include "storage/address.h"

enum pw_view_kind { PW_VIEW_ALL = 0, PW_VIEW_DOMAIN, PW_VIEW_MAILBOX };

struct pw_view {
	enum pw_view_kind kind;
	/* In canonical form: "@example.org", or "user@example.org". */
	char name[PW_ADDR_SIZE + 1];
};
extern const struct pw_view pw_view_all;

/* "example.org" or "user@example.org"; -1 when it is neither. */
int pw_view_parse(const char *text, struct pw_view *out);
/* ADDRESS (in any form) lies within the view. */
bool pw_view_has(const struct pw_view *v, struct pw_bytes address);
/* What statements are given: the domain without '@', the mailbox, "@domain";
 * ptr NULL where the view is not of that kind. */
struct pw_bytes pw_view_domain(const struct pw_view *v);
struct pw_bytes pw_view_mailbox(const struct pw_view *v);
struct pw_bytes pw_view_suffix(const struct pw_view *v);

#endif
