/* SPDX-License-Identifier: ISC */
/* Unit tests of server/net/conn without TLS.  Most run over a UNIX socket pair
 * and over TCP. */
#include <check.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/pool.h"
#include "conn_help.h"

Suite *pw_suite_net_conn(void);

static void
reset_peer(void)
{
	struct linger hard = { .l_onoff = 1 };

	ck_assert_int_eq(setsockopt(cl_peer, SOL_SOCKET, SO_LINGER, &hard,
			     sizeof(hard)),
	    0);
	close(cl_peer);
	cl_peer = -1;
}

START_TEST(reads_and_writes)
{
	cl_open(_i);
	cl_owner.echo = true;
	cl_send("one");
	ck_assert_str_eq(cl_received(), "one");
	cl_send("two");
	ck_assert_str_eq(cl_received(), "two");
	ck_assert_str_eq(cl_data(), "onetwo");
	ck_assert_uint_eq(pw_conn_bytes_in(cl_conn), 6);
	ck_assert_uint_eq(pw_conn_bytes_out(cl_conn), 6);
	ck_assert_uint_eq(pw_conn_unsent(cl_conn), 0);
	ck_assert_ptr_null(pw_conn_ssl(cl_conn));
	ck_assert_str_eq(pw_conn_tls_error(cl_conn), "");
	ck_assert_str_eq(cl_ends(), "");
	cl_close();
}
END_TEST

START_TEST(keeps_what_is_not_consumed)
{
	cl_open(_i);
	cl_owner.consume = CONSUME_LINES;
	for (const char *p = "EHLO x\r\nMAIL"; *p != '\0'; p++) {
		char one[2] = { *p, '\0' };
		cl_send(one);
		cl_rounds(1);
	}
	ck_assert_str_eq(cl_data(), "EHLO x\r\n");
	ck_assert_uint_eq(pw_conn_kept(cl_conn), 4);
	cl_send(" FROM\r\nRC");
	cl_rounds(2);
	ck_assert_str_eq(cl_data(), "EHLO x\r\nMAIL FROM\r\n");
	ck_assert_uint_eq(pw_conn_kept(cl_conn), 2);
	cl_close();
}
END_TEST

/* One line at a time, paused behind each, resumed later: a pipelined batch
 * comes out in order and its replies leave. */
START_TEST(pauses_and_resumes)
{
	cl_open(_i);
	cl_owner.consume = CONSUME_ONE_LINE;
	cl_owner.pause_after = true;
	cl_owner.echo = true;
	cl_send("a\nb\nc\nd");
	cl_rounds(3);
	ck_assert_str_eq(cl_data(), "a\n");
	ck_assert_uint_eq(pw_conn_kept(cl_conn), 5);
	ck_assert_str_eq(cl_received(), "a\n");
	pw_conn_resume(cl_conn);
	/* Not from inside the call. */
	ck_assert_str_eq(cl_data(), "a\n");
	cl_rounds(1);
	ck_assert_str_eq(cl_data(), "a\nb\n");
	/* New input while paused is not offered. */
	cl_send("x\n");
	cl_rounds(3);
	ck_assert_str_eq(cl_data(), "a\nb\n");
	ck_assert_uint_eq(cl_owner.calls, 2);
	for (int i = 0; i < 3; i++) {
		pw_conn_resume(cl_conn);
		cl_rounds(2);
	}
	ck_assert_str_eq(cl_data(), "a\nb\nc\ndx\n");
	ck_assert_str_eq(cl_received(), "b\nc\ndx\n");
	/* Paused again before the round's end: nothing is offered. */
	cl_owner.consume = CONSUME_NOTHING;
	pw_conn_resume(cl_conn);
	cl_send("rest");
	cl_rounds(2);
	unsigned calls = cl_owner.calls;
	pw_conn_resume(cl_conn);
	pw_conn_pause(cl_conn);
	cl_rounds(2);
	ck_assert_uint_eq(cl_owner.calls, calls);
	ck_assert_uint_eq(pw_conn_kept(cl_conn), 4);
	cl_close();
}
END_TEST

/* A connection that is paused while its peer sends must not wake the loop
 * again and again. */
