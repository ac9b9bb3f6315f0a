/* SPDX-License-Identifier: ISC */
/* An environment for sessions on the stand-ins of fake.h. */
#ifndef PW_TESTS_SESSION_ENV_H
#define PW_TESTS_SESSION_ENV_H

#include "fake.h"

extern struct pw_smtp_env test_env;
extern struct pw_config *test_cfg;
extern struct pw_counters test_count;
extern struct pw_budget test_budget;

/* Once per process; with TLS when asked for. */
void session_env_init(bool tls);
/* Bounds high enough not to be met. */
void session_env_unlimited(void);
/* The peer of session_open() begins with a PROXY header. */
void session_env_proxy(bool on);
/* A new session of a client at 192.0.2.1. */
void session_open(void);
/* Ends it if it is still there; nothing may be left of it. */
void session_close(void);
/* Runs until nothing happens any more. */
void session_settle(void);
/* Feeds B in pieces of N octets (0: whole), settling after each. */
void session_feed(struct pw_bytes b, size_t n);

/* Codes of all replies in OUT, one word each; lines of one reply count once. */
const char *session_codes(struct pw_bytes out);

#endif
