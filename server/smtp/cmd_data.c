/* SPDX-License-Identifier: ISC */
/* DATA (RFC 5321 section 4.1.1.4), and the octets that follow it or BDAT. */
#include "smtp/command.h"
#include "smtp/session.h"

/* The first minute of data is not measured by its rate. */
#define RATE_GRACE_MS 60000u

void
pw_cmd_data(struct pw_session *s, struct pw_bytes arg)
{
	if (!pw_command_no_argument(s, arg))
		return;
	pw_session_to(s, PW_S_DATA);
	pw_session_reply(s, PW_R_DATA_GO);
}

/* Far above the bound the rest is not even thrown away any more. */
static bool
is_far_too_big(const struct pw_session *s)
{
	const struct pw_body *b = &s->tx->body;

	return b->over > pw_session_limits(s)->max_message &&
	    b->size + b->over > 2 * pw_session_limits(s)->max_message;
}

static bool
is_too_slow(const struct pw_session *s)
{
	uint64_t ms = pw_loop_now(s->env->loop) - s->data_since;
	uint64_t rate = pw_session_limits(s)->min_rate;

	ms = ms > s->paused_ms ? ms - s->paused_ms : 0;
	return rate > 0 && ms > RATE_GRACE_MS &&
	    s->data_octets < rate * (ms / 1000);
}

/* BDAT octets: never more than the chunk has left. */
static size_t
take_chunk(struct pw_session *s, struct pw_bytes in,
    enum pw_body_result *result)
{
	size_t used;

	in = pw_bytes_sub(in, 0,
	    in.len < s->chunk_left ? in.len : (size_t)s->chunk_left);
	if (s->chunk_drop)
		used = in.len;
	else
		*result = pw_body_chunk(&s->tx->body, in, &used);
	s->chunk_left -= used;
	return used;
}

size_t
pw_session_take_body(struct pw_session *s, struct pw_bytes in)
{
	bool chunk = s->chunk_left > 0;
	enum pw_body_result result = PW_BODY_MORE;
	size_t used;

	if (chunk)
		used = take_chunk(s, in, &result);
	else
		result = pw_body_data(&s->tx->body, in, &used);
	s->data_octets += used;
	if (is_too_slow(s)) {
		pw_session_limit(s, PW_R_TOO_SLOW, PW_CNT_LIMIT_RATE,
		    "smtp.min-rate");
		return used;
	}
	pw_session_expect(s, pw_session_limits(s)->data_timeout);
	if (result == PW_BODY_PIECE) {
		s->tx->piece_ends_chunk = chunk && s->chunk_left == 0;
		pw_finish_piece(s);
		if (s->wait == PW_W_NONE && s->tx->piece_ends_chunk)
			pw_bdat_done(s);
	} else if (chunk && s->chunk_left == 0) {
		pw_bdat_done(s);
	} else if (result == PW_BODY_DONE) {
		s->behind = in.len - used;
		pw_finish(s);
	} else if (!s->chunk_drop && is_far_too_big(s)) {
		pw_session_limit(s, PW_R_DATA_HUGE, PW_CNT_LIMIT_MESSAGE,
		    "smtp.max-message");
	}
	return used;
}
