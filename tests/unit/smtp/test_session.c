/* SPDX-License-Identifier: ISC */
/* Whole dialogues, fed whole, octet by octet and cut at each place. */
#include <check.h>
#include <stdlib.h>

#include "session_env.h"
#include "storage/decision.h"

#define HELLO "EHLO client.test\r\n"
#define START HELLO "MAIL FROM:<s@sender.test>\r\nRCPT TO:<alice@example.test>\r\n"
#define ALICE "RCPT TO:<alice@example.test>\r\n"

struct dialogue {
	const char *input, *codes;
	unsigned deliveries;
};

/* clang-format off */
static const struct dialogue dialogues[] = {
	{ START "DATA\r\nSubject: a\r\n\r\nbody\r\n.\r\nQUIT\r\n",
	    "220 250 250 250 354 250 221", 1 },
	{ START "DATA\r\n.\r\n", "220 250 250 250 354 250", 1 },
	{ START "DATA\r\na\n.\r\nMAIL FROM:<x@y.test>\r\n.\r\n",
	    "220 250 250 250 354 550", 0 },
	{ START "DATA\r\na\r.\r\n.\r\n", "220 250 250 250 354 550", 0 },
	{ START "DATA\r\na\r\n.\nQUIT\r\n.\r\n", "220 250 250 250 354 550", 0 },
	{ START "DATA\r\na\r\n.\r.\r\n.\r\n", "220 250 250 250 354 550", 0 },
	{ START "BDAT 6\r\nab\ncd\rBDAT 0 LAST\r\n",
	    "220 250 250 250 250 250", 1 },
	{ START "BDAT 5 LAST\r\nabc\r\nNOOP\r\n", "220 250 250 250 250 250", 1 },
	{ START "BDAT -5 LAST\r\nabc\r\n", "220 250 250 250 501", 0 },
	{ START "BDAT 99999999999999999999\r\n", "220 250 250 250 552", 0 },
	{ START "BDAT 3\r\nabcDATA\r\nRSET\r\nDATA\r\n",
	    "220 250 250 250 250 503 250 503", 0 },
	{ START "BDAT 3\r\nabc" ALICE "BDAT 0 LAST\r\n",
	    "220 250 250 250 250 503 250", 1 },
	{ HELLO "BDAT 6\r\nQUIT\r\nNOOP\r\n", "220 250 503 250", 0 },
	{ "NOOP\nNOOP\r\nNOOP\r\n", "220 500 250", 0 },
	{ "NO\rOP\r\nHELP\r\n", "220 500 214", 0 },
	{ HELLO "DATA\r\n", "220 250 503", 0 },
	{ HELLO "MAIL FROM:<>\r\nDATA\r\n", "220 250 250 554", 0 },
	{ HELLO "MAIL FROM:<>\r\nRCPT TO:<x@other.test>\r\nDATA\r\n",
	    "220 250 250 550 554", 0 },
	{ "MAIL FROM:<>\r\n", "220 503", 0 },
	{ START "MAIL FROM:<a@b.test>\r\n" ALICE, "220 250 250 250 503 250", 0 },
	{ START HELLO "DATA\r\n", "220 250 250 250 250 503", 0 },
	{ HELLO "MAIL FROM:<a@b.test> SIZE=99999999999\r\nDATA\r\n",
	    "220 250 552 503", 0 },
	{ HELLO "MAIL FROM:<a@b.test> FOO=1\r\nDATA\r\n", "220 250 555 503", 0 },
	{ HELLO "MAIL FROM:<\xc3\xa4@b.test>\r\nMAIL FROM:<\xc3\xa4@b.test> SMTPUTF8\r\n"
	    "RCPT TO:<alice@b\xc3\xbc" "cher.test>\r\n",
	    "220 250 553 250 250", 0 },
	{ HELLO "MAIL FROM:<a@b.test>\r\nRCPT TO:<full@example.test>\r\n"
	    "RCPT TO:<loop@example.test>\r\nRCPT TO:<nobody@example.test>\r\n"
	    "RCPT TO:<postmaster>\r\n", "220 250 250 452 550 550 250", 0 },
	{ "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "220 554", 0 },
	{ "VRFY alice\r\nEXPN team\r\nHELP\r\nNOOP x\r\nRSET\r\nFOO\r\n",
	    "220 252 502 214 250 250 500", 0 },
	{ START "DATA x\r\nDATA\r\n..a\r\n.\r\n", "220 250 250 250 501 354 250", 1 },
};
/* clang-format on */

static void
play(const struct dialogue *d, size_t piece)
{
	unsigned before = fake.deliveries;
	const char *got;

	session_open();
	session_feed(pw_bytes_of(d->input), piece);
	got = session_codes(fake_conn_output());
	ck_assert_msg(strcmp(got, d->codes) == 0,
	    "%s\nin pieces of %zu: %s, not %s", d->input, piece, got,
	    d->codes);
	ck_assert_uint_eq(fake.deliveries - before, d->deliveries);
	session_close();
}

START_TEST(test_dialogues)
{
	for (int async = 0; async < 2; async++) {
		fake.async = async != 0;
		for (size_t piece = 0; piece < 8; piece++)
			play(&dialogues[_i], piece);
	}
}
END_TEST

START_TEST(test_each_cut)
{
	const struct dialogue *d = &dialogues[_i];
	size_t len = strlen(d->input);

	for (size_t cut = 1; cut < len; cut++) {
		session_open();
		session_feed(pw_bytes(d->input, cut), 0);
		session_feed(pw_bytes(d->input + cut, len - cut), 0);
		ck_assert_str_eq(session_codes(fake_conn_output()), d->codes);
		session_close();
	}
}
END_TEST

/* A peer that goes away leaves nothing, wherever it was. */
START_TEST(test_vanish)
{
	const struct dialogue *d = &dialogues[_i];
	size_t len = strlen(d->input);

	for (int how = 0; how < 3; how++)
		for (size_t cut = 0; cut <= len; cut++) {
			fake_reset();
			fake.async = how > 0;
			session_open();
			fake.never = how == 2;
			fake.store_never = how == 1;
			session_feed(pw_bytes(d->input, cut), 0);
			session_close();
		}
}
END_TEST

START_TEST(test_content)
{
	static const char text[] = "DATA\r\nA: b\r\n\r\n..x\r\n.y\r\n\r\n.\r\n";

	session_open();
	session_feed(PW_LIT(START), 0);
	session_feed(pw_bytes_of(text), (size_t)_i);
	ck_assert_str_eq(pw_strbuf_cstr(&fake.message),
	    "A: b\r\n\r\n.x\r\ny\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(pw_strbuf_cstr(&fake.prefix),
	    "Return-Path: <s@sender.test>\r\nDelivered-To: alice@example.test"
	    "\r\nX-Original-To: alice@example.test\r\nReceived: from "
	    "client.test ([192.0.2.1])\r\n\tby mx.example.test (Postward) "
	    "with ESMTP id "));
	ck_assert_ptr_nonnull(strstr(pw_strbuf_cstr(&fake.prefix),
	    "\r\n\tfor <alice@example.test>;\r\n\t"));
	session_close();
}
END_TEST

