/* SPDX-License-Identifier: ISC */
/*
 * The resolve role's side of the channel, spoken to by hand: its deadlines, its
 * bounds, and what it does with nonsense.
 */
#include "real.h"

Suite *pw_suite_dns_resolver_channel(void);

static int
raw_channel(void)
{
	struct pw_err err;
	int fds[2];

	ck_assert_int_eq(pw_ipc_pair(fds, &err), 0);
	ck_assert_int_eq(pw_resolver_serve(resolver, fds[1]), 0);
	return fds[0];
}

static void
enc_query(struct pw_enc *e, uint32_t qid, uint32_t ms, const char *name)
{
	pw_enc_u32(e, qid);
	pw_enc_u16(e, PW_DNS_A);
	pw_enc_u32(e, ms);
	pw_enc_str(e, name);
}

static int
raw_send(int fd, uint16_t type, struct pw_enc *e)
{
	struct pw_err err;
	int rc =
	    pw_ipc_send_wait(fd, type, 0, pw_enc_done(e), NULL, 0, 1000, &err);

	pw_enc_reset(e);
	return rc;
}

/* Steps the loop until a frame comes; the number of answers with STATUS in it,
 * or -1 when the channel ended or nothing came. */
static int
raw_answers(int fd, uint8_t status, unsigned ms)
{
	uint64_t end = pw_clock_mono_ms() + ms;
	struct pw_frame f;
	struct pw_err err;
	struct pw_dec d;
	char *body;
	int n = 0;

	while (pw_ipc_recv_wait(fd, &f, &body, 0, &err) != 0) {
		if (pw_clock_mono_ms() >= end)
			return -1;
		pw_loop_step(loop, 5);
	}
	ck_assert_uint_eq(f.type, PW_DNS_FRAME_ANSWER);
	pw_dec_init(&d, f.body);
	for (uint32_t left = pw_dec_u32(&d); left > 0; left--) {
		(void)pw_dec_u32(&d);
		struct pw_dns_answer *a = pw_dns_answer_dec(&d, pool);
		ck_assert_ptr_nonnull(a);
		n += a->status == status;
	}
	ck_assert_int_eq(pw_dec_end(&d), 0);
	free(body);
	return n;
}

/* The role's own deadline, and that asking again moves it. */
START_TEST(test_raw_deadline)
{
	uint64_t start = pw_clock_mono_ms();
	struct pw_enc e;
	int fd = raw_channel();

	pw_enc_init(&e, 4096);
	pw_enc_u32(&e, 1);
	enc_query(&e, 5, 100, "z.dead.test");
	ck_assert_int_eq(raw_send(fd, PW_DNS_FRAME_QUERY, &e), 0);
	pw_loop_step(loop, 0);
	pw_enc_u32(&e, 1);
	enc_query(&e, 5, 300, "z.dead.test");
	ck_assert_int_eq(raw_send(fd, PW_DNS_FRAME_QUERY, &e), 0);
	ck_assert_int_eq(raw_answers(fd, PW_DNS_TIMEOUT, 3000), 1);
	ck_assert_uint_ge(pw_clock_mono_ms() - start, 250);
	ck_assert_uint_eq(stats().timeouts, 1);
	ck_assert_uint_eq(stats().asked, 1);
	pw_enc_free(&e);
	close(fd);
}
END_TEST

