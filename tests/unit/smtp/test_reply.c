/* SPDX-License-Identifier: ISC */
/* Replies: the table's own form, and text from outside. */
#include <check.h>

#include "smtp/reply.h"

START_TEST(test_table)
{
	char out[PW_REPLY_MAX];
	struct pw_bytes ok;

	for (int i = 0; i < PW_R_COUNT; i++) {
		size_t n = pw_reply_format((enum pw_reply_id)i, PW_LIT("x"),
		    out);

		ck_assert_uint_gt(n, 4);
		ck_assert_int_eq(out[3], ' ');
		ck_assert_int_ne(out[4], ' ');
		ck_assert_ptr_null(memchr(out, '$', n));
		if ((out[0] == '4' || out[0] == '5') &&
		    memcmp(out, "421", 3) != 0)
			ck_assert_int_eq(0, pw_reply_check(
				pw_peer(pw_bytes(out, n)), 0, &ok));
	}
}
END_TEST

START_TEST(test_long_value)
{
	char value[2000], out[PW_REPLY_MAX];

	memset(value, 'v', sizeof(value));
	ck_assert_uint_eq(PW_REPLY_MAX - 2, pw_reply_format(PW_R_BANNER,
		pw_bytes(value, sizeof(value)), out));
}
END_TEST

static const struct {
	const char *text;
	int first, rc;
} checks[] = {
	{ "550 5.7.1 no", 0, 0 }, { "550 5.7.1 no", '5', 0 },
	{ "451 4.7.1 later", '4', 0 }, { "550 5.7.1 no", '4', -1 },
	{ "250 2.0.0 ok", 0, -1 }, { "550 4.7.1 no", 0, -1 },
	{ "550 no", 0, -1 }, { "550 5.7.1 a\r\n250 ok", 0, -1 },
	{ "550 5.7.1 \xc3\xa4", 0, -1 }, { "550-5.7.1 no", 0, -1 },
	{ "590 5.7.1 no", 0, -1 }, { "421 4.7.0 bye", 0, -1 },
	{ "550 5.7.27 null", 0, 0 }, { "550 5.7.1000 x", 0, -1 },
	{ "550 5..1 xxxxx", 0, -1 }, { "", 0, -1 },
};

START_TEST(test_check)
{
	struct pw_bytes out;

	ck_assert_msg(pw_reply_check(pw_peer(pw_bytes_of(checks[_i].text)),
		checks[_i].first, &out) == checks[_i].rc, "%s",
	    checks[_i].text);
}
END_TEST

Suite *pw_suite_smtp_reply(void);

Suite *
pw_suite_smtp_reply(void)
{
	Suite *s = suite_create("smtp/reply");
	TCase *tc = tcase_create("reply");

	tcase_add_test(tc, test_table);
	tcase_add_test(tc, test_long_value);
	tcase_add_loop_test(tc, test_check, 0, (int)PW_COUNT(checks));
	suite_add_tcase(s, tc);
	return s;
}
