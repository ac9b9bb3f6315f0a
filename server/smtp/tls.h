/* SPDX-License-Identifier: ISC */
/*
 * TLS of the receiver: one SSL_CTX for each certificate, chosen by SNI, with
 * an RSA and an ECDSA certificate of the same name side by side.  Master reads
 * the PEM files (it alone may), front makes the contexts before its sandbox.
 */
#ifndef PW_SMTP_TLS_H
#define PW_SMTP_TLS_H

#include <openssl/ssl.h>

#include "base/err.h"
#include "config/config.h"

/* One certificate[] section's files. */
struct pw_pem {
	char *chain; /* owned; PEM text, NUL-terminated */
	char *key;   /* owned; wiped when freed */
	const char *name; /* path of the chain, for messages; cfg's */
};
#define PW_PEM_MAX (256u * 1024)
#define PW_CERTIFICATES_MAX 256u

/* Reads the files of all certificate[] sections (blocking, for master). */
int pw_pem_load(const struct pw_config *cfg, struct pw_pem **out, size_t *n,
    struct pw_err *err);
/* Wipes and frees. */
void pw_pem_free(struct pw_pem **pem, size_t n);

struct pw_tls;
/* Contexts of all certificates; the first is for clients without SNI or with
 * an unknown name.  N 0 gives *out NULL: no TLS. */
int pw_tls_open(const struct pw_config *cfg, const struct pw_pem *pem, size_t n,
    struct pw_tls **out, struct pw_err *err);
void pw_tls_drop(struct pw_tls **tls);
/* The context that handshakes begin with; any thread may use it. */
SSL_CTX *pw_tls_ctx(const struct pw_tls *tls);
/* Index of the certificate that serves NAME (as SNI gave it), or -1; for
 * tests and --check. */
int pw_tls_match(const struct pw_tls *tls, const char *name);

#endif
