/* SPDX-License-Identifier: ISC */
/* Unit tests of server/net/codec. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "net/codec.h"

Suite *pw_suite_net_codec(void);

static void
write_all(struct pw_enc *e)
{
	pw_enc_u8(e, 0xfe);
	pw_enc_u16(e, 0x1234);
	pw_enc_u32(e, 0xdeadbeef);
	pw_enc_u64(e, UINT64_MAX - 1);
	pw_enc_i64(e, INT64_MIN);
	pw_enc_f64(e, -0.5);
	pw_enc_bytes(e, PW_LIT("a\0b"));
	pw_enc_str(e, "hello");
	pw_enc_str(e, NULL);
	size_t mark = pw_enc_mark(e);
	pw_enc_u16(e, 7);
	pw_enc_u16(e, 8);
	pw_enc_patch(e, mark, 2);
}

/* Reads what write_all() wrote; true when all of it was there. */
static bool
read_all(struct pw_bytes in, struct pw_pool *pool)
{
	struct pw_dec d;

	pw_dec_init(&d, in);
	bool ok = pw_dec_u8(&d) == 0xfe;
	ok &= pw_dec_u16(&d) == 0x1234;
	ok &= pw_dec_u32(&d) == 0xdeadbeef;
	ok &= pw_dec_u64(&d) == UINT64_MAX - 1;
	ok &= pw_dec_i64(&d) == INT64_MIN;
	ok &= fabs(pw_dec_f64(&d) + 0.5) < 1e-9;
	ok &= pw_bytes_eq(pw_dec_bytes(&d), PW_LIT("a\0b"));
	ok &= strcmp(pw_dec_str(&d, pool), "hello") == 0;
	ok &= strcmp(pw_dec_str(&d, pool), "") == 0;
	ok &= pw_dec_count(&d, 2, 2) == 2;
	ok &= pw_dec_u16(&d) == 7;
	ok &= pw_dec_u16(&d) == 8;
	ck_assert_int_eq(pw_dec_end(&d) == 0, ok);
	return ok;
}

START_TEST(round_trip)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_enc e;

	pw_enc_init(&e, 1000);
	ck_assert_ptr_nonnull(pw_enc_done(&e).ptr);
	write_all(&e);
	struct pw_bytes all = pw_enc_done(&e);
	ck_assert_mem_eq(all.ptr, "\xfe\x34\x12\xef\xbe\xad\xde\xfe\xff", 9);
	ck_assert(read_all(all, pool));
	/* Every truncation, each copied so that reading on is seen. */
	for (size_t n = 0; n < all.len; n++) {
		char *cut = pw_xbytesdup(pw_bytes_sub(all, 0, n));
		char *exact = malloc(n > 0 ? n : 1);
		if (n > 0)
			memcpy(exact, cut, n);
		ck_assert(!read_all(pw_bytes(exact, n), pool));
		free(exact);
		free(cut);
	}
	/* Something behind it. */
	struct pw_dec d;
	pw_dec_init(&d, PW_LIT("\1\2"));
	ck_assert_uint_eq(pw_dec_u8(&d), 1);
	ck_assert_int_eq(pw_dec_end(&d), -1);
	pw_enc_free(&e);
	pw_pool_free(&pool);
}
END_TEST

START_TEST(stops_at_the_maximum)
{
	struct pw_enc e;

	pw_enc_init(&e, 1000);
	write_all(&e);
	size_t need = e.sb.len;
	pw_enc_free(&e);
	for (size_t max = 0; max <= need; max++) {
		pw_enc_init(&e, max);
		write_all(&e);
		struct pw_bytes b = pw_enc_done(&e);
		ck_assert_int_eq(b.ptr != NULL, max == need);
		pw_enc_reset(&e);
		ck_assert_ptr_nonnull(pw_enc_done(&e).ptr);
		pw_enc_free(&e);
	}
}
END_TEST

START_TEST(reader_does_not_trust)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_dec d;

	/* A length beyond the input, then zeros for ever. */
	pw_dec_init(&d, PW_LIT("\xff\xff\xff\xff\1\2\3\4\5\6\7\x8"));
	ck_assert_ptr_null(pw_dec_bytes(&d).ptr);
	ck_assert_uint_eq(pw_dec_u8(&d), 0);
	ck_assert_uint_eq(pw_dec_count(&d, 9, 1), 0);
	ck_assert_str_eq(pw_dec_str(&d, pool), "");
	ck_assert_int_eq(pw_dec_end(&d), -1);
	/* A string with NUL. */
	pw_dec_init(&d, PW_LIT("\3\0\0\0a\0b"));
	ck_assert_str_eq(pw_dec_str(&d, pool), "");
	ck_assert_int_eq(pw_dec_end(&d), -1);
	/* Counts: above the maximum; more than could follow; just right. */
	pw_dec_init(&d, PW_LIT("\3\0\0\0abc"));
	ck_assert_uint_eq(pw_dec_count(&d, 2, 1), 0);
	ck_assert(d.bad);
	pw_dec_init(&d, PW_LIT("\3\0\0\0abc"));
	ck_assert_uint_eq(pw_dec_count(&d, 9, 2), 0);
	ck_assert(d.bad);
	pw_dec_init(&d, PW_LIT("\3\0\0\0abc"));
	ck_assert_uint_eq(pw_dec_count(&d, 9, SIZE_MAX), 0);
	ck_assert(d.bad);
	pw_dec_init(&d, PW_LIT("\3\0\0\0abc"));
	ck_assert_uint_eq(pw_dec_count(&d, 3, 1), 3);
	ck_assert(!d.bad);
	pw_dec_init(&d, PW_BYTES_NONE);
	ck_assert_int_eq(pw_dec_end(&d), 0);
	pw_pool_free(&pool);
	/* A pool that is full. */
	pool = pw_pool_new(1);
	pw_dec_init(&d, PW_LIT("\3\0\0\0abc"));
	ck_assert_str_eq(pw_dec_str(&d, pool), "");
	ck_assert_int_eq(pw_dec_end(&d), -1);
	pw_pool_free(&pool);
}
END_TEST

Suite *
pw_suite_net_codec(void)
{
	Suite *s = suite_create("net/codec");
	TCase *tc = tcase_create("codec");

	tcase_add_test(tc, round_trip);
	tcase_add_test(tc, stops_at_the_maximum);
	tcase_add_test(tc, reader_does_not_trust);
	suite_add_tcase(s, tc);
	return s;
}
