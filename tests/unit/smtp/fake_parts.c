/* SPDX-License-Identifier: ISC */
/* Accounts, store and pipeline that answer as a test tells them. */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define QUEUE 4096

struct fake_parts fake;

/* ---- answers that are due ------------------------------------------------------ */

struct pw_store_call {
	pw_store_client_cb cb;
	pw_store_fd_cb fd_cb;
	void *arg;
	enum pw_store_code code;
	struct pw_store_call *next;
};
struct pw_pipe {
	pw_pipe_cb cb;
	void *arg;
	enum pw_phase phase;
	struct pw_pipe *next;
};

static struct pw_store_call *calls;
static struct pw_pipe *pipes;
static int spool_fd = -1;

bool
fake_parts_run(void)
{
	bool any = false;

	for (struct pw_pipe *p = pipes; p != NULL && !fake.never; p = p->next)
		if (p->cb != NULL) {
			pw_pipe_cb cb = p->cb;

			p->cb = NULL;
			fake.phases_open--;
			cb(p->arg);
			any = true;
			break; /* the list may have changed */
		}
	while (calls != NULL && !fake.store_never) {
		struct pw_store_call *c = calls;
		struct pw_store_call copy = *c;
		const struct pw_store_result r = { .code = c->code,
			.reason = "" };

		calls = c->next;
		free(c);
		fake.calls_open--;
		if (copy.fd_cb != NULL)
			copy.fd_cb(copy.arg, dup(spool_fd));
		else
			copy.cb(copy.arg, &r);
		any = true;
	}
	return any;
}

void
fake_reset(void)
{
	pw_strbuf_free(&fake.prefix);
	pw_strbuf_free(&fake.message);
	memset(&fake, 0, sizeof(fake));
	pw_strbuf_init(&fake.prefix, 1u << 20);
	pw_strbuf_init(&fake.message, 64u << 20);
	if (spool_fd >= 0)
		(void)close(spool_fd);
	spool_fd = -1;
}

/* ---- pipeline -------------------------------------------------------------------- */

struct pw_pipe *
pw_pipe_open(struct pw_pipeline *p, const struct pw_session_info *info)
{
	struct pw_pipe *pipe = pw_xcalloc(1, sizeof(*pipe));

	(void)p;
	(void)info;
	pipe->next = pipes;
	pipes = pipe;
	fake.pipes_open++;
	return pipe;
}

static void
cancel_phase(struct pw_pipe *pipe)
{
	if (pipe->cb != NULL)
		fake.phases_open--;
	pipe->cb = NULL;
}

void
pw_pipe_close(struct pw_pipe **pipe)
{
	struct pw_pipe **at = &pipes;

	if (*pipe == NULL)
		return;
	cancel_phase(*pipe);
	while (*at != *pipe)
		at = &(*at)->next;
	*at = (*pipe)->next;
	free(*pipe);
	*pipe = NULL;
	fake.pipes_open--;
}

void
pw_pipe_text(struct pw_pipe *pipe, const char *name, struct pw_bytes v)
{
	PW_ASSERT(pipe != NULL && name != NULL && v.len < 65536);
}

void
pw_pipe_int(struct pw_pipe *pipe, const char *name, int64_t v)
{
	(void)v;
	PW_ASSERT(pipe != NULL && name != NULL);
}

void
pw_pipe_begin(struct pw_pipe *pipe, const struct pw_id *id)
{
	(void)id;
	PW_ASSERT(pipe->cb == NULL);
}

void
pw_pipe_reset(struct pw_pipe *pipe)
{
	if (pipe->phase >= PW_PHASE_MAIL)
		cancel_phase(pipe);
}

void
pw_pipe_message(struct pw_pipe *pipe, int fd, uint64_t size,
    uint64_t header_len)
{
	(void)pipe;
	PW_ASSERT(fd >= 0 && header_len <= size);
}

