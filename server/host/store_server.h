/* SPDX-License-Identifier: ISC */
/*
 * The store's side of its channels to front: deliveries, pieces of large
 * bodies, the accounts snapshot, and whether mail can be taken.  Store role's
 * loop thread.
 */
#ifndef PW_HOST_STORE_SERVER_H
#define PW_HOST_STORE_SERVER_H

#include "net/loop.h"
#include "storage/store.h"

struct pw_store_server;

struct pw_store_server *pw_store_server_new(struct pw_loop *loop,
    struct pw_store *store);
void pw_store_server_free(struct pw_store_server **s);
/* A channel to a front thread; takes over FD. */
void pw_store_server_channel(struct pw_store_server *s, int fd);
/* A new snapshot for all fronts, and for those to come; takes over FD. */
void pw_store_server_snapshot(struct pw_store_server *s, int fd);
/* Tells all fronts when what pw_store_ready() says has changed; to be called
 * every second or so. */
void pw_store_server_state(struct pw_store_server *s);
void pw_store_server_status(const struct pw_store_server *s,
    struct pw_strbuf *out);

#endif
