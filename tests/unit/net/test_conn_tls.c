/* SPDX-License-Identifier: ISC */
/* Unit tests of server/net/conn under TLS: STARTTLS and what could be smuggled
 * past it, ends, floods of messages that carry no data. */
#include <check.h>
#include <malloc.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/pool.h"
#include "conn_help.h"

Suite *pw_suite_net_conn_tls(void);

static SSL_CTX *server_ctx, *client_ctx;
static SSL *client;
static char got[400000];

static void
set_up(void)
{
	server_ctx = cl_server_ctx();
	client_ctx = SSL_CTX_new(TLS_client_method());
	cl_open_sized(true, 20000, CL_OUT);
	cl_owner.consume = CONSUME_LINES;
	cl_owner.starttls = server_ctx;
	client = SSL_new(client_ctx);
	SSL_set_fd(client, cl_peer);
	SSL_set_connect_state(client);
}

static void
tear_down(void)
{
	SSL_free(client);
	cl_close();
	SSL_CTX_free(server_ctx);
	SSL_CTX_free(client_ctx);
	ERR_clear_error();
}

/* Runs the client's side of the handshake; whether it came to a good end. */
static bool
shake_hands(void)
{
	for (int i = 0; i < 200; i++) {
		int r = SSL_do_handshake(client);
		if (r == 1) {
			cl_rounds(3);
			return true;
		}
		int e = SSL_get_error(client, r);
		if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
			return false;
		cl_rounds(1);
	}
	return false;
}

static const char *
tls_received(void)
{
	cl_rounds(3);
	int n = SSL_read(client, got, sizeof(got) - 1);
	got[n > 0 ? n : 0] = '\0';
	return got;
}

static void
tls_send(const char *text)
{
	ck_assert_int_eq(SSL_write(client, text, (int)strlen(text)),
	    (int)strlen(text));
}

static void
start(const char *text)
{
	cl_send(text);
	ck_assert_str_eq(cl_received(), "220 go\r\n");
	ck_assert(shake_hands());
	ck_assert_str_eq(cl_ends(), cl_owner.starttls_on_drained ? "DH" : "H");
}

static void
use_version(int i)
{
	int v = i == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;

	SSL_set_min_proto_version(client, v);
	SSL_set_max_proto_version(client, v);
}

START_TEST(starts_tls)
{
	use_version(_i);
	ck_assert_ptr_null(pw_conn_ssl(cl_conn));
	start("STARTTLS\r\n");
	ck_assert_ptr_nonnull(pw_conn_ssl(cl_conn));
	ck_assert_int_eq(pw_conn_starttls(cl_conn, server_ctx), -1);
	/* Written before the handshake was done, sent after it. */
	ck_assert_str_eq(tls_received(), "late\r\n");
	cl_owner.echo = true;
	tls_send("EHLO x\r\nMA");
	ck_assert_str_eq(tls_received(), "EHLO x\r\n");
	ck_assert_uint_eq(pw_conn_kept(cl_conn), 2);
	tls_send("IL\r\n");
	ck_assert_str_eq(tls_received(), "MAIL\r\n");
	ck_assert_uint_gt(pw_conn_bytes_in(cl_conn), 200);
	ck_assert_uint_gt(pw_conn_bytes_out(cl_conn), 200);
	ck_assert_str_eq(cl_ends(), "H");
}
END_TEST

/* Commands behind STARTTLS in the same flight must never be obeyed, neither
 * before nor after the handshake (RFC 3207 section 4.2). */
static const char *const injected[] = { "STARTTLS\r\nRSET\r\n",
	"STARTTLS\r\nRSET\r\nMAIL", "STARTTLS\r\nR", "STARTTLS\r\n\r\n" };

START_TEST(forgets_what_came_before)
{
	cl_owner.starttls_on_drained = _i >= 4;
	start(injected[_i % 4]);
	ck_assert_uint_eq(pw_conn_kept(cl_conn), 0);
	cl_owner.echo = true;
	tls_send("EHLO x\r\n");
	cl_rounds(3);
	ck_assert_str_eq(cl_data(), "EHLO x\r\n");
}
END_TEST

/* The same bytes a moment later: they are taken for the client's part of the
 * handshake and end it. */
