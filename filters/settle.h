/* SPDX-License-Identifier: ISC */
/*
 * What is done when the verdicts for the recipients of one message differ, and
 * SMTP has one reply for them all.  The rule:
 *
 *   1. any recipient is deferred: 4xx, and nobody gets a copy;
 *   2. all are refused: 5xx; copies are kept where refuse-keep asks for it;
 *   3. otherwise 250: delivered where it is wanted, held where it was refused.
 *
 * With PRDR each recipient has a reply of its own, and the rule only settles
 * the mailboxes that one recipient leads to.  Never a bounce.  Pure; called by
 * role front and by a replay.
 */
#ifndef PW_FILTERS_SETTLE_H
#define PW_FILTERS_SETTLE_H

#include <stddef.h>
#include <stdint.h>

enum pw_settled { PW_SETTLED_ACCEPT = 0, PW_SETTLED_REFUSE, PW_SETTLED_DEFER };

/*
 * VERDICT and ACTION hold N of enum pw_verdict_action: what policy said, and
 * what is done.  Returns the class of the reply; *by is the row whose reply is
 * given when that is no acceptance.  N 0 is refused.
 */
enum pw_settled pw_settle(const uint8_t *verdict, uint8_t *action, size_t n,
    size_t *by);

/* The last reply of a PRDR exchange, of N recipients' own: accepted when one
 * was; else deferred when one was.  *by: the first of that class. */
enum pw_settled pw_settle_prdr(const enum pw_settled *one, size_t n,
    size_t *by);

/* Why ACTION was done where VERDICT was asked for, to be put behind the step;
 * "" where they are the same. */
const char *pw_settle_why(uint8_t verdict, uint8_t action);

#endif
