/* SPDX-License-Identifier: ISC */
/* See fault_scene.h. */
#include "fault_scene.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fault_model.h"
#include "storage/filer_private.h"
#include "stub_writer.h"

#define LARGE_MAIL 3
#define SPOOLED_MAIL 4
#define RAW_MAIL 2
#define OWED_MAIL 5
#define BURST_FIRST 6
#define BURST_LAST 18

/* ---- the mails ------------------------------------------------------------ */

static const struct scene_target one[] = { { "test/alice", "", false },
	{ NULL, NULL, false } };
static const struct scene_target three[] = { { "test/alice", "", false },
	{ "test/bob", "Junk", false }, { "test/carol", "", true },
	{ NULL, NULL, false } };
static const struct scene_target bob[] = { { "test/bob", "", false },
	{ NULL, NULL, false } };
static const struct scene_target two[] = { { "test/alice", "", false },
	{ "test/bob", "", false }, { NULL, NULL, false } };
static const struct scene_target carol[] = { { "test/carol", "", false },
	{ NULL, NULL, false } };

const struct scene_target *
scene_targets(int mail)
{
	switch (mail) {
	case 1:
		return three;
	case RAW_MAIL:
		return bob;
	case LARGE_MAIL:
		return two;
	case SPOOLED_MAIL:
		return carol;
	default:
		return mail % 7 == 0 ? two : one;
	}
}

static size_t
text_size(int mail)
{
	if (mail == LARGE_MAIL || mail == SPOOLED_MAIL)
		return 40000;
	return mail >= BURST_FIRST && mail <= BURST_LAST ? 11000 : 300;
}

char *
scene_text(int mail, size_t *len)
{
	size_t size = text_size(mail), n;
	char *p = malloc(size + 100);

	n = (size_t)snprintf(p, 100, "Subject: mail %d\r\n\r\n", mail);
	while (n < size)
		n += (size_t)snprintf(p + n, 60,
		    mail == RAW_MAIL ? "%d raw line %zu\n" :
				       "%d: line %zu of this mail\r\n",
		    mail, n);
	*len = n;
	return p;
}

static void
prefix_of(char *out, size_t size, int mail, int target)
{
	(void)snprintf(out, size, "Delivered-To: %d.%d\r\n", mail, target);
}

char *
scene_filed(int mail, int target, size_t *len)
{
	size_t n, k = 0;
	char *text = scene_text(mail, &n);
	char *p = malloc(n + 100);
	char prefix[64];

	prefix_of(prefix, sizeof(prefix), mail, target);
	k = (size_t)snprintf(p, 100, "%s", prefix);
	memcpy(p + k, text, n);
	n += k;
	free(text);
	if (mail != RAW_MAIL) {
		k = 0;
		for (size_t i = 0; i < n; i++)
			if (p[i] != '\r')
				p[k++] = p[i];
		n = k;
	}
	*len = n;
	return p;
}

/* ---- the store ------------------------------------------------------------ */

struct world {
	struct pw_loop *loop;
	struct pw_writer *writer;
	struct pw_filer *filer;
	struct pw_filer_opts opts;
	char state[200], mail[200];
	struct scene_log *log;
};

static int
world_open(struct world *w, const char *root, const char *boot)
{
	struct pw_writer_opts wo = { .state_dir = root };
	struct pw_err err;

	pw_log_to(2, getenv("FAULT_LOG") != NULL ? PW_LOG_DEBUG :
						   (enum pw_log_level)99,
	    PW_LOG_KV);
	(void)snprintf(w->state, sizeof(w->state), "%s/state", root);
	(void)snprintf(w->mail, sizeof(w->mail), "%s/mail", root);
	w->opts = (struct pw_filer_opts){ .state_dir = w->state,
		.mail_root = w->mail, .host = "mx.test", .boot_id = boot,
		.journal = 4 * 65536, .writers = 1, .journal_message = 16384,
		.checkpoint_ms = 60000, .min_free = 1, .quota_grace = 10 };
	w->loop = pw_loop_new(&err);
	if (w->loop == NULL || pw_writer_open(&wo, &w->writer, &err) < 0)
		return -1;
	w->opts.writer = w->writer;
	if (pw_filer_open(w->loop, &w->opts, &w->filer, &err) == 0)
		return 0;
	if (getenv("FAULT_LOG") != NULL)
		(void)fprintf(stderr, "open: %s\n", err.text);
	return -1;
}

