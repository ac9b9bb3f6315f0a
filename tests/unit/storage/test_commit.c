/* SPDX-License-Identifier: ISC */
/* Deliveries through all threads: files, fates, bounds, failures, spool. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filer_rig.h"
#include "storage/sysio.h"

#define MAIL PW_LIT("Subject: hi\r\n\r\nbody\r\n")
#define FILED "Delivered-To: x\nSubject: hi\n\nbody\n"

static struct rig rig;

static void
setup(void)
{
	filer_rig_init(&rig);
	filer_rig_open(&rig, "boot");
}

static void
teardown(void)
{
	filer_rig_fini(&rig);
}

static const struct filer_rig_target alice = { .path = "test/alice" };

START_TEST(one)
{
	struct filer_rig_result r = filer_rig_send(&rig, MAIL, &alice, 1);
	char name[4][256], want[64];

	ck_assert_msg(r.code == PW_STORE_OK, "%s", r.reason);
	ck_assert_str_eq(r.fate[0], "stored");
	filer_rig_check_only(&rig, "test/alice/new", FILED);
	ck_assert_uint_eq(filer_rig_list(&rig, "test/alice/tmp", name, 4), 0);
	ck_assert_uint_eq(filer_rig_list(&rig, "test/alice/new", name, 4), 1);
	(void)snprintf(want, sizeof(want), ".mx.test,S=%zu,W=%zu",
	    strlen(FILED), strlen(FILED) + 4);
	ck_assert_ptr_nonnull(strstr(name[0], want));
	filer_rig_idle(&rig);
	ck_assert_uint_eq(pw_writer_usage(rig.writer,
			      PW_LIT("test/alice@test")), strlen(FILED));
}
END_TEST

START_TEST(several)
{
	const struct filer_rig_target t[4] = {
		{ .path = "test/alice" },
		{ .path = "test/bob", .folder = "Junk",
		    .action = PW_ACT_JUNK },
		{ .path = "test/carol", .action = PW_ACT_HOLD },
		{ .path = NULL, .action = PW_ACT_REFUSE_KEEP },
	};
	struct filer_rig_result r = filer_rig_send(&rig, PW_LIT("a\nb\r\n"), t, 4);

	ck_assert_msg(r.code == PW_STORE_OK, "%s", r.reason);
	ck_assert_str_eq(r.fate[1], "junk");
	ck_assert_str_eq(r.fate[2], "held");
	ck_assert_str_eq(r.fate[3], "refused, copy kept");
	filer_rig_check_only(&rig, "test/alice/new", RIG_PREFIX "a\nb\r\n");
	filer_rig_check_only(&rig, "test/bob/.Junk/new", RIG_PREFIX "a\nb\r\n");
	/* One copy for both. */
	filer_rig_check_only(&rig, "/quarantine/new", RIG_PREFIX "a\nb\r\n");
	char name[1][256];
	ck_assert_uint_eq(filer_rig_list(&rig, "test/carol/new", name, 1), 0);
}
END_TEST

START_TEST(decision_only)
{
	struct filer_rig_result r = filer_rig_send(&rig, PW_BYTES_NONE, NULL, 0);

	ck_assert_msg(r.code == PW_STORE_OK, "%s", r.reason);
	filer_rig_idle(&rig);
	ck_assert_uint_ge(pw_writer_done(rig.writer), 1);
}
END_TEST

START_TEST(cuts)
{
	struct pw_cut cut = { 0, 6 };
	struct pw_meta meta = { .header_len = 12, .ncut = 1, .cut = &cut };
	struct filer_rig_result r;

	filer_rig_begin(&rig, PW_LIT("A: 1\r\nB: 2\r\n\r\nx"), &alice, 1, &meta, &r);
	filer_rig_wait(&rig, &r);
	ck_assert_msg(r.code == PW_STORE_OK, "%s", r.reason);
	filer_rig_check_only(&rig, "test/alice/new", "Delivered-To: x\nB: 2\n\nx");
}
END_TEST

