/* SPDX-License-Identifier: ISC */
/*
 * Strict readers of DKIM-Signature fields and key records (RFC 6376, 8301,
 * 8463).  Only what they accept is shown to the DKIM library.  Pure; scan role.
 */
#ifndef PW_FILTERS_DKIM_SIG_H
#define PW_FILTERS_DKIM_SIG_H

#include "base/pool.h"

#define PW_DKIM_FIELD_MAX 8192u
#define PW_DKIM_NAMES_MAX 100u
#define PW_DKIM_KEY_MAX 1000u /* as handed to the library */

enum pw_dkim_alg { PW_DKIM_RSA_SHA256, PW_DKIM_RSA_SHA1, PW_DKIM_ED25519 };

struct pw_dkim_sig {
	/* Lower-case; "" where the field does not tell. */
	const char *domain, *selector, *alg_name, *b_start;
	const char *fault; /* why it cannot be used, or NULL */
	bool from_unsigned; /* the fault is that h= lacks From */
	struct pw_bytes b; /* the value of b=, in the field */
	enum pw_dkim_alg alg;
	int64_t t, x;    /* seconds; -1: absent */
	bool has_length; /* l= */
	bool relaxed;    /* body canonicalization */
	uint64_t length; /* of l= */
	bool subdomain;  /* i= lies below d= */
};
/*
 * VALUE is what stands behind the colon of a DKIM-Signature field.  0, or -1
 * with .fault; domain and selector are given wherever they are readable.
 */
int pw_dkim_sig_parse(struct pw_bytes value, struct pw_pool *pool,
    struct pw_dkim_sig *out);

/* Octets of BODY (CRLF line ends) in canonical form, RFC 6376 section 3.4:
 * what l= must reach for the whole body to be signed. */
uint64_t pw_dkim_body_len(struct pw_bytes body, bool relaxed);

struct pw_dkim_key {
	const char *record; /* written anew, at most PW_DKIM_KEY_MAX octets */
	const char *data;   /* the value of p= in it: base64 without folds */
	const char *fault;
	bool testing;       /* t=y */
};
/* A key record that is to verify SIG.  0, or -1 with .fault. */
int pw_dkim_key_parse(struct pw_bytes record, const struct pw_dkim_sig *sig,
    struct pw_pool *pool, struct pw_dkim_key *out);

/* A tag=value list, RFC 6376 section 3.2. */
struct pw_dkim_tag {
	struct pw_bytes name, value; /* without white space around them */
};
#define PW_DKIM_TAGS_MAX 32u
/* Number of tags, or -1 when the list is malformed or a tag stands twice. */
int pw_dkim_tags(struct pw_bytes in, struct pw_dkim_tag tag[PW_DKIM_TAGS_MAX]);

/* Parts of both kinds of signatures; also for ARC. */
/* The number of base64 characters in B, folds not counted; 0: not base64. */
size_t pw_dkim_base64_len(struct pw_bytes b);
/* Decodes B, which may have folds: the number of octets, or 0 where it is no
 * base64 or does not fit into MAX. */
size_t pw_dkim_base64(struct pw_bytes b, unsigned char *out, size_t max);
/* A domain of at least two labels; SELECTOR: one label will do, of digits
 * too. */
bool pw_dkim_labels_ok(struct pw_bytes b, bool selector);
/* The value of c=; false where it is unknown. */
bool pw_dkim_canon(struct pw_bytes c, bool *header_relaxed,
    bool *body_relaxed);

#endif
