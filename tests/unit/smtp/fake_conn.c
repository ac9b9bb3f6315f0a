/* SPDX-License-Identifier: ISC */
/* One connection at a time, without a socket. */
#include "fake.h"

#include <stdlib.h>

struct pw_conn {
	const struct pw_conn_ops *ops;
	void *arg;
	struct pw_strbuf in, out;
	bool paused, again, closing, tls_due, tls, eof;
};

SSL *fake_ssl;
static struct pw_conn *last;
static struct pw_strbuf shown;

struct pw_conn *
fake_conn_last(void)
{
	return last;
}

bool
fake_conn_alive(void)
{
	return last != NULL && !last->closing;
}

struct pw_conn *
pw_conn_new(struct pw_loop *loop, int fd, const struct pw_conn_ops *ops,
    void *arg, size_t keep_max, size_t out_max)
{
	struct pw_conn *c = pw_xcalloc(1, sizeof(*c));

	(void)loop;
	(void)fd;
	(void)keep_max;
	c->ops = ops;
	c->arg = arg;
	pw_strbuf_init(&c->in, 64u << 20);
	pw_strbuf_init(&c->out, out_max * 64);
	last = c;
	return c;
}

void
pw_conn_free(struct pw_conn **cp)
{
	struct pw_conn *c = *cp;

	if (c == NULL)
		return;
	*cp = NULL;
	if (c == last) {
		pw_strbuf_free(&shown);
		shown = c->out;
		last = NULL;
	} else {
		pw_strbuf_free(&c->out);
	}
	pw_strbuf_free(&c->in);
	free(c);
}

static void
offer(struct pw_conn *c)
{
	while (c == last && !c->paused && !c->closing && !c->tls_due &&
	    c->in.len > 0) {
		size_t n = c->ops->on_data(c, pw_strbuf_bytes(&c->in));

		if (c != last || c->tls_due)
			return;
		PW_ASSERT(n <= c->in.len);
		pw_strbuf_consume(&c->in, n);
		if (n == 0)
			return;
	}
}

void
fake_conn_feed(struct pw_conn *c, struct pw_bytes b)
{
	pw_strbuf_add(&c->in, b);
	offer(c);
}

void
fake_conn_eof(struct pw_conn *c)
{
	if (!c->closing)
		c->ops->on_end(c, PW_CONN_EOF);
}

bool
fake_conn_run(void)
{
	struct pw_conn *c = last;

	if (c == NULL)
		return false;
	if (c->tls_due) {
		c->tls_due = false;
		c->tls = true;
		c->ops->on_tls(c);
		return true;
	}
	if (c->closing) {
		c->ops->on_drained(c);
		return true;
	}
	if (c->again) {
		c->again = false;
		offer(c);
		return true;
	}
	return false;
}

struct pw_bytes
fake_conn_output(void)
{
	if (last != NULL) {
		pw_strbuf_free(&shown);
		shown = last->out;
		pw_strbuf_init(&last->out, shown.max);
	}
	return pw_strbuf_bytes(&shown);
}

void *
pw_conn_arg(const struct pw_conn *c)
{
	return c->arg;
}

int
pw_conn_fd(const struct pw_conn *c)
{
	(void)c;
	return -1;
}

void
pw_conn_write(struct pw_conn *c, struct pw_bytes b)
{
	PW_ASSERT(!c->closing);
	pw_strbuf_add(&c->out, b);
}

void
pw_conn_pause(struct pw_conn *c)
{
	c->paused = true;
}

void
pw_conn_resume(struct pw_conn *c)
{
	c->paused = false;
	c->again = true;
}

size_t
pw_conn_kept(const struct pw_conn *c)
{
	return c->in.len;
}

int
pw_conn_starttls(struct pw_conn *c, SSL_CTX *ctx)
{
	if (fake_ssl == NULL)
		fake_ssl = SSL_new(ctx);
	pw_strbuf_reset(&c->in);
	c->tls_due = true;
	return 0;
}

SSL *
pw_conn_ssl(const struct pw_conn *c)
{
	return c->tls ? fake_ssl : NULL;
}

const char *
pw_conn_tls_error(const struct pw_conn *c)
{
	(void)c;
	return "";
}

void
pw_conn_close_after_flush(struct pw_conn *c)
{
	c->closing = true;
}

uint64_t
pw_conn_bytes_in(const struct pw_conn *c)
{
	(void)c;
	return 0;
}

uint64_t
pw_conn_bytes_out(const struct pw_conn *c)
{
	(void)c;
	return 0;
}
