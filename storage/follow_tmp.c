/* SPDX-License-Identifier: ISC */
/*
 * What a store that was killed left in tmp/ of the folders: the journal names
 * only what it was filing; what it had not got to is found by the round over
 * all folders, once after the start and once a day.  Follower's thread.
 *
 * A live delivery of this process cannot be taken for one: its name bears our
 * process id, and such names count only after a day and a half.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "storage/follow_private.h"
#include "storage/maildir.h"
#include "storage/sysio.h"

/* As Maildir has it for anybody's files; here for our own only. */
#define OLD_S (36 * 3600)
#define AGAIN_MS 86400000u

struct look {
	struct pw_follow *f;
	int tmp;
	int64_t now_s;
};

/* Of this process, or of a time that is not over; by its name and, because
 * repairs use old names, by the file's own time. */
static bool
keep(void *arg, const char *name, long pid, int64_t made_s)
{
	const struct look *l = arg;
	const struct pw_follow *f = l->f;
	struct stat sb;

	if (fstatat(l->tmp, name, &sb, AT_SYMLINK_NOFOLLOW) != 0 ||
	    !S_ISREG(sb.st_mode))
		return true;
	if (pid != (long)getpid())
		return (int64_t)sb.st_ctim.tv_sec * 1000000 +
		    sb.st_ctim.tv_nsec / 1000 >=
		    f->opened_us;
	/* A clock that was set forward says nothing about files that are
	 * younger than we. */
	return pw_clock_mono_ms() - f->opened_ms < OLD_S * 1000ull ||
	    l->now_s - made_s < OLD_S ||
	    l->now_s - (int64_t)sb.st_ctim.tv_sec < OLD_S;
}

void
pw_follow_clean(struct pw_follow *f, struct pw_ffolder *d, int dir)
{
	struct pw_maildir m = PW_MAILDIR_NONE;
	const char *host = __atomic_load_n(&f->clean_host, __ATOMIC_ACQUIRE);
	uint64_t now = pw_clock_mono_ms();
	struct look l = { .f = f, .now_s = pw_clock_real_us() / 1000000 };
	int n;

	if (host == NULL ||
	    (d->cleaned_ms != 0 && now - d->cleaned_ms < AGAIN_MS))
		return;
	d->cleaned_ms = now;
	m.tmp = l.tmp = pw_sys_opendir(dir, "tmp", false);
	if (m.tmp < 0)
		return;
	n = pw_maildir_clean(&m, host, keep, &l);
	pw_maildir_close(&m);
	if (n <= 0)
		return;
	PW_FOLLOW_COUNT(f, cleaned, (uint64_t)n);
	pw_logf(PW_LOG_NOTICE, "store.tmp_cleaned",
	    "%d files that were never answered are removed from tmp/ of %s%s%s",
	    n, d->mailbox->address, d->name[0] != '\0' ? ", folder " : "",
	    d->name);
}

void
pw_follow_may_clean(struct pw_follow *f, const char *host)
{
	char *copy = pw_xstrdup(host);
	char *none = NULL;

	if (!__atomic_compare_exchange_n(&f->clean_host, &none, copy, false,
		__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		free(copy);
}
