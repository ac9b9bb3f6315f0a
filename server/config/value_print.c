/* SPDX-License-Identifier: ISC */
/*
 * Values back to text, and the texts that say what an option takes.  Called by
 * show, reload, the generated documents and, for messages, by value.c.
 */
#include "config/config_priv.h"

#include <stdio.h>

#include "base/log.h"

void
pw_value_quote(struct pw_strbuf *out, const char *s)
{
	pw_strbuf_addc(out, '"');
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			pw_strbuf_addc(out, '\\');
		pw_strbuf_addc(out, *s);
	}
	pw_strbuf_addc(out, '"');
}

static void
print_unit(struct pw_strbuf *out, enum pw_opt_type type, uint64_t v)
{
	char text[40];

	pw_unit_format(type, v, text, sizeof(text));
	/* With a unit behind it, it is a text. */
	if (pw_is_digit(text[strlen(text) - 1]))
		pw_strbuf_adds(out, text);
	else
		pw_value_quote(out, text);
}

static void
print_net(struct pw_strbuf *out, const struct pw_net *net)
{
	char ip[PW_IP_STRLEN];

	pw_ip_format(&net->ip, ip);
	if (net->bits == (net->ip.family == 4 ? 32 : 128))
		pw_strbuf_addf(out, "\"%s\"", ip);
	else
		pw_strbuf_addf(out, "\"%s/%u\"", ip, net->bits);
}

static void
print_list(struct pw_strbuf *out, const struct pw_strlist *l)
{
	pw_strbuf_adds(out, "[ ");
	for (size_t i = 0; i < l->n; i++) {
		if (i > 0)
			pw_strbuf_adds(out, ", ");
		pw_value_quote(out, l->v[i]);
	}
	pw_strbuf_adds(out, l->n > 0 ? " ]" : "]");
}

static void
print_nets(struct pw_strbuf *out, const struct pw_netlist *l)
{
	pw_strbuf_adds(out, "[ ");
	for (size_t i = 0; i < l->n; i++) {
		if (i > 0)
			pw_strbuf_adds(out, ", ");
		print_net(out, &l->v[i]);
	}
	pw_strbuf_adds(out, l->n > 0 ? " ]" : "]");
}

/* The INDEXth of the words of an ENUM. */
static struct pw_bytes
enum_word(const struct pw_option *opt, int index)
{
	const char *s = opt->min;

	for (; index > 0; index--)
		s += strcspn(s, "|") + 1;
	return pw_bytes(s, strcspn(s, "|"));
}

void
pw_value_print(const struct pw_option *opt, const void *field,
    struct pw_strbuf *out)
{
	switch (opt->type) {
	case PW_OPT_BOOL:
		pw_strbuf_adds(out, *(const bool *)field ? "true" : "false");
		return;
	case PW_OPT_INT:
		print_unit(out, opt->type,
		    (uint64_t) * (const int64_t *)field);
		return;
	case PW_OPT_SIZE:
	case PW_OPT_TIME:
		print_unit(out, opt->type, *(const uint64_t *)field);
		return;
	case PW_OPT_STR:
	case PW_OPT_PATH:
		pw_value_quote(out, *(const char *const *)field);
		return;
	case PW_OPT_ENUM:
		pw_strbuf_addc(out, '"');
		pw_strbuf_add(out, enum_word(opt, *(const int *)field));
		pw_strbuf_addc(out, '"');
		return;
	case PW_OPT_LIST:
		print_list(out, field);
		return;
	case PW_OPT_NETS:
		print_nets(out, field);
		return;
	}
	PW_ASSERT(!"a type of option");
}

bool
pw_value_equal(const struct pw_option *opt, const void *a, const void *b)
{
	struct pw_strbuf sa, sb;

	/* One text for one value, so the texts tell. */
	pw_strbuf_init(&sa, SIZE_MAX / 4);
	pw_strbuf_init(&sb, SIZE_MAX / 4);
	pw_value_print(opt, a, &sa);
	pw_value_print(opt, b, &sb);
	bool eq = pw_bytes_eq(pw_strbuf_bytes(&sa), pw_strbuf_bytes(&sb));
	pw_strbuf_free(&sa);
	pw_strbuf_free(&sb);
	return eq;
}

