/* SPDX-License-Identifier: ISC */
/*
 * postward domain|mailbox|alias: the accounts table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "ctl/verb.h"

static void
changed(struct pw_verb_ctx *ctx)
{
	if (ctx->daemon != NULL)
		ctx->daemon->accounts_changed(ctx->daemon->arg);
}

static int
done(struct pw_verb_ctx *ctx, int rc, const struct pw_err *err,
    const char *what, const char *of)
{
	if (rc != 0)
		return pw_verb_failed(ctx, err);
	changed(ctx);
	if (!ctx->json)
		pw_strbuf_addf(ctx->out, "%s %s\n", what, of);
	return EX_OK;
}

/* A list being written as text or gathered as JSON. */
struct listing {
	const struct pw_view *view;
	struct pw_strbuf *out;
	json_t *rows; /* NULL: text */
	const char *key[3];
};

/* The row lies within the view, B hidden where it does not. */
static bool
in_view(const struct listing *l, const char *a, const char **b)
{
	bool alias = l->key[1] != NULL && strcmp(l->key[1], "target") == 0;
	bool to = alias && pw_view_has(l->view, pw_bytes_of(*b));

	if (l->view->kind == PW_VIEW_ALL || to)
		return true;
	if (strcmp(l->key[0], "domain") == 0)
		return l->view->kind == PW_VIEW_DOMAIN &&
		    pw_bytes_eq(pw_bytes_of(a), pw_view_domain(l->view));
	if (!pw_view_has(l->view, pw_bytes_of(a)))
		return false;
	if (alias)
		*b = "(elsewhere)";
	return true;
}

static int
list_row(void *arg, const char *a, const char *b, uint64_t n)
{
	struct listing *l = arg;
	json_t *row;

	if (!in_view(l, a, &b))
		return 0;
	if (l->rows == NULL) {
		pw_strbuf_addf(l->out, "%s%s%s", a, b[0] != '\0' ? "  " : "",
		    b);
		if (l->key[2] != NULL)
			pw_strbuf_addf(l->out, "  %s=%llu", l->key[2],
			    (unsigned long long)n);
		pw_strbuf_addc(l->out, '\n');
		return 0;
	}
	row = json_pack("{s:s}", l->key[0], a);
	if (l->key[1] != NULL)
		(void)json_object_set_new(row, l->key[1], json_string(b));
	if (l->key[2] != NULL)
		(void)json_object_set_new(row, l->key[2],
		    json_integer((json_int_t)n));
	return json_array_append_new(l->rows, row);
}

static int
list_end(struct pw_verb_ctx *ctx, struct listing *l, int rc,
    const struct pw_err *err)
{
	if (rc != 0) {
		json_decref(l->rows);
		return pw_verb_failed(ctx, err);
	}
	return l->rows != NULL ? pw_verb_json(ctx, l->rows) : EX_OK;
}

/* ---- domains ------------------------------------------------------------------ */

static int
domain_add(struct pw_verb_ctx *ctx)
{
	struct pw_err err = { 0 };

	if (ctx->nword != 1)
		return pw_verb_misuse(ctx, "domain add takes one DOMAIN");
	return done(ctx,
	    pw_accounts_domain_add(ctx->accounts, ctx->word[0], &err), &err,
	    "added domain", ctx->word[0]);
}

static int
domain_remove(struct pw_verb_ctx *ctx)
{
	struct pw_err err = { 0 };

	if (ctx->nword != 1)
		return pw_verb_misuse(ctx, "domain remove takes one DOMAIN");
	return done(ctx,
	    pw_accounts_domain_remove(ctx->accounts, ctx->word[0], &err), &err,
	    "removed domain", ctx->word[0]);
}

static int
domain_list(struct pw_verb_ctx *ctx)
{
	struct listing l = { &ctx->view, ctx->out, ctx->json ? json_array() : NULL,
		{ "domain", NULL, "mailboxes" } };
	struct pw_err err = { 0 };

	return list_end(ctx, &l,
	    pw_accounts_domains(ctx->accounts, list_row, &l, &err), &err);
}

/* ---- mailboxes ---------------------------------------------------------------- */

