/* SPDX-License-Identifier: ISC */
#include <check.h>

#include "filters/authres.h"

Suite *pw_suite_filters_authres(void);

START_TEST(test_is_ours)
{
	static const struct {
		const char *value;
		bool ours;
	} t[] = { { " mx.example.test; none", true },
		{ "mx.example.test", true },
		{ " MX.Example.TEST; spf=pass", true },
		{ " mx.example.test. ; none", true },
		{ " mx.example.test 1; none", true },
		{ " \"mx.example.test\"; none", true },
		{ " \"mx\\.example.test\"; none", true },
		{ " (a (nested) \\) comment) mx.example.test; none", true },
		{ "\r\n\tmx.example.test;\r\n none", true },
		{ " mx.example.test(x); none", true },
		{ " mx.example.test/1; none", true },
		{ " mx.example.test=; none", true },
		{ " \" mx.example.test \"; none", true },
		{ " mx.example.tes; none", false },
		{ " mx.example.test.evil; none", false },
		{ " xmx.example.test; none", false },
		{ " other.test; x=mx.example.test", false },
		{ " (mx.example.test) other.test; none", false },
		{ "", false },
		{ " ((( mx.example.test", false },
		{ " \"", false } };

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		struct pw_bytes v = pw_bytes_of(t[i].value);

		ck_assert_msg(pw_authres_is_ours(v, "mx.example.test") ==
		    t[i].ours, "%s", t[i].value);
		for (size_t k = 0; k < v.len; k++)
			(void)pw_authres_is_ours(pw_bytes_sub(v, 0, k),
			    "mx.example.test");
	}
}
END_TEST

START_TEST(test_write)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_authres v[] = {
		{ "spf", "pass", "smtp.mailfrom=a@b.test", NULL },
		{ "dkim", "fail", "header.d=x.test header.s=a;b header.b=q/+=",
		    "body \"was\" changed" },
		{ "b d", "pass", "", NULL },
		{ "x", "pass", "nodot=1 a.b=c =x a.=y", NULL } };
	const char *s = pw_authres_write(pool, "mx.test", v, PW_COUNT(v));

	ck_assert_str_eq(s, "mx.test;\r\n"
	    "\tspf=pass smtp.mailfrom=a@b.test;\r\n"
	    "\tdkim=fail reason=\"body \\\"was\\\" changed\" header.d=x.test "
	    "header.s=\"a;b\"\r\n\theader.b=\"q/+=\";\r\n"
	    "\tx=pass a.b=c");
	ck_assert_str_eq(pw_authres_write(pool, "mx.test", NULL, 0),
	    "mx.test; none");
	ck_assert(pw_authres_is_ours(pw_bytes_of(s), "MX.test"));
	pw_pool_free(&pool);
}
END_TEST

Suite *
pw_suite_filters_authres(void)
{
	Suite *s = suite_create("filters/authres");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, test_is_ours);
	tcase_add_test(tc, test_write);
	suite_add_tcase(s, tc);
	return s;
}
