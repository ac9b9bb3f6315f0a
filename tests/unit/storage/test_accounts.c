/* SPDX-License-Identifier: ISC */
/* accounts.db: names in one form, what may be there, mass import. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "sql_rig.h"
#include "storage/accounts.h"
#include "storage/address.h"
#include "storage/password.h"
#include "storage/paths.h"

static struct pw_accounts *a;
static struct pw_err err;
static const char hash[] = "{ARGON2ID}$argon2id$v=19$m=16,t=2,p=1$"
			   "c29tZXNhbHQ$IMit9qkFULCMA/ViizL57cnTLOa5DiVM9eMwpA";

static void
setup(void)
{
	sql_setup();
	ck_assert_msg(pw_accounts_open(sql_dir, "%d/%u", true, &a, &err) == 0,
	    "%s", err.text);
}

static void
teardown(void)
{
	pw_accounts_close(&a);
	sql_teardown();
}

static void
ok(int rc)
{
	ck_assert_msg(rc == 0, "%s", err.text);
}

static void
fails(int rc, int code)
{
	ck_assert_int_eq(rc, -1);
	ck_assert_msg(err.code == code, "%d, not %d: %s", err.code, code,
	    err.text);
	ck_assert_str_ne(err.text, "");
}

static int
note(void *arg, const char *x, const char *y, uint64_t n)
{
	pw_strbuf_addf(arg, "%s,%s,%llu;", x, y, (unsigned long long)n);
	return 0;
}

static int
one_only(void *arg, const char *x, const char *y, uint64_t n)
{
	(void)note(arg, x, y, n);
	return 1;
}

static const char *
listed(int (*walk)(struct pw_accounts *, const char *, pw_accounts_each,
	   void *, struct pw_err *),
    const char *domain)
{
	static struct pw_strbuf sb;

	pw_strbuf_free(&sb);
	pw_strbuf_init(&sb, 65536);
	ok(walk(a, domain, note, &sb, &err));
	return pw_strbuf_cstr(&sb);
}

/* ---- one form ------------------------------------------------------------ */

static const struct {
	const char *given, *form; /* NULL: refused */
} addresses[] = {
	{ "alice@example.org", "alice@example.org" },
	{ "Alice@EXAMPLE.org", "alice@example.org" },
	{ "alice@example.org.", "alice@example.org" },
	{ "o'brien@example.org", "o'brien@example.org" },
	{ "a+b@example.org", "a+b@example.org" },
	{ "a;b@example.org", "a;b@example.org" }, /* canonical, but see own */
	/* Precomposed and decomposed, upper and lower: one form. */
	{ "J\xc3\xb6rg@example.org", "j\xc3\xb6rg@example.org" },
	{ "jo\xcc\x88rg@example.org", "j\xc3\xb6rg@example.org" },
	{ "J\xc3\x96RG@example.org", "j\xc3\xb6rg@example.org" },
	/* U-labels, A-labels, mixed case. */
	{ "x@b\xc3\xbc" "cher.example", "x@xn--bcher-kva.example" },
	{ "x@BU\xcc\x88" "CHER.example", "x@xn--bcher-kva.example" },
	{ "x@XN--BCHER-KVA.example", "x@xn--bcher-kva.example" },
	{ "x@b\xc3\xbc" "cher\xe3\x80\x82" "example",
	    "x@xn--bcher-kva.example" },
	{ "x@fa\xc3\x9f.example", "x@xn--fa-hia.example" },
	{ "example.org", "example.org" },
	{ "@example.org", NULL },
	{ "alice@", NULL },
	{ "alice@exa mple.org", NULL },
	{ "alice@-x.org", NULL },
	{ "alice@x-.org", NULL },
	{ "alice@x..org", NULL },
	{ "alice@.org", NULL },
	{ "alice@[192.0.2.1]", NULL },
	{ "alice@192.0.2.1", NULL },
	{ "alice@x'; DROP TABLE domain; --", NULL },
	{ "alice@\xff.org", NULL },
	{ "\xff@example.org", NULL },
	{ "alice@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	  "a.org",
	    NULL },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@x"
	  ".org",
	    NULL },
};

