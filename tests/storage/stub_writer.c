/* SPDX-License-Identifier: ISC */
/* See stub_writer.h. */
#include "stub_writer.h"

#include <stdlib.h>

#include "base/pool.h"
#include "storage/writer.h"

_Atomic int stub_writer_refuse;
_Atomic unsigned long stub_writer_files;

struct pw_writer {
	_Atomic uint64_t last;
};

int
pw_writer_open(const struct pw_writer_opts *opts, struct pw_writer **out,
    struct pw_err *err)
{
	(void)opts;
	(void)err;
	*out = pw_xcalloc(1, sizeof(**out));
	return 0;
}

void
pw_writer_close(struct pw_writer **w)
{
	free(*w);
	*w = NULL;
}

void
pw_writer_keep(struct pw_writer *w, uint64_t keep_decisions_ms,
    uint64_t keep_early_ms, uint64_t max_bytes)
{
	(void)w;
	(void)keep_decisions_ms;
	(void)keep_early_ms;
	(void)max_bytes;
}

static uint64_t
ticket(struct pw_writer *w)
{
	return atomic_fetch_add(&w->last, 1) + 1;
}

uint64_t
pw_writer_delivered(struct pw_writer *w, struct pw_bytes decision,
    struct pw_bytes meta, const struct pw_filed *files, size_t nfiles)
{
	(void)decision;
	(void)meta;
	(void)files;
	if (atomic_load(&stub_writer_refuse) > 0) {
		atomic_fetch_sub(&stub_writer_refuse, 1);
		return 0;
	}
	atomic_fetch_add(&stub_writer_files, nfiles);
	return ticket(w);
}

uint64_t
pw_writer_decision(struct pw_writer *w, struct pw_bytes decision)
{
	(void)decision;
	return ticket(w);
}

uint64_t
pw_writer_cut(struct pw_writer *w, struct pw_bytes tid, uint64_t offset,
    struct pw_bytes bytes)
{
	(void)tid;
	(void)offset;
	(void)bytes;
	return ticket(w);
}

uint64_t
pw_writer_done(struct pw_writer *w)
{
	return atomic_load(&w->last);
}

uint64_t
pw_writer_last(struct pw_writer *w)
{
	return atomic_load(&w->last);
}

int
pw_writer_wait(struct pw_writer *w, uint64_t t, unsigned ms)
{
	(void)w;
	(void)t;
	(void)ms;
	return 0;
}

bool
pw_writer_healthy(struct pw_writer *w)
{
	(void)w;
	return true;
}

uint64_t
pw_writer_usage(struct pw_writer *w, struct pw_bytes mailbox)
{
	(void)w;
	(void)mailbox;
	return 0;
}
