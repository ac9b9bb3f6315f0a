/* SPDX-License-Identifier: ISC */
/*
 * The control thread: clients of the socket, verbs, and the accounts snapshot.
 * See control.h.
 */
#include "ctl/control.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "ctl/verb.h"
#include "host/msg.h"

#define MAX_CLIENTS 64
#define REQUEST_MAX (16u << 20)
#define ANSWER_MAX (64u << 20)
#define MAX_WORDS 256
/* A client that neither asks nor reads is dropped after this. */
#define CLIENT_MS 30000
#define USAGE_MS 5000

struct client {
	struct pw_control *c;
	struct pw_io io;
	struct pw_timer timer;
	uint64_t id;
	struct pw_strbuf in, out;
	size_t sent;
	bool answered, waiting;
	struct client *next;
};

struct pw_control {
	const struct pw_config *cfg;
	struct pw_control_ops ops;
	void *arg;
	struct pw_loop *loop;
	pthread_t thread;
	struct pw_io listen_io;
	struct client *clients;
	size_t nclient;
	uint64_t next_id;
	struct pw_accounts *accounts;
	struct pw_index *index;
	struct pw_timer usage_timer;
	uint64_t snapshot_version, build_ms;
	struct pw_control_admins admins;
	char *postmaster; /* accounts.postmaster, which reloads change */
	struct pw_verb_daemon daemon;
};

/* ---- the snapshot -------------------------------------------------------------- */

static uint64_t
usage_of(void *arg, struct pw_bytes mailbox)
{
	struct pw_control *c = arg;

	return c->ops.usage(c->arg, mailbox);
}

static int
make_snapshot(struct pw_control *c, struct pw_err *err)
{
	uint64_t t0 = pw_clock_mono_ms();
	int fd = pw_accounts_snapshot(c->accounts, c->postmaster,
	    usage_of, c, err);

	if (fd < 0)
		return -1;
	c->build_ms = pw_clock_mono_ms() - t0;
	c->ops.snapshot(c->arg, fd);
	return 0;
}

/* Quotas in the snapshot grow old: made anew, but for at most a twentieth of
 * this thread's time. */
static void
on_usage(struct pw_timer *t)
{
	struct pw_control *c = (struct pw_control *)((char *)t -
	    offsetof(struct pw_control, usage_timer));
	struct pw_err err = { 0 };
	uint64_t wait;

	if (make_snapshot(c, &err) != 0)
		pw_logf(PW_LOG_ERROR, "accounts.snapshot", "%s", err.text);
	wait = c->build_ms * 20;
	pw_timer_set(c->loop, &c->usage_timer,
	    wait > USAGE_MS ? wait : USAGE_MS, on_usage);
}

static void
accounts_changed(void *arg)
{
	struct pw_control *c = arg;
	struct pw_err err = { 0 };

	if (make_snapshot(c, &err) != 0)
		pw_logf(PW_LOG_ERROR, "accounts.snapshot", "%s", err.text);
	c->ops.accounts_changed(c->arg);
}

/* ---- clients ------------------------------------------------------------------- */

static void
client_free(struct client *cl)
{
	struct pw_control *c = cl->c;
	struct client **at = &c->clients;

	while (*at != cl)
		at = &(*at)->next;
	*at = cl->next;
	c->nclient--;
	pw_timer_stop(&cl->timer);
	pw_io_del(&cl->io);
	(void)close(cl->io.fd);
	pw_strbuf_free(&cl->in);
	pw_strbuf_free(&cl->out);
	free(cl);
}

static void
on_client_late(struct pw_timer *t)
{
	client_free((struct client *)((char *)t -
	    offsetof(struct client, timer)));
}

