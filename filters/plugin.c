/* SPDX-License-Identifier: ISC */
/*
 * One stage's descriptor: does it fit this build; and plug-ins: whose file it
 * is, loading it, what it exports.  A plug-in is never unloaded.  Used by the
 * registry in master, front and scan, and by the harness.
 */
#include "filters/plugin.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"

/* ---- one descriptor ---------------------------------------------------------- */

bool
pw_stage_name_ok(const char *s)
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
	if (d->name == NULL || !pw_stage_name_ok(d->name))
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
	if (d->on_error > PW_ERR_HOLD || d->scope > PW_SCOPE_RECIPIENT ||
	    d->cost > PW_COST_DEAR)
		return pw_err_set(err, 0, "stage %s: unknown rule for errors, "
		    "scope or cost", d->name);
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

/* Root's, or ours where we are not root, and nobody else may write to it: who
 * can change it can make a daemon run what he likes. */
static int
check_owner(const char *path, mode_t kind, struct pw_err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return pw_err_sys(err, "%s", path);
	if ((st.st_mode & S_IFMT) != kind)
		return pw_err_set(err, 0, "%s: must be a %s", path,
		    kind == S_IFDIR ? "folder" : "regular file");
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return pw_err_set(err, 0, "%s: belongs to user %lu, must "
		    "belong to root; chown root it", path,
		    (unsigned long)st.st_uid);
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return pw_err_set(err, 0, "%s: has mode %04o, must be writable "
		    "by its owner only; chmod go-w it", path,
		    (unsigned)(st.st_mode & 07777));
	return 0;
}

int
pw_plugin_open(const char *path, const struct pw_stage **out,
    struct pw_err *err)
{
	const struct pw_stage *(*entry)(void);
	void *dl = dlopen(path, RTLD_NOW | RTLD_LOCAL), *sym;

	if (dl == NULL)
		return pw_err_set(err, 0, "%s", dlerror());
	sym = dlsym(dl, "pw_stage_entry");
	if (sym == NULL) {
		(void)dlclose(dl);
		return pw_err_set(err, 0, "%s: exports no pw_stage_entry()",
		    path);
	}
	memcpy(&entry, &sym, sizeof(entry));
	*out = entry();
	if (*out == NULL)
		return pw_err_set(err, 0, "%s: pw_stage_entry() gave nothing",
		    path);
	if (pw_stage_check(*out, err) < 0)
		return pw_err_prefix(err, "%s", path);
	return 0;
}

int
pw_plugin_load(const char *dir, const char *name, const struct pw_stage **out,
    struct pw_err *err)
{
	char path[4096];

	if (snprintf(path, sizeof(path), "%s/%s.so", dir, name) >=
	    (int)sizeof(path))
		return pw_err_set(err, 0, "%s: path too long", dir);
	if (check_owner(dir, S_IFDIR, err) < 0 ||
	    check_owner(path, S_IFREG, err) < 0 ||
	    pw_plugin_open(path, out, err) < 0)
		return -1;
	if (strcmp((*out)->name, name) != 0)
		return pw_err_set(err, 0, "%s: its stage is named '%s', so the "
		    "file must be %s.so", path, (*out)->name, (*out)->name);
	return 0;
}
