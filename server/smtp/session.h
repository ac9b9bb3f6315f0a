/* SPDX-License-Identifier: ISC */
/*
 * An SMTP session.  Role front; everything on its loop's thread.
 *
 *   PROXY ---header---> CONNECT --banner--> GREETED --HELO--> READY <----.
 *                          |                   ^                | MAIL    |
 *                          |                   | TLS up         v         |
 *                          |                   '-- READY       MAIL --.   |
 *                          | refused                            | RCPT|   |
 *                          v                                    v     |   |
 *                       CLOSED <--- QUIT, limits, end ----     RCPT   |RSET, error,
 *                                                          DATA | BDAT|   |answered
 *                                                             v | v   |   |
 *                                                         DATA  |CHUNKS   |
 *                                                             v   v   v   |
 *                                                              END -------'
 *
 *   transition              function
 *   PROXY -> CONNECT        session.c, take_proxy()
 *   CONNECT -> GREETED      session.c, connect_done()
 *   * -> READY              pw_cmd_helo(), pw_cmd_rset(), errors of the
 *                           transaction, pw_finish_answer()
 *   READY -> MAIL           cmd_mail.c, mail_done()
 *   MAIL, RCPT -> RCPT      cmd_rcpt.c, rcpt_done()
 *   RCPT -> DATA            pw_cmd_data()
 *   RCPT, CHUNKS -> CHUNKS  cmd_bdat.c
 *   DATA, CHUNKS -> END     pw_finish()
 *   READY, GREETED -> GREETED  cmd_starttls.c, when TLS is up
 *   * -> CLOSED             pw_session_end()
 *
 * Each of them goes through pw_session_to() (session_state.c), which is also the one place where
 * a transaction is dropped: on entry to a state that has none.
 *
 * While .wait is set, an answer is awaited and no input is looked at; .after
 * continues.  A peer that goes away meanwhile takes the session with it: all
 * that was asked for is cancelled.
 */
#ifndef PW_SMTP_SESSION_H
#define PW_SMTP_SESSION_H

#include "filters/pipeline.h"
#include "host/store_client.h"
#include "net/conn.h"
#include "smtp/counters.h"
#include "smtp/limits.h"
#include "smtp/line.h"
#include "smtp/reply.h"
#include "smtp/tls.h"
#include "smtp/transaction.h"

struct pw_session;

/* What all sessions of a loop thread share; everything but the list of
 * sessions belongs to the caller (front.c, or a test). */
struct pw_smtp_env {
	struct pw_loop *loop;
	const struct pw_config *cfg;
	const char *hostname; /* validated */
	struct pw_pipeline *pipeline;
	struct pw_store_client *store;
	const struct pw_tls *tls; /* NULL: no STARTTLS */
	/* Limits of each listener (pw_smtp_limits_new()); NULL: cfg->smtp. */
	const struct pw_config_smtp *limit;
	struct pw_limits *limits;
	struct pw_budget *budget;
	struct pw_merge *merge; /* of records; NULL: each goes alone */
	struct pw_counters *count;
	bool stopping; /* sessions end as soon as nothing is under way */
	void (*on_session_end)(struct pw_smtp_env *env); /* may be NULL */
	void *arg;
	struct pw_session *first;
	size_t nsession;
};

enum pw_session_state {
	PW_S_PROXY = 0, /* a balancer's header must come first */
	PW_S_CONNECT,   /* the banner is not sent yet */
	PW_S_GREETED,   /* no HELO yet */
	PW_S_READY,     /* no transaction */
	PW_S_MAIL,      /* a sender, no recipient */
	PW_S_RCPT,      /* at least one recipient */
	PW_S_DATA,      /* octets come by DATA */
	PW_S_CHUNKS,    /* octets come by BDAT */
	PW_S_END,       /* the message is whole: stages, store */
	PW_S_CLOSED,    /* the last reply is queued */
	PW_S_COUNT
};
#define PW_S_BIT(s) (1u << (s))
#define PW_S_TRANSACTION                                                     \
	(PW_S_BIT(PW_S_MAIL) | PW_S_BIT(PW_S_RCPT) | PW_S_BIT(PW_S_DATA) |   \
	    PW_S_BIT(PW_S_CHUNKS) | PW_S_BIT(PW_S_END))

enum pw_session_wait {
	PW_W_NONE = 0,
	PW_W_PHASE, /* stages */
	PW_W_STORE, /* store */
	PW_W_TLS    /* the handshake */
};

struct pw_command;

