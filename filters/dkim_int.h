/* SPDX-License-Identifier: ISC */
/*
 * What the stage dkim knows of one signature, between judging it (dkim.c) and
 * telling of it (dkim_report.c).  Internal to the stage; scan role.
 */
#ifndef PW_FILTERS_DKIM_INT_H
#define PW_FILTERS_DKIM_INT_H

#include "filters/dkim_sig.h"
#include "filters/stage.h"

#define PW_DKIM_SIGS_MAX 8u /* signatures that are judged */

struct pw_dkim_one {
	struct pw_dkim_sig sig;
	struct pw_dkim_key key;
	struct pw_slice raw;
	const char *result, *reason; /* result NULL: not judged yet */
	const char *note; /* a symbol that says more than the result, or NULL */
	unsigned bits;    /* of an RSA key that was used, else 0 */
	uint64_t tail;    /* octets of the body below what l= signs */
};

/* True when ONE may stand for its domain: it is right, covers the one From
 * field and the whole body, and its key is not in test mode. */
bool pw_dkim_counts(const struct pw_dkim_one *one);
/* Gives results, evidence and facts of the N signatures in V, of SEEN that
 * there were. */
void pw_dkim_report(struct pw_ctx *ctx, const struct pw_dkim_one *v,
    unsigned n, unsigned seen);
/* What the stage declares. */
extern const struct pw_symbol pw_dkim_symbols[];
extern const char *const pw_dkim_facts[];

#endif
