/* SPDX-License-Identifier: ISC */
/*
 * The grammar of SMTP paths.  One cursor runs over the input once; each
 * function consumes what its production matches or says what is wrong.
 */
#include "smtp/address.h"

#include <idn2.h>
#include <stdlib.h>
#include <stdio.h>

struct cursor {
	struct pw_bytes in;
	size_t pos;
	struct pw_pool *pool;
};

static int
peek(const struct cursor *c)
{
	return c->pos < c->in.len ? (unsigned char)c->in.ptr[c->pos] : -1;
}

static bool
eat(struct cursor *c, int want)
{
	if (peek(c) != want)
		return false;
	c->pos++;
	return true;
}

/* RFC 5322 atext, in the ASCII range. */
static bool
is_atext(int ch)
{
	static const char extra[] = "!#$%&'*+-/=?^_`{|}~";

	return pw_is_alpha(ch) || pw_is_digit(ch) ||
	    (ch > 0 && ch < 128 && memchr(extra, ch, sizeof(extra) - 1));
}

/* Length of the well-formed non-ASCII character at the cursor; 0 when there is
 * none, or one that must not stand in a line of text. */
static size_t
utf8_char(const struct cursor *c)
{
	uint32_t cp;
	size_t n = pw_utf8_next(
	    pw_bytes_sub(c->in, c->pos, c->in.len), &cp);

	if (n < 2 || (cp >= 0x80 && cp <= 0x9f) || cp == 0x2028 ||
	    cp == 0x2029)
		return 0;
	return n;
}

/* Dot-string: atoms of atext and UTF-8, set apart by single dots. */
static enum pw_addr_fault
dot_string(struct cursor *c, struct pw_path *out)
{
	size_t start = c->pos;
	bool atom = false;

	for (;;) {
		int ch = peek(c);

		if (ch == '.' && atom) {
			atom = false;
			c->pos++;
		} else if (is_atext(ch)) {
			atom = true;
			c->pos++;
		} else if (ch >= 0x80) {
			size_t n = utf8_char(c);

			if (n == 0)
				return PW_ADDR_UTF8;
			out->utf8 = atom = true;
			c->pos += n;
		} else {
			break;
		}
	}
	if (!atom)
		return PW_ADDR_SYNTAX;
	out->local = pw_pool_copy(c->pool,
	    pw_bytes_sub(c->in, start, c->pos - start));
	return out->local.ptr != NULL ? PW_ADDR_OK : PW_ADDR_LONG;
}

/* Quoted-string; the value is taken without quotes and backslashes. */
static enum pw_addr_fault
quoted_string(struct cursor *c, struct pw_path *out)
{
	char value[PW_ADDR_LOCAL_MAX];
	size_t len = 0;

	c->pos++;
	out->quoted = true;
	for (;;) {
		int ch = peek(c);
		size_t n = 1;

		if (ch == '"')
			break;
		if (ch == '\\') {
			c->pos++;
			ch = peek(c);
			if (ch >= 0x80)
				return PW_ADDR_SYNTAX;
		}
		if (ch < 0x20 || ch == 0x7f)
			return PW_ADDR_SYNTAX;
		if (ch >= 0x80) {
			n = utf8_char(c);
			if (n == 0)
				return PW_ADDR_UTF8;
			out->utf8 = true;
		}
		if (len + n > sizeof(value))
			return PW_ADDR_LOCAL_LONG;
		memcpy(value + len, c->in.ptr + c->pos, n);
		len += n;
		c->pos += n;
	}
	c->pos++;
	out->local = pw_pool_copy(c->pool, pw_bytes(value, len));
	return out->local.ptr != NULL ? PW_ADDR_OK : PW_ADDR_LONG;
}

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]", RFC 5321 section 4.1.3.  Tags other
 * than IPv6 have never been registered. */
