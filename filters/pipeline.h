/* SPDX-License-Identifier: ISC */
/*
 * The pipeline: runs the stages of each phase for a session, in front or by
 * way of the scan processes, collects their evidence, and asks the policy what
 * follows.  One struct pw_pipeline per loop thread and generation; one struct
 * pw_pipe per session.  All on the loop's thread.
 *
 * The order of a session:
 *   pw_pipe_open -> phase CONNECT -> HELO -> for each transaction:
 *   pw_pipe_begin -> MAIL -> RCPT* -> pw_pipe_message -> BODY (runs HEADER,
 *   BODY and END) -> pw_pipe_result -> pw_pipe_reset -> ... -> pw_pipe_close.
 */
#ifndef PW_FILTERS_PIPELINE_H
#define PW_FILTERS_PIPELINE_H

#include "base/clock.h"
#include "base/err.h"
#include "base/listentry.h"
#include "base/pool.h"
#include "base/strbuf.h"
#include "base/valid.h"
#include "config/config.h"
#include "dns/dns.h"
#include "filters/stage.h"
#include "net/codec.h"
#include "net/loop.h"

struct pw_pipeline;
struct pw_pipe;

/* ---- what the host gives the pipeline ------------------------------------ */

/* A piece of work for a scan process: stages to run on facts, answers and
 * (unless fd is -1) a message.  Restartable: the reply either is final or
 * names DNS questions; the job then comes again with the answers. */
struct pw_scan_job;
struct pw_scan_reply {
	enum pw_rc rc;         /* PW_OK; PW_FAIL: no answer, see reason */
	const char *reason;    /* "crashed", "time limit", "no scan process" */
	struct pw_bytes body;  /* encoded results, for pw_scan_results_* */
};
typedef void (*pw_scan_cb)(void *arg, const struct pw_scan_reply *r);
struct pw_scan_runner {
	void *host;
	/* ENVELOPE: goes to the process kept for such work.  FD stays the
	 * caller's.  Returns a handle for cancel, or NULL when refused (its
	 * queue is full).  CB exactly once unless cancelled, never inside. */
	void *(*submit)(void *host, bool envelope, struct pw_bytes job, int fd,
	    unsigned deadline_ms, pw_scan_cb cb, void *arg);
	void (*cancel)(void *host, void *handle);
};

/* Loads the stages that CFG names, checks that they fit together (needs,
 * provides, roles; a cycle or a missing producer is an error) and makes the
 * order.  In master for the check, and in front. */
int pw_pipeline_new(const struct pw_config *cfg, struct pw_loop *loop,
    struct pw_dns_client *dns, const struct pw_scan_runner *scan,
    struct pw_pipeline **out, struct pw_err *err);
void pw_pipeline_free(struct pw_pipeline **p);
/* Text of the graph, for `postward pipeline show`. */
void pw_pipeline_show(const struct pw_pipeline *p, struct pw_strbuf *out);
/* Sums of the counters of N pipelines of one configuration, as
 * "stage.NAME.runs VALUE" lines; they may run on other threads meanwhile. */
void pw_pipeline_status(const struct pw_pipeline *const *p, size_t n,
    struct pw_strbuf *out);

/* ---- a session ------------------------------------------------------------ */

struct pw_session_info {
	struct pw_id id;
	size_t listener;     /* index in cfg->listener */
	struct pw_ip peer;
	uint16_t peer_port;
	bool trusted;        /* of a trusted network */
};
struct pw_pipe *pw_pipe_open(struct pw_pipeline *p,
    const struct pw_session_info *info);
/* Cancels all that is under way; *pipe set to NULL. */
void pw_pipe_close(struct pw_pipe **pipe);

/*
 * From now on questions are answered from ANSWERS (which must outlive PIPE) and
 * never asked: a judgement made again on what it once rested on.  A question
 * without a recorded answer is could-not-run, "not recorded".
 */
void pw_pipe_replay(struct pw_pipe *pipe, const struct pw_dns_set *answers);

