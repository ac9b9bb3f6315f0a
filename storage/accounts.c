/* SPDX-License-Identifier: ISC */
/*
 * accounts.db: opening it, domains and mailboxes.  Aliases are in
 * accounts_alias.c, mass import in accounts_import.c, the snapshot for front
 * in snapshot_build.c.  Store's loop thread, or the program postward while the
 * daemon is not running.
 */
#include "storage/accounts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/pool.h"
#include "storage/accounts_private.h"
#include "storage/password.h"

/* Group-readable for Dovecot; others have no business with hashes. */
#define FILE_MODE 0640
#define BUSY_MS 2000

int
pw_accounts_fail(struct pw_accounts *a, enum pw_db_rc rc, struct pw_err *err)
{
	switch (rc) {
	case PW_DB_BUSY:
		return pw_err_set(err, EBUSY,
		    "%s is locked by another program; try again", a->path);
	case PW_DB_FULL:
		return pw_err_set(err, ENOSPC, "%s: no space left", a->path);
	case PW_DB_CORRUPT:
		return pw_err_set(err, EIO,
		    "%s is damaged (%s); put a backup in its place", a->path,
		    pw_db_why(a->db));
	default:
		return pw_err_set(err, EIO, "%s: %s", a->path,
		    pw_db_why(a->db));
	}
}

static enum pw_db_rc
open_db(struct pw_accounts *a, bool create, struct pw_db **db,
    struct pw_err *err)
{
	const struct pw_db_opts opts = { .write = true,
		.create = create,
		.mode = FILE_MODE,
		.busy_ms = a->busy_ms };

	return pw_db_open(a->path, PW_DB_ACCOUNTS, &opts, db, err);
}

/* OLD where it cannot be read now: a locked file has not changed. */
static int64_t
data_version(struct pw_db *db, int64_t old)
{
	struct pw_q *q = pw_q(db, PW_Q_ACC_VERSION);
	int64_t v = pw_q_step(q) == PW_DB_ROW ? pw_q_i64(q, 0) : old;

	pw_q_reset(q);
	return v;
}

int
pw_accounts_open(const char *state_dir, const char *mailbox_template,
    bool create, struct pw_accounts **out, struct pw_err *err)
{
	size_t n = strlen(state_dir) + sizeof("/accounts.db");

	*out = NULL;
	if (pw_accounts_template_ok(mailbox_template, err) != 0)
		return pw_err_prefix(err, "store.mailbox-path");
	struct pw_accounts *a = pw_xcalloc(1, sizeof(*a));
	a->busy_ms = BUSY_MS;
	a->state_dir = pw_xstrdup(state_dir);
	a->mailboxes = pw_xstrdup(mailbox_template);
	a->path = pw_xcalloc(1, n);
	(void)snprintf(a->path, n, "%s/accounts.db", state_dir);
	if (open_db(a, create, &a->db, err) != PW_DB_DONE) {
		pw_accounts_close(&a);
		return -1;
	}
	/* So that it rises over restarts as well. */
	a->version = (uint64_t)pw_clock_real_us();
	a->data_version = data_version(a->db, 0);
	*out = a;
	return 0;
}

void
pw_accounts_close(struct pw_accounts **ap)
{
	struct pw_accounts *a = *ap;

	if (a == NULL)
		return;
	*ap = NULL;
	pw_db_close(&a->db);
	free(a->state_dir);
	free(a->mailboxes);
	free(a->path);
	free(a);
}

void
pw_accounts_patience(struct pw_accounts *a, unsigned ms)
{
	a->busy_ms = ms;
	pw_db_busy(a->db, ms);
}

/* A backup that was put in the file's place is taken up here. */
static bool
reopened(struct pw_accounts *a)
{
	struct pw_db *fresh;
	struct pw_err err;

	if (!pw_db_replaced(a->db) ||
	    open_db(a, false, &fresh, &err) != PW_DB_DONE)
		return false;
	pw_db_close(&a->db);
	a->db = fresh;
	return true;
}

