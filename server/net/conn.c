/* SPDX-License-Identifier: ISC */
/*
 * Client connections of front: how they begin, wait, turn to TLS and end.
 * Input is in net/conn_input.c, output in net/conn_output.c.  No callback of
 * the owner runs inside a call of the owner: they come from the loop only, by
 * on_io() and on_work().
 */
#include "net/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/pool.h"
#include "net/conn_private.h"

static void on_io(struct pw_io *io, uint32_t ready);
static void on_work(struct pw_defer *d);

#define OWNER(ptr, member)                                                   \
	((struct pw_conn *)(void *)((char *)(ptr)-offsetof(struct pw_conn,   \
	    member)))

int
pw_conn_thread_init(struct pw_loop *loop, size_t size)
{
	size_t total;

	if (pw_loop_local(loop) != NULL || size == 0 ||
	    !pw_add(sizeof(struct pw_conn_scratch), size, &total))
		return -1;
	struct pw_conn_scratch *s = pw_xrealloc(NULL, total, 1);
	s->size = size;
	pw_loop_set_local(loop, s);
	return 0;
}

void
pw_conn_thread_fini(struct pw_loop *loop)
{
	free(pw_loop_local(loop));
	pw_loop_set_local(loop, NULL);
}

/* ---- making, freeing, asking -------------------------------------------- */

struct pw_conn *
pw_conn_new(struct pw_loop *loop, int fd, const struct pw_conn_ops *ops,
    void *arg, size_t keep_max, size_t out_max)
{
	struct pw_conn *c = pw_xcalloc(1, sizeof(*c));
	int one = 1;

	PW_ASSERT(pw_loop_local(loop) != NULL && keep_max > 0);
	c->loop = loop;
	c->ops = ops;
	c->arg = arg;
	c->work.cb = on_work;
	pw_strbuf_init(&c->kept, keep_max);
	pw_strbuf_init(&c->out, out_max);
	/* Fails for what is not TCP, where it is not needed. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ||
	    pw_io_add(loop, &c->io, fd, EPOLLIN | EPOLLRDHUP, on_io) < 0) {
		int saved = errno;
		close(fd);
		free(c);
		errno = saved;
		return NULL;
	}
	return c;
}

static void
destroy(struct pw_conn *c)
{
	SSL_free(c->ssl);
	free(c->tls_error);
	pw_strbuf_free(&c->kept);
	pw_strbuf_free(&c->out);
	free(c);
}

void
pw_conn_free(struct pw_conn **cp)
{
	struct pw_conn *c = *cp;

	if (c == NULL)
		return;
	*cp = NULL;
	pw_loop_undefer(c->loop, &c->work);
	pw_io_del(&c->io);
	close(c->io.fd);
	c->io.fd = -1;
	/* The input that is being handled may lie in its buffer. */
	if (c->busy)
		c->doomed = true;
	else
		destroy(c);
}

void *
pw_conn_arg(const struct pw_conn *c)
{
	return c->arg;
}

int
pw_conn_fd(const struct pw_conn *c)
{
	return c->io.fd;
}

size_t
pw_conn_unsent(const struct pw_conn *c)
{
	return c->out.len;
}

size_t
pw_conn_kept(const struct pw_conn *c)
{
	return c->kept.len;
}

SSL *
pw_conn_ssl(const struct pw_conn *c)
{
	return c->ssl;
}

const char *
pw_conn_tls_error(const struct pw_conn *c)
{
	return c->tls_error != NULL ? c->tls_error : "";
}

uint64_t
pw_conn_bytes_in(const struct pw_conn *c)
{
	return c->bytes_in;
}

uint64_t
pw_conn_bytes_out(const struct pw_conn *c)
{
	return c->bytes_out;
}

/* ---- the end ------------------------------------------------------------ */

void
pw_conn_end(struct pw_conn *c, enum pw_conn_end why)
{
	if (c->dead || (why == PW_CONN_EOF && c->eof))
		return;
	if (why == PW_CONN_EOF) {
		c->eof = true;
		c->eof_due = false;
		(void)pw_io_events(&c->io,
		    c->io.events & ~(uint32_t)(EPOLLIN | EPOLLRDHUP));
	} else {
		c->dead = true;
		pw_io_del(&c->io);
		pw_strbuf_free(&c->out);
	}
	/* After the good-bye there is nothing to lose any more. */
	if (!c->fin_sent)
		c->ops->on_end(c, why);
}

bool
pw_conn_can_read(const struct pw_conn *c)
{
	return !c->paused && !c->reoffer && !c->closing && !c->eof &&
	    !c->eof_due && !c->dead && !c->fault &&
	    c->kept.len < c->kept.max &&
	    (c->tls == PW_TLS_CLEAR || c->tls == PW_TLS_UP);
}

