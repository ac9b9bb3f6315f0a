/* SPDX-License-Identifier: ISC */
/*
 * Front's way to the scan processes, one for each loop thread: implements
 * struct pw_scan_runner.  Number 0 is kept for envelope work; messages go to
 * the others, one at a time to each, whichever thread it comes from.  A job
 * whose process dies is answered "crashed"; jobs that wait go elsewhere.  A
 * process that passes a job's deadline is reported to master, which kills it.
 * On the loop's thread.
 */
#ifndef PW_HOST_SCAN_CLIENT_H
#define PW_HOST_SCAN_CLIENT_H

#include "base/strbuf.h"
#include "filters/pipeline.h"
#include "host/scan_pool.h"

struct pw_scan_client;

/* POOL is shared with the clients of the other threads and outlives them.
 * ON_STUCK is told the number of a process that passed a deadline. */
struct pw_scan_client *pw_scan_client_new(struct pw_loop *loop,
    struct pw_scan_pool *pool, void (*on_stuck)(void *arg, unsigned number),
    void *arg);
/* ON_LOST is told the number of a process whose channel ended, with the same
 * ARG: there may be another one for it. */
void pw_scan_client_on_lost(struct pw_scan_client *c,
    void (*on_lost)(void *arg, unsigned number));
/* No callback any more for jobs that are open. */
void pw_scan_client_free(struct pw_scan_client **c);
/* The channel to process NUMBER (taken over); an old one is closed. */
void pw_scan_client_channel(struct pw_scan_client *c, unsigned number, int fd);
/* To be given to pw_pipeline_new(); lives as long as the client. */
const struct pw_scan_runner *pw_scan_client_runner(struct pw_scan_client *c);

struct pw_scan_counts {
	uint64_t jobs, crashed, late, refused;
};
void pw_scan_client_counts(const struct pw_scan_client *c,
    struct pw_scan_counts *out);

#endif
