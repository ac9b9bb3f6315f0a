/* SPDX-License-Identifier: ISC */
/*
 * Answers and sets: copies, the wire form, and wire forms that nobody should
 * have written.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "dns/wire.h"

Suite *pw_suite_dns_answer(void);

static struct pw_pool *pool;
static struct pw_enc enc;

static void
set_up(void)
{
	pool = pw_pool_new(0);
	pw_enc_init(&enc, 256 * 1024);
}

static void
tear_down(void)
{
	pw_pool_free(&pool);
	pw_enc_free(&enc);
}

static struct pw_dns_rr addresses[] = {
    {0, {"\x7f\x00\x00\x01", 4}},
    {0, {"\xc0\x00\x02\x01", 4}},
};
static struct pw_dns_rr address6[] = {
    {0, {"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16}},
};
static struct pw_dns_rr exchanges[] = {
    {10, {"mx1.example.test", 16}},
    {65535, {"", 0}},
};
static struct pw_dns_rr texts[] = {
    {0, {"v=spf1 -all", 11}},
    {0, {"", 0}},
    {0, {"\0\xff\r\n", 4}},
};
static struct pw_dns_rr pointer[] = {{0, {"a\\046b.test", 11}}};

static const struct pw_dns_answer answers[] = {
    {"example.test", PW_DNS_A, PW_DNS_OK, true, 300, 2, 0, addresses},
    {"example.test", PW_DNS_AAAA, PW_DNS_OK, false, 0, 1, 0, address6},
    {"example.test", PW_DNS_MX, PW_DNS_OK, false, 1, 2, 7, exchanges},
    {"example.test", PW_DNS_TXT, PW_DNS_OK, false, 86400, 3, 0, texts},
    {"1.2.0.192.in-addr.arpa", PW_DNS_PTR, PW_DNS_OK, false, 5, 1, 0, pointer},
    {"a.test", PW_DNS_A, PW_DNS_NODATA, true, 60, 0, 0, NULL},
    {"b.test", PW_DNS_TXT, PW_DNS_NXDOMAIN, false, 60, 0, 0, NULL},
    {"c.test", 257, PW_DNS_SERVFAIL, false, 0, 0, 0, NULL},
    {"d.test", PW_DNS_A, PW_DNS_TIMEOUT, false, 0, 0, 0, NULL},
    {"e.test", PW_DNS_A, PW_DNS_BOGUS, false, 0, 0, 0, NULL},
    {"bad..name", PW_DNS_A, PW_DNS_BADNAME, false, 0, 0, 0, NULL},
    {"", PW_DNS_A, PW_DNS_BADNAME, false, 0, 0, 0, NULL},
};

static void
same(const struct pw_dns_answer *a, const struct pw_dns_answer *b)
{
	ck_assert_ptr_nonnull(a);
	ck_assert_ptr_nonnull(b);
	ck_assert_str_eq(a->name, b->name);
	ck_assert_uint_eq(a->type, b->type);
	ck_assert_uint_eq(a->status, b->status);
	ck_assert_int_eq(a->secure, b->secure);
	ck_assert_uint_eq(a->ttl, b->ttl);
	ck_assert_uint_eq(a->dropped, b->dropped);
	ck_assert_uint_eq(a->nrr, b->nrr);
	for (size_t i = 0; i < a->nrr; i++) {
		ck_assert_uint_eq(a->rr[i].pref, b->rr[i].pref);
		ck_assert(pw_bytes_eq(a->rr[i].data, b->rr[i].data));
	}
}

static struct pw_dns_answer *
decode(struct pw_bytes wire, struct pw_dec *d)
{
	pw_dec_init(d, wire);
	return pw_dns_answer_dec(d, pool);
}

START_TEST(test_round_trip)
{
	struct pw_dec d;

	pw_dns_answer_enc(&enc, &answers[_i]);
	same(decode(pw_enc_done(&enc), &d), &answers[_i]);
	ck_assert_int_eq(pw_dec_end(&d), 0);
	same(pw_dns_answer_copy(&answers[_i], pool), &answers[_i]);
	ck_assert_uint_ge(pw_enc_done(&enc).len, PW_DNS_ANSWER_MIN);
}
END_TEST

/* Cut anywhere it is malformed, and never read behind its end. */
START_TEST(test_truncated)
{
	struct pw_bytes wire;
	struct pw_dec d;

	pw_dns_answer_enc(&enc, &answers[_i]);
	wire = pw_enc_done(&enc);
	for (size_t n = 0; n < wire.len; n++) {
		char *cut = malloc(n + 1);
		memcpy(cut, wire.ptr, n);
		ck_assert_ptr_null(decode(pw_bytes(cut, n), &d));
		ck_assert_int_eq(pw_dec_end(&d), -1);
		free(cut);
		pw_pool_reset(pool);
	}
}
END_TEST

