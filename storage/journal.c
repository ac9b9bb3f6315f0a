/* SPDX-License-Identifier: ISC */
/*
 * The writing side of the journal: which segment is next, batches, marks.
 * Called by the commit thread, but for settling.  The other side, which frees
 * segments, is in journal_ring.c.
 */
#include "storage/journal_private.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "storage/sysio.h"

#define RETRY_MS 1000u
#define FULL_MS 3000u

static uint64_t
pages(uint64_t n)
{
	return (n + PW_JOURNAL_PAGE - 1) & ~(uint64_t)(PW_JOURNAL_PAGE - 1);
}

uint32_t
pw_journal_max(const struct pw_journal *j)
{
	uint64_t n = j->segment_size - 2u * PW_JOURNAL_PAGE - PW_JOURNAL_HEAD;

	return n > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)n;
}

uint32_t
pw_journal_crc(const void *p, size_t n)
{
	return pw_crc(0, p, n);
}

static uint64_t
room_of(const struct pw_jrec *r)
{
	return (uint64_t)PW_JOURNAL_HEAD + r->len;
}

/* ---- choosing the segment ------------------------------------------------- */

static bool
fits(const struct pw_segment *s, uint64_t room)
{
	return s->records < pw_segment_words(s) &&
	    pages(s->used + room) <= s->size;
}

/* Under the lock. */
static struct pw_segment *
pick_free(struct pw_journal *j)
{
	struct pw_segment *best = NULL;

	for (size_t i = 0; i < j->nseg; i++) {
		struct pw_segment *s = j->seg[i];
		if (s->kind == PW_SEG_FREE && s->size == j->segment_size &&
		    (best == NULL || s->seq < best->seq ||
			(s->seq == best->seq && s->number < best->number)))
			best = s;
	}
	return best;
}

/* Under the lock: segments that serve or will serve again. */
static size_t
count_good(const struct pw_journal *j)
{
	size_t n = 0;

	for (size_t i = 0; i < j->nseg; i++)
		if (j->seg[i]->kind != PW_SEG_DEAD &&
		    j->seg[i]->size == j->segment_size)
			n++;
	return n;
}

/* Adds a new file to the ring; NULL and ERR. */
static struct pw_segment *
add_segment(struct pw_journal *j, struct pw_err *err)
{
	struct pw_segment *s;
	uint64_t now = pw_clock_mono_ms();

	if (now < j->retry_ms) {
		(void)pw_err_set(err, EAGAIN, "journal: out of order");
		return NULL;
	}
	j->retry_ms = now + RETRY_MS;
	if (pw_segment_make(j, j->next_number++, &s, err) < 0)
		return NULL;
	(void)pthread_mutex_lock(&j->lock);
	if (j->nseg < PW_SEGMENTS_MAX) {
		j->seg[j->nseg++] = s;
		j->fresh = false;
	} else {
		(void)pw_err_set(err, ENOSPC, "journal: too many segments");
		pw_segment_remove(j, s);
		pw_segment_close(&s);
	}
	(void)pthread_mutex_unlock(&j->lock);
	if (s != NULL)
		j->retry_ms = 0;
	return s;
}

/*
 * An active segment that takes a record of ROOM bytes, claimed for appending.
 * A new file is made when the disk refused the last one, or when fewer are
 * left than there should be.
 */
static enum pw_jresult
claim(struct pw_journal *j, uint64_t room, struct pw_err *err)
{
	struct pw_segment *s;
	bool make;

	(void)pthread_mutex_lock(&j->lock);
	s = j->active;
	if (s != NULL && !fits(s, room)) {
		s->kind = PW_SEG_CLOSED;
		j->active = s = NULL;
	}
	if (s != NULL) {
		j->appending = true;
		(void)pthread_mutex_unlock(&j->lock);
		return PW_J_OK;
	}
	s = pick_free(j);
	make = j->fresh || (s == NULL && count_good(j) < j->want);
	(void)pthread_mutex_unlock(&j->lock);

	if (make && (s = add_segment(j, err)) == NULL)
		return PW_J_FAILED;
	if (s == NULL) {
		(void)pw_err_set(err, ENOSPC, "journal: no free segment");
		return PW_J_FULL;
	}
	if (pw_segment_activate(j, s) < 0) {
		(void)pw_err_sys(err, "journal: state.%04u", s->number);
		return PW_J_FAILED;
	}
	(void)pthread_mutex_lock(&j->lock);
	s->kind = PW_SEG_ACTIVE;
	s->first_ms = 0;
	s->unsettled = 0;
	s->ticket = 0;
	s->owed = false;
	s->suspect = pw_clock_mono_ms() < j->suspect_until_ms;
	j->active = s;
	j->appending = true;
	(void)pthread_mutex_unlock(&j->lock);
	return PW_J_OK;
}

/* ---- appending ------------------------------------------------------------ */

static void
head(struct pw_jrec *r, const struct pw_segment *s)
{
	struct pw_rec_disk d = { 0 };

	d.magic = htole32(PW_REC_MAGIC);
	d.segment = htole64(s->seq);
	d.seq = htole64(r->seq);
	d.len = htole32(r->len);
	d.payload_crc = htole32(r->crc);
	d.crc = htole32(pw_crc(s->epoch_crc, &d, sizeof(d)));
	memcpy(r->buf, &d, sizeof(d));
}

/* As many of N records as fit, with the header before the first batch and
 * zeros to the end of the last page, so that no page is ever read in order to
 * be written. */
