/* SPDX-License-Identifier: ISC */
/*
 * Every statement of schema/queries.sql, as EXPLAIN sees it: it compiles, and
 * what is on the way of mail reads no table from end to end.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "sql_rig.h"

/* Statements that walk through a table because that is what they are for. */
static const enum pw_stmt walks[] = { PW_Q_DOMAIN_LIST, PW_Q_MAILBOX_LIST, PW_Q_LISTS_ALL,
	PW_Q_ALIAS_LIST, PW_Q_USAGE_LOAD, PW_Q_LIST_ALL, PW_Q_FILE_LAST_ID,
	PW_Q_FIND_LAST, PW_Q_OLDEST, PW_Q_MAILBOX_LIST_DOMAIN, PW_Q_ALIAS_LIST_DOMAIN };

static const struct pw_db_opts opts = { .write = true,
	.create = true,
	.wal = true,
	.mode = 0600 };

static void
count_line(void *arg, const char *text)
{
	(void)text;
	(*(size_t *)arg)++;
}

/* "SCAN k" is the list of buckets, "SCAN (subquery" a result at hand. */
static void
look_for_scan(void *arg, const char *text)
{
	char *found = arg;

	if (strncmp(text, "SCAN ", 5) == 0 && strcmp(text, "SCAN k") != 0 &&
	    strncmp(text, "SCAN (", 6) != 0 &&
	    strcmp(text, "SCAN CONSTANT ROW") != 0)
		(void)snprintf(found, 200, "%s", text);
}

static bool
may_walk(enum pw_stmt stmt)
{
	for (size_t i = 0; i < PW_COUNT(walks); i++)
		if (walks[i] == stmt)
			return true;
	return false;
}

static struct pw_db *dbs[PW_DB_COUNT];

static void
open_all(void)
{
	struct pw_err err;

	sql_setup();
	for (int i = 0; i < PW_DB_COUNT; i++)
		ck_assert_int_eq(pw_db_open(sql_path(pw_migrations[i].name),
				     (enum pw_db_id)i, &opts, &dbs[i], &err),
		    PW_DB_DONE);
}

static void
close_all(void)
{
	for (int i = 0; i < PW_DB_COUNT; i++)
		pw_db_close(&dbs[i]);
	sql_teardown();
}

START_TEST(compiles)
{
	for (int i = 0; i < PW_Q_COUNT; i++) {
		struct pw_db *db = dbs[pw_stmt_texts[i].db];
		struct pw_err err;
		size_t lines = 0;
		ck_assert_msg(pw_db_explain(db, (enum pw_stmt)i, false,
				  count_line, &lines, &err) == 0,
		    "%s", err.text);
		ck_assert_msg(lines > 0, "%s", pw_stmt_texts[i].name);
	}
}
END_TEST

START_TEST(finds_by_index)
{
	for (int i = 0; i < PW_Q_COUNT; i++) {
		struct pw_db *db = dbs[pw_stmt_texts[i].db];
		struct pw_err err;
		char found[200] = "";
		if (may_walk((enum pw_stmt)i) ||
		    strncmp(pw_stmt_texts[i].text, "PRAGMA", 6) == 0)
			continue;
		ck_assert_msg(pw_db_explain(db, (enum pw_stmt)i, true,
				  look_for_scan, found, &err) == 0,
		    "%s", err.text);
		ck_assert_msg(found[0] == '\0', "%s: %s",
		    pw_stmt_texts[i].name, found);
	}
}
END_TEST

/* A value that stands in a statement did not come through a parameter. */
START_TEST(nothing_is_written_in)
{
	for (int i = 0; i < PW_Q_COUNT; i++) {
		const char *p = pw_stmt_texts[i].text;
		for (; (p = strchr(p, '\'')) != NULL; p += 3)
			ck_assert_msg(strncmp(p, "'\\'", 3) == 0, "%s",
			    pw_stmt_texts[i].name);
		ck_assert_ptr_null(strstr(pw_stmt_texts[i].text, "%"));
	}
}
END_TEST

Suite *pw_suite_storage_queries(void);
Suite *
pw_suite_storage_queries(void)
{
	Suite *s = suite_create("storage/queries");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, open_all, close_all);
	tcase_add_test(t, compiles);
	tcase_add_test(t, finds_by_index);
	tcase_add_test(t, nothing_is_written_in);
	suite_add_tcase(s, t);
	return s;
}