enum pw_rc
pw_pipe_phase(struct pw_pipe *pipe, enum pw_phase phase, pw_pipe_cb cb,
    void *arg)
{
	PW_ASSERT(pipe->cb == NULL);
	pipe->phase = phase;
	if (!fake.async)
		return PW_OK;
	pipe->cb = cb;
	pipe->arg = arg;
	fake.phases_open++;
	return PW_AGAIN;
}

void
pw_pipe_early(struct pw_pipe *pipe, enum pw_phase phase,
    const struct pw_early_lists *lists, struct pw_early *out)
{
	(void)pipe;
	(void)lists;
	out->reply = fake.early[phase];
	out->step = "";
}

const struct pw_pipe_result *
pw_pipe_so_far(struct pw_pipe *pipe, struct pw_pool *pool)
{
	(void)pipe;
	(void)pool;
	return &fake.result;
}

const struct pw_pipe_result *
pw_pipe_result(struct pw_pipe *pipe)
{
	(void)pipe;
	return &fake.result;
}

static const char *const actions[] = { "deliver", "junk", "hold", "keep",
	"refuse", "defer", "discard" };

/* By the name of the mailbox; else as the test says. */
const struct pw_pipe_verdict *
pw_pipe_verdict(struct pw_pipe *pipe, const struct pw_pipe_rcpt *rcpt)
{
	static const struct pw_pipe_verdict verdict[] = {
		{ 0, "", "wanted", 0 }, { 1, "", "junk score", 6 },
		{ 2, "", "hold score", 8 },
		{ 3, "550 5.7.1 keep", "keep score", 9 },
		{ 4, "550 5.7.1 refuse", "refuse score", 10 },
		{ 5, "451 4.7.1 defer", "to be tried again", 1 },
		{ 6, "", "thrown away", 2 },
	};
	static struct pw_pipe_verdict other;
	size_t n = strcspn(rcpt->mailbox, "@");

	(void)pipe;
	PW_ASSERT(rcpt->rcpt > 0);
	for (size_t i = 0; i < PW_COUNT(actions); i++)
		if (strlen(actions[i]) == n &&
		    memcmp(actions[i], rcpt->mailbox, n) == 0)
			return &verdict[i];
	other = (struct pw_pipe_verdict){ fake.result.action,
		fake.result.reply != NULL ? fake.result.reply : "",
		fake.result.step != NULL ? fake.result.step : "",
		fake.result.score };
	return &other;
}

size_t
pw_pipe_from(struct pw_pipe *pipe, const char **addr, size_t max)
{
	(void)pipe;
	(void)addr;
	(void)max;
	return 0;
}

uint32_t
pw_pipe_rcpt_number(const struct pw_pipe *pipe)
{
	(void)pipe;
	return 1;
}

size_t
pw_snapshot_lists(const struct pw_snapshot *s, const struct pw_list_query *q,
    struct pw_list_entry out[PW_LIST_HITS])
{
	(void)s;
	(void)q;
	(void)out;
	return 0;
}

bool
pw_snapshot_may_allow(const struct pw_snapshot *s, struct pw_bytes mailbox)
{
	(void)s;
	(void)mailbox;
	return false;
}

/* ---- accounts ---------------------------------------------------------------------- */

struct pw_snapshot {
	int refs;
};
static struct pw_snapshot snapshot = { 1 };

struct pw_snapshot *
pw_snapshot_ref(struct pw_snapshot *s)
{
	s->refs++;
	return s;
}

void
pw_snapshot_unref(struct pw_snapshot **s)
{
	if (*s != NULL)
		(*s)->refs--;
	*s = NULL;
}

static void
add_dest(struct pw_dest *d, const char *mailbox, uint64_t quota)
{
	*d = (struct pw_dest){ .mailbox = pw_bytes_of(mailbox),
		.path = pw_bytes_of(mailbox), .quota = quota, .usage = 1000 };
}

