/* SPDX-License-Identifier: ISC */
/*
 * inotify's events: gathered by file, so that of several only the last counts,
 * then told to the writer.  Events of our own deliveries end at a hash lookup.
 * Follower's thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "storage/follow_private.h"

#define READS_MAX 64 /* of 64 KB each, in one round */

/* ---- gathering ----------------------------------------------------------- */

static struct pw_touch *
touch_of(struct pw_follow *f, struct pw_ffolder *d, struct pw_bytes base)
{
	char key[sizeof(d) + 256];
	bool made;

	memcpy(key, &d, sizeof(d));
	memcpy(key + sizeof(d), base.ptr, base.len);
	struct pw_strmap_val *v = pw_strmap_put(&f->touch_of,
	    pw_bytes(key, sizeof(d) + base.len), &made);
	if (!made)
		return &f->touched[v->a];
	if (f->ntouched == f->touched_cap) {
		f->touched_cap = f->touched_cap > 0 ? f->touched_cap * 2 : 256;
		f->touched = pw_xrealloc(f->touched, f->touched_cap,
		    sizeof(*f->touched));
	}
	v->a = f->ntouched;
	f->touched[f->ntouched] = (struct pw_touch){ .folder = d,
		.base = pw_pool_copy(f->pool, base),
		.since_ms = pw_clock_mono_ms() };
	return &f->touched[f->ntouched++];
}

static void
on_file(struct pw_follow *f, struct pw_ffolder *d, bool in_new, uint32_t mask,
    struct pw_bytes name)
{
	struct pw_bytes base, info;
	bool there = (mask & (IN_MOVED_TO | IN_CREATE)) != 0;

	pw_scan_name(name, &base, &info);
	if (base.len == 0 || base.len > 255 || base.ptr[0] == '.' ||
	    (mask & IN_ISDIR) != 0)
		return;
	/* Whatever is said of it, it has appeared: the next file of this name
	 * is a reader's copy. */
	if (pw_follow_expected(f, base, true) && there && in_new &&
	    info.len == 0) {
		PW_FOLLOW_COUNT(f, own, 1);
		return;
	}
	if (f->ntouched >= PW_FOLLOW_TOUCHED) {
		/* More than can be kept apart: compare the folder instead. */
		d->scan_due = d->scan_forced = true;
		pw_follow_due(f, d);
		return;
	}
	struct pw_touch *t = touch_of(f, d, base);
	t->there = there;
	t->in_new = in_new;
	t->info = pw_pool_copy(f->pool, info);
}

/* An entry of the folder itself: its subfolders, the UID list. */
static void
on_entry(struct pw_follow *f, struct pw_ffolder *d, uint32_t mask,
    struct pw_bytes name)
{
	struct pw_fmailbox *m = d->mailbox;
	bool there = (mask & (IN_MOVED_TO | IN_CREATE)) != 0;

	if (pw_bytes_eq(name, PW_LIT("dovecot-uidlist"))) {
		d->uids_due = true;
		pw_follow_due(f, d);
		return;
	}
	if ((mask & IN_ISDIR) == 0)
		return;
	if (there &&
	    (pw_bytes_eq(name, PW_LIT("new")) ||
		pw_bytes_eq(name, PW_LIT("cur")))) {
		pw_follow_watch(f, d);
		d->scan_due = d->scan_forced = true;
		pw_follow_due(f, d);
		return;
	}
	name = pw_scan_folder_name(name);
	if (name.len == 0 || d->name[0] != '\0')
		return;
	if (there) {
		struct pw_ffolder *fresh = pw_follow_folder(f, m, name);
		if (fresh != NULL) {
			fresh->scan_due = fresh->scan_forced = true;
			pw_follow_due(f, fresh);
		}
	} else
		pw_follow_folder_gone(f, m, name);
}

static void
everything_due(struct pw_follow *f)
{
	PW_FOLLOW_COUNT(f, lost, 1);
	pw_logf(PW_LOG_NOTICE, "store.follow_overflow",
	    "more changes in the mailboxes than the kernel reports; comparing "
	    "all of them with the index");
	f->next_rescan_ms = 0;
}

static void
on_event(struct pw_follow *f, const struct inotify_event *e)
{
	PW_FOLLOW_COUNT(f, events, 1);
	if ((e->mask & IN_Q_OVERFLOW) != 0) {
		everything_due(f);
		return;
	}
	struct pw_strmap_val *v = pw_follow_watched(f, e->wd);
	if (v == NULL)
		return;
	struct pw_ffolder *d = (struct pw_ffolder *)(uintptr_t)v->a;
	if ((e->mask & IN_IGNORED) != 0) {
		pw_follow_unwatch(f, e->wd);
		return;
	}
	if (e->len == 0)
		return;
	/* The name is padded with NULs. */
	struct pw_bytes name = pw_bytes(e->name, strnlen(e->name, e->len));
	if (v->b == PW_WATCH_ROOT)
		on_entry(f, d, e->mask, name);
	else
		on_file(f, d, v->b == PW_WATCH_NEW, e->mask, name);
}

void
pw_follow_events(struct pw_follow *f)
{
	_Alignas(struct inotify_event) char buf[65536];

	for (int i = 0; i < READS_MAX; i++) {
		ssize_t n = read(f->inotify, buf, sizeof(buf));
		if (n <= 0)
			return;
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e =
			    (const struct inotify_event *)(buf + at);
			on_event(f, e);
			at += (ssize_t)(sizeof(*e) + e->len);
		}
	}
}

/* ---- telling ------------------------------------------------------------- */

