/* SPDX-License-Identifier: ISC */
/*
 * The store as one thing: accounts, SQLite writer, filer, index and follower,
 * opened in this order and closed in the other.  The loop's thread of the
 * store role.
 */
#include "storage/store.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/log.h"
#include "storage/accounts.h"
#include "storage/filer.h"
#include "storage/follow.h"
#include "storage/index.h"
#include "storage/paths.h"
#include "storage/writer.h"

/* While another program has accounts.db locked, deliveries to mailboxes whose
 * paths are not remembered wait. */
#define HELD_MAX 1024u
#define HELD_MS 5000u
#define HELD_AGAIN_MS 50u

/* A delivery whose paths cannot be looked up now. */
struct held {
	struct held *next;
	struct pw_delivery *d;
	struct pw_pool *pool;
	const char **path;
	pw_store_cb cb;
	void *arg;
	uint64_t since_ms;
};

struct pw_store {
	struct pw_loop *loop;
	struct pw_accounts *accounts;
	struct pw_paths *paths;
	struct pw_writer *writer;
	struct pw_filer *filer;
	struct pw_index *index;
	char host[101]; /* in names of files; set with .replayed */
	atomic_bool replayed;
	/* The commit and checkpoint threads read it. */
	struct pw_follow *_Atomic follow;
	struct held *held, **held_tail; /* oldest first */
	size_t nheld;
	struct pw_timer held_timer;
};

/* The kernel's boot id; "" when it cannot be read: then nothing is known to be
 * of this boot, which costs time and loses nothing. */
static void
read_boot_id(char *out, size_t size)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, out, size - 1) : -1;

	if (fd >= 0)
		(void)close(fd);
	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	if (out[0] == '\0')
		(void)snprintf(out, size, "%s", pw_id_new().s);
}

static void
expect(void *arg, struct pw_bytes base)
{
	struct pw_store *s = arg;
	struct pw_follow *follow = atomic_load(&s->follow);

	if (follow != NULL)
		pw_follow_expect(follow, base);
}

/* The follower is opened later than the filer, or not. */
static void
may_clean(struct pw_store *s)
{
	struct pw_follow *follow = atomic_load(&s->follow);

	if (follow != NULL && atomic_load(&s->replayed))
		pw_follow_may_clean(follow, s->host);
}

static void
replayed(void *arg, const char *host)
{
	struct pw_store *s = arg;

	(void)snprintf(s->host, sizeof(s->host), "%s", host);
	atomic_store(&s->replayed, true);
	may_clean(s);
}

static void
filer_opts(struct pw_filer_opts *o, struct pw_store *s,
    const struct pw_config *cfg, struct utsname *un)
{
	*o = (struct pw_filer_opts){
		.state_dir = cfg->server.state_dir,
		.mail_root = cfg->store.mail_root,
		.host = cfg->server.hostname,
		.writer = s->writer,
		.expect = expect,
		.replayed = replayed,
		.expect_arg = s,
		.journal = cfg->store.journal,
		.writers = (unsigned)cfg->store.writers,
		.journal_message = cfg->store.journal_message,
		.checkpoint_ms = cfg->store.checkpoint,
		.min_free = cfg->store.min_free,
		.keep_aside = cfg->store.keep_aside,
		.quota_grace = (unsigned)cfg->store.quota_grace,
	};
	if (o->host[0] == '\0' && uname(un) == 0)
		o->host = un->nodename;
}

