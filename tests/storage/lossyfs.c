/* SPDX-License-Identifier: ISC */
/*
 * lossyfs IMAGE MOUNT [drop|torn [SEED]]
 *
 * A file system that forgets at a power cut what nobody synced.  It begins
 * with what lies in folder IMAGE, keeps all in memory, and writes what is left
 * of it to IMAGE when it ends:
 *
 *   SIGUSR1   power cut: nothing is answered from now on.  Whoever used the
 *             file system waits until he is killed; then SIGTERM ends it
 *   SIGTERM   an orderly end: all is kept
 *
 * It prints "ready", and a line of what was lost when IMAGE is complete.  At
 * its end the mount is to be taken away (umount -l, fusermount3 -uz).
 *
 * The kernel does not pass on syncfs(2) to such a file system: lossypreload.c
 * turns it into setting a time of last change that nothing else sets.
 */
#define FUSE_USE_VERSION 34
#include <fuse_lowlevel.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "lossymodel.h"

#define FOREVER 1e6
#define TOTAL ((uint64_t)1 << 34)

static struct lm_inode *root;
static volatile sig_atomic_t told;

static struct lm_inode *
node(fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? root : (struct lm_inode *)ino;
}

static void
reply_entry(fuse_req_t req, struct lm_inode *i, struct fuse_file_info *fi)
{
	struct fuse_entry_param e = {.ino = (fuse_ino_t)i,
	    .attr = i->st,
	    .attr_timeout = FOREVER,
	    .entry_timeout = FOREVER};

	if (fi != NULL)
		(void)fuse_reply_create(req, &e, fi);
	else
		(void)fuse_reply_entry(req, &e);
}

static void
fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct lm_inode *i = lm_lookup(node(parent), name);

	if (i == NULL)
		(void)fuse_reply_err(req, ENOENT);
	else
		reply_entry(req, i, NULL);
}

static void
fs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fi;
	(void)fuse_reply_attr(req, &node(ino)->st, FOREVER);
}

static void
fs_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set,
    struct fuse_file_info *fi)
{
	struct lm_inode *i = node(ino);
	struct timespec now;

	(void)fi;
	if ((set & FUSE_SET_ATTR_MTIME) && attr->st_mtime == LM_SYNCFS) {
		lm_sync_all();
		(void)fuse_reply_attr(req, &i->st, 0);
		return;
	}
	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (set & FUSE_SET_ATTR_MODE)
		i->st.st_mode =
		    (i->st.st_mode & S_IFMT) | (attr->st_mode & 07777);
	if (set & FUSE_SET_ATTR_UID)
		i->st.st_uid = attr->st_uid;
	if (set & FUSE_SET_ATTR_GID)
		i->st.st_gid = attr->st_gid;
	if (set & FUSE_SET_ATTR_SIZE)
		lm_resize(i, (uint64_t)attr->st_size);
	if (set & FUSE_SET_ATTR_ATIME)
		i->st.st_atim =
		    set & FUSE_SET_ATTR_ATIME_NOW ? now : attr->st_atim;
	if (set & FUSE_SET_ATTR_MTIME)
		i->st.st_mtim =
		    set & FUSE_SET_ATTR_MTIME_NOW ? now : attr->st_mtim;
	i->st.st_ctim = now;
	(void)fuse_reply_attr(req, &i->st, FOREVER);
}

static struct lm_inode *
make(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct lm_inode *i;

	if (lm_lookup(node(parent), name) != NULL) {
		(void)fuse_reply_err(req, EEXIST);
		return NULL;
	}
	i = lm_new(mode, ctx->uid, ctx->gid);
	lm_names(&(struct lm_set){node(parent), name, i}, 1);
	return i;
}

static void
fs_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct lm_inode *i = make(req, parent, name, S_IFDIR | (mode & 07777));

	if (i != NULL)
		reply_entry(req, i, NULL);
}

