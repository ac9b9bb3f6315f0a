/* SPDX-License-Identifier: ISC */
/*
 * Opening, migrating and setting aside database files.  Whatever is wrong with
 * a file is told as one code; nothing here deletes anything but old files that
 * were set aside before.
 */
#include <sqlite3.h>

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/pool.h"
#include "storage/db_private.h"

/* A stolen or foreign file must not make SQLite call anything. */
static const char pragmas_all[] = "PRAGMA trusted_schema = OFF;"
				  "PRAGMA cell_size_check = ON;"
				  "PRAGMA foreign_keys = ON;"
				  "PRAGMA temp_store = MEMORY;";
static const char pragmas_wal[] = "PRAGMA journal_mode = WAL;"
				  "PRAGMA synchronous = NORMAL;"
				  "PRAGMA journal_size_limit = 67108864;";
static const char pragmas_rollback[] = "PRAGMA journal_mode = DELETE;"
				       "PRAGMA synchronous = FULL;";

/* Made by us with the wanted mode, whatever the umask is: SQLite gives its
 * journal and WAL the same. */
static int
create_file(const char *path, unsigned mode, struct pw_err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	    0600);

	if (fd < 0 && errno == EEXIST)
		return 0;
	if (fd < 0)
		return pw_err_sys(err, "cannot create %s", path);
	int rc = fchmod(fd, (mode_t)mode) == 0 ?
	    0 :
	    pw_err_sys(err, "cannot set the mode of %s", path);
	(void)close(fd);
	return rc;
}

static enum pw_db_rc
errno_code(int e)
{
	return e == ENOSPC || e == EDQUOT ? PW_DB_FULL : PW_DB_IO;
}

static enum pw_db_rc
fail(struct pw_db *db, int rc, const char *what, struct pw_err *err)
{
	enum pw_db_rc code = pw_db_failed(db, rc);

	/* "no such table" and the like, before anything was asked: it is some
	 * other program's file. */
	if ((rc & 0xff) == SQLITE_ERROR)
		code = PW_DB_CORRUPT;
	(void)pw_err_set(err, 0, "%s: %s: %s", db->path, what, pw_db_why(db));
	return code;
}

static int
exec(struct pw_db *db, const char *sql)
{
	return sqlite3_exec(db->sq, sql, NULL, NULL, NULL);
}

static int
user_version(struct pw_db *db, int *version)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(db->sq, "PRAGMA user_version", -1, &st,
	    NULL);

	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(st);
	*version = rc == SQLITE_ROW ? sqlite3_column_int(st, 0) : 0;
	int end = sqlite3_finalize(st);
	return rc == SQLITE_ROW ? SQLITE_OK : end;
}

/* From what is there to the newest.  The version is read again inside each
 * transaction: another process may have been first. */
static enum pw_db_rc
migrate(struct pw_db *db, bool write, struct pw_err *err)
{
	const struct pw_migrations *m = &pw_migrations[db->id];
	int rc, have;

	if ((rc = user_version(db, &have)) != SQLITE_OK)
		return fail(db, rc, "cannot be read", err);
	while (write && have < m->count) {
		if ((rc = exec(db, "BEGIN IMMEDIATE")) == SQLITE_OK)
			rc = user_version(db, &have);
		if (rc == SQLITE_OK && have < m->count)
			rc = exec(db, m->text[have]);
		if (rc == SQLITE_OK)
			rc = exec(db, "COMMIT");
		if (rc != SQLITE_OK) {
			enum pw_db_rc code =
			    fail(db, rc, "cannot be migrated", err);
			(void)exec(db, "ROLLBACK");
			return code;
		}
		if ((rc = user_version(db, &have)) != SQLITE_OK)
			return fail(db, rc, "cannot be read", err);
	}
	if (have > m->count) {
		(void)pw_err_set(err, 0,
		    "%s: schema %d is of a later version of Postward; this one "
		    "knows %d",
		    db->path, have, m->count);
		return PW_DB_NEWER;
	}
	if (have < m->count) {
		(void)pw_err_set(err, 0,
		    "%s: schema %d is older than this version's %d; start "
		    "postwardd once to bring it up to date",
		    db->path, have, m->count);
		return have == 0 ? PW_DB_CORRUPT : PW_DB_BAD;
	}
	return PW_DB_DONE;
}

static enum pw_db_rc
prepare_all(struct pw_db *db, struct pw_err *err)
{
	for (size_t i = 0; i < PW_Q_COUNT; i++) {
		if (pw_stmt_texts[i].db != db->id)
			continue;
		int rc = pw_q_prepare(db, (enum pw_stmt)i);
		if (rc != SQLITE_OK)
			return fail(db, rc, pw_stmt_texts[i].name, err);
	}
	return PW_DB_DONE;
}