/* Makes epoll watch for what is of use.  What is of no use any more is taken
 * out only when it happens (see pw_conn_unwanted()): most pauses are over
 * before. */
static void
settle(struct pw_conn *c)
{
	uint32_t events = c->io.events;

	if (c->io.loop == NULL)
		return;
	if (pw_conn_can_read(c) ||
	    (c->tls == PW_TLS_HANDSHAKE && !c->closing))
		events |= EPOLLIN | EPOLLRDHUP;
	else if (!c->eof && !c->closing && !c->behind && c->kept.len == 0)
		events |= EPOLLRDHUP;
	if (c->want_out)
		events |= EPOLLOUT;
	else
		events &= ~(uint32_t)EPOLLOUT;
	if (pw_io_events(&c->io, events) < 0)
		pw_conn_end(c, PW_CONN_RESET);
}

/* The last thing that on_io() and on_work() do. */
static void
finish(struct pw_conn *c)
{
	if (!c->doomed && c->fault)
		pw_conn_end(c, c->why);
	if (!c->doomed)
		settle(c);
	c->busy = false;
	if (c->doomed)
		destroy(c);
}

/* ---- the loop's calls --------------------------------------------------- */

static void
on_io(struct pw_io *io, uint32_t ready)
{
	struct pw_conn *c = OWNER(io, io);
	const uint32_t input = EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR;

	c->busy = true;
	if ((ready & EPOLLOUT) != 0) {
		c->want_out = false;
		pw_loop_defer(c->loop, &c->work);
	}
	if (c->tls == PW_TLS_HANDSHAKE && !c->closing) {
		pw_conn_handshake(c);
	} else if (pw_conn_can_read(c) && (ready & input) != 0) {
		pw_conn_read(c);
	} else if ((ready & EPOLLERR) != 0) {
		c->why = PW_CONN_RESET;
		c->fault = true;
	} else if (!c->reoffer && (ready & input) != 0) {
		pw_conn_unwanted(c, ready);
	}
	/* This event cannot be masked; what is left to read is read without
	 * epoll, and a write will fail by itself. */
	if (!c->doomed && (ready & EPOLLHUP) != 0 && io->loop != NULL) {
		pw_io_del(io);
		c->want_out = false;
		c->more = true;
		pw_loop_defer(c->loop, &c->work);
	}
	finish(c);
}

/* The end of a round in which something was done with this connection. */
static void
on_work(struct pw_defer *d)
{
	struct pw_conn *c = OWNER(d, work);

	c->busy = true;
	if (c->reoffer) {
		c->reoffer = false;
		if (c->kept.len > 0 && !c->eof && !c->dead && !c->fault)
			pw_conn_offer(c, PW_BYTES_NONE);
	}
	if (!c->doomed && c->more && pw_conn_can_read(c))
		pw_conn_read(c);
	if (!c->doomed)
		pw_conn_flush(c);
	/* After a hang-up on both sides no event will come. */
	if (!c->doomed && !c->dead && c->io.loop == NULL) {
		if (c->tls == PW_TLS_HANDSHAKE && !c->closing)
			pw_conn_handshake(c);
		else if (c->paused)
			pw_conn_hung_up(c);
	}
	if (!c->doomed && c->eof_due && (!c->paused || c->kept.len == 0))
		pw_conn_end(c, PW_CONN_EOF);
	if (!c->doomed && c->more && pw_conn_can_read(c))
		pw_loop_defer(c->loop, &c->work);
	finish(c);
}

/* ---- the owner's calls -------------------------------------------------- */

void
pw_conn_pause(struct pw_conn *c)
{
	c->paused = true;
	c->reoffer = false;
}

void
pw_conn_resume(struct pw_conn *c)
{
	c->paused = false;
	c->reoffer = true;
	pw_loop_defer(c->loop, &c->work);
}

int
pw_conn_starttls(struct pw_conn *c, SSL_CTX *ctx)
{
	if (c->ssl != NULL || c->dead || c->eof || c->eof_due || c->closing)
		return -1;
	c->ssl = pw_conn_tls_new(c, ctx);
	if (c->ssl == NULL)
		return -1;
	c->tls = PW_TLS_DUE;
	c->clear_left = c->out.len;
	c->drop = true;
	/* Inside on_data these bytes are still being looked at. */
	if (!c->offering)
		pw_strbuf_free(&c->kept);
	pw_loop_defer(c->loop, &c->work);
	return 0;
}

void
pw_conn_want_drained(struct pw_conn *c)
{
	c->want_drained = true;
	pw_loop_defer(c->loop, &c->work);
}

void
pw_conn_close_after_flush(struct pw_conn *c)
{
	c->closing = true;
	if (!c->offering)
		pw_strbuf_free(&c->kept);
	pw_loop_defer(c->loop, &c->work);
}
