/* SPDX-License-Identifier: ISC */
/*
 * A filer with all around it in a folder under /tmp, for the suites of commit
 * and replay.
 */
#ifndef TESTS_UNIT_STORAGE_FILER_RIG_H
#define TESTS_UNIT_STORAGE_FILER_RIG_H

#include <check.h>

#include "storage/filer_private.h"

struct filer_rig_target {
	const char *path; /* of the mailbox, "example.org/alice"; NULL: none */
	const char *folder;
	uint8_t action;
	uint64_t quota;
	bool hold_over_quota;
};

struct filer_rig_result {
	unsigned calls;
	enum pw_store_code code;
	char reason[160];
	char fate[4][32];
};

struct rig {
	char dir[64];
	char state[80], mail[80];
	struct pw_loop *loop;
	struct pw_writer *writer;
	struct pw_filer *filer;
	struct pw_filer_opts opts;
};

/* Folder and options; then open, as often as liked. */
void filer_rig_init(struct rig *r);
void filer_rig_open(struct rig *r, const char *boot);
void filer_rig_close(struct rig *r);
void filer_rig_fini(struct rig *r);

/* Begins one delivery of TEXT; RES is filled when it is answered. */
void filer_rig_begin(struct rig *r, struct pw_bytes text,
    const struct filer_rig_target *t, size_t n, const struct pw_meta *meta,
    struct filer_rig_result *res);
/* Steps the loop until RES is answered. */
void filer_rig_wait(struct rig *r, const struct filer_rig_result *res);
struct filer_rig_result filer_rig_send(struct rig *r, struct pw_bytes text,
    const struct filer_rig_target *t, size_t n);
/* Until nothing waits anywhere. */
void filer_rig_idle(struct rig *r);

/* The prefix of each of rig's files. */
#define RIG_PREFIX "Delivered-To: x\r\n"

/* Names in a folder "example.org/alice/new" below the mail root (or, with a
 * leading '/', below the state folder), sorted; how many. */
size_t filer_rig_list(struct rig *r, const char *folder, char name[][256],
    size_t max);
/* The only file in it: its content, malloc()ed. */
struct pw_bytes filer_rig_only(struct rig *r, const char *folder);
void filer_rig_check_only(struct rig *r, const char *folder, const char *want);

#endif
