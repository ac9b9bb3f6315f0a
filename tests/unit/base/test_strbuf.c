/* SPDX-License-Identifier: ISC */
/* Unit tests of server/base/strbuf. */
#include <check.h>

#include "base/strbuf.h"

Suite *pw_suite_base_strbuf(void);

START_TEST(grows)
{
	struct pw_strbuf sb;

	pw_strbuf_init(&sb, 100000);
	ck_assert_str_eq(pw_strbuf_cstr(&sb), "");
	for (int i = 0; i < 10000; i++)
		pw_strbuf_addf(&sb, "%d,", i % 10);
	ck_assert_uint_eq(sb.len, 20000);
	ck_assert(!sb.overflow);
	for (size_t i = 0; i < sb.len; i++)
		ck_assert_int_eq(sb.ptr[i],
		    i % 2 != 0 ? ',' : (int)('0' + i / 2 % 10));
	pw_strbuf_reset(&sb);
	ck_assert_str_eq(pw_strbuf_cstr(&sb), "");
	pw_strbuf_adds(&sb, NULL);
	pw_strbuf_adds(&sb, "x");
	pw_strbuf_addc(&sb, 'y');
	ck_assert_str_eq(pw_strbuf_cstr(&sb), "xy");
	pw_strbuf_free(&sb);
	ck_assert_uint_eq(pw_strbuf_bytes(&sb).len, 0);
	pw_strbuf_free(&sb);
}
END_TEST

/* The maximum is exact for each way of adding, and its flag stays. */
START_TEST(stops_at_its_maximum)
{
	struct pw_strbuf sb;

	for (size_t max = 0; max < 300; max++) {
		pw_strbuf_init(&sb, max);
		for (size_t i = 0; i < max; i++)
			pw_strbuf_addc(&sb, 'a');
		ck_assert(!sb.overflow && sb.len == max);
		pw_strbuf_add(&sb, PW_BYTES_NONE);
		ck_assert(!sb.overflow);
		pw_strbuf_addc(&sb, 'b');
		ck_assert(sb.overflow && sb.len == max);
		pw_strbuf_consume(&sb, max);
		pw_strbuf_addc(&sb, 'c');
		ck_assert(sb.overflow && sb.len == 0);
		pw_strbuf_reset(&sb);
		ck_assert(!sb.overflow);
		pw_strbuf_addf(&sb, "%*s", (int)max + 1, "");
		ck_assert(sb.overflow && sb.len == 0);
		pw_strbuf_free(&sb);
	}
	pw_strbuf_init(&sb, SIZE_MAX);
	pw_strbuf_addc(&sb, 'a');
	ck_assert_ptr_null(pw_strbuf_reserve(&sb, SIZE_MAX - 1));
	ck_assert_ptr_null(pw_strbuf_reserve(&sb, SIZE_MAX));
	pw_strbuf_free(&sb);
}
END_TEST

START_TEST(gives_room)
{
	struct pw_strbuf sb;

	pw_strbuf_init(&sb, 1000);
	memset(pw_strbuf_reserve(&sb, 64), 'r', 64);
	sb.len += 64;
	ck_assert_uint_eq(strlen(pw_strbuf_cstr(&sb)), 64);
	pw_strbuf_consume(&sb, 60);
	ck_assert_str_eq(pw_strbuf_cstr(&sb), "rrrr");
	pw_strbuf_consume(&sb, 99);
	ck_assert_str_eq(pw_strbuf_cstr(&sb), "");
	pw_strbuf_free(&sb);
}
END_TEST

Suite *
pw_suite_base_strbuf(void)
{
	Suite *s = suite_create("base/strbuf");
	TCase *tc = tcase_create("strbuf");

	tcase_add_test(tc, grows);
	tcase_add_test(tc, stops_at_its_maximum);
	tcase_add_test(tc, gives_room);
	suite_add_tcase(s, tc);
	return s;
}