/* A mailbox for each verdict. */
static enum pw_resolve_code
by_verdict(struct pw_dest *d, struct pw_bytes local)
{
	static const char *const names[] = { "deliver@example.test",
		"junk@example.test", "hold@example.test", "keep@example.test",
		"refuse@example.test", "defer@example.test",
		"discard@example.test" };

	for (size_t i = 0; i < PW_COUNT(names); i++)
		if (pw_bytes_caseeq(local, pw_bytes_of(actions[i]))) {
			add_dest(d, names[i], 0);
			return PW_RCPT_OK;
		}
	return PW_RCPT_UNKNOWN;
}

enum pw_resolve_code
pw_snapshot_resolve(const struct pw_snapshot *s, struct pw_bytes local,
    struct pw_bytes domain, const char *delimiters, struct pw_pool *pool,
    struct pw_dest **dest, size_t *n)
{
	struct pw_dest *d = pw_pool_array(pool, 2, sizeof(*d));
	ptrdiff_t plus = pw_bytes_chr(local, delimiters[0]);

	(void)s;
	*dest = d;
	*n = 1;
	if (domain.len == 0)
		domain = PW_LIT("example.test");
	if (!pw_bytes_eq(domain, PW_LIT("example.test")) &&
	    !pw_bytes_eq(domain, PW_LIT("xn--bcher-kva.test")))
		return PW_RCPT_FOREIGN;
	if (plus > 0)
		local = pw_bytes_sub(local, 0, (size_t)plus);
	if (pw_bytes_caseeq(local, PW_LIT("alice"))) {
		add_dest(d, "alice@example.test", 0);
	} else if (pw_bytes_caseeq(local, PW_LIT("bob"))) {
		add_dest(d, "bob@example.test", 1u << 30);
	} else if (pw_bytes_caseeq(local, PW_LIT("full"))) {
		add_dest(d, "full@example.test", 1000);
	} else if (pw_bytes_caseeq(local, PW_LIT("postmaster"))) {
		add_dest(d, "postmaster@example.test", 0);
	} else if (pw_bytes_caseeq(local, PW_LIT("team"))) {
		add_dest(d, "alice@example.test", 0);
		add_dest(d + 1, "bob@example.test", 0);
		*n = 2;
	} else if (pw_bytes_caseeq(local, PW_LIT("loop"))) {
		return PW_RCPT_LOOP;
	} else {
		return by_verdict(d, local);
	}
	return PW_RCPT_OK;
}

/* ---- store --------------------------------------------------------------------------- */

static struct pw_store_call *
queue_call(pw_store_client_cb cb, pw_store_fd_cb fd_cb, void *arg)
{
	struct pw_store_call *c, **at = &calls;

	c = pw_xcalloc(1, sizeof(*c));
	c->cb = cb;
	c->fd_cb = fd_cb;
	c->arg = arg;
	c->code = fake.code;
	while (*at != NULL)
		at = &(*at)->next;
	*at = c;
	fake.calls_open++;
	return c;
}

static void
read_message(int fd, uint64_t size)
{
	void *map;

	pw_strbuf_reset(&fake.message);
	if (size == 0)
		return;
	map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	PW_ASSERT(map != MAP_FAILED);
	pw_strbuf_add(&fake.message, pw_bytes(map, size));
	(void)munmap(map, size);
}

static void
note_rows(const struct pw_delivery *d)
{
	const struct pw_decision *dec = d->decision;

	fake.nrow = dec->nrcpt;
	for (size_t i = 0; i < dec->nrcpt && i < PW_COUNT(fake.row); i++) {
		const struct pw_decision_rcpt *r = &dec->rcpt[i];

		fake.row[i].action = r->action;
		(void)snprintf(fake.row[i].reply, sizeof(fake.row[i].reply),
		    "%s", r->reply);
		(void)snprintf(fake.row[i].step, sizeof(fake.row[i].step),
		    "%s", r->step);
		(void)snprintf(fake.row[i].fate, sizeof(fake.row[i].fate),
		    "%s", r->fate);
	}
	for (size_t i = 0; i < d->ntarget && i < PW_COUNT(fake.target); i++) {
		fake.target[i].action = d->target[i].action;
		(void)snprintf(fake.target[i].folder,
		    sizeof(fake.target[i].folder), "%s", d->target[i].folder);
	}
}