/* One byte changed: refused, or an answer that is sound in itself. */
START_TEST(test_changed)
{
	struct pw_bytes wire;
	struct pw_dec d;
	char *copy;

	pw_dns_answer_enc(&enc, &answers[_i]);
	wire = pw_enc_done(&enc);
	copy = malloc(wire.len);
	for (size_t at = 0; at < wire.len; at++) {
		for (int bit = 0; bit < 8; bit++) {
			struct pw_enc again;
			struct pw_dns_answer *a;

			memcpy(copy, wire.ptr, wire.len);
			copy[at] = (char)(copy[at] ^ 1 << bit);
			a = decode(pw_bytes(copy, wire.len), &d);
			if (a == NULL || pw_dec_end(&d) != 0)
				continue;
			pw_enc_init(&again, 256 * 1024);
			pw_dns_answer_enc(&again, a);
			ck_assert(pw_bytes_eq(
			    pw_enc_done(&again), pw_bytes(copy, wire.len)));
			pw_enc_free(&again);
			pw_pool_reset(pool);
		}
	}
	free(copy);
}
END_TEST

static struct pw_dns_rr short_address[] = {{0, {"\x7f\0\0", 3}}};
static struct pw_dns_rr upper_name[] = {{0, {"Example.test", 12}}};
static struct pw_dns_rr control_name[] = {{0, {"a\nb.test", 8}}};
static char big[PW_DNS_MAX_TXT + 1];
static struct pw_dns_rr big_text[] = {{0, {big, sizeof(big)}}};

static const struct pw_dns_answer unsound[] = {
    {"Example.test", PW_DNS_A, PW_DNS_NODATA, false, 0, 0, 0, NULL},
    {"example.test.", PW_DNS_A, PW_DNS_NODATA, false, 0, 0, 0, NULL},
    {"bad..name", PW_DNS_A, PW_DNS_NODATA, false, 0, 0, 0, NULL},
    {"Bad..name", PW_DNS_A, PW_DNS_BADNAME, false, 0, 0, 0, NULL},
    {"example.test", PW_DNS_A, PW_DNS_OK, false, 0, 0, 0, NULL},
    {"example.test", PW_DNS_A, PW_DNS_NODATA, false, 0, 2, 0, addresses},
    {"example.test", PW_DNS_A, 7, false, 0, 0, 0, NULL},
    {"example.test", PW_DNS_A, PW_DNS_OK, false, 0, 1, 0, short_address},
    {"example.test", PW_DNS_AAAA, PW_DNS_OK, false, 0, 1, 0, addresses},
    {"example.test", PW_DNS_PTR, PW_DNS_OK, false, 0, 1, 0, upper_name},
    {"example.test", PW_DNS_MX, PW_DNS_OK, false, 0, 1, 0, control_name},
    {"example.test", PW_DNS_TXT, PW_DNS_OK, false, 0, 1, 0, big_text},
};

START_TEST(test_unsound)
{
	struct pw_dec d;

	pw_dns_answer_enc(&enc, &unsound[_i]);
	ck_assert_ptr_null(decode(pw_enc_done(&enc), &d));
	ck_assert(d.bad);
}
END_TEST

