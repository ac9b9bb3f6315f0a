/* SPDX-License-Identifier: ISC */
/*
 * Open mail folders, kept for the next delivery: the most recently used ones,
 * bounded, each for two seconds at most, so that a mailbox that was moved away
 * or made anew is noticed.  Any thread of the store role.
 */
#ifndef PW_STORAGE_FOLDERS_H
#define PW_STORAGE_FOLDERS_H

#include "storage/maildir.h"

/* Where a mailbox lies; the numbers are on disk. */
enum pw_place {
	PW_PLACE_MAIL = 0,      /* below the mail root */
	PW_PLACE_QUARANTINE = 1 /* our own area in the state folder */
};

struct pw_folders;
struct pw_folder {
	struct pw_maildir dir; /* .tmp and .new are open */
};

/* ROOT[place] are open folders that outlive the cache.  MAX folders stay open
 * (two descriptors each). */
struct pw_folders *pw_folders_new(const int root[2], size_t max);
void pw_folders_free(struct pw_folders **f);
/* The folder, made when missing; to be given back.  NULL and errno. */
struct pw_folder *pw_folders_get(struct pw_folders *f, enum pw_place place,
    struct pw_bytes path, struct pw_bytes folder);
/* STALE: it did not serve (it may have been deleted); is not handed out
 * again. */
void pw_folders_put(struct pw_folders *f, struct pw_folder **e, bool stale);
/* Closes what is too old or (ALL) everything that nobody uses. */
void pw_folders_sweep(struct pw_folders *f, bool all);

#endif
