/* SPDX-License-Identifier: ISC */
/*
 * Verdicts for all recipients: their list entries out of the snapshot of the
 * accounts that the transaction holds, the policy's word on each mailbox, and
 * one outcome.
 */
#include "smtp/verdict.h"

#include "storage/decision.h"

#define SENDERS_MAX 17u /* the envelope's, and those in From */

struct asking {
	struct pw_session *s;
	struct pw_bytes sender[SENDERS_MAX];
	size_t nsender;
};

static void
init(struct asking *a, struct pw_session *s, bool whole)
{
	const char *from[SENDERS_MAX - 1];
	size_t n = whole ? pw_pipe_from(s->pipe, from, PW_COUNT(from)) : 0;

	a->s = s;
	a->nsender = 0;
	if (s->tx->from.text.len > 0)
		a->sender[a->nsender++] = s->tx->from.text;
	for (size_t i = 0; i < n; i++)
		a->sender[a->nsender++] = pw_bytes_of(from[i]);
}

/* The entries that fit, in OUT. */
static size_t
entries(struct asking *a, struct pw_bytes mailbox,
    struct pw_list_entry out[PW_LIST_HITS])
{
	const struct pw_list_query q = { .mailbox = mailbox,
		.sender = a->sender, .nsender = a->nsender,
		.client = a->s->peer, .now_us = a->s->tx->time_us };

	return pw_snapshot_lists(a->s->tx->snapshot, &q, out);
}

/* ---- early ---------------------------------------------------------------------- */

/* One recipient may lead to several mailboxes; only when they all would be
 * refused by a block entry there is no need to look at the message. */
void
pw_verdict_early(struct pw_session *s, const struct pw_rcpt *r,
    struct pw_early *out)
{
	struct pw_list_entry entry[PW_LIST_HITS];
	struct pw_early_lists lists = { .entry = entry };
	struct asking a;

	init(&a, s, false);
	for (size_t i = 0; i < r->ndest; i++) {
		struct pw_bytes mailbox = r->dest[i].mailbox;

		lists.n = entries(&a, mailbox, entry);
		lists.may_allow = pw_snapshot_may_allow(s->tx->snapshot,
		    mailbox);
		pw_pipe_early(s->pipe, PW_PHASE_RCPT, &lists, out);
		if (out->reply == NULL)
			return;
	}
}

/* ---- all ------------------------------------------------------------------------ */

static int
judge_one(struct asking *a, const struct pw_rcpt *r, struct pw_bytes mailbox,
    struct pw_fate *fate)
{
	struct pw_pool *pool = a->s->tx->pool;
	struct pw_list_entry found[PW_LIST_HITS];
	struct pw_pipe_rcpt rcpt = { .rcpt = r->number,
		.mailbox = pw_pool_cstr(pool, mailbox),
		.nentry = entries(a, mailbox, found) };
	const struct pw_pipe_verdict *v;

	if (rcpt.nentry > 0) {
		struct pw_list_entry *kept = pw_pool_array(pool, rcpt.nentry,
		    sizeof(*kept));

		if (kept == NULL)
			return -1;
		memcpy(kept, found, rcpt.nentry * sizeof(*kept));
		rcpt.entry = kept;
	}
	if (rcpt.mailbox == NULL)
		return -1;
	v = pw_pipe_verdict(a->s->pipe, &rcpt);
	*fate = (struct pw_fate){ .verdict = v->action, .action = v->action,
		.reply = v->reply, .step = v->step, .score = v->score,
		.entry = rcpt.entry, .nentry = rcpt.nentry };
	return 0;
}

