/* SPDX-License-Identifier: ISC */
/*
 * DMARC, RFC 9989: reading a policy record, finding the one that applies, and
 * whether a message's authenticated domains are in alignment with its author's.
 * The older way to an organizational domain, RFC 7489 with the public suffix
 * list, is there beside it.
 *
 * Everything here is pure: it judges with the answers it is given, asks for
 * those it lacks, and is called again when they are there.  Used by the stage
 * dmarc in the role scan and by the report in the admin's program.
 *
 * Domains are lower-case A-labels without trailing dot, as pw_dmarc_domain()
 * makes them.
 */
#ifndef PW_FILTERS_DMARC_DMARC_H
#define PW_FILTERS_DMARC_DMARC_H

#include "base/pool.h"
#include "dns/dns.h"
#include "filters/stage.h"

/* ---- record.c: policy records, RFC 9989 sections 4.7 and 4.8 --------------- */

enum pw_dmarc_policy {
	PW_DMARC_P_NONE,
	PW_DMARC_P_QUARANTINE,
	PW_DMARC_P_REJECT
};
/* "none", "quarantine", "reject" */
const char *pw_dmarc_policy_name(enum pw_dmarc_policy p);

enum pw_dmarc_psd { PW_DMARC_PSD_U, PW_DMARC_PSD_N, PW_DMARC_PSD_Y };

struct pw_dmarc_record {
	enum pw_dmarc_policy p, sp, np; /* sp and np with their defaults */
	bool has_sp, has_np;            /* published, and valid */
	bool strict_dkim, strict_spf;   /* adkim=s, aspf=s */
	bool testing;                   /* t=y */
	enum pw_dmarc_psd psd;
	struct pw_bytes rua, fo; /* as published; empty: absent */
	/* No valid p, or a bad sp or np, and no usable rua: no DMARC processing
	 * under this record (section 4.10.1). */
	bool void_policy;
	/* What was passed over, in words, or NULL. */
	const char *fault;
};
/*
 * 0, or -1 when TEXT does not begin with a v tag that says DMARC1 exactly: then
 * it is no policy record.  All else that is malformed is left at its default
 * (section 4.7), a tag that stands twice likewise; unknown tags are ignored,
 * and pct is one of them (appendix A.6).  *out points into TEXT.
 */
int pw_dmarc_record_parse(struct pw_bytes text, struct pw_dmarc_record *out);
/*
 * The next syntactically valid URI of a comma-separated list, without the
 * obsolete "!size"; false at its end.  *rest is moved on.
 */
bool pw_dmarc_uri_next(struct pw_bytes *rest, struct pw_bytes *uri);

/* ---- org.c ------------------------------------------------------------------ */

/* NAME as a lower-case host name of A-labels in OUT (U-labels are converted);
 * -1 when it is none: an address literal, an empty label, ... */
int pw_dmarc_domain(struct pw_bytes name, char out[PW_DNS_NAME_SIZE]);
/* DOMAIN is TOP or lies below it. */
bool pw_dmarc_within(const char *domain, const char *top);

/* The public suffix list; read before the sandbox.  FILE "" is the system's.
 * 0, or -1 and a line in ERR. */
struct pw_dmarc_psl;
int pw_dmarc_psl_new(const char *file, struct pw_dmarc_psl **out, char *err,
    size_t errlen);
void pw_dmarc_psl_free(struct pw_dmarc_psl **psl);
/* One label below DOMAIN's public suffix; DOMAIN itself where it is one.
 * Points into DOMAIN. */
const char *pw_dmarc_psl_org(const struct pw_dmarc_psl *psl,
    const char *domain);

/* ---- walk.c: RFC 9989 section 4.10 ------------------------------------------- */

/* Where answers come from: 0 and *out, or 1: not there yet. */
struct pw_dmarc_source {
	int (*ask)(void *arg, const char *name, uint16_t type,
	    struct pw_dns_reply *out);
	void *arg;
	const struct pw_dmarc_psl *psl; /* NULL: the tree walk decides */
};

#define PW_DMARC_QUERIES 8

struct pw_dmarc_step {
	const char *domain; /* below which _dmarc was asked; within the start */
	bool found, several; /* one policy record; more than one */
	struct pw_dmarc_record record; /* when found */
	struct pw_bytes text;
};
struct pw_dmarc_walk {
	struct pw_dmarc_step step[PW_DMARC_QUERIES]; /* longest name first */
	unsigned nstep;
	uint8_t failure; /* status of an answer that failed for now, or 0 */
	/* Organizational domain (section 4.10.2): the start itself where
	 * nothing says otherwise.  Not to be relied on with .failure. */
	const char *org;
	/* Index of the policy record that applies to the start, or -1; with
	 * .failure only 0 is to be relied on. */
	int policy;
};
/*
 * Walks from DOMAIN, which must outlive *out.  PW_OK, or PW_AGAIN: all that is
 * still needed was asked for.
 */
enum pw_rc pw_dmarc_walk(const struct pw_dmarc_source *src, const char *domain,
    struct pw_dmarc_walk *out);

/* ---- align.c: RFC 9989 sections 4.4, 4.10.1 and 5.3 ----------------------------- */

#define PW_DMARC_IDENTS 16

struct pw_dmarc_ident {
	const char *domain;
	bool dkim;     /* else SPF */
	bool pass;     /* else could not be checked for now */
};
struct pw_dmarc_request {
	const char *from; /* author domain */
	struct pw_dmarc_ident ident[PW_DMARC_IDENTS];
	unsigned n;
	bool blind; /* DKIM could not run: who signed is not known */
};

enum pw_dmarc_result {
	PW_DMARC_NONE,
	PW_DMARC_PASS,
	PW_DMARC_FAIL,
	PW_DMARC_TEMPERROR,
	PW_DMARC_PERMERROR
};
const char *pw_dmarc_result_name(enum pw_dmarc_result r);

struct pw_dmarc_verdict {
	enum pw_dmarc_result result;
	bool has_policy; /* a record applies; what follows rests on it */
	enum pw_dmarc_policy published; /* for this author domain */
	enum pw_dmarc_policy policy;    /* after t=y */
	const char *domain;             /* where the record was found */
	struct pw_dmarc_record record;
	struct pw_bytes text;
	/* Where SPF and DKIM are in alignment: the common organizational
	 * domain, with strict alignment the domain itself; NULL: they are not. */
	const char *spf, *dkim;
	const char *reason; /* of none and temperror, or NULL */
};
/* PW_OK, or PW_AGAIN as pw_dmarc_walk().  *out points into REQ, the answers and
 * constants. */
enum pw_rc pw_dmarc_eval(const struct pw_dmarc_source *src,
    const struct pw_dmarc_request *req, struct pw_dmarc_verdict *out);

/* ---- from.c: who the message says that it is from ------------------------------- */

#define PW_DMARC_AUTHORS 4
#define PW_DMARC_FIELDS 8 /* From fields that are read */

struct pw_dmarc_from {
	unsigned fields;    /* From fields */
	unsigned addresses; /* in all of them */
	unsigned n;         /* different domains, at most PW_DMARC_AUTHORS */
	bool more;          /* there were more, or more fields */
	char domain[PW_DMARC_AUTHORS][PW_DNS_NAME_SIZE];
	const char *fault; /* why a field is malformed, or NULL */
};
/* One From field more: VALUE is what stands behind its colon.  GMime must be
 * initialised. */
void pw_dmarc_from_add(struct pw_dmarc_from *f, struct pw_bytes value);

#endif
