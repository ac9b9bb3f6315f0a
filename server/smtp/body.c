/* SPDX-License-Identifier: ISC */
/* Receiving the octets of a message: the state machine, counters, storage. */
#include "smtp/body.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/pool.h"

#define BUF_FIRST 4096u
#define BUF_MAX 65536u
#define BUDGET_STEP 16384u

void
pw_body_init(struct pw_body *b, const struct pw_body_limits *limit,
    struct pw_budget *budget)
{
	memset(b, 0, sizeof(*b));
	b->limit = *limit;
	b->budget = budget;
	b->fd = -1;
	b->in_header = true;
}

static void
drop_storage(struct pw_body *b)
{
	if (b->fd >= 0)
		(void)close(b->fd);
	b->fd = -1;
	b->fd_len = 0;
	free(b->buf);
	b->buf = NULL;
	b->len = b->cap = 0;
	atomic_fetch_sub_explicit(&b->budget->used, b->reserved,
	    memory_order_relaxed);
	b->reserved = 0;
}

void
pw_body_free(struct pw_body *b)
{
	drop_storage(b);
}

/* ---- storage ---------------------------------------------------------------- */

static bool
reserve(struct pw_body *b, uint64_t total)
{
	uint64_t want, used;

	if (total <= b->reserved)
		return true;
	want = (total - b->reserved + BUDGET_STEP - 1) / BUDGET_STEP *
	    BUDGET_STEP;
	used = atomic_fetch_add_explicit(&b->budget->used, want,
	    memory_order_relaxed);
	if (used > b->budget->max || want > b->budget->max - used) {
		atomic_fetch_sub_explicit(&b->budget->used, want,
		    memory_order_relaxed);
		return false;
	}
	b->reserved += want;
	return true;
}

void
pw_body_release(struct pw_body *b, uint64_t len)
{
	uint64_t give = len < b->reserved ? len : b->reserved;

	b->reserved -= give;
	atomic_fetch_sub_explicit(&b->budget->used, give,
	    memory_order_relaxed);
}

static bool
write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return false;
		p += w;
		n -= (size_t)w;
	}
	return true;
}

