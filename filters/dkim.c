/* SPDX-License-Identifier: ISC */
/*
 * Stage dkim: RFC 6376 signatures, with the rules of RFC 8301 and 8463, by
 * libopendkim.  The library verifies; what it is shown, and what a result is
 * worth, is decided here:
 *
 *  - each DKIM-Signature field is first read by our own strict parser, and
 *    only those that pass, at most 8, are shown to the library;
 *  - keys are looked up by the host for all signatures at once, checked and
 *    written anew; a signature without a usable key is not shown at all, so
 *    the library never waits and never asks DNS;
 *  - the library's memory is padded and it sees one more field, of a random
 *    name, than the message has;
 *  - SHA-1, short keys, l= with an unsigned tail, times and test mode are
 *    judged here.
 */
#include <opendkim/dkim.h>
#include <stdio.h>
#include <stdlib.h>

#include "dns/dns.h"
#include "filters/dkim_int.h"
#include "filters/eval.h"
#include "filters/registry.h"

#define SIGS_SEEN 64u /* fields looked at, to count them */
#define CLOCK_SLACK 600
#define PAD 16u

struct judging {
	struct pw_ctx *ctx;
	struct pw_pool *pool; /* for the parsers */
	struct pw_dkim_one v[PW_DKIM_SIGS_MAX];
	unsigned n, seen, from;
	bool pending;
	struct pw_bytes body;
};

/* ---- the library ------------------------------------------------------------------------- */

static void *
padded_malloc(void *closure, size_t n)
{
	(void)closure;
	return n > SIZE_MAX - PAD ? NULL : malloc(n + PAD);
}

static void
padded_free(void *closure, void *p)
{
	(void)closure;
	free(p);
}

static struct pw_dkim_one *
find(struct judging *j, DKIM_SIGINFO *sig, unsigned used)
{
	const char *d = (const char *)dkim_sig_getdomain(sig);
	const char *s = (const char *)dkim_sig_getselector(sig);

	if (d == NULL || s == NULL)
		return NULL;
	for (unsigned i = 0; i < j->n; i++)
		if (j->v[i].result == NULL && (used >> i & 1) == 0 &&
		    pw_bytes_caseeq(pw_bytes_of(j->v[i].sig.domain),
		    pw_bytes_of(d)) && pw_bytes_caseeq(pw_bytes_of(
		    j->v[i].sig.selector), pw_bytes_of(s)))
			return &j->v[i];
	return NULL;
}

/* The key that we looked up; signatures of one selector share it. */
static DKIM_CBSTAT
key_lookup(DKIM *dkim, DKIM_SIGINFO *sig, unsigned char *buf, size_t size)
{
	struct judging *j = dkim_get_user_context(dkim);
	const struct pw_dkim_one *o = find(j, sig, 0);

	if (o == NULL)
		return DKIM_CBSTAT_NOTFOUND;
	if (snprintf((char *)buf, size, "%s", o->key.record) >= (int)size)
		return DKIM_CBSTAT_ERROR;
	return DKIM_CBSTAT_CONTINUE;
}

static int
init(const struct pw_host *host, const struct pw_stage_conf *conf,
    void **instance, char *err, size_t errlen)
{
	DKIM_LIB *lib = dkim_init(padded_malloc, padded_free);
	unsigned flags = DKIM_LIBFLAGS_DELAYSIGPROC;
	uint64_t drift = UINT64_C(300000000); /* ten years */

	(void)host;
	(void)conf;
	if (lib == NULL || dkim_set_key_lookup(lib, key_lookup) !=
	    DKIM_STAT_OK || dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_FLAGS,
	    &flags, sizeof(flags)) != DKIM_STAT_OK ||
	    /* Times are judged here, by the recorded clock. */
	    dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_CLOCKDRIFT, &drift,
	    sizeof(drift)) != DKIM_STAT_OK) {
		snprintf(err, errlen, "libopendkim could not be set up");
		if (lib != NULL)
			dkim_close(lib);
		return -1;
	}
	*instance = lib;
	return 0;
}

static void
fini(void *instance)
{
	dkim_close(instance);
}

/* ---- before the library --------------------------------------------------------------------- */

static void
judge(struct pw_dkim_one *o, const char *result, const char *reason)
{
	if (o->result != NULL)
		return;
	o->result = result;
	o->reason = reason;
}

/* The same with a symbol of its own beside the result's. */
static void
judge_note(struct pw_dkim_one *o, const char *result, const char *reason,
    const char *note)
{
	if (o->result == NULL)
		o->note = note;
	judge(o, result, reason);
}

