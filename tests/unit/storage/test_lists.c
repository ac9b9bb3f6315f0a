/* SPDX-License-Identifier: ISC */
/* Allow and block lists: what accounts take, and what the snapshot finds. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/valid.h"
#include "sql_rig.h"
#include "storage/accounts.h"
#include "storage/decision.h"
#include "storage/snapshot.h"

Suite *pw_suite_storage_lists(void);

static struct pw_accounts *a;
static struct pw_err err;

static void
setup(void)
{
	sql_setup();
	ck_assert_int_eq(pw_accounts_open(sql_dir, "%d/%u", true, &a, &err), 0);
	ck_assert_int_eq(pw_accounts_domain_add(a, "example.org", &err), 0);
	ck_assert_int_eq(pw_accounts_mailbox_add(a, "anna@example.org", NULL, 0,
	    &err), 0);
	ck_assert_int_eq(pw_accounts_mailbox_add(a, "otto@example.org", NULL, 0,
	    &err), 0);
}

static void
teardown(void)
{
	pw_accounts_close(&a);
	sql_teardown();
}

static int
add(enum pw_list_kind kind, const char *pattern, const char *recipient,
    int64_t expires)
{
	const struct pw_list_row row = { .e = { .kind = (uint8_t)kind,
		.pattern = pattern, .comment = "since", .action =
		kind == PW_LIST_BLOCK ? PW_ACT_HOLD : 0 },
		.recipient = recipient, .author = "root",
		.added_us = 1, .expires_us = expires };

	return pw_accounts_list_add(a, &row, &err);
}

START_TEST(takes)
{
	static const struct {
		const char *pattern, *recipient;
		int code; /* 0: taken */
	} t[] = {
		{ "Eva@Sender.Test", "", 0 },
		{ "eva@sender.test", "", EEXIST },
		{ "eva@sender.test", "example.org", 0 },
		{ "eva@sender.test", "Anna@Example.Org", 0 },
		{ "@Sender.test", "", 0 },
		{ "sender.test", "", EEXIST },
		{ "192.0.2.1", "", 0 },
		{ "192.0.2.1/32", "", EEXIST },
		{ "192.0.2.1/24", "", EINVAL },
		{ "2001:DB8::/32", "", 0 },
		{ "b\xc3\xbc" "cher.test", "", 0 },
		{ "xn--bcher-kva.test", "", EEXIST },
		{ "*.sender.test", "", EINVAL },
		{ "", "", EINVAL },
		{ "a b", "", EINVAL },
		{ "x.test", "other.org", ENOENT },
		{ "x.test", "nobody@example.org", ENOENT },
	};

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		int rc = add(PW_LIST_ALLOW, t[i].pattern, t[i].recipient, 0);

		ck_assert_msg(rc == (t[i].code == 0 ? 0 : -1) &&
		    (rc == 0 || err.code == t[i].code), "row %zu: %d %s", i,
		    err.code, err.text);
	}
	ck_assert_int_eq(add(PW_LIST_BLOCK, "sender.test", "", 0), 0);
	ck_assert_int_eq(add(PW_LIST_ALLOW, "late.test", "", 1000), -1);
	ck_assert_int_eq(pw_accounts_list_remove(a, PW_LIST_ALLOW,
	    "SENDER.test", "", &err), 0);
	ck_assert_int_eq(pw_accounts_list_remove(a, PW_LIST_ALLOW,
	    "sender.test", "", &err), -1);
	ck_assert_int_eq(err.code, ENOENT);
}
END_TEST

static int
count(void *arg, const struct pw_list_row *row)
{
	ck_assert_str_eq(row->author, "root");
	ck_assert_str_eq(row->e.comment, "since");
	++*(int *)arg;
	return 0;
}

START_TEST(go_with_their_mailbox)
{
	int n = 0;

	ck_assert_int_eq(add(PW_LIST_ALLOW, "x.test", "", 0), 0);
	ck_assert_int_eq(add(PW_LIST_ALLOW, "x.test", "anna@example.org", 0),
	    0);
	ck_assert_int_eq(pw_accounts_mailbox_remove(a, "anna@example.org",
	    &err), 0);
	ck_assert_int_eq(pw_accounts_lists(a, count, &n, &err), 0);
	ck_assert_int_eq(n, 1);
}
END_TEST

