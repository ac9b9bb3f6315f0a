/* SPDX-License-Identifier: ISC */
/*
 * Splits a header section into fields, without judging them.  A line that is
 * neither a field nor a continuation is kept as a field without name, so that
 * the offsets of all others are right.
 */
#include "filters/msgview.h"

/* Octets of the line at P with its end. */
static size_t
line_len(struct pw_bytes b, size_t p)
{
	const char *nl = memchr(b.ptr + p, '\n', b.len - p);

	return nl != NULL ? (size_t)(nl - (b.ptr + p)) + 1 : b.len - p;
}

static bool
is_empty_line(const char *p, size_t n)
{
	return (n == 1 && p[0] == '\n') ||
	    (n == 2 && p[0] == '\r' && p[1] == '\n');
}

static struct pw_bytes
field_name(struct pw_bytes raw)
{
	ptrdiff_t colon = pw_bytes_chr(raw, ':');
	struct pw_bytes name;

	if (colon <= 0)
		return PW_LIT("");
	name = pw_bytes_sub(raw, 0, (size_t)colon);
	while (name.len > 0 &&
	    (name.ptr[name.len - 1] == ' ' || name.ptr[name.len - 1] == '\t'))
		name.len--;
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] < 0x21 || name.ptr[i] > 0x7e)
			return PW_LIT("");
	return name;
}

static int
add_field(struct pw_msgview *v, struct pw_bytes raw, struct pw_pool *pool,
    size_t *room)
{
	if (raw.len > PW_FIELD_CAP)
		v->capped = true;
	if (v->nfield == PW_FIELDS_MAX) {
		v->capped = true;
		if (v->unread == 0)
			v->unread = (size_t)(raw.ptr - v->all.ptr);
		return 0;
	}
	if (v->nfield == *room) {
		size_t more = *room > 0 ? *room * 2 : 32;
		struct pw_fieldref *f = pw_pool_array(pool, more, sizeof(*f));

		if (f == NULL)
			return -1;
		if (v->nfield > 0)
			memcpy(f, v->field, v->nfield * sizeof(*f));
		v->field = f;
		*room = more;
	}
	v->field[v->nfield].name = field_name(raw);
	v->field[v->nfield++].raw = raw;
	return 0;
}

int
pw_msgview_init(struct pw_msgview *v, struct pw_bytes message,
    struct pw_pool *pool)
{
	size_t pos = 0, start = 0, room = 0;

	*v = (struct pw_msgview){ .all = message };
	while (pos < message.len) {
		size_t n = line_len(message, pos);
		char c = message.ptr[pos];

		if (is_empty_line(message.ptr + pos, n))
			break;
		if (pos > start && c != ' ' && c != '\t') {
			if (add_field(v, pw_bytes_sub(message, start,
			    pos - start), pool, &room) < 0)
				return -1;
			start = pos;
		}
		pos += n;
	}
	if (pos > start && add_field(v, pw_bytes_sub(message, start,
	    pos - start), pool, &room) < 0)
		return -1;
	v->header_len = pos;
	v->body = pos < message.len ? pos + line_len(message, pos) : pos;
	if (v->header_len > PW_HEADER_CAP)
		v->capped = true;
	return 0;
}

struct pw_bytes
pw_msgview_value(const struct pw_fieldref *f)
{
	ptrdiff_t colon = pw_bytes_chr(f->raw, ':');

	if (f->name.len == 0 || colon < 0)
		return PW_LIT("");
	return pw_bytes_sub(f->raw, (size_t)colon + 1, f->raw.len);
}