START_TEST(one_form)
{
	char out[320], again[320];
	int r = pw_accounts_canon(addresses[_i].given, out, &err);

	if (addresses[_i].form == NULL) {
		fails(r, EINVAL);
		return;
	}
	ok(r);
	ck_assert_str_eq(out, addresses[_i].form);
	ok(pw_accounts_canon(out, again, &err));
	ck_assert_str_eq(again, out);
}
END_TEST

static const char *const not_ours[] = { "a b@example.org", "a/b@example.org",
	"../x@example.org", ".a@example.org", "a.@example.org",
	"a..b@example.org", "\"a\"@example.org", "a,b@example.org",
	"a;b@example.org", "a\tb@example.org", "a@b@example.org",
	"a\xe2\x80\xae" "b@example.org", "a\xc2\xa0" "b@example.org",
	"<a>@example.org", "a\\b@example.org", "@example.org", "a" };

START_TEST(no_such_mailbox)
{
	ok(pw_accounts_domain_add(a, "example.org", &err));
	for (size_t i = 0; i < PW_COUNT(not_ours); i++)
		fails(pw_accounts_mailbox_add(a, not_ours[i], NULL, 0, &err),
		    EINVAL);
	ck_assert_str_eq(listed(pw_accounts_mailboxes, NULL), "");
}
END_TEST

/* ---- what may be there --------------------------------------------------- */

START_TEST(domains)
{
	struct pw_strbuf sb;

	ok(pw_accounts_domain_add(a, "Example.ORG", &err));
	ok(pw_accounts_domain_add(a, "b\xc3\xbc" "cher.example", &err));
	fails(pw_accounts_domain_add(a, "example.org.", &err), EEXIST);
	fails(pw_accounts_domain_add(a, "exa mple", &err), EINVAL);
	fails(pw_accounts_domain_remove(a, "none.org", &err), ENOENT);
	ok(pw_accounts_mailbox_add(a, "a@example.org", NULL, 0, &err));
	fails(pw_accounts_domain_remove(a, "example.org", &err), EBUSY);
	pw_strbuf_init(&sb, 4096);
	ok(pw_accounts_domains(a, note, &sb, &err));
	ck_assert_str_eq(pw_strbuf_cstr(&sb),
	    "example.org,,1;xn--bcher-kva.example,,0;");
	pw_strbuf_reset(&sb);
	ok(pw_accounts_domains(a, one_only, &sb, &err));
	ck_assert_str_eq(pw_strbuf_cstr(&sb), "example.org,,1;");
	pw_strbuf_free(&sb);
	ok(pw_accounts_mailbox_remove(a, "a@example.org", &err));
	ok(pw_accounts_domain_remove(a, "example.org", &err));
}
END_TEST

START_TEST(mailboxes)
{
	char path[300];

	fails(pw_accounts_mailbox_add(a, "a@example.org", NULL, 0, &err),
	    ENOENT);
	ok(pw_accounts_domain_add(a, "example.org", &err));
	ok(pw_accounts_mailbox_add(a, "Alice@Example.org", hash, 5000, &err));
	fails(pw_accounts_mailbox_add(a, "alice@example.org", NULL, 0, &err),
	    EEXIST);
	fails(pw_accounts_mailbox_add(a, "b@example.org", "", 0, &err), EINVAL);
	fails(pw_accounts_mailbox_add(a, "b@example.org", NULL, UINT64_MAX,
		  &err),
	    EINVAL);
	ok(pw_accounts_mailbox_quota(a, "ALICE@example.org", 7000, &err));
	fails(pw_accounts_mailbox_quota(a, "b@example.org", 1, &err), ENOENT);
	fails(pw_accounts_mailbox_passwd(a, "b@example.org", hash, &err),
	    ENOENT);
	ok(pw_accounts_mailbox_passwd(a, "alice@example.org", NULL, &err));
	ck_assert_str_eq(listed(pw_accounts_mailboxes, "example.org"),
	    "alice@example.org,example.org/alice,7000;");
	ck_assert_str_eq(listed(pw_accounts_mailboxes, "other.org"), "");
	ck_assert_int_eq(
	    pw_accounts_path(a, "alice@example.org", path, sizeof(path)), 0);
	ck_assert_str_eq(path, "example.org/alice");
	ck_assert_int_eq(pw_accounts_path(a, "alice@example.org", path, 5),
	    -1);
	ck_assert_int_eq(pw_accounts_path(a, "b@example.org", path, 300), -1);
	fails(pw_accounts_mailbox_remove(a, "b@example.org", &err), ENOENT);
	ok(pw_accounts_mailbox_remove(a, "alice@example.org", &err));
}
END_TEST

