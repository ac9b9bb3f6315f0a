/* SPDX-License-Identifier: ISC */
/* The accounts snapshot: who receives what, and snapshots that lie. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "sql_rig.h"
#include "storage/accounts.h"
#include "storage/snapshot.h"

static struct pw_accounts *a;
static struct pw_err err;
static struct pw_pool *pool;

static void
setup(void)
{
	sql_setup();
	pool = pw_pool_new(0);
	ck_assert_int_eq(pw_accounts_open(sql_dir, "%d/%u", true, &a, &err), 0);
}

static void
teardown(void)
{
	pw_accounts_close(&a);
	pw_pool_free(&pool);
	sql_teardown();
}

static void
ok(int rc)
{
	ck_assert_msg(rc == 0, "%s", err.text);
}

static uint64_t
usage(void *arg, struct pw_bytes mailbox)
{
	(void)arg;
	return mailbox.len;
}

static struct pw_snapshot *
snapshot(const char *postmaster)
{
	struct pw_snapshot *s;
	int fd = pw_accounts_snapshot(a, postmaster, usage, NULL, &err);

	ck_assert_msg(fd >= 0, "%s", err.text);
	ok(pw_snapshot_map(fd, &s, &err));
	ck_assert_uint_eq(pw_snapshot_version(s), pw_accounts_version(a));
	return s;
}

/* "code mailbox,mailbox" */
static const char *
who(const struct pw_snapshot *s, struct pw_bytes local, const char *domain,
    const char *delimiters)
{
	static char text[4096];
	struct pw_dest *dest;
	size_t n;
	enum pw_resolve_code code = pw_snapshot_resolve(s, local,
	    pw_bytes_of(domain), delimiters, pool, &dest, &n);
	int at = snprintf(text, sizeof(text), "%d", code);

	ck_assert(code == PW_RCPT_OK ? n > 0 : n == 0);
	for (size_t i = 0; i < n && i < 20; i++) {
		at += snprintf(text + at, sizeof(text) - (size_t)at, "%s%.*s",
		    i == 0 ? " " : ",", (int)dest[i].mailbox.len,
		    dest[i].mailbox.ptr);
		ck_assert_uint_eq(dest[i].usage, dest[i].mailbox.len);
		ck_assert_uint_gt(dest[i].path.len, 0);
	}
	return text;
}

static void
people(void)
{
	static const char *const boxes[] = { "alice@example.org",
		"bob@example.org", "a+b@example.org", "j\xc3\xb6rg@example.org",
		"carol@other.example", "x@xn--bcher-kva.example" };

	ok(pw_accounts_domain_add(a, "example.org", &err));
	ok(pw_accounts_domain_add(a, "other.example", &err));
	ok(pw_accounts_domain_add(a, "empty.example", &err));
	ok(pw_accounts_domain_add(a, "b\xc3\xbc" "cher.example", &err));
	for (size_t i = 0; i < PW_COUNT(boxes); i++)
		ok(pw_accounts_mailbox_add(a, boxes[i], NULL, 1000 + i, &err));
	ok(pw_accounts_alias_add(a, "sales@example.org", "alice@example.org",
	    &err));
	ok(pw_accounts_alias_add(a, "sales@example.org", "bob@example.org",
	    &err));
	ok(pw_accounts_alias_add(a, "all@example.org", "sales@example.org",
	    &err));
	ok(pw_accounts_alias_add(a, "all@example.org", "carol@other.example",
	    &err));
	ok(pw_accounts_alias_add(a, "all@example.org", "alice@example.org",
	    &err));
	/* A mailbox that is an alias as well. */
	ok(pw_accounts_alias_add(a, "bob@example.org", "carol@other.example",
	    &err));
	ok(pw_accounts_alias_add(a, "@other.example", "carol@other.example",
	    &err));
}