uint64_t
pw_accounts_version(struct pw_accounts *a)
{
	bool fresh = reopened(a);
	int64_t v = data_version(a->db, a->data_version);

	if (fresh || v != a->data_version)
		a->version++;
	a->data_version = v;
	return a->version;
}

int
pw_accounts_begin(struct pw_accounts *a, struct pw_err *err)
{
	(void)pw_accounts_version(a);
	enum pw_db_rc rc = pw_q_exec(a->db, PW_Q_ACC_BEGIN);

	return rc == PW_DB_DONE ? 0 : pw_accounts_fail(a, rc, err);
}

int
pw_accounts_end(struct pw_accounts *a, int result, struct pw_err *err)
{
	if (result == 0) {
		enum pw_db_rc rc = pw_q_exec(a->db, PW_Q_ACC_COMMIT);
		if (rc == PW_DB_DONE) {
			a->version++;
			return 0;
		}
		result = pw_accounts_fail(a, rc, err);
	}
	if (pw_db_in_transaction(a->db))
		(void)pw_q_exec(a->db, PW_Q_ACC_ROLLBACK);
	return result;
}

/* ---- domains ------------------------------------------------------------- */

int
pw_accounts_domain_of(struct pw_accounts *a, const char *address, int64_t *id,
    struct pw_err *err)
{
	const char *at = strrchr(address, '@');
	const char *domain = at != NULL ? at + 1 : address;
	struct pw_q *q = pw_q(a->db, PW_Q_DOMAIN_ID);

	pw_q_str(q, 1, domain);
	enum pw_db_rc rc = pw_q_step(q);
	if (rc == PW_DB_ROW)
		*id = pw_q_i64(q, 0);
	pw_q_reset(q);
	if (rc == PW_DB_ROW)
		return 0;
	if (rc != PW_DB_DONE)
		return pw_accounts_fail(a, rc, err);
	return pw_err_set(err, ENOENT,
	    "%s is not one of our domains; add it first", domain);
}

int
pw_accounts_domain_add(struct pw_accounts *a, const char *domain,
    struct pw_err *err)
{
	char name[PW_ADDR_DOMAIN_SIZE];

	if (pw_accounts_canon_domain(domain, name, err) != 0 ||
	    pw_accounts_begin(a, err) != 0)
		return -1;
	struct pw_q *q = pw_q(a->db, PW_Q_DOMAIN_ADD);
	pw_q_str(q, 1, name);
	enum pw_db_rc rc = pw_q_run(q);
	int r = 0;
	if (rc == PW_DB_EXISTS)
		r = pw_err_set(err, EEXIST, "%s is there already", name);
	else if (rc != PW_DB_DONE)
		r = pw_accounts_fail(a, rc, err);
	return pw_accounts_end(a, r, err);
}

static int
domain_remove(struct pw_accounts *a, const char *name, struct pw_err *err)
{
	int64_t id = 0;

	if (pw_accounts_domain_of(a, name, &id, err) != 0)
		return -1;
	struct pw_q *q = pw_q(a->db, PW_Q_DOMAIN_IN_USE);
	pw_q_int(q, 1, id);
	enum pw_db_rc rc = pw_q_step(q);
	if (rc != PW_DB_ROW)
		return pw_accounts_fail(a, rc, err);
	int64_t boxes = pw_q_i64(q, 0), aliases = pw_q_i64(q, 1);
	pw_q_reset(q);
	if (boxes > 0 || aliases > 0)
		return pw_err_set(err, EBUSY,
		    "%s still has %lld mailboxes and %lld aliases; remove them "
		    "first",
		    name, (long long)boxes, (long long)aliases);
	q = pw_q(a->db, PW_Q_DOMAIN_REMOVE);
	pw_q_str(q, 1, name);
	rc = pw_q_run(q);
	return rc == PW_DB_DONE ? pw_accounts_forget_lists(a, name, err) :
				  pw_accounts_fail(a, rc, err);
}

int
pw_accounts_domain_remove(struct pw_accounts *a, const char *domain,
    struct pw_err *err)
{
	char name[PW_ADDR_DOMAIN_SIZE];

