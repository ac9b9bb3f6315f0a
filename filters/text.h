/* SPDX-License-Identifier: ISC */
/*
 * Text that stages hand over, made fit for records, logs and header fields.
 * Any role.
 */
#ifndef PW_FILTERS_TEXT_H
#define PW_FILTERS_TEXT_H

#include "base/pool.h"
#include "base/strbuf.h"

/* One line of at most MAX bytes of well-formed UTF-8 without control, format
 * or separator characters; what is not becomes '?', white space a space.  A
 * copy in POOL with a NUL behind it; "" when POOL is at its bound. */
struct pw_bytes pw_text_line(struct pw_pool *pool, struct pw_bytes in,
    size_t max);
/* The same with printable ASCII only. */
struct pw_bytes pw_text_ascii(struct pw_pool *pool, struct pw_bytes in,
    size_t max);
/*
 * A field's value, folded at spaces with CRLF TAB so that no line is longer
 * than 78 octets where that is possible, and none longer than 900 in any case
 * (RFC 5322 section 2.1.1).  NAME_LEN octets and ": " stand before it.
 */
const char *pw_text_fold(struct pw_pool *pool, const char *value,
    size_t name_len);
/* A field name: 1..64 of 0x21..0x7e but for the colon. */
bool pw_text_field_name(const char *name);

#endif
