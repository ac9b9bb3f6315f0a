/* SPDX-License-Identifier: ISC */
/*
 * The child that judges: both sides of the pipeline in one process, confined
 * before it sees a message, with a socket to its parent and nothing else.  A
 * question is a memfd with what was recorded and one with the message; its
 * answer a decision.  The parent believes nothing of it but its form.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "ctl/replay.h"
#include "filters/pipeline.h"
#include "filters/settle.h"
#include "host/sandbox.h"
#include "net/ipc.h"
#include "net/listcode.h"
#include "smtp/verdict.h"

#define JOB_MAX (2u << 20)
#define RESULTS_MAX (256u << 10)
#define WAIT_MS 60000
#define IDLE_MS (24 * 3600 * 1000)
#define MSG_JOB 1
#define MSG_DONE 2

struct pw_judge {
	const struct pw_config *cfg;
	pid_t pid;
	int fd;
};

/* ---- the child: jobs of the scan role, run in place -------------------------------- */

struct child {
	const struct pw_config *cfg;
	struct pw_loop *loop;
	struct pw_scanner *scanner;
	struct pw_pipeline *pipeline;
	struct pw_scan_runner runner;
	int fd;
	bool over;
	struct pw_decision out;
	bool judged;
	struct pw_pool *pool;
};

struct scan_work {
	struct pw_defer defer;
	struct child *c;
	char *job;
	size_t len;
	int fd;
	pw_scan_cb cb;
	void *arg;
};

static void
drop_work(struct scan_work *w)
{
	free(w->job);
	free(w);
}

static void
run_work(struct pw_defer *d)
{
	struct scan_work *w = (struct scan_work *)(void *)d;
	struct pw_scan_reply reply = { .rc = PW_OK };
	struct pw_enc results;

	pw_enc_init(&results, RESULTS_MAX);
	pw_scanner_run(w->c->scanner, pw_bytes(w->job, w->len), w->fd,
	    &results);
	reply.body = pw_enc_done(&results);
	w->cb(w->arg, &reply);
	pw_enc_free(&results);
	drop_work(w);
}

static void *
submit(void *host, bool envelope, struct pw_bytes job, int fd,
    unsigned deadline_ms, pw_scan_cb cb, void *arg)
{
	struct child *c = host;
	struct scan_work *w = pw_xcalloc(1, sizeof(*w));

	(void)envelope;
	(void)deadline_ms; /* the parent has one for the whole */
	*w = (struct scan_work){ .defer.cb = run_work, .c = c,
		.job = pw_xbytesdup(job), .len = job.len, .fd = fd, .cb = cb,
		.arg = arg };
	pw_loop_defer(c->loop, &w->defer);
	return w;
}

static void
cancel(void *host, void *handle)
{
	struct child *c = host;
	struct scan_work *w = handle;

	pw_loop_undefer(c->loop, &w->defer);
	drop_work(w);
}

/* ---- the child: a judgement --------------------------------------------------------- */

static int
copy_lists(struct child *c, const struct pw_pipe_result *r)
{
	struct pw_decision *d = &c->out;

	d->evidence = pw_pool_array(c->pool, r->nevidence + 1,
	    sizeof(*d->evidence));
	d->run = pw_pool_array(c->pool, r->nrun + 1, sizeof(*d->run));
	if (d->evidence == NULL || d->run == NULL)
		return -1;
	for (size_t i = 0; i < r->nevidence; i++) {
		const struct pw_pipe_evidence *e = &r->evidence[i];

		d->evidence[d->nevidence++] = (struct pw_evidence){ e->stage,
			e->symbol, e->weight, e->scope, e->shadow, e->text };
	}
	for (size_t i = 0; i < r->nrun; i++) {
		const struct pw_pipe_run *e = &r->run[i];

		d->run[d->nrun++] = (struct pw_stage_run){ e->stage, e->phase,
			e->outcome, e->reason, e->wall_us, e->cpu_us };
	}
	return 0;
}

