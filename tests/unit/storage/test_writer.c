/* SPDX-License-Identifier: ISC */
/* The writer: what becomes of deliveries and of what readers do. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "sql_rig.h"
#include "storage/writer_private.h"

/* One row of a mailbox, which must be the only one. */
static json_t *
only(const char *mailbox)
{
	json_t *rows = sql_list(rig.x, mailbox);

	ck_assert_uint_eq(json_array_size(rows), 1);
	json_t *row = json_incref(json_array_get(rows, 0));
	json_decref(rows);
	return row;
}

static uint64_t
content(const struct pw_filed *f, const char *subject)
{
	struct pw_meta meta = { .message_id = PW_LIT("<own@x>"),
		.in_reply_to = PW_LIT(""),
		.references = PW_LIT(""),
		.from = PW_LIT("a@b"),
		.to = PW_LIT(""),
		.cc = PW_LIT(""),
		.subject = pw_bytes_of(subject),
		.structure = PW_LIT(""),
		.envelope = PW_LIT("") };
	struct pw_enc e;

	pw_enc_init(&e, 65536);
	pw_meta_enc(&e, &meta);
	uint64_t t = pw_writer_meta(rig.w, f, pw_enc_done(&e));
	pw_enc_free(&e);
	return t;
}

/* ---- deliveries ---------------------------------------------------------- */

START_TEST(one_delivery)
{
	struct sql_mail m = { .message_id = PW_LIT("<1@example.org>") };

	sql_wait(rig.w, sql_deliver(rig.w, &m));
	json_t *row = only(ALICE);
	ck_assert_str_eq(sql_str(row, "id"), m.id.s);
	ck_assert_str_eq(sql_str(row, "base"), m.made_base);
	ck_assert_str_eq(sql_str(row, "verdict"), "deliver");
	ck_assert_str_eq(sql_str(row, "subject"), "Hello");
	ck_assert_str_eq(sql_str(row, "message_id"), "<1@example.org>");
	ck_assert_int_eq(json_integer_value(json_object_get(row, "prefix")),
	    33);
	ck_assert(json_is_null(json_object_get(row, "uid")));
	json_decref(row);
	ck_assert_uint_eq(sql_usage(ALICE), 1000);
	ck_assert_uint_eq(sql_usage("nobody@example.test"), 0);
	ck_assert_int_eq(sql_dc("count(*) FROM decision"), 1);
	ck_assert_int_eq(sql_dc("count(*) FROM rcpt"), 1);
	ck_assert_int_eq(sql_dc("count(*) FROM filed"), 1);
	ck_assert_int_eq(sql_dc("count(*) FROM find"), 4);
	ck_assert(pw_writer_healthy(rig.w));
}
END_TEST

START_TEST(many_copies)
{
	struct sql_mail m = { .nmailbox = 5 };

	sql_wait(rig.w, sql_deliver(rig.w, &m));
	ck_assert_int_eq(sql_ix("count(*) FROM message"), 1);
	ck_assert_int_eq(sql_ix("refs FROM message"), 5);
	ck_assert_int_eq(sql_ix("count(*) FROM file"), 5);
	ck_assert_int_eq(sql_dc("count(*) FROM rcpt"), 5);
	ck_assert_uint_eq(sql_usage("user4@example.test"), 1000);
}
END_TEST

/* A replay of the journal brings the same again; also rows that a former run
 * committed in one database only. */
