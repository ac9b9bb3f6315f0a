/* SPDX-License-Identifier: ISC */
/*
 * The table of SMTP commands, and the functions behind it.  Role front.
 */
#ifndef PW_SMTP_COMMAND_H
#define PW_SMTP_COMMAND_H

#include "base/bytes.h"

struct pw_session;

#define PW_CMD_LAST 1u /* a client must await its reply (RFC 2920) */
#define PW_CMD_JUNK 2u /* brings no mail nearer: counted */

struct pw_command {
	const char *verb;
	unsigned states; /* PW_S_BIT()s in which it is run; elsewhere the
			  * table's own replies say what is missing */
	unsigned flags;
	/* ARG is what stands behind the verb, its space included. */
	void (*run)(struct pw_session *s, struct pw_bytes arg);
};

/* Runs a command line. */
void pw_command(struct pw_session *s, struct pw_bytes line);
/* ARG without the space at its begin; false (and a reply) when there is
 * something although nothing is allowed. */
bool pw_command_no_argument(struct pw_session *s, struct pw_bytes arg);
/* Takes "KEY:" off the front of ARG, any case, spaces around it allowed. */
bool pw_command_key(struct pw_bytes *arg, struct pw_bytes key);

void pw_cmd_helo(struct pw_session *s, struct pw_bytes arg);
void pw_cmd_ehlo(struct pw_session *s, struct pw_bytes arg);
void pw_cmd_starttls(struct pw_session *s, struct pw_bytes arg);
void pw_cmd_mail(struct pw_session *s, struct pw_bytes arg);
void pw_cmd_rcpt(struct pw_session *s, struct pw_bytes arg);
void pw_cmd_data(struct pw_session *s, struct pw_bytes arg);
void pw_cmd_bdat(struct pw_session *s, struct pw_bytes arg);
void pw_cmd_noop(struct pw_session *s, struct pw_bytes arg);
void pw_cmd_rset(struct pw_session *s, struct pw_bytes arg);
void pw_cmd_vrfy(struct pw_session *s, struct pw_bytes arg);
void pw_cmd_expn(struct pw_session *s, struct pw_bytes arg);
void pw_cmd_help(struct pw_session *s, struct pw_bytes arg);
void pw_cmd_quit(struct pw_session *s, struct pw_bytes arg);
void pw_cmd_foreign(struct pw_session *s, struct pw_bytes arg);

/* TLS came up (or not: then the session has ended). */
void pw_starttls_done(struct pw_session *s);
/* All octets of a chunk have come. */
void pw_bdat_done(struct pw_session *s);

#endif
