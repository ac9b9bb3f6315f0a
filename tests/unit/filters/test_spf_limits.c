/* SPDX-License-Identifier: ISC */
/* filters/spf/mech.c: the limits of RFC 7208 section 4.6.4, and whose names
 * count as the client's. */
#include <check.h>
#include <stdio.h>

#include "spf_world.h"

Suite *pw_suite_filters_spf_limits(void);

START_TEST(test_term_limit)
{
	char text[PW_SPF_MAX_RECORD];

	/* ten over two records, then the eleventh */
	SPF_TXT("ten.test",
	    "v=spf1 include:six.test a:h.test a:h.test a:h.test "
	    "-all");
	SPF_TXT("six.test",
	    "v=spf1 a:h.test mx:h.test a:h.test a:h.test a:h.test "
	    "exists:none.test ?all");
	SPF_TXT("eleven.test",
	    "v=spf1 include:six.test a:h.test a:h.test a:h.test "
	    "a:h.test -all");
	SPF_TXT("self.test", "v=spf1 include:self.test -all");
	SPF_TXT("round.test", "v=spf1 redirect=round.test");
	spf_have("h.test", PW_DNS_A, "198.51.100.1", NULL);
	spf_have("h.test", PW_DNS_MX, "h.test", NULL);
	memcpy(text, "v=spf1", 6);
	for (size_t i = 6; i + 9 < sizeof(text); i += 9)
		memcpy(text + i, " a:h.test", 10);
	SPF_TXT("many.test", text);
	memcpy(text + 6, " ip4:192.0.2.1    ", 18);
	SPF_TXT("anyway.test", text);
	spf.req.domain = "ten.test";
	spf_expect(PW_SPF_FAIL);
	ck_assert_uint_eq(spf.out.terms, 10);
	spf.req.domain = "eleven.test";
	spf_expect(PW_SPF_PERMERROR);
	ck_assert_str_eq(spf.out.why,
	    "more than 10 terms need DNS, the last in "
	    "the record of eleven.test");
	spf.req.domain = "self.test";
	spf_expect(PW_SPF_PERMERROR);
	spf.req.domain = "many.test";
	spf_expect(PW_SPF_PERMERROR);
	spf.req.domain = "anyway.test"; /* the network decides before */
	spf_expect(PW_SPF_PASS);
	spf.req.domain = "round.test";
	spf_expect(PW_SPF_PERMERROR);
}
END_TEST

/* The limit is on the whole tree, not on one record of it. */
START_TEST(test_include_tree)
{
	char text[512], name[32];

	for (int level = 0; level < 2; level++) {
		size_t n = (size_t)snprintf(text, sizeof(text), "v=spf1");

		for (int i = 0; i < 10; i++)
			n += (size_t)snprintf(text + n, sizeof(text) - n,
			    " include:l%d.test", level + 1);
		snprintf(name, sizeof(name), "l%d.test", level);
		SPF_TXT(name, text);
	}
	SPF_TXT("l2.test", "v=spf1 -all");
	spf.req.domain = "l0.test";
	spf_expect(PW_SPF_PERMERROR);
	ck_assert_uint_le(spf.questions, 11);
}
END_TEST

START_TEST(test_void_limit)
{
	SPF_TXT("two.test", "v=spf1 a:n1.test a:n2.test -all");
	SPF_TXT(
	    "three.test", "v=spf1 a:n1.test exists:n2.test mx:n3.test -all");
	/* several empty answers for one term are one */
	SPF_TXT("mx.test", "v=spf1 mx:m.test a:n1.test -all");
	spf_have("m.test", PW_DNS_MX, "n1.test", "n2.test", "n3.test", NULL);
	/* no question, no empty answer */
	SPF_TXT("bad.test", "v=spf1 a:a..b.test a:c..b.test a:d..b.test -all");
	SPF_TXT("badname.test", "v=spf1 a:q.test mx:q.test -all");
	spf_have_status("q.test", PW_DNS_A, PW_DNS_BADNAME);
	spf_have_status("q.test", PW_DNS_MX, PW_DNS_BADNAME);
	spf.req.domain = "badname.test";
	spf_expect(PW_SPF_FAIL);
	ck_assert_uint_eq(spf.out.voids, 0);
	spf.req.domain = "two.test";
	spf_expect(PW_SPF_FAIL);
	ck_assert_uint_eq(spf.out.voids, 2);
	spf.req.domain = "three.test";
	spf_expect(PW_SPF_PERMERROR);
	spf.req.domain = "mx.test";
	spf_expect(PW_SPF_FAIL);
	ck_assert_uint_eq(spf.out.voids, 2);
	spf.req.domain = "bad.test";
	spf_expect(PW_SPF_FAIL);
	ck_assert_uint_eq(spf.out.voids, 0);
	ck_assert_uint_eq(spf.questions, 1);
}
END_TEST

