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

/* What we write is read back as it was given. */
START_TEST(test_read_back)
{
	static const struct pw_authres given[] = {
		{ "spf", "pass", "smtp.mailfrom=a.test", NULL },
		{ "dkim", "fail", "header.d=b.test header.s=x; header.b=a=b",
		    "a \"quoted; reason\\" },
		{ "dmarc", "none", "", "" },
		{ "x-long", "pass", "policy.a=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa "
		    "policy.b=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb "
		    "policy.c=cccc", NULL } };
	static const size_t props[] = { 1, 3, 0, 3 };
	struct pw_pool *pool = pw_pool_new(0);
	const char *text = pw_authres_write(pool, "mx; \"x\"", given,
	    PW_COUNT(given));
	struct pw_bytes rest = pw_bytes_of(text);
	struct pw_authres_entry e;

	for (size_t i = 0; i < PW_COUNT(given); i++) {
		ck_assert(pw_authres_next(&rest, pool, &e));
		ck_assert_str_eq(e.method, given[i].method);
		ck_assert_str_eq(e.result, given[i].result);
		ck_assert_str_eq(e.reason, given[i].reason != NULL ?
		    given[i].reason : "");
		if (i == 0)
			ck_assert_str_eq(pw_authres_prop(&e, "smtp.mailfrom"),
			    "a.test");
		if (i == 1) {
			ck_assert_str_eq(pw_authres_prop(&e, "header.s"),
			    "x;");
			ck_assert_str_eq(pw_authres_prop(&e, "header.b"),
			    "a=b");
			ck_assert_ptr_null(pw_authres_prop(&e, "header"));
		}
		ck_assert_uint_eq(e.nprop, props[i]);
	}
	ck_assert(!pw_authres_next(&rest, pool, &e));
	for (size_t k = 0; k < strlen(text); k++) {
		rest = pw_bytes(text, k);
		while (pw_authres_next(&rest, pool, &e))
			;
	}
	pw_pool_free(&pool);
}
END_TEST

Suite *
pw_suite_filters_authres(void)
{
	Suite *s = suite_create("filters/authres");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, test_is_ours);
	tcase_add_test(tc, test_read_back);
	tcase_add_test(tc, test_write);
	suite_add_tcase(s, tc);
	return s;
}
