/* SPDX-License-Identifier: ISC */
/*
 * From the runs of a transaction and its session to what front needs: early
 * refusals, and the whole result at the end of data.
 */
#include <stdio.h>

#include "base/clock.h"
#include "filters/authres.h"
#include "filters/pipe_int.h"
#include "filters/text.h"

#define EARLY_MAX 64u
#define STEP_NOTE_MAX 8u

typedef void (*slot_fn)(const struct pw_pipe *pipe, const struct pw_slot *s,
    void *arg);

static void
each_slot(const struct pw_pipe *pipe, slot_fn fn, void *arg)
{
	const struct pw_slot *s;

	for (s = pipe->session.first; s != NULL; s = s->next)
		fn(pipe, s, arg);
	for (s = pipe->trans.first; s != NULL; s = s->next)
		fn(pipe, s, arg);
}

static struct pw_pipe_evidence
evidence_of(const struct pw_pipe *pipe, const struct pw_slot *s,
    const struct pw_out_evidence *e)
{
	const struct pw_loaded *l = &pipe->p->reg->v[s->stage];
	const struct pw_weight *w = pw_weights_get(pipe->p->weights,
	    l->desc->name, e->symbol);

	return (struct pw_pipe_evidence){ .stage = l->desc->name,
		.symbol = e->symbol, .scope = l->desc->scope,
		.shadow = l->shadow || (w != NULL && w->shadow),
		.text = e->text,
		.weight = w != NULL ? e->factor * w->weight : 0,
		.asks = w != NULL ? w->asks : 0,
		.malware = w != NULL && w->malware,
		.rcpt = l->desc->scope == PW_SCOPE_RECIPIENT ? s->rcpt : 0 };
}

/* ---- early -------------------------------------------------------------------------- */

struct early {
	struct pw_pipe_evidence v[EARLY_MAX];
	size_t n;
};

/* Only what an answer may rest on: the bound is then not met by harmless
 * evidence. */
static void
gather_early(const struct pw_pipe *pipe, const struct pw_slot *s, void *arg)
{
	struct early *e = arg;

	if (s->state != PW_SLOT_DONE)
		return;
	for (const struct pw_out_evidence *v = s->out.evidence;
	    v != NULL && e->n < EARLY_MAX; v = v->next) {
		e->v[e->n] = evidence_of(pipe, s, v);
		e->n += e->v[e->n].asks != 0 ||
		    strcmp(v->symbol, "SPF_EXPLANATION") == 0;
	}
}

void
pw_pipe_early(struct pw_pipe *pipe, enum pw_phase phase,
    const struct pw_early_lists *lists, struct pw_early *out)
{
	struct early e = { .n = 0 };
	struct pw_policy_in in = { .cfg = pipe->p->cfg, .evidence = e.v,
		.rcpt = pipe->nrcpt };
	struct pw_verdict v;

	*out = (struct pw_early){ NULL, NULL };
	if (!pipe->in_trans || phase != PW_PHASE_RCPT)
		return;
	each_slot(pipe, gather_early, &e);
	in.nevidence = e.n;
	if (lists != NULL) {
		in.entry = lists->entry;
		in.nentry = lists->n;
	}
	if (!pw_policy_early(&in, lists != NULL && lists->may_allow, &v))
		return;
	out->reply = pw_pool_cstr(pipe->trans.pool, pw_bytes_of(v.reply));
	out->step = pw_pool_cstr(pipe->trans.pool, pw_bytes_of(v.step));
}

/* ---- the whole result ------------------------------------------------------------------ */

struct making {
	struct pw_pool *pool;
	struct pw_pipe_result *r;
	struct pw_policy_run *rule;
	struct pw_authres *ar;
	size_t nar;
	bool count_only;
};

static void
add_fields(const struct pw_slot *s, struct making *m)
{
	for (const struct pw_out_field *f = s->out.field; f != NULL;
	    f = f->next) {
		if (!m->count_only)
			m->r->field[m->r->nfield] = (struct pw_pipe_field){
				f->name, pw_bytes_of(pw_text_fold(
				    m->pool, f->value,
				    strlen(f->name))) };
		m->r->nfield++;
	}
}

