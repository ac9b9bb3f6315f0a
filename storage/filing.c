/* SPDX-License-Identifier: ISC */
/*
 * Steps with the files of one delivery: into tmp/, into new/, away again, and
 * their rows.  Writer threads, the commit thread and replay.
 */
#include "storage/filer_private.h"

#include <errno.h>
#include <fcntl.h>

#include "base/log.h"
#include "storage/sysio.h"

#define NEW_FILE (O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC)

void
pw_file_of(struct pw_file *file, const struct pw_rfile *r)
{
	*file = (struct pw_file){ .r = *r };
	PW_ASSERT(r->base.len < sizeof(file->name));
	memcpy(file->name, r->base.ptr, r->base.len);
	file->name[r->base.len] = '\0';
}

static int
get_folder(struct pw_filer *f, struct pw_file *file)
{
	if (file->folder == NULL)
		file->folder = pw_folders_get(f->folders, file->r.place,
		    file->r.path, file->r.folder);
	return file->folder != NULL ? 0 : -1;
}

int
pw_file_open_tmp(struct pw_filer *f, struct pw_file *file)
{
	for (int try = 0;; try++) {
		if (get_folder(f, file) < 0)
			return -1;
		int fd = pw_sys->openat(file->folder->dir.tmp, file->name,
		    NEW_FILE, 0600);
		if (fd >= 0) {
			file->in_tmp = true;
			return fd;
		}
		if (try > 0)
			return -1;
		if (errno == EMFILE || errno == ENFILE)
			pw_folders_sweep(f->folders, true);
		else if (errno == ENOENT)
			/* Deleted while we kept it open. */
			pw_folders_put(f->folders, &file->folder, true);
		else
			return -1;
	}
}

int
pw_file_close(struct pw_file *file, int *fd, bool sync)
{
	struct stat st;
	int r = pw_sys->fstat(*fd, &st);

	if (r == 0) {
		file->inode = st.st_ino;
		if ((uint64_t)st.st_size != file->r.size) {
			errno = EIO;
			r = -1;
		}
	}
	if (r == 0 && sync)
		r = pw_sys->fsync(*fd);
	int saved = errno;
	/* Some file systems report a failed write only now. */
	if (pw_sys->close(*fd) < 0 && r == 0)
		r = -1;
	else
		errno = saved;
	*fd = -1;
	return r;
}

int
pw_file_write(struct pw_filer *f, struct pw_file *file, struct pw_bytes body,
    bool again, bool sync)
{
	struct iovec iov[2] = {
		{ (void *)(uintptr_t)file->r.prefix.ptr, file->r.prefix.len },
		{ (void *)(uintptr_t)body.ptr, body.len },
	};
	int fd;

	if (again) {
		if (get_folder(f, file) < 0)
			return -1;
		if (pw_sys->unlinkat(file->folder->dir.tmp, file->name, 0) <
			0 && errno != ENOENT)
			return -1;
	}
	fd = pw_file_open_tmp(f, file);
	if (fd < 0)
		return -1;
	if (pw_sys_writev(fd, iov, 2) < 0) {
		pw_sys_close(&fd);
		return -1;
	}
	return pw_file_close(file, &fd, sync);
}

int
pw_file_rename(struct pw_filer *f, struct pw_file *file)
{
	const struct pw_maildir *dir = &file->folder->dir;

	if (f->expect != NULL && file->r.place == PW_PLACE_MAIL)
		f->expect(f->expect_arg, file->r.base);
	if (pw_sys->renameat(dir->tmp, file->name, dir->new, file->name, 0) <
	    0)
		return -1;
	file->in_tmp = false;
	file->in_new = true;
	return 0;
}

/* 1: it is in DIR, 0: it is not, -1: errno. */
static int
look(int dir, struct pw_file *file)
{
	struct stat st;

	if (pw_sys->fstatat(dir, file->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -1;
	file->inode = st.st_ino;
	file->whole = (uint64_t)st.st_size == file->r.size;
	return 1;
}

int
pw_file_look(struct pw_filer *f, struct pw_file *file)
{
	struct pw_maildir m;
	int tmp, new = 0, saved;

	file->in_tmp = file->in_new = false;
	if (pw_maildir_open(f->root[file->r.place], file->r.path,
		file->r.folder, false, false, &m) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
	tmp = look(m.tmp, file);
	if (tmp >= 0)
		new = look(m.new, file);
	saved = errno;
	pw_maildir_close(&m);
	errno = saved;
	file->in_tmp = tmp > 0;
	file->in_new = new > 0;
	return tmp < 0 || new < 0 ? -1 : 0;
}

void
pw_files_remove(struct pw_file *file, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct pw_file *p = &file[i];
		if (p->folder == NULL)
			continue;
		if (p->in_tmp)
			(void)pw_sys->unlinkat(p->folder->dir.tmp, p->name, 0);
		if (p->in_new &&
		    pw_sys->unlinkat(p->folder->dir.new, p->name, 0) < 0)
			/* A reader was quicker, or the disk is ill: one copy
			 * of a message that its sender will send again. */
			pw_logf(PW_LOG_WARN, "store.stray",
			    "%s could not be taken back", p->name);
		p->in_tmp = p->in_new = false;
	}
}

void
pw_files_release(struct pw_filer *f, struct pw_file *file, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (file[i].folder != NULL)
			pw_folders_put(f->folders, &file[i].folder, false);
}

/* ---- rows ----------------------------------------------------------------- */

static void
filed_of(struct pw_filed *to, const struct pw_file *from, int64_t us)
{
	*to = (struct pw_filed){
		.mailbox = from->r.mailbox,
		.folder = from->r.folder,
		.base = from->r.base,
		.path = from->r.path,
		.in_new = true,
		.size = from->r.size,
		.vsize = from->r.vsize,
		.internal_us = us,
		.inode = from->inode,
		.rcpt = from->r.rcpt,
		.prefix = from->r.prefix.len,
	};
	if (from->r.place == PW_PLACE_QUARANTINE) {
		to->mailbox = PW_LIT("");
		to->folder = PW_LIT("quarantine");
	}
}

uint64_t
pw_rows_waiting(const struct pw_filer *f)
{
	/* In this order the difference cannot be below zero. */
	uint64_t done = pw_writer_done(f->writer);

	return pw_writer_last(f->writer) - done;
}

uint64_t
pw_rows(struct pw_filer *f, struct pw_pool *pool, const struct pw_record *r,
    const struct pw_file *file, size_t n)
{
	struct pw_filed *filed = pw_pool_array(pool, n + 1, sizeof(*filed));
	uint64_t ticket, last;

	if (filed == NULL)
		return 0;
	for (size_t i = 0; i < n; i++)
		filed_of(&filed[i], &file[i], r->us);
	ticket = r->nfile == 0 ?
	    pw_writer_decision(f->writer, r->decision) :
	    pw_writer_delivered(f->writer, r->decision, r->meta, filed, n);
	for (size_t i = 0; ticket != 0 && i < r->ncut; i++) {
		last = pw_writer_cut(f->writer, r->id, r->cut[i].offset,
		    r->cut[i].bytes);
		if (last == 0)
			return 0;
		if (last > ticket)
			ticket = last;
	}
	return ticket;
}
