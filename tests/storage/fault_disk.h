/* SPDX-License-Identifier: ISC */
/*
 * What of a folder's files and names has been synced, and what a disk could
 * hold after a power cut.  Not locked: fault_model.c does that.
 */
#ifndef TESTS_STORAGE_FAULT_DISK_H
#define TESTS_STORAGE_FAULT_DISK_H

#include <stddef.h>

#include "fault_model.h"

void disk_start(const char *root);
void disk_opened(int dir, const char *path, int fd, bool made, bool truncated);
/* False: it was not opened through the table. */
bool disk_closed(int fd);
void disk_made(int dir, const char *path);
void disk_written(int fd, const void *p, size_t n, uint64_t at);
void disk_synced(int fd);
void disk_synced_all(void);
/* A sync that failed: what it should have written is on no list any more, and
 * no later sync writes it, unless it is written to the file again. */
void disk_sync_failed(int fd);
void disk_sync_failed_all(void);
void disk_renamed(int a, const char *from, int b, const char *to,
    bool exchange);
void disk_unlinked(int dir, const char *path);
/* The disk after a cut of this kind, below the existing folder TO. */
void disk_write(const char *to, enum fault_cut cut, uint32_t seed);

#endif
