/* SPDX-License-Identifier: ISC */
/* The life of a transaction's arena. */
#include "smtp/transaction.h"

#include <unistd.h>

#define TX_MEMORY (64u << 20)

struct pw_tx *
pw_tx_new(void)
{
	struct pw_pool *pool = pw_pool_new(TX_MEMORY);
	struct pw_tx *tx = pw_pool_alloc(pool, sizeof(*tx));

	tx->pool = pool;
	tx->id = pw_id_new();
	tx->time_us = pw_clock_real_us();
	tx->fd = -1;
	return tx;
}

void
pw_tx_free(struct pw_tx **tx)
{
	struct pw_pool *pool;

	if (*tx == NULL)
		return;
	if ((*tx)->has_body)
		pw_body_free(&(*tx)->body);
	if ((*tx)->fd >= 0)
		(void)close((*tx)->fd);
	pw_snapshot_unref(&(*tx)->snapshot);
	pool = (*tx)->pool;
	*tx = NULL;
	pw_pool_free(&pool);
}

struct pw_rcpt *
pw_tx_add_rcpt(struct pw_tx *tx)
{
	if (tx->nrcpt == tx->cap) {
		size_t cap = tx->cap == 0 ? 4 : tx->cap * 2;
		struct pw_rcpt *more =
		    pw_pool_array(tx->pool, cap, sizeof(*more));

		if (more == NULL)
			return NULL;
		if (tx->nrcpt > 0)
			memcpy(more, tx->rcpt, tx->nrcpt * sizeof(*more));
		tx->rcpt = more;
		tx->cap = cap;
	}
	return &tx->rcpt[tx->nrcpt++];
}