/* Sends what the socket takes; frees the client when all has left. */
static void
client_flush(struct client *cl)
{
	while (cl->sent < cl->out.len) {
		ssize_t n = send(cl->io.fd, cl->out.ptr + cl->sent,
		    cl->out.len - cl->sent, MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			(void)pw_io_events(&cl->io, EPOLLOUT);
			return;
		}
		if (n <= 0)
			break;
		cl->sent += (size_t)n;
	}
	client_free(cl);
}

static void
client_answer(struct client *cl, int exit_code, struct pw_bytes text)
{
	json_t *out = json_stringn(text.ptr != NULL ? text.ptr : "", text.len);
	json_t *o;
	char *line;

	if (out == NULL) /* not UTF-8: never ours, but never silence */
		out = json_string("the answer cannot be shown\n");
	o = json_pack("{s:i,s:o}", "exit", exit_code, "out", out);
	line = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	cl->answered = true;
	cl->waiting = false;
	if (line != NULL) {
		pw_strbuf_adds(&cl->out, line);
		pw_strbuf_addc(&cl->out, '\n');
		free(line);
	}
	pw_timer_set(cl->c->loop, &cl->timer, CLIENT_MS, on_client_late);
	client_flush(cl);
}

static int
run_verb(struct client *cl, const char **word, size_t nword, bool json,
    struct pw_bytes input, struct pw_strbuf *out)
{
	struct pw_control *c = cl->c;
	struct pw_verb_ctx ctx = { .cfg = c->cfg, .accounts = c->accounts,
		.index = c->index, .daemon = &c->daemon, .json = json,
		.input = input, .out = out, .waiter = cl };
	const struct pw_verb *v;
	size_t used;

	v = pw_verb_find(word, nword, &used);
	if (v == NULL) {
		pw_strbuf_addf(out, "unknown verb; see `postward help`\n");
		return EX_USAGE;
	}
	ctx.word = word + used;
	ctx.nword = nword - used;
	return pw_verb_run(v, &ctx);
}

static void
client_request(struct client *cl, struct pw_bytes line)
{
	json_t *rq = json_loadb(line.ptr, line.len, 0, NULL);
	json_t *argv = json_object_get(rq, "argv"), *w;
	json_t *in = json_object_get(rq, "input");
	bool json = json_is_true(json_object_get(rq, "json"));
	const char *word[MAX_WORDS];
	struct pw_strbuf out;
	size_t n = 0, i;
	int rc = EX_PROTOCOL;

	pw_strbuf_init(&out, ANSWER_MAX);
	json_array_foreach(argv, i, w)
		if (n < MAX_WORDS && json_is_string(w))
			word[n++] = json_string_value(w);
	if (n == 0 || n != json_array_size(argv))
		pw_strbuf_adds(&out, "malformed request\n");
	else
		rc = run_verb(cl, word, n, json,
		    pw_bytes(json_string_value(in), json_string_length(in)),
		    &out);
	if (rc == PW_VERB_LATER)
		cl->waiting = true;
	else
		client_answer(cl, rc, pw_strbuf_bytes(&out));
	pw_strbuf_free(&out);
	json_decref(rq);
}

static void
client_read(struct client *cl)
{
	char buf[16384];
	ssize_t n = recv(cl->io.fd, buf, sizeof(buf), 0);
	ptrdiff_t nl;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_free(cl);
		return;
	}
	pw_strbuf_add(&cl->in, pw_bytes(buf, (size_t)n));
	if (cl->in.overflow) {
		client_answer(cl, EX_DATAERR,
		    PW_LIT("the request is larger than 16 MiB\n"));
		return;
	}
	nl = pw_bytes_chr(pw_bytes(buf, (size_t)n), '\n');
	if (nl < 0)
		return;
	/* One request a connection: what follows is not read. */
	(void)pw_io_events(&cl->io, EPOLLRDHUP);
	client_request(cl, pw_strbuf_bytes(&cl->in));
}

