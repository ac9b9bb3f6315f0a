/* SPDX-License-Identifier: ISC */
/*
 * Encoding and decoding of scan jobs and their results.  The decoder of
 * results runs in front and trusts nothing: it is fuzzed by fuzz_job.c.
 */
#include "filters/job.h"

#include <math.h>

#include "filters/text.h"

#define JOB_VERSION 1
#define FACTS_MAX 4096u

/* ---- facts ------------------------------------------------------------------- */

static void
fact_enc(struct pw_enc *e, const struct pw_factrow *r)
{
	pw_enc_str(e, r->name);
	pw_enc_u32(e, r->index);
	pw_enc_u8(e, r->value.type);
	pw_enc_u8(e, r->value.family);
	for (size_t i = 0; i < sizeof(r->value.ip); i++)
		pw_enc_u8(e, r->value.ip[i]);
	pw_enc_i64(e, r->value.num);
	pw_enc_bytes(e, pw_bytes(r->value.text.ptr, r->value.text.len));
}

/* Reads one; true when its form is right. */
static bool
fact_dec(struct pw_dec *d, struct pw_pool *pool, const char **name,
    uint32_t *index, struct pw_fact *v)
{
	struct pw_bytes text;

	*v = (struct pw_fact){ 0 };
	*name = pw_dec_str(d, pool);
	*index = pw_dec_u32(d);
	v->type = pw_dec_u8(d);
	v->family = pw_dec_u8(d);
	for (size_t i = 0; i < sizeof(v->ip); i++)
		v->ip[i] = pw_dec_u8(d);
	v->num = pw_dec_i64(d);
	text = pw_dec_bytes(d);
	v->text = (struct pw_slice){ text.ptr, text.len };
	return !d->bad && v->type <= PW_FACT_IP &&
	    text.len <= PW_FACT_TEXT_MAX && *index <= PW_FACT_INDEX_MAX &&
	    strlen(*name) <= PW_FACT_NAME_MAX &&
	    (v->type != PW_FACT_IP || v->family == 4 || v->family == 6);
}

/* ---- jobs -------------------------------------------------------------------- */

void
pw_job_enc(struct pw_enc *e, const struct pw_registry *r,
    const struct pw_job_item *item, size_t n, const struct pw_env *env)
{
	uint32_t facts = 0;

	pw_enc_u8(e, JOB_VERSION);
	pw_enc_u32(e, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		pw_enc_str(e, r->v[item[i].stage].desc->name);
		pw_enc_u8(e, item[i].phase);
	}
	pw_enc_i64(e, env->now_us);
	pw_enc_bytes(e, pw_bytes(env->seed, sizeof(env->seed)));
	for (int k = 0; k < 3; k++)
		facts += env->fact[k] != NULL ? env->fact[k]->count : 0;
	pw_enc_u32(e, facts);
	for (int k = 0; k < 3; k++)
		if (env->fact[k] != NULL)
			for (const struct pw_factrow *f = env->fact[k]->first;
			    f != NULL; f = f->next)
				fact_enc(e, f);
	for (int k = 0; k < 2; k++) {
		pw_enc_u8(e, env->dns[k] != NULL);
		if (env->dns[k] != NULL)
			pw_dns_set_enc(e, env->dns[k]);
	}
}

static void
job_items(struct pw_dec *d, const struct pw_registry *r, struct pw_pool *pool,
    struct pw_job *out)
{
	out->n = pw_dec_count(d, PW_JOB_ITEMS, 5);
	out->item = pw_pool_array(pool, out->n > 0 ? out->n : 1,
	    sizeof(*out->item));
	if (out->item == NULL) {
		d->bad = true;
		out->n = 0;
	}
	for (size_t i = 0; i < out->n && !d->bad; i++) {
		int s = pw_registry_find(r, pw_dec_str(d, pool));

		out->item[i].phase = pw_dec_u8(d);
		if (s < 0 || out->item[i].phase >= PW_PHASE_COUNT)
			d->bad = true;
		out->item[i].stage = (uint8_t)(s < 0 ? 0 : s);
	}
}