static void
add_slot(const struct pw_pipe *pipe, const struct pw_slot *s, void *arg)
{
	const struct pw_loaded *l = &pipe->p->reg->v[s->stage];
	struct making *m = arg;
	bool done = s->state == PW_SLOT_DONE;
	uint8_t outcome = done ? s->out.state : (uint8_t)PW_OUTCOME_FAILED;
	const char *reason = done ? s->out.reason : "not finished";

	if (!m->count_only) {
		m->r->run[m->r->nrun] = (struct pw_pipe_run){ l->desc->name,
			s->phase, outcome, reason, s->wall_us, s->cpu_us };
		m->rule[m->r->nrun] = (struct pw_policy_run){ l->desc->name,
			reason, outcome, l->on_error, l->shadow,
			l->desc->malware != NULL };
	}
	m->r->nrun++;
	if (!done)
		return;
	for (const struct pw_out_evidence *e = s->out.evidence; e != NULL;
	    e = e->next) {
		if (!m->count_only)
			m->r->evidence[m->r->nevidence] =
			    evidence_of(pipe, s, e);
		m->r->nevidence++;
	}
	for (const struct pw_out_authres *a = s->out.authres;
	    a != NULL && !l->shadow; a = a->next) {
		if (!m->count_only)
			m->ar[m->nar] = (struct pw_authres){ a->method,
				a->result, a->props, a->reason };
		m->nar++;
	}
	if (!l->shadow)
		add_fields(s, m);
	if (s->out.ncut > 0 && !m->count_only && m->r->ncut == 0) {
		for (size_t i = 0; i < s->out.ncut; i++)
			m->r->cut[i] = (struct pw_pipe_cut){
				s->out.cut[i].offset, s->out.cut[i].len };
		m->r->ncut = s->out.ncut;
	}
	if (s->out.meta.len > 0)
		m->r->meta = s->out.meta;
}

static bool
make_room(const struct pw_pipe *pipe, struct making *m)
{
	struct pw_pool *pool = m->pool;
	struct pw_pipe_result *r = m->r;

	m->count_only = true;
	each_slot(pipe, add_slot, m);
	r->evidence = pw_pool_array(pool, r->nevidence + 1,
	    sizeof(*r->evidence));
	r->run = pw_pool_array(pool, r->nrun + 1, sizeof(*r->run));
	/* One more for a note of stages that could not run. */
	r->field = pw_pool_array(pool, r->nfield + 2, sizeof(*r->field));
	r->cut = pw_pool_array(pool, PW_META_CUTS_MAX, sizeof(*r->cut));
	m->rule = pw_pool_array(pool, r->nrun + 1, sizeof(*m->rule));
	m->ar = pw_pool_array(pool, m->nar + 1, sizeof(*m->ar));
	m->count_only = false;
	if (r->evidence == NULL || r->run == NULL || r->field == NULL ||
	    r->cut == NULL || m->rule == NULL || m->ar == NULL)
		return false;
	r->nevidence = r->nrun = r->nfield = r->ncut = 0;
	m->nar = 0;
	return true;
}

static bool
has_note(const struct making *m)
{
	for (size_t i = 0; i < m->r->nrun; i++)
		if (m->rule[i].outcome == PW_OUTCOME_FAILED &&
		    m->rule[i].on_error == PW_ERR_TAG && !m->rule[i].shadow)
			return true;
	return false;
}

/* "X-Postward-Note: not checked: dkim (time limit), spf (crashed)" */
static void
add_note(struct pw_pipe *pipe, struct making *m)
{
	struct pw_strbuf sb;
	unsigned named = 0;

	pw_strbuf_init(&sb, 2000);
	for (size_t i = 0; i < m->r->nrun; i++) {
		if (m->rule[i].outcome != PW_OUTCOME_FAILED ||
		    m->rule[i].on_error != PW_ERR_TAG || m->rule[i].shadow ||
		    named >= STEP_NOTE_MAX)
			continue;
		pw_strbuf_addf(&sb, "%s%s (%s)",
		    named++ == 0 ? "not checked: " : ", ", m->rule[i].stage,
		    m->rule[i].reason);
	}
	m->r->field[m->r->nfield++] = (struct pw_pipe_field){
		"X-Postward-Note", pw_bytes_of(pw_text_fold(pipe->trans.pool,
		    pw_strbuf_cstr(&sb), strlen("X-Postward-Note"))) };
	pw_strbuf_free(&sb);
}

