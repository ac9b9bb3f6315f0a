/* SPDX-License-Identifier: ISC */
/*
 * The validators, which alone turn bytes of a peer into bytes that may be
 * used, and addresses with their networks.  Pure functions, any thread of any
 * role.
 */
#include "base/valid.h"

#include <arpa/inet.h>
#include <stdio.h>

/* ---- characters --------------------------------------------------------- */

#define HIGH_BITS UINT64_C(0x8080808080808080)

/* How many bytes from the begin of P are ASCII for sure, in steps of eight. */
static size_t
ascii_run(const unsigned char *p, size_t n)
{
	size_t i = 0;
	uint64_t w;

	for (; i + sizeof(w) <= n; i += sizeof(w)) {
		memcpy(&w, p + i, sizeof(w));
		if ((w & HIGH_BITS) != 0)
			break;
	}
	return i;
}

bool
pw_is_ascii(struct pw_bytes b)
{
	const unsigned char *p = (const unsigned char *)b.ptr;

	for (size_t i = ascii_run(p, b.len); i < b.len; i++)
		if (p[i] >= 0x80)
			return false;
	return true;
}

/* RFC 3629 section 4: the second byte's range excludes overlong forms,
 * surrogates and what lies above U+10FFFF. */
static inline size_t
utf8_len(const unsigned char *p, size_t n)
{
	unsigned lo = 0x80, hi = 0xbf;
	size_t len;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	if (p[0] < 0xe0) {
		len = 2;
	} else if (p[0] < 0xf0) {
		len = 3;
		if (p[0] == 0xe0)
			lo = 0xa0;
		else if (p[0] == 0xed)
			hi = 0x9f;
	} else {
		len = 4;
		if (p[0] == 0xf0)
			lo = 0x90;
		else if (p[0] == 0xf4)
			hi = 0x8f;
	}
	if (len > n || p[1] < lo || p[1] > hi)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

bool
pw_is_utf8(struct pw_bytes b)
{
	const unsigned char *p = (const unsigned char *)b.ptr;
	size_t i = 0;

	while (i < b.len) {
		if (p[i] < 0x80) {
			size_t run = ascii_run(p + i, b.len - i);
			i += run > 0 ? run : 1;
			continue;
		}
		size_t len = utf8_len(p + i, b.len - i);
		if (len == 0)
			return false;
		i += len;
	}
	return true;
}

size_t
pw_utf8_next(struct pw_bytes b, uint32_t *cp)
{
	static const unsigned char first_mask[5] = { 0, 0x7f, 0x1f, 0x0f,
		0x07 };
	const unsigned char *p = (const unsigned char *)b.ptr;
	size_t len = b.len > 0 ? utf8_len(p, b.len) : 0;

	if (len == 0)
		return 0;
	uint32_t v = p[0] & first_mask[len];
	for (size_t i = 1; i < len; i++)
		v = v << 6 | (p[i] & 0x3fu);
	*cp = v;
	return len;
}

bool
pw_is_deceptive(uint32_t cp)
{
	/* Unicode 15.0, ascending. */
	static const struct {
		uint32_t from, to;
	} range[] = { { 0x0, 0x1f }, { 0x7f, 0xa0 }, { 0xad, 0xad },
		{ 0x600, 0x605 }, { 0x61c, 0x61c }, { 0x6dd, 0x6dd },
		{ 0x70f, 0x70f }, { 0x890, 0x891 }, { 0x8e2, 0x8e2 },
		{ 0x1680, 0x1680 }, { 0x180e, 0x180e }, { 0x2000, 0x200f },
		{ 0x2028, 0x202f }, { 0x205f, 0x206f }, { 0x3000, 0x3000 },
		{ 0xfeff, 0xfeff }, { 0xfff9, 0xfffb }, { 0x110bd, 0x110bd },
		{ 0x110cd, 0x110cd }, { 0x13430, 0x1343f },
		{ 0x1bca0, 0x1bca3 }, { 0x1d173, 0x1d17a },
		{ 0xe0001, 0xe0001 }, { 0xe0020, 0xe007f } };
	size_t i = 0;

	while (i < PW_COUNT(range) && range[i].to < cp)
		i++;
	return i < PW_COUNT(range) && cp >= range[i].from;
}

/* ---- text --------------------------------------------------------------- */

int
pw_valid_text(struct pw_peer_bytes in, size_t max, struct pw_bytes *out)
{
	struct pw_bytes b = in.raw;

	*out = PW_BYTES_NONE;
	if (b.len == 0 || b.len > max)
		return -1;
	for (size_t i = 0; i < b.len; i++)
		if (b.ptr[i] < 0x20 || b.ptr[i] > 0x7e)
			return -1;
	*out = b;
	return 0;
}

int
pw_valid_utf8_text(struct pw_peer_bytes in, size_t max, struct pw_bytes *out)
{
	struct pw_bytes b = in.raw;
	uint32_t cp;

	*out = PW_BYTES_NONE;
	if (b.len == 0 || b.len > max)
		return -1;
	for (size_t i = 0, len; i < b.len; i += len) {
		len = pw_utf8_next(pw_bytes(b.ptr + i, b.len - i), &cp);
		if (len == 0 || cp < 0x20 || (cp >= 0x7f && cp <= 0x9f) ||
		    cp == 0x2028 || cp == 0x2029)
			return -1;
	}
	*out = b;
	return 0;
}

/* One label; *DIGITS says whether it is nothing but digits. */
static bool
valid_label(struct pw_bytes label, bool *digits)
{
	*digits = true;
	if (label.len < 1 || label.len > 63 || label.ptr[0] == '-' ||
	    label.ptr[label.len - 1] == '-')
		return false;
	for (size_t i = 0; i < label.len; i++) {
		char c = label.ptr[i];
		if (pw_is_digit(c))
			continue;
		if (!pw_is_alpha(c) && c != '-' && c != '_')
			return false;
		*digits = false;
	}
	return true;
}

int
pw_valid_hostname(struct pw_peer_bytes in, bool dotless, struct pw_bytes *out)
{
	struct pw_bytes rest = in.raw;
	bool digits;

	*out = PW_BYTES_NONE;
	if (rest.len > 253)
		return -1;
	for (bool dotted = dotless;; dotted = true) {
		ptrdiff_t dot = pw_bytes_chr(rest, '.');
		size_t len = dot < 0 ? rest.len : (size_t)dot;
		if (!valid_label(pw_bytes_sub(rest, 0, len), &digits))
			return -1;
		if (dot < 0) {
			if (!dotted || digits)
				return -1;
			break;
		}
		rest = pw_bytes_sub(rest, len + 1, SIZE_MAX);
	}
	*out = in.raw;
	return 0;
}

/* ---- addresses ---------------------------------------------------------- */

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff,
	0xff };

