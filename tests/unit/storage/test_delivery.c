/* SPDX-License-Identifier: ISC */
/* The forms of decisions, deliveries and journal records: round trips, every
 * cut-off length, every changed octet. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "storage/record.h"
#include "storage/store.h"

static struct pw_decision_rcpt rcpt[2];
static const struct pw_list_entry listed[2] = {
	{ 7, PW_LIST_ALLOW, PW_LIST_DOMAIN, PW_LIST_FOR_ALL, 0, "h.test", "" },
	{ 9, PW_LIST_BLOCK, PW_LIST_NETWORK, PW_LIST_FOR_MAILBOX, PW_ACT_HOLD,
	    "2001::/16", "why" } };
static struct pw_evidence evidence[1];
static struct pw_stage_run run[1];
static struct pw_decision decision;
static struct pw_target target[2];
static struct pw_cut cut[1] = { { 10, 5 } };
static struct pw_meta meta;
static struct pw_delivery delivery;

static void
setup(void)
{
	rcpt[0] = (struct pw_decision_rcpt){ PW_LIT("Alice@example.org"),
		PW_LIT("alice@example.org"), PW_ACT_DELIVER, "250 2.1.5 ok",
		"stored", "score reaches", 6.5, listed, 2 };
	rcpt[1] = (struct pw_decision_rcpt){ PW_LIT("bob@example.org"),
		PW_LIT("bob@example.org"), PW_ACT_HOLD, "250 2.1.5 ok", "",
		"", 0, NULL, 0 };
	evidence[0] = (struct pw_evidence){ "spf", "SPF_PASS", -0.25, 1, true,
		PW_LIT("192.0.2.1 may send") };
	run[0] = (struct pw_stage_run){ "spf", 3, PW_OUT_HIT, "", 120, 80 };
	decision = (struct pw_decision){ .id = pw_id_new(),
		.time_us = 1700000000123456, .peer = { 6, { 0x20, 1 } },
		.peer_port = 2525, .listener = "mx", .helo = PW_LIT("h.test"),
		.rdns = "r.test", .tls = "", .esmtp = true,
		.mail_from = PW_LIT("s@h.test"), .size = 4711,
		.reply = "250 2.0.0 stored", .action = PW_ACT_DELIVER,
		.step = "default", .score = 1.5, .auth_results = "mx; spf=pass",
		.config_generation = 7, .nrcpt = 2, .rcpt = rcpt,
		.nevidence = 1, .evidence = evidence, .nrun = 1, .run = run,
		.dns = PW_LIT("\0\1\2"), .kind = PW_DEC_TRANSACTION,
		.count = 4711, .net = 24, .until_us = 1700000000999999,
		.recording = PW_LIT("\1rec\0") };
	target[0] = (struct pw_target){ PW_LIT("alice@example.org"), "Junk",
		PW_ACT_JUNK, PW_LIT("Return-Path: <>\r\n"), 1000, true, 0 };
	target[1] = (struct pw_target){ PW_LIT("bob@example.org"), "",
		PW_ACT_HOLD, PW_LIT("X: y\r\n"), 0, false, 1 };
	meta = (struct pw_meta){ .header_len = 100, .message_id = PW_LIT("<1>"),
		.in_reply_to = PW_LIT(""), .references = PW_LIT(""),
		.from = PW_LIT("a"), .to = PW_LIT("b"), .cc = PW_LIT(""),
		.subject = PW_LIT("s"), .date = 5, .structure = PW_LIT("{}"),
		.envelope = PW_LIT("{}"), .ncut = 1, .cut = cut };
	delivery = (struct pw_delivery){ .decision = &decision, .meta = &meta,
		.fd = -1, .size = 4711, .ntarget = 2, .target = target };
}

static struct pw_delivery *
decode(struct pw_bytes in, struct pw_pool *pool)
{
	struct pw_dec d;
	struct pw_delivery *o;

	pw_dec_init(&d, in);
	o = pw_delivery_dec(&d, pool);
	return o != NULL && pw_dec_end(&d) == 0 ? o : NULL;
}

START_TEST(round_trip)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_enc e, again;
	struct pw_delivery *o;

	pw_enc_init(&e, 1 << 20);
	pw_enc_init(&again, 1 << 20);
	delivery.spool = pw_id_new();
	pw_delivery_enc(&e, &delivery);
	o = decode(pw_enc_done(&e), pool);
	ck_assert_ptr_nonnull(o);
	ck_assert_str_eq(o->decision->id.s, decision.id.s);
	ck_assert_int_eq(o->decision->time_us, decision.time_us);
	ck_assert(pw_ip_eq(&o->decision->peer, &decision.peer));
	ck_assert_str_eq(o->decision->rcpt[0].fate, "stored");
	ck_assert_str_eq(o->decision->rcpt[0].step, "score reaches");
	ck_assert_double_eq(o->decision->rcpt[0].score, 6.5);
	ck_assert_uint_eq(o->decision->rcpt[0].nentry, 2);
	ck_assert_int_eq(o->decision->rcpt[0].entry[1].id, 9);
	ck_assert_str_eq(o->decision->rcpt[0].entry[1].pattern, "2001::/16");
	ck_assert_uint_eq(o->decision->rcpt[1].nentry, 0);
	ck_assert_uint_eq(o->decision->kind, PW_DEC_TRANSACTION);
	ck_assert_uint_eq(o->decision->count, 4711);
	ck_assert_uint_eq(o->decision->net, 24);
	ck_assert_int_eq(o->decision->until_us, decision.until_us);
	ck_assert(pw_bytes_eq(o->decision->recording, decision.recording));
	ck_assert_double_eq(o->decision->evidence[0].weight, -0.25);
	ck_assert(o->decision->evidence[0].shadow);
	ck_assert_uint_eq(o->meta->cut[0].len, 5);
	ck_assert_str_eq(o->spool.s, delivery.spool.s);
	ck_assert_str_eq(o->target[0].folder, "Junk");
	ck_assert(o->target[0].hold_over_quota);
	ck_assert_int_eq(o->fd, -1);
	pw_delivery_enc(&again, o);
	ck_assert(pw_bytes_eq(pw_enc_done(&e), pw_enc_done(&again)));
	pw_enc_free(&e);
	pw_enc_free(&again);
	pw_pool_free(&pool);
}
END_TEST

/* A journal may hold records of the version before; a message never stands for
 * several. */
