/* SPDX-License-Identifier: ISC */
/* What the suites of server/config share: files to load and their reports. */
#ifndef PW_TESTS_UNIT_CONFIG_CONFIG_TEST_H
#define PW_TESTS_UNIT_CONFIG_CONFIG_TEST_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/config_priv.h"

/* Who we are in every text that a test loads; users that any Debian has. */
#define SERVER                                                               \
	"server: { hostname = \"mx.example.test\"; user-front = "            \
	"\"nobody\"; user-store = \"mail\"; };\n"
#define LISTENER "listener: ( { port = 2525; } );\n"

/* The file NAME of the source tree, read whole; the caller frees it. */
static inline char *
source_file(const char *name)
{
	const char *src = getenv("POSTWARD_SRC");
	char path[4096];
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", src != NULL ? src : ".", name);
	FILE *f = fopen(path, "r");
	ck_assert_msg(f != NULL, "%s cannot be read; set POSTWARD_SRC", path);
	char *text = calloc(1, 1 << 20);
	ck_assert_ptr_nonnull(text);
	n = fread(text, 1, (1 << 20) - 1, f);
	ck_assert_uint_gt(n, 0);
	fclose(f);
	return text;
}

/* A fresh folder under /tmp becomes the running one; each test runs in a
 * process of its own. */
static inline void
enter_folder(char path[32])
{
	snprintf(path, 32, "/tmp/pw-config-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(path));
	ck_assert_int_eq(chdir(path), 0);
}

static inline void
leave_folder(const char *path)
{
	static const char *const names[] = { "t.conf", "a", "b", "cert.pem",
		"key.pem", "other.pem", "secret.pem", "old.pem",
		"new.pem", "fifo" };

	for (size_t i = 0; i < PW_COUNT(names); i++)
		unlink(names[i]);
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(rmdir(path), 0);
}

static inline void
write_file(const char *name, const void *text, size_t len)
{
	FILE *f = fopen(name, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text, 1, len, f), len);
	ck_assert_int_eq(fclose(f), 0);
}

/* Loads TEXT as t.conf of the running folder.  The report must be WANT; the
 * configuration is there when it has no errors. */
static inline struct pw_config *
load_text(const char *text, bool deep, const char *want)
{
	struct pw_config *cfg = NULL;
	struct pw_strbuf report;

	write_file("t.conf", text, strlen(text));
	pw_strbuf_init(&report, 1 << 20);
	int rc = pw_config_load("t.conf", deep, &cfg, &report);
	ck_assert_str_eq(pw_strbuf_cstr(&report), want);
	ck_assert_int_eq(rc, cfg != NULL ? 0 : -1);
	pw_strbuf_free(&report);
	return cfg;
}

#endif
