/* SPDX-License-Identifier: ISC */
/*
 * Names of files that we are about to make ourselves, so that their events
 * teach nothing.  Two tables, newer and older; a name is forgotten with the
 * older one.  Once its file has appeared a name is no longer expected, but it
 * is known to be ours: its row may come a little later than its file.  Any
 * thread.
 */
#include "base/clock.h"
#include "storage/follow_private.h"

#define APPEARED 1u /* the hash's lowest bit */

/* Without that bit; 0 is an empty slot. */
static uint64_t
name_hash(struct pw_bytes base)
{
	uint64_t h = pw_hash(base.ptr, base.len) & ~(uint64_t)APPEARED;

	return h != 0 ? h : 2;
}

static uint64_t *
expected_slot(uint64_t *table, uint64_t h)
{
	size_t at = (size_t)(h >> 1) & (PW_FOLLOW_EXPECTED - 1);

	while (table[at] != 0 && (table[at] & ~(uint64_t)APPEARED) != h)
		at = (at + 1) & (PW_FOLLOW_EXPECTED - 1);
	return &table[at];
}

/* The newer names become the older ones. */
static void
turn_expected(struct pw_follow *f)
{
	uint64_t *old = f->expected[1];

	f->expected[1] = f->expected[0];
	f->expected[0] = old;
	memset(old, 0, PW_FOLLOW_EXPECTED * sizeof(*old));
	f->nexpected = 0;
	f->expected_since_ms = pw_clock_mono_ms();
}

void
pw_follow_expect(struct pw_follow *f, struct pw_bytes base)
{
	uint64_t h = name_hash(base);

	(void)pthread_mutex_lock(&f->lock);
	if (f->nexpected >= (PW_FOLLOW_EXPECTED / 2))
		turn_expected(f);
	uint64_t *slot = expected_slot(f->expected[0], h);
	if (*slot == 0)
		f->nexpected++;
	*slot = h;
	(void)pthread_mutex_unlock(&f->lock);
}

bool
pw_follow_expected(struct pw_follow *f, struct pw_bytes base, bool take)
{
	uint64_t h = name_hash(base);
	bool found = false;

	(void)pthread_mutex_lock(&f->lock);
	for (int i = 0; i < 2 && !found; i++) {
		uint64_t *slot = expected_slot(f->expected[i], h);
		found = *slot == h;
		if (found && take)
			*slot = h | APPEARED;
	}
	(void)pthread_mutex_unlock(&f->lock);
	return found;
}

bool
pw_follow_is_own(struct pw_follow *f, struct pw_bytes base)
{
	uint64_t h = name_hash(base);

	(void)pthread_mutex_lock(&f->lock);
	bool own = *expected_slot(f->expected[0], h) != 0 ||
	    *expected_slot(f->expected[1], h) != 0;
	(void)pthread_mutex_unlock(&f->lock);
	return own;
}

void
pw_follow_forget_expected(struct pw_follow *f, uint64_t age_ms)
{
	(void)pthread_mutex_lock(&f->lock);
	if (pw_clock_mono_ms() - f->expected_since_ms >= age_ms)
		turn_expected(f);
	(void)pthread_mutex_unlock(&f->lock);
}
