/* SPDX-License-Identifier: ISC */
/*
 * Argon2id by libargon2 in the encoded form that Dovecot's ARGON2ID scheme
 * (libsodium) verifies; one lane, since that is all libsodium accepts.
 */
#include "storage/password.h"

#include <argon2.h>
#include <stdio.h>

#include "base/clock.h"

/* OWASP's smallest recommended setting: 19 MiB, two passes. */
#define MEMORY_KIB 19456
#define PASSES 2
#define LANES 1
#define SALT_LEN 16
#define HASH_LEN 32
#define SCHEME "{ARGON2ID}"

static const struct {
	struct pw_bytes scheme, form;
} known[] = {
	{ PW_LIT("{ARGON2ID}"), PW_LIT("$argon2id$") },
	{ PW_LIT("{ARGON2I}"), PW_LIT("$argon2i$") },
	{ PW_LIT("{BLF-CRYPT}"), PW_LIT("$2") },
	{ PW_LIT("{SHA512-CRYPT}"), PW_LIT("$6$") },
	{ PW_LIT("{SHA256-CRYPT}"), PW_LIT("$5$") },
	{ PW_LIT("{PBKDF2}"), PW_LIT("$1$") },
};

int
pw_password_hash(struct pw_bytes password, char out[PW_PASSWORD_HASH_SIZE],
    struct pw_err *err)
{
	uint8_t salt[SALT_LEN];
	size_t at = strlen(SCHEME);

	if (password.len == 0 || password.len > 1024 ||
	    pw_bytes_chr(password, '\0') >= 0)
		return pw_err_set(err, 0,
		    "a password has 1 to 1,024 bytes and no NUL");
	pw_random(salt, sizeof(salt));
	memcpy(out, SCHEME, at);
	int rc = argon2id_hash_encoded(PASSES, MEMORY_KIB, LANES, password.ptr,
	    password.len, salt, sizeof(salt), HASH_LEN, out + at,
	    PW_PASSWORD_HASH_SIZE - at);
	if (rc != ARGON2_OK)
		return pw_err_set(err, 0, "cannot hash the password: %s",
		    argon2_error_message(rc));
	return 0;
}

bool
pw_password_is_hash(struct pw_bytes text)
{
	if (text.len >= PW_PASSWORD_HASH_SIZE)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
			return false;
	for (size_t i = 0; i < PW_COUNT(known); i++) {
		struct pw_bytes rest =
		    pw_bytes_sub(text, known[i].scheme.len, text.len);
		if (pw_bytes_eq(pw_bytes_sub(text, 0, known[i].scheme.len),
			known[i].scheme) &&
		    rest.len > known[i].form.len &&
		    pw_bytes_eq(pw_bytes_sub(rest, 0, known[i].form.len),
			known[i].form))
			return true;
	}
	return false;
}

bool
pw_password_fits(struct pw_bytes password, const char *hash)
{
	size_t n = strlen(SCHEME);

	return strncmp(hash, SCHEME, n) == 0 &&
	    argon2id_verify(hash + n, password.ptr, password.len) == ARGON2_OK;
}
