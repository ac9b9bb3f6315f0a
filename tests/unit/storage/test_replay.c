/* SPDX-License-Identifier: ISC */
/*
 * What a start does with what a kill or a power cut left.  A child process
 * files mail and ends at a chosen system call; the parent then starts on the
 * same folder.  (tests/storage/fault.c does this at every call.)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filer_rig.h"
#include "storage/sysio.h"

#define MAIL PW_LIT("Subject: hi\r\n\r\nbody\r\n")
#define FILED "Delivered-To: x\nSubject: hi\n\nbody\n"

static struct rig rig;
static const struct filer_rig_target alice = { .path = "test/alice" };

static void
setup(void)
{
	filer_rig_init(&rig);
}

static void
teardown(void)
{
	filer_rig_fini(&rig);
}

/* ---- a process that ends at some call ------------------------------------- */

static struct pw_sysio deadly;
static _Atomic int until;

static bool
now_is_the_time(void)
{
	return atomic_fetch_sub(&until, 1) == 1;
}

/* After the journal's sync: durable, not staged. */
static int
d_fdatasync(int fd)
{
	int r = fdatasync(fd);

	if (now_is_the_time())
		_exit(7);
	return r;
}

/* Before the rename: staged. */
static int
d_renameat(int a, const char *b, int c, const char *d, unsigned e)
{
	if (strstr(d, ".mx.test") != NULL && now_is_the_time())
		_exit(7);
	return pw_sysio_real.renameat(a, b, c, d, e);
}

/* Sends N mails of TEXT to T; ends at the deadly call, or after the answer of
 * the last. */
static void
in_child(unsigned n, struct pw_bytes text, const struct filer_rig_target *t,
    size_t nt)
{
	int st;
	pid_t pid = fork();

	if (pid == 0) {
		filer_rig_open(&rig, "boot");
		for (unsigned i = 0; i < n; i++) {
			struct filer_rig_result r = filer_rig_send(&rig, text, t, nt);
			if (r.code != PW_STORE_OK)
				_exit(1);
		}
		_exit(7);
	}
	ck_assert_int_eq(waitpid(pid, &st, 0), pid);
	ck_assert(WIFEXITED(st));
	ck_assert_int_eq(WEXITSTATUS(st), 7);
	pw_sys = &pw_sysio_real;
}

static void
die_at(int (*sync)(int),
    int (*move)(int, const char *, int, const char *, unsigned), int n)
{
	deadly = pw_sysio_real;
	if (sync != NULL)
		deadly.fdatasync = sync;
	if (move != NULL)
		deadly.renameat = move;
	atomic_store(&until, n);
	pw_sys = &deadly;
}

/* What a reader does. */
static void
move(const char *from, const char *to, const char *suffix)
{
	char name[4][256], a[1400], b[1400];

	ck_assert_uint_eq(filer_rig_list(&rig, from, name, 4), 1);
	(void)snprintf(a, sizeof(a), "%s/%s/%s", rig.mail, from, name[0]);
	(void)snprintf(b, sizeof(b), "%s/%s/%s%s", rig.mail, to, name[0],
	    suffix);
	if (to[0] == '\0')
		ck_assert_int_eq(unlink(a), 0);
	else
		ck_assert_int_eq(rename(a, b), 0);
}

static void
check_none(const char *folder)
{
	char name[4][256];

	ck_assert_uint_eq(filer_rig_list(&rig, folder, name, 4), 0);
}

/* The file in FOLDER gets SIZE octets. */
static void
damage(const char *folder, off_t size)
{
	char name[4][256], a[1400];

	ck_assert_uint_eq(filer_rig_list(&rig, folder, name, 4), 1);
	(void)snprintf(a, sizeof(a), "%s/%s/%s", rig.mail, folder, name[0]);
	ck_assert_int_eq(truncate(a, size), 0);
}

/* ---- the same boot -------------------------------------------------------- */

START_TEST(answered_and_killed)
{
	in_child(1, MAIL, &alice, 1);
	filer_rig_open(&rig, "boot");
	filer_rig_check_only(&rig, "test/alice/new", FILED);
	check_none("test/alice/tmp");
	filer_rig_idle(&rig);
	filer_rig_close(&rig);
	filer_rig_open(&rig, "boot");
	filer_rig_check_only(&rig, "test/alice/new", FILED);
}
END_TEST

START_TEST(reader_was_there)
{
	in_child(1, MAIL, &alice, 1);
	move("test/alice/new", "test/alice/cur", ":2,S");
	filer_rig_open(&rig, "boot");
	check_none("test/alice/new");
	filer_rig_check_only(&rig, "test/alice/cur", FILED);
	filer_rig_close(&rig);
	move("test/alice/cur", "", "");
	filer_rig_open(&rig, "boot");
	check_none("test/alice/new");
	check_none("test/alice/cur");
}
END_TEST

