/* SPDX-License-Identifier: ISC */
/*
 * The writer's side of the accounts snapshot: all tables of accounts.db in one
 * read transaction, turned into a sealed memfd.  100,000 mailboxes take some
 * 200 ms.  Store's loop thread, when accounts or usage changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/valid.h"
#include "storage/accounts_private.h"
#include "storage/snapshot_format.h"

#define ENTRIES_MAX (16u << 20)
#define STRINGS_MAX (1u << 30)

struct build {
	uint8_t key[16];
	struct pw_snap_entry *entries;
	size_t nentries, cap;
	struct pw_snap_slot *slots;
	size_t nslots;
	uint32_t *targets;
	size_t ntargets, targets_cap;
	struct pw_snap_list *lists;
	size_t nlists, lists_cap;
	uint64_t bits4, bits6[3];
	char *strings;
	size_t nstrings, strings_cap;
	size_t lost; /* targets that are nobody */
	bool full;
	bool warn;   /* not said before of these accounts */
	pw_usage_fn usage;
	void *arg;
};

static uint32_t
add_string(struct build *b, struct pw_bytes s)
{
	if (b->nstrings + s.len > STRINGS_MAX) {
		b->full = true;
		return 0;
	}
	while (b->nstrings + s.len > b->strings_cap) {
		b->strings_cap =
		    b->strings_cap > 0 ? b->strings_cap * 2 : 65536;
		b->strings = pw_xrealloc(b->strings, b->strings_cap, 1);
	}
	if (s.len > 0)
		memcpy(b->strings + b->nstrings, s.ptr, s.len);
	b->nstrings += s.len;
	return (uint32_t)(b->nstrings - s.len);
}

static struct pw_bytes
key_of(const struct build *b, uint32_t entry)
{
	return pw_bytes(b->strings + b->entries[entry].key,
	    b->entries[entry].key_len);
}

/* The slot that KEY is in, or would go to. */
static struct pw_snap_slot *
slot_of(struct build *b, struct pw_bytes key, uint32_t *tag)
{
	uint64_t h = pw_siphash(b->key, key.ptr, key.len);
	size_t at = (size_t)h & (b->nslots - 1);

	*tag = (uint32_t)(h >> 32);
	while (b->slots[at].entry != PW_SNAP_NONE &&
	    (b->slots[at].tag != *tag ||
		!pw_bytes_eq(key_of(b, b->slots[at].entry), key)))
		at = (at + 1) & (b->nslots - 1);
	return &b->slots[at];
}

static void
resize(struct build *b, size_t nslots)
{
	uint32_t tag;

	b->nslots = nslots;
	b->slots = pw_xrealloc(b->slots, nslots, sizeof(*b->slots));
	memset(b->slots, 0xff, nslots * sizeof(*b->slots));
	for (uint32_t i = 0; i < b->nentries; i++) {
		struct pw_snap_slot *s = slot_of(b, key_of(b, i), &tag);
		*s = (struct pw_snap_slot){ i, tag };
	}
}

static uint32_t
find(struct build *b, struct pw_bytes key)
{
	uint32_t tag;

	return slot_of(b, key, &tag)->entry;
}

/* The entry of KEY, made when it is not there; NONE when there are too many. */
static uint32_t
enter(struct build *b, struct pw_bytes key, uint16_t flag)
{
	uint32_t tag;

	if (b->nentries * 2 >= b->nslots)
		resize(b, b->nslots * 2);
	struct pw_snap_slot *s = slot_of(b, key, &tag);
	if (s->entry == PW_SNAP_NONE) {
		if (b->nentries >= ENTRIES_MAX || key.len > UINT16_MAX) {
			b->full = true;
			return PW_SNAP_NONE;
		}
		if (b->nentries == b->cap) {
			b->cap = b->cap > 0 ? b->cap * 2 : 1024;
			b->entries = pw_xrealloc(b->entries, b->cap,
			    sizeof(*b->entries));
		}
		b->entries[b->nentries] = (struct pw_snap_entry){
			.key = add_string(b, key),
			.key_len = (uint16_t)key.len,
		};
		*s = (struct pw_snap_slot){ (uint32_t)b->nentries++, tag };
	}
	b->entries[s->entry].flags |= flag;
	return s->entry;
}

static int
on_domain(void *arg, const char *name, const char *unused, uint64_t n)
{
	struct build *b = arg;

	(void)unused;
	(void)n;
	(void)enter(b, pw_bytes_of(name), PW_SNAP_DOMAIN);
	return b->full;
}

static int
on_mailbox(void *arg, const char *address, const char *path, uint64_t quota)
{
	struct build *b = arg;
	uint32_t at = enter(b, pw_bytes_of(address), PW_SNAP_MAILBOX);
	size_t n = strlen(path);

	if (at == PW_SNAP_NONE || n > UINT16_MAX)
		return 1;
	struct pw_snap_entry *e = &b->entries[at];
	e->path = add_string(b, pw_bytes(path, n));
	e->path_len = (uint16_t)n;
	e->quota = quota;
	if (b->usage != NULL)
		e->usage = b->usage(b->arg, pw_bytes_of(address));
	return b->full;
}

