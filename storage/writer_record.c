/* SPDX-License-Identifier: ISC */
/*
 * Rows of decisions.db: the decision with its evidence, one row a recipient,
 * the files that were made, and the DNS answers once each.  Writer's thread,
 * inside its transaction.
 */
#include "storage/writer_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "dns/dns.h"
#include "storage/address.h"

#define DAY_US ((int64_t)86400 * 1000000)
#define BUCKET_ROWS 4096
#define PROBES 1000 /* ids tried when many fall into one microsecond */

int64_t
pw_file_stamp(struct pw_bytes base)
{
	uint64_t sec, usec;
	ptrdiff_t dot = pw_bytes_chr(base, '.');
	struct pw_bytes rest;

	if (dot <= 0 ||
	    pw_bytes_u64(pw_bytes_sub(base, 0, (size_t)dot), 1ull << 40,
		&sec) != 0)
		return 0;
	rest = pw_bytes_sub(base, (size_t)dot + 1, base.len);
	ptrdiff_t p = pw_bytes_chr(rest, 'P');
	if (p < 2 || rest.ptr[0] != 'M' ||
	    pw_bytes_u64(pw_bytes_sub(rest, 1, (size_t)p - 1), 999999, &usec) !=
		0)
		return 0;
	return (int64_t)(sec * 1000000 + usec);
}

/* Names ID by HASH.  A bucket is named by a decision in it; what a clock set
 * back brings goes into the newest all the same. */
static enum pw_db_rc
add_find(struct pw_writer *w, int64_t hash, int64_t id)
{
	if (w->find_rows >= BUCKET_ROWS && id > w->find_bucket) {
		w->find_bucket = id;
		w->find_rows = 0;
	}
	w->find_rows++;
	struct pw_q *q = pw_q(w->dc, PW_Q_FIND_ADD);
	pw_q_int(q, 1, w->find_bucket);
	pw_q_int(q, 2, hash);
	pw_q_int(q, 3, id);
	return pw_q_run(q);
}

static int64_t
address_hash(const struct pw_writer *w, struct pw_bytes address)
{
	char form[PW_ADDR_SIZE];

	return pw_key_hash(w->dc_key, pw_addr_key(address, form));
}

/* ---- DNS answers --------------------------------------------------------- */

static enum pw_db_rc
touch_answer(struct pw_writer *w, int64_t hash, uint32_t day)
{
	struct pw_q *q = pw_q(w->dc, PW_Q_DNS_TOUCH);

	pw_q_int(q, 1, hash);
	pw_q_int(q, 2, day);
	return pw_q_run(q);
}

/* The row that holds ANSWER, made when there is none; another answer of the
 * same hash is passed over. */
static enum pw_db_rc
find_answer(struct pw_writer *w, struct pw_bytes answer, uint32_t day,
    int64_t *hash)
{
	for (int i = 0; i < 16; i++, *hash = (int64_t)((uint64_t)*hash + 1)) {
		struct pw_q *q = pw_q(w->dc, PW_Q_DNS_GET);
		pw_q_int(q, 1, *hash);
		enum pw_db_rc rc = pw_q_step(q);
		if (rc == PW_DB_DONE) {
			q = pw_q(w->dc, PW_Q_DNS_ADD);
			pw_q_int(q, 1, *hash);
			pw_q_int(q, 2, day);
			pw_q_blob(q, 3, answer);
			return pw_q_run(q);
		}
		if (rc != PW_DB_ROW)
			return rc;
		bool same = pw_bytes_eq(pw_q_bytes(q, 0), answer);
		uint32_t last = (uint32_t)pw_q_i64(q, 1);
		pw_q_reset(q);
		if (same)
			return last == day ? PW_DB_DONE :
					     touch_answer(w, *hash, day);
	}
	return PW_DB_BAD;
}

/* Appends the row of one answer to w->dns.  Its time to live is left out: it
 * would make each copy another answer, and replaying needs none. */
