/* SPDX-License-Identifier: ISC */
/*
 * The writer's records of decisions, and what happens while a database is
 * locked, full, damaged or gone.
 */
#include <check.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "dns/dns.h"
#include "sql_rig.h"

static struct pw_err err;

/* ---- records ------------------------------------------------------------- */

START_TEST(cuts)
{
	struct sql_mail m = { .size = 1 };
	json_t *d;

	(void)sql_deliver(rig.w, &m);
	(void)pw_writer_cut(rig.w, pw_bytes_of(m.id.s), 120,
	    PW_LIT("Authentication-Results: us; spf=pass\r\n"));
	sql_wait(rig.w, pw_writer_cut(rig.w, pw_bytes_of(m.id.s), 7, PW_LIT("x")));
	ck_assert_int_eq(pw_index_decision(rig.x, NULL, m.id.s, &d, &err), 0);
	json_t *list = json_object_get(d, "cuts");
	ck_assert_uint_eq(json_array_size(list), 2);
	ck_assert_int_eq(json_integer_value(json_object_get(
			     json_array_get(list, 1), "offset")),
	    120);
	ck_assert_str_eq(sql_str(json_array_get(list, 1), "bytes"),
	    "Authentication-Results: us; spf=pass\r\n");
	json_decref(d);
}
END_TEST

START_TEST(old_ones_go)
{
	const int64_t day = (int64_t)86400 * 1000000;
	int64_t now = pw_clock_real_us();
	uint64_t t = 0;

	/* 300 beyond their time, 5 within it. */
	for (int i = 0; i < 305; i++) {
		struct sql_mail m = { .no_file = true,
			.time_us = now - (i < 300 ? 100 : 50) * day + i };
		t = sql_deliver(rig.w, &m);
	}
	sql_wait(rig.w, t);
	sql_exec(sql_path("decisions.db"),
	    "INSERT INTO dns VALUES (1, 1, x'00'), (2, 999999, x'00');"
	    "INSERT INTO filed VALUES (5, 'x', 1, 1, 0, 0)");
	for (int i = 0; i < 200 && sql_dc("count(*) FROM decision") > 5; i++)
		(void)usleep(50000);
	ck_assert_int_eq(sql_dc("count(*) FROM decision"), 5);
	ck_assert_int_eq(sql_dc("count(*) FROM rcpt"), 5);
	for (int i = 0; i < 100 && sql_dc("count(*) FROM dns") > 1; i++)
		(void)usleep(50000);
	ck_assert_int_eq(sql_dc("count(*) FROM dns"), 1);
	ck_assert_int_eq(sql_dc("count(*) FROM filed"), 0);
	/* Kept longer, then nothing goes; shorter, and the rest does. */
	pw_writer_keep(rig.w, 40ull * 86400 * 1000, 0, 0);
	for (int i = 0; i < 100 && sql_dc("count(*) FROM decision") > 0; i++)
		(void)usleep(50000);
	ck_assert_int_eq(sql_dc("count(*) FROM decision"), 0);
}
END_TEST

static struct pw_bytes
dns_set(struct pw_pool *pool, struct pw_enc *e, unsigned n, uint32_t ttl)
{
	struct pw_dns_set *s = pw_dns_set_new(pool);

	for (unsigned i = 0; i < n; i++) {
		struct pw_dns_rr rr = { .data = pw_bytes_of(pw_pool_printf(pool,
						"v=spf1 ip4:192.0.2.%u -all",
						i)) };
		struct pw_dns_answer a = { .name = pw_pool_printf(pool,
					       "n%u.example.org", i),
			.type = PW_DNS_TXT,
			.ttl = ttl,
			.nrr = 1,
			.rr = &rr };
		ck_assert_int_eq(pw_dns_set_add(s, &a), 0);
	}
	pw_enc_reset(e);
	pw_dns_set_enc(e, s);
	return pw_enc_done(e);
}

