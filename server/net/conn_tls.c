/* SPDX-License-Identifier: ISC */
/*
 * TLS of a connection: OpenSSL on a BIO of ours, which never raises SIGPIPE,
 * counts what passes on the wire, and bounds what one call may read.  Called
 * by net/conn.c on the loop's thread.
 */
#include "net/conn_private.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>

#include "base/pool.h"

/* Wire bytes one call may read: OpenSSL reads on by itself over records that
 * carry no data, and a fast peer could keep it doing so for ever. */
#define WIRE_BUDGET ((size_t)128 << 10)
/* Handshake messages after the handshake: key updates of TLS 1.3 (an honest
 * peer sends one in 2^24 records) and attempts to renegotiate in TLS 1.2,
 * which are refused. */
#define LATE_HANDSHAKES_MAX 32

/* ---- the BIO ------------------------------------------------------------ */

static int
bio_read(BIO *b, char *buf, int len)
{
	struct pw_conn *c = BIO_get_data(b);
	size_t n = len > 0 ? (size_t)len : 0;

	BIO_clear_retry_flags(b);
	if (c->late_handshakes > LATE_HANDSHAKES_MAX) {
		errno = EPROTO;
		return -1;
	}
	if (c->budget == 0) {
		BIO_set_retry_read(b);
		return -1;
	}
	ssize_t got = pw_conn_recv(c, buf, n < c->budget ? n : c->budget);
	if (got < 0 && errno == EAGAIN)
		BIO_set_retry_read(b);
	if (got > 0)
		c->budget -= (size_t)got;
	if (got == 0)
		c->wire_eof = true;
	return (int)got;
}

static int
bio_write(BIO *b, const char *buf, int len)
{
	struct pw_conn *c = BIO_get_data(b);

	BIO_clear_retry_flags(b);
	ssize_t put = pw_conn_send(c, buf, len > 0 ? (size_t)len : 0);
	if (put < 0 && errno == EAGAIN)
		BIO_set_retry_write(b);
	return (int)put;
}

static long
bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	const struct pw_conn *c = BIO_get_data(b);

	(void)num;
	(void)ptr;
	if (cmd == BIO_CTRL_FLUSH)
		return 1;
	if (cmd == BIO_CTRL_EOF)
		return c->wire_eof;
	return 0;
}

static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static void
bio_init(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() |
		BIO_TYPE_SOURCE_SINK, "postward connection");

	if (m == NULL)
		return;
	(void)BIO_meth_set_read(m, bio_read);
	(void)BIO_meth_set_write(m, bio_write);
	(void)BIO_meth_set_ctrl(m, bio_ctrl);
	bio_method = m;
}

/* ---- set-up ------------------------------------------------------------- */

static void
count_message(int write_p, int version, int content_type, const void *buf,
    size_t len, SSL *ssl, void *arg)
{
	struct pw_conn *c = arg;

	(void)version;
	(void)buf;
	(void)len;
	(void)ssl;
	if (!write_p && content_type == SSL3_RT_HANDSHAKE &&
	    c->tls == PW_TLS_UP && c->late_handshakes < UINT16_MAX)
		c->late_handshakes++;
}

SSL *
pw_conn_tls_new(struct pw_conn *c, SSL_CTX *ctx)
{
	SSL *ssl = NULL;
	BIO *b = NULL;

	ERR_clear_error();
	(void)pthread_once(&bio_once, bio_init);
	if (bio_method != NULL)
		b = BIO_new(bio_method);
	if (b != NULL)
		ssl = SSL_new(ctx);
	if (ssl == NULL) {
		BIO_free(b);
		return NULL;
	}
	BIO_set_data(b, c);
	BIO_set_init(b, 1);
	SSL_set_bio(ssl, b, b);
	SSL_set_accept_state(ssl);
	SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS |
		SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* A peer that just closes loses nothing that it could miss: SMTP says
	 * itself where a command and a message end. */
	SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION |
		SSL_OP_IGNORE_UNEXPECTED_EOF);
	/* One system call a record instead of two. */
	SSL_set_read_ahead(ssl, 1);
	SSL_set_msg_callback(ssl, count_message);
	SSL_set_msg_callback_arg(ssl, c);
	return ssl;
}

/* ---- operations --------------------------------------------------------- */

static enum pw_io_rc
fault(struct pw_conn *c, enum pw_conn_end why, const char *text)
{
	c->why = (uint8_t)why;
	free(c->tls_error);
	c->tls_error = pw_xstrdup(text);
	return PW_IO_FAULT;
}

/* What the last operation, which returned R, means. */
static enum pw_io_rc
outcome(struct pw_conn *c, int r)
{
	int saved = errno;

	switch (SSL_get_error(c->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		return c->budget == 0 ? PW_IO_MORE : PW_IO_WAIT_IN;
	case SSL_ERROR_WANT_WRITE:
		return PW_IO_WAIT_OUT;
	case SSL_ERROR_ZERO_RETURN:
		return PW_IO_EOF;
	default:
		break;
	}
	if (c->late_handshakes > LATE_HANDSHAKES_MAX)
		return fault(c, PW_CONN_TLS, "too many handshake messages");
	unsigned long e = ERR_peek_error();
	if (e != 0) {
		const char *reason = ERR_reason_error_string(e);
		return fault(c, PW_CONN_TLS,
		    reason != NULL ? reason : "TLS failed");
	}
	errno = saved;
	return fault(c, PW_CONN_RESET, "connection lost");
}

enum pw_io_rc
pw_conn_tls_handshake(struct pw_conn *c)
{
	ERR_clear_error();
	c->budget = WIRE_BUDGET;
	int r = SSL_do_handshake(c->ssl);
	if (r == 1)
		return PW_IO_OK;
	enum pw_io_rc rc = outcome(c, r);
	if (rc == PW_IO_EOF || (rc == PW_IO_FAULT && c->wire_eof))
		return fault(c, PW_CONN_TLS, "peer closed in the handshake");
	return rc;
}

enum pw_io_rc
pw_conn_tls_read(struct pw_conn *c, char *buf, size_t size, size_t *n)
{
	size_t got;

	*n = 0;
	c->budget = WIRE_BUDGET;
	while (*n < size) {
		ERR_clear_error();
		int r = SSL_read_ex(c->ssl, buf + *n, size - *n, &got);
		if (r != 1)
			return outcome(c, r);
		*n += got;
	}
	/* OpenSSL may hold more, decrypted or not. */
	return PW_IO_MORE;
}

bool
pw_conn_tls_at_end(struct pw_conn *c)
{
	char byte;
	size_t got;

	ERR_clear_error();
	c->budget = WIRE_BUDGET;
	int r = SSL_peek_ex(c->ssl, &byte, 1, &got);
	return r != 1 && SSL_get_error(c->ssl, r) == SSL_ERROR_ZERO_RETURN;
}

enum pw_io_rc
pw_conn_tls_write(struct pw_conn *c, struct pw_bytes b, size_t *n)
{
	size_t put;

	*n = 0;
	while (*n < b.len) {
		ERR_clear_error();
		c->budget = WIRE_BUDGET;
		int r = SSL_write_ex(c->ssl, b.ptr + *n, b.len - *n, &put);
		if (r != 1)
			return outcome(c, r);
		*n += put;
	}
	return PW_IO_OK;
}

enum pw_io_rc
pw_conn_tls_close(struct pw_conn *c)
{
	ERR_clear_error();
	int r = SSL_shutdown(c->ssl);
	return r >= 0 ? PW_IO_OK : outcome(c, r);
}
