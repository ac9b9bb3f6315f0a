/* SPDX-License-Identifier: ISC */
/*
 * Macro-strings, RFC 7208 section 7: syntax and expansion, both without
 * allocation.  Private to filters/spf.
 */
#ifndef PW_FILTERS_SPF_MACRO_H
#define PW_FILTERS_SPF_MACRO_H

#include "base/err.h"
#include "filters/spf/spf.h"

#define PW_SPF_MACRO_EXP 1u   /* the letters c, r and t too */
#define PW_SPF_MACRO_SPACE 2u /* spaces too: an explain-string */

/* Is S a macro-string?  The empty one is. */
bool pw_spf_macro_valid(struct pw_bytes s, unsigned flags);
/* Number of macro-expand in a valid macro-string. */
size_t pw_spf_macro_count(struct pw_bytes s);
/* Is S a domain-spec: a macro-string that ends in a macro or in a label fit
 * for a top level domain? */
bool pw_spf_domain_spec_valid(struct pw_bytes s);

struct pw_spf_macro_env {
	const struct pw_spf_request *req;
	const char *domain; /* current, for %{d} */
	/* The validated name of the client for %{p}; NULL: not known yet. */
	const char *(*validated)(void *arg, const char *domain);
	void *arg;
};

/*
 * The domain name that a valid domain-spec stands for: expanded, without its
 * last dot, cut on the left to 253 bytes (section 7.3); as the macros gave it,
 * so it may be no name at all.  PW_OK, or PW_AGAIN when %{p} is not known yet.
 */
int pw_spf_macro_domain(struct pw_bytes spec,
    const struct pw_spf_macro_env *env, char out[256]);
/*
 * The text that an explain-string stands for.  PW_OK; PW_AGAIN as above;
 * PW_FAIL when it is no explain-string, is empty, has other than printable
 * ASCII in it or more than PW_SPF_MAX_TEXT bytes.
 */
int pw_spf_macro_text(struct pw_bytes text, const struct pw_spf_macro_env *env,
    char out[PW_SPF_MAX_TEXT + 1]);

#endif
