/* SPDX-License-Identifier: ISC */
/*
 * The asynchronous client of the resolve role, in front, scan and wherever a
 * name has to be looked up; one for each loop.  Here: asking, cancelling and
 * calling back.
 */
#include "dns/client.h"

#include <stdlib.h>

#include "base/log.h"

/* Resolve gives up later than we do, so that a question that is asked again
 * shortly after the first rarely has to be prolonged there. */
#define SLACK_MS 1000

/* ---- answering --------------------------------------------------------- */

static void
query_free(struct pw_dns_query *q)
{
	TAILQ_REMOVE(&q->flight->queries, q, link);
	pw_timer_stop(&q->timer);
	free(q);
}

/* A client that is freed in a callback lives until the callback returns. */
static void
enter(struct pw_dns_client *c)
{
	c->busy++;
}

static void
leave(struct pw_dns_client *c)
{
	if (--c->busy > 0 || !c->dead)
		return;
	pw_pool_free(&c->pool);
	pw_enc_free(&c->out);
	free(c);
}

static void
give(struct pw_dns_flight *f)
{
	struct pw_dns_answer none = {
	    .name = f->name, .type = f->type, .status = f->status};
	struct pw_dns_query *q;

	pw_dns_flight_unready(f);
	f->state = PW_DNS_GIVING;
	while ((q = TAILQ_FIRST(&f->queries)) != NULL) {
		pw_dns_cb cb = q->cb;
		void *arg = q->arg;

		query_free(q);
		cb(arg, f->answer != NULL ? f->answer : &none);
	}
	pw_dns_flight_free(f);
}

/* What callbacks add to the list waits for the next round. */
static void
give_all(struct pw_dns_client *c)
{
	struct pw_dns_flight *f;

	for (size_t n = c->nready; n > 0; n--) {
		if ((f = TAILQ_FIRST(&c->ready)) == NULL)
			break;
		give(f);
	}
	pw_pool_reset(c->pool);
}

static void
on_deadline(struct pw_timer *t)
{
	struct pw_dns_query *q =
	    (struct pw_dns_query *)((char *)t -
				    offsetof(struct pw_dns_query, timer));
	struct pw_dns_flight *f = q->flight;
	struct pw_dns_client *c = f->client;
	char name[PW_DNS_KEY_SIZE];
	struct pw_dns_answer a = {
	    .name = name, .type = f->type, .status = PW_DNS_TIMEOUT};
	pw_dns_cb cb = q->cb;
	void *arg = q->arg;

	memcpy(name, f->name, strlen(f->name) + 1);
	query_free(q);
	if (TAILQ_EMPTY(&f->queries))
		pw_dns_flight_abandon(f);
	c->stats.timeouts++;
	enter(c);
	cb(arg, &a);
	leave(c);
}

/* The end of a round. */
static void
on_work(struct pw_defer *d)
{
	struct pw_dns_client *c =
	    (struct pw_dns_client *)((char *)d -
				     offsetof(struct pw_dns_client, work));

	enter(c);
	if (c->broken != NULL)
		pw_dns_channel_lost(c, c->broken);
	give_all(c);
	pw_dns_channel_send_cancels(c);
	pw_dns_channel_send_queries(c);
	leave(c);
}

/* ---- asking ------------------------------------------------------------ */

static void
log_refusal(struct pw_dns_client *c)
{
	struct pw_log_line l;
	int64_t hidden;

	if (!pw_dns_may_log(&c->refusals, pw_loop_now(c->loop), &hidden))
		return;
	pw_log_begin(&l, PW_LOG_WARN, "dns.full", NULL, NULL);
	pw_log_i(&l, "open", (int64_t)c->stats.open);
	pw_log_i(&l, "hidden", hidden);
	pw_log_end(&l);
}

