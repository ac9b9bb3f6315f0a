/* SPDX-License-Identifier: ISC */
/* One loop thread of front. */
#include "smtp/front_thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "host/scan_client.h"
#include "smtp/merge.h"
#include "smtp/note.h"

#define SCRATCH (64u * 1024)
#define ACCEPT_BATCH 16
#define ACCEPT_WAIT_MS 5000u /* for the accounts, after the start */
#define FILES_PAUSE_MS 100u  /* when no descriptor is left */
#define STOP_MS 10000u       /* for messages at hand */
#define LAST_MS 1000u        /* for the last reply to leave */
#define STATUS_MS 1000u
#define STATUS_MAX (64u * 1024)

struct acceptor {
	struct front_thread *t;
	struct pw_io io;
	size_t listener;
};

struct front_thread {
	struct front_shared *shared;
	size_t index;
	struct pw_loop *loop;
	struct pw_smtp_env env;
	struct pw_counters count;
	struct pw_dns_client *dns;
	struct pw_scan_client *scan;
	struct acceptor *acceptor;
	bool accepting, ending, ended;
	struct pw_timer accept_timer, stop_timer, status_timer;
	pthread_mutex_t lock; /* of .published */
	struct pw_strbuf published;
};

#define OWNER(ptr, member)                                                   \
	((struct front_thread *)(void *)((char *)(ptr)-offsetof(             \
	    struct front_thread, member)))

/* ---- accepting ---------------------------------------------------------------------- */

static void accept_on(struct front_thread *t);

static void
accept_off(struct front_thread *t)
{
	for (size_t i = 0; i < t->shared->nlistener; i++)
		pw_io_del(&t->acceptor[i].io);
	t->accepting = false;
}

static void
on_accept_timer(struct pw_timer *timer)
{
	accept_on(OWNER(timer, accept_timer));
}

/* True when the client was taken, or is gone: there may be more. */
static bool
accept_one(struct front_thread *t, struct acceptor *a)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct pw_ip ip;
	uint16_t port;
	int fd = accept4(a->io.fd, (struct sockaddr *)&ss, &len,
	    SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			pw_count(&t->count, PW_CNT_LIMIT_FILES);
			pw_logf(PW_LOG_WARN, "smtp.accept",
			    "no descriptor left: waiting");
			accept_off(t);
			pw_timer_set(t->loop, &t->accept_timer,
			    FILES_PAUSE_MS, on_accept_timer);
			return false;
		}
		return errno == ECONNABORTED || errno == EINTR;
	}
	if (pw_ip_from_sockaddr((struct sockaddr *)&ss, &ip, &port) < 0) {
		(void)close(fd);
		return true;
	}
	pw_session_new(&t->env, fd, a->listener, &ip, port);
	return true;
}

static void
on_acceptable(struct pw_io *io, uint32_t ready)
{
	struct acceptor *a = (struct acceptor *)(void *)((char *)io -
	    offsetof(struct acceptor, io));

	(void)ready;
	for (int i = 0; i < ACCEPT_BATCH && a->t->accepting; i++)
		if (!accept_one(a->t, a))
			break;
}

static void
accept_on(struct front_thread *t)
{
	if (t->accepting || t->ending)
		return;
	pw_timer_stop(&t->accept_timer);
	t->accepting = true;
	for (size_t i = 0; i < t->shared->nlistener; i++)
		if (pw_io_add(t->loop, &t->acceptor[i].io,
			t->shared->listener[i].fd, EPOLLIN | EPOLLEXCLUSIVE,
			on_acceptable) < 0)
			pw_logf(PW_LOG_ERROR, "smtp.accept",
			    "listener %zu cannot be watched", i);
}

static void
on_snapshot(void *arg)
{
	accept_on(arg);
}

static void
start(void *arg)
{
	struct front_thread *t = arg;

	if (pw_store_client_snapshot(t->env.store) != NULL)
		accept_on(t);
	else if (!t->accepting)
		pw_timer_set(t->loop, &t->accept_timer, ACCEPT_WAIT_MS,
		    on_accept_timer);
}

void
front_thread_start(struct front_thread *t)
{
	pw_loop_post(t->loop, start, t);
}

/* ---- channels ------------------------------------------------------------------------ */

struct peer_note {
	struct front_thread *t;
	enum pw_role_id peer;
	unsigned number;
	int fd;
};

static void
take_peer(void *arg)
{
	struct peer_note *n = arg;

	switch (n->peer) {
	case PW_RID_STORE:
		pw_store_client_channel(n->t->env.store, n->fd);
		break;
	case PW_RID_RESOLVE:
		pw_dns_client_channel(n->t->dns, n->fd);
		break;
	case PW_RID_SCAN:
		pw_scan_client_channel(n->t->scan, n->number, n->fd);
		break;
	default:
		(void)close(n->fd);
		break;
	}
	free(n);
}

