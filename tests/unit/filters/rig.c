/* SPDX-License-Identifier: ISC */
#include "rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"

struct rig_job {
	struct pw_defer defer;
	struct rig *r;
	struct pw_enc job;
	int fd;
	pw_scan_cb cb;
	void *arg;
};

static void
drop(struct rig_job *j)
{
	pw_enc_free(&j->job);
	free(j);
}

static void
run_job(struct pw_defer *d)
{
	struct rig_job *j = (struct rig_job *)(void *)d;
	struct pw_scan_reply reply = { .rc = PW_OK };
	struct pw_enc out;

	pw_enc_init(&out, 256u << 10);
	if (j->r->mode == RIG_CRASH) {
		reply.rc = PW_FAIL;
		reply.reason = "crashed";
	} else if (j->r->mode == RIG_GARBAGE) {
		reply.body = PW_LIT("\x01\x02garbage");
	} else {
		pw_scanner_run(j->r->scanner, pw_enc_done(&j->job), j->fd,
		    &out);
		reply.body = pw_enc_done(&out);
	}
	j->cb(j->arg, &reply);
	pw_enc_free(&out);
	drop(j);
}

static void *
submit(void *host, bool envelope, struct pw_bytes job, int fd,
    unsigned deadline_ms, pw_scan_cb cb, void *arg)
{
	struct rig *r = host;
	struct rig_job *j;

	(void)envelope;
	(void)deadline_ms;
	r->jobs++;
	if (r->mode == RIG_REFUSE)
		return NULL;
	j = pw_xcalloc(1, sizeof(*j));
	j->r = r;
	j->fd = fd;
	j->cb = cb;
	j->arg = arg;
	j->defer.cb = run_job;
	pw_enc_init(&j->job, 1u << 20);
	for (size_t i = 0; i < job.len; i++)
		pw_enc_u8(&j->job, (uint8_t)job.ptr[i]);
	if (r->mode != RIG_HANG)
		pw_loop_defer(r->loop, &j->defer);
	return j;
}

static void
cancel(void *host, void *handle)
{
	struct rig *r = host;
	struct rig_job *j = handle;

	r->cancelled++;
	pw_loop_undefer(r->loop, &j->defer);
	drop(j);
}

void
rig_open(struct rig *r, const char *stages, const struct pw_stage *const *table,
    size_t ntable)
{
	static char words[256];
	struct pw_err err = { 0 };
	char *save = NULL;

	*r = (struct rig){ .fd = -1 };
	r->cfg = pw_config_defaults();
	r->cfg->server.hostname = "mx.example.test";
	r->cfg->listener = &r->listener;
	r->cfg->nlistener = 1;
	r->listener.name = "mx";
	snprintf(words, sizeof(words), "%s", stages);
	for (char *w = strtok_r(words, " ", &save); w != NULL;
	    w = strtok_r(NULL, " ", &save))
		r->stages[r->listener.stages.n++] = w;
	r->listener.stages.v = r->stages;
	r->loop = pw_loop_new(&err);
	r->runner = (struct pw_scan_runner){ r, submit, cancel };
	if (pw_pipeline_new(r->cfg, r->loop, NULL, &r->runner, &r->p,
	    &err) < 0 || pw_scanner_new(r->cfg, &r->scanner, &err) < 0) {
		fprintf(stderr, "rig: %s\n", err.text);
		abort();
	}
	if (table != NULL) {
		pw_weights_free(&r->p->weights);
		pw_registry_free(&r->p->reg);
		if (pw_registry_with(r->cfg, PW_ROLE_FRONT, table, ntable,
		    &r->p->reg, &err) < 0 || pw_weights_new(r->cfg, r->p->reg,
		    &r->p->weights, &err) < 0) {
			fprintf(stderr, "rig: %s\n", err.text);
			abort();
		}
	}
	r->pool = pw_pool_new(0);
	r->dns = pw_dns_set_new(r->pool);
}

