/* SPDX-License-Identifier: ISC */
/* filters/spf/record.c and macro.c: what is an SPF record, and what macros
 * stand for. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "filters/spf/macro.h"
#include "filters/spf/record.h"

Suite *pw_suite_filters_spf_record(void);

static struct pw_pool *pool;

static void
setup(void)
{
	pool = pw_pool_new(0);
}

static void
teardown(void)
{
	pw_pool_free(&pool);
}

static int
parse(const char *text, struct pw_spf_record *rec, struct pw_err *err)
{
	return pw_spf_record_parse(pw_bytes_of(text), pool, rec, err);
}

static const char *const good[] = {
    "v=spf1",
    "V=SPF1",
    "v=spf1 ",
    "v=spf1   -all   ",
    "v=spf1 a mx ptr all",
    "v=spf1 A MX PTR ALL",
    "v=spf1 +a -mx ~ptr ?all",
    "v=spf1 a/0 a/32 a//0 a//128 a/24//64",
    "v=spf1 a:example.com a:example.com. a:example.com/24",
    "v=spf1 mx:example.com//64 mx/8",
    "v=spf1 a:foo:bar/baz.example.com",
    "v=spf1 a:example.xn--zckzah a:example.a1-2b",
    "v=spf1 a:%{d} a:%{d}/24 a:x.%{D2R.-+,/_=}",
    "v=spf1 exists:%{l1r-}.%{i}.%{v}.%{h}.%{o}.%{p}.%{s}.x.com",
    "v=spf1 exists:a%%b.example.com exists:a%_b%-c.example.com",
    "v=spf1 include:%{d128} exists:%{l1234567890123456789}",
    "v=spf1 ip4:1.2.3.4 ip4:1.2.3.4/0 ip4:255.255.255.255/32",
    "v=spf1 ip6:::1 ip6:2001:db8::/32 ip6:::/0 ip6:::ffff:1.2.3.4/128",
    "v=spf1 redirect=example.com",
    "v=spf1 REDIRECT=%{d}.example.com Exp=why.example.com -all",
    "v=spf1 foo=bar x.y-z_1=%{d}/%{i} default=",
    "v=spf1 ip4=x all=y",
};

static const char *const bad[] = {
    "", "v=spf1a", "v=spf10 a", "v=spf2.0/pra -all", " v=spf1", "v=spf1\t-all",
    "v=spf1 -all\t", "v=spf1 \xc3\xa9", "v=spf1 foo", "v=spf1 --all",
    "v=spf1 - all", "v=spf1 all/8", "v=spf1 all:example.com", "v=spf1 allx",
    "v=spf1 all.", "v=spf1 include", "v=spf1 include:", "v=spf1 include/24",
    "v=spf1 include:example.com/24", "v=spf1 exists:example.com//24",
    "v=spf1 exists:", "v=spf1 ptr:", "v=spf1 ptr/0",
    "v=spf1 a:", "v=spf1 a:/24", "v=spf1 a/", "v=spf1 a/33", "v=spf1 a/024",
    "v=spf1 a/-1", "v=spf1 a//129", "v=spf1 a//", "v=spf1 a//64/24",
    "v=spf1 a///64", "v=spf1 a/4294967328", "v=spf1 a:museum",
    "v=spf1 a:museum.", "v=spf1 a:1.2.3.4", "v=spf1 a:example.com:8080",
    "v=spf1 a:example.-com", "v=spf1 a:example.com-", "v=spf1 a:example.c_m",
    "v=spf1 a:example..", "v=spf1 a:%{d}.", "v=spf1 a:%{d}x", "v=spf1 a:%{c}",
    "v=spf1 a:%{x}.example.com", "v=spf1 a:%{d0}.example.com",
    "v=spf1 a:%{dr2}.example.com", "v=spf1 a:%{d|}.example.com",
    "v=spf1 a:%{d.example.com", "v=spf1 a:%{}.example.com", "v=spf1 a:%{",
    "v=spf1 a:%", "v=spf1 a:%a.example.com", "v=spf1 a:%(ir).example.com",
    "v=spf1 ip4", "v=spf1 ip4:", "v=spf1 ip4/24", "v=spf1 ip4:1.2.3",
    "v=spf1 ip4:1.2.3.4.5", "v=spf1 ip4:1.2.3.256", "v=spf1 ip4:1.2.3.04",
    "v=spf1 ip4:1.2.3.4/", "v=spf1 ip4:1.2.3.4/33", "v=spf1 ip4:1.2.3.4/032",
    "v=spf1 ip4:1.2.3.4//32", "v=spf1 ip4:1.2.3.4:8080", "v=spf1 ip4:::1",
    "v=spf1 ip6:1.2.3.4", "v=spf1 ip6:::1/129", "v=spf1 ip6:2001:db8:::1",
    "v=spf1 ip6:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111",
    "v=spf1 redirect=", "v=spf1 -redirect=example.com",
    "v=spf1 redirect:example.com", "v=spf1 redirect=com",
    "v=spf1 redirect=a.com redirect=a.com",
    "v=spf1 exp=", "v=spf1 exp=%{r}.example.com", "v=spf1 exp=a.com exp=a.com",
    "v=spf1 1up=foo", "v=spf1 =all", "v=spf1 foo=%abc", "v=spf1 foo=%{c}",
    "v=spf1 -all a:museum", /* also behind what would match */
};

