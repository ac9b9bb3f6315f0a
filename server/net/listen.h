/* SPDX-License-Identifier: ISC */
/*
 * Listening sockets: opened by master at start and on reload, inherited by
 * every role and generation that needs them.
 */
#ifndef PW_NET_LISTEN_H
#define PW_NET_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct pw_listen_opts {
	const char *address; /* "192.0.2.1", "::", "127.0.0.1"... */
	uint16_t port;       /* host order; 0: the kernel chooses */
	int backlog;         /* <= 0: the system's largest */
	bool freebind;       /* the address may come up later (IP_FREEBIND) */
};

/*
 * A TCP socket that listens, close-on-exec and non-blocking.  An IPv6 one takes
 * IPv6 only, so that "0.0.0.0" and "::" are two listeners.  -1 with a reason
 * that names address and port, and says what to do where that is known.
 */
int pw_listen_open(const struct pw_listen_opts *opts, struct pw_err *err);
/* The port that FD listens on, or 0. */
uint16_t pw_listen_port(int fd);

#endif
