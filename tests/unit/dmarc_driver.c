/* SPDX-License-Identifier: ISC */
/*
 * Runs the stages from and dmarc on one case, for dmarc_suite.py.  Standard
 * input, one thing a line:
 *
 *   mode tree-walk|psl      organizational domains by this
 *   refuse                  the option refuse
 *   field NAME: VALUE       a header field; \r and \n as such
 *   blind                   stage dkim could not run
 *   fact NAME TEXT          a further value of a fact; =N for a number
 *   dns NAME TYPE STATUS TEXT
 *
 * A name that is not given does not exist, unless it or one below it is given.
 * Output: one line "KEY VALUE" a finding; "asked" lines in the order of asking.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "filters/dmarc/dmarc.h"
#include "filters/eval.h"
#include "filters/registry.h"

static struct pw_pool *pool;
static struct pw_dns_set *set;
static struct pw_facts facts;
static struct pw_strbuf message;
static bool blind;
static const char *options[2] = { "organizational-domain=tree-walk",
	"refuse=false" };

static void
add_fact(const char *name, const char *text)
{
	struct pw_fact f = { .type = PW_FACT_TEXT };
	size_t index = 0;

	if (text[0] == '=') {
		f.type = PW_FACT_INT;
		f.num = strtol(text + 1, NULL, 10);
	} else {
		f.text = (struct pw_slice){ text, strlen(text) };
	}
	while (pw_facts_get(&facts, name, index) != NULL)
		index++;
	(void)pw_facts_set(&facts, pool, name, index, &f);
}

/* Records of one question come on lines of their own: gathered here. */
static struct row {
	char name[256];
	unsigned long type, status;
	struct pw_dns_rr rr[8];
	unsigned n;
} row[64];
static unsigned nrow;

static void
add_dns(char *text)
{
	char *name = strtok_r(text, " ", &text);
	unsigned long type = strtoul(strtok_r(text, " ", &text), NULL, 10);
	unsigned long status = strtoul(strtok_r(text, " ", &text), NULL, 10);
	struct row *r = row;

	while (r < row + nrow && (strcmp(r->name, name) != 0 ||
	    r->type != type))
		r++;
	if (r == row + nrow)
		nrow++;
	snprintf(r->name, sizeof(r->name), "%s", name);
	r->type = type;
	r->status = status;
	if (status == PW_DNS_OK && r->n < 8)
		r->rr[r->n++].data = pw_pool_copy(pool, pw_bytes_of(text));
}

static bool
exists(const char *name)
{
	for (unsigned i = 0; i < nrow; i++)
		if (pw_dmarc_within(row[i].name, name))
			return true;
	return false;
}

static void
answer(const char *name, uint16_t type)
{
	struct pw_dns_answer a = { .name = name, .type = type,
		.status = exists(name) ? PW_DNS_NODATA : PW_DNS_NXDOMAIN };

	for (unsigned i = 0; i < nrow; i++)
		if (strcmp(row[i].name, name) == 0 && row[i].type == type) {
			a.status = (uint8_t)row[i].status;
			a.nrr = (uint16_t)row[i].n;
			a.rr = row[i].rr;
		}
	(void)pw_dns_set_add(set, &a);
	printf("asked %s %u\n", name, (unsigned)type);
}

static void
read_line(char *line)
{
	char *arg = strchr(line, ' ');

	line[strcspn(line, "\n")] = '\0';
	if (arg != NULL)
		*arg++ = '\0';
	if (strcmp(line, "mode") == 0 && strcmp(arg, "psl") == 0)
		options[0] = "organizational-domain=psl";
	else if (strcmp(line, "refuse") == 0)
		options[1] = "refuse=true";
	else if (strcmp(line, "blind") == 0)
		blind = true;
	else if (strcmp(line, "field") == 0)
		pw_strbuf_addf(&message, "%s\r\n", arg);
	else if (strcmp(line, "dns") == 0)
		add_dns(arg);
	else if (strcmp(line, "fact") == 0) {
		char *name = strtok_r(arg, " ", &arg);

		add_fact(name, arg);
	}
}

static void
show(const struct pw_out *o)
{
	for (const struct pw_factrow *f = o->fact.first; f != NULL;
	    f = f->next) {
		(void)pw_facts_set(&facts, pool, f->name, f->index, &f->value);
		printf("fact %s %.*s\n", f->name, (int)f->value.text.len,
		    f->value.text.ptr != NULL ? f->value.text.ptr : "");
	}
	for (const struct pw_out_authres *a = o->authres; a != NULL;
	    a = a->next)
		printf("authres %s=%s %s; %s\n", a->method, a->result,
		    a->props, a->reason != NULL ? a->reason : "");
	for (const struct pw_out_evidence *e = o->evidence; e != NULL;
	    e = e->next)
		printf("evidence %s %.*s\n", e->symbol, (int)e->text.len,
		    e->text.ptr);
}

static int
run(const struct pw_stage *d, enum pw_phase phase, struct pw_env *env)
{
	struct pw_config_stage section = { .options = { options, 2 } };
	struct pw_stage_conf conf = { .desc = d,
		.section = d->options != NULL ? &section : NULL };
	struct pw_loaded l = { .desc = d };
	struct pw_out out;
	char err[200];

	if (d->init(pw_host_table(), &conf, &l.instance, err,
	    sizeof(err)) != 0) {
		fprintf(stderr, "%s\n", err);
		return -1;
	}
	for (unsigned round = 0;; round++) {
		pw_eval_run(env, &l, phase, NULL, &out);
		if (out.state != PW_OUTCOME_PENDING || round == 20)
			break;
		for (size_t i = 0; i < out.nneed; i++)
			answer(out.need[i].name, out.need[i].type);
	}
	show(&out);
	if (d->fini != NULL)
		d->fini(l.instance);
	return out.state == PW_OUTCOME_PENDING ? -1 : 0;
}

static void
show_record(void)
{
	const struct pw_fact *f = pw_facts_get(&facts, "dmarc.record", 0);
	struct pw_dmarc_record r;

	if (f == NULL || pw_dmarc_record_parse(pw_bytes(f->text.ptr,
	    f->text.len), &r) < 0)
		return;
	printf("record p %s\n", pw_dmarc_policy_name(r.p));
	printf("record sp %s\n", pw_dmarc_policy_name(r.sp));
	printf("record adkim %s\n", r.strict_dkim ? "s" : "r");
	printf("record aspf %s\n", r.strict_spf ? "s" : "r");
}

int
main(void)
{
	struct pw_env env = { .now_us = INT64_C(1700000000000000) };
	struct pw_msgview view;
	char line[8192];

	pool = pw_pool_new(0);
	set = pw_dns_set_new(pool);
	pw_strbuf_init(&message, 1u << 20);
	while (fgets(line, sizeof(line), stdin) != NULL)
		read_line(line);
	if (!blind)
		add_fact("dkim.result", "none");
	pw_strbuf_adds(&message, "\r\nbody\r\n");
	if (pw_msgview_init(&view, pw_strbuf_bytes(&message), pool) < 0)
		return 2;
	env.pool = pool;
	env.dns[0] = set;
	env.fact[0] = &facts;
	env.msg = &view;
	if (run(&pw_stage_from, PW_PHASE_HEADER, &env) < 0 ||
	    run(&pw_stage_dmarc, PW_PHASE_END, &env) < 0)
		return 2;
	show_record();
	pw_strbuf_free(&message);
	pw_pool_free(&pool);
	return 0;
}
