/* SPDX-License-Identifier: ISC */
/*
 * From the end of data to its reply: is the message whole and sound, what do
 * the stages say, what follows from it, does the store have it.
 */
#include <unistd.h>

#include "base/log.h"
#include "smtp/command.h"
#include "smtp/delivery.h"
#include "smtp/note.h"
#include "smtp/session.h"
#include "smtp/verdict.h"
#include "storage/decision.h"

static void
log_message(struct pw_session *s, const char *reply, const char *action)
{
	struct pw_tx *tx = s->tx;
	struct pw_log_line l;
	char ip[PW_IP_STRLEN];

	pw_ip_format(&s->peer, ip);
	pw_log_begin(&l, PW_LOG_INFO, "smtp.message", s->id.s, tx->id.s);
	pw_log_s(&l, "peer", ip);
	pw_log_b(&l, "from", tx->from.text);
	pw_log_i(&l, "recipients", (int64_t)tx->naccepted);
	for (size_t i = 0; i < tx->nrcpt; i++)
		if (tx->rcpt[i].accepted) {
			pw_log_b(&l, "to", tx->rcpt[i].path.text);
			break;
		}
	pw_log_i(&l, "size", (int64_t)(tx->body.size + tx->body.over));
	pw_log_s(&l, "action", action);
	pw_log_s(&l, "reply", reply);
	pw_log_end(&l);
}

/* With PRDR: a line that says so, and one for each recipient in the order in
 * which they were accepted. */
static void
answer_each(struct pw_session *s)
{
	struct pw_tx *tx = s->tx;
	char line[PW_REPLY_MAX];
	struct pw_strbuf sb;
	size_t n = pw_reply_format(PW_R_PRDR_GO, PW_BYTES_NONE, line);

	pw_strbuf_init(&sb, (PW_PRDR_MAX + 1) * PW_REPLY_MAX);
	pw_strbuf_add(&sb, pw_bytes(line, n));
	pw_strbuf_adds(&sb, "\r\n");
	for (size_t i = 0; i < tx->nrcpt; i++) {
		const char *reply = tx->rcpt[i].end;

		if (!tx->rcpt[i].accepted)
			continue;
		if (reply[0] != '2')
			pw_count(s->env->count, reply[0] == '5' ?
			    PW_CNT_REPLY_5XX : PW_CNT_REPLY_4XX);
		pw_strbuf_adds(&sb, reply);
		pw_strbuf_adds(&sb, "\r\n");
	}
	pw_conn_write(s->conn, pw_strbuf_bytes(&sb));
	pw_strbuf_free(&sb);
}

/* The transaction ends with this reply. */
static void
answer(struct pw_session *s, const char *reply, const char *action)
{
	struct pw_counters *count = s->env->count;

	log_message(s, reply, action);
	s->tx->done = s->recorded = true;
	if (reply[0] == '2') {
		pw_count(count, PW_CNT_STORED);
		pw_count_add(count, PW_CNT_STORED_BYTES, s->tx->body.size);
		s->junk = 0;
	} else {
		pw_count(count, reply[0] == '4' ? PW_CNT_DEFERRED
						: PW_CNT_REFUSED);
	}
	if (s->tx->prdr)
		answer_each(s);
	pw_session_reply_text(s, pw_bytes_of(reply));
	pw_session_to(s, PW_S_READY);
}

/* ---- refused before any stage saw it -------------------------------------------- */

static const struct {
	unsigned fault;
	enum pw_reply_id reply;
	enum pw_counter counter;
} faults[] = {
	{ PW_BODY_TOO_BIG, PW_R_TOO_BIG, PW_CNT_LIMIT_MESSAGE },
	{ PW_BODY_NO_MEMORY, PW_R_NO_MEMORY, PW_CNT_LIMIT_MEMORY },
	{ PW_BODY_NUL, PW_R_DATA_NUL, PW_CNT_BARE_DATA },
	{ PW_BODY_BARE_LF, PW_R_DATA_BARE_LF, PW_CNT_BARE_DATA },
	{ PW_BODY_BARE_CR, PW_R_DATA_BARE_CR, PW_CNT_BARE_DATA },
	{ PW_BODY_HEADER, PW_R_DATA_HEADER, PW_CNT_LIMIT_HEADER },
	{ PW_BODY_LONG_LINE, PW_R_DATA_LINE, PW_CNT_LIMIT_LINE },
};

