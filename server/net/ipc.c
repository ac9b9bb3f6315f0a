/* SPDX-License-Identifier: ISC */
/*
 * Channels on the loop: frames in, frames out with a bounded queue, and one
 * notice of the end.  Every role has some.
 */
#include "net/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/pool.h"
#include "net/ipcmsg.h"

#define QUEUE_FRAMES_MAX 4096u
#define QUEUE_BYTES_MAX ((size_t)16 << 20)
/* Frames taken a round, so that one channel leaves time for the others. */
#define FRAMES_A_ROUND 64
/* When the kernel lacks memory or in-flight descriptors, epoll would say
 * "writable" again and again. */
#define RETRY_MS 10

struct out {
	struct out *next;
	struct pw_ipc_head head;
	int fds[PW_IPC_MAX_FDS]; /* owned */
	char body[];
};

struct pw_ipc {
	struct pw_loop *loop;
	const struct pw_ipc_ops *ops;
	void *arg;
	struct pw_io io;
	struct pw_timer retry;
	struct pw_defer ending;
	struct out *first;
	struct out **end;
	size_t queued;
	size_t queued_bytes;
	bool in_callback;
	bool doomed;   /* freed inside its callback */
	bool no_input; /* over: on_close is due or was called */
	bool no_output;
	bool bears_loss;
	char buf[PW_IPC_MAX_MSG];
};

static void on_io(struct pw_io *io, uint32_t ready);
static void on_ending(struct pw_defer *d);
static void on_retry(struct pw_timer *t);

#define OWNER(ptr, member)                                                   \
	((struct pw_ipc *)(void *)((char *)(ptr)-offsetof(struct pw_ipc,     \
	    member)))

struct pw_ipc *
pw_ipc_new(struct pw_loop *loop, int fd, const struct pw_ipc_ops *ops,
    void *arg)
{
	/* Not cleared: the buffer's pages are touched when used. */
	struct pw_ipc *ipc = pw_xrealloc(NULL, 1, sizeof(*ipc));

	memset(ipc, 0, offsetof(struct pw_ipc, buf));
	ipc->loop = loop;
	ipc->ops = ops;
	ipc->arg = arg;
	ipc->end = &ipc->first;
	ipc->ending.cb = on_ending;
	ipc->io.fd = fd;
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	if (pw_io_add(loop, &ipc->io, fd, EPOLLIN, on_io) < 0) {
		pw_logf(PW_LOG_ERROR, "ipc.watch", "cannot watch: errno %d",
		    errno);
		ipc->no_input = ipc->no_output = true;
		pw_loop_defer(loop, &ipc->ending);
	}
	return ipc;
}

static void
drop_first(struct pw_ipc *ipc)
{
	struct out *o = ipc->first;

	ipc->first = o->next;
	if (ipc->first == NULL)
		ipc->end = &ipc->first;
	ipc->queued--;
	ipc->queued_bytes -= o->head.len;
	pw_ipc_close_fds(o->fds, o->head.nfds);
	free(o);
}

static void
drop_queue(struct pw_ipc *ipc)
{
	while (ipc->first != NULL)
		drop_first(ipc);
	pw_timer_stop(&ipc->retry);
}

void
pw_ipc_free(struct pw_ipc **ipcp)
{
	struct pw_ipc *ipc = *ipcp;

	if (ipc == NULL)
		return;
	*ipcp = NULL;
	drop_queue(ipc);
	pw_loop_undefer(ipc->loop, &ipc->ending);
	pw_io_del(&ipc->io);
	if (ipc->io.fd >= 0)
		close(ipc->io.fd);
	ipc->io.fd = -1;
	/* The frame that is being handled lies in the buffer. */
	if (ipc->in_callback)
		ipc->doomed = true;
	else
		free(ipc);
}

void
pw_ipc_bear_loss(struct pw_ipc *ipc)
{
	ipc->bears_loss = true;
}

void *
pw_ipc_arg(const struct pw_ipc *ipc)
{
	return ipc->arg;
}

size_t
pw_ipc_queued(const struct pw_ipc *ipc)
{
	return ipc->queued;
}

/* ---- the end ------------------------------------------------------------ */

static void
on_ending(struct pw_defer *d)
{
	struct pw_ipc *ipc = OWNER(d, ending);

	ipc->ops->on_close(ipc);
}

static void
end(struct pw_ipc *ipc)
{
	ipc->no_input = ipc->no_output = true;
	drop_queue(ipc);
	pw_io_del(&ipc->io);
	pw_loop_defer(ipc->loop, &ipc->ending);
}

/* ---- output ------------------------------------------------------------- */

enum sent { SENT, SEND_LATER, SEND_NEVER };

