/* SPDX-License-Identifier: ISC */
/*
 * The host services that stages call, the same in front and in scan: facts,
 * evidence, DNS answers, clock, random bytes, the message.  Whatever a stage
 * hands over is copied, cleaned and cut here.  A run's results are gathered in
 * its struct pw_out; nothing here waits or talks to anybody.
 */
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "filters/eval.h"
#include "filters/registry.h"
#include "filters/text.h"

/* Questions of one run, at first. */
#define NEEDS_FIRST 4u

struct pw_ctx {
	const struct pw_env *env;
	struct pw_loaded *stage;
	struct pw_out *out;
	const struct pw_ticket_hook *hook;
	uint64_t random_block;
	unsigned phase, lines;
};

/* ---- facts ---------------------------------------------------------------- */

/* In a list of names, of which "x?" stands for "x". */
static bool
listed(const char *const *list, const char *name)
{
	size_t n = strlen(name);

	for (; list != NULL && *list != NULL; list++)
		if (strncmp(*list, name, n) == 0 &&
		    ((*list)[n] == '\0' || strcmp(*list + n, "?") == 0))
			return true;
	return false;
}

static int
host_fact(struct pw_ctx *c, const char *name, size_t index,
    struct pw_fact *out)
{
	const struct pw_stage *d = c->stage->desc;
	const struct pw_fact *f = NULL;

	*out = (struct pw_fact){ .type = PW_FACT_NONE };
	if (listed(d->provides, name))
		f = pw_facts_get(&c->out->fact, name, index);
	else if (!listed(d->needs, name) && !pw_host_has_fact(name))
		return -1;
	for (int i = 0; f == NULL && i < 3; i++)
		f = pw_facts_get(c->env->fact[i], name, index);
	if (f == NULL)
		return -1;
	*out = *f;
	return 0;
}

static int
host_provide(struct pw_ctx *c, const char *name, size_t index,
    const struct pw_fact *value)
{
	struct pw_fact v = *value;
	struct pw_bytes text;

	if (!listed(c->stage->desc->provides, name) ||
	    c->out->fact.count >= PW_OUT_FACTS || v.type > PW_FACT_IP ||
	    (v.type == PW_FACT_IP && v.family != 4 && v.family != 6)) {
		c->out->clipped = true;
		return -1;
	}
	text = pw_text_line(c->env->pool, pw_bytes(v.text.ptr, v.text.len),
	    PW_FACT_TEXT_MAX);
	v.text = (struct pw_slice){ text.ptr, text.len };
	return pw_facts_set(&c->out->fact, c->env->pool, name, index, &v);
}

/* ---- findings -------------------------------------------------------------- */

static void
host_evidence(struct pw_ctx *c, const char *symbol, double factor,
    const char *text)
{
	const struct pw_symbol *row = pw_stage_symbol(c->stage->desc, symbol);
	struct pw_out *o = c->out;
	struct pw_out_evidence *e;

	if (row == NULL || !isfinite(factor) ||
	    o->nevidence >= PW_OUT_EVIDENCE) {
		o->clipped = true;
		return;
	}
	e = pw_pool_alloc(c->env->pool, sizeof(*e));
	if (e == NULL)
		return;
	e->symbol = row->name;
	e->factor = fmin(fmax(factor, -100), 100);
	e->text = pw_text_line(c->env->pool, pw_bytes_of(text), PW_OUT_TEXT);
	if (o->evidence_last != NULL)
		o->evidence_last->next = e;
	else
		o->evidence = e;
	o->evidence_last = e;
	o->nevidence++;
}

static void
host_fail(struct pw_ctx *c, const char *reason)
{
	c->out->reason = pw_text_ascii(c->env->pool, pw_bytes_of(reason),
	    200).ptr;
}

static int
host_authres(struct pw_ctx *c, const char *method, const char *result,
    const char *props, const char *reason)
{
	struct pw_pool *pool = c->env->pool;
	struct pw_out *o = c->out;
	struct pw_out_authres *a;

	if (o->nauthres >= PW_OUT_AUTHRES ||
	    (a = pw_pool_alloc(pool, sizeof(*a))) == NULL) {
		o->clipped = true;
		return -1;
	}
	a->method = pw_text_ascii(pool, pw_bytes_of(method), 32).ptr;
	a->result = pw_text_ascii(pool, pw_bytes_of(result), 32).ptr;
	a->props = pw_text_line(pool, pw_bytes_of(props), 1024).ptr;
	a->reason = reason == NULL ? NULL :
	    pw_text_ascii(pool, pw_bytes_of(reason), 200).ptr;
	if (o->authres_last != NULL)
		o->authres_last->next = a;
	else
		o->authres = a;
	o->authres_last = a;
	o->nauthres++;
	return 0;
}

