/* SPDX-License-Identifier: ISC */
/*
 * Reads Authentication-Results values that authres.c wrote, from the decision
 * records: for reports, in the admin's program.  Not a reader of other people's
 * fields.
 */
#include "filters/authres.h"

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Octets up to the first of STOP or white space (where SPACES) outside of
 * quotes. */
static size_t
until(struct pw_bytes v, char stop, bool spaces)
{
	bool quoted = false;
	size_t i = 0;

	for (; i < v.len; i++) {
		char c = v.ptr[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == stop || (spaces && is_space(c))))
			break;
	}
	return i < v.len ? i : v.len;
}

static const char *
unquoted(struct pw_pool *pool, struct pw_bytes v)
{
	char *out = pw_pool_alloc(pool, v.len + 1);
	size_t o = 0;

	if (out == NULL)
		return "";
	for (size_t i = 0; i < v.len; i++) {
		if (v.ptr[i] == '"')
			continue;
		if (v.ptr[i] == '\\' && i + 1 < v.len)
			i++;
		out[o++] = v.ptr[i];
	}
	out[o] = '\0';
	return out;
}

/* One "name=value" of the entry. */
static void
add_pair(struct pw_authres_entry *e, struct pw_pool *pool,
    struct pw_bytes pair)
{
	ptrdiff_t eq = pw_bytes_chr(pair, '=');
	const char *name, *value;

	if (eq <= 0)
		return;
	name = unquoted(pool, pw_bytes_sub(pair, 0, (size_t)eq));
	value = unquoted(pool, pw_bytes_sub(pair, (size_t)eq + 1, pair.len));
	if (e->method == NULL) {
		e->method = name;
		e->result = value;
	} else if (strcmp(name, "reason") == 0) {
		e->reason = value;
	} else if (e->nprop < PW_AUTHRES_PROPS) {
		e->prop[e->nprop].name = name;
		e->prop[e->nprop++].value = value;
	}
}

bool
pw_authres_next(struct pw_bytes *rest, struct pw_pool *pool,
    struct pw_authres_entry *out)
{
	for (;;) {
		size_t n = until(*rest, ';', false);
		struct pw_bytes item;

		if (n == rest->len)
			return false;
		*rest = pw_bytes_sub(*rest, n + 1, rest->len);
		item = pw_bytes_trim(pw_bytes_sub(*rest, 0,
		    until(*rest, ';', false)));
		*out = (struct pw_authres_entry){ .reason = "" };
		while (item.len > 0) {
			n = until(item, ' ', true);
			add_pair(out, pool, pw_bytes_sub(item, 0, n));
			item = pw_bytes_trim(pw_bytes_sub(item, n, item.len));
		}
		if (out->method != NULL)
			return true;
	}
}

const char *
pw_authres_prop(const struct pw_authres_entry *e, const char *name)
{
	for (size_t i = 0; i < e->nprop; i++)
		if (strcmp(e->prop[i].name, name) == 0)
			return e->prop[i].value;
	return NULL;
}
