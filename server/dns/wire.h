/* SPDX-License-Identifier: ISC */
/*
 * Inside server/dns: what client and resolve role say to each other over
 * net/ipc, and the helpers both sides share.
 *
 * Bodies are written with net/codec.  Every frame is a batch: a u32 count, then
 * that many entries.  The ids are the client's choice and mean something on one
 * channel only; the frame's own id is not used (0).
 *
 *   QUERY   client to resolve   { u32 qid, u16 type, u32 deadline_ms, bytes
 *           name }: name as pw_dns_name() gives it.  A qid that is open already
 *           must be the same question: its deadline begins anew.
 *   CANCEL  client to resolve   { u32 qid }: an unknown one is no error, the
 *           answer may be on its way.
 *   ANSWER  resolve to client   { u32 qid, answer as pw_dns_answer_enc() }:
 *           exactly one for each question that was not cancelled.
 *
 * Anything else closes the channel.
 */
#ifndef PW_DNS_WIRE_H
#define PW_DNS_WIRE_H

#include "dns/dns.h"
#include "net/ipc.h"

enum pw_dns_frame {
	PW_DNS_FRAME_QUERY = 1,
	PW_DNS_FRAME_CANCEL = 2,
	PW_DNS_FRAME_ANSWER = 3
};

/* The least that an entry takes, for pw_dec_count(). */
#define PW_DNS_QUERY_MIN 14
#define PW_DNS_CANCEL_MIN 4
#define PW_DNS_ANSWER_MIN 18 /* an answer alone, without qid */

/* Entries of a QUERY or CANCEL frame: far below PW_IPC_MAX_BODY. */
#define PW_DNS_BATCH 400

/* Resolve gives up after this, whatever the client asked for. */
#define PW_DNS_DEADLINE_MAX 120000u

/* Text of a name in an answer's data: 255 bytes, all of them escaped. */
#define PW_DNS_NAME_TEXT 1024

/* A kind of log line that comes at most once a second. */
struct pw_dns_hush {
	uint64_t until_ms;
	int64_t hidden; /* lines since the last one written */
};

/* True when the line may be written now; *hidden are those left out. */
static inline bool
pw_dns_may_log(struct pw_dns_hush *h, uint64_t now_ms, int64_t *hidden)
{
	if (now_ms < h->until_ms) {
		h->hidden++;
		return false;
	}
	*hidden = h->hidden;
	*h = (struct pw_dns_hush){.until_ms = now_ms + 1000};
	return true;
}

/*
 * What an answer is filed under: the name as pw_dns_name() gives it (returns
 * 0), or, for what is not a name, its first 1,024 bytes in lower case (-1).
 */
#define PW_DNS_KEY_SIZE 1025
int pw_dns_key(const char *name, char out[PW_DNS_KEY_SIZE]);

/* An uncompressed wire name as text; its length, or -1 when malformed. */
int pw_dns_name_text(
    const uint8_t *wire, size_t len, char out[PW_DNS_NAME_TEXT]);

#endif
