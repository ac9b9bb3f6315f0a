/* SPDX-License-Identifier: ISC */
/* Runs the suites that need stand-ins for the session's surroundings. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

Suite *pw_suite_smtp_session(void);
Suite *pw_suite_smtp_model(void);
Suite *pw_suite_smtp_verdicts(void);

int
main(void)
{
	SRunner *r = srunner_create(pw_suite_smtp_session());
	int run, failed;

	srunner_add_suite(r, pw_suite_smtp_model());
	srunner_add_suite(r, pw_suite_smtp_verdicts());
	srunner_run_all(r, CK_ENV);
	run = srunner_ntests_run(r);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	(void)printf("session: %d passed, %d failed\n", run - failed, failed);
	return failed == 0 && run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
