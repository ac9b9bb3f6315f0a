/* SPDX-License-Identifier: ISC */
/*
 * Channels between roles: SOCK_SEQPACKET socket pairs that carry one frame a
 * message, with descriptors.  A malformed frame closes that channel, never the
 * process.  Everything on the loop's thread.
 */
#ifndef PW_NET_IPC_H
#define PW_NET_IPC_H

#include "base/bytes.h"
#include "net/loop.h"

#define PW_IPC_MAX_BODY (160u * 1024)
#define PW_IPC_MAX_FDS 4

struct pw_ipc;

struct pw_frame {
	uint16_t type; /* meaning is the two roles' business */
	uint64_t id;   /* answers bear the id of their question */
	struct pw_bytes body; /* valid during the callback only */
	int fds[PW_IPC_MAX_FDS]; /* the receiver's; set one to -1 to keep it,
				  * the others are closed after the callback */
	int nfds;
	bool fds_lost; /* it had some: see pw_ipc_bear_loss() */
};

struct pw_ipc_ops {
	void (*on_frame)(struct pw_ipc *ipc, struct pw_frame *f);
	/* The other end is gone or spoke nonsense; called once, at the end of
	 * a round at the earliest; the owner frees the channel (in it, if it
	 * likes). */
	void (*on_close)(struct pw_ipc *ipc);
};

/* Takes over FD (made non-blocking). */
struct pw_ipc *pw_ipc_new(struct pw_loop *loop, int fd,
    const struct pw_ipc_ops *ops, void *arg);
/* Closes; no callback after this; *ipc set to NULL. */
void pw_ipc_free(struct pw_ipc **ipc);
void *pw_ipc_arg(const struct pw_ipc *ipc);
/* A process that has too many files open loses the descriptors of a frame.
 * From now on such a frame is handed over without them, .fds_lost set, instead
 * of ending the channel. */
void pw_ipc_bear_loss(struct pw_ipc *ipc);
/*
 * Sends a frame, or keeps it until the socket takes it; descriptors are
 * duplicated, so the caller may close its own at once.  -1 when the channel is
 * closed, when BODY is larger than PW_IPC_MAX_BODY, or when more than 4,096
 * frames or 16 MiB wait: then nothing was taken.
 */
int pw_ipc_send(struct pw_ipc *ipc, uint16_t type, uint64_t id,
    struct pw_bytes body, const int *fds, int nfds);
/* Frames kept back now. */
size_t pw_ipc_queued(const struct pw_ipc *ipc);
/* A connected pair, close-on-exec, with large buffers.  0 or -1. */
int pw_ipc_pair(int fds[2], struct pw_err *err);

/* Blocking forms for set-up and command-line programs: one frame, at most MS
 * milliseconds; the body is owned by the caller (free()).  0 or -1. */
int pw_ipc_send_wait(int fd, uint16_t type, uint64_t id, struct pw_bytes body,
    const int *fds, int nfds, int ms, struct pw_err *err);
int pw_ipc_recv_wait(int fd, struct pw_frame *f, char **body, int ms,
    struct pw_err *err);

#endif
