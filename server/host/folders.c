/* SPDX-License-Identifier: ISC */
/* See folders.h. */
#include "host/folders.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Owner of what the store role works with: its user when we are root. */
int
pw_give_to_store(const struct pw_config *cfg, const char *path, struct pw_err *err)
{
	const struct passwd *pw;

	if (geteuid() != 0)
		return 0;
	pw = getpwnam(cfg->server.user_store);
	if (pw == NULL)
		return pw_err_set(err, EINVAL,
		    "server.user-store: user %s does not exist; create it, for "
		    "example with: adduser --system --group --no-create-home "
		    "%s",
		    cfg->server.user_store, cfg->server.user_store);
	if (lchown(path, pw->pw_uid, pw->pw_gid) != 0)
		return pw_err_sys(err, "chown %s", path);
	return 0;
}

static int
make_folder(const struct pw_config *cfg, const char *path, mode_t mode,
    struct pw_err *err)
{
	char part[4096];
	size_t n = strlen(path);
	struct stat st;

	if (stat(path, &st) == 0) {
		if (!S_ISDIR(st.st_mode))
			return pw_err_set(err, EINVAL, "%s is not a folder",
			    path);
		return 0;
	}
	if (n >= sizeof(part))
		return pw_err_set(err, EINVAL, "path too long: %s", path);
	for (size_t i = 1; i <= n; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, i == n ? mode : 0755) != 0 && errno != EEXIST)
			return pw_err_sys(err, "mkdir %s", part);
	}
	return pw_give_to_store(cfg, path, err);
}

int
pw_folders_make(const struct pw_config *cfg, struct pw_err *err)
{
	if (make_folder(cfg, cfg->server.state_dir, 0750, err) != 0 ||
	    make_folder(cfg, cfg->server.run_dir, 0755, err) != 0 ||
	    make_folder(cfg, cfg->store.mail_root, 0750, err) != 0)
		return -1;
	return 0;
}