static enum pw_db_rc
one_answer(struct pw_writer *w, const struct pw_dns_answer *a, uint32_t day)
{
	struct pw_dns_answer kept = *a;

	kept.ttl = 0;
	pw_enc_reset(&w->enc);
	pw_dns_answer_enc(&w->enc, &kept);
	struct pw_bytes bytes = pw_enc_done(&w->enc);
	if (bytes.ptr == NULL)
		return PW_DB_BAD;
	int64_t hash = pw_key_hash(w->dc_key, bytes);
	size_t at = (uint64_t)hash % PW_DNS_SEEN;
	/* With the length this is as good as comparing: nobody outside knows
	 * the key, and a row that moved up is never remembered. */
	if (w->dns_seen[at].hash != hash || w->dns_seen[at].day != day ||
	    w->dns_seen[at].len != bytes.len) {
		int64_t row = hash;
		enum pw_db_rc rc = find_answer(w, bytes, day, &row);
		if (rc != PW_DB_DONE)
			return rc;
		if (row == hash) {
			w->dns_seen[at].hash = hash;
			w->dns_seen[at].day = day;
			w->dns_seen[at].len = (uint32_t)bytes.len;
		}
		hash = row;
	}
	for (int shift = 56; shift >= 0; shift -= 8)
		pw_strbuf_addc(&w->dns, (char)((uint64_t)hash >> shift));
	return PW_DB_DONE;
}

static enum pw_db_rc
all_answers(struct pw_writer *w, const struct pw_decision *d)
{
	uint32_t day = (uint32_t)(pw_clock_real_us() / DAY_US);
	struct pw_dec dec;

	pw_strbuf_reset(&w->dns);
	if (d->dns.len == 0)
		return PW_DB_DONE;
	pw_dec_init(&dec, d->dns);
	struct pw_dns_set *set = pw_dns_set_dec(&dec, w->pool);
	if (set == NULL)
		return PW_DB_DONE; /* the record matters more */
	for (size_t i = 0; i < pw_dns_set_count(set); i++) {
		enum pw_db_rc rc =
		    one_answer(w, pw_dns_set_at(set, i), day);
		if (rc != PW_DB_DONE && rc != PW_DB_BAD)
			return rc;
	}
	return PW_DB_DONE;
}

/* ---- the decision -------------------------------------------------------- */

static void
bind_decision(struct pw_writer *w, struct pw_q *q, const struct pw_decision *d,
    const struct pw_meta *m, const char *peer)
{
	pw_q_text(q, 2, pw_bytes_of(d->id.s));
	pw_q_text(q, 3, pw_bytes_of(d->session.s));
	pw_q_text(q, 4, pw_bytes_of(peer));
	pw_q_int(q, 5, d->peer_port);
	pw_q_text(q, 6, pw_bytes_of(d->listener));
	pw_q_text(q, 7, d->helo);
	pw_q_text(q, 8, pw_bytes_of(d->rdns));
	pw_q_text(q, 9, pw_bytes_of(d->tls));
	pw_q_int(q, 10, (d->esmtp ? 1 : 0) | (d->smtputf8 ? 2 : 0));
	pw_q_text(q, 11, d->mail_from);
	pw_q_text(q, 12, m != NULL ? m->message_id : PW_LIT(""));
	pw_q_int(q, 13, (int64_t)d->size);
	pw_q_text(q, 14, pw_bytes_of(d->reply));
	pw_q_int(q, 15, d->action);
	pw_q_text(q, 16, pw_bytes_of(d->step));
	pw_q_real(q, 17, d->score);
	pw_q_text(q, 18, pw_bytes_of(d->auth_results));
	pw_q_int(q, 19, (int64_t)d->config_generation);
	pw_q_text(q, 20, pw_strbuf_bytes(&w->evidence));
	pw_q_text(q, 21, pw_strbuf_bytes(&w->runs));
	pw_q_blob(q, 22, pw_strbuf_bytes(&w->dns));
	pw_q_int(q, 23, d->kind);
	pw_q_int(q, 24, d->count > 1 ? d->count : 1);
	pw_q_int(q, 25, d->net);
	pw_q_int(q, 26, d->until_us);
	pw_q_blob(q, 27, d->recording);
}

