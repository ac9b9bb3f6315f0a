/* SPDX-License-Identifier: ISC */
/*
 * The verdict for one author domain: which policy applies, which authenticated
 * domains are in alignment, and what follows.  Pure; see dmarc.h.
 *
 * A question that could not be answered for now makes the result temperror only
 * where another answer could have changed it; such a result is neither a pass
 * nor a fail.
 */
#include "filters/dmarc/dmarc.h"

#define UNCHECKED 255 /* beside the statuses of DNS */

const char *
pw_dmarc_result_name(enum pw_dmarc_result r)
{
	static const char *const names[] = { "none", "pass", "fail",
		"temperror", "permerror" };

	return names[r];
}

static const char *
failure_text(uint8_t status)
{
	if (status == UNCHECKED)
		return "SPF or DKIM could not be checked";
	return status == PW_DNS_TIMEOUT ? "DNS timeout" :
	    status == PW_DNS_BOGUS ? "DNSSEC validation failed" : "DNS failure";
}

struct evaluation {
	const struct pw_dmarc_source *src;
	const struct pw_dmarc_request *req;
	struct pw_dmarc_verdict *out;
	struct pw_dmarc_walk walk; /* of the author domain */
	bool pending;
	uint8_t doubt; /* why there may be an alignment that was not seen */
};

/* ---- alignment: section 4.4 ---------------------------------------------------- */

static void
doubt(struct evaluation *e, uint8_t status)
{
	if (e->doubt == 0)
		e->doubt = status != 0 ? status : UNCHECKED;
}

/* The last labels of both are the same: they may have an organizational domain
 * in common. */
static bool
related(const char *a, const char *b)
{
	const char *x = strrchr(a, '.'), *y = strrchr(b, '.');

	return strcmp(x != NULL ? x : a, y != NULL ? y : b) == 0;
}

/* The domain in which DOMAIN and the author domain meet, or NULL. */
static const char *
meet(struct evaluation *e, const char *domain, bool strict)
{
	struct pw_dmarc_walk other;

	if (strcmp(domain, e->req->from) == 0)
		return strict || e->walk.failure != 0 ? e->req->from :
		    e->walk.org;
	if (strict)
		return NULL;
	if (e->walk.failure != 0) {
		if (related(domain, e->req->from))
			doubt(e, e->walk.failure);
		return NULL;
	}
	/* Its own organizational domain is itself or above it. */
	if (!pw_dmarc_within(domain, e->walk.org))
		return NULL;
	if (e->src->psl != NULL)
		return strcmp(pw_dmarc_psl_org(e->src->psl, domain),
		    e->walk.org) == 0 ? e->walk.org : NULL;
	if (pw_dmarc_walk(e->src, domain, &other) == PW_AGAIN) {
		e->pending = true;
		return NULL;
	}
	if (other.failure != 0) {
		doubt(e, other.failure);
		return NULL;
	}
	return strcmp(other.org, e->walk.org) == 0 ? e->walk.org : NULL;
}

static void
align(struct evaluation *e)
{
	const struct pw_dmarc_record *rec = &e->out->record;

	for (unsigned i = 0; i < e->req->n; i++) {
		const struct pw_dmarc_ident *id = &e->req->ident[i];
		const char **to = id->dkim ? &e->out->dkim : &e->out->spf;
		const char *at = meet(e, id->domain,
		    id->dkim ? rec->strict_dkim : rec->strict_spf);

		if (at != NULL && !id->pass)
			doubt(e, 0);
		else if (at != NULL && *to == NULL)
			*to = at;
	}
}

/* ---- the policy: section 4.10.1 -------------------------------------------------- */

/* Does the author domain exist (RFC 8020)? */
static uint8_t
existence(struct evaluation *e)
{
	struct pw_dns_reply r;

	if (e->src->ask(e->src->arg, e->req->from, PW_DNS_A, &r) != 0) {
		e->pending = true;
		return PW_DNS_OK;
	}
	return r.status;
}

/* The status of an answer that the policy hangs on and that failed; or 0. */
static uint8_t
read_policy(struct evaluation *e)
{
	struct pw_dmarc_verdict *v = e->out;
	const struct pw_dmarc_record *rec = &v->record;
	uint8_t status = PW_DNS_OK;

	if (e->walk.policy == 0) {
		v->published = rec->p;
	} else {
		if (rec->np != rec->sp)
			status = existence(e);
		v->published = status == PW_DNS_NXDOMAIN ? rec->np : rec->sp;
	}
	v->policy = v->published;
	if (rec->testing && v->policy != PW_DMARC_P_NONE)
		v->policy--;
	return pw_dns_is_temporary(status) ? status : 0;
}

static enum pw_rc
without(struct pw_dmarc_verdict *v, enum pw_dmarc_result result,
    const char *reason)
{
	v->result = result;
	v->reason = reason;
	return PW_OK;
}

static enum pw_rc
no_policy(const struct evaluation *e)
{
	for (unsigned i = 0; i < e->walk.nstep; i++)
		if (e->walk.step[i].several)
			return without(e->out, PW_DMARC_NONE,
			    "several policy records");
	return without(e->out, PW_DMARC_NONE, NULL);
}

enum pw_rc
pw_dmarc_eval(const struct pw_dmarc_source *src,
    const struct pw_dmarc_request *req, struct pw_dmarc_verdict *out)
{
	struct evaluation e = { .src = src, .req = req, .out = out };
	const struct pw_dmarc_step *s;
	uint8_t status;

	*out = (struct pw_dmarc_verdict){ 0 };
	if (pw_dmarc_walk(src, req->from, &e.walk) == PW_AGAIN)
		return PW_AGAIN;
	if (e.walk.failure != 0 && e.walk.policy != 0)
		return without(out, PW_DMARC_TEMPERROR,
		    failure_text(e.walk.failure));
	if (e.walk.policy < 0)
		return no_policy(&e);
	s = &e.walk.step[e.walk.policy];
	if (s->record.void_policy)
		return without(out, PW_DMARC_NONE, s->record.fault);
	out->has_policy = true;
	out->record = s->record;
	out->text = s->text;
	out->domain = s->domain;
	status = read_policy(&e);
	if (req->blind)
		doubt(&e, 0);
	align(&e);
	if (e.pending)
		return PW_AGAIN;
	if (out->spf != NULL || out->dkim != NULL)
		return without(out, PW_DMARC_PASS, NULL);
	if (e.doubt != 0 || status != 0)
		return without(out, PW_DMARC_TEMPERROR,
		    failure_text(e.doubt != 0 ? e.doubt : status));
	return without(out, PW_DMARC_FAIL, NULL);
}
