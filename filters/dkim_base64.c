/* SPDX-License-Identifier: ISC */
/*
 * Base64 as signatures and keys have it: with folds anywhere, padded, and
 * nothing else (RFC 6376 section 2.10).
 */
#include "filters/dkim_sig.h"

static bool
is_fold(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Base64 with folds: the number of its characters without them, or 0. */
size_t
pw_dkim_base64_len(struct pw_bytes b)
{
	size_t n = 0, pad = 0;

	for (size_t i = 0; i < b.len; i++) {
		char c = b.ptr[i];

		if (is_fold(c))
			continue;
		if (c == '=')
			pad++;
		else if (pad > 0 || (!pw_is_alpha(c) && !pw_is_digit(c) &&
		    c != '+' && c != '/'))
			return 0;
		n++;
	}
	return pad <= 2 ? n : 0;
}

size_t
pw_dkim_base64(struct pw_bytes b, unsigned char *out, size_t max)
{
	size_t n = pw_dkim_base64_len(b), used = 0, o = 0;
	uint32_t acc = 0;

	/* Four characters are three octets. */
	if (n == 0 || n % 4 != 0)
		return 0;
	for (size_t i = 0; i < b.len && b.ptr[i] != '='; i++) {
		char c = b.ptr[i];
		uint32_t v = c >= 'A' && c <= 'Z' ? (uint32_t)(c - 'A') :
		    c >= 'a' && c <= 'z' ? (uint32_t)(c - 'a') + 26 :
		    pw_is_digit(c) ? (uint32_t)(c - '0') + 52 :
		    c == '+' ? 62 : 63;

		if (is_fold(c))
			continue;
		acc = acc << 6 | v;
		if (++used % 4 == 1)
			continue;
		if (o == max)
			return 0;
		out[o++] = (unsigned char)(acc >> (6 - 2 * ((used - 1) % 4)));
	}
	return o;
}
