/* SPDX-License-Identifier: ISC */
/*
 * Stage spf: RFC 7208 for the HELO name and for MAIL FROM, by the evaluator in
 * spf/.  An envelope job of the scan role, in the background: only what rests
 * on it waits for it.  Its DNS answers come in rounds; each run begins anew
 * with all that is known so far.
 */
#include "filters/spf/spf.h"

#include <stdio.h>

#include "filters/eval.h"
#include "filters/registry.h"

static const char *const needs[] = { "peer.ip", "helo.name?", "mail.local?",
	"mail.domain?", "host.name", NULL };
static const char *const provides[] = { "spf.mailfrom.result",
	"spf.mailfrom.domain", "spf.helo.result", "spf.helo.domain", NULL };
static const struct pw_symbol symbols[] = {
	{ "SPF_PASS", -0.1, "the client may send for the sender's domain" },
	{ "SPF_FAIL", 2.0, "the sender's domain says: not from this client" },
	{ "SPF_SOFTFAIL", 1.0, "the sender's domain says: probably not" },
	{ "SPF_NEUTRAL", 0.2, "the sender's domain does not say" },
	{ "SPF_NONE", 0.3, "the sender's domain has no SPF record" },
	{ "SPF_TEMPERROR", 0.0, "SPF could not be looked up now" },
	{ "SPF_PERMERROR", 0.5, "the sender's SPF record is wrong" },
	{ "SPF_HELO_PASS", 0.0, "the client may use its HELO name" },
	{ "SPF_HELO_FAIL", 1.0, "the client may not use its HELO name" },
	{ "SPF_PASS_ALL", 0.5, "the pass rests on +all" },
	{ "SPF_PASS_WIDE", 0.3, "the pass rests on very wide networks" },
	{ "SPF_EXPLANATION", 0.0, "what the sender's domain says of its fail" },
	{ NULL, 0, NULL }
};

static const struct pw_stage_option options[] = {
	{ "explain", "no", "yes: fetches the words that the sender's domain "
	    "has for a fail (exp=); policy.spf-fail = refuse puts them into "
	    "its reply" },
	{ NULL, NULL, NULL }
};

struct identity {
	struct pw_spf_request req;
	struct pw_spf_outcome out;
	const char *kind; /* "mailfrom" or "helo" */
	bool there;
};

static const char *
text_of(struct pw_ctx *ctx, const char *fact)
{
	const struct pw_host *h = pw_host_table();
	struct pw_fact f;
	char *s;

	if (h->fact(ctx, fact, 0, &f) < 0 || f.type != PW_FACT_TEXT ||
	    (s = h->alloc(ctx, f.text.len + 1)) == NULL)
		return "";
	if (f.text.len > 0)
		memcpy(s, f.text.ptr, f.text.len);
	return s;
}

/* Puts the host's answer for one question into SET: 0 there, 1 not yet, -1 no
 * room. */
static int
fetch(struct pw_ctx *ctx, struct pw_dns_set *set, struct pw_pool *pool,
    const struct pw_spf_need *need)
{
	struct pw_dns_reply r;
	struct pw_dns_answer a = { .name = need->name, .type = need->type };

	if (pw_host_table()->dns(ctx, need->name, need->type, &r) == 1)
		return 1;
	a.status = r.status;
	a.secure = r.secure;
	a.ttl = r.ttl;
	a.nrr = r.count;
	a.rr = pw_pool_array(pool, r.count > 0 ? r.count : 1, sizeof(*a.rr));
	if (a.rr == NULL)
		return -1;
	for (size_t i = 0; i < r.count; i++)
		a.rr[i] = (struct pw_dns_rr){ r.record[i].pref,
			pw_bytes(r.record[i].data.ptr, r.record[i].data.len) };
	return pw_dns_set_add(set, &a) < 0 ? -1 : 0;
}