START_TEST(test_good)
{
	struct pw_spf_record rec;
	struct pw_err err;

	ck_assert_msg(
	    parse(good[_i], &rec, &err) == 0, "%s: %s", good[_i], err.text);
}
END_TEST

START_TEST(test_bad)
{
	struct pw_spf_record rec;
	struct pw_err err;

	ck_assert_msg(parse(bad[_i], &rec, &err) == -1, "%s", bad[_i]);
	ck_assert_uint_gt(strlen(err.text), 0);
	for (const char *p = err.text; *p != '\0'; p++)
		ck_assert(*p >= ' ' && *p <= '~');
}
END_TEST

/* Cut anywhere and kept where no terminator helps: ASan sees a byte too far. */
START_TEST(test_every_prefix)
{
	struct pw_spf_record rec;
	struct pw_err err;
	size_t len = strlen(good[_i]);

	for (size_t n = 0; n <= len; n++) {
		char *cut = malloc(n + (n == 0));

		memcpy(cut, good[_i], n);
		(void)pw_spf_record_parse(pw_bytes(cut, n), pool, &rec, &err);
		free(cut);
	}
}
END_TEST

START_TEST(test_nul)
{
	struct pw_spf_record rec;
	struct pw_err err;

	ck_assert_int_eq(pw_spf_record_parse(
			     PW_LIT("v=spf1 a:x.\0com -all"), pool, &rec, &err),
	    -1);
}
END_TEST

static void
check_bytes(struct pw_bytes b, const char *want)
{
	ck_assert_msg(pw_bytes_eq(b, pw_bytes_of(want)), "%.*s, not %s",
	    (int)b.len, b.ptr, want);
}

