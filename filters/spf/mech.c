/* SPDX-License-Identifier: ISC */
/*
 * The mechanisms against the client, RFC 7208 section 5, and the limits on what
 * they may ask, section 4.6.4.  Only DNS answers that the run was given count;
 * a missing one is noted as needed.
 */
#include <stdio.h>

#include "filters/spf/macro.h"
#include "filters/spf/run.h"

int
pw_spf_count_term(struct pw_spf_run *run, const struct pw_spf_slot *slot)
{
	if (run->out->terms == PW_SPF_MAX_TERMS) {
		pw_spf_stop(run, PW_SPF_PERMERROR,
		    "more than %d terms need DNS, the last in the record of %s",
		    PW_SPF_MAX_TERMS, slot->frame->domain);
		return -1;
	}
	run->out->terms++;
	return 0;
}

/*
 * The limit is on terms, so a term with several empty answers counts once:
 * three exchanges without IPv6 addresses are no reason to refuse an "mx".
 */
static int
count_void(struct pw_spf_run *run, struct pw_spf_slot *slot)
{
	if (slot->is_void)
		return 0;
	slot->is_void = true;
	if (run->out->voids == PW_SPF_MAX_VOIDS) {
		pw_spf_stop(run, PW_SPF_PERMERROR,
		    "more than %d terms found nothing in DNS, the last in the "
		    "record of %s",
		    PW_SPF_MAX_VOIDS, slot->frame->domain);
		return -1;
	}
	run->out->voids++;
	return 0;
}

int
pw_spf_target(
    struct pw_spf_run *run, const struct pw_spf_slot *slot, char out[256])
{
	struct pw_spf_macro_env env = {
	    run->req, slot->frame->domain, pw_spf_validated_name, run};
	char text[256];

	if (slot->term->spec.len == 0) {
		snprintf(out, 256, "%s", slot->frame->domain);
		return 0;
	}
	if (pw_spf_macro_domain(slot->term->spec, &env, text) != PW_OK)
		return -1;
	(void)pw_spf_name(text, out);
	return 0;
}

/*
 * An answer for the term of SLOT: 1 and *a with records, 0 without any, -1 on
 * a temporary failure (the run is stopped), a missing answer, or a void too
 * many.
 */
static int
ask_for(struct pw_spf_run *run, struct pw_spf_slot *slot, const char *name,
    uint16_t type, const struct pw_dns_answer **a)
{
	if (name[0] == '\0')
		return 0;
	*a = pw_spf_ask(run, name, type);
	if (*a == NULL)
		return -1;
	if (pw_dns_is_temporary((*a)->status)) {
		pw_spf_stop(run, PW_SPF_TEMPERROR, "%s of %s: %s",
		    pw_dns_type_name(type), name,
		    pw_dns_status_name((*a)->status));
		return -1;
	}
	if ((*a)->status == PW_DNS_OK && (*a)->nrr > 0)
		return 1;
	if ((*a)->status == PW_DNS_BADNAME)
		return 0;
	return count_void(run, slot);
}

static uint16_t
address_type(const struct pw_spf_request *req)
{
	return req->client.family == 6 ? PW_DNS_AAAA : PW_DNS_A;
}

static bool
in_network(const struct pw_ip *ip, const void *net, unsigned bits)
{
	struct pw_ip other = {.family = ip->family};
	struct pw_ip a, b;

	memcpy(other.b, net, ip->family == 6 ? 16 : 4);
	a = pw_ip_mask(ip, bits);
	b = pw_ip_mask(&other, bits);
	return pw_ip_eq(&a, &b);
}

bool
pw_spf_match_plain(
    const struct pw_spf_request *req, const struct pw_spf_term *term)
{
	switch (term->mech) {
	case PW_SPF_ALL:
		return true;
	case PW_SPF_IP4:
		return req->client.family == 4 &&
		       in_network(&req->client, term->net, term->bits4);
	case PW_SPF_IP6:
		return req->client.family == 6 &&
		       in_network(&req->client, term->net, term->bits6);
	default:
		return false;
	}
}

static bool
has_client(const struct pw_spf_request *req, const struct pw_dns_answer *a,
    unsigned bits)
{
	size_t len = req->client.family == 6 ? 16 : 4;

	for (size_t i = 0; i < a->nrr; i++)
		if (a->rr[i].data.len == len &&
		    in_network(&req->client, a->rr[i].data.ptr, bits))
			return true;
	return false;
}

static int
match_a(struct pw_spf_run *run, struct pw_spf_slot *slot, const char *name)
{
	const struct pw_spf_request *req = run->req;
	const struct pw_dns_answer *a;
	int rc;

	rc = ask_for(run, slot, name, address_type(req), &a);
	if (rc <= 0)
		return rc;
	return has_client(req, a,
	    req->client.family == 6 ? slot->term->bits6 : slot->term->bits4);
}

/* The name in an answer as a C string; "" for none. */
static void
name_in(const struct pw_dns_rr *rr, char out[256])
{
	(void)pw_dns_name(rr->data, out);
}

