/* SPDX-License-Identifier: ISC */
/*
 * A message being received, by DATA or by BDAT.  Undoes dot-stuffing, finds the
 * end, bare CR, bare LF and NUL, counts what the limits and stages want to
 * know, and keeps the octets: in a small buffer first, then in a memfd, and
 * above a bound in memfds of that size ("pieces") that the caller hands to the
 * store one by one.
 *
 *   DATA octets    BOL --text--> TEXT --CR--> CR --LF--> BOL
 *                  BOL --"."--> DOT --CR--> DOTCR --LF--> end
 *
 * Only CRLF leads back to BOL, so that only CRLF.CRLF ends the data, however
 * the octets were cut into pieces (RFC 5321 section 4.1.1.4).
 * Role front, one loop's thread.
 */
#ifndef PW_SMTP_BODY_H
#define PW_SMTP_BODY_H

#include <stdatomic.h>

#include "base/bytes.h"

/* Memory of all bodies under way in this process; shared by its threads. */
struct pw_budget {
	_Atomic uint64_t used;
	uint64_t max;
};

/* What was wrong with the octets; the first five are content. */
#define PW_BODY_BARE_CR 1u
#define PW_BODY_BARE_LF 2u
#define PW_BODY_NUL 4u
#define PW_BODY_LONG_LINE 8u
#define PW_BODY_HEADER 16u  /* header section above its bound */
#define PW_BODY_TOO_BIG 32u /* message above its bound */
#define PW_BODY_NO_MEMORY 64u /* the budget, or a memfd, could not be had */

struct pw_body_limits {
	uint64_t max_message, max_header, piece;
	uint32_t max_line;
	bool normalize; /* bare CR and LF in DATA become CRLF */
};

enum pw_body_state {
	PW_BODY_BOL,
	PW_BODY_TEXT,
	PW_BODY_CR,
	PW_BODY_DOT,
	PW_BODY_DOTCR,
	PW_BODY_END
};

struct pw_body {
	struct pw_body_limits limit;
	struct pw_budget *budget;
	uint64_t reserved;   /* taken from the budget */
	enum pw_body_state state;
	unsigned faults;
	uint64_t size;       /* octets of the message so far */
	uint64_t over;       /* octets dropped since it is too big */
	/* counters */
	uint64_t header_len; /* octets before the empty line */
	bool in_header;
	uint64_t line_len;   /* of the line at hand */
	uint64_t longest;    /* longest line, without its end */
	uint32_t hops;       /* Received fields */
	char head[9];        /* the first octets of the line at hand */
	uint8_t nhead;
	bool last_cr;        /* the last octet counted was CR */
	/* storage */
	char *buf;
	uint32_t len, cap;
	int fd;              /* memfd, or -1 */
	uint64_t fd_len;
	uint64_t pieced;     /* octets handed over in pieces */
};

void pw_body_init(struct pw_body *b, const struct pw_body_limits *limit,
    struct pw_budget *budget);
/* Gives everything back; the body may be used no more. */
void pw_body_free(struct pw_body *b);

enum pw_body_result {
	PW_BODY_MORE = 0, /* all was used; more is to come */
	PW_BODY_DONE,     /* CRLF.CRLF was seen (DATA only) */
	PW_BODY_PIECE     /* a piece is full: take it before going on */
};

/* Feeds octets; *USED says how many were used up. */
enum pw_body_result pw_body_data(struct pw_body *b, struct pw_bytes in,
    size_t *used);
/* The same for the octets of a BDAT chunk, which are taken as they are. */
enum pw_body_result pw_body_chunk(struct pw_body *b, struct pw_bytes in,
    size_t *used);
/* The sender has ended the message: closes the last line's counters. */
void pw_body_finish(struct pw_body *b);

/*
 * The octets kept and not yet taken, as a sealed memfd of *LEN octets, the
 * caller's to close; -1 when it could not be had (then a fault is set).  Their
 * share of the budget stays reserved until pw_body_release(LEN).
 */
int pw_body_take(struct pw_body *b, uint64_t *len);
/* A piece has left our memory. */
void pw_body_release(struct pw_body *b, uint64_t len);

#endif
