/* SPDX-License-Identifier: ISC */
/*
 * Inside server/dns: the parts of the client of the resolve role.  client.c has
 * the interface and calls back, flight.c keeps the questions, clientio.c speaks
 * on the channel.
 *
 * A *query* is somebody who waits; a *flight* is a question on its way, with
 * all queries that want the same.  Questions of a round leave in one frame at
 * its end.  Callbacks are only ever called from there or from a timer.
 *
 *   flight: UNSENT -> SENT -> READY -> GIVING -> gone
 *           (no channel, not a name, at the bound: READY at once)
 */
#ifndef PW_DNS_CLIENT_H
#define PW_DNS_CLIENT_H

#include <sys/queue.h>

#include "dns/wire.h"

#define PW_DNS_BUCKETS 1024
_Static_assert((PW_DNS_MAX_OPEN & (PW_DNS_MAX_OPEN - 1)) == 0,
    "a qid's low bits are its slot, also when the id wraps");

enum pw_dns_flight_state {
	PW_DNS_UNSENT,
	PW_DNS_SENT,
	PW_DNS_READY,
	PW_DNS_GIVING
};

struct pw_dns_query {
	TAILQ_ENTRY(pw_dns_query) link;
	struct pw_dns_flight *flight;
	pw_dns_cb cb;
	void *arg;
	struct pw_timer timer;
};

struct pw_dns_flight {
	TAILQ_ENTRY(pw_dns_flight) link;     /* .all */
	TAILQ_ENTRY(pw_dns_flight) to_send;  /* .unsent, when .queued */
	TAILQ_ENTRY(pw_dns_flight) to_give;  /* .ready, when READY */
	LIST_ENTRY(pw_dns_flight) same_hash; /* when UNSENT or SENT */
	TAILQ_HEAD(pw_dns_waiting, pw_dns_query) queries;
	struct pw_dns_client *client;
	uint64_t due_ms; /* until when resolve works on it */
	uint32_t qid;
	uint16_t type;
	uint8_t status; /* when READY without answer */
	enum pw_dns_flight_state state;
	bool queued;
	const struct pw_dns_answer *answer; /* in the client's pool */
	char name[];
};

LIST_HEAD(pw_dns_bucket, pw_dns_flight);
TAILQ_HEAD(pw_dns_flights, pw_dns_flight);

struct pw_dns_client {
	struct pw_loop *loop;
	struct pw_ipc *ipc; /* NULL: no channel */
	struct pw_defer work;
	struct pw_dns_flights all;
	struct pw_dns_flights unsent; /* new, or to be prolonged */
	struct pw_dns_flights ready;
	size_t nready;
	struct pw_dns_bucket buckets[PW_DNS_BUCKETS];
	struct pw_dns_flight
	    *slots[PW_DNS_MAX_OPEN];	      /* by the low bits of a qid */
	uint32_t free_slots[PW_DNS_MAX_OPEN]; /* qids to be used next */
	size_t nfree;
	struct pw_pool *pool; /* answers that came in this round */
	struct pw_enc out;
	uint32_t cancels[PW_DNS_BATCH];
	uint32_t ncancels;
	void (*on_loss)(void *arg);
	void *on_loss_arg;
	const char
	    *broken;   /* why the channel is closed at the end of the round */
	unsigned busy; /* callbacks may be running */
	bool dead;     /* freed meanwhile */
	struct pw_dns_hush refusals;
	struct pw_dns_client_stats stats;
};

/* ---- flight.c ---- */

struct pw_dns_flight *pw_dns_flight_find(
    struct pw_dns_client *c, const char *name, uint16_t type);
/* In no state yet: to be opened or made ready. */
struct pw_dns_flight *pw_dns_flight_new(
    struct pw_dns_client *c, const char *name, uint16_t type);
/* Gives the flight a qid and a place where its answer finds it. */
void pw_dns_flight_open(struct pw_dns_flight *f);
/* The reverse: from now on nobody joins it and no answer reaches it. */
void pw_dns_flight_close(struct pw_dns_flight *f);
/* It leaves, or is prolonged, with this round's frame. */
void pw_dns_flight_queue(struct pw_dns_flight *f);
/* To be answered at the end of the round; it is not open (any more). */
void pw_dns_flight_ready(struct pw_dns_flight *f, uint8_t status,
    const struct pw_dns_answer *answer);
/* Off the list of those. */
void pw_dns_flight_unready(struct pw_dns_flight *f);
/* Nobody waits for it any more: freed, and cancelled where that is needed. */
void pw_dns_flight_abandon(struct pw_dns_flight *f);
void pw_dns_flight_free(struct pw_dns_flight *f);

/* ---- clientio.c ---- */

void pw_dns_channel_close(struct pw_dns_client *c);
/* Closes it because of WHY, fails the open flights and tells the owner. */
void pw_dns_channel_lost(struct pw_dns_client *c, const char *why);
void pw_dns_channel_send_cancels(struct pw_dns_client *c);
void pw_dns_channel_send_queries(struct pw_dns_client *c);

#endif
