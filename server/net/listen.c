/* SPDX-License-Identifier: ISC */
/*
 * Opening listening sockets; used by master (and by tests).
 */
#include "net/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/valid.h"

static socklen_t
to_sockaddr(const struct pw_ip *ip, uint16_t port,
    struct sockaddr_storage *ss)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET,
		.sin_port = htons(port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_port = htons(port) };

	memset(ss, 0, sizeof(*ss));
	if (ip->family == 4) {
		memcpy(&in4.sin_addr, ip->b, 4);
		memcpy(ss, &in4, sizeof(in4));
		return sizeof(in4);
	}
	memcpy(&in6.sin6_addr, ip->b, 16);
	memcpy(ss, &in6, sizeof(in6));
	return sizeof(in6);
}

static int
set(int fd, int level, int name)
{
	int one = 1;

	return setsockopt(fd, level, name, &one, sizeof(one));
}

static int
prepare(int fd, const struct pw_ip *ip, bool freebind)
{
	if (set(fd, SOL_SOCKET, SO_REUSEADDR) < 0)
		return -1;
	if (ip->family == 6 && set(fd, IPPROTO_IPV6, IPV6_V6ONLY) < 0)
		return -1;
	if (!freebind)
		return 0;
	return ip->family == 4 ? set(fd, IPPROTO_IP, IP_FREEBIND) :
				 set(fd, IPPROTO_IPV6, IPV6_FREEBIND);
}

static const char *
advice(int code)
{
	switch (code) {
	case EADDRINUSE:
		return "; another program listens there";
	case EADDRNOTAVAIL:
		return "; no interface has this address";
	case EACCES:
		return "; ports below 1024 need root or CAP_NET_BIND_SERVICE";
	case EAFNOSUPPORT:
		return "; this system has no such address family";
	default:
		return "";
	}
}

/* Brings FD to listening; the step that failed (errno says why), or NULL. */
static const char *
start(int fd, const struct pw_listen_opts *opts, const struct pw_ip *ip)
{
	struct sockaddr_storage ss;
	socklen_t len = to_sockaddr(ip, opts->port, &ss);

	if (fd < 0)
		return "make a socket for";
	if (prepare(fd, ip, opts->freebind) < 0)
		return "set up a socket for";
	if (bind(fd, (struct sockaddr *)&ss, len) < 0)
		return "bind to";
	if (listen(fd, opts->backlog > 0 ? opts->backlog : SOMAXCONN) < 0)
		return "listen on";
	return NULL;
}

int
pw_listen_open(const struct pw_listen_opts *opts, struct pw_err *err)
{
	char where[PW_IP_STRLEN];
	struct pw_ip ip;

	if (pw_ip_parse(pw_bytes_of(opts->address), &ip) < 0)
		return pw_err_set(err, EINVAL,
		    "\"%s\" is not an IPv4 or IPv6 address",
		    opts->address != NULL ? opts->address : "");
	int fd = socket(ip.family == 4 ? AF_INET : AF_INET6,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const char *failed = start(fd, opts, &ip);
	if (failed == NULL)
		return fd;

	int code = errno;
	char reason[128];
	pw_ip_format(&ip, where);
	pw_err_set(err, code, "cannot %s %s port %u: %s%s", failed, where,
	    opts->port, strerror_r(code, reason, sizeof(reason)),
	    advice(code));
	if (fd >= 0)
		close(fd);
	return -1;
}

uint16_t
pw_listen_port(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct pw_ip ip;
	uint16_t port;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0 ||
	    pw_ip_from_sockaddr((struct sockaddr *)&ss, &ip, &port) < 0)
		return 0;
	return port;
}