static enum pw_addr_fault
literal_canon(struct pw_bytes in, char out[PW_DOMAIN_SIZE])
{
	struct pw_bytes inner = pw_bytes_sub(in, 1, in.len - 2);
	char text[PW_IP_STRLEN];
	struct pw_ip ip;
	bool v6 = pw_bytes_has_prefix_ci(inner, PW_LIT("IPv6:"));

	if (v6) {
		inner = pw_bytes_sub(inner, 5, inner.len);
		if (pw_bytes_chr(inner, ':') < 0)
			return PW_ADDR_SYNTAX;
	} else if (pw_bytes_chr(inner, ':') >= 0) {
		return PW_ADDR_SYNTAX;
	}
	if (pw_ip_parse(inner, &ip) != 0)
		return PW_ADDR_SYNTAX;
	pw_ip_format(&ip, text);
	snprintf(out, PW_DOMAIN_SIZE, ip.family == 6 ? "[ipv6:%s]" : "[%s]",
	    text);
	return PW_ADDR_OK;
}

/* U-labels to A-labels by IDNA 2008 with the mappings of UTS 46. */
static enum pw_addr_fault
idn_canon(struct pw_bytes in, char out[PW_DOMAIN_SIZE])
{
	char src[PW_DOMAIN_SIZE];
	char *ascii = NULL;
	struct pw_bytes ok;
	enum pw_addr_fault fault = PW_ADDR_DOMAIN;

	memcpy(src, in.ptr, in.len);
	src[in.len] = '\0';
	if (idn2_lookup_u8((const uint8_t *)src, (uint8_t **)&ascii,
		IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
		return PW_ADDR_DOMAIN;
	if (pw_valid_hostname(pw_peer(pw_bytes_of(ascii)), true, &ok) == 0 &&
	    ok.len < PW_DOMAIN_SIZE) {
		memcpy(out, ok.ptr, ok.len);
		out[ok.len] = '\0';
		fault = PW_ADDR_OK;
	}
	idn2_free(ascii);
	return fault;
}

enum pw_addr_fault
pw_domain_canon(struct pw_peer_bytes in, bool *literal,
    char out[PW_DOMAIN_SIZE])
{
	struct pw_bytes raw = in.raw, ok;

	if (literal != NULL)
		*literal = false;
	if (raw.len == 0)
		return PW_ADDR_SYNTAX;
	if (raw.len > PW_ADDR_DOMAIN_MAX)
		return PW_ADDR_DOMAIN_LONG;
	if (raw.len > 2 && raw.ptr[0] == '[' && raw.ptr[raw.len - 1] == ']') {
		if (literal == NULL)
			return PW_ADDR_SYNTAX;
		*literal = true;
		return literal_canon(raw, out);
	}
	if (memchr(raw.ptr, '\0', raw.len) != NULL)
		return PW_ADDR_SYNTAX;
	if (!pw_is_ascii(raw))
		return pw_is_utf8(raw) ? idn_canon(raw, out) : PW_ADDR_UTF8;
	if (pw_valid_hostname(in, true, &ok) != 0)
		return PW_ADDR_DOMAIN;
	for (size_t i = 0; i < ok.len; i++)
		out[i] = (char)pw_lower((unsigned char)ok.ptr[i]);
	out[ok.len] = '\0';
	return PW_ADDR_OK;
}

/* The extent of a domain or literal at the cursor: up to what cannot be part
 * of one.  What it holds is judged by pw_domain_canon(). */
static struct pw_bytes
domain_extent(struct cursor *c)
{
	size_t start = c->pos;

	if (peek(c) == '[') {
		while (peek(c) >= 0x21 && peek(c) < 0x7f && peek(c) != ']' &&
		    peek(c) != '>' && peek(c) != '\\')
			c->pos++;
		(void)eat(c, ']');
	} else {
		while (pw_is_alpha(peek(c)) || pw_is_digit(peek(c)) ||
		    peek(c) == '-' || peek(c) == '.' || peek(c) == '_' ||
		    peek(c) >= 0x80)
			c->pos++;
	}
	return pw_bytes_sub(c->in, start, c->pos - start);
}

static enum pw_addr_fault
domain(struct cursor *c, struct pw_path *out)
{
	char canon[PW_DOMAIN_SIZE];
	struct pw_bytes raw = domain_extent(c);
	enum pw_addr_fault fault;

	fault = pw_domain_canon(pw_peer(raw), &out->literal, canon);
	if (fault != PW_ADDR_OK)
		return fault;
	if (!pw_is_ascii(raw))
		out->utf8 = true;
	out->domain = pw_pool_copy(c->pool, pw_bytes_of(canon));
	return out->domain.ptr != NULL ? PW_ADDR_OK : PW_ADDR_LONG;
}

/* A-d-l: "@one,@two:", accepted and ignored (RFC 5321 appendix C). */
static enum pw_addr_fault
source_route(struct cursor *c, struct pw_path *out)
{
	char canon[PW_DOMAIN_SIZE];
	bool literal;
	unsigned n = 0;

	out->routed = true;
	do {
		enum pw_addr_fault fault;

		if (!eat(c, '@'))
			return PW_ADDR_SYNTAX;
		if (++n > PW_ADDR_ROUTE_MAX)
			return PW_ADDR_LONG;
		fault = pw_domain_canon(pw_peer(domain_extent(c)), &literal,
		    canon);
		if (fault != PW_ADDR_OK)
			return fault;
	} while (eat(c, ','));
	return eat(c, ':') ? PW_ADDR_OK : PW_ADDR_SYNTAX;
}

static enum pw_addr_fault
mailbox(struct cursor *c, unsigned flags, struct pw_path *out)
{
	size_t start = c->pos;
	enum pw_addr_fault fault;

	fault = peek(c) == '"' ? quoted_string(c, out) : dot_string(c, out);
	if (fault != PW_ADDR_OK)
		return fault;
	if (c->pos - start > PW_ADDR_LOCAL_MAX)
		return PW_ADDR_LOCAL_LONG;
	if (eat(c, '@')) {
		fault = domain(c, out);
		if (fault != PW_ADDR_OK)
			return fault;
	} else if ((flags & PW_PATH_POSTMASTER) == 0 ||
	    !pw_bytes_caseeq(out->local, PW_LIT("postmaster"))) {
		return PW_ADDR_SYNTAX;
	}
	if (c->pos - start > PW_ADDR_MAILBOX_MAX)
		return PW_ADDR_LONG;
	out->text = pw_pool_copy(c->pool,
	    pw_bytes_sub(c->in, start, c->pos - start));
	return out->text.ptr != NULL ? PW_ADDR_OK : PW_ADDR_LONG;
}

static void
path_clear(struct pw_path *out)
{
	memset(out, 0, sizeof(*out));
	out->text = out->local = out->domain = PW_LIT("");
}

enum pw_addr_fault
pw_path_parse(struct pw_peer_bytes in, unsigned flags, struct pw_pool *pool,
    struct pw_path *out, size_t *used)
{
	struct cursor c = { in.raw, 0, pool };
	enum pw_addr_fault fault = PW_ADDR_OK;

	path_clear(out);
	if (!eat(&c, '<'))
		return PW_ADDR_SYNTAX;
	if ((flags & PW_PATH_NULL) != 0 && peek(&c) == '>') {
		out->null = true;
	} else {
		if (peek(&c) == '@')
			fault = source_route(&c, out);
		if (fault == PW_ADDR_OK)
			fault = mailbox(&c, flags, out);
	}
	if (fault == PW_ADDR_OK && !eat(&c, '>'))
		fault = PW_ADDR_SYNTAX;
	*used = c.pos;
	return fault;
}

enum pw_addr_fault
pw_mailbox_parse(struct pw_peer_bytes in, unsigned flags, struct pw_pool *pool,
    struct pw_path *out)
{
	struct cursor c = { in.raw, 0, pool };
	enum pw_addr_fault fault;

	path_clear(out);
	fault = mailbox(&c, flags, out);
	if (fault == PW_ADDR_OK && c.pos != in.raw.len)
		fault = PW_ADDR_SYNTAX;
	return fault;
}
