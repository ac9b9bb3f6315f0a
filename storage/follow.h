/* SPDX-License-Identifier: ISC */
/*
 * The follower: sees what readers do in the Maildirs (inotify, and a periodic
 * rescan for what inotify lost) and tells the writer, so that the index says
 * what is on disk.  Store role's loop thread; directory reads that may be long
 * are done in slices or on a thread of its own.
 */
#ifndef PW_STORAGE_FOLLOW_H
#define PW_STORAGE_FOLLOW_H

#include "base/err.h"
#include "net/loop.h"
#include "storage/store.h"
#include "storage/writer.h"

struct pw_follow;

int pw_follow_open(struct pw_loop *loop, const char *mail_root,
    struct pw_accounts *accounts, struct pw_writer *writer,
    uint64_t rescan_ms, struct pw_follow **out, struct pw_err *err);
void pw_follow_close(struct pw_follow **f);
void pw_follow_set_parser(struct pw_follow *f, pw_parse_fn fn, void *host);
/* A file that we made ourselves is about to appear: its event teaches nothing
 * new, and its row may come some seconds later.  Any thread. */
void pw_follow_expect(struct pw_follow *f, struct pw_bytes base);
/* Compares one mailbox (NULL: all) with the index now. */
void pw_follow_rescan(struct pw_follow *f, const char *mailbox);
/* From now on files that a former process left in tmp/ of followed folders may
 * be removed: those with names of HOST (as pw_maildir_host() gives it).  Not
 * before all that the journal names is filed.  Any thread. */
void pw_follow_may_clean(struct pw_follow *f, const char *host);
/* Mailboxes were added or removed. */
void pw_follow_accounts_changed(struct pw_follow *f);
/* True when nothing waits: all mailboxes compared since the start or the last
 * request, no change untold, no file unread.  Any thread. */
bool pw_follow_idle(struct pw_follow *f);
/* "follow.name value" lines. */
void pw_follow_status(struct pw_follow *f, struct pw_strbuf *out);

#endif
