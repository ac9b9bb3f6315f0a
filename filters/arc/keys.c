/* SPDX-License-Identifier: ISC */
/*
 * Public keys of sealers: the DKIM key record, read strictly, made into a key
 * of OpenSSL (RFC 6376 section 3.6.1, RFC 8301, RFC 8463).
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/x509.h>

#include "filters/arc/arc.h"

/* A key of RSA that is fit for use: its size, and a short exponent, since a
 * long one makes each verification as dear as signing. */
static const char *
check_rsa(EVP_PKEY *pkey, int *bits)
{
	BIGNUM *e = NULL;
	int len;

	if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA)
		return "key is of another type";
	*bits = EVP_PKEY_get_bits(pkey);
	if (*bits < PW_ARC_RSA_MIN)
		return "key shorter than 1024 bits";
	if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) != 1)
		return "key data malformed";
	len = BN_num_bits(e);
	BN_free(e);
	return len > PW_ARC_EXPONENT_MAX ? "exponent of the key too long" :
	    NULL;
}

static const char *
make_key(const unsigned char *der, size_t n, bool ed, struct pw_arc_key *out)
{
	if (ed)
		out->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
		    der, n);
	else
		out->pkey = d2i_PUBKEY(NULL, &der, (long)n);
	if (out->pkey == NULL)
		return "key data malformed";
	return ed ? NULL : check_rsa(out->pkey, &out->bits);
}

int
pw_arc_key_read(struct pw_bytes record, const struct pw_arc_sig *sig,
    struct pw_pool *pool, struct pw_arc_key *out)
{
	const struct pw_dkim_sig as_dkim = { .alg = sig->alg };
	unsigned char der[PW_DKIM_KEY_MAX];
	struct pw_dkim_key k;
	size_t n;

	*out = (struct pw_arc_key){ 0 };
	if (pw_dkim_key_parse(record, &as_dkim, pool, &k) < 0) {
		out->fault = k.fault;
		return -1;
	}
	n = pw_dkim_base64(pw_bytes_of(k.data), der, sizeof(der));
	out->fault = n == 0 ? "key data malformed" :
	    make_key(der, n, sig->alg == PW_DKIM_ED25519, out);
	if (out->fault == NULL)
		return 0;
	EVP_PKEY_free(out->pkey);
	out->pkey = NULL;
	return -1;
}