int
pw_job_dec(struct pw_bytes in, const struct pw_registry *r,
    struct pw_pool *pool, struct pw_job *out)
{
	struct pw_dec d;
	struct pw_bytes seed;
	uint32_t n;

	*out = (struct pw_job){ 0 };
	pw_dec_init(&d, in);
	if (pw_dec_u8(&d) != JOB_VERSION)
		return -1;
	job_items(&d, r, pool, out);
	out->now_us = pw_dec_i64(&d);
	seed = pw_dec_bytes(&d);
	if (seed.len != sizeof(out->seed))
		return -1;
	memcpy(out->seed, seed.ptr, sizeof(out->seed));
	n = pw_dec_count(&d, FACTS_MAX, 38);
	for (uint32_t i = 0; i < n && !d.bad; i++) {
		struct pw_fact v;
		const char *name;
		uint32_t index;

		if (!fact_dec(&d, pool, &name, &index, &v) ||
		    pw_facts_set(&out->facts, pool, name, index, &v) < 0)
			return -1;
	}
	for (int k = 0; k < 2 && !d.bad; k++)
		if (pw_dec_u8(&d) != 0)
			out->dns[k] = pw_dns_set_dec(&d, pool);
	return pw_dec_end(&d);
}

/* ---- results: writing ---------------------------------------------------------- */

void
pw_results_begin(struct pw_enc *e, size_t n)
{
	pw_enc_u8(e, JOB_VERSION);
	pw_enc_u32(e, (uint32_t)n);
}

static void
findings_enc(struct pw_enc *e, const struct pw_out *o)
{
	pw_enc_u32(e, (uint32_t)o->nevidence);
	for (const struct pw_out_evidence *v = o->evidence; v != NULL;
	    v = v->next) {
		pw_enc_str(e, v->symbol);
		pw_enc_f64(e, v->factor);
		pw_enc_bytes(e, v->text);
	}
	pw_enc_u32(e, (uint32_t)o->nauthres);
	for (const struct pw_out_authres *a = o->authres; a != NULL;
	    a = a->next) {
		pw_enc_str(e, a->method);
		pw_enc_str(e, a->result);
		pw_enc_str(e, a->props);
		pw_enc_u8(e, a->reason != NULL);
		pw_enc_str(e, a->reason);
	}
	pw_enc_u32(e, (uint32_t)o->nfield);
	for (const struct pw_out_field *f = o->field; f != NULL; f = f->next) {
		pw_enc_str(e, f->name);
		pw_enc_str(e, f->value);
	}
}

void
pw_result_enc(struct pw_enc *e, const struct pw_loaded *stage, uint8_t phase,
    const struct pw_out *o)
{
	pw_enc_str(e, stage->desc->name);
	pw_enc_u8(e, phase);
	pw_enc_u8(e, o->state);
	pw_enc_str(e, o->reason);
	pw_enc_u32(e, o->wall_us);
	pw_enc_u32(e, o->cpu_us);
	pw_enc_u8(e, o->clipped);
	findings_enc(e, o);
	pw_enc_u32(e, o->fact.count);
	for (const struct pw_factrow *f = o->fact.first; f != NULL;
	    f = f->next)
		fact_enc(e, f);
	pw_enc_u32(e, (uint32_t)o->ncut);
	for (size_t i = 0; i < o->ncut; i++) {
		pw_enc_u64(e, o->cut[i].offset);
		pw_enc_u32(e, o->cut[i].len);
	}
	pw_enc_bytes(e, o->meta);
	pw_enc_u32(e, (uint32_t)o->nneed);
	for (size_t i = 0; i < o->nneed; i++) {
		pw_enc_str(e, o->need[i].name);
		pw_enc_u16(e, o->need[i].type);
	}
}

/* ---- results: reading, with distrust --------------------------------------------- */

struct reading {
	struct pw_dec d;
	struct pw_pool *pool;
	const struct pw_stage *desc;
	struct pw_out *out;
	uint64_t header_len;
};

