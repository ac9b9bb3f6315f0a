/* SPDX-License-Identifier: ISC */
/*
 * STARTTLS (RFC 3207).  Whatever was said before is forgotten, and input that
 * came with the command ends the session: it could only have been put there by
 * somebody between us and the client.
 */
#include <stdlib.h>

#include "smtp/command.h"
#include "smtp/session.h"

void
pw_cmd_starttls(struct pw_session *s, struct pw_bytes arg)
{
	if (s->tls_on) {
		pw_session_reply(s, PW_R_IN_TLS);
		return;
	}
	if (s->env->tls == NULL || !pw_session_listener(s)->tls) {
		pw_session_reply(s, PW_R_NO_TLS);
		return;
	}
	if (!pw_command_no_argument(s, arg))
		return;
	if (s->behind > 0) {
		pw_session_limit(s, PW_R_TLS_INJECTED, PW_CNT_TLS_INJECTED,
		    "text before STARTTLS's reply");
		return;
	}
	pw_session_reply(s, PW_R_TLS_GO);
	pw_session_wait(s, PW_W_TLS, pw_starttls_done);
	if (pw_conn_starttls(s->conn, pw_tls_ctx(s->env->tls)) != 0) {
		pw_count(s->env->count, PW_CNT_TLS_FAILED);
		pw_session_end(s, PW_R_SHUTDOWN, "tls");
	}
}

void
pw_starttls_done(struct pw_session *s)
{
	SSL *ssl = pw_conn_ssl(s->conn);

	s->tls_on = true;
	pw_count(s->env->count, PW_CNT_TLS);
	if (SSL_session_reused(ssl))
		pw_count(s->env->count, PW_CNT_TLS_RESUMED);
	free(s->helo);
	s->helo = NULL;
	s->esmtp = s->helo_ok = false;
	s->line = (struct pw_line){ 0 };
	pw_session_to(s, PW_S_GREETED);
	pw_pipe_text(s->pipe, "tls.version",
	    pw_bytes_of(SSL_get_version(ssl)));
	pw_pipe_text(s->pipe, "tls.cipher",
	    pw_bytes_of(SSL_get_cipher_name(ssl)));
}
