/* SPDX-License-Identifier: ISC */
/* Questions to the index and the decisions, and answers as JSON. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "sql_rig.h"
#include "storage/address.h"
#include "storage/writer_private.h"

static struct pw_err err;

/* Subjects of what the filter finds, in order. */
static const char *
found(const struct pw_message_filter *f)
{
	static char text[4096];
	json_t *rows, *row;
	size_t i, at = 0;

	ck_assert_msg(pw_index_messages(rig.x, f, &rows, &err) == 0, "%s",
	    err.text);
	text[0] = '\0';
	json_array_foreach(rows, i, row)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s;",
		    sql_str(row, "subject"));
	json_decref(rows);
	return text;
}

static void
five_mails(struct pw_id id[5])
{
	static const char *const subjects[5] = { "One", "Two 100%", "Three_x",
		"Four \\ four", "F\xc3\xbcnf" };
	uint64_t t = 0;

	for (size_t i = 0; i < 5; i++) {
		char mid[32];
		int n = snprintf(mid, sizeof(mid), "<%zu@example.org>", i);
		struct sql_mail m = { .subject = pw_bytes_of(subjects[i]),
			.message_id = pw_bytes(mid, (size_t)n),
			.from = i % 2 == 0 ? PW_LIT("Odd <odd@example.org>") :
					     PW_LIT("even@example.org"),
			.folder = i == 4 ? "Junk" : "",
			.mailbox = i == 3 ? PW_LIT("bob@example.test") :
					    PW_LIT(ALICE) };
		t = sql_deliver(rig.w, &m);
		id[i] = m.id;
		(void)usleep(2000);
	}
	sql_wait(rig.w, t);
}

START_TEST(filters)
{
	struct pw_id id[5];
	int64_t middle;

	five_mails(id);
	middle = sql_number(sql_path("index.db"),
	    "SELECT internal_us FROM file ORDER BY id LIMIT 1 OFFSET 2");
	const struct {
		struct pw_message_filter f;
		const char *want;
	} t[] = {
		{ { 0 }, "F\xc3\xbcnf;Four \\ four;Three_x;Two 100%;One;" },
		{ { .mailbox = ALICE }, "F\xc3\xbcnf;Three_x;Two 100%;One;" },
		{ { .mailbox = "Alice@EXAMPLE.test" },
		    "F\xc3\xbcnf;Three_x;Two 100%;One;" },
		{ { .mailbox = ALICE, .folder = "" },
		    "Three_x;Two 100%;One;" },
		{ { .mailbox = ALICE, .folder = "Junk" }, "F\xc3\xbcnf;" },
		{ { .folder = "Junk" }, "F\xc3\xbcnf;" },
		{ { .mailbox = "nobody@example.test" }, "" },
		{ { .mailbox = "' OR 1=1 --" }, "" },
		{ { .subject = "t" }, "Three_x;Two 100%;" },
		{ { .subject = "100%" }, "Two 100%;" },
		{ { .subject = "%" }, "Two 100%;" },
		{ { .subject = "_" }, "Three_x;" },
		{ { .subject = "\\" }, "Four \\ four;" },
		{ { .subject = "" },
		    "F\xc3\xbcnf;Four \\ four;Three_x;Two 100%;One;" },
		{ { .subject = "\xc3\xbc" }, "F\xc3\xbcnf;" },
		{ { .from = "ODD@" }, "F\xc3\xbcnf;Three_x;One;" },
		{ { .to = "bob" }, "Four \\ four;" },
		{ { .text = "even" }, "Four \\ four;Two 100%;" },
		{ { .text = "ONE" }, "One;" },
		{ { .text = "x'/**/UNION" }, "" },
		{ { .from = "odd", .subject = "one" }, "One;" },
		{ { .id = id[1].s }, "Two 100%;" },
		{ { .id = id[1].s, .mailbox = "bob@example.test" }, "" },
		{ { .id = "' OR 1=1 --" }, "" },
		{ { .message_id = "<2@example.org>" }, "Three_x;" },
		{ { .message_id = "2@example.org" }, "Three_x;" },
		{ { .message_id = "<none@example.org>" }, "" },
		{ { .limit = 2 }, "F\xc3\xbcnf;Four \\ four;" },
		{ { .limit = 2, .offset = 2 }, "Three_x;Two 100%;" },
		{ { .limit = -5, .offset = -5 },
		    "F\xc3\xbcnf;Four \\ four;Three_x;Two 100%;One;" },
		{ { .since_us = middle },
		    "F\xc3\xbcnf;Four \\ four;Three_x;" },
		{ { .until_us = middle }, "Two 100%;One;" },
		{ { .mailbox = ALICE, .since_us = middle },
		    "F\xc3\xbcnf;Three_x;" },
	};
	for (size_t i = 0; i < PW_COUNT(t); i++)
		ck_assert_msg(strcmp(found(&t[i].f), t[i].want) == 0,
		    "case %zu: %s, not %s", i, found(&t[i].f), t[i].want);
}
END_TEST