START_TEST(aliases)
{
	ok(pw_accounts_domain_add(a, "example.org", &err));
	ok(pw_accounts_mailbox_add(a, "a@example.org", NULL, 0, &err));
	ok(pw_accounts_mailbox_add(a, "b@example.org", NULL, 0, &err));
	ok(pw_accounts_alias_add(a, "Sales@example.org", "a@EXAMPLE.org",
	    &err));
	ok(pw_accounts_alias_add(a, "sales@example.org", "b@example.org",
	    &err));
	fails(pw_accounts_alias_add(a, "sales@example.org", "b@example.org",
		  &err),
	    EEXIST);
	ok(pw_accounts_alias_add(a, "@example.org", "sales@example.org",
	    &err));
	ok(pw_accounts_alias_add(a, "b@example.org", "a@example.org", &err));
	/* Elsewhere, nobody, not ours, itself, a circle. */
	fails(pw_accounts_alias_add(a, "x@example.org", "x@gmail.example",
		  &err),
	    ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "not forwarded"));
	fails(pw_accounts_alias_add(a, "x@other.org", "a@example.org", &err),
	    ENOENT);
	fails(pw_accounts_alias_add(a, "x@example.org", "@example.org", &err),
	    EINVAL);
	fails(pw_accounts_alias_add(a, "a@example.org", "a@example.org", &err),
	    ELOOP);
	fails(pw_accounts_alias_add(a, "a@example.org", "sales@example.org",
		  &err),
	    ELOOP);
	ck_assert_str_eq(listed(pw_accounts_aliases, "example.org"),
	    "@example.org,sales@example.org,0;b@example.org,a@example.org,0;"
	    "sales@example.org,a@example.org,0;"
	    "sales@example.org,b@example.org,0;");

	/* What others lead to stays. */
	fails(pw_accounts_mailbox_remove(a, "a@example.org", &err), EBUSY);
	fails(pw_accounts_alias_remove(a, "sales@example.org", NULL, &err),
	    EBUSY);
	ok(pw_accounts_alias_remove(a, "sales@example.org", "b@example.org",
	    &err));
	fails(pw_accounts_alias_remove(a, "sales@example.org", "b@example.org",
		  &err),
	    ENOENT);
	ok(pw_accounts_alias_remove(a, "@example.org", NULL, &err));
	ok(pw_accounts_alias_remove(a, "sales@example.org", NULL, &err));
	ok(pw_accounts_alias_remove(a, "b@example.org", NULL, &err));
	ok(pw_accounts_mailbox_remove(a, "a@example.org", &err));
}
END_TEST

START_TEST(chains)
{
	char from[64], to[64] = "a@example.org";
	int n = 0;

	ok(pw_accounts_domain_add(a, "example.org", &err));
	ok(pw_accounts_mailbox_add(a, to, NULL, 0, &err));
	for (; n < 20; n++) {
		(void)snprintf(from, sizeof(from), "a%d@example.org", n);
		if (pw_accounts_alias_add(a, from, to, &err) != 0)
			break;
		memcpy(to, from, sizeof(to));
	}
	ck_assert_int_eq(err.code, ELOOP);
	ck_assert_int_eq(n, 9);
}
END_TEST