struct pw_store_call *
pw_store_client_deliver(struct pw_store_client *c, const struct pw_delivery *d,
    pw_store_client_cb cb, void *arg)
{
	(void)c;
	PW_ASSERT(d->decision->reply != NULL && d->decision->step != NULL);
	PW_ASSERT(d->decision->rdns != NULL && d->decision->tls != NULL);
	fake.action = d->decision->action;
	fake.ntarget = d->ntarget;
	note_rows(d);
	if (d->ntarget == 0) {
		fake.records++;
	} else {
		fake.deliveries++;
		pw_strbuf_reset(&fake.prefix);
		pw_strbuf_add(&fake.prefix, d->target[0].prefix);
		read_message(d->fd, d->size);
	}
	return cb == NULL ? NULL : queue_call(cb, NULL, arg);
}

int
pw_store_client_record(struct pw_store_client *c, const struct pw_decision *d)
{
	(void)c;
	PW_ASSERT(d->reply != NULL && d->step != NULL && d->id.s[0] != 0);
	fake.notes[d->kind]++;
	fake.note_rcpt = d->nrcpt;
	(void)snprintf(fake.note, sizeof(fake.note), "%s|%s", d->reply,
	    d->step);
	return 0;
}

struct pw_store_call *
pw_store_client_piece(struct pw_store_client *c, const struct pw_id *id,
    int fd, uint64_t len, pw_store_client_cb cb, void *arg)
{
	char buf[65536];
	off_t at = 0;
	ssize_t n;

	(void)c;
	(void)id;
	if (fake.pieces++ == 0 || spool_fd < 0) {
		if (spool_fd >= 0)
			(void)close(spool_fd);
		spool_fd = memfd_create("spool", MFD_CLOEXEC);
	}
	while ((n = pread(fd, buf, sizeof(buf), at)) > 0) {
		PW_ASSERT(write(spool_fd, buf, (size_t)n) == n);
		at += n;
	}
	PW_ASSERT((uint64_t)at == len);
	fake.spool_octets += len;
	return queue_call(cb, NULL, arg);
}

struct pw_store_call *
pw_store_client_open(struct pw_store_client *c, const struct pw_id *id,
    pw_store_fd_cb cb, void *arg)
{
	(void)c;
	(void)id;
	return queue_call(NULL, cb, arg);
}

void
pw_store_client_drop(struct pw_store_client *c, const struct pw_id *id)
{
	(void)c;
	(void)id;
	fake.drops++;
}

void
pw_store_client_cancel(struct pw_store_client *c, struct pw_store_call **call)
{
	struct pw_store_call **at = &calls;

	(void)c;
	while (*call != NULL && *at != NULL && *at != *call)
		at = &(*at)->next;
	if (*call != NULL && *at != NULL) {
		*at = (*call)->next;
		free(*call);
		fake.calls_open--;
	}
	*call = NULL;
}

struct pw_snapshot *
pw_store_client_snapshot(const struct pw_store_client *c)
{
	(void)c;
	return fake.no_snapshot ? NULL : &snapshot;
}

enum pw_store_code
pw_store_client_state(const struct pw_store_client *c, const char **reason)
{
	(void)c;
	*reason = "";
	return fake.no_store ? PW_STORE_TEMPFAIL : fake.state;
}

void
pw_store_client_aside(struct pw_store_client *c, const char *why, int fd)
{
	(void)c;
	(void)why;
	(void)fd;
}
