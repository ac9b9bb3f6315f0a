/* SPDX-License-Identifier: ISC */
/*
 * Runs of stages: who may run now, questions to DNS, tickets, time limits, and
 * the end of it all.  See the picture in pipe_int.h.
 */
#include "filters/pipe_int.h"

#include "base/clock.h"
#include "base/log.h"

#define SLOW_US 20000u  /* of a run in front */
#define SLOTS_MAX 8192u /* of a transaction: stages times phases and RCPTs */

static bool
is_message(unsigned phase)
{
	return phase >= PW_PHASE_HEADER;
}

static struct pw_loaded *
stage_of(const struct pw_slot *s)
{
	return &s->pipe->p->reg->v[s->stage];
}

void
pw_pipe_wake(struct pw_pipe *pipe)
{
	if (!pipe->stepping)
		pw_loop_defer(pipe->p->loop, &pipe->wake);
}

/* ---- the end of a run --------------------------------------------------------------- */

static void
count(struct pw_slot *s)
{
	struct pw_loaded *l = stage_of(s);

	static const uint8_t outcome[] = { [PW_OUTCOME_HIT] = PW_SC_HITS,
		[PW_OUTCOME_NO_HIT] = PW_SC_NOHITS, [PW_OUTCOME_NA] = PW_SC_NA,
		[PW_OUTCOME_FAILED] = PW_SC_ERRORS };

	pw_stage_count(&l->count, PW_SC_RUNS, 1);
	pw_stage_count(&l->count, PW_SC_WALL_US, s->wall_us);
	pw_stage_count(&l->count, PW_SC_CPU_US, s->cpu_us);
	pw_stage_count(&l->count, (enum pw_stage_count)outcome[s->out.state],
	    1);
	pw_stage_count(&l->count, PW_SC_REJECTED, s->out.clipped);
}

/* No more questions, ticket or timer. */
static void
let_go(struct pw_slot *s)
{
	for (unsigned i = 0; i < s->nasked; i++)
		if (s->asked[i].query != NULL)
			pw_dns_cancel(&s->asked[i].query);
	s->nasked = s->open = 0;
	pw_timer_stop(&s->timer);
	if (s->ticket.generation != 0) {
		pw_ticket_close(s->ticket);
		s->ticket.generation = 0;
	}
}

static void
finish(struct pw_slot *s)
{
	const struct pw_factrow *f;

	let_go(s);
	s->state = PW_SLOT_DONE;
	if (s->out.state == PW_OUTCOME_HIT || s->out.state == PW_OUTCOME_NO_HIT)
		for (f = s->out.fact.first; f != NULL; f = f->next)
			(void)pw_facts_set(&s->side->facts, s->side->pool,
			    f->name, f->index, &f->value);
	count(s);
}

void
pw_slot_fail(struct pw_slot *s, const char *reason)
{
	struct pw_loaded *l = stage_of(s);

	if (s->state == PW_SLOT_DONE)
		return;
	if (s->state == PW_SLOT_TICKET) {
		struct pw_base_facts base;
		struct pw_env env;

		pw_pipe_env(s->pipe, s->side, &base, &env);
		pw_eval_cancel(&env, l, (enum pw_phase)s->phase);
	}
	s->out = (struct pw_out){ .state = PW_OUTCOME_FAILED,
		.reason = reason };
	s->forced = true;
	finish(s);
}

/* ---- time --------------------------------------------------------------------------- */

unsigned
pw_slot_remaining(const struct pw_slot *s)
{
	uint64_t limit = stage_of(s)->timeout_ms, gone;

	if (!s->ran)
		return (unsigned)limit;
	gone = pw_clock_mono_ms() - s->started_ms;
	return gone >= limit ? 0 : (unsigned)(limit - gone);
}

static void
on_timer(struct pw_timer *t)
{
	struct pw_slot *s = (struct pw_slot *)(void *)((char *)t -
	    offsetof(struct pw_slot, timer));
	struct pw_pipe *pipe = s->pipe;

	pw_slot_fail(s, "time limit");
	pw_pipe_wake(pipe);
}

/* ---- DNS ---------------------------------------------------------------------------- */

static void
on_answer(void *arg, const struct pw_dns_answer *a)
{
	struct pw_asked *asked = arg;
	struct pw_slot *s = asked->slot;
	struct pw_side *side = s->side;

	asked->query = NULL;
	s->open--;
	if (side->dns == NULL)
		side->dns = pw_dns_set_new(side->pool);
	if (side->dns == NULL || pw_dns_set_add(side->dns, a) < 0) {
		pw_slot_fail(s, "too many DNS answers for one judgement");
	} else if (s->open == 0) {
		s->nasked = 0;
		pw_timer_stop(&s->timer);
		s->state = PW_SLOT_NEW;
	}
	pw_pipe_wake(s->pipe);
}

