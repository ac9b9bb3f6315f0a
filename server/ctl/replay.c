/* SPDX-License-Identifier: ISC */
/* postward replay: finding the mail, comparing verdicts, telling. */
#include "ctl/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "ctl/verb.h"
#include "host/folders.h"
#include "storage/accounts.h"

#define WEEK_US ((int64_t)7 * 86400 * 1000000)
#define REPORT_MAX (64u << 20)

struct replay {
	const struct pw_config *cfg; /* where the mail is */
	struct pw_config *fresh;     /* what it is judged by */
	struct pw_accounts *accounts;
	struct pw_index *index;
	struct pw_judge *judge;
	const char *folder;
	int mail_root, state_dir;
	bool json;
	json_t *changed, *skipped, *questions;
	struct pw_strbuf out;
	uint64_t n, judged, same, other, gone, unstored, unrecorded, altered,
	    failed;
};

/* ---- the file of a message ----------------------------------------------------------- */

static const char *
str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static bool
is_folder(const struct replay *r, const json_t *row)
{
	const char *folder = str(row, "folder");

	return r->folder == NULL || strcmp(r->folder, folder) == 0 ||
	    (folder[0] == '\0' && strcmp(r->folder, "INBOX") == 0);
}

static int
open_row(const struct replay *r, const json_t *row)
{
	char path[4096];
	const char *mailbox = str(row, "mailbox");
	struct pw_bytes base = pw_bytes_of(str(row, "base"));

	if (mailbox[0] == '\0')
		return pw_original_find(r->state_dir, PW_LIT("quarantine"),
		    PW_LIT(""), base);
	if (pw_accounts_path(r->accounts, mailbox, path, sizeof(path)) != 0)
		return -1;
	return pw_original_find(r->mail_root, pw_bytes_of(path),
	    pw_bytes_of(str(row, "folder")), base);
}

/* The message as it came, of the first copy that is still there: *wanted is
 * false when none lies in the folder asked for, *known when the index knows of
 * none at all. */
static int
open_message(struct replay *r, const struct pw_judged *j, bool *wanted,
    bool *altered)
{
	struct pw_message_filter f = { .id = j->tid, .limit = 1000 };
	struct pw_err err = { 0 };
	json_t *rows = NULL, *row;
	uint64_t size = 0;
	size_t i;
	int out = -1;

	*wanted = r->folder == NULL;
	*altered = false;
	if (pw_index_messages(r->index, &f, &rows, &err) != 0)
		return -1;
	json_array_foreach(rows, i, row) {
		int fd;

		if (!is_folder(r, row))
			continue;
		*wanted = true;
		fd = out < 0 ? open_row(r, row) : -1;
		if (fd < 0)
			continue;
		out = pw_original_make(fd, (uint64_t)json_integer_value(
		    json_object_get(row, "prefix")), j->missing, j->nmissing,
		    &size, &err);
		(void)close(fd);
		if (out >= 0 && size != j->size) {
			(void)close(out);
			out = -1;
		}
		*altered = out < 0;
	}
	json_decref(rows);
	return out;
}

/* ---- telling --------------------------------------------------------------------------- */

/* "SPF_FAIL +2.00" for each piece that A has and B has not. */
static json_t *
without(const struct pw_decision *a, const json_t *b, bool reverse)
{
	json_t *list = json_array();
	size_t nb = json_array_size(b);
	size_t n = reverse ? nb : a->nevidence, m = reverse ? a->nevidence : nb;

	for (size_t i = 0; i < n; i++) {
		bool found = false;
		size_t x, y;

		for (size_t k = 0; k < m && !found; k++) {
			const json_t *o;

			x = reverse ? k : i;
			y = reverse ? i : k;
			o = json_array_get(b, y);
			found = strcmp(a->evidence[x].symbol,
			    str(o, "symbol")) == 0 &&
			    fabs(a->evidence[x].weight - json_number_value(
				json_object_get(o, "weight"))) < 0.005 &&
			    a->evidence[x].shadow ==
				json_is_true(json_object_get(o, "shadow"));
		}
		if (found)
			continue;
		(void)json_array_append_new(list, reverse
		    ? json_sprintf("%s %+.2f", str(json_array_get(b, i),
			  "symbol"), json_number_value(json_object_get(
			  json_array_get(b, i), "weight")))
		    : json_sprintf("%s %+.2f", a->evidence[i].symbol,
			  a->evidence[i].weight));
	}
	return list;
}

