/* SPDX-License-Identifier: ISC */
/* What the files of the index's readers share. */
#ifndef PW_STORAGE_INDEX_PRIVATE_H
#define PW_STORAGE_INDEX_PRIVATE_H

#include "storage/db.h"
#include "storage/index.h"

struct pw_index {
	char *ix_path, *dc_path;
	struct pw_db *ix, *dc;
	uint8_t ix_key[16], dc_key[16];
};

/* A connection to the file that is there now, with a time limit running; NULL
 * and ERR. */
struct pw_db *pw_index_db(struct pw_index *x, enum pw_db_id id,
    struct pw_err *err);
/* What a query ended with: 0, or -1 and ERR in words. */
int pw_index_end(struct pw_db *db, enum pw_db_rc rc, struct pw_err *err);

/* Who asks, for the statements about decisions; NULL is everybody. */
void pw_index_bind_view(struct pw_q *q, const struct pw_view *view);
/* ---- index_decision.c: rows of decisions ----------------------------------- */

#define PW_INDEX_DNS_MAX 256
/* A row's list of answers, kept while other statements run. */
struct pw_index_dns {
	char hash[PW_INDEX_DNS_MAX * 8];
	size_t len;
};
void pw_index_keep_dns(struct pw_index_dns *k, struct pw_q *q);
/* All of a row but what needs other statements: its recipients, or those with
 * answers, cuts and places. */
json_t *pw_index_decision_row(struct pw_q *q);
void pw_index_add_recipients(struct pw_db *db, const struct pw_view *view,
    json_t *o, int64_t id);
void pw_index_complete(struct pw_index *x, struct pw_db *db,
    const struct pw_view *view, json_t *o, const struct pw_index_dns *dns);

/* Text from a database as JSON: what is no UTF-8 is told in escapes. */
json_t *pw_index_text(struct pw_bytes b);
/* Text that is JSON itself; null when it is not. */
json_t *pw_index_json(struct pw_bytes b);
/* "<a@b>" to "a@b" and the other way round, in OUT; a Message-ID is found in
 * both forms. */
struct pw_bytes pw_index_other_form(struct pw_bytes mid, char *out,
    size_t size);
/* DNS answers by the list of hashes in a decision, as JSON. */
json_t *pw_index_answers(struct pw_db *db, struct pw_bytes rows);

#endif
