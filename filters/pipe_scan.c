/* SPDX-License-Identifier: ISC */
/*
 * Work for scan processes: which runs travel together in a job, and what
 * becomes of the reply.  A reply is checked whole before anything of it counts.
 */
#include "base/log.h"
#include "base/clock.h"
#include "filters/job.h"
#include "filters/pipe_int.h"

static bool
is_message(unsigned phase)
{
	return phase >= PW_PHASE_HEADER;
}

/* Plug-ins travel alone, so that their time limits and crashes are theirs. */
static bool
travels_alone(const struct pw_slot *s)
{
	return s->alone || s->pipe->p->reg->v[s->stage].plugin;
}

/* Runs of this kind may share a job. */
static bool
same_kind(const struct pw_slot *a, const struct pw_slot *b)
{
	if (a == b)
		return true;
	return !travels_alone(a) && !travels_alone(b) && a->side == b->side && is_message(a->phase) ==
	    is_message(b->phase);
}

static bool
in_job(const struct pw_scanjob *job, const struct pw_slot *s)
{
	for (size_t i = 0; job != NULL && i < job->n; i++)
		if (job->slot[i] == s)
			return true;
	return false;
}

/* S must wait for U: it needs U's facts, or U's phase comes before END. */
static bool
waits_for(const struct pw_registry *reg, const struct pw_slot *s,
    const struct pw_slot *u)
{
	if (u == s || u->state == PW_SLOT_DONE)
		return false;
	if (reg->v[s->stage].deps >> u->stage & 1)
		return true;
	return s->phase == PW_PHASE_END && u->side == s->side &&
	    (u->phase == PW_PHASE_HEADER || u->phase == PW_PHASE_BODY);
}

bool
pw_slot_ready(const struct pw_pipe *pipe, const struct pw_slot *s,
    const struct pw_scanjob *joining)
{
	const struct pw_registry *reg = pipe->p->reg;
	const struct pw_slot *u;

	for (u = pipe->session.first; u != NULL; u = u->next)
		if (waits_for(reg, s, u) && !in_job(joining, u))
			return false;
	for (u = pipe->trans.first; u != NULL; u = u->next)
		if (waits_for(reg, s, u) && !in_job(joining, u))
			return false;
	return true;
}

void
pw_scanjob_drop(struct pw_scanjob *job)
{
	for (size_t i = 0; i < job->n; i++) {
		job->slot[i]->job = NULL;
		if (job->slot[i]->state == PW_SLOT_SCAN)
			job->slot[i]->state = PW_SLOT_NEW;
	}
	if (job->handle != NULL)
		job->pipe->p->scan->cancel(job->pipe->p->scan->host,
		    job->handle);
	job->handle = NULL;
}

static void
log_failure(const struct pw_scanjob *job, const char *reason)
{
	struct pw_log_line l;

	pw_log_begin(&l, PW_LOG_WARN, "scan.failed", job->pipe->info.id.s,
	    job->pipe->in_trans ? job->pipe->id.s : "");
	pw_log_s(&l, "reason", reason);
	for (size_t i = 0; i < job->n; i++)
		pw_log_s(&l, "stage",
		    job->pipe->p->reg->v[job->slot[i]->stage].desc->name);
	pw_log_end(&l);
}

/* A process ended with this job: each of its runs has one more try, alone, so
 * that the one that did it is found and nobody pays for it or for an accident.
 * False when that has been. */
static bool
try_again(struct pw_scanjob *job)
{
	if (job->slot[0]->alone)
		return false;
	for (size_t i = 0; i < job->n; i++) {
		job->slot[i]->alone = true;
		job->slot[i]->state = PW_SLOT_NEW;
	}
	pw_logf(PW_LOG_NOTICE, "scan.again", "session=%s: a scan process "
	    "ended; %zu of its runs are made again one by one",
	    job->pipe->info.id.s, job->n);
	return true;
}

/* All runs of the job could not be made. */
static void
fail_job(struct pw_scanjob *job, const char *reason)
{
	struct pw_pipe *pipe = job->pipe;
	bool crashed = strcmp(reason, "crashed") == 0;

	if (crashed && try_again(job))
		return;
	log_failure(job, reason);
	if (crashed) {
		pipe->p->crashes++;
		if (!pipe->crashed && is_message(job->slot[0]->phase)) {
			pipe->crashed = true;
			pipe->crashed_first = !pw_crash_seen(pipe->fd,
			    pipe->mail_size);
		}
	}
	for (size_t i = 0; i < job->n; i++)
		pw_slot_fail(job->slot[i], reason);
}

