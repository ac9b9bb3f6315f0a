/* SPDX-License-Identifier: ISC */
/*
 * The model behind lossyfs: see lossymodel.h.
 */
#include "lossymodel.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUCKETS 65536u

struct op {
	uint64_t seq;
	unsigned n;
	bool wanted;
	struct {
		struct lm_entry *entry;
		struct lm_inode *inode;
	} set[3];
	struct op *next;
};

static struct lm_entry *table[BUCKETS];
static struct lm_inode *all_inodes;
static struct op *ops, **ops_tail = &ops;
static uint64_t op_seq, need_mark, next_ino = 1;

static void *
must(void *p)
{
	if (p == NULL)
		errx(71, "no memory");
	return p;
}

/* ---- names ----------------------------------------------------------------
 */

static unsigned
bucket_of(const struct lm_inode *dir, const char *name)
{
	uint64_t h = dir->st.st_ino * 0x9e3779b97f4a7c15u;

	while (*name != '\0')
		h = (h ^ (unsigned char)*name++) * 0x100000001b3u;
	return (unsigned)((h ^ (h >> 29)) % BUCKETS);
}

static struct lm_entry *
find(struct lm_inode *dir, const char *name, bool make)
{
	unsigned b = bucket_of(dir, name);
	struct lm_entry *e;

	for (e = table[b]; e != NULL; e = e->bucket)
		if (e->dir == dir && strcmp(e->name, name) == 0)
			return e;
	if (!make)
		return NULL;
	e = must(calloc(1, sizeof(*e)));
	e->dir = dir;
	e->name = must(strdup(name));
	e->bucket = table[b];
	table[b] = e;
	if (dir->last != NULL)
		dir->last->next = e;
	else
		dir->first = e;
	dir->last = e;
	return e;
}

struct lm_inode *
lm_lookup(struct lm_inode *dir, const char *name)
{
	struct lm_entry *e = find(dir, name, false);

	return e != NULL ? e->live : NULL;
}

struct lm_inode *
lm_new(mode_t mode, uid_t uid, gid_t gid)
{
	struct lm_inode *i = must(calloc(1, sizeof(*i)));

	i->st.st_ino = next_ino++;
	i->st.st_mode = mode;
	i->st.st_uid = uid;
	i->st.st_gid = gid;
	i->st.st_blksize = LM_PAGE;
	i->st.st_nlink = S_ISDIR(mode) ? 2 : 0;
	(void)clock_gettime(CLOCK_REALTIME, &i->st.st_mtim);
	i->st.st_ctim = i->st.st_atim = i->st.st_mtim;
	i->next = all_inodes;
	all_inodes = i;
	return i;
}

static void
set_live(struct lm_entry *e, struct lm_inode *to)
{
	struct lm_inode *dir = e->dir;

	if (e->live != NULL) {
		dir->live_entries--;
		if (S_ISDIR(e->live->st.st_mode))
			dir->st.st_nlink--;
		else
			e->live->st.st_nlink--;
	}
	e->live = to;
	if (to != NULL) {
		dir->live_entries++;
		if (S_ISDIR(to->st.st_mode))
			dir->st.st_nlink++;
		else
			to->st.st_nlink++;
	}
	(void)clock_gettime(CLOCK_REALTIME, &dir->st.st_mtim);
	dir->st.st_ctim = dir->st.st_mtim;
}

void
lm_names(const struct lm_set *set, unsigned n)
{
	struct op *op = must(calloc(1, sizeof(*op)));

	op->seq = ++op_seq;
	op->n = n;
	for (unsigned i = 0; i < n; i++) {
		op->set[i].entry = find(set[i].dir, set[i].name, true);
		op->set[i].inode = set[i].inode;
		set_live(op->set[i].entry, set[i].inode);
	}
	*ops_tail = op;
	ops_tail = &op->next;
}

/* The operation reaches the disk. A later one on the same name may have come
 * there before it. */
static void
apply(const struct op *op)
{
	for (unsigned i = 0; i < op->n; i++) {
		struct lm_entry *e = op->set[i].entry;

		if (e->disk_op > op->seq)
			continue;
		e->disk_op = op->seq;
		e->disk = op->set[i].inode;
	}
}

