/* SPDX-License-Identifier: ISC */
/*
 * The scan role's side: takes a job, reads the message, runs the stages, writes
 * the results.  It keeps nothing from one job to the next.
 */
#include "filters/scanner.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filters/job.h"
#include "filters/pipeline.h"

#define JOB_POOL_MAX (64u << 20)
/* Up to this size a message is read; above it a mapping costs less. */
#define READ_MAX ((size_t)256 << 10)

struct pw_scanner {
	const struct pw_config *cfg;
	struct pw_registry *reg;
	char *buf; /* READ_MAX bytes for the message at hand */
	struct pw_pool *pool; /* of the job at hand */
};

int
pw_scanner_new(const struct pw_config *cfg, struct pw_scanner **out,
    struct pw_err *err)
{
	struct pw_scanner *s = *out = pw_xcalloc(1, sizeof(*s));

	s->cfg = cfg;
	s->buf = pw_xcalloc(READ_MAX, 1);
	s->pool = pw_pool_new(JOB_POOL_MAX);
	pw_structure_init();
	if (pw_registry_new(cfg, PW_ROLE_SCAN, &s->reg, err) < 0) {
		pw_scanner_free(out);
		return -1;
	}
	return 0;
}

void
pw_scanner_free(struct pw_scanner **s)
{
	if (*s == NULL)
		return;
	pw_registry_free(&(*s)->reg);
	free((*s)->buf);
	pw_pool_free(&(*s)->pool);
	free(*s);
	*s = NULL;
}

/* ---- the message ----------------------------------------------------------------- */

struct content {
	struct pw_bytes bytes;
	void *map; /* or NULL */
};

/* The octets of a small message, all of them or none. */
static int
read_small(int fd, char *buf, size_t n)
{
	size_t at = 0;

	while (at < n) {
		ssize_t k = pread(fd, buf + at, n - at, (off_t)at);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return -1;
		at += (size_t)k;
	}
	return 0;
}

/* FD whole; an empty file and -1 give no bytes and no error. */
static int
content_get(struct pw_scanner *s, int fd, struct content *c)
{
	struct stat st;
	size_t n;

	*c = (struct content){ .bytes = PW_LIT("") };
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0 || st.st_size < 0)
		return -1;
	n = (size_t)st.st_size;
	if (n == 0)
		return 0;
	if (n <= READ_MAX) {
		if (read_small(fd, s->buf, n) < 0)
			return -1;
		c->bytes = pw_bytes(s->buf, n);
		return 0;
	}
	c->map = mmap(NULL, n, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (c->map == MAP_FAILED)
		return -1;
	c->bytes = pw_bytes(c->map, n);
	return 0;
}

static void
content_release(struct content *c)
{
	if (c->map != NULL)
		munmap(c->map, c->bytes.len);
}

/* ---- running ------------------------------------------------------------------------ */

struct running {
	struct pw_scanner *s;
	const struct pw_job *job;
	struct pw_env env;
	struct pw_facts found; /* by earlier runs of this job */
	struct pw_out *out;
};

/* Another run of this job, which has not ended, must come before run I. */
static bool
must_wait(const struct running *r, size_t i)
{
	const struct pw_job_item *it = r->job->item;
	uint64_t deps = r->s->reg->v[it[i].stage].deps;

	for (size_t k = 0; k < i; k++) {
		if (r->out[k].state != PW_OUTCOME_PENDING)
			continue;
		if ((deps >> it[k].stage & 1) != 0 ||
		    (it[i].phase == PW_PHASE_END &&
		    it[k].phase != PW_PHASE_END))
			return true;
	}
	return false;
}

static void
run_item(struct running *r, size_t i)
{
	const struct pw_job_item *it = &r->job->item[i];
	struct pw_loaded *l = &r->s->reg->v[it->stage];
	struct pw_out *o = &r->out[i];

	if (must_wait(r, i)) {
		*o = (struct pw_out){ .state = PW_OUTCOME_PENDING,
			.reason = "" };
		return;
	}
	if (!l->inited) {
		*o = (struct pw_out){ .state = PW_OUTCOME_FAILED,
			.reason = "not loaded in this process" };
		return;
	}
	pw_eval_run(&r->env, l, (enum pw_phase)it->phase, NULL, o);
	for (const struct pw_factrow *f = o->fact.first; f != NULL;
	    f = f->next)
		(void)pw_facts_set(&r->found, r->env.pool, f->name, f->index,
		    &f->value);
}

static void
write_results(struct running *r, struct pw_enc *e)
{
	pw_enc_reset(e);
	pw_results_begin(e, r->job->n);
	for (size_t i = 0; i < r->job->n; i++)
		pw_result_enc(e, &r->s->reg->v[r->job->item[i].stage],
		    r->job->item[i].phase, &r->out[i]);
}

static bool
too_large(const struct pw_enc *e)
{
	struct pw_bytes b = pw_enc_done(e);

	return b.ptr == NULL || b.len > PW_RESULTS_MAX;
}

/* All of it, or what is needed most: the findings without the block for the
 * index; or only that it was too much. */
static void
write_bounded(struct running *r, struct pw_enc *e)
{
	write_results(r, e);
	if (!too_large(e))
		return;
	for (size_t i = 0; i < r->job->n; i++)
		r->out[i].meta = PW_BYTES_NONE;
	write_results(r, e);
	if (!too_large(e))
		return;
	for (size_t i = 0; i < r->job->n; i++)
		r->out[i] = (struct pw_out){ .state = PW_OUTCOME_FAILED,
			.reason = "results too large" };
	write_results(r, e);
}

void
pw_scanner_run(struct pw_scanner *s, struct pw_bytes bytes, int fd,
    struct pw_enc *results)
{
	struct pw_pool *pool = s->pool;
	struct pw_msgview view;
	struct content c;
	struct pw_job job;
	struct running r = { .s = s, .job = &job };
	struct pw_parts parts = { 0 };

	pw_enc_reset(results);
	if (pw_job_dec(bytes, s->reg, pool, &job) < 0) {
		pw_pool_rewind(pool);
		return;
	}
	r.out = pw_pool_array(pool, job.n + 1, sizeof(*r.out));
	r.env = (struct pw_env){ .pool = pool, .now_us = job.now_us,
		.fact = { &r.found, &job.facts, NULL },
		.parts = &parts, .dns = { job.dns[0], job.dns[1] } };
	memcpy(r.env.seed, job.seed, sizeof(r.env.seed));
	if (r.out != NULL && content_get(s, fd, &c) == 0) {
		if (fd >= 0 && pw_msgview_init(&view, c.bytes, pool) == 0)
			r.env.msg = &view;
		for (size_t i = 0; i < job.n; i++)
			run_item(&r, i);
		write_bounded(&r, results);
		content_release(&c);
	}
	pw_pool_rewind(pool);
}

int
pw_scanner_parse_file(struct pw_scanner *s, int fd, struct pw_enc *meta)
{
	struct pw_pool *pool = s->pool;
	struct pw_msgview view;
	struct pw_meta *found = NULL;
	struct content c;

	pw_enc_reset(meta);
	if (content_get(s, fd, &c) == 0) {
		if (pw_msgview_init(&view, c.bytes, pool) == 0)
			found = pw_structure_meta(&view, pool);
		if (found != NULL)
			pw_meta_enc(meta, found);
		content_release(&c);
	}
	pw_pool_rewind(pool);
	return found != NULL && pw_enc_done(meta).ptr != NULL ? 0 : -1;
}
