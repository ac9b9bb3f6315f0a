/* SPDX-License-Identifier: ISC */
/* Accounts, store and pipeline that answer as a test tells them. */
#include "fake.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define QUEUE 4096

struct fake_parts fake;

/* ---- answers that are due ------------------------------------------------------ */

struct pw_store_call {
	pw_store_client_cb cb;
	pw_store_fd_cb fd_cb;
	void *arg;
	enum pw_store_code code;
	struct pw_store_call *next;
};
struct pw_pipe {
	pw_pipe_cb cb;
	void *arg;
	enum pw_phase phase;
	struct pw_pipe *next;
};

static struct pw_store_call *calls;
static struct pw_pipe *pipes;
static int spool_fd = -1;

bool
fake_parts_run(void)
{
	bool any = false;

	for (struct pw_pipe *p = pipes; p != NULL && !fake.never; p = p->next)
		if (p->cb != NULL) {
			pw_pipe_cb cb = p->cb;

			p->cb = NULL;
			fake.phases_open--;
			cb(p->arg);
			any = true;
			break; /* the list may have changed */
		}
	while (calls != NULL && !fake.store_never) {
		struct pw_store_call *c = calls;
		struct pw_store_call copy = *c;
		const struct pw_store_result r = { .code = c->code,
			.reason = "" };

		calls = c->next;
		free(c);
		fake.calls_open--;
		if (copy.fd_cb != NULL)
			copy.fd_cb(copy.arg, dup(spool_fd));
		else
			copy.cb(copy.arg, &r);
		any = true;
	}
	return any;
}

void
fake_reset(void)
{
	pw_strbuf_free(&fake.prefix);
	pw_strbuf_free(&fake.message);
	memset(&fake, 0, sizeof(fake));
	pw_strbuf_init(&fake.prefix, 1u << 20);
	pw_strbuf_init(&fake.message, 64u << 20);
	if (spool_fd >= 0)
		(void)close(spool_fd);
	spool_fd = -1;
}

/* ---- pipeline -------------------------------------------------------------------- */

struct pw_pipe *
pw_pipe_open(struct pw_pipeline *p, const struct pw_session_info *info)
{
	struct pw_pipe *pipe = pw_xcalloc(1, sizeof(*pipe));

	(void)p;
	(void)info;
	pipe->next = pipes;
	pipes = pipe;
	fake.pipes_open++;
	return pipe;
}

static void
cancel_phase(struct pw_pipe *pipe)
{
	if (pipe->cb != NULL)
		fake.phases_open--;
	pipe->cb = NULL;
}

void
pw_pipe_close(struct pw_pipe **pipe)
{
	struct pw_pipe **at = &pipes;

	if (*pipe == NULL)
		return;
	cancel_phase(*pipe);
	while (*at != *pipe)
		at = &(*at)->next;
	*at = (*pipe)->next;
	free(*pipe);
	*pipe = NULL;
	fake.pipes_open--;
}

void
pw_pipe_text(struct pw_pipe *pipe, const char *name, struct pw_bytes v)
{
	PW_ASSERT(pipe != NULL && name != NULL && v.len < 65536);
}

void
pw_pipe_int(struct pw_pipe *pipe, const char *name, int64_t v)
{
	(void)v;
	PW_ASSERT(pipe != NULL && name != NULL);
}

void
pw_pipe_begin(struct pw_pipe *pipe, const struct pw_id *id)
{
	(void)id;
	PW_ASSERT(pipe->cb == NULL);
}

void
pw_pipe_reset(struct pw_pipe *pipe)
{
	if (pipe->phase >= PW_PHASE_MAIL)
		cancel_phase(pipe);
}

void
pw_pipe_message(struct pw_pipe *pipe, int fd, uint64_t size,
    uint64_t header_len)
{
	(void)pipe;
	PW_ASSERT(fd >= 0 && header_len <= size);
}

enum pw_rc
pw_pipe_phase(struct pw_pipe *pipe, enum pw_phase phase, pw_pipe_cb cb,
    void *arg)
{
	PW_ASSERT(pipe->cb == NULL);
	pipe->phase = phase;
	if (!fake.async)
		return PW_OK;
	pipe->cb = cb;
	pipe->arg = arg;
	fake.phases_open++;
	return PW_AGAIN;
}

void
pw_pipe_early(struct pw_pipe *pipe, enum pw_phase phase,
    const struct pw_early_lists *lists, struct pw_early *out)
{
	(void)pipe;
	(void)lists;
	out->reply = fake.early[phase];
	out->step = "";
}

const struct pw_pipe_result *
pw_pipe_result(struct pw_pipe *pipe)
{
	(void)pipe;
	return &fake.result;
}

/* ---- accounts ---------------------------------------------------------------------- */

struct pw_snapshot {
	int refs;
};
static struct pw_snapshot snapshot = { 1 };

struct pw_snapshot *
pw_snapshot_ref(struct pw_snapshot *s)
{
	s->refs++;
	return s;
}

void
pw_snapshot_unref(struct pw_snapshot **s)
{
	if (*s != NULL)
		(*s)->refs--;
	*s = NULL;
}

static void
add_dest(struct pw_dest *d, const char *mailbox, uint64_t quota)
{
	*d = (struct pw_dest){ .mailbox = pw_bytes_of(mailbox),
		.path = pw_bytes_of(mailbox), .quota = quota, .usage = 1000 };
}

