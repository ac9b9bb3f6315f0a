/* SPDX-License-Identifier: ISC */
/*
 * The journal from open to close, but for writing: its files, which segments
 * still count, and how a checkpoint frees them.  Opened and closed by the
 * store's start and end; freed by the checkpoint thread.
 */
#include "storage/journal_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "storage/sysio.h"

#define LOCK_WAIT_MS 10000
#define SUSPECT_MS 60000u
#define LARGE_SEGMENT ((uint64_t)64 << 20)

/* ---- opening -------------------------------------------------------------- */

static int
by_seq(const void *a, const void *b)
{
	const struct pw_segment *x = *(struct pw_segment *const *)a;
	const struct pw_segment *y = *(struct pw_segment *const *)b;

	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* A former process may still be dying, with its last system calls under way:
 * nothing is read before they have ended. */
static int
take_lock(struct pw_journal *j, struct pw_err *err)
{
	const struct timespec pause = { 0, 20 * 1000 * 1000 };

	j->lock_fd = pw_sys->openat(j->dir, "lock",
	    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (j->lock_fd < 0)
		return pw_err_sys(err, "journal: lock");
	for (int ms = 0; pw_sys->flock(j->lock_fd, LOCK_EX | LOCK_NB) < 0;
	     ms += 20) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return pw_err_sys(err, "journal: lock");
		if (ms >= LOCK_WAIT_MS)
			return pw_err_set(err, EBUSY,
			    "journal: another store is running");
		(void)nanosleep(&pause, NULL);
	}
	return 0;
}

static void
take_slot(struct pw_journal *j, const struct pw_super_disk *in)
{
	struct pw_super_disk d = *in;
	uint32_t crc = le32toh(d.crc);

	d.crc = 0;
	if (le64toh(d.magic) != PW_SUPER_MAGIC ||
	    le32toh(d.version) != PW_JOURNAL_VERSION ||
	    pw_crc(0, &d, sizeof(d)) != crc ||
	    le64toh(d.generation) < j->generation)
		return;
	j->generation = le64toh(d.generation);
	j->tail = le64toh(d.tail);
	j->next_record = le64toh(d.next_record);
}

/* Without a valid slot every segment counts: more work, nothing lost. */
static int
read_super(struct pw_journal *j, struct pw_err *err)
{
	struct pw_super_disk d;
	struct stat st;

	j->super_fd = pw_sys->openat(j->dir, "super",
	    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (j->super_fd < 0 || pw_sys->fstat(j->super_fd, &st) < 0)
		return pw_err_sys(err, "journal: super");
	for (off_t at = 0; at < 2 * (off_t)PW_JOURNAL_PAGE;
	     at += PW_JOURNAL_PAGE) {
		if (st.st_size < at + (off_t)sizeof(d))
			continue;
		if (pw_sys_pread(j->super_fd, &d, sizeof(d), at) < 0 &&
		    pw_sys_pread(j->super_fd, &d, sizeof(d), at) < 0)
			return pw_err_sys(err, "journal: super");
		take_slot(j, &d);
	}
	return 0;
}

/* "seg.NNNN" and nothing behind it; 0 when it is not. */
static unsigned
segment_number(const char *name)
{
	uint64_t n;

	if (strncmp(name, "seg.", 4) != 0 ||
	    pw_bytes_u64(pw_bytes_of(name + 4), UINT32_MAX / 2, &n) < 0)
		return 0;
	return (unsigned)n;
}

struct listing {
	struct pw_journal *j;
	struct pw_err *err;
	int rc;
};

static int
open_one(void *arg, const char *name)
{
	struct listing *l = arg;
	struct pw_journal *j = l->j;
	size_t len = strlen(name);
	unsigned n = segment_number(name);

	if (len > 4 && strcmp(name + len - 4, ".new") == 0)
		(void)pw_sys->unlinkat(j->dir, name, 0);
	/* Numbers of dead ones are not given again either. */
	if (strncmp(name, "seg.", 4) == 0) {
		unsigned long any = strtoul(name + 4, NULL, 10);
		if (any < UINT32_MAX / 2 && any >= j->next_number)
			j->next_number = (unsigned)any + 1;
	}
	if (n == 0 || j->nseg == PW_SEGMENTS_MAX)
		return 0;
	l->rc = pw_segment_open(j, n, &j->seg[j->nseg], l->err);
	if (l->rc < 0)
		return 1;
	j->nseg++;
	return 0;
}

/* Sorts what was found into what counts and what is free, away with what has
 * the wrong size. */
static void
classify(struct pw_journal *j)
{
	size_t n = 0;

	for (size_t i = 0; i < j->nseg; i++) {
		struct pw_segment *s = j->seg[i];
		if (s->seq >= j->next_segment)
			j->next_segment = s->seq + 1;
		if (s->seq != 0 && s->seq >= j->tail) {
			s->kind = PW_SEG_CLOSED;
			j->live[j->nlive++] = s;
		} else if (s->size != j->segment_size) {
			pw_segment_remove(j, s);
			pw_segment_close(&s);
			continue;
		}
		j->seg[n++] = s;
	}
	j->nseg = n;
	if (j->next_segment < j->tail)
		j->next_segment = j->tail;
	if (j->nlive > 0)
		qsort(j->live, j->nlive, sizeof(j->live[0]), by_seq);
}

static int
top_up(struct pw_journal *j, struct pw_err *err)
{
	size_t good = 0;

	for (size_t i = 0; i < j->nseg; i++)
		good += j->seg[i]->size == j->segment_size;
	for (; good < j->want && j->nseg < PW_SEGMENTS_MAX; good++, j->nseg++)
		if (pw_segment_make(j, j->next_number++, &j->seg[j->nseg],
			err) < 0)
			return -1;
	return 0;
}

static void
set_size(struct pw_journal *j, uint64_t size)
{
	j->want = (size_t)(size / LARGE_SEGMENT);
	if (j->want < 4)
		j->want = 4;
	if (j->want > PW_SEGMENTS_MAX / 2)
		j->want = PW_SEGMENTS_MAX / 2;
	j->segment_size = size / j->want &
	    ~(uint64_t)(PW_JOURNAL_PAGE - 1);
	if (j->segment_size < 16u * PW_JOURNAL_PAGE)
		j->segment_size = 16u * PW_JOURNAL_PAGE;
}

int
pw_journal_open(int state_dir, uint64_t size, const char *boot_id,
    struct pw_journal **out, struct pw_err *err)
{
	struct pw_journal *j = pw_xcalloc(1, sizeof(*j));
	struct listing l = { j, err, 0 };
	pthread_condattr_t attr;

	*out = NULL;
	j->lock_fd = j->super_fd = -1;
	j->next_segment = 1;
	j->next_number = 1;
	atomic_init(&j->next_record, 1);
	(void)snprintf(j->boot, sizeof(j->boot), "%s", boot_id);
	j->page = pw_xcalloc(2, PW_JOURNAL_PAGE);
	(void)pthread_mutex_init(&j->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&j->freed, &attr);
	(void)pthread_condattr_destroy(&attr);
	set_size(j, size);

	j->dir = pw_sys_opendir(state_dir, "journal", true);
	if (j->dir < 0) {
		(void)pw_err_sys(err, "journal");
		goto fail;
	}
	if (take_lock(j, err) < 0 || read_super(j, err) < 0)
		goto fail;
	/* The folder's own name, too, must outlast a power cut. */
	if (pw_sys->fsync(state_dir) < 0 || pw_sys->fsync(j->dir) < 0 ||
	    pw_sys_list(j->dir, open_one, &l) < 0)
		(void)pw_err_sys(err, "journal");
	else if (l.rc == 0) {
		classify(j);
		if (top_up(j, err) == 0) {
			*out = j;
			return 0;
		}
	}
fail:
	pw_journal_close(&j);
	return -1;
}

void
pw_journal_close(struct pw_journal **jp)
{
	struct pw_journal *j = *jp;

	if (j == NULL)
		return;
	for (size_t i = 0; i < j->nseg; i++)
		pw_segment_close(&j->seg[i]);
	pw_sys_close(&j->super_fd);
	pw_sys_close(&j->dir);
	/* Last: the lock goes with it. */
	pw_sys_close(&j->lock_fd);
	(void)pthread_cond_destroy(&j->freed);
	(void)pthread_mutex_destroy(&j->lock);
	free(j->page);
	free(j);
	*jp = NULL;
}

struct pw_segment *const *
pw_journal_live(struct pw_journal *j, size_t *n)
{
	*n = j->nlive;
	return j->live;
}

/* ---- freeing -------------------------------------------------------------- */

/* Closed and dead segments, oldest first; under the lock. */
static size_t
used_segments(struct pw_journal *j, struct pw_segment **out)
{
	size_t n = 0;

	for (size_t i = 0; i < j->nseg; i++)
		if (j->seg[i]->kind == PW_SEG_CLOSED ||
		    j->seg[i]->kind == PW_SEG_DEAD)
			out[n++] = j->seg[i];
	if (n > 0)
		qsort(out, n, sizeof(out[0]), by_seq);
	return n;
}

void
pw_journal_close_aged(struct pw_journal *j, uint64_t ms)
{
	struct pw_segment *used[PW_SEGMENTS_MAX];

	(void)pthread_mutex_lock(&j->lock);
	struct pw_segment *s = j->active;
	/* While older ones cannot be freed (a database is locked, a disk is
	 * ill) it goes on to fill: room is all that counts then. */
	if (s != NULL && !j->appending && s->first_ms != 0 &&
	    pw_clock_mono_ms() - s->first_ms >= ms &&
	    (ms == 0 || used_segments(j, used) == 0)) {
		s->kind = PW_SEG_CLOSED;
		j->active = NULL;
	}
	(void)pthread_mutex_unlock(&j->lock);
}

size_t
pw_journal_ready(struct pw_journal *j, struct pw_segment **seg, size_t max)
{
	struct pw_segment *used[PW_SEGMENTS_MAX];
	size_t n, k = 0;

	(void)pthread_mutex_lock(&j->lock);
	n = used_segments(j, used);
	for (; k < n && k < max && used[k]->unsettled == 0; k++)
		seg[k] = used[k];
	(void)pthread_mutex_unlock(&j->lock);
	return k;
}

static int
write_super(struct pw_journal *j, uint64_t tail)
{
	struct pw_super_disk d = { 0 };
	char page[PW_JOURNAL_PAGE] = { 0 };
	uint64_t generation = ++j->generation;

	d.magic = htole64(PW_SUPER_MAGIC);
	d.version = htole32(PW_JOURNAL_VERSION);
	d.generation = htole64(generation);
	d.tail = htole64(tail);
	d.next_record = htole64(atomic_load(&j->next_record));
	d.crc = htole32(pw_crc(0, &d, sizeof(d)));
	memcpy(page, &d, sizeof(d));
	/* A slot that failed is written whole again before its next sync. */
	if (pw_sys_pwrite(j->super_fd, page, sizeof(page),
		(off_t)(generation % 2 * PW_JOURNAL_PAGE)) < 0)
		return -1;
	return pw_sys->fdatasync(j->super_fd);
}

/* Takes S out of the ring; under the lock. */
static void
drop(struct pw_journal *j, struct pw_segment *s)
{
	size_t i = 0;

	while (j->seg[i] != s)
		i++;
	j->seg[i] = j->seg[--j->nseg];
}

int
pw_journal_free(struct pw_journal *j, struct pw_segment *const *seg, size_t n,
    struct pw_err *err)
{
	uint64_t tail = seg[n - 1]->seq + 1;

	if (write_super(j, tail) < 0)
		return pw_err_sys(err, "journal: super");
	j->tail = tail;
	for (size_t i = 0; i < n; i++) {
		struct pw_segment *s = seg[i];
		bool dead = s->kind == PW_SEG_DEAD;
		bool keep = !dead && s->size == j->segment_size;

		(void)pthread_mutex_lock(&j->lock);
		s->kind = PW_SEG_FREE;
		if (!keep)
			drop(j, s);
		(void)pthread_mutex_unlock(&j->lock);
		if (keep)
			continue;
		if (dead)
			pw_segment_bury(j, s);
		else
			pw_segment_remove(j, s);
		pw_segment_close(&s);
	}
	(void)pthread_mutex_lock(&j->lock);
	(void)pthread_cond_broadcast(&j->freed);
	(void)pthread_mutex_unlock(&j->lock);
	int full = PW_J_FULL;
	(void)atomic_compare_exchange_strong(&j->trouble, &full, PW_J_OK);
	return 0;
}

bool
pw_journal_idle(struct pw_journal *j)
{
	bool idle = true;

	(void)pthread_mutex_lock(&j->lock);
	for (size_t i = 0; i < j->nseg; i++)
		if ((j->seg[i]->kind == PW_SEG_ACTIVE && j->seg[i]->first_ms > 0) ||
		    j->seg[i]->kind == PW_SEG_CLOSED ||
		    j->seg[i]->kind == PW_SEG_DEAD)
			idle = false;
	(void)pthread_mutex_unlock(&j->lock);
	return idle;
}

struct pw_segment_info
pw_segment_info(struct pw_journal *j, const struct pw_segment *seg)
{
	struct pw_segment_info i;

	(void)pthread_mutex_lock(&j->lock);
	i = (struct pw_segment_info){ .ticket = seg->ticket,
		.owed = seg->owed, .dead = seg->kind == PW_SEG_DEAD };
	(void)pthread_mutex_unlock(&j->lock);
	return i;
}

void
pw_segment_paid(struct pw_journal *j, struct pw_segment *seg, uint64_t ticket)
{
	(void)pthread_mutex_lock(&j->lock);
	seg->owed = false;
	if (ticket > seg->ticket)
		seg->ticket = ticket;
	(void)pthread_mutex_unlock(&j->lock);
}

unsigned
pw_journal_suspect(struct pw_journal *j)
{
	unsigned n = 0;

	(void)pthread_mutex_lock(&j->lock);
	for (size_t i = 0; i < j->nseg; i++)
		if (j->seg[i]->kind != PW_SEG_FREE) {
			j->seg[i]->suspect = true;
			n++;
		}
	j->suspect_until_ms = pw_clock_mono_ms() + SUSPECT_MS;
	(void)pthread_mutex_unlock(&j->lock);
	return n;
}

bool
pw_segment_is_suspect(struct pw_journal *j, const struct pw_segment *seg)
{
	(void)pthread_mutex_lock(&j->lock);
	bool suspect = seg->suspect;
	(void)pthread_mutex_unlock(&j->lock);
	return suspect;
}

void
pw_segment_trust(struct pw_journal *j, struct pw_segment *seg)
{
	(void)pthread_mutex_lock(&j->lock);
	seg->suspect = false;
	(void)pthread_mutex_unlock(&j->lock);
}

void
pw_journal_stats(struct pw_journal *j, struct pw_journal_stats *out)
{
	*out = (struct pw_journal_stats){
		.batches = atomic_load(&j->batches),
		.records = atomic_load(&j->records),
		.bytes = atomic_load(&j->bytes) };
	(void)pthread_mutex_lock(&j->lock);
	for (size_t i = 0; i < j->nseg; i++) {
		enum pw_seg_kind k = j->seg[i]->kind;
		*(k == PW_SEG_FREE		? &out->free :
			k == PW_SEG_ACTIVE	? &out->active :
			k == PW_SEG_CLOSED	? &out->closed :
						  &out->dead) += 1;
	}
	(void)pthread_mutex_unlock(&j->lock);
}
