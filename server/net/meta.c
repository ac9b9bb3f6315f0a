/* SPDX-License-Identifier: ISC */
/*
 * The wire form of struct pw_meta.  Written by the scan role, read by front
 * (to check it) and by store.
 */
#include "net/meta.h"

#include "base/valid.h"

#define META_VERSION 1

void
pw_meta_enc(struct pw_enc *e, const struct pw_meta *m)
{
	pw_enc_u8(e, META_VERSION);
	pw_enc_u64(e, m->header_len);
	pw_enc_bytes(e, m->message_id);
	pw_enc_bytes(e, m->in_reply_to);
	pw_enc_bytes(e, m->references);
	pw_enc_bytes(e, m->from);
	pw_enc_bytes(e, m->to);
	pw_enc_bytes(e, m->cc);
	pw_enc_bytes(e, m->subject);
	pw_enc_i64(e, m->date);
	pw_enc_bytes(e, m->structure);
	pw_enc_bytes(e, m->envelope);
	pw_enc_u8(e, m->complex ? 1 : 0);
	pw_enc_u32(e, (uint32_t)m->ncut);
	for (size_t i = 0; i < m->ncut; i++) {
		pw_enc_u64(e, m->cut[i].offset);
		pw_enc_u32(e, m->cut[i].len);
	}
}

static bool
has_control(struct pw_bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		if ((unsigned char)b.ptr[i] < 0x20 || b.ptr[i] == 0x7f)
			return true;
	return false;
}

/* One text of at most MAX bytes, copied. */
static struct pw_bytes
text(struct pw_dec *d, struct pw_pool *pool, size_t max)
{
	struct pw_bytes b = pw_dec_bytes(d), copy;

	if (b.len > max || has_control(b) || !pw_is_utf8(b)) {
		d->bad = true;
		return PW_LIT("");
	}
	copy = pw_pool_copy(pool, b);
	if (copy.ptr == NULL) {
		d->bad = true;
		return PW_LIT("");
	}
	return copy;
}

static void
cuts(struct pw_dec *d, struct pw_pool *pool, struct pw_meta *m)
{
	uint64_t end = 0;

	m->ncut = pw_dec_count(d, PW_META_CUTS_MAX, 12);
	m->cut = pw_pool_array(pool, m->ncut > 0 ? m->ncut : 1,
	    sizeof(*m->cut));
	if (m->cut == NULL) {
		d->bad = true;
		m->ncut = 0;
	}
	for (size_t i = 0; i < m->ncut; i++) {
		struct pw_cut *c = &m->cut[i];

		c->offset = pw_dec_u64(d);
		c->len = pw_dec_u32(d);
		if (c->len == 0 || c->offset < end ||
		    c->offset > m->header_len ||
		    c->len > m->header_len - c->offset) {
			d->bad = true;
			return;
		}
		end = c->offset + c->len;
	}
}

struct pw_meta *
pw_meta_dec(struct pw_dec *d, struct pw_pool *pool)
{
	struct pw_meta *m = pw_pool_alloc(pool, sizeof(*m));

	if (m == NULL || pw_dec_u8(d) != META_VERSION) {
		d->bad = true;
		return NULL;
	}
	m->header_len = pw_dec_u64(d);
	m->message_id = text(d, pool, PW_META_TEXT_MAX);
	m->in_reply_to = text(d, pool, PW_META_TEXT_MAX);
	m->references = text(d, pool, PW_META_TEXT_MAX);
	m->from = text(d, pool, PW_META_TEXT_MAX);
	m->to = text(d, pool, PW_META_TEXT_MAX);
	m->cc = text(d, pool, PW_META_TEXT_MAX);
	m->subject = text(d, pool, PW_META_TEXT_MAX);
	m->date = pw_dec_i64(d);
	m->structure = text(d, pool, PW_META_JSON_MAX);
	m->envelope = text(d, pool, PW_META_JSON_MAX);
	m->complex = pw_dec_u8(d) != 0;
	cuts(d, pool, m);
	return d->bad ? NULL : m;
}
