/* SPDX-License-Identifier: ISC */
/*
 * The role scan: runs stages on one message at a time, without network and
 * files, for front (jobs) and store (content of files for the index).  It is
 * synchronous by design: what it may not do is wait.
 */
#include <stdlib.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/pool.h"
#include "filters/pipeline.h"
#include "host/role.h"
#include "host/sandbox.h"

#define RESULT_MAX (150u * 1024)
#define MAX_PEERS 256

struct scan_role {
	struct pw_loop *loop;
	struct pw_scanner *scanner;
	struct pw_master_link *link;
	struct pw_enc results;
	struct pw_ipc *peer[MAX_PEERS];
	size_t npeer;
	uint64_t jobs, parses;
};

static void
run_job(struct scan_role *r, struct pw_ipc *ipc, struct pw_frame *f)
{
	r->jobs++;
	pw_enc_reset(&r->results);
	pw_scanner_run(r->scanner, f->body, f->nfds > 0 ? f->fds[0] : -1,
	    &r->results);
	(void)pw_ipc_send(ipc, PW_MSG_SCANNED, f->id, pw_enc_done(&r->results),
	    NULL, 0);
}

static void
parse_file(struct scan_role *r, struct pw_ipc *ipc, struct pw_frame *f)
{
	struct pw_enc meta;
	int rc = -1;

	r->parses++;
	pw_enc_init(&meta, RESULT_MAX - 64);
	if (f->nfds > 0)
		rc = pw_scanner_parse_file(r->scanner, f->fds[0], &meta);
	pw_enc_reset(&r->results);
	pw_enc_u8(&r->results, rc == 0);
	pw_enc_bytes(&r->results, rc == 0 ? pw_enc_done(&meta) : PW_BYTES_NONE);
	(void)pw_ipc_send(ipc, PW_MSG_PARSED, f->id, pw_enc_done(&r->results),
	    NULL, 0);
	pw_enc_free(&meta);
}

static void
on_peer_frame(struct pw_ipc *ipc, struct pw_frame *f)
{
	struct scan_role *r = pw_ipc_arg(ipc);

	if (f->type == PW_MSG_SCAN && f->fds_lost)
		(void)pw_ipc_send(ipc, PW_MSG_SCANNED, f->id, PW_BYTES_NONE,
		    NULL, 0);
	else if (f->type == PW_MSG_SCAN)
		run_job(r, ipc, f);
	else if (f->type == PW_MSG_PARSE)
		parse_file(r, ipc, f);
}

static void
on_peer_close(struct pw_ipc *ipc)
{
	struct scan_role *r = pw_ipc_arg(ipc);

	for (size_t i = 0; i < r->npeer; i++)
		if (r->peer[i] == ipc) {
			r->peer[i] = r->peer[--r->npeer];
			break;
		}
	pw_ipc_free(&ipc);
}

static void
on_peer(void *arg, enum pw_role_id peer, unsigned number, unsigned lane, int fd)
{
	static const struct pw_ipc_ops ops = { on_peer_frame, on_peer_close };
	struct scan_role *r = arg;

	(void)peer;
	(void)number;
	(void)lane;
	if (r->npeer >= MAX_PEERS) {
		(void)close(fd);
		return;
	}
	r->peer[r->npeer] = pw_ipc_new(r->loop, fd, &ops, r);
	pw_ipc_bear_loss(r->peer[r->npeer++]);
}

static void
on_stop(void *arg)
{
	struct scan_role *r = arg;

	pw_loop_stop(r->loop);
}

static void
on_status(void *arg, struct pw_strbuf *out)
{
	struct scan_role *r = arg;

	pw_strbuf_addf(out, "jobs %llu\nparses %llu\n",
	    (unsigned long long)r->jobs, (unsigned long long)r->parses);
}

/* A message that makes a library ask for more than the bound is a crash, which
 * the wall holds, and not a machine without memory. */
int
pw_scan_confine(const struct pw_config *cfg, struct pw_err *err)
{
	rlim_t bound = (rlim_t)cfg->server.scan_memory;
	/* Modules of iconv, which are loaded when a message names its
	 * character set, and the file that lists them. */
	static const char *const ro[] = { "/usr/lib/x86_64-linux-gnu/gconv",
		"/usr/lib/aarch64-linux-gnu/gconv", "/usr/lib64/gconv",
		"/usr/lib/gconv" };
	const struct pw_sandbox sb = { .role = PW_RID_SCAN, .ro = ro,
		.nro = PW_COUNT(ro) };

	if (pw_sandbox_available()) {
		const struct rlimit rl = { bound, bound };

		(void)setrlimit(RLIMIT_AS, &rl);
	}
	return pw_sandbox_enter(&sb, err);
}

int
pw_scan_role_run(const struct pw_role_start *role)
{
	static const struct pw_master_link_ops ops = { .on_peer = on_peer,
		.on_stop = on_stop, .on_status = on_status };
	struct scan_role r = { 0 };
	struct pw_err err = { 0 };

	pw_enc_init(&r.results, RESULT_MAX);
	r.loop = pw_loop_new(&err);
	if (r.loop == NULL ||
	    pw_scanner_new(role->cfg, &r.scanner, &err) != 0 ||
	    pw_scan_confine(role->cfg, &err) != 0)
		return pw_role_failed(role->master_fd, "scan", &err);
	r.link = pw_master_link_new(r.loop, role->master_fd, &ops, &r);
	pw_master_link_ready(r.link);
	(void)pw_loop_run(r.loop);
	pw_master_link_free(&r.link);
	for (size_t i = 0; i < r.npeer; i++)
		pw_ipc_free(&r.peer[i]);
	pw_scanner_free(&r.scanner);
	pw_enc_free(&r.results);
	pw_loop_free(&r.loop);
	return EX_OK;
}
