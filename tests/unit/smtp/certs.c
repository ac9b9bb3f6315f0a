/* SPDX-License-Identifier: ISC */
/* Throw-away certificates for tests. */
#include "fake.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

static char *
bio_text(BIO *bio)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);
	char *text = pw_xbytesdup(pw_bytes(p, (size_t)n));

	(void)BIO_free(bio);
	return text;
}

void
test_certificate(const char *name, bool rsa, struct pw_pem *out)
{
	EVP_PKEY *key = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_NAME *subject = X509_get_subject_name(x);
	char san[300];
	X509_EXTENSION *ext;
	BIO *bio;

	(void)snprintf(san, sizeof(san), "DNS:%s", name);
	(void)X509_set_version(x, 2);
	(void)ASN1_INTEGER_set(X509_get_serialNumber(x), rsa ? 1 : 2);
	(void)X509_gmtime_adj(X509_getm_notBefore(x), -60);
	(void)X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	(void)X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
	    (const unsigned char *)name, -1, -1, 0);
	(void)X509_set_issuer_name(x, subject);
	(void)X509_set_pubkey(x, key);
	ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	(void)X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
	(void)X509_sign(x, key, EVP_sha256());
	bio = BIO_new(BIO_s_mem());
	(void)PEM_write_bio_X509(bio, x);
	out->chain = bio_text(bio);
	bio = BIO_new(BIO_s_mem());
	(void)PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	out->key = bio_text(bio);
	out->name = name;
	X509_free(x);
	EVP_PKEY_free(key);
}
