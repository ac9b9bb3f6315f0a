/* SPDX-License-Identifier: ISC */
#include <check.h>

#include "base/valid.h"
#include "filters/arc/arc.h"
#include "filters/arc/canon.h"

Suite *pw_suite_filters_arc(void);

/* ---- canonical forms -------------------------------------------------------- */

/* Compares by digest: FEED writes into a digest, which must be WANT's. */
static bool
same(struct pw_bytes in, const char *skip, bool body, bool relaxed,
    uint64_t left, const char *want)
{
	unsigned char a[PW_SHA256_LEN], b[PW_SHA256_LEN];
	const char *at = skip != NULL ? strstr(in.ptr, skip) : NULL;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	struct pw_canon c;

	ck_assert_int_eq(EVP_DigestInit_ex(md, EVP_sha256(), NULL), 1);
	pw_canon_init(&c, md);
	c.left = left;
	if (body)
		pw_canon_body(&c, in, relaxed);
	else
		pw_canon_field(&c, in, relaxed, at == NULL ? PW_BYTES_NONE :
		    pw_bytes(at, strlen(skip)));
	pw_canon_flush(&c);
	ck_assert(!c.failed);
	ck_assert_int_eq(EVP_DigestFinal_ex(md, a, NULL), 1);
	ck_assert_int_eq(EVP_Digest(want, strlen(want), b, NULL, EVP_sha256(),
	    NULL), 1);
	EVP_MD_CTX_free(md);
	return memcmp(a, b, sizeof(a)) == 0;
}

START_TEST(test_fields)
{
	static const struct {
		const char *in, *skip, *simple, *relaxed;
	} t[] = { { "A: X\r\n", NULL, "A: X", "a:X" },
		{ "B : Y\t\r\n\tZ  \r\n", NULL, "B : Y\t\r\n\tZ  ", "b:Y Z" },
		{ "C:\r\n", NULL, "C:", "c:" },
		{ "C: \r\n  \r\n", NULL, "C: \r\n  ", "c:" },
		{ "S: a=1; b= x y ; c", " x y ", "S: a=1; b=; c",
		    "s:a=1; b=; c" },
		{ "S: b=xy\r\n", "xy\r\n", "S: b=", "s:b=" },
		{ "S: b=\r\n\txy\r\n", "\r\n\txy\r\n", "S: b=", "s:b=" } };

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		struct pw_bytes in = pw_bytes_of(t[i].in);

		ck_assert_msg(same(in, t[i].skip, false, false, UINT64_MAX,
		    t[i].simple), "simple %zu", i);
		ck_assert_msg(same(in, t[i].skip, false, true, UINT64_MAX,
		    t[i].relaxed), "relaxed %zu", i);
	}
}
END_TEST

START_TEST(test_bodies)
{
	static const struct {
		const char *in, *simple, *relaxed;
	} t[] = { { "", "\r\n", "" }, { "\r\n\r\n", "\r\n", "" },
		{ "a", "a\r\n", "a\r\n" },
		{ " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n",
		    " C\r\nD E\r\n" },
		{ "a\r\n \r\n\r\nb\r\n", "a\r\n \r\n\r\nb\r\n",
		    "a\r\n\r\n\r\nb\r\n" },
		{ "a\r\n \r\n", "a\r\n \r\n", "a\r\n" } };

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		struct pw_bytes in = pw_bytes_of(t[i].in);
		char cut[64];

		ck_assert_msg(same(in, NULL, true, false, UINT64_MAX,
		    t[i].simple), "simple %zu", i);
		ck_assert_msg(same(in, NULL, true, true, UINT64_MAX,
		    t[i].relaxed), "relaxed %zu", i);
		for (size_t n = 0; n <= strlen(t[i].relaxed); n++) {
			memcpy(cut, t[i].relaxed, n);
			cut[n] = '\0';
			ck_assert(same(in, NULL, true, true, n, cut));
		}
	}
}
END_TEST

/* More than the buffer, in runs and in single octets. */
START_TEST(test_long)
{
	static char in[40000], want[40000];
	size_t n = 0;

	for (size_t i = 0; i < 9000; i++)
		n += (size_t)snprintf(in + n, sizeof(in) - n, "%s",
		    i % 7 == 0 ? "\t  " : "xyz");
	in[n] = '\0';
	memcpy(want, "s:", 2);
	n = 2;
	for (size_t i = 1; i < 9000; i++) {
		if (i % 7 == 0)
			want[n++] = ' ';
		else
			for (int k = 0; k < 3; k++)
				want[n++] = "xyz"[k];
	}
	want[n] = '\0';
	memmove(in + 2, in, strlen(in) + 1);
	memcpy(in, "S:", 2);
	ck_assert(same(pw_bytes_of(in), NULL, false, true, UINT64_MAX, want));
	ck_assert(same(pw_bytes_of(in), NULL, false, false, UINT64_MAX, in));
}
END_TEST

/* ---- base64 ------------------------------------------------------------------ */

