-- SPDX-License-Identifier: ISC
-- A file system gives the number of a removed inode to the next file: a file
-- is taken for one that went away only if size and time agree, too.
ALTER TABLE gone ADD COLUMN size INTEGER NOT NULL DEFAULT -1;
ALTER TABLE gone ADD COLUMN internal_us INTEGER NOT NULL DEFAULT 0;
