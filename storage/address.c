/* SPDX-License-Identifier: ISC */
/*
 * Canonical forms of addresses.  ASCII, which is nearly all there is, takes a
 * path without library calls; libidn2 turns U-labels into A-labels and
 * libunistring, which libidn2 brings along, does case and normal form of local
 * parts.  Called in store (accounts, records) and in front (lookups).
 */
#include "storage/address.h"

#include <idn2.h>
#include <stdlib.h>
#include <unicase.h>

#include "base/clock.h"
#include "base/valid.h"

/* Labels, lengths and the last label of a name that is ASCII. */
static bool
is_dns_name(struct pw_bytes b)
{
	size_t label = 0;
	bool digits = true;

	if (b.len == 0 || b.len > 253)
		return false;
	for (size_t i = 0; i < b.len; i++) {
		int c = (unsigned char)b.ptr[i];
		bool last = i + 1 == b.len || b.ptr[i + 1] == '.';
		if (c == '.') {
			if (label == 0)
				return false;
			label = 0;
			digits = true;
			continue;
		}
		if (!pw_is_alpha(c) && !pw_is_digit(c) && c != '_' &&
		    (c != '-' || label == 0 || last))
			return false;
		digits = digits && pw_is_digit(c);
		if (++label > 63)
			return false;
	}
	return label > 0 && !digits;
}

/* U-labels, or a mixture, to A-labels; the length in OUT, or -1. */
static ssize_t
to_a_labels(struct pw_bytes in, char out[PW_ADDR_DOMAIN_SIZE])
{
	uint8_t text[1024];
	uint8_t *a = NULL;

	if (in.len >= sizeof(text) || pw_bytes_chr(in, '\0') >= 0 ||
	    !pw_is_utf8(in))
		return -1;
	memcpy(text, in.ptr, in.len);
	text[in.len] = '\0';
	if (idn2_lookup_u8(text, &a, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) !=
	    IDN2_OK)
		return -1;
	size_t n = strlen((char *)a);
	bool fits = n < PW_ADDR_DOMAIN_SIZE;
	if (fits)
		memcpy(out, a, n + 1);
	idn2_free(a);
	return fits ? (ssize_t)n : -1;
}

static void
lower_ascii(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)pw_lower((unsigned char)p[i]);
}

ssize_t
pw_addr_domain(struct pw_bytes in, char out[PW_ADDR_DOMAIN_SIZE])
{
	ssize_t n = (ssize_t)in.len;

	if (pw_is_ascii(in)) {
		if (in.len == 0 || in.len >= PW_ADDR_DOMAIN_SIZE)
			return -1;
		memcpy(out, in.ptr, in.len);
	} else if ((n = to_a_labels(in, out)) <= 0)
		return -1;
	if (out[n - 1] == '.')
		n--;
	if (!is_dns_name(pw_bytes(out, (size_t)n)))
		return -1;
	lower_ascii(out, (size_t)n);
	out[n] = '\0';
	return n;
}

ssize_t
pw_addr_local(struct pw_bytes in, char out[PW_ADDR_LOCAL_SIZE])
{
	size_t n = PW_ADDR_LOCAL_SIZE - 1;

	if (in.len == 0 || in.len >= PW_ADDR_LOCAL_SIZE)
		return -1;
	if (pw_is_ascii(in)) {
		n = in.len;
		memcpy(out, in.ptr, n);
		lower_ascii(out, n);
	} else {
		if (!pw_is_utf8(in))
			return -1;
		/* Gives back OUT itself unless the result does not fit. */
		uint8_t *r = u8_tolower((const uint8_t *)in.ptr, in.len, NULL,
		    UNINORM_NFC, (uint8_t *)out, &n);
		if (r != (uint8_t *)out) {
			free(r);
			return -1;
		}
	}
	out[n] = '\0';
	return (ssize_t)n;
}

ssize_t
pw_addr_whole(struct pw_bytes in, char out[PW_ADDR_SIZE])
{
	char domain[PW_ADDR_DOMAIN_SIZE];
	ptrdiff_t at = pw_bytes_rchr(in, '@');

	_Static_assert(PW_ADDR_SIZE >= PW_ADDR_LOCAL_SIZE + PW_ADDR_DOMAIN_SIZE,
	    "both parts and the @ fit");
	if (at < 0)
		return -1;
	ssize_t n = pw_addr_local(pw_bytes_sub(in, 0, (size_t)at), out);
	ssize_t d = pw_addr_domain(
	    pw_bytes_sub(in, (size_t)at + 1, in.len), domain);
	if (n < 0 || d < 0)
		return -1;
	out[n] = '@';
	memcpy(out + n + 1, domain, (size_t)d + 1);
	return n + 1 + d;
}

struct pw_bytes
pw_addr_key(struct pw_bytes in, char out[PW_ADDR_SIZE])
{
	ssize_t n = pw_addr_whole(in, out);

	if (n >= 0)
		return pw_bytes(out, (size_t)n);
	in = pw_bytes_sub(in, 0, PW_ADDR_SIZE - 1);
	if (in.len > 0)
		memcpy(out, in.ptr, in.len);
	lower_ascii(out, in.len);
	out[in.len] = '\0';
	return pw_bytes(out, in.len);
}

int64_t
pw_key_hash(const uint8_t key[16], struct pw_bytes text)
{
	return (int64_t)pw_siphash(key, text.ptr, text.len);
}

struct pw_ip
pw_addr_network(const struct pw_ip *ip, uint8_t *bits)
{
	uint8_t keep = ip->family == 4 ? 24 : ip->family == 6 ? 64 : 0;

	if (bits != NULL)
		*bits = keep;
	return pw_ip_mask(ip, keep);
}

int64_t
pw_network_hash(const uint8_t key[16], const struct pw_ip *ip)
{
	struct pw_ip net = pw_addr_network(ip, NULL);
	char text[1 + 8];

	text[0] = (char)net.family;
	memcpy(text + 1, net.b, 8);
	return pw_key_hash(key, pw_bytes(text, sizeof(text)));
}
