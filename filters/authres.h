/* SPDX-License-Identifier: ISC */
/*
 * The Authentication-Results field, RFC 8601: writing ours, and recognising
 * fields of others that bear our name.  Any role; pure.
 */
#ifndef PW_FILTERS_AUTHRES_H
#define PW_FILTERS_AUTHRES_H

#include "base/pool.h"

struct pw_authres {
	const char *method;  /* "dkim" */
	const char *result;  /* "pass" */
	const char *props;   /* "header.d=example.com header.s=x"; or "" */
	const char *reason;  /* or NULL */
};
/*
 * The field's value, folded with CRLF TAB so that lines stay within 78 octets
 * where that is possible; "none" stands where N is 0 (section 2.2).  A part
 * that cannot be written in the grammar is left out.  NULL at POOL's bound.
 */
const char *pw_authres_write(struct pw_pool *pool, const char *authserv_id,
    const struct pw_authres *v, size_t n);

/*
 * True when VALUE (the bytes behind the field's colon) bears AUTHSERV_ID: any
 * comment, folding, quoting, case, version number or dot at the end makes no
 * difference (sections 2.2, 5).  So does a value too odd to be read whose
 * first token, however bounded, is our name: a reader less strict than the
 * grammar might believe it.
 */
bool pw_authres_is_ours(struct pw_bytes value, const char *authserv_id);

/* ---- reading a value that we wrote ourselves (authres_read.c) ---------------- */

#define PW_AUTHRES_PROPS 12
struct pw_authres_entry {
	const char *method, *result, *reason; /* reason "" where there is none */
	size_t nprop;
	struct {
		const char *name, *value; /* "header.d", "example.com" */
	} prop[PW_AUTHRES_PROPS];
};
/*
 * The next result of a value of pw_authres_write(), quotes taken off; false at
 * its end.  *rest is the whole value at first, authserv-id included, and is
 * moved on.  Texts are made in POOL.
 */
bool pw_authres_next(struct pw_bytes *rest, struct pw_pool *pool,
    struct pw_authres_entry *out);
/* The value of property NAME, or NULL. */
const char *pw_authres_prop(const struct pw_authres_entry *e,
    const char *name);

#endif