static void
world_close(struct world *w)
{
	pw_filer_close(&w->filer);
	pw_writer_close(&w->writer);
	pw_loop_free(&w->loop);
}

/* Until all is durable, or it takes too long. */
static bool
world_settle(struct world *w)
{
	uint64_t begin = pw_clock_mono_ms();
	bool idle = false;

	w->opts.checkpoint_ms = 1;
	pw_filer_set(w->filer, &w->opts);
	pw_checkpoint_now(w->filer);
	while (!(idle = pw_filer_idle(w->filer)) &&
	    pw_clock_mono_ms() - begin < 8000)
		pw_loop_step(w->loop, 1);
	w->opts.checkpoint_ms = 60000;
	pw_filer_set(w->filer, &w->opts);
	return idle;
}

struct mail {
	struct scene_log *log;
	int n;
};

static void
on_result(void *arg, const struct pw_store_result *r)
{
	struct mail *m = arg;

	(void)snprintf(m->log->reason[m->n], sizeof(m->log->reason[0]), "%s",
	    r->reason);
	m->log->calls[m->n]++;
	m->log->answer[m->n] = r->code == PW_STORE_OK ? ANSWER_OK :
							ANSWER_REFUSED;
	free(m);
}

static int
memfd_of(const char *p, size_t n)
{
	int fd = memfd_create("mail", MFD_CLOEXEC);

	if (fd < 0 || write(fd, p, n) != (ssize_t)n)
		_exit(3);
	return fd;
}

static struct pw_delivery *
delivery(struct pw_pool *pool, int n, const char **path)
{
	const struct scene_target *t = scene_targets(n);
	struct pw_delivery *d = pw_pool_alloc(pool, sizeof(*d));
	struct pw_decision *c = pw_pool_alloc(pool, sizeof(*c));

	d->decision = c;
	d->fd = -1;
	while (t[d->ntarget].path != NULL)
		d->ntarget++;
	d->target = pw_pool_array(pool, d->ntarget, sizeof(*d->target));
	*c = (struct pw_decision){ .id = pw_id_new(), .listener = "",
		.rdns = "", .tls = "", .reply = "", .step = "",
		.auth_results = "", .nrcpt = d->ntarget };
	c->rcpt = pw_pool_array(pool, c->nrcpt, sizeof(*c->rcpt));
	for (size_t i = 0; i < d->ntarget; i++) {
		char prefix[64];
		prefix_of(prefix, sizeof(prefix), n, (int)i);
		path[i] = t[i].path;
		c->rcpt[i].reply = c->rcpt[i].fate = "";
		d->target[i] = (struct pw_target){
			.mailbox = pw_bytes_of(t[i].path),
			.folder = t[i].folder,
			.action = t[i].hold ? PW_ACT_HOLD : PW_ACT_DELIVER,
			.prefix = pw_pool_copy(pool, pw_bytes_of(prefix)),
			.rcpt = i };
	}
	return d;
}

static void
on_piece(void *arg, const struct pw_store_result *r)
{
	*(int *)arg = r->code == PW_STORE_OK ? 1 : -1;
}

/* The message through a spool file; -1 when a piece was refused. */
static int
spool(struct world *w, struct pw_delivery *d, const char *text, size_t len)
{
	d->spool = pw_id_new();
	for (size_t at = 0, n; at < len; at += n) {
		int done = 0;
		n = len - at < 15000 ? len - at : 15000;
		pw_filer_spool_piece(w->filer, &d->spool,
		    memfd_of(text + at, n), n, on_piece, &done);
		while (done == 0)
			pw_loop_step(w->loop, 1000);
		if (done < 0)
			return -1;
	}
	return 0;
}

static void
begin(struct world *w, int n)
{
	struct pw_pool *pool = pw_pool_new(0);
	const char **path = pw_pool_array(pool, SCENE_TARGETS, sizeof(*path));
	struct pw_delivery *d = delivery(pool, n, path);
	struct mail *m = malloc(sizeof(*m));
	char *text = scene_text(n, &d->size);

	*m = (struct mail){ w->log, n };
	if (n == OWED_MAIL)
		atomic_store(&stub_writer_refuse, 1);
	if (n == SPOOLED_MAIL) {
		if (spool(w, d, text, d->size) < 0) {
			pw_filer_spool_drop(w->filer, &d->spool);
			w->log->answer[n] = ANSWER_REFUSED;
			w->log->calls[n] = 1;
			free(m);
			free(text);
			pw_pool_free(&pool);
			return;
		}
	} else {
		d->fd = memfd_of(text, d->size);
	}
	pw_filer_deliver(w->filer, d, path, pool, on_result, m);
	free(text);
}

