/* SPDX-License-Identifier: ISC */
/*
 * The canonical forms of RFC 6376 section 3.4, written into a SHA-256: what an
 * ARC signature is made over.  Pure; scan role, one thread.
 */
#ifndef PW_FILTERS_ARC_CANON_H
#define PW_FILTERS_ARC_CANON_H

#include <openssl/evp.h>

#include "base/bytes.h"

#define PW_SHA256_LEN 32u

/* A digest that is fed through a buffer. */
struct pw_canon {
	EVP_MD_CTX *md;  /* the caller's, already begun */
	uint64_t left;   /* octets that may still come; the rest is dropped */
	bool failed;     /* the digest could not be fed */
	size_t n;
	char buf[2048];
};

/* Begins on MD, which EVP_DigestInit_ex() or a copy has made ready. */
void pw_canon_init(struct pw_canon *c, EVP_MD_CTX *md);
/* Hands over what is buffered: before MD is copied or ended. */
void pw_canon_flush(struct pw_canon *c);

/*
 * The header field RAW (name, colon, value, line ends) without the line end
 * behind it.  SKIP, a part of RAW or empty, is taken for the empty string:
 * the value of b=.
 */
void pw_canon_field(struct pw_canon *c, struct pw_bytes raw, bool relaxed,
    struct pw_bytes skip);
void pw_canon_crlf(struct pw_canon *c);

/* BODY (CRLF or LF line ends), sections 3.4.3 and 3.4.4. */
void pw_canon_body(struct pw_canon *c, struct pw_bytes body, bool relaxed);

#endif
