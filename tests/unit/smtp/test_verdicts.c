/* SPDX-License-Identifier: ISC */
/*
 * One message, several recipients, every pair of verdicts: what is answered,
 * what is stored, what is on record, with PRDR and without.
 */
#include <check.h>
#include <stdio.h>

#include "session_env.h"
#include "storage/decision.h"

Suite *pw_suite_smtp_verdicts(void);

/* Numbered as enum pw_action. */
static const char *const name[] = { "deliver", "junk", "hold", "keep",
	"refuse", "defer", "discard" };
#define N 7
#define PRDR "MAIL FROM:<s@sender.test> PRDR\r\n"
#define PLAIN "MAIL FROM:<s@sender.test>\r\n"

static const char *
dialogue(const char *mail, int a, int b)
{
	static char text[400];

	(void)snprintf(text, sizeof(text), "EHLO c.test\r\n%s"
	    "RCPT TO:<%s@example.test>\r\nRCPT TO:<%s@example.test>\r\n"
	    "DATA\r\nA: b\r\n\r\nx\r\n.\r\nNOOP\r\n", mail, name[a], name[b]);
	return text;
}

static bool
refused(int a)
{
	return a == PW_ACT_REFUSE_KEEP || a == PW_ACT_REFUSE;
}

/* What is done in the end for the first of a pair, by the rule without PRDR. */
static uint8_t
done(int a, int b)
{
	if (a == PW_ACT_DEFER || b == PW_ACT_DEFER)
		return PW_ACT_DEFER;
	if (refused(a) && !refused(b))
		return PW_ACT_HOLD;
	return (uint8_t)a;
}

static size_t
copies(uint8_t action)
{
	return action <= PW_ACT_REFUSE_KEEP;
}

static const char *
class_of(int a)
{
	return a == PW_ACT_DEFER ? "451" : refused(a) ? "550" : "250";
}

static void
check_targets(const uint8_t *want)
{
	size_t n = 0;

	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(fake.row[i].action, want[i]);
		ck_assert_str_ne(fake.row[i].step, "");
		if (copies(want[i]) == 0)
			continue;
		ck_assert_uint_eq(fake.target[n].action, want[i]);
		ck_assert_str_eq(fake.target[n].folder,
		    want[i] == PW_ACT_JUNK ? "Junk" : "");
		n++;
	}
	ck_assert_uint_eq(fake.ntarget, n);
}

START_TEST(test_pairs)
{
	int a = _i / N, b = _i % N;
	const uint8_t want[2] = { done(a, b), done(b, a) };
	const char *end = want[0] == PW_ACT_DEFER ? "451" :
	    refused(want[0]) && refused(want[1]) ? "550" : "250";
	char all[80];

	session_open();
	session_feed(pw_bytes_of(dialogue(PLAIN, a, b)), 0);
	(void)snprintf(all, sizeof(all),
	    "220 250 250 250 250 354 %s 250", end);
	ck_assert_str_eq(session_codes(fake_conn_output()), all);
	ck_assert_uint_eq(fake.nrow, 2);
	if (a != b) {
		check_targets(want);
		for (int i = 0; i < 2; i++)
			ck_assert((strstr(fake.row[i].step, "one reply must do")
			    != NULL) == (want[i] != (i == 0 ? a : b)));
	} else if (copies(want[0]) == 1) {
		/* One mailbox, one copy. */
		ck_assert_uint_eq(fake.ntarget, 1);
		ck_assert_str_eq(fake.row[1].fate, "same copy");
	}
	session_close();
}
END_TEST

START_TEST(test_prdr_pairs)
{
	int a = _i / N, b = _i % N;
	const uint8_t want[2] = { (uint8_t)a, (uint8_t)b };
	const char *end = strcmp(class_of(a), "250") == 0 ||
		strcmp(class_of(b), "250") == 0 ? "250" :
	    a == PW_ACT_DEFER || b == PW_ACT_DEFER ? "451" : "550";
	char all[80];

	session_open();
	session_feed(pw_bytes_of(dialogue(PRDR, a, b)), 0);
	(void)snprintf(all, sizeof(all),
	    "220 250 250 250 250 354 353 %s %s %s 250", class_of(a),
	    class_of(b), end);
	ck_assert_str_eq(session_codes(fake_conn_output()), all);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(strncmp(fake.row[i].reply,
		    class_of(i == 0 ? a : b), 3), 0);
	if (a != b)
		check_targets(want);
	session_close();
}
END_TEST

