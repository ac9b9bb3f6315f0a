/* SPDX-License-Identifier: ISC */
/*
 * Files whose content nobody knows: appended by a mail client, or all of them
 * when the index is made anew.  They are opened here, read by the parser (the
 * scan role) and their content is handed to the writer.  At most a few are open
 * at once.  Follower's thread; the parser is called, and calls back, on the
 * loop's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "storage/follow_private.h"

#define TRIES_MAX 3
#define RETRY_MS 2000
#define META_MAX ((size_t)256 << 10)

static void
free_job(struct pw_fjob *j)
{
	if (j->fd >= 0)
		(void)close(j->fd);
	free(j->mailbox);
	free(j->path);
	free(j->folder);
	free(j->base);
	free(j);
}

/* A file's place as one key. */
static void
job_key(const struct pw_fjob *j, struct pw_strbuf *key)
{
	pw_strbuf_init(key, 4096);
	pw_strbuf_adds(key, j->mailbox);
	pw_strbuf_addc(key, '\0');
	pw_strbuf_adds(key, j->folder);
	pw_strbuf_addc(key, '\0');
	pw_strbuf_adds(key, j->base);
}

static void
append(struct pw_follow *f, struct pw_fjob *j)
{
	j->next = NULL;
	*f->jobs_tail = j;
	f->jobs_tail = &j->next;
	f->njobs++;
	__atomic_store_n(&f->n.parse_queue, f->njobs, __ATOMIC_RELAXED);
}

static void
forget(struct pw_follow *f, struct pw_fjob *j)
{
	struct pw_strbuf key;

	job_key(j, &key);
	(void)pw_strmap_del(&f->queued_jobs, pw_strbuf_bytes(&key));
	pw_strbuf_free(&key);
	free_job(j);
}

void
pw_follow_parse(struct pw_follow *f, struct pw_ffolder *d,
    const struct pw_filed *filed)
{
	struct pw_strbuf key;
	bool made;

	/* Beyond the bound: by another comparison of its folder. */
	if (f->njobs >= PW_FOLLOW_PARSE_QUEUE) {
		d->scan_due = d->scan_forced = true;
		return;
	}
	struct pw_fjob *j = pw_xcalloc(1, sizeof(*j));
	j->f = f;
	j->fd = -1;
	j->mailbox = pw_xstrdup(d->mailbox->address);
	j->path = pw_xstrdup(d->mailbox->path);
	j->folder = pw_xstrdup(d->name);
	j->base = pw_xbytesdup(filed->base);
	j->filed = *filed;
	j->filed.mailbox = pw_bytes_of(j->mailbox);
	j->filed.path = pw_bytes_of(j->path);
	j->filed.folder = pw_bytes_of(j->folder);
	j->filed.base = pw_bytes_of(j->base);
	j->filed.like = PW_LIT("");
	job_key(j, &key);
	(void)pw_strmap_put(&f->queued_jobs, pw_strbuf_bytes(&key), &made);
	pw_strbuf_free(&key);
	if (made)
		append(f, j);
	else
		free_job(j);
}

/* ---- on the loop's thread ------------------------------------------------ */

static void
finish(struct pw_fjob *j, bool done)
{
	struct pw_follow *f = j->f;

	(void)pthread_mutex_lock(&f->lock);
	f->parsing--;
	/* The thread takes it off its list, and tries it again or not. */
	if (done)
		j->tries = UINT32_MAX;
	j->next = f->again;
	f->again = j;
	(void)pthread_mutex_unlock(&f->lock);
	pw_follow_wake(f);
	pw_follow_unref(f);
}

static bool
hand_over(struct pw_fjob *j, const struct pw_meta *m)
{
	struct pw_enc e;

	pw_enc_init(&e, META_MAX);
	pw_meta_enc(&e, m);
	struct pw_bytes bytes = pw_enc_done(&e);
	bool taken = bytes.ptr != NULL &&
	    pw_writer_meta(j->f->writer, &j->filed, bytes) != 0;
	pw_enc_free(&e);
	return taken;
}

static void
on_parsed(void *arg, const struct pw_meta *m)
{
	/* What no parser survives is on the index all the same. */
	static const struct pw_meta unreadable = { .complex = true };
	struct pw_fjob *j = arg;
	struct pw_follow *f = j->f;
	bool done = false;

	if (f->closed)
		done = true;
	else if (m != NULL) {
		done = hand_over(j, m);
		PW_FOLLOW_COUNT(f, parsed, done ? 1 : 0);
	} else if (j->tries + 1 >= TRIES_MAX) {
		PW_FOLLOW_COUNT(f, unparsed, 1);
		done = hand_over(j, &unreadable);
		pw_logf(PW_LOG_WARN, "store.follow_unread",
		    "a file in %s cannot be read by the scan role: %s",
		    j->mailbox, j->base);
	}
	finish(j, done);
}