/* Takes the answers from the recording. */
static void
recall(struct pw_slot *s)
{
	struct pw_side *side = s->side;

	if (side->dns == NULL)
		side->dns = pw_dns_set_new(side->pool);
	for (size_t i = 0; i < s->out.nneed; i++) {
		const struct pw_dns_answer *a = pw_dns_set_get(s->pipe->replay,
		    s->out.need[i].name, s->out.need[i].type);

		if (a == NULL || side->dns == NULL ||
		    pw_dns_set_add(side->dns, a) < 0) {
			const char *why = pw_pool_printf(side->pool,
			    "not recorded: %s %s",
			    pw_dns_type_name(s->out.need[i].type),
			    s->out.need[i].name);

			pw_slot_fail(s, why != NULL ? why : "not recorded");
			return;
		}
	}
}

static void
ask(struct pw_slot *s)
{
	const struct pw_pipeline *p = s->pipe->p;
	unsigned left = pw_slot_remaining(s), limit = left - left / 10;

	if (limit > p->cfg->dns.timeout)
		limit = (unsigned)p->cfg->dns.timeout;
	if (s->pipe->replay != NULL) {
		recall(s);
		return;
	}
	if (p->dns == NULL) {
		pw_slot_fail(s, "no DNS client");
		return;
	}
	if (limit == 0) {
		pw_slot_fail(s, "time limit");
		return;
	}
	s->asked = pw_pool_array(s->side->pool, s->out.nneed,
	    sizeof(*s->asked));
	if (s->asked == NULL) {
		pw_slot_fail(s, "memory bound");
		return;
	}
	s->state = PW_SLOT_DNS;
	s->nasked = s->open = (unsigned)s->out.nneed;
	for (size_t i = 0; i < s->out.nneed; i++) {
		s->asked[i].slot = s;
		s->asked[i].query = pw_dns_ask(p->dns, s->out.need[i].name,
		    s->out.need[i].type, limit, on_answer, &s->asked[i]);
	}
	pw_timer_set(p->loop, &s->timer, left, on_timer);
}

/* ---- tickets ------------------------------------------------------------------------ */

static void
on_finished(void *arg)
{
	struct pw_slot *s = arg;

	s->ticket.generation = 0;
	pw_timer_stop(&s->timer);
	s->state = PW_SLOT_NEW;
	pw_pipe_wake(s->pipe);
}

static struct pw_ticket
take_ticket(void *arg)
{
	struct pw_slot *s = arg;

	if (s->ticket.generation == 0)
		s->ticket = pw_ticket_open(s->pipe->p->loop, on_finished, s);
	return s->ticket;
}

/* ---- a run -------------------------------------------------------------------------- */

void
pw_slot_take(struct pw_slot *s)
{
	s->wall_us += s->out.wall_us;
	s->cpu_us += s->out.cpu_us;
	s->state = PW_SLOT_NEW;
	if (s->out.state != PW_OUTCOME_PENDING) {
		finish(s);
	} else if (++s->rounds >= PW_SLOT_ROUNDS) {
		pw_slot_fail(s, "asked again too often");
	} else if (s->out.nneed > 0) {
		ask(s);
	} else if (s->ticket.generation != 0) {
		s->state = PW_SLOT_TICKET;
		pw_timer_set(s->pipe->p->loop, &s->timer, pw_slot_remaining(s),
		    on_timer);
	} else if (stage_of(s)->role != PW_ROLE_SCAN) {
		pw_slot_fail(s, "waits for nothing");
	}
	/* Of the role scan: another stage of its job is to come first. */
}

/* It ran on the loop, and every session of this thread waited: told at the
 * first time and then ever more rarely, counted always. */
static void
note_slow(const struct pw_slot *s)
{
	struct pw_loaded *l = stage_of(s);
	uint64_t n;

	pw_stage_count(&l->count, PW_SC_SLOW, 1);
	n = atomic_load_explicit(&l->count.v[PW_SC_SLOW],
	    memory_order_relaxed);
	if ((n & (n - 1)) == 0)
		pw_logf(PW_LOG_WARN, "stage.slow", "stage %s held up its loop "
		    "for %u ms; let it run in the role scan", l->desc->name,
		    s->out.wall_us / 1000);
}

static void
run_here(struct pw_slot *s)
{
	struct pw_ticket_hook hook = { s, take_ticket };
	struct pw_base_facts base;
	struct pw_env env;

	if (!s->ran) {
		s->ran = true;
		s->started_ms = pw_clock_mono_ms();
	}
	pw_pipe_env(s->pipe, s->side, &base, &env);
	if (is_message(s->phase) && s->pipe->fd >= 0) {
		const char *why;

		env.msg = pw_pipe_view(s->pipe, &why);
		if (env.msg == NULL) {
			pw_slot_fail(s, why);
			return;
		}
	}
	pw_eval_run(&env, stage_of(s), (enum pw_phase)s->phase, &hook,
	    &s->out);
	if (s->out.wall_us > SLOW_US)
		note_slow(s);
	if (s->ticket.generation != 0 &&
	    s->out.state != PW_OUTCOME_PENDING) {
		pw_ticket_close(s->ticket);
		s->ticket.generation = 0;
	}
	pw_slot_take(s);
}

