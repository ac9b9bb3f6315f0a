/* SPDX-License-Identifier: ISC */
/*
 * Questions on their way to the resolve role: found by name and type, so that
 * the same question travels once, and by the id that its answer will bear.
 * Called by the other parts of the client, on its loop.
 */
#include "dns/client.h"

#include <stdlib.h>

#include "base/clock.h"

static struct pw_dns_bucket *
bucket_of(struct pw_dns_client *c, const char *name, uint16_t type)
{
	uint64_t hash = pw_hash(name, strlen(name)) + type;

	return &c->buckets[hash % PW_DNS_BUCKETS];
}

struct pw_dns_flight *
pw_dns_flight_find(struct pw_dns_client *c, const char *name, uint16_t type)
{
	struct pw_dns_flight *f = LIST_FIRST(bucket_of(c, name, type));

	for (; f != NULL; f = LIST_NEXT(f, same_hash)) {
		if (f->type == type && strcmp(f->name, name) == 0)
			return f;
	}
	return NULL;
}

struct pw_dns_flight *
pw_dns_flight_new(struct pw_dns_client *c, const char *name, uint16_t type)
{
	size_t len = strlen(name);
	struct pw_dns_flight *f = pw_xcalloc(1, sizeof(*f) + len + 1);

	memcpy(f->name, name, len + 1);
	f->client = c;
	f->type = type;
	TAILQ_INIT(&f->queries);
	TAILQ_INSERT_TAIL(&c->all, f, link);
	return f;
}

void
pw_dns_flight_queue(struct pw_dns_flight *f)
{
	struct pw_dns_client *c = f->client;

	if (!f->queued) {
		f->queued = true;
		TAILQ_INSERT_TAIL(&c->unsent, f, to_send);
	}
	pw_loop_defer(c->loop, &c->work);
}

void
pw_dns_flight_open(struct pw_dns_flight *f)
{
	struct pw_dns_client *c = f->client;

	f->state = PW_DNS_UNSENT;
	f->qid = c->free_slots[--c->nfree];
	c->slots[f->qid % PW_DNS_MAX_OPEN] = f;
	LIST_INSERT_HEAD(bucket_of(c, f->name, f->type), f, same_hash);
	c->stats.open++;
	pw_dns_flight_queue(f);
}

void
pw_dns_flight_close(struct pw_dns_flight *f)
{
	struct pw_dns_client *c = f->client;

	/* The slot's next question has another qid: late answers miss it. */
	c->slots[f->qid % PW_DNS_MAX_OPEN] = NULL;
	c->free_slots[c->nfree++] = f->qid + PW_DNS_MAX_OPEN;
	LIST_REMOVE(f, same_hash);
	c->stats.open--;
	if (f->queued) {
		TAILQ_REMOVE(&c->unsent, f, to_send);
		f->queued = false;
	}
}

void
pw_dns_flight_free(struct pw_dns_flight *f)
{
	TAILQ_REMOVE(&f->client->all, f, link);
	free(f);
}

void
pw_dns_flight_ready(
    struct pw_dns_flight *f, uint8_t status, const struct pw_dns_answer *answer)
{
	struct pw_dns_client *c = f->client;

	f->state = PW_DNS_READY;
	f->status = status;
	f->answer = answer;
	TAILQ_INSERT_TAIL(&c->ready, f, to_give);
	c->nready++;
	pw_loop_defer(c->loop, &c->work);
}

void
pw_dns_flight_unready(struct pw_dns_flight *f)
{
	TAILQ_REMOVE(&f->client->ready, f, to_give);
	f->client->nready--;
}

void
pw_dns_flight_abandon(struct pw_dns_flight *f)
{
	struct pw_dns_client *c = f->client;

	switch (f->state) {
	case PW_DNS_SENT:
		if (c->ncancels == PW_DNS_BATCH)
			pw_dns_channel_send_cancels(c);
		c->cancels[c->ncancels++] = f->qid;
		pw_loop_defer(c->loop, &c->work);
		pw_dns_flight_close(f);
		break;
	case PW_DNS_UNSENT:
		pw_dns_flight_close(f);
		break;
	case PW_DNS_READY:
		pw_dns_flight_unready(f);
		break;
	case PW_DNS_GIVING:
		return; /* give() frees it */
	}
	pw_dns_flight_free(f);
}
