/* SPDX-License-Identifier: ISC */
/*
 * Stage dmarc: RFC 9989 for the author domain of a message, on what the stages
 * from, spf and dkim found.
 *
 * What the RFC leaves to the receiver:
 *  - no From field, or none with a domain: permerror;
 *  - several author domains (in one field or several): each is judged; the
 *    result is that of the worst, and fails count with the strictest policy;
 *  - several From fields never pass;
 *  - a failure of DNS is temperror, which is neither pass nor fail; so is it
 *    when spf or dkim could not run.
 *
 * That a run fails is in a sender's hands (a message's DNS answers are bounded),
 * so the rule for it is no milder than what a fail under reject leads to.
 */
#include "filters/dmarc/dmarc.h"

#include <stdio.h>
#include <stdlib.h>

#include "filters/eval.h"
#include "filters/registry.h"

static const char *const needs[] = { "spf.mailfrom.result",
	"spf.mailfrom.domain", "dkim.result", "dkim.domain",
	"dkim.signature.domain", "dkim.signature.result",
	"dkim.signature.tail", "from.fields", "from.domain?",
	"arc.trusted_pass?", "forwarder.known?", NULL };
static const char *const provides[] = { "dmarc.result", "dmarc.policy", "dmarc.domain",
	"dmarc.record", "dmarc.spf", "dmarc.dkim", NULL };
static const struct pw_symbol symbols[] = {
	{ "DMARC_PASS", -0.2, "the author's domain vouches for the message" },
	{ "DMARC_NONE", 0.0, "the author's domain has no DMARC policy" },
	{ "DMARC_FAIL_NONE", 0.3, "DMARC fail; the policy asks for nothing" },
	{ "DMARC_FAIL_QUARANTINE", 4.0, "DMARC fail; policy quarantine" },
	{ "DMARC_FAIL_REJECT", 6.0, "DMARC fail; policy reject" },
	{ "DMARC_FAIL_FORWARDED", 0.3,
	    "DMARC fail; it came by somebody whom we trust" },
	{ "DMARC_REFUSE", 0.0, "DMARC fail with reject, and refuse is set" },
	{ "DMARC_TESTING", 0.0, "the policy is in test mode: one step milder" },
	{ "DMARC_BAD_RECORD", 0.0, "a policy record that cannot be used whole" },
	{ "DMARC_TEMPERROR", 0.0, "DMARC could not be looked up now" },
	{ "DMARC_PERMERROR", 0.5, "DMARC cannot be applied to this From" },
	{ NULL, 0, NULL }
};
static const struct pw_stage_option options[] = {
	{ "organizational-domain", "tree-walk",
	    "tree-walk (RFC 9989) or psl (RFC 7489, the public suffix list)" },
	{ "psl-file", "", "public suffix list; empty: the system's" },
	{ "refuse", "false", "true: refuse what fails under p=reject" },
	{ "report-org", "", "our name in aggregate reports; empty: the domain "
	    "of accounts.postmaster" },
	{ "report-email", "", "contact in aggregate reports; empty: "
	    "accounts.postmaster" },
	{ NULL, NULL, NULL }
};

struct instance {
	struct pw_dmarc_psl *psl; /* NULL: tree walk */
	bool refuse;
};

/* ---- set-up ---------------------------------------------------------------------- */

static void
fini(void *instance)
{
	struct instance *in = instance;

	pw_dmarc_psl_free(&in->psl);
	free(in);
}

static int
init(const struct pw_host *host, const struct pw_stage_conf *conf,
    void **instance, char *err, size_t errlen)
{
	struct instance *in = pw_xcalloc(1, sizeof(*in));
	const char *mode = host->option(conf, "organizational-domain");
	bool psl = strcmp(mode, "psl") == 0, bad = false;
	const char *refuse;

	if (!psl && strcmp(mode, "tree-walk") != 0) {
		snprintf(err, errlen, "organizational-domain=%.40s; write "
		    "tree-walk or psl", mode);
		bad = true;
	}
	refuse = host->option(conf, "refuse");
	in->refuse = strcmp(refuse, "true") == 0;
	if (!bad && !in->refuse && strcmp(refuse, "false") != 0) {
		snprintf(err, errlen, "refuse=%.40s; write true or false",
		    refuse);
		bad = true;
	}
	if (!bad && psl)
		bad = pw_dmarc_psl_new(host->option(conf, "psl-file"),
		    &in->psl, err, errlen) < 0;
	if (bad) {
		fini(in);
		return -1;
	}
	*instance = in;
	return 0;
}

