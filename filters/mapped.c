/* SPDX-License-Identifier: ISC */
/* See mapped.h.  In front, for stages that an admin has moved there from
 * scan. */
#include "filters/mapped.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

int
pw_mapped_open(struct pw_mapped *m, int fd)
{
	struct stat st;

	*m = (struct pw_mapped){ NULL, 0 };
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0 || st.st_size < 0)
		return -1;
	if (st.st_size == 0)
		return 0;
	m->base = mmap(NULL, (size_t)st.st_size, PROT_READ,
	    MAP_SHARED | MAP_POPULATE, fd, 0);
	if (m->base == MAP_FAILED) {
		m->base = NULL;
		return -1;
	}
	m->len = (size_t)st.st_size;
	return 0;
}

void
pw_mapped_close(struct pw_mapped *m)
{
	if (m->base != NULL)
		(void)munmap(m->base, m->len);
	*m = (struct pw_mapped){ NULL, 0 };
}

bool
pw_mapped_is_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & (F_SEAL_SHRINK | F_SEAL_WRITE)) ==
	    (F_SEAL_SHRINK | F_SEAL_WRITE);
}
