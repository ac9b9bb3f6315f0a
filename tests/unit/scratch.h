/* SPDX-License-Identifier: ISC */
/*
 * Folders for the suites of the store.  They sync much: TMPDIR may name a file
 * system in memory, since what a real disk and its loss do to the store is
 * tested by tests/storage and tests/system.
 */
#ifndef PW_TESTS_SCRATCH_H
#define PW_TESTS_SCRATCH_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* Makes a fresh folder below TMPDIR (else /tmp) and writes its path. */
static inline void
scratch_folder(char *path, size_t size, const char *name)
{
	const char *top = getenv("TMPDIR");
	int n = snprintf(path, size, "%s/%s.XXXXXX",
	    top != NULL && top[0] == '/' ? top : "/tmp", name);

	ck_assert_int_lt(n, (int)size);
	ck_assert_ptr_nonnull(mkdtemp(path));
}

#endif
