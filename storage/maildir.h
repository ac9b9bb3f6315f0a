/* SPDX-License-Identifier: ISC */
/*
 * Maildir++ as Dovecot keeps it: mailbox PATH below the mail root, its INBOX
 * in PATH itself, folder "A.B" in PATH/.A.B, each with tmp/, new/ and cur/.
 * Folders are opened one component at a time and never through a symbolic
 * link.  Names of files never hold anything that a sender wrote.  Store role,
 * any of its threads.
 */
#ifndef PW_STORAGE_MAILDIR_H
#define PW_STORAGE_MAILDIR_H

#include "base/bytes.h"

/* Longest name of a file that we make. */
#define PW_MAILDIR_NAME_MAX 240

/* PATH is 1..8 components of 1..255 bytes, none "." or "..", no NUL. */
bool pw_maildir_path_ok(struct pw_bytes path);
/* FOLDER is "" (INBOX), or parts parted by '.', none empty, without '/', NUL
 * or controls, 200 bytes at most. */
bool pw_maildir_folder_ok(struct pw_bytes folder);
/* BASE could have been made by pw_maildir_name(): no '/', ':', NUL or control,
 * no '.' at the begin, at most PW_MAILDIR_NAME_MAX. */
bool pw_maildir_base_ok(struct pw_bytes base);

/* An open folder; -1 where not open. */
struct pw_maildir {
	int tmp, new, cur;
};
#define PW_MAILDIR_NONE ((struct pw_maildir){ -1, -1, -1 })

/*
 * Opens tmp/ and new/ (and cur/ with CUR) of FOLDER of mailbox PATH below
 * ROOT.  With MAKE, what is missing is made.  0, or -1 and errno (EINVAL: not
 * a path or folder).
 */
int pw_maildir_open(int root, struct pw_bytes path, struct pw_bytes folder,
    bool make, bool cur, struct pw_maildir *out);
void pw_maildir_close(struct pw_maildir *m);
/* Syncs new/ and every folder above it up to ROOT. 0, or -1 and errno. */
int pw_maildir_sync(int root, struct pw_bytes path, struct pw_bytes folder);

/* What in HOST may not stand in a file name is left out; at most 100 bytes to
 * OUT. */
void pw_maildir_host(char out[101], struct pw_bytes host);
/*
 * A new unique base name to OUT; its length:
 *   <sec>.M<usec>P<pid>_<count>_<random>.<host>,S=<size>,W=<vsize>
 * Unique on this host even when the clock is set back or a pid comes again.
 */
size_t pw_maildir_name(char out[PW_MAILDIR_NAME_MAX + 1], int64_t us,
    const char *host, uint64_t size, uint64_t vsize);
/* NAME without ":2,flags". */
struct pw_bytes pw_maildir_base(struct pw_bytes name);

/*
 * Calls FN for each file in new/ and cur/ of all folders of mailbox PATH until
 * it returns non-zero.  A folder that vanishes meanwhile is passed over; a
 * mailbox that does not exist is empty.  0, FN's value, or -1 and errno.
 */
typedef int (*pw_maildir_fn)(void *arg, const char *folder, bool in_new,
    const char *name);
int pw_maildir_walk(int root, struct pw_bytes path, pw_maildir_fn fn,
    void *arg);
/* Removes files from tmp/ of M whose names look like pw_maildir_name()'s for
 * HOST, but for which KEEP (may be NULL) is false; it is told which process
 * made the name, and when.  How many went; -1 and errno. */
typedef bool (*pw_maildir_keep_fn)(void *arg, const char *name, long pid,
    int64_t made_s);
int pw_maildir_clean(const struct pw_maildir *m, const char *host,
    pw_maildir_keep_fn keep, void *arg);

#endif
