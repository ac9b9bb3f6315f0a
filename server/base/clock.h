/* SPDX-License-Identifier: ISC */
/*
 * The only places that read a clock or random bytes, so that tests can turn
 * them.  Any thread.
 */
#ifndef PW_BASE_CLOCK_H
#define PW_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Monotonic nanoseconds. */
uint64_t pw_clock_mono_ns(void);
static inline uint64_t
pw_clock_mono_ms(void)
{
	return pw_clock_mono_ns() / 1000000u;
}
/* Microseconds since the epoch. */
int64_t pw_clock_real_us(void);
/* Test hook: all later pw_clock_real_us() calls return US (0: real again). */
void pw_clock_real_set(int64_t us);
/* "Mon, 2 Jan 2006 15:04:05 +0000", RFC 5322 section 3.3, always UTC. */
size_t pw_clock_rfc5322(char out[40], int64_t us);
/* "2006-01-02T15:04:05.678Z". */
size_t pw_clock_iso(char out[32], int64_t us);

/* N bytes from the kernel; cannot fail (aborts). */
void pw_random(void *p, size_t n);
/* SipHash-2-4 with a key of this process: for tables keyed by peers. */
uint64_t pw_hash(const void *p, size_t n);
/* The same with a given 16-byte key: for tables shared by processes. */
uint64_t pw_siphash(const uint8_t key[16], const void *p, size_t n);

/* Transaction and session ids: 16 characters of [0-9a-z] without vowels, time
 * first, so that they sort and never repeat on one host. */
#define PW_ID_LEN 16
struct pw_id {
	char s[PW_ID_LEN + 1];
};
struct pw_id pw_id_new(void);
/* True when B is such an id. */
struct pw_bytes;
int pw_id_parse(struct pw_id *id, const char *s, size_t n); /* 0 or -1 */

#endif
