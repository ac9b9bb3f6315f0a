/* SPDX-License-Identifier: ISC */
/*
 * The written order in which a message's fate is decided; the first step that
 * applies wins:
 *
 *   1. a scan process died of this message for the first time: 451, so that
 *      the sender tries again while the message is looked at;
 *   2. a rule that refuses by itself: null MX, SPF fail, permerror or (for
 *      now: 451) temperror (where configured), DMARC fail under p=reject (where
 *      configured), more forged
 *      Authentication-Results fields than can be taken out;
 *   3. a stage could not run and its rule is tempfail: 451;
 *   4. the score reaches policy.refuse-score;
 *   5. a stage could not run and its rule is hold; SPF fail where configured
 *      so; DMARC fail under p=reject; the score reaches policy.hold-score: kept
 *      for review;
 *   6. SPF fail where configured so; DMARC fail under p=quarantine; the score
 *      reaches policy.junk-score: the Junk folder;
 *   7. delivered.
 *
 * The score is the sum of weights of all evidence that is not in shadow.
 */
#include "filters/policy.h"

#include <stdio.h>

#include "base/valid.h"

/* What policy.spf-fail may say, in the order of options.def. */
enum { SPF_INFORM = 0, SPF_JUNK, SPF_HOLD, SPF_REFUSE };
enum { NULL_MX_INFORM = 0, NULL_MX_REFUSE };
enum { SPF_PERMERROR_INFORM = 0, SPF_PERMERROR_REFUSE };
enum { SPF_TEMPERROR_INFORM = 0, SPF_TEMPERROR_DEFER };

struct refusal {
	const char *symbol;
	const char *reply, *step;
	bool early; /* may refuse at RCPT already */
};

static const struct refusal refusals[] = {
	{ "NULL_MX", "550 5.7.27 the sender's domain accepts no mail "
	    "(RFC 7505)", "the sender's domain has a null MX", true },
	{ "SPF_FAIL", "550 5.7.23 SPF validation failed",
	    "SPF fail, and policy.spf-fail is refuse", true },
	/* RFC 7208 sections 8.6 and 8.7, RFC 7372 section 3.2. */
	{ "SPF_PERMERROR", "550 5.7.24 the sender's SPF record is wrong",
	    "SPF permerror, and policy.spf-permerror is refuse", true },
	{ "SPF_TEMPERROR", "451 4.7.24 SPF could not be checked now; try "
	    "again", "SPF temperror, and policy.spf-temperror is defer", true },
	{ "AUTHRES_FLOOD", "554 5.6.0 too many Authentication-Results fields "
	    "in our name", "more forged Authentication-Results fields than "
	    "can be taken out", false },
	{ "DMARC_REFUSE", "550 5.7.26 DMARC validation failed; the policy of "
	    "the author's domain is reject", "DMARC fail with p=reject, and "
	    "the option refuse of stage dmarc is set", false },
};

static bool
is_active(const struct pw_config *cfg, const struct refusal *r)
{
	if (strcmp(r->symbol, "NULL_MX") == 0)
		return cfg->policy.null_mx == NULL_MX_REFUSE;
	if (strcmp(r->symbol, "SPF_FAIL") == 0)
		return cfg->policy.spf_fail == SPF_REFUSE;
	if (strcmp(r->symbol, "SPF_PERMERROR") == 0)
		return cfg->policy.spf_permerror == SPF_PERMERROR_REFUSE;
	if (strcmp(r->symbol, "SPF_TEMPERROR") == 0)
		return cfg->policy.spf_temperror == SPF_TEMPERROR_DEFER;
	return true;
}

static bool
has(const struct pw_pipe_evidence *e, size_t n, const char *symbol)
{
	for (size_t i = 0; i < n; i++)
		if (!e[i].shadow && strcmp(e[i].symbol, symbol) == 0)
			return true;
	return false;
}

static void
set(struct pw_verdict *v, enum pw_verdict_action action, const char *reply,
    const char *step)
{
	v->action = (uint8_t)action;
	snprintf(v->reply, sizeof(v->reply), "%s", reply);
	snprintf(v->step, sizeof(v->step), "%s", step);
}

/* The sender's own words behind the reply to an SPF fail, where the stage was
 * told to fetch them; they are a stranger's, so only plain text. */
static void
explain(struct pw_verdict *v, const struct pw_pipe_evidence *e, size_t n)
{
	struct pw_bytes text;
	size_t len = strlen(v->reply);

	for (size_t i = 0; i < n; i++)
		if (!e[i].shadow &&
		    strcmp(e[i].symbol, "SPF_EXPLANATION") == 0 &&
		    pw_valid_text(pw_peer(e[i].text), sizeof(v->reply) - len -
		    3, &text) == 0) {
			snprintf(v->reply + len, sizeof(v->reply) - len,
			    "; %.*s", (int)text.len, text.ptr);
			return;
		}
}

static bool
refuse_by_rule(const struct pw_config *cfg, const struct pw_pipe_evidence *e,
    size_t n, bool early, struct pw_verdict *out)
{
	for (size_t i = 0; i < PW_COUNT(refusals); i++) {
		const struct refusal *r = &refusals[i];

		if ((early && !r->early) || !is_active(cfg, r) ||
		    !has(e, n, r->symbol))
			continue;
		set(out, r->reply[0] == '4' ? PW_VERDICT_DEFER :
		    PW_VERDICT_REFUSE, r->reply, r->step);
		if (strcmp(r->symbol, "SPF_FAIL") == 0)
			explain(out, e, n);
		return true;
	}
	return false;
}

