/* SPDX-License-Identifier: ISC */
/*
 * The files of one journal segment: making them once (zeros, so that later
 * overwriting touches no metadata), their headers, the words of state, and
 * their burial when the disk refused them.  Called by journal.c.
 */
#include "storage/journal_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/pool.h"
#include "storage/sysio.h"

#define ZEROS (256u * 1024)
#define NAME_LEN 32
/* Segments that are kept for the admin. */
#define DEAD_MAX 4u

uint32_t
pw_crc(uint32_t crc, const void *p, size_t n)
{
	return (uint32_t)crc32_z(crc, p, n);
}

static void
file_name(char out[NAME_LEN], const char *kind, unsigned number,
    const char *end)
{
	(void)snprintf(out, NAME_LEN, "%s.%04u%s", kind, number, end);
}

uint32_t
pw_segment_words(const struct pw_segment *s)
{
	return (uint32_t)(s->size / PW_BYTES_PER_WORD);
}

/* ---- making --------------------------------------------------------------- */

static int
fill(int fd, uint64_t size)
{
	static const char zeros[ZEROS];

	for (uint64_t at = 0; at < size;) {
		size_t n = size - at < ZEROS ? (size_t)(size - at) : ZEROS;
		if (pw_sys_pwrite(fd, zeros, n, (off_t)at) < 0)
			return -1;
		at += n;
	}
	return pw_sys->fsync(fd);
}

