/* SPDX-License-Identifier: ISC */
/* Jobs for the scan processes: a queue for each kind, one job a process. */
#include "host/scan_client.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/pool.h"
#include "host/msg.h"
#include "net/ipc.h"

#define PROCS_MAX PW_SCAN_PROCS
#define KINDS PW_SCAN_KINDS
#define QUEUE_MAX 1024u

struct job {
	struct pw_scan_client *c;
	struct job *prev, *next; /* all jobs of its queue, oldest first */
	enum pw_scan_kind kind;
	struct proc *at;  /* the process that has it, or NULL: waiting */
	char *body;
	size_t len;
	int fd;           /* our own, or -1 */
	uint64_t id;
	pw_scan_cb cb;
	void *arg;
	struct pw_timer deadline;
};

struct proc {
	struct pw_scan_client *c;
	unsigned number;
	struct pw_ipc *ipc;
	bool mine;         /* taken from the pool: no other thread uses it */
	struct job *job;   /* in flight */
	bool abandoned;    /* the job in flight is wanted no more, but its
			    * answer is still to come */
	uint64_t busy_id;
	struct pw_timer overdue; /* of an abandoned job */
};

struct pw_scan_client {
	struct pw_loop *loop;
	struct pw_scan_pool *pool;
	struct pw_scan_waiter waiter[KINDS];
	struct pw_scan_runner runner;
	void (*on_stuck)(void *arg, unsigned number);
	void (*on_lost)(void *arg, unsigned number);
	void *arg;
	struct proc proc[PROCS_MAX];
	struct job *first[KINDS], *last[KINDS];
	size_t waiting[KINDS];
	uint64_t next_id;
	struct pw_defer work;
	struct pw_scan_counts count;
};

static void work(struct pw_defer *d);
static void woken(void *arg);
static void *submit(void *host, bool envelope, struct pw_bytes body, int fd,
    unsigned deadline_ms, pw_scan_cb cb, void *arg);
static void cancel(void *host, void *handle);

struct pw_scan_client *
pw_scan_client_new(struct pw_loop *loop, struct pw_scan_pool *pool,
    void (*on_stuck)(void *arg, unsigned number), void *arg)
{
	struct pw_scan_client *c = pw_xcalloc(1, sizeof(*c));

	c->loop = loop;
	c->pool = pool;
	for (int kind = 0; kind < KINDS; kind++)
		c->waiter[kind] = (struct pw_scan_waiter){ .loop = loop,
			.wake = woken, .arg = &c->waiter[kind],
			.kind = (enum pw_scan_kind)kind };
	c->on_stuck = on_stuck;
	c->arg = arg;
	c->work.cb = work;
	c->runner = (struct pw_scan_runner){ .host = c, .submit = submit,
		.cancel = cancel };
	for (unsigned i = 0; i < PROCS_MAX; i++) {
		c->proc[i].c = c;
		c->proc[i].number = i;
	}
	return c;
}

void
pw_scan_client_on_lost(struct pw_scan_client *c,
    void (*on_lost)(void *arg, unsigned number))
{
	c->on_lost = on_lost;
}

const struct pw_scan_runner *
pw_scan_client_runner(struct pw_scan_client *c)
{
	return &c->runner;
}

void
pw_scan_client_counts(const struct pw_scan_client *c,
    struct pw_scan_counts *out)
{
	*out = c->count;
}

/* ---- jobs ---------------------------------------------------------------------- */

static void
unlink_job(struct job *j)
{
	struct pw_scan_client *c = j->c;

	if (j->prev != NULL)
		j->prev->next = j->next;
	else if (c->first[j->kind] == j)
		c->first[j->kind] = j->next;
	if (j->next != NULL)
		j->next->prev = j->prev;
	else if (c->last[j->kind] == j)
		c->last[j->kind] = j->prev;
	j->prev = j->next = NULL;
}

static void
free_job(struct job *j)
{
	pw_timer_stop(&j->deadline);
	if (j->fd >= 0)
		(void)close(j->fd);
	free(j->body);
	free(j);
}

