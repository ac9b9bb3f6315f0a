/* SPDX-License-Identifier: ISC */
/*
 * The text of a configuration: the main file with each included one in its
 * place, and for each line of it the file and line where it was written.
 * Called by load, before libconfig parses the text from memory.  So no file is
 * opened by the library, and what its grammar cannot explain (a quote or a
 * bracket left open, an include that goes round) is found here, at the line
 * where it begins, by scan_line() in scan.c.
 */
#include "config/config_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/scan.h"

struct pw_source_line {
	const char *file;
	unsigned line;
};

/* The files open above one another. */
struct open_file {
	const char *path;
	const char *display;
	struct open_file *above;
	unsigned depth;
	dev_t dev;
	ino_t ino;
};

struct reader {
	struct pw_source *src;
	struct pw_scan scan;
	struct pw_config_report *report;
	const char *dir;         /* of the main file, as opened */
	const char *display_dir; /* the same, as an admin would name it */
};

static struct pw_origin
here(const struct reader *r, const struct open_file *f, unsigned line)
{
	return (struct pw_origin){ f->display, line,
		(unsigned)r->src->nlines + 1, false };
}

static void
add_line(struct reader *r, const char *file, unsigned line)
{
	struct pw_source *src = r->src;

	if (src->nlines == src->cap) {
		src->cap = src->cap > 0 ? src->cap * 2 : 256;
		src->lines = pw_xrealloc(src->lines, src->cap,
		    sizeof(*src->lines));
	}
	src->lines[src->nlines++] = (struct pw_source_line){ file, line };
}

