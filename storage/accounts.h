/* SPDX-License-Identifier: ISC */
/*
 * accounts.db: domains, mailboxes, aliases, password hashes, quotas.  Rollback
 * journal, readable by Dovecot's group, written by us only.  Used by the store
 * role (and by `postward` when the daemon is not running), on one thread.
 *
 * Addresses are kept in one form: domain as lower-case A-labels (RFC 5891),
 * local part lower-case NFC.  Compared without case.
 *
 * The file is made with mode 0640: its group is Dovecot's way in.
 */
#ifndef PW_STORAGE_ACCOUNTS_H
#define PW_STORAGE_ACCOUNTS_H

#include "base/err.h"
#include "base/listentry.h"
#include "base/strbuf.h"

struct pw_accounts;

int pw_accounts_open(const char *state_dir, const char *mailbox_template,
    bool create, struct pw_accounts **out, struct pw_err *err);
void pw_accounts_close(struct pw_accounts **a);
/* How long to wait when another program has the file locked: 2 s unless told
 * otherwise here; 0 for a thread that must not wait. */
void pw_accounts_patience(struct pw_accounts *a, unsigned ms);

/* ADDRESS or DOMAIN to the kept form, in OUT (of 320). -1 and ERR: what is
 * wrong and what to write. */
int pw_accounts_canon(const char *address, char *out, struct pw_err *err);
int pw_accounts_canon_domain(const char *domain, char *out, struct pw_err *err);

/* All: 0, or -1 with a line for the admin (code EEXIST, ENOENT, EINVAL...). */
int pw_accounts_domain_add(struct pw_accounts *a, const char *domain,
    struct pw_err *err);
int pw_accounts_domain_remove(struct pw_accounts *a, const char *domain,
    struct pw_err *err); /* refused while it has mailboxes or aliases */
/* PASSWORD: plain, or a hash as password.h knows it, which is kept as it is
 * (hashing takes some 50 ms: programs do it before they ask a loop's thread);
 * NULL: none, cannot log in.  QUOTA in bytes, 0: none.  The path is fixed now,
 * by the template; a mailbox is refused where another one lies. */
int pw_accounts_mailbox_add(struct pw_accounts *a, const char *address,
    const char *password, uint64_t quota, struct pw_err *err);
int pw_accounts_mailbox_remove(struct pw_accounts *a, const char *address,
    struct pw_err *err); /* the mail stays where it is */
int pw_accounts_mailbox_passwd(struct pw_accounts *a, const char *address,
    const char *password, struct pw_err *err);
int pw_accounts_mailbox_quota(struct pw_accounts *a, const char *address,
    uint64_t quota, struct pw_err *err);
/* SOURCE is an address, or "@domain" for a catch-all.  A target that is not a
 * local mailbox (or alias) is refused, and so is a circle.  A mailbox of the
 * same name as SOURCE goes on getting its mail, beside the targets. */
int pw_accounts_alias_add(struct pw_accounts *a, const char *source,
    const char *target, struct pw_err *err);
int pw_accounts_alias_remove(struct pw_accounts *a, const char *source,
    const char *target /* NULL: all */, struct pw_err *err);
/* Lines "address[,password[,quota]]", '#' comments; all or nothing, errors as
 * "line N: ..." in REPORT (the first 100).  COUNT: mailboxes made.  A password
 * that holds a comma stands in double quotes, "" in it is one; hashes need
 * none.  Plain passwords are hashed on up to 4 threads meanwhile. */
int pw_accounts_import(struct pw_accounts *a, struct pw_bytes text,
    size_t *count, struct pw_strbuf *report);

/* Walks; stop by returning non-zero.  The strings hold during the call, and no
 * other walk may be begun in it. */
typedef int (*pw_accounts_each)(void *arg, const char *a, const char *b,
    uint64_t n);
int pw_accounts_domains(struct pw_accounts *a, pw_accounts_each fn, void *arg,
    struct pw_err *err); /* domain, "", mailboxes */
int pw_accounts_mailboxes(struct pw_accounts *a, const char *domain_or_null,
    pw_accounts_each fn, void *arg, struct pw_err *err); /* addr, path, quota */
int pw_accounts_aliases(struct pw_accounts *a, const char *domain_or_null,
    pw_accounts_each fn, void *arg, struct pw_err *err); /* source, target */

/*
 * Allow and block lists.  PATTERN: an address of a sender, a domain (which
 * stands for those below it, too), or a network; made canonical.  RECIPIENT: a
 * mailbox or domain of ours, or "" for all.  ACTION (of block) is an enum
 * pw_action other than deliver.  COMMENT and AUTHOR: one line of UTF-8, at most
 * 200 and 100 bytes.
 */
struct pw_list_row {
	struct pw_list_entry e; /* .id, .what, .scope are made by add */
	const char *recipient, *author;
	int64_t added_us, expires_us; /* expires 0: never */
};
/* As for domains; EEXIST when the list has it for this recipient already. */
int pw_accounts_list_add(struct pw_accounts *a, const struct pw_list_row *row,
    struct pw_err *err);
int pw_accounts_list_remove(struct pw_accounts *a, enum pw_list_kind kind,
    const char *pattern, const char *recipient, struct pw_err *err);
/* All entries by pattern, expired ones too; as the walks above. */
typedef int (*pw_accounts_each_list)(void *arg, const struct pw_list_row *row);
int pw_accounts_lists(struct pw_accounts *a, pw_accounts_each_list fn,
    void *arg, struct pw_err *err);

/* Path of a mailbox below the mail root by the template; -1 when unknown, 1
 * when another program has the file locked. */
int pw_accounts_path(struct pw_accounts *a, const char *mailbox, char *out,
    size_t size);

/* Rises with each change made through this handle or found in the file. */
uint64_t pw_accounts_version(struct pw_accounts *a);

/*
 * The sealed snapshot that front answers RCPT from: a memfd, read-only, with
 * a hash table of all addresses.  OVER names mailboxes that are over quota
 * now (USAGE gives bytes; NULL: none).  -1 and ERR; the caller closes it.
 */
typedef uint64_t (*pw_usage_fn)(void *arg, struct pw_bytes mailbox);
int pw_accounts_snapshot(struct pw_accounts *a, const char *postmaster,
    pw_usage_fn usage, void *arg, struct pw_err *err);

#endif
