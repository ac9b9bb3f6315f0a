/* SPDX-License-Identifier: ISC */
/* The layer over SQLite: opening, migrating, what failures are called. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sql_rig.h"

static const struct pw_db_opts writable = { .write = true,
	.create = true,
	.wal = true,
	.mode = 0600,
	.busy_ms = 100 };

static struct pw_db *
open_ok(const char *path, enum pw_db_id id, const struct pw_db_opts *opts)
{
	struct pw_db *db;
	struct pw_err err;
	enum pw_db_rc rc = pw_db_open(path, id, opts, &db, &err);

	ck_assert_msg(rc == PW_DB_DONE, "%s", err.text);
	return db;
}

static enum pw_db_rc
open_code(const char *path, const struct pw_db_opts *opts)
{
	struct pw_db *db;
	struct pw_err err = { 0 };
	enum pw_db_rc rc = pw_db_open(path, PW_DB_INDEX, opts, &db, &err);

	ck_assert_ptr_null(db);
	ck_assert_str_ne(err.text, "");
	return rc;
}

static void
write_file(const char *path, const char *text, size_t n, off_t at)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, text, n, at), n);
	(void)close(fd);
}

START_TEST(makes_and_opens_again)
{
	static const struct {
		enum pw_db_id id;
		unsigned mode;
		bool wal;
	} kinds[] = { { PW_DB_ACCOUNTS, 0640, false },
		{ PW_DB_INDEX, 0600, true }, { PW_DB_DECISIONS, 0600, true } };
	mode_t old = umask(0777);

	for (size_t i = 0; i < PW_COUNT(kinds); i++) {
		const char *path = sql_path(pw_migrations[kinds[i].id].name);
		struct pw_db_opts opts = writable;
		struct stat sb;
		opts.mode = kinds[i].mode;
		opts.wal = kinds[i].wal;
		struct pw_db *db = open_ok(path, kinds[i].id, &opts);
		pw_db_close(&db);
		ck_assert_ptr_null(db);
		ck_assert_int_eq(stat(path, &sb), 0);
		ck_assert_uint_eq(sb.st_mode & 0777, kinds[i].mode);
		ck_assert_int_eq(sql_number(path, "PRAGMA user_version"),
		    pw_migrations[kinds[i].id].count);
		char *shape = sql_shape(path);
		db = open_ok(path, kinds[i].id, &opts);
		pw_db_close(&db);
		char *again = sql_shape(path);
		ck_assert_str_eq(shape, again);
		free(shape);
		free(again);
		opts = (struct pw_db_opts){ .busy_ms = 100 };
		db = open_ok(path, kinds[i].id, &opts);
		pw_db_close(&db);
	}
	(void)umask(old);
}
END_TEST

START_TEST(refuses)
{
	const char *path = sql_path("index.db");
	const struct pw_db_opts readable = { .busy_ms = 100 };
	struct pw_db *db;

	ck_assert_int_eq(open_code(path, &readable), PW_DB_IO);
	ck_assert_int_eq(open_code(sql_path("no/folder.db"), &writable),
	    PW_DB_IO);
	write_file(path, "This is no database, but long enough to look at. "
			 "This is no database, but long enough to look at.....",
	    100, 0);
	ck_assert_int_eq(open_code(path, &writable), PW_DB_CORRUPT);
	(void)unlink(path);

	/* Somebody else's database of the same version number. */
	sql_exec(path, "CREATE TABLE t (a); PRAGMA user_version = 1;");
	ck_assert_int_eq(open_code(path, &writable), PW_DB_CORRUPT);
	(void)unlink(path);

	/* A later version's. */
	db = open_ok(path, PW_DB_INDEX, &writable);
	pw_db_close(&db);
	sql_exec(path, "PRAGMA user_version = 999");
	ck_assert_int_eq(open_code(path, &writable), PW_DB_NEWER);
	ck_assert_int_eq(open_code(path, &readable), PW_DB_NEWER);
	(void)unlink(path);

	/* Nobody migrated it. */
	sql_exec(path, "VACUUM");
	ck_assert_int_eq(open_code(path, &readable), PW_DB_CORRUPT);
}
END_TEST

/* Each page in turn overwritten: opening and reading never does more than
 * fail. */