/* Id of the decision TID, or DONE without a row. */
static enum pw_db_rc
id_of(struct pw_writer *w, struct pw_bytes tid, int64_t *id)
{
	struct pw_q *q = pw_q(w->dc, PW_Q_DECISION_ID);

	pw_q_text(q, 1, tid);
	enum pw_db_rc rc = pw_q_step(q);
	if (rc == PW_DB_ROW)
		*id = pw_q_i64(q, 0);
	pw_q_reset(q);
	return rc;
}

/* EXISTS with *ID when the transaction is on record already. */
static enum pw_db_rc
add_decision(struct pw_writer *w, const struct pw_decision *d,
    const struct pw_meta *m, int64_t *id)
{
	char peer[PW_IP_STRLEN];
	enum pw_db_rc rc;

	if ((rc = all_answers(w, d)) != PW_DB_DONE)
		return rc;
	pw_record_evidence(&w->evidence, d);
	pw_record_runs(&w->runs, d);
	pw_ip_format(&d->peer, peer);
	*id = d->time_us;
	for (int i = 0; i < PROBES; i++, (*id)++) {
		struct pw_q *q = pw_q(w->dc, PW_Q_DECISION_ADD);
		pw_q_int(q, 1, *id);
		bind_decision(w, q, d, m, peer);
		if ((rc = pw_q_run(q)) != PW_DB_EXISTS)
			return rc;
		/* Its transaction, or only its microsecond? */
		int64_t there = *id;
		if ((rc = id_of(w, pw_bytes_of(d->id.s), &there)) ==
		    PW_DB_ROW) {
			*id = there;
			return PW_DB_EXISTS;
		}
		if (rc != PW_DB_DONE)
			return rc;
	}
	return PW_DB_BAD;
}

/* By whom it is found: network of the client, sender and Message-ID. */
static enum pw_db_rc
name_decision(struct pw_writer *w, int64_t id, const struct pw_decision *d,
    const struct pw_meta *m)
{
	enum pw_db_rc rc = PW_DB_DONE;

	if (d->peer.family != 0)
		rc = add_find(w, pw_network_hash(w->dc_key, &d->peer), id);
	if (rc == PW_DB_DONE && d->mail_from.len > 0)
		rc = add_find(w, address_hash(w, d->mail_from), id);
	if (rc == PW_DB_DONE && m != NULL && m->message_id.len > 0)
		rc = add_find(w, pw_key_hash(w->dc_key, m->message_id), id);
	return rc;
}

/* The list entries of a recipient as the row has them, in w->enc. */
static struct pw_bytes
lists_of(struct pw_writer *w, const struct pw_decision_rcpt *r)
{
	if (r->nentry == 0)
		return PW_LIT("");
	pw_enc_reset(&w->enc);
	pw_list_enc(&w->enc, r->entry, r->nentry);
	struct pw_bytes b = pw_enc_done(&w->enc);
	return b.ptr != NULL ? b : PW_LIT("");
}

static struct pw_bytes
domain_of(struct pw_bytes address)
{
	ptrdiff_t at = pw_bytes_rchr(address, '@');

	return at >= 0 ?
	    pw_bytes_sub(address, (size_t)at + 1, address.len) :
	    PW_LIT("");
}

static enum pw_db_rc
add_rcpt(struct pw_writer *w, int64_t id, size_t n,
    const struct pw_decision_rcpt *r)
{
	struct pw_q *q = pw_q(w->dc, PW_Q_RCPT_ADD);
	char mailbox[PW_ADDR_SIZE], given[PW_ADDR_SIZE];
	struct pw_bytes gdomain =
	    domain_of(pw_addr_key(r->given, given));
	struct pw_bytes domain = r->mailbox.len > 0 ?
	    domain_of(pw_addr_key(r->mailbox, mailbox)) :
	    gdomain;

	pw_q_int(q, 1, id);
	pw_q_int(q, 2, (int64_t)n);
	pw_q_text(q, 3, r->given);
	pw_q_text(q, 4, r->mailbox);
	pw_q_text(q, 5, domain);
	pw_q_int(q, 6, r->action);
	pw_q_text(q, 7, pw_bytes_of(r->reply));
	pw_q_text(q, 8, pw_bytes_of(r->fate));
	pw_q_text(q, 9, pw_bytes_of(r->step));
	pw_q_real(q, 10, r->score);
	pw_q_blob(q, 11, lists_of(w, r));
	pw_q_text(q, 12, pw_bytes_eq(domain, gdomain) ? PW_LIT("") : gdomain);
	enum pw_db_rc rc = pw_q_run(q);
	if (rc == PW_DB_DONE)
		rc = add_find(w, address_hash(w, r->given), id);
	if (rc == PW_DB_DONE && r->mailbox.len > 0 &&
	    !pw_bytes_eq(r->mailbox, r->given))
		rc = add_find(w, address_hash(w, r->mailbox), id);
	return rc;
}

