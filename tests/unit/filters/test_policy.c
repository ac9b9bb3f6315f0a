/* SPDX-License-Identifier: ISC */
#include <check.h>

#include "filters/policy.h"
#include "filters/settle.h"
#include "filters/weights.h"

Suite *pw_suite_filters_policy(void);

#define ASKS(a) ((a) + 1)

START_TEST(test_steps)
{
	static const struct {
		const char *symbol;
		double weight;
		uint8_t asks;
		bool shadow, crashed;
		uint8_t on_error; /* of a stage that could not run; 0: none */
		int64_t junk, hold, keep, refuse;
		uint8_t action;
		const char *reply;
	} t[] = {
		{ "X", 1, 0, 0, 0, 0, 0, 0, 0, 0, PW_VERDICT_DELIVER, "" },
		{ "X", 1, 0, 0, 0, 0, 100, 0, 0, 0, PW_VERDICT_JUNK, "" },
		{ "X", 1, 0, 0, 0, 0, 101, 0, 0, 0, PW_VERDICT_DELIVER, "" },
		{ "X", 1, 0, 1, 0, 0, 100, 0, 0, 0, PW_VERDICT_DELIVER, "" },
		{ "X", 2, 0, 0, 0, 0, 100, 200, 0, 0, PW_VERDICT_HOLD, "" },
		{ "X", 3, 0, 0, 0, 0, 100, 200, 300, 0,
		    PW_VERDICT_REFUSE_KEEP, "550 5.7.1 " },
		{ "X", 4, 0, 0, 0, 0, 100, 200, 300, 400, PW_VERDICT_REFUSE,
		    "550 5.7.1 " },
		{ "SPF_FAIL", 0, 0, 0, 0, 0, 0, 0, 0, 0, PW_VERDICT_DELIVER,
		    "" },
		{ "SPF_FAIL", 0, ASKS(PW_VERDICT_REFUSE), 0, 0, 0, 0, 0, 0, 0,
		    PW_VERDICT_REFUSE, "550 5.7.23 " },
		{ "SPF_FAIL", 0, ASKS(PW_VERDICT_REFUSE), 1, 0, 0, 0, 0, 0, 0,
		    PW_VERDICT_DELIVER, "" },
		{ "SPF_PERMERROR", 0, ASKS(PW_VERDICT_REFUSE), 0, 0, 0, 0, 0,
		    0, 0, PW_VERDICT_REFUSE, "550 5.7.24 " },
		{ "SPF_TEMPERROR", 0, ASKS(PW_VERDICT_DEFER), 0, 0, 0, 0, 0,
		    0, 0, PW_VERDICT_DEFER, "451 4.7.24 " },
		{ "NULL_MX", 0, ASKS(PW_VERDICT_REFUSE), 0, 0, 0, 0, 0, 0, 0,
		    PW_VERDICT_REFUSE, "550 5.7.27 " },
		{ "DMARC_FAIL_REJECT", 0, ASKS(PW_VERDICT_REFUSE_KEEP), 0, 0,
		    0, 0, 0, 0, 0, PW_VERDICT_REFUSE_KEEP, "550 5.7.1 the d" },
		{ "DMARC_REFUSE", 0, ASKS(PW_VERDICT_REFUSE), 0, 0, 0, 0, 0, 0,
		    0, PW_VERDICT_REFUSE, "550 5.7.26 " },
		{ "AUTHRES_FLOOD", 0, 0, 0, 0, 0, 0, 0, 0, 0,
		    PW_VERDICT_REFUSE, "554 5.6.0 " },
		{ "X", 0, ASKS(PW_VERDICT_JUNK), 0, 0, 0, 0, 0, 0, 0,
		    PW_VERDICT_JUNK, "" },
		{ "X", 5, ASKS(PW_VERDICT_JUNK), 0, 0, 0, 0, 400, 0, 0,
		    PW_VERDICT_HOLD, "" },
		{ "X", 0, ASKS(PW_VERDICT_DEFER), 0, 0, 0, 0, 0, 0, 0,
		    PW_VERDICT_DEFER, "451 4.7.1 " },
		{ "X", 5, ASKS(PW_VERDICT_DISCARD), 0, 0, 0, 0, 400, 0, 0,
		    PW_VERDICT_DISCARD, "" },
		{ "X", 0, 0, 0, 0, PW_ERR_SKIP, 0, 0, 0, 0,
		    PW_VERDICT_DELIVER, "" },
		{ "X", 0, 0, 0, 0, PW_ERR_HOLD, 0, 0, 0, 0, PW_VERDICT_HOLD,
		    "" },
		{ "X", 9, 0, 0, 0, PW_ERR_TEMPFAIL, 0, 0, 0, 1,
		    PW_VERDICT_DEFER, "451 4.7.1 " },
		{ "SPF_FAIL", 9, ASKS(PW_VERDICT_REFUSE), 0, 0,
		    PW_ERR_TEMPFAIL, 0, 0, 0, 1, PW_VERDICT_REFUSE,
		    "550 5.7.23 " },
		{ "SPF_FAIL", 9, ASKS(PW_VERDICT_REFUSE), 0, 1,
		    PW_ERR_TEMPFAIL, 0, 0, 0, 1, PW_VERDICT_DEFER,
		    "451 4.7.1 " },
	};

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		struct pw_config *cfg = pw_config_defaults();
		struct pw_pipe_evidence e = { .stage = "s",
			.symbol = t[i].symbol, .weight = t[i].weight,
			.asks = t[i].asks, .shadow = t[i].shadow };
		struct pw_policy_run run = { "s", "time limit",
			t[i].on_error != 0 ? 3 : 0, t[i].on_error, false,
			false };
		struct pw_policy_in in = { .cfg = cfg, .evidence = &e,
			.nevidence = 1, .run = &run, .nrun = 1,
			.crashed_first = t[i].crashed,
			.limit = { t[i].junk, t[i].hold, t[i].keep,
			    t[i].refuse, "policy" } };
		struct pw_verdict v;

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
		struct pw_policy_in in = { .cfg = cfg, .evidence = e,
			.nevidence = 2 };
		struct pw_verdict v;

		e[1].asks = ASKS(PW_VERDICT_REFUSE);
		pw_policy_decide(&in, &v);
		ck_assert_str_eq(v.reply, t[last ? 1 : i].reply);
		e[1].asks = 0;
		pw_policy_decide(&in, &v);
		ck_assert_str_eq(v.reply, "");
		pw_config_free(&cfg);
	}
}
END_TEST

