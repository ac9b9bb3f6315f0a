/* SPDX-License-Identifier: ISC */
/*
 * Macro-strings, RFC 7208 section 7.  One scanner serves the syntax check and
 * the expansion.  libspf2 has an expander too, but not quite RFC 7208's in
 * transformers, escaping and explain-strings; and macros are where its
 * published vulnerabilities lie (CVE-2021-20314, CVE-2021-33912,
 * CVE-2021-33913, CVE-2023-42118).
 */
#include <stdio.h>

#include "filters/spf/macro.h"

#define VALUE_MAX 640 /* the longest value: %{s} */
#define TAIL 512      /* of a domain name that grows, only the end counts */

_Static_assert(2 * TAIL > PW_SPF_MAX_TEXT, "a text fits a sink");

/* One step of a macro-string. */
struct item {
	bool macro;	 /* else LITERAL is all */
	char literal[4]; /* 1..3 bytes */
	char letter;	 /* lower-case */
	bool url;	 /* was upper-case */
	bool reverse;
	unsigned keep; /* right-most parts; 0: all */
	struct pw_bytes delims;
};

struct sink {
	char buf[2 * TAIL];
	size_t len;
	bool tail; /* keep the end when full, else the beginning */
};

static bool
is_macro_letter(char c, unsigned flags)
{
	if (memchr("slodiphv", c, 8) != NULL)
		return true;
	return (flags & PW_SPF_MACRO_EXP) != 0 && memchr("crt", c, 3) != NULL;
}

/* "{" letter digits "r" delimiters "}"; *pos stands on the brace. */
static int
scan_braces(struct pw_bytes s, size_t *pos, unsigned flags, struct item *it)
{
	size_t i = *pos + 1, start;

	if (i >= s.len)
		return -1;
	it->macro = true;
	it->letter = (char)pw_lower(s.ptr[i]);
	it->url = it->letter != s.ptr[i];
	if (!is_macro_letter(it->letter, flags))
		return -1;
	start = ++i;
	for (; i < s.len && pw_is_digit(s.ptr[i]); i++)
		/* no value has so many parts, so more is the same as all */
		if (it->keep <= VALUE_MAX)
			it->keep = it->keep * 10 + (unsigned)(s.ptr[i] - '0');
	if (i > start && it->keep == 0)
		return -1;
	if (i < s.len && pw_lower(s.ptr[i]) == 'r') {
		it->reverse = true;
		i++;
	}
	start = i;
	while (i < s.len && s.ptr[i] != '\0' &&
	       strchr(".-+,/_=", s.ptr[i]) != NULL)
		i++;
	it->delims = pw_bytes_sub(s, start, i - start);
	if (i >= s.len || s.ptr[i] != '}')
		return -1;
	*pos = i + 1;
	return 1;
}

/* The item at *pos: 1 and *pos behind it, 0 at the end, -1 on bad syntax. */
static int
next_item(struct pw_bytes s, size_t *pos, unsigned flags, struct item *it)
{
	char c;

	if (*pos >= s.len)
		return 0;
	*it = (struct item){.macro = false};
	c = s.ptr[(*pos)++];
	if (c != '%') {
		it->literal[0] = c;
		if (c == ' ')
			return (flags & PW_SPF_MACRO_SPACE) != 0 ? 1 : -1;
		return c > ' ' && c <= '~' ? 1 : -1;
	}
	if (*pos >= s.len)
		return -1;
	switch (s.ptr[*pos]) {
	case '{':
		return scan_braces(s, pos, flags, it);
	case '%':
		memcpy(it->literal, "%", 2);
		break;
	case '_':
		memcpy(it->literal, " ", 2);
		break;
	case '-':
		memcpy(it->literal, "%20", 4);
		break;
	default:
		return -1;
	}
	(*pos)++;
	return 1;
}

bool
pw_spf_macro_valid(struct pw_bytes s, unsigned flags)
{
	struct item it;
	size_t pos = 0;
	int rc;

	while ((rc = next_item(s, &pos, flags, &it)) > 0)
		;
	return rc == 0;
}

