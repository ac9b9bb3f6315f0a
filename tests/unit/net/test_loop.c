/* SPDX-License-Identifier: ISC */
/* Unit tests of server/net/loop. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "net/loop.h"

Suite *pw_suite_net_loop(void);

static struct pw_loop *loop;
static char trace[256];

static void
set_up(void)
{
	struct pw_err err;

	loop = pw_loop_new(&err);
	ck_assert_ptr_nonnull(loop);
	trace[0] = '\0';
}

static void
tear_down(void)
{
	pw_loop_free(&loop);
	ck_assert_ptr_null(loop);
}

static void
note(char c)
{
	size_t n = strlen(trace);

	if (n + 1 < sizeof(trace)) {
		trace[n] = c;
		trace[n + 1] = '\0';
	}
}

/* ---- descriptors -------------------------------------------------------- */

struct end {
	struct pw_io io;
	int other;
	int calls;
	struct end *victim; /* deleted by this one's callback */
	struct end *heir;   /* takes over the victim's number */
};

static void
open_end(struct end *e)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
			     fds),
	    0);
	*e = (struct end){ .io = { .fd = fds[0] }, .other = fds[1] };
}

static void
close_end(struct end *e)
{
	pw_io_del(&e->io);
	close(e->io.fd);
	close(e->other);
}

static void
on_end_ready(struct pw_io *io, uint32_t ready)
{
	struct end *e = (struct end *)(void *)io;
	char c;

	ck_assert_uint_ne(ready & EPOLLIN, 0);
	ck_assert_int_eq(read(io->fd, &c, 1), 1);
	e->calls++;
	if (e->victim == NULL)
		return;
	int fd = e->victim->io.fd;
	pw_io_del(&e->victim->io);
	if (e->heir != NULL) {
		/* The heir gets the same number while events that were
		 * fetched for the victim still wait. */
		int heirs = e->heir->io.fd;
		ck_assert_int_eq(dup2(heirs, fd), fd);
		ck_assert_int_eq(pw_io_add(loop, &e->heir->io, fd, EPOLLIN,
				     on_end_ready),
		    0);
		close(heirs);
		e->victim->io.fd = dup(fd);
	}
	e->victim = NULL;
}

START_TEST(watches_descriptors)
{
	struct end e;

	open_end(&e);
	ck_assert_int_eq(pw_io_add(loop, &e.io, e.io.fd, EPOLLIN,
			     on_end_ready),
	    0);
	pw_loop_step(loop, 0);
	ck_assert_int_eq(e.calls, 0);
	ck_assert_int_eq(write(e.other, "ab", 2), 2);
	pw_loop_step(loop, 1000);
	pw_loop_step(loop, 1000);
	ck_assert_int_eq(e.calls, 2);
	ck_assert_int_eq(pw_io_events(&e.io, 0), 0);
	ck_assert_int_eq(write(e.other, "c", 1), 1);
	pw_loop_step(loop, 0);
	ck_assert_int_eq(e.calls, 2);
	ck_assert_int_eq(pw_io_events(&e.io, EPOLLIN), 0);
	pw_loop_step(loop, 1000);
	ck_assert_int_eq(e.calls, 3);
	pw_io_del(&e.io);
	pw_io_del(&e.io);
	ck_assert_int_eq(pw_io_events(&e.io, EPOLLIN), -1);
	ck_assert_int_eq(write(e.other, "d", 1), 1);
	pw_loop_step(loop, 0);
	ck_assert_int_eq(e.calls, 3);
	close_end(&e);
	/* What cannot be watched. */
	struct pw_io bad = { 0 };
	ck_assert_int_eq(pw_io_add(loop, &bad, -1, EPOLLIN, on_end_ready),
	    -1);
	ck_assert_int_eq(errno, EBADF);
	ck_assert_ptr_null(bad.loop);
}
END_TEST

/* Two ends are ready in one round; whichever comes first deletes the other. */
START_TEST(deleted_ones_are_not_called)
{
	struct end a, b, heir;

	open_end(&a);
	open_end(&b);
	open_end(&heir);
	ck_assert_int_eq(pw_io_add(loop, &a.io, a.io.fd, EPOLLIN,
			     on_end_ready),
	    0);
	ck_assert_int_eq(pw_io_add(loop, &b.io, b.io.fd, EPOLLIN,
			     on_end_ready),
	    0);
	a.victim = &b;
	b.victim = &a;
	if (_i == 1)
		a.heir = b.heir = &heir;
	ck_assert_int_eq(write(a.other, "a", 1), 1);
	ck_assert_int_eq(write(b.other, "b", 1), 1);
	pw_loop_step(loop, 1000);
	ck_assert_int_eq(a.calls + b.calls, 1);
	/* Nothing was sent to the heir. */
	pw_loop_step(loop, 0);
	ck_assert_int_eq(heir.calls, 0);
	if (_i == 1) {
		ck_assert_int_eq(write(heir.other, "h", 1), 1);
		pw_loop_step(loop, 1000);
		ck_assert_int_eq(heir.calls, 1);
	}
	close_end(&a);
	close_end(&b);
	close_end(&heir);
}
END_TEST

