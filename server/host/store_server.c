/* SPDX-License-Identifier: ISC */
/*
 * Frames from front to the store, and their answers.  See store_server.h.
 */
#include "host/store_server.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "host/msg.h"
#include "host/store_client.h"
#include "net/ipc.h"

/* The record of a message to 50,000 recipients fits. */
#define DELIVERY_POOL (160u << 20)

struct channel {
	struct pw_store_server *s;
	struct pw_ipc *ipc;  /* NULL: closed, kept for answers still open */
	size_t open;         /* answers to come */
	struct channel *next;
};

struct pw_store_server {
	struct pw_loop *loop;
	struct pw_store *store;
	struct channel *channels;
	int snapshot;
	bool ready;
	uint64_t deliveries, refused, records, records_lost;
};

/* One question that waits for the store. */
struct request {
	struct channel *ch;
	uint64_t id;
	enum pw_msg answer;
};

struct pw_store_server *
pw_store_server_new(struct pw_loop *loop, struct pw_store *store)
{
	struct pw_store_server *s = pw_xcalloc(1, sizeof(*s));

	s->loop = loop;
	s->store = store;
	s->snapshot = -1;
	s->ready = true;
	return s;
}

/* A channel lives until it is closed and its last answer has come. */
static void
channel_drop(struct channel *ch)
{
	struct channel **at = &ch->s->channels;

	if (ch->ipc != NULL || ch->open > 0)
		return;
	while (*at != NULL && *at != ch)
		at = &(*at)->next;
	if (*at == ch)
		*at = ch->next;
	free(ch);
}

static struct request *
request_new(struct channel *ch, uint64_t id, enum pw_msg answer)
{
	struct request *rq = pw_xcalloc(1, sizeof(*rq));

	rq->ch = ch;
	rq->id = id;
	rq->answer = answer;
	ch->open++;
	return rq;
}

static void
enc_result(struct pw_enc *e, enum pw_msg answer, const struct pw_store_result *r,
    size_t nfate)
{
	pw_enc_u8(e, (uint8_t)r->code);
	pw_enc_str(e, r->reason);
	if (answer != PW_MSG_DELIVERED)
		return;
	pw_enc_u32(e, (uint32_t)nfate);
	for (size_t i = 0; i < nfate; i++)
		pw_enc_str(e, r->fate[i]);
}

static void
request_done(void *arg, const struct pw_store_result *r)
{
	struct request *rq = arg;
	struct channel *ch = rq->ch;
	struct pw_enc e;

	if (r->code != PW_STORE_OK)
		ch->s->refused++;
	if (ch->ipc != NULL) {
		pw_enc_init(&e, PW_IPC_MAX_BODY);
		enc_result(&e, rq->answer, r, r->ntarget);
		if (pw_enc_done(&e).ptr == NULL) {
			/* A list of fates too long for a frame: front can do
			 * without it, but not without the code. */
			pw_enc_reset(&e);
			enc_result(&e, rq->answer, r, 0);
		}
		(void)pw_ipc_send(ch->ipc, (uint16_t)rq->answer, rq->id,
		    pw_enc_done(&e), NULL, 0);
		pw_enc_free(&e);
	}
	ch->open--;
	free(rq);
	channel_drop(ch);
}

static int
take_fd(struct pw_frame *f)
{
	int fd = f->nfds > 0 ? f->fds[0] : -1;

	if (fd >= 0)
		f->fds[0] = -1;
	return fd;
}

static int
on_deliver(struct channel *ch, struct pw_frame *f)
{
	struct pw_pool *pool = pw_pool_new(DELIVERY_POOL);
	struct pw_delivery *d = pw_store_frame_delivery(f, pool);

	if (d == NULL) {
		pw_pool_free(&pool);
		return -1;
	}
	ch->s->deliveries++;
	pw_store_deliver(ch->s->store, d, pool, request_done,
	    request_new(ch, f->id, PW_MSG_DELIVERED));
	return 0;
}