static int
host_add_field(struct pw_ctx *c, const char *name, const char *value)
{
	struct pw_out *o = c->out;
	struct pw_out_field *f;

	if (o->nfield >= PW_OUT_FIELDS || !pw_host_field_allowed(name) ||
	    (f = pw_pool_alloc(c->env->pool, sizeof(*f))) == NULL) {
		o->clipped = true;
		return -1;
	}
	f->name = pw_pool_cstr(c->env->pool, pw_bytes_of(name));
	f->value = pw_text_line(c->env->pool, pw_bytes_of(value), 2000).ptr;
	if (f->name == NULL)
		return -1;
	if (o->field_last != NULL)
		o->field_last->next = f;
	else
		o->field = f;
	o->field_last = f;
	o->nfield++;
	return 0;
}

static int
host_cut(struct pw_ctx *c, uint64_t offset, uint32_t len, const char *why)
{
	const struct pw_msgview *m = c->env->msg;
	struct pw_out *o = c->out;
	uint64_t end = o->ncut > 0 ?
	    o->cut[o->ncut - 1].offset + o->cut[o->ncut - 1].len : 0;

	(void)why;
	if (c->stage->desc != &pw_stage_structure) {
		o->clipped = true;
		return -1;
	}
	if (m == NULL || len == 0 || offset < end || offset > m->header_len ||
	    len > m->header_len - offset)
		return -1;
	if (o->ncut > 0 && offset == end &&
	    o->cut[o->ncut - 1].len <= UINT32_MAX - len) {
		o->cut[o->ncut - 1].len += len;
		return 0;
	}
	if (o->ncut >= PW_META_CUTS_MAX) {
		o->clipped = true;
		return -1;
	}
	if (o->cut == NULL) {
		o->cut = pw_pool_array(c->env->pool, PW_META_CUTS_MAX,
		    sizeof(*o->cut));
		if (o->cut == NULL)
			return -1;
	}
	o->cut[o->ncut++] = (struct pw_cut){ offset, len };
	return 0;
}

static int
host_meta(struct pw_ctx *c, struct pw_slice block)
{
	struct pw_bytes copy;

	if (c->stage->desc != &pw_stage_structure) {
		c->out->clipped = true;
		return -1;
	}
	copy = pw_pool_copy(c->env->pool, pw_bytes(block.ptr, block.len));
	if (copy.ptr == NULL)
		return -1;
	c->out->meta = copy;
	return 0;
}

/* ---- the world ------------------------------------------------------------- */

/* Room for one more question: the array doubles, since most stages ask one or
 * two, and what they asked at connect stays as long as the session. */
static bool
need_room(struct pw_ctx *c)
{
	struct pw_out *o = c->out;
	size_t n = o->nneed;
	struct pw_out_need *more;

	if (n == PW_OUT_NEEDS)
		return false;
	if (n > 0 && (n < NEEDS_FIRST || (n & (n - 1)) != 0))
		return true;
	more = pw_pool_array(c->env->pool, n > 0 ? n * 2 : NEEDS_FIRST,
	    sizeof(*more));
	if (more == NULL)
		return false;
	if (n > 0)
		memcpy(more, o->need, n * sizeof(*more));
	o->need = more;
	return true;
}

static void
add_need(struct pw_ctx *c, const char *name, uint16_t type)
{
	struct pw_out *o = c->out;

	for (size_t i = 0; i < o->nneed; i++)
		if (o->need[i].type == type &&
		    strcmp(o->need[i].name, name) == 0)
			return;
	if (!need_room(c)) {
		o->clipped = true;
		return;
	}
	o->need[o->nneed].name = pw_pool_cstr(c->env->pool,
	    pw_bytes_of(name));
	o->need[o->nneed].type = type;
	if (o->need[o->nneed].name != NULL)
		o->nneed++;
}