/* A file of SIZE zeros under NAME, synced; its descriptor or -1. */
static int
make_file(struct pw_journal *j, const char *kind, unsigned number,
    uint64_t size)
{
	char name[NAME_LEN], tmp[NAME_LEN];
	int fd;

	file_name(name, kind, number, "");
	file_name(tmp, kind, number, ".new");
	fd = pw_sys->openat(j->dir, tmp,
	    O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	if (fill(fd, size) == 0 &&
	    pw_sys->renameat(j->dir, tmp, j->dir, name, 0) == 0)
		return fd;
	int saved = errno;
	(void)pw_sys->unlinkat(j->dir, tmp, 0);
	pw_sys_close(&fd);
	errno = saved;
	return -1;
}

static struct pw_segment *
segment_new(unsigned number, uint64_t size)
{
	struct pw_segment *s = pw_xcalloc(1, sizeof(*s));

	s->number = number;
	s->size = size;
	s->fd = s->state_fd = -1;
	return s;
}

static uint64_t
state_size(const struct pw_segment *s)
{
	return PW_STATE_HEAD + 8u * (uint64_t)pw_segment_words(s);
}

int
pw_segment_make(struct pw_journal *j, unsigned number, struct pw_segment **out,
    struct pw_err *err)
{
	struct pw_segment *s = segment_new(number, j->segment_size);

	*out = NULL;
	/* The state file first: a segment that is there has one. */
	s->state_fd = make_file(j, "state", number, state_size(s));
	if (s->state_fd >= 0)
		s->fd = make_file(j, "seg", number, s->size);
	if (s->fd < 0 || pw_sys->fsync(j->dir) < 0) {
		(void)pw_err_sys(err, "journal: making segment %u of %llu "
				      "bytes", number,
		    (unsigned long long)s->size);
		pw_segment_close(&s);
		return -1;
	}
	*out = s;
	return 0;
}

void
pw_segment_close(struct pw_segment **s)
{
	if (*s == NULL)
		return;
	pw_sys_close(&(*s)->fd);
	pw_sys_close(&(*s)->state_fd);
	free(*s);
	*s = NULL;
}

/* ---- headers -------------------------------------------------------------- */

/* Boot ids are compared as a whole; a longer one is cut. */
static void
boot_copy(char out[PW_BOOT_LEN], const char *boot)
{
	memset(out, 0, PW_BOOT_LEN);
	(void)snprintf(out, PW_BOOT_LEN, "%s", boot);
}

static void
read_header(struct pw_segment *s, const struct pw_seg_disk *in)
{
	struct pw_seg_disk d = *in;
	uint32_t crc = le32toh(d.crc);

	d.crc = 0;
	if (le64toh(d.magic) != PW_SEG_MAGIC ||
	    le32toh(d.version) != PW_JOURNAL_VERSION ||
	    pw_crc(0, &d, sizeof(d)) != crc || le64toh(d.size) != s->size)
		return;
	s->seq = le64toh(d.seq);
	s->first_record = le64toh(d.first_record);
	memcpy(s->epoch, d.epoch, sizeof(s->epoch));
	s->epoch_crc = pw_crc(0, s->epoch, sizeof(s->epoch));
	d.boot[PW_BOOT_LEN - 1] = '\0';
	boot_copy(s->boot, d.boot);
}

int
pw_segment_open(struct pw_journal *j, unsigned number, struct pw_segment **out,
    struct pw_err *err)
{
	const int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC;
	struct pw_segment *s = segment_new(number, 0);
	struct pw_seg_disk head;
	char name[NAME_LEN];
	struct stat st;

	*out = NULL;
	file_name(name, "seg", number, "");
	s->fd = pw_sys->openat(j->dir, name, flags, 0);
	if (s->fd < 0 || pw_sys->fstat(s->fd, &st) < 0)
		goto fail;
	s->size = (uint64_t)st.st_size;
	file_name(name, "state", number, "");
	s->state_fd = pw_sys->openat(j->dir, name, flags, 0);
	/* Lost with a power cut, or by hand: nothing is known then. */
	if (s->state_fd < 0 && errno == ENOENT)
		s->state_fd = make_file(j, "state", number, state_size(s));
	if (s->state_fd < 0)
		goto fail;
	if (s->size >= PW_JOURNAL_PAGE) {
		if (pw_sys_pread(s->fd, &head, sizeof(head), 0) < 0 &&
		    pw_sys_pread(s->fd, &head, sizeof(head), 0) < 0)
			goto fail;
		read_header(s, &head);
	}
	*out = s;
	return 0;
fail:
	(void)pw_err_sys(err, "journal: %s", name);
	pw_segment_close(&s);
	return -1;
}

void
pw_segment_header(const struct pw_segment *s, char *page)
{
	struct pw_seg_disk d = { 0 };

	d.magic = htole64(PW_SEG_MAGIC);
	d.version = htole32(PW_JOURNAL_VERSION);
	d.seq = htole64(s->seq);
	d.size = htole64(s->size);
	d.first_record = htole64(s->first_record);
	memcpy(d.epoch, s->epoch, sizeof(d.epoch));
	memcpy(d.boot, s->boot, sizeof(d.boot));
	d.crc = htole32(pw_crc(0, &d, sizeof(d)));
	memset(page, 0, PW_JOURNAL_PAGE);
	memcpy(page, &d, sizeof(d));
}

int
pw_segment_activate(struct pw_journal *j, struct pw_segment *s)
{
	s->seq = j->next_segment++;
	s->first_record = atomic_load(&j->next_record);
	pw_random(s->epoch, sizeof(s->epoch));
	s->epoch_crc = pw_crc(0, s->epoch, sizeof(s->epoch));
	memcpy(s->boot, j->boot, sizeof(s->boot));
	s->used = PW_JOURNAL_PAGE;
	s->records = 0;
	return pw_segment_state_begin(j, s, false);
}

/* ---- words of state ------------------------------------------------------- */

/*
 * A word names its record, so that words of a former life mean nothing, and
 * its state twice over.
 */
uint64_t
pw_segment_word(uint64_t seq, enum pw_jstate state)
{
	static const uint8_t code[] = { [PW_JS_NONE] = 0x00,
		[PW_JS_STAGED] = 0x5a, [PW_JS_CANCELLED] = 0xa5 };

	return state == PW_JS_NONE ? 0 : seq << 8 | code[state];
}

static void
state_head(const struct pw_journal *j, const struct pw_segment *s,
    bool adopted, struct pw_state_disk *d)
{
	memset(d, 0, sizeof(*d));
	d->magic = htole64(PW_STATE_MAGIC);
	d->adopted = htole32(adopted ? 1 : 0);
	d->seq = htole64(s->seq);
	memcpy(d->epoch, s->epoch, sizeof(d->epoch));
	memcpy(d->boot, j->boot, sizeof(d->boot));
	d->crc = htole32(pw_crc(0, d, sizeof(*d)));
}

/* When ADOPTED, words written before this boot are cleared first; in a new
 * life of the segment no old word can be mistaken. */
int
pw_segment_state_begin(struct pw_journal *j, struct pw_segment *s,
    bool adopted)
{
	struct pw_state_disk d = { 0 };

	if (adopted) {
		char *zero = pw_xcalloc(1, state_size(s));
		int r = pw_sys_pwrite(s->state_fd, zero, state_size(s), 0);
		free(zero);
		if (r < 0)
			return -1;
	}
	state_head(j, s, adopted, &d);
	s->adopted = adopted;
	return pw_sys_pwrite(s->state_fd, &d, sizeof(d), 0);
}

bool
pw_segment_state_known(const struct pw_journal *j, struct pw_segment *s)
{
	struct pw_state_disk d, want;

	/* Twice: what follows from not knowing is costly. */
	if (pw_sys_pread(s->state_fd, &d, sizeof(d), 0) < 0 &&
	    pw_sys_pread(s->state_fd, &d, sizeof(d), 0) < 0)
		return false;
	for (int adopted = 0; adopted < 2; adopted++) {
		state_head(j, s, adopted != 0, &want);
		if (memcmp(&d, &want, sizeof(d)) == 0) {
			s->adopted = adopted != 0;
			return true;
		}
	}
	return false;
}

/* ---- ends ----------------------------------------------------------------- */

static int
count_dead(void *arg, const char *name)
{
	size_t n = strlen(name);

	if (n > 5 && strcmp(name + n - 5, ".dead") == 0)
		(*(unsigned *)arg)++;
	return 0;
}

void
pw_segment_bury(struct pw_journal *j, struct pw_segment *s)
{
	char name[NAME_LEN], dead[NAME_LEN];
	unsigned n = 0;

	(void)pw_sys_list(j->dir, count_dead, &n);
	file_name(name, "seg", s->number, "");
	file_name(dead, "seg", s->number, ".dead");
	if (n < DEAD_MAX)
		(void)pw_sys->renameat(j->dir, name, j->dir, dead, 0);
	else
		(void)pw_sys->unlinkat(j->dir, name, 0);
	file_name(name, "state", s->number, "");
	(void)pw_sys->unlinkat(j->dir, name, 0);
	(void)pw_sys->fsync(j->dir);
}

void
pw_segment_remove(struct pw_journal *j, struct pw_segment *s)
{
	char name[NAME_LEN];

	file_name(name, "seg", s->number, "");
	(void)pw_sys->unlinkat(j->dir, name, 0);
	file_name(name, "state", s->number, "");
	(void)pw_sys->unlinkat(j->dir, name, 0);
}
