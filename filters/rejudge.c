/* SPDX-License-Identifier: ISC */
/*
 * Plays a recording: a session and a transaction of its own on the pipeline,
 * told what they were told then.  In the process that judges again, on its
 * loop's thread; the recording comes from the records and is checked.
 */
#include <stdlib.h>

#include "filters/recording.h"

struct pw_rejudge {
	struct pw_pipe *pipe;
	struct pw_pool *pool;
	struct pw_recorded rec;
	struct pw_dec script; /* the one being played */
	bool in_trans, prdr;
	struct pw_bytes rcpt[PW_RCPT_FACTS]; /* as they were given, in order */
	size_t nrcpt;
	int fd;
	uint64_t size;
	const struct pw_pipe_result *result;
	pw_rejudge_cb done;
	void *arg;
};

static void go_on(void *arg);

/* True: the phase has ended already. */
static bool
play_phase(struct pw_rejudge *r, uint8_t phase)
{
	return pw_pipe_phase(r->pipe, (enum pw_phase)phase, go_on, r) !=
	    PW_AGAIN;
}

static void
play_message(struct pw_rejudge *r)
{
	uint64_t size = pw_dec_u64(&r->script);
	uint64_t header_len = pw_dec_u64(&r->script);

	if (size != r->size || header_len > size)
		r->script.bad = true;
	else
		pw_pipe_message(r->pipe, r->fd, size, header_len);
}

static void
play_fact(struct pw_rejudge *r, uint8_t type)
{
	const char *name = pw_script_fact(pw_dec_u8(&r->script));

	if (name == NULL) {
		r->script.bad = true;
	} else if (type == PW_SCRIPT_TEXT) {
		struct pw_bytes v = pw_dec_bytes(&r->script);

		if (strcmp(name, "rcpt.address") == 0 &&
		    r->nrcpt < PW_COUNT(r->rcpt))
			r->rcpt[r->nrcpt++] = v;
		pw_pipe_text(r->pipe, name, v);
	} else {
		int64_t v = pw_dec_i64(&r->script);

		if (strcmp(name, "mail.prdr") == 0)
			r->prdr = v != 0;
		pw_pipe_int(r->pipe, name, v);
	}
}

/* One entry; false: a phase is under way. */
static bool
play_entry(struct pw_rejudge *r)
{
	uint8_t type = pw_dec_u8(&r->script);

	if (type == PW_SCRIPT_PHASE) {
		uint8_t phase = pw_dec_u8(&r->script);

		if (phase >= PW_PHASE_COUNT ||
		    (phase >= PW_PHASE_MAIL) != r->in_trans) {
			r->script.bad = true;
			return true;
		}
		return play_phase(r, phase);
	}
	if (type == PW_SCRIPT_MESSAGE)
		play_message(r);
	else if (type == PW_SCRIPT_TEXT || type == PW_SCRIPT_INT)
		play_fact(r, type);
	else
		r->script.bad = true;
	return true;
}

static void
begin_trans(struct pw_rejudge *r)
{
	struct pw_id id = { "" };

	pw_pipe_begin(r->pipe, &id);
	r->pipe->trans.now_us = r->rec.trans.now_us;
	memcpy(r->pipe->trans.seed, r->rec.trans.seed,
	    sizeof(r->rec.trans.seed));
	pw_dec_init(&r->script, r->rec.trans.script);
	r->in_trans = true;
}

/* A script that turns out malformed ends with no result. */
static void
play(struct pw_rejudge *r)
{
	for (;;) {
		while (!r->script.bad && r->script.pos < r->script.in.len)
			if (!play_entry(r))
				return;
		if (r->script.bad) {
			r->done(r->arg, NULL);
			return;
		}
		if (r->in_trans)
			break;
		begin_trans(r);
	}
	r->result = pw_pipe_result(r->pipe);
	r->done(r->arg, r->result);
}

static void
go_on(void *arg)
{
	play(arg);
}

struct pw_rejudge *
pw_rejudge_new(struct pw_pipeline *p, struct pw_bytes recording,
    const struct pw_session_info *info, const struct pw_dns_set *answers,
    int fd, uint64_t size, pw_rejudge_cb done, void *arg)
{
	struct pw_rejudge *r = pw_xcalloc(1, sizeof(*r));

	r->pool = pw_pool_new(0);
	r->fd = fd;
	r->size = size;
	r->done = done;
	r->arg = arg;
	if (pw_recording_dec(recording, r->pool, &r->rec) != 0) {
		pw_rejudge_free(&r);
		return NULL;
	}
	r->pipe = pw_pipe_open(p, info);
	pw_pipe_replay(r->pipe, answers);
	r->pipe->failures = &r->rec.failures;
	r->pipe->session.now_us = r->rec.session.now_us;
	memcpy(r->pipe->session.seed, r->rec.session.seed,
	    sizeof(r->rec.session.seed));
	pw_dec_init(&r->script, r->rec.session.script);
	play(r);
	return r;
}

const struct pw_pipe_verdict *
pw_rejudge_verdict(struct pw_rejudge *r, struct pw_bytes given,
    const char *mailbox, const struct pw_list_entry *entry, size_t n)
{
	struct pw_pipe_rcpt rcpt = { .mailbox = mailbox, .entry = entry,
		.nentry = n };

	for (size_t i = 0; i < r->nrcpt && rcpt.rcpt == 0; i++)
		if (pw_bytes_eq(r->rcpt[i], given))
			rcpt.rcpt = (uint32_t)i + 1;
	return pw_pipe_verdict(r->pipe, &rcpt);
}

bool
pw_rejudge_prdr(const struct pw_rejudge *r)
{
	return r->prdr;
}

void
pw_rejudge_free(struct pw_rejudge **rp)
{
	struct pw_rejudge *r = *rp;

	if (r == NULL)
		return;
	*rp = NULL;
	pw_pipe_close(&r->pipe);
	pw_pool_free(&r->pool);
	free(r);
}