void
front_thread_peer(struct front_thread *t, enum pw_role_id peer,
    unsigned number, int fd)
{
	struct peer_note *n = pw_xcalloc(1, sizeof(*n));

	*n = (struct peer_note){ t, peer, number, fd };
	pw_loop_post(t->loop, take_peer, n);
}

struct stuck_note {
	struct front_shared *shared;
	unsigned number;
};

static void
tell_stuck(void *arg)
{
	struct stuck_note *n = arg;

	n->shared->on_stuck(n->shared->arg, n->number);
	free(n);
}

static void
on_stuck(void *arg, unsigned number)
{
	struct front_thread *t = arg;
	struct stuck_note *n = pw_xcalloc(1, sizeof(*n));

	*n = (struct stuck_note){ t->shared, number };
	pw_loop_post(t->shared->main_loop, tell_stuck, n);
}

struct lost_note {
	struct front_thread *t;
	enum pw_role_id peer;
	unsigned number;
};

static void
tell_lost(void *arg)
{
	struct lost_note *n = arg;
	struct front_shared *shared = n->t->shared;

	shared->on_lost(shared->arg, n->peer, n->number,
	    (unsigned)n->t->index);
	free(n);
}

static void
lost(struct front_thread *t, enum pw_role_id peer, unsigned number)
{
	struct lost_note *n = pw_xcalloc(1, sizeof(*n));

	*n = (struct lost_note){ t, peer, number };
	pw_loop_post(t->shared->main_loop, tell_lost, n);
}

static void
on_scan_lost(void *arg, unsigned number)
{
	lost(arg, PW_RID_SCAN, number);
}

static void
on_store_lost(void *arg)
{
	lost(arg, PW_RID_STORE, 0);
}

static void
on_resolve_lost(void *arg)
{
	lost(arg, PW_RID_RESOLVE, 0);
}

/* ---- the end --------------------------------------------------------------------------- */

static void
check_ended(struct front_thread *t)
{
	if (!t->ending || t->ended || t->env.nsession > 0)
		return;
	t->ended = true;
	pw_merge_flush(t->env.merge);
	pw_timer_stop(&t->stop_timer);
	pw_timer_stop(&t->status_timer);
	pw_loop_post(t->shared->main_loop, t->shared->on_ended,
	    t->shared->arg);
}

static void
on_session_end(struct pw_smtp_env *env)
{
	check_ended(env->arg);
}

static void
on_stop_timer(struct pw_timer *timer)
{
	struct front_thread *t = OWNER(timer, stop_timer);
	struct pw_session *next;

	for (struct pw_session *s = t->env.first; s != NULL; s = next) {
		next = s->next;
		pw_session_stop_now(s);
	}
	if (!t->ended)
		pw_timer_set(t->loop, &t->stop_timer, LAST_MS, on_stop_timer);
}

static void
drain(void *arg)
{
	struct front_thread *t = arg;

	t->ending = true;
	accept_off(t);
	pw_timer_stop(&t->accept_timer);
	check_ended(t);
}

static void
end_now(void *arg)
{
	struct front_thread *t = arg;
	struct pw_session *next;

	t->env.stopping = true;
	for (struct pw_session *s = t->env.first; s != NULL; s = next) {
		next = s->next;
		pw_session_stop(s);
	}
	if (!t->ended)
		pw_timer_set(t->loop, &t->stop_timer, STOP_MS, on_stop_timer);
	drain(t);
}

void
front_thread_end(struct front_thread *t, bool now)
{
	pw_loop_post(t->loop, now ? end_now : drain, t);
}

/* ---- status ------------------------------------------------------------------------------ */

/* How long others had to wait for a round: "front.N.lag.below_800us COUNT". */
static void
add_lag(const struct front_thread *t, const struct pw_loop_lag *lag,
    struct pw_strbuf *out)
{
	for (size_t i = 0; i < PW_COUNT(lag->bucket); i++)
		pw_strbuf_addf(out, "front.%zu.lag.%s_%uus %llu\n", t->index,
		    i + 1 < PW_COUNT(lag->bucket) ? "below" : "from",
		    100u << (i + 1 < PW_COUNT(lag->bucket) ? i : i - 1),
		    (unsigned long long)lag->bucket[i]);
}

