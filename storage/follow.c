/* SPDX-License-Identifier: ISC */
/*
 * The follower's thread: waits for changes, lets them gather for a moment,
 * tells the writer; compares every mailbox with the index at the start, at
 * intervals, and when it is asked to, in small pieces with rests between them.
 * Opened, asked and closed on the loop's thread of the store role.
 */
#include "storage/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "storage/accounts_private.h"
#include "storage/follow_private.h"

#define GATHER_MS 50 /* from a change to what it leads to */
#define TICK_MS 1000
#define SLICE_MS 20  /* of comparing, before others have their turn */
#define REST 4       /* times as long as a slice took, unless in a hurry */
#define MISSING_AT_ONCE 500
#define EXPECTED_MS 60000
#define RESCANS_MAX 1000

/* ---- helpers of the thread ----------------------------------------------- */

void
pw_follow_wake(struct pw_follow *f)
{
	const uint64_t one = 1;
	ssize_t n = write(f->wake_fd, &one, sizeof(one));

	(void)n; /* full means that it will wake anyway */
}

bool
pw_follow_sync(struct pw_follow *f)
{
	return pw_writer_wait(f->writer, pw_writer_last(f->writer),
		   PW_FOLLOW_WRITER_MS) == 0;
}

struct pw_db *
pw_follow_db(struct pw_follow *f)
{
	const struct pw_db_opts opts = { .busy_ms = 1000 };
	struct pw_err err;

	if (f->ix != NULL && pw_db_replaced(f->ix))
		pw_db_close(&f->ix);
	if (f->ix == NULL &&
	    pw_db_open(f->index_path, PW_DB_INDEX, &opts, &f->ix, &err) !=
		PW_DB_DONE)
		return NULL;
	return f->ix;
}

/* ---- comparing ----------------------------------------------------------- */

static void
folders_due(struct pw_fmailbox *m, bool forced)
{
	for (struct pw_ffolder *d = m->folders; d != NULL; d = d->next) {
		d->scan_due = true;
		d->scan_forced = d->scan_forced || forced;
	}
}

/* All mailboxes, one after the other. */
static void
begin_round(struct pw_follow *f, bool forced)
{
	struct pw_strmap_val *v;
	struct pw_bytes key;

	f->round = pw_xrealloc(f->round, f->mailboxes.count + 1,
	    sizeof(struct pw_fmailbox *));
	f->nround = f->round_at = 0;
	for (size_t at = 0; pw_strmap_next(&f->mailboxes, &at, &key, &v);) {
		struct pw_fmailbox *m = (struct pw_fmailbox *)(uintptr_t)v->a;
		if (m->folders == NULL)
			continue; /* the missing have their own turn */
		folders_due(m, forced);
		f->round[f->nround++] = m;
	}
}

static void
load_accounts(struct pw_follow *f)
{
	/* Pointers in the round may go: what is left of it begins anew. */
	bool interrupted = f->round_at < f->nround;

	f->nround = f->round_at = 0;
	pw_follow_load(f);
	if (interrupted && f->next_rescan_ms != 0)
		f->next_rescan_ms = pw_clock_mono_ms();
	pw_follow_missing(f, f->nmissing);
}

/* What others asked for since the last time. */
static void
take_requests(struct pw_follow *f)
{
	struct pw_strmap asked;
	struct pw_strmap_val *v;
	struct pw_bytes key;

	(void)pthread_mutex_lock(&f->lock);
	bool accounts = f->accounts_due, all = f->rescan_all;
	f->accounts_due = f->rescan_all = false;
	asked = f->rescans;
	pw_strmap_init(&f->rescans);
	(void)pthread_mutex_unlock(&f->lock);
	if (accounts)
		load_accounts(f);
	if (all)
		f->next_rescan_ms = 0;
	f->hurry = f->hurry || all || asked.count > 0;
	for (size_t at = 0; pw_strmap_next(&asked, &at, &key, &v);) {
		const struct pw_strmap_val *m =
		    pw_strmap_get(&f->mailboxes, key);
		if (m == NULL)
			continue;
		folders_due((struct pw_fmailbox *)(uintptr_t)m->a, true);
		pw_follow_discover(f, (struct pw_fmailbox *)(uintptr_t)m->a);
	}
	pw_strmap_clear(&asked);
}

/* Due by the clock, by an index made anew, by lost events. */
static void
tick(struct pw_follow *f, uint64_t now)
{
	uint64_t epoch = pw_writer_epoch(f->writer);

	if (epoch != f->epoch) {
		f->epoch = epoch;
		f->next_rescan_ms = 0;
	}
	if (f->next_rescan_ms == 0) {
		f->hurry = true;
		begin_round(f, true);
		f->next_rescan_ms = now + f->rescan_ms;
	} else if (now >= f->next_rescan_ms) {
		begin_round(f, false);
		f->next_rescan_ms = now + f->rescan_ms;
	}
	if (now < f->next_tick_ms)
		return;
	f->next_tick_ms = now + TICK_MS;
	pw_follow_missing(f, MISSING_AT_ONCE);
	pw_follow_forget_expected(f, EXPECTED_MS);
}

