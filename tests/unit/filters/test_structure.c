/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdio.h>
#include <string.h>

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
	tcase_add_test(tc, test_headers);
	tcase_add_test(tc, test_depth);
	suite_add_tcase(s, tc);
	return s;
}
