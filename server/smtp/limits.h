/* SPDX-License-Identifier: ISC */
/*
 * Sessions at once: in all, per address, per /24 or /64.  Each front process
 * counts its own in a segment of shared memory that it alone writes and the
 * others read, so that the bounds hold while two generations overlap.  The
 * segment of a process that died is cleared by master.
 */
#ifndef PW_SMTP_LIMITS_H
#define PW_SMTP_LIMITS_H

#include "base/err.h"
#include "base/valid.h"

/* Octets of a segment; memory is used only where sessions are counted. */
size_t pw_limits_segment_size(void);
/* Makes zeroed memory MEM of that size into an empty segment. */
void pw_limits_segment_init(void *mem);

struct pw_limits;
/* OWN is written, OTHER only read; the mappings stay the caller's and must
 * outlive it.  Shared by all threads of the process. */
struct pw_limits *pw_limits_new(void *own, const void *const *other,
    size_t nother);
void pw_limits_free(struct pw_limits **l);

struct pw_limit_caps {
	uint32_t total, address, network;
};
enum pw_limit_verdict {
	PW_LIMIT_OK = 0,
	PW_LIMIT_TOTAL,
	PW_LIMIT_ADDRESS,
	PW_LIMIT_NETWORK
};
/* A session that was counted, to be given back. */
struct pw_limit_ticket {
	struct pw_ip ip;
	bool counted, by_address;
};
/*
 * Counts a session of IP, unless a bound is reached.  TRUSTED: only in the
 * total.  Any thread.
 */
enum pw_limit_verdict pw_limits_enter(struct pw_limits *l,
    const struct pw_ip *ip, bool trusted, const struct pw_limit_caps *caps,
    struct pw_limit_ticket *t);
/* Takes it back, once; harmless for one that was not counted. */
void pw_limits_leave(struct pw_limits *l, struct pw_limit_ticket *t);
/* Sessions counted now, all processes. */
uint32_t pw_limits_total(struct pw_limits *l);
/* Sessions that found no room in the table and are in the total only. */
uint64_t pw_limits_uncounted(struct pw_limits *l);

#endif
