/* SPDX-License-Identifier: ISC */
/*
 * The queue's entrance: each call makes one block of memory with copies of all
 * that it was given and puts it behind the others.  Any thread.
 */
#include <stdlib.h>

#include "base/pool.h"
#include "storage/writer_private.h"

/* Lays out copies behind a struct pw_op; pass one counts, pass two copies. */
struct packer {
	char *to; /* NULL while counting */
	size_t at;
};

static void *
room(struct packer *p, size_t n, size_t align)
{
	p->at = (p->at + align - 1) & ~(align - 1);
	void *r = p->to != NULL ? p->to + p->at : NULL;
	p->at += n;
	return r;
}

static struct pw_bytes
pack(struct packer *p, struct pw_bytes b)
{
	char *to = room(p, b.len, 1);

	if (to != NULL && b.len > 0)
		memcpy(to, b.ptr, b.len);
	return pw_bytes(to, b.len);
}

static void
pack_file(struct packer *p, struct pw_filed *to, const struct pw_filed *from)
{
	struct pw_filed f = *from;

	f.mailbox = pack(p, from->mailbox);
	f.folder = pack(p, from->folder);
	f.base = pack(p, from->base);
	f.path = PW_BYTES_NONE; /* no row needs it */
	f.like = pack(p, from->like);
	if (to != NULL)
		*to = f;
}

static void
pack_op(struct packer *p, struct pw_op *to, const struct pw_op *from)
{
	struct pw_op op = *from;

	op.files = room(p, from->nfiles * sizeof(*op.files),
	    _Alignof(struct pw_filed));
	op.uids = room(p, from->nuids * sizeof(*op.uids),
	    _Alignof(struct pw_uid_row));
	for (size_t i = 0; i < from->nfiles; i++)
		pack_file(p, to != NULL ? &op.files[i] : NULL,
		    &from->files[i]);
	for (size_t i = 0; i < from->nuids; i++) {
		struct pw_bytes base = pack(p, from->uids[i].base);
		if (to != NULL)
			op.uids[i] =
			    (struct pw_uid_row){ base, from->uids[i].uid };
	}
	op.decision = pack(p, from->decision);
	op.meta = pack(p, from->meta);
	op.text = pack(p, from->text);
	op.tid = pack(p, from->tid);
	if (to != NULL)
		*to = op;
}

static struct pw_op *
copy_op(const struct pw_op *from)
{
	struct packer p = { .at = sizeof(struct pw_op) };

	pack_op(&p, NULL, from);
	size_t size = p.at;
	struct pw_op *op = malloc(size);
	if (op == NULL)
		return NULL;
	p = (struct packer){ .to = (char *)op, .at = sizeof(*op) };
	pack_op(&p, op, from);
	op->bytes = size;
	return op;
}

/* The follower may be told "later", a delivery costs its sender a retry. */
static bool
has_room(const struct pw_writer *w, const struct pw_op *op)
{
	unsigned share = !op->early &&
		(op->kind == PW_OP_RECORD || op->kind == PW_OP_CUT) ?
	    1 :
	    2;

	return !w->stop && w->queued < w->max_queue / share &&
	    w->queued_bytes + op->bytes <= w->max_bytes / share;
}

static uint64_t
enqueue(struct pw_writer *w, const struct pw_op *from)
{
	struct pw_op *op = copy_op(from);
	uint64_t ticket = 0;

	if (op == NULL)
		return 0;
	(void)pthread_mutex_lock(&w->lock);
	if (has_room(w, op)) {
		ticket = op->ticket = ++w->issued;
		op->next = NULL;
		*w->tail = op;
		w->tail = &op->next;
		w->queued_bytes += op->bytes;
		/* Once a batch: its first, and when it is full. */
		if (w->queued++ == 0 || w->queued == PW_BATCH_MAX)
			(void)pthread_cond_signal(&w->work);
		if (op->kind == PW_OP_RECORD)
			pw_writer_usage_queued(w, op, true);
	}
	(void)pthread_mutex_unlock(&w->lock);
	if (ticket == 0)
		free(op);
	return ticket;
}

uint64_t
pw_writer_delivered(struct pw_writer *w, struct pw_bytes decision,
    struct pw_bytes meta, const struct pw_filed *files, size_t nfiles)
{
	const struct pw_op op = { .kind = PW_OP_RECORD,
		.decision = decision,
		.meta = meta,
		.files = (struct pw_filed *)(uintptr_t)files,
		.nfiles = nfiles };

	return enqueue(w, &op);
}

uint64_t
pw_writer_decision(struct pw_writer *w, struct pw_bytes decision)
{
	const struct pw_op op = { .kind = PW_OP_RECORD, .decision = decision };

	return enqueue(w, &op);
}

uint64_t
pw_writer_early(struct pw_writer *w, struct pw_bytes decision)
{
	const struct pw_op op = { .kind = PW_OP_RECORD,
		.decision = decision,
		.early = true };

	return enqueue(w, &op);
}

uint64_t
pw_writer_cut(struct pw_writer *w, struct pw_bytes tid, uint64_t offset,
    struct pw_bytes bytes)
{
	const struct pw_op op = { .kind = PW_OP_CUT,
		.tid = tid,
		.offset = offset,
		.text = bytes };

	return enqueue(w, &op);
}

/* One file, of the follower. */
static uint64_t
about_file(struct pw_writer *w, enum pw_op_kind kind, const struct pw_filed *f,
    struct pw_bytes info, struct pw_bytes meta)
{
	const struct pw_op op = { .kind = kind,
		.files = (struct pw_filed *)(uintptr_t)f,
		.nfiles = 1,
		.text = info,
		.meta = meta };

	return enqueue(w, &op);
}

uint64_t
pw_writer_seen(struct pw_writer *w, const struct pw_filed *f,
    struct pw_bytes info)
{
	return about_file(w, PW_OP_SEEN, f, info, PW_BYTES_NONE);
}

uint64_t
pw_writer_gone(struct pw_writer *w, const struct pw_filed *f)
{
	return about_file(w, PW_OP_GONE, f, PW_BYTES_NONE, PW_BYTES_NONE);
}

uint64_t
pw_writer_meta(struct pw_writer *w, const struct pw_filed *f,
    struct pw_bytes meta)
{
	return about_file(w, PW_OP_META, f, PW_BYTES_NONE, meta);
}

uint64_t
pw_writer_uids(struct pw_writer *w, struct pw_bytes mailbox,
    struct pw_bytes folder, uint32_t uidvalidity, const struct pw_uid_row *u,
    size_t n)
{
	struct pw_filed f = { .mailbox = mailbox, .folder = folder };
	const struct pw_op op = { .kind = PW_OP_UIDS,
		.files = &f,
		.nfiles = 1,
		.uidvalidity = uidvalidity,
		.uids = (struct pw_uid_row *)(uintptr_t)u,
		.nuids = n };

	return enqueue(w, &op);
}
