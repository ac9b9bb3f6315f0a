/* SPDX-License-Identifier: ISC */
/*
 * The role front: set-up, threads, and what master tells.  Each thread is a
 * struct front_thread (front_thread.c); the first one is the process's main
 * thread and holds the line to master.
 */
#include "smtp/front.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "host/role.h"
#include "host/sandbox.h"
#include "smtp/front_thread.h"

struct front {
	struct front_shared shared;
	size_t nthread;
	struct front_thread **thread;
	struct pw_master_link *link;
	size_t nended;
	bool stopping;
};

/* ---- segments of session counts ------------------------------------------------- */

int
pw_front_limits_fd(void)
{
	int fd = memfd_create("sessions", MFD_CLOEXEC);
	size_t size = pw_limits_segment_size();
	void *mem;

	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)size) != 0 ||
	    (mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 0)) == MAP_FAILED) {
		(void)close(fd);
		return -1;
	}
	pw_limits_segment_init(mem);
	(void)munmap(mem, size);
	return fd;
}

void
pw_front_limits_clear(int fd)
{
	size_t size = pw_limits_segment_size();
	void *mem;

	/* A hole reads as zeros for everybody who has it mapped. */
	(void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
	    (off_t)size);
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		return;
	pw_limits_segment_init(mem);
	(void)munmap(mem, size);
}

