/* SPDX-License-Identifier: ISC */
/*
 * The commented example file, from the option table: every option with its
 * default, commented out, so that the file as it is means the defaults.
 * Called by the generator at build time and by `postward config example`.
 */
#include "config/config_priv.h"

#define WIDTH 78
#define TAB 8

/* What is shown where a default would say nothing. */
static const struct {
	const char *section, *key, *value;
} samples[] = {
	{ "certificate", "chain", "\"/etc/postward/fullchain.pem\"" },
	{ "certificate", "key", "\"/etc/postward/privkey.pem\"" },
	{ "stage", "name", "\"spf\"" },
};

static const char head[] =
    "# postward.conf: the configuration of postwardd(8).\n"
    "#\n"
    "# Each option is explained above it, and shown as a comment with its\n"
    "# default.  As it stands the file means the defaults with one listener:\n"
    "# port 25 of all addresses.  postward.conf(5) explains the syntax, and\n"
    "# `postwardd --check FILE` says what is wrong.\n";

/* Lines "BEFORE# words", the words of HELP without back quotes. */
static void
comment(struct pw_strbuf *out, const char *before, size_t indent,
    const char *help)
{
	size_t column = WIDTH;

	while (*help != '\0') {
		size_t len = strcspn(help, " ");
		if (column + 1 + len > WIDTH) {
			if (column != WIDTH || out->ptr[out->len - 1] != '\n')
				pw_strbuf_addc(out, '\n');
			pw_strbuf_addf(out, "%s#", before);
			column = indent + 1;
		}
		pw_strbuf_addc(out, ' ');
		for (size_t i = 0; i < len; i++)
			if (help[i] != '`')
				pw_strbuf_addc(out, help[i]);
		column += 1 + len;
		help += len;
		help += strspn(help, " ");
	}
	pw_strbuf_addc(out, '\n');
}

/* "From 1 to 64.  Needs a restart." */
static void
facts(struct pw_strbuf *out, const char *before, size_t indent,
    const struct pw_option *o)
{
	struct pw_strbuf s;

	pw_strbuf_init(&s, 4096);
	if (o->type == PW_OPT_INT || o->type == PW_OPT_SIZE ||
	    o->type == PW_OPT_TIME || o->type == PW_OPT_ENUM) {
		pw_strbuf_addc(&s, '(');
		pw_value_range(o, &s);
		pw_strbuf_addc(&s, ')');
	}
	if (!o->live)
		pw_strbuf_adds(&s,
		    s.len > 0 ? " (needs a restart)" : "(needs a restart)");
	if (s.len > 0)
		comment(out, before, indent, pw_strbuf_cstr(&s));
	pw_strbuf_free(&s);
}

static void
value(struct pw_strbuf *out, const struct pw_option *o)
{
	for (size_t i = 0; i < PW_COUNT(samples); i++)
		if (strcmp(samples[i].section, o->section) == 0 &&
		    strcmp(samples[i].key, o->key) == 0) {
			pw_strbuf_adds(out, samples[i].value);
			return;
		}
	pw_value_print_default(o, out);
}

/* The options of a section.  BEFORE begins each line, MARK what would set one
 * ("#" or nothing). */
static void
rows(struct pw_strbuf *out, const struct pw_section *s, const char *before,
    size_t indent, const char *mark)
{
	size_t n;
	const struct pw_option *o = pw_option_table(&n);

	for (size_t i = s->first; i < s->first + s->n; i++) {
		if (i > s->first)
			pw_strbuf_addf(out, "%s\n",
			    before[0] == '#' ? "#" : "");
		comment(out, before, indent, o[i].help);
		facts(out, before, indent, &o[i]);
		pw_strbuf_addf(out, "%s%s%s = ", before, mark, o[i].key);
		value(out, &o[i]);
		pw_strbuf_adds(out, ";\n");
	}
}

void
pw_config_example(struct pw_strbuf *out)
{
	size_t n;
	const struct pw_section *s = pw_section_table(&n);

	pw_strbuf_adds(out, head);
	for (size_t i = 0; i < n; i++) {
		const char *name = s[i].name;
		pw_strbuf_addc(out, '\n');
		comment(out, "", 0, s[i].help);
		if (!s[i].in_list) {
			pw_strbuf_addf(out, "%s: {\n", name);
			rows(out, &s[i], "\t", TAB, "#");
			pw_strbuf_adds(out, "};\n");
		} else if (strcmp(name, "listener") == 0) {
			pw_strbuf_addf(out, "%s: (\n\t{\n", name);
			rows(out, &s[i], "\t\t", 2 * TAB, "#");
			pw_strbuf_adds(out, "\t}\n);\n");
		} else {
			pw_strbuf_addf(out, "#%s: (\n#\t{\n", name);
			rows(out, &s[i], "#\t\t", 2 * TAB, "");
			pw_strbuf_adds(out, "#\t}\n#);\n");
		}
	}
}
