/* SPDX-License-Identifier: ISC */
/*
 * The recording of a judgement: what the host told the stages and which phases
 * it ran, in this order, with the time and the seed that the stages saw, and
 * the runs that failed for a reason outside of their stage.  With the DNS
 * answers, which the record keeps beside it, the judgement can be made again
 * (rejudge.c).  Session and transaction keep a script each; a session's fact
 * that comes within a transaction stands in both.  In front, on the loop.
 *
 *   u8 version, two scripts (session, transaction), u16 n, n failures
 *   script:  i64 time, 16 bytes seed, bytes of entries
 *   entry:   u8 type; PHASE: u8; TEXT, INT: u8 fact, then bytes or i64;
 *            MESSAGE: u64 size, u64 length of the header section
 *   failure: str stage, u8 phase, u16 nth, str reason
 */
#include "filters/recording.h"

#define RECORDING_MAX (160u << 10)
#define FAILURES_MAX 1000u

/* The numbers are on disk: only the end may grow. */
static const char *const facts[] = { "tls.version", "tls.cipher",
	"session.early_text", "helo.name", "helo.esmtp", "mail.address",
	"mail.local", "mail.domain", "mail.size", "mail.smtputf8",
	"rcpt.address", "message.hops", "message.long_line",
	"mail.prdr" };

const char *
pw_script_fact(uint8_t number)
{
	return number < PW_COUNT(facts) ? facts[number] : NULL;
}

/* The script that an entry goes to; a session's fact within a transaction is
 * for those that follow, too. */
static size_t
scripts(struct pw_pipe *pipe, const char *name, struct pw_enc *out[2])
{
	size_t n = 0;
	bool session = name == NULL || (strncmp(name, "mail.", 5) != 0 &&
	    strncmp(name, "rcpt.", 5) != 0 &&
	    strncmp(name, "message.", 8) != 0);

	if (pipe->in_trans)
		out[n++] = &pipe->trans.script;
	if (!pipe->in_trans || (name != NULL && session))
		out[n++] = &pipe->session.script;
	return n;
}

static bool
begin_fact(struct pw_enc *e, uint8_t type, const char *name)
{
	for (size_t i = 0; i < PW_COUNT(facts); i++)
		if (strcmp(facts[i], name) == 0) {
			pw_enc_u8(e, type);
			pw_enc_u8(e, (uint8_t)i);
			return true;
		}
	return false;
}

void
pw_script_phase(struct pw_pipe *pipe, enum pw_phase phase)
{
	struct pw_enc *e[2];

	for (size_t i = scripts(pipe, NULL, e); i-- > 0;) {
		pw_enc_u8(e[i], PW_SCRIPT_PHASE);
		pw_enc_u8(e[i], (uint8_t)phase);
	}
}

void
pw_script_text(struct pw_pipe *pipe, const char *name, struct pw_bytes v)
{
	struct pw_enc *e[2];

	for (size_t i = scripts(pipe, name, e); i-- > 0;)
		if (begin_fact(e[i], PW_SCRIPT_TEXT, name))
			pw_enc_bytes(e[i], v);
}

void
pw_script_int(struct pw_pipe *pipe, const char *name, int64_t v)
{
	struct pw_enc *e[2];

	for (size_t i = scripts(pipe, name, e); i-- > 0;)
		if (begin_fact(e[i], PW_SCRIPT_INT, name))
			pw_enc_i64(e[i], v);
}

void
pw_script_message(struct pw_pipe *pipe, uint64_t size, uint64_t header_len)
{
	struct pw_enc *e = &pipe->trans.script;

	pw_enc_u8(e, PW_SCRIPT_MESSAGE);
	pw_enc_u64(e, size);
	pw_enc_u64(e, header_len);
}

/* ---- failures ------------------------------------------------------------------ */

static uint16_t
nth_run(const struct pw_slot *s)
{
	uint16_t n = 0;

	for (const struct pw_slot *u = s->side->first; u != s; u = u->next)
		n += u->stage == s->stage && u->phase == s->phase;
	return n;
}