enum pw_resolve_code
pw_snapshot_resolve(const struct pw_snapshot *s, struct pw_bytes local,
    struct pw_bytes domain, const char *delimiters, struct pw_pool *pool,
    struct pw_dest **dest, size_t *n)
{
	struct pw_dest *d = pw_pool_array(pool, 2, sizeof(*d));
	ptrdiff_t plus = pw_bytes_chr(local, delimiters[0]);

	(void)s;
	*dest = d;
	*n = 1;
	if (domain.len == 0)
		domain = PW_LIT("example.test");
	if (!pw_bytes_eq(domain, PW_LIT("example.test")) &&
	    !pw_bytes_eq(domain, PW_LIT("xn--bcher-kva.test")))
		return PW_RCPT_FOREIGN;
	if (plus > 0)
		local = pw_bytes_sub(local, 0, (size_t)plus);
	if (pw_bytes_caseeq(local, PW_LIT("alice"))) {
		add_dest(d, "alice@example.test", 0);
	} else if (pw_bytes_caseeq(local, PW_LIT("bob"))) {
		add_dest(d, "bob@example.test", 1u << 30);
	} else if (pw_bytes_caseeq(local, PW_LIT("full"))) {
		add_dest(d, "full@example.test", 1000);
	} else if (pw_bytes_caseeq(local, PW_LIT("postmaster"))) {
		add_dest(d, "postmaster@example.test", 0);
	} else if (pw_bytes_caseeq(local, PW_LIT("team"))) {
		add_dest(d, "alice@example.test", 0);
		add_dest(d + 1, "bob@example.test", 0);
		*n = 2;
	} else if (pw_bytes_caseeq(local, PW_LIT("loop"))) {
		return PW_RCPT_LOOP;
	} else {
		return PW_RCPT_UNKNOWN;
	}
	return PW_RCPT_OK;
}

/* ---- store --------------------------------------------------------------------------- */

static struct pw_store_call *
queue_call(pw_store_client_cb cb, pw_store_fd_cb fd_cb, void *arg)
{
	struct pw_store_call *c, **at = &calls;

	c = pw_xcalloc(1, sizeof(*c));
	c->cb = cb;
	c->fd_cb = fd_cb;
	c->arg = arg;
	c->code = fake.code;
	while (*at != NULL)
		at = &(*at)->next;
	*at = c;
	fake.calls_open++;
	return c;
}

static void
read_message(int fd, uint64_t size)
{
	void *map;

	pw_strbuf_reset(&fake.message);
	if (size == 0)
		return;
	map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	PW_ASSERT(map != MAP_FAILED);
	pw_strbuf_add(&fake.message, pw_bytes(map, size));
	(void)munmap(map, size);
}

struct pw_store_call *
pw_store_client_deliver(struct pw_store_client *c, const struct pw_delivery *d,
    pw_store_client_cb cb, void *arg)
{
	(void)c;
	PW_ASSERT(d->decision->reply != NULL && d->decision->step != NULL);
	PW_ASSERT(d->decision->rdns != NULL && d->decision->tls != NULL);
	fake.action = d->decision->action;
	fake.ntarget = d->ntarget;
	if (d->ntarget == 0) {
		fake.records++;
	} else {
		fake.deliveries++;
		pw_strbuf_reset(&fake.prefix);
		pw_strbuf_add(&fake.prefix, d->target[0].prefix);
		read_message(d->fd, d->size);
	}
	return cb == NULL ? NULL : queue_call(cb, NULL, arg);
}

struct pw_store_call *
pw_store_client_piece(struct pw_store_client *c, const struct pw_id *id,
    int fd, uint64_t len, pw_store_client_cb cb, void *arg)
{
	char buf[65536];
	off_t at = 0;
	ssize_t n;

	(void)c;
	(void)id;
	if (fake.pieces++ == 0 || spool_fd < 0) {
		if (spool_fd >= 0)
			(void)close(spool_fd);
		spool_fd = memfd_create("spool", MFD_CLOEXEC);
	}
	while ((n = pread(fd, buf, sizeof(buf), at)) > 0) {
		PW_ASSERT(write(spool_fd, buf, (size_t)n) == n);
		at += n;
	}
	PW_ASSERT((uint64_t)at == len);
	fake.spool_octets += len;
	return queue_call(cb, NULL, arg);
}

struct pw_store_call *
pw_store_client_open(struct pw_store_client *c, const struct pw_id *id,
    pw_store_fd_cb cb, void *arg)
{
	(void)c;
	(void)id;
	return queue_call(NULL, cb, arg);
}

void
pw_store_client_drop(struct pw_store_client *c, const struct pw_id *id)
{
	(void)c;
	(void)id;
	fake.drops++;
}

void
pw_store_client_cancel(struct pw_store_client *c, struct pw_store_call **call)
{
	struct pw_store_call **at = &calls;

	(void)c;
	while (*call != NULL && *at != NULL && *at != *call)
		at = &(*at)->next;
	if (*call != NULL && *at != NULL) {
		*at = (*call)->next;
		free(*call);
		fake.calls_open--;
	}
	*call = NULL;
}

struct pw_snapshot *
pw_store_client_snapshot(const struct pw_store_client *c)
{
	(void)c;
	return fake.no_snapshot ? NULL : &snapshot;
}

enum pw_store_code
pw_store_client_state(const struct pw_store_client *c, const char **reason)
{
	(void)c;
	*reason = "";
	return fake.no_store ? PW_STORE_TEMPFAIL : fake.state;
}

void
pw_store_client_aside(struct pw_store_client *c, const char *why, int fd)
{
	(void)c;
	(void)why;
	(void)fd;
}