static json_t *
side(uint8_t action, double score, const char *step)
{
	return json_pack("{s:s,s:f,s:s}", "action", pw_action_name(action),
	    "score", score, "step", step);
}

static void
words(struct replay *r, const char *label, const json_t *list)
{
	size_t i;
	const json_t *v;

	if (json_array_size(list) == 0)
		return;
	pw_strbuf_addf(&r->out, "    %s", label);
	json_array_foreach(list, i, v)
		pw_strbuf_addf(&r->out, "%s %s", i > 0 ? "," : "",
		    json_string_value(v));
	pw_strbuf_addc(&r->out, '\n');
}

/* One mailbox, as a line and as an entry of CHANGED. */
static void
tell_one(struct replay *r, const struct pw_decision_rcpt *was,
    const struct pw_decision_rcpt *now, json_t *list)
{
	pw_strbuf_addf(&r->out,
	    "    %.*s: %s (%.2f) -> %s (%.2f)\n      because: %s\n",
	    (int)was->mailbox.len, was->mailbox.ptr,
	    pw_action_name(was->action), was->score,
	    pw_action_name(now->action), now->score, now->step);
	(void)json_array_append_new(list, json_pack("{s:s%,s:o,s:o}",
	    "mailbox", was->mailbox.ptr, was->mailbox.len, "was",
	    side(was->action, was->score, was->step), "would_be",
	    side(now->action, now->score, now->step)));
}

static void
tell_change(struct replay *r, const struct pw_judged *j,
    const struct pw_decision *d, json_t *more, json_t *less)
{
	json_t *list = json_array();
	char when[32] = "";

	(void)pw_clock_iso(when, j->time_us);
	pw_strbuf_addf(&r->out, "%.19s  %s  from <%.*s>\n", when, j->tid,
	    (int)j->mail_from.len, j->mail_from.ptr);
	for (size_t i = 0; i < j->nrcpt; i++)
		if (j->rcpt[i].action != d->rcpt[i].action)
			tell_one(r, &j->rcpt[i], &d->rcpt[i], list);
	words(r, "new evidence:", more);
	words(r, "gone:", less);
	(void)json_array_append_new(r->changed,
	    json_pack("{s:s,s:I,s:o,s:O,s:O}", "id", j->tid, "time",
		(json_int_t)j->time_us, "recipients", list, "new_evidence",
		more, "gone_evidence", less));
}

static void
skip(struct replay *r, const struct pw_judged *j, uint64_t *count,
    const char *why)
{
	(*count)++;
	(void)json_array_append_new(r->skipped,
	    json_pack("{s:s,s:s}", "id", j->tid, "why", why));
}

/* What could not be answered from the record. */
static void
list_questions(struct replay *r, const struct pw_judged *j,
    const struct pw_decision *d)
{
	for (size_t i = 0; i < d->nrun; i++)
		if (d->run[i].outcome == PW_OUT_COULD_NOT_RUN &&
		    strncmp(d->run[i].reason, "not recorded", 12) == 0)
			(void)json_array_append_new(r->questions,
			    json_pack("{s:s,s:s,s:s}", "id", j->tid, "stage",
				d->run[i].stage, "question",
				d->run[i].reason));
}

