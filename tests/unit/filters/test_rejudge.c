/* SPDX-License-Identifier: ISC */
/* Judgements made again from their recordings: the same in every respect, with
 * time, random bytes and failures of then; and recordings that are damaged. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "filters/recording.h"
#include "base/listentry.h"
#include "rig.h"

#define MESSAGE "From: a@pass.test\r\nSubject: x\r\n\r\nbody\r\n"

static struct rig r;

/* A stage that finds what the time, the dice and the facts say. */
static enum pw_run
moody_run(void *instance, struct pw_ctx *ctx, enum pw_phase phase)
{
	const struct pw_host *h = pw_host_table();
	struct pw_fact early = { 0 }, rcpt = { 0 };
	uint64_t dice;
	char text[300];

	(void)instance;
	h->random(ctx, &dice, sizeof(dice));
	(void)h->fact(ctx, "session.early_text", 0, &early);
	(void)h->fact(ctx, "rcpt.address", 0, &rcpt);
	(void)snprintf(text, sizeof(text), "%d %lld %llx %lld %.*s", phase,
	    (long long)h->now(ctx), (unsigned long long)dice,
	    (long long)early.num, (int)rcpt.text.len,
	    rcpt.text.ptr != NULL ? rcpt.text.ptr : "");
	h->evidence(ctx, "MOODY", (double)(dice % 100) / 10, text);
	return PW_RUN_NEXT;
}

static enum pw_run
slow_run(void *instance, struct pw_ctx *ctx, enum pw_phase phase)
{
	(void)instance;
	(void)phase;
	(void)pw_host_table()->ticket(ctx);
	return PW_RUN_PENDING;
}

static const struct pw_symbol symbols[] = { { "MOODY", 1, "x" },
	{ NULL, 0, NULL } };
static const char *const needs[] = { "session.early_text?", "rcpt.address?",
	NULL };
#define ALL                                                                  \
	(PW_PHASE_BIT(PW_PHASE_CONNECT) | PW_PHASE_BIT(PW_PHASE_HELO) |      \
	    PW_PHASE_BIT(PW_PHASE_MAIL) | PW_PHASE_BIT(PW_PHASE_RCPT) |      \
	    PW_PHASE_BIT(PW_PHASE_BODY))
static const struct pw_stage moody = { .size = sizeof(struct pw_stage),
	.abi = PW_STAGE_ABI, .features = PW_STAGE_FEATURES, .name = "moody",
	.phases = ALL, .symbols = symbols, .needs = needs,
	.roles = PW_ROLE_FRONT, .role = PW_ROLE_FRONT,
	.scope = PW_SCOPE_MESSAGE, .timeout_ms = 1000, .run = moody_run };
static const struct pw_stage slow = { .size = sizeof(struct pw_stage),
	.abi = PW_STAGE_ABI, .features = PW_STAGE_FEATURES, .name = "slow",
	.phases = PW_PHASE_BIT(PW_PHASE_MAIL), .roles = PW_ROLE_FRONT,
	.role = PW_ROLE_FRONT, .flags = PW_FLAG_ASYNC, .on_error = PW_ERR_HOLD,
	.scope = PW_SCOPE_MESSAGE, .timeout_ms = 50, .run = slow_run };
static const struct pw_stage *const table[] = { &moody, &slow };

static void
begin_own(void)
{
	rig_open(&r, "none", NULL, 0);
	r.listener.stages.v[0] = "moody";
	r.listener.stages.v[1] = "slow";
	r.listener.stages.n = 2;
	pw_weights_free(&r.p->weights);
	pw_registry_free(&r.p->reg);
	ck_assert_int_eq(pw_registry_with(r.cfg, PW_ROLE_FRONT, table, 2,
	    &r.p->reg, &(struct pw_err){ 0 }), 0);
	ck_assert_int_eq(pw_weights_new(r.cfg, r.p->reg, &r.p->weights,
	    &(struct pw_err){ 0 }), 0);
}

/* ---- again ------------------------------------------------------------------------ */

static const struct pw_pipe_result *again;
static unsigned told;

static void
on_done(void *arg, const struct pw_pipe_result *p)
{
	(void)arg;
	again = p;
	told++;
}