static const struct {
	struct pw_bytes local;
	const char *domain, *delimiters, *want;
} cases[] = {
	{ PW_LIT("alice"), "example.org", "+", "0 alice@example.org" },
	{ PW_LIT("ALICE"), "Example.ORG", "+", "0 alice@example.org" },
	{ PW_LIT("alice"), "example.org.", "+", "0 alice@example.org" },
	{ PW_LIT("nobody"), "example.org", "+", "1" },
	{ PW_LIT(""), "example.org", "+", "1" },
	{ PW_LIT("alice"), "elsewhere.example", "+", "2" },
	{ PW_LIT("alice"), "xample.org", "+", "2" },
	{ PW_LIT("alice"), "sub.example.org", "+", "2" },
	{ PW_LIT("alice"), "[192.0.2.1]", "+", "2" },
	{ PW_LIT("alice"), "example.org'--", "+", "2" },
	{ PW_LIT("alice"), "\xff", "+", "2" },
	{ PW_LIT("bob"), "example.org", "+",
	    "0 bob@example.org,carol@other.example" },
	{ PW_LIT("sales"), "example.org", "+",
	    "0 alice@example.org,bob@example.org,carol@other.example" },
	/* Each mailbox once. */
	{ PW_LIT("all"), "example.org", "+",
	    "0 alice@example.org,carol@other.example,bob@example.org" },
	{ PW_LIT("nobody"), "other.example", "+", "0 carol@other.example" },
	/* Sub-addresses: the whole name first, then the longest that is
	 * somebody. */
	{ PW_LIT("alice+x"), "example.org", "+", "0 alice@example.org" },
	{ PW_LIT("Alice+X+y"), "example.org", "+", "0 alice@example.org" },
	{ PW_LIT("a+b"), "example.org", "+", "0 a+b@example.org" },
	{ PW_LIT("a+b+c"), "example.org", "+", "0 a+b@example.org" },
	{ PW_LIT("sales+x"), "example.org", "+",
	    "0 alice@example.org,bob@example.org,carol@other.example" },
	{ PW_LIT("alice-x"), "example.org", "+", "1" },
	{ PW_LIT("alice-x"), "example.org", "+-", "0 alice@example.org" },
	{ PW_LIT("alice+x"), "example.org", "", "1" },
	{ PW_LIT("alice+x"), "example.org", NULL, "1" },
	{ PW_LIT("+alice"), "example.org", "+", "1" },
	{ PW_LIT("alice+"), "example.org", "+", "0 alice@example.org" },
	{ PW_LIT("alice++++++++++++++++"), "example.org", "+", "1" },
	/* What a quoted local part may hold. */
	{ PW_LIT("alice@example.org"), "example.org", "+", "1" },
	{ PW_LIT("alice\0"), "example.org", "+", "1" },
	{ PW_LIT("\0"), "example.org", "+", "1" },
	{ PW_LIT("' OR 1=1 --"), "example.org", "+", "1" },
	{ PW_LIT("x'/**/UNION/**/SELECT/**/X'00'--"), "other.example", "+",
	    "0 carol@other.example" },
	{ PW_LIT("\xff"), "example.org", "+", "1" },
	/* One form. */
	{ PW_LIT("J\xc3\x96RG"), "example.org", "+",
	    "0 j\xc3\xb6rg@example.org" },
	{ PW_LIT("jo\xcc\x88rg+x"), "example.org", "+",
	    "0 j\xc3\xb6rg@example.org" },
	{ PW_LIT("x"), "B\xc3\x9c" "CHER.example", "+",
	    "0 x@xn--bcher-kva.example" },
	{ PW_LIT("x"), "XN--bcher-KVA.example", "+",
	    "0 x@xn--bcher-kva.example" },
	/* Nobody is postmaster yet. */
	{ PW_LIT("postmaster"), "example.org", "+", "1" },
	{ PW_LIT("abuse"), "other.example", "+", "0 carol@other.example" },
	{ PW_LIT("Postmaster"), "", "+", "1" },
	{ PW_LIT("alice"), "", "+", "1" },
};

