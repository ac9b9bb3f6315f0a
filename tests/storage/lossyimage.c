/* SPDX-License-Identifier: ISC */
/*
 * lossyfs between two mounts: the folder on a real disk that it begins with,
 * and to which what survived is written.
 */
#include "lossymodel.h"

#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Files of the image with several names: where each was seen. */
struct seen {
	dev_t dev;
	ino_t ino;
	struct lm_inode *inode;
	struct seen *next;
};
static struct seen *seen;

static struct lm_inode *root;
static const char *image;

static struct lm_inode *
seen_before(const struct stat *st)
{
	for (struct seen *s = seen; s != NULL; s = s->next)
		if (s->dev == st->st_dev && s->ino == st->st_ino)
			return s->inode;
	return NULL;
}

static void
see(const struct stat *st, struct lm_inode *i)
{
	struct seen *s = calloc(1, sizeof(*s));

	if (s == NULL)
		errx(71, "no memory");
	*s = (struct seen){st->st_dev, st->st_ino, i, seen};
	seen = s;
}

static void
load_file(const char *path, struct lm_inode *f)
{
	static char buf[1 << 16];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t at = 0;
	ssize_t n;

	if (fd < 0)
		err(74, "%s", path);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		lm_write(f, buf, at, (uint64_t)n);
		at += (uint64_t)n;
	}
	if (n < 0)
		err(74, "%s", path);
	(void)close(fd);
}

static struct lm_inode *
walk(const char *name)
{
	struct lm_inode *dir = root;
	char part[PATH_MAX];
	const char *slash;

	/* "" is the root, else "/a/b". */
	while (dir != NULL && *name == '/') {
		slash = strchrnul(++name, '/');
		(void)snprintf(
		    part, sizeof(part), "%.*s", (int)(slash - name), name);
		dir = lm_lookup(dir, part);
		name = slash;
	}
	return dir;
}

static int
load_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	const char *rel = path + strlen(image);
	char parent[PATH_MAX];
	struct lm_inode *i, *dir;
	bool fresh = false;

	(void)type;
	if (!S_ISDIR(st->st_mode) && !S_ISREG(st->st_mode))
		return 0;
	i = st->st_nlink > 1 && S_ISREG(st->st_mode) ? seen_before(st) : NULL;
	if (i == NULL) {
		i = lm_new(st->st_mode, st->st_uid, st->st_gid);
		fresh = true;
		if (S_ISREG(st->st_mode)) {
			load_file(path, i);
			if (st->st_nlink > 1)
				see(st, i);
		}
	}
	if (*rel == '\0') {
		root = i;
	} else {
		(void)snprintf(parent, sizeof(parent), "%.*s",
		    ftw->base - 1 - (int)strlen(image), rel);
		dir = walk(parent);
		if (dir == NULL)
			errx(74, "%s has no folder", path);
		lm_names(&(struct lm_set){dir, path + ftw->base, i}, 1);
	}
	if (fresh) {
		i->st.st_mtim = st->st_mtim;
		i->st.st_ctim = st->st_ctim;
	}
	return 0;
}

struct lm_inode *
lm_load(const char *from)
{
	image = from;
	if (nftw(from, load_one, 64, FTW_PHYS) != 0)
		err(74, "%s", from);
	lm_sync_all();
	return root;
}

/* ---- writing ----------------------------------------------------------------
 */

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	return ftw->level == 0 ? 0 : remove(path);
}

static void
keep_attributes(const char *path, const struct stat *st)
{
	const struct timespec t[2] = {st->st_atim, st->st_mtim};

	if (geteuid() == 0 && chown(path, st->st_uid, st->st_gid) != 0)
		err(74, "%s", path);
	if (chmod(path, st->st_mode & 07777) != 0 ||
	    utimensat(AT_FDCWD, path, t, 0) != 0)
		err(74, "%s", path);
}

static void
dump_file(const char *path, struct lm_inode *f)
{
	static const char zeros[LM_PAGE];
	FILE *out;

	if (f->dumped_at != NULL) {
		if (link(f->dumped_at, path) != 0)
			err(74, "%s", path);
		return;
	}
	f->dumped_at = strdup(path);
	out = fopen(path, "we");
	if (out == NULL || f->dumped_at == NULL)
		err(74, "%s", path);
	for (uint64_t at = 0; at < f->disk_size; at += LM_PAGE) {
		uint64_t i = at / LM_PAGE, left = f->disk_size - at;
		const void *page = i < f->npage && f->disk[i] != NULL
				       ? (const void *)f->disk[i]
				       : zeros;

		(void)fwrite(page, 1, left < LM_PAGE ? left : LM_PAGE, out);
	}
	if (fclose(out) != 0)
		err(74, "%s", path);
	keep_attributes(path, &f->st);
}

static void
dump_dir(const char *path, struct lm_inode *dir)
{
	char sub[PATH_MAX];

	for (struct lm_entry *e = dir->first; e != NULL; e = e->next) {
		if (e->disk == NULL)
			continue;
		(void)snprintf(sub, sizeof(sub), "%s/%s", path, e->name);
		if (!S_ISDIR(e->disk->st.st_mode)) {
			dump_file(sub, e->disk);
			continue;
		}
		if (e->disk->dumped)
			continue; /* its rename was torn: it has one place */
		e->disk->dumped = true;
		if (mkdir(sub, 0700) != 0)
			err(74, "%s", sub);
		dump_dir(sub, e->disk);
	}
	keep_attributes(path, &dir->st);
}

void
lm_dump(const char *to, enum lm_cut how, unsigned seed, struct lm_lost *lost)
{
	lm_survive(how, seed, lost);
	if (nftw(to, remove_one, 64, FTW_PHYS | FTW_DEPTH) != 0)
		err(74, "%s", to);
	dump_dir(to, root);
}
