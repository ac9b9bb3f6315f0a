/* SPDX-License-Identifier: ISC */
/*
 * Collects the ARC sets of a message: RFC 8617 sections 4.1 and 5.2, steps 1 to
 * 3.  A field that strays from the grammar makes the whole chain fail, as the
 * RFC has it; the first fault is kept.
 */
#include "base/valid.h"
#include "filters/arc/arc.h"

#define TIME_MAX UINT64_C(999999999999)

struct tags {
	struct pw_dkim_tag tag[PW_DKIM_TAGS_MAX];
	int n;
};

static bool
get(const struct tags *t, const char *name, struct pw_bytes *out)
{
	*out = PW_LIT("");
	for (int i = 0; i < t->n; i++)
		if (pw_bytes_eq(t->tag[i].name, pw_bytes_of(name))) {
			*out = t->tag[i].value;
			return true;
		}
	return false;
}

/* An instance: one or two digits, 1 to 50; else 0. */
static unsigned
instance(struct pw_bytes v)
{
	uint64_t n;

	if (v.len > 2 || pw_bytes_u64(v, PW_ARC_SETS_MAX, &n) < 0)
		return 0;
	return (unsigned)n;
}

/* ---- the parts of a signature ---------------------------------------------- */

static const char *
lower(struct pw_pool *pool, struct pw_bytes b)
{
	char *s = pw_pool_cstr(pool, b);

	for (char *q = s; q != NULL && *q != '\0'; q++)
		*q = (char)pw_lower(*q);
	return s;
}

/* From the "=" before VALUE to the ";" behind it, or to the field's end. */
static struct pw_bytes
whole_value(struct pw_bytes raw, struct pw_bytes value)
{
	const char *from = value.ptr, *to = value.ptr + value.len;
	const char *end = raw.ptr + raw.len;

	while (from > raw.ptr && from[-1] != '=')
		from--;
	while (to < end && *to != ';')
		to++;
	return pw_bytes(from, (size_t)(to - from));
}

static const char *
read_common(const struct tags *t, struct pw_pool *pool, struct pw_arc_sig *sig)
{
	struct pw_bytes v;
	uint64_t n;

	if (!get(t, "a", &v))
		return "a= is missing";
	/* Words of an ABNF: of either case (RFC 5234 section 2.3). */
	if (pw_bytes_caseeq(v, PW_LIT("rsa-sha256")))
		sig->alg = PW_DKIM_RSA_SHA256;
	else if (pw_bytes_caseeq(v, PW_LIT("ed25519-sha256")))
		sig->alg = PW_DKIM_ED25519;
	else
		return "unknown algorithm in a=";
	if (!get(t, "b", &sig->b) || !pw_dkim_base64_len(sig->b))
		return "b= missing or malformed";
	sig->b_all = whole_value(sig->raw, sig->b);
	if (!get(t, "d", &v) || !pw_dkim_labels_ok(v, false) ||
	    (sig->domain = lower(pool, v)) == NULL)
		return "d= missing or malformed";
	if (!get(t, "s", &v) || !pw_dkim_labels_ok(v, true) ||
	    (sig->selector = lower(pool, v)) == NULL)
		return "s= missing or malformed";
	if (get(t, "t", &v) && pw_bytes_u64(v, TIME_MAX, &n) < 0)
		return "malformed t=";
	return NULL;
}

/* At most PW_DKIM_NAMES_MAX names; empty ones name no field.  The seal is no
 * part of what an AMS signs (section 4.1.2). */
static const char *
check_names(struct pw_bytes h)
{
	for (unsigned n = 0; h.len > 0; n++) {
		ptrdiff_t colon = pw_bytes_chr(h, ':');
		size_t len = colon < 0 ? h.len : (size_t)colon;

		if (n == PW_DKIM_NAMES_MAX)
			return "more than 100 names in h=";
		if (pw_bytes_caseeq(pw_bytes_trim(pw_bytes_sub(h, 0, len)),
		    PW_LIT("arc-seal")))
			return "h= names ARC-Seal";
		h = pw_bytes_sub(h, len + 1, h.len);
	}
	return NULL;
}

static const char *
read_ams(const struct tags *t, struct pw_arc_sig *sig)
{
	struct pw_bytes v;
	uint64_t n;

	if (!get(t, "bh", &sig->bh) || pw_dkim_base64_len(sig->bh) != 44)
		return "bh= missing or malformed";
	if (!get(t, "h", &sig->h))
		return "h= missing";
	sig->has_canon = get(t, "c", &v);
	if (sig->has_canon && !pw_dkim_canon(v, &sig->relaxed_header,
	    &sig->relaxed_body))
		return "unknown canonicalization in c=";
	sig->has_length = get(t, "l", &v);
	if (sig->has_length && pw_bytes_u64(v, TIME_MAX, &sig->length) < 0)
		return "malformed l=";
	sig->x = -1;
	if (get(t, "x", &v)) {
		if (pw_bytes_u64(v, TIME_MAX, &n) < 0)
			return "malformed x=";
		sig->x = (int64_t)n;
	}
	return check_names(sig->h);
}

