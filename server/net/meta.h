/* SPDX-License-Identifier: ISC */
/*
 * What the index knows of a message's content, read by the scan role (never by
 * store itself, which parses nothing hostile) and carried as one block.  The
 * floors filters/ and storage/ do not know each other; both speak this form.
 * Whoever reads a block checks its form and bounds by pw_meta_dec().
 */
#ifndef PW_NET_META_H
#define PW_NET_META_H

#include "base/pool.h"
#include "net/codec.h"

/* Bounds that pw_meta_dec() holds every block to. */
#define PW_META_TEXT_MAX 2000u
#define PW_META_JSON_MAX (64u << 10)
#define PW_META_CUTS_MAX 64u

/* Bytes of the message as it came that are not filed: a forged
 * Authentication-Results field.  Kept in the record. */
struct pw_cut {
	uint64_t offset;
	uint32_t len;
};

struct pw_meta {
	uint64_t header_len;     /* octets before the empty line, as it came */
	/* Decoded UTF-8, one line each, at most 2,000 bytes; "" when absent. */
	struct pw_bytes message_id, in_reply_to, references;
	struct pw_bytes from, to, cc, subject;
	int64_t date;            /* seconds since the epoch; 0 when unreadable */
	/*
	 * MIME structure as a JSON object in the shape of IMAP's BODYSTRUCTURE,
	 * at most 64 KB: a part is {"type","subtype","params":{},"id",
	 * "description","encoding","size","lines","disposition","filename"},
	 * a multipart adds "parts":[...], a message/rfc822 "envelope" and
	 * "body".  "" when it was too complex: then the index says so.
	 */
	struct pw_bytes structure;
	struct pw_bytes envelope; /* JSON: from,to,cc,bcc,sender,reply-to as
				   * arrays of [name, mailbox, host] */
	bool complex;            /* a bound on depth, parts or size was met */
	size_t ncut;             /* at most 64, rising, not overlapping */
	struct pw_cut *cut;
};

void pw_meta_enc(struct pw_enc *e, const struct pw_meta *m);
/* A copy in POOL; NULL and d->bad when malformed or over a bound: every text
 * is UTF-8 without control characters, cuts rise and lie in the header. */
struct pw_meta *pw_meta_dec(struct pw_dec *d, struct pw_pool *pool);

#endif