static void
on_client(struct pw_io *io, uint32_t ready)
{
	struct client *cl = (struct client *)((char *)io -
	    offsetof(struct client, io));

	if (cl->answered)
		client_flush(cl);
	else if (cl->waiting || (ready & (EPOLLHUP | EPOLLERR)) != 0)
		client_free(cl);
	else
		client_read(cl);
}

static bool
may_ask(const struct pw_control *c, int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
		return false;
	if (cred.uid == 0 || cred.uid == geteuid())
		return true;
	for (size_t i = 0; i < c->admins.n; i++)
		if (c->admins.uid[i] == cred.uid)
			return true;
	pw_logf(PW_LOG_WARN, "control.refused", "user %lu may not ask",
	    (unsigned long)cred.uid);
	return false;
}

static void
on_listen(struct pw_io *io, uint32_t ready)
{
	struct pw_control *c = (struct pw_control *)((char *)io -
	    offsetof(struct pw_control, listen_io));
	struct client *cl;
	int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)ready;
	if (fd < 0)
		return;
	if (c->nclient >= MAX_CLIENTS || !may_ask(c, fd)) {
		static const char no[] =
		    "{\"exit\":77,\"out\":\"not allowed, or too many clients\\n\"}\n";

		(void)send(fd, no, sizeof(no) - 1, MSG_NOSIGNAL);
		(void)close(fd);
		return;
	}
	cl = pw_xcalloc(1, sizeof(*cl));
	cl->c = c;
	cl->id = ++c->next_id;
	pw_strbuf_init(&cl->in, REQUEST_MAX);
	pw_strbuf_init(&cl->out, 2 * (size_t)ANSWER_MAX);
	cl->next = c->clients;
	c->clients = cl;
	c->nclient++;
	pw_timer_set(c->loop, &cl->timer, CLIENT_MS, on_client_late);
	if (pw_io_add(c->loop, &cl->io, fd, EPOLLIN, on_client) != 0)
		client_free(cl);
}

/* ---- what verbs ask of the daemon ------------------------------------------------ */

static void
daemon_reload(void *arg, struct pw_verb_ctx *ctx)
{
	struct pw_control *c = arg;
	struct client *cl = ctx->waiter;

	c->ops.ask_master(c->arg, cl->id, PW_MSG_RELOAD);
}

static void
daemon_status(void *arg, struct pw_verb_ctx *ctx)
{
	struct pw_control *c = arg;
	struct client *cl = ctx->waiter;

	c->ops.ask_master(c->arg, cl->id, PW_MSG_STATUS_ALL);
}

static void
daemon_shutdown(void *arg, struct pw_verb_ctx *ctx)
{
	struct pw_control *c = arg;

	(void)ctx;
	c->ops.ask_master(c->arg, 0, PW_MSG_SHUTDOWN);
}

static void
daemon_rescan(void *arg, const char *mailbox)
{
	struct pw_control *c = arg;

	c->ops.rescan(c->arg, mailbox);
}

struct answer {
	struct pw_control *c;
	uint64_t waiter;
	int exit_code;
	size_t len;
	char text[];
};

static void
on_answer(void *arg)
{
	struct answer *a = arg;
	struct client *cl = a->c->clients;

	while (cl != NULL && cl->id != a->waiter)
		cl = cl->next;
	if (cl != NULL && cl->waiting)
		client_answer(cl, a->exit_code, pw_bytes(a->text, a->len));
	free(a);
}

void
pw_control_answer(struct pw_control *c, uint64_t waiter, int exit_code,
    struct pw_bytes text)
{
	struct answer *a = pw_xcalloc(1, sizeof(*a) + text.len);

	a->c = c;
	a->waiter = waiter;
	a->exit_code = exit_code;
	a->len = text.len;
	if (text.len > 0)
		memcpy(a->text, text.ptr, text.len);
	pw_loop_post(c->loop, on_answer, a);
}

struct postmaster_note {
	struct pw_control *c;
	char *mailbox;
};

