/* SPDX-License-Identifier: ISC */
/* filters/spf: verdicts that the public suite does not cover, and the reasons
 * and flags that go with them. */
#include <check.h>
#include <stdio.h>

#include "spf_world.h"

Suite *pw_suite_filters_spf_eval(void);

START_TEST(test_none)
{
	static const char *const domains[] = {"", "localhost", "[192.0.2.1]",
	    "192.0.2.1", "a..example.com", ".example.com", "example.com.",
	    "ex ample.com", "b\303\274cher.example", "nothing.example.com"};

	for (size_t i = 0; i < PW_COUNT(domains); i++) {
		spf.req.domain = domains[i];
		spf_expect(PW_SPF_NONE);
		ck_assert_str_ne(spf.out.why, "");
	}
	SPF_TXT("example.com", "v=spf1 +all");
	spf.req.domain = "example.com";
	spf.req.client.family = 0;
	spf_evaluate();
	ck_assert_int_eq(spf.out.result, PW_SPF_NONE);
}
END_TEST

START_TEST(test_selection)
{
	SPF_TXT("two.example.com", "v=spf1 a", "other", "v=spf1 mx");
	SPF_TXT("one.example.com", "v=spf10 a", "v=spf1 -all", "v=spf2.0/pra a",
	    "\xff\xfe");
	SPF_TXT("no.example.com", "v=spf10 a", "spf1 -all");
	spf.req.domain = "two.example.com";
	spf_expect(PW_SPF_PERMERROR);
	spf.req.domain = "one.example.com";
	spf_expect(PW_SPF_FAIL);
	spf.req.domain = "no.example.com";
	spf_expect(PW_SPF_NONE);
}
END_TEST

START_TEST(test_zero_prefix)
{
	spf_have("example.com", PW_DNS_A, "198.51.100.9", NULL);
	spf_have("example.com", PW_DNS_MX, "example.com", NULL);
	SPF_TXT("a.test", "v=spf1 a:example.com/0 -all");
	SPF_TXT("b.test", "v=spf1 mx:example.com/0 -all");
	SPF_TXT(
	    "c.test", "v=spf1 a:none.example.com/0 mx:none.example.com/0 -all");
	SPF_TXT("d.test", "v=spf1 ip4:198.51.100.0/0 -all");
	SPF_TXT("e.test", "v=spf1 ip6:2001:db8::/0 -all");
	SPF_TXT("f.test", "v=spf1 a:example.com/1 -all");
	spf.req.domain = "a.test";
	spf_expect(PW_SPF_PASS);
	ck_assert(spf.out.pass_wide && !spf.out.pass_all);
	ck_assert_int_eq(spf.out.bits, 0);
	spf_expect_from("2001:db8::1", PW_SPF_FAIL);
	spf.req.domain = "b.test";
	spf_expect(PW_SPF_PASS);
	spf.req.domain = "c.test";
	spf_expect(PW_SPF_FAIL);
	ck_assert_uint_eq(spf.out.voids, 2);
	spf.req.domain = "d.test";
	spf_expect(PW_SPF_PASS);
	spf_expect_from("::ffff:192.0.2.1", PW_SPF_PASS);
	spf_expect_from("2001:db8::1", PW_SPF_FAIL);
	spf.req.domain = "e.test";
	spf_expect(PW_SPF_FAIL);
	spf_expect_from("2001:db8::1", PW_SPF_PASS);
	spf.req.domain = "f.test"; /* 192 and 198 share their first bit */
	spf_expect(PW_SPF_PASS);
	spf_expect_from("10.0.0.1", PW_SPF_FAIL);
}
END_TEST

START_TEST(test_loopback_is_no_friend)
{
	SPF_TXT("example.com", "v=spf1 a:mail.example.com -all");
	spf_expect_from("127.0.0.1", PW_SPF_FAIL);
	spf_expect_from("::1", PW_SPF_FAIL);
}
END_TEST

