/* SPDX-License-Identifier: ISC */
/*
 * From a DNS packet to an answer.  This is the only place that looks into
 * rdata; it runs in the resolve role, on packets that libunbound has put
 * together from what name servers said, with libldns taking them apart.
 */
#include "dns/ub.h"

#include <ldns/ldns.h>

#define TTL_MAX 86400u
#define CHAIN_MAX 16 /* libunbound follows fewer */

/* ---- one record -------------------------------------------------------- */

static int
put_name(const ldns_rdf *rdf, struct pw_pool *pool, struct pw_bytes *out)
{
	char text[PW_DNS_NAME_TEXT];
	int n;

	if (rdf == NULL || ldns_rdf_get_type(rdf) != LDNS_RDF_TYPE_DNAME)
		return -1;
	n = pw_dns_name_text(ldns_rdf_data(rdf), ldns_rdf_size(rdf), text);
	if (n < 0)
		return -1;
	*out = pw_pool_copy(pool, pw_bytes(text, (size_t)n));
	return out->ptr != NULL ? 0 : -1;
}

static int
put_address(
    const ldns_rr *rr, size_t size, struct pw_pool *pool, struct pw_bytes *out)
{
	const ldns_rdf *rdf = ldns_rr_rdf(rr, 0);

	if (rdf == NULL || ldns_rdf_size(rdf) != size)
		return -1;
	*out = pw_pool_copy(pool, pw_bytes(ldns_rdf_data(rdf), size));
	return out->ptr != NULL ? 0 : -1;
}

/* The character-strings, each without its length byte, in one. */
static int
put_text(const ldns_rr *rr, struct pw_pool *pool, struct pw_bytes *out)
{
	char text[PW_DNS_MAX_TXT];
	size_t n = 0;

	for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
		const ldns_rdf *rdf = ldns_rr_rdf(rr, i);
		size_t size = ldns_rdf_size(rdf);

		if (ldns_rdf_get_type(rdf) != LDNS_RDF_TYPE_STR || size == 0 ||
		    size - 1 > sizeof(text) - n)
			return -1;
		memcpy(text + n, ldns_rdf_data(rdf) + 1, size - 1);
		n += size - 1;
	}
	*out = pw_pool_copy(pool, pw_bytes(text, n));
	return out->ptr != NULL ? 0 : -1;
}

static int
put_other(const ldns_rr *rr, struct pw_pool *pool, struct pw_bytes *out)
{
	char data[PW_DNS_MAX_TXT];
	size_t n = 0;

	for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
		const ldns_rdf *rdf = ldns_rr_rdf(rr, i);
		size_t size = ldns_rdf_size(rdf);

		if (size > sizeof(data) - n)
			return -1;
		if (size > 0)
			memcpy(data + n, ldns_rdf_data(rdf), size);
		n += size;
	}
	*out = pw_pool_copy(pool, pw_bytes(data, n));
	return out->ptr != NULL ? 0 : -1;
}

static int
put_mx(const ldns_rr *rr, struct pw_pool *pool, struct pw_dns_rr *out)
{
	const ldns_rdf *pref = ldns_rr_rdf(rr, 0);

	if (pref == NULL || ldns_rdf_size(pref) != 2)
		return -1;
	out->pref = ldns_rdf2native_int16(pref);
	return put_name(ldns_rr_rdf(rr, 1), pool, &out->data);
}

/* -1 when the record cannot be given: too long, or not what its type says. */
static int
put_rr(const ldns_rr *rr, uint16_t type, struct pw_pool *pool,
    struct pw_dns_rr *out)
{
	switch (type) {
	case PW_DNS_A:
		return put_address(rr, 4, pool, &out->data);
	case PW_DNS_AAAA:
		return put_address(rr, 16, pool, &out->data);
	case PW_DNS_NS:
	case PW_DNS_CNAME:
	case PW_DNS_PTR:
		return put_name(ldns_rr_rdf(rr, 0), pool, &out->data);
	case PW_DNS_MX:
		return put_mx(rr, pool, out);
	case PW_DNS_TXT:
		return put_text(rr, pool, &out->data);
	default:
		return put_other(rr, pool, &out->data);
	}
}

/* ---- the packet -------------------------------------------------------- */

static bool
is_rr_of(const ldns_rr *rr, const ldns_rdf *owner, uint16_t type)
{
	return ldns_rr_get_type(rr) == (ldns_rr_type)type &&
	       ldns_dname_compare(ldns_rr_owner(rr), owner) == 0;
}

static void
lower_ttl(struct pw_dns_answer *a, uint32_t ttl)
{
	if (ttl < a->ttl)
		a->ttl = ttl;
}