/* The row of T's file in its folder; *THERE says whether there is one. */
static enum pw_db_rc
find_row(struct pw_db *db, const struct pw_touch *t, bool *there, bool *same,
    uint64_t *inode)
{
	struct pw_q *q = pw_q(db, PW_Q_FOLLOW_FILE);

	pw_q_str(q, 1, t->folder->mailbox->address);
	pw_q_str(q, 2, t->folder->name);
	pw_q_text(q, 3, t->base);
	enum pw_db_rc rc = pw_q_step(q);
	*there = rc == PW_DB_ROW;
	if (*there) {
		*same = pw_bytes_eq(pw_q_bytes(q, 0), t->info) &&
		    (pw_q_i64(q, 1) != 0) == t->in_new;
		*inode = (uint64_t)pw_q_i64(q, 2);
		rc = PW_DB_DONE;
	}
	pw_q_reset(q);
	return rc;
}

/* Our own file that a reader took hold of before its row was queued: later. */
static bool
row_is_late(struct pw_follow *f, struct pw_db *db, const struct pw_touch *t)
{
	if (pw_clock_mono_ms() - t->since_ms > PW_FOLLOW_ROW_LATE_MS ||
	    !pw_follow_is_own(f, t->base))
		return false;
	struct pw_q *q = pw_q(db, PW_Q_FOLLOW_LIKE);
	pw_q_str(q, 1, t->folder->mailbox->address);
	pw_q_text(q, 2, t->base);
	bool known = pw_q_step(q) == PW_DB_ROW;
	pw_q_reset(q);
	return !known;
}

/* There: new flags, another folder than before, or a file we know nothing
 * of. */
static void
tell_there(struct pw_follow *f, const struct pw_touch *t, bool row, bool same,
    uint64_t inode, struct pw_strmap *inodes)
{
	struct pw_ffolder *d = t->folder;
	struct pw_filed filed = pw_follow_filed(d, t->base);

	if (row) {
		filed.in_new = t->in_new;
		filed.inode = inode;
		if (same)
			return;
		PW_FOLLOW_COUNT(f, seen, 1);
		if (pw_writer_seen(f->writer, &filed, t->info) == 0)
			d->scan_due = d->scan_forced = true;
		return;
	}
	int dir = pw_scan_open(f->root, pw_bytes_of(d->mailbox->path),
	    pw_bytes_of(d->name));
	if (dir < 0)
		return;
	pw_follow_new_file(f, d, dir, t->in_new, t->base, t->info, inodes);
	(void)close(dir);
}

static void
tell_gone(struct pw_follow *f, const struct pw_touch *t)
{
	struct pw_ffolder *d = t->folder;
	struct pw_filed filed = pw_follow_filed(d, t->base);

	PW_FOLLOW_COUNT(f, gone, 1);
	d->mailbox->moved_ms = pw_clock_mono_ms();
	(void)pw_strmap_del(&d->no_uid, t->base);
	if (pw_writer_gone(f->writer, &filed) == 0)
		d->scan_due = d->scan_forced = true;
}

/* False: not now. */
static bool
tell(struct pw_follow *f, struct pw_db *db, const struct pw_touch *t,
    struct pw_strmap *inodes)
{
	bool row, same = false;
	uint64_t inode = 0;

	if (find_row(db, t, &row, &same, &inode) != PW_DB_DONE) {
		t->folder->scan_due = t->folder->scan_forced = true;
		return true;
	}
	if (!row && row_is_late(f, db, t))
		return false;
	if (t->there)
		tell_there(f, t, row, same, inode, inodes);
	else if (row)
		tell_gone(f, t);
	return true;
}

/* Maps of inodes are of one mailbox. */
static int
by_mailbox(const void *a, const void *b)
{
	const struct pw_touch *x = a, *y = b;
	uintptr_t p = x->folder != NULL ? (uintptr_t)x->folder->mailbox : 0;
	uintptr_t q = y->folder != NULL ? (uintptr_t)y->folder->mailbox : 0;

	return p < q ? -1 : p > q;
}

/* Those at AGAIN stay, in memory of the next round. */
static void
keep_touched(struct pw_follow *f, const size_t *again, size_t n)
{
	struct pw_pool *old = f->pool;

	f->pool = pw_pool_new((size_t)256 << 20);
	f->ntouched = 0;
	pw_strmap_clear(&f->touch_of);
	for (size_t i = 0; i < n; i++) {
		/* Places rise: what is read here was not written yet. */
		struct pw_touch t = f->touched[again[i]];
		struct pw_touch *kept = touch_of(f, t.folder, t.base);
		kept->info = pw_pool_copy(f->pool, t.info);
		kept->there = t.there;
		kept->in_new = t.in_new;
		kept->since_ms = t.since_ms;
	}
	pw_pool_free(&old);
}

void
pw_follow_touched(struct pw_follow *f)
{
	const struct pw_fmailbox *last = NULL;
	struct pw_strmap inodes;
	size_t *again, n = 0;

	if (f->ntouched == 0 || !pw_follow_sync(f))
		return;
	struct pw_db *db = pw_follow_db(f);
	if (db == NULL)
		return;
	again = pw_xcalloc(f->ntouched, sizeof(*again));
	pw_strmap_init(&inodes);
	qsort(f->touched, f->ntouched, sizeof(*f->touched), by_mailbox);
	for (size_t i = 0; i < f->ntouched; i++) {
		const struct pw_touch *t = &f->touched[i];
		if (t->folder == NULL)
			continue;
		if (t->folder->mailbox != last)
			pw_follow_inodes_free(&inodes);
		last = t->folder->mailbox;
		if (!tell(f, db, t, &inodes))
			again[n++] = i;
		if (t->folder->scan_due)
			pw_follow_due(f, t->folder);
	}
	pw_follow_inodes_free(&inodes);
	keep_touched(f, again, n);
	free(again);
}
