/* SPDX-License-Identifier: ISC */
/* Paths and names of Maildir++, folders made and walked. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "scratch.h"
#include "storage/folders.h"
#include "storage/maildir.h"

static char dir[64];
static int root = -1;

static void
setup(void)
{
	scratch_folder(dir, sizeof(dir), "pw-maildir");
	root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(root, 0);
}

static void
teardown(void)
{
	int st;
	pid_t pid = fork();

	if (pid == 0) {
		(void)execlp("rm", "rm", "-rf", dir, (char *)NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &st, 0), pid);
	ck_assert_int_eq(st, 0);
	(void)close(root);
	root = -1;
}

static void
put(const char *path)
{
	int fd = openat(root, path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	(void)close(fd);
}

static bool
is_there(const char *path)
{
	struct stat st;

	return fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static const struct {
	struct pw_bytes text;
	bool path, folder, base;
} names[] = {
	{ { "", 0 }, false, true, false },
	{ { "a", 1 }, true, true, true },
	{ { "example.org/alice", 17 }, true, false, false },
	{ { "a/b/c/d/e/f/g/h", 15 }, true, false, false },
	{ { "a/b/c/d/e/f/g/h/i", 17 }, false, false, false },
	{ { "/a", 2 }, false, false, false },
	{ { "a/", 2 }, false, false, false },
	{ { "a//b", 4 }, false, false, false },
	{ { ".", 1 }, false, false, false },
	{ { "..", 2 }, false, false, false },
	{ { "a/../b", 6 }, false, false, false },
	{ { "a/./b", 5 }, false, false, false },
	{ { "...", 3 }, true, false, false },
	{ { "a\0b", 3 }, false, false, false },
	{ { "Archive.2026", 12 }, true, true, true },
	{ { ".Junk", 5 }, true, false, false },
	{ { "Junk.", 5 }, true, false, true },
	{ { "A..B", 4 }, true, false, true },
	{ { "&AOQ-", 5 }, true, true, true },
	{ { "a\nb", 3 }, true, false, false },
	{ { "a:2,S", 5 }, true, true, false },
	{ { "1.M2P3_4_5.h,S=6,W=7", 20 }, true, true, true },
};

START_TEST(what_is_a_name)
{
	struct pw_bytes t = names[_i].text;

	ck_assert_int_eq(pw_maildir_path_ok(t), names[_i].path);
	ck_assert_int_eq(pw_maildir_folder_ok(t), names[_i].folder);
	ck_assert_int_eq(pw_maildir_base_ok(t), names[_i].base);
}
END_TEST

START_TEST(long_names)
{
	char b[400];

	memset(b, 'a', sizeof(b));
	ck_assert(pw_maildir_path_ok(pw_bytes(b, 255)));
	ck_assert(!pw_maildir_path_ok(pw_bytes(b, 256)));
	ck_assert(pw_maildir_folder_ok(pw_bytes(b, 200)));
	ck_assert(!pw_maildir_folder_ok(pw_bytes(b, 201)));
	ck_assert(pw_maildir_base_ok(pw_bytes(b, PW_MAILDIR_NAME_MAX)));
	ck_assert(!pw_maildir_base_ok(pw_bytes(b, PW_MAILDIR_NAME_MAX + 1)));
}
END_TEST

START_TEST(makes_folders)
{
	const struct pw_bytes box = PW_LIT("example.org/alice");
	struct pw_maildir m;
	struct stat st;

	ck_assert_int_eq(pw_maildir_open(root, box, PW_BYTES_NONE, false,
			     false, &m), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(pw_maildir_open(root, box, PW_BYTES_NONE, true,
			     false, &m), 0);
	ck_assert_int_ge(m.tmp, 0);
	ck_assert_int_ge(m.new, 0);
	ck_assert_int_eq(m.cur, -1);
	pw_maildir_close(&m);
	ck_assert(is_there("example.org/alice/cur"));
	ck_assert_int_eq(fstatat(root, "example.org/alice", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
	ck_assert_int_eq(pw_maildir_open(root, box, PW_LIT("Junk.old"), true,
			     true, &m), 0);
	ck_assert_int_ge(m.cur, 0);
	pw_maildir_close(&m);
	ck_assert(is_there("example.org/alice/.Junk.old/new"));
	ck_assert(is_there("example.org/alice/.Junk.old/maildirfolder"));
	ck_assert_int_eq(pw_maildir_sync(root, box, PW_LIT("Junk.old")), 0);
	ck_assert_int_eq(pw_maildir_sync(root, box, PW_BYTES_NONE), 0);
	ck_assert_int_eq(pw_maildir_sync(root, box, PW_LIT("None")), -1);
	ck_assert_int_eq(pw_maildir_open(root, PW_LIT("../x"), PW_BYTES_NONE,
			     true, true, &m), -1);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

/* Nothing is followed out of the mail root. */
START_TEST(symlinks)
{
	struct pw_maildir m;

	ck_assert_int_eq(mkdirat(root, "real", 0700), 0);
	ck_assert_int_eq(symlinkat("real", root, "box"), 0);
	ck_assert_int_eq(pw_maildir_open(root, PW_LIT("box"), PW_BYTES_NONE,
			     true, false, &m), -1);
	ck_assert_int_eq(mkdirat(root, "b", 0700), 0);
	ck_assert_int_eq(symlinkat("../real", root, "b/tmp"), 0);
	ck_assert_int_eq(pw_maildir_open(root, PW_LIT("b"), PW_BYTES_NONE,
			     true, false, &m), -1);
	ck_assert_int_eq(symlinkat("../real", root, "b/.F"), 0);
	ck_assert_int_eq(pw_maildir_open(root, PW_LIT("b"), PW_LIT("F"), true,
			     false, &m), -1);
}
END_TEST

