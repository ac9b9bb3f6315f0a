/* SPDX-License-Identifier: ISC */
/*
 * A file system in memory that knows of every byte and every name whether it
 * would survive a power cut.  lossyfs.c shows it to the kernel.  One thread.
 *
 *   data     pages that were written since the file's last sync are lost
 *   names    what create, link, rename, unlink and the like did is lost until
 *            the folder is synced; a rename is whole or not at all
 *   modes, owners and times are always kept
 *
 * Harsher than ext4: the sync of a file does not keep its name.  Nothing is
 * ever freed but data that was overwritten: its life is one test.
 */
#ifndef LOSSYMODEL_H
#define LOSSYMODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define LM_PAGE 4096u
#define LM_SECTOR 512u
/* Setting this time of last change means syncfs(). */
#define LM_SYNCFS 1234567

struct lm_entry;

struct lm_inode {
	struct stat st; /* live; st_size too */
	uint64_t disk_size;
	uint8_t **live, **disk; /* the same pointer while they are equal */
	uint64_t npage;
	struct lm_entry *first, *last; /* of a folder */
	unsigned live_entries;
	struct lm_inode *next; /* of all */
	bool dumped;	       /* lm_dump has written it, .. */
	char *dumped_at;       /* .. a file: there */
};

/* A name in a folder, and what it means now and after a power cut. */
struct lm_entry {
	struct lm_inode *dir;
	char *name;
	struct lm_inode *live, *disk;
	uint64_t disk_op;	 /* of the operation that set .disk */
	uint64_t mark;		 /* of the walk that needs it, or leaves it */
	struct lm_entry *next;	 /* in the folder */
	struct lm_entry *bucket; /* in the table */
};

enum lm_cut {
	LM_KEEP, /* no cut: all survives */
	LM_DROP, /* nothing that was not synced */
	LM_TORN	 /* any part of it, sectors and names by lot */
};

struct lm_lost {
	uint64_t pages, torn, names;
};

/* Reads folder FROM; the root. Exits with a line when that fails. */
struct lm_inode *lm_load(const char *from);
/* Writes what survives to folder TO, which is emptied first. */
void lm_dump(
    const char *to, enum lm_cut how, unsigned seed, struct lm_lost *lost);

/* The cut itself, in memory: what is lost. */
void lm_survive(enum lm_cut how, unsigned seed, struct lm_lost *lost);

struct lm_inode *lm_lookup(struct lm_inode *dir, const char *name);
struct lm_inode *lm_new(mode_t mode, uid_t uid, gid_t gid);
/* One operation on names: each becomes INODE (NULL: none). */
struct lm_set {
	struct lm_inode *dir;
	const char *name;
	struct lm_inode *inode;
};
void lm_names(const struct lm_set *set, unsigned n);

int lm_read(const struct lm_inode *f, char *buf, uint64_t at, uint64_t n);
void lm_write(struct lm_inode *f, const char *buf, uint64_t at, uint64_t n);
void lm_resize(struct lm_inode *f, uint64_t size);
void lm_sync_data(struct lm_inode *f);
void lm_sync_dir(const struct lm_inode *dir);
void lm_sync_all(void);

#endif
