/* SPDX-License-Identifier: ISC */
/*
 * Comparing a folder on disk with its rows: what inotify did not tell, or lost,
 * is found here; also UIDs from dovecot-uidlist.  Follower's thread; one folder
 * at a time.
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

/* A move within the mailbox may be told in two parts, this far apart. */
#define MOVED_MS 600000
#define RETRY_MS 1000
/* Between the time of a delivery and that of its file. */
#define SAME_FILE_US 60000000
/* A directory changed so shortly before it was read may change again within
 * the same tick of its time stamp. */
#define FRESH_S 2

struct entry {
	struct pw_bytes base, info; /* in the pool */
	uint64_t inode;
	bool in_new, known;
};

struct comparison {
	struct pw_follow *f;
	struct pw_ffolder *d;
	struct pw_pool *pool;
	int dir;
	bool in_new;  /* of the directory that is being read */
	bool too_many;
	struct entry *e;
	size_t n, cap;
	struct pw_strmap of;    /* base: a place in e */
	struct pw_strmap uids;  /* base: a UID by its row + 1, if it has one */
	struct pw_bytes *lost;  /* rows without a file */
	size_t nlost, lost_cap;
};

struct pw_filed
pw_follow_filed(const struct pw_ffolder *d, struct pw_bytes base)
{
	return (struct pw_filed){
		.mailbox = pw_bytes_of(d->mailbox->address),
		.folder = pw_bytes_of(d->name),
		.base = base,
		.path = pw_bytes_of(d->mailbox->path),
		.vsize = pw_scan_field(base, 'W'),
		.like = PW_LIT(""),
	};
}

/* ---- files without a row ------------------------------------------------- */

/* An inode alone does not tell a file: the next file may get its number. */
struct inode_key {
	int64_t inode, size;
};

/* Names of files of the mailbox by inode and size, for those that have
 * content: a is the name, b the internal date in microseconds. */
static void
load_inodes(struct pw_db *db, const char *mailbox, struct pw_strmap *inodes)
{
	struct pw_q *q = pw_q(db, PW_Q_FOLLOW_INODES);

	pw_q_str(q, 1, mailbox);
	while (pw_q_step(q) == PW_DB_ROW) {
		struct inode_key key = { pw_q_i64(q, 0), pw_q_i64(q, 2) };
		struct pw_strmap_val *v = pw_strmap_put(inodes,
		    pw_bytes(&key, sizeof(key)), NULL);
		if (v->a == 0) {
			v->a = (uintptr_t)pw_xbytesdup(pw_q_bytes(q, 1));
			v->b = (uint64_t)pw_q_i64(q, 3);
		}
	}
	/* So that an empty mailbox is not asked for again. */
	(void)pw_strmap_put(inodes, PW_LIT("loaded"), NULL);
}

void
pw_follow_inodes_free(struct pw_strmap *inodes)
{
	struct pw_strmap_val *v;
	struct pw_bytes key;

	for (size_t at = 0; pw_strmap_next(inodes, &at, &key, &v);)
		free((void *)(uintptr_t)v->a);
	pw_strmap_clear(inodes);
}

/* Content is on the index under this name or, for a hard link, another: then
 * F->like says which. */
static bool
has_content(struct pw_follow *f, struct pw_ffolder *d, struct pw_filed *filed,
    bool linked, struct pw_strmap *inodes)
{
	struct pw_db *db = pw_follow_db(f);
	struct inode_key key = { (int64_t)filed->inode, (int64_t)filed->size };

	if (db == NULL)
		return false;
	struct pw_q *q = pw_q(db, PW_Q_FOLLOW_LIKE);
	pw_q_str(q, 1, d->mailbox->address);
	pw_q_text(q, 2, filed->base);
	bool there = pw_q_step(q) == PW_DB_ROW;
	pw_q_reset(q);
	if (there || !linked)
		return there;
	if (inodes->count == 0)
		load_inodes(db, d->mailbox->address, inodes);
	const struct pw_strmap_val *v =
	    pw_strmap_get(inodes, pw_bytes(&key, sizeof(key)));
	if (v == NULL ||
	    llabs((int64_t)v->b - filed->internal_us) > SAME_FILE_US)
		return false;
	filed->like = pw_bytes_of((const char *)(uintptr_t)v->a);
	return true;
}

