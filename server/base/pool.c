/* SPDX-License-Identifier: ISC */
/*
 * Arenas and the heap of set-up code.  A pool is a list of chunks that double
 * in size; a request too large for the running chunk gets one of its own, so
 * that the rest of the running chunk is not lost.  Any role; a pool belongs to
 * the thread that made it.
 */
#include "base/pool.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

#define POOL_MAX_DEFAULT ((size_t)64 << 20)
#define CHUNK_FIRST ((size_t)512)
#define CHUNK_MAX ((size_t)64 << 10)
#define ALIGN alignof(max_align_t)

struct chunk {
	struct chunk *next;
	size_t size;
	size_t used;
	alignas(max_align_t) char data[];
};

struct pw_pool {
	struct chunk *chunks; /* the first one is being filled */
	struct chunk *large;  /* one request each */
	size_t max;
	size_t used;
	size_t next_size;
};

static _Noreturn void
out_of_memory(size_t n)
{
	pw_logf(PW_LOG_ERROR, "memory.out", "cannot get %zu bytes", n);
	abort();
}

static void *
xmalloc(size_t n)
{
	void *p = malloc(n);

	if (p == NULL)
		out_of_memory(n);
	return p;
}

struct pw_pool *
pw_pool_new(size_t max)
{
	struct pw_pool *pool = xmalloc(sizeof(*pool));

	*pool = (struct pw_pool){ .max = max > 0 ? max : POOL_MAX_DEFAULT,
		.next_size = CHUNK_FIRST };
	return pool;
}

static void
free_chunks(struct chunk *c)
{
	while (c != NULL) {
		struct chunk *next = c->next;
		free(c);
		c = next;
	}
}

void
pw_pool_reset(struct pw_pool *pool)
{
	free_chunks(pool->chunks);
	free_chunks(pool->large);
	pool->chunks = NULL;
	pool->large = NULL;
	pool->used = 0;
	pool->next_size = CHUNK_FIRST;
}

void
pw_pool_rewind(struct pw_pool *pool)
{
	struct chunk *keep = pool->chunks;

	if (keep == NULL) {
		pw_pool_reset(pool);
		return;
	}
	free_chunks(keep->next);
	free_chunks(pool->large);
	keep->next = NULL;
	keep->used = 0;
	pool->large = NULL;
	pool->used = 0;
}

void
pw_pool_free(struct pw_pool **pool)
{
	if (*pool == NULL)
		return;
	pw_pool_reset(*pool);
	free(*pool);
	*pool = NULL;
}

static struct chunk *
chunk_new(size_t size, struct chunk *next)
{
	struct chunk *c = xmalloc(sizeof(*c) + size);

	c->next = next;
	c->size = size;
	c->used = 0;
	return c;
}

/* Where N bytes (already rounded up) come from. */
static struct chunk *
chunk_for(struct pw_pool *pool, size_t n)
{
	struct chunk *c = pool->chunks;

	if (c != NULL && n <= c->size - c->used)
		return c;
	if (n > pool->next_size / 2)
		return pool->large = chunk_new(n, pool->large);
	c = pool->chunks = chunk_new(pool->next_size, c);
	if (pool->next_size < CHUNK_MAX)
		pool->next_size *= 2;
	return c;
}

void *
pw_pool_alloc(struct pw_pool *pool, size_t n)
{
	size_t size;

	/* Zero bytes still give a pointer of their own. */
	if (!pw_add(n > 0 ? n : 1, ALIGN - 1, &size))
		return NULL;
	size &= ~(ALIGN - 1);
	if (size > pool->max - pool->used)
		return NULL;

	struct chunk *c = chunk_for(pool, size);
	void *p = c->data + c->used;
	c->used += size;
	pool->used += size;
	return memset(p, 0, size);
}

void *
pw_pool_array(struct pw_pool *pool, size_t n, size_t size)
{
	size_t total;

	return pw_mul(n, size, &total) ? pw_pool_alloc(pool, total) : NULL;
}

struct pw_bytes
pw_pool_copy(struct pw_pool *pool, struct pw_bytes b)
{
	size_t size;
	char *p;

	if (!pw_add(b.len, 1, &size) ||
	    (p = pw_pool_alloc(pool, size)) == NULL)
		return PW_BYTES_NONE;
	if (b.len > 0)
		memcpy(p, b.ptr, b.len);
	return pw_bytes(p, b.len);
}

char *
pw_pool_cstr(struct pw_pool *pool, struct pw_bytes b)
{
	if (pw_bytes_chr(b, '\0') >= 0)
		return NULL;
	return (char *)pw_pool_copy(pool, b).ptr;
}

char *
pw_pool_printf(struct pw_pool *pool, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);

	char *p = n < 0 ? NULL : pw_pool_alloc(pool, (size_t)n + 1);
	if (p != NULL)
		(void)vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return p;
}

size_t
pw_pool_used(const struct pw_pool *pool)
{
	return pool->used;
}

void *
pw_xcalloc(size_t n, size_t size)
{
	void *p = calloc(n > 0 ? n : 1, size > 0 ? size : 1);

	if (p == NULL)
		out_of_memory(n);
	return p;
}

void *
pw_xrealloc(void *p, size_t n, size_t size)
{
	size_t total;

	if (!pw_mul(n, size, &total))
		out_of_memory(n);
	p = realloc(p, total > 0 ? total : 1);
	if (p == NULL)
		out_of_memory(total);
	return p;
}

char *
pw_xbytesdup(struct pw_bytes b)
{
	size_t size;

	if (!pw_add(b.len, 1, &size))
		out_of_memory(b.len);
	char *p = xmalloc(size);
	if (b.len > 0)
		memcpy(p, b.ptr, b.len);
	p[b.len] = '\0';
	return p;
}

char *
pw_xstrdup(const char *s)
{
	return pw_xbytesdup(pw_bytes_of(s));
}
