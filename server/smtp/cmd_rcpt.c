/* SPDX-License-Identifier: ISC */
/*
 * RCPT (RFC 5321 section 4.1.1.3): only recipients of our own domains, without
 * any exception.
 */
#include "smtp/command.h"
#include "smtp/session.h"
#include "smtp/verdict.h"

/* Keeps a refused recipient for the record, and says so. */
static void
refuse(struct pw_session *s, const struct pw_path *path, enum pw_reply_id id)
{
	struct pw_tx *tx = s->tx;
	struct pw_rcpt *r = NULL;

	if (tx->nrefused < PW_TX_REFUSED_MAX)
		r = pw_tx_add_rcpt(tx);
	if (r != NULL) {
		tx->nrefused++;
		r->path = *path;
		r->reply = pw_reply_text(id);
	}
	pw_session_reply(s, id);
}

static void
rcpt_done(struct pw_session *s)
{
	struct pw_tx *tx = s->tx;
	struct pw_rcpt *r = &tx->rcpt[tx->nrcpt - 1];
	struct pw_early early = { 0 };

	pw_verdict_early(s, r, &early);
	if (early.reply != NULL) {
		struct pw_bytes text;

		if (pw_reply_check(pw_peer(pw_bytes_of(early.reply)), 0,
			&text) != 0)
			text = pw_bytes_of(pw_reply_text(PW_R_DATA_LATER));
		r->step = early.step;
		r->reply = pw_pool_cstr(tx->pool, text);
		if (r->reply == NULL)
			r->reply = "";
		tx->nrefused++;
		pw_session_reply_text(s, text);
		pw_session_step(s, early.step);
		return;
	}
	r->accepted = true;
	r->reply = pw_reply_text(PW_R_RCPT_OK);
	tx->naccepted++;
	pw_session_to(s, PW_S_RCPT);
	pw_count(s->env->count, PW_CNT_RCPT_OK);
	pw_session_reply(s, PW_R_RCPT_OK);
}

/* No destination has room for what was declared. */
static bool
over_quota(const struct pw_tx *tx, const struct pw_dest *d, size_t n)
{
	uint64_t size = tx->param.has_size && tx->param.size > 0
	    ? tx->param.size : 1;

	for (size_t i = 0; i < n; i++)
		if (d[i].quota == 0 || (d[i].usage <= d[i].quota &&
			size <= d[i].quota - d[i].usage))
			return false;
	return n > 0;
}

/* Where it goes: PW_R_OK, or what to reply. */
static enum pw_reply_id
resolve(struct pw_session *s, const struct pw_path *path,
    struct pw_dest **dest, size_t *n)
{
	struct pw_tx *tx = s->tx;
	struct pw_counters *count = s->env->count;

	if (tx->snapshot == NULL) {
		struct pw_snapshot *newest =
		    pw_store_client_snapshot(s->env->store);

		if (newest == NULL)
			return PW_R_RCPT_LATER;
		tx->snapshot = pw_snapshot_ref(newest);
	}
	switch (pw_snapshot_resolve(tx->snapshot, path->local, path->domain,
	    s->env->cfg->accounts.delimiters, tx->pool, dest, n)) {
	case PW_RCPT_OK:
		break;
	case PW_RCPT_UNKNOWN:
		s->unknown++;
		pw_count(count, PW_CNT_RCPT_UNKNOWN);
		return PW_R_RCPT_UNKNOWN;
	case PW_RCPT_LOOP:
		return PW_R_RCPT_LOOP;
	case PW_RCPT_TOO_MANY:
		return PW_R_RCPT_MANY;
	default:
		pw_count(count, PW_CNT_RCPT_FOREIGN);
		return PW_R_RCPT_FOREIGN;
	}
	if (over_quota(tx, *dest, *n)) {
		pw_count(count, PW_CNT_RCPT_QUOTA);
		return PW_R_RCPT_QUOTA;
	}
	return PW_R_OK;
}

/* Parses: PW_R_OK, or what to reply. */
static enum pw_reply_id
parse(struct pw_session *s, struct pw_bytes arg, struct pw_path *path)
{
	enum pw_addr_fault fault;
	size_t used;

	if (!pw_command_key(&arg, PW_LIT("TO:")))
		return PW_R_SYNTAX;
	fault = pw_path_parse(pw_peer(arg), PW_PATH_POSTMASTER, s->tx->pool,
	    path, &used);
	if (fault == PW_ADDR_LONG || fault == PW_ADDR_LOCAL_LONG ||
	    fault == PW_ADDR_DOMAIN_LONG)
		return PW_R_TO_LONG;
	if (fault != PW_ADDR_OK)
		return PW_R_TO_SYNTAX;
	switch (pw_param_rcpt(pw_bytes_sub(arg, used, arg.len))) {
	case PW_PARAM_OK:
		break;
	case PW_PARAM_UNKNOWN:
		return PW_R_PARAM_UNKNOWN;
	default:
		return PW_R_PARAM_SYNTAX;
	}
	return path->utf8 && !s->tx->param.smtputf8 ? PW_R_TO_UTF8 : PW_R_OK;
}

void
pw_cmd_rcpt(struct pw_session *s, struct pw_bytes arg)
{
	struct pw_tx *tx = s->tx;
	struct pw_path path;
	struct pw_dest *dest = NULL;
	struct pw_rcpt *r;
	size_t n = 0;
	enum pw_reply_id id = parse(s, arg, &path);

	if (id != PW_R_OK) {
		pw_session_reply(s, id);
		return;
	}
	if (tx->naccepted >= (uint64_t)pw_session_limits(s)->max_recipients) {
		pw_count(s->env->count, PW_CNT_LIMIT_RECIPIENTS);
		pw_session_reply(s, PW_R_RCPT_MANY);
		return;
	}
	id = resolve(s, &path, &dest, &n);
	if (id != PW_R_OK) {
		refuse(s, &path, id);
		if (s->unknown > (uint64_t)pw_session_limits(s)->max_unknown_recipients)
			pw_session_limit(s, PW_R_LIMIT_UNKNOWN,
			    PW_CNT_LIMIT_UNKNOWN,
			    "smtp.max-unknown-recipients");
		return;
	}
	r = pw_tx_add_rcpt(tx);
	if (r == NULL) {
		pw_session_reply(s, PW_R_RCPT_MANY);
		return;
	}
	*r = (struct pw_rcpt){ .path = path, .dest = dest, .ndest = n,
		.reply = "" };
	pw_pipe_text(s->pipe, "rcpt.address", path.text);
	r->number = pw_pipe_rcpt_number(s->pipe);
	pw_session_phase(s, PW_PHASE_RCPT, rcpt_done);
}
