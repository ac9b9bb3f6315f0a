/* SPDX-License-Identifier: ISC */
/*
 * Evidence and stage runs as JSON text for their columns.  Written by hand
 * since it is on the way of every message; read back with jansson.  Writer's
 * thread.
 */
#include "storage/writer_private.h"

#include <math.h>

#include "base/log.h"
#include "base/valid.h"

static bool
needs_escape(unsigned char c)
{
	return c < 0x20 || c == '"' || c == '\\' || c == 0x7f;
}

static void
add_escaped(struct pw_strbuf *sb, struct pw_bytes b)
{
	size_t from = 0;

	for (size_t i = 0; i < b.len; i++) {
		unsigned char c = (unsigned char)b.ptr[i];
		if (!needs_escape(c))
			continue;
		pw_strbuf_add(sb, pw_bytes_sub(b, from, i - from));
		if (c == '"' || c == '\\') {
			pw_strbuf_addc(sb, '\\');
			pw_strbuf_addc(sb, (char)c);
		} else
			pw_strbuf_addf(sb, "\\u%04x", c);
		from = i + 1;
	}
	pw_strbuf_add(sb, pw_bytes_sub(b, from, b.len));
}

/* What is not UTF-8 cannot stand in JSON: it is told in escapes. */
static void
add_string(struct pw_strbuf *sb, struct pw_bytes b)
{
	char text[2048];

	pw_strbuf_addc(sb, '"');
	if (!pw_is_utf8(b)) {
		size_t n = pw_escape(text, sizeof(text), pw_peer(b));
		b = pw_bytes(text, n);
	}
	add_escaped(sb, b);
	pw_strbuf_addc(sb, '"');
}

static void
add_pair(struct pw_strbuf *sb, const char *key, struct pw_bytes value)
{
	pw_strbuf_adds(sb, key);
	add_string(sb, value);
}

static void
add_uint(struct pw_strbuf *sb, uint64_t v)
{
	char text[20];
	size_t at = sizeof(text);

	do
		text[--at] = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	pw_strbuf_add(sb, pw_bytes(text + at, sizeof(text) - at));
}

/* Weights are small numbers, mostly of two decimals; what JSON cannot say is
 * 0. */
static void
add_number(struct pw_strbuf *sb, double v)
{
	double hundredths = round(v * 100);

	if (!isfinite(v))
		pw_strbuf_addc(sb, '0');
	else if (fabs(v) < 1e9 && hundredths / 100 == v) {
		uint64_t n = (uint64_t)fabs(hundredths);
		if (v < 0)
			pw_strbuf_addc(sb, '-');
		add_uint(sb, n / 100);
		if (n % 100 != 0) {
			pw_strbuf_addc(sb, '.');
			pw_strbuf_addc(sb, (char)('0' + n / 10 % 10));
			if (n % 10 != 0)
				pw_strbuf_addc(sb, (char)('0' + n % 10));
		}
	} else
		pw_strbuf_addf(sb, "%.17g", v);
}

static void
add_uint_pair(struct pw_strbuf *sb, const char *key, uint64_t v)
{
	pw_strbuf_adds(sb, key);
	add_uint(sb, v);
}

void
pw_record_evidence(struct pw_strbuf *sb, const struct pw_decision *d)
{
	pw_strbuf_reset(sb);
	pw_strbuf_addc(sb, '[');
	for (size_t i = 0; i < d->nevidence; i++) {
		const struct pw_evidence *e = &d->evidence[i];
		add_pair(sb, i > 0 ? ",{\"stage\":" : "{\"stage\":",
		    pw_bytes_of(e->stage));
		add_pair(sb, ",\"symbol\":", pw_bytes_of(e->symbol));
		pw_strbuf_adds(sb, ",\"weight\":");
		add_number(sb, e->weight);
		add_uint_pair(sb, ",\"scope\":", e->scope);
		pw_strbuf_adds(sb, e->shadow ? ",\"shadow\":true" :
					       ",\"shadow\":false");
		add_pair(sb, ",\"text\":", e->text);
		pw_strbuf_addc(sb, '}');
	}
	pw_strbuf_addc(sb, ']');
}

void
pw_record_runs(struct pw_strbuf *sb, const struct pw_decision *d)
{
	pw_strbuf_reset(sb);
	pw_strbuf_addc(sb, '[');
	for (size_t i = 0; i < d->nrun; i++) {
		const struct pw_stage_run *r = &d->run[i];
		add_pair(sb, i > 0 ? ",{\"stage\":" : "{\"stage\":",
		    pw_bytes_of(r->stage));
		add_uint_pair(sb, ",\"phase\":", r->phase);
		add_uint_pair(sb, ",\"outcome\":", r->outcome);
		add_pair(sb, ",\"reason\":", pw_bytes_of(r->reason));
		add_uint_pair(sb, ",\"wall_us\":", r->wall_us);
		add_uint_pair(sb, ",\"cpu_us\":", r->cpu_us);
		pw_strbuf_addc(sb, '}');
	}
	pw_strbuf_addc(sb, ']');
}
