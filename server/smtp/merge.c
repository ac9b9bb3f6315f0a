/* SPDX-License-Identifier: ISC */
/*
 * A table of held records by what they share, and a bucket of tokens for each
 * kind.  A table that is full takes the rest of a kind in one record without a
 * network.  On the loop's thread.
 */
#include "smtp/merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "storage/address.h"

#define ENTRIES 1024u /* a power of two; filled to three quarters */
#define KINDS 64u     /* the last one is for all that find no place */
#define FLUSH_MS 5000u
/* A record is held in its encoded form; a larger one without its evidence. */
#define HELD_MAX 8192u

struct entry {
	uint64_t hash; /* 0: free */
	char *body;    /* NULL: to come by pw_merge_hold() */
	size_t len;
	uint32_t count;
	int64_t until_us;
	struct pw_ip net;
	uint8_t bits;
};

struct kind {
	uint64_t hash; /* 0: free */
	uint64_t filled_ms;
	double tokens;
	struct entry rest; /* when the table is full */
};

struct pw_merge {
	struct pw_loop *loop;
	uint32_t rate;
	pw_merge_send send;
	void *arg;
	struct pw_timer timer;
	bool waits;
	size_t held, used;
	struct kind kind[KINDS];
	struct entry entry[ENTRIES];
};

struct pw_merge *
pw_merge_new(struct pw_loop *loop, uint32_t rate, pw_merge_send send, void *arg)
{
	struct pw_merge *m = pw_xcalloc(1, sizeof(*m));

	m->loop = loop;
	m->rate = rate;
	m->send = send;
	m->arg = arg;
	return m;
}

/* ---- leaving ------------------------------------------------------------------- */

static void
send_entry(struct pw_merge *m, struct entry *e)
{
	struct pw_pool *pool;
	struct pw_decision *d;
	struct pw_dec dec;

	if (e->body == NULL)
		return;
	pool = pw_pool_new(0);
	pw_dec_init(&dec, pw_bytes(e->body, e->len));
	d = pw_decision_dec(&dec, pool);
	if (d != NULL) {
		d->count = e->count;
		if (e->count > 1) {
			d->until_us = e->until_us;
			d->peer = e->net;
			d->net = e->bits;
			d->peer_port = 0;
		}
		m->send(m->arg, d);
	}
	pw_pool_free(&pool);
	free(e->body);
	e->body = NULL;
	m->held--;
}

void
pw_merge_flush(struct pw_merge *m)
{
	if (m->waits)
		pw_timer_stop(&m->timer);
	m->waits = false;
	for (size_t i = 0; i < ENTRIES && m->used > 0; i++)
		if (m->entry[i].hash != 0) {
			send_entry(m, &m->entry[i]);
			m->entry[i] = (struct entry){ 0 };
		}
	m->used = 0;
	for (size_t i = 0; i < KINDS; i++) {
		send_entry(m, &m->kind[i].rest);
		m->kind[i].rest = (struct entry){ 0 };
	}
}

static void
on_timer(struct pw_timer *t)
{
	pw_merge_flush((struct pw_merge *)(void *)((char *)t -
	    offsetof(struct pw_merge, timer)));
}

void
pw_merge_free(struct pw_merge **mp)
{
	struct pw_merge *m = *mp;

	if (m == NULL)
		return;
	*mp = NULL;
	pw_merge_flush(m);
	free(m);
}

size_t
pw_merge_held(const struct pw_merge *m)
{
	return m->held;
}

/* ---- coming ---------------------------------------------------------------------- */

/* "550 5.1.1 no such recipient": both codes, without what they say. */
static struct pw_bytes
codes(struct pw_bytes reply)
{
	size_t n = 0;

	while (n < reply.len && n < 16 &&
	    (pw_is_digit((unsigned char)reply.ptr[n]) ||
		reply.ptr[n] == '.' || (n == 3 && reply.ptr[n] == ' ')))
		n++;
	return pw_bytes_sub(reply, 0, n);
}