/* Moves what is buffered into the memfd. */
static bool
flush(struct pw_body *b)
{
	if (b->fd < 0)
		b->fd = memfd_create("message",
		    MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (b->fd < 0 || !write_all(b->fd, b->buf, b->len))
		return false;
	b->fd_len += b->len;
	b->len = 0;
	return true;
}

static bool
room(struct pw_body *b, size_t n)
{
	uint32_t cap = b->cap == 0 ? BUF_FIRST : b->cap;

	if (b->len + n <= b->cap)
		return true;
	while (cap < b->len + n && cap < BUF_MAX)
		cap *= 4;
	if (cap > b->cap) {
		b->buf = pw_xrealloc(b->buf, cap, 1);
		b->cap = cap;
	}
	return b->len + n <= b->cap || flush(b);
}

static void
fail_storage(struct pw_body *b, unsigned fault)
{
	b->faults |= fault;
	drop_storage(b);
}

/* Nothing is kept any more once the message cannot be accepted. */
static bool
is_dropping(const struct pw_body *b)
{
	return b->faults != 0;
}

static void
keep(struct pw_body *b, const char *p, size_t n)
{
	if (is_dropping(b)) {
		b->over += n;
		return;
	}
	if (b->size + n > b->limit.max_message) {
		b->over += n;
		fail_storage(b, PW_BODY_TOO_BIG);
		return;
	}
	b->size += n;
	if (!reserve(b, b->fd_len + b->len + n)) {
		fail_storage(b, PW_BODY_NO_MEMORY);
		return;
	}
	while (n > 0) {
		size_t part = n < BUF_MAX ? n : BUF_MAX;

		if (!room(b, part)) {
			fail_storage(b, PW_BODY_NO_MEMORY);
			return;
		}
		memcpy(b->buf + b->len, p, part);
		b->len += (uint32_t)part;
		p += part;
		n -= part;
	}
}

int
pw_body_take(struct pw_body *b, uint64_t *len)
{
	int fd;

	*len = b->fd_len + b->len;
	if (is_dropping(b))
		return -1;
	if (!flush(b) || fcntl(b->fd, F_ADD_SEALS, F_SEAL_SHRINK |
		    F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
		fail_storage(b, PW_BODY_NO_MEMORY);
		return -1;
	}
	free(b->buf);
	b->buf = NULL;
	b->cap = 0;
	fd = b->fd;
	b->fd = -1;
	b->fd_len = 0;
	b->pieced += *len;
	return fd;
}

/* ---- counters --------------------------------------------------------------- */

static void
add_head(struct pw_body *b, const char *p, size_t n)
{
	while (n > 0 && b->nhead < sizeof(b->head)) {
		b->head[b->nhead++] = *p++;
		n--;
	}
}

/* A line has ended; the counters hold it, LF and a CR before it left out. */
static void
end_line(struct pw_body *b, uint64_t at)
{
	uint64_t len = b->line_len - (b->last_cr ? 1 : 0);

	if (len > b->longest)
		b->longest = len;
	if (len > b->limit.max_line)
		b->faults |= PW_BODY_LONG_LINE;
	if (b->in_header) {
		if (len == 0) {
			b->in_header = false;
		} else {
			b->header_len = at;
			if (pw_bytes_has_prefix_ci(
				pw_bytes(b->head, b->nhead),
				PW_LIT("received:")))
				b->hops++;
		}
		if (b->header_len > b->limit.max_header)
			b->faults |= PW_BODY_HEADER;
	}
	b->line_len = 0;
	b->nhead = 0;
	b->last_cr = false;
}

/* Counts octets of the message; OFFSET is where they begin in it. */
static void
count(struct pw_body *b, const char *p, size_t n, uint64_t offset)
{
	const char *start = p, *end = p + n;

	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		const char *stop = lf != NULL ? lf : end;

		if (stop > p) {
			if (b->in_header)
				add_head(b, p, (size_t)(stop - p));
			b->line_len += (uint64_t)(stop - p);
			b->last_cr = stop[-1] == '\r';
		}
		if (lf == NULL)
			break;
		p = lf + 1;
		end_line(b, offset + (uint64_t)(p - start));
	}
	/* A line or header without end must be noticed before its end. */
	if (b->line_len > (uint64_t)b->limit.max_line + 1)
		b->faults |= PW_BODY_LONG_LINE;
	if (b->in_header && offset + n > b->limit.max_header + 2)
		b->faults |= PW_BODY_HEADER;
}

static void
emit(struct pw_body *b, const char *p, size_t n)
{
	uint64_t offset = b->size + b->over;

	if (n == 0)
		return;
	count(b, p, n, offset);
	keep(b, p, n);
}

static bool
piece_full(const struct pw_body *b)
{
	return !is_dropping(b) && b->fd_len + b->len >= b->limit.piece;
}

void
pw_body_finish(struct pw_body *b)
{
	if (b->line_len > 0)
		end_line(b, b->size);
	if (b->in_header)
		b->header_len = b->size;
	if (is_dropping(b))
		drop_storage(b);
}

/* ---- DATA --------------------------------------------------------------------- */

/* A CR that no LF follows. */
static void
bare_cr(struct pw_body *b)
{
	if (b->limit.normalize) {
		emit(b, "\r\n", 2);
	} else {
		b->faults |= PW_BODY_BARE_CR;
		emit(b, "\r", 1);
	}
}

static void
bare_lf(struct pw_body *b)
{
	if (b->limit.normalize) {
		emit(b, "\r\n", 2);
	} else {
		b->faults |= PW_BODY_BARE_LF;
		emit(b, "\n", 1);
	}
}

/*
 * One octet in the states where single octets matter.  Returns 1 when it was
 * used up, 0 when the new state is to look at it again.
 */
static size_t
step(struct pw_body *b, char c)
{
	switch (b->state) {
	case PW_BODY_BOL:
		b->state = c == '.' ? PW_BODY_DOT : PW_BODY_TEXT;
		return c == '.';
	case PW_BODY_DOT:
		b->state = c == '\r' ? PW_BODY_DOTCR : PW_BODY_TEXT;
		return c == '\r';
	case PW_BODY_DOTCR:
		if (c == '\n') {
			b->state = PW_BODY_END;
			return 1;
		}
		b->state = PW_BODY_CR;
		return 0;
	case PW_BODY_CR:
		if (c == '\n') {
			emit(b, "\r\n", 2);
			b->state = PW_BODY_BOL;
			return 1;
		}
		bare_cr(b);
		b->state = PW_BODY_TEXT;
		return 0;
	default:
		return 0;
	}
}

/*
 * Text from P on, in state TEXT: runs over whole lines as long as nothing
 * needs a closer look.  Returns the octets used.
 */
static size_t
run_text(struct pw_body *b, const char *p, const char *end)
{
	const char *start = p;

	for (;;) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		const char *stop = lf != NULL ? lf : end;
		const char *cr = memchr(p, '\r', (size_t)(stop - p));

		if (cr != NULL && (lf == NULL || cr != lf - 1)) {
			emit(b, start, (size_t)(cr - start));
			b->state = PW_BODY_CR;
			return (size_t)(cr - start) + 1;
		}
		if (lf == NULL) {
			emit(b, start, (size_t)(end - start));
			return (size_t)(end - start);
		}
		if (cr == NULL) {
			emit(b, start, (size_t)(lf - start));
			bare_lf(b);
			return (size_t)(lf - start) + 1;
		}
		p = lf + 1;
		if (p == end || *p == '.') {
			emit(b, start, (size_t)(p - start));
			b->state = PW_BODY_BOL;
			return (size_t)(p - start);
		}
	}
}

enum pw_body_result
pw_body_data(struct pw_body *b, struct pw_bytes in, size_t *used)
{
	size_t i = 0;

	while (i < in.len && b->state != PW_BODY_END && !piece_full(b)) {
		if (b->state != PW_BODY_TEXT) {
			i += step(b, in.ptr[i]);
			continue;
		}
		/* A stretch at a time, so that a piece ends near its bound. */
		size_t n = in.len - i < BUF_MAX ? in.len - i : BUF_MAX;

		i += run_text(b, in.ptr + i, in.ptr + i + n);
	}
	if (i > 0 && memchr(in.ptr, '\0', i) != NULL)
		b->faults |= PW_BODY_NUL;
	*used = i;
	if (b->state == PW_BODY_END)
		return PW_BODY_DONE;
	return piece_full(b) ? PW_BODY_PIECE : PW_BODY_MORE;
}

/* ---- BDAT ---------------------------------------------------------------------- */

enum pw_body_result
pw_body_chunk(struct pw_body *b, struct pw_bytes in, size_t *used)
{
	size_t i = 0;

	while (i < in.len && !piece_full(b)) {
		size_t n = in.len - i < BUF_MAX ? in.len - i : BUF_MAX;

		emit(b, in.ptr + i, n);
		i += n;
	}
	*used = i;
	return piece_full(b) ? PW_BODY_PIECE : PW_BODY_MORE;
}