START_TEST(test_long_record)
{
	char text[PW_SPF_MAX_RECORD];
	size_t n = (size_t)snprintf(text, sizeof(text), "v=spf1");

	for (int i = 0; i < 120; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    i % 3 == 0 ? " ip4:10.%d.0.0/16 ip6:2001:db8:%x::/48"
			       : " ip4:10.%d.0.0/16",
		    i, i);
	ck_assert_uint_lt(n, sizeof(text) - 8);
	snprintf(text + n, sizeof(text) - n, " -all");
	SPF_TXT("example.com", text);
	spf_expect_from("10.119.1.1", PW_SPF_PASS);
	ck_assert_str_eq(spf.out.mechanism, "ip4:10.119.0.0/16");
	ck_assert_int_eq(spf.out.bits, 16);
	spf_expect_from("2001:db8:75::1", PW_SPF_PASS); /* 0x75: 117 */
	spf_expect_from("10.120.1.1", PW_SPF_FAIL);
	ck_assert_str_eq(spf.out.mechanism, "-all");
}
END_TEST

START_TEST(test_flags)
{
	SPF_TXT("all.test", "v=spf1 mx +all");
	SPF_TXT("deep.test", "v=spf1 include:all.test -all");
	SPF_TXT("wide.test", "v=spf1 ip4:128.0.0.0/1 ip6:2000::/3 -all");
	SPF_TXT("eight.test", "v=spf1 ip4:192.0.0.0/8 -all");
	SPF_TXT("nine.test", "v=spf1 ip4:192.0.0.0/9 -all");
	SPF_TXT("not.test", "v=spf1 -include:all.test ?all");
	SPF_TXT("halves.test", "v=spf1 ip4:192.0.0.0/9 ip4:10.0.0.0/9 -all");
	SPF_TXT("more.test", "v=spf1 include:nine.test ip4:10.0.0.0/9 -all");
	SPF_TXT("minus.test", "v=spf1 ip4:192.0.0.0/9 -ip4:10.0.0.0/9 -all");
	SPF_TXT("six.test", "v=spf1 ip6:2001::/17 ip6:3000::/17 "
	    "ip4:192.0.0.0/9 -all");
	SPF_TXT("late.test", "v=spf1 ip4:192.0.0.0/9 include:nine.test -all");
	spf.req.domain = "all.test";
	spf_expect(PW_SPF_PASS);
	ck_assert(spf.out.pass_all && !spf.out.pass_wide);
	spf.req.domain = "deep.test";
	spf_expect(PW_SPF_PASS);
	ck_assert(spf.out.pass_all);
	ck_assert_str_eq(spf.out.mechanism, "include:all.test");
	ck_assert_str_eq(spf.out.domain, "deep.test");
	ck_assert_str_eq(spf.out.why,
	    "matched \"+all\" in the record of all.test, "
	    "included by deep.test");
	spf.req.domain = "wide.test";
	spf_expect(PW_SPF_PASS);
	ck_assert(spf.out.pass_wide && !spf.out.pass_all);
	spf_expect_from("2001:db8::1", PW_SPF_PASS);
	ck_assert(spf.out.pass_wide);
	ck_assert_int_eq(spf.out.bits, 3);
	spf.req.domain = "eight.test";
	spf_expect(PW_SPF_PASS);
	ck_assert(spf.out.pass_wide);
	spf.req.domain = "nine.test";
	spf_expect(PW_SPF_PASS);
	ck_assert(!spf.out.pass_wide);
	spf.req.domain = "not.test";
	spf_expect(PW_SPF_FAIL);
	ck_assert(!spf.out.pass_all);
	spf.req.domain = "halves.test"; /* two of half the size */
	spf_expect(PW_SPF_PASS);
	ck_assert(spf.out.pass_wide);
	spf.req.domain = "more.test"; /* in two records */
	spf_expect(PW_SPF_PASS);
	ck_assert(spf.out.pass_wide);
	spf.req.domain = "minus.test";
	spf_expect(PW_SPF_PASS);
	ck_assert(!spf.out.pass_wide);
	spf.req.domain = "six.test"; /* each family for itself */
	spf_expect(PW_SPF_PASS);
	ck_assert(!spf.out.pass_wide);
	spf_expect_from("2001:db8::1", PW_SPF_PASS);
	ck_assert(spf.out.pass_wide);
	spf.req.domain = "late.test"; /* behind the match */
	spf_expect(PW_SPF_PASS);
	ck_assert(!spf.out.pass_wide);
}
END_TEST

