/* SPDX-License-Identifier: ISC */
/*
 * postward message, explain, trace: what the index and the records know.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "ctl/verb.h"

#define DAY_US ((int64_t)86400 * 1000000)
#define EXPLAIN_MAX 20 /* told in full at once */

static const char *
str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static int64_t
num(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static int
read_filter(struct pw_verb_ctx *ctx, struct pw_message_filter *f)
{
	const char *since = pw_verb_option(ctx, "since");
	const char *limit = pw_verb_option(ctx, "limit");
	uint64_t n;

	f->view = &ctx->view;
	f->folder = pw_verb_option(ctx, "folder");
	f->from = pw_verb_option(ctx, "from");
	f->to = pw_verb_option(ctx, "to");
	f->subject = pw_verb_option(ctx, "subject");
	f->message_id = pw_verb_option(ctx, "message-id");
	f->id = pw_verb_option(ctx, "id");
	if (since != NULL && (f->since_us = pw_verb_since(since)) < 0)
		return pw_verb_misuse(ctx,
		    "--since takes a day (2026-01-31) or a time (7d, 12h)");
	if (limit != NULL) {
		if (pw_bytes_u64(pw_bytes_of(limit), 10000, &n) != 0)
			return pw_verb_misuse(ctx,
			    "--limit takes a number up to 10000");
		f->limit = (int)n;
	}
	return EX_OK;
}

static void
row_text(struct pw_verb_ctx *ctx, const json_t *row)
{
	char when[32] = "";
	const json_t *uid = json_object_get(row, "uid");
	const char *folder = str(row, "folder");

	(void)pw_clock_iso(when, num(row, "internal_date") * 1000000);
	pw_strbuf_addf(ctx->out, "%.19s  %s/%s  uid=", when,
	    str(row, "mailbox"), folder[0] != '\0' ? folder : "INBOX");
	if (json_is_integer(uid))
		pw_strbuf_addf(ctx->out, "%" JSON_INTEGER_FORMAT,
		    json_integer_value(uid));
	else
		pw_strbuf_addc(ctx->out, '-');
	pw_strbuf_addf(ctx->out, "  %" PRId64 " bytes  [%s]  %s\n",
	    num(row, "size"), str(row, "flags"), str(row, "id"));
	pw_strbuf_addf(ctx->out, "    from %s\n    subject %s\n    file %s\n",
	    str(row, "from"), str(row, "subject"), str(row, "file"));
}

static int
run_filter(struct pw_verb_ctx *ctx, const struct pw_message_filter *f)
{
	struct pw_err err = { 0 };
	json_t *rows = NULL, *row;
	size_t i;

	if (pw_index_messages(ctx->index, f, &rows, &err) != 0)
		return pw_verb_failed(ctx, &err);
	if (ctx->json)
		return pw_verb_json(ctx, rows);
	json_array_foreach(rows, i, row)
		row_text(ctx, row);
	json_decref(rows);
	return EX_OK;
}

static int
message_list(struct pw_verb_ctx *ctx)
{
	struct pw_message_filter f = { 0 };
	int rc = read_filter(ctx, &f);

	if (rc != EX_OK)
		return rc;
	if (ctx->nword > 1)
		return pw_verb_misuse(ctx, "message list takes one MAILBOX");
	if (ctx->nword == 1)
		f.mailbox = ctx->word[0];
	return run_filter(ctx, &f);
}

static int
message_search(struct pw_verb_ctx *ctx)
{
	struct pw_message_filter f = { 0 };
	int rc;

	f.mailbox = pw_verb_option(ctx, "mailbox");
	rc = read_filter(ctx, &f);
	if (rc != EX_OK)
		return rc;
	if (ctx->nword != 1)
		return pw_verb_misuse(ctx, "message search takes one TEXT");
	f.text = ctx->word[0];
	return run_filter(ctx, &f);
}

static int
message_show(struct pw_verb_ctx *ctx)
{
	struct pw_err err = { 0 };
	json_t *row = NULL;

	if (ctx->nword != 2)
		return pw_verb_misuse(ctx,
		    "message show takes MAILBOX and an ID or file name");
	if (pw_index_message(ctx->index, &ctx->view, ctx->word[0],
		ctx->word[1], &row, &err) != 0)
		return pw_verb_failed(ctx, &err);
	return pw_verb_json(ctx, row);
}

/* All of an address on one day, each in full. */
static int
explain_day(struct pw_verb_ctx *ctx)
{
	struct pw_trace t = { .view = &ctx->view, .what = ctx->word[0],
		.limit = EXPLAIN_MAX, .whole = true };
	struct pw_err err = { 0 };
	json_t *rows = NULL, *row;
	size_t i;

	t.since_us = pw_verb_since(ctx->word[1]);
	if (t.since_us < 0)
		return pw_verb_misuse(ctx, "a DAY is such as 2026-01-31");
	t.until_us = t.since_us + DAY_US;
	if (pw_index_trace(ctx->index, &t, &rows, &err) != 0)
		return pw_verb_failed(ctx, &err);
	if (ctx->json)
		return pw_verb_json(ctx, rows);
	if (json_array_size(rows) == 0)
		pw_strbuf_addf(ctx->out, "nothing of %s on %s is on record\n",
		    ctx->word[0], ctx->word[1]);
	json_array_foreach(rows, i, row) {
		if (i > 0)
			pw_strbuf_adds(ctx->out, "\n\n");
		pw_explain(row, ctx->cfg, ctx->out);
	}
	if (json_array_size(rows) == EXPLAIN_MAX)
		pw_strbuf_adds(ctx->out, "\nThere is more: `postward trace` "
		    "lists all.\n");
	json_decref(rows);
	return EX_OK;
}

static int
explain(struct pw_verb_ctx *ctx)
{
	struct pw_err err = { 0 };
	json_t *row = NULL;

	if (ctx->nword == 2)
		return explain_day(ctx);
	if (ctx->nword != 1)
		return pw_verb_misuse(ctx,
		    "explain takes an ID, a Message-ID, or an ADDRESS and a "
		    "DAY");
	if (pw_index_decision(ctx->index, &ctx->view, ctx->word[0], &row,
		&err) != 0)
		return pw_verb_failed(ctx, &err);
	if (ctx->json)
		return pw_verb_json(ctx, row);
	pw_explain(row, ctx->cfg, ctx->out);
	json_decref(row);
	return EX_OK;
}

static int
trace(struct pw_verb_ctx *ctx)
{
	const char *since = pw_verb_option(ctx, "since");
	struct pw_trace t = { .view = &ctx->view, .limit = 1000 };
	struct pw_err err = { 0 };
	json_t *rows = NULL, *row;
	size_t i;

	if (since != NULL && (t.since_us = pw_verb_since(since)) < 0)
		return pw_verb_misuse(ctx,
		    "--since takes a day (2026-01-31) or a time (7d, 12h)");
	if (ctx->nword != 1)
		return pw_verb_misuse(ctx,
		    "trace takes one ADDRESS or IP address");
	t.what = ctx->word[0];
	if (pw_index_trace(ctx->index, &t, &rows, &err) != 0)
		return pw_verb_failed(ctx, &err);
	if (ctx->json)
		return pw_verb_json(ctx, rows);
	json_array_foreach(rows, i, row)
		pw_explain_line(row, ctx->out);
	json_decref(rows);
	return EX_OK;
}

/* The client asks for these; see dmarc_report.c. */
static int
dmarc_records(struct pw_verb_ctx *ctx)
{
	struct pw_err err = { 0 };
	uint64_t after, until;
	json_t *page = NULL;

	if (ctx->nword != 2 ||
	    pw_bytes_u64(pw_bytes_of(ctx->word[0]), INT64_MAX, &after) != 0 ||
	    pw_bytes_u64(pw_bytes_of(ctx->word[1]), INT64_MAX, &until) != 0)
		return pw_verb_misuse(ctx,
		    "dmarc records takes two times in microseconds");
	if (pw_index_day(ctx->index, (int64_t)after, (int64_t)until, "dmarc",
		&page, &err) != 0)
		return pw_verb_failed(ctx, &err);
	return pw_verb_json(ctx, page);
}

static int
dmarc_report(struct pw_verb_ctx *ctx)
{
	return pw_verb_misuse(ctx,
	    "dmarc report writes files, so the program postward does it");
}

const struct pw_verb pw_verbs_message[] = {
	{ "message list",
	    "[MAILBOX] [--folder F] [--from A] [--to A] [--subject S] "
	    "[--since T] [--limit N]",
	    "messages by the index, newest first", true, message_list },
	{ "message show", "MAILBOX ID|FILE",
	    "all that the index holds of one message, as JSON", true,
	    message_show },
	{ "message search", "TEXT [--mailbox M] [--since T] [--limit N]",
	    "messages with TEXT in From, To, Cc or Subject", true,
	    message_search },
	{ "explain", "ID|MESSAGE-ID|ADDRESS DAY",
	    "what became of a message or a connection, and why", true,
	    explain },
	{ "trace", "ADDRESS|IP [--since T]",
	    "every attempt from or to an address, or from a client", true,
	    trace },
	{ "dmarc report", "--day YYYY-MM-DD [--out DIR]",
	    "aggregate reports of a day, as files to send", true,
	    dmarc_report },
	{ "dmarc records", "AFTER UNTIL",
	    "one page of the records that a report is made of", true,
	    dmarc_records },
};
const size_t pw_nverbs_message = PW_COUNT(pw_verbs_message);
