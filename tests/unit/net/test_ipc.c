/* SPDX-License-Identifier: ISC */
/* Unit tests of server/net/ipc and ipcmsg. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/pool.h"
#include "net/ipc.h"
#include "net/ipcmsg.h"

Suite *pw_suite_net_ipc(void);

static struct pw_loop *loop;
static struct pw_err err;
static int pair[2];
static char big[PW_IPC_MAX_BODY + 1];

/* What the receiving end saw. */
static struct seen {
	unsigned frames;
	uint16_t type;
	uint64_t id;
	size_t len;
	int nfds;
	int kept_fd;
	unsigned closed;
	bool in_order;
	bool free_in_frame;
	bool keep_first_fd;
	bool answer;
} seen;
static struct pw_ipc *receiver;

static void
on_frame(struct pw_ipc *ipc, struct pw_frame *f)
{
	ck_assert_ptr_eq(pw_ipc_arg(ipc), &seen);
	if (f->id != seen.frames)
		seen.in_order = false;
	seen.frames++;
	seen.type = f->type;
	seen.id = f->id;
	seen.len = f->body.len;
	seen.nfds = f->nfds;
	if (seen.keep_first_fd) {
		seen.kept_fd = f->fds[0];
		f->fds[0] = -1;
	}
	if (seen.answer)
		ck_assert_int_eq(pw_ipc_send(ipc, 9, f->id, f->body, NULL, 0),
		    0);
	if (seen.free_in_frame) {
		pw_ipc_free(&receiver);
		/* The body may still be looked at in this callback. */
		ck_assert_mem_eq(f->body.ptr, big, f->body.len);
	}
}

static void
on_close(struct pw_ipc *ipc)
{
	ck_assert_ptr_eq(ipc, receiver);
	seen.closed++;
	pw_ipc_free(&receiver);
}

static const struct pw_ipc_ops ops = { on_frame, on_close };

static size_t
open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void
set_up(void)
{
	pw_log_to(-1, PW_LOG_ERROR, PW_LOG_KV);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7);
	loop = pw_loop_new(&err);
	ck_assert_int_eq(pw_ipc_pair(pair, &err), 0);
	seen = (struct seen){ .in_order = true, .kept_fd = -1 };
	receiver = pw_ipc_new(loop, pair[1], &ops, &seen);
	ck_assert_ptr_nonnull(receiver);
}

static void
tear_down(void)
{
	if (pair[0] >= 0)
		close(pair[0]);
	pw_ipc_free(&receiver);
	pw_loop_free(&loop);
	pw_log_to(2, PW_LOG_INFO, PW_LOG_KV);
}

static void
rounds(int n)
{
	while (n-- > 0)
		pw_loop_step(loop, 0);
}

static void
put(uint16_t type, uint64_t id, size_t len, const int *fds, int nfds)
{
	ck_assert_int_eq(pw_ipc_send_wait(pair[0], type, id,
			     pw_bytes(big, len), fds, nfds, 1000, &err),
	    0);
}

START_TEST(carries_frames)
{
	put(7, 0, 0, NULL, 0);
	rounds(1);
	ck_assert_uint_eq(seen.frames, 1);
	ck_assert_uint_eq(seen.type, 7);
	ck_assert_uint_eq(seen.len, 0);
	seen.answer = true;
	put(8, 1, PW_IPC_MAX_BODY, NULL, 0);
	rounds(2);
	ck_assert_uint_eq(seen.len, PW_IPC_MAX_BODY);
	ck_assert(seen.in_order);
	char *body;
	struct pw_frame f;
	ck_assert_int_eq(pw_ipc_recv_wait(pair[0], &f, &body, 1000, &err), 0);
	ck_assert_uint_eq(f.type, 9);
	ck_assert_uint_eq(f.body.len, PW_IPC_MAX_BODY);
	ck_assert_mem_eq(body, big, PW_IPC_MAX_BODY);
	free(body);
	ck_assert_int_eq(pw_ipc_recv_wait(pair[0], &f, &body, 20, &err), -1);
	ck_assert_int_eq(err.code, ETIMEDOUT);
	ck_assert_ptr_null(body);
}
END_TEST

/* The largest frame passes where SO_SNDBUF is what ordinary systems give. */
START_TEST(ordinary_buffers_hold_the_largest_frame)
{
	int size = 212992 / 2; /* the kernel doubles it */
	socklen_t len = sizeof(size);

	ck_assert_int_eq(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size,
			     sizeof(size)),
	    0);
	ck_assert_int_eq(getsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size,
			     &len),
	    0);
	ck_assert_int_eq(size, 212992);
	put(1, 0, PW_IPC_MAX_BODY, NULL, 0);
	rounds(1);
	ck_assert_uint_eq(seen.len, PW_IPC_MAX_BODY);
}
END_TEST