START_TEST(resolves)
{
	people();
	struct pw_snapshot *s = snapshot("");
	for (size_t i = 0; i < PW_COUNT(cases); i++)
		ck_assert_msg(strcmp(who(s, cases[i].local, cases[i].domain,
					 cases[i].delimiters),
				  cases[i].want) == 0,
		    "case %zu: %s, not %s", i,
		    who(s, cases[i].local, cases[i].domain,
			cases[i].delimiters),
		    cases[i].want);
	ck_assert(pw_snapshot_is_local(s, PW_LIT("EXAMPLE.org")));
	ck_assert(pw_snapshot_is_local(s, PW_LIT("b\xc3\xbc"
						  "cher.example")));
	ck_assert(!pw_snapshot_is_local(s, PW_LIT("alice@example.org")));
	ck_assert(!pw_snapshot_is_local(s, PW_LIT("")));
	struct pw_snapshot *t = pw_snapshot_ref(s);
	pw_snapshot_unref(&t);
	ck_assert_ptr_null(t);
	pw_snapshot_unref(&s);
}
END_TEST

START_TEST(long_names)
{
	people();
	struct pw_snapshot *s = snapshot("");
	char *text = malloc(100000);
	memset(text, 'a', 100000);
	for (size_t n = 0; n < 100000; n = n < 600 ? n + 1 : n * 2) {
		ck_assert_str_eq(who(s, pw_bytes(text, n), "example.org", "+"),
		    "1");
		ck_assert(!pw_snapshot_is_local(s, pw_bytes(text, n)));
		memset(text, '+', n);
		(void)who(s, pw_bytes(text, n), "example.org", "+");
		memset(text, 'a', n);
	}
	/* Lower-casing may make it longer: U+0130. */
	for (size_t n = 0; n + 2 < 300; n += 2) {
		memcpy(text + n, "\xc4\xb0", 2);
		ck_assert_str_eq(who(s, pw_bytes(text, n + 2), "example.org",
				     "+"),
		    "1");
	}
	free(text);
	pw_snapshot_unref(&s);
}
END_TEST

/* Own, configured, the domain's catch-all, any of ours, nobody. */
START_TEST(always_someone)
{
	people();
	struct pw_snapshot *s = snapshot("Bob@Example.org");
	ck_assert_str_eq(who(s, PW_LIT("postmaster"), "empty.example", "+"),
	    "0 bob@example.org,carol@other.example");
	ck_assert_str_eq(who(s, PW_LIT("Abuse+x"), "empty.example", "+"),
	    "0 bob@example.org,carol@other.example");
	ck_assert_str_eq(who(s, PW_LIT("PostMaster"), "", "+"),
	    "0 bob@example.org,carol@other.example");
	ck_assert_str_eq(who(s, PW_LIT("postmaster"), "nowhere.example", "+"),
	    "2");
	ck_assert_str_eq(who(s, PW_LIT("hostmaster"), "empty.example", "+"),
	    "1");
	pw_snapshot_unref(&s);

	/* Configured, but nobody: as if it were not. */
	s = snapshot("nobody@example.org");
	ck_assert_str_eq(who(s, PW_LIT("postmaster"), "empty.example", "+"),
	    "1");
	ck_assert_str_eq(who(s, PW_LIT("postmaster"), "other.example", "+"),
	    "0 carol@other.example");
	pw_snapshot_unref(&s);

	ok(pw_accounts_mailbox_add(a, "postmaster@example.org", NULL, 0,
	    &err));
	s = snapshot("");
	ck_assert_str_eq(who(s, PW_LIT("postmaster"), "empty.example", "+"),
	    "0 postmaster@example.org");
	ck_assert_str_eq(who(s, PW_LIT("abuse"), "example.org", "+"),
	    "0 postmaster@example.org");
	ck_assert_str_eq(who(s, PW_LIT("postmaster"), "", "+"),
	    "0 postmaster@example.org");
	pw_snapshot_unref(&s);

	/* The domain's own comes before what is configured. */
	ok(pw_accounts_alias_add(a, "abuse@example.org", "alice@example.org",
	    &err));
	s = snapshot("bob@example.org");
	ck_assert_str_eq(who(s, PW_LIT("abuse"), "example.org", "+"),
	    "0 alice@example.org");
	ck_assert_str_eq(who(s, PW_LIT("postmaster"), "example.org", "+"),
	    "0 postmaster@example.org");
	pw_snapshot_unref(&s);
}
END_TEST

