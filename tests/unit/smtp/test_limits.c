/* SPDX-License-Identifier: ISC */
/* Counting sessions, also over two processes' segments. */
#include <check.h>
#include <stdio.h>
#include <sys/mman.h>

#include "smtp/limits.h"

static void *
segment(void)
{
	void *mem = mmap(NULL, pw_limits_segment_size(),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert(mem != MAP_FAILED);
	pw_limits_segment_init(mem);
	return mem;
}

static enum pw_limit_verdict
enter(struct pw_limits *l, const char *ip, bool trusted,
    struct pw_limit_ticket *t)
{
	static const struct pw_limit_caps caps = { .total = 6, .address = 2,
		.network = 3 };
	struct pw_ip a;

	ck_assert_int_eq(0, pw_ip_parse(pw_bytes_of(ip), &a));
	return pw_limits_enter(l, &a, trusted, &caps, t);
}

START_TEST(test_bounds)
{
	const bool two = _i == 1;
	void *m1 = segment(), *m2 = segment();
	const void *o1[] = { m2 }, *o2[] = { m1 };
	struct pw_limits *a = pw_limits_new(m1, o1, 1);
	struct pw_limits *b = two ? pw_limits_new(m2, o2, 1) : a;
	struct pw_limit_ticket t[8];

	ck_assert_int_eq(PW_LIMIT_OK, enter(a, "192.0.2.1", false, &t[0]));
	ck_assert_int_eq(PW_LIMIT_OK, enter(b, "192.0.2.1", false, &t[1]));
	ck_assert_int_eq(PW_LIMIT_ADDRESS,
	    enter(a, "192.0.2.1", false, &t[7]));
	ck_assert_int_eq(PW_LIMIT_OK, enter(a, "192.0.2.2", false, &t[2]));
	ck_assert_int_eq(PW_LIMIT_NETWORK,
	    enter(b, "192.0.2.3", false, &t[7]));
	pw_limits_leave(a, &t[7]); /* was not counted: harmless */
	ck_assert_int_eq(PW_LIMIT_OK, enter(b, "192.0.2.3", true, &t[3]));
	ck_assert_int_eq(PW_LIMIT_OK, enter(b, "192.0.3.3", false, &t[4]));
	pw_limits_leave(b, &t[1]);
	ck_assert_int_eq(PW_LIMIT_OK, enter(a, "192.0.2.1", false, &t[1]));
	ck_assert_int_eq(PW_LIMIT_OK, enter(a, "2001:db8::1", false, &t[5]));
	ck_assert_int_eq(PW_LIMIT_TOTAL,
	    enter(b, "198.51.100.1", false, &t[7]));
	ck_assert_uint_eq(6, pw_limits_total(a));
	pw_limits_leave(a, &t[0]);
	pw_limits_leave(a, &t[0]);
	pw_limits_leave(a, &t[1]);
	pw_limits_leave(a, &t[2]);
	pw_limits_leave(b, &t[3]);
	pw_limits_leave(b, &t[4]);
	pw_limits_leave(a, &t[5]);
	ck_assert_uint_eq(0, pw_limits_total(b));
	if (two)
		pw_limits_free(&b);
	pw_limits_free(&a);
}
END_TEST

START_TEST(test_v6_network)
{
	struct pw_limits *l = pw_limits_new(segment(), NULL, 0);
	struct pw_limit_ticket t;

	for (int i = 1; i <= 3; i++) {
		char ip[40];

		(void)snprintf(ip, sizeof(ip), "2001:db8::%d", i);
		ck_assert_int_eq(PW_LIMIT_OK, enter(l, ip, false, &t));
	}
	ck_assert_int_eq(PW_LIMIT_NETWORK,
	    enter(l, "2001:db8::ffff:1", false, &t));
	ck_assert_int_eq(PW_LIMIT_OK,
	    enter(l, "2001:db8:0:1::1", false, &t));
	pw_limits_free(&l);
}
END_TEST

Suite *pw_suite_smtp_limits(void);

Suite *
pw_suite_smtp_limits(void)
{
	Suite *s = suite_create("smtp/limits");
	TCase *tc = tcase_create("limits");

	tcase_add_loop_test(tc, test_bounds, 0, 2);
	tcase_add_test(tc, test_v6_network);
	suite_add_tcase(s, tc);
	return s;
}