/* ---- lists ---------------------------------------------------------------------- */

#define ALLOW(what, scope, pattern)                                          \
	{ 1, PW_LIST_ALLOW, PW_LIST_##what, PW_LIST_FOR_##scope, 0, pattern, "" }
#define BLOCK(what, scope, pattern, action)                                  \
	{ 2, PW_LIST_BLOCK, PW_LIST_##what, PW_LIST_FOR_##scope,             \
		PW_VERDICT_##action, pattern, "why" }

START_TEST(test_lists)
{
	static const struct {
		struct pw_list_entry entry[2];
		const char *auth;    /* a domain that authenticated */
		const char *symbol;  /* of evidence that asks for junk */
		bool malware;
		uint8_t failed;      /* rule of a malware stage that failed */
		uint8_t action;
		const char *step;    /* part of it */
	} t[] = {
		{ { ALLOW(NETWORK, ALL, "192.0.2.0/24") }, "", "X", 0, 0,
		    PW_VERDICT_DELIVER, "without it: junk, X asks" },
		{ { ALLOW(DOMAIN, ALL, "good.test") }, "good.test", "X", 0, 0,
		    PW_VERDICT_DELIVER, "good.test authenticated" },
		{ { ALLOW(DOMAIN, ALL, "good.test") }, "M.Good.Test", "X", 0, 0,
		    PW_VERDICT_DELIVER, "M.Good.Test authenticated" },
		{ { ALLOW(DOMAIN, ALL, "good.test") }, "", "X", 0, 0,
		    PW_VERDICT_JUNK, "does not count: the domain did not" },
		{ { ALLOW(DOMAIN, ALL, "good.test") }, "evilgood.test", "X", 0,
		    0, PW_VERDICT_JUNK, "does not count" },
		{ { ALLOW(DOMAIN, ALL, "m.good.test") }, "good.test", "X", 0,
		    0, PW_VERDICT_JUNK, "does not count" },
		{ { ALLOW(ADDRESS, MAILBOX, "a@good.test") }, "good.test", "X",
		    0, 0, PW_VERDICT_DELIVER, "entry 1 of the recipient (a@" },
		{ { ALLOW(ADDRESS, MAILBOX, "a@good.test") }, "test", "X",
		    0, 0, PW_VERDICT_JUNK, "does not count" },
		/* allow goes before block, whatever their scopes are */
		{ { ALLOW(NETWORK, ALL, "192.0.2.0/24"),
		    BLOCK(ADDRESS, MAILBOX, "a@b.test", REFUSE) }, "", "Y", 0,
		    0, PW_VERDICT_DELIVER, "it goes before block entry 2" },
		{ { ALLOW(DOMAIN, MAILBOX, "b.test"),
		    BLOCK(ADDRESS, ALL, "a@b.test", HOLD) }, "", "Y", 0, 0,
		    PW_VERDICT_HOLD, "does not count" },
		/* malware goes before all */
		{ { ALLOW(NETWORK, MAILBOX, "192.0.2.0/24") }, "", "VIRUS", 1,
		    0, PW_VERDICT_REFUSE, "does not help against that" },
		{ { BLOCK(NETWORK, MAILBOX, "192.0.2.0/24", JUNK) }, "",
		    "VIRUS", 1, 0, PW_VERDICT_REFUSE, "malware: VIRUS" },
		{ { ALLOW(NETWORK, MAILBOX, "192.0.2.0/24") }, "", "Y", 0,
		    PW_ERR_TEMPFAIL, PW_VERDICT_DEFER, "could not run" },
		{ { ALLOW(NETWORK, MAILBOX, "192.0.2.0/24") }, "", "Y", 0,
		    PW_ERR_HOLD, PW_VERDICT_HOLD, "could not run" },
		{ { ALLOW(NETWORK, MAILBOX, "192.0.2.0/24") }, "",
		    "AUTHRES_FLOOD", 0, 0, PW_VERDICT_REFUSE, "forged" },
		/* the nearest scope first */
		{ { BLOCK(DOMAIN, ALL, "b.test", REFUSE),
		    BLOCK(DOMAIN, DOMAIN, "b.test", JUNK) }, "", "Y", 0, 0,
		    PW_VERDICT_JUNK, "of the recipient's domain" },
		{ { BLOCK(DOMAIN, DOMAIN, "b.test", JUNK),
		    BLOCK(DOMAIN, MAILBOX, "b.test", HOLD) }, "", "Y", 0, 0,
		    PW_VERDICT_HOLD, "\"why\": hold" },
		{ { BLOCK(DOMAIN, ALL, "b.test", DEFER) }, "", "Y", 0, 0,
		    PW_VERDICT_DEFER, "block entry 2 for all" },
		{ { BLOCK(DOMAIN, ALL, "b.test", DISCARD) }, "", "Y", 0, 0,
		    PW_VERDICT_DISCARD, "discard" },
	};

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		struct pw_config *cfg = pw_config_defaults();
		struct pw_pipe_evidence e = { .stage = "s",
			.symbol = t[i].symbol, .malware = t[i].malware,
			.asks = strcmp(t[i].symbol, "X") == 0
			    ? ASKS(PW_VERDICT_JUNK) : 0, .text = PW_LIT("t") };
		struct pw_policy_run run = { "clam", "crashed",
			t[i].failed != 0 ? 3 : 0, t[i].failed, false, true };
		struct pw_policy_in in = { .cfg = cfg, .evidence = &e,
			.nevidence = 1, .run = &run, .nrun = 1,
			.entry = t[i].entry,
			.nentry = t[i].entry[1].id != 0 ? 2 : 1,
			.auth = &t[i].auth,
			.nauth = t[i].auth[0] != '\0' ? 1 : 0 };
		struct pw_verdict v;

		pw_policy_decide(&in, &v);
		ck_assert_msg(v.action == t[i].action, "row %zu: %u, %s", i,
		    v.action, v.step);
		ck_assert_msg(strstr(v.step, t[i].step) != NULL, "row %zu: %s",
		    i, v.step);
		pw_config_free(&cfg);
	}
}
END_TEST

/* Evidence on one recipient is that one's only. */
START_TEST(test_recipient_scope)
{
	struct pw_config *cfg = pw_config_defaults();
	struct pw_pipe_evidence e = { .stage = "s", .symbol = "X",
		.weight = 5, .rcpt = 2, .scope = PW_SCOPE_RECIPIENT };
	struct pw_policy_in in = { .cfg = cfg, .evidence = &e, .nevidence = 1,
		.limit = { .junk = 300 } };
	struct pw_verdict v;

	for (in.rcpt = 0; in.rcpt < 4; in.rcpt++) {
		pw_policy_decide(&in, &v);
		ck_assert_uint_eq(v.action, in.rcpt == 2 ? PW_VERDICT_JUNK :
		    PW_VERDICT_DELIVER);
		ck_assert_double_eq_tol(v.score, in.rcpt == 2 ? 5 : 0, 1e-9);
	}
	pw_config_free(&cfg);
}
END_TEST

START_TEST(test_early)
{
	static const struct pw_list_entry allow = ALLOW(DOMAIN, ALL, "a.test"),
	    block = BLOCK(DOMAIN, ALL, "a.test", REFUSE),
	    junk = BLOCK(DOMAIN, ALL, "a.test", JUNK);
	static const struct {
		uint8_t asks;
		const struct pw_list_entry *entry;
		bool may_allow, early;
		uint8_t action;
	} t[] = {
		{ 0, NULL, false, false, 0 },
		{ ASKS(PW_VERDICT_REFUSE), NULL, false, true,
		    PW_VERDICT_REFUSE },
		{ ASKS(PW_VERDICT_DEFER), NULL, false, true,
		    PW_VERDICT_DEFER },
		{ ASKS(PW_VERDICT_HOLD), NULL, false, false, 0 },
		{ ASKS(PW_VERDICT_REFUSE_KEEP), NULL, false, false, 0 },
		{ ASKS(PW_VERDICT_REFUSE), NULL, true, false, 0 },
		{ ASKS(PW_VERDICT_REFUSE), &allow, false, false, 0 },
		{ 0, &block, false, true, PW_VERDICT_REFUSE },
		{ 0, &block, true, false, 0 },
		{ ASKS(PW_VERDICT_REFUSE), &junk, false, false, 0 },
	};
	struct pw_config *cfg = pw_config_defaults();

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		struct pw_pipe_evidence e = { .stage = "s", .symbol = "X",
			.asks = t[i].asks };
		struct pw_policy_in in = { .cfg = cfg, .evidence = &e,
			.nevidence = 1, .entry = t[i].entry,
			.nentry = t[i].entry != NULL };
		struct pw_verdict v;
		bool early = pw_policy_early(&in, t[i].may_allow, &v);

		ck_assert_msg(early == t[i].early, "row %zu", i);
		ck_assert_msg(!early || (v.action == t[i].action &&
		    v.reply[0] != '\0'), "row %zu: %u", i, v.action);
	}
	pw_config_free(&cfg);
}
END_TEST

