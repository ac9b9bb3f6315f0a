/* SPDX-License-Identifier: ISC */
/* Unit tests of server/base/pool. */
#include <check.h>
#include <stdalign.h>
#include <stdlib.h>

#include "base/pool.h"

Suite *pw_suite_base_pool(void);

static bool
all_are(const unsigned char *p, size_t n, unsigned char c)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != c)
			return false;
	return true;
}

START_TEST(gives_zeroed_aligned_memory)
{
	struct pw_pool *pool = pw_pool_new(0);

	/* Again, so that chunks come back with old bytes. */
	for (int round = 0; round < 4; round++) {
		for (size_t n = 0; n < 3000; n += 7) {
			unsigned char *p = pw_pool_alloc(pool, n);
			ck_assert_ptr_nonnull(p);
			ck_assert_uint_eq((uintptr_t)p % alignof(max_align_t),
			    0);
			ck_assert(all_are(p, n, 0));
			memset(p, 0xa5, n);
		}
		if (round % 2 == 0)
			pw_pool_reset(pool);
		else
			pw_pool_rewind(pool);
		ck_assert_uint_eq(pw_pool_used(pool), 0);
	}
	pw_pool_free(&pool);
	ck_assert_ptr_null(pool);
	pw_pool_free(&pool);
}
END_TEST

START_TEST(keeps_all_apart)
{
	struct pw_pool *pool = pw_pool_new(0);
	unsigned char *p[500];
	size_t len[500];

	for (size_t i = 0; i < 500; i++) {
		len[i] = 1 + i * 37 % 1500;
		p[i] = pw_pool_alloc(pool, len[i]);
		memset(p[i], (int)(i & 0xff), len[i]);
	}
	for (size_t i = 0; i < 500; i++)
		ck_assert(all_are(p[i], len[i], i & 0xff));
	pw_pool_free(&pool);
}
END_TEST

START_TEST(stops_at_its_maximum)
{
	struct pw_pool *pool = pw_pool_new(100);

	ck_assert_ptr_nonnull(pw_pool_alloc(pool, 64));
	ck_assert_ptr_null(pw_pool_alloc(pool, 64));
	ck_assert_ptr_nonnull(pw_pool_alloc(pool, 16));
	ck_assert_ptr_null(pw_pool_alloc(pool, SIZE_MAX));
	ck_assert_ptr_null(pw_pool_array(pool, SIZE_MAX / 2, 4));
	ck_assert_ptr_null(
	    pw_pool_copy(pool, PW_LIT("0123456789012345678901234")).ptr);
	ck_assert_ptr_null(pw_pool_printf(pool, "%0200d", 1));
	pw_pool_reset(pool);
	ck_assert_ptr_nonnull(pw_pool_alloc(pool, 96));
	pw_pool_free(&pool);
}
END_TEST

START_TEST(copies_text)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_bytes b = pw_pool_copy(pool, PW_LIT("a\0b"));

	ck_assert(pw_bytes_eq(b, PW_LIT("a\0b")));
	ck_assert_int_eq(b.ptr[3], 0);
	b = pw_pool_copy(pool, PW_BYTES_NONE);
	ck_assert_ptr_nonnull(b.ptr);
	ck_assert_uint_eq(b.len, 0);
	ck_assert_ptr_null(pw_pool_cstr(pool, PW_LIT("a\0b")));
	ck_assert_str_eq(pw_pool_cstr(pool, PW_LIT("ab")), "ab");
	ck_assert_str_eq(pw_pool_printf(pool, "%s-%d", "x", 42), "x-42");
	pw_pool_free(&pool);
}
END_TEST

START_TEST(heap_helpers)
{
	char *s = pw_xstrdup("abc"), *b = pw_xbytesdup(PW_LIT("a\0b"));
	int *n = pw_xcalloc(4, sizeof(*n));

	ck_assert_str_eq(s, "abc");
	ck_assert_mem_eq(b, "a\0b", 4);
	n = pw_xrealloc(n, 8, sizeof(*n));
	ck_assert_int_eq(n[0] | n[1] | n[2] | n[3], 0);
	free(s);
	free(b);
	free(n);
	free(pw_xcalloc(0, 0));
}
END_TEST

Suite *
pw_suite_base_pool(void)
{
	Suite *s = suite_create("base/pool");
	TCase *tc = tcase_create("pool");

	tcase_add_test(tc, gives_zeroed_aligned_memory);
	tcase_add_test(tc, keeps_all_apart);
	tcase_add_test(tc, stops_at_its_maximum);
	tcase_add_test(tc, copies_text);
	tcase_add_test(tc, heap_helpers);
	suite_add_tcase(s, tc);
	return s;
}
