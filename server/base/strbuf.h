/* SPDX-License-Identifier: ISC */
/*
 * An owned, growing byte string with a hard maximum.  Passing the maximum sets
 * a sticky flag and adds nothing more, so that a caller may build a whole text
 * and ask once.
 */
#ifndef PW_BASE_STRBUF_H
#define PW_BASE_STRBUF_H

#include "base/bytes.h"

struct pw_strbuf {
	char *ptr;   /* owned; NUL behind .len whenever not NULL */
	size_t len;
	size_t cap;
	size_t max;
	bool overflow;
};

void pw_strbuf_init(struct pw_strbuf *sb, size_t max);
void pw_strbuf_free(struct pw_strbuf *sb);
/* Length 0 and no overflow; memory kept. */
void pw_strbuf_reset(struct pw_strbuf *sb);
void pw_strbuf_add(struct pw_strbuf *sb, struct pw_bytes b);
void pw_strbuf_adds(struct pw_strbuf *sb, const char *s);
void pw_strbuf_addc(struct pw_strbuf *sb, char c);
void pw_strbuf_addf(struct pw_strbuf *sb, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Room for N more bytes, to be filled and then counted by the caller in .len;
 * NULL (and the flag) when that would pass the maximum. */
char *pw_strbuf_reserve(struct pw_strbuf *sb, size_t n);
/* Takes N bytes off the front. */
void pw_strbuf_consume(struct pw_strbuf *sb, size_t n);
struct pw_bytes pw_strbuf_bytes(const struct pw_strbuf *sb);
/* Never NULL. */
const char *pw_strbuf_cstr(struct pw_strbuf *sb);

#endif