START_TEST(durable_not_staged)
{
	const struct filer_rig_target t[2] = { { .path = "test/alice" },
		{ .path = "test/bob", .folder = "Junk" } };

	die_at(d_fdatasync, NULL, 1);
	in_child(1, MAIL, t, 2);
	check_none("test/alice/new");
	/* Whatever is in tmp/ is not believed. */
	damage("test/alice/tmp", 5);
	filer_rig_open(&rig, "boot");
	filer_rig_check_only(&rig, "test/alice/new", FILED);
	filer_rig_check_only(&rig, "test/bob/.Junk/new", FILED);
	check_none("test/alice/tmp");
}
END_TEST

START_TEST(staged_not_renamed)
{
	const struct filer_rig_target t[2] = { { .path = "test/alice" },
		{ .path = "test/bob" } };

	die_at(NULL, d_renameat, 2);
	in_child(1, MAIL, t, 2);
	check_none("test/bob/new");
	/* The first is renamed and read, the second is still in tmp/. */
	move("test/alice/new", "", "");
	filer_rig_open(&rig, "boot");
	check_none("test/alice/new");
	filer_rig_check_only(&rig, "test/bob/new", FILED);
}
END_TEST

START_TEST(not_in_the_journal)
{
	char name[4][256];

	/* The first mail is answered; of the second only tmp/ knows. */
	in_child(1, MAIL, &alice, 1);
	char from[1400], to[1400];
	ck_assert_uint_eq(filer_rig_list(&rig, "test/alice/new", name, 4), 1);
	(void)snprintf(from, sizeof(from), "%s/test/alice/new/%s", rig.mail,
	    name[0]);
	(void)snprintf(to, sizeof(to),
	    "%s/test/alice/tmp/1.M2P3_4_abc.mx.test,S=1,W=1", rig.mail);
	ck_assert_int_eq(link(from, to), 0);
	filer_rig_open(&rig, "boot");
	check_none("test/alice/tmp");
	filer_rig_check_only(&rig, "test/alice/new", FILED);
}
END_TEST

/* ---- another boot --------------------------------------------------------- */

