/* SPDX-License-Identifier: ISC */
/*
 * Input of connections: reading into the thread's scratch buffer, offering it
 * to the owner, keeping what it leaves, and noticing that the peer is gone.
 * Called by net/conn.c on the loop's thread.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "net/conn_private.h"

ssize_t
pw_conn_recv(struct pw_conn *c, void *buf, size_t n)
{
	ssize_t got;

	do {
		got = recv(c->io.fd, buf, n, 0);
	} while (got < 0 && errno == EINTR);
	if (got > 0)
		c->bytes_in += (size_t)got;
	return got;
}

static enum pw_io_rc
read_clear(struct pw_conn *c, char *buf, size_t size, size_t *n)
{
	ssize_t got = pw_conn_recv(c, buf, size);

	*n = got > 0 ? (size_t)got : 0;
	if (got > 0)
		return PW_IO_OK;
	if (got == 0)
		return PW_IO_EOF;
	if (errno == EAGAIN)
		return PW_IO_WAIT_IN;
	c->why = PW_CONN_RESET;
	return PW_IO_FAULT;
}

/* Shows the owner what is kept and FRESH behind it. */
void
pw_conn_offer(struct pw_conn *c, struct pw_bytes fresh)
{
	bool from_kept = c->kept.len > 0;
	struct pw_bytes in = fresh;

	if (from_kept) {
		pw_strbuf_add(&c->kept, fresh);
		in = pw_strbuf_bytes(&c->kept);
	}
	c->drop = false;
	c->offering = true;
	size_t used = c->ops->on_data(c, in);
	c->offering = false;
	if (c->doomed)
		return;
	PW_ASSERT(used <= in.len && !c->kept.overflow);
	if (c->drop || c->closing) {
		pw_strbuf_free(&c->kept);
		return;
	}
	if (from_kept)
		pw_strbuf_consume(&c->kept, used);
	else
		pw_strbuf_add(&c->kept, pw_bytes_sub(in, used, SIZE_MAX));
	if (c->kept.len == 0)
		pw_strbuf_free(&c->kept);
}

void
pw_conn_read(struct pw_conn *c)
{
	struct pw_conn_scratch *s = pw_loop_local(c->loop);
	size_t room = c->kept.max - c->kept.len, n;
	enum pw_io_rc rc;

	if (room > s->size)
		room = s->size;
	c->behind = false;
	rc = c->tls == PW_TLS_UP ? pw_conn_tls_read(c, s->data, room, &n) :
				   read_clear(c, s->data, room, &n);
	/* A socket that hung up is not watched any more. */
	c->more = rc == PW_IO_MORE || (rc == PW_IO_OK && c->io.loop == NULL);
	if (c->more)
		pw_loop_defer(c->loop, &c->work);
	if (rc == PW_IO_WAIT_OUT)
		c->want_out = true;
	if (rc == PW_IO_EOF)
		c->eof_due = true;
	if (n > 0)
		pw_conn_offer(c, pw_bytes(s->data, n));
	if (c->doomed)
		return;
	if (rc == PW_IO_FAULT)
		c->fault = true;
	else if (c->eof_due && (!c->paused || c->kept.len == 0))
		pw_conn_end(c, PW_CONN_EOF);
}

/* Whether the peer's end of file is the next thing in the socket. */
static bool
at_end(struct pw_conn *c)
{
	char byte;

	if (c->tls == PW_TLS_UP) {
		/* OpenSSL may take bytes out of epoll's sight. */
		c->more = true;
		return pw_conn_tls_at_end(c);
	}
	return recv(c->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* The peer hung up while the connection does not read. */
void
pw_conn_hung_up(struct pw_conn *c)
{
	if (c->closing || c->eof || c->dead || c->kept.len > 0)
		return;
	if (at_end(c))
		pw_conn_end(c, PW_CONN_EOF);
	else
		c->behind = true;
}

/* An event of input for a connection that does not read now. */
void
pw_conn_unwanted(struct pw_conn *c, uint32_t ready)
{
	uint32_t off = ready & (EPOLLIN | EPOLLRDHUP);

	(void)pw_io_events(&c->io, c->io.events & ~off);
	if ((ready & (EPOLLRDHUP | EPOLLHUP)) != 0)
		pw_conn_hung_up(c);
}

void
pw_conn_handshake(struct pw_conn *c)
{
	switch (pw_conn_tls_handshake(c)) {
	case PW_IO_OK:
		c->tls = PW_TLS_UP;
		/* The peer's first command may have come along. */
		c->more = true;
		pw_loop_defer(c->loop, &c->work);
		c->ops->on_tls(c);
		break;
	case PW_IO_WAIT_OUT:
		c->want_out = true;
		break;
	case PW_IO_WAIT_IN:
	case PW_IO_MORE:
		break;
	case PW_IO_EOF:
	case PW_IO_FAULT:
		c->fault = true;
		break;
	}
}
