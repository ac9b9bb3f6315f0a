/* SPDX-License-Identifier: ISC */
/*
 * Opening and closing the filer: folders, journal, replay, threads, in this
 * order, and back.  The loop's thread.
 */
#include "storage/filer_private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "storage/sysio.h"

#define OPEN_FOLDERS 128u
#define CLOSE_ROUNDS 5

/* ---- opening -------------------------------------------------------------- */

/* The folder at PATH, its last part made when missing. */
static int
open_path(const char *path, struct pw_err *err)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	int fd = pw_sys->openat(AT_FDCWD, path, flags, 0);

	if (fd < 0 && errno == ENOENT &&
	    pw_sys->mkdirat(AT_FDCWD, path, 0700) == 0) {
		fd = pw_sys->openat(AT_FDCWD, path, flags, 0);
		int up = fd < 0 ? -1 : pw_sys->openat(fd, "..", flags, 0);
		if (up >= 0)
			(void)pw_sys->fsync(up);
		pw_sys_close(&up);
	}
	return fd >= 0 ? fd : pw_err_sys(err, "%s", path);
}

/* The quarantine is a Maildir of our own. */
static int
make_quarantine(struct pw_filer *f, struct pw_err *err)
{
	struct pw_maildir m;

	if (pw_maildir_open(f->state_dir, PW_LIT("quarantine"),
		PW_BYTES_NONE, true, false, &m) < 0)
		return pw_err_sys(err, "quarantine");
	pw_maildir_close(&m);
	return 0;
}

static int
open_folders(struct pw_filer *f, const struct pw_filer_opts *o,
    struct pw_err *err)
{
	struct stat state, mail;

	f->state_dir = open_path(o->state_dir, err);
	if (f->state_dir < 0)
		return -1;
	f->mail_root = open_path(o->mail_root, err);
	if (f->mail_root < 0)
		return -1;
	if (pw_sys->fstat(f->state_dir, &state) < 0 ||
	    pw_sys->fstat(f->mail_root, &mail) < 0)
		return pw_err_sys(err, "fstat");
	f->two_disks = state.st_dev != mail.st_dev;
	f->root[PW_PLACE_MAIL] = f->mail_root;
	f->root[PW_PLACE_QUARANTINE] = f->state_dir;
	f->folders = pw_folders_new(f->root, OPEN_FOLDERS);
	return make_quarantine(f, err);
}

static int
start_thread(pthread_t *t, void *(*fn)(void *), struct pw_filer *f,
    struct pw_err *err)
{
	int e = pthread_create(t, NULL, fn, f);

	return e == 0 ? 0 : pw_err_set(err, e, "thread: %s", strerror(e));
}

static int
start_threads(struct pw_filer *f, unsigned writers, struct pw_err *err)
{
	f->writer_thread = pw_xcalloc(writers, sizeof(*f->writer_thread));
	for (; f->nwriter < writers; f->nwriter++)
		if (start_thread(&f->writer_thread[f->nwriter],
			pw_writer_main, f, err) < 0)
			return -1;
	if (start_thread(&f->commit_thread, pw_commit_main, f, err) < 0)
		return -1;
	f->commit_started = true;
	if (start_thread(&f->checkpoint_thread, pw_checkpoint_main, f, err) <
	    0)
		return -1;
	f->checkpoint_started = true;
	return 0;
}

static struct pw_filer *
filer_new(struct pw_loop *loop, const struct pw_filer_opts *o)
{
	struct pw_filer *f = pw_xcalloc(1, sizeof(*f));
	pthread_condattr_t attr;

	f->loop = loop;
	f->writer = o->writer;
	f->expect = o->expect;
	f->replayed = o->replayed;
	f->expect_arg = o->expect_arg;
	f->state_dir = f->mail_root = f->wake_fd = -1;
	f->done_tail = &f->done;
	f->void_tail = &f->void_jobs;
	pw_queue_init(&f->write_queue);
	pw_queue_init(&f->commit_queue);
	(void)pthread_mutex_init(&f->lock, NULL);
	(void)pthread_mutex_init(&f->done_lock, NULL);
	(void)pthread_mutex_init(&f->tick_lock, NULL);
	(void)pthread_mutex_init(&f->aside_lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&f->tick, &attr);
	(void)pthread_condattr_destroy(&attr);
	pw_filer_set(f, o);
	return f;
}

