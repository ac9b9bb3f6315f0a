/* SPDX-License-Identifier: ISC */
/*
 * What the check of a configuration needs to know from floors above it.
 */
#ifndef PW_HOST_CHECKS_H
#define PW_HOST_CHECKS_H

/* Tells server/config the names of the built-in stages.  Once, before the
 * first load, in each program. */
void pw_checks_init(void);

#endif
