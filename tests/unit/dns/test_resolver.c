/* SPDX-License-Identifier: ISC */
/*
 * The resolve role against a real authoritative server, asked through the
 * client: what types come back, how failures look, what is wrong with bad
 * options, and that it reads no file once it is made.
 */
#include "real.h"

#include <seccomp.h>

Suite *pw_suite_dns_resolver(void);

/* ---- what comes back --------------------------------------------------- */

static const struct {
	const char *name;
	uint16_t type;
	uint8_t status;
	uint16_t nrr;
	const char *has; /* one of the records */
	size_t len;
	uint16_t pref;
} cases[] = {
    {"a.test", PW_DNS_A, PW_DNS_OK, 2, "\xc0\0\2\2", 4, 0},
    {"A.TEST.", PW_DNS_AAAA, PW_DNS_OK, 1,
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16, 0},
    {"a.test", PW_DNS_MX, PW_DNS_OK, 2, "mx2.a.test", 10, 20},
    {"nullmx.test", PW_DNS_MX, PW_DNS_OK, 1, "", 0, 0},
    {"txt.test", PW_DNS_TXT, PW_DNS_OK, 3, "v=spf1 ip4:192.0.2.1 -all", 25, 0},
    {"txt.test", PW_DNS_TXT, PW_DNS_OK, 3, "\0\xff\"", 3, 0},
    {"test", PW_DNS_NS, PW_DNS_OK, 1, "ns.test", 7, 0},
    {"1.2.0.192.in-addr.arpa", PW_DNS_PTR, PW_DNS_OK, 1, "a.test", 6, 0},
    {"2.2.0.192.in-addr.arpa", PW_DNS_PTR, PW_DNS_NXDOMAIN, 0, NULL, 0, 0},
    {"c1.test", PW_DNS_A, PW_DNS_OK, 2, "\xc0\0\2\1", 4, 0},
    {"c1.test", PW_DNS_CNAME, PW_DNS_OK, 1, "c2.test", 7, 0},
    {"c1.test", PW_DNS_TXT, PW_DNS_NODATA, 0, NULL, 0, 0},
    {"gone.test", PW_DNS_A, PW_DNS_NXDOMAIN, 0, NULL, 0, 0},
    {"loop.test", PW_DNS_A, PW_DNS_SERVFAIL, 0, NULL, 0, 0},
    {"nowhere.test", PW_DNS_A, PW_DNS_NXDOMAIN, 0, NULL, 0, 0},
    {"a.test", PW_DNS_TXT, PW_DNS_NODATA, 0, NULL, 0, 0},
    {"x.y.wild.test", PW_DNS_A, PW_DNS_OK, 1, "\xc0\0\2\x09", 4, 0},
    {"WE\\.ird\\032x.test", PW_DNS_A, PW_DNS_OK, 1, "\xc0\0\2\7", 4, 0},
    {"_25._tcp.a.test", PW_DNS_TLSA, PW_DNS_OK, 1, "\3\1\1\0\xff", 5, 0},
    /* Not served there: refused. */
    {"elsewhere.example", PW_DNS_A, PW_DNS_SERVFAIL, 0, NULL, 0, 0},
    /* Answered by unbound itself. */
    {"localhost", PW_DNS_A, PW_DNS_OK, 1, "\x7f\0\0\1", 4, 0},
    {"x.onion", PW_DNS_A, PW_DNS_NXDOMAIN, 0, NULL, 0, 0},
    /* Never asked. */
    {"a..test", PW_DNS_A, PW_DNS_BADNAME, 0, NULL, 0, 0},
};

