/* SPDX-License-Identifier: ISC */
/* A message as it came, from its file: the way there by msgfile.c, and back. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/pool.h"
#include "storage/msgfile.h"
#include "storage/original.h"

#define PREFIX "Return-Path: <>\r\nReceived: x\r\n"

/* Files MESSAGE without its cuts, rebuilds it, and gives what came of it. */
static struct pw_bytes
there_and_back(struct pw_bytes message, const struct pw_cut *cut, size_t ncut)
{
	static char back[1 << 16];
	char body[1 << 16], prefix[200];
	struct pw_missing missing[8];
	struct pw_msgform form;
	struct pw_err err = { 0 };
	uint64_t size, n;
	int file = memfd_create("file", MFD_CLOEXEC), fd;

	pw_msgfile_body(body, message, cut, ncut, &form);
	n = form.size;
	size = pw_msgfile_prefix(prefix, PW_LIT(PREFIX), &form);
	ck_assert_int_eq(write(file, prefix, size), (ssize_t)size);
	ck_assert_int_eq(write(file, body, n), (ssize_t)n);
	for (size_t i = 0; i < ncut; i++)
		missing[i] = (struct pw_missing){ cut[i].offset,
			pw_bytes_sub(message, cut[i].offset, cut[i].len) };
	fd = pw_original_make(file, size, missing, ncut, &n, &err);
	ck_assert_msg(fd >= 0, "%s", err.text);
	ck_assert_uint_le(n, sizeof(back));
	ck_assert_int_eq(pread(fd, back, n, 0), (ssize_t)n);
	(void)close(fd);
	(void)close(file);
	return pw_bytes(back, n);
}

START_TEST(forms)
{
	static const struct {
		const char *in;
		struct pw_cut cut[2];
		size_t ncut;
	} rows[] = {
		{ "", { { 0, 0 } }, 0 },
		{ "a", { { 0, 0 } }, 0 },
		{ "\r\n", { { 0, 0 } }, 0 },
		{ "a\r\n\r\nb\r\n", { { 0, 0 } }, 0 },
		{ "a\r\n\r\nb", { { 0, 0 } }, 0 },
		{ "a\nb\r\n", { { 0, 0 } }, 0 },
		{ "a\r\r\n", { { 0, 0 } }, 0 },
		{ "\n", { { 0, 0 } }, 0 },
		{ "A: 1\r\nB: 2\r\nC: 3\r\n\r\nx\r\n", { { 0, 6 } }, 1 },
		{ "A: 1\r\nB: 2\r\nC: 3\r\n\r\nx\r\n", { { 6, 6 } }, 1 },
		{ "A: 1\r\nB: 2\r\nC: 3\r\n\r\nx\r\n",
		    { { 0, 6 }, { 12, 6 } }, 2 },
		{ "A: 1\r\nB: 2\r\n", { { 6, 6 } }, 1 },
		{ "A: 1\r\nB: 2\r\n\r\nbare\n", { { 6, 6 } }, 1 },
	};

	for (size_t i = 0; i < PW_COUNT(rows); i++) {
		struct pw_bytes in = pw_bytes_of(rows[i].in);
		struct pw_bytes out =
		    there_and_back(in, rows[i].cut, rows[i].ncut);

		ck_assert_msg(pw_bytes_eq(in, out), "row %zu: %.*s", i,
		    (int)out.len, out.ptr);
	}
}
END_TEST

START_TEST(any)
{
	static const char alphabet[] = "\r\n\r\nab: ";
	char in[300];

	srand(42);
	for (int round = 0; round < 3000; round++) {
		size_t n = (size_t)rand() % sizeof(in);
		struct pw_cut cut = { 0, 0 };

		for (size_t i = 0; i < n; i++)
			in[i] = alphabet[(size_t)rand() % 9];
		if (n > 10) {
			cut.offset = (uint64_t)rand() % (n - 5);
			cut.len = 1 + (uint32_t)rand() % 4;
		}
		/* Whole lines are cut: what is left keeps its ends. */
		while (cut.offset > 0 && in[cut.offset - 1] != '\n')
			cut.offset--;
		while (cut.len > 0 && cut.offset + cut.len < n &&
		    in[cut.offset + cut.len - 1] != '\n')
			cut.len++;
		ck_assert(pw_bytes_eq(pw_bytes(in, n),
		    there_and_back(pw_bytes(in, n), &cut, cut.len > 0)));
	}
}
END_TEST

START_TEST(changed)
{
	const struct pw_missing beyond = { 100, PW_LIT("X: y\r\n") };
	struct pw_err err = { 0 };
	uint64_t size;
	int file = memfd_create("file", MFD_CLOEXEC);

	ck_assert_int_eq(write(file, "A: b\n\nx\n", 8), 8);
	ck_assert_int_eq(pw_original_make(file, 5, &beyond, 1, &size, &err), -1);
	ck_assert_int_eq(pw_original_make(file, 9, NULL, 0, &size, &err), -1);
	(void)close(file);
}
END_TEST

START_TEST(finds)
{
	char dir[] = "/tmp/pw-original.XXXXXX", path[200];
	static const char *const folders[] = { "m", "m/new", "m/cur", "m/tmp" };
	struct pw_bytes base = PW_LIT("1.M2P3_4.h,S=1,W=2");
	int root;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	for (size_t i = 0; i < PW_COUNT(folders); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, folders[i]);
		ck_assert_int_eq(mkdir(path, 0700), 0);
	}
	root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(pw_original_find(root, PW_LIT("m"), PW_LIT(""), base),
	    -1);
	(void)snprintf(path, sizeof(path), "%s/m/cur/1.M2P3_4.h,S=1,W=2:2,RS",
	    dir);
	(void)close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	int fd = pw_original_find(root, PW_LIT("m"), PW_LIT(""), base);
	ck_assert_int_ge(fd, 0);
	(void)close(fd);
	ck_assert_int_eq(pw_original_find(root, PW_LIT("m"), PW_LIT(""),
			     PW_LIT("../x")), -1);
	ck_assert_int_eq(pw_original_find(root, PW_LIT("../m"), PW_LIT(""),
			     base), -1);
	(void)unlink(path);
	for (size_t i = PW_COUNT(folders); i-- > 0;) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, folders[i]);
		(void)rmdir(path);
	}
	(void)rmdir(dir);
	(void)close(root);
}
END_TEST

Suite *pw_suite_storage_original(void);
Suite *
pw_suite_storage_original(void)
{
	Suite *s = suite_create("storage/original");
	TCase *t = tcase_create("all");

	tcase_add_test(t, forms);
	tcase_add_test(t, any);
	tcase_add_test(t, changed);
	tcase_add_test(t, finds);
	suite_add_tcase(s, t);
	return s;
}
