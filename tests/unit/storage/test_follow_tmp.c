/* SPDX-License-Identifier: ISC */
/* What a killed store left in tmp/: which of it goes, and when. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/loop.h"
#include "sql_rig.h"
#include "storage/accounts.h"
#include "storage/follow.h"

#define HOST "mx.example"

static struct pw_loop *loop;
static struct pw_accounts *a;
static struct pw_follow *f;
static struct pw_err err;
static char mail[96];

static const char *const folders[] = { "", ".Sent", ".A.B" };

static void
make(const char *path)
{
	char p[256];

	(void)snprintf(p, sizeof(p), "%s/%s", mail, path);
	ck_assert_int_eq(mkdir(p, 0700), 0);
}

static void
setup(void)
{
	static const char *const sub[] = { "", "/tmp", "/new", "/cur" };
	char p[96];

	sql_open();
	(void)snprintf(mail, sizeof(mail), "%s/mail", sql_dir);
	make("");
	make("example.test");
	for (size_t i = 0; i < PW_COUNT(folders); i++)
		for (size_t k = 0; k < PW_COUNT(sub); k++) {
			(void)snprintf(p, sizeof(p), "example.test/alice/%s%s",
			    folders[i], sub[k]);
			make(p);
		}
	loop = pw_loop_new(&err);
	ck_assert_int_eq(pw_accounts_open(sql_dir, "%d/%u", true, &a, &err), 0);
	ck_assert_int_eq(pw_accounts_domain_add(a, "example.test", &err), 0);
	ck_assert_int_eq(pw_accounts_mailbox_add(a, ALICE, NULL, 0, &err), 0);
}

static void
teardown(void)
{
	pw_follow_close(&f);
	pw_accounts_close(&a);
	pw_loop_free(&loop);
	sql_close();
}

static void
name(char out[256], const char *folder, long pid, int64_t made_s,
    const char *host)
{
	(void)snprintf(out, 256,
	    "%s/example.test/alice/%s/tmp/%lld.M000001P%ld_0_00000000abcd.%s,"
	    "S=5,W=5",
	    mail, folder, (long long)made_s, pid, host);
}

static void
put(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	ck_assert_int_ge(fd, 0);
	(void)close(fd);
}

static bool
there(const char *path)
{
	return access(path, F_OK) == 0;
}

static void
start(void)
{
	ck_assert_msg(pw_follow_open(loop, mail, a, rig.w, 100, &f, &err) == 0,
	    "%s", err.text);
}

static bool
gone_in_time(const char *path)
{
	for (int i = 0; i < 100 && there(path); i++)
		(void)usleep(50000);
	return !there(path);
}

/* Of a former process, by its number, whatever time its name bears. */
START_TEST(former_process)
{
	int64_t now = pw_clock_real_us() / 1000000;
	char left[PW_COUNT(folders)][256], old[256], late[256];

	for (size_t i = 0; i < PW_COUNT(folders); i++) {
		name(left[i], folders[i], (long)getpid() + 1, now, HOST);
		put(left[i]);
	}
	name(old, "", 1, now - 100000, HOST);
	put(old);
	(void)usleep(20000); /* a tick of the clock of files */
	start();
	/* As a repair does: an old name, a file of now. */
	name(late, "", (long)getpid() + 2, now, HOST);
	put(late);
	(void)usleep(500000);
	ck_assert_msg(there(left[0]) && there(old), "before the replay's end");
	pw_follow_may_clean(f, HOST);
	for (size_t i = 0; i < PW_COUNT(folders); i++)
		ck_assert(gone_in_time(left[i]));
	ck_assert(!there(old));
	ck_assert(there(late));
}
END_TEST

/* Everything else stays. */
START_TEST(others)
{
	int64_t now = pw_clock_real_us() / 1000000;
	char keep[8][256], left[256];
	size_t n = 0;

	name(keep[n++], "", (long)getpid(), now, HOST);
	name(keep[n++], "", (long)getpid(), now - 200000, HOST);
	name(keep[n++], "", 1, now - 200000, "other.example");
	(void)snprintf(keep[n++], 256,
	    "%s/example.test/alice/tmp/%lld.M1P2.mx.example", mail,
	    (long long)now - 200000);
	(void)snprintf(keep[n++], 256, "%s/example.test/alice/tmp/x", mail);
	(void)snprintf(keep[n++], 256,
	    "%s/example.test/alice/new/1.M1P1_1_1." HOST ",S=1,W=1", mail);
	for (size_t i = 0; i < n; i++)
		put(keep[i]);
	name(keep[n++], "", 3, now, HOST);
	ck_assert_int_eq(mkdir(keep[n - 1], 0700), 0);
	name(left, "", 4, now, HOST);
	put(left);
	(void)usleep(20000);
	start();
	pw_follow_may_clean(f, HOST);
	ck_assert(gone_in_time(left));
	(void)usleep(300000);
	for (size_t i = 0; i < n; i++)
		ck_assert_msg(there(keep[i]), "%s", keep[i]);
}
END_TEST

Suite *pw_suite_storage_follow_tmp(void);
Suite *
pw_suite_storage_follow_tmp(void)
{
	Suite *s = suite_create("storage/follow_tmp");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, former_process);
	tcase_add_test(t, others);
	suite_add_tcase(s, t);
	return s;
}
