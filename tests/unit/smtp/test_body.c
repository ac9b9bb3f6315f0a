/* SPDX-License-Identifier: ISC */
/* Message octets: dot-stuffing, the end, faults and counters, at each cut. */
#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#include "smtp/body.h"

static struct pw_budget budget = { .max = 1u << 20 };

/* clang-format off */
static const struct {
	const char *in;
	size_t len;
	unsigned faults;
	size_t left; /* octets behind the end */
	const char *out;
	bool normalize;
} cases[] = {
#define IN(s) s, sizeof(s) - 1
	{ IN(".\r\n"), 0, 0, "", false },
	{ IN("a\r\n.\r\nNOOP"), 0, 4, "a\r\n", false },
	{ IN("..\r\n...\r\n.\r\n"), 0, 0, ".\r\n..\r\n", false },
	{ IN(".a\r\n.\r\n"), 0, 0, "a\r\n", false },
	{ IN("a\r\n\r\n\r\n.\r\n"), 0, 0, "a\r\n\r\n\r\n", false },
	{ IN("a\n.\r\n\r\n.\r\n"), PW_BODY_BARE_LF, 0, NULL, false },
	{ IN("a\r\n.\n\r\n.\r\n"), PW_BODY_BARE_LF, 0, NULL, false },
	{ IN("a\n.\n\r\n.\r\n"), PW_BODY_BARE_LF, 0, NULL, false },
	{ IN("a\r.\r\r\n.\r\n"), PW_BODY_BARE_CR, 0, NULL, false },
	{ IN("a\r\n.\r\rx\r\n.\r\n"), PW_BODY_BARE_CR, 0, NULL, false },
	{ IN("a\r\r\n.\r\n"), PW_BODY_BARE_CR, 0, NULL, false },
	{ IN("a\0b\r\n.\r\n"), PW_BODY_NUL, 0, NULL, false },
	{ IN("a\nb\rc\r\r\n.\n\r\n.\r\n"), 0, 0,
	    "a\r\nb\r\nc\r\n\r\n\r\n\r\n", true },
	{ IN("a\n.\r\nb\r\n.\r\n"), 0, 0, "a\r\n.\r\nb\r\n", true },
	{ IN("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n.\r\n"),
	    PW_BODY_LONG_LINE, 0, NULL, false },
#undef IN
};
/* clang-format on */

static const struct pw_body_limits limit = { .max_message = 1000,
	.max_header = 400, .piece = 1u << 16, .max_line = 40 };

static void
take(struct pw_body *b, char *out, size_t size)
{
	uint64_t len;
	int fd = pw_body_take(b, &len);

	ck_assert_int_ge(fd, 0);
	ck_assert_uint_lt(len, size);
	ck_assert_int_eq((ssize_t)len, pread(fd, out, len, 0));
	ck_assert_int_eq(-1, write(fd, "x", 1)); /* it is sealed */
	out[len] = '\0';
	(void)close(fd);
}

START_TEST(test_data)
{
	for (size_t a = 0; a <= cases[_i].len; a++)
		for (size_t c = a; c <= cases[_i].len; c++) {
			struct pw_body_limits lim = limit;
			size_t cut[] = { 0, a, c, cases[_i].len }, used = 0;
			enum pw_body_result r = PW_BODY_MORE;
			struct pw_body b;
			char out[512];
			size_t k;

			lim.normalize = cases[_i].normalize;
			pw_body_init(&b, &lim, &budget);
			for (k = 0; k < 3 && r == PW_BODY_MORE; k++)
				r = pw_body_data(&b,
				    pw_bytes(cases[_i].in + cut[k],
					cut[k + 1] - cut[k]), &used);
			ck_assert_int_eq(r, PW_BODY_DONE);
			ck_assert_uint_eq(cut[k - 1] + used,
			    cases[_i].len - cases[_i].left);
			pw_body_finish(&b);
			ck_assert_uint_eq(b.faults, cases[_i].faults);
			if (cases[_i].out != NULL) {
				take(&b, out, sizeof(out));
				ck_assert_str_eq(out, cases[_i].out);
			}
			pw_body_free(&b);
			ck_assert_uint_eq(atomic_load(&budget.used), 0);
		}
}
END_TEST

