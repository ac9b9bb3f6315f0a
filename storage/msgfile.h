/* SPDX-License-Identifier: ISC */
/*
 * The form of a message in its file.  A message whose lines all end in CRLF is
 * filed with LF, as readers of Maildir expect; one that holds a CR or LF by
 * itself is filed as it came, or its bytes could not be told any more.  Which
 * of the two it is, the first line end of the file tells, since the fields
 * that we put in front end in the same way.  Cuts are left out of both.
 *
 * Pure functions, but for pw_msgfile_scan() and _copy(), which read a
 * descriptor by pread().  Writer threads of the store role.
 */
#ifndef PW_STORAGE_MSGFILE_H
#define PW_STORAGE_MSGFILE_H

#include "base/bytes.h"
#include "net/meta.h"

struct pw_msgform {
	bool lf;        /* LF line ends, else as it came */
	uint64_t size;  /* octets of the file (or of this part of it) */
	uint64_t vsize; /* the same with every line end as CRLF, which is what
			 * Dovecot sends: the W= of the file's name */
};

/* What is left of SIZE bytes without the cuts: piece I (rising from 0) in
 * *FROM and *LEN; false when there are no more.  Empty pieces do not occur;
 * cuts that leave the message or overlap are clipped. */
bool pw_msgfile_piece(const struct pw_cut *cut, size_t ncut, uint64_t size,
    size_t i, uint64_t *from, uint64_t *len);

/*
 * The file form of message SRC without its cuts to OUT, which has room for
 * SRC.len bytes and does not overlap it; how it came out in *FORM.
 */
void pw_msgfile_body(char *out, struct pw_bytes src, const struct pw_cut *cut,
    size_t ncut, struct pw_msgform *form);
/* PREFIX (CRLF line ends) in the form that FORM->lf says, to OUT (room for
 * PREFIX.len); its sizes are added to FORM's. Returns the length. */
size_t pw_msgfile_prefix(char *out, struct pw_bytes prefix,
    struct pw_msgform *form);

/* The same for a message in a descriptor that is too large for memory: one
 * reading for the form, then one for each file.  BUF of N bytes (at least 2)
 * is scratch. */
int pw_msgfile_scan(int fd, uint64_t size, const struct pw_cut *cut,
    size_t ncut, char *buf, size_t n, struct pw_msgform *form);
/* Writes the body to OUT's position; 0, or -1 and errno.  HALF is scratch of
 * N bytes too. */
int pw_msgfile_copy(int out, int fd, uint64_t size, const struct pw_cut *cut,
    size_t ncut, bool lf, char *buf, char *half, size_t n);

#endif
