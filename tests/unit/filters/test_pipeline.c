/* SPDX-License-Identifier: ISC */
/*
 * The pipeline with stages made for the purpose: tickets answered in time,
 * late, twice and never; a stage that crashes the order of things.
 */
#include <check.h>

#include "rig.h"

Suite *pw_suite_filters_pipeline(void);

static struct rig r;
static struct pw_ticket last;
static unsigned runs, cancels;
static bool answered;

static enum pw_run
async_run(void *instance, struct pw_ctx *ctx, enum pw_phase phase)
{
	(void)instance;
	(void)phase;
	runs++;
	if (answered) {
		pw_host_table()->evidence(ctx, "LATE", 2, "answered");
		return PW_RUN_NEXT;
	}
	last = pw_host_table()->ticket(ctx);
	pw_host_table()->evidence(ctx, "LATE", 1, "dropped");
	return PW_RUN_PENDING;
}

static void
async_cancel(void *instance, struct pw_ctx *ctx)
{
	(void)instance;
	(void)ctx;
	cancels++;
}

static const struct pw_symbol symbols[] = { { "LATE", 1.5, "x" },
	{ NULL, 0, NULL } };
static const struct pw_stage async = { .size = sizeof(struct pw_stage),
	.abi = PW_STAGE_ABI, .features = PW_STAGE_FEATURES, .name = "async",
	.phases = PW_PHASE_BIT(PW_PHASE_MAIL), .symbols = symbols,
	.roles = PW_ROLE_FRONT, .role = PW_ROLE_FRONT, .flags = PW_FLAG_ASYNC,
	.scope = PW_SCOPE_MESSAGE, .on_error = PW_ERR_TEMPFAIL,
	.timeout_ms = 50, .run = async_run, .cancel = async_cancel };
static const struct pw_stage *const table[] = { &async };

static void
begin(void)
{
	runs = cancels = 0;
	answered = false;
	rig_open(&r, "none", NULL, 0);
	r.listener.stages.v[0] = "async";
	pw_weights_free(&r.p->weights);
	pw_registry_free(&r.p->reg);
	ck_assert_int_eq(pw_registry_with(r.cfg, PW_ROLE_FRONT, table, 1,
	    &r.p->reg, &(struct pw_err){ 0 }), 0);
	ck_assert_int_eq(pw_weights_new(r.cfg, r.p->reg, &r.p->weights,
	    &(struct pw_err){ 0 }), 0);
	rig_session(&r, "192.0.2.1", false);
	rig_mail(&r, "x", "a@b.test");
}

START_TEST(test_ticket_answered_twice)
{
	const struct pw_pipe_result *res;
	uint64_t before;

	begin();
	ck_assert(!rig_phase(&r, PW_PHASE_MAIL, 5));
	before = pw_ticket_rejected();
	answered = true;
	pw_host_table()->finish(last);
	pw_host_table()->finish(last);
	for (int i = 0; i < 5; i++)
		pw_loop_step(r.loop, 1);
	ck_assert_uint_eq(r.calls, 1);
	ck_assert_uint_eq(runs, 2);
	pw_host_table()->finish(last);
	ck_assert_uint_eq(pw_ticket_rejected(), before + 2);
	res = pw_pipe_result(r.pipe);
	ck_assert_uint_eq(res->nevidence, 1);
	ck_assert_double_eq_tol(res->score, 3.0, 1e-9);
	rig_close(&r);
}
END_TEST

START_TEST(test_ticket_never)
{
	const struct pw_pipe_result *res;

	begin();
	ck_assert(rig_phase(&r, PW_PHASE_MAIL, 1000));
	ck_assert_uint_eq(cancels, 1);
	res = pw_pipe_result(r.pipe);
	ck_assert_str_eq(res->run[0].reason, "time limit");
	ck_assert_int_eq(res->action, PW_VERDICT_DEFER);
	ck_assert_uint_eq(res->nevidence, 0);
	pw_host_table()->finish(last);
	pw_loop_step(r.loop, 1);
	ck_assert_uint_eq(r.calls, 1);
	rig_close(&r);
}
END_TEST

START_TEST(test_ticket_after_reset)
{
	begin();
	ck_assert(!rig_phase(&r, PW_PHASE_MAIL, 5));
	pw_host_table()->finish(last); /* posted, not delivered yet */
	pw_pipe_reset(r.pipe);
	pw_loop_step(r.loop, 1);
	pw_host_table()->finish(last);
	ck_assert_uint_eq(r.calls, 0);
	ck_assert_uint_eq(cancels, 1);
	rig_close(&r);
}
END_TEST

Suite *
pw_suite_filters_pipeline(void)
{
	Suite *s = suite_create("filters/pipeline");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, test_ticket_answered_twice);
	tcase_add_test(tc, test_ticket_never);
	tcase_add_test(tc, test_ticket_after_reset);
	suite_add_tcase(s, tc);
	return s;
}