static void
fs_mknod(
    fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev)
{
	struct lm_inode *i;

	(void)dev;
	if (!S_ISREG(mode)) {
		(void)fuse_reply_err(req, EPERM);
		return;
	}
	i = make(req, parent, name, mode);
	if (i != NULL)
		reply_entry(req, i, NULL);
}

static void
fs_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
    struct fuse_file_info *fi)
{
	struct lm_inode *i = make(req, parent, name, S_IFREG | (mode & 07777));

	fi->keep_cache = 1;
	if (i != NULL)
		reply_entry(req, i, fi);
}

static void
fs_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (lm_lookup(node(parent), name) == NULL) {
		(void)fuse_reply_err(req, ENOENT);
		return;
	}
	lm_names(&(struct lm_set){node(parent), name, NULL}, 1);
	(void)fuse_reply_err(req, 0);
}

static void
fs_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct lm_inode *i = lm_lookup(node(parent), name);

	if (i != NULL && i->live_entries > 0)
		(void)fuse_reply_err(req, ENOTEMPTY);
	else
		fs_unlink(req, parent, name);
}

static void
fs_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
    fuse_ino_t newparent, const char *newname, unsigned flags)
{
	struct lm_inode *i = lm_lookup(node(parent), name);
	struct lm_inode *old = lm_lookup(node(newparent), newname);
	const struct lm_set set[2] = {
	    {node(parent), name, NULL}, {node(newparent), newname, i}};

	if (i == NULL)
		(void)fuse_reply_err(req, ENOENT);
	else if ((flags & RENAME_NOREPLACE) && old != NULL)
		(void)fuse_reply_err(req, EEXIST);
	else if (flags & ~(unsigned)RENAME_NOREPLACE)
		(void)fuse_reply_err(req, EINVAL);
	else if (old != NULL && S_ISDIR(old->st.st_mode) &&
		 old->live_entries > 0)
		(void)fuse_reply_err(req, ENOTEMPTY);
	else {
		if (i != old)
			lm_names(set, 2);
		(void)fuse_reply_err(req, 0);
	}
}

static void
fs_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	if (lm_lookup(node(parent), name) != NULL) {
		(void)fuse_reply_err(req, EEXIST);
		return;
	}
	lm_names(&(struct lm_set){node(parent), name, node(ino)}, 1);
	reply_entry(req, node(ino), NULL);
}

static void
fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->keep_cache = 1;
	(void)fuse_reply_open(req, fi);
}

static void
fs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	char *buf = malloc(size);
	int n;

	(void)fi;
	if (buf == NULL) {
		(void)fuse_reply_err(req, ENOMEM);
		return;
	}
	n = lm_read(node(ino), buf, (uint64_t)off, size);
	(void)fuse_reply_buf(req, buf, (size_t)n);
	free(buf);
}

static void
fs_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
    off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	lm_write(node(ino), buf, (uint64_t)off, size);
	(void)fuse_reply_write(req, size);
}

static void
fs_fsync(
    fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)datasync;
	(void)fi;
	lm_sync_data(node(ino));
	(void)fuse_reply_err(req, 0);
}

static void
fs_fsyncdir(
    fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)datasync;
	(void)fi;
	lm_sync_dir(node(ino));
	(void)fuse_reply_err(req, 0);
}

/* Offsets are addresses of entries, which are never freed. */
static void
fs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	struct lm_inode *dir = node(ino);
	struct lm_entry *e =
	    off == 0 ? dir->first : ((struct lm_entry *)off)->next;
	char *buf = malloc(size);
	size_t used = 0, n;

	(void)fi;
	if (buf == NULL) {
		(void)fuse_reply_err(req, ENOMEM);
		return;
	}
	for (; e != NULL; e = e->next) {
		if (e->live == NULL)
			continue;
		n = fuse_add_direntry(req, buf + used, size - used, e->name,
		    &e->live->st, (off_t)e);
		if (n > size - used)
			break;
		used += n;
	}
	(void)fuse_reply_buf(req, buf, used);
	free(buf);
}

