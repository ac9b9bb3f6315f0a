/* SPDX-License-Identifier: ISC */
/*
 * Looking up recipients in the accounts snapshot.  The mapping is sealed, so it
 * cannot change or shrink, but every number in it is checked before it is used:
 * a faulty snapshot gives UNKNOWN, never a read outside.  Front, any thread.
 */
#include "storage/snapshot_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "storage/address.h"

#define MAILBOXES_MAX 1000 /* of one recipient */
#define STEPS_MAX 5000     /* entries that one recipient leads through */
#define DEPTH_MAX 10
#define DELIMITERS_MAX 8   /* places at which one local part is cut */

/* The header's numbers against the size of the file. */
static bool
lay_out(struct pw_snapshot *s)
{
	const struct pw_snap_header *h = s->h = (const void *)s->map;
	const size_t slots = (size_t)h->nslots * sizeof(*s->slots);
	const size_t entries = (size_t)h->nentries * sizeof(*s->entries);
	const size_t lists = (size_t)h->nlists * sizeof(*s->lists);
	const size_t targets = (size_t)h->ntargets * sizeof(*s->targets);
	size_t at = sizeof(*h);

	if (h->magic != PW_SNAP_MAGIC || h->size != s->size ||
	    h->nslots == 0 || (h->nslots & (h->nslots - 1)) != 0 ||
	    h->nentries >= h->nslots ||
	    at + slots + entries + lists + targets + h->nstrings != s->size)
		return false;
	s->slots = (const void *)(s->map + at);
	s->entries = (const void *)(s->map + (at += slots));
	s->lists = (const void *)(s->map + (at += entries));
	s->targets = (const void *)(s->map + (at += lists));
	s->strings = s->map + (at += targets);
	return true;
}

