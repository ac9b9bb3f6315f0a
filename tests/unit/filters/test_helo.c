/* SPDX-License-Identifier: ISC */
#include <check.h>

#include "filters/rdns.h"
#include "rig.h"

Suite *pw_suite_filters_helo(void);

/* What the stage gives, all of it: no other symbol. */
static const char *
only(const struct pw_pipe_result *res)
{
	const char *found = "";

	for (size_t i = 0; i < res->nevidence; i++)
		if (strcmp(res->evidence[i].stage, "helo") == 0) {
			ck_assert_str_eq(found, "");
			found = res->evidence[i].symbol;
		}
	return found;
}

START_TEST(test_names)
{
	static const struct {
		const char *ip, *helo, *symbol;
	} t[] = { { "192.0.2.1", "right.test", "" },
		{ "192.0.2.1", "RIGHT.test", "" },
		{ "2001:db8::1", "right.test", "" },
		{ "192.0.2.9", "right.test", "HELO_MISMATCH" },
		{ "2001:db8::9", "four.test", "HELO_MISMATCH" },
		{ "192.0.2.1", "six.test", "HELO_MISMATCH" },
		{ "192.0.2.1", "gone.test", "HELO_UNKNOWN" },
		{ "192.0.2.1", "nodata.test", "HELO_UNKNOWN" },
		{ "192.0.2.1", "dead.test", "" },
		{ "192.0.2.1", "dead6.test", "" },
		{ "192.0.2.1", "localhost", "HELO_NOT_NAME" },
		{ "192.0.2.1", "WIN-ABC", "HELO_NOT_NAME" },
		{ "192.0.2.1", "a b.test", "HELO_NOT_NAME" },
		{ "192.0.2.1", "right.test.", "HELO_NOT_NAME" },
		{ "192.0.2.1", "192.0.2.1", "HELO_NOT_NAME" },
		{ "192.0.2.1", "192.0.2.7", "HELO_NOT_NAME" },
		{ "192.0.2.1", "[192.0.2.1]", "HELO_LITERAL" },
		{ "192.0.2.1", "[192.0.2.7]", "HELO_LITERAL_OTHER" },
		{ "192.0.2.1", "[192.0.2.300]", "HELO_NOT_NAME" },
		{ "192.0.2.1", "[]", "HELO_NOT_NAME" },
		{ "2001:db8::1", "[IPv6:2001:db8::1]", "HELO_LITERAL" },
		{ "192.0.2.1", "mx.example.test", "HELO_OURS" },
		{ "192.0.2.1", "MX.Example.Test", "HELO_OURS" },
		{ "192.0.2.1", "[198.51.100.1]", "HELO_OURS" },
		{ "192.0.2.1", "198.51.100.1", "HELO_OURS" },
		{ "198.51.100.1", "mx.example.test", "" },
		{ "127.0.0.1", "localhost", "" } };

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		const struct pw_pipe_result *res;
		struct rig r;

		rig_open(&r, "helo", NULL, 0);
		rig_answer(&r, "right.test", PW_DNS_A, 0, "192.0.2.1");
		rig_answer(&r, "right.test", PW_DNS_AAAA, 0, "2001:db8::1");
		rig_answer(&r, "four.test", PW_DNS_A, 0, "192.0.2.1");
		rig_answer(&r, "four.test", PW_DNS_AAAA, PW_DNS_NODATA, NULL);
		rig_answer(&r, "six.test", PW_DNS_A, PW_DNS_NODATA, NULL);
		rig_answer(&r, "six.test", PW_DNS_AAAA, 0, "2001:db8::1");
		rig_answer(&r, "gone.test", PW_DNS_A, PW_DNS_NXDOMAIN, NULL);
		rig_answer(&r, "gone.test", PW_DNS_AAAA, PW_DNS_NXDOMAIN,
		    NULL);
		rig_answer(&r, "nodata.test", PW_DNS_A, PW_DNS_NODATA, NULL);
		rig_answer(&r, "nodata.test", PW_DNS_AAAA, PW_DNS_NODATA,
		    NULL);
		rig_answer(&r, "dead.test", PW_DNS_A, PW_DNS_TIMEOUT, NULL);
		rig_answer(&r, "dead6.test", PW_DNS_A, PW_DNS_NODATA, NULL);
		rig_answer(&r, "dead6.test", PW_DNS_AAAA, PW_DNS_SERVFAIL,
		    NULL);
		rig_answer(&r, "mx.example.test", PW_DNS_A, 0,
		    "198.51.100.1");
		rig_answer(&r, "mx.example.test", PW_DNS_AAAA, PW_DNS_NODATA,
		    NULL);
		res = rig_judge(&r, t[i].ip, t[i].helo, "", "\r\n", 2);
		ck_assert_ptr_nonnull(res);
		ck_assert_msg(strcmp(only(res), t[i].symbol) == 0,
		    "%s from %s: %s", t[i].helo, t[i].ip, only(res));
		rig_close(&r);
	}
}
END_TEST

START_TEST(test_generic)
{
	static const struct {
		const char *ip, *name;
		bool want;
	} t[] = { { "192.0.2.10", "192-0-2-10.pool.test", true },
		{ "192.0.2.10", "h192.0.2.10.test", true },
		{ "192.0.2.10", "10.2.0.192.rev.test", true },
		{ "192.0.2.10", "a7-192x0x2x10.test", true },
		{ "192.0.2.10", "192000002010.test", true },
		{ "192.0.2.10", "p010002000192.test", true },
		{ "192.0.2.10", "ipc000020a.test", true },
		{ "192.0.2.10", "mail10.test", false },
		{ "192.0.2.10", "192-0-2-11.pool.test", false },
		{ "192.0.2.10", "192-0-2.pool10x.test", true },
		{ "192.0.2.10", "2-10.test", false },
		{ "192.0.2.10", "99999999999999999999.0.2.10.test", false },
		{ "2001:db8::1", "1.test", false },
		{ "2001:db8::a1b2:c3d4:e5f6:789",
		    "2001-db8--a1b2-c3d4-e5f6-0789.test", true },
		{ "2001:db8::a1b2:c3d4:e5f6:789",
		    "9.8.7.0.6.f.5.e.4.d.3.c.2.b.1.a.test", true },
		{ "2001:db8::a1b2:c3d4:e5f6:789", "a1b2.test", false },
		{ "2001:db8::25", "mx-0000000000000025.test", false } };

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		struct pw_ip ip;

		ck_assert_int_eq(pw_ip_parse(pw_bytes_of(t[i].ip), &ip), 0);
		ck_assert_msg(pw_rdns_is_generic(t[i].name, &ip) == t[i].want,
		    "%s of %s", t[i].name, t[i].ip);
	}
}
END_TEST

Suite *
pw_suite_filters_helo(void)
{
	Suite *s = suite_create("filters/helo");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, test_names);
	tcase_add_test(tc, test_generic);
	suite_add_tcase(s, tc);
	return s;
}