/* ---- actions of symbols, thresholds ------------------------------------------------- */

static const struct pw_symbol symbols[] = {
	{ "DMARC_FAIL_QUARANTINE", 0, "q" }, { "DMARC_FAIL_REJECT", 0, "r" },
	{ "SPF_FAIL", 2, "s" }, { "NULL_MX", 5, "n" }, { "VIRUS", 0, "v" },
	{ NULL, 0, NULL } };
static const char *const virus[] = { "VIRUS", NULL };
static const struct pw_stage stage = { .name = "s", .symbols = symbols,
	.malware = virus };

START_TEST(test_actions)
{
	static const struct {
		const char *action, *symbol;
		int asks; /* -1: the configuration is wrong */
	} t[] = {
		{ NULL, "DMARC_FAIL_QUARANTINE", ASKS(PW_VERDICT_JUNK) },
		{ NULL, "DMARC_FAIL_REJECT", ASKS(PW_VERDICT_HOLD) },
		{ NULL, "NULL_MX", ASKS(PW_VERDICT_REFUSE) },
		{ NULL, "SPF_FAIL", 0 },
		{ NULL, "VIRUS", 0 },
		{ "DMARC_FAIL_REJECT=refuse", "DMARC_FAIL_REJECT",
		    ASKS(PW_VERDICT_REFUSE) },
		{ "DMARC_FAIL_REJECT=inform", "DMARC_FAIL_REJECT", 0 },
		{ "DMARC_FAIL_REJECT=inform", "DMARC_FAIL_QUARANTINE",
		    ASKS(PW_VERDICT_JUNK) },
		{ "SPF_FAIL=discard", "SPF_FAIL", ASKS(PW_VERDICT_DISCARD) },
		{ "SPF_FAIL=refuse-keep", "SPF_FAIL",
		    ASKS(PW_VERDICT_REFUSE_KEEP) },
		{ "SPF_FAIL=deliver", "SPF_FAIL", -1 },
		{ "SPF_FAIL=", "SPF_FAIL", -1 },
		{ "SPF=junk", "SPF_FAIL", -1 },
	};

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		struct pw_config *cfg = pw_config_defaults();
		struct pw_registry r = { .n = 1, .v = { { .desc = &stage } } };
		struct pw_weights *w;
		struct pw_err err;
		int rc;

		if (t[i].action != NULL)
			cfg->policy.actions = (struct pw_strlist){
				(const char **)(uintptr_t)&t[i].action, 1 };
		rc = pw_weights_new(cfg, &r, &w, &err);
		ck_assert_msg(rc == (t[i].asks < 0 ? -1 : 0), "row %zu", i);
		if (rc == 0) {
			const struct pw_weight *row = pw_weights_get(w, "s",
			    t[i].symbol);

			ck_assert_msg(row->asks == t[i].asks, "row %zu: %u", i,
			    row->asks);
			ck_assert(row->malware ==
			    (strcmp(t[i].symbol, "VIRUS") == 0));
		}
		pw_weights_free(&w);
		cfg->policy.actions = (struct pw_strlist){ NULL, 0 };
		pw_config_free(&cfg);
	}
}
END_TEST