static void
wait_for(struct world *w, int from, int to)
{
	for (int i = from; i <= to; i++)
		while (w->log->calls[i] == 0)
			pw_loop_step(w->loop, 1000);
}

/* ---- the reader ----------------------------------------------------------- */

/* The file of MAIL's copy for target 0, still in new/; false when gone. */
static bool
find(struct world *w, int mail, char *dir, size_t size, char *name)
{
	size_t len;
	char *want = scene_filed(mail, 0, &len), *got = malloc(len + 1);
	bool found = false;

	(void)snprintf(dir, size, "%s/%s/new", w->mail,
	    scene_targets(mail)[0].path);
	DIR *d = opendir(dir);
	for (struct dirent *e;
	     !found && d != NULL && (e = readdir(d)) != NULL;) {
		int fd = openat(dirfd(d), e->d_name, O_RDONLY);
		found = fd >= 0 && e->d_name[0] != '.' &&
		    read(fd, got, len + 1) == (ssize_t)len &&
		    memcmp(got, want, len) == 0;
		(void)snprintf(name, 256, "%s", e->d_name);
		if (fd >= 0)
			(void)close(fd);
	}
	if (d != NULL)
		(void)closedir(d);
	free(want);
	free(got);
	return found;
}

static void
read_mail(struct world *w, int mail)
{
	char dir[400], cur[410], name[256], seen[300];

	if (!find(w, mail, dir, sizeof(dir), name))
		return;
	(void)snprintf(cur, sizeof(cur), "%.*s/cur", (int)strlen(dir) - 4,
	    dir);
	(void)snprintf(seen, sizeof(seen), "%s:2,S", name);
	(void)fault_reader_rename(dir, name, cur, seen);
}

static void
delete_mail(struct world *w, int mail)
{
	char dir[400], name[256];

	if (!find(w, mail, dir, sizeof(dir), name))
		return;
	w->log->deleted[mail] = 1;
	if (fault_reader_unlink(dir, name) == 0)
		w->log->deleted[mail] = 2;
}

static void
archive_mail(struct world *w, int mail)
{
	char dir[400], box[400], sub[420], name[256], seen[300];

	if (!find(w, mail, dir, sizeof(dir), name))
		return;
	(void)snprintf(box, sizeof(box), "%.*s", (int)strlen(dir) - 4, dir);
	(void)fault_reader_mkdir(box, ".Archive");
	(void)snprintf(sub, sizeof(sub), "%s/.Archive", box);
	(void)fault_reader_mkdir(sub, "cur");
	(void)fault_reader_mkdir(sub, "new");
	(void)fault_reader_mkdir(sub, "tmp");
	(void)snprintf(sub, sizeof(sub), "%s/.Archive/cur", box);
	(void)snprintf(seen, sizeof(seen), "%s:2,FS", name);
	(void)fault_reader_rename(dir, name, sub, seen);
}

/* ---- the scene ------------------------------------------------------------ */

void
scene_run(const char *root, const char *boot, struct scene_log *log)
{
	struct world w = { .log = log };

	if (world_open(&w, root, boot) < 0)
		return;
	log->opened = true;
	for (int i = 0; i < BURST_FIRST; i++) {
		begin(&w, i);
		wait_for(&w, i, i);
		if (i == 2)
			delete_mail(&w, 2);
		if (i == 3)
			read_mail(&w, 0);
	}
	delete_mail(&w, 1);
	(void)world_settle(&w);
	for (int i = BURST_FIRST; i <= BURST_LAST; i++)
		begin(&w, i);
	wait_for(&w, BURST_FIRST, BURST_LAST);
	archive_mail(&w, 8);
	read_mail(&w, 9);
	delete_mail(&w, 10);
	begin(&w, SCENE_MAILS - 1);
	wait_for(&w, SCENE_MAILS - 1, SCENE_MAILS - 1);
	world_close(&w);
	log->closed = true;
}

int
scene_reopen(const char *root, const char *boot)
{
	struct world w = { .log = NULL };
	bool idle;

	if (world_open(&w, root, boot) < 0)
		return -1;
	idle = world_settle(&w);
	world_close(&w);
	return idle ? 0 : -1;
}
