/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/parts.h"
#include "filters/scanner.h"
#include "rig.h"

Suite *pw_suite_filters_structure(void);

static struct pw_meta *
parse(struct pw_pool *pool, const char *text)
{
	struct pw_msgview v;

	ck_assert_int_eq(pw_msgview_init(&v, pw_bytes_of(text), pool), 0);
	return pw_structure_meta(&v, pool);
}

START_TEST(test_parts)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_meta *m;

	pw_structure_init();
	m = parse(pool, "From: a@b.test\nContent-Type: multipart/mixed; "
	    "boundary=x\n\n--x\nContent-Type: text/html; charset=utf-8\n\n"
	    "<p>\n--x\nContent-Type: message/rfc822\n\nSubject: in\n\nbody\n"
	    "--x\nContent-Disposition: attachment; filename=\"a\\\"b\"\n"
	    "Content-Transfer-Encoding: base64\n\nAAAA\n--x--\n");
	ck_assert(!m->complex);
	ck_assert_ptr_nonnull(strstr(m->structure.ptr,
	    "{\"type\":\"multipart\",\"subtype\":\"mixed\""));
	ck_assert_ptr_nonnull(strstr(m->structure.ptr, "\"subtype\":\"html\","
	    "\"params\":{\"charset\":\"utf-8\"}"));
	ck_assert_ptr_nonnull(strstr(m->structure.ptr,
	    "\"subtype\":\"rfc822\""));
	ck_assert_ptr_nonnull(strstr(m->structure.ptr, "\"body\":{"));
	ck_assert_ptr_nonnull(strstr(m->structure.ptr,
	    "\"filename\":\"a\\\"b\""));
	ck_assert_ptr_nonnull(strstr(m->structure.ptr,
	    "\"encoding\":\"base64\""));
	pw_pool_free(&pool);
}
END_TEST

/* What stages get: leaves in order, decoded. */
START_TEST(test_decoded)
{
	static const char text[] = "Content-Type: multipart/mixed; "
	    "boundary=x\r\n\r\n--x\r\nContent-Type: text/html; "
	    "charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable"
	    "\r\n\r\na=3Db\r\n--x\r\nContent-Type: message/rfc822\r\n"
	    "\r\nSubject: in\r\n\r\ninner\r\n--x\r\n"
	    "Content-Type: application/zip\r\nContent-Disposition: "
	    "attachment; filename=\"a.zip\"\r\nContent-Transfer-Encoding: "
	    "base64\r\n\r\nUEsDBA==\r\n--x--\r\n";
	static const struct {
		const char *subtype, *name, *content;
		unsigned depth;
	} want[] = { { "html", "", "a=b", 1 }, { "plain", "", "inner", 2 },
		{ "zip", "a.zip", "PK\x03\x04", 1 } };
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_parts parts = { 0 };
	struct pw_msgview v;
	struct pw_part p;

	pw_structure_init();
	ck_assert_int_eq(pw_msgview_init(&v, pw_bytes_of(text), pool), 0);
	for (size_t i = 0; i < PW_COUNT(want); i++) {
		ck_assert_int_eq(pw_parts_get(&parts, &v, pool, i, &p), 0);
		ck_assert(pw_bytes_eq(pw_bytes(p.subtype.ptr, p.subtype.len),
		    pw_bytes_of(want[i].subtype)));
		ck_assert(pw_bytes_eq(pw_bytes(p.name.ptr, p.name.len),
		    pw_bytes_of(want[i].name)));
		ck_assert_msg(p.content.len >= strlen(want[i].content) &&
		    memcmp(p.content.ptr, want[i].content,
		    strlen(want[i].content)) == 0, "part %zu: %.*s", i,
		    (int)p.content.len, p.content.ptr);
		ck_assert_uint_eq(p.depth, want[i].depth);
		ck_assert_uint_eq(p.flags, 0);
	}
	ck_assert_int_eq(pw_parts_get(&parts, &v, pool, 3, &p), -1);
	/* Nothing that may not be parsed is. */
	parts = (struct pw_parts){ 0 };
	v.capped = true;
	ck_assert_int_eq(pw_parts_get(&parts, &v, pool, 0, &p), -1);
	pw_pool_free(&pool);
}
END_TEST

