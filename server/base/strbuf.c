/* SPDX-License-Identifier: ISC */
/*
 * The owned, growing byte string with its hard maximum.  Any role; a string
 * belongs to one thread.
 */
#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/pool.h"

#define CAP_FIRST ((size_t)64)

void
pw_strbuf_init(struct pw_strbuf *sb, size_t max)
{
	*sb = (struct pw_strbuf){ .max = max };
}

void
pw_strbuf_free(struct pw_strbuf *sb)
{
	free(sb->ptr);
	*sb = (struct pw_strbuf){ .max = sb->max };
}

void
pw_strbuf_reset(struct pw_strbuf *sb)
{
	sb->len = 0;
	sb->overflow = false;
	if (sb->ptr != NULL)
		sb->ptr[0] = '\0';
}

char *
pw_strbuf_reserve(struct pw_strbuf *sb, size_t n)
{
	size_t need;

	if (sb->overflow || !pw_add(sb->len, n, &need) || need > sb->max ||
	    need == SIZE_MAX) {
		sb->overflow = true;
		return NULL;
	}
	if (need >= sb->cap) {
		size_t cap = sb->cap > 0 ? sb->cap : CAP_FIRST;
		while (cap <= need)
			if (!pw_mul(cap, 2, &cap))
				cap = need + 1;
		/* One byte beyond the maximum for the NUL. */
		if (cap - 1 > sb->max)
			cap = sb->max + 1;
		sb->ptr = pw_xrealloc(sb->ptr, cap, 1);
		sb->cap = cap;
		sb->ptr[sb->len] = '\0';
	}
	return sb->ptr + sb->len;
}

void
pw_strbuf_add(struct pw_strbuf *sb, struct pw_bytes b)
{
	char *p = pw_strbuf_reserve(sb, b.len);

	if (p == NULL)
		return;
	if (b.len > 0)
		memcpy(p, b.ptr, b.len);
	p[b.len] = '\0';
	sb->len += b.len;
}

void
pw_strbuf_adds(struct pw_strbuf *sb, const char *s)
{
	pw_strbuf_add(sb, pw_bytes_of(s));
}

void
pw_strbuf_addc(struct pw_strbuf *sb, char c)
{
	pw_strbuf_add(sb, pw_bytes(&c, 1));
}

void
pw_strbuf_addf(struct pw_strbuf *sb, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);

	char *p = NULL;
	if (n < 0)
		sb->overflow = true;
	else
		p = pw_strbuf_reserve(sb, (size_t)n);
	if (p != NULL) {
		(void)vsnprintf(p, (size_t)n + 1, fmt, again);
		sb->len += (size_t)n;
	}
	va_end(again);
}

void
pw_strbuf_consume(struct pw_strbuf *sb, size_t n)
{
	if (n >= sb->len)
		n = sb->len;
	if (n == 0)
		return;
	sb->len -= n;
	memmove(sb->ptr, sb->ptr + n, sb->len + 1);
}

struct pw_bytes
pw_strbuf_bytes(const struct pw_strbuf *sb)
{
	return pw_bytes(sb->ptr, sb->len);
}

const char *
pw_strbuf_cstr(struct pw_strbuf *sb)
{
	if (sb->ptr == NULL)
		return "";
	/* A caller that filled reserved room may not have ended it. */
	sb->ptr[sb->len] = '\0';
	return sb->ptr;
}
