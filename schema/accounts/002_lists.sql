-- SPDX-License-Identifier: ISC
-- Allow and block lists.  Ids are named in records, so none is given twice.
-- kind, what and action are the numbers of server/base/listentry.h and of enum
-- pw_action; recipient is a mailbox, a domain of ours, or empty: for all.
-- Times are microseconds since the epoch; expires 0 is never.
CREATE TABLE list (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	kind INTEGER NOT NULL,
	what INTEGER NOT NULL,
	pattern TEXT NOT NULL,
	recipient TEXT NOT NULL,
	action INTEGER NOT NULL,
	comment TEXT NOT NULL,
	author TEXT NOT NULL,
	added INTEGER NOT NULL,
	expires INTEGER NOT NULL,
	UNIQUE (pattern, recipient, kind)
) STRICT;

CREATE INDEX list_recipient ON list (recipient);