START_TEST(does_not_read_clear_text_in_the_handshake)
{
	cl_send("STARTTLS\r\n");
	ck_assert_str_eq(cl_received(), "220 go\r\n");
	cl_send("RSET\r\nMAIL FROM:<a@example.com>\r\n");
	cl_until_ends(1);
	ck_assert_str_eq(cl_ends(), "T");
	ck_assert_str_ne(pw_conn_tls_error(cl_conn), "");
	ck_assert_str_eq(cl_data(), "");
}
END_TEST

/* Input kept from before, when the owner begins TLS outside its callbacks. */
START_TEST(drops_kept_input)
{
	cl_owner.starttls = NULL;
	cl_send("RSET");
	cl_rounds(2);
	ck_assert_uint_eq(pw_conn_kept(cl_conn), 4);
	ck_assert_int_eq(pw_conn_starttls(cl_conn, server_ctx), 0);
	ck_assert_uint_eq(pw_conn_kept(cl_conn), 0);
	ck_assert(shake_hands());
	tls_send("x\r\n");
	cl_rounds(3);
	ck_assert_str_eq(cl_data(), "x\r\n");
}
END_TEST

/* Nor does what was resumed at that moment come back. */
START_TEST(drops_input_that_was_to_be_offered_again)
{
	cl_owner.starttls = NULL;
	cl_owner.pause_after = true;
	cl_owner.consume = CONSUME_ONE_LINE;
	cl_send("a\r\nRSET\r\n");
	cl_rounds(2);
	pw_conn_resume(cl_conn);
	ck_assert_int_eq(pw_conn_starttls(cl_conn, server_ctx), 0);
	ck_assert(shake_hands());
	tls_send("x\r\n");
	cl_rounds(3);
	ck_assert_str_eq(cl_data(), "a\r\nx\r\n");
}
END_TEST

START_TEST(first_command_with_the_last_flight)
{
	use_version(_i);
	cl_owner.echo = true;
	cl_send("STARTTLS\r\n");
	ck_assert_str_eq(cl_received(), "220 go\r\n");
	/* No round of the loop between the client's Finished and its first
	 * command. */
	for (int i = 0; i < 100 && SSL_do_handshake(client) != 1; i++)
		cl_rounds(1);
	tls_send("EHLO x\r\n");
	cl_rounds(5);
	ck_assert_str_eq(cl_data(), "EHLO x\r\n");
	ck_assert_str_eq(cl_ends(), "H");
}
END_TEST

/* Much data through few and small reads, both ways, with a slow reader. */
START_TEST(carries_much)
{
	enum { N = 250000 };
	char *big = pw_xcalloc(1, N + 1);
	int small = 32768, sent = 0;
	size_t have = 0;
	bool unsent = false;

	use_version(_i);
	(void)setsockopt(cl_peer, SOL_SOCKET, SO_RCVBUF, &small,
	    sizeof(small));
	(void)setsockopt(pw_conn_fd(cl_conn), SOL_SOCKET, SO_SNDBUF, &small,
	    sizeof(small));
	start("STARTTLS\r\n");
	(void)tls_received();
	cl_owner.echo = true;
	cl_owner.consume = CONSUME_ALL;
	SSL_set_mode(client, SSL_MODE_ENABLE_PARTIAL_WRITE);
	for (size_t i = 0; i < N; i++)
		big[i] = (char)('a' + i % 23);
	for (int i = 0; i < 20000 && have < N; i++) {
		if (sent < N) {
			int n = SSL_write(client, big + sent, N - sent);
			sent += n > 0 ? n : 0;
		}
		pw_loop_step(cl_loop, 1);
		unsent = unsent || pw_conn_unsent(cl_conn) > 0;
		if (i % 16 != 0)
			continue;
		int n = SSL_read(client, got + have, (int)(N - have));
		have += n > 0 ? (size_t)n : 0;
	}
	ck_assert(unsent);
	ck_assert_uint_eq(have, N);
	ck_assert_mem_eq(got, big, N);
	ck_assert_uint_eq(cl_owner.data.len, N);
	ck_assert_str_eq(cl_ends(), "H");
	free(big);
}
END_TEST

/* Records that OpenSSL holds already are offered without new events. */
START_TEST(pauses_and_resumes)
{
	use_version(_i);
	start("STARTTLS\r\n");
	cl_owner.consume = CONSUME_ONE_LINE;
	cl_owner.pause_after = true;
	tls_send("a\nb\n");
	tls_send("c\n");
	cl_rounds(3);
	ck_assert_str_eq(cl_data(), "a\n");
	tls_send("d\n");
	tls_send("e\n");
	cl_rounds(3);
	ck_assert_str_eq(cl_data(), "a\n");
	for (int i = 0; i < 4; i++) {
		pw_conn_resume(cl_conn);
		cl_rounds(3);
	}
	ck_assert_str_eq(cl_data(), "a\nb\nc\nd\ne\n");
}
END_TEST

