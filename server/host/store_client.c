/* SPDX-License-Identifier: ISC */
/*
 * Front's channel to store.  Open calls lie in slots; a frame's id is slot and
 * generation, so that a late answer finds nobody.
 */
#include "host/store_client.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "host/msg.h"
#include "net/ipc.h"

#define CALLS_MAX 4096u
/* A delivery with its record and all prefixes. */
#define DELIVERY_MAX (64u << 20)
/* Frames kept back from which on records are lost rather than mail. */
#define RECORDS_BEHIND 256u

struct pw_store_call {
	uint32_t slot, generation;
	bool open;
	bool failed; /* to be answered TEMPFAIL at the end of the round */
	pw_store_client_cb cb;
	pw_store_fd_cb fd_cb;
	void *arg;
};

struct pw_store_client {
	struct pw_loop *loop;
	struct pw_ipc *ipc;
	void (*on_snapshot)(void *arg);
	void (*on_lost)(void *arg);
	void *arg;
	struct pw_snapshot *snapshot;
	enum pw_store_code state;
	char reason[128];
	struct pw_store_call **call;
	uint32_t ncall, nopen;
	uint32_t *idle; /* slots without a call */
	uint32_t nidle;
	struct pw_defer fail;
	struct pw_enc enc;
};

static void fail_due(struct pw_defer *d);
static void on_close(struct pw_ipc *ipc);

struct pw_store_client *
pw_store_client_new(struct pw_loop *loop, void (*on_snapshot)(void *arg),
    void *arg)
{
	struct pw_store_client *c = pw_xcalloc(1, sizeof(*c));

	c->loop = loop;
	c->on_snapshot = on_snapshot;
	c->arg = arg;
	c->fail.cb = fail_due;
	c->call = pw_xcalloc(CALLS_MAX, sizeof(*c->call));
	c->idle = pw_xcalloc(CALLS_MAX, sizeof(*c->idle));
	pw_enc_init(&c->enc, DELIVERY_MAX);
	return c;
}

void
pw_store_client_free(struct pw_store_client **cp)
{
	struct pw_store_client *c = *cp;

	if (c == NULL)
		return;
	*cp = NULL;
	pw_ipc_free(&c->ipc);
	pw_loop_undefer(c->loop, &c->fail);
	pw_snapshot_unref(&c->snapshot);
	for (uint32_t i = 0; i < c->ncall; i++)
		free(c->call[i]);
	free(c->call);
	free(c->idle);
	pw_enc_free(&c->enc);
	free(c);
}

/* ---- calls -------------------------------------------------------------------- */

static struct pw_store_call *
open_call(struct pw_store_client *c, pw_store_client_cb cb,
    pw_store_fd_cb fd_cb, void *arg)
{
	struct pw_store_call *call;

	if (c->nidle > 0) {
		call = c->call[c->idle[--c->nidle]];
	} else if (c->ncall < CALLS_MAX) {
		call = pw_xcalloc(1, sizeof(*call));
		call->slot = c->ncall;
		c->call[c->ncall++] = call;
	} else {
		return NULL;
	}
	c->nopen++;
	call->generation++;
	call->open = true;
	call->failed = false;
	call->cb = cb;
	call->fd_cb = fd_cb;
	call->arg = arg;
	return call;
}

static void
close_call(struct pw_store_client *c, struct pw_store_call *call)
{
	call->open = false;
	c->idle[c->nidle++] = call->slot;
	c->nopen--;
}

static uint64_t
id_of(const struct pw_store_call *call)
{
	return (uint64_t)call->generation << 32 | call->slot;
}

static struct pw_store_call *
find_call(struct pw_store_client *c, uint64_t id)
{
	uint32_t slot = (uint32_t)id;

	if (slot >= c->ncall || !c->call[slot]->open ||
	    c->call[slot]->generation != (uint32_t)(id >> 32))
		return NULL;
	return c->call[slot];
}

static void
give_result(struct pw_store_client *c, struct pw_store_call *call,
    const struct pw_store_result *r, int fd)
{
	pw_store_client_cb cb = call->cb;
	pw_store_fd_cb fd_cb = call->fd_cb;
	void *arg = call->arg;

	close_call(c, call);
	if (fd_cb != NULL)
		fd_cb(arg, fd);
	else if (cb != NULL)
		cb(arg, r);
}

