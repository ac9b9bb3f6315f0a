/* SPDX-License-Identifier: ISC */
/*
 * The unit test runner: every suite of the list PW_SUITES in one program.  Many
 * wait for disks and deadlines, so several run at once, each in a process of
 * its own; what they print appears in the order of the list.
 *
 *   unit [-j N] [SUITE...]     only these suites; N at once (default: one more
 *                              than there are processors); one suite, -j 1 or
 *                              CK_FORK=no: here, as a debugger wants it
 */
#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

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
#define NSUITE (sizeof(suites) / sizeof(suites[0]))

/* Shared with the processes of the suites. */
struct result {
	int run, failed; /* tests */
	bool ended;
};
static struct result *result;
static struct {
	bool wanted;
	pid_t pid; /* while it runs */
	FILE *out; /* until it is printed */
} job[NSUITE];

static void
run_suite(size_t i)
{
	SRunner *r = srunner_create(suites[i].make());

	srunner_run_all(r, CK_NORMAL);
	result[i] = (struct result){ srunner_ntests_run(r),
		srunner_ntests_failed(r), true };
	srunner_free(r);
}

static void
start(size_t i)
{
	job[i].out = tmpfile();
	(void)fflush(stdout);
	job[i].pid = job[i].out != NULL ? fork() : -1;
	if (job[i].pid < 0) {
		perror(PW_RUNNER);
		exit(EXIT_FAILURE);
	}
	if (job[i].pid != 0)
		return;
	if (dup2(fileno(job[i].out), STDOUT_FILENO) < 0 ||
	    dup2(fileno(job[i].out), STDERR_FILENO) < 0)
		_exit(EXIT_FAILURE);
	run_suite(i);
	/* Not _exit(): sanitizers look for leaks now. */
	exit(EXIT_SUCCESS);
}

/* Waits for one of them. */
static void
wait_one(void)
{
	size_t i = 0;
	int status;
	pid_t pid;

	do
		pid = wait(&status);
	while (pid < 0 && errno == EINTR);
	while (i < NSUITE && (pid < 0 || job[i].pid != pid))
		i++;
	if (i == NSUITE) {
		perror(PW_RUNNER);
		exit(EXIT_FAILURE);
	}
	job[i].pid = 0;
	/* A crash of the runner, or what a sanitizer found at its end. */
	if (!result[i].ended || status != 0) {
		result[i].run++;
		result[i].failed++;
	}
}

static void
show(size_t i)
{
	char buf[4096];
	size_t n;

	rewind(job[i].out);
	while ((n = fread(buf, 1, sizeof(buf), job[i].out)) > 0)
		(void)fwrite(buf, 1, n, stdout);
	(void)fclose(job[i].out);
	job[i].out = NULL;
	(void)fflush(stdout);
}

/* The last of the list wait longest: they begin. */
static void
run_all(long at_once)
{
	size_t left = NSUITE, shown = 0;
	long running = 0;

	while (shown < NSUITE) {
		while (left > 0 && running < at_once)
			if (job[--left].wanted) {
				start(left);
				running++;
			}
		if (running > 0) {
			wait_one();
			running--;
		}
		while (shown < NSUITE && shown >= left &&
		    job[shown].pid == 0) {
			if (job[shown].wanted)
				show(shown);
			shown++;
		}
	}
}

static void
choose(int argc, char **argv)
{
	for (size_t i = 0; i < NSUITE; i++)
		job[i].wanted = argc == 0;
	for (int k = 0; k < argc; k++) {
		size_t i = 0;

		while (i < NSUITE && strcmp(suites[i].name, argv[k]) != 0)
			i++;
		if (i == NSUITE) {
			(void)fprintf(stderr, PW_RUNNER ": no suite %s\n", argv[k]);
			exit(64);
		}
		job[i].wanted = true;
	}
}

int
main(int argc, char **argv)
{
	const char *mode = getenv("CK_FORK");
	long at_once = sysconf(_SC_NPROCESSORS_ONLN) + 1;
	int run = 0, failed = 0;

	if (argc > 2 && strcmp(argv[1], "-j") == 0) {
		at_once = strtol(argv[2], NULL, 10);
		argc -= 2;
		argv += 2;
	}
	choose(argc - 1, argv + 1);
	result = mmap(NULL, NSUITE * sizeof(*result), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (result == MAP_FAILED) {
		perror(PW_RUNNER);
		return EXIT_FAILURE;
	}
	if (at_once > 1 && argc != 2 &&
	    (mode == NULL || strcmp(mode, "no") != 0))
		run_all(at_once);
	else
		for (size_t i = 0; i < NSUITE; i++)
			if (job[i].wanted)
				run_suite(i);
	for (size_t i = 0; i < NSUITE; i++) {
		run += result[i].run;
		failed += result[i].failed;
	}
	(void)printf(PW_RUNNER ": %d passed, %d failed\n", run - failed,
	    failed);
	return failed == 0 && run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
