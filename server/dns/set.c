/* SPDX-License-Identifier: ISC */
/*
 * Sets of answers: what a judgement rested on, recorded as it was asked for and
 * found again when the judgement is replayed.  A set belongs to its pool and to
 * one thread.
 */
#include "dns/wire.h"

#include "base/clock.h"

#define ANSWERS_MAX 256
#define DATA_MAX (64u * 1024)

struct entry {
	uint64_t hash;
	const struct pw_dns_answer *answer;
};

struct pw_dns_set {
	struct pw_pool *pool;
	struct entry *entries;
	size_t count;
	size_t room;
	size_t data;
};

struct pw_dns_set *
pw_dns_set_new(struct pw_pool *pool)
{
	struct pw_dns_set *s = pw_pool_alloc(pool, sizeof(*s));

	if (s != NULL)
		s->pool = pool;
	return s;
}

static const struct pw_dns_answer *
find(const struct pw_dns_set *s, const char *key, uint16_t type, uint64_t hash)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct entry *e = &s->entries[i];
		if (e->hash == hash && e->answer->type == type &&
		    strcmp(e->answer->name, key) == 0)
			return e->answer;
	}
	return NULL;
}

static int
make_room(struct pw_dns_set *s)
{
	size_t room = s->room > 0 ? s->room * 2 : 8;
	struct entry *more;

	if (s->count < s->room)
		return 0;
	more = pw_pool_array(s->pool, room, sizeof(*more));
	if (more == NULL)
		return -1;
	if (s->count > 0)
		memcpy(more, s->entries, s->count * sizeof(*more));
	s->entries = more;
	s->room = room;
	return 0;
}

int
pw_dns_set_add(struct pw_dns_set *s, const struct pw_dns_answer *a)
{
	char key[PW_DNS_KEY_SIZE];
	struct pw_dns_answer filed = *a;
	const struct pw_dns_answer *copy;

	(void)pw_dns_key(a->name, key);
	size_t data = strlen(key);
	uint64_t hash = pw_hash(key, data);
	if (find(s, key, a->type, hash) != NULL)
		return 0;

	for (size_t i = 0; i < a->nrr; i++)
		data += a->rr[i].data.len;
	if (s->count == ANSWERS_MAX || data > DATA_MAX - s->data)
		return -1;
	filed.name = key;
	if (make_room(s) != 0 ||
	    (copy = pw_dns_answer_copy(&filed, s->pool)) == NULL)
		return -1;
	s->entries[s->count++] = (struct entry){hash, copy};
	s->data += data;
	return 0;
}

const struct pw_dns_answer *
pw_dns_set_get(const struct pw_dns_set *s, const char *name, uint16_t type)
{
	char key[PW_DNS_KEY_SIZE];

	(void)pw_dns_key(name, key);
	return find(s, key, type, pw_hash(key, strlen(key)));
}

size_t
pw_dns_set_count(const struct pw_dns_set *s)
{
	return s->count;
}

const struct pw_dns_answer *
pw_dns_set_at(const struct pw_dns_set *s, size_t i)
{
	return i < s->count ? s->entries[i].answer : NULL;
}

void
pw_dns_set_enc(struct pw_enc *e, const struct pw_dns_set *s)
{
	pw_enc_u32(e, (uint32_t)s->count);
	for (size_t i = 0; i < s->count; i++)
		pw_dns_answer_enc(e, s->entries[i].answer);
}

struct pw_dns_set *
pw_dns_set_dec(struct pw_dec *d, struct pw_pool *pool)
{
	struct pw_dns_set *s = pw_dns_set_new(pool);
	uint32_t count = pw_dec_count(d, ANSWERS_MAX, PW_DNS_ANSWER_MIN);

	for (uint32_t i = 0; s != NULL && i < count; i++) {
		const struct pw_dns_answer *a = pw_dns_answer_dec(d, pool);
		if (a == NULL || pw_dns_set_add(s, a) != 0)
			s = NULL;
	}
	if (s == NULL)
		d->bad = true;
	return d->bad ? NULL : s;
}
