/* SPDX-License-Identifier: ISC */
/* Paths: our own table, and the vectors of other projects. */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "smtp/address.h"

#define L64 "1234567890123456789012345678901234567890123456789012345678901234"
#define L63 "123456789012345678901234567890123456789012345678901234567890123"

/* clang-format off */
static const struct {
	const char *in;
	enum pw_addr_fault fault;
	const char *local, *domain;
	bool utf8;
} paths[] = {
	{ "<a@b.test>", PW_ADDR_OK, "a", "b.test", false },
	{ "<A.B@B.Test>", PW_ADDR_OK, "A.B", "b.test", false },
	{ "<>", PW_ADDR_OK, "", "", false },
	{ "<postmaster>", PW_ADDR_OK, "postmaster", "", false },
	{ "<PostMaster>", PW_ADDR_OK, "PostMaster", "", false },
	{ "<root>", PW_ADDR_SYNTAX, NULL, NULL, false },
	{ "<\"a b\"@c.test>", PW_ADDR_OK, "a b", "c.test", false },
	{ "<\"a\\\"b\\\\\"@c.test>", PW_ADDR_OK, "a\"b\\", "c.test", false },
	{ "<\"\"@c.test>", PW_ADDR_OK, "", "c.test", false },
	{ "<\"a@b\"@c.test>", PW_ADDR_OK, "a@b", "c.test", false },
	{ "<@x.test:a@b.test>", PW_ADDR_OK, "a", "b.test", false },
	{ "<@x.test,@[192.0.2.1]:a@b.test>", PW_ADDR_OK, "a", "b.test", false },
	{ "<@x.test,a@b.test>", PW_ADDR_SYNTAX, NULL, NULL, false },
	{ "<a@[192.0.2.1]>", PW_ADDR_OK, "a", "[192.0.2.1]", false },
	{ "<a@[IPv6:2001:DB8::1]>", PW_ADDR_OK, "a", "[ipv6:2001:db8::1]", false },
	{ "<a@[2001:db8::1]>", PW_ADDR_SYNTAX, NULL, NULL, false },
	{ "<a@[256.0.0.1]>", PW_ADDR_SYNTAX, NULL, NULL, false },
	{ "<a@[192.0.2.1>", PW_ADDR_DOMAIN, NULL, NULL, false },
	{ "<a@192.0.2.1>", PW_ADDR_DOMAIN, NULL, NULL, false },
	{ "<a@b.test.>", PW_ADDR_DOMAIN, NULL, NULL, false },
	{ "<a@b..test>", PW_ADDR_DOMAIN, NULL, NULL, false },
	{ "<a@-b.test>", PW_ADDR_DOMAIN, NULL, NULL, false },
	{ "<a@>", PW_ADDR_SYNTAX, NULL, NULL, false },
	{ "<@b.test>", PW_ADDR_SYNTAX, NULL, NULL, false },
	{ "<a..b@c.test>", PW_ADDR_SYNTAX, NULL, NULL, false },
	{ "<.a@c.test>", PW_ADDR_SYNTAX, NULL, NULL, false },
	{ "<a.@c.test>", PW_ADDR_SYNTAX, NULL, NULL, false },
	{ "<a b@c.test>", PW_ADDR_SYNTAX, NULL, NULL, false },
	{ "a@b.test", PW_ADDR_SYNTAX, NULL, NULL, false },
	{ "<a@b.test", PW_ADDR_SYNTAX, NULL, NULL, false },
	{ "<a@b@c.test>", PW_ADDR_SYNTAX, NULL, NULL, false },
	{ "<a%b.test@c.test>", PW_ADDR_OK, "a%b.test", "c.test", false },
	{ "<b.test!a@c.test>", PW_ADDR_OK, "b.test!a", "c.test", false },
	{ "<" L64 "@c.test>", PW_ADDR_OK, L64, "c.test", false },
	{ "<1" L64 "@c.test>", PW_ADDR_LOCAL_LONG, NULL, NULL, false },
	{ "<a@" L63 "." L63 "." L63 "." L63 ".test>", PW_ADDR_DOMAIN_LONG,
	    NULL, NULL, false },
	{ "<" L64 "@" L63 "." L63 "." L63 ">", PW_ADDR_DOMAIN, NULL, NULL, false },
	{ "<" L64 "@" L63 "." L63 ".a" L63 "x>", PW_ADDR_DOMAIN, NULL, NULL,
	    false },
	{ "<" L64 "@a" L63 ">", PW_ADDR_OK, L64, NULL, false },
	{ "<a@B\xc3\x9c" "CHER.test>", PW_ADDR_OK, "a", "xn--bcher-kva.test", true },
	{ "<a@xn--BCHER-kva.test>", PW_ADDR_OK, "a", "xn--bcher-kva.test", false },
	{ "<\xc3\xa4@b.test>", PW_ADDR_OK, "\xc3\xa4", "b.test", true },
	{ "<\xff@b.test>", PW_ADDR_UTF8, NULL, NULL, false },
	{ "<\xc2\x85@b.test>", PW_ADDR_UTF8, NULL, NULL, false },
	{ "<\xe2\x80\xa8@b.test>", PW_ADDR_UTF8, NULL, NULL, false },
	{ "<a@\xff.test>", PW_ADDR_UTF8, NULL, NULL, false },
	{ "<;sh;@b.test>", PW_ADDR_SYNTAX, NULL, NULL, false },
	{ "<${run{x}}@b.test>", PW_ADDR_OK, "${run{x}}", "b.test", false },
	{ "<\"a\\", PW_ADDR_SYNTAX, NULL, NULL, false },
	{ "<\"a", PW_ADDR_SYNTAX, NULL, NULL, false },
	{ "<\"\t\"@b.test>", PW_ADDR_SYNTAX, NULL, NULL, false },
};
/* clang-format on */