static void *
map_segment(int fd, int prot)
{
	void *mem = fd < 0 ? MAP_FAILED
			   : mmap(NULL, pw_limits_segment_size(), prot,
				 MAP_SHARED, fd, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

static int
open_limits(struct front *f, const struct pw_front_args *args,
    struct pw_err *err)
{
	const void *other[4];
	size_t n = 0;
	void *own = map_segment(args->limits_fd, PROT_READ | PROT_WRITE);

	if (own == NULL)
		return pw_err_sys(err, "shared session counts");
	for (size_t i = 0; i < args->nother_limits && n < PW_COUNT(other);
	     i++) {
		other[n] = map_segment(args->other_limits_fd[i], PROT_READ);
		if (other[n] != NULL)
			n++;
	}
	f->shared.limits = pw_limits_new(own, other, n);
	return 0;
}

/* ---- what master tells ------------------------------------------------------------ */

static void
on_peer(void *arg, enum pw_role_id peer, unsigned number, unsigned lane, int fd)
{
	struct front *f = arg;

	if (lane >= f->nthread) {
		(void)close(fd);
		return;
	}
	front_thread_peer(f->thread[lane], peer, number, fd);
}

static void
stop(struct front *f, bool now)
{
	if (now && f->stopping)
		return;
	f->stopping |= now;
	pw_logf(PW_LOG_INFO, now ? "front.stop" : "front.drain",
	    now ? "ending" : "no more sessions are accepted");
	for (size_t i = 0; i < f->nthread; i++)
		front_thread_end(f->thread[i], now);
}

static void
on_stop(void *arg)
{
	stop(arg, true);
}

static void
on_frame(void *arg, struct pw_frame *frame)
{
	if (frame->type == PW_MSG_DRAIN)
		stop(arg, false);
}

static void
on_status(void *arg, struct pw_strbuf *out)
{
	struct front *f = arg;
	const struct pw_counters **c = pw_xcalloc(f->nthread, sizeof(*c));
	const struct pw_pipeline **pl = pw_xcalloc(f->nthread, sizeof(*pl));

	for (size_t i = 0; i < f->nthread; i++)
		c[i] = front_thread_counters(f->thread[i]);
	pw_counters_print(c, f->nthread, out);
	free(c);
	for (size_t i = 0; i < f->nthread; i++)
		pl[i] = front_thread_pipeline(f->thread[i]);
	pw_pipeline_status(pl, f->nthread, out);
	free(pl);
	pw_strbuf_addf(out, "smtp.limit.uncounted %llu\n",
	    (unsigned long long)pw_limits_uncounted(f->shared.limits));
	pw_strbuf_addf(out, "smtp.memory %llu\n",
	    (unsigned long long)atomic_load(&f->shared.budget.used));
	for (size_t i = 0; i < f->nthread; i++)
		front_thread_status(f->thread[i], out);
}

/* On the main thread, from any: a scan process passed a deadline. */
static void
report_stuck(void *arg, unsigned number)
{
	struct front *f = arg;
	struct pw_enc e;

	pw_enc_init(&e, 16);
	pw_enc_u16(&e, (uint16_t)number);
	if (f->link != NULL)
		(void)pw_master_link_send(f->link, PW_MSG_KILL, 0,
		    pw_enc_done(&e));
	pw_enc_free(&e);
}

/* On the main thread, from any: a channel ended. */
static void
report_lost(void *arg, enum pw_role_id peer, unsigned number, unsigned lane)
{
	struct front *f = arg;

	if (f->link != NULL)
		pw_master_link_lost(f->link, peer, number, lane);
}

/* On the main thread: a thread has no sessions any more. */
static void
thread_ended(void *arg)
{
	struct front *f = arg;

	if (++f->nended < f->nthread)
		return;
	for (size_t i = 0; i < f->nthread; i++)
		pw_loop_stop(front_thread_loop(f->thread[i]));
}

/* ---- life -------------------------------------------------------------------------- */

static void
wipe_keys(const struct pw_front_args *args)
{
	for (size_t i = 0; i < args->npem; i++)
		OPENSSL_cleanse(args->pem[i].key, strlen(args->pem[i].key));
}

static int
set_up(struct front *f, const struct pw_front_args *args, struct pw_err *err)
{
	const struct pw_sandbox sb = { .role = PW_RID_FRONT };

	f->shared.cfg = args->cfg;
	f->shared.listener = args->listener;
	f->shared.nlistener = args->nlistener;
	f->shared.limit = pw_smtp_limits_new(args->cfg);
	f->shared.budget.max = args->cfg->smtp.memory_budget;
	f->shared.on_ended = thread_ended;
	f->shared.on_stuck = report_stuck;
	f->shared.on_lost = report_lost;
	f->shared.arg = f;
	f->shared.scans = pw_scan_pool_new();
	f->nthread = (size_t)args->cfg->server.front_threads;
	if (pw_tls_open(args->cfg, args->pem, args->npem, &f->shared.tls,
		err) != 0 || open_limits(f, args, err) != 0)
		return -1;
	wipe_keys(args);
	f->thread = pw_xcalloc(f->nthread, sizeof(struct front_thread *));
	for (size_t i = 0; i < f->nthread; i++)
		if (front_thread_new(&f->shared, i, &f->thread[i], err) != 0)
			return -1;
	f->shared.main_loop = front_thread_loop(f->thread[0]);
	return pw_sandbox_enter(&sb, err);
}

static void *
thread_main(void *arg)
{
	(void)pw_loop_run(front_thread_loop(arg));
	return NULL;
}

static int
run(struct front *f)
{
	pthread_t *id = pw_xcalloc(f->nthread, sizeof(*id));
	size_t started = 1;

	for (; started < f->nthread; started++)
		if (pthread_create(&id[started], NULL, thread_main,
			f->thread[started]) != 0)
			break;
	if (started < f->nthread) {
		pw_logf(PW_LOG_ERROR, "front.thread",
		    "thread %zu could not be started", started);
		return EX_OSERR;
	}
	for (size_t i = 0; i < f->nthread; i++)
		front_thread_start(f->thread[i]);
	pw_master_link_ready(f->link);
	(void)pw_loop_run(front_thread_loop(f->thread[0]));
	for (size_t i = 1; i < f->nthread; i++)
		(void)pthread_join(id[i], NULL);
	free(id);
	return EX_OK;
}

int
pw_front_run(const struct pw_front_args *args)
{
	static const struct pw_master_link_ops ops = { .on_peer = on_peer,
		.on_frame = on_frame, .on_stop = on_stop,
		.on_status = on_status };
	struct front f = { 0 };
	struct pw_err err = { 0 };
	int rc;

	if (set_up(&f, args, &err) != 0)
		return pw_role_failed(args->master_fd, "front", &err);
	f.link = pw_master_link_new(f.shared.main_loop, args->master_fd, &ops,
	    &f);
	rc = run(&f);
	pw_master_link_free(&f.link);
	for (size_t i = 0; rc == EX_OK && i < f.nthread; i++)
		front_thread_free(&f.thread[i]);
	pw_scan_pool_free(&f.shared.scans);
	pw_limits_free(&f.shared.limits);
	pw_tls_drop(&f.shared.tls);
	free(f.shared.limit);
	free(f.thread);
	return rc;
}
