/* SPDX-License-Identifier: ISC */
/*
 * Finds the stages that a configuration names, among the built-in ones and in
 * the folder of plug-ins, checks that each fits this build, and puts them in
 * order.  A plug-in is never unloaded.
 */
#include "filters/registry.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* ---- one descriptor ---------------------------------------------------------- */

static bool
name_ok(const char *s)
{
	size_t n = 0;

	for (; s[n] != '\0'; n++)
		if (!(s[n] >= 'a' && s[n] <= 'z') && !pw_is_digit(s[n]) &&
		    s[n] != '-')
			return false;
	return n > 0 && n <= 32;
}

static int
check_symbols(const struct pw_stage *d, struct pw_err *err)
{
	for (const struct pw_symbol *s = d->symbols;
	    s != NULL && s->name != NULL; s++) {
		size_t n = strlen(s->name);

		for (size_t i = 0; i < n; i++)
			if (!(s->name[i] >= 'A' && s->name[i] <= 'Z') &&
			    !pw_is_digit(s->name[i]) && s->name[i] != '_')
				n = 0;
		if (n == 0 || n > 64 || !isfinite(s->weight))
			return pw_err_set(err, 0, "stage %s: a symbol must be "
			    "1 to 64 of A-Z, 0-9 and _, with a finite weight",
			    d->name);
	}
	return 0;
}

int
pw_stage_check(const struct pw_stage *d, struct pw_err *err)
{
	if (d->size < sizeof(struct pw_stage))
		return pw_err_set(err, 0, "its descriptor has %u bytes, this "
		    "build needs %zu; build it against the installed "
		    "postward/stage.h", d->size, sizeof(struct pw_stage));
	if (d->abi != PW_STAGE_ABI)
		return pw_err_set(err, 0, "it was built for stage interface "
		    "%u, this is %u", d->abi, PW_STAGE_ABI);
	if (d->features == NULL || strcmp(d->features, PW_STAGE_FEATURES) != 0)
		return pw_err_set(err, 0, "it was built for '%s', this is '%s'",
		    d->features != NULL ? d->features : "", PW_STAGE_FEATURES);
	if (d->name == NULL || !name_ok(d->name))
		return pw_err_set(err, 0, "its name must be 1 to 32 of a-z, "
		    "0-9 and hyphen");
	if (d->run == NULL || d->phases == 0 ||
	    d->phases >> PW_PHASE_COUNT != 0)
		return pw_err_set(err, 0, "stage %s names no phase that there "
		    "is, or has no run function", d->name);
	if ((d->roles & d->role) == 0 || (d->role & (d->role - 1)) != 0)
		return pw_err_set(err, 0, "stage %s: its default role is none "
		    "of its roles", d->name);
	if (d->timeout_ms == 0 || d->timeout_ms > 300000)
		return pw_err_set(err, 0, "stage %s: its time limit must be 1 "
		    "to 300000 ms", d->name);
	if (d->on_error > PW_ERR_HOLD)
		return pw_err_set(err, 0, "stage %s: unknown rule for errors",
		    d->name);
	return check_symbols(d, err);
}

const struct pw_symbol *
pw_stage_symbol(const struct pw_stage *d, const char *symbol)
{
	for (const struct pw_symbol *s = d->symbols;
	    s != NULL && s->name != NULL; s++)
		if (strcmp(s->name, symbol) == 0)
			return s;
	return NULL;
}

/* ---- plug-ins ----------------------------------------------------------------- */