START_TEST(kinds)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_decision *o;
	struct pw_bytes all;
	struct pw_dec d;
	struct pw_enc e;

	decision.nrcpt = 0; /* in which versions 1 and 2 differ */
	pw_enc_init(&e, 1 << 20);
	pw_decision_enc(&e, &decision);
	all = pw_enc_done(&e);
	for (int version = 0; version <= 4; version++) {
		struct pw_bytes in = all;

		e.sb.ptr[0] = (char)version;
		if (version < 3)
			in.len -= 1 + 4 + 1 + 8 + 4 + decision.recording.len;
		pw_dec_init(&d, in);
		o = pw_decision_dec(&d, pool);
		ck_assert((o != NULL) == (version >= 1 && version <= 3));
		if (o == NULL)
			continue;
		ck_assert_int_eq(pw_dec_end(&d), 0);
		ck_assert_str_eq(o->step, "default");
		ck_assert_uint_eq(o->kind, version < 3 ? PW_DEC_MESSAGE :
		    PW_DEC_TRANSACTION);
		ck_assert_uint_eq(o->recording.len, version < 3 ? 0 :
		    decision.recording.len);
	}
	decision.kind = PW_DEC_MESSAGE;
	pw_enc_reset(&e);
	pw_decision_enc(&e, &decision);
	pw_dec_init(&d, pw_enc_done(&e));
	ck_assert_ptr_null(pw_decision_dec(&d, pool));
	decision.kind = 3;
	pw_enc_reset(&e);
	pw_decision_enc(&e, &decision);
	pw_dec_init(&d, pw_enc_done(&e));
	ck_assert_ptr_null(pw_decision_dec(&d, pool));
	pw_enc_free(&e);
	pw_pool_free(&pool);
}
END_TEST

START_TEST(without_meta)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_delivery *o;
	struct pw_enc e;

	pw_enc_init(&e, 1 << 20);
	delivery.meta = NULL;
	delivery.ntarget = 0;
	pw_delivery_enc(&e, &delivery);
	o = decode(pw_enc_done(&e), pool);
	ck_assert_ptr_nonnull(o);
	ck_assert_ptr_null(o->meta);
	ck_assert_uint_eq(o->ntarget, 0);
	pw_enc_free(&e);
	pw_pool_free(&pool);
}
END_TEST

/* No part of a frame is a frame, and no changed octet does harm. */
START_TEST(cut_and_changed)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_enc e;
	struct pw_bytes all;

	pw_enc_init(&e, 1 << 20);
	pw_delivery_enc(&e, &delivery);
	all = pw_enc_done(&e);
	for (size_t n = 0; n < all.len; n++) {
		pw_pool_reset(pool);
		/* A copy of exactly this size, for the sanitizer. */
		char *copy = malloc(n + 1);
		memcpy(copy, all.ptr, n);
		ck_assert_ptr_null(decode(pw_bytes(copy, n), pool));
		free(copy);
	}
	for (size_t i = 0; i < all.len; i++)
		for (int bit = 0; bit < 8; bit += 7) {
			pw_pool_reset(pool);
			e.sb.ptr[i] ^= (char)(1 << bit);
			(void)decode(all, pool);
			e.sb.ptr[i] ^= (char)(1 << bit);
		}
	pw_enc_free(&e);
	pw_pool_free(&pool);
}
END_TEST

START_TEST(refused)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_enc e;

	pw_enc_init(&e, 1 << 20);
	target[1].rcpt = 2; /* beyond the recipients */
	pw_delivery_enc(&e, &delivery);
	ck_assert_ptr_null(decode(pw_enc_done(&e), pool));
	setup();
	pw_enc_reset(&e);
	target[0].action = PW_ACT_DISCARD;
	pw_delivery_enc(&e, &delivery);
	ck_assert_ptr_null(decode(pw_enc_done(&e), pool));
	setup();
	pw_enc_reset(&e);
	delivery.size = 12; /* the cut lies beyond */
	pw_delivery_enc(&e, &delivery);
	ck_assert_ptr_null(decode(pw_enc_done(&e), pool));
	ck_assert_str_eq(pw_action_name(PW_ACT_HOLD), "hold");
	ck_assert_str_eq(pw_action_name(200), "unknown");
	pw_enc_free(&e);
	pw_pool_free(&pool);
}
END_TEST