/* Above the bound of the journal: the same files by another way. */
START_TEST(large)
{
	static char text[400000], want[400100];
	const struct filer_rig_target t[2] = { { .path = "test/alice" },
		{ .path = "test/bob" } };
	size_t n = 0, w = (size_t)snprintf(want, sizeof(want), "%s",
			  "Delivered-To: x\n");
	struct filer_rig_result r;

	while (n < sizeof(text) - 80) {
		int k = snprintf(text + n, 80, "line %zu of many\r\n", n);
		memcpy(want + w, text + n, (size_t)k - 2);
		w += (size_t)k - 2;
		want[w++] = '\n';
		n += (size_t)k;
	}
	want[w] = '\0';
	r = filer_rig_send(&rig, pw_bytes(text, n), t, 2);
	ck_assert_msg(r.code == PW_STORE_OK, "%s", r.reason);
	filer_rig_check_only(&rig, "test/alice/new", want);
	filer_rig_check_only(&rig, "test/bob/new", want);
	filer_rig_idle(&rig);
}
END_TEST

static void
spool_result(void *arg, const struct pw_store_result *r)
{
	ck_assert_msg(r->code == PW_STORE_OK, "%s", r->reason);
	(*(int *)arg)++;
}

static int
piece_of(const char *s, size_t n)
{
	int fd = memfd_create("piece", MFD_CLOEXEC);

	ck_assert_int_eq(write(fd, s, n), (ssize_t)n);
	return fd;
}

START_TEST(spooled)
{
	struct pw_id id = pw_id_new();
	int done = 0, fd;
	char text[64];

	/* Not waited for: still in order. */
	for (int i = 0; i < 10; i++) {
		(void)snprintf(text, sizeof(text), "piece %d\r\n", i);
		pw_filer_spool_piece(rig.filer, &id,
		    piece_of(text, strlen(text)), strlen(text), spool_result,
		    &done);
	}
	while (done < 10)
		pw_loop_step(rig.loop, 100);
	fd = pw_filer_spool_open(rig.filer, &id);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(read(fd, text, 18), 18);
	ck_assert_int_eq(memcmp(text, "piece 0\r\npiece 1\r\n", 18), 0);
	(void)close(fd);
	pw_filer_spool_drop(rig.filer, &id);
	while (rig.filer->waiting > 0)
		pw_loop_step(rig.loop, 100);
	ck_assert_int_eq(pw_filer_spool_open(rig.filer, &id), -1);
}
END_TEST

START_TEST(kept_aside)
{
	char text[6000], name[16][256];

	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 3; i++) {
		pw_filer_aside(rig.filer, piece_of(text, 4000),
		    PW_LIT("stage spf: signal 11"));
		while (rig.filer->waiting > 0)
			pw_loop_step(rig.loop, 100);
	}
	/* 10,000 bytes hold two of them. */
	ck_assert_uint_le(filer_rig_list(&rig, "/aside", name, 16), 5);
	ck_assert_uint_ge(filer_rig_list(&rig, "/aside", name, 16), 4);
}
END_TEST

START_TEST(quota)
{
	struct filer_rig_target t[2] = { { .path = "test/alice", .quota = 40 },
		{ .path = "test/bob" } };
	struct filer_rig_result r = filer_rig_send(&rig, MAIL, t, 1);

	/* 34 octets of 40; then 68 > 44. */
	ck_assert_msg(r.code == PW_STORE_OK, "%s", r.reason);
	r = filer_rig_send(&rig, MAIL, t, 1);
	ck_assert_int_eq(r.code, PW_STORE_OVERQUOTA);
	ck_assert_ptr_nonnull(strstr(r.reason, "quota"));
	r = filer_rig_send(&rig, MAIL, t, 2);
	ck_assert_int_eq(r.code, PW_STORE_OVERQUOTA);
	t[0].hold_over_quota = true;
	r = filer_rig_send(&rig, MAIL, t, 1);
	ck_assert_int_eq(r.code, PW_STORE_OVERQUOTA);
	r = filer_rig_send(&rig, MAIL, t, 2);
	ck_assert_msg(r.code == PW_STORE_OK, "%s", r.reason);
	ck_assert_str_eq(r.fate[0], "held: over quota");
	ck_assert_str_eq(r.fate[1], "stored");
	filer_rig_check_only(&rig, "/quarantine/new", FILED);
	filer_rig_check_only(&rig, "test/bob/new", FILED);
	filer_rig_check_only(&rig, "test/alice/new", FILED);
}
END_TEST