/* Folders with work, then mailboxes of the round, until the slice is used up.
 * True: there is more. */
static bool
work(struct pw_follow *f)
{
	uint64_t begin = pw_clock_mono_ms(), now = begin;

	if (now < f->resting_until_ms)
		return f->work != NULL || f->round_at < f->nround;
	while (now - begin < SLICE_MS) {
		struct pw_ffolder *d = f->work;
		/* The parser is behind: no more questions for now. */
		if (f->njobs >= PW_FOLLOW_PARSE_QUEUE / 2)
			f->resting_until_ms = now + TICK_MS / 10;
		else if (d != NULL) {
			f->work = d->work;
			if (f->work == NULL)
				f->work_tail = &f->work;
			d->listed = false;
			pw_follow_work(f, d);
		} else if (f->round_at < f->nround) {
			pw_follow_discover(f, f->round[f->round_at++]);
		} else {
			f->hurry = false;
			return false;
		}
		now = pw_clock_mono_ms();
		if (now < f->resting_until_ms)
			return true;
	}
	if (!f->hurry)
		f->resting_until_ms = now + (now - begin) * REST;
	return true;
}

/* ---- the thread ---------------------------------------------------------- */

static bool
is_stopped(struct pw_follow *f)
{
	(void)pthread_mutex_lock(&f->lock);
	bool stop = f->stop;
	(void)pthread_mutex_unlock(&f->lock);
	return stop;
}

/* How long nothing has to be done. */
static int
wait_ms(const struct pw_follow *f, bool more)
{
	uint64_t now = pw_clock_mono_ms();

	if (f->ntouched > 0)
		return GATHER_MS;
	if (more)
		return now < f->resting_until_ms ?
		    (int)(f->resting_until_ms - now) :
		    0;
	return TICK_MS;
}