static int
open_parts(struct pw_store *s, struct pw_loop *loop,
    const struct pw_config *cfg, const char *boot_id, struct pw_err *err)
{
	struct pw_writer_opts w = { .state_dir = cfg->server.state_dir,
		.keep_decisions_ms = cfg->store.keep_decisions,
		.keep_early_ms = cfg->store.keep_refused,
		.max_bytes = cfg->store.max_decisions };
	struct pw_filer_opts o;
	struct pw_follow *follow;
	struct utsname un;
	char boot[64];

	if (pw_accounts_open(cfg->server.state_dir, cfg->store.mailbox_path,
		true, &s->accounts, err) < 0)
		return -1;
	s->paths = pw_paths_new(s->accounts);
	if (pw_writer_open(&w, &s->writer, err) < 0)
		return -1;
	filer_opts(&o, s, cfg, &un);
	if (boot_id == NULL)
		read_boot_id(boot, sizeof(boot));
	o.boot_id = boot_id != NULL ? boot_id : boot;
	if (pw_filer_open(loop, &o, &s->filer, err) < 0 ||
	    pw_index_open(cfg->server.state_dir, &s->index, err) < 0 ||
	    pw_follow_open(loop, cfg->store.mail_root, s->accounts, s->writer,
		cfg->store.rescan, &follow, err) < 0)
		return -1;
	atomic_store(&s->follow, follow);
	may_clean(s);
	return 0;
}

int
pw_store_open(struct pw_loop *loop, const struct pw_config *cfg,
    const char *boot_id, struct pw_store **out, struct pw_err *err)
{
	struct pw_store *s = pw_xcalloc(1, sizeof(*s));

	*out = s;
	s->loop = loop;
	s->held_tail = &s->held;
	if (open_parts(s, loop, cfg, boot_id, err) == 0)
		return 0;
	pw_store_close(out);
	return -1;
}

/* ---- deliveries ----------------------------------------------------------- */

/* True: done.  False: the accounts are locked. */
static bool
try_deliver(struct pw_store *s, struct held *h, bool last)
{
	struct pw_delivery *d = h->d;
	bool locked = false;

	for (size_t i = 0; h->path != NULL && i < d->ntarget; i++)
		if (h->path[i] == NULL)
			h->path[i] = pw_paths_get(s->paths,
			    d->target[i].mailbox, h->pool, &locked);
	if (locked && !last)
		return false;
	pw_filer_deliver(s->filer, d, h->path, h->pool, h->cb, h->arg);
	return true;
}

static void
take_held(struct pw_store *s, struct held *h)
{
	s->held = h->next;
	if (s->held == NULL)
		s->held_tail = &s->held;
	s->nheld--;
}

/* The oldest one has waited long enough. */
static void
refuse_held(struct pw_store *s)
{
	static const struct pw_store_result r = { .code = PW_STORE_TEMPFAIL,
		.reason = "accounts.db is locked by another program" };
	struct held *h = s->held;

	take_held(s, h);
	pw_logf(PW_LOG_ERROR, "store.accounts", "%s", r.reason);
	if (h->d->spool.s[0] != '\0')
		pw_filer_spool_drop(s->filer, &h->d->spool);
	if (h->d->fd >= 0)
		(void)close(h->d->fd);
	if (h->cb != NULL)
		h->cb(h->arg, &r);
	pw_pool_free(&h->pool);
	free(h);
}

static void
on_held(struct pw_timer *t)
{
	struct pw_store *s = (struct pw_store *)(void *)((char *)t -
	    offsetof(struct pw_store, held_timer));
	uint64_t now = pw_loop_now(s->loop);

	while (s->held != NULL) {
		struct held *h = s->held;

		if (try_deliver(s, h, false)) {
			take_held(s, h);
			free(h);
		} else if (now - h->since_ms >= HELD_MS)
			refuse_held(s);
		else
			break; /* those behind it would find the same */
	}
	if (s->held != NULL)
		pw_timer_set(s->loop, &s->held_timer, HELD_AGAIN_MS, on_held);
}

void
pw_store_deliver(struct pw_store *s, struct pw_delivery *d,
    struct pw_pool *pool, pw_store_cb cb, void *arg)
{
	struct held first = { .d = d, .pool = pool, .cb = cb, .arg = arg,
		.since_ms = pw_loop_now(s->loop) };
	struct held *h;

