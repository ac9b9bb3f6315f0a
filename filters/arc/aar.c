/* SPDX-License-Identifier: ISC */
/*
 * What a sealer says in its ARC-Authentication-Results: a strict reader of
 * RFC 8601 results (section 2.2), used only where the sealer is trusted.  In
 * doubt it reads less, never more.
 */
#include "base/valid.h"
#include "filters/arc/arc.h"

#define RESULTS_MAX 64
#define WORD_MAX 256

size_t
pw_arc_skip(struct pw_bytes v, size_t i)
{
	unsigned depth = 0;

	for (; i < v.len; i++) {
		char c = v.ptr[i];

		if (c == '(') {
			depth++;
		} else if (depth > 0) {
			if (c == '\\')
				i++;
			else if (c == ')')
				depth--;
		} else if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
			break;
		}
	}
	return i < v.len ? i : v.len;
}

/* ---- words ----------------------------------------------------------------- */

struct reader {
	struct pw_bytes v;
	size_t at;
	bool bad;
};

static char
peek(struct reader *r)
{
	r->at = pw_arc_skip(r->v, r->at);
	return r->at < r->v.len ? r->v.ptr[r->at] : '\0';
}

static bool
take(struct reader *r, char c)
{
	if (peek(r) != c || r->at >= r->v.len)
		return false;
	r->at++;
	return true;
}

static void
read_quoted(struct reader *r, char out[WORD_MAX])
{
	size_t o = 0;

	for (r->at++; r->at < r->v.len && r->v.ptr[r->at] != '"'; r->at++) {
		if (r->v.ptr[r->at] == '\\' && r->at + 1 < r->v.len)
			r->at++;
		if (o + 1 < WORD_MAX)
			out[o++] = r->v.ptr[r->at];
	}
	out[o] = '\0';
	if (r->at < r->v.len)
		r->at++;
	else
		r->bad = true;
}

/* A word, lower-case; quoted ones only where they may stand. */
static void
read_word(struct reader *r, bool quoted, char out[WORD_MAX])
{
	size_t o = 0;

	if (peek(r) == '"' && quoted) {
		read_quoted(r, out);
		return;
	}
	for (; r->at < r->v.len; r->at++) {
		unsigned char c = (unsigned char)r->v.ptr[r->at];

		if (c <= 0x20 || c >= 0x7f || strchr("();=\"", c) != NULL ||
		    (c == '.' && !quoted))
			break;
		if (o + 1 < WORD_MAX)
			out[o++] = (char)pw_lower(c);
		else
			r->bad = true;
	}
	out[o] = '\0';
	if (o == 0)
		r->bad = true;
}

/* ---- results --------------------------------------------------------------- */

struct result {
	char method[WORD_MAX], result[WORD_MAX];
	char header_from[WORD_MAX], header_d[WORD_MAX], mailfrom[WORD_MAX];
};

static void
keep_prop(struct result *res, const char *type, const char *prop,
    const char *value)
{
	const char *at = strrchr(value, '@');
	char *to = NULL;

	if (strcmp(type, "header") == 0 && strcmp(prop, "from") == 0)
		to = res->header_from;
	else if (strcmp(type, "header") == 0 && (strcmp(prop, "d") == 0 ||
	    (strcmp(prop, "i") == 0 && res->header_d[0] == '\0')))
		to = res->header_d;
	else if (strcmp(type, "smtp") == 0 &&
	    (strcmp(prop, "mailfrom") == 0 || strcmp(prop, "mfrom") == 0))
		to = res->mailfrom;
	if (to == NULL)
		return;
	value = at != NULL ? at + 1 : value;
	memmove(to, value, strlen(value) + 1);
	for (; *to != '\0'; to++)
		*to = (char)pw_lower(*to);
}

/* "method[/version]=result [reason=...] *(ptype.property=value)" */
static void
read_result(struct reader *r, struct result *res)
{
	char type[WORD_MAX], prop[WORD_MAX], value[WORD_MAX];

	*res = (struct result){ .method = "" };
	read_word(r, false, res->method);
	res->method[strcspn(res->method, "/")] = '\0';
	/* "none" alone: no results. */
	if (r->bad || !take(r, '=')) {
		r->bad |= strcmp(res->method, "none") != 0;
		return;
	}
	read_word(r, false, res->result);
	while (!r->bad && peek(r) != ';' && peek(r) != '\0') {
		prop[0] = '\0';
		read_word(r, false, type);
		if (!r->bad && take(r, '.'))
			read_word(r, false, prop);
		if (r->bad || !take(r, '='))
			r->bad = true;
		else
			read_word(r, true, value);
		if (!r->bad)
			keep_prop(res, type, prop, value);
	}
}

/* FROM itself, or below DOMAIN: who may sign for a domain may sign for those
 * that it delegates.  The other way needs a list of public suffixes. */
static bool
is_aligned(const char *domain, const char *from)
{
	size_t d = strlen(domain), f = strlen(from);

	if (d == 0 || f < d || strcmp(from + f - d, domain) != 0)
		return false;
	return f == d || (from[f - d - 1] == '.' &&
	    strchr(domain, '.') != NULL);
}

static bool
counts(const struct result *res, const char *from)
{
	if (strcmp(res->result, "pass") != 0)
		return false;
	if (strcmp(res->method, "dmarc") == 0)
		return res->header_from[0] == '\0' ||
		    strcmp(res->header_from, from) == 0;
	if (strcmp(res->method, "dkim") == 0)
		return is_aligned(res->header_d, from);
	if (strcmp(res->method, "spf") == 0)
		return is_aligned(res->mailfrom, from);
	return false;
}

bool
pw_arc_vouches(struct pw_bytes results, const char *from)
{
	struct reader r = { .v = results };
	char word[WORD_MAX];
	struct result res;

	if (from[0] == '\0')
		return false;
	read_word(&r, true, word); /* authserv-id, and its version */
	if (peek(&r) != ';')
		read_word(&r, false, word);
	for (int i = 0; i < RESULTS_MAX && !r.bad && take(&r, ';') &&
	    peek(&r) != '\0'; i++) {
		read_result(&r, &res);
		if (!r.bad && counts(&res, from))
			return true;
	}
	return false;
}

/* ---- From ------------------------------------------------------------------ */

/* Past a quoted string that begins at I; 0 where it has no end. */
static size_t
skip_quoted(struct pw_bytes v, size_t i)
{
	for (i++; i < v.len && v.ptr[i] != '"'; i++)
		if (v.ptr[i] == '\\')
			i++;
	return i < v.len ? i + 1 : 0;
}

int
pw_arc_from_domain(struct pw_bytes value, char out[256])
{
	size_t i = 0, at = 0, end = 0;
	unsigned signs = 0;
	struct pw_bytes host;

	/* One "@" outside comments and quoted strings, and no list. */
	while ((i = pw_arc_skip(value, i)) < value.len) {
		char c = value.ptr[i];

		if (c == '"') {
			if ((i = skip_quoted(value, i)) == 0)
				return -1;
			continue;
		}
		if (c == ',' || c == ';' || c == ':')
			return -1;
		if (c == '@') {
			signs++;
			at = i + 1;
		}
		i++;
	}
	if (signs != 1)
		return -1;
	for (end = at; end < value.len && strchr("> \t\r\n(",
	    value.ptr[end]) == NULL; end++)
		;
	host = pw_bytes_sub(value, at, end - at);
	if (pw_valid_hostname(pw_peer(host), false, &host) < 0)
		return -1;
	for (i = 0; i < host.len; i++)
		out[i] = (char)pw_lower(host.ptr[i]);
	out[host.len] = '\0';
	return 0;
}