size_t
pw_spf_macro_count(struct pw_bytes s)
{
	struct item it;
	size_t pos = 0, n = 0;

	while (
	    next_item(s, &pos, PW_SPF_MACRO_EXP | PW_SPF_MACRO_SPACE, &it) > 0)
		if (it.macro)
			n++;
	return n;
}

static bool
is_toplabel(struct pw_bytes s)
{
	bool all_digits = true;

	if (s.len == 0 || s.ptr[0] == '-' || s.ptr[s.len - 1] == '-')
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!pw_is_digit(s.ptr[i]))
			all_digits = false;
		if (!pw_is_digit(s.ptr[i]) && !pw_is_alpha(s.ptr[i]) &&
		    s.ptr[i] != '-')
			return false;
	}
	return !all_digits;
}

bool
pw_spf_domain_spec_valid(struct pw_bytes s)
{
	struct item it;
	struct pw_bytes end;
	size_t pos = 0, last = 0; /* where the literals of the end begin */
	ptrdiff_t dot;
	int rc;

	while ((rc = next_item(s, &pos, 0, &it)) > 0)
		if (it.macro || it.literal[0] == '%' || it.literal[0] == ' ')
			last = pos;
	if (rc < 0 || s.len == 0)
		return false;
	end = pw_bytes_sub(s, last, s.len - last);
	if (end.len == 0)
		return true;
	if (end.ptr[end.len - 1] == '.')
		end.len--;
	dot = pw_bytes_rchr(end, '.');
	return dot >= 0 &&
	       is_toplabel(pw_bytes_sub(end, (size_t)dot + 1, end.len));
}

static void
sink_add(struct sink *out, char c)
{
	if (out->len == sizeof(out->buf)) {
		if (!out->tail)
			return;
		memmove(out->buf, out->buf + out->len - TAIL, TAIL);
		out->len = TAIL;
	}
	out->buf[out->len++] = c;
}

/* Section 7.3: everything but RFC 3986's unreserved characters. */
static void
sink_url(struct sink *out, char c)
{
	static const char hex[] = "0123456789ABCDEF";

	if (pw_is_alpha(c) || pw_is_digit(c) ||
	    (c != '\0' && strchr("-._~", c) != NULL)) {
		sink_add(out, c);
		return;
	}
	sink_add(out, '%');
	sink_add(out, hex[(unsigned char)c >> 4]);
	sink_add(out, hex[c & 15]);
}

static void
address_value(const struct pw_ip *ip, char letter, char out[VALUE_MAX])
{
	if (letter == 'v') {
		snprintf(
		    out, VALUE_MAX, "%s", ip->family == 6 ? "ip6" : "in-addr");
	} else if (letter == 'c' || ip->family == 4) {
		char text[PW_IP_STRLEN];

		pw_ip_format(ip, text);
		snprintf(out, VALUE_MAX, "%s", text);
	} else {
		static const char hex[] = "0123456789abcdef";

		for (size_t i = 0; i < 16; i++) {
			out[4 * i] = hex[ip->b[i] >> 4];
			out[4 * i + 1] = '.';
			out[4 * i + 2] = hex[ip->b[i] & 15];
			out[4 * i + 3] = i < 15 ? '.' : '\0';
		}
	}
}

static const char *
local_part(const struct pw_spf_request *req)
{
	return req->local != NULL && req->local[0] != '\0' ? req->local
							   : "postmaster";
}

