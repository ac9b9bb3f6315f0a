/* SPDX-License-Identifier: ISC */
/*
 * What master opens while it still may: listening sockets and the control
 * socket.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "host/folders.h"
#include "main/master.h"
#include "net/listen.h"

#define BUSY_TRIES 100
#define BUSY_PAUSE_NS 20000000 /* 2 s in all */

/* Roles of a master that was killed a moment ago may still hold the port. */
static int
open_listener(const struct pw_listen_opts *opts, struct pw_err *err)
{
	const struct timespec pause = { .tv_nsec = BUSY_PAUSE_NS };
	int fd = pw_listen_open(opts, err);

	for (int i = 0; fd < 0 && err->code == EADDRINUSE && i < BUSY_TRIES;
	     i++) {
		(void)nanosleep(&pause, NULL);
		fd = pw_listen_open(opts, err);
	}
	return fd;
}

static int
add_socket(struct pw_master *m, size_t listener, const char *address,
    uint16_t port, int backlog, struct pw_err *err)
{
	const struct pw_listen_opts opts = { .address = address, .port = port,
		.backlog = backlog };
	int fd = pw_notify_listen_fd(address, port);

	if (m->nlisten == PW_MAX_LISTEN)
		return pw_err_set(err, EINVAL, "more than %d listening sockets",
		    PW_MAX_LISTEN);
	m->listen[m->nlisten].given = fd >= 0;
	if (fd < 0)
		fd = open_listener(&opts, err);
	if (fd < 0)
		return -1;
	m->listen[m->nlisten].fd = fd;
	m->listen[m->nlisten].listener = listener;
	m->nlisten++;
	return 0;
}

void
pw_sockets_shut(struct pw_master *m)
{
	/* Those of the service manager go on for who comes after us. */
	for (size_t i = 0; i < m->nlisten; i++)
		if (!m->listen[i].given)
			(void)shutdown(m->listen[i].fd, SHUT_RDWR);
}

int
pw_sockets_open(struct pw_master *m, const struct pw_config *cfg,
    struct pw_err *err)
{
	for (size_t i = 0; i < cfg->nlistener; i++) {
		const struct pw_config_listener *l = &cfg->listener[i];
		uint16_t port = (uint16_t)l->port;
		int rc;

		if (strcmp(l->address, "*") == 0) {
			rc = add_socket(m, i, "0.0.0.0", port, (int)l->backlog,
			    err);
			/* A machine without IPv6 is no error. */
			if (rc == 0 &&
			    add_socket(m, i, "::", port, (int)l->backlog,
				err) != 0 &&
			    err->code != EAFNOSUPPORT &&
			    err->code != EADDRNOTAVAIL)
				rc = -1;
		} else {
			rc = add_socket(m, i, l->address, port,
			    (int)l->backlog, err);
		}
		if (rc != 0)
			return pw_err_prefix(err, "listener %s", l->name);
	}
	return 0;
}

int
pw_control_open(const struct pw_config *cfg, struct pw_err *err)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd, n;

	n = snprintf(un.sun_path, sizeof(un.sun_path), "%s/control.sock",
	    cfg->server.run_dir);
	if (n < 0 || (size_t)n >= sizeof(un.sun_path))
		return pw_err_set(err, EINVAL,
		    "server.run-dir: %s is too long for a socket; use a path "
		    "of at most 90 characters",
		    cfg->server.run_dir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return pw_err_sys(err, "control socket");
	/* A socket left by a daemon that was killed; the lock on the state
	 * folder keeps two daemons apart. */
	(void)unlink(un.sun_path);
	/* Closed to others unless the configuration names them; even then the
	 * store role asks the kernel who connected. */
	if (bind(fd, (const struct sockaddr *)&un, sizeof(un)) != 0 ||
	    chmod(un.sun_path, cfg->control.admins.n > 0 ? 0666 : 0600) != 0 ||
	    pw_give_to_store(cfg, un.sun_path, err) != 0 || listen(fd, 64) != 0) {
		(void)pw_err_sys(err, "control socket %s", un.sun_path);
		(void)close(fd);
		return -1;
	}
	return fd;
}
