/* SPDX-License-Identifier: ISC */
/* Records that share one: by kind, network and domain, within every bound. */
#include <check.h>
#include <stdio.h>

#include "base/clock.h"
#include "smtp/merge.h"

#define UNKNOWN "550 5.1.1 no such recipient"

static struct pw_loop *loop;
static struct pw_merge *m;
static unsigned alone, sent;
static uint64_t counted;
static struct pw_decision last;
static char last_peer[PW_IP_STRLEN];

static void
take(void *arg, const struct pw_decision *d)
{
	ck_assert_ptr_eq(arg, &sent);
	sent++;
	counted += d->count;
	last = *d;
	pw_ip_format(&d->peer, last_peer);
	ck_assert(d->count <= 1 || d->nrcpt <= 1);
}

static void
begin(uint32_t rate)
{
	struct pw_err err = { 0 };

	alone = sent = 0;
	counted = 0;
	loop = pw_loop_new(&err);
	m = pw_merge_new(loop, rate, take, &sent);
}

static void
end(void)
{
	pw_merge_free(&m);
	pw_loop_free(&loop);
}

/* As note.c does it. */
static void
one(const char *ip, uint8_t kind, const char *reply, const char *domain)
{
	struct pw_decision_rcpt rcpt[2] = {
		{ PW_LIT("a@x.test"), PW_LIT(""), PW_ACT_REFUSE, reply, "",
		    "", 0, NULL, 0 },
		{ PW_LIT("b@y.test"), PW_LIT(""), PW_ACT_REFUSE, reply, "",
		    "", 0, NULL, 0 },
	};
	struct pw_decision d = { .id = pw_id_new(), .session = pw_id_new(),
		.time_us = 1000, .listener = "mx", .helo = PW_LIT("h"),
		.rdns = "", .tls = "", .mail_from = PW_LIT(""), .reply = reply,
		.step = "", .auth_results = "", .dns = PW_LIT(""),
		.recording = PW_LIT(""), .kind = kind, .count = 1, .nrcpt = 2,
		.rcpt = rcpt };
	struct pw_merge_key key = { .kind = kind,
		.reply = pw_bytes_of(reply), .domain = pw_bytes_of(domain) };

	ck_assert_int_eq(pw_ip_parse(pw_bytes_of(ip), &key.peer), 0);
	d.peer = key.peer;
	switch (pw_merge_ask(m, &key, 2000)) {
	case PW_MERGE_ALONE:
		alone++;
		counted++;
		break;
	case PW_MERGE_FIRST:
		pw_merge_hold(m, &key, &d);
		break;
	case PW_MERGE_COUNTED:
		break;
	}
}

START_TEST(rate)
{
	begin(10);
	for (int i = 0; i < 100; i++)
		one("192.0.2.7", 1, UNKNOWN, "x.test");
	ck_assert_uint_eq(alone, 10);
	ck_assert_uint_eq(pw_merge_held(m), 1);
	ck_assert_uint_eq(sent, 0);
	pw_merge_flush(m);
	ck_assert_uint_eq(sent, 1);
	ck_assert_uint_eq(last.count, 90);
	ck_assert_uint_eq(last.net, 24);
	ck_assert_str_eq(last_peer, "192.0.2.0");
	ck_assert_int_eq(last.until_us, 2000);
	ck_assert_uint_eq(last.nrcpt, 1);
	pw_merge_flush(m);
	ck_assert_uint_eq(sent, 1);
	end();
}
END_TEST

/* What shares a record with the first of the table, and what does not. */
START_TEST(alike)
{
	static const struct {
		const char *ip, *reply, *domain;
		uint8_t kind;
		bool same;
	} rows[] = {
		{ "192.0.2.1", UNKNOWN, "x.test", 1, true },
		{ "192.0.2.255", UNKNOWN, "x.test", 1, true },
		{ "192.0.2.1", "550 5.1.1 other words", "x.test", 1, true },
		{ "192.0.3.1", UNKNOWN, "x.test", 1, false },
		{ "192.0.2.1", "550 5.7.1 no", "x.test", 1, false },
		{ "192.0.2.1", "421 5.1.1 no", "x.test", 1, false },
		{ "192.0.2.1", UNKNOWN, "y.test", 1, false },
		{ "192.0.2.1", UNKNOWN, "x.test", 2, false },
		{ "2001:db8::1", UNKNOWN, "x.test", 1, false },
	};

	for (size_t i = 0; i < PW_COUNT(rows); i++) {
		begin(0);
		one(rows[0].ip, rows[0].kind, rows[0].reply, rows[0].domain);
		one(rows[i].ip, rows[i].kind, rows[i].reply, rows[i].domain);
		ck_assert_msg(pw_merge_held(m) == (rows[i].same ? 1 : 2),
		    "row %zu", i);
		end();
		ck_assert_uint_eq(counted, 2);
	}
	begin(0);
	one("2001:db8::1", 1, UNKNOWN, "");
	one("2001:db8::ffff:0:1", 1, UNKNOWN, "");
	one("2001:db8:0:1::1", 1, UNKNOWN, "");
	ck_assert_uint_eq(pw_merge_held(m), 2);
	end();
	/* One that stayed alone in its entry keeps its address. */
	begin(0);
	one("192.0.2.9", 1, UNKNOWN, "");
	pw_merge_flush(m);
	ck_assert_uint_eq(last.net, 0);
	ck_assert_str_eq(last_peer, "192.0.2.9");
	end();
}
END_TEST

/* More networks than the table holds, more kinds than there are buckets: all
 * are counted. */
START_TEST(bounds)
{
	char ip[32], reply[32];

	begin(1);
	for (int i = 0; i < 40000; i++) {
		(void)snprintf(ip, sizeof(ip), "10.%d.%d.1", i / 200 % 200,
		    i % 200);
		one(ip, 1, UNKNOWN, "x.test");
	}
	ck_assert_uint_le(pw_merge_held(m), 1024);
	pw_merge_flush(m);
	ck_assert_uint_eq(counted, 40000);
	for (int i = 0; i < 300; i++) {
		(void)snprintf(reply, sizeof(reply), "550 5.7.%d no", i);
		one("192.0.2.1", 1, reply, "x.test");
		one("192.0.2.1", 1, reply, "x.test");
	}
	ck_assert_uint_le(pw_merge_held(m), 1024);
	end();
	ck_assert_uint_eq(counted, 40600);
}
END_TEST

/* What is held leaves by itself. */
START_TEST(leaves)
{
	begin(0);
	one("192.0.2.1", 1, UNKNOWN, "x.test");
	for (int i = 0; i < 80 && sent == 0; i++)
		pw_loop_step(loop, 100);
	ck_assert_uint_eq(sent, 1);
	end();
}
END_TEST

Suite *pw_suite_smtp_merge(void);
Suite *
pw_suite_smtp_merge(void)
{
	Suite *s = suite_create("smtp/merge");
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 20);
	tcase_add_test(t, rate);
	tcase_add_test(t, alike);
	tcase_add_test(t, bounds);
	tcase_add_test(t, leaves);
	suite_add_tcase(s, t);
	return s;
}
