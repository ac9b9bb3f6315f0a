/* SPDX-License-Identifier: ISC */
/*
 * The states of a session: the transitions that the diagram in session.h has,
 * what each entry does, and the one place where a transaction is dropped.
 */
#include "base/log.h"
#include "smtp/note.h"
#include "smtp/session.h"

/* After the last reply: time for it to leave. */
#define LINGER_MS 10000u

/* Which states each state may lead to; see the diagram in session.h. */
#define TO(s) PW_S_BIT(PW_S_##s)
static const unsigned allowed[PW_S_COUNT] = {
	[PW_S_PROXY] = TO(CONNECT) | TO(CLOSED),
	[PW_S_CONNECT] = TO(GREETED) | TO(CLOSED),
	[PW_S_GREETED] = TO(GREETED) | TO(READY) | TO(CLOSED),
	[PW_S_READY] = TO(READY) | TO(MAIL) | TO(GREETED) | TO(CLOSED),
	[PW_S_MAIL] = TO(RCPT) | TO(READY) | TO(CLOSED),
	[PW_S_RCPT] = TO(RCPT) | TO(DATA) | TO(CHUNKS) | TO(READY) |
	    TO(CLOSED),
	[PW_S_DATA] = TO(END) | TO(CLOSED),
	[PW_S_CHUNKS] = TO(END) | TO(READY) | TO(CLOSED),
	[PW_S_END] = TO(READY) | TO(CLOSED),
	[PW_S_CLOSED] = 0,
};

const struct pw_config_listener *
pw_session_listener(const struct pw_session *s)
{
	return &s->env->cfg->listener[s->listener];
}

void
pw_session_check(const struct pw_session *s)
{
	bool in_tx = (PW_S_BIT(s->state) & PW_S_TRANSACTION) != 0;

	/* While MAIL is being looked at, its transaction is there already. */
	PW_ASSERT((s->tx != NULL) == in_tx ||
	    (s->state == PW_S_READY && s->wait == PW_W_PHASE));
	PW_ASSERT((s->wait == PW_W_NONE) == (s->after == NULL));
	PW_ASSERT(s->chunk_left == 0 || s->chunk_drop ||
	    s->state == PW_S_CHUNKS || s->state == PW_S_CLOSED);
	PW_ASSERT(s->state != PW_S_RCPT || s->tx->naccepted > 0);
	PW_ASSERT(s->state < PW_S_GREETED || s->state == PW_S_CLOSED ||
	    s->pipe != NULL);
}

static void
log_abort(struct pw_session *s)
{
	struct pw_log_line l;

	pw_count(s->env->count, PW_CNT_ABORTED);
	pw_log_begin(&l, PW_LOG_INFO, "smtp.abort", s->id.s, s->tx->id.s);
	pw_log_b(&l, "from", s->tx->from.text);
	pw_log_i(&l, "recipients", (int64_t)s->tx->naccepted);
	pw_log_i(&l, "size", (int64_t)s->tx->body.size);
	pw_log_end(&l);
}

static void
drop_transaction(struct pw_session *s)
{
	if (s->tx == NULL)
		return;
	if (s->tx->has_body && !s->tx->done)
		log_abort(s);
	if (!s->tx->done)
		pw_note_transaction(s);
	pw_store_client_cancel(s->env->store, &s->call);
	if (s->tx->spooled)
		pw_store_client_drop(s->env->store, &s->tx->id);
	if (s->pipe != NULL)
		pw_pipe_reset(s->pipe);
	pw_tx_free(&s->tx);
}

static void
begin_body(struct pw_session *s)
{
	struct pw_body_limits limit = {
		.max_message = pw_session_limits(s)->max_message,
		.max_header = pw_session_limits(s)->max_header,
		.piece = pw_session_limits(s)->body_in_memory,
		.max_line = (uint32_t)pw_session_limits(s)->max_line,
		.normalize = pw_netlist_has(
		    &pw_session_listener(s)->normalize, &s->peer),
	};

	if (!s->tx->has_body) {
		pw_body_init(&s->tx->body, &limit, s->env->budget);
		s->tx->has_body = true;
		s->tx->chunked = s->state == PW_S_CHUNKS;
		s->data_since = pw_loop_now(s->env->loop);
		s->data_octets = s->paused_ms = 0;
	}
	pw_session_expect(s, pw_session_limits(s)->data_timeout);
}

void
pw_session_to(struct pw_session *s, enum pw_session_state to)
{
	PW_ASSERT((allowed[s->state] & PW_S_BIT(to)) != 0);
	s->state = (uint8_t)to;
	if ((PW_S_BIT(to) & PW_S_TRANSACTION) == 0)
		drop_transaction(s);
	if (to == PW_S_DATA || to == PW_S_CHUNKS)
		begin_body(s);
	if (to == PW_S_CLOSED) {
		s->wait = PW_W_NONE;
		s->after = NULL;
		s->chunk_left = 0;
		pw_session_expect(s, LINGER_MS);
	}
}