static void
start_on_loop(void *arg)
{
	struct pw_fjob *j = arg;
	struct pw_follow *f = j->f;
	int fd = j->fd;

	j->fd = -1;
	(void)pthread_mutex_lock(&f->lock);
	pw_parse_fn fn = f->parse;
	void *host = f->parse_host;
	(void)pthread_mutex_unlock(&f->lock);
	if (f->closed || fn == NULL) {
		(void)close(fd);
		finish(j, f->closed);
		return;
	}
	fn(host, fd, on_parsed, j);
}

/* ---- on the follower's thread -------------------------------------------- */

/* The file under whatever name it has now; -1 and errno. */
static int
open_file(struct pw_follow *f, const struct pw_fjob *j)
{
	struct pw_db *db = pw_follow_db(f);
	struct pw_strbuf name;
	int fd = -1;
	int dir = pw_scan_open(f->root, pw_bytes_of(j->path),
	    pw_bytes_of(j->folder));

	if (dir < 0 || db == NULL) {
		if (dir >= 0)
			(void)close(dir);
		return -1;
	}
	pw_strbuf_init(&name, 4096);
	struct pw_q *q = pw_q(db, PW_Q_FOLLOW_FILE);
	pw_q_str(q, 1, j->mailbox);
	pw_q_str(q, 2, j->folder);
	pw_q_str(q, 3, j->base);
	if (pw_q_step(q) == PW_DB_ROW && pw_q_i64(q, 4) == 0) {
		pw_strbuf_adds(&name, pw_q_i64(q, 1) != 0 ? "new/" : "cur/");
		pw_strbuf_adds(&name, j->base);
		pw_strbuf_add(&name, pw_q_bytes(q, 0));
	}
	pw_q_reset(q);
	if (name.len > 0 && !name.overflow)
		fd = openat(dir, pw_strbuf_cstr(&name),
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	pw_strbuf_free(&name);
	(void)close(dir);
	return fd;
}

/* False: there is no such file, or it needs no reading. */
static bool
prepare(struct pw_follow *f, struct pw_fjob *j)
{
	struct stat sb;

	j->fd = open_file(f, j);
	if (j->fd < 0)
		return false;
	if (fstat(j->fd, &sb) != 0 || !S_ISREG(sb.st_mode))
		return false;
	if (j->filed.vsize == 0) {
		int64_t v = pw_scan_vsize(j->fd);
		j->filed.vsize = v > 0 ? (uint64_t)v : 0;
	}
	return true;
}

/* Those that came back: done, or to be tried again later. */
static void
take_back(struct pw_follow *f)
{
	(void)pthread_mutex_lock(&f->lock);
	struct pw_fjob *j = f->again;
	f->again = NULL;
	(void)pthread_mutex_unlock(&f->lock);
	while (j != NULL) {
		struct pw_fjob *next = j->next;
		if (j->tries != UINT32_MAX && ++j->tries < TRIES_MAX + 3) {
			j->not_before_ms = pw_clock_mono_ms() + RETRY_MS;
			append(f, j);
		} else
			forget(f, j);
		j = next;
	}
}

static struct pw_fjob *
next_job(struct pw_follow *f)
{
	struct pw_fjob *j = f->jobs;

	if (j == NULL || pw_clock_mono_ms() < j->not_before_ms)
		return NULL;
	f->jobs = j->next;
	if (f->jobs == NULL)
		f->jobs_tail = &f->jobs;
	f->njobs--;
	__atomic_store_n(&f->n.parse_queue, f->njobs, __ATOMIC_RELAXED);
	return j;
}

/* A place with the parser, if it has one free. */
static bool
may_parse(struct pw_follow *f)
{
	(void)pthread_mutex_lock(&f->lock);
	bool may = f->parse != NULL && f->parsing < PW_FOLLOW_PARSE_OPEN;
	(void)pthread_mutex_unlock(&f->lock);
	return may;
}

void
pw_follow_parse_more(struct pw_follow *f)
{
	bool synced = false;
	struct pw_fjob *j;

	take_back(f);
	while (may_parse(f)) {
		if ((j = next_job(f)) == NULL)
			return;
		/* Its row says what it is called now. */
		if (!synced && !pw_follow_sync(f)) {
			append(f, j);
			return;
		}
		synced = true;
		if (!prepare(f, j)) {
			forget(f, j);
			continue;
		}
		(void)pthread_mutex_lock(&f->lock);
		f->parsing++;
		f->refs++;
		(void)pthread_mutex_unlock(&f->lock);
		pw_loop_post(f->loop, start_on_loop, j);
	}
}

void
pw_follow_parse_free(struct pw_follow *f)
{
	struct pw_fjob *lists[2] = { f->jobs, f->again };

	for (int i = 0; i < 2; i++)
		while (lists[i] != NULL) {
			struct pw_fjob *next = lists[i]->next;
			free_job(lists[i]);
			lists[i] = next;
		}
	f->jobs = f->again = NULL;
	pw_strmap_clear(&f->queued_jobs);
}