/* Keeps the record of a message that is not kept itself; nobody waits. */
static void
record_only(struct pw_session *s, const struct pw_judgement *j)
{
	struct pw_delivery *d = pw_delivery_make(s, j);

	if (d != NULL)
		(void)pw_store_client_deliver(s->env->store, d, NULL, NULL);
}

static void
refuse(struct pw_session *s, enum pw_reply_id id)
{
	const char *reply = pw_reply_text(id);
	const struct pw_judgement j = { .action = reply[0] == '4'
		? PW_ACT_DEFER : PW_ACT_REFUSE, .reply = reply,
		.step = "a bound or rule of the SMTP receiver" };

	s->tx->prdr = false;
	record_only(s, &j);
	answer(s, reply, pw_action_name(j.action));
}

/* True when the octets themselves are a reason to refuse. */
static bool
is_unsound(struct pw_session *s)
{
	struct pw_body *b = &s->tx->body;

	for (size_t i = 0; i < PW_COUNT(faults); i++)
		if ((b->faults & faults[i].fault) != 0) {
			pw_count(s->env->count, faults[i].counter);
			refuse(s, faults[i].fault == PW_BODY_NO_MEMORY &&
				    s->tx->piece_reply != 0 ?
				(enum pw_reply_id)s->tx->piece_reply :
				faults[i].reply);
			return true;
		}
	if (b->hops > (uint64_t)pw_session_limits(s)->max_hops) {
		pw_count(s->env->count, PW_CNT_LIMIT_HOPS);
		refuse(s, PW_R_DATA_LOOP);
		return true;
	}
	return false;
}

/* ---- judged, stored ---------------------------------------------------------------- */

static enum pw_reply_id
store_reply(enum pw_store_code code)
{
	switch (code) {
	case PW_STORE_NOSPACE:
		return PW_R_STORE_SPACE;
	case PW_STORE_OVERQUOTA:
		return PW_R_STORE_QUOTA;
	case PW_STORE_NOMAILBOX:
		return PW_R_STORE_MAILBOX;
	default:
		return PW_R_STORE_FAILED;
	}
}

/* Nothing was stored: who would have got it is told so.  Who was refused stays
 * refused, also when the copy for the review is lost with it. */
static void
not_stored(struct pw_session *s, enum pw_reply_id id)
{
	struct pw_tx *tx = s->tx;
	struct pw_judgement *j = tx->judged;

	pw_count(s->env->count, PW_CNT_STORE_FAILED);
	for (size_t i = 0; i < tx->nrcpt; i++)
		if (tx->rcpt[i].accepted && tx->rcpt[i].end != NULL &&
		    tx->rcpt[i].end[0] == '2')
			tx->rcpt[i].end = pw_reply_text(id);
	if (j->reply[0] == '2') {
		pw_note_message(s, pw_reply_text(id),
		    "the store did not take the message");
		answer(s, pw_reply_text(id), "not stored");
		return;
	}
	j->unkept = true;
	record_only(s, j);
	answer(s, j->reply, pw_action_name(j->action));
}

static void
after_store(struct pw_session *s)
{
	struct pw_tx *tx = s->tx;

	if (s->reply != PW_R_STORED) {
		not_stored(s, (enum pw_reply_id)s->reply);
		return;
	}
	tx->spooled = false; /* its file is the store's business now */
	answer(s, tx->judged->reply, pw_action_name(tx->judged->action));
}

static void
on_stored(void *arg, const struct pw_store_result *r)
{
	struct pw_session *s = arg;

	s->call = NULL;
	s->reply = (uint16_t)(r->code == PW_STORE_OK
		? PW_R_STORED : store_reply(r->code));
	if (r->code != PW_STORE_OK)
		pw_logf(PW_LOG_WARN, "smtp.store", "%s: %s", s->tx->id.s,
		    r->reason != NULL ? r->reason : "");
	pw_session_wake(s);
}