/* Ends a job: takes it off its queue and process, calls back, frees. */
static void
end_job(struct job *j, const struct pw_scan_reply *r)
{
	pw_scan_cb cb = j->cb;
	void *arg = j->arg;

	unlink_job(j);
	if (j->at == NULL)
		j->c->waiting[j->kind]--;
	else if (j->at->job == j)
		j->at->job = NULL;
	pw_loop_defer(j->c->loop, &j->c->work);
	free_job(j);
	cb(arg, r);
}

static void
fail_job(struct job *j, const char *reason)
{
	const struct pw_scan_reply r = { .rc = PW_FAIL, .reason = reason };

	end_job(j, &r);
}

static void
on_deadline(struct pw_timer *t)
{
	struct job *j = (struct job *)(void *)((char *)t -
	    offsetof(struct job, deadline));
	struct pw_scan_client *c = j->c;
	struct proc *p = j->at;

	c->count.late++;
	if (p == NULL) {
		fail_job(j, "no scan process");
		return;
	}
	pw_logf(PW_LOG_WARN, "scan.late",
	    "scan process %u passed its time limit", p->number);
	p->abandoned = true;
	if (c->on_stuck != NULL)
		c->on_stuck(c->arg, p->number);
	fail_job(j, "time limit");
}

static void *
submit(void *host, bool envelope, struct pw_bytes body, int fd,
    unsigned deadline_ms, pw_scan_cb cb, void *arg)
{
	struct pw_scan_client *c = host;
	enum pw_scan_kind kind = envelope ? PW_SCAN_ENVELOPE : PW_SCAN_MESSAGE;
	struct job *j;

	if (c->waiting[kind] >= QUEUE_MAX || body.len > PW_IPC_MAX_BODY) {
		c->count.refused++;
		return NULL;
	}
	j = pw_xcalloc(1, sizeof(*j));
	j->fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
	if (fd >= 0 && j->fd < 0) {
		free(j);
		c->count.refused++;
		return NULL;
	}
	j->c = c;
	j->kind = kind;
	j->body = pw_xbytesdup(body);
	j->len = body.len;
	j->id = ++c->next_id;
	j->cb = cb;
	j->arg = arg;
	j->prev = c->last[kind];
	if (j->prev != NULL)
		j->prev->next = j;
	else
		c->first[kind] = j;
	c->last[kind] = j;
	c->waiting[kind]++;
	c->count.jobs++;
	pw_timer_set(c->loop, &j->deadline, deadline_ms, on_deadline);
	pw_loop_defer(c->loop, &c->work);
	return j;
}

/* An abandoned job still has the process: it may be stuck in it. */
static void
on_overdue(struct pw_timer *t)
{
	struct proc *p = (struct proc *)(void *)((char *)t -
	    offsetof(struct proc, overdue));

	p->c->count.late++;
	pw_logf(PW_LOG_WARN, "scan.late",
	    "scan process %u passed its time limit", p->number);
	if (p->c->on_stuck != NULL)
		p->c->on_stuck(p->c->arg, p->number);
}

static void
cancel(void *host, void *handle)
{
	struct job *j = handle;

	(void)host;
	unlink_job(j);
	if (j->at == NULL) {
		j->c->waiting[j->kind]--;
	} else {
		uint64_t now = pw_loop_now(j->c->loop);
		uint64_t due = j->deadline.due_ms;

		j->at->job = NULL;
		j->at->abandoned = true;
		pw_timer_set(j->c->loop, &j->at->overdue,
		    due > now ? due - now : 0, on_overdue);
	}
	free_job(j);
}

/* ---- processes ------------------------------------------------------------------- */

/* A process that this thread may send a job to, taken from the pool. */
static struct proc *
take_proc(struct pw_scan_client *c, enum pw_scan_kind kind)
{
	bool usable[PROCS_MAX];
	int number;

	for (unsigned i = 0; i < PROCS_MAX; i++)
		usable[i] = c->proc[i].ipc != NULL;
	number = pw_scan_pool_take(c->pool, &c->waiter[kind], usable);
	if (number < 0)
		return NULL;
	c->proc[number].mine = true;
	return &c->proc[number];
}

static void
give_proc(struct proc *p)
{
	if (!p->mine)
		return;
	p->mine = false;
	pw_scan_pool_give(p->c->pool, p->number);
}

