/* SPDX-License-Identifier: ISC */
/*
 * The wire form of struct pw_decision: in the frame from front, in the
 * journal, and as what the SQLite writer is given.  A new field goes to the
 * end of its part with a new version.  Any thread.
 */
#include "storage/decision.h"

/* 2: step, score and list entries of each recipient; 3: kinds, counts, the
 * recording.  A journal that an older store left behind holds records of its
 * version. */
#define DECISION_VERSION 3
#define DECISION_OLDEST 1

#define RCPT_MAX 50000u
#define EVIDENCE_MAX 1024u
#define RUN_MAX 256u

const char *
pw_action_name(uint8_t action)
{
	static const char *const name[] = {
		[PW_ACT_DELIVER] = "deliver",
		[PW_ACT_JUNK] = "junk",
		[PW_ACT_HOLD] = "hold",
		[PW_ACT_REFUSE_KEEP] = "refuse-keep",
		[PW_ACT_REFUSE] = "refuse",
		[PW_ACT_DEFER] = "defer",
		[PW_ACT_DISCARD] = "discard",
		[PW_ACT_NONE] = "none",
	};

	return action < PW_COUNT(name) ? name[action] : "unknown";
}

/* ---- writing -------------------------------------------------------------- */

static void
enc_ip(struct pw_enc *e, const struct pw_ip *ip)
{
	pw_enc_u8(e, ip->family);
	pw_enc_bytes(e, pw_bytes(ip->b,
			    ip->family == 4 ? 4 : ip->family == 6 ? 16 : 0));
}

static void
enc_head(struct pw_enc *e, const struct pw_decision *d)
{
	pw_enc_str(e, d->id.s);
	pw_enc_str(e, d->session.s);
	pw_enc_i64(e, d->time_us);
	enc_ip(e, &d->peer);
	pw_enc_u16(e, d->peer_port);
	pw_enc_str(e, d->listener);
	pw_enc_bytes(e, d->helo);
	pw_enc_str(e, d->rdns);
	pw_enc_str(e, d->tls);
	pw_enc_u8(e, d->esmtp);
	pw_enc_u8(e, d->smtputf8);
	pw_enc_bytes(e, d->mail_from);
	pw_enc_u64(e, d->size);
	pw_enc_str(e, d->reply);
	pw_enc_u8(e, d->action);
	pw_enc_str(e, d->step);
	pw_enc_f64(e, d->score);
	pw_enc_str(e, d->auth_results);
	pw_enc_u32(e, d->config_generation);
}

void
pw_decision_enc(struct pw_enc *e, const struct pw_decision *d)
{
	pw_enc_u8(e, DECISION_VERSION);
	enc_head(e, d);
	pw_enc_u32(e, (uint32_t)d->nrcpt);
	for (size_t i = 0; i < d->nrcpt; i++) {
		const struct pw_decision_rcpt *r = &d->rcpt[i];
		pw_enc_bytes(e, r->given);
		pw_enc_bytes(e, r->mailbox);
		pw_enc_u8(e, r->action);
		pw_enc_str(e, r->reply);
		pw_enc_str(e, r->fate);
		pw_enc_str(e, r->step);
		pw_enc_f64(e, r->score);
		pw_list_enc(e, r->entry, r->nentry);
	}
	pw_enc_u32(e, (uint32_t)d->nevidence);
	for (size_t i = 0; i < d->nevidence; i++) {
		const struct pw_evidence *v = &d->evidence[i];
		pw_enc_str(e, v->stage);
		pw_enc_str(e, v->symbol);
		pw_enc_f64(e, v->weight);
		pw_enc_u8(e, v->scope);
		pw_enc_u8(e, v->shadow);
		pw_enc_bytes(e, v->text);
	}
	pw_enc_u32(e, (uint32_t)d->nrun);
	for (size_t i = 0; i < d->nrun; i++) {
		const struct pw_stage_run *r = &d->run[i];
		pw_enc_str(e, r->stage);
		pw_enc_u8(e, r->phase);
		pw_enc_u8(e, r->outcome);
		pw_enc_str(e, r->reason);
		pw_enc_u32(e, r->wall_us);
		pw_enc_u32(e, r->cpu_us);
	}
	pw_enc_bytes(e, d->dns);
	pw_enc_u8(e, d->kind);
	pw_enc_u32(e, d->count);
	pw_enc_u8(e, d->net);
	pw_enc_i64(e, d->until_us);
	pw_enc_bytes(e, d->recording);
}

/* ---- reading -------------------------------------------------------------- */

static void
dec_id(struct pw_dec *d, struct pw_id *id)
{
	struct pw_bytes b = pw_dec_bytes(d);

	/* A session or transaction may have none. */
	if (b.len > 0 && pw_id_parse(id, b.ptr, b.len) < 0)
		d->bad = true;
}

static void
dec_ip(struct pw_dec *d, struct pw_ip *ip)
{
	ip->family = pw_dec_u8(d);
	struct pw_bytes b = pw_dec_bytes(d);

	if (!((ip->family == 4 && b.len == 4) ||
		(ip->family == 6 && b.len == 16) ||
		(ip->family == 0 && b.len == 0))) {
		d->bad = true;
		return;
	}
	if (b.len > 0)
		memcpy(ip->b, b.ptr, b.len);
}

