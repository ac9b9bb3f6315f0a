/* SPDX-License-Identifier: ISC */
/*
 * A client of the resolve role, those who ask it, and a resolve role that the
 * test plays itself.  For the suites of the client; each has its own of all
 * this.
 */
#ifndef PW_TESTS_DNS_PLAYED_H
#define PW_TESTS_DNS_PLAYED_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "dns/wire.h"

static struct pw_loop *loop;
static struct pw_dns_client *client;
static struct pw_pool *pool;
static int peer; /* resolve's end of the channel */

/* One who asks. */
struct asker {
	struct pw_dns_query *q;
	int calls;
	uint8_t status;
	uint16_t nrr;
	char name[PW_DNS_NAME_SIZE];
	/* What to do when called: */
	struct asker *then_cancel;
	const char *then_ask;
	struct asker *then_asker;
	bool then_free;
	bool inside; /* pw_dns_ask() is running */
};

static inline void
new_channel(void)
{
	struct pw_err err;
	int fds[2];

	ck_assert_int_eq(pw_ipc_pair(fds, &err), 0);
	peer = fds[1];
	pw_dns_client_channel(client, fds[0]);
}

static inline void
set_up(void)
{
	struct pw_err err;

	pw_log_to(2, PW_LOG_ERROR, PW_LOG_KV);
	loop = pw_loop_new(&err);
	ck_assert_ptr_nonnull(loop);
	client = pw_dns_client_new(loop);
	pool = pw_pool_new(0);
	new_channel();
}

static inline void
tear_down(void)
{
	pw_dns_client_free(&client);
	pw_loop_free(&loop);
	pw_pool_free(&pool);
	if (peer >= 0)
		close(peer);
}

static inline void
rounds(int n)
{
	while (n-- > 0)
		pw_loop_step(loop, 0);
}

static void on_answer(void *arg, const struct pw_dns_answer *a);

static inline void
ask(struct asker *who, const char *name, unsigned deadline_ms)
{
	who->inside = true;
	who->q =
	    pw_dns_ask(client, name, PW_DNS_A, deadline_ms, on_answer, who);
	who->inside = false;
	ck_assert_ptr_nonnull(who->q);
}

static inline void
on_answer(void *arg, const struct pw_dns_answer *a)
{
	struct asker *who = arg;

	ck_assert(!who->inside);
	who->calls++;
	who->q = NULL;
	who->status = a->status;
	who->nrr = a->nrr;
	(void)snprintf(who->name, sizeof(who->name), "%s", a->name);
	if (who->then_cancel != NULL)
		pw_dns_cancel(&who->then_cancel->q);
	if (who->then_ask != NULL)
		ask(who->then_asker, who->then_ask, 1000);
	if (who->then_free)
		pw_dns_client_free(&client);
}

/* ---- the other side ---------------------------------------------------- */

struct asked {
	uint32_t count;
	struct {
		uint32_t qid;
		uint16_t type;
		uint32_t deadline_ms;
		char name[PW_DNS_NAME_SIZE];
	} e[PW_DNS_BATCH];
};

/* Takes one frame of TYPE; false when none comes. */
static inline bool
take(uint16_t type, struct asked *out)
{
	struct pw_frame f;
	struct pw_err err;
	struct pw_dec d;
	char *body;

	/* The loop is ours: what was sent is there already. */
	if (pw_ipc_recv_wait(peer, &f, &body, 1, &err) != 0)
		return false;
	ck_assert_uint_eq(f.type, type);
	pw_dec_init(&d, f.body);
	out->count = pw_dec_count(&d, PW_DNS_BATCH, 4);
	for (uint32_t i = 0; i < out->count; i++) {
		out->e[i].qid = pw_dec_u32(&d);
		if (type == PW_DNS_FRAME_CANCEL)
			continue;
		out->e[i].type = pw_dec_u16(&d);
		out->e[i].deadline_ms = pw_dec_u32(&d);
		struct pw_bytes name = pw_dec_bytes(&d);
		ck_assert_uint_lt(name.len, PW_DNS_NAME_SIZE);
		memcpy(out->e[i].name, name.ptr, name.len);
		out->e[i].name[name.len] = '\0';
	}
	ck_assert_int_eq(pw_dec_end(&d), 0);
	free(body);
	return true;
}

static inline void
send_body(uint16_t type, struct pw_bytes body)
{
	struct pw_err err;

	ck_assert_int_eq(
	    pw_ipc_send_wait(peer, type, 0, body, NULL, 0, 1000, &err), 0);
}

static inline void
enc_answer(struct pw_enc *e, uint32_t qid, const char *name, uint8_t status)
{
	struct pw_dns_rr rr = {0, {"\x7f\0\0\1", 4}};
	struct pw_dns_answer a = {
	    name, PW_DNS_A, status, false, 60, status == PW_DNS_OK, 0, &rr};

	pw_enc_u32(e, qid);
	pw_dns_answer_enc(e, &a);
}

static inline void
answer(uint32_t qid, const char *name, uint8_t status)
{
	struct pw_enc e;

	pw_enc_init(&e, 4096);
	pw_enc_u32(&e, 1);
	enc_answer(&e, qid, name, status);
	send_body(PW_DNS_FRAME_ANSWER, pw_enc_done(&e));
	pw_enc_free(&e);
}

#endif
