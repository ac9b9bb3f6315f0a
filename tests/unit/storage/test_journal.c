/* SPDX-License-Identifier: ISC */
/*
 * The journal by itself: batches, laps, states across starts, damage, a disk
 * that refuses, sizes that change.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"
#include "storage/journal.h"
#include "storage/sysio.h"

#define SIZE (4u * 64 * 1024) /* four segments of 64 KB */

static char dir[64];
static int state = -1;
static struct pw_journal *j;
static struct pw_err err;

static void
setup(void)
{
	scratch_folder(dir, sizeof(dir), "pw-journal");
	state = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void
teardown(void)
{
	int st;

	pw_sys = &pw_sysio_real;
	pw_journal_close(&j);
	(void)close(state);
	pid_t pid = fork();
	if (pid == 0) {
		(void)execlp("rm", "rm", "-rf", dir, (char *)NULL);
		_exit(127);
	}
	(void)waitpid(pid, &st, 0);
}

static void
start(const char *boot)
{
	ck_assert_msg(pw_journal_open(state, SIZE, boot, &j, &err) == 0, "%s",
	    err.text);
}

/* ---- writing -------------------------------------------------------------- */

struct text {
	char buf[PW_JOURNAL_HEAD + 40000];
	struct pw_jrec rec;
};

static void
set_text(struct text *t, const char *s, size_t len)
{
	memset(t, 0, sizeof(*t));
	(void)snprintf(t->buf + PW_JOURNAL_HEAD, 64, "%s", s);
	t->rec.buf = t->buf;
	t->rec.len = (uint32_t)len;
	t->rec.crc = pw_journal_crc(t->buf + PW_JOURNAL_HEAD, len);
}

static enum pw_jresult
add(struct text *t, const char *s, size_t len)
{
	struct pw_jrec *rec = &t->rec;
	size_t n = 1;

	set_text(t, s, len);
	return pw_journal_append(j, &rec, &n, &err);
}

/* One record of 64 bytes, marked STATE unless that is NONE, and settled. */
static void
add_one(const char *s, enum pw_jstate st)
{
	static struct text t;
	struct pw_jrec *rec = &t.rec;

	ck_assert_int_eq(add(&t, s, 64), PW_J_OK);
	if (st != PW_JS_NONE)
		ck_assert_int_eq(pw_journal_mark(&rec, 1, st), 0);
	pw_journal_settle(j, t.rec.seg, 0, false);
}

/* ---- reading -------------------------------------------------------------- */

struct seen {
	char text[4096];
	unsigned n, unknown, holes;
	bool quiet;
};

static int
on_record(void *arg, const struct pw_jread *r)
{
	struct seen *s = arg;
	size_t n = strlen(s->text);
	static const char mark[] = "-+x";

	s->n++;
	s->unknown += r->unknown;
	if (!s->quiet)
		(void)snprintf(s->text + n, sizeof(s->text) - n, "%s%c ",
		    r->payload.ptr, mark[r->state]);
	struct pw_bytes again = pw_journal_read(r->seg, r->at);
	ck_assert(pw_bytes_eq(again, r->payload));
	free((void *)(uintptr_t)again.ptr);
	return 0;
}

static void
scan(struct seen *s)
{
	size_t n;
	struct pw_segment *const *seg = pw_journal_live(j, &n);

	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(pw_journal_scan(j, seg[i], on_record, s,
				     &s->holes, &err), 0);
}

static void
check_text(const char *want, unsigned unknown)
{
	struct seen s = { .n = 0 };

	scan(&s);
	ck_assert_str_eq(s.text, want);
	ck_assert_uint_eq(s.unknown, unknown);
}

static size_t
free_all(void)
{
	struct pw_segment *seg[16];

	pw_journal_close_aged(j, 0);
	size_t n = pw_journal_ready(j, seg, 16);
	if (n > 0)
		ck_assert_int_eq(pw_journal_free(j, seg, n, &err), 0);
	return n;
}

/* ---- tests ---------------------------------------------------------------- */

START_TEST(empty)
{
	size_t n;

	start("a");
	(void)pw_journal_live(j, &n);
	ck_assert_uint_eq(n, 0);
	ck_assert(pw_journal_idle(j));
	ck_assert_ptr_null(pw_journal_trouble(j));
	ck_assert_uint_gt(pw_journal_max(j), 50000);
}
END_TEST

START_TEST(one_at_a_time)
{
	struct pw_journal *second;

	start("a");
	/* Only one store. */
	int fd = open(dir, O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(pw_journal_open(fd, SIZE, "a", &second, &err), -1);
	ck_assert_int_eq(err.code, EBUSY);
	ck_assert_ptr_null(second);
	(void)close(fd);
}
END_TEST

START_TEST(states_of_this_boot)
{
	start("a");
	add_one("1", PW_JS_STAGED);
	add_one("2", PW_JS_NONE);
	add_one("3", PW_JS_CANCELLED);
	ck_assert(!pw_journal_idle(j));
	pw_journal_close(&j);
	start("a");
	check_text("1+ 2- 3x ", 0);
	/* New records go elsewhere, the old ones stay until freed. */
	add_one("4", PW_JS_STAGED);
	pw_journal_close(&j);
	start("a");
	check_text("1+ 2- 3x 4+ ", 0);
	ck_assert_uint_eq(free_all(), 2);
	ck_assert(pw_journal_idle(j));
	pw_journal_close(&j);
	start("a");
	check_text("", 0);
}
END_TEST

START_TEST(another_boot)
{
	struct pw_segment *const *seg;
	size_t n;

	start("a");
	add_one("1", PW_JS_STAGED);
	add_one("2", PW_JS_NONE);
	pw_journal_close(&j);
	start("b");
	check_text("1- 2- ", 2);
	seg = pw_journal_live(j, &n);
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(pw_journal_adopt(j, seg[0]), 0);
	ck_assert_int_eq(pw_journal_mark_read(seg[0], 1, PW_JS_STAGED), 0);
	ck_assert_int_eq(pw_journal_mark_read(seg[0], 1000000, PW_JS_STAGED),
	    -1);
	pw_journal_close(&j);
	/* Marked under b: known; not marked: still unknown. */
	start("b");
	check_text("1+ 2- ", 2);
	pw_journal_close(&j);
	start("c");
	check_text("1- 2- ", 2);
}
END_TEST

START_TEST(batch_over_segments)
{
	static struct text t[40];
	struct pw_jrec *rec[40];
	struct seen s = { .quiet = true };
	size_t done = 0, calls = 0;

	start("a");
	for (size_t i = 0; i < 40; i++) {
		set_text(&t[i], "x", 4000);
		rec[i] = &t[i].rec;
	}
	while (done < 40) {
		size_t n = 40 - done;
		ck_assert_int_eq(pw_journal_append(j, rec + done, &n, &err),
		    PW_J_OK);
		ck_assert_uint_gt(n, 0);
		done += n;
		calls++;
	}
	ck_assert_uint_eq(calls, 3);
	for (size_t i = 1; i < 40; i++)
		ck_assert_uint_eq(t[i].rec.seq, t[0].rec.seq + i);
	/* Unsettled: nothing may be freed. */
	ck_assert_uint_eq(free_all(), 0);
	for (size_t i = 0; i < 40; i++)
		pw_journal_settle(j, t[i].rec.seg, i, i == 3);
	pw_journal_close(&j);
	start("a");
	scan(&s);
	ck_assert_uint_eq(s.n, 40);
	ck_assert_uint_eq(s.holes, 0);
}
END_TEST

/* What a former lap left is never seen again. */
START_TEST(laps)
{
	static struct text t;

	start("a");
	for (int lap = 0; lap < 12; lap++) {
		struct seen s = { .quiet = true };
		int n = lap % 3 == 0 ? 7 : 2;
		for (int i = 0; i < n; i++) {
			ck_assert_int_eq(add(&t, "old", 5000), PW_J_OK);
			pw_journal_settle(j, t.rec.seg, 0, false);
		}
		pw_journal_close(&j);
		start("a");
		scan(&s);
		ck_assert_uint_eq(s.n, (unsigned)n);
		ck_assert_uint_eq(free_all(), 1);
	}
}
END_TEST

START_TEST(full)
{
	static struct text t;
	struct pw_segment *seg[8];
	unsigned n = 0;

	start("a");
	while (add(&t, "x", 28000) == PW_J_OK) {
		pw_journal_settle(j, t.rec.seg, ++n, false);
		ck_assert_uint_lt(n, 100);
	}
	ck_assert_uint_eq(n, 8);
	ck_assert_int_eq(add(&t, "x", 28000), PW_J_FULL);
	ck_assert_uint_eq(pw_journal_ready(j, seg, 1), 1);
	ck_assert_uint_eq(pw_segment_info(j, seg[0]).ticket, 2);
	ck_assert_int_eq(pw_journal_free(j, seg, 1, &err), 0);
	pw_journal_wait_free(j, 0);
	ck_assert_int_eq(add(&t, "y", 28000), PW_J_OK);
	pw_journal_settle(j, t.rec.seg, 9, false);
	ck_assert_uint_eq(pw_journal_ready(j, seg, 8), 3);
}
END_TEST

/* ---- damage --------------------------------------------------------------- */

static void
scribble(const char *name, off_t at, const char *what)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/journal/%s", dir, name);
	fd = open(path, O_WRONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, what, strlen(what), at),
	    (ssize_t)strlen(what));
	(void)close(fd);
}

