/* SPDX-License-Identifier: ISC */
/*
 * A configuration as text, for `postward config show`: every option with its
 * value and where that was set.
 */
#include "config/config_priv.h"

#include <stdio.h>

#include "base/log.h"

static const struct pw_origin *
group_at(const struct pw_config *cfg, const struct pw_groups *g, size_t i)
{
	return g->v[i].at.file != NULL ? &g->v[i].at : &cfg->priv->file;
}

void
pw_config_walk(const struct pw_config *cfg,
    void (*each)(const struct pw_row *row, void *arg), void *arg)
{
	size_t n, nopt;
	const struct pw_section *s = pw_section_table(&n);
	const struct pw_option *o = pw_option_table(&nopt);

	for (size_t i = 0; i < n; i++) {
		const struct pw_groups *g = pw_config_groups(cfg, &s[i]);
		for (size_t k = 0; k < g->n; k++)
			for (size_t j = 0; j < s[i].n; j++) {
				const struct pw_option *opt =
				    &o[s[i].first + j];
				struct pw_row row = { &s[i], opt, k,
					(const char *)g->v[k].base +
					    opt->offset,
					&g->v[k].opt[j], group_at(cfg, g, k) };
				each(&row, arg);
			}
	}
}

static void
show_text(const struct pw_row *row, void *arg)
{
	struct pw_strbuf *out = arg;
	char name[80], file[PW_WORD * 2];

	pw_option_name(name, sizeof(name), row->opt, row->index);
	pw_strbuf_addf(out, "%s = ", name);
	pw_value_print(row->opt, row->field, out);
	if (row->at->file != NULL)
		pw_strbuf_addf(out, "  # %s:%u; ",
		    pw_report_word(file, sizeof(file), row->at->file),
		    row->at->line);
	else
		pw_strbuf_adds(out, "  # default; ");
	pw_strbuf_adds(out, row->opt->help);
	pw_strbuf_addc(out, '\n');
}

static void
show_json(const struct pw_row *row, void *arg)
{
	struct pw_strbuf *out = arg;
	char name[80], file[PW_WORD * 2];
	bool set = row->at->file != NULL;

	pw_option_name(name, sizeof(name), row->opt, row->index);
	/* The first one follows the opening bracket. */
	if (out->len > 0 && out->ptr[out->len - 1] == '}')
		pw_strbuf_adds(out, ",\n ");
	pw_strbuf_adds(out, "{\"name\": ");
	pw_value_quote(out, name);
	pw_strbuf_adds(out, ", \"value\": ");
	pw_value_print(row->opt, row->field, out);
	pw_strbuf_adds(out, ", \"default\": ");
	pw_value_print_default(row->opt, out);
	pw_strbuf_addf(out, ", \"set\": %s, \"file\": ",
	    set ? "true" : "false");
	if (set)
		pw_value_quote(out,
		    pw_report_word(file, sizeof(file), row->at->file));
	else
		pw_strbuf_adds(out, "null");
	pw_strbuf_addf(out, ", \"line\": %u, \"help\": ", row->at->line);
	pw_value_quote(out, row->opt->help);
	pw_strbuf_addc(out, '}');
}

void
pw_config_show(const struct pw_config *cfg, bool json, struct pw_strbuf *out)
{
	if (!json) {
		pw_config_walk(cfg, show_text, out);
		return;
	}
	pw_strbuf_addc(out, '[');
	pw_config_walk(cfg, show_json, out);
	pw_strbuf_adds(out, "]\n");
}