static void
fs_statfs(fuse_req_t req, fuse_ino_t ino)
{
	const struct statvfs st = {.f_bsize = LM_PAGE,
	    .f_frsize = LM_PAGE,
	    .f_blocks = TOTAL / LM_PAGE,
	    .f_bfree = TOTAL / LM_PAGE,
	    .f_bavail = TOTAL / LM_PAGE,
	    .f_files = 1 << 24,
	    .f_ffree = 1 << 24,
	    .f_favail = 1 << 24,
	    .f_namemax = 255};

	(void)ino;
	(void)fuse_reply_statfs(req, &st);
}

static const struct fuse_lowlevel_ops fs_ops = {
    .lookup = fs_lookup,
    .getattr = fs_getattr,
    .setattr = fs_setattr,
    .mkdir = fs_mkdir,
    .mknod = fs_mknod,
    .create = fs_create,
    .unlink = fs_unlink,
    .rmdir = fs_rmdir,
    .rename = fs_rename,
    .link = fs_link,
    .open = fs_open,
    .read = fs_read,
    .write = fs_write,
    .fsync = fs_fsync,
    .fsyncdir = fs_fsyncdir,
    .readdir = fs_readdir,
    .statfs = fs_statfs,
};

static void
tell(int sig)
{
	told = sig;
}

/* Until a signal or the unmount. */
static void
serve(struct fuse_session *se)
{
	struct fuse_buf buf = {0};
	struct pollfd p = {.fd = fuse_session_fd(se), .events = POLLIN};
	sigset_t open_mask, closed;
	int n;

	(void)sigemptyset(&open_mask);
	(void)sigemptyset(&closed);
	(void)sigaddset(&closed, SIGUSR1);
	(void)sigaddset(&closed, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &closed, NULL);
	while (told == 0 && !fuse_session_exited(se)) {
		if (ppoll(&p, 1, NULL, &open_mask) < 0)
			continue;
		n = fuse_session_receive_buf(se, &buf);
		if (n > 0)
			fuse_session_process_buf(se, &buf);
		else if (n != -EINTR && n != -EAGAIN)
			break;
	}
	free(buf.mem);
}

static void
await_end(void)
{
	sigset_t open_mask;

	(void)sigemptyset(&open_mask);
	while (told != SIGTERM)
		(void)sigsuspend(&open_mask);
}

int
main(int argc, char **argv)
{
	const struct sigaction act = {.sa_handler = tell};
	char all[] = "-odefault_permissions,allow_other";
	char own[] = "-odefault_permissions";
	char *words[] = {argv[0], geteuid() == 0 ? all : own, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(2, words);
	enum lm_cut how = LM_DROP;
	unsigned seed = 1;
	struct fuse_session *se;
	struct lm_lost lost;

	if (argc < 3 || argc > 5)
		errx(64, "usage: lossyfs IMAGE MOUNT [drop|torn [SEED]]");
	if (argc > 3 && strcmp(argv[3], "torn") == 0)
		how = LM_TORN;
	if (argc > 4)
		seed = (unsigned)strtoul(argv[4], NULL, 10);
	root = lm_load(argv[1]);
	se = fuse_session_new(&args, &fs_ops, sizeof(fs_ops), NULL);
	if (se == NULL || fuse_session_mount(se, argv[2]) != 0)
		errx(69, "cannot mount %s", argv[2]);
	(void)sigaction(SIGUSR1, &act, NULL);
	(void)sigaction(SIGTERM, &act, NULL);
	(void)puts("ready");
	(void)fflush(stdout);
	serve(se);
	lm_dump(argv[1], told == SIGUSR1 ? how : LM_KEEP, seed, &lost);
	(void)printf("lost %llu pages, %llu torn, %llu names\n",
	    (unsigned long long)lost.pages, (unsigned long long)lost.torn,
	    (unsigned long long)lost.names);
	(void)fflush(stdout);
	if (told == SIGUSR1)
		await_end();
	return 0;
}
