/* SPDX-License-Identifier: ISC */
/*
 * PROXY protocol headers (HAProxy's proxy-protocol.txt, revision 2020-03-05).
 * Called by front for each connection of a listener that wants one.
 */
#include "net/proxy.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define V1_MAX 107 /* with CRLF, section 2.1 */
#define V2_FIXED 16

static const char v1_begin[] = "PROXY ";
static const char v2_begin[] = "\r\n\r\n\0\r\nQUIT\n";
#define V1_BEGIN (sizeof(v1_begin) - 1)
#define V2_BEGIN (sizeof(v2_begin) - 1)

/* Whether IN agrees with TEXT as far as both go. */
static bool
begins(struct pw_bytes in, const char *text, size_t n)
{
	return memcmp(in.ptr, text, in.len < n ? in.len : n) == 0;
}

/* ---- version 1: a line -------------------------------------------------- */

/* The next word of *REST; words are parted by exactly one space. */
static struct pw_bytes
word(struct pw_bytes *rest)
{
	ptrdiff_t space = pw_bytes_chr(*rest, ' ');
	size_t n = space < 0 ? rest->len : (size_t)space;
	struct pw_bytes w = pw_bytes_sub(*rest, 0, n);

	*rest = pw_bytes_sub(*rest, space < 0 ? n : n + 1, SIZE_MAX);
	return w;
}

static int
v1_port(struct pw_bytes w, uint16_t *port)
{
	uint64_t v;

	if (w.len > 5 || (w.len > 1 && w.ptr[0] == '0') ||
	    pw_bytes_u64(w, 65535, &v) < 0)
		return -1;
	*port = (uint16_t)v;
	return 0;
}

/* An address in the form of the family that the line names. */
static int
v1_ip(struct pw_bytes w, bool six, struct pw_ip *ip)
{
	if ((pw_bytes_chr(w, ':') >= 0) != six)
		return -1;
	return pw_ip_parse(w, ip);
}

static enum pw_proxy_rc
v1_line(struct pw_bytes line, struct pw_proxy *out)
{
	struct pw_bytes rest = line;
	struct pw_bytes proto = word(&rest);
	bool six = pw_bytes_eq(proto, PW_LIT("TCP6"));

	/* What follows is to be ignored. */
	if (pw_bytes_eq(proto, PW_LIT("UNKNOWN")))
		return PW_PROXY_LOCAL;
	if (!six && !pw_bytes_eq(proto, PW_LIT("TCP4")))
		return PW_PROXY_BAD;
	/* The count of spaces also refuses a trailing one. */
	size_t spaces = 0;
	for (size_t i = 0; i < line.len; i++)
		spaces += line.ptr[i] == ' ';
	if (spaces != 4 || v1_ip(word(&rest), six, &out->src) < 0 ||
	    v1_ip(word(&rest), six, &out->dst) < 0 ||
	    v1_port(word(&rest), &out->src_port) < 0 ||
	    v1_port(rest, &out->dst_port) < 0)
		return PW_PROXY_BAD;
	return PW_PROXY_ADDRESS;
}

static enum pw_proxy_rc
v1(struct pw_bytes in, struct pw_proxy *out)
{
	struct pw_bytes head = pw_bytes_sub(in, 0, V1_MAX);
	ptrdiff_t lf = pw_bytes_chr(head, '\n');
	ptrdiff_t cr = pw_bytes_chr(head, '\r');

	/* The first CR must be the one before the first LF. */
	if (lf < 0) {
		bool cr_last = cr < 0 || (size_t)cr + 1 == head.len;
		return head.len < V1_MAX && cr_last ? PW_PROXY_MORE :
						      PW_PROXY_BAD;
	}
	if (cr < 0 || cr != lf - 1)
		return PW_PROXY_BAD;
	out->used = (size_t)lf + 1;
	return v1_line(pw_bytes_sub(head, V1_BEGIN, (size_t)cr - V1_BEGIN),
	    out);
}

/* ---- version 2: binary -------------------------------------------------- */

static uint16_t
be16(const char *p)
{
	return (uint16_t)((unsigned char)p[0] << 8 | (unsigned char)p[1]);
}

/* Two addresses of SIZE bytes and two ports, through the form that turns mapped
 * addresses into plain ones. */
static void
v2_addresses(const char *p, size_t size, struct pw_proxy *out)
{
	struct pw_ip *to[2] = { &out->src, &out->dst };

	for (int i = 0; i < 2; i++, p += size) {
		struct sockaddr_in in4 = { .sin_family = AF_INET };
		struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
		const void *sa = size == 4 ? (void *)&in4 : (void *)&in6;
		memcpy(size == 4 ? (void *)&in4.sin_addr :
				   (void *)&in6.sin6_addr,
		    p, size);
		(void)pw_ip_from_sockaddr(sa, to[i], NULL);
	}
	out->src_port = be16(p);
	out->dst_port = be16(p + 2);
}

static enum pw_proxy_rc
v2(struct pw_bytes in, struct pw_proxy *out)
{
	if (in.len > 12 && (in.ptr[12] & 0xf0) != 0x20)
		return PW_PROXY_BAD;
	if (in.len < V2_FIXED)
		return PW_PROXY_MORE;
	unsigned command = in.ptr[12] & 0x0f;
	unsigned family = (unsigned char)in.ptr[13];
	size_t len = be16(in.ptr + 14);
	if (command > 1 || V2_FIXED + len > PW_PROXY_MAX)
		return PW_PROXY_BAD;
	/* Also when not yet whole: too short for what it promises. */
	size_t size = family == 0x11 ? 4 : family == 0x21 ? 16 : 0;
	if (command == 1 && size > 0 && len < 2 * size + 4)
		return PW_PROXY_BAD;
	if (in.len < V2_FIXED + len)
		return PW_PROXY_MORE;
	out->used = V2_FIXED + len;
	if (command == 0 || size == 0)
		return PW_PROXY_LOCAL;
	v2_addresses(in.ptr + V2_FIXED, size, out);
	return PW_PROXY_ADDRESS;
}

enum pw_proxy_rc
pw_proxy_parse(struct pw_bytes in, struct pw_proxy *out)
{
	*out = (struct pw_proxy){ 0 };
	if (in.len == 0)
		return PW_PROXY_MORE;
	if (begins(in, v1_begin, V1_BEGIN))
		return in.len < V1_BEGIN ? PW_PROXY_MORE : v1(in, out);
	if (begins(in, v2_begin, V2_BEGIN))
		return in.len < V2_BEGIN ? PW_PROXY_MORE : v2(in, out);
	return PW_PROXY_BAD;
}