START_TEST(test_types)
{
	/* Twice: from the server and from the cache. */
	for (int twice = 0; twice < 2; twice++) {
		const struct pw_dns_answer *a =
		    ask(cases[_i].name, cases[_i].type);
		bool found = cases[_i].nrr == 0;

		ck_assert_msg(a->status == cases[_i].status, "%s: %s",
		    cases[_i].name, pw_dns_status_name(a->status));
		ck_assert_uint_eq(a->nrr, cases[_i].nrr);
		ck_assert(!a->secure);
		for (size_t i = 0; i < a->nrr; i++)
			found |= a->rr[i].pref == cases[_i].pref &&
				 pw_bytes_eq(a->rr[i].data,
				     pw_bytes(cases[_i].has, cases[_i].len));
		ck_assert(found);
		if (a->status == PW_DNS_OK && a->type != PW_DNS_A)
			ck_assert_uint_le(a->ttl, 60);
		if (a->status == PW_DNS_NXDOMAIN && *cases[_i].name != 'x')
			ck_assert_uint_le(a->ttl, 7);
	}
}
END_TEST

/* Above 1,232 bytes they come over TCP. */
START_TEST(test_large)
{
	const struct pw_dns_answer *a = ask("t4096.test", PW_DNS_TXT);

	ck_assert_uint_eq(a->status, PW_DNS_OK);
	ck_assert_uint_eq(a->nrr, 1);
	ck_assert_uint_eq(a->rr[0].data.len, 4096);
	a = ask("t4097.test", PW_DNS_TXT);
	ck_assert_uint_eq(a->status, PW_DNS_NODATA);
	ck_assert_uint_eq(a->dropped, 1);
	a = ask("tmany.test", PW_DNS_TXT);
	ck_assert_uint_eq(a->status, PW_DNS_OK);
	ck_assert_uint_eq(a->nrr, 40);
	for (size_t i = 0; i < a->nrr; i++)
		ck_assert_uint_eq(a->rr[i].data.len, 1000);
	a = ask("many.test", PW_DNS_A);
	ck_assert_uint_eq(a->nrr, PW_DNS_MAX_RR);
	ck_assert_uint_eq(a->dropped, 100 - PW_DNS_MAX_RR);
}
END_TEST

START_TEST(test_many_in_flight)
{
	static struct pw_dns_answer *a[NAMES];
	char name[32];

	for (int twice = 0; twice < 2; twice++) {
		for (int i = 0; i < NAMES; i++) {
			(void)snprintf(name, sizeof(name), "n%d.test", i);
			(void)begin(name, PW_DNS_A, 20000, &a[i]);
		}
		run_loop(20000);
		ck_assert_uint_eq(waiting, 0);
		for (int i = 0; i < NAMES; i++) {
			ck_assert_uint_eq(a[i]->status, PW_DNS_OK);
			ck_assert_uint_eq(a[i]->nrr, 1);
			ck_assert_int_eq(
			    (uint8_t)a[i]->rr[0].data.ptr[2], i / 250);
			ck_assert_int_eq(
			    (uint8_t)a[i]->rr[0].data.ptr[3], i % 250);
		}
	}
	ck_assert_uint_ge(stats().inlined, NAMES);
	ck_assert_uint_eq(stats().running, 0);
}
END_TEST

START_TEST(test_dnssec)
{
	struct pw_resolver_opts opts = options();
	const struct pw_dns_answer *a;

	pw_resolver_free(&resolver);
	opts.trust_anchor = anchor;
	open_resolver(&opts);
	a = ask("a.signed", PW_DNS_A);
	ck_assert_uint_eq(a->status, PW_DNS_OK);
	ck_assert(a->secure);
	ck_assert_uint_eq(a->nrr, 1);
	a = ask("nowhere.signed", PW_DNS_A);
	ck_assert(a->secure);
	ck_assert(a->status == PW_DNS_NXDOMAIN || a->status == PW_DNS_NODATA);
	a = ask("a.signed", PW_DNS_TXT);
	ck_assert(a->secure);
	ck_assert_uint_eq(a->status, PW_DNS_NODATA);
	a = ask("a.test", PW_DNS_A);
	ck_assert_uint_eq(a->status, PW_DNS_OK);
	ck_assert(!a->secure);

	/* A zone that should be signed and is not. */
	pw_resolver_free(&resolver);
	opts.trust_anchor = wrong_anchor;
	open_resolver(&opts);
	a = ask("a.test", PW_DNS_A);
	ck_assert_uint_eq(a->status, PW_DNS_BOGUS);
	ck_assert_uint_eq(a->nrr, 0);
	ck_assert(!a->secure);
	ck_assert_uint_ge(stats().bogus, 1);
}
END_TEST

