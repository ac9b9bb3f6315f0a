/* SPDX-License-Identifier: ISC */
/*
 * The header fields that we put above a message, with CRLF line ends: per
 * recipient Return-Path, Delivered-To and X-Original-To; for all
 * Authentication-Results, what stages added, and Received (RFC 5321 section
 * 4.4, RFC 8601, RFC 7208 section 9.1).  Pure; role front.
 */
#ifndef PW_SMTP_PREFIX_H
#define PW_SMTP_PREFIX_H

#include "base/strbuf.h"
#include "base/valid.h"
#include "filters/pipeline.h"

/* What Received tells; strings are validated text. */
struct pw_received {
	struct pw_bytes helo;
	bool helo_ok;         /* a domain or an address literal */
	const char *rdns;     /* confirmed name, or "" */
	struct pw_ip peer;
	const char *tls_version, *tls_cipher; /* NULL without TLS */
	int tls_bits;
	bool esmtp, smtputf8;
	const char *by;
	const char *id;
	struct pw_bytes only_rcpt; /* the single recipient, or empty */
	int64_t time_us;
};

/* "SMTP", "ESMTPS", "UTF8SMTPS"... (RFC 3848, RFC 6531). */
const char *pw_prefix_protocol(bool esmtp, bool tls, bool smtputf8);

void pw_prefix_received(struct pw_strbuf *sb, const struct pw_received *r);
/* The part that is the same for all recipients: Authentication-Results and the
 * fields of RESULT; a field that is not fit for a header is left out. */
void pw_prefix_results(struct pw_strbuf *sb,
    const struct pw_pipe_result *result);
/* "X-Postward: junk; score=6.20; why": what was done with this copy, and why;
 * folded in memory of POOL. */
void pw_prefix_verdict(struct pw_strbuf *sb, struct pw_pool *pool,
    const char *action, double score, const char *step);
/* The part of one recipient. FROM "" is the null path. */
void pw_prefix_recipient(struct pw_strbuf *sb, struct pw_bytes from,
    struct pw_bytes delivered_to, struct pw_bytes original_to);

#endif
