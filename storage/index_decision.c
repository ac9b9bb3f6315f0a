/* SPDX-License-Identifier: ISC */
/*
 * Questions about decisions to decisions.db, as JSON.  What is read from the
 * database is decoded with the same checks as what comes from a peer.  Same
 * callers as index.c.
 */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "dns/dns.h"
#include "storage/address.h"
#include "storage/decision.h"
#include "storage/index_private.h"


/* Columns of decision_by_tid, decision_by_mid, decision_trace. */
enum {
	C_ID, C_TID, C_SESSION, C_PEER, C_PORT, C_LISTENER, C_HELO, C_RDNS,
	C_TLS, C_FLAGS, C_MAIL_FROM, C_MESSAGE_ID, C_SIZE, C_REPLY, C_ACTION,
	C_STEP, C_SCORE, C_AUTH, C_GENERATION, C_EVIDENCE, C_RUNS, C_DNS,
	C_KIND, C_COUNT, C_NET, C_UNTIL
};

static void
set_text(json_t *o, const char *key, struct pw_q *q, int col)
{
	(void)json_object_set_new(o, key, pw_index_text(pw_q_bytes(q, col)));
}

static void
set_int(json_t *o, const char *key, struct pw_q *q, int col)
{
	(void)json_object_set_new(o, key, json_integer(pw_q_i64(q, col)));
}

static void
set_action(json_t *o, struct pw_q *q, int col)
{
	(void)json_object_set_new(o, "action",
	    json_string(pw_action_name((uint8_t)pw_q_i64(q, col))));
}

/* ---- parts --------------------------------------------------------------- */

static json_t *
stages(struct pw_bytes runs)
{
	static const char *const names[] = { "hit", "no hit", "not applicable",
		"could not run" };
	json_t *list = pw_index_json(runs), *run;
	size_t i;

	json_array_foreach(list, i, run)
	{
		json_int_t o =
		    json_integer_value(json_object_get(run, "outcome"));
		(void)json_object_set_new(run, "outcome",
		    json_string(o >= 0 && o < (json_int_t)PW_COUNT(names) ?
			    names[o] :
			    "unknown"));
	}
	return list;
}

static json_t *
record_text(uint16_t type, const struct pw_dns_rr *rr)
{
	char text[PW_IP_STRLEN];
	struct pw_ip ip = { .family = rr->data.len == 4 ? 4 : 6 };

	if ((type == PW_DNS_A && rr->data.len == 4) ||
	    (type == PW_DNS_AAAA && rr->data.len == 16)) {
		memcpy(ip.b, rr->data.ptr, rr->data.len);
		pw_ip_format(&ip, text);
		return json_string(text);
	}
	if (type != PW_DNS_MX)
		return pw_index_text(rr->data);
	json_t *name = pw_index_text(rr->data);
	json_t *both = json_sprintf("%u %s", (unsigned)rr->pref,
	    json_string_value(name));
	json_decref(name);
	return both;
}

static json_t *
answer_to_json(struct pw_bytes bytes)
{
	struct pw_pool *pool = pw_pool_new(1u << 20);
	struct pw_dec dec;
	json_t *o = NULL;

	pw_dec_init(&dec, bytes);
	const struct pw_dns_answer *a = pw_dns_answer_dec(&dec, pool);
	if (a != NULL && pw_dec_end(&dec) == 0) {
		json_t *records = json_array();
		o = json_object();
		(void)json_object_set_new(o, "name",
		    pw_index_text(pw_bytes_of(a->name)));
		(void)json_object_set_new(o, "type",
		    json_string(pw_dns_type_name(a->type)));
		(void)json_object_set_new(o, "status",
		    json_string(pw_dns_status_name(a->status)));
		(void)json_object_set_new(o, "secure",
		    json_boolean(a->secure));
		for (size_t i = 0; i < a->nrr; i++)
			(void)json_array_append_new(records,
			    record_text(a->type, &a->rr[i]));
		(void)json_object_set_new(o, "records", records);
	}
	pw_pool_free(&pool);
	return o;
}