START_TEST(a_paused_connection_does_not_spin)
{
	cl_open(_i);
	pw_conn_pause(cl_conn);
	cl_send("waiting");
	shutdown(cl_peer, SHUT_WR);
	cl_rounds(3);
	uint64_t begin = pw_clock_mono_ms();
	pw_loop_step(cl_loop, 50);
	ck_assert_uint_ge(pw_clock_mono_ms() - begin, 45);
	ck_assert_uint_eq(cl_owner.calls, 0);
	ck_assert_str_eq(cl_ends(), "");
	pw_conn_resume(cl_conn);
	cl_rounds(3);
	ck_assert_str_eq(cl_data(), "waiting");
	ck_assert_str_eq(cl_ends(), "E");
	cl_close();
}
END_TEST

START_TEST(keeps_no_more_than_its_bound)
{
	char big[5000];

	cl_open(_i);
	cl_owner.consume = CONSUME_NOTHING;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	cl_send(big);
	cl_rounds(5);
	ck_assert_uint_eq(pw_conn_kept(cl_conn), CL_KEEP);
	ck_assert_uint_eq(cl_owner.last_in, CL_KEEP);
	ck_assert_uint_eq(pw_conn_bytes_in(cl_conn), CL_KEEP);
	cl_owner.consume = CONSUME_ALL;
	pw_conn_resume(cl_conn);
	cl_rounds(10);
	ck_assert_uint_eq(cl_owner.data.len, sizeof(big) - 1);
	cl_close();
}
END_TEST

/* One that sends much does not keep others waiting: a bounded piece a round. */
START_TEST(reads_a_bounded_amount_a_round)
{
	char *big = pw_xcalloc(1, 150000);

	cl_open_sized(false, 20000, CL_OUT);
	memset(big, 'x', 100000);
	ck_assert_int_eq(send(cl_peer, big, 100000, MSG_NOSIGNAL), 100000);
	pw_loop_step(cl_loop, 100);
	ck_assert_uint_eq(cl_owner.data.len, 20000);
	for (int i = 0; i < 10; i++)
		pw_loop_step(cl_loop, 1);
	ck_assert_uint_eq(cl_owner.data.len, 100000);
	free(big);
	cl_close();
}
END_TEST

START_TEST(end_of_file)
{
	cl_open(_i);
	cl_owner.consume = CONSUME_LINES;
	cl_send("a\nrest");
	close(cl_peer);
	cl_peer = -1;
	cl_until_ends(1);
	ck_assert_str_eq(cl_data(), "a\n");
	ck_assert_str_eq(cl_ends(), "E");
	ck_assert_uint_eq(pw_conn_kept(cl_conn), 4);
	cl_rounds(3);
	ck_assert_str_eq(cl_ends(), "E");
	cl_close();
}
END_TEST

/* The peer closed its side only: it still gets its replies. */
START_TEST(half_close)
{
	cl_open(_i);
	cl_owner.consume = CONSUME_ONE_LINE;
	cl_owner.pause_after = true;
	cl_owner.echo = true;
	cl_send("a\nb\n");
	shutdown(cl_peer, SHUT_WR);
	cl_rounds(3);
	/* Held back: not all input was offered. */
	ck_assert_str_eq(cl_ends(), "");
	pw_conn_resume(cl_conn);
	cl_rounds(3);
	/* All was, and the peer's end is noticed although paused. */
	ck_assert_str_eq(cl_data(), "a\nb\n");
	ck_assert_str_eq(cl_ends(), "E");
	ck_assert_str_eq(cl_received(), "a\nb\n");
	pw_conn_write(cl_conn, PW_LIT("bye\n"));
	pw_conn_close_after_flush(cl_conn);
	ck_assert_str_eq(cl_received(), "bye\n");
	ck_assert_str_eq(cl_ends(), "ED");
	cl_close();
}
END_TEST

