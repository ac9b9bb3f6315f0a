/* SPDX-License-Identifier: ISC */
/*
 * The life of a session: begin, input, waiting, deadlines, end.  Its states are
 * in session_state.c, the commands in cmd_*.c, the end of data in finish.c.
 */
#include "smtp/session.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "base/log.h"
#include "net/proxy.h"
#include "smtp/command.h"
#include "smtp/note.h"

/* Input that is read at once, and kept when it is not a whole line; and output
 * that a peer may leave unread. */
#define KEEP_MIN (32u * 1024)
#define OUT_MAX (256u * 1024)
#define PROXY_MS 10000u

/* ---- waiting -------------------------------------------------------------------- */

void
pw_session_wait(struct pw_session *s, enum pw_session_wait what,
    void (*then)(struct pw_session *s))
{
	PW_ASSERT(s->wait == PW_W_NONE);
	s->wait = (uint8_t)what;
	s->after = then;
}

/* Octets of a message are under way, or it is being judged and stored. */
static bool
in_message(const struct pw_session *s)
{
	return s->state == PW_S_DATA || s->state == PW_S_CHUNKS ||
	    s->state == PW_S_END;
}

/* What follows each command: the bounds on what a session may do. */
static void
command_done(struct pw_session *s)
{
	if (s->state == PW_S_CLOSED || s->wait != PW_W_NONE)
		return;
	if (s->peer_closed) {
		s->why = "peer closed";
		pw_session_to(s, PW_S_CLOSED);
		pw_conn_close_after_flush(s->conn);
		return;
	}
	if (s->errors > (uint64_t)pw_session_limits(s)->max_errors)
		pw_session_limit(s, PW_R_LIMIT_ERRORS, PW_CNT_LIMIT_ERRORS,
		    "smtp.max-errors");
	else if (s->junk > (uint64_t)pw_session_limits(s)->max_junk_commands)
		pw_session_limit(s, PW_R_LIMIT_JUNK, PW_CNT_LIMIT_JUNK,
		    "smtp.max-junk-commands");
	else if (s->env->stopping && !in_message(s))
		pw_session_end(s, PW_R_SHUTDOWN, "stop");
	else if (s->state != PW_S_DATA && s->chunk_left == 0)
		pw_session_expect(s, pw_session_limits(s)->command_timeout);
}

void
pw_session_wake(struct pw_session *s)
{
	void (*then)(struct pw_session *) = s->after;

	PW_ASSERT(s->wait != PW_W_NONE);
	s->wait = PW_W_NONE;
	s->after = NULL;
	then(s);
	command_done(s);
	pw_session_check(s);
	if (s->wait == PW_W_NONE && s->state != PW_S_CLOSED)
		pw_conn_resume(s->conn);
}

static void
on_phase(void *arg)
{
	struct pw_session *s = arg;

	/* Otherwise its time was up already. */
	if (s->wait == PW_W_PHASE)
		pw_session_wake(s);
}

void
pw_session_phase(struct pw_session *s, enum pw_phase phase,
    void (*then)(struct pw_session *s))
{
	if (pw_pipe_phase(s->pipe, phase, on_phase, s) != PW_AGAIN) {
		then(s);
		return;
	}
	pw_session_wait(s, PW_W_PHASE, then);
	pw_session_expect(s, pw_session_limits(s)->end_timeout);
}

/* ---- deadlines ------------------------------------------------------------------ */

static uint64_t
session_end(const struct pw_session *s)
{
	/* A message that is whole is still answered. */
	return s->state == PW_S_END || s->state == PW_S_CLOSED
	    ? UINT64_MAX : s->started + pw_session_limits(s)->session_timeout;
}

static void
on_deadline(struct pw_session *s, uint64_t now)
{
	if (s->state == PW_S_CLOSED) {
		pw_session_free(&s, NULL);
	} else if (s->wait == PW_W_TLS || s->state == PW_S_PROXY) {
		pw_session_free(&s, "timeout");
	} else if (now >= session_end(s)) {
		pw_session_limit(s, PW_R_SESSION_TIME,
		    PW_CNT_LIMIT_SESSION_TIME, "smtp.session-timeout");
	} else if (s->wait != PW_W_NONE) {
		if (s->state == PW_S_END)
			pw_count(s->env->count, PW_CNT_LIMIT_END_TIME);
		pw_finish_timeout(s);
	} else if (s->state == PW_S_DATA || s->chunk_left > 0) {
		pw_session_limit(s, PW_R_TIMEOUT, PW_CNT_LIMIT_DATA_TIME,
		    "smtp.data-timeout");
	} else {
		pw_session_limit(s, PW_R_TIMEOUT, PW_CNT_LIMIT_COMMAND_TIME,
		    "smtp.command-timeout");
	}
}