static void
on_judged(void *arg, const struct pw_pipe_result *r)
{
	struct child *c = arg;

	c->over = true;
	if (r == NULL)
		return;
	c->out = (struct pw_decision){ .listener = "", .helo = PW_LIT(""),
		.rdns = "", .tls = "", .mail_from = PW_LIT(""), .reply = "",
		.action = r->action, .step = r->step, .score = r->score,
		.auth_results = r->auth_results, .dns = PW_LIT(""),
		.recording = PW_LIT(""), .count = 1 };
	c->judged = copy_lists(c, r) == 0;
}

/* What is done for each mailbox, by the rule for verdicts that differ: with
 * PRDR each recipient is settled by itself. */
static int
settle(struct child *c, const struct pw_rejudge *replay)
{
	struct pw_decision *d = &c->out;
	uint8_t *v = pw_pool_array(c->pool, d->nrcpt + 1, 1);
	uint8_t *a = pw_pool_array(c->pool, d->nrcpt + 1, 1);
	size_t groups = 0, by;
	bool each;

	if (v == NULL || a == NULL)
		return -1;
	for (size_t i = 0; i < d->nrcpt; i++) {
		v[i] = d->rcpt[i].action;
		groups += i == 0 ||
		    !pw_bytes_eq(d->rcpt[i].given, d->rcpt[i - 1].given);
	}
	each = pw_rejudge_prdr(replay) && groups > 1 && groups <= PW_PRDR_MAX;
	for (size_t from = 0, n; from < d->nrcpt; from += n) {
		n = each ? 1 : d->nrcpt;
		while (each && from + n < d->nrcpt &&
		    pw_bytes_eq(d->rcpt[from + n].given, d->rcpt[from].given))
			n++;
		(void)pw_settle(v + from, a + from, n, &by);
	}
	for (size_t i = 0; i < d->nrcpt; i++)
		d->rcpt[i].action = a[i];
	return 0;
}

/* RCPTS: u32 n, then bytes given, str mailbox, list entries for each. */
static int
judge_recipients(struct child *c, struct pw_rejudge *replay, struct pw_dec *d)
{
	size_t n = pw_dec_count(d, 50000, 12);

	c->out.rcpt = pw_pool_array(c->pool, n + 1, sizeof(*c->out.rcpt));
	for (size_t i = 0; c->out.rcpt != NULL && i < n && !d->bad; i++) {
		struct pw_decision_rcpt *r = &c->out.rcpt[i];
		struct pw_bytes given = pw_dec_bytes(d);
		const char *mailbox = pw_dec_str(d, c->pool);
		size_t nentry;
		const struct pw_list_entry *entry =
		    pw_list_dec(d, c->pool, &nentry);
		const struct pw_pipe_verdict *v = pw_rejudge_verdict(replay,
		    given, mailbox, entry, nentry);

		*r = (struct pw_decision_rcpt){ .given = given,
			.mailbox = pw_bytes_of(mailbox), .action = v->action,
			.reply = v->reply, .fate = "", .step = v->step,
			.score = v->score };
		c->out.nrcpt++;
	}
	return c->out.rcpt == NULL || d->bad ? -1 : settle(c, replay);
}

static bool
find_listener(const struct child *c, const char *name, size_t *at)
{
	for (*at = 0; *at < c->cfg->nlistener; (*at)++)
		if (strcmp(c->cfg->listener[*at].name, name) == 0)
			return true;
	*at = 0;
	return false;
}

/* JOB: str listener, u8 family, bytes address, u16 port, u64 size, bytes
 * recording, bytes answers, recipients.  The answer: u8 judged, u8 the listener
 * is gone, decision. */
