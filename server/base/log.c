/* SPDX-License-Identifier: ISC */
/*
 * Log lines: built in the caller's frame without touching the heap, escaped,
 * and written at once.  Any thread of any role; only pw_log_role() and
 * pw_log_to() belong to start-up.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/valid.h"

/* One value may not push all others out of the line. */
#define VALUE_MAX 1200
/* Room that values leave for what pw_log_end() adds: truncated=1 and dropped=N
 * in JSON's form with quote, brace and line end, each number counted as 24. */
#define TAIL_MAX 96

static char log_role[32] = "main";
static _Atomic int log_fd = 2;
static _Atomic int log_min = PW_LOG_INFO;
static _Atomic int log_format = PW_LOG_KV;
static _Atomic uint64_t dropped_all;
static _Atomic uint64_t dropped_unsaid;

static const char level_name[][8] = { "debug", "info", "notice", "warn",
	"error" };

void
pw_log_role(const char *role)
{
	(void)snprintf(log_role, sizeof(log_role), "%s", role);
}

void
pw_log_to(int fd, enum pw_log_level min, enum pw_log_format format)
{
	atomic_store(&log_fd, fd);
	atomic_store(&log_min, (int)min);
	atomic_store(&log_format, (int)format);
}

void
pw_log_level_set(enum pw_log_level min, enum pw_log_format format)
{
	atomic_store(&log_min, (int)min);
	atomic_store(&log_format, (int)format);
}

enum pw_log_level
pw_log_level(void)
{
	return (enum pw_log_level)atomic_load_explicit(&log_min,
	    memory_order_relaxed);
}

uint64_t
pw_log_dropped(void)
{
	return atomic_load(&dropped_all);
}

/* ---- escaping ----------------------------------------------------------- */

/* The longest escaped character: four bytes as \\xNN. */
#define PIECE_MAX 20

/*
 * The escaped form of the first character of IN (not empty) in PIECE, its
 * length in *OUT_LEN; returns how many bytes of IN that was.  For JSON the
 * backslash is doubled: decoded, both formats give the same text.
 */
static size_t
escape_one(struct pw_bytes in, bool json, char piece[PIECE_MAX],
    size_t *out_len)
{
	static const char hex[] = "0123456789abcdef";
	uint32_t cp = 0;
	size_t len = pw_utf8_next(in, &cp);
	size_t n = len > 0 ? len : 1, at = 0;

	if (len > 0 && !pw_is_deceptive(cp) && cp != '"' && cp != '\\') {
		memcpy(piece, in.ptr, n);
		*out_len = n;
		return n;
	}
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)in.ptr[i];
		piece[at++] = '\\';
		if (json)
			piece[at++] = '\\';
		piece[at++] = 'x';
		piece[at++] = hex[c >> 4];
		piece[at++] = hex[c & 0xf];
	}
	*out_len = at;
	return n;
}

/* Escapes as much of *IN as fits, whole characters, and takes it off. */
static size_t
escape_some(char *out, size_t size, bool json, struct pw_bytes *in)
{
	char piece[PIECE_MAX];
	size_t at = 0, n;

	while (in->len > 0) {
		size_t used = escape_one(*in, json, piece, &n);
		if (n >= size - at)
			break;
		memcpy(out + at, piece, n);
		at += n;
		*in = pw_bytes_sub(*in, used, SIZE_MAX);
	}
	out[at] = '\0';
	return at;
}

size_t
pw_escape(char *out, size_t size, struct pw_peer_bytes b)
{
	return size > 0 ? escape_some(out, size, false, &b.raw) : 0;
}

/* ---- building a line ---------------------------------------------------- */

/* Raw text of ours; false (and nothing added) when it does not fit before the
 * last RESERVE bytes. */
static bool
put(struct pw_log_line *l, size_t reserve, const char *text, size_t n)
{
	if (n + reserve >= sizeof(l->buf) - l->len) {
		l->truncated = true;
		return false;
	}
	memcpy(l->buf + l->len, text, n);
	l->len += n;
	return true;
}

/* The key, as our code names it, and what follows it. */
static bool
put_key(struct pw_log_line *l, size_t reserve, const char *key)
{
	char head[64];
	int n = snprintf(head, sizeof(head), l->json ? ",\"%s\":" : " %s=",
	    key);

	return n > 0 && (size_t)n < sizeof(head) &&
	    put(l, reserve, head, (size_t)n);
}

/* In key=value lines, whether a reader could mistake where V ends. */
static bool
wants_quotes(struct pw_bytes v)
{
	return v.len == 0 || pw_bytes_chr(v, ' ') >= 0 ||
	    pw_bytes_chr(v, '=') >= 0;
}

