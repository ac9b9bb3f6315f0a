/* SPDX-License-Identifier: ISC */
/*
 * A configuration from its file: the text (source.c), libconfig's tree of it,
 * and each setting of the tree into the struct, with every fault reported.
 * Called by master and the command-line programs.
 */
#include "config/config_priv.h"

#include <errno.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct loader {
	struct pw_config *cfg;
	struct pw_config_report *report;
	struct pw_source src;
	struct pw_pool *scratch; /* for the length of the load */
};

static struct pw_origin
origin(const struct loader *l, const config_setting_t *s)
{
	return pw_source_at(&l->src, s->line);
}

/* The text that the group of SECTION is written as. */
static const char *
shape(const struct pw_section *section)
{
	return section->in_list ? ": ( { NAME = VALUE; } );" :
				  ": { NAME = VALUE; };";
}

/* An option of this name in any section, for a hint. */
static const struct pw_option *
in_other_section(const char *key)
{
	size_t n;
	const struct pw_section *s = pw_section_table(&n);

	for (size_t i = 0; i < n; i++) {
		const struct pw_option *o = pw_option_find(&s[i], key);
		if (o != NULL)
			return o;
	}
	return NULL;
}

static void
unknown_section(struct loader *l, const config_setting_t *s)
{
	size_t n;
	const struct pw_section *table = pw_section_table(&n);
	const char **names = pw_pool_array(l->scratch, n, sizeof(*names));
	const struct pw_origin at = origin(l, s);
	char word[PW_WORD];

	pw_report_word(word, sizeof(word), s->name);
	PW_ASSERT(names != NULL);
	for (size_t i = 0; i < n; i++)
		names[i] = table[i].name;
	const char *near = pw_option_nearest(s->name, names, n);
	const struct pw_option *o = in_other_section(s->name);
	/* That it is missing need not be said too. */
	if (near != NULL)
		pw_config_groups(l->cfg, pw_section_find(near))->bad = true;
	if (near != NULL)
		pw_report_at(l->report, &at, word,
		    "unknown section; did you mean \"%s\"?", near);
	else if (o != NULL)
		pw_report_at(l->report, &at, word,
		    "it stands outside of its section; write it inside %s%s",
		    o->section, shape(pw_section_find(o->section)));
	else
		pw_report_at(l->report, &at, word,
		    "unknown section; postward.conf(5) lists all");
}

static void
unknown_key(struct loader *l, const struct pw_section *section,
    const config_setting_t *s)
{
	size_t n;
	const struct pw_option *table = pw_option_table(&n);
	const char **names =
	    pw_pool_array(l->scratch, section->n, sizeof(*names));
	const struct pw_origin at = origin(l, s);
	char key[PW_WORD * 2], word[PW_WORD];

	snprintf(key, sizeof(key), "%s.%s", section->name,
	    pw_report_word(word, sizeof(word), s->name));
	PW_ASSERT(names != NULL);
	for (size_t i = 0; i < section->n; i++)
		names[i] = table[section->first + i].key;
	const char *near = pw_option_nearest(s->name, names, section->n);
	const struct pw_option *o = in_other_section(s->name);
	if (near != NULL)
		pw_report_at(l->report, &at, key,
		    "unknown option; did you mean \"%s\"?", near);
	else if (o != NULL)
		pw_report_at(l->report, &at, key,
		    "unknown option; %s belongs to section %s", o->key,
		    o->section);
	else
		pw_report_at(l->report, &at, key,
		    "unknown option; postward.conf(5) lists all");
}

/* A list whose elements are all texts, else one that fits nowhere. */
static void
raw_list(struct loader *l, const config_setting_t *s, struct pw_raw *raw)
{
	size_t n = (size_t)config_setting_length(s);

	raw->kind = PW_RAW_MIXED;
	raw->texts = pw_pool_array(l->scratch, n, sizeof(*raw->texts));
	PW_ASSERT(raw->texts != NULL);
	for (size_t i = 0; i < n; i++) {
		const config_setting_t *e =
		    config_setting_get_elem(s, (unsigned)i);
		if (config_setting_type(e) != CONFIG_TYPE_STRING)
			return;
		raw->texts[i] = config_setting_get_string(e);
	}
	raw->ntexts = n;
	raw->kind = PW_RAW_TEXTS;
}

static struct pw_raw
raw_of(struct loader *l, const config_setting_t *s)
{
	struct pw_raw raw = { .kind = PW_RAW_GROUP };

	switch (config_setting_type(s)) {
	case CONFIG_TYPE_BOOL:
		raw.kind = PW_RAW_BOOL;
		raw.truth = config_setting_get_bool(s) != 0;
		break;
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		raw.kind = PW_RAW_NUMBER;
		raw.number = config_setting_get_int64(s);
		break;
	case CONFIG_TYPE_FLOAT:
		raw.kind = PW_RAW_FRACTION;
		raw.fraction = config_setting_get_float(s);
		break;
	case CONFIG_TYPE_STRING:
		raw.kind = PW_RAW_TEXT;
		raw.text = config_setting_get_string(s);
		break;
	case CONFIG_TYPE_ARRAY:
	case CONFIG_TYPE_LIST:
		raw_list(l, s, &raw);
		break;
	default:
		break;
	}
	return raw;
}