START_TEST(carries_descriptors)
{
	size_t before = open_fds();
	int fds[PW_IPC_MAX_FDS];

	for (int i = 0; i < PW_IPC_MAX_FDS; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	seen.keep_first_fd = true;
	put(1, 0, 3, fds, PW_IPC_MAX_FDS);
	for (int i = 0; i < PW_IPC_MAX_FDS; i++)
		close(fds[i]);
	rounds(1);
	ck_assert_int_eq(seen.nfds, PW_IPC_MAX_FDS);
	ck_assert_int_ge(seen.kept_fd, 0);
	ck_assert_int_eq(fcntl(seen.kept_fd, F_GETFD), FD_CLOEXEC);
	/* All others were closed. */
	ck_assert_uint_eq(open_fds(), before + 1);
	close(seen.kept_fd);
}
END_TEST

START_TEST(keeps_frames_that_do_not_fit)
{
	size_t before = open_fds();
	unsigned sent = 0;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct pw_ipc *sender = pw_ipc_new(loop, pair[0], &ops, &seen);

	pair[0] = -1;
	/* Some with a descriptor, until frames have to wait, and 50 more. */
	while (pw_ipc_queued(sender) < 50) {
		ck_assert_int_eq(pw_ipc_send(sender, 1, sent,
				     pw_bytes(big, sent % 3000), &fd,
				     sent % 5 == 0),
		    0);
		sent++;
		ck_assert_uint_lt(sent, 100000);
	}
	close(fd);
	for (unsigned i = 0; i < 10000 && seen.frames < sent; i++)
		rounds(1);
	ck_assert_uint_eq(seen.frames, sent);
	ck_assert(seen.in_order);
	ck_assert_uint_eq(pw_ipc_queued(sender), 0);
	ck_assert_uint_eq(open_fds(), before);
	pw_ipc_free(&sender);
	rounds(2);
	ck_assert_uint_eq(seen.closed, 1);
}
END_TEST

START_TEST(refuses_what_is_too_much)
{
	struct pw_ipc *sender = pw_ipc_new(loop, pair[0], &ops, &seen);
	int fds[PW_IPC_MAX_FDS + 1] = { 0 }, sent = 0;
	struct pw_bytes one = pw_bytes(big, 1);

	pair[0] = -1;
	ck_assert_int_eq(pw_ipc_send(sender, 1, 0,
			     pw_bytes(big, PW_IPC_MAX_BODY + 1), NULL, 0),
	    -1);
	ck_assert_int_eq(pw_ipc_send(sender, 1, 0, one, fds,
			     PW_IPC_MAX_FDS + 1),
	    -1);
	ck_assert_int_eq(pw_ipc_send(sender, 1, 0, one, fds, -1), -1);
	if (_i == 0) {
		while (pw_ipc_send(sender, 1, 0, one, NULL, 0) == 0)
			ck_assert_int_lt(sent++, 100000);
		ck_assert_uint_eq(pw_ipc_queued(sender), 4096);
	} else {
		struct pw_bytes body = pw_bytes(big, PW_IPC_MAX_BODY);
		while (pw_ipc_send(sender, 1, 0, body, NULL, 0) == 0)
			ck_assert_int_lt(sent++, 100000);
		ck_assert_uint_eq(pw_ipc_queued(sender),
		    (16u << 20) / PW_IPC_MAX_BODY);
	}
	pw_ipc_free(&sender);
}
END_TEST

START_TEST(notices_the_end)
{
	/* What was sent last is still delivered. */
	put(1, 0, 5, NULL, 0);
	close(pair[0]);
	pair[0] = -1;
	if (_i == 1) {
		/* Also when a send finds out first. */
		(void)pw_ipc_send(receiver, 1, 0, PW_LIT("x"), NULL, 0);
		ck_assert_int_eq(pw_ipc_send(receiver, 1, 0, PW_LIT("x"),
				     NULL, 0),
		    -1);
		ck_assert_uint_eq(seen.closed, 0);
	}
	rounds(3);
	ck_assert_uint_eq(seen.frames, 1);
	ck_assert_uint_eq(seen.closed, 1);
}
END_TEST

/* The other end died with frames of ours unread, which resets the socket. */
START_TEST(reads_what_came_before_a_reset)
{
	put(1, 0, 5, NULL, 0);
	ck_assert_int_eq(pw_ipc_send(receiver, 1, 0, PW_LIT("x"), NULL, 0),
	    0);
	close(pair[0]);
	pair[0] = -1;
	rounds(3);
	ck_assert_uint_eq(seen.frames, 1);
	ck_assert_uint_eq(seen.closed, 1);
}
END_TEST

START_TEST(can_be_freed_in_its_callback)
{
	seen.free_in_frame = true;
	put(1, 0, 100, NULL, 0);
	put(1, 1, 100, NULL, 0);
	rounds(2);
	ck_assert_uint_eq(seen.frames, 1);
	ck_assert_uint_eq(seen.closed, 0);
	ck_assert_ptr_null(receiver);
}
END_TEST

static void
send_raw(const void *p, size_t n, const int *fds, int nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * 64)];
	} control = { .space = { 0 } };
	struct iovec iov = { (void *)(uintptr_t)p, n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds > 0) {
		size_t size = sizeof(int) * (size_t)nfds;
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(size);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(c), fds, size);
	}
	ck_assert_int_eq(sendmsg(pair[0], &msg, 0), (ssize_t)n);
}

