/* SPDX-License-Identifier: ISC */
/* Front's clients of scan and store, against the other end of a channel. */
#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#include "host/msg.h"
#include "host/scan_client.h"
#include "host/store_client.h"
#include "net/ipc.h"

static struct pw_loop *loop;
static struct pw_scan_pool *pool;
static struct pw_ipc *peer;
static bool silent;
static unsigned frames, answers, crashed, late, stuck;
static enum pw_store_code code;

static void
on_frame(struct pw_ipc *ipc, struct pw_frame *f)
{
	struct pw_enc e;

	frames++;
	if (silent)
		return;
	pw_enc_init(&e, 256);
	if (f->type == PW_MSG_SCAN) {
		(void)pw_ipc_send(ipc, PW_MSG_SCANNED, f->id, f->body, NULL,
		    0);
	} else if (f->type == PW_MSG_PIECE) {
		pw_enc_u8(&e, PW_STORE_NOSPACE);
		pw_enc_str(&e, "full");
		(void)pw_ipc_send(ipc, PW_MSG_PIECED, f->id,
		    pw_enc_done(&e), NULL, 0);
	}
	pw_enc_free(&e);
}

static void
on_close(struct pw_ipc *ipc)
{
	pw_ipc_free(&ipc);
	peer = NULL;
}

static int
channel(void)
{
	static const struct pw_ipc_ops ops = { on_frame, on_close };
	struct pw_err err = { 0 };
	int fds[2];

	ck_assert_int_eq(0, pw_ipc_pair(fds, &err));
	peer = pw_ipc_new(loop, fds[0], &ops, NULL);
	return fds[1];
}

static void
run(int ms)
{
	for (int i = 0; i < 20; i++)
		pw_loop_step(loop, ms / 20);
}

static void
on_scanned(void *arg, const struct pw_scan_reply *r)
{
	(void)arg;
	if (r->rc == PW_OK)
		answers++;
	else if (strcmp(r->reason, "crashed") == 0)
		crashed++;
	else
		late++;
}

static void
on_stuck(void *arg, unsigned number)
{
	(void)arg;
	stuck = number;
}

static void
on_result(void *arg, const struct pw_store_result *r)
{
	(void)arg;
	answers++;
	code = r->code;
}

static void
setup(void)
{
	struct pw_err err = { 0 };

	loop = pw_loop_new(&err);
	ck_assert_ptr_nonnull(loop);
	pool = pw_scan_pool_new();
	frames = answers = crashed = late = stuck = 0;
	silent = false;
}

static void
teardown(void)
{
	pw_ipc_free(&peer);
	pw_scan_pool_free(&pool);
	pw_loop_free(&loop);
}

START_TEST(test_scan)
{
	struct pw_scan_client *c = pw_scan_client_new(loop, pool, on_stuck, NULL);
	const struct pw_scan_runner *r = pw_scan_client_runner(c);
	void *h;

	pw_scan_client_channel(c, 1, channel());
	for (int i = 0; i < 5; i++)
		ck_assert_ptr_nonnull(r->submit(r->host, false, PW_LIT("x"),
		    -1, 5000, on_scanned, NULL));
	ck_assert_uint_eq(answers, 0);
	run(100);
	ck_assert_uint_eq(answers, 5);
	/* Envelope work has no process: it waits, then fails. */
	(void)r->submit(r->host, true, PW_LIT("x"), -1, 50, on_scanned, NULL);
	run(200);
	ck_assert_uint_eq(late, 1);
	ck_assert_uint_eq(stuck, 0);
	/* One job in flight; what waits outlives a crash. */
	silent = true;
	frames = 0;
	for (int i = 0; i < 3; i++)
		h = r->submit(r->host, false, PW_LIT("x"), -1, 5000,
		    on_scanned, NULL);
	run(60);
	ck_assert_uint_eq(frames, 1);
	r->cancel(r->host, h);
	pw_ipc_free(&peer);
	run(60);
	ck_assert_uint_eq(crashed, 1);
	silent = false;
	pw_scan_client_channel(c, 2, channel());
	run(60);
	ck_assert_uint_eq(answers, 6);
	silent = true;
	(void)r->submit(r->host, false, PW_LIT("x"), -1, 50, on_scanned, NULL);
	run(200);
	ck_assert_uint_eq(late, 2);
	ck_assert_uint_eq(stuck, 2);
	/* A job that nobody wants any more may still be stuck. */
	pw_ipc_free(&peer);
	pw_scan_client_channel(c, 3, channel());
	h = r->submit(r->host, false, PW_LIT("x"), -1, 60, on_scanned, NULL);
	run(20);
	r->cancel(r->host, h);
	run(200);
	ck_assert_uint_eq(stuck, 3);
	(void)r->submit(r->host, false, PW_LIT("x"), -1, 5000, on_scanned,
	    NULL);
	pw_scan_client_free(&c);
}
END_TEST

