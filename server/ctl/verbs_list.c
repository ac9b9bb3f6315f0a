/* SPDX-License-Identifier: ISC */
/*
 * postward allow|block add|remove|list: the allow and block lists.  The rows of
 * these verbs stand in verbs_account.c, since they need what those need.
 */
#include <stdio.h>
#include <sysexits.h>
#include <time.h>

#include "base/clock.h"
#include "ctl/verb.h"

static const char *const kinds[] = { "allow", "block" };

/* "30d" from now, or the end of the day "2026-12-31"; 0 when it is neither. */
static int64_t
parse_expiry(const char *text)
{
	struct tm tm = { 0 };
	uint64_t ms;
	const char *end, *what;

	if (pw_unit_parse(PW_OPT_TIME, text, &ms, &what) == 0)
		return ms > 0 && ms < (uint64_t)INT64_MAX / 2000 ?
		    pw_clock_real_us() + (int64_t)ms * 1000 : 0;
	end = strptime(text, "%Y-%m-%d", &tm);
	return end != NULL && *end == '\0' ?
	    ((int64_t)timegm(&tm) + 86400) * 1000000 : 0;
}

static int
parse_action(const char *text, uint8_t *out)
{
	for (uint8_t a = PW_ACT_JUNK; a <= PW_ACT_DISCARD; a++)
		if (strcmp(pw_action_name(a), text) == 0) {
			*out = a;
			return 0;
		}
	return -1;
}

static const char *
option(struct pw_verb_ctx *ctx, const char *name)
{
	const char *v = pw_verb_option(ctx, name);

	return v != NULL ? v : "";
}

static int
changed(struct pw_verb_ctx *ctx, const char *what, enum pw_list_kind kind,
    const char *pattern, const char *whom)
{
	if (ctx->daemon != NULL)
		ctx->daemon->accounts_changed(ctx->daemon->arg);
	if (!ctx->json)
		pw_strbuf_addf(ctx->out, "%s %s entry %s for %s\n", what,
		    kinds[kind], pattern, whom[0] != '\0' ? whom : "all");
	return EX_OK;
}

static int
list_add(struct pw_verb_ctx *ctx, enum pw_list_kind kind)
{
	struct pw_err err = { 0 };
	struct pw_list_row row = { .e = { .kind = (uint8_t)kind,
		.action = kind == PW_LIST_BLOCK ? PW_ACT_REFUSE : 0 },
		.added_us = pw_clock_real_us() };
	const char *expires = pw_verb_option(ctx, "expires");
	const char *action = kind == PW_LIST_BLOCK ?
	    pw_verb_option(ctx, "action") : NULL;

	row.recipient = option(ctx, "for");
	row.e.comment = option(ctx, "comment");
	row.author = option(ctx, "author");
	if (expires != NULL && (row.expires_us = parse_expiry(expires)) == 0)
		return pw_verb_misuse(ctx,
		    "--expires takes a span (30d) or a day (2026-12-31)");
	if (action != NULL && parse_action(action, &row.e.action) != 0)
		return pw_verb_misuse(ctx, "--action takes junk, hold, "
		    "refuse-keep, refuse, defer or discard");
	if (ctx->nword != 1)
		return pw_verb_misuse(ctx,
		    "takes one address, domain or network");
	row.e.pattern = ctx->word[0];
	if (pw_accounts_list_add(ctx->accounts, &row, &err) != 0)
		return pw_verb_failed(ctx, &err);
	return changed(ctx, "added", kind, ctx->word[0], row.recipient);
}

static int
list_remove(struct pw_verb_ctx *ctx, enum pw_list_kind kind)
{
	struct pw_err err = { 0 };
	const char *whom = option(ctx, "for");

	if (ctx->nword != 1)
		return pw_verb_misuse(ctx,
		    "takes one address, domain or network");
	if (pw_accounts_list_remove(ctx->accounts, kind, ctx->word[0], whom,
		&err) != 0)
		return pw_verb_failed(ctx, &err);
	return changed(ctx, "removed", kind, ctx->word[0], whom);
}

