/* SPDX-License-Identifier: ISC */
/* See fault_disk.h.  Nothing is freed: its life is one process. */
#include "fault_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FDS 4096
#define INODES 8192
#define SECTOR 512u

struct node;

struct entry {
	struct entry *next;
	struct node *node;
	char name[256];
};

struct node {
	ino_t ino;
	bool dir;
	struct entry *entries; /* of a folder, on disk */
	struct data {
		char *p;
		size_t len, cap;
	} live, disk;
	/* A flag for each sector of .live that a failed sync has dropped. */
	unsigned char *lost;
	size_t nlost;
};

/* A change of names that is not on disk. */
struct op {
	struct op *next;
	struct node *dir, *to_dir; /* to_dir NULL: not a rename */
	char name[256], to[256];
	struct node *node; /* what gets the (new) name; NULL: unlink */
	bool exchange;
};

static struct node *of_fd[FDS];
static struct node *node_tab[INODES];
static size_t nnode;
static struct node *root_node;
static struct op *ops, **ops_tail = &ops;

static void
fatal(const char *what)
{
	perror(what);
	_exit(3);
}

static void *
zeroed(size_t n)
{
	void *p = calloc(1, n);

	if (p == NULL)
		fatal("calloc");
	return p;
}

/* ---- nodes ---------------------------------------------------------------- */

/* The newest of this number: numbers are used again. */
static struct node *
by_ino(ino_t ino)
{
	for (size_t i = nnode; i > 0; i--)
		if (node_tab[i - 1]->ino == ino)
			return node_tab[i - 1];
	return NULL;
}

static struct node *
node_new(ino_t ino, bool dir)
{
	struct node *n = zeroed(sizeof(*n));

	if (nnode == INODES)
		fatal("too many files");
	n->ino = ino;
	n->dir = dir;
	node_tab[nnode++] = n;
	return n;
}

static struct node *
of_dir(int fd)
{
	struct stat st;

	if (fd >= 0 && fd < FDS && of_fd[fd] != NULL)
		return of_fd[fd];
	return fstat(fd, &st) == 0 ? by_ino(st.st_ino) : NULL;
}