/* ---- a dead name server ------------------------------------------------ */

START_TEST(test_dead)
{
	struct pw_dns_answer *a, *b;
	uint64_t start;

	pw_loop_step(loop, 0); /* its clock is that of the round */
	start = pw_clock_mono_ms();
	(void)begin("x.dead.test", PW_DNS_A, 200, &a);
	run_loop(5000);
	ck_assert_ptr_nonnull(a);
	ck_assert_uint_eq(a->status, PW_DNS_TIMEOUT);
	ck_assert_uint_ge(pw_clock_mono_ms() - start, 150);
	ck_assert_uint_lt(pw_clock_mono_ms() - start, 2000);
	/* Others are not held up, also by many such. */
	for (int i = 0; i < 300; i++) {
		char name[32];
		static struct pw_dns_answer *dead[300];

		(void)snprintf(name, sizeof(name), "d%d.dead.test", i);
		(void)begin(name, PW_DNS_A, 10000, &dead[i]);
	}
	pw_loop_step(loop, 0);
	start = pw_clock_mono_ms();
	(void)begin("n5.test", PW_DNS_A, 5000, &b);
	while (b == NULL)
		pw_loop_step(loop, 20);
	ck_assert_uint_eq(b->status, PW_DNS_OK);
	ck_assert_uint_lt(pw_clock_mono_ms() - start, 1000);
	/* tear_down() ends them all. */
}
END_TEST

START_TEST(test_cancel)
{
	struct pw_dns_answer *a, *b;
	struct pw_dns_query *q;

	q = begin("y.dead.test", PW_DNS_A, 5000, &a);
	(void)begin("a.test", PW_DNS_A, 5000, &b);
	for (int i = 0; i < 3; i++)
		pw_loop_step(loop, 5);
	pw_dns_cancel(&q);
	waiting--;
	run_loop(5000);
	ck_assert_uint_eq(b->status, PW_DNS_OK);
	for (int i = 0; i < 5; i++)
		pw_loop_step(loop, 5);
	ck_assert_ptr_null(a);
	ck_assert_uint_eq(stats().cancelled, 1);
	/* It runs on, and is counted. */
	ck_assert_uint_eq(stats().running, 1);
}
END_TEST

/* ---- making it --------------------------------------------------------- */

enum mistake {
	BAD_SERVER,
	NO_ANCHOR,
	BAD_ANCHOR,
	NO_HINTS,
	NO_CONFIG,
	BAD_CONFIG,
	MISTAKES
};

START_TEST(test_mistakes)
{
	static const char *const said[MISTAKES] = {"not-an-address",
	    "/nonexistent", "bad.key", "/nonexistent", "/nonexistent",
	    "bad.conf"};
	static const char *const bad[] = {"not-an-address"};
	struct pw_resolver_opts opts = options();
	struct pw_err err = {0};
	char bad_key[64], bad_conf[64];

	(void)snprintf(bad_key, sizeof(bad_key), "%s/bad.key", dir);
	(void)snprintf(bad_conf, sizeof(bad_conf), "%s/bad.conf", dir);
	switch (_i) {
	case BAD_SERVER:
		opts.servers = bad;
		break;
	case NO_ANCHOR:
		opts.trust_anchor = "/nonexistent";
		break;
	case BAD_ANCHOR:
		opts.trust_anchor = bad_key;
		break;
	case NO_HINTS:
		opts.root_hints = "/nonexistent";
		break;
	case NO_CONFIG:
		opts.config = "/nonexistent";
		break;
	default:
		opts.config = bad_conf;
		break;
	}
	ck_assert_ptr_null(pw_resolver_new(loop, &opts, &err));
	ck_assert_msg(strstr(err.text, said[_i]) != NULL, "%s", err.text);
	/* The one that works is not disturbed. */
	ck_assert_uint_eq(ask("a.test", PW_DNS_A)->status, PW_DNS_OK);
}
END_TEST

