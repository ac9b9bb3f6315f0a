/* SPDX-License-Identifier: ISC */
/*
 * The fault harness of mail storage.  One scene (fault_scene.c) is played
 * again and again; each time another system call fails, or the process ends
 * in it, or the power is cut in it.  Then the store is started again (some
 * times being struck once more in that) and everything is counted.
 *
 *   fault [-l] [-k KIND] [-n CALL] [-s SEED]
 *
 * The default form strikes every call in some way and ends within a minute; -l
 * strikes every call in every way.  -k KIND (a name of kinds[]) with -n
 * and -s repeats one run, FAULT_LOG=1 shows its log.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fault_model.h"
#include "fault_scene.h"

struct kind {
	const char *name;
	enum fault_kind kind;
	int error;
	enum fault_cut cut;
	bool then_cut; /* soon after the error */
	unsigned stride; /* of the default form: every so many calls */
};

static const struct kind kinds[] = {
	{ "eio", FAULT_ERROR, EIO, CUT_DROP, false, 2 },
	{ "enospc", FAULT_ERROR, ENOSPC, CUT_DROP, false, 7 },
	{ "emfile", FAULT_ERROR, EMFILE, CUT_DROP, false, 8 },
	{ "kill", FAULT_KILL, 0, CUT_DROP, false, 1 },
	{ "drop", FAULT_CUT, 0, CUT_DROP, false, 1 },
	{ "names", FAULT_CUT, 0, CUT_NAMES, false, 4 },
	{ "zeros", FAULT_CUT, 0, CUT_ZEROS, false, 8 },
	{ "random", FAULT_CUT, 0, CUT_RANDOM, false, 2 },
	{ "eio-drop", FAULT_ERROR, EIO, CUT_DROP, true, 1 },
	{ "eio-random", FAULT_ERROR, EIO, CUT_RANDOM, true, 4 },
};
#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

static char base[64];
static struct scene_log *scene;
static unsigned passed, failed;
static uint32_t seed = 1;

static void
remove_tree(const char *path)
{
	int st;
	pid_t pid = fork();

	if (pid == 0) {
		(void)execlp("rm", "rm", "-rf", path, (char *)NULL);
		_exit(127);
	}
	(void)waitpid(pid, &st, 0);
}

static void
make_root(const char *path, bool with_state)
{
	char sub[200];

	if (mkdir(path, 0700) < 0) {
		perror(path);
		exit(2);
	}
	if (!with_state)
		return;
	(void)snprintf(sub, sizeof(sub), "%s/state", path);
	(void)mkdir(sub, 0700);
	(void)snprintf(sub, sizeof(sub), "%s/mail", path);
	(void)mkdir(sub, 0700);
}

/* In a process of its own; its exit code, 128 when it was ended by a signal. */
static int
in_child(void (*fn)(void *arg), void *arg)
{
	int st;
	pid_t pid = fork();

	if (pid == 0) {
		/* Nothing takes this long. */
		(void)alarm(30);
		fn(arg);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &st, 0) < 0)
		return 128;
	return WIFEXITED(st) ? WEXITSTATUS(st) : 128;
}

struct run {
	const char *root, *boot;
	struct fault_plan plan;
};

static void
play(void *arg)
{
	struct run *r = arg;

	fault_model_start(r->root, &r->plan);
	scene_run(r->root, r->boot, scene);
	scene->leaked = fault_model_open();
	scene->calls_made = fault_model_calls();
}

static void
start_struck(void *arg)
{
	struct run *r = arg;

	fault_model_start(r->root, &r->plan);
	(void)scene_reopen(r->root, r->boot);
	scene->calls_made = fault_model_calls();
}

static void
start_plain(void *arg)
{
	struct run *r = arg;

	fault_nosync();
	if (scene_reopen(r->root, r->boot) < 0)
		_exit(1);
}

static void
report(unsigned bad)
{
	*(bad > 0 ? &failed : &passed) += 1;
}

/*
 * After the first blow, perhaps a second one in the start that follows; then
 * a start that is left alone.  BOOT is the boot id of those; DISK the folder
 * that holds the disk now.
 */
static void
recover(const char *disk, const char *boot, bool twice, bool cut,
    const char *what)
{
	const struct scene_rule rule = { .cut = cut, .killed = true };
	struct run r = { .root = disk, .boot = boot };
	char second[120], name[100];
	unsigned bad = 0;

	(void)snprintf(second, sizeof(second), "%s/second", base);
	if (twice) {
		bool power = seed % 3 == 0;
		make_root(second, false);
		r.plan = (struct fault_plan){
			.kind = power ? FAULT_CUT : FAULT_KILL,
			.at = 1 + seed * 7919u % 200,
			.cut = (enum fault_cut)(seed % 4),
			.seed = seed,
			.disk = second };
		if (in_child(start_struck, &r) == FAULT_EXIT && power) {
			r.root = second;
			r.boot = "third";
			cut = true;
		}
	}
	const struct scene_rule last = { .cut = rule.cut || cut,
		.killed = true };
	if (in_child(start_plain, &r) != 0) {
		(void)fprintf(stderr, "%s: the next start failed\n", what);
		bad++;
	}
	bad += scene_check(r.root, scene, &last, what);
	(void)snprintf(name, sizeof(name), "%s, again", what);
	/* A start that has nothing to do changes nothing. */
	if (in_child(start_plain, &r) != 0)
		bad++;
	bad += scene_check(r.root, scene, &last, name);
	report(bad);
	if (twice)
		remove_tree(second);
}