START_TEST(damaged_pages)
{
	char path[256], junk[4096];
	struct pw_err err;
	struct stat sb;

	(void)snprintf(path, sizeof(path), "%s", sql_path("index.db"));
	struct pw_db *db = open_ok(path, PW_DB_INDEX, &writable);
	pw_db_close(&db);
	ck_assert_int_eq(stat(path, &sb), 0);
	off_t pages = sb.st_size / 4096;
	ck_assert_int_gt(pages, 5);
	for (off_t i = 0; i < pages; i++) {
		char saved[4096];
		int fd = open(path, O_RDWR);
		ck_assert_int_eq(pread(fd, saved, 4096, i * 4096), 4096);
		memset(junk, (int)(0xa0 + i), sizeof(junk));
		ck_assert_int_eq(pwrite(fd, junk, 4096, i * 4096), 4096);
		if (pw_db_open(path, PW_DB_INDEX, &writable, &db, &err) ==
		    PW_DB_DONE) {
			struct pw_q *q = pw_q(db, PW_Q_USAGE_LOAD);
			while (pw_q_step(q) == PW_DB_ROW)
				continue;
			q = pw_q(db, PW_Q_BOX_ADD);
			pw_q_str(q, 1, "a@b.c");
			pw_q_str(q, 2, "");
			enum pw_db_rc rc = pw_q_run(q);
			ck_assert_msg(rc == PW_DB_DONE || rc == PW_DB_CORRUPT ||
				rc == PW_DB_EXISTS || rc == PW_DB_IO,
			    "page %d: %s", (int)i, pw_db_rc_name(rc));
			pw_db_close(&db);
		}
		ck_assert_int_eq(pwrite(fd, saved, 4096, i * 4096), 4096);
		(void)close(fd);
		(void)unlink(sql_path("index.db-wal"));
		(void)unlink(sql_path("index.db-shm"));
	}
}
END_TEST

START_TEST(sets_aside)
{
	char path[256];
	struct pw_err err;
	glob_t g;

	(void)snprintf(path, sizeof(path), "%s", sql_path("x[1]*.db"));
	for (int i = 0; i < 5; i++) {
		write_file(path, "x", 1, 0);
		write_file(sql_path("x[1]*.db-wal"), "x", 1, 0);
		ck_assert_int_eq(pw_db_move_aside(path, 2, &err), 0);
		ck_assert_int_ne(access(path, F_OK), 0);
		ck_assert_int_ne(access(sql_path("x[1]*.db-wal"), F_OK), 0);
	}
	ck_assert_int_eq(glob(sql_path("*.damaged-*"), 0, NULL, &g), 0);
	ck_assert_uint_eq(g.gl_pathc, 4); /* two, each with its WAL */
	globfree(&g);
	/* Nothing there is no error. */
	ck_assert_int_eq(pw_db_move_aside(path, 2, &err), 0);
}
END_TEST

START_TEST(codes)
{
	const char *path = sql_path("accounts.db");
	struct pw_db_opts opts = { .write = true,
		.create = true,
		.mode = 0640,
		.busy_ms = 50 };
	struct pw_db *a = open_ok(path, PW_DB_ACCOUNTS, &opts);
	struct pw_db *b = open_ok(path, PW_DB_ACCOUNTS, &opts);
	struct pw_q *q;

	for (int i = 0; i < 2; i++) {
		q = pw_q(a, PW_Q_DOMAIN_ADD);
		pw_q_str(q, 1, "example.org");
		ck_assert_int_eq(pw_q_run(q), i == 0 ? PW_DB_DONE :
						       PW_DB_EXISTS);
	}
	ck_assert_int_eq(pw_db_last(a), PW_DB_EXISTS);
	pw_db_forget(a);
	ck_assert_int_eq(pw_db_last(a), PW_DB_DONE);
	/* NOT NULL and CHECK: never. */
	q = pw_q(a, PW_Q_DOMAIN_ADD);
	ck_assert_int_eq(pw_q_run(q), PW_DB_BAD);
	/* A column that the statement has not. */
	q = pw_q(a, PW_Q_DOMAIN_ADD);
	pw_q_str(q, 9, "x");
	ck_assert_int_eq(pw_q_run(q), PW_DB_BAD);
	/* Wrong type in a STRICT table. */
	q = pw_q(a, PW_Q_MAILBOX_ADD);
	pw_q_str(q, 1, "not a number");
	pw_q_str(q, 2, "a@example.org");
	pw_q_str(q, 3, "a");
	pw_q_int(q, 5, 0);
	ck_assert_int_eq(pw_q_run(q), PW_DB_BAD);

	ck_assert_int_eq(pw_q_exec(a, PW_Q_ACC_BEGIN), PW_DB_DONE);
	ck_assert(pw_db_in_transaction(a));
	ck_assert_int_eq(pw_q_exec(b, PW_Q_ACC_BEGIN), PW_DB_BUSY);
	ck_assert_int_eq(pw_q_exec(a, PW_Q_ACC_COMMIT), PW_DB_DONE);
	ck_assert_int_eq(pw_q_exec(b, PW_Q_ACC_BEGIN), PW_DB_DONE);
	pw_db_close(&a);
	pw_db_close(&b);
}
END_TEST

