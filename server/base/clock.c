/* SPDX-License-Identifier: ISC */
/*
 * Time, random bytes, keyed hashing and ids.  Any thread of any role.
 */
#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"

static _Atomic int64_t fixed_us;

uint64_t
pw_clock_mono_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int64_t
real_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
pw_clock_real_us(void)
{
	int64_t us = atomic_load_explicit(&fixed_us, memory_order_relaxed);

	return us != 0 ? us : real_us();
}

void
pw_clock_real_set(int64_t us)
{
	atomic_store(&fixed_us, us);
}

/* Broken-down UTC, rounded down also before 1970; the remainder in *US. */
static struct tm
split(int64_t *us)
{
	int64_t rest = *us % 1000000;
	struct tm tm = { 0 };

	if (rest < 0)
		rest += 1000000;
	time_t t = (time_t)((*us - rest) / 1000000);
	*us = rest;
	(void)gmtime_r(&t, &tm);
	return tm;
}

/* Lengths of what snprintf() would have written are cut to what it did. */
static size_t
fitted(int n, size_t size)
{
	return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

size_t
pw_clock_rfc5322(char out[40], int64_t us)
{
	static const char day[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu",
		"Fri", "Sat" };
	static const char month[12][4] = { "Jan", "Feb", "Mar", "Apr", "May",
		"Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	struct tm tm = split(&us);

	return fitted(snprintf(out, 40,
			  "%s, %d %s %04d %02d:%02d:%02d +0000",
			  day[tm.tm_wday], tm.tm_mday, month[tm.tm_mon],
			  tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec),
	    40);
}

size_t
pw_clock_iso(char out[32], int64_t us)
{
	struct tm tm = split(&us);

	return fitted(snprintf(out, 32, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
			  tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
			  tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(us / 1000)),
	    32);
}

void
pw_random(void *p, size_t n)
{
	char *at = p;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		PW_ASSERT(got > 0);
		at += got;
		n -= (size_t)got;
	}
}

/* ---- SipHash-2-4 (Aumasson and Bernstein, 2012) ------------------------- */

static inline uint64_t
rotl(uint64_t x, unsigned b)
{
	return x << b | x >> (64 - b);
}

static inline void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] = rotl(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] = rotl(v[2], 32);
}

static inline uint64_t
load_le(const uint8_t *p, size_t n)
{
	uint64_t x = 0;

	for (size_t i = 0; i < n; i++)
		x |= (uint64_t)p[i] << (8 * i);
	return x;
}

static inline void
sip_word(uint64_t v[4], uint64_t m)
{
	v[3] ^= m;
	sip_round(v);
	sip_round(v);
	v[0] ^= m;
}

uint64_t
pw_siphash(const uint8_t key[16], const void *p, size_t n)
{
	uint64_t k0 = load_le(key, 8), k1 = load_le(key + 8, 8);
	uint64_t v[4] = { k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du,
		k0 ^ 0x6c7967656e657261u, k1 ^ 0x7465646279746573u };
	const uint8_t *in = p;
	size_t left = n;

	for (; left >= 8; left -= 8, in += 8)
		sip_word(v, load_le(in, 8));
	sip_word(v, load_le(in, left) | (uint64_t)n << 56);
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint8_t hash_key[16];
static pthread_once_t hash_once = PTHREAD_ONCE_INIT;

static void
hash_key_init(void)
{
	pw_random(hash_key, sizeof(hash_key));
}

uint64_t
pw_hash(const void *p, size_t n)
{
	(void)pthread_once(&hash_once, hash_key_init);
	return pw_siphash(hash_key, p, n);
}

/* ---- ids ---------------------------------------------------------------- */

/* In ASCII order, so that ids sort as their times do. */
static const char id_digits[] = "0123456789bcdfghjklmnpqrstvwxyz";
#define ID_BASE 31u
#define ID_TIME_LEN 11 /* 31^11 us last until the year 2775 */
#define ID_PID_MAX 4194304u /* the kernel's own bound */
#define ID_SALTS 6u         /* 31^5 holds this many times ID_PID_MAX */

static _Atomic int64_t id_last_us;
static uint32_t id_salt;
static pthread_once_t id_once = PTHREAD_ONCE_INIT;

static void
id_init(void)
{
	pw_random(&id_salt, sizeof(id_salt));
	id_salt %= ID_SALTS;
}

/* Now, but later than any time given before by this process. */
static int64_t
id_time(void)
{
	int64_t now = pw_clock_real_us();
	int64_t last = atomic_load(&id_last_us);
	int64_t next;

	do {
		next = now > last ? now : last + 1;
	} while (!atomic_compare_exchange_weak(&id_last_us, &last, next));
	return next;
}

static void
id_put(char *out, size_t n, uint64_t v)
{
	while (n > 0) {
		out[--n] = id_digits[v % ID_BASE];
		v /= ID_BASE;
	}
}

struct pw_id
pw_id_new(void)
{
	struct pw_id id;

	/*
	 * No two calls of one process share a microsecond, and no two
	 * processes share a pid; the salt helps when a pid comes again after
	 * the clock was set back.
	 */
	(void)pthread_once(&id_once, id_init);
	uint32_t pid = (uint32_t)getpid() % ID_PID_MAX;
	id_put(id.s, ID_TIME_LEN, (uint64_t)id_time());
	id_put(id.s + ID_TIME_LEN, PW_ID_LEN - ID_TIME_LEN,
	    (uint64_t)pid * ID_SALTS + id_salt);
	id.s[PW_ID_LEN] = '\0';
	return id;
}

int
pw_id_parse(struct pw_id *id, const char *s, size_t n)
{
	if (n != PW_ID_LEN)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (s[i] == '\0' || strchr(id_digits, s[i]) == NULL)
			return -1;
	memcpy(id->s, s, n);
	id->s[n] = '\0';
	return 0;
}