/* Runs the evaluator as far as the answers go: true when *out is a verdict. */
static bool
evaluate(struct pw_ctx *ctx, struct pw_dns_set *set, struct pw_pool *pool,
    struct identity *id)
{
	while (pw_spf_eval(&id->req, set, &id->out) == PW_AGAIN) {
		unsigned added = 0, missing = 0;

		for (unsigned i = 0; i < id->out.nneed; i++) {
			int r = fetch(ctx, set, pool, &id->out.need[i]);

			added += r == 0;
			missing += r == 1;
		}
		if (missing > 0)
			return false;
		if (added == 0) {
			id->out = (struct pw_spf_outcome){
				.result = PW_SPF_TEMPERROR };
			snprintf(id->out.why, sizeof(id->out.why),
			    "too many DNS answers");
			return true;
		}
	}
	return true;
}

/* ---- what is said of it ---------------------------------------------------------- */

static void
evidence(struct pw_ctx *ctx, const struct identity *id)
{
	static const char *const names[] = { "SPF_NONE", "SPF_NEUTRAL",
		"SPF_PASS", "SPF_FAIL", "SPF_SOFTFAIL", "SPF_TEMPERROR",
		"SPF_PERMERROR" };
	const struct pw_host *h = pw_host_table();
	char text[PW_SPF_MAX_TEXT + 120];

	if (strcmp(id->kind, "helo") == 0) {
		if (id->out.result == PW_SPF_PASS)
			h->evidence(ctx, "SPF_HELO_PASS", 1, id->out.why);
		else if (id->out.result == PW_SPF_FAIL)
			h->evidence(ctx, "SPF_HELO_FAIL", 1, id->out.why);
		return;
	}
	h->evidence(ctx, names[id->out.result], 1, id->out.why);
	if (id->out.explanation[0] != '\0') {
		/* RFC 7208 section 6.2: marked as the words of a stranger. */
		snprintf(text, sizeof(text), "%.100s explains: %s",
		    id->req.domain, id->out.explanation);
		h->evidence(ctx, "SPF_EXPLANATION", 1, text);
	}
	if (id->out.pass_all)
		h->evidence(ctx, "SPF_PASS_ALL", 1, id->out.mechanism);
	else if (id->out.pass_wide)
		h->evidence(ctx, "SPF_PASS_WIDE", 1, id->out.mechanism);
}

static void
facts_and_results(struct pw_ctx *ctx, const struct identity *id)
{
	const struct pw_host *h = pw_host_table();
	const char *result = pw_spf_result_name(id->out.result);
	struct pw_fact f = { .type = PW_FACT_TEXT };
	char name[64], props[320];

	f.text = (struct pw_slice){ result, strlen(result) };
	snprintf(name, sizeof(name), "spf.%s.result", id->kind);
	h->provide(ctx, name, 0, &f);
	f.text = (struct pw_slice){ id->req.domain, strlen(id->req.domain) };
	snprintf(name, sizeof(name), "spf.%s.domain", id->kind);
	h->provide(ctx, name, 0, &f);
	snprintf(props, sizeof(props), "smtp.%s=%s", id->kind,
	    id->req.domain);
	h->authres(ctx, "spf", result, props, NULL);
}

/* Copies S with characters that end or nest a comment or a quoted string
 * replaced. */
static const char *
harmless(char *out, size_t size, const char *s)
{
	size_t n = 0;

	for (; s[n] != '\0' && n + 1 < size; n++)
		out[n] = strchr("()\\\"", s[n]) != NULL || s[n] < 0x20 ||
		    s[n] == 0x7f ? '_' : s[n];
	out[n] = '\0';
	return out;
}

/* RFC 7208 section 9.1. */
static void
received_spf(struct pw_ctx *ctx, const struct identity *id)
{
	char ip[PW_IP_STRLEN], why[400], from[600], clean[600], helo[300];
	char mech[130], value[2000];

	pw_ip_format(&id->req.client, ip);
	snprintf(from, sizeof(from), "%s@%s", id->req.local, id->req.domain);
	snprintf(value, sizeof(value), "%s (%s: %s) client-ip=%s; "
	    "envelope-from=\"%s\"; helo=\"%s\"; receiver=%s; identity=%s%s%s%s",
	    pw_spf_result_name(id->out.result), id->req.receiver,
	    harmless(why, sizeof(why), id->out.why), ip,
	    harmless(clean, sizeof(clean), from),
	    harmless(helo, sizeof(helo), id->req.helo), id->req.receiver,
	    id->kind, id->out.mechanism[0] != '\0' ? "; mechanism=\"" : "",
	    harmless(mech, sizeof(mech), id->out.mechanism),
	    id->out.mechanism[0] != '\0' ? "\"" : "");
	pw_host_table()->add_field(ctx, "Received-SPF", value);
}