static int
host_dns(struct pw_ctx *c, const char *name, uint16_t type,
    struct pw_dns_reply *out)
{
	const struct pw_dns_answer *a = NULL;
	struct pw_dns_record *r;
	char key[256];

	*out = (struct pw_dns_reply){ .status = PW_DNS_BADNAME };
	if (pw_dns_name(pw_bytes_of(name), key) < 0)
		return 0;
	for (int i = 0; a == NULL && i < 2; i++)
		if (c->env->dns[i] != NULL)
			a = pw_dns_set_get(c->env->dns[i], key, type);
	if (a == NULL) {
		add_need(c, key, type);
		return 1;
	}
	out->status = a->status;
	out->secure = a->secure;
	out->ttl = a->ttl;
	r = pw_pool_array(c->env->pool, a->nrr > 0 ? a->nrr : 1, sizeof(*r));
	if (r == NULL)
		return 0;
	for (size_t i = 0; i < a->nrr; i++)
		r[i] = (struct pw_dns_record){ a->rr[i].pref,
			{ a->rr[i].data.ptr, a->rr[i].data.len } };
	out->count = a->nrr;
	out->record = r;
	return 0;
}

static int64_t
host_now(struct pw_ctx *c)
{
	return c->env->now_us;
}

/* A stream of its own for each stage and phase, from the judgement's seed. */
static void
host_random(struct pw_ctx *c, void *out, size_t n)
{
	uint8_t *p = out;

	while (n > 0) {
		char in[64];
		int len = snprintf(in, sizeof(in), "%.32s/%u/%llu",
		    c->stage->desc->name, c->phase,
		    (unsigned long long)c->random_block++);
		uint64_t h = pw_siphash(c->env->seed, in, (size_t)len);
		size_t k = n < sizeof(h) ? n : sizeof(h);

		memcpy(p, &h, k);
		p += k;
		n -= k;
	}
}

static void
host_log(struct pw_ctx *c, int level, const char *text)
{
	struct pw_log_line l;

	if (c->lines++ >= 16)
		return;
	if (level < PW_LOG_DEBUG || level > PW_LOG_ERROR)
		level = PW_LOG_INFO;
	pw_log_begin(&l, (enum pw_log_level)level, "stage.log", NULL, NULL);
	pw_log_s(&l, "stage", c->stage->desc->name);
	pw_log_peer(&l, "msg", pw_peer(pw_bytes_sub(pw_bytes_of(text), 0,
	    500)));
	pw_log_end(&l);
}

static int
host_message(struct pw_ctx *c, struct pw_slice *out)
{
	const struct pw_msgview *m = c->env->msg;

	*out = (struct pw_slice){ NULL, 0 };
	if (m == NULL || c->phase < PW_PHASE_HEADER)
		return -1;
	out->ptr = m->all.ptr;
	out->len = c->phase == PW_PHASE_HEADER ? m->header_len : m->all.len;
	return 0;
}

static int
host_field(struct pw_ctx *c, size_t i, struct pw_slice *name,
    struct pw_slice *raw)
{
	const struct pw_msgview *m = c->env->msg;

	if (m == NULL || i >= m->nfield)
		return -1;
	*name = (struct pw_slice){ m->field[i].name.ptr, m->field[i].name.len };
	*raw = (struct pw_slice){ m->field[i].raw.ptr, m->field[i].raw.len };
	return 0;
}

static int
host_part(struct pw_ctx *c, size_t i, struct pw_part *out)
{
	const struct pw_env *env = c->env;

	*out = (struct pw_part){ 0 };
	if (env->msg == NULL || env->parts == NULL ||
	    c->phase < PW_PHASE_BODY)
		return -1;
	return pw_parts_get(env->parts, env->msg, env->pool, i, out);
}

static void *
host_alloc(struct pw_ctx *c, size_t n)
{
	return pw_pool_alloc(c->env->pool, n);
}

static struct pw_ticket
host_ticket(struct pw_ctx *c)
{
	if (c->hook == NULL ||
	    (c->stage->desc->flags & PW_FLAG_ASYNC) == 0)
		return (struct pw_ticket){ 0, 0 };
	return c->hook->ticket(c->hook->arg);
}