START_TEST(test_one_copy)
{
	session_open();
	session_feed(PW_LIT(START ALICE "RCPT TO:<team@example.test>\r\n"
		"RCPT TO:<alice+x@example.test>\r\n"
		"DATA\r\nx\r\n.\r\n"), 0);
	ck_assert_uint_eq(fake.ntarget, 2);
	ck_assert_ptr_null(strstr(pw_strbuf_cstr(&fake.prefix), "for <"));
	session_close();
}
END_TEST

/* Above the bound a message goes to the store in pieces. */
START_TEST(test_pieces)
{
	char chunk[65536];
	size_t total = 2;

	memset(chunk, 'x', sizeof(chunk));
	for (size_t i = 80; i < sizeof(chunk); i += 80)
		memcpy(chunk + i, "\r\n", 2);
	memcpy(chunk + sizeof(chunk) - 2, "\r\n", 2);
	test_cfg->smtp.body_in_memory = 100000;
	session_open();
	session_feed(PW_LIT(START "DATA\r\n\r\n"), 0);
	for (int i = 0; i < 20; i++, total += sizeof(chunk))
		session_feed(pw_bytes(chunk, sizeof(chunk)), 30000);
	session_feed(PW_LIT(".\r\n"), 0);
	ck_assert_str_eq(session_codes(fake_conn_output()),
	    "220 250 250 250 354 250");
	ck_assert_uint_ge(fake.pieces, 5);
	ck_assert_uint_eq(fake.spool_octets, total);
	ck_assert_uint_eq(fake.drops, 0);
	session_close();

	session_open();
	session_feed(PW_LIT(START "DATA\r\n"), 0);
	for (int i = 0; i < 4; i++)
		session_feed(pw_bytes(chunk, sizeof(chunk)), 0);
	session_close();
	ck_assert_uint_eq(fake.drops, 1);
}
END_TEST