static void
say(struct pw_ctx *ctx, const char *name, size_t index, const char *text)
{
	struct pw_fact f = { .type = PW_FACT_TEXT,
		.text = { text, strlen(text) } };

	(void)pw_host_table()->provide(ctx, name, index, &f);
}

/* ---- what the others found ------------------------------------------------------- */

/* Value INDEX of a text fact, with a NUL behind it; NULL: there is none. */
static const char *
text_of(struct pw_ctx *ctx, const char *name, size_t index)
{
	const struct pw_host *h = pw_host_table();
	struct pw_fact f;
	char *s;

	if (h->fact(ctx, name, index, &f) < 0 || f.type != PW_FACT_TEXT ||
	    (s = h->alloc(ctx, f.text.len + 1)) == NULL)
		return NULL;
	if (f.text.len > 0)
		memcpy(s, f.text.ptr, f.text.len);
	return s;
}

static int64_t
number_of(struct pw_ctx *ctx, const char *name, size_t index)
{
	struct pw_fact f;

	return pw_host_table()->fact(ctx, name, index, &f) == 0 &&
	    f.type == PW_FACT_INT ? f.num : 0;
}

static void
add_ident(struct pw_ctx *ctx, struct pw_dmarc_request *req, const char *domain,
    bool dkim, bool pass)
{
	char *copy = pw_host_table()->alloc(ctx, PW_DNS_NAME_SIZE);

	if (copy == NULL || domain == NULL || req->n == PW_DMARC_IDENTS ||
	    pw_dmarc_domain(pw_bytes_of(domain), copy) < 0)
		return;
	req->ident[req->n++] = (struct pw_dmarc_ident){ copy, dkim, pass };
}

static void
read_idents(struct pw_ctx *ctx, struct pw_dmarc_request *req)
{
	const char *spf = text_of(ctx, "spf.mailfrom.result", 0), *d;

	*req = (struct pw_dmarc_request){ .from = NULL,
		.blind = text_of(ctx, "dkim.result", 0) == NULL };
	if (spf == NULL)
		add_ident(ctx, req, text_of(ctx, "mail.domain", 0), false,
		    false);
	else if (strcmp(spf, "pass") == 0)
		add_ident(ctx, req, text_of(ctx, "spf.mailfrom.domain", 0),
		    false, true);
	else if (strcmp(spf, "temperror") == 0)
		add_ident(ctx, req, text_of(ctx, "spf.mailfrom.domain", 0),
		    false, false);
	for (size_t i = 0; (d = text_of(ctx, "dkim.domain", i)) != NULL; i++)
		add_ident(ctx, req, d, true, true);
	for (size_t i = 0;
	    (d = text_of(ctx, "dkim.signature.result", i)) != NULL; i++)
		if (strcmp(d, "temperror") == 0)
			add_ident(ctx, req, text_of(ctx,
			    "dkim.signature.domain", i), true, false);
}

/* ---- what is said of it ---------------------------------------------------------------- */

struct judgement {
	struct pw_ctx *ctx;
	const struct instance *in;
	struct pw_dmarc_verdict v[PW_DMARC_AUTHORS];
	const char *from[PW_DMARC_AUTHORS];
	unsigned n, worst;
	bool forwarded, arc; /* vouched for by somebody whom the admin trusts */
};

