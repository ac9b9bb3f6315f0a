/* SPDX-License-Identifier: ISC */
/*
 * The signatures of a chain: AMS like DKIM (RFC 8617 section 4.1.2 and RFC 6376
 * section 3.7), seals over the sets up to their own (section 5.1.1).  The body
 * is hashed once for each canonicalization, and the seals' common beginning
 * once for all, so that 50 sets cost 50 times one and not its square.
 */
#include <openssl/rsa.h>

#include "filters/arc/arc.h"
#include "filters/arc/canon.h"

#define CLOCK_SLACK 600
#define B_MAX 1024u /* octets of a signature: RSA-8192 */

static const char wrong[] = "signature wrong";
static const char no_digest[] = "digest could not be made";

static EVP_MD_CTX *
begin(const struct pw_arc_verifier *v)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	if (md != NULL && EVP_DigestInit_ex(md, v->sha256, NULL) == 1)
		return md;
	EVP_MD_CTX_free(md);
	return NULL;
}

/* ---- a signature on a digest ------------------------------------------------ */

static bool
verify_rsa(EVP_PKEY *pkey, const struct pw_arc_verifier *v,
    const unsigned char *b, size_t n, const unsigned char *digest)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
	bool ok = ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 &&
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_signature_md(ctx, v->sha256) == 1 &&
	    EVP_PKEY_verify(ctx, b, n, digest, PW_SHA256_LEN) == 1;

	EVP_PKEY_CTX_free(ctx);
	return ok;
}

/* RFC 8463 section 3: pure Ed25519 on the SHA-256. */
static bool
verify_ed(EVP_PKEY *pkey, const unsigned char *b, size_t n,
    const unsigned char *digest)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL &&
	    EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
	    EVP_DigestVerify(ctx, b, n, digest, PW_SHA256_LEN) == 1;

	EVP_MD_CTX_free(ctx);
	return ok;
}

/* Ends MD (a copy where it goes on) and checks SIG on it. */
static const char *
check_digest(const struct pw_arc_verifier *v, EVP_MD_CTX *md,
    const struct pw_arc_sig *sig, const struct pw_arc_key *key)
{
	unsigned char b[B_MAX], digest[PW_SHA256_LEN];
	size_t n = pw_dkim_base64(sig->b, b, sizeof(b));

	if (n == 0)
		return "b= malformed";
	if (md == NULL || EVP_DigestFinal_ex(md, digest, NULL) != 1)
		return no_digest;
	if (sig->alg == PW_DKIM_ED25519 ? verify_ed(key->pkey, b, n, digest) :
	    verify_rsa(key->pkey, v, b, n, digest))
		return NULL;
	return wrong;
}

/* ---- the message signature -------------------------------------------------- */

/* The digest of the body as SIG has it; only hashes of the whole are kept. */
static bool
hash_body(struct pw_arc_verifier *v, const struct pw_arc_sig *sig,
    unsigned char out[PW_SHA256_LEN])
{
	int kind = sig->relaxed_body;
	struct pw_canon c;
	EVP_MD_CTX *md;
	bool ok;

	if (!sig->has_length && v->hashed[kind]) {
		memcpy(out, v->hash[kind], PW_SHA256_LEN);
		return true;
	}
	md = begin(v);
	pw_canon_init(&c, md);
	if (sig->has_length)
		c.left = sig->length;
	pw_canon_body(&c, v->body, sig->relaxed_body);
	pw_canon_flush(&c);
	ok = !c.failed && EVP_DigestFinal_ex(md, out, NULL) == 1;
	EVP_MD_CTX_free(md);
	if (ok && !sig->has_length) {
		memcpy(v->hash[kind], out, PW_SHA256_LEN);
		v->hashed[kind] = true;
	}
	return ok;
}

/*
 * The fields that h= names, each name taking the lowest field of that name
 * that is not taken yet (RFC 6376 section 5.4.2); then the signature itself.
 */
static void
hash_header(const struct pw_arc_verifier *v, const struct pw_arc_sig *sig,
    struct pw_canon *c)
{
	const struct pw_msgview *m = v->view;
	bool taken[PW_FIELDS_MAX] = { false };
	struct pw_bytes h = sig->h;

	while (h.len > 0) {
		ptrdiff_t colon = pw_bytes_chr(h, ':');
		size_t len = colon < 0 ? h.len : (size_t)colon;
		struct pw_bytes name = pw_bytes_trim(pw_bytes_sub(h, 0, len));

		for (size_t i = m->nfield; i-- > 0 && name.len > 0;) {
			if (taken[i] ||
			    !pw_bytes_caseeq(m->field[i].name, name))
				continue;
			taken[i] = true;
			/* Itself comes last, and once. */
			if (m->field[i].raw.ptr == sig->raw.ptr)
				continue;
			pw_canon_field(c, m->field[i].raw, sig->relaxed_header,
			    PW_BYTES_NONE);
			pw_canon_crlf(c);
			break;
		}
		h = pw_bytes_sub(h, len + 1, h.len);
	}
	pw_canon_field(c, sig->raw, sig->relaxed_header, sig->b_all);
}

