/* SPDX-License-Identifier: ISC */
/*
 * Tickets of asynchronous stages: (slot, generation), finished once.  Opened
 * and closed on a loop's thread, finished from any.  One table a process.
 * Internal to filters/.
 */
#ifndef PW_FILTERS_TICKETS_H
#define PW_FILTERS_TICKETS_H

#include "filters/stage.h"
#include "net/loop.h"

#define PW_TICKETS_MAX 4096u

/* A new ticket; generation 0 when the table is full.  FN(ARG) runs on LOOP once
 * it is finished, unless it was closed before. */
struct pw_ticket pw_ticket_open(struct pw_loop *loop, void (*fn)(void *arg),
    void *arg);
/* The ticket is given up or used; a later answer is counted and dropped. */
void pw_ticket_close(struct pw_ticket t);
/* Answers that came late or twice, since the process began. */
uint64_t pw_ticket_rejected(void);

#endif