START_TEST(replays)
{
	struct sql_mail m = { .nmailbox = 3 };
	struct sql_mail other = { .size = 10 };

	sql_wait(rig.w, sql_deliver(rig.w, &m));
	sql_wait(rig.w, sql_deliver(rig.w, &m));
	ck_assert_int_eq(sql_ix("count(*) FROM message"), 1);
	ck_assert_int_eq(sql_dc("count(*) FROM decision"), 1);
	/* Each call of the rig makes new names: the copies are new files. */
	ck_assert_int_eq(sql_ix("refs FROM message"),
	    sql_ix("count(*) FROM file"));
	other.base = PW_LIT("1700000000.M1P2_3.host,S=10");
	sql_wait(rig.w, sql_deliver(rig.w, &other));
	sql_wait(rig.w, sql_deliver(rig.w, &other));
	ck_assert_uint_eq(sql_usage(ALICE), 10);
	sql_reopen();
	ck_assert_uint_eq(sql_usage(ALICE), 10);
	sql_wait(rig.w, sql_deliver(rig.w, &other));
	ck_assert_uint_eq(sql_usage(ALICE), 10);
	ck_assert_int_eq(sql_ix("refs FROM message ORDER BY id DESC LIMIT 1"), 1);

	sql_exec(sql_path("index.db"),
	    "DELETE FROM message; DELETE FROM file; DELETE FROM box");
	sql_reopen();
	sql_wait(rig.w, sql_deliver(rig.w, &other));
	ck_assert_int_eq(sql_ix("count(*) FROM file"), 1);
	ck_assert_int_eq(sql_dc("count(*) FROM decision"), 2);
}
END_TEST

/* The follower saw the file first, and had it read. */
START_TEST(delivered_after_seen)
{
	struct sql_mail m = { .size = 500, .subject = PW_LIT("Ours") };
	struct pw_filed f = sql_file(ALICE, "", "1700000001.M2P3.h");

	m.base = f.base;
	for (int i = 0; i < 2; i++) {
		(void)pw_writer_seen(rig.w, &f, PW_LIT(":2,S"));
		if (i == 1)
			(void)content(&f, "Read");
		sql_wait(rig.w, sql_deliver(rig.w, &m));
		json_t *row = only(ALICE);
		ck_assert_str_eq(sql_str(row, "id"), m.id.s);
		ck_assert_str_eq(sql_str(row, "subject"), "Ours");
		ck_assert_str_eq(sql_str(row, "flags"), "S");
		ck_assert_str_eq(sql_str(row, "verdict"), "deliver");
		json_decref(row);
		ck_assert_int_eq(sql_ix("count(*) FROM message"), 1);
		ck_assert_int_eq(sql_ix("refs FROM message"), 1);
		ck_assert_uint_eq(sql_usage(ALICE), 500);
		sql_exec(sql_path("index.db"),
		    "DELETE FROM file; DELETE FROM message");
		sql_exec(sql_path("decisions.db"), "DELETE FROM filed; "
						   "DELETE FROM decision");
		sql_reopen();
	}
}
END_TEST

START_TEST(same_microsecond)
{
	int64_t now = pw_clock_real_us();
	uint64_t t = 0;

	for (int i = 0; i < 50; i++) {
		struct sql_mail m = { .time_us = now };
		t = sql_deliver(rig.w, &m);
	}
	sql_wait(rig.w, t);
	ck_assert_int_eq(sql_dc("count(*) FROM decision"), 50);
	ck_assert_int_eq(sql_dc("max(id) - min(id) FROM decision"), 49);
}
END_TEST

START_TEST(without_file)
{
	struct sql_mail m = { .no_file = true };

	sql_wait(rig.w, sql_deliver(rig.w, &m));
	ck_assert_int_eq(sql_dc("count(*) FROM decision"), 1);
	ck_assert_int_eq(sql_ix("count(*) FROM message"), 0);
	ck_assert_uint_eq(sql_usage(ALICE), 0);
}
END_TEST