START_TEST(watches_many)
{
	enum { N = 300 };
	static struct end e[N];

	for (int i = 0; i < N; i++) {
		open_end(&e[i]);
		ck_assert_int_eq(pw_io_add(loop, &e[i].io, e[i].io.fd,
				     EPOLLIN, on_end_ready),
		    0);
		ck_assert_int_eq(write(e[i].other, "x", 1), 1);
	}
	/* More than are fetched in one round. */
	for (int k = 0; k < 3; k++)
		pw_loop_step(loop, 0);
	for (int i = 0; i < N; i++) {
		ck_assert_int_eq(e[i].calls, 1);
		close_end(&e[i]);
	}
}
END_TEST

/* ---- timers ------------------------------------------------------------- */

struct named {
	struct pw_timer t;
	char name;
	struct named *stops;
	uint64_t again;
};

static void
on_named(struct pw_timer *t)
{
	struct named *n = (struct named *)(void *)t;

	ck_assert_ptr_null(t->loop);
	note(n->name);
	if (n->stops != NULL)
		pw_timer_stop(&n->stops->t);
	if (n->again != UINT64_MAX)
		pw_timer_set(loop, t, n->again, on_named);
}

START_TEST(timers_fire_in_order)
{
	struct named n[4] = { { .name = 'a', .again = UINT64_MAX },
		{ .name = 'b', .again = UINT64_MAX },
		{ .name = 'c', .again = UINT64_MAX },
		{ .name = 'd', .again = UINT64_MAX } };
	uint64_t begin = pw_clock_mono_ns();

	pw_timer_stop(&n[0].t);
	pw_timer_set(loop, &n[0].t, 30, on_named);
	pw_timer_set(loop, &n[1].t, 10, on_named);
	pw_timer_set(loop, &n[2].t, 20, on_named);
	pw_timer_set(loop, &n[3].t, 1, on_named);
	n[1].stops = &n[2];
	pw_timer_set(loop, &n[3].t, UINT64_MAX, on_named);
	ck_assert_uint_eq(n[3].t.due_ms, UINT64_MAX);
	pw_timer_set(loop, &n[3].t, 25, on_named);
	for (int i = 0; i < 100 && strlen(trace) < 3; i++)
		pw_loop_step(loop, -1);
	ck_assert_str_eq(trace, "bda");
	/* Not early; milliseconds are counted from the loop's own now. */
	ck_assert_uint_ge(pw_clock_mono_ns() - begin, 28000000);
	pw_loop_step(loop, 0);
	ck_assert_str_eq(trace, "bda");
}
END_TEST

START_TEST(a_timer_cannot_hog_a_round)
{
	struct named n = { .name = 'x', .again = 0 };

	pw_timer_set(loop, &n.t, 0, on_named);
	pw_loop_step(loop, 0);
	ck_assert_str_eq(trace, "x");
	pw_loop_step(loop, 100);
	pw_loop_step(loop, 100);
	ck_assert_uint_ge(strlen(trace), 2);
	pw_timer_stop(&n.t);
}
END_TEST

START_TEST(a_limit_is_kept_without_timers_and_with)
{
	struct named n = { .name = 'x', .again = UINT64_MAX };

	uint64_t begin = pw_clock_mono_ms();
	pw_loop_step(loop, 20);
	ck_assert_uint_ge(pw_clock_mono_ms() - begin, 19);
	pw_timer_set(loop, &n.t, 60000, on_named);
	pw_loop_step(loop, 20);
	ck_assert_uint_lt(pw_clock_mono_ms() - begin, 10000);
	ck_assert_str_eq(trace, "");
	/* The timer is still set: freeing the loop tells it. */
	pw_loop_free(&loop);
	ck_assert_ptr_null(n.t.loop);
	set_up();
}
END_TEST

/* ---- work put off ------------------------------------------------------- */

struct job {
	struct pw_defer d;
	char name;
	struct job *next;   /* put off by this one */
	struct job *cancel; /* taken out by this one */
};

static void
on_job(struct pw_defer *d)
{
	struct job *j = (struct job *)(void *)d;

	ck_assert(!d->queued);
	note(j->name);
	if (j->next != NULL)
		pw_loop_defer(loop, &j->next->d);
	if (j->cancel != NULL)
		pw_loop_undefer(loop, &j->cancel->d);
}

static void
on_post(void *arg)
{
	note(*(char *)arg);
}

