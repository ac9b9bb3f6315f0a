/* SPDX-License-Identifier: ISC */
/*
 * The child that writes the log: it reads lines from a pipe that every other
 * process writes to without waiting, and passes them to standard error, syslog
 * or a file.  A slow sink so never stops a loop.  It is confined like every
 * role: master opens the file, and hands over a new descriptor when it is to be
 * opened anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <syslog.h>
#include <unistd.h>

#include "base/log.h"
#include "base/pool.h"
#include "host/sandbox.h"
#include "main/master.h"
#include "net/ipcmsg.h"

#define PIPE_BYTES (1 << 20)

enum sink { SINK_FD, SINK_SYSLOG };

struct logger {
	enum sink sink;
	int fd;
	int in, ctl; /* the pipe; master's line, -1 when it is closed */
};

static int
priority(const char *line)
{
	/* "TIME LEVEL ROLE ...": the level decides. */
	const char *p = strchr(line, ' ');

	if (p == NULL)
		return LOG_INFO;
	p++;
	if (strncmp(p, "error", 5) == 0)
		return LOG_ERR;
	if (strncmp(p, "warn", 4) == 0)
		return LOG_WARNING;
	if (strncmp(p, "notice", 6) == 0)
		return LOG_NOTICE;
	if (strncmp(p, "debug", 5) == 0)
		return LOG_DEBUG;
	return LOG_INFO;
}

static void
write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, p, n);

		if (w < 0) {
			if (errno == EINTR)
				continue;
			return;
		}
		p += w;
		n -= (size_t)w;
	}
}

static void
emit(struct logger *lg, char *line, size_t n)
{
	if (lg->sink == SINK_SYSLOG) {
		line[n - 1] = '\0';
		syslog(priority(line), "%s", line);
	} else {
		write_all(lg->fd, line, n);
	}
}

/* ---- the child ------------------------------------------------------------------ */

/* The file was opened anew. */
static void
take_file(struct logger *lg)
{
	static char buf[PW_IPC_MAX_MSG];
	struct pw_frame f;
	const char *why;

	switch (pw_ipc_take(lg->ctl, buf, &f, &why)) {
	case PW_IPC_FRAME:
		if (f.nfds > 0) {
			(void)close(lg->fd);
			lg->fd = f.fds[0];
			pw_ipc_close_fds(f.fds + 1, f.nfds - 1);
		}
		break;
	case PW_IPC_NONE:
		break;
	default:
		(void)close(lg->ctl);
		lg->ctl = -1;
		break;
	}
}

static void
take_lines(struct logger *lg)
{
	static char buf[64 * 1024];
	static size_t have;
	ssize_t n = read(lg->in, buf + have, sizeof(buf) - have);
	size_t from = 0;
	char *nl;

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0)
		_exit(EX_OK); /* all writers have ended */
	have += (size_t)n;
	while ((nl = memchr(buf + from, '\n', have - from)) != NULL) {
		size_t len = (size_t)(nl - (buf + from)) + 1;

		emit(lg, buf + from, len);
		from += len;
	}
	memmove(buf, buf + from, have - from);
	have -= from;
	if (have == sizeof(buf))
		have = 0; /* no line of ours is so long */
}

static _Noreturn void
logger_loop(struct logger *lg)
{
	for (;;) {
		struct pollfd p[2] = { { lg->in, POLLIN, 0 },
			{ lg->ctl, POLLIN, 0 } };

		if (poll(p, 2, -1) < 0)
			continue;
		if (p[1].revents != 0)
			take_file(lg);
		if (p[0].revents != 0)
			take_lines(lg);
	}
}

/* As little as the other roles have.  0, or -1 with a line on standard error,
 * since there is no log yet. */
