/* SPDX-License-Identifier: ISC */
/*
 * The frame form of struct pw_delivery, from front to store.  Store believes
 * nothing of it that it does not check here or in maildir.h.  Any thread.
 */
#include "storage/store.h"

#define DELIVERY_VERSION 2
#define TARGET_MAX 50000u

void
pw_delivery_enc(struct pw_enc *e, const struct pw_delivery *d)
{
	pw_enc_u8(e, DELIVERY_VERSION);
	pw_decision_enc(e, d->decision);
	pw_enc_u8(e, d->meta != NULL);
	if (d->meta != NULL)
		pw_meta_enc(e, d->meta);
	pw_enc_u64(e, d->size);
	pw_enc_str(e, d->spool.s);
	pw_enc_u64(e, d->deadline_ms);
	pw_enc_u32(e, (uint32_t)d->ntarget);
	for (size_t i = 0; i < d->ntarget; i++) {
		const struct pw_target *t = &d->target[i];
		pw_enc_bytes(e, t->mailbox);
		pw_enc_str(e, t->folder);
		pw_enc_u8(e, t->action);
		pw_enc_bytes(e, t->prefix);
		pw_enc_u64(e, t->quota);
		pw_enc_u8(e, t->hold_over_quota);
		pw_enc_u32(e, (uint32_t)t->rcpt);
	}
}

static void
dec_target(struct pw_dec *d, struct pw_pool *pool, size_t nrcpt,
    struct pw_target *t)
{
	t->mailbox = pw_pool_copy(pool, pw_dec_bytes(d));
	t->folder = pw_dec_str(d, pool);
	t->action = pw_dec_u8(d);
	t->prefix = pw_pool_copy(pool, pw_dec_bytes(d));
	t->quota = pw_dec_u64(d);
	t->hold_over_quota = pw_dec_u8(d) != 0;
	t->rcpt = pw_dec_u32(d);
	if (t->mailbox.ptr == NULL || t->prefix.ptr == NULL ||
	    t->action > PW_ACT_REFUSE_KEEP || t->rcpt >= nrcpt)
		d->bad = true;
}

/* Cuts rise and do not overlap by pw_meta_dec(); here, that they lie in the
 * message. */
static bool
cuts_fit(const struct pw_meta *m, uint64_t size)
{
	if (m->ncut == 0)
		return true;
	const struct pw_cut *last = &m->cut[m->ncut - 1];
	return last->offset <= size && last->len <= size - last->offset;
}

struct pw_delivery *
pw_delivery_dec(struct pw_dec *d, struct pw_pool *pool)
{
	struct pw_delivery *o = pw_pool_alloc(pool, sizeof(*o));

	if (o == NULL || pw_dec_u8(d) != DELIVERY_VERSION) {
		d->bad = true;
		return NULL;
	}
	o->fd = -1;
	o->decision = pw_decision_dec(d, pool);
	if (o->decision == NULL)
		return NULL;
	if (pw_dec_u8(d) != 0 && (o->meta = pw_meta_dec(d, pool)) == NULL)
		return NULL;
	o->size = pw_dec_u64(d);
	struct pw_bytes spool = pw_dec_bytes(d);
	if (spool.len > 0 && pw_id_parse(&o->spool, spool.ptr, spool.len) < 0)
		d->bad = true;
	o->deadline_ms = pw_dec_u64(d);
	o->ntarget = pw_dec_count(d, TARGET_MAX, 26);
	o->target = pw_pool_array(pool, o->ntarget > 0 ? o->ntarget : 1,
	    sizeof(*o->target));
	if (o->target == NULL)
		d->bad = true;
	for (size_t i = 0; i < o->ntarget && !d->bad; i++)
		dec_target(d, pool, o->decision->nrcpt, &o->target[i]);
	if (o->meta != NULL && !cuts_fit(o->meta, o->size))
		d->bad = true;
	return d->bad ? NULL : o;
}