static void
ip_set4(struct pw_ip *ip, const void *four)
{
	*ip = (struct pw_ip){ .family = 4 };
	memcpy(ip->b, four, 4);
}

static void
ip_set6(struct pw_ip *ip, const uint8_t sixteen[16])
{
	if (memcmp(sixteen, mapped_prefix, sizeof(mapped_prefix)) == 0) {
		ip_set4(ip, sixteen + sizeof(mapped_prefix));
		return;
	}
	ip->family = 6;
	memcpy(ip->b, sixteen, 16);
}

static unsigned
ip_width(const struct pw_ip *ip)
{
	return ip->family == 4 ? 32 : ip->family == 6 ? 128 : 0;
}

int
pw_ip_parse(struct pw_bytes text, struct pw_ip *out)
{
	char s[PW_IP_STRLEN];
	uint8_t b[16];

	if (text.len == 0 || text.len >= sizeof(s) ||
	    pw_bytes_chr(text, '\0') >= 0)
		return -1;
	memcpy(s, text.ptr, text.len);
	s[text.len] = '\0';
	if (inet_pton(AF_INET, s, b) == 1)
		ip_set4(out, b);
	else if (inet_pton(AF_INET6, s, b) == 1)
		ip_set6(out, b);
	else
		return -1;
	return 0;
}