/* Every text of every row is such that a careless program would run it. */
START_TEST(nasty_input)
{
	char *ix_shape = sql_shape(sql_path("index.db"));
	char *dc_shape = sql_shape(sql_path("decisions.db"));
	uint64_t t = 0;
	size_t good = 0;

	for (size_t i = 0; i < sql_nnasty; i++) {
		struct pw_bytes b = pw_bytes(sql_nasty[i].ptr,
		    sql_nasty[i].len);
		struct sql_mail m = { .mailbox = b, .given = b, .from = b,
			.text = b, .folder = "Junk" };
		struct pw_filed f = sql_file("", "", "");
		m.base = b;
		t = sql_deliver(rig.w, &m);
		ck_assert_uint_ne(t, 0);
		f.mailbox = f.folder = f.base = f.like = b;
		ck_assert_uint_ne(pw_writer_seen(rig.w, &f, b), 0);
		ck_assert_uint_ne(pw_writer_cut(rig.w, b, 7, b), 0);
		ck_assert_uint_ne(pw_writer_meta(rig.w, &f, b), 0);
		ck_assert_uint_ne(pw_writer_uids(rig.w, b, b, 1,
				      &(struct pw_uid_row){ b, 7 }, 1),
		    0);
		t = pw_writer_gone(rig.w, &f);
		ck_assert_uint_ne(t, 0);
		good++;
	}
	sql_wait(rig.w, t);
	ck_assert(pw_writer_healthy(rig.w));
	char *ix_after = sql_shape(sql_path("index.db"));
	char *dc_after = sql_shape(sql_path("decisions.db"));
	ck_assert_str_eq(ix_shape, ix_after);
	ck_assert_str_eq(dc_shape, dc_after);
	free(ix_shape);
	free(dc_shape);
	free(ix_after);
	free(dc_after);
	ck_assert_int_eq(sql_dc("count(*) FROM decision"), (int64_t)good);
	ck_assert_int_eq(sql_dc("count(*) FROM rcpt"), (int64_t)good);
	ck_assert_int_eq(sql_ix("count(*) FROM file"), (int64_t)good);
	/* What was given is what is kept. */
	ck_assert_int_eq(sql_ix("count(*) FROM box WHERE length(CAST(mailbox AS "
			    "BLOB)) = 3 AND mailbox = 'a' || char(0) || 'b'"),
	    2);
	json_t *rows = sql_list(rig.x, NULL);
	ck_assert_uint_eq(json_array_size(rows), good);
	json_decref(rows);
}
END_TEST

/* What cannot be decoded is told and left out; what is behind it goes on. */
START_TEST(malformed)
{
	struct sql_mail m = { .size = 1 };
	struct pw_filed f = sql_file(ALICE, "", "1.M1P1.h");

	ck_assert_uint_ne(pw_writer_decision(rig.w, PW_LIT("junk")), 0);
	ck_assert_uint_ne(pw_writer_delivered(rig.w, PW_LIT(""), PW_LIT("junk"),
			      &f, 1),
	    0);
	ck_assert_uint_ne(pw_writer_seen(rig.w, &f, PW_LIT("")), 0);
	ck_assert_uint_ne(pw_writer_meta(rig.w, &f, PW_LIT("junk")), 0);
	ck_assert_uint_ne(pw_writer_cut(rig.w, PW_LIT("none"), 0, PW_LIT("x")), 0);
	sql_wait(rig.w, sql_deliver(rig.w, &m));
	ck_assert_int_eq(sql_dc("count(*) FROM decision"), 1);
	ck_assert(pw_writer_healthy(rig.w));
	ck_assert_uint_eq(sql_usage(ALICE), 501);
}
END_TEST

/* ---- what readers do ----------------------------------------------------- */

static uint64_t
seen(const char *folder, const char *base, bool in_new, const char *info,
    const char *like)
{
	struct pw_filed f = sql_file(ALICE, folder, base);

	f.in_new = in_new;
	f.like = pw_bytes_of(like);
	return pw_writer_seen(rig.w, &f, pw_bytes_of(info));
}

static uint64_t
gone(const char *folder, const char *base)
{
	struct pw_filed f = sql_file(ALICE, folder, base);

	return pw_writer_gone(rig.w, &f);
}

