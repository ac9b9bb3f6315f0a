/* SPDX-License-Identifier: ISC */
/* Unit tests of server/base/valid. */
#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>

#include "base/valid.h"

Suite *pw_suite_base_valid(void);

static struct pw_bytes
encode(uint32_t cp, char out[4])
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return pw_bytes(out, 1);
	}
	if (cp < 0x800) {
		out[0] = (char)(0xc0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 0x3f));
		return pw_bytes(out, 2);
	}
	if (cp < 0x10000) {
		out[0] = (char)(0xe0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		out[2] = (char)(0x80 | (cp & 0x3f));
		return pw_bytes(out, 3);
	}
	out[0] = (char)(0xf0 | cp >> 18);
	out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
	out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
	out[3] = (char)(0x80 | (cp & 0x3f));
	return pw_bytes(out, 4);
}

/* Every code point in its shortest form; surrogates and what is beyond the
 * last one must be refused. */
START_TEST(knows_every_character)
{
	char buf[4];

	for (uint32_t cp = 0; cp < 0x120000; cp++) {
		struct pw_bytes b = encode(cp, buf);
		bool good = cp < 0x110000 && (cp < 0xd800 || cp > 0xdfff);
		uint32_t got = 0;
		size_t n = pw_utf8_next(b, &got);
		/* A ck_assert() for each would take a minute. */
		if (pw_is_utf8(b) != good || n != (good ? b.len : 0) ||
		    (good && got != cp) ||
		    (b.len > 1 &&
			pw_is_utf8(pw_bytes_sub(b, 0, b.len - 1))))
			ck_abort_msg("U+%04X", cp);
	}
	uint32_t none;
	ck_assert_uint_eq(pw_utf8_next(PW_BYTES_NONE, &none), 0);
}
END_TEST

static const char *const not_utf8[] = { "\x80", "\xbf", "\xc0\x80",
	"\xc1\xbf", "\xc2", "\xc2\x20", "\xe0\x80\x80", "\xe0\x9f\xbf",
	"\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf",
	"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xfe",
	"\xf8\x88\x80\x80\x80", "\xe2\x82", "\xe2\x82\xac\x80" };

/* Behind and before runs of ASCII of each length, which take the fast way. */
START_TEST(refuses_what_is_not_utf8)
{
	char buf[64];
	size_t n = strlen(not_utf8[_i]);

	for (size_t before = 0; before < 20; before++) {
		memset(buf, 'a', sizeof(buf));
		ck_assert(pw_is_utf8(pw_bytes(buf, before + n + 9)));
		ck_assert(pw_is_ascii(pw_bytes(buf, before + n + 9)));
		memcpy(buf + before, not_utf8[_i], n);
		ck_assert(!pw_is_utf8(pw_bytes(buf, before + n + 9)));
		ck_assert(!pw_is_utf8(pw_bytes(buf, before + n)));
		ck_assert(!pw_is_ascii(pw_bytes(buf, before + n + 9)));
	}
}
END_TEST

START_TEST(knows_deceptive_characters)
{
	static const uint32_t yes[] = { 0, 0x1b, 0x7f, 0x85, 0xa0, 0xad,
		0x200b, 0x200e, 0x2028, 0x2029, 0x202e, 0x2060, 0x2066, 0xfeff,
		0x3000, 0xe0001, 0xe007f };
	static const uint32_t no[] = { ' ', 'a', '~', 0xa1, 0xe4, 0x2010,
		0x20ac, 0x4e2d, 0x1f600, 0xe0100, 0x10ffff };

	for (size_t i = 0; i < PW_COUNT(yes); i++)
		ck_assert_msg(pw_is_deceptive(yes[i]), "U+%04X", yes[i]);
	for (size_t i = 0; i < PW_COUNT(no); i++)
		ck_assert_msg(!pw_is_deceptive(no[i]), "U+%04X", no[i]);
}
END_TEST

START_TEST(validates_text)
{
	struct pw_bytes out;

	ck_assert_int_eq(pw_valid_text(pw_peer(PW_LIT("ok ~")), 4, &out), 0);
	ck_assert(pw_bytes_eq(out, PW_LIT("ok ~")));
	ck_assert_int_eq(pw_valid_text(pw_peer(PW_LIT("ok ~")), 3, &out), -1);
	ck_assert_ptr_null(out.ptr);
	ck_assert_int_eq(pw_valid_text(pw_peer(PW_LIT("")), 3, &out), -1);
	for (int c = 0; c < 256; c++) {
		char s[3] = { 'a', (char)c, 'b' };
		struct pw_peer_bytes p = pw_peer(pw_bytes(s, 3));
		int want = c >= 0x20 && c <= 0x7e ? 0 : -1;
		ck_assert_int_eq(pw_valid_text(p, 9, &out), want);
		ck_assert_int_eq(pw_valid_utf8_text(p, 9, &out), want);
	}
	ck_assert_int_eq(pw_valid_utf8_text(
			     pw_peer(PW_LIT("gr\xc3\xbc\xc3\x9f")), 9, &out),
	    0);
	ck_assert_int_eq(
	    pw_valid_utf8_text(pw_peer(PW_LIT("a\xc2\x85")), 9, &out), -1);
	ck_assert_int_eq(
	    pw_valid_utf8_text(pw_peer(PW_LIT("\xe2\x80\xa8")), 9, &out), -1);
}
END_TEST