json_t *
pw_index_answers(struct pw_db *db, struct pw_bytes rows)
{
	json_t *list = json_array();

	for (size_t i = 0; i + 8 <= rows.len && i < PW_INDEX_DNS_MAX * 8; i += 8) {
		uint64_t hash = 0;
		for (size_t k = 0; k < 8; k++)
			hash = hash << 8 | (unsigned char)rows.ptr[i + k];
		struct pw_q *q = pw_q(db, PW_Q_DNS_READ);
		pw_q_int(q, 1, (int64_t)hash);
		if (pw_q_step(q) == PW_DB_ROW) {
			json_t *o = answer_to_json(pw_q_bytes(q, 0));
			if (o != NULL)
				(void)json_array_append_new(list, o);
		}
		pw_q_reset(q);
	}
	return list;
}

/* The list entries that were looked at for a recipient. */
static json_t *
list_entries(struct pw_bytes bytes)
{
	json_t *list = json_array();
	struct pw_pool *pool;
	struct pw_dec dec;
	size_t n;

	if (bytes.len == 0)
		return list;
	pool = pw_pool_new(1u << 20);
	pw_dec_init(&dec, bytes);
	const struct pw_list_entry *v = pw_list_dec(&dec, pool, &n);
	for (size_t i = 0; i < n && pw_dec_end(&dec) == 0; i++)
		(void)json_array_append_new(list, json_pack(
		    "{s:I,s:i,s:i,s:i,s:s,s:s,s:s}", "id",
		    (json_int_t)v[i].id, "kind", v[i].kind, "what", v[i].what,
		    "scope", v[i].scope, "action",
		    pw_action_name(v[i].action), "pattern", v[i].pattern,
		    "comment", v[i].comment));
	pw_pool_free(&pool);
	return list;
}

void
pw_index_bind_view(struct pw_q *q, const struct pw_view *view)
{
	const struct pw_view *v = view != NULL ? view : &pw_view_all;

	if (v->kind == PW_VIEW_DOMAIN)
		pw_q_text(q, 10, pw_view_domain(v));
	if (v->kind == PW_VIEW_MAILBOX)
		pw_q_text(q, 11, pw_view_mailbox(v));
}

/* Those that the view may see; an alias into another domain does not tell
 * where it leads. */
static json_t *
recipients(struct pw_db *db, const struct pw_view *view, int64_t id)
{
	json_t *list = json_array();
	struct pw_q *q = pw_q(db, PW_Q_RCPT_LIST);

	pw_q_int(q, 1, id);
	pw_index_bind_view(q, view);
	while (pw_q_step(q) == PW_DB_ROW) {
		json_t *o = json_object();
		bool own = view == NULL || view->kind != PW_VIEW_DOMAIN ||
		    pw_bytes_eq(pw_q_bytes(q, 2), pw_view_domain(view));
		set_text(o, "given", q, 0);
		if (own) {
			set_text(o, "mailbox", q, 1);
			set_text(o, "domain", q, 2);
		}
		set_action(o, q, 3);
		set_text(o, "reply", q, 4);
		set_text(o, "fate", q, 5);
		if (own) {
			set_text(o, "step", q, 6);
			(void)json_object_set_new(o, "score",
			    json_real(pw_q_f64(q, 7)));
			(void)json_object_set_new(o, "lists",
			    list_entries(pw_q_bytes(q, 8)));
		}
		(void)json_array_append_new(list, o);
	}
	return list;
}

/* The message's own verdict may be that of another recipient: it becomes that
 * of the first one seen. */
static void
hide_verdict(json_t *o)
{
	static const char *const keys[] = { "action", "step", "score" };
	json_t *r = json_array_get(json_object_get(o, "recipients"), 0);

	if (strcmp(json_string_value(json_object_get(o, "kind")), "message") !=
	    0)
		return;
	for (size_t i = 0; i < PW_COUNT(keys); i++) {
		json_t *v = json_object_get(r, keys[i]);

		if (v != NULL)
			(void)json_object_set(o, keys[i], v);
		else
			(void)json_object_set_new(o, keys[i],
			    i == 1 ? json_string("") : json_null());
	}
}

/* Evidence about single recipients, and how often such stages ran, would tell
 * of those that the view may not see. */
