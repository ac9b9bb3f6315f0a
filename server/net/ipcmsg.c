/* SPDX-License-Identifier: ISC */
/*
 * Frames as messages: packing, unpacking with distrust, socket pairs, and the
 * blocking forms for start-up and the admin program.  Any role.
 */
#include "net/ipcmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/pool.h"

/* Many small frames, and several of the largest. */
#define SOCK_BUF (1024 * 1024)
/* An honest frame has at most PW_IPC_MAX_FDS; room for a few more lets us see
 * and close them. */
#define FDS_ROOM 16

union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(int) * FDS_ROOM)];
};

/* Two iovecs, or one where there is no body. */
static struct msghdr
message(struct iovec iov[2])
{
	return (struct msghdr){ .msg_iov = iov,
		.msg_iovlen = iov[1].iov_len > 0 ? 2 : 1 };
}

int
pw_ipc_put(int fd, const struct pw_ipc_head *head, struct pw_bytes body,
    const int *fds)
{
	union control control;
	struct iovec iov[2] = { { (void *)(uintptr_t)head, sizeof(*head) },
		{ (void *)(uintptr_t)body.ptr, body.len } };
	struct msghdr msg = message(iov);
	ssize_t n;

	if (head->nfds > 0) {
		size_t size = sizeof(int) * head->nfds;
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(size);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(c), fds, size);
	}
	do {
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -1 : 0;
}

void
pw_ipc_close_fds(int *fds, int nfds)
{
	for (int i = 0; i < nfds; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

/* The descriptors that came with MSG; returns how many. */
static int
collect_fds(struct msghdr *msg, int fds[FDS_ROOM])
{
	int n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL;
	     c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t size = c->cmsg_len - CMSG_LEN(0);
		for (size_t i = 0; i + sizeof(int) <= size; i += sizeof(int)) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i, sizeof(fd));
			if (n < FDS_ROOM)
				fds[n++] = fd;
			else
				close(fd);
		}
	}
	return n;
}

static const char *
what_is_wrong(const struct msghdr *msg, const struct pw_ipc_head *head,
    size_t got, int nfds)
{
	if ((msg->msg_flags & MSG_TRUNC) != 0)
		return "frame too large";
	if (got < sizeof(*head))
		return "frame shorter than its head";
	if (head->len != got - sizeof(*head))
		return "frame of another length than it says";
	if (nfds > PW_IPC_MAX_FDS ||
	    (head->nfds != nfds && (msg->msg_flags & MSG_CTRUNC) == 0))
		return "other descriptors than it says";
	return NULL;
}

enum pw_ipc_got
pw_ipc_take(int fd, char *buf, struct pw_frame *f, const char **why)
{
	union control control;
	struct iovec iov[2] = { { buf, PW_IPC_MAX_MSG }, { NULL, 0 } };
	struct msghdr msg = message(iov);
	struct pw_ipc_head head = { 0 };
	int fds[FDS_ROOM], nfds;
	ssize_t n;

	msg.msg_control = &control;
	msg.msg_controllen = sizeof(control);
	/* ECONNRESET comes once, before what the dead end sent last. */
	for (int tries = 0;; tries++) {
		n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n >= 0)
			break;
		if (errno == EAGAIN)
			return PW_IPC_NONE;
		if (tries >= 8 || (errno != EINTR && errno != ECONNRESET))
			return PW_IPC_END;
	}
	nfds = collect_fds(&msg, fds);
	/* No frame is empty, so this is the end of the stream. */
	if (n == 0 && nfds == 0)
		return PW_IPC_END;
	if ((size_t)n >= sizeof(head))
		memcpy(&head, buf, sizeof(head));
	*why = what_is_wrong(&msg, &head, (size_t)n, nfds);
	if (*why != NULL) {
		pw_ipc_close_fds(fds, nfds);
		return PW_IPC_NONSENSE;
	}
	bool lost = (msg.msg_flags & MSG_CTRUNC) != 0;
	if (lost) {
		/* Which of them came is not told. */
		pw_ipc_close_fds(fds, nfds);
		nfds = 0;
	}
	*f = (struct pw_frame){ .type = head.type, .id = head.id,
		.body = pw_bytes(buf + sizeof(head), head.len),
		.nfds = nfds, .fds_lost = lost };
	for (int i = 0; i < PW_IPC_MAX_FDS; i++)
		f->fds[i] = i < nfds ? fds[i] : -1;
	return PW_IPC_FRAME;
}

int
pw_ipc_pair(int fds[2], struct pw_err *err)
{
	int size = SOCK_BUF;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return pw_err_sys(err, "cannot make a socket pair");
	/* The default already holds one of the largest frames; more is good
	 * for the rate only, so what the system refuses is not an error. */
	for (int i = 0; i < 2; i++)
		if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &size,
			sizeof(size)) < 0)
			(void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size,
			    sizeof(size));
	return 0;
}

/* ---- blocking forms ----------------------------------------------------- */

static int
wait_for(int fd, short events, uint64_t deadline_ms, struct pw_err *err)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		uint64_t now = pw_clock_mono_ms();
		if (now >= deadline_ms)
			return pw_err_set(err, ETIMEDOUT,
			    "no answer in time");
		uint64_t ms = deadline_ms - now;
		int n = poll(&p, 1, ms > INT_MAX ? INT_MAX : (int)ms);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return pw_err_sys(err, "poll");
	}
}

static uint64_t
deadline_of(int ms)
{
	return pw_clock_mono_ms() + (ms > 0 ? (unsigned)ms : 0);
}

int
pw_ipc_send_wait(int fd, uint16_t type, uint64_t id, struct pw_bytes body,
    const int *fds, int nfds, int ms, struct pw_err *err)
{
	uint64_t deadline = deadline_of(ms);

	if (body.len > PW_IPC_MAX_BODY || nfds < 0 || nfds > PW_IPC_MAX_FDS)
		return pw_err_set(err, EMSGSIZE, "frame too large");
	struct pw_ipc_head head = { .type = type, .nfds = (uint16_t)nfds,
		.len = (uint32_t)body.len, .id = id };
	while (pw_ipc_put(fd, &head, body, fds) < 0) {
		if (errno != EAGAIN)
			return pw_err_sys(err, "cannot send");
		if (wait_for(fd, POLLOUT, deadline, err) < 0)
			return -1;
	}
	return 0;
}

int
pw_ipc_recv_wait(int fd, struct pw_frame *f, char **body, int ms,
    struct pw_err *err)
{
	uint64_t deadline = deadline_of(ms);
	char *buf = pw_xrealloc(NULL, PW_IPC_MAX_MSG, 1);
	const char *why = NULL;

	*body = NULL;
	for (;;) {
		enum pw_ipc_got got = pw_ipc_take(fd, buf, f, &why);
		if (got == PW_IPC_FRAME && !f->fds_lost)
			break;
		if (got == PW_IPC_FRAME)
			pw_err_set(err, EMFILE, "descriptors lost");
		else if (got == PW_IPC_END)
			pw_err_set(err, EPIPE, "the other end is gone");
		else if (got == PW_IPC_NONSENSE)
			pw_err_set(err, EPROTO, "%s", why);
		else if (wait_for(fd, POLLIN, deadline, err) == 0)
			continue;
		free(buf);
		return -1;
	}
	*body = pw_xbytesdup(f->body);
	f->body = pw_bytes(*body, f->body.len);
	free(buf);
	return 0;
}
