/* SPDX-License-Identifier: ISC */
/*
 * The wire form of frames and journal records.  Writing goes into a bounded
 * string; reading never looks beyond its input and never believes a length.
 * Any thread of any role.
 */
#include "net/codec.h"

/* ---- writing ------------------------------------------------------------ */

void
pw_enc_init(struct pw_enc *e, size_t max)
{
	pw_strbuf_init(&e->sb, max);
}

void
pw_enc_reset(struct pw_enc *e)
{
	pw_strbuf_reset(&e->sb);
}

void
pw_enc_free(struct pw_enc *e)
{
	pw_strbuf_free(&e->sb);
}

static inline void
put_le(char *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)(v >> (8 * i) & 0xff);
}

static inline void
enc_le(struct pw_enc *e, uint64_t v, size_t n)
{
	char *p = pw_strbuf_reserve(&e->sb, n);

	if (p == NULL)
		return;
	put_le(p, v, n);
	e->sb.len += n;
	e->sb.ptr[e->sb.len] = '\0';
}

void
pw_enc_u8(struct pw_enc *e, uint8_t v)
{
	enc_le(e, v, 1);
}

void
pw_enc_u16(struct pw_enc *e, uint16_t v)
{
	enc_le(e, v, 2);
}

void
pw_enc_u32(struct pw_enc *e, uint32_t v)
{
	enc_le(e, v, 4);
}

void
pw_enc_u64(struct pw_enc *e, uint64_t v)
{
	enc_le(e, v, 8);
}

void
pw_enc_i64(struct pw_enc *e, int64_t v)
{
	enc_le(e, (uint64_t)v, 8);
}

void
pw_enc_f64(struct pw_enc *e, double v)
{
	uint64_t u;

	_Static_assert(sizeof(u) == sizeof(v), "IEEE 754 doubles expected");
	memcpy(&u, &v, sizeof(u));
	enc_le(e, u, 8);
}

void
pw_enc_bytes(struct pw_enc *e, struct pw_bytes b)
{
	if (b.len > UINT32_MAX) {
		e->sb.overflow = true;
		return;
	}
	enc_le(e, b.len, 4);
	pw_strbuf_add(&e->sb, b);
}

void
pw_enc_str(struct pw_enc *e, const char *s)
{
	pw_enc_bytes(e, pw_bytes_of(s));
}

size_t
pw_enc_mark(struct pw_enc *e)
{
	size_t at = e->sb.len;

	enc_le(e, 0, 4);
	return at;
}

void
pw_enc_patch(struct pw_enc *e, size_t mark, uint32_t v)
{
	/* After an overflow the place may not exist. */
	if (!e->sb.overflow)
		put_le(e->sb.ptr + mark, v, 4);
}

struct pw_bytes
pw_enc_done(const struct pw_enc *e)
{
	if (e->sb.overflow)
		return PW_BYTES_NONE;
	/* Nothing written is not the same as too much written. */
	return e->sb.ptr != NULL ? pw_strbuf_bytes(&e->sb) : pw_bytes("", 0);
}

/* ---- reading ------------------------------------------------------------ */

void
pw_dec_init(struct pw_dec *d, struct pw_bytes in)
{
	*d = (struct pw_dec){ .in = in };
}

/* The next N bytes, or NULL and the flag. */
static const char *
take(struct pw_dec *d, size_t n)
{
	if (d->bad || n > d->in.len - d->pos) {
		d->bad = true;
		return NULL;
	}
	const char *p = n > 0 ? d->in.ptr + d->pos : "";
	d->pos += n;
	return p;
}

static inline uint64_t
dec_le(struct pw_dec *d, size_t n)
{
	const char *p = take(d, n);
	uint64_t v = 0;

	if (p == NULL)
		return 0;
	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)(unsigned char)p[i] << (8 * i);
	return v;
}

uint8_t
pw_dec_u8(struct pw_dec *d)
{
	return (uint8_t)dec_le(d, 1);
}

uint16_t
pw_dec_u16(struct pw_dec *d)
{
	return (uint16_t)dec_le(d, 2);
}

uint32_t
pw_dec_u32(struct pw_dec *d)
{
	return (uint32_t)dec_le(d, 4);
}

uint64_t
pw_dec_u64(struct pw_dec *d)
{
	return dec_le(d, 8);
}

int64_t
pw_dec_i64(struct pw_dec *d)
{
	return (int64_t)dec_le(d, 8);
}

double
pw_dec_f64(struct pw_dec *d)
{
	uint64_t u = dec_le(d, 8);
	double v;

	memcpy(&v, &u, sizeof(v));
	return v;
}

struct pw_bytes
pw_dec_bytes(struct pw_dec *d)
{
	size_t n = pw_dec_u32(d);
	const char *p = take(d, n);

	return p != NULL ? pw_bytes(p, n) : PW_BYTES_NONE;
}

const char *
pw_dec_str(struct pw_dec *d, struct pw_pool *pool)
{
	struct pw_bytes b = pw_dec_bytes(d);
	char *s;

	if (b.len == 0)
		return "";
	s = pw_pool_cstr(pool, b);
	if (s == NULL) {
		d->bad = true;
		return "";
	}
	return s;
}

uint32_t
pw_dec_count(struct pw_dec *d, uint32_t max, size_t each)
{
	uint32_t n = pw_dec_u32(d);
	size_t need;

	if (n <= max && pw_mul(n, each, &need) && need <= d->in.len - d->pos)
		return n;
	d->bad = true;
	return 0;
}

int
pw_dec_end(const struct pw_dec *d)
{
	return !d->bad && d->pos == d->in.len ? 0 : -1;
}
