/* SPDX-License-Identifier: ISC */
/*
 * What the stage dkim says of the signatures that it judged: one result of
 * Authentication-Results each, evidence, and the facts that DMARC, reports and
 * reputation build upon:
 *
 *   dkim.result              pass where any is right, else that of the first
 *   dkim.count               signatures that the message has
 *   dkim.domain              d= of those that count, in their order
 *   dkim.signature.domain    of each one judged, by index: d= ...
 *   dkim.signature.selector  s= ...
 *   dkim.signature.result    the word of Authentication-Results ...
 *   dkim.signature.counts    1 where it may stand for its domain ...
 *   dkim.signature.tail      octets of the body that l= leaves out, if any ...
 *   dkim.hash                and, where it is right, a hash of b=: the same
 *                            in every copy of a mail that is sent again
 */
#include <openssl/evp.h>
#include <stdio.h>

#include "filters/dkim_int.h"
#include "filters/eval.h"

#define RSA_WEAK 2048u /* below: still accepted, no longer advised (RFC 8301) */
#define HASH_OCTETS 16u

const char *const pw_dkim_facts[] = { "dkim.result", "dkim.domain",
	"dkim.count", "dkim.signature.domain", "dkim.signature.selector",
	"dkim.signature.result", "dkim.signature.counts",
	"dkim.signature.tail", "dkim.hash", NULL };

const struct pw_symbol pw_dkim_symbols[] = {
	{ "DKIM_PASS", -0.1, "a signature is right" },
	{ "DKIM_FAIL", 0.5, "a signature does not verify" },
	{ "DKIM_POLICY", 0.3, "a right signature that does not count" },
	{ "DKIM_PERMERROR", 0.3, "a signature or its key is malformed" },
	{ "DKIM_TEMPERROR", 0.0, "a key could not be looked up now" },
	{ "DKIM_NONE", 0.2, "there is no signature" },
	{ "DKIM_TEST_MODE", 0.0, "the key says that it is a test" },
	{ "DKIM_UNSIGNED_TAIL", 1.0, "text was added below what is signed" },
	{ "DKIM_FROM_DOUBLED", 1.0, "a right signature, but several From" },
	{ "DKIM_FROM_UNSIGNED", 0.2, "a signature that leaves From out" },
	{ "DKIM_EXPIRED", 0.0, "a signature whose time is over" },
	{ "DKIM_FUTURE", 0.2, "a signature that is not made yet" },
	{ "DKIM_SHA1", 0.0, "a signature by SHA-1 (RFC 8301)" },
	{ "DKIM_SHORT_KEY", 0.2, "a key of less than 1024 bits (RFC 8301)" },
	{ "DKIM_WEAK_KEY", 0.0, "a right signature, key below 2048 bits" },
	{ "DKIM_MANY", 0.5, "more than 8 signatures; the rest is not seen" },
	{ NULL, 0, NULL }
};

static bool
is_pass(const struct pw_dkim_one *o)
{
	return strcmp(o->result, "pass") == 0;
}

bool
pw_dkim_counts(const struct pw_dkim_one *o)
{
	return is_pass(o) && !o->key.testing;
}

static const char *
symbol_of(const char *result)
{
	static const char *const table[][2] = { { "pass", "DKIM_PASS" },
		{ "fail", "DKIM_FAIL" }, { "policy", "DKIM_POLICY" },
		{ "permerror", "DKIM_PERMERROR" },
		{ "temperror", "DKIM_TEMPERROR" },
		{ "neutral", "DKIM_TEST_MODE" } };

	for (size_t i = 0; i < PW_COUNT(table); i++)
		if (strcmp(table[i][0], result) == 0)
			return table[i][1];
	return "DKIM_PERMERROR";
}

/* ---- facts ----------------------------------------------------------------- */

static void
provide(struct pw_ctx *ctx, const char *name, size_t index, const char *s)
{
	struct pw_fact f = { .type = PW_FACT_TEXT, .text = { s, strlen(s) } };

	pw_host_table()->provide(ctx, name, index, &f);
}

static void
provide_int(struct pw_ctx *ctx, const char *name, size_t index, int64_t v)
{
	struct pw_fact f = { .type = PW_FACT_INT, .num = v };

	pw_host_table()->provide(ctx, name, index, &f);
}

