/* SPDX-License-Identifier: ISC */
/*
 * A mail transaction: all that lasts from MAIL to its end, in one arena.  Made
 * by MAIL, dropped by pw_tx_free(), which only pw_session_to() calls.
 */
#ifndef PW_SMTP_TRANSACTION_H
#define PW_SMTP_TRANSACTION_H

#include "base/clock.h"
#include "base/pool.h"
#include "smtp/address.h"
#include "smtp/body.h"
#include "smtp/param.h"
#include "storage/snapshot.h"

struct pw_fate;
struct pw_judgement;

/* Recipients that were refused and are still recorded. */
#define PW_TX_REFUSED_MAX 100u

struct pw_rcpt {
	struct pw_path path;
	struct pw_dest *dest; /* of the snapshot that the transaction holds */
	size_t ndest;
	bool accepted;
	const char *reply; /* what the client was told */
	const char *step;  /* of a refusal by policy at RCPT, or NULL */
	uint32_t number;   /* of the pipeline, pw_pipe_rcpt_number() */
	/* At the end of data: for each destination, see verdict.h; and with
	 * PRDR a reply of its own. */
	struct pw_fate *fate;
	uint8_t settled; /* enum pw_settled */
	const char *end;
};

struct pw_tx {
	struct pw_pool *pool; /* this struct lies in it, too */
	struct pw_id id;
	int64_t time_us;
	struct pw_path from;
	struct pw_mail_param param;
	struct pw_snapshot *snapshot;
	size_t nrcpt, cap, naccepted, nrefused;
	struct pw_rcpt *rcpt;
	bool chunked;       /* comes by BDAT */
	bool has_body;      /* .body is initialised */
	struct pw_body body;
	int fd;             /* the message, or -1 */
	bool prdr;          /* recipients have replies of their own */
	bool spooled;       /* it lies in the store's spool under .id */
	bool done;          /* it was answered and logged */
	bool piece_ends_chunk;
	uint64_t piece_len; /* of the piece that is on its way */
	uint64_t piece_since;
	uint16_t piece_reply; /* of the store that did not take one, or 0 */
	struct pw_judgement *judged; /* while it is being stored */
};

struct pw_tx *pw_tx_new(void);
/* Frees all and sets *tx to NULL; harmless when it is. */
void pw_tx_free(struct pw_tx **tx);
/* A further recipient; NULL at the arena's bound. */
struct pw_rcpt *pw_tx_add_rcpt(struct pw_tx *tx);

#endif
