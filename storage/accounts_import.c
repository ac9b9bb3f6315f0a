/* SPDX-License-Identifier: ISC */
/*
 * Mass import of mailboxes: lines "address[,password[,quota]]".  All is read
 * and checked first, plain passwords are hashed on a few threads, then
 * everything goes in within one transaction or not at all.  Plain passwords
 * cost some 50 ms each: the program postward hashes them itself before it hands
 * the lines to a running store.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/pool.h"
#include "storage/accounts_private.h"
#include "storage/password.h"

#define ROWS_MAX 1000000
#define REPORT_MAX 100 /* lines about errors */
#define HASHERS_MAX 4

struct row {
	size_t line;
	char *address; /* canonical */
	char *hash;    /* NULL: none */
	struct pw_bytes password; /* yet to be hashed; len 0: nothing to do */
	uint64_t quota;
	char error[160];
};

struct import {
	struct row *rows;
	size_t n, cap;
	size_t errors;
	struct pw_strbuf *report;
	size_t next; /* row to be hashed, by the threads */
};

static void
complain(struct import *im, size_t line, const char *what)
{
	if (im->errors++ < REPORT_MAX)
		pw_strbuf_addf(im->report, "line %zu: %s\n", line, what);
}

/* A size like 500M; -1 when it is none. */
static int
parse_quota(struct pw_bytes text, uint64_t *out)
{
	static const char units[] = "KMGT";
	unsigned shift = 0;

	*out = 0;
	if (text.len == 0)
		return 0;
	int last = (unsigned char)text.ptr[text.len - 1];
	const char *unit = strchr(units, last >= 'a' ? last - 32 : last);
	if (unit != NULL && *unit != '\0') {
		shift = 10 * (unsigned)(unit - units + 1);
		text.len--;
	}
	if (pw_bytes_u64(text, (uint64_t)INT64_MAX >> shift, out) != 0)
		return -1;
	*out <<= shift;
	return 0;
}

/* A field in double quotes, in which "" is one; *REST is behind it. */
static struct pw_bytes
quoted(struct pw_bytes in, char *copy, struct pw_bytes *rest)
{
	size_t n = 0, i = 1;

	for (; i < in.len; i++) {
		if (in.ptr[i] == '"') {
			if (i + 1 >= in.len || in.ptr[i + 1] != '"')
				break;
			i++;
		}
		copy[n++] = in.ptr[i];
	}
	*rest = pw_bytes_sub(in, i + 1, in.len);
	return pw_bytes(copy, n);
}

/*
 * Password and quota behind the first comma.  Hashes hold commas: without
 * quotes only a last field that reads as a size, or is empty, is the quota.
 * COPY has room for the line.  -1: bad quota.
 */
static int
split(struct pw_bytes in, char *copy, struct pw_bytes *password,
    uint64_t *quota)
{
	in = pw_bytes_trim(in);
	if (in.len > 0 && in.ptr[0] == '"') {
		struct pw_bytes rest;
		*password = quoted(in, copy, &rest);
		rest = pw_bytes_trim(rest);
		if (rest.len > 0 && rest.ptr[0] != ',')
			return -1;
		return parse_quota(
		    pw_bytes_trim(pw_bytes_sub(rest, 1, rest.len)), quota);
	}
	ptrdiff_t comma = pw_bytes_rchr(in, ',');
	*quota = 0;
	if (comma >= 0 &&
	    parse_quota(pw_bytes_trim(
			    pw_bytes_sub(in, (size_t)comma + 1, in.len)),
		quota) == 0)
		in = pw_bytes_trim(pw_bytes_sub(in, 0, (size_t)comma));
	*password = in;
	return 0;
}

static void
add_row(struct import *im, size_t line, const char *address,
    struct pw_bytes password, uint64_t quota)
{
	if (im->n == im->cap) {
		im->cap = im->cap > 0 ? im->cap * 2 : 256;
		im->rows = pw_xrealloc(im->rows, im->cap, sizeof(*im->rows));
	}
	struct row *r = &im->rows[im->n++];
	*r = (struct row){ .line = line,
		.address = pw_xstrdup(address),
		.quota = quota };
	if (password.len > 0) {
		r->hash = pw_xbytesdup(password);
		if (!pw_password_is_hash(password))
			r->password = pw_bytes_of(r->hash);
	}
}

