/* SPDX-License-Identifier: ISC */
/*
 * Passwords as Dovecot keeps them: "{SCHEME}hash".  Hashing takes some 40-80 ms
 * of CPU and 19 MB on purpose: never on a loop that serves others.  Programs
 * hash first and hand on the result; it is taken as it is.
 */
#ifndef PW_STORAGE_PASSWORD_H
#define PW_STORAGE_PASSWORD_H

#include "base/bytes.h"
#include "base/err.h"

#define PW_PASSWORD_HASH_SIZE 256

/* Argon2id of PASSWORD (1..1,024 bytes, no NUL) with a fresh salt.  0, or -1
 * and ERR. */
int pw_password_hash(struct pw_bytes password, char out[PW_PASSWORD_HASH_SIZE],
    struct pw_err *err);
/* True when TEXT is a hash already, in a scheme that Dovecot verifies and that
 * is fit to be stored: ARGON2ID, ARGON2I, BLF-CRYPT, SHA512-CRYPT,
 * SHA256-CRYPT, PBKDF2; at most 255 printable bytes. */
bool pw_password_is_hash(struct pw_bytes text);
/* Does PASSWORD fit HASH?  Only for "{ARGON2ID}"; costs as much as hashing. */
bool pw_password_fits(struct pw_bytes password, const char *hash);

#endif