struct pw_session {
	struct pw_smtp_env *env;
	struct pw_session *next, *prev;
	struct pw_conn *conn;
	struct pw_pipe *pipe;
	struct pw_tx *tx;
	const struct pw_command *cmd; /* the one at hand */
	void (*after)(struct pw_session *s);
	struct pw_store_call *call;
	const char *why;  /* of the end, for the log */
	char *helo;       /* as given, validated UTF-8 without spaces */
	struct pw_timer timer;
	int64_t since_us;    /* when it began, since the epoch */
	uint64_t deadline;   /* of what is waited for, loop's milliseconds */
	uint64_t started;
	uint64_t data_since; /* when the data began */
	uint64_t data_octets;
	uint64_t paused_ms;  /* of the data's time, spent waiting for store */
	uint64_t chunk_left; /* octets of a BDAT chunk still to come */
	size_t behind;       /* octets that came behind the command at hand */
	struct pw_limit_ticket ticket;
	struct pw_id id;
	struct pw_ip peer;
	struct pw_line line;
	uint32_t commands, junk, errors, messages, unknown, early;
	uint16_t port, listener;
	uint16_t reply; /* enum pw_reply_id for the end of the chunk at hand */
	uint8_t state, wait;
	bool trusted, esmtp, helo_ok, chunk_drop, chunk_last, tls_on;
	bool peer_closed; /* its side; it may still hear us */
	bool recorded;    /* something of it is on record */
	bool thrown_out;  /* it was we who ended it, for the reason .why */
	/* For the record: the last refusal, what it was the answer to, and
	 * the policy step when that decided. */
	const char *said_to;
	char said[128], step[128];
};

/* Takes over FD of a client just accepted. */
void pw_session_new(struct pw_smtp_env *env, int fd, size_t listener,
    const struct pw_ip *peer, uint16_t port);
/* Drops the session at once, without a word. */
void pw_session_free(struct pw_session **s, const char *why);
/* The service ends: 421 now, or when the message at hand is answered. */
void pw_session_stop(struct pw_session *s);
/* No more time for that: 421; a session that was told already is dropped. */
void pw_session_stop_now(struct pw_session *s);

/* ---- for the commands ---------------------------------------------------------- */

/* The only way to another state, and the only place that drops a transaction;
 * asserts that the diagram has the transition. */
void pw_session_to(struct pw_session *s, enum pw_session_state to);
/* Asserts what must hold between events. */
void pw_session_check(const struct pw_session *s);

void pw_session_reply(struct pw_session *s, enum pw_reply_id id);
void pw_session_reply_value(struct pw_session *s, enum pw_reply_id id,
    struct pw_bytes value);
/* TEXT has passed pw_reply_check() or is pw_reply_text(). */
void pw_session_reply_text(struct pw_session *s, struct pw_bytes text);
/* Reply, then close once it has left.  WHY goes into the log. */
void pw_session_end(struct pw_session *s, enum pw_reply_id id,
    const char *why);
/* The same at a limit, which is logged and counted. */
void pw_session_limit(struct pw_session *s, enum pw_reply_id id,
    enum pw_counter counter, const char *what);

/* Waits: THEN(S) runs when pw_session_wake() is called, input rests. */
void pw_session_wait(struct pw_session *s, enum pw_session_wait what,
    void (*then)(struct pw_session *s));
void pw_session_wake(struct pw_session *s);
/* Runs a phase of the pipeline, then THEN: now or later. */
void pw_session_phase(struct pw_session *s, enum pw_phase phase,
    void (*then)(struct pw_session *s));
/* What is awaited from now on must come within MS. */
void pw_session_expect(struct pw_session *s, uint64_t ms);
/* When the policy refuses in PHASE already: replies and returns true. */
bool pw_session_early(struct pw_session *s, enum pw_phase phase);
/* The policy step that the last refusal rests on, for the record. */
void pw_session_step(struct pw_session *s, const char *step);
/* Text before its turn was seen. */
void pw_session_early_text(struct pw_session *s);
/* Octets of the message that is coming; the number used. */
size_t pw_session_take_body(struct pw_session *s, struct pw_bytes in);

/* The section smtp with what each listener says in its place; one entry for
 * each, free() it. */
struct pw_config_smtp *pw_smtp_limits_new(const struct pw_config *cfg);
/* Those of the session's listener. */
const struct pw_config_smtp *pw_session_limits(const struct pw_session *s);
const struct pw_config_listener *pw_session_listener(
    const struct pw_session *s);

/* ---- finish.c ------------------------------------------------------------------ */

/* The message is whole: stages, policy, store, reply. */
void pw_finish(struct pw_session *s);
/* Its time is up. */
void pw_finish_timeout(struct pw_session *s);
/* A piece of a large message goes to the store. */
void pw_finish_piece(struct pw_session *s);

#endif
