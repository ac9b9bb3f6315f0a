-- SPDX-License-Identifier: ISC
-- Every statement of Postward, by name; nothing else reaches a database.
-- "-- @name database" begins one.  Values are bound, never written in.

-- ---- accounts ---------------------------------------------------------------

-- @acc_begin accounts
BEGIN IMMEDIATE;
-- @acc_commit accounts
COMMIT;
-- @acc_rollback accounts
ROLLBACK;
-- @acc_read accounts
BEGIN;

-- Rises when another connection changed the file.
-- @acc_version accounts
PRAGMA data_version;

-- @domain_add accounts
INSERT INTO domain (name) VALUES (?1);
-- @domain_id accounts
SELECT id FROM domain WHERE name = ?1;
-- @domain_remove accounts
DELETE FROM domain WHERE name = ?1;
-- @domain_in_use accounts
SELECT (SELECT count(*) FROM mailbox WHERE domain = ?1),
    (SELECT count(*) FROM alias WHERE domain = ?1);
-- @domain_list accounts
SELECT d.name, (SELECT count(*) FROM mailbox AS m WHERE m.domain = d.id)
FROM domain AS d ORDER BY d.name;

-- @mailbox_add accounts
INSERT INTO mailbox (domain, address, path, password, quota)
VALUES (?1, ?2, ?3, ?4, ?5);
-- @mailbox_get accounts
SELECT path, quota FROM mailbox WHERE address = ?1;
-- @mailbox_by_path accounts
SELECT address FROM mailbox WHERE path = ?1;
-- @mailbox_remove accounts
DELETE FROM mailbox WHERE address = ?1;
-- @mailbox_passwd accounts
UPDATE mailbox SET password = ?2 WHERE address = ?1;
-- @mailbox_quota accounts
UPDATE mailbox SET quota = ?2 WHERE address = ?1;
-- @mailbox_list accounts
SELECT address, path, quota FROM mailbox ORDER BY address;
-- @mailbox_list_domain accounts
SELECT m.address, m.path, m.quota FROM mailbox AS m
JOIN domain AS d ON d.id = m.domain WHERE d.name = ?1 ORDER BY m.address;

-- @alias_add accounts
INSERT INTO alias (source, target, domain) VALUES (?1, ?2, ?3);
-- @alias_remove accounts
DELETE FROM alias WHERE source = ?1 AND target = ?2;
-- @alias_remove_all accounts
DELETE FROM alias WHERE source = ?1;
-- @alias_targets accounts
SELECT target FROM alias WHERE source = ?1 ORDER BY target;
-- @alias_exists accounts
SELECT 1 FROM alias WHERE source = ?1 LIMIT 1;
-- @alias_users accounts
SELECT source FROM alias WHERE target = ?1 ORDER BY source LIMIT 1;
-- @alias_list accounts
SELECT source, target FROM alias ORDER BY source, target;
-- @alias_list_domain accounts
SELECT a.source, a.target FROM alias AS a JOIN domain AS d ON d.id = a.domain
WHERE d.name = ?1 ORDER BY a.source, a.target;

-- @lists_add accounts
INSERT INTO list (kind, what, pattern, recipient, action, comment, author,
    added, expires)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9);
-- @lists_remove accounts
DELETE FROM list WHERE pattern = ?1 AND recipient = ?2 AND kind = ?3;
-- Nobody's mail is judged by them any more.
-- @lists_remove_for accounts
DELETE FROM list WHERE recipient = ?1;
-- @lists_all accounts
SELECT id, kind, what, pattern, recipient, action, comment, author, added,
    expires FROM list ORDER BY pattern, recipient, kind;

-- ---- index: the writer -------------------------------------------------------

-- @ix_begin index
BEGIN IMMEDIATE;
-- @ix_commit index
COMMIT;
-- @ix_rollback index
ROLLBACK;

-- @ix_secret index
SELECT key FROM secret WHERE id = 1;

