/* SPDX-License-Identifier: ISC */
/*
 * Making files whole that lie in mailboxes already, wherever a reader has put
 * them: after a power cut, and after a sync that failed.  The good file is
 * exchanged for the bad one in one step, so that a reader who moves it in that
 * moment gets either none or all of it, and never two.
 */
#include "storage/filer_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/log.h"
#include "storage/sysio.h"

/* ---- one file ------------------------------------------------------------- */

/* The N bytes of FD at *AT are those of B; moves *AT. 1, 0, or -1. */
static int
same_part(int fd, struct pw_bytes b, off_t *at)
{
	char buf[16384];

	for (size_t done = 0; done < b.len;) {
		size_t n = b.len - done < sizeof(buf) ? b.len - done :
							sizeof(buf);
		if (pw_sys_pread(fd, buf, n, *at) < 0)
			return -1;
		if (memcmp(buf, b.ptr + done, n) != 0)
			return 0;
		done += n;
		*at += (off_t)n;
	}
	return 1;
}

/* 1: whole, 0: not, -1: errno. */
static int
is_whole(int dir, const char *name, const struct pw_rfile *want,
    const struct pw_bytes *body)
{
	int fd = pw_sys->openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC,
	    0);
	struct stat st;
	off_t at = 0;
	int r;

	if (fd < 0)
		return -1;
	r = pw_sys->fstat(fd, &st);
	if (r == 0)
		r = (uint64_t)st.st_size == want->size;
	if (r == 1 && body != NULL)
		r = same_part(fd, want->prefix, &at);
	if (r == 1 && body != NULL)
		r = same_part(fd, *body, &at);
	pw_sys_close(&fd);
	return r;
}

/* The good file to tmp/NAME. */
static int
write_good(const struct pw_maildir *m, const char *name,
    const struct pw_rfile *want, struct pw_bytes body, int64_t us, bool sync)
{
	struct timespec when[2];
	struct iovec iov[2] = {
		{ (void *)(uintptr_t)want->prefix.ptr, want->prefix.len },
		{ (void *)(uintptr_t)body.ptr, body.len },
	};
	int fd, r;

	if (pw_sys->unlinkat(m->tmp, name, 0) < 0 && errno != ENOENT)
		return -1;
	fd = pw_sys->openat(m->tmp, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	r = pw_sys_writev(fd, iov, 2);
	/* Readers take the time of arrival from the file. */
	when[0] = when[1] = (struct timespec){ us / 1000000,
		us % 1000000 * 1000 };
	(void)futimens(fd, when);
	if (r == 0 && sync)
		r = pw_sys->fsync(fd);
	pw_sys_close(&fd);
	return r;
}

/* tmp/TMP in the place of NAME in DIR, which must be there. */
static int
exchange(const struct pw_maildir *m, const char *tmp, int dir,
    const char *name)
{
	struct stat st;
	int r = pw_sys->renameat(m->tmp, tmp, dir, name, RENAME_EXCHANGE);

	if (r < 0 && (errno == EINVAL || errno == ENOSYS)) {
		/* Not on this file system. */
		r = pw_sys->fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW);
		return r < 0 ? -1 :
		    pw_sys->renameat(m->tmp, tmp, dir, name, 0);
	}
	return r;
}

static enum pw_repair
replace(const struct pw_maildir *m, int dir, const struct pw_found *at,
    const struct pw_rfile *want, struct pw_bytes body, int64_t us, bool sync)
{
	char tmp[PW_MAILDIR_NAME_MAX + 1];
	int r, saved;

	(void)snprintf(tmp, sizeof(tmp), "%.*s", (int)want->base.len,
	    want->base.ptr);
	r = write_good(m, tmp, want, body, us, sync);
	if (r == 0)
		r = exchange(m, tmp, dir, at->name);
	if (r == 0 && sync)
		r = pw_sys->fsync(dir);
	saved = errno;
	(void)pw_sys->unlinkat(m->tmp, tmp, 0);
	errno = saved;
	if (r == 0)
		return PW_REPAIR_REPLACED;
	return errno == ENOENT ? PW_REPAIR_GONE : PW_REPAIR_FAILED;
}

