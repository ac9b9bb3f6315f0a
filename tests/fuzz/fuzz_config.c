/* SPDX-License-Identifier: ISC */
/*
 * Configuration text.  What is wrong is said in lines that name the file; what
 * was taken means the same after it was shown and read again.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In a folder of its own, so that "include" finds nothing. */
static void
enter(void)
{
	static char folder[] = "/tmp/pw-fuzz-config.XXXXXX";
	static bool there;

	if (there)
		return;
	there = true;
	PW_ASSERT(mkdtemp(folder) != NULL && chdir(folder) == 0);
}

static void
leave(void)
{
	char folder[64];

	(void)unlink("t.conf");
	if (getcwd(folder, sizeof(folder)) != NULL &&
	    strncmp(folder, "/tmp/pw-fuzz-config.", 20) == 0)
		(void)rmdir(folder);
}

static void
put(const void *data, size_t size)
{
	int fd = open("t.conf", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	PW_ASSERT(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	(void)close(fd);
}

static bool
is_printable(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 && *text != '\n' &&
		    *text != '\t')
			return false;
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool registered;
	struct pw_config *cfg = NULL, *same = NULL;
	struct pw_strbuf report, shown;

	if (size > 65536)
		return 0;
	enter();
	if (!registered)
		registered = atexit(leave) == 0;
	put(data, size);
	pw_strbuf_init(&report, 1u << 20);
	int rc = pw_config_load("t.conf", false, &cfg, &report);
	PW_ASSERT((rc == 0) == (cfg != NULL));
	PW_ASSERT(rc == 0 || report.len > 0);
	PW_ASSERT(is_printable(pw_strbuf_cstr(&report)));
	if (cfg != NULL) {
		pw_strbuf_init(&shown, 1u << 20);
		pw_config_show(cfg, false, &shown);
		PW_ASSERT(shown.len > 0);
		pw_strbuf_reset(&shown);
		pw_config_show(cfg, true, &shown);
		pw_strbuf_free(&shown);
		/* Nothing differs from itself. */
		pw_strbuf_reset(&report);
		PW_ASSERT(pw_config_load("t.conf", false, &same, &report) == 0);
		pw_strbuf_reset(&report);
		PW_ASSERT(pw_config_reload_ok(cfg, same, &report) == 0);
	}
	pw_strbuf_free(&report);
	pw_config_free(&cfg);
	pw_config_free(&same);
	return 0;
}
