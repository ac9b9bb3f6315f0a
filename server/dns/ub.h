/* SPDX-License-Identifier: ISC */
/*
 * Inside server/dns, resolve role only: libunbound on our own loop, and packets
 * turned into answers.
 */
#ifndef PW_DNS_UB_H
#define PW_DNS_UB_H

#include <stdio.h>
#include <unbound.h>
#include <unbound-event.h>

#include "dns/wire.h"

/* The event base that libunbound is given; lives as long as its context. */
struct pw_ub_base;
struct pw_ub_base *pw_ub_base_new(struct pw_loop *loop);
struct ub_event_base *pw_ub_base_get(struct pw_ub_base *base);
/* Events that libunbound holds now. */
size_t pw_ub_base_events(const struct pw_ub_base *base);
/* After ub_ctx_delete(). */
void pw_ub_base_free(struct pw_ub_base **base);

/* A context, finalised: all its files have been read. */
struct pw_ub {
	struct ub_ctx *ctx;
	struct pw_ub_base *base;
	FILE *log;	/* its messages become lines of ours */
	char said[256]; /* the first of them that is an error, else the last */
	bool said_error;
	uint64_t log_second;
	unsigned log_lines; /* in that second */
};
struct pw_ub *pw_ub_open(struct pw_loop *loop,
    const struct pw_resolver_opts *opts, struct pw_err *err);
/* Ends all work; callbacks of open questions may still be called in it. */
void pw_ub_close(struct pw_ub **ub);

/* unbound's messages as lines of our log; NULL when out of memory. */
FILE *pw_ub_log_open(struct pw_ub *ub);

/*
 * The answer to NAME/TYPE in PACKET, in POOL, without .secure: what stands at
 * the end of the chain of CNAMEs that begins at the packet's own question.
 * NULL when it cannot be understood or POOL is full.
 */
struct pw_dns_answer *pw_dns_parse(struct pw_bytes packet, const char *name,
    uint16_t type, struct pw_pool *pool);

#endif
