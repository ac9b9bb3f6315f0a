/* SPDX-License-Identifier: ISC */
/*
 * A sorted table of the sections thresholds, looked up for every recipient:
 * what the mailbox does not say is its domain's, and then policy's.
 */
#include "filters/thresholds.h"

#include <stdlib.h>

#include "base/pool.h"

struct row {
	char *name; /* lower case */
	const struct pw_config_thresholds *from;
};
struct pw_thresholds {
	const struct pw_config_policy *policy;
	size_t n;
	struct row *v;
};

static int
compare(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->name,
	    ((const struct row *)b)->name);
}

struct pw_thresholds *
pw_thresholds_new(const struct pw_config *cfg)
{
	struct pw_thresholds *t = pw_xcalloc(1, sizeof(*t));

	t->policy = &cfg->policy;
	t->v = pw_xcalloc(cfg->nthresholds + 1, sizeof(*t->v));
	for (; t->n < cfg->nthresholds; t->n++) {
		struct row *r = &t->v[t->n];

		r->from = &cfg->thresholds[t->n];
		r->name = pw_xstrdup(r->from->recipient);
		for (char *p = r->name; *p != '\0'; p++)
			*p = (char)pw_lower(*p);
	}
	qsort(t->v, t->n, sizeof(*t->v), compare);
	return t;
}

void
pw_thresholds_free(struct pw_thresholds **tp)
{
	struct pw_thresholds *t = *tp;

	if (t == NULL)
		return;
	*tp = NULL;
	for (size_t i = 0; i < t->n; i++)
		free(t->v[i].name);
	free(t->v);
	free(t);
}

static void
apply(const struct pw_thresholds *t, const char *name, struct pw_threshold *out)
{
	struct row key = { (char *)(uintptr_t)name, NULL };
	const struct row *r = bsearch(&key, t->v, t->n, sizeof(*t->v),
	    compare);

	if (r == NULL)
		return;
	out->of = r->name;
	if (r->from->junk_score > 0)
		out->junk = r->from->junk_score;
	if (r->from->hold_score > 0)
		out->hold = r->from->hold_score;
	if (r->from->refuse_keep_score > 0)
		out->keep = r->from->refuse_keep_score;
	if (r->from->refuse_score > 0)
		out->refuse = r->from->refuse_score;
}

struct pw_threshold
pw_thresholds_get(const struct pw_thresholds *t, const char *mailbox)
{
	const char *at = strrchr(mailbox, '@');
	struct pw_threshold out = { t->policy->junk_score,
		t->policy->hold_score, t->policy->refuse_keep_score,
		t->policy->refuse_score, "policy" };

	if (t->n == 0 || at == NULL)
		return out;
	apply(t, at + 1, &out);
	apply(t, mailbox, &out);
	return out;
}
