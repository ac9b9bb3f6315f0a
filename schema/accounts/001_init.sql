-- SPDX-License-Identifier: ISC
-- accounts.db: who receives mail here.  Written by Postward only, read by
-- Dovecot too (storage/dovecot/).  Names are in canonical form: domains as
-- lower-case A-labels, local parts lower-case NFC.

CREATE TABLE domain (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE
) STRICT;

-- path is fixed when the mailbox is made, so that a later change of the
-- template leaves mail where it is.  password is Dovecot's "{SCHEME}hash";
-- NULL cannot log in.  quota is in bytes, 0 is none.
CREATE TABLE mailbox (
	id INTEGER PRIMARY KEY,
	domain INTEGER NOT NULL REFERENCES domain (id),
	address TEXT NOT NULL UNIQUE,
	path TEXT NOT NULL UNIQUE,
	password TEXT,
	quota INTEGER NOT NULL DEFAULT 0 CHECK (quota >= 0)
) STRICT;

CREATE INDEX mailbox_domain ON mailbox (domain);

-- source is an address, or "@domain" for all that has no name of its own.
-- kind 0: target is the address of a mailbox or alias here.
CREATE TABLE alias (
	source TEXT NOT NULL,
	target TEXT NOT NULL,
	kind INTEGER NOT NULL DEFAULT 0,
	domain INTEGER NOT NULL REFERENCES domain (id),
	PRIMARY KEY (source, target)
) STRICT, WITHOUT ROWID;

CREATE INDEX alias_target ON alias (target);
CREATE INDEX alias_domain ON alias (domain);