static const char *
read_seal(const struct tags *t, struct pw_arc_sig *sig)
{
	struct pw_bytes v;

	if (get(t, "h", &v))
		return "a seal has no h=";
	if (!get(t, "cv", &v))
		return "cv= is missing";
	if (pw_bytes_caseeq(v, PW_LIT("none")))
		sig->cv = PW_ARC_CV_NONE;
	else if (pw_bytes_caseeq(v, PW_LIT("pass")))
		sig->cv = PW_ARC_CV_PASS;
	else if (pw_bytes_caseeq(v, PW_LIT("fail")))
		sig->cv = PW_ARC_CV_FAIL;
	else
		return "unknown value of cv=";
	return NULL;
}

/* ---- one field ------------------------------------------------------------- */

static const char *
add_signature(struct pw_arc_chain *c, const struct pw_fieldref *f, bool seal,
    struct pw_pool *pool)
{
	struct pw_bytes v = pw_msgview_value(f);
	struct pw_arc_sig sig = { .raw = f->raw }, *to;
	const char *fault;
	struct tags t;
	unsigned i;

	if (f->raw.len > PW_DKIM_FIELD_MAX)
		return "field too long";
	if ((t.n = pw_dkim_tags(v, t.tag)) < 0)
		return "malformed tag list";
	if (!get(&t, "i", &v) || (i = instance(v)) == 0)
		return "i= missing or malformed";
	if (i > c->n)
		c->n = i;
	to = seal ? &c->set[i].as : &c->set[i].ams;
	if (to->raw.ptr != NULL)
		return "an instance stands twice";
	if ((fault = read_common(&t, pool, &sig)) == NULL)
		fault = seal ? read_seal(&t, &sig) : read_ams(&t, &sig);
	*to = sig;
	return fault;
}

/* "i" "=" N ";" and what follows, with comments between (section 4.1.1). */
static const char *
add_results(struct pw_arc_chain *c, const struct pw_fieldref *f)
{
	struct pw_bytes v = pw_msgview_value(f);
	size_t p = pw_arc_skip(v, 0), from;
	unsigned i;

	if (f->raw.len > PW_ARC_AAR_MAX)
		return "field too long";
	if (p == v.len || v.ptr[p] != 'i')
		return "i= missing";
	p = pw_arc_skip(v, p + 1);
	if (p == v.len || v.ptr[p] != '=')
		return "i= missing";
	from = p = pw_arc_skip(v, p + 1);
	while (p < v.len && pw_is_digit(v.ptr[p]))
		p++;
	i = instance(pw_bytes_sub(v, from, p - from));
	p = pw_arc_skip(v, p);
	if (i == 0 || p == v.len || v.ptr[p] != ';')
		return "i= malformed";
	if (i > c->n)
		c->n = i;
	if (c->set[i].aar.ptr != NULL)
		return "an instance stands twice";
	c->set[i].aar = f->raw;
	c->set[i].results = pw_bytes_sub(v, p + 1, v.len);
	return NULL;
}

static void
add_field(struct pw_arc_chain *c, const struct pw_fieldref *f,
    struct pw_pool *pool)
{
	const char *fault;

	if (pw_bytes_caseeq(f->name, PW_LIT("ARC-Seal")))
		fault = c->fields >= PW_ARC_FIELDS_MAX ? NULL :
		    add_signature(c, f, true, pool);
	else if (pw_bytes_caseeq(f->name, PW_LIT("ARC-Message-Signature")))
		fault = c->fields >= PW_ARC_FIELDS_MAX ? NULL :
		    add_signature(c, f, false, pool);
	else if (pw_bytes_caseeq(f->name,
	    PW_LIT("ARC-Authentication-Results")))
		fault = c->fields >= PW_ARC_FIELDS_MAX ? NULL :
		    add_results(c, f);
	else
		return;
	if (c->fields++ >= PW_ARC_FIELDS_MAX)
		fault = "more than 50 sets";
	if (c->fault == NULL)
		c->fault = fault;
}

/* ---- the chain ------------------------------------------------------------- */

static const char *
check_sets(const struct pw_arc_chain *c)
{
	for (unsigned i = 1; i <= c->n; i++) {
		const struct pw_arc_set *s = &c->set[i];

		if (s->aar.ptr == NULL || s->ams.raw.ptr == NULL ||
		    s->as.raw.ptr == NULL)
			return "a set is not complete";
	}
	if (c->set[c->n].as.cv == PW_ARC_CV_FAIL)
		return "the last sealer says that the chain is broken";
	for (unsigned i = 1; i <= c->n; i++)
		if (c->set[i].as.cv != (i == 1 ? PW_ARC_CV_NONE :
		    PW_ARC_CV_PASS))
			return "cv= does not fit its place in the chain";
	return NULL;
}

void
pw_arc_collect(const struct pw_msgview *v, struct pw_pool *pool,
    struct pw_arc_chain *out)
{
	*out = (struct pw_arc_chain){ 0 };
	for (size_t i = 0; i < v->nfield; i++)
		if (v->field[i].name.len > 0)
			add_field(out, &v->field[i], pool);
	if (out->fields > 0 && out->fault == NULL)
		out->fault = check_sets(out);
}