/* The answers of the session join those of the transaction: one record. */
static const struct pw_dns_set *
all_answers(struct pw_pipe *pipe)
{
	const struct pw_dns_set *from = pipe->session.dns;

	if (from == NULL || pipe->trans.dns == NULL)
		return from != NULL ? from : pipe->trans.dns;
	for (size_t i = 0; i < pw_dns_set_count(from); i++)
		(void)pw_dns_set_add(pipe->trans.dns, pw_dns_set_at(from, i));
	return pipe->trans.dns;
}

static const char *
iprev_name(const struct pw_pipe *pipe, struct pw_pool *pool)
{
	const struct pw_fact *f = pw_facts_get(&pipe->session.facts,
	    "iprev.name", 0);
	const char *s = f == NULL ? NULL : pw_pool_cstr(pool,
	    pw_bytes(f->text.ptr, f->text.len));

	return s != NULL ? s : "";
}

/* What is said where the transaction's memory is at its bound. */
static const struct pw_pipe_result no_memory = {
	.action = PW_VERDICT_DEFER,
	.reply = "451 4.3.1 the message is too complex to be judged now",
	.step = "the memory bound of one transaction was met",
	.auth_results = "", .iprev_name = ""
};

const struct pw_pipe_result *
pw_pipe_result(struct pw_pipe *pipe)
{
	static const struct pw_pipe_rcpt nobody = { .mailbox = "" };
	const struct pw_pipe_verdict *v;
	struct making m = { .pool = pipe->trans.pool };
	struct pw_pipe_result *r;

	PW_ASSERT(pipe->in_trans);
	if (pipe->result != NULL)
		return pipe->result;
	r = m.r = pw_pool_alloc(pipe->trans.pool, sizeof(*r));
	if (r == NULL || !make_room(pipe, &m))
		return pipe->result = &no_memory;
	each_slot(pipe, add_slot, &m);
	if (!pw_pipe_judge(pipe, &(struct pw_policy_in){ .cfg = pipe->p->cfg,
		.evidence = r->evidence, .nevidence = r->nevidence,
		.run = m.rule, .nrun = r->nrun,
		.crashed_first = pipe->crashed_first }))
		return pipe->result = &no_memory;
	v = pw_pipe_verdict(pipe, &nobody);
	r->action = v->action;
	r->score = v->score;
	r->reply = v->reply[0] == '\0' ? NULL : v->reply;
	r->step = v->step;
	r->auth_results = pw_authres_write(pipe->trans.pool,
	    pipe->p->authserv_id, m.ar, m.nar);
	r->crashed = pipe->crashed;
	if (has_note(&m))
		add_note(pipe, &m);
	r->dns = all_answers(pipe);
	r->iprev_name = iprev_name(pipe, m.pool);
	r->recording = pw_recording_make(pipe, m.pool);
	if (r->auth_results == NULL) {
		pipe->judging = NULL;
		return pipe->result = &no_memory;
	}
	return pipe->result = r;
}

const struct pw_pipe_result *
pw_pipe_so_far(struct pw_pipe *pipe, struct pw_pool *pool)
{
	struct making m = { .pool = pool };
	struct pw_pipe_result *r = m.r = pw_pool_alloc(pool, sizeof(*r));

	if (r == NULL || !make_room(pipe, &m))
		return NULL;
	each_slot(pipe, add_slot, &m);
	for (size_t i = 0; i < r->nevidence; i++)
		if (!r->evidence[i].shadow)
			r->score += r->evidence[i].weight;
	r->dns = all_answers(pipe);
	r->iprev_name = iprev_name(pipe, pool);
	r->auth_results = r->step = "";
	return r;
}
