/* SPDX-License-Identifier: ISC */
/*
 * UIDs from dovecot-uidlist to the writer, each once.  Follower's thread.
 */
#include <stdlib.h>

#include "base/pool.h"
#include "storage/follow_private.h"

#define UIDS_AT_ONCE 1000

struct uids {
	const struct pw_strmap *rows;
	struct pw_follow *f;
	struct pw_ffolder *d;
	bool all;
	uint32_t max;
	uint32_t uidvalidity;
	size_t n;
	struct pw_uid_row row[UIDS_AT_ONCE];
};

static void
send_uids(struct uids *u)
{
	if (pw_writer_uids(u->f->writer, pw_bytes_of(u->d->mailbox->address),
		pw_bytes_of(u->d->name), u->uidvalidity, u->row, u->n) == 0)
		u->d->scan_due = u->d->scan_forced = true;
	u->n = 0;
}

static void
on_uid(void *arg, uint32_t uid, struct pw_bytes base)
{
	struct uids *u = arg;
	bool wanted = u->all || uid > u->d->max_uid;

	if (uid > u->max)
		u->max = uid;
	if (u->rows != NULL && !u->all) {
		const struct pw_strmap_val *v =
		    pw_strmap_get(u->rows, base);
		/* Without a row yet it counts as one without a UID. */
		wanted = v == NULL || v->a != (uint64_t)uid + 1;
	}
	if (pw_strmap_del(&u->d->no_uid, base))
		wanted = true;
	if (!wanted)
		return;
	u->row[u->n++] = (struct pw_uid_row){ base, uid };
	if (u->n == UIDS_AT_ONCE)
		send_uids(u);
}

static void
nothing(void *arg, uint32_t uid, struct pw_bytes base)
{
	(void)arg;
	(void)uid;
	(void)base;
}

static uint32_t
indexed_uidvalidity(struct pw_follow *f, const struct pw_ffolder *d)
{
	struct pw_db *db = pw_follow_db(f);
	uint32_t v = 0;

	if (db == NULL)
		return 0;
	struct pw_q *q = pw_q(db, PW_Q_FOLLOW_UIDVALIDITY);
	pw_q_str(q, 1, d->mailbox->address);
	pw_q_str(q, 2, d->name);
	if (pw_q_step(q) == PW_DB_ROW)
		v = (uint32_t)pw_q_i64(q, 0);
	pw_q_reset(q);
	return v;
}

void
pw_follow_uids(struct pw_follow *f, struct pw_ffolder *d, int dir,
    const struct pw_strmap *rows)
{
	struct pw_uidlist list;
	size_t len;
	char *text = pw_scan_read(dir, "dovecot-uidlist", PW_FOLLOW_UIDLIST_MAX,
	    &len);

	d->uids_due = false;
	if (text == NULL)
		return;
	if (d->uidvalidity == 0)
		d->uidvalidity = indexed_uidvalidity(f, d);
	struct uids *u = pw_xcalloc(1, sizeof(*u));
	u->f = f;
	u->d = d;
	u->rows = rows;
	if (pw_uidlist_parse(pw_bytes(text, len), &list, nothing, NULL) == 0) {
		u->all = d->uidvalidity != list.uidvalidity;
		u->uidvalidity = list.uidvalidity;
		(void)pw_uidlist_parse(pw_bytes(text, len), &list, on_uid, u);
		if (u->n > 0 || u->all)
			send_uids(u);
		d->uidvalidity = list.uidvalidity;
		d->max_uid = u->max;
	}
	free(u);
	free(text);
}
