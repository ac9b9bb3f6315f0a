/* SPDX-License-Identifier: ISC */
/* Unit tests of server/base/bytes. */
#include <check.h>
#include <inttypes.h>

#include "base/bytes.h"

Suite *pw_suite_base_bytes(void);

START_TEST(compares)
{
	ck_assert(pw_bytes_eq(PW_LIT("ab"), PW_LIT("ab")));
	ck_assert(!pw_bytes_eq(PW_LIT("ab"), PW_LIT("aB")));
	ck_assert(pw_bytes_eq(PW_BYTES_NONE, PW_LIT("")));
	ck_assert(pw_bytes_caseeq(PW_LIT("a-Z9"), PW_LIT("A-z9")));
	ck_assert(!pw_bytes_caseeq(PW_LIT("ab"), PW_LIT("abc")));
	/* '[' and '{' differ by the bit that letters' cases differ by. */
	ck_assert(!pw_bytes_caseeq(PW_LIT("["), PW_LIT("{")));
	ck_assert(!pw_bytes_caseeq(PW_LIT("\xc4"), PW_LIT("\xe4")));
	ck_assert(pw_bytes_has_prefix_ci(PW_LIT("MAIL FROM:<>"),
	    PW_LIT("mail from:")));
	ck_assert(!pw_bytes_has_prefix_ci(PW_LIT("MAI"), PW_LIT("mail")));
	ck_assert(pw_bytes_has_prefix_ci(PW_BYTES_NONE, PW_BYTES_NONE));
	ck_assert_int_lt(pw_bytes_cmp(PW_LIT("a"), PW_LIT("ab")), 0);
	ck_assert_int_gt(pw_bytes_cmp(PW_LIT("b"), PW_LIT("ab")), 0);
	ck_assert_int_eq(pw_bytes_cmp(PW_BYTES_NONE, PW_LIT("")), 0);
	ck_assert_int_gt(pw_bytes_cmp(PW_LIT("\xff"), PW_LIT("\x01")), 0);
}
END_TEST

START_TEST(searches)
{
	ck_assert_int_eq(pw_bytes_chr(PW_LIT("a.b.c"), '.'), 1);
	ck_assert_int_eq(pw_bytes_rchr(PW_LIT("a.b.c"), '.'), 3);
	ck_assert_int_eq(pw_bytes_chr(PW_LIT("abc"), '.'), -1);
	ck_assert_int_eq(pw_bytes_chr(PW_BYTES_NONE, 0), -1);
	ck_assert_int_eq(pw_bytes_rchr(PW_BYTES_NONE, 0), -1);
	ck_assert_int_eq(pw_bytes_chr(PW_LIT("a\0b"), 0), 1);
}
END_TEST

START_TEST(cuts)
{
	struct pw_bytes b = PW_LIT("hello");

	ck_assert(pw_bytes_eq(pw_bytes_sub(b, 1, 3), PW_LIT("ell")));
	ck_assert(pw_bytes_eq(pw_bytes_sub(b, 3, SIZE_MAX), PW_LIT("lo")));
	ck_assert_uint_eq(pw_bytes_sub(b, 9, 3).len, 0);
	ck_assert_uint_eq(pw_bytes_sub(PW_BYTES_NONE, 0, 3).len, 0);
	ck_assert(pw_bytes_eq(pw_bytes_trim(PW_LIT(" \t a b\r\n")),
	    PW_LIT("a b")));
	ck_assert_uint_eq(pw_bytes_trim(PW_LIT(" \t\r\n")).len, 0);
	ck_assert_uint_eq(pw_bytes_trim(PW_BYTES_NONE).len, 0);
}
END_TEST

static const struct {
	const char *text;
	uint64_t max;
	int rc;
	uint64_t value;
} numbers[] = { { "0", 0, 0, 0 }, { "007", 9, 0, 7 },
	{ "18446744073709551615", UINT64_MAX, 0, UINT64_MAX },
	{ "18446744073709551616", UINT64_MAX, -1, 0 },
	{ "99999999999999999999999", UINT64_MAX, -1, 0 }, { "10", 9, -1, 0 },
	{ "", 9, -1, 0 }, { "+1", 9, -1, 0 }, { "-1", 9, -1, 0 },
	{ " 1", 9, -1, 0 }, { "1 ", 9, -1, 0 }, { "1a", 99, -1, 0 } };

START_TEST(reads_numbers)
{
	uint64_t v = 0;
	int rc = pw_bytes_u64(pw_bytes_of(numbers[_i].text), numbers[_i].max,
	    &v);

	ck_assert_int_eq(rc, numbers[_i].rc);
	ck_assert_uint_eq(v, numbers[_i].value);
}
END_TEST

START_TEST(checks_arithmetic)
{
	size_t r;

	ck_assert(pw_add(SIZE_MAX - 1, 1, &r) && r == SIZE_MAX);
	ck_assert(!pw_add(SIZE_MAX, 1, &r));
	ck_assert(pw_mul(3, 5, &r) && r == 15);
	ck_assert(!pw_mul(SIZE_MAX / 2, 3, &r));
}
END_TEST

Suite *
pw_suite_base_bytes(void)
{
	Suite *s = suite_create("base/bytes");
	TCase *tc = tcase_create("bytes");

	tcase_add_test(tc, compares);
	tcase_add_test(tc, searches);
	tcase_add_test(tc, cuts);
	tcase_add_loop_test(tc, reads_numbers, 0, PW_COUNT(numbers));
	tcase_add_test(tc, checks_arithmetic);
	suite_add_tcase(s, tc);
	return s;
}
