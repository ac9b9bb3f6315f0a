/* SPDX-License-Identifier: ISC */
/*
 * Stand-ins for what an SMTP session talks to, for tests that run it in one
 * process: accounts, store and pipeline (fake_parts.c), a connection without a
 * socket (fake_conn.c).
 *
 * Accounts: alice, bob, full (over quota) and postmaster at example.test and
 * xn--bcher-kva.test; team is an alias of alice and bob; loop leads in a circle.
 * deliver, junk, hold, keep, refuse, defer and discard have that verdict.
 */
#ifndef PW_TESTS_FAKE_H
#define PW_TESTS_FAKE_H

#include "smtp/session.h"

struct fake_parts {
	/* pipeline */
	bool async;              /* phases answer in a later round */
	bool never;              /* phases never answer */
	const char *early[PW_PHASE_COUNT]; /* replies of the policy */
	struct pw_pipe_result result;
	unsigned pipes_open, phases_open;
	/* store */
	enum pw_store_code code, state;
	bool no_store, no_snapshot, store_never;
	unsigned deliveries, records, pieces, drops, calls_open;
	uint64_t spool_octets;
	struct pw_strbuf prefix; /* of the last delivery's first target */
	struct pw_strbuf message;
	size_t ntarget;
	uint8_t action;
	struct { /* of the last record */
		uint8_t action;
		char reply[80], step[300], fate[40];
	} row[4];
	size_t nrow;
	struct {
		uint8_t action;
		char folder[16];
	} target[4];
	/* records without a message, by kind; the last one */
	unsigned notes[3];
	size_t note_rcpt;
	char note[256];
};
extern struct fake_parts fake;

/* All as at the begin. */
void fake_reset(void);
/* Gives the answers that are due; true when there were any. */
bool fake_parts_run(void);

/* fake_conn.c */
struct pw_conn *fake_conn_last(void);
void fake_conn_feed(struct pw_conn *c, struct pw_bytes b);
void fake_conn_eof(struct pw_conn *c);
bool fake_conn_run(void);
/* What was written since the last call; valid until the next. */
struct pw_bytes fake_conn_output(void);
/* Still there and not closed by its owner. */
bool fake_conn_alive(void);
extern SSL *fake_ssl;

/* certs.c: a fresh self-signed certificate for NAME; RSA or P-256. */
void test_certificate(const char *name, bool rsa, struct pw_pem *out);

#endif
