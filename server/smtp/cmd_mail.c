/* SPDX-License-Identifier: ISC */
/* MAIL (RFC 5321 section 4.1.1.2): a transaction begins. */
#include "smtp/command.h"
#include "smtp/session.h"

static void
refuse(struct pw_session *s, enum pw_reply_id id)
{
	pw_session_reply(s, id);
	pw_session_to(s, PW_S_READY);
}

static void
mail_done(struct pw_session *s)
{
	if (pw_session_early(s, PW_PHASE_MAIL))
		return;
	pw_session_to(s, PW_S_MAIL);
	s->messages++;
	pw_count(s->env->count, PW_CNT_TRANSACTIONS);
	pw_session_reply(s, PW_R_MAIL_OK);
}

static enum pw_reply_id
path_reply(enum pw_addr_fault fault)
{
	return fault == PW_ADDR_LONG || fault == PW_ADDR_LOCAL_LONG ||
		fault == PW_ADDR_DOMAIN_LONG
	    ? PW_R_FROM_LONG : PW_R_FROM_SYNTAX;
}

static enum pw_reply_id
param_reply(enum pw_param_fault fault)
{
	switch (fault) {
	case PW_PARAM_UNKNOWN:
		return PW_R_PARAM_UNKNOWN;
	case PW_PARAM_VALUE:
		return PW_R_PARAM_VALUE;
	case PW_PARAM_TWICE:
		return PW_R_PARAM_TWICE;
	default:
		return PW_R_PARAM_SYNTAX;
	}
}

/* Parses into the new transaction: PW_R_OK, or what to reply. */
static enum pw_reply_id
parse(struct pw_session *s, struct pw_bytes arg)
{
	struct pw_tx *tx = s->tx;
	const struct pw_config *cfg = s->env->cfg;
	enum pw_addr_fault fault;
	enum pw_param_fault pf;
	size_t used;

	if (!pw_command_key(&arg, PW_LIT("FROM:")))
		return PW_R_SYNTAX;
	fault = pw_path_parse(pw_peer(arg), PW_PATH_NULL, tx->pool, &tx->from,
	    &used);
	if (fault != PW_ADDR_OK)
		return path_reply(fault);
	pf = pw_param_mail(pw_bytes_sub(arg, used, arg.len),
	    s->tls_on && cfg->tls.requiretls, &tx->param);
	if (pf != PW_PARAM_OK)
		return param_reply(pf);
	if (tx->from.utf8 && !tx->param.smtputf8)
		return PW_R_FROM_UTF8;
	if (tx->param.has_size && tx->param.size > pw_session_limits(s)->max_message) {
		pw_count(s->env->count, PW_CNT_LIMIT_MESSAGE);
		return PW_R_TOO_BIG;
	}
	return PW_R_OK;
}

/* Whether a message could be kept now. */
static enum pw_reply_id
readiness(struct pw_session *s)
{
	const struct pw_budget *b = s->env->budget;
	const char *reason;

	switch (pw_store_client_state(s->env->store, &reason)) {
	case PW_STORE_OK:
		break;
	case PW_STORE_NOSPACE:
		return PW_R_NO_SPACE;
	default:
		return PW_R_NO_STORE;
	}
	if (atomic_load_explicit(&b->used, memory_order_relaxed) >= b->max) {
		pw_count(s->env->count, PW_CNT_LIMIT_MEMORY);
		return PW_R_NO_MEMORY;
	}
	return PW_R_OK;
}

static void
tell_facts(struct pw_session *s)
{
	struct pw_tx *tx = s->tx;

	pw_pipe_begin(s->pipe, &tx->id);
	pw_pipe_text(s->pipe, "mail.address", tx->from.text);
	pw_pipe_text(s->pipe, "mail.local", tx->from.local);
	pw_pipe_text(s->pipe, "mail.domain", tx->from.domain);
	if (tx->param.has_size)
		pw_pipe_int(s->pipe, "mail.size", (int64_t)tx->param.size);
	pw_pipe_int(s->pipe, "mail.smtputf8", tx->param.smtputf8);
	if (tx->param.prdr) /* for who judges again: verdict.c */
		pw_pipe_int(s->pipe, "mail.prdr", 1);
}

void
pw_cmd_mail(struct pw_session *s, struct pw_bytes arg)
{
	enum pw_reply_id id;

	if (s->messages >= (uint64_t)pw_session_limits(s)->max_messages) {
		pw_session_limit(s, PW_R_LIMIT_MESSAGES, PW_CNT_LIMIT_MESSAGES,
		    "smtp.max-messages");
		return;
	}
	s->said[0] = s->step[0] = '\0';
	s->tx = pw_tx_new();
	id = parse(s, arg);
	if (id == PW_R_OK)
		id = readiness(s);
	if (id != PW_R_OK) {
		refuse(s, id);
		return;
	}
	tell_facts(s);
	pw_session_phase(s, PW_PHASE_MAIL, mail_done);
}
