/* SPDX-License-Identifier: ISC */
#include <check.h>

#include "rig.h"

Suite *pw_suite_filters_iprev(void);

START_TEST(test_results)
{
	static const struct {
		uint8_t ptr, a;
		const char *name, *addr, *symbol, *result;
	} t[] = { { PW_DNS_OK, PW_DNS_OK, "c.test", "192.0.2.1", "IPREV_PASS",
		    "iprev=pass" },
		{ PW_DNS_OK, PW_DNS_OK, "192-0-2-1.c.test", "192.0.2.1",
		    "IPREV_GENERIC", "iprev=pass" },
		{ PW_DNS_OK, PW_DNS_OK, "c.test", "192.0.2.9", "IPREV_FAIL",
		    "iprev=fail" },
		{ PW_DNS_OK, PW_DNS_NXDOMAIN, "c.test", NULL, "IPREV_FAIL",
		    "iprev=fail" },
		{ PW_DNS_OK, PW_DNS_SERVFAIL, "c.test", NULL,
		    "IPREV_TEMPERROR", "iprev=temperror" },
		{ PW_DNS_NXDOMAIN, PW_DNS_OK, NULL, NULL, "IPREV_NONE",
		    "iprev=permerror" },
		{ PW_DNS_TIMEOUT, PW_DNS_OK, NULL, NULL, "IPREV_TEMPERROR",
		    "iprev=temperror" } };

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		const struct pw_pipe_result *res;
		struct rig r;

		rig_open(&r, "iprev", NULL, 0);
		rig_answer(&r, "1.2.0.192.in-addr.arpa", PW_DNS_PTR, t[i].ptr,
		    t[i].name);
		rig_answer(&r, t[i].name != NULL ? t[i].name : "c.test", PW_DNS_A, t[i].a, t[i].addr);
		res = rig_judge(&r, "192.0.2.1", "x", "", "\r\n", 2);
		ck_assert_ptr_nonnull(res);
		ck_assert_msg(rig_has(res, t[i].symbol), "row %zu", i);
		ck_assert(rig_has(res, "IPREV_GENERIC") == (i == 1));
		ck_assert_ptr_nonnull(strstr(res->auth_results, t[i].result));
		rig_close(&r);
	}
}
END_TEST

Suite *
pw_suite_filters_iprev(void)
{
	Suite *s = suite_create("filters/iprev");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, test_results);
	suite_add_tcase(s, tc);
	return s;
}