/* The store takes nothing: who would have got it is asked to try again, who
 * was refused stays refused. */
START_TEST(test_not_stored)
{
	int a = _i / N, b = _i % N;
	uint8_t x = done(a, b), y = done(b, a);
	const char *end = x == PW_ACT_DEFER ? "451" :
	    refused(x) && refused(y) ? "550" : "452";
	char all[80];

	fake.code = PW_STORE_NOSPACE;
	session_open();
	session_feed(pw_bytes_of(dialogue(PLAIN, a, b)), 0);
	(void)snprintf(all, sizeof(all),
	    "220 250 250 250 250 354 %s 250", end);
	ck_assert_str_eq(session_codes(fake_conn_output()), all);
	if (x == PW_ACT_REFUSE_KEEP && refused(y)) {
		ck_assert_uint_eq(fake.ntarget, 0);
		ck_assert_uint_eq(fake.row[0].action, PW_ACT_REFUSE);
		ck_assert_str_eq(fake.row[0].fate,
		    "the copy could not be kept");
	}
	session_close();
	session_open();
	session_feed(pw_bytes_of(dialogue(PRDR, a, b)), 0);
	(void)snprintf(all, sizeof(all),
	    "220 250 250 250 250 354 353 %s %s ",
	    strcmp(class_of(a), "250") == 0 ? "452" : class_of(a),
	    strcmp(class_of(b), "250") == 0 ? "452" : class_of(b));
	ck_assert_int_eq(strncmp(session_codes(fake_conn_output()), all, strlen(all)),
	    0);
	session_close();
}
END_TEST

/* A copy that is not delivered says what was done with it, and why. */
START_TEST(test_field)
{
	session_open();
	session_feed(pw_bytes_of(dialogue(PLAIN, PW_ACT_JUNK, PW_ACT_DISCARD)),
	    0);
	ck_assert_ptr_nonnull(strstr(pw_strbuf_cstr(&fake.prefix),
	    "\r\nX-Postward: junk; score=6.00; junk score\r\n"));
	session_close();
	session_open();
	session_feed(pw_bytes_of(dialogue(PLAIN, PW_ACT_DELIVER,
	    PW_ACT_DISCARD)), 0);
	ck_assert_ptr_null(strstr(pw_strbuf_cstr(&fake.prefix), "X-Postward"));
	session_close();
}
END_TEST

/* With one recipient, refused octets and no word of PRDR there is one reply. */
START_TEST(test_prdr_without)
{
	session_open();
	session_feed(PW_LIT("EHLO c.test\r\n" PRDR
	    "RCPT TO:<junk@example.test>\r\nDATA\r\nx\r\n.\r\n"), 0);
	ck_assert_str_eq(session_codes(fake_conn_output()),
	    "220 250 250 250 354 250");
	session_close();
	session_open();
	session_feed(PW_LIT("EHLO c.test\r\n" PRDR
	    "RCPT TO:<junk@example.test>\r\nRCPT TO:<alice@example.test>\r\n"
	    "DATA\r\nx\ry\r\n.\r\n"), 0);
	ck_assert_str_eq(session_codes(fake_conn_output()),
	    "220 250 250 250 250 354 550");
	session_close();
}
END_TEST

static void
setup(void)
{
	session_env_init(false);
}

Suite *
pw_suite_smtp_verdicts(void)
{
	Suite *s = suite_create("smtp/verdicts");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, test_pairs, 0, N * N);
	tcase_add_loop_test(tc, test_prdr_pairs, 0, N * N);
	tcase_add_loop_test(tc, test_not_stored, 0, N * N);
	tcase_add_test(tc, test_field);
	tcase_add_test(tc, test_prdr_without);
	suite_add_tcase(s, tc);
	return s;
}