START_TEST(test_reasons)
{
	SPF_TXT("example.com", "v=spf1 redirect=r.test");
	SPF_TXT("r.test", "v=spf1 include:i.test ?include:j.test");
	SPF_TXT("i.test", "v=spf1 -all");
	SPF_TXT("j.test", "v=spf1 ip4:192.0.2.0/24 -all");
	spf_expect(PW_SPF_NEUTRAL);
	ck_assert_str_eq(spf.out.mechanism, "?include:j.test");
	ck_assert_str_eq(spf.out.domain, "r.test");
	ck_assert_str_eq(spf.out.why,
	    "matched \"ip4:192.0.2.0/24\" in the record "
	    "of j.test, included by r.test");
	ck_assert_uint_eq(spf.out.terms, 3);
	spf_expect_from("10.0.0.1", PW_SPF_NEUTRAL);
	ck_assert_str_eq(spf.out.mechanism, "default");
	ck_assert_str_eq(
	    spf.out.why, "no term of the record of r.test matched");
}
END_TEST

START_TEST(test_all_cancels_redirect)
{
	SPF_TXT("example.com", "v=spf1 redirect=nothing.test ~all");
	spf_expect(PW_SPF_SOFTFAIL);
	ck_assert_uint_eq(spf.out.terms, 0);
	ck_assert_uint_eq(spf.questions, 1);
}
END_TEST

START_TEST(test_temporary)
{
	static const uint8_t statuses[] = {
	    PW_DNS_SERVFAIL, PW_DNS_TIMEOUT, PW_DNS_BOGUS};

	spf_have_status("x.test", PW_DNS_TXT, statuses[_i]);
	spf_have_status("h.test", PW_DNS_A, statuses[_i]);
	spf_have_status("h.test", PW_DNS_MX, statuses[_i]);
	spf_have("m.test", PW_DNS_MX, "ok.test", "h.test", NULL);
	spf_have_status("1.2.0.192.in-addr.arpa", PW_DNS_PTR, statuses[_i]);
	SPF_TXT("a.test", "v=spf1 include:x.test +all");
	SPF_TXT("b.test", "v=spf1 a:h.test +all");
	SPF_TXT("c.test", "v=spf1 mx:h.test +all");
	SPF_TXT("d.test", "v=spf1 mx:m.test +all");
	SPF_TXT("e.test", "v=spf1 exists:h.test +all");
	SPF_TXT("f.test", "v=spf1 redirect=x.test");
	SPF_TXT("g.test", "v=spf1 ip4:192.0.2.1 a:h.test -all");
	SPF_TXT("p.test", "v=spf1 ptr:p.test -all");
	for (const char *d = "xabcdef"; *d != '\0'; d++) {
		char domain[] = "?.test";

		domain[0] = *d;
		spf.req.domain = domain;
		spf_expect(PW_SPF_TEMPERROR);
	}
	spf.req.domain = "g.test";
	spf_expect(PW_SPF_PASS);
	spf.req.domain = "p.test"; /* section 5.5: fails to match */
	spf_expect(PW_SPF_FAIL);
	ck_assert_uint_eq(spf.out.voids, 0);
}
END_TEST

START_TEST(test_names)
{
	SPF_TXT("example.com", "v=spf1 exists:%{l}.x.test -all");
	spf_have("a\\032b.x.test", PW_DNS_A, "127.0.0.2", NULL);
	spf_have("a\\092b.x.test", PW_DNS_A, "127.0.0.2", NULL);
	spf_have("a\\127.x.test", PW_DNS_A, "127.0.0.2", NULL);
	spf.req.local = "a b";
	spf_expect(PW_SPF_PASS);
	spf.req.local = "a\\b";
	spf_expect(PW_SPF_PASS);
	spf.req.local = "a\\032b"; /* not the name with a space */
	spf_expect(PW_SPF_FAIL);
	spf.req.local = "a\x7f";
	spf_expect(PW_SPF_FAIL);
	spf.req.local = "\xc3\xa9"; /* RFC 8616: never matches */
	spf_expect(PW_SPF_FAIL);
	spf.req.local = "a.................................b";
	spf_expect(PW_SPF_FAIL);
}
END_TEST

