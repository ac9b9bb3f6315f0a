/* SPDX-License-Identifier: ISC */
/*
 * The two protocols of systemd that a daemon needs, without its library:
 * readiness by a datagram, and sockets that were opened for us.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/valid.h"
#include "main/master.h"

#define FIRST_LISTEN_FD 3
#define MAX_LISTEN_FDS 64

void
pw_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t n;
	int fd;

	if (path == NULL || (path[0] != '/' && path[0] != '@'))
		return;
	n = strlen(path);
	if (n >= sizeof(un.sun_path))
		return;
	memcpy(un.sun_path, path, n);
	if (path[0] == '@')
		un.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
	    (const struct sockaddr *)&un,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	(void)close(fd);
}

/* How many sockets the service manager left for this process. */
static int
given_fds(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	uint64_t n = 0;

	if (pid == NULL || fds == NULL ||
	    pw_bytes_u64(pw_bytes_of(pid), UINT32_MAX, &n) != 0 ||
	    n != (uint64_t)getpid() ||
	    pw_bytes_u64(pw_bytes_of(fds), MAX_LISTEN_FDS, &n) != 0)
		return 0;
	return (int)n;
}

int
pw_notify_listen_fd(const char *address, uint16_t port)
{
	struct pw_ip want = { 0 };
	int n = given_fds();

	if (pw_ip_parse(pw_bytes_of(address), &want) != 0)
		want.family = 0;
	for (int fd = FIRST_LISTEN_FD; fd < FIRST_LISTEN_FD + n; fd++) {
		struct sockaddr_storage ss = { 0 };
		socklen_t len = sizeof(ss);
		struct pw_ip ip = { 0 };
		uint16_t p = 0;

		if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0 ||
		    pw_ip_from_sockaddr((struct sockaddr *)&ss, &ip, &p) != 0)
			continue;
		if (p == port && (want.family == 0 || pw_ip_eq(&ip, &want)))
			return fd;
	}
	return -1;
}
