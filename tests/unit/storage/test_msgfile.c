/* SPDX-License-Identifier: ISC */
/* Line ends of filed messages, cuts, and the sizes in the names. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "storage/msgfile.h"

struct form_case {
	const char *in;
	struct pw_cut cut[2];
	size_t ncut;
	const char *out;
	bool lf;
	uint64_t vsize;
};

static const struct form_case cases[] = {
	{ "", { { 0, 0 } }, 0, "", true, 0 },
	{ "a", { { 0, 0 } }, 0, "a", true, 1 },
	{ "\r\n", { { 0, 0 } }, 0, "\n", true, 2 },
	{ "a\r\nb\r\n", { { 0, 0 } }, 0, "a\nb\n", true, 6 },
	{ "a\r\n\r\n\r\nb", { { 0, 0 } }, 0, "a\n\n\nb", true, 8 },
	{ "a\nb\r\n", { { 0, 0 } }, 0, "a\nb\r\n", false, 6 },
	{ "a\rb\r\n", { { 0, 0 } }, 0, "a\rb\r\n", false, 5 },
	{ "a\r\r\n", { { 0, 0 } }, 0, "a\r\r\n", false, 4 },
	{ "a\r", { { 0, 0 } }, 0, "a\r", false, 2 },
	{ "\n", { { 0, 0 } }, 0, "\n", false, 2 },
	{ "a\r\n\n", { { 0, 0 } }, 0, "a\r\n\n", false, 5 },
	{ "\n\r", { { 0, 0 } }, 0, "\n\r", false, 3 },
	/* Cuts: a field, the first, the last, all, beyond the end. */
	{ "A: 1\r\nB: 2\r\nC: 3\r\n", { { 6, 6 } }, 1, "A: 1\nC: 3\n", true,
	    12 },
	{ "A: 1\r\nB: 2\r\nC: 3\r\n", { { 0, 6 }, { 12, 6 } }, 2, "B: 2\n",
	    true, 6 },
	{ "A: 1\r\n", { { 0, 6 } }, 1, "", true, 0 },
	{ "A: 1\r\nB", { { 6, 100 } }, 1, "A: 1\n", true, 6 },
	{ "A: 1\r\nB", { { 50, 10 } }, 1, "A: 1\nB", true, 7 },
	/* A cut through a line end leaves a lone CR: filed as it came. */
	{ "a\r\nb\r\n", { { 2, 1 } }, 1, "a\rb\r\n", false, 5 },
	/* Where a cut joins CR and LF, they count as one line end. */
	{ "a\rX\nb", { { 2, 1 } }, 1, "a\r\nb", false, 4 },
};

static int
memfd_of(struct pw_bytes b)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, b.ptr, b.len), (ssize_t)b.len);
	return fd;
}

static struct pw_bytes
content(int fd, char *buf, size_t size)
{
	ssize_t n = pread(fd, buf, size, 0);

	ck_assert_int_ge(n, 0);
	return pw_bytes(buf, (size_t)n);
}

static void
check_bytes(struct pw_bytes got, const char *want)
{
	ck_assert_msg(pw_bytes_eq(got, pw_bytes_of(want)), "%.*s != %s",
	    (int)got.len, got.ptr, want);
}

START_TEST(in_memory)
{
	const struct form_case *c = &cases[_i];
	struct pw_msgform form;
	char out[64];

	pw_msgfile_body(out, pw_bytes_of(c->in), c->cut, c->ncut, &form);
	check_bytes(pw_bytes(out, (size_t)form.size), c->out);
	ck_assert_int_eq(form.lf, c->lf);
	ck_assert_uint_eq(form.vsize, c->vsize);
}
END_TEST

/* The same through a descriptor, with every size of buffer. */
START_TEST(in_pieces)
{
	const struct form_case *c = &cases[_i];
	size_t len = strlen(c->in);
	int fd = memfd_of(pw_bytes_of(c->in));

	for (size_t n = 2; n <= len + 2; n++) {
		struct pw_msgform form;
		char buf[64], half[64], got[64];
		int out = memfd_of(PW_LIT(""));

		ck_assert_int_eq(pw_msgfile_scan(fd, len, c->cut, c->ncut, buf,
				     n, &form), 0);
		ck_assert_int_eq(form.lf, c->lf);
		ck_assert_uint_eq(form.size, strlen(c->out));
		ck_assert_uint_eq(form.vsize, c->vsize);
		ck_assert_int_eq(pw_msgfile_copy(out, fd, len, c->cut,
				     c->ncut, form.lf, buf, half, n), 0);
		check_bytes(content(out, got, sizeof(got)), c->out);
		(void)close(out);
	}
	(void)close(fd);
}
END_TEST

START_TEST(prefix_follows_body)
{
	const struct pw_bytes prefix = PW_LIT("A: 1\r\nB: 2\r\n");
	struct pw_msgform lf = { .lf = true, .size = 10, .vsize = 12 };
	struct pw_msgform crlf = { .lf = false, .size = 10, .vsize = 11 };
	char out[32];

	size_t n = pw_msgfile_prefix(out, prefix, &lf);
	check_bytes(pw_bytes(out, n), "A: 1\nB: 2\n");
	ck_assert_uint_eq(lf.size, 20);
	ck_assert_uint_eq(lf.vsize, 24);
	n = pw_msgfile_prefix(out, prefix, &crlf);
	check_bytes(pw_bytes(out, n), "A: 1\r\nB: 2\r\n");
	ck_assert_uint_eq(crlf.size, 22);
	ck_assert_uint_eq(crlf.vsize, 23);
	ck_assert_uint_eq(pw_msgfile_prefix(out, PW_BYTES_NONE, &lf), 0);
}
END_TEST

/* NUL and 8-bit octets pass through both forms. */
START_TEST(any_octet)
{
	char in[256 * 3], out[sizeof(in)];
	struct pw_msgform form;
	size_t n = 0;

	for (int i = 0; i < 256; i++) {
		if (i == '\r' || i == '\n')
			continue;
		in[n++] = (char)i;
		in[n++] = '\r';
		in[n++] = '\n';
	}
	pw_msgfile_body(out, pw_bytes(in, n), NULL, 0, &form);
	ck_assert(form.lf);
	ck_assert_uint_eq(form.size, 2 * 254);
	ck_assert_uint_eq(form.vsize, n);
	ck_assert_int_eq(out[0], 0);
	ck_assert_int_eq(out[1], '\n');
}
END_TEST

START_TEST(short_source)
{
	int fd = memfd_of(PW_LIT("abc"));
	struct pw_msgform form;
	char buf[16];

	ck_assert_int_eq(pw_msgfile_scan(fd, 4, NULL, 0, buf, 16, &form), -1);
	(void)close(fd);
}
END_TEST

Suite *pw_suite_storage_msgfile(void);
Suite *
pw_suite_storage_msgfile(void)
{
	Suite *s = suite_create("storage/msgfile");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, in_memory, 0, PW_COUNT(cases));
	tcase_add_loop_test(t, in_pieces, 0, PW_COUNT(cases));
	tcase_add_test(t, prefix_follows_body);
	tcase_add_test(t, any_octet);
	tcase_add_test(t, short_source);
	suite_add_tcase(s, t);
	return s;
}
