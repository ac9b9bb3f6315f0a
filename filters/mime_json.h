/* SPDX-License-Identifier: ISC */
/*
 * JSON about a message that GMime has parsed: BODYSTRUCTURE and ENVELOPE as
 * server/net/meta.h describes them.  Scan role.
 */
#ifndef PW_FILTERS_MIME_JSON_H
#define PW_FILTERS_MIME_JSON_H

#include <gmime/gmime.h>

#include "base/pool.h"
#include "base/strbuf.h"

#define PW_MIME_PARTS_MAX 1000u
#define PW_MIME_DEPTH_MAX 50u
#define PW_MIME_PARAMS_MAX 100u
#define PW_MIME_ADDRESSES_MAX 1000u
#define PW_MIME_STRUCTURE_MAX (48u << 10)
#define PW_MIME_ENVELOPE_MAX (24u << 10)

struct pw_mime_json {
	struct pw_pool *pool;
	const char *base; /* the message's bytes, for counting lines */
	bool crlf;        /* its lines end in CRLF */
	unsigned parts;
	const char *bound; /* one that was met, in words: what was written is
			    * useless then; else NULL */
};

/* Both append to OUT, whose maximum is the bound of the text. */
void pw_mime_structure(struct pw_mime_json *j, GMimeObject *root,
    struct pw_strbuf *out);
void pw_mime_envelope(struct pw_mime_json *j, GMimeMessage *m,
    struct pw_strbuf *out);

#endif