static enum sent
try_send(struct pw_ipc *ipc, const struct pw_ipc_head *head,
    struct pw_bytes body, const int *fds)
{
	if (pw_ipc_put(ipc->io.fd, head, body, fds) == 0)
		return SENT;
	switch (errno) {
	case EAGAIN:
		(void)pw_io_events(&ipc->io, EPOLLIN | EPOLLOUT);
		return SEND_LATER;
	case ENOBUFS:
	case ENOMEM:
	case ETOOMANYREFS:
		(void)pw_io_events(&ipc->io, EPOLLIN);
		pw_timer_set(ipc->loop, &ipc->retry, RETRY_MS, on_retry);
		return SEND_LATER;
	default:
		/* Frames that the other end sent last may still wait to be
		 * read; the reading side will see the end. */
		pw_logf(PW_LOG_DEBUG, "ipc.send", "errno %d", errno);
		ipc->no_output = true;
		(void)pw_io_events(&ipc->io, EPOLLIN);
		return SEND_NEVER;
	}
}

static void
flush(struct pw_ipc *ipc)
{
	while (ipc->first != NULL) {
		struct out *o = ipc->first;
		enum sent r = try_send(ipc, &o->head,
		    pw_bytes(o->body, o->head.len), o->fds);
		if (r == SEND_LATER)
			return;
		if (r == SEND_NEVER) {
			drop_queue(ipc);
			return;
		}
		drop_first(ipc);
	}
	(void)pw_io_events(&ipc->io, EPOLLIN);
}

static void
on_retry(struct pw_timer *t)
{
	flush(OWNER(t, retry));
}

static int
dup_fds(int *to, const int *from, int n)
{
	for (int i = 0; i < n; i++) {
		to[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 0);
		if (to[i] < 0) {
			pw_ipc_close_fds(to, i);
			return -1;
		}
	}
	return 0;
}

static int
enqueue(struct pw_ipc *ipc, const struct pw_ipc_head *head,
    struct pw_bytes body, const int *fds)
{
	struct out *o = pw_xrealloc(NULL, 1, sizeof(*o) + body.len);

	o->next = NULL;
	o->head = *head;
	if (dup_fds(o->fds, fds, head->nfds) < 0) {
		free(o);
		return -1;
	}
	if (body.len > 0)
		memcpy(o->body, body.ptr, body.len);
	*ipc->end = o;
	ipc->end = &o->next;
	ipc->queued++;
	ipc->queued_bytes += body.len;
	return 0;
}

int
pw_ipc_send(struct pw_ipc *ipc, uint16_t type, uint64_t id,
    struct pw_bytes body, const int *fds, int nfds)
{
	if (ipc->no_output || body.len > PW_IPC_MAX_BODY || nfds < 0 ||
	    nfds > PW_IPC_MAX_FDS)
		return -1;
	if (ipc->queued >= QUEUE_FRAMES_MAX ||
	    ipc->queued_bytes + body.len > QUEUE_BYTES_MAX)
		return -1;
	struct pw_ipc_head head = { .type = type, .nfds = (uint16_t)nfds,
		.len = (uint32_t)body.len, .id = id };
	if (ipc->first == NULL) {
		enum sent r = try_send(ipc, &head, body, fds);
		if (r != SEND_LATER)
			return r == SENT ? 0 : -1;
	}
	return enqueue(ipc, &head, body, fds);
}

/* ---- input -------------------------------------------------------------- */

static void
read_frames(struct pw_ipc *ipc)
{
	const char *why = NULL;
	struct pw_frame f;

	for (int i = 0; i < FRAMES_A_ROUND && !ipc->doomed; i++) {
		enum pw_ipc_got got = pw_ipc_take(ipc->io.fd, ipc->buf, &f,
		    &why);
		if (got == PW_IPC_NONE)
			return;
		if (got == PW_IPC_FRAME && f.fds_lost && !ipc->bears_loss) {
			got = PW_IPC_NONSENSE;
			why = "descriptors lost: too many open files";
		}
		if (got == PW_IPC_NONSENSE)
			pw_logf(PW_LOG_ERROR, "ipc.malformed", "%s", why);
		if (got != PW_IPC_FRAME) {
			end(ipc);
			return;
		}
		ipc->ops->on_frame(ipc, &f);
		pw_ipc_close_fds(f.fds, f.nfds);
	}
}

static void
on_io(struct pw_io *io, uint32_t ready)
{
	struct pw_ipc *ipc = OWNER(io, io);

	if ((ready & EPOLLOUT) != 0)
		flush(ipc);
	if ((ready & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0 || ipc->no_input)
		return;
	ipc->in_callback = true;
	read_frames(ipc);
	ipc->in_callback = false;
	if (ipc->doomed)
		free(ipc);
}
