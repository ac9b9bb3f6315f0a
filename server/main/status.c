/* SPDX-License-Identifier: ISC */
/*
 * `postward status`: master asks every role and gathers the lines.
 */
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "main/master.h"
#include "net/codec.h"

#define WAIT_MS 2000

struct status_query {
	struct pw_master *m;
	uint64_t admin_id, id;
	size_t open;
	struct pw_strbuf text;
};

static void
finish(struct pw_master *m)
{
	struct status_query *q = m->status;
	struct pw_enc e;

	pw_timer_stop(&m->status_timer);
	m->status = NULL;
	pw_enc_init(&e, PW_IPC_MAX_BODY);
	pw_enc_bytes(&e, pw_strbuf_bytes(&q->text));
	for (size_t i = 0; i < m->nproc; i++)
		if (m->proc[i]->id == PW_RID_STORE && m->proc[i]->ipc != NULL)
			(void)pw_ipc_send(m->proc[i]->ipc, PW_MSG_STATUS_ALL,
			    q->admin_id, pw_enc_done(&e), NULL, 0);
	pw_enc_free(&e);
	pw_strbuf_free(&q->text);
	free(q);
}

static void
late(struct pw_timer *t)
{
	finish((struct pw_master *)((char *)t -
	    offsetof(struct pw_master, status_timer)));
}

static void
add_master(struct pw_master *m, struct pw_strbuf *out)
{
	pw_strbuf_addf(out, "master.version %s\nmaster.generation %u\n",
	    PW_VERSION, m->gen[0].number);
	pw_strbuf_addf(out, "master.config %s\n", m->gen[0].cfg->file);
	for (size_t i = 0; i < m->nproc; i++) {
		const struct pw_proc *p = m->proc[i];

		pw_strbuf_addf(out, "role.%s.%u.%u %s pid=%ld\n",
		    pw_role_name(p->id), p->generation, p->number,
		    p->draining      ? "draining"
			: p->ready   ? "ready"
			: p->pid > 0 ? "starting"
				     : "waiting",
		    (long)p->pid);
	}
}

void
pw_status_all(struct pw_master *m, uint64_t admin_id)
{
	struct status_query *q;

	if (m->status != NULL)
		finish(m); /* the earlier one gets what there is */
	q = pw_xcalloc(1, sizeof(*q));
	q->m = m;
	q->admin_id = admin_id;
	q->id = ++m->status_next;
	pw_strbuf_init(&q->text, 120 * 1024);
	add_master(m, &q->text);
	m->status = q;
	for (size_t i = 0; i < m->nproc; i++)
		if (m->proc[i]->ipc != NULL && m->proc[i]->ready &&
		    pw_ipc_send(m->proc[i]->ipc, PW_MSG_STATUS, q->id,
			PW_BYTES_NONE, NULL, 0) == 0)
			q->open++;
	if (q->open == 0)
		finish(m);
	else
		pw_timer_set(m->loop, &m->status_timer, WAIT_MS, late);
}

/* Each line of a role gets its name before it. */
static void
add_lines(struct pw_strbuf *out, const struct pw_proc *p, struct pw_bytes text)
{
	while (text.len > 0) {
		ptrdiff_t nl = pw_bytes_chr(text, '\n');
		size_t n = nl >= 0 ? (size_t)nl : text.len;

		pw_strbuf_addf(out, "%s", pw_role_name(p->id));
		if (p->id == PW_RID_SCAN)
			pw_strbuf_addf(out, "-%u", p->number);
		if (p->draining)
			pw_strbuf_adds(out, "-draining");
		pw_strbuf_addc(out, '.');
		pw_strbuf_add(out, pw_bytes_sub(text, 0, n));
		pw_strbuf_addc(out, '\n');
		text = pw_bytes_sub(text, n + 1, SIZE_MAX);
	}
}

void
pw_status_answer(struct pw_proc *p, struct pw_frame *f)
{
	struct pw_master *m = p->m;
	struct status_query *q = m->status;
	struct pw_dec d;
	struct pw_bytes text;

	if (q == NULL || f->id != q->id || q->open == 0)
		return;
	pw_dec_init(&d, f->body);
	text = pw_dec_bytes(&d);
	if (pw_dec_end(&d) == 0)
		add_lines(&q->text, p, text);
	if (--q->open == 0)
		finish(m);
}
