/* SPDX-License-Identifier: ISC */
/*
 * Building the TLS contexts.  For each certificate there is one context with
 * it and, where there is one, the first certificate of each other key type
 * that shares a name with it; OpenSSL then takes the one that the client can
 * verify.
 */
#include "smtp/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/pool.h"

struct cert {
	X509 *leaf;
	STACK_OF(X509) *chain; /* without the leaf */
	EVP_PKEY *key;
	SSL_CTX *ctx;
	const char *name;
};

struct pw_tls {
	size_t n;
	struct cert *cert;
};

/* ---- files ------------------------------------------------------------------ */

static int
read_file(const char *path, char **out, struct pw_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *buf;
	ssize_t n;

	if (fd < 0)
		return pw_err_sys(err, "%s", path);
	if (fstat(fd, &st) != 0 || st.st_size <= 0 ||
	    st.st_size > (off_t)PW_PEM_MAX) {
		(void)close(fd);
		return pw_err_set(err, EINVAL, "%s: not a PEM file", path);
	}
	buf = pw_xcalloc(1, (size_t)st.st_size + 1);
	n = read(fd, buf, (size_t)st.st_size);
	(void)close(fd);
	if (n != st.st_size || memchr(buf, '\0', (size_t)n) != NULL) {
		OPENSSL_cleanse(buf, (size_t)st.st_size);
		free(buf);
		return pw_err_set(err, EIO, "%s: could not be read", path);
	}
	*out = buf;
	return 0;
}

int
pw_pem_load(const struct pw_config *cfg, struct pw_pem **out, size_t *n,
    struct pw_err *err)
{
	size_t count = cfg->ncertificate;
	struct pw_pem *pem;

	*out = NULL;
	*n = 0;
	if (count == 0)
		return 0;
	if (count > PW_CERTIFICATES_MAX)
		return pw_err_set(err, EINVAL, "more than %u certificates",
		    PW_CERTIFICATES_MAX);
	pem = pw_xcalloc(count, sizeof(*pem));
	for (size_t i = 0; i < count; i++) {
		pem[i].name = cfg->certificate[i].chain;
		if (read_file(cfg->certificate[i].chain, &pem[i].chain, err) !=
			0 ||
		    read_file(cfg->certificate[i].key, &pem[i].key, err) !=
			0) {
			pw_pem_free(&pem, count);
			return -1;
		}
	}
	*out = pem;
	*n = count;
	return 0;
}

void
pw_pem_free(struct pw_pem **pem, size_t n)
{
	if (*pem == NULL)
		return;
	for (size_t i = 0; i < n; i++) {
		if ((*pem)[i].key != NULL)
			OPENSSL_cleanse((*pem)[i].key, strlen((*pem)[i].key));
		free((*pem)[i].key);
		free((*pem)[i].chain);
	}
	free(*pem);
	*pem = NULL;
}

/* ---- one certificate --------------------------------------------------------- */

static int
tls_err(struct pw_err *err, const char *name, const char *what)
{
	char text[160];

	ERR_error_string_n(ERR_get_error(), text, sizeof(text));
	ERR_clear_error();
	return pw_err_set(err, EINVAL, "%s: %s: %s", name, what, text);
}

/* A key that asks for a pass phrase is refused, not asked for. */
static int
no_passphrase(char *buf, int size, int rw, void *arg)
{
	(void)buf;
	(void)size;
	(void)rw;
	(void)arg;
	return -1;
}

static int
parse_chain(struct cert *c, const struct pw_pem *pem, struct pw_err *err)
{
	BIO *bio = BIO_new_mem_buf(pem->chain, -1);
	X509 *x;

	if (bio == NULL)
		return tls_err(err, pem->name, "memory");
	c->leaf = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
	c->chain = sk_X509_new_null();
	if (c->leaf == NULL || c->chain == NULL) {
		(void)BIO_free(bio);
		return tls_err(err, pem->name, "no certificate in it");
	}
	while (sk_X509_num(c->chain) < 16 &&
	    (x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL)
		(void)sk_X509_push(c->chain, x);
	ERR_clear_error(); /* the end of the file */
	(void)BIO_free(bio);
	return 0;
}

static int
parse_key(struct cert *c, const struct pw_pem *pem, struct pw_err *err)
{
	BIO *bio = BIO_new_mem_buf(pem->key, -1);

	if (bio != NULL)
		c->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase,
		    NULL);
	(void)BIO_free(bio);
	if (c->key == NULL)
		return tls_err(err, pem->name,
		    "its private key cannot be read (it must be unencrypted)");
	if (X509_check_private_key(c->leaf, c->key) != 1)
		return tls_err(err, pem->name, "its private key is another's");
	return 0;
}

