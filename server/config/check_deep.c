/* SPDX-License-Identifier: ISC */
/*
 * Checks of what the roles will need when they start: folders that are there
 * or can be made, files that can be read, descriptors enough.  Called by
 * check.c for `postwardd --check` and at start, with the rights of whoever
 * runs it.
 */
#include "config/config_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_LEN (PATH_MAX + 1)

/* Takes the last part off PATH; false when only "/" is left. */
static bool
parent(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash == NULL || path[1] == '\0')
		return false;
	slash[slash == path ? 1 : 0] = '\0';
	return true;
}

/* With the rights that we have now, which need not be the login's. */
static bool
may(const char *path, int how)
{
	return faccessat(AT_FDCWD, path, how, AT_EACCESS) == 0;
}

/* The folder is there and can be written, or can be made where it belongs. */
static void
check_folder(struct pw_config_report *r, const char *section, const char *key,
    const char *folder)
{
	char path[PATH_LEN], word[PW_WORD], place[PW_WORD];
	struct stat st;

	/* Said already. */
	if (folder[0] == '\0' || strlen(folder) >= sizeof(path))
		return;
	snprintf(path, sizeof(path), "%s", folder);
	while (stat(path, &st) != 0) {
		if (errno != ENOENT || !parent(path)) {
			pw_config_error(r, section, 0, key,
			    "\"%s\": %s; write a path that can be reached",
			    pw_report_word(word, sizeof(word), path),
			    strerror(errno));
			return;
		}
	}
	pw_report_word(word, sizeof(word), folder);
	pw_report_word(place, sizeof(place), path);
	if (!S_ISDIR(st.st_mode))
		pw_config_error(r, section, 0, key,
		    "\"%s\" is not a folder; write the path of one", place);
	else if (may(path, W_OK | X_OK))
		return;
	else if (strcmp(path, folder) == 0)
		pw_config_error(r, section, 0, key,
		    "\"%s\" cannot be written: %s; change its owner, or write "
		    "another path", word, strerror(errno));
	else
		pw_config_error(r, section, 0, key,
		    "\"%s\" cannot be made in \"%s\": %s; make it, or write "
		    "another path", word, place, strerror(errno));
}

/* The file can be read; an empty path is none. */
static void
check_file(struct pw_config_report *r, const char *section, const char *key,
    const char *path)
{
	char word[PW_WORD];
	struct stat st;

	if (path[0] == '\0')
		return;
	pw_report_word(word, sizeof(word), path);
	if (stat(path, &st) != 0 || !may(path, R_OK))
		pw_config_error(r, section, 0, key,
		    "\"%s\" cannot be read: %s; write the path of a file that "
		    "can be read, or \"\"", word, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		pw_config_error(r, section, 0, key,
		    "\"%s\" is not a file; write the path of one, or \"\"",
		    word);
}

/* Each session is a descriptor, and may hold one for its body. */
static void
check_descriptors(const struct pw_config *cfg, struct pw_config_report *r)
{
	uint64_t need = (uint64_t)cfg->smtp.max_sessions + 256;
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) != 0 ||
	    lim.rlim_max == RLIM_INFINITY || need <= lim.rlim_max)
		return;
	pw_config_warn(r, "smtp", 0, "max-sessions",
	    "%lld sessions need more than the %llu descriptors that a process "
	    "may have here; write less, or raise the limit (ulimit -n)",
	    (long long)cfg->smtp.max_sessions,
	    (unsigned long long)lim.rlim_max);
}

void
pw_check_deep(const struct pw_config *cfg, struct pw_config_report *r)
{
	check_folder(r, "server", "state-dir", cfg->server.state_dir);
	check_folder(r, "server", "run-dir", cfg->server.run_dir);
	check_folder(r, "store", "mail-root", cfg->store.mail_root);
	check_file(r, "dns", "trust-anchor", cfg->dns.trust_anchor);
	check_file(r, "dns", "root-hints", cfg->dns.root_hints);
	check_file(r, "dns", "unbound-conf", cfg->dns.unbound_conf);
	check_descriptors(cfg, r);
	if (cfg->ncertificate == 0 && cfg->nlistener > 0)
		pw_config_warn(r, "certificate", 0, NULL,
		    "there is none, so mail comes in without TLS; write "
		    "certificate: ( { chain = \"FILE\"; key = \"FILE\"; } );");
}