START_TEST(test_starttls)
{
	session_open();
	session_feed(PW_LIT("EHLO a.test\r\nSTARTTLS\r\n"), 1);
	session_feed(PW_LIT("MAIL FROM:<>\r\nEHLO b.test\r\nSTARTTLS\r\n"), 0);
	ck_assert_str_eq(session_codes(fake_conn_output()), "220 250 220 503 250 503");
	session_close();

	session_open();
	session_feed(PW_LIT("EHLO a.test\r\nSTARTTLS\r\nMAIL FROM:<>\r\n"), 0);
	ck_assert_str_eq(session_codes(fake_conn_output()), "220 250 554");
	session_close();
}
END_TEST

START_TEST(test_store_codes)
{
	static const char *const want[] = { "250", "451", "452", "452", "451" };
	char all[64];

	fake.code = (enum pw_store_code)_i;
	session_open();
	session_feed(PW_LIT(START "DATA\r\nx\r\n.\r\nDATA\r\n"), 0);
	(void)snprintf(all, sizeof(all), "220 250 250 250 354 %s 503",
	    want[_i]);
	ck_assert_str_eq(session_codes(fake_conn_output()), all);
	session_close();
}
END_TEST

START_TEST(test_actions)
{
	static const struct {
		uint8_t action;
		const char *reply, *want;
		size_t targets;
	} t[] = {
		{ PW_ACT_JUNK, NULL, "250", 1 },
		{ PW_ACT_HOLD, NULL, "250", 1 },
		{ PW_ACT_REFUSE_KEEP, "554 5.7.1 no", "554", 1 },
		{ PW_ACT_REFUSE, "550 5.7.1 a\r\n250 ok", "550", 0 },
		{ PW_ACT_REFUSE, "250 2.0.0 ok", "550", 0 },
		{ PW_ACT_DEFER, NULL, "451", 0 },
		{ PW_ACT_DISCARD, NULL, "250", 0 },
	};
	char all[64];

	fake.result.action = t[_i].action;
	fake.result.reply = t[_i].reply;
	session_open();
	session_feed(PW_LIT(START "DATA\r\nx\r\n.\r\nDATA\r\n"), 0);
	(void)snprintf(all, sizeof(all), "220 250 250 250 354 %s 503",
	    t[_i].want);
	ck_assert_str_eq(session_codes(fake_conn_output()), all);
	ck_assert_uint_eq(fake.ntarget, t[_i].targets);
	ck_assert_uint_eq(fake.action, t[_i].action);
	session_close();
}
END_TEST

