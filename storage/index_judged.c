/* SPDX-License-Identifier: ISC */
/*
 * Messages in the order in which they came, with all that a judgement rested
 * on.  The program postward, as the store's user.
 */
#include <errno.h>

#include "net/codec.h"
#include "net/listcode.h"
#include "storage/index_private.h"

#define MISSING_MAX 64
#define SET_MAX (1u << 20)

static int
copy_text(struct pw_pool *pool, struct pw_q *q, int col, const char **out)
{
	*out = pw_pool_cstr(pool, pw_q_bytes(q, col));
	return *out == NULL ? -1 : 0;
}

static int
copy_bytes(struct pw_pool *pool, struct pw_q *q, int col, struct pw_bytes *out)
{
	*out = pw_pool_copy(pool, pw_q_bytes(q, col));
	return out->ptr == NULL ? -1 : 0;
}

static int
read_row(struct pw_q *q, struct pw_pool *pool, struct pw_judged *j,
    struct pw_index_dns *dns)
{
	struct pw_bytes peer = pw_q_bytes(q, 2), rows = pw_q_bytes(q, 13);

	j->time_us = pw_q_i64(q, 0);
	(void)pw_ip_parse(peer, &j->peer);
	j->port = (uint16_t)pw_q_i64(q, 3);
	j->size = (uint64_t)pw_q_i64(q, 6);
	j->action = (uint8_t)pw_q_i64(q, 8);
	j->score = pw_q_f64(q, 10);
	dns->len = rows.len < sizeof(dns->hash) ? rows.len : sizeof(dns->hash);
	if (dns->len > 0)
		memcpy(dns->hash, rows.ptr, dns->len);
	return copy_text(pool, q, 1, &j->tid) |
	    copy_text(pool, q, 4, &j->listener) |
	    copy_bytes(pool, q, 5, &j->mail_from) |
	    copy_text(pool, q, 7, &j->reply) | copy_text(pool, q, 9, &j->step) |
	    copy_bytes(pool, q, 11, &j->evidence) |
	    copy_bytes(pool, q, 12, &j->recording);
}

/* A set in its encoded form is its answers behind their number. */
static int
read_dns(struct pw_db *db, struct pw_pool *pool, struct pw_judged *j,
    const struct pw_index_dns *dns)
{
	struct pw_enc e;
	size_t mark;
	uint32_t n = 0;

	pw_enc_init(&e, SET_MAX);
	mark = pw_enc_mark(&e);
	for (size_t i = 0; i + 8 <= dns->len; i += 8) {
		uint64_t hash = 0;

		for (size_t k = 0; k < 8; k++)
			hash = hash << 8 | (unsigned char)dns->hash[i + k];
		struct pw_q *q = pw_q(db, PW_Q_DNS_READ);
		pw_q_int(q, 1, (int64_t)hash);
		if (pw_q_step(q) == PW_DB_ROW) {
			struct pw_bytes b = pw_q_bytes(q, 0);

			for (size_t k = 0; k < b.len; k++)
				pw_enc_u8(&e, (uint8_t)b.ptr[k]);
			n++;
		}
		pw_q_reset(q);
	}
	pw_enc_patch(&e, mark, n);
	if (pw_enc_done(&e).ptr != NULL)
		j->dns = pw_pool_copy(pool, pw_enc_done(&e));
	pw_enc_free(&e);
	return j->dns.ptr == NULL ? -1 : 0;
}

static int
read_rcpt(struct pw_q *q, struct pw_pool *pool, struct pw_decision_rcpt *r)
{
	struct pw_bytes lists = pw_q_bytes(q, 8);
	struct pw_dec d;

	r->action = (uint8_t)pw_q_i64(q, 3);
	r->score = pw_q_f64(q, 7);
	r->reply = r->fate = "";
	pw_dec_init(&d, lists);
	if (lists.len > 0)
		r->entry = pw_list_dec(&d, pool, &r->nentry);
	return copy_bytes(pool, q, 0, &r->given) |
	    copy_bytes(pool, q, 1, &r->mailbox) |
	    copy_text(pool, q, 6, &r->step) | pw_dec_end(&d);
}

static int
read_rcpts(struct pw_db *db, struct pw_pool *pool, struct pw_judged *j)
{
	struct pw_q *q = pw_q(db, PW_Q_RCPT_LIST);
	size_t room = 0;
	int rc = 0;

	pw_q_int(q, 1, j->time_us);
	while (rc == 0 && pw_q_step(q) == PW_DB_ROW) {
		/* Those that were refused at RCPT were never judged. */
		if (pw_q_bytes(q, 1).len == 0 || pw_q_bytes(q, 6).len == 0)
			continue;
		if (j->nrcpt == room) {
			struct pw_decision_rcpt *more = pw_pool_array(pool,
			    room = room * 2 + 8, sizeof(*more));

			if (more == NULL) {
				rc = -1;
				continue;
			}
			if (j->nrcpt > 0)
				memcpy(more, j->rcpt,
				    j->nrcpt * sizeof(*more));
			j->rcpt = more;
		}
		rc = read_rcpt(q, pool, &j->rcpt[j->nrcpt++]);
	}
	pw_q_reset(q);
	return rc;
}

static int
read_missing(struct pw_db *db, struct pw_pool *pool, struct pw_judged *j)
{
	struct pw_q *q = pw_q(db, PW_Q_CUT_LIST);

	j->missing = pw_pool_array(pool, MISSING_MAX, sizeof(*j->missing));
	if (j->missing == NULL)
		return -1;
	pw_q_str(q, 1, j->tid);
	while (pw_q_step(q) == PW_DB_ROW) {
		struct pw_missing *m = &j->missing[j->nmissing];

		if (j->nmissing == MISSING_MAX ||
		    copy_bytes(pool, q, 1, &m->bytes) != 0) {
			pw_q_reset(q);
			return -1;
		}
		m->offset = (uint64_t)pw_q_i64(q, 0);
		j->nmissing++;
	}
	return 0;
}

int
pw_index_judged(struct pw_index *x, int64_t after_us, int64_t until_us,
    struct pw_pool *pool, struct pw_judged **out, struct pw_err *err)
{
	struct pw_db *db = pw_index_db(x, PW_DB_DECISIONS, err);
	struct pw_judged *j = pw_pool_alloc(pool, sizeof(*j));
	struct pw_index_dns dns;
	int bad;

	*out = NULL;
	if (db == NULL)
		return -1;
	if (j == NULL)
		return pw_err_set(err, ENOMEM, "no memory");
	struct pw_q *q = pw_q(db, PW_Q_JUDGED_NEXT);
	pw_q_int(q, 1, after_us);
	pw_q_int(q, 2, until_us);
	enum pw_db_rc rc = pw_q_step(q);
	if (rc != PW_DB_ROW)
		return pw_index_end(db, rc, err);
	bad = read_row(q, pool, j, &dns);
	pw_q_reset(q);
	if (bad != 0 || read_dns(db, pool, j, &dns) != 0 ||
	    read_rcpts(db, pool, j) != 0 ||
	    read_missing(db, pool, j) != 0)
		return pw_err_set(err, EIO, "a record of decisions.db at %lld "
		    "is malformed or too large",
		    (long long)after_us);
	*out = j;
	return 0;
}