START_TEST(flags_and_deletion)
{
	struct sql_mail m = { .size = 700 };

	(void)sql_deliver(rig.w, &m);
	sql_wait(rig.w, seen("", m.made_base, false, ":2,FS", ""));
	json_t *row = only(ALICE);
	ck_assert_str_eq(sql_str(row, "flags"), "FS");
	ck_assert_str_eq(sql_str(row, "id"), m.id.s);
	ck_assert(strncmp(sql_str(row, "file"), "cur/", 4) == 0);
	json_decref(row);
	sql_wait(rig.w, gone("", m.made_base));
	ck_assert_uint_eq(sql_usage(ALICE), 0);
	ck_assert_int_eq(sql_ix("count(*) FROM file"), 0);
	/* Twice is once. */
	sql_wait(rig.w, gone("", m.made_base));
	ck_assert_int_eq(sql_ix("refs FROM message"), 1);
}
END_TEST

/* A move: departure and arrival in either order, the content stays. */
START_TEST(moves)
{
	for (int order = 0; order < 2; order++) {
		struct sql_mail m = { .size = 500 };
		(void)sql_deliver(rig.w, &m);
		if (order == 0) {
			(void)gone("", m.made_base);
			sql_wait(rig.w,
			    seen("Old", m.made_base, false, ":2,S", ""));
		} else {
			(void)seen("Old", m.made_base, false, ":2,S", "");
			sql_wait(rig.w, gone("", m.made_base));
		}
		json_t *row = only(ALICE);
		ck_assert_str_eq(sql_str(row, "folder"), "Old");
		ck_assert_str_eq(sql_str(row, "id"), m.id.s);
		ck_assert_str_eq(sql_str(row, "verdict"), "deliver");
		json_decref(row);
		ck_assert_uint_eq(sql_usage(ALICE), 500);
		sql_wait(rig.w, gone("Old", m.made_base));
	}
	/* References: one each, of the traces that are still remembered. */
	ck_assert_int_eq(sql_ix("sum(refs) FROM message"),
	    sql_ix("count(*) FROM gone"));
}
END_TEST

START_TEST(copies)
{
	struct sql_mail m = { .size = 500 };

	(void)sql_deliver(rig.w, &m);
	(void)seen("A", m.made_base, false, ":2,", "");
	(void)seen("B", "1700000001.M2P3.h", false, ":2,", m.made_base);
	sql_wait(rig.w, seen("C", "1700000001.M9P9.h", false, ":2,", "unknown"));
	ck_assert_int_eq(sql_ix("refs FROM message"), 3);
	ck_assert_int_eq(sql_ix("count(*) FROM message"), 1);
	ck_assert_int_eq(sql_ix("count(*) FROM file WHERE msg IS NULL"), 1);
	ck_assert_uint_eq(sql_usage(ALICE), 2000);
	(void)gone("", m.made_base);
	(void)gone("A", m.made_base);
	sql_wait(rig.w, gone("B", "1700000001.M2P3.h"));
	/* Two departures under one name are one trace. */
	ck_assert_int_eq(sql_ix("refs FROM message"), 2);
	ck_assert_int_eq(sql_ix("count(*) FROM gone"), 2);
}
END_TEST

START_TEST(traces_fade)
{
	struct sql_mail m = { .size = 500 };

	(void)sql_deliver(rig.w, &m);
	sql_wait(rig.w, gone("", m.made_base));
	ck_assert_int_eq(sql_ix("count(*) FROM message"), 1);
	sql_exec(sql_path("index.db"), "UPDATE gone SET at_us = 1");
	for (int i = 0; i < 100 && sql_ix("count(*) FROM message") > 0; i++)
		(void)usleep(50000);
	ck_assert_int_eq(sql_ix("count(*) FROM message"), 0);
	ck_assert_int_eq(sql_ix("count(*) FROM gone"), 0);
}
END_TEST

