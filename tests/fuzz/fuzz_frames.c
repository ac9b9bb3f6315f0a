/* SPDX-License-Identifier: ISC */
/*
 * What one role takes from another, which may have been taken over: a message
 * on a channel, and the bodies that hold most.  The first octet says how many
 * descriptors come with it, the second what is made of the rest.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/store_client.h"
#include "net/ipcmsg.h"
#include "net/meta.h"
#include "storage/record.h"
#include "storage/store.h"

#define FDS_MAX 18

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was decoded must be the same after being encoded. */
static void
meta(struct pw_bytes in, struct pw_pool *pool)
{
	struct pw_enc a, b;
	struct pw_dec d;
	struct pw_meta *m, *again;

	pw_dec_init(&d, in);
	m = pw_meta_dec(&d, pool);
	if (m == NULL)
		return;
	pw_enc_init(&a, 1u << 22);
	pw_enc_init(&b, 1u << 22);
	pw_meta_enc(&a, m);
	pw_dec_init(&d, pw_enc_done(&a));
	again = pw_meta_dec(&d, pool);
	PW_ASSERT(again != NULL && pw_dec_end(&d) == 0);
	pw_meta_enc(&b, again);
	PW_ASSERT(pw_bytes_eq(pw_enc_done(&a), pw_enc_done(&b)));
	pw_enc_free(&a);
	pw_enc_free(&b);
}

static void
delivery(struct pw_bytes in, struct pw_pool *pool)
{
	struct pw_enc a, b;
	struct pw_dec d;
	struct pw_delivery *x, *again;

	pw_dec_init(&d, in);
	x = pw_delivery_dec(&d, pool);
	if (x == NULL)
		return;
	for (size_t i = 0; i < x->ntarget; i++)
		PW_ASSERT(x->target[i].rcpt < x->decision->nrcpt);
	pw_enc_init(&a, 1u << 24);
	pw_enc_init(&b, 1u << 24);
	pw_delivery_enc(&a, x);
	pw_dec_init(&d, pw_enc_done(&a));
	again = pw_delivery_dec(&d, pool);
	PW_ASSERT(again != NULL);
	pw_delivery_enc(&b, again);
	PW_ASSERT(pw_bytes_eq(pw_enc_done(&a), pw_enc_done(&b)));
	pw_enc_free(&a);
	pw_enc_free(&b);
}

static void
body(struct pw_frame *f, unsigned what, struct pw_pool *pool)
{
	struct pw_delivery *d;
	struct pw_record rec;

	switch (what % 4) {
	case 0:
		meta(f->body, pool);
		break;
	case 1:
		delivery(f->body, pool);
		break;
	case 2:
		d = pw_store_frame_delivery(f, pool);
		if (d != NULL && d->fd >= 0)
			(void)close(d->fd);
		break;
	default:
		(void)pw_record_dec(f->body, pool, &rec);
		break;
	}
}

/* As it is, with N descriptors: seldom a frame. */
static void
send_raw(int fd, const void *data, size_t size, unsigned n)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * FDS_MAX)];
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)data, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[FDS_MAX];

	for (unsigned i = 0; i < n; i++)
		fds[i] = fd;
	if (n > 0) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	}
	PW_ASSERT(sendmsg(fd, &msg, MSG_NOSIGNAL) == (ssize_t)size);
}

static int
take(int fd, unsigned what, struct pw_pool *pool)
{
	static char buf[PW_IPC_MAX_MSG];
	const char *why = NULL;
	struct pw_frame f;
	enum pw_ipc_got got = pw_ipc_take(fd, buf, &f, &why);

	if (got == PW_IPC_NONSENSE)
		PW_ASSERT(why != NULL);
	if (got != PW_IPC_FRAME)
		return -1;
	PW_ASSERT(f.nfds <= PW_IPC_MAX_FDS && f.body.len <= PW_IPC_MAX_BODY);
	body(&f, what, pool);
	pw_ipc_close_fds(f.fds, f.nfds);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pw_pool *pool = pw_pool_new((size_t)64 << 20);
	int fds[2];

	if (size < 3 || size > 65536 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
		pw_pool_free(&pool);
		return 0;
	}
	/* Once as a whole message, once as a body in a good head. */
	unsigned n = data[0] % (FDS_MAX + 1);
	send_raw(fds[0], data + 2, size - 2, n);
	(void)take(fds[1], data[1], pool);
	struct pw_ipc_head head = { .type = 64,
		.nfds = (uint16_t)(n % (PW_IPC_MAX_FDS + 1)),
		.len = (uint32_t)(size - 2), .id = 1 };
	int give[PW_IPC_MAX_FDS];
	for (int i = 0; i < head.nfds; i++)
		give[i] = fds[0];
	PW_ASSERT(pw_ipc_put(fds[0], &head, pw_bytes(data + 2, size - 2),
		      give) == 0);
	PW_ASSERT(take(fds[1], data[1], pool) == 0);
	/* The end is seen only when none of those that came is left open. */
	(void)close(fds[0]);
	PW_ASSERT(recv(fds[1], &n, 1, MSG_DONTWAIT) == 0);
	(void)close(fds[1]);
	pw_pool_free(&pool);
	return 0;
}