static void
compare(struct replay *r, const struct pw_judged *j,
    const struct pw_decision *d)
{
	json_t *was = json_loadb(j->evidence.ptr, j->evidence.len, 0, NULL);
	json_t *more = without(d, was, false), *less = without(d, was, true);
	bool changed = false, other = false;

	list_questions(r, j, d);
	for (size_t i = 0; i < j->nrcpt; i++) {
		changed |= d->rcpt[i].action != j->rcpt[i].action;
		other |= fabs(d->rcpt[i].score - j->rcpt[i].score) > 0.005;
	}
	if (changed)
		tell_change(r, j, d, more, less);
	else if (other || json_array_size(more) + json_array_size(less) > 0)
		r->other++;
	else
		r->same++;
	json_decref(more);
	json_decref(less);
	json_decref(was);
}

/* ---- one message after the other ----------------------------------------------------------- */

static void
judge_one(struct replay *r, const struct pw_judged *j, struct pw_pool *pool)
{
	struct pw_verdict_again v;
	bool wanted, altered;
	int fd;

	if (j->action > PW_ACT_REFUSE_KEEP) {
		r->n++;
		r->unstored++;
		return;
	}
	fd = open_message(r, j, &wanted, &altered);
	if (!wanted)
		return;
	r->n++;
	if (fd < 0) {
		if (altered)
			skip(r, j, &r->altered, "its file was changed");
		else
			skip(r, j, &r->gone, "it is gone");
		return;
	}
	if (j->recording.len == 0 || j->nrcpt == 0) {
		skip(r, j, &r->unrecorded, "too little is on record");
	} else {
		pw_judge_again(r->judge, j, fd, pool, &v);
		if (v.decision == NULL || v.decision->nrcpt != j->nrcpt) {
			skip(r, j, &r->failed, v.decision == NULL ? v.why :
			    "the judging process gave nonsense");
		} else {
			r->judged++;
			compare(r, j, v.decision);
		}
	}
	(void)close(fd);
}

static int
judge_all(struct replay *r, int64_t since, struct pw_err *err)
{
	struct pw_pool *pool = pw_pool_new((size_t)256 << 20);
	int64_t until = pw_clock_real_us(), at = since;
	struct pw_judged *j = NULL;
	int rc;

	for (;;) {
		pw_pool_reset(pool);
		rc = pw_index_judged(r->index, at, until, pool, &j, err);
		if (rc != 0 || j == NULL)
			break;
		at = j->time_us;
		judge_one(r, j, pool);
	}
	pw_pool_free(&pool);
	return rc;
}

static void
summary(struct replay *r)
{
	const json_t *v;
	size_t i;

	json_array_foreach(r->questions, i, v)
		pw_strbuf_addf(&r->out, "%s: %s could not run: %s\n",
		    str(v, "id"), str(v, "stage"), str(v, "question"));
	json_array_foreach(r->skipped, i, v)
		pw_strbuf_addf(&r->out, "%s: not judged: %s\n", str(v, "id"),
		    str(v, "why"));
	pw_strbuf_addf(&r->out,
	    "%" PRIu64 " messages: %" PRIu64 " judged again, %zu would be "
	    "treated otherwise, %" PRIu64 " have other evidence only, %" PRIu64
	    " the same\nnot judged: %" PRIu64 " not stored, %" PRIu64
	    " gone, %" PRIu64 " changed on disk, %" PRIu64
	    " without a recording, %" PRIu64 " failed\n",
	    r->n, r->judged, json_array_size(r->changed), r->other, r->same,
	    r->unstored, r->gone, r->altered, r->unrecorded, r->failed);
}

static int
report(struct replay *r)
{
	char *text;

	if (!r->json) {
		summary(r);
		(void)fputs(pw_strbuf_cstr(&r->out), stdout);
		return EX_OK;
	}
	json_t *o = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}",
	    "messages", (json_int_t)r->n, "judged", (json_int_t)r->judged,
	    "same", (json_int_t)r->same, "other_evidence",
	    (json_int_t)r->other, "not_stored", (json_int_t)r->unstored, "gone",
	    (json_int_t)r->gone, "changed_on_disk", (json_int_t)r->altered,
	    "without_recording", (json_int_t)r->unrecorded, "failed",
	    (json_int_t)r->failed);
	(void)json_object_set(o, "changed", r->changed);
	(void)json_object_set(o, "not_judged", r->skipped);
	(void)json_object_set(o, "not_recorded", r->questions);
	text = json_dumps(o, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	if (text != NULL)
		(void)puts(text);
	free(text);
	json_decref(o);
	return EX_OK;
}