	if (pw_accounts_canon_domain(domain, name, err) != 0 ||
	    pw_accounts_begin(a, err) != 0)
		return -1;
	return pw_accounts_end(a, domain_remove(a, name, err), err);
}

/* ---- mailboxes ----------------------------------------------------------- */

int
pw_accounts_is_mailbox(struct pw_accounts *a, const char *address,
    struct pw_err *err)
{
	struct pw_q *q = pw_q(a->db, PW_Q_MAILBOX_GET);

	pw_q_str(q, 1, address);
	enum pw_db_rc rc = pw_q_step(q);
	pw_q_reset(q);
	if (rc != PW_DB_ROW && rc != PW_DB_DONE)
		return pw_accounts_fail(a, rc, err);
	return rc == PW_DB_ROW;
}

int
pw_accounts_hash(const char *password, char *out, struct pw_err *err)
{
	struct pw_bytes text = pw_bytes_of(password);

	out[0] = '\0';
	if (password == NULL)
		return 0;
	if (!pw_password_is_hash(text)) {
		if (pw_password_hash(text, out, err) != 0) {
			err->code = EINVAL;
			return -1;
		}
		return 0;
	}
	memcpy(out, text.ptr, text.len + 1);
	return 0;
}

/* Who lies where PATH points, for the message. */
static int
path_taken(struct pw_accounts *a, const char *address, const char *path,
    struct pw_err *err)
{
	int there = pw_accounts_is_mailbox(a, address, err);

	if (there < 0)
		return -1;
	if (there > 0)
		return pw_err_set(err, EEXIST, "%s is there already", address);
	struct pw_q *q = pw_q(a->db, PW_Q_MAILBOX_BY_PATH);
	pw_q_str(q, 1, path);
	enum pw_db_rc rc = pw_q_step(q);
	struct pw_bytes who = rc == PW_DB_ROW ? pw_q_bytes(q, 0) : PW_LIT("?");
	(void)pw_err_set(err, EEXIST,
	    "%s would lie in %s, where %.*s lies; store.mailbox-path needs %%d",
	    address, path, (int)who.len, who.ptr);
	pw_q_reset(q);
	return -1;
}

int
pw_accounts_insert(struct pw_accounts *a, const char *address,
    const char *hash, uint64_t quota, struct pw_err *err)
{
	char path[1024];
	int64_t domain = 0;

	if (quota > INT64_MAX)
		return pw_err_set(err, EINVAL, "a quota of this size makes no "
					       "sense");
	if (pw_accounts_domain_of(a, address, &domain, err) != 0)
		return -1;
	if (pw_accounts_expand(a->mailboxes, address, path, sizeof(path)) != 0)
		return pw_err_set(err, EINVAL,
		    "%s: its path by store.mailbox-path is too long", address);
	struct pw_q *q = pw_q(a->db, PW_Q_MAILBOX_ADD);
	pw_q_int(q, 1, domain);
	pw_q_str(q, 2, address);
	pw_q_str(q, 3, path);
	pw_q_str(q, 4, hash);
	pw_q_int(q, 5, (int64_t)quota);
	enum pw_db_rc rc = pw_q_run(q);
	if (rc == PW_DB_EXISTS)
		return path_taken(a, address, path, err);
	return rc == PW_DB_DONE ? 0 : pw_accounts_fail(a, rc, err);
}

int
pw_accounts_mailbox_add(struct pw_accounts *a, const char *address,
    const char *password, uint64_t quota, struct pw_err *err)
{
	char name[PW_ADDR_SIZE], hash[PW_PASSWORD_HASH_SIZE];

	if (pw_accounts_canon_own(address, name, err) != 0 ||
	    pw_accounts_hash(password, hash, err) != 0 ||
	    pw_accounts_begin(a, err) != 0)
		return -1;
	return pw_accounts_end(a,
	    pw_accounts_insert(a, name, password != NULL ? hash : NULL, quota,
		err),
	    err);
}