START_TEST(test_explanation)
{
	SPF_TXT("example.com", "v=spf1 -all exp=why.test");
	SPF_TXT("why.test", "%{i} may not send for %{o}: see %{d}");
	SPF_TXT("p.test", "v=spf1 -all exp=p-why.test");
	SPF_TXT("p-why.test", "%{p}");
	SPF_TXT("html.test", "v=spf1 -all exp=html-why.test");
	SPF_TXT("html-why.test", "a\r\nb");
	SPF_TXT("soft.test", "v=spf1 ~all exp=why.test");
	spf_expect(PW_SPF_FAIL);
	ck_assert_str_eq(spf.out.explanation,
	    "192.0.2.1 may not send for example.com: see example.com");
	spf.req.domain = "p.test";
	spf_expect(PW_SPF_FAIL);
	ck_assert_str_eq(spf.out.explanation, "unknown");
	spf.req.domain = "html.test";
	spf_expect(PW_SPF_FAIL);
	ck_assert_str_eq(spf.out.explanation, "");
	spf.req.domain = "soft.test";
	spf_expect(PW_SPF_SOFTFAIL);
	ck_assert_str_eq(spf.out.explanation, "");
	spf.req.domain = "example.com";
	spf.req.explain = false;
	spf.set = pw_dns_set_new(spf.pool);
	spf_expect(PW_SPF_FAIL);
	ck_assert_str_eq(spf.out.explanation, "");
	ck_assert_uint_eq(spf.questions, 1);
}
END_TEST

START_TEST(test_broken_records)
{
	SPF_TXT("example.com", "v=spf1 include:b.test +all");
	SPF_TXT("b.test", "v=spf1 a:museum +all");
	SPF_TXT("c.test", "v=spf1 include:none.test +all");
	SPF_TXT("d.test", "v=spf1 redirect=none.test");
	spf_expect(PW_SPF_PERMERROR);
	ck_assert_str_eq(spf.out.why,
	    "bad domain in \"a:museum\" in the record of "
	    "b.test");
	spf.req.domain = "c.test";
	spf_expect(PW_SPF_PERMERROR);
	ck_assert_str_eq(spf.out.why, "no SPF record at none.test, for "
				      "\"include:none.test\" in the record of "
				      "c.test");
	spf.req.domain = "d.test";
	spf_expect(PW_SPF_PERMERROR);
	SPF_TXT("e.test", "v=spf1 include:%{l} +all");
	spf.req.domain = "e.test";
	spf.req.local = "com";
	spf_expect(PW_SPF_PERMERROR);
	ck_assert_uint_eq(spf.questions, 1);
}
END_TEST

Suite *
pw_suite_filters_spf_eval(void)
{
	const struct {
		const char *name;
		const TTest *test;
		int loops;
	} tests[] = {
	    {"none", test_none, 1},
	    {"selection", test_selection, 1},
	    {"zero prefix", test_zero_prefix, 1},
	    {"loopback is no friend", test_loopback_is_no_friend, 1},
	    {"long record", test_long_record, 1},
	    {"flags", test_flags, 1},
	    {"reasons", test_reasons, 1},
	    {"all cancels redirect", test_all_cancels_redirect, 1},
	    {"temporary", test_temporary, 3},
	    {"names", test_names, 1},
	    {"explanation", test_explanation, 1},
	    {"broken records", test_broken_records, 1},
	};
	Suite *s = suite_create("filters/spf/eval");

	for (size_t i = 0; i < PW_COUNT(tests); i++) {
		TCase *t = tcase_create(tests[i].name);

		tcase_add_checked_fixture(
		    t, spf_world_setup, spf_world_teardown);
		tcase_add_loop_test(t, tests[i].test, 0, tests[i].loops);
		suite_add_tcase(s, t);
	}
	return s;
}
