-- SPDX-License-Identifier: ISC
-- The verdicts of one message may differ: what decided for each recipient.
ALTER TABLE rcpt ADD COLUMN step TEXT NOT NULL DEFAULT '';
ALTER TABLE rcpt ADD COLUMN score REAL NOT NULL DEFAULT 0;
