/* SPDX-License-Identifier: ISC */
/* Our header fields. */
#include <check.h>

#include "smtp/prefix.h"

static struct pw_received
example(void)
{
	struct pw_received r = { .helo = PW_LIT("client.test"),
		.helo_ok = true, .rdns = "", .by = "mx.test",
		.id = "0123456789abcdfg", .time_us = 1136214245000000 };

	(void)pw_ip_parse(PW_LIT("192.0.2.1"), &r.peer);
	return r;
}

START_TEST(test_received)
{
	struct pw_received r = example();
	struct pw_strbuf sb;

	pw_strbuf_init(&sb, 4096);
	pw_prefix_received(&sb, &r);
	ck_assert_str_eq(pw_strbuf_cstr(&sb),
	    "Received: from client.test ([192.0.2.1])\r\n"
	    "\tby mx.test (Postward) with SMTP id 0123456789abcdfg;\r\n"
	    "\tMon, 2 Jan 2006 15:04:05 +0000\r\n");
	pw_strbuf_reset(&sb);
	r.tls_version = "TLSv1.3";
	r.tls_cipher = "TLS_X";
	r.tls_bits = 256;
	r.esmtp = true;
	r.rdns = "c.test";
	r.only_rcpt = PW_LIT("a@b.test");
	(void)pw_ip_parse(PW_LIT("2001:db8::1"), &r.peer);
	pw_prefix_received(&sb, &r);
	ck_assert_str_eq(pw_strbuf_cstr(&sb),
	    "Received: from client.test (c.test [IPv6:2001:db8::1])\r\n"
	    "\t(using TLSv1.3 with cipher TLS_X (256 bits))\r\n"
	    "\tby mx.test (Postward) with ESMTPS id 0123456789abcdfg\r\n"
	    "\tfor <a@b.test>;\r\n"
	    "\tMon, 2 Jan 2006 15:04:05 +0000\r\n");
	pw_strbuf_free(&sb);
}
END_TEST

/* A name that is none cannot forge anything. */
START_TEST(test_helo)
{
	struct pw_received r = example();
	struct pw_strbuf sb;

	pw_strbuf_init(&sb, 4096);
	r.helo = PW_LIT("x(y)by\"evil;\\");
	r.helo_ok = false;
	pw_prefix_received(&sb, &r);
	ck_assert_ptr_nonnull(
	    strstr(pw_strbuf_cstr(&sb), "from x?y?by?evil?? ("));
	pw_strbuf_free(&sb);
}
END_TEST

START_TEST(test_protocol)
{
	ck_assert_str_eq(pw_prefix_protocol(false, false, false), "SMTP");
	ck_assert_str_eq(pw_prefix_protocol(true, false, false), "ESMTP");
	ck_assert_str_eq(pw_prefix_protocol(true, true, false), "ESMTPS");
	ck_assert_str_eq(pw_prefix_protocol(true, false, true), "UTF8SMTP");
	ck_assert_str_eq(pw_prefix_protocol(true, true, true), "UTF8SMTPS");
}
END_TEST

START_TEST(test_fields)
{
	struct pw_pipe_field f[] = {
		{ "X-Good", PW_LIT("a\r\n\tb") },
		{ "X-Bad", PW_LIT("a\r\nTo: b") },
		{ "X-Bad", PW_LIT("a\nb") },
		{ "X-Bad", PW_LIT("a\r\n \r\n b") },
		{ "X-Bad", PW_LIT("") },
		{ "X-Bad", PW_LIT("a\xff") },
		{ "X-Bad", PW_LIT("a\r\n") },
		{ "X Bad", PW_LIT("a") },
		{ "X-Bad:", PW_LIT("a") },
	};
	struct pw_pipe_result r = { .auth_results = "mx.test;\r\n\tnone",
		.field = f, .nfield = PW_COUNT(f) };
	struct pw_strbuf sb;

	pw_strbuf_init(&sb, 4096);
	pw_prefix_results(&sb, &r);
	ck_assert_str_eq(pw_strbuf_cstr(&sb),
	    "Authentication-Results: mx.test;\r\n\tnone\r\n"
	    "X-Good: a\r\n\tb\r\n");
	pw_strbuf_reset(&sb);
	pw_prefix_recipient(&sb, PW_LIT(""), PW_LIT("a@b.test"),
	    PW_LIT("A+x@b.test"));
	ck_assert_str_eq(pw_strbuf_cstr(&sb),
	    "Return-Path: <>\r\nDelivered-To: a@b.test\r\n"
	    "X-Original-To: A+x@b.test\r\n");
	pw_strbuf_free(&sb);
}
END_TEST

Suite *pw_suite_smtp_prefix(void);

Suite *
pw_suite_smtp_prefix(void)
{
	Suite *s = suite_create("smtp/prefix");
	TCase *tc = tcase_create("prefix");

	tcase_add_test(tc, test_received);
	tcase_add_test(tc, test_helo);
	tcase_add_test(tc, test_protocol);
	tcase_add_test(tc, test_fields);
	suite_add_tcase(s, tc);
	return s;
}