/* Two at a time, as while a new generation comes up. */
START_TEST(test_two)
{
	struct pw_resolver_opts opts = options();
	struct pw_resolver *first = resolver;

	ck_assert_uint_eq(ask("a.test", PW_DNS_A)->status, PW_DNS_OK);
	open_resolver(&opts);
	ck_assert_uint_eq(ask("a.test", PW_DNS_A)->status, PW_DNS_OK);
	pw_resolver_free(&first);
	ck_assert_uint_eq(ask("n1.test", PW_DNS_A)->status, PW_DNS_OK);
}
END_TEST

/* Without allow_loopback .test is unbound's own, and name servers that were
 * configured may still be on loopback. */
START_TEST(test_built_in)
{
	struct pw_resolver_opts opts = options();

	pw_resolver_free(&resolver);
	opts.allow_loopback = false;
	opts.config = NULL;
	open_resolver(&opts);
	ck_assert_uint_eq(ask("a.test", PW_DNS_A)->status, PW_DNS_NXDOMAIN);
	ck_assert_uint_eq(ask("a.signed", PW_DNS_A)->status, PW_DNS_OK);
}
END_TEST

/* Once it is made, a process that opens a file is killed.  Ends without a word,
 * since what sanitizers do at the end opens files. */
START_TEST(test_no_files)
{
	static const int calls[] = {SCMP_SYS(open), SCMP_SYS(openat),
	    SCMP_SYS(openat2), SCMP_SYS(execve), SCMP_SYS(stat),
	    SCMP_SYS(access)};
	struct pw_resolver_opts opts = options();
	scmp_filter_ctx filter;

	pw_resolver_free(&resolver);
	opts.trust_anchor = anchor;
	open_resolver(&opts);
	filter = seccomp_init(SCMP_ACT_ALLOW);
	for (size_t i = 0; i < PW_COUNT(calls); i++)
		ck_assert_int_eq(seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS,
				     calls[i], 0),
		    0);
	ck_assert_int_eq(seccomp_load(filter), 0);
	seccomp_release(filter);
	ck_assert(ask("a.signed", PW_DNS_A)->secure);
	ck_assert_uint_eq(ask("tmany.test", PW_DNS_TXT)->nrr, 40);
	ck_assert_uint_eq(ask("localhost", PW_DNS_A)->nrr, 1);
	pw_resolver_free(&resolver);
	_exit(7);
}
END_TEST

Suite *
pw_suite_dns_resolver(void)
{
	Suite *s = suite_create("dns/resolver");
	TCase *tc;

	if (!find_script()) {
		printf("dns/resolver: no dnsd.sh or no knotd: skipped\n");
		return s;
	}
	tc = tcase_create("resolver");
	tcase_set_timeout(tc, 60);
	tcase_add_unchecked_fixture(tc, start_server, stop_server);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, test_types, 0, PW_COUNT(cases));
	tcase_add_test(tc, test_large);
	tcase_add_test(tc, test_many_in_flight);
	tcase_add_test(tc, test_dnssec);
	tcase_add_test(tc, test_dead);
	tcase_add_test(tc, test_cancel);
	tcase_add_loop_test(tc, test_mistakes, 0, MISTAKES);
	tcase_add_test(tc, test_two);
	tcase_add_test(tc, test_built_in);
	if (getenv("CK_FORK") == NULL || strcmp(getenv("CK_FORK"), "no") != 0)
		tcase_add_exit_test(tc, test_no_files, 7);
	suite_add_tcase(s, tc);
	return s;
}