START_TEST(work_is_put_off_once)
{
	struct job a = { .d = { .cb = on_job }, .name = 'a' };
	struct job b = { .d = { .cb = on_job }, .name = 'b' };
	struct job c = { .d = { .cb = on_job }, .name = 'c' };
	char p = 'p';

	pw_loop_undefer(loop, &a.d);
	pw_loop_defer(loop, &a.d);
	pw_loop_defer(loop, &b.d);
	pw_loop_defer(loop, &a.d);
	pw_loop_post(loop, on_post, &p);
	pw_loop_step(loop, -1);
	/* After everything else of the round. */
	ck_assert_str_eq(trace, "pab");
	a.cancel = &b;
	a.next = &c;
	pw_loop_defer(loop, &a.d);
	pw_loop_defer(loop, &b.d);
	pw_loop_step(loop, -1);
	ck_assert_str_eq(trace, "paba");
	/* Put off during the put-off work: next round, which does not sleep,
	 * even when that never ends. */
	c.next = &c;
	pw_loop_step(loop, -1);
	ck_assert_str_eq(trace, "pabac");
	pw_loop_step(loop, -1);
	ck_assert_str_eq(trace, "pabacc");
	pw_loop_undefer(loop, &c.d);
	ck_assert(!c.d.queued);
	pw_loop_defer(loop, &c.d);
	pw_loop_free(&loop);
	ck_assert(!c.d.queued);
	set_up();
}
END_TEST

/* ---- posts -------------------------------------------------------------- */

enum { POSTERS = 3, POSTS = 2000 };
static struct {
	int from;
	int number;
} posts[POSTERS][POSTS];
static int seen[POSTERS], total;

static void
on_number(void *arg)
{
	int *p = arg;

	/* In the order of each thread. */
	ck_assert_int_eq(p[1], seen[p[0]]);
	seen[p[0]]++;
	if (++total == POSTERS * POSTS)
		pw_loop_stop(loop);
}

static void *
poster(void *arg)
{
	int from = *(int *)arg;

	for (int i = 0; i < POSTS; i++) {
		posts[from][i].from = from;
		posts[from][i].number = i;
		pw_loop_post(loop, on_number, &posts[from][i]);
	}
	return NULL;
}

START_TEST(posts_come_from_any_thread)
{
	pthread_t t[POSTERS];
	int from[POSTERS];

	total = 0;
	memset(seen, 0, sizeof(seen));
	for (int i = 0; i < POSTERS; i++) {
		from[i] = i;
		ck_assert_int_eq(pthread_create(&t[i], NULL, poster, &from[i]),
		    0);
	}
	ck_assert_int_eq(pw_loop_run(loop), 0);
	for (int i = 0; i < POSTERS; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_eq(total, POSTERS * POSTS);
}
END_TEST

static void *
stopper(void *arg)
{
	(void)arg;
	usleep(10000);
	pw_loop_stop(loop);
	return NULL;
}

START_TEST(stops_from_another_thread)
{
	pthread_t t;
	char p = 'p';

	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(pthread_create(&t, NULL, stopper, NULL), 0);
		ck_assert_int_eq(pw_loop_run(loop), 0);
		pthread_join(t, NULL);
	}
	/* A post that is never run is freed with the loop. */
	pw_loop_post(loop, on_post, &p);
}
END_TEST

START_TEST(measures_lag)
{
	struct pw_loop_lag lag;
	uint64_t sum = 0;

	pw_loop_step(loop, 0);
	pw_loop_step(loop, 0);
	pw_loop_lag(loop, &lag);
	ck_assert_uint_eq(lag.rounds, 2);
	for (size_t i = 0; i < PW_COUNT(lag.bucket); i++)
		sum += lag.bucket[i];
	ck_assert_uint_eq(sum, 2);
	struct pw_loop_lag again;
	pw_loop_lag(loop, &again);
	ck_assert_uint_eq(again.max_us, 0);
	ck_assert_uint_eq(again.worst_us, lag.max_us);
	ck_assert_uint_eq(again.rounds, 2);
}
END_TEST

Suite *
pw_suite_net_loop(void)
{
	Suite *s = suite_create("net/loop");
	TCase *tc = tcase_create("loop");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, watches_descriptors);
	tcase_add_loop_test(tc, deleted_ones_are_not_called, 0, 2);
	tcase_add_test(tc, watches_many);
	tcase_add_test(tc, timers_fire_in_order);
	tcase_add_test(tc, a_timer_cannot_hog_a_round);
	tcase_add_test(tc, a_limit_is_kept_without_timers_and_with);
	tcase_add_test(tc, work_is_put_off_once);
	tcase_add_test(tc, posts_come_from_any_thread);
	tcase_add_test(tc, stops_from_another_thread);
	tcase_add_test(tc, measures_lag);
	suite_add_tcase(s, tc);
	return s;
}
