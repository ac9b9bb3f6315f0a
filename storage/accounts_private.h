/* SPDX-License-Identifier: ISC */
/* What the files of accounts share. */
#ifndef PW_STORAGE_ACCOUNTS_PRIVATE_H
#define PW_STORAGE_ACCOUNTS_PRIVATE_H

#include "storage/accounts.h"
#include "storage/address.h"
#include "storage/db.h"

/* Aliases that lead to aliases; also the bound of the snapshot's lookups. */
#define PW_ALIAS_DEPTH_MAX 10

struct pw_accounts {
	struct pw_db *db;
	char *state_dir;
	char *path;      /* of accounts.db */
	char *mailboxes; /* template of their paths */
	unsigned busy_ms; /* wait for locks of others */
	uint64_t version;
	int64_t data_version; /* of SQLite: changes of other connections */
	uint64_t warned; /* version that the snapshot's warnings were of */
};

/* What the database said as a line for the admin; always -1. */
int pw_accounts_fail(struct pw_accounts *a, enum pw_db_rc rc,
    struct pw_err *err);
/* One transaction: begin, then end with what the work in it returned. */
int pw_accounts_begin(struct pw_accounts *a, struct pw_err *err);
int pw_accounts_end(struct pw_accounts *a, int result, struct pw_err *err);

/* Row id of the domain of ADDRESS (canonical; or of a bare domain); -1 with
 * ENOENT when it is not ours. */
int pw_accounts_domain_of(struct pw_accounts *a, const char *address,
    int64_t *id, struct pw_err *err);
/* 1 there, 0 not, -1 failure: a mailbox, an alias source. */
int pw_accounts_is_mailbox(struct pw_accounts *a, const char *address,
    struct pw_err *err);
int pw_accounts_is_alias(struct pw_accounts *a, const char *source,
    struct pw_err *err);
/* One row, inside a transaction; ADDRESS canonical, HASH or NULL. */
int pw_accounts_insert(struct pw_accounts *a, const char *address,
    const char *hash, uint64_t quota, struct pw_err *err);
/* Canonical form of an address that a mailbox or alias may have. */
int pw_accounts_canon_own(const char *address, char *out, struct pw_err *err);
/* PASSWORD as it is kept: hashed unless it is a hash. "" when it is NULL. */
int pw_accounts_hash(const char *password, char *out, struct pw_err *err);

/* Entries that were for one mailbox or domain go with it. */
int pw_accounts_forget_lists(struct pw_accounts *a, const char *recipient,
    struct pw_err *err);

/* The template's checks, and its result for a canonical address. */
int pw_accounts_template_ok(const char *text, struct pw_err *err);
int pw_accounts_expand(const char *text, const char *address, char *out,
    size_t size);

#endif