/* The bound of a channel; then the bound of all, with a second one. */
START_TEST(test_raw_full)
{
	struct pw_enc e;
	char name[32];
	int fd = raw_channel(), other = raw_channel();
	uint32_t qid = 0;

	pw_enc_init(&e, 64 * 1024);
	while (qid < PW_DNS_MAX_OPEN) {
		pw_enc_u32(&e, 64);
		for (int i = 0; i < 64; i++, qid++) {
			(void)snprintf(
			    name, sizeof(name), "q%u.dead.test", qid % 50);
			enc_query(&e, qid, 60000, name);
		}
		ck_assert_int_eq(raw_send(fd, PW_DNS_FRAME_QUERY, &e), 0);
		pw_loop_step(loop, 0);
	}
	ck_assert_uint_eq(stats().running, PW_DNS_MAX_OPEN);
	pw_enc_u32(&e, 1);
	enc_query(&e, qid, 60000, "a.test");
	ck_assert_int_eq(raw_send(fd, PW_DNS_FRAME_QUERY, &e), 0);
	ck_assert_int_eq(raw_answers(fd, PW_DNS_SERVFAIL, 1000), 1);
	ck_assert_uint_eq(stats().refused, 1);

	pw_enc_u32(&e, 1);
	enc_query(&e, 1, 5000, "a.test");
	ck_assert_int_eq(raw_send(other, PW_DNS_FRAME_QUERY, &e), 0);
	ck_assert_int_eq(raw_answers(other, PW_DNS_OK, 5000), 1);
	/* The channel goes, its questions run on. */
	close(fd);
	pw_loop_step(loop, 0);
	pw_loop_step(loop, 0);
	ck_assert_uint_eq(stats().running, PW_DNS_MAX_OPEN);
	ck_assert_uint_eq(stats().channels, 2);
	pw_enc_free(&e);
	close(other);
}
END_TEST

enum raw_garbage {
	WRONG_TYPE,
	EMPTY,
	CUT,
	TRAILING,
	HUGE_COUNT,
	UPPER_NAME,
	BAD_NAME,
	OTHER_QUESTION,
	RAW_GARBAGES
};

START_TEST(test_raw_garbage)
{
	static const char *const odd[RAW_GARBAGES] = {
	    [UPPER_NAME] = "B.test",
	    [BAD_NAME] = "b..test",
	    [OTHER_QUESTION] = "b.dead.test",
	};
	uint16_t type =
	    _i == WRONG_TYPE ? PW_DNS_FRAME_ANSWER : PW_DNS_FRAME_QUERY;
	struct pw_enc e;
	int fd = raw_channel();

	pw_enc_init(&e, 4096);
	if (_i != EMPTY) {
		pw_enc_u32(&e, _i == HUGE_COUNT ? UINT32_MAX : 2);
		enc_query(&e, 7, 5000, "a.dead.test");
		enc_query(&e, _i == OTHER_QUESTION ? 7 : 8, 5000,
		    odd[_i] != NULL ? odd[_i] : "b.dead.test");
	}
	if (_i == TRAILING)
		pw_enc_u8(&e, 0);
	if (_i == CUT)
		e.sb.len--;
	ck_assert_int_eq(raw_send(fd, type, &e), 0);
	ck_assert_int_eq(raw_answers(fd, PW_DNS_OK, 50), -1);
	ck_assert_uint_eq(stats().channels, 1);
	ck_assert_uint_eq(stats().garbage, 1);
	ck_assert_int_eq(raw_send(fd, PW_DNS_FRAME_CANCEL, &e), -1);
	pw_enc_free(&e);
	close(fd);
	/* The others do not notice. */
	ck_assert_uint_eq(ask("a.test", PW_DNS_A)->status, PW_DNS_OK);
}
END_TEST

START_TEST(test_channels)
{
	struct pw_err err;
	int fds[2], open_fds[300];
	size_t n = 0;

	while (n < PW_COUNT(open_fds)) {
		ck_assert_int_eq(pw_ipc_pair(fds, &err), 0);
		open_fds[n++] = fds[0];
		if (pw_resolver_serve(resolver, fds[1]) != 0)
			break;
	}
	ck_assert_uint_eq(n, 256); /* the client has one */
	while (n > 0)
		close(open_fds[--n]);
	for (int i = 0; i < 5; i++)
		pw_loop_step(loop, 0);
	ck_assert_uint_eq(stats().channels, 1);
}
END_TEST

Suite *
pw_suite_dns_resolver_channel(void)
{
	Suite *s = suite_create("dns/resolver_channel");
	TCase *tc;

	if (!find_script()) {
		printf(
		    "dns/resolver_channel: no dnsd.sh or no knotd: skipped\n");
		return s;
	}
	tc = tcase_create("resolver_channel");
	tcase_set_timeout(tc, 60);
	tcase_add_unchecked_fixture(tc, start_server, stop_server);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_raw_deadline);
	tcase_add_test(tc, test_raw_full);
	tcase_add_loop_test(tc, test_raw_garbage, 0, RAW_GARBAGES);
	tcase_add_test(tc, test_channels);
	suite_add_tcase(s, tc);
	return s;
}