/* Answers are kept once, whatever their time to live was. */
START_TEST(dns_once)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_enc e;
	json_t *d;
	struct sql_mail m = { .no_file = true };

	pw_enc_init(&e, 1u << 20);
	for (unsigned i = 0; i < 40; i++) {
		m.id.s[0] = '\0';
		m.time_us = 0;
		m.dns = dns_set(pool, &e, 1 + i % 5, 60 + i);
		sql_wait(rig.w, sql_deliver(rig.w, &m));
		if (i == 20)
			sql_reopen();
	}
	ck_assert_int_eq(sql_dc("count(*) FROM dns"), 5);
	ck_assert_int_eq(pw_index_decision(rig.x, NULL, m.id.s, &d, &err), 0);
	json_t *list = json_object_get(d, "dns");
	ck_assert_uint_eq(json_array_size(list), 5);
	ck_assert_str_eq(sql_str(json_array_get(list, 4), "name"),
	    "n4.example.org");
	ck_assert_str_eq(sql_str(json_array_get(list, 4), "type"), "TXT");
	ck_assert_str_eq(json_string_value(json_array_get(
			     json_object_get(json_array_get(list, 4),
				 "records"),
			     0)),
	    "v=spf1 ip4:192.0.2.4 -all");
	json_decref(d);
	/* Another answer under the same hash: its neighbour is taken. */
	sql_exec(sql_path("decisions.db"), "UPDATE dns SET answer = x'0102'");
	sql_reopen();
	m.id.s[0] = '\0';
	m.time_us = 0;
	m.dns = dns_set(pool, &e, 5, 60);
	sql_wait(rig.w, sql_deliver(rig.w, &m));
	ck_assert_int_eq(sql_dc("count(*) FROM dns"), 10);
	ck_assert_int_eq(pw_index_decision(rig.x, NULL, m.id.s, &d, &err), 0);
	ck_assert_uint_eq(json_array_size(json_object_get(d, "dns")), 5);
	json_decref(d);
	pw_enc_free(&e);
	pw_pool_free(&pool);
}
END_TEST

/* ---- trouble ------------------------------------------------------------- */

START_TEST(locked)
{
	struct pw_db *db;
	const struct pw_db_opts opts = { .write = true, .wal = true,
		.busy_ms = 2000 };
	struct sql_mail m = { .size = 100 };
	uint64_t t;

	ck_assert_int_eq(pw_db_open(sql_path("decisions.db"), PW_DB_DECISIONS,
			     &opts, &db, &err),
	    PW_DB_DONE);
	ck_assert_int_eq(pw_q_exec(db, PW_Q_DC_BEGIN), PW_DB_DONE);
	t = sql_deliver(rig.w, &m);
	ck_assert_uint_ne(t, 0);
	ck_assert_int_eq(pw_writer_wait(rig.w, t, 1500), -1);
	ck_assert(!pw_writer_healthy(rig.w));
	/* It counts from the moment its ticket was given. */
	ck_assert_uint_eq(sql_usage(ALICE), 100);
	ck_assert_int_eq(pw_q_exec(db, PW_Q_DC_ROLLBACK), PW_DB_DONE);
	pw_db_close(&db);
	sql_wait(rig.w, t);
	ck_assert(pw_writer_healthy(rig.w));
	ck_assert_uint_eq(sql_usage(ALICE), 100);
}
END_TEST

START_TEST(queue_is_bounded)
{
	struct pw_writer_opts opts = { .state_dir = sql_dir, .max_queue = 10 };
	struct pw_db *db;
	const struct pw_db_opts writable = { .write = true, .wal = true,
		.busy_ms = 2000 };
	struct pw_filed f = sql_file(ALICE, "", "1.M1P1.h");
	struct sql_mail m;
	int n = 0, followed = 0;

	pw_writer_close(&rig.w);
	ck_assert_int_eq(pw_writer_open(&opts, &rig.w, &err), 0);
	ck_assert_int_eq(pw_db_open(sql_path("index.db"), PW_DB_INDEX,
			     &writable, &db, &err),
	    PW_DB_DONE);
	ck_assert_int_eq(pw_q_exec(db, PW_Q_IX_BEGIN), PW_DB_DONE);
	/* The follower has half of it, deliveries have it all. */
	while (followed < 100 && pw_writer_gone(rig.w, &f) != 0)
		followed++;
	ck_assert_int_eq(followed, 5);
	do
		m = (struct sql_mail){ .size = 1 };
	while (n < 100 && sql_deliver(rig.w, &m) != 0 && ++n);
	ck_assert_int_eq(n, 5);
	ck_assert_int_eq(pw_q_exec(db, PW_Q_IX_ROLLBACK), PW_DB_DONE);
	pw_db_close(&db);
	sql_wait(rig.w, pw_writer_last(rig.w));
	ck_assert_int_eq(sql_ix("count(*) FROM file"), 5);
	ck_assert_uint_eq(sql_usage(ALICE), 5);
}
END_TEST

