/* SPDX-License-Identifier: ISC */
/*
 * The scores from which something follows, for one recipient: those of policy,
 * or of the section thresholds that names its domain or the mailbox itself.
 * Internal to filters/; made with the pipeline, constant after that.
 */
#ifndef PW_FILTERS_THRESHOLDS_H
#define PW_FILTERS_THRESHOLDS_H

#include "config/config.h"

/* In hundredths; 0: never. */
struct pw_threshold {
	int64_t junk, hold, keep, refuse;
	const char *of; /* what set the nearest of them: "policy", a name */
};

struct pw_thresholds;

struct pw_thresholds *pw_thresholds_new(const struct pw_config *cfg);
void pw_thresholds_free(struct pw_thresholds **t);
/* MAILBOX "user@domain" in canonical form; "": those of policy. */
struct pw_threshold pw_thresholds_get(const struct pw_thresholds *t,
    const char *mailbox);

#endif