/* A peer that goes away while the owner waits for something else. */
START_TEST(hang_up_while_paused)
{
	cl_open(_i);
	cl_owner.free_on_end = true;
	pw_conn_pause(cl_conn);
	cl_rounds(1);
	close(cl_peer);
	cl_peer = -1;
	cl_until_ends(1);
	ck_assert_str_eq(cl_ends(), "E");
	ck_assert_ptr_null(cl_conn);
	cl_close();
}
END_TEST

/* Hang-up behind input that the owner is not ready for: all comes in order. */
START_TEST(hang_up_behind_input)
{
	cl_open(_i);
	pw_conn_pause(cl_conn);
	cl_send("data");
	close(cl_peer);
	cl_peer = -1;
	cl_rounds(4);
	ck_assert_str_eq(cl_ends(), "");
	pw_conn_resume(cl_conn);
	cl_until_ends(1);
	ck_assert_str_eq(cl_data(), "data");
	ck_assert_str_eq(cl_ends(), "E");
	cl_close();
}
END_TEST

START_TEST(reset)
{
	cl_open(true);
	cl_owner.free_on_end = _i & 1;
	if (_i & 2)
		pw_conn_pause(cl_conn);
	cl_rounds(1);
	reset_peer();
	cl_until_ends(1);
	ck_assert_str_eq(cl_ends(), "R");
	cl_rounds(2);
	ck_assert_str_eq(cl_ends(), "R");
	ck_assert_int_eq(cl_conn == NULL, _i & 1);
	if (cl_conn != NULL) {
		/* Nothing more happens with it, whatever the owner does. */
		pw_conn_write(cl_conn, PW_LIT("x"));
		pw_conn_resume(cl_conn);
		pw_conn_want_drained(cl_conn);
		pw_conn_close_after_flush(cl_conn);
		cl_rounds(2);
		ck_assert_str_eq(cl_ends(), "R");
	}
	cl_close();
}
END_TEST

START_TEST(reset_after_half_close)
{
	cl_open(true);
	shutdown(cl_peer, SHUT_WR);
	cl_until_ends(1);
	ck_assert_str_eq(cl_ends(), "E");
	reset_peer();
	cl_until_ends(2);
	if (strcmp(cl_ends(), "E") == 0) {
		/* At the latest the next write finds out. */
		pw_conn_write(cl_conn, PW_LIT("x"));
		cl_until_ends(2);
	}
	ck_assert_str_eq(cl_ends(), "ER");
	cl_close();
}
END_TEST

START_TEST(replies_leave_together)
{
	char buf[100];

	cl_open(_i);
	pw_conn_write(cl_conn, PW_LIT("a"));
	pw_conn_write(cl_conn, PW_LIT("b"));
	ck_assert_uint_eq(pw_conn_unsent(cl_conn), 2);
	ck_assert_int_eq(recv(cl_peer, buf, sizeof(buf), 0), -1);
	pw_conn_write(cl_conn, PW_BYTES_NONE);
	ck_assert_str_eq(cl_received(), "ab");
	cl_close();
}
END_TEST

/* A slow reader gets every byte in order; more than the bound ends it. */
START_TEST(slow_reader)
{
	enum { N = 200000 };
	char *big = pw_xcalloc(1, N), *got = pw_xcalloc(1, N + 1);
	int small = 32768;
	size_t have = 0;

	cl_open(_i);
	(void)setsockopt(cl_peer, SOL_SOCKET, SO_RCVBUF, &small,
	    sizeof(small));
	(void)setsockopt(pw_conn_fd(cl_conn), SOL_SOCKET, SO_SNDBUF, &small,
	    sizeof(small));
	for (size_t i = 0; i < N; i++)
		big[i] = (char)('a' + i % 23);
	pw_conn_write(cl_conn, pw_bytes(big, N));
	pw_conn_want_drained(cl_conn);
	cl_rounds(3);
	ck_assert_uint_gt(pw_conn_unsent(cl_conn), 0);
	ck_assert_str_eq(cl_ends(), "");
	for (int i = 0; i < 20000 && have < N; i++) {
		ssize_t n = recv(cl_peer, got + have, N - have, 0);
		have += n > 0 ? (size_t)n : 0;
		pw_loop_step(cl_loop, 1);
	}
	ck_assert_uint_eq(have, N);
	ck_assert_mem_eq(big, got, N);
	ck_assert_uint_eq(pw_conn_unsent(cl_conn), 0);
	cl_rounds(1);
	ck_assert_str_eq(cl_ends(), "D");
	free(big);
	free(got);
	cl_close();
}
END_TEST