/*
 * A whole judgement once more, from its RECORDING (pw_pipe_result.recording):
 * the same facts in the same order, the same time and random bytes, the
 * recorded ANSWERS.  A run that could not be made then for a reason outside of
 * its stage (a time limit, a crash) is not made now.  INFO is of the session as
 * it is to be seen, its peer and listener; FD is the message as it came, SIZE
 * octets.  All pointers must outlive the replay.
 *
 * DONE is called once, inside the call or later, with the result (valid until
 * pw_rejudge_free()), or NULL when the script turns out malformed.  NULL is
 * returned and nothing called when there is no recording.
 */
struct pw_pipe_result;
typedef void (*pw_rejudge_cb)(void *arg, const struct pw_pipe_result *r);
struct pw_rejudge;
struct pw_rejudge *pw_rejudge_new(struct pw_pipeline *p,
    struct pw_bytes recording, const struct pw_session_info *info,
    const struct pw_dns_set *answers, int fd, uint64_t size, pw_rejudge_cb done,
    void *arg);
/* After DONE: the verdict for MAILBOX of the recipient that was GIVEN in these
 * words, with the list entries that fit it then. */
struct pw_pipe_verdict;
const struct pw_pipe_verdict *pw_rejudge_verdict(struct pw_rejudge *r,
    struct pw_bytes given, const char *mailbox,
    const struct pw_list_entry *entry, size_t n);
/* The client asked for a reply for each recipient. */
bool pw_rejudge_prdr(const struct pw_rejudge *r);
void pw_rejudge_free(struct pw_rejudge **r);

/* Facts of the host, before the phase that may look at them.  Values are
 * copied; a transaction's facts (names from mail. on) vanish with it. */
void pw_pipe_text(struct pw_pipe *pipe, const char *name, struct pw_bytes v);
void pw_pipe_int(struct pw_pipe *pipe, const char *name, int64_t v);

/* A transaction begins (MAIL accepted for a look). */
void pw_pipe_begin(struct pw_pipe *pipe, const struct pw_id *id);
/* The transaction and all that was under way for it are dropped. The one
 * function for it; harmless when there is none. */
void pw_pipe_reset(struct pw_pipe *pipe);
/* The message: FD (kept by the caller until the phase is done or reset). */
void pw_pipe_message(struct pw_pipe *pipe, int fd, uint64_t size,
    uint64_t header_len);

/* A decision before the end of data: refuse now. */
struct pw_early {
	const char *reply; /* "550 5.7.27 ...", NULL: go on */
	const char *step;
};
/* What the lists hold for the recipient and what is known of the sender by
 * now. */
struct pw_early_lists {
	const struct pw_list_entry *entry;
	size_t n;
	bool may_allow; /* an allow entry may still apply by the message */
};
typedef void (*pw_pipe_cb)(void *arg);
/*
 * Runs a phase.  PW_OK: done now.  PW_AGAIN: CB(ARG) exactly once later, unless
 * pw_pipe_reset() (for phases from MAIL on) or pw_pipe_close() comes first.
 * Bounded by the stages' time limits and, for the end of data, by
 * smtp.end-timeout.  PW_PHASE_BODY stands for HEADER, BODY and END together.
 */
enum pw_rc pw_pipe_phase(struct pw_pipe *pipe, enum pw_phase phase,
    pw_pipe_cb cb, void *arg);
/* After a phase: what the policy says already. It refuses and defers at RCPT,
 * where the recipient's LISTS (else NULL) are known. */
void pw_pipe_early(struct pw_pipe *pipe, enum pw_phase phase,
    const struct pw_early_lists *lists, struct pw_early *out);

/* ---- after the end of data ------------------------------------------------- */