START_TEST(bytes_as_they_are)
{
	struct pw_db *db =
	    open_ok(sql_path("index.db"), PW_DB_INDEX, &writable);

	for (size_t i = 0; i < sql_nnasty; i++) {
		struct pw_bytes b = pw_bytes(sql_nasty[i].ptr,
		    sql_nasty[i].len);
		struct pw_q *q = pw_q(db, PW_Q_BOX_ADD);
		pw_q_text(q, 1, b);
		pw_q_text(q, 2, b);
		ck_assert_int_eq(pw_q_run(q), PW_DB_DONE);
		q = pw_q(db, PW_Q_BOX_GET);
		pw_q_text(q, 1, b);
		pw_q_text(q, 2, b);
		ck_assert_int_eq(pw_q_step(q), PW_DB_ROW);
		ck_assert_int_eq(pw_q_i64(q, 0), i + 1);
		ck_assert(pw_q_is_null(q, 1));
		q = pw_q(db, PW_Q_FOLLOW_FOLDERS);
		pw_q_text(q, 1, b);
		ck_assert_int_eq(pw_q_step(q), PW_DB_ROW);
		ck_assert(pw_bytes_eq(pw_q_bytes(q, 0), b));
		ck_assert_int_eq(pw_q_step(q), PW_DB_DONE);
	}
	pw_db_close(&db);
}
END_TEST

START_TEST(deadline)
{
	struct pw_db *db =
	    open_ok(sql_path("index.db"), PW_DB_INDEX, &writable);

	pw_db_close(&db);
	sql_exec(sql_path("index.db"),
	    "INSERT INTO box (id, mailbox, folder) VALUES (1, 'a', '');"
	    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
	    "WHERE i < 200000) INSERT INTO file SELECT i, i >> 12, 1, i, '', "
	    "1, NULL, 1, 1, 1, 1, 0, 0, NULL FROM n;");
	db = open_ok(sql_path("index.db"), PW_DB_INDEX, &writable);
	pw_db_deadline(db, 1);
	struct pw_q *q = pw_q(db, PW_Q_LIST_MAILBOX);
	pw_q_str(q, 1, "a");
	pw_q_int(q, 9, 1);
	pw_q_int(q, 10, 0);
	ck_assert_int_eq(pw_q_step(q), PW_DB_TIMEOUT);
	pw_db_deadline(db, 0);
	q = pw_q(db, PW_Q_LIST_MAILBOX);
	pw_q_str(q, 1, "a");
	pw_q_int(q, 9, 1);
	pw_q_int(q, 10, 0);
	ck_assert_int_eq(pw_q_step(q), PW_DB_ROW);
	pw_db_close(&db);
}
END_TEST

START_TEST(replaced)
{
	const char *path = sql_path("index.db");
	struct pw_db *db = open_ok(path, PW_DB_INDEX, &writable);

	ck_assert(!pw_db_replaced(db));
	ck_assert_int_eq(rename(path, sql_path("other.db")), 0);
	ck_assert(pw_db_replaced(db));
	write_file(path, "", 0, 0);
	ck_assert(pw_db_replaced(db));
	pw_db_close(&db);
}
END_TEST

START_TEST(wal_is_counted)
{
	struct pw_db *db =
	    open_ok(sql_path("index.db"), PW_DB_INDEX, &writable);
	struct pw_q *q = pw_q(db, PW_Q_BOX_ADD);

	pw_q_str(q, 1, "a");
	pw_q_str(q, 2, "");
	ck_assert_int_eq(pw_q_run(q), PW_DB_DONE);
	ck_assert_int_gt(pw_db_wal_pages(db), 0);
	ck_assert_int_eq(pw_db_checkpoint(db, false), PW_DB_DONE);
	ck_assert_int_eq(pw_db_wal_pages(db), 0);
	ck_assert_int_eq(pw_db_checkpoint(db, true), PW_DB_DONE);
	pw_db_close(&db);
}
END_TEST

Suite *pw_suite_storage_db(void);
Suite *
pw_suite_storage_db(void)
{
	Suite *s = suite_create("storage/db");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, sql_setup, sql_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, makes_and_opens_again);
	tcase_add_test(t, refuses);
	tcase_add_test(t, damaged_pages);
	tcase_add_test(t, sets_aside);
	tcase_add_test(t, codes);
	tcase_add_test(t, bytes_as_they_are);
	tcase_add_test(t, deadline);
	tcase_add_test(t, replaced);
	tcase_add_test(t, wal_is_counted);
	suite_add_tcase(s, t);
	return s;
}
