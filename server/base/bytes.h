/* SPDX-License-Identifier: ISC */
/*
 * Borrowed byte strings and checked sizes.
 *
 * A struct pw_bytes points into memory that somebody else owns; it is not
 * terminated and may hold NUL.  A struct pw_peer_bytes is the same, but came
 * from outside (a peer, a message, DNS) and has not been validated: only the
 * functions in valid.h turn it into a struct pw_bytes, and only the log, which
 * escapes what it prints, takes it as it is.
 */
#ifndef PW_BASE_BYTES_H
#define PW_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct pw_bytes {
	const char *ptr;
	size_t len;
};

struct pw_peer_bytes {
	struct pw_bytes raw;
};

#define PW_BYTES_NONE ((struct pw_bytes){ NULL, 0 })
/* A literal as bytes, without its NUL. */
#define PW_LIT(s) ((struct pw_bytes){ "" s, sizeof(s) - 1 })
#define PW_COUNT(a) (sizeof(a) / sizeof((a)[0]))

static inline struct pw_bytes
pw_bytes(const void *p, size_t n)
{
	return (struct pw_bytes){ (const char *)p, n };
}

/* The bytes of a C string; NULL gives the empty string. */
static inline struct pw_bytes
pw_bytes_of(const char *s)
{
	return (struct pw_bytes){ s, s != NULL ? strlen(s) : 0 };
}

static inline struct pw_peer_bytes
pw_peer(struct pw_bytes b)
{
	return (struct pw_peer_bytes){ b };
}

static inline bool
pw_bytes_eq(struct pw_bytes a, struct pw_bytes b)
{
	return a.len == b.len &&
	    (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII only, whatever the locale says. */
static inline int
pw_lower(int c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

static inline bool
pw_is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static inline bool
pw_is_alpha(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Equal but for ASCII case. */
bool pw_bytes_caseeq(struct pw_bytes a, struct pw_bytes b);
/* Begins with PREFIX, but for ASCII case. */
bool pw_bytes_has_prefix_ci(struct pw_bytes b, struct pw_bytes prefix);
/* Index of C in B, or -1; the last one with _r. */
ptrdiff_t pw_bytes_chr(struct pw_bytes b, int c);
ptrdiff_t pw_bytes_rchr(struct pw_bytes b, int c);
/* The part from FROM (clamped) of at most N bytes. */
struct pw_bytes pw_bytes_sub(struct pw_bytes b, size_t from, size_t n);
/* Without leading and trailing space, tab, CR and LF. */
struct pw_bytes pw_bytes_trim(struct pw_bytes b);
/* Order by content, shorter first when one begins the other. */
int pw_bytes_cmp(struct pw_bytes a, struct pw_bytes b);
/* Decimal digits only, whole string, no sign; -1 when not or above MAX. */
int pw_bytes_u64(struct pw_bytes b, uint64_t max, uint64_t *out);

/* Checked arithmetic: false on overflow, *r then unspecified. */
static inline bool
pw_add(size_t a, size_t b, size_t *r)
{
	return !__builtin_add_overflow(a, b, r);
}

static inline bool
pw_mul(size_t a, size_t b, size_t *r)
{
	return !__builtin_mul_overflow(a, b, r);
}

#endif
