/* SPDX-License-Identifier: ISC */
/* The command table: which command may be given when, and what it counts as. */
#include "smtp/command.h"

#include "smtp/session.h"

#define GREETED PW_S_BIT(PW_S_GREETED)
#define READY PW_S_BIT(PW_S_READY)
#define MAIL PW_S_BIT(PW_S_MAIL)
#define RCPT PW_S_BIT(PW_S_RCPT)
#define CHUNKS PW_S_BIT(PW_S_CHUNKS)
#define ANY (GREETED | READY | MAIL | RCPT | CHUNKS)

/* clang-format off */
static const struct pw_command table[] = {
	{ "MAIL",     READY,           0,           pw_cmd_mail },
	{ "RCPT",     MAIL | RCPT,     0,           pw_cmd_rcpt },
	{ "DATA",     RCPT,            PW_CMD_LAST, pw_cmd_data },
	/* Its octets follow whatever the reply is, so it sorts that out. */
	{ "BDAT",     ANY,             0,           pw_cmd_bdat },
	{ "EHLO",     ANY,             PW_CMD_LAST, pw_cmd_ehlo },
	{ "HELO",     ANY,             PW_CMD_LAST, pw_cmd_helo },
	{ "QUIT",     ANY,             PW_CMD_LAST, pw_cmd_quit },
	{ "RSET",     ANY,             PW_CMD_JUNK, pw_cmd_rset },
	{ "NOOP",     ANY,             PW_CMD_JUNK, pw_cmd_noop },
	{ "STARTTLS", GREETED | READY, PW_CMD_LAST, pw_cmd_starttls },
	{ "VRFY",     ANY,             PW_CMD_JUNK, pw_cmd_vrfy },
	{ "EXPN",     ANY,             PW_CMD_JUNK, pw_cmd_expn },
	{ "HELP",     ANY,             PW_CMD_JUNK, pw_cmd_help },
	/* Verbs of HTTP: a browser or a proxy was led here. */
	{ "GET",      ANY,             PW_CMD_LAST, pw_cmd_foreign },
	{ "POST",     ANY,             PW_CMD_LAST, pw_cmd_foreign },
	{ "HEAD",     ANY,             PW_CMD_LAST, pw_cmd_foreign },
	{ "PUT",      ANY,             PW_CMD_LAST, pw_cmd_foreign },
	{ "DELETE",   ANY,             PW_CMD_LAST, pw_cmd_foreign },
	{ "OPTIONS",  ANY,             PW_CMD_LAST, pw_cmd_foreign },
	{ "CONNECT",  ANY,             PW_CMD_LAST, pw_cmd_foreign },
	{ "TRACE",    ANY,             PW_CMD_LAST, pw_cmd_foreign },
	{ "PATCH",    ANY,             PW_CMD_LAST, pw_cmd_foreign },
	{ "PRI",      ANY,             PW_CMD_LAST, pw_cmd_foreign },
	{ "HOST:",    ANY,             PW_CMD_LAST, pw_cmd_foreign },
};
/* clang-format on */

/* What a command that comes in a wrong state lacks. */
static enum pw_reply_id
out_of_order(const struct pw_session *s, const struct pw_command *c)
{
	switch (s->state) {
	case PW_S_GREETED:
		return PW_R_NEED_HELO;
	case PW_S_READY:
		return PW_R_NEED_MAIL;
	case PW_S_CHUNKS:
		return PW_R_IN_CHUNKS;
	case PW_S_MAIL:
		if (c->run == pw_cmd_data)
			return PW_R_NO_RCPT;
		break;
	default:
		break;
	}
	return c->run == pw_cmd_mail ? PW_R_NESTED_MAIL : PW_R_IN_MAIL;
}

static const struct pw_command *
lookup(struct pw_bytes verb)
{
	for (size_t i = 0; i < PW_COUNT(table); i++)
		if (pw_bytes_caseeq(verb, pw_bytes_of(table[i].verb)))
			return &table[i];
	return NULL;
}

void
pw_command(struct pw_session *s, struct pw_bytes line)
{
	ptrdiff_t sp = pw_bytes_chr(line, ' ');
	size_t len = sp < 0 ? line.len : (size_t)sp;
	const struct pw_command *c = lookup(pw_bytes_sub(line, 0, len));

	s->cmd = c;
	if (c == NULL) {
		pw_session_reply(s, PW_R_UNKNOWN);
		return;
	}
	if ((c->flags & PW_CMD_LAST) != 0 && s->behind > 0)
		pw_session_early_text(s);
	if ((c->flags & PW_CMD_JUNK) != 0)
		s->junk++;
	if ((c->states & PW_S_BIT(s->state)) == 0) {
		pw_session_reply(s, out_of_order(s, c));
		return;
	}
	c->run(s, pw_bytes_sub(line, len, line.len));
}

bool
pw_command_no_argument(struct pw_session *s, struct pw_bytes arg)
{
	if (pw_bytes_trim(arg).len == 0)
		return true;
	pw_session_reply(s, PW_R_NO_ARGUMENT);
	return false;
}

bool
pw_command_key(struct pw_bytes *arg, struct pw_bytes key)
{
	struct pw_bytes rest = *arg;

	if (rest.len == 0 || rest.ptr[0] != ' ')
		return false;
	while (rest.len > 0 && rest.ptr[0] == ' ')
		rest = pw_bytes_sub(rest, 1, rest.len);
	if (!pw_bytes_has_prefix_ci(rest, key))
		return false;
	rest = pw_bytes_sub(rest, key.len, rest.len);
	/* "MAIL FROM: <a@b>" is wrong by the grammar, but common. */
	while (rest.len > 0 && rest.ptr[0] == ' ')
		rest = pw_bytes_sub(rest, 1, rest.len);
	*arg = rest;
	return true;
}
