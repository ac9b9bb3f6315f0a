/* SPDX-License-Identifier: ISC */
/*
 * What must hold after a run: every answered mail once, byte for byte; nothing
 * torn anywhere a reader looks; what was not answered is whole or not there;
 * what was refused is not there; nothing is left in tmp/.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault_scene.h"

static char *want[SCENE_MAILS][SCENE_TARGETS];
static size_t want_len[SCENE_MAILS][SCENE_TARGETS];

static void
load_wanted(void)
{
	if (want[0][0] != NULL)
		return;
	for (int i = 0; i < SCENE_MAILS; i++)
		for (int t = 0; scene_targets(i)[t].path != NULL; t++)
			want[i][t] = scene_filed(i, t, &want_len[i][t]);
}

struct found {
	/* In the target's mailbox; and elsewhere. */
	unsigned here[SCENE_MAILS][SCENE_TARGETS];
	unsigned elsewhere;
	unsigned torn, in_tmp;
	char example[300];
};

/* Where target T's copy belongs. */
static const char *
place_of(const struct scene_target *t)
{
	return t->hold ? "quarantine" : t->path;
}

static void
count_file(struct found *f, const char *box, int dir, const char *name)
{
	static char buf[65536];
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, buf, sizeof(buf)) : -1;

	if (fd >= 0)
		(void)close(fd);
	for (int i = 0; n >= 0 && i < SCENE_MAILS; i++)
		for (int t = 0; scene_targets(i)[t].path != NULL; t++) {
			if ((size_t)n != want_len[i][t] ||
			    memcmp(buf, want[i][t], (size_t)n) != 0)
				continue;
			if (strcmp(place_of(&scene_targets(i)[t]), box) == 0)
				f->here[i][t]++;
			else
				f->elsewhere++;
			return;
		}
	f->torn++;
	(void)snprintf(f->example, sizeof(f->example), "%s: %s (%zd octets)",
	    box, name, n);
}

/* All of new/ and cur/ (or, with TMP, of tmp/) of the folder at FD. */
static void
count_folder(struct found *f, const char *box, int fd)
{
	static const char *const sub[] = { "new", "cur", "tmp" };

	for (int i = 0; i < 3; i++) {
		int s = openat(fd, sub[i], O_RDONLY | O_DIRECTORY);
		DIR *d = s >= 0 ? fdopendir(s) : NULL;
		for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
			if (e->d_name[0] == '.')
				continue;
			else if (i == 2)
				f->in_tmp++;
			else
				count_file(f, box, s, e->d_name);
		if (d != NULL)
			(void)closedir(d);
	}
}

static void
count_box(struct found *f, const char *base, const char *box)
{
	char path[400];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", base, box);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	count_folder(f, box, fd);
	DIR *d = fdopendir(fd);
	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
		if (e->d_name[0] != '.' || strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0)
			continue;
		int sub = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY);
		if (sub >= 0) {
			count_folder(f, box, sub);
			(void)close(sub);
		}
	}
	if (d != NULL)
		(void)closedir(d);
}

static unsigned
complain(const char *what, const char *fmt, int mail, int target,
    const struct scene_log *log)
{
	(void)fprintf(stderr, "%s: mail %d, copy %d: %s (%s)\n", what, mail,
	    target, fmt, log->reason[mail]);
	return 1;
}

static unsigned
check_mail(const struct found *f, const struct scene_log *log,
    const struct scene_rule *rule, int i, const char *what)
{
	unsigned bad = 0;

	if (!rule->killed && log->opened && log->calls[i] != 1)
		bad += complain(what, "not answered once", i, 0, log);
	for (int t = 0; scene_targets(i)[t].path != NULL; t++) {
		unsigned n = f->here[i][t];
		int deleted = t == 0 ? log->deleted[i] : 0;

		if (n > 1)
			bad += complain(what, "there twice", i, t, log);
		if (n > 0 && deleted == 2 && !rule->cut)
			bad += complain(what, "back after its reader removed "
					      "it", i, t, log);
		if (n == 0 && log->answer[i] == ANSWER_OK && deleted == 0)
			bad += complain(what, "answered and lost", i, t, log);
		if (n > 0 && log->answer[i] == ANSWER_REFUSED)
			bad += complain(what, "refused, but there", i, t,
			    log);
	}
	return bad;
}

unsigned
scene_check(const char *root, const struct scene_log *log,
    const struct scene_rule *rule, const char *what)
{
	static const char *const box[] = { "test/alice", "test/bob",
		"test/carol" };
	struct found f = { .torn = 0 };
	char mail[300], state[300];
	unsigned bad = 0;

	load_wanted();
	(void)snprintf(mail, sizeof(mail), "%s/mail", root);
	(void)snprintf(state, sizeof(state), "%s/state", root);
	for (size_t i = 0; i < sizeof(box) / sizeof(box[0]); i++)
		count_box(&f, mail, box[i]);
	count_box(&f, state, "quarantine");
	for (int i = 0; i < SCENE_MAILS; i++)
		bad += check_mail(&f, log, rule, i, what);
	if (f.torn > 0 || f.elsewhere > 0) {
		(void)fprintf(stderr, "%s: %u files torn, %u misplaced: %s\n",
		    what, f.torn, f.elsewhere, f.example);
		bad++;
	}
	/* What no record speaks of may be left by a kill; readers clear it. */
	if (f.in_tmp > 0 && !rule->killed) {
		(void)fprintf(stderr, "%s: %u files left in tmp\n", what,
		    f.in_tmp);
		bad++;
	}
	if (!rule->killed && log->closed && log->leaked > 0) {
		(void)fprintf(stderr, "%s: %u descriptors leaked\n", what,
		    log->leaked);
		bad++;
	}
	return bad;
}
