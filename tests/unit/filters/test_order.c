/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <string.h>

#include "filters/order.h"

Suite *pw_suite_filters_order(void);

static const char *const a_out[] = { "a.x", NULL };
static const char *const b_out[] = { "b.x", NULL };
static const char *const want_a[] = { "a.x", NULL };
static const char *const want_b[] = { "b.x", NULL };
static const char *const maybe[] = { "nobody.x?", "peer.ip", NULL };
static const char *const missing[] = { "nobody.x", NULL };

#define STAGE(n, p, need, give)                                              \
	{ .name = (n), .phases = PW_PHASE_BIT(p), .needs = (need),           \
	  .provides = (give) }

static struct pw_err err;

static int
order(const struct pw_stage *v, size_t n, size_t *o, uint64_t *deps)
{
	const struct pw_stage *p[8];

	for (size_t i = 0; i < n; i++)
		p[i] = &v[i];
	return pw_order(p, n, o, deps, &err);
}

START_TEST(test_sorts)
{
	struct pw_stage v[] = { STAGE("c", PW_PHASE_END, want_b, NULL),
		STAGE("b", PW_PHASE_BODY, want_a, b_out),
		STAGE("a", PW_PHASE_BODY, maybe, a_out),
		STAGE("d", PW_PHASE_BODY, NULL, NULL) };
	size_t o[4];
	uint64_t deps[4];

	v[3].cost = PW_COST_DEAR;
	ck_assert_int_eq(order(v, 4, o, deps), 0);
	ck_assert_uint_eq(o[0], 2);
	ck_assert_uint_eq(o[1], 1);
	ck_assert_uint_eq(o[2], 0);
	ck_assert_uint_eq(o[3], 3);
	ck_assert_uint_eq(deps[0], 1u << 1);
	ck_assert_uint_eq(deps[1], 1u << 2);
	ck_assert_uint_eq(deps[2], 0);
}
END_TEST

START_TEST(test_refuses)
{
	struct pw_stage ring[] = { STAGE("a", PW_PHASE_BODY, want_b, a_out),
		STAGE("b", PW_PHASE_BODY, want_a, b_out) };
	struct pw_stage none[] = { STAGE("a", PW_PHASE_BODY, missing, NULL) };
	struct pw_stage twice[] = { STAGE("a", PW_PHASE_BODY, NULL, a_out),
		STAGE("b", PW_PHASE_BODY, NULL, a_out) };
	struct pw_stage late[] = { STAGE("a", PW_PHASE_END, NULL, a_out),
		STAGE("b", PW_PHASE_MAIL, want_a, NULL) };
	size_t o[4];
	uint64_t deps[4];

	ck_assert_int_eq(order(ring, 2, o, deps), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "in a ring"));
	ck_assert_int_eq(order(none, 1, o, deps), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "'nobody.x', which no"));
	ck_assert_int_eq(order(twice, 2, o, deps), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "both provide 'a.x'"));
	ck_assert_int_eq(order(late, 2, o, deps), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "only in a later phase"));
}
END_TEST

Suite *
pw_suite_filters_order(void)
{
	Suite *s = suite_create("filters/order");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, test_sorts);
	tcase_add_test(tc, test_refuses);
	suite_add_tcase(s, tc);
	return s;
}
