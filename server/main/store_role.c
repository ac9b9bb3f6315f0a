/* SPDX-License-Identifier: ISC */
/*
 * The role store, put together: the store itself, its channels to front and
 * scan, the control thread.  See store_role.h.
 */
#include "main/store_role.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/pool.h"
#include "ctl/control.h"
#include "host/parse_client.h"
#include "host/sandbox.h"
#include "host/store_server.h"
#include "storage/follow.h"
#include "storage/store.h"

#define TICK_MS 1000

struct store_role {
	struct pw_loop *loop;
	struct pw_config *cfg;
	struct pw_master_link *link;
	struct pw_store *store;
	struct pw_store_server *server;
	struct pw_parse_client *parse;
	struct pw_control *control;
	struct pw_timer tick;
};

/* ---- live options -------------------------------------------------------------- */

void
pw_store_role_live_enc(struct pw_enc *e, const struct pw_config *cfg)
{
	pw_enc_u64(e, cfg->store.journal_message);
	pw_enc_u64(e, cfg->store.checkpoint);
	pw_enc_u64(e, cfg->store.min_free);
	pw_enc_u64(e, cfg->store.rescan);
	pw_enc_u64(e, cfg->store.keep_decisions);
	pw_enc_u64(e, cfg->store.keep_refused);
	pw_enc_u64(e, cfg->store.max_decisions);
	pw_enc_u64(e, cfg->store.keep_aside);
	pw_enc_i64(e, cfg->store.quota_grace);
	pw_enc_u8(e, (uint8_t)cfg->log.level);
	pw_enc_u8(e, (uint8_t)cfg->log.format);
	pw_enc_str(e, cfg->accounts.postmaster);
}

static void
take_config(struct store_role *r, struct pw_bytes body)
{
	struct pw_config_store s = r->cfg->store;
	struct pw_dec d;
	struct pw_bytes postmaster;
	unsigned level, format;

	pw_dec_init(&d, body);
	s.journal_message = pw_dec_u64(&d);
	s.checkpoint = pw_dec_u64(&d);
	s.min_free = pw_dec_u64(&d);
	s.rescan = pw_dec_u64(&d);
	s.keep_decisions = pw_dec_u64(&d);
	s.keep_refused = pw_dec_u64(&d);
	s.max_decisions = pw_dec_u64(&d);
	s.keep_aside = pw_dec_u64(&d);
	s.quota_grace = pw_dec_i64(&d);
	level = pw_dec_u8(&d);
	format = pw_dec_u8(&d);
	postmaster = pw_dec_bytes(&d);
	if (pw_dec_end(&d) != 0)
		return;
	r->cfg->store = s;
	pw_log_level_set((enum pw_log_level)level,
	    (enum pw_log_format)format);
	pw_store_reconfigure(r->store, r->cfg);
	pw_control_postmaster(r->control, postmaster);
}

/* ---- between the control thread and master --------------------------------------- */

struct to_master {
	struct store_role *r;
	uint64_t waiter;
	enum pw_msg msg;
};

static void
on_to_master(void *arg)
{
	struct to_master *t = arg;

	if (pw_master_link_send(t->r->link, t->msg, t->waiter,
		PW_BYTES_NONE) != 0 &&
	    t->r->control != NULL)
		pw_control_answer(t->r->control, t->waiter, EX_TEMPFAIL,
		    PW_LIT("master cannot be reached\n"));
	free(t);
}

static void
ask_master(void *arg, uint64_t waiter, int msg)
{
	struct store_role *r = arg;
	struct to_master *t = pw_xcalloc(1, sizeof(*t));

	t->r = r;
	t->waiter = waiter;
	t->msg = (enum pw_msg)msg;
	pw_loop_post(r->loop, on_to_master, t);
}

struct fd_post {
	struct store_role *r;
	int fd;
};

static void
on_snapshot(void *arg)
{
	struct fd_post *p = arg;

	pw_store_server_snapshot(p->r->server, p->fd);
	free(p);
}

static void
give_snapshot(void *arg, int fd)
{
	struct store_role *r = arg;
	struct fd_post *p = pw_xcalloc(1, sizeof(*p));

	p->r = r;
	p->fd = fd;
	pw_loop_post(r->loop, on_snapshot, p);
}

static void
on_accounts_changed(void *arg)
{
	struct store_role *r = arg;

	pw_follow_accounts_changed(pw_store_follow(r->store));
}

static void
accounts_changed(void *arg)
{
	struct store_role *r = arg;

	pw_loop_post(r->loop, on_accounts_changed, r);
}

struct rescan_post {
	struct store_role *r;
	char mailbox[324];
};

static void
on_rescan(void *arg)
{
	struct rescan_post *p = arg;

	pw_follow_rescan(pw_store_follow(p->r->store),
	    p->mailbox[0] != '\0' ? p->mailbox : NULL);
	free(p);
}

static void
rescan(void *arg, const char *mailbox)
{
	struct store_role *r = arg;
	struct rescan_post *p = pw_xcalloc(1, sizeof(*p));

	p->r = r;
	if (mailbox != NULL)
		(void)snprintf(p->mailbox, sizeof(p->mailbox), "%s", mailbox);
	pw_loop_post(r->loop, on_rescan, p);
}

static uint64_t
usage(void *arg, struct pw_bytes mailbox)
{
	struct store_role *r = arg;

	return pw_store_usage(r->store, mailbox);
}

