-- SPDX-License-Identifier: ISC
-- Records of what never became a message, and what a judgement can be made
-- again from.  kind: 0 message, 1 transaction, 2 connection.  Rows that stand
-- for several have their count, the last one's time, and in peer a network of
-- net bits.  recording is the pipeline's own form.
ALTER TABLE decision ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;
ALTER TABLE decision ADD COLUMN count INTEGER NOT NULL DEFAULT 1;
ALTER TABLE decision ADD COLUMN net INTEGER NOT NULL DEFAULT 0;
ALTER TABLE decision ADD COLUMN until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE decision ADD COLUMN recording BLOB NOT NULL DEFAULT x'';

-- They go before messages do.
CREATE INDEX decision_early ON decision (id) WHERE kind > 0;

-- Domain of the address as it was given, where it is not that of the mailbox.
ALTER TABLE rcpt ADD COLUMN gdomain TEXT NOT NULL DEFAULT '';