static void
take_ops(bool (*want)(const struct op *, const void *), const void *arg)
{
	struct op **at = &ops;

	while (*at != NULL) {
		struct op *op = *at;

		if (!want(op, arg)) {
			at = &op->next;
			continue;
		}
		apply(op);
		*at = op->next;
		free(op);
	}
	ops_tail = at;
}

static bool
touches(const struct op *op, const void *dir)
{
	for (unsigned i = 0; i < op->n; i++)
		if (op->set[i].entry->dir == dir)
			return true;
	return false;
}

static bool
is_wanted(const struct op *op, const void *arg)
{
	(void)arg;
	return op->wanted;
}

/* Applies what touches DIR, and what that rests on: a name is not moved on
 * by an operation that reached the disk before the one that made it. */
static void
take_with_causes(const struct lm_inode *dir)
{
	size_t n = 0;
	struct op **all;

	for (struct op *op = ops; op != NULL; op = op->next)
		n++;
	all = must(malloc((n + 1) * sizeof(*all)));
	n = 0;
	for (struct op *op = ops; op != NULL; op = op->next)
		all[n++] = op;
	need_mark++;
	while (n-- > 0) {
		struct op *op = all[n];

		op->wanted = touches(op, dir);
		for (unsigned i = 0; i < op->n; i++)
			op->wanted |= op->set[i].entry->mark == need_mark;
		for (unsigned i = 0; op->wanted && i < op->n; i++)
			op->set[i].entry->mark = need_mark;
	}
	free(all);
	take_ops(is_wanted, NULL);
}

static bool
any(const struct op *op, const void *arg)
{
	(void)op;
	(void)arg;
	return true;
}

static bool
before(const struct op *op, const void *seq)
{
	return op->seq < *(const uint64_t *)seq;
}

/* Half of them, but none that rests on one that was left out. */
static bool
by_lot(const struct op *op, const void *arg)
{
	bool take = random() % 2 == 0;

	(void)arg;
	for (unsigned i = 0; i < op->n; i++)
		take &= op->set[i].entry->mark != need_mark;
	for (unsigned i = 0; !take && i < op->n; i++)
		op->set[i].entry->mark = need_mark;
	return take;
}

void
lm_sync_dir(const struct lm_inode *dir)
{
	take_with_causes(dir);
}

/* ---- data -----------------------------------------------------------------
 */

static void
need_pages(struct lm_inode *f, uint64_t n)
{
	uint64_t cap = f->npage > 0 ? f->npage : 1;

	if (n <= f->npage)
		return;
	while (cap < n)
		cap *= 2;
	f->live = must(realloc(f->live, cap * sizeof(*f->live)));
	f->disk = must(realloc(f->disk, cap * sizeof(*f->disk)));
	for (uint64_t i = f->npage; i < cap; i++)
		f->live[i] = f->disk[i] = NULL;
	f->npage = cap;
}

/* A page that may be written to. */
static uint8_t *
dirty_page(struct lm_inode *f, uint64_t i)
{
	if (f->live[i] == NULL || f->live[i] == f->disk[i]) {
		uint8_t *p = must(malloc(LM_PAGE));

		if (f->live[i] != NULL)
			memcpy(p, f->live[i], LM_PAGE);
		else
			memset(p, 0, LM_PAGE);
		f->live[i] = p;
	}
	return f->live[i];
}

int
lm_read(const struct lm_inode *f, char *buf, uint64_t at, uint64_t n)
{
	uint64_t size = (uint64_t)f->st.st_size, done = 0;

	if (at >= size)
		return 0;
	if (n > size - at)
		n = size - at;
	while (done < n) {
		uint64_t i = (at + done) / LM_PAGE, o = (at + done) % LM_PAGE;
		uint64_t k = LM_PAGE - o < n - done ? LM_PAGE - o : n - done;

		if (i < f->npage && f->live[i] != NULL)
			memcpy(buf + done, f->live[i] + o, k);
		else
			memset(buf + done, 0, k);
		done += k;
	}
	return (int)n;
}