/* Runs Q, which changes one mailbox. */
static int
change_one(struct pw_accounts *a, struct pw_q *q, const char *name,
    struct pw_err *err)
{
	enum pw_db_rc rc = pw_q_run(q);

	if (rc != PW_DB_DONE)
		return pw_accounts_fail(a, rc, err);
	if (pw_db_changes(a->db) == 0)
		return pw_err_set(err, ENOENT, "there is no mailbox %s", name);
	return 0;
}

static int
mailbox_remove(struct pw_accounts *a, const char *name, struct pw_err *err)
{
	struct pw_q *q = pw_q(a->db, PW_Q_ALIAS_USERS);
	int alias = pw_accounts_is_alias(a, name, err);

	if (alias < 0)
		return -1;
	pw_q_str(q, 1, name);
	enum pw_db_rc rc = pw_q_step(q);
	/* An alias of the same name goes on being there for the others. */
	if (rc == PW_DB_ROW && alias == 0) {
		struct pw_bytes who = pw_q_bytes(q, 0);
		(void)pw_err_set(err, EBUSY,
		    "the alias %.*s leads to %s; remove it first",
		    (int)who.len, who.ptr, name);
		pw_q_reset(q);
		return -1;
	}
	pw_q_reset(q);
	if (rc != PW_DB_DONE && rc != PW_DB_ROW)
		return pw_accounts_fail(a, rc, err);
	q = pw_q(a->db, PW_Q_MAILBOX_REMOVE);
	pw_q_str(q, 1, name);
	if (change_one(a, q, name, err) != 0)
		return -1;
	return pw_accounts_forget_lists(a, name, err);
}

int
pw_accounts_mailbox_remove(struct pw_accounts *a, const char *address,
    struct pw_err *err)
{
	char name[PW_ADDR_SIZE];

	if (pw_accounts_canon(address, name, err) != 0 ||
	    pw_accounts_begin(a, err) != 0)
		return -1;
	return pw_accounts_end(a, mailbox_remove(a, name, err), err);
}

int
pw_accounts_mailbox_passwd(struct pw_accounts *a, const char *address,
    const char *password, struct pw_err *err)
{
	char name[PW_ADDR_SIZE], hash[PW_PASSWORD_HASH_SIZE];

	if (pw_accounts_canon(address, name, err) != 0 ||
	    pw_accounts_hash(password, hash, err) != 0 ||
	    pw_accounts_begin(a, err) != 0)
		return -1;
	struct pw_q *q = pw_q(a->db, PW_Q_MAILBOX_PASSWD);
	pw_q_str(q, 1, name);
	pw_q_str(q, 2, password != NULL ? hash : NULL);
	return pw_accounts_end(a, change_one(a, q, name, err), err);
}

int
pw_accounts_mailbox_quota(struct pw_accounts *a, const char *address,
    uint64_t quota, struct pw_err *err)
{
	char name[PW_ADDR_SIZE];

	if (quota > INT64_MAX)
		return pw_err_set(err, EINVAL, "a quota of this size makes no "
					       "sense");
	if (pw_accounts_canon(address, name, err) != 0 ||
	    pw_accounts_begin(a, err) != 0)
		return -1;
	struct pw_q *q = pw_q(a->db, PW_Q_MAILBOX_QUOTA);
	pw_q_str(q, 1, name);
	pw_q_int(q, 2, (int64_t)quota);
	return pw_accounts_end(a, change_one(a, q, name, err), err);
}

int
pw_accounts_path(struct pw_accounts *a, const char *mailbox, char *out,
    size_t size)
{
	struct pw_q *q = pw_q(a->db, PW_Q_MAILBOX_GET);
	int r = -1;

	pw_q_str(q, 1, mailbox);
	enum pw_db_rc rc = pw_q_step(q);
	if (rc == PW_DB_BUSY)
		r = 1;
	if (rc == PW_DB_ROW) {
		struct pw_bytes path = pw_q_bytes(q, 0);
		if (path.len < size) {
			memcpy(out, path.ptr, path.len);
			out[path.len] = '\0';
			r = 0;
		}
	}
	pw_q_reset(q);
	return r;
}
