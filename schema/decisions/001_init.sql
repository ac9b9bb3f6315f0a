-- SPDX-License-Identifier: ISC
-- decisions.db: what was decided about every transaction, and on what ground.
-- Records in their own right, kept for store.keep-decisions.

-- Key of the hashes below: nobody outside can make two names collide.
CREATE TABLE secret (
	id INTEGER PRIMARY KEY CHECK (id = 1),
	key BLOB NOT NULL
) STRICT;

INSERT INTO secret (id, key) VALUES (1, randomblob(16));

-- id is the time in microseconds, made unique.  flags: 1 ESMTP, 2 SMTPUTF8.
-- evidence and runs are JSON arrays; dns is the list of rows of dns that the
-- evidence rested on, 8 bytes each, big endian.
CREATE TABLE decision (
	id INTEGER PRIMARY KEY,
	tid TEXT NOT NULL,
	session TEXT NOT NULL,
	peer TEXT NOT NULL,
	port INTEGER NOT NULL,
	listener TEXT NOT NULL,
	helo TEXT NOT NULL,
	rdns TEXT NOT NULL,
	tls TEXT NOT NULL,
	flags INTEGER NOT NULL,
	mail_from TEXT NOT NULL,
	message_id TEXT NOT NULL,
	size INTEGER NOT NULL,
	reply TEXT NOT NULL,
	action INTEGER NOT NULL,
	step TEXT NOT NULL,
	score REAL NOT NULL,
	auth TEXT NOT NULL,
	generation INTEGER NOT NULL,
	evidence TEXT NOT NULL,
	runs TEXT NOT NULL,
	dns BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX decision_tid ON decision (tid);

-- One row a recipient.
CREATE TABLE rcpt (
	decision INTEGER NOT NULL,
	n INTEGER NOT NULL,
	given TEXT NOT NULL,
	mailbox TEXT NOT NULL,
	domain TEXT NOT NULL,
	action INTEGER NOT NULL,
	reply TEXT NOT NULL,
	fate TEXT NOT NULL,
	PRIMARY KEY (decision, n)
) STRICT, WITHOUT ROWID;

-- Decisions by a hash of sender, recipient or Message-ID.  Looked up bucket by
-- bucket (some thousand rows each, named by the id of the decision that began
-- it), so that new rows share a few pages instead of each touching one at
-- random.
CREATE TABLE find (
	bucket INTEGER NOT NULL,
	hash INTEGER NOT NULL,
	decision INTEGER NOT NULL,
	PRIMARY KEY (bucket, hash, decision)
) STRICT, WITHOUT ROWID;

-- Files that a transaction made, found by name when the index is rebuilt.
-- stamp is the time in the name, so that new rows go to the end.
CREATE TABLE filed (
	stamp INTEGER NOT NULL,
	base TEXT NOT NULL,
	mailbox_hash INTEGER NOT NULL,
	decision INTEGER NOT NULL,
	rcpt INTEGER NOT NULL,
	prefix INTEGER NOT NULL,
	PRIMARY KEY (stamp, base, mailbox_hash)
) STRICT, WITHOUT ROWID;

-- Bytes of a message as it came that were not filed (forged fields).
CREATE TABLE cut (
	tid TEXT NOT NULL,
	pos INTEGER NOT NULL,
	bytes BLOB NOT NULL,
	decision INTEGER NOT NULL,
	PRIMARY KEY (tid, pos)
) STRICT, WITHOUT ROWID;

CREATE INDEX cut_decision ON cut (decision);

-- DNS answers, once each; day is that of their last use.
CREATE TABLE dns (
	hash INTEGER PRIMARY KEY,
	day INTEGER NOT NULL,
	answer BLOB NOT NULL
) STRICT;

CREATE INDEX dns_day ON dns (day);
