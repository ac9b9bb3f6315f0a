/* SPDX-License-Identifier: ISC */
/*
 * The store's questions to the scan role: what is in this file?  For mail that
 * came by IMAP and for a rebuilt index.  Store role's loop thread.
 */
#ifndef PW_HOST_PARSE_CLIENT_H
#define PW_HOST_PARSE_CLIENT_H

#include "net/loop.h"
#include "storage/store.h"

struct pw_parse_client;

struct pw_parse_client *pw_parse_client_new(struct pw_loop *loop);
/* ON_LOST is told the number of a process whose channel ended. */
void pw_parse_client_on_lost(struct pw_parse_client *c,
    void (*on_lost)(void *arg, unsigned number), void *arg);
void pw_parse_client_free(struct pw_parse_client **c);
/* A channel to scan process NUMBER; takes over FD, replaces an older one. */
void pw_parse_client_channel(struct pw_parse_client *c, unsigned number,
    int fd);
/* A pw_parse_fn; HOST is the client.  At most one file is with a process at a
 * time; a file whose process died is answered NULL. */
void pw_parse_client_parse(void *host, int fd, pw_parse_cb cb, void *arg);

#endif