enum pw_repair
pw_repair(struct pw_filer *f, const struct pw_record *rec,
    const struct pw_rfile *want, const struct pw_found *at, bool force,
    bool sync)
{
	bool bodyless = (rec->flags & PW_RECORD_BODYLESS) != 0;
	struct pw_maildir m;
	enum pw_repair res = PW_REPAIR_WHOLE;
	int dir, r;

	if (bodyless && force)
		/* It was synced by itself. */
		return PW_REPAIR_WHOLE;
	if (pw_maildir_open(f->root[want->place], want->path, at->folder,
		false, true, &m) < 0)
		return errno == ENOENT ? PW_REPAIR_GONE : PW_REPAIR_FAILED;
	dir = at->in_new ? m.new : m.cur;
	r = force ? 0 :
	    is_whole(dir, at->name, want, bodyless ? NULL : &rec->body);
	if (r < 0)
		res = errno == ENOENT ? PW_REPAIR_GONE : PW_REPAIR_FAILED;
	else if (r == 0 && bodyless)
		pw_logf(PW_LOG_ERROR, "store.damaged",
		    "%s has not its size, and no copy is left", at->name);
	else if (r == 0)
		res = replace(&m, dir, at, want, rec->body, rec->us, sync);
	if (res == PW_REPAIR_REPLACED)
		atomic_fetch_add(&f->rewritten, 1);
	pw_maildir_close(&m);
	return res;
}

/* ---- all of a segment ----------------------------------------------------- */

struct round {
	struct pw_filer *f;
	struct pw_pool *pool;
	struct pw_locate *locate;
	bool looking;
	uint64_t ticket;
};

static int
rewrite_record(void *arg, const struct pw_jread *r)
{
	struct round *c = arg;
	struct pw_record rec;

	pw_pool_reset(c->pool);
	if (r->state != PW_JS_STAGED ||
	    pw_record_dec(r->payload, c->pool, &rec) < 0 ||
	    rec.kind != PW_RECORD_MAIL)
		return 0;
	for (size_t i = 0; i < rec.nfile; i++) {
		const struct pw_rfile *file = &rec.file[i];

		if (c->looking) {
			pw_locate_want(c->locate, file);
			continue;
		}
		for (const struct pw_found *at =
			 pw_locate_get(c->locate, file);
		     at != NULL; at = at->next)
			if (pw_repair(c->f, &rec, file, at, true, true) ==
			    PW_REPAIR_FAILED)
				return -1;
	}
	return 0;
}

int
pw_rewrite_segment(struct pw_filer *f, struct pw_segment *seg)
{
	struct round c = { .f = f, .looking = true };
	struct pw_err err;
	unsigned holes = 0;
	int r;

	c.pool = pw_pool_new(0);
	c.locate = pw_locate_new();
	r = pw_journal_scan(f->journal, seg, rewrite_record, &c, &holes, &err);
	if (r == 0)
		r = pw_locate_run(c.locate, f->root);
	c.looking = false;
	if (r == 0)
		r = pw_journal_scan(f->journal, seg, rewrite_record, &c,
		    &holes, &err);
	int saved = errno;
	pw_locate_free(&c.locate);
	pw_pool_free(&c.pool);
	errno = saved;
	return r;
}

static int
repay_record(void *arg, const struct pw_jread *r)
{
	struct round *c = arg;
	struct pw_record rec;
	struct pw_file *file;
	size_t n = 0;

	pw_pool_reset(c->pool);
	if (r->state != PW_JS_STAGED ||
	    pw_record_dec(r->payload, c->pool, &rec) < 0 ||
	    rec.kind != PW_RECORD_MAIL)
		return 0;
	file = pw_pool_array(c->pool, rec.nfile + 1, sizeof(*file));
	for (size_t i = 0; file != NULL && i < rec.nfile; i++) {
		pw_file_of(&file[n], &rec.file[i]);
		if (pw_file_look(c->f, &file[n]) == 0 && file[n].in_new)
			n++;
	}
	c->ticket = file == NULL ? 0 :
				   pw_rows(c->f, c->pool, &rec, file, n);
	return c->ticket != 0 ? 0 : 1;
}

uint64_t
pw_repay_segment(struct pw_filer *f, struct pw_segment *seg)
{
	struct round c = { .f = f, .ticket = 1 };
	struct pw_err err;
	unsigned holes = 0;
	int r;

	c.pool = pw_pool_new(0);
	r = pw_journal_scan(f->journal, seg, repay_record, &c, &holes, &err);
	pw_pool_free(&c.pool);
	return r == 0 ? c.ticket : 0;
}
