/* SPDX-License-Identifier: ISC */
/*
 * What happens in each run of the fault harness: deliveries of every kind,
 * a reader beside them, checkpoints; and what must be found afterwards.
 */
#ifndef TESTS_STORAGE_FAULT_SCENE_H
#define TESTS_STORAGE_FAULT_SCENE_H

#include <stdbool.h>
#include <stddef.h>

#define SCENE_MAILS 20
#define SCENE_TARGETS 3

enum scene_answer { ANSWER_NONE = 0, ANSWER_OK, ANSWER_REFUSED };

/* Shared by the processes of a run. */
struct scene_log {
	int answer[SCENE_MAILS];
	int calls[SCENE_MAILS];
	char reason[SCENE_MAILS][100];
	/* The reader deletes the first copy: 1 when it begins, 2 when done. */
	int deleted[SCENE_MAILS];
	bool opened, closed;
	unsigned leaked; /* descriptors at the end */
	unsigned long calls_made;
};

/* Opens a filer below ROOT under BOOT, files all mails, closes. */
void scene_run(const char *root, const char *boot, struct scene_log *log);
/* Only opens, waits until all is durable, closes. 0 or -1. */
int scene_reopen(const char *root, const char *boot);

struct scene_rule {
	bool cut;    /* the power was cut: a reader's deletion may be undone */
	bool killed; /* else every mail was answered */
};
/* Reads all mailboxes below ROOT; how many things are wrong, each said on
 * stderr with WHAT in front. */
unsigned scene_check(const char *root, const struct scene_log *log,
    const struct scene_rule *rule, const char *what);

/* ---- shared by scene and check ---- */

struct scene_target {
	const char *path;   /* mailbox, NULL at the end */
	const char *folder;
	bool hold;
};
const struct scene_target *scene_targets(int mail);
/* The message, and its file for target T; malloc()ed. */
char *scene_text(int mail, size_t *len);
char *scene_filed(int mail, int target, size_t *len);

#endif
