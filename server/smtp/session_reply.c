/* SPDX-License-Identifier: ISC */
/*
 * Replies of a session: into the output, the counters and, when they refuse
 * something, the log.
 */
#include "base/log.h"
#include "smtp/command.h"
#include "smtp/session.h"

static void
log_reject(struct pw_session *s, struct pw_bytes text)
{
	struct pw_log_line l;
	char ip[PW_IP_STRLEN];

	pw_ip_format(&s->peer, ip);
	pw_log_begin(&l, PW_LOG_INFO, "smtp.reject", s->id.s,
	    s->tx != NULL ? s->tx->id.s : "");
	pw_log_s(&l, "peer", ip);
	pw_log_s(&l, "command", s->state == PW_S_END ? "end-of-data"
		: s->cmd != NULL ? s->cmd->verb : "");
	pw_log_b(&l, "reply", text);
	if (s->tx != NULL) {
		pw_log_b(&l, "from", s->tx->from.text);
		if (s->tx->nrcpt > 0)
			pw_log_b(&l, "to",
			    s->tx->rcpt[s->tx->nrcpt - 1].path.text);
	}
	pw_log_end(&l);
}

/* Keeps a refusal for the record. */
static void
remember(struct pw_session *s, struct pw_bytes text)
{
	size_t n = text.len < sizeof(s->said) - 1 ? text.len
						  : sizeof(s->said) - 1;

	memcpy(s->said, text.ptr, n);
	s->said[n] = '\0';
	s->step[0] = '\0';
	s->said_to = s->state == PW_S_END ? "the end of data" :
	    s->cmd != NULL ? s->cmd->verb :
	    s->commands > 0 ? "a command that is none" : "the connection";
}

void
pw_session_reply_text(struct pw_session *s, struct pw_bytes text)
{
	char line[PW_REPLY_MAX];
	size_t n = text.len < sizeof(line) - 2 ? text.len : sizeof(line) - 2;

	if (text.ptr[0] == '5') {
		s->errors++;
		remember(s, text);
		pw_count(s->env->count, PW_CNT_REPLY_5XX);
		log_reject(s, text);
	} else if (text.ptr[0] == '4') {
		remember(s, text);
		pw_count(s->env->count, PW_CNT_REPLY_4XX);
		log_reject(s, text);
	}
	memcpy(line, text.ptr, n);
	memcpy(line + n, "\r\n", 2);
	pw_conn_write(s->conn, pw_bytes(line, n + 2));
}

void
pw_session_reply_value(struct pw_session *s, enum pw_reply_id id,
    struct pw_bytes value)
{
	char text[PW_REPLY_MAX];
	size_t n = pw_reply_format(id, value, text);

	pw_session_reply_text(s, pw_bytes(text, n));
}

void
pw_session_reply(struct pw_session *s, enum pw_reply_id id)
{
	pw_session_reply_value(s, id, PW_BYTES_NONE);
}

void
pw_session_end(struct pw_session *s, enum pw_reply_id id, const char *why)
{
	if (s->state == PW_S_CLOSED)
		return;
	pw_session_reply(s, id);
	s->why = why;
	s->thrown_out = id != PW_R_BYE;
	pw_session_to(s, PW_S_CLOSED);
	pw_conn_close_after_flush(s->conn);
}

void
pw_session_limit(struct pw_session *s, enum pw_reply_id id,
    enum pw_counter counter, const char *what)
{
	struct pw_log_line l;
	char ip[PW_IP_STRLEN];

	if (s->state == PW_S_CLOSED)
		return;
	pw_count(s->env->count, counter);
	pw_ip_format(&s->peer, ip);
	pw_log_begin(&l, PW_LOG_NOTICE, "smtp.limit", s->id.s,
	    s->tx != NULL ? s->tx->id.s : "");
	pw_log_s(&l, "peer", ip);
	pw_log_s(&l, "limit", what);
	pw_log_end(&l);
	pw_session_end(s, id, what);
}

void
pw_session_step(struct pw_session *s, const char *step)
{
	struct pw_bytes b = pw_bytes_sub(pw_bytes_of(step), 0,
	    sizeof(s->step) - 1);

	/* Cut, it may end within a character. */
	while (b.len > 0 && !pw_is_utf8(b))
		b.len--;
	memcpy(s->step, b.ptr != NULL ? b.ptr : "", b.len);
	s->step[b.len] = '\0';
}

bool
pw_session_early(struct pw_session *s, enum pw_phase phase)
{
	struct pw_early early = { 0 };
	struct pw_bytes text;

	pw_pipe_early(s->pipe, phase, NULL, &early);
	if (early.reply == NULL)
		return false;
	if (pw_reply_check(pw_peer(pw_bytes_of(early.reply)), 0, &text) != 0)
		text = pw_bytes_of(pw_reply_text(PW_R_DATA_LATER));
	pw_session_reply_text(s, text);
	pw_session_step(s, early.step);
	/* A refused MAIL leaves no transaction; a refused HELO no name. */
	if (phase == PW_PHASE_MAIL)
		pw_session_to(s, PW_S_READY);
	return true;
}