START_TEST(test_thresholds)
{
	struct pw_config_thresholds rows[] = {
		{ "example.test", 500, 0, 0, 900 },
		{ "Anna@Example.test", 0, 100000, 800, 0 },
	};
	static const struct {
		const char *mailbox;
		struct pw_threshold want;
	} t[] = {
		{ "", { 100, 200, 300, 400, "policy" } },
		{ "x@other.test", { 100, 200, 300, 400, "policy" } },
		{ "x@example.test", { 500, 200, 300, 900, "example.test" } },
		{ "anna@example.test", { 500, 100000, 800, 900,
		    "anna@example.test" } },
		{ "hanna@example.test", { 500, 200, 300, 900,
		    "example.test" } },
	};
	struct pw_config *cfg = pw_config_defaults();
	struct pw_thresholds *th;

	cfg->policy.junk_score = 100;
	cfg->policy.hold_score = 200;
	cfg->policy.refuse_keep_score = 300;
	cfg->policy.refuse_score = 400;
	cfg->thresholds = rows;
	cfg->nthresholds = PW_COUNT(rows);
	th = pw_thresholds_new(cfg);
	for (size_t i = 0; i < PW_COUNT(t); i++) {
		struct pw_threshold l = pw_thresholds_get(th, t[i].mailbox);

		ck_assert_int_eq(l.junk, t[i].want.junk);
		ck_assert_int_eq(l.hold, t[i].want.hold);
		ck_assert_int_eq(l.keep, t[i].want.keep);
		ck_assert_int_eq(l.refuse, t[i].want.refuse);
		ck_assert_str_eq(l.of, t[i].want.of);
	}
	pw_thresholds_free(&th);
	cfg->thresholds = NULL;
	cfg->nthresholds = 0;
	pw_config_free(&cfg);
}
END_TEST