/* Whatever is put in: no other table, no other row than asked for. */
START_TEST(nasty_input)
{
	char *shape = sql_shape(sql_path("accounts.db"));
	char text[400], out[320];

	ok(pw_accounts_domain_add(a, "example.org", &err));
	ok(pw_accounts_mailbox_add(a, "alice@example.org", hash, 0, &err));
	for (size_t i = 0; i < sql_nnasty; i++) {
		static const char *const forms[] = { "%s", "%s@example.org",
			"alice@%s", "@%s", "alice%s@example.org" };
		for (size_t k = 0; k < PW_COUNT(forms); k++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			(void)snprintf(text, sizeof(text), forms[k],
			    sql_nasty[i].ptr);
#pragma GCC diagnostic pop
			if (strcmp(text, "alice@example.org") == 0)
				continue; /* behind a NUL there is nothing */
			(void)pw_accounts_canon(text, out, &err);
			(void)pw_accounts_domain_remove(a, text, &err);
			(void)pw_accounts_mailbox_quota(a, text, 1, &err);
			(void)pw_accounts_alias_add(a, text, text, &err);
			(void)pw_accounts_alias_remove(a, text, text, &err);
			(void)pw_accounts_path(a, text, out, sizeof(out));
			(void)pw_accounts_mailbox_remove(a, text, &err);
		}
	}
	char *after = sql_shape(sql_path("accounts.db"));
	ck_assert_str_eq(shape, after);
	free(shape);
	free(after);
	ck_assert_str_eq(listed(pw_accounts_mailboxes, NULL),
	    "alice@example.org,example.org/alice,0;");
	ck_assert_str_eq(listed(pw_accounts_aliases, NULL), "");
}
END_TEST

/* ---- paths --------------------------------------------------------------- */

START_TEST(templates)
{
	static const struct {
		const char *text, *path; /* NULL: refused */
	} t[] = { { "%d/%u", "example.org/j\xc3\xb6rg" },
		{ "%d/%n/%u", "example.org/j\xc3\xb6/j\xc3\xb6rg" },
		{ "all/%u@%d", "all/j\xc3\xb6rg@example.org" },
		{ "%%/%u", "%/j\xc3\xb6rg" }, { "", NULL }, { "%d", NULL },
		{ "/%u", NULL }, { "../%u", NULL }, { "%u/", NULL },
		{ "a//%u", NULL }, { ".x/%u", NULL }, { "%x/%u", NULL },
		{ "%u%", NULL } };

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		struct pw_accounts *b;
		char path[300];
		sql_teardown();
		sql_setup();
		int r = pw_accounts_open(sql_dir, t[i].text, true, &b, &err);
		if (t[i].path == NULL) {
			fails(r, EINVAL);
			continue;
		}
		ok(r);
		ok(pw_accounts_domain_add(b, "example.org", &err));
		ok(pw_accounts_mailbox_add(b, "J\xc3\xb6rg@example.org", NULL,
		    0, &err));
		ok(pw_accounts_path(b, "j\xc3\xb6rg@example.org", path,
		    sizeof(path)));
		ck_assert_str_eq(path, t[i].path);
		pw_accounts_close(&b);
	}
}
END_TEST

START_TEST(two_in_one_place)
{
	struct pw_accounts *b;

	ok(pw_accounts_open(sql_dir, "%u", true, &b, &err));
	ok(pw_accounts_domain_add(b, "a.org", &err));
	ok(pw_accounts_domain_add(b, "b.org", &err));
	ok(pw_accounts_mailbox_add(b, "x@a.org", NULL, 0, &err));
	fails(pw_accounts_mailbox_add(b, "x@b.org", NULL, 0, &err), EEXIST);
	ck_assert_ptr_nonnull(strstr(err.text, "x@a.org"));
	pw_accounts_close(&b);
}
END_TEST

