/* SPDX-License-Identifier: ISC */
/*
 * The folders that the roles work in, and the rights of those who do: made by
 * master, and by `postward` when it is used before the first start.
 */
#ifndef PW_HOST_FOLDERS_H
#define PW_HOST_FOLDERS_H

#include "base/err.h"
#include "config/config.h"

/* Makes server.state-dir, server.run-dir and store.mail-root where they are
 * missing; as root they become those of server.user-store. 0, or -1 and ERR. */
int pw_folders_make(const struct pw_config *cfg, struct pw_err *err);
/* As root: PATH becomes that of server.user-store. */
int pw_give_to_store(const struct pw_config *cfg, const char *path,
    struct pw_err *err);
/* As root: becomes USER for good; otherwise does nothing. */
int pw_rights_drop(const char *user, struct pw_err *err);

#endif
