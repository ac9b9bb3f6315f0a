/* SPDX-License-Identifier: ISC */
/*
 * BDAT (RFC 3030).  The octets of a chunk follow whatever we think of it, so a
 * refused chunk is read and thrown away; only when its size is not known, or
 * is beyond all bounds, the session ends.
 */
#include <inttypes.h>
#include <stdio.h>

#include "smtp/command.h"
#include "smtp/session.h"

/* "SIZE [LAST]": 0, or -1. */
static int
parse(struct pw_bytes arg, uint64_t *size, bool *last)
{
	struct pw_bytes text = pw_bytes_trim(arg), rest;
	ptrdiff_t sp = pw_bytes_chr(text, ' ');

	*last = false;
	if (arg.len == 0 || arg.ptr[0] != ' ')
		return -1;
	if (sp >= 0) {
		rest = pw_bytes_trim(pw_bytes_sub(text, (size_t)sp, text.len));
		if (!pw_bytes_caseeq(rest, PW_LIT("LAST")))
			return -1;
		*last = true;
		text = pw_bytes_sub(text, 0, (size_t)sp);
	}
	for (size_t i = 0; i < text.len; i++)
		if (!pw_is_digit((unsigned char)text.ptr[i]))
			return -1;
	if (text.len == 0 || text.len > 20)
		return -1;
	if (pw_bytes_u64(text, UINT64_MAX, size) != 0)
		*size = UINT64_MAX;
	return 0;
}

/* Why the chunk is not taken; PW_R_OK when it is. */
static enum pw_reply_id
judge(const struct pw_session *s, uint64_t size)
{
	const struct pw_tx *tx = s->tx;

	switch (s->state) {
	case PW_S_GREETED:
		return PW_R_NEED_HELO;
	case PW_S_READY:
		return PW_R_NEED_MAIL;
	case PW_S_MAIL:
		return PW_R_NO_RCPT;
	case PW_S_CHUNKS:
		if (size > pw_session_limits(s)->max_message - tx->body.size)
			return PW_R_TOO_BIG;
		return PW_R_OK;
	default:
		return PW_R_OK;
	}
}

void
pw_cmd_bdat(struct pw_session *s, struct pw_bytes arg)
{
	uint64_t size;
	bool last;
	enum pw_reply_id id;

	if (parse(arg, &size, &last) != 0) {
		pw_session_end(s, PW_R_BDAT_BROKEN, "bdat without size");
		return;
	}
	if (size > pw_session_limits(s)->max_message) {
		pw_session_limit(s, PW_R_BDAT_HUGE, PW_CNT_LIMIT_MESSAGE,
		    "smtp.max-message");
		return;
	}
	id = judge(s, size);
	s->reply = (uint16_t)id;
	s->chunk_left = size;
	s->chunk_last = last;
	s->chunk_drop = id != PW_R_OK;
	if (s->state < PW_S_RCPT) {
		s->data_since = pw_loop_now(s->env->loop);
		s->data_octets = s->paused_ms = 0;
	}
	if (id == PW_R_OK && s->state == PW_S_RCPT)
		pw_session_to(s, PW_S_CHUNKS);
	else
		pw_session_expect(s, pw_session_limits(s)->data_timeout);
	if (size == 0)
		pw_bdat_done(s);
}

static void
say_received(struct pw_session *s)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%" PRIu64,
	    s->tx->body.size + s->tx->body.over);

	pw_session_reply_value(s, PW_R_CHUNK_OK, pw_bytes(text, (size_t)n));
}

void
pw_bdat_done(struct pw_session *s)
{
	enum pw_reply_id id = (enum pw_reply_id)s->reply;

	if (s->chunk_drop) {
		s->chunk_drop = false;
		/* What was there of the message is lost with the chunk. */
		if (s->state == PW_S_CHUNKS) {
			pw_count(s->env->count, PW_CNT_LIMIT_MESSAGE);
			pw_session_to(s, PW_S_READY);
		}
		pw_session_reply(s, id);
	} else if (s->chunk_last) {
		pw_finish(s);
	} else if (s->tx->body.faults != 0) {
		/* Refused now: finishing says why. */
		pw_finish(s);
	} else {
		say_received(s);
	}
}