static int
stat_file(int dir, bool in_new, struct pw_bytes base, struct pw_bytes info,
    struct stat *sb)
{
	char name[600];
	struct pw_strbuf sub;
	int r = -1;

	pw_strbuf_init(&sub, sizeof(name));
	pw_strbuf_adds(&sub, in_new ? "new/" : "cur/");
	pw_strbuf_add(&sub, base);
	pw_strbuf_add(&sub, info);
	if (!sub.overflow &&
	    fstatat(dir, pw_strbuf_cstr(&sub), sb, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(sb->st_mode))
		r = 0;
	pw_strbuf_free(&sub);
	return r;
}

/* A file of ours whose row is still to come; its status change was the rename
 * into new/, or a reader's quick hand. */
static bool
is_fresh_own(struct pw_follow *f, struct pw_bytes base, const struct stat *sb)
{
	int64_t age_ms = pw_clock_real_us() / 1000 -
	    ((int64_t)sb->st_ctim.tv_sec * 1000 +
		sb->st_ctim.tv_nsec / 1000000);

	return age_ms < PW_FOLLOW_ROW_LATE_MS && pw_follow_is_own(f, base);
}

void
pw_follow_new_file(struct pw_follow *f, struct pw_ffolder *d, int dir,
    bool in_new, struct pw_bytes base, struct pw_bytes info,
    struct pw_strmap *inodes)
{
	struct pw_filed filed = pw_follow_filed(d, base);
	uint64_t now = pw_clock_mono_ms();
	struct stat sb;

	if (stat_file(dir, in_new, base, info, &sb) != 0)
		return; /* gone on: another event, or the next comparison */
	filed.in_new = in_new;
	filed.size = (uint64_t)sb.st_size;
	filed.inode = (uint64_t)sb.st_ino;
	filed.internal_us = (int64_t)sb.st_mtim.tv_sec * 1000000 +
	    sb.st_mtim.tv_nsec / 1000;
	bool linked = sb.st_nlink > 1 ||
	    (d->mailbox->moved_ms != 0 &&
		now - d->mailbox->moved_ms < MOVED_MS);
	bool known = has_content(f, d, &filed, linked, inodes);
	if (!known && is_fresh_own(f, base, &sb)) {
		d->scan_due = d->scan_forced = true;
		return;
	}
	PW_FOLLOW_COUNT(f, seen, 1);
	if (pw_writer_seen(f->writer, &filed, info) == 0) {
		d->scan_due = d->scan_forced = true;
		return;
	}
	if (!known)
		pw_follow_parse(f, d, &filed);
	/* Its line may have been read before its row was there. */
	(void)pw_strmap_put(&d->no_uid, base, NULL);
	d->uids_due = true;
	pw_follow_due(f, d);
}

void
pw_follow_rows_gone(struct pw_follow *f, const char *mailbox,
    struct pw_bytes folder)
{
	struct pw_filed filed = { .mailbox = pw_bytes_of(mailbox),
		.folder = folder };
	struct pw_db *db;