static void
read_line(struct import *im, size_t line, struct pw_bytes text)
{
	char address[PW_ADDR_SIZE], given[PW_ADDR_SIZE], copy[2048];
	struct pw_bytes password = PW_BYTES_NONE;
	struct pw_err err;
	uint64_t quota = 0;

	text = pw_bytes_trim(text);
	if (text.len == 0 || text.ptr[0] == '#')
		return;
	if (text.len >= sizeof(copy) || pw_bytes_chr(text, '\0') >= 0) {
		complain(im, line, "longer than 2,047 bytes, or holds a NUL");
		return;
	}
	ptrdiff_t comma = pw_bytes_chr(text, ',');
	struct pw_bytes first = comma >= 0 ?
	    pw_bytes_trim(pw_bytes_sub(text, 0, (size_t)comma)) :
	    text;
	if (first.len >= sizeof(given)) {
		complain(im, line, "the address is too long");
		return;
	}
	memcpy(given, first.ptr, first.len);
	given[first.len] = '\0';
	if (pw_accounts_canon_own(given, address, &err) != 0)
		complain(im, line, err.text);
	else if (comma >= 0 &&
	    split(pw_bytes_sub(text, (size_t)comma + 1, text.len), copy,
		&password, &quota) != 0)
		complain(im, line, "write address,password,quota with a quota "
				   "like 500M");
	else if (im->n >= ROWS_MAX)
		complain(im, line, "more than 1,000,000 mailboxes at once");
	else
		add_row(im, line, address, password, quota);
}

static void
read_all(struct import *im, struct pw_bytes text)
{
	size_t line = 0;

	if (text.len >= 3 && memcmp(text.ptr, "\xef\xbb\xbf", 3) == 0)
		text = pw_bytes_sub(text, 3, text.len);
	while (text.len > 0) {
		ptrdiff_t nl = pw_bytes_chr(text, '\n');
		size_t n = nl >= 0 ? (size_t)nl : text.len;
		read_line(im, ++line, pw_bytes_sub(text, 0, n));
		text = pw_bytes_sub(text, n + 1, text.len);
	}
}

/* ---- hashing ------------------------------------------------------------- */

static void *
hasher(void *arg)
{
	struct import *im = arg;

	for (;;) {
		size_t i = __atomic_fetch_add(&im->next, 1, __ATOMIC_RELAXED);
		if (i >= im->n)
			return NULL;
		struct row *r = &im->rows[i];
		char hash[PW_PASSWORD_HASH_SIZE];
		struct pw_err err;
		if (r->password.len == 0)
			continue;
		int rc = pw_password_hash(r->password, hash, &err);
		explicit_bzero(r->hash, r->password.len);
		free(r->hash);
		r->hash = rc == 0 ? pw_xstrdup(hash) : NULL;
		if (rc != 0)
			memcpy(r->error, err.text, sizeof(r->error) - 1);
	}
}

static void
hash_all(struct import *im)
{
	pthread_t t[HASHERS_MAX];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int n = 0;

	/* This thread is one of them: no thread to be had is no failure. */
	while (n + 1 < cpus && n + 1 < HASHERS_MAX && im->n > 1 &&
	    pthread_create(&t[n], NULL, hasher, im) == 0)
		n++;
	(void)hasher(im);
	while (n > 0)
		(void)pthread_join(t[--n], NULL);
	for (size_t i = 0; i < im->n; i++)
		if (im->rows[i].error[0] != '\0')
			complain(im, im->rows[i].line, im->rows[i].error);
}

static int
insert_all(struct pw_accounts *a, struct import *im, struct pw_err *err)
{
	for (size_t i = 0; i < im->n; i++) {
		const struct row *r = &im->rows[i];
		if (pw_accounts_insert(a, r->address, r->hash, r->quota, err) ==
		    0)
			continue;
		complain(im, r->line, err->text);
		if (err->code != EEXIST && err->code != ENOENT &&
		    err->code != EINVAL)
			return -1; /* the database, not the line */
	}
	return im->errors > 0 ? -1 : 0;
}

int
pw_accounts_import(struct pw_accounts *a, struct pw_bytes text, size_t *count,
    struct pw_strbuf *report)
{
	struct import im = { .report = report };
	struct pw_err err = { 0 };
	int r = -1;

	*count = 0;
	read_all(&im, text);
	if (im.errors == 0)
		hash_all(&im);
	if (im.errors == 0 && pw_accounts_begin(a, &err) != 0)
		complain(&im, 0, err.text);
	else if (im.errors == 0) {
		r = pw_accounts_end(a, insert_all(a, &im, &err), &err);
		if (r == 0)
			*count = im.n;
		else if (im.errors == 0)
			complain(&im, 0, err.text);
	}
	if (im.errors > REPORT_MAX)
		pw_strbuf_addf(report, "and %zu more\n",
		    im.errors - REPORT_MAX);
	for (size_t i = 0; i < im.n; i++) {
		free(im.rows[i].address);
		free(im.rows[i].hash);
	}
	free(im.rows);
	return r;
}