static void
judge(struct child *c, struct pw_bytes job, int message, struct pw_enc *answer)
{
	struct pw_session_info info = { .id = pw_id_new() };
	struct pw_bytes ip, recording, dns;
	struct pw_dns_set *set;
	struct pw_rejudge *replay = NULL;
	struct pw_dec d, dd;
	const char *listener;
	uint64_t size;
	bool known;

	pw_dec_init(&d, job);
	listener = pw_dec_str(&d, c->pool);
	info.peer.family = pw_dec_u8(&d);
	ip = pw_dec_bytes(&d);
	if (ip.len == sizeof(info.peer.b))
		memcpy(info.peer.b, ip.ptr, ip.len);
	info.peer_port = pw_dec_u16(&d);
	size = pw_dec_u64(&d);
	recording = pw_dec_bytes(&d);
	dns = pw_dec_bytes(&d);
	pw_dec_init(&dd, dns);
	set = pw_dns_set_dec(&dd, c->pool);
	known = find_listener(c, listener, &info.listener);
	info.trusted = pw_netlist_has(&c->cfg->listener[info.listener].trusted,
	    &info.peer);
	c->over = c->judged = false;
	if (!d.bad && set != NULL)
		replay = pw_rejudge_new(c->pipeline, recording, &info, set,
		    message, size, on_judged, c);
	while (replay != NULL && !c->over)
		pw_loop_step(c->loop, 100);
	if (c->judged && (judge_recipients(c, replay, &d) != 0 ||
		pw_dec_end(&d) != 0))
		c->judged = false;
	pw_enc_u8(answer, c->judged);
	pw_enc_u8(answer, !known);
	if (c->judged)
		pw_decision_enc(answer, &c->out);
	pw_rejudge_free(&replay);
}

static int
serve(struct child *c)
{
	struct pw_err err = { 0 };
	struct pw_enc answer;
	struct pw_frame f;
	char *body;

	pw_enc_init(&answer, PW_IPC_MAX_BODY);
	while (pw_ipc_recv_wait(c->fd, &f, &body, IDLE_MS, &err) == 0) {
		struct stat st;
		void *map = MAP_FAILED;

		if (f.nfds == 2 && fstat(f.fds[1], &st) == 0 && st.st_size > 0)
			map = mmap(NULL, (size_t)st.st_size, PROT_READ,
			    MAP_PRIVATE, f.fds[1], 0);
		if (map == MAP_FAILED)
			return 1;
		c->pool = pw_pool_new(0);
		pw_enc_reset(&answer);
		judge(c, pw_bytes(map, (size_t)st.st_size), f.fds[0], &answer);
		if (pw_ipc_send_wait(c->fd, MSG_DONE, f.id,
			pw_enc_done(&answer), NULL, 0, WAIT_MS, &err) != 0)
			return 1;
		pw_pool_free(&c->pool);
		(void)munmap(map, (size_t)st.st_size);
		(void)close(f.fds[0]);
		(void)close(f.fds[1]);
		free(body);
	}
	return 0;
}

static int
child_main(const struct pw_config *cfg, int fd)
{
	struct child c = { .cfg = cfg, .fd = fd };
	struct pw_err err = { 0 };

	pw_log_level_set(PW_LOG_ERROR, (enum pw_log_format)cfg->log.format);
	c.loop = pw_loop_new(&err);
	c.runner = (struct pw_scan_runner){ &c, submit, cancel };
	if (c.loop == NULL || pw_scanner_new(cfg, &c.scanner, &err) != 0 ||
	    pw_pipeline_new(cfg, c.loop, NULL, &c.runner, &c.pipeline,
		&err) != 0 || pw_scan_confine(cfg, &err) != 0) {
		(void)pw_ipc_send_wait(fd, MSG_DONE, 0, pw_bytes_of(err.text),
		    NULL, 0, WAIT_MS, &err);
		return 1;
	}
	/* The first frame says that it is ready. */
	(void)pw_ipc_send_wait(fd, MSG_JOB, 0, PW_BYTES_NONE, NULL, 0, WAIT_MS,
	    &err);
	return serve(&c);
}

/* ---- the parent ------------------------------------------------------------------------ */

