/* SPDX-License-Identifier: ISC */
/*
 * Set-up of the pipeline, sessions and their facts, phases and resets.  How
 * stages run is in pipe_run.c, what follows from them in pipe_result.c.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "filters/pipe_int.h"

#define SESSION_MAX (256u << 10)
#define TRANSACTION_MAX (16u << 20)
#define PW_SCRIPT_MAX (128u << 10) /* of facts as the host told them */

int
pw_pipeline_new(const struct pw_config *cfg, struct pw_loop *loop,
    struct pw_dns_client *dns, const struct pw_scan_runner *scan,
    struct pw_pipeline **out, struct pw_err *err)
{
	struct pw_pipeline *p = *out = pw_xcalloc(1, sizeof(*p));

	p->cfg = cfg;
	p->loop = loop;
	p->dns = dns;
	p->scan = scan;
	p->authserv_id = cfg->server.authserv_id != NULL &&
	    cfg->server.authserv_id[0] != '\0' ? cfg->server.authserv_id :
	    cfg->server.hostname;
	/* Without a loop this is a look at the configuration: then the stages
	 * of the role scan are asked too whether they can start. */
	if (pw_registry_new(cfg, loop != NULL ? PW_ROLE_FRONT : PW_ROLE_FRONT |
	    PW_ROLE_SCAN, &p->reg, err) < 0 ||
	    pw_weights_new(cfg, p->reg, &p->weights, err) < 0) {
		pw_pipeline_free(out);
		return -1;
	}
	p->thresholds = pw_thresholds_new(cfg);
	return 0;
}

void
pw_pipeline_free(struct pw_pipeline **p)
{
	if (*p == NULL)
		return;
	pw_weights_free(&(*p)->weights);
	pw_thresholds_free(&(*p)->thresholds);
	pw_registry_free(&(*p)->reg);
	free(*p);
	*p = NULL;
}

int
pw_pipeline_stage_names(const struct pw_config *cfg, const char ***names,
    size_t *n)
{
	size_t count;
	const struct pw_stage *const *table = pw_registry_builtin(&count);
	const char **v = pw_xcalloc(count + 2, sizeof(*v));

	(void)cfg;
	for (size_t i = 0; i < count; i++)
		v[i] = table[i]->name;
	v[count++] = "default";
	v[count++] = "none";
	*names = v;
	*n = count;
	return 0;
}

/* ---- sessions ------------------------------------------------------------------ */

static void
side_begin(struct pw_side *side, size_t max)
{
	*side = (struct pw_side){ .pool = pw_pool_new(max),
		.now_us = pw_clock_real_us() };
	pw_random(side->seed, sizeof(side->seed));
	pw_enc_init(&side->script, PW_SCRIPT_MAX);
}

static void
on_wake(struct pw_defer *d)
{
	struct pw_pipe *pipe = (struct pw_pipe *)(void *)((char *)d -
	    offsetof(struct pw_pipe, wake));
	pw_pipe_cb cb = pipe->cb;

	pw_pipe_step(pipe);
	if (cb == NULL || !pw_pipe_settled(pipe, pipe->phase))
		return;
	pipe->cb = NULL;
	if (pipe->phase == PW_PHASE_BODY)
		pw_timer_stop(&pipe->budget);
	/* Last, since the callee may reset or close the pipe. */
	cb(pipe->arg);
}

struct pw_pipe *
pw_pipe_open(struct pw_pipeline *p, const struct pw_session_info *info)
{
	struct pw_pipe *pipe = pw_xcalloc(1, sizeof(*pipe));

	PW_ASSERT(info->listener < p->reg->nlistener);
	pipe->p = p;
	pipe->info = *info;
	pipe->fd = -1;
	pipe->wake.cb = on_wake;
	side_begin(&pipe->session, SESSION_MAX);
	return pipe;
}

void
pw_pipe_close(struct pw_pipe **pp)
{
	struct pw_pipe *pipe = *pp;

	if (pipe == NULL)
		return;
	pw_pipe_reset(pipe);
	pw_side_end(pipe, &pipe->session);
	pw_loop_undefer(pipe->p->loop, &pipe->wake);
	free(pipe);
	*pp = NULL;
}

void
pw_pipe_begin(struct pw_pipe *pipe, const struct pw_id *id)
{
	pw_pipe_reset(pipe);
	pipe->in_trans = true;
	pipe->id = *id;
	pipe->script_mark = pw_enc_done(&pipe->session.script).len;
	side_begin(&pipe->trans, TRANSACTION_MAX);
}