static enum pw_db_rc
add_filed(struct pw_writer *w, int64_t id, const struct pw_filed *f)
{
	struct pw_q *q = pw_q(w->dc, PW_Q_FILED_ADD);

	pw_q_int(q, 1, pw_file_stamp(f->base));
	pw_q_text(q, 2, f->base);
	pw_q_int(q, 3, address_hash(w, f->mailbox));
	pw_q_int(q, 4, id);
	pw_q_int(q, 5, (int64_t)f->rcpt);
	pw_q_int(q, 6, (int64_t)f->prefix);
	return pw_q_run(q);
}

enum pw_db_rc
pw_writer_record(struct pw_writer *w, const struct pw_op *op,
    const struct pw_decision *d, const struct pw_meta *m, int64_t *id)
{
	enum pw_db_rc rc = add_decision(w, d, m, id);

	/* On record already: a replay, or this batch once more.  All rows of a
	 * decision are of one transaction; but a replay may bring files that
	 * it made under other names. */
	if (rc == PW_DB_DONE) {
		rc = name_decision(w, *id, d, m);
		for (size_t i = 0; rc == PW_DB_DONE && i < d->nrcpt; i++)
			rc = add_rcpt(w, *id, i, &d->rcpt[i]);
	} else if (rc == PW_DB_EXISTS)
		rc = PW_DB_DONE;
	for (size_t i = 0; rc == PW_DB_DONE && i < op->nfiles; i++)
		rc = add_filed(w, *id, &op->files[i]);
	return rc;
}

enum pw_db_rc
pw_writer_cut_row(struct pw_writer *w, const struct pw_op *op)
{
	int64_t id = 0;
	enum pw_db_rc rc = id_of(w, op->tid, &id);

	if (rc != PW_DB_ROW)
		return rc == PW_DB_DONE ? PW_DB_BAD : rc;
	struct pw_q *q = pw_q(w->dc, PW_Q_CUT_ADD);
	pw_q_text(q, 1, op->tid);
	pw_q_int(q, 2, (int64_t)op->offset);
	pw_q_blob(q, 3, op->text);
	pw_q_int(q, 4, id);
	return pw_q_run(q);
}

enum pw_db_rc
pw_writer_origin(struct pw_writer *w, const struct pw_filed *f,
    struct pw_origin *o)
{
	struct pw_q *q = pw_q(w->dc, PW_Q_FILED_GET);

	*o = (struct pw_origin){ .tid = PW_LIT(""), .auth = PW_LIT("") };
	pw_q_int(q, 1, pw_file_stamp(f->base));
	pw_q_text(q, 2, f->base);
	pw_q_int(q, 3, address_hash(w, f->mailbox));
	enum pw_db_rc rc = pw_q_step(q);
	if (rc == PW_DB_ROW) {
		o->tid = pw_pool_copy(w->pool, pw_q_bytes(q, 0));
		o->auth = pw_pool_copy(w->pool, pw_q_bytes(q, 1));
		o->prefix = (uint64_t)pw_q_i64(q, 2);
		o->has_action = !pw_q_is_null(q, 3);
		o->action = pw_q_i64(q, 3);
		rc = PW_DB_DONE;
	}
	pw_q_reset(q);
	return rc;
}
