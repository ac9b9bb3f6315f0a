/* SPDX-License-Identifier: ISC */
/*
 * The role store: the journal, the Maildirs, the databases, the control
 * socket.  Serves front (deliveries) and admins (verbs).
 */
#ifndef PW_MAIN_STORE_ROLE_H
#define PW_MAIN_STORE_ROLE_H

#include "host/role.h"
#include "net/codec.h"

/* The LIVE options that store takes up on a reload, for PW_MSG_CONFIG. */
void pw_store_role_live_enc(struct pw_enc *e, const struct pw_config *cfg);

/* Runs the role. */
int pw_store_role_run(const struct pw_role_start *role);

#endif