/* The flight that a query for KEY/TYPE joins. */
static struct pw_dns_flight *
flight_for(struct pw_dns_client *c, const char *key, bool bad, uint16_t type)
{
	struct pw_dns_flight *f = bad ? NULL : pw_dns_flight_find(c, key, type);

	if (f != NULL) {
		c->stats.coalesced++;
		return f;
	}
	f = pw_dns_flight_new(c, key, type);
	if (bad) {
		c->stats.badnames++;
		pw_dns_flight_ready(f, PW_DNS_BADNAME, NULL);
	} else if (c->ipc == NULL || c->nfree == 0) {
		c->stats.refused++;
		if (c->ipc != NULL)
			log_refusal(c);
		pw_dns_flight_ready(f, PW_DNS_SERVFAIL, NULL);
	} else {
		pw_dns_flight_open(f);
	}
	return f;
}

struct pw_dns_query *
pw_dns_ask(struct pw_dns_client *c, const char *name, uint16_t type,
    unsigned deadline_ms, pw_dns_cb cb, void *arg)
{
	struct pw_dns_query *q = pw_xcalloc(1, sizeof(*q));
	uint64_t due = pw_loop_now(c->loop) + deadline_ms;
	char key[PW_DNS_KEY_SIZE];
	bool bad = pw_dns_key(name, key) != 0;

	c->stats.asked++;
	q->cb = cb;
	q->arg = arg;
	q->flight = flight_for(c, key, bad, type);
	TAILQ_INSERT_TAIL(&q->flight->queries, q, link);
	if (q->flight->state == PW_DNS_READY)
		return q;
	pw_timer_set(c->loop, &q->timer, deadline_ms, on_deadline);
	if (due > q->flight->due_ms) {
		q->flight->due_ms = due + SLACK_MS;
		pw_dns_flight_queue(q->flight);
	}
	return q;
}

void
pw_dns_cancel(struct pw_dns_query **qp)
{
	struct pw_dns_query *q = *qp;

	if (q == NULL)
		return;
	*qp = NULL;

	struct pw_dns_flight *f = q->flight;
	f->client->stats.cancelled++;
	query_free(q);
	if (TAILQ_EMPTY(&f->queries))
		pw_dns_flight_abandon(f);
}

/* ---- making and freeing ------------------------------------------------ */

struct pw_dns_client *
pw_dns_client_new(struct pw_loop *loop)
{
	struct pw_dns_client *c = pw_xcalloc(1, sizeof(*c));

	c->loop = loop;
	c->work.cb = on_work;
	c->pool = pw_pool_new(0);
	pw_enc_init(&c->out, PW_IPC_MAX_BODY);
	TAILQ_INIT(&c->all);
	TAILQ_INIT(&c->unsent);
	TAILQ_INIT(&c->ready);
	for (uint32_t i = 0; i < PW_DNS_BUCKETS; i++)
		LIST_INIT(&c->buckets[i]);
	for (uint32_t i = 0; i < PW_DNS_MAX_OPEN; i++)
		c->free_slots[c->nfree++] = i;
	return c;
}

void
pw_dns_client_free(struct pw_dns_client **cp)
{
	struct pw_dns_client *c = *cp;
	struct pw_dns_flight *f, *next;

	if (c == NULL)
		return;
	*cp = NULL;
	enter(c);
	c->dead = true;
	pw_dns_channel_close(c);
	for (f = TAILQ_FIRST(&c->all); f != NULL; f = next) {
		next = TAILQ_NEXT(f, link);
		while (!TAILQ_EMPTY(&f->queries))
			query_free(TAILQ_FIRST(&f->queries));
		pw_dns_flight_abandon(f);
	}
	pw_loop_undefer(c->loop, &c->work);
	leave(c);
}

void
pw_dns_client_on_loss(struct pw_dns_client *c, void (*cb)(void *arg), void *arg)
{
	c->on_loss = cb;
	c->on_loss_arg = arg;
}

void
pw_dns_client_stats(
    const struct pw_dns_client *c, struct pw_dns_client_stats *out)
{
	*out = c->stats;
}
