/* SPDX-License-Identifier: ISC */
/* Records of what never became a message; see note.h. */
#include "smtp/note.h"

#include "base/log.h"
#include "smtp/command.h"
#include "smtp/delivery.h"
#include "smtp/merge.h"
#include "storage/decision.h"

/* Of one record with its evidence. */
#define NOTE_MEMORY (1u << 20)

void
pw_note_send(void *arg, const struct pw_decision *d)
{
	struct pw_smtp_env *env = arg;
	bool sent = pw_store_client_record(env->store, d) == 0;

	pw_count(env->count, sent ? PW_CNT_RECORDS : PW_CNT_RECORDS_LOST);
}

/* What decided, in words. */
static const char *
step_of(const struct pw_session *s, struct pw_pool *pool)
{
	const char *step;

	if (s->step[0] != '\0')
		return s->step;
	if (s->thrown_out)
		step = pw_pool_printf(pool, "the receiver ended the session: %s",
		    s->why);
	else if (s->said[0] != '\0')
		step = pw_pool_printf(pool, "the receiver's answer to %s",
		    s->said_to);
	else if (s->state == PW_S_CLOSED && s->why != NULL)
		step = pw_pool_printf(pool, "the session ended: %s", s->why);
	else
		step = "the client went on without sending a message";
	return step != NULL ? step : "";
}

static uint8_t
action_of(const char *reply)
{
	return reply[0] == '5' ? PW_ACT_REFUSE :
	    reply[0] == '4'    ? PW_ACT_DEFER :
				 PW_ACT_NONE;
}

static void
give(struct pw_session *s, const struct pw_tx *tx, uint8_t kind,
    const char *reply, const char *step, const struct pw_merge_key *key)
{
	struct pw_pool *pool = pw_pool_new(NOTE_MEMORY);
	struct pw_judgement j = { .reply = reply, .action = action_of(reply),
		.step = step != NULL ? step : step_of(s, pool) };
	struct pw_decision *d;

	if (s->pipe != NULL)
		j.result = pw_pipe_so_far(s->pipe, pool);
	d = pw_delivery_decision(s, tx, &j, pool);
	if (d == NULL) {
		pw_count(s->env->count, PW_CNT_RECORDS_LOST);
	} else {
		d->kind = kind;
		if (key != NULL)
			pw_merge_hold(s->env->merge, key, d);
		else
			pw_note_send(s->env, d);
	}
	pw_pool_free(&pool);
}

static void
note(struct pw_session *s, const struct pw_tx *tx, uint8_t kind)
{
	struct pw_merge_key key = { .kind = kind, .listener = s->listener,
		.peer = s->peer, .reply = pw_bytes_of(s->said),
		.domain = tx != NULL && tx->nrcpt > 0
		    ? tx->rcpt[0].path.domain : PW_LIT("") };
	enum pw_merge_verdict v = PW_MERGE_ALONE;

	s->recorded = true;
	if (s->env->merge != NULL)
		v = pw_merge_ask(s->env->merge, &key, pw_clock_real_us());
	if (v != PW_MERGE_ALONE)
		pw_count(s->env->count, PW_CNT_RECORDS_MERGED);
	if (v != PW_MERGE_COUNTED)
		give(s, tx, kind, s->said, NULL,
		    v == PW_MERGE_FIRST ? &key : NULL);
}

/* A refusal has its own line, with the id by which the record is found. */
static void
log_attempt(const struct pw_session *s)
{
	struct pw_log_line l;

	pw_log_begin(&l, PW_LOG_INFO, "smtp.attempt", s->id.s, s->tx->id.s);
	pw_log_b(&l, "from", s->tx->from.text);
	pw_log_i(&l, "recipients", (int64_t)s->tx->naccepted);
	pw_log_end(&l);
}

void
pw_note_transaction(struct pw_session *s)
{
	if (s->said[0] == '\0' && !s->tx->has_body)
		log_attempt(s);
	note(s, s->tx, PW_DEC_TRANSACTION);
}

void
pw_note_message(struct pw_session *s, const char *reply, const char *step)
{
	s->recorded = true;
	give(s, s->tx, PW_DEC_MESSAGE, reply, step, NULL);
}

void
pw_note_connection(struct pw_session *s)
{
	if (!s->recorded)
		note(s, NULL, PW_DEC_CONNECTION);
}
