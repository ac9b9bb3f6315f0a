/* SPDX-License-Identifier: ISC */
/*
 * postward.conf(5), with one entry for each row of the option table.  Called
 * by the generator at build time and by `postward config man`.
 */
#include "config/gendoc.h"

#include "base/log.h"
#include "config/config_priv.h"

/* One character that is not to be taken as markup. */
static void
put_char(struct pw_strbuf *out, char c)
{
	switch (c) {
	case '\\':
		pw_strbuf_adds(out, "\\e");
		break;
	case '-':
		pw_strbuf_adds(out, "\\-");
		break;
	case '^':
		pw_strbuf_adds(out, "\\(ha");
		break;
	case '~':
		pw_strbuf_adds(out, "\\(ti");
		break;
	case '\'':
		pw_strbuf_adds(out, "\\(aq");
		break;
	default:
		pw_strbuf_addc(out, c);
	}
}

static void
put(struct pw_strbuf *out, struct pw_bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		put_char(out, b.ptr[i]);
}

/* Sentences, each on a line of its own as man(7) likes it; what stands between
 * back quotes is bold. */
static void
put_help(struct pw_strbuf *out, const char *s)
{
	bool bold = false;

	for (; *s != '\0'; s++) {
		if (*s == '`') {
			bold = !bold;
			pw_strbuf_adds(out, bold ? "\\fB" : "\\fR");
		} else if (s[0] == ' ' && s[-1] == '.') {
			pw_strbuf_addc(out, '\n');
		} else {
			put_char(out, *s);
		}
	}
	PW_ASSERT(!bold);
	pw_strbuf_addc(out, '\n');
}

/* What stands for the value, as the chapter on values names it. */
static const char *
kind(enum pw_opt_type type)
{
	static const char *const names[] = {
		[PW_OPT_BOOL] = "truth",
		[PW_OPT_INT] = "number",
		[PW_OPT_SIZE] = "size",
		[PW_OPT_TIME] = "time",
		[PW_OPT_STR] = "text",
		[PW_OPT_PATH] = "path",
		[PW_OPT_ENUM] = "word",
		[PW_OPT_LIST] = "texts",
		[PW_OPT_NETS] = "networks",
	};

	return names[type];
}

/* "A size from "64K" to "2G", default "50M"." */
static void
put_facts(struct pw_strbuf *out, const struct pw_option *o)
{
	struct pw_strbuf s;

	pw_strbuf_init(&s, 4096);
	if (o->type == PW_OPT_ENUM)
		pw_strbuf_adds(&s, "One of ");
	if (o->type == PW_OPT_INT || o->type == PW_OPT_SIZE ||
	    o->type == PW_OPT_TIME || o->type == PW_OPT_ENUM) {
		pw_value_range(o, &s);
		s.ptr[0] = s.ptr[0] == 'a' ? 'A' : s.ptr[0];
		pw_strbuf_adds(&s, "; default ");
	} else {
		pw_strbuf_adds(&s, "Default ");
	}
	pw_value_print_default(o, &s);
	pw_strbuf_adds(&s, o->live ? "." : "; needs a restart.");
	put(out, pw_strbuf_bytes(&s));
	pw_strbuf_addc(out, '\n');
	pw_strbuf_free(&s);
}

void
pw_config_man(struct pw_strbuf *out)
{
	size_t n, nopt;
	const struct pw_section *s = pw_section_table(&n);
	const struct pw_option *o = pw_option_table(&nopt);

	pw_strbuf_adds(out, pw_man_head);
	for (size_t i = 0; i < n; i++) {
		pw_strbuf_addf(out, ".SS %s%s\n", s[i].name,
		    s[i].in_list ? ": ( { ... }, ... );" : ": { ... };");
		put_help(out, s[i].help);
		for (size_t k = s[i].first; k < s[i].first + s[i].n; k++) {
			pw_strbuf_adds(out, ".TP\n\\fB");
			put(out, pw_bytes_of(o[k].key));
			pw_strbuf_addf(out, "\\fR = \\fI%s\\fR\n",
			    kind(o[k].type));
			put_help(out, o[k].help);
			put_facts(out, &o[k]);
		}
	}
	pw_strbuf_adds(out, pw_man_tail);
}
