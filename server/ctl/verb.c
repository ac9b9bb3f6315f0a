/* SPDX-License-Identifier: ISC */
/*
 * Finding a verb and reading its words.
 */
#include "ctl/verb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/clock.h"
#include "base/pool.h"

static const struct pw_verb *
nth_verb(size_t i)
{
	if (i < pw_nverbs_account)
		return &pw_verbs_account[i];
	i -= pw_nverbs_account;
	if (i < pw_nverbs_message)
		return &pw_verbs_message[i];
	i -= pw_nverbs_message;
	return i < pw_nverbs_daemon ? &pw_verbs_daemon[i] : NULL;
}

/* Number of words when V's words begin WORD, else 0. */
static size_t
matches(const struct pw_verb *v, const char *const *word, size_t nword)
{
	struct pw_bytes rest = pw_bytes_of(v->words);
	size_t n = 0;

	while (rest.len > 0) {
		ptrdiff_t sp = pw_bytes_chr(rest, ' ');
		size_t len = sp >= 0 ? (size_t)sp : rest.len;

		if (n == nword || !pw_bytes_eq(pw_bytes_of(word[n]),
				      pw_bytes(rest.ptr, len)))
			return 0;
		n++;
		rest = pw_bytes_sub(rest, len + 1, SIZE_MAX);
	}
	return n;
}

const struct pw_verb *
pw_verb_find(const char *const *word, size_t nword, size_t *used)
{
	const struct pw_verb *best = NULL, *v;

	*used = 0;
	for (size_t i = 0; (v = nth_verb(i)) != NULL; i++) {
		size_t n = matches(v, word, nword);

		if (n > *used) {
			best = v;
			*used = n;
		}
	}
	return best;
}

void
pw_verb_usage(struct pw_strbuf *out)
{
	const struct pw_verb *v;

	for (size_t i = 0; (v = nth_verb(i)) != NULL; i++) {
		size_t at = out->len;

		pw_strbuf_addf(out, "  %s %s", v->words, v->args);
		if (out->len - at > 44)
			pw_strbuf_addf(out, "\n%46s%s\n", "", v->help);
		else
			pw_strbuf_addf(out, "%*s%s\n",
			    (int)(46 - (out->len - at)), "", v->help);
	}
}

/* Those that give rows within a view: questions about mail but for DMARC's
 * reports, and lists of accounts. */
static bool
takes_view(const struct pw_verb *v)
{
	static const char *const lists[] = { "domain list", "mailbox list",
		"alias list" };

	for (size_t i = 0; i < PW_COUNT(lists); i++)
		if (strcmp(v->words, lists[i]) == 0)
			return true;
	return v >= pw_verbs_message &&
	    v < pw_verbs_message + pw_nverbs_message &&
	    strncmp(v->words, "dmarc ", 6) != 0;
}

int
pw_verb_run(const struct pw_verb *v, struct pw_verb_ctx *ctx)
{
	const char *as = pw_verb_option(ctx, "as");

	if (as == NULL)
		return v->run(ctx);
	if (!takes_view(v))
		return pw_verb_misuse(ctx,
		    "this verb is the admin's: it takes no --as");
	if (pw_view_parse(as, &ctx->view) != 0)
		return pw_verb_misuse(ctx, "--as takes a DOMAIN or an ADDRESS");
	return v->run(ctx);
}

static void
remove_words(struct pw_verb_ctx *ctx, size_t at, size_t n)
{
	const char **w = (const char **)(uintptr_t)ctx->word;

	memmove(&w[at], &w[at + n], (ctx->nword - at - n) * sizeof(w[0]));
	ctx->nword -= n;
}

const char *
pw_verb_option(struct pw_verb_ctx *ctx, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < ctx->nword; i++) {
		const char *w = ctx->word[i], *value;

		if (strncmp(w, "--", 2) != 0 || strncmp(w + 2, name, n) != 0)
			continue;
		if (w[2 + n] == '=') {
			value = w + 3 + n;
			remove_words(ctx, i, 1);
			return value;
		}
		if (w[2 + n] == '\0' && i + 1 < ctx->nword) {
			value = ctx->word[i + 1];
			remove_words(ctx, i, 2);
			return value;
		}
	}
	return NULL;
}

bool
pw_verb_flag(struct pw_verb_ctx *ctx, const char *name)
{
	for (size_t i = 0; i < ctx->nword; i++)
		if (strncmp(ctx->word[i], "--", 2) == 0 &&
		    strcmp(ctx->word[i] + 2, name) == 0) {
			remove_words(ctx, i, 1);
			return true;
		}
	return false;
}

int64_t
pw_verb_since(const char *text)
{
	struct tm tm = { 0 };
	uint64_t ms;
	const char *end, *what;

	if (pw_unit_parse(PW_OPT_TIME, text, &ms, &what) == 0)
		return pw_clock_real_us() - (int64_t)ms * 1000;
	end = strptime(text, "%Y-%m-%d", &tm);
	if (end == NULL || *end != '\0')
		return -1;
	return (int64_t)timegm(&tm) * 1000000;
}

int
pw_verb_misuse(struct pw_verb_ctx *ctx, const char *why)
{
	pw_strbuf_addf(ctx->out, "%s; see `postward help`\n", why);
	return EX_USAGE;
}

int
pw_verb_failed(struct pw_verb_ctx *ctx, const struct pw_err *err)
{
	pw_strbuf_addf(ctx->out, "%s\n", err->text);
	switch (err->code) {
	case EINVAL:
		return EX_DATAERR;
	case ENOENT:
		return EX_NOUSER;
	case EEXIST:
		return EX_CANTCREAT;
	case EACCES:
	case EPERM:
		return EX_NOPERM;
	default:
		return EX_TEMPFAIL;
	}
}

int
pw_verb_json(struct pw_verb_ctx *ctx, json_t *v)
{
	char *text = json_dumps(v, JSON_INDENT(2) | JSON_ENSURE_ASCII);

	if (text != NULL) {
		pw_strbuf_adds(ctx->out, text);
		pw_strbuf_addc(ctx->out, '\n');
		free(text);
	}
	json_decref(v);
	return EX_OK;
}