/* Circles and chains that a hand put into the table. */
START_TEST(circles)
{
	people();
	sql_exec(sql_path("accounts.db"),
	    "INSERT INTO alias (source, target, domain) VALUES "
	    "('c1@example.org', 'c2@example.org', 1), "
	    "('c2@example.org', 'c3@example.org', 1), "
	    "('c3@example.org', 'c1@example.org', 1), "
	    "('self@example.org', 'self@example.org', 1), "
	    "('dead@example.org', 'nobody@example.org', 1), "
	    "('half@example.org', 'nobody@example.org', 1), "
	    "('half@example.org', 'alice@example.org', 1);"
	    "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n "
	    "WHERE i < 30) INSERT INTO alias (source, target, domain) SELECT "
	    "'d' || i || '@example.org', 'd' || (i + 1) || '@example.org', 1 "
	    "FROM n;"
	    "INSERT INTO alias (source, target, domain) VALUES "
	    "('d31@example.org', 'alice@example.org', 1);");
	struct pw_snapshot *s = snapshot("");
	ck_assert_str_eq(who(s, PW_LIT("c2"), "example.org", "+"), "3");
	ck_assert_str_eq(who(s, PW_LIT("self"), "example.org", "+"), "3");
	ck_assert_str_eq(who(s, PW_LIT("d0"), "example.org", "+"), "3");
	ck_assert_str_eq(who(s, PW_LIT("d23"), "example.org", "+"),
	    "0 alice@example.org");
	ck_assert_str_eq(who(s, PW_LIT("d21"), "example.org", "+"), "3");
	ck_assert_str_eq(who(s, PW_LIT("dead"), "example.org", "+"), "1");
	ck_assert_str_eq(who(s, PW_LIT("half"), "example.org", "+"),
	    "0 alice@example.org");
	pw_snapshot_unref(&s);
}
END_TEST

/* Many targets, and few that are reached on very many ways. */
START_TEST(too_many)
{
	struct pw_dest *dest;
	size_t n;

	people();
	sql_exec(sql_path("accounts.db"),
	    "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n "
	    "WHERE i < 1000) INSERT INTO mailbox (domain, address, path) "
	    "SELECT 1, 'm' || i || '@example.org', 'm' || i FROM n;"
	    "INSERT INTO alias (source, target, domain) SELECT "
	    "'every@example.org', address, 1 FROM mailbox WHERE path LIKE 'm%';"
	    "INSERT INTO alias (source, target, domain) SELECT "
	    "'most@example.org', address, 1 FROM mailbox WHERE path LIKE 'm%' "
	    "AND path <> 'm7';"
	    /* Nine levels of ten aliases, each to all of the next level. */
	    "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n "
	    "WHERE i < 9) INSERT INTO alias (source, target, domain) SELECT "
	    "'l' || a.i || 'x' || b.i || '@example.org', 'l' || (a.i + 1) || "
	    "'x' || c.i || '@example.org', 1 FROM n AS a, n AS b, n AS c "
	    "WHERE a.i < 9;"
	    "INSERT INTO alias (source, target, domain) SELECT 'l9x' || (id % "
	    "10) || '@example.org', address, 1 FROM mailbox WHERE path LIKE "
	    "'m1%';");
	struct pw_snapshot *s = snapshot("");
	ck_assert_int_eq(pw_snapshot_resolve(s, PW_LIT("every"),
			     PW_LIT("example.org"), "+", pool, &dest, &n),
	    PW_RCPT_TOO_MANY);
	ck_assert_int_eq(pw_snapshot_resolve(s, PW_LIT("most"),
			     PW_LIT("example.org"), "+", pool, &dest, &n),
	    PW_RCPT_OK);
	ck_assert_uint_eq(n, 1000);
	uint64_t t = pw_clock_mono_ms();
	ck_assert_int_eq(pw_snapshot_resolve(s, PW_LIT("l0x0"),
			     PW_LIT("example.org"), "+", pool, &dest, &n),
	    PW_RCPT_TOO_MANY);
	ck_assert_uint_lt(pw_clock_mono_ms() - t, 500);
	pw_snapshot_unref(&s);
}
END_TEST

/* ---- snapshots that lie -------------------------------------------------- */

static int
copy_of(const char *map, size_t n, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, map, n), (ssize_t)n);
	if (seals != 0)
		ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