void
lm_write(struct lm_inode *f, const char *buf, uint64_t at, uint64_t n)
{
	uint64_t done = 0;

	need_pages(f, (at + n + LM_PAGE - 1) / LM_PAGE);
	while (done < n) {
		uint64_t i = (at + done) / LM_PAGE, o = (at + done) % LM_PAGE;
		uint64_t k = LM_PAGE - o < n - done ? LM_PAGE - o : n - done;

		memcpy(dirty_page(f, i) + o, buf + done, k);
		done += k;
	}
	if (at + n > (uint64_t)f->st.st_size)
		f->st.st_size = (off_t)(at + n);
	(void)clock_gettime(CLOCK_REALTIME, &f->st.st_mtim);
	f->st.st_ctim = f->st.st_mtim;
}

void
lm_resize(struct lm_inode *f, uint64_t size)
{
	uint64_t old = (uint64_t)f->st.st_size, i = size / LM_PAGE;

	if (size < old) {
		if (size % LM_PAGE != 0 && i < f->npage && f->live[i] != NULL)
			memset(dirty_page(f, i) + size % LM_PAGE, 0,
			    LM_PAGE - size % LM_PAGE);
		for (i = (size + LM_PAGE - 1) / LM_PAGE; i < f->npage; i++) {
			if (f->live[i] != f->disk[i])
				free(f->live[i]);
			f->live[i] = NULL;
		}
	}
	f->st.st_size = (off_t)size;
	(void)clock_gettime(CLOCK_REALTIME, &f->st.st_mtim);
	f->st.st_ctim = f->st.st_mtim;
}

void
lm_sync_data(struct lm_inode *f)
{
	for (uint64_t i = 0; i < f->npage; i++) {
		if (f->live[i] == f->disk[i])
			continue;
		free(f->disk[i]);
		f->disk[i] = f->live[i];
	}
	f->disk_size = (uint64_t)f->st.st_size;
}

void
lm_sync_all(void)
{
	for (struct lm_inode *i = all_inodes; i != NULL; i = i->next)
		lm_sync_data(i);
	take_ops(any, NULL);
}

/* ---- the cut ----------------------------------------------------------------
 */

static void
cut_page(uint8_t **live, uint8_t **disk, bool torn, struct lm_lost *lost)
{
	long lot = torn ? random() % 3 : 0;
	uint64_t half;

	if (*live == *disk)
		return;
	if (lot == 0) {
		lost->pages++;
		return;
	}
	if (lot == 2) {
		/* The first sectors are new, the rest is old. */
		lost->torn++;
		half = (uint64_t)(random() % (LM_PAGE / LM_SECTOR)) * LM_SECTOR;
		if (*live == NULL)
			*live = must(calloc(1, LM_PAGE));
		if (*disk != NULL)
			memcpy(*live + half, *disk + half, LM_PAGE - half);
		else
			memset(*live + half, 0, LM_PAGE - half);
	}
	*disk = *live;
}

static void
cut_file(struct lm_inode *f, bool torn, struct lm_lost *lost)
{
	for (uint64_t i = 0; i < f->npage; i++)
		cut_page(&f->live[i], &f->disk[i], torn, lost);
	if (torn && random() % 2 == 0)
		f->disk_size = (uint64_t)f->st.st_size;
}

static void
cut(enum lm_cut how, struct lm_lost *lost)
{
	struct op *op;
	uint64_t pending = 0, upto;

	for (op = ops; op != NULL; op = op->next)
		pending++;
	if (how == LM_TORN && pending > 0) {
		/* As a journalling file system does it, or worse. */
		upto = ops->seq + (uint64_t)random() % (pending + 1);
		take_ops(before, &upto);
		need_mark++;
		if (random() % 2 == 0)
			take_ops(by_lot, NULL);
	}
	for (op = ops; op != NULL; op = op->next)
		lost->names += op->n;
	for (struct lm_inode *i = all_inodes; i != NULL; i = i->next)
		cut_file(i, how == LM_TORN, lost);
}

void
lm_survive(enum lm_cut how, unsigned seed, struct lm_lost *lost)
{
	memset(lost, 0, sizeof(*lost));
	srandom(seed);
	if (how == LM_KEEP)
		lm_sync_all();
	else
		cut(how, lost);
}
