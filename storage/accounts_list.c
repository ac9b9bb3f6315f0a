/* SPDX-License-Identifier: ISC */
/*
 * Allow and block lists in accounts.db: entries in one form, for recipients
 * that are ours.  Same callers as accounts.c.
 */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "storage/accounts_private.h"
#include "storage/decision.h"

#define COMMENT_MAX 200
#define AUTHOR_MAX 100

/* "192.0.2.1", "2001:db8::/32" as network with its length; 1 when it is none,
 * -1 and ERR when it is meant to be one. */
static int
canon_network(const char *text, char *out, struct pw_err *err)
{
	char ip[PW_IP_STRLEN];
	struct pw_net net;

	if (pw_net_parse(pw_bytes_of(text), &net) != 0)
		return strchr(text, '/') == NULL ? 1 :
		    pw_err_set(err, EINVAL,
			"\"%.100s\" is no network; write it like 192.0.2.0/24, "
			"with zeros behind its bits",
			text);
	pw_ip_format(&net.ip, ip);
	(void)snprintf(out, PW_ADDR_SIZE, "%s/%u", ip, (unsigned)net.bits);
	return 0;
}

/* PATTERN as it is kept, and what it is. */
static int
canon_pattern(const char *pattern, char *out, uint8_t *what,
    struct pw_err *err)
{
	int net = canon_network(pattern, out, err);

	if (net <= 0) {
		*what = PW_LIST_NETWORK;
		return net;
	}
	if (pattern[0] == '@')
		pattern++;
	*what = strchr(pattern, '@') != NULL ? PW_LIST_ADDRESS :
					       PW_LIST_DOMAIN;
	if (strlen(pattern) >= PW_ADDR_SIZE / 2)
		return pw_err_set(err, EINVAL, "\"%.60s...\" is too long",
		    pattern);
	return pw_accounts_canon(pattern, out, err);
}

/* A mailbox or domain that is ours; what is gone already is well to remove. */
static int
canon_recipient(const char *recipient, char *out, uint8_t *scope,
    struct pw_err *err)
{
	out[0] = '\0';
	*scope = PW_LIST_FOR_ALL;
	if (recipient[0] == '\0')
		return 0;
	*scope = strchr(recipient, '@') != NULL ? PW_LIST_FOR_MAILBOX :
						  PW_LIST_FOR_DOMAIN;
	return pw_accounts_canon(recipient, out, err);
}

static int
check_recipient(struct pw_accounts *a, const char *name, uint8_t scope,
    struct pw_err *err)
{
	int64_t id;

	if (scope == PW_LIST_FOR_DOMAIN)
		return pw_accounts_domain_of(a, name, &id, err);
	if (scope == PW_LIST_FOR_MAILBOX) {
		int box = pw_accounts_is_mailbox(a, name, err);
		if (box == 0)
			return pw_err_set(err, ENOENT,
			    "%s is no mailbox here; lists are kept for "
			    "mailboxes and domains of ours",
			    name);
		return box > 0 ? 0 : -1;
	}
	return 0;
}

static int
check_texts(const struct pw_list_row *row, struct pw_err *err)
{
	struct pw_bytes ok;

	if (row->e.comment[0] != '\0' &&
	    pw_valid_utf8_text(pw_peer(pw_bytes_of(row->e.comment)),
		COMMENT_MAX, &ok) != 0)
		return pw_err_set(err, EINVAL,
		    "a comment is one line of at most %d bytes", COMMENT_MAX);
	if (row->author[0] != '\0' &&
	    pw_valid_utf8_text(pw_peer(pw_bytes_of(row->author)), AUTHOR_MAX,
		&ok) != 0)
		return pw_err_set(err, EINVAL,
		    "an author is one line of at most %d bytes", AUTHOR_MAX);
	if (row->e.kind == PW_LIST_BLOCK && (row->e.action == PW_ACT_DELIVER ||
		row->e.action > PW_ACT_DISCARD))
		return pw_err_set(err, EINVAL, "a block entry's action is one "
		    "of junk, hold, refuse-keep, refuse, defer, discard");
	if (row->expires_us != 0 && row->expires_us <= pw_clock_real_us())
		return pw_err_set(err, EINVAL, "it would have expired already");
	return 0;
}