int
pw_snapshot_map(int fd, struct pw_snapshot **out, struct pw_err *err)
{
	const int sealed = F_SEAL_SHRINK | F_SEAL_WRITE;
	struct stat sb;
	int r = -1;

	*out = NULL;
	if (fcntl(fd, F_GET_SEALS) < 0 ||
	    (fcntl(fd, F_GET_SEALS) & sealed) != sealed)
		r = pw_err_set(err, EINVAL, "the accounts snapshot is not "
					    "sealed");
	else if (fstat(fd, &sb) != 0)
		r = pw_err_sys(err, "accounts snapshot");
	else if (sb.st_size < (off_t)sizeof(struct pw_snap_header))
		r = pw_err_set(err, EINVAL, "the accounts snapshot is too "
					    "short");
	else {
		struct pw_snapshot *s = pw_xcalloc(1, sizeof(*s));
		s->size = (size_t)sb.st_size;
		s->refs = 1;
		/* Private: older kernels refuse a shared mapping of what is
		 * sealed against writing. */
		s->map = mmap(NULL, s->size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (s->map == MAP_FAILED) {
			r = pw_err_sys(err, "cannot map the accounts snapshot");
			free(s);
		} else if (!lay_out(s)) {
			r = pw_err_set(err, EINVAL,
			    "the accounts snapshot is malformed");
			pw_snapshot_unref(&s);
		} else {
			*out = s;
			r = 0;
		}
	}
	(void)close(fd);
	return r;
}

struct pw_snapshot *
pw_snapshot_ref(struct pw_snapshot *s)
{
	(void)__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void
pw_snapshot_unref(struct pw_snapshot **sp)
{
	struct pw_snapshot *s = *sp;

	*sp = NULL;
	if (s == NULL || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	(void)munmap((void *)(uintptr_t)s->map, s->size);
	free(s);
}

uint64_t
pw_snapshot_version(const struct pw_snapshot *s)
{
	return s->h->version;
}

/* ---- the table ----------------------------------------------------------- */

struct pw_bytes
pw_snap_string(const struct pw_snapshot *s, uint32_t at, size_t len)
{
	if (at > s->h->nstrings || len > s->h->nstrings - at)
		return PW_BYTES_NONE;
	return pw_bytes(s->strings + at, len);
}

const struct pw_snap_entry *
pw_snap_find(const struct pw_snapshot *s, struct pw_bytes key)
{
	uint64_t h = pw_siphash(s->h->key, key.ptr, key.len);
	uint32_t mask = s->h->nslots - 1;
	uint32_t at = (uint32_t)h & mask;

	for (uint32_t n = 0; n < s->h->nslots; n++, at = (at + 1) & mask) {
		const struct pw_snap_slot *slot = &s->slots[at];
		if (slot->entry >= s->h->nentries)
			return NULL; /* empty, or nonsense */
		const struct pw_snap_entry *e = &s->entries[slot->entry];
		if (slot->tag == (uint32_t)(h >> 32) &&
		    pw_bytes_eq(pw_snap_string(s, e->key, e->key_len), key))
			return e;
	}
	return NULL;
}

static bool
is_someone(const struct pw_snap_entry *e)
{
	return e != NULL && (e->flags & (PW_SNAP_MAILBOX | PW_SNAP_ALIAS)) != 0;
}

static const struct pw_snap_entry *
entry_at(const struct pw_snapshot *s, uint32_t n)
{
	return n < s->h->nentries ? &s->entries[n] : NULL;
}

/* ---- from a name to an entry --------------------------------------------- */

struct name {
	const struct pw_snapshot *s;
	char local[PW_ADDR_LOCAL_SIZE];
	size_t local_len;
	char domain[PW_ADDR_DOMAIN_SIZE];
	size_t domain_len;
};

/* The entry of the first LEN bytes of the local part at the domain. */
static const struct pw_snap_entry *
someone(const struct name *n, const char *local, size_t len)
{
	char key[PW_ADDR_SIZE];

	memcpy(key, local, len);
	key[len] = '@';
	memcpy(key + len + 1, n->domain, n->domain_len);
	const struct pw_snap_entry *e =
	    pw_snap_find(n->s, pw_bytes(key, len + 1 + n->domain_len));
	return is_someone(e) ? e : NULL;
}

/* Without sub-address: cut at delimiters from the right, so that the longest
 * name that is somebody wins.  *CUT is the shortest that was tried. */
static const struct pw_snap_entry *
without_detail(const struct name *n, const char *delimiters, size_t *cut)
{
	int tries = 0;

	*cut = n->local_len;
	for (size_t i = n->local_len; i-- > 1;) {
		if (strchr(delimiters, n->local[i]) == NULL ||
		    n->local[i] == '\0')
			continue;
		if (++tries > DELIMITERS_MAX)
			return NULL;
		*cut = i;
		const struct pw_snap_entry *e = someone(n, n->local, i);
		if (e != NULL)
			return e;
	}
	return NULL;
}

/* RFC 5321 section 4.5.1 and RFC 2142: they always reach someone. */
static const struct pw_snap_entry *
role_address(const struct name *n, struct pw_bytes local)
{
	const struct pw_snap_header *h = n->s->h;
	const struct pw_snap_entry *e = NULL;

	if (!pw_bytes_eq(local, PW_LIT("postmaster"))) {
		if (!pw_bytes_eq(local, PW_LIT("abuse")))
			return NULL;
		e = someone(n, "postmaster", strlen("postmaster"));
	}
	if (e == NULL)
		e = entry_at(n->s, h->postmaster);
	if (e == NULL)
		e = someone(n, "", 0);
	if (e == NULL)
		e = entry_at(n->s, h->any_postmaster);
	return is_someone(e) ? e : NULL;
}

static const struct pw_snap_entry *
entry_of(const struct name *n, const char *delimiters)
{
	size_t cut;
	const struct pw_snap_entry *e = someone(n, n->local, n->local_len);

	if (e == NULL)
		e = without_detail(n, delimiters, &cut);
	else
		return e;
	if (e == NULL)
		e = role_address(n, pw_bytes(n->local, cut));
	if (e == NULL)
		e = someone(n, "", 0);
	return e;
}

/* ---- from an entry to mailboxes ------------------------------------------ */

struct expansion {
	const struct pw_snapshot *s;
	struct pw_pool *pool;
	struct pw_dest *dest;
	size_t n, cap, steps;
};

static enum pw_resolve_code
add_dest(struct expansion *x, const struct pw_snap_entry *e)
{
	struct pw_bytes mailbox = pw_snap_string(x->s, e->key, e->key_len);

	for (size_t i = 0; i < x->n; i++)
		if (x->dest[i].mailbox.ptr == mailbox.ptr)
			return PW_RCPT_OK;
	if (x->n == MAILBOXES_MAX)
		return PW_RCPT_TOO_MANY;
	if (x->n == x->cap) {
		size_t cap = x->cap > 0 ? x->cap * 8 : 2;
		struct pw_dest *more =
		    pw_pool_array(x->pool, cap, sizeof(*more));
		if (more == NULL)
			return PW_RCPT_TOO_MANY;
		if (x->n > 0)
			memcpy(more, x->dest, x->n * sizeof(*more));
		x->dest = more;
		x->cap = cap;
	}
	x->dest[x->n++] = (struct pw_dest){
		.mailbox = mailbox,
		.path = pw_snap_string(x->s, e->path, e->path_len),
		.quota = e->quota,
		.usage = e->usage,
	};
	return PW_RCPT_OK;
}

/* Depth first, so that a circle soon is too deep; the whole is bounded by
 * STEPS_MAX. */
static enum pw_resolve_code
expand(struct expansion *x, const struct pw_snap_entry *e, size_t depth)
{
	enum pw_resolve_code code = PW_RCPT_OK;

	if (depth > DEPTH_MAX)
		return PW_RCPT_LOOP;
	if (++x->steps > STEPS_MAX)
		return PW_RCPT_TOO_MANY;
	if ((e->flags & PW_SNAP_MAILBOX) != 0)
		code = add_dest(x, e);
	if ((e->flags & PW_SNAP_ALIAS) == 0 ||
	    e->target > x->s->h->ntargets ||
	    e->ntarget > x->s->h->ntargets - e->target)
		return code;
	for (uint32_t i = 0; code == PW_RCPT_OK && i < e->ntarget; i++) {
		const struct pw_snap_entry *next =
		    entry_at(x->s, x->s->targets[e->target + i]);
		if (next != NULL)
			code = expand(x, next, depth + 1);
	}
	return code;
}

/* ---- what front asks ----------------------------------------------------- */

static bool
is_local(const struct pw_snapshot *s, const char *domain, size_t len)
{
	const struct pw_snap_entry *e = pw_snap_find(s, pw_bytes(domain, len));

	return e != NULL && (e->flags & PW_SNAP_DOMAIN) != 0;
}

bool
pw_snapshot_is_local(const struct pw_snapshot *s, struct pw_bytes domain)
{
	char name[PW_ADDR_DOMAIN_SIZE];
	ssize_t n = pw_addr_domain(domain, name);

	return n > 0 && is_local(s, name, (size_t)n);
}

/* <postmaster> without a domain. */
static const struct pw_snap_entry *
bare_postmaster(const struct pw_snapshot *s, struct pw_bytes local)
{
	if (!pw_bytes_caseeq(local, PW_LIT("postmaster")))
		return NULL;
	const struct pw_snap_entry *e = entry_at(s, s->h->postmaster);
	if (e == NULL)
		e = entry_at(s, s->h->any_postmaster);
	return is_someone(e) ? e : NULL;
}

enum pw_resolve_code
pw_snapshot_resolve(const struct pw_snapshot *s, struct pw_bytes local,
    struct pw_bytes domain, const char *delimiters, struct pw_pool *pool,
    struct pw_dest **dest, size_t *ndest)
{
	struct expansion x = { .s = s, .pool = pool };
	struct name name = { .s = s };
	const struct pw_snap_entry *e;
	ssize_t n;

	*dest = NULL;
	*ndest = 0;
	if (domain.len == 0)
		e = bare_postmaster(s, local);
	else {
		n = pw_addr_domain(domain, name.domain);
		if (n <= 0 || !is_local(s, name.domain, (size_t)n))
			return PW_RCPT_FOREIGN;
		name.domain_len = (size_t)n;
		n = pw_addr_local(local, name.local);
		if (n <= 0)
			return PW_RCPT_UNKNOWN;
		name.local_len = (size_t)n;
		e = entry_of(&name, delimiters != NULL ? delimiters : "");
	}
	if (e == NULL)
		return PW_RCPT_UNKNOWN;
	enum pw_resolve_code code = expand(&x, e, 0);
	if (code == PW_RCPT_OK && x.n == 0)
		return PW_RCPT_UNKNOWN; /* all its targets are gone */
	if (code == PW_RCPT_OK) {
		*dest = x.dest;
		*ndest = x.n;
	}
	return code;
}