static struct job *
first_waiting(struct pw_scan_client *c, enum pw_scan_kind kind)
{
	struct job *j = c->first[kind];

	while (j != NULL && j->at != NULL)
		j = j->next;
	return j;
}

static void
start(struct proc *p, struct job *j)
{
	if (pw_ipc_send(p->ipc, PW_MSG_SCAN, j->id,
		pw_bytes(j->body, j->len), &j->fd, j->fd >= 0 ? 1 : 0) != 0)
		return; /* the channel is closing: on_close() comes */
	j->at = p;
	p->job = j;
	p->busy_id = j->id;
	p->c->waiting[j->kind]--;
}

static void
work(struct pw_defer *d)
{
	struct pw_scan_client *c = (struct pw_scan_client *)(void *)
	    ((char *)d - offsetof(struct pw_scan_client, work));

	for (int kind = 0; kind < KINDS; kind++) {
		struct job *j;
		struct proc *p;

		while (c->waiting[kind] > 0 &&
		    (j = first_waiting(c, (enum pw_scan_kind)kind)) != NULL &&
		    (p = take_proc(c, (enum pw_scan_kind)kind)) != NULL) {
			start(p, j);
			if (p->job == NULL) {
				give_proc(p);
				return;
			}
		}
	}
}

static void
woken(void *arg)
{
	struct pw_scan_waiter *w = arg;
	struct pw_scan_client *c = (struct pw_scan_client *)(void *)
	    ((char *)(w - w->kind) - offsetof(struct pw_scan_client, waiter));

	if (c->waiting[w->kind] == 0)
		pw_scan_pool_pass(c->pool, w->kind);
	else
		work(&c->work);
}

static void
on_frame(struct pw_ipc *ipc, struct pw_frame *f)
{
	struct proc *p = pw_ipc_arg(ipc);
	struct pw_scan_reply r = { .rc = PW_OK, .reason = "",
		.body = f->body };

	if (f->type != PW_MSG_SCANNED || f->id != p->busy_id)
		return;
	pw_loop_defer(p->c->loop, &p->c->work);
	p->abandoned = false;
	p->busy_id = 0;
	pw_timer_stop(&p->overdue);
	give_proc(p);
	if (p->job == NULL)
		return;
	if (f->body.len > 0)
		end_job(p->job, &r);
	else
		fail_job(p->job, "no descriptor");
}

static void
lost(struct proc *p)
{
	struct job *j = p->job;

	pw_ipc_free(&p->ipc);
	pw_timer_stop(&p->overdue);
	p->abandoned = false;
	p->busy_id = 0;
	give_proc(p);
	if (j != NULL) {
		p->c->count.crashed++;
		fail_job(j, "crashed");
	}
}

static void
on_close(struct pw_ipc *ipc)
{
	struct proc *p = pw_ipc_arg(ipc);

	lost(p);
	if (p->c->on_lost != NULL)
		p->c->on_lost(p->c->arg, p->number);
}

void
pw_scan_client_channel(struct pw_scan_client *c, unsigned number, int fd)
{
	static const struct pw_ipc_ops ops = { on_frame, on_close };

	if (number >= PROCS_MAX) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	lost(&c->proc[number]);
	if (fd >= 0)
		c->proc[number].ipc =
		    pw_ipc_new(c->loop, fd, &ops, &c->proc[number]);
	pw_loop_defer(c->loop, &c->work);
}

void
pw_scan_client_free(struct pw_scan_client **cp)
{
	struct pw_scan_client *c = *cp;

	if (c == NULL)
		return;
	*cp = NULL;
	pw_loop_undefer(c->loop, &c->work);
	for (int kind = 0; kind < KINDS; kind++)
		pw_scan_pool_leave(c->pool, &c->waiter[kind]);
	for (unsigned i = 0; i < PROCS_MAX; i++) {
		pw_ipc_free(&c->proc[i].ipc);
		pw_timer_stop(&c->proc[i].overdue);
		give_proc(&c->proc[i]);
	}
	for (int kind = 0; kind < KINDS; kind++)
		while (c->first[kind] != NULL) {
			struct job *j = c->first[kind];

			unlink_job(j);
			free_job(j);
		}
	free(c);
}