static struct pw_rejudge *
rejudge(struct pw_bytes recording, const struct pw_dns_set *dns, uint64_t size)
{
	struct pw_session_info info = { .peer_port = 40000 };
	struct pw_rejudge *j;

	(void)pw_ip_parse(PW_LIT("192.0.2.10"), &info.peer);
	again = NULL;
	told = 0;
	j = pw_rejudge_new(r.p, recording, &info, dns, r.fd, size, on_done,
	    NULL);
	for (int i = 0; j != NULL && told == 0 && i < 200; i++)
		pw_loop_step(r.loop, 20);
	ck_assert_uint_eq(told, j != NULL);
	return j;
}

static void
must_equal(const struct pw_pipe_result *a, const struct pw_pipe_result *b)
{
	ck_assert_ptr_nonnull(b);
	ck_assert_uint_eq(a->action, b->action);
	ck_assert_str_eq(a->step, b->step);
	ck_assert(a->score == b->score);
	ck_assert_str_eq(a->auth_results, b->auth_results);
	ck_assert_uint_eq(a->nevidence, b->nevidence);
	for (size_t i = 0; i < a->nevidence; i++) {
		ck_assert_str_eq(a->evidence[i].symbol, b->evidence[i].symbol);
		ck_assert(a->evidence[i].weight == b->evidence[i].weight);
		ck_assert(pw_bytes_eq(a->evidence[i].text,
		    b->evidence[i].text));
	}
	ck_assert_uint_eq(a->nrun, b->nrun);
	for (size_t i = 0; i < a->nrun; i++) {
		ck_assert_str_eq(a->run[i].stage, b->run[i].stage);
		ck_assert_uint_eq(a->run[i].outcome, b->run[i].outcome);
		ck_assert_str_eq(a->run[i].reason, b->run[i].reason);
	}
}

START_TEST(the_same)
{
	const struct pw_pipe_verdict *v;
	const struct pw_pipe_result *was;
	struct pw_rejudge *j;

	begin_own();
	rig_session(&r, "192.0.2.10", false);
	ck_assert(rig_phase(&r, PW_PHASE_CONNECT, 1000));
	pw_pipe_text(r.pipe, "helo.name", PW_LIT("h.test"));
	ck_assert(rig_phase(&r, PW_PHASE_HELO, 1000));
	rig_mail(&r, "h.test", "a@pass.test");
	pw_pipe_int(r.pipe, "session.early_text", 3);
	ck_assert(rig_phase(&r, PW_PHASE_MAIL, 1000));
	/* The next transaction sees the fact of the first. */
	rig_mail(&r, "h.test", "b@pass.test");
	ck_assert(rig_phase(&r, PW_PHASE_MAIL, 1000));
	for (int k = 0; k < 3; k++) {
		char to[32];

		(void)snprintf(to, sizeof(to), "u%d@example.test", k);
		pw_pipe_text(r.pipe, "rcpt.address", pw_bytes_of(to));
		ck_assert(rig_phase(&r, PW_PHASE_RCPT, 1000));
	}
	rig_message(&r, MESSAGE, sizeof(MESSAGE) - 1);
	ck_assert(rig_phase(&r, PW_PHASE_BODY, 1000));
	was = pw_pipe_result(r.pipe);
	ck_assert_uint_eq(was->action, PW_VERDICT_HOLD); /* slow's rule */
	ck_assert_uint_gt(was->recording.len, 100);
	for (int i = 0; i < 3; i++) {
		j = rejudge(was->recording, r.dns, sizeof(MESSAGE) - 1);
		must_equal(was, again);
		ck_assert(!pw_rejudge_prdr(j));
		for (int k = 0; k < 3; k++) {
			struct pw_list_entry block = { .id = 1,
				.kind = PW_LIST_BLOCK, .what = PW_LIST_ADDRESS,
				.action = PW_VERDICT_JUNK, .pattern = "b",
				.comment = "" };

			v = pw_rejudge_verdict(j, PW_LIT("u1@example.test"),
			    "u1@example.test", &block, k == 1);
			ck_assert_uint_eq(v->action, k == 1 ?
			    PW_VERDICT_JUNK : PW_VERDICT_HOLD);
		}
		pw_rejudge_free(&j);
	}
	/* Another message is not the one that was judged. */
	j = rejudge(was->recording, r.dns, 5);
	ck_assert_ptr_null(again);
	pw_rejudge_free(&j);
	rig_close(&r);
}
END_TEST

