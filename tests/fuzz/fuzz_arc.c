/* SPDX-License-Identifier: ISC */
/*
 * The ARC fields of a message and all that reads them: the first line of the
 * input is the key record of every sealer, the rest is the message.
 */
#include <string.h>

#include "filters/arc/arc.h"
#include "filters/eval.h"
#include "filters/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct pw_bytes
crlf(struct pw_pool *pool, const char *p, size_t n)
{
	char *out = pw_pool_alloc(pool, n * 2 + 1);
	size_t o = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n' && (o == 0 || out[o - 1] != '\r'))
			out[o++] = '\r';
		out[o++] = p[i];
	}
	return pw_bytes(out, o);
}

/* What is read of trusted sealers only, whoever sealed it here. */
static void
read_words(const struct pw_msgview *v)
{
	char from[256];

	for (size_t i = 0; i < v->nfield; i++) {
		struct pw_bytes value = pw_msgview_value(&v->field[i]);

		(void)pw_arc_vouches(value, "example.org");
		if (pw_arc_from_domain(value, from) == 0 &&
		    strlen(from) > 253)
			__builtin_trap();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *list[] = { "trusted=example.org a.test" };
	static const struct pw_config_stage section = {
		.options = { list, 1 } };
	static void *instance;
	const char *text = (const char *)data;
	const char *nl = size > 0 ? memchr(text, '\n', size) : NULL;
	struct pw_stage_conf conf = { .desc = &pw_stage_arc,
		.section = &section };
	struct pw_env env = { .now_us = INT64_C(1600000000000000) };
	struct pw_loaded l = { .desc = &pw_stage_arc };
	struct pw_dns_set *set;
	struct pw_pool *pool;
	struct pw_msgview v;
	struct pw_dns_rr rr;
	struct pw_out out;
	char err[128];

	if (nl == NULL || size > 65536)
		return 0;
	if (instance == NULL && pw_stage_arc.init(pw_host_table(), &conf,
	    &instance, err, sizeof(err)) != 0)
		return 0;
	env.pool = pool = pw_pool_new(0);
	env.dns[0] = set = pw_dns_set_new(pool);
	l.instance = instance;
	rr = (struct pw_dns_rr){ .data = pw_bytes(text, (size_t)(nl - text)) };
	if (pw_msgview_init(&v, crlf(pool, nl + 1, size - (size_t)(nl + 1 -
	    text)), pool) == 0) {
		env.msg = &v;
		read_words(&v);
		pw_eval_run(&env, &l, PW_PHASE_BODY, NULL, &out);
		for (int round = 0; round < 4 &&
		    out.state == PW_OUTCOME_PENDING; round++) {
			for (size_t i = 0; i < out.nneed; i++)
				(void)pw_dns_set_add(set,
				    &(struct pw_dns_answer){
				    .name = out.need[i].name,
				    .type = out.need[i].type, .nrr = 1,
				    .rr = &rr });
			pw_eval_run(&env, &l, PW_PHASE_BODY, NULL, &out);
		}
	}
	pw_pool_free(&pool);
	return 0;
}
