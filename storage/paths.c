/* SPDX-License-Identifier: ISC */
/*
 * The cache of mailbox paths.  Unknown mailboxes are not remembered.
 */
#include "storage/paths.h"

#include <stdlib.h>

#include "base/clock.h"
#include "storage/strmap.h"

#define LOOK_MS 1000u
#define MAX 65536u
#define PATH_SIZE 2048

struct pw_paths {
	struct pw_accounts *accounts;
	struct pw_strmap map; /* mailbox: the path, on the heap */
	uint64_t version, looked_ms;
};

struct pw_paths *
pw_paths_new(struct pw_accounts *a)
{
	struct pw_paths *p = pw_xcalloc(1, sizeof(*p));

	p->accounts = a;
	pw_accounts_patience(a, 0);
	pw_strmap_init(&p->map);
	p->version = pw_accounts_version(a);
	p->looked_ms = pw_clock_mono_ms();
	return p;
}

static void
forget(struct pw_paths *p)
{
	struct pw_strmap_val *v;
	struct pw_bytes key;

	for (size_t at = 0; pw_strmap_next(&p->map, &at, &key, &v);)
		free((void *)(uintptr_t)v->a);
	pw_strmap_clear(&p->map);
}

void
pw_paths_free(struct pw_paths **p)
{
	if (*p == NULL)
		return;
	forget(*p);
	free(*p);
	*p = NULL;
}

const char *
pw_paths_get(struct pw_paths *p, struct pw_bytes mailbox,
    struct pw_pool *pool, bool *locked)
{
	uint64_t now = pw_clock_mono_ms();
	struct pw_strmap_val *v;
	char path[PATH_SIZE];
	const char *name;

	if (now - p->looked_ms >= LOOK_MS) {
		uint64_t version = pw_accounts_version(p->accounts);
		if (version != p->version || p->map.count > MAX)
			forget(p);
		p->version = version;
		p->looked_ms = now;
	}
	v = pw_strmap_get(&p->map, mailbox);
	if (v != NULL)
		return pw_pool_cstr(pool,
		    pw_bytes_of((const char *)(uintptr_t)v->a));
	name = pw_pool_cstr(pool, mailbox);
	int rc = name == NULL ? -1 :
				pw_accounts_path(p->accounts, name, path,
				    sizeof(path));
	if (rc > 0)
		*locked = true;
	if (rc != 0)
		return NULL;
	v = pw_strmap_put(&p->map, mailbox, NULL);
	v->a = (uintptr_t)pw_xstrdup(path);
	return pw_pool_cstr(pool, pw_bytes_of(path));
}
