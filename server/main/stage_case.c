/* SPDX-License-Identifier: ISC */
/* See stage_case.h. */
#include "main/stage_case.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/valid.h"
#include "filters/plugin.h"

#define MESSAGE_MAX (64u << 20)

json_t *
pw_case_json(const char *file, struct pw_err *err)
{
	json_error_t e;
	json_t *o = json_load_file(file, JSON_REJECT_DUPLICATES, &e);

	if (o == NULL)
		(void)pw_err_set(err, 0, "%s:%d: %s", file, e.line, e.text);
	return o;
}

/* ---- facts ------------------------------------------------------------------ */

static int
one_fact(const char *name, size_t index, const json_t *v,
    struct pw_facts *facts, struct pw_pool *pool, struct pw_err *err)
{
	struct pw_fact f = { .type = PW_FACT_TEXT };
	size_t n = strlen(name);
	struct pw_ip ip;

	if (json_is_integer(v)) {
		f.type = PW_FACT_INT;
		f.num = json_integer_value(v);
	} else if (json_is_boolean(v)) {
		f.type = PW_FACT_INT;
		f.num = json_is_true(v);
	} else if (!json_is_string(v)) {
		return pw_err_set(err, 0, "fact %s: must be a text, a whole "
		    "number, true or false, or a list of those", name);
	} else if (n > 3 && strcmp(name + n - 3, ".ip") == 0) {
		if (pw_ip_parse(pw_bytes_of(json_string_value(v)), &ip) != 0)
			return pw_err_set(err, 0, "fact %s: '%s' is no IP "
			    "address", name, json_string_value(v));
		f.type = PW_FACT_IP;
		f.family = ip.family;
		memcpy(f.ip, ip.b, sizeof(f.ip));
	} else {
		f.text = (struct pw_slice){ json_string_value(v),
			json_string_length(v) };
	}
	if (pw_facts_set(facts, pool, name, index, &f) < 0)
		return pw_err_set(err, 0, "fact %s: above its bound", name);
	return 0;
}

int
pw_case_facts(const json_t *o, struct pw_facts *facts, struct pw_pool *pool,
    struct pw_err *err)
{
	const char *name;
	json_t *v;

	if (!json_is_object(o))
		return pw_err_set(err, 0, "facts: must be an object");
	json_object_foreach((json_t *)(uintptr_t)o, name, v) {
		size_t n = json_is_array(v) ? json_array_size(v) : 1;

		for (size_t i = 0; i < n; i++)
			if (one_fact(name, i, json_is_array(v) ?
			    json_array_get(v, i) : v, facts, pool, err) != 0)
				return -1;
	}
	return 0;
}

/* ---- answers ---------------------------------------------------------------- */

static int
number_of(const char *word, const char *(*name)(unsigned), unsigned max)
{
	for (unsigned i = 0; word != NULL && i <= max; i++)
		if (strcasecmp(name(i), word) == 0)
			return (int)i;
	return -1;
}

static const char *
type_name(unsigned n)
{
	return pw_dns_type_name((uint16_t)n);
}

static const char *
status_name(unsigned n)
{
	return pw_dns_status_name((uint8_t)n);
}

/* "10 mx.test", "192.0.2.1", or text. */
static int
one_record(uint16_t type, const char *text, struct pw_dns_rr *rr,
    struct pw_pool *pool)
{
	struct pw_ip ip;
	char *end;

	if (type == PW_DNS_MX) {
		unsigned long pref = strtoul(text, &end, 10);

		if (end == text || *end != ' ' || pref > UINT16_MAX)
			return -1;
		rr->pref = (uint16_t)pref;
		rr->data = pw_pool_copy(pool, pw_bytes_of(end + 1));
	} else if (type == PW_DNS_A || type == PW_DNS_AAAA) {
		size_t n = type == PW_DNS_A ? 4 : 16;

		if (pw_ip_parse(pw_bytes_of(text), &ip) != 0 ||
		    ip.family != (type == PW_DNS_A ? 4 : 6))
			return -1;
		rr->data = pw_pool_copy(pool, pw_bytes(ip.b, n));
	} else {
		rr->data = pw_pool_copy(pool, pw_bytes_of(text));
	}
	return rr->data.ptr != NULL ? 0 : -1;
}

