/* SPDX-License-Identifier: ISC */
/*
 * Runs a fuzz target over files, without a fuzzer: the kept corpora in every
 * build, with whatever sanitizer it has.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_MAX (4u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned run, failed;

static void
replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	/* Of its exact size, so that reading past it is seen. */
	uint8_t *whole = malloc(INPUT_MAX), *data;
	size_t n;

	if (f == NULL || whole == NULL) {
		(void)fprintf(stderr, "FAIL %s: cannot be read\n", path);
		failed++;
		free(whole);
		if (f != NULL)
			(void)fclose(f);
		return;
	}
	n = fread(whole, 1, INPUT_MAX, f);
	(void)fclose(f);
	data = malloc(n > 0 ? n : 1);
	if (data != NULL && n > 0)
		memcpy(data, whole, n);
	free(whole);
	if (data != NULL && LLVMFuzzerTestOneInput(data, n) == 0)
		run++;
	else
		failed++;
	free(data);
}

static void
replay(const char *path)
{
	struct dirent **e = NULL;
	char name[4096];
	int n = scandir(path, &e, NULL, alphasort);

	if (n < 0) {
		replay_file(path);
		return;
	}
	for (int i = 0; i < n; i++) {
		if (e[i]->d_name[0] != '.') {
			(void)snprintf(name, sizeof(name), "%s/%s", path,
			    e[i]->d_name);
			replay_file(name);
		}
		free(e[i]);
	}
	free(e);
}

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	(void)printf("replay: %u passed, %u failed\n", run, failed);
	return run > 0 && failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