START_TEST(damaged_record)
{
	struct seen s = { .n = 0 };

	start("a");
	add_one("1", PW_JS_STAGED);
	add_one("2", PW_JS_STAGED);
	add_one("3", PW_JS_STAGED);
	pw_journal_close(&j);
	/* Each stands alone on its page: 2's payload, then 1's head. */
	scribble("seg.0001", 2 * PW_JOURNAL_PAGE + PW_JOURNAL_HEAD + 9, "!");
	start("a");
	scan(&s);
	ck_assert_str_eq(s.text, "1+ 3+ ");
	ck_assert_uint_eq(s.holes, 1);
	pw_journal_close(&j);
	scribble("seg.0001", PW_JOURNAL_PAGE + 9, "!");
	start("a");
	check_text("3+ ", 0);
}
END_TEST

START_TEST(damaged_files)
{
	char path[128];

	start("a");
	add_one("1", PW_JS_STAGED);
	pw_journal_close(&j);
	/* A state file that is lost, or not of this life: nothing is known. */
	(void)snprintf(path, sizeof(path), "%s/journal/state.0001", dir);
	ck_assert_int_eq(unlink(path), 0);
	start("a");
	check_text("1- ", 1);
	pw_journal_close(&j);
	scribble("super", 0, "garbage");
	scribble("super", PW_JOURNAL_PAGE, "garbage");
	start("a");
	check_text("1- ", 1);
	pw_journal_close(&j);
	/* A segment without its header holds nothing. */
	scribble("seg.0001", 3, "garbage");
	start("a");
	check_text("", 0);
	add_one("2", PW_JS_STAGED);
}
END_TEST

