/* SPDX-License-Identifier: ISC */
/*
 * What the follower follows: the mailboxes of accounts.db, their folders on
 * disk, and three inotify watches for each folder (itself, new/, cur/).  Where
 * the kernel's limit ends, comparisons alone have to do.  Follower's thread.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "storage/follow_private.h"

#define FOLDERS_MAX 10000 /* of one mailbox */
#define FILE_EVENTS                                                          \
	(IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ONLYDIR |  \
	    IN_DONT_FOLLOW | IN_EXCL_UNLINK)
/* Dovecot appends to dovecot-uidlist and leaves it open. */
#define ROOT_EVENTS (FILE_EVENTS | IN_MODIFY)

/* ---- watches ------------------------------------------------------------- */

static struct pw_bytes
wd_key(const int *wd)
{
	return pw_bytes(wd, sizeof(*wd));
}

struct pw_strmap_val *
pw_follow_watched(struct pw_follow *f, int wd)
{
	return pw_strmap_get(&f->watch_of, wd_key(&wd));
}

void
pw_follow_unwatch(struct pw_follow *f, int wd)
{
	struct pw_strmap_val *v = pw_follow_watched(f, wd);

	if (v == NULL)
		return;
	struct pw_ffolder *d = (struct pw_ffolder *)(uintptr_t)v->a;
	if (d->wd[v->b] == wd)
		d->wd[v->b] = -1;
	(void)pw_strmap_del(&f->watch_of, wd_key(&wd));
	(void)inotify_rm_watch(f->inotify, wd);
	__atomic_store_n(&f->n.watches, f->watch_of.count, __ATOMIC_RELAXED);
}

static long
watch_limit(void)
{
	FILE *in = fopen("/proc/sys/fs/inotify/max_user_watches", "re");
	long n = -1;

	if (in != NULL) {
		if (fscanf(in, "%ld", &n) != 1)
			n = -1;
		(void)fclose(in);
	}
	return n;
}

static void
no_more_watches(struct pw_follow *f)
{
	__atomic_store_n(&f->have_watches, false, __ATOMIC_RELAXED);
	pw_logf(PW_LOG_WARN, "store.follow_watches",
	    "the kernel allows no more than %ld file watches "
	    "(fs.inotify.max_user_watches), %zu are used here; changes in "
	    "further folders are seen by the comparison every %llu s only",
	    watch_limit(), f->watch_of.count,
	    (unsigned long long)(f->rescan_ms / 1000));
}

static void
watch_one(struct pw_follow *f, struct pw_ffolder *d, enum pw_watch_kind kind)
{
	static const char *const sub[] = { "", "/new", "/cur" };
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s%s%s%s", f->mail_root,
	    d->mailbox->path, d->name[0] != '\0' ? "/." : "", d->name,
	    sub[kind]);

	if (d->wd[kind] >= 0 || n < 0 ||
	    !__atomic_load_n(&f->have_watches, __ATOMIC_RELAXED) ||
	    (size_t)n >= sizeof(path))
		return;
	int wd = inotify_add_watch(f->inotify, path,
	    kind == PW_WATCH_ROOT ? ROOT_EVENTS : FILE_EVENTS);
	if (wd < 0) {
		if (errno == ENOSPC)
			no_more_watches(f);
		return;
	}
	/* The same directory under its former name has the same number. */
	struct pw_strmap_val *v = pw_follow_watched(f, wd);
	if (v != NULL)
		((struct pw_ffolder *)(uintptr_t)v->a)->wd[v->b] = -1;
	d->wd[kind] = wd;
	*pw_strmap_put(&f->watch_of, wd_key(&wd), NULL) =
	    (struct pw_strmap_val){ (uintptr_t)d, kind };
	__atomic_store_n(&f->n.watches, f->watch_of.count, __ATOMIC_RELAXED);
}

void
pw_follow_watch(struct pw_follow *f, struct pw_ffolder *d)
{
	for (int kind = 0; kind < PW_WATCH_KINDS; kind++)
		watch_one(f, d, (enum pw_watch_kind)kind);
}

void
pw_follow_due(struct pw_follow *f, struct pw_ffolder *d)
{
	if (d->listed)
		return;
	d->listed = true;
	d->work = NULL;
	*f->work_tail = d;
	f->work_tail = &d->work;
}

/* ---- folders ------------------------------------------------------------- */

static struct pw_ffolder **
find_folder(struct pw_fmailbox *m, struct pw_bytes name, size_t *n)
{
	struct pw_ffolder **at = &m->folders;

	for (*n = 0; *at != NULL; at = &(*at)->next, (*n)++)
		if (pw_bytes_eq(pw_bytes_of((*at)->name), name))
			break;
	return at;
}