START_TEST(test_paths)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_path p;
	size_t used;
	enum pw_addr_fault f = pw_path_parse(
	    pw_peer(pw_bytes_of(paths[_i].in)),
	    PW_PATH_NULL | PW_PATH_POSTMASTER, pool, &p, &used);

	if (strlen(paths[_i].in) > 60 && paths[_i].domain == NULL &&
	    paths[_i].fault == PW_ADDR_OK) {
		/* A label of 64 octets. */
		ck_assert_int_eq(f, PW_ADDR_DOMAIN);
		pw_pool_free(&pool);
		return;
	}
	ck_assert_msg(f == paths[_i].fault, "%s: %d, not %d", paths[_i].in, f,
	    paths[_i].fault);
	if (f == PW_ADDR_OK) {
		ck_assert_uint_eq(used, strlen(paths[_i].in));
		ck_assert(
		    pw_bytes_eq(p.local, pw_bytes_of(paths[_i].local)));
		ck_assert(
		    pw_bytes_eq(p.domain, pw_bytes_of(paths[_i].domain)));
		ck_assert_int_eq(p.utf8, paths[_i].utf8);
	}
	pw_pool_free(&pool);
}
END_TEST

/* Every prefix of every path: nothing is read beyond its end. */
START_TEST(test_prefixes)
{
	struct pw_pool *pool = pw_pool_new(0);
	size_t len = strlen(paths[_i].in);

	for (size_t n = 0; n < len; n++) {
		char *copy = malloc(n + 1);
		struct pw_path p;
		size_t used;

		memcpy(copy, paths[_i].in, n);
		ck_assert_int_ne(PW_ADDR_OK, pw_path_parse(
			pw_peer(pw_bytes(copy, n)), PW_PATH_NULL, pool, &p,
			&used));
		free(copy);
	}
	pw_pool_free(&pool);
}
END_TEST

/* Vectors that we answer differently, on purpose. */
static const char *const differ[] = {
	/* An IPv4 address must be a literal; labels obey the rules of DNS. */
	"user@127.0.0.1", "anne@127.0.0.1", "email@-example.com",
	/* Dots only between atoms, and no obsolete mixed forms. */
	".email@example.com", "email.@example.com", "email..email@example.com",
	"Abc..123@example.com", "Abc..@example.com",
	"much.\"more\\ unusual\"@example.com",
	"very.\"(),:;<>[]\".VERY.\"very@\\ \"very.unusual@strange.example.com",
	"Fred\\ Bloggs@example.com", "Joe.\\\\Blow@example.com",
	/* No comments, and nothing that is no IPv6 address. */
	"anne(comment)@example.com", "(comment)anne@example.com",
	"anne@example.com(comment)", "anne@machine(comment).  example",
	"anne@[IPv6::1]",
	/* 65 octets of local part. */
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	"@example.com",
	/* The null path is a path; what is behind a path is judged as
	 * parameters, by pw_param_mail(). */
	"<>", "<email@example.com> (Eric Mail)", "<test@example.com> ENVID=ab",
	"<test@example.com> ENVID=ab+0D+0Acd",
};

