/* SPDX-License-Identifier: ISC */
/*
 * The checkpoint thread: once a segment's files and rows are durable by
 * themselves, the journal need not keep them.  It also retries what a start
 * could not file, looks at free space and closes folders that nobody uses.
 *
 * A failed sync is final for what was written before it: the kernel may have
 * dropped those pages and would report the next sync as good.  So the files of
 * every segment concerned are written anew from the journal.
 */
#include "storage/filer_private.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "storage/sysio.h"

#define SEGMENTS 64
#define TICK_MS 1000u
#define ROWS_WAIT_MS 1000u
#define RETRY_MS 1000u
/* Below this share of free inodes the disk is full too. */
#define FREE_INODES 16u

/* ---- making durable ------------------------------------------------------- */

/* The rows of SEG are in the databases. */
static bool
rows_done(struct pw_filer *f, struct pw_segment *seg)
{
	struct pw_segment_info info = pw_segment_info(f->journal, seg);

	if (info.owed) {
		uint64_t ticket = pw_repay_segment(f, seg);
		if (ticket == 0)
			return false;
		pw_segment_paid(f->journal, seg, ticket);
		info.ticket = ticket;
	}
	return pw_writer_wait(f->writer, info.ticket, ROWS_WAIT_MS) == 0;
}

static int
sync_disks(struct pw_filer *f)
{
	int r = pw_sys->syncfs(f->mail_root);
	int saved = errno;

	if (f->two_disks && pw_sys->syncfs(f->state_dir) < 0) {
		saved = errno;
		r = -1;
	}
	errno = saved;
	return r;
}

static int
make_durable(struct pw_filer *f, struct pw_segment **seg, size_t n)
{
	if (sync_disks(f) < 0) {
		pw_logf(PW_LOG_ERROR, "store.sync",
		    "%s; the files of %u journal segments are written anew",
		    strerror(errno), pw_journal_suspect(f->journal));
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		if (!pw_segment_is_suspect(f->journal, seg[i]))
			continue;
		if (pw_rewrite_segment(f, seg[i]) < 0) {
			pw_logf(PW_LOG_ERROR, "store.sync",
			    "writing files anew: %s", strerror(errno));
			return -1;
		}
		pw_segment_trust(f->journal, seg[i]);
	}
	return 0;
}

void
pw_checkpoint_round(struct pw_filer *f, bool force)
{
	struct pw_segment *seg[SEGMENTS];
	struct pw_err err;
	size_t n, k = 0;

	pw_journal_close_aged(f->journal,
	    force ? 0 : atomic_load(&f->checkpoint_ms));
	pw_filer_replay(f);
	n = pw_journal_ready(f->journal, seg, SEGMENTS);
	while (k < n && rows_done(f, seg[k]))
		k++;
	if (k == 0)
		return;
	if (make_durable(f, seg, k) < 0) {
		f->unwell_ms = pw_clock_mono_ms() + RETRY_MS;
		return;
	}
	if (pw_journal_free(f->journal, seg, k, &err) < 0)
		pw_logf(PW_LOG_ERROR, "store.journal", "%s", err.text);
	else
		atomic_fetch_add(&f->checkpoints, 1);
}

/* ---- the thread ----------------------------------------------------------- */

static bool
disk_full(struct pw_filer *f, int fd)
{
	struct statvfs st;

	/* Not knowing is no reason to refuse mail. */
	if (pw_sys->fstatvfs(fd, &st) < 0)
		return false;
	return (uint64_t)st.f_bavail * st.f_frsize <
	    atomic_load(&f->min_free) ||
	    (st.f_files > 0 && st.f_favail < FREE_INODES);
}

static void
look_at_space(struct pw_filer *f)
{
	bool full = disk_full(f, f->mail_root) ||
	    (f->two_disks && disk_full(f, f->state_dir));

	if (full != atomic_load(&f->no_space))
		pw_logf(full ? PW_LOG_WARN : PW_LOG_NOTICE, "store.space",
		    full ? "less than store.min-free is left" :
			   "there is space again");
	atomic_store(&f->no_space, full);
}

/* Sleeps until the next round; false when it is time to end. */
static bool
sleep_tick(struct pw_filer *f, unsigned ms)
{
	struct timespec until;
	bool stop;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	(void)pthread_mutex_lock(&f->tick_lock);
	while (!f->tick_stop && !f->tick_now)
		if (pthread_cond_timedwait(&f->tick, &f->tick_lock, &until) !=
		    0)
			break;
	f->tick_now = false;
	stop = f->tick_stop;
	(void)pthread_mutex_unlock(&f->tick_lock);
	return !stop;
}

void
pw_checkpoint_now(struct pw_filer *f)
{
	(void)pthread_mutex_lock(&f->tick_lock);
	f->tick_now = true;
	(void)pthread_cond_signal(&f->tick);
	(void)pthread_mutex_unlock(&f->tick_lock);
}

void *
pw_checkpoint_main(void *filer)
{
	struct pw_filer *f = filer;
	uint64_t looked = 0;

	for (;;) {
		uint64_t ms = atomic_load(&f->checkpoint_ms) / 4;
		uint64_t now = pw_clock_mono_ms();

		if (now - looked >= TICK_MS) {
			looked = now;
			look_at_space(f);
			pw_folders_sweep(f->folders, false);
		}
		if (now >= f->unwell_ms)
			pw_checkpoint_round(f, false);
		if (!sleep_tick(f, ms < 10 ? 10 : ms > TICK_MS ? TICK_MS :
			    (unsigned)ms))
			return NULL;
	}
}
