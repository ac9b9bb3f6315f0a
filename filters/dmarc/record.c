/* SPDX-License-Identifier: ISC */
/*
 * Reads DMARC policy records, which strangers publish.  Strict where RFC 9989
 * is (the version), forgiving where it says so (everything else).  Pure.
 */
#include "filters/dmarc/dmarc.h"

const char *
pw_dmarc_policy_name(enum pw_dmarc_policy p)
{
	static const char *const names[] = { "none", "quarantine", "reject" };

	return names[p];
}

static bool
is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

static struct pw_bytes
trim_wsp(struct pw_bytes b)
{
	while (b.len > 0 && is_wsp(b.ptr[0]))
		b = pw_bytes_sub(b, 1, b.len);
	while (b.len > 0 && is_wsp(b.ptr[b.len - 1]))
		b.len--;
	return b;
}

/* ---- tags ------------------------------------------------------------------- */

enum tag { T_V, T_P, T_SP, T_NP, T_PSD, T_T, T_ADKIM, T_ASPF, T_RUA, T_FO,
	T_COUNT };

struct tags {
	struct pw_bytes value[T_COUNT];
	unsigned seen[T_COUNT];
	bool bad[T_COUNT];
};

static int
tag_of(struct pw_bytes name)
{
	/* Names are strings of an ABNF in which only the version is marked as
	 * sensitive to case. */
	static const char *const names[T_COUNT] = { "v", "p", "sp", "np",
		"psd", "t", "adkim", "aspf", "rua", "fo" };

	for (int i = 0; i < T_COUNT; i++)
		if (pw_bytes_caseeq(name, pw_bytes_of(names[i])))
			return i;
	return -1;
}

/* dmarc-value: printing ASCII and spaces, at least one. */
static bool
value_ok(struct pw_bytes v)
{
	for (size_t i = 0; i < v.len; i++)
		if (v.ptr[i] < 0x20 || v.ptr[i] > 0x7e)
			return false;
	return v.len > 0;
}

/* One "name = value"; false: it is not one. */
static bool
split(struct pw_bytes item, struct pw_bytes *name, struct pw_bytes *value)
{
	ptrdiff_t eq = pw_bytes_chr(item, '=');

	if (eq <= 0)
		return false;
	*name = trim_wsp(pw_bytes_sub(item, 0, (size_t)eq));
	*value = trim_wsp(pw_bytes_sub(item, (size_t)eq + 1, item.len));
	for (size_t i = 0; i < name->len; i++)
		if (!pw_is_alpha(name->ptr[i]))
			return false;
	return name->len > 0;
}

/* The item up to the next semicolon; *text is moved behind it. */
static struct pw_bytes
next_item(struct pw_bytes *text)
{
	ptrdiff_t semi = pw_bytes_chr(*text, ';');
	size_t n = semi >= 0 ? (size_t)semi : text->len;
	struct pw_bytes item = pw_bytes_sub(*text, 0, n);

	*text = pw_bytes_sub(*text, n < text->len ? n + 1 : n, text->len);
	return trim_wsp(item);
}

static void
read_tags(struct pw_bytes text, struct tags *t, const char **fault)
{
	while (text.len > 0) {
		struct pw_bytes item = next_item(&text), name, value;
		int i;

		if (item.len == 0)
			continue;
		if (!split(item, &name, &value)) {
			*fault = "a part is no tag";
			continue;
		}
		i = tag_of(name);
		if (i < 0)
			continue;
		if (t->seen[i]++ > 0 || !value_ok(value)) {
			t->bad[i] = true;
			*fault = t->seen[i] > 1 ? "a tag stands twice" :
			    "a tag's value is malformed";
		}
		t->value[i] = value;
	}
}

/* ---- values ------------------------------------------------------------------ */

/* Index of T's value among WORDS, DEF when absent; -1: it is none of them. */
static int
one_of(const struct tags *t, enum tag tag, const char *const *words, int def)
{
	if (t->seen[tag] == 0)
		return def;
	for (int i = 0; words[i] != NULL && !t->bad[tag]; i++)
		if (pw_bytes_caseeq(t->value[tag], pw_bytes_of(words[i])))
			return i;
	return -1;
}

static int
flag(const struct tags *t, enum tag tag, const char *const *words,
    const char **fault)
{
	int v = one_of(t, tag, words, 0);

	if (v < 0)
		*fault = "a tag's value is not one that there is";
	return v > 0 ? v : 0;
}

