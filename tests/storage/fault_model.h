/* SPDX-License-Identifier: ISC */
/*
 * A table of system calls that keeps account of what a disk holds.  Calls are
 * made for real below one folder, but nothing is synced for real: the model
 * knows, for every file and every folder, what was synced and what was not.
 * At a chosen call it fails it, ends the process, or cuts the power: then it
 * writes what a disk could hold at that moment into another folder and ends
 * the process.
 *
 *   contents   are on disk as of the file's last fsync, fdatasync or syncfs
 *   names      are on disk as of the folder's last fsync or syncfs; the sync
 *              of a file does not keep its name (harsher than ext4)
 *   a rename   is whole or not at all
 *   a sync     that failed has dropped what it should have written
 */
#ifndef TESTS_STORAGE_FAULT_MODEL_H
#define TESTS_STORAGE_FAULT_MODEL_H

#include <stdbool.h>
#include <stdint.h>

enum fault_kind {
	FAULT_NONE,
	FAULT_ERROR, /* the call fails with .error */
	FAULT_KILL,  /* the process ends in the call (a write may be partial) */
	FAULT_CUT    /* the power is cut in the call */
};

enum fault_cut {
	CUT_DROP,  /* only what was synced */
	CUT_NAMES, /* all names, but contents as synced: empty new files */
	CUT_ZEROS, /* all names and sizes, contents not synced are zeros */
	CUT_RANDOM /* a part of the names in order, any sectors of contents */
};

struct fault_plan {
	enum fault_kind kind;
	uint64_t at; /* the call, from 1 */
	int error;
	uint64_t cut_after; /* ERROR: so many calls later the power is cut; 0:
			     * it is not */
	enum fault_cut cut;
	uint32_t seed;
	const char *disk; /* existing, empty: where the disk is written to */
};

#define FAULT_EXIT 77 /* how the process ends */

/* ROOT and what is in it now counts as synced. Sets pw_sys. */
void fault_model_start(const char *root, const struct fault_plan *plan);
uint64_t fault_model_calls(void);
/* Descriptors that were opened and not closed. */
unsigned fault_model_open(void);
/* True once the chosen call has been met. */
bool fault_model_met(void);

/* A reader's rename and unlink, known to the model, never chosen. */
int fault_reader_rename(const char *from_dir, const char *from,
    const char *to_dir, const char *to);
int fault_reader_unlink(const char *dir, const char *name);
int fault_reader_mkdir(const char *dir, const char *name);

/* The same calls without any account, and without real syncs. */
void fault_nosync(void);

#endif
