-- SPDX-License-Identifier: ISC
-- index.db: what lies in the Maildirs.  A cache: deleted, it is made anew from
-- the files and from decisions.db.  A delivery writes one message row and one
-- file row a copy; indexes grow at their end, since a page touched at random is
-- a page more to write.

-- Key of the hashes below: nobody outside can make two names collide.
CREATE TABLE secret (
	id INTEGER PRIMARY KEY CHECK (id = 1),
	key BLOB NOT NULL
) STRICT;

INSERT INTO secret (id, key) VALUES (1, randomblob(16));

CREATE TABLE box (
	id INTEGER PRIMARY KEY,
	mailbox TEXT NOT NULL,
	folder TEXT NOT NULL,
	uidvalidity INTEGER,
	UNIQUE (mailbox, folder)
) STRICT;

-- The content of a message, once for all its copies.  id is the time of its
-- arrival in microseconds, made unique, so that its order is that of arrival.
-- refs counts rows of file and gone.  tid is the transaction that brought it.
-- mid is a hash of message_id where there is no transaction; where there is one,
-- decisions.db finds it.
CREATE TABLE message (
	id INTEGER PRIMARY KEY,
	refs INTEGER NOT NULL,
	tid TEXT,
	mid INTEGER,
	message_id TEXT NOT NULL,
	in_reply_to TEXT NOT NULL,
	refs_field TEXT NOT NULL,
	from_field TEXT NOT NULL,
	to_field TEXT NOT NULL,
	cc_field TEXT NOT NULL,
	subject TEXT NOT NULL,
	date INTEGER NOT NULL,
	header_len INTEGER NOT NULL,
	complex INTEGER NOT NULL,
	auth TEXT NOT NULL,
	envelope TEXT NOT NULL,
	structure TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX message_tid ON message (tid) WHERE tid IS NOT NULL;
CREATE INDEX message_mid ON message (mid) WHERE mid IS NOT NULL;

-- One file.  Its name is base followed by info ("" or ":2,flags").  uid is
-- NULL until Dovecot gave one.  prefix is how many octets of the file are our
-- own fields.  msg is NULL until the content was read.  bucket is id / 4096:
-- the files of a folder are looked up bucket by bucket, so that new rows of all
-- folders share a few pages.
CREATE TABLE file (
	id INTEGER PRIMARY KEY,
	bucket INTEGER NOT NULL,
	box INTEGER NOT NULL,
	base TEXT NOT NULL,
	info TEXT NOT NULL,
	in_new INTEGER NOT NULL,
	uid INTEGER,
	size INTEGER NOT NULL,
	vsize INTEGER NOT NULL,
	internal_us INTEGER NOT NULL,
	inode INTEGER NOT NULL,
	prefix INTEGER NOT NULL,
	action INTEGER,
	msg INTEGER
) STRICT;

-- Names begin with the time.
CREATE UNIQUE INDEX file_base ON file (base, box);
CREATE INDEX file_bucket ON file (bucket, box);
CREATE INDEX file_msg ON file (msg);

-- Files that went away a moment ago: a move within the mailbox is seen as a
-- departure and an arrival, in any order, and the content is found here.
CREATE TABLE gone (
	mailbox TEXT NOT NULL,
	base TEXT NOT NULL,
	inode INTEGER NOT NULL,
	prefix INTEGER NOT NULL,
	action INTEGER,
	msg INTEGER NOT NULL,
	at_us INTEGER NOT NULL,
	PRIMARY KEY (mailbox, base)
) STRICT, WITHOUT ROWID;

CREATE INDEX gone_at ON gone (at_us);