/* No room: what does not fit waits, and goes in once there is room. */
START_TEST(no_space)
{
	struct rlimit small = { 60000, RLIM_INFINITY }, large = { RLIM_INFINITY,
		RLIM_INFINITY };
	char *text = malloc(30000);
	uint64_t t = 0;

	(void)signal(SIGXFSZ, SIG_IGN);
	memset(text, 'x', 30000);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &large), 0);
	small.rlim_max = large.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (int i = 0; i < 20; i++) {
		struct sql_mail m = { .text = pw_bytes(text, 30000),
			.size = 10 };
		t = sql_deliver(rig.w, &m);
		ck_assert_uint_ne(t, 0);
	}
	ck_assert_int_eq(pw_writer_wait(rig.w, t, 1500), -1);
	ck_assert(!pw_writer_healthy(rig.w));
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &large), 0);
	sql_wait(rig.w, t);
	ck_assert(pw_writer_healthy(rig.w));
	ck_assert_int_eq(sql_dc("count(*) FROM decision"), 20);
	ck_assert_int_eq(sql_ix("count(*) FROM file"), 20);
	ck_assert_uint_eq(sql_usage(ALICE), 200);
	free(text);
}
END_TEST

static void
overwrite(const char *name)
{
	char junk[4096];
	int fd = open(sql_path(name), O_WRONLY);

	ck_assert_int_ge(fd, 0);
	memset(junk, 0xa5, sizeof(junk));
	for (int i = 0; i < 30; i++)
		(void)!write(fd, junk, sizeof(junk));
	(void)close(fd);
}

static size_t
count_files(const char *pattern)
{
	glob_t g = { 0 };

	if (glob(sql_path(pattern), 0, NULL, &g) != 0)
		return 0;
	size_t n = g.gl_pathc;
	globfree(&g);
	return n;
}

/* Either database overwritten under the open connection: set aside, made anew,
 * and no delivery after it is lost. */
START_TEST(damaged)
{
	const char *name = _i == 0 ? "index.db" : "decisions.db";
	char pattern[64];
	struct sql_mail m = { .size = 100 };
	uint64_t epoch = pw_writer_epoch(rig.w), t = 0;

	sql_wait(rig.w, sql_deliver(rig.w, &m));
	/* Into the file itself, and nothing cached. */
	sql_reopen();
	pw_writer_close(&rig.w);
	overwrite(name);
	rig.w = sql_writer();
	(void)snprintf(pattern, sizeof(pattern), "%s.damaged-*", name);
	ck_assert_uint_eq(count_files(pattern), 1);

	/* And while it is in use. */
	sql_wait(rig.w, sql_deliver(rig.w, &(struct sql_mail){ .size = 100 }));
	epoch = pw_writer_epoch(rig.w);
	sql_exec(sql_path(name), "PRAGMA wal_checkpoint(TRUNCATE)");
	overwrite(name);
	for (int i = 0; i < 10; i++) {
		struct sql_mail more = { .size = 100, .mailbox =
			PW_LIT("bob@example.test") };
		t = sql_deliver(rig.w, &more);
		ck_assert_uint_ne(t, 0);
		(void)usleep(30000);
	}
	sql_wait(rig.w, t);
	ck_assert(pw_writer_healthy(rig.w));
	if (_i == 0)
		ck_assert_uint_gt(pw_writer_epoch(rig.w), epoch);
	ck_assert_int_ge(sql_ix("count(*) FROM file AS f JOIN box AS b ON b.id = "
			    "f.box WHERE b.mailbox = 'bob@example.test'"),
	    10);
	ck_assert_int_ge(sql_dc("count(*) FROM rcpt WHERE mailbox = "
			    "'bob@example.test'"),
	    10);
	ck_assert_uint_eq(sql_usage("bob@example.test"), 1000);
}
END_TEST

static void
remove_db(const char *name)
{
	static const char *const end[] = { "", "-wal", "-shm" };
	char file[64];

	for (size_t i = 0; i < PW_COUNT(end); i++) {
		(void)snprintf(file, sizeof(file), "%s%s", name, end[i]);
		(void)unlink(sql_path(file));
	}
}

START_TEST(deleted_while_open)
{
	struct sql_mail m = { .size = 100 }, other = { .size = 50 };
	uint64_t epoch = pw_writer_epoch(rig.w);

	sql_wait(rig.w, sql_deliver(rig.w, &m));
	remove_db("index.db");
	remove_db("decisions.db");
	for (int i = 0; i < 100 && pw_writer_epoch(rig.w) == epoch; i++)
		(void)usleep(50000);
	ck_assert_uint_gt(pw_writer_epoch(rig.w), epoch);
	sql_wait(rig.w, sql_deliver(rig.w, &other));
	ck_assert_int_eq(sql_ix("count(*) FROM file"), 1);
	ck_assert_int_eq(sql_dc("count(*) FROM decision"), 1);
	ck_assert_uint_eq(sql_usage(ALICE), 50);
}
END_TEST

