/* SPDX-License-Identifier: ISC */
/*
 * Runs the stage arc on one message, for arc_suite.py.  Standard input: lines
 * "NAME STATUS TEXT" of TXT answers; arguments: the message's file, the list
 * of trusted sealers, and how often to verify it.  Output: "RESULT OLDEST
 * TRUSTED ROUNDS CPU-MICROSECONDS; REASON", where NA stands for a message
 * without a chain.  Answers that are not given are NXDOMAIN.
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

static int64_t
number(struct pw_out *out, const char *name)
{
	const struct pw_fact *f = pw_facts_get(&out->fact, name, 0);

	return f != NULL ? f->num : -1;
}

/* To its end; questions without an answer are NXDOMAIN. */
static unsigned
judge(const struct pw_env *env, struct pw_loaded *l, struct pw_dns_set *set,
    struct pw_out *out)
{
	unsigned rounds = 1;

	for (;; rounds++) {
		pw_eval_run(env, l, PW_PHASE_BODY, NULL, out);
		if (out->state != PW_OUTCOME_PENDING)
			return rounds;
		for (size_t i = 0; i < out->nneed; i++)
			add(set, out->need[i].name, PW_DNS_NXDOMAIN, "");
	}
}

static int
read_answers(struct pw_dns_set *set)
{
	char line[8192];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		char *name = line, *status = strchr(line, ' '), *text;

		if (status == NULL || (text = strchr(status + 1, ' ')) == NULL)
			return -1;
		*status++ = '\0';
		*text++ = '\0';
		text[strcspn(text, "\n")] = '\0';
		add(set, name, (uint8_t)strtoul(status, NULL, 10), text);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_dns_set *set = pw_dns_set_new(pool);
	char option[2048], err[128];
	const char *list[] = { option };
	struct pw_config_stage section = { .options = { list, 1 } };
	struct pw_stage_conf conf = { .desc = &pw_stage_arc,
		.section = &section };
	struct pw_loaded l = { .desc = &pw_stage_arc };
	struct pw_env env = { .pool = pool, .dns = { set, NULL },
		.now_us = pw_clock_real_us() };
	struct pw_msgview view;
	unsigned rounds, times;
	struct pw_out out;
	uint64_t cpu;

	if (argc != 4 || read_answers(set) < 0)
		return 2;
	snprintf(option, sizeof(option), "trusted=%s", argv[2]);
	if (pw_msgview_init(&view, slurp(argv[1]), pool) < 0)
		return 2;
	if (pw_stage_arc.init(pw_host_table(), &conf, &l.instance, err,
	    sizeof(err)) != 0) {
		printf("refused; %s\n", err);
		pw_pool_free(&pool);
		return 0;
	}
	env.msg = &view;
	rounds = judge(&env, &l, set, &out);
	times = (unsigned)strtoul(argv[3], NULL, 10);
	cpu = pw_thread_cpu_ns();
	for (unsigned i = 0; i < times; i++)
		(void)judge(&env, &l, set, &out);
	cpu = (pw_thread_cpu_ns() - cpu) / 1000;
	if (out.state == PW_OUTCOME_NA)
		printf("NA -1 0 %u 0; \n", rounds);
	else if (out.authres != NULL)
		printf("%s %lld %lld %u %llu; %s\n", out.authres->result,
		    (long long)number(&out, "arc.oldest_pass"),
		    (long long)number(&out, "arc.trusted_pass"), rounds,
		    (unsigned long long)(times > 0 ? cpu / times : 0),
		    out.authres->reason != NULL ? out.authres->reason : "");
	pw_stage_arc.fini(l.instance);
	pw_pool_free(&pool);
	return 0;
}
