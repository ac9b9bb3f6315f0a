/* SPDX-License-Identifier: ISC */
/*
 * Paths, folders and names of Maildir++.  Everything is opened relative to the
 * mail root's descriptor, component by component.  Store role.
 */
#include "storage/maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "storage/sysio.h"

#define FOLDER_MAX 200
#define COMPONENT_MAX 255
#define DEPTH_MAX 8

/* ---- what may be a name --------------------------------------------------- */

static bool
is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* The component of PATH at *AT, which is moved behind its '/'. */
static struct pw_bytes
component(struct pw_bytes path, size_t *at)
{
	struct pw_bytes rest = pw_bytes_sub(path, *at, SIZE_MAX);
	ptrdiff_t slash = pw_bytes_chr(rest, '/');

	if (slash >= 0)
		rest.len = (size_t)slash;
	*at += rest.len + 1;
	return rest;
}

static bool
component_ok(struct pw_bytes c)
{
	return c.len > 0 && c.len <= COMPONENT_MAX &&
	    !pw_bytes_eq(c, PW_LIT(".")) && !pw_bytes_eq(c, PW_LIT("..")) &&
	    pw_bytes_chr(c, '\0') < 0;
}

bool
pw_maildir_path_ok(struct pw_bytes path)
{
	size_t depth = 0;

	for (size_t at = 0; at <= path.len; depth++)
		if (!component_ok(component(path, &at)))
			return false;
	return depth <= DEPTH_MAX;
}

bool
pw_maildir_folder_ok(struct pw_bytes folder)
{
	char last = '.';

	if (folder.len == 0)
		return true;
	if (folder.len > FOLDER_MAX)
		return false;
	for (size_t i = 0; i < folder.len; i++) {
		char c = folder.ptr[i];
		if (is_control(c) || c == '/' || (c == '.' && last == '.'))
			return false;
		last = c;
	}
	return last != '.';
}

bool
pw_maildir_base_ok(struct pw_bytes base)
{
	if (base.len == 0 || base.len > PW_MAILDIR_NAME_MAX ||
	    base.ptr[0] == '.')
		return false;
	for (size_t i = 0; i < base.len; i++)
		if (is_control(base.ptr[i]) || base.ptr[i] == '/' ||
		    base.ptr[i] == ':')
			return false;
	return true;
}

/* ---- folders -------------------------------------------------------------- */

/* NUL-terminated copy of a checked component. */
struct name {
	char s[COMPONENT_MAX + 1];
};

static const char *
name_of(struct name *n, struct pw_bytes b)
{
	memcpy(n->s, b.ptr, b.len);
	n->s[b.len] = '\0';
	return n->s;
}

/* The folder of mailbox PATH itself: an open descriptor, or -1. */
static int
open_mailbox(int root, struct pw_bytes path, bool make)
{
	int fd = root;

	for (size_t at = 0; at <= path.len;) {
		struct name n;
		int up = fd;
		fd = pw_sys_opendir(up, name_of(&n, component(path, &at)),
		    make);
		if (up != root)
			pw_sys_close(&up);
		if (fd < 0)
			return -1;
	}
	return fd;
}

