/* SPDX-License-Identifier: ISC */
/* Unit tests of server/base/err. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"

Suite *pw_suite_base_err(void);

START_TEST(says_why)
{
	struct pw_err e = { 0 };

	ck_assert_int_eq(pw_err_set(&e, 7, "cannot %s", "fly"), -1);
	ck_assert_int_eq(e.code, 7);
	ck_assert_str_eq(e.text, "cannot fly");
	ck_assert_int_eq(pw_err_prefix(&e, "bird %d", 3), -1);
	ck_assert_str_eq(e.text, "bird 3: cannot fly");
	ck_assert_int_eq(e.code, 7);
	errno = ENOENT;
	ck_assert_int_eq(pw_err_sys(&e, "open %s", "/x"), -1);
	ck_assert_str_eq(e.text, "open /x: No such file or directory");
	ck_assert_int_eq(e.code, ENOENT);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(pw_err_set(NULL, 0, "x"), -1);
	ck_assert_int_eq(pw_err_sys(NULL, "x"), -1);
	ck_assert_int_eq(pw_err_prefix(NULL, "x"), -1);
}
END_TEST

START_TEST(cuts_what_is_too_long)
{
	char big[3000];
	struct pw_err e = { 0 };

	memset(big, 'b', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	pw_err_set(&e, 0, "%s", big);
	ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
	pw_err_prefix(&e, "front");
	ck_assert_int_eq(strncmp(e.text, "front: bbb", 10), 0);
	ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
	pw_err_prefix(&e, "%s", big);
	ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
	errno = EIO;
	pw_err_sys(&e, "%s", big);
	ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
}
END_TEST

START_TEST(a_bug_aborts)
{
	pw_log_to(-1, PW_LOG_ERROR, PW_LOG_KV);
	PW_ASSERT(1 + 1 == 3);
}
END_TEST

Suite *
pw_suite_base_err(void)
{
	Suite *s = suite_create("base/err");
	TCase *tc = tcase_create("err");

	tcase_add_test(tc, says_why);
	tcase_add_test(tc, cuts_what_is_too_long);
	/* Needs a process of its own to die in. */
	const char *mode = getenv("CK_FORK");
	if (mode == NULL || strcmp(mode, "no") != 0)
		tcase_add_test_raise_signal(tc, a_bug_aborts, SIGABRT);
	suite_add_tcase(s, tc);
	return s;
}
