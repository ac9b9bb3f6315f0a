/* SPDX-License-Identifier: ISC */
/*
 * Runs the stage dkim on one message, for dkim_suite.py.  Standard input: lines
 * "NAME STATUS TEXT" of TXT answers; argument: the message's file.  Output: one
 * line a signature, "RESULT PROPS; REASON", then "@evidence SYMBOL TEXT" and
 * "@fact NAME INDEX VALUE".  Answers that are not given are
 * NXDOMAIN.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "filters/eval.h"
#include "filters/registry.h"

static struct pw_bytes
slurp(const char *path)
{
	static char buf[1 << 20];
	FILE *f = fopen(path, "rb");
	size_t n = f != NULL ? fread(buf, 1, sizeof(buf), f) : 0;

	if (f == NULL)
		exit(2);
	fclose(f);
	return pw_bytes(buf, n);
}

static void
add(struct pw_dns_set *set, const char *name, uint8_t status, const char *text)
{
	struct pw_dns_rr rr = { .data = pw_bytes_of(text) };

	(void)pw_dns_set_add(set, &(struct pw_dns_answer){ .name = name,
		.type = PW_DNS_TXT, .status = status,
		.nrr = status == PW_DNS_OK, .rr = &rr });
}

int
main(int argc, char **argv)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_dns_set *set = pw_dns_set_new(pool);
	struct pw_stage_conf conf = { .desc = &pw_stage_dkim };
	struct pw_loaded l = { .desc = &pw_stage_dkim };
	struct pw_env env = { .pool = pool, .dns = { set, NULL },
		.now_us = pw_clock_real_us() };
	struct pw_msgview view;
	struct pw_out out;
	char line[8192], err[128];

	if (argc != 2)
		return 2;
	while (fgets(line, sizeof(line), stdin) != NULL) {
		char *name = line, *status = strchr(line, ' '), *text;

		if (status == NULL || (text = strchr(status + 1, ' ')) == NULL)
			return 2;
		*status++ = '\0';
		*text++ = '\0';
		text[strcspn(text, "\n")] = '\0';
		add(set, name, (uint8_t)strtoul(status, NULL, 10), text);
	}
	if (pw_msgview_init(&view, slurp(argv[1]), pool) < 0 ||
	    pw_stage_dkim.init(pw_host_table(), &conf, &l.instance, err,
	    sizeof(err)) != 0)
		return 2;
	env.msg = &view;
	for (;;) {
		pw_eval_run(&env, &l, PW_PHASE_BODY, NULL, &out);
		if (out.state != PW_OUTCOME_PENDING)
			break;
		for (size_t i = 0; i < out.nneed; i++)
			add(set, out.need[i].name, PW_DNS_NXDOMAIN, "");
	}
	for (const struct pw_out_authres *a = out.authres; a != NULL;
	    a = a->next)
		printf("%s %s; %s\n", a->result, a->props,
		    a->reason != NULL ? a->reason : "");
	for (const struct pw_out_evidence *e = out.evidence; e != NULL;
	    e = e->next)
		printf("@evidence %s %.*s\n", e->symbol, (int)e->text.len,
		    e->text.ptr);
	for (const struct pw_factrow *f = out.fact.first; f != NULL;
	    f = f->next)
		if (f->value.type == PW_FACT_INT)
			printf("@fact %s %u %lld\n", f->name, f->index,
			    (long long)f->value.num);
		else
			printf("@fact %s %u %.*s\n", f->name, f->index,
			    (int)f->value.text.len, f->value.text.ptr);
	pw_stage_dkim.fini(l.instance);
	pw_pool_free(&pool);
	return 0;
}