/* One round over a side's slots; true when anything changed. */
static bool
run_side(struct pw_pipe *pipe, struct pw_side *side)
{
	bool changed = false;

	for (struct pw_slot *s = side->first; s != NULL; s = s->next) {
		if (s->state != PW_SLOT_NEW ||
		    stage_of(s)->role != PW_ROLE_FRONT ||
		    !pw_slot_ready(pipe, s, NULL))
			continue;
		run_here(s);
		changed = true;
	}
	return changed;
}

void
pw_pipe_step(struct pw_pipe *pipe)
{
	bool changed;

	if (pipe->stepping)
		return;
	pipe->stepping = true;
	do {
		changed = run_side(pipe, &pipe->session);
		if (pipe->in_trans)
			changed |= run_side(pipe, &pipe->trans);
		changed |= pw_pipe_submit(pipe);
	} while (changed);
	pipe->stepping = false;
}

void
pw_slot_add(struct pw_pipe *pipe, struct pw_side *side, size_t stage,
    enum pw_phase phase)
{
	const struct pw_loaded *l = &pipe->p->reg->v[stage];
	const char *reason;
	struct pw_slot *s;

	if (side->nslot >= SLOTS_MAX ||
	    (s = pw_pool_alloc(side->pool, sizeof(*s))) == NULL) {
		pw_logf(PW_LOG_WARN, "pipeline.bound",
		    "stage %s left out: too many runs", l->desc->name);
		return;
	}
	s->pipe = pipe;
	s->side = side;
	s->stage = (uint8_t)stage;
	s->phase = (uint8_t)phase;
	s->rcpt = phase == PW_PHASE_RCPT ? pipe->nrcpt : 0;
	s->out.reason = "";
	if (side->last != NULL)
		side->last->next = s;
	else
		side->first = s;
	side->last = s;
	side->nslot++;
	if (pipe->info.trusted && (l->desc->flags & PW_FLAG_TRUSTED) == 0) {
		s->out.state = PW_OUTCOME_NA;
		finish(s);
		return;
	}
	reason = pw_recorded_failure(pipe, s);
	if (reason != NULL)
		pw_slot_fail(s, reason);
}

/* ---- waiting and ending --------------------------------------------------------------- */

static bool
holds_up(const struct pw_pipe *pipe, const struct pw_slot *s,
    enum pw_phase phase)
{
	const struct pw_stage *d = stage_of(s)->desc;

	if (s->state == PW_SLOT_DONE)
		return false;
	if (is_message(phase))
		return true;
	if ((d->flags & PW_FLAG_BACKGROUND) == 0)
		return s->phase == phase;
	return pw_policy_awaits(pipe->p->weights, phase, d);
}

bool
pw_pipe_settled(const struct pw_pipe *pipe, enum pw_phase phase)
{
	const struct pw_slot *s;

	for (s = pipe->session.first; s != NULL; s = s->next)
		if (holds_up(pipe, s, phase))
			return false;
	for (s = pipe->trans.first; s != NULL; s = s->next)
		if (holds_up(pipe, s, phase))
			return false;
	return true;
}

void
pw_pipe_give_up(struct pw_pipe *pipe, uint8_t cost, const char *reason)
{
	struct pw_side *sides[] = { &pipe->session, &pipe->trans };

	for (size_t k = 0; k < PW_COUNT(sides); k++)
		for (struct pw_slot *s = sides[k]->first; s != NULL;
		    s = s->next) {
			if (s->state == PW_SLOT_DONE ||
			    stage_of(s)->desc->cost < cost)
				continue;
			if (s->job != NULL)
				pw_scanjob_drop(s->job);
			pw_slot_fail(s, reason);
		}
}

void
pw_side_end(struct pw_pipe *pipe, struct pw_side *side)
{
	for (struct pw_slot *s = side->first; s != NULL; s = s->next) {
		if (s->job != NULL)
			pw_scanjob_drop(s->job);
		if (s->state == PW_SLOT_TICKET) {
			struct pw_base_facts base;
			struct pw_env env;

			pw_pipe_env(pipe, side, &base, &env);
			pw_eval_cancel(&env, stage_of(s),
			    (enum pw_phase)s->phase);
		}
		let_go(s);
	}
	pw_enc_free(&side->script);
	pw_pool_free(&side->pool);
	*side = (struct pw_side){ 0 };
}