/* ---- the verb ---------------------------------------------------------------------------------- */

static int
load(struct replay *r, const char *file, const char *plugins)
{
	struct pw_strbuf text;
	int rc;

	pw_strbuf_init(&text, 256 * 1024);
	if (plugins != NULL) /* stages that this file cannot know of */
		pw_config_set_stage_names(NULL, 0);
	rc = pw_config_load(file, false, &r->fresh, &text);
	if (rc != 0)
		(void)fputs(pw_strbuf_cstr(&text), stderr);
	else if (plugins != NULL)
		r->fresh->server.plugin_dir = plugins;
	pw_strbuf_free(&text);
	return rc == 0 ? EX_OK : EX_CONFIG;
}

static int
open_all(struct replay *r, struct pw_err *err)
{
	const struct pw_config *cfg = r->cfg;

	/* The rest is the store's: as root we would open what it may not. */
	if (pw_rights_drop(cfg->server.user_store, err) != 0)
		return -1;
	r->judge = pw_judge_new(r->fresh, err);
	if (r->judge == NULL ||
	    pw_accounts_open(cfg->server.state_dir, cfg->store.mailbox_path,
		false, &r->accounts, err) != 0 ||
	    pw_index_open(cfg->server.state_dir, &r->index, err) != 0)
		return -1;
	r->mail_root = open(cfg->store.mail_root,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r->state_dir = open(cfg->server.state_dir,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->mail_root < 0 || r->state_dir < 0)
		return pw_err_sys(err, "the mail folders");
	return 0;
}

static void
close_all(struct replay *r)
{
	pw_judge_free(&r->judge);
	pw_index_close(&r->index);
	pw_accounts_close(&r->accounts);
	if (r->mail_root >= 0)
		(void)close(r->mail_root);
	if (r->state_dir >= 0)
		(void)close(r->state_dir);
	json_decref(r->changed);
	json_decref(r->skipped);
	json_decref(r->questions);
	pw_strbuf_free(&r->out);
	pw_config_free(&r->fresh);
}

int
pw_replay_verb(const struct pw_config *cfg, const char **word, size_t nword,
    bool json)
{
	struct pw_verb_ctx ctx = { .word = word, .nword = nword };
	struct replay r = { .cfg = cfg, .mail_root = -1, .state_dir = -1,
		.json = json, .changed = json_array(),
		.skipped = json_array(), .questions = json_array() };
	const char *file = pw_verb_option(&ctx, "config");
	const char *since = pw_verb_option(&ctx, "since");
	const char *plugins = pw_verb_option(&ctx, "plugin-dir");
	struct pw_err err = { 0 };
	int64_t from = pw_clock_real_us() - WEEK_US;
	int rc;

	pw_strbuf_init(&r.out, REPORT_MAX);
	r.folder = pw_verb_option(&ctx, "folder");
	if (ctx.nword > 0 ||
	    (since != NULL && (from = pw_verb_since(since)) < 0)) {
		(void)fputs("postward: replay takes [--config FILE] [--since "
			    "T] [--folder F] [--plugin-dir D]\n", stderr);
		rc = EX_USAGE;
	} else {
		rc = load(&r, file != NULL ? file : cfg->file, plugins);
	}
	if (rc == EX_OK && (open_all(&r, &err) != 0 ||
		judge_all(&r, from, &err) != 0)) {
		(void)fprintf(stderr, "postward: %s\n", err.text);
		rc = EX_TEMPFAIL;
	}
	if (rc == EX_OK)
		rc = report(&r);
	close_all(&r);
	return rc;
}
