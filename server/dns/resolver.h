/* SPDX-License-Identifier: ISC */
/*
 * Inside server/dns: the two parts of the resolve role.  resolver.c has the
 * channels, question.c what is asked on them and what libunbound works on.
 */
#ifndef PW_DNS_RESOLVER_H
#define PW_DNS_RESOLVER_H

#include <sys/queue.h>

#include "dns/ub.h"

#define PW_DNS_CHANNELS_MAX 256
/* Questions that libunbound works on, whoever asked, waited for or not. */
#define PW_DNS_RUNNING_MAX 8192
#define PW_DNS_QID_BUCKETS 1024

struct pw_dns_channel;

struct pw_dns_question {
	LIST_ENTRY(pw_dns_question) link; /* a bucket, or .detached */
	struct pw_resolver *resolver;
	struct pw_dns_channel *channel; /* NULL: nobody waits any more */
	struct pw_timer deadline;
	uint32_t qid;
	uint16_t type;
	bool starting; /* inside ub_resolve_event() */
	bool finished; /* its callback was called in there */
	char name[PW_DNS_NAME_SIZE];
};

LIST_HEAD(pw_dns_questions, pw_dns_question);

struct pw_dns_channel {
	LIST_ENTRY(pw_dns_channel) link;
	struct pw_resolver *resolver;
	struct pw_ipc *ipc;
	struct pw_defer work;
	struct pw_enc out; /* the ANSWER frame of this round */
	size_t mark;
	uint32_t count;
	size_t open;
	const char *broken; /* why it is closed at the end of the round */
	struct pw_dns_questions buckets[PW_DNS_QID_BUCKETS];
};

struct pw_resolver {
	struct pw_loop *loop;
	struct pw_ub *ub;
	LIST_HEAD(pw_dns_channels, pw_dns_channel) channels;
	struct pw_dns_questions detached;
	struct pw_pool *pool; /* the answer being made */
	struct pw_enc one;    /* the same, encoded */
	struct pw_dns_hush refusals;
	struct pw_dns_hush failures;
	struct pw_resolver_stats stats;
};

/* ---- question.c ---- */

/* Asks, prolongs what is open already, or answers at once.  -1 when QID is
 * open with another question. */
int pw_dns_question_take(struct pw_dns_channel *ch, uint32_t qid,
    const char *name, uint16_t type, uint32_t deadline_ms);
/* No answer is wanted any more; an unknown qid is no error. */
void pw_dns_question_cancel(struct pw_dns_channel *ch, uint32_t qid);
void pw_dns_questions_detach(struct pw_dns_channel *ch);

/* ---- resolver.c ---- */

/* Into this round's frame. */
void pw_dns_channel_answer(
    struct pw_dns_channel *ch, uint32_t qid, const struct pw_dns_answer *a);

#endif