static struct pw_bytes
dec_copy(struct pw_dec *d, struct pw_pool *pool)
{
	struct pw_bytes b = pw_pool_copy(pool, pw_dec_bytes(d));

	if (b.ptr == NULL) {
		d->bad = true;
		return pw_bytes("", 0);
	}
	return b;
}

static bool
dec_bool(struct pw_dec *d)
{
	uint8_t v = pw_dec_u8(d);

	if (v > 1)
		d->bad = true;
	return v == 1;
}

static uint8_t
dec_upto(struct pw_dec *d, uint8_t max)
{
	uint8_t v = pw_dec_u8(d);

	if (v > max) {
		d->bad = true;
		v = 0;
	}
	return v;
}

static void
dec_head(struct pw_dec *d, struct pw_pool *pool, struct pw_decision *o)
{
	dec_id(d, &o->id);
	dec_id(d, &o->session);
	o->time_us = pw_dec_i64(d);
	dec_ip(d, &o->peer);
	o->peer_port = pw_dec_u16(d);
	o->listener = pw_dec_str(d, pool);
	o->helo = dec_copy(d, pool);
	o->rdns = pw_dec_str(d, pool);
	o->tls = pw_dec_str(d, pool);
	o->esmtp = dec_bool(d);
	o->smtputf8 = dec_bool(d);
	o->mail_from = dec_copy(d, pool);
	o->size = pw_dec_u64(d);
	o->reply = pw_dec_str(d, pool);
	o->action = dec_upto(d, PW_ACT_NONE);
	o->step = pw_dec_str(d, pool);
	o->score = pw_dec_f64(d);
	o->auth_results = pw_dec_str(d, pool);
	o->config_generation = pw_dec_u32(d);
}

/* A zeroed array for a count that was read; NULL when it is 0 or bad. */
static void *
dec_array(struct pw_dec *d, struct pw_pool *pool, uint32_t max, size_t each,
    size_t size, size_t *n)
{
	void *p;

	*n = pw_dec_count(d, max, each);
	if (*n == 0)
		return NULL;
	p = pw_pool_array(pool, *n, size);
	if (p == NULL) {
		d->bad = true;
		*n = 0;
	}
	return p;
}

static void
dec_lists(struct pw_dec *d, struct pw_pool *pool, uint8_t version,
    struct pw_decision *o)
{
	o->rcpt = dec_array(d, pool, RCPT_MAX, 17, sizeof(*o->rcpt),
	    &o->nrcpt);
	for (size_t i = 0; i < o->nrcpt && !d->bad; i++) {
		struct pw_decision_rcpt *r = &o->rcpt[i];
		r->given = dec_copy(d, pool);
		r->mailbox = dec_copy(d, pool);
		r->action = dec_upto(d, PW_ACT_NONE);
		r->reply = pw_dec_str(d, pool);
		r->fate = pw_dec_str(d, pool);
		r->step = version >= 2 ? pw_dec_str(d, pool) : "";
		r->score = version >= 2 ? pw_dec_f64(d) : 0;
		if (version >= 2)
			r->entry = pw_list_dec(d, pool, &r->nentry);
	}
	o->evidence = dec_array(d, pool, EVIDENCE_MAX, 22,
	    sizeof(*o->evidence), &o->nevidence);
	for (size_t i = 0; i < o->nevidence && !d->bad; i++) {
		struct pw_evidence *v = &o->evidence[i];
		v->stage = pw_dec_str(d, pool);
		v->symbol = pw_dec_str(d, pool);
		v->weight = pw_dec_f64(d);
		v->scope = dec_upto(d, 2);
		v->shadow = dec_bool(d);
		v->text = dec_copy(d, pool);
	}
	o->run = dec_array(d, pool, RUN_MAX, 18, sizeof(*o->run), &o->nrun);
	for (size_t i = 0; i < o->nrun && !d->bad; i++) {
		struct pw_stage_run *r = &o->run[i];
		r->stage = pw_dec_str(d, pool);
		r->phase = pw_dec_u8(d);
		r->outcome = dec_upto(d, PW_OUT_COULD_NOT_RUN);
		r->reason = pw_dec_str(d, pool);
		r->wall_us = pw_dec_u32(d);
		r->cpu_us = pw_dec_u32(d);
	}
}

/* What came with version 3. */
static void
dec_more(struct pw_dec *d, struct pw_pool *pool, struct pw_decision *o)
{
	o->kind = dec_upto(d, PW_DEC_CONNECTION);
	o->count = pw_dec_u32(d);
	o->net = dec_upto(d, 128);
	o->until_us = pw_dec_i64(d);
	o->recording = dec_copy(d, pool);
	if (o->kind == PW_DEC_MESSAGE && (o->count > 1 || o->net != 0))
		d->bad = true;
}

struct pw_decision *
pw_decision_dec(struct pw_dec *d, struct pw_pool *pool)
{
	struct pw_decision *o = pw_pool_alloc(pool, sizeof(*o));
	uint8_t version = pw_dec_u8(d);

	if (o == NULL || version < DECISION_OLDEST ||
	    version > DECISION_VERSION) {
		d->bad = true;
		return NULL;
	}
	dec_head(d, pool, o);
	dec_lists(d, pool, version, o);
	o->dns = dec_copy(d, pool);
	o->recording = PW_LIT("");
	if (version >= 3)
		dec_more(d, pool, o);
	return d->bad ? NULL : o;
}