START_TEST(test_terms)
{
	struct pw_spf_record rec;
	struct pw_err err;

	ck_assert_int_eq(parse("v=spf1 ~a:x.com/24//64  redirect=y.com "
			       "-ip4:192.0.2.0/25 ?mx exp=z.com +all",
			     &rec, &err),
	    0);
	ck_assert_uint_eq(rec.nterms, 4);
	ck_assert_int_eq(rec.terms[0].mech, PW_SPF_A);
	ck_assert_int_eq(rec.terms[0].qualifier, PW_SPF_SOFTFAIL);
	check_bytes(rec.terms[0].text, "~a:x.com/24//64");
	check_bytes(rec.terms[0].spec, "x.com");
	ck_assert_uint_eq(rec.terms[0].bits4, 24);
	ck_assert_uint_eq(rec.terms[0].bits6, 64);
	ck_assert_int_eq(rec.terms[1].mech, PW_SPF_IP4);
	ck_assert_int_eq(rec.terms[1].qualifier, PW_SPF_FAIL);
	ck_assert_uint_eq(rec.terms[1].bits4, 25);
	ck_assert_int_eq(memcmp(rec.terms[1].net, "\xc0\0\2", 4), 0);
	ck_assert_int_eq(rec.terms[2].mech, PW_SPF_MX);
	ck_assert_int_eq(rec.terms[2].qualifier, PW_SPF_NEUTRAL);
	ck_assert_uint_eq(rec.terms[2].spec.len, 0);
	ck_assert_uint_eq(rec.terms[2].bits4, 32);
	ck_assert_uint_eq(rec.terms[2].bits6, 128);
	ck_assert_int_eq(rec.terms[3].qualifier, PW_SPF_PASS);
	ck_assert(rec.has_redirect);
	check_bytes(rec.redirect.spec, "y.com");
	check_bytes(rec.exp, "z.com");
}
END_TEST

START_TEST(test_limits)
{
	static char text[PW_SPF_MAX_RECORD + 2];
	struct pw_spf_record rec;
	struct pw_err err;
	size_t n = (size_t)snprintf(text, sizeof(text), "v=spf1");

	while (n + 2 <= PW_SPF_MAX_RECORD)
		n += (size_t)snprintf(text + n, sizeof(text) - n, " a");
	ck_assert_int_eq(parse(text, &rec, &err), 0);
	ck_assert_uint_eq(rec.nterms, (PW_SPF_MAX_RECORD - 6) / 2);
	snprintf(text + n, sizeof(text) - n, " ");
	ck_assert_int_eq(parse(text, &rec, &err), -1);

	for (int macros = PW_SPF_MAX_MACROS; macros < PW_SPF_MAX_MACROS + 2;
	     macros++) {
		n = (size_t)snprintf(text, sizeof(text), "v=spf1 a:");
		for (int i = 0; i < macros; i++)
			n += (size_t)snprintf(
			    text + n, sizeof(text) - n, "%%{i}");
		ck_assert_int_eq(parse(text, &rec, &err),
		    macros > PW_SPF_MAX_MACROS ? -1 : 0);
	}
}
END_TEST

/* ---- macros ------------------------------------------------------------ */

static const char *
validated(void *arg, const char *domain)
{
	ck_assert_str_eq(domain, "cur.example.com");
	return arg;
}

static struct pw_spf_request request;
static struct pw_spf_macro_env env = {
    &request, "cur.example.com", validated, NULL};

static void
set_request(const char *client, const char *local)
{
	request = (struct pw_spf_request){.domain = "email.example.com",
	    .local = local,
	    .helo = "helo.example.net",
	    .receiver = "mx.here.test",
	    .now = 1234567890};
	ck_assert_int_eq(pw_ip_parse(pw_bytes_of(client), &request.client), 0);
	env.arg = (void *)(uintptr_t) "p.example.com";
}

