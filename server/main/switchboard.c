/* SPDX-License-Identifier: ISC */
/*
 * Channels between roles.  Master makes each pair when both ends are ready and
 * hands it to them; when an end was started again, so is the channel.
 */
#include <unistd.h>

#include "base/log.h"
#include "main/master.h"
#include "net/codec.h"

static bool
is_pair(const struct pw_proc *a, enum pw_role_id x, const struct pw_proc *b,
    enum pw_role_id y)
{
	return (a->id == x && b->id == y) || (a->id == y && b->id == x);
}

/* Who speaks with whom. */
static bool
linked(const struct pw_master *m, const struct pw_proc *a,
    const struct pw_proc *b)
{
	const struct pw_proc *scan = a->id == PW_RID_SCAN ? a : b;

	if (is_pair(a, PW_RID_FRONT, b, PW_RID_STORE) ||
	    is_pair(a, PW_RID_FRONT, b, PW_RID_RESOLVE))
		return true;
	if (is_pair(a, PW_RID_FRONT, b, PW_RID_SCAN))
		return a->generation == b->generation;
	/* Files for the index never stand before envelope work. */
	if (is_pair(a, PW_RID_STORE, b, PW_RID_SCAN))
		return scan->number > 0 && scan->generation == m->gen[0].number;
	return false;
}

static void
hand_over(struct pw_proc *to, const struct pw_proc *peer, unsigned lane, int fd)
{
	struct pw_enc e;

	pw_enc_init(&e, 64);
	pw_enc_u8(&e, (uint8_t)peer->id);
	pw_enc_u16(&e, (uint16_t)peer->number);
	pw_enc_u16(&e, (uint16_t)lane);
	if (pw_ipc_send(to->ipc, PW_MSG_PEER, 0, pw_enc_done(&e), &fd, 1) != 0)
		pw_logf(PW_LOG_ERROR, "role.peer",
		    "no channel between %s and %s", pw_role_name(to->id),
		    pw_role_name(peer->id));
	pw_enc_free(&e);
}

static void
connect_pair(struct pw_proc *a, struct pw_proc *b)
{
	unsigned lanes = a->lanes > b->lanes ? a->lanes : b->lanes;

	for (unsigned lane = 0; lane < lanes; lane++) {
		struct pw_err err = { 0 };
		int fds[2];

		if (pw_ipc_pair(fds, &err) != 0) {
			pw_logf(PW_LOG_ERROR, "role.peer", "%s", err.text);
			return;
		}
		hand_over(a, b, lane, fds[0]);
		hand_over(b, a, lane, fds[1]);
		(void)close(fds[0]);
		(void)close(fds[1]);
	}
}

void
pw_connect_all(struct pw_proc *p)
{
	struct pw_master *m = p->m;

	for (size_t i = 0; i < m->nproc; i++) {
		struct pw_proc *q = m->proc[i];

		if (q != p && q->ready && q->ipc != NULL && p->ipc != NULL &&
		    linked(m, p, q))
			connect_pair(p, q);
	}
}

void
pw_connect_store(struct pw_master *m)
{
	struct pw_proc *store = NULL;

	for (size_t i = 0; i < m->nproc; i++)
		if (m->proc[i]->id == PW_RID_STORE && m->proc[i]->ready)
			store = m->proc[i];
	for (size_t i = 0; store != NULL && i < m->nproc; i++) {
		struct pw_proc *q = m->proc[i];

		if (q->id == PW_RID_SCAN && q->ready && q->ipc != NULL &&
		    linked(m, store, q))
			connect_pair(store, q);
	}
}