static void
wait_for_work(struct pw_follow *f, int ms)
{
	struct pollfd p[2] = { { .fd = f->wake_fd, .events = POLLIN },
		{ .fd = f->inotify, .events = POLLIN } };
	uint64_t n;

	(void)poll(p, 2, ms);
	/* One wake-up for many changes. */
	if ((p[0].revents & POLLIN) == 0 && (p[1].revents & POLLIN) != 0)
		(void)poll(p, 1, GATHER_MS);
	if ((p[0].revents & POLLIN) != 0 &&
	    read(f->wake_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		pw_logf(PW_LOG_ERROR, "store.follow", "eventfd");
}

static void
tell_idle(struct pw_follow *f, bool more)
{
	bool idle = !more && f->ntouched == 0 && f->jobs == NULL;

	(void)pthread_mutex_lock(&f->lock);
	f->n.idle = idle && f->parsing == 0 && f->again == NULL &&
	    !f->accounts_due && !f->rescan_all && f->rescans.count == 0;
	(void)pthread_mutex_unlock(&f->lock);
}

static void *
follow_thread(void *arg)
{
	struct pw_follow *f = arg;
	bool more = true;

	while (!is_stopped(f)) {
		take_requests(f);
		tick(f, pw_clock_mono_ms());
		pw_follow_events(f);
		pw_follow_touched(f);
		more = work(f);
		pw_follow_parse_more(f);
		tell_idle(f, more);
		wait_for_work(f, wait_ms(f, more));
	}
	return NULL;
}

/* ---- the owner's side ---------------------------------------------------- */

static char *
index_path(const char *state_dir)
{
	size_t n = strlen(state_dir) + sizeof("/index.db");
	char *path = pw_xcalloc(1, n);

	(void)snprintf(path, n, "%s/index.db", state_dir);
	return path;
}

/* The clock that files are stamped by: a tick behind the exact one. */
static int64_t
file_clock_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static struct pw_follow *
follow_new(struct pw_loop *loop, const char *mail_root,
    struct pw_accounts *accounts, struct pw_writer *writer, uint64_t rescan_ms)
{
	struct pw_follow *f = pw_xcalloc(1, sizeof(*f));

	f->loop = loop;
	f->writer = writer;
	f->mail_root = pw_xstrdup(mail_root);
	f->accounts_path = pw_xstrdup(accounts->path);
	f->index_path = index_path(accounts->state_dir);
	f->rescan_ms = rescan_ms > 0 ? rescan_ms : 600000;
	f->opened_us = file_clock_us();
	f->opened_ms = pw_clock_mono_ms();
	f->refs = 1;
	f->root = f->inotify = f->wake_fd = -1;
	f->accounts_due = true;
	f->have_watches = true;
	f->epoch = pw_writer_epoch(writer);
	f->work_tail = &f->work;
	f->jobs_tail = &f->jobs;
	f->pool = pw_pool_new((size_t)256 << 20);
	for (int i = 0; i < 2; i++)
		f->expected[i] =
		    pw_xcalloc(PW_FOLLOW_EXPECTED, sizeof(uint64_t));
	f->expected_since_ms = pw_clock_mono_ms();
	(void)pthread_mutex_init(&f->lock, NULL);
	pw_strmap_init(&f->rescans);
	pw_strmap_init(&f->mailboxes);
	pw_strmap_init(&f->watch_of);
	pw_strmap_init(&f->touch_of);
	pw_strmap_init(&f->queued_jobs);
	return f;
}

static void
close_fd(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}

/* The thread has ended; jobs may still be with the parser. */
static void
follow_free(struct pw_follow *f)
{
	pw_follow_unload(f);
	pw_follow_parse_free(f);
	pw_strmap_clear(&f->rescans);
	pw_strmap_clear(&f->touch_of);
	pw_db_close(&f->ix);
	pw_pool_free(&f->pool);
	close_fd(f->root);
	close_fd(f->inotify);
	close_fd(f->wake_fd);
	free(f->expected[0]);
	free(f->expected[1]);
	free(f->round);
	free(f->touched);
	free(f->mail_root);
	free(f->accounts_path);
	free(f->index_path);
	free(f->clean_host);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
}

void
pw_follow_unref(struct pw_follow *f)
{
	(void)pthread_mutex_lock(&f->lock);
	unsigned left = --f->refs;
	(void)pthread_mutex_unlock(&f->lock);
	if (left == 0)
		follow_free(f);
}

int
pw_follow_open(struct pw_loop *loop, const char *mail_root,
    struct pw_accounts *accounts, struct pw_writer *writer,
    uint64_t rescan_ms, struct pw_follow **out, struct pw_err *err)
{
	struct pw_follow *f =
	    follow_new(loop, mail_root, accounts, writer, rescan_ms);

	*out = NULL;
	f->root = open(mail_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (f->inotify < 0 && f->root >= 0) {
		f->have_watches = false;
		pw_logf(PW_LOG_WARN, "store.follow_watches",
		    "no inotify (%m): changes that mail clients make are seen "
		    "by the comparison every %llu s only",
		    (unsigned long long)(f->rescan_ms / 1000));
	}
	if (f->root < 0)
		(void)pw_err_sys(err, "mail folder %s", mail_root);
	else if (f->wake_fd < 0)
		(void)pw_err_sys(err, "eventfd");
	else if ((errno = pthread_create(&f->thread, NULL, follow_thread, f)) !=
	    0)
		(void)pw_err_sys(err, "follower's thread");
	else {
		*out = f;
		return 0;
	}
	follow_free(f);
	return -1;
}

void
pw_follow_close(struct pw_follow **fp)
{
	struct pw_follow *f = *fp;

	if (f == NULL)
		return;
	*fp = NULL;
	(void)pthread_mutex_lock(&f->lock);
	f->stop = true;
	(void)pthread_mutex_unlock(&f->lock);
	pw_follow_wake(f);
	(void)pthread_join(f->thread, NULL);
	f->closed = true;
	pw_follow_unref(f);
}

void
pw_follow_set_parser(struct pw_follow *f, pw_parse_fn fn, void *host)
{
	(void)pthread_mutex_lock(&f->lock);
	f->parse = fn;
	f->parse_host = host;
	(void)pthread_mutex_unlock(&f->lock);
	pw_follow_wake(f);
}

void
pw_follow_rescan(struct pw_follow *f, const char *mailbox)
{
	(void)pthread_mutex_lock(&f->lock);
	f->n.idle = false;
	if (mailbox == NULL || f->rescans.count >= RESCANS_MAX)
		f->rescan_all = true;
	else
		(void)pw_strmap_put(&f->rescans, pw_bytes_of(mailbox), NULL);
	(void)pthread_mutex_unlock(&f->lock);
	pw_follow_wake(f);
}

void
pw_follow_accounts_changed(struct pw_follow *f)
{
	(void)pthread_mutex_lock(&f->lock);
	f->n.idle = false;
	f->accounts_due = true;
	(void)pthread_mutex_unlock(&f->lock);
	pw_follow_wake(f);
}

bool
pw_follow_idle(struct pw_follow *f)
{
	(void)pthread_mutex_lock(&f->lock);
	bool idle = f->n.idle;
	(void)pthread_mutex_unlock(&f->lock);
	return idle;
}

void
pw_follow_status(struct pw_follow *f, struct pw_strbuf *out)
{
#define LINE(name)                                                           \
	pw_strbuf_addf(out, "follow." #name " %llu\n",                       \
	    (unsigned long long)__atomic_load_n(&f->n.name, __ATOMIC_RELAXED))
	LINE(mailboxes);
	LINE(folders);
	LINE(watches);
	LINE(events);
	LINE(own);
	LINE(seen);
	LINE(gone);
	LINE(parsed);
	LINE(unparsed);
	LINE(parse_queue);
	LINE(scans);
	LINE(skipped);
	LINE(lost);
	LINE(cleaned);
#undef LINE
	pw_strbuf_addf(out, "follow.idle %d\n", pw_follow_idle(f));
}