/* A record's image inside another record is not a record. */
START_TEST(forged)
{
	static struct text a, b;
	struct seen s = { .quiet = true };

	start("a");
	ck_assert_int_eq(add(&a, "inner", 64), PW_J_OK);
	pw_journal_settle(j, a.rec.seg, 0, false);
	pw_journal_close(&j);
	start("a");
	(void)free_all();
	set_text(&b, "outer", 3 * PW_JOURNAL_PAGE);
	memcpy(b.buf + PW_JOURNAL_PAGE, a.buf, PW_JOURNAL_HEAD + 64);
	b.rec.crc = pw_journal_crc(b.buf + PW_JOURNAL_HEAD, b.rec.len);
	struct pw_jrec *rec = &b.rec;
	size_t n = 1;
	ck_assert_int_eq(pw_journal_append(j, &rec, &n, &err), PW_J_OK);
	pw_journal_settle(j, b.rec.seg, 0, false);
	pw_journal_close(&j);
	/* The outer one is lost, so pages are searched for the next batch. */
	scribble("seg.0002", PW_JOURNAL_PAGE + 9, "!");
	start("a");
	scan(&s);
	ck_assert_uint_eq(s.n, 0);
	ck_assert_uint_eq(s.holes, 0);
}
END_TEST

static struct pw_sysio faulty;
static int sync_fails;

static int
failing_fdatasync(int fd)
{
	if (sync_fails > 0) {
		sync_fails--;
		errno = EIO;
		return -1;
	}
	return fdatasync(fd);
}