START_TEST(no_mailbox)
{
	const struct filer_rig_target t[2] = { { .path = "test/alice" },
		{ .path = NULL } };
	char name[4][256], path[200];
	struct filer_rig_result r = filer_rig_send(&rig, MAIL, t, 2);

	ck_assert_int_eq(r.code, PW_STORE_NOMAILBOX);
	ck_assert_uint_eq(filer_rig_list(&rig, "test/alice/new", name, 4), 0);
	(void)snprintf(path, sizeof(path), "%s/bad", rig.mail);
	ck_assert_int_eq(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
	const struct filer_rig_target bad[2] = { { .path = "test/alice" },
		{ .path = "bad" } };
	r = filer_rig_send(&rig, MAIL, bad, 2);
	ck_assert_int_eq(r.code, PW_STORE_NOMAILBOX);
	ck_assert_uint_eq(filer_rig_list(&rig, "test/alice/new", name, 4), 0);
	ck_assert_uint_eq(filer_rig_list(&rig, "test/alice/tmp", name, 4), 0);
	/* One that was deleted while it was kept open is made anew. */
	r = filer_rig_send(&rig, MAIL, &alice, 1);
	ck_assert_int_eq(r.code, PW_STORE_OK);
	(void)snprintf(path, sizeof(path), "rm -rf %s/test/alice", rig.mail);
	pid_t pid = fork();
	if (pid == 0) {
		(void)execlp("sh", "sh", "-c", path, (char *)NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	r = filer_rig_send(&rig, MAIL, &alice, 1);
	ck_assert_msg(r.code == PW_STORE_OK, "%s", r.reason);
	filer_rig_check_only(&rig, "test/alice/new", FILED);
}
END_TEST

/* ---- a disk that refuses -------------------------------------------------- */

static struct pw_sysio faulty;
static _Atomic int fail_left;
static _Atomic int fail_errno;

static bool
fails(void)
{
	if (atomic_load(&fail_left) <= 0)
		return false;
	atomic_fetch_sub(&fail_left, 1);
	errno = atomic_load(&fail_errno);
	return true;
}

static int
f_fdatasync(int fd)
{
	return fails() ? -1 : fdatasync(fd);
}

static int
f_renameat(int a, const char *b, int c, const char *d, unsigned e)
{
	/* The second of two files only. */
	if (strstr(d, ".mx.test") != NULL && atomic_load(&fail_left) > 0 &&
	    atomic_fetch_sub(&fail_left, 1) == 1) {
		errno = atomic_load(&fail_errno);
		return -1;
	}
	return pw_sysio_real.renameat(a, b, c, d, e);
}

static ssize_t
f_writev(int fd, const struct iovec *iov, int n)
{
	return fails() ? -1 : writev(fd, iov, n);
}

static int
f_syncfs(int fd)
{
	return fails() ? -1 : syncfs(fd);
}

static void
inject(int times, int error)
{
	faulty = pw_sysio_real;
	atomic_store(&fail_left, times);
	atomic_store(&fail_errno, error);
}

START_TEST(sync_fails)
{
	char name[4][256];
	struct filer_rig_result r;

	/* Threads look at the table all the time: a new one is set whole. */
	filer_rig_close(&rig);
	inject(0, EIO);
	faulty.fdatasync = f_fdatasync;
	pw_sys = &faulty;
	filer_rig_open(&rig, "boot");
	r = filer_rig_send(&rig, MAIL, &alice, 1);
	ck_assert_int_eq(r.code, PW_STORE_OK);
	atomic_store(&fail_left, 1);
	r = filer_rig_send(&rig, MAIL, &alice, 1);
	ck_assert_int_eq(r.code, PW_STORE_TEMPFAIL);
	ck_assert_uint_eq(filer_rig_list(&rig, "test/alice/new", name, 4), 1);
	ck_assert_uint_eq(filer_rig_list(&rig, "test/alice/tmp", name, 4), 0);
	r = filer_rig_send(&rig, MAIL, &alice, 1);
	ck_assert_msg(r.code == PW_STORE_OK, "%s", r.reason);
	filer_rig_idle(&rig);
	ck_assert_uint_eq(filer_rig_list(&rig, "test/alice/new", name, 4), 2);
	ck_assert_uint_eq(filer_rig_list(&rig, "/journal", name, 0), 0);
}
END_TEST

START_TEST(rename_fails)
{
	const struct filer_rig_target t[2] = { { .path = "test/alice" },
		{ .path = "test/bob" } };
	char name[4][256];
	struct filer_rig_result r;

	filer_rig_close(&rig);
	inject(0, EIO);
	faulty.renameat = f_renameat;
	pw_sys = &faulty;
	filer_rig_open(&rig, "boot");
	r = filer_rig_send(&rig, MAIL, t, 2);
	ck_assert_int_eq(r.code, PW_STORE_OK);
	atomic_store(&fail_left, 2);
	r = filer_rig_send(&rig, MAIL, t, 2);
	ck_assert_int_eq(r.code, PW_STORE_TEMPFAIL);
	/* All or none. */
	ck_assert_uint_eq(filer_rig_list(&rig, "test/alice/new", name, 4), 1);
	ck_assert_uint_eq(filer_rig_list(&rig, "test/bob/new", name, 4), 1);
	ck_assert_uint_eq(filer_rig_list(&rig, "test/alice/tmp", name, 4), 0);
	ck_assert_uint_eq(filer_rig_list(&rig, "test/bob/tmp", name, 4), 0);
	/* And it stays so. */
	filer_rig_close(&rig);
	filer_rig_open(&rig, "another");
	ck_assert_uint_eq(filer_rig_list(&rig, "test/bob/new", name, 4), 1);
}
END_TEST

START_TEST(no_space)
{
	char name[4][256];
	struct filer_rig_result r;

	filer_rig_close(&rig);
	inject(0, ENOSPC);
	faulty.writev = f_writev;
	pw_sys = &faulty;
	filer_rig_open(&rig, "boot");
	atomic_store(&fail_left, 1);
	r = filer_rig_send(&rig, MAIL, &alice, 1);
	ck_assert_int_eq(r.code, PW_STORE_NOSPACE);
	ck_assert_uint_eq(filer_rig_list(&rig, "test/alice/tmp", name, 4), 0);
	r = filer_rig_send(&rig, MAIL, &alice, 1);
	ck_assert_int_eq(r.code, PW_STORE_OK);
}
END_TEST

/* After a failed sync of the file system each file is written anew, wherever
 * a reader has moved it, and never comes back after it was deleted. */
START_TEST(checkpoint_fails)
{
	char name[4][256], from[1400], to[1400];
	struct filer_rig_result r;
	struct stat before, after;

	filer_rig_close(&rig);
	inject(0, EIO);
	faulty.syncfs = f_syncfs;
	pw_sys = &faulty;
	filer_rig_open(&rig, "boot");
	for (int i = 0; i < 3; i++) {
		r = filer_rig_send(&rig, MAIL, &alice, 1);
		ck_assert_int_eq(r.code, PW_STORE_OK);
	}
	ck_assert_uint_eq(filer_rig_list(&rig, "test/alice/new", name, 4), 3);
	(void)snprintf(from, sizeof(from), "%s/test/alice/new/%s", rig.mail,
	    name[0]);
	ck_assert_int_eq(unlink(from), 0);
	(void)snprintf(from, sizeof(from), "%s/test/alice/new/%s", rig.mail,
	    name[1]);
	(void)snprintf(to, sizeof(to), "%s/test/alice/cur/%s:2,S", rig.mail,
	    name[1]);
	ck_assert_int_eq(rename(from, to), 0);
	ck_assert_int_eq(stat(to, &before), 0);
	atomic_store(&fail_left, 1);
	filer_rig_idle(&rig);
	ck_assert_int_eq(stat(to, &after), 0);
	ck_assert_uint_ne(before.st_ino, after.st_ino);
	filer_rig_check_only(&rig, "test/alice/cur", FILED);
	filer_rig_check_only(&rig, "test/alice/new", FILED);
	ck_assert_uint_eq(filer_rig_list(&rig, "test/alice/tmp", name, 4), 0);
	ck_assert_uint_eq(atomic_load(&rig.filer->rewritten), 2);
}
END_TEST

/* While nothing can be made durable the journal fills, then 4xx; afterwards
 * all goes on and nothing is missing. */
START_TEST(journal_fills)
{
	static char text[15000], name[100][256];
	unsigned ok = 0;
	struct filer_rig_result r;

	memset(text, 'x', sizeof(text));
	filer_rig_close(&rig);
	inject(0, EIO);
	faulty.syncfs = f_syncfs;
	pw_sys = &faulty;
	filer_rig_open(&rig, "boot");
	atomic_store(&fail_left, 1 << 30);
	do {
		r = filer_rig_send(&rig, pw_bytes(text, sizeof(text)), &alice,
		    1);
		ok += r.code == PW_STORE_OK;
	} while (r.code == PW_STORE_OK && ok < 100);
	ck_assert_int_eq(r.code, PW_STORE_TEMPFAIL);
	ck_assert_uint_gt(ok, 20);
	ck_assert_uint_eq(filer_rig_list(&rig, "test/alice/tmp", name, 4), 0);
	atomic_store(&fail_left, 0);
	filer_rig_idle(&rig);
	r = filer_rig_send(&rig, MAIL, &alice, 1);
	ck_assert_msg(r.code == PW_STORE_OK, "%s", r.reason);
	ck_assert_uint_eq(filer_rig_list(&rig, "test/alice/new", name, 100),
	    ok + 1);
}
END_TEST

START_TEST(many_at_once)
{
	static struct filer_rig_result res[3000];
	static char name[3000][256];
	unsigned ok = 0;

	for (size_t i = 0; i < PW_COUNT(res); i++)
		filer_rig_begin(&rig, MAIL, &alice, 1, NULL, &res[i]);
	for (size_t i = 0; i < PW_COUNT(res); i++)
		filer_rig_wait(&rig, &res[i]);
	for (size_t i = 0; i < PW_COUNT(res); i++)
		ok += res[i].code == PW_STORE_OK;
	ck_assert_uint_eq(ok, PW_COUNT(res));
	ck_assert_uint_eq(filer_rig_list(&rig, "test/alice/new", name, 3000), 3000);
	filer_rig_idle(&rig);
}
END_TEST

START_TEST(bounded)
{
	const unsigned n = PW_FILER_WAITING_MAX + 50;
	struct filer_rig_result *res = calloc(n, sizeof(*res));
	unsigned refused = 0;

	for (unsigned i = 0; i < n; i++)
		filer_rig_begin(&rig, PW_BYTES_NONE, NULL, 0, NULL, &res[i]);
	for (unsigned i = 0; i < n; i++) {
		filer_rig_wait(&rig, &res[i]);
		refused += res[i].code == PW_STORE_TEMPFAIL;
	}
	ck_assert_uint_eq(refused, 50);
	free(res);
}
END_TEST

/* Closing answers all that was taken. */
START_TEST(close_answers)
{
	struct filer_rig_result res[100];

	for (int i = 0; i < 100; i++)
		filer_rig_begin(&rig, MAIL, &alice, 1, NULL, &res[i]);
	filer_rig_close(&rig);
	for (int i = 0; i < 100; i++)
		ck_assert_uint_eq(res[i].calls, 1);
}
END_TEST

START_TEST(readiness)
{
	const char *reason;
	enum pw_store_code code;
	struct pw_strbuf out;

	ck_assert(pw_filer_ready(rig.filer, &reason, &code));
	rig.opts.min_free = UINT64_MAX;
	pw_filer_set(rig.filer, &rig.opts);
	/* Looked at once a second. */
	for (int i = 0; i < 50 && pw_filer_ready(rig.filer, &reason, &code);
	     i++) {
		pw_checkpoint_now(rig.filer);
		pw_loop_step(rig.loop, 100);
	}
	ck_assert(!pw_filer_ready(rig.filer, &reason, &code));
	ck_assert_int_eq(code, PW_STORE_NOSPACE);
	pw_strbuf_init(&out, 4096);
	pw_filer_status(rig.filer, &out);
	ck_assert_ptr_nonnull(strstr(pw_strbuf_cstr(&out), "store.no_space 1"));
	pw_strbuf_free(&out);
}
END_TEST

Suite *pw_suite_storage_commit(void);
Suite *
pw_suite_storage_commit(void)
{
	Suite *s = suite_create("storage/commit");
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, one);
	tcase_add_test(t, several);
	tcase_add_test(t, decision_only);
	tcase_add_test(t, cuts);
	tcase_add_test(t, large);
	tcase_add_test(t, spooled);
	tcase_add_test(t, kept_aside);
	tcase_add_test(t, quota);
	tcase_add_test(t, no_mailbox);
	tcase_add_test(t, sync_fails);
	tcase_add_test(t, rename_fails);
	tcase_add_test(t, no_space);
	tcase_add_test(t, checkpoint_fails);
	tcase_add_test(t, journal_fills);
	tcase_add_test(t, many_at_once);
	tcase_add_test(t, bounded);
	tcase_add_test(t, close_answers);
	tcase_add_test(t, readiness);
	suite_add_tcase(s, t);
	return s;
}
