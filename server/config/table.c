/* SPDX-License-Identifier: ISC */
/*
 * The tables of options and sections, generated from options.def, and finding
 * things in them.  Constant after the first use; any role, any thread.
 */
#include "config/config_priv.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define KIND_ONE false
#define KIND_MANY true
#define LIVE true
#define RESTART false

/* IN_LIST_server and so on, as constants for the rows below. */
#define PW_SECTION(section, kind, help) IN_LIST_##section = KIND_##kind,
#define PW_OPT(section, field, type, def, min, max, reload, help)
#define PW_SECTION_END(section, kind)
enum {
#include "config/options.def"
};
#undef PW_SECTION
#undef PW_OPT

/* .key is the field's name until prepare() has put the dashes in. */
#define PW_SECTION(section, kind, help)
#define PW_OPT(section, field, type, def, min, max, reload, help)            \
	{ #section, #field, PW_OPT_##type, IN_LIST_##section, reload, def,   \
		min, max, help, offsetof(struct pw_config_##section, field) },
static struct pw_option options[] = {
#include "config/options.def"
};
#undef PW_SECTION
#undef PW_OPT

/* .first and .n are counted by prepare(). */
#define COUNT_ONE(section) 0
#define COUNT_MANY(section) offsetof(struct pw_config, n##section)
#define PW_SECTION(section, kind, help)                                      \
	{ #section, help, KIND_##kind, 0, 0,                                 \
		sizeof(struct pw_config_##section),                          \
		offsetof(struct pw_config, section), COUNT_##kind(section) },
#define PW_OPT(section, field, type, def, min, max, reload, help)
static struct pw_section sections[] = {
#include "config/options.def"
};
#undef PW_SECTION
#undef PW_OPT
#undef PW_SECTION_END

#define KEY_MAX 32

static char keys[PW_COUNT(options)][KEY_MAX];
static pthread_once_t prepared = PTHREAD_ONCE_INIT;

static void
prepare(void)
{
	size_t s = 0;

	for (size_t i = 0; i < PW_COUNT(options); i++) {
		size_t len = strlen(options[i].key);
		PW_ASSERT(len < KEY_MAX);
		for (size_t k = 0; k < len; k++) {
			char c = options[i].key[k];
			keys[i][k] = c == '_' ? '-' : c;
		}
		options[i].key = keys[i];
		while (strcmp(sections[s].name, options[i].section) != 0) {
			s++;
			PW_ASSERT(s < PW_COUNT(sections));
			sections[s].first = i;
		}
		sections[s].n++;
	}
}

const struct pw_option *
pw_option_table(size_t *n)
{
	PW_ASSERT(pthread_once(&prepared, prepare) == 0);
	*n = PW_COUNT(options);
	return options;
}

const struct pw_section *
pw_section_table(size_t *n)
{
	PW_ASSERT(pthread_once(&prepared, prepare) == 0);
	*n = PW_COUNT(sections);
	return sections;
}

const struct pw_section *
pw_section_find(const char *name)
{
	size_t n;
	const struct pw_section *s = pw_section_table(&n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(s[i].name, name) == 0)
			return &s[i];
	return NULL;
}

const struct pw_option *
pw_option_find(const struct pw_section *section, const char *key)
{
	size_t n;
	const struct pw_option *o = pw_option_table(&n);

	for (size_t i = section->first; i < section->first + section->n; i++)
		if (strcmp(o[i].key, key) == 0)
			return &o[i];
	return NULL;
}

struct pw_groups *
pw_config_groups(const struct pw_config *cfg, const struct pw_section *section)
{
	return &cfg->priv->groups[section - sections];
}

void
pw_option_name(char *out, size_t size, const struct pw_option *opt,
    size_t index)
{
	if (opt->in_list)
		snprintf(out, size, "%s[%zu].%s", opt->section, index,
		    opt->key);
	else
		snprintf(out, size, "%s.%s", opt->section, opt->key);
}

static const struct pw_origin *
origin_of(const struct pw_config *cfg, const char *section, size_t index,
    const char *key)
{
	static const struct pw_origin nowhere;
	const struct pw_section *s = pw_section_find(section);
	const struct pw_option *o = s != NULL ? pw_option_find(s, key) : NULL;

	PW_ASSERT(o != NULL);
	const struct pw_groups *g = pw_config_groups(cfg, s);
	if (index >= g->n)
		return &nowhere;
	return &g->v[index].opt[(size_t)(o - options) - s->first];
}

bool
pw_config_is_set(const struct pw_config *cfg, const char *section,
    size_t index, const char *key)
{
	return origin_of(cfg, section, index, key)->file != NULL;
}

void
pw_config_where(const struct pw_config *cfg, const char *section,
    size_t index, const char *key, char *out, size_t size)
{
	const struct pw_section *s = pw_section_find(section);
	const struct pw_origin *at = origin_of(cfg, section, index, key);
	char name[128];

	if (at->file == NULL && index < pw_config_groups(cfg, s)->n)
		at = &pw_config_groups(cfg, s)->v[index].at;
	if (at->file == NULL)
		at = &cfg->priv->file;
	pw_option_name(name, sizeof(name), pw_option_find(s, key), index);
	if (at->file != NULL)
		(void)snprintf(out, size, "%s:%u: %s", at->file, at->line,
		    name);
	else
		(void)snprintf(out, size, "%s", name);
}

bool
pw_config_is_bad(const struct pw_config *cfg, const char *section,
    size_t index, const char *key)
{
	return origin_of(cfg, section, index, key)->bad;
}

#define NAME_MAX_LEN 40

static size_t
min_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Insertions, deletions, changes and swaps of neighbours that turn A into B;
 * case and '_' for '-' count nothing. */
static size_t
distance(const char *a, const char *b)
{
	size_t row[3][NAME_MAX_LEN + 1];
	size_t la = strlen(a), lb = strlen(b);

	if (la > NAME_MAX_LEN || lb > NAME_MAX_LEN)
		return SIZE_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t *now = row[i % 3], *up = row[(i - 1) % 3];
		size_t *upup = row[(i + 1) % 3];
		int ca = a[i - 1] == '_' ? '-' : pw_lower(a[i - 1]);
		now[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			int cb = pw_lower(b[j - 1]);
			size_t change = up[j - 1] + (ca == cb ? 0 : 1);
			now[j] = min_of(change, min_of(up[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && ca == pw_lower(b[j - 2]) &&
			    pw_lower(a[i - 2]) == cb)
				now[j] = min_of(now[j], upup[j - 2] + 1);
		}
	}
	return row[la % 3][lb];
}

const char *
pw_option_nearest(const char *name, const char *const *names, size_t n)
{
	const char *best = NULL;
	size_t best_d = SIZE_MAX;

	for (size_t i = 0; i < n; i++) {
		size_t d = distance(name, names[i]);
		if (d < best_d) {
			best_d = d;
			best = names[i];
		}
	}
	/* A third of the name may be wrong, at least one character of it,
	 * at most three. */
	size_t allowed = min_of(strlen(name) / 3 > 0 ? strlen(name) / 3 : 1, 3);
	return best_d <= allowed ? best : NULL;
}

bool
pw_netlist_has(const struct pw_netlist *l, const struct pw_ip *ip)
{
	for (size_t i = 0; i < l->n; i++)
		if (pw_ip_in_net(ip, &l->v[i]))
			return true;
	return false;
}