/* Further ones: parsed there with options that we do not have; UTF-8, which is
 * taken here and needs SMTPUTF8 in the session; underscores, which are taken in
 * domains; and what DNS cannot hold. */
static bool
is_deliberate(struct pw_bytes input, bool valid, json_t *v)
{
	const char *flags = json_string_value(json_object_get(v, "flags"));

	for (size_t i = 0; i < PW_COUNT(differ); i++)
		if (pw_bytes_has_prefix_ci(input, pw_bytes_of(differ[i])))
			return true;
	if (flags != NULL && flags[0] != '\0')
		return true;
	if (!pw_is_ascii(input) || pw_bytes_chr(input, '_') >= 0 ||
	    input.len > 253)
		return true;
	return valid && pw_bytes_chr(input, '@') < 0;
}

/* What of a vector is ours to parse; false: nothing. */
static bool
prepare(const char *kind, struct pw_bytes *b, bool *bare)
{
	ptrdiff_t at;

	if (kind == NULL || strcmp(kind, "username") == 0)
		return false;
	if (strcmp(kind, "command-line") == 0) {
		at = pw_bytes_chr(*b, ':');
		if (at < 0)
			return false;
		*b = pw_bytes_sub(*b, (size_t)at + 1, b->len);
	}
	*b = pw_bytes_trim(*b);
	*bare = strcmp(kind, "mailbox") == 0 ||
	    (strcmp(kind, "path") != 0 && pw_bytes_chr(*b, '<') < 0);
	return true;
}

START_TEST(test_vectors)
{
	const char *data = getenv("POSTWARD_DATA");
	char path[512], line[8192];
	FILE *f;
	unsigned good = 0, deliberate = 0, wrong = 0;

	(void)snprintf(path, sizeof(path), "%s/addresses/addresses.jsonl",
	    data != NULL ? data : "../shared/data");
	f = fopen(path, "r");
	if (f == NULL) {
		printf("skipped: no %s\n", path);
		return;
	}
	while (fgets(line, sizeof(line), f) != NULL) {
		json_t *v = json_loads(line, JSON_ALLOW_NUL, NULL);
		json_t *in = json_object_get(v, "input");
		bool valid = json_is_true(json_object_get(v, "valid"));
		const char *kind =
		    json_string_value(json_object_get(v, "kind"));
		struct pw_pool *pool = pw_pool_new(0);
		struct pw_path p;
		size_t used = 0;
		struct pw_bytes b =
		    pw_bytes(json_string_value(in), json_string_length(in));
		enum pw_addr_fault fault;
		bool bare;

		ck_assert_ptr_nonnull(v);
		if (!prepare(kind, &b, &bare)) {
			pw_pool_free(&pool);
			json_decref(v);
			continue;
		}
		if (bare)
			fault = pw_mailbox_parse(pw_peer(b), 0, pool, &p);
		else
			fault = pw_path_parse(pw_peer(b),
			    PW_PATH_NULL | PW_PATH_POSTMASTER, pool, &p,
			    &used);
		if (!bare && fault == PW_ADDR_OK && used != b.len &&
		    b.ptr[used] != ' ')
			fault = PW_ADDR_SYNTAX;
		if ((fault == PW_ADDR_OK) == valid) {
			good++;
		} else if (is_deliberate(b, valid, v)) {
			deliberate++;
		} else {
			wrong++;
			printf("%s %s: fault %d, theirs %s (%s)\n", kind,
			    b.ptr, fault, valid ? "valid" : "invalid",
			    json_string_value(json_object_get(v, "source")));
		}
		pw_pool_free(&pool);
		json_decref(v);
	}
	(void)fclose(f);
	printf("addresses: %u as theirs, %u different on purpose\n", good,
	    deliberate);
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

Suite *pw_suite_smtp_address(void);

Suite *
pw_suite_smtp_address(void)
{
	Suite *s = suite_create("smtp/address");
	TCase *tc = tcase_create("address");

	tcase_add_loop_test(tc, test_paths, 0, (int)PW_COUNT(paths));
	tcase_add_loop_test(tc, test_prefixes, 0, (int)PW_COUNT(paths));
	tcase_add_test(tc, test_vectors);
	suite_add_tcase(s, tc);
	return s;
}
