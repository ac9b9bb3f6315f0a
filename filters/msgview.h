/* SPDX-License-Identifier: ISC */
/*
 * A message's bytes and where its header fields lie.  Read-only, in the scan
 * role; points into the bytes, which stay the caller's.
 */
#ifndef PW_FILTERS_MSGVIEW_H
#define PW_FILTERS_MSGVIEW_H

#include "base/pool.h"

#define PW_HEADER_CAP (256u << 10)
#define PW_FIELD_CAP (16u << 10)
#define PW_FIELDS_MAX 4096u

struct pw_fieldref {
	struct pw_bytes name; /* as written, without white space behind it */
	struct pw_bytes raw;  /* the whole field with its line ends */
};

struct pw_msgview {
	struct pw_bytes all;
	size_t header_len; /* octets before the empty line */
	size_t body;       /* offset of the body */
	bool capped;       /* header, a field or their number above the cap */
	size_t unread; /* where fields beyond PW_FIELDS_MAX begin; else 0 */
	size_t nfield;
	struct pw_fieldref *field;
};

/* Finds the fields; lines may end in CRLF or LF.  0, or -1 at POOL's bound. */
int pw_msgview_init(struct pw_msgview *v, struct pw_bytes message,
    struct pw_pool *pool);
/* Field I's bytes behind the colon. */
struct pw_bytes pw_msgview_value(const struct pw_fieldref *f);

#endif