static void
take_option(struct loader *l, const struct pw_section *section,
    struct pw_group *g, const config_setting_t *s)
{
	const struct pw_option *o = pw_option_find(section, s->name);
	struct pw_err err;
	char key[80];
	size_t n;

	if (o == NULL) {
		unknown_key(l, section, s);
		return;
	}
	struct pw_origin at = origin(l, s);
	struct pw_raw raw = raw_of(l, s);
	if (pw_value_set(o, &raw, l->cfg->priv->dir, l->cfg->priv->pool,
		(char *)g->base + o->offset, &err) != 0) {
		snprintf(key, sizeof(key), "%s.%s", section->name, o->key);
		pw_report_at(l->report, &at, key, "%s", err.text);
		at.bad = true;
	}
	g->opt[o - pw_option_table(&n) - section->first] = at;
}

/* The group S, or a fault when it is none. */
static void
take_group(struct loader *l, const struct pw_section *section,
    struct pw_group *g, const config_setting_t *s)
{
	g->at = origin(l, s);
	if (!config_setting_is_group(s)) {
		pw_report_at(l->report, &g->at, section->name,
		    "this is no group; write %s%s", section->name,
		    shape(section));
		g->at.bad = true;
		return;
	}
	for (int i = 0; i < config_setting_length(s); i++)
		take_option(l, section, g,
		    config_setting_get_elem(s, (unsigned)i));
}

static void
init_group(struct pw_config *cfg, const struct pw_section *section,
    struct pw_group *g, void *base)
{
	size_t n;
	const struct pw_option *o = pw_option_table(&n) + section->first;
	struct pw_pool *pool = cfg->priv->pool;

	g->base = base;
	g->opt = pw_pool_array(pool, section->n, sizeof(*g->opt));
	PW_ASSERT(g->opt != NULL);
	for (size_t i = 0; i < section->n; i++)
		pw_value_default(&o[i], pool, (char *)base + o[i].offset);
}

/* The groups of a section that is a list. */
static void
take_list(struct loader *l, const struct pw_section *section,
    const config_setting_t *s)
{
	struct pw_config *cfg = l->cfg;
	struct pw_groups *groups = pw_config_groups(cfg, section);
	struct pw_origin at = origin(l, s);
	bool list = config_setting_is_list(s);
	size_t n = list ? (size_t)config_setting_length(s) : 0;

	groups->bad = !list;
	if (!list) {
		pw_report_at(l->report, &at, section->name,
		    "this is no list of groups; write %s%s", section->name,
		    shape(section));
		return;
	}
	if (n > PW_CONFIG_MAX_GROUPS) {
		pw_report_at(l->report, &at, section->name,
		    "%zu groups are too many; write at most %d", n,
		    PW_CONFIG_MAX_GROUPS);
		return;
	}
	char *base = pw_pool_array(cfg->priv->pool, n, section->size);
	groups->v =
	    pw_pool_array(cfg->priv->pool, n, sizeof(*groups->v));
	PW_ASSERT(base != NULL && groups->v != NULL);
	groups->n = n;
	memcpy((char *)cfg + section->offset, &base, sizeof(base));
	memcpy((char *)cfg + section->count_offset, &n, sizeof(n));
	for (size_t i = 0; i < n; i++) {
		init_group(cfg, section, &groups->v[i],
		    base + i * section->size);
		take_group(l, section, &groups->v[i],
		    config_setting_get_elem(s, (unsigned)i));
	}
}

static void
take_tree(struct loader *l, const config_setting_t *root)
{
	for (int i = 0; i < config_setting_length(root); i++) {
		const config_setting_t *s =
		    config_setting_get_elem(root, (unsigned)i);
		const struct pw_section *section = pw_section_find(s->name);
		if (section == NULL)
			unknown_section(l, s);
		else if (section->in_list)
			take_list(l, section, s);
		else
			take_group(l, section,
			    pw_config_groups(l->cfg, section)->v, s);
	}
}