	first.path = pw_pool_array(pool, d->ntarget + 1, sizeof(*first.path));
	/* Too many of them: this one does without a path, which is refused. */
	if (try_deliver(s, &first, s->nheld >= HELD_MAX))
		return;
	h = pw_xcalloc(1, sizeof(*h));
	*h = first;
	*s->held_tail = h;
	s->held_tail = &h->next;
	if (s->nheld++ == 0)
		pw_timer_set(s->loop, &s->held_timer, HELD_AGAIN_MS, on_held);
}

void
pw_store_close(struct pw_store **sp)
{
	struct pw_store *s = *sp;
	struct pw_follow *follow;

	if (s == NULL)
		return;
	while (s->held != NULL)
		refuse_held(s);
	pw_timer_stop(&s->held_timer);
	/* First: it still gives rows and names to the others. */
	pw_filer_close(&s->filer);
	follow = atomic_exchange(&s->follow, NULL);
	if (follow != NULL)
		pw_follow_close(&follow);
	if (s->index != NULL)
		pw_index_close(&s->index);
	if (s->writer != NULL)
		pw_writer_close(&s->writer);
	pw_paths_free(&s->paths);
	if (s->accounts != NULL)
		pw_accounts_close(&s->accounts);
	free(s);
	*sp = NULL;
}

void
pw_store_reconfigure(struct pw_store *s, const struct pw_config *cfg)
{
	struct pw_filer_opts o;
	struct utsname un;

	filer_opts(&o, s, cfg, &un);
	pw_filer_set(s->filer, &o);
	pw_writer_keep(s->writer, cfg->store.keep_decisions,
	    cfg->store.keep_refused, cfg->store.max_decisions);
}

/* ---- spool and the like --------------------------------------------------- */

bool
pw_store_record(struct pw_store *s, struct pw_bytes decision)
{
	return pw_writer_early(s->writer, decision) != 0;
}

void
pw_store_spool_piece(struct pw_store *s, const struct pw_id *spool, int piece,
    uint64_t len, pw_store_cb cb, void *arg)
{
	pw_filer_spool_piece(s->filer, spool, piece, len, cb, arg);
}

int
pw_store_spool_open(struct pw_store *s, const struct pw_id *spool)
{
	return pw_filer_spool_open(s->filer, spool);
}

void
pw_store_spool_drop(struct pw_store *s, const struct pw_id *spool)
{
	pw_filer_spool_drop(s->filer, spool);
}

void
pw_store_aside(struct pw_store *s, int fd, struct pw_bytes why)
{
	pw_filer_aside(s->filer, fd, why);
}

bool
pw_store_ready(const struct pw_store *s, const char **reason,
    enum pw_store_code *code)
{
	return pw_filer_ready(s->filer, reason, code);
}

/* ---- parts ---------------------------------------------------------------- */

struct pw_accounts *
pw_store_accounts(struct pw_store *s)
{
	return s->accounts;
}

struct pw_index *
pw_store_index(struct pw_store *s)
{
	return s->index;
}

struct pw_follow *
pw_store_follow(struct pw_store *s)
{
	return atomic_load(&s->follow);
}

uint64_t
pw_store_usage(struct pw_store *s, struct pw_bytes mailbox)
{
	return pw_writer_usage(s->writer, mailbox);
}

void
pw_store_set_parser(struct pw_store *s, pw_parse_fn fn, void *host)
{
	pw_follow_set_parser(atomic_load(&s->follow), fn, host);
}

void
pw_store_status(struct pw_store *s, struct pw_strbuf *out)
{
	pw_filer_status(s->filer, out);
	pw_strbuf_addf(out, "store.accounts_locked %zu\n", s->nheld);
	pw_writer_status(s->writer, out);
	pw_follow_status(atomic_load(&s->follow), out);
}

bool
pw_store_idle(struct pw_store *s)
{
	return s->nheld == 0 && pw_filer_idle(s->filer);
}