/* What each connection leaves on record when it never brought a message. */
START_TEST(test_notes)
{
	static const struct {
		const char *input;
		unsigned transactions, connections, messages;
		size_t recipients;
		const char *last;
	} rows[] = {
		{ "QUIT\r\n", 0, 1, 0, 0,
		    "|the session ended: quit" },
		{ "", 0, 1, 0, 0, "|the session ended: peer closed" },
		{ "WHAT\r\nQUIT\r\n", 0, 1, 0, 0,
		    "500 5.5.1 unknown command|the receiver's answer to a "
		    "command that is none" },
		{ HELLO "MAIL FROM:<i@>\r\nQUIT\r\n", 1, 0, 0, 0,
		    "501 5.1.7 wrong syntax of the sender|the receiver's answer "
		    "to MAIL" },
		{ START "RSET\r\nQUIT\r\n", 1, 0, 0, 1,
		    "|the client went on without sending a message" },
		{ HELLO "MAIL FROM:<>\r\nRCPT TO:<x@other.test>\r\n"
			"RCPT TO:<nobody@example.test>\r\nRSET\r\n",
		    1, 0, 0, 2,
		    "550 5.1.1 no such recipient|the receiver's answer to "
		    "RCPT" },
		{ START "RSET\r\nMAIL FROM:<>\r\nRSET\r\n", 2, 0, 0, 0,
		    "|the client went on without sending a message" },
		{ START "DATA\r\nhalf", 1, 0, 0, 1,
		    "|the session ended: peer closed" },
		{ START "DATA\r\nx\r\n.\r\n", 0, 0, 0, 0, "" },
		{ START "DATA\r\nx\ny\r\n.\r\n", 0, 0, 0, 0, "" },
	};

	for (size_t i = 0; i < PW_COUNT(rows); i++) {
		fake_reset();
		session_open();
		session_feed(pw_bytes_of(rows[i].input), 0);
		session_close();
		ck_assert_msg(fake.notes[1] == rows[i].transactions &&
			fake.notes[2] == rows[i].connections &&
			fake.notes[0] == rows[i].messages,
		    "row %zu: %u transactions, %u connections, %u messages", i,
		    fake.notes[1], fake.notes[2], fake.notes[0]);
		ck_assert_msg(fake.note_rcpt == rows[i].recipients, "row %zu",
		    i);
		ck_assert_msg(strcmp(fake.note, rows[i].last) == 0,
		    "row %zu: %s", i, fake.note);
	}
	/* The store did not take it: it is on record all the same. */
	fake_reset();
	session_open();
	fake.code = PW_STORE_NOSPACE;
	session_feed(PW_LIT(START "DATA\r\nx\r\n.\r\n"), 0);
	session_close();
	ck_assert_uint_eq(fake.notes[0], 1);
	ck_assert_uint_eq(fake.notes[1] + fake.notes[2], 0);
}
END_TEST

START_TEST(test_early)
{
	struct pw_bytes out;

	fake.early[_i] = "550 5.7.27 no";
	session_open();
	session_feed(PW_LIT(START "DATA\r\n"), 0);
	out = fake_conn_output();
	ck_assert_ptr_nonnull(memmem(out.ptr, out.len, "550 5.7.27 no\r\n",
	    15));
	session_close();
}
END_TEST

#define V2 "\r\n\r\n\0\r\nQUIT\n"
#define T(s) { s, sizeof(s) - 1 }

/* What a balancer sends first, whole and cut everywhere; whom the session then
 * takes for its client. */
static const struct {
	struct {
		const char *ptr;
		size_t len;
	} in;
	const char *codes, *peer;
} headers[] = {
	{ T("PROXY TCP4 198.51.100.7 192.0.2.8 1024 25\r\nNOOP\r\n"),
	    "220 250", "198.51.100.7" },
	{ T("PROXY TCP6 2001:db8::1 2001:db8::2 1024 25\r\nNOOP\r\n"),
	    "220 250", "2001:db8::1" },
	{ T("PROXY UNKNOWN\r\nNOOP\r\n"), "220 250", "192.0.2.1" },
	{ T(V2 "\x21\x11\0\x0c\xc6\x33\x64\x07\xc0\0\2\x08\4\0\0\x19"
	       "NOOP\r\n"),
	    "220 250", "198.51.100.7" },
	{ T(V2 "\x20\0\0\0NOOP\r\n"), "220 250", "192.0.2.1" },
	/* Without it nobody is served, and no line of it is a command. */
	{ T("EHLO x.test\r\nNOOP\r\n"), "421", NULL },
	{ T("PROXY TCP4 198.51.100.7 192.0.2.8 1024 99999\r\nNOOP\r\n"),
	    "421", NULL },
	{ T(V2 "\x11\x11\0\x0c" "123456789012NOOP\r\n"), "421", NULL },
	{ T("PROXY TCP4 198.51.100.7"), "", "192.0.2.1" },
	/* One is enough: the next is a client's text. */
	{ T("PROXY UNKNOWN\r\nPROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n"),
	    "220 500", "192.0.2.1" },
};

