/* SPDX-License-Identifier: ISC */
/* Unit tests of server/base/log. */
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

Suite *pw_suite_base_log(void);

static int fds[2];
static char got[65536];

static void
set_up(void)
{
	ck_assert_int_eq(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	pw_log_to(fds[1], PW_LOG_INFO, PW_LOG_KV);
	pw_log_role("front");
	pw_clock_real_set(1136214245678901);
}

static void
tear_down(void)
{
	pw_log_to(2, PW_LOG_INFO, PW_LOG_KV);
	pw_clock_real_set(0);
	close(fds[0]);
	close(fds[1]);
}

/* What was written since the last call. */
static const char *
lines(void)
{
	ssize_t n = read(fds[0], got, sizeof(got) - 1);

	got[n > 0 ? n : 0] = '\0';
	return got;
}

static void
one_line(void)
{
	struct pw_log_line l;

	pw_log_begin(&l, PW_LOG_WARN, "smtp.reject", "s1", "t1");
	pw_log_s(&l, "code", "550");
	pw_log_i(&l, "size", -42);
	pw_log_peer(&l, "from", pw_peer(PW_LIT("a b\"\\\r\n=\xff")));
	pw_log_b(&l, "empty", PW_BYTES_NONE);
	pw_log_s(&l, "none", NULL);
	pw_log_end(&l);
}

START_TEST(writes_pairs)
{
	one_line();
	ck_assert_str_eq(lines(),
	    "2006-01-02T15:04:05.678Z warn front session=s1 id=t1 smtp.reject "
	    "code=550 size=-42 from=\"a b\\x22\\x5c\\x0d\\x0a=\\xff\" "
	    "empty=\"\" none=\"\"\n");
	struct pw_log_line l;
	pw_log_begin(&l, PW_LOG_INFO, "start", NULL, "");
	pw_log_end(&l);
	ck_assert_str_eq(lines(),
	    "2006-01-02T15:04:05.678Z info front start\n");
}
END_TEST

START_TEST(writes_json)
{
	pw_log_to(fds[1], PW_LOG_INFO, PW_LOG_JSON);
	one_line();
	ck_assert_str_eq(lines(),
	    "{\"time\":\"2006-01-02T15:04:05.678Z\",\"level\":\"warn\","
	    "\"role\":\"front\",\"event\":\"smtp.reject\",\"session\":\"s1\","
	    "\"id\":\"t1\",\"code\":\"550\",\"size\":-42,"
	    "\"from\":\"a b\\\\x22\\\\x5c\\\\x0d\\\\x0a=\\\\xff\","
	    "\"empty\":\"\",\"none\":\"\"}\n");
}
END_TEST

START_TEST(leaves_out_lower_levels)
{
	pw_logf(PW_LOG_DEBUG, "x", "hidden");
	ck_assert_str_eq(lines(), "");
	pw_log_to(fds[1], PW_LOG_DEBUG, PW_LOG_KV);
	ck_assert_int_eq(pw_log_level(), PW_LOG_DEBUG);
	pw_logf(PW_LOG_DEBUG, "x", "%d shown", 1);
	ck_assert_str_eq(lines(),
	    "2006-01-02T15:04:05.678Z debug front x msg=\"1 shown\"\n");
}
END_TEST

static const struct {
	struct pw_bytes in;
	const char *out;
} escapes[] = { { { "plain ~", 7 }, "plain ~" },
	{ { "\0\x1b[1m\x7f", 6 }, "\\x00\\x1b[1m\\x7f" },
	{ { "\"\\", 2 }, "\\x22\\x5c" },
	{ { "\xc3\xbc\xf0\x9f\x98\x80", 6 }, "\xc3\xbc\xf0\x9f\x98\x80" },
	{ { "a\xe2\x80\xae"
	    "b", 5 }, "a\\xe2\\x80\\xaeb" }, /* U+202E */
	{ { "\xe2\x80\xa8", 3 }, "\\xe2\\x80\\xa8" }, /* U+2028 */
	{ { "\xe2\x80\x8b", 3 }, "\\xe2\\x80\\x8b" }, /* U+200B */
	{ { "\xc2\x9b", 2 }, "\\xc2\\x9b" }, /* U+009B */
	{ { "\xc3(", 2 }, "\\xc3(" }, { { "\xe2\x80", 2 }, "\\xe2\\x80" } };

/* Whole, and into every smaller space: a cut never splits a character. */
START_TEST(escapes_what_could_harm)
{
	size_t full = strlen(escapes[_i].out);
	char *out = malloc(full + 1);

	ck_assert_uint_eq(pw_escape(out, full + 1, pw_peer(escapes[_i].in)),
	    full);
	ck_assert_str_eq(out, escapes[_i].out);
	for (size_t size = 1; size <= full; size++) {
		size_t n = pw_escape(out, size, pw_peer(escapes[_i].in));
		ck_assert_uint_lt(n, size);
		ck_assert_uint_eq(strlen(out), n);
		ck_assert_int_eq(strncmp(out, escapes[_i].out, n), 0);
	}
	ck_assert_uint_eq(pw_escape(NULL, 0, pw_peer(escapes[_i].in)), 0);
	free(out);
}
END_TEST

/* No line ever grows beyond its buffer or ends without its line end; values
 * from 0 to more than a line, plain or escaped, in both formats. */
START_TEST(cuts_long_lines)
{
	static char big[5000];
	struct pw_log_line l;

	pw_log_to(fds[1], PW_LOG_INFO, _i % 2 ? PW_LOG_JSON : PW_LOG_KV);
	for (size_t n = 0; n < sizeof(big); n += 53) {
		memset(big, _i < 2 ? 'x' : '\x01', sizeof(big));
		pw_log_begin(&l, PW_LOG_INFO, "e", "s", NULL);
		for (int k = 0; k < 4; k++)
			pw_log_peer(&l, "k", pw_peer(pw_bytes(big, n)));
		pw_log_i(&l, "last", 1234567);
		pw_log_end(&l);
		const char *s = lines();
		size_t len = strlen(s);
		ck_assert_uint_gt(len, 10);
		ck_assert_uint_le(len, sizeof(l.buf));
		ck_assert_int_eq(s[len - 1], '\n');
		ck_assert_ptr_eq(strchr(s, '\n'), s + len - 1);
		if (_i % 2)
			ck_assert_int_eq(s[len - 2], '}');
		if (n > 3000)
			ck_assert_ptr_nonnull(strstr(s, "truncated"));
		/* A long value leaves room for others. */
		if (n < 500 && _i < 2)
			ck_assert_ptr_nonnull(strstr(s, "1234567"));
	}
}
END_TEST

START_TEST(counts_what_does_not_fit)
{
	uint64_t before = pw_log_dropped(), lost;
	int written = 0;

	(void)fcntl(fds[1], F_SETPIPE_SZ, 4096);
	while (pw_log_dropped() == before && written < 10000) {
		pw_logf(PW_LOG_INFO, "fill", "%0100d", written);
		written++;
	}
	for (int i = 0; i < 4; i++)
		pw_logf(PW_LOG_INFO, "lost", "x");
	lost = pw_log_dropped() - before;
	ck_assert_uint_ge(lost, 2);
	(void)lines();
	char want[64];
	(void)snprintf(want, sizeof(want), " dropped=%d\n", (int)lost);
	pw_logf(PW_LOG_INFO, "again", "x");
	ck_assert_ptr_nonnull(strstr(lines(), want));
	pw_logf(PW_LOG_INFO, "again", "x");
	ck_assert_ptr_null(strstr(lines(), "dropped"));
}
END_TEST

static void *
many_lines(void *arg)
{
	for (int i = 0; i < 200; i++)
		pw_logf(PW_LOG_INFO, "thread", "%s-%d-%0200d", (char *)arg, i,
		    0);
	return NULL;
}

START_TEST(threads_do_not_mix_lines)
{
	pthread_t t[3];
	static char names[3][2] = { "a", "b", "c" };
	size_t n = 0;

	(void)fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
	pw_clock_real_set(0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, many_lines,
				     names[i]),
		    0);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	FILE *f = fdopen(dup(fds[0]), "r");
	char *line = NULL;
	size_t cap = 0;
	while (getline(&line, &cap, f) > 0) {
		ck_assert_uint_gt(strlen(line), 230);
		ck_assert_ptr_nonnull(strstr(line, "00000\n"));
		n++;
	}
	free(line);
	fclose(f);
	ck_assert_uint_eq(n, 600);
}
END_TEST

Suite *
pw_suite_base_log(void)
{
	Suite *s = suite_create("base/log");
	TCase *tc = tcase_create("log");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, writes_pairs);
	tcase_add_test(tc, writes_json);
	tcase_add_test(tc, leaves_out_lower_levels);
	tcase_add_loop_test(tc, escapes_what_could_harm, 0, PW_COUNT(escapes));
	tcase_add_loop_test(tc, cuts_long_lines, 0, 4);
	tcase_add_test(tc, counts_what_does_not_fit);
	tcase_add_test(tc, threads_do_not_mix_lines);
	suite_add_tcase(s, tc);
	return s;
}
