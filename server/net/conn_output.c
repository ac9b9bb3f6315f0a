/* SPDX-License-Identifier: ISC */
/*
 * Output of connections: gathered during a round, written at its end, and the
 * good-bye when all has left.  Called by net/conn.c on the loop's thread.
 */
#include <errno.h>
#include <sys/socket.h>

#include "net/conn_private.h"

/* Buffers of input thrown away before close(), which would otherwise answer
 * it with a reset that can overtake our last reply. */
#define DISCARD_ROUNDS 16

ssize_t
pw_conn_send(struct pw_conn *c, const void *buf, size_t n)
{
	ssize_t put;

	do {
		put = send(c->io.fd, buf, n, MSG_NOSIGNAL);
	} while (put < 0 && errno == EINTR);
	if (put > 0)
		c->bytes_out += (size_t)put;
	return put;
}

static enum pw_io_rc
write_clear(struct pw_conn *c, struct pw_bytes b, size_t *n)
{
	ssize_t put = pw_conn_send(c, b.ptr, b.len);

	*n = put > 0 ? (size_t)put : 0;
	if (*n == b.len)
		return PW_IO_OK;
	/* After a short write the next one would only say EAGAIN. */
	if (put >= 0 || errno == EAGAIN)
		return PW_IO_WAIT_OUT;
	c->why = PW_CONN_RESET;
	return PW_IO_FAULT;
}

/* How much of the output may leave now. */
static size_t
sendable(const struct pw_conn *c)
{
	if (c->dead || c->fault || c->want_out || c->tls == PW_TLS_HANDSHAKE)
		return 0;
	return c->tls == PW_TLS_DUE ? c->clear_left : c->out.len;
}

/* Writes what the socket takes; calls nobody back. */
static void
push(struct pw_conn *c)
{
	struct pw_bytes b = pw_bytes(c->out.ptr, sendable(c));
	enum pw_io_rc rc;
	size_t n;

	if (b.len == 0)
		return;
	rc = c->tls == PW_TLS_UP ? pw_conn_tls_write(c, b, &n) :
				   write_clear(c, b, &n);
	pw_strbuf_consume(&c->out, n);
	if (c->tls == PW_TLS_DUE)
		c->clear_left -= n;
	if (rc == PW_IO_WAIT_OUT)
		c->want_out = true;
	else if (rc == PW_IO_FAULT)
		c->fault = true;
	if (c->out.len == 0)
		pw_strbuf_free(&c->out);
}

void
pw_conn_write(struct pw_conn *c, struct pw_bytes b)
{
	if (c->dead || c->fault || c->fin_sent || b.len == 0)
		return;
	/* The bound is for what the peer does not take. */
	if (b.len > c->out.max - c->out.len)
		push(c);
	if (b.len > c->out.max - c->out.len && !c->fault) {
		c->why = PW_CONN_OVERFLOW;
		c->fault = true;
	} else {
		pw_strbuf_add(&c->out, b);
	}
	pw_loop_defer(c->loop, &c->work);
}

/* All has left: says good-bye, so that the owner may close. */
static void
shut(struct pw_conn *c)
{
	struct pw_conn_scratch *s = pw_loop_local(c->loop);

	if (c->tls == PW_TLS_UP && pw_conn_tls_close(c) == PW_IO_WAIT_OUT) {
		c->want_out = true;
		return;
	}
	c->fin_sent = true;
	(void)shutdown(c->io.fd, SHUT_WR);
	for (int i = 0; i < DISCARD_ROUNDS; i++)
		if (pw_conn_recv(c, s->data, s->size) <= 0)
			break;
	(void)pw_io_events(&c->io, 0);
	if (c->ops->on_drained != NULL)
		c->ops->on_drained(c);
}

void
pw_conn_flush(struct pw_conn *c)
{
	push(c);
	if (c->dead || c->fault || c->want_out)
		return;
	if (c->tls == PW_TLS_DUE && c->clear_left == 0)
		c->tls = PW_TLS_HANDSHAKE;
	/* What waits for a handshake cannot leave without it. */
	if (c->closing && c->tls == PW_TLS_HANDSHAKE)
		pw_strbuf_free(&c->out);
	if (c->out.len > 0)
		return;
	if (c->closing && !c->fin_sent) {
		shut(c);
	} else if (c->want_drained) {
		c->want_drained = false;
		if (c->ops->on_drained != NULL)
			c->ops->on_drained(c);
	}
}