static int
match_mx(struct pw_spf_run *run, struct pw_spf_slot *slot, const char *name)
{
	const struct pw_dns_answer *mx;
	char host[256];
	int rc;

	rc = ask_for(run, slot, name, PW_DNS_MX, &mx);
	if (rc <= 0)
		return rc;
	if (mx->nrr + mx->dropped > PW_SPF_MAX_MX) {
		pw_spf_stop(run, PW_SPF_PERMERROR,
		    "more than %d mail exchangers at %s", PW_SPF_MAX_MX, name);
		return -1;
	}
	for (size_t i = 0; i < mx->nrr; i++) { /* all at once */
		name_in(&mx->rr[i], host);
		if (host[0] != '\0')
			(void)pw_spf_ask(run, host, address_type(run->req));
	}
	if (run->again)
		return -1;
	for (size_t i = 0; i < mx->nrr; i++) {
		name_in(&mx->rr[i], host);
		rc = match_a(run, slot, host);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int
match_exists(struct pw_spf_run *run, struct pw_spf_slot *slot, const char *name)
{
	const struct pw_dns_answer *a;

	return ask_for(run, slot, name, PW_DNS_A, &a);
}

/* ---- names of the client, section 5.5 ---------------------------------- */

enum kinship { EXACT, BELOW, OTHER };

static enum kinship
kinship(const char *name, const char *domain)
{
	size_t n = strlen(name), d = strlen(domain);

	if (d > n || strcmp(name + (n - d), domain) != 0)
		return OTHER;
	if (n == d)
		return EXACT;
	return name[n - d - 1] == '.' ? BELOW : OTHER;
}

/*
 * The first name in PTR of KIN to DOMAIN that leads back to the client, in OUT:
 * 1, or 0 when there is none, -1 when run->again was set.  A failing or empty
 * answer only skips its name.
 */
static int
find_validated(struct pw_spf_run *run, const struct pw_dns_answer *ptr,
    enum kinship kin, const char *domain, char out[256])
{
	unsigned full = run->req->client.family == 6 ? 128 : 32;
	size_t n = ptr->nrr < PW_SPF_MAX_PTR ? ptr->nrr : PW_SPF_MAX_PTR;
	const struct pw_dns_answer *a;

	for (int pass = 0; pass < 2; pass++) { /* first: all at once */
		for (size_t i = 0; i < n; i++) {
			name_in(&ptr->rr[i], out);
			if (out[0] == '\0' || kinship(out, domain) != kin)
				continue;
			a = pw_spf_ask(run, out, address_type(run->req));
			if (pass == 1 && a->status == PW_DNS_OK &&
			    has_client(run->req, a, full))
				return 1;
		}
		if (run->again)
			return -1;
	}
	return 0;
}

static int
match_ptr(struct pw_spf_run *run, struct pw_spf_slot *slot, const char *name)
{
	const struct pw_dns_answer *ptr;
	char arpa[PW_IP_ARPA_LEN], found[256];
	int rc;

	pw_ip_arpa(&run->req->client, arpa);
	ptr = pw_spf_ask(run, arpa, PW_DNS_PTR);
	if (ptr == NULL)
		return -1;
	if (pw_dns_is_temporary(ptr->status) || name[0] == '\0')
		return 0;
	if (ptr->status != PW_DNS_OK)
		return count_void(run, slot);
	rc = find_validated(run, ptr, EXACT, name, found);
	return rc != 0 ? rc : find_validated(run, ptr, BELOW, name, found);
}

const char *
pw_spf_validated_name(void *arg, const char *domain)
{
	struct pw_spf_run *run = arg;
	const struct pw_dns_answer *ptr;
	char arpa[PW_IP_ARPA_LEN], found[256];

	pw_ip_arpa(&run->req->client, arpa);
	ptr = pw_spf_ask(run, arpa, PW_DNS_PTR);
	if (ptr == NULL)
		return NULL;
	for (int kin = EXACT; kin <= OTHER && ptr->status == PW_DNS_OK; kin++) {
		int rc =
		    find_validated(run, ptr, (enum kinship)kin, domain, found);
		if (rc < 0)
			return NULL;
		if (rc > 0) {
			const char *copy =
			    pw_pool_cstr(run->pool, pw_bytes_of(found));

			return copy != NULL ? copy : "unknown";
		}
	}
	return "unknown";
}

int
pw_spf_match(struct pw_spf_run *run, struct pw_spf_slot *slot)
{
	char name[256];

	if (slot->always)
		return 1;
	if (pw_spf_count_term(run, slot) != 0 ||
	    pw_spf_target(run, slot, name) != 0)
		return -1;
	switch (slot->term->mech) {
	case PW_SPF_A:
		return match_a(run, slot, name);
	case PW_SPF_MX:
		return match_mx(run, slot, name);
	case PW_SPF_PTR:
		return match_ptr(run, slot, name);
	case PW_SPF_EXISTS:
		return match_exists(run, slot, name);
	default:
		return 0;
	}
}