static int
parse_size(const char *text, uint64_t *out)
{
	const char *what;

	return pw_unit_parse(PW_OPT_SIZE, text, out, &what);
}

/* --quota SIZE; 0 and *set false when it is not given. */
static int
quota_option(struct pw_verb_ctx *ctx, uint64_t *quota, bool *set)
{
	const char *q = pw_verb_option(ctx, "quota");

	*quota = 0;
	*set = q != NULL;
	return q != NULL ? parse_size(q, quota) : 0;
}

static int
mailbox_add(struct pw_verb_ctx *ctx)
{
	struct pw_err err = { 0 };
	uint64_t quota;
	bool set;

	if (quota_option(ctx, &quota, &set) != 0)
		return pw_verb_misuse(ctx,
		    "--quota takes a size, for example 500M");
	if (ctx->nword < 1 || ctx->nword > 2)
		return pw_verb_misuse(ctx, "mailbox add takes one ADDRESS");
	/* The second word is the password's hash, which the program made. */
	return done(ctx,
	    pw_accounts_mailbox_add(ctx->accounts, ctx->word[0],
		ctx->nword == 2 ? ctx->word[1] : NULL, quota, &err),
	    &err, "added mailbox", ctx->word[0]);
}

static int
mailbox_remove(struct pw_verb_ctx *ctx)
{
	struct pw_err err = { 0 };

	if (ctx->nword != 1)
		return pw_verb_misuse(ctx, "mailbox remove takes one ADDRESS");
	return done(ctx,
	    pw_accounts_mailbox_remove(ctx->accounts, ctx->word[0], &err), &err,
	    "removed mailbox", ctx->word[0]);
}

static int
mailbox_list(struct pw_verb_ctx *ctx)
{
	struct listing l = { &ctx->view, ctx->out, ctx->json ? json_array() : NULL,
		{ "mailbox", "path", "quota" } };
	struct pw_err err = { 0 };

	if (ctx->nword > 1)
		return pw_verb_misuse(ctx, "mailbox list takes one DOMAIN");
	return list_end(ctx, &l,
	    pw_accounts_mailboxes(ctx->accounts,
		ctx->nword == 1 ? ctx->word[0] : NULL, list_row, &l, &err),
	    &err);
}

static int
mailbox_quota(struct pw_verb_ctx *ctx)
{
	struct pw_err err = { 0 };
	uint64_t quota;

	if (ctx->nword != 2 ||
	    parse_size(ctx->word[1], &quota) != 0)
		return pw_verb_misuse(ctx,
		    "mailbox quota takes ADDRESS and a size (500M; 0: none)");
	return done(ctx,
	    pw_accounts_mailbox_quota(ctx->accounts, ctx->word[0], quota, &err),
	    &err, "changed quota of", ctx->word[0]);
}

static int
mailbox_passwd(struct pw_verb_ctx *ctx)
{
	struct pw_err err = { 0 };

	if (ctx->nword != 2)
		return pw_verb_misuse(ctx, "mailbox passwd takes one ADDRESS");
	return done(ctx,
	    pw_accounts_mailbox_passwd(ctx->accounts, ctx->word[0],
		ctx->word[1], &err),
	    &err, "changed password of", ctx->word[0]);
}

static int
mailbox_import(struct pw_verb_ctx *ctx)
{
	struct pw_strbuf report;
	size_t n = 0;
	int rc;

	pw_strbuf_init(&report, 256 * 1024);
	rc = pw_accounts_import(ctx->accounts, ctx->input, &n, &report);
	pw_strbuf_add(ctx->out, pw_strbuf_bytes(&report));
	pw_strbuf_free(&report);
	if (rc != 0)
		return EX_DATAERR;
	changed(ctx);
	if (ctx->json)
		return pw_verb_json(ctx,
		    json_pack("{s:I}", "mailboxes", (json_int_t)n));
	pw_strbuf_addf(ctx->out, "added %zu mailboxes\n", n);
	return EX_OK;
}

/* ---- aliases ------------------------------------------------------------------- */

