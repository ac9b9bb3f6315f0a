/* SPDX-License-Identifier: ISC */
/*
 * Generations: a configuration with the front and scan processes that run
 * under it.  A new one is built beside the old and takes over when it stands;
 * what fails on the way leaves the old one as it was.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/pool.h"
#include "main/store_role.h"
#include "main/master.h"
#include "net/codec.h"

#define START_MS 30000

static struct pw_proc *
find(struct pw_master *m, enum pw_role_id id, unsigned generation)
{
	for (size_t i = 0; i < m->nproc; i++)
		if (m->proc[i]->id == id && m->proc[i]->generation == generation)
			return m->proc[i];
	return NULL;
}

static void
stop_proc(struct pw_proc *p)
{
	p->stopping = true;
	if (p->ipc != NULL)
		(void)pw_ipc_send(p->ipc, PW_MSG_STOP, 0, PW_BYTES_NONE, NULL,
		    0);
	else if (p->pid > 0)
		(void)kill(p->pid, SIGKILL);
}

int
pw_generation_load(struct pw_master *m, struct pw_generation *g,
    struct pw_strbuf *report)
{
	struct pw_err err = { 0 };

	if (g->cfg == NULL &&
	    pw_config_load(m->config_file, true, &g->cfg, report) != 0)
		return -1;
	if (pw_pem_load(g->cfg, &g->pem, &g->npem, &err) != 0) {
		pw_strbuf_addf(report, "%s\n", err.text);
		return -1;
	}
	return 0;
}

void
pw_generation_free(struct pw_generation *g)
{
	pw_sockets_close(g, NULL);
	pw_pem_free(&g->pem, g->npem);
	g->npem = 0;
	pw_config_free(&g->cfg);
	g->number = 0;
}

/* ---- starting, one thing after the other ------------------------------------ */

/* True when the role is ready; starts it when there is none. */
static bool
have(struct pw_master *m, struct pw_generation *g, enum pw_role_id id,
    unsigned generation)
{
	struct pw_proc *p = find(m, id, generation);

	if (p == NULL) {
		if (pw_spawn(m, g, id, 0) == NULL && !m->started)
			pw_master_stop(m, EX_OSERR);
		return false;
	}
	return p->ready;
}

static bool
have_scans(struct pw_master *m, struct pw_generation *g)
{
	size_t want = (size_t)g->cfg->server.scan_processes + 1;
	size_t there = 0, ready = 0;

	for (size_t i = 0; i < m->nproc; i++)
		if (m->proc[i]->id == PW_RID_SCAN &&
		    m->proc[i]->generation == g->number) {
			there++;
			ready += m->proc[i]->ready;
		}
	for (; there < want; there++)
		if (pw_spawn(m, g, PW_RID_SCAN, (unsigned)there) == NULL)
			return false;
	return ready == want;
}

/* Fronts that serve their last sessions keep their scan processes. */
static void
retire_scans(struct pw_master *m)
{
	for (size_t i = 0; i < m->nproc; i++) {
		struct pw_proc *p = m->proc[i];

		if (p->id == PW_RID_SCAN && !p->stopping &&
		    p->generation != m->gen[0].number &&
		    p->generation != m->gen[1].number &&
		    find(m, PW_RID_FRONT, p->generation) == NULL)
			stop_proc(p);
	}
}

static void
tell_store(struct pw_master *m)
{
	struct pw_proc *store = find(m, PW_RID_STORE, 0);
	struct pw_enc e;

	if (store == NULL || store->ipc == NULL)
		return;
	pw_enc_init(&e, PW_IPC_MAX_BODY);
	pw_store_role_live_enc(&e, m->gen[0].cfg);
	(void)pw_ipc_send(store->ipc, PW_MSG_CONFIG, 0, pw_enc_done(&e), NULL,
	    0);
	pw_enc_free(&e);
}

static void
reload_answer(struct pw_master *m, bool ok, const char *text)
{
	struct pw_proc *store = find(m, PW_RID_STORE, 0);
	struct pw_enc e;

	pw_logf(ok ? PW_LOG_NOTICE : PW_LOG_ERROR,
	    ok ? "reload.done" : "reload.failed", "%s", text);
	m->reloading = false;
	pw_timer_stop(&m->reload_timer);
	if (m->reload_id == 0 || store == NULL || store->ipc == NULL)
		return;
	pw_enc_init(&e, PW_IPC_MAX_BODY);
	pw_enc_u8(&e, ok);
	pw_enc_str(&e, text);
	(void)pw_ipc_send(store->ipc, PW_MSG_RELOAD, m->reload_id,
	    pw_enc_done(&e), NULL, 0);
	pw_enc_free(&e);
	m->reload_id = 0;
}

