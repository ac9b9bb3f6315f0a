/* SPDX-License-Identifier: ISC */
/*
 * postwardd: options, and the way into the background.
 */
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "config/config.h"
#include "filters/pipeline.h"
#include "host/checks.h"
#include "host/sandbox.h"
#include "main/master.h"

#define REPORT_MAX (256u * 1024)

struct options {
	const char *config;
	bool check, foreground;
};

static void
usage(FILE *to)
{
	(void)fprintf(to,
	    "usage: postwardd [-f] [-c FILE]\n"
	    "       postwardd --check [FILE]\n"
	    "       postwardd --version\n"
	    "  -c, --config FILE  the configuration (default "
	    "%s/postward/postward.conf)\n"
	    "  -f, --foreground   stay in the foreground, log to standard "
	    "error\n"
	    "      --check        say what is wrong with the configuration "
	    "and exit\n",
	    PW_SYSCONFDIR);
}

/* -1: go on; otherwise the exit code. */
static int
parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longopts[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "check", no_argument, NULL, 'k' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 }
	};
	int c;

	o->config = PW_SYSCONFDIR "/postward/postward.conf";
	while ((c = getopt_long(argc, argv, "c:fh", longopts, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->config = optarg;
			break;
		case 'f':
			o->foreground = true;
			break;
		case 'k':
			o->check = true;
			break;
		case 'v':
			(void)printf("postwardd %s%s\n", PW_VERSION,
			    pw_sandbox_available() ? "" : " (sanitizer build)");
			return EX_OK;
		case 'h':
			usage(stdout);
			return EX_OK;
		default:
			usage(stderr);
			return EX_USAGE;
		}
	}
	if (o->check && optind < argc)
		o->config = argv[optind++];
	if (optind < argc) {
		usage(stderr);
		return EX_USAGE;
	}
	return -1;
}

/* The checks of the configuration and of the stages that it names. */
static struct pw_config *
load(const char *file)
{
	struct pw_config *cfg = NULL;
	struct pw_strbuf report;
	struct pw_err err = { 0 };
	struct pw_pipeline *pl = NULL;

	pw_strbuf_init(&report, REPORT_MAX);
	(void)pw_config_load(file, true, &cfg, &report);
	(void)fputs(pw_strbuf_cstr(&report), stderr);
	pw_strbuf_free(&report);
	if (cfg != NULL && pw_pipeline_new(cfg, NULL, NULL, NULL, &pl, &err) != 0) {
		(void)fprintf(stderr, "%s\n", err.text);
		pw_config_free(&cfg);
	}
	pw_pipeline_free(&pl);
	return cfg;
}

/* ---- memory ------------------------------------------------------------------ */

/* Roles inherit master's memory, what was freed of it too, and OpenSSL does not
 * wipe all that it held of a private key while reading it. */

static void
wipe_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	if (p != NULL)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static void *
plain_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return malloc(n);
}

static void *
wipe_realloc(void *p, size_t n, const char *file, int line)
{
	size_t old = p != NULL ? malloc_usable_size(p) : 0;
	void *q;

	if (n == 0) {
		wipe_free(p, file, line);
		return NULL;
	}
	q = malloc(n);
	if (q == NULL)
		return NULL;
	if (p != NULL)
		memcpy(q, p, old < n ? old : n);
	wipe_free(p, file, line);
	return q;
}

/* ---- into the background ------------------------------------------------------- */

/* The caller gets its prompt back when the first generation serves, or the
 * exit code of what prevented it. */
static _Noreturn void
wait_ready(int fd)
{
	unsigned char code = EX_SOFTWARE;

	(void)!read(fd, &code, 1);
	_exit(code);
}

/* In the process that goes on: where to say how the start went; -1: failed. */
static int
go_background(void)
{
	int fds[2], null;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
		perror("postwardd: cannot go into the background");
		return -1;
	}
	if (pid > 0) {
		(void)close(fds[1]);
		wait_ready(fds[0]);
	}
	(void)close(fds[0]);
	(void)setsid();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDOUT_FILENO);
		(void)close(null);
	}
	return chdir("/") == 0 ? fds[1] : -1;
}

int
main(int argc, char **argv)
{
	struct options o = { 0 };
	struct pw_config *cfg;
	char *file;
	int rc = parse_options(argc, argv, &o), ready_fd = -1;
	unsigned char code;

	if (rc >= 0)
		return rc;
	if (CRYPTO_set_mem_functions(plain_malloc, wipe_realloc, wipe_free) !=
	    1)
		return EX_SOFTWARE;
	/* Standard descriptors must be taken before anything else opens one. */
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return EX_OSERR;
	file = realpath(o.config, NULL);
	if (file == NULL) {
		(void)fprintf(stderr,
		    "%s: cannot be read; name the configuration with -c FILE\n",
		    o.config);
		return o.check ? EX_CONFIG : EX_NOINPUT;
	}
	pw_checks_init();
	cfg = load(file);
	if (cfg == NULL || o.check) {
		if (cfg != NULL)
			(void)printf("%s: ok\n", file);
		rc = cfg == NULL ? EX_CONFIG : EX_OK;
		pw_config_free(&cfg);
		free(file);
		return rc;
	}
	if (!o.foreground && (ready_fd = go_background()) < 0)
		return EX_OSERR;
	(void)umask(027);
	rc = pw_master_run(file, cfg, o.foreground, &ready_fd);
	code = (unsigned char)rc;
	if (ready_fd >= 0)
		(void)!write(ready_fd, &code, 1);
	return rc;
}
