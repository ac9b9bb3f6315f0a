/* SPDX-License-Identifier: ISC */
/*
 * Master's own life: set-up, signals, children, the end.
 */
#include "main/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/pool.h"

/* From the word to stop until the last front session must have ended. */
#define STOP_FRONT_MS 30000
#define STOP_STORE_MS 60000

/* ---- stopping: fronts first, then what they used, the store last ------------ */

static void
tell_stop(struct pw_master *m, bool fronts)
{
	for (size_t i = 0; i < m->nproc; i++) {
		struct pw_proc *p = m->proc[i];

		if ((p->id == PW_RID_FRONT) != fronts || p->stopping)
			continue;
		p->stopping = true;
		if (p->ipc != NULL)
			(void)pw_ipc_send(p->ipc, PW_MSG_STOP, 0, PW_BYTES_NONE,
			    NULL, 0);
		else if (p->pid > 0 && !p->draining)
			/* One that drains closes its channel as its last act. */
			(void)kill(p->pid, SIGKILL);
	}
}

/* Entries that wait for a restart have no process whose end would be seen. */
static void
forget_waiting(struct pw_master *m)
{
	for (size_t i = m->nproc; i-- > 0;)
		if (m->proc[i]->pid <= 0)
			pw_proc_forget(m->proc[i]);
}

static size_t
count(const struct pw_master *m, bool fronts)
{
	size_t n = 0;

	for (size_t i = 0; i < m->nproc; i++)
		n += (m->proc[i]->id == PW_RID_FRONT) == fronts;
	return n;
}

static void stop_late(struct pw_timer *t);

static void
stop_advance(struct pw_master *m)
{
	forget_waiting(m);
	if (count(m, true) > 0)
		return;
	if (count(m, false) == 0) {
		pw_loop_stop(m->loop);
		return;
	}
	tell_stop(m, false);
}

static void
stop_late(struct pw_timer *t)
{
	struct pw_master *m = (struct pw_master *)((char *)t -
	    offsetof(struct pw_master, stop_timer));
	bool fronts = count(m, true) > 0;

	for (size_t i = 0; i < m->nproc; i++) {
		struct pw_proc *p = m->proc[i];

		if ((p->id == PW_RID_FRONT) != fronts || p->pid <= 0)
			continue;
		pw_logf(PW_LOG_WARN, "role.kill", "%s did not end in time",
		    pw_role_name(p->id));
		(void)kill(p->pid, SIGKILL);
	}
	pw_timer_set(m->loop, &m->stop_timer, STOP_STORE_MS, stop_late);
}

void
pw_master_stop(struct pw_master *m, int exit_code)
{
	if (m->stopping)
		return;
	m->stopping = true;
	m->exit_code = exit_code;
	pw_notify("STOPPING=1");
	pw_logf(PW_LOG_NOTICE, "master.stop", "stopping");
	pw_timer_set(m->loop, &m->stop_timer, STOP_FRONT_MS, stop_late);
	tell_stop(m, true);
	pw_sockets_shut(m);
	stop_advance(m);
}

/* ---- signals ----------------------------------------------------------------- */

/* What a process said last is read before its end is. */
static void
reap(struct pw_defer *d)
{
	struct pw_master *m = (struct pw_master *)((char *)d -
	    offsetof(struct pw_master, reap));
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == m->log_pid) {
			/* Nobody can be told any more: a log is not optional. */
			m->log_pid = 0;
			pw_master_stop(m, EX_SOFTWARE);
			continue;
		}
		pw_spawn_reaped(m, pid, status);
	}
	if (m->stopping)
		stop_advance(m);
}

static void
on_signal(struct pw_io *io, uint32_t ready)
{
	struct pw_master *m = (struct pw_master *)((char *)io -
	    offsetof(struct pw_master, signal_io));
	struct signalfd_siginfo si;

	(void)ready;
	while (read(m->signal_fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		switch (si.ssi_signo) {
		case SIGCHLD:
			pw_loop_defer(m->loop, &m->reap);
			break;
		case SIGHUP:
			pw_reload(m, 0);
			break;
		case SIGUSR1:
			pw_logger_reopen(m);
			break;
		default:
			pw_master_stop(m, EX_OK);
			break;
		}
	}
}

static int
watch_signals(struct pw_master *m, struct pw_err *err)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGUSR1);
	(void)signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return pw_err_sys(err, "sigprocmask");
	m->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (m->signal_fd < 0)
		return pw_err_sys(err, "signalfd");
	m->reap.cb = reap;
	return pw_io_add(m->loop, &m->signal_io, m->signal_fd, EPOLLIN,
	    on_signal);
}

/* ---- set-up ------------------------------------------------------------------ */

static void
read_boot_id(struct pw_master *m)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;

	if (fd >= 0) {
		n = read(fd, m->boot_id, sizeof(m->boot_id) - 1);
		(void)close(fd);
	}
	m->boot_id[n > 0 ? n : 0] = '\0';
	m->boot_id[strcspn(m->boot_id, "\n")] = '\0';
}

static int
set_up(struct pw_master *m, const struct pw_config *cfg, struct pw_err *err)
{
	read_boot_id(m);
	if (pw_folders_make(cfg, err) != 0 || pw_lock_take(cfg, err) != 0 ||
	    pw_sockets_open(&m->gen[0], NULL, err) != 0)
		return -1;
	m->control_fd = pw_control_open(cfg, err);
	if (m->control_fd < 0)
		return -1;
	if (pw_logger_start(m, cfg, m->foreground, err) != 0)
		return -1;
	m->loop = pw_loop_new(err);
	if (m->loop == NULL)
		return -1;
	return watch_signals(m, err);
}

int
pw_master_run(const char *config_file, struct pw_config *cfg, bool foreground,
    int *ready_fd)
{
	static struct pw_master m;
	struct pw_strbuf report;
	struct pw_err err = { 0 };

	m.config_file = config_file;
	m.foreground = foreground;
	m.ready_fd = ready_fd;
	m.log_pipe[0] = m.log_pipe[1] = m.log_ctl = -1;
	m.gen[0].cfg = cfg;
	m.gen[0].number = cfg->generation = 1;
	pw_log_role("master");
	pw_strbuf_init(&report, 16 * 1024);
	if (pw_generation_load(&m, &m.gen[0], &report) != 0) {
		(void)fprintf(stderr, "%s", pw_strbuf_cstr(&report));
		return EX_CONFIG;
	}
	pw_strbuf_free(&report);
	if (set_up(&m, cfg, &err) != 0) {
		(void)fprintf(stderr, "postwardd: %s\n", err.text);
		return err.code == EINVAL ? EX_CONFIG :
		    err.code == EBUSY ? EX_TEMPFAIL : EX_OSERR;
	}
	pw_generation_advance(&m);
	(void)pw_loop_run(m.loop);
	pw_logf(PW_LOG_NOTICE, "master.end", "stopped");
	/* The logger ends when the last writer does; its last lines count. */
	(void)close(m.log_pipe[1]);
	if (m.log_pid > 0)
		(void)waitpid(m.log_pid, NULL, 0);
	return m.exit_code;
}
