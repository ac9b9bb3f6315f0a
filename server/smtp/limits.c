/* SPDX-License-Identifier: ISC */
/*
 * A segment is a hash table of buckets with eight places each and no probing:
 * removing an entry moves nothing, so that other processes may read while we
 * write.  An entry bears 64 bits of a keyed hash in place of its address.
 */
#include "smtp/limits.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/pool.h"

#define WAYS 8u
#define BUCKETS 65536u

struct place {
	_Atomic uint64_t tag; /* 0: free */
	_Atomic uint32_t count;
	uint32_t unused;
};

struct segment {
	uint8_t key[16];
	_Atomic uint32_t total;
	uint32_t unused[11];
	struct place place[BUCKETS][WAYS];
};

struct pw_limits {
	pthread_mutex_t lock; /* threads of this process, when writing */
	struct segment *own;
	const struct segment *seg[8]; /* own first */
	size_t nseg;
	uint64_t uncounted;
};

size_t
pw_limits_segment_size(void)
{
	return sizeof(struct segment);
}

void
pw_limits_segment_init(void *mem)
{
	pw_random(((struct segment *)mem)->key, 16);
}

struct pw_limits *
pw_limits_new(void *own, const void *const *other, size_t nother)
{
	struct pw_limits *l = pw_xcalloc(1, sizeof(*l));

	(void)pthread_mutex_init(&l->lock, NULL);
	l->own = own;
	l->seg[l->nseg++] = own;
	for (size_t i = 0; i < nother && l->nseg < PW_COUNT(l->seg); i++)
		l->seg[l->nseg++] = other[i];
	return l;
}

void
pw_limits_free(struct pw_limits **l)
{
	if (*l == NULL)
		return;
	(void)pthread_mutex_destroy(&(*l)->lock);
	free(*l);
	*l = NULL;
}

/* The network that is counted for IP. */
static struct pw_ip
network_of(const struct pw_ip *ip)
{
	return pw_ip_mask(ip, ip->family == 4 ? 24 : 64);
}

static uint64_t
tag_of(const struct segment *s, const struct pw_ip *ip, uint8_t kind)
{
	uint8_t in[18] = { kind, ip->family };
	uint64_t tag;

	memcpy(in + 2, ip->b, ip->family == 4 ? 4 : 16);
	tag = pw_siphash(s->key, in, sizeof(in));
	return tag != 0 ? tag : 1;
}

static const struct place *
find(const struct segment *s, uint64_t tag)
{
	const struct place *p = s->place[tag % BUCKETS];

	for (size_t i = 0; i < WAYS; i++)
		if (atomic_load_explicit(&p[i].tag, memory_order_relaxed) ==
		    tag)
			return &p[i];
	return NULL;
}

static uint32_t
count_of(const struct segment *s, const struct pw_ip *ip, uint8_t kind)
{
	const struct place *p = find(s, tag_of(s, ip, kind));

	return p == NULL ? 0
			 : atomic_load_explicit(&p->count,
			       memory_order_relaxed);
}

/* Adds one in our own segment; false when the bucket is full. */
static bool
add(struct segment *s, const struct pw_ip *ip, uint8_t kind)
{
	uint64_t tag = tag_of(s, ip, kind);
	struct place *p = (struct place *)(uintptr_t)find(s, tag);

	if (p == NULL) {
		struct place *b = s->place[tag % BUCKETS];

		for (size_t i = 0; i < WAYS && p == NULL; i++)
			if (atomic_load_explicit(&b[i].tag,
				memory_order_relaxed) == 0)
				p = &b[i];
		if (p == NULL)
			return false;
		atomic_store_explicit(&p->count, 0, memory_order_relaxed);
		atomic_store_explicit(&p->tag, tag, memory_order_relaxed);
	}
	atomic_fetch_add_explicit(&p->count, 1, memory_order_relaxed);
	return true;
}

static void
sub(struct segment *s, const struct pw_ip *ip, uint8_t kind)
{
	struct place *p =
	    (struct place *)(uintptr_t)find(s, tag_of(s, ip, kind));

	if (p == NULL)
		return;
	if (atomic_fetch_sub_explicit(&p->count, 1, memory_order_relaxed) == 1)
		atomic_store_explicit(&p->tag, 0, memory_order_relaxed);
}

uint32_t
pw_limits_total(struct pw_limits *l)
{
	uint32_t n = 0;

	for (size_t i = 0; i < l->nseg; i++)
		n += atomic_load_explicit(&l->seg[i]->total,
		    memory_order_relaxed);
	return n;
}

uint64_t
pw_limits_uncounted(struct pw_limits *l)
{
	uint64_t n;

	(void)pthread_mutex_lock(&l->lock);
	n = l->uncounted;
	(void)pthread_mutex_unlock(&l->lock);
	return n;
}

static uint32_t
count_all(struct pw_limits *l, const struct pw_ip *ip, uint8_t kind)
{
	uint32_t n = 0;

	for (size_t i = 0; i < l->nseg; i++)
		n += count_of(l->seg[i], ip, kind);
	return n;
}

static enum pw_limit_verdict
enter(struct pw_limits *l, const struct pw_ip *ip, bool trusted,
    const struct pw_limit_caps *caps, struct pw_limit_ticket *t)
{
	struct pw_ip net = network_of(ip);

	if (pw_limits_total(l) >= caps->total)
		return PW_LIMIT_TOTAL;
	if (!trusted) {
		if (count_all(l, ip, 'a') >= caps->address)
			return PW_LIMIT_ADDRESS;
		if (count_all(l, &net, 'n') >= caps->network)
			return PW_LIMIT_NETWORK;
		t->by_address = add(l->own, ip, 'a');
		if (t->by_address && !add(l->own, &net, 'n')) {
			sub(l->own, ip, 'a');
			t->by_address = false;
		}
		if (!t->by_address)
			l->uncounted++;
	}
	t->counted = true;
	atomic_fetch_add_explicit(&l->own->total, 1, memory_order_relaxed);
	return PW_LIMIT_OK;
}

enum pw_limit_verdict
pw_limits_enter(struct pw_limits *l, const struct pw_ip *ip, bool trusted,
    const struct pw_limit_caps *caps, struct pw_limit_ticket *t)
{
	enum pw_limit_verdict v;

	memset(t, 0, sizeof(*t));
	t->ip = *ip;
	(void)pthread_mutex_lock(&l->lock);
	v = enter(l, ip, trusted, caps, t);
	(void)pthread_mutex_unlock(&l->lock);
	return v;
}

void
pw_limits_leave(struct pw_limits *l, struct pw_limit_ticket *t)
{
	struct pw_ip net = network_of(&t->ip);

	if (!t->counted)
		return;
	(void)pthread_mutex_lock(&l->lock);
	atomic_fetch_sub_explicit(&l->own->total, 1, memory_order_relaxed);
	if (t->by_address) {
		sub(l->own, &t->ip, 'a');
		sub(l->own, &net, 'n');
	}
	(void)pthread_mutex_unlock(&l->lock);
	t->counted = t->by_address = false;
}
