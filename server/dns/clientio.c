/* SPDX-License-Identifier: ISC */
/*
 * The client's side of the channel to the resolve role: batches out, answers
 * in.  What comes is believed only as far as it answers a question that was
 * asked; a frame that is nonsense costs the channel.
 */
#include "dns/client.h"

#include "base/log.h"

void
pw_dns_channel_close(struct pw_dns_client *c)
{
	pw_ipc_free(&c->ipc);
	c->broken = NULL;
	c->ncancels = 0;
}

/* All that was sent, and what was not with AND_UNSENT, is SERVFAIL. */
static void
fail_flights(struct pw_dns_client *c, bool and_unsent)
{
	struct pw_dns_flight *f = TAILQ_FIRST(&c->all);

	for (; f != NULL; f = TAILQ_NEXT(f, link)) {
		if (f->state != PW_DNS_SENT &&
		    !(and_unsent && f->state == PW_DNS_UNSENT))
			continue;
		pw_dns_flight_close(f);
		pw_dns_flight_ready(f, PW_DNS_SERVFAIL, NULL);
	}
}

void
pw_dns_channel_lost(struct pw_dns_client *c, const char *why)
{
	struct pw_log_line l;

	pw_log_begin(&l, PW_LOG_WARN, "dns.channel.lost", NULL, NULL);
	pw_log_s(&l, "why", why);
	pw_log_i(&l, "open", (int64_t)c->stats.open);
	pw_log_end(&l);
	c->stats.lost++;
	pw_dns_channel_close(c);
	fail_flights(c, true);
	if (c->on_loss != NULL)
		c->on_loss(c->on_loss_arg);
}

static void
send_frame(struct pw_dns_client *c, uint16_t type)
{
	struct pw_bytes body = pw_enc_done(&c->out);

	PW_ASSERT(body.ptr != NULL);
	if (c->ipc == NULL || c->broken != NULL ||
	    pw_ipc_send(c->ipc, type, 0, body, NULL, 0) == 0)
		return;
	c->broken = "cannot send";
	pw_loop_defer(c->loop, &c->work);
}

void
pw_dns_channel_send_cancels(struct pw_dns_client *c)
{
	if (c->ncancels == 0)
		return;
	pw_enc_reset(&c->out);
	pw_enc_u32(&c->out, c->ncancels);
	for (uint32_t i = 0; i < c->ncancels; i++)
		pw_enc_u32(&c->out, c->cancels[i]);
	c->ncancels = 0;
	send_frame(c, PW_DNS_FRAME_CANCEL);
}

/* How long resolve may work on it, from now. */
static uint32_t
time_left(const struct pw_dns_flight *f)
{
	uint64_t now = pw_loop_now(f->client->loop);
	uint64_t left = f->due_ms > now ? f->due_ms - now : 1;

	return left < PW_DNS_DEADLINE_MAX ? (uint32_t)left
					  : PW_DNS_DEADLINE_MAX;
}

void
pw_dns_channel_send_queries(struct pw_dns_client *c)
{
	struct pw_dns_flight *f;

	while (c->ipc != NULL && !TAILQ_EMPTY(&c->unsent)) {
		uint32_t count = 0;

		pw_enc_reset(&c->out);
		size_t mark = pw_enc_mark(&c->out);
		while (count < PW_DNS_BATCH &&
		       (f = TAILQ_FIRST(&c->unsent)) != NULL) {
			TAILQ_REMOVE(&c->unsent, f, to_send);
			f->queued = false;
			f->state = PW_DNS_SENT;
			pw_enc_u32(&c->out, f->qid);
			pw_enc_u16(&c->out, f->type);
			pw_enc_u32(&c->out, time_left(f));
			pw_enc_str(&c->out, f->name);
			count++;
		}
		pw_enc_patch(&c->out, mark, count);
		send_frame(c, PW_DNS_FRAME_QUERY);
	}
}

/* One entry of an ANSWER frame; -1 when it is nonsense. */
static int
take_answer(struct pw_dns_client *c, struct pw_dec *d)
{
	uint32_t qid = pw_dec_u32(d);
	const struct pw_dns_answer *a = pw_dns_answer_dec(d, c->pool);
	struct pw_dns_flight *f = c->slots[qid % PW_DNS_MAX_OPEN];

	if (a == NULL)
		return -1;
	if (f == NULL || f->qid != qid)
		return 0; /* cancelled, or too late */
	if (f->state != PW_DNS_SENT || f->type != a->type ||
	    strcmp(f->name, a->name) != 0)
		return -1;
	c->stats.answered++;
	pw_dns_flight_close(f);
	pw_dns_flight_ready(f, a->status, a);
	return 0;
}

static void
on_frame(struct pw_ipc *ipc, struct pw_frame *frame)
{
	struct pw_dns_client *c = pw_ipc_arg(ipc);
	struct pw_dec d;
	uint32_t count;

	if (c->broken != NULL)
		return;
	pw_dec_init(&d, frame->body);
	count = pw_dec_count(&d, UINT32_MAX, 4 + PW_DNS_ANSWER_MIN);
	if (frame->type != PW_DNS_FRAME_ANSWER || frame->nfds > 0)
		d.bad = true;
	for (uint32_t i = 0; i < count && !d.bad; i++) {
		if (take_answer(c, &d) != 0)
			d.bad = true;
	}
	if (pw_dec_end(&d) != 0) {
		c->broken = "nonsense";
		pw_loop_defer(c->loop, &c->work);
	}
}

static void
on_close(struct pw_ipc *ipc)
{
	pw_dns_channel_lost(pw_ipc_arg(ipc), "closed");
}

static const struct pw_ipc_ops channel_ops = {
    .on_frame = on_frame, .on_close = on_close};

void
pw_dns_client_channel(struct pw_dns_client *c, int fd)
{
	pw_dns_channel_close(c);
	if (fd >= 0)
		c->ipc = pw_ipc_new(c->loop, fd, &channel_ops, c);
	fail_flights(c, c->ipc == NULL);
	pw_loop_defer(c->loop, &c->work);
}