/* The mildest of what is done, which stands for the message. */
static void
take_mildest(struct pw_session *s, struct pw_judgement *j)
{
	static const uint8_t rank[] = { [PW_ACT_DELIVER] = 0,
		[PW_ACT_JUNK] = 1, [PW_ACT_HOLD] = 2, [PW_ACT_DISCARD] = 3,
		[PW_ACT_REFUSE_KEEP] = 4, [PW_ACT_REFUSE] = 5,
		[PW_ACT_DEFER] = 6 };
	const struct pw_fate *best = NULL;
	bool differ = false;

	for (size_t i = 0; i < s->tx->nrcpt; i++) {
		const struct pw_rcpt *r = &s->tx->rcpt[i];

		for (size_t k = 0; r->accepted && k < r->ndest; k++) {
			const struct pw_fate *f = &r->fate[k];

			differ |= best != NULL && f->verdict != best->verdict;
			if (best == NULL ||
			    rank[f->action] < rank[best->action])
				best = f;
		}
	}
	PW_ASSERT(best != NULL);
	j->action = best->action;
	j->score = best->score;
	j->step = differ ? pw_pool_printf(s->tx->pool,
	    "recipients differ; the mildest: %s", best->step) : best->step;
	if (j->step == NULL)
		j->step = best->step;
}

/* True when the store has something to keep, or must know before a 250. */
static bool
needs_store(const struct pw_session *s, enum pw_settled end)
{
	if (end == PW_SETTLED_ACCEPT)
		return true;
	for (size_t i = 0; i < s->tx->nrcpt; i++)
		for (size_t k = 0; s->tx->rcpt[i].accepted &&
		     k < s->tx->rcpt[i].ndest; k++)
			if (s->tx->rcpt[i].fate[k].action == PW_ACT_REFUSE_KEEP)
				return true;
	return false;
}

/* The last reply, in the transaction's memory; NULL at its bound. */
static const char *
final_reply(struct pw_session *s, enum pw_settled end, const struct pw_fate *by)
{
	char line[PW_REPLY_MAX];
	size_t n;

	if (end != PW_SETTLED_ACCEPT)
		return pw_verdict_reply(s, end, by);
	n = pw_reply_format(PW_R_STORED, pw_bytes_of(s->tx->id.s), line);
	return pw_pool_cstr(s->tx->pool, pw_bytes(line, n));
}

static void
judged(struct pw_session *s)
{
	const struct pw_pipe_result *r = pw_pipe_result(s->pipe);
	struct pw_judgement *j = pw_pool_alloc(s->tx->pool, sizeof(*j));
	const struct pw_fate *by;
	struct pw_delivery *d;
	enum pw_settled end;

	if (r->crashed) /* for the developer */
		pw_store_client_aside(s->env->store,
		    "a stage ended its process", s->tx->fd);
	if (j == NULL || pw_verdict_all(s, &end, &by) != 0 ||
	    (j->reply = final_reply(s, end, by)) == NULL) {
		refuse(s, PW_R_NO_MEMORY);
		return;
	}
	s->tx->judged = j;
	j->result = r;
	take_mildest(s, j);
	if (!needs_store(s, end)) {
		record_only(s, j);
		answer(s, j->reply, pw_action_name(j->action));
		return;
	}
	d = pw_delivery_make(s, j);
	if (d != NULL) {
		d->deadline_ms = s->deadline;
		s->call = pw_store_client_deliver(s->env->store, d, on_stored,
		    s);
	}
	if (s->call == NULL)
		not_stored(s, PW_R_STORE_FAILED);
	else
		pw_session_wait(s, PW_W_STORE, after_store);
}

/* ---- the message is there ----------------------------------------------------------- */

static void
judge(struct pw_session *s)
{
	struct pw_tx *tx = s->tx;

	pw_pipe_int(s->pipe, "message.hops", tx->body.hops);
	pw_pipe_int(s->pipe, "message.long_line",
	    tx->body.longest > 998 ? (int64_t)tx->body.longest : 0);
	pw_pipe_message(s->pipe, tx->fd, tx->body.size, tx->body.header_len);
	pw_session_phase(s, PW_PHASE_BODY, judged);
}

static void
after_open(struct pw_session *s)
{
	if (s->tx->fd < 0)
		refuse(s, PW_R_STORE_FAILED);
	else
		judge(s);
}

