/* SPDX-License-Identifier: ISC */
/*
 * Every reply that the receiver can give, in one table.  '$' in a text stands
 * for one value, which must be a validated byte string.  Replies of stages and
 * policy come as text and pass pw_reply_check() first.  Role front.
 */
#ifndef PW_SMTP_REPLY_H
#define PW_SMTP_REPLY_H

#include "base/bytes.h"
#include "base/strbuf.h"

/* clang-format off */
/*	id, code, enhanced code (RFC 3463, 5248; "" where none belongs), text */
#define PW_REPLIES(X) \
	X(BANNER, "220", "", "$ ESMTP") \
	X(BYE, "221", "2.0.0", "bye") \
	X(HELO, "250", "", "$") \
	X(OK, "250", "2.0.0", "ok") \
	X(MAIL_OK, "250", "2.1.0", "sender ok") \
	X(RCPT_OK, "250", "2.1.5", "recipient ok") \
	X(CHUNK_OK, "250", "2.0.0", "$ octets received") \
	X(STORED, "250", "2.0.0", "$ stored") \
	X(VRFY, "252", "2.0.0", "send mail and see") \
	X(HELP, "214", "2.0.0", "see RFC 5321") \
	X(TLS_GO, "220", "2.0.0", "ready for TLS") \
	X(DATA_GO, "354", "", "end with <CRLF>.<CRLF>") \
	X(PRDR_GO, "353", "", "each recipient has a reply of its own") \
	X(PRDR_OK, "250", "2.1.5", "accepted for this recipient") \
	/* the session ends */ \
	X(LIMIT_TOTAL, "421", "4.3.2", "too many sessions, try later") \
	X(LIMIT_PEER, "421", "4.7.0", "too many sessions from your network") \
	X(LIMIT_MESSAGES, "421", "4.7.0", "too many messages, connect again") \
	X(LIMIT_COMMANDS, "421", "4.7.0", "too many commands") \
	X(LIMIT_ERRORS, "421", "4.7.0", "too many errors") \
	X(LIMIT_JUNK, "421", "4.7.0", "too many commands without mail") \
	X(LIMIT_UNKNOWN, "421", "4.7.0", "too many unknown recipients") \
	X(TIMEOUT, "421", "4.4.2", "waited too long") \
	X(TOO_SLOW, "421", "4.4.2", "data comes too slowly") \
	X(SESSION_TIME, "421", "4.4.2", "session lasts too long") \
	X(SHUTDOWN, "421", "4.3.2", "service ends, try again") \
	X(NOT_SMTP, "554", "5.5.1", "this is SMTP") \
	X(TLS_INJECTED, "554", "5.5.1", "text before the reply to STARTTLS") \
	X(BDAT_BROKEN, "501", "5.5.4", "BDAT needs a size") \
	X(BDAT_HUGE, "552", "5.3.4", "chunk above the size bound") \
	X(DATA_HUGE, "552", "5.3.4", "message far above the size bound") \
	X(PROXY, "421", "4.3.0", "PROXY header expected") \
	/* commands */ \
	X(UNKNOWN, "500", "5.5.1", "unknown command") \
	X(LINE_LONG, "500", "5.5.2", "line too long") \
	X(LINE_BARE, "500", "5.5.2", "bare CR or LF in a command") \
	X(LINE_NUL, "500", "5.5.2", "NUL in a command") \
	X(EXPN, "502", "5.5.1", "lists are not shown") \
	X(SYNTAX, "501", "5.5.4", "wrong syntax") \
	X(NO_ARGUMENT, "501", "5.5.4", "no argument allowed") \
	X(HELO_NAME, "501", "5.5.4", "a name of yours is needed") \
	X(NEED_HELO, "503", "5.5.1", "EHLO first") \
	X(NEED_MAIL, "503", "5.5.1", "MAIL first") \
	X(NESTED_MAIL, "503", "5.5.1", "MAIL was given already") \
	X(IN_CHUNKS, "503", "5.5.1", "BDAT is under way") \
	X(IN_MAIL, "503", "5.5.1", "not while a message is under way") \
	X(NO_RCPT, "554", "5.5.1", "no valid recipients") \
	X(NO_TLS, "502", "5.5.1", "no TLS here") \
	X(IN_TLS, "503", "5.5.1", "TLS is on already") \
	/* MAIL */ \
	X(FROM_SYNTAX, "501", "5.1.7", "wrong syntax of the sender") \
	X(FROM_LONG, "501", "5.1.7", "sender too long") \
	X(FROM_UTF8, "553", "5.6.7", "this sender needs SMTPUTF8") \
	X(PARAM_SYNTAX, "501", "5.5.4", "wrong syntax of parameters") \
	X(PARAM_VALUE, "501", "5.5.4", "wrong value of a parameter") \
	X(PARAM_TWICE, "501", "5.5.4", "parameter given twice") \
	X(PARAM_UNKNOWN, "555", "5.5.4", "parameter not known") \
	X(TOO_BIG, "552", "5.3.4", "message above the size bound") \
	X(NO_SPACE, "452", "4.3.1", "no space now, try later") \
	X(NO_STORE, "451", "4.3.0", "cannot store now, try later") \
	X(NO_MEMORY, "452", "4.3.1", "no memory now, try later") \
	/* RCPT */ \
	X(TO_SYNTAX, "501", "5.1.3", "wrong syntax of the recipient") \
	X(TO_LONG, "501", "5.1.3", "recipient too long") \
	X(TO_UTF8, "553", "5.6.7", "this recipient needs SMTPUTF8") \
	X(RCPT_MANY, "452", "4.5.3", "too many recipients") \
	X(RCPT_LATER, "451", "4.3.0", "recipients not known yet, try later") \
	X(RCPT_UNKNOWN, "550", "5.1.1", "no such recipient") \
	X(RCPT_FOREIGN, "550", "5.7.1", "not a domain of ours") \
	X(RCPT_LOOP, "550", "5.4.6", "alias leads in a circle") \
	X(RCPT_QUOTA, "452", "4.2.2", "mailbox is full") \
	/* end of data */ \
	X(DATA_BARE_CR, "550", "5.6.0", "message has a bare CR") \
	X(DATA_BARE_LF, "550", "5.6.0", "message has a bare LF") \
	X(DATA_NUL, "550", "5.6.0", "message has a NUL octet") \
	X(DATA_LINE, "554", "5.6.0", "message has a line too long") \
	X(DATA_HEADER, "552", "5.3.4", "header section too large") \
	X(DATA_LOOP, "554", "5.4.6", "too many Received fields, a loop") \
	X(DATA_REFUSED, "550", "5.7.1", "message refused") \
	X(DATA_LATER, "451", "4.7.1", "message deferred, try later") \
	X(END_TIME, "451", "4.3.0", "took too long, try later") \
	X(STORE_FAILED, "451", "4.3.0", "could not store, try later") \
	X(STORE_SPACE, "452", "4.3.1", "no space, try later") \
	X(STORE_QUOTA, "452", "4.2.2", "mailbox is full") \
	X(STORE_MAILBOX, "451", "4.2.0", "mailbox not usable, try later")
/* clang-format on */

enum pw_reply_id {
#define PW_X(id, code, enh, text) PW_R_##id,
	PW_REPLIES(PW_X)
#undef PW_X
	    PW_R_COUNT
};

#define PW_REPLY_MAX 512 /* octets of a reply line with CRLF, RFC 5321 */

/* Writes the reply without its CRLF; the length.  VALUE is cut where the line
 * would pass its bound. */
size_t pw_reply_format(enum pw_reply_id id, struct pw_bytes value,
    char out[PW_REPLY_MAX]);
/* The reply's fixed text as a string for records: only for replies without
 * '$'. */
const char *pw_reply_text(enum pw_reply_id id);

/*
 * A reply that came as text ("550 5.7.1 why"): it must have a code of class
 * FIRST (0: 4 or 5), an enhanced code of the same class, and printable ASCII on
 * one line.  0, or -1.
 */
int pw_reply_check(struct pw_peer_bytes text, int first, struct pw_bytes *out);

/* Adds LINE (without code) as part of a multi-line reply of CODE. */
void pw_reply_multi(struct pw_strbuf *sb, const char *code, bool last,
    struct pw_bytes line);

#endif