START_TEST(too_long)
{
	char *text = malloc(5000);
	struct pw_message_filter f = { .subject = text };
	json_t *rows;

	memset(text, 'a', 4999);
	text[4999] = '\0';
	ck_assert_int_eq(pw_index_messages(rig.x, &f, &rows, &err), -1);
	ck_assert_int_eq(err.code, EINVAL);
	ck_assert_ptr_null(rows);
	f = (struct pw_message_filter){ .mailbox = text, .message_id = text };
	ck_assert_str_eq(found(&f), "");
	f = (struct pw_message_filter){ .id = text, .folder = text };
	ck_assert_str_eq(found(&f), "");
	ck_assert_int_eq(pw_index_decision(rig.x, NULL, text, &rows, &err), -1);
	ck_assert_int_eq(pw_index_trace(rig.x,
			     &(struct pw_trace){ .what = text,
				.since_us = 0, .limit = 0 },
			     &rows, &err), 0);
	json_decref(rows);
	ck_assert_int_eq(pw_index_message(rig.x, NULL, text, text, &rows, &err), -1);
	free(text);
}
END_TEST

START_TEST(one_message)
{
	struct pw_id id[5];
	json_t *row, *again;
	char name[200];

	five_mails(id);
	ck_assert_int_eq(pw_index_message(rig.x, NULL, ALICE, id[0].s, &row, &err), 0);
	ck_assert_str_eq(sql_str(row, "subject"), "One");
	ck_assert_str_eq(sql_str(json_object_get(row, "structure"), "subtype"),
	    "plain");
	ck_assert(json_is_object(json_object_get(row, "envelope")));
	ck_assert_str_eq(sql_str(json_object_get(row, "decision"), "id"),
	    id[0].s);
	/* By its name, with or without folder and flags. */
	static const char *const forms[] = { "%s", "new/%s", "cur/%s:2,S" };
	for (size_t i = 0; i < PW_COUNT(forms); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(name, sizeof(name), forms[i],
		    sql_str(row, "base"));
#pragma GCC diagnostic pop
		ck_assert_int_eq(pw_index_message(rig.x, NULL, ALICE, name, &again,
				     &err),
		    0);
		ck_assert(json_equal(row, again));
		json_decref(again);
	}
	ck_assert_int_eq(pw_index_message(rig.x, NULL, "bob@example.test",
			     sql_str(row, "base"), &again, &err),
	    -1);
	ck_assert_int_eq(err.code, ENOENT);
	ck_assert_ptr_null(again);
	ck_assert_int_eq(pw_index_message(rig.x, NULL, "bob@example.test", id[0].s,
			     &again, &err),
	    -1);
	json_decref(row);
	for (size_t i = 0; i < sql_nnasty; i++)
		ck_assert_int_eq(pw_index_message(rig.x, NULL, sql_nasty[i].ptr,
				     sql_nasty[i].ptr, &row, &err),
		    -1);
}
END_TEST

