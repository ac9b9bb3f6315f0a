/* SPDX-License-Identifier: ISC */
/*
 * The admin verbs: one table for the control socket and for `postward` when
 * the daemon is not running.  A verb reads its words, acts through the store's
 * parts, and writes text or JSON.
 */
#ifndef PW_CTL_VERB_H
#define PW_CTL_VERB_H

#include <jansson.h>

#include "config/config.h"
#include "storage/accounts.h"
#include "storage/index.h"
#include "storage/store.h"

struct pw_verb_ctx;

/* What a verb may need of the daemon; absent offline. */
struct pw_verb_daemon {
	void *arg;
	/* Asks master; DONE is called once, later, with an exit code and a
	 * text. */
	void (*reload)(void *arg, struct pw_verb_ctx *ctx);
	void (*shutdown)(void *arg, struct pw_verb_ctx *ctx);
	void (*status)(void *arg, struct pw_verb_ctx *ctx);
	void (*accounts_changed)(void *arg);
	void (*rescan)(void *arg, const char *mailbox);
};

struct pw_verb_ctx {
	const struct pw_config *cfg;
	struct pw_accounts *accounts; /* NULL: could not be opened */
	struct pw_index *index;
	const struct pw_verb_daemon *daemon; /* NULL: not running */
	struct pw_view view; /* who asks: --as, or everybody */
	const char *const *word; /* after the verb's own words */
	size_t nword;
	bool json;
	struct pw_bytes input;  /* text that came with the request */
	struct pw_strbuf *out;  /* the answer */
	void *waiter;           /* the control socket's client */
};

/* Exit codes of sysexits.h; PW_VERB_LATER: the daemon answers later. */
#define PW_VERB_LATER (-1)

struct pw_verb {
	const char *words; /* "mailbox add" */
	const char *args;  /* "ADDRESS [--quota SIZE]" */
	const char *help;  /* one line */
	bool offline;      /* works without the daemon */
	int (*run)(struct pw_verb_ctx *ctx);
};

const struct pw_verb *pw_verb_table(size_t *n);
/* The verb that WORD begins with, the longest; *used words belong to it. */
const struct pw_verb *pw_verb_find(const char *const *word, size_t nword,
    size_t *used);
/* Takes --as out of the words and runs V; what it returns. */
int pw_verb_run(const struct pw_verb *v, struct pw_verb_ctx *ctx);
/* All verbs with their arguments, for help. */
void pw_verb_usage(struct pw_strbuf *out);

/* Helpers for verbs: the value of option --NAME (removed from the words), or
 * NULL; is flag --NAME given. */
const char *pw_verb_option(struct pw_verb_ctx *ctx, const char *name);
bool pw_verb_flag(struct pw_verb_ctx *ctx, const char *name);
/* A point in time: "2026-01-31", or "7d" "12h" "30m" before now; microseconds
 * since the epoch, or -1. */
int64_t pw_verb_since(const char *text);
/* Writes a line that says how the verb is used; EX_USAGE. */
int pw_verb_misuse(struct pw_verb_ctx *ctx, const char *why);
/* Writes err's text; EX_... by its code. */
int pw_verb_failed(struct pw_verb_ctx *ctx, const struct pw_err *err);
/* Writes V as indented JSON and drops it. */
int pw_verb_json(struct pw_verb_ctx *ctx, json_t *v);

/* The groups of verbs. */
extern const struct pw_verb pw_verbs_account[];
extern const size_t pw_nverbs_account;
extern const struct pw_verb pw_verbs_message[];
extern const size_t pw_nverbs_message;
extern const struct pw_verb pw_verbs_daemon[];
extern const size_t pw_nverbs_daemon;

/* verbs_list.c; their rows are in pw_verbs_account. */
int pw_verb_allow_add(struct pw_verb_ctx *ctx);
int pw_verb_allow_remove(struct pw_verb_ctx *ctx);
int pw_verb_allow_list(struct pw_verb_ctx *ctx);
int pw_verb_block_add(struct pw_verb_ctx *ctx);
int pw_verb_block_remove(struct pw_verb_ctx *ctx);
int pw_verb_block_list(struct pw_verb_ctx *ctx);

/* Words of a decision for a human (explain.c); CFG for what the score is
 * compared with now. */
void pw_explain(const json_t *decision, const struct pw_config *cfg,
    struct pw_strbuf *out);
/* One line of it (explain.c). */
void pw_explain_line(const json_t *decision, struct pw_strbuf *out);

#endif
