/* SPDX-License-Identifier: ISC */
/*
 * The client when callbacks do things, when the channel goes away, and when
 * what comes on it is nonsense.
 */
#include "played.h"

Suite *pw_suite_dns_client_channel(void);

/* ---- callbacks that do things ------------------------------------------ */

START_TEST(test_in_callback)
{
	struct asker a = {0}, b = {0}, c = {0}, d = {0};
	struct asked got;

	/* The first cancels the second, which waits for the same; and the
	 * third asks again what was just answered. */
	a.then_cancel = &b;
	c.then_ask = "one.test";
	c.then_asker = &d;
	ask(&a, "one.test", 5000);
	ask(&b, "one.test", 5000);
	ask(&c, "one.test", 5000);
	rounds(1);
	ck_assert(take(PW_DNS_FRAME_QUERY, &got));
	answer(got.e[0].qid, "one.test", PW_DNS_OK);
	rounds(3);
	ck_assert_int_eq(a.calls, 1);
	ck_assert_int_eq(b.calls, 0);
	ck_assert_int_eq(c.calls, 1);
	ck_assert_int_eq(d.calls, 0);
	ck_assert(take(PW_DNS_FRAME_QUERY, &got));
	answer(got.e[0].qid, "one.test", PW_DNS_OK);
	rounds(2);
	ck_assert_int_eq(d.calls, 1);
}
END_TEST

/* A callback that asks nonsense for ever does not keep the round going. */
START_TEST(test_endless)
{
	struct asker a = {.then_ask = "a..b", .then_asker = &a};

	ask(&a, "a..b", 5000);
	rounds(5);
	ck_assert_int_ge(a.calls, 2);
	ck_assert_int_le(a.calls, 6);
	a.then_ask = NULL;
	rounds(1);
}
END_TEST

/* By an answer, by a deadline, by a bad name. */
START_TEST(test_free_in_callback)
{
	struct asker a = {.then_free = true}, b = {0}, c = {0};
	struct asked got;

	ask(&a, _i == 2 ? "a..b" : "one.test", _i == 1 ? 10 : 5000);
	ask(&b, "one.test", 5000);
	ask(&c, "two.test", 5000);
	rounds(1);
	ck_assert(_i == 2 || take(PW_DNS_FRAME_QUERY, &got));
	if (_i == 0)
		answer(got.e[0].qid, "one.test", PW_DNS_OK);
	else
		usleep(15000);
	rounds(3);
	ck_assert_int_eq(a.calls, 1);
	ck_assert_int_eq(b.calls + c.calls, 0);
	ck_assert_ptr_null(client);
}
END_TEST

START_TEST(test_free_open)
{
	static struct asker a[1000];
	char name[32];

	for (size_t i = 0; i < PW_COUNT(a); i++) {
		(void)snprintf(
		    name, sizeof(name), "n%zu.%stest", i / 2, i % 5 ? "" : ".");
		ask(&a[i], name, 5000);
		if (i == 900)
			rounds(1);
	}
	pw_dns_client_free(&client);
	rounds(2);
}
END_TEST

/* ---- the channel ------------------------------------------------------- */

static int losses;

static void
on_loss(void *arg)
{
	losses++;
	if (arg != NULL)
		new_channel();
}

START_TEST(test_lost)
{
	struct asker a = {0}, b = {0}, c = {0};
	struct asked got;

	losses = 0;
	pw_dns_client_on_loss(client, on_loss, NULL);
	ask(&a, "one.test", 5000);
	rounds(1);
	ask(&b, "two.test", 5000);
	close(peer);
	peer = -1;
	rounds(3);
	ck_assert_int_eq(losses, 1);
	ck_assert_int_eq(a.calls, 1);
	ck_assert_uint_eq(a.status, PW_DNS_SERVFAIL);
	ck_assert_int_eq(b.calls, 1);
	ck_assert_uint_eq(b.status, PW_DNS_SERVFAIL);
	/* None: at once, but not inside. */
	ask(&c, "three.test", 5000);
	rounds(1);
	ck_assert_uint_eq(c.status, PW_DNS_SERVFAIL);
	/* A new one. */
	new_channel();
	ask(&a, "one.test", 5000);
	rounds(1);
	ck_assert(take(PW_DNS_FRAME_QUERY, &got));
	answer(got.e[0].qid, "one.test", PW_DNS_OK);
	rounds(2);
	ck_assert_int_eq(a.calls, 2);
	ck_assert_uint_eq(a.status, PW_DNS_OK);
}
END_TEST

START_TEST(test_replaced)
{
	struct asker a = {0}, b = {0}, c = {0};
	struct asked got;
	int old = peer;

	ask(&a, "one.test", 5000);
	rounds(1);
	ask(&b, "two.test", 5000);
	new_channel();
	/* What had not left goes over the new one. */
	rounds(2);
	ck_assert_int_eq(a.calls, 1);
	ck_assert_uint_eq(a.status, PW_DNS_SERVFAIL);
	ck_assert_int_eq(b.calls, 0);
	ck_assert(take(PW_DNS_FRAME_QUERY, &got));
	ck_assert_uint_eq(got.count, 1);
	ck_assert_str_eq(got.e[0].name, "two.test");
	close(old);
	rounds(2);
	ck_assert_int_eq(b.calls, 0);

	ask(&c, "three.test", 5000);
	pw_dns_client_channel(client, -1);
	rounds(1);
	ck_assert_uint_eq(b.status, PW_DNS_SERVFAIL);
	ck_assert_uint_eq(c.status, PW_DNS_SERVFAIL);
}
END_TEST