static const struct {
	struct pw_ipc_head head;
	size_t body;
	int nfds;
	size_t cut; /* so many bytes are not sent */
} nonsense[] = {
	{ { .len = 9 }, 8, 0, 0 },  /* says more than there is */
	{ { .len = 7 }, 8, 0, 0 },  /* says less */
	{ { .len = 0 }, 0, 0, 1 },  /* no whole head */
	{ { .len = 0 }, 0, 0, 15 }, /* one byte */
	{ { .len = UINT32_MAX }, 0, 0, 0 },
	{ { .len = 1, .nfds = 1 }, 1, 0, 0 }, /* descriptors that are not */
	{ { .len = 1, .nfds = 0 }, 1, 1, 0 }, /* and that it does not say */
	{ { .len = 1, .nfds = 5 }, 1, 5, 0 },
	{ { .len = 1, .nfds = 40 }, 1, 40, 0 },
	{ { .len = PW_IPC_MAX_BODY + 1 }, PW_IPC_MAX_BODY + 1, 0, 0 },
	{ { .len = PW_IPC_MAX_BODY + 1, .nfds = 4 }, PW_IPC_MAX_BODY + 1, 4,
	    0 },
	{ { .len = 0 }, 0, 1, 16 }, /* descriptors and not one byte */
};

START_TEST(nonsense_closes_the_channel)
{
	size_t n = sizeof(struct pw_ipc_head) + nonsense[_i].body, before;
	char *msg = pw_xcalloc(1, n);
	int fds[64];

	memcpy(msg, &nonsense[_i].head, sizeof(struct pw_ipc_head));
	for (int i = 0; i < nonsense[_i].nfds; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	before = open_fds();
	send_raw(msg, n - nonsense[_i].cut, fds, nonsense[_i].nfds);
	rounds(2);
	ck_assert_uint_eq(seen.frames, 0);
	ck_assert_uint_eq(seen.closed, 1);
	/* Without the receiver's own, which on_close() freed. */
	ck_assert_uint_eq(open_fds(), before - 1);
	for (int i = 0; i < nonsense[_i].nfds; i++)
		close(fds[i]);
	free(msg);
}
END_TEST

START_TEST(waiting_forms_say_what_is_wrong)
{
	struct pw_frame f;
	char *body;

	pw_ipc_free(&receiver);
	ck_assert_int_eq(pw_ipc_recv_wait(pair[0], &f, &body, 100, &err), -1);
	ck_assert_int_eq(err.code, EPIPE);
	ck_assert_int_eq(pw_ipc_send_wait(pair[0], 1, 0, PW_LIT("x"), NULL, 0,
			     100, &err),
	    -1);
	ck_assert_int_eq(err.code, EPIPE);
	ck_assert_int_eq(pw_ipc_send_wait(pair[0], 1, 0,
			     pw_bytes(big, PW_IPC_MAX_BODY + 1), NULL, 0, 100,
			     &err),
	    -1);
	ck_assert_int_eq(err.code, EMSGSIZE);
	/* A reader that does not read: the deadline. */
	close(pair[0]);
	ck_assert_int_eq(pw_ipc_pair(pair, &err), 0);
	int sent = 0;
	while (pw_ipc_send_wait(pair[0], 1, 0, pw_bytes(big, 100000), NULL, 0,
		   20, &err) == 0)
		ck_assert_int_lt(sent++, 1000);
	ck_assert_int_eq(err.code, ETIMEDOUT);
	close(pair[1]);
}
END_TEST

/* Descriptors that this process has no room for must not come half. */
START_TEST(no_room_for_descriptors)
{
	struct rlimit old, low;
	int fds[PW_IPC_MAX_FDS];

	for (int i = 0; i < PW_IPC_MAX_FDS; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	put(1, 0, 3, fds, PW_IPC_MAX_FDS);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)fds[PW_IPC_MAX_FDS - 1] + 2;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	rounds(2);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	ck_assert_uint_eq(seen.frames, 0);
	ck_assert_uint_eq(seen.closed, 1);
	for (int i = 0; i < PW_IPC_MAX_FDS; i++)
		close(fds[i]);
}
END_TEST

Suite *
pw_suite_net_ipc(void)
{
	Suite *s = suite_create("net/ipc");
	TCase *tc = tcase_create("ipc");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, carries_frames);
	tcase_add_test(tc, ordinary_buffers_hold_the_largest_frame);
	tcase_add_test(tc, carries_descriptors);
	tcase_add_test(tc, keeps_frames_that_do_not_fit);
	tcase_add_loop_test(tc, refuses_what_is_too_much, 0, 2);
	tcase_add_loop_test(tc, notices_the_end, 0, 2);
	tcase_add_test(tc, reads_what_came_before_a_reset);
	tcase_add_test(tc, can_be_freed_in_its_callback);
	tcase_add_loop_test(tc, nonsense_closes_the_channel, 0,
	    PW_COUNT(nonsense));
	tcase_add_test(tc, waiting_forms_say_what_is_wrong);
	tcase_add_test(tc, no_room_for_descriptors);
	suite_add_tcase(s, tc);
	return s;
}