static void
end_child(struct pw_judge *j)
{
	if (j->fd >= 0)
		(void)close(j->fd);
	j->fd = -1;
	if (j->pid > 0) {
		(void)kill(j->pid, SIGKILL);
		while (waitpid(j->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	j->pid = 0;
}

static int
start_child(struct pw_judge *j, struct pw_err *err)
{
	struct pw_frame f;
	char *body = NULL;
	int fds[2], rc = 0;

	if (pw_ipc_pair(fds, err) != 0)
		return -1;
	j->pid = fork();
	if (j->pid == 0) {
		(void)close(fds[0]);
		_exit(child_main(j->cfg, fds[1]));
	}
	(void)close(fds[1]);
	j->fd = fds[0];
	if (j->pid < 0)
		rc = pw_err_sys(err, "fork");
	else if (pw_ipc_recv_wait(j->fd, &f, &body, WAIT_MS, err) != 0)
		rc = -1;
	else if (f.type != MSG_JOB)
		rc = pw_err_set(err, EINVAL, "%.*s", (int)f.body.len,
		    f.body.ptr);
	free(body);
	if (rc != 0)
		end_child(j);
	return rc;
}

struct pw_judge *
pw_judge_new(const struct pw_config *cfg, struct pw_err *err)
{
	struct pw_judge *j = pw_xcalloc(1, sizeof(*j));

	j->cfg = cfg;
	j->fd = -1;
	if (start_child(j, err) != 0)
		pw_judge_free(&j);
	return j;
}

void
pw_judge_free(struct pw_judge **jp)
{
	if (*jp == NULL)
		return;
	end_child(*jp);
	free(*jp);
	*jp = NULL;
}

static int
job_memfd(const struct pw_judged *j)
{
	struct pw_enc e;
	struct pw_bytes job;
	int fd;

	pw_enc_init(&e, JOB_MAX);
	pw_enc_str(&e, j->listener);
	pw_enc_u8(&e, j->peer.family);
	pw_enc_bytes(&e, pw_bytes((const char *)j->peer.b, sizeof(j->peer.b)));
	pw_enc_u16(&e, j->port);
	pw_enc_u64(&e, j->size);
	pw_enc_bytes(&e, j->recording);
	pw_enc_bytes(&e, j->dns);
	pw_enc_u32(&e, (uint32_t)j->nrcpt);
	for (size_t i = 0; i < j->nrcpt; i++) {
		pw_enc_bytes(&e, j->rcpt[i].given);
		pw_enc_bytes(&e, j->rcpt[i].mailbox);
		pw_list_enc(&e, j->rcpt[i].entry, j->rcpt[i].nentry);
	}
	job = pw_enc_done(&e);
	fd = job.ptr != NULL ? memfd_create("judgement", MFD_CLOEXEC) : -1;
	/* To memory: whole or not at all. */
	if (fd >= 0 && write(fd, job.ptr, job.len) != (ssize_t)job.len) {
		(void)close(fd);
		fd = -1;
	}
	pw_enc_free(&e);
	return fd;
}

static void
read_answer(struct pw_bytes body, struct pw_pool *pool,
    struct pw_verdict_again *out)
{
	struct pw_dec d;
	bool judged;

	pw_dec_init(&d, body);
	judged = pw_dec_u8(&d) == 1;
	out->listener_gone = pw_dec_u8(&d) == 1;
	if (judged)
		out->decision = pw_decision_dec(&d, pool);
	if (pw_dec_end(&d) != 0) {
		out->decision = NULL;
		out->why = "the judging process gave nonsense";
	} else if (!judged) {
		out->why = "its recording does not fit the message";
	}
}

void
pw_judge_again(struct pw_judge *judge, const struct pw_judged *j, int fd,
    struct pw_pool *pool, struct pw_verdict_again *out)
{
	int fds[2] = { fd, job_memfd(j) };
	struct pw_err err = { 0 };
	struct pw_frame f;
	char *body = NULL;
	int rc = -1;

	*out = (struct pw_verdict_again){ .why = "too much was recorded of it" };
	if (fds[1] < 0)
		return;
	if (judge->fd < 0 && start_child(judge, &err) != 0) {
		out->why = "no judging process could be started";
	} else {
		out->why = "judging it crashed or took too long";
		rc = pw_ipc_send_wait(judge->fd, MSG_JOB, 1, PW_BYTES_NONE,
		    fds, 2, WAIT_MS, &err);
		if (rc == 0)
			rc = pw_ipc_recv_wait(judge->fd, &f, &body, WAIT_MS,
			    &err);
		if (rc == 0)
			read_answer(f.body, pool, out);
		else
			end_child(judge);
	}
	(void)close(fds[1]);
	free(body);
}
