/* SPDX-License-Identifier: ISC */
/* Unit tests of server/net/proxy. */
#include <check.h>
#include <stdlib.h>

#include "base/pool.h"
#include "net/proxy.h"

Suite *pw_suite_net_proxy(void);

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xc0\x00\x02\x01\xc0\x00\x02\x02\x30\x39\x00\x19"
#define A16 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
#define MAPPED "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01"
#define CASE(s) PW_LIT(s)

static const struct {
	struct pw_bytes in;
	enum pw_proxy_rc rc;
	size_t used; /* 0: all of it */
	const char *src;
	unsigned port;
} heads[] = {
	/* Version 1. */
	{ CASE("PROXY TCP4 192.0.2.1 192.0.2.2 12345 25\r\n"),
	    PW_PROXY_ADDRESS, 0, "192.0.2.1", 12345 },
	{ CASE("PROXY TCP4 192.0.2.1 192.0.2.2 0 65535\r\nEHLO x\r\n"),
	    PW_PROXY_ADDRESS, 40, "192.0.2.1", 0 },
	{ CASE("PROXY TCP6 2001:db8::1 ::2 1 25\r\n"), PW_PROXY_ADDRESS, 0,
	    "2001:db8::1", 1 },
	{ CASE("PROXY UNKNOWN\r\n"), PW_PROXY_LOCAL, 0, "none", 0 },
	{ CASE("PROXY UNKNOWN ff:ff x y z\r\n"), PW_PROXY_LOCAL, 0, "none",
	    0 },
	{ CASE("PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n"), PW_PROXY_BAD, 0,
	    NULL, 0 },
	{ CASE("PROXY TCP4 192.0.2.1 192.0.2.2 1 025\r\n"), PW_PROXY_BAD, 0,
	    NULL, 0 },
	{ CASE("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"), PW_PROXY_BAD, 0, NULL,
	    0 },
	{ CASE("PROXY TCP4 192.0.2.1 192.0.2.2 1 25 \r\n"), PW_PROXY_BAD, 0,
	    NULL, 0 },
	{ CASE("PROXY TCP4  192.0.2.1 192.0.2.2 1 25\r\n"), PW_PROXY_BAD, 0,
	    NULL, 0 },
	{ CASE("PROXY TCP4 2001:db8::1 ::2 1 25\r\n"), PW_PROXY_BAD, 0, NULL,
	    0 },
	{ CASE("PROXY TCP6 192.0.2.1 192.0.2.2 1 25\r\n"), PW_PROXY_BAD, 0,
	    NULL, 0 },
	{ CASE("PROXY TCP4 192.0.2.999 192.0.2.2 1 25\r\n"), PW_PROXY_BAD, 0,
	    NULL, 0 },
	{ CASE("PROXY UDP4 192.0.2.1 192.0.2.2 1 25\r\n"), PW_PROXY_BAD, 0,
	    NULL, 0 },
	{ CASE("PROXY \r\n"), PW_PROXY_BAD, 0, NULL, 0 },
	{ CASE("PROXY TCP4 192.0.2.1 192.0.2.2 1 25\n"), PW_PROXY_BAD, 0, NULL,
	    0 },
	{ CASE("PROXY TCP4\r192.0.2.1 192.0.2.2 1 25\r\n"), PW_PROXY_BAD, 0,
	    NULL, 0 },
	{ CASE("PROXY TCP4 192.0.2.1\0 192.0.2.2 1 25\r\n"), PW_PROXY_BAD, 0,
	    NULL, 0 },
	{ CASE("proxy TCP4 192.0.2.1 192.0.2.2 1 25\r\n"), PW_PROXY_BAD, 0,
	    NULL, 0 },
	{ CASE("EHLO x\r\n"), PW_PROXY_BAD, 0, NULL, 0 },
	/* As long as allowed, and one byte more. */
	{ CASE("PROXY UNKNOWN 0123456789012345678901234567890123456789012345"
	       "678901234567890123456789012345678901234567890\r\n"),
	    PW_PROXY_LOCAL, 107, "none", 0 },
	{ CASE("PROXY UNKNOWN 0123456789012345678901234567890123456789012345"
	       "6789012345678901234567890123456789012345678901\r\n"),
	    PW_PROXY_BAD, 0, NULL, 0 },
	/* Version 2. */
	{ CASE(SIG "\x21\x11\0\x0c" V4), PW_PROXY_ADDRESS, 0, "192.0.2.1",
	    12345 },
	{ CASE(SIG "\x21\x11\0\x0c" V4 "EHLO x"), PW_PROXY_ADDRESS, 28,
	    "192.0.2.1", 12345 },
	{ CASE(SIG "\x21\x11\0\x10" V4 "\x04\0\1x"), PW_PROXY_ADDRESS, 0,
	    "192.0.2.1", 12345 },
	{ CASE(SIG "\x21\x21\0\x24" A16 A16 "\0\1\0\x19"), PW_PROXY_ADDRESS, 0,
	    "2001:db8::1", 1 },
	{ CASE(SIG "\x21\x21\0\x24" MAPPED A16 "\0\1\0\x19"),
	    PW_PROXY_ADDRESS, 0, "192.0.2.1", 1 },
	{ CASE(SIG "\x20\x00\0\0"), PW_PROXY_LOCAL, 0, "none", 0 },
	{ CASE(SIG "\x20\x11\0\x0c" V4), PW_PROXY_LOCAL, 0, "none", 0 },
	{ CASE(SIG "\x21\x00\0\0"), PW_PROXY_LOCAL, 0, "none", 0 },
	{ CASE(SIG "\x21\x31\0\2ab"), PW_PROXY_LOCAL, 0, "none", 0 },
	{ CASE(SIG "\x21\x11\0\x0b" V4), PW_PROXY_BAD, 0, NULL, 0 },
	{ CASE(SIG "\x21\x21\0\x23" A16 A16 "\0\1\0\x19"), PW_PROXY_BAD, 0,
	    NULL, 0 },
	{ CASE(SIG "\x22\x11\0\x0c" V4), PW_PROXY_BAD, 0, NULL, 0 },
	{ CASE(SIG "\x11\x11\0\x0c" V4), PW_PROXY_BAD, 0, NULL, 0 },
	{ CASE(SIG "\x21\x11\xff\xff" V4), PW_PROXY_BAD, 0, NULL, 0 },
	{ CASE("\r\n\r\n\0\r\nQUIX\n\x21\x11\0\x0c" V4), PW_PROXY_BAD, 0, NULL,
	    0 },
};