START_TEST(failed_sync)
{
	static struct text t;
	struct pw_segment *seg[8];
	struct pw_journal_stats st;
	char path[128];
	struct pw_jrec *rec = &t.rec;

	faulty = pw_sysio_real;
	faulty.fdatasync = failing_fdatasync;
	start("a");
	add_one("1", PW_JS_STAGED);
	pw_sys = &faulty;
	sync_fails = 1;
	ck_assert_int_eq(add(&t, "2", 64), PW_J_FAILED);
	ck_assert_ptr_nonnull(pw_journal_trouble(j));
	ck_assert_int_eq(pw_journal_mark(&rec, 1, PW_JS_CANCELLED), 0);
	/* The next goes to a new file, never to the one that failed. */
	add_one("3", PW_JS_STAGED);
	ck_assert_ptr_null(pw_journal_trouble(j));
	pw_journal_stats(j, &st);
	ck_assert_uint_eq(st.dead, 1);
	ck_assert_uint_eq(st.free, 3);
	ck_assert_uint_eq(st.active, 1);
	pw_journal_close(&j);
	start("a");
	check_text("1+ 2x 3+ ", 0);
	ck_assert_uint_eq(pw_journal_ready(j, seg, 8), 2);
	ck_assert_int_eq(pw_journal_free(j, seg, 2, &err), 0);
	sync_fails = 1;
	ck_assert_int_eq(add(&t, "4", 64), PW_J_FAILED);
	pw_journal_heal(j);
	ck_assert_ptr_null(pw_journal_trouble(j));
	pw_journal_close_aged(j, 0);
	ck_assert_uint_eq(pw_journal_ready(j, seg, 8), 1);
	ck_assert(pw_segment_info(j, seg[0]).dead);
	ck_assert_int_eq(pw_journal_free(j, seg, 1, &err), 0);
	pw_journal_stats(j, &st);
	ck_assert_uint_eq(st.dead, 0);
	(void)snprintf(path, sizeof(path), "%s/journal/seg.0002.dead", dir);
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(failed_super)
{
	struct pw_segment *seg[8];

	faulty = pw_sysio_real;
	faulty.fdatasync = failing_fdatasync;
	start("a");
	add_one("1", PW_JS_STAGED);
	pw_journal_close_aged(j, 0);
	ck_assert_uint_eq(pw_journal_ready(j, seg, 8), 1);
	pw_sys = &faulty;
	sync_fails = 1;
	ck_assert_int_eq(pw_journal_free(j, seg, 1, &err), -1);
	ck_assert_uint_eq(pw_journal_ready(j, seg, 8), 1);
	ck_assert_int_eq(pw_journal_free(j, seg, 1, &err), 0);
	ck_assert(pw_journal_idle(j));
}
END_TEST

START_TEST(other_size)
{
	struct pw_journal_stats st;

	start("a");
	add_one("1", PW_JS_STAGED);
	pw_journal_close(&j);
	ck_assert_int_eq(pw_journal_open(state, 2 * SIZE, "a", &j, &err), 0);
	check_text("1+ ", 0);
	add_one("2", PW_JS_STAGED);
	ck_assert_uint_eq(free_all(), 2);
	pw_journal_stats(j, &st);
	ck_assert_uint_eq(st.free, 4);
	ck_assert_uint_gt(pw_journal_max(j), 100000);
}
END_TEST

START_TEST(suspicion)
{
	struct pw_segment *seg[8];

	start("a");
	add_one("1", PW_JS_STAGED);
	ck_assert_uint_eq(pw_journal_suspect(j), 1);
	pw_journal_close_aged(j, 0);
	add_one("2", PW_JS_STAGED);
	pw_journal_close_aged(j, 0);
	ck_assert_uint_eq(pw_journal_ready(j, seg, 8), 2);
	/* Begun soon after: its files may have been there already. */
	ck_assert(pw_segment_is_suspect(j, seg[0]));
	ck_assert(pw_segment_is_suspect(j, seg[1]));
	pw_segment_trust(j, seg[0]);
	ck_assert(!pw_segment_is_suspect(j, seg[0]));
}
END_TEST

Suite *pw_suite_storage_journal(void);
Suite *
pw_suite_storage_journal(void)
{
	Suite *s = suite_create("storage/journal");
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, empty);
	tcase_add_test(t, one_at_a_time);
	tcase_add_test(t, states_of_this_boot);
	tcase_add_test(t, another_boot);
	tcase_add_test(t, batch_over_segments);
	tcase_add_test(t, laps);
	tcase_add_test(t, full);
	tcase_add_test(t, damaged_record);
	tcase_add_test(t, damaged_files);
	tcase_add_test(t, forged);
	tcase_add_test(t, failed_sync);
	tcase_add_test(t, failed_super);
	tcase_add_test(t, other_size);
	tcase_add_test(t, suspicion);
	suite_add_tcase(s, t);
	return s;
}
