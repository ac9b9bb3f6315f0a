/* SPDX-License-Identifier: ISC */
/*
 * The wire form of messages between roles and of journal records: little
 * endian integers and length-prefixed bytes.  The reader never trusts: after
 * the first error all reads give zeros and pw_dec_end() says -1.
 */
#ifndef PW_NET_CODEC_H
#define PW_NET_CODEC_H

#include "base/strbuf.h"
#include "base/pool.h"

struct pw_enc {
	struct pw_strbuf sb;
};
void pw_enc_init(struct pw_enc *e, size_t max);
void pw_enc_reset(struct pw_enc *e);
void pw_enc_free(struct pw_enc *e);
void pw_enc_u8(struct pw_enc *e, uint8_t v);
void pw_enc_u16(struct pw_enc *e, uint16_t v);
void pw_enc_u32(struct pw_enc *e, uint32_t v);
void pw_enc_u64(struct pw_enc *e, uint64_t v);
void pw_enc_i64(struct pw_enc *e, int64_t v);
void pw_enc_f64(struct pw_enc *e, double v);
void pw_enc_bytes(struct pw_enc *e, struct pw_bytes b); /* u32 length first */
void pw_enc_str(struct pw_enc *e, const char *s);       /* NULL is "" */
/* A place for a u32 that is known later: returns its offset. */
size_t pw_enc_mark(struct pw_enc *e);
void pw_enc_patch(struct pw_enc *e, size_t mark, uint32_t v);
/* All that was written, or an empty ptr NULL when the maximum was passed. */
struct pw_bytes pw_enc_done(const struct pw_enc *e);

struct pw_dec {
	struct pw_bytes in;
	size_t pos;
	bool bad;
};
void pw_dec_init(struct pw_dec *d, struct pw_bytes in);
uint8_t pw_dec_u8(struct pw_dec *d);
uint16_t pw_dec_u16(struct pw_dec *d);
uint32_t pw_dec_u32(struct pw_dec *d);
uint64_t pw_dec_u64(struct pw_dec *d);
int64_t pw_dec_i64(struct pw_dec *d);
double pw_dec_f64(struct pw_dec *d);
/* Points into the input. */
struct pw_bytes pw_dec_bytes(struct pw_dec *d);
/* A copy in POOL, NUL-terminated; an inner NUL is an error.  Never NULL. */
const char *pw_dec_str(struct pw_dec *d, struct pw_pool *pool);
/* A count of things of at least EACH bytes still to come; more than the rest
 * of the input could hold, or above MAX, is an error. */
uint32_t pw_dec_count(struct pw_dec *d, uint32_t max, size_t each);
/* 0 when all was read and nothing was wrong, else -1. */
int pw_dec_end(const struct pw_dec *d);

#endif