static const char *
copy_reason(struct pw_side *side, const char *reason)
{
	const char *s = reason != NULL ? pw_pool_cstr(side->pool,
	    pw_bytes_sub(pw_bytes_of(reason), 0, 100)) : NULL;

	return s != NULL ? s : "no scan process";
}

static void
on_reply(void *arg, const struct pw_scan_reply *r)
{
	struct pw_scanjob *job = arg;
	struct pw_pipe *pipe = job->pipe;
	struct pw_side *side = job->slot[0]->side;
	struct pw_out *out = pw_pool_array(side->pool, job->n, sizeof(*out));

	job->handle = NULL;
	for (size_t i = 0; i < job->n; i++)
		job->slot[i]->job = NULL;
	if (r->rc != PW_OK) {
		fail_job(job, copy_reason(side, r->reason));
	} else if (out == NULL || pw_results_dec(r->body, pipe->p->reg,
	    job->item, job->n, pipe->mail_size, side->pool, out) < 0) {
		pipe->p->garbage++;
		fail_job(job, "results malformed");
	} else {
		for (size_t i = 0; i < job->n; i++) {
			job->slot[i]->out = out[i];
			pw_slot_take(job->slot[i]);
		}
	}
	pw_pipe_wake(pipe);
}

/* ---- sending ---------------------------------------------------------------------- */

static void
send_job(struct pw_pipe *pipe, struct pw_scanjob *job)
{
	const struct pw_scan_runner *runner = pipe->p->scan;
	bool message = is_message(job->slot[0]->phase);
	unsigned limit = 0;
	struct pw_base_facts base;
	struct pw_env env;
	struct pw_enc enc;
	struct pw_bytes body;

	for (size_t i = 0; i < job->n; i++) {
		struct pw_slot *s = job->slot[i];
		unsigned left;

		if (!s->ran) {
			s->ran = true;
			s->started_ms = pw_clock_mono_ms();
		}
		left = pw_slot_remaining(s);
		limit = left > limit ? left : limit;
		s->state = PW_SLOT_SCAN;
		s->job = job;
	}
	pw_pipe_env(pipe, job->slot[0]->side, &base, &env);
	pw_enc_init(&enc, PW_JOB_MAX);
	pw_job_enc(&enc, pipe->p->reg, job->item, job->n, &env);
	body = pw_enc_done(&enc);
	pipe->p->jobs++;
	if (body.ptr != NULL && runner != NULL && limit > 0)
		job->handle = runner->submit(runner->host, !message, body,
		    message ? pipe->fd : -1, limit, on_reply, job);
	pw_enc_free(&enc);
	if (job->handle == NULL) {
		pipe->p->refused_jobs++;
		for (size_t i = 0; i < job->n; i++)
			job->slot[i]->job = NULL;
		fail_job(job, limit == 0 ? "time limit" :
		    "no scan process free");
	}
}

static bool
wants_scan(const struct pw_pipe *pipe, const struct pw_slot *s)
{
	return s->state == PW_SLOT_NEW &&
	    pipe->p->reg->v[s->stage].role == PW_ROLE_SCAN;
}

/* A job of all runs that are ready and of FIRST's kind. */
static bool
gather(struct pw_pipe *pipe, struct pw_slot *first)
{
	struct pw_side *side = first->side;
	struct pw_scanjob *job = pw_pool_alloc(side->pool, sizeof(*job));
	size_t max = 0;

	for (struct pw_slot *s = first; s != NULL; s = s->next)
		max += max < PW_JOB_ITEMS && wants_scan(pipe, s);
	if (job != NULL) {
		job->item = pw_pool_array(side->pool, max, sizeof(*job->item));
		job->slot = pw_pool_array(side->pool, max, sizeof(*job->slot));
	}
	if (job == NULL || job->item == NULL || job->slot == NULL) {
		pw_slot_fail(first, "memory bound");
		return true;
	}
	job->pipe = pipe;
	for (struct pw_slot *s = first; s != NULL && job->n < max;
	    s = s->next) {
		if (!wants_scan(pipe, s) || !same_kind(first, s) ||
		    !pw_slot_ready(pipe, s, job))
			continue;
		job->item[job->n] = (struct pw_job_item){ s->stage, s->phase };
		job->slot[job->n++] = s;
	}
	if (job->n == 0)
		return false;
	send_job(pipe, job);
	return true;
}

bool
pw_pipe_submit(struct pw_pipe *pipe)
{
	struct pw_side *sides[] = { &pipe->session, &pipe->trans };
	bool changed = false;

	for (size_t k = 0; k < PW_COUNT(sides); k++)
		for (struct pw_slot *s = sides[k]->first; s != NULL;
		    s = s->next)
			if (wants_scan(pipe, s) &&
			    pw_slot_ready(pipe, s, NULL))
				changed |= gather(pipe, s);
	return changed;
}
