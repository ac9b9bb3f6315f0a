/* SPDX-License-Identifier: ISC */
/*
 * What master opens for the roles: the listening sockets of a generation, of
 * which those that the one before has too are shared, and the control socket.
 */
#include <errno.h>
#include <fcntl.h>
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
open_waiting(const struct pw_listen_opts *opts, struct pw_err *err)
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

static const struct pw_listen_socket *
find(const struct pw_generation *g, const struct pw_listen_socket *like)
{
	for (size_t i = 0; g != NULL && i < g->nlisten; i++)
		if (g->listen[i].port == like->port &&
		    pw_ip_eq(&g->listen[i].ip, &like->ip))
			return &g->listen[i];
	return NULL;
}

/* An address of its own and "all addresses" cannot have a port together. */
static bool
in_our_way(const struct pw_generation *old, const struct pw_listen_socket *s)
{
	for (size_t i = 0; old != NULL && i < old->nlisten; i++)
		if (old->listen[i].port == s->port &&
		    old->listen[i].ip.family == s->ip.family)
			return true;
	return false;
}

/* Sets S->fd and S->given. */
static int
open_socket(const struct pw_generation *old, struct pw_listen_socket *s,
    const struct pw_listen_opts *opts, struct pw_err *err)
{
	const struct pw_listen_socket *same = find(old, s);
	int fd = same != NULL ? same->fd :
				pw_notify_listen_fd(opts->address, opts->port);

	s->given = same != NULL ? same->given : fd >= 0;
	if (fd >= 0) {
		s->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (s->fd < 0 || listen(s->fd, opts->backlog) != 0)
			return pw_err_sys(err, "%s port %u", opts->address,
			    opts->port);
		return 0;
	}
	s->fd = old == NULL ? open_waiting(opts, err) :
			      pw_listen_open(opts, err);
	if (s->fd < 0 && err->code == EADDRINUSE && in_our_way(old, s))
		return pw_err_set(err, EADDRINUSE,
		    "%s port %u: the running configuration listens on this "
		    "port by another address; restart, or use another port",
		    opts->address, opts->port);
	return s->fd < 0 ? -1 : 0;
}

static int
add_socket(struct pw_generation *g, const struct pw_generation *old,
    size_t listener, const char *address, struct pw_err *err)
{
	const struct pw_config_listener *l = &g->cfg->listener[listener];
	const struct pw_listen_opts opts = { .address = address,
		.port = (uint16_t)l->port, .backlog = (int)l->backlog };
	struct pw_listen_socket s = { .fd = -1, .listener = listener,
		.port = opts.port };

	if (g->nlisten == PW_MAX_LISTEN)
		return pw_err_set(err, EINVAL, "more than %d listening sockets",
		    PW_MAX_LISTEN);
	if (pw_ip_parse(pw_bytes_of(address), &s.ip) != 0)
		return pw_err_set(err, EINVAL, "\"%s\" is not an address",
		    address);
	if (open_socket(old, &s, &opts, err) != 0) {
		if (s.fd >= 0)
			(void)close(s.fd);
		return -1;
	}
	g->listen[g->nlisten++] = s;
	return 0;
}

int
pw_sockets_open(struct pw_generation *g, const struct pw_generation *old,
    struct pw_err *err)
{
	for (size_t i = 0; i < g->cfg->nlistener; i++) {
		const struct pw_config_listener *l = &g->cfg->listener[i];
		bool all = strcmp(l->address, "*") == 0;
		int rc = add_socket(g, old, i, all ? "0.0.0.0" : l->address,
		    err);

		/* A machine without IPv6 is no error. */
		if (rc == 0 && all && add_socket(g, old, i, "::", err) != 0 &&
		    err->code != EAFNOSUPPORT && err->code != EADDRNOTAVAIL)
			rc = -1;
		if (rc != 0)
			return pw_err_prefix(err, "listener %s", l->name);
	}
	return 0;
}

void
pw_sockets_close(struct pw_generation *g, const struct pw_generation *keep)
{
	for (size_t i = 0; i < g->nlisten; i++) {
		struct pw_listen_socket *s = &g->listen[i];

		/* Those of the service manager go on for who comes after. */
		if (keep != NULL && !s->given && find(keep, s) == NULL)
			(void)shutdown(s->fd, SHUT_RDWR);
		(void)close(s->fd);
	}
	g->nlisten = 0;
}

void
pw_sockets_shut(struct pw_master *m)
{
	for (size_t k = 0; k < PW_COUNT(m->gen); k++)
		for (size_t i = 0; i < m->gen[k].nlisten; i++)
			if (!m->gen[k].listen[i].given)
				(void)shutdown(m->gen[k].listen[i].fd,
				    SHUT_RDWR);
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
