/* SPDX-License-Identifier: ISC */
/*
 * The resolve role: channels from those who ask to the one libunbound context.
 * Answers of a round leave in as few frames as they fit in.  A channel that
 * speaks nonsense, or does not read its answers, is closed; its questions run
 * on without anybody waiting.
 */
#include "dns/resolver.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

/* ---- answers out ------------------------------------------------------- */

static void
set_broken(struct pw_dns_channel *ch, const char *why)
{
	if (ch->broken == NULL)
		ch->broken = why;
	pw_loop_defer(ch->resolver->loop, &ch->work);
}

static void
send_answers(struct pw_dns_channel *ch)
{
	if (ch->count == 0)
		return;
	pw_enc_patch(&ch->out, ch->mark, ch->count);
	if (ch->broken == NULL && pw_ipc_send(ch->ipc, PW_DNS_FRAME_ANSWER, 0,
				      pw_enc_done(&ch->out), NULL, 0) != 0)
		set_broken(ch, "cannot send");
	pw_enc_reset(&ch->out);
	ch->count = 0;
}

void
pw_dns_channel_answer(
    struct pw_dns_channel *ch, uint32_t qid, const struct pw_dns_answer *a)
{
	struct pw_enc *one = &ch->resolver->one;
	struct pw_bytes body;

	pw_enc_reset(one);
	pw_enc_u32(one, qid);
	pw_dns_answer_enc(one, a);
	body = pw_enc_done(one);
	PW_ASSERT(body.ptr != NULL); /* bounded by PW_DNS_MAX_DATA */
	if (ch->count > 0 && ch->out.sb.len + body.len > PW_IPC_MAX_BODY)
		send_answers(ch);
	if (ch->count++ == 0)
		ch->mark = pw_enc_mark(&ch->out);
	pw_strbuf_add(&ch->out.sb, body);
	pw_loop_defer(ch->resolver->loop, &ch->work);
}

/* ---- channels ---------------------------------------------------------- */

static void
channel_free(struct pw_dns_channel *ch)
{
	pw_dns_questions_detach(ch);
	pw_loop_undefer(ch->resolver->loop, &ch->work);
	pw_ipc_free(&ch->ipc);
	pw_enc_free(&ch->out);
	LIST_REMOVE(ch, link);
	ch->resolver->stats.channels--;
	free(ch);
}

/* The end of a round. */
static void
on_work(struct pw_defer *d)
{
	struct pw_dns_channel *ch =
	    (struct pw_dns_channel *)((char *)d -
				      offsetof(struct pw_dns_channel, work));

	send_answers(ch);
	if (ch->broken == NULL)
		return;
	pw_logf(PW_LOG_WARN, "dns.channel.closed", "%s", ch->broken);
	ch->resolver->stats.garbage++;
	channel_free(ch);
}

/* ---- questions in ------------------------------------------------------ */

static int
take_queries(struct pw_dns_channel *ch, struct pw_dec *d)
{
	uint32_t count = pw_dec_count(d, PW_DNS_BATCH, PW_DNS_QUERY_MIN);

	for (uint32_t i = 0; i < count; i++) {
		uint32_t qid = pw_dec_u32(d);
		uint16_t type = pw_dec_u16(d);
		uint32_t deadline_ms = pw_dec_u32(d);
		struct pw_bytes text = pw_dec_bytes(d);
		char name[PW_DNS_NAME_SIZE];

		if (d->bad || pw_dns_name(text, name) != 0 ||
		    !pw_bytes_eq(text, pw_bytes_of(name)) ||
		    pw_dns_question_take(ch, qid, name, type, deadline_ms) != 0)
			return -1;
	}
	return pw_dec_end(d);
}

static int
take_cancels(struct pw_dns_channel *ch, struct pw_dec *d)
{
	uint32_t count = pw_dec_count(d, PW_DNS_BATCH, PW_DNS_CANCEL_MIN);

	for (uint32_t i = 0; i < count; i++)
		pw_dns_question_cancel(ch, pw_dec_u32(d));
	return pw_dec_end(d);
}

static void
on_frame(struct pw_ipc *ipc, struct pw_frame *frame)
{
	struct pw_dns_channel *ch = pw_ipc_arg(ipc);
	struct pw_dec d;
	int rc = -1;

	if (ch->broken != NULL)
		return;
	pw_dec_init(&d, frame->body);
	if (frame->nfds == 0 && frame->type == PW_DNS_FRAME_QUERY)
		rc = take_queries(ch, &d);
	else if (frame->nfds == 0 && frame->type == PW_DNS_FRAME_CANCEL)
		rc = take_cancels(ch, &d);
	if (rc != 0)
		set_broken(ch, "nonsense");
}

static void
on_close(struct pw_ipc *ipc)
{
	channel_free(pw_ipc_arg(ipc));
}

static const struct pw_ipc_ops channel_ops = {
    .on_frame = on_frame, .on_close = on_close};

int
pw_resolver_serve(struct pw_resolver *r, int fd)
{
	struct pw_dns_channel *ch;

	if (r->stats.channels == PW_DNS_CHANNELS_MAX) {
		pw_logf(PW_LOG_ERROR, "dns.channel.refused",
		    "there are %d channels already", PW_DNS_CHANNELS_MAX);
		close(fd);
		return -1;
	}
	ch = pw_xcalloc(1, sizeof(*ch));
	ch->resolver = r;
	ch->work.cb = on_work;
	pw_enc_init(&ch->out, PW_IPC_MAX_BODY);
	for (size_t i = 0; i < PW_DNS_QID_BUCKETS; i++)
		LIST_INIT(&ch->buckets[i]);
	LIST_INSERT_HEAD(&r->channels, ch, link);
	r->stats.channels++;
	ch->ipc = pw_ipc_new(r->loop, fd, &channel_ops, ch);
	return 0;
}

/* ---- making and ending ------------------------------------------------- */

struct pw_resolver *
pw_resolver_new(struct pw_loop *loop, const struct pw_resolver_opts *opts,
    struct pw_err *err)
{
	struct pw_resolver *r;
	struct pw_ub *ub = pw_ub_open(loop, opts, err);

	if (ub == NULL)
		return NULL;
	r = pw_xcalloc(1, sizeof(*r));
	r->loop = loop;
	r->ub = ub;
	LIST_INIT(&r->channels);
	LIST_INIT(&r->detached);
	r->pool = pw_pool_new(0);
	pw_enc_init(&r->one, PW_IPC_MAX_BODY - sizeof(uint32_t));
	return r;
}

void
pw_resolver_free(struct pw_resolver **rp)
{
	struct pw_resolver *r = *rp;

	if (r == NULL)
		return;
	*rp = NULL;
	while (!LIST_EMPTY(&r->channels))
		channel_free(LIST_FIRST(&r->channels));
	/* libunbound may call back for what it still works on; what it forgets
	 * is ours. */
	pw_ub_close(&r->ub);
	while (!LIST_EMPTY(&r->detached)) {
		struct pw_dns_question *q = LIST_FIRST(&r->detached);
		LIST_REMOVE(q, link);
		free(q);
	}
	pw_pool_free(&r->pool);
	pw_enc_free(&r->one);
	free(r);
}

void
pw_resolver_stats(const struct pw_resolver *r, struct pw_resolver_stats *out)
{
	*out = r->stats;
}
