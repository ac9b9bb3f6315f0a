/* SPDX-License-Identifier: ISC */
/* Who may see which records; records that stand for several; how long those
 * without a message stay. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "sql_rig.h"
#include "storage/writer_private.h"

static struct pw_writer *w;
static struct pw_index *x;
static struct pw_err err;

static void
setup(void)
{
	sql_setup();
	w = sql_writer();
	ck_assert_int_eq(pw_index_open(sql_dir, &x, &err), 0);
}

static void
teardown(void)
{
	pw_writer_close(&w);
	pw_index_close(&x);
	sql_teardown();
}

static int64_t
dc(const char *what)
{
	char sql[200];

	(void)snprintf(sql, sizeof(sql), "SELECT %s", what);
	return sql_number(sql_path("decisions.db"), sql);
}

/* ---- views ------------------------------------------------------------------- */

START_TEST(names)
{
	static const struct {
		const char *view, *address;
		bool has;
	} rows[] = {
		{ "example.test", "a@example.test", true },
		{ "Example.TEST", "a@EXAMPLE.test", true },
		{ "example.test", "a@sub.example.test", false },
		{ "example.test", "a@myexample.test", false },
		{ "example.test", "example.test", false },
		{ "b\xc3\xbc" "cher.test", "a@xn--bcher-kva.test", true },
		{ "A@example.test", "a@example.test", true },
		{ "a@example.test", "b@example.test", false },
		{ "a@example.test", "", false },
	};
	struct pw_view v;

	for (size_t i = 0; i < PW_COUNT(rows); i++) {
		ck_assert_int_eq(pw_view_parse(rows[i].view, &v), 0);
		ck_assert_msg(pw_view_has(&v, pw_bytes_of(rows[i].address)) ==
			rows[i].has, "%s %s", rows[i].view, rows[i].address);
	}
	ck_assert_int_eq(pw_view_parse("", &v), -1);
	ck_assert_int_eq(pw_view_parse("@", &v), -1);
	ck_assert_int_eq(pw_view_parse("a b", &v), -1);
	ck_assert_int_eq(pw_view_parse("%", &v), -1);
	ck_assert(pw_view_has(&pw_view_all, PW_LIT("x@y")));
}
END_TEST

/* One mail: alice at example.test by an alias of sales.test, bob at other.test,
 * and one refused at example.test. */
static struct pw_id
mixed_mail(void)
{
	struct pw_decision_rcpt rcpt[] = {
		{ PW_LIT("info@sales.test"), PW_LIT("alice@example.test"),
		    PW_ACT_DELIVER, "250 2.1.5 ok", "stored", "for alice", 1,
		    NULL, 0 },
		{ PW_LIT("Bob@Other.test"), PW_LIT("bob@other.test"),
		    PW_ACT_DELIVER, "250 2.1.5 ok", "stored", "for bob", 2,
		    NULL, 0 },
		{ PW_LIT("Nobody@Example.test"), PW_LIT(""), PW_ACT_REFUSE,
		    "550 5.1.1 no", "", "", 0, NULL, 0 },
	};
	struct pw_evidence ev[] = {
		{ "a", "OF_MESSAGE", 1, 1, false, PW_LIT("x") },
		{ "a", "OF_RECIPIENT", 1, 2, false, PW_LIT("bob") },
	};
	struct pw_stage_run run[] = { { "a", 3, 0, "", 1, 1 },
		{ "a", 5, 0, "", 1, 1 } };
	struct pw_decision d = { .id = pw_id_new(), .session = pw_id_new(),
		.time_us = pw_clock_real_us(), .peer = { 4, { 192, 0, 2, 7 } },
		.listener = "mx", .helo = PW_LIT("h"), .rdns = "", .tls = "",
		.mail_from = PW_LIT("s@sender.test"), .reply = "250 ok",
		.step = "for bob", .auth_results = "", .dns = PW_LIT(""),
		.recording = PW_LIT(""), .count = 1, .nrcpt = 3, .rcpt = rcpt,
		.nevidence = 2, .evidence = ev, .nrun = 2, .run = run };
	struct pw_enc e;

	pw_enc_init(&e, 1u << 20);
	pw_decision_enc(&e, &d);
	sql_wait(w, pw_writer_decision(w, pw_enc_done(&e)));
	pw_enc_free(&e);
	return d.id;
}