START_TEST(unique_names)
{
	static char name[2000][PW_MAILDIR_NAME_MAX + 1];
	char host[101];

	pw_maildir_host(host, PW_LIT("../mx:1.example/org"));
	ck_assert_str_eq(host, "mx1.exampleorg");
	pw_maildir_host(host, PW_LIT("/"));
	ck_assert_str_eq(host, "localhost");
	/* The clock stands still, or goes back. */
	for (int i = 0; i < 2000; i++) {
		size_t n = pw_maildir_name(name[i],
		    1700000000000001 - i % 3, "mx", 5, 7);
		ck_assert_uint_eq(n, strlen(name[i]));
		ck_assert(pw_maildir_base_ok(pw_bytes_of(name[i])));
	}
	ck_assert_int_eq(strncmp(name[0], "1700000000.M000001P", 19), 0);
	ck_assert_ptr_nonnull(strstr(name[0], ".mx,S=5,W=7"));
	for (int i = 1; i < 2000; i++)
		for (int k = 0; k < i; k++)
			if (strcmp(name[i], name[k]) == 0)
				ck_abort_msg("%s twice", name[i]);
	memset(host, 'h', 100);
	host[100] = '\0';
	ck_assert_uint_lt(pw_maildir_name(name[0], INT64_MAX, host,
			      UINT64_MAX, UINT64_MAX),
	    PW_MAILDIR_NAME_MAX);
}
END_TEST

struct seen {
	char text[1024];
};

static int
collect(void *arg, const char *folder, bool in_new, const char *name)
{
	struct seen *s = arg;
	size_t n = strlen(s->text);

	(void)snprintf(s->text + n, sizeof(s->text) - n, "%s/%s/%s ", folder,
	    in_new ? "new" : "cur", name);
	return strcmp(name, "stop") == 0 ? 7 : 0;
}

START_TEST(walks)
{
	const struct pw_bytes box = PW_LIT("b");
	struct pw_maildir m;
	struct seen s = { "" };

	ck_assert_int_eq(pw_maildir_walk(root, box, collect, &s), 0);
	ck_assert_str_eq(s.text, "");
	ck_assert_int_eq(pw_maildir_open(root, box, PW_BYTES_NONE, true,
			     false, &m), 0);
	pw_maildir_close(&m);
	ck_assert_int_eq(pw_maildir_open(root, box, PW_LIT("F"), true, false,
			     &m), 0);
	pw_maildir_close(&m);
	put("b/new/1");
	put("b/cur/2:2,S");
	put("b/cur/.hidden");
	put("b/tmp/9");
	put("b/.F/cur/3:2,");
	put("b/.file");
	put("b/dovecot-uidlist");
	ck_assert_int_eq(mkdirat(root, "b/.empty", 0700), 0);
	ck_assert_int_eq(pw_maildir_walk(root, box, collect, &s), 0);
	ck_assert_str_eq(s.text, "/new/1 /cur/2:2,S F/cur/3:2, ");
	put("b/new/stop");
	ck_assert_int_eq(pw_maildir_walk(root, box, collect, &s), 7);
}
END_TEST

