/* SPDX-License-Identifier: ISC */
/* filters/dmarc: records, URIs, names, walks and author domains one by one;
 * whole cases are in dmarc_suite.py. */
#include <check.h>
#include <gmime/gmime.h>
#include <stdio.h>
#include <stdlib.h>

#include "filters/dmarc/dmarc.h"

Suite *pw_suite_filters_dmarc(void);

/* ---- records ---------------------------------------------------------------- */

/* "p sp np adkim aspf t psd", "void" where no policy can be taken from it. */
static const char *
shape(const struct pw_dmarc_record *r)
{
	static char out[64];

	if (r->void_policy)
		return "void";
	snprintf(out, sizeof(out), "%c%c%c %c%c %c%c",
	    pw_dmarc_policy_name(r->p)[0], pw_dmarc_policy_name(r->sp)[0],
	    pw_dmarc_policy_name(r->np)[0], r->strict_dkim ? 's' : 'r',
	    r->strict_spf ? 's' : 'r', r->testing ? 'y' : 'n',
	    "uny"[r->psd]);
	return out;
}

START_TEST(test_record)
{
	static const struct {
		const char *text, *shape; /* NULL: no policy record */
	} t[] = { { "v=DMARC1; p=none", "nnn rr nu" },
		{ "v=DMARC1;p=reject;", "rrr rr nu" },
		{ "v = DMARC1 ; p = Quarantine ", "qqq rr nu" },
		{ "V=DMARC1; P=reject", "rrr rr nu" },
		{ "v=DMARC1; p=reject; sp=none", "rnn rr nu" },
		{ "v=DMARC1; p=reject; np=none", "rrn rr nu" },
		{ "v=DMARC1; p=none; sp=quarantine; np=reject", "nqr rr nu" },
		{ "v=DMARC1; p=none; adkim=S; aspf=s; t=y; psd=y",
		    "nnn ss yy" },
		{ "v=DMARC1; p=none; psd=n; psd=y", "nnn rr nu" },
		{ "v=DMARC1; p=none; adkim=x; t=maybe", "nnn rr nu" },
		{ "v=DMARC1; p=reject; pct=0; ri=abc; rf=x", "rrr rr nu" },
		{ "v=DMARC1;; ; =x; p=reject; garbage", "rrr rr nu" },
		{ "v=DMARC1; adkim=s; p=reject", "rrr sr nu" },
		{ "v=DMARC1", "void" }, { "v=DMARC1;", "void" },
		{ "v=DMARC1; p=", "void" }, { "v=DMARC1; p=bogus", "void" },
		{ "v=DMARC1; p=reject; p=none", "void" },
		{ "v=DMARC1; p=reject; sp=x", "void" },
		{ "v=DMARC1; p=reject; np=x", "void" },
		{ "v=DMARC1; p=re\x01ject", "void" },
		{ "v=DMARC1; p=bogus; rua=nonsense", "void" },
		{ "v=DMARC1; rua=mailto:a@b.test", "nnn rr nu" },
		{ "v=DMARC1; p=x; sp=reject; rua=mailto:a@b.test",
		    "nnn rr nu" },
		{ "v=dmarc1; p=none", NULL }, { "v=DMARC10; p=none", NULL },
		{ "v=DMARC1 p=none", NULL }, { " v=DMARC1; p=none", NULL },
		{ "p=none; v=DMARC1", NULL }, { "", NULL }, { ";", NULL },
		{ "v=DMARC1\xc2\xa0; p=none", NULL }, { "DMARC1", NULL } };

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		struct pw_bytes b = pw_bytes_of(t[i].text);
		struct pw_dmarc_record r;
		int rc = pw_dmarc_record_parse(b, &r);

		ck_assert_msg((rc == 0) == (t[i].shape != NULL), "%s",
		    t[i].text);
		if (rc == 0)
			ck_assert_msg(strcmp(shape(&r), t[i].shape) == 0,
			    "%s: %s", t[i].text, shape(&r));
		for (size_t k = 0; k < b.len; k++)
			(void)pw_dmarc_record_parse(pw_bytes_sub(b, 0, k), &r);
	}
}
END_TEST