/* What waited while a database went away is in the new one; it was never in
 * the old. */
START_TEST(deleted_while_waiting)
{
	const char *name = _i == 0 ? "decisions.db" : "index.db";
	struct sql_mail m[20];
	struct pw_db *db;
	const struct pw_db_opts opts = { .write = true, .wal = true,
		.busy_ms = 2000 };
	enum pw_db_id id = _i == 0 ? PW_DB_DECISIONS : PW_DB_INDEX;
	uint64_t t = 0;

	/* The writer has looked a moment ago, and looks each second. */
	(void)usleep(1100000);
	ck_assert_int_eq(pw_db_open(sql_path(name), id, &opts, &db, &err),
	    PW_DB_DONE);
	ck_assert_int_eq(pw_q_exec(db, _i == 0 ? PW_Q_DC_BEGIN : PW_Q_IX_BEGIN),
	    PW_DB_DONE);
	for (size_t i = 0; i < PW_COUNT(m); i++) {
		m[i] = (struct sql_mail){ .size = 10 };
		t = sql_deliver(rig.w, &m[i]);
	}
	ck_assert_int_eq(pw_writer_wait(rig.w, t, 200), -1);
	remove_db(name);
	ck_assert_int_eq(pw_q_exec(db, _i == 0 ? PW_Q_DC_ROLLBACK :
						 PW_Q_IX_ROLLBACK),
	    PW_DB_DONE);
	sql_wait(rig.w, t);
	ck_assert_int_eq(sql_dc("count(*) FROM decision"), PW_COUNT(m));
	ck_assert_int_eq(sql_ix("count(*) FROM file"), PW_COUNT(m));
	ck_assert_uint_eq(sql_usage(ALICE), 10 * PW_COUNT(m));
	/* Only now: it takes the WAL away, by its name. */
	pw_db_close(&db);
}
END_TEST

/* Deleted again and again while rows come: those written after the last time
 * are there, and none is asked for in vain. */
START_TEST(deleted_again)
{
	uint64_t t = 0;
	int n = 0;

	for (int round = 0; round < 20; round++) {
		(void)sql_deliver(rig.w, &(struct sql_mail){ .size = 1 });
		(void)usleep(20000 + (unsigned)round * 9000);
		remove_db("decisions.db");
		n = 0;
		for (; n < 30; n++)
			t = sql_deliver(rig.w, &(struct sql_mail){
					.size = 1 });
	}
	sql_wait(rig.w, t);
	ck_assert_int_ge(sql_dc("count(*) FROM decision"), n);
}
END_TEST

START_TEST(cannot_open)
{
	struct pw_writer_opts opts = { .state_dir = sql_path("none") };
	struct pw_writer *other;

	ck_assert_int_eq(pw_writer_open(&opts, &other, &err), -1);
	ck_assert_str_ne(err.text, "");
	pw_writer_close(&rig.w);
	sql_exec(sql_path("index.db"), "PRAGMA user_version = 999");
	opts.state_dir = sql_dir;
	ck_assert_int_eq(pw_writer_open(&opts, &other, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "later version"));
	sql_exec(sql_path("index.db"), "PRAGMA user_version = 1");
	rig.w = sql_writer();
}
END_TEST

/* Closing writes what waits. */
START_TEST(closes_in_order)
{
	for (int i = 0; i < 1000; i++) {
		struct sql_mail m = { .size = 1 };
		ck_assert_uint_ne(sql_deliver(rig.w, &m), 0);
	}
	sql_reopen();
	ck_assert_int_eq(sql_ix("count(*) FROM file"), 1000);
	ck_assert_int_eq(sql_dc("count(*) FROM decision"), 1000);
	ck_assert_uint_eq(sql_usage(ALICE), 1000);
}
END_TEST

Suite *pw_suite_storage_writer_faults(void);
Suite *
pw_suite_storage_writer_faults(void)
{
	Suite *s = suite_create("storage/writer_faults");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, sql_open, sql_close);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, cuts);
	tcase_add_test(t, old_ones_go);
	tcase_add_test(t, dns_once);
	tcase_add_test(t, locked);
	tcase_add_test(t, queue_is_bounded);
	tcase_add_test(t, no_space);
	tcase_add_loop_test(t, damaged, 0, 2);
	tcase_add_test(t, deleted_while_open);
	tcase_add_loop_test(t, deleted_while_waiting, 0, 2);
	tcase_add_test(t, deleted_again);
	tcase_add_test(t, cannot_open);
	tcase_add_test(t, closes_in_order);
	suite_add_tcase(s, t);
	return s;
}
