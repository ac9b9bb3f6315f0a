/* SPDX-License-Identifier: ISC */
/*
 * A client connection: input, output and TLS over one non-blocking socket.
 *
 * Idle connections own no buffers: input is read into a scratch buffer of the
 * loop's thread and only what the owner did not consume is kept; output that
 * the socket takes at once is never copied.  Output is gathered during a round
 * and written once at its end, so that replies to a pipelined batch leave
 * together.  Everything on the loop's thread.
 */
#ifndef PW_NET_CONN_H
#define PW_NET_CONN_H

#include <openssl/ssl.h>

#include "base/bytes.h"
#include "net/loop.h"

struct pw_conn;

enum pw_conn_end {
	PW_CONN_EOF,     /* the peer closed its side */
	PW_CONN_RESET,   /* reset, or another socket error */
	PW_CONN_TLS,     /* TLS failed; pw_conn_tls_error() says how */
	PW_CONN_OVERFLOW /* the peer does not read: output above the bound */
};

struct pw_conn_ops {
	/*
	 * Bytes have come: IN is everything not yet consumed.  Returns how
	 * many the owner consumed (0..in.len); it is called again when more
	 * came, or after pw_conn_resume().  If the owner pauses or starts TLS
	 * inside, the rest is kept or dropped as those say.
	 */
	size_t (*on_data)(struct pw_conn *c, struct pw_bytes in);
	/* The handshake is done, also while paused (after a failed one:
	 * on_end). */
	void (*on_tls)(struct pw_conn *c);
	/*
	 * The connection can do no more; the owner frees it, here or later.
	 * EOF comes only after all input was offered, and means that no more
	 * will come; what is written still leaves (the peer may have closed
	 * its side only), so that one of the others may follow it.
	 */
	void (*on_end)(struct pw_conn *c, enum pw_conn_end why);
	/* All output has left (only after pw_conn_close_after_flush() or when
	 * pw_conn_want_drained() was called).  May be NULL. */
	void (*on_drained)(struct pw_conn *c);
};

/*
 * Takes over FD (non-blocking, TCP_NODELAY set here).  Reading starts at once.
 * KEEP_MAX bounds unconsumed input, hence also what one read takes; when so
 * much is kept, reading rests until some is consumed after a resume.  OUT_MAX
 * bounds unsent output.  No callback is called from inside any function here.
 * NULL with errno when FD cannot be watched; it is closed then.
 */
struct pw_conn *pw_conn_new(struct pw_loop *loop, int fd,
    const struct pw_conn_ops *ops, void *arg, size_t keep_max, size_t out_max);
/* Closes at once and frees; no callback after this; *c set to NULL. */
void pw_conn_free(struct pw_conn **c);
void *pw_conn_arg(const struct pw_conn *c);
int pw_conn_fd(const struct pw_conn *c);

/* Queues B (copied); it leaves at the end of the round.  Above OUT_MAX the
 * connection ends with PW_CONN_OVERFLOW. */
void pw_conn_write(struct pw_conn *c, struct pw_bytes b);
/* Bytes not yet taken by the socket. */
size_t pw_conn_unsent(const struct pw_conn *c);
/*
 * Stops reading (hang-up is still noticed: a reset always, the end of file
 * once nothing that came before it is unread); the kept rest is offered again
 * on resume, at the end of the round.
 */
void pw_conn_pause(struct pw_conn *c);
void pw_conn_resume(struct pw_conn *c);
/* Input that the owner left, and did not see again: for pregreet and for the
 * count of text sent before its turn. */
size_t pw_conn_kept(const struct pw_conn *c);

/*
 * Sends what is queued in clear, drops every byte of input that is kept, and
 * begins a server handshake.  Nothing that came before the handshake is ever
 * offered after it (RFC 3207 section 4.2).
 * -1, and nothing done, when TLS was begun before, the connection ended or is
 * closing, or OpenSSL is out of order.  Renegotiation is refused and key
 * updates are bounded.
 */
int pw_conn_starttls(struct pw_conn *c, SSL_CTX *ctx);
SSL *pw_conn_ssl(const struct pw_conn *c); /* NULL in clear */
/* "" when there was none. */
const char *pw_conn_tls_error(const struct pw_conn *c);

/* No more input is offered; when all output has left, close_notify and FIN are
 * sent and the connection ends with on_drained. The owner then frees it. */
void pw_conn_close_after_flush(struct pw_conn *c);
/* One on_drained, as soon as nothing is unsent; at the end of this round at
 * the earliest. */
void pw_conn_want_drained(struct pw_conn *c);

/* Bytes read and written on the wire, for the rate bound and the log. */
uint64_t pw_conn_bytes_in(const struct pw_conn *c);
uint64_t pw_conn_bytes_out(const struct pw_conn *c);

/* Once per loop before its first connection; the scratch buffer of SIZE bytes
 * belongs to the loop, until pw_conn_thread_fini() after the last one.  -1 when
 * done before. */
int pw_conn_thread_init(struct pw_loop *loop, size_t size);
void pw_conn_thread_fini(struct pw_loop *loop);

#endif