#define L63 "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz-"
#define L62 "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz"

static const struct {
	const char *name;
	bool dotless;
	int rc;
} names[] = { { "mx.example.com", false, 0 }, { "a.b", false, 0 },
	{ "localhost", false, -1 }, { "localhost", true, 0 },
	{ "a.b.", false, -1 }, { ".a.b", false, -1 }, { "a..b", false, -1 },
	{ "", true, -1 }, { ".", true, -1 }, { "-a.b", false, -1 },
	{ "a-.b", false, -1 }, { "a.b-", false, -1 }, { "a--b.c", false, 0 },
	{ "_dmarc.example.com", false, 0 }, { "a_b.c", false, 0 },
	{ "a b.c", false, -1 }, { "a.b\r\n", false, -1 },
	{ "192.0.2.1", false, -1 }, { "a.1", false, -1 }, { "1.a", false, 0 },
	{ "123", true, -1 }, { "a.1b", false, 0 }, { "\xc3\xa4.b", false, -1 },
	{ "[192.0.2.1]", false, -1 }, { L62 "x.b", false, 0 },
	{ L62 "xx.b", false, -1 }, { L63 ".b", false, -1 },
	{ L62 "." L62 "." L62 "." L62 ".a", false, 0 },
	{ L62 "." L62 "." L62 "." L62 ".ab", false, -1 } };

START_TEST(validates_hostnames)
{
	struct pw_bytes out;
	struct pw_bytes in = pw_bytes_of(names[_i].name);

	ck_assert_int_eq(pw_valid_hostname(pw_peer(in), names[_i].dotless,
			     &out),
	    names[_i].rc);
	ck_assert(names[_i].rc == 0 ? pw_bytes_eq(in, out) : out.ptr == NULL);
}
END_TEST

static const struct {
	const char *in;
	const char *out; /* NULL: not an address */
	const char *arpa;
} ips[] = { { "192.0.2.1", "192.0.2.1", "1.2.0.192.in-addr.arpa" },
	{ "2001:DB8::1", "2001:db8::1",
	    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2."
	    "ip6.arpa" },
	{ "::ffff:192.0.2.1", "192.0.2.1", "1.2.0.192.in-addr.arpa" },
	{ "::", "::", NULL }, { "", NULL, NULL }, { "192.0.2", NULL, NULL },
	{ "192.0.2.256", NULL, NULL }, { "192.0.2.01", NULL, NULL },
	{ " 192.0.2.1", NULL, NULL }, { "192.0.2.1 ", NULL, NULL },
	{ "1::2::3", NULL, NULL }, { "fe80::1%lo", NULL, NULL },
	{ "0000:0000:0000:0000:0000:ffff:255.255.255.2550", NULL, NULL } };

START_TEST(reads_and_writes_addresses)
{
	char text[PW_IP_STRLEN], arpa[PW_IP_ARPA_LEN];
	struct pw_ip ip = { 0 };
	int rc = pw_ip_parse(pw_bytes_of(ips[_i].in), &ip);

	ck_assert_int_eq(rc, ips[_i].out != NULL ? 0 : -1);
	pw_ip_format(&ip, text);
	ck_assert_str_eq(text, ips[_i].out != NULL ? ips[_i].out : "none");
	if (ips[_i].arpa != NULL) {
		pw_ip_arpa(&ip, arpa);
		ck_assert_str_eq(arpa, ips[_i].arpa);
	}
}
END_TEST