START_TEST(test_too_many)
{
	struct pw_dec d;

	pw_enc_str(&enc, "a.test");
	pw_enc_u16(&enc, PW_DNS_A);
	pw_enc_u8(&enc, PW_DNS_OK);
	pw_enc_u8(&enc, 0);
	pw_enc_u32(&enc, 0);
	pw_enc_u16(&enc, 0);
	pw_enc_u32(&enc, PW_DNS_MAX_RR + 1);
	for (int i = 0; i <= PW_DNS_MAX_RR; i++) {
		pw_enc_u16(&enc, 0);
		pw_enc_bytes(&enc, pw_bytes("\1\2\3\4", 4));
	}
	ck_assert_ptr_null(decode(pw_enc_done(&enc), &d));
}
END_TEST

/* The pool of the reader is small: refused, not half an answer. */
START_TEST(test_small_pool)
{
	struct pw_dec d;

	pw_dns_answer_enc(&enc, &answers[3]);
	for (size_t max = 16; max < 512; max += 16) {
		struct pw_pool *small = pw_pool_new(max);
		struct pw_dns_answer *a;

		pw_dec_init(&d, pw_enc_done(&enc));
		a = pw_dns_answer_dec(&d, small);
		ck_assert_int_eq(a == NULL, d.bad);
		if (a != NULL)
			same(a, &answers[3]);
		a = pw_dns_answer_copy(&answers[3], small);
		if (a != NULL)
			same(a, &answers[3]);
		pw_pool_free(&small);
	}
}
END_TEST

START_TEST(test_words)
{
	ck_assert_str_eq(pw_dns_status_name(PW_DNS_OK), "ok");
	ck_assert_str_eq(pw_dns_status_name(PW_DNS_NXDOMAIN), "nxdomain");
	ck_assert_str_eq(pw_dns_status_name(PW_DNS_BADNAME), "badname");
	ck_assert_str_eq(pw_dns_status_name(99), "unknown");
	ck_assert_str_eq(pw_dns_type_name(PW_DNS_TXT), "TXT");
	ck_assert_str_eq(pw_dns_type_name(PW_DNS_TLSA), "TLSA");
	ck_assert_str_eq(pw_dns_type_name(257), "TYPE257");
	ck_assert_str_eq(pw_dns_type_name(65535), "TYPE65535");
	ck_assert(pw_dns_is_temporary(PW_DNS_TIMEOUT));
	ck_assert(pw_dns_is_temporary(PW_DNS_BOGUS));
	ck_assert(!pw_dns_is_temporary(PW_DNS_BADNAME));
	ck_assert(!pw_dns_is_temporary(PW_DNS_NXDOMAIN));
}
END_TEST

/* ---- sets -------------------------------------------------------------- */

static struct pw_dns_set *
full_set(void)
{
	struct pw_dns_set *s = pw_dns_set_new(pool);

	for (size_t i = 0; i < PW_COUNT(answers); i++)
		ck_assert_int_eq(pw_dns_set_add(s, &answers[i]), 0);
	return s;
}

START_TEST(test_set)
{
	struct pw_dns_set *s = full_set();
	struct pw_dns_answer other = answers[0];

	ck_assert_uint_eq(pw_dns_set_count(s), PW_COUNT(answers));
	for (size_t i = 0; i < PW_COUNT(answers); i++) {
		same(pw_dns_set_at(s, i), &answers[i]);
		same(pw_dns_set_get(s, answers[i].name, answers[i].type),
		    &answers[i]);
	}
	ck_assert_ptr_null(pw_dns_set_at(s, PW_COUNT(answers)));
	same(pw_dns_set_get(s, "EXAMPLE.Test.", PW_DNS_TXT), &answers[3]);
	same(pw_dns_set_get(s, "BAD..Name", PW_DNS_A), &answers[10]);
	ck_assert_ptr_null(pw_dns_set_get(s, "example.test", PW_DNS_NS));
	ck_assert_ptr_null(pw_dns_set_get(s, "xample.test", PW_DNS_A));

	/* The first stays, also for another spelling. */
	other.name = "eXample.test.";
	other.status = PW_DNS_SERVFAIL;
	other.nrr = 0;
	ck_assert_int_eq(pw_dns_set_add(s, &other), 0);
	ck_assert_uint_eq(pw_dns_set_count(s), PW_COUNT(answers));
	same(pw_dns_set_get(s, "example.test", PW_DNS_A), &answers[0]);
}
END_TEST