START_TEST(a_peer_that_does_not_read)
{
	char *big = pw_xcalloc(1, 100000);
	int i = 0;

	cl_open(_i);
	for (; i < 10000 && cl_owner.ends.len == 0; i++) {
		pw_conn_write(cl_conn, pw_bytes(big, 100000));
		pw_loop_step(cl_loop, 0);
	}
	ck_assert_str_eq(cl_ends(), "O");
	ck_assert_int_gt(i, CL_OUT / 100000);
	free(big);
	cl_close();
}
END_TEST

/* More than the bound in one round is no fault of a peer that does read. */
START_TEST(much_at_once)
{
	cl_open_sized(_i, CL_KEEP, 1000);
	for (int i = 0; i < 10; i++) {
		char text[501];
		memset(text, 'a' + i, 500);
		text[500] = '\0';
		pw_conn_write(cl_conn, pw_bytes(text, 500));
	}
	ck_assert_uint_eq(strlen(cl_received()), 5000);
	ck_assert_str_eq(cl_ends(), "");
	/* What can never fit is ours to know. */
	char huge[1001] = { 0 };
	pw_conn_write(cl_conn, pw_bytes(huge, 1001));
	ck_assert_str_eq(cl_ends(), "");
	cl_rounds(1);
	ck_assert_str_eq(cl_ends(), "O");
	cl_close();
}
END_TEST

START_TEST(closes_after_flush)
{
	char buf[10];

	cl_open(_i);
	cl_owner.free_on_drained = true;
	pw_conn_write(cl_conn, PW_LIT("421 bye\r\n"));
	pw_conn_close_after_flush(cl_conn);
	/* What the peer still says is thrown away, and does not turn the end
	 * into a reset that would overtake the reply. */
	cl_send("more\r\nmore\r\n");
	cl_until_ends(1);
	ck_assert_str_eq(cl_ends(), "D");
	ck_assert_ptr_null(cl_conn);
	ck_assert_uint_eq(cl_owner.calls, 0);
	ck_assert_str_eq(cl_received(), "421 bye\r\n");
	ck_assert_int_eq(recv(cl_peer, buf, sizeof(buf), 0), 0);
	cl_close();
}
END_TEST

START_TEST(closing_inside_on_data)
{
	cl_open(_i);
	cl_owner.consume = CONSUME_ONE_LINE;
	cl_send("QUIT\nMAIL\n");
	pw_loop_step(cl_loop, 100);
	pw_conn_close_after_flush(cl_conn);
	cl_rounds(2);
	ck_assert_uint_eq(pw_conn_kept(cl_conn), 0);
	ck_assert_str_eq(cl_data(), "QUIT\n");
	ck_assert_str_eq(cl_ends(), "D");
	/* The owner does not free it at once: nothing more happens. */
	reset_peer();
	cl_rounds(3);
	pw_conn_write(cl_conn, PW_LIT("x"));
	cl_rounds(1);
	ck_assert_str_eq(cl_ends(), "D");
	cl_close();
}
END_TEST

START_TEST(can_be_freed_in_callbacks)
{
	cl_open(_i & 1);
	cl_owner.consume = _i & 2 ? CONSUME_NOTHING : CONSUME_ALL;
	cl_owner.echo = true;
	cl_rounds(1);
	/* First with input from the scratch buffer, then with kept input. */
	cl_send("abc");
	if (_i & 4)
		cl_rounds(2);
	cl_owner.free_on_data = true;
	if (_i & 4)
		cl_send("def");
	cl_rounds(3);
	ck_assert_ptr_null(cl_conn);
	ck_assert_str_eq(cl_ends(), "");
	cl_close();
}
END_TEST

