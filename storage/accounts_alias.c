/* SPDX-License-Identifier: ISC */
/*
 * Aliases: one source to one or several targets, which are mailboxes or other
 * aliases of ours.  A mailbox that is a source as well gets its mail beside the
 * targets.  Also the walks over all tables.  Same callers as accounts.c.
 */
#include <errno.h>

#include "storage/accounts_private.h"

int
pw_accounts_is_alias(struct pw_accounts *a, const char *source,
    struct pw_err *err)
{
	struct pw_q *q = pw_q(a->db, PW_Q_ALIAS_EXISTS);

	pw_q_str(q, 1, source);
	enum pw_db_rc rc = pw_q_step(q);
	pw_q_reset(q);
	if (rc != PW_DB_ROW && rc != PW_DB_DONE)
		return pw_accounts_fail(a, rc, err);
	return rc == PW_DB_ROW;
}

/* An address, or "@domain"; canonical. */
static int
canon_source(const char *source, char *out, struct pw_err *err)
{
	if (source[0] == '@' && strrchr(source, '@') == source) {
		out[0] = '@';
		return pw_accounts_canon_domain(source + 1, out + 1, err);
	}
	return pw_accounts_canon_own(source, out, err);
}

/* Depth first from FROM: -1 when it leads to SOURCE or deeper than it may.
 * Targets of one step are fetched whole, since the statement is used again
 * below. */
static int
check_chain(struct pw_accounts *a, const char *source, const char *from,
    int depth, size_t *budget, struct pw_err *err)
{
	struct pw_strbuf targets;
	enum pw_db_rc rc;
	int r = 0;

	if (strcmp(from, source) == 0)
		return pw_err_set(err, ELOOP,
		    "aliases would lead in a circle through %s", source);
	if (depth >= PW_ALIAS_DEPTH_MAX || *budget == 0)
		return pw_err_set(err, ELOOP,
		    "aliases would be chained deeper than %d or lead to "
		    "too many",
		    PW_ALIAS_DEPTH_MAX);
	(*budget)--;
	pw_strbuf_init(&targets, 4u << 20);
	struct pw_q *q = pw_q(a->db, PW_Q_ALIAS_TARGETS);
	pw_q_str(q, 1, from);
	while ((rc = pw_q_step(q)) == PW_DB_ROW) {
		pw_strbuf_add(&targets, pw_q_bytes(q, 0));
		pw_strbuf_addc(&targets, '\0');
	}
	if (rc != PW_DB_DONE)
		r = pw_accounts_fail(a, rc, err);
	for (size_t i = 0; r == 0 && i < targets.len;
	     i += strlen(targets.ptr + i) + 1)
		r = check_chain(a, source, targets.ptr + i, depth + 1, budget,
		    err);
	pw_strbuf_free(&targets);
	return r;
}

static int
alias_add(struct pw_accounts *a, const char *source, const char *target,
    struct pw_err *err)
{
	size_t budget = 5000;
	int64_t domain = 0;
	int box = pw_accounts_is_mailbox(a, target, err);
	int alias = pw_accounts_is_alias(a, target, err);

	if (box < 0 || alias < 0 ||
	    pw_accounts_domain_of(a, source, &domain, err) != 0)
		return -1;
	if (box == 0 && alias == 0)
		return pw_err_set(err, ENOENT,
		    "%s is no mailbox or alias here; mail for other hosts is "
		    "not forwarded",
		    target);
	if (check_chain(a, source, target, 1, &budget, err) != 0)
		return -1;
	struct pw_q *q = pw_q(a->db, PW_Q_ALIAS_ADD);
	pw_q_str(q, 1, source);
	pw_q_str(q, 2, target);
	pw_q_int(q, 3, domain);
	enum pw_db_rc rc = pw_q_run(q);
	if (rc == PW_DB_EXISTS)
		return pw_err_set(err, EEXIST, "%s leads to %s already",
		    source, target);
	return rc == PW_DB_DONE ? 0 : pw_accounts_fail(a, rc, err);
}

int
pw_accounts_alias_add(struct pw_accounts *a, const char *source,
    const char *target, struct pw_err *err)
{
	char from[PW_ADDR_SIZE], to[PW_ADDR_SIZE];

	if (canon_source(source, from, err) != 0 ||
	    pw_accounts_canon_own(target, to, err) != 0 ||
	    pw_accounts_begin(a, err) != 0)
		return -1;
	return pw_accounts_end(a, alias_add(a, from, to, err), err);
}