START_TEST(keeps_no_more_than_its_bound)
{
	char *big = pw_xcalloc(1, 100001);
	size_t sent = 0;

	start("STARTTLS\r\n");
	cl_owner.consume = CONSUME_NOTHING;
	memset(big, 'x', 100000);
	SSL_set_mode(client, SSL_MODE_ENABLE_PARTIAL_WRITE);
	for (int i = 0; i < 20; i++) {
		int n = SSL_write(client, big + sent, (int)(100000 - sent));
		sent += n > 0 ? (size_t)n : 0;
		cl_rounds(1);
	}
	ck_assert_uint_eq(pw_conn_kept(cl_conn), 20000);
	cl_owner.consume = CONSUME_ALL;
	pw_conn_resume(cl_conn);
	cl_rounds(50);
	ck_assert_uint_eq(cl_owner.data.len, sent);
	free(big);
}
END_TEST

/* More than one read takes, all of it in OpenSSL's hands already. */
START_TEST(reads_what_epoll_does_not_see)
{
	char text[24001];

	start("STARTTLS\r\n");
	cl_owner.consume = CONSUME_ALL;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	tls_send(text);
	cl_rounds(20);
	ck_assert_uint_eq(cl_owner.data.len, sizeof(text) - 1);
}
END_TEST

/* With and without the peer's close_notify; reading and paused. */
START_TEST(end_of_file)
{
	use_version(_i & 1);
	start("STARTTLS\r\n");
	if (_i & 2) {
		pw_conn_pause(cl_conn);
	} else {
		tls_send("a\n");
	}
	if (_i & 4)
		ck_assert_int_eq(SSL_shutdown(client), 0);
	shutdown(cl_peer, SHUT_WR);
	cl_until_ends(2);
	ck_assert_str_eq(cl_ends(), "HE");
	ck_assert_str_eq(cl_data(), _i & 2 ? "" : "a\n");
	/* Half-closed: replies still leave. */
	(void)tls_received();
	pw_conn_write(cl_conn, PW_LIT("bye\n"));
	pw_conn_close_after_flush(cl_conn);
	ck_assert_str_eq(tls_received(), "bye\n");
	ck_assert_str_eq(cl_ends(), "HED");
}
END_TEST

/* Data and good-bye in one flight, while the owner takes a line at a time. */
START_TEST(end_of_file_behind_pipelined_input)
{
	use_version(_i);
	start("STARTTLS\r\n");
	cl_owner.consume = CONSUME_ONE_LINE;
	cl_owner.pause_after = true;
	/* What is unread at close() would turn it into a reset. */
	(void)tls_received();
	(void)tls_received();
	tls_send("a\nb\n");
	(void)SSL_shutdown(client);
	close(cl_peer);
	cl_peer = -1;
	SSL_set_quiet_shutdown(client, 1);
	cl_rounds(3);
	ck_assert_str_eq(cl_data(), "a\n");
	ck_assert_str_eq(cl_ends(), "H");
	pw_conn_resume(cl_conn);
	cl_until_ends(2);
	ck_assert_str_eq(cl_data(), "a\nb\n");
	ck_assert_str_eq(cl_ends(), "HE");
}
END_TEST

START_TEST(closes_after_flush)
{
	start("STARTTLS\r\n");
	(void)tls_received();
	cl_owner.free_on_drained = true;
	pw_conn_write(cl_conn, PW_LIT("221 bye\r\n"));
	pw_conn_close_after_flush(cl_conn);
	ck_assert_str_eq(tls_received(), "221 bye\r\n");
	ck_assert_str_eq(cl_ends(), "HD");
	/* close_notify came, not a mere end of file. */
	ck_assert_int_eq(SSL_get_error(client, SSL_read(client, got, 1)),
	    SSL_ERROR_ZERO_RETURN);
}
END_TEST

START_TEST(closing_in_the_handshake)
{
	cl_send("STARTTLS\r\n");
	ck_assert_str_eq(cl_received(), "220 go\r\n");
	pw_conn_close_after_flush(cl_conn);
	cl_until_ends(1);
	ck_assert_str_eq(cl_ends(), "D");
	ck_assert(!shake_hands());
}
END_TEST

