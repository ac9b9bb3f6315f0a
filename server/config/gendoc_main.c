/* SPDX-License-Identifier: ISC */
/*
 * Build-time program: prints the manual page ("man") or the example file
 * ("example") that the option table makes.  Not installed; `postward config
 * man|example` prints the same.
 */
#include <stdio.h>
#include <stdlib.h>

#include "config/config.h"

#define TEXT_MAX ((size_t)1 << 20)

int
main(int argc, char **argv)
{
	struct pw_strbuf out;
	int rc = EXIT_SUCCESS;

	pw_strbuf_init(&out, TEXT_MAX);
	if (argc == 2 && strcmp(argv[1], "man") == 0) {
		pw_config_man(&out);
	} else if (argc == 2 && strcmp(argv[1], "example") == 0) {
		pw_config_example(&out);
	} else {
		fputs("usage: gendoc man|example\n", stderr);
		return EXIT_FAILURE;
	}
	if (out.overflow || fwrite(out.ptr, 1, out.len, stdout) != out.len ||
	    fflush(stdout) != 0) {
		fputs("gendoc: the text could not be written\n", stderr);
		rc = EXIT_FAILURE;
	}
	pw_strbuf_free(&out);
	return rc;
}