-- @box_get index
SELECT id, uidvalidity FROM box WHERE mailbox = ?1 AND folder = ?2;
-- @box_add index
INSERT INTO box (mailbox, folder) VALUES (?1, ?2);
-- @box_uidvalidity index
UPDATE box SET uidvalidity = ?2 WHERE id = ?1;
-- @usage_load index
SELECT b.mailbox, u.bytes FROM
    (SELECT box, sum(size) AS bytes FROM file GROUP BY box) AS u
JOIN box AS b ON b.id = u.box;
-- @file_last_id index
SELECT max(id) FROM file;

-- @message_by_tid index
SELECT id FROM message WHERE tid = ?1;
-- @message_id_taken index
SELECT 1 FROM message WHERE id = ?1;
-- @message_add index
INSERT INTO message (id, refs, tid, mid, message_id, in_reply_to, refs_field,
    from_field, to_field, cc_field, subject, date, header_len, complex, auth,
    envelope, structure)
VALUES (?1, ?17, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,
    ?16);
-- @message_ref index
UPDATE message SET refs = refs + ?2 WHERE id = ?1;
-- @message_drop index
DELETE FROM message WHERE id = ?1 AND refs <= 0;

-- @file_add index
INSERT OR IGNORE INTO file (id, bucket, box, base, info, in_new, size, vsize,
    internal_us, inode, prefix, action, msg)
VALUES (?12, ?12 >> 12, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11);
-- @file_get index
SELECT size, inode, prefix, action, msg, internal_us FROM file
WHERE box = ?1 AND base = ?2;
-- @file_update index
UPDATE file SET info = ?3, in_new = ?4, inode = ?5
WHERE box = ?1 AND base = ?2;
-- @file_set_msg index
UPDATE file SET msg = ?3, action = ?4, prefix = ?5, vsize = ?6
WHERE box = ?1 AND base = ?2;
-- @file_remove index
DELETE FROM file WHERE box = ?1 AND base = ?2;
-- @file_set_uid index
UPDATE file SET uid = ?3 WHERE box = ?1 AND base = ?2;
-- @file_clear_uids index
WITH RECURSIVE k (n) AS (
    SELECT max(bucket) FROM file
    UNION ALL
    SELECT (SELECT max(bucket) FROM file WHERE bucket < k.n) FROM k
    WHERE k.n IS NOT NULL)
UPDATE file SET uid = NULL WHERE id IN (
    SELECT f.id FROM k CROSS JOIN file AS f ON f.bucket = k.n AND f.box = ?1
    WHERE f.uid IS NOT NULL);
-- Content of another file of the mailbox: ?1 mailbox, ?2 base name.
-- @file_like index
SELECT f.msg, f.prefix, f.action FROM file AS f JOIN box AS b ON b.id = f.box
WHERE f.base = ?2 AND b.mailbox = ?1 AND f.msg IS NOT NULL LIMIT 1;

-- @gone_add index
INSERT OR REPLACE INTO gone (mailbox, base, inode, prefix, action, msg, at_us,
    size, internal_us)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9);
-- @gone_get index
SELECT msg, prefix, action FROM gone WHERE mailbox = ?1 AND base = ?2;
-- @gone_old index
SELECT mailbox, base, msg FROM gone WHERE at_us < ?1 ORDER BY at_us LIMIT 200;
-- @gone_remove index
DELETE FROM gone WHERE mailbox = ?1 AND base = ?2;

-- ---- index: the follower ------------------------------------------------------

-- @follow_file index
SELECT f.info, f.in_new, f.inode, f.uid, f.msg IS NOT NULL FROM box AS b
JOIN file AS f ON f.box = b.id AND f.base = ?3
WHERE b.mailbox = ?1 AND b.folder = ?2;
-- @follow_rows index
WITH RECURSIVE k (n) AS (
    SELECT max(bucket) FROM file
    UNION ALL
    SELECT (SELECT max(bucket) FROM file WHERE bucket < k.n) FROM k
    WHERE k.n IS NOT NULL)
SELECT f.base, f.info, f.in_new, f.inode, f.uid, f.msg IS NOT NULL
FROM box AS b CROSS JOIN k
CROSS JOIN file AS f ON f.bucket = k.n AND f.box = b.id
WHERE b.mailbox = ?1 AND b.folder = ?2;
-- All contents of a mailbox by inode, for files with a new name.
-- @follow_inodes index
WITH RECURSIVE k (n) AS (
    SELECT max(bucket) FROM file
    UNION ALL
    SELECT (SELECT max(bucket) FROM file WHERE bucket < k.n) FROM k
    WHERE k.n IS NOT NULL)
