/* SPDX-License-Identifier: ISC */
/*
 * RFC 8601 section 2.2 in both directions.  The reader looks at the begin of
 * the value only: who is said to have made it.
 */
#include "filters/authres.h"

#include "base/strbuf.h"
#include "filters/text.h"

#define LINE_AT 78
#define ID_MAX 512

/* ---- writing -------------------------------------------------------------------- */

static bool
is_keyword(const char *s)
{
	size_t n = 0;

	for (; s[n] != '\0'; n++)
		if (!pw_is_alpha(s[n]) && !pw_is_digit(s[n]) && s[n] != '-' &&
		    s[n] != '.' && s[n] != '_')
			return false;
	return n > 0 && n <= 64;
}

/* A token of RFC 2045, or an addr-spec-like value of such characters and one
 * "@" (pvalue); others are quoted. */
static bool
is_plain(struct pw_bytes v)
{
	size_t at = 0;

	for (size_t i = 0; i < v.len; i++) {
		unsigned char c = (unsigned char)v.ptr[i];

		if (c == '@')
			at++;
		else if (c <= 0x20 || c >= 0x7f ||
		    strchr("()<>,;:\\\"/[]?=", c) != NULL)
			return false;
	}
	return v.len > 0 && at <= 1;
}

static void
add_value(struct pw_strbuf *sb, struct pw_bytes v)
{
	if (is_plain(v)) {
		pw_strbuf_add(sb, v);
		return;
	}
	pw_strbuf_addc(sb, '"');
	for (size_t i = 0; i < v.len; i++) {
		unsigned char c = (unsigned char)v.ptr[i];

		if (c == '"' || c == '\\')
			pw_strbuf_addc(sb, '\\');
		pw_strbuf_addc(sb, c < 0x20 || c == 0x7f ? '?' : (char)c);
	}
	pw_strbuf_addc(sb, '"');
}

/* One "ptype.property=value". */
static void
add_prop(struct pw_strbuf *sb, struct pw_bytes pair)
{
	ptrdiff_t eq = pw_bytes_chr(pair, '=');
	struct pw_bytes key;
	ptrdiff_t dot;

	if (eq <= 0)
		return;
	key = pw_bytes_sub(pair, 0, (size_t)eq);
	dot = pw_bytes_chr(key, '.');
	for (size_t i = 0; i < key.len; i++)
		if (!pw_is_alpha(key.ptr[i]) && !pw_is_digit(key.ptr[i]) &&
		    key.ptr[i] != '-' && key.ptr[i] != '.')
			return;
	if (dot <= 0 || (size_t)dot + 1 == key.len)
		return;
	pw_strbuf_add(sb, key);
	pw_strbuf_addc(sb, '=');
	add_value(sb, pw_bytes_sub(pair, (size_t)eq + 1, pair.len));
}

/* Where the piece that begins at S ends: quoted strings stay whole. */
static size_t
piece_len(struct pw_bytes s)
{
	bool quoted = false;
	size_t i = 0;

	for (; i < s.len && (quoted || s.ptr[i] != ' '); i++) {
		if (s.ptr[i] == '\\' && quoted && i + 1 < s.len)
			i++;
		else if (s.ptr[i] == '"')
			quoted = !quoted;
	}
	return i;
}

/* Puts TEXT on the line, its words parted by spaces, folding where needed. */
static void
add_folded(struct pw_strbuf *sb, size_t *column, struct pw_bytes text)
{
	while (text.len > 0) {
		size_t n = piece_len(text);

		if (*column + 1 + n > LINE_AT && *column > 8) {
			pw_strbuf_adds(sb, "\r\n\t");
			*column = 8;
		} else {
			pw_strbuf_addc(sb, ' ');
			*column += 1;
		}
		pw_strbuf_add(sb, pw_bytes_sub(text, 0, n));
		*column += n;
		text = pw_bytes_sub(text, n < text.len ? n + 1 : n, text.len);
	}
}

