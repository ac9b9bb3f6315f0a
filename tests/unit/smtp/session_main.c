/* SPDX-License-Identifier: ISC */
/* Runs the suites that need stand-ins for the session's surroundings. */
#include <check.h>
#include <stdlib.h>

Suite *pw_suite_smtp_session(void);
Suite *pw_suite_smtp_model(void);

int
main(void)
{
	SRunner *r = srunner_create(pw_suite_smtp_session());
	int failed;

	srunner_add_suite(r, pw_suite_smtp_model());
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