/* ---- the file ------------------------------------------------------------ */

START_TEST(the_file)
{
	struct pw_accounts *b;
	struct stat sb;
	uint64_t v = pw_accounts_version(a);

	ck_assert_int_eq(stat(sql_path("accounts.db"), &sb), 0);
	ck_assert_uint_eq(sb.st_mode & 0777, 0640);
	fails(pw_accounts_open(sql_path("none"), "%d/%u", false, &b, &err), 0);

	/* Its own changes, another handle's, and a file put in its place. */
	ok(pw_accounts_domain_add(a, "a.org", &err));
	ck_assert_uint_gt(pw_accounts_version(a), v);
	v = pw_accounts_version(a);
	ck_assert_uint_eq(pw_accounts_version(a), v);
	fails(pw_accounts_domain_add(a, "a.org", &err), EEXIST);
	ck_assert_uint_eq(pw_accounts_version(a), v);
	ok(pw_accounts_open(sql_dir, "%d/%u", false, &b, &err));
	ok(pw_accounts_domain_add(b, "b.org", &err));
	pw_accounts_close(&b);
	ck_assert_uint_gt(pw_accounts_version(a), v);
	v = pw_accounts_version(a);
	ck_assert_int_eq(rename(sql_path("accounts.db"), sql_path("old.db")),
	    0);
	ok(pw_accounts_open(sql_dir, "%d/%u", true, &b, &err));
	ok(pw_accounts_domain_add(b, "c.org", &err));
	pw_accounts_close(&b);
	ck_assert_uint_gt(pw_accounts_version(a), v);
	fails(pw_accounts_domain_remove(a, "a.org", &err), ENOENT);
	ok(pw_accounts_domain_remove(a, "c.org", &err));
}
END_TEST

START_TEST(locked_by_another)
{
	struct pw_db *db;
	const struct pw_db_opts opts = { .write = true, .busy_ms = 10 };

	ck_assert_int_eq(pw_db_open(sql_path("accounts.db"), PW_DB_ACCOUNTS,
			     &opts, &db, &err),
	    PW_DB_DONE);
	ck_assert_int_eq(pw_q_exec(db, PW_Q_ACC_BEGIN), PW_DB_DONE);
	fails(pw_accounts_domain_add(a, "a.org", &err), EBUSY);
	ck_assert_int_eq(pw_q_exec(db, PW_Q_ACC_ROLLBACK), PW_DB_DONE);
	ok(pw_accounts_domain_add(a, "a.org", &err));
	pw_db_close(&db);
}
END_TEST

/* For a loop's thread: it is told at once, and what is remembered serves. */
START_TEST(locked_without_patience)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_paths *p;
	uint64_t begin;
	bool locked = false;

	ok(pw_accounts_domain_add(a, "a.org", &err));
	ok(pw_accounts_mailbox_add(a, "x@a.org", NULL, 0, &err));
	ok(pw_accounts_mailbox_add(a, "y@a.org", NULL, 0, &err));
	p = pw_paths_new(a);
	ck_assert_str_eq(pw_paths_get(p, PW_LIT("x@a.org"), pool, &locked),
	    "a.org/x");
	ck_assert_ptr_null(pw_paths_get(p, PW_LIT("z@a.org"), pool, &locked));
	ck_assert(!locked);
	void *lock = sql_lock(sql_path("accounts.db"));
	(void)usleep(1100000); /* it looks for changes once a second */
	begin = pw_clock_mono_ms();
	ck_assert_str_eq(pw_paths_get(p, PW_LIT("x@a.org"), pool, &locked),
	    "a.org/x");
	ck_assert(!locked);
	ck_assert_ptr_null(pw_paths_get(p, PW_LIT("y@a.org"), pool, &locked));
	ck_assert(locked);
	ck_assert_uint_lt(pw_clock_mono_ms() - begin, 200);
	sql_unlock(lock);
	ck_assert_str_eq(pw_paths_get(p, PW_LIT("y@a.org"), pool, &locked),
	    "a.org/y");
	pw_paths_free(&p);
	pw_pool_free(&pool);
}
END_TEST

