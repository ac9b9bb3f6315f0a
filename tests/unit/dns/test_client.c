/* SPDX-License-Identifier: ISC */
/*
 * The client against a resolve role that the test plays itself: what travels,
 * and when callbacks come.
 */
#include "played.h"

Suite *pw_suite_dns_client(void);

START_TEST(test_ask)
{
	struct asker a = {0};
	struct asked got;

	ask(&a, "Example.TEST.", 5000);
	rounds(1);
	ck_assert(take(PW_DNS_FRAME_QUERY, &got));
	ck_assert_uint_eq(got.count, 1);
	ck_assert_str_eq(got.e[0].name, "example.test");
	ck_assert_uint_eq(got.e[0].type, PW_DNS_A);
	ck_assert_uint_ge(got.e[0].deadline_ms, 5000);
	ck_assert_uint_le(got.e[0].deadline_ms, 10000);
	ck_assert_int_eq(a.calls, 0);

	answer(got.e[0].qid, "example.test", PW_DNS_OK);
	rounds(2);
	ck_assert_int_eq(a.calls, 1);
	ck_assert_uint_eq(a.status, PW_DNS_OK);
	ck_assert_uint_eq(a.nrr, 1);
	ck_assert_str_eq(a.name, "example.test");

	/* The same answer again is late, not wrong. */
	answer(got.e[0].qid, "example.test", PW_DNS_OK);
	rounds(2);
	ck_assert_int_eq(a.calls, 1);
	ask(&a, "example.test", 5000);
	rounds(1);
	ck_assert(take(PW_DNS_FRAME_QUERY, &got));
}
END_TEST

START_TEST(test_coalesce)
{
	struct pw_dns_client_stats stats;
	struct asker a[5] = {{0}};
	struct asked got;

	ask(&a[0], "one.test", 5000);
	ask(&a[1], "ONE.test", 5000);
	ask(&a[2], "two.test", 5000);
	rounds(1);
	ask(&a[3], "one.test.", 5000);
	rounds(1);
	ck_assert(take(PW_DNS_FRAME_QUERY, &got));
	ck_assert_uint_eq(got.count, 2);
	ck_assert_str_eq(got.e[0].name, "one.test");
	ck_assert_str_eq(got.e[1].name, "two.test");
	ck_assert(!take(PW_DNS_FRAME_QUERY, &got));

	pw_dns_client_stats(client, &stats);
	ck_assert_uint_eq(stats.asked, 4);
	ck_assert_uint_eq(stats.coalesced, 2);
	ck_assert_uint_eq(stats.open, 2);

	answer(0, "one.test", PW_DNS_NODATA); /* a qid that is not open */
	answer(got.e[0].qid, "one.test", PW_DNS_NODATA);
	rounds(2);
	ck_assert_int_eq(a[0].calls, 1);
	ck_assert_int_eq(a[1].calls, 1);
	ck_assert_int_eq(a[2].calls, 0);
	ck_assert_int_eq(a[3].calls, 1);

	/* Answered is not open: the question travels again. */
	ask(&a[4], "one.test", 5000);
	rounds(1);
	ck_assert(take(PW_DNS_FRAME_QUERY, &got));
	ck_assert_uint_eq(got.count, 1);
}
END_TEST

/* Somebody who waits longer joins: resolve is told to go on. */
START_TEST(test_prolong)
{
	struct asker a = {0}, b = {0};
	struct asked got, more;

	ask(&a, "one.test", 50);
	rounds(1);
	ck_assert(take(PW_DNS_FRAME_QUERY, &got));
	ask(&b, "one.test", 20000);
	rounds(1);
	ck_assert(take(PW_DNS_FRAME_QUERY, &more));
	ck_assert_uint_eq(more.count, 1);
	ck_assert_uint_eq(more.e[0].qid, got.e[0].qid);
	ck_assert_uint_ge(more.e[0].deadline_ms, 20000);

	usleep(60000);
	rounds(2);
	ck_assert_int_eq(a.calls, 1);
	ck_assert_uint_eq(a.status, PW_DNS_TIMEOUT);
	ck_assert_int_eq(b.calls, 0);
	answer(got.e[0].qid, "one.test", PW_DNS_OK);
	rounds(2);
	ck_assert_int_eq(a.calls, 1);
	ck_assert_int_eq(b.calls, 1);
	ck_assert_uint_eq(b.status, PW_DNS_OK);
}
END_TEST

