/* SPDX-License-Identifier: ISC */
/*
 * The decision record: what one transaction was, what every stage said of it,
 * and what was done.  Made in front, carried to store in one frame, kept in
 * the journal until its rows are durable.  All byte strings are validated text
 * (valid.h) unless a field says otherwise.
 */
#ifndef PW_STORAGE_DECISION_H
#define PW_STORAGE_DECISION_H

#include "base/clock.h"
#include "base/pool.h"
#include "base/valid.h"
#include "net/codec.h"
#include "net/listcode.h"

/* What is done with a message for one recipient; the numbers are on disk. */
enum pw_action {
	PW_ACT_DELIVER = 0,
	PW_ACT_JUNK = 1,        /* into the Junk folder */
	PW_ACT_HOLD = 2,        /* accepted, kept for review */
	PW_ACT_REFUSE_KEEP = 3, /* 5xx to the sender, copy kept for review */
	PW_ACT_REFUSE = 4,
	PW_ACT_DEFER = 5,
	PW_ACT_DISCARD = 6,
	PW_ACT_NONE = 7 /* the client ended it before there was anything */
};
const char *pw_action_name(uint8_t action);

enum pw_outcome {
	PW_OUT_HIT = 0,
	PW_OUT_NO_HIT = 1,
	PW_OUT_NOT_APPLICABLE = 2,
	PW_OUT_COULD_NOT_RUN = 3
};

/* What a record is about; the numbers are on disk. */
enum pw_decision_kind {
	PW_DEC_MESSAGE = 0,    /* a transaction that came to the end of data */
	PW_DEC_TRANSACTION = 1, /* one that ended or was refused before */
	PW_DEC_CONNECTION = 2  /* a connection without any transaction */
};

/* One piece of evidence. */
struct pw_evidence {
	const char *stage;
	const char *symbol;  /* "SPF_PASS" */
	double weight;       /* as counted by the policy */
	uint8_t scope;       /* 0 session, 1 message, 2 recipient */
	bool shadow;         /* recorded, not counted */
	struct pw_bytes text; /* UTF-8, one line: the facts it rests on */
};

/* How one run of a stage went. */
struct pw_stage_run {
	const char *stage;
	uint8_t phase;
	uint8_t outcome; /* enum pw_outcome */
	const char *reason; /* of could-not-run, else "" */
	uint32_t wall_us, cpu_us;
};

struct pw_decision_rcpt {
	struct pw_bytes given;   /* forward-path as the client wrote it */
	struct pw_bytes mailbox; /* "user@domain" of the account, or "" */
	uint8_t action;
	const char *reply; /* "250 2.1.5 ok": what the client was told */
	const char *fate;  /* "stored", "held: over quota"...; set by store */
	const char *step;  /* what decided for this one, in words; "" where it
			    * was never judged */
	double score;
	/* The list entries that were looked at, so that it can be judged
	 * again; at most PW_LIST_HITS. */
	const struct pw_list_entry *entry;
	size_t nentry;
};

struct pw_decision {
	struct pw_id id, session;
	int64_t time_us;
	struct pw_ip peer;
	uint16_t peer_port;
	const char *listener;
	struct pw_bytes helo;    /* UTF-8 */
	const char *rdns;        /* confirmed name of the peer, or "" */
	const char *tls;         /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or "" */
	bool esmtp, smtputf8;
	struct pw_bytes mail_from; /* UTF-8; "" is the null reverse-path */
	uint64_t size;           /* octets as they came */
	const char *reply;       /* to the end of data, or what ended it */
	uint8_t action;          /* the mildest of all recipients' */
	const char *step;        /* the policy step that decided, in words */
	double score;
	const char *auth_results; /* value of our Authentication-Results */
	unsigned config_generation;
	size_t nrcpt;
	struct pw_decision_rcpt *rcpt;
	size_t nevidence;
	struct pw_evidence *evidence;
	size_t nrun;
	struct pw_stage_run *run;
	struct pw_bytes dns; /* an encoded pw_dns_set: what it rested on */
	uint8_t kind;        /* enum pw_decision_kind */
	/*
	 * Several of one kind may share a record, never messages: COUNT of
	 * them came from the first NET bits of .peer between .time_us and
	 * .until_us, and all else is that of the first.  NET 0: one address.
	 */
	uint32_t count;
	uint8_t net;
	int64_t until_us;
	/* What the stages were told, and when; made and read by filters/
	 * (pw_pipe_result.recording), opaque here. "" when not kept. */
	struct pw_bytes recording;
};

void pw_decision_enc(struct pw_enc *e, const struct pw_decision *d);
/* A copy in POOL, bounds checked (recipients 50,000, evidence 1,024, runs
 * 256); NULL and d->bad when malformed. */
struct pw_decision *pw_decision_dec(struct pw_dec *d, struct pw_pool *pool);

#endif
