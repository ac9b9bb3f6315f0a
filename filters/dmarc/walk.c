/* SPDX-License-Identifier: ISC */
/*
 * Finds policy records and organizational domains: the DNS tree walk of RFC
 * 9989 section 4.10, or the two questions of RFC 7489 section 6.6.3 with the
 * public suffix list.  Pure; see dmarc.h.
 *
 * All names of a walk are asked for at once, although a psd tag may end it
 * early: most walks have two or three names, and one round is what a sender
 * waits for.
 */
#include <stdio.h>

#include "filters/dmarc/dmarc.h"

static unsigned
labels(const char *domain)
{
	unsigned n = 1;

	for (; *domain != '\0'; domain++)
		n += *domain == '.';
	return n;
}

/* DOMAIN without its first label, or NULL when it has one only. */
static const char *
parent(const char *domain)
{
	const char *dot = strchr(domain, '.');

	return dot != NULL ? dot + 1 : NULL;
}

/* The name one label below TOP on the way to DOMAIN, which lies below TOP. */
static const char *
below(const char *domain, const char *top)
{
	const char *p = domain + (strlen(domain) - strlen(top));

	if (p == domain)
		return domain;
	for (p--; p > domain && p[-1] != '.'; p--)
		;
	return p;
}

/* Steps 2 and 6: other records are discarded, and so are several of ours. */
static void
read_answer(struct pw_dmarc_step *s, const struct pw_dns_reply *r)
{
	struct pw_dmarc_record rec;

	for (size_t i = 0; i < r->count; i++) {
		struct pw_bytes text = pw_bytes(r->record[i].data.ptr,
		    r->record[i].data.len);

		if (pw_dmarc_record_parse(text, &rec) < 0)
			continue;
		s->several = s->found;
		if (s->several)
			break;
		s->found = true;
		s->record = rec;
		s->text = text;
	}
	if (s->several)
		s->found = false;
}

/* Asks for one step: 0 there, 1 not yet. */
static int
ask(const struct pw_dmarc_source *src, struct pw_dmarc_walk *w,
    struct pw_dmarc_step *s)
{
	char name[PW_DNS_NAME_SIZE + 8];
	struct pw_dns_reply r = { .status = PW_DNS_NXDOMAIN };

	/* A name that is too long for DNS has no record. */
	snprintf(name, sizeof(name), "_dmarc.%s", s->domain);
	if (strlen(name) < PW_DNS_NAME_SIZE - 2 &&
	    src->ask(src->arg, name, PW_DNS_TXT, &r) != 0)
		return 1;
	if (pw_dns_is_temporary(r.status)) {
		if (w->failure == 0)
			w->failure = r.status;
	} else if (r.status == PW_DNS_OK) {
		read_answer(s, &r);
	}
	return 0;
}

/* ---- the tree walk ------------------------------------------------------------ */

/* Sections 4.10.1 and 4.10.2: the steps that count are all there. */
static void
select_tree(const char *domain, struct pw_dmarc_walk *w)
{
	int at_org = -1, psd = -1;

	w->org = domain;
	for (unsigned i = 0; i < w->nstep; i++) {
		const struct pw_dmarc_step *s = &w->step[i];

		if (!s->found)
			continue;
		if (s->record.psd == PW_DMARC_PSD_Y && i > 0) {
			psd = (int)i;
			w->org = below(domain, s->domain);
			at_org = at_org >= 0 && strcmp(w->step[at_org].domain,
			    w->org) == 0 ? at_org : -1;
			break;
		}
		w->org = s->domain; /* the one with the fewest labels stays */
		at_org = (int)i;
		if (s->record.psd != PW_DMARC_PSD_U)
			break;
	}
	w->policy = w->nstep > 0 && w->step[0].found ? 0 :
	    at_org >= 0 ? at_org : psd;
}

static enum pw_rc
walk_tree(const struct pw_dmarc_source *src, const char *domain,
    struct pw_dmarc_walk *w)
{
	bool pending = false;

	for (const char *d = domain; d != NULL && w->nstep < PW_DMARC_QUERIES;
	    d = parent(d)) {
		struct pw_dmarc_step *s = &w->step[w->nstep++];

		/* Step 4: names of more than 8 labels are shortened to 7. */
		while (w->nstep == 2 && labels(d) >= PW_DMARC_QUERIES)
			d = parent(d);
		s->domain = d;
		if (ask(src, w, s) != 0)
			pending = true;
		else if (!pending && s->found &&
		    s->record.psd != PW_DMARC_PSD_U)
			break;
	}
	if (pending)
		return PW_AGAIN;
	select_tree(domain, w);
	return PW_OK;
}

/* ---- the public suffix list ----------------------------------------------------- */

static enum pw_rc
walk_psl(const struct pw_dmarc_source *src, const char *domain,
    struct pw_dmarc_walk *w)
{
	const char *org = pw_dmarc_psl_org(src->psl, domain);
	bool pending = false;

	w->org = org;
	w->step[0].domain = domain;
	w->step[1].domain = org;
	w->nstep = strcmp(domain, org) == 0 ? 1 : 2;
	for (unsigned i = 0; i < w->nstep; i++)
		pending |= ask(src, w, &w->step[i]) != 0;
	if (pending)
		return PW_AGAIN;
	/* Several records at the first name end it (RFC 7489 section 6.6.3). */
	if (w->step[0].found) {
		w->policy = 0;
		w->failure = 0; /* nothing rests on the other answer */
	} else if (w->nstep == 2 && w->step[1].found && !w->step[0].several) {
		w->policy = 1;
	}
	return PW_OK;
}

enum pw_rc
pw_dmarc_walk(const struct pw_dmarc_source *src, const char *domain,
    struct pw_dmarc_walk *out)
{
	*out = (struct pw_dmarc_walk){ .org = domain, .policy = -1 };
	return src->psl != NULL ? walk_psl(src, domain, out) :
	    walk_tree(src, domain, out);
}
