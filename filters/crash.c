/* SPDX-License-Identifier: ISC */
/*
 * Remembers for an hour which messages ended a scan process, by a keyed hash
 * of their size and first 64 KB, so that the second attempt of the same
 * message is judged without the stage.  One table a process; any thread.
 */
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/pool.h"
#include "filters/pipe_int.h"

#define SEEN 256u
#define HOUR_MS (3600u * 1000u)
#define LOOK_AT (64u << 10)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	uint64_t hash, at_ms;
} seen[SEEN];
static unsigned next;

static uint64_t
hash_of(int fd, uint64_t size)
{
	char buf[8192];
	uint64_t h[2] = { size, 0 };
	off_t at = 0;

	/* The bytes are in memory: the body was received a moment ago. */
	while (fd >= 0 && at < (off_t)LOOK_AT) {
		ssize_t n = pread(fd, buf, sizeof(buf), at);

		if (n <= 0)
			break;
		h[1] = pw_hash(buf, (size_t)n);
		h[0] = pw_hash(h, sizeof(h));
		at += n;
	}
	return pw_hash(h, sizeof(h));
}

bool
pw_crash_seen(int fd, uint64_t size)
{
	uint64_t h = hash_of(fd, size), now = pw_clock_mono_ms();
	bool found = false;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < SEEN; i++)
		if (seen[i].hash == h && seen[i].at_ms != 0 &&
		    now - seen[i].at_ms < HOUR_MS) {
			seen[i].at_ms = now;
			found = true;
		}
	if (!found) {
		seen[next % SEEN].hash = h;
		seen[next++ % SEEN].at_ms = now;
	}
	pthread_mutex_unlock(&lock);
	return found;
}