static void
one_run(const struct kind *k, uint64_t call, bool twice)
{
	char root[100], disk[100], what[100];
	struct run r = { .root = root, .boot = "first" };
	int code;

	memset(scene, 0, sizeof(*scene));
	(void)snprintf(root, sizeof(root), "%s/root", base);
	(void)snprintf(disk, sizeof(disk), "%s/disk", base);
	(void)snprintf(what, sizeof(what), "%s at call %llu (seed %u)",
	    k->name, (unsigned long long)call, seed);
	make_root(root, true);
	make_root(disk, false);
	r.plan = (struct fault_plan){ .kind = k->kind, .at = call,
		.error = k->error, .cut = k->cut, .seed = seed,
		.cut_after = k->then_cut ? 1 + seed * 31u % 97 : 0,
		.disk = disk };
	code = in_child(play, &r);
	if (code == FAULT_EXIT && k->then_cut) {
		recover(disk, "second", twice, true, what);
	} else if (k->kind == FAULT_ERROR) {
		/* Nothing ended: all was answered, the next mail works. */
		const struct scene_rule rule = { .killed = false };
		unsigned bad = scene_check(root, scene, &rule, what);
		if (code != 0) {
			(void)fprintf(stderr, "%s: ended with %d\n", what,
			    code);
			bad++;
		}
		if (scene->opened &&
		    scene->answer[SCENE_MAILS - 1] != ANSWER_OK &&
		    call < scene->calls_made / 2) {
			(void)fprintf(stderr, "%s: no recovery: %s\n", what,
			    scene->reason[SCENE_MAILS - 1]);
			bad++;
		}
		report(bad);
		recover(root, twice ? "second" : "first", false, false, what);
	} else if (code == FAULT_EXIT && k->kind == FAULT_CUT) {
		recover(disk, "second", twice, true, what);
	} else {
		recover(root, "first", twice, false, what);
	}
	remove_tree(root);
	remove_tree(disk);
	seed++;
}

/* How many calls the scene makes when nothing strikes. */
static uint64_t
count_calls(void)
{
	static const struct kind none = { "nothing", FAULT_NONE, 0, CUT_DROP,
		false, 1 };

	one_run(&none, 0, false);
	for (int i = 0; i < SCENE_MAILS; i++)
		if (scene->answer[i] != ANSWER_OK)
			(void)fprintf(stderr, "mail %d was refused: %s\n", i,
			    scene->reason[i]);
	return scene->calls_made;
}

static int
usage(void)
{
	(void)fprintf(stderr, "usage: fault [-l] [-k kind] [-n call] "
			      "[-s seed]\n");
	return 2;
}

int
main(int argc, char **argv)
{
	const char *only = NULL;
	uint64_t call = 0, calls;
	bool all = false;
	time_t begin = time(NULL);
	int c;

	while ((c = getopt(argc, argv, "lk:n:s:")) != -1)
		switch (c) {
		case 'l':
			all = true;
			break;
		case 'k':
			only = optarg;
			break;
		case 'n':
			call = strtoull(optarg, NULL, 10);
			break;
		case 's':
			seed = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		default:
			return usage();
		}
	/* A file system in memory does it, and is quicker. */
	(void)snprintf(base, sizeof(base), "%s/pw-fault.XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	scene = mmap(NULL, sizeof(*scene), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (scene == MAP_FAILED || mkdtemp(base) == NULL) {
		perror("fault");
		return 2;
	}
	uint32_t first = seed;
	calls = count_calls();
	for (size_t i = 0; i < NKINDS; i++) {
		const struct kind *k = &kinds[i];
		uint64_t step = all || call != 0 ? 1 : k->stride;
		if (only != NULL && strcmp(only, k->name) != 0)
			continue;
		for (uint64_t n = call != 0 ? call : 1 + first % step;
		     n <= (call != 0 ? call : calls); n += step) {
			if (call != 0)
				seed = first;
			one_run(k, n, seed % 4 == 0);
		}
	}
	remove_tree(base);
	(void)printf("fault: %llu calls struck in %ld s: %u passed, "
		     "%u failed\n", (unsigned long long)calls,
	    (long)(time(NULL) - begin), passed, failed);
	return failed > 0;
}
