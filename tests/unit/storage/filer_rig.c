/* SPDX-License-Identifier: ISC */
/* See filer_rig.h. */
#include "filer_rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "scratch.h"
#include "storage/sysio.h"

void
filer_rig_init(struct rig *r)
{
	*r = (struct rig){ .loop = NULL };
	scratch_folder(r->dir, sizeof(r->dir), "pw-filer");
	(void)snprintf(r->state, sizeof(r->state), "%s/state", r->dir);
	(void)snprintf(r->mail, sizeof(r->mail), "%s/mail", r->dir);
	ck_assert_int_eq(mkdir(r->state, 0700), 0);
	pw_log_to(2, PW_LOG_ERROR, PW_LOG_KV);
	r->opts = (struct pw_filer_opts){
		.state_dir = r->state,
		.mail_root = r->mail,
		.host = "mx.test",
		.journal = 4u * 128 * 1024,
		.writers = 2,
		.journal_message = 16384,
		.checkpoint_ms = 60000,
		.min_free = 1,
		.keep_aside = 10000,
		.quota_grace = 10,
	};
}

void
filer_rig_open(struct rig *r, const char *boot)
{
	struct pw_writer_opts w = { .state_dir = r->state,
		.keep_decisions_ms = 1000000000 };
	struct pw_err err;

	r->loop = pw_loop_new(&err);
	ck_assert_ptr_nonnull(r->loop);
	ck_assert_msg(pw_writer_open(&w, &r->writer, &err) == 0, "%s",
	    err.text);
	r->opts.writer = r->writer;
	r->opts.boot_id = boot;
	ck_assert_msg(pw_filer_open(r->loop, &r->opts, &r->filer, &err) == 0,
	    "%s", err.text);
}

void
filer_rig_close(struct rig *r)
{
	pw_filer_close(&r->filer);
	if (r->writer != NULL)
		pw_writer_close(&r->writer);
	if (r->loop != NULL)
		pw_loop_free(&r->loop);
}

void
filer_rig_fini(struct rig *r)
{
	int st;

	filer_rig_close(r);
	pw_sys = &pw_sysio_real;
	pid_t pid = fork();
	if (pid == 0) {
		(void)execlp("rm", "rm", "-rf", r->dir, (char *)NULL);
		_exit(127);
	}
	(void)waitpid(pid, &st, 0);
}

static void
on_result(void *arg, const struct pw_store_result *in)
{
	struct filer_rig_result *r = arg;

	r->calls++;
	r->code = in->code;
	(void)snprintf(r->reason, sizeof(r->reason), "%s", in->reason);
	for (size_t i = 0; i < in->ntarget && i < 4; i++)
		(void)snprintf(r->fate[i], sizeof(r->fate[i]), "%s",
		    in->fate[i]);
}

static void
set_target(struct pw_delivery *d, size_t i, const struct filer_rig_target *t,
    struct pw_pool *pool)
{
	struct pw_decision_rcpt *rcpt = &d->decision->rcpt[i];

	d->target[i] = (struct pw_target){
		.mailbox = pw_bytes_of(pw_pool_printf(pool, "%s@test",
		    t->path != NULL ? t->path : "none")),
		.folder = t->folder != NULL ? t->folder : "",
		.action = t->action,
		.prefix = PW_LIT(RIG_PREFIX),
		.quota = t->quota,
		.hold_over_quota = t->hold_over_quota,
		.rcpt = i };
	rcpt->given = rcpt->mailbox = d->target[i].mailbox;
	rcpt->action = t->action;
	rcpt->reply = "250 2.1.5 ok";
	rcpt->fate = "";
}

