/* SPDX-License-Identifier: ISC */
/*
 * The header is "3 V<uidvalidity> N<next uid> G<guid>"; a line is "<uid>
 * <fields> :<file name>", its fields each a letter with a value.  See
 * uidlist.h.
 */
#include "storage/uidlist.h"

#define LINE_MAX 4096

/* Cuts the next line off IN; false when none is whole. */
static bool
next_line(struct pw_bytes *in, struct pw_bytes *line)
{
	ptrdiff_t nl = pw_bytes_chr(*in, '\n');

	if (nl < 0)
		return false;
	*line = pw_bytes_sub(*in, 0, (size_t)nl);
	*in = pw_bytes_sub(*in, (size_t)nl + 1, in->len);
	return true;
}

/* The next word, cut off IN; empty at the end. */
static struct pw_bytes
next_word(struct pw_bytes *in)
{
	while (in->len > 0 && in->ptr[0] == ' ')
		*in = pw_bytes_sub(*in, 1, in->len);
	ptrdiff_t end = pw_bytes_chr(*in, ' ');
	size_t n = end >= 0 ? (size_t)end : in->len;
	struct pw_bytes word = pw_bytes_sub(*in, 0, n);
	*in = pw_bytes_sub(*in, n, in->len);
	return word;
}

static int
parse_header(struct pw_bytes line, struct pw_uidlist *out)
{
	struct pw_bytes word = next_word(&line);
	uint64_t v;

	*out = (struct pw_uidlist){ 0 };
	if (!pw_bytes_eq(word, PW_LIT("3")))
		return -1;
	while ((word = next_word(&line)).len > 0) {
		if (word.ptr[0] != 'V' && word.ptr[0] != 'N')
			continue;
		if (pw_bytes_u64(pw_bytes_sub(word, 1, word.len), UINT32_MAX,
			&v) != 0)
			return -1;
		if (word.ptr[0] == 'V')
			out->uidvalidity = (uint32_t)v;
		else
			out->next_uid = (uint32_t)v;
	}
	return out->uidvalidity != 0 ? 0 : -1;
}

int
pw_uidlist_parse(struct pw_bytes text, struct pw_uidlist *out,
    pw_uidlist_fn fn, void *arg)
{
	struct pw_bytes line;
	uint64_t uid;

	if (!next_line(&text, &line) || parse_header(line, out) != 0)
		return -1;
	while (next_line(&text, &line)) {
		if (line.len > LINE_MAX ||
		    pw_bytes_u64(next_word(&line), UINT32_MAX, &uid) != 0 ||
		    uid == 0)
			continue;
		/* Values of fields hold no " :"; a file name may. */
		while (line.len >= 2 &&
		    !(line.ptr[0] == ' ' && line.ptr[1] == ':'))
			line = pw_bytes_sub(line, 1, line.len);
		struct pw_bytes name = pw_bytes_sub(line, 2, line.len);
		ptrdiff_t info = pw_bytes_chr(name, ':');
		if (info >= 0)
			name = pw_bytes_sub(name, 0, (size_t)info);
		if (name.len > 0 && pw_bytes_chr(name, '/') < 0 &&
		    pw_bytes_chr(name, '\0') < 0)
			fn(arg, (uint32_t)uid, name);
	}
	return 0;
}