/* ---- passwords ----------------------------------------------------------- */

START_TEST(passwords)
{
	char one[PW_PASSWORD_HASH_SIZE], two[PW_PASSWORD_HASH_SIZE];

	ok(pw_password_hash(PW_LIT("se'cret\"; --"), one, &err));
	ok(pw_password_hash(PW_LIT("se'cret\"; --"), two, &err));
	ck_assert_str_ne(one, two);
	ck_assert(pw_password_is_hash(pw_bytes_of(one)));
	ck_assert(pw_password_fits(PW_LIT("se'cret\"; --"), one));
	ck_assert(!pw_password_fits(PW_LIT("secret"), one));
	ck_assert(!pw_password_fits(PW_LIT("secret"), "secret"));
	fails(pw_password_hash(PW_LIT(""), one, &err), 0);
	fails(pw_password_hash(PW_LIT("a\0b"), one, &err), 0);

	ck_assert(pw_password_is_hash(pw_bytes_of(hash)));
	ck_assert(pw_password_is_hash(PW_LIT("{SHA512-CRYPT}$6$x$y")));
	ck_assert(!pw_password_is_hash(PW_LIT("{PLAIN}secret")));
	ck_assert(!pw_password_is_hash(PW_LIT("{ARGON2ID}secret")));
	ck_assert(!pw_password_is_hash(PW_LIT("{ARGON2ID}$argon2id$")));
	ck_assert(!pw_password_is_hash(PW_LIT("{ARGON2ID}$argon2id$a b")));
	ck_assert(!pw_password_is_hash(PW_LIT("")));
}
END_TEST

static char *
kept_password(const char *address)
{
	static char text[256];
	struct pw_db *db;
	const struct pw_db_opts opts = { .write = true };

	/* The only reader of hashes is Dovecot: no statement of ours gives
	 * them back. */
	ck_assert_int_eq(pw_db_open(sql_path("accounts.db"), PW_DB_ACCOUNTS,
			     &opts, &db, &err),
	    PW_DB_DONE);
	pw_db_close(&db);
	char sql[400];
	(void)snprintf(sql, sizeof(sql),
	    "SELECT length(password) FROM mailbox WHERE address = '%s'",
	    address);
	(void)snprintf(text, sizeof(text), "%lld",
	    (long long)sql_number(sql_path("accounts.db"), sql));
	return text;
}

/* ---- import -------------------------------------------------------------- */

static int
import(struct pw_bytes text, size_t *n, struct pw_strbuf *report)
{
	pw_strbuf_init(report, 65536);
	return pw_accounts_import(a, text, n, report);
}

START_TEST(imports)
{
	struct pw_strbuf report, text;
	size_t n;

	ok(pw_accounts_domain_add(a, "example.org", &err));
	pw_strbuf_init(&text, 65536);
	pw_strbuf_adds(&text,
	    "\xef\xbb\xbf# people\r\n\r\n"
	    "A@example.org\r\n"
	    " b@example.org , pass word , 500M \n"
	    "c@example.org,\"a,b\"\"c\",1G\n"
	    "d@example.org,,2k\n"
	    "f@example.org,x,\n"
	    "e@example.org,");
	pw_strbuf_adds(&text, hash);
	int r = import(pw_strbuf_bytes(&text), &n, &report);
	ck_assert_msg(r == 0, "%s", pw_strbuf_cstr(&report));
	ck_assert_uint_eq(n, 6);
	ck_assert_uint_eq(report.len, 0);
	ck_assert_str_eq(listed(pw_accounts_mailboxes, NULL),
	    "a@example.org,example.org/a,0;"
	    "b@example.org,example.org/b,524288000;"
	    "c@example.org,example.org/c,1073741824;"
	    "d@example.org,example.org/d,2048;"
	    "e@example.org,example.org/e,0;f@example.org,example.org/f,0;");
	ck_assert_str_eq(kept_password("a@example.org"), "0");
	ck_assert_str_eq(kept_password("d@example.org"), "0");
	ck_assert_str_ne(kept_password("b@example.org"), "0");
	ck_assert_uint_eq(strtoul(kept_password("e@example.org"), NULL, 10),
	    strlen(hash));
	pw_strbuf_free(&text);
	pw_strbuf_free(&report);
}
END_TEST

