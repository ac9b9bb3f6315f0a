/* SPDX-License-Identifier: ISC */
/*
 * Packets turned into answers.  The packets are put together with libldns from
 * records in text, then cut and changed.
 */
#include <check.h>
#include <ldns/ldns.h>
#include <stdio.h>
#include <stdlib.h>

#include "dns/ub.h"

Suite *pw_suite_dns_rdata(void);

static struct pw_pool *pool;
static uint8_t *wire;
static size_t wire_len;

static void
set_up(void)
{
	pool = pw_pool_new(0);
	wire = NULL;
}

static void
tear_down(void)
{
	pw_pool_free(&pool);
	free(wire);
}

static void
push(ldns_pkt *pkt, ldns_pkt_section section, const char *text)
{
	ldns_rr *rr = NULL;

	ck_assert_msg(
	    ldns_rr_new_frm_str(&rr, text, 60, NULL, NULL) == LDNS_STATUS_OK,
	    "%s", text);
	ck_assert(ldns_pkt_push_rr(pkt, section, rr));
}

static ldns_pkt *
packet(const char *name, uint16_t type, ldns_pkt_rcode rcode)
{
	ldns_pkt *pkt = NULL;

	ck_assert_int_eq(ldns_pkt_query_new_frm_str(&pkt, name,
			     (ldns_rr_type)type, LDNS_RR_CLASS_IN, LDNS_QR),
	    LDNS_STATUS_OK);
	ldns_pkt_set_rcode(pkt, rcode);
	return pkt;
}

static struct pw_dns_answer *
parse(ldns_pkt *pkt, const char *name, uint16_t type)
{
	free(wire);
	ck_assert_int_eq(ldns_pkt2wire(&wire, pkt, &wire_len), LDNS_STATUS_OK);
	ldns_pkt_free(pkt);
	return pw_dns_parse(pw_bytes(wire, wire_len), name, type, pool);
}

#define MAX_RRS 8

static const struct {
	const char *name;
	uint16_t type;
	ldns_pkt_rcode rcode;
	const char *rrs[MAX_RRS];
	const char *soa;
	int status; /* -1: not understood */
	uint32_t ttl;
	uint16_t nrr;
	const char *first; /* data of the first record */
	size_t len;
	uint16_t pref;
} cases[] = {
    {"a.test", PW_DNS_A, 0,
	{"a.test. 30 A 192.0.2.1", "a.test. 20 A 192.0.2.2"}, NULL, PW_DNS_OK,
	20, 2, "\xc0\0\2\1", 4, 0},
    {"a.test", PW_DNS_AAAA, 0, {"A.Test. 30 AAAA 2001:db8::1"}, NULL, PW_DNS_OK,
	30, 1, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16, 0},
    {"a.test", PW_DNS_MX, 0, {"a.test. 30 MX 65535 Mx\\.1.A.test."}, NULL,
	PW_DNS_OK, 30, 1, "mx\\0461.a.test", 14, 65535},
    {"a.test", PW_DNS_MX, 0, {"a.test. 30 MX 0 ."}, NULL, PW_DNS_OK, 30, 1, "",
	0, 0},
    {"a.test", PW_DNS_TXT, 0,
	{"a.test. 30 TXT \"v=spf1 \" \"-all\" \"\" \"\\000\"",
	    "a.test. 30 TXT \"\""},
	NULL, PW_DNS_OK, 30, 2, "v=spf1 -all\0", 12, 0},
    {"a.test", PW_DNS_PTR, 0, {"a.test. 30 PTR B.test."}, NULL, PW_DNS_OK, 30,
	1, "b.test", 6, 0},
    {"a.test", PW_DNS_CNAME, 0,
	{"a.test. 30 CNAME b.test.", "b.test. 30 CNAME c.test."}, NULL,
	PW_DNS_OK, 30, 1, "b.test", 6, 0},
    {"_25._tcp.a.test", PW_DNS_TLSA, 0, {"_25._tcp.a.test. 9 TLSA 3 1 1 00ff"},
	NULL, PW_DNS_OK, 9, 1, "\3\1\1\0\xff", 5, 0},
    /* Aliases: what stands at the end, the least time of all. */
    {"w.test", PW_DNS_A, 0,
	{"v.test. 50 CNAME a.test.", "w.test. 10 CNAME V.test.",
	    "a.test. 40 A 192.0.2.1"},
	NULL, PW_DNS_OK, 10, 1, "\xc0\0\2\1", 4, 0},
    {"w.test", PW_DNS_A, 0,
	{"w.test. 10 CNAME a.test.", "other.test. 1 A 192.0.2.9",
	    "a.test. 40 A 192.0.2.1", "w.test. 40 A 192.0.2.8"},
	NULL, PW_DNS_OK, 10, 1, "\xc0\0\2\1", 4, 0},
    {"w.test", PW_DNS_A, 0, {"w.test. 10 CNAME a.test."},
	"test. 99 SOA ns.test. h.test. 1 2 3 4 5", PW_DNS_NODATA, 5, 0, NULL, 0,
	0},
    {"w.test", PW_DNS_A, LDNS_RCODE_NXDOMAIN, {"w.test. 3 CNAME a.test."},
	"test. 99 SOA ns.test. h.test. 1 2 3 4 5", PW_DNS_NXDOMAIN, 3, 0, NULL,
	0, 0},
    {"w.test", PW_DNS_A, 0, {"w.test. 3 CNAME w.test."}, NULL, -1, 0, 0, NULL,
	0, 0},
    {"w.test", PW_DNS_A, 0,
	{"w.test. 3 CNAME v.test.", "v.test. 3 CNAME w.test."}, NULL, -1, 0, 0,
	NULL, 0, 0},
    /* Nothing. */
    {"a.test", PW_DNS_A, 0, {NULL}, "test. 7 SOA ns.test. h.test. 1 2 3 4 500",
	PW_DNS_NODATA, 7, 0, NULL, 0, 0},
    {"a.test", PW_DNS_A, LDNS_RCODE_NXDOMAIN, {NULL},
	"test. 70 SOA ns.test. h.test. 1 2 3 4 5", PW_DNS_NXDOMAIN, 5, 0, NULL,
	0, 0},
    {"a.test", PW_DNS_A, 0, {NULL}, NULL, PW_DNS_NODATA, 0, 0, NULL, 0, 0},
    {"a.test", PW_DNS_A, 0, {"a.test. 3 TXT \"x\""}, NULL, PW_DNS_NODATA, 0, 0,
	NULL, 0, 0},
    {"a.test", PW_DNS_A, LDNS_RCODE_SERVFAIL, {NULL}, NULL, -1, 0, 0, NULL, 0,
	0},
    {"a.test", PW_DNS_A, LDNS_RCODE_REFUSED, {NULL}, NULL, -1, 0, 0, NULL, 0,
	0},
    /* A day at most. */
    {"a.test", PW_DNS_A, 0, {"a.test. 2147483647 A 192.0.2.1"}, NULL, PW_DNS_OK,
	86400, 1, "\xc0\0\2\1", 4, 0},
};

