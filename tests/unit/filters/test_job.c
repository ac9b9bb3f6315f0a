/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>

#include "filters/job.h"
#include "rig.h"

Suite *pw_suite_filters_job(void);

static struct rig r;
static struct pw_job_item item;

/* Encoded results of one run of the structure stage. */
static struct pw_bytes
results(struct pw_enc *e, const char *symbol, double factor, uint64_t offset,
    const char *need)
{
	struct pw_out_evidence ev = { NULL, symbol, factor, PW_LIT("text") };
	struct pw_out_authres ar = { NULL, "x", "pass", "a.b=c", "why" };
	struct pw_out_field field = { NULL, "X-Test", "value" };
	struct pw_cut cut = { offset, 10 };
	struct pw_out_need n = { need, PW_DNS_TXT };
	struct pw_out o = { .state = PW_OUTCOME_HIT, .reason = "",
		.evidence = &ev, .nevidence = 1, .authres = &ar, .nauthres = 1,
		.field = &field, .nfield = 1, .cut = &cut, .ncut = 1,
		.need = &n, .nneed = 1 };

	pw_enc_reset(e);
	pw_results_begin(e, 1);
	pw_result_enc(e, &r.p->reg->v[item.stage], item.phase, &o);
	return pw_enc_done(e);
}

static int
decode(struct pw_bytes in, struct pw_out *out)
{
	struct pw_pool *pool = pw_pool_new(0);
	int rc = pw_results_dec(in, r.p->reg, &item, 1, 100, pool, out);

	if (rc == 0)
		ck_assert_uint_eq(out->nevidence, 1);
	pw_pool_free(&pool);
	return rc;
}

START_TEST(test_results)
{
	struct pw_enc e;
	struct pw_out out;
	struct pw_bytes b;
	char *copy;

	rig_open(&r, "default", NULL, 0);
	item = (struct pw_job_item){ (uint8_t)pw_registry_find(r.p->reg,
	    "structure"), PW_PHASE_BODY };
	pw_enc_init(&e, 1u << 16);
	b = results(&e, "MIME_COMPLEX", 1, 90, "a.test");
	ck_assert_int_eq(decode(b, &out), 0);
	for (size_t i = 0; i < b.len; i++)
		ck_assert_int_eq(decode(pw_bytes_sub(b, 0, i), &out), -1);
	copy = malloc(b.len);
	for (size_t i = 0; i < b.len * 8; i++) {
		memcpy(copy, b.ptr, b.len);
		copy[i / 8] = (char)(copy[i / 8] ^ (1 << i % 8));
		(void)decode(pw_bytes(copy, b.len), &out);
	}
	free(copy);
	ck_assert_int_eq(decode(results(&e, "SPF_PASS", 1, 90, "a.test"),
	    &out), -1);
	ck_assert_int_eq(decode(results(&e, "MIME_COMPLEX", 1e9, 90, "a.test"),
	    &out), -1);
	ck_assert_int_eq(decode(results(&e, "MIME_COMPLEX", 1, 91, "a.test"),
	    &out), -1);
	ck_assert_int_eq(decode(results(&e, "MIME_COMPLEX", 1, 90, "a..b"),
	    &out), -1);
	item.stage = (uint8_t)pw_registry_find(r.p->reg, "dkim");
	ck_assert_int_eq(decode(results(&e, "DKIM_PASS", 1, 90, "a.test"),
	    &out), -1);
	pw_enc_free(&e);
	rig_close(&r);
}
END_TEST

START_TEST(test_jobs)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_facts f = { 0 };
	struct pw_fact v = { .type = PW_FACT_TEXT, .text = { "x", 1 } };
	struct pw_env env = { .pool = pool, .fact = { &f }, .now_us = 7 };
	struct pw_enc e;
	struct pw_job job;
	struct pw_bytes b;

	rig_open(&r, "default", NULL, 0);
	pw_facts_set(&f, pool, "helo.name", 0, &v);
	item = (struct pw_job_item){ (uint8_t)pw_registry_find(r.p->reg,
	    "spf"), PW_PHASE_MAIL };
	pw_enc_init(&e, 1u << 16);
	pw_job_enc(&e, r.p->reg, &item, 1, &env);
	b = pw_enc_done(&e);
	ck_assert_int_eq(pw_job_dec(b, r.p->reg, pool, &job), 0);
	ck_assert_uint_eq(job.n, 1);
	ck_assert_uint_eq(job.item[0].stage, item.stage);
	ck_assert_int_eq(job.now_us, 7);
	ck_assert_ptr_nonnull(pw_facts_get(&job.facts, "helo.name", 0));
	for (size_t i = 0; i < b.len; i++)
		ck_assert_int_eq(pw_job_dec(pw_bytes_sub(b, 0, i), r.p->reg,
		    pool, &job), -1);
	pw_enc_free(&e);
	pw_pool_free(&pool);
	rig_close(&r);
}
END_TEST

Suite *
pw_suite_filters_job(void)
{
	Suite *s = suite_create("filters/job");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, test_results);
	tcase_add_test(tc, test_jobs);
	suite_add_tcase(s, tc);
	return s;
}