START_TEST(real_stages)
{
	const struct pw_pipe_result *was;
	struct pw_dns_set *none;
	struct pw_rejudge *j;

	rig_open(&r, "default", NULL, 0);
	rig_answer(&r, "pass.test", PW_DNS_TXT, 0,
	    "v=spf1 ip4:192.0.2.10 -all");
	rig_answer(&r, "pass.test", PW_DNS_MX, 1, NULL);
	rig_answer(&r, "h.test", PW_DNS_TXT, 1, NULL);
	rig_answer(&r, "10.2.0.192.in-addr.arpa", PW_DNS_PTR, 2, NULL);
	was = rig_judge(&r, "192.0.2.10", "h.test", "a@pass.test", MESSAGE,
	    sizeof(MESSAGE) - 1);
	ck_assert(rig_has(was, "SPF_PASS"));
	j = rejudge(was->recording, was->dns, sizeof(MESSAGE) - 1);
	must_equal(was, again);
	pw_rejudge_free(&j);
	/* Without the answers it could not run, and says what it lacked. */
	none = pw_dns_set_new(r.pool);
	j = rejudge(was->recording, none, sizeof(MESSAGE) - 1);
	ck_assert_ptr_nonnull(again);
	ck_assert(!rig_has(again, "SPF_PASS"));
	bool found = false;
	for (size_t i = 0; i < again->nrun; i++)
		found |= strcmp(again->run[i].reason,
		    "not recorded: PTR 10.2.0.192.in-addr.arpa") == 0;
	ck_assert(found);
	pw_rejudge_free(&j);
	rig_close(&r);
}
END_TEST

/* No part of a recording is one; no changed octet does harm. */
START_TEST(damaged)
{
	const struct pw_pipe_result *was;
	struct pw_bytes rec;
	struct pw_rejudge *j;

	rig_open(&r, "default", NULL, 0);
	was = rig_judge(&r, "192.0.2.10", "h.test", "a@pass.test", MESSAGE,
	    sizeof(MESSAGE) - 1);
	rec = was->recording;
	for (size_t n = 0; n < rec.len; n++) {
		char *copy = malloc(n + 1);

		memcpy(copy, rec.ptr, n);
		j = rejudge(pw_bytes(copy, n), r.dns, sizeof(MESSAGE) - 1);
		ck_assert_ptr_null(again);
		pw_rejudge_free(&j);
		free(copy);
	}
	for (size_t i = 0; i < rec.len; i++) {
		char *copy = malloc(rec.len);

		memcpy(copy, rec.ptr, rec.len);
		copy[i] ^= 0x15;
		j = rejudge(pw_bytes(copy, rec.len), r.dns,
		    sizeof(MESSAGE) - 1);
		pw_rejudge_free(&j);
		free(copy);
	}
	rig_close(&r);
}
END_TEST

/* More than a recording holds: none is kept, and nothing else suffers. */
START_TEST(too_much)
{
	char to[600];

	begin_own();
	rig_session(&r, "192.0.2.10", false);
	rig_mail(&r, "h.test", "a@pass.test");
	memset(to, 'x', sizeof(to));
	for (int i = 0; i < 300; i++)
		pw_pipe_text(r.pipe, "rcpt.address", pw_bytes(to, sizeof(to)));
	rig_message(&r, MESSAGE, sizeof(MESSAGE) - 1);
	ck_assert(rig_phase(&r, PW_PHASE_BODY, 1000));
	ck_assert_uint_eq(pw_pipe_result(r.pipe)->recording.len, 0);
	ck_assert_ptr_null(rejudge(PW_LIT(""), r.dns, 5));
	rig_close(&r);
}
END_TEST

START_TEST(so_far)
{
	const struct pw_pipe_result *res;
	struct pw_pool *pool = pw_pool_new(0);

	begin_own();
	rig_session(&r, "192.0.2.10", false);
	ck_assert(rig_phase(&r, PW_PHASE_CONNECT, 1000));
	res = pw_pipe_so_far(r.pipe, pool);
	ck_assert_uint_eq(res->nevidence, 1);
	rig_mail(&r, "h.test", "a@pass.test");
	ck_assert(rig_phase(&r, PW_PHASE_MAIL, 1000));
	res = pw_pipe_so_far(r.pipe, pool);
	ck_assert_uint_eq(res->nevidence, 2);
	ck_assert_uint_eq(res->nrun, 3);
	pw_pool_free(&pool);
	rig_close(&r);
}
END_TEST

Suite *pw_suite_filters_rejudge(void);
Suite *
pw_suite_filters_rejudge(void)
{
	Suite *s = suite_create("filters/rejudge");
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, the_same);
	tcase_add_test(t, real_stages);
	tcase_add_test(t, damaged);
	tcase_add_test(t, too_much);
	tcase_add_test(t, so_far);
	suite_add_tcase(s, t);
	return s;
}
