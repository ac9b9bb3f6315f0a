/* SPDX-License-Identifier: ISC */
/* Views: who may see what.  Any thread. */
#include "storage/view.h"

#include <string.h>

const struct pw_view pw_view_all = { .kind = PW_VIEW_ALL };

int
pw_view_parse(const char *text, struct pw_view *out)
{
	struct pw_bytes b = pw_bytes_of(text);
	struct pw_view v = { .kind = PW_VIEW_DOMAIN };
	char domain[PW_ADDR_DOMAIN_SIZE], whole[PW_ADDR_SIZE];
	ssize_t n;

	if (pw_bytes_chr(b, '@') >= 0) {
		v.kind = PW_VIEW_MAILBOX;
		n = pw_addr_whole(b, whole);
		if (n > 0)
			memcpy(v.name, whole, (size_t)n);
	} else {
		n = pw_addr_domain(b, domain);
		v.name[0] = '@';
		if (n > 0)
			memcpy(v.name + 1, domain, (size_t)n);
	}
	if (n <= 0)
		return -1;
	*out = v;
	return 0;
}

struct pw_bytes
pw_view_suffix(const struct pw_view *v)
{
	return v->kind == PW_VIEW_DOMAIN ? pw_bytes_of(v->name)
					 : PW_BYTES_NONE;
}

struct pw_bytes
pw_view_domain(const struct pw_view *v)
{
	return v->kind == PW_VIEW_DOMAIN ? pw_bytes_of(v->name + 1)
					 : PW_BYTES_NONE;
}

struct pw_bytes
pw_view_mailbox(const struct pw_view *v)
{
	return v->kind == PW_VIEW_MAILBOX ? pw_bytes_of(v->name)
					  : PW_BYTES_NONE;
}

bool
pw_view_has(const struct pw_view *v, struct pw_bytes address)
{
	char form[PW_ADDR_SIZE];
	struct pw_bytes key = pw_addr_key(address, form);
	ptrdiff_t at = pw_bytes_rchr(key, '@');

	switch (v->kind) {
	case PW_VIEW_ALL:
		return true;
	case PW_VIEW_MAILBOX:
		return pw_bytes_eq(key, pw_bytes_of(v->name));
	default:
		return at >= 0 &&
		    pw_bytes_eq(pw_bytes_sub(key, (size_t)at, key.len),
			pw_bytes_of(v->name));
	}
}
