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

#include "storage/accounts.h"
#include "storage/filer.h"
#include "storage/follow.h"
#include "storage/index.h"
#include "storage/paths.h"
#include "storage/writer.h"

struct pw_store {
	struct pw_accounts *accounts;
	struct pw_paths *paths;
	struct pw_writer *writer;
	struct pw_filer *filer;
	struct pw_index *index;
	/* The commit thread reads it. */
	struct pw_follow *_Atomic follow;
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
		.keep_decisions_ms = cfg->store.keep_decisions };
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
	return 0;
}

int
pw_store_open(struct pw_loop *loop, const struct pw_config *cfg,
    const char *boot_id, struct pw_store **out, struct pw_err *err)
{
	struct pw_store *s = pw_xcalloc(1, sizeof(*s));

	*out = s;
	if (open_parts(s, loop, cfg, boot_id, err) == 0)
		return 0;
	pw_store_close(out);
	return -1;
}

void
pw_store_close(struct pw_store **sp)
{
	struct pw_store *s = *sp;
	struct pw_follow *follow;

	if (s == NULL)
		return;
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
	pw_writer_keep(s->writer, cfg->store.keep_decisions);
}

/* ---- deliveries ----------------------------------------------------------- */

void
pw_store_deliver(struct pw_store *s, struct pw_delivery *d,
    struct pw_pool *pool, pw_store_cb cb, void *arg)
{
	const char **path = pw_pool_array(pool, d->ntarget + 1, sizeof(*path));

	for (size_t i = 0; path != NULL && i < d->ntarget; i++)
		path[i] = pw_paths_get(s->paths, d->target[i].mailbox, pool);
	pw_filer_deliver(s->filer, d, path, pool, cb, arg);
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
	pw_writer_status(s->writer, out);
	pw_follow_status(atomic_load(&s->follow), out);
}

bool
pw_store_idle(struct pw_store *s)
{
	return pw_filer_idle(s->filer);
}