static int
dec_spool(struct pw_dec *d, struct pw_id *id)
{
	struct pw_bytes b = pw_dec_bytes(d);

	return d->bad ? -1 : pw_id_parse(id, b.ptr, b.len);
}

static int
on_piece(struct channel *ch, struct pw_frame *f)
{
	struct pw_dec d;
	struct pw_id id;
	uint64_t len;

	pw_dec_init(&d, f->body);
	if (dec_spool(&d, &id) != 0)
		return -1;
	len = pw_dec_u64(&d);
	if (pw_dec_end(&d) != 0 || f->nfds != 1)
		return -1;
	pw_store_spool_piece(ch->s->store, &id, take_fd(f), len, request_done,
	    request_new(ch, f->id, PW_MSG_PIECED));
	return 0;
}

static int
on_spool_open(struct channel *ch, struct pw_frame *f)
{
	struct pw_dec d;
	struct pw_enc e;
	struct pw_id id;
	int fd;

	pw_dec_init(&d, f->body);
	if (dec_spool(&d, &id) != 0 || pw_dec_end(&d) != 0)
		return -1;
	fd = pw_store_spool_open(ch->s->store, &id);
	pw_enc_init(&e, 64);
	pw_enc_u8(&e, fd >= 0);
	(void)pw_ipc_send(ch->ipc, PW_MSG_SPOOL_OPEN, f->id, pw_enc_done(&e),
	    &fd, fd >= 0 ? 1 : 0);
	pw_enc_free(&e);
	if (fd >= 0)
		(void)close(fd);
	return 0;
}

static int
on_spool_drop(struct channel *ch, struct pw_frame *f)
{
	struct pw_dec d;
	struct pw_id id;

	pw_dec_init(&d, f->body);
	if (dec_spool(&d, &id) != 0 || pw_dec_end(&d) != 0)
		return -1;
	pw_store_spool_drop(ch->s->store, &id);
	return 0;
}

/* Decoded, and refused when it is malformed, by the writer. */
static void
on_record(struct channel *ch, struct pw_frame *f)
{
	ch->s->records++;
	if (!pw_store_record(ch->s->store, f->body))
		ch->s->records_lost++;
}

static int
on_aside(struct channel *ch, struct pw_frame *f)
{
	struct pw_dec d;
	struct pw_bytes why;

	pw_dec_init(&d, f->body);
	why = pw_dec_bytes(&d);
	if (pw_dec_end(&d) != 0 || f->nfds != 1)
		return -1;
	pw_store_aside(ch->s->store, take_fd(f), why);
	return 0;
}

/* The message of the frame did not arrive: no file can be opened. */
static void
on_lost(struct channel *ch, const struct pw_frame *f)
{
	static const struct pw_store_result r = { .code = PW_STORE_TEMPFAIL,
		.reason = "too many open files in the role store" };

	pw_logf(PW_LOG_ERROR, "store.descriptors", "%s", r.reason);
	if (f->type == PW_MSG_DELIVER)
		request_done(request_new(ch, f->id, PW_MSG_DELIVERED), &r);
	else if (f->type == PW_MSG_PIECE)
		request_done(request_new(ch, f->id, PW_MSG_PIECED), &r);
}

static void
on_frame(struct pw_ipc *ipc, struct pw_frame *f)
{
	struct channel *ch = pw_ipc_arg(ipc);
	int rc;

	if (f->fds_lost) {
		on_lost(ch, f);
		return;
	}
	switch (f->type) {
	case PW_MSG_DELIVER:
		rc = on_deliver(ch, f);
		break;
	case PW_MSG_PIECE:
		rc = on_piece(ch, f);
		break;
	case PW_MSG_SPOOL_OPEN:
		rc = on_spool_open(ch, f);
		break;
	case PW_MSG_SPOOL_DROP:
		rc = on_spool_drop(ch, f);
		break;
	case PW_MSG_RECORD:
		on_record(ch, f);
		rc = 0;
		break;
	case PW_MSG_ASIDE:
		rc = on_aside(ch, f);
		break;
	default:
		rc = -1;
		break;
	}
	if (rc == 0)
		return;
	/* Front is one program with us: nonsense means that it is not any
	 * more.  It loses its channel and, soon, its life. */
	pw_logf(PW_LOG_ERROR, "store.frame", "malformed frame of type %u",
	    f->type);
	pw_ipc_free(&ch->ipc);
	channel_drop(ch);
}

