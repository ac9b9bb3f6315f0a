/* SPDX-License-Identifier: ISC */
/*
 * One line per event:
 *
 *   2026-01-02T03:04:05.678Z info front session=... id=... event key=value ...
 *
 * Event names ("smtp.reject", "store.commit") are stable and listed in the
 * manual.  Values from outside are escaped: a line never holds a control byte,
 * a quote or a backslash of a peer's choosing.  Lines are written with one
 * write() to a descriptor that never blocks; what does not fit is counted and
 * reported with the next line that does.  Any thread.
 */
#ifndef PW_BASE_LOG_H
#define PW_BASE_LOG_H

#include "base/bytes.h"

enum pw_log_level {
	PW_LOG_DEBUG,
	PW_LOG_INFO,
	PW_LOG_NOTICE,
	PW_LOG_WARN,
	PW_LOG_ERROR
};

enum pw_log_format { PW_LOG_KV, PW_LOG_JSON };

struct pw_log_line {
	char buf[3072]; /* below PIPE_BUF, so that lines do not mix */
	size_t len;
	bool on;
	bool json;
	bool truncated;
};

/* Role name for all later lines; copied. */
void pw_log_role(const char *role);
/* Where lines go (default 2) and from which level on; the descriptor stays
 * the caller's. */
void pw_log_to(int fd, enum pw_log_level min, enum pw_log_format format);
/* Other levels and another format, to the same descriptor. */
void pw_log_level_set(enum pw_log_level min, enum pw_log_format format);
enum pw_log_level pw_log_level(void);
/* Lines dropped so far because the descriptor was full. */
uint64_t pw_log_dropped(void);

/* Begins a line.  SESSION and ID may be "" or NULL. */
void pw_log_begin(struct pw_log_line *l, enum pw_log_level level,
    const char *event, const char *session, const char *id);
void pw_log_s(struct pw_log_line *l, const char *key, const char *value);
void pw_log_b(struct pw_log_line *l, const char *key, struct pw_bytes value);
void pw_log_peer(struct pw_log_line *l, const char *key,
    struct pw_peer_bytes value);
void pw_log_i(struct pw_log_line *l, const char *key, int64_t value);
void pw_log_end(struct pw_log_line *l);

/* An event whose only pair is msg="..." (the text is escaped). */
void pw_logf(enum pw_log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Appends B to OUT (of SIZE bytes, kept NUL-terminated) with everything that
 * is not printable ASCII, and quote and backslash, as \xNN; returns the length.
 * Valid UTF-8 without control, format or separator characters stays. */
size_t pw_escape(char *out, size_t size, struct pw_peer_bytes b);

#endif