START_TEST(appended)
{
	struct pw_filed f = sql_file(ALICE, "", "1700000001.M2P3.h");

	(void)pw_writer_seen(rig.w, &f, PW_LIT(":2,S"));
	(void)content(&f, "Mine");
	sql_wait(rig.w, content(&f, "Again"));
	json_t *row = only(ALICE);
	ck_assert_str_eq(sql_str(row, "subject"), "Mine");
	ck_assert(json_is_null(json_object_get(row, "id")));
	json_decref(row);
	/* Moved: no record knows it, its trace does. */
	(void)gone("", "1700000001.M2P3.h");
	sql_wait(rig.w, seen("Old", "1700000001.M2P3.h", false, ":2,S", ""));
	row = only(ALICE);
	ck_assert_str_eq(sql_str(row, "subject"), "Mine");
	json_decref(row);
	ck_assert_int_eq(sql_ix("count(*) FROM gone"), 0);
	ck_assert_int_eq(sql_ix("refs FROM message"), 1);
	/* Content for what is no more: nothing is made of it. */
	(void)gone("Old", "1700000001.M2P3.h");
	sql_wait(rig.w, content(&f, "Late"));
	ck_assert_int_eq(sql_ix("count(*) FROM file"), 0);
	ck_assert_int_eq(sql_ix("count(*) FROM message"), 1);
}
END_TEST

/* The index gone, its files come back: each is known by the record of its
 * delivery, whatever its content says. */
START_TEST(known_by_the_record)
{
	struct sql_mail m = { .nmailbox = 2 };

	sql_wait(rig.w, sql_deliver(rig.w, &m));
	sql_exec(sql_path("index.db"),
	    "DELETE FROM message; DELETE FROM file; DELETE FROM box");
	sql_reopen();
	struct pw_filed f = sql_file("user0@example.test", "Moved",
	    m.made_base);
	(void)pw_writer_seen(rig.w, &f, PW_LIT(":2,S"));
	sql_wait(rig.w, content(&f, "Hello"));
	json_t *row = only("user0@example.test");
	ck_assert_str_eq(sql_str(row, "id"), m.id.s);
	ck_assert_str_eq(sql_str(row, "verdict"), "deliver");
	ck_assert_str_eq(sql_str(row, "auth_results"),
	    "mx.example.test; spf=pass");
	ck_assert_int_eq(json_integer_value(json_object_get(row, "prefix")),
	    33);
	json_decref(row);
	/* The same name in another's mailbox is no proof of anything. */
	f = sql_file(ALICE, "", m.made_base);
	(void)pw_writer_seen(rig.w, &f, PW_LIT(":2,S"));
	sql_wait(rig.w, content(&f, "Hello"));
	row = only(ALICE);
	ck_assert(json_is_null(json_object_get(row, "id")));
	json_decref(row);
}
END_TEST

START_TEST(uids)
{
	struct sql_mail m[3] = { { .size = 1 }, { .size = 2 }, { .size = 3 } };
	struct pw_uid_row rows[3];

	for (uint32_t i = 0; i < 3; i++) {
		(void)sql_deliver(rig.w, &m[i]);
		rows[i] = (struct pw_uid_row){ pw_bytes_of(m[i].made_base),
			i + 10 };
	}
	sql_wait(rig.w, pw_writer_uids(rig.w, PW_LIT(ALICE), PW_LIT(""), 17, rows, 3));
	ck_assert_int_eq(sql_ix("sum(uid) FROM file"), 33);
	ck_assert_int_eq(sql_ix("uidvalidity FROM box"), 17);
	/* Another UIDVALIDITY: all former ones are void. */
	sql_wait(rig.w, pw_writer_uids(rig.w, PW_LIT(ALICE), PW_LIT(""), 18, rows, 1));
	ck_assert_int_eq(sql_ix("sum(uid) FROM file"), 10);
	ck_assert_int_eq(sql_ix("uidvalidity FROM box"), 18);
	sql_reopen();
	sql_wait(rig.w,
	    pw_writer_uids(rig.w, PW_LIT(ALICE), PW_LIT(""), 18, rows + 1, 1));
	ck_assert_int_eq(sql_ix("sum(uid) FROM file"), 21);
	sql_wait(rig.w, pw_writer_uids(rig.w, PW_LIT(ALICE), PW_LIT("X"), 18, NULL, 0));
}
END_TEST

