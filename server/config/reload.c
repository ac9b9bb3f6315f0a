/* SPDX-License-Identifier: ISC */
/*
 * What a new configuration changes that a running daemon cannot take up.
 * Called by master for a reload, before anything of the new generation is
 * started.
 */
#include "config/config_priv.h"

#include <stdio.h>

struct compare {
	const struct pw_config *old;
	struct pw_strbuf *report;
	int rc;
};

/* "file:line: name: ". */
static void
begin(struct compare *c, const struct pw_origin *at, const char *name)
{
	char file[PW_WORD * 2];

	c->rc = -1;
	pw_strbuf_addf(c->report, "%s:%u: %s: ",
	    pw_report_word(file, sizeof(file), at->file), at->line, name);
}

static void
compare_row(const struct pw_row *row, void *arg)
{
	struct compare *c = arg;
	const struct pw_groups *g = pw_config_groups(c->old, row->section);
	char name[80];

	if (row->opt->live || row->index >= g->n)
		return;
	const void *before =
	    (const char *)g->v[row->index].base + row->opt->offset;
	if (pw_value_equal(row->opt, before, row->field))
		return;
	pw_option_name(name, sizeof(name), row->opt, row->index);
	begin(c, row->at->file != NULL ? row->at : row->group_at, name);
	pw_value_print(row->opt, before, c->report);
	pw_strbuf_adds(c->report, " is running and ");
	pw_value_print(row->opt, row->field, c->report);
	pw_strbuf_adds(c->report,
	    " needs a restart; restart, or write the running value\n");
}

int
pw_config_reload_ok(const struct pw_config *old, const struct pw_config *new,
    struct pw_strbuf *report)
{
	struct compare c = { old, report, 0 };

	pw_config_walk(new, compare_row, &c);
	return c.rc;
}