static struct node *
of_path(int dir, const char *path)
{
	struct stat st;

	if (fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return NULL;
	return by_ino(st.st_ino);
}

static void
entry_set(struct node *dir, const char *name, struct node *node)
{
	struct entry **p = &dir->entries;

	while (*p != NULL && strcmp((*p)->name, name) != 0)
		p = &(*p)->next;
	if (node == NULL) {
		if (*p != NULL)
			*p = (*p)->next;
		return;
	}
	if (*p == NULL) {
		*p = zeroed(sizeof(**p));
		(void)snprintf((*p)->name, sizeof((*p)->name), "%s", name);
	}
	(*p)->node = node;
}

static struct node *
entry_get(struct node *dir, const char *name)
{
	for (struct entry *e = dir->entries; e != NULL; e = e->next)
		if (strcmp(e->name, name) == 0)
			return e->node;
	return NULL;
}

/* ---- contents ------------------------------------------------------------- */

static void
data_put(struct data *d, const void *p, size_t n, uint64_t at)
{
	size_t end = (size_t)at + n;

	if (end > d->cap) {
		d->cap = end * 2;
		d->p = realloc(d->p, d->cap);
		if (d->p == NULL)
			fatal("realloc");
		memset(d->p + d->len, 0, d->cap - d->len);
	}
	memcpy(d->p + at, p, n);
	if (end > d->len)
		d->len = end;
}

static void
data_copy(struct data *to, const struct data *from)
{
	to->len = 0;
	if (from->len > 0)
		data_put(to, from->p, from->len, 0);
}

/* Live to disk, but for what was lost. */
static void
data_sync(struct node *n)
{
	const struct data *l = &n->live;

	if (n->nlost == 0) {
		data_copy(&n->disk, l);
		return;
	}
	for (size_t at = 0, i = 0; at < l->len; at += SECTOR, i++) {
		static const char zeros[SECTOR];
		size_t part = l->len - at < SECTOR ? l->len - at : SECTOR;
		bool lost = i < n->nlost && n->lost[i] != 0;
		if (!lost)
			data_put(&n->disk, l->p + at, part, at);
		else if (at + part > n->disk.len)
			data_put(&n->disk, zeros, part, at);
	}
	if (n->disk.len > l->len)
		n->disk.len = l->len;
}

static void
data_lose(struct node *n)
{
	const struct data *l = &n->live, *d = &n->disk;
	size_t sectors = (l->len + SECTOR - 1) / SECTOR;

	n->lost = realloc(n->lost, sectors + 1);
	for (; n->nlost < sectors; n->nlost++)
		n->lost[n->nlost] = 0;
	for (size_t at = 0, i = 0; at < l->len; at += SECTOR, i++) {
		size_t part = l->len - at < SECTOR ? l->len - at : SECTOR;
		if (at + part > d->len ||
		    memcmp(l->p + at, d->p + at, part) != 0)
			n->lost[i] = 1;
	}
}

void
disk_written(int fd, const void *p, size_t n, uint64_t at)
{
	struct node *node = of_dir(fd);

	if (node == NULL || n == 0)
		return;
	data_put(&node->live, p, n, at);
	for (size_t i = (size_t)at / SECTOR;
	     i <= ((size_t)at + n - 1) / SECTOR && i < node->nlost; i++)
		node->lost[i] = 0;
}

/* ---- names ---------------------------------------------------------------- */

static struct op *
op_new(struct node *dir, const char *name, struct node *node)
{
	struct op *o = zeroed(sizeof(*o));

	o->dir = dir;
	o->node = node;
	(void)snprintf(o->name, sizeof(o->name), "%s", name);
	*ops_tail = o;
	ops_tail = &o->next;
	return o;
}

static void
apply(const struct op *o)
{
	if (o->to_dir == NULL) {
		entry_set(o->dir, o->name, o->node);
	} else if (o->exchange) {
		struct node *other = entry_get(o->to_dir, o->to);
		entry_set(o->to_dir, o->to, o->node);
		/* Had its name not reached the disk, there is nothing. */
		entry_set(o->dir, o->name, other);
	} else {
		if (entry_get(o->dir, o->name) == o->node)
			entry_set(o->dir, o->name, NULL);
		entry_set(o->to_dir, o->to, o->node);
	}
}

/* Those that touch DIR (NULL: all) reach the disk, in order; at most MAX. */
static void
apply_for(const struct node *dir, size_t max)
{
	struct op **p = &ops;

	for (size_t n = 0; *p != NULL && n < max;) {
		struct op *o = *p;
		if (dir != NULL && o->dir != dir && o->to_dir != dir) {
			p = &o->next;
			continue;
		}
		apply(o);
		*p = o->next;
		n++;
	}
	ops_tail = &ops;
	while (*ops_tail != NULL)
		ops_tail = &(*ops_tail)->next;
}

void
disk_opened(int dir, const char *path, int fd, bool made, bool truncated)
{
	struct node *parent = dir >= 0 ? of_dir(dir) : NULL;
	struct stat st;

	if (fd >= FDS || fstat(fd, &st) < 0)
		fatal("descriptor");
	struct node *n = made ? NULL : by_ino(st.st_ino);
	if (n == NULL) {
		n = node_new(st.st_ino, S_ISDIR(st.st_mode));
		if (made && parent != NULL)
			(void)op_new(parent, path, n);
	}
	if (truncated) {
		n->live.len = 0;
		n->nlost = 0;
		if (n->live.p != NULL)
			memset(n->live.p, 0, n->live.cap);
	}
	of_fd[fd] = n;
}

bool
disk_closed(int fd)
{
	if (fd < 0 || fd >= FDS || of_fd[fd] == NULL)
		return false;
	of_fd[fd] = NULL;
	return true;
}

void
disk_made(int dir, const char *path)
{
	struct node *parent = of_dir(dir);
	struct stat st;

	if (fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		fatal(path);
	struct node *n = node_new(st.st_ino, true);
	if (parent != NULL)
		(void)op_new(parent, path, n);
}

void
disk_renamed(int a, const char *from, int b, const char *to, bool exchange)
{
	struct node *from_dir = of_dir(a), *to_dir = of_dir(b);
	struct node *node = of_path(b, to);

	if (from_dir == NULL || to_dir == NULL || node == NULL)
		fatal("rename of something unknown");
	struct op *o = op_new(from_dir, from, node);
	o->to_dir = to_dir;
	o->exchange = exchange;
	(void)snprintf(o->to, sizeof(o->to), "%s", to);
}

void
disk_unlinked(int dir, const char *path)
{
	struct node *parent = of_dir(dir);

	if (parent != NULL)
		(void)op_new(parent, path, NULL);
}

/* ---- syncs ---------------------------------------------------------------- */

void
disk_synced(int fd)
{
	struct node *n = of_dir(fd);

	if (n == NULL)
		fatal("sync of something unknown");
	if (n->dir)
		apply_for(n, SIZE_MAX);
	else
		data_sync(n);
}

void
disk_synced_all(void)
{
	apply_for(NULL, SIZE_MAX);
	for (size_t i = 0; i < nnode; i++)
		if (!node_tab[i]->dir)
			data_sync(node_tab[i]);
}

void
disk_sync_failed(int fd)
{
	struct node *n = of_dir(fd);

	if (n != NULL && !n->dir)
		data_lose(n);
}

void
disk_sync_failed_all(void)
{
	for (size_t i = 0; i < nnode; i++)
		if (!node_tab[i]->dir)
			data_lose(node_tab[i]);
}

/* ---- reading a folder that is synced -------------------------------------- */

static void
load_file(struct node *n, int fd)
{
	char buf[65536];
	ssize_t r;
	uint64_t at = 0;

	while ((r = pread(fd, buf, sizeof(buf), (off_t)at)) > 0) {
		data_put(&n->live, buf, (size_t)r, at);
		at += (uint64_t)r;
	}
	data_copy(&n->disk, &n->live);
}

static struct node *
load(int fd)
{
	struct stat st;
	struct node *n;

	if (fstat(fd, &st) < 0)
		fatal("load");
	n = node_new(st.st_ino, S_ISDIR(st.st_mode));
	if (!n->dir) {
		load_file(n, fd);
		return n;
	}
	DIR *d = fdopendir(dup(fd));
	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		int sub = openat(fd, e->d_name, O_RDONLY | O_CLOEXEC);
		if (sub < 0)
			fatal(e->d_name);
		entry_set(n, e->d_name, load(sub));
		(void)close(sub);
	}
	if (d == NULL || closedir(d) < 0)
		fatal("closedir");
	return n;
}

void
disk_start(const char *root)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		fatal(root);
	memset(of_fd, 0, sizeof(of_fd));
	nnode = 0;
	ops = NULL;
	ops_tail = &ops;
	root_node = load(fd);
	(void)close(fd);
}

