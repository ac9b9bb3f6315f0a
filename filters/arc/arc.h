/* SPDX-License-Identifier: ISC */
/*
 * The Authenticated Received Chain, RFC 8617: what its parts are, and each step
 * of judging it.  Used by the stage in filters/arc.c and by its fuzzer; scan
 * role.  Nothing here waits: keys are given.
 */
#ifndef PW_FILTERS_ARC_ARC_H
#define PW_FILTERS_ARC_ARC_H

#include <openssl/evp.h>

#include "base/pool.h"
#include "filters/dkim_sig.h"
#include "filters/msgview.h"

#define PW_ARC_SETS_MAX 50u  /* RFC 8617 section 4.2.1 */
#define PW_ARC_FIELDS_MAX (3 * PW_ARC_SETS_MAX)
#define PW_ARC_AAR_MAX PW_FIELD_CAP
#define PW_ARC_RSA_MIN 1024
#define PW_ARC_EXPONENT_MAX 64 /* bits; a longer one only costs time */

/* ---- sets.c: the fields ---------------------------------------------------- */

enum pw_arc_cv { PW_ARC_CV_NONE, PW_ARC_CV_PASS, PW_ARC_CV_FAIL };

/* An ARC-Message-Signature or an ARC-Seal; the parts point into the message. */
struct pw_arc_sig {
	struct pw_bytes raw;   /* the whole field; .ptr NULL: not there */
	struct pw_bytes b;     /* value of b=, base64 with folds */
	struct pw_bytes b_all; /* all between "b=" and what ends it */
	const char *domain, *selector; /* lower-case */
	enum pw_dkim_alg alg;
	/* ARC-Message-Signature */
	struct pw_bytes bh, h;
	bool relaxed_header, relaxed_body, has_length;
	bool has_canon;  /* c= is there */
	uint64_t length; /* of l= */
	int64_t x;       /* seconds, -1: absent */
	/* ARC-Seal */
	enum pw_arc_cv cv;
};
struct pw_arc_set {
	struct pw_bytes aar;     /* the whole field; .ptr NULL: not there */
	struct pw_bytes results; /* behind "i=N;": authserv-id and results */
	struct pw_arc_sig ams, as;
};
struct pw_arc_chain {
	unsigned fields; /* ARC fields that were seen; 0: there is no chain */
	unsigned n;      /* the highest instance */
	const char *fault; /* why the chain cannot be right, or NULL */
	struct pw_arc_set set[PW_ARC_SETS_MAX + 1]; /* by instance, from 1 */
};
/*
 * Finds the sets of V and reads their fields strictly; judges all of section
 * 5.2 that needs no key (steps 1 to 3).  *out is large: allocate it.  Names are
 * copied into POOL.
 */
void pw_arc_collect(const struct pw_msgview *v, struct pw_pool *pool,
    struct pw_arc_chain *out);

/* ---- keys.c ---------------------------------------------------------------- */

struct pw_arc_key {
	EVP_PKEY *pkey;    /* NULL: see fault */
	const char *fault; /* a static text, or NULL */
	bool temporary;    /* DNS had no answer: the fault is not the sealer's */
	int bits;          /* of an RSA key */
};
/*
 * Reads a key record (a TXT record) for SIG, in POOL.  0, or -1 and
 * out->fault.  The caller frees out->pkey.
 */
int pw_arc_key_read(struct pw_bytes record, const struct pw_arc_sig *sig,
    struct pw_pool *pool, struct pw_arc_key *out);

/* ---- verify.c -------------------------------------------------------------- */

/* What the signatures of one message share. */
struct pw_arc_verifier {
	const struct pw_msgview *view;
	struct pw_bytes body;
	EVP_MD *sha256; /* the caller's */
	bool hashed[2]; /* whole body: simple, relaxed */
	unsigned char hash[2][32];
};
/* NULL where SIG, an AMS, verifies by KEY; else why not.  NOW in seconds. */
const char *pw_arc_check_ams(struct pw_arc_verifier *v,
    const struct pw_arc_sig *sig, const struct pw_arc_key *key, int64_t now);
/*
 * Checks the seals of C from the oldest on, each over all sets up to its own
 * (section 5.1.1); KEY has one for each instance.  NULL where all verify; else
 * why not, and *bad is the instance.
 */
const char *pw_arc_check_seals(struct pw_arc_verifier *v,
    const struct pw_arc_chain *c, const struct pw_arc_key *const *key,
    unsigned *bad);
/*
 * True when SIG, an AMS that verified, leaves nothing of what a reader sees
 * unsigned: all From fields are in h= (and there is one only), and no text
 * stands below what l= signs.
 */
bool pw_arc_ams_covers(const struct pw_arc_verifier *v,
    const struct pw_arc_sig *sig);

/* ---- aar.c: what a sealer says --------------------------------------------- */

/* White space, line ends and comments from I on; past the end: LEN. */
size_t pw_arc_skip(struct pw_bytes v, size_t i);
/*
 * True when RESULTS (of a set) say that the message was authentic when it came
 * there: dmarc=pass for FROM (a domain, lower-case), or dkim=pass or spf=pass
 * of FROM itself or of a domain above it.  At most 64 results are read; what
 * strays from the grammar of RFC 8601 ends the reading.
 */
bool pw_arc_vouches(struct pw_bytes results, const char *from);
/* The domain of the one address in a From field's value, lower-case, in OUT;
 * -1 where there is none, or it is not plain to see. */
int pw_arc_from_domain(struct pw_bytes value, char out[256]);

#endif