/* "SCOPEpattern SCOPEpattern": what fits, in order. */
static const char *
found(const struct pw_snapshot *s, const char *mailbox, const char *sender,
    const char *from, const char *client)
{
	static char text[1000];
	struct pw_list_entry e[PW_LIST_HITS];
	const struct pw_bytes names[] = { pw_bytes_of(sender),
		pw_bytes_of(from) };
	struct pw_list_query q = { .mailbox = pw_bytes_of(mailbox),
		.sender = names, .nsender = 2,
		.now_us = pw_clock_real_us() };
	size_t n, at = 0;

	(void)pw_ip_parse(pw_bytes_of(client), &q.client);
	n = pw_snapshot_lists(s, &q, e);
	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%d%s",
		    i > 0 ? " " : "", e[i].scope, e[i].pattern);
	return text;
}

START_TEST(finds)
{
	static const struct {
		const char *mailbox, *sender, *from, *client, *want;
	} t[] = {
		{ "anna@example.org", "", "", "", "" },
		{ "anna@example.org", "eva@good.test", "", "",
		    "0eva@good.test 2good.test" },
		{ "otto@example.org", "EVA@Good.Test", "", "", "2good.test" },
		{ "otto@example.org", "x@a.b.good.test", "", "",
		    "2good.test" },
		{ "otto@example.org", "x@notgood.test", "", "", "" },
		{ "otto@example.org", "x@test", "", "", "" },
		{ "otto@example.org", "", "x@good.test", "", "2good.test" },
		/* one entry, named by both */
		{ "otto@example.org", "x@good.test", "y@good.test", "",
		    "2good.test" },
		{ "anna@example.org", "", "", "192.0.2.77",
		    "1192.0.2.0/24 2192.0.2.77/32" },
		{ "otto@example.org", "", "", "192.0.2.78", "1192.0.2.0/24" },
		{ "otto@example.org", "", "", "192.0.3.1", "" },
		{ "x@other.test", "", "", "192.0.2.77", "2192.0.2.77/32" },
		{ "x@other.test", "", "", "2001:db8::1", "22001:db8::/32" },
		{ "x@other.test", "", "", "2001:db9::1", "" },
		{ "otto@example.org", "x@old.test", "", "", "" },
		{ "otto@example.org", "good.test\n", "@", "", "" },
	};
	struct pw_snapshot *s;
	int fd;

	ck_assert_int_eq(add(PW_LIST_ALLOW, "eva@good.test",
	    "anna@example.org", 0), 0);
	ck_assert_int_eq(add(PW_LIST_BLOCK, "good.test", "",
	    pw_clock_real_us() + 3600000000), 0);
	ck_assert_int_eq(add(PW_LIST_BLOCK, "192.0.2.0/24", "example.org", 0),
	    0);
	ck_assert_int_eq(add(PW_LIST_ALLOW, "192.0.2.77", "", 0), 0);
	ck_assert_int_eq(add(PW_LIST_ALLOW, "2001:db8::/32", "", 0), 0);
	ck_assert_int_eq(add(PW_LIST_BLOCK, "old.test", "",
	    pw_clock_real_us() + 10000), 0);
	(void)usleep(11000);
	fd = pw_accounts_snapshot(a, "", NULL, NULL, &err);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pw_snapshot_map(fd, &s, &err), 0);
	for (size_t i = 0; i < PW_COUNT(t); i++)
		ck_assert_msg(strcmp(found(s, t[i].mailbox, t[i].sender,
		    t[i].from, t[i].client), t[i].want) == 0, "row %zu: %s", i,
		    found(s, t[i].mailbox, t[i].sender, t[i].from,
			t[i].client));
	/* Only anna has an allow entry by name. */
	ck_assert(pw_snapshot_may_allow(s, PW_LIT("anna@example.org")));
	ck_assert(!pw_snapshot_may_allow(s, PW_LIT("otto@example.org")));
	pw_snapshot_unref(&s);
}
END_TEST

Suite *
pw_suite_storage_lists(void)
{
	Suite *s = suite_create("storage/lists");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, takes);
	tcase_add_test(tc, go_with_their_mailbox);
	tcase_add_test(tc, finds);
	suite_add_tcase(s, tc);
	return s;
}