/* ---- set-up ------------------------------------------------------------------------ */

/* The instance is whether explanations are wanted. */
static int
init(const struct pw_host *host, const struct pw_stage_conf *conf,
    void **instance, char *err, size_t errlen)
{
	static const bool answers[] = { false, true };
	const char *word = host->option(conf, "explain");
	bool yes = strcmp(word, "yes") == 0;

	if (!yes && strcmp(word, "no") != 0) {
		snprintf(err, errlen, "option explain must be yes or no, not "
		    "'%.100s'", word);
		return -1;
	}
	*instance = (void *)(uintptr_t)&answers[yes];
	return 0;
}

/* ---- the run ----------------------------------------------------------------------- */

/* A domain that SPF can be asked of: not empty, no address literal. */
static bool
is_name(const char *s)
{
	return s[0] != '\0' && s[0] != '[' && strchr(s, '.') != NULL;
}

static int
prepare(struct pw_ctx *ctx, bool explain, struct identity id[2])
{
	const struct pw_host *h = pw_host_table();
	struct pw_spf_request req = { .now = h->now(ctx) / 1000000 };
	const char *domain = text_of(ctx, "mail.domain");
	struct pw_fact ip;

	if (h->fact(ctx, "peer.ip", 0, &ip) < 0 || ip.type != PW_FACT_IP)
		return -1;
	req.client.family = ip.family;
	memcpy(req.client.b, ip.ip, sizeof(req.client.b));
	req.helo = text_of(ctx, "helo.name");
	req.receiver = text_of(ctx, "host.name");
	id[0] = id[1] = (struct identity){ .req = req };
	id[0].kind = "helo";
	id[0].req.domain = req.helo;
	id[0].req.local = "postmaster";
	id[0].there = is_name(req.helo);
	/* The null reverse-path is judged as postmaster@HELO (section 2.4). */
	id[1].kind = "mailfrom";
	id[1].req.explain = explain;
	id[1].req.domain = domain[0] != '\0' ? domain : req.helo;
	id[1].req.local = domain[0] != '\0' ? text_of(ctx, "mail.local") :
	    "postmaster";
	id[1].there = is_name(id[1].req.domain);
	return id[0].there || id[1].there ? 0 : -1;
}

static enum pw_run
run(void *instance, struct pw_ctx *ctx, enum pw_phase phase)
{
	struct pw_pool *pool;
	struct pw_dns_set *set;
	struct identity id[2];
	bool done = true;

	(void)phase;
	if (prepare(ctx, *(const bool *)instance, id) < 0)
		return PW_RUN_NA;
	pool = pw_pool_new(0);
	set = pw_dns_set_new(pool);
	for (int i = 0; i < 2 && set != NULL; i++)
		if (id[i].there)
			done &= evaluate(ctx, set, pool, &id[i]);
	pw_pool_free(&pool);
	if (!done)
		return PW_RUN_PENDING;
	for (int i = 0; i < 2; i++)
		if (id[i].there) {
			evidence(ctx, &id[i]);
			facts_and_results(ctx, &id[i]);
		}
	received_spf(ctx, id[1].there ? &id[1] : &id[0]);
	return PW_RUN_NEXT;
}

const struct pw_stage pw_stage_spf = {
	.size = sizeof(struct pw_stage),
	.abi = PW_STAGE_ABI,
	.features = PW_STAGE_FEATURES,
	.name = "spf",
	.version = "1",
	.help = "who may send for the sender's domain (RFC 7208)",
	.phases = PW_PHASE_BIT(PW_PHASE_MAIL),
	.needs = needs,
	.provides = provides,
	.symbols = symbols,
	.options = options,
	.roles = PW_ROLE_SCAN,
	.role = PW_ROLE_SCAN,
	.cost = PW_COST_NORMAL,
	.scope = PW_SCOPE_MESSAGE,
	.on_error = PW_ERR_SKIP,
	.flags = PW_FLAG_BACKGROUND,
	.timeout_ms = 20000,
	.init = init,
	.run = run,
};
