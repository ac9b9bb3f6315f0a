/* SPDX-License-Identifier: ISC */
/*
 * Finds the stages that a configuration names, among the built-in ones and in
 * the folder of plug-ins, checks that each fits this build, and puts them in
 * order.
 */
#include "filters/registry.h"

#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "filters/eval.h"
#include "filters/order.h"

static const struct pw_stage *const builtin[] = { &pw_stage_iprev,
	&pw_stage_helo, &pw_stage_null_mx, &pw_stage_spf, &pw_stage_dkim,
	&pw_stage_arc, &pw_stage_from, &pw_stage_dmarc, &pw_stage_structure };

/* Runs for every message, whatever a listener says: the index and the removal
 * of forged fields rest on it. */
#define ALWAYS "structure"

const struct pw_stage *const *
pw_registry_builtin(size_t *n)
{
	*n = PW_COUNT(builtin);
	return builtin;
}

/* Puts before ERR where the configuration says what is wrong. */
static int
located(const struct pw_config *cfg, const char *section, size_t index,
    const char *key, struct pw_err *err)
{
	char where[600];

	pw_config_where(cfg, section, index, key, where, sizeof(where));
	return pw_err_prefix(err, "%s", where);
}

/* ---- the set -------------------------------------------------------------------- */

struct building {
	const struct pw_config *cfg;
	struct pw_registry *r;
	const struct pw_stage *const *table;
	size_t ntable;
	const struct pw_stage *desc[PW_STAGES_MAX];
	size_t n;
	struct pw_err *err;
};

/* Index in b->desc, loading it where that is needed; -1. */
static int
want(struct building *b, const char *name)
{
	const struct pw_stage *d = NULL;

	for (size_t i = 0; i < b->n; i++)
		if (strcmp(b->desc[i]->name, name) == 0)
			return (int)i;
	if (b->n == PW_STAGES_MAX)
		return pw_err_set(b->err, 0, "more than %u stages",
		    PW_STAGES_MAX);
	for (size_t i = 0; i < b->ntable; i++)
		if (strcmp(b->table[i]->name, name) == 0)
			d = b->table[i];
	if (d == NULL) {
		const char *dir = b->cfg->server.plugin_dir;

		if (!pw_stage_name_ok(name))
			return pw_err_set(b->err, 0, "'%s' cannot be the name "
			    "of a stage", name);
		if (dir == NULL || dir[0] == '\0')
			return pw_err_set(b->err, 0, "there is no stage '%s'; "
			    "set server.plugin-dir where it is a plug-in",
			    name);
		if (pw_plugin_load(dir, name, &d, b->err) < 0)
			return pw_err_prefix(b->err, "stage %s", name);
	} else if (pw_stage_check(d, b->err) < 0) {
		return pw_err_prefix(b->err, "stage %s", name);
	}
	b->desc[b->n] = d;
	return (int)b->n++;
}

static int
want_listener(struct building *b, const struct pw_strlist *list, uint64_t *mask)
{
	int i;

	*mask = 0;
	for (size_t k = 0; k < list->n; k++) {
		if (strcmp(list->v[k], "none") == 0)
			continue;
		if (strcmp(list->v[k], "default") == 0) {
			for (size_t t = 0; t < b->ntable; t++) {
				i = want(b, b->table[t]->name);
				if (i < 0)
					return -1;
				*mask |= UINT64_C(1) << i;
			}
			continue;
		}
		i = want(b, list->v[k]);
		if (i < 0)
			return -1;
		*mask |= UINT64_C(1) << i;
	}
	for (size_t t = 0; t < b->ntable; t++)
		if (strcmp(b->table[t]->name, ALWAYS) == 0) {
			i = want(b, ALWAYS);
			if (i < 0)
				return -1;
			*mask |= UINT64_C(1) << i;
		}
	return 0;
}

/* Index of the section about stage NAME, or the number of sections. */
static size_t
section_of(const struct pw_config *cfg, const char *name)
{
	size_t i = 0;

	while (i < cfg->nstage && (cfg->stage[i].name == NULL ||
	    strcmp(cfg->stage[i].name, name) != 0))
		i++;
	return i;
}

