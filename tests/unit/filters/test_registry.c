/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>

#include "rig.h"

Suite *pw_suite_filters_registry(void);

START_TEST(test_check)
{
	struct pw_stage good = pw_stage_dkim, s;
	struct pw_err err;

	ck_assert_int_eq(pw_stage_check(&good, &err), 0);
#define REFUSED(field, value, part)                                          \
	do {                                                                 \
		s = good;                                                    \
		s.field = value;                                             \
		ck_assert_int_eq(pw_stage_check(&s, &err), -1);              \
		ck_assert_msg(strstr(err.text, part) != NULL, "%s",          \
		    err.text);                                               \
	} while (0)
	REFUSED(size, 8, "bytes");
	REFUSED(abi, 2, "interface 2");
	REFUSED(features, "abi1-lp32-be", "abi1-lp32-be");
	REFUSED(name, "Up", "name");
	REFUSED(name, "", "name");
	REFUSED(run, NULL, "run function");
	REFUSED(phases, 0, "phase");
	REFUSED(phases, 1u << PW_PHASE_COUNT, "phase");
	REFUSED(role, PW_ROLE_BRIDGE, "role");
	REFUSED(timeout_ms, 0, "time limit");
	REFUSED(scope, 3, "scope");
	REFUSED(cost, 3, "cost");
}
END_TEST

static int
load(struct pw_config *cfg, const char *stage, struct pw_err *err)
{
	struct pw_config_listener l = { .name = "mx" };
	struct pw_registry *reg = NULL;
	const char *v[] = { stage };
	int rc;

	l.stages.v = v;
	l.stages.n = 1;
	cfg->listener = &l;
	cfg->nlistener = 1;
	rc = pw_registry_new(cfg, PW_ROLE_SCAN, &reg, err);
	if (rc == 0)
		ck_assert_int_ge(pw_registry_find(reg, "structure"), 0);
	pw_registry_free(&reg);
	cfg->listener = NULL;
	cfg->nlistener = 0;
	return rc;
}

START_TEST(test_load)
{
	struct pw_config *cfg = pw_config_defaults();
	struct pw_config_stage section = { .name = "spf", .role = 1 };
	struct pw_err err = { 0 };
	const char *option[] = { "nonsense=1" };

	ck_assert_int_eq(load(cfg, "default", &err), 0);
	ck_assert_int_eq(load(cfg, "none", &err), 0);
	ck_assert_int_eq(load(cfg, "no-such", &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "'no-such'"));
	cfg->server.plugin_dir = "/";
	ck_assert_int_eq(load(cfg, "../x", &err), -1);
	ck_assert_int_eq(load(cfg, "no-such", &err), -1);
	cfg->server.plugin_dir = "";
	cfg->stage = &section;
	cfg->nstage = 1;
	ck_assert_int_eq(load(cfg, "spf", &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "role"));
	section.role = 0;
	section.options = (struct pw_strlist){ option, 1 };
	ck_assert_int_eq(load(cfg, "spf", &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "nonsense"));
	cfg->stage = NULL;
	cfg->nstage = 0;
	pw_config_free(&cfg);
}
END_TEST

/* filters/example.c, built as a plug-in into $PW_TEST_PLUGINS. */
START_TEST(test_plugin)
{
	struct pw_config *cfg = pw_config_defaults();
	const char *dir = getenv("PW_TEST_PLUGINS");
	struct pw_err err = { 0 };

	if (dir != NULL) {
		cfg->server.plugin_dir = dir;
		ck_assert_msg(load(cfg, "subject-words", &err) == 0, "%s",
		    err.text);
	}
	pw_config_free(&cfg);
}
END_TEST

Suite *
pw_suite_filters_registry(void)
{
	Suite *s = suite_create("filters/registry");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, test_check);
	tcase_add_test(tc, test_load);
	tcase_add_test(tc, test_plugin);
	suite_add_tcase(s, tc);
	return s;
}