/* First pass: every source has an entry before targets are looked up. */
static int
on_source(void *arg, const char *source, const char *target, uint64_t n)
{
	struct build *b = arg;

	(void)target;
	(void)n;
	(void)enter(b, pw_bytes_of(source), PW_SNAP_ALIAS);
	return b->full;
}

/* Second pass; sources come in order, so that targets lie together. */
static int
on_alias(void *arg, const char *source, const char *target, uint64_t n)
{
	struct build *b = arg;
	uint32_t from = find(b, pw_bytes_of(source));
	uint32_t to = find(b, pw_bytes_of(target));

	(void)n;
	if (to == PW_SNAP_NONE || from == PW_SNAP_NONE ||
	    (b->entries[to].flags & (PW_SNAP_MAILBOX | PW_SNAP_ALIAS)) == 0) {
		b->lost++;
		return 0;
	}
	if (b->ntargets == b->targets_cap) {
		b->targets_cap = b->targets_cap > 0 ? b->targets_cap * 2 : 256;
		b->targets = pw_xrealloc(b->targets, b->targets_cap,
		    sizeof(*b->targets));
	}
	struct pw_snap_entry *e = &b->entries[from];
	if (e->ntarget++ == 0)
		e->target = (uint32_t)b->ntargets;
	b->targets[b->ntargets++] = to;
	return b->ntargets >= ENTRIES_MAX;
}

static void
note_network(struct build *b, const char *pattern)
{
	struct pw_net net;

	if (pw_net_parse(pw_bytes_of(pattern), &net) != 0)
		return;
	if (net.ip.family == 4)
		b->bits4 |= UINT64_C(1) << net.bits;
	else
		b->bits6[net.bits / 64] |= UINT64_C(1) << net.bits % 64;
}

/* Those of one pattern and recipient come together, so that they lie together.
 * With the NUL behind each text. */
static int
on_list(void *arg, const struct pw_list_row *row)
{
	struct build *b = arg;
	char key[2 * PW_ADDR_SIZE + 2];
	int n = snprintf(key, sizeof(key), "%s\n%s", row->e.pattern,
	    row->recipient);
	const char *any = strchr(key, '\n');
	size_t pattern = strlen(row->e.pattern);
	size_t comment = strlen(row->e.comment);

	if (n < 0 || (size_t)n >= sizeof(key) || comment > UINT16_MAX)
		return 0;
	if (row->e.what == PW_LIST_NETWORK)
		note_network(b, row->e.pattern);
	else if (row->e.kind == PW_LIST_ALLOW)
		(void)enter(b, pw_bytes_of(any), PW_SNAP_ALLOWS);
	uint32_t at = enter(b, pw_bytes(key, (size_t)n), PW_SNAP_LIST);
	if (at == PW_SNAP_NONE || b->nlists == ENTRIES_MAX)
		return 1;
	if (b->nlists == b->lists_cap) {
		b->lists_cap = b->lists_cap > 0 ? b->lists_cap * 2 : 256;
		b->lists = pw_xrealloc(b->lists, b->lists_cap,
		    sizeof(*b->lists));
	}
	if (b->entries[at].ntarget++ == 0)
		b->entries[at].target = (uint32_t)b->nlists;
	b->lists[b->nlists++] = (struct pw_snap_list){ .id = row->e.id,
		.expires = row->expires_us, .kind = row->e.kind,
		.what = row->e.what, .scope = row->e.scope,
		.action = row->e.action,
		.pattern = add_string(b, pw_bytes(row->e.pattern, pattern + 1)),
		.pattern_len = (uint16_t)pattern,
		.comment = add_string(b, pw_bytes(row->e.comment, comment + 1)),
		.comment_len = (uint16_t)comment };
	return b->full;
}

static int
gather(struct pw_accounts *a, struct build *b, struct pw_err *err)
{
	/* One transaction: the walks see one state of the file. */
	enum pw_db_rc rc = pw_q_exec(a->db, PW_Q_ACC_READ);
	if (rc != PW_DB_DONE)
		return pw_accounts_fail(a, rc, err);
	int r = 0;
	if (pw_accounts_domains(a, on_domain, b, err) != 0 ||
	    pw_accounts_mailboxes(a, NULL, on_mailbox, b, err) != 0 ||
	    pw_accounts_aliases(a, NULL, on_source, b, err) != 0 ||
	    pw_accounts_aliases(a, NULL, on_alias, b, err) != 0 ||
	    pw_accounts_lists(a, on_list, b, err) != 0)
		r = -1;
	(void)pw_q_exec(a->db, PW_Q_ACC_COMMIT);
	if (r == 0 && b->full)
		r = pw_err_set(err, E2BIG, "more accounts than a snapshot "
					   "can hold");
	return r;
}