/* ---- records -------------------------------------------------------------- */

static void
build(struct pw_enc *e, const char *path)
{
	struct pw_rfile file[2] = {
		{ PW_PLACE_MAIL, PW_LIT("a@x"), PW_LIT(""), pw_bytes_of(path),
		    PW_LIT("1.M2P3.h,S=1"), PW_LIT("P: 1\n"), 9, 10, 0 },
		{ PW_PLACE_QUARANTINE, PW_LIT("b@x"), PW_LIT(""),
		    PW_LIT("quarantine"), PW_LIT("2.M2P3.h"), PW_LIT(""), 4, 5,
		    1 },
	};
	const struct pw_rcut cuts[1] = { { 3, PW_LIT("X: y\r\n") } };
	size_t mark;

	pw_record_begin(e, PW_RECORD_MAIL, 77);
	memcpy(pw_strbuf_reserve(&e->sb, 4), "body", 4);
	pw_record_body(e, 4, PW_RECORD_LF);
	pw_record_files(e, "theid", file, 2);
	mark = pw_record_open(e);
	pw_enc_u8(e, 'd');
	pw_record_shut(e, mark);
	mark = pw_record_open(e);
	pw_record_shut(e, mark);
	pw_record_cuts(e, cuts, 1);
	ck_assert(pw_record_end(e));
}

static int
read_back(const struct pw_enc *e, struct pw_pool *pool, struct pw_record *r)
{
	return pw_record_dec(pw_bytes(e->sb.ptr + PW_JOURNAL_HEAD,
				 e->sb.len - PW_JOURNAL_HEAD), pool, r);
}

START_TEST(record)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_record r;
	struct pw_enc e;

	pw_enc_init(&e, 1 << 20);
	build(&e, "x/a");
	ck_assert_uint_eq(e.sb.len % 8, 0);
	ck_assert(pw_bytes_eq(pw_bytes(e.sb.ptr + PW_RECORD_BODY_AT, 4),
	    PW_LIT("body")));
	ck_assert_int_eq(read_back(&e, pool, &r), 0);
	ck_assert_int_eq(r.kind, PW_RECORD_MAIL);
	ck_assert_uint_eq(r.flags, PW_RECORD_LF);
	ck_assert_int_eq(r.us, 77);
	ck_assert(pw_bytes_eq(r.body, PW_LIT("body")));
	ck_assert(pw_bytes_eq(r.decision, PW_LIT("d")));
	ck_assert_uint_eq(r.meta.len, 0);
	ck_assert_uint_eq(r.nfile, 2);
	ck_assert_uint_eq(r.file[0].vsize, 10);
	ck_assert_int_eq(r.file[1].place, PW_PLACE_QUARANTINE);
	ck_assert(pw_bytes_eq(r.cut[0].bytes, PW_LIT("X: y\r\n")));
	for (size_t n = e.sb.len - PW_JOURNAL_HEAD; n > 0; n--)
		(void)pw_record_dec(pw_bytes(e.sb.ptr + PW_JOURNAL_HEAD,
					n - 1), pool, &r);
	pw_enc_reset(&e);
	build(&e, "x/../a");
	ck_assert_int_eq(read_back(&e, pool, &r), -1);
	pw_enc_free(&e);
	pw_pool_free(&pool);
}
END_TEST

START_TEST(cancel_record)
{
	struct pw_pool *pool = pw_pool_new(0);
	const uint64_t seq[3] = { 5, 6, UINT64_MAX };
	struct pw_record r;
	struct pw_enc e;

	pw_enc_init(&e, 1 << 20);
	pw_record_begin(&e, PW_RECORD_CANCEL, 1);
	pw_record_body(&e, 0, 0);
	pw_record_cancel(&e, seq, 3);
	ck_assert(pw_record_end(&e));
	ck_assert_int_eq(read_back(&e, pool, &r), 0);
	ck_assert_int_eq(r.kind, PW_RECORD_CANCEL);
	ck_assert_uint_eq(r.ncancel, 3);
	ck_assert_uint_eq(r.cancel[2], UINT64_MAX);
	pw_enc_free(&e);
	pw_pool_free(&pool);
}
END_TEST

Suite *pw_suite_storage_delivery(void);
Suite *
pw_suite_storage_delivery(void)
{
	Suite *s = suite_create("storage/delivery");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, round_trip);
	tcase_add_test(t, kinds);
	tcase_add_test(t, without_meta);
	tcase_add_test(t, cut_and_changed);
	tcase_add_test(t, refused);
	tcase_add_test(t, record);
	tcase_add_test(t, cancel_record);
	suite_add_tcase(s, t);
	return s;
}