/* Its own options: each must be one that it declares. */
static int
check_options(const struct pw_loaded *l, struct pw_err *err)
{
	const struct pw_strlist *list = &l->conf.section->options;

	for (size_t i = 0; i < list->n; i++) {
		const char *eq = strchr(list->v[i], '=');
		const struct pw_stage_option *o = l->desc->options;
		size_t n = eq != NULL ? (size_t)(eq - list->v[i]) : 0;

		for (; o != NULL && o->name != NULL; o++)
			if (n > 0 && strlen(o->name) == n &&
			    memcmp(o->name, list->v[i], n) == 0)
				break;
		if (o == NULL || o->name == NULL)
			return pw_err_set(err, 0, "stage %s: '%s' is not one of "
			    "its options; write name=value", l->desc->name,
			    list->v[i]);
		if (strlen(eq + 1) > PW_STAGE_VALUE_MAX)
			return pw_err_set(err, 0, "stage %s: the value of "
			    "option %s has more than %u octets", l->desc->name,
			    o->name, PW_STAGE_VALUE_MAX);
	}
	return 0;
}

static const char *
role_names(uint8_t roles)
{
	static const char *const names[] = { "none", "front", "scan",
		"front or scan", "bridge", "front or bridge",
		"scan or bridge", "front, scan or bridge" };

	return names[roles & 7];
}

/* Can the stage run where it is to run? */
static int
check_role(const struct pw_loaded *l, struct pw_err *err)
{
	const struct pw_stage *d = l->desc;

	if ((d->roles & l->role) == 0)
		return pw_err_set(err, 0, "stage %s cannot run in the role %s; "
		    "write %s", d->name, role_names(l->role),
		    role_names(d->roles));
	if (l->role == PW_ROLE_BRIDGE)
		return pw_err_set(err, 0, "stage %s is to run in the role "
		    "bridge, which this version does not have; write %s",
		    d->name, role_names(d->roles & 3));
	if (d->environment != 0)
		return pw_err_set(err, 0, "stage %s needs %s, which the role "
		    "%s does not have; take the stage out", d->name,
		    (d->environment & PW_NEED_EXEC) != 0 ?
		    "to start programs" : "the network",
		    role_names(l->role));
	if (l->role == PW_ROLE_SCAN && (d->flags & PW_FLAG_ASYNC) != 0)
		return pw_err_set(err, 0, "stage %s waits for answers from "
		    "outside, for which the role scan has no time; write "
		    "%s", d->name, role_names(d->roles & ~PW_ROLE_SCAN & 7));
	return 0;
}

static int
configure(struct pw_loaded *l, const struct pw_stage *d,
    const struct pw_config *cfg, struct pw_err *err)
{
	static const uint8_t roles[] = { 0, PW_ROLE_FRONT, PW_ROLE_SCAN,
		PW_ROLE_BRIDGE };
	size_t i = section_of(cfg, d->name);
	const struct pw_config_stage *s = i < cfg->nstage ? &cfg->stage[i] :
	    NULL;

	l->desc = d;
	l->conf.desc = d;
	l->conf.section = s;
	l->role = d->role;
	l->on_error = d->on_error;
	l->timeout_ms = d->timeout_ms;
	if (s != NULL) {
		if (s->role > 0 && s->role < (int)PW_COUNT(roles))
			l->role = roles[s->role];
		if (s->on_error > 0)
			l->on_error = (uint8_t)s->on_error;
		if (s->timeout > 0)
			l->timeout_ms = (uint32_t)s->timeout;
		l->shadow = s->shadow;
		if (check_options(l, err) < 0)
			return located(cfg, "stage", i, "options", err);
	}
	if (l->on_error == PW_ERR_DEFAULT)
		l->on_error = PW_ERR_SKIP;
	if (check_role(l, err) == 0)
		return 0;
	return s != NULL ? located(cfg, "stage", i, "role", err) :
	    located(cfg, "listener", 0, "stages", err);
}

