/* SPDX-License-Identifier: ISC */
/* Certificates by SNI and key type; what a handshake refuses. */
#include <check.h>
#include <stdlib.h>

#include "fake.h"

static struct pw_pem pem[3];
static struct pw_config *cfg;
static struct pw_tls *tls;

static void
setup(void)
{
	struct pw_err err = { 0 };

	cfg = pw_config_defaults();
	test_certificate("mx.one.test", true, &pem[0]);
	test_certificate("mx.one.test", false, &pem[1]);
	test_certificate("*.two.test", false, &pem[2]);
	ck_assert_msg(pw_tls_open(cfg, pem, 3, &tls, &err) == 0, "%s",
	    err.text);
}

static void
teardown(void)
{
	pw_tls_drop(&tls);
	for (int i = 0; i < 3; i++) {
		free(pem[i].chain);
		free(pem[i].key);
	}
	pw_config_free(&cfg);
}

/* A handshake in memory; true when it succeeds, *name then is the peer's. */
static bool
shake(const char *sni, const char *sigalgs, int max_version,
    const char *alpn, char name[80], int *type)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *c, *s = SSL_new(pw_tls_ctx(tls));
	BIO *a, *b;
	bool done = false;

	if (sigalgs != NULL)
		(void)SSL_CTX_set1_sigalgs_list(ctx, sigalgs);
	(void)SSL_CTX_set_max_proto_version(ctx, max_version);
	c = SSL_new(ctx);
	if (sni != NULL)
		(void)SSL_set_tlsext_host_name(c, sni);
	if (alpn != NULL)
		(void)SSL_set_alpn_protos(c, (const unsigned char *)alpn,
		    (unsigned)strlen(alpn));
	(void)BIO_new_bio_pair(&a, 0, &b, 0);
	SSL_set_bio(c, a, a);
	SSL_set_bio(s, b, b);
	SSL_set_connect_state(c);
	SSL_set_accept_state(s);
	for (int i = 0; i < 20 && !done; i++) {
		int rc = SSL_do_handshake(c);

		done = SSL_do_handshake(s) == 1 && rc == 1;
	}
	if (done) {
		X509 *x = SSL_get1_peer_certificate(c);

		(void)X509_NAME_get_text_by_NID(X509_get_subject_name(x),
		    NID_commonName, name, 80);
		*type = EVP_PKEY_base_id(X509_get0_pubkey(x));
		X509_free(x);
	}
	SSL_free(c);
	SSL_free(s);
	SSL_CTX_free(ctx);
	return done;
}

static const struct {
	const char *sni, *sigalgs;
	int version;
	const char *alpn, *name;
	int type;
} shakes[] = {
	{ NULL, NULL, TLS1_3_VERSION, NULL, "mx.one.test", 0 },
	{ "mx.one.test", "ECDSA+SHA256", TLS1_3_VERSION, NULL, "mx.one.test",
	    EVP_PKEY_EC },
	{ "mx.one.test", "RSA-PSS+SHA256:RSA+SHA256", TLS1_3_VERSION, NULL,
	    "mx.one.test", EVP_PKEY_RSA },
	{ "mx.two.test", NULL, TLS1_3_VERSION, NULL, "*.two.test", 0 },
	{ "MX.TWO.test", NULL, TLS1_2_VERSION, NULL, "*.two.test", 0 },
	{ "a.b.two.test", NULL, TLS1_3_VERSION, NULL, "mx.one.test", 0 },
	{ "unknown.test", NULL, TLS1_2_VERSION, NULL, "mx.one.test", 0 },
	{ NULL, NULL, TLS1_1_VERSION, NULL, NULL, 0 },
	{ NULL, NULL, TLS1_3_VERSION, "\4smtp", "mx.one.test", 0 },
	{ NULL, NULL, TLS1_3_VERSION, "\10http/1.1", NULL, 0 },
	{ NULL, NULL, TLS1_3_VERSION, "\2h2\4smtp", "mx.one.test", 0 },
};

START_TEST(test_shake)
{
	char name[80] = "";
	int type = 0;
	bool ok = shake(shakes[_i].sni, shakes[_i].sigalgs,
	    shakes[_i].version, shakes[_i].alpn, name, &type);

	ck_assert_int_eq(ok, shakes[_i].name != NULL);
	if (ok)
		ck_assert_str_eq(name, shakes[_i].name);
	if (shakes[_i].type != 0)
		ck_assert_int_eq(type, shakes[_i].type);
}
END_TEST

START_TEST(test_faults)
{
	struct pw_pem bad = pem[0];
	struct pw_tls *none;
	struct pw_err err = { 0 };

	bad.key = pem[1].key;
	ck_assert_int_eq(-1, pw_tls_open(cfg, &bad, 1, &none, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "another's"));
	bad.key = bad.chain;
	ck_assert_int_eq(-1, pw_tls_open(cfg, &bad, 1, &none, &err));
	bad.chain = pem[0].key;
	ck_assert_int_eq(-1, pw_tls_open(cfg, &bad, 1, &none, &err));
	ck_assert_int_eq(0, pw_tls_open(cfg, NULL, 0, &none, &err));
	ck_assert_ptr_null(none);
	ck_assert_int_eq(2, pw_tls_match(tls, "x.two.test"));
	ck_assert_int_eq(-1, pw_tls_match(tls, ""));
}
END_TEST

Suite *pw_suite_smtp_tls(void);

Suite *
pw_suite_smtp_tls(void)
{
	Suite *s = suite_create("smtp/tls");
	TCase *tc = tcase_create("tls");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, test_shake, 0, (int)PW_COUNT(shakes));
	tcase_add_test(tc, test_faults);
	suite_add_tcase(s, tc);
	return s;
}