static const struct {
	const char *net;
	int rc;
	const char *in;
	const char *out;
} nets[] = { { "192.0.2.0/24", 0, "192.0.2.255", "192.0.3.0" },
	{ "192.0.2.7", 0, "192.0.2.7", "192.0.2.6" },
	{ "0.0.0.0/0", 0, "255.1.2.3", "::1" },
	{ "::/0", 0, "2001:db8::1", "192.0.2.1" },
	{ "2001:db8::/33", 0, "2001:db8:7fff::1", "2001:db8:8000::" },
	{ "192.0.2.128/25", 0, "192.0.2.128", "192.0.2.127" },
	{ "::ffff:192.0.2.0/120", 0, "192.0.2.9", "192.0.3.9" },
	{ "::ffff:0:0/96", 0, "192.0.2.9", "::1" },
	{ "::ffff:0:0/90", -1, NULL, NULL }, { "192.0.2.1/24", -1, NULL, NULL },
	{ "192.0.2.0/33", -1, NULL, NULL }, { "192.0.2.0/", -1, NULL, NULL },
	{ "192.0.2.0/024", -1, NULL, NULL }, { "/24", -1, NULL, NULL },
	{ "192.0.2.0/-1", -1, NULL, NULL }, { "192.0.2.0/2/4", -1, NULL, NULL },
	{ "2001:db8::1/127", -1, NULL, NULL }, { "::/129", -1, NULL, NULL } };

START_TEST(knows_networks)
{
	struct pw_net net;
	struct pw_ip ip = { 0 };

	ck_assert_int_eq(pw_net_parse(pw_bytes_of(nets[_i].net), &net),
	    nets[_i].rc);
	if (nets[_i].rc != 0)
		return;
	ck_assert(!pw_ip_in_net(&ip, &net));
	ck_assert_int_eq(pw_ip_parse(pw_bytes_of(nets[_i].in), &ip), 0);
	ck_assert(pw_ip_in_net(&ip, &net));
	ck_assert_int_eq(pw_ip_parse(pw_bytes_of(nets[_i].out), &ip), 0);
	ck_assert(!pw_ip_in_net(&ip, &net));
}
END_TEST

START_TEST(knows_loopback_and_equality)
{
	struct pw_ip a, b;

	ck_assert_int_eq(pw_ip_parse(PW_LIT("127.9.9.9"), &a), 0);
	ck_assert(pw_ip_is_loopback(&a));
	ck_assert_int_eq(pw_ip_parse(PW_LIT("::1"), &a), 0);
	ck_assert(pw_ip_is_loopback(&a));
	ck_assert_int_eq(pw_ip_parse(PW_LIT("::2"), &a), 0);
	ck_assert(!pw_ip_is_loopback(&a));
	ck_assert_int_eq(pw_ip_parse(PW_LIT("128.0.0.1"), &a), 0);
	ck_assert(!pw_ip_is_loopback(&a));
	ck_assert_int_eq(pw_ip_parse(PW_LIT("::ffff:128.0.0.1"), &b), 0);
	ck_assert(pw_ip_eq(&a, &b));
	a = pw_ip_mask(&a, 0);
	ck_assert(!pw_ip_eq(&a, &b));
}
END_TEST

START_TEST(reads_socket_addresses)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_port = htons(25) };
	struct sockaddr_in in4 = { .sin_family = AF_INET,
		.sin_port = htons(2525) };
	struct sockaddr none = { .sa_family = AF_UNIX };
	char text[PW_IP_STRLEN];
	struct pw_ip ip;
	uint16_t port = 0;

	in4.sin_addr.s_addr = htonl(0xc0000201);
	ck_assert_int_eq(pw_ip_from_sockaddr((struct sockaddr *)&in4, &ip,
			     &port),
	    0);
	pw_ip_format(&ip, text);
	ck_assert_str_eq(text, "192.0.2.1");
	ck_assert_uint_eq(port, 2525);
	ck_assert_int_eq(inet_pton(AF_INET6, "::ffff:192.0.2.1",
			     &in6.sin6_addr),
	    1);
	ck_assert_int_eq(pw_ip_from_sockaddr((struct sockaddr *)&in6, &ip,
			     &port),
	    0);
	pw_ip_format(&ip, text);
	ck_assert_str_eq(text, "192.0.2.1");
	ck_assert_uint_eq(port, 25);
	ck_assert_int_eq(pw_ip_from_sockaddr(&none, &ip, NULL), -1);
}
END_TEST

Suite *
pw_suite_base_valid(void)
{
	Suite *s = suite_create("base/valid");
	TCase *tc = tcase_create("valid");

	tcase_add_test(tc, knows_every_character);
	tcase_add_loop_test(tc, refuses_what_is_not_utf8, 0,
	    PW_COUNT(not_utf8));
	tcase_add_test(tc, knows_deceptive_characters);
	tcase_add_test(tc, validates_text);
	tcase_add_loop_test(tc, validates_hostnames, 0, PW_COUNT(names));
	tcase_add_loop_test(tc, reads_and_writes_addresses, 0, PW_COUNT(ips));
	tcase_add_loop_test(tc, knows_networks, 0, PW_COUNT(nets));
	tcase_add_test(tc, knows_loopback_and_equality);
	tcase_add_test(tc, reads_socket_addresses);
	suite_add_tcase(s, tc);
	return s;
}
