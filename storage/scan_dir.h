/* SPDX-License-Identifier: ISC */
/*
 * Reading folders of a Maildir: what lies in new/ and cur/, and which folders
 * there are.  Nothing is followed that is a symbolic link.  Blocking; for the
 * follower's thread.
 */
#ifndef PW_STORAGE_SCAN_DIR_H
#define PW_STORAGE_SCAN_DIR_H

#include "storage/strmap.h"

/* Folder FOLDER ("" is INBOX) of the mailbox at PATH below ROOT; -1 and
 * errno. */
int pw_scan_open(int root, struct pw_bytes path, struct pw_bytes folder);

/* Splits a file's name at the first ':'; INFO is "" or begins with it. */
void pw_scan_name(struct pw_bytes name, struct pw_bytes *base,
    struct pw_bytes *info);
/* The number behind ",W=" (or another letter) in a base name, or 0. */
uint64_t pw_scan_field(struct pw_bytes base, char letter);

/* Calls FN for each regular file in SUB ("new", "cur") of the open FOLDER. 0,
 * or -1 and errno; ENOENT when there is no such folder. */
typedef void (*pw_scan_file_fn)(void *arg, struct pw_bytes name,
    uint64_t inode);
int pw_scan_files(int folder, const char *sub, pw_scan_file_fn fn, void *arg);

/* Calls FN for each folder of the mailbox whose directory is open, by its name
 * without the leading dot; not for INBOX. */
typedef void (*pw_scan_folder_fn)(void *arg, struct pw_bytes folder);
int pw_scan_folders(int mailbox, pw_scan_folder_fn fn, void *arg);
/* Is NAME, a directory's entry, a folder?  Its name, else empty. */
struct pw_bytes pw_scan_folder_name(struct pw_bytes name);

/* The whole file NAME in FOLDER, at most MAX bytes, owned by the caller; NULL
 * and errno. */
char *pw_scan_read(int folder, const char *name, size_t max, size_t *len);
/* Size with every line end as CRLF of the open file; -1 and errno. */
int64_t pw_scan_vsize(int fd);

#endif
