/* SPDX-License-Identifier: ISC */
/* Commands without much to them. */
#include "smtp/command.h"
#include "smtp/session.h"

void
pw_cmd_noop(struct pw_session *s, struct pw_bytes arg)
{
	(void)arg; /* a string is allowed (RFC 5321 section 4.1.1.9) */
	pw_session_reply(s, PW_R_OK);
}

void
pw_cmd_rset(struct pw_session *s, struct pw_bytes arg)
{
	if (!pw_command_no_argument(s, arg))
		return;
	pw_session_to(s, s->state == PW_S_GREETED ? PW_S_GREETED : PW_S_READY);
	pw_session_reply(s, PW_R_OK);
}

void
pw_cmd_vrfy(struct pw_session *s, struct pw_bytes arg)
{
	/* The same answer for everybody tells nothing. */
	pw_session_reply(s, pw_bytes_trim(arg).len > 0 ? PW_R_VRFY
						       : PW_R_SYNTAX);
}

void
pw_cmd_expn(struct pw_session *s, struct pw_bytes arg)
{
	(void)arg;
	pw_session_reply(s, PW_R_EXPN);
}

void
pw_cmd_help(struct pw_session *s, struct pw_bytes arg)
{
	(void)arg;
	pw_session_reply(s, PW_R_HELP);
}

void
pw_cmd_quit(struct pw_session *s, struct pw_bytes arg)
{
	if (pw_command_no_argument(s, arg))
		pw_session_end(s, PW_R_BYE, "quit");
}

void
pw_cmd_foreign(struct pw_session *s, struct pw_bytes arg)
{
	(void)arg;
	pw_session_limit(s, PW_R_NOT_SMTP, PW_CNT_FOREIGN_PROTOCOL,
	    "another protocol");
}
