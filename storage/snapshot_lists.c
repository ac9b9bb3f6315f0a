/* SPDX-License-Identifier: ISC */
/*
 * Looking up the allow and block lists in the accounts snapshot: one look-up in
 * its table for each form of a sender's address, each domain above it, each
 * length of network, and each of mailbox, domain and all.  Nothing is
 * allocated.  Front, any thread.
 */
#include <stdio.h>

#include "storage/address.h"
#include "storage/snapshot_private.h"

struct search {
	const struct pw_snapshot *s;
	const struct pw_list_query *q;
	struct pw_bytes whom; /* mailbox, domain, or nothing */
	struct pw_list_entry *out;
	size_t n;
};

/* A text that ends where it says, as the writer made it. */
static const char *
text_at(const struct pw_snapshot *s, uint32_t at, size_t len)
{
	struct pw_bytes b = pw_snap_string(s, at, len + 1);

	return b.ptr != NULL && b.ptr[len] == '\0' ? b.ptr : NULL;
}

static void
take(struct search *x, const struct pw_snap_list *l)
{
	const char *pattern = text_at(x->s, l->pattern, l->pattern_len);
	const char *comment = text_at(x->s, l->comment, l->comment_len);

	if (pattern == NULL || comment == NULL || x->n == PW_LIST_HITS ||
	    (l->expires != 0 && l->expires <= x->q->now_us))
		return;
	/* From and the envelope often name the same sender. */
	for (size_t i = 0; i < x->n; i++)
		if (x->out[i].id == l->id)
			return;
	x->out[x->n++] = (struct pw_list_entry){ l->id, l->kind, l->what,
		l->scope, l->action, pattern, comment };
}

static void
look_up(struct search *x, struct pw_bytes pattern)
{
	char key[2 * PW_ADDR_SIZE + 2];
	const struct pw_snapshot *s = x->s;

	if (pattern.len >= PW_ADDR_SIZE || x->whom.len >= PW_ADDR_SIZE)
		return;
	memcpy(key, pattern.ptr, pattern.len);
	key[pattern.len] = '\n';
	if (x->whom.len > 0)
		memcpy(key + pattern.len + 1, x->whom.ptr, x->whom.len);
	const struct pw_snap_entry *e = pw_snap_find(s,
	    pw_bytes(key, pattern.len + 1 + x->whom.len));
	if (e == NULL || (e->flags & PW_SNAP_LIST) == 0 ||
	    e->target > s->h->nlists ||
	    e->ntarget > s->h->nlists - e->target)
		return;
	for (uint32_t i = 0; i < e->ntarget; i++)
		take(x, &s->lists[e->target + i]);
}

/* The address, its domain, and every domain above that: a name of DNS has at
 * most 127 labels. */
static void
look_up_sender(struct search *x, struct pw_bytes sender)
{
	char form[PW_ADDR_SIZE];
	ssize_t n = pw_addr_whole(sender, form);
	struct pw_bytes rest;

	if (n <= 0)
		return;
	rest = pw_bytes(form, (size_t)n);
	look_up(x, rest);
	for (ptrdiff_t at = pw_bytes_rchr(rest, '@'); at >= 0;
	     at = pw_bytes_chr(rest, '.')) {
		rest = pw_bytes_sub(rest, (size_t)at + 1, rest.len);
		look_up(x, rest);
	}
}

static void
look_up_client(struct search *x)
{
	const struct pw_snap_header *h = x->s->h;
	const struct pw_ip *ip = &x->q->client;
	unsigned max = ip->family == 4 ? 32 : ip->family == 6 ? 128 : 0;

	for (unsigned bits = 0; max > 0 && bits <= max; bits++) {
		uint64_t word = ip->family == 4 ? h->bits4 :
						  h->bits6[bits / 64];
		char text[PW_IP_STRLEN + 5];
		struct pw_ip net;
		size_t n;

		if ((word >> bits % 64 & 1) == 0)
			continue;
		net = pw_ip_mask(ip, bits);
		pw_ip_format(&net, text);
		n = strlen(text);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "/%u", bits);
		look_up(x, pw_bytes(text, n));
	}
}

/* Mailbox, its domain, all. */
static struct pw_bytes
whom(struct pw_bytes mailbox, int i)
{
	ptrdiff_t at = pw_bytes_rchr(mailbox, '@');

	return i == 0 ? mailbox : i == 1 && at >= 0 ?
	    pw_bytes_sub(mailbox, (size_t)at + 1, mailbox.len) :
	    pw_bytes("", 0);
}

size_t
pw_snapshot_lists(const struct pw_snapshot *s, const struct pw_list_query *q,
    struct pw_list_entry out[PW_LIST_HITS])
{
	struct search x = { .s = s, .q = q, .out = out };

	if (s->h->nlists == 0)
		return 0;
	for (int i = 0; i < 3; i++) {
		x.whom = whom(q->mailbox, i);
		if (i < 2 && x.whom.len == 0)
			continue;
		look_up_client(&x);
		for (size_t k = 0; k < q->nsender; k++)
			look_up_sender(&x, q->sender[k]);
	}
	return x.n;
}

bool
pw_snapshot_may_allow(const struct pw_snapshot *s, struct pw_bytes mailbox)
{
	char key[PW_ADDR_SIZE + 1] = "\n";

	for (int i = 0; i < 3 && s->h->nlists > 0; i++) {
		struct pw_bytes name = whom(mailbox, i);

		if (name.len >= PW_ADDR_SIZE)
			continue;
		if (name.len > 0)
			memcpy(key + 1, name.ptr, name.len);
		const struct pw_snap_entry *e = pw_snap_find(s,
		    pw_bytes(key, name.len + 1));
		if (e != NULL && (e->flags & PW_SNAP_ALLOWS) != 0)
			return true;
	}
	return false;
}
