/* SPDX-License-Identifier: ISC */
/*
 * Paths and mailboxes of the SMTP envelope (RFC 5321 section 4.1.2, RFC 6531
 * section 3.3), and the names that HELO and EHLO carry.  Parsed by one positive
 * grammar: what comes out is safe to print in a header field, a reply or a
 * record.  Pure; used by the role front.
 */
#ifndef PW_SMTP_ADDRESS_H
#define PW_SMTP_ADDRESS_H

#include "base/pool.h"
#include "base/valid.h"

/* RFC 5321 section 4.5.3.1: 64 octets of local part, 256 of path with its
 * angle brackets, hence 254 of mailbox.  A domain may have 255 there, but DNS
 * cannot hold more than 253 in text form. */
#define PW_ADDR_LOCAL_MAX 64u
#define PW_ADDR_DOMAIN_MAX 253u
#define PW_ADDR_MAILBOX_MAX 254u
#define PW_ADDR_ROUTE_MAX 32u /* hosts in a source route, which we ignore */

enum pw_addr_fault {
	PW_ADDR_OK = 0,
	PW_ADDR_SYNTAX,
	PW_ADDR_LOCAL_LONG,
	PW_ADDR_DOMAIN_LONG,
	PW_ADDR_LONG,   /* the whole */
	PW_ADDR_DOMAIN, /* not a domain that DNS could hold, or bad IDN */
	PW_ADDR_UTF8    /* not well-formed, or control characters */
};

/* A parsed path.  All bytes lie in the pool or are static. */
struct pw_path {
	struct pw_bytes text;   /* mailbox as it was written: no brackets, no
				 * route; "" for the null path */
	struct pw_bytes local;  /* without quoting */
	struct pw_bytes domain; /* lower-case A-labels, "[192.0.2.1]",
				 * "[ipv6:...]", or "" */
	bool null;    /* <> */
	bool quoted;  /* the local part was a quoted-string */
	bool literal; /* the domain is an address literal */
	bool routed;  /* a source route stood before it */
	bool utf8;    /* needs SMTPUTF8 */
};

#define PW_PATH_NULL 1u       /* <> is allowed */
#define PW_PATH_POSTMASTER 2u /* <postmaster> without a domain is allowed */

/*
 * Parses a path that IN begins with, angle brackets included; *USED says how
 * many octets it took.  On a fault *OUT is unspecified.
 */
enum pw_addr_fault pw_path_parse(struct pw_peer_bytes in, unsigned flags,
    struct pw_pool *pool, struct pw_path *out, size_t *used);

/* The same for a mailbox without brackets that is the whole of IN. */
enum pw_addr_fault pw_mailbox_parse(struct pw_peer_bytes in, unsigned flags,
    struct pw_pool *pool, struct pw_path *out);

/*
 * A domain, with U- or A-labels, or an address literal when LITERAL is given
 * (set to whether it was one), in the one form that is compared: OUT of
 * PW_DOMAIN_SIZE octets, NUL-terminated.
 */
#define PW_DOMAIN_SIZE 256u
enum pw_addr_fault pw_domain_canon(struct pw_peer_bytes in, bool *literal,
    char out[PW_DOMAIN_SIZE]);

#endif
