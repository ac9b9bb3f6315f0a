/* SPDX-License-Identifier: ISC */
/* HELO and EHLO (RFC 5321 section 4.1.1.1): a fresh start under a name. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "smtp/command.h"
#include "smtp/session.h"

#define HELO_MAX 255u

static void
add_line(struct pw_strbuf *sb, bool last, const char *text)
{
	pw_reply_multi(sb, "250", last, pw_bytes_of(text));
}

/* The extensions, each only where it is really done. */
static void
announce(struct pw_session *s)
{
	const struct pw_config *cfg = s->env->cfg;
	struct pw_strbuf sb;
	char text[80];

	pw_strbuf_init(&sb, 2048);
	add_line(&sb, false, s->env->hostname);
	add_line(&sb, false, "PIPELINING");
	(void)snprintf(text, sizeof(text), "SIZE %" PRIu64,
	    pw_session_limits(s)->max_message);
	add_line(&sb, false, text);
	if (s->env->tls != NULL && !s->tls_on && pw_session_listener(s)->tls)
		add_line(&sb, false, "STARTTLS");
	if (s->tls_on && cfg->tls.requiretls)
		add_line(&sb, false, "REQUIRETLS");
	add_line(&sb, false, "8BITMIME");
	add_line(&sb, false, "SMTPUTF8");
	add_line(&sb, false, "CHUNKING");
	add_line(&sb, false, "PRDR");
	(void)snprintf(text, sizeof(text),
	    "LIMITS RCPTMAX=%" PRId64 " MAILMAX=%" PRId64,
	    pw_session_limits(s)->max_recipients, pw_session_limits(s)->max_messages);
	add_line(&sb, false, text);
	add_line(&sb, false, "ENHANCEDSTATUSCODES");
	add_line(&sb, true, "HELP");
	pw_conn_write(s->conn, pw_strbuf_bytes(&sb));
	pw_strbuf_free(&sb);
}

static void
helo_done(struct pw_session *s)
{
	if (pw_session_early(s, PW_PHASE_HELO))
		return;
	pw_session_to(s, PW_S_READY);
	if (s->esmtp)
		announce(s);
	else
		pw_session_reply_value(s, PW_R_HELO,
		    pw_bytes_of(s->env->hostname));
}

static void
hello(struct pw_session *s, struct pw_bytes arg, bool esmtp)
{
	struct pw_bytes name, text = pw_bytes_trim(arg);
	char canon[PW_DOMAIN_SIZE];
	bool literal;

	if (pw_valid_utf8_text(pw_peer(text), HELO_MAX, &name) != 0 ||
	    pw_bytes_chr(name, ' ') >= 0) {
		pw_session_reply(s, PW_R_HELO_NAME);
		return;
	}
	/* A transaction that is under way ends here, like by RSET. */
	pw_session_to(s, s->state == PW_S_GREETED ? PW_S_GREETED : PW_S_READY);
	free(s->helo);
	s->helo = pw_xbytesdup(name);
	/* Old devices give names that are none: they may, but such a name is
	 * not printed as it is. */
	s->helo_ok =
	    pw_domain_canon(pw_peer(name), &literal, canon) == PW_ADDR_OK;
	s->esmtp = esmtp;
	pw_pipe_text(s->pipe, "helo.name", name);
	pw_pipe_int(s->pipe, "helo.esmtp", esmtp);
	pw_session_phase(s, PW_PHASE_HELO, helo_done);
}

void
pw_cmd_helo(struct pw_session *s, struct pw_bytes arg)
{
	hello(s, arg, false);
}

void
pw_cmd_ehlo(struct pw_session *s, struct pw_bytes arg)
{
	hello(s, arg, true);
}