START_TEST(test_uri)
{
	static const struct {
		const char *list, *uris; /* each behind a space */
	} t[] = { { "mailto:a@b.test", " mailto:a@b.test" },
		{ "mailto:A@B.test!10m , mailto:c@d.test",
		    " mailto:A@B.test mailto:c@d.test" },
		{ "https://x.test/y", " https://x.test/y" },
		{ "mailto:a, a@b.test,, :x, mailto:@b, mailto:a@", "" },
		{ "mailto:a b@c.test", "" }, { "mailto:<a@b.test>", "" },
		{ "1x:y,x-y+z.1:y", " x-y+z.1:y" }, { "", "" }, { ",", "" } };

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		struct pw_bytes rest = pw_bytes_of(t[i].list), uri;
		char got[200] = "";

		while (pw_dmarc_uri_next(&rest, &uri)) {
			size_t n = strlen(got);

			snprintf(got + n, sizeof(got) - n, " %.*s",
			    (int)uri.len, uri.ptr);
		}
		ck_assert_str_eq(got, t[i].uris);
	}
}
END_TEST

/* ---- names ------------------------------------------------------------------ */

START_TEST(test_domain)
{
	static const struct {
		const char *in, *out; /* NULL: refused */
	} t[] = { { "A.Test", "a.test" }, { "a.test.", "a.test" },
		{ "localhost", "localhost" }, { "_x.a.test", "_x.a.test" },
		{ "b\xc3\xbc" "cher.test", "xn--bcher-kva.test" },
		{ "B\xc3\x9c" "CHER.test", "xn--bcher-kva.test" },
		{ "a\xe3\x80\x82test", "a.test" }, { "\xff.test", NULL },
		{ "", NULL }, { ".", NULL }, { "a..test", NULL },
		{ "[192.0.2.1]", NULL }, { "192.0.2.1", NULL },
		{ "a b.test", NULL }, { "-a.test", NULL },
		{ "a\x01.test", NULL } };

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		char out[PW_DNS_NAME_SIZE];
		int rc = pw_dmarc_domain(pw_bytes_of(t[i].in), out);

		ck_assert_msg((rc == 0) == (t[i].out != NULL), "%s", t[i].in);
		ck_assert_str_eq(out, t[i].out != NULL ? t[i].out : "");
	}
	ck_assert(pw_dmarc_within("a.b", "a.b"));
	ck_assert(pw_dmarc_within("a.b", "b"));
	ck_assert(!pw_dmarc_within("xb", "b"));
	ck_assert(!pw_dmarc_within("b", "a.b"));
	ck_assert(!pw_dmarc_within("b", ""));
}
END_TEST

START_TEST(test_psl)
{
	static const char *const t[][2] = { { "m.a.com", "a.com" },
		{ "a.com", "a.com" }, { "com", "com" },
		{ "x.a.co.uk", "a.co.uk" }, { "co.uk", "co.uk" },
		{ "a.b.c.kobe.jp", "b.c.kobe.jp" },
		{ "x.city.kobe.jp", "city.kobe.jp" },
		{ "m.me.github.io", "me.github.io" },
		{ "x.unknown-top", "x.unknown-top" } };
	struct pw_dmarc_psl *psl;
	char err[200];

	ck_assert_int_eq(pw_dmarc_psl_new("/nonexistent", &psl, err,
	    sizeof(err)), -1);
	ck_assert_ptr_nonnull(strstr(err, "/nonexistent"));
	ck_assert_int_eq(pw_dmarc_psl_new("", &psl, err, sizeof(err)), 0);
	for (size_t i = 0; i < PW_COUNT(t); i++)
		ck_assert_str_eq(pw_dmarc_psl_org(psl, t[i][0]), t[i][1]);
	pw_dmarc_psl_free(&psl);
}
END_TEST