START_TEST(decisions)
{
	struct pw_id id[5];
	json_t *d;

	five_mails(id);
	ck_assert_int_eq(pw_index_decision(rig.x, NULL, id[3].s, &d, &err), 0);
	ck_assert_str_eq(sql_str(d, "id"), id[3].s);
	ck_assert_str_eq(sql_str(d, "peer"), "192.0.2.1");
	ck_assert_str_eq(sql_str(d, "action"), "deliver");
	ck_assert_str_eq(sql_str(d, "auth_results"),
	    "mx.example.test; spf=pass");
	ck_assert(json_is_true(json_object_get(d, "esmtp")));
	ck_assert(json_is_false(json_object_get(d, "smtputf8")));
	json_t *ev = json_array_get(json_object_get(d, "evidence"), 0);
	ck_assert_str_eq(sql_str(ev, "symbol"), "SPF_PASS");
	ck_assert(json_number_value(json_object_get(ev, "weight")) == -1.25);
	json_t *run = json_array_get(json_object_get(d, "stages"), 0);
	ck_assert_str_eq(sql_str(run, "outcome"), "hit");
	ck_assert_int_eq(json_integer_value(json_object_get(run, "wall_us")),
	    1200);
	json_t *r = json_array_get(json_object_get(d, "recipients"), 0);
	ck_assert_str_eq(sql_str(r, "mailbox"), "bob@example.test");
	ck_assert_str_eq(sql_str(r, "domain"), "example.test");
	ck_assert_str_eq(sql_str(r, "fate"), "stored");
	json_decref(d);

	ck_assert_int_eq(pw_index_decision(rig.x, NULL, "<3@example.org>", &d, &err), 0);
	ck_assert_str_eq(sql_str(d, "id"), id[3].s);
	json_decref(d);
	ck_assert_int_eq(pw_index_decision(rig.x, NULL, "3@example.org", &d, &err), 0);
	json_decref(d);
	for (size_t i = 0; i < sql_nnasty; i++) {
		ck_assert_int_eq(pw_index_decision(rig.x, NULL, sql_nasty[i].ptr, &d,
				     &err),
		    -1);
		ck_assert_int_eq(err.code, ENOENT);
	}
}
END_TEST

static size_t
traced(const char *address, int64_t since, int limit)
{
	json_t *rows;

	ck_assert_int_eq(pw_index_trace(rig.x,
			     &(struct pw_trace){ .what = address,
				.since_us = since, .limit = limit },
			     &rows, &err),
	    0);
	size_t n = json_array_size(rows);
	for (size_t i = 1; i < n; i++)
		ck_assert_int_ge(
		    json_integer_value(json_object_get(
			json_array_get(rows, i - 1), "time")),
		    json_integer_value(json_object_get(json_array_get(rows, i),
			"time")));
	json_decref(rows);
	return n;
}

/* As sender, as given, as mailbox; through many buckets. */
START_TEST(traces)
{
	const size_t many = 6000;
	int64_t now = pw_clock_real_us();
	uint64_t t = 0;

	for (size_t i = 0; i < many; i++) {
		char from[64], given[64];
		int n = snprintf(from, sizeof(from), "S%zu@Example.ORG",
		    i % 1000);
		int k = snprintf(given, sizeof(given), "g%zu@example.test",
		    i % 3);
		struct sql_mail m = { .no_file = true,
			.from = pw_bytes(from, (size_t)n),
			.given = pw_bytes(given, (size_t)k),
			.mailbox = i % 2 == 0 ? PW_LIT(ALICE) :
						PW_LIT("bob@example.test"),
			.time_us = now - (int64_t)(many - i) * 1000000 };
		while ((t = sql_deliver(rig.w, &m)) == 0)
			(void)usleep(1000);
	}
	sql_wait(rig.w, t);
	ck_assert_int_gt(sql_number(sql_path("decisions.db"),
			     "SELECT count(DISTINCT bucket) FROM find"),
	    3);
	ck_assert_uint_eq(traced("s7@example.org", 0, 10000), 6);
	ck_assert_uint_eq(traced("S7@EXAMPLE.org", 0, 2), 2);
	ck_assert_uint_eq(traced("g1@example.test", 0, 10000), 2000);
	ck_assert_uint_eq(traced(ALICE, 0, 10000), 3000);
	ck_assert_uint_eq(traced(ALICE, 0, 0), 100);
	ck_assert_uint_eq(traced(ALICE, now - 1000 * (int64_t)1000000, 10000),
	    500);
	ck_assert_uint_eq(traced("nobody@example.org", 0, 10000), 0);
	for (size_t i = 0; i < sql_nnasty; i++)
		ck_assert_uint_eq(traced(sql_nasty[i].ptr, 0, 10000), 0);
	/* Newest first even when limited. */
	json_t *rows;
	ck_assert_int_eq(pw_index_trace(rig.x,
			     &(struct pw_trace){ .what = ALICE,
				.since_us = 0, .limit = 1 },
			     &rows, &err), 0);
	ck_assert_int_eq(json_integer_value(json_object_get(
			     json_array_get(rows, 0), "time")),
	    now - 2 * (int64_t)1000000);
	json_decref(rows);
}
END_TEST

