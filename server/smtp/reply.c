/* SPDX-License-Identifier: ISC */
/* Forming replies. */
#include "smtp/reply.h"

#include "base/err.h"
#include "base/valid.h"

/* "550 5.1.1 text" or "220 text". */
static const char *const texts[PW_R_COUNT] = {
#define PW_X(id, code, enh, text) code " " enh " " text,
	PW_REPLIES(PW_X)
#undef PW_X
};

/* The table's texts with an empty enhanced code have two spaces there. */
static const char *
rest_of(const char *text)
{
	return text[4] == ' ' ? text + 5 : text + 4;
}

size_t
pw_reply_format(enum pw_reply_id id, struct pw_bytes value,
    char out[PW_REPLY_MAX])
{
	const char *p = texts[id];
	size_t n = 4, max = PW_REPLY_MAX - 2;

	memcpy(out, p, 4);
	for (p = rest_of(p); *p != '\0' && n < max; p++) {
		size_t part;

		if (*p != '$') {
			out[n++] = *p;
			continue;
		}
		part = value.len < max - n ? value.len : max - n;
		if (part > 0)
			memcpy(out + n, value.ptr, part);
		n += part;
	}
	return n;
}

const char *
pw_reply_text(enum pw_reply_id id)
{
	PW_ASSERT(strchr(texts[id], '$') == NULL && texts[id][4] != ' ');
	return texts[id];
}

static bool
is_enhanced(struct pw_bytes b, int first, size_t *len)
{
	size_t i = 2;

	if (b.len < 5 || b.ptr[0] != first || b.ptr[1] != '.')
		return false;
	for (int part = 0; part < 2; part++) {
		size_t digits = 0;

		while (i < b.len && pw_is_digit((unsigned char)b.ptr[i])) {
			digits++;
			i++;
		}
		if (digits < 1 || digits > 3)
			return false;
		if (part == 0 && (i >= b.len || b.ptr[i++] != '.'))
			return false;
	}
	*len = i;
	return true;
}

int
pw_reply_check(struct pw_peer_bytes text, int first, struct pw_bytes *out)
{
	struct pw_bytes b;
	size_t len;

	*out = PW_BYTES_NONE;
	if (pw_valid_text(text, PW_REPLY_MAX - 2, &b) != 0 || b.len < 10)
		return -1;
	if (first == 0 ? b.ptr[0] != '4' && b.ptr[0] != '5'
		       : b.ptr[0] != first)
		return -1;
	if (b.ptr[1] < '0' || b.ptr[1] > '5' ||
	    !pw_is_digit((unsigned char)b.ptr[2]) || b.ptr[3] != ' ' ||
	    !is_enhanced(pw_bytes_sub(b, 4, b.len), b.ptr[0], &len) ||
	    (b.len > 4 + len && b.ptr[4 + len] != ' '))
		return -1;
	/* 421 says that the session ends, which is not a stage's to say. */
	if (memcmp(b.ptr, "421", 3) == 0)
		return -1;
	*out = b;
	return 0;
}

void
pw_reply_multi(struct pw_strbuf *sb, const char *code, bool last,
    struct pw_bytes line)
{
	pw_strbuf_adds(sb, code);
	pw_strbuf_addc(sb, last ? ' ' : '-');
	pw_strbuf_add(sb, line);
	pw_strbuf_adds(sb, "\r\n");
}
