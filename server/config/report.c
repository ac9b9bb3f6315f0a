/* SPDX-License-Identifier: ISC */
/*
 * The report of a load: lines "file:line: key: what is wrong; what to write",
 * gathered as they are found and printed in the order of the file.
 */
#include "config/config_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

#define LINE_MAX_LEN 1024

struct pw_report_line {
	char *text;    /* owned */
	unsigned flat; /* where in the file, for the order */
	size_t seq;    /* when found, for the order within a line */
};

void
pw_report_init(struct pw_config_report *r, const struct pw_config *cfg)
{
	*r = (struct pw_config_report){ .cfg = cfg };
}

void
pw_report_free(struct pw_config_report *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->v[i].text);
	free(r->v);
	*r = (struct pw_config_report){ 0 };
}

const char *
pw_report_word(char *out, size_t size, const char *s)
{
	pw_escape(out, size, pw_peer(pw_bytes_of(s)));
	return out;
}

static void __attribute__((format(printf, 5, 0)))
add(struct pw_config_report *r, const struct pw_origin *at, const char *key,
    bool warning, const char *fmt, va_list ap)
{
	char text[LINE_MAX_LEN], file[PW_WORD * 2], line[LINE_MAX_LEN + 512];

	if (!warning)
		r->errors++;
	if (r->n >= PW_CONFIG_MAX_REPORT) {
		r->dropped++;
		return;
	}
	vsnprintf(text, sizeof(text), fmt, ap);
	snprintf(line, sizeof(line), "%s%s:%u: %s: %s",
	    warning ? "warning: " : "",
	    pw_report_word(file, sizeof(file), at->file), at->line, key, text);
	if (r->n == r->cap) {
		r->cap = r->cap > 0 ? r->cap * 2 : 8;
		r->v = pw_xrealloc(r->v, r->cap, sizeof(*r->v));
	}
	r->v[r->n] = (struct pw_report_line){ pw_xstrdup(line), at->flat,
		r->n };
	r->n++;
}

void
pw_report_at(struct pw_config_report *r, const struct pw_origin *at,
    const char *key, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(r, at, key, false, fmt, ap);
	va_end(ap);
}

/* The place of an option, else of its group, else of the file.  A value that
 * was refused already gets no second line. */
static void __attribute__((format(printf, 6, 0)))
add_option(struct pw_config_report *r, const char *section, size_t index,
    const char *key, bool warning, const char *fmt, va_list ap)
{
	const struct pw_section *s = pw_section_find(section);
	const struct pw_origin *at = &r->cfg->priv->file;
	char name[80];

	PW_ASSERT(s != NULL);
	const struct pw_groups *g = pw_config_groups(r->cfg, s);
	if (index < g->n && g->v[index].at.file != NULL)
		at = &g->v[index].at;
	if (at->bad)
		return;
	if (key == NULL) {
		add(r, at, section, warning, fmt, ap);
		return;
	}
	const struct pw_option *o = pw_option_find(s, key);
	size_t n;
	PW_ASSERT(o != NULL);
	size_t row = (size_t)(o - pw_option_table(&n)) - s->first;
	if (index < g->n && g->v[index].opt[row].file != NULL)
		at = &g->v[index].opt[row];
	if (at->bad)
		return;
	snprintf(name, sizeof(name), "%s.%s", section, key);
	add(r, at, name, warning, fmt, ap);
}

void
pw_config_error(struct pw_config_report *r, const char *section, size_t index,
    const char *key, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_option(r, section, index, key, false, fmt, ap);
	va_end(ap);
}

void
pw_config_warn(struct pw_config_report *r, const char *section, size_t index,
    const char *key, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_option(r, section, index, key, true, fmt, ap);
	va_end(ap);
}

static int
by_place(const void *va, const void *vb)
{
	const struct pw_report_line *a = va, *b = vb;

	if (a->flat != b->flat)
		return a->flat < b->flat ? -1 : 1;
	return a->seq < b->seq ? -1 : a->seq > b->seq;
}

void
pw_report_print(struct pw_config_report *r, struct pw_strbuf *out)
{
	if (r->n > 0)
		qsort(r->v, r->n, sizeof(*r->v), by_place);
	for (size_t i = 0; i < r->n; i++) {
		pw_strbuf_adds(out, r->v[i].text);
		pw_strbuf_addc(out, '\n');
	}
	if (r->dropped > 0)
		pw_strbuf_addf(out, "and %zu more\n", r->dropped);
}