/* The name at the end of the chain of aliases that begins at NAME; NULL when
 * it does not end. */
static const ldns_rdf *
follow(const ldns_rr_list *rrs, const ldns_rdf *name, struct pw_dns_answer *a)
{
	for (int hops = 0; hops < CHAIN_MAX; hops++) {
		const ldns_rr *alias = NULL;

		for (size_t i = 0; i < ldns_rr_list_rr_count(rrs); i++) {
			const ldns_rr *rr = ldns_rr_list_rr(rrs, i);
			if (is_rr_of(rr, name, PW_DNS_CNAME)) {
				alias = rr;
				break;
			}
		}
		if (alias == NULL)
			return name;
		lower_ttl(a, ldns_rr_ttl(alias));
		name = ldns_rr_rdf(alias, 0);
		if (name == NULL)
			return NULL;
	}
	return NULL;
}

static int
collect(const ldns_rr_list *rrs, const ldns_rdf *owner, struct pw_pool *pool,
    struct pw_dns_answer *a)
{
	size_t total = 0;

	a->rr = pw_pool_array(pool, PW_DNS_MAX_RR, sizeof(*a->rr));
	if (a->rr == NULL)
		return -1;
	for (size_t i = 0; i < ldns_rr_list_rr_count(rrs); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(rrs, i);
		struct pw_dns_rr *out = &a->rr[a->nrr];

		if (!is_rr_of(rr, owner, a->type))
			continue;
		lower_ttl(a, ldns_rr_ttl(rr));
		if (a->nrr == PW_DNS_MAX_RR ||
		    put_rr(rr, a->type, pool, out) != 0 ||
		    out->data.len > PW_DNS_MAX_DATA - total) {
			a->dropped++;
			continue;
		}
		total += out->data.len;
		a->nrr++;
	}
	return 0;
}

/* How long a "no" may be kept: RFC 2308 section 5. */
static uint32_t
negative_ttl(const ldns_pkt *pkt)
{
	const ldns_rr_list *rrs = ldns_pkt_authority(pkt);

	for (size_t i = 0; i < ldns_rr_list_rr_count(rrs); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(rrs, i);
		const ldns_rdf *minimum;

		if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_SOA)
			continue;
		minimum = ldns_rr_rdf(rr, 6);
		if (minimum == NULL || ldns_rdf_size(minimum) != 4)
			return 0;
		uint32_t least = ldns_rdf2native_int32(minimum);
		return least < ldns_rr_ttl(rr) ? least : ldns_rr_ttl(rr);
	}
	return 0;
}

static int
read_packet(const ldns_pkt *pkt, struct pw_pool *pool, struct pw_dns_answer *a)
{
	const ldns_rr_list *rrs = ldns_pkt_answer(pkt);
	ldns_pkt_rcode rcode = ldns_pkt_get_rcode(pkt);
	const ldns_rr *question;
	const ldns_rdf *owner;

	/* A truncated one lacks records, which must not look like none. */
	if (ldns_pkt_tc(pkt) ||
	    ldns_rr_list_rr_count(ldns_pkt_question(pkt)) != 1 ||
	    (rcode != LDNS_RCODE_NOERROR && rcode != LDNS_RCODE_NXDOMAIN))
		return -1;
	question = ldns_rr_list_rr(ldns_pkt_question(pkt), 0);
	owner = ldns_rr_owner(question);
	a->ttl = TTL_MAX;
	if (a->type != PW_DNS_CNAME)
		owner = follow(rrs, owner, a);
	if (owner == NULL || collect(rrs, owner, pool, a) != 0)
		return -1;
	if (a->nrr > 0) {
		a->status = PW_DNS_OK;
		return 0;
	}
	a->status =
	    rcode == LDNS_RCODE_NXDOMAIN ? PW_DNS_NXDOMAIN : PW_DNS_NODATA;
	if (a->dropped == 0)
		lower_ttl(a, negative_ttl(pkt));
	return 0;
}

struct pw_dns_answer *
pw_dns_parse(struct pw_bytes packet, const char *name, uint16_t type,
    struct pw_pool *pool)
{
	struct pw_dns_answer *a = pw_pool_alloc(pool, sizeof(*a));
	ldns_pkt *pkt = NULL;
	int rc = -1;

	if (a == NULL)
		return NULL;
	a->type = type;
	a->name = pw_pool_cstr(pool, pw_bytes_of(name));
	if (a->name != NULL && ldns_wire2pkt(&pkt, (const uint8_t *)packet.ptr,
				   packet.len) == LDNS_STATUS_OK)
		rc = read_packet(pkt, pool, a);
	ldns_pkt_free(pkt);
	return rc == 0 ? a : NULL;
}
