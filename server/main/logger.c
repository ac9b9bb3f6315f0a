/* SPDX-License-Identifier: ISC */
/*
 * The child that writes the log: it reads lines from a pipe that every other
 * process writes to without waiting, and passes them to standard error, syslog
 * or a file.  A slow sink so never stops a loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <syslog.h>
#include <unistd.h>

#include "base/log.h"
#include "main/master.h"

#define PIPE_BYTES (1 << 20)

enum sink { SINK_FD, SINK_SYSLOG };

struct logger {
	enum sink sink;
	int fd;
	const char *path; /* of the file, to open it anew on USR1 */
};

static volatile sig_atomic_t reopen;

static void
on_usr1(int sig)
{
	(void)sig;
	reopen = 1;
}

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

static void
open_file(struct logger *lg)
{
	int fd = open(lg->path,
	    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);

	if (fd < 0)
		return; /* the old one goes on */
	if (lg->fd >= 0 && lg->fd != STDERR_FILENO)
		(void)close(lg->fd);
	lg->fd = fd;
}

static _Noreturn void
logger_loop(struct logger *lg, int in)
{
	static char buf[64 * 1024];
	size_t have = 0;

	for (;;) {
		ssize_t n = read(in, buf + have, sizeof(buf) - have);
		size_t from = 0;
		char *nl;

		if (reopen && lg->path != NULL) {
			reopen = 0;
			open_file(lg);
		}
		if (n < 0 && errno == EINTR)
			continue;
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
}

static void
logger_child(struct pw_master *m, const struct pw_config *cfg, bool foreground)
{
	struct logger lg = { .sink = SINK_FD, .fd = STDERR_FILENO };
	struct sigaction sa = { .sa_handler = on_usr1 };

	/* It outlives master by what is still in the pipe, no longer. */
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)sigaction(SIGUSR1, &sa, NULL);
	if (!foreground && strcmp(cfg->log.target, "syslog") == 0) {
		lg.sink = SINK_SYSLOG;
		openlog("postwardd", LOG_PID | LOG_NDELAY, LOG_MAIL);
	} else if (!foreground && strcmp(cfg->log.target, "stderr") != 0) {
		lg.path = cfg->log.target;
		open_file(&lg);
	}
	(void)close(m->log_pipe[1]);
	logger_loop(&lg, m->log_pipe[0]);
}

int
pw_logger_start(struct pw_master *m, const struct pw_config *cfg,
    bool foreground, struct pw_err *err)
{
	sigset_t none;

	if (pipe2(m->log_pipe, O_CLOEXEC) != 0)
		return pw_err_sys(err, "log pipe");
	(void)fcntl(m->log_pipe[1], F_SETPIPE_SZ, PIPE_BYTES);
	(void)fcntl(m->log_pipe[1], F_SETFL, O_NONBLOCK);
	m->log_pid = fork();
	if (m->log_pid < 0)
		return pw_err_sys(err, "fork");
	if (m->log_pid == 0) {
		(void)sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		logger_child(m, cfg, foreground);
	}
	(void)close(m->log_pipe[0]);
	m->log_pipe[0] = -1;
	pw_log_to(m->log_pipe[1], (enum pw_log_level)cfg->log.level,
	    (enum pw_log_format)cfg->log.format);
	return 0;
}
