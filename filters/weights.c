/* SPDX-License-Identifier: ISC */
/*
 * Builds the table of weights from the loaded stages and the configuration.
 */
#include "filters/weights.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/pool.h"
#include "filters/policy.h"

/*
 * What a symbol asks for without any configuration: at least this is done,
 * whatever the score is.  A domain owner's wish to refuse is not followed
 * blindly: much mail that fails DMARC came by way of a list or a forwarder
 * (RFC 9989), so that it is held for review.
 */
static const struct {
	const char *symbol;
	uint8_t action;
} defaults[] = {
	{ "DMARC_FAIL_QUARANTINE", PW_VERDICT_JUNK },
	{ "DMARC_FAIL_REJECT", PW_VERDICT_HOLD },
	{ "DMARC_REFUSE", PW_VERDICT_REFUSE },
};

static int
compare(const void *a, const void *b)
{
	const struct pw_weight *x = a, *y = b;
	int c = strcmp(x->symbol, y->symbol);

	return c != 0 ? c : strcmp(x->stage, y->stage);
}

/* The option of its own that a symbol has. */
static uint8_t
asks_for(const struct pw_config *cfg, const char *symbol)
{
	static const uint8_t spf[] = { 0, PW_VERDICT_JUNK + 1,
		PW_VERDICT_HOLD + 1, PW_VERDICT_REFUSE + 1 };

	if (strcmp(symbol, "SPF_FAIL") == 0)
		return spf[cfg->policy.spf_fail];
	if (strcmp(symbol, "NULL_MX") == 0)
		return cfg->policy.null_mx == PW_POLICY_NULL_MX_REFUSE ?
		    PW_VERDICT_REFUSE + 1 : 0;
	if (strcmp(symbol, "SPF_PERMERROR") == 0)
		return cfg->policy.spf_permerror ==
		    PW_POLICY_SPF_PERMERROR_REFUSE ? PW_VERDICT_REFUSE + 1 : 0;
	if (strcmp(symbol, "SPF_TEMPERROR") == 0)
		return cfg->policy.spf_temperror ==
		    PW_POLICY_SPF_TEMPERROR_DEFER ? PW_VERDICT_DEFER + 1 : 0;
	for (size_t i = 0; i < PW_COUNT(defaults); i++)
		if (strcmp(defaults[i].symbol, symbol) == 0)
			return defaults[i].action + 1;
	return 0;
}

static bool
is_malware(const struct pw_stage *d, const char *symbol)
{
	for (const char *const *m = d->malware; m != NULL && *m != NULL; m++)
		if (strcmp(*m, symbol) == 0)
			return true;
	return false;
}

/* "SYMBOL=junk" */
static int
apply_action(struct pw_weights *w, const char *row, struct pw_err *err)
{
	const char *eq = strchr(row, '=');
	size_t n = eq != NULL ? (size_t)(eq - row) : 0, hits = 0;
	uint8_t asks = 0;

	while (n > 0 && asks < PW_VERDICT_COUNT && strcmp(eq + 1,
	    asks == 0 ? "inform" : pw_verdict_name(asks)) != 0)
		asks++;
	if (n == 0 || asks == PW_VERDICT_COUNT)
		return pw_err_set(err, 0, "'%s'; write "
		    "\"SYMBOL=ACTION\" with one of inform, junk, hold, "
		    "refuse-keep, refuse, defer, discard", row);
	for (size_t i = 0; i < w->n; i++)
		if (strlen(w->v[i].symbol) == n &&
		    memcmp(w->v[i].symbol, row, n) == 0) {
			w->v[i].asks = asks == 0 ? 0 : (uint8_t)(asks + 1);
			hits++;
		}
	if (hits == 0)
		return pw_err_set(err, 0, "no loaded stage has "
		    "the symbol '%.*s'; see `postward pipeline show`", (int)n,
		    row);
	return 0;
}

