/* SPDX-License-Identifier: ISC */
/*
 * Random walks through the commands, against a model that knows only states
 * and reply codes.  PW_MODEL_COMMANDS sets how many (100,000), PW_MODEL_SEED
 * where it begins.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "session_env.h"

enum model { GREETED, READY, MAIL, RCPT, CHUNKS, GONE };

struct move {
	const char *input;
	/* For each state: reply code, next state; -1: none of the two. */
	struct {
		const char *code;
		int next;
	} in[5];
};

#define SAME -1
#define ALL(code, next)                                                      \
	{                                                                    \
		{ code, next }, { code, next }, { code, next },              \
		    { code, next }, { code, next }                           \
	}
/* clang-format off */
static const struct move moves[] = {
	{ "EHLO a.test\r\n", ALL("250", READY) },
	{ "HELO a.test\r\n", ALL("250", READY) },
	{ "EHLO\r\n", ALL("501", SAME) },
	{ "NOOP\r\n", ALL("250", SAME) },
	{ "HELP me\r\n", ALL("214", SAME) },
	{ "VRFY x\r\n", ALL("252", SAME) },
	{ "EXPN x\r\n", ALL("502", SAME) },
	{ "BOGUS\r\n", ALL("500", SAME) },
	{ "NO\rOP\r\n", ALL("500", SAME) },
	{ "RSET x\r\n", ALL("501", SAME) },
	{ "QUIT\r\n", ALL("221", GONE) },
	{ "BDAT x\r\n", ALL("501", GONE) },
	{ "RSET\r\n", { { "250", SAME }, { "250", READY }, { "250", READY },
	    { "250", READY }, { "250", READY } } },
	{ "MAIL FROM:<a@b.test>\r\n", { { "503", SAME }, { "250", MAIL },
	    { "503", SAME }, { "503", SAME }, { "503", SAME } } },
	{ "MAIL FROM:<>\r\n", { { "503", SAME }, { "250", MAIL },
	    { "503", SAME }, { "503", SAME }, { "503", SAME } } },
	{ "MAIL FROM:<a@b.test> X=1\r\n", { { "503", SAME }, { "555", SAME },
	    { "503", SAME }, { "503", SAME }, { "503", SAME } } },
	{ "MAIL FROM:a@b.test\r\n", { { "503", SAME }, { "501", SAME },
	    { "503", SAME }, { "503", SAME }, { "503", SAME } } },
	{ "RCPT TO:<alice@example.test>\r\n", { { "503", SAME },
	    { "503", SAME }, { "250", RCPT }, { "250", RCPT },
	    { "503", SAME } } },
	{ "RCPT TO:<no@example.test>\r\n", { { "503", SAME },
	    { "503", SAME }, { "550", SAME }, { "550", SAME },
	    { "503", SAME } } },
	{ "RCPT TO:<a@other.test>\r\n", { { "503", SAME },
	    { "503", SAME }, { "550", SAME }, { "550", SAME },
	    { "503", SAME } } },
	{ "RCPT TO:<@a,@b:x@other.test>\r\n", { { "503", SAME },
	    { "503", SAME }, { "550", SAME }, { "550", SAME },
	    { "503", SAME } } },
	{ "RCPT TO:<>\r\n", { { "503", SAME }, { "503", SAME },
	    { "501", SAME }, { "501", SAME }, { "503", SAME } } },
	{ "BDAT 4\r\nab\r\n", { { "503", SAME }, { "503", SAME },
	    { "554", SAME }, { "250", CHUNKS }, { "250", CHUNKS } } },
	{ "BDAT 6 LAST\r\nQUIT\r\n", { { "503", SAME }, { "503", SAME },
	    { "554", SAME }, { "250", READY }, { "250", READY } } },
	{ "BDAT 0\r\n", { { "503", SAME }, { "503", SAME },
	    { "554", SAME }, { "250", CHUNKS }, { "250", CHUNKS } } },
};
/* clang-format on */

static uint64_t seed;

static uint32_t
next_random(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33);
}

static void
expect(const char *what, enum model state, const char *code)
{
	struct pw_bytes out = fake_conn_output();
	struct pw_bytes last = out;
	ptrdiff_t lf;

	/* The last reply's last line. */
	while (last.len > 2 && (lf = pw_bytes_chr(
		pw_bytes_sub(last, 0, last.len - 1), '\n')) >= 0)
		last = pw_bytes_sub(last, (size_t)lf + 1, last.len);
	ck_assert_msg(last.len > 4 && memcmp(last.ptr, code, 3) == 0 &&
		last.ptr[3] == ' ',
	    "in state %d: %s: %.*s, not %s", state, what, (int)out.len,
	    out.ptr, code);
}

/* DATA has its own two steps. */
static enum model
data(enum model state, size_t piece)
{
	static const char *const code[] = { "503", "503", "554", "354", "503" };

	session_feed(PW_LIT("DATA\r\n"), piece);
	expect("DATA", state, code[state]);
	if (state != RCPT)
		return state;
	if (next_random() % 2 == 0) {
		session_feed(PW_LIT("bad\nline\r\n.\r\n"), piece);
		expect("bad data", state, "550");
	} else {
		session_feed(PW_LIT("a: b\r\n\r\nQUIT\r\n..\r\n.\r\n"), piece);
		expect("data", state, "250");
	}
	return READY;
}

static enum model
step(enum model state)
{
	size_t piece = next_random() % 4;
	size_t i = next_random() % (PW_COUNT(moves) + 3);
	const struct move *m;

	fake.async = next_random() % 2 == 0;
	if (i >= PW_COUNT(moves))
		return data(state, piece);
	m = &moves[i];
	session_feed(pw_bytes_of(m->input), piece);
	expect(m->input, state, m->in[state].code);
	return m->in[state].next == SAME ? state
					 : (enum model)m->in[state].next;
}

START_TEST(test_walk)
{
	const char *n = getenv("PW_MODEL_COMMANDS");
	const char *from = getenv("PW_MODEL_SEED");
	long left = n != NULL ? strtol(n, NULL, 10) : 100000;
	enum model state = GONE;

	seed = from != NULL ? strtoull(from, NULL, 10) : 20260101;
	session_env_init(true);
	session_env_unlimited();
	while (left-- > 0) {
		if (state == GONE) {
			if (test_env.nsession > 0)
				session_close();
			session_open();
			expect("banner", GREETED, "220");
			state = GREETED;
		}
		state = step(state);
		if (state != GONE) {
			ck_assert(fake_conn_alive());
			pw_session_check(test_env.first);
		} else {
			ck_assert(!fake_conn_alive());
		}
	}
	session_close();
	ck_assert_uint_gt(fake.deliveries, 0);
}
END_TEST

Suite *pw_suite_smtp_model(void);

Suite *
pw_suite_smtp_model(void)
{
	Suite *s = suite_create("smtp/model");
	TCase *tc = tcase_create("walk");

	tcase_set_timeout(tc, 600);
	tcase_add_test(tc, test_walk);
	suite_add_tcase(s, tc);
	return s;
}