static int
count_wal(void *arg, sqlite3 *sq, const char *name, int pages)
{
	(void)sq;
	(void)name;
	((struct pw_db *)arg)->wal_pages = pages;
	return SQLITE_OK;
}

static enum pw_db_rc
set_up(struct pw_db *db, const struct pw_db_opts *opts, struct pw_err *err)
{
	int rc;

	(void)sqlite3_extended_result_codes(db->sq, 1);
	(void)sqlite3_busy_timeout(db->sq, (int)opts->busy_ms);
	(void)sqlite3_db_config(db->sq, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_limit(db->sq, SQLITE_LIMIT_LENGTH, 64 << 20);
	if ((rc = exec(db, pragmas_all)) != SQLITE_OK)
		return fail(db, rc, "cannot be opened", err);
	if (opts->write &&
	    (rc = exec(db, opts->wal ? pragmas_wal : pragmas_rollback)) !=
		SQLITE_OK)
		return fail(db, rc, "cannot be opened for writing", err);
	if (opts->large_cache)
		(void)exec(db, "PRAGMA cache_size = -16384");
	enum pw_db_rc code = migrate(db, opts->write, err);
	if (code == PW_DB_DONE && opts->write)
		code = prepare_all(db, err);
	/* In place of automatic checkpoints: the owner chooses when. */
	if (opts->write && opts->wal)
		(void)sqlite3_wal_hook(db->sq, count_wal, db);
	return code;
}

enum pw_db_rc
pw_db_open(const char *path, enum pw_db_id id, const struct pw_db_opts *opts,
    struct pw_db **out, struct pw_err *err)
{
	struct stat sb;

	*out = NULL;
	if (opts->write && opts->create &&
	    create_file(path, opts->mode, err) != 0)
		return errno_code(err->code);

	struct pw_db *db = pw_xcalloc(1, sizeof(*db));
	db->id = id;
	db->path = pw_xstrdup(path);
	if (stat(path, &sb) == 0) {
		db->dev = sb.st_dev;
		db->ino = sb.st_ino;
	}
	int rc = sqlite3_open_v2(path, &db->sq,
	    (opts->write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) |
		SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
	    NULL);
	enum pw_db_rc code = rc == SQLITE_OK ?
	    set_up(db, opts, err) :
	    fail(db, rc, "cannot be opened", err);
	if (code != PW_DB_DONE)
		pw_db_close(&db);
	*out = db;
	return code;
}

void
pw_db_close(struct pw_db **dbp)
{
	struct pw_db *db = *dbp;

	if (db == NULL)
		return;
	*dbp = NULL;
	for (size_t i = 0; i < PW_Q_COUNT; i++)
		(void)sqlite3_finalize(db->q[i].st);
	(void)sqlite3_close_v2(db->sq);
	free(db->path);
	free(db);
}

bool
pw_db_replaced(const struct pw_db *db)
{
	struct stat sb;

	return stat(db->path, &sb) != 0 || sb.st_dev != db->dev ||
	    sb.st_ino != db->ino;
}

/* Names end in a time, so that their order is that of age. */
static void
drop_old(const char *path, unsigned keep)
{
	char pattern[4200];
	glob_t g;
	size_t at = 0;

	for (const char *p = path; *p != '\0' && at < sizeof(pattern) - 64;) {
		if (strchr("*?[\\", *p) != NULL)
			pattern[at++] = '\\';
		pattern[at++] = *p++;
	}
	(void)snprintf(pattern + at, sizeof(pattern) - at,
	    ".damaged-[0-9]*[0-9]");
	if (glob(pattern, 0, NULL, &g) != 0)
		return;
	for (size_t i = 0; i + keep < g.gl_pathc; i++) {
		char wal[4300];
		(void)unlink(g.gl_pathv[i]);
		(void)snprintf(wal, sizeof(wal), "%s-wal", g.gl_pathv[i]);
		(void)unlink(wal);
	}
	globfree(&g);
}

int
pw_db_move_aside(const char *path, unsigned keep, struct pw_err *err)
{
	char from[4200], to[4200];
	long long now = (long long)pw_clock_real_us();

	(void)snprintf(to, sizeof(to), "%s.damaged-%016lld", path, now);
	if (rename(path, to) != 0 && errno != ENOENT)
		return pw_err_sys(err, "cannot set %s aside", path);
	/* A WAL goes with its database: left behind it would be taken for the
	 * new one's. */
	(void)snprintf(from, sizeof(from), "%s-wal", path);
	(void)snprintf(to, sizeof(to), "%s.damaged-%016lld-wal", path, now);
	if (rename(from, to) != 0 && errno != ENOENT)
		return pw_err_sys(err, "cannot set %s aside", from);
	(void)snprintf(from, sizeof(from), "%s-shm", path);
	if (unlink(from) != 0 && errno != ENOENT)
		return pw_err_sys(err, "cannot remove %s", from);
	drop_old(path, keep);
	return 0;
}
