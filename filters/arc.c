/* SPDX-License-Identifier: ISC */
/*
 * Stage arc: the Authenticated Received Chain (RFC 8617), by the parts in arc/.
 * Keys are looked up by the host for all signatures at once; a key that DNS
 * has no answer for now makes the result temperror, never fail.
 *
 * Whose chain counts is for the admin to say (option "trusted"): a chain that
 * anybody can build proves nothing by itself.  arc.trusted_pass is 1 when
 *   - the chain passes, and its newest message signature covers the one From
 *     field and the whole body;
 *   - the newest sealers, one after the other without a gap, are on the list;
 *   - the oldest one of these says in its ARC-Authentication-Results that the
 *     message came to it with dmarc=pass, or with dkim=pass or spf=pass of
 *     the domain in From.
 */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "dns/dns.h"
#include "filters/arc/arc.h"
#include "filters/eval.h"
#include "filters/registry.h"

#define TRUSTED_MAX 100u
#define ASK_AT_ONCE 48u /* questions of one run; the host allows 64 */

static const char *const provides[] = { "arc.result", "arc.domain",
	"arc.count", "arc.oldest_pass", "arc.trusted_pass", NULL };
static const struct pw_symbol symbols[] = {
	{ "ARC_PASS", 0.0, "the chain of forwarders is whole" },
	{ "ARC_FAIL", 0.2, "the chain of forwarders is broken" },
	{ "ARC_TEMPERROR", 0.0, "a key of a forwarder could not be looked up" },
	{ "ARC_TRUSTED", -0.5, "a trusted forwarder received it authentic" },
	{ NULL, 0, NULL }
};
static const struct pw_stage_option options[] = {
	{ "trusted", "", "domains of sealers whose word counts, set apart by "
	    "spaces or commas; of each the d= of its seals, exactly" },
	{ NULL, NULL, NULL }
};

struct instance {
	EVP_MD *sha256;
	unsigned n;
	char *trusted[TRUSTED_MAX];
};

/* ---- set-up ------------------------------------------------------------------------------ */

static void
fini(void *instance)
{
	struct instance *in = instance;

	for (unsigned i = 0; i < in->n; i++)
		free(in->trusted[i]);
	EVP_MD_free(in->sha256);
	free(in);
}

static int
read_trusted(struct instance *in, const char *list, char *err, size_t errlen)
{
	while (*(list += strspn(list, " \t,")) != '\0') {
		size_t len = strcspn(list, " \t,");
		struct pw_bytes name = pw_bytes(list, len);
		char *s;

		if (in->n == TRUSTED_MAX) {
			snprintf(err, errlen, "option trusted has more than "
			    "%u domains", TRUSTED_MAX);
			return -1;
		}
		if (pw_valid_hostname(pw_peer(name), false, &name) < 0) {
			snprintf(err, errlen, "option trusted: '%.*s' is not a "
			    "domain; write the d= of the sealer, such as "
			    "example.com", (int)len, list);
			return -1;
		}
		s = in->trusted[in->n++] = pw_xbytesdup(name);
		for (; *s != '\0'; s++)
			*s = (char)pw_lower(*s);
		list += len;
	}
	return 0;
}

/* What OpenSSL reads from files it reads here, before the sandbox. */
static int
init(const struct pw_host *host, const struct pw_stage_conf *conf,
    void **instance, char *err, size_t errlen)
{
	struct instance *in = pw_xcalloc(1, sizeof(*in));

	(void)OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
	in->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (in->sha256 == NULL)
		snprintf(err, errlen, "OpenSSL has no SHA-256");
	if (in->sha256 == NULL ||
	    read_trusted(in, host->option(conf, "trusted"), err, errlen) < 0) {
		fini(in);
		return -1;
	}
	*instance = in;
	return 0;
}

/* ---- keys -------------------------------------------------------------------------------- */

struct keyrow {
	const struct pw_arc_sig *sig; /* the first that uses it */
	struct pw_arc_key key;
};

struct judging {
	struct pw_ctx *ctx;
	struct pw_pool *pool;
	struct pw_arc_chain *chain;
	struct keyrow row[2 * PW_ARC_SETS_MAX];
	unsigned nrows, asked;
	const struct pw_arc_key *ams[PW_ARC_SETS_MAX + 1];
	const struct pw_arc_key *as[PW_ARC_SETS_MAX + 1];
};

