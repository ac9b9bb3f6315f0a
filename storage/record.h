/* SPDX-License-Identifier: ISC */
/*
 * What a journal record says: one delivery with everything that is needed to
 * file it again exactly as it was filed, or deliveries that must not appear.
 * Built by the writer threads in one buffer, in which the body is turned into
 * its file form, so that it is copied once; read by replay and checkpoint.
 */
#ifndef PW_STORAGE_RECORD_H
#define PW_STORAGE_RECORD_H

#include "net/codec.h"
#include "storage/folders.h"
#include "net/meta.h"
#include "storage/journal.h"

enum pw_record_kind {
	PW_RECORD_MAIL = 1,
	PW_RECORD_CANCEL = 2
};

#define PW_RECORD_LF 1u       /* the body has LF line ends */
#define PW_RECORD_BODYLESS 2u /* the files were synced before the record */

/* One file of a delivery. */
struct pw_rfile {
	enum pw_place place;
	struct pw_bytes mailbox, folder, path, base;
	struct pw_bytes prefix; /* our fields as they stand in the file */
	uint64_t size, vsize;
	uint32_t rcpt;
};

struct pw_rcut {
	uint64_t offset;
	struct pw_bytes bytes;
};

struct pw_record {
	enum pw_record_kind kind;
	uint8_t flags;
	int64_t us; /* when it was taken */
	struct pw_bytes body, decision, meta, id;
	size_t nfile, ncut, ncancel;
	struct pw_rfile *file;
	struct pw_rcut *cut;
	uint64_t *cancel; /* numbers of records */
};

/*
 * Building, in this order, in an empty E:
 *   _begin; room for the body, filled by the caller; _body; _files;
 *   decision and meta, each between _open and _shut; _cuts; _end
 * or
 *   _begin; _body of length 0; _cancel; _end.
 */
void pw_record_begin(struct pw_enc *e, enum pw_record_kind kind, int64_t us);
/* Where the body begins in the buffer: room for it is reserved there. */
#define PW_RECORD_BODY_AT (PW_JOURNAL_HEAD + 16u)
void pw_record_body(struct pw_enc *e, size_t len, uint8_t flags);
void pw_record_files(struct pw_enc *e, const char *id,
    const struct pw_rfile *file, size_t n);
size_t pw_record_open(struct pw_enc *e);
void pw_record_shut(struct pw_enc *e, size_t mark);
void pw_record_cuts(struct pw_enc *e, const struct pw_rcut *cut, size_t n);
void pw_record_cancel(struct pw_enc *e, const uint64_t *seq, size_t n);
/* Pads; false when it grew beyond its maximum. */
bool pw_record_end(struct pw_enc *e);

/* Reads PAYLOAD (without the head room); strings point into it, arrays are in
 * POOL.  0, or -1 when it is malformed. */
int pw_record_dec(struct pw_bytes payload, struct pw_pool *pool,
    struct pw_record *out);

#endif