/* The same before the reply to STARTTLS has left; what should have waited for
 * the handshake is dropped, not sent in clear. */
START_TEST(closing_before_the_handshake)
{
	pw_conn_write(cl_conn, PW_LIT("220 go\r\n"));
	ck_assert_int_eq(pw_conn_starttls(cl_conn, server_ctx), 0);
	pw_conn_write(cl_conn, PW_LIT("secret\r\n"));
	pw_conn_close_after_flush(cl_conn);
	ck_assert_str_eq(cl_received(), "220 go\r\n");
	ck_assert_str_eq(cl_ends(), "D");
	/* A client that goes on all the same talks to nobody. */
	(void)SSL_do_handshake(client);
	cl_rounds(3);
	(void)SSL_do_handshake(client);
	cl_rounds(3);
	ck_assert_str_eq(cl_ends(), "D");
}
END_TEST

START_TEST(peer_gone_in_the_handshake)
{
	cl_send("STARTTLS\r\n");
	if (_i == 1) {
		ck_assert_str_eq(cl_received(), "220 go\r\n");
		(void)SSL_do_handshake(client);
	}
	close(cl_peer);
	cl_peer = -1;
	cl_until_ends(1);
	ck_assert(strcmp(cl_ends(), "T") == 0 || strcmp(cl_ends(), "E") == 0 ||
	    strcmp(cl_ends(), "R") == 0);
}
END_TEST

START_TEST(nothing_in_common)
{
	SSL_CTX_set_min_proto_version(server_ctx, TLS1_3_VERSION);
	use_version(0);
	cl_send("STARTTLS\r\n");
	ck_assert_str_eq(cl_received(), "220 go\r\n");
	ck_assert(!shake_hands());
	cl_until_ends(1);
	ck_assert_str_eq(cl_ends(), "T");
	ck_assert_str_eq(pw_conn_tls_error(cl_conn), "unsupported protocol");
}
END_TEST

START_TEST(garbage_after_the_handshake)
{
	start("STARTTLS\r\n");
	cl_send("this is not a record of TLS, nor will it ever be one");
	cl_until_ends(2);
	ck_assert_str_eq(cl_ends(), "HT");
	ck_assert_str_eq(cl_data(), "");
}
END_TEST

