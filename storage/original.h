/* SPDX-License-Identifier: ISC */
/*
 * A message as it came, rebuilt from its file and the bytes that were not
 * filed: the way back from msgfile.h.  The program postward, as the store's
 * user.
 */
#ifndef PW_STORAGE_ORIGINAL_H
#define PW_STORAGE_ORIGINAL_H

#include "base/bytes.h"
#include "base/err.h"

/* Bytes that were not filed; OFFSET is theirs in the message as it came. */
struct pw_missing {
	uint64_t offset;
	struct pw_bytes bytes;
};

/* The file BASE of FOLDER in mailbox PATH below ROOT, under whatever flags, in
 * new/ or cur/; -1 and errno (ENOENT: it is not there any more). */
int pw_original_find(int root, struct pw_bytes path, struct pw_bytes folder,
    struct pw_bytes base);
/*
 * The message in file FD, whose first PREFIX octets are fields of ours, with
 * MISSING (rising) put back, in a sealed memfd of *size octets.  -1 and ERR when
 * it cannot be: the file was changed.
 */
int pw_original_make(int fd, uint64_t prefix,
    const struct pw_missing *missing, size_t n, uint64_t *size,
    struct pw_err *err);

#endif