static const char *
check_ams(struct pw_arc_verifier *v, const struct pw_arc_sig *sig,
    const struct pw_arc_key *key, int64_t now)
{
	unsigned char want[PW_SHA256_LEN + 4], have[PW_SHA256_LEN];
	const char *fault;
	struct pw_canon c;
	EVP_MD_CTX *md;

	if (key->pkey == NULL)
		return key->fault;
	if (sig->x >= 0 && sig->x + CLOCK_SLACK < now)
		return "signature expired";
	if (sig->has_length && sig->length > pw_dkim_body_len(v->body,
	    sig->relaxed_body))
		return "l= is larger than the body";
	if (!hash_body(v, sig, have))
		return no_digest;
	if (pw_dkim_base64(sig->bh, want, sizeof(want)) != PW_SHA256_LEN ||
	    memcmp(want, have, PW_SHA256_LEN) != 0)
		return "body was changed";
	md = begin(v);
	pw_canon_init(&c, md);
	hash_header(v, sig, &c);
	pw_canon_flush(&c);
	fault = c.failed ? no_digest : check_digest(v, md, sig, key);
	EVP_MD_CTX_free(md);
	return fault == wrong ? "header was changed or wrong key" : fault;
}

/*
 * Without c= the form is simple by RFC 6376 section 3.5, which RFC 8617 does
 * not change; yet there are sealers, and cases of the public suite, that mean
 * relaxed.  Either is a signature of the sealer's key on this message.
 */
const char *
pw_arc_check_ams(struct pw_arc_verifier *v, const struct pw_arc_sig *sig,
    const struct pw_arc_key *key, int64_t now)
{
	const char *fault = check_ams(v, sig, key, now);
	struct pw_arc_sig relaxed = *sig;

	if (fault == NULL || sig->has_canon || key->pkey == NULL)
		return fault;
	relaxed.relaxed_header = relaxed.relaxed_body = true;
	return check_ams(v, &relaxed, key, now) == NULL ? NULL : fault;
}

bool
pw_arc_ams_covers(const struct pw_arc_verifier *v,
    const struct pw_arc_sig *sig)
{
	struct pw_bytes h = sig->h;
	unsigned from = 0;
	bool named = false;

	for (size_t i = 0; i < v->view->nfield; i++)
		from += pw_bytes_caseeq(v->view->field[i].name,
		    PW_LIT("From"));
	while (h.len > 0 && !named) {
		ptrdiff_t colon = pw_bytes_chr(h, ':');
		size_t len = colon < 0 ? h.len : (size_t)colon;

		named = pw_bytes_caseeq(pw_bytes_trim(pw_bytes_sub(h, 0, len)),
		    PW_LIT("from"));
		h = pw_bytes_sub(h, len + 1, h.len);
	}
	return from == 1 && named && (!sig->has_length || (sig->has_canon &&
	    sig->length >= pw_dkim_body_len(v->body, sig->relaxed_body)));
}

/* ---- seals ------------------------------------------------------------------ */

static void
hash_whole(struct pw_canon *c, struct pw_bytes raw)
{
	pw_canon_field(c, raw, true, PW_BYTES_NONE);
	pw_canon_crlf(c);
}

/* Seal I on what C has hashed so far, which stays as it is. */
static const char *
check_seal(const struct pw_arc_verifier *v, struct pw_canon *sets,
    const struct pw_arc_sig *as, const struct pw_arc_key *key)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	const char *fault = no_digest;
	struct pw_canon own;

	pw_canon_flush(sets);
	if (md != NULL && !sets->failed &&
	    EVP_MD_CTX_copy_ex(md, sets->md) == 1) {
		pw_canon_init(&own, md);
		pw_canon_field(&own, as->raw, true, as->b_all);
		pw_canon_flush(&own);
		fault = own.failed ? no_digest :
		    check_digest(v, md, as, key);
	}
	EVP_MD_CTX_free(md);
	return fault == wrong ? "seal wrong" : fault;
}

const char *
pw_arc_check_seals(struct pw_arc_verifier *v, const struct pw_arc_chain *c,
    const struct pw_arc_key *const *key, unsigned *bad)
{
	EVP_MD_CTX *md = begin(v);
	const char *fault = NULL;
	struct pw_canon sets;

	pw_canon_init(&sets, md);
	for (unsigned i = 1; i <= c->n && fault == NULL; i++) {
		const struct pw_arc_set *s = &c->set[i];

		*bad = i;
		hash_whole(&sets, s->aar);
		hash_whole(&sets, s->ams.raw);
		fault = key[i]->pkey == NULL ? key[i]->fault :
		    check_seal(v, &sets, &s->as, key[i]);
		hash_whole(&sets, s->as.raw);
	}
	EVP_MD_CTX_free(md);
	return fault;
}