/* ---- walks --------------------------------------------------------------------- */

struct world {
	const char *const (*answer)[2]; /* name, text or "!" for a failure */
	size_t n;
	bool silent; /* nothing is there yet */
	unsigned asked;
	char names[1024];
};

static int
ask(void *arg, const char *name, uint16_t type, struct pw_dns_reply *out)
{
	static struct pw_dns_record rr[8];
	struct world *w = arg;
	size_t n = strlen(w->names);

	ck_assert_uint_eq(type, PW_DNS_TXT);
	w->asked++;
	snprintf(w->names + n, sizeof(w->names) - n, " %s", name);
	*out = (struct pw_dns_reply){ .status = PW_DNS_NXDOMAIN };
	for (size_t i = 0; i < w->n; i++) {
		const char *text = w->answer[i][1];

		if (strcmp(w->answer[i][0], name) != 0)
			continue;
		out->status = text[0] == '!' ? PW_DNS_TIMEOUT : PW_DNS_OK;
		rr[out->count] = (struct pw_dns_record){ 0, { text,
			strlen(text) } };
		out->count++;
		out->record = rr;
	}
	return w->silent;
}

START_TEST(test_walk)
{
	static const char *const plain[][2] = {
		{ "_dmarc.a.test", "v=DMARC1; p=none" },
		{ "_dmarc.m.a.test", "v=DMARC1; p=reject" } };
	static const char *const psd[][2] = {
		{ "_dmarc.test", "v=DMARC1; p=none; psd=y" },
		{ "_dmarc.m.a.test", "v=DMARC1; p=reject" } };
	static const char *const own[][2] = {
		{ "_dmarc.test", "v=DMARC1; p=none" },
		{ "_dmarc.m.a.test", "v=DMARC1; p=reject; psd=n" } };
	static const char *const twice[][2] = {
		{ "_dmarc.a.test", "v=DMARC1; p=none" },
		{ "_dmarc.a.test", "v=DMARC1; p=none" } };
	static const char *const dead[][2] = {
		{ "_dmarc.a.test", "v=DMARC1; p=none" },
		{ "_dmarc.test", "!" } };
	static const struct {
		const char *const (*answer)[2];
		size_t n;
		const char *start, *org;
		int policy;
		unsigned asked;
		bool failure;
	} t[] = {
		{ plain, 2, "m.a.test", "a.test", 0, 3, false },
		{ plain, 2, "x.m.a.test", "a.test", 2, 4, false },
		{ plain, 2, "a.test", "a.test", 0, 2, false },
		{ plain, 2, "b.test", "b.test", -1, 2, false },
		{ plain, 0, "test", "test", -1, 1, false },
		{ psd, 2, "test", "test", 0, 1, false },
		{ psd, 2, "a.test", "a.test", 1, 2, false },
		{ psd, 2, "m.a.test", "a.test", 0, 3, false },
		{ psd, 2, "x.m.a.test", "a.test", 3, 4, false },
		{ own, 2, "x.m.a.test", "m.a.test", 1, 2, false },
		{ own, 2, "m.a.test", "m.a.test", 0, 1, false },
		{ own, 2, "a.test", "test", 1, 2, false },
		{ twice, 2, "a.test", "a.test", -1, 2, false },
		{ dead, 2, "a.test", "a.test", 0, 2, true },
		{ plain, 2, "1.2.3.4.5.6.7.8.9.m.a.test", "a.test", 6, 8,
		    false },
		{ psd, 1, "1.2.3.4.5.6.7.8.9.m.a.test", "a.test", 7, 8,
		    false },
		{ plain, 2, "1.2.3.4.5.6.7.test", "1.2.3.4.5.6.7.test", -1, 8,
		    false },
	};

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		struct world w = { .answer = t[i].answer, .n = t[i].n };
		struct pw_dmarc_source src = { ask, &w, NULL };
		struct pw_dmarc_walk walk;

		ck_assert_int_eq(pw_dmarc_walk(&src, t[i].start, &walk),
		    PW_OK);
		ck_assert_msg(strcmp(walk.org, t[i].org) == 0 &&
		    walk.policy == t[i].policy && w.asked == t[i].asked &&
		    (walk.failure != 0) == t[i].failure,
		    "case %zu: %s %d asked%s", i, walk.org, walk.policy,
		    w.names);
		w.silent = true;
		ck_assert_int_eq(pw_dmarc_walk(&src, t[i].start, &walk),
		    PW_AGAIN);
	}
}
END_TEST