START_TEST(test_packet)
{
	ldns_pkt *pkt = packet(cases[_i].name, cases[_i].type, cases[_i].rcode);
	struct pw_dns_answer *a;

	for (int i = 0; i < MAX_RRS && cases[_i].rrs[i] != NULL; i++)
		push(pkt, LDNS_SECTION_ANSWER, cases[_i].rrs[i]);
	if (cases[_i].soa != NULL)
		push(pkt, LDNS_SECTION_AUTHORITY, cases[_i].soa);
	a = parse(pkt, cases[_i].name, cases[_i].type);
	if (cases[_i].status < 0) {
		ck_assert_ptr_null(a);
		return;
	}
	ck_assert_ptr_nonnull(a);
	ck_assert_str_eq(a->name, cases[_i].name);
	ck_assert_uint_eq(a->type, cases[_i].type);
	ck_assert_int_eq(a->status, cases[_i].status);
	ck_assert_uint_eq(a->ttl, cases[_i].ttl);
	ck_assert_uint_eq(a->nrr, cases[_i].nrr);
	ck_assert_uint_eq(a->dropped, 0);
	if (a->nrr > 0) {
		ck_assert_uint_eq(a->rr[0].pref, cases[_i].pref);
		ck_assert(pw_bytes_eq(
		    a->rr[0].data, pw_bytes(cases[_i].first, cases[_i].len)));
	}
}
END_TEST

/* A record of N bytes in strings of at most 255. */
static void
push_text(ldns_pkt *pkt, size_t n)
{
	ldns_rr *rr = ldns_rr_new_frm_type(LDNS_RR_TYPE_TXT);
	uint8_t data[256];

	ldns_rdf_deep_free(ldns_rr_pop_rdf(rr));
	ldns_rr_set_owner(rr, ldns_dname_new_frm_str("a.test."));
	ldns_rr_set_ttl(rr, 60);
	memset(data, 'x', sizeof(data));
	do {
		size_t part = n < 255 ? n : 255;
		data[0] = (uint8_t)part;
		ck_assert(ldns_rr_push_rdf(rr,
		    ldns_rdf_new_frm_data(LDNS_RDF_TYPE_STR, part + 1, data)));
		n -= part;
	} while (n > 0);
	ck_assert(ldns_pkt_push_rr(pkt, LDNS_SECTION_ANSWER, rr));
}

START_TEST(test_text_bounds)
{
	ldns_pkt *pkt = packet("a.test", PW_DNS_TXT, 0);
	struct pw_dns_answer *a;

	push_text(pkt, 4097);
	push_text(pkt, 4096);
	push_text(pkt, 20000);
	a = parse(pkt, "a.test", PW_DNS_TXT);
	ck_assert_ptr_nonnull(a);
	ck_assert_uint_eq(a->status, PW_DNS_OK);
	ck_assert_uint_eq(a->nrr, 1);
	ck_assert_uint_eq(a->dropped, 2);
	ck_assert_uint_eq(a->rr[0].data.len, 4096);

	pkt = packet("a.test", PW_DNS_TXT, 0);
	push_text(pkt, 60000);
	a = parse(pkt, "a.test", PW_DNS_TXT);
	ck_assert_uint_eq(a->status, PW_DNS_NODATA);
	ck_assert_uint_eq(a->dropped, 1);
}
END_TEST

