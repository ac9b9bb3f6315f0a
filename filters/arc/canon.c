/* SPDX-License-Identifier: ISC */
/*
 * Canonicalization, RFC 6376 section 3.4.  Written anew since the DKIM library
 * offers none that can be called alone.  Time is linear in what is read, and
 * memory is one small buffer.
 */
#include "filters/arc/canon.h"

static bool
is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

void
pw_canon_init(struct pw_canon *c, EVP_MD_CTX *md)
{
	c->md = md;
	c->left = UINT64_MAX;
	c->failed = md == NULL;
	c->n = 0;
}

void
pw_canon_flush(struct pw_canon *c)
{
	if (c->n > 0 && !c->failed &&
	    EVP_DigestUpdate(c->md, c->buf, c->n) != 1)
		c->failed = true;
	c->n = 0;
}

static void
put(struct pw_canon *c, char ch)
{
	if (c->left == 0)
		return;
	c->left--;
	if (c->n == sizeof(c->buf))
		pw_canon_flush(c);
	c->buf[c->n++] = ch;
}

static void
put_all(struct pw_canon *c, const char *p, size_t n)
{
	if (n > c->left)
		n = (size_t)c->left;
	if (n == 0)
		return;
	c->left -= n;
	if (n > sizeof(c->buf) - c->n)
		pw_canon_flush(c);
	if (n > sizeof(c->buf)) {
		if (!c->failed && EVP_DigestUpdate(c->md, p, n) != 1)
			c->failed = true;
		return;
	}
	memcpy(c->buf + c->n, p, n);
	c->n += n;
}

void
pw_canon_crlf(struct pw_canon *c)
{
	put_all(c, "\r\n", 2);
}

/* ---- header fields --------------------------------------------------------- */

static void
field_simple(struct pw_canon *c, struct pw_bytes raw, struct pw_bytes skip)
{
	size_t from = 0, to = 0;

	if (skip.len > 0) {
		from = (size_t)(skip.ptr - raw.ptr);
		to = from + skip.len;
	}
	put_all(c, raw.ptr, from);
	put_all(c, raw.ptr + to, raw.len - to);
}

static void
field_relaxed(struct pw_canon *c, struct pw_bytes raw, struct pw_bytes skip)
{
	size_t colon = 0, name, i;
	bool space = false, begun = false;

	while (colon < raw.len && raw.ptr[colon] != ':')
		colon++;
	for (name = colon; name > 0 && is_wsp(raw.ptr[name - 1]); name--)
		;
	for (i = 0; i < name; i++)
		put(c, (char)pw_lower(raw.ptr[i]));
	put(c, ':');
	for (i = colon + 1; i < raw.len; i++) {
		char ch = raw.ptr[i];

		if (skip.len > 0 && raw.ptr + i == skip.ptr) {
			i += skip.len - 1;
			continue;
		}
		if (ch == '\r' || ch == '\n')
			continue;
		if (is_wsp(ch)) {
			space = true;
			continue;
		}
		if (space && begun)
			put(c, ' ');
		space = false;
		begun = true;
		put(c, ch);
	}
}

void
pw_canon_field(struct pw_canon *c, struct pw_bytes raw, bool relaxed,
    struct pw_bytes skip)
{
	if (relaxed) {
		field_relaxed(c, raw, skip);
		return;
	}
	/* What is skipped may be the end, line end included. */
	while (raw.len > 0 && (raw.ptr[raw.len - 1] == '\n' ||
	    raw.ptr[raw.len - 1] == '\r'))
		raw.len--;
	if (skip.len > 0 && skip.ptr + skip.len > raw.ptr + raw.len)
		skip.len = (size_t)(raw.ptr + raw.len - skip.ptr);
	field_simple(c, raw, skip);
}

/* ---- body ------------------------------------------------------------------ */

static void
line_relaxed(struct pw_canon *c, const char *p, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t from = i;

		while (i < n && !is_wsp(p[i]))
			i++;
		put_all(c, p + from, i - from);
		if (i == n)
			return;
		put(c, ' ');
		while (i < n && is_wsp(p[i]))
			i++;
	}
}

void
pw_canon_body(struct pw_canon *c, struct pw_bytes body, bool relaxed)
{
	size_t empty = 0;
	bool any = false;

	for (size_t pos = 0; pos < body.len;) {
		const char *p = body.ptr + pos;
		const char *nl = memchr(p, '\n', body.len - pos);
		size_t n = nl != NULL ? (size_t)(nl - p) : body.len - pos;

		pos += n + (nl != NULL);
		if (nl != NULL && n > 0 && p[n - 1] == '\r')
			n--;
		while (relaxed && n > 0 && is_wsp(p[n - 1]))
			n--;
		if (n == 0) {
			empty++;
			continue;
		}
		for (; empty > 0; empty--)
			pw_canon_crlf(c);
		if (relaxed)
			line_relaxed(c, p, n);
		else
			put_all(c, p, n);
		pw_canon_crlf(c);
		any = true;
	}
	if (!any && !relaxed)
		pw_canon_crlf(c);
}