START_TEST(test_deadline)
{
	struct asker a = {0};
	struct asked got, gone;

	rounds(1);
	ask(&a, "slow.test", 300);
	rounds(1);
	ck_assert(take(PW_DNS_FRAME_QUERY, &got));
	usleep(20000);
	rounds(1);
	ck_assert_int_eq(a.calls, 0);
	usleep(300000);
	rounds(2);
	ck_assert_int_eq(a.calls, 1);
	ck_assert_uint_eq(a.status, PW_DNS_TIMEOUT);
	ck_assert_str_eq(a.name, "slow.test");
	ck_assert(take(PW_DNS_FRAME_CANCEL, &gone));
	ck_assert_uint_eq(gone.count, 1);
	ck_assert_uint_eq(gone.e[0].qid, got.e[0].qid);
	answer(got.e[0].qid, "slow.test", PW_DNS_OK);
	rounds(2);
	ck_assert_int_eq(a.calls, 1);
}
END_TEST

START_TEST(test_cancel)
{
	struct asker a = {0}, b = {0}, c = {0};
	struct pw_dns_query *none = NULL;
	struct asked got, gone;

	pw_dns_cancel(&none);
	/* Before it left: nothing leaves. */
	ask(&a, "never.test", 5000);
	pw_dns_cancel(&a.q);
	ck_assert_ptr_null(a.q);
	rounds(1);
	ck_assert(!take(PW_DNS_FRAME_QUERY, &got));

	/* One of two: the other still gets its answer. */
	ask(&a, "one.test", 5000);
	ask(&b, "one.test", 5000);
	ask(&c, "two.test", 5000);
	rounds(1);
	ck_assert(take(PW_DNS_FRAME_QUERY, &got));
	pw_dns_cancel(&a.q);
	rounds(1);
	ck_assert(!take(PW_DNS_FRAME_CANCEL, &gone));
	/* The last one: resolve hears of it. */
	pw_dns_cancel(&c.q);
	rounds(1);
	ck_assert(take(PW_DNS_FRAME_CANCEL, &gone));
	ck_assert_uint_eq(gone.count, 1);
	ck_assert_uint_eq(gone.e[0].qid, got.e[1].qid);

	answer(got.e[1].qid, "two.test", PW_DNS_OK);
	answer(got.e[0].qid, "one.test", PW_DNS_OK);
	rounds(2);
	ck_assert_int_eq(a.calls + c.calls, 0);
	ck_assert_int_eq(b.calls, 1);
}
END_TEST

/* A slot's next question is not answered by the answer to the last. */
START_TEST(test_slot_again)
{
	struct asker a = {0}, b = {0};
	struct asked first, second, gone;

	ask(&a, "one.test", 5000);
	rounds(1);
	ck_assert(take(PW_DNS_FRAME_QUERY, &first));
	pw_dns_cancel(&a.q);
	ask(&b, "one.test", 5000);
	rounds(1);
	ck_assert(take(PW_DNS_FRAME_CANCEL, &gone));
	ck_assert(take(PW_DNS_FRAME_QUERY, &second));
	ck_assert_uint_ne(first.e[0].qid, second.e[0].qid);
	answer(first.e[0].qid, "one.test", PW_DNS_NXDOMAIN);
	rounds(2);
	ck_assert_int_eq(b.calls, 0);
	answer(second.e[0].qid, "one.test", PW_DNS_OK);
	rounds(2);
	ck_assert_int_eq(a.calls, 0);
	ck_assert_int_eq(b.calls, 1);
}
END_TEST