static const struct {
	const char *client, *local, *text, *want; /* NULL: none */
} macros[] = {
    /* the examples of RFC 7208 section 7.4 */
    {"192.0.2.3", "strong-bad", "%{s}", "strong-bad@email.example.com"},
    {"192.0.2.3", "strong-bad", "%{o}", "email.example.com"},
    {"192.0.2.3", "strong-bad", "%{d}", "cur.example.com"},
    {"192.0.2.3", "strong-bad", "%{o4}", "email.example.com"},
    {"192.0.2.3", "strong-bad", "%{o3}", "email.example.com"},
    {"192.0.2.3", "strong-bad", "%{o2}", "example.com"},
    {"192.0.2.3", "strong-bad", "%{o1}", "com"},
    {"192.0.2.3", "strong-bad", "%{or}", "com.example.email"},
    {"192.0.2.3", "strong-bad", "%{o2r}", "example.email"},
    {"192.0.2.3", "strong-bad", "%{l}", "strong-bad"},
    {"192.0.2.3", "strong-bad", "%{l-}", "strong.bad"},
    {"192.0.2.3", "strong-bad", "%{lr}", "strong-bad"},
    {"192.0.2.3", "strong-bad", "%{lr-}", "bad.strong"},
    {"192.0.2.3", "strong-bad", "%{l1r-}", "strong"},
    {"192.0.2.3", "strong-bad", "%{ir}.%{v}._spf.%{o2}",
	"3.2.0.192.in-addr._spf.example.com"},
    {"192.0.2.3", "strong-bad", "%{lr-}.lp._spf.%{o2}",
	"bad.strong.lp._spf.example.com"},
    {"2001:db8::cb01", "strong-bad", "%{ir}.%{v}._spf.%{o2}",
	"1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2."
	"ip6._spf.example.com"},
    /* the rest */
    {"2001:db8::cb01", "x", "%{c}", "2001:db8::cb01"},
    {"192.0.2.3", "x", "%{c} %{h} %{r} %{t} %{p}",
	"192.0.2.3 helo.example.net mx.here.test 1234567890 "
	"p.example.com"},
    {"192.0.2.3", NULL, "%{s}", "postmaster@email.example.com"},
    {"192.0.2.3", "", "%{l}", "postmaster"},
    {"192.0.2.3", "a.b-c.d", "%{l1-}", "c.d"},
    {"192.0.2.3", "a.b-c.d", "%{l2-}", "a.b.c.d"},
    {"192.0.2.3", "a.b-c.d", "%{l2.-}", "c.d"},
    {"192.0.2.3", "a.b-c.d", "%{lr-}", "c.d.a.b"},
    {"192.0.2.3", "a+b,c/d_e=f", "%{lr+,/_=}", "f.e.d.c.b.a"},
    {"192.0.2.3", "--", "%{l-}", ".."},
    {"192.0.2.3", "x", "%{i99999999999999999999}", "192.0.2.3"},
    {"192.0.2.3", "~a!b(c)*d'e/f", "%{L}", "~a%21b%28c%29%2Ad%27e%2Ff"},
    {"192.0.2.3", "x", "%% %_ %-", "%   %20"},
    {"192.0.2.3", "\xc3\xa9", "%{L}", "%C3%A9"},
    {"192.0.2.3", "\xc3\xa9", "%{l}", NULL},
    {"192.0.2.3", "a\nb", "%{l}", NULL},
    {"192.0.2.3", "x", "", NULL},
    {"192.0.2.3", "x", "a\tb", NULL},
    {"192.0.2.3", "x", "100%", NULL},
    {"192.0.2.3", "x", "%{x}", NULL},
    {"192.0.2.3", "x", "%{i", NULL},
};

START_TEST(test_text)
{
	char out[PW_SPF_MAX_TEXT + 1];
	int rc;

	set_request(macros[_i].client, macros[_i].local);
	rc = pw_spf_macro_text(pw_bytes_of(macros[_i].text), &env, out);
	ck_assert_int_eq(rc, macros[_i].want != NULL ? PW_OK : PW_FAIL);
	ck_assert_str_eq(out, macros[_i].want != NULL ? macros[_i].want : "");
}
END_TEST

START_TEST(test_text_length)
{
	char text[PW_SPF_MAX_TEXT + 2], out[PW_SPF_MAX_TEXT + 1];

	set_request("192.0.2.3", "x");
	memset(text, 'y', sizeof(text));
	ck_assert_int_eq(
	    pw_spf_macro_text(pw_bytes(text, PW_SPF_MAX_TEXT), &env, out),
	    PW_OK);
	ck_assert_uint_eq(strlen(out), PW_SPF_MAX_TEXT);
	ck_assert_int_eq(
	    pw_spf_macro_text(pw_bytes(text, sizeof(text)), &env, out),
	    PW_FAIL);
}
END_TEST