/* The reason in one line: whose policy, what aligned, what nearly did. */
static void
describe(const struct judgement *j, const struct pw_dmarc_verdict *v,
    const char *from, char *out, size_t size)
{
	const char *signer;
	size_t n;

	n = (size_t)snprintf(out, size, "%.253s", from);
	if (v->has_policy)
		n += (size_t)snprintf(out + n, n < size ? size - n : 0,
		    ": policy %s of %.100s; SPF %s, DKIM %s",
		    pw_dmarc_policy_name(v->published), v->domain,
		    v->spf != NULL ? "aligned" : "not aligned",
		    v->dkim != NULL ? "aligned" : "not aligned");
	if (v->reason != NULL && n < size)
		n += (size_t)snprintf(out + n, size - n, ": %s", v->reason);
	for (size_t i = 0; n < size && (signer = text_of(j->ctx,
	    "dkim.signature.domain", i)) != NULL; i++) {
		int64_t tail = number_of(j->ctx, "dkim.signature.tail", i);

		if (tail > 0)
			n += (size_t)snprintf(out + n, size - n,
			    "; a signature of %.100s leaves %lld octets "
			    "unsigned", signer, (long long)tail);
	}
	if (j->arc && n < size)
		snprintf(out + n, size - n, "; arc=pass");
}

static const char *
symbol_of(const struct judgement *j, const struct pw_dmarc_verdict *v)
{
	static const char *const fails[] = { "DMARC_FAIL_NONE",
		"DMARC_FAIL_QUARANTINE", "DMARC_FAIL_REJECT" };
	static const char *const others[] = { "DMARC_NONE", "DMARC_PASS", NULL,
		"DMARC_TEMPERROR", "DMARC_PERMERROR" };

	if (v->result != PW_DMARC_FAIL)
		return others[v->result];
	if (j->forwarded && v->policy != PW_DMARC_P_NONE)
		return "DMARC_FAIL_FORWARDED";
	return fails[v->policy];
}

static void
write_result(const struct judgement *j, unsigned i)
{
	const struct pw_dmarc_verdict *v = &j->v[i];
	char props[400];

	if (v->has_policy)
		snprintf(props, sizeof(props),
		    "header.from=%s policy.dmarc=%s", j->from[i],
		    pw_dmarc_policy_name(v->policy));
	else
		snprintf(props, sizeof(props), "header.from=%s", j->from[i]);
	pw_host_table()->authres(j->ctx, "dmarc",
	    pw_dmarc_result_name(v->result), props, v->reason);
}

static void
write_evidence(const struct judgement *j)
{
	const struct pw_host *h = pw_host_table();
	const struct pw_dmarc_verdict *v = &j->v[j->worst];
	const char *symbol = symbol_of(j, v);
	char text[400];

	describe(j, v, j->from[j->worst], text, sizeof(text));
	h->evidence(j->ctx, symbol, 1, text);
	if (strcmp(symbol, "DMARC_FAIL_REJECT") == 0 && j->in->refuse)
		h->evidence(j->ctx, "DMARC_REFUSE", 1, v->domain);
	if (v->has_policy && v->record.testing)
		h->evidence(j->ctx, "DMARC_TESTING", 1, v->domain);
	if (v->has_policy && v->record.fault != NULL)
		h->evidence(j->ctx, "DMARC_BAD_RECORD", 1, v->record.fault);
	else if (v->result == PW_DMARC_NONE && v->reason != NULL)
		h->evidence(j->ctx, "DMARC_BAD_RECORD", 1, v->reason);
}

static void
write_facts(const struct judgement *j)
{
	const struct pw_dmarc_verdict *v = &j->v[j->worst];
	struct pw_fact record = { .type = PW_FACT_TEXT,
		.text = { v->text.ptr, v->text.len } };

	say(j->ctx, "dmarc.result", 0, pw_dmarc_result_name(v->result));
	if (!v->has_policy)
		return;
	say(j->ctx, "dmarc.policy", 0, pw_dmarc_policy_name(v->policy));
	say(j->ctx, "dmarc.domain", 0, v->domain);
	(void)pw_host_table()->provide(j->ctx, "dmarc.record", 0, &record);
	if (v->spf != NULL)
		say(j->ctx, "dmarc.spf", 0, v->spf);
	if (v->dkim != NULL)
		say(j->ctx, "dmarc.dkim", 0, v->dkim);
}

