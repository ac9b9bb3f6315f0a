/* SPDX-License-Identifier: ISC */
/*
 * The stage interface of Postward: what a plug-in implements and what it may
 * ask of its host.  Installed as <postward/stage.h>; needs nothing else of
 * ours.  postward-stage(7) explains it with an example.
 *
 * A stage gathers evidence about a session or a message; policy alone decides.
 * It is loaded once at start and runs in the role front or in a scan process
 * (no network, no files, one message at a time).  In front it runs on a loop
 * that nothing can interrupt: only what never takes long belongs there.
 *
 * The rule that makes stages simple: A STAGE NEVER WAITS.  When run() asks the
 * host for something that is not there yet (a DNS answer), it returns
 * PW_RUN_PENDING and run() is called again from its beginning when everything
 * it asked for has come.  run() must therefore be repeatable: the same facts
 * and answers give the same evidence.  Evidence of a run that ends PENDING is
 * dropped.  This is also why a judgement can be replayed later.
 *
 * Pointers given to a stage are valid until run() returns, unless a function
 * says otherwise.  Text that a stage hands over is copied, checked and cut to
 * its bound by the host.  All functions of struct pw_host are for the thread
 * that called the stage, but for finish().
 */
#ifndef PW_FILTERS_STAGE_H
#define PW_FILTERS_STAGE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PW_STAGE_ABI 1u
/* Must be equal in host and stage: properties of the build that both rely on. */
#define PW_STAGE_FEATURES "abi1-lp64-le"

struct pw_ctx;        /* one run on one session or message; the host's */
struct pw_stage_conf; /* this stage's section of the configuration */

/* Borrowed bytes, not terminated. */
struct pw_slice {
	const char *ptr;
	size_t len;
};

enum pw_phase {
	PW_PHASE_CONNECT = 0,
	PW_PHASE_HELO,
	PW_PHASE_MAIL,
	PW_PHASE_RCPT,   /* once for each recipient */
	PW_PHASE_HEADER, /* the header section is complete */
	PW_PHASE_BODY,   /* the message is complete, looked at as it came */
	PW_PHASE_END,    /* after all BODY stages */
	PW_PHASE_COUNT
};
#define PW_PHASE_BIT(p) (1u << (p))

enum pw_run {
	PW_RUN_NEXT = 0, /* ran; what it found was given as evidence, if any */
	PW_RUN_NA,       /* does not apply here (no signature, local client) */
	PW_RUN_PENDING,  /* asked for something that is not there yet */
	PW_RUN_ERROR     /* could not run; host->fail() said why */
};

enum pw_scope { PW_SCOPE_SESSION = 0, PW_SCOPE_MESSAGE, PW_SCOPE_RECIPIENT };

enum pw_fact_type { PW_FACT_NONE = 0, PW_FACT_TEXT, PW_FACT_INT, PW_FACT_IP };

struct pw_fact {
	uint8_t type;
	uint8_t family;  /* IP: 4 or 6 */
	uint8_t ip[16];  /* IP: network order */
	int64_t num;     /* INT; 0 and 1 for yes and no */
	struct pw_slice text;
};

/*
 * Facts that the host provides, by name (all may be absent):
 *   peer.ip peer.port listener tls.version tls.cipher trusted
 *   session.early_text (how often the client spoke before its turn)
 *   helo.name helo.esmtp
 *   mail.address mail.local mail.domain mail.size mail.smtputf8
 *   rcpt.address (several; in phase RCPT index 0 is the one at hand)
 *   message.size message.header_len message.hops message.long_line
 *   host.name (our own) host.authserv_id time (microseconds since the epoch)
 * (of rcpt.address at most 100 values)
 * Stages add their own, named after them: iprev.name, spf.mailfrom.result.
 */

struct pw_dns_record {
	uint16_t pref;        /* MX */
	struct pw_slice data; /* A, AAAA: raw; names and TXT: text */
};
struct pw_dns_reply {
	uint8_t status; /* 0 ok, 1 nodata, 2 nxdomain, 3 servfail, 4 timeout,
			 * 5 bogus, 6 not a name */
	uint8_t secure; /* validated by DNSSEC */
	uint16_t count;
	uint32_t ttl;
	const struct pw_dns_record *record;
};