static const char *
ascii(struct reading *r, size_t max)
{
	return pw_text_ascii(r->pool, pw_dec_bytes(&r->d), max).ptr;
}

static void
read_evidence(struct reading *r)
{
	uint32_t n = pw_dec_count(&r->d, PW_OUT_EVIDENCE, 16);

	for (uint32_t i = 0; i < n && !r->d.bad; i++) {
		struct pw_out_evidence *e = pw_pool_alloc(r->pool, sizeof(*e));
		const struct pw_symbol *s = pw_stage_symbol(r->desc,
		    pw_dec_str(&r->d, r->pool));
		double factor = pw_dec_f64(&r->d);
		struct pw_bytes text = pw_dec_bytes(&r->d);

		if (e == NULL || s == NULL || !isfinite(factor) ||
		    fabs(factor) > 100) {
			r->d.bad = true;
			return;
		}
		e->symbol = s->name;
		e->factor = factor;
		e->text = pw_text_line(r->pool, text, PW_OUT_TEXT);
		if (r->out->evidence_last != NULL)
			r->out->evidence_last->next = e;
		else
			r->out->evidence = e;
		r->out->evidence_last = e;
		r->out->nevidence++;
	}
}

static void
read_authres(struct reading *r)
{
	uint32_t n = pw_dec_count(&r->d, PW_OUT_AUTHRES, 17);

	for (uint32_t i = 0; i < n && !r->d.bad; i++) {
		struct pw_out_authres *a = pw_pool_alloc(r->pool, sizeof(*a));
		const char *reason;
		bool has;

		if (a == NULL) {
			r->d.bad = true;
			return;
		}
		a->method = ascii(r, 32);
		a->result = ascii(r, 32);
		a->props = pw_text_line(r->pool, pw_dec_bytes(&r->d), 1024).ptr;
		has = pw_dec_u8(&r->d) != 0;
		reason = ascii(r, 200);
		a->reason = has ? reason : NULL;
		if (r->out->authres_last != NULL)
			r->out->authres_last->next = a;
		else
			r->out->authres = a;
		r->out->authres_last = a;
		r->out->nauthres++;
	}
}

static void
read_fields(struct reading *r)
{
	uint32_t n = pw_dec_count(&r->d, PW_OUT_FIELDS, 8);

	for (uint32_t i = 0; i < n && !r->d.bad; i++) {
		struct pw_out_field *f = pw_pool_alloc(r->pool, sizeof(*f));

		if (f == NULL) {
			r->d.bad = true;
			return;
		}
		f->name = pw_dec_str(&r->d, r->pool);
		f->value = pw_text_line(r->pool, pw_dec_bytes(&r->d), 2000).ptr;
		if (!pw_host_field_allowed(f->name))
			r->d.bad = true;
		if (r->out->field_last != NULL)
			r->out->field_last->next = f;
		else
			r->out->field = f;
		r->out->field_last = f;
		r->out->nfield++;
	}
}

static bool
declared(const struct pw_stage *d, const char *fact)
{
	for (const char *const *p = d->provides; p != NULL && *p != NULL; p++)
		if (strcmp(*p, fact) == 0)
			return true;
	return false;
}

static void
read_facts(struct reading *r)
{
	uint32_t n = pw_dec_count(&r->d, PW_OUT_FACTS, 38);

	for (uint32_t i = 0; i < n && !r->d.bad; i++) {
		struct pw_fact v;
		struct pw_bytes text;
		const char *name;
		uint32_t index;

		if (!fact_dec(&r->d, r->pool, &name, &index, &v) ||
		    !declared(r->desc, name)) {
			r->d.bad = true;
			return;
		}
		text = pw_text_line(r->pool, pw_bytes(v.text.ptr, v.text.len),
		    PW_FACT_TEXT_MAX);
		v.text = (struct pw_slice){ text.ptr, text.len };
		if (pw_facts_set(&r->out->fact, r->pool, name, index, &v) < 0)
			r->d.bad = true;
	}
}

