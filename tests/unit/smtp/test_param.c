/* SPDX-License-Identifier: ISC */
/* ESMTP parameters and xtext. */
#include <check.h>

#include "smtp/param.h"

static const struct {
	const char *in;
	enum pw_param_fault fault;
	uint64_t size;
} params[] = {
	{ "", PW_PARAM_OK, 0 },
	{ " ", PW_PARAM_OK, 0 },
	{ " SIZE=10", PW_PARAM_OK, 10 },
	{ " size=10  body=8bitmime smtputf8", PW_PARAM_OK, 10 },
	{ " SIZE=99999999999999999999", PW_PARAM_OK, UINT64_MAX },
	{ " SIZE=999999999999999999999", PW_PARAM_VALUE, 0 },
	{ " SIZE=-1", PW_PARAM_VALUE, 0 },
	{ " SIZE=", PW_PARAM_SYNTAX, 0 },
	{ " SIZE", PW_PARAM_VALUE, 0 },
	{ " SIZE=1 SIZE=2", PW_PARAM_TWICE, 0 },
	{ " BODY=BINARYMIME", PW_PARAM_VALUE, 0 },
	{ " SMTPUTF8=1", PW_PARAM_VALUE, 0 },
	{ " SMTPUTF8 SMTPUTF8", PW_PARAM_TWICE, 0 },
	{ " REQUIRETLS", PW_PARAM_UNKNOWN, 0 },
	{ " AUTH=<>", PW_PARAM_UNKNOWN, 0 },
	{ " X=a=b", PW_PARAM_SYNTAX, 0 },
	{ " -X", PW_PARAM_SYNTAX, 0 },
	{ "SIZE=1", PW_PARAM_SYNTAX, 0 },
	{ " X=\x7f", PW_PARAM_SYNTAX, 0 },
};

START_TEST(test_mail)
{
	struct pw_mail_param p;

	ck_assert_msg(pw_param_mail(pw_bytes_of(params[_i].in), false, &p) ==
		params[_i].fault, "'%s'", params[_i].in);
	if (params[_i].fault == PW_PARAM_OK)
		ck_assert(p.size == params[_i].size);
}
END_TEST

START_TEST(test_others)
{
	struct pw_mail_param p;
	char out[4];

	ck_assert_int_eq(PW_PARAM_OK,
	    pw_param_mail(PW_LIT(" REQUIRETLS"), true, &p));
	ck_assert(p.requiretls);
	ck_assert_int_eq(PW_PARAM_OK, pw_param_rcpt(PW_LIT("")));
	ck_assert_int_eq(PW_PARAM_UNKNOWN,
	    pw_param_rcpt(PW_LIT(" NOTIFY=NEVER")));
	ck_assert_int_eq(PW_PARAM_SYNTAX, pw_param_rcpt(PW_LIT("x")));
	ck_assert_int_eq(3, pw_xtext_decode(PW_LIT("a+2Bc"), out, 4));
	ck_assert_int_eq(0, memcmp(out, "a+c", 3));
	ck_assert_int_eq(-1, pw_xtext_decode(PW_LIT("a+2"), out, 4));
	ck_assert_int_eq(-1, pw_xtext_decode(PW_LIT("+0A"), out, 4));
	ck_assert_int_eq(-1, pw_xtext_decode(PW_LIT("+2b"), out, 4));
	ck_assert_int_eq(-1, pw_xtext_decode(PW_LIT("abcde"), out, 4));
	ck_assert_int_eq(1, pw_xtext_decode(PW_LIT("+41"), out, 4));
}
END_TEST

Suite *pw_suite_smtp_param(void);

Suite *
pw_suite_smtp_param(void)
{
	Suite *s = suite_create("smtp/param");
	TCase *tc = tcase_create("param");

	tcase_add_loop_test(tc, test_mail, 0, (int)PW_COUNT(params));
	tcase_add_test(tc, test_others);
	suite_add_tcase(s, tc);
	return s;
}