/* A name that DNS cannot hold with _dmarc before it is never asked. */
START_TEST(test_long_name)
{
	struct world w = { 0 };
	struct pw_dmarc_source src = { ask, &w, NULL };
	struct pw_dmarc_walk walk;
	char name[254];

	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = i % 50 == 49 ? '.' : 'x';
	name[253] = '\0';
	ck_assert_int_eq(pw_dmarc_walk(&src, name, &walk), PW_OK);
	ck_assert_int_eq(walk.policy, -1);
	ck_assert_uint_eq(w.asked, 5);
}
END_TEST

/* ---- From ------------------------------------------------------------------------ */

START_TEST(test_from)
{
	static const struct {
		const char *value, *domains;
		bool fault;
	} t[] = { { " a@b.test\r\n", "b.test", false },
		{ " A B <a@B.test>\r\n", "b.test", false },
		{ " \"x@y.test\" <a@b.test>\r\n", "b.test", false },
		{ " a@b.test (x@y.test)\r\n", "b.test", false },
		{ " a\r\n <a@b.test>\r\n", "b.test", false },
		{ " \"a@x\"@b.test\r\n", "b.test", false },
		{ " a@b.test, c@d.test\r\n", "b.test d.test", false },
		{ " g: a@b.test, c@b.test;\r\n", "b.test", false },
		{ " =?utf-8?q?x=40y.test?= <a@b.test>\r\n", "b.test", false },
		{ " a@b.test,c@d.test,e@f.test,g@h.test,i@j.test\r\n",
		    "b.test d.test f.test h.test", false },
		{ "", "", true }, { " \r\n", "", true },
		{ " nobody\r\n", "", true }, { " a@[192.0.2.1]\r\n", "", true },
		{ " x@y.test <a@b.test>\r\n", "y.test b.test", true },
		{ " \"x <a@b.test>\r\n", "b.test", true },
		{ " (x <a@b.test>\r\n", "b.test", true },
		{ " <@y.test:a@b.test>\r\n", "b.test y.test", true },
		{ " a@b.test\x01\r\n", "b.test", true },
		{ " <a@b.test\r\n", "b.test", true } };

	g_mime_init();
	for (size_t i = 0; i < PW_COUNT(t); i++) {
		struct pw_dmarc_from f = { 0 };
		unsigned hits = 0, want = t[i].domains[0] != '\0';

		pw_dmarc_from_add(&f, pw_bytes_of(t[i].value));
		for (const char *p = t[i].domains; *p != '\0'; p++)
			want += *p == ' ';
		for (unsigned k = 0; k < f.n; k++)
			hits += strstr(t[i].domains, f.domain[k]) != NULL;
		ck_assert_msg(f.n == want && hits == want &&
		    (f.fault != NULL) == t[i].fault, "%s: %u %s %s",
		    t[i].value, f.n, f.domain[0],
		    f.fault != NULL ? f.fault : "-");
		ck_assert(f.more == (i == 9));
	}
}
END_TEST

Suite *
pw_suite_filters_dmarc(void)
{
	Suite *s = suite_create("filters/dmarc");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, test_record);
	tcase_add_test(tc, test_uri);
	tcase_add_test(tc, test_domain);
	tcase_add_test(tc, test_psl);
	tcase_add_test(tc, test_walk);
	tcase_add_test(tc, test_long_name);
	tcase_add_test(tc, test_from);
	suite_add_tcase(s, tc);
	return s;
}