START_TEST(test_many_records)
{
	ldns_pkt *pkt = packet("a.test", PW_DNS_A, 0);
	struct pw_dns_answer *a;
	char text[64];

	for (int i = 0; i < 200; i++) {
		(void)snprintf(
		    text, sizeof(text), "a.test. 60 A 192.0.2.%d", i);
		push(pkt, LDNS_SECTION_ANSWER, text);
	}
	a = parse(pkt, "a.test", PW_DNS_A);
	ck_assert_uint_eq(a->nrr, PW_DNS_MAX_RR);
	ck_assert_uint_eq(a->dropped, 200 - PW_DNS_MAX_RR);
	for (int i = 0; i < PW_DNS_MAX_RR; i++)
		ck_assert_int_eq((uint8_t)a->rr[i].data.ptr[3], i);
}
END_TEST

START_TEST(test_truncation_bit)
{
	ldns_pkt *pkt = packet("a.test", PW_DNS_A, 0);

	push(pkt, LDNS_SECTION_ANSWER, "a.test. 60 A 192.0.2.1");
	ldns_pkt_set_tc(pkt, true);
	ck_assert_ptr_null(parse(pkt, "a.test", PW_DNS_A));
}
END_TEST

/* What a packet says, cut or changed anywhere, must be sound enough to be
 * encoded and decoded again. */
static void
must_be_sound(const uint8_t *data, size_t len, uint16_t type)
{
	uint8_t *copy = malloc(len + 1);
	struct pw_dns_answer *a;

	memcpy(copy, data, len);
	a = pw_dns_parse(pw_bytes(copy, len), "w.test", type, pool);
	if (a != NULL) {
		struct pw_enc e;
		struct pw_dec d;

		pw_enc_init(&e, 256 * 1024);
		pw_dns_answer_enc(&e, a);
		pw_dec_init(&d, pw_enc_done(&e));
		ck_assert_ptr_nonnull(pw_dns_answer_dec(&d, pool));
		ck_assert_int_eq(pw_dec_end(&d), 0);
		pw_enc_free(&e);
	}
	free(copy);
	pw_pool_reset(pool);
}

static const uint16_t fuzzed_types[] = {PW_DNS_A, PW_DNS_AAAA, PW_DNS_MX,
    PW_DNS_TXT, PW_DNS_PTR, PW_DNS_SOA, PW_DNS_TLSA, PW_DNS_CNAME};

START_TEST(test_damaged)
{
	uint16_t type = fuzzed_types[_i];
	ldns_pkt *pkt = packet("w.test", type, 0);

	push(pkt, LDNS_SECTION_ANSWER, "w.test. 60 CNAME a.test.");
	push(pkt, LDNS_SECTION_ANSWER, "a.test. 60 A 192.0.2.1");
	push(pkt, LDNS_SECTION_ANSWER, "a.test. 60 AAAA 2001:db8::1");
	push(pkt, LDNS_SECTION_ANSWER, "a.test. 60 MX 5 mx.test.");
	push(pkt, LDNS_SECTION_ANSWER, "a.test. 60 TXT \"abc\" \"def\"");
	push(pkt, LDNS_SECTION_ANSWER, "a.test. 60 PTR b.test.");
	push(pkt, LDNS_SECTION_ANSWER, "a.test. 60 TLSA 3 1 1 00ff");
	push(pkt, LDNS_SECTION_ANSWER,
	    "a.test. 60 SOA ns.test. h.test. 1 2 3 4 5");
	push(pkt, LDNS_SECTION_AUTHORITY,
	    "test. 60 SOA ns.test. h.test. 1 2 3 4 5");
	ck_assert_ptr_nonnull(parse(pkt, "w.test", type));

	for (size_t n = 0; n < wire_len; n++)
		must_be_sound(wire, n, type);
	for (size_t at = 0; at < wire_len; at++) {
		static const uint8_t values[] = {
		    0x00, 0x01, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xff};
		uint8_t was = wire[at];

		for (size_t i = 0; i < PW_COUNT(values); i++) {
			wire[at] = values[i];
			must_be_sound(wire, wire_len, type);
		}
		for (int bit = 0; bit < 8; bit++) {
			wire[at] = (uint8_t)(was ^ 1 << bit);
			must_be_sound(wire, wire_len, type);
		}
		wire[at] = was;
	}
}
END_TEST

Suite *
pw_suite_dns_rdata(void)
{
	Suite *s = suite_create("dns/rdata");
	TCase *tc = tcase_create("rdata");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, test_packet, 0, PW_COUNT(cases));
	tcase_add_test(tc, test_text_bounds);
	tcase_add_test(tc, test_many_records);
	tcase_add_test(tc, test_truncation_bit);
	tcase_add_loop_test(tc, test_damaged, 0, PW_COUNT(fuzzed_types));
	suite_add_tcase(s, tc);
	return s;
}
