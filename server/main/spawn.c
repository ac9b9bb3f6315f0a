/* SPDX-License-Identifier: ISC */
/*
 * Starting a role's process, and what follows when one ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/pool.h"
#include "main/store_role.h"
#include "main/master.h"
#include "net/codec.h"

#define QUICK_DEATH_MS 5000
#define RESTART_MIN_MS 100
#define RESTART_MAX_MS 10000

struct pw_generation *
pw_generation_of(struct pw_master *m, const struct pw_proc *p)
{
	if (p->generation != 0 && m->gen[1].cfg != NULL &&
	    m->gen[1].number == p->generation)
		return &m->gen[1];
	return &m->gen[0];
}

/* ---- the child ------------------------------------------------------------- */

static int
by_number(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

void
pw_close_others(int *keep, size_t nkeep)
{
	unsigned from = 3;

	qsort(keep, nkeep, sizeof(keep[0]), by_number);
	for (size_t i = 0; i < nkeep; i++) {
		unsigned fd = (unsigned)keep[i];

		if (keep[i] < 3)
			continue;
		if (fd > from)
			(void)close_range(from, fd - 1, 0);
		from = fd + 1;
	}
	(void)close_range(from, ~0u, 0);
}

/* Keys of certificates are for front, and only those that it serves with. */
static void
forget_keys(struct pw_master *m, const struct pw_generation *keep)
{
	for (size_t i = 0; i < PW_COUNT(m->gen); i++)
		if (&m->gen[i] != keep)
			pw_pem_free(&m->gen[i].pem, m->gen[i].npem);
}

static void
child_signals(void)
{
	sigset_t none;

	/* A terminal's interrupt is master's business. */
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGCHLD, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void
child_limits(enum pw_role_id id)
{
	const struct rlimit none = { 0, 0 };
	struct rlimit rl;

	/* Memory of a role holds people's mail and keys. */
	(void)setrlimit(RLIMIT_CORE, &none);
	if (id != PW_RID_SCAN &&
	    getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
}

static int
run_front(struct pw_master *m, const struct pw_generation *g,
    const struct pw_proc *p, int master_fd)
{
	struct pw_front_args a = { 0 };
	static struct pw_front_listener l[PW_MAX_LISTEN];
	int other[2] = { -1, -1 };
	size_t nother = 0;

	for (size_t i = 0; i < g->nlisten; i++) {
		l[i].fd = g->listen[i].fd;
		l[i].listener = g->listen[i].listener;
	}
	for (size_t i = 0; i < m->nproc && nother < PW_COUNT(other); i++)
		if (m->proc[i] != p && m->proc[i]->id == PW_RID_FRONT &&
		    m->proc[i]->limits_fd >= 0)
			other[nother++] = m->proc[i]->limits_fd;
	a.cfg = g->cfg;
	a.master_fd = master_fd;
	a.listener = l;
	a.nlistener = g->nlisten;
	a.pem = g->pem;
	a.npem = g->npem;
	a.limits_fd = p->limits_fd;
	a.other_limits_fd = other;
	a.nother_limits = nother;
	return pw_front_run(&a);
}

static int
child_main(struct pw_master *m, struct pw_generation *g, struct pw_proc *p,
    int fd)
{
	struct pw_role_start role = { .cfg = g->cfg, .id = p->id,
		.number = p->number, .master_fd = fd, .control_fd = -1,
		.boot_id = m->boot_id };
	const char *user = p->id == PW_RID_STORE ? g->cfg->server.user_store
						 : g->cfg->server.user_front;
	struct pw_err err = { 0 };
	int keep[PW_MAX_LISTEN + PW_MAX_PROCS + 8];
	size_t n = 0;

	keep[n++] = fd;
	keep[n++] = m->log_pipe[1];
	if (p->id == PW_RID_STORE)
		keep[n++] = role.control_fd = m->control_fd;
	for (size_t i = 0; p->id == PW_RID_FRONT && i < g->nlisten; i++)
		keep[n++] = g->listen[i].fd;
	for (size_t i = 0; p->id == PW_RID_FRONT && i < m->nproc; i++)
		if (m->proc[i]->limits_fd >= 0)
			keep[n++] = m->proc[i]->limits_fd;
	pw_close_others(keep, n);
	forget_keys(m, p->id == PW_RID_FRONT ? g : NULL);
	child_limits(p->id);
	if (pw_rights_drop(user, &err) != 0)
		return pw_role_failed(fd, pw_role_name(p->id), &err);
	/* A change of user clears it. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	switch (p->id) {
	case PW_RID_FRONT:
		return run_front(m, g, p, fd);
	case PW_RID_SCAN:
		return pw_scan_role_run(&role);
	case PW_RID_RESOLVE:
		return pw_resolve_role_run(&role);
	case PW_RID_STORE:
		return pw_store_role_run(&role);
	default:
		return EX_SOFTWARE;
	}
}

static _Noreturn void
child(struct pw_master *m, struct pw_generation *g, struct pw_proc *p, int fd,
    pid_t master)
{
	char name[32];

	/* Master's end is this role's end, however it came. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != master)
		_exit(EX_OSERR);
	(void)snprintf(name, sizeof(name), "%s%s%.0u", pw_role_name(p->id),
	    p->id == PW_RID_SCAN ? "-" : "",
	    p->id == PW_RID_SCAN ? p->number : 0);
	if (p->id == PW_RID_SCAN && p->number == 0)
		(void)snprintf(name, sizeof(name), "scan-0");
	(void)prctl(PR_SET_NAME, name);
	pw_log_role(name);
	pw_log_to(m->log_pipe[1], (enum pw_log_level)g->cfg->log.level,
	    (enum pw_log_format)g->cfg->log.format);
	if (!m->foreground)
		(void)dup2(STDIN_FILENO, STDERR_FILENO);
	child_signals();
	exit(child_main(m, g, p, fd));
}

/* ---- master's side --------------------------------------------------------- */

static void proc_frame(struct pw_ipc *ipc, struct pw_frame *f);
static void proc_close(struct pw_ipc *ipc);

/* Starts the process of P, which has none. */
static int
start(struct pw_proc *p)
{
	static const struct pw_ipc_ops ops = { proc_frame, proc_close };
	struct pw_master *m = p->m;
	struct pw_generation *g = pw_generation_of(m, p);
	struct pw_err err = { 0 };
	pid_t self = getpid();
	int fds[2];

	if (pw_ipc_pair(fds, &err) != 0) {
		pw_logf(PW_LOG_ERROR, "role.start", "%s", err.text);
		return -1;
	}
	p->pid = fork();
	if (p->pid == 0) {
		(void)close(fds[0]);
		child(m, g, p, fds[1], self);
	}
	(void)close(fds[1]);
	if (p->pid < 0) {
		pw_logf(PW_LOG_ERROR, "role.start", "fork: %s",
		    strerror(errno));
		(void)close(fds[0]);
		return -1;
	}
	p->ready = false;
	p->failed[0] = '\0';
	p->started_ms = pw_loop_now(m->loop);
	p->ipc = pw_ipc_new(m->loop, fds[0], &ops, p);
	return 0;
}

static void
restart_due(struct pw_timer *t)
{
	struct pw_proc *p = (struct pw_proc *)((char *)t -
	    offsetof(struct pw_proc, timer));

	if (p->m->stopping)
		return;
	if (start(p) != 0)
		pw_timer_set(p->m->loop, &p->timer, RESTART_MAX_MS,
		    restart_due);
}

struct pw_proc *
pw_spawn(struct pw_master *m, struct pw_generation *g, enum pw_role_id id,
    unsigned number)
{
	struct pw_proc *p;

	if (m->nproc == PW_MAX_PROCS)
		return NULL;
	p = pw_xcalloc(1, sizeof(*p));
	p->m = m;
	p->id = id;
	p->number = number;
	p->generation = id == PW_RID_STORE || id == PW_RID_RESOLVE ? 0
								   : g->number;
	p->lanes = id == PW_RID_FRONT ? (unsigned)g->cfg->server.front_threads
				      : 1;
	p->limits_fd = id == PW_RID_FRONT ? pw_front_limits_fd() : -1;
	m->proc[m->nproc++] = p;
	if (start(p) != 0) {
		pw_proc_forget(p);
		return NULL;
	}
	return p;
}

void
pw_proc_forget(struct pw_proc *p)
{
	struct pw_master *m = p->m;

	pw_timer_stop(&p->timer);
	pw_ipc_free(&p->ipc);
	if (p->limits_fd >= 0)
		(void)close(p->limits_fd);
	for (size_t i = 0; i < m->nproc; i++)
		if (m->proc[i] == p) {
			m->proc[i] = m->proc[--m->nproc];
			break;
		}
	free(p);
}

static void
say_end(const struct pw_proc *p, int status)
{
	struct pw_log_line l;
	bool bad = !p->stopping && !p->draining;

	pw_log_begin(&l, bad ? PW_LOG_ERROR : PW_LOG_INFO, "role.end", NULL,
	    NULL);
	pw_log_s(&l, "role", pw_role_name(p->id));
	pw_log_i(&l, "number", p->number);
	pw_log_i(&l, "pid", p->pid);
	if (WIFSIGNALED(status))
		pw_log_i(&l, "signal", WTERMSIG(status));
	else
		pw_log_i(&l, "exit", WEXITSTATUS(status));
	pw_log_end(&l);
}

/* It should be running: start it again, soon, or later when it keeps ending. */
static void
schedule(struct pw_proc *p)
{
	struct pw_master *m = p->m;
	uint64_t lived = pw_loop_now(m->loop) - p->started_ms;
	uint64_t wait = 0;

	p->fails = lived < QUICK_DEATH_MS ? p->fails + 1 : 0;
	if (p->fails > 1) {
		unsigned shift = p->fails - 2 > 7 ? 7 : p->fails - 2;

		wait = (uint64_t)RESTART_MIN_MS << shift;
	}
	if (wait > RESTART_MAX_MS)
		wait = RESTART_MAX_MS;
	if (p->id == PW_RID_FRONT)
		pw_front_limits_clear(p->limits_fd);
	pw_timer_set(m->loop, &p->timer, wait, restart_due);
}

void
pw_spawn_reaped(struct pw_master *m, pid_t pid, int status)
{
	struct pw_proc *p = NULL;
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE;

	for (size_t i = 0; i < m->nproc; i++)
		if (m->proc[i]->pid == pid)
			p = m->proc[i];
	if (p == NULL)
		return;
	say_end(p, status);
	p->pid = 0;
	p->ready = false;
	pw_ipc_free(&p->ipc);
	if (m->stopping || p->stopping || p->draining) {
		pw_proc_forget(p);
		pw_generation_advance(m);
		return;
	}
	if (!m->started) {
		/* The first start must succeed whole. */
		pw_master_stop(m, code == 0 ? EX_SOFTWARE : code);
		return;
	}
	if (m->reloading && p->generation == m->gen[1].number) {
		pw_reload_failed(m, p->failed[0] != '\0' ? p->failed
							 : "a role ended");
		return;
	}
	schedule(p);
}

/* ---- frames from roles ------------------------------------------------------ */

static void
kill_scan(struct pw_proc *front, struct pw_frame *f)
{
	struct pw_master *m = front->m;
	struct pw_dec d;
	unsigned number;

	pw_dec_init(&d, f->body);
	number = pw_dec_u16(&d);
	if (pw_dec_end(&d) != 0)
		return;
	for (size_t i = 0; i < m->nproc; i++) {
		struct pw_proc *p = m->proc[i];

		if (p->id != PW_RID_SCAN || p->number != number ||
		    p->generation != front->generation || p->pid <= 0)
			continue;
		pw_logf(PW_LOG_WARN, "role.kill",
		    "scan-%u passed its time limit", number);
		(void)kill(p->pid, SIGKILL);
	}
}

static void
take_failure(struct pw_proc *p, struct pw_frame *f)
{
	struct pw_dec d;
	struct pw_bytes why;
	size_t n;

	pw_dec_init(&d, f->body);
	why = pw_dec_bytes(&d);
	if (pw_dec_end(&d) != 0)
		return;
	n = why.len < sizeof(p->failed) - 1 ? why.len : sizeof(p->failed) - 1;
	if (n > 0)
		memcpy(p->failed, why.ptr, n);
	p->failed[n] = '\0';
}

static void
proc_frame(struct pw_ipc *ipc, struct pw_frame *f)
{
	struct pw_proc *p = pw_ipc_arg(ipc);

	switch (f->type) {
	case PW_MSG_READY:
		p->ready = true;
		pw_connect_all(p);
		pw_generation_advance(p->m);
		break;
	case PW_MSG_FAILED:
		take_failure(p, f);
		break;
	case PW_MSG_STATUS:
		pw_status_answer(p, f);
		break;
	case PW_MSG_KILL:
		if (p->id == PW_RID_FRONT)
			kill_scan(p, f);
		break;
	case PW_MSG_PEER_LOST:
		pw_connect_lost(p, f);
		break;
	case PW_MSG_RELOAD:
		if (p->id == PW_RID_STORE)
			pw_reload(p->m, f->id);
		break;
	case PW_MSG_SHUTDOWN:
		if (p->id == PW_RID_STORE)
			pw_master_stop(p->m, EX_OK);
		break;
	case PW_MSG_STATUS_ALL:
		if (p->id == PW_RID_STORE)
			pw_status_all(p->m, f->id);
		break;
	default:
		pw_logf(PW_LOG_WARN, "role.frame", "type %u from %s", f->type,
		    pw_role_name(p->id));
		break;
	}
}

static void
proc_close(struct pw_ipc *ipc)
{
	struct pw_proc *p = pw_ipc_arg(ipc);

	/* Its end is near, or it must be: nothing more can be said to it. */
	pw_ipc_free(&p->ipc);
	p->ready = false;
	if (p->pid > 0 && !p->stopping && !p->draining)
		(void)kill(p->pid, SIGKILL);
}
