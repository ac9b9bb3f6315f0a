/* SPDX-License-Identifier: ISC */
/*
 * postwardd: options, and the way into the background.
 */
#include <fcntl.h>
#include <getopt.h>
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
		(void)fprintf(stderr, "%s: %s\n", file, err.text);
		pw_config_free(&cfg);
	}
	pw_pipeline_free(&pl);
	return cfg;
}

/* The caller gets its prompt back when the first generation serves, or the
 * exit code of what prevented it. */
static int
go_background(void)
{
	int null;

	if (daemon(0, 1) != 0) {
		perror("postwardd: daemon");
		return EX_OSERR;
	}
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDOUT_FILENO);
		(void)close(null);
	}
	return EX_OK;
}

int
main(int argc, char **argv)
{
	struct options o = { 0 };
	struct pw_config *cfg;
	char *file;
	int rc = parse_options(argc, argv, &o);

	if (rc >= 0)
		return rc;
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
	if (!o.foreground && (rc = go_background()) != EX_OK)
		return rc;
	(void)umask(027);
	return pw_master_run(file, cfg, o.foreground);
}
