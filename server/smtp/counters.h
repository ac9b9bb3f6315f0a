/* SPDX-License-Identifier: ISC */
/*
 * Counters of the front role: one block for each loop thread, written by that
 * thread only, summed by the thread that answers STATUS.
 */
#ifndef PW_SMTP_COUNTERS_H
#define PW_SMTP_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/strbuf.h"

/* clang-format off */
#define PW_COUNTERS(X) \
	X(SESSIONS, "smtp.sessions")                  /* begun */ \
	X(SESSIONS_NOW, "smtp.sessions.now") \
	X(TRUSTED, "smtp.sessions.trusted") \
	X(COMMANDS, "smtp.commands") \
	X(BYTES_IN, "smtp.bytes.in") \
	X(BYTES_OUT, "smtp.bytes.out") \
	X(TLS, "smtp.tls") \
	X(TLS_RESUMED, "smtp.tls.resumed") \
	X(TLS_FAILED, "smtp.tls.failed") \
	X(TLS_INJECTED, "smtp.tls.injected")          /* input before 220 */ \
	X(EARLY_TEXT, "smtp.early_text")              /* before its turn */ \
	X(FOREIGN_PROTOCOL, "smtp.foreign_protocol")  /* HTTP, raw TLS */ \
	X(PROXY_FAILED, "smtp.proxy.failed") \
	X(REPLY_4XX, "smtp.replies.4xx") \
	X(REPLY_5XX, "smtp.replies.5xx") \
	X(TRANSACTIONS, "smtp.transactions")          /* MAIL accepted */ \
	X(STORED, "smtp.messages.stored") \
	X(STORED_BYTES, "smtp.messages.bytes") \
	X(REFUSED, "smtp.messages.refused") \
	X(DEFERRED, "smtp.messages.deferred") \
	X(ABORTED, "smtp.messages.aborted")           /* data under way */ \
	X(RCPT_OK, "smtp.rcpt.ok") \
	X(RCPT_UNKNOWN, "smtp.rcpt.unknown") \
	X(RCPT_FOREIGN, "smtp.rcpt.relay") \
	X(RCPT_QUOTA, "smtp.rcpt.over_quota") \
	X(LIMIT_TOTAL, "smtp.limit.sessions") \
	X(LIMIT_ADDRESS, "smtp.limit.sessions_address") \
	X(LIMIT_NETWORK, "smtp.limit.sessions_network") \
	X(LIMIT_FILES, "smtp.limit.files")            /* accept: EMFILE */ \
	X(LIMIT_MESSAGE, "smtp.limit.message") \
	X(LIMIT_RECIPIENTS, "smtp.limit.recipients") \
	X(LIMIT_MESSAGES, "smtp.limit.messages") \
	X(LIMIT_COMMANDS, "smtp.limit.commands") \
	X(LIMIT_ERRORS, "smtp.limit.errors") \
	X(LIMIT_JUNK, "smtp.limit.junk_commands") \
	X(LIMIT_UNKNOWN, "smtp.limit.unknown_recipients") \
	X(LIMIT_COMMAND_LINE, "smtp.limit.command_line") \
	X(LIMIT_LINE, "smtp.limit.line") \
	X(LIMIT_HEADER, "smtp.limit.header") \
	X(LIMIT_HOPS, "smtp.limit.hops") \
	X(LIMIT_COMMAND_TIME, "smtp.limit.command_timeout") \
	X(LIMIT_DATA_TIME, "smtp.limit.data_timeout") \
	X(LIMIT_SESSION_TIME, "smtp.limit.session_timeout") \
	X(LIMIT_RATE, "smtp.limit.min_rate") \
	X(LIMIT_MEMORY, "smtp.limit.memory") \
	X(LIMIT_END_TIME, "smtp.limit.end_timeout") \
	X(LIMIT_OUTPUT, "smtp.limit.output")          /* does not read */ \
	X(BARE_COMMAND, "smtp.bare.command") \
	X(BARE_DATA, "smtp.bare.data") \
	X(NORMALIZED, "smtp.bare.normalized") \
	X(STORE_FAILED, "smtp.store.failed") \
	X(RECORDS, "smtp.records")                    /* of no message */ \
	X(RECORDS_MERGED, "smtp.records.merged") \
	X(RECORDS_LOST, "smtp.records.lost")
/* clang-format on */

enum pw_counter {
#define PW_X(id, name) PW_CNT_##id,
	PW_COUNTERS(PW_X)
#undef PW_X
	    PW_CNT_COUNT
};

struct pw_counters {
	_Atomic uint64_t v[PW_CNT_COUNT];
};

/* By the owning thread only. */
static inline void
pw_count_add(struct pw_counters *c, enum pw_counter id, uint64_t n)
{
	uint64_t old =
	    atomic_load_explicit(&c->v[id], memory_order_relaxed);

	atomic_store_explicit(&c->v[id], old + n, memory_order_relaxed);
}

static inline void
pw_count(struct pw_counters *c, enum pw_counter id)
{
	pw_count_add(c, id, 1);
}

/* Sums of N blocks as "name value" lines. */
void pw_counters_print(const struct pw_counters *const *c, size_t n,
    struct pw_strbuf *out);

#endif