void
pw_pipe_reset(struct pw_pipe *pipe)
{
	if (!pipe->in_trans)
		return;
	pw_timer_stop(&pipe->budget);
	pw_side_end(pipe, &pipe->trans);
	if (pipe->phase >= PW_PHASE_MAIL)
		pipe->cb = NULL;
	pipe->in_trans = false;
	pipe->result = NULL;
	pipe->judging = NULL;
	pipe->fd = -1;
	pw_mapped_close(&pipe->map);
	pipe->viewed = false;
	pipe->mail_size = pipe->header_len = 0;
	pipe->nrcpt = 0;
	pipe->given_up = 0;
	pipe->crashed = pipe->crashed_first = false;
}

void
pw_pipe_replay(struct pw_pipe *pipe, const struct pw_dns_set *answers)
{
	pipe->replay = answers;
}

/* ---- facts ---------------------------------------------------------------------- */

static bool
of_transaction(const char *name)
{
	return strncmp(name, "mail.", 5) == 0 ||
	    strncmp(name, "rcpt.", 5) == 0 ||
	    strncmp(name, "message.", 8) == 0;
}

static void
set_fact(struct pw_pipe *pipe, const char *name, size_t index,
    const struct pw_fact *v)
{
	struct pw_side *side = of_transaction(name) ? &pipe->trans :
	    &pipe->session;

	if (side == &pipe->trans && !pipe->in_trans)
		return;
	(void)pw_facts_set(&side->facts, side->pool, name, index, v);
}

void
pw_pipe_text(struct pw_pipe *pipe, const char *name, struct pw_bytes text)
{
	struct pw_fact v = { .type = PW_FACT_TEXT,
		.text = { text.ptr != NULL ? text.ptr : "", text.len } };
	const struct pw_fact *old;

	pw_script_text(pipe, name, text);
	/* Index 0 is the recipient at hand; the ones before move up. */
	if (strcmp(name, "rcpt.address") == 0 && pipe->in_trans) {
		old = pw_facts_get(&pipe->trans.facts, name, 0);
		if (old != NULL && pipe->nrcpt < PW_RCPT_FACTS) {
			struct pw_fact moved = *old;
			set_fact(pipe, name, pipe->nrcpt, &moved);
		}
		pipe->nrcpt++;
	}
	set_fact(pipe, name, 0, &v);
}

void
pw_pipe_int(struct pw_pipe *pipe, const char *name, int64_t num)
{
	struct pw_fact v = { .type = PW_FACT_INT, .num = num };

	pw_script_int(pipe, name, num);
	set_fact(pipe, name, 0, &v);
}

uint32_t
pw_pipe_rcpt_number(const struct pw_pipe *pipe)
{
	return pipe->nrcpt;
}

static void
base_row(struct pw_base_facts *b, const char *name, struct pw_fact v)
{
	struct pw_factrow *row = &b->row[b->list.count++];

	PW_ASSERT(b->list.count <= PW_COUNT(b->row));
	*row = (struct pw_factrow){ .name = name, .value = v };
	if (b->list.last != NULL)
		b->list.last->next = row;
	else
		b->list.first = row;
	b->list.last = row;
}

static struct pw_fact
text_fact(const char *s)
{
	struct pw_bytes b = pw_bytes_of(s);

	return (struct pw_fact){ .type = PW_FACT_TEXT,
		.text = { b.ptr != NULL ? b.ptr : "", b.len } };
}

static struct pw_fact
int_fact(int64_t n)
{
	return (struct pw_fact){ .type = PW_FACT_INT, .num = n };
}

void
pw_pipe_env(struct pw_pipe *pipe, struct pw_side *side,
    struct pw_base_facts *base, struct pw_env *env)
{
	const struct pw_session_info *in = &pipe->info;
	struct pw_fact ip = { .type = PW_FACT_IP, .family = in->peer.family };

	memcpy(ip.ip, in->peer.b, sizeof(ip.ip));
	*base = (struct pw_base_facts){ 0 };
	if (ip.family != 0)
		base_row(base, "peer.ip", ip);
	base_row(base, "peer.port", int_fact(in->peer_port));
	base_row(base, "listener",
	    text_fact(pipe->p->cfg->listener[in->listener].name));
	base_row(base, "trusted", int_fact(in->trusted));
	base_row(base, "host.name", text_fact(pipe->p->cfg->server.hostname));
	base_row(base, "host.authserv_id", text_fact(pipe->p->authserv_id));
	*env = (struct pw_env){ .pool = side->pool, .now_us = side->now_us,
		.fact = { &side->facts, NULL, &base->list },
		.dns = { side->dns, NULL } };
	if (side == &pipe->trans) {
		env->fact[1] = &pipe->session.facts;
		env->dns[1] = pipe->session.dns;
	}
	memcpy(env->seed, side->seed, sizeof(env->seed));
}