/* ---- several recipients ---------------------------------------------------------------- */

static bool
refuses(uint8_t a)
{
	return a == PW_VERDICT_REFUSE || a == PW_VERDICT_REFUSE_KEEP;
}

/* Every pair of actions against the rule as the header has it. */
START_TEST(test_settle_pairs)
{
	for (uint8_t a = 0; a < PW_VERDICT_COUNT; a++)
		for (uint8_t b = 0; b < PW_VERDICT_COUNT; b++) {
			const uint8_t verdict[2] = { a, b };
			uint8_t action[2];
			size_t by;
			enum pw_settled s = pw_settle(verdict, action, 2, &by);

			if (a == PW_VERDICT_DEFER || b == PW_VERDICT_DEFER) {
				ck_assert_int_eq(s, PW_SETTLED_DEFER);
				ck_assert_uint_eq(by, a != PW_VERDICT_DEFER);
				ck_assert_uint_eq(action[0], PW_VERDICT_DEFER);
				ck_assert_uint_eq(action[1], PW_VERDICT_DEFER);
			} else if (refuses(a) && refuses(b)) {
				ck_assert_int_eq(s, PW_SETTLED_REFUSE);
				ck_assert_mem_eq(action, verdict, 2);
			} else {
				ck_assert_int_eq(s, PW_SETTLED_ACCEPT);
				for (int i = 0; i < 2; i++)
					ck_assert_uint_eq(action[i],
					    refuses(verdict[i]) ?
					    PW_VERDICT_HOLD : verdict[i]);
			}
			for (int i = 0; i < 2; i++)
				ck_assert((pw_settle_why(verdict[i],
				    action[i])[0] != '\0') ==
				    (verdict[i] != action[i]));
		}
}
END_TEST

