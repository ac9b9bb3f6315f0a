/* SPDX-License-Identifier: ISC */
/*
 * Reasons of set-up failures, and the end of the process when an assertion of
 * ours does not hold.  Any role, any thread.
 */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

__attribute__((format(printf, 3, 0))) static void
append(struct pw_err *err, size_t at, const char *fmt, va_list ap)
{
	if (at < sizeof(err->text))
		(void)vsnprintf(err->text + at, sizeof(err->text) - at, fmt,
		    ap);
}

int
pw_err_set(struct pw_err *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (err == NULL)
		return -1;
	err->code = code;
	va_start(ap, fmt);
	append(err, 0, fmt, ap);
	va_end(ap);
	return -1;
}

int
pw_err_sys(struct pw_err *err, const char *fmt, ...)
{
	int code = errno;
	va_list ap;

	if (err == NULL)
		return -1;
	err->code = code;
	va_start(ap, fmt);
	append(err, 0, fmt, ap);
	va_end(ap);

	char buf[128];
	size_t at = strlen(err->text);
	(void)snprintf(err->text + at, sizeof(err->text) - at, ": %s",
	    strerror_r(code, buf, sizeof(buf)));
	errno = code;
	return -1;
}

int
pw_err_prefix(struct pw_err *err, const char *fmt, ...)
{
	char old[sizeof(err->text)];
	va_list ap;

	if (err == NULL)
		return -1;
	memcpy(old, err->text, sizeof(old));
	va_start(ap, fmt);
	append(err, 0, fmt, ap);
	va_end(ap);

	size_t at = strlen(err->text);
	size_t room = sizeof(err->text) - at;
	/* Cut off what no longer fits: the beginning says more. */
	if (room > 3) {
		size_t n = strnlen(old, room - 3);
		memcpy(err->text + at, ": ", 2);
		memcpy(err->text + at + 2, old, n);
		err->text[at + 2 + n] = '\0';
	}
	return -1;
}

void
pw_assert_failed(const char *what, const char *file, int line)
{
	pw_logf(PW_LOG_ERROR, "bug", "assertion failed: %s at %s:%d", what,
	    file, line);
	abort();
}