void
pw_filer_set(struct pw_filer *f, const struct pw_filer_opts *o)
{
	atomic_store(&f->journal_message, o->journal_message);
	atomic_store(&f->checkpoint_ms, o->checkpoint_ms);
	atomic_store(&f->min_free, o->min_free);
	atomic_store(&f->keep_aside, o->keep_aside);
	atomic_store(&f->quota_grace, o->quota_grace);
	(void)pthread_mutex_lock(&f->lock);
	pw_maildir_host(f->host, pw_bytes_of(o->host));
	(void)pthread_mutex_unlock(&f->lock);
}

void
pw_filer_replay(struct pw_filer *f)
{
	char host[sizeof(f->host)];

	if (f->replay == NULL || pw_replay_run(f, f->replay) != 0)
		return;
	pw_replay_free(&f->replay);
	if (f->replayed == NULL)
		return;
	(void)pthread_mutex_lock(&f->lock); /* a reload may change it */
	memcpy(host, f->host, sizeof(host));
	(void)pthread_mutex_unlock(&f->lock);
	f->replayed(f->expect_arg, host);
}

int
pw_filer_open(struct pw_loop *loop, const struct pw_filer_opts *o,
    struct pw_filer **out, struct pw_err *err)
{
	struct pw_filer *f = filer_new(loop, o);

	*out = NULL;
	f->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (f->wake_fd < 0 ||
	    pw_io_add(loop, &f->wake, f->wake_fd, EPOLLIN, pw_filer_on_wake) <
		0) {
		(void)pw_err_sys(err, "eventfd");
		goto fail;
	}
	if (open_folders(f, o, err) < 0 ||
	    pw_journal_open(f->state_dir, o->journal, o->boot_id, &f->journal,
		err) < 0 ||
	    pw_spool_start(f, err) < 0 ||
	    pw_replay_open(f, &f->replay, err) < 0)
		goto fail;
	pw_filer_replay(f);
	if (start_threads(f, o->writers > 0 ? o->writers : 1, err) < 0)
		goto fail;
	*out = f;
	return 0;
fail:
	pw_filer_close(&f);
	return -1;
}

/* ---- closing -------------------------------------------------------------- */

/* Waits for all answers; each job ends by itself within its bounds. */
static void
drain(struct pw_filer *f)
{
	while (f->waiting > 0) {
		struct pollfd p = { f->wake_fd, POLLIN, 0 };
		uint64_t n;

		(void)poll(&p, 1, 1000);
		if (read(f->wake_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
			break;
		pw_filer_answer(f);
	}
}

static void
stop_threads(struct pw_filer *f)
{
	pw_queue_stop(&f->write_queue);
	for (unsigned i = 0; i < f->nwriter; i++)
		(void)pthread_join(f->writer_thread[i], NULL);
	free(f->writer_thread);
	pw_queue_stop(&f->commit_queue);
	if (f->commit_started)
		(void)pthread_join(f->commit_thread, NULL);
	if (f->checkpoint_started) {
		(void)pthread_mutex_lock(&f->tick_lock);
		f->tick_stop = true;
		(void)pthread_cond_signal(&f->tick);
		(void)pthread_mutex_unlock(&f->tick_lock);
		(void)pthread_join(f->checkpoint_thread, NULL);
	}
}

/* What cannot be made durable now stays in the journal for the next start. */
static void
last_checkpoint(struct pw_filer *f)
{
	for (int i = 0; i < CLOSE_ROUNDS && !pw_journal_idle(f->journal); i++)
		pw_checkpoint_round(f, true);
	if (!pw_journal_idle(f->journal))
		pw_logf(PW_LOG_WARN, "store.close",
		    "the journal keeps what could not be made durable");
}

void
pw_filer_close(struct pw_filer **fp)
{
	struct pw_filer *f = *fp;

	if (f == NULL)
		return;
	f->closing = true;
	if (f->commit_started)
		drain(f);
	stop_threads(f);
	if (f->checkpoint_started)
		last_checkpoint(f);
	pw_replay_free(&f->replay);
	pw_spool_end(f);
	pw_journal_close(&f->journal);
	pw_folders_free(&f->folders);
	pw_sys_close(&f->mail_root);
	pw_sys_close(&f->state_dir);
	pw_io_del(&f->wake);
	if (f->wake_fd >= 0)
		(void)close(f->wake_fd);
	free(f->void_seq);
	pw_queue_fini(&f->write_queue);
	pw_queue_fini(&f->commit_queue);
	(void)pthread_cond_destroy(&f->tick);
	(void)pthread_mutex_destroy(&f->tick_lock);
	(void)pthread_mutex_destroy(&f->aside_lock);
	(void)pthread_mutex_destroy(&f->done_lock);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
	*fp = NULL;
}
