/* SPDX-License-Identifier: ISC */
/*
 * From a mail file back to the message: our fields off its front, LF to CRLF
 * where the file has LF, and what was cut put back in its place.
 */
#include "storage/original.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/maildir.h"

#define FILE_MAX ((off_t)4 << 30)

/* ---- finding -------------------------------------------------------------------- */

static int
find_in(int dir, struct pw_bytes base)
{
	int copy = dir >= 0 ? fcntl(dir, F_DUPFD_CLOEXEC, 3) : -1;
	DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *e;
	int fd = -1;

	if (d == NULL) {
		if (copy >= 0)
			(void)close(copy);
		return -1;
	}
	rewinddir(d);
	while (fd < 0 && (e = readdir(d)) != NULL)
		if (pw_bytes_eq(pw_maildir_base(pw_bytes_of(e->d_name)), base))
			fd = openat(dir, e->d_name,
			    O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	(void)closedir(d);
	return fd;
}

int
pw_original_find(int root, struct pw_bytes path, struct pw_bytes folder,
    struct pw_bytes base)
{
	struct pw_maildir m;
	int fd = -1;

	if (!pw_maildir_base_ok(base)) {
		errno = EINVAL;
		return -1;
	}
	if (pw_maildir_open(root, path, folder, false, true, &m) != 0)
		return -1;
	/* Twice: a reader may move it from new/ to cur/ meanwhile. */
	for (int i = 0; i < 2 && fd < 0; i++) {
		fd = find_in(m.new, base);
		if (fd < 0)
			fd = find_in(m.cur, base);
	}
	pw_maildir_close(&m);
	if (fd < 0)
		errno = ENOENT;
	return fd;
}

/* ---- rebuilding ------------------------------------------------------------------- */

/* Where octets of the message go, and what is still to be put between them. */
struct out {
	int fd;
	uint64_t pos; /* in the message as it came */
	const struct pw_missing *missing;
	size_t n;
	bool failed;
	char buf[65536];
	size_t len;
};

static void
flush(struct out *o)
{
	for (size_t at = 0; at < o->len && !o->failed;) {
		ssize_t n = write(o->fd, o->buf + at, o->len - at);

		if (n > 0)
			at += (size_t)n;
		else if (errno != EINTR)
			o->failed = true;
	}
	o->len = 0;
}

static void
put_raw(struct out *o, struct pw_bytes b)
{
	for (size_t at = 0; at < b.len && !o->failed;) {
		size_t n = sizeof(o->buf) - o->len;

		n = b.len - at < n ? b.len - at : n;
		memcpy(o->buf + o->len, b.ptr + at, n);
		o->len += n;
		o->pos += n;
		at += n;
		if (o->len == sizeof(o->buf))
			flush(o);
	}
}

static void
put_missing(struct out *o)
{
	while (o->n > 0 && o->missing[0].offset == o->pos) {
		struct pw_bytes b = o->missing[0].bytes;

		o->missing++;
		o->n--;
		put_raw(o, b);
	}
}

static void
put(struct out *o, struct pw_bytes b)
{
	while (b.len > 0 && !o->failed) {
		uint64_t room;
		size_t n;

		put_missing(o);
		room = o->n > 0 ? o->missing[0].offset - o->pos : b.len;
		n = room < b.len ? (size_t)room : b.len;
		put_raw(o, pw_bytes_sub(b, 0, n));
		b = pw_bytes_sub(b, n, b.len);
	}
}

static void
put_lines(struct out *o, struct pw_bytes b)
{
	while (b.len > 0 && !o->failed) {
		ptrdiff_t lf = pw_bytes_chr(b, '\n');
		size_t n = lf >= 0 ? (size_t)lf : b.len;

		put(o, pw_bytes_sub(b, 0, n));
		if (lf >= 0)
			put(o, PW_LIT("\r\n"));
		b = pw_bytes_sub(b, n + 1, b.len);
	}
}

/* True when the first line of the file ends in LF alone: so does all of it. */
static bool
has_lf(struct pw_bytes file)
{
	ptrdiff_t lf = pw_bytes_chr(file, '\n');

	return lf == 0 || (lf > 0 && file.ptr[lf - 1] != '\r');
}

static int
build(struct out *o, struct pw_bytes file, uint64_t prefix, struct pw_err *err)
{
	struct pw_bytes body = pw_bytes_sub(file, prefix, file.len);
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE |
	    F_SEAL_SEAL;

	if (has_lf(file))
		put_lines(o, body);
	else
		put(o, body);
	put_missing(o);
	flush(o);
	if (o->n > 0)
		return pw_err_set(err, EINVAL,
		    "it is shorter than what was taken out of it");
	if (o->failed || fcntl(o->fd, F_ADD_SEALS, seals) != 0)
		return pw_err_sys(err, "a copy of the message");
	return 0;
}

int
pw_original_make(int fd, uint64_t prefix, const struct pw_missing *missing,
    size_t n, uint64_t *size, struct pw_err *err)
{
	struct out o = { .missing = missing, .n = n };
	struct stat st;
	void *map = NULL;
	int rc;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return pw_err_set(err, EINVAL, "not a file");
	if (st.st_size > FILE_MAX || (uint64_t)st.st_size < prefix)
		return pw_err_set(err, EINVAL, "its size cannot be right");
	if (st.st_size > 0) {
		map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE,
		    fd, 0);
		if (map == MAP_FAILED)
			return pw_err_sys(err, "mapping it");
	}
	o.fd = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	rc = o.fd < 0 ? pw_err_sys(err, "a copy of the message")
		      : build(&o, pw_bytes(map, (size_t)st.st_size), prefix,
			    err);
	if (map != NULL)
		(void)munmap(map, (size_t)st.st_size);
	if (rc != 0) {
		if (o.fd >= 0)
			(void)close(o.fd);
		return -1;
	}
	*size = o.pos;
	return o.fd;
}