static void
add_signature(struct judging *j, struct pw_slice raw)
{
	struct pw_bytes all = pw_bytes(raw.ptr, raw.len);
	ptrdiff_t colon = pw_bytes_chr(all, ':');
	int64_t now = pw_host_table()->now(j->ctx) / 1000000;
	struct pw_dkim_one *o = &j->v[j->n];

	if (++j->seen > PW_DKIM_SIGS_MAX)
		return;
	j->n++;
	o->raw = raw;
	if (pw_dkim_sig_parse(pw_bytes_sub(all, (size_t)colon + 1, all.len),
	    j->pool, &o->sig) < 0)
		judge_note(o, "permerror", o->sig.fault,
		    o->sig.from_unsigned ? "DKIM_FROM_UNSIGNED" : NULL);
	else if (o->sig.alg == PW_DKIM_RSA_SHA1)
		judge_note(o, "permerror", "SHA-1 is not accepted",
		    "DKIM_SHA1");
	else if (o->sig.x >= 0 && o->sig.x + CLOCK_SLACK < now)
		judge_note(o, "fail", "signature expired", "DKIM_EXPIRED");
	else if (o->sig.t > now + CLOCK_SLACK)
		judge_note(o, "fail", "signature from the future",
		    "DKIM_FUTURE");
}

static bool
name_is(struct pw_slice name, const char *want)
{
	return pw_bytes_caseeq(pw_bytes(name.ptr, name.len),
	    pw_bytes_of(want));
}

static void
read_header(struct judging *j)
{
	const struct pw_host *h = pw_host_table();
	struct pw_slice name, raw;

	for (size_t i = 0; h->field(j->ctx, i, &name, &raw) == 0; i++) {
		if (name_is(name, "From"))
			j->from++;
		else if (name_is(name, "DKIM-Signature") &&
		    j->seen < SIGS_SEEN)
			add_signature(j, raw);
	}
	for (unsigned i = 0; i < j->n && j->from == 0; i++)
		judge(&j->v[i], "permerror", "there is no From field");
}

/* The key record: the first one that is fit, else the first one's fault. */
static void
use_key(struct judging *j, struct pw_dkim_one *o, const struct pw_dns_reply *r)
{
	struct pw_dkim_key k = { 0 };

	if (r->status != PW_DNS_OK) {
		if (pw_dns_is_temporary(r->status))
			judge(o, "temperror", "key could not be looked up");
		else
			judge(o, "permerror", "there is no key");
		return;
	}
	for (size_t i = 0; i < r->count; i++) {
		struct pw_bytes text = pw_bytes(r->record[i].data.ptr,
		    r->record[i].data.len);

		if (pw_dkim_key_parse(text, &o->sig, j->pool, &k) == 0) {
			o->key = k;
			return;
		}
		if (i == 0)
			o->key = k;
	}
	judge(o, "permerror", o->key.fault != NULL ? o->key.fault :
	    "there is no key");
}

static void
get_keys(struct judging *j)
{
	const struct pw_host *h = pw_host_table();

	for (unsigned i = 0; i < j->n; i++) {
		struct pw_dkim_one *o = &j->v[i];
		struct pw_dns_reply r;
		char name[600];

		if (o->result != NULL)
			continue;
		snprintf(name, sizeof(name), "%s._domainkey.%s",
		    o->sig.selector, o->sig.domain);
		if (h->dns(j->ctx, name, PW_DNS_TXT, &r) == 1)
			j->pending = true;
		else
			use_key(j, o, &r);
	}
}

/* ---- the library's turn ---------------------------------------------------------------------- */

static bool
is_fed(const struct judging *j, struct pw_slice raw)
{
	for (unsigned i = 0; i < j->n; i++)
		if (j->v[i].raw.ptr == raw.ptr)
			return j->v[i].result == NULL;
	return false;
}

/* A field without its last line end; the copy is since the library's type is
 * not const. */
static bool
feed_field(DKIM *dkim, struct pw_slice raw)
{
	size_t n = raw.len;

	while (n > 0 && (raw.ptr[n - 1] == '\n' || raw.ptr[n - 1] == '\r'))
		n--;
	return dkim_header(dkim, (unsigned char *)(uintptr_t)raw.ptr, n) ==
	    DKIM_STAT_OK;
}

/* What follows the first empty line. */
static struct pw_bytes
body_of(struct pw_bytes all)
{
	const char *end = all.len >= 4 ?
	    memmem(all.ptr, all.len, "\r\n\r\n", 4) : NULL;

	if (end == NULL)
		return PW_LIT("");
	return pw_bytes_sub(all, (size_t)(end - all.ptr) + 4, all.len);
}

static bool
feed(struct judging *j, DKIM *dkim)
{
	const struct pw_host *h = pw_host_table();
	struct pw_slice name, raw, all;
	unsigned char bytes[8];
	char extra[64];

	for (size_t i = 0; h->field(j->ctx, i, &name, &raw) == 0; i++) {
		if (name.len == 0 || (name_is(name, "DKIM-Signature") &&
		    !is_fed(j, raw)))
			continue;
		(void)feed_field(dkim, raw);
	}
	h->random(j->ctx, bytes, sizeof(bytes));
	snprintf(extra, sizeof(extra), "X-%02x%02x%02x%02x%02x%02x%02x%02x: x",
	    bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5],
	    bytes[6], bytes[7]);
	if (dkim_header(dkim, (unsigned char *)extra, strlen(extra)) !=
	    DKIM_STAT_OK || dkim_eoh(dkim) != DKIM_STAT_OK ||
	    h->message(j->ctx, &all) < 0)
		return false;
	j->body = body_of(pw_bytes(all.ptr, all.len));
	if (j->body.len > 0 && dkim_body(dkim, (unsigned char *)(uintptr_t)
	    j->body.ptr, j->body.len) != DKIM_STAT_OK)
		return false;
	if (j->body.len > 0 && (j->body.len < 2 || memcmp(j->body.ptr +
	    j->body.len - 2, "\r\n", 2) != 0))
		(void)dkim_body(dkim, (unsigned char[]){ '\r', '\n' }, 2);
	(void)dkim_eom(dkim, NULL);
	return true;
}

