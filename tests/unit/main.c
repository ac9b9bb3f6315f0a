/* SPDX-License-Identifier: ISC */
/*
 * The unit test runner: every suite of the list PW_SUITES in one program.
 *
 *   unit [SUITE...]     only these
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PW_SUITE(name) Suite *pw_suite_##name(void);
#include PW_SUITES
#undef PW_SUITE

static const struct {
	const char *name;
	Suite *(*make)(void);
} suites[] = {
#define PW_SUITE(name) { #name, pw_suite_##name },
#include PW_SUITES
#undef PW_SUITE
};

static int
wanted(const char *name, int argc, char **argv)
{
	if (argc < 2)
		return 1;
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return 1;
	return 0;
}

int
main(int argc, char **argv)
{
	SRunner *r = srunner_create(NULL);
	int run, failed;

	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
		if (wanted(suites[i].name, argc, argv))
			srunner_add_suite(r, suites[i].make());
	srunner_run_all(r, CK_NORMAL);
	run = srunner_ntests_run(r);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	(void)printf("unit: %d passed, %d failed\n", run - failed, failed);
	return failed == 0 && run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