static bool
serves(const struct cert *c, const char *name)
{
	return X509_check_host(c->leaf, name, 0,
	    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

/* True when A and B have a DNS name in common. */
static bool
share_name(const struct cert *a, const struct cert *b)
{
	GENERAL_NAMES *names =
	    X509_get_ext_d2i(a->leaf, NID_subject_alt_name, NULL, NULL);
	bool shared = false;

	for (int i = 0; !shared && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		char text[256];
		int len;

		if (g->type != GEN_DNS)
			continue;
		len = ASN1_STRING_length(g->d.dNSName);
		if (len <= 0 || len >= (int)sizeof(text))
			continue;
		memcpy(text, ASN1_STRING_get0_data(g->d.dNSName), (size_t)len);
		text[len] = '\0';
		/* A wildcard is compared by a name that it stands for. */
		if (text[0] == '*')
			text[0] = 'x';
		shared = strlen(text) == (size_t)len && serves(b, text);
	}
	GENERAL_NAMES_free(names);
	return shared;
}

/* ---- contexts ------------------------------------------------------------------ */

int
pw_tls_match(const struct pw_tls *tls, const char *name)
{
	for (size_t i = 0; i < tls->n; i++)
		if (serves(&tls->cert[i], name))
			return (int)i;
	return -1;
}

static int
on_servername(SSL *ssl, int *alert, void *arg)
{
	const struct pw_tls *tls = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	int i = -1;

	(void)alert;
	if (name != NULL && strlen(name) <= 253)
		i = pw_tls_match(tls, name);
	if (i > 0)
		(void)SSL_set_SSL_CTX(ssl, tls->cert[i].ctx);
	return SSL_TLSEXT_ERR_OK;
}

/* A client that speaks another protocol, and says so, is not ours. */
static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
    const unsigned char *in, unsigned int inlen, void *arg)
{
	static const unsigned char smtp[] = "smtp";

	(void)ssl;
	(void)arg;
	for (unsigned int i = 0; i < inlen; i += 1u + in[i]) {
		if (in[i] == 4 && inlen - i > 4 &&
		    memcmp(in + i + 1, smtp, 4) == 0) {
			*out = in + i + 1;
			*outlen = 4;
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int
use_cert(SSL_CTX *ctx, const struct cert *c)
{
	return SSL_CTX_use_cert_and_key(ctx, c->leaf, c->key, c->chain, 1);
}

static int
set_options(SSL_CTX *ctx, const struct pw_config *cfg)
{
	static const unsigned char sid[] = "postward";
	uint64_t options = SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
	    SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
	    SSL_OP_IGNORE_UNEXPECTED_EOF;

	if (!cfg->tls.tickets)
		options |= SSL_OP_NO_TICKET;
	(void)SSL_CTX_set_options(ctx, options);
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
		SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_num_tickets(ctx, cfg->tls.tickets ? 1 : 0);
	(void)SSL_CTX_set_session_id_context(ctx, sid, sizeof(sid) - 1);
	(void)SSL_CTX_set_max_cert_list(ctx, 32 * 1024);
	(void)SSL_CTX_set_dh_auto(ctx, 1);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	return SSL_CTX_set_min_proto_version(ctx, cfg->tls.minimum == 1
			       ? TLS1_3_VERSION : TLS1_2_VERSION) == 1 &&
	    SSL_CTX_set_cipher_list(ctx, cfg->tls.ciphers) == 1;
}

static int
make_ctx(struct pw_tls *tls, size_t i, const struct pw_config *cfg,
    struct pw_err *err)
{
	struct cert *c = &tls->cert[i];
	int seen[4] = { EVP_PKEY_base_id(c->key) }, nseen = 1;

	c->ctx = SSL_CTX_new(TLS_server_method());
	if (c->ctx == NULL || !set_options(c->ctx, cfg))
		return tls_err(err, "tls", "protocol settings");
	if (use_cert(c->ctx, c) != 1)
		return tls_err(err, c->name, "certificate");
	for (size_t j = 0; j < tls->n && nseen < 4; j++) {
		int type = EVP_PKEY_base_id(tls->cert[j].key);
		bool known = false;

		for (int k = 0; k < nseen; k++)
			known |= seen[k] == type;
		if (known || !share_name(c, &tls->cert[j]))
			continue;
		if (use_cert(c->ctx, &tls->cert[j]) != 1)
			return tls_err(err, tls->cert[j].name, "certificate");
		seen[nseen++] = type;
	}
	(void)SSL_CTX_set_tlsext_servername_callback(c->ctx, on_servername);
	(void)SSL_CTX_set_tlsext_servername_arg(c->ctx, tls);
	return 0;
}

int
pw_tls_open(const struct pw_config *cfg, const struct pw_pem *pem, size_t n,
    struct pw_tls **out, struct pw_err *err)
{
	struct pw_tls *tls;

	*out = NULL;
	if (n == 0)
		return 0;
	tls = pw_xcalloc(1, sizeof(*tls));
	tls->n = n;
	tls->cert = pw_xcalloc(n, sizeof(*tls->cert));
	for (size_t i = 0; i < n; i++) {
		tls->cert[i].name = pem[i].name;
		if (parse_chain(&tls->cert[i], &pem[i], err) != 0 ||
		    parse_key(&tls->cert[i], &pem[i], err) != 0) {
			pw_tls_drop(&tls);
			return -1;
		}
	}
	for (size_t i = 0; i < n; i++)
		if (make_ctx(tls, i, cfg, err) != 0) {
			pw_tls_drop(&tls);
			return -1;
		}
	*out = tls;
	return 0;
}

void
pw_tls_drop(struct pw_tls **tls)
{
	if (*tls == NULL)
		return;
	for (size_t i = 0; i < (*tls)->n; i++) {
		struct cert *c = &(*tls)->cert[i];

		SSL_CTX_free(c->ctx);
		X509_free(c->leaf);
		sk_X509_pop_free(c->chain, X509_free);
		EVP_PKEY_free(c->key);
	}
	free((*tls)->cert);
	free(*tls);
	*tls = NULL;
}

SSL_CTX *
pw_tls_ctx(const struct pw_tls *tls)
{
	return tls->cert[0].ctx;
}