void
rig_close(struct rig *r)
{
	pw_pipe_close(&r->pipe);
	pw_pipeline_free(&r->p);
	pw_scanner_free(&r->scanner);
	pw_loop_free(&r->loop);
	pw_pool_free(&r->pool);
	r->cfg->listener = NULL;
	r->cfg->nlistener = 0;
	pw_config_free(&r->cfg);
	if (r->fd >= 0)
		close(r->fd);
}

void
rig_answer(struct rig *r, const char *name, uint16_t type, uint8_t status,
    const char *data)
{
	struct pw_dns_rr rr = { 0 };
	struct pw_dns_answer a = { .name = name, .type = type,
		.status = status, .ttl = 60, .rr = &rr };
	struct pw_ip ip;

	if (data != NULL) {
		a.nrr = 1;
		rr.data = pw_bytes_of(data);
		if ((type == PW_DNS_A || type == PW_DNS_AAAA) &&
		    pw_ip_parse(rr.data, &ip) == 0)
			rr.data = pw_bytes(ip.b, ip.family == 4 ? 4 : 16);
	}
	(void)pw_dns_set_add(r->dns, &a);
}

static void
on_done(void *arg)
{
	((struct rig *)arg)->calls++;
}

bool
rig_phase(struct rig *r, enum pw_phase phase, unsigned ms)
{
	uint64_t end = pw_clock_mono_ms() + ms;
	unsigned before = r->calls;

	if (pw_pipe_phase(r->pipe, phase, on_done, r) == PW_OK)
		return true;
	while (r->calls == before && pw_clock_mono_ms() < end)
		pw_loop_step(r->loop, 5);
	return r->calls == before + 1;
}

void
rig_session(struct rig *r, const char *ip, bool trusted)
{
	struct pw_session_info info = { .peer_port = 40000,
		.trusted = trusted };

	pw_pipe_close(&r->pipe);
	(void)pw_ip_parse(pw_bytes_of(ip), &info.peer);
	r->pipe = pw_pipe_open(r->p, &info);
	pw_pipe_replay(r->pipe, r->dns);
}

void
rig_mail(struct rig *r, const char *helo, const char *from)
{
	struct pw_id id = pw_id_new();
	const char *at = strchr(from, '@');

	pw_pipe_text(r->pipe, "helo.name", pw_bytes_of(helo));
	pw_pipe_begin(r->pipe, &id);
	pw_pipe_text(r->pipe, "mail.address", pw_bytes_of(from));
	if (at != NULL) {
		pw_pipe_text(r->pipe, "mail.local", pw_bytes(from,
		    (size_t)(at - from)));
		pw_pipe_text(r->pipe, "mail.domain", pw_bytes_of(at + 1));
	}
}

void
rig_message(struct rig *r, const void *message, size_t len)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (len > 0 && write(r->fd, message, len) != (ssize_t)len)
		abort();
	if (fcntl(r->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE) < 0)
		abort();
	pw_pipe_message(r->pipe, r->fd, len, 0);
}

const struct pw_pipe_result *
rig_judge(struct rig *r, const char *ip, const char *helo, const char *from,
    const void *message, size_t len)
{
	bool ok;

	rig_session(r, ip, false);
	ok = rig_phase(r, PW_PHASE_CONNECT, 2000);
	ok &= rig_phase(r, PW_PHASE_HELO, 2000);
	rig_mail(r, helo, from);
	ok &= rig_phase(r, PW_PHASE_MAIL, 2000);
	pw_pipe_text(r->pipe, "rcpt.address", PW_LIT("a@example.test"));
	ok &= rig_phase(r, PW_PHASE_RCPT, 2000);
	rig_message(r, message, len);
	ok &= rig_phase(r, PW_PHASE_BODY, 5000);
	return ok ? pw_pipe_result(r->pipe) : NULL;
}

bool
rig_has(const struct pw_pipe_result *res, const char *symbol)
{
	for (size_t i = 0; i < res->nevidence; i++)
		if (strcmp(res->evidence[i].symbol, symbol) == 0)
			return true;
	return false;
}