static int
alias_add(struct pw_verb_ctx *ctx)
{
	struct pw_err err = { 0 };
	char what[700];

	if (ctx->nword < 2)
		return pw_verb_misuse(ctx,
		    "alias add takes SOURCE and one or more TARGETs");
	for (size_t i = 1; i < ctx->nword; i++) {
		int rc = pw_accounts_alias_add(ctx->accounts, ctx->word[0],
		    ctx->word[i], &err);

		(void)snprintf(what, sizeof(what), "%s -> %s", ctx->word[0],
		    ctx->word[i]);
		rc = done(ctx, rc, &err, "added alias", what);
		if (rc != EX_OK)
			return rc;
	}
	return EX_OK;
}

static int
alias_remove(struct pw_verb_ctx *ctx)
{
	struct pw_err err = { 0 };

	if (ctx->nword < 1 || ctx->nword > 2)
		return pw_verb_misuse(ctx,
		    "alias remove takes SOURCE and, if only one, its TARGET");
	return done(ctx,
	    pw_accounts_alias_remove(ctx->accounts, ctx->word[0],
		ctx->nword == 2 ? ctx->word[1] : NULL, &err),
	    &err, "removed alias", ctx->word[0]);
}

static int
alias_list(struct pw_verb_ctx *ctx)
{
	struct listing l = { &ctx->view, ctx->out, ctx->json ? json_array() : NULL,
		{ "source", "target", NULL } };
	struct pw_err err = { 0 };

	if (ctx->nword > 1)
		return pw_verb_misuse(ctx, "alias list takes one DOMAIN");
	return list_end(ctx, &l,
	    pw_accounts_aliases(ctx->accounts,
		ctx->nword == 1 ? ctx->word[0] : NULL, list_row, &l, &err),
	    &err);
}

const struct pw_verb pw_verbs_account[] = {
	{ "domain add", "DOMAIN", "take mail for a domain", true, domain_add },
	{ "domain remove", "DOMAIN", "stop taking mail for it", true,
	    domain_remove },
	{ "domain list", "", "all domains", true, domain_list },
	{ "mailbox add", "ADDRESS [--quota SIZE] [--password]",
	    "make a mailbox; --password asks for one", true, mailbox_add },
	{ "mailbox remove", "ADDRESS", "remove it; its mail stays on disk",
	    true, mailbox_remove },
	{ "mailbox list", "[DOMAIN]", "mailboxes with path and quota", true,
	    mailbox_list },
	{ "mailbox passwd", "ADDRESS", "set its password for IMAP and POP3",
	    true, mailbox_passwd },
	{ "mailbox quota", "ADDRESS SIZE", "set its quota; 0: none", true,
	    mailbox_quota },
	{ "mailbox import", "FILE",
	    "make many: address[,password[,quota]] a line", true,
	    mailbox_import },
	{ "alias add", "SOURCE TARGET...",
	    "SOURCE is an address, or @domain for all others", true,
	    alias_add },
	{ "alias remove", "SOURCE [TARGET]", "remove an alias", true,
	    alias_remove },
	{ "alias list", "[DOMAIN]", "all aliases", true, alias_list },
	{ "allow add", "SENDER|DOMAIN|NETWORK [--for WHOM] "
	    "[--expires WHEN] [--comment TEXT]",
	    "let a sender's mail through; WHOM is a domain or mailbox of ours",
	    true, pw_verb_allow_add },
	{ "allow remove", "SENDER|DOMAIN|NETWORK [--for WHOM]",
	    "take it off the allow list", true, pw_verb_allow_remove },
	{ "allow list", "[--for WHOM]", "the allow list", true,
	    pw_verb_allow_list },
	{ "block add", "SENDER|DOMAIN|NETWORK [--for WHOM] "
	    "[--action ACTION] [--expires WHEN] [--comment TEXT]",
	    "refuse a sender's mail, or what ACTION says", true,
	    pw_verb_block_add },
	{ "block remove", "SENDER|DOMAIN|NETWORK [--for WHOM]",
	    "take it off the block list", true, pw_verb_block_remove },
	{ "block list", "[--for WHOM]", "the block list", true,
	    pw_verb_block_list },
};
const size_t pw_nverbs_account = PW_COUNT(pw_verbs_account);