START_TEST(test_badname)
{
	struct asker a = {0}, b = {0};
	struct asked got;

	ask(&a, "a..B", 5000);
	ask(&b, "", 5000);
	ck_assert_int_eq(a.calls + b.calls, 0);
	rounds(1);
	ck_assert_int_eq(a.calls, 1);
	ck_assert_uint_eq(a.status, PW_DNS_BADNAME);
	ck_assert_str_eq(a.name, "a..b");
	ck_assert_int_eq(b.calls, 1);
	ck_assert(!take(PW_DNS_FRAME_QUERY, &got));
	/* Cancelled before it is told. */
	ask(&a, "a..B", 5000);
	pw_dns_cancel(&a.q);
	rounds(2);
	ck_assert_int_eq(a.calls, 1);
}
END_TEST

/* More than a frame's worth, and more than may be open. */
START_TEST(test_full)
{
	static struct asker a[PW_DNS_MAX_OPEN + 3];
	struct pw_dns_client_stats stats;
	struct asked got;
	char name[32];
	size_t seen = 0;

	for (size_t i = 0; i < PW_COUNT(a); i++) {
		(void)snprintf(name, sizeof(name), "n%zu.test", i);
		ask(&a[i], name, 5000);
	}
	rounds(1);
	for (size_t i = 0; i < PW_COUNT(a); i++)
		ck_assert_int_eq(a[i].calls, i >= PW_DNS_MAX_OPEN);
	ck_assert_uint_eq(a[PW_DNS_MAX_OPEN].status, PW_DNS_SERVFAIL);
	pw_dns_client_stats(client, &stats);
	ck_assert_uint_eq(stats.refused, 3);
	ck_assert_uint_eq(stats.open, PW_DNS_MAX_OPEN);

	while (seen < PW_DNS_MAX_OPEN) {
		ck_assert(take(PW_DNS_FRAME_QUERY, &got));
		for (uint32_t i = 0; i < got.count; i++)
			answer(got.e[i].qid, got.e[i].name, PW_DNS_OK);
		seen += got.count;
		rounds(8);
	}
	for (size_t i = 0; i < PW_COUNT(a); i++)
		ck_assert_int_eq(a[i].calls, 1);
	pw_dns_client_stats(client, &stats);
	ck_assert_uint_eq(stats.open, 0);
	ck_assert_uint_eq(stats.answered, PW_DNS_MAX_OPEN);
}
END_TEST

/* Cancelling thousands that were sent takes several frames. */
START_TEST(test_cancel_many)
{
	static struct asker a[1000];
	struct asked got;
	char name[32];
	uint32_t cancelled = 0;

	for (size_t i = 0; i < PW_COUNT(a); i++) {
		(void)snprintf(name, sizeof(name), "n%zu.test", i);
		ask(&a[i], name, 5000);
	}
	rounds(1);
	for (int i = 0; i < 3; i++)
		ck_assert(take(PW_DNS_FRAME_QUERY, &got));
	for (size_t i = 0; i < PW_COUNT(a); i++)
		pw_dns_cancel(&a[i].q);
	rounds(1);
	while (take(PW_DNS_FRAME_CANCEL, &got))
		cancelled += got.count;
	ck_assert_uint_eq(cancelled, PW_COUNT(a));
}
END_TEST

Suite *
pw_suite_dns_client(void)
{
	Suite *s = suite_create("dns/client");
	TCase *tc = tcase_create("client");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_ask);
	tcase_add_test(tc, test_coalesce);
	tcase_add_test(tc, test_prolong);
	tcase_add_test(tc, test_deadline);
	tcase_add_test(tc, test_cancel);
	tcase_add_test(tc, test_slot_again);
	tcase_add_test(tc, test_badname);
	tcase_add_test(tc, test_full);
	tcase_add_test(tc, test_cancel_many);
	suite_add_tcase(s, tc);
	return s;
}