/* ---- master's frames --------------------------------------------------------------- */

static void
on_peer(void *arg, enum pw_role_id peer, unsigned number, unsigned lane, int fd)
{
	struct store_role *r = arg;

	(void)lane;
	if (peer == PW_RID_FRONT)
		pw_store_server_channel(r->server, fd);
	else if (peer == PW_RID_SCAN)
		pw_parse_client_channel(r->parse, number, fd);
	else
		(void)close(fd);
}

static void
take_answer(struct store_role *r, struct pw_frame *f)
{
	struct pw_dec d;
	struct pw_bytes text;
	int code = EX_OK;

	pw_dec_init(&d, f->body);
	if (f->type == PW_MSG_RELOAD && pw_dec_u8(&d) == 0)
		code = EX_CONFIG;
	text = pw_dec_bytes(&d);
	if (pw_dec_end(&d) != 0)
		return;
	if (f->type == PW_MSG_RELOAD) {
		struct pw_strbuf sb;

		pw_strbuf_init(&sb, PW_IPC_MAX_BODY + 2);
		pw_strbuf_add(&sb, text);
		if (text.len == 0 || text.ptr[text.len - 1] != '\n')
			pw_strbuf_addc(&sb, '\n');
		pw_control_answer(r->control, f->id, code,
		    pw_strbuf_bytes(&sb));
		pw_strbuf_free(&sb);
		return;
	}
	pw_control_answer(r->control, f->id, code, text);
}

static void
on_frame(void *arg, struct pw_frame *f)
{
	struct store_role *r = arg;

	switch (f->type) {
	case PW_MSG_CONFIG:
		take_config(r, f->body);
		break;
	case PW_MSG_RELOAD:
	case PW_MSG_STATUS_ALL:
		take_answer(r, f);
		break;
	default:
		break;
	}
}

static void
on_stop(void *arg)
{
	struct store_role *r = arg;

	pw_loop_stop(r->loop);
}

static void
on_status(void *arg, struct pw_strbuf *out)
{
	struct store_role *r = arg;

	pw_store_server_status(r->server, out);
	pw_store_status(r->store, out);
	pw_follow_status(pw_store_follow(r->store), out);
}

static void
on_tick(struct pw_timer *t)
{
	struct store_role *r = (struct store_role *)((char *)t -
	    offsetof(struct store_role, tick));

	pw_store_server_state(r->server);
	pw_timer_set(r->loop, &r->tick, TICK_MS, on_tick);
}

/* A scan process of the store's whose channel ended. */
static void
on_scan_lost(void *arg, unsigned number)
{
	struct store_role *r = arg;

	if (r->link != NULL)
		pw_master_link_lost(r->link, PW_RID_SCAN, number, 0);
}

/* ---- life --------------------------------------------------------------------------- */

static int
confine(const struct pw_config *cfg, struct pw_err *err)
{
	const char *rw[] = { cfg->server.state_dir, cfg->store.mail_root };
	static const char *const ro[] = { "/proc/sys/fs/inotify" };
	const struct pw_sandbox sb = { .role = PW_RID_STORE, .rw = rw,
		.nrw = PW_COUNT(rw), .ro = ro, .nro = PW_COUNT(ro) };

	return pw_sandbox_enter(&sb, err);
}

static int
set_up(struct store_role *r, const struct pw_role_start *role, struct pw_err *err)
{
	static const struct pw_control_ops control = { ask_master,
		give_snapshot, accounts_changed, rescan, usage };
	static const struct pw_master_link_ops ops = { .on_peer = on_peer,
		.on_frame = on_frame,
		.on_stop = on_stop,
		.on_status = on_status };

	struct pw_control_admins admins;

	r->loop = pw_loop_new(err);
	if (r->loop == NULL ||
	    pw_control_find_admins(role->cfg, &admins, err) != 0 || confine(role->cfg, err) != 0 ||
	    pw_store_open(r->loop, role->cfg, role->boot_id, &r->store, err) !=
		0)
		return -1;
	r->server = pw_store_server_new(r->loop, r->store);
	r->parse = pw_parse_client_new(r->loop);
	pw_parse_client_on_lost(r->parse, on_scan_lost, r);
	pw_store_set_parser(r->store, pw_parse_client_parse, r->parse);
	if (pw_control_start(role->cfg, &admins, role->control_fd, &control, r,
		&r->control, err) != 0)
		return -1;
	r->link = pw_master_link_new(r->loop, role->master_fd, &ops, r);
	return 0;
}

int
pw_store_role_run(const struct pw_role_start *role)
{
	static struct store_role r;
	static struct pw_config cfg;
	struct pw_err err = { 0 };

	/* A copy whose LIVE fields follow the generations. */
	cfg = *role->cfg;
	r.cfg = &cfg;
	if (set_up(&r, role, &err) != 0)
		return pw_role_failed(role->master_fd, "store", &err);
	pw_timer_set(r.loop, &r.tick, TICK_MS, on_tick);
	pw_master_link_ready(r.link);
	(void)pw_loop_run(r.loop);
	pw_control_stop(&r.control);
	pw_timer_stop(&r.tick);
	pw_store_server_free(&r.server);
	pw_store_set_parser(r.store, NULL, NULL);
	pw_parse_client_free(&r.parse);
	pw_store_close(&r.store);
	pw_master_link_free(&r.link);
	pw_loop_free(&r.loop);
	return EX_OK;
}
