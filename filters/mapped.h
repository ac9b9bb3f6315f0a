/* SPDX-License-Identifier: ISC */
/*
 * A message's file in memory, for reading.  Internal to filters/.
 */
#ifndef PW_FILTERS_MAPPED_H
#define PW_FILTERS_MAPPED_H

#include <stdbool.h>
#include <stddef.h>

struct pw_mapped {
	void *base;
	size_t len;
};

/* Maps FD whole; empty files and -1 give no mapping and no error.  -1 with
 * errno. */
int pw_mapped_open(struct pw_mapped *m, int fd);
/* Harmless when nothing is mapped. */
void pw_mapped_close(struct pw_mapped *m);
/* True when FD lies in memory and can neither change nor shrink: then reading
 * it neither waits for a disk nor faults. */
bool pw_mapped_is_sealed(int fd);

#endif
