/* SPDX-License-Identifier: ISC */
/*
 * One question in the resolve role: from a channel to libunbound and back, with
 * its deadline.
 *
 * libunbound cannot be told to stop: ub_cancel() only hushes the callback, and
 * the work goes on until its own retries end.  So a question that nobody waits
 * for any more is detached, not cancelled there: its callback still comes, and
 * what runs can be counted and bounded.
 */
#include "dns/resolver.h"

#include <stdlib.h>

#include "base/log.h"

#define RCODE_NXDOMAIN 3

enum { NOT_SECURE, BOGUS, SECURE }; /* as the callback says it */

static struct pw_dns_questions *
bucket_of(struct pw_dns_channel *ch, uint32_t qid)
{
	return &ch->buckets[qid % PW_DNS_QID_BUCKETS];
}

static struct pw_dns_question *
find(struct pw_dns_channel *ch, uint32_t qid)
{
	struct pw_dns_question *q = LIST_FIRST(bucket_of(ch, qid));

	while (q != NULL && q->qid != qid)
		q = LIST_NEXT(q, link);
	return q;
}

/* Nobody waits for it any more. */
static void
detach(struct pw_dns_question *q)
{
	pw_timer_stop(&q->deadline);
	LIST_REMOVE(q, link);
	q->channel->open--;
	q->channel = NULL;
	LIST_INSERT_HEAD(&q->resolver->detached, q, link);
}

void
pw_dns_question_cancel(struct pw_dns_channel *ch, uint32_t qid)
{
	struct pw_dns_question *q = find(ch, qid);

	if (q == NULL)
		return;
	ch->resolver->stats.cancelled++;
	detach(q);
}

void
pw_dns_questions_detach(struct pw_dns_channel *ch)
{
	for (size_t i = 0; i < PW_DNS_QID_BUCKETS; i++) {
		while (!LIST_EMPTY(&ch->buckets[i]))
			detach(LIST_FIRST(&ch->buckets[i]));
	}
}

static void
answer_status(struct pw_dns_channel *ch, uint32_t qid, const char *name,
    uint16_t type, uint8_t status)
{
	struct pw_dns_answer a = {.name = name, .type = type, .status = status};

	pw_dns_channel_answer(ch, qid, &a);
}

static void
on_deadline(struct pw_timer *t)
{
	struct pw_dns_question *q =
	    (struct pw_dns_question *)((char *)t -
				       offsetof(
					   struct pw_dns_question, deadline));
	struct pw_dns_channel *ch = q->channel;

	q->resolver->stats.timeouts++;
	detach(q);
	answer_status(ch, q->qid, q->name, q->type, PW_DNS_TIMEOUT);
}

/* ---- what libunbound found --------------------------------------------- */

static void
log_failure(struct pw_dns_question *q, const char *event, const char *why)
{
	struct pw_resolver *r = q->resolver;
	struct pw_log_line l;
	int64_t hidden;

	if (!pw_dns_may_log(&r->failures, pw_loop_now(r->loop), &hidden))
		return;
	pw_log_begin(&l, PW_LOG_INFO, event, NULL, NULL);
	pw_log_peer(&l, "name", pw_peer(pw_bytes_of(q->name)));
	pw_log_s(&l, "type", pw_dns_type_name(q->type));
	pw_log_peer(&l, "why", pw_peer(pw_bytes_of(why)));
	pw_log_i(&l, "hidden", hidden);
	pw_log_end(&l);
}

struct found {
	int rcode;
	struct pw_bytes packet;
	int security;
	const char *why_bogus;
	bool limited;
};