START_TEST(test_mx_limit)
{
	SPF_TXT("ten.test", "v=spf1 mx:m10.test -all");
	SPF_TXT("eleven.test", "v=spf1 mx:m11.test -all");
	SPF_TXT("null.test", "v=spf1 mx:m0.test -all");
	spf_have("m10.test", PW_DNS_MX, "h0.test", "h1.test", "h2.test",
	    "h3.test", "h4.test", "h5.test", "h6.test", "h7.test", "h8.test",
	    "h9.test", NULL);
	spf_have("m11.test", PW_DNS_MX, "h9.test", "h1.test", "h2.test",
	    "h3.test", "h4.test", "h5.test", "h6.test", "h7.test", "h8.test",
	    "h0.test", "h11.test", NULL);
	spf_have("m0.test", PW_DNS_MX, "", NULL);
	spf_have("h9.test", PW_DNS_A, "192.0.2.1", NULL);
	spf.req.domain = "ten.test";
	spf_expect(PW_SPF_PASS);
	ck_assert_uint_eq(spf.questions, 12);
	ck_assert_uint_eq(spf.rounds, 3); /* the exchanges in one */
	spf.req.domain = "eleven.test";
	spf_expect(PW_SPF_PERMERROR);
	spf.req.domain = "null.test";
	spf_expect(PW_SPF_FAIL);
}
END_TEST

START_TEST(test_ptr)
{
	SPF_TXT("example.com", "v=spf1 ptr -all");
	SPF_TXT("far.test", "v=spf1 ptr:n11.test -all");
	SPF_TXT("p.test", "v=spf1 exists:%{p}.ok.test -all");
	SPF_TXT("sub.example.com", "v=spf1 exists:%{p}.ok.test -all");
	SPF_TXT("c.example.com", "v=spf1 exists:%{p}.ok.test -all");
	spf_have("1.2.0.192.in-addr.arpa", PW_DNS_PTR, "bad.example.com",
	    "evilexample.com", "fail.test", "z.test", "b.sub.example.com",
	    "c.example.com", "", "n8.test", "n9.test", "n10.test", "n11.test",
	    NULL);
	spf_have("bad.example.com", PW_DNS_A, "198.51.100.1", NULL);
	spf_have("evilexample.com", PW_DNS_A, "192.0.2.1", NULL);
	spf_have_status("fail.test", PW_DNS_A, PW_DNS_SERVFAIL);
	spf_have("z.test", PW_DNS_A, "192.0.2.1", NULL);
	spf_have(
	    "b.sub.example.com", PW_DNS_A, "198.51.100.1", "192.0.2.1", NULL);
	spf_have("c.example.com", PW_DNS_A, "192.0.2.1", NULL);
	spf_have("n11.test", PW_DNS_A, "192.0.2.1", NULL);
	/* the name that %{p} must be */
	spf_have("evilexample.com.ok.test", PW_DNS_A, "127.0.0.2", NULL);
	spf_expect(PW_SPF_PASS);
	ck_assert_uint_eq(spf.questions, 5); /* only names of the domain */
	spf.req.domain = "far.test"; /* the eleventh name is not looked at */
	spf_expect(PW_SPF_FAIL);
	spf.req.domain = "p.test"; /* any name that leads back: the first */
	spf_expect(PW_SPF_PASS);
	spf_have("b.sub.example.com.ok.test", PW_DNS_A, "127.0.0.2", NULL);
	spf.req.domain = "sub.example.com"; /* one below the domain */
	spf_expect(PW_SPF_PASS);
	spf_have("c.example.com.ok.test", PW_DNS_A, "127.0.0.2", NULL);
	spf.req.domain = "c.example.com"; /* the domain itself */
	spf_expect(PW_SPF_PASS);
	spf_expect_from("192.0.2.77", PW_SPF_FAIL); /* "unknown" */
}
END_TEST

Suite *
pw_suite_filters_spf_limits(void)
{
	const struct {
		const char *name;
		const TTest *test;
		int loops;
	} tests[] = {
	    {"term limit", test_term_limit, 1},
	    {"include tree", test_include_tree, 1},
	    {"void limit", test_void_limit, 1},
	    {"mx limit", test_mx_limit, 1},
	    {"ptr", test_ptr, 1},
	};
	Suite *s = suite_create("filters/spf/limits");

	for (size_t i = 0; i < PW_COUNT(tests); i++) {
		TCase *t = tcase_create(tests[i].name);

		tcase_add_checked_fixture(
		    t, spf_world_setup, spf_world_teardown);
		tcase_add_loop_test(t, tests[i].test, 0, tests[i].loops);
		suite_add_tcase(s, t);
	}
	return s;
}