START_TEST(freed_with_work_to_do)
{
	cl_open(_i);
	pw_conn_write(cl_conn, PW_LIT("never sent"));
	pw_conn_want_drained(cl_conn);
	pw_conn_resume(cl_conn);
	pw_conn_free(&cl_conn);
	pw_conn_free(&cl_conn);
	cl_rounds(2);
	ck_assert_str_eq(cl_ends(), "");
	ck_assert_str_eq(cl_received(), "");
	cl_close();
}
END_TEST

static size_t
never(struct pw_conn *c, struct pw_bytes in)
{
	(void)c;
	ck_abort_msg("%zu bytes offered", in.len);
	return 0;
}

/* 1,000 idle connections, after some traffic, own less than 1 KB each. */
START_TEST(idle_ones_are_small)
{
	enum { N = 400 };
	static const struct pw_conn_ops idle = { .on_data = never };
	static struct pw_conn *c[N];
	static int peer[N];

	cl_open(false);
	struct mallinfo2 before = mallinfo2();
	for (int i = 0; i < N; i++) {
		int fds[2];
		char buf[1000];
		ck_assert_int_eq(socketpair(AF_UNIX,
				     SOCK_STREAM | SOCK_NONBLOCK, 0, fds),
		    0);
		peer[i] = fds[1];
		c[i] = pw_conn_new(cl_loop, fds[0], &idle, NULL, 65536, 65536);
		memset(buf, 'x', sizeof(buf));
		pw_conn_write(c[i], pw_bytes(buf, sizeof(buf)));
		pw_loop_step(cl_loop, 0);
		ck_assert_int_eq(recv(peer[i], buf, sizeof(buf), 0),
		    (ssize_t)sizeof(buf));
	}
	struct mallinfo2 after = mallinfo2();
	/* Zero under sanitizers, which have a heap of their own. */
	ck_assert_uint_lt((after.uordblks - before.uordblks) / N, 1000);
	for (int i = 0; i < N; i++) {
		pw_conn_free(&c[i]);
		close(peer[i]);
	}
	cl_close();
}
END_TEST

START_TEST(cannot_watch_a_file)
{
	static const struct pw_conn_ops idle = { .on_data = never };

	cl_open(false);
	FILE *f = tmpfile();
	ck_assert_ptr_null(pw_conn_new(cl_loop, dup(fileno(f)), &idle, NULL,
	    100, 100));
	fclose(f);
	cl_close();
}
END_TEST

Suite *
pw_suite_net_conn(void)
{
	Suite *s = suite_create("net/conn");
	TCase *tc = tcase_create("conn");

	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, reads_and_writes, 0, 2);
	tcase_add_loop_test(tc, keeps_what_is_not_consumed, 0, 2);
	tcase_add_loop_test(tc, pauses_and_resumes, 0, 2);
	tcase_add_loop_test(tc, a_paused_connection_does_not_spin, 0, 2);
	tcase_add_loop_test(tc, keeps_no_more_than_its_bound, 0, 2);
	tcase_add_test(tc, reads_a_bounded_amount_a_round);
	tcase_add_loop_test(tc, end_of_file, 0, 2);
	tcase_add_loop_test(tc, half_close, 0, 2);
	tcase_add_loop_test(tc, hang_up_while_paused, 0, 2);
	tcase_add_loop_test(tc, hang_up_behind_input, 0, 2);
	tcase_add_loop_test(tc, reset, 0, 4);
	tcase_add_test(tc, reset_after_half_close);
	tcase_add_loop_test(tc, replies_leave_together, 0, 2);
	tcase_add_loop_test(tc, slow_reader, 0, 2);
	tcase_add_loop_test(tc, a_peer_that_does_not_read, 0, 2);
	tcase_add_loop_test(tc, much_at_once, 0, 2);
	tcase_add_loop_test(tc, closes_after_flush, 0, 2);
	tcase_add_loop_test(tc, closing_inside_on_data, 0, 2);
	tcase_add_loop_test(tc, can_be_freed_in_callbacks, 0, 8);
	tcase_add_loop_test(tc, freed_with_work_to_do, 0, 2);
	tcase_add_test(tc, idle_ones_are_small);
	tcase_add_test(tc, cannot_watch_a_file);
	suite_add_tcase(s, tc);
	return s;
}