/* All mailboxes in one array, in the order of recipients. */
static struct pw_fate *
judge_all(struct pw_session *s, size_t *n)
{
	struct pw_tx *tx = s->tx;
	struct pw_fate *fate;
	struct asking a;
	size_t at = 0;

	*n = 0;
	for (size_t i = 0; i < tx->nrcpt; i++)
		*n += tx->rcpt[i].accepted ? tx->rcpt[i].ndest : 0;
	fate = pw_pool_array(tx->pool, *n + 1, sizeof(*fate));
	if (fate == NULL)
		return NULL;
	init(&a, s, true);
	for (size_t i = 0; i < tx->nrcpt; i++) {
		struct pw_rcpt *r = &tx->rcpt[i];

		if (!r->accepted)
			continue;
		r->fate = &fate[at];
		for (size_t k = 0; k < r->ndest; k++)
			if (judge_one(&a, r, r->dest[k].mailbox,
				&fate[at++]) != 0)
				return NULL;
	}
	return fate;
}

/* One reply for N mailboxes; V and A are room for as many numbers. */
static enum pw_settled
settle(struct pw_pool *pool, struct pw_fate *f, size_t n, uint8_t *v,
    uint8_t *a, const struct pw_fate **by)
{
	enum pw_settled end;
	size_t at;

	for (size_t i = 0; i < n; i++)
		v[i] = f[i].verdict;
	end = pw_settle(v, a, n, &at);
	*by = &f[at];
	for (size_t i = 0; i < n; i++) {
		f[i].action = a[i];
		if (a[i] == v[i])
			continue;
		/* Most of them were told the same. */
		if (i > 0 && f[i].reply == f[i - 1].reply && v[i] == v[i - 1])
			f[i].step = f[i - 1].step;
		else
			f[i].step = pw_pool_printf(pool, "%s: %s%s",
			    pw_action_name(v[i]), f[i].step,
			    pw_settle_why(v[i], a[i]));
		if (f[i].step == NULL)
			f[i].step = "";
	}
	return end;
}

const char *
pw_verdict_reply(struct pw_session *s, enum pw_settled end,
    const struct pw_fate *by)
{
	int first = end == PW_SETTLED_DEFER ? '4' : '5';
	struct pw_bytes text;
	const char *out = NULL;

	if (pw_reply_check(pw_peer(pw_bytes_of(by->reply)), first, &text) == 0)
		out = pw_pool_cstr(s->tx->pool, text);
	return out != NULL ? out : pw_reply_text(first == '4' ?
	    PW_R_DATA_LATER : PW_R_DATA_REFUSED);
}

/* Each recipient settles its own mailboxes and has its own reply. */
static enum pw_settled
settle_each(struct pw_session *s, uint8_t *v, uint8_t *a,
    const struct pw_fate **by)
{
	struct pw_tx *tx = s->tx;
	enum pw_settled one[PW_PRDR_MAX], end;
	const struct pw_fate *decided[PW_PRDR_MAX];
	size_t n = 0, at;

	for (size_t i = 0; i < tx->nrcpt; i++) {
		struct pw_rcpt *r = &tx->rcpt[i];

		if (!r->accepted)
			continue;
		one[n] = settle(tx->pool, r->fate, r->ndest, v, a,
		    &decided[n]);
		r->settled = (uint8_t)one[n];
		r->end = one[n] == PW_SETTLED_ACCEPT ?
		    pw_reply_text(PW_R_PRDR_OK) :
		    pw_verdict_reply(s, one[n], decided[n]);
		n++;
	}
	end = pw_settle_prdr(one, n, &at);
	*by = decided[at];
	return end;
}

int
pw_verdict_all(struct pw_session *s, enum pw_settled *end,
    const struct pw_fate **by)
{
	struct pw_tx *tx = s->tx;
	size_t n;
	struct pw_fate *fate = judge_all(s, &n);
	uint8_t *v = pw_pool_array(tx->pool, n + 1, 1);
	uint8_t *a = pw_pool_array(tx->pool, n + 1, 1);

	if (fate == NULL || v == NULL || a == NULL)
		return -1;
	tx->prdr = tx->param.prdr && tx->naccepted > 1 &&
	    tx->naccepted <= PW_PRDR_MAX;
	*end = tx->prdr ? settle_each(s, v, a, by) :
	    settle(tx->pool, fate, n, v, a, by);
	return 0;
}