static size_t
layout(struct pw_journal *j, struct pw_segment *s, struct pw_jrec **rec,
    size_t n, struct iovec *iov, size_t *niov, uint64_t *at)
{
	uint64_t end = s->used, full;
	size_t k = 0;

	*niov = 0;
	*at = s->used;
	if (s->records == 0) {
		*at = 0;
		pw_segment_header(s, j->page);
		iov[(*niov)++] = (struct iovec){ j->page, PW_JOURNAL_PAGE };
	}
	for (; k < n && k < PW_JOURNAL_BATCH; k++) {
		struct pw_jrec *r = rec[k];
		if (s->records >= pw_segment_words(s) ||
		    pages(end + room_of(r)) > s->size)
			break;
		PW_ASSERT(r->len % 8 == 0);
		r->seg = s;
		r->seq = atomic_fetch_add(&j->next_record, 1);
		head(r, s);
		iov[(*niov)++] = (struct iovec){ r->buf, room_of(r) };
		end += room_of(r);
		s->records++;
	}
	full = pages(end);
	if (full > end)
		iov[(*niov)++] = (struct iovec){ j->page + PW_JOURNAL_PAGE,
			full - end };
	atomic_fetch_add(&j->bytes, full - *at);
	s->used = full;
	return k;
}

/* The batch is durable, or the segment is dead. */
static void
finish(struct pw_journal *j, struct pw_segment *s, size_t n, bool ok)
{
	(void)pthread_mutex_lock(&j->lock);
	j->appending = false;
	if (ok) {
		if (s->first_ms == 0)
			s->first_ms = pw_clock_mono_ms();
		s->unsettled += (uint32_t)n;
	} else {
		s->kind = PW_SEG_DEAD;
		j->active = NULL;
		j->fresh = true;
	}
	(void)pthread_mutex_unlock(&j->lock);
	if (ok) {
		atomic_fetch_add(&j->batches, 1);
		atomic_fetch_add(&j->records, n);
	}
	atomic_store(&j->trouble, ok ? PW_J_OK : PW_J_FAILED);
}

enum pw_jresult
pw_journal_append(struct pw_journal *j, struct pw_jrec **rec, size_t *n,
    struct pw_err *err)
{
	struct iovec iov[PW_JOURNAL_BATCH + 2];
	size_t niov, count = *n;
	uint64_t at;
	enum pw_jresult r;

	*n = 0;
	PW_ASSERT(rec[0]->len <= pw_journal_max(j));
	r = claim(j, room_of(rec[0]), err);
	if (r == PW_J_FULL && atomic_load(&j->trouble) != PW_J_FULL)
		atomic_store(&j->full_since_ms, pw_clock_mono_ms());
	if (r != PW_J_OK) {
		atomic_store(&j->trouble, r);
		return r;
	}
	/* Claimed: only this thread changes j->active until finish(). */
	struct pw_segment *s = j->active;
	*n = layout(j, s, rec, count, iov, &niov, &at);
	bool ok = pw_sys_pwritev(s->fd, iov, niov, (off_t)at) == 0 &&
	    pw_sys->fdatasync(s->fd) == 0;
	if (!ok)
		(void)pw_err_sys(err, "journal: seg.%04u", s->number);
	finish(j, s, *n, ok);
	return ok ? PW_J_OK : PW_J_FAILED;
}

void
pw_journal_heal(struct pw_journal *j)
{
	struct pw_err err;

	if (atomic_load(&j->trouble) != PW_J_FAILED)
		return;
	enum pw_jresult r = claim(j, 0, &err);
	(void)pthread_mutex_lock(&j->lock);
	j->appending = false;
	(void)pthread_mutex_unlock(&j->lock);
	atomic_store(&j->trouble, r);
}

int
pw_journal_mark(struct pw_jrec *const *rec, size_t n, enum pw_jstate state)
{
	uint64_t word[PW_JOURNAL_BATCH];
	struct pw_segment *s = rec[0]->seg;
	uint64_t i = rec[0]->seq - s->first_record;

	PW_ASSERT(n <= PW_JOURNAL_BATCH);
	for (size_t k = 0; k < n; k++) {
		PW_ASSERT(rec[k]->seq == rec[0]->seq + k);
		word[k] = htole64(pw_segment_word(rec[k]->seq, state));
	}
	return pw_sys_pwrite(s->state_fd, word, 8 * n,
	    (off_t)(PW_STATE_HEAD + 8 * i));
}

void
pw_journal_settle(struct pw_journal *j, struct pw_segment *seg,
    uint64_t ticket, bool owed)
{
	(void)pthread_mutex_lock(&j->lock);
	PW_ASSERT(seg->unsettled > 0);
	seg->unsettled--;
	if (ticket > seg->ticket)
		seg->ticket = ticket;
	seg->owed |= owed;
	(void)pthread_mutex_unlock(&j->lock);
}

void
pw_journal_wait_free(struct pw_journal *j, unsigned ms)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	(void)pthread_mutex_lock(&j->lock);
	while (pick_free(j) == NULL)
		if (pthread_cond_timedwait(&j->freed, &j->lock, &until) != 0)
			break;
	(void)pthread_mutex_unlock(&j->lock);
}

const char *
pw_journal_trouble(const struct pw_journal *j)
{
	switch (atomic_load(&j->trouble)) {
	case PW_J_FULL:
		/* A checkpoint that is under way is only waited for. */
		return pw_clock_mono_ms() - atomic_load(&j->full_since_ms) >
			FULL_MS ? "journal full" : NULL;
	case PW_J_FAILED:
		return "journal out of order";
	default:
		return NULL;
	}
}
