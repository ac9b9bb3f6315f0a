/* SPDX-License-Identifier: ISC */
/* What db.c and db_open.c share. */
#ifndef PW_STORAGE_DB_PRIVATE_H
#define PW_STORAGE_DB_PRIVATE_H

#include <sqlite3.h>

#include <sys/types.h>

#include "storage/db.h"

struct pw_q {
	sqlite3_stmt *st; /* NULL until it is first used */
	struct pw_db *db;
	int bind;         /* first failure of preparing and binding */
	bool running;     /* has given a row and was not reset */
};

struct pw_db {
	sqlite3 *sq;
	enum pw_db_id id;
	uint64_t deadline_ms;
	int wal_pages;
	dev_t dev;
	ino_t ino;
	char *path;
	char why[256];
	enum pw_db_rc last;
	struct pw_q q[PW_Q_COUNT];
};

enum pw_db_rc pw_db_code(int rc);
/* The code of RC; its text is kept for pw_db_why(). */
enum pw_db_rc pw_db_failed(struct pw_db *db, int rc);
/* Prepares STMT unless it is; an SQLite code. */
int pw_q_prepare(struct pw_db *db, enum pw_stmt stmt);

#endif
