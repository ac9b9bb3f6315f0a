/* SPDX-License-Identifier: ISC */
/*
 * Line ends of filed messages: finding out whether they may be turned into LF,
 * turning them, and counting what Dovecot's W= counts.  Writer threads of the
 * store role.
 */
#include "storage/msgfile.h"

#include <errno.h>
#include <sys/uio.h>

#include "storage/sysio.h"

bool
pw_msgfile_piece(const struct pw_cut *cut, size_t ncut, uint64_t size,
    size_t i, uint64_t *from, uint64_t *len)
{
	uint64_t at = 0;
	size_t seen = 0;

	for (size_t c = 0; c <= ncut; c++) {
		uint64_t end = c < ncut ? cut[c].offset : size;

		if (end > size)
			end = size;
		if (end > at && seen++ == i) {
			*from = at;
			*len = end - at;
			return true;
		}
		if (c < ncut && end + cut[c].len > at)
			at = end + cut[c].len;
	}
	return false;
}

/*
 * IN with LF for CRLF to OUT; the length, or -1 when a CR or an LF stands by
 * itself.  Two searches a line by the C library's vector code; the second one
 * never goes beyond what the first has passed.
 */
static ptrdiff_t
to_lf(char *out, const char *in, size_t n)
{
	char *o = out;

	if (n == 0)
		return 0;
	for (const char *end = in + n; in < end;) {
		const char *cr = memchr(in, '\r', (size_t)(end - in));
		size_t run = (size_t)((cr != NULL ? cr : end) - in);

		if (memchr(in, '\n', run) != NULL)
			return -1;
		memcpy(o, in, run);
		o += run;
		in += run;
		if (cr == NULL)
			break;
		if (end - cr < 2 || cr[1] != '\n')
			return -1;
		*o++ = '\n';
		in += 2;
	}
	return o - out;
}

/* LFs of B that no CR stands before; LAST is the byte before B, then that of
 * its end. */
static uint64_t
count_bare_lf(struct pw_bytes b, char *last)
{
	uint64_t n = 0;

	for (size_t i = 0; i < b.len; i++) {
		const char *p = memchr(b.ptr + i, '\n', b.len - i);
		if (p == NULL)
			break;
		i = (size_t)(p - b.ptr);
		if ((i > 0 ? p[-1] : *last) != '\r')
			n++;
	}
	if (b.len > 0)
		*last = b.ptr[b.len - 1];
	return n;
}

static bool
body_lf(char *out, struct pw_bytes src, const struct pw_cut *cut, size_t ncut,
    struct pw_msgform *form)
{
	uint64_t from, len;

	*form = (struct pw_msgform){ .lf = true };
	for (size_t i = 0;
	     pw_msgfile_piece(cut, ncut, src.len, i, &from, &len); i++) {
		ptrdiff_t n = to_lf(out + form->size, src.ptr + from, len);
		if (n < 0)
			return false;
		form->size += (uint64_t)n;
		form->vsize += len;
	}
	return true;
}

void
pw_msgfile_body(char *out, struct pw_bytes src, const struct pw_cut *cut,
    size_t ncut, struct pw_msgform *form)
{
	uint64_t from, len, bare = 0;
	char last = '\n';

	if (body_lf(out, src, cut, ncut, form))
		return;
	*form = (struct pw_msgform){ .lf = false };
	for (size_t i = 0;
	     pw_msgfile_piece(cut, ncut, src.len, i, &from, &len); i++) {
		memcpy(out + form->size, src.ptr + from, len);
		bare += count_bare_lf(pw_bytes(src.ptr + from, len), &last);
		form->size += len;
	}
	form->vsize = form->size + bare;
}

size_t
pw_msgfile_prefix(char *out, struct pw_bytes prefix, struct pw_msgform *form)
{
	ptrdiff_t n = form->lf ? to_lf(out, prefix.ptr, prefix.len) : -1;
	char last = '\n';

	if (n < 0) {
		if (prefix.len > 0)
			memcpy(out, prefix.ptr, prefix.len);
		n = (ptrdiff_t)prefix.len;
		form->vsize += prefix.len + count_bare_lf(prefix, &last);
	} else {
		form->vsize += prefix.len;
	}
	form->size += (uint64_t)n;
	return (size_t)n;
}

/* ---- larger than memory --------------------------------------------------- */

struct chunk {
	uint64_t at, left; /* in this piece */
	size_t piece;
};

/*
 * The next chunk of the pieces into BUF: its length, 0 at the end, -1 on
 * error.  A chunk that is not its piece's last one never ends in CR, so that
 * each can be judged and turned by itself.
 */
static ptrdiff_t
next_chunk(struct chunk *c, int fd, uint64_t size, const struct pw_cut *cut,
    size_t ncut, char *buf, size_t n)
{
	if (c->left == 0 &&
	    !pw_msgfile_piece(cut, ncut, size, c->piece++, &c->at, &c->left))
		return 0;
	size_t len = c->left < n ? (size_t)c->left : n;

	if (pw_sys_pread(fd, buf, len, (off_t)c->at) < 0)
		return -1;
	if (len < c->left && buf[len - 1] == '\r' && len > 1)
		len--;
	c->at += len;
	c->left -= len;
	return (ptrdiff_t)len;
}

/* Pairs, lone CRs and lone LFs among N bytes. */
static bool
only_pairs(const char *in, size_t n, uint64_t *pairs)
{
	const char *end = in + n;

	while (in < end) {
		const char *cr = memchr(in, '\r', (size_t)(end - in));
		size_t run = (size_t)((cr != NULL ? cr : end) - in);

		if (memchr(in, '\n', run) != NULL)
			return false;
		if (cr == NULL)
			break;
		if (end - cr < 2 || cr[1] != '\n')
			return false;
		(*pairs)++;
		in += run + 2;
	}
	return true;
}

int
pw_msgfile_scan(int fd, uint64_t size, const struct pw_cut *cut, size_t ncut,
    char *buf, size_t n, struct pw_msgform *form)
{
	struct chunk c = { 0 };
	uint64_t pairs = 0, bare = 0, total = 0;
	bool pure = true;
	char last = '\n';
	ptrdiff_t len;

	while ((len = next_chunk(&c, fd, size, cut, ncut, buf, n)) > 0) {
		if (pure)
			pure = only_pairs(buf, (size_t)len, &pairs);
		bare += count_bare_lf(pw_bytes(buf, (size_t)len), &last);
		total += (uint64_t)len;
	}
	*form = (struct pw_msgform){ .lf = pure,
		.size = pure ? total - pairs : total,
		.vsize = pure ? total : total + bare };
	return len < 0 ? -1 : 0;
}

int
pw_msgfile_copy(int out, int fd, uint64_t size, const struct pw_cut *cut,
    size_t ncut, bool lf, char *buf, char *half, size_t n)
{
	struct chunk c = { 0 };
	ptrdiff_t len;

	while ((len = next_chunk(&c, fd, size, cut, ncut, buf, n)) > 0) {
		struct iovec iov = { buf, (size_t)len };

		if (lf) {
			len = to_lf(half, buf, (size_t)len);
			if (len < 0) {
				/* It changed since it was judged. */
				errno = EIO;
				return -1;
			}
			iov = (struct iovec){ half, (size_t)len };
		}
		if (pw_sys_writev(out, &iov, 1) < 0)
			return -1;
	}
	return len < 0 ? -1 : 0;
}
