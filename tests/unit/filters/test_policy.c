/* SPDX-License-Identifier: ISC */
#include <check.h>

#include "filters/policy.h"

Suite *pw_suite_filters_policy(void);

START_TEST(test_steps)
{
	static const struct {
		const char *symbol;
		double weight;
		bool shadow, crashed;
		uint8_t on_error; /* of a stage that could not run; 0: none */
		int spf_fail;
		int64_t junk, hold, refuse;
		uint8_t action;
		const char *reply;
	} t[] = {
		{ "X", 1, 0, 0, 0, 0, 0, 0, 0, PW_VERDICT_DELIVER, "" },
		{ "X", 1, 0, 0, 0, 0, 100, 0, 0, PW_VERDICT_JUNK, "" },
		{ "X", 1, 0, 0, 0, 0, 101, 0, 0, PW_VERDICT_DELIVER, "" },
		{ "X", 1, 1, 0, 0, 0, 100, 0, 0, PW_VERDICT_DELIVER, "" },
		{ "X", 2, 0, 0, 0, 0, 100, 200, 0, PW_VERDICT_HOLD, "" },
		{ "X", 3, 0, 0, 0, 0, 100, 200, 300, PW_VERDICT_REFUSE,
		    "550 5.7.1 " },
		{ "SPF_FAIL", 0, 0, 0, 0, 0, 0, 0, 0, PW_VERDICT_DELIVER, "" },
		{ "SPF_FAIL", 0, 0, 0, 0, 1, 0, 0, 0, PW_VERDICT_JUNK, "" },
		{ "SPF_FAIL", 0, 0, 0, 0, 2, 0, 0, 0, PW_VERDICT_HOLD, "" },
		{ "SPF_FAIL", 0, 0, 0, 0, 3, 0, 0, 0, PW_VERDICT_REFUSE,
		    "550 5.7.23 " },
		{ "SPF_FAIL", 0, 1, 0, 0, 3, 0, 0, 0, PW_VERDICT_DELIVER, "" },
		{ "SPF_PERMERROR", 0, 0, 0, 0, 0, 0, 0, 0, PW_VERDICT_DELIVER,
		    "" },
		{ "SPF_PERMERROR", 0, 0, 0, 0, 3, 0, 0, 0, PW_VERDICT_REFUSE,
		    "550 5.7.24 " },
		{ "SPF_TEMPERROR", 0, 0, 0, 0, 0, 0, 0, 0, PW_VERDICT_DELIVER,
		    "" },
		{ "SPF_TEMPERROR", 0, 0, 0, 0, 3, 0, 0, 0, PW_VERDICT_DEFER,
		    "451 4.7.24 " },
		{ "DMARC_FAIL_REJECT", 0, 0, 0, 0, 0, 0, 0, 0,
		    PW_VERDICT_HOLD, "" },
		{ "DMARC_FAIL_REJECT", 0, 1, 0, 0, 0, 0, 0, 0,
		    PW_VERDICT_DELIVER, "" },
		{ "DMARC_FAIL_QUARANTINE", 0, 0, 0, 0, 0, 0, 0, 0,
		    PW_VERDICT_JUNK, "" },
		{ "DMARC_FAIL_QUARANTINE", 9, 0, 0, 0, 0, 0, 100, 0,
		    PW_VERDICT_HOLD, "" },
		{ "DMARC_FAIL_NONE", 0, 0, 0, 0, 0, 0, 0, 0,
		    PW_VERDICT_DELIVER, "" },
		{ "DMARC_TEMPERROR", 0, 0, 0, 0, 0, 0, 0, 0,
		    PW_VERDICT_DELIVER, "" },
		{ "DMARC_REFUSE", 0, 0, 0, 0, 0, 0, 0, 0, PW_VERDICT_REFUSE,
		    "550 5.7.26 " },
		{ "NULL_MX", 0, 0, 0, 0, 0, 0, 0, 0, PW_VERDICT_REFUSE,
		    "550 5.7.27 " },
		{ "AUTHRES_FLOOD", 0, 0, 0, 0, 0, 0, 0, 0, PW_VERDICT_REFUSE,
		    "554 5.6.0 " },
		{ "X", 0, 0, 0, PW_ERR_SKIP, 0, 0, 0, 0, PW_VERDICT_DELIVER,
		    "" },
		{ "X", 0, 0, 0, PW_ERR_HOLD, 0, 0, 0, 0, PW_VERDICT_HOLD, "" },
		{ "X", 9, 0, 0, PW_ERR_TEMPFAIL, 0, 0, 0, 1, PW_VERDICT_DEFER,
		    "451 4.7.1 " },
		{ "SPF_FAIL", 9, 0, 0, PW_ERR_TEMPFAIL, 3, 0, 0, 1,
		    PW_VERDICT_REFUSE, "550 5.7.23 " },
		{ "SPF_FAIL", 9, 0, 1, PW_ERR_TEMPFAIL, 3, 0, 0, 1,
		    PW_VERDICT_DEFER, "451 4.7.1 " },
	};

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		struct pw_config *cfg = pw_config_defaults();
		struct pw_pipe_evidence e = { .stage = "s",
			.symbol = t[i].symbol, .weight = t[i].weight,
			.shadow = t[i].shadow };
		struct pw_policy_run run = { "s", "time limit",
			t[i].on_error != 0 ? 3 : 0, t[i].on_error, false };
		struct pw_policy_in in = { cfg, &e, 1, &run, 1,
			t[i].crashed };
		struct pw_verdict v;

		cfg->policy.spf_fail = t[i].spf_fail;
		cfg->policy.spf_permerror = t[i].spf_fail == 3;
		cfg->policy.spf_temperror = t[i].spf_fail == 3;
		cfg->policy.null_mx = 1;
		cfg->policy.junk_score = t[i].junk;
		cfg->policy.hold_score = t[i].hold;
		cfg->policy.refuse_score = t[i].refuse;
		pw_policy_decide(&in, &v);
		ck_assert_msg(v.action == t[i].action, "row %zu: %u", i,
		    v.action);
		ck_assert_msg(strncmp(v.reply, t[i].reply,
		    strlen(t[i].reply)) == 0 && (t[i].reply[0] != '\0') ==
		    (v.reply[0] != '\0'), "row %zu: %s", i, v.reply);
		ck_assert(v.step[0] != '\0');
		pw_config_free(&cfg);
	}
}
END_TEST

