/* SPDX-License-Identifier: ISC */
/*
 * Sender Policy Framework, RFC 7208: check_host() as one pure function.
 *
 * pw_spf_eval() judges with the DNS answers it is given and asks for those it
 * lacks; its caller resolves them and calls again until a result stands.  It
 * does no I/O, keeps nothing between calls and may run in any thread.  Used by
 * the SPF stage in the scan role.
 *
 * libspf2 walks the records, but never sees a byte that a stranger wrote: see
 * rewrite.c.
 */
#ifndef PW_FILTERS_SPF_SPF_H
#define PW_FILTERS_SPF_SPF_H

#include "base/bytes.h"
#include "base/valid.h"
#include "dns/dns.h"

enum pw_spf_result { /* RFC 7208 section 2.6 */
	PW_SPF_NONE,
	PW_SPF_NEUTRAL,
	PW_SPF_PASS,
	PW_SPF_FAIL,
	PW_SPF_SOFTFAIL,
	PW_SPF_TEMPERROR,
	PW_SPF_PERMERROR
};

/* Section 4.6.4; what would go beyond is permerror, and .why says which. */
#define PW_SPF_MAX_TERMS 10 /* include, a, mx, ptr, exists, redirect */
#define PW_SPF_MAX_VOIDS 2  /* of those, terms with an empty DNS answer */
#define PW_SPF_MAX_MX 10    /* exchanges of one mx term */
#define PW_SPF_MAX_PTR 10   /* names of the client; later ones are ignored */
/* Bounds of our own. */
#define PW_SPF_MAX_RECORD 4096 /* bytes of one record, as dns.h has it */
#define PW_SPF_MAX_MACROS 32   /* macros in one domain-spec */
#define PW_SPF_MAX_LOCAL 320   /* bytes of a local part; the rest is cut */
#define PW_SPF_MAX_TEXT 220    /* bytes of an explanation */

struct pw_spf_request {
	struct pw_ip client;  /* IPv4-mapped addresses already made IPv4 */
	const char *domain;   /* of the identity: MAIL FROM's, else HELO's */
	const char *local;    /* local part, unquoted; NULL or "": postmaster */
	const char *helo;     /* as the client said it, for %{h} */
	const char *receiver; /* our name, for %{r}; NULL: "unknown" */
	int64_t now;          /* seconds since the epoch, for %{t} */
	bool explain;         /* fetch the sender's text for a fail */
};

/* A question that the caller must answer before it calls again. */
struct pw_spf_need {
	char name[256];
	uint16_t type; /* enum pw_dns_type */
};

struct pw_spf_outcome {
	enum pw_spf_result result;
	/* All strings are printable ASCII, some cut to fit; "" is none. */
	char mechanism[128]; /* the deciding term: "include:_spf.example.com" */
	char domain[256];    /* whose record held it */
	char why[400];       /* the same in plain words, or what went wrong */
	unsigned terms;      /* counted against PW_SPF_MAX_TERMS */
	unsigned voids;      /* counted against PW_SPF_MAX_VOIDS */
	bool pass_all;       /* a pass that rests on "+all", also by include */
	bool pass_wide;      /* ... or its networks reach PW_SPF_WIDE_* */
	int bits;            /* prefix length of the match, -1 if no network */
	/* Written by the sender's side: for the reply to a fail, if at all. */
	char explanation[PW_SPF_MAX_TEXT + 1];
	/* With PW_AGAIN: all may be asked at once. */
	struct pw_spf_need need[PW_SPF_MAX_MX];
	unsigned nneed;
};

/*
 * A pass is wide where all networks that pass (ip4, ip6, and a and mx by their
 * prefix length, each once) in the records that were read for it are together
 * as large as one of so many bits.  Records behind the match are not read.
 */
#define PW_SPF_WIDE_4 8
#define PW_SPF_WIDE_6 16

/*
 * Judges REQ by ANSWERS.  PW_OK: *out is the verdict.  PW_AGAIN: add an answer
 * for each of out->need to ANSWERS and call again; at most 140 questions come
 * for one request.  A name that cannot be resolved in time is answered TIMEOUT;
 * where ANSWERS takes no more (pw_dns_set_add() fails), the caller gives up
 * with temperror.  *out is overwritten whole; nothing is kept or allocated
 * beyond the call.
 *
 * SERVFAIL, TIMEOUT and BOGUS give temperror, except where RFC 7208 says that
 * a name is skipped (ptr, %{p}, exp).
 */
int pw_spf_eval(const struct pw_spf_request *req,
    const struct pw_dns_set *answers, struct pw_spf_outcome *out);

/* "none", "neutral", "pass", ... as RFC 8601 section 2.7.2 writes them. */
const char *pw_spf_result_name(enum pw_spf_result result);

#endif