/* The library's findings about one signature, weighed. */
static void
weigh(struct judging *j, struct pw_dkim_one *o, DKIM_SIGINFO *sig)
{
	int error = dkim_sig_geterror(sig);
	uint64_t whole = 0;
	unsigned bits = 0;

	if (error == DKIM_SIGERROR_KEYTOOSMALL)
		judge_note(o, "permerror", "key shorter than 1024 bits",
		    "DKIM_SHORT_KEY");
	else if (error == DKIM_SIGERROR_KEYDECODE)
		judge(o, "permerror", "key data malformed");
	else if (error == DKIM_SIGERROR_TOOLARGE_L)
		judge(o, "permerror", "l= is larger than the body");
	if (o->result != NULL)
		return;
	if (!DKIM_SIG_CHECK(sig)) {
		judge(o, o->key.testing ? "neutral" : "fail",
		    o->key.testing ? "does not verify; key is in test mode" :
		    dkim_sig_getbh(sig) == DKIM_SIGBH_MISMATCH ?
		    "body was changed" : "header was changed or wrong key");
		return;
	}
	if (dkim_sig_getkeysize(sig, &bits) == DKIM_STAT_OK)
		o->bits = bits;
	if (o->sig.has_length)
		whole = pw_dkim_body_len(j->body, o->sig.relaxed);
	if (o->sig.has_length && o->sig.length < whole) {
		o->tail = whole - o->sig.length;
		judge_note(o, "policy", "text below what l= signs",
		    "DKIM_UNSIGNED_TAIL");
	} else if (j->from > 1) {
		judge_note(o, "policy", "several From fields",
		    "DKIM_FROM_DOUBLED");
	} else {
		judge(o, "pass", o->key.testing ? "key is in test mode" :
		    NULL);
	}
}

static void
verify(struct judging *j, DKIM_LIB *lib)
{
	DKIM_SIGINFO **sigs = NULL;
	unsigned used = 0;
	DKIM_STAT st;
	DKIM *dkim;
	int n = 0;

	dkim = dkim_verify(lib, (const unsigned char *)"message", NULL, &st);
	if (dkim == NULL)
		return;
	(void)dkim_set_user_context(dkim, j);
	if (feed(j, dkim) &&
	    dkim_getsiglist(dkim, &sigs, &n) == DKIM_STAT_OK)
		for (int i = 0; i < n; i++) {
			struct pw_dkim_one *o = find(j, sigs[i], used);

			if (o == NULL)
				continue;
			used |= 1u << (o - j->v);
			weigh(j, o, sigs[i]);
		}
	dkim_free(dkim);
}

/* ---- the run ------------------------------------------------------------------------------ */

static enum pw_run
run(void *instance, struct pw_ctx *ctx, enum pw_phase phase)
{
	struct judging j = { .ctx = ctx, .pool = pw_pool_new(1u << 20) };
	bool open = false;

	(void)phase;
	read_header(&j);
	get_keys(&j);
	if (!j.pending) {
		for (unsigned i = 0; i < j.n; i++)
			open |= j.v[i].result == NULL;
		if (open)
			verify(&j, instance);
		for (unsigned i = 0; i < j.n; i++)
			judge(&j.v[i], "permerror",
			    "the message could not be verified");
		pw_dkim_report(ctx, j.v, j.n, j.seen);
	}
	pw_pool_free(&j.pool);
	return j.pending ? PW_RUN_PENDING : PW_RUN_NEXT;
}

const struct pw_stage pw_stage_dkim = {
	.size = sizeof(struct pw_stage),
	.abi = PW_STAGE_ABI,
	.features = PW_STAGE_FEATURES,
	.name = "dkim",
	.version = "1",
	.help = "signatures of the message (RFC 6376)",
	.phases = PW_PHASE_BIT(PW_PHASE_BODY),
	.provides = pw_dkim_facts,
	.symbols = pw_dkim_symbols,
	.roles = PW_ROLE_SCAN,
	.role = PW_ROLE_SCAN,
	.cost = PW_COST_NORMAL,
	.scope = PW_SCOPE_MESSAGE,
	.on_error = PW_ERR_TAG,
	.flags = PW_FLAG_TRUSTED,
	.timeout_ms = 20000,
	.init = init,
	.fini = fini,
	.run = run,
};
