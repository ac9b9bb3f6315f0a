/* SPDX-License-Identifier: ISC */
/*
 * One frame as one message on a SOCK_SEQPACKET socket.  Private to net/ipc.c,
 * net/ipcmsg.c and their tests.
 */
#ifndef PW_NET_IPCMSG_H
#define PW_NET_IPCMSG_H

#include "net/ipc.h"

/* In host order: both ends run on one host. */
struct pw_ipc_head {
	uint16_t type;
	uint16_t nfds;
	uint32_t len; /* of the body that follows */
	uint64_t id;
};

/* The largest message. */
#define PW_IPC_MAX_MSG (sizeof(struct pw_ipc_head) + PW_IPC_MAX_BODY)

enum pw_ipc_got {
	PW_IPC_FRAME,
	PW_IPC_NONE,    /* nothing there now */
	PW_IPC_END,     /* the other end is gone */
	PW_IPC_NONSENSE /* malformed; its descriptors were closed */
};

/* Sends without waiting: 0, or -1 with errno. */
int pw_ipc_put(int fd, const struct pw_ipc_head *head, struct pw_bytes body,
    const int *fds);
/* Takes one message into BUF of PW_IPC_MAX_MSG bytes; F points into it.  *WHY
 * says what was wrong with nonsense. */
enum pw_ipc_got pw_ipc_take(int fd, char *buf, struct pw_frame *f,
    const char **why);
void pw_ipc_close_fds(int *fds, int nfds);

#endif