int
pw_net_parse(struct pw_bytes text, struct pw_net *out)
{
	ptrdiff_t slash = pw_bytes_chr(text, '/');
	size_t len = slash < 0 ? text.len : (size_t)slash;
	struct pw_net net;
	uint64_t bits;

	if (pw_ip_parse(pw_bytes_sub(text, 0, len), &net.ip) < 0)
		return -1;
	bits = ip_width(&net.ip);
	if (slash >= 0) {
		struct pw_bytes n = pw_bytes_sub(text, len + 1, SIZE_MAX);
		/* A mapped address is written with IPv6's lengths. */
		bool mapped = net.ip.family == 4 &&
		    pw_bytes_chr(text, ':') >= 0;
		if (n.len > 3 || (n.len > 1 && n.ptr[0] == '0') ||
		    pw_bytes_u64(n, mapped ? 128 : bits, &bits) < 0)
			return -1;
		if (mapped && bits < 96)
			return -1;
		if (mapped)
			bits -= 96;
	}
	net.bits = (uint8_t)bits;
	struct pw_ip masked = pw_ip_mask(&net.ip, net.bits);
	if (!pw_ip_eq(&masked, &net.ip))
		return -1;
	*out = net;
	return 0;
}

void
pw_ip_format(const struct pw_ip *ip, char out[PW_IP_STRLEN])
{
	int af = ip->family == 4 ? AF_INET : AF_INET6;

	if (ip_width(ip) == 0 ||
	    inet_ntop(af, ip->b, out, PW_IP_STRLEN) == NULL)
		memcpy(out, "none", sizeof("none"));
}

int
pw_ip_from_sockaddr(const struct sockaddr *sa, struct pw_ip *out,
    uint16_t *port)
{
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
	uint16_t p;

	/* Copied, since SA need not be aligned for what it holds. */
	if (sa->sa_family == AF_INET) {
		memcpy(&in4, sa, sizeof(in4));
		ip_set4(out, &in4.sin_addr);
		p = in4.sin_port;
	} else if (sa->sa_family == AF_INET6) {
		memcpy(&in6, sa, sizeof(in6));
		ip_set6(out, in6.sin6_addr.s6_addr);
		p = in6.sin6_port;
	} else {
		return -1;
	}
	if (port != NULL)
		*port = ntohs(p);
	return 0;
}

bool
pw_ip_eq(const struct pw_ip *a, const struct pw_ip *b)
{
	return a->family == b->family &&
	    memcmp(a->b, b->b, ip_width(a) / 8) == 0;
}

struct pw_ip
pw_ip_mask(const struct pw_ip *ip, unsigned bits)
{
	struct pw_ip r = { .family = ip->family };
	unsigned width = ip_width(ip);

	if (bits > width)
		bits = width;
	memcpy(r.b, ip->b, (bits + 7) / 8);
	if (bits % 8 != 0)
		r.b[bits / 8] &= (uint8_t)(0xff << (8 - bits % 8));
	return r;
}

bool
pw_ip_in_net(const struct pw_ip *ip, const struct pw_net *net)
{
	if (ip->family != net->ip.family || ip_width(ip) == 0)
		return false;
	struct pw_ip masked = pw_ip_mask(ip, net->bits);
	return pw_ip_eq(&masked, &net->ip);
}

bool
pw_ip_is_loopback(const struct pw_ip *ip)
{
	static const uint8_t one[16] = { [15] = 1 };

	if (ip->family == 4)
		return ip->b[0] == 127;
	return ip->family == 6 && memcmp(ip->b, one, 16) == 0;
}

void
pw_ip_arpa(const struct pw_ip *ip, char out[PW_IP_ARPA_LEN])
{
	static const char hex[] = "0123456789abcdef";
	char *p = out;

	if (ip->family == 4) {
		(void)snprintf(out, PW_IP_ARPA_LEN, "%u.%u.%u.%u.in-addr.arpa",
		    ip->b[3], ip->b[2], ip->b[1], ip->b[0]);
		return;
	}
	for (int i = 15; i >= 0; i--) {
		*p++ = hex[ip->b[i] & 0xf];
		*p++ = '.';
		*p++ = hex[ip->b[i] >> 4];
		*p++ = '.';
	}
	memcpy(p, "ip6.arpa", sizeof("ip6.arpa"));
}
