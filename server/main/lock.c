/* SPDX-License-Identifier: ISC */
/*
 * One daemon for each run folder and each state folder.  Master holds both
 * locks; no role inherits them, so they end with it, and a store that is still
 * dying is waited for by the journal's own lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/folders.h"
#include "main/master.h"

/* A child of one that was killed a moment ago may hold it until it has closed
 * what it inherited: half a second in all. */
#define TRIES 25
#define PAUSE_NS 20000000

static int
wait_lock(int fd)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	int rc = flock(fd, LOCK_EX | LOCK_NB);

	for (int i = 1; i < TRIES && rc != 0; i++) {
		(void)nanosleep(&pause, NULL);
		rc = flock(fd, LOCK_EX | LOCK_NB);
	}
	return rc;
}

static int
refuse(int fd, const char *folder, struct pw_err *err)
{
	char text[32] = "";
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	long pid = n > 0 ? strtol(text, NULL, 10) : 0;

	if (pid > 0)
		return pw_err_set(err, EBUSY,
		    "%s is in use by another postwardd, process %ld; stop that "
		    "one, or use another folder",
		    folder, pid);
	return pw_err_set(err, EBUSY,
	    "%s is in use by another postwardd; stop that one, or use another "
	    "folder",
	    folder);
}

/* Locks FOLDER/NAME and writes our process id into it; held until this process
 * ends. */
static int
take(const char *folder, const char *name, mode_t mode, struct pw_err *err)
{
	char path[4096], pid[32];
	struct stat st;
	int fd, n, rc = 0;

	n = snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return pw_err_set(err, EINVAL, "path too long: %s", folder);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
	    mode);
	if (fd < 0)
		return pw_err_sys(err, "%s", path);
	/* The folder may belong to the store's user: nothing that lies there
	 * makes us write into a file of others. */
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1) {
		(void)close(fd);
		return pw_err_set(err, EINVAL,
		    "%s is not a plain file; remove it", path);
	}
	if (wait_lock(fd) != 0) {
		rc = refuse(fd, folder, err);
		(void)close(fd);
		return rc;
	}
	n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) != 0 || write(fd, pid, (size_t)n) != n)
		return pw_err_sys(err, "%s", path);
	return 0;
}

int
pw_lock_take(const struct pw_config *cfg, struct pw_err *err)
{
	char path[4096];

	if (take(cfg->server.run_dir, "postwardd.pid", 0644, err) != 0 ||
	    take(cfg->server.state_dir, "lock", 0600, err) != 0)
		return -1;
	/* All below that folder is the store's. */
	(void)snprintf(path, sizeof(path), "%s/lock", cfg->server.state_dir);
	return pw_give_to_store(cfg, path, err);
}
