/* SPDX-License-Identifier: ISC */
/*
 * unbound's own messages, by way of a FILE, as lines of our log: a message
 * "[seconds] libunbound[pid:thread] error: text" becomes an event dns.unbound.
 * At most ten a second.  Resolve role only.
 */
#include "dns/ub.h"

#include "base/clock.h"
#include "base/log.h"

#define LINES_A_SECOND 10

static struct pw_bytes
without_prefix(struct pw_bytes line)
{
	ptrdiff_t at;

	for (int i = 0; i < 2; i++) {
		at = pw_bytes_chr(line, ']');
		if (at < 0)
			return line;
		line = pw_bytes_sub(line, (size_t)at + 1, line.len);
	}
	return pw_bytes_trim(line);
}

/* For the reason why the context could not be made: what went wrong first says
 * more than what followed from it. */
static void
remember(struct pw_ub *ub, struct pw_bytes line)
{
	size_t n =
	    line.len < sizeof(ub->said) ? line.len : sizeof(ub->said) - 1;

	if (ub->said_error)
		return;
	ub->said_error = pw_bytes_has_prefix_ci(line, PW_LIT("error")) ||
			 pw_bytes_has_prefix_ci(line, PW_LIT("fatal"));
	memcpy(ub->said, line.ptr, n);
	ub->said[n] = '\0';
}

static void
on_line(struct pw_ub *ub, struct pw_bytes line)
{
	struct pw_log_line l;
	uint64_t second = pw_clock_mono_ms() / 1000;

	line = without_prefix(line);
	if (line.len == 0)
		return;
	remember(ub, line);
	if (ub->log_second != second) {
		ub->log_second = second;
		ub->log_lines = 0;
	}
	if (ub->log_lines++ >= LINES_A_SECOND)
		return;
	pw_log_begin(&l, PW_LOG_NOTICE, "dns.unbound", NULL, NULL);
	pw_log_peer(&l, "msg", pw_peer(line));
	pw_log_end(&l);
}

static ssize_t
on_write(void *cookie, const char *buf, size_t size)
{
	struct pw_bytes rest = pw_bytes(buf, size);

	while (rest.len > 0) {
		ptrdiff_t at = pw_bytes_chr(rest, '\n');
		size_t n = at < 0 ? rest.len : (size_t)at;

		on_line(cookie, pw_bytes_sub(rest, 0, n));
		rest = pw_bytes_sub(rest, n + 1, rest.len);
	}
	return (ssize_t)size;
}

FILE *
pw_ub_log_open(struct pw_ub *ub)
{
	cookie_io_functions_t io = {.write = on_write};
	FILE *f = fopencookie(ub, "w", io);

	/* A message is a line, however it is put together. */
	if (f != NULL)
		(void)setvbuf(f, NULL, _IOLBF, 4096);
	return f;
}