/* Reads at most MAX bytes of FD to its end; -1 with errno. */
static int
read_all(int fd, size_t max, struct pw_strbuf *out)
{
	pw_strbuf_init(out, max + 1);
	for (;;) {
		size_t room = max + 1 - out->len;
		if (room > 16384)
			room = 16384;
		if (room == 0) {
			errno = EFBIG;
			return -1;
		}
		char *p = pw_strbuf_reserve(out, room);
		ssize_t n = read(fd, p, room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			return 0;
		out->len += (size_t)n;
	}
}

/*
 * Opens and reads F, noting which file it is.  0, or -1 with the reason at
 * WHERE; the caller frees OUT either way.
 */
static int
slurp(struct reader *r, struct open_file *f, const struct pw_origin *where,
    struct pw_strbuf *out)
{
	struct stat st;
	char word[PW_WORD];
	const char *name = pw_report_word(word, sizeof(word), f->display);

	pw_strbuf_init(out, 0);
	/* Not to wait for the writer of a FIFO. */
	int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) != 0) {
		pw_report_at(r->report, where, "file",
		    "\"%s\" cannot be read: %s; write the path of a file that "
		    "can be read", name, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	int rc = -1;
	if (!S_ISREG(st.st_mode))
		pw_report_at(r->report, where, "file",
		    "\"%s\" is not a file; write the path of a file", name);
	else if (read_all(fd, PW_CONFIG_MAX_BYTES - r->src->bytes, out) == 0)
		rc = 0;
	else if (errno == EFBIG)
		pw_report_at(r->report, where, "file",
		    "with \"%s\" the configuration is larger than %zu bytes; "
		    "write less", name, PW_CONFIG_MAX_BYTES);
	else
		pw_report_at(r->report, where, "file",
		    "\"%s\" cannot be read: %s; check the file", name,
		    strerror(errno));
	close(fd);
	r->src->bytes += out->len;
	return rc;
}

static int read_file(struct reader *r, struct open_file *f,
    const struct pw_origin *where);

static char *
join(struct reader *r, const char *dir, struct pw_bytes name)
{
	const char *slash = "/";
	char *path;

	if (name.ptr[0] == '/' || dir[0] == '\0')
		dir = slash = "";
	else if (dir[strlen(dir) - 1] == '/')
		slash = "";
	path = pw_pool_printf(r->src->pool, "%s%s%.*s", dir, slash,
	    (int)name.len, name.ptr);
	PW_ASSERT(path != NULL);
	return path;
}

static bool
is_open(const struct open_file *f)
{
	for (const struct open_file *a = f->above; a != NULL; a = a->above)
		if (a->dev == f->dev && a->ino == f->ino)
			return true;
	return false;
}

/* The file NAME in place of line LINE of F. */
static int
include(struct reader *r, struct open_file *f, unsigned line,
    struct pw_bytes name)
{
	struct pw_origin where = here(r, f, line);
	struct open_file in = {
		.path = join(r, r->dir, name),
		.display = join(r, r->display_dir, name),
		.above = f,
		.depth = f->depth + 1,
	};

	if (in.depth > PW_CONFIG_MAX_INCLUDE) {
		pw_report_at(r->report, &where, "@include",
		    "more than %d files include one another; write less deep",
		    PW_CONFIG_MAX_INCLUDE);
		return -1;
	}
	if (r->src->nfiles > PW_CONFIG_MAX_FILES) {
		pw_report_at(r->report, &where, "@include",
		    "more than %d files are included; write fewer",
		    PW_CONFIG_MAX_FILES);
		return -1;
	}
	return read_file(r, &in, &where);
}

/* One line of F, with its line feed where it has one. */
static int
take_line(struct reader *r, struct open_file *f, unsigned line,
    struct pw_bytes text)
{
	struct pw_origin at = here(r, f, line);
	struct pw_bytes name;

	switch (pw_scan_include(&r->scan, &at, text, &name)) {
	case PW_OK:
		return include(r, f, line, name);
	case PW_FAIL:
		return -1;
	default:
		break;
	}
	add_line(r, f->display, line);
	return pw_scan_line(&r->scan, &at, text, &r->src->text);
}

static int
read_file(struct reader *r, struct open_file *f, const struct pw_origin *where)
{
	struct pw_strbuf text;
	int rc = slurp(r, f, where, &text);

	r->src->nfiles++;
	if (rc == 0 && is_open(f)) {
		pw_report_at(r->report, where, "@include",
		    "the file includes itself; remove the line");
		rc = -1;
	}
	struct pw_bytes rest = pw_strbuf_bytes(&text);
	for (unsigned line = 1; rc == 0 && rest.len > 0; line++) {
		ptrdiff_t lf = pw_bytes_chr(rest, '\n');
		size_t len = lf < 0 ? rest.len : (size_t)lf;
		rc = take_line(r, f, line, pw_bytes(rest.ptr, len));
		rest = pw_bytes_sub(rest, len + 1, rest.len);
	}
	pw_strbuf_free(&text);
	return rc;
}

int
pw_source_read(struct pw_source *src, const char *path, const char *display,
    struct pw_pool *pool, struct pw_config_report *report)
{
	struct pw_bytes p = pw_bytes_of(path), d = pw_bytes_of(display);
	struct reader r = { .src = src, .report = report };
	struct open_file main_file = { .path = path, .display = display };
	struct pw_origin where = { display, 1, 1, false };

	*src = (struct pw_source){ .pool = pool };
	/* Each number may grow by a suffix, each line by a line feed. */
	pw_strbuf_init(&src->text, PW_CONFIG_MAX_BYTES * 2);
	/* Up to and with the last slash. */
	r.dir = pw_pool_cstr(pool,
	    pw_bytes(p.ptr, (size_t)(pw_bytes_rchr(p, '/') + 1)));
	r.display_dir = pw_pool_cstr(pool,
	    pw_bytes(d.ptr, (size_t)(pw_bytes_rchr(d, '/') + 1)));
	pw_scan_init(&r.scan, report);
	int rc = read_file(&r, &main_file, &where);
	if (rc == 0)
		rc = pw_scan_end(&r.scan);
	return rc;
}

void
pw_source_free(struct pw_source *src)
{
	pw_strbuf_free(&src->text);
	free(src->lines);
	src->lines = NULL;
	src->nlines = src->cap = 0;
}

struct pw_origin
pw_source_at(const struct pw_source *src, unsigned flat)
{
	/* The parser may point behind the last line. */
	if (flat > src->nlines)
		flat = (unsigned)src->nlines;
	if (flat == 0)
		return (struct pw_origin){ 0 };
	return (struct pw_origin){ src->lines[flat - 1].file,
		src->lines[flat - 1].line, flat, false };
}

struct pw_bytes
pw_source_line(const struct pw_source *src, unsigned flat)
{
	struct pw_bytes rest = pw_strbuf_bytes(&src->text);

	for (; flat > 1 && rest.len > 0; flat--) {
		ptrdiff_t lf = pw_bytes_chr(rest, '\n');
		size_t len = lf < 0 ? rest.len : (size_t)lf;
		rest = pw_bytes_sub(rest, len + 1, rest.len);
	}
	ptrdiff_t lf = pw_bytes_chr(rest, '\n');
	if (lf >= 0)
		rest.len = (size_t)lf;
	return pw_bytes_trim(rest);
}