struct pw_ffolder *
pw_follow_folder(struct pw_follow *f, struct pw_fmailbox *m,
    struct pw_bytes name)
{
	size_t n;
	struct pw_ffolder **at = find_folder(m, name, &n);

	if (*at == NULL) {
		if (n >= FOLDERS_MAX)
			return NULL;
		struct pw_ffolder *d = pw_xcalloc(1, sizeof(*d));
		d->mailbox = m;
		d->name = pw_xbytesdup(name);
		for (int i = 0; i < PW_WATCH_KINDS; i++)
			d->wd[i] = -1;
		pw_strmap_init(&d->no_uid);
		*at = d;
		d->scan_due = true;
		PW_FOLLOW_COUNT(f, folders, 1);
	}
	pw_follow_watch(f, *at);
	if ((*at)->scan_due)
		pw_follow_due(f, *at);
	return *at;
}

static void
take_off_work(struct pw_follow *f, struct pw_ffolder *d)
{
	struct pw_ffolder **at = &f->work;

	while (d->listed && *at != NULL && *at != d)
		at = &(*at)->work;
	if (d->listed && *at == d) {
		*at = d->work;
		if (f->work_tail == &d->work)
			f->work_tail = at;
	}
	d->listed = false;
}

static void
free_folder(struct pw_follow *f, struct pw_ffolder *d)
{
	for (int i = 0; i < PW_WATCH_KINDS; i++)
		if (d->wd[i] >= 0)
			pw_follow_unwatch(f, d->wd[i]);
	take_off_work(f, d);
	for (size_t i = 0; i < f->ntouched; i++)
		if (f->touched[i].folder == d)
			f->touched[i].folder = NULL;
	pw_strmap_clear(&d->no_uid);
	free(d->name);
	free(d);
	PW_FOLLOW_COUNT(f, folders, -1);
}

void
pw_follow_folder_gone(struct pw_follow *f, struct pw_fmailbox *m,
    struct pw_bytes name)
{
	size_t n;
	struct pw_ffolder **at = find_folder(m, name, &n);
	struct pw_ffolder *d = *at;

	pw_follow_rows_gone(f, m->address, name);
	m->moved_ms = pw_clock_mono_ms();
	if (d != NULL) {
		*at = d->next;
		free_folder(f, d);
	}
}

/* ---- mailboxes ----------------------------------------------------------- */

struct discovery {
	struct pw_follow *f;
	struct pw_fmailbox *m;
	struct pw_strmap there;
};

static void
on_folder(void *arg, struct pw_bytes name)
{
	struct discovery *x = arg;

	(void)pw_strmap_put(&x->there, name, NULL);
	(void)pw_follow_folder(x->f, x->m, name);
}

/* Folders that the index or we know, but the disk does not. */
static void
drop_vanished(struct discovery *x)
{
	struct pw_db *db = pw_follow_db(x->f);
	struct pw_strmap known;
	struct pw_strmap_val *v;
	struct pw_bytes name;

	pw_strmap_init(&known);
	for (const struct pw_ffolder *d = x->m->folders; d != NULL; d = d->next)
		(void)pw_strmap_put(&known, pw_bytes_of(d->name), NULL);
	if (db != NULL) {
		struct pw_q *q = pw_q(db, PW_Q_FOLLOW_FOLDERS);
		pw_q_str(q, 1, x->m->address);
		while (pw_q_step(q) == PW_DB_ROW)
			(void)pw_strmap_put(&known, pw_q_bytes(q, 0), NULL);
	}
	for (size_t at = 0; pw_strmap_next(&known, &at, &name, &v);)
		if (name.len > 0 && pw_strmap_get(&x->there, name) == NULL)
			pw_follow_folder_gone(x->f, x->m, name);
	pw_strmap_clear(&known);
}

static void
add_missing(struct pw_follow *f, struct pw_fmailbox *m)
{
	if (f->nmissing == f->missing_cap) {
		f->missing_cap = f->missing_cap > 0 ? f->missing_cap * 2 : 64;
		f->missing = pw_xrealloc(f->missing, f->missing_cap,
		    sizeof(struct pw_fmailbox *));
	}
	f->missing[f->nmissing++] = m;
}

void
pw_follow_discover(struct pw_follow *f, struct pw_fmailbox *m)
{
	struct discovery x = { .f = f, .m = m };
	int dir = pw_scan_open(f->root, pw_bytes_of(m->path), PW_LIT(""));

	if (dir < 0) {
		/* Not made yet, or taken away: then its rows go with the next
		 * comparison of what is known of it. */
		if (errno == ENOENT && m->folders != NULL) {
			while (m->folders != NULL)
				pw_follow_folder_gone(f, m,
				    pw_bytes_of(m->folders->name));
			add_missing(f, m);
		}
		return;
	}
	/* Watched before it is read: nothing falls in between. */
	(void)pw_follow_folder(f, m, PW_LIT(""));
	pw_strmap_init(&x.there);
	if (pw_scan_folders(dir, on_folder, &x) == 0)
		drop_vanished(&x);
	pw_strmap_clear(&x.there);
	(void)close(dir);
}