/* ---- showing -------------------------------------------------------------------- */

struct showing {
	struct pw_strbuf *out;
	json_t *rows; /* NULL: text */
	const char *whom; /* "": all entries */
	enum pw_list_kind kind;
	int64_t now_us;
};

static json_t *
row_to_json(const struct pw_list_row *r, bool expired)
{
	static const char *const what[] = { "address", "domain", "network" };

	return json_pack("{s:I,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:b}", "id",
	    (json_int_t)r->e.id, "what",
	    what[r->e.what <= PW_LIST_NETWORK ? r->e.what : 0], "pattern",
	    r->e.pattern, "recipient", r->recipient, "action",
	    r->e.kind == PW_LIST_BLOCK ? pw_action_name(r->e.action) :
					 "deliver",
	    "comment", r->e.comment, "author", r->author, "added",
	    (json_int_t)r->added_us, "expires", (json_int_t)r->expires_us,
	    "expired", expired);
}

static int
show_row(void *arg, const struct pw_list_row *r)
{
	struct showing *s = arg;
	bool expired = r->expires_us != 0 && r->expires_us <= s->now_us;
	char day[32] = "";

	if (r->e.kind != s->kind || (s->whom[0] != '\0' &&
		!pw_bytes_caseeq(pw_bytes_of(s->whom),
		    pw_bytes_of(r->recipient))))
		return 0;
	if (s->rows != NULL)
		return json_array_append_new(s->rows, row_to_json(r, expired));
	pw_strbuf_addf(s->out, "%lld  %s  for %s", (long long)r->e.id,
	    r->e.pattern, r->recipient[0] != '\0' ? r->recipient : "all");
	if (r->e.kind == PW_LIST_BLOCK)
		pw_strbuf_addf(s->out, "  %s", pw_action_name(r->e.action));
	if (r->expires_us != 0) {
		(void)pw_clock_iso(day, r->expires_us);
		pw_strbuf_addf(s->out, "  %s %.10s",
		    expired ? "expired" : "until", day);
	}
	(void)pw_clock_iso(day, r->added_us);
	pw_strbuf_addf(s->out, "  (%.10s%s%s%s%s)\n", day,
	    r->author[0] != '\0' ? ", " : "", r->author,
	    r->e.comment[0] != '\0' ? ": " : "", r->e.comment);
	return 0;
}

static int
list_show(struct pw_verb_ctx *ctx, enum pw_list_kind kind)
{
	struct pw_err err = { 0 };
	struct showing s = { .out = ctx->out, .kind = kind,
		.now_us = pw_clock_real_us(), .whom = option(ctx, "for") };

	if (ctx->nword != 0)
		return pw_verb_misuse(ctx,
		    "takes no words but --for DOMAIN|MAILBOX");
	s.rows = ctx->json ? json_array() : NULL;
	if (pw_accounts_lists(ctx->accounts, show_row, &s, &err) != 0) {
		json_decref(s.rows);
		return pw_verb_failed(ctx, &err);
	}
	return s.rows != NULL ? pw_verb_json(ctx, s.rows) : EX_OK;
}

int
pw_verb_allow_add(struct pw_verb_ctx *ctx)
{
	return list_add(ctx, PW_LIST_ALLOW);
}

int
pw_verb_allow_remove(struct pw_verb_ctx *ctx)
{
	return list_remove(ctx, PW_LIST_ALLOW);
}

int
pw_verb_allow_list(struct pw_verb_ctx *ctx)
{
	return list_show(ctx, PW_LIST_ALLOW);
}

int
pw_verb_block_add(struct pw_verb_ctx *ctx)
{
	return list_add(ctx, PW_LIST_BLOCK);
}

int
pw_verb_block_remove(struct pw_verb_ctx *ctx)
{
	return list_remove(ctx, PW_LIST_BLOCK);
}

int
pw_verb_block_list(struct pw_verb_ctx *ctx)
{
	return list_show(ctx, PW_LIST_BLOCK);
}