/* A leaf of the message's MIME tree, decoded. */
struct pw_part {
	struct pw_slice type, subtype; /* "text", "html" */
	struct pw_slice charset;       /* as it says; the content is as it came */
	struct pw_slice name;          /* of the file, or empty */
	struct pw_slice disposition;   /* "attachment", or empty */
	struct pw_slice content;       /* without its transfer encoding */
	uint16_t depth;                /* 0: the message itself */
	uint16_t flags;                /* PW_PART_... */
};
#define PW_PART_CLIPPED 1u /* the bound of all decoded content was met */

/* A promise to answer later, for stages that talk to outside programs. */
struct pw_ticket {
	uint32_t slot, generation;
};

struct pw_host {
	uint32_t size; /* of this struct, in the host's build */
	uint32_t abi;

	/* Value INDEX of a fact: 0, or -1 when absent. Only facts declared in
	 * needs, or provided by the host, are found. */
	int (*fact)(struct pw_ctx *, const char *name, size_t index,
	    struct pw_fact *out);
	/* Provides a fact that was declared; a second value with INDEX 1... */
	int (*provide)(struct pw_ctx *, const char *name, size_t index,
	    const struct pw_fact *value);

	/*
	 * One piece of evidence.  SYMBOL must be in the descriptor's table;
	 * FACTOR (usually 1) multiplies its weight; TEXT is the reason in one
	 * line for a human.
	 */
	void (*evidence)(struct pw_ctx *, const char *symbol, double factor,
	    const char *text);
	/* Why the run ends with PW_RUN_ERROR. */
	void (*fail)(struct pw_ctx *, const char *reason);

	/* Asks DNS for A(1) PTR(12) MX(15) TXT(16) AAAA(28): 0 and *out, or 1:
	 * not there yet (ask for all you need, then return PENDING). */
	int (*dns)(struct pw_ctx *, const char *name, uint16_t type,
	    struct pw_dns_reply *out);
	/* Microseconds since the epoch as recorded for this judgement. */
	int64_t (*now)(struct pw_ctx *);
	/* The same bytes again in a replay. */
	void (*random)(struct pw_ctx *, void *out, size_t n);
	void (*log)(struct pw_ctx *, int level, const char *text);

	/* The message as it came, CRLF line ends, never to be written to; -1
	 * before phase HEADER, where it is the header section only. */
	int (*message)(struct pw_ctx *, struct pw_slice *out);
	/* Header field I: its name, and the whole field with its line ends;
	 * -1 past the last one. */
	int (*field)(struct pw_ctx *, size_t i, struct pw_slice *name,
	    struct pw_slice *raw);

	/*
	 * A result for Authentication-Results (RFC 8601): METHOD "spf", RESULT
	 * "pass", PROPS "smtp.mailfrom=example.com" (pairs set apart by one
	 * space; values are quoted by the host where they must be), REASON or
	 * NULL.
	 */
	int (*authres)(struct pw_ctx *, const char *method, const char *result,
	    const char *props, const char *reason);
	/* A header field to put above the message. */
	int (*add_field)(struct pw_ctx *, const char *name, const char *value);
	/* Bytes of the message that are not to be filed (whole fields only):
	 * for the host's own structure stage; -1 for others. */
	int (*cut)(struct pw_ctx *, uint64_t offset, uint32_t len,
	    const char *why);
	/* What the index is to know of the message: an opaque block made by
	 * the host's own structure stage. */
	int (*meta)(struct pw_ctx *, struct pw_slice block);

	/* Memory until the run's message or session ends; NULL at its bound. */
	void *(*alloc)(struct pw_ctx *, size_t n);

	/* For stages with PW_FLAG_ASYNC: take a ticket, return PENDING, and
	 * answer once with finish(), from any thread; run() is then called
	 * again.  A second or late answer is counted and dropped. */
	struct pw_ticket (*ticket)(struct pw_ctx *);
	void (*finish)(struct pw_ticket);

