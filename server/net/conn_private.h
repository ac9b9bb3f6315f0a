/* SPDX-License-Identifier: ISC */
/*
 * What net/conn.c (the connection), net/conn_input.c, net/conn_output.c and
 * net/conn_tls.c share.
 *
 * How a connection moves, besides reading and writing:
 *
 *   CLEAR --pw_conn_starttls()--> TLS_DUE --clear output has left-->
 *   HANDSHAKE --SSL_do_handshake()--> TLS_UP
 *   any --EOF--> .eof (may still write) --error--> .dead (nothing any more)
 *   any --pw_conn_close_after_flush()--> .closing --drained--> .fin_sent
 */
#ifndef PW_NET_CONN_PRIVATE_H
#define PW_NET_CONN_PRIVATE_H

#include <sys/types.h>

#include "base/strbuf.h"
#include "net/conn.h"

enum pw_conn_tls {
	PW_TLS_CLEAR,
	PW_TLS_DUE,
	PW_TLS_HANDSHAKE,
	PW_TLS_UP
};

/* One I/O operation, in clear or not. */
enum pw_io_rc {
	PW_IO_OK,
	PW_IO_WAIT_IN,  /* nothing more to read now */
	PW_IO_WAIT_OUT, /* the socket's buffer is full */
	PW_IO_MORE,     /* the bound of this round: come again */
	PW_IO_EOF,
	PW_IO_FAULT /* .why says which */
};

struct pw_conn {
	struct pw_loop *loop;
	const struct pw_conn_ops *ops;
	void *arg;
	struct pw_io io;
	struct pw_defer work;
	struct pw_strbuf out;
	struct pw_strbuf kept;
	SSL *ssl;
	char *tls_error; /* owned */
	uint64_t bytes_in;
	uint64_t bytes_out;
	size_t clear_left; /* of .out, what leaves before the handshake */
	size_t budget;     /* wire bytes that TLS may still read this time */
	uint16_t late_handshakes;
	uint8_t tls; /* enum pw_conn_tls */
	uint8_t why; /* enum pw_conn_end, with .fault */
	bool fault : 1;    /* .why is to be told */
	bool busy : 1;     /* one of our callbacks is on the stack */
	bool doomed : 1;   /* freed while busy */
	bool offering : 1; /* on_data is on the stack */
	bool paused : 1;
	bool reoffer : 1;  /* resumed: offer what is kept */
	bool drop : 1;     /* TLS began inside on_data: drop the rest */
	bool more : 1;     /* input may wait where epoll does not see it */
	bool behind : 1;   /* the peer hung up, with input before that */
	bool want_out : 1; /* after a short write */
	bool want_drained : 1;
	bool closing : 1;
	bool fin_sent : 1;
	bool eof_due : 1; /* all was read, not all was offered */
	bool eof : 1;     /* told */
	bool dead : 1;
	bool wire_eof : 1; /* the socket gave end of file to TLS */
};

/* The loop's buffer for reading. */
struct pw_conn_scratch {
	size_t size;
	char data[];
};

/* Tells the owner of the end, once for each kind.  The owner may free C in this
 * and in the next six: then .doomed is set and C must be left alone. */
void pw_conn_end(struct pw_conn *c, enum pw_conn_end why);
/* Shows the owner what is kept and FRESH behind it. */
void pw_conn_offer(struct pw_conn *c, struct pw_bytes fresh);
/* Reads and offers one piece. */
void pw_conn_read(struct pw_conn *c);
/* The peer hung up while the connection does not read. */
void pw_conn_hung_up(struct pw_conn *c);
/* An event of input for a connection that does not read now. */
void pw_conn_unwanted(struct pw_conn *c, uint32_t ready);
void pw_conn_handshake(struct pw_conn *c);
/* Writes what may leave, and says good-bye when that was asked for. */
void pw_conn_flush(struct pw_conn *c);
bool pw_conn_can_read(const struct pw_conn *c);

/* The socket, counted.  -1 with errno, or the number of bytes. */
ssize_t pw_conn_recv(struct pw_conn *c, void *buf, size_t n);
ssize_t pw_conn_send(struct pw_conn *c, const void *buf, size_t n);

/* TLS: as the plain ones, with *N set to what was moved. */
enum pw_io_rc pw_conn_tls_read(struct pw_conn *c, char *buf, size_t size,
    size_t *n);
enum pw_io_rc pw_conn_tls_write(struct pw_conn *c, struct pw_bytes b,
    size_t *n);
enum pw_io_rc pw_conn_tls_handshake(struct pw_conn *c);
/* Whether the peer said good-bye and nothing lies before that. */
bool pw_conn_tls_at_end(struct pw_conn *c);
/* Sends close_notify. */
enum pw_io_rc pw_conn_tls_close(struct pw_conn *c);
/* A server side for CTX on C's socket, or NULL. */
SSL *pw_conn_tls_new(struct pw_conn *c, SSL_CTX *ctx);

#endif
