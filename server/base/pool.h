/* SPDX-License-Identifier: ISC */
/*
 * Arenas: memory that is given back as a whole.  One per transaction, one per
 * job; a reset is the end of everything in it.  A pool belongs to one thread.
 */
#ifndef PW_BASE_POOL_H
#define PW_BASE_POOL_H

#include "base/bytes.h"

struct pw_pool;

/*
 * A new pool that may hand out at most MAX bytes in all (0: 64 MiB).  Chunks
 * are taken from the heap as needed, the first one lazily.  Never NULL: out of
 * memory ends the process, which its master restarts.
 */
struct pw_pool *pw_pool_new(size_t max);
/* Frees all and sets *pool to NULL; *pool may be NULL. */
void pw_pool_free(struct pw_pool **pool);
/* Frees what was handed out; the pool stays usable. */
void pw_pool_reset(struct pw_pool *pool);
/* The same, but one chunk (at most 64 KiB) is kept for what comes next: for
 * pools that serve one job after another. */
void pw_pool_rewind(struct pw_pool *pool);
/* N zeroed bytes aligned for any object; NULL when MAX would be passed. */
void *pw_pool_alloc(struct pw_pool *pool, size_t n);
/* N objects of SIZE bytes, zeroed; NULL on overflow or at MAX. */
void *pw_pool_array(struct pw_pool *pool, size_t n, size_t size);
/* A copy of B with a NUL behind it (not counted); .ptr NULL at MAX. */
struct pw_bytes pw_pool_copy(struct pw_pool *pool, struct pw_bytes b);
/* The same as a C string; NULL when B has a NUL inside, or at MAX. */
char *pw_pool_cstr(struct pw_pool *pool, struct pw_bytes b);
char *pw_pool_printf(struct pw_pool *pool, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Bytes handed out since the last reset. */
size_t pw_pool_used(const struct pw_pool *pool);

/* Heap for set-up code: zeroed, never NULL (out of memory ends the process). */
void *pw_xcalloc(size_t n, size_t size);
void *pw_xrealloc(void *p, size_t n, size_t size);
char *pw_xstrdup(const char *s);
char *pw_xbytesdup(struct pw_bytes b); /* NUL behind it */

#endif