/* A tree deeper or wider than its bounds is cut, and so is what is decoded. */
START_TEST(test_decoded_bounds)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_parts parts = { 0 };
	struct pw_strbuf sb;
	struct pw_msgview v;
	struct pw_part p;
	char *block = pw_xcalloc(1, 1u << 20);

	memset(block, 'x', 1u << 20);
	pw_structure_init();
	pw_strbuf_init(&sb, 64u << 20);
	pw_strbuf_adds(&sb, "Content-Type: multipart/mixed; boundary=b\n\n");
	for (int i = 0; i < 40; i++) {
		pw_strbuf_adds(&sb, "--b\n\n");
		pw_strbuf_add(&sb, pw_bytes(block, 1u << 20));
		pw_strbuf_adds(&sb, "\n");
	}
	ck_assert_int_eq(pw_msgview_init(&v, pw_strbuf_bytes(&sb), pool), 0);
	ck_assert_int_eq(pw_parts_get(&parts, &v, pool, 0, &p), 0);
	ck_assert_uint_eq(p.content.len, 1u << 20);
	ck_assert_int_eq(pw_parts_get(&parts, &v, pool, 39, &p), 0);
	ck_assert_uint_eq(p.content.len, 0);
	ck_assert_uint_eq(p.flags, PW_PART_CLIPPED);
	ck_assert_uint_le(parts.bytes, PW_PARTS_BYTES_MAX);
	pw_strbuf_reset(&sb);
	parts = (struct pw_parts){ 0 };
	for (int i = 0; i < 60; i++)
		pw_strbuf_addf(&sb, "Content-Type: multipart/mixed; "
		    "boundary=b%d\n\n--b%d\n", i, i);
	pw_strbuf_adds(&sb, "\nend\n");
	ck_assert_int_eq(pw_msgview_init(&v, pw_strbuf_bytes(&sb), pool), 0);
	ck_assert_int_eq(pw_parts_get(&parts, &v, pool, 0, &p), -1);
	free(block);
	pw_strbuf_free(&sb);
	pw_pool_free(&pool);
}
END_TEST

START_TEST(test_headers)
{
	static const struct {
		const char *raw, *subject;
	} t[] = { { "=?iso-8859-1?q?=E4?=", "\xc3\xa4" },
		{ "=?koi8-r?b?8NLJ18XU?=",
		    "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82" },
		{ "a\r\n b", "a b" }, { "\xff\xfe", NULL },
		{ "=?utf-8?q?a=0D=0Ab?=", "a b" },
		{ "=?utf-8?q?=E2=80=AEx?=", "?x" } };

	pw_structure_init();
	for (size_t i = 0; i < PW_COUNT(t); i++) {
		struct pw_pool *pool = pw_pool_new(0);
		char text[256];
		struct pw_meta *m;

		snprintf(text, sizeof(text), "Subject: %s\r\nSubject: no\r\n"
		    "\r\n", t[i].raw);
		m = parse(pool, text);
		ck_assert(pw_is_utf8(m->subject));
		if (t[i].subject != NULL)
			ck_assert_str_eq(m->subject.ptr, t[i].subject);
		pw_pool_free(&pool);
	}
}
END_TEST

START_TEST(test_depth)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_strbuf sb;
	struct pw_meta *m;

	pw_structure_init();
	pw_strbuf_init(&sb, 1u << 20);
	for (int i = 0; i < 60; i++)
		pw_strbuf_addf(&sb, "Content-Type: multipart/mixed; "
		    "boundary=b%d\n\n--b%d\n", i, i);
	m = parse(pool, pw_strbuf_cstr(&sb));
	ck_assert(m->complex);
	ck_assert_uint_eq(m->structure.len, 0);
	pw_strbuf_free(&sb);
	pw_pool_free(&pool);
}
END_TEST

Suite *
pw_suite_filters_structure(void)
{
	Suite *s = suite_create("filters/structure");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, test_parts);
	tcase_add_test(tc, test_decoded);
	tcase_add_test(tc, test_decoded_bounds);
	tcase_add_test(tc, test_headers);
	tcase_add_test(tc, test_depth);
	suite_add_tcase(s, tc);
	return s;
}
