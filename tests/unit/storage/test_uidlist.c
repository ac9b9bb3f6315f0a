/* SPDX-License-Identifier: ISC */
/* dovecot-uidlist: what Dovecot writes, cut off anywhere, and what it never
 * would. */
#include <check.h>
#include <stdlib.h>

#include "base/pool.h"
#include "base/strbuf.h"
#include "storage/scan_dir.h"
#include "storage/uidlist.h"

static void
note(void *arg, uint32_t uid, struct pw_bytes base)
{
	struct pw_strbuf *sb = arg;

	pw_strbuf_addf(sb, "%u=%.*s;", uid, (int)base.len, base.ptr);
}

#define HEAD "3 V1700000000 N42 Gabcdef0123456789\n"

static const struct {
	struct pw_bytes text;
	const char *want; /* NULL: not a list */
} cases[] = {
	{ PW_LIT(""), NULL },
	{ PW_LIT("3 V17"), NULL }, /* not whole */
	{ PW_LIT("1 V17 N3\n"), NULL },
	{ PW_LIT("3 N3\n"), NULL },
	{ PW_LIT("3 V0 N3\n"), NULL },
	{ PW_LIT("3 V99999999999 N3\n"), NULL },
	{ PW_LIT("3 V-1 N3\n"), NULL },
	{ PW_LIT("garbage\n"), NULL },
	{ PW_LIT("3\0V17\n"), NULL },
	{ PW_LIT(HEAD), "" },
	{ PW_LIT("3 V1700000000\n1 :a\n"), "1=a;" },
	{ PW_LIT(HEAD "1 :1700.M1P2_3.host,S=10,W=11\n"),
	    "1=1700.M1P2_3.host,S=10,W=11;" },
	{ PW_LIT(HEAD "1 G0123 W12 S10 :name\n2 :other:2,S\n"),
	    "1=name;2=other;" },
	{ PW_LIT(HEAD "1 Pxyz: :na:me\n"), "1=na;" },
	{ PW_LIT(HEAD "7 :a\n9 :b"), "7=a;" }, /* half a line */
	{ PW_LIT(HEAD "x :a\n0 :b\n4294967296 :c\n-1 :d\n5 :e\n"), "5=e;" },
	{ PW_LIT(HEAD "5\n6 \n7 :\n8 ::2,S\n9 :a/b\n10 a\n\n11 :z\n"),
	    "11=z;" },
	{ PW_LIT(HEAD "1 :a\0b\n2 :c\n"), "2=c;" },
	{ PW_LIT(HEAD "4294967295 :last\n"), "4294967295=last;" },
};

START_TEST(lists)
{
	struct pw_uidlist l;
	struct pw_strbuf sb;

	pw_strbuf_init(&sb, 4096);
	int r = pw_uidlist_parse(cases[_i].text, &l, note, &sb);
	if (cases[_i].want == NULL) {
		ck_assert_int_eq(r, -1);
		ck_assert_uint_eq(sb.len, 0);
	} else {
		ck_assert_int_eq(r, 0);
		ck_assert_str_eq(pw_strbuf_cstr(&sb), cases[_i].want);
		ck_assert_uint_eq(l.uidvalidity, 1700000000);
	}
	pw_strbuf_free(&sb);
}
END_TEST

/* What is read of a file that is being written is the begin of what is read
 * when it is whole. */