static void
on_opened(void *arg, int fd)
{
	struct pw_session *s = arg;

	s->call = NULL;
	s->tx->fd = fd;
	pw_session_wake(s);
}

/* All pieces are with the store: it gives us the whole to look at. */
static void
open_spool(struct pw_session *s)
{
	s->call = pw_store_client_open(s->env->store, &s->tx->id, on_opened,
	    s);
	if (s->call == NULL)
		refuse(s, PW_R_STORE_FAILED);
	else
		pw_session_wait(s, PW_W_STORE, after_open);
}

void
pw_finish(struct pw_session *s)
{
	struct pw_tx *tx = s->tx;
	uint64_t len;

	pw_session_to(s, PW_S_END);
	pw_session_expect(s, pw_session_limits(s)->end_timeout);
	pw_body_finish(&tx->body);
	if (is_unsound(s))
		return;
	if (tx->spooled) {
		pw_finish_piece(s);
		return;
	}
	tx->fd = pw_body_take(&tx->body, &len);
	if (tx->fd < 0)
		refuse(s, PW_R_NO_MEMORY);
	else
		judge(s);
}

/* ---- pieces -------------------------------------------------------------------------- */

static void
after_piece(struct pw_session *s)
{
	struct pw_body *b = &s->tx->body;

	s->paused_ms += pw_loop_now(s->env->loop) - s->tx->piece_since;
	pw_body_release(b, s->tx->piece_len);
	if (s->reply != PW_R_OK) {
		b->faults |= PW_BODY_NO_MEMORY;
		s->tx->piece_reply = s->reply;
	}
	if (s->state == PW_S_END) {
		if (b->faults != 0)
			refuse(s, (enum pw_reply_id)s->reply);
		else
			open_spool(s);
		return;
	}
	pw_session_expect(s, pw_session_limits(s)->data_timeout);
	if (s->tx->piece_ends_chunk) {
		s->tx->piece_ends_chunk = false;
		pw_bdat_done(s);
	}
}

static void
on_piece(void *arg, const struct pw_store_result *r)
{
	struct pw_session *s = arg;

	s->call = NULL;
	s->reply = (uint16_t)(r->code == PW_STORE_OK
		? PW_R_OK : store_reply(r->code));
	if (r->code != PW_STORE_OK)
		pw_logf(PW_LOG_WARN, "smtp.store", "%s: %s", s->tx->id.s,
		    r->reason != NULL ? r->reason : "");
	pw_session_wake(s);
}

void
pw_finish_piece(struct pw_session *s)
{
	struct pw_tx *tx = s->tx;
	int fd = pw_body_take(&tx->body, &s->tx->piece_len);

	tx->spooled = true;
	s->tx->piece_since = pw_loop_now(s->env->loop);
	if (fd >= 0) {
		s->call = pw_store_client_piece(s->env->store, &tx->id, fd,
		    s->tx->piece_len, on_piece, s);
		(void)close(fd);
	}
	pw_session_expect(s, pw_session_limits(s)->end_timeout);
	if (s->call != NULL) {
		pw_session_wait(s, PW_W_STORE, after_piece);
		return;
	}
	/* The rest is swallowed, and refused at its end. */
	tx->body.faults |= PW_BODY_NO_MEMORY;
	if (s->state == PW_S_END)
		refuse(s, PW_R_NO_MEMORY);
}

/* ---- time is up ------------------------------------------------------------------------ */

static void
timed_out(struct pw_session *s)
{
	if (s->state == PW_S_END && s->tx->judged != NULL &&
	    (s->tx->prdr || s->tx->judged->reply[0] != '2'))
		not_stored(s, PW_R_END_TIME);
	else if (s->state == PW_S_END)
		refuse(s, PW_R_END_TIME);
	else
		/* Stages have shorter limits of their own: it is stuck. */
		pw_session_limit(s, PW_R_TIMEOUT, PW_CNT_LIMIT_END_TIME,
		    "smtp.end-timeout");
}

void
pw_finish_timeout(struct pw_session *s)
{
	pw_store_client_cancel(s->env->store, &s->call);
	s->after = timed_out;
	pw_session_wake(s);
}