/* Cuts and the meta block are the structure stage's alone. */
static void
read_cuts(struct reading *r)
{
	uint32_t n = pw_dec_count(&r->d, PW_META_CUTS_MAX, 12);
	bool may = r->desc == &pw_stage_structure;
	struct pw_dec meta;
	uint64_t end = 0;

	if (n > 0) {
		r->out->cut = pw_pool_array(r->pool, n, sizeof(struct pw_cut));
		if (r->out->cut == NULL || !may)
			r->d.bad = true;
	}
	for (uint32_t i = 0; i < n && !r->d.bad; i++) {
		struct pw_cut *c = &r->out->cut[r->out->ncut++];

		c->offset = pw_dec_u64(&r->d);
		c->len = pw_dec_u32(&r->d);
		if (c->len == 0 || c->offset < end ||
		    c->offset > r->header_len ||
		    c->len > r->header_len - c->offset)
			r->d.bad = true;
		end = c->offset + c->len;
	}
	r->out->meta = pw_dec_bytes(&r->d);
	if (r->out->meta.len == 0 || r->d.bad)
		return;
	pw_dec_init(&meta, r->out->meta);
	if (!may || pw_meta_dec(&meta, r->pool) == NULL ||
	    pw_dec_end(&meta) < 0)
		r->d.bad = true;
	r->out->meta = pw_pool_copy(r->pool, r->out->meta);
	if (r->out->meta.ptr == NULL)
		r->d.bad = true;
}

static void
read_needs(struct reading *r)
{
	uint32_t n = pw_dec_count(&r->d, PW_OUT_NEEDS, 6);

	r->out->need = pw_pool_array(r->pool, n > 0 ? n : 1,
	    sizeof(struct pw_out_need));
	if (r->out->need == NULL)
		r->d.bad = true;
	for (uint32_t i = 0; i < n && !r->d.bad; i++) {
		struct pw_bytes name = pw_bytes_of(pw_dec_str(&r->d, r->pool));
		uint16_t type = pw_dec_u16(&r->d);
		char key[256];

		if (pw_dns_name(name, key) < 0 || (type != PW_DNS_A &&
		    type != PW_DNS_AAAA && type != PW_DNS_PTR &&
		    type != PW_DNS_MX && type != PW_DNS_TXT)) {
			r->d.bad = true;
			return;
		}
		r->out->need[i].name = pw_pool_cstr(r->pool, pw_bytes_of(key));
		r->out->need[i].type = type;
		if (r->out->need[i].name == NULL)
			r->d.bad = true;
		r->out->nneed++;
	}
}

static void
read_result(struct reading *r, const struct pw_job_item *item)
{
	struct pw_out *o = r->out;

	*o = (struct pw_out){ .reason = "" };
	if (strcmp(pw_dec_str(&r->d, r->pool), r->desc->name) != 0 ||
	    pw_dec_u8(&r->d) != item->phase)
		r->d.bad = true;
	o->state = pw_dec_u8(&r->d);
	o->reason = ascii(r, 200);
	o->wall_us = pw_dec_u32(&r->d);
	o->cpu_us = pw_dec_u32(&r->d);
	o->clipped = pw_dec_u8(&r->d) != 0;
	read_evidence(r);
	read_authres(r);
	read_fields(r);
	read_facts(r);
	read_cuts(r);
	read_needs(r);
	if (o->state > PW_OUTCOME_PENDING ||
	    (o->nevidence > 0 && o->state != PW_OUTCOME_HIT))
		r->d.bad = true;
}

int
pw_results_dec(struct pw_bytes in, const struct pw_registry *reg,
    const struct pw_job_item *item, size_t n, uint64_t header_len,
    struct pw_pool *pool, struct pw_out *out)
{
	struct reading r = { .pool = pool, .header_len = header_len };

	pw_dec_init(&r.d, in);
	if (pw_dec_u8(&r.d) != JOB_VERSION || pw_dec_u32(&r.d) != n)
		return -1;
	for (size_t i = 0; i < n && !r.d.bad; i++) {
		r.desc = reg->v[item[i].stage].desc;
		r.out = &out[i];
		read_result(&r, &item[i]);
	}
	return pw_dec_end(&r.d);
}