static int
init_all(struct pw_registry *r, const struct pw_config *cfg, unsigned roles,
    struct pw_err *err)
{
	for (size_t i = 0; i < r->n; i++) {
		struct pw_loaded *l = &r->v[i];
		char text[512] = "";

		if ((l->role & roles) == 0)
			continue;
		if (l->desc->init != NULL && l->desc->init(pw_host_table(),
		    &l->conf, &l->instance, text, sizeof(text)) != 0) {
			size_t k = section_of(cfg, l->desc->name);

			(void)pw_err_set(err, 0, "stage %s: %s",
			    l->desc->name, text);
			return k < cfg->nstage ?
			    located(cfg, "stage", k, "options", err) :
			    located(cfg, "listener", 0, "stages", err);
		}
		l->inited = true;
	}
	return 0;
}

static uint64_t
permute(uint64_t mask, const size_t *place, size_t n)
{
	uint64_t out = 0;

	for (size_t i = 0; i < n; i++)
		if (mask >> i & 1)
			out |= UINT64_C(1) << place[i];
	return out;
}

static bool
is_listed(const struct building *b, const struct pw_stage *d)
{
	for (size_t i = 0; i < b->ntable; i++)
		if (b->table[i] == d)
			return true;
	return false;
}

static int
arrange(struct building *b, unsigned roles)
{
	struct pw_registry *r = b->r;
	size_t order[PW_STAGES_MAX], place[PW_STAGES_MAX];
	uint64_t deps[PW_STAGES_MAX];

	if (pw_order(b->desc, b->n, order, deps, b->err) < 0)
		return located(b->cfg, "listener", 0, "stages", b->err);
	for (size_t i = 0; i < b->n; i++)
		place[order[i]] = i;
	for (size_t i = 0; i < b->n; i++) {
		if (configure(&r->v[i], b->desc[order[i]], b->cfg,
		    b->err) < 0)
			return -1;
		r->v[i].deps = permute(deps[order[i]], place, b->n);
		r->v[i].plugin = !is_listed(b, b->desc[order[i]]);
	}
	r->n = b->n;
	for (size_t i = 0; i < r->nlistener; i++)
		r->listener[i] = permute(r->listener[i], place, b->n);
	return init_all(r, b->cfg, roles, b->err);
}

int
pw_registry_with(const struct pw_config *cfg, unsigned roles,
    const struct pw_stage *const *table, size_t ntable,
    struct pw_registry **out, struct pw_err *err)
{
	struct building b = { .cfg = cfg, .table = table, .ntable = ntable,
		.err = err };

	b.r = *out = pw_xcalloc(1, sizeof(*b.r));
	b.r->nlistener = cfg->nlistener;
	b.r->listener = pw_xcalloc(cfg->nlistener > 0 ? cfg->nlistener : 1,
	    sizeof(uint64_t));
	for (size_t i = 0; i < cfg->nlistener; i++)
		if (want_listener(&b, &cfg->listener[i].stages,
		    &b.r->listener[i]) < 0) {
			pw_registry_free(out);
			return located(cfg, "listener", i, "stages", err);
		}
	if (arrange(&b, roles) < 0) {
		pw_registry_free(out);
		return -1;
	}
	return 0;
}

int
pw_registry_new(const struct pw_config *cfg, unsigned roles,
    struct pw_registry **out, struct pw_err *err)
{
	return pw_registry_with(cfg, roles, builtin, PW_COUNT(builtin), out,
	    err);
}

void
pw_registry_free(struct pw_registry **r)
{
	if (*r == NULL)
		return;
	for (size_t i = 0; i < (*r)->n; i++)
		if ((*r)->v[i].inited && (*r)->v[i].desc->fini != NULL)
			(*r)->v[i].desc->fini((*r)->v[i].instance);
	free((*r)->listener);
	free(*r);
	*r = NULL;
}

int
pw_registry_find(const struct pw_registry *r, const char *name)
{
	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->v[i].desc->name, name) == 0)
			return (int)i;
	return -1;
}