/* "a size from "64K" to "2G""; texts with a unit stand in quotes. */
static void
range(struct pw_strbuf *out, const struct pw_option *opt, const char *what)
{
	const char *limit[2] = { opt->min, opt->max };
	const char *word[2] = { " from ", " to " };

	pw_strbuf_adds(out, what);
	for (int i = 0; i < 2; i++) {
		size_t len = strlen(limit[i]);
		if (len == 0)
			continue;
		pw_strbuf_adds(out, word[i]);
		if (pw_is_digit(limit[i][len - 1]))
			pw_strbuf_adds(out, limit[i]);
		else
			pw_value_quote(out, limit[i]);
	}
}

static void
words(struct pw_strbuf *out, const struct pw_option *opt)
{
	const char *s = opt->min;

	while (*s != '\0') {
		size_t n = strcspn(s, "|");
		bool last = s[n] == '\0';
		if (s != opt->min)
			pw_strbuf_adds(out, last ? " or " : ", ");
		pw_strbuf_addc(out, '"');
		pw_strbuf_add(out, pw_bytes(s, n));
		pw_strbuf_addc(out, '"');
		s += last ? n : n + 1;
	}
}

void
pw_value_range(const struct pw_option *opt, struct pw_strbuf *out)
{
	switch (opt->type) {
	case PW_OPT_BOOL:
		pw_strbuf_adds(out, "true or false, without quotes");
		return;
	case PW_OPT_INT:
		range(out, opt, "a number");
		return;
	case PW_OPT_SIZE:
		range(out, opt, "a size");
		return;
	case PW_OPT_TIME:
		range(out, opt, "a time");
		return;
	case PW_OPT_STR:
		pw_strbuf_adds(out, "a text in quotes");
		return;
	case PW_OPT_PATH:
		pw_strbuf_adds(out, "a path in quotes");
		return;
	case PW_OPT_ENUM:
		words(out, opt);
		return;
	case PW_OPT_LIST:
		pw_strbuf_adds(out,
		    "a list of texts, such as [ \"a\", \"b\" ]");
		return;
	case PW_OPT_NETS:
		pw_strbuf_adds(out, "a list of networks, such as "
				    "[ \"192.0.2.0/24\", \"2001:db8::/32\" ]");
		return;
	}
	PW_ASSERT(!"a type of option");
}

/* The words of a default of LIST or NETS. */
static struct pw_raw
split(const char *s, const char **v, size_t max, struct pw_pool *pool)
{
	size_t n = 0;

	while (*(s += strspn(s, " ")) != '\0') {
		size_t len = strcspn(s, " ");
		PW_ASSERT(n < max);
		v[n++] = pw_pool_cstr(pool, pw_bytes(s, len));
		s += len;
	}
	return (struct pw_raw){ .kind = PW_RAW_TEXTS, .texts = v, .ntexts = n };
}

#define DEFAULT_WORDS 16

void
pw_value_default(const struct pw_option *opt, struct pw_pool *pool, void *field)
{
	const char *v[DEFAULT_WORDS];
	struct pw_raw raw = { .kind = PW_RAW_TEXT, .text = opt->def };
	struct pw_err err;

	if (opt->type == PW_OPT_BOOL) {
		raw.kind = PW_RAW_BOOL;
		raw.truth = strcmp(opt->def, "true") == 0;
	} else if (opt->type == PW_OPT_LIST || opt->type == PW_OPT_NETS) {
		raw = split(opt->def, v, PW_COUNT(v), pool);
	}
	PW_ASSERT(pw_value_set(opt, &raw, "/", pool, field, &err) == 0);
}

void
pw_value_print_default(const struct pw_option *opt, struct pw_strbuf *out)
{
	struct pw_pool *pool = pw_pool_new(0);
	union {
		bool truth;
		int64_t number;
		uint64_t size;
		const char *text;
		int index;
		struct pw_strlist list;
		struct pw_netlist nets;
	} field = { 0 };

	pw_value_default(opt, pool, &field);
	pw_value_print(opt, &field, out);
	pw_pool_free(&pool);
}
