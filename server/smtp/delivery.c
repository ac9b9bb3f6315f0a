/* SPDX-License-Identifier: ISC */
/*
 * Building the decision record and the targets.  A mailbox that several
 * recipients lead to gets one copy, for the first of them that is to have one.
 */
#include "smtp/delivery.h"

#include "smtp/prefix.h"
#include "smtp/verdict.h"
#include "storage/decision.h"

#define PREFIX_MAX (256u * 1024)

struct builder {
	struct pw_session *s;
	const struct pw_tx *tx; /* NULL: the record of a connection */
	struct pw_pool *pool;
	const struct pw_judgement *j;
	struct pw_delivery *d;
	struct pw_decision *dec;
	struct pw_bytes common; /* the fields that all copies share */
	/* mailboxes that have a target: open addressing, index + 1 */
	uint32_t *seen;
	size_t mask;
};

static bool
has_target(uint8_t action)
{
	return action <= PW_ACT_REFUSE_KEEP;
}

static const char *
tls_text(struct pw_session *s, struct pw_pool *pool)
{
	SSL *ssl = s->tls_on ? pw_conn_ssl(s->conn) : NULL;

	return ssl == NULL ? "" : pw_pool_printf(pool, "%s %s",
	    SSL_get_version(ssl), SSL_get_cipher_name(ssl));
}

static int
add_evidence(struct builder *b)
{
	const struct pw_pipe_result *r = b->j->result;
	struct pw_decision *dec = b->dec;

	dec->evidence =
	    pw_pool_array(b->pool, r->nevidence, sizeof(*dec->evidence));
	dec->run = pw_pool_array(b->pool, r->nrun, sizeof(*dec->run));
	if ((dec->evidence == NULL && r->nevidence > 0) ||
	    (dec->run == NULL && r->nrun > 0))
		return -1;
	for (size_t i = 0; i < r->nevidence; i++) {
		const struct pw_pipe_evidence *e = &r->evidence[i];

		dec->evidence[i] = (struct pw_evidence){ .stage = e->stage,
			.symbol = e->symbol, .weight = e->weight,
			.scope = e->scope, .shadow = e->shadow,
			.text = e->text };
	}
	for (size_t i = 0; i < r->nrun; i++) {
		const struct pw_pipe_run *e = &r->run[i];

		dec->run[i] = (struct pw_stage_run){ .stage = e->stage,
			.phase = e->phase, .outcome = e->outcome,
			.reason = e->reason, .wall_us = e->wall_us,
			.cpu_us = e->cpu_us };
	}
	dec->nevidence = r->nevidence;
	dec->nrun = r->nrun;
	return 0;
}

static int
add_dns(struct builder *b)
{
	const struct pw_dns_set *set = b->j->result->dns;
	struct pw_enc e;
	int rc = 0;

	b->dec->dns = PW_LIT("");
	if (set == NULL || pw_dns_set_count(set) == 0)
		return 0;
	pw_enc_init(&e, 128u * 1024);
	pw_dns_set_enc(&e, set);
	if (pw_enc_done(&e).ptr != NULL) {
		b->dec->dns = pw_pool_copy(b->pool, pw_enc_done(&e));
		rc = b->dec->dns.ptr == NULL ? -1 : 0;
	}
	pw_enc_free(&e);
	return rc;
}

/* What a transaction adds to what is known of its session. */
static void
of_transaction(struct pw_decision *dec, const struct pw_tx *tx)
{
	dec->id = tx->id;
	dec->time_us = tx->time_us;
	dec->smtputf8 = tx->param.smtputf8;
	dec->mail_from = tx->from.text.ptr != NULL ? tx->from.text
						   : PW_LIT("");
	if (tx->has_body)
		dec->size = tx->body.size + tx->body.over;
}

static int
make_decision(struct builder *b)
{
	struct pw_session *s = b->s;
	const struct pw_pipe_result *r = b->j->result;
	struct pw_decision *dec = pw_pool_alloc(b->pool, sizeof(*dec));

	if (dec == NULL)
		return -1;
	b->dec = dec;
	*dec = (struct pw_decision){ .id = s->id, .session = s->id,
		.time_us = s->since_us, .peer = s->peer, .count = 1,
		.peer_port = s->port,
		.listener = pw_session_listener(s)->name,
		.helo = pw_bytes_of(s->helo != NULL ? s->helo : ""),
		.rdns = r != NULL && r->iprev_name != NULL ? r->iprev_name
							   : "",
		.tls = tls_text(s, b->pool), .esmtp = s->esmtp,
		.mail_from = PW_LIT(""), .reply = b->j->reply,
		.action = b->j->action, .step = b->j->step,
		.score = b->j->score,
		.auth_results = r != NULL && r->auth_results != NULL
		    ? r->auth_results : "",
		.config_generation = s->env->cfg->generation,
		.dns = PW_LIT(""),
		.recording = r != NULL && r->recording.ptr != NULL
		    ? r->recording : PW_LIT("") };
	if (b->tx != NULL)
		of_transaction(dec, b->tx);
	if (dec->tls == NULL)
		return -1;
	return r == NULL || (add_evidence(b) == 0 && add_dns(b) == 0) ? 0 : -1;
}