void
pw_follow_missing(struct pw_follow *f, size_t n)
{
	while (n-- > 0 && f->nmissing > 0) {
		if (f->missing_at >= f->nmissing)
			f->missing_at = 0;
		struct pw_fmailbox *m = f->missing[f->missing_at];
		if (m->folders == NULL)
			pw_follow_discover(f, m);
		if (m->folders != NULL)
			f->missing[f->missing_at] =
			    f->missing[--f->nmissing];
		else
			f->missing_at++;
	}
}

static void
free_mailbox(struct pw_follow *f, struct pw_fmailbox *m)
{
	while (m->folders != NULL) {
		struct pw_ffolder *d = m->folders;
		m->folders = d->next;
		free_folder(f, d);
	}
	free(m->address);
	free(m->path);
	free(m);
}

static void
load_one(struct pw_follow *f, struct pw_bytes address, struct pw_bytes path)
{
	struct pw_strmap_val *v = pw_strmap_put(&f->mailboxes, address, NULL);
	struct pw_fmailbox *m = (struct pw_fmailbox *)(uintptr_t)v->a;

	if (m != NULL && pw_bytes_eq(pw_bytes_of(m->path), path)) {
		m->wanted = true;
		return;
	}
	if (m != NULL)
		free_mailbox(f, m);
	m = pw_xcalloc(1, sizeof(*m));
	m->address = pw_xbytesdup(address);
	m->path = pw_xbytesdup(path);
	m->wanted = true;
	v->a = (uintptr_t)m;
}

/* Accounts that are no more are not followed; their mail stays, and so do its
 * rows. */
static void
drop_unwanted(struct pw_follow *f)
{
	struct pw_strmap_val *v;
	struct pw_bytes key;

	f->nmissing = 0;
	for (size_t at = 0; pw_strmap_next(&f->mailboxes, &at, &key, &v);) {
		struct pw_fmailbox *m = (struct pw_fmailbox *)(uintptr_t)v->a;
		if (m->wanted) {
			m->wanted = false;
			if (m->folders == NULL)
				add_missing(f, m);
			continue;
		}
		free_mailbox(f, m);
		(void)pw_strmap_del(&f->mailboxes, key);
	}
}

void
pw_follow_load(struct pw_follow *f)
{
	const struct pw_db_opts opts = { .busy_ms = 1000 };
	struct pw_db *db;
	struct pw_err err;
	enum pw_db_rc rc;

	if (pw_db_open(f->accounts_path, PW_DB_ACCOUNTS, &opts, &db, &err) !=
	    PW_DB_DONE) {
		pw_logf(PW_LOG_ERROR, "store.follow", "%s", err.text);
		return;
	}
	struct pw_q *q = pw_q(db, PW_Q_MAILBOX_LIST);
	while ((rc = pw_q_step(q)) == PW_DB_ROW)
		load_one(f, pw_q_bytes(q, 0), pw_q_bytes(q, 1));
	if (rc == PW_DB_DONE)
		drop_unwanted(f);
	else
		pw_logf(PW_LOG_ERROR, "store.follow", "%s", pw_db_why(db));
	pw_db_close(&db);
	__atomic_store_n(&f->n.mailboxes, f->mailboxes.count,
	    __ATOMIC_RELAXED);
	/* An estimate: most have INBOX and one or two folders. */
	long limit = watch_limit();
	if (limit >= 0 &&
	    (size_t)limit < f->mailboxes.count * 6)
		pw_logf(PW_LOG_WARN, "store.follow_watches",
		    "%zu mailboxes need some %zu file watches, the kernel "
		    "allows %ld; raise fs.inotify.max_user_watches, or changes "
		    "in some are seen by the comparison every %llu s only",
		    f->mailboxes.count, f->mailboxes.count * 9, limit,
		    (unsigned long long)(f->rescan_ms / 1000));
}

void
pw_follow_unload(struct pw_follow *f)
{
	struct pw_strmap_val *v;
	struct pw_bytes key;

	for (size_t at = 0; pw_strmap_next(&f->mailboxes, &at, &key, &v);)
		free_mailbox(f, (struct pw_fmailbox *)(uintptr_t)v->a);
	pw_strmap_clear(&f->mailboxes);
	pw_strmap_clear(&f->watch_of);
	free(f->missing);
}
