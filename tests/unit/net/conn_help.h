/* SPDX-License-Identifier: ISC */
/*
 * What the tests of connections share: a loop with one connection, its peer's
 * socket, and an owner that writes down what it is told and does what a test
 * asked it to do.
 */
#ifndef PW_TESTS_CONN_HELP_H
#define PW_TESTS_CONN_HELP_H

#include <openssl/ssl.h>

#include "base/strbuf.h"
#include "net/conn.h"

enum consume { CONSUME_ALL, CONSUME_LINES, CONSUME_ONE_LINE, CONSUME_NOTHING };

struct owner {
	struct pw_strbuf data; /* consumed, in order */
	struct pw_strbuf ends; /* a letter each: E R T O, D drained, H TLS */
	enum consume consume;
	unsigned calls;
	size_t last_in; /* length of the last input offered */
	bool pause_after; /* each time something was consumed */
	bool echo;
	bool free_on_data;
	bool free_on_end;
	bool free_on_drained;
	bool starttls_on_drained;
	SSL_CTX *starttls; /* begun when a line says STARTTLS */
};

extern struct pw_loop *cl_loop;
extern struct pw_conn *cl_conn;
extern struct owner cl_owner;
extern int cl_peer; /* non-blocking */

enum { CL_KEEP = 1000, CL_OUT = 300000 };

/* Over a UNIX socket pair, or TCP on loopback. */
void cl_open(bool tcp);
void cl_open_sized(bool tcp, size_t keep, size_t out);
void cl_close(void);
void cl_rounds(int n);
/* Rounds until the owner was told N ends of any kind, at most a second. */
void cl_until_ends(size_t n);
void cl_send(const char *text);
/* What the peer got since the last call, after some rounds. */
const char *cl_received(void);
const char *cl_data(void);
const char *cl_ends(void);
/* A server context with a throw-away certificate. */
SSL_CTX *cl_server_ctx(void);

#endif
