/* SPDX-License-Identifier: ISC */
/*
 * The validators: the only way from struct pw_peer_bytes to struct pw_bytes.
 * Each says what its result may hold, hence where it may be used.  None
 * allocates; the result points into the argument.  Any thread.
 */
#ifndef PW_BASE_VALID_H
#define PW_BASE_VALID_H

#include <netinet/in.h>

#include "base/bytes.h"

/* Well-formed UTF-8 (RFC 3629: no overlongs, surrogates, > U+10FFFF). */
bool pw_is_utf8(struct pw_bytes b);
bool pw_is_ascii(struct pw_bytes b);
/* The length (1..4) of the well-formed character that B begins with, its code
 * point in *CP; 0 when there is none. */
size_t pw_utf8_next(struct pw_bytes b, uint32_t *cp);
/* Control, format or separator (general categories Cc, Cf, Zl, Zp, and Zs but
 * for the space): what could move, hide or split text on an admin's screen. */
bool pw_is_deceptive(uint32_t cp);

/* 1..MAX bytes of 0x20-0x7e: fit for a reply line or a header value.  0, or -1
 * with *out empty. */
int pw_valid_text(struct pw_peer_bytes in, size_t max, struct pw_bytes *out);
/* The same, also allowing well-formed UTF-8 (SMTPUTF8 replies, RFC 6531), but
 * for the controls U+0080..U+009F and the line ends U+2028 and U+2029. */
int pw_valid_utf8_text(struct pw_peer_bytes in, size_t max,
    struct pw_bytes *out);
/* A host name: LDH and underscore labels of 1..63 that neither begin nor end
 * with a hyphen, 253 in all, at least one dot unless DOTLESS, no trailing dot,
 * last label not all digits. */
int pw_valid_hostname(struct pw_peer_bytes in, bool dotless,
    struct pw_bytes *out);

/* An IPv4 or IPv6 address; an IPv4-mapped one is turned into plain IPv4. */
struct pw_ip {
	uint8_t family; /* 4 or 6; 0 is none */
	uint8_t b[16];  /* network order; 4 bytes used for IPv4 */
};
struct pw_net {
	struct pw_ip ip;
	uint8_t bits;
};
#define PW_IP_STRLEN 46
/* 0, or -1 with *out untouched. */
int pw_ip_parse(struct pw_bytes text, struct pw_ip *out);
/* "a.b.c.d", "a.b.c.d/n", "v6", "v6/n"; host bits must be zero.
 * 0, or -1 with *out untouched. */
int pw_net_parse(struct pw_bytes text, struct pw_net *out);
/* "none" for family 0. */
void pw_ip_format(const struct pw_ip *ip, char out[PW_IP_STRLEN]);
/* AF_INET and AF_INET6, else -1; *PORT (may be NULL) in host order. */
int pw_ip_from_sockaddr(const struct sockaddr *sa, struct pw_ip *out,
    uint16_t *port);
bool pw_ip_eq(const struct pw_ip *a, const struct pw_ip *b);
bool pw_ip_in_net(const struct pw_ip *ip, const struct pw_net *net);
bool pw_ip_is_loopback(const struct pw_ip *ip);
/* The network of BITS that IP lies in. */
struct pw_ip pw_ip_mask(const struct pw_ip *ip, unsigned bits);
/* "4.3.2.1.in-addr.arpa" or the nibbles under ip6.arpa. */
#define PW_IP_ARPA_LEN 80
void pw_ip_arpa(const struct pw_ip *ip, char out[PW_IP_ARPA_LEN]);

#endif
