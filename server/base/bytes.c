/* SPDX-License-Identifier: ISC */
/*
 * Borrowed byte strings: searching, comparing, cutting and the one reader of
 * decimal numbers.  Pure functions, used everywhere in every role.
 */
#include "base/bytes.h"

static bool
caseeq(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (pw_lower((unsigned char)a[i]) !=
		    pw_lower((unsigned char)b[i]))
			return false;
	return true;
}

bool
pw_bytes_caseeq(struct pw_bytes a, struct pw_bytes b)
{
	return a.len == b.len && caseeq(a.ptr, b.ptr, a.len);
}

bool
pw_bytes_has_prefix_ci(struct pw_bytes b, struct pw_bytes prefix)
{
	return b.len >= prefix.len && caseeq(b.ptr, prefix.ptr, prefix.len);
}

ptrdiff_t
pw_bytes_chr(struct pw_bytes b, int c)
{
	if (b.len == 0)
		return -1;
	const char *p = memchr(b.ptr, c, b.len);
	return p != NULL ? p - b.ptr : -1;
}

ptrdiff_t
pw_bytes_rchr(struct pw_bytes b, int c)
{
	if (b.len == 0)
		return -1;
	const char *p = memrchr(b.ptr, c, b.len);
	return p != NULL ? p - b.ptr : -1;
}

struct pw_bytes
pw_bytes_sub(struct pw_bytes b, size_t from, size_t n)
{
	if (from >= b.len)
		from = b.len;
	if (n > b.len - from)
		n = b.len - from;
	/* NULL + 0 is undefined in C. */
	return pw_bytes(from > 0 ? b.ptr + from : b.ptr, n);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct pw_bytes
pw_bytes_trim(struct pw_bytes b)
{
	size_t from = 0;

	while (from < b.len && is_blank(b.ptr[from]))
		from++;
	while (b.len > from && is_blank(b.ptr[b.len - 1]))
		b.len--;
	return pw_bytes_sub(b, from, b.len - from);
}

int
pw_bytes_cmp(struct pw_bytes a, struct pw_bytes b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int r = n > 0 ? memcmp(a.ptr, b.ptr, n) : 0;

	if (r != 0)
		return r;
	return a.len < b.len ? -1 : a.len > b.len;
}

int
pw_bytes_u64(struct pw_bytes b, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (b.len == 0)
		return -1;
	for (size_t i = 0; i < b.len; i++) {
		if (!pw_is_digit(b.ptr[i]))
			return -1;
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(b.ptr[i] - '0'), &v))
			return -1;
	}
	if (v > max)
		return -1;
	*out = v;
	return 0;
}
