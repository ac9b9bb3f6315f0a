/* SPDX-License-Identifier: ISC */
/*
 * Reading a segment back: at a start, and by a checkpoint that must write
 * files anew.  Nothing is believed but what the checksum, begun with the
 * segment's epoch, covers; so neither the rest of a former lap nor a mail that
 * looks like a record is ever taken for one.
 */
#include "storage/journal_private.h"

#include <errno.h>
#include <stdlib.h>

#include "base/pool.h"
#include "storage/sysio.h"

/* A bad sector is passed over, a passing trouble is not. */
static int
read_twice(int fd, void *p, size_t n, uint64_t at)
{
	if (pw_sys_pread(fd, p, n, (off_t)at) == 0)
		return 0;
	return pw_sys_pread(fd, p, n, (off_t)at);
}

/* The header at AT; 0 or -1. */
static int
read_head(const struct pw_segment *s, uint64_t at, struct pw_rec_disk *out)
{
	struct pw_rec_disk d;
	uint32_t crc;

	if (at + sizeof(d) > s->size ||
	    read_twice(s->fd, &d, sizeof(d), at) < 0)
		return -1;
	crc = le32toh(d.crc);
	if (le32toh(d.magic) != PW_REC_MAGIC)
		return -1;
	d.crc = 0;
	if (pw_crc(s->epoch_crc, &d, sizeof(d)) != crc ||
	    le64toh(d.segment) != s->seq || le32toh(d.len) % 8 != 0 ||
	    le32toh(d.len) > s->size - at - sizeof(d))
		return -1;
	*out = d;
	return 0;
}

/* The payload that header D at AT speaks of, to BUF; 0 or -1. */
static int
read_payload(const struct pw_segment *s, uint64_t at,
    const struct pw_rec_disk *d, char *buf)
{
	uint32_t len = le32toh(d->len);

	if (read_twice(s->fd, buf, len, at + sizeof(*d)) < 0)
		return -1;
	return pw_crc(0, buf, len) == le32toh(d->payload_crc) ? 0 : -1;
}

struct scan {
	struct pw_segment *s;
	uint64_t *word;
	uint32_t nword;
	char *buf;
	size_t cap;
	uint64_t next; /* record number */
};

static enum pw_jstate
state_of(const struct scan *c, uint64_t seq)
{
	uint64_t i = seq - c->s->first_record;

	if (i >= c->nword)
		return PW_JS_NONE;
	for (int st = PW_JS_STAGED; st <= PW_JS_CANCELLED; st++)
		if (le64toh(c->word[i]) ==
		    pw_segment_word(seq, (enum pw_jstate)st))
			return (enum pw_jstate)st;
	return PW_JS_NONE;
}

/* The record at AT as *OUT, valid until the next; its room in the file or 0. */
static uint64_t
one(struct scan *c, uint64_t at, struct pw_jread *out)
{
	struct pw_rec_disk d;
	uint64_t seq;
	size_t len;

	if (read_head(c->s, at, &d) < 0)
		return 0;
	seq = le64toh(d.seq);
	len = le32toh(d.len);
	if (seq < c->next)
		return 0;
	if (len > c->cap) {
		c->cap = len + len / 2;
		c->buf = pw_xrealloc(c->buf, c->cap, 1);
	}
	if (read_payload(c->s, at, &d, c->buf) < 0)
		return 0;
	c->next = seq + 1;
	*out = (struct pw_jread){ .seg = c->s, .seq = seq, .at = at,
		.state = state_of(c, seq),
		.payload = pw_bytes(c->buf, len) };
	return sizeof(d) + len;
}

static int
walk(struct scan *c, bool unknown,
    int (*fn)(void *arg, const struct pw_jread *r), void *arg,
    unsigned *holes)
{
	uint64_t at = PW_JOURNAL_PAGE;
	bool lost = false;
	int r = 0;

	while (r == 0 && at + sizeof(struct pw_rec_disk) <= c->s->size) {
		struct pw_jread rec;
		uint64_t room = one(c, at, &rec);
		if (room == 0) {
			/* The end of a batch, or of all, or damage: batches
			 * begin with pages. */
			lost |= at % PW_JOURNAL_PAGE == 0;
			at = (at / PW_JOURNAL_PAGE + 1) * PW_JOURNAL_PAGE;
			continue;
		}
		if (lost)
			(*holes)++;
		lost = false;
		at += room;
		rec.unknown = unknown;
		r = fn(arg, &rec);
	}
	return r;
}

int
pw_journal_scan(struct pw_journal *j, struct pw_segment *seg,
    int (*fn)(void *arg, const struct pw_jread *r), void *arg,
    unsigned *holes, struct pw_err *err)
{
	struct scan c = { .s = seg, .nword = pw_segment_words(seg),
		.next = seg->first_record };
	bool known = pw_segment_state_known(j, seg);
	int r;

	c.word = pw_xcalloc(c.nword, sizeof(c.word[0]));
	if (known && read_twice(seg->state_fd, c.word, 8u * (size_t)c.nword,
			 PW_STATE_HEAD) < 0) {
		r = pw_err_sys(err, "journal: state.%04u", seg->number);
	} else {
		r = walk(&c, !known || seg->adopted, fn, arg, holes);
		if (c.next > atomic_load(&j->next_record))
			atomic_store(&j->next_record, c.next);
	}
	free(c.buf);
	free(c.word);
	return r;
}

struct pw_bytes
pw_journal_read(struct pw_segment *seg, uint64_t at)
{
	struct pw_rec_disk d;
	char *buf;

	if (read_head(seg, at, &d) < 0)
		return PW_BYTES_NONE;
	buf = pw_xrealloc(NULL, le32toh(d.len), 1);
	if (read_payload(seg, at, &d, buf) == 0)
		return pw_bytes(buf, le32toh(d.len));
	free(buf);
	return PW_BYTES_NONE;
}

int
pw_journal_adopt(struct pw_journal *j, struct pw_segment *seg)
{
	if (pw_segment_state_known(j, seg))
		return 0;
	return pw_segment_state_begin(j, seg, true);
}

int
pw_journal_mark_read(struct pw_segment *seg, uint64_t seq,
    enum pw_jstate state)
{
	uint64_t i = seq - seg->first_record;
	uint64_t word = htole64(pw_segment_word(seq, state));

	if (i >= pw_segment_words(seg)) {
		errno = ERANGE;
		return -1;
	}
	return pw_sys_pwrite(seg->state_fd, &word, sizeof(word),
	    (off_t)(PW_STATE_HEAD + 8 * i));
}

void
pw_journal_unsettle(struct pw_journal *j, struct pw_segment *seg)
{
	(void)pthread_mutex_lock(&j->lock);
	seg->unsettled++;
	(void)pthread_mutex_unlock(&j->lock);
}