bool
pw_policy_early(const struct pw_config *cfg, enum pw_phase phase,
    const struct pw_pipe_evidence *e, size_t n, struct pw_verdict *out)
{
	*out = (struct pw_verdict){ 0 };
	if (phase != PW_PHASE_MAIL && phase != PW_PHASE_RCPT)
		return false;
	return refuse_by_rule(cfg, e, n, true, out);
}

bool
pw_policy_awaits(const struct pw_config *cfg, enum pw_phase phase,
    const struct pw_stage *stage)
{
	if (phase != PW_PHASE_RCPT)
		return false;
	for (size_t i = 0; i < PW_COUNT(refusals); i++)
		if (refusals[i].early && is_active(cfg, &refusals[i]) &&
		    pw_stage_symbol(stage, refusals[i].symbol) != NULL)
			return true;
	return false;
}

/* The first stage that could not run and whose rule is RULE. */
static const struct pw_policy_run *
failed_with(const struct pw_policy_in *in, uint8_t rule)
{
	for (size_t i = 0; i < in->nrun; i++)
		if (in->run[i].outcome == 3 && !in->run[i].shadow &&
		    in->run[i].on_error == rule)
			return &in->run[i];
	return NULL;
}

static bool
reaches(double score, int64_t hundredths)
{
	return hundredths > 0 && score * 100 >= (double)hundredths - 1e-6;
}

static void
set_failed(struct pw_verdict *v, enum pw_verdict_action action,
    const char *reply, const struct pw_policy_run *r)
{
	set(v, action, reply, "");
	snprintf(v->step, sizeof(v->step),
	    "stage %s could not run (%s), and its rule is %s", r->stage,
	    r->reason, action == PW_VERDICT_DEFER ? "tempfail" : "hold");
}

static void
set_score(struct pw_verdict *v, enum pw_verdict_action action,
    const char *reply, const char *option, int64_t hundredths)
{
	set(v, action, reply, "");
	snprintf(v->step, sizeof(v->step),
	    "score %.2f reaches policy.%s %.2f", v->score, option,
	    (double)hundredths / 100);
}

/* Steps 5 to 7. */
static void
decide_place(const struct pw_policy_in *in, struct pw_verdict *v)
{
	const struct pw_config_policy *p = &in->cfg->policy;
	const struct pw_policy_run *r = failed_with(in, PW_ERR_HOLD);
	bool spf = has(in->evidence, in->nevidence, "SPF_FAIL");

	if (r != NULL)
		set_failed(v, PW_VERDICT_HOLD, "", r);
	else if (spf && p->spf_fail == SPF_HOLD)
		set(v, PW_VERDICT_HOLD, "",
		    "SPF fail, and policy.spf-fail is hold");
	else if (has(in->evidence, in->nevidence, "DMARC_FAIL_REJECT"))
		set(v, PW_VERDICT_HOLD, "",
		    "DMARC fail, and the author's domain says reject");
	else if (reaches(v->score, p->hold_score))
		set_score(v, PW_VERDICT_HOLD, "", "hold-score", p->hold_score);
	else if (spf && p->spf_fail == SPF_JUNK)
		set(v, PW_VERDICT_JUNK, "",
		    "SPF fail, and policy.spf-fail is junk");
	else if (has(in->evidence, in->nevidence, "DMARC_FAIL_QUARANTINE"))
		set(v, PW_VERDICT_JUNK, "",
		    "DMARC fail, and the author's domain says quarantine");
	else if (reaches(v->score, p->junk_score))
		set_score(v, PW_VERDICT_JUNK, "", "junk-score", p->junk_score);
	else
		set(v, PW_VERDICT_DELIVER, "",
		    "no rule and no threshold spoke against it");
}

void
pw_policy_decide(const struct pw_policy_in *in, struct pw_verdict *v)
{
	const struct pw_policy_run *r = failed_with(in, PW_ERR_TEMPFAIL);

	*v = (struct pw_verdict){ 0 };
	for (size_t i = 0; i < in->nevidence; i++)
		if (!in->evidence[i].shadow)
			v->score += in->evidence[i].weight;
	v->error_note = failed_with(in, PW_ERR_TAG) != NULL;
	if (in->crashed_first)
		set(v, PW_VERDICT_DEFER,
		    "451 4.7.1 the message could not be checked; try again",
		    "a scan process ended while it read this message");
	else if (refuse_by_rule(in->cfg, in->evidence, in->nevidence, false,
	    v))
		return;
	else if (r != NULL)
		set_failed(v, PW_VERDICT_DEFER, "451 4.7.1 a check could not "
		    "be made; try again later", r);
	else if (reaches(v->score, in->cfg->policy.refuse_score))
		set_score(v, PW_VERDICT_REFUSE, "550 5.7.1 the message was "
		    "refused by policy", "refuse-score",
		    in->cfg->policy.refuse_score);
	else
		decide_place(in, v);
}
