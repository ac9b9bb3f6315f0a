/* SPDX-License-Identifier: ISC */
/* Command lines, cut at each place. */
#include <check.h>

#include "smtp/line.h"

#define MAX 12

/* clang-format off */
static const struct {
	const char *in;
	size_t len;
	const char *want; /* lines in [], faults as B N L, left octets as '+' */
} lines[] = {
	{ "a\r\nbb\r\n", 7, "[a][bb]" },
	{ "\r\n", 2, "[]" },
	{ "a\nb\r\nc\r\n", 8, "B[c]" },
	{ "a\rb\r\nc\r\n", 8, "B[c]" },
	{ "a\0b\r\nc\r\n", 8, "N[c]" },
	{ "\n\r\nc\r\n", 6, "B[c]" },
	{ "\r\r\nc\r\n", 6, "B[c]" },
	{ "a\nb\nc\n\r\nd\r\n", 11, "B[d]" },
	{ "123456789012\r\nx\r\n", 17, "[123456789012][x]" },
	{ "1234567890123\r\nx\r\n", 18, "L[x]" },
	{ "12345678901234567890\nx\r\ny\r\n", 27, "L[y]" },
	{ "12345678901234567890\r\rx\r\r\ny\r\n", 29, "L[y]" },
	{ "abc", 3, "" },
	{ "abc\r", 4, "" },
};
/* clang-format on */

static void
feed(struct pw_line *l, char *buf, size_t *len, char *out)
{
	size_t used;
	struct pw_bytes line;
	enum pw_line_result r;

	do {
		r = pw_line_next(l, pw_bytes(buf, *len), MAX, &used, &line);
		ck_assert_uint_le(used, *len);
		size_t n = strlen(out);

		if (r == PW_LINE_READY) {
			out[n++] = '[';
			memcpy(out + n, line.ptr, line.len);
			n += line.len;
			out[n++] = ']';
		} else if (r != PW_LINE_MORE) {
			out[n++] = r == PW_LINE_BARE ? 'B'
			    : r == PW_LINE_NUL       ? 'N' : 'L';
		}
		out[n] = '\0';
		memmove(buf, buf + used, *len - used);
		*len -= used;
	} while (r != PW_LINE_MORE);
}

START_TEST(test_lines)
{
	for (size_t a = 0; a <= lines[_i].len; a++)
		for (size_t b = a; b <= lines[_i].len; b++) {
			struct pw_line l = { 0 };
			char buf[64], out[128] = "";
			size_t len = 0, cut[] = { 0, a, b, lines[_i].len };

			for (size_t k = 0; k + 1 < PW_COUNT(cut); k++) {
				memcpy(buf + len, lines[_i].in + cut[k],
				    cut[k + 1] - cut[k]);
				len += cut[k + 1] - cut[k];
				feed(&l, buf, &len, out);
			}
			ck_assert_str_eq(out, lines[_i].want);
		}
}
END_TEST

Suite *pw_suite_smtp_line(void);

Suite *
pw_suite_smtp_line(void)
{
	Suite *s = suite_create("smtp/line");
	TCase *tc = tcase_create("line");

	tcase_add_loop_test(tc, test_lines, 0, (int)PW_COUNT(lines));
	suite_add_tcase(s, tc);
	return s;
}