/* ---- writing the disk ----------------------------------------------------- */

static uint32_t rnd;

static uint32_t
lot(uint32_t n)
{
	rnd = rnd * 1664525u + 1013904223u;
	return (rnd >> 8) % n;
}

/* What the disk may hold of a file, in N->disk. */
static void
tear(struct node *n, enum fault_cut cut)
{
	struct data *d = &n->disk;
	const struct data *l = &n->live;
	static const char zeros[SECTOR];

	if (cut == CUT_ZEROS) {
		for (size_t at = d->len; at < l->len; at += SECTOR)
			data_put(d, zeros, l->len - at < SECTOR ?
				l->len - at : SECTOR, at);
		return;
	}
	if (cut != CUT_RANDOM)
		return;
	size_t size = lot(2) ? l->len : d->len;
	for (size_t at = 0; at < l->len && at < size; at += SECTOR) {
		size_t part = l->len - at < SECTOR ? l->len - at : SECTOR;
		if (lot(2))
			data_put(d, l->p + at, part, at);
		else if (at >= d->len)
			data_put(d, zeros, part, at);
	}
}

static void
write_node(int dir, const char *name, const struct node *n)
{
	int fd;

	if (n->dir) {
		if (mkdirat(dir, name, 0700) < 0 ||
		    (fd = openat(dir, name, O_RDONLY | O_DIRECTORY)) < 0)
			fatal(name);
		for (struct entry *e = n->entries; e != NULL; e = e->next)
			write_node(fd, e->name, e->node);
	} else {
		fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
		if (fd < 0 || write(fd, n->disk.p, n->disk.len) !=
			(ssize_t)n->disk.len)
			fatal(name);
	}
	(void)close(fd);
}

void
disk_write(const char *to, enum fault_cut cut, uint32_t seed)
{
	int fd = open(to, O_RDONLY | O_DIRECTORY);
	size_t nops = 0;

	if (fd < 0)
		fatal(to);
	rnd = seed * 2654435761u + 1;
	for (struct op *o = ops; o != NULL; o = o->next)
		nops++;
	if (cut == CUT_RANDOM)
		apply_for(NULL, lot((uint32_t)nops + 1));
	else if (cut != CUT_DROP)
		apply_for(NULL, SIZE_MAX);
	for (size_t i = 0; i < nnode; i++)
		if (!node_tab[i]->dir)
			tear(node_tab[i], cut);
	for (struct entry *e = root_node->entries; e != NULL; e = e->next)
		write_node(fd, e->name, e->node);
	(void)close(fd);
}