/* "SYMBOL=1.5" */
static int
apply(struct pw_weights *w, const char *row, struct pw_err *err)
{
	const char *eq = strchr(row, '=');
	size_t n = eq != NULL ? (size_t)(eq - row) : 0, hits = 0;
	char *end;
	double v;

	if (n == 0)
		return pw_err_set(err, 0, "'%s'; write "
		    "\"SYMBOL=1.5\"", row);
	errno = 0;
	v = strtod(eq + 1, &end);
	if (end == eq + 1 || *end != '\0' || !isfinite(v) || fabs(v) > 1e6)
		return pw_err_set(err, 0, "'%s': what follows "
		    "the equals sign is no number up to a million", row);
	for (size_t i = 0; i < w->n; i++)
		if (strlen(w->v[i].symbol) == n &&
		    memcmp(w->v[i].symbol, row, n) == 0) {
			w->v[i].weight = v;
			hits++;
		}
	if (hits == 0)
		return pw_err_set(err, 0, "no loaded stage has "
		    "the symbol '%.*s'; see `postward pipeline show`", (int)n,
		    row);
	return 0;
}

/* Every stage's symbol of that name. */
static int
set_shadow(struct pw_weights *w, const char *symbol, struct pw_err *err)
{
	size_t hits = 0;

	for (size_t i = 0; i < w->n; i++)
		if (strcmp(w->v[i].symbol, symbol) == 0) {
			w->v[i].shadow = true;
			hits++;
		}
	if (hits == 0)
		return pw_err_set(err, 0, "no loaded stage has the symbol "
		    "'%s'; see `postward pipeline show`", symbol);
	return 0;
}

static int
failed(const struct pw_config *cfg, const char *key, struct pw_weights **out,
    struct pw_err *err)
{
	char where[600];

	pw_weights_free(out);
	pw_config_where(cfg, "policy", 0, key, where, sizeof(where));
	return pw_err_prefix(err, "%s", where);
}

int
pw_weights_new(const struct pw_config *cfg, const struct pw_registry *r,
    struct pw_weights **out, struct pw_err *err)
{
	struct pw_weights *w = *out = pw_xcalloc(1, sizeof(*w));

	for (size_t i = 0; i < r->n; i++) {
		const struct pw_stage *d = r->v[i].desc;

		for (const struct pw_symbol *s = d->symbols;
		    s != NULL && s->name != NULL; s++) {
			w->v = pw_xrealloc(w->v, w->n + 1, sizeof(*w->v));
			w->v[w->n++] = (struct pw_weight){ d->name, s->name,
				s->help != NULL ? s->help : "", s->weight,
				s->weight, false, asks_for(cfg, s->name),
				is_malware(d, s->name) };
		}
	}
	if (w->n > 0)
		qsort(w->v, w->n, sizeof(*w->v), compare);
	for (size_t i = 0; i < cfg->policy.weights.n; i++)
		if (apply(w, cfg->policy.weights.v[i], err) < 0)
			return failed(cfg, "weights", out, err);
	for (size_t i = 0; i < cfg->policy.shadow.n; i++)
		if (set_shadow(w, cfg->policy.shadow.v[i], err) < 0)
			return failed(cfg, "shadow", out, err);
	for (size_t i = 0; i < cfg->policy.actions.n; i++)
		if (apply_action(w, cfg->policy.actions.v[i], err) < 0)
			return failed(cfg, "actions", out, err);
	return 0;
}

void
pw_weights_free(struct pw_weights **w)
{
	if (*w == NULL)
		return;
	free((*w)->v);
	free(*w);
	*w = NULL;
}

const struct pw_weight *
pw_weights_get(const struct pw_weights *w, const char *stage,
    const char *symbol)
{
	struct pw_weight key = { .stage = stage, .symbol = symbol };

	return w->n == 0 ? NULL :
	    bsearch(&key, w->v, w->n, sizeof(*w->v), compare);
}

void
pw_weights_show(const struct pw_weights *w, struct pw_strbuf *out)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct pw_weight *v = &w->v[i];

		pw_strbuf_addf(out, "%-24s %6.2f  %s: %s", v->symbol,
		    v->weight, v->stage, v->help);
		if (v->weight < v->def || v->weight > v->def)
			pw_strbuf_addf(out, " (default %.2f)", v->def);
		if (v->shadow)
			pw_strbuf_adds(out, " (in shadow)");
		if (v->malware)
			pw_strbuf_adds(out, "; malware: policy.malware");
		else if (v->asks != 0)
			pw_strbuf_addf(out, "; asks for %s",
			    pw_verdict_name((uint8_t)(v->asks - 1)));
		pw_strbuf_addc(out, '\n');
	}
}