/* The new generation stands: it serves, the old one finishes its sessions. */
static void
take_over(struct pw_master *m)
{
	struct pw_proc *old = find(m, PW_RID_FRONT, m->gen[0].number);
	char text[64];

	if (old != NULL) {
		old->draining = true;
		if (old->ipc != NULL)
			(void)pw_ipc_send(old->ipc, PW_MSG_DRAIN, 0,
			    PW_BYTES_NONE, NULL, 0);
	}
	pw_sockets_close(&m->gen[0], &m->gen[1]);
	pw_generation_free(&m->gen[0]);
	m->gen[0] = m->gen[1];
	memset(&m->gen[1], 0, sizeof(m->gen[1]));
	pw_log_to(m->log_pipe[1], (enum pw_log_level)m->gen[0].cfg->log.level,
	    (enum pw_log_format)m->gen[0].cfg->log.format);
	tell_store(m);
	pw_connect_store(m);
	(void)snprintf(text, sizeof(text), "generation %u serves",
	    m->gen[0].number);
	reload_answer(m, true, text);
}

/* Who started us in the background may go on. */
static void
say_ready(struct pw_master *m)
{
	if (*m->ready_fd < 0)
		return;
	(void)!write(*m->ready_fd, "", 1);
	(void)close(*m->ready_fd);
	*m->ready_fd = -1;
	(void)dup2(STDIN_FILENO, STDERR_FILENO);
}

void
pw_generation_advance(struct pw_master *m)
{
	struct pw_generation *g = m->reloading ? &m->gen[1] : &m->gen[0];

	if (m->stopping || g->cfg == NULL)
		return;
	retire_scans(m);
	if (!have(m, g, PW_RID_STORE, 0) || !have(m, g, PW_RID_RESOLVE, 0) ||
	    !have_scans(m, g) || !have(m, g, PW_RID_FRONT, g->number))
		return;
	if (m->reloading) {
		take_over(m);
	} else if (!m->started) {
		m->started = true;
		pw_logf(PW_LOG_NOTICE, "master.ready", "Postward %s serves",
		    PW_VERSION);
		pw_notify("READY=1");
		say_ready(m);
	}
}

/* ---- reload ----------------------------------------------------------------- */

static void
drop_new(struct pw_master *m)
{
	for (size_t i = 0; i < m->nproc; i++) {
		struct pw_proc *p = m->proc[i];

		if (p->generation != 0 && p->generation == m->gen[1].number)
			stop_proc(p);
	}
	/* One that already ended has nobody to be reaped for it. */
	for (size_t i = m->nproc; i-- > 0;)
		if (m->proc[i]->generation != 0 && m->proc[i]->pid == 0 &&
		    m->proc[i]->generation == m->gen[1].number)
			pw_proc_forget(m->proc[i]);
	pw_sockets_close(&m->gen[1], &m->gen[0]);
	pw_generation_free(&m->gen[1]);
}

void
pw_reload_failed(struct pw_master *m, const char *why)
{
	char text[1024];

	(void)snprintf(text, sizeof(text),
	    "%s; generation %u goes on unchanged", why, m->gen[0].number);
	drop_new(m);
	reload_answer(m, false, text);
}

static void
reload_late(struct pw_timer *t)
{
	struct pw_master *m = (struct pw_master *)((char *)t -
	    offsetof(struct pw_master, reload_timer));

	pw_reload_failed(m, "the new generation was not ready in 30 s");
}

static int
load_new(struct pw_master *m, struct pw_strbuf *report)
{
	struct pw_generation *g = &m->gen[1];
	struct pw_err err = { 0 };

	if (pw_generation_load(m, g, report) != 0 ||
	    pw_config_reload_ok(m->gen[0].cfg, g->cfg, report) != 0)
		return -1;
	if (pw_sockets_open(g, &m->gen[0], &err) != 0) {
		pw_strbuf_addf(report, "%s; generation %u goes on unchanged\n",
		    err.text, m->gen[0].number);
		return -1;
	}
	return 0;
}

void
pw_reload(struct pw_master *m, uint64_t admin_id)
{
	static unsigned last;
	struct pw_strbuf report;

	if (m->reloading || !m->started || m->stopping) {
		uint64_t keep = m->reload_id;
		bool was = m->reloading;

		m->reload_id = admin_id;
		reload_answer(m, false, "a reload or start is under way");
		m->reload_id = keep;
		m->reloading = was;
		return;
	}
	m->reload_id = admin_id;
	m->reloading = true;
	pw_strbuf_init(&report, 64 * 1024);
	if (load_new(m, &report) != 0) {
		pw_sockets_close(&m->gen[1], &m->gen[0]);
		pw_generation_free(&m->gen[1]);
		reload_answer(m, false, pw_strbuf_cstr(&report));
	} else {
		if (last < m->gen[0].number)
			last = m->gen[0].number;
		m->gen[1].number = ++last;
		m->gen[1].cfg->generation = last;
		pw_timer_set(m->loop, &m->reload_timer, START_MS, reload_late);
		pw_generation_advance(m);
	}
	pw_strbuf_free(&report);
}