/* True when MAILBOX gets its copy already. */
static bool
is_repeated(struct builder *b, struct pw_bytes mailbox)
{
	size_t i = pw_hash(mailbox.ptr, mailbox.len) & b->mask;

	while (b->seen[i] != 0) {
		if (pw_bytes_eq(b->d->target[b->seen[i] - 1].mailbox, mailbox))
			return true;
		i = (i + 1) & b->mask;
	}
	b->seen[i] = (uint32_t)b->d->ntarget + 1;
	return false;
}

static int
make_common(struct builder *b)
{
	struct pw_session *s = b->s;
	const struct pw_tx *tx = b->tx;
	SSL *ssl = s->tls_on ? pw_conn_ssl(s->conn) : NULL;
	struct pw_strbuf sb;
	struct pw_received r = { .helo = b->dec->helo, .helo_ok = s->helo_ok,
		.rdns = b->dec->rdns, .peer = s->peer, .esmtp = s->esmtp,
		.smtputf8 = tx->param.smtputf8, .by = s->env->hostname,
		.id = tx->id.s, .time_us = tx->time_us };

	if (ssl != NULL) {
		r.tls_version = SSL_get_version(ssl);
		r.tls_cipher = SSL_get_cipher_name(ssl);
		r.tls_bits = SSL_get_cipher_bits(ssl, NULL);
	}
	/* With several, each would learn of one other. */
	if (tx->naccepted == 1)
		for (size_t i = 0; i < tx->nrcpt; i++)
			if (tx->rcpt[i].accepted)
				r.only_rcpt = tx->rcpt[i].path.text;
	pw_strbuf_init(&sb, PREFIX_MAX);
	if (b->j->result != NULL)
		pw_prefix_results(&sb, b->j->result);
	pw_prefix_received(&sb, &r);
	if (sb.overflow) {
		pw_strbuf_free(&sb);
		return -1;
	}
	b->common = pw_pool_copy(b->pool, pw_strbuf_bytes(&sb));
	pw_strbuf_free(&sb);
	return b->common.ptr == NULL ? -1 : 0;
}

static int
add_target(struct builder *b, const struct pw_rcpt *r,
    const struct pw_dest *dest, size_t row)
{
	struct pw_target *t = &b->d->target[b->d->ntarget];
	const struct pw_decision_rcpt *of = &b->dec->rcpt[row];
	struct pw_strbuf sb;

	*t = (struct pw_target){ .mailbox = dest->mailbox,
		.folder = of->action == PW_ACT_JUNK ? "Junk" : "",
		.action = of->action, .quota = dest->quota, .rcpt = row };
	pw_strbuf_init(&sb, PREFIX_MAX + 4096);
	pw_prefix_recipient(&sb, b->tx->from.text, dest->mailbox,
	    r->path.text);
	if (of->action != PW_ACT_DELIVER)
		pw_prefix_verdict(&sb, b->pool, pw_action_name(of->action),
		    of->score, of->step);
	pw_strbuf_add(&sb, b->common);
	t->prefix = pw_pool_copy(b->pool, pw_strbuf_bytes(&sb));
	pw_strbuf_free(&sb);
	b->d->ntarget++;
	return t->prefix.ptr == NULL ? -1 : 0;
}

static void
take_fate(const struct builder *b, const struct pw_fate *f,
    struct pw_decision_rcpt *row)
{
	row->action = f->action;
	row->step = f->step;
	row->score = f->score;
	row->entry = f->entry;
	row->nentry = f->nentry;
	if (b->j->unkept && row->action == PW_ACT_REFUSE_KEEP) {
		row->action = PW_ACT_REFUSE;
		row->fate = "the copy could not be kept";
	}
}

/* One row for each recipient and mailbox, one target for each mailbox. */
static int
add_recipient(struct builder *b, const struct pw_rcpt *r)
{
	struct pw_decision *dec = b->dec;
	struct pw_decision_rcpt row = { .given = r->path.text,
		.mailbox = PW_LIT(""), .action = b->j->action,
		.reply = r->reply, .fate = "", .step = "" };

	/* Fates without a result are those of a message that was refused in
	 * the end for another reason. */
	if (r->end != NULL && b->j->result != NULL)
		row.reply = r->end;
	if (!r->accepted) {
		row.action = r->reply[0] == '4' ? PW_ACT_DEFER
						: PW_ACT_REFUSE;
		row.step = r->step != NULL ? r->step : "";
		dec->rcpt[dec->nrcpt++] = row;
		return 0;
	}
	for (size_t i = 0; i < r->ndest; i++) {
		size_t n = dec->nrcpt++;

		row.mailbox = r->dest[i].mailbox;
		dec->rcpt[n] = row;
		if (r->fate == NULL || b->j->result == NULL)
			continue;
		take_fate(b, &r->fate[i], &dec->rcpt[n]);
		if (!has_target(dec->rcpt[n].action))
			continue;
		if (is_repeated(b, row.mailbox))
			dec->rcpt[n].fate = "same copy";
		else if (add_target(b, r, &r->dest[i], n) != 0)
			return -1;
	}
	return 0;
}