static bool
has_uri(struct pw_bytes list)
{
	struct pw_bytes uri;

	return pw_dmarc_uri_next(&list, &uri);
}

/* p, sp and np together: section 4.10.1. */
static void
read_policies(const struct tags *t, struct pw_dmarc_record *out)
{
	static const char *const words[] = { "none", "quarantine", "reject",
		NULL };
	int p = one_of(t, T_P, words, -1), sp = one_of(t, T_SP, words, p);
	int np = one_of(t, T_NP, words, sp);

	if (p < 0 || (t->seen[T_SP] > 0 && sp < 0) ||
	    (t->seen[T_NP] > 0 && np < 0)) {
		out->void_policy = !has_uri(out->rua);
		out->fault = t->seen[T_P] == 0 ? "there is no p" :
		    "p, sp or np is not a policy";
		return;
	}
	out->p = (enum pw_dmarc_policy)p;
	out->sp = (enum pw_dmarc_policy)sp;
	out->np = (enum pw_dmarc_policy)np;
	out->has_sp = t->seen[T_SP] > 0;
	out->has_np = t->seen[T_NP] > 0;
}

int
pw_dmarc_record_parse(struct pw_bytes text, struct pw_dmarc_record *out)
{
	static const char *const align[] = { "r", "s", NULL };
	static const char *const yorn[] = { "n", "y", NULL };
	static const char *const psd[] = { "u", "n", "y", NULL };
	struct pw_bytes rest = text, first, name, value;
	struct tags t = { 0 };

	*out = (struct pw_dmarc_record){ 0 };
	first = next_item(&rest);
	if (text.len == 0 || is_wsp(text.ptr[0]) ||
	    !split(first, &name, &value) || tag_of(name) != T_V ||
	    !pw_bytes_eq(value, PW_LIT("DMARC1")))
		return -1;
	read_tags(rest, &t, &out->fault);
	out->strict_dkim = flag(&t, T_ADKIM, align, &out->fault) == 1;
	out->strict_spf = flag(&t, T_ASPF, align, &out->fault) == 1;
	out->testing = flag(&t, T_T, yorn, &out->fault) == 1;
	out->psd = (enum pw_dmarc_psd)flag(&t, T_PSD, psd, &out->fault);
	if (!t.bad[T_RUA])
		out->rua = t.value[T_RUA];
	if (!t.bad[T_FO])
		out->fo = t.value[T_FO];
	read_policies(&t, out);
	return 0;
}

/* ---- URIs ---------------------------------------------------------------------- */

/* RFC 3986 as far as it matters: a scheme, a colon, and characters that may
 * stand in a URI; a mailto has a local part and a domain. */
static bool
uri_ok(struct pw_bytes u)
{
	ptrdiff_t colon = pw_bytes_chr(u, ':'), at;
	struct pw_bytes rest;

	if (colon <= 0 || (size_t)colon + 1 == u.len || !pw_is_alpha(u.ptr[0]))
		return false;
	for (ptrdiff_t i = 0; i < colon; i++)
		if (!pw_is_alpha(u.ptr[i]) && !pw_is_digit(u.ptr[i]) &&
		    strchr("+-.", u.ptr[i]) == NULL)
			return false;
	for (size_t i = (size_t)colon; i < u.len; i++)
		if (u.ptr[i] <= 0x20 || u.ptr[i] > 0x7e ||
		    strchr("\"<>\\^`{|}", u.ptr[i]) != NULL)
			return false;
	if (!pw_bytes_has_prefix_ci(u, PW_LIT("mailto:")))
		return true;
	rest = pw_bytes_sub(u, 7, u.len);
	at = pw_bytes_rchr(rest, '@');
	return at > 0 && (size_t)at + 1 < rest.len;
}

bool
pw_dmarc_uri_next(struct pw_bytes *rest, struct pw_bytes *uri)
{
	while (rest->len > 0) {
		ptrdiff_t comma = pw_bytes_chr(*rest, ',');
		size_t n = comma >= 0 ? (size_t)comma : rest->len;
		ptrdiff_t size;

		*uri = trim_wsp(pw_bytes_sub(*rest, 0, n));
		*rest = pw_bytes_sub(*rest, n < rest->len ? n + 1 : n,
		    rest->len);
		size = pw_bytes_chr(*uri, '!');
		if (size >= 0)
			*uri = pw_bytes_sub(*uri, 0, (size_t)size);
		if (uri_ok(*uri))
			return true;
	}
	return false;
}