static int
insert(struct pw_accounts *a, const struct pw_list_row *row,
    const char *pattern, const char *recipient, struct pw_err *err)
{
	struct pw_q *q = pw_q(a->db, PW_Q_LISTS_ADD);

	pw_q_int(q, 1, row->e.kind);
	pw_q_int(q, 2, row->e.what);
	pw_q_str(q, 3, pattern);
	pw_q_str(q, 4, recipient);
	pw_q_int(q, 5, row->e.kind == PW_LIST_BLOCK ? row->e.action : 0);
	pw_q_str(q, 6, row->e.comment);
	pw_q_str(q, 7, row->author);
	pw_q_int(q, 8, row->added_us);
	pw_q_int(q, 9, row->expires_us);
	enum pw_db_rc rc = pw_q_run(q);
	if (rc == PW_DB_EXISTS)
		return pw_err_set(err, EEXIST,
		    "%s is on that list already%s%s; remove it first", pattern,
		    recipient[0] != '\0' ? " for " : "", recipient);
	return rc == PW_DB_DONE ? 0 : pw_accounts_fail(a, rc, err);
}

int
pw_accounts_list_add(struct pw_accounts *a, const struct pw_list_row *row,
    struct pw_err *err)
{
	char pattern[PW_ADDR_SIZE], recipient[PW_ADDR_SIZE];
	struct pw_list_row r = *row;
	int rc;

	if (canon_pattern(row->e.pattern, pattern, &r.e.what, err) != 0 ||
	    canon_recipient(row->recipient, recipient, &r.e.scope, err) != 0 ||
	    check_texts(row, err) != 0 || pw_accounts_begin(a, err) != 0)
		return -1;
	rc = check_recipient(a, recipient, r.e.scope, err);
	if (rc == 0)
		rc = insert(a, &r, pattern, recipient, err);
	return pw_accounts_end(a, rc, err);
}

static int
list_remove(struct pw_accounts *a, enum pw_list_kind kind, const char *pattern,
    const char *recipient, struct pw_err *err)
{
	struct pw_q *q = pw_q(a->db, PW_Q_LISTS_REMOVE);

	pw_q_str(q, 1, pattern);
	pw_q_str(q, 2, recipient);
	pw_q_int(q, 3, (int64_t)kind);
	enum pw_db_rc rc = pw_q_run(q);
	if (rc != PW_DB_DONE)
		return pw_accounts_fail(a, rc, err);
	if (pw_db_changes(a->db) == 0)
		return pw_err_set(err, ENOENT, "%s is not on that list %s%s",
		    pattern, recipient[0] != '\0' ? "for " : "for all",
		    recipient);
	return 0;
}

int
pw_accounts_list_remove(struct pw_accounts *a, enum pw_list_kind kind,
    const char *pattern, const char *recipient, struct pw_err *err)
{
	char name[PW_ADDR_SIZE], who[PW_ADDR_SIZE];
	uint8_t what, scope;

	if (canon_pattern(pattern, name, &what, err) != 0 ||
	    canon_recipient(recipient, who, &scope, err) != 0 ||
	    pw_accounts_begin(a, err) != 0)
		return -1;
	return pw_accounts_end(a, list_remove(a, kind, name, who, err), err);
}

int
pw_accounts_forget_lists(struct pw_accounts *a, const char *recipient,
    struct pw_err *err)
{
	struct pw_q *q = pw_q(a->db, PW_Q_LISTS_REMOVE_FOR);

	pw_q_str(q, 1, recipient);
	enum pw_db_rc rc = pw_q_run(q);
	return rc == PW_DB_DONE ? 0 : pw_accounts_fail(a, rc, err);
}

static uint8_t
scope_of(const char *recipient)
{
	return recipient[0] == '\0' ? PW_LIST_FOR_ALL :
	    strchr(recipient, '@') != NULL ? PW_LIST_FOR_MAILBOX :
					     PW_LIST_FOR_DOMAIN;
}

int
pw_accounts_lists(struct pw_accounts *a, pw_accounts_each_list fn, void *arg,
    struct pw_err *err)
{
	struct pw_q *q = pw_q(a->db, PW_Q_LISTS_ALL);
	enum pw_db_rc rc;

	while ((rc = pw_q_step(q)) == PW_DB_ROW) {
		/* SQLite puts a NUL behind every text. */
		struct pw_list_row row = {
			.e = { .id = pw_q_i64(q, 0),
			    .kind = (uint8_t)pw_q_i64(q, 1),
			    .what = (uint8_t)pw_q_i64(q, 2),
			    .pattern = pw_q_bytes(q, 3).ptr,
			    .action = (uint8_t)pw_q_i64(q, 5),
			    .comment = pw_q_bytes(q, 6).ptr },
			.recipient = pw_q_bytes(q, 4).ptr,
			.author = pw_q_bytes(q, 7).ptr,
			.added_us = pw_q_i64(q, 8),
			.expires_us = pw_q_i64(q, 9) };

		row.e.scope = scope_of(row.recipient);
		if (fn(arg, &row) != 0) {
			pw_q_reset(q);
			return 0;
		}
	}
	return rc == PW_DB_DONE ? 0 : pw_accounts_fail(a, rc, err);
}
