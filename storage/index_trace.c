/* SPDX-License-Identifier: ISC */
/*
 * Decisions by who took part in them: sender, recipient, or the client's
 * address.  Same callers as index.c.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/pool.h"
#include "storage/index_private.h"

#define TRACE_DEFAULT 100
#define TRACE_MAX 10000

struct tracing {
	const struct pw_trace *t;
	struct pw_net net; /* of a client: family 0 when it is an address */
	char form[PW_ADDR_SIZE];
	struct pw_bytes key;
};

static bool
is_key(const struct tracing *g, const json_t *o, const char *name)
{
	char form[PW_ADDR_SIZE];
	const char *s = json_string_value(json_object_get(o, name));

	return s != NULL &&
	    pw_bytes_eq(pw_addr_key(pw_bytes_of(s), form), g->key);
}

static bool
is_client(const struct tracing *g, const json_t *o)
{
	const char *s = json_string_value(json_object_get(o, "peer"));
	struct pw_net peer;

	if (s == NULL || pw_net_parse(pw_bytes_of(s), &peer) != 0)
		return false;
	return pw_ip_in_net(&peer.ip, &g->net) ||
	    pw_ip_in_net(&g->net.ip, &peer);
}

/* The row is about what was asked for, as far as the view goes: that a mail
 * went to somebody outside of it, too, is not told. */
static bool
is_meant(const struct tracing *g, const json_t *o)
{
	const json_t *list = json_object_get(o, "recipients"), *r;
	size_t i;

	if (g->net.ip.family != 0)
		return is_client(g, o);
	if (is_key(g, o, "mail_from"))
		return true;
	json_array_foreach(list, i, r) {
		if (is_key(g, r, "given") || is_key(g, r, "mailbox"))
			return true;
	}
	return false;
}

/* Takes what the statement finds; what a row still lacks needs others. */
static enum pw_db_rc
gather(struct pw_q *q, json_t *list, struct pw_index_dns **dns)
{
	size_t n = 0, room = 0;
	enum pw_db_rc rc;

	while ((rc = pw_q_step(q)) == PW_DB_ROW) {
		(void)json_array_append_new(list, pw_index_decision_row(q));
		if (dns == NULL)
			continue;
		if (n == room)
			*dns = pw_xrealloc(*dns, room = room * 2 + 8,
			    sizeof(**dns));
		pw_index_keep_dns(&(*dns)[n++], q);
	}
	return rc;
}

static enum pw_db_rc
trace(struct pw_index *x, struct pw_db *db, const struct tracing *g,
    json_t *list)
{
	const struct pw_trace *t = g->t;
	struct pw_q *q = pw_q(db, PW_Q_DECISION_TRACE);
	struct pw_index_dns *dns = NULL;
	enum pw_db_rc rc;

	pw_q_int(q, 1,
	    g->net.ip.family != 0 ? pw_network_hash(x->dc_key, &g->net.ip) :
				    pw_key_hash(x->dc_key, g->key));
	pw_q_int(q, 2, t->since_us);
	pw_q_int(q, 4, t->until_us > 0 ? t->until_us : INT64_MAX);
	pw_q_int(q, 3,
	    t->limit <= 0	   ? TRACE_DEFAULT :
		t->limit > TRACE_MAX ? TRACE_MAX :
				       t->limit);
	pw_index_bind_view(q, t->view);
	rc = gather(q, list, t->whole ? &dns : NULL);
	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *o = json_array_get(list, i);

		if (t->whole)
			pw_index_complete(x, db, t->view, o, &dns[i]);
		else
			pw_index_add_recipients(db, t->view, o,
			    json_integer_value(json_object_get(o, "time")));
	}
	free(dns);
	for (size_t i = json_array_size(list); i-- > 0;)
		if (!is_meant(g, json_array_get(list, i)))
			(void)json_array_remove(list, i);
	return rc;
}

int
pw_index_trace(struct pw_index *x, const struct pw_trace *t, json_t **rows,
    struct pw_err *err)
{
	struct pw_db *db = pw_index_db(x, PW_DB_DECISIONS, err);
	struct tracing g = { .t = t };
	enum pw_db_rc rc;

	*rows = NULL;
	if (db == NULL)
		return -1;
	g.key = pw_addr_key(pw_bytes_of(t->what), g.form);
	if (pw_net_parse(pw_bytes_of(t->what), &g.net) == 0 &&
	    g.net.bits < (g.net.ip.family == 4 ? 24 : 64))
		return pw_err_set(err, EINVAL,
		    "%s is too wide; name a network of at least /24 or /64",
		    t->what);
	json_t *list = json_array();
	rc = trace(x, db, &g, list);
	if (pw_index_end(db, rc, err) != 0) {
		json_decref(list);
		return -1;
	}
	*rows = list;
	return 0;
}