static void
fail_due(struct pw_defer *d)
{
	struct pw_store_client *c = (struct pw_store_client *)(void *)
	    ((char *)d - offsetof(struct pw_store_client, fail));
	static const struct pw_store_result r = { .code = PW_STORE_TEMPFAIL,
		.reason = "no store" };

	for (uint32_t i = 0; i < c->ncall; i++)
		if (c->call[i]->open && c->call[i]->failed)
			give_result(c, c->call[i], &r, -1);
}

static void
fail_later(struct pw_store_client *c, struct pw_store_call *call)
{
	call->failed = true;
	pw_loop_defer(c->loop, &c->fail);
}

void
pw_store_client_cancel(struct pw_store_client *c, struct pw_store_call **call)
{
	if (*call != NULL && (*call)->open)
		close_call(c, *call);
	*call = NULL;
}

size_t
pw_store_client_open_calls(const struct pw_store_client *c)
{
	return c->nopen;
}

/* ---- sending ------------------------------------------------------------------- */

/* BODY as a sealed memfd, for what is larger than a frame. */
static int
body_memfd(struct pw_bytes body)
{
	int fd = memfd_create("delivery", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t at = 0;

	while (fd >= 0 && at < body.len) {
		ssize_t n = write(fd, body.ptr + at, body.len - at);

		if (n <= 0) {
			(void)close(fd);
			return -1;
		}
		at += (size_t)n;
	}
	if (fd >= 0)
		(void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW |
			F_SEAL_WRITE | F_SEAL_SEAL);
	return fd;
}

static int
send_delivery(struct pw_store_client *c, uint64_t id, int fd)
{
	struct pw_bytes body = pw_enc_done(&c->enc);
	int fds[2], n = 0, rc;

	if (c->ipc == NULL || body.ptr == NULL)
		return -1;
	if (fd >= 0)
		fds[n++] = fd;
	if (body.len <= PW_IPC_MAX_BODY)
		return pw_ipc_send(c->ipc, PW_MSG_DELIVER, id, body, fds, n);
	fds[n] = body_memfd(body);
	if (fds[n] < 0)
		return -1;
	rc = pw_ipc_send(c->ipc, PW_MSG_DELIVER, id, PW_BYTES_NONE, fds,
	    n + 1);
	(void)close(fds[n]);
	return rc;
}

struct pw_store_call *
pw_store_client_deliver(struct pw_store_client *c, const struct pw_delivery *d,
    pw_store_client_cb cb, void *arg)
{
	struct pw_store_call *call = NULL;
	int rc;

	if (cb != NULL) {
		call = open_call(c, cb, NULL, arg);
		if (call == NULL)
			return NULL;
	}
	pw_enc_reset(&c->enc);
	pw_delivery_enc(&c->enc, d);
	rc = send_delivery(c, call != NULL ? id_of(call) : 0, d->fd);
	if (rc != 0 && call != NULL)
		fail_later(c, call);
	/* Bounded memory between the rare large ones. */
	if (c->enc.sb.cap > 4 * PW_IPC_MAX_BODY) {
		pw_enc_free(&c->enc);
		pw_enc_init(&c->enc, DELIVERY_MAX);
	}
	return call;
}

int
pw_store_client_record(struct pw_store_client *c, const struct pw_decision *d)
{
	struct pw_bytes body;

	if (c->ipc == NULL || pw_ipc_queued(c->ipc) > RECORDS_BEHIND)
		return -1;
	pw_enc_reset(&c->enc);
	pw_decision_enc(&c->enc, d);
	body = pw_enc_done(&c->enc);
	return body.ptr == NULL
	    ? -1 : pw_ipc_send(c->ipc, PW_MSG_RECORD, 0, body, NULL, 0);
}

/* A small question about the spool file ID. */
static struct pw_store_call *
ask(struct pw_store_client *c, struct pw_store_call *call, uint16_t type,
    const struct pw_id *id, uint64_t len, int fd)
{
	if (call == NULL)
		return NULL;
	pw_enc_reset(&c->enc);
	pw_enc_str(&c->enc, id->s);
	if (type == PW_MSG_PIECE)
		pw_enc_u64(&c->enc, len);
	if (c->ipc == NULL || pw_ipc_send(c->ipc, type, id_of(call),
		pw_enc_done(&c->enc), &fd, fd >= 0 ? 1 : 0) != 0)
		fail_later(c, call);
	return call;
}

struct pw_store_call *
pw_store_client_piece(struct pw_store_client *c, const struct pw_id *id,
    int fd, uint64_t len, pw_store_client_cb cb, void *arg)
{
	return ask(c, open_call(c, cb, NULL, arg), PW_MSG_PIECE, id, len, fd);
}

struct pw_store_call *
pw_store_client_open(struct pw_store_client *c, const struct pw_id *id,
    pw_store_fd_cb cb, void *arg)
{
	return ask(c, open_call(c, NULL, cb, arg), PW_MSG_SPOOL_OPEN, id, 0,
	    -1);
}

void
pw_store_client_drop(struct pw_store_client *c, const struct pw_id *id)
{
	if (c->ipc == NULL)
		return;
	pw_enc_reset(&c->enc);
	pw_enc_str(&c->enc, id->s);
	(void)pw_ipc_send(c->ipc, PW_MSG_SPOOL_DROP, 0, pw_enc_done(&c->enc),
	    NULL, 0);
}

void
pw_store_client_aside(struct pw_store_client *c, const char *why, int fd)
{
	if (c->ipc == NULL || fd < 0)
		return;
	pw_enc_reset(&c->enc);
	pw_enc_str(&c->enc, why);
	(void)pw_ipc_send(c->ipc, PW_MSG_ASIDE, 0, pw_enc_done(&c->enc), &fd,
	    1);
}

/* ---- receiving ------------------------------------------------------------------- */

static void
take_snapshot(struct pw_store_client *c, struct pw_frame *f)
{
	struct pw_snapshot *fresh;
	struct pw_err err = { 0 };
	int fd = f->nfds > 0 ? f->fds[0] : -1;

	if (fd < 0)
		return;
	f->fds[0] = -1;
	if (pw_snapshot_map(fd, &fresh, &err) != 0) {
		pw_logf(PW_LOG_ERROR, "store.snapshot", "%s", err.text);
		return;
	}
	pw_snapshot_unref(&c->snapshot);
	c->snapshot = fresh;
	if (c->on_snapshot != NULL)
		c->on_snapshot(c->arg);
}

static enum pw_store_code
code_of(uint8_t wire)
{
	return wire <= PW_STORE_NOMAILBOX ? (enum pw_store_code)wire
					  : PW_STORE_TEMPFAIL;
}

/* u8 code, str reason: of an answer, and of the state. */
static void
take_code(struct pw_dec *d, struct pw_pool *pool, enum pw_store_code *code,
    const char **reason)
{
	*code = code_of(pw_dec_u8(d));
	*reason = pw_dec_str(d, pool);
}

static void
take_answer(struct pw_store_client *c, struct pw_frame *f,
    struct pw_pool *pool)
{
	struct pw_store_call *call = find_call(c, f->id);
	struct pw_store_result r = { 0 };
	struct pw_dec d;

	if (call == NULL || call->fd_cb != NULL)
		return;
	pw_dec_init(&d, f->body);
	take_code(&d, pool, &r.code, &r.reason);
	if (f->type == PW_MSG_DELIVERED) {
		const char **fate;

		r.ntarget = pw_dec_count(&d, 1u << 20, 4);
		fate = pw_pool_array(pool, r.ntarget, sizeof(*fate));
		for (size_t i = 0; fate != NULL && i < r.ntarget; i++)
			fate[i] = pw_dec_str(&d, pool);
		r.fate = fate;
	}
	if (pw_dec_end(&d) != 0 || (r.ntarget > 0 && r.fate == NULL))
		r = (struct pw_store_result){ .code = PW_STORE_TEMPFAIL,
			.reason = "malformed answer of store" };
	give_result(c, call, &r, -1);
}

static void
take_opened(struct pw_store_client *c, struct pw_frame *f)
{
	struct pw_store_call *call = find_call(c, f->id);
	int fd = -1;

	if (call == NULL || call->fd_cb == NULL)
		return;
	if (f->body.len == 1 && f->body.ptr[0] == 1 && f->nfds > 0) {
		fd = f->fds[0];
		f->fds[0] = -1;
	}
	give_result(c, call, NULL, fd);
}

static void
on_frame(struct pw_ipc *ipc, struct pw_frame *f)
{
	struct pw_store_client *c = pw_ipc_arg(ipc);
	struct pw_pool *pool = pw_pool_new(0);
	const char *reason;
	struct pw_dec d;

	switch (f->type) {
	case PW_MSG_SNAPSHOT:
		take_snapshot(c, f);
		break;
	case PW_MSG_STORE_STATE:
		pw_dec_init(&d, f->body);
		take_code(&d, pool, &c->state, &reason);
		if (pw_dec_end(&d) != 0)
			c->state = PW_STORE_TEMPFAIL;
		(void)pw_escape(c->reason, sizeof(c->reason),
		    pw_peer(pw_bytes_of(reason)));
		break;
	case PW_MSG_DELIVERED:
	case PW_MSG_PIECED:
		take_answer(c, f, pool);
		break;
	case PW_MSG_SPOOL_OPEN:
		take_opened(c, f);
		break;
	default:
		break;
	}
	pw_pool_free(&pool);
}

static void
on_close(struct pw_ipc *ipc)
{
	struct pw_store_client *c = pw_ipc_arg(ipc);

	pw_store_client_channel(c, -1);
	if (c->on_lost != NULL)
		c->on_lost(c->arg);
}

void
pw_store_client_on_lost(struct pw_store_client *c,
    void (*on_lost)(void *arg))
{
	c->on_lost = on_lost;
}

void
pw_store_client_channel(struct pw_store_client *c, int fd)
{
	static const struct pw_ipc_ops ops = { on_frame, on_close };

	pw_ipc_free(&c->ipc);
	for (uint32_t i = 0; i < c->ncall; i++)
		if (c->call[i]->open)
			fail_later(c, c->call[i]);
	c->state = PW_STORE_OK;
	c->reason[0] = '\0';
	if (fd >= 0)
		c->ipc = pw_ipc_new(c->loop, fd, &ops, c);
	/* The next snapshot comes soon; a spool file is asked for again. */
	if (c->ipc != NULL)
		pw_ipc_bear_loss(c->ipc);
	if (c->ipc == NULL)
		pw_logf(PW_LOG_WARN, "store.gone",
		    "no channel to store: mail is answered 451");
}

struct pw_snapshot *
pw_store_client_snapshot(const struct pw_store_client *c)
{
	return c->snapshot;
}

enum pw_store_code
pw_store_client_state(const struct pw_store_client *c, const char **reason)
{
	*reason = c->ipc == NULL ? "no store" : c->reason;
	return c->ipc == NULL ? PW_STORE_TEMPFAIL : c->state;
}

/* ---- store's end ------------------------------------------------------------------- */

struct pw_delivery *
pw_store_frame_delivery(struct pw_frame *f, struct pw_pool *pool)
{
	struct pw_bytes body = f->body;
	struct pw_delivery *d = NULL;
	struct pw_dec dec;
	void *map = NULL;
	struct stat st;

	if (body.len == 0 && f->nfds > 0) {
		int fd = f->fds[f->nfds - 1];
		const int seals = F_SEAL_SHRINK | F_SEAL_WRITE;

		if ((fcntl(fd, F_GET_SEALS) & seals) != seals ||
		    fstat(fd, &st) != 0 || st.st_size <= 0 ||
		    st.st_size > (off_t)DELIVERY_MAX)
			return NULL;
		map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE,
		    fd, 0);
		if (map == MAP_FAILED)
			return NULL;
		body = pw_bytes(map, (size_t)st.st_size);
		(void)close(fd);
		f->fds[--f->nfds] = -1;
	}
	pw_dec_init(&dec, body);
	d = pw_delivery_dec(&dec, pool);
	if (d != NULL && pw_dec_end(&dec) != 0)
		d = NULL;
	if (map != NULL)
		(void)munmap(map, body.len);
	if (d != NULL) {
		d->fd = -1;
		if (f->nfds > 0) {
			d->fd = f->fds[0];
			f->fds[0] = -1;
		}
	}
	return d;
}
