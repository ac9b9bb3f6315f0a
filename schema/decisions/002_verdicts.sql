-- SPDX-License-Identifier: ISC
-- The verdicts of one message may differ: what decided for each recipient.
ALTER TABLE rcpt ADD COLUMN step TEXT NOT NULL DEFAULT '';
ALTER TABLE rcpt ADD COLUMN score REAL NOT NULL DEFAULT 0;
-- The list entries that were looked at, in the form of server/net/listcode.h;
-- empty where there were none.
ALTER TABLE rcpt ADD COLUMN lists BLOB NOT NULL DEFAULT x'';