/* Two threads' clients share a process: one job at a time is in it, and its end
 * concerns that job alone. */
START_TEST(test_scan_shared)
{
	struct pw_scan_client *c[2];
	struct pw_ipc *end[2];
	const struct pw_scan_runner *r[2];

	silent = true;
	for (int i = 0; i < 2; i++) {
		c[i] = pw_scan_client_new(loop, pool, on_stuck, NULL);
		r[i] = pw_scan_client_runner(c[i]);
		pw_scan_client_channel(c[i], 1, channel());
		end[i] = peer;
	}
	for (int i = 0; i < 2; i++)
		(void)r[i]->submit(r[i]->host, false, PW_LIT("x"), -1, 5000,
		    on_scanned, NULL);
	run(60);
	ck_assert_uint_eq(frames, 1);
	/* The process ends: both channels close. */
	pw_ipc_free(&end[0]);
	pw_ipc_free(&end[1]);
	run(60);
	ck_assert_uint_eq(crashed, 1);
	ck_assert_uint_eq(late, 0);
	silent = false;
	for (int i = 0; i < 2; i++) {
		pw_scan_client_channel(c[i], 1, channel());
		end[i] = peer;
	}
	run(60);
	ck_assert_uint_eq(answers, 1);
	/* Whoever waits is woken when the other is done. */
	for (int i = 0; i < 10; i++)
		(void)r[i % 2]->submit(r[i % 2]->host, false, PW_LIT("x"), -1,
		    5000, on_scanned, NULL);
	for (int i = 0; i < 20 && answers < 11; i++)
		run(40);
	ck_assert_uint_eq(answers, 11);
	for (int i = 0; i < 2; i++) {
		pw_scan_client_free(&c[i]);
		pw_ipc_free(&end[i]);
	}
	peer = NULL;
}
END_TEST

START_TEST(test_store)
{
	struct pw_store_client *c = pw_store_client_new(loop, NULL, NULL);
	struct pw_id id = pw_id_new();
	struct pw_store_call *call;
	const char *reason;

	ck_assert_int_eq(PW_STORE_TEMPFAIL,
	    pw_store_client_state(c, &reason));
	ck_assert_ptr_nonnull(
	    pw_store_client_piece(c, &id, 0, 1, on_result, NULL));
	run(40);
	ck_assert_uint_eq(answers, 1);
	ck_assert_int_eq(code, PW_STORE_TEMPFAIL);
	pw_store_client_channel(c, channel());
	(void)pw_store_client_piece(c, &id, 0, 1, on_result, NULL);
	run(60);
	ck_assert_uint_eq(answers, 2);
	ck_assert_int_eq(code, PW_STORE_NOSPACE);
	silent = true;
	(void)pw_store_client_piece(c, &id, 0, 1, on_result, NULL);
	call = pw_store_client_piece(c, &id, 0, 1, on_result, NULL);
	pw_store_client_cancel(c, &call);
	ck_assert_ptr_null(call);
	run(40);
	pw_ipc_free(&peer);
	run(60);
	ck_assert_uint_eq(answers, 3);
	ck_assert_int_eq(code, PW_STORE_TEMPFAIL);
	ck_assert_uint_eq(pw_store_client_open_calls(c), 0);
	pw_store_client_free(&c);
}
END_TEST

Suite *pw_suite_host_clients(void);

Suite *
pw_suite_host_clients(void)
{
	Suite *s = suite_create("host/clients");
	TCase *tc = tcase_create("clients");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_scan);
	tcase_add_test(tc, test_scan_shared);
	tcase_add_test(tc, test_store);
	suite_add_tcase(s, tc);
	return s;
}