struct pw_evidence;  /* storage's record has the same shape; see pipe_result */
struct pw_pipe_evidence {
	const char *stage, *symbol;
	double weight;
	uint8_t scope;
	uint8_t asks;  /* 1 + the action that it asks for by itself, or 0 */
	bool shadow;
	bool malware;  /* above every allow entry */
	uint32_t rcpt; /* on this recipient only (from 1), or 0 */
	struct pw_bytes text;
};
struct pw_pipe_run {
	const char *stage;
	uint8_t phase, outcome; /* 0 hit, 1 no hit, 2 n/a, 3 could not run */
	const char *reason;
	uint32_t wall_us, cpu_us;
};
struct pw_pipe_field {
	const char *name;
	struct pw_bytes value;
};
struct pw_pipe_cut {
	uint64_t offset;
	uint32_t len;
};
/* All in the transaction's memory, valid until pw_pipe_reset(). */
struct pw_pipe_result {
	/* Policy: the same numbers as storage's enum pw_action. */
	uint8_t action;
	const char *reply; /* when action is not deliver, junk or hold */
	const char *step;  /* which rule decided, in words */
	double score;
	const char *auth_results; /* value of the field, folded, without name */
	size_t nevidence, nrun, nfield, ncut;
	struct pw_pipe_evidence *evidence;
	struct pw_pipe_run *run;
	struct pw_pipe_field *field; /* to put above the message */
	struct pw_pipe_cut *cut;
	struct pw_bytes meta;    /* encoded struct pw_meta, or empty */
	const struct pw_dns_set *dns;
	bool crashed; /* reading the message ended a scan process */
	const char *iprev_name;  /* confirmed reverse name, or "" */
	struct pw_bytes recording; /* for pw_rejudge_new(), or "" */
};
const struct pw_pipe_result *pw_pipe_result(struct pw_pipe *pipe);
/* What the stages have said up to now, of the session and, if there is one,
 * the transaction; without a verdict.  In POOL; NULL at its bound. */
const struct pw_pipe_result *pw_pipe_so_far(struct pw_pipe *pipe,
    struct pw_pool *pool);

/* Addresses in From as the structure stage read them (at most MAX), in the
 * transaction's memory; after the phase BODY. */
size_t pw_pipe_from(struct pw_pipe *pipe, const char **addr, size_t max);

/* The verdict for one mailbox of a recipient; the result's own action, step
 * and score are those of nobody in particular. */
struct pw_pipe_rcpt {
	const char *mailbox; /* "user@domain", canonical */
	uint32_t rcpt;       /* pw_pipe_rcpt_number() of its RCPT */
	const struct pw_list_entry *entry; /* that fit it and the message */
	size_t nentry;
};
struct pw_pipe_verdict {
	uint8_t action;
	const char *reply; /* "" unless refused or deferred */
	const char *step;
	double score;
};
/* After pw_pipe_result(), in the transaction's memory; equal verdicts may be
 * one.  Never NULL: at the memory's bound everything is deferred. */
const struct pw_pipe_verdict *pw_pipe_verdict(struct pw_pipe *pipe,
    const struct pw_pipe_rcpt *rcpt);
/* Number, from 1, of the recipient that "rcpt.address" was last set for. */
uint32_t pw_pipe_rcpt_number(const struct pw_pipe *pipe);

/* ---- the scan role's side --------------------------------------------------- */

/* Runs jobs: same stages, same descriptors, loaded before the sandbox. */
struct pw_scanner;
int pw_scanner_new(const struct pw_config *cfg, struct pw_scanner **out,
    struct pw_err *err);
/* Runs one job to its end; RESULTS gets the encoded reply. FD -1: none. */
void pw_scanner_run(struct pw_scanner *s, struct pw_bytes job, int fd,
    struct pw_enc *results);
/* Meta block of a stored file (LF or CRLF), for the index. */
int pw_scanner_parse_file(struct pw_scanner *s, int fd, struct pw_enc *meta);
void pw_scanner_free(struct pw_scanner **s);

/* Names of all stages known to CFG, for the configuration's check. */
int pw_pipeline_stage_names(const struct pw_config *cfg, const char ***names,
    size_t *n);

#endif
