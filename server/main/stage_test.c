/* SPDX-License-Identifier: ISC */
/*
 * postward-stage-test: runs one plug-in on a message, facts and recorded DNS
 * answers, in this process and without a daemon, and compares what it gives
 * with what was expected.  For authors of stages; see postward-stage(7).
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "filters/plugin.h"
#include "filters/registry.h"
#include "filters/scanner.h"
#include "filters/tickets.h"
#include "main/stage_case.h"

#define ROUNDS_MAX 64u
#define OPTIONS_MAX 64u
#define POOL_MAX (256u << 20)
#define TEXT_MAX 65536u

struct harness {
	const char *plugin, *message, *facts, *answers, *expect;
	const char *option[OPTIONS_MAX];
	size_t noption;
	struct pw_pool *pool;
	struct pw_loop *loop;
	struct pw_loaded stage;
	struct pw_config_stage section;
	struct pw_facts fact, found;
	struct pw_dns_set *recorded, *given;
	struct pw_msgview view;
	struct pw_parts parts;
	struct pw_ticket ticket;
	bool finished;
	struct pw_env env;
	json_t *result;
};

static const char *const phase_names[PW_PHASE_COUNT] = { "connect", "helo",
	"mail", "rcpt", "header", "body", "end" };

static int
failed(const struct pw_err *err)
{
	(void)fprintf(stderr, "postward-stage-test: %s\n", err->text);
	return EX_DATAERR;
}

static int
usage(FILE *to, int code)
{
	(void)fputs("usage: postward-stage-test PLUGIN.so [--message FILE.eml] "
	    "[--facts FILE]\n           [--answers FILE] [--expect FILE] "
	    "[--option NAME=VALUE]...\n", to);
	return code;
}

/* ---- set-up ----------------------------------------------------------------- */

/* Facts that the host would know by itself; the file's come first. */
static void
host_facts(struct harness *h)
{
	static const char *const text[][2] = {
		{ "host.name", "mx.example.test" },
		{ "host.authserv_id", "mx.example.test" },
		{ "listener", "mx" } };
	struct pw_fact f = { .type = PW_FACT_INT };

	for (size_t i = 0; i < PW_COUNT(text); i++) {
		struct pw_fact t = { .type = PW_FACT_TEXT,
			.text = { text[i][1], strlen(text[i][1]) } };

		if (pw_facts_get(&h->fact, text[i][0], 0) == NULL)
			(void)pw_facts_set(&h->fact, h->pool, text[i][0], 0,
			    &t);
	}
	if (h->message == NULL)
		return;
	f.num = (int64_t)h->view.all.len;
	(void)pw_facts_set(&h->fact, h->pool, "message.size", 0, &f);
	f.num = (int64_t)h->view.header_len;
	(void)pw_facts_set(&h->fact, h->pool, "message.header_len", 0, &f);
}

static int
read_files(struct harness *h, struct pw_err *err)
{
	json_t *facts = NULL, *answers = NULL;
	struct pw_bytes message;
	int rc = 0;

	if (h->facts != NULL) {
		facts = pw_case_json(h->facts, err);
		rc = facts == NULL ? -1 : pw_case_facts(facts, &h->fact,
		    h->pool, err);
	}
	if (rc == 0 && h->answers != NULL) {
		answers = pw_case_json(h->answers, err);
		rc = answers == NULL ? -1 : pw_case_answers(answers,
		    h->recorded, h->pool, err);
	}
	if (rc == 0 && h->message != NULL) {
		rc = pw_case_message(h->message, h->pool, &message, err);
		if (rc == 0 && pw_msgview_init(&h->view, message,
		    h->pool) == 0)
			h->env.msg = &h->view;
		h->env.parts = &h->parts;
	}
	json_decref(facts);
	json_decref(answers);
	return rc;
}

static int
set_up(struct harness *h, struct pw_err *err)
{
	struct pw_loaded *l = &h->stage;
	char text[512] = "";

	h->pool = pw_pool_new(POOL_MAX);
	pw_structure_init();
	h->loop = pw_loop_new(err);
	h->recorded = pw_dns_set_new(h->pool);
	h->given = pw_dns_set_new(h->pool);
	if (h->loop == NULL || pw_plugin_open(h->plugin, &l->desc, err) != 0 ||
	    read_files(h, err) != 0)
		return -1;
	host_facts(h);
	h->section.options = (struct pw_strlist){ h->option, h->noption };
	l->conf.desc = l->desc;
	l->conf.section = &h->section;
	if (l->desc->init != NULL && l->desc->init(pw_host_table(), &l->conf,
	    &l->instance, text, sizeof(text)) != 0)
		return pw_err_set(err, 0, "%s: %s", l->desc->name, text);
	h->env.pool = h->pool;
	h->env.fact[0] = &h->found;
	h->env.fact[1] = &h->fact;
	h->env.dns[0] = h->given;
	h->env.now_us = pw_clock_real_us();
	h->result = pw_case_result(l->desc);
	return h->result != NULL ? 0 : pw_err_set(err, 0, "no memory");
}

/* ---- running ------------------------------------------------------------------ */

static void
on_finished(void *arg)
{
	struct harness *h = arg;

	h->finished = true;
	h->ticket.generation = 0;
}

static struct pw_ticket
take_ticket(void *arg)
{
	struct harness *h = arg;

	if (h->ticket.generation == 0)
		h->ticket = pw_ticket_open(h->loop, on_finished, h);
	return h->ticket;
}