static bool
keep_all(void *arg, const char *name, long pid, int64_t made_s)
{
	long *told = arg;

	(void)name;
	told[0] = pid;
	told[1] = (long)made_s;
	return true;
}

START_TEST(cleans_tmp)
{
	struct pw_maildir m;
	char ours[PW_MAILDIR_NAME_MAX + 1], path[300];

	ck_assert_int_eq(pw_maildir_open(root, PW_LIT("b"), PW_BYTES_NONE,
			     true, false, &m), 0);
	(void)pw_maildir_name(ours, pw_clock_real_us(), "mx.example", 1, 1);
	(void)snprintf(path, sizeof(path), "b/tmp/%s", ours);
	put(path);
	put("b/tmp/1700000000.M1P2.mx.example");
	put("b/tmp/1700000000.M1P2_3_4.other,S=1,W=1");
	/* Whose and of when is told. */
	long told[2] = { 0 };
	ck_assert_int_eq(pw_maildir_clean(&m, "other", keep_all, told), 0);
	ck_assert_int_eq(told[0], 2);
	ck_assert_int_eq(told[1], 1700000000);
	ck_assert_int_eq(pw_maildir_clean(&m, "mx.example", NULL, NULL), 1);
	ck_assert(!is_there(path));
	ck_assert(is_there("b/tmp/1700000000.M1P2.mx.example"));
	ck_assert(is_there("b/tmp/1700000000.M1P2_3_4.other,S=1,W=1"));
	pw_maildir_close(&m);
}
END_TEST

START_TEST(keeps_folders_open)
{
	const int roots[2] = { root, root };
	struct pw_folders *f = pw_folders_new(roots, 2);
	struct pw_folder *a, *b, *c, *again;

	a = pw_folders_get(f, PW_PLACE_MAIL, PW_LIT("a"), PW_BYTES_NONE);
	ck_assert_ptr_nonnull(a);
	again = pw_folders_get(f, PW_PLACE_MAIL, PW_LIT("a"), PW_BYTES_NONE);
	ck_assert_ptr_eq(a, again);
	pw_folders_put(f, &again, false);
	b = pw_folders_get(f, PW_PLACE_MAIL, PW_LIT("a"), PW_LIT("F"));
	c = pw_folders_get(f, PW_PLACE_QUARANTINE, PW_LIT("a"),
	    PW_BYTES_NONE);
	ck_assert(b != NULL && c != NULL && a != b && b != c);
	/* A is out of the table, but not closed under its user's feet. */
	ck_assert_int_eq(faccessat(a->dir.tmp, ".", F_OK, 0), 0);
	again = pw_folders_get(f, PW_PLACE_MAIL, PW_LIT("a"), PW_BYTES_NONE);
	ck_assert_ptr_ne(a, again);
	pw_folders_put(f, &a, false);
	ck_assert_ptr_null(a);
	pw_folders_put(f, &b, true);
	pw_folders_put(f, &c, false);
	pw_folders_put(f, &again, false);
	ck_assert_ptr_null(pw_folders_get(f, PW_PLACE_MAIL, PW_LIT(".."),
	    PW_BYTES_NONE));
	pw_folders_free(&f);
}
END_TEST

Suite *pw_suite_storage_maildir(void);
Suite *
pw_suite_storage_maildir(void)
{
	Suite *s = suite_create("storage/maildir");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, what_is_a_name, 0, PW_COUNT(names));
	tcase_add_test(t, long_names);
	tcase_add_test(t, makes_folders);
	tcase_add_test(t, symlinks);
	tcase_add_test(t, unique_names);
	tcase_add_test(t, walks);
	tcase_add_test(t, cleans_tmp);
	tcase_add_test(t, keeps_folders_open);
	suite_add_tcase(s, t);
	return s;
}