SELECT f.inode, f.base, f.size, f.internal_us FROM box AS b CROSS JOIN k
CROSS JOIN file AS f ON f.bucket = k.n AND f.box = b.id
WHERE b.mailbox = ?1 AND f.msg IS NOT NULL
UNION ALL
SELECT g.inode, g.base, g.size, g.internal_us FROM gone AS g
WHERE g.mailbox = ?1;
-- @follow_like index
SELECT 1 FROM file AS f JOIN box AS b ON b.id = f.box
WHERE f.base = ?2 AND b.mailbox = ?1 AND f.msg IS NOT NULL
UNION ALL
SELECT 1 FROM gone AS g WHERE g.mailbox = ?1 AND g.base = ?2
LIMIT 1;
-- @follow_folders index
SELECT folder FROM box WHERE mailbox = ?1;
-- @follow_uidvalidity index
SELECT uidvalidity FROM box WHERE mailbox = ?1 AND folder = ?2;

-- ---- index: readers -------------------------------------------------------------

-- Each ends in the same filter: ?2 folder, ?3 and ?4 internal date from and to,
-- ?5 from, ?6 to, ?7 subject, ?8 text, each as a LIKE pattern or NULL; ?9 and
-- ?10 limit and offset; ?13 and ?14 who asks, a mailbox or "@domain".
-- @list_mailbox index
WITH RECURSIVE k (n) AS (
    SELECT max(bucket) FROM file
    UNION ALL
    SELECT (SELECT max(bucket) FROM file WHERE bucket < k.n) FROM k
    WHERE k.n IS NOT NULL)
SELECT b.mailbox, b.folder, f.base, f.info, f.in_new, f.uid, b.uidvalidity,
    f.size, f.vsize, f.internal_us, f.inode, f.prefix, f.action, m.tid,
    m.message_id, m.in_reply_to, m.refs_field, m.from_field, m.to_field,
    m.cc_field, m.subject, m.date, m.header_len, m.complex, m.auth