/* Who takes postmaster's mail where a domain has nobody of that name. */
static void
last_resort(struct build *b, const char *configured, struct pw_snap_header *h)
{
	char form[PW_ADDR_SIZE];
	const uint16_t someone = PW_SNAP_MAILBOX | PW_SNAP_ALIAS;
	ssize_t n;

	h->postmaster = h->any_postmaster = PW_SNAP_NONE;
	if (configured != NULL && configured[0] != '\0') {
		n = pw_addr_whole(pw_bytes_of(configured), form);
		uint32_t at = n < 0 ? PW_SNAP_NONE :
				      find(b, pw_bytes(form, (size_t)n));
		if (at != PW_SNAP_NONE && (b->entries[at].flags & someone) != 0)
			h->postmaster = at;
		else if (b->warn)
			pw_logf(PW_LOG_WARN, "accounts.postmaster",
			    "accounts.postmaster names \"%s\", which is no "
			    "mailbox or alias here; add it",
			    configured);
	}
	for (uint32_t i = 0; i < b->nentries; i++)
		if ((b->entries[i].flags & someone) != 0 &&
		    pw_bytes_has_prefix_ci(key_of(b, i),
			PW_LIT("postmaster@"))) {
			h->any_postmaster = i;
			break;
		}
	if (b->warn && b->nentries > 0 && h->postmaster == PW_SNAP_NONE &&
	    h->any_postmaster == PW_SNAP_NONE)
		pw_logf(PW_LOG_WARN, "accounts.postmaster",
		    "nobody receives mail for postmaster; add a mailbox of "
		    "that name or set accounts.postmaster");
}

static size_t
put(char *to, size_t at, const void *from, size_t n)
{
	if (n > 0)
		memcpy(to + at, from, n);
	return at + n;
}

/* The mapping must be gone before the last seal is set. */
static int
write_out(int fd, const struct build *b, struct pw_snap_header *h,
    struct pw_err *err)
{
	const size_t slots = b->nslots * sizeof(*b->slots);
	const size_t entries = b->nentries * sizeof(*b->entries);
	const size_t lists = b->nlists * sizeof(*b->lists);
	const size_t targets = b->ntargets * sizeof(*b->targets);
	const size_t size = sizeof(*h) + slots + entries + lists +
	    targets + b->nstrings;

	h->size = size;
	if (ftruncate(fd, (off_t)size) != 0)
		return pw_err_sys(err, "cannot size the accounts snapshot");
	char *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m == MAP_FAILED)
		return pw_err_sys(err, "cannot map the accounts snapshot");
	size_t at = put(m, 0, h, sizeof(*h));
	at = put(m, at, b->slots, slots);
	/* Entries hold 64-bit fields: what lies before is a multiple of 8. */
	at = put(m, at, b->entries, entries);
	at = put(m, at, b->lists, lists);
	at = put(m, at, b->targets, targets);
	at = put(m, at, b->strings, b->nstrings);
	PW_ASSERT(at == size);
	(void)munmap(m, size);
	if (fcntl(fd, F_ADD_SEALS,
		F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
		return pw_err_sys(err, "cannot seal the accounts snapshot");
	return 0;
}

static int
finish(struct build *b, uint64_t version, const char *postmaster,
    struct pw_err *err)
{
	struct pw_snap_header h = { .magic = PW_SNAP_MAGIC,
		.version = version,
		.nslots = (uint32_t)b->nslots,
		.nentries = (uint32_t)b->nentries,
		.ntargets = (uint32_t)b->ntargets,
		.nlists = (uint32_t)b->nlists,
		.bits4 = b->bits4,
		.nstrings = (uint32_t)b->nstrings };

	memcpy(h.key, b->key, sizeof(h.key));
	memcpy(h.bits6, b->bits6, sizeof(h.bits6));
	last_resort(b, postmaster, &h);
	if (b->warn && b->lost > 0)
		pw_logf(PW_LOG_WARN, "accounts.alias",
		    "%zu aliases lead to nobody and are left out", b->lost);
	int fd = memfd_create("postward-accounts",
	    MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return pw_err_sys(err, "cannot make the accounts snapshot");
	if (write_out(fd, b, &h, err) != 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

int
pw_accounts_snapshot(struct pw_accounts *a, const char *postmaster,
    pw_usage_fn usage, void *arg, struct pw_err *err)
{
	struct build b = { .usage = usage, .arg = arg };
	uint64_t version = pw_accounts_version(a);
	int fd = -1;

	_Static_assert(sizeof(struct pw_snap_header) % 8 == 0 &&
		sizeof(struct pw_snap_slot) % 8 == 0 &&
		sizeof(struct pw_snap_entry) % 8 == 0 &&
		sizeof(struct pw_snap_list) % 8 == 0,
	    "parts stay aligned");
	b.warn = a->warned != version;
	a->warned = version;
	pw_random(b.key, sizeof(b.key));
	resize(&b, 1024);
	if (gather(a, &b, err) == 0)
		fd = finish(&b, version, postmaster, err);
	free(b.entries);
	free(b.slots);
	free(b.lists);
	free(b.targets);
	free(b.strings);
	return fd;
}
