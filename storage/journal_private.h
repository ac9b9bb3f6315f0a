/* SPDX-License-Identifier: ISC */
/*
 * What the journal's files share: the forms on disk and
 * the structs behind journal.h.  All numbers are little endian.
 */
#ifndef PW_STORAGE_JOURNAL_PRIVATE_H
#define PW_STORAGE_JOURNAL_PRIVATE_H

#include <endian.h>
#include <pthread.h>
#include <stdatomic.h>

#include "storage/journal.h"

#define PW_BOOT_LEN 40
#define PW_JOURNAL_VERSION 1u
#define PW_SEG_MAGIC 0x67655377706a6c31u
#define PW_STATE_MAGIC 0x67655377706a7331u
#define PW_SUPER_MAGIC 0x67655377706a7531u
#define PW_REC_MAGIC 0x70775263u
/* A record for each so many bytes of a segment has a word of state; more
 * records close it. */
#define PW_BYTES_PER_WORD 1024u
#define PW_STATE_HEAD 128u

/* At the begin of a segment's first page; the rest of the page is zero. */
struct pw_seg_disk {
	uint64_t magic;
	uint32_t version;
	uint32_t crc; /* of this struct with crc 0 */
	uint64_t seq;
	uint64_t size;
	uint64_t first_record;
	uint8_t epoch[16];
	char boot[PW_BOOT_LEN];
};

struct pw_state_disk {
	uint64_t magic;
	uint32_t adopted; /* begun after the segment was written */
	uint32_t crc;
	uint64_t seq;
	uint8_t epoch[16];
	char boot[PW_BOOT_LEN];
};

struct pw_super_disk {
	uint64_t magic;
	uint32_t version;
	uint32_t crc;
	uint64_t generation;
	uint64_t tail;        /* segments below this sequence are free */
	uint64_t next_record; /* no record had this number or a higher one */
};

struct pw_rec_disk {
	uint32_t magic;
	uint32_t crc; /* of this struct with crc 0, begun with the epoch's */
	uint64_t segment;
	uint64_t seq;
	uint32_t len; /* of the payload */
	uint32_t payload_crc;
	uint8_t zero[32];
};
_Static_assert(sizeof(struct pw_rec_disk) == PW_JOURNAL_HEAD, "record head");

enum pw_seg_kind { PW_SEG_FREE, PW_SEG_ACTIVE, PW_SEG_CLOSED, PW_SEG_DEAD };

struct pw_segment {
	unsigned number; /* in its name */
	int fd, state_fd;
	uint64_t size;
	/* Of what is in it now. */
	uint64_t seq; /* 0: nothing that counts */
	uint64_t first_record;
	uint8_t epoch[16];
	uint32_t epoch_crc;
	char boot[PW_BOOT_LEN];
	bool adopted;
	/* The commit thread's. */
	uint64_t used; /* where the next batch begins */
	uint32_t records;
	/* Under the journal's lock. */
	enum pw_seg_kind kind;
	uint32_t unsettled;
	uint64_t ticket;
	uint64_t first_ms;
	bool owed, suspect;
};

#define PW_SEGMENTS_MAX 128u

struct pw_journal {
	int dir, lock_fd, super_fd;
	uint64_t segment_size;
	char boot[PW_BOOT_LEN];
	pthread_mutex_t lock;
	pthread_cond_t freed;
	struct pw_segment *seg[PW_SEGMENTS_MAX];
	size_t nseg, want; /* there are; there should be */
	struct pw_segment *live[PW_SEGMENTS_MAX]; /* at open */
	size_t nlive;
	struct pw_segment *active;
	bool appending;
	bool fresh;        /* the next segment must be a new file */
	uint64_t retry_ms; /* no new file before this time */
	uint64_t suspect_until_ms;
	uint64_t generation, tail;
	uint64_t next_segment;
	unsigned next_number; /* of a new file */
	_Atomic uint64_t next_record;
	_Atomic int trouble; /* enum pw_jresult */
	_Atomic uint64_t full_since_ms;
	_Atomic uint64_t batches, records, bytes;
	char *page; /* of append: a header, and a page of zeros */
};

/* ---- segment.c ---- */

/* Makes the files of a new segment, zeros to the end and synced. */
int pw_segment_make(struct pw_journal *j, unsigned number,
    struct pw_segment **out, struct pw_err *err);
/* Opens the files of one that is there and reads its header. */
int pw_segment_open(struct pw_journal *j, unsigned number,
    struct pw_segment **out, struct pw_err *err);
void pw_segment_close(struct pw_segment **s);
/* Gives it a new life: sequence, epoch, boot id; writes the state file's
 * header; its own header goes out with the first batch. */
int pw_segment_activate(struct pw_journal *j, struct pw_segment *s);
/* The header page to write. */
void pw_segment_header(const struct pw_segment *s, char *page);
/* Its file to *.dead, or away when there are four of those. */
void pw_segment_bury(struct pw_journal *j, struct pw_segment *s);
/* Its files away: it has not the size that is wanted now. */
void pw_segment_remove(struct pw_journal *j, struct pw_segment *s);
int pw_segment_state_begin(struct pw_journal *j, struct pw_segment *s,
    bool adopted);
/* True when the state file belongs to this boot and this life. */
bool pw_segment_state_known(const struct pw_journal *j, struct pw_segment *s);
uint32_t pw_segment_words(const struct pw_segment *s);
uint64_t pw_segment_word(uint64_t seq, enum pw_jstate state);
uint32_t pw_crc(uint32_t crc, const void *p, size_t n);

#endif
