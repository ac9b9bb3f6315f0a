/* SPDX-License-Identifier: ISC */
/*
 * The verdicts of one message, a recipient at a time, on the evidence that
 * pipe_result.c gathered.  Most recipients share theirs: it is made anew only
 * when thresholds, list entries or evidence on single recipients differ from
 * those of the one before.
 */
#include <stdio.h>

#include "filters/pipe_int.h"

#define AUTH_MAX 32u
#define FROM_FACT "structure.from"

struct pw_judging {
	struct pw_policy_in in; /* what all share */
	const char *auth[AUTH_MAX];
	bool single;            /* there is evidence on single recipients */
	const struct pw_pipe_verdict *last;
	struct pw_pipe_rcpt last_rcpt;
	struct pw_threshold last_limit;
};

static const struct pw_pipe_verdict no_memory = {
	.action = PW_VERDICT_DEFER,
	.reply = "451 4.3.1 the message is too complex to be judged now",
	.step = "the memory bound of one transaction was met" };

/* ---- who authenticated --------------------------------------------------------- */

static const struct pw_fact *
fact(const struct pw_pipe *pipe, const char *name, size_t i)
{
	const struct pw_fact *f = pw_facts_get(&pipe->trans.facts, name, i);

	return f != NULL && f->type == PW_FACT_TEXT ? f : NULL;
}

static bool
is_pass(const struct pw_pipe *pipe, const char *name)
{
	const struct pw_fact *f = fact(pipe, name, 0);

	return f != NULL && f->text.len == 4 &&
	    memcmp(f->text.ptr, "pass", 4) == 0;
}

static void
add_auth(struct pw_pipe *pipe, struct pw_judging *j, const char *name, size_t i)
{
	const struct pw_fact *f = fact(pipe, name, i);
	const char *s = f == NULL || f->text.len == 0 ||
	    j->in.nauth == AUTH_MAX ? NULL : pw_pool_cstr(pipe->trans.pool,
	    pw_bytes(f->text.ptr, f->text.len));

	if (s != NULL)
		j->auth[j->in.nauth++] = s;
}

/* Stages in shadow say nothing that counts. */
static bool
in_shadow(const struct pw_pipe *pipe, const char *stage)
{
	int i = pw_registry_find(pipe->p->reg, stage);

	return i >= 0 && pipe->p->reg->v[i].shadow;
}

static bool
anybody_passes_spf(const struct pw_policy_in *in)
{
	for (size_t i = 0; i < in->nevidence; i++)
		if (strcmp(in->evidence[i].symbol, "SPF_PASS_ALL") == 0)
			return true;
	return false;
}

/* The domains whose owner stands behind the message.  An SPF record that lets
 * everybody send proves nothing. */
static void
gather_auth(struct pw_pipe *pipe, struct pw_judging *j)
{
	if (!in_shadow(pipe, "spf") && !anybody_passes_spf(&j->in) &&
	    is_pass(pipe, "spf.mailfrom.result"))
		add_auth(pipe, j, "spf.mailfrom.domain", 0);
	/* Those of right signatures only. */
	for (size_t i = 0; !in_shadow(pipe, "dkim") && i < 8; i++)
		add_auth(pipe, j, "dkim.domain", i);
	if (!in_shadow(pipe, "dmarc") && is_pass(pipe, "dmarc.result"))
		add_auth(pipe, j, "dmarc.domain", 0);
	j->in.auth = j->auth;
}

size_t
pw_pipe_from(struct pw_pipe *pipe, const char **addr, size_t max)
{
	const struct pw_fact *f;
	size_t n = 0;

	while (pipe->in_trans && n < max &&
	    (f = fact(pipe, FROM_FACT, n)) != NULL &&
	    (addr[n] = pw_pool_cstr(pipe->trans.pool,
	    pw_bytes(f->text.ptr, f->text.len))) != NULL)
		n++;
	return n;
}

/* ---- one by one -------------------------------------------------------------------- */

bool
pw_pipe_judge(struct pw_pipe *pipe, const struct pw_policy_in *in)
{
	struct pw_judging *j = pw_pool_alloc(pipe->trans.pool, sizeof(*j));

	pipe->judging = j;
	if (j == NULL)
		return false;
	j->in = *in;
	for (size_t i = 0; i < in->nevidence; i++)
		j->single |= in->evidence[i].rcpt != 0;
	gather_auth(pipe, j);
	return true;
}

static bool
same_lists(const struct pw_pipe_rcpt *a, const struct pw_pipe_rcpt *b)
{
	if (a->nentry != b->nentry)
		return false;
	for (size_t i = 0; i < a->nentry; i++)
		if (a->entry[i].id != b->entry[i].id)
			return false;
	return true;
}

static bool
same_limit(const struct pw_threshold *a, const struct pw_threshold *b)
{
	return a->of == b->of && a->junk == b->junk && a->hold == b->hold &&
	    a->keep == b->keep && a->refuse == b->refuse;
}

static const struct pw_pipe_verdict *
keep(struct pw_pool *pool, const struct pw_verdict *v)
{
	struct pw_pipe_verdict *out = pw_pool_alloc(pool, sizeof(*out));

	if (out == NULL)
		return &no_memory;
	*out = (struct pw_pipe_verdict){ .action = v->action,
		.score = v->score,
		.reply = pw_pool_cstr(pool, pw_bytes_of(v->reply)),
		.step = pw_pool_cstr(pool, pw_bytes_of(v->step)) };
	return out->reply != NULL && out->step != NULL ? out : &no_memory;
}

const struct pw_pipe_verdict *
pw_pipe_verdict(struct pw_pipe *pipe, const struct pw_pipe_rcpt *rcpt)
{
	struct pw_judging *j = pipe->judging;
	struct pw_threshold limit;
	struct pw_policy_in in;
	struct pw_verdict v;

	if (j == NULL)
		return &no_memory;
	limit = pw_thresholds_get(pipe->p->thresholds, rcpt->mailbox);
	if (j->last != NULL && !j->single && same_lists(rcpt, &j->last_rcpt) &&
	    same_limit(&limit, &j->last_limit))
		return j->last;
	in = j->in;
	in.rcpt = rcpt->rcpt;
	in.limit = limit;
	in.entry = rcpt->entry;
	in.nentry = rcpt->nentry;
	pw_policy_decide(&in, &v);
	j->last = keep(pipe->trans.pool, &v);
	j->last_rcpt = *rcpt;
	j->last_limit = limit;
	return j->last;
}
