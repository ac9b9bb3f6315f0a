/* SPDX-License-Identifier: ISC */
/*
 * Answers as every user of DNS in Postward sees them, whoever found them: the
 * resolve role, a recording, or a table of a test.  And the question side: an
 * asynchronous client of the resolve role.
 *
 * The rest of the program never parses a DNS packet: rdata is decoded in the
 * resolve role into the text and byte forms given here.
 */
#ifndef PW_DNS_DNS_H
#define PW_DNS_DNS_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/pool.h"
#include "net/codec.h"
#include "net/loop.h"

#define PW_DNS_MAX_RR 64		/* records of an answer */
#define PW_DNS_MAX_TXT 4096		/* bytes of one record */
#define PW_DNS_MAX_DATA (64u * 1024)	/* bytes of all records of an answer */
#define PW_DNS_MAX_OPEN 4096		/* open questions of a channel */
#define PW_DNS_NAME_SIZE 256		/* a name as pw_dns_name() gives it */

enum pw_dns_type {
	PW_DNS_A = 1,
	PW_DNS_NS = 2,
	PW_DNS_CNAME = 5,
	PW_DNS_SOA = 6,
	PW_DNS_PTR = 12,
	PW_DNS_MX = 15,
	PW_DNS_TXT = 16,
	PW_DNS_AAAA = 28,
	PW_DNS_TLSA = 52
};

enum pw_dns_status {
	PW_DNS_OK = 0,   /* at least one record */
	PW_DNS_NODATA,   /* the name is there, the type is not */
	PW_DNS_NXDOMAIN,
	PW_DNS_SERVFAIL, /* temporary: also REFUSED, network, lame */
	PW_DNS_TIMEOUT,  /* temporary: the deadline passed */
	PW_DNS_BOGUS,    /* DNSSEC validation failed: temporary for us */
	PW_DNS_BADNAME   /* never asked: not a name that DNS can hold */
};

/*
 * One record.  A, AAAA: DATA is 4 or 16 bytes.  MX: PREF and DATA the exchange.
 * NS, CNAME, PTR: DATA is the name.  TXT: DATA is the character-strings of one
 * record joined: bytes of a stranger's choosing.  Other types: the rdata as on
 * the wire, names uncompressed.  A record of more than 4,096 bytes, and what
 * would make an answer larger than 64 KB, is left out and counted in .dropped.
 * Names are lower-case, without trailing dot, escaped as \DDD where a byte of a
 * label is not printable, a dot or a backslash; the root is the empty string.
 */
struct pw_dns_rr {
	uint16_t pref;
	struct pw_bytes data;
};

struct pw_dns_answer {
	const char *name; /* as asked, lower-case, no trailing dot */
	uint16_t type;
	uint8_t status; /* enum pw_dns_status */
	bool secure;    /* validated by DNSSEC */
	uint32_t ttl;   /* seconds that the answer may be kept */
	uint16_t nrr;   /* at most 64; more are left out and counted */
	uint16_t dropped; /* may be above 0 with NODATA: all were left out */
	struct pw_dns_rr *rr; /* in the order of the answer */
};

static inline bool
pw_dns_is_temporary(uint8_t status)
{
	return status == PW_DNS_SERVFAIL || status == PW_DNS_TIMEOUT ||
	    status == PW_DNS_BOGUS;
}
const char *pw_dns_status_name(uint8_t status); /* "nxdomain" */
const char *pw_dns_type_name(uint16_t type);    /* "TXT", "TYPE257" */

/* The wire form, as it goes between roles and into records. */
void pw_dns_answer_enc(struct pw_enc *e, const struct pw_dns_answer *a);
/* A copy in POOL; NULL (and d->bad) when malformed, or when POOL is full. */
struct pw_dns_answer *pw_dns_answer_dec(struct pw_dec *d, struct pw_pool *pool);
/* A copy in POOL; NULL when that is full. */
struct pw_dns_answer *pw_dns_answer_copy(const struct pw_dns_answer *a,
    struct pw_pool *pool);

/*
 * Lower-cases into OUT and checks: labels 1..63, 253 in all; -1 when DNS cannot
 * hold it (OUT is then empty), also for the root.  A trailing dot is taken off.
 * In text a backslash and three digits, or a backslash and another character,
 * stand for one byte of a label (RFC 1035 section 5.1), whatever else comes is
 * taken as it is; OUT has escapes only where it needs them, so that equal names
 * give equal text.  A name whose escapes make it longer than OUT is refused.
 */
int pw_dns_name(struct pw_bytes in, char out[PW_DNS_NAME_SIZE]);

/* ---- the client of the resolve role ------------------------------------ */

struct pw_dns_client;
struct pw_dns_query; /* one open question */

/* Called exactly once unless cancelled, never from inside pw_dns_ask(). The
 * answer is valid during the call only, and the handle that pw_dns_ask() gave
 * is gone already.  May ask, cancel, and free the client. */
typedef void (*pw_dns_cb)(void *arg, const struct pw_dns_answer *a);

