/* SPDX-License-Identifier: ISC */
/*
 * The follower on real folders: what a reader does to files, done here by
 * hand, is on the index a moment later.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "sql_rig.h"
#include "storage/accounts.h"
#include "storage/follow.h"
#include "storage/follow_private.h"


static struct pw_loop *loop;
static struct pw_accounts *a;
static struct pw_writer *w;
static struct pw_follow *f;
static struct pw_index *x;
static struct pw_err err;
static char mail[96];
static int parse_fails; /* so many more files cannot be read */
static unsigned parsed, parsing, parsing_max;

static void
path_of(char out[512], const char *rest)
{
	(void)snprintf(out, 512, "%s/example.test/alice%s%s", mail,
	    rest[0] != '\0' ? "/" : "", rest);
}

static void
make_dir(const char *rest)
{
	char path[512];

	path_of(path, rest);
	ck_assert_msg(mkdir(path, 0700) == 0 || errno == EEXIST, "%s", path);
}

static void
make_folder(const char *name)
{
	static const char *const sub[] = { "", "/tmp", "/new", "/cur" };
	char path[300];

	for (size_t i = 0; i < PW_COUNT(sub); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", name, sub[i]);
		make_dir(path[0] == '/' ? path + 1 : path);
	}
}

static void
make_mailbox(void)
{
	char path[200];

	(void)snprintf(path, sizeof(path), "%s/example.test", mail);
	ck_assert(mkdir(path, 0700) == 0 || errno == EEXIST);
	make_folder("");
}

