/* SPDX-License-Identifier: ISC */
/*
 * Names in text: what DNS can hold, one spelling for each, and names of the
 * wire.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "dns/wire.h"

Suite *pw_suite_dns_name(void);

#define L63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define L61 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
	const char *in;
	const char *out; /* NULL: refused */
} names[] = {
    {"example.test", "example.test"},
    {"EXAMPLE.Test.", "example.test"},
    {"a", "a"},
    {"_dmarc.x-y.test", "_dmarc.x-y.test"},
    {"a/b.0-25.2.0.192.in-addr.arpa", "a/b.0-25.2.0.192.in-addr.arpa"},
    {"\\097.test", "a.test"},
    {"\\065.test", "a.test"},
    {"a\\.b.test", "a\\046b.test"},
    {"a\\046b.test", "a\\046b.test"},
    {"a\\\\b.test", "a\\092b.test"},
    {"a b.test", "a\\032b.test"},
    {"\xc3\xa4.test", "\\195\\164.test"},
    {"\\000.test", "\\000.test"},
    {"\\255.test", "\\255.test"},
    {L63 ".test", L63 ".test"},
    {L63 "." L63 "." L63 "." L61, L63 "." L63 "." L63 "." L61},
    {L63 "." L63 "." L63 "." L61 ".", L63 "." L63 "." L63 "." L61},
    {"", NULL},
    {".", NULL},
    {"..", NULL},
    {".a", NULL},
    {"a..b", NULL},
    {"a..", NULL},
    {"a" L63 ".test", NULL},
    {L63 "." L63 "." L63 "." L61 "a", NULL},
    {L63 "." L63 "." L63 "." L61 ".a", NULL},
    {"a\\", NULL},
    {"a\\2", NULL},
    {"a\\25", NULL},
    {"a\\256.test", NULL},
    {"a\\2x5.test", NULL},
};

START_TEST(test_name)
{
	char out[PW_DNS_NAME_SIZE], again[PW_DNS_NAME_SIZE];
	int rc = pw_dns_name(pw_bytes_of(names[_i].in), out);

	if (names[_i].out == NULL) {
		ck_assert_msg(rc == -1, "%s was taken", names[_i].in);
		ck_assert_str_eq(out, "");
		return;
	}
	ck_assert_msg(rc == 0, "%s was refused", names[_i].in);
	ck_assert_str_eq(out, names[_i].out);
	ck_assert_int_eq(pw_dns_name(pw_bytes_of(out), again), 0);
	ck_assert_str_eq(again, out);
}
END_TEST

/* Each byte as a label of its own comes back as itself. */
START_TEST(test_every_byte)
{
	char in[16], raw[3] = {(char)_i, '.', 'x'};
	char out[PW_DNS_NAME_SIZE], out2[PW_DNS_NAME_SIZE];

	(void)snprintf(in, sizeof(in), "\\%03d.x", _i);
	ck_assert_int_eq(pw_dns_name(pw_bytes_of(in), out), 0);
	for (const char *p = out; *p != '\0'; p++)
		ck_assert(*p > 0x20 && *p < 0x7f && *p == pw_lower(*p));
	if (_i == '.' || _i == '\\')
		return;
	ck_assert_int_eq(pw_dns_name(pw_bytes(raw, 3), out2), 0);
	ck_assert_str_eq(out, out2);
}
END_TEST

/* More bytes with an escape each than fit as text: refused, not cut. */
START_TEST(test_long_escapes)
{
	char in[300], out[PW_DNS_NAME_SIZE];
	size_t n = 0;

	while (n < 2 * 52) {
		in[n++] = 1;
		in[n++] = '.';
	}
	ck_assert_int_eq(pw_dns_name(pw_bytes(in, 2 * 51), out), 0);
	ck_assert_uint_eq(strlen(out), 51 * 5 - 1);
	ck_assert_int_eq(pw_dns_name(pw_bytes(in, 2 * 52), out), -1);
	memset(in, 1, 63);
	in[63] = '.';
	in[64] = 1;
	ck_assert_int_eq(pw_dns_name(pw_bytes(in, 63), out), 0);
	ck_assert_int_eq(pw_dns_name(pw_bytes(in, 65), out), -1);
}
END_TEST

START_TEST(test_key)
{
	char key[PW_DNS_KEY_SIZE], long_name[3000];

	ck_assert_int_eq(pw_dns_key("Example.TEST.", key), 0);
	ck_assert_str_eq(key, "example.test");
	ck_assert_int_eq(pw_dns_key("Bad..NAME", key), -1);
	ck_assert_str_eq(key, "bad..name");
	ck_assert_int_eq(pw_dns_key("", key), -1);
	ck_assert_str_eq(key, "");
	memset(long_name, 'A', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	ck_assert_int_eq(pw_dns_key(long_name, key), -1);
	ck_assert_uint_eq(strlen(key), PW_DNS_KEY_SIZE - 1);
	ck_assert_int_eq(key[0], 'a');
}
END_TEST

#define WIRE(s) s, sizeof(s) - 1

static const struct {
	const char *wire;
	size_t len;
	const char *text; /* NULL: malformed */
} wires[] = {
    {WIRE("\7EXAMPLE\4test\0"), "example.test"},
    {WIRE("\0"), ""},
    {WIRE("\3a.b\1\\\2\x01\xff\0"), "a\\046b.\\092.\\001\\255"},
    {WIRE(""), NULL},
    {WIRE("\7exampl"), NULL},
    {WIRE("\4test"), NULL},
    {WIRE("\4test\0x"), NULL},
    {WIRE("\4test\xc0\x00"), NULL},
    {WIRE("\x40" L63 "a\0"), NULL},
    {WIRE("\x3f" L63 "\x3f" L63 "\x3f" L63 "\x3d" L61 "\0"),
	L63 "." L63 "." L63 "." L61},
    {WIRE("\x3f" L63 "\x3f" L63 "\x3f" L63 "\x3e" L61 "a\0"), NULL},
};

START_TEST(test_wire)
{
	char out[PW_DNS_NAME_TEXT];
	/* An own block, so that a read behind the end is seen. */
	uint8_t *copy = malloc(wires[_i].len + 1);

	memcpy(copy + 1, wires[_i].wire, wires[_i].len);
	int n = pw_dns_name_text(copy + 1, wires[_i].len, out);
	free(copy);
	if (wires[_i].text == NULL) {
		ck_assert_int_eq(n, -1);
		return;
	}
	ck_assert_str_eq(out, wires[_i].text);
	ck_assert_int_eq(n, (int)strlen(out));
}
END_TEST

Suite *
pw_suite_dns_name(void)
{
	Suite *s = suite_create("dns/name");
	TCase *tc = tcase_create("name");

	tcase_add_loop_test(tc, test_name, 0, PW_COUNT(names));
	tcase_add_loop_test(tc, test_every_byte, 0, 256);
	tcase_add_test(tc, test_long_escapes);
	tcase_add_test(tc, test_key);
	tcase_add_loop_test(tc, test_wire, 0, PW_COUNT(wires));
	suite_add_tcase(s, tc);
	return s;
}