START_TEST(lies)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_WRITE;
	struct pw_snapshot *s;
	struct stat sb;
	uint64_t random = 88172645463325252ull;

	people();
	int fd = pw_accounts_snapshot(a, "bob@example.org", usage, NULL, &err);
	ck_assert_int_ge(fd, 0);
	/* What we make is sealed against everything. */
	ck_assert_int_eq(fcntl(fd, F_GET_SEALS),
	    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	ck_assert_int_eq(fstat(fd, &sb), 0);
	size_t n = (size_t)sb.st_size;
	char *map = malloc(n), *lie = malloc(n);
	ck_assert_int_eq(pread(fd, map, n, 0), (ssize_t)n);
	(void)close(fd);

	ck_assert_int_eq(pw_snapshot_map(copy_of(map, n, 0), &s, &err), -1);
	ck_assert_int_eq(pw_snapshot_map(copy_of(map, n - 1, seals), &s, &err),
	    -1);
	ck_assert_int_eq(pw_snapshot_map(copy_of(map, 10, seals), &s, &err),
	    -1);
	ck_assert_int_eq(pw_snapshot_map(copy_of(map, 0, seals), &s, &err),
	    -1);
	for (int i = 0; i < 3000; i++) {
		memcpy(lie, map, n);
		for (int k = 0; k < 1 + i % 8; k++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			/* The header twice as often as its size says. */
			size_t at = (random >> 8) %
			    (i % 2 == 0 ? 256 : n);
			lie[at] = (char)(i % 3 == 0 ? 0xff : random);
		}
		if (pw_snapshot_map(copy_of(lie, n, seals), &s, &err) != 0)
			continue;
		for (size_t k = 0; k < PW_COUNT(cases); k++) {
			struct pw_dest *dest;
			size_t nd;
			pw_pool_reset(pool);
			(void)pw_snapshot_resolve(s, cases[k].local,
			    pw_bytes_of(cases[k].domain), "+", pool, &dest,
			    &nd);
			for (size_t d = 0; d < nd; d++)
				/* Readable, whatever it says. */
				(void)pw_hash(dest[d].path.ptr,
				    dest[d].path.len);
		}
		pw_snapshot_unref(&s);
	}
	free(map);
	free(lie);
}
END_TEST

START_TEST(a_hundred_thousand)
{
	char local[32];

	ok(pw_accounts_domain_add(a, "example.org", &err));
	sql_exec(sql_path("accounts.db"),
	    "BEGIN; WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 "
	    "FROM n WHERE i < 99999) INSERT INTO mailbox (domain, address, "
	    "path) SELECT 1, 'user' || i || '@example.org', 'example.org/user' "
	    "|| i FROM n; COMMIT;");
	uint64_t t = pw_clock_mono_ms();
	struct pw_snapshot *s = snapshot("");
	t = pw_clock_mono_ms() - t;
	/* Generous: tests run on busy machines, and under sanitizers. */
	ck_assert_msg(t < 3000, "%llu ms", (unsigned long long)t);
	t = pw_clock_mono_ns();
	for (int i = 0; i < 100000; i += 7) {
		int n = snprintf(local, sizeof(local), "user%d", i);
		struct pw_dest *dest;
		size_t nd;
		pw_pool_reset(pool);
		ck_assert_int_eq(pw_snapshot_resolve(s,
				     pw_bytes(local, (size_t)n),
				     PW_LIT("example.org"), "+", pool, &dest,
				     &nd),
		    PW_RCPT_OK);
	}
	t = (pw_clock_mono_ns() - t) / (100000 / 7);
	ck_assert_msg(t < 50000, "%llu ns a lookup", (unsigned long long)t);
	pw_snapshot_unref(&s);
}
END_TEST

Suite *pw_suite_storage_snapshot(void);
Suite *
pw_suite_storage_snapshot(void)
{
	Suite *s = suite_create("storage/snapshot");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, resolves);
	tcase_add_test(t, long_names);
	tcase_add_test(t, always_someone);
	tcase_add_test(t, circles);
	tcase_add_test(t, too_many);
	tcase_add_test(t, lies);
	tcase_add_test(t, a_hundred_thousand);
	suite_add_tcase(s, t);
	return s;
}