static void
put(const char *rest, const char *text)
{
	char path[512];

	path_of(path, rest);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ck_assert_msg(fd >= 0, "%s", path);
	ck_assert_int_eq(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

static void
move(const char *from, const char *to)
{
	char p[512], q[512];

	path_of(p, from);
	path_of(q, to);
	ck_assert_msg(rename(p, q) == 0, "%s", from);
}

static void
hard_link(const char *from, const char *to)
{
	char p[512], q[512];

	path_of(p, from);
	path_of(q, to);
	ck_assert_int_eq(link(p, q), 0);
}

static void
take_away(const char *rest)
{
	char p[512];

	path_of(p, rest);
	ck_assert_int_eq(unlink(p), 0);
}

/* The first line is the subject. */
static void
parse(void *host, int fd, pw_parse_cb cb, void *arg)
{
	char text[200];
	ssize_t n = pread(fd, text, sizeof(text), 0);
	struct pw_meta m = { .message_id = PW_LIT(""),
		.in_reply_to = PW_LIT(""),
		.references = PW_LIT(""),
		.from = PW_LIT(""),
		.to = PW_LIT(""),
		.cc = PW_LIT(""),
		.structure = PW_LIT(""),
		.envelope = PW_LIT("") };

	(void)host;
	parsing++;
	if (parsing > parsing_max)
		parsing_max = parsing;
	ck_assert_int_ge(n, 0);
	(void)close(fd);
	parsed++;
	m.subject = pw_bytes(text, (size_t)n);
	ptrdiff_t nl = pw_bytes_chr(m.subject, '\n');
	if (nl >= 0)
		m.subject.len = (size_t)nl;
	cb(arg, parse_fails > 0 ? NULL : &m);
	if (parse_fails > 0)
		parse_fails--;
	parsing--;
}

static void
start(uint64_t rescan_ms)
{
	ck_assert_msg(pw_follow_open(loop, mail, a, w, rescan_ms, &f, &err) ==
		0,
	    "%s", err.text);
	pw_follow_set_parser(f, parse, NULL);
}

static void
setup(void)
{
	sql_setup();
	(void)snprintf(mail, sizeof(mail), "%s/mail", sql_dir);
	ck_assert_int_eq(mkdir(mail, 0700), 0);
	loop = pw_loop_new(&err);
	ck_assert_ptr_nonnull(loop);
	ck_assert_int_eq(pw_accounts_open(sql_dir, "%d/%u", true, &a, &err), 0);
	ck_assert_int_eq(pw_accounts_domain_add(a, "example.test", &err), 0);
	ck_assert_int_eq(pw_accounts_mailbox_add(a, ALICE, NULL, 0, &err), 0);
	w = sql_writer();
	ck_assert_int_eq(pw_index_open(sql_dir, &x, &err), 0);
	parse_fails = 0;
	parsed = parsing = parsing_max = 0;
}

static void
teardown(void)
{
	pw_follow_close(&f);
	pw_index_close(&x);
	pw_writer_close(&w);
	pw_accounts_close(&a);
	pw_loop_free(&loop);
	sql_teardown();
}

static void
pause_ms(long ms)
{
	(void)nanosleep(
	    &(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

/* "folder/file subject;" of every row, sorted by folder and name. */
static const char *
index_says(void)
{
	static char text[8192];
	json_t *rows = sql_list(x, ALICE), *row;
	char line[400], lines[200][400];
	size_t i, n = 0, at = 0;

	json_array_foreach(rows, i, row)
	{
		(void)snprintf(line, sizeof(line), "%s/%s=%s;",
		    sql_str(row, "folder"), sql_str(row, "file"),
		    sql_str(row, "subject"));
		size_t k = n++;
		for (; k > 0 && strcmp(lines[k - 1], line) > 0; k--)
			memcpy(lines[k], lines[k - 1], sizeof(line));
		memcpy(lines[k], line, sizeof(line));
		ck_assert_uint_lt(n, PW_COUNT(lines));
	}
	json_decref(rows);
	text[0] = '\0';
	for (i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s",
		    lines[i]);
	return text;
}

/* Until the index says WANT and nothing is under way; a while at most. */
static void
expect(const char *want)
{
	uint64_t end = pw_clock_mono_ms() + 15000;

	while (pw_clock_mono_ms() < end) {
		pw_loop_step(loop, 20);
		(void)pw_writer_wait(w, pw_writer_last(w), 1000);
		if (pw_follow_idle(f) && strcmp(index_says(), want) == 0)
			return;
	}
	struct pw_strbuf sb;
	pw_strbuf_init(&sb, 65536);
	pw_follow_status(f, &sb);
	ck_abort_msg("the index says %s, not %s\n%s", index_says(), want,
	    pw_strbuf_cstr(&sb));
}

static uint64_t
counter(const char *name)
{
	struct pw_strbuf sb;
	char line[64];

	pw_strbuf_init(&sb, 65536);
	pw_follow_status(f, &sb);
	(void)snprintf(line, sizeof(line), "follow.%s ", name);
	const char *p = strstr(pw_strbuf_cstr(&sb), line);
	ck_assert_msg(p != NULL, "%s", name);
	uint64_t v = strtoull(p + strlen(line), NULL, 10);
	pw_strbuf_free(&sb);
	return v;
}

/* ---- cases --------------------------------------------------------------- */

/* What lies there at the start, read by the parser, a few at a time. */
START_TEST(at_the_start)
{
	char name[64], want[4096];
	size_t at = 0;

	make_mailbox();
	make_folder(".Old");
	for (int i = 10; i < 40; i++) {
		(void)snprintf(name, sizeof(name), "cur/17.M%dP1.h:2,S", i);
		put(name, "Hello\n");
		at += (size_t)snprintf(want + at, sizeof(want) - at,
		    "/%s=Hello;", name);
	}
	put(".Old/new/17.M1P1.h", "Older\n");
	(void)snprintf(want + at, sizeof(want) - at,
	    "Old/new/17.M1P1.h=Older;");
	start(3600000);
	expect(want);
	ck_assert_uint_eq(parsed, 31);
	ck_assert_uint_le(parsing_max, PW_FOLLOW_PARSE_OPEN);
	ck_assert_uint_eq(counter("folders"), 2);
	ck_assert_uint_eq(counter("watches"), 6);
	ck_assert_uint_eq(pw_writer_usage(w, PW_LIT(ALICE)), 31 * 6);

	/* Started again: all is known, nothing is read. */
	pw_follow_close(&f);
	parsed = 0;
	start(3600000);
	expect(want);
	ck_assert_uint_eq(parsed, 0);
	ck_assert_uint_eq(counter("seen"), 0);
	ck_assert_uint_eq(counter("gone"), 0);
}
END_TEST

START_TEST(changes)
{
	make_mailbox();
	start(3600000);
	expect("");
	put("tmp/17.M1P1.h,S=4,W=5", "One\n");
	move("tmp/17.M1P1.h,S=4,W=5", "new/17.M1P1.h,S=4,W=5");
	expect("/new/17.M1P1.h,S=4,W=5=One;");
	move("new/17.M1P1.h,S=4,W=5", "cur/17.M1P1.h,S=4,W=5:2,");
	move("cur/17.M1P1.h,S=4,W=5:2,", "cur/17.M1P1.h,S=4,W=5:2,S");
	expect("/cur/17.M1P1.h,S=4,W=5:2,S=One;");
	ck_assert_uint_eq(parsed, 1);

	/* MOVE and COPY as Dovecot does them: known without being read. */
	make_folder(".A");
	hard_link("cur/17.M1P1.h,S=4,W=5:2,S", ".A/cur/17.M1P1.h,S=4,W=5:2,S");
	hard_link("cur/17.M1P1.h,S=4,W=5:2,S", "cur/18.M2P2.h,S=4:2,");
	expect("/cur/17.M1P1.h,S=4,W=5:2,S=One;/cur/18.M2P2.h,S=4:2,=One;"
	       "A/cur/17.M1P1.h,S=4,W=5:2,S=One;");
	move("cur/17.M1P1.h,S=4,W=5:2,S", ".A/cur/19.M1P1.h:2,S");
	take_away("cur/18.M2P2.h,S=4:2,");
	expect("A/cur/17.M1P1.h,S=4,W=5:2,S=One;A/cur/19.M1P1.h:2,S=One;");
	ck_assert_uint_eq(parsed, 1);
	ck_assert_int_eq(sql_number(sql_path("index.db"),
			     "SELECT count(*) FROM message"),
	    1);

	/* A folder renamed, then deleted the way Dovecot does. */
	move(".A", ".B.C");
	expect("B.C/cur/17.M1P1.h,S=4,W=5:2,S=One;B.C/cur/19.M1P1.h:2,S=One;");
	put(".B.C/cur/20.M1P1.h:2,", "Two\n");
	expect("B.C/cur/17.M1P1.h,S=4,W=5:2,S=One;B.C/cur/19.M1P1.h:2,S=One;"
	       "B.C/cur/20.M1P1.h:2,=Two;");
	move(".B.C", "..DOVECOT-TRASHED");
	expect("");
	ck_assert_uint_eq(pw_writer_usage(w, PW_LIT(ALICE)), 0);
}
END_TEST

/* The number of a removed inode is given to the next file: its content is not
 * that of the file that is gone. */
START_TEST(inode_again)
{
	char sql[200], path[512];
	struct stat sb;

	make_mailbox();
	make_folder(".A");
	put("cur/17.M1P1.h:2,S", "One\n");
	put("cur/17.M2P1.h:2,S", "Two\n");
	put("cur/17.M3P1.h:2,S", "Six\n");
	start(3600000);
	expect("/cur/17.M1P1.h:2,S=One;/cur/17.M2P1.h:2,S=Two;"
	       "/cur/17.M3P1.h:2,S=Six;");
	move("cur/17.M3P1.h:2,S", ".A/cur/17.M3P1.h:2,S");
	take_away("cur/17.M1P1.h:2,S");
	take_away("cur/17.M2P1.h:2,S");
	expect("A/cur/17.M3P1.h:2,S=Six;");
	put("tmp/18.M1P1.h", "Other\n");
	put("tmp/18.M2P1.h", "New\n");
	path_of(path, "tmp/18.M1P1.h");
	ck_assert_int_eq(stat(path, &sb), 0);
	(void)snprintf(sql, sizeof(sql),
	    "UPDATE gone SET inode = %llu WHERE base = '17.M1P1.h'",
	    (unsigned long long)sb.st_ino);
	sql_exec(sql_path("index.db"), sql);
	path_of(path, "tmp/18.M2P1.h");
	ck_assert_int_eq(stat(path, &sb), 0);
	(void)snprintf(sql, sizeof(sql),
	    "UPDATE gone SET inode = %llu, internal_us = internal_us - "
	    "3600000000 WHERE base = '17.M2P1.h'",
	    (unsigned long long)sb.st_ino);
	sql_exec(sql_path("index.db"), sql);
	move("tmp/18.M1P1.h", ".A/cur/18.M1P1.h:2,");
	move("tmp/18.M2P1.h", ".A/cur/18.M2P1.h:2,");
	expect("A/cur/17.M3P1.h:2,S=Six;A/cur/18.M1P1.h:2,=Other;"
	       "A/cur/18.M2P1.h:2,=New;");
}
END_TEST

/* Files of ours: their events teach nothing, also when a reader is quick. */
START_TEST(own_files)
{
	char base[128], from[200], to[200], want[600];
	size_t at = 0;

	make_mailbox();
	start(3600000);
	expect("");
	for (int i = 0; i < 3; i++) {
		struct sql_mail m = { .size = 6 };
		char tmp[200];
		m.subject = PW_LIT("Mine");
		ck_assert_uint_ne(sql_deliver(w, &m), 0);
		(void)snprintf(base, sizeof(base), "%s", m.made_base);
		(void)snprintf(tmp, sizeof(tmp), "tmp/%s", base);
		(void)snprintf(from, sizeof(from), "new/%s", base);
		(void)snprintf(to, sizeof(to), "cur/%s:2,S", base);
		put(tmp, "Mine\n\n");
		pw_follow_expect(f, pw_bytes_of(base));
		move(tmp, from);
		if (i == 2)
			move(from, to);
	}
	for (uint64_t end = pw_clock_mono_ms() + 5000;
	     counter("own") < 3 && pw_clock_mono_ms() < end;)
		pw_loop_step(loop, 10);
	ck_assert_uint_eq(counter("own"), 3);
	ck_assert_uint_eq(parsed, 0);
	pause_ms(300);
	/* Only the third was moved. */
	(void)pw_writer_wait(w, pw_writer_last(w), 5000);
	ck_assert_uint_eq(counter("seen"), 1);
	/* The name again, by a reader's hand: not ours any more. */
	make_folder(".A");
	(void)snprintf(from, sizeof(from), "cur/%s:2,S", base);
	(void)snprintf(to, sizeof(to), ".A/new/%s", base);
	hard_link(from, to);
	for (uint64_t end = pw_clock_mono_ms() + 5000;
	     sql_number(sql_path("index.db"),
		 "SELECT count(*) FROM file") < 4 &&
	     pw_clock_mono_ms() < end;)
		pw_loop_step(loop, 10);
	at = (size_t)snprintf(want, sizeof(want), "A/new/%s=Mine;", base);
	ck_assert_ptr_nonnull(strstr(index_says(), want));
	ck_assert_uint_gt(at, 0);
	ck_assert_uint_eq(parsed, 0);
}
END_TEST

/* Our file is there before its row, and a reader is quicker still. */
START_TEST(file_before_row)
{
	struct sql_mail m = { .size = 6, .subject = PW_LIT("Soon") };
	char path[200], to[200], want[300];

	m.base = PW_LIT("17.M1P1.h");
	make_mailbox();
	make_folder(".A");
	start(3600000);
	expect("");
	pw_follow_expect(f, m.base);
	put("new/17.M1P1.h", "Soon\n\n");
	(void)snprintf(path, sizeof(path), "new/17.M1P1.h");
	if (_i == 1)
		pw_follow_rescan(f, ALICE);
	if (_i == 2) {
		(void)snprintf(to, sizeof(to), ".A/cur/17.M1P1.h:2,S");
		move(path, to);
		memcpy(path, to, sizeof(path));
	}
	if (_i == 3)
		take_away(path);
	pause_ms(300);
	ck_assert_str_eq(index_says(), "");
	sql_wait(w, sql_deliver(w, &m));
	(void)snprintf(want, sizeof(want), "%s",
	    _i < 2	 ? "/new/17.M1P1.h=Soon;" :
		_i == 2 ? "A/cur/17.M1P1.h:2,S=Soon;" :
			  "");
	expect(want);
	ck_assert_uint_eq(parsed, 0);
	ck_assert_int_eq(sql_number(sql_path("index.db"),
			     "SELECT count(*) FROM message WHERE refs <> "
			     "(SELECT count(*) FROM file WHERE msg = "
			     "message.id) + (SELECT count(*) FROM gone WHERE "
			     "msg = message.id)"),
	    0);
}
END_TEST

/* Its row never comes: after a while it is a file like any other. */
START_TEST(file_without_row)
{
	make_mailbox();
	start(3600000);
	expect("");
	pw_follow_expect(f, PW_LIT("17.M1P1.h"));
	put("new/17.M1P1.h", "Alone\n");
	move("new/17.M1P1.h", "cur/17.M1P1.h:2,");
	expect("/cur/17.M1P1.h:2,=Alone;");
	ck_assert_uint_eq(parsed, 1);
}
END_TEST

/* Without inotify (its limit reached) comparisons do it all. */
START_TEST(by_comparison)
{
	make_mailbox();
	start(200);
	expect("");
	__atomic_store_n(&f->have_watches, false, __ATOMIC_RELAXED);
	make_folder(".A");
	put(".A/cur/17.M1P1.h:2,S", "One\n");
	expect("A/cur/17.M1P1.h:2,S=One;");
	ck_assert_uint_eq(counter("watches"), 3);
	move(".A/cur/17.M1P1.h:2,S", ".A/cur/17.M1P1.h:2,FS");
	expect("A/cur/17.M1P1.h:2,FS=One;");
	take_away(".A/cur/17.M1P1.h:2,FS");
	expect("");
}
END_TEST

static const char uidlist[] =
    "3 V1700000000 N30 G0123456789abcdef\n"
    "10 :17.M1P1.h\n11 W4 S4 :17.M2P1.h\n12 :17.M3P1.h:2,S\n";

static int64_t
uid(const char *base)
{
	char sql[200];

	(void)snprintf(sql, sizeof(sql),
	    "SELECT coalesce(max(uid), 0) FROM file WHERE base = '%s'", base);
	return sql_number(sql_path("index.db"), sql);
}

static void
expect_uid(const char *base, int64_t want)
{
	uint64_t end = pw_clock_mono_ms() + 5000;

	while (uid(base) != want && pw_clock_mono_ms() < end) {
		pw_loop_step(loop, 20);
		(void)pw_writer_wait(w, pw_writer_last(w), 1000);
	}
	ck_assert_msg(uid(base) == want, "%s has UID %lld, not %lld", base,
	    (long long)uid(base), (long long)want);
}

START_TEST(uids)
{
	make_mailbox();
	put("cur/17.M1P1.h:2,S", "One\n");
	put("dovecot-uidlist", uidlist);
	start(3600000);
	expect("/cur/17.M1P1.h:2,S=One;");
	expect_uid("17.M1P1.h", 10);
	/* A file whose line was read before. */
	put("cur/17.M2P1.h:2,S", "Two\n");
	expect_uid("17.M2P1.h", 11);
	/* A line that comes later, by renaming as Dovecot does. */
	put("cur/17.M4P1.h:2,", "Four\n");
	pause_ms(200);
	ck_assert_int_eq(uid("17.M4P1.h"), 0);
	char text[400];
	(void)snprintf(text, sizeof(text), "%s13 :17.M4P1.h\n", uidlist);
	put("dovecot-uidlist.tmp", text);
	move("dovecot-uidlist.tmp", "dovecot-uidlist");
	expect_uid("17.M4P1.h", 13);
	/* Appended to in place. */
	put("cur/17.M5P1.h:2,", "Five\n");
	(void)snprintf(text, sizeof(text),
	    "%s13 :17.M4P1.h\n14 :17.M5P1.h\n", uidlist);
	put("dovecot-uidlist", text);
	expect_uid("17.M5P1.h", 14);
	/* Another UIDVALIDITY. */
	put("dovecot-uidlist.tmp", "3 V1800000000 N2\n1 :17.M5P1.h\n");
	move("dovecot-uidlist.tmp", "dovecot-uidlist");
	expect_uid("17.M5P1.h", 1);
	expect_uid("17.M1P1.h", 0);
	/* Nonsense changes nothing. */
	put("dovecot-uidlist", "nonsense\n1 :17.M1P1.h\n");
	pause_ms(300);
	expect_uid("17.M5P1.h", 1);
	/* Changed while nobody looked. */
	pw_follow_close(&f);
	put("dovecot-uidlist", "3 V1900000000 N9\n1 :17.M1P1.h\n"
			       "2 :17.M5P1.h\n");
	start(3600000);
	expect_uid("17.M1P1.h", 1);
	expect_uid("17.M5P1.h", 2);
	expect_uid("17.M2P1.h", 0);
}
END_TEST

/* What the parser cannot read is tried again, then entered without content. */
START_TEST(unreadable)
{
	make_mailbox();
	put("cur/17.M1P1.h:2,", "Bad\n");
	parse_fails = 100;
	start(3600000);
	expect("/cur/17.M1P1.h:2,=;");
	for (uint64_t end = pw_clock_mono_ms() + 12000;
	     sql_number(sql_path("index.db"),
		 "SELECT count(*) FROM message WHERE complex = 1") == 0 &&
	     pw_clock_mono_ms() < end;) {
		pw_loop_step(loop, 20);
		(void)pw_writer_wait(w, pw_writer_last(w), 1000);
	}
	ck_assert_uint_eq(counter("unparsed"), 1);
	ck_assert_uint_eq(parsed, 3);
	expect("/cur/17.M1P1.h:2,=;");
	pw_follow_rescan(f, NULL);
	expect("/cur/17.M1P1.h:2,=;");
	ck_assert_uint_eq(parsed, 3);
}
END_TEST

/* A mailbox that is made later, by its account or on disk. */
START_TEST(comes_later)
{
	char path[300];

	start(3600000);
	expect("");
	ck_assert_uint_eq(counter("folders"), 0);
	make_mailbox();
	put("new/17.M1P1.h", "One\n");
	expect("/new/17.M1P1.h=One;");
	ck_assert_int_eq(pw_accounts_mailbox_add(a, "bob@example.test", NULL,
			     0, &err),
	    0);
	(void)snprintf(path, sizeof(path), "%s/example.test/bob", mail);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	(void)strncat(path, "/cur", sizeof(path) - strlen(path) - 1);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	pw_follow_accounts_changed(f);
	expect("/new/17.M1P1.h=One;");
	ck_assert_uint_eq(counter("mailboxes"), 2);
	ck_assert_uint_eq(counter("folders"), 2);
	/* An account that is no more: its mail and rows stay. */
	ck_assert_int_eq(pw_accounts_mailbox_remove(a, ALICE, &err), 0);
	pw_follow_accounts_changed(f);
	expect("/new/17.M1P1.h=One;");
	ck_assert_uint_eq(counter("folders"), 1);
}
END_TEST

/* Links planted in a mailbox lead nowhere. */
START_TEST(planted_links)
{
	char path[512];

	make_mailbox();
	put("secret", "Secret\n");
	path_of(path, "cur/17.M1P1.h:2,");
	ck_assert_int_eq(symlink("../secret", path), 0);
	path_of(path, ".Link");
	ck_assert_int_eq(symlink("/etc", path), 0);
	make_folder(".A");
	path_of(path, ".A/new/17.M2P1.h");
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	start(3600000);
	put("cur/17.M9P1.h:2,", "Real\n");
	expect("/cur/17.M9P1.h:2,=Real;");
	path_of(path, "cur/17.M3P1.h:2,");
	ck_assert_int_eq(symlink("../secret", path), 0);
	pause_ms(300);
	expect("/cur/17.M9P1.h:2,=Real;");
	ck_assert_uint_eq(parsed, 1);
}
END_TEST

/* Names that would mean something to SQL or a terminal. */
START_TEST(odd_names)
{
	make_mailbox();
	start(3600000);
	expect("");
	put("cur/'; DROP TABLE file; --:2,S", "A\n");
	put("new/%s%n", "B\n");
	put("cur/x:1,unknown", "C\n");
	put("new/\xff\xfe", "D\n");
	put("new/.hidden", "E\n");
	expect("/cur/'; DROP TABLE file; --:2,S=A;/cur/x:1,unknown=C;"
	       "/new/%s%n=B;/new/\\xff\\xfe=D;");
	pw_follow_close(&f);
	start(3600000);
	expect("/cur/'; DROP TABLE file; --:2,S=A;/cur/x:1,unknown=C;"
	       "/new/%s%n=B;/new/\\xff\\xfe=D;");
	ck_assert_uint_eq(parsed, 4);
}
END_TEST

/* The index is there, with its tables. */
static bool
index_is_back(void)
{
	struct pw_message_filter filter = { .mailbox = ALICE, .limit = 1 };
	json_t *rows;

	if (pw_index_messages(x, &filter, &rows, &err) != 0)
		return false;
	json_decref(rows);
	return true;
}

/* index.db lost while all runs: it comes back by itself. */
START_TEST(index_lost)
{
	make_mailbox();
	put("cur/17.M1P1.h:2,S", "One\n");
	start(3600000);
	expect("/cur/17.M1P1.h:2,S=One;");
	(void)unlink(sql_path("index.db"));
	(void)unlink(sql_path("index.db-wal"));
	(void)unlink(sql_path("index.db-shm"));
	for (int i = 0; i < 400 && !index_is_back(); i++)
		pause_ms(50);
	expect("/cur/17.M1P1.h:2,S=One;");
	ck_assert_uint_eq(parsed, 2);
	ck_assert_uint_eq(pw_writer_usage(w, PW_LIT(ALICE)), 4);
}
END_TEST

/* More names at once than fit: the older ones are forgotten, not the newer. */
START_TEST(expectations)
{
	char base[64];

	make_mailbox();
	start(3600000);
	for (int i = 0; i < 200000; i++) {
		int n = snprintf(base, sizeof(base), "%d", i);
		pw_follow_expect(f, pw_bytes(base, (size_t)n));
	}
	ck_assert(!pw_follow_expected(f, PW_LIT("5"), false));
	ck_assert(pw_follow_expected(f, PW_LIT("199999"), false));
	ck_assert(pw_follow_expected(f, PW_LIT("199999"), true));
	ck_assert(!pw_follow_expected(f, PW_LIT("199999"), true));
	ck_assert(pw_follow_expected(f, PW_LIT("170000"), true));
	/* What was taken leaves no hole. */
	for (int i = 180000; i < 190000; i++) {
		int n = snprintf(base, sizeof(base), "%d", i);
		ck_assert(pw_follow_expected(f, pw_bytes(base, (size_t)n),
		    true));
	}
	for (int i = 190000; i < 199999; i++) {
		int n = snprintf(base, sizeof(base), "%d", i);
		ck_assert(pw_follow_expected(f, pw_bytes(base, (size_t)n),
		    false));
	}
	pw_follow_forget_expected(f, 0);
	pw_follow_forget_expected(f, 0);
	ck_assert(!pw_follow_expected(f, PW_LIT("195000"), false));
}
END_TEST

static void *kept_cb_arg;
static pw_parse_cb kept_cb;

static void
keep_parse(void *host, int fd, pw_parse_cb cb, void *arg)
{
	(void)host;
	(void)close(fd);
	kept_cb = cb;
	kept_cb_arg = arg;
}

/* Closed while the parser has a file: its late answer finds nothing to harm. */
START_TEST(late_answer)
{
	make_mailbox();
	put("cur/17.M1P1.h:2,S", "One\n");
	kept_cb = NULL;
	ck_assert_int_eq(pw_follow_open(loop, mail, a, w, 3600000, &f, &err),
	    0);
	pw_follow_set_parser(f, keep_parse, NULL);
	for (int i = 0; i < 500 && kept_cb == NULL; i++)
		pw_loop_step(loop, 10);
	ck_assert_ptr_nonnull(kept_cb);
	pw_follow_close(&f);
	ck_assert_ptr_null(f);
	kept_cb(kept_cb_arg, NULL);
	start(3600000);
	expect("/cur/17.M1P1.h:2,S=One;");
}
END_TEST

START_TEST(no_mail_folder)
{
	struct pw_follow *g;

	ck_assert_int_eq(pw_follow_open(loop, "/nonexistent/mail", a, w, 0, &g,
			     &err),
	    -1);
	ck_assert_ptr_null(g);
	ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/mail"));
	start(0);
}
END_TEST

Suite *pw_suite_storage_follow(void);
Suite *
pw_suite_storage_follow(void)
{
	Suite *s = suite_create("storage/follow");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, at_the_start);
	tcase_add_test(t, changes);
	tcase_add_test(t, inode_again);
	tcase_add_test(t, own_files);
	tcase_add_loop_test(t, file_before_row, 0, 4);
	tcase_add_test(t, file_without_row);
	tcase_add_test(t, by_comparison);
	tcase_add_test(t, uids);
	tcase_add_test(t, unreadable);
	tcase_add_test(t, comes_later);
	tcase_add_test(t, planted_links);
	tcase_add_test(t, odd_names);
	tcase_add_test(t, index_lost);
	tcase_add_test(t, expectations);
	tcase_add_test(t, late_answer);
	tcase_add_test(t, no_mail_folder);
	suite_add_tcase(s, t);
	return s;
}