/* ---- phases ---------------------------------------------------------------------- */

void
pw_pipe_message(struct pw_pipe *pipe, int fd, uint64_t size,
    uint64_t header_len)
{
	if (!pipe->in_trans)
		return;
	pipe->fd = fd;
	pipe->mail_size = size;
	pipe->header_len = header_len;
	pw_script_message(pipe, size, header_len);
	set_fact(pipe, "message.size", 0,
	    &(struct pw_fact){ .type = PW_FACT_INT, .num = (int64_t)size });
	set_fact(pipe, "message.header_len", 0,
	    &(struct pw_fact){ .type = PW_FACT_INT,
		.num = (int64_t)header_len });
}

const struct pw_msgview *
pw_pipe_view(struct pw_pipe *pipe, const char **why)
{
	struct pw_bytes all;

	*why = NULL;
	if (pipe->viewed)
		return &pipe->view;
	if (!pw_mapped_is_sealed(pipe->fd))
		*why = "too large for the role front";
	else if (pw_mapped_open(&pipe->map, pipe->fd) < 0)
		*why = "the message could not be mapped";
	if (*why != NULL)
		return NULL;
	all = pw_bytes(pipe->map.base != NULL ? pipe->map.base : "",
	    pipe->map.len);
	if (pw_msgview_init(&pipe->view, all, pipe->trans.pool) < 0) {
		pw_mapped_close(&pipe->map);
		*why = "memory bound";
		return NULL;
	}
	pipe->viewed = true;
	return &pipe->view;
}

static void
add_slots(struct pw_pipe *pipe, enum pw_phase phase)
{
	const struct pw_registry *reg = pipe->p->reg;
	uint64_t mask = reg->listener[pipe->info.listener];
	struct pw_side *side = phase >= PW_PHASE_MAIL ? &pipe->trans :
	    &pipe->session;

	for (size_t i = 0; i < reg->n; i++)
		if ((mask >> i & 1) != 0 &&
		    (reg->v[i].desc->phases & PW_PHASE_BIT(phase)) != 0)
			pw_slot_add(pipe, side, i, phase);
}

/* The order of giving up: dear stages at half of the time for the end of data,
 * normal ones at 60, the rest at 70 per cent, which leaves time to store. */
static void
on_budget(struct pw_timer *t)
{
	struct pw_pipe *pipe = (struct pw_pipe *)(void *)((char *)t -
	    offsetof(struct pw_pipe, budget));
	static const uint8_t cost[] = { PW_COST_DEAR, PW_COST_NORMAL,
		PW_COST_CHEAP };

	if (pipe->given_up >= PW_COUNT(cost))
		return;
	pw_pipe_give_up(pipe, cost[pipe->given_up++],
	    "no time left for this message");
	if (pipe->given_up < PW_COUNT(cost))
		pw_timer_set(pipe->p->loop, t,
		    pipe->p->cfg->smtp.end_timeout / 10, on_budget);
	pw_pipe_wake(pipe);
}

enum pw_rc
pw_pipe_phase(struct pw_pipe *pipe, enum pw_phase phase, pw_pipe_cb cb,
    void *arg)
{
	PW_ASSERT(pipe->cb == NULL);
	if (phase >= PW_PHASE_MAIL && !pipe->in_trans)
		return PW_OK;
	pipe->phase = (uint8_t)phase;
	pw_script_phase(pipe, phase);
	if (phase == PW_PHASE_BODY) {
		add_slots(pipe, PW_PHASE_HEADER);
		add_slots(pipe, PW_PHASE_BODY);
		add_slots(pipe, PW_PHASE_END);
	} else {
		add_slots(pipe, phase);
	}
	pw_pipe_step(pipe);
	if (pw_pipe_settled(pipe, phase))
		return PW_OK;
	pipe->cb = cb;
	pipe->arg = arg;
	if (phase == PW_PHASE_BODY)
		pw_timer_set(pipe->p->loop, &pipe->budget,
		    pipe->p->cfg->smtp.end_timeout / 2, on_budget);
	return PW_AGAIN;
}