START_TEST(whole_after_cut)
{
	char name[4][256], path[1400];
	struct stat before, after;

	in_child(1, MAIL, &alice, 1);
	move("test/alice/new", "test/alice/cur", ":2,FS");
	ck_assert_uint_eq(filer_rig_list(&rig, "test/alice/cur", name, 4), 1);
	(void)snprintf(path, sizeof(path), "%s/test/alice/cur/%s", rig.mail,
	    name[0]);
	ck_assert_int_eq(stat(path, &before), 0);
	filer_rig_open(&rig, "another");
	check_none("test/alice/new");
	ck_assert_int_eq(stat(path, &after), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
}
END_TEST

START_TEST(torn_after_cut)
{
	const off_t size[] = { 0, 5, (off_t)sizeof(FILED) - 2 };
	char name[4][256];

	in_child(1, MAIL, &alice, 1);
	move("test/alice/new", "test/alice/cur", ":2,FS");
	damage("test/alice/cur", size[_i]);
	filer_rig_open(&rig, "another");
	check_none("test/alice/new");
	check_none("test/alice/tmp");
	filer_rig_check_only(&rig, "test/alice/cur", FILED);
	ck_assert_uint_eq(filer_rig_list(&rig, "test/alice/cur", name, 4), 1);
	ck_assert_ptr_nonnull(strstr(name[0], ":2,FS"));
}
END_TEST

/* The right size, but zeros: what some file systems leave. */
START_TEST(zeros_after_cut)
{
	in_child(1, MAIL, &alice, 1);
	damage("test/alice/new", 0);
	damage("test/alice/new", (off_t)sizeof(FILED) - 1);
	filer_rig_open(&rig, "another");
	filer_rig_check_only(&rig, "test/alice/new", FILED);
}
END_TEST

START_TEST(lost_after_cut)
{
	in_child(1, MAIL, &alice, 1);
	move("test/alice/new", "", "");
	filer_rig_open(&rig, "another");
	filer_rig_check_only(&rig, "test/alice/new", FILED);
	/* Filed under this boot: now it is known what became of it. */
	move("test/alice/new", "", "");
	filer_rig_close(&rig);
	filer_rig_open(&rig, "another");
	check_none("test/alice/new");
}
END_TEST

/* Killed in the middle of that replay, and read before the next. */
START_TEST(killed_in_replay)
{
	int st;

	in_child(2, MAIL, &alice, 1);
	char name[4][256], path[1400];
	ck_assert_uint_eq(filer_rig_list(&rig, "test/alice/new", name, 4), 2);
	for (int i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof(path), "%s/test/alice/new/%s",
		    rig.mail, name[i]);
		ck_assert_int_eq(unlink(path), 0);
	}
	die_at(NULL, d_renameat, 2);
	pid_t pid = fork();
	if (pid == 0) {
		filer_rig_open(&rig, "another");
		_exit(1);
	}
	ck_assert_int_eq(waitpid(pid, &st, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(st), 7);
	pw_sys = &pw_sysio_real;
	move("test/alice/new", "", "");
	filer_rig_open(&rig, "another");
	filer_rig_check_only(&rig, "test/alice/new", FILED);
}
END_TEST

START_TEST(copies_after_cut)
{
	char name[4][256], a[1400], b[1400];

	const struct filer_rig_target t[2] = { { .path = "test/alice" },
		{ .path = "test/alice", .folder = "Copies" } };
	in_child(1, MAIL, t, 1);
	/* A reader's COPY: a hard link with the same base name. */
	filer_rig_open(&rig, "boot");
	ck_assert_int_eq(filer_rig_send(&rig, MAIL, &t[1], 1).code, PW_STORE_OK);
	filer_rig_idle(&rig);
	filer_rig_close(&rig);
	in_child(1, MAIL, &(struct filer_rig_target){ .path = "test/bob" }, 1);
	ck_assert_uint_eq(filer_rig_list(&rig, "test/bob/new", name, 4), 1);
	(void)snprintf(a, sizeof(a), "%s/test/bob/new/%s", rig.mail, name[0]);
	(void)snprintf(b, sizeof(b), "%s/test/bob/cur/%s:2,", rig.mail,
	    name[0]);
	ck_assert_int_eq(link(a, b), 0);
	ck_assert_int_eq(truncate(a, 3), 0);
	filer_rig_open(&rig, "another");
	filer_rig_check_only(&rig, "test/bob/new", FILED);
	filer_rig_check_only(&rig, "test/bob/cur", FILED);
}
END_TEST

/* A large message has no body in the journal; its file was synced before. */
START_TEST(large_after_cut)
{
	static char text[40000];
	char name[4][256], a[1400], b[1400];

	memset(text, 'x', sizeof(text));
	in_child(1, pw_bytes(text, sizeof(text)), &alice, 1);
	filer_rig_open(&rig, "another");
	ck_assert_uint_eq(filer_rig_list(&rig, "test/alice/new", name, 4), 1);
	filer_rig_close(&rig);
	/* The rename did not reach the disk: it is in tmp/. */
	in_child(1, pw_bytes(text, sizeof(text)),
	    &(struct filer_rig_target){ .path = "test/bob" }, 1);
	ck_assert_uint_eq(filer_rig_list(&rig, "test/bob/new", name, 4), 1);
	(void)snprintf(a, sizeof(a), "%s/test/bob/new/%s", rig.mail, name[0]);
	(void)snprintf(b, sizeof(b), "%s/test/bob/tmp/%s", rig.mail, name[0]);
	ck_assert_int_eq(rename(a, b), 0);
	filer_rig_open(&rig, "third");
	ck_assert_uint_eq(filer_rig_list(&rig, "test/bob/new", name, 4), 1);
	check_none("test/bob/tmp");
}
END_TEST

/* ---- a start that cannot -------------------------------------------------- */

static _Atomic int refuse;

static ssize_t
r_writev(int fd, const struct iovec *iov, int n)
{
	if (atomic_load(&refuse) > 0) {
		errno = ENOSPC;
		return -1;
	}
	return writev(fd, iov, n);
}

START_TEST(full_at_start)
{
	die_at(d_fdatasync, NULL, 1);
	in_child(1, MAIL, &alice, 1);
	deadly = pw_sysio_real;
	deadly.writev = r_writev;
	atomic_store(&refuse, 1);
	pw_sys = &deadly;
	filer_rig_open(&rig, "boot");
	check_none("test/alice/new");
	ck_assert_ptr_nonnull(rig.filer->replay);
	/* New mail is not held up by it, once there is space. */
	atomic_store(&refuse, 0);
	ck_assert_int_eq(filer_rig_send(&rig, MAIL,
			     &(struct filer_rig_target){ .path = "test/bob" },
			     1).code, PW_STORE_OK);
	filer_rig_idle(&rig);
	filer_rig_check_only(&rig, "test/alice/new", FILED);
}
END_TEST

Suite *pw_suite_storage_replay(void);
Suite *
pw_suite_storage_replay(void)
{
	Suite *s = suite_create("storage/replay");
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, answered_and_killed);
	tcase_add_test(t, reader_was_there);
	tcase_add_test(t, durable_not_staged);
	tcase_add_test(t, staged_not_renamed);
	tcase_add_test(t, not_in_the_journal);
	tcase_add_test(t, whole_after_cut);
	tcase_add_loop_test(t, torn_after_cut, 0, 3);
	tcase_add_test(t, zeros_after_cut);
	tcase_add_test(t, lost_after_cut);
	tcase_add_test(t, killed_in_replay);
	tcase_add_test(t, copies_after_cut);
	tcase_add_test(t, large_after_cut);
	tcase_add_test(t, full_at_start);
	suite_add_tcase(s, t);
	return s;
}