static void
collect(struct front_thread *t, struct pw_strbuf *out)
{
	struct pw_scan_counts scan;
	struct pw_loop_lag lag;

	pw_scan_client_counts(t->scan, &scan);
	pw_loop_lag(t->loop, &lag);
	pw_strbuf_addf(out,
	    "front.%zu.sessions %zu\nfront.%zu.lag_max_us %llu\n"
	    "front.%zu.lag_worst_us %llu\n"
	    "front.%zu.scan.jobs %llu\nfront.%zu.scan.crashed %llu\n"
	    "front.%zu.scan.late %llu\nfront.%zu.scan.refused %llu\n"
	    "front.%zu.store.open %zu\n",
	    t->index, t->env.nsession, t->index,
	    (unsigned long long)lag.max_us, t->index,
	    (unsigned long long)lag.worst_us, t->index,
	    (unsigned long long)scan.jobs, t->index,
	    (unsigned long long)scan.crashed, t->index,
	    (unsigned long long)scan.late, t->index,
	    (unsigned long long)scan.refused, t->index,
	    pw_store_client_open_calls(t->env.store));
	add_lag(t, &lag, out);
}

static void
publish(struct pw_timer *timer)
{
	struct front_thread *t = OWNER(timer, status_timer);

	(void)pthread_mutex_lock(&t->lock);
	pw_strbuf_reset(&t->published);
	collect(t, &t->published);
	(void)pthread_mutex_unlock(&t->lock);
	pw_timer_set(t->loop, &t->status_timer, STATUS_MS, publish);
}

void
front_thread_status(struct front_thread *t, struct pw_strbuf *out)
{
	if (t->index == 0) {
		collect(t, out);
		return;
	}
	(void)pthread_mutex_lock(&t->lock);
	pw_strbuf_add(out, pw_strbuf_bytes(&t->published));
	(void)pthread_mutex_unlock(&t->lock);
}

const struct pw_pipeline *
front_thread_pipeline(const struct front_thread *t)
{
	return t->env.pipeline;
}

const struct pw_counters *
front_thread_counters(const struct front_thread *t)
{
	return &t->count;
}

/* ---- life ---------------------------------------------------------------------------------- */

struct pw_loop *
front_thread_loop(struct front_thread *t)
{
	return t->loop;
}

int
front_thread_new(struct front_shared *shared, size_t index,
    struct front_thread **out, struct pw_err *err)
{
	struct front_thread *t = pw_xcalloc(1, sizeof(*t));

	t->shared = shared;
	t->index = index;
	(void)pthread_mutex_init(&t->lock, NULL);
	pw_strbuf_init(&t->published, STATUS_MAX);
	t->acceptor = pw_xcalloc(shared->nlistener, sizeof(*t->acceptor));
	for (size_t i = 0; i < shared->nlistener; i++) {
		t->acceptor[i].t = t;
		t->acceptor[i].listener = shared->listener[i].listener;
	}
	t->loop = pw_loop_new(err);
	if (t->loop == NULL)
		return -1;
	if (pw_conn_thread_init(t->loop, SCRATCH) != 0)
		return pw_err_set(err, 0, "buffers of a thread");
	t->dns = pw_dns_client_new(t->loop);
	pw_dns_client_on_loss(t->dns, on_resolve_lost, t);
	t->scan = pw_scan_client_new(t->loop, shared->scans, on_stuck, t);
	pw_scan_client_on_lost(t->scan, on_scan_lost);
	t->env = (struct pw_smtp_env){ .loop = t->loop, .cfg = shared->cfg,
		.hostname = shared->cfg->server.hostname, .tls = shared->tls,
		.limit = shared->limit,
		.limits = shared->limits, .budget = &shared->budget,
		.count = &t->count, .on_session_end = on_session_end,
		.arg = t };
	t->env.store = pw_store_client_new(t->loop, on_snapshot, t);
	pw_store_client_on_lost(t->env.store, on_store_lost);
	/* What the configuration says is for all threads together. */
	t->env.merge = pw_merge_new(t->loop,
	    (uint32_t)(shared->cfg->smtp.record_rate /
		shared->cfg->server.front_threads),
	    pw_note_send, &t->env);
	if (pw_pipeline_new(shared->cfg, t->loop, t->dns,
		pw_scan_client_runner(t->scan), &t->env.pipeline, err) != 0)
		return -1;
	if (index > 0)
		pw_timer_set(t->loop, &t->status_timer, STATUS_MS, publish);
	*out = t;
	return 0;
}

void
front_thread_free(struct front_thread **tp)
{
	struct front_thread *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	pw_pipeline_free(&t->env.pipeline);
	pw_merge_free(&t->env.merge);
	pw_store_client_free(&t->env.store);
	pw_scan_client_free(&t->scan);
	pw_dns_client_free(&t->dns);
	pw_conn_thread_fini(t->loop);
	pw_loop_free(&t->loop);
	pw_strbuf_free(&t->published);
	(void)pthread_mutex_destroy(&t->lock);
	free(t->acceptor);
	free(t);
}