START_TEST(test_settle_prdr)
{
	static const struct {
		enum pw_settled one[3];
		enum pw_settled all;
		size_t by;
	} t[] = {
		{ { PW_SETTLED_REFUSE, PW_SETTLED_REFUSE, PW_SETTLED_REFUSE },
		    PW_SETTLED_REFUSE, 0 },
		{ { PW_SETTLED_REFUSE, PW_SETTLED_DEFER, PW_SETTLED_REFUSE },
		    PW_SETTLED_DEFER, 1 },
		{ { PW_SETTLED_REFUSE, PW_SETTLED_DEFER, PW_SETTLED_ACCEPT },
		    PW_SETTLED_ACCEPT, 2 },
	};
	size_t by;

	for (size_t i = 0; i < PW_COUNT(t); i++) {
		ck_assert_int_eq(pw_settle_prdr(t[i].one, 3, &by), t[i].all);
		ck_assert_uint_eq(by, t[i].by);
	}
	ck_assert_int_eq(pw_settle_prdr(NULL, 0, &by), PW_SETTLED_REFUSE);
	ck_assert_int_eq(pw_settle(NULL, NULL, 0, &by), PW_SETTLED_REFUSE);
}
END_TEST

Suite *
pw_suite_filters_policy(void)
{
	Suite *s = suite_create("filters/policy");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, test_steps);
	tcase_add_test(tc, test_explanation);
	tcase_add_test(tc, test_lists);
	tcase_add_test(tc, test_recipient_scope);
	tcase_add_test(tc, test_early);
	tcase_add_test(tc, test_actions);
	tcase_add_test(tc, test_thresholds);
	tcase_add_test(tc, test_settle_pairs);
	tcase_add_test(tc, test_settle_prdr);
	suite_add_tcase(s, tc);
	return s;
}
