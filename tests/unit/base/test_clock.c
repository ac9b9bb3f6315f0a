/* SPDX-License-Identifier: ISC */
/* Unit tests of server/base/clock. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"

Suite *pw_suite_base_clock(void);

static const struct {
	int64_t us;
	const char *iso;
	const char *rfc;
} times[] = {
	{ 0, "1970-01-01T00:00:00.000Z", "Thu, 1 Jan 1970 00:00:00 +0000" },
	{ 1136214245678901, "2006-01-02T15:04:05.678Z",
	    "Mon, 2 Jan 2006 15:04:05 +0000" },
	{ 951782399999999, "2000-02-28T23:59:59.999Z",
	    "Mon, 28 Feb 2000 23:59:59 +0000" },
	{ 951782400000000, "2000-02-29T00:00:00.000Z",
	    "Tue, 29 Feb 2000 00:00:00 +0000" },
	{ -1, "1969-12-31T23:59:59.999Z", "Wed, 31 Dec 1969 23:59:59 +0000" },
	{ 4102444799000000, "2099-12-31T23:59:59.000Z",
	    "Thu, 31 Dec 2099 23:59:59 +0000" },
};

START_TEST(writes_times)
{
	char rfc[40], iso[32];

	ck_assert_uint_eq(pw_clock_iso(iso, times[_i].us),
	    strlen(times[_i].iso));
	ck_assert_str_eq(iso, times[_i].iso);
	ck_assert_uint_eq(pw_clock_rfc5322(rfc, times[_i].us),
	    strlen(times[_i].rfc));
	ck_assert_str_eq(rfc, times[_i].rfc);
}
END_TEST

START_TEST(can_be_turned)
{
	pw_clock_real_set(42);
	ck_assert_int_eq(pw_clock_real_us(), 42);
	pw_clock_real_set(0);
	ck_assert_int_gt(pw_clock_real_us(), 1600000000000000);
	uint64_t a = pw_clock_mono_ns();
	ck_assert_uint_ge(pw_clock_mono_ns(), a);
}
END_TEST

/* The first, an odd and the last of the reference vectors of SipHash-2-4: key
 * 00 01 02.. 0f, input 00 01 02... of the given length. */
static const struct {
	size_t len;
	uint64_t hash;
} sip[] = { { 0, 0x726fdb47dd0e0e31u }, { 1, 0x74f839c593dc67fdu },
	{ 7, 0xab0200f58b01d137u }, { 8, 0x93f5f5799a932462u },
	{ 15, 0xa129ca6149be45e5u }, { 63, 0x958a324ceb064572u } };

START_TEST(hashes)
{
	uint8_t key[16], in[64];

	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)i;
	memcpy(key, in, 16);
	for (size_t i = 0; i < PW_COUNT(sip); i++)
		ck_assert_uint_eq(pw_siphash(key, in, sip[i].len),
		    sip[i].hash);
	ck_assert_uint_eq(pw_hash("ab", 2), pw_hash("ab", 2));
	ck_assert_uint_ne(pw_hash("ab", 2), pw_hash("ac", 2));
	/* The key is not all zeros. */
	memset(key, 0, sizeof(key));
	ck_assert_uint_ne(pw_hash("ab", 2), pw_siphash(key, "ab", 2));
}
END_TEST

START_TEST(random_differs)
{
	uint64_t a[2] = { 0, 0 };

	pw_random(&a, sizeof(a));
	ck_assert_uint_ne(a[0], a[1]);
}
END_TEST

#define THREADS 4
#define EACH 5000

static void *
many_ids(void *arg)
{
	struct pw_id *ids = arg;

	for (size_t i = 0; i < EACH; i++)
		ids[i] = pw_id_new();
	return NULL;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(((const struct pw_id *)a)->s,
	    ((const struct pw_id *)b)->s);
}

START_TEST(ids_never_repeat)
{
	static struct pw_id ids[(THREADS + 1) * EACH];
	pthread_t t[THREADS];
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	/* Another process at the same time, forked after the first id. */
	struct pw_id first = pw_id_new();
	pid_t pid = fork();
	if (pid == 0) {
		many_ids(ids);
		const char *p = (const char *)ids;
		for (size_t left = EACH * sizeof(ids[0]); left > 0;) {
			ssize_t n = write(fds[1], p, left);
			if (n <= 0)
				_exit(1);
			p += n;
			left -= (size_t)n;
		}
		_exit(0);
	}
	for (size_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, many_ids,
				     ids + i * EACH),
		    0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	close(fds[1]);
	char *to = (char *)(ids + THREADS * EACH);
	for (size_t left = EACH * sizeof(ids[0]); left > 0;) {
		ssize_t n = read(fds[0], to, left);
		ck_assert_int_gt(n, 0);
		to += n;
		left -= (size_t)n;
	}
	close(fds[0]);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	/* Each thread's own sort by time, and come after the first. */
	for (size_t i = 1; i < EACH; i++)
		ck_assert_int_lt(strcmp(ids[i - 1].s, ids[i].s), 0);
	ck_assert_int_lt(strcmp(first.s, ids[0].s), 0);
	qsort(ids, PW_COUNT(ids), sizeof(ids[0]), by_text);
	for (size_t i = 1; i < PW_COUNT(ids); i++)
		ck_assert_str_ne(ids[i - 1].s, ids[i].s);
}
END_TEST

START_TEST(ids_sort_although_time_steps_back)
{
	struct pw_id a, b;

	pw_clock_real_set(4000000000000000);
	a = pw_id_new();
	pw_clock_real_set(3999999999000000);
	b = pw_id_new();
	pw_clock_real_set(0);
	ck_assert_int_lt(strcmp(a.s, b.s), 0);
}
END_TEST

START_TEST(ids_are_recognised)
{
	struct pw_id id = pw_id_new(), again;

	ck_assert_uint_eq(strlen(id.s), PW_ID_LEN);
	ck_assert_int_eq(pw_id_parse(&again, id.s, PW_ID_LEN), 0);
	ck_assert_str_eq(again.s, id.s);
	ck_assert_int_eq(pw_id_parse(&again, id.s, PW_ID_LEN - 1), -1);
	ck_assert_int_eq(pw_id_parse(&again, "0123456789bcdfgA", 16), -1);
	ck_assert_int_eq(pw_id_parse(&again, "0123456789bcdfga", 16), -1);
	ck_assert_int_eq(pw_id_parse(&again, "0123456789bcdf/.", 16), -1);
	ck_assert_int_eq(pw_id_parse(&again, "0123456789bcdf\0g", 16), -1);
}
END_TEST

Suite *
pw_suite_base_clock(void)
{
	Suite *s = suite_create("base/clock");
	TCase *tc = tcase_create("clock");

	tcase_add_loop_test(tc, writes_times, 0, PW_COUNT(times));
	tcase_add_test(tc, can_be_turned);
	tcase_add_test(tc, hashes);
	tcase_add_test(tc, random_differs);
	tcase_add_test(tc, ids_never_repeat);
	tcase_add_test(tc, ids_sort_although_time_steps_back);
	tcase_add_test(tc, ids_are_recognised);
	suite_add_tcase(s, tc);
	return s;
}