struct pw_dns_client *pw_dns_client_new(struct pw_loop *loop);
/* Open questions are dropped without callback; their handles are gone. */
void pw_dns_client_free(struct pw_dns_client **c);
/* The channel to resolve; -1 while there is none: open and new questions are
 * then answered SERVFAIL.  Takes over FD; an old channel is closed, and what
 * was on its way there is answered SERVFAIL. */
void pw_dns_client_channel(struct pw_dns_client *c, int fd);
/* CB(ARG) is called when the channel broke or was closed for nonsense, so that
 * the owner can get another one; NULL: nobody wants to know. */
void pw_dns_client_on_loss(struct pw_dns_client *c, void (*cb)(void *arg),
    void *arg);
/* Asks NAME/TYPE with a deadline; BADNAME is answered without asking.
 * Questions of one round travel in one frame; the same question asked twice
 * while open travels once.  With 4,096 different ones open, a further one is
 * answered SERVFAIL, counted and logged.  Never NULL. */
struct pw_dns_query *pw_dns_ask(struct pw_dns_client *c, const char *name,
    uint16_t type, unsigned deadline_ms, pw_dns_cb cb, void *arg);
/* No callback any more; *q set to NULL (it may be NULL before). */
void pw_dns_cancel(struct pw_dns_query **q);

struct pw_dns_client_stats {
	uint64_t asked;     /* calls of pw_dns_ask() */
	uint64_t coalesced; /* of these: joined an open question */
	uint64_t badnames;  /* of these: not a name */
	uint64_t refused;   /* of these: no channel, or the bound */
	uint64_t answered;  /* answers that came from resolve */
	uint64_t timeouts;
	uint64_t cancelled;
	uint64_t lost;	    /* channels that broke */
	size_t open;	    /* questions on their way now */
};
void pw_dns_client_stats(const struct pw_dns_client *c,
    struct pw_dns_client_stats *out);

/* ---- a set of answers: what a judgement rested on ---------------------- */

/* Answers by (name, type), in a pool; the recording and the replaying back end
 * of stages. */
struct pw_dns_set;
struct pw_dns_set *pw_dns_set_new(struct pw_pool *pool);
/* Copies A; the first answer to a question stays.  -1 at 256 answers or 64 KB
 * of data, or when the pool is full. */
int pw_dns_set_add(struct pw_dns_set *s, const struct pw_dns_answer *a);
/* NULL when not there. NAME in any case; also finds what was BADNAME. */
const struct pw_dns_answer *pw_dns_set_get(const struct pw_dns_set *s,
    const char *name, uint16_t type);
size_t pw_dns_set_count(const struct pw_dns_set *s);
const struct pw_dns_answer *pw_dns_set_at(const struct pw_dns_set *s, size_t i);
void pw_dns_set_enc(struct pw_enc *e, const struct pw_dns_set *s);
struct pw_dns_set *pw_dns_set_dec(struct pw_dec *d, struct pw_pool *pool);

/* ---- the resolve role -------------------------------------------------- */

struct pw_resolver;
struct pw_resolver_opts {
	const char *const *servers; /* "127.0.0.1@53"...; none: recursion */
	size_t nservers;
	const char *trust_anchor; /* file, or NULL: no validation */
	const char *root_hints;	  /* file, or NULL: built in */
	const char *config;	  /* file in the syntax of unbound.conf, or NULL:
				   * read last, so that it wins */
	size_t cache_bytes;	  /* 0: 48 MiB */
	bool allow_loopback; /* may ask name servers on loopback addresses, and
			      * passes on test., invalid. and the names of
			      * loopback addresses, otherwise built in */
};
/*
 * libunbound on LOOP; -1-style: NULL and the reason in ERR.  Reads its files
 * now, so that a sandbox may follow.  Raises nothing by itself: the number of
 * sockets is derived from RLIMIT_NOFILE as it is now.  The process must ignore
 * SIGPIPE.
 */
struct pw_resolver *pw_resolver_new(struct pw_loop *loop,
    const struct pw_resolver_opts *opts, struct pw_err *err);
/* Serves questions that come on FD (taken over) until it closes.  0, or -1
 * when there are 256 channels already (FD is then closed). */
int pw_resolver_serve(struct pw_resolver *r, int fd);
void pw_resolver_free(struct pw_resolver **r);

struct pw_resolver_stats {
	uint64_t asked;	   /* questions that came */
	uint64_t inlined;  /* of these: answered from the cache at once */
	uint64_t refused;  /* of these: at a bound */
	uint64_t answered; /* answers of unbound that somebody waited for */
	uint64_t timeouts;
	uint64_t cancelled;
	uint64_t bogus;
	uint64_t garbage; /* channels closed: nonsense, or nobody read */
	size_t channels;  /* now */
	size_t running;	  /* questions that unbound works on now, also those
			   * that nobody waits for any more */
};
void pw_resolver_stats(const struct pw_resolver *r,
    struct pw_resolver_stats *out);

#endif