/* The first record that is fit, else the first one's fault. */
static void
read_key(struct judging *j, struct keyrow *row, const struct pw_dns_reply *r)
{
	if (r->status != PW_DNS_OK) {
		row->key.temporary = pw_dns_is_temporary(r->status);
		row->key.fault = row->key.temporary ?
		    "key could not be looked up" : "there is no key";
		return;
	}
	row->key.fault = "there is no key";
	for (size_t i = 0; i < r->count; i++) {
		struct pw_bytes text = pw_bytes(r->record[i].data.ptr,
		    r->record[i].data.len);
		struct pw_arc_key k;

		if (pw_arc_key_read(text, row->sig, j->pool, &k) == 0 ||
		    i == 0)
			row->key = k;
		if (k.pkey != NULL)
			return;
	}
}

static struct pw_arc_key *
key_for(struct judging *j, const struct pw_arc_sig *sig)
{
	struct pw_dns_reply r;
	struct keyrow *row;
	char name[600];

	for (unsigned i = 0; i < j->nrows; i++) {
		row = &j->row[i];
		if (row->sig->alg == sig->alg &&
		    strcmp(row->sig->domain, sig->domain) == 0 &&
		    strcmp(row->sig->selector, sig->selector) == 0)
			return &row->key;
	}
	row = &j->row[j->nrows++];
	row->sig = sig;
	if (j->asked >= ASK_AT_ONCE)
		return &row->key;
	snprintf(name, sizeof(name), "%s._domainkey.%s", sig->selector,
	    sig->domain);
	if (pw_host_table()->dns(j->ctx, name, PW_DNS_TXT, &r) == 1)
		j->asked++;
	else
		read_key(j, row, &r);
	return &row->key;
}

/* Keys of all signatures; false: some are not there yet. */
static bool
get_keys(struct judging *j)
{
	for (unsigned i = j->chain->n; i > 0; i--) {
		j->ams[i] = key_for(j, &j->chain->set[i].ams);
		j->as[i] = key_for(j, &j->chain->set[i].as);
	}
	return j->asked == 0;
}

static void
free_keys(struct judging *j)
{
	for (unsigned i = 0; i < j->nrows; i++)
		EVP_PKEY_free(j->row[i].key.pkey);
}

/* ---- the judgement ------------------------------------------------------------------------ */

struct finding {
	const char *result; /* "pass", "fail", "temperror" */
	char reason[160];
	unsigned oldest;    /* 0: every message signature still verifies */
	unsigned trusted;   /* the instance whose word counts; 0: none */
};

static void
find_fault(struct finding *f, const struct pw_arc_key *key, const char *what,
    unsigned i, const char *fault)
{
	f->result = key->temporary ? "temperror" : "fail";
	snprintf(f->reason, sizeof(f->reason), "%s i=%u: %s", what, i, fault);
}

/* Section 5.2 step 5.  An older signature with l= is not looked at: each one
 * would cost a hash of the body. */
static unsigned
oldest_pass(struct judging *j, struct pw_arc_verifier *v, int64_t now)
{
	for (unsigned i = j->chain->n; i > 1; i--) {
		const struct pw_arc_sig *ams = &j->chain->set[i - 1].ams;

		if (ams->has_length ||
		    pw_arc_check_ams(v, ams, j->ams[i - 1], now) != NULL)
			return i;
	}
	return 0;
}

static bool
is_trusted(const struct instance *in, const struct pw_arc_set *s)
{
	for (unsigned i = 0; i < in->n; i++)
		if (strcmp(in->trusted[i], s->as.domain) == 0)
			return true;
	return false;
}

static unsigned
find_trusted(const struct instance *in, const struct judging *j,
    const struct pw_arc_verifier *v)
{
	const struct pw_arc_chain *c = j->chain;
	unsigned i = c->n;
	char from[256] = "";

	if (!is_trusted(in, &c->set[i]) ||
	    !pw_arc_ams_covers(v, &c->set[i].ams))
		return 0;
	while (i > 1 && is_trusted(in, &c->set[i - 1]))
		i--;
	for (size_t k = 0; k < v->view->nfield; k++)
		if (pw_bytes_caseeq(v->view->field[k].name, PW_LIT("From")) &&
		    pw_arc_from_domain(pw_msgview_value(&v->view->field[k]),
		    from) < 0)
			return 0;
	return pw_arc_vouches(c->set[i].results, from) ? i : 0;
}