static const char head[] = "Received: a\r\nreceived: b\r\n\tc\r\nA: Received:"
			   "\r\n\r\nReceived: body\r\n12345678901234567890\r\n";

START_TEST(test_counters)
{
	size_t len = sizeof(head) - 1, used;

	for (size_t cut = 0; cut <= len; cut++) {
		struct pw_body b;

		pw_body_init(&b, &limit, &budget);
		(void)pw_body_chunk(&b, pw_bytes(head, cut), &used);
		(void)pw_body_chunk(&b, pw_bytes(head + cut, len - cut),
		    &used);
		pw_body_finish(&b);
		ck_assert_uint_eq(b.faults, 0);
		ck_assert_uint_eq(b.hops, 2);
		ck_assert_uint_eq(b.longest, 20);
		ck_assert_uint_eq(b.header_len,
		    strlen("Received: a\r\nreceived: b\r\n\tc\r\nA: Received:"
			   "\r\n"));
		ck_assert_uint_eq(b.size, len);
		pw_body_free(&b);
	}
}
END_TEST

START_TEST(test_bounds)
{
	struct pw_body b;
	size_t used;
	char big[1100];

	memset(big, '\n', sizeof(big));
	pw_body_init(&b, &limit, &budget);
	(void)pw_body_chunk(&b, pw_bytes(big, 1000), &used);
	ck_assert_uint_eq(b.faults, 0);
	(void)pw_body_chunk(&b, pw_bytes(big, 1), &used);
	ck_assert_uint_eq(b.faults, PW_BODY_TOO_BIG);
	ck_assert_uint_eq(atomic_load(&budget.used), 0);
	pw_body_free(&b);

	for (size_t i = 0; i < sizeof(big); i += 4)
		memcpy(big + i, "a:b\n", 4);
	pw_body_init(&b, &limit, &budget);
	(void)pw_body_chunk(&b, pw_bytes(big, 500), &used);
	ck_assert_uint_eq(b.faults, PW_BODY_HEADER);
	pw_body_free(&b);

	budget.max = 100;
	pw_body_init(&b, &limit, &budget);
	(void)pw_body_chunk(&b, pw_bytes(big, 20), &used);
	ck_assert_uint_eq(b.faults, PW_BODY_NO_MEMORY);
	pw_body_free(&b);
	budget.max = 1u << 20;
	ck_assert_uint_eq(atomic_load(&budget.used), 0);
}
END_TEST

START_TEST(test_pieces)
{
	struct pw_body_limits lim = { .max_message = 1u << 30,
		.max_header = 1u << 30, .piece = 65536, .max_line = 1u << 30 };
	struct pw_body b;
	char *big = malloc(200000);
	size_t at = 0, used;
	uint64_t got = 0, len;

	memset(big, 'a', 200000);
	pw_body_init(&b, &lim, &budget);
	while (at < 200000) {
		enum pw_body_result r =
		    pw_body_chunk(&b, pw_bytes(big + at, 200000 - at), &used);

		at += used;
		if (r == PW_BODY_PIECE) {
			(void)close(pw_body_take(&b, &len));
			got += len;
			pw_body_release(&b, len);
		}
	}
	pw_body_finish(&b);
	(void)close(pw_body_take(&b, &len));
	ck_assert_uint_eq(got + len, 200000);
	pw_body_free(&b);
	ck_assert_uint_eq(atomic_load(&budget.used), 0);
	free(big);
}
END_TEST

Suite *pw_suite_smtp_body(void);

Suite *
pw_suite_smtp_body(void)
{
	Suite *s = suite_create("smtp/body");
	TCase *tc = tcase_create("body");

	tcase_add_loop_test(tc, test_data, 0, (int)PW_COUNT(cases));
	tcase_add_test(tc, test_counters);
	tcase_add_test(tc, test_bounds);
	tcase_add_test(tc, test_pieces);
	suite_add_tcase(s, tc);
	return s;
}
