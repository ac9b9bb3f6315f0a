/* SPDX-License-Identifier: ISC */
/*
 * What strangers write for DMARC: a policy record is the first line of the
 * input, the From field's value all that follows.  Both are read, and the
 * stages from and dmarc run with the record as every answer.
 */
#include <stdlib.h>
#include <string.h>

#include "filters/dmarc/dmarc.h"
#include "filters/eval.h"
#include "filters/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_record(struct pw_bytes text)
{
	struct pw_dmarc_record r;
	struct pw_bytes uri;

	if (pw_dmarc_record_parse(text, &r) < 0)
		return;
	while (pw_dmarc_uri_next(&r.rua, &uri))
		if (uri.len < 3 || uri.ptr < text.ptr ||
		    uri.ptr + uri.len > text.ptr + text.len)
			abort();
}

/* Every question is answered by RR until none is left. */
static void
judge(struct pw_env *env, struct pw_dns_set *set, struct pw_dns_rr *rr,
    struct pw_loaded *l, enum pw_phase phase)
{
	struct pw_out out;

	for (unsigned round = 0; round < 8; round++) {
		pw_eval_run(env, l, phase, NULL, &out);
		for (const struct pw_factrow *f = out.fact.first; f != NULL;
		    f = f->next)
			(void)pw_facts_set((struct pw_facts *)(uintptr_t)
			    env->fact[0], env->pool, f->name, f->index,
			    &f->value);
		if (out.state != PW_OUTCOME_PENDING)
			return;
		for (size_t i = 0; i < out.nneed; i++)
			(void)pw_dns_set_add(set, &(struct pw_dns_answer){
			    .name = out.need[i].name,
			    .type = out.need[i].type, .nrr = 1, .rr = rr });
	}
	abort(); /* it asks for ever */
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void *from, *dmarc;
	static const char *const head = "From:";
	const char *text = (const char *)data;
	const char *nl = size > 0 ? memchr(text, '\n', size) : NULL;
	struct pw_stage_conf conf = { .desc = &pw_stage_dmarc };
	struct pw_loaded lf = { .desc = &pw_stage_from };
	struct pw_loaded ld = { .desc = &pw_stage_dmarc };
	struct pw_fact pass = { .type = PW_FACT_TEXT, .text = { "m.a.test",
		8 } };
	struct pw_facts facts = { 0 };
	struct pw_env env = { .now_us = 1 };
	struct pw_dns_rr rr;
	struct pw_dns_set *set;
	struct pw_msgview v;
	char err[200], *mail;
	size_t n;

	if (nl == NULL || size > 32768)
		return 0;
	if (dmarc == NULL && (pw_stage_from.init(pw_host_table(), &conf, &from,
	    err, sizeof(err)) != 0 || pw_stage_dmarc.init(pw_host_table(),
	    &conf, &dmarc, err, sizeof(err)) != 0))
		abort();
	rr = (struct pw_dns_rr){ .data = pw_bytes(text, (size_t)(nl - text)) };
	check_record(rr.data);
	env.pool = pw_pool_new(0);
	set = pw_dns_set_new(env.pool);
	env.dns[0] = set;
	env.fact[0] = &facts;
	lf.instance = from;
	ld.instance = dmarc;
	n = size - (size_t)(nl + 1 - text);
	mail = pw_pool_alloc(env.pool, n + strlen(head));
	memcpy(mail, head, strlen(head));
	if (n > 0)
		memcpy(mail + strlen(head), nl + 1, n);
	(void)pw_facts_set(&facts, env.pool, "dkim.domain", 0, &pass);
	(void)pw_facts_set(&facts, env.pool, "dkim.result", 0, &pass);
	if (pw_msgview_init(&v, pw_bytes(mail, n + strlen(head)),
	    env.pool) == 0) {
		env.msg = &v;
		judge(&env, set, &rr, &lf, PW_PHASE_HEADER);
		judge(&env, set, &rr, &ld, PW_PHASE_END);
	}
	pw_pool_free(&env.pool);
	return 0;
}