/* libconfig's reason in our form, with what stands there. */
static void
syntax_error(struct loader *l, const config_t *tree)
{
	unsigned line = (unsigned)config_error_line(tree);
	struct pw_origin at = pw_source_at(&l->src, line);
	const char *why = config_error_text(tree);
	const char *write = "write NAME = VALUE; in a section, and a text in "
			    "quotes (the fault may be one line before)";
	char word[PW_WORD / 2];
	size_t n = 0;

	/* An empty line explains nothing: what stands before it does. */
	while (line > 1 && pw_source_line(&l->src, line).len == 0)
		line--;
	if (strstr(why, "duplicate") != NULL)
		write = "keep one of the two";
	else if (strstr(why, "mismatched") != NULL)
		write = "put every element in quotes";
	struct pw_bytes text = pw_source_line(&l->src, line);
	/* Quotes stay as they are, or the line would not be known again. */
	for (; n < text.len && n < sizeof(word) - 1; n++)
		word[n] = text.ptr[n] >= ' ' && text.ptr[n] < 0x7f ?
		    text.ptr[n] :
		    '?';
	word[n] = '\0';
	pw_report_at(l->report, at.file != NULL ? &at : &l->cfg->priv->file,
	    "syntax", "%s near `%s`; %s", why, word, write);
}

/* The absolute path of the folder of FILE, which is absolute. */
static const char *
folder_of(struct pw_pool *pool, const char *file)
{
	const char *slash = strrchr(file, '/');

	return pw_pool_cstr(pool, slash == file ? PW_LIT("/") :
						  pw_bytes(file,
						      (size_t)(slash - file)));
}

static int
set_file(struct pw_config *cfg, const char *file)
{
	struct pw_pool *pool = cfg->priv->pool;
	char cwd[4096];

	cfg->priv->file = (struct pw_origin){
		.file = pw_pool_cstr(pool, pw_bytes_of(file)),
		.line = 1,
		.flat = 1,
	};
	if (file[0] == '/')
		cfg->file = cfg->priv->file.file;
	else if (getcwd(cwd, sizeof(cwd)) != NULL)
		cfg->file = pw_pool_printf(pool, "%s/%s",
		    strcmp(cwd, "/") == 0 ? "" : cwd, file);
	else
		return -1;
	PW_ASSERT(cfg->file != NULL);
	cfg->priv->dir = folder_of(pool, cfg->file);
	return 0;
}

int
pw_config_parse(struct pw_config *cfg, const char *file,
    struct pw_config_report *report)
{
	struct loader l = { .cfg = cfg, .report = report };
	config_t tree;
	int rc;

	if (set_file(cfg, file) != 0) {
		pw_report_at(report, &cfg->priv->file, "file",
		    "the running folder is unknown: %s; write a path that "
		    "begins with /", strerror(errno));
		return -1;
	}
	if (pw_source_read(&l.src, cfg->file, file, cfg->priv->pool, report) !=
	    0) {
		pw_source_free(&l.src);
		return -1;
	}
	config_init(&tree);
	l.scratch = pw_pool_new(0);
	rc = config_read_string(&tree, pw_strbuf_cstr(&l.src.text)) ? 0 : -1;
	if (rc == 0)
		take_tree(&l, config_root_setting(&tree));
	else
		syntax_error(&l, &tree);
	pw_pool_free(&l.scratch);
	config_destroy(&tree);
	pw_source_free(&l.src);
	return rc;
}

struct pw_config *
pw_config_defaults(void)
{
	struct pw_config *cfg = pw_xcalloc(1, sizeof(*cfg));
	struct pw_pool *pool = pw_pool_new(0);
	size_t n;
	const struct pw_section *s = pw_section_table(&n);

	cfg->priv = pw_pool_alloc(pool, sizeof(*cfg->priv));
	cfg->priv->pool = pool;
	cfg->priv->groups =
	    pw_pool_array(pool, n, sizeof(*cfg->priv->groups));
	cfg->priv->file = (struct pw_origin){ .file = "postward.conf",
		.line = 1 };
	cfg->priv->dir = "/";
	cfg->file = "";
	for (size_t i = 0; i < n; i++) {
		struct pw_groups *g = &cfg->priv->groups[i];
		if (s[i].in_list)
			continue;
		g->n = 1;
		g->v = pw_pool_alloc(pool, sizeof(*g->v));
		init_group(cfg, &s[i], g->v, (char *)cfg + s[i].offset);
	}
	return cfg;
}

void
pw_config_free(struct pw_config **cfg)
{
	if (*cfg == NULL)
		return;
	/* The private part lies in the pool itself. */
	struct pw_pool *pool = (*cfg)->priv->pool;
	pw_pool_free(&pool);
	free(*cfg);
	*cfg = NULL;
}

int
pw_config_load(const char *file, bool deep, struct pw_config **out,
    struct pw_strbuf *text)
{
	struct pw_config *cfg = pw_config_defaults();
	struct pw_config_report report;

	pw_report_init(&report, cfg);
	if (pw_config_parse(cfg, file, &report) == 0)
		pw_check_all(cfg, deep, &report);
	pw_report_print(&report, text);
	*out = NULL;
	if (report.errors > 0)
		pw_config_free(&cfg);
	else
		*out = cfg;
	pw_report_free(&report);
	return *out != NULL ? 0 : -1;
}