START_TEST(test_set_bounds)
{
	struct pw_dns_set *s = pw_dns_set_new(pool);
	struct pw_dns_answer a = {
	    .type = PW_DNS_TXT, .status = PW_DNS_NXDOMAIN};
	struct pw_dns_rr text = {0, {big, 4096}};
	char name[32];
	int i;

	a.name = name;
	for (i = 0; i < 256; i++) {
		(void)snprintf(name, sizeof(name), "n%d.test", i);
		ck_assert_int_eq(pw_dns_set_add(s, &a), 0);
	}
	(void)snprintf(name, sizeof(name), "n%d.test", i);
	ck_assert_int_eq(pw_dns_set_add(s, &a), -1);
	ck_assert_uint_eq(pw_dns_set_count(s), 256);
	(void)snprintf(name, sizeof(name), "n0.test");
	ck_assert_int_eq(pw_dns_set_add(s, &a), 0);

	s = pw_dns_set_new(pool);
	a.status = PW_DNS_OK;
	a.nrr = 1;
	a.rr = &text;
	for (i = 0; i < 15; i++) {
		(void)snprintf(name, sizeof(name), "n%d.test", i);
		ck_assert_int_eq(pw_dns_set_add(s, &a), 0);
	}
	(void)snprintf(name, sizeof(name), "n%d.test", i);
	ck_assert_int_eq(pw_dns_set_add(s, &a), -1);
	ck_assert_ptr_null(pw_dns_set_get(s, name, PW_DNS_TXT));
	/* A small one still fits. */
	a.status = PW_DNS_NODATA;
	a.nrr = 0;
	ck_assert_int_eq(pw_dns_set_add(s, &a), 0);
}
END_TEST

START_TEST(test_set_round_trip)
{
	struct pw_dns_set *s = full_set(), *t;
	struct pw_bytes wire;
	struct pw_dec d;

	pw_dns_set_enc(&enc, s);
	wire = pw_enc_done(&enc);
	pw_dec_init(&d, wire);
	t = pw_dns_set_dec(&d, pool);
	ck_assert_ptr_nonnull(t);
	ck_assert_int_eq(pw_dec_end(&d), 0);
	ck_assert_uint_eq(pw_dns_set_count(t), PW_COUNT(answers));
	for (size_t i = 0; i < PW_COUNT(answers); i++)
		same(pw_dns_set_at(t, i), &answers[i]);

	for (size_t n = 0; n < wire.len; n++) {
		char *cut = malloc(n + 1);
		memcpy(cut, wire.ptr, n);
		pw_dec_init(&d, pw_bytes(cut, n));
		ck_assert_ptr_null(pw_dns_set_dec(&d, pool));
		ck_assert(d.bad);
		free(cut);
	}
	pw_enc_reset(&enc);
	pw_enc_u32(&enc, 257);
	pw_dec_init(&d, pw_enc_done(&enc));
	ck_assert_ptr_null(pw_dns_set_dec(&d, pool));
}
END_TEST

Suite *
pw_suite_dns_answer(void)
{
	Suite *s = suite_create("dns/answer");
	TCase *tc = tcase_create("answer");
	int n = PW_COUNT(answers);

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, test_round_trip, 0, n);
	tcase_add_loop_test(tc, test_truncated, 0, n);
	tcase_add_loop_test(tc, test_changed, 0, n);
	tcase_add_loop_test(tc, test_unsound, 0, PW_COUNT(unsound));
	tcase_add_test(tc, test_too_many);
	tcase_add_test(tc, test_small_pool);
	tcase_add_test(tc, test_words);
	tcase_add_test(tc, test_set);
	tcase_add_test(tc, test_set_bounds);
	tcase_add_test(tc, test_set_round_trip);
	suite_add_tcase(s, tc);
	return s;
}
