/* SPDX-License-Identifier: ISC */
/*
 * The form of a recording, for recording.c, which makes it, and rejudge.c, which
 * plays it.  Internal to filters/.
 */
#ifndef PW_FILTERS_RECORDING_H
#define PW_FILTERS_RECORDING_H

#include "filters/pipe_int.h"

#define PW_RECORDING_VERSION 1

struct pw_recorded_side {
	int64_t now_us;
	uint8_t seed[16];
	struct pw_bytes script;
};
struct pw_recorded {
	struct pw_recorded_side session, trans;
	struct pw_failures failures; /* in the pool */
};

/* Scripts point into IN; their entries are checked when they are played.  0, or
 * -1 when it is malformed. */
int pw_recording_dec(struct pw_bytes in, struct pw_pool *pool,
    struct pw_recorded *out);
/* The fact with this number, or NULL. */
const char *pw_script_fact(uint8_t number);

#endif