enum garbage {
	WRONG_TYPE,
	EMPTY,
	CUT,
	TRAILING,
	HUGE_COUNT,
	OTHER_NAME,
	OTHER_TYPE,
	NOT_ASKED_YET,
	GARBAGES
};

static void
make_garbage(struct pw_enc *e, enum garbage what, uint32_t qid)
{
	struct pw_dns_answer mx = {
	    "one.test", PW_DNS_MX, PW_DNS_NODATA, false, 0, 0, 0, NULL};

	if (what == EMPTY)
		return;
	pw_enc_u32(e, what == HUGE_COUNT ? UINT32_MAX : 1);
	if (what == OTHER_TYPE) {
		pw_enc_u32(e, qid);
		pw_dns_answer_enc(e, &mx);
	} else {
		enc_answer(e, qid, what == OTHER_NAME ? "two.test" : "one.test",
		    PW_DNS_OK);
	}
	if (what == TRAILING)
		pw_enc_u8(e, 0);
	if (what == CUT)
		e->sb.len -= 3;
}

/* Nonsense closes the channel: SERVFAIL for all, and a new one heals. */
START_TEST(test_garbage)
{
	struct asker a = {0}, b = {0};
	struct asked got;
	struct pw_enc e;
	int old = peer;

	losses = 0;
	pw_dns_client_on_loss(client, on_loss, &losses);
	pw_enc_init(&e, 4096);
	ask(&a, "one.test", 5000);
	ask(&b, "three.test", 5000);
	rounds(1);
	ck_assert(take(PW_DNS_FRAME_QUERY, &got));
	if (_i == NOT_ASKED_YET) {
		pw_dns_cancel(&a.q);
		ask(&a, "one.test", 5000);
		/* Takes the slot again, under the id that comes next. */
		make_garbage(&e, NOT_ASKED_YET, got.e[0].qid + PW_DNS_MAX_OPEN);
	} else {
		make_garbage(&e, (enum garbage)_i, got.e[0].qid);
	}
	send_body(_i == WRONG_TYPE ? PW_DNS_FRAME_QUERY : PW_DNS_FRAME_ANSWER,
	    pw_enc_done(&e));
	pw_enc_free(&e);
	rounds(3);
	ck_assert_int_eq(losses, 1);
	ck_assert_int_ne(old, peer);
	close(old);
	if (_i != NOT_ASKED_YET) {
		ck_assert_int_eq(a.calls, 1);
		/* What stands before the nonsense counts. */
		ck_assert_uint_eq(
		    a.status, _i == TRAILING ? PW_DNS_OK : PW_DNS_SERVFAIL);
	}
	ck_assert_int_eq(b.calls, 1);
	ck_assert_uint_eq(b.status, PW_DNS_SERVFAIL);

	pw_dns_cancel(&a.q);
	ask(&a, "again.test", 5000);
	rounds(1);
	ck_assert(take(PW_DNS_FRAME_QUERY, &got));
}
END_TEST

/* Bits turned in good frames: no answer twice, none lost, no crash. */
START_TEST(test_fuzzed)
{
	struct pw_enc e;

	losses = 0;
	pw_dns_client_on_loss(client, on_loss, &losses);
	pw_enc_init(&e, 4096);
	for (unsigned n = 0; n < 600; n++) {
		struct asker a = {0}, b = {0};
		struct asked got;
		int was = peer, before = losses;

		ask(&a, "one.test", 5000);
		ask(&b, "two.test", 5000);
		rounds(1);
		ck_assert(take(PW_DNS_FRAME_QUERY, &got));
		pw_enc_reset(&e);
		pw_enc_u32(&e, 2);
		enc_answer(&e, got.e[0].qid, "one.test", PW_DNS_OK);
		enc_answer(&e, got.e[1].qid, "two.test", PW_DNS_NODATA);
		e.sb.ptr[n % e.sb.len] ^= (char)(1 << n / 8 % 8);
		send_body(PW_DNS_FRAME_ANSWER, pw_enc_done(&e));
		rounds(2);
		if (losses > before)
			close(was);
		ck_assert_int_le(a.calls, 1);
		ck_assert_int_le(b.calls, 1);
		pw_dns_cancel(&a.q);
		pw_dns_cancel(&b.q);
		rounds(1);
		while (take(PW_DNS_FRAME_CANCEL, &got) && got.count < 2)
			;
		if (n % 8 == 7)
			new_channel();
	}
	pw_enc_free(&e);
}
END_TEST

Suite *
pw_suite_dns_client_channel(void)
{
	Suite *s = suite_create("dns/client_channel");
	TCase *tc = tcase_create("client_channel");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_in_callback);
	tcase_add_test(tc, test_endless);
	tcase_add_loop_test(tc, test_free_in_callback, 0, 3);
	tcase_add_test(tc, test_free_open);
	tcase_add_test(tc, test_lost);
	tcase_add_test(tc, test_replaced);
	tcase_add_loop_test(tc, test_garbage, 0, GARBAGES);
	tcase_add_test(tc, test_fuzzed);
	suite_add_tcase(s, tc);
	return s;
}