/* Root's, or ours where we are not root, and nobody else may write to it. */
static int
check_owner(const char *path, struct pw_err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return pw_err_sys(err, "%s", path);
	if ((st.st_uid != 0 && st.st_uid != geteuid()) ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return pw_err_set(err, 0, "%s: must belong to root and be "
		    "writable by its owner only", path);
	return 0;
}

static int
load_plugin(struct pw_registry *r, const char *dir, const char *name,
    const struct pw_stage **out, struct pw_err *err)
{
	const struct pw_stage *(*entry)(void);
	char path[4096];
	void *dl, *sym;

	if (snprintf(path, sizeof(path), "%s/%s.so", dir, name) >=
	    (int)sizeof(path))
		return pw_err_set(err, 0, "%s: path too long", dir);
	if (check_owner(dir, err) < 0 || check_owner(path, err) < 0)
		return -1;
	dl = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (dl == NULL)
		return pw_err_set(err, 0, "%s", dlerror());
	sym = dlsym(dl, "pw_stage_entry");
	if (sym == NULL) {
		dlclose(dl);
		return pw_err_set(err, 0, "%s: exports no pw_stage_entry()",
		    path);
	}
	memcpy(&entry, &sym, sizeof(entry));
	*out = entry();
	r->handle[r->nhandles++] = dl;
	if (*out == NULL || pw_stage_check(*out, err) < 0)
		return *out == NULL ? pw_err_set(err, 0,
		    "%s: pw_stage_entry() gave nothing", path) :
		    pw_err_prefix(err, "%s", path);
	if (strcmp((*out)->name, name) != 0)
		return pw_err_set(err, 0, "%s: its stage is named '%s', so the "
		    "file must be %s.so", path, (*out)->name, (*out)->name);
	return 0;
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

		if (!name_ok(name))
			return pw_err_set(b->err, 0, "'%s' cannot be the name "
			    "of a stage", name);
		if (dir == NULL || dir[0] == '\0')
			return pw_err_set(b->err, 0, "there is no stage '%s'; "
			    "set server.plugin-dir where it is a plug-in",
			    name);
		if (load_plugin(b->r, dir, name, &d, b->err) < 0)
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

static const struct pw_config_stage *
section_of(const struct pw_config *cfg, const char *name)
{
	for (size_t i = 0; i < cfg->nstage; i++)
		if (cfg->stage[i].name != NULL &&
		    strcmp(cfg->stage[i].name, name) == 0)
			return &cfg->stage[i];
	return NULL;
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

static int
configure(struct pw_loaded *l, const struct pw_stage *d,
    const struct pw_config *cfg, struct pw_err *err)
{
	static const uint8_t roles[] = { 0, PW_ROLE_FRONT, PW_ROLE_SCAN,
		PW_ROLE_BRIDGE };
	const struct pw_config_stage *s = section_of(cfg, d->name);

	*l = (struct pw_loaded){ .desc = d, .conf = { .desc = d,
		.section = s }, .role = d->role, .on_error = d->on_error,
		.timeout_ms = d->timeout_ms };
	if (s != NULL) {
		if (s->role > 0 && s->role < (int)PW_COUNT(roles))
			l->role = roles[s->role];
		if (s->on_error > 0)
			l->on_error = (uint8_t)s->on_error;
		if (s->timeout > 0)
			l->timeout_ms = (uint32_t)s->timeout;
		l->shadow = s->shadow;
		if (check_options(l, err) < 0)
			return -1;
	}
	if (l->on_error == PW_ERR_DEFAULT)
		l->on_error = PW_ERR_SKIP;
	if ((d->roles & l->role) == 0)
		return pw_err_set(err, 0, "stage %s cannot run in the role "
		    "that stage.role gives it", d->name);
	if (l->role == PW_ROLE_BRIDGE)
		return pw_err_set(err, 0, "stage %s wants the role bridge, "
		    "which this configuration does not start", d->name);
	if (l->role == PW_ROLE_SCAN && ((d->flags & PW_FLAG_ASYNC) != 0 ||
	    d->environment != 0))
		return pw_err_set(err, 0, "stage %s needs the network, other "
		    "programs or answers from outside, which the role scan "
		    "does not have", d->name);
	return 0;
}

static int
init_all(struct pw_registry *r, unsigned roles, struct pw_err *err)
{
	for (size_t i = 0; i < r->n; i++) {
		struct pw_loaded *l = &r->v[i];
		char text[512] = "";

		if ((l->role & roles) == 0)
			continue;
		if (l->desc->init != NULL && l->desc->init(pw_host_table(),
		    &l->conf, &l->instance, text, sizeof(text)) != 0)
			return pw_err_set(err, 0, "stage %s: %s", l->desc->name,
			    text);
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

static int
arrange(struct building *b, unsigned roles)
{
	struct pw_registry *r = b->r;
	size_t order[PW_STAGES_MAX], place[PW_STAGES_MAX];
	uint64_t deps[PW_STAGES_MAX];

	if (pw_order(b->desc, b->n, order, deps, b->err) < 0)
		return -1;
	for (size_t i = 0; i < b->n; i++)
		place[order[i]] = i;
	for (size_t i = 0; i < b->n; i++) {
		if (configure(&r->v[i], b->desc[order[i]], b->cfg,
		    b->err) < 0)
			return -1;
		r->v[i].deps = permute(deps[order[i]], place, b->n);
	}
	r->n = b->n;
	for (size_t i = 0; i < r->nlistener; i++)
		r->listener[i] = permute(r->listener[i], place, b->n);
	return init_all(r, roles, b->err);
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
			return -1;
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
