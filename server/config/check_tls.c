/* SPDX-License-Identifier: ISC */
/*
 * Checks of TLS: the ciphers, and that each certificate and key can be read,
 * fit one another and have not expired.  Everything is loaded the way that a
 * role will load it, and thrown away.  Called by check.c.
 */
#include "config/config_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define PW_KEY_MAX (256u * 1024)

/* The oldest queued reason of OpenSSL; the queue is empty after it. */
static const char *
ssl_reason(void)
{
	unsigned long e = ERR_get_error();
	const char *s = e != 0 ? ERR_reason_error_string(e) : NULL;

	ERR_clear_error();
	return s != NULL ? s : "unknown reason";
}

/* A key with a passphrase: nobody is there to type it. */
static int
no_passphrase(char *buf, int size, int rw, void *asked)
{
	(void)buf;
	(void)size;
	(void)rw;
	*(bool *)asked = true;
	return 0;
}

/*
 * Whether the file of KEY can be read as one; complains if not.  An admin who
 * only asks the daemon something may have no right to read a key, and needs
 * none: without DEEP that is no fault.
 */
static bool
readable(struct pw_config_report *r, size_t i, const char *key,
    const char *path, bool deep)
{
	struct stat st = { 0 };
	char word[PW_WORD];

	if (path[0] == '\0') {
		pw_config_error(r, "certificate", i, key,
		    "it is missing; write the path of a PEM file");
		return false;
	}
	pw_report_word(word, sizeof(word), path);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && errno == EACCES && !deep)
		return false;
	if (fd < 0) {
		pw_config_error(r, "certificate", i, key,
		    "\"%s\" cannot be read: %s; write the path of a PEM file",
		    word, strerror(errno));
		return false;
	}
	bool file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	close(fd);
	if (!file)
		pw_config_error(r, "certificate", i, key,
		    "\"%s\" is not a file; write the path of a PEM file", word);
	else if (strcmp(key, "key") == 0 && (st.st_mode & S_IRWXO) != 0)
		pw_config_warn(r, "certificate", i, key,
		    "every user can read the key \"%s\"; write chmod 600 for "
		    "it", word);
	return file;
}

static void
check_dates(struct pw_config_report *r, size_t i, X509 *cert)
{
	time_t now = (time_t)(pw_clock_real_us() / 1000000);

	if (X509_cmp_time(X509_get0_notAfter(cert), &now) < 0)
		pw_config_warn(r, "certificate", i, "chain",
		    "the certificate has expired; write the path of a new "
		    "one");
	else if (X509_cmp_time(X509_get0_notBefore(cert), &now) > 0)
		pw_config_warn(r, "certificate", i, "chain",
		    "the certificate is not valid yet; check the clock, or "
		    "write the path of another one");
}

static EVP_PKEY *
load_key(struct pw_config_report *r, size_t i, const char *path)
{
	char word[PW_WORD];
	bool asked = false;
	EVP_PKEY *key = NULL;

	pw_report_word(word, sizeof(word), path);
	/* Not by a stream of the C library, whose buffer would keep the key in
	 * memory that every role inherits. */
	char *text = pw_xcalloc(1, PW_KEY_MAX);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n = fd >= 0 ? read(fd, text, PW_KEY_MAX) : -1;
	BIO *bio = n > 0 ? BIO_new_mem_buf(text, (int)n) : NULL;
	if (bio != NULL)
		key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asked);
	BIO_free(bio);
	if (fd >= 0)
		(void)close(fd);
	OPENSSL_cleanse(text, PW_KEY_MAX);
	free(text);
	if (asked)
		pw_config_error(r, "certificate", i, "key",
		    "\"%s\" is encrypted; write the path of a key without "
		    "passphrase", word);
	else if (key == NULL)
		pw_config_error(r, "certificate", i, "key",
		    "\"%s\" holds no private key; write the path of a PEM "
		    "file", word);
	ERR_clear_error();
	return key;
}

static void
check_certificate(const struct pw_config *cfg, size_t i, SSL_CTX *ctx,
    bool deep, struct pw_config_report *r)
{
	const struct pw_config_certificate *c = &cfg->certificate[i];
	char word[PW_WORD];
	X509 *cert = NULL;
	EVP_PKEY *key = NULL;

	if (readable(r, i, "chain", c->chain, deep)) {
		if (SSL_CTX_use_certificate_chain_file(ctx, c->chain) == 1)
			cert = SSL_CTX_get0_certificate(ctx);
		else
			pw_config_error(r, "certificate", i, "chain",
			    "\"%s\" holds no usable certificate: %s; write the "
			    "path of a PEM file",
			    pw_report_word(word, sizeof(word), c->chain),
			    ssl_reason());
	}
	if (readable(r, i, "key", c->key, deep))
		key = load_key(r, i, c->key);
	if (cert != NULL)
		check_dates(r, i, cert);
	if (cert != NULL && key != NULL &&
	    X509_check_private_key(cert, key) != 1)
		pw_config_error(r, "certificate", i, "key",
		    "\"%s\" is not the key of the certificate in chain; write "
		    "the path of the one that belongs to it",
		    pw_report_word(word, sizeof(word), c->key));
	EVP_PKEY_free(key);
	ERR_clear_error();
}

void
pw_check_tls(const struct pw_config *cfg, bool deep,
    struct pw_config_report *r)
{
	char word[PW_WORD];

	ERR_clear_error();
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	PW_ASSERT(ctx != NULL);
	if (SSL_CTX_set_cipher_list(ctx, cfg->tls.ciphers) != 1)
		pw_config_error(r, "tls", 0, "ciphers",
		    "\"%s\" names no cipher that OpenSSL has; write a list as "
		    "in openssl-ciphers(1), or leave it out",
		    pw_report_word(word, sizeof(word), cfg->tls.ciphers));
	SSL_CTX_free(ctx);
	for (size_t i = 0; i < cfg->ncertificate; i++) {
		ctx = SSL_CTX_new(TLS_server_method());
		PW_ASSERT(ctx != NULL);
		check_certificate(cfg, i, ctx, deep, r);
		SSL_CTX_free(ctx);
	}
	ERR_clear_error();
}
