/* SPDX-License-Identifier: ISC */
/*
 * Descriptors of stages and the files that plug-ins come from.  Internal to
 * filters/ and its harness.
 */
#ifndef PW_FILTERS_PLUGIN_H
#define PW_FILTERS_PLUGIN_H

#include <stdbool.h>

#include "base/err.h"
#include "filters/stage.h"

/* 1 to 32 of a-z, 0-9 and hyphen. */
bool pw_stage_name_ok(const char *name);
/* ABI, features, size, names, roles: 0, or -1 and a line that says what does
 * not fit. */
int pw_stage_check(const struct pw_stage *desc, struct pw_err *err);
/* The descriptor's row of SYMBOL, or NULL. */
const struct pw_symbol *pw_stage_symbol(const struct pw_stage *desc,
    const char *symbol);

/*
 * DIR/NAME.so: folder and file must belong to root (or, where we are not root,
 * to us) and be writable by nobody else; the descriptor must fit and bear NAME.
 * 0 and *out, which stays for the life of the process; or -1 and a line.
 */
int pw_plugin_load(const char *dir, const char *name,
    const struct pw_stage **out, struct pw_err *err);
/* The same for any file, whoever owns it: for a developer's own harness. */
int pw_plugin_open(const char *path, const struct pw_stage **out,
    struct pw_err *err);

#endif
