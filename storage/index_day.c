/* SPDX-License-Identifier: ISC */
/*
 * The decisions of a day, page by page, for reports.  A page is small, so that
 * the process that serves it is not held up.  Same callers as index.c.
 */
#include <stdio.h>

#include "storage/decision.h"
#include "storage/index_private.h"

#define PAGE_ROWS 100
#define DNS_MAX 256

/* Columns of decision_day. */
enum { C_ID, C_PEER, C_MAIL_FROM, C_ACTION, C_AUTH, C_EVIDENCE, C_DNS };

/* The names of the evidence that counted. */
static json_t *
symbols(struct pw_bytes evidence)
{
	json_t *all = pw_index_json(evidence), *e, *list = json_array();
	size_t i;

	json_array_foreach(all, i, e)
		if (!json_is_true(json_object_get(e, "shadow")))
			(void)json_array_append(list,
			    json_object_get(e, "symbol"));
	json_decref(all);
	return list;
}

static json_t *
row_of(struct pw_db *db, struct pw_q *q)
{
	struct pw_bytes dns = pw_bytes_sub(pw_q_bytes(q, C_DNS), 0,
	    DNS_MAX * 8);
	json_t *o = json_object();

	(void)json_object_set_new(o, "time", json_integer(pw_q_i64(q, C_ID)));
	(void)json_object_set_new(o, "peer",
	    pw_index_text(pw_q_bytes(q, C_PEER)));
	(void)json_object_set_new(o, "mail_from",
	    pw_index_text(pw_q_bytes(q, C_MAIL_FROM)));
	(void)json_object_set_new(o, "action", json_string(
	    pw_action_name((uint8_t)pw_q_i64(q, C_ACTION))));
	(void)json_object_set_new(o, "auth_results",
	    pw_index_text(pw_q_bytes(q, C_AUTH)));
	(void)json_object_set_new(o, "symbols",
	    symbols(pw_q_bytes(q, C_EVIDENCE)));
	(void)json_object_set_new(o, "dns", pw_index_answers(db, dns));
	return o;
}

/* METHOD=... stands in the value. */
static bool
has_method(struct pw_bytes auth, const char *method)
{
	char text[40];
	int n = snprintf(text, sizeof(text), "%s=", method);

	return n > 0 && (size_t)n < sizeof(text) && auth.len > 0 &&
	    memmem(auth.ptr, auth.len, text, (size_t)n) != NULL;
}

int
pw_index_day(struct pw_index *x, int64_t after_us, int64_t until_us,
    const char *method, json_t **page, struct pw_err *err)
{
	struct pw_db *db = pw_index_db(x, PW_DB_DECISIONS, err);
	json_t *rows, *next = json_null();
	enum pw_db_rc rc;
	struct pw_q *q;
	unsigned n = 0;

	*page = NULL;
	if (db == NULL)
		return -1;
	rows = json_array();
	q = pw_q(db, PW_Q_DECISION_DAY);
	pw_q_int(q, 1, after_us);
	pw_q_int(q, 2, until_us);
	pw_q_int(q, 3, PAGE_ROWS);
	while ((rc = pw_q_step(q)) == PW_DB_ROW) {
		if (has_method(pw_q_bytes(q, C_AUTH), method))
			(void)json_array_append_new(rows, row_of(db, q));
		if (++n == PAGE_ROWS)
			next = json_integer(pw_q_i64(q, C_ID));
	}
	if (pw_index_end(db, rc, err) != 0) {
		json_decref(rows);
		json_decref(next);
		return -1;
	}
	*page = json_pack("{s:o,s:o}", "rows", rows, "next", next);
	return 0;
}