static int
one_answer(const json_t *o, struct pw_dns_set *set, struct pw_pool *pool,
    struct pw_err *err)
{
	const char *name = json_string_value(json_object_get(o, "name"));
	const json_t *list = json_object_get(o, "records");
	int type = number_of(json_string_value(json_object_get(o, "type")),
	    type_name, 300);
	int status = number_of(json_string_value(json_object_get(o,
	    "status")), status_name, PW_DNS_BADNAME);
	struct pw_dns_answer a = { .name = name, .ttl = 60 };

	if (name == NULL || type < 0 || status < 0)
		return pw_err_set(err, 0, "answers: each must have a name, a "
		    "type such as \"TXT\" and a status such as \"%s\"",
		    pw_dns_status_name(PW_DNS_OK));
	a.type = (uint16_t)type;
	a.status = (uint8_t)status;
	a.secure = json_is_true(json_object_get(o, "secure"));
	a.nrr = (uint16_t)json_array_size(list);
	a.rr = pw_pool_array(pool, (size_t)a.nrr + 1, sizeof(*a.rr));
	if (a.rr == NULL || a.nrr > PW_DNS_MAX_RR)
		return pw_err_set(err, 0, "answers: %s: too many records",
		    name);
	for (size_t i = 0; i < a.nrr; i++) {
		const char *text = json_string_value(json_array_get(list, i));

		if (text == NULL || one_record(a.type, text, &a.rr[i],
		    pool) != 0)
			return pw_err_set(err, 0, "answers: %s: record %zu is "
			    "none of type %s", name, i + 1,
			    pw_dns_type_name(a.type));
	}
	if (pw_dns_set_add(set, &a) != 0)
		return pw_err_set(err, 0, "answers: too many");
	return 0;
}

int
pw_case_answers(const json_t *o, struct pw_dns_set *set, struct pw_pool *pool,
    struct pw_err *err)
{
	const json_t *list = json_is_object(o) ? json_object_get(o, "dns") : o;

	if (!json_is_array(list))
		return pw_err_set(err, 0, "answers: must be a list, or an "
		    "object with a list under \"dns\"");
	for (size_t i = 0; i < json_array_size(list); i++)
		if (one_answer(json_array_get(list, i), set, pool, err) != 0)
			return -1;
	return 0;
}

/* ---- the message ------------------------------------------------------------- */

int
pw_case_message(const char *file, struct pw_pool *pool, struct pw_bytes *out,
    struct pw_err *err)
{
	FILE *f = fopen(file, "re");
	struct pw_strbuf sb;
	int c, last = 0;

	if (f == NULL)
		return pw_err_sys(err, "%s", file);
	pw_strbuf_init(&sb, MESSAGE_MAX);
	while ((c = getc(f)) != EOF) {
		if (c == '\n' && last != '\r')
			pw_strbuf_addc(&sb, '\r');
		pw_strbuf_addc(&sb, (char)c);
		last = c;
	}
	(void)fclose(f);
	*out = sb.overflow ? PW_BYTES_NONE : pw_pool_copy(pool,
	    pw_strbuf_bytes(&sb));
	pw_strbuf_free(&sb);
	if (out->ptr == NULL)
		return pw_err_set(err, EFBIG, "%s: larger than %u MB", file,
		    MESSAGE_MAX >> 20);
	return 0;
}

/* ---- results ------------------------------------------------------------------- */

json_t *
pw_case_result(const struct pw_stage *d)
{
	return json_pack("{s:s, s:s, s:{}, s:[], s:{}, s:[], s:[], s:[], s:i}",
	    "stage", d->name, "version", d->version != NULL ? d->version : "",
	    "outcomes", "evidence", "facts", "authres", "fields", "asked",
	    "rejected", 0);
}

static void
add_facts(json_t *to, const struct pw_facts *facts)
{
	char ip[PW_IP_STRLEN];

	for (const struct pw_factrow *f = facts->first; f != NULL;
	    f = f->next) {
		json_t *v = NULL, *list = json_object_get(to, f->name);
		struct pw_ip addr = { .family = f->value.family };

		memcpy(addr.b, f->value.ip, sizeof(addr.b));
		pw_ip_format(&addr, ip);
		if (f->value.type == PW_FACT_INT)
			v = json_integer(f->value.num);
		else if (f->value.type == PW_FACT_IP)
			v = json_string(ip);
		else
			v = json_stringn(f->value.text.ptr, f->value.text.len);
		if (f->index == 0 && list == NULL) {
			(void)json_object_set_new(to, f->name, v);
		} else if (!json_is_array(list)) {
			(void)json_object_set_new(to, f->name, json_pack(
			    "[O?, o?]", list, v));
		} else {
			(void)json_array_append_new(list, v);
		}
	}
}

