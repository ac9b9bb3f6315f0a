/* SPDX-License-Identifier: ISC */
/*
 * The reader's side of the accounts snapshot, in front: a read-only mapping,
 * looked up without allocation.  Nothing in it is trusted to be well-formed
 * beyond what the lookups check.  Any thread.
 */
#ifndef PW_STORAGE_SNAPSHOT_H
#define PW_STORAGE_SNAPSHOT_H

#include "base/err.h"
#include "base/listentry.h"
#include "base/pool.h"
#include "base/valid.h"
#include "net/listcode.h"

struct pw_snapshot;

/* Maps FD (taken over). */
int pw_snapshot_map(int fd, struct pw_snapshot **out, struct pw_err *err);
struct pw_snapshot *pw_snapshot_ref(struct pw_snapshot *s);
void pw_snapshot_unref(struct pw_snapshot **s);
uint64_t pw_snapshot_version(const struct pw_snapshot *s);

enum pw_resolve_code {
	PW_RCPT_OK = 0,
	PW_RCPT_UNKNOWN,  /* our domain, nobody there: 550 5.1.1 */
	PW_RCPT_FOREIGN,  /* not our domain: 550 5.7.1 */
	PW_RCPT_LOOP,     /* aliases in a circle or too deep (10): 550 5.4.6 */
	PW_RCPT_TOO_MANY  /* more than 1,000 mailboxes: 452 4.5.3 */
};

struct pw_dest {
	uint8_t kind; /* 0: mailbox; later LMTP and SMTP next hops */
	struct pw_bytes mailbox; /* "user@domain", in the snapshot's memory */
	struct pw_bytes path;    /* below the mail root */
	uint64_t quota;          /* bytes; 0: none */
	uint64_t usage;          /* when the snapshot was made */
};

/* Is DOMAIN (any case, U- or A-labels) one of ours? */
bool pw_snapshot_is_local(const struct pw_snapshot *s, struct pw_bytes domain);

/*
 * Where mail for LOCAL@DOMAIN goes.  LOCAL is unquoted; DELIMITERS end the
 * name of a sub-address.  Order: exact mailbox or alias, without sub-address,
 * postmaster and abuse, catch-all.  DOMAIN "" with LOCAL postmaster is the
 * configured postmaster.  Destinations are in POOL, each mailbox once.
 */
enum pw_resolve_code pw_snapshot_resolve(const struct pw_snapshot *s,
    struct pw_bytes local, struct pw_bytes domain, const char *delimiters,
    struct pw_pool *pool, struct pw_dest **dest, size_t *ndest);

/*
 * The entries of the allow and block lists that fit a message for MAILBOX
 * (canonical): addresses of the sender in any form (envelope, From), and the
 * client.  NOW is microseconds since the epoch.  Their number; those beyond MAX
 * are left out, the nearest to the recipient come first.  Texts lie in the
 * snapshot's memory.
 */
struct pw_list_query {
	struct pw_bytes mailbox;
	const struct pw_bytes *sender;
	size_t nsender;
	struct pw_ip client;
	int64_t now_us;
};
size_t pw_snapshot_lists(const struct pw_snapshot *s,
    const struct pw_list_query *q, struct pw_list_entry out[PW_LIST_HITS]);
/* There are allow entries by address or domain for MAILBOX: only the whole
 * message will tell whether one fits. */
bool pw_snapshot_may_allow(const struct pw_snapshot *s,
    struct pw_bytes mailbox);

#endif
