/* SPDX-License-Identifier: ISC */
/*
 * A state folder under /tmp and what goes into the databases, for the suites of
 * the SQLite side.
 */
#ifndef TESTS_UNIT_STORAGE_SQL_RIG_H
#define TESTS_UNIT_STORAGE_SQL_RIG_H

#include <check.h>

#include "base/pool.h"
#include "storage/db.h"
#include "storage/index.h"
#include "storage/writer.h"

extern char sql_dir[64]; /* the folder, after sql_setup() */

/* Fixtures of Check: the folder; with _open also its writer and a reader. */
void sql_setup(void);
void sql_teardown(void);
extern struct sql_rig {
	struct pw_writer *w;
	struct pw_index *x;
} rig;
void sql_open(void);
void sql_close(void);
/* The writer closed and opened again. */
void sql_reopen(void);
uint64_t sql_usage(const char *mailbox);

#define ALICE "alice@example.test"

/* "<folder>/NAME", in static memory of 8 answers. */
const char *sql_path(const char *name);

/* Input that would mean something to SQL, printf, a shell or C. */
struct sql_text {
	const char *ptr;
	size_t len;
};
extern const struct sql_text sql_nasty[];
extern const size_t sql_nnasty;

/* Number of rows of all tables of PATH and its schema as text, by the sqlite3
 * library itself; malloc()ed. */
char *sql_shape(const char *path);
/* One number, by SQL text that only a test may make. */
int64_t sql_number(const char *path, const char *sql);
void sql_exec(const char *path, const char *sql);
/* Locked for everybody, readers too, until sql_unlock(). */
void *sql_lock(const char *path);
void sql_unlock(void *lock);
#define sql_ix(query) sql_number(sql_path("index.db"), "SELECT " query)
#define sql_dc(query) sql_number(sql_path("decisions.db"), "SELECT " query)

/* A decision about one mail, with defaults. */
struct sql_mail {
	struct pw_bytes mailbox; /* also the recipient given, unless... */
	struct pw_bytes given;
	struct pw_bytes from, subject, message_id, text;
	struct pw_bytes base;  /* empty: a fresh one */
	struct pw_bytes dns;
	const char *folder;
	uint64_t size;
	int64_t time_us;
	size_t nmailbox;       /* copies to MAILBOX0, MAILBOX1... */
	bool no_file;
	struct pw_id id;       /* made when empty */
	char made_base[128];   /* of the first file */
};
/* Queues it and gives the ticket. */
uint64_t sql_deliver(struct pw_writer *w, struct sql_mail *m);

struct pw_writer *sql_writer(void);
void sql_wait(struct pw_writer *w, uint64_t ticket);
struct pw_filed sql_file(const char *mailbox, const char *folder,
    const char *base);

/* The rows of a mailbox (NULL: all), newest first. */
json_t *sql_list(struct pw_index *x, const char *mailbox);
const char *sql_str(const json_t *row, const char *key);

#endif
