/* SPDX-License-Identifier: ISC */
/*
 * Builds the table of weights from the loaded stages and the configuration.
 */
#include "filters/weights.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/pool.h"

static int
compare(const void *a, const void *b)
{
	const struct pw_weight *x = a, *y = b;
	int c = strcmp(x->symbol, y->symbol);

	return c != 0 ? c : strcmp(x->stage, y->stage);
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
				s->weight, false };
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
		pw_strbuf_addc(out, '\n');
	}
}