/* ---- small things -------------------------------------------------------- */

START_TEST(stamps)
{
	static const struct {
		const char *base;
		int64_t stamp;
	} t[] = { { "1700000000.M123P4_5_6.h,S=1", 1700000000000123 },
		{ "1700000000.M0P4", 1700000000000000 },
		{ "1700000000.M999999P4", 1700000000999999 },
		{ "1700000000.M1000000P4", 0 }, { "1700000000.P4M1", 0 },
		{ "1700000000", 0 }, { "", 0 }, { ".", 0 }, { "x.M1P2", 0 },
		{ "1.MP2", 0 }, { "99999999999999999999.M1P2", 0 } };

	for (size_t i = 0; i < PW_COUNT(t); i++)
		ck_assert_msg(pw_file_stamp(pw_bytes_of(t[i].base)) ==
			t[i].stamp,
		    "%s", t[i].base);
}
END_TEST

START_TEST(maps)
{
	struct pw_strmap m;
	char key[32];
	bool made;

	pw_strmap_init(&m);
	ck_assert_ptr_null(pw_strmap_get(&m, PW_LIT("")));
	ck_assert(!pw_strmap_del(&m, PW_LIT("x")));
	for (uint64_t round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < 5000; i++) {
			int n = snprintf(key, sizeof(key), "%llu",
			    (unsigned long long)i);
			pw_strmap_put(&m, pw_bytes(key, (size_t)n), &made)->a =
			    i + round;
			ck_assert(made == (round == 0 || i % 2 == 0));
		}
		ck_assert_uint_eq(m.count, 5000);
		for (uint64_t i = 0; i < 5000; i++) {
			int n = snprintf(key, sizeof(key), "%llu",
			    (unsigned long long)i);
			struct pw_bytes k = pw_bytes(key, (size_t)n);
			ck_assert_uint_eq(pw_strmap_get(&m, k)->a, i + round);
			if (i % 2 == 0)
				ck_assert(pw_strmap_del(&m, k));
		}
		ck_assert_uint_eq(m.count, 2500);
	}
	struct pw_strmap_val *v;
	struct pw_bytes k;
	size_t n = 0;
	for (size_t at = 0; pw_strmap_next(&m, &at, &k, &v);)
		n++;
	ck_assert_uint_eq(n, 2500);
	(void)pw_strmap_put(&m, PW_LIT(""), &made);
	ck_assert(made);
	ck_assert_ptr_nonnull(pw_strmap_get(&m, PW_LIT("")));
	pw_strmap_clear(&m);
}
END_TEST

Suite *pw_suite_storage_writer(void);
Suite *
pw_suite_storage_writer(void)
{
	Suite *s = suite_create("storage/writer");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, sql_open, sql_close);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, one_delivery);
	tcase_add_test(t, many_copies);
	tcase_add_test(t, replays);
	tcase_add_test(t, delivered_after_seen);
	tcase_add_test(t, same_microsecond);
	tcase_add_test(t, without_file);
	tcase_add_test(t, nasty_input);
	tcase_add_test(t, malformed);
	tcase_add_test(t, flags_and_deletion);
	tcase_add_test(t, moves);
	tcase_add_test(t, copies);
	tcase_add_test(t, traces_fade);
	tcase_add_test(t, appended);
	tcase_add_test(t, known_by_the_record);
	tcase_add_test(t, uids);
	tcase_add_test(t, stamps);
	tcase_add_test(t, maps);
	suite_add_tcase(s, t);
	return s;
}