static void
enc_failures(struct pw_enc *e, const struct pw_pipe *pipe)
{
	const struct pw_side *side[] = { &pipe->session, &pipe->trans };
	size_t mark = pw_enc_mark(e);
	uint32_t n = 0;

	for (size_t k = 0; k < PW_COUNT(side); k++)
		for (const struct pw_slot *s = side[k]->first;
		    s != NULL && n < FAILURES_MAX; s = s->next) {
			if (!s->forced)
				continue;
			pw_enc_str(e, pipe->p->reg->v[s->stage].desc->name);
			pw_enc_u8(e, s->phase);
			pw_enc_u16(e, nth_run(s));
			pw_enc_str(e, s->out.reason);
			n++;
		}
	pw_enc_patch(e, mark, n);
}

const char *
pw_recorded_failure(const struct pw_pipe *pipe, const struct pw_slot *s)
{
	const struct pw_failures *f = pipe->failures;
	const char *name = pipe->p->reg->v[s->stage].desc->name;

	for (size_t i = 0; f != NULL && i < f->n; i++)
		if (f->v[i].phase == s->phase &&
		    strcmp(f->v[i].stage, name) == 0 &&
		    f->v[i].nth == nth_run(s))
			return f->v[i].reason;
	return NULL;
}

/* ---- the whole ------------------------------------------------------------------- */

static void
enc_script(struct pw_enc *e, const struct pw_side *side, struct pw_bytes script)
{
	pw_enc_i64(e, side->now_us);
	pw_enc_bytes(e, pw_bytes((const char *)side->seed,
			    sizeof(side->seed)));
	pw_enc_bytes(e, script);
}

struct pw_bytes
pw_recording_make(const struct pw_pipe *pipe, struct pw_pool *pool)
{
	struct pw_bytes session = pw_enc_done(&pipe->session.script);
	struct pw_bytes trans = pw_enc_done(&pipe->trans.script);
	struct pw_bytes made = PW_LIT("");
	struct pw_enc e;

	if (pipe->session.script.sb.overflow ||
	    pipe->trans.script.sb.overflow)
		return made;
	pw_enc_init(&e, RECORDING_MAX);
	pw_enc_u8(&e, PW_RECORDING_VERSION);
	enc_script(&e, &pipe->session,
	    pw_bytes_sub(session, 0, pipe->script_mark));
	enc_script(&e, &pipe->trans, trans);
	enc_failures(&e, pipe);
	if (pw_enc_done(&e).ptr != NULL)
		made = pw_pool_copy(pool, pw_enc_done(&e));
	pw_enc_free(&e);
	return made.ptr != NULL ? made : PW_LIT("");
}

static void
dec_script(struct pw_dec *d, struct pw_recorded_side *out)
{
	struct pw_bytes seed;

	out->now_us = pw_dec_i64(d);
	seed = pw_dec_bytes(d);
	if (seed.len == sizeof(out->seed))
		memcpy(out->seed, seed.ptr, seed.len);
	else
		d->bad = true;
	out->script = pw_dec_bytes(d);
}

int
pw_recording_dec(struct pw_bytes in, struct pw_pool *pool,
    struct pw_recorded *out)
{
	struct pw_dec d;

	*out = (struct pw_recorded){ 0 };
	pw_dec_init(&d, in);
	if (pw_dec_u8(&d) != PW_RECORDING_VERSION)
		return -1;
	dec_script(&d, &out->session);
	dec_script(&d, &out->trans);
	out->failures.n = pw_dec_count(&d, FAILURES_MAX, 11);
	out->failures.v = pw_pool_array(pool, out->failures.n + 1,
	    sizeof(*out->failures.v));
	if (out->failures.v == NULL)
		return -1;
	for (size_t i = 0; i < out->failures.n; i++) {
		struct pw_failure *f = &out->failures.v[i];

		f->stage = pw_dec_str(&d, pool);
		f->phase = pw_dec_u8(&d);
		f->nth = pw_dec_u16(&d);
		f->reason = pw_dec_str(&d, pool);
	}
	return pw_dec_end(&d);
}