START_TEST(cut_off_anywhere)
{
	static const char whole[] = HEAD "1 G01 :a.b,S=1\n2 :c\n30 W1 S2 :d\n";
	struct pw_uidlist l;
	struct pw_strbuf all, part;

	pw_strbuf_init(&all, 4096);
	pw_strbuf_init(&part, 4096);
	ck_assert_int_eq(pw_uidlist_parse(PW_LIT(HEAD
		    "1 G01 :a.b,S=1\n2 :c\n30 W1 S2 :d\n"),
			     &l, note, &all),
	    0);
	for (size_t n = 0; n < sizeof(whole); n++) {
		/* In memory of its own, so that a read behind it is seen. */
		char *copy = malloc(n > 0 ? n : 1);
		memcpy(copy, whole, n);
		pw_strbuf_reset(&part);
		(void)pw_uidlist_parse(pw_bytes(copy, n), &l, note, &part);
		ck_assert_uint_le(part.len, all.len);
		ck_assert(part.len == 0 ||
		    memcmp(part.ptr, all.ptr, part.len) == 0);
		free(copy);
	}
	ck_assert_uint_eq(part.len, all.len);
	pw_strbuf_free(&all);
	pw_strbuf_free(&part);
}
END_TEST

START_TEST(long_lines)
{
	struct pw_strbuf text, got;
	struct pw_uidlist l;

	pw_strbuf_init(&text, 1u << 20);
	pw_strbuf_init(&got, 4096);
	pw_strbuf_adds(&text, HEAD "1 :");
	for (int i = 0; i < 100000; i++)
		pw_strbuf_addc(&text, 'a');
	pw_strbuf_adds(&text, "\n2 :b\n");
	ck_assert_int_eq(
	    pw_uidlist_parse(pw_strbuf_bytes(&text), &l, note, &got), 0);
	ck_assert_str_eq(pw_strbuf_cstr(&got), "2=b;");
	ck_assert_uint_eq(l.next_uid, 42);
	pw_strbuf_free(&text);
	pw_strbuf_free(&got);
}
END_TEST

/* ---- names of files and folders ------------------------------------------ */

static const struct {
	const char *name, *base, *info;
	uint64_t w;
} names[] = {
	{ "1.M2P3.h,S=10,W=12:2,FS", "1.M2P3.h,S=10,W=12", ":2,FS", 12 },
	{ "1.M2P3.h,W=12,S=10", "1.M2P3.h,W=12,S=10", "", 12 },
	{ "1.M2P3.h", "1.M2P3.h", "", 0 },
	{ "a,W=:2,", "a,W=", ":2,", 0 },
	{ "a,W=12x", "a,W=12x", "", 0 },
	{ "a,W=99999999999999999999", "a,W=99999999999999999999", "", 0 },
	{ ":2,S", "", ":2,S", 0 },
	{ "a:1,x:2,S", "a", ":1,x:2,S", 0 },
};

START_TEST(file_names)
{
	struct pw_bytes base, info;

	pw_scan_name(pw_bytes_of(names[_i].name), &base, &info);
	ck_assert(pw_bytes_eq(base, pw_bytes_of(names[_i].base)));
	ck_assert(pw_bytes_eq(info, pw_bytes_of(names[_i].info)));
	ck_assert_uint_eq(pw_scan_field(base, 'W'), names[_i].w);
}
END_TEST

START_TEST(folder_names)
{
	static const struct {
		const char *entry, *folder;
	} f[] = { { ".Junk", "Junk" }, { ".Archive.2026", "Archive.2026" },
		{ ".Entw&APw-rfe", "Entw&APw-rfe" }, { ".", "" }, { "..", "" },
		{ "..DOVECOT-TRASHED", "" }, { "new", "" }, { "", "" } };

	for (size_t i = 0; i < PW_COUNT(f); i++)
		ck_assert_msg(pw_bytes_eq(pw_scan_folder_name(pw_bytes_of(
					      f[i].entry)),
				  pw_bytes_of(f[i].folder)),
		    "%s", f[i].entry);
}
END_TEST

Suite *pw_suite_storage_uidlist(void);
Suite *
pw_suite_storage_uidlist(void)
{
	Suite *s = suite_create("storage/uidlist");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, lists, 0, PW_COUNT(cases));
	tcase_add_test(t, cut_off_anywhere);
	tcase_add_test(t, long_lines);
	tcase_add_loop_test(t, file_names, 0, PW_COUNT(names));
	tcase_add_test(t, folder_names);
	suite_add_tcase(s, t);
	return s;
}
