/* SPDX-License-Identifier: ISC */
/*
 * Errors of set-up code: a function returns 0, or -1 with the reason written
 * into a struct pw_err that the caller owns.  Event code returns enum pw_rc.
 */
#ifndef PW_BASE_ERR_H
#define PW_BASE_ERR_H

#include <stdarg.h>

enum pw_rc {
	PW_OK = 0,
	PW_AGAIN,    /* not yet; the caller is told when to come again */
	PW_DECLINED, /* not mine */
	PW_FAIL      /* could not; the reason was logged or is in a pw_err */
};

struct pw_err {
	int code;        /* an errno value, or 0 where none applies */
	char text[1024]; /* one line for an admin, NUL-terminated */
};

/* Writes the reason; always returns -1, for "return pw_err_set(...)". */
int pw_err_set(struct pw_err *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with ": strerror(errno)" behind it. */
int pw_err_sys(struct pw_err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Puts "TEXT: " before what is there; returns -1. */
int pw_err_prefix(struct pw_err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Our own bug, never reachable from a peer, DNS, configuration or a stage.
 * Logs and aborts; stays on in release builds.
 */
#define PW_ASSERT(x)                                                         \
	((x) ? (void)0 : pw_assert_failed(#x, __FILE__, __LINE__))
_Noreturn void pw_assert_failed(const char *what, const char *file, int line);

#endif
