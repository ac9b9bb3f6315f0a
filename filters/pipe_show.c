/* SPDX-License-Identifier: ISC */
/*
 * Texts about the pipeline for admins: the graph, the weights, the counters.
 */
#include <inttypes.h>

#include "filters/pipe_int.h"

static const char *const phase_names[PW_PHASE_COUNT] = { "connect", "helo",
	"mail", "rcpt", "header", "body", "end" };

static const char *
role_name(uint8_t role)
{
	return role == PW_ROLE_FRONT ? "front" :
	    role == PW_ROLE_SCAN ? "scan" : "bridge";
}

static const char *
rule_name(uint8_t rule)
{
	static const char *const names[] = { "default", "skip", "tag",
		"tempfail", "hold" };

	return rule < PW_COUNT(names) ? names[rule] : "?";
}

static void
show_list(struct pw_strbuf *out, const char *title, const char *const *list)
{
	if (list == NULL || list[0] == NULL)
		return;
	pw_strbuf_addf(out, "    %s", title);
	for (; *list != NULL; list++)
		pw_strbuf_addf(out, " %s", *list);
	pw_strbuf_addc(out, '\n');
}

static void
show_options(struct pw_strbuf *out, const struct pw_stage_option *o)
{
	for (; o != NULL && o->name != NULL; o++)
		pw_strbuf_addf(out, "    option %s=%s: %s\n", o->name,
		    o->def != NULL ? o->def : "",
		    o->help != NULL ? o->help : "");
}

static void
show_stage(const struct pw_pipeline *p, size_t i, struct pw_strbuf *out)
{
	const struct pw_loaded *l = &p->reg->v[i];
	const struct pw_stage *d = l->desc;

	pw_strbuf_addf(out, "%zu. %s %s: %s\n    runs in %s at", i + 1, d->name,
	    d->version != NULL ? d->version : "",
	    d->help != NULL ? d->help : "", role_name(l->role));
	for (unsigned k = 0; k < PW_PHASE_COUNT; k++)
		if (d->phases & PW_PHASE_BIT(k))
			pw_strbuf_addf(out, " %s", phase_names[k]);
	pw_strbuf_addf(out, "%s, within %u ms, on error %s%s\n",
	    d->flags & PW_FLAG_BACKGROUND ? " (in the background)" : "",
	    l->timeout_ms, rule_name(l->on_error),
	    l->shadow ? ", in shadow" : "");
	show_list(out, "needs", d->needs);
	show_list(out, "provides", d->provides);
	show_options(out, d->options);
	for (size_t k = 0; k < p->reg->n; k++)
		if (l->deps >> k & 1)
			pw_strbuf_addf(out, "    after %s\n",
			    p->reg->v[k].desc->name);
}

void
pw_pipeline_show(const struct pw_pipeline *p, struct pw_strbuf *out)
{
	for (size_t i = 0; i < p->reg->n; i++)
		show_stage(p, i, out);
	for (size_t k = 0; k < p->reg->nlistener; k++) {
		pw_strbuf_addf(out, "listener %s:", p->cfg->listener[k].name);
		for (size_t i = 0; i < p->reg->n; i++)
			if (p->reg->listener[k] >> i & 1)
				pw_strbuf_addf(out, " %s",
				    p->reg->v[i].desc->name);
		pw_strbuf_addc(out, '\n');
	}
	pw_strbuf_adds(out, "weights:\n");
	pw_weights_show(p->weights, out);
}

void
pw_pipeline_status(const struct pw_pipeline *const *p, size_t n,
    struct pw_strbuf *out)
{
	static const char *const names[PW_SC_COUNT] = { "runs", "hits",
		"nohits", "na", "errors", "rejected", "slow", "wall_us",
		"cpu_us" };
	uint64_t jobs[4] = { 0 };

	for (size_t i = 0; n > 0 && i < p[0]->reg->n; i++)
		for (size_t c = 0; c < PW_SC_COUNT; c++) {
			uint64_t sum = 0;

			for (size_t k = 0; k < n; k++)
				sum += atomic_load_explicit(
				    &p[k]->reg->v[i].count.v[c],
				    memory_order_relaxed);
			pw_strbuf_addf(out, "stage.%s.%s %" PRIu64 "\n",
			    p[0]->reg->v[i].desc->name, names[c], sum);
		}
	for (size_t k = 0; k < n; k++) {
		jobs[0] += atomic_load(&p[k]->jobs);
		jobs[1] += atomic_load(&p[k]->refused_jobs);
		jobs[2] += atomic_load(&p[k]->crashes);
		jobs[3] += atomic_load(&p[k]->garbage);
	}
	pw_strbuf_addf(out, "pipeline.jobs %" PRIu64 "\n"
	    "pipeline.jobs_refused %" PRIu64 "\n"
	    "pipeline.crashes %" PRIu64 "\n"
	    "pipeline.garbage %" PRIu64 "\n"
	    "pipeline.late_answers %" PRIu64 "\n", jobs[0], jobs[1],
	    jobs[2], jobs[3], pw_ticket_rejected());
}
