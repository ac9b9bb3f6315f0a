/* SPDX-License-Identifier: ISC */
#include <check.h>

#include "filters/dkim_sig.h"

Suite *pw_suite_filters_dkim(void);

#define BH "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
#define B "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define SIG(x) " v=1; a=rsa-sha256; d=a.test; s=k; h=from:to; bh=" BH "; b=" B x

START_TEST(test_signature)
{
	static const struct {
		const char *value, *fault; /* NULL: accepted */
	} t[] = { { SIG(""), NULL }, { SIG(";"), NULL },
		{ SIG(";\r\n\t c=relaxed/simple"), NULL },
		{ SIG("; i=x@sub.a.test; t=1; x=2; l=0; q=dns/txt"), NULL },
		{ SIG("; i=@a.test; unknown=1"), NULL },
		{ SIG(";;"), "tag list" }, { SIG("; =x"), "tag list" },
		{ SIG("; v=1"), "tag list" }, { SIG(";\r\nc=simple"), "tag" },
		{ SIG("; x=\x80"), "tag list" },
		{ SIG("; c=none"), "c=" }, { SIG("; q=dns/foo"), "q=" },
		{ SIG("; i=@b.test"), "within" },
		{ SIG("; i=@xa.test"), "within" },
		{ SIG("; i=a.test"), "i=" },
		{ SIG("; t=2; x=1"), "x= before" }, { SIG("; l=-1"), "l=" },
		{ SIG("; t=1x"), "t=" },
		{ " v=2; d=a.test", "v=" }, { " v=1; d=a", "d=" },
		{ " v=1; d=a.test", "s=" }, { "", "v=" },
		{ " v=1; a=x; d=a.test; s=k", "a=" },
		{ " v=1; a=rsa-sha256; d=a.test; s=k; bh=x", "bh=" },
		{ " v=1; a=rsa-sha256; d=a.test; s=k; bh=" BH "; b=!", "b=" },
		{ " v=1; a=rsa-sha256; d=a.test; s=k; h=to; bh=" BH "; b=" B,
		    "From" },
		{ " v=1; a=rsa-sha256; d=a.test; s=k; h=from::to; bh=" BH
		    "; b=" B, "empty name" } };

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		struct pw_pool *pool = pw_pool_new(0);
		struct pw_bytes v = pw_bytes_of(t[i].value);
		struct pw_dkim_sig sig;
		int rc = pw_dkim_sig_parse(v, pool, &sig);

		ck_assert_msg((rc == 0) == (t[i].fault == NULL), "%s: %s",
		    t[i].value, sig.fault);
		if (rc < 0)
			ck_assert_msg(strstr(sig.fault, t[i].fault) != NULL,
			    "%s: %s", t[i].value, sig.fault);
		for (size_t k = 0; k < v.len; k++)
			(void)pw_dkim_sig_parse(pw_bytes_sub(v, 0, k), pool,
			    &sig);
		pw_pool_free(&pool);
	}
}
END_TEST

START_TEST(test_body_len)
{
	static const struct {
		const char *body;
		unsigned simple, relaxed;
	} t[] = { { "", 2, 0 }, { "\r\n\r\n", 2, 0 }, { "a\r\n", 3, 3 },
		{ "a", 3, 3 }, { "a \t b \r\n\r\n\r\n", 8, 5 },
		{ " \r\n", 3, 0 }, { "a\r\n\r\nb\r\n", 8, 8 } };

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		struct pw_bytes b = pw_bytes_of(t[i].body);

		ck_assert_uint_eq(pw_dkim_body_len(b, false), t[i].simple);
		ck_assert_uint_eq(pw_dkim_body_len(b, true), t[i].relaxed);
	}
}
END_TEST

Suite *
pw_suite_filters_dkim(void)
{
	Suite *s = suite_create("filters/dkim");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, test_signature);
	tcase_add_test(tc, test_body_len);
	suite_add_tcase(s, tc);
	return s;
}