static int
confine(struct logger *lg, const struct pw_config *cfg)
{
	const struct rlimit none = { 0, 0 };
	const struct pw_sandbox sb = { .role = PW_RID_LOG };
	int keep[3] = { lg->in, lg->ctl, lg->fd };
	struct pw_err err = { 0 };

	pw_close_others(keep, PW_COUNT(keep));
	(void)setrlimit(RLIMIT_CORE, &none);
	if (lg->sink == SINK_SYSLOG)
		openlog("postwardd", LOG_PID | LOG_NDELAY, LOG_MAIL);
	if (pw_rights_drop(cfg->server.user_front, &err) == 0 &&
	    pw_sandbox_enter(&sb, &err) == 0) {
		if (lg->fd != STDERR_FILENO || lg->sink == SINK_SYSLOG)
			(void)dup3(STDIN_FILENO, STDERR_FILENO, 0);
		return 0;
	}
	(void)fprintf(stderr, "postwardd: log: %s\n", err.text);
	return -1;
}

static _Noreturn void
logger_child(struct pw_master *m, const struct pw_config *cfg,
    struct logger *lg)
{
	sigset_t none;

	/* It outlives master by what is still in the pipe, no longer. */
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)prctl(PR_SET_NAME, "log");
	pw_log_role("log");
	/* What it says itself has no pipe to go through. */
	pw_log_to(lg->fd, (enum pw_log_level)cfg->log.level,
	    (enum pw_log_format)cfg->log.format);
	pw_pem_free(&m->gen[0].pem, m->gen[0].npem);
	if (confine(lg, cfg) != 0)
		_exit(EX_OSERR);
	logger_loop(lg);
}

/* ---- master's side ---------------------------------------------------------------- */

static int
open_file(const char *path, struct pw_err *err)
{
	int fd = open(path,
	    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);

	return fd >= 0 ? fd : pw_err_sys(err, "log.target: %s", path);
}

void
pw_logger_reopen(struct pw_master *m)
{
	const struct pw_ipc_head head = { .type = PW_MSG_CONFIG, .nfds = 1 };
	struct pw_err err = { 0 };
	int fd;

	if (m->log_path == NULL)
		return;
	fd = open_file(m->log_path, &err);
	if (fd < 0 || pw_ipc_put(m->log_ctl, &head, PW_BYTES_NONE, &fd) != 0)
		pw_logf(PW_LOG_ERROR, "log.reopen",
		    "the old file goes on: %s", fd < 0 ? err.text
						       : strerror(errno));
	if (fd >= 0)
		(void)close(fd);
}

static void
choose_sink(struct pw_master *m, const struct pw_config *cfg, bool foreground,
    struct logger *lg)
{
	*lg = (struct logger){ .sink = SINK_FD, .fd = STDERR_FILENO };
	if (foreground || strcmp(cfg->log.target, "stderr") == 0)
		return;
	if (strcmp(cfg->log.target, "syslog") == 0)
		lg->sink = SINK_SYSLOG;
	else
		m->log_path = cfg->log.target;
}

int
pw_logger_start(struct pw_master *m, const struct pw_config *cfg,
    bool foreground, struct pw_err *err)
{
	struct logger lg;
	int ctl[2];

	choose_sink(m, cfg, foreground, &lg);
	if (m->log_path != NULL) {
		/* Of the first generation, which goes when the next comes. */
		m->log_path = pw_xstrdup(m->log_path);
		lg.fd = open_file(m->log_path, err);
	}
	if (lg.fd < 0 || pw_ipc_pair(ctl, err) != 0)
		return -1;
	if (pipe2(m->log_pipe, O_CLOEXEC) != 0)
		return pw_err_sys(err, "log pipe");
	(void)fcntl(m->log_pipe[1], F_SETPIPE_SZ, PIPE_BYTES);
	(void)fcntl(m->log_pipe[1], F_SETFL, O_NONBLOCK);
	m->log_pid = fork();
	if (m->log_pid < 0)
		return pw_err_sys(err, "fork");
	if (m->log_pid == 0) {
		lg.in = m->log_pipe[0];
		lg.ctl = ctl[1];
		logger_child(m, cfg, &lg);
	}
	(void)close(m->log_pipe[0]);
	(void)close(ctl[1]);
	if (lg.fd != STDERR_FILENO)
		(void)close(lg.fd);
	m->log_pipe[0] = -1;
	m->log_ctl = ctl[0];
	pw_log_to(m->log_pipe[1], (enum pw_log_level)cfg->log.level,
	    (enum pw_log_format)cfg->log.format);
	return 0;
}