START_TEST(reset_under_tls)
{
	struct linger hard = { .l_onoff = 1 };

	start("STARTTLS\r\n");
	if (_i == 1)
		pw_conn_pause(cl_conn);
	cl_rounds(1);
	(void)setsockopt(cl_peer, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(cl_peer);
	cl_peer = -1;
	SSL_set_quiet_shutdown(client, 1);
	cl_until_ends(2);
	ck_assert_str_eq(cl_ends(), "HR");
}
END_TEST

/* A few key updates are honest; many are a flood. */
START_TEST(key_updates_are_bounded)
{
	int updates = 0;

	use_version(1);
	start("STARTTLS\r\n");
	for (; updates < 200 && cl_owner.ends.len == 1; updates++) {
		if (SSL_key_update(client, SSL_KEY_UPDATE_REQUESTED) != 1 ||
		    SSL_do_handshake(client) != 1)
			break;
		cl_rounds(1);
		(void)SSL_read(client, got, sizeof(got));
		if (updates < 5) {
			tls_send("x\n");
			cl_rounds(2);
		}
	}
	cl_until_ends(2);
	ck_assert_str_eq(cl_data(), "x\nx\nx\nx\nx\n");
	ck_assert_str_eq(cl_ends(), "HT");
	ck_assert_str_eq(pw_conn_tls_error(cl_conn),
	    "too many handshake messages");
	ck_assert_int_lt(updates, 100);
}
END_TEST

START_TEST(renegotiation_is_refused)
{
	use_version(0);
	SSL_CTX_set_options(client_ctx, SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
	start("STARTTLS\r\n");
	(void)tls_received();
	ck_assert_int_eq(SSL_renegotiate(client), 1);
	(void)SSL_do_handshake(client);
	cl_rounds(3);
	/* The client gives up at our alert, or goes on as before: there is no
	 * second handshake. */
	(void)SSL_do_handshake(client);
	cl_rounds(3);
	ck_assert_int_eq(strncmp(cl_ends(), "H", 1), 0);
	ck_assert_ptr_null(strchr(cl_ends() + 1, 'H'));
	ck_assert_int_eq(SSL_get_state(pw_conn_ssl(cl_conn)), TLS_ST_OK);
}
END_TEST

START_TEST(can_be_freed_in_callbacks)
{
	cl_owner.free_on_end = true;
	start("STARTTLS\r\n");
	cl_owner.free_on_data = _i == 0;
	tls_send("x\n");
	if (_i == 1)
		(void)SSL_shutdown(client);
	shutdown(cl_peer, SHUT_WR);
	cl_rounds(5);
	ck_assert_ptr_null(cl_conn);
}
END_TEST

static size_t
swallow(struct pw_conn *c, struct pw_bytes in)
{
	(void)c;
	return in.len;
}

static void
nothing(struct pw_conn *c)
{
	(void)c;
}

/* An idle connection under TLS owns less than 24 KB. */
START_TEST(idle_ones_are_small)
{
	enum { N = 30 };
	static const struct pw_conn_ops idle = { .on_data = swallow,
		.on_tls = nothing };
	static struct pw_conn *c[N];
	static SSL *peers[N];
	static int fds[N][2];

	for (int i = 0; i < N; i++) {
		ck_assert_int_eq(socketpair(AF_UNIX,
				     SOCK_STREAM | SOCK_NONBLOCK, 0, fds[i]),
		    0);
		peers[i] = SSL_new(client_ctx);
		SSL_set_fd(peers[i], fds[i][1]);
		SSL_set_connect_state(peers[i]);
	}
	size_t used = 0;
	for (int i = 0; i < N; i++) {
		c[i] = pw_conn_new(cl_loop, fds[i][0], &idle, NULL, 65536,
		    65536);
		size_t before = mallinfo2().uordblks;
		ck_assert_int_eq(pw_conn_starttls(c[i], server_ctx), 0);
		used += mallinfo2().uordblks - before;
		while (SSL_do_handshake(peers[i]) != 1) {
			before = mallinfo2().uordblks;
			pw_loop_step(cl_loop, 1);
			used += mallinfo2().uordblks - before;
		}
		ck_assert_int_eq(SSL_write(peers[i], "EHLO x\r\n", 8), 8);
		before = mallinfo2().uordblks;
		for (int k = 0; k < 4; k++)
			pw_loop_step(cl_loop, 1);
		used += mallinfo2().uordblks - before;
	}
	ck_assert_msg(used / N < 24000, "%zu bytes", used / N);
	for (int i = 0; i < N; i++) {
		pw_conn_free(&c[i]);
		SSL_free(peers[i]);
		close(fds[i][1]);
	}
}
END_TEST

Suite *
pw_suite_net_conn_tls(void)
{
	Suite *s = suite_create("net/conn_tls");
	TCase *tc = tcase_create("conn_tls");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, starts_tls, 0, 2);
	tcase_add_loop_test(tc, forgets_what_came_before, 0, 8);
	tcase_add_test(tc, does_not_read_clear_text_in_the_handshake);
	tcase_add_test(tc, drops_kept_input);
	tcase_add_test(tc, drops_input_that_was_to_be_offered_again);
	tcase_add_loop_test(tc, first_command_with_the_last_flight, 0, 2);
	tcase_add_loop_test(tc, carries_much, 0, 2);
	tcase_add_loop_test(tc, pauses_and_resumes, 0, 2);
	tcase_add_test(tc, keeps_no_more_than_its_bound);
	tcase_add_test(tc, reads_what_epoll_does_not_see);
	tcase_add_loop_test(tc, end_of_file, 0, 8);
	tcase_add_loop_test(tc, end_of_file_behind_pipelined_input, 0, 2);
	tcase_add_test(tc, closes_after_flush);
	tcase_add_test(tc, closing_in_the_handshake);
	tcase_add_test(tc, closing_before_the_handshake);
	tcase_add_loop_test(tc, peer_gone_in_the_handshake, 0, 2);
	tcase_add_test(tc, nothing_in_common);
	tcase_add_test(tc, garbage_after_the_handshake);
	tcase_add_loop_test(tc, reset_under_tls, 0, 2);
	tcase_add_test(tc, key_updates_are_bounded);
	tcase_add_test(tc, renegotiation_is_refused);
	tcase_add_loop_test(tc, can_be_freed_in_callbacks, 0, 2);
	tcase_add_test(tc, idle_ones_are_small);
	suite_add_tcase(s, tc);
	return s;
}
