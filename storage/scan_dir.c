/* SPDX-License-Identifier: ISC */
/*
 * Directory reading for the follower; see scan_dir.h.
 */
#include "storage/scan_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/pool.h"

#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* One component; closes FD.  Dots at the begin are for folders only. */
static int
descend(int fd, struct pw_bytes part, bool folder)
{
	char name[256];
	size_t n = part.len + (folder ? 1 : 0);
	int next = -1;

	if (part.len == 0 || n >= sizeof(name) ||
	    memchr(part.ptr, '/', part.len) != NULL ||
	    memchr(part.ptr, '\0', part.len) != NULL || part.ptr[0] == '.')
		errno = EINVAL;
	else {
		name[0] = '.';
		memcpy(name + (folder ? 1 : 0), part.ptr, part.len);
		name[n] = '\0';
		next = openat(fd, name, OPEN_DIR);
	}
	int e = errno;
	(void)close(fd);
	errno = e;
	return next;
}

int
pw_scan_open(int root, struct pw_bytes path, struct pw_bytes folder)
{
	int fd = openat(root, ".", OPEN_DIR);

	while (fd >= 0 && path.len > 0) {
		ptrdiff_t slash = pw_bytes_chr(path, '/');
		size_t n = slash >= 0 ? (size_t)slash : path.len;
		fd = descend(fd, pw_bytes_sub(path, 0, n), false);
		path = pw_bytes_sub(path, n + 1, path.len);
	}
	if (fd >= 0 && folder.len > 0)
		fd = descend(fd, folder, true);
	return fd;
}

void
pw_scan_name(struct pw_bytes name, struct pw_bytes *base,
    struct pw_bytes *info)
{
	ptrdiff_t colon = pw_bytes_chr(name, ':');
	size_t n = colon >= 0 ? (size_t)colon : name.len;

	*base = pw_bytes_sub(name, 0, n);
	*info = pw_bytes_sub(name, n, name.len);
}

uint64_t
pw_scan_field(struct pw_bytes base, char letter)
{
	uint64_t v;

	for (size_t i = 0; i + 3 < base.len; i++) {
		if (base.ptr[i] != ',' || base.ptr[i + 1] != letter ||
		    base.ptr[i + 2] != '=')
			continue;
		struct pw_bytes rest = pw_bytes_sub(base, i + 3, base.len);
		ptrdiff_t end = pw_bytes_chr(rest, ',');
		if (end >= 0)
			rest = pw_bytes_sub(rest, 0, (size_t)end);
		return pw_bytes_u64(rest, INT64_MAX, &v) == 0 ? v : 0;
	}
	return 0;
}

int
pw_scan_files(int folder, const char *sub, pw_scan_file_fn fn, void *arg)
{
	int fd = openat(folder, sub, OPEN_DIR);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *d;

	if (dir == NULL) {
		int e = errno;
		if (fd >= 0)
			(void)close(fd);
		errno = e;
		return -1;
	}
	for (errno = 0; (d = readdir(dir)) != NULL; errno = 0) {
		struct stat sb;
		if (d->d_name[0] == '.')
			continue;
		if (d->d_type == DT_UNKNOWN
			? fstatat(fd, d->d_name, &sb, AT_SYMLINK_NOFOLLOW) !=
				0 ||
			    !S_ISREG(sb.st_mode)
			: d->d_type != DT_REG)
			continue;
		fn(arg, pw_bytes_of(d->d_name), (uint64_t)d->d_ino);
	}
	int e = errno;
	(void)closedir(dir);
	errno = e;
	return e == 0 ? 0 : -1;
}

struct pw_bytes
pw_scan_folder_name(struct pw_bytes name)
{
	/* "..DOVECOT-TRASHED" and the like are on their way out. */
	if (name.len < 2 || name.len > 250 || name.ptr[0] != '.' ||
	    name.ptr[1] == '.')
		return PW_BYTES_NONE;
	return pw_bytes_sub(name, 1, name.len);
}

int
pw_scan_folders(int mailbox, pw_scan_folder_fn fn, void *arg)
{
	int fd = openat(mailbox, ".", OPEN_DIR);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *d;

	if (dir == NULL) {
		if (fd >= 0)
			(void)close(fd);
		return -1;
	}
	while ((d = readdir(dir)) != NULL) {
		struct stat sb;
		struct pw_bytes name =
		    pw_scan_folder_name(pw_bytes_of(d->d_name));
		if (name.len == 0 ||
		    (d->d_type != DT_DIR && d->d_type != DT_UNKNOWN))
			continue;
		/* A folder has a cur/. */
		char cur[300] = "";
		memcpy(cur, d->d_name, name.len + 1);
		memcpy(cur + name.len + 1, "/cur", 5);
		if (fstatat(fd, cur, &sb, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISDIR(sb.st_mode))
			fn(arg, name);
	}
	(void)closedir(dir);
	return 0;
}

char *
pw_scan_read(int folder, const char *name, size_t max, size_t *len)
{
	int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
		O_CLOEXEC);
	struct stat sb;
	char *text = NULL;

	*len = 0;
	if (fd < 0)
		return NULL;
	if (fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode) &&
	    (uint64_t)sb.st_size <= max) {
		size_t size = (size_t)sb.st_size;
		text = pw_xcalloc(1, size + 1);
		ssize_t n = 1;
		while (*len < size &&
		    (n = read(fd, text + *len, size - *len)) > 0)
			*len += (size_t)n;
		if (n < 0) {
			free(text);
			text = NULL;
		}
	} else
		errno = EFBIG;
	int e = errno;
	(void)close(fd);
	errno = e;
	return text;
}

int64_t
pw_scan_vsize(int fd)
{
	char buf[65536];
	int64_t size = 0;
	ssize_t n;
	bool cr = false;

	for (off_t at = 0; (n = pread(fd, buf, sizeof(buf), at)) > 0; at += n) {
		size += n;
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i] == '\n' && !cr)
				size++;
			cr = buf[i] == '\r';
		}
	}
	return n < 0 ? -1 : size;
}
