/* SPDX-License-Identifier: ISC */
/*
 * The PROXY protocol, versions 1 and 2: what a load balancer says about its
 * client before the client's first byte.  A pure parser; who may send such a
 * header is decided by the listener's configuration, and there it must be
 * sent.  Any thread.
 */
#ifndef PW_NET_PROXY_H
#define PW_NET_PROXY_H

#include "base/bytes.h"
#include "base/valid.h"

/* No header is longer than this; so much input is never "need more".  The
 * protocol allows 64 KB of extensions in version 2, which nobody sends. */
#define PW_PROXY_MAX 4096

enum pw_proxy_rc {
	PW_PROXY_MORE, /* so far right, not yet whole */
	PW_PROXY_BAD,
	PW_PROXY_LOCAL,  /* whole; the sender speaks for itself (health check,
			  * "UNKNOWN", or another family than IP) */
	PW_PROXY_ADDRESS /* whole, with addresses */
};

struct pw_proxy {
	size_t used; /* length of the header, with LOCAL and ADDRESS */
	struct pw_ip src, dst;
	uint16_t src_port, dst_port;
};

/*
 * Looks at IN, everything that has come since the begin of the connection, and
 * fills *OUT.  The same input gives the same answer however it was cut before;
 * what is behind .used is the client's.
 */
enum pw_proxy_rc pw_proxy_parse(struct pw_bytes in, struct pw_proxy *out);

#endif