static void
add_texts(json_t *result, const struct pw_out *o)
{
	json_t *ar = json_object_get(result, "authres");
	json_t *fields = json_object_get(result, "fields");

	for (const struct pw_out_authres *a = o->authres; a != NULL;
	    a = a->next)
		(void)json_array_append_new(ar, json_sprintf("%s=%s%s%s",
		    a->method, a->result, a->props[0] != '\0' ? " " : "",
		    a->props));
	for (const struct pw_out_field *f = o->field; f != NULL; f = f->next)
		(void)json_array_append_new(fields, json_sprintf("%s: %s",
		    f->name, f->value));
}

void
pw_case_add(json_t *result, const char *phase, const struct pw_stage *d,
    const struct pw_out *o)
{
	static const char *const names[] = { "hit", "no hit",
		"not applicable", "could not run", "pending" };
	json_t *outcomes = json_object_get(result, "outcomes");
	json_t *rejected = json_object_get(result, "rejected");

	(void)json_object_set_new(outcomes, phase, json_sprintf("%s%s%s",
	    names[o->state], o->reason[0] != '\0' ? ": " : "", o->reason));
	for (const struct pw_out_evidence *e = o->evidence; e != NULL;
	    e = e->next) {
		const struct pw_symbol *s = pw_stage_symbol(d, e->symbol);

		(void)json_array_append_new(json_object_get(result,
		    "evidence"), json_pack("{s:s, s:f, s:s%}", "symbol",
		    e->symbol, "weight", s->weight * e->factor, "text",
		    e->text.ptr != NULL ? e->text.ptr : "", e->text.len));
	}
	add_facts(json_object_get(result, "facts"), &o->fact);
	add_texts(result, o);
	(void)json_integer_set(rejected, json_integer_value(rejected) +
	    (o->clipped ? 1 : 0));
}

/* ---- comparing ------------------------------------------------------------------ */

/* PLACE is extended on the way back from where they differ. */
static bool
differs(struct pw_strbuf *place, const json_t *want, const json_t *found)
{
	char *w = json_dumps(want, JSON_ENCODE_ANY |
	    JSON_REAL_PRECISION(6));
	char *f = found != NULL ? json_dumps(found,
	    JSON_ENCODE_ANY | JSON_REAL_PRECISION(6)) : NULL;

	pw_strbuf_addf(place, ": expected %s, found %s", w != NULL ? w : "?",
	    f != NULL ? f : "nothing");
	free(w);
	free(f);
	return false;
}

static bool
compare(const json_t *want, const json_t *found, const char *at,
    struct pw_strbuf *place)
{
	char below[256];
	const char *key;
	json_t *v;

	if (json_is_object(want) && json_is_object(found)) {
		json_object_foreach((json_t *)(uintptr_t)want, key, v) {
			(void)snprintf(below, sizeof(below), "%s.%s", at, key);
			if (!compare(v, json_object_get(found, key), below,
			    place))
				return false;
		}
		return true;
	}
	if (json_is_array(want) && json_is_array(found) &&
	    json_array_size(want) == json_array_size(found)) {
		for (size_t i = 0; i < json_array_size(want); i++) {
			(void)snprintf(below, sizeof(below), "%s[%zu]", at, i);
			if (!compare(json_array_get(want, i),
			    json_array_get(found, i), below, place))
				return false;
		}
		return true;
	}
	if ((json_is_number(want) && json_is_number(found) &&
	    fabs(json_number_value(want) - json_number_value(found)) < 1e-9) ||
	    json_equal(want, found))
		return true;
	pw_strbuf_adds(place, at[0] == '.' ? at + 1 : at);
	return differs(place, want, found);
}

bool
pw_case_matches(const json_t *want, const json_t *found,
    struct pw_strbuf *place)
{
	return compare(want, found, "", place);
}
