/* SPDX-License-Identifier: ISC */
/*
 * The bounded cache of open mail folders.  A mutex guards it; folders are
 * opened outside of it.  Any thread of the store role.
 */
#include "storage/folders.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/pool.h"
#include "storage/sysio.h"

#define BUCKETS 256u
#define KEEP_MS 2000u

struct entry {
	struct pw_folder pub; /* first: the caller's pointer is ours */
	struct entry *chain;  /* of its bucket */
	struct entry *newer, *older;
	uint64_t hash, opened_ms;
	unsigned refs;
	bool listed; /* in the table, else freed with its last reference */
	size_t keylen;
	char key[];
};

struct pw_folders {
	pthread_mutex_t lock;
	int root[2];
	size_t max, n;
	struct entry *bucket[BUCKETS];
	struct entry *newest, *oldest;
};

struct pw_folders *
pw_folders_new(const int root[2], size_t max)
{
	struct pw_folders *f = pw_xcalloc(1, sizeof(*f));

	(void)pthread_mutex_init(&f->lock, NULL);
	f->root[0] = root[0];
	f->root[1] = root[1];
	f->max = max > 0 ? max : 1;
	return f;
}

static void
entry_free(struct entry *e)
{
	pw_maildir_close(&e->pub.dir);
	free(e);
}

static void
unlist(struct pw_folders *f, struct entry *e)
{
	struct entry **p = &f->bucket[e->hash % BUCKETS];

	while (*p != e)
		p = &(*p)->chain;
	*p = e->chain;
	*(e->newer != NULL ? &e->newer->older : &f->newest) = e->older;
	*(e->older != NULL ? &e->older->newer : &f->oldest) = e->newer;
	e->listed = false;
	f->n--;
	if (e->refs == 0)
		entry_free(e);
}

static void
list(struct pw_folders *f, struct entry *e)
{
	struct entry **b = &f->bucket[e->hash % BUCKETS];

	e->chain = *b;
	*b = e;
	e->newer = NULL;
	e->older = f->newest;
	*(f->newest != NULL ? &f->newest->newer : &f->oldest) = e;
	f->newest = e;
	e->listed = true;
	f->n++;
	while (f->n > f->max)
		unlist(f, f->oldest);
}

void
pw_folders_sweep(struct pw_folders *f, bool all)
{
	uint64_t now = pw_clock_mono_ms();

	(void)pthread_mutex_lock(&f->lock);
	for (struct entry *e = f->oldest, *next; e != NULL; e = next) {
		next = e->newer;
		if (e->refs == 0 && (all || now - e->opened_ms > KEEP_MS))
			unlist(f, e);
	}
	(void)pthread_mutex_unlock(&f->lock);
}

void
pw_folders_free(struct pw_folders **f)
{
	if (*f == NULL)
		return;
	pw_folders_sweep(*f, true);
	PW_ASSERT((*f)->n == 0);
	(void)pthread_mutex_destroy(&(*f)->lock);
	free(*f);
	*f = NULL;
}

static struct entry *
find(struct pw_folders *f, uint64_t hash, const char *key, size_t len)
{
	struct entry *e = f->bucket[hash % BUCKETS];

	while (e != NULL && (e->hash != hash || e->keylen != len ||
				memcmp(e->key, key, len) != 0))
		e = e->chain;
	return e;
}

/* The listed entry that is young enough, referenced. */
static struct entry *
take(struct pw_folders *f, uint64_t hash, const char *key, size_t len)
{
	struct entry *e;

	(void)pthread_mutex_lock(&f->lock);
	e = find(f, hash, key, len);
	if (e != NULL && pw_clock_mono_ms() - e->opened_ms > KEEP_MS) {
		unlist(f, e);
		e = NULL;
	}
	if (e != NULL)
		e->refs++;
	(void)pthread_mutex_unlock(&f->lock);
	return e;
}

static struct entry *
open_entry(struct pw_folders *f, enum pw_place place, struct pw_bytes path,
    struct pw_bytes folder, size_t keylen)
{
	struct entry *e = pw_xcalloc(1, sizeof(*e) + keylen);
	int root = f->root[place];

	e->refs = 1;
	e->opened_ms = pw_clock_mono_ms();
	if (pw_maildir_open(root, path, folder, true, false, &e->pub.dir) == 0)
		return e;
	if (errno == EMFILE || errno == ENFILE) {
		/* Ours may be the descriptors that are missing. */
		pw_folders_sweep(f, true);
		if (pw_maildir_open(root, path, folder, true, false,
			&e->pub.dir) == 0)
			return e;
	}
	int saved = errno;
	free(e);
	errno = saved;
	return NULL;
}

struct pw_folder *
pw_folders_get(struct pw_folders *f, enum pw_place place,
    struct pw_bytes path, struct pw_bytes folder)
{
	char key[2304];
	size_t len = 2 + path.len + folder.len;

	if (len > sizeof(key)) {
		errno = EINVAL;
		return NULL;
	}
	key[0] = (char)place;
	if (path.len > 0)
		memcpy(key + 1, path.ptr, path.len);
	key[path.len + 1] = '\0';
	if (folder.len > 0)
		memcpy(key + path.len + 2, folder.ptr, folder.len);

	uint64_t hash = pw_hash(key, len);
	struct entry *e = take(f, hash, key, len);
	if (e != NULL)
		return &e->pub;
	e = open_entry(f, place, path, folder, len);
	if (e == NULL)
		return NULL;
	e->hash = hash;
	e->keylen = len;
	memcpy(e->key, key, len);
	(void)pthread_mutex_lock(&f->lock);
	/* Another thread may have been quicker: the older one goes. */
	struct entry *other = find(f, hash, key, len);
	if (other != NULL)
		unlist(f, other);
	list(f, e);
	(void)pthread_mutex_unlock(&f->lock);
	return &e->pub;
}

void
pw_folders_put(struct pw_folders *f, struct pw_folder **pub, bool stale)
{
	struct entry *e = (struct entry *)(void *)*pub;

	*pub = NULL;
	if (e == NULL)
		return;
	(void)pthread_mutex_lock(&f->lock);
	e->refs--;
	if (stale && e->listed)
		unlist(f, e);
	else if (!e->listed && e->refs == 0)
		entry_free(e);
	(void)pthread_mutex_unlock(&f->lock);
}
