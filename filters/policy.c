/* SPDX-License-Identifier: ISC */
/*
 * The written order in which a message's fate is decided for one recipient; the
 * first step that applies wins:
 *
 *   1. a scan process died of this message for the first time: defer, so that
 *      the sender tries again while the message is looked at;
 *   2. malware: policy.malware.  A stage that looks for it and could not run:
 *      that stage's rule, if it is tempfail or hold;
 *   3. a message that cannot be filed soundly (more forged fields in our name
 *      than can be taken out): refuse;
 *   4. an allow entry, of the recipient, then of its domain, then of all:
 *      deliver.  One by network always counts; one by address or domain only
 *      where that domain, or one below it, authenticated;
 *   5. a block entry, in the same order: its action;
 *   6. evidence: symbols that ask for an action by themselves (policy.actions,
 *      policy.spf-fail, -permerror, -temperror, policy.null-mx), stages that
 *      could not run, and the score; of these refuse (asked), defer, refuse
 *      (score), refuse-keep, discard, hold, junk, in this order;
 *   7. deliver.
 *
 * The score is the sum of the weights of all evidence that is not in shadow,
 * and not on another recipient.
 */
#include "filters/policy.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/valid.h"
#include "filters/weights.h"

static const char *const names[PW_VERDICT_COUNT] = { "deliver", "junk", "hold",
	"refuse-keep", "refuse", "defer", "discard" };

const char *
pw_verdict_name(uint8_t action)
{
	return names[action < PW_COUNT(names) ? action : 0];
}

/* What the client is told where a symbol asks for refuse, refuse-keep or defer
 * (RFC 7208 sections 8.6 and 8.7, RFC 7372 section 3.2). */
static const struct {
	const char *symbol, *reply;
} replies[] = {
	{ "NULL_MX", "550 5.7.27 the sender's domain accepts no mail "
	    "(RFC 7505)" },
	{ "SPF_FAIL", "550 5.7.23 SPF validation failed" },
	{ "SPF_PERMERROR", "550 5.7.24 the sender's SPF record is wrong" },
	{ "SPF_TEMPERROR", "451 4.7.24 SPF could not be checked now; try "
	    "again" },
	{ "DMARC_FAIL_REJECT", "550 5.7.1 the domain in From asks for refusal "
	    "(DMARC)" },
	{ "DMARC_REFUSE", "550 5.7.26 DMARC validation failed; the policy of "
	    "the author's domain is reject" },
	{ "AUTHRES_FLOOD", "554 5.6.0 too many Authentication-Results fields "
	    "in our name" },
};
#define REFUSED "550 5.7.1 the message was refused by policy"
#define DEFERRED "451 4.7.1 the message was deferred by policy; try again later"

static bool
counts(const struct pw_policy_in *in, const struct pw_pipe_evidence *e)
{
	return !e->shadow && (e->rcpt == 0 || e->rcpt == in->rcpt);
}

static const struct pw_pipe_evidence *
asking(const struct pw_policy_in *in, uint8_t action)
{
	for (size_t i = 0; i < in->nevidence; i++)
		if (in->evidence[i].asks == action + 1 &&
		    counts(in, &in->evidence[i]))
			return &in->evidence[i];
	return NULL;
}

/* The default reply of an action, or the symbol's own. */
static const char *
reply_of(uint8_t action, const char *symbol)
{
	char first = action == PW_VERDICT_DEFER ? '4' : '5';

	if (action != PW_VERDICT_REFUSE && action != PW_VERDICT_REFUSE_KEEP &&
	    action != PW_VERDICT_DEFER)
		return "";
	for (size_t i = 0; i < PW_COUNT(replies); i++)
		if (replies[i].reply[0] == first &&
		    strcmp(replies[i].symbol, symbol) == 0)
			return replies[i].reply;
	return first == '4' ? DEFERRED : REFUSED;
}

