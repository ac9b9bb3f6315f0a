/* SPDX-License-Identifier: ISC */
/*
 * Finds files by base name in all folders of their mailboxes: a reader may
 * have moved or copied them.  What is remembered is what is looked for, never
 * the mailbox, whose size has no bound.  Replay and checkpoint.
 */
#include "storage/filer_private.h"

#include <stdlib.h>

#include "base/pool.h"
#include "storage/strmap.h"

struct wanted {
	struct pw_found *found;
	struct wanted *next; /* of the same base name in another mailbox */
	enum pw_place place;
	struct pw_bytes path;
};

struct box {
	struct box *next;
	enum pw_place place;
	struct pw_bytes path;
};

struct pw_locate {
	struct pw_pool *pool;
	struct pw_strmap names; /* base name: struct wanted */
	struct pw_strmap paths; /* place and path: struct box */
	struct box *boxes, *now;
};

struct pw_locate *
pw_locate_new(void)
{
	struct pw_locate *l = pw_xcalloc(1, sizeof(*l));

	l->pool = pw_pool_new((size_t)8 << 30);
	pw_strmap_init(&l->names);
	pw_strmap_init(&l->paths);
	return l;
}

void
pw_locate_free(struct pw_locate **l)
{
	if (*l == NULL)
		return;
	pw_strmap_clear(&(*l)->names);
	pw_strmap_clear(&(*l)->paths);
	pw_pool_free(&(*l)->pool);
	free(*l);
	*l = NULL;
}

static void *
need(void *p)
{
	PW_ASSERT(p != NULL);
	return p;
}

static struct pw_bytes
keep(struct pw_locate *l, struct pw_bytes b)
{
	struct pw_bytes copy = pw_pool_copy(l->pool, b);

	(void)need((void *)(uintptr_t)copy.ptr);
	return copy;
}

static void *
value(const struct pw_strmap_val *v)
{
	return v != NULL ? (void *)(uintptr_t)v->a : NULL;
}

static struct wanted *
find(struct pw_locate *l, enum pw_place place, struct pw_bytes path,
    struct pw_bytes base)
{
	struct wanted *w = value(pw_strmap_get(&l->names, base));

	while (w != NULL &&
	    (w->place != place || !pw_bytes_eq(w->path, path)))
		w = w->next;
	return w;
}

/* The box of this path, made when new. */
static struct box *
box_of(struct pw_locate *l, const struct pw_rfile *f)
{
	struct pw_strmap *m = &l->paths;
	struct pw_strmap_val *v;
	struct box *b;
	char key[2304];

	PW_ASSERT(f->path.len < sizeof(key));
	key[0] = (char)f->place;
	memcpy(key + 1, f->path.ptr, f->path.len);
	v = pw_strmap_put(m, pw_bytes(key, f->path.len + 1), NULL);
	if (v->a != 0)
		return value(v);
	b = need(pw_pool_alloc(l->pool, sizeof(*b)));
	b->place = f->place;
	b->path = keep(l, f->path);
	b->next = l->boxes;
	l->boxes = b;
	v->a = (uintptr_t)b;
	return b;
}

void
pw_locate_want(struct pw_locate *l, const struct pw_rfile *f)
{
	struct pw_strmap_val *v;
	struct wanted *w;

	if (find(l, f->place, f->path, f->base) != NULL)
		return;
	w = need(pw_pool_alloc(l->pool, sizeof(*w)));
	w->place = f->place;
	w->path = box_of(l, f)->path;
	v = pw_strmap_put(&l->names, f->base, NULL);
	w->next = value(v);
	v->a = (uintptr_t)w;
}

static bool
noted(const struct wanted *w, const char *folder, const char *name)
{
	for (const struct pw_found *f = w->found; f != NULL; f = f->next)
		if (pw_bytes_eq(f->folder, pw_bytes_of(folder)) &&
		    strcmp(f->name, name) == 0)
			return true;
	return false;
}

static int
on_file(void *arg, const char *folder, bool in_new, const char *name)
{
	struct pw_locate *l = arg;
	struct wanted *w = find(l, l->now->place, l->now->path,
	    pw_maildir_base(pw_bytes_of(name)));
	struct pw_found *f;

	if (w == NULL || noted(w, folder, name))
		return 0;
	f = need(pw_pool_alloc(l->pool, sizeof(*f)));
	f->folder = keep(l, pw_bytes_of(folder));
	f->in_new = in_new;
	f->name = keep(l, pw_bytes_of(name)).ptr;
	f->next = w->found;
	w->found = f;
	return 0;
}

int
pw_locate_run(struct pw_locate *l, const int root[2])
{
	int r = 0;

	for (l->now = l->boxes; r == 0 && l->now != NULL; l->now = l->now->next)
		/* Twice: what a reader moves from a folder not yet seen into
		 * one that was seen already is met the second time. */
		for (int i = 0; r == 0 && i < 2; i++)
			r = pw_maildir_walk(root[l->now->place], l->now->path,
			    on_file, l);
	return r;
}

const struct pw_found *
pw_locate_get(struct pw_locate *l, const struct pw_rfile *f)
{
	const struct wanted *w = find(l, f->place, f->path, f->base);

	return w != NULL ? w->found : NULL;
}