static void
give_answer(struct pw_dns_question *q, const struct found *found)
{
	struct pw_resolver *r = q->resolver;
	struct pw_dns_answer failed = {
	    .name = q->name, .type = q->type, .status = PW_DNS_SERVFAIL};
	const struct pw_dns_answer *a = &failed;

	if (found->rcode == RCODE_NXDOMAIN) {
		failed.status = PW_DNS_NXDOMAIN;
	} else if (found->security == BOGUS) {
		failed.status = PW_DNS_BOGUS;
		r->stats.bogus++;
		log_failure(q, "dns.bogus",
		    found->why_bogus != NULL ? found->why_bogus : "");
	} else if (found->rcode == 0 && !found->limited &&
		   found->packet.ptr != NULL) {
		struct pw_dns_answer *parsed =
		    pw_dns_parse(found->packet, q->name, q->type, r->pool);
		if (parsed != NULL) {
			parsed->secure = found->security == SECURE;
			a = parsed;
		}
	}
	r->stats.answered++;
	pw_dns_channel_answer(q->channel, q->qid, a);
	pw_pool_reset(r->pool);
}

static void
on_result(void *arg, int rcode, void *packet, int len, int security,
    char *why_bogus, int was_ratelimited)
{
	struct pw_dns_question *q = arg;
	struct found found = {.rcode = rcode,
	    .packet = packet != NULL && len > 0 ? pw_bytes(packet, (size_t)len)
						: PW_BYTES_NONE,
	    .security = security,
	    .why_bogus = why_bogus,
	    .limited = was_ratelimited != 0};

	q->resolver->stats.running--;
	if (q->channel != NULL) {
		give_answer(q, &found);
		q->channel->open--;
		pw_timer_stop(&q->deadline);
	}
	LIST_REMOVE(q, link);
	if (q->starting)
		q->finished = true;
	else
		free(q);
}

/* ---- asking ------------------------------------------------------------ */

static void
refuse(struct pw_dns_channel *ch, uint32_t qid, const char *name, uint16_t type)
{
	struct pw_resolver *r = ch->resolver;
	struct pw_log_line l;
	int64_t hidden;

	r->stats.refused++;
	answer_status(ch, qid, name, type, PW_DNS_SERVFAIL);
	if (!pw_dns_may_log(&r->refusals, pw_loop_now(r->loop), &hidden))
		return;
	pw_log_begin(&l, PW_LOG_WARN, "dns.full", NULL, NULL);
	pw_log_i(&l, "open", (int64_t)ch->open);
	pw_log_i(&l, "running", (int64_t)r->stats.running);
	pw_log_i(&l, "hidden", hidden);
	pw_log_end(&l);
}

static void
start(struct pw_dns_question *q, uint32_t deadline_ms)
{
	struct pw_resolver *r = q->resolver;
	int rc;

	r->stats.running++;
	q->starting = true;
	rc = ub_resolve_event(
	    r->ub->ctx, q->name, q->type, 1, q, on_result, NULL);
	q->starting = false;
	if (q->finished) {
		r->stats.inlined++;
		free(q);
	} else if (rc != 0) {
		struct found none = {.rcode = -1};
		r->stats.running--;
		log_failure(q, "dns.failed", ub_strerror(rc));
		give_answer(q, &none);
		q->channel->open--;
		LIST_REMOVE(q, link);
		free(q);
	} else {
		pw_timer_set(r->loop, &q->deadline, deadline_ms, on_deadline);
	}
}

int
pw_dns_question_take(struct pw_dns_channel *ch, uint32_t qid, const char *name,
    uint16_t type, uint32_t deadline_ms)
{
	struct pw_resolver *r = ch->resolver;
	struct pw_dns_question *q = find(ch, qid);

	if (deadline_ms > PW_DNS_DEADLINE_MAX)
		deadline_ms = PW_DNS_DEADLINE_MAX;
	if (q != NULL) {
		if (q->type != type || strcmp(q->name, name) != 0)
			return -1;
		pw_timer_set(r->loop, &q->deadline, deadline_ms, on_deadline);
		return 0;
	}
	r->stats.asked++;
	if (ch->open == PW_DNS_MAX_OPEN ||
	    r->stats.running == PW_DNS_RUNNING_MAX) {
		refuse(ch, qid, name, type);
		return 0;
	}

	q = pw_xcalloc(1, sizeof(*q));
	q->resolver = r;
	q->channel = ch;
	q->qid = qid;
	q->type = type;
	memcpy(q->name, name, strlen(name) + 1);
	LIST_INSERT_HEAD(bucket_of(ch, qid), q, link);
	ch->open++;
	start(q, deadline_ms);
	return 0;
}