static uint64_t
hash_of(const void *p, size_t n)
{
	uint64_t h = pw_hash(p, n);

	return h != 0 ? h : 1;
}

static struct kind *
kind_of(struct pw_merge *m, const struct pw_merge_key *key)
{
	struct pw_bytes c = codes(key->reply);
	char text[20];
	uint64_t h;

	text[0] = (char)key->kind;
	memcpy(text + 1, c.ptr != NULL ? c.ptr : "", c.len);
	h = hash_of(text, 1 + c.len);
	for (size_t i = 0; i + 1 < KINDS; i++) {
		struct kind *k = &m->kind[(h + i) % (KINDS - 1)];

		if (k->hash == h)
			return k;
		if (k->hash == 0) {
			k->hash = h;
			k->tokens = m->rate;
			k->filled_ms = pw_loop_now(m->loop);
			return k;
		}
	}
	return &m->kind[KINDS - 1];
}

static bool
take_token(struct pw_merge *m, struct kind *k)
{
	uint64_t now = pw_loop_now(m->loop);

	k->tokens += (double)(now - k->filled_ms) * m->rate / 60000;
	k->filled_ms = now;
	if (k->tokens > m->rate)
		k->tokens = m->rate;
	if (k->tokens < 1)
		return false;
	k->tokens -= 1;
	return true;
}

/* The entry for KEY, taken when there is none yet. */
static struct entry *
entry_of(struct pw_merge *m, const struct pw_merge_key *key, struct kind *k)
{
	uint8_t bits;
	struct pw_ip net = pw_addr_network(&key->peer, &bits);
	struct {
		uint64_t kind, domain;
		uint16_t listener;
		uint8_t family, net[16];
	} text;
	uint64_t h;

	memset(&text, 0, sizeof(text));
	text.kind = k->hash;
	text.domain = hash_of(key->domain.ptr != NULL ? key->domain.ptr : "",
	    key->domain.len);
	text.listener = key->listener;
	text.family = net.family;
	memcpy(text.net, net.b, sizeof(text.net));
	h = hash_of(&text, sizeof(text));
	for (size_t i = 0; i < ENTRIES; i++) {
		struct entry *e = &m->entry[(h + i) % ENTRIES];

		if (e->hash == h)
			return e;
		if (e->hash != 0)
			continue;
		if (m->used >= ENTRIES / 4 * 3)
			break;
		m->used++;
		e->hash = h;
		e->net = net;
		e->bits = bits;
		return e;
	}
	return &k->rest;
}

enum pw_merge_verdict
pw_merge_ask(struct pw_merge *m, const struct pw_merge_key *key, int64_t us)
{
	struct kind *k = kind_of(m, key);
	struct entry *e;

	if (take_token(m, k))
		return PW_MERGE_ALONE;
	e = entry_of(m, key, k);
	e->count++;
	e->until_us = us;
	if (!m->waits) {
		m->waits = true;
		pw_timer_set(m->loop, &m->timer, FLUSH_MS, on_timer);
	}
	return e->body != NULL ? PW_MERGE_COUNTED : PW_MERGE_FIRST;
}

void
pw_merge_hold(struct pw_merge *m, const struct pw_merge_key *key,
    const struct pw_decision *d)
{
	struct entry *e = entry_of(m, key, kind_of(m, key));
	struct pw_decision cut = *d;
	struct pw_enc enc;
	struct pw_bytes body;

	if (e->body != NULL)
		return;
	cut.nrcpt = cut.nrcpt > 1 ? 1 : cut.nrcpt;
	pw_enc_init(&enc, HELD_MAX);
	pw_decision_enc(&enc, &cut);
	if (pw_enc_done(&enc).ptr == NULL) {
		cut.nevidence = cut.nrun = 0;
		cut.dns = PW_LIT("");
		pw_enc_reset(&enc);
		pw_decision_enc(&enc, &cut);
	}
	body = pw_enc_done(&enc);
	if (body.ptr != NULL) {
		e->body = pw_xbytesdup(body);
		e->len = body.len;
		m->held++;
	}
	pw_enc_free(&enc);
}