static int
macro_value(
    const struct pw_spf_macro_env *env, char letter, char out[VALUE_MAX])
{
	const struct pw_spf_request *req = env->req;
	const char *s = NULL;

	switch (letter) {
	case 's':
		snprintf(out, VALUE_MAX, "%.*s@%s", PW_SPF_MAX_LOCAL,
		    local_part(req), req->domain);
		return PW_OK;
	case 'l':
		snprintf(
		    out, VALUE_MAX, "%.*s", PW_SPF_MAX_LOCAL, local_part(req));
		return PW_OK;
	case 't':
		snprintf(out, VALUE_MAX, "%lld", (long long)req->now);
		return PW_OK;
	case 'o':
		s = req->domain;
		break;
	case 'd':
		s = env->domain;
		break;
	case 'h':
		s = req->helo != NULL ? req->helo : "unknown";
		break;
	case 'r':
		s = req->receiver != NULL ? req->receiver : "unknown";
		break;
	case 'p':
		s = env->validated(env->arg, env->domain);
		if (s == NULL)
			return PW_AGAIN;
		break;
	default: /* i, c, v */
		address_value(&req->client, letter, out);
		return PW_OK;
	}
	snprintf(out, VALUE_MAX, "%.255s", s);
	return PW_OK;
}

/* Splits, turns round, keeps the right-most parts, joins with dots. */
static void
add_transformed(const struct item *it, const char *value, struct sink *out)
{
	struct pw_bytes delims = it->delims.len > 0 ? it->delims : PW_LIT(".");
	struct pw_bytes part[VALUE_MAX];
	size_t n = 0, start = 0, len = strlen(value), first;

	for (size_t i = 0; i <= len; i++) {
		if (i < len && pw_bytes_chr(delims, value[i]) < 0)
			continue;
		part[n++] = pw_bytes(value + start, i - start);
		start = i + 1;
	}
	first = it->keep > 0 && it->keep < n ? n - it->keep : 0;
	for (size_t i = first; i < n; i++) {
		const struct pw_bytes *p = &part[it->reverse ? n - 1 - i : i];

		if (i > first)
			sink_add(out, '.');
		for (size_t k = 0; k < p->len; k++)
			if (it->url)
				sink_url(out, p->ptr[k]);
			else
				sink_add(out, p->ptr[k]);
	}
}

/* PW_OK, PW_AGAIN, or PW_FAIL on bad syntax. */
static int
expand(struct pw_bytes s, unsigned flags, const struct pw_spf_macro_env *env,
    struct sink *out)
{
	char value[VALUE_MAX];
	struct item it;
	size_t pos = 0;
	int rc;

	while ((rc = next_item(s, &pos, flags, &it)) > 0) {
		if (!it.macro) {
			for (const char *p = it.literal; *p != '\0'; p++)
				sink_add(out, *p);
			continue;
		}
		if (macro_value(env, it.letter, value) != PW_OK)
			return PW_AGAIN;
		add_transformed(&it, value, out);
	}
	return rc == 0 ? PW_OK : PW_FAIL;
}

int
pw_spf_macro_domain(
    struct pw_bytes spec, const struct pw_spf_macro_env *env, char out[256])
{
	struct sink sink = {.tail = true};
	size_t from = 0;
	int rc;

	out[0] = '\0';
	rc = expand(spec, 0, env, &sink);
	if (rc != PW_OK)
		return rc;
	if (sink.len > 0 && sink.buf[sink.len - 1] == '.')
		sink.len--;
	if (sink.len > 253) {
		from = sink.len - 253;
		while (from < sink.len && sink.buf[from - 1] != '.')
			from++;
	}
	memcpy(out, sink.buf + from, sink.len - from);
	out[sink.len - from] = '\0';
	return PW_OK;
}

int
pw_spf_macro_text(struct pw_bytes text, const struct pw_spf_macro_env *env,
    char out[PW_SPF_MAX_TEXT + 1])
{
	struct sink sink = {.tail = false};
	struct pw_bytes ok;
	int rc;

	out[0] = '\0';
	rc = expand(text, PW_SPF_MACRO_EXP | PW_SPF_MACRO_SPACE, env, &sink);
	if (rc != PW_OK)
		return rc;
	/* a sink that ran full is too long as well */
	if (pw_valid_text(pw_peer(pw_bytes(sink.buf, sink.len)),
		PW_SPF_MAX_TEXT, &ok) != 0)
		return PW_FAIL;
	memcpy(out, ok.ptr, ok.len);
	out[ok.len] = '\0';
	return PW_OK;
}