	(void)pw_follow_sync(f);
	if ((db = pw_follow_db(f)) == NULL)
		return;
	struct pw_q *q = pw_q(db, PW_Q_FOLLOW_ROWS);
	pw_q_str(q, 1, mailbox);
	pw_q_text(q, 2, folder);
	while (pw_q_step(q) == PW_DB_ROW) {
		filed.base = pw_q_bytes(q, 0);
		PW_FOLLOW_COUNT(f, gone, 1);
		(void)pw_writer_gone(f->writer, &filed);
	}
}

/* ---- reading both sides -------------------------------------------------- */

static void
on_entry(void *arg, struct pw_bytes name, uint64_t inode)
{
	struct comparison *c = arg;
	struct pw_bytes base, info;
	bool made;

	pw_scan_name(name, &base, &info);
	if (base.len == 0)
		return;
	if (c->n >= PW_FOLLOW_FILES_MAX) {
		c->too_many = true;
		return;
	}
	struct pw_strmap_val *v = pw_strmap_put(&c->of, base, &made);
	if (made) {
		if (c->n == c->cap) {
			c->cap = c->cap > 0 ? c->cap * 2 : 256;
			c->e = pw_xrealloc(c->e, c->cap, sizeof(*c->e));
		}
		v->a = c->n++;
		c->e[v->a].base = pw_pool_copy(c->pool, base);
	}
	/* Seen twice it went from new/ to cur/ meanwhile, or got other flags:
	 * the later one is the newer. */
	struct entry *e = &c->e[v->a];
	e->info = pw_pool_copy(c->pool, info);
	e->inode = inode;
	e->in_new = c->in_new;
	e->known = false;
}

/* new/ before cur/: mail goes that way. */
static int
read_disk(struct comparison *c)
{
	c->in_new = true;
	if (pw_scan_files(c->dir, "new", on_entry, c) != 0 && errno != ENOENT)
		return -1;
	c->in_new = false;
	if (pw_scan_files(c->dir, "cur", on_entry, c) != 0 && errno != ENOENT)
		return -1;
	return 0;
}

static void
on_row(struct comparison *c, struct pw_q *q)
{
	struct pw_follow *f = c->f;
	struct pw_bytes base = pw_q_bytes(q, 0);
	const struct pw_strmap_val *v = pw_strmap_get(&c->of, base);

	if (v == NULL) {
		if (c->nlost == c->lost_cap) {
			c->lost_cap = c->lost_cap > 0 ? c->lost_cap * 2 : 64;
			c->lost = pw_xrealloc(c->lost, c->lost_cap,
			    sizeof(*c->lost));
		}
		c->lost[c->nlost++] = pw_pool_copy(c->pool, base);
		return;
	}
	struct entry *e = &c->e[v->a];
	struct pw_filed filed = pw_follow_filed(c->d, e->base);
	/* Delivered before it was watched: its event does not come any more,
	 * and a reader's copy under the same name is none of ours. */
	(void)pw_follow_expected(f, base, true);
	e->known = true;
	filed.in_new = e->in_new;
	filed.inode = e->inode;
	pw_strmap_put(&c->uids, base, NULL)->a =
	    pw_q_is_null(q, 4) ? 0 : (uint64_t)pw_q_i64(q, 4) + 1;
	if (!pw_bytes_eq(pw_q_bytes(q, 1), e->info) ||
	    (pw_q_i64(q, 2) != 0) != e->in_new ||
	    (uint64_t)pw_q_i64(q, 3) != e->inode) {
		PW_FOLLOW_COUNT(f, seen, 1);
		if (pw_writer_seen(f->writer, &filed, e->info) == 0)
			c->d->scan_due = c->d->scan_forced = true;
	}
	if (pw_q_i64(q, 5) == 0) {
		struct stat sb;
		if (stat_file(c->dir, e->in_new, e->base, e->info, &sb) == 0) {
			filed.size = (uint64_t)sb.st_size;
			filed.internal_us =
			    (int64_t)sb.st_mtim.tv_sec * 1000000 +
			    sb.st_mtim.tv_nsec / 1000;
			pw_follow_parse(f, c->d, &filed);
		}
	}
}

static int
read_rows(struct comparison *c)
{
	struct pw_db *db = pw_follow_db(c->f);
	enum pw_db_rc rc;

	if (db == NULL)
		return -1;
	struct pw_q *q = pw_q(db, PW_Q_FOLLOW_ROWS);
	pw_q_str(q, 1, c->d->mailbox->address);
	pw_q_str(q, 2, c->d->name);
	while ((rc = pw_q_step(q)) == PW_DB_ROW)
		on_row(c, q);
	return rc == PW_DB_DONE ? 0 : -1;
}

/* ---- what differs -------------------------------------------------------- */

/* A row is gone only if its file is missing twice.  It is not one that is just
 * being delivered: those get their rows after their files. */
static void
tell_lost(struct comparison *c)
{
	if (c->nlost == 0)
		return;
	pw_strmap_clear(&c->of);
	c->n = 0;
	if (read_disk(c) != 0)
		return;
	for (size_t i = 0; i < c->nlost; i++) {
		struct pw_filed filed = pw_follow_filed(c->d, c->lost[i]);
		if (pw_strmap_get(&c->of, c->lost[i]) != NULL)
			continue;
		PW_FOLLOW_COUNT(c->f, gone, 1);
		c->d->mailbox->moved_ms = pw_clock_mono_ms();
		if (pw_writer_gone(c->f->writer, &filed) == 0)
			c->d->scan_due = c->d->scan_forced = true;
	}
}

static void
tell_new(struct comparison *c)
{
	struct pw_strmap inodes;

	pw_strmap_init(&inodes);
	for (size_t i = 0; i < c->n; i++) {
		const struct entry *e = &c->e[i];
		if (!e->known)
			pw_follow_new_file(c->f, c->d, c->dir, e->in_new,
			    e->base, e->info, &inodes);
	}
	pw_follow_inodes_free(&inodes);
}

/* ---- one folder ---------------------------------------------------------- */

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Nothing in new/, cur/ and the UID list changed since the last comparison.
 * Their times are kept in any case. */
static bool
is_unchanged(struct pw_ffolder *d, int dir)
{
	static const char *const name[3] = { "new", "cur", "dovecot-uidlist" };
	struct timespec now;
	bool same = true;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	for (int i = 0; i < 3; i++) {
		struct stat sb = { 0 };
		(void)fstatat(dir, name[i], &sb, AT_SYMLINK_NOFOLLOW);
		same = same && same_time(&d->mtime[i], &sb.st_mtim);
		d->mtime[i] = sb.st_mtim;
		if (now.tv_sec - sb.st_mtim.tv_sec < FRESH_S)
			d->mtime[i] = (struct timespec){ 0 };
	}
	return same;
}

static void
compare(struct pw_follow *f, struct pw_ffolder *d, int dir)
{
	struct comparison c = { .f = f, .d = d, .dir = dir };

	c.pool = pw_pool_new((size_t)1 << 30);
	pw_strmap_init(&c.of);
	pw_strmap_init(&c.uids);
	/* The disk first, then the rows of all that can have been there. */
	if (read_disk(&c) == 0 && !c.too_many && pw_follow_sync(f) &&
	    read_rows(&c) == 0) {
		tell_new(&c);
		pw_follow_uids(f, d, dir, &c.uids);
		tell_lost(&c);
		PW_FOLLOW_COUNT(f, scans, 1);
	} else
		d->scan_due = d->scan_forced = true;
	if (c.too_many) {
		d->scan_due = false;
		pw_logf(PW_LOG_ERROR, "store.follow",
		    "%s has more than %d files in a folder: not compared",
		    d->mailbox->address, PW_FOLLOW_FILES_MAX);
	}
	pw_strmap_clear(&c.of);
	pw_strmap_clear(&c.uids);
	free(c.e);
	free(c.lost);
	pw_pool_free(&c.pool);
}

void
pw_follow_work(struct pw_follow *f, struct pw_ffolder *d)
{
	bool scan = d->scan_due, forced = d->scan_forced;
	int dir = pw_scan_open(f->root, pw_bytes_of(d->mailbox->path),
	    pw_bytes_of(d->name));

	d->scan_due = d->scan_forced = false;
	if (dir < 0) {
		d->uids_due = false;
		if (errno == ENOENT && d->name[0] != '\0')
			pw_follow_folder_gone(f, d->mailbox,
			    pw_bytes_of(d->name));
		else if (errno == ENOENT)
			pw_follow_discover(f, d->mailbox);
		return;
	}
	if (scan)
		pw_follow_clean(f, d, dir);
	if (scan && is_unchanged(d, dir) && !forced) {
		PW_FOLLOW_COUNT(f, skipped, 1);
		scan = false;
	}
	if (scan)
		compare(f, d, dir);
	else if (d->uids_due)
		pw_follow_uids(f, d, dir, NULL);
	(void)close(dir);
	/* What could not be done now is tried again, but not at once. */
	if (d->scan_due) {
		f->resting_until_ms = pw_clock_mono_ms() + RETRY_MS;
		pw_follow_due(f, d);
	}
}
