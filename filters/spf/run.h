/* SPDX-License-Identifier: ISC */
/*
 * One run of the evaluator: what rewrite.c, layer.c, mech.c and explain.c share
 * under eval.c.  Private to filters/spf.
 *
 * A frame is a record being evaluated and the domain it was found at.  A slot
 * is a term of a frame under the name "tN.x" that stands for it in the record
 * that libspf2 compiles; slot 0 is the request itself.
 */
#ifndef PW_FILTERS_SPF_RUN_H
#define PW_FILTERS_SPF_RUN_H

#include <netinet/in.h> /* spf_server.h needs it and does not say so */
#include <spf2/spf_server.h>

#include "filters/spf/record.h"

/* A frame more than the terms that can open one; each frame puts at most one
 * term over the limit, and one that matches always, into slots. */
#define PW_SPF_MAX_FRAMES (PW_SPF_MAX_TERMS + 1)
#define PW_SPF_MAX_SLOTS (1 + PW_SPF_MAX_FRAMES * (PW_SPF_MAX_TERMS + 2))

/* So much of a term is shown in a reason. */
#define PW_SPF_SHOWN 80

struct pw_spf_slot {
	struct pw_spf_frame *frame; /* where the term stands; NULL in slot 0 */
	const struct pw_spf_term *term;
	bool always; /* needs no DNS and is known to match */
	bool is_void; /* counted in .voids */
};

struct pw_spf_frame {
	struct pw_spf_record record;
	char domain[256];              /* canonical text, see dns.h */
	const struct pw_spf_slot *via; /* the term that led here */
};

struct pw_spf_run {
	const struct pw_spf_request *req;
	const struct pw_dns_set *answers;
	struct pw_spf_outcome *out;
	struct pw_pool *pool;
	struct pw_spf_frame frames[PW_SPF_MAX_FRAMES];
	unsigned nframes;
	struct pw_spf_slot slots[PW_SPF_MAX_SLOTS];
	unsigned nslots;
	/* The record whose exp applies: the first, or where it redirects to. */
	const struct pw_spf_frame *top;
	const struct pw_spf_slot *leaf; /* the last that matched */
	bool again;   /* answers are missing, the rest of the run is moot */
	bool stopped; /* out->result stands, whatever the library makes of it */
};

/* ---- eval.c: control --------------------------------------------------- */

/* Ends the run with RESULT and the reason; the first call counts. */
void pw_spf_stop(struct pw_spf_run *run, enum pw_spf_result result,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The answer, or NULL and run->again. NAME is canonical. */
const struct pw_dns_answer *pw_spf_ask(struct pw_spf_run *run,
    const char *name, uint16_t type);
/* Canonical form of what a domain-spec expanded to: -1 where DNS cannot hold
 * it, or where it is not ASCII (RFC 8616 section 4: never matches). */
int pw_spf_name(const char *text, char out[256]);

/* ---- mech.c: the mechanisms that ask DNS ------------------------------- */

/* Counts the term of SLOT; -1 and the run stopped when it is one too many. */
int pw_spf_count_term(struct pw_spf_run *run, const struct pw_spf_slot *slot);
/* Where the term of SLOT points to, in OUT, "" when that is no name.  0, or -1
 * when run->again was set. */
int pw_spf_target(struct pw_spf_run *run, const struct pw_spf_slot *slot,
    char out[256]);
/* 1 when the term of SLOT matches the client, 0 when not, -1 when that is not
 * known: run->again or run->stopped is set. */
int pw_spf_match(struct pw_spf_run *run, struct pw_spf_slot *slot);
/* Does ip4, ip6 or all match the client?  Without DNS. */
bool pw_spf_match_plain(const struct pw_spf_request *req,
    const struct pw_spf_term *term);
/* For %{p} in a record of DOMAIN: section 7.3; ARG is the run. */
const char *pw_spf_validated_name(void *arg, const char *domain);

/* ---- rewrite.c --------------------------------------------------------- */

/* Writes the record of FRAME in the words of ours that libspf2 is to compile,
 * opening slots.  OUT is large enough for any. */
#define PW_SPF_WORDS_SIZE 512
void pw_spf_rewrite(struct pw_spf_run *run, struct pw_spf_frame *frame,
    char out[PW_SPF_WORDS_SIZE]);
/* The slot behind a name that libspf2 asks for. */
struct pw_spf_slot *pw_spf_slot_of(struct pw_spf_run *run, const char *name);
/* The name of slot 0. */
#define PW_SPF_ROOT_NAME "t0.x"

/* ---- layer.c ----------------------------------------------------------- */

/* The library's way to DNS, for RUN; lives in *layer, frees nothing. */
void pw_spf_layer_init(SPF_dns_server_t *layer, struct pw_spf_run *run);

/* ---- explain.c --------------------------------------------------------- */

/* Fetches the explanation of a fail, if there is a fit one, into out; may set
 * run->again. */
void pw_spf_explain(struct pw_spf_run *run);

#endif
