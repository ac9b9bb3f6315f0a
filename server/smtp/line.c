/* SPDX-License-Identifier: ISC */
/* Finding command lines in the input of a session. */
#include "smtp/line.h"

/* Uses up all of IN to the next CRLF, or all but a CR at its end. */
static bool
skip_line(struct pw_bytes in, size_t *used)
{
	const char *p = in.ptr, *end = in.ptr + in.len;

	while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		p++;
		if (p - in.ptr >= 2 && p[-2] == '\r') {
			*used = (size_t)(p - in.ptr);
			return true;
		}
	}
	*used = in.len > 0 && end[-1] == '\r' ? in.len - 1 : in.len;
	return false;
}

static enum pw_line_result
finish(struct pw_line *l, struct pw_bytes in, const char *lf, size_t max,
    size_t *used, struct pw_bytes *line)
{
	size_t len = (size_t)(lf - in.ptr);

	l->seen = 0;
	*used = len + 1;
	if (len == 0 || lf[-1] != '\r') {
		/* Reported now, since a client that knows only LF sends no
		 * CRLF; the line still lasts to its CRLF. */
		l->skip = true;
		return len > max ? PW_LINE_LONG : PW_LINE_BARE;
	}
	len--;
	if (len > max)
		return PW_LINE_LONG;
	if (memchr(in.ptr, '\r', len) != NULL)
		return PW_LINE_BARE;
	if (memchr(in.ptr, '\0', len) != NULL)
		return PW_LINE_NUL;
	*line = pw_bytes(in.ptr, len);
	return PW_LINE_READY;
}

enum pw_line_result
pw_line_next(struct pw_line *l, struct pw_bytes in, size_t max, size_t *used,
    struct pw_bytes *line)
{
	const char *lf;
	size_t skipped = 0;
	enum pw_line_result r;

	*used = 0;
	*line = PW_BYTES_NONE;
	if (in.len == 0)
		return PW_LINE_MORE;
	if (l->skip) {
		if (!skip_line(in, used))
			return PW_LINE_MORE;
		l->skip = false;
		skipped = *used;
		in = pw_bytes_sub(in, skipped, in.len);
		if (in.len == 0)
			return PW_LINE_MORE;
	}
	if (l->seen > in.len)
		l->seen = 0;
	lf = memchr(in.ptr + l->seen, '\n', in.len - l->seen);
	if (lf != NULL) {
		r = finish(l, in, lf, max, used, line);
		*used += skipped;
		return r;
	}
	if (in.len > max + 1) {
		/* No line end in reach: over the bound whatever follows. */
		l->seen = 0;
		l->skip = true;
		*used = skipped + in.len - (in.ptr[in.len - 1] == '\r');
		return PW_LINE_LONG;
	}
	l->seen = (uint32_t)in.len;
	*used = skipped;
	return PW_LINE_MORE;
}