/* Every beginning, each in memory of just its size: what is not whole is MORE,
 * or BAD already when the whole is; what is whole stays as it is. */
START_TEST(parses_at_every_cut)
{
	struct pw_bytes in = heads[_i].in;
	size_t whole = heads[_i].used > 0 ? heads[_i].used : in.len;
	char text[PW_IP_STRLEN];
	struct pw_proxy p;
	bool bad = false;

	for (size_t n = 0; n <= in.len; n++) {
		char *exact = malloc(n > 0 ? n : 1);
		memcpy(exact, in.ptr, n);
		enum pw_proxy_rc rc = pw_proxy_parse(pw_bytes(exact, n), &p);
		free(exact);
		if (heads[_i].rc == PW_PROXY_BAD) {
			ck_assert(rc == PW_PROXY_BAD ||
			    (rc == PW_PROXY_MORE && !bad && n < in.len));
			bad |= rc == PW_PROXY_BAD;
			continue;
		}
		ck_assert_int_eq(rc,
		    n < whole ? PW_PROXY_MORE : heads[_i].rc);
		if (n < whole)
			continue;
		ck_assert_uint_eq(p.used, whole);
		pw_ip_format(&p.src, text);
		ck_assert_str_eq(text, heads[_i].src);
		ck_assert_uint_eq(p.src_port, heads[_i].port);
	}
}
END_TEST

START_TEST(never_asks_for_more_than_its_maximum)
{
	char in[PW_PROXY_MAX + 1];
	struct pw_proxy p;

	memset(in, 'x', sizeof(in));
	memcpy(in, "PROXY ", 6);
	ck_assert_int_eq(pw_proxy_parse(pw_bytes(in, 106), &p),
	    PW_PROXY_MORE);
	ck_assert_int_eq(pw_proxy_parse(pw_bytes(in, 107), &p), PW_PROXY_BAD);
	memcpy(in, SIG "\x21\x11", 14);
	in[14] = (char)((PW_PROXY_MAX - 16) >> 8);
	in[15] = (char)((PW_PROXY_MAX - 16) & 0xff);
	ck_assert_int_eq(pw_proxy_parse(pw_bytes(in, PW_PROXY_MAX - 1), &p),
	    PW_PROXY_MORE);
	ck_assert_int_eq(pw_proxy_parse(pw_bytes(in, PW_PROXY_MAX), &p),
	    PW_PROXY_ADDRESS);
	in[15]++;
	ck_assert_int_eq(pw_proxy_parse(pw_bytes(in, 16), &p), PW_PROXY_BAD);
}
END_TEST

START_TEST(destination_too)
{
	char text[PW_IP_STRLEN];
	struct pw_proxy p;

	ck_assert_int_eq(pw_proxy_parse(heads[0].in, &p), PW_PROXY_ADDRESS);
	pw_ip_format(&p.dst, text);
	ck_assert_str_eq(text, "192.0.2.2");
	ck_assert_uint_eq(p.dst_port, 25);
	ck_assert_int_eq(pw_proxy_parse(PW_LIT(SIG "\x21\x11\0\x0c" V4), &p),
	    PW_PROXY_ADDRESS);
	pw_ip_format(&p.dst, text);
	ck_assert_str_eq(text, "192.0.2.2");
	ck_assert_uint_eq(p.dst_port, 25);
}
END_TEST

Suite *
pw_suite_net_proxy(void)
{
	Suite *s = suite_create("net/proxy");
	TCase *tc = tcase_create("proxy");

	tcase_add_loop_test(tc, parses_at_every_cut, 0, PW_COUNT(heads));
	tcase_add_test(tc, never_asks_for_more_than_its_maximum);
	tcase_add_test(tc, destination_too);
	suite_add_tcase(s, tc);
	return s;
}