	/* In init(): the value of one of the stage's own options, or NULL. */
	const char *(*option)(const struct pw_stage_conf *, const char *name);

	/*
	 * Leaf I of the message, in its order; the host decodes a message once
	 * for all stages, when one asks.  Only in scan, from BODY on; -1 past
	 * the last.  At most 1,000 parts, 50 deep, with 32 MB of content; a
	 * message beyond what may be parsed has none, and stage structure says
	 * so with MIME_COMPLEX.
	 */
	int (*part)(struct pw_ctx *, size_t i, struct pw_part *out);
};

struct pw_symbol {
	const char *name;
	double weight; /* default; positive is against the message; what a
			* symbol asks for by itself is policy.actions */
	const char *help;
};

struct pw_stage_option {
	const char *name, *def, *help;
};

enum pw_role {
	PW_ROLE_FRONT = 1,
	PW_ROLE_SCAN = 2,
	PW_ROLE_BRIDGE = 4 /* kept for a later version */
};
enum pw_cost { PW_COST_CHEAP = 0, PW_COST_NORMAL, PW_COST_DEAR };
enum pw_on_error {
	PW_ERR_DEFAULT = 0,
	PW_ERR_SKIP,     /* as if it had not been configured, but recorded */
	PW_ERR_TAG,      /* a note in the header */
	PW_ERR_TEMPFAIL, /* 451 */
	PW_ERR_HOLD      /* kept for review */
};

#define PW_FLAG_ASYNC 1u      /* uses tickets */
#define PW_FLAG_BACKGROUND 2u /* its phase need not wait for it; the end does */
#define PW_FLAG_TRUSTED 4u    /* also runs for clients of trusted networks */
#define PW_NEED_NETWORK 1u
#define PW_NEED_EXEC 2u

struct pw_stage {
	uint32_t size; /* sizeof(struct pw_stage) */
	uint32_t abi;  /* PW_STAGE_ABI */
	const char *features; /* PW_STAGE_FEATURES */

	const char *name;    /* [a-z0-9-]{1,32} */
	const char *version;
	const char *help;    /* one line */
	uint32_t phases;     /* PW_PHASE_BIT(...) | ... */
	const char *const *needs;    /* facts, NULL at the end; "x?" is optional */
	const char *const *provides; /* facts, NULL at the end */
	const struct pw_symbol *symbols; /* name NULL at the end */
	const struct pw_stage_option *options; /* name NULL at the end */
	uint8_t roles;    /* where it can run: PW_ROLE_... | ... */
	uint8_t role;     /* where it runs unless configured otherwise */
	uint8_t cost;     /* enum pw_cost: dear ones run last and are given up
			   * first when the message's time is short */
	uint8_t scope;    /* enum pw_scope of its evidence */
	uint8_t on_error; /* enum pw_on_error, its own default */
	uint32_t flags;
	uint32_t environment; /* PW_NEED_... */
	uint32_t timeout_ms;  /* for one phase, waiting included */
	/* Those of its symbols that say that the message is harmful, NULL at
	 * the end; may be NULL.  They are above every allow entry, and so is
	 * the stage's rule where it could not run. */
	const char *const *malware;

	/* Before any sandbox: reads its options and files.  Once per process;
	 * in front once per loop thread, each with an instance of its own.
	 * 0 and *instance, or -1 and a line in ERR. */
	int (*init)(const struct pw_host *host, const struct pw_stage_conf *conf,
	    void **instance, char *err, size_t errlen);
	void (*fini)(void *instance);
	enum pw_run (*run)(void *instance, struct pw_ctx *ctx,
	    enum pw_phase phase);
	/* An async run is given up: its ticket will not be looked at. */
	void (*cancel)(void *instance, struct pw_ctx *ctx);
};

/* What a plug-in file exports: a function named pw_stage_entry. */
const struct pw_stage *pw_stage_entry(void);

#ifdef __cplusplus
}
#endif
#endif