static void
on_close(struct pw_ipc *ipc)
{
	struct channel *ch = pw_ipc_arg(ipc);

	pw_ipc_free(&ch->ipc);
	channel_drop(ch);
}

static void
send_state(struct channel *ch)
{
	enum pw_store_code code = PW_STORE_OK;
	const char *reason = "";
	struct pw_enc e;

	if (pw_store_ready(ch->s->store, &reason, &code))
		code = PW_STORE_OK;
	pw_enc_init(&e, 4096);
	pw_enc_u8(&e, (uint8_t)code);
	pw_enc_str(&e, reason);
	(void)pw_ipc_send(ch->ipc, PW_MSG_STORE_STATE, 0, pw_enc_done(&e), NULL,
	    0);
	pw_enc_free(&e);
}

static void
send_snapshot(struct channel *ch)
{
	if (ch->s->snapshot >= 0)
		(void)pw_ipc_send(ch->ipc, PW_MSG_SNAPSHOT, 0, PW_BYTES_NONE,
		    &ch->s->snapshot, 1);
}

void
pw_store_server_channel(struct pw_store_server *s, int fd)
{
	static const struct pw_ipc_ops ops = { on_frame, on_close };
	struct channel *ch = pw_xcalloc(1, sizeof(*ch));

	ch->s = s;
	ch->ipc = pw_ipc_new(s->loop, fd, &ops, ch);
	if (ch->ipc != NULL)
		pw_ipc_bear_loss(ch->ipc);
	if (ch->ipc == NULL) {
		free(ch);
		return;
	}
	ch->next = s->channels;
	s->channels = ch;
	send_state(ch);
	send_snapshot(ch);
}

void
pw_store_server_snapshot(struct pw_store_server *s, int fd)
{
	if (s->snapshot >= 0)
		(void)close(s->snapshot);
	s->snapshot = fd;
	for (struct channel *ch = s->channels; ch != NULL; ch = ch->next)
		if (ch->ipc != NULL)
			send_snapshot(ch);
}

void
pw_store_server_state(struct pw_store_server *s)
{
	const char *reason = "";
	enum pw_store_code code = PW_STORE_OK;
	bool now = pw_store_ready(s->store, &reason, &code);

	if (now == s->ready)
		return;
	s->ready = now;
	pw_logf(now ? PW_LOG_NOTICE : PW_LOG_ERROR, "store.state", "%s",
	    now ? "mail is taken again" : reason);
	for (struct channel *ch = s->channels; ch != NULL; ch = ch->next)
		if (ch->ipc != NULL)
			send_state(ch);
}

void
pw_store_server_status(const struct pw_store_server *s, struct pw_strbuf *out)
{
	pw_strbuf_addf(out, "deliveries %llu\ndeliveries-refused %llu\n"
	    "records %llu\nrecords-lost %llu\n",
	    (unsigned long long)s->deliveries, (unsigned long long)s->refused,
	    (unsigned long long)s->records,
	    (unsigned long long)s->records_lost);
}

void
pw_store_server_free(struct pw_store_server **sp)
{
	struct pw_store_server *s = *sp;

	if (s == NULL)
		return;
	*sp = NULL;
	while (s->channels != NULL) {
		struct channel *ch = s->channels;

		s->channels = ch->next;
		pw_ipc_free(&ch->ipc);
		free(ch);
	}
	if (s->snapshot >= 0)
		(void)close(s->snapshot);
	free(s);
}