static bool set(struct pw_verdict *v, uint8_t action, const char *reply,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Always true: the step applied. */
static bool
set(struct pw_verdict *v, uint8_t action, const char *reply, const char *fmt,
    ...)
{
	va_list ap;

	v->action = action;
	(void)snprintf(v->reply, sizeof(v->reply), "%s", reply);
	va_start(ap, fmt);
	(void)vsnprintf(v->step, sizeof(v->step), fmt, ap);
	va_end(ap);
	return true;
}

static void add_step(struct pw_verdict *v, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
add_step(struct pw_verdict *v, const char *fmt, ...)
{
	size_t n = strlen(v->step);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(v->step + n, sizeof(v->step) - n, fmt, ap);
	va_end(ap);
}

/* ---- evidence --------------------------------------------------------------- */

/* The sender's own words behind the reply to an SPF fail, where the stage was
 * told to fetch them; they are a stranger's, so only plain text. */
static void
explain(const struct pw_policy_in *in, struct pw_verdict *v)
{
	size_t len = strlen(v->reply);
	struct pw_bytes text;

	for (size_t i = 0; len > 0 && i < in->nevidence; i++) {
		const struct pw_pipe_evidence *e = &in->evidence[i];

		if (counts(in, e) &&
		    strcmp(e->symbol, "SPF_EXPLANATION") == 0 &&
		    pw_valid_text(pw_peer(e->text), sizeof(v->reply) - len - 3,
		    &text) == 0) {
			(void)snprintf(v->reply + len, sizeof(v->reply) - len,
			    "; %.*s", (int)text.len, text.ptr);
			return;
		}
	}
}

static bool
by_symbol(const struct pw_policy_in *in, uint8_t action, struct pw_verdict *v)
{
	const struct pw_pipe_evidence *e = asking(in, action);

	if (e == NULL)
		return false;
	set(v, action, reply_of(action, e->symbol), "%s", "");
	if (strcmp(e->symbol, "NULL_MX") == 0)
		add_step(v, "the sender's domain has a null MX");
	else if (strcmp(e->symbol, "SPF_FAIL") == 0)
		add_step(v, "SPF fail, and policy.spf-fail is %s",
		    pw_verdict_name(action));
	else if (strcmp(e->symbol, "SPF_PERMERROR") == 0)
		add_step(v, "SPF permerror, and policy.spf-permerror is %s",
		    pw_verdict_name(action));
	else if (strcmp(e->symbol, "SPF_TEMPERROR") == 0)
		add_step(v, "SPF temperror, and policy.spf-temperror is %s",
		    pw_verdict_name(action));
	else
		add_step(v, "%s asks for %s by itself (policy.actions)",
		    e->symbol, pw_verdict_name(action));
	if (strcmp(e->symbol, "SPF_FAIL") == 0)
		explain(in, v);
	return true;
}

/* A stage that could not run and whose rule is RULE. */
static bool
by_failure(const struct pw_policy_in *in, bool malware, uint8_t rule,
    struct pw_verdict *v)
{
	for (size_t i = 0; i < in->nrun; i++) {
		const struct pw_policy_run *r = &in->run[i];

		if (r->outcome != 3 || r->shadow || r->on_error != rule ||
		    (malware && !r->malware))
			continue;
		return set(v, rule == PW_ERR_TEMPFAIL ? PW_VERDICT_DEFER :
		    PW_VERDICT_HOLD, rule == PW_ERR_TEMPFAIL ?
		    "451 4.7.1 a check could not be made; try again later" : "",
		    "stage %s could not run (%s), and its rule is %s",
		    r->stage, r->reason,
		    rule == PW_ERR_TEMPFAIL ? "tempfail" : "hold");
	}
	return false;
}

static bool
by_score(const struct pw_policy_in *in, uint8_t action, int64_t hundredths,
    struct pw_verdict *v)
{
	if (hundredths <= 0 || v->score * 100 < (double)hundredths - 1e-6)
		return false;
	return set(v, action, reply_of(action, ""),
	    "score %.2f reaches %s-score %.2f of %s", v->score,
	    pw_verdict_name(action), (double)hundredths / 100,
	    in->limit.of != NULL ? in->limit.of : "policy");
}

/* Steps 6 and 7. */
static void
by_evidence(const struct pw_policy_in *in, struct pw_verdict *v)
{
	const struct pw_threshold *l = &in->limit;

	if (by_symbol(in, PW_VERDICT_REFUSE, v) ||
	    by_symbol(in, PW_VERDICT_DEFER, v) ||
	    by_failure(in, false, PW_ERR_TEMPFAIL, v) ||
	    by_score(in, PW_VERDICT_REFUSE, l->refuse, v) ||
	    by_symbol(in, PW_VERDICT_REFUSE_KEEP, v) ||
	    by_score(in, PW_VERDICT_REFUSE_KEEP, l->keep, v) ||
	    by_symbol(in, PW_VERDICT_DISCARD, v) ||
	    by_failure(in, false, PW_ERR_HOLD, v) ||
	    by_symbol(in, PW_VERDICT_HOLD, v) ||
	    by_score(in, PW_VERDICT_HOLD, l->hold, v) ||
	    by_symbol(in, PW_VERDICT_JUNK, v) ||
	    by_score(in, PW_VERDICT_JUNK, l->junk, v))
		return;
	set(v, PW_VERDICT_DELIVER, "", "no rule and no threshold spoke against "
	    "it");
}

/* ---- lists -------------------------------------------------------------------- */

/* The domain of NAME, or one below it, authenticated. */
static const char *
authenticated(const struct pw_policy_in *in, const char *name)
{
	const char *at = strrchr(name, '@');
	struct pw_bytes want = pw_bytes_of(at != NULL ? at + 1 : name);

	for (size_t i = 0; i < in->nauth; i++) {
		struct pw_bytes a = pw_bytes_of(in->auth[i]);
		size_t more = a.len - want.len;

		if (want.len == 0 || a.len < want.len ||
		    (more > 0 && a.ptr[more - 1] != '.'))
			continue;
		if (pw_bytes_caseeq(pw_bytes_sub(a, more, a.len), want))
			return in->auth[i];
	}
	return NULL;
}

static bool
is_good(const struct pw_policy_in *in, const struct pw_list_entry *e)
{
	return e->what == PW_LIST_NETWORK ||
	    authenticated(in, e->pattern) != NULL;
}

/* The first entry of KIND in the order of scopes; GOOD: only one that counts. */
static const struct pw_list_entry *
entry_of(const struct pw_policy_in *in, uint8_t kind, bool good)
{
	for (uint8_t scope = 0; scope <= PW_LIST_FOR_ALL; scope++)
		for (size_t i = 0; i < in->nentry; i++) {
			const struct pw_list_entry *e = &in->entry[i];

			if (e->kind == kind && e->scope == scope &&
			    (!good || is_good(in, e)))
				return e;
		}
	return NULL;
}

static void
name_entry(struct pw_verdict *v, const struct pw_list_entry *e)
{
	static const char *const scope[] = { "of the recipient",
		"of the recipient's domain", "for all" };

	add_step(v, "%s entry %lld %s (%.80s)",
	    e->kind == PW_LIST_ALLOW ? "allow" : "block", (long long)e->id,
	    scope[e->scope <= PW_LIST_FOR_ALL ? e->scope : PW_LIST_FOR_ALL],
	    e->pattern);
	if (e->comment != NULL && e->comment[0] != '\0')
		add_step(v, ", \"%.60s\"", e->comment);
}

/* Step 4. */
static bool
by_allow(const struct pw_policy_in *in, struct pw_verdict *v)
{
	const struct pw_list_entry *e = entry_of(in, PW_LIST_ALLOW, true);
	struct pw_verdict other = { .score = v->score };

	if (e == NULL)
		return false;
	by_evidence(in, &other);
	set(v, PW_VERDICT_DELIVER, "", "%s", "");
	name_entry(v, e);
	if (e->what != PW_LIST_NETWORK)
		add_step(v, "; %.80s authenticated",
		    authenticated(in, e->pattern));
	e = entry_of(in, PW_LIST_BLOCK, false);
	if (e != NULL) {
		add_step(v, "; it goes before ");
		name_entry(v, e);
	} else if (other.action != PW_VERDICT_DELIVER) {
		add_step(v, "; without it: %s, %.120s",
		    pw_verdict_name(other.action), other.step);
	}
	return true;
}

/* Step 5. */
static bool
by_block(const struct pw_policy_in *in, struct pw_verdict *v)
{
	const struct pw_list_entry *e = entry_of(in, PW_LIST_BLOCK, false);
	const char *reply;

	if (e == NULL)
		return false;
	reply = reply_of(e->action, "");
	if (strcmp(reply, REFUSED) == 0)
		reply = "550 5.7.1 the sender is blocked here";
	set(v, e->action < PW_VERDICT_COUNT ? e->action : PW_VERDICT_REFUSE,
	    reply, "%s", "");
	name_entry(v, e);
	add_step(v, ": %s", pw_verdict_name(v->action));
	return true;
}

/* ---- the order ------------------------------------------------------------------ */

/* Step 2. */
static bool
by_malware(const struct pw_policy_in *in, struct pw_verdict *v)
{
	uint8_t action = (uint8_t)(PW_VERDICT_JUNK + in->cfg->policy.malware);

	for (size_t i = 0; i < in->nevidence; i++) {
		const struct pw_pipe_evidence *e = &in->evidence[i];

		if (!e->malware || !counts(in, e))
			continue;
		return set(v, action, action == PW_VERDICT_REFUSE ||
		    action == PW_VERDICT_REFUSE_KEEP ?
		    "554 5.7.1 the message carries malware" : "",
		    "malware: %s (%.*s); policy.malware is %s", e->symbol,
		    (int)(e->text.len < 120 ? e->text.len : 120),
		    e->text.len > 0 ? e->text.ptr : "",
		    pw_verdict_name(action));
	}
	return by_failure(in, true, PW_ERR_TEMPFAIL, v) ||
	    by_failure(in, true, PW_ERR_HOLD, v);
}

/* Step 3. */
static bool
by_form(const struct pw_policy_in *in, struct pw_verdict *v)
{
	for (size_t i = 0; i < in->nevidence; i++)
		if (strcmp(in->evidence[i].symbol, "AUTHRES_FLOOD") == 0 &&
		    counts(in, &in->evidence[i]))
			return set(v, PW_VERDICT_REFUSE, reply_of(
			    PW_VERDICT_REFUSE, "AUTHRES_FLOOD"), "more forged "
			    "Authentication-Results fields than can be taken "
			    "out");
	return false;
}

/* What became of an allow entry that did not decide. */
static void
note_allow(const struct pw_policy_in *in, bool above, struct pw_verdict *v)
{
	const struct pw_list_entry *e = entry_of(in, PW_LIST_ALLOW, above);

	if (e == NULL)
		return;
	add_step(v, "; ");
	name_entry(v, e);
	add_step(v, above ? " does not help against that" :
	    " does not count: the domain did not authenticate");
}

void
pw_policy_decide(const struct pw_policy_in *in, struct pw_verdict *v)
{
	*v = (struct pw_verdict){ 0 };
	for (size_t i = 0; i < in->nevidence; i++)
		if (counts(in, &in->evidence[i]))
			v->score += in->evidence[i].weight;
	if (in->crashed_first)
		set(v, PW_VERDICT_DEFER,
		    "451 4.7.1 the message could not be checked; try again",
		    "a scan process ended while it read this message");
	else if (by_malware(in, v) || by_form(in, v))
		note_allow(in, true, v);
	else if (!by_allow(in, v)) {
		if (!by_block(in, v))
			by_evidence(in, v);
		note_allow(in, false, v);
	}
}

/* ---- before the message ------------------------------------------------------------ */

bool
pw_policy_early(const struct pw_policy_in *in, bool may_allow,
    struct pw_verdict *v)
{
	*v = (struct pw_verdict){ 0 };
	if (may_allow || entry_of(in, PW_LIST_ALLOW, false) != NULL)
		return false;
	if (by_block(in, v))
		return v->action == PW_VERDICT_REFUSE ||
		    v->action == PW_VERDICT_DEFER;
	return by_symbol(in, PW_VERDICT_REFUSE, v) ||
	    by_symbol(in, PW_VERDICT_DEFER, v);
}

bool
pw_policy_awaits(const struct pw_weights *w, enum pw_phase phase,
    const struct pw_stage *stage)
{
	if (phase != PW_PHASE_RCPT)
		return false;
	for (const struct pw_symbol *s = stage->symbols;
	    s != NULL && s->name != NULL; s++) {
		const struct pw_weight *row = pw_weights_get(w, stage->name,
		    s->name);

		if (row != NULL && !row->shadow &&
		    (row->asks == PW_VERDICT_REFUSE + 1 ||
		    row->asks == PW_VERDICT_DEFER + 1))
			return true;
	}
	return false;
}