static void
on_timer(struct pw_timer *t)
{
	struct pw_session *s = (struct pw_session *)(void *)((char *)t -
	    offsetof(struct pw_session, timer));
	uint64_t now = pw_loop_now(s->env->loop);
	uint64_t due = s->deadline < session_end(s) ? s->deadline
						    : session_end(s);

	if (now >= due)
		on_deadline(s, now);
	else
		pw_timer_set(s->env->loop, &s->timer, due - now, on_timer);
}

void
pw_session_expect(struct pw_session *s, uint64_t ms)
{
	s->deadline = pw_loop_now(s->env->loop) + ms;
	/* A timer that fires too early is set again: cheaper than moving it
	 * with each command. */
	if (s->timer.loop == NULL || s->timer.due_ms > s->deadline)
		pw_timer_set(s->env->loop, &s->timer, ms, on_timer);
}

/* ---- begin ---------------------------------------------------------------------- */

void
pw_session_early_text(struct pw_session *s)
{
	s->early++;
	pw_count(s->env->count, PW_CNT_EARLY_TEXT);
	pw_pipe_int(s->pipe, "session.early_text", s->early);
}

static void
connect_done(struct pw_session *s)
{
	char c;

	if (s->behind > 0 || pw_conn_kept(s->conn) > 0 ||
	    recv(pw_conn_fd(s->conn), &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1)
		pw_session_early_text(s);
	if (pw_session_early(s, PW_PHASE_CONNECT)) {
		s->why = "refused";
		pw_session_to(s, PW_S_CLOSED);
		pw_conn_close_after_flush(s->conn);
		return;
	}
	pw_session_to(s, PW_S_GREETED);
	pw_session_reply_value(s, PW_R_BANNER, pw_bytes_of(s->env->hostname));
	pw_session_expect(s, pw_session_limits(s)->command_timeout);
}

/* The peer is known: is there room for it? */
static bool
admit(struct pw_session *s)
{
	const struct pw_limit_caps caps = {
		.total = (uint32_t)pw_session_limits(s)->max_sessions,
		.address = (uint32_t)pw_session_limits(s)->max_sessions_address,
		.network = (uint32_t)pw_session_limits(s)->max_sessions_network,
	};

	switch (pw_limits_enter(s->env->limits, &s->peer, s->trusted, &caps,
	    &s->ticket)) {
	case PW_LIMIT_TOTAL:
		pw_session_limit(s, PW_R_LIMIT_TOTAL, PW_CNT_LIMIT_TOTAL,
		    "smtp.max-sessions");
		return false;
	case PW_LIMIT_ADDRESS:
		pw_session_limit(s, PW_R_LIMIT_PEER, PW_CNT_LIMIT_ADDRESS,
		    "smtp.max-sessions-address");
		return false;
	case PW_LIMIT_NETWORK:
		pw_session_limit(s, PW_R_LIMIT_PEER, PW_CNT_LIMIT_NETWORK,
		    "smtp.max-sessions-network");
		return false;
	default:
		return true;
	}
}

static void
begin(struct pw_session *s)
{
	struct pw_session_info info = { .id = s->id, .listener = s->listener,
		.peer = s->peer, .peer_port = s->port };

	s->trusted = info.trusted =
	    pw_netlist_has(&pw_session_listener(s)->trusted, &s->peer);
	if (s->trusted)
		pw_count(s->env->count, PW_CNT_TRUSTED);
	if (!admit(s))
		return;
	s->pipe = pw_pipe_open(s->env->pipeline, &info);
	pw_session_phase(s, PW_PHASE_CONNECT, connect_done);
}

/* ---- input ------------------------------------------------------------------------ */

static size_t
take_proxy(struct pw_session *s, struct pw_bytes in)
{
	struct pw_proxy p;

	switch (pw_proxy_parse(in, &p)) {
	case PW_PROXY_MORE:
		return 0;
	case PW_PROXY_BAD:
		pw_session_limit(s, PW_R_PROXY, PW_CNT_PROXY_FAILED,
		    "no PROXY header");
		return in.len;
	case PW_PROXY_ADDRESS:
		s->peer = p.src;
		s->port = p.src_port;
		break;
	case PW_PROXY_LOCAL:
		break;
	}
	s->behind = in.len - p.used;
	pw_session_to(s, PW_S_CONNECT);
	begin(s);
	return p.used;
}

static size_t
take_line(struct pw_session *s, struct pw_bytes in)
{
	struct pw_bytes line;
	size_t used;
	enum pw_line_result r;

	if (s->commands == 0 && (unsigned char)in.ptr[0] == 0x16) {
		/* A TLS handshake that nobody asked for. */
		pw_cmd_foreign(s, PW_BYTES_NONE);
		return in.len;
	}
	r = pw_line_next(&s->line, in, pw_session_limits(s)->max_command_line - 2,
	    &used, &line);
	if (r == PW_LINE_MORE)
		return used;
	s->commands++;
	s->behind = in.len - used;
	s->cmd = NULL;
	pw_count(s->env->count, PW_CNT_COMMANDS);
	if (s->commands > (uint64_t)pw_session_limits(s)->max_commands) {
		pw_session_limit(s, PW_R_LIMIT_COMMANDS, PW_CNT_LIMIT_COMMANDS,
		    "smtp.max-commands");
	} else if (r == PW_LINE_READY) {
		pw_command(s, line);
	} else if (r == PW_LINE_LONG) {
		pw_count(s->env->count, PW_CNT_LIMIT_COMMAND_LINE);
		pw_session_reply(s, PW_R_LINE_LONG);
	} else {
		pw_count(s->env->count, PW_CNT_BARE_COMMAND);
		pw_session_reply(s, r == PW_LINE_NUL ? PW_R_LINE_NUL
						     : PW_R_LINE_BARE);
	}
	return used;
}

static size_t
on_data(struct pw_conn *c, struct pw_bytes in)
{
	struct pw_session *s = pw_conn_arg(c);
	size_t used = 0;

	while (used < in.len && s->wait == PW_W_NONE &&
	    s->state != PW_S_CLOSED) {
		struct pw_bytes rest = pw_bytes_sub(in, used, in.len);
		size_t n;

		if (s->state == PW_S_PROXY) {
			n = take_proxy(s, rest);
		} else if (s->chunk_left > 0 || s->state == PW_S_DATA) {
			n = pw_session_take_body(s, rest);
			command_done(s);
		} else {
			n = take_line(s, rest);
			command_done(s);
		}
		pw_session_check(s);
		if (n == 0)
			break;
		used += n;
	}
	if (s->state == PW_S_CLOSED)
		return in.len;
	if (s->wait != PW_W_NONE && s->wait != PW_W_TLS)
		pw_conn_pause(c);
	return used;
}

static void
on_tls(struct pw_conn *c)
{
	struct pw_session *s = pw_conn_arg(c);

	if (s->wait == PW_W_TLS)
		pw_session_wake(s);
}

/* ---- end ---------------------------------------------------------------------------- */

static void
on_end(struct pw_conn *c, enum pw_conn_end why)
{
	struct pw_session *s = pw_conn_arg(c);

	switch (why) {
	case PW_CONN_EOF:
		/* What the store has can not be called back; a client that
		 * only closed its own side still hears what became of it. */
		if (s->state == PW_S_END && s->wait == PW_W_STORE) {
			s->peer_closed = true;
			return;
		}
		pw_session_free(&s, "peer closed");
		break;
	case PW_CONN_TLS:
		pw_count(s->env->count, PW_CNT_TLS_FAILED);
		pw_session_free(&s, pw_conn_tls_error(c));
		break;
	case PW_CONN_OVERFLOW:
		pw_count(s->env->count, PW_CNT_LIMIT_OUTPUT);
		pw_session_free(&s, "replies not read");
		break;
	default:
		pw_session_free(&s, "reset");
		break;
	}
}

static void
on_drained(struct pw_conn *c)
{
	struct pw_session *s = pw_conn_arg(c);

	if (s->state == PW_S_CLOSED)
		pw_session_free(&s, NULL);
}

static void
log_end(struct pw_session *s)
{
	struct pw_log_line l;
	char ip[PW_IP_STRLEN];

	pw_ip_format(&s->peer, ip);
	pw_log_begin(&l, PW_LOG_INFO, "smtp.end", s->id.s, "");
	pw_log_s(&l, "peer", ip);
	pw_log_i(&l, "port", s->port);
	pw_log_s(&l, "listener", pw_session_listener(s)->name);
	pw_log_s(&l, "why", s->why != NULL ? s->why : "");
	pw_log_peer(&l, "helo", pw_peer(pw_bytes_of(s->helo)));
	if (s->tls_on && pw_conn_ssl(s->conn) != NULL)
		pw_log_s(&l, "tls", SSL_get_version(pw_conn_ssl(s->conn)));
	pw_log_i(&l, "commands", s->commands);
	pw_log_i(&l, "messages", s->messages);
	pw_log_i(&l, "errors", s->errors);
	pw_log_i(&l, "early", s->early);
	pw_log_i(&l, "in", (int64_t)pw_conn_bytes_in(s->conn));
	pw_log_i(&l, "out", (int64_t)pw_conn_bytes_out(s->conn));
	pw_log_i(&l, "ms",
	    (int64_t)(pw_loop_now(s->env->loop) - s->started));
	pw_log_end(&l);
}

void
pw_session_free(struct pw_session **sp, const char *why)
{
	struct pw_session *s = *sp;
	struct pw_smtp_env *env = s->env;

	*sp = NULL;
	if (s->state != PW_S_CLOSED) {
		s->why = why;
		pw_session_to(s, PW_S_CLOSED);
	}
	pw_timer_stop(&s->timer);
	if (s->conn != NULL) {
		pw_count_add(env->count, PW_CNT_BYTES_IN,
		    pw_conn_bytes_in(s->conn));
		pw_count_add(env->count, PW_CNT_BYTES_OUT,
		    pw_conn_bytes_out(s->conn));
		pw_note_connection(s);
		log_end(s);
	}
	pw_count_add(env->count, PW_CNT_SESSIONS_NOW, UINT64_MAX);
	pw_limits_leave(env->limits, &s->ticket);
	pw_pipe_close(&s->pipe);
	pw_conn_free(&s->conn);
	free(s->helo);
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		env->first = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	env->nsession--;
	free(s);
	if (env->on_session_end != NULL)
		env->on_session_end(env);
}

void
pw_session_stop(struct pw_session *s)
{
	if (s->state == PW_S_CLOSED || s->wait != PW_W_NONE || in_message(s))
		return;
	if (s->state == PW_S_PROXY)
		pw_session_free(&s, "stop");
	else
		pw_session_end(s, PW_R_SHUTDOWN, "stop");
}

void
pw_session_stop_now(struct pw_session *s)
{
	if (s->state == PW_S_CLOSED || s->state == PW_S_PROXY ||
	    s->wait == PW_W_TLS)
		pw_session_free(&s, "stop");
	else
		pw_session_end(s, PW_R_SHUTDOWN, "stop");
}

void
pw_session_new(struct pw_smtp_env *env, int fd, size_t listener,
    const struct pw_ip *peer, uint16_t port)
{
	static const struct pw_conn_ops ops = { on_data, on_tls, on_end,
		on_drained };
	struct pw_session *s = pw_xcalloc(1, sizeof(*s));
	size_t keep = env->cfg->smtp.max_command_line + 64;

	s->env = env;
	s->id = pw_id_new();
	s->listener = (uint16_t)listener;
	s->peer = *peer;
	s->port = port;
	s->started = pw_loop_now(env->loop);
	s->since_us = pw_clock_real_us();
	s->next = env->first;
	if (s->next != NULL)
		s->next->prev = s;
	env->first = s;
	env->nsession++;
	pw_count(env->count, PW_CNT_SESSIONS);
	pw_count(env->count, PW_CNT_SESSIONS_NOW);
	s->conn = pw_conn_new(env->loop, fd, &ops, s,
	    keep > KEEP_MIN ? keep : KEEP_MIN, OUT_MAX);
	if (s->conn == NULL) {
		pw_count(env->count, PW_CNT_LIMIT_FILES);
		pw_session_free(&s, "no descriptor");
		return;
	}
	if (pw_netlist_has(&pw_session_listener(s)->proxy, peer)) {
		pw_session_expect(s, PROXY_MS);
		return;
	}
	s->state = PW_S_CONNECT;
	begin(s);
}
