/* SPDX-License-Identifier: ISC */
/* Encoding and decoding list entries. */
#include "net/listcode.h"

void
pw_list_enc(struct pw_enc *e, const struct pw_list_entry *v, size_t n)
{
	pw_enc_u32(e, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		pw_enc_i64(e, v[i].id);
		pw_enc_u8(e, v[i].kind);
		pw_enc_u8(e, v[i].what);
		pw_enc_u8(e, v[i].scope);
		pw_enc_u8(e, v[i].action);
		pw_enc_str(e, v[i].pattern);
		pw_enc_str(e, v[i].comment);
	}
}

static uint8_t
dec_upto(struct pw_dec *d, uint8_t max)
{
	uint8_t v = pw_dec_u8(d);

	if (v <= max)
		return v;
	d->bad = true;
	return 0;
}

struct pw_list_entry *
pw_list_dec(struct pw_dec *d, struct pw_pool *pool, size_t *n)
{
	struct pw_list_entry *v;

	/* Two texts have their lengths at least. */
	*n = pw_dec_count(d, PW_LIST_HITS, 20);
	if (*n == 0)
		return NULL;
	v = pw_pool_array(pool, *n, sizeof(*v));
	if (v == NULL) {
		d->bad = true;
		*n = 0;
		return NULL;
	}
	for (size_t i = 0; i < *n && !d->bad; i++) {
		v[i].id = pw_dec_i64(d);
		v[i].kind = dec_upto(d, PW_LIST_BLOCK);
		v[i].what = dec_upto(d, PW_LIST_NETWORK);
		v[i].scope = dec_upto(d, PW_LIST_FOR_ALL);
		v[i].action = dec_upto(d, 6);
		v[i].pattern = pw_dec_str(d, pool);
		v[i].comment = pw_dec_str(d, pool);
	}
	return v;
}