START_TEST(test_unknown_yet)
{
	char out[256];

	set_request("192.0.2.3", "x");
	env.arg = NULL;
	ck_assert_int_eq(
	    pw_spf_macro_domain(PW_LIT("%{p}.x.com"), &env, out), PW_AGAIN);
	ck_assert_int_eq(
	    pw_spf_macro_domain(PW_LIT("%{d}.x.com"), &env, out), PW_OK);
}
END_TEST

START_TEST(test_domain)
{
	static char local[PW_SPF_MAX_LOCAL + 100], full[4096];
	char out[256], spec[512], want[600];
	size_t n, from;

	set_request("192.0.2.3", "x");
	ck_assert_int_eq(pw_spf_macro_domain(PW_LIT("a.%{d}."), &env, out), 0);
	ck_assert_str_eq(out, "a.cur.example.com");

	/* whole labels go from the left until 253 are left */
	n = (size_t)snprintf(spec, sizeof(spec), "one.two.");
	for (int i = 0; i < 4; i++)
		n += (size_t)snprintf(spec + n, sizeof(spec) - n, "%057d.", i);
	snprintf(want, sizeof(want), "%scur.example.com", spec + 4);
	snprintf(spec + n, sizeof(spec) - n, "%%{d}");
	ck_assert_int_eq(pw_spf_macro_domain(pw_bytes_of(spec), &env, out), 0);
	ck_assert_str_eq(out, want);

	/* so far that only the end was kept */
	memset(local, 'l', sizeof(local) - 1);
	for (int i = 49; i < (int)sizeof(local) - 1; i += 50)
		local[i] = '.';
	set_request("192.0.2.3", local);
	ck_assert_int_eq(
	    pw_spf_macro_domain(
		PW_LIT("%{l}%{l}%{l}%{l}%{l}%{l}%{l}%{l}.x.com"), &env, out),
	    0);
	n = 0;
	for (int i = 0; i < 8; i++)
		n += (size_t)snprintf(full + n, sizeof(full) - n, "%.*s",
		    PW_SPF_MAX_LOCAL, local);
	n += (size_t)snprintf(full + n, sizeof(full) - n, ".x.com");
	for (from = n - 253; full[from - 1] != '.';)
		from++;
	ck_assert_str_eq(out, full + from);

	/* 253 may stay */
	for (int len = 252; len < 256; len++) {
		snprintf(spec, sizeof(spec), "%063d.%063d.%063d.%0*d.com", 1, 2,
		    3, len - 196, 4);
		ck_assert_uint_eq(strlen(spec), (size_t)len);
		ck_assert_int_eq(
		    pw_spf_macro_domain(pw_bytes_of(spec), &env, out), 0);
		ck_assert_str_eq(out, len <= 253 ? spec : spec + 64);
	}

	/* a label too long to keep leaves nothing */
	memset(local, 'l', sizeof(local) - 1);
	set_request("192.0.2.3", local);
	ck_assert_int_eq(pw_spf_macro_domain(PW_LIT("%{l}"), &env, out), 0);
	ck_assert_str_eq(out, "");
}
END_TEST

Suite *
pw_suite_filters_spf_record(void)
{
	Suite *s = suite_create("filters/spf/record");
	TCase *t = tcase_create("grammar");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, test_good, 0, (int)PW_COUNT(good));
	tcase_add_loop_test(t, test_bad, 0, (int)PW_COUNT(bad));
	tcase_add_loop_test(t, test_every_prefix, 0, (int)PW_COUNT(good));
	tcase_add_test(t, test_nul);
	tcase_add_test(t, test_terms);
	tcase_add_test(t, test_limits);
	suite_add_tcase(s, t);
	t = tcase_create("macros");
	tcase_add_loop_test(t, test_text, 0, (int)PW_COUNT(macros));
	tcase_add_test(t, test_text_length);
	tcase_add_test(t, test_unknown_yet);
	tcase_add_test(t, test_domain);
	suite_add_tcase(s, t);
	return s;
}