START_TEST(test_proxy)
{
	const size_t len = headers[_i].in.len;
	char was[256], peer[PW_IP_STRLEN];

	session_env_proxy(true);
	for (size_t piece = 0; piece <= len; piece++) {
		fake_reset();
		session_open();
		ck_assert_uint_eq(fake_conn_output().len, 0);
		session_feed(pw_bytes(headers[_i].in.ptr, len), piece);
		if (headers[_i].peer != NULL) {
			ck_assert_ptr_nonnull(test_env.first);
			pw_ip_format(&test_env.first->peer, peer);
			ck_assert_str_eq(peer, headers[_i].peer);
		} else {
			ck_assert(!fake_conn_alive());
		}
		(void)snprintf(was, sizeof(was), "%s",
		    session_codes(fake_conn_output()));
		ck_assert_msg(strcmp(was, headers[_i].codes) == 0,
		    "in pieces of %zu: %s", piece, was);
		session_close();
	}
	session_env_proxy(false);
}
END_TEST

START_TEST(test_limits)
{
	static const char *const noops =
	    "NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n";

	test_cfg->smtp.max_junk_commands = 3;
	session_open();
	session_feed(pw_bytes_of(noops), 0);
	ck_assert_str_eq(session_codes(fake_conn_output()),
	    "220 250 250 250 250 421");
	session_close();
	test_cfg->smtp.max_errors = 2;
	session_open();
	session_feed(PW_LIT("A\r\nB\r\nC\r\nD\r\n"), 0);
	ck_assert_str_eq(session_codes(fake_conn_output()), "220 500 500 500 421");
	session_close();
	test_cfg->smtp.max_unknown_recipients = 1;
	session_open();
	session_feed(PW_LIT(HELLO "MAIL FROM:<>\r\nRCPT TO:<n@example.test>\r\n"
		"RCPT TO:<n@example.test>\r\nRCPT TO:<n@example.test>\r\n"),
	    0);
	ck_assert_str_eq(session_codes(fake_conn_output()), "220 250 250 550 550 421");
	session_close();
	test_cfg->smtp.max_sessions = 0;
	session_open();
	ck_assert_str_eq(session_codes(fake_conn_output()), "421");
	session_close();
}
END_TEST

static void
setup(void)
{
	session_env_init(true);
}

Suite *pw_suite_smtp_session(void);

Suite *
pw_suite_smtp_session(void)
{
	Suite *s = suite_create("smtp/session");
	TCase *tc = tcase_create("session");
	int n = (int)PW_COUNT(dialogues);

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, test_dialogues, 0, n);
	tcase_add_loop_test(tc, test_each_cut, 0, n);
	tcase_add_loop_test(tc, test_vanish, 0, n);
	tcase_add_loop_test(tc, test_content, 0, 8);
	tcase_add_test(tc, test_one_copy);
	tcase_add_test(tc, test_pieces);
	tcase_add_test(tc, test_starttls);
	tcase_add_loop_test(tc, test_store_codes, 0, 5);
	tcase_add_loop_test(tc, test_actions, 0, 7);
	tcase_add_loop_test(tc, test_early, 0, 4);
	tcase_add_loop_test(tc, test_proxy, 0, PW_COUNT(headers));
	tcase_add_test(tc, test_notes);
	tcase_add_test(tc, test_limits);
	suite_add_tcase(s, tc);
	return s;
}