static void
hide_others(struct pw_db *db, json_t *o, int64_t id)
{
	static const struct {
		const char *list, *key;
		json_int_t value;
	} what[] = { { "evidence", "scope", 2 }, { "stages", "phase", 3 } };
	struct pw_q *q = pw_q(db, PW_Q_RCPT_COUNT);
	size_t seen = json_array_size(json_object_get(o, "recipients"));
	size_t all = 0;

	pw_q_int(q, 1, id);
	if (pw_q_step(q) == PW_DB_ROW)
		all = (size_t)pw_q_i64(q, 0);
	pw_q_reset(q);
	if (seen < all)
		hide_verdict(o);
	for (size_t k = 0; k < PW_COUNT(what) && seen < all; k++) {
		json_t *list = json_object_get(o, what[k].list);

		for (size_t i = json_array_size(list); i-- > 0;)
			if (json_integer_value(json_object_get(
				json_array_get(list, i), what[k].key)) ==
			    what[k].value)
				(void)json_array_remove(list, i);
	}
}

void
pw_index_add_recipients(struct pw_db *db, const struct pw_view *view, json_t *o,
    int64_t id)
{
	(void)json_object_set_new(o, "recipients", recipients(db, view, id));
	if (view != NULL && view->kind != PW_VIEW_ALL)
		hide_others(db, o, id);
}

static json_t *
cuts(struct pw_db *db, const char *tid)
{
	json_t *list = json_array();
	struct pw_q *q = pw_q(db, PW_Q_CUT_LIST);

	pw_q_str(q, 1, tid);
	while (pw_q_step(q) == PW_DB_ROW) {
		json_t *o = json_object();
		(void)json_object_set_new(o, "offset",
		    json_integer(pw_q_i64(q, 0)));
		set_text(o, "bytes", q, 1);
		(void)json_array_append_new(list, o);
	}
	return list;
}

/* "192.0.2.0/24" in a row that stands for several, else the address. */
static void
set_peer(json_t *o, struct pw_q *q)
{
	struct pw_bytes peer = pw_q_bytes(q, C_PEER);
	int64_t net = pw_q_i64(q, C_NET);

	(void)json_object_set_new(o, "peer",
	    net == 0 ? pw_index_text(peer) :
		       json_sprintf("%.*s/%d", (int)peer.len, peer.ptr,
			   (int)net));
	set_int(o, "count", q, C_COUNT);
	if (pw_q_i64(q, C_COUNT) > 1)
		set_int(o, "until", q, C_UNTIL);
}

/* All but what needs other statements. */
json_t *
pw_index_decision_row(struct pw_q *q)
{
	static const char *const kinds[] = { "message", "transaction",
		"connection" };
	json_t *o = json_object();
	int64_t kind = pw_q_i64(q, C_KIND);
	int64_t flags = pw_q_i64(q, C_FLAGS);

	set_text(o, "id", q, C_TID);
	set_text(o, "session", q, C_SESSION);
	set_int(o, "time", q, C_ID);
	set_peer(o, q);
	(void)json_object_set_new(o, "kind",
	    json_string(kind >= 0 && kind < (int64_t)PW_COUNT(kinds) ?
		    kinds[kind] :
		    "unknown"));
	set_int(o, "port", q, C_PORT);
	set_text(o, "listener", q, C_LISTENER);
	set_text(o, "helo", q, C_HELO);
	set_text(o, "rdns", q, C_RDNS);
	set_text(o, "tls", q, C_TLS);
	(void)json_object_set_new(o, "esmtp", json_boolean(flags & 1));
	(void)json_object_set_new(o, "smtputf8", json_boolean(flags & 2));
	set_text(o, "mail_from", q, C_MAIL_FROM);
	set_text(o, "message_id", q, C_MESSAGE_ID);
	set_int(o, "size", q, C_SIZE);
	set_text(o, "reply", q, C_REPLY);
	set_action(o, q, C_ACTION);
	set_text(o, "step", q, C_STEP);
	(void)json_object_set_new(o, "score", json_real(pw_q_f64(q, C_SCORE)));
	set_text(o, "auth_results", q, C_AUTH);
	set_int(o, "config_generation", q, C_GENERATION);
	(void)json_object_set_new(o, "evidence",
	    pw_index_json(pw_q_bytes(q, C_EVIDENCE)));
	(void)json_object_set_new(o, "stages", stages(pw_q_bytes(q, C_RUNS)));
	return o;
}

