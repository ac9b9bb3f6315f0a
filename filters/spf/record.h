/* SPDX-License-Identifier: ISC */
/*
 * One SPF record, taken apart by the grammar of RFC 7208 section 12 and nothing
 * more lenient.  Private to filters/spf.
 */
#ifndef PW_FILTERS_SPF_RECORD_H
#define PW_FILTERS_SPF_RECORD_H

#include "base/err.h"
#include "base/pool.h"
#include "filters/spf/spf.h"

enum pw_spf_mech {
	PW_SPF_ALL,
	PW_SPF_INCLUDE,
	PW_SPF_A,
	PW_SPF_MX,
	PW_SPF_PTR,
	PW_SPF_IP4,
	PW_SPF_IP6,
	PW_SPF_EXISTS,
	PW_SPF_REDIRECT /* a modifier, kept in .redirect */
};

struct pw_spf_term {
	enum pw_spf_mech mech;
	enum pw_spf_result qualifier; /* PASS, FAIL, SOFTFAIL or NEUTRAL */
	struct pw_bytes text;         /* as written, with its qualifier */
	struct pw_bytes spec;         /* domain-spec; empty: current domain */
	uint8_t net[16];              /* ip4, ip6: network order */
	uint8_t bits4;                /* prefix lengths; ip4, ip6: the one */
	uint8_t bits6;
};

struct pw_spf_record {
	struct pw_spf_term *terms; /* mechanisms, in order */
	size_t nterms;
	bool has_redirect;
	struct pw_spf_term redirect; /* .text and .spec */
	struct pw_bytes exp;         /* domain-spec; .ptr NULL: none */
};

/* Is TEXT an SPF record at all, i.e. of version 1?  Section 4.5. */
bool pw_spf_is_record(struct pw_bytes text);

/*
 * Takes TEXT apart into POOL; *out points into TEXT and POOL.  -1 with the
 * reason (printable ASCII) when any term is wrong, also one that evaluation
 * would not reach (section 4.6), or when the record is over PW_SPF_MAX_RECORD.
 */
int pw_spf_record_parse(struct pw_bytes text, struct pw_pool *pool,
    struct pw_spf_record *out, struct pw_err *err);

#endif
