/* SPDX-License-Identifier: ISC */
/*
 * Answers: their words, their wire form between roles and in records, copies.
 * Whatever is decoded is as well-formed as if rdata.c had made it, whoever
 * wrote it.  Any role, any thread.
 */
#include "dns/wire.h"

#include <stdio.h>

#define FLAG_SECURE 1u

const char *
pw_dns_status_name(uint8_t status)
{
	static const char *const names[] = {"ok", "nodata", "nxdomain",
	    "servfail", "timeout", "bogus", "badname"};

	return status < PW_COUNT(names) ? names[status] : "unknown";
}

const char *
pw_dns_type_name(uint16_t type)
{
	static _Thread_local char other[sizeof("TYPE65535")];

	switch (type) {
	case PW_DNS_A:
		return "A";
	case PW_DNS_NS:
		return "NS";
	case PW_DNS_CNAME:
		return "CNAME";
	case PW_DNS_SOA:
		return "SOA";
	case PW_DNS_PTR:
		return "PTR";
	case PW_DNS_MX:
		return "MX";
	case PW_DNS_TXT:
		return "TXT";
	case PW_DNS_AAAA:
		return "AAAA";
	case PW_DNS_TLSA:
		return "TLSA";
	default:
		(void)snprintf(other, sizeof(other), "TYPE%u", type);
		return other;
	}
}

void
pw_dns_answer_enc(struct pw_enc *e, const struct pw_dns_answer *a)
{
	PW_ASSERT(a->nrr <= PW_DNS_MAX_RR);
	pw_enc_str(e, a->name);
	pw_enc_u16(e, a->type);
	pw_enc_u8(e, a->status);
	pw_enc_u8(e, a->secure ? FLAG_SECURE : 0);
	pw_enc_u32(e, a->ttl);
	pw_enc_u16(e, a->dropped);
	pw_enc_u32(e, a->nrr);
	for (size_t i = 0; i < a->nrr; i++) {
		pw_enc_u16(e, a->rr[i].pref);
		pw_enc_bytes(e, a->rr[i].data);
	}
}

/* Only what byte_text() in name.c can have written. */
static bool
is_name_text(struct pw_bytes b)
{
	if (b.len >= PW_DNS_NAME_TEXT)
		return false;
	for (size_t i = 0; i < b.len; i++) {
		int c = (unsigned char)b.ptr[i];
		if (c <= 0x20 || c >= 0x7f || c != pw_lower(c))
			return false;
	}
	return true;
}

static bool
rr_is_sound(uint16_t type, struct pw_bytes data)
{
	switch (type) {
	case PW_DNS_A:
		return data.len == 4;
	case PW_DNS_AAAA:
		return data.len == 16;
	case PW_DNS_NS:
	case PW_DNS_CNAME:
	case PW_DNS_PTR:
	case PW_DNS_MX:
		return is_name_text(data);
	default:
		return data.len <= PW_DNS_MAX_TXT;
	}
}

/* The name is the one that its answer is filed under. */
static bool
name_is_sound(const struct pw_dns_answer *a)
{
	char key[PW_DNS_KEY_SIZE];
	bool bad = pw_dns_key(a->name, key) != 0;

	return strcmp(a->name, key) == 0 &&
	       (!bad || a->status == PW_DNS_BADNAME);
}

static int
dec_records(struct pw_dec *d, struct pw_dns_answer *a, struct pw_pool *pool)
{
	size_t total = 0;

	a->rr = pw_pool_array(pool, a->nrr, sizeof(*a->rr));
	if (a->rr == NULL)
		return -1;
	for (size_t i = 0; i < a->nrr; i++) {
		a->rr[i].pref = pw_dec_u16(d);
		struct pw_bytes data = pw_dec_bytes(d);
		total += data.len;
		if (d->bad || !rr_is_sound(a->type, data) ||
		    total > PW_DNS_MAX_DATA)
			return -1;
		a->rr[i].data = pw_pool_copy(pool, data);
		if (a->rr[i].data.ptr == NULL)
			return -1;
	}
	return 0;
}

struct pw_dns_answer *
pw_dns_answer_dec(struct pw_dec *d, struct pw_pool *pool)
{
	struct pw_dns_answer *a = pw_pool_alloc(pool, sizeof(*a));

	if (a == NULL)
		goto bad;
	a->name = pw_dec_str(d, pool);
	a->type = pw_dec_u16(d);
	a->status = pw_dec_u8(d);
	uint8_t flags = pw_dec_u8(d);
	a->secure = (flags & FLAG_SECURE) != 0;
	a->ttl = pw_dec_u32(d);
	a->dropped = pw_dec_u16(d);
	a->nrr = (uint16_t)pw_dec_count(d, PW_DNS_MAX_RR, 6);
	if (d->bad || a->status > PW_DNS_BADNAME || flags > FLAG_SECURE ||
	    (a->nrr > 0) != (a->status == PW_DNS_OK) || !name_is_sound(a) ||
	    dec_records(d, a, pool) != 0)
		goto bad;
	return a;
bad:
	d->bad = true;
	return NULL;
}

struct pw_dns_answer *
pw_dns_answer_copy(const struct pw_dns_answer *a, struct pw_pool *pool)
{
	struct pw_dns_answer *copy = pw_pool_alloc(pool, sizeof(*copy));

	PW_ASSERT(a->nrr <= PW_DNS_MAX_RR);
	if (copy == NULL)
		return NULL;
	*copy = *a;
	copy->name = pw_pool_cstr(pool, pw_bytes_of(a->name));
	copy->rr = pw_pool_array(pool, a->nrr, sizeof(*copy->rr));
	if (copy->name == NULL || copy->rr == NULL)
		return NULL;
	for (size_t i = 0; i < a->nrr; i++) {
		copy->rr[i].pref = a->rr[i].pref;
		copy->rr[i].data = pw_pool_copy(pool, a->rr[i].data);
		if (copy->rr[i].data.ptr == NULL)
			return NULL;
	}
	return copy;
}