START_TEST(test_base64)
{
	static const struct {
		const char *in, *out;
	} t[] = { { "", "" }, { "Zg==", "f" }, { "Zm8=", "fo" },
		{ "Zm9v", "foo" }, { "Zm9v\r\n\tYmFy", "foobar" },
		{ "Zm9vYg", "" }, { "Zg=x", "" }, { "Z===", "" },
		{ "Zm9v!", "" }, { "////", "\xff\xff\xff" } };
	unsigned char out[8];

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		size_t n = pw_dkim_base64(pw_bytes_of(t[i].in), out,
		    sizeof(out));

		ck_assert_msg(n == strlen(t[i].out) &&
		    memcmp(out, t[i].out, n) == 0, "row %zu", i);
		if (n > 0)
			ck_assert_uint_eq(pw_dkim_base64(pw_bytes_of(t[i].in),
			    out, n - 1), 0);
	}
}
END_TEST

/* ---- words of sealers ----------------------------------------------------------- */

START_TEST(test_vouches)
{
	static const struct {
		const char *in;
		bool want;
	} t[] = { { " mx.a.test; dmarc=pass", true },
		{ " mx.a.test; dmarc=pass header.from=b.test", true },
		{ " mx.a.test; dmarc=pass (p=none) header.from=B.Test", true },
		{ " mx.a.test; dmarc=pass header.from=x.b.test", false },
		{ " mx.a.test; dmarc=pass header.from=c.test", false },
		{ " mx.a.test; dmarc=fail", false }, { " mx.a.test", false },
		{ "", false }, { ";", false }, { " mx.a.test; none", false },
		{ " mx.a.test 1; dmarc=pass", true },
		{ " (c) mx.a.test (;dmarc=fail);\r\n\tdmarc/1=pass", true },
		{ " mx.a.test; dmarc=pass action=none header.from=b.test",
		    true },
		{ " mx.a.test; dkim=pass header.d=b.test", true },
		{ " mx.a.test; dkim=pass header.i=@b.test", true },
		{ " mx.a.test; dkim=pass header.d=c.test header.i=@b.test",
		    false },
		{ " mx.a.test; dkim=pass header.d=x.b.test", false },
		{ " mx.a.test; dkim=pass header.d=test", false },
		{ " mx.a.test; dkim=pass", false },
		{ " mx.a.test; dkim=fail header.d=b.test; spf=pass "
		  "smtp.mailfrom=a@b.test", true },
		{ " mx.a.test; spf=pass smtp.mailfrom=c.test", false },
		{ " mx.a.test; spf=pass smtp.helo=b.test", false },
		{ " mx.a.test; x=\"y; dmarc=pass\"", false },
		{ " mx.a.test; dkim=fail reason=\"; dmarc=pass\"", false },
		{ " mx.a.test; dkim=fail (; dmarc=pass", false },
		{ " mx.a.test; dkim=fail reason=\"; dmarc=pass", false },
		{ " mx.a.test; dmarc=passx", false },
		{ " mx.a.test; dmarc= pass", true },
		{ " mx.a.test; dmarc", false },
		{ " mx.a.test; = ; dmarc=pass", false } };

	for (size_t i = 0; i < PW_COUNT(t); i++)
		ck_assert_msg(pw_arc_vouches(pw_bytes_of(t[i].in),
		    "b.test") == t[i].want, "row %zu: %s", i, t[i].in);
	ck_assert(pw_arc_vouches(PW_LIT("m; dkim=pass header.d=b.test"),
	    "x.b.test"));
	ck_assert(!pw_arc_vouches(PW_LIT("m; dkim=pass header.d=b.test"),
	    "xb.test"));
	ck_assert(!pw_arc_vouches(PW_LIT("m; dmarc=pass"), ""));
}
END_TEST

START_TEST(test_from)
{
	static const struct {
		const char *in, *domain; /* NULL: none */
	} t[] = { { " a@b.test\r\n", "b.test" }, { " <a@B.Test>", "b.test" },
		{ " Ann (x@y.test) <a@b.test> (z)", "b.test" },
		{ " \"x@y.test\" <a@b.test>", "b.test" },
		{ " \"a\\\"@y.test\" <a@b.test>", "b.test" },
		{ " \"a b\"@b.test", "b.test" },
		{ " a@b.test, c@d.test", NULL }, { " x: a@b.test;", NULL },
		{ " a@y.test <a@b.test>", NULL }, { " Ann", NULL },
		{ "", NULL }, { " a@b", NULL }, { " a@[192.0.2.1]", NULL },
		{ " \"a@b.test", NULL }, { " a@b.test.", NULL },
		{ " a@", NULL }, { " @b.test", "b.test" } };

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		char out[256] = "";
		int rc = pw_arc_from_domain(pw_bytes_of(t[i].in), out);

		ck_assert_msg((rc == 0) == (t[i].domain != NULL), "row %zu: %s",
		    i, out);
		if (rc == 0)
			ck_assert_str_eq(out, t[i].domain);
	}
}
END_TEST

Suite *
pw_suite_filters_arc(void)
{
	Suite *s = suite_create("filters/arc");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, test_fields);
	tcase_add_test(tc, test_bodies);
	tcase_add_test(tc, test_long);
	tcase_add_test(tc, test_base64);
	tcase_add_test(tc, test_vouches);
	tcase_add_test(tc, test_from);
	suite_add_tcase(s, tc);
	return s;
}