static void
verify(const struct instance *in, struct judging *j, struct finding *f)
{
	const struct pw_msgview *view = pw_eval_view(j->ctx);
	struct pw_arc_verifier v = { .view = view, .sha256 = in->sha256,
		.body = pw_bytes_sub(view->all, view->body, view->all.len) };
	int64_t now = pw_host_table()->now(j->ctx) / 1000000;
	unsigned n = j->chain->n, bad = 0;
	const char *fault;

	fault = pw_arc_check_ams(&v, &j->chain->set[n].ams, j->ams[n], now);
	if (fault != NULL) {
		find_fault(f, j->ams[n], "message signature", n, fault);
		return;
	}
	fault = pw_arc_check_seals(&v, j->chain, j->as, &bad);
	if (fault != NULL) {
		find_fault(f, j->as[bad], "seal", bad, fault);
		return;
	}
	f->result = "pass";
	f->oldest = oldest_pass(j, &v, now);
	f->trusted = find_trusted(in, j, &v);
}

/* ---- what is said of it ------------------------------------------------------------------- */

static void
provide_int(struct pw_ctx *ctx, const char *name, int64_t v)
{
	struct pw_fact f = { .type = PW_FACT_INT, .num = v };

	pw_host_table()->provide(ctx, name, 0, &f);
}

static void
provide_text(struct pw_ctx *ctx, const char *name, size_t index, const char *s)
{
	struct pw_fact f = { .type = PW_FACT_TEXT, .text = { s, strlen(s) } };

	pw_host_table()->provide(ctx, name, index, &f);
}

static void
report(struct judging *j, const struct finding *f)
{
	const struct pw_host *h = pw_host_table();
	const struct pw_arc_chain *c = j->chain;
	bool pass = strcmp(f->result, "pass") == 0;
	char props[64] = "", text[400];

	provide_text(j->ctx, "arc.result", 0, f->result);
	provide_int(j->ctx, "arc.count", c->n);
	provide_int(j->ctx, "arc.trusted_pass", f->trusted > 0);
	if (!pass) {
		h->authres(j->ctx, "arc", f->result, "", f->reason);
		h->evidence(j->ctx, strcmp(f->result, "fail") == 0 ?
		    "ARC_FAIL" : "ARC_TEMPERROR", 1, f->reason);
		return;
	}
	for (unsigned i = 1; i <= c->n; i++)
		provide_text(j->ctx, "arc.domain", i - 1,
		    c->set[i].as.domain);
	provide_int(j->ctx, "arc.oldest_pass", f->oldest);
	snprintf(props, sizeof(props), "header.oldest-pass=%u", f->oldest);
	h->authres(j->ctx, "arc", "pass", props, NULL);
	snprintf(text, sizeof(text), "%u sealed it, last %s", c->n,
	    c->set[c->n].as.domain);
	h->evidence(j->ctx, "ARC_PASS", 1, text);
	if (f->trusted == 0)
		return;
	snprintf(text, sizeof(text), "%s (i=%u) received it authentic",
	    c->set[f->trusted].as.domain, f->trusted);
	h->evidence(j->ctx, "ARC_TRUSTED", 1, text);
}

static enum pw_run
judge(const struct instance *in, struct judging *j)
{
	struct finding f = { .result = "fail" };

	if (j->chain->fault != NULL)
		snprintf(f.reason, sizeof(f.reason), "%s", j->chain->fault);
	else if (!get_keys(j))
		return PW_RUN_PENDING;
	else
		verify(in, j, &f);
	report(j, &f);
	return PW_RUN_NEXT;
}

static enum pw_run
run(void *instance, struct pw_ctx *ctx, enum pw_phase phase)
{
	const struct pw_msgview *view = pw_eval_view(ctx);
	struct pw_pool *pool = pw_pool_new(2u << 20);
	struct judging *j = pw_pool_alloc(pool, sizeof(*j));
	enum pw_run r = PW_RUN_NA;

	(void)phase;
	j->ctx = ctx;
	j->pool = pool;
	j->chain = pw_pool_alloc(pool, sizeof(*j->chain));
	if (view != NULL)
		pw_arc_collect(view, pool, j->chain);
	if (j->chain->fields > 0)
		r = judge(instance, j);
	free_keys(j);
	pw_pool_free(&pool);
	return r;
}

const struct pw_stage pw_stage_arc = {
	.size = sizeof(struct pw_stage),
	.abi = PW_STAGE_ABI,
	.features = PW_STAGE_FEATURES,
	.name = "arc",
	.version = "1",
	.help = "seals of forwarders and lists (RFC 8617)",
	.phases = PW_PHASE_BIT(PW_PHASE_BODY),
	.provides = provides,
	.symbols = symbols,
	.options = options,
	.roles = PW_ROLE_SCAN,
	.role = PW_ROLE_SCAN,
	.cost = PW_COST_NORMAL,
	.scope = PW_SCOPE_MESSAGE,
	.on_error = PW_ERR_TAG,
	.flags = PW_FLAG_TRUSTED,
	.timeout_ms = 20000,
	.init = init,
	.fini = fini,
	.run = run,
};