static int
add_recipients(struct builder *b)
{
	size_t rows = 0, size = 16;

	for (size_t i = 0; i < b->tx->nrcpt; i++)
		rows += b->tx->rcpt[i].accepted ? b->tx->rcpt[i].ndest : 1;
	while (size < rows * 2)
		size *= 2;
	b->mask = size - 1;
	b->seen = pw_pool_array(b->pool, size, sizeof(*b->seen));
	b->dec->rcpt = pw_pool_array(b->pool, rows, sizeof(*b->dec->rcpt));
	b->d->target = pw_pool_array(b->pool, rows, sizeof(*b->d->target));
	if (b->seen == NULL ||
	    (rows > 0 && (b->dec->rcpt == NULL || b->d->target == NULL)))
		return -1;
	for (size_t i = 0; i < b->tx->nrcpt; i++)
		if (add_recipient(b, &b->tx->rcpt[i]) != 0)
			return -1;
	for (size_t i = 0; i < b->d->ntarget; i++)
		b->d->target[i].hold_over_quota = b->d->ntarget > 1;
	return 0;
}

/* What the structure stage found, for the index. */
static int
make_meta(struct builder *b)
{
	struct pw_meta *m = NULL;

	if (b->j->result != NULL && b->j->result->meta.len > 0) {
		struct pw_dec dec;

		pw_dec_init(&dec, b->j->result->meta);
		m = pw_meta_dec(&dec, b->pool);
		if (pw_dec_end(&dec) != 0)
			m = NULL;
	}
	if (m == NULL) {
		m = pw_pool_alloc(b->pool, sizeof(*m));
		if (m == NULL)
			return -1;
		m->header_len = b->tx->body.header_len;
		m->complex = true;
		m->message_id = m->in_reply_to = m->references = m->from =
		    m->to = m->cc = m->subject = m->structure = m->envelope =
			PW_LIT("");
	}
	b->d->meta = m;
	return 0;
}

struct pw_delivery *
pw_delivery_make(struct pw_session *s, const struct pw_judgement *j)
{
	struct builder b = { .s = s, .tx = s->tx, .pool = s->tx->pool,
		.j = j };

	b.d = pw_pool_alloc(b.pool, sizeof(*b.d));
	if (b.d == NULL)
		return NULL;
	b.d->fd = -1;
	b.d->size = s->tx->body.size;
	if (s->tx->spooled)
		b.d->spool = s->tx->id;
	if (make_decision(&b) != 0)
		return NULL;
	b.d->decision = b.dec;
	if (make_meta(&b) != 0 || make_common(&b) != 0 ||
	    add_recipients(&b) != 0)
		return NULL;
	if (b.d->ntarget > 0)
		b.d->fd = s->tx->fd;
	return b.d;
}

/* One row for each recipient that was named, with what it was told. */
static int
list_recipients(struct builder *b)
{
	const struct pw_tx *tx = b->tx;
	size_t rows = 0;

	for (size_t i = 0; i < tx->nrcpt; i++)
		rows += tx->rcpt[i].accepted ? tx->rcpt[i].ndest : 1;
	b->dec->rcpt = pw_pool_array(b->pool, rows, sizeof(*b->dec->rcpt));
	if (rows > 0 && b->dec->rcpt == NULL)
		return -1;
	for (size_t i = 0; i < tx->nrcpt; i++) {
		const struct pw_rcpt *r = &tx->rcpt[i];

		for (size_t k = 0; k < (r->accepted ? r->ndest : 1); k++)
			b->dec->rcpt[b->dec->nrcpt++] =
			    (struct pw_decision_rcpt){ .given = r->path.text,
				.mailbox = r->accepted ? r->dest[k].mailbox
						       : PW_LIT(""),
				.action = r->accepted ? b->j->action :
				    r->reply[0] == '4' ? PW_ACT_DEFER
						       : PW_ACT_REFUSE,
				.reply = r->reply, .fate = "",
				.step = r->step != NULL ? r->step : "" };
	}
	return 0;
}

struct pw_decision *
pw_delivery_decision(struct pw_session *s, const struct pw_tx *tx,
    const struct pw_judgement *j, struct pw_pool *pool)
{
	struct builder b = { .s = s, .tx = tx, .pool = pool, .j = j };

	if (make_decision(&b) != 0 ||
	    (tx != NULL && list_recipients(&b) != 0))
		return NULL;
	return b.dec;
}
