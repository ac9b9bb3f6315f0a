/* SPDX-License-Identifier: ISC */
/*
 * Command lines.  Only CRLF ends one.  A line with a bare LF, a bare CR or a
 * NUL, and one longer than the bound, is skipped up to its CRLF and reported
 * once.  The answers are the same however the octets are cut into pieces.
 * Pure; used by the role front.
 */
#ifndef PW_SMTP_LINE_H
#define PW_SMTP_LINE_H

#include "base/bytes.h"

struct pw_line {
	uint32_t seen; /* octets of the waiting input that were looked at */
	bool skip;     /* the rest of a bad line is being skipped */
};

enum pw_line_result {
	PW_LINE_MORE = 0, /* no whole line there */
	PW_LINE_READY,    /* *line is a line without its CRLF */
	PW_LINE_BARE,     /* a bare CR or LF */
	PW_LINE_NUL,
	PW_LINE_LONG
};

/*
 * Looks at IN, all input not yet used.  *USED says how many octets were used
 * up: the caller offers the rest again, with more behind it.  MAX is the bound
 * without CRLF.  *LINE points into IN and holds no CR, LF or NUL.
 */
enum pw_line_result pw_line_next(struct pw_line *l, struct pw_bytes in,
    size_t max, size_t *used, struct pw_bytes *line);

#endif