void
filer_rig_begin(struct rig *r, struct pw_bytes text, const struct filer_rig_target *t,
    size_t n, const struct pw_meta *meta, struct filer_rig_result *res)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_delivery *d = pw_pool_alloc(pool, sizeof(*d));
	const char **path = pw_pool_array(pool, n + 1, sizeof(*path));

	d->decision = pw_pool_alloc(pool, sizeof(*d->decision));
	*d->decision = (struct pw_decision){ .id = pw_id_new(),
		.time_us = pw_clock_real_us(), .listener = "mx",
		.rdns = "", .tls = "", .reply = "250 ok", .step = "default",
		.auth_results = "", .nrcpt = n,
		.rcpt = pw_pool_array(pool, n + 1,
		    sizeof(*d->decision->rcpt)) };
	d->fd = -1;
	d->target = pw_pool_array(pool, n + 1, sizeof(*d->target));
	d->ntarget = n;
	if (meta != NULL) {
		d->meta = pw_pool_alloc(pool, sizeof(*d->meta));
		*d->meta = *meta;
	}
	for (size_t i = 0; i < n; i++) {
		set_target(d, i, &t[i], pool);
		path[i] = t[i].path;
	}
	if (text.ptr != NULL) {
		d->fd = memfd_create("mail", MFD_CLOEXEC);
		ck_assert_int_ge(d->fd, 0);
		ck_assert_int_eq(write(d->fd, text.ptr, text.len),
		    (ssize_t)text.len);
		d->size = text.len;
	}
	*res = (struct filer_rig_result){ .calls = 0 };
	pw_filer_deliver(r->filer, d, path, pool, on_result, res);
	ck_assert_uint_eq(res->calls, 0);
}

void
filer_rig_wait(struct rig *r, const struct filer_rig_result *res)
{
	uint64_t begin = pw_clock_mono_ms();

	while (res->calls == 0) {
		pw_loop_step(r->loop, 100);
		ck_assert_msg(pw_clock_mono_ms() - begin < 20000,
		    "no answer");
	}
	ck_assert_uint_eq(res->calls, 1);
}

struct filer_rig_result
filer_rig_send(struct rig *r, struct pw_bytes text, const struct filer_rig_target *t,
    size_t n)
{
	struct filer_rig_result res;

	filer_rig_begin(r, text, t, n, NULL, &res);
	filer_rig_wait(r, &res);
	return res;
}

void
filer_rig_idle(struct rig *r)
{
	uint64_t begin = pw_clock_mono_ms();

	r->opts.checkpoint_ms = 20;
	pw_filer_set(r->filer, &r->opts);
	pw_checkpoint_now(r->filer);
	while (!pw_filer_idle(r->filer)) {
		pw_loop_step(r->loop, 10);
		ck_assert_msg(pw_clock_mono_ms() - begin < 20000,
		    "never idle");
	}
	r->opts.checkpoint_ms = 60000;
	pw_filer_set(r->filer, &r->opts);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int
open_folder(struct rig *r, const char *folder)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s",
	    folder[0] == '/' ? r->state : r->mail, folder);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

size_t
filer_rig_list(struct rig *r, const char *folder, char name[][256], size_t max)
{
	int fd = open_folder(r, folder);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	size_t n = 0;

	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
		if (e->d_name[0] != '.' && n < max)
			(void)snprintf(name[n++], 256, "%s", e->d_name);
	if (d != NULL)
		(void)closedir(d);
	if (n > 0)
		qsort(name, n, 256, by_name);
	return n;
}

struct pw_bytes
filer_rig_only(struct rig *r, const char *folder)
{
	char name[4][256];
	struct stat st;
	int dir = open_folder(r, folder), fd;

	ck_assert_msg(filer_rig_list(r, folder, name, 4) == 1, "%s: %zu files",
	    folder, filer_rig_list(r, folder, name, 4));
	fd = openat(dir, name[0], O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	char *p = malloc((size_t)st.st_size + 1);
	ck_assert_int_eq(read(fd, p, (size_t)st.st_size), st.st_size);
	p[st.st_size] = '\0';
	(void)close(fd);
	(void)close(dir);
	return pw_bytes(p, (size_t)st.st_size);
}

void
filer_rig_check_only(struct rig *r, const char *folder, const char *want)
{
	struct pw_bytes b = filer_rig_only(r, folder);

	ck_assert_msg(pw_bytes_eq(b, pw_bytes_of(want)), "%s: %s", folder,
	    b.ptr);
	free((void *)(uintptr_t)b.ptr);
}
