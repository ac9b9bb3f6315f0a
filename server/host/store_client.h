/* SPDX-License-Identifier: ISC */
/*
 * Front's channel to store, one for each loop thread: deliveries, pieces of
 * large messages, the accounts snapshot, and whether store takes mail.  When
 * the channel is lost, all that is open is answered TEMPFAIL, and so is what
 * comes before there is a new one.  On the loop's thread.
 */
#ifndef PW_HOST_STORE_CLIENT_H
#define PW_HOST_STORE_CLIENT_H

#include "net/loop.h"
#include "storage/snapshot.h"
#include "storage/store.h"

struct pw_store_client;
struct pw_store_call; /* an open question */

/* Exactly once unless cancelled, never inside the call that asked.  R is valid
 * during the call only. */
typedef void (*pw_store_client_cb)(void *arg,
    const struct pw_store_result *r);
/* FD is the callee's, -1 when it could not be had. */
typedef void (*pw_store_fd_cb)(void *arg, int fd);

/* ON_SNAPSHOT (may be NULL) is told of each new snapshot. */
struct pw_store_client *pw_store_client_new(struct pw_loop *loop,
    void (*on_snapshot)(void *arg), void *arg);
void pw_store_client_free(struct pw_store_client **c);
/* ON_LOST is told, with the same ARG, that the channel ended. */
void pw_store_client_on_lost(struct pw_store_client *c,
    void (*on_lost)(void *arg));
/* The channel to store (taken over); an old one is closed. */
void pw_store_client_channel(struct pw_store_client *c, int fd);

/* D is encoded before this returns; D->fd stays the caller's.  CB may be NULL:
 * then nobody waits for the answer.  NULL when CB is, or when 4,096 calls are
 * open (then CB is not called). */
struct pw_store_call *pw_store_client_deliver(struct pw_store_client *c,
    const struct pw_delivery *d, pw_store_client_cb cb, void *arg);
/* A piece of LEN octets for the spool file ID; FD stays the caller's. */
struct pw_store_call *pw_store_client_piece(struct pw_store_client *c,
    const struct pw_id *id, int fd, uint64_t len, pw_store_client_cb cb,
    void *arg);
/* A read-only descriptor of the finished spool file. */
struct pw_store_call *pw_store_client_open(struct pw_store_client *c,
    const struct pw_id *id, pw_store_fd_cb cb, void *arg);
void pw_store_client_drop(struct pw_store_client *c, const struct pw_id *id);
/* The record of what never became a message; nobody waits, and it is not
 * durable yet.  -1: lost, since there is no store or it is far behind. */
int pw_store_client_record(struct pw_store_client *c,
    const struct pw_decision *d);
/* Keeps a message that crashed a stage aside, for the developer. */
void pw_store_client_aside(struct pw_store_client *c, const char *why, int fd);
/* No callback any more; *call set to NULL. */
void pw_store_client_cancel(struct pw_store_client *c,
    struct pw_store_call **call);

/* The newest snapshot (take a reference to keep it), or NULL. */
struct pw_snapshot *pw_store_client_snapshot(const struct pw_store_client *c);
/* PW_STORE_OK when mail may come; else why not. */
enum pw_store_code pw_store_client_state(const struct pw_store_client *c,
    const char **reason);
/* Calls open now. */
size_t pw_store_client_open_calls(const struct pw_store_client *c);

/*
 * The other end, for the role store: reads a DELIVER frame.  The delivery lies
 * in POOL; D->fd is taken from the frame (-1: none).  NULL when malformed.
 */
struct pw_frame;
struct pw_delivery *pw_store_frame_delivery(struct pw_frame *f,
    struct pw_pool *pool);

#endif