START_TEST(all_or_nothing)
{
	static const struct {
		struct pw_bytes text;
		const char *says;
	} bad[] = {
		{ PW_LIT("a@example.org\nb b@example.org\nnobody\n"),
		    "line 2: \"b b@example.org\"" },
		{ PW_LIT("a@example.org\na@example.org\n"),
		    "line 2: a@example.org is there already" },
		{ PW_LIT("a@example.org\nx@other.org\n"),
		    "line 2: other.org is not one of our domains" },
		{ PW_LIT("a@example.org,\"x\"y,1\n"), "line 1: write address" },
		{ PW_LIT("a@example.org,\"x\",1Q\n"), "line 1: write address" },
		{ PW_LIT("a@example.org\nb@exa\0mple.org\n"),
		    "line 2: longer" },
	};
	struct pw_strbuf report;
	size_t n;

	ok(pw_accounts_domain_add(a, "example.org", &err));
	for (size_t i = 0; i < PW_COUNT(bad); i++) {
		ck_assert_int_eq(import(bad[i].text, &n, &report), -1);
		ck_assert_uint_eq(n, 0);
		ck_assert_msg(strncmp(pw_strbuf_cstr(&report), bad[i].says,
				  strlen(bad[i].says)) == 0,
		    "%s", pw_strbuf_cstr(&report));
		pw_strbuf_free(&report);
		ck_assert_str_eq(listed(pw_accounts_mailboxes, NULL), "");
	}
	/* Every error is told, up to a bound. */
	struct pw_strbuf text;
	pw_strbuf_init(&text, 1u << 20);
	for (int i = 0; i < 150; i++)
		pw_strbuf_adds(&text, "x\n");
	ck_assert_int_eq(import(pw_strbuf_bytes(&text), &n, &report), -1);
	ck_assert_ptr_nonnull(strstr(pw_strbuf_cstr(&report), "and 50 more"));
	pw_strbuf_free(&text);
	pw_strbuf_free(&report);
}
END_TEST

START_TEST(imports_thousands)
{
	struct pw_strbuf report, text;
	size_t n;

	ok(pw_accounts_domain_add(a, "example.org", &err));
	pw_strbuf_init(&text, 8u << 20);
	for (int i = 0; i < 20000; i++)
		pw_strbuf_addf(&text, "user%d@example.org,%s,1M\n", i, hash);
	ck_assert_int_eq(import(pw_strbuf_bytes(&text), &n, &report), 0);
	ck_assert_uint_eq(n, 20000);
	pw_strbuf_free(&text);
	pw_strbuf_free(&report);
}
END_TEST

Suite *pw_suite_storage_accounts(void);
Suite *
pw_suite_storage_accounts(void)
{
	Suite *s = suite_create("storage/accounts");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, one_form, 0, PW_COUNT(addresses));
	tcase_add_test(t, no_such_mailbox);
	tcase_add_test(t, domains);
	tcase_add_test(t, mailboxes);
	tcase_add_test(t, aliases);
	tcase_add_test(t, chains);
	tcase_add_test(t, nasty_input);
	tcase_add_test(t, templates);
	tcase_add_test(t, two_in_one_place);
	tcase_add_test(t, the_file);
	tcase_add_test(t, locked_by_another);
	tcase_add_test(t, locked_without_patience);
	tcase_add_test(t, passwords);
	tcase_add_test(t, imports);
	tcase_add_test(t, all_or_nothing);
	tcase_add_test(t, imports_thousands);
	suite_add_tcase(s, t);
	return s;
}
