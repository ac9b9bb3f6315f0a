/* SPDX-License-Identifier: ISC */
/*
 * Channels between roles.  Master makes each pair when both ends are ready and
 * hands it to them; when an end was started again, so is the channel, and when
 * one was lost for lack of descriptors, it is made again.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/pool.h"
#include "main/master.h"
#include "net/codec.h"

/* Soon enough for mail that waits; rarely enough when there is no descriptor
 * for a long time. */
#define MEND_MS 500
#define MEND_MAX 8192u

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

static int
hand_over(struct pw_proc *to, const struct pw_proc *peer, unsigned lane, int fd)
{
	struct pw_enc e;
	int rc;

	pw_enc_init(&e, 64);
	pw_enc_u8(&e, (uint8_t)peer->id);
	pw_enc_u16(&e, (uint16_t)peer->number);
	pw_enc_u16(&e, (uint16_t)lane);
	rc = pw_ipc_send(to->ipc, PW_MSG_PEER, 0, pw_enc_done(&e), &fd, 1);
	pw_enc_free(&e);
	return rc;
}

static int
connect_lane(struct pw_proc *a, struct pw_proc *b, unsigned lane)
{
	struct pw_err err = { 0 };
	int fds[2], rc;

	rc = pw_ipc_pair(fds, &err);
	if (rc == 0) {
		rc = hand_over(a, b, lane, fds[0]);
		if (rc == 0)
			rc = hand_over(b, a, lane, fds[1]);
		(void)close(fds[0]);
		(void)close(fds[1]);
	}
	if (rc != 0)
		pw_logf(PW_LOG_ERROR, "role.peer",
		    "no channel between %s and %s for now: %s",
		    pw_role_name(a->id), pw_role_name(b->id),
		    err.text[0] != '\0' ? err.text : "cannot be handed over");
	return rc;
}

/* ---- channels to be made again --------------------------------------------- */

static void mend_due(struct pw_timer *t);

static void
mend_later(struct pw_master *m, pid_t a, pid_t b, unsigned lane)
{
	for (size_t i = 0; i < m->nmend; i++) {
		const struct pw_mend *x = &m->mend[i];

		if (x->lane == lane && ((x->a == a && x->b == b) ||
					   (x->a == b && x->b == a)))
			return;
	}
	if (m->nmend == MEND_MAX) {
		pw_logf(PW_LOG_ERROR, "role.peer",
		    "too many channels are to be made again");
		return;
	}
	if (m->nmend == m->mend_cap) {
		m->mend_cap = m->mend_cap > 0 ? m->mend_cap * 2 : 16;
		m->mend = pw_xrealloc(m->mend, m->mend_cap, sizeof(*m->mend));
	}
	if (m->nmend == 0)
		pw_timer_set(m->loop, &m->mend_timer, MEND_MS, mend_due);
	m->mend[m->nmend++] = (struct pw_mend){ a, b, lane };
}

static struct pw_proc *
ready_proc(const struct pw_master *m, pid_t pid)
{
	for (size_t i = 0; i < m->nproc; i++)
		if (m->proc[i]->pid == pid && m->proc[i]->ready &&
		    m->proc[i]->ipc != NULL)
			return m->proc[i];
	return NULL;
}

/* Each is tried once; what fails is put on the list anew. */
static void
mend_due(struct pw_timer *t)
{
	struct pw_master *m = (struct pw_master *)((char *)t -
	    offsetof(struct pw_master, mend_timer));
	struct pw_mend *list = m->mend;
	size_t n = m->nmend;

	m->mend = NULL;
	m->nmend = m->mend_cap = 0;
	for (size_t i = 0; i < n && !m->stopping; i++) {
		struct pw_proc *a = ready_proc(m, list[i].a);
		struct pw_proc *b = ready_proc(m, list[i].b);

		if (a == NULL || b == NULL || !linked(m, a, b))
			continue;
		if (connect_lane(a, b, list[i].lane) != 0)
			mend_later(m, a->pid, b->pid, list[i].lane);
		else
			pw_logf(PW_LOG_NOTICE, "role.peer",
			    "the channel between %s and %s is made again",
			    pw_role_name(a->id), pw_role_name(b->id));
	}
	free(list);
}

void
pw_connect_lost(struct pw_proc *p, struct pw_frame *frame)
{
	struct pw_master *m = p->m;
	struct pw_dec d;
	unsigned peer, number, lane;

	pw_dec_init(&d, frame->body);
	peer = pw_dec_u8(&d);
	number = pw_dec_u16(&d);
	lane = pw_dec_u16(&d);
	if (pw_dec_end(&d) != 0 || m->stopping)
		return;
	/* One that ended is not ready, or soon has another process id. */
	for (size_t i = 0; i < m->nproc; i++) {
		struct pw_proc *q = m->proc[i];

		if (q->id == (enum pw_role_id)peer && q->number == number &&
		    q->ready && linked(m, p, q) &&
		    (lane < p->lanes || lane < q->lanes))
			mend_later(m, p->pid, q->pid, lane);
	}
}

/* ---- new processes ----------------------------------------------------------- */

static void
connect_pair(struct pw_proc *a, struct pw_proc *b)
{
	unsigned lanes = a->lanes > b->lanes ? a->lanes : b->lanes;

	for (unsigned lane = 0; lane < lanes; lane++)
		if (connect_lane(a, b, lane) != 0)
			mend_later(a->m, a->pid, b->pid, lane);
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