/* Tells Maildir++ readers that this is a folder and not a mailbox. */
static int
mark_folder(int fd)
{
	int f = pw_sys->openat(fd, "maildirfolder",
	    O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (f < 0)
		return -1;
	pw_sys_close(&f);
	return 0;
}

/* FOLDER below the mailbox at BOX, which is used up. */
static int
open_folder(int box, struct pw_bytes folder, bool make)
{
	char dot[FOLDER_MAX + 2] = ".";
	int fd;

	if (folder.len == 0)
		return box;
	memcpy(dot + 1, folder.ptr, folder.len);
	dot[folder.len + 1] = '\0';
	fd = pw_sys_opendir(box, dot, false);
	if (fd < 0 && errno == ENOENT && make) {
		fd = pw_sys_opendir(box, dot, true);
		if (fd >= 0 && mark_folder(fd) < 0)
			pw_sys_close(&fd);
	}
	pw_sys_close(&box);
	return fd;
}

int
pw_maildir_open(int root, struct pw_bytes path, struct pw_bytes folder,
    bool make, bool cur, struct pw_maildir *out)
{
	int fd;

	*out = PW_MAILDIR_NONE;
	if (!pw_maildir_path_ok(path) || !pw_maildir_folder_ok(folder)) {
		errno = EINVAL;
		return -1;
	}
	fd = open_mailbox(root, path, make);
	if (fd >= 0)
		fd = open_folder(fd, folder, make);
	if (fd < 0)
		return -1;
	out->tmp = pw_sys_opendir(fd, "tmp", make);
	if (out->tmp >= 0)
		out->new = pw_sys_opendir(fd, "new", make);
	/* A folder that we make shall have its cur/ too. */
	if (out->new >= 0 && (make || cur))
		out->cur = pw_sys_opendir(fd, "cur", make);
	pw_sys_close(&fd);
	if (out->new < 0 || ((make || cur) && out->cur < 0)) {
		pw_maildir_close(out);
		return -1;
	}
	if (!cur)
		pw_sys_close(&out->cur);
	return 0;
}

void
pw_maildir_close(struct pw_maildir *m)
{
	pw_sys_close(&m->tmp);
	pw_sys_close(&m->new);
	pw_sys_close(&m->cur);
}

/* fsync of what FD is, then FD is closed. */
static int
sync_close(int fd)
{
	int r = fd < 0 ? -1 : pw_sys->fsync(fd);

	pw_sys_close(&fd);
	return r;
}

int
pw_maildir_sync(int root, struct pw_bytes path, struct pw_bytes folder)
{
	int fd = -1, r;

	if (pw_maildir_path_ok(path) && pw_maildir_folder_ok(folder))
		fd = open_mailbox(root, path, false);
	else
		errno = EINVAL;
	if (fd >= 0)
		fd = open_folder(fd, folder, false);
	if (fd < 0)
		return -1;
	r = sync_close(pw_sys_opendir(fd, "new", false));
	if (sync_close(fd) < 0)
		r = -1;
	/* Upwards: the mailbox, then one component less each time. */
	for (bool box = folder.len > 0; r == 0 && path.len > 0; box = true) {
		if (box)
			r = sync_close(open_mailbox(root, path, false));
		ptrdiff_t slash = pw_bytes_rchr(path, '/');
		path.len = slash < 0 ? 0 : (size_t)slash;
	}
	return r == 0 ? pw_sys->fsync(root) : -1;
}

/* ---- names ---------------------------------------------------------------- */

void
pw_maildir_host(char out[101], struct pw_bytes host)
{
	size_t n = 0;

	for (size_t i = 0; i < host.len && n < 100; i++) {
		char c = host.ptr[i];
		if (pw_is_alpha(c) || pw_is_digit(c) || c == '-' || c == '_' ||
		    (c == '.' && n > 0))
			out[n++] = c;
	}
	if (n == 0) {
		memcpy(out, "localhost", 9);
		n = 9;
	}
	out[n] = '\0';
}

size_t
pw_maildir_name(char out[PW_MAILDIR_NAME_MAX + 1], int64_t us,
    const char *host, uint64_t size, uint64_t vsize)
{
	static _Atomic uint64_t count;
	uint64_t random = 0;
	int n;

	pw_random(&random, 6);
	if (us < 0)
		us = 0;
	n = snprintf(out, PW_MAILDIR_NAME_MAX + 1,
	    "%lld.M%06lldP%ld_%llu_%012llx.%.100s,S=%llu,W=%llu",
	    (long long)(us / 1000000), (long long)(us % 1000000),
	    (long)getpid(), (unsigned long long)atomic_fetch_add(&count, 1),
	    (unsigned long long)random, host, (unsigned long long)size,
	    (unsigned long long)vsize);
	/* 100 of the host and seven numbers fit. */
	return n > 0 && n <= PW_MAILDIR_NAME_MAX ? (size_t)n :
						   PW_MAILDIR_NAME_MAX;
}

struct pw_bytes
pw_maildir_base(struct pw_bytes name)
{
	ptrdiff_t colon = pw_bytes_chr(name, ':');

	return colon < 0 ? name : pw_bytes_sub(name, 0, (size_t)colon);
}

/* ---- walking -------------------------------------------------------------- */

struct walk {
	pw_maildir_fn fn;
	void *arg;
	int box;
	const char *folder;
	bool in_new;
};

static int
walk_file(void *arg, const char *name)
{
	struct walk *w = arg;

	/* Readers keep files of their own beside the mail. */
	return name[0] == '.' ? 0 : w->fn(w->arg, w->folder, w->in_new, name);
}

/* One of new/ and cur/ of the folder at FD. */
static int
walk_sub(struct walk *w, int fd, const char *sub)
{
	int d = pw_sys_opendir(fd, sub, false);
	int r;

	if (d < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
	r = pw_sys_list(d, walk_file, w);
	pw_sys_close(&d);
	return r;
}

static int
walk_folder(struct walk *w, int fd, const char *folder)
{
	int r;

	/* A reader moves from new/ to cur/: in this order nothing that it
	 * moves meanwhile is missed. */
	w->folder = folder;
	w->in_new = true;
	r = walk_sub(w, fd, "new");
	w->in_new = false;
	return r != 0 ? r : walk_sub(w, fd, "cur");
}

static int
walk_entry(void *arg, const char *name)
{
	struct walk *w = arg;
	int fd, r;

	if (name[0] != '.' || !pw_maildir_folder_ok(pw_bytes_of(name + 1)))
		return 0;
	fd = pw_sys_opendir(w->box, name, false);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ?
		    0 : -1;
	r = walk_folder(w, fd, name + 1);
	pw_sys_close(&fd);
	return r;
}

int
pw_maildir_walk(int root, struct pw_bytes path, pw_maildir_fn fn, void *arg)
{
	struct walk w = { .fn = fn, .arg = arg };
	int r;

	if (!pw_maildir_path_ok(path)) {
		errno = EINVAL;
		return -1;
	}
	w.box = open_mailbox(root, path, false);
	if (w.box < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
	r = walk_folder(&w, w.box, "");
	if (r == 0)
		r = pw_sys_list(w.box, walk_entry, &w);
	pw_sys_close(&w.box);
	return r;
}

/* ---- left in tmp/ --------------------------------------------------------- */

struct clean {
	int tmp;
	const char *host;
	pw_maildir_keep_fn keep;
	void *arg;
	int removed;
};

/* "<digits>.M<digits>P<digits>_<digits>_<hex>.<host>,S=...": the numbers of
 * which the first is the time and the third the process. */
static bool
is_ours(const char *name, const char *host, long long number[5])
{
	static const char *const mark[] = { ".M", "P", "_", "_", "." };
	const char *p = name;

	for (size_t i = 0; i < PW_COUNT(mark); i++) {
		const char *set = i < 4 ? "0123456789" : "0123456789abcdef";
		size_t n = strspn(p, set), m = strlen(mark[i]);
		if (n == 0 || strncmp(p + n, mark[i], m) != 0)
			return false;
		number[i] = strtoll(p, NULL, i < 4 ? 10 : 16);
		p += n + m;
	}
	size_t n = strlen(host);
	return strncmp(p, host, n) == 0 && strncmp(p + n, ",S=", 3) == 0;
}

static int
clean_file(void *arg, const char *name)
{
	struct clean *c = arg;
	long long number[5];

	if (is_ours(name, c->host, number) &&
	    (c->keep == NULL ||
		!c->keep(c->arg, name, (long)number[2], number[0])) &&
	    pw_sys->unlinkat(c->tmp, name, 0) == 0)
		c->removed++;
	return 0;
}

int
pw_maildir_clean(const struct pw_maildir *m, const char *host,
    pw_maildir_keep_fn keep, void *arg)
{
	struct clean c = { m->tmp, host, keep, arg, 0 };

	return pw_sys_list(m->tmp, clean_file, &c) < 0 ? -1 : c.removed;
}