static void
put_value(struct pw_log_line *l, struct pw_bytes v)
{
	bool quotes = l->json || wants_quotes(v);

	/* TAIL_MAX includes the closing quote. */
	if (quotes && !put(l, TAIL_MAX, "\"", 1))
		return;
	size_t room = sizeof(l->buf) - l->len;
	room = room > TAIL_MAX ? room - TAIL_MAX : 0;
	if (room > VALUE_MAX)
		room = VALUE_MAX;
	if (room > 0)
		l->len += escape_some(l->buf + l->len, room, l->json, &v);
	if (v.len > 0)
		l->truncated = true;
	if (quotes)
		(void)put(l, 0, "\"", 1);
}

static void
put_pair(struct pw_log_line *l, const char *key, struct pw_bytes v)
{
	/* With room for the opening quote, so that a key has its value. */
	if (l->on && put_key(l, TAIL_MAX + 2, key))
		put_value(l, v);
}

static void
put_number(struct pw_log_line *l, size_t reserve, const char *key, int64_t v)
{
	char num[24];
	int n = snprintf(num, sizeof(num), "%lld", (long long)v);

	if (put_key(l, reserve + sizeof(num), key))
		(void)put(l, reserve, num, (size_t)n);
}

static void
begin_json(struct pw_log_line *l, const char *when, const char *level,
    const char *event)
{
	char head[192];
	int n = snprintf(head, sizeof(head),
	    "{\"time\":\"%s\",\"level\":\"%s\",\"role\":\"%s\",\"event\":"
	    "\"%s\"",
	    when, level, log_role, event);

	(void)put(l, 0, head, (size_t)n < sizeof(head) ? (size_t)n : 0);
}

static void
begin_kv(struct pw_log_line *l, const char *when, const char *level)
{
	char head[96];
	int n = snprintf(head, sizeof(head), "%s %s %s", when, level,
	    log_role);

	(void)put(l, 0, head, (size_t)n < sizeof(head) ? (size_t)n : 0);
}

void
pw_log_begin(struct pw_log_line *l, enum pw_log_level level,
    const char *event, const char *session, const char *id)
{
	char when[32];

	l->len = 0;
	l->truncated = false;
	l->on = level >= pw_log_level();
	if (!l->on)
		return;
	l->json = atomic_load_explicit(&log_format, memory_order_relaxed) ==
	    PW_LOG_JSON;
	(void)pw_clock_iso(when, pw_clock_real_us());
	if (l->json)
		begin_json(l, when, level_name[level], event);
	else
		begin_kv(l, when, level_name[level]);
	if (session != NULL && session[0] != '\0')
		pw_log_s(l, "session", session);
	if (id != NULL && id[0] != '\0')
		pw_log_s(l, "id", id);
	if (!l->json) {
		(void)put(l, TAIL_MAX, " ", 1);
		(void)put(l, TAIL_MAX, event, strlen(event));
	}
}

void
pw_log_s(struct pw_log_line *l, const char *key, const char *value)
{
	put_pair(l, key, pw_bytes_of(value));
}

void
pw_log_b(struct pw_log_line *l, const char *key, struct pw_bytes value)
{
	put_pair(l, key, value);
}

void
pw_log_peer(struct pw_log_line *l, const char *key, struct pw_peer_bytes value)
{
	put_pair(l, key, value.raw);
}

void
pw_log_i(struct pw_log_line *l, const char *key, int64_t value)
{
	if (l->on)
		put_number(l, TAIL_MAX, key, value);
}

/* ---- writing ------------------------------------------------------------ */

static void
write_line(int fd, const char *buf, size_t len, uint64_t unsaid)
{
	ssize_t n;

	do {
		n = write(fd, buf, len);
	} while (n < 0 && errno == EINTR);
	if (n == (ssize_t)len)
		return;
	/* A line torn by a full disk must not swallow the next one. */
	if (n > 0)
		(void)!write(fd, "\n", 1);
	atomic_fetch_add(&dropped_all, 1);
	atomic_fetch_add(&dropped_unsaid, unsaid + 1);
}

void
pw_log_end(struct pw_log_line *l)
{
	uint64_t unsaid = 0;
	int saved = errno;

	if (!l->on)
		return;
	if (l->truncated)
		put_number(l, 0, "truncated", 1);
	if (atomic_load_explicit(&dropped_unsaid, memory_order_relaxed) > 0)
		unsaid = atomic_exchange(&dropped_unsaid, 0);
	if (unsaid > 0)
		put_number(l, 0, "dropped", (int64_t)unsaid);
	if (l->json)
		(void)put(l, 0, "}", 1);
	(void)put(l, 0, "\n", 1);
	write_line(atomic_load(&log_fd), l->buf, l->len, unsaid);
	l->on = false;
	errno = saved;
}

void
pw_logf(enum pw_log_level level, const char *event, const char *fmt, ...)
{
	struct pw_log_line l;
	char text[1536];
	va_list ap;
	int saved = errno;

	if (level < pw_log_level())
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pw_log_begin(&l, level, event, NULL, NULL);
	pw_log_s(&l, "msg", text);
	pw_log_end(&l);
	errno = saved;
}