START_TEST(seen)
{
	static const struct {
		const char *view; /* NULL: all */
		size_t recipients;
		const char *first, *mailbox;
		size_t evidence, stages;
	} rows[] = {
		{ NULL, 3, "info@sales.test", "alice@example.test", 2, 2 },
		{ "example.test", 2, "info@sales.test", "alice@example.test", 1,
		    1 },
		{ "sales.test", 1, "info@sales.test", NULL, 1, 1 },
		{ "other.test", 1, "Bob@Other.test", "bob@other.test", 1, 1 },
		{ "alice@example.test", 1, "info@sales.test",
		    "alice@example.test", 1, 1 },
		{ "nobody@example.test", 1, "Nobody@Example.test", "", 1, 1 },
		{ "third.test", 0, NULL, NULL, 0, 0 },
		{ "carol@other.test", 0, NULL, NULL, 0, 0 },
		{ "ther.test", 0, NULL, NULL, 0, 0 },
	};
	struct pw_id id = mixed_mail();

	for (size_t i = 0; i < PW_COUNT(rows); i++) {
		struct pw_view v = pw_view_all;
		json_t *d, *list, *r;
		int rc;

		if (rows[i].view != NULL)
			ck_assert_int_eq(pw_view_parse(rows[i].view, &v), 0);
		rc = pw_index_decision(x, &v, id.s, &d, &err);
		ck_assert_msg((rc == 0) == (rows[i].recipients > 0), "row %zu",
		    i);
		if (rc != 0)
			continue;
		list = json_object_get(d, "recipients");
		ck_assert_msg(json_array_size(list) == rows[i].recipients,
		    "row %zu", i);
		r = json_array_get(list, 0);
		ck_assert_str_eq(sql_str(r, "given"), rows[i].first);
		if (rows[i].mailbox == NULL)
			ck_assert_ptr_null(json_object_get(r, "mailbox"));
		else
			ck_assert_str_eq(sql_str(r, "mailbox"),
			    rows[i].mailbox);
		ck_assert_uint_eq(json_array_size(json_object_get(d,
		    "evidence")), rows[i].evidence);
		ck_assert_uint_eq(json_array_size(json_object_get(d,
		    "stages")), rows[i].stages);
		/* The verdict is told as that of somebody within the view. */
		if (rows[i].view != NULL &&
		    strstr(rows[i].view, "other.test") == NULL)
			ck_assert_msg(strstr(sql_str(d, "step"), "bob") ==
				NULL, "row %zu", i);
		json_decref(d);
	}
}
END_TEST

static size_t
traced(const char *view, const char *what)
{
	struct pw_view v = pw_view_all;
	struct pw_trace t = { .view = &v, .what = what };
	json_t *rows;
	size_t n;

	if (view != NULL)
		ck_assert_int_eq(pw_view_parse(view, &v), 0);
	ck_assert_msg(pw_index_trace(x, &t, &rows, &err) == 0, "%s", err.text);
	n = json_array_size(rows);
	json_decref(rows);
	return n;
}

START_TEST(traces)
{
	(void)mixed_mail();
	ck_assert_uint_eq(traced(NULL, "BOB@other.test"), 1);
	ck_assert_uint_eq(traced("other.test", "bob@other.test"), 1);
	ck_assert_uint_eq(traced("example.test", "s@sender.test"), 1);
	ck_assert_uint_eq(traced("third.test", "s@sender.test"), 0);
	/* The mail is ours, too; that bob had it is not told. */
	ck_assert_uint_eq(traced("example.test", "bob@other.test"), 0);
	ck_assert_uint_eq(traced("alice@example.test", "bob@other.test"), 0);
	ck_assert_uint_eq(traced("sales.test", "info@sales.test"), 1);
	ck_assert_uint_eq(traced("sales.test", "alice@example.test"), 0);
	ck_assert_uint_eq(traced(NULL, "192.0.2.7"), 1);
	ck_assert_uint_eq(traced(NULL, "192.0.2.8"), 0);
	ck_assert_uint_eq(traced(NULL, "192.0.2.0/24"), 1);
	ck_assert_uint_eq(traced("example.test", "192.0.2.7"), 1);
	ck_assert_uint_eq(traced("third.test", "192.0.2.7"), 0);
	struct pw_trace wide = { .what = "192.0.0.0/16" };
	json_t *rows;
	ck_assert_int_eq(pw_index_trace(x, &wide, &rows, &err), -1);
}
END_TEST

/* ---- records without a message --------------------------------------------------- */

static uint64_t
early(int64_t us, uint32_t count, const char *text)
{
	struct pw_decision_rcpt rcpt = { PW_LIT("guess@example.test"),
		PW_LIT(""), PW_ACT_REFUSE, "550 5.1.1 no", "", "", 0, NULL, 0 };
	struct pw_decision d = { .id = pw_id_new(), .session = pw_id_new(),
		.time_us = us, .until_us = us + 5, .listener = "mx",
		.peer = { 4, { 198, 51, 100, 0 } }, .helo = PW_LIT("h"),
		.rdns = "", .tls = "", .mail_from = PW_LIT("x@y.test"),
		.reply = "550 5.1.1 no", .step = text, .auth_results = "",
		.dns = PW_LIT(""), .recording = PW_LIT(""),
		.kind = PW_DEC_TRANSACTION, .count = count,
		.net = count > 1 ? 24 : 0, .nrcpt = 1, .rcpt = &rcpt };
	struct pw_enc e;
	uint64_t t;

	pw_enc_init(&e, 1u << 20);
	pw_decision_enc(&e, &d);
	while ((t = pw_writer_early(w, pw_enc_done(&e))) == 0)
		(void)usleep(1000);
	pw_enc_free(&e);
	return t;
}

