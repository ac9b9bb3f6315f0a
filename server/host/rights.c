/* SPDX-License-Identifier: ISC */
/*
 * Giving up root, for good, in the child that becomes a role.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "host/folders.h"

int
pw_rights_drop(const char *user, struct pw_err *err)
{
	const struct passwd *pw;

	if (geteuid() != 0)
		return 0;
	errno = 0;
	pw = getpwnam(user);
	if (pw == NULL)
		return pw_err_set(err, EINVAL,
		    "user %s does not exist; create it, for example with: "
		    "adduser --system --group --no-create-home %s",
		    user, user);
	if (pw->pw_uid == 0)
		return pw_err_set(err, EINVAL,
		    "user %s is root; a role needs a user of its own", user);
	if (setgroups(1, &pw->pw_gid) != 0 ||
	    setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
		return pw_err_sys(err, "becoming user %s", user);
	if (setuid(0) == 0)
		return pw_err_set(err, EPERM, "root could be had again");
	return 0;
}