/* ---- the verdict ------------------------------------------------------------------ */

/* Greater is worse: a fail by its policy, then what is not known, none, pass. */
static int
badness(const struct pw_dmarc_verdict *v)
{
	static const int rank[] = { [PW_DMARC_PASS] = 0, [PW_DMARC_NONE] = 1,
		[PW_DMARC_PERMERROR] = 2, [PW_DMARC_TEMPERROR] = 3,
		[PW_DMARC_FAIL] = 4 };

	return rank[v->result] + (v->result == PW_DMARC_FAIL ?
	    (int)v->policy : 0);
}

static enum pw_run
without_author(struct pw_ctx *ctx)
{
	const struct pw_host *h = pw_host_table();
	const char *why = number_of(ctx, "from.fields", 0) == 0 ?
	    "no From field" : "no domain in From";

	h->evidence(ctx, "DMARC_PERMERROR", 1, why);
	h->authres(ctx, "dmarc", "permerror", "", why);
	say(ctx, "dmarc.result", 0, "permerror");
	return PW_RUN_NEXT;
}

static int
ask(void *arg, const char *name, uint16_t type, struct pw_dns_reply *out)
{
	return pw_host_table()->dns(arg, name, type, out);
}

static enum pw_run
run(void *instance, struct pw_ctx *ctx, enum pw_phase phase)
{
	const struct instance *in = instance;
	struct pw_dmarc_source src = { ask, ctx, in->psl };
	struct judgement j = { .ctx = ctx, .in = in };
	bool pending = false, twice = number_of(ctx, "from.fields", 0) > 1;
	struct pw_dmarc_request req;
	struct pw_fact fields;
	const char *from;

	(void)phase;
	if (pw_host_table()->fact(ctx, "from.fields", 0, &fields) < 0)
		return PW_RUN_NA;
	read_idents(ctx, &req);
	for (; j.n < PW_DMARC_AUTHORS &&
	    (from = text_of(ctx, "from.domain", j.n)) != NULL; j.n++) {
		struct pw_dmarc_verdict *v = &j.v[j.n];

		req.from = j.from[j.n] = from;
		if (pw_dmarc_eval(&src, &req, v) == PW_AGAIN)
			pending = true;
		else if (twice && v->result == PW_DMARC_PASS) {
			v->result = PW_DMARC_PERMERROR;
			v->reason = "several From fields";
		}
		if (badness(v) > badness(&j.v[j.worst]))
			j.worst = j.n;
	}
	if (pending)
		return PW_RUN_PENDING;
	if (j.n == 0)
		return without_author(ctx);
	j.arc = number_of(ctx, "arc.trusted_pass", 0) == 1;
	j.forwarded = j.arc || number_of(ctx, "forwarder.known", 0) == 1;
	write_evidence(&j);
	write_facts(&j);
	write_result(&j, j.worst); /* the one that counts stands first */
	for (unsigned i = 0; i < j.n; i++)
		if (i != j.worst)
			write_result(&j, i);
	return PW_RUN_NEXT;
}

const struct pw_stage pw_stage_dmarc = {
	.size = sizeof(struct pw_stage),
	.abi = PW_STAGE_ABI,
	.features = PW_STAGE_FEATURES,
	.name = "dmarc",
	.version = "1",
	.help = "does the author's domain vouch for the message (RFC 9989)",
	.phases = PW_PHASE_BIT(PW_PHASE_END),
	.needs = needs,
	.provides = provides,
	.symbols = symbols,
	.options = options,
	.roles = PW_ROLE_SCAN,
	.role = PW_ROLE_SCAN,
	.cost = PW_COST_CHEAP,
	.scope = PW_SCOPE_MESSAGE,
	.on_error = PW_ERR_HOLD,
	.timeout_ms = 20000,
	.init = init,
	.fini = fini,
	.run = run,
};