/* Of the octets of b=, so that folding it anew changes nothing. */
static void
provide_hash(struct pw_ctx *ctx, size_t index, struct pw_bytes b)
{
	unsigned char octets[2048], digest[EVP_MAX_MD_SIZE];
	char hex[2 * HASH_OCTETS + 1];
	size_t n = pw_dkim_base64(b, octets, sizeof(octets));

	if (n == 0 || EVP_Digest(octets, n, digest, NULL, EVP_sha256(),
	    NULL) != 1)
		return;
	for (size_t i = 0; i < HASH_OCTETS; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	provide(ctx, "dkim.hash", index, hex);
}

static void
facts(struct pw_ctx *ctx, const struct pw_dkim_one *o, size_t index)
{
	provide(ctx, "dkim.signature.domain", index, o->sig.domain);
	provide(ctx, "dkim.signature.selector", index, o->sig.selector);
	provide(ctx, "dkim.signature.result", index, o->result);
	provide_int(ctx, "dkim.signature.counts", index, pw_dkim_counts(o));
	if (o->tail > 0)
		provide_int(ctx, "dkim.signature.tail", index,
		    (int64_t)o->tail);
	if (is_pass(o))
		provide_hash(ctx, index, o->sig.b);
}

/* ---- one signature --------------------------------------------------------- */

static void
authres(struct pw_ctx *ctx, const struct pw_dkim_one *o)
{
	char props[800] = "";
	size_t n = 0;

	if (o->sig.domain[0] != '\0')
		n += (size_t)snprintf(props, sizeof(props), "header.d=%s",
		    o->sig.domain);
	if (o->sig.selector[0] != '\0')
		n += (size_t)snprintf(props + n, sizeof(props) - n,
		    " header.s=%s", o->sig.selector);
	if (o->sig.alg_name[0] != '\0')
		n += (size_t)snprintf(props + n, sizeof(props) - n,
		    " header.a=%s", o->sig.alg_name);
	if (o->sig.b_start[0] != '\0')
		snprintf(props + n, sizeof(props) - n, " header.b=%s",
		    o->sig.b_start);
	pw_host_table()->authres(ctx, "dkim", o->result, props, o->reason);
}

static void
evidence(struct pw_ctx *ctx, const struct pw_dkim_one *o)
{
	const struct pw_host *h = pw_host_table();
	const char *who = o->sig.domain[0] != '\0' ? o->sig.domain :
	    "a signature";
	char text[500];

	snprintf(text, sizeof(text), "%s%s%s", who,
	    o->reason != NULL ? ": " : "", o->reason != NULL ? o->reason : "");
	h->evidence(ctx, symbol_of(o->result), 1, text);
	if (o->note != NULL)
		h->evidence(ctx, o->note, 1, who);
	if (!is_pass(o))
		return;
	if (o->key.testing)
		h->evidence(ctx, "DKIM_TEST_MODE", 1, who);
	if (o->bits > 0 && o->bits < RSA_WEAK) {
		snprintf(text, sizeof(text), "%s: %u bits", who, o->bits);
		h->evidence(ctx, "DKIM_WEAK_KEY", 1, text);
	}
}

/* ---- all ------------------------------------------------------------------- */

void
pw_dkim_report(struct pw_ctx *ctx, const struct pw_dkim_one *v, unsigned n,
    unsigned seen)
{
	const struct pw_host *h = pw_host_table();
	const char *best = n == 0 ? "none" : v[0].result;
	size_t counting = 0;

	provide_int(ctx, "dkim.count", 0, seen);
	if (n == 0) {
		h->authres(ctx, "dkim", "none", "", NULL);
		h->evidence(ctx, "DKIM_NONE", 1, "");
	}
	for (unsigned i = 0; i < n; i++) {
		authres(ctx, &v[i]);
		evidence(ctx, &v[i]);
		facts(ctx, &v[i], i);
		if (pw_dkim_counts(&v[i]))
			provide(ctx, "dkim.domain", counting++,
			    v[i].sig.domain);
		if (is_pass(&v[i]))
			best = "pass";
	}
	if (seen > PW_DKIM_SIGS_MAX)
		h->evidence(ctx, "DKIM_MANY", 1, "only the first 8 count");
	provide(ctx, "dkim.result", 0, best);
}