/* Rows that no writer of ours would make: read with the checks of a peer's
 * bytes. */
START_TEST(foreign_rows)
{
	json_t *row;

	sql_exec(sql_path("decisions.db"),
	    "INSERT INTO decision VALUES (5, 'bcdfghjkbcdfghjk', CAST(x'ff00' "
	    "AS TEXT), CAST(x'fe' AS TEXT), -1, '', CAST(x'6100' AS TEXT), "
	    "'', '', -1, '', '', -1, '', 250, '', 9e999, '', -1, "
	    "'[{\"stage\":', '{\"a\":1}', x'0102030405060708090a', "
	    "99, -3, 300, -1, x'ff')");
	sql_exec(sql_path("decisions.db"),
	    "INSERT INTO dns VALUES (72623859790382856, 1, x'ffffffff')");
	ck_assert_int_eq(pw_index_decision(rig.x, NULL, "bcdfghjkbcdfghjk", &row, &err),
	    0);
	ck_assert(json_is_null(json_object_get(row, "evidence")));
	ck_assert_uint_eq(json_array_size(json_object_get(row, "dns")), 0);
	ck_assert_str_eq(sql_str(row, "session"), "\\xff\\x00");
	json_decref(row);

	sql_exec(sql_path("index.db"),
	    "INSERT INTO box VALUES (9, 'a@b', CAST(x'ff' AS TEXT), -7);"
	    "INSERT INTO file VALUES (1, 0, 9, CAST(x'00ff' AS TEXT), 'x', 7, "
	    "-1, -1, -1, -1, -1, -1, 999, 5);"
	    "INSERT INTO message VALUES (5, 1, CAST(x'0000' AS TEXT), 1, '', "
	    "'', '', CAST(x'c328' AS TEXT), '', '', '', 0, 0, 7, '', '{', "
	    "'[[[[')");
	json_t *rows = sql_list(rig.x, "a@b");
	ck_assert_uint_eq(json_array_size(rows), 1);
	ck_assert_str_eq(sql_str(json_array_get(rows, 0), "folder"), "\\xff");
	ck_assert_str_eq(sql_str(json_array_get(rows, 0), "flags"), "");
	json_decref(rows);
	ck_assert_int_eq(pw_index_message(rig.x, NULL, "a@b", "x", &row, &err), -1);
}
END_TEST

/* No database yet, exchanged, damaged: an error line, never more. */
START_TEST(without_database)
{
	struct pw_index *y;
	struct pw_message_filter f = { 0 };
	json_t *rows;
	struct sql_mail m = { .subject = PW_LIT("New") };

	ck_assert_int_eq(pw_index_open(sql_path("none"), &y, &err), 0);
	ck_assert_int_eq(pw_index_messages(y, &f, &rows, &err), -1);
	ck_assert_str_ne(err.text, "");
	ck_assert_int_eq(pw_index_decision(y, NULL, "x", &rows, &err), -1);
	ck_assert_int_eq(pw_index_trace(y,
			     &(struct pw_trace){ .what = "x",
				.since_us = 0, .limit = 0 },
			     &rows, &err), -1);
	pw_index_close(&y);

	ck_assert_str_eq(found(&f), "");
	pw_writer_close(&rig.w);
	(void)unlink(sql_path("index.db"));
	ck_assert_int_eq(pw_index_messages(rig.x, &f, &rows, &err), -1);
	rig.w = sql_writer();
	sql_wait(rig.w, sql_deliver(rig.w, &m));
	ck_assert_str_eq(found(&f), "New;");
}
END_TEST

Suite *pw_suite_storage_index(void);
Suite *
pw_suite_storage_index(void)
{
	Suite *s = suite_create("storage/index");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, sql_open, sql_close);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, filters);
	tcase_add_test(t, too_long);
	tcase_add_test(t, one_message);
	tcase_add_test(t, decisions);
	tcase_add_test(t, traces);
	tcase_add_test(t, foreign_rows);
	tcase_add_test(t, without_database);
	suite_add_tcase(s, t);
	return s;
}