/* The words of the sender's side, only with a fail and only plain ones. */
START_TEST(test_explanation)
{
	static const struct {
		const char *text, *reply;
		bool shadow;
	} t[] = { { "a.test explains: see http://a.test/", "550 5.7.23 SPF "
		    "validation failed; a.test explains: see http://a.test/",
		    false },
		{ "a.test explains: x", "550 5.7.23 SPF validation failed",
		    true },
		{ "a\r\n250 ok", "550 5.7.23 SPF validation failed", false },
		{ "\xc3\xb6", "550 5.7.23 SPF validation failed", false },
		{ "", "550 5.7.23 SPF validation failed", false } };
	static char big[600];

	memset(big, 'x', sizeof(big) - 1);
	for (size_t i = 0; i <= PW_COUNT(t); i++) {
		bool last = i == PW_COUNT(t);
		struct pw_config *cfg = pw_config_defaults();
		struct pw_pipe_evidence e[] = { { .stage = "spf",
			.symbol = "SPF_EXPLANATION", .text = pw_bytes_of(last ?
			big : t[i].text), .shadow = !last && t[i].shadow },
			{ .stage = "spf", .symbol = "SPF_FAIL" } };
		struct pw_policy_in in = { cfg, e, 2, NULL, 0, false };
		struct pw_verdict v;

		cfg->policy.spf_fail = 3;
		pw_policy_decide(&in, &v);
		ck_assert_str_eq(v.reply, t[last ? 1 : i].reply);
		cfg->policy.spf_fail = 0;
		pw_policy_decide(&in, &v);
		ck_assert_str_eq(v.reply, "");
		pw_config_free(&cfg);
	}
}
END_TEST

Suite *
pw_suite_filters_policy(void)
{
	Suite *s = suite_create("filters/policy");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, test_steps);
	tcase_add_test(tc, test_explanation);
	suite_add_tcase(s, tc);
	return s;
}