/* What other aliases lead to must stay something. */
static int
still_needed(struct pw_accounts *a, const char *source, struct pw_err *err)
{
	int box = pw_accounts_is_mailbox(a, source, err);
	int alias = pw_accounts_is_alias(a, source, err);

	if (box < 0 || alias < 0)
		return -1;
	if (box > 0 || alias > 0)
		return 0;
	struct pw_q *q = pw_q(a->db, PW_Q_ALIAS_USERS);
	pw_q_str(q, 1, source);
	enum pw_db_rc rc = pw_q_step(q);
	if (rc == PW_DB_ROW) {
		struct pw_bytes who = pw_q_bytes(q, 0);
		(void)pw_err_set(err, EBUSY,
		    "the alias %.*s leads to %s; remove it first",
		    (int)who.len, who.ptr, source);
	} else if (rc != PW_DB_DONE)
		(void)pw_accounts_fail(a, rc, err);
	pw_q_reset(q);
	return rc == PW_DB_DONE ? 0 : -1;
}

static int
alias_remove(struct pw_accounts *a, const char *source, const char *target,
    struct pw_err *err)
{
	struct pw_q *q = pw_q(a->db,
	    target != NULL ? PW_Q_ALIAS_REMOVE : PW_Q_ALIAS_REMOVE_ALL);

	pw_q_str(q, 1, source);
	if (target != NULL)
		pw_q_str(q, 2, target);
	enum pw_db_rc rc = pw_q_run(q);
	if (rc != PW_DB_DONE)
		return pw_accounts_fail(a, rc, err);
	if (pw_db_changes(a->db) == 0)
		return pw_err_set(err, ENOENT, "there is no alias %s%s%s",
		    source, target != NULL ? " to " : "",
		    target != NULL ? target : "");
	return still_needed(a, source, err);
}

int
pw_accounts_alias_remove(struct pw_accounts *a, const char *source,
    const char *target, struct pw_err *err)
{
	char from[PW_ADDR_SIZE], to[PW_ADDR_SIZE];

	if (canon_source(source, from, err) != 0 ||
	    (target != NULL && pw_accounts_canon(target, to, err) != 0) ||
	    pw_accounts_begin(a, err) != 0)
		return -1;
	return pw_accounts_end(a,
	    alias_remove(a, from, target != NULL ? to : NULL, err), err);
}

/* ---- walks --------------------------------------------------------------- */

static int
walk(struct pw_accounts *a, struct pw_q *q, int b_col, int n_col,
    pw_accounts_each fn, void *arg, struct pw_err *err)
{
	enum pw_db_rc rc;

	while ((rc = pw_q_step(q)) == PW_DB_ROW) {
		/* SQLite puts a NUL behind every text. */
		int stop = fn(arg, pw_q_bytes(q, 0).ptr,
		    b_col > 0 ? pw_q_bytes(q, b_col).ptr : "",
		    n_col > 0 ? (uint64_t)pw_q_i64(q, n_col) : 0);
		if (stop != 0) {
			pw_q_reset(q);
			return 0;
		}
	}
	return rc == PW_DB_DONE ? 0 : pw_accounts_fail(a, rc, err);
}

int
pw_accounts_domains(struct pw_accounts *a, pw_accounts_each fn, void *arg,
    struct pw_err *err)
{
	return walk(a, pw_q(a->db, PW_Q_DOMAIN_LIST), 0, 1, fn, arg, err);
}

/* The statement for all, or for one domain. */
static struct pw_q *
of_domain(struct pw_accounts *a, enum pw_stmt all, enum pw_stmt one,
    const char *domain, char *name, struct pw_err *err)
{
	if (domain == NULL)
		return pw_q(a->db, all);
	if (pw_accounts_canon_domain(domain, name, err) != 0)
		return NULL;
	struct pw_q *q = pw_q(a->db, one);
	pw_q_str(q, 1, name);
	return q;
}

int
pw_accounts_mailboxes(struct pw_accounts *a, const char *domain,
    pw_accounts_each fn, void *arg, struct pw_err *err)
{
	char name[PW_ADDR_DOMAIN_SIZE];
	struct pw_q *q = of_domain(a, PW_Q_MAILBOX_LIST,
	    PW_Q_MAILBOX_LIST_DOMAIN, domain, name, err);

	return q != NULL ? walk(a, q, 1, 2, fn, arg, err) : -1;
}

int
pw_accounts_aliases(struct pw_accounts *a, const char *domain,
    pw_accounts_each fn, void *arg, struct pw_err *err)
{
	char name[PW_ADDR_DOMAIN_SIZE];
	struct pw_q *q = of_domain(a, PW_Q_ALIAS_LIST, PW_Q_ALIAS_LIST_DOMAIN,
	    domain, name, err);

	return q != NULL ? walk(a, q, 1, 0, fn, arg, err) : -1;
}