/* "" when the run may go on. */
static const char *
wait_ticket(struct harness *h, uint64_t until)
{
	uint64_t now = pw_clock_mono_ms();

	for (h->finished = false; !h->finished && now < until;
	    now = pw_clock_mono_ms())
		pw_loop_step(h->loop, (int)(until - now));
	return h->finished ? "" : "time limit";
}

/* What it asked for, from the recording. */
static const char *
answer_all(struct harness *h, const struct pw_out *out)
{
	for (size_t i = 0; i < out->nneed; i++) {
		const struct pw_dns_answer *a = pw_dns_set_get(h->recorded,
		    out->need[i].name, out->need[i].type);

		(void)json_array_append_new(json_object_get(h->result,
		    "asked"), json_sprintf("%s %s", out->need[i].name,
		    pw_dns_type_name(out->need[i].type)));
		if (a == NULL || pw_dns_set_add(h->given, a) != 0)
			return "not recorded";
	}
	return "";
}

static void
run_phase(struct harness *h, enum pw_phase phase)
{
	const struct pw_stage *d = h->stage.desc;
	struct pw_ticket_hook hook = { h, take_ticket };
	uint64_t until = pw_clock_mono_ms() + d->timeout_ms;
	struct pw_out out;

	for (unsigned round = 0; round < ROUNDS_MAX; round++) {
		const char *why = "waits for nothing";

		pw_eval_run(&h->env, &h->stage, phase, &hook, &out);
		if (out.state != PW_OUTCOME_PENDING)
			break;
		if (out.nneed > 0)
			why = answer_all(h, &out);
		else if (h->ticket.generation != 0)
			why = wait_ticket(h, until);
		if (why[0] == '\0')
			continue;
		if (h->ticket.generation != 0)
			pw_eval_cancel(&h->env, &h->stage, phase);
		out = (struct pw_out){ .state = PW_OUTCOME_FAILED,
			.reason = why };
		break;
	}
	pw_ticket_close(h->ticket);
	h->ticket.generation = 0;
	for (const struct pw_factrow *f = out.fact.first; f != NULL;
	    f = f->next)
		(void)pw_facts_set(&h->found, h->pool, f->name, f->index,
		    &f->value);
	pw_case_add(h->result, phase_names[phase], d, &out);
}

static void
hung(int sig)
{
	static const char text[] = "postward-stage-test: the stage passed its "
	    "time limit by far\n";

	(void)sig;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(1);
}

/* The result on standard output; 0, or 1 when it is not what was expected. */
static int
report(struct harness *h, struct pw_err *err)
{
	struct pw_strbuf place;
	json_t *want = NULL;
	bool same = true;

	(void)json_dumpf(h->result, stdout, JSON_INDENT(2) |
	    JSON_REAL_PRECISION(6));
	(void)putchar('\n');
	if (h->expect == NULL)
		return EX_OK;
	want = pw_case_json(h->expect, err);
	if (want == NULL)
		return failed(err);
	pw_strbuf_init(&place, TEXT_MAX);
	same = pw_case_matches(want, h->result, &place);
	if (!same)
		(void)fprintf(stderr, "postward-stage-test: %s: %s\n",
		    h->expect, pw_strbuf_cstr(&place));
	pw_strbuf_free(&place);
	json_decref(want);
	return same ? EX_OK : 1;
}

static int
parse(struct harness *h, int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "message", required_argument, NULL, 'm' },
		{ "facts", required_argument, NULL, 'f' },
		{ "answers", required_argument, NULL, 'a' },
		{ "expect", required_argument, NULL, 'e' },
		{ "option", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", longopts, NULL)) != -1) {
		if (c == 'm')
			h->message = optarg;
		else if (c == 'f')
			h->facts = optarg;
		else if (c == 'a')
			h->answers = optarg;
		else if (c == 'e')
			h->expect = optarg;
		else if (c == 'o' && h->noption < OPTIONS_MAX)
			h->option[h->noption++] = optarg;
		else
			return usage(c == 'h' ? stdout : stderr,
			    c == 'h' ? EX_OK : EX_USAGE);
	}
	if (optind + 1 != argc)
		return usage(stderr, EX_USAGE);
	h->plugin = argv[optind];
	return -1;
}

int
main(int argc, char **argv)
{
	static struct harness h;
	struct pw_err err = { 0 };
	char *path;
	int rc = parse(&h, argc, argv);

	if (rc >= 0)
		return rc;
	/* Without a slash dlopen() would look where libraries are. */
	path = realpath(h.plugin, NULL);
	if (path == NULL) {
		(void)pw_err_sys(&err, "%s", h.plugin);
		return failed(&err);
	}
	h.plugin = path;
	if (set_up(&h, &err) != 0) {
		free(path);
		return failed(&err);
	}
	(void)signal(SIGALRM, hung);
	(void)alarm(h.stage.desc->timeout_ms / 1000 * PW_PHASE_COUNT + 2);
	for (unsigned p = 0; p < PW_PHASE_COUNT; p++)
		if ((h.stage.desc->phases & PW_PHASE_BIT(p)) != 0)
			run_phase(&h, (enum pw_phase)p);
	(void)alarm(0);
	rc = report(&h, &err);
	if (h.stage.desc->fini != NULL)
		h.stage.desc->fini(h.stage.instance);
	json_decref(h.result);
	pw_loop_free(&h.loop);
	pw_pool_free(&h.pool);
	free(path);
	return rc;
}