static void
add_entry(struct pw_strbuf *sb, size_t *column, const struct pw_authres *a)
{
	struct pw_bytes props = pw_bytes_of(a->props);
	struct pw_strbuf one;

	pw_strbuf_init(&one, 8192);
	pw_strbuf_addf(&one, "%s=%s", a->method, a->result);
	if (a->reason != NULL && a->reason[0] != '\0') {
		pw_strbuf_adds(&one, " reason=");
		add_value(&one, pw_bytes_of(a->reason));
	}
	while (props.len > 0) {
		size_t n = piece_len(props);
		size_t before = one.len;

		pw_strbuf_addc(&one, ' ');
		add_prop(&one, pw_bytes_sub(props, 0, n));
		if (one.len == before + 1)
			one.len = before;
		props = pw_bytes_sub(props, n < props.len ? n + 1 : n,
		    props.len);
	}
	pw_strbuf_adds(sb, ";\r\n\t");
	*column = 7; /* the space that add_folded() puts first is taken back */
	size_t mark = sb->len;
	add_folded(sb, column, pw_strbuf_bytes(&one));
	if (sb->ptr != NULL && sb->len > mark && sb->ptr[mark] == ' ') {
		memmove(sb->ptr + mark, sb->ptr + mark + 1, sb->len - mark - 1);
		sb->len--;
	}
	pw_strbuf_free(&one);
}

const char *
pw_authres_write(struct pw_pool *pool, const char *authserv_id,
    const struct pw_authres *v, size_t n)
{
	struct pw_strbuf sb;
	size_t column = 0, written = 0;
	char *out;

	pw_strbuf_init(&sb, 64u << 10);
	add_value(&sb, pw_bytes_of(authserv_id));
	for (size_t i = 0; i < n; i++) {
		if (!is_keyword(v[i].method) || !is_keyword(v[i].result))
			continue;
		add_entry(&sb, &column, &v[i]);
		written++;
	}
	if (written == 0)
		pw_strbuf_adds(&sb, "; none");
	out = pw_pool_cstr(pool, pw_strbuf_bytes(&sb));
	pw_strbuf_free(&sb);
	return out;
}

/* ---- reading -------------------------------------------------------------------- */

/* Past white space, line ends and comments, nested ones too, and unclosed ones
 * to the end. */
static size_t
skip_cfws(struct pw_bytes v, size_t i)
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

/* The quoted string at I, unescaped and without folds; its length. */
static size_t
read_quoted(struct pw_bytes v, size_t i, char *out, size_t max)
{
	size_t o = 0;

	for (i++; i < v.len && v.ptr[i] != '"' && o < max; i++) {
		if (v.ptr[i] == '\\' && i + 1 < v.len)
			i++;
		if (v.ptr[i] != '\r' && v.ptr[i] != '\n')
			out[o++] = v.ptr[i];
	}
	return o;
}

static size_t
read_token(struct pw_bytes v, size_t i, char *out, size_t max)
{
	size_t o = 0;

	for (; i < v.len && o < max; i++) {
		unsigned char c = (unsigned char)v.ptr[i];

		if (c <= 0x20 || c == 0x7f || strchr("();,\"", c) != NULL)
			break;
		out[o++] = (char)c;
	}
	return o;
}

static bool
same_name(struct pw_bytes got, struct pw_bytes ours)
{
	got = pw_bytes_trim(got);
	while (got.len > 0 && got.ptr[got.len - 1] == '.')
		got.len--;
	while (ours.len > 0 && ours.ptr[ours.len - 1] == '.')
		ours.len--;
	return ours.len > 0 && pw_bytes_caseeq(got, ours);
}

bool
pw_authres_is_ours(struct pw_bytes value, const char *authserv_id)
{
	struct pw_bytes ours = pw_bytes_of(authserv_id);
	char id[ID_MAX];
	size_t i = skip_cfws(value, 0), n;

	if (i == value.len)
		return false;
	n = value.ptr[i] == '"' ? read_quoted(value, i, id, sizeof(id)) :
	    read_token(value, i, id, sizeof(id));
	if (same_name(pw_bytes(id, n), ours))
		return true;
	/* "name/1", "name=..", "name:..": outside the grammar, yet some
	 * reader may stop at the odd character. */
	return n > ours.len && pw_bytes_has_prefix_ci(pw_bytes(id, n), ours) &&
	    strchr("/=:<>@[]?\\.", id[ours.len]) != NULL &&
	    (id[ours.len] != '.' || n == ours.len + 1 ||
	    (!pw_is_alpha(id[ours.len + 1]) && !pw_is_digit(id[ours.len + 1])));
}