static const char *
host_option(const struct pw_stage_conf *conf, const char *name)
{
	/* The host made it and knows that it may be written to. */
	struct pw_stage_conf *own = (struct pw_stage_conf *)(uintptr_t)conf;
	const struct pw_stage_option *o = conf->desc->options;
	size_t n = strlen(name);

	for (size_t i = 0; conf->section != NULL &&
	    i < conf->section->options.n; i++) {
		const char *v = conf->section->options.v[i];

		if (strncmp(v, name, n) != 0 || v[n] != '=')
			continue;
		snprintf(own->buf, sizeof(own->buf), "%s", v + n + 1);
		return own->buf;
	}
	for (; o != NULL && o->name != NULL; o++)
		if (strcmp(o->name, name) == 0)
			return o->def;
	return NULL;
}

static const struct pw_host table = {
	.size = sizeof(struct pw_host),
	.abi = PW_STAGE_ABI,
	.fact = host_fact,
	.provide = host_provide,
	.evidence = host_evidence,
	.fail = host_fail,
	.dns = host_dns,
	.now = host_now,
	.random = host_random,
	.log = host_log,
	.message = host_message,
	.field = host_field,
	.authres = host_authres,
	.add_field = host_add_field,
	.cut = host_cut,
	.meta = host_meta,
	.alloc = host_alloc,
	.ticket = host_ticket,
	.finish = pw_ticket_finish,
	.option = host_option,
	.part = host_part,
};

const struct pw_host *
pw_host_table(void)
{
	return &table;
}

/* ---- a run ------------------------------------------------------------------ */

uint64_t
pw_thread_cpu_ns(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* A run that ends PENDING or in error leaves no evidence. */
static void
drop_findings(struct pw_out *o)
{
	o->evidence = o->evidence_last = NULL;
	o->authres = o->authres_last = NULL;
	o->field = o->field_last = NULL;
	o->fact = (struct pw_facts){ 0 };
	o->nevidence = o->nauthres = o->nfield = o->ncut = 0;
	o->meta = PW_BYTES_NONE;
}

static void
set_state(struct pw_out *o, enum pw_run r)
{
	switch (r) {
	case PW_RUN_NEXT:
		o->state = o->nevidence > 0 ? PW_OUTCOME_HIT :
		    PW_OUTCOME_NO_HIT;
		return;
	case PW_RUN_NA:
		o->state = PW_OUTCOME_NA;
		break;
	case PW_RUN_PENDING:
		o->state = PW_OUTCOME_PENDING;
		break;
	case PW_RUN_ERROR:
		o->state = PW_OUTCOME_FAILED;
		if (o->reason[0] == '\0')
			o->reason = "the stage gave no reason";
		break;
	default:
		o->state = PW_OUTCOME_FAILED;
		o->reason = "the stage returned an unknown outcome";
		break;
	}
	drop_findings(o);
}

void
pw_eval_run(const struct pw_env *env, struct pw_loaded *stage,
    enum pw_phase phase, const struct pw_ticket_hook *hook,
    struct pw_out *out)
{
	struct pw_ctx ctx = { .env = env, .stage = stage, .out = out,
		.hook = hook, .phase = (unsigned)phase };
	uint64_t wall = pw_clock_mono_ns(), cpu = pw_thread_cpu_ns();

	*out = (struct pw_out){ .reason = "" };
	set_state(out, stage->desc->run(stage->instance, &ctx, phase));
	out->wall_us = (uint32_t)((pw_clock_mono_ns() - wall) / 1000);
	out->cpu_us = (uint32_t)((pw_thread_cpu_ns() - cpu) / 1000);
}

struct pw_cut *
pw_eval_cuts(struct pw_ctx *ctx, size_t *n)
{
	*n = ctx->out->ncut;
	return ctx->out->cut;
}

const struct pw_msgview *
pw_eval_view(struct pw_ctx *ctx)
{
	return ctx->env->msg;
}

void
pw_eval_cancel(const struct pw_env *env, struct pw_loaded *stage,
    enum pw_phase phase)
{
	struct pw_out out = { .reason = "" };
	struct pw_ctx ctx = { .env = env, .stage = stage, .out = &out,
		.phase = (unsigned)phase };

	if (stage->desc->cancel != NULL)
		stage->desc->cancel(stage->instance, &ctx);
}