static void
on_postmaster(void *arg)
{
	struct postmaster_note *n = arg;
	struct pw_err err = { 0 };

	free(n->c->postmaster);
	n->c->postmaster = n->mailbox;
	if (make_snapshot(n->c, &err) != 0)
		pw_logf(PW_LOG_ERROR, "accounts.snapshot", "%s", err.text);
	free(n);
}

void
pw_control_postmaster(struct pw_control *c, struct pw_bytes mailbox)
{
	struct postmaster_note *n = pw_xcalloc(1, sizeof(*n));

	*n = (struct postmaster_note){ c, pw_xbytesdup(mailbox) };
	pw_loop_post(c->loop, on_postmaster, n);
}

/* ---- start and stop ------------------------------------------------------------- */

int
pw_control_find_admins(const struct pw_config *cfg,
    struct pw_control_admins *out, struct pw_err *err)
{
	const struct pw_strlist *l = &cfg->control.admins;

	out->n = 0;
	for (size_t i = 0; i < l->n && out->n < PW_COUNT(out->uid); i++) {
		const struct passwd *pw = getpwnam(l->v[i]);

		if (pw == NULL)
			return pw_err_set(err, EINVAL,
			    "control.admins: user %s does not exist", l->v[i]);
		out->uid[out->n++] = pw->pw_uid;
	}
	return 0;
}

static void *
control_thread(void *arg)
{
	struct pw_control *c = arg;

	(void)pw_loop_run(c->loop);
	return NULL;
}

static int
control_open(struct pw_control *c, int listen_fd, struct pw_err *err)
{
	c->loop = pw_loop_new(err);
	if (c->loop == NULL ||
	    pw_accounts_open(c->cfg->server.state_dir,
		c->cfg->store.mailbox_path, true, &c->accounts, err) != 0 ||
	    pw_index_open(c->cfg->server.state_dir, &c->index, err) != 0 ||
	    make_snapshot(c, err) != 0)
		return -1;
	if (pw_io_add(c->loop, &c->listen_io, listen_fd, EPOLLIN, on_listen) !=
	    0)
		return pw_err_set(err, errno, "control socket not watched");
	pw_timer_set(c->loop, &c->usage_timer, USAGE_MS, on_usage);
	errno = pthread_create(&c->thread, NULL, control_thread, c);
	if (errno != 0) {
		pw_io_del(&c->listen_io);
		return pw_err_sys(err, "control thread");
	}
	return 0;
}

static void
control_free(struct pw_control *c)
{
	while (c->clients != NULL)
		client_free(c->clients);
	pw_io_del(&c->listen_io);
	pw_timer_stop(&c->usage_timer);
	pw_index_close(&c->index);
	pw_accounts_close(&c->accounts);
	pw_loop_free(&c->loop);
	free(c->postmaster);
	free(c);
}

int
pw_control_start(const struct pw_config *cfg,
    const struct pw_control_admins *admins, int listen_fd,
    const struct pw_control_ops *ops, void *arg, struct pw_control **out,
    struct pw_err *err)
{
	struct pw_control *c = pw_xcalloc(1, sizeof(*c));

	c->cfg = cfg;
	c->admins = *admins;
	c->postmaster = pw_xstrdup(cfg->accounts.postmaster);
	c->ops = *ops;
	c->arg = arg;
	c->daemon = (struct pw_verb_daemon){ .arg = c,
		.reload = daemon_reload,
		.shutdown = daemon_shutdown,
		.status = daemon_status,
		.accounts_changed = accounts_changed,
		.rescan = daemon_rescan };
	if (control_open(c, listen_fd, err) != 0) {
		control_free(c);
		return -1;
	}
	*out = c;
	return 0;
}

void
pw_control_stop(struct pw_control **cp)
{
	struct pw_control *c = *cp;

	if (c == NULL)
		return;
	*cp = NULL;
	pw_loop_stop(c->loop);
	(void)pthread_join(c->thread, NULL);
	control_free(c);
}