FROM box AS b CROSS JOIN k
CROSS JOIN file AS f ON f.bucket = k.n AND f.box = b.id
LEFT JOIN message AS m ON m.id = f.msg
WHERE b.mailbox = ?1 AND (?2 IS NULL OR b.folder = ?2)
    AND (?3 IS NULL OR f.internal_us >= ?3)
    AND (?4 IS NULL OR f.internal_us < ?4)
    AND (?5 IS NULL OR m.from_field LIKE ?5 ESCAPE '\')
    AND (?6 IS NULL OR m.to_field LIKE ?6 ESCAPE '\'
        OR m.cc_field LIKE ?6 ESCAPE '\')
    AND (?7 IS NULL OR m.subject LIKE ?7 ESCAPE '\')
    AND (?8 IS NULL OR m.from_field LIKE ?8 ESCAPE '\'
        OR m.to_field LIKE ?8 ESCAPE '\' OR m.cc_field LIKE ?8 ESCAPE '\'
        OR m.subject LIKE ?8 ESCAPE '\')
    AND (?13 IS NULL OR b.mailbox = ?13)
    AND (?14 IS NULL OR substr(b.mailbox, -length(?14)) = ?14)
ORDER BY f.internal_us DESC, f.box, f.base LIMIT ?9 OFFSET ?10;
-- @list_all index
SELECT b.mailbox, b.folder, f.base, f.info, f.in_new, f.uid, b.uidvalidity,
    f.size, f.vsize, f.internal_us, f.inode, f.prefix, f.action, m.tid,
    m.message_id, m.in_reply_to, m.refs_field, m.from_field, m.to_field,
    m.cc_field, m.subject, m.date, m.header_len, m.complex, m.auth
FROM file AS f INDEXED BY file_msg JOIN box AS b ON b.id = f.box
LEFT JOIN message AS m ON m.id = f.msg
WHERE (?1 IS NULL OR b.mailbox = ?1) AND (?2 IS NULL OR b.folder = ?2)
    AND (?3 IS NULL OR f.internal_us >= ?3)
    AND (?4 IS NULL OR f.internal_us < ?4)
    AND (?5 IS NULL OR m.from_field LIKE ?5 ESCAPE '\')
    AND (?6 IS NULL OR m.to_field LIKE ?6 ESCAPE '\'
        OR m.cc_field LIKE ?6 ESCAPE '\')
    AND (?7 IS NULL OR m.subject LIKE ?7 ESCAPE '\')
    AND (?8 IS NULL OR m.from_field LIKE ?8 ESCAPE '\'
        OR m.to_field LIKE ?8 ESCAPE '\' OR m.cc_field LIKE ?8 ESCAPE '\'
        OR m.subject LIKE ?8 ESCAPE '\')
    AND (?13 IS NULL OR b.mailbox = ?13)
    AND (?14 IS NULL OR substr(b.mailbox, -length(?14)) = ?14)
ORDER BY f.msg DESC LIMIT ?9 OFFSET ?10;
-- ?11 is the transaction.
-- @list_tid index
SELECT b.mailbox, b.folder, f.base, f.info, f.in_new, f.uid, b.uidvalidity,
    f.size, f.vsize, f.internal_us, f.inode, f.prefix, f.action, m.tid,
    m.message_id, m.in_reply_to, m.refs_field, m.from_field, m.to_field,
    m.cc_field, m.subject, m.date, m.header_len, m.complex, m.auth
FROM message AS m JOIN file AS f ON f.msg = m.id
JOIN box AS b ON b.id = f.box
WHERE m.tid = ?11
    AND (?1 IS NULL OR b.mailbox = ?1) AND (?2 IS NULL OR b.folder = ?2)
    AND (?3 IS NULL OR f.internal_us >= ?3)
    AND (?4 IS NULL OR f.internal_us < ?4)
    AND (?5 IS NULL OR m.from_field LIKE ?5 ESCAPE '\')
    AND (?6 IS NULL OR m.to_field LIKE ?6 ESCAPE '\'
        OR m.cc_field LIKE ?6 ESCAPE '\')
    AND (?7 IS NULL OR m.subject LIKE ?7 ESCAPE '\')
    AND (?8 IS NULL OR m.from_field LIKE ?8 ESCAPE '\'
        OR m.to_field LIKE ?8 ESCAPE '\' OR m.cc_field LIKE ?8 ESCAPE '\'
        OR m.subject LIKE ?8 ESCAPE '\')
    AND (?13 IS NULL OR b.mailbox = ?13)
    AND (?14 IS NULL OR substr(b.mailbox, -length(?14)) = ?14)
ORDER BY f.msg DESC, f.box, f.base LIMIT ?9 OFFSET ?10;
-- ?11 is the hash of a Message-ID, ?12 the Message-ID.
-- @list_mid index
SELECT b.mailbox, b.folder, f.base, f.info, f.in_new, f.uid, b.uidvalidity,
    f.size, f.vsize, f.internal_us, f.inode, f.prefix, f.action, m.tid,
    m.message_id, m.in_reply_to, m.refs_field, m.from_field, m.to_field,
    m.cc_field, m.subject, m.date, m.header_len, m.complex, m.auth
FROM message AS m JOIN file AS f ON f.msg = m.id
JOIN box AS b ON b.id = f.box
WHERE m.mid = ?11 AND m.message_id = ?12
    AND (?1 IS NULL OR b.mailbox = ?1) AND (?2 IS NULL OR b.folder = ?2)
    AND (?3 IS NULL OR f.internal_us >= ?3)
    AND (?4 IS NULL OR f.internal_us < ?4)
    AND (?5 IS NULL OR m.from_field LIKE ?5 ESCAPE '\')
    AND (?6 IS NULL OR m.to_field LIKE ?6 ESCAPE '\'
        OR m.cc_field LIKE ?6 ESCAPE '\')
    AND (?7 IS NULL OR m.subject LIKE ?7 ESCAPE '\')
    AND (?8 IS NULL OR m.from_field LIKE ?8 ESCAPE '\'
        OR m.to_field LIKE ?8 ESCAPE '\' OR m.cc_field LIKE ?8 ESCAPE '\'
        OR m.subject LIKE ?8 ESCAPE '\')
    AND (?13 IS NULL OR b.mailbox = ?13)
    AND (?14 IS NULL OR substr(b.mailbox, -length(?14)) = ?14)
ORDER BY f.msg DESC, f.box, f.base LIMIT ?9 OFFSET ?10;
-- ?1 mailbox, ?2 base name.
-- @show_base index
SELECT b.mailbox, b.folder, f.base, f.info, f.in_new, f.uid, b.uidvalidity,
    f.size, f.vsize, f.internal_us, f.inode, f.prefix, f.action, m.tid,
    m.message_id, m.in_reply_to, m.refs_field, m.from_field, m.to_field,
    m.cc_field, m.subject, m.date, m.header_len, m.complex, m.auth,
    m.envelope, m.structure
FROM file AS f JOIN box AS b ON b.id = f.box
LEFT JOIN message AS m ON m.id = f.msg
WHERE f.base = ?2 AND b.mailbox = ?1
    AND (?13 IS NULL OR b.mailbox = ?13)
    AND (?14 IS NULL OR substr(b.mailbox, -length(?14)) = ?14) LIMIT 1;
-- ?1 mailbox, ?2 transaction.
-- @show_tid index
SELECT b.mailbox, b.folder, f.base, f.info, f.in_new, f.uid, b.uidvalidity,
    f.size, f.vsize, f.internal_us, f.inode, f.prefix, f.action, m.tid,
    m.message_id, m.in_reply_to, m.refs_field, m.from_field, m.to_field,
    m.cc_field, m.subject, m.date, m.header_len, m.complex, m.auth,
    m.envelope, m.structure
FROM message AS m JOIN file AS f ON f.msg = m.id
JOIN box AS b ON b.id = f.box
WHERE m.tid = ?2 AND (?1 IS NULL OR b.mailbox = ?1)
    AND (?13 IS NULL OR b.mailbox = ?13)
    AND (?14 IS NULL OR substr(b.mailbox, -length(?14)) = ?14) LIMIT 1;

-- ---- decisions: the writer --------------------------------------------------------

-- @dc_begin decisions
BEGIN IMMEDIATE;
-- @dc_commit decisions
COMMIT;
-- @dc_rollback decisions
ROLLBACK;
-- @dc_secret decisions
SELECT key FROM secret WHERE id = 1;

-- @decision_id decisions
SELECT id FROM decision WHERE tid = ?1;
-- @decision_id_taken decisions
SELECT 1 FROM decision WHERE id = ?1;
-- @decision_add decisions
INSERT INTO decision (id, tid, session, peer, port, listener, helo, rdns, tls,
    flags, mail_from, message_id, size, reply, action, step, score, auth,
    generation, evidence, runs, dns, kind, count, net, until, recording)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,
    ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27);
-- @rcpt_add decisions
INSERT OR IGNORE INTO rcpt (decision, n, given, mailbox, domain, action, reply,
    fate, step, score, lists, gdomain)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12);
-- @find_add decisions
INSERT OR IGNORE INTO find (bucket, hash, decision) VALUES (?1, ?2, ?3);
-- @filed_add decisions
INSERT OR IGNORE INTO filed (stamp, base, mailbox_hash, decision, rcpt, prefix)
VALUES (?1, ?2, ?3, ?4, ?5, ?6);
-- @filed_get decisions
SELECT d.tid, d.auth, f.prefix,
    (SELECT r.action FROM rcpt AS r WHERE r.decision = d.id AND r.n = f.rcpt)
FROM filed AS f JOIN decision AS d ON d.id = f.decision
WHERE f.stamp = ?1 AND f.base = ?2 AND f.mailbox_hash = ?3;
-- @cut_add decisions
INSERT OR IGNORE INTO cut (tid, pos, bytes, decision)
VALUES (?1, ?2, ?3, ?4);
-- @dns_get decisions
SELECT answer, day FROM dns WHERE hash = ?1;
-- @dns_add decisions
INSERT INTO dns (hash, day, answer) VALUES (?1, ?2, ?3);
-- @dns_touch decisions
UPDATE dns SET day = ?2 WHERE hash = ?1;

-- The first and last of the oldest rows that go at once: ?1 limit in time.
-- @old_bound decisions
SELECT min(id), max(id) FROM
    (SELECT id FROM decision WHERE id < ?1 ORDER BY id LIMIT 200);
-- They go up to ?2.
-- @old_rcpt decisions
DELETE FROM rcpt WHERE decision <= ?2;
-- @old_filed decisions
DELETE FROM filed WHERE stamp <= ?2;
-- @old_cut decisions
DELETE FROM cut WHERE decision <= ?2;
-- All of a bucket is older than what the next one begins with.
-- @old_find decisions
DELETE FROM find WHERE bucket <
    (SELECT max(bucket) FROM find WHERE bucket <= ?2);
-- @old_decision decisions
DELETE FROM decision WHERE id <= ?2;
-- The same for rows without a message.
-- @early_bound decisions
SELECT min(id), max(id) FROM
    (SELECT id FROM decision INDEXED BY decision_early
     WHERE kind > 0 AND id < ?1 ORDER BY id LIMIT 200);
-- @early_rcpt decisions
DELETE FROM rcpt WHERE decision IN
    (SELECT id FROM decision INDEXED BY decision_early
     WHERE kind > 0 AND id BETWEEN ?1 AND ?2);
-- @early_find decisions
DELETE FROM find
WHERE bucket >= coalesce((SELECT max(bucket) FROM find WHERE bucket <= ?1), ?1)
    AND bucket <= ?2 AND decision IN
    (SELECT id FROM decision INDEXED BY decision_early
     WHERE kind > 0 AND id BETWEEN ?1 AND ?2);
-- @early_decision decisions
DELETE FROM decision WHERE kind > 0 AND id BETWEEN ?1 AND ?2;
-- @oldest decisions
SELECT id FROM decision ORDER BY id LIMIT 1;
-- @dc_pages decisions
PRAGMA page_count;
-- @dc_free decisions
PRAGMA freelist_count;
-- @dc_page_size decisions
PRAGMA page_size;
-- @old_dns decisions
DELETE FROM dns WHERE hash IN
    (SELECT hash FROM dns WHERE day < ?1 ORDER BY day LIMIT 500);

-- ---- decisions: readers --------------------------------------------------------------

-- Each ends in who asks: ?10 a domain, ?11 a mailbox; both NULL: everybody.
-- @decision_by_tid decisions
SELECT d.id, d.tid, d.session, d.peer, d.port, d.listener, d.helo, d.rdns,
    d.tls, d.flags, d.mail_from, d.message_id, d.size, d.reply, d.action,
    d.step, d.score, d.auth, d.generation, d.evidence, d.runs, d.dns, d.kind,
    d.count, d.net, d.until
FROM decision AS d WHERE d.tid = ?1
    AND ((?10 IS NULL AND ?11 IS NULL) OR EXISTS (
        SELECT 1 FROM rcpt AS r WHERE r.decision = d.id
        AND (r.domain = ?10 OR r.gdomain = ?10 OR r.mailbox = ?11
            OR (length(r.mailbox) = 0 AND lower(r.given) = ?11))));
-- ?1 hash of the Message-ID, ?2 the Message-ID.
-- @decision_by_mid decisions
WITH RECURSIVE k (n) AS (
    SELECT max(bucket) FROM find
    UNION ALL
    SELECT (SELECT max(bucket) FROM find WHERE bucket < k.n) FROM k
    WHERE k.n IS NOT NULL)
SELECT d.id, d.tid, d.session, d.peer, d.port, d.listener, d.helo, d.rdns,
    d.tls, d.flags, d.mail_from, d.message_id, d.size, d.reply, d.action,
    d.step, d.score, d.auth, d.generation, d.evidence, d.runs, d.dns, d.kind,
    d.count, d.net, d.until
FROM k CROSS JOIN find AS f ON f.bucket = k.n AND f.hash = ?1
CROSS JOIN decision AS d ON d.id = f.decision
WHERE d.message_id = ?2
    AND ((?10 IS NULL AND ?11 IS NULL) OR EXISTS (
        SELECT 1 FROM rcpt AS r WHERE r.decision = d.id
        AND (r.domain = ?10 OR r.gdomain = ?10 OR r.mailbox = ?11
            OR (length(r.mailbox) = 0 AND lower(r.given) = ?11)))) LIMIT 1;
-- Transactions that brought a Message-ID: ?1 its hash, ?2 itself.
-- @tids_by_mid decisions
WITH RECURSIVE k (n) AS (
    SELECT max(bucket) FROM find
    UNION ALL
    SELECT (SELECT max(bucket) FROM find WHERE bucket < k.n) FROM k
    WHERE k.n IS NOT NULL)
SELECT d.tid FROM k CROSS JOIN find AS f ON f.bucket = k.n AND f.hash = ?1
CROSS JOIN decision AS d ON d.id = f.decision
WHERE d.message_id = ?2
    AND ((?10 IS NULL AND ?11 IS NULL) OR EXISTS (
        SELECT 1 FROM rcpt AS r WHERE r.decision = d.id
        AND (r.domain = ?10 OR r.gdomain = ?10 OR r.mailbox = ?11
            OR (length(r.mailbox) = 0 AND lower(r.given) = ?11)))) LIMIT 100;
-- ?1 hash of an address or a network, ?2 since, ?4 until, ?3 limit.
-- @decision_trace decisions
WITH RECURSIVE k (n) AS (
    SELECT max(bucket) FROM find
    UNION ALL
    SELECT (SELECT max(bucket) FROM find WHERE bucket < k.n) FROM k
    WHERE k.n IS NOT NULL)
SELECT d.id, d.tid, d.session, d.peer, d.port, d.listener, d.helo, d.rdns,
    d.tls, d.flags, d.mail_from, d.message_id, d.size, d.reply, d.action,
    d.step, d.score, d.auth, d.generation, d.evidence, d.runs, d.dns, d.kind,
    d.count, d.net, d.until
FROM decision AS d WHERE d.id IN (
    SELECT f.decision FROM k
    CROSS JOIN find AS f ON f.bucket = k.n AND f.hash = ?1
    WHERE f.decision >= ?2 AND f.decision < ?4
    AND ((?10 IS NULL AND ?11 IS NULL) OR EXISTS (
        SELECT 1 FROM rcpt AS r WHERE r.decision = f.decision
        AND (r.domain = ?10 OR r.gdomain = ?10 OR r.mailbox = ?11
            OR (length(r.mailbox) = 0 AND lower(r.given) = ?11))))
    ORDER BY f.decision DESC LIMIT ?3)
ORDER BY d.id DESC;
-- A day page by page: ?1 behind this row, ?2 before this time, ?3 limit.
-- @decision_day decisions
SELECT id, peer, mail_from, action, auth, evidence, dns FROM decision
WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3;
-- The next message behind ?1 and before ?2, with what judging it again needs.
-- @judged_next decisions
SELECT id, tid, peer, port, listener, mail_from, size, reply, action, step,
    score, evidence, recording, dns
FROM decision WHERE id > ?1 AND id < ?2 AND kind = 0 ORDER BY id LIMIT 1;
-- @find_last decisions
SELECT max(bucket) FROM find;
-- @rcpt_list decisions
SELECT given, mailbox, domain, action, reply, fate, step, score,
    lists FROM rcpt AS r
WHERE decision = ?1 AND ((?10 IS NULL AND ?11 IS NULL)
    OR r.domain = ?10 OR r.gdomain = ?10 OR r.mailbox = ?11
    OR (length(r.mailbox) = 0 AND lower(r.given) = ?11))
ORDER BY n LIMIT 50000;
-- @rcpt_count decisions
SELECT count(*) FROM rcpt WHERE decision = ?1;
-- @cut_list decisions
SELECT pos, bytes FROM cut WHERE tid = ?1 ORDER BY pos LIMIT 64;
-- @dns_read decisions
SELECT answer FROM dns WHERE hash = ?1;