/* ---- questions ----------------------------------------------------------- */

/* Where the files of a message are now. */
static json_t *
places(struct pw_index *x, const struct pw_view *view, const char *tid)
{
	static const char *const keys[] = { "mailbox", "folder", "flags",
		"new", "file" };
	struct pw_message_filter f = { .view = view, .id = tid };
	json_t *rows = NULL, *row, *list = json_array();
	struct pw_err err;
	size_t i;

	if (pw_index_messages(x, &f, &rows, &err) != 0)
		return list; /* the record matters more */
	json_array_foreach(rows, i, row)
	{
		json_t *o = json_object();
		for (size_t k = 0; k < PW_COUNT(keys); k++)
			(void)json_object_set(o, keys[k],
			    json_object_get(row, keys[k]));
		(void)json_array_append_new(list, o);
	}
	json_decref(rows);
	return list;
}

/* What other statements know of O; DNS is the list of its answers. */
void
pw_index_complete(struct pw_index *x, struct pw_db *db, const struct pw_view *view,
    json_t *o, const struct pw_index_dns *dns)
{
	const char *tid = json_string_value(json_object_get(o, "id"));
	int64_t id = json_integer_value(json_object_get(o, "time"));

	pw_index_add_recipients(db, view, o, id);
	(void)json_object_set_new(o, "dns", pw_index_answers(db,
		pw_bytes(dns->hash, dns->len)));
	(void)json_object_set_new(o, "cuts", cuts(db, tid));
	if (strcmp(json_string_value(json_object_get(o, "kind")),
		"message") == 0)
		(void)json_object_set_new(o, "places", places(x, view, tid));
}

void
pw_index_keep_dns(struct pw_index_dns *k, struct pw_q *q)
{
	struct pw_bytes rows =
	    pw_bytes_sub(pw_q_bytes(q, C_DNS), 0, sizeof(k->hash));

	k->len = rows.len;
	if (rows.len > 0)
		memcpy(k->hash, rows.ptr, rows.len);
}

/* The row that Q finds, whole, or *ROW NULL. */
static enum pw_db_rc
one_decision(struct pw_index *x, struct pw_db *db, const struct pw_view *view,
    struct pw_q *q, json_t **row)
{
	struct pw_index_dns dns;
	enum pw_db_rc rc;

	pw_index_bind_view(q, view);
	rc = pw_q_step(q);
	if (rc != PW_DB_ROW)
		return rc;
	*row = pw_index_decision_row(q);
	pw_index_keep_dns(&dns, q);
	pw_q_reset(q);
	pw_index_complete(x, db, view, *row, &dns);
	return PW_DB_DONE;
}

static enum pw_db_rc
by_mid(struct pw_index *x, struct pw_db *db, const struct pw_view *view,
    struct pw_bytes mid, json_t **row)
{
	struct pw_q *q = pw_q(db, PW_Q_DECISION_BY_MID);

	pw_q_int(q, 1, pw_key_hash(x->dc_key, mid));
	pw_q_text(q, 2, mid);
	return one_decision(x, db, view, q, row);
}

int
pw_index_decision(struct pw_index *x, const struct pw_view *view,
    const char *id, json_t **row, struct pw_err *err)
{
	struct pw_db *db = pw_index_db(x, PW_DB_DECISIONS, err);
	struct pw_bytes text = pw_bytes_of(id);
	char other[2048];
	enum pw_db_rc rc;

	*row = NULL;
	if (db == NULL)
		return -1;
	struct pw_q *q = pw_q(db, PW_Q_DECISION_BY_TID);
	pw_q_text(q, 1, text);
	rc = one_decision(x, db, view, q, row);
	if (rc == PW_DB_DONE && *row == NULL && text.len > 0)
		rc = by_mid(x, db, view, text, row);
	if (rc == PW_DB_DONE && *row == NULL && text.len > 0)
		rc = by_mid(x, db, view,
		    pw_index_other_form(text, other, sizeof(other)), row);
	if (pw_index_end(db, rc, err) != 0)
		return -1;
	if (*row == NULL)
		return pw_err_set(err, ENOENT,
		    "there is no decision on record for \"%.200s\" (many "
		    "connections of one kind share one: `postward trace` "
		    "their address)",
		    id);
	return 0;
}