START_TEST(several)
{
	json_t *rows, *row;
	struct pw_trace t = { .what = "198.51.100.99" };

	sql_wait(w, early(pw_clock_real_us(), 4812, "s"));
	ck_assert_int_eq(pw_index_trace(x, &t, &rows, &err), 0);
	ck_assert_uint_eq(json_array_size(rows), 1);
	row = json_array_get(rows, 0);
	ck_assert_str_eq(sql_str(row, "peer"), "198.51.100.0/24");
	ck_assert_str_eq(sql_str(row, "kind"), "transaction");
	ck_assert_int_eq(json_integer_value(json_object_get(row, "count")),
	    4812);
	json_decref(rows);
	ck_assert_uint_eq(traced("example.test", "guess@example.test"), 1);
	ck_assert_uint_eq(traced("other.test", "x@y.test"), 0);
}
END_TEST

static void
wait_rows(const char *what, int64_t n)
{
	for (int i = 0; i < 200 && dc(what) != n; i++)
		(void)usleep(50000);
	ck_assert_int_eq(dc(what), n);
}

START_TEST(age)
{
	const int64_t day = (int64_t)86400 * 1000000;
	int64_t now = pw_clock_real_us();
	struct sql_mail m = { .no_file = true, .time_us = now - 30 * day };
	uint64_t t = sql_deliver(w, &m);

	for (int i = 0; i < 250; i++)
		t = early(now - 20 * day + i, 1, "s");
	for (int i = 0; i < 7; i++)
		t = early(now - 2 * day + i, 1, "s");
	sql_wait(w, t);
	ck_assert_int_eq(dc("count(*) FROM decision"), 258);
	pw_writer_keep(w, 90ull * 86400 * 1000, 14ull * 86400 * 1000, 0);
	wait_rows("count(*) FROM decision", 8);
	ck_assert_int_eq(dc("count(*) FROM decision WHERE kind = 0"), 1);
	ck_assert_int_eq(dc("count(*) FROM rcpt"), 8);
	ck_assert_uint_eq(traced(NULL, "x@y.test"), 7);
	ck_assert_int_eq(dc("count(*) FROM find WHERE NOT EXISTS "
	    "(SELECT 1 FROM decision AS d WHERE d.id = find.decision)"), 0);
}
END_TEST

/* Above the bound on size those without a message go first, then the oldest. */
START_TEST(size)
{
	static char text[4000];
	int64_t now = pw_clock_real_us();
	uint64_t t = 0;

	memset(text, 'x', sizeof(text) - 1);
	for (int i = 0; i < 100; i++) {
		struct sql_mail m = { .no_file = true,
			.time_us = now - 1000000 + i };
		t = sql_deliver(w, &m);
	}
	for (int i = 0; i < 3000; i++)
		t = early(now + i, 1, text);
	sql_wait(w, t);
	ck_assert_int_eq(dc("count(*) FROM decision"), 3100);
	pw_writer_keep(w, 90ull * 86400 * 1000, 0, 6u << 20);
	for (int i = 0; i < 200 && dc("count(*) FROM decision") > 1500; i++)
		(void)usleep(50000);
	(void)usleep(500000);
	ck_assert_int_eq(dc("count(*) FROM decision WHERE kind = 0"), 100);
	ck_assert_int_gt(dc("count(*) FROM decision"), 500);
	ck_assert_int_lt(dc("count(*) FROM decision"), 1700);
	ck_assert_int_eq(dc("min(id) FROM decision WHERE kind > 0") > now, 1);
	pw_writer_keep(w, 90ull * 86400 * 1000, 0, 4096 * 20);
	for (int i = 0; i < 400 && dc("count(*) FROM decision") > 60; i++)
		(void)usleep(50000);
	ck_assert_int_lt(dc("count(*) FROM decision"), 100);
	ck_assert_int_eq(dc("count(*) FROM decision WHERE kind > 0"), 0);
}
END_TEST

Suite *pw_suite_storage_views(void);
Suite *
pw_suite_storage_views(void)
{
	Suite *s = suite_create("storage/views");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, names);
	tcase_add_test(t, seen);
	tcase_add_test(t, traces);
	tcase_add_test(t, several);
	tcase_add_test(t, age);
	tcase_add_test(t, size);
	suite_add_tcase(s, t);
	return s;
}
