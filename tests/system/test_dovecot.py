#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A real Dovecot on the mailboxes while mail keeps arriving: the same bytes by
IMAP and POP3; what readers do by IMAP is on the index within seconds; quotas
mean the same to both."""
import imaplib
import os
import poplib
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import dovecot
import pwload
import pwtest
import rawsmtp

PASSWORD = "secret"
SECONDS = 8  # for the index to follow
report = pwtest.Report("test_dovecot")


class Reader:
    """One user's IMAP session, every answer of which must be OK."""

    def __init__(self, dove, user):
        self.c = imaplib.IMAP4("127.0.0.1", dove.imap, timeout=30)
        self.c.login(user + "@example.test", PASSWORD)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.c.logout()

    def do(self, verb, *args):
        code, data = getattr(self.c, verb)(*args)
        report.check(code == "OK", "%s %s" % (verb, args[:2]), data)
        return data

    def uid(self, *args):
        return self.do("uid", *args)

    def uids(self, folder="INBOX", readonly=False):
        self.do("select", folder, readonly)
        return self.uid("SEARCH", None, "ALL")[0].split()

    def bodies(self, folder="INBOX"):
        """{uid: bytes} of a folder."""
        out = {}
        for uid in self.uids(folder, True):
            for item in self.uid("FETCH", uid, "(BODY.PEEK[])"):
                if isinstance(item, tuple):
                    out[int(uid)] = item[1]
        return out


def crlf(data):
    return re.sub(rb"\r?\n", b"\r\n", data)


def agrees(pw, what, user):
    """The index says what the Maildir says, within seconds."""
    begin = time.monotonic()
    faults = ["?"]

    def same():
        faults[:] = pwload.index_faults(pw, user)
        return not faults
    try:
        pwtest.wait_for(same, SECONDS, 0.1)
        report.check(True, what)
        return time.monotonic() - begin
    except RuntimeError:
        report.check(False, "index after " + what, faults[:4])
        return SECONDS


def rows(pw, user, folder=None):
    out = pw.verb("message", "list", user + "@example.test", "--limit",
                  "10000", json_out=True)
    return [r for r in out if folder is None or (r["folder"] or "") == folder]


def uids_agree(pw, dove, what, user, folders):
    """UID, flags and size of each row are what Dovecot says."""
    last = [None]

    def same():
        for imap, maildir in folders.items():
            with Reader(dove, user) as r:
                r.do("select", imap, True)
                told = {}
                data = r.uid("FETCH", "1:*", "(FLAGS RFC822.SIZE)")
                for line in data:
                    if not isinstance(line, bytes):
                        continue
                    uid = re.search(rb"UID (\d+)", line)
                    told[int(uid.group(1))] = (
                        "".join(sorted(
                            {"\\Seen": "S", "\\Flagged": "F", "\\Answered":
                             "R", "\\Draft": "D", "\\Deleted": "T"}.get(f, "")
                            for f in re.search(rb"FLAGS \(([^)]*)\)", line)
                            .group(1).decode().split())),
                        int(re.search(rb"RFC822.SIZE (\d+)", line).group(1)))
            index = {r["uid"]: ("".join(sorted(
                c for c in r["flags"] if c.isupper())), r["vsize"])
                for r in rows(pw, user, maildir)}
            if told != index:
                last[0] = (imap, [(k, told.get(k), index.get(k))
                                  for k in told.keys() | index.keys()
                                  if told.get(k) != index.get(k)][:4])
                return False
        return True
    try:
        pwtest.wait_for(same, SECONDS, 0.3)
        report.check(True, what)
    except RuntimeError:
        report.check(False, "UIDs, flags, sizes after " + what, last[0])


def same_bytes(pw, dove, ledger):
    """IMAP, POP3, file and what was sent: one and the same."""
    files = sorted(crlf(b) for b in pw.maildir("alice").values())
    with Reader(dove, "alice") as r:
        by_imap = sorted(r.bodies().values())
    p = poplib.POP3("127.0.0.1", dove.pop3, timeout=60)
    p.user("alice@example.test")
    p.pass_(PASSWORD)
    count = p.stat()[0]
    by_pop = sorted(b"\r\n".join(p.retr(i + 1)[1]) + b"\r\n"
                    for i in range(count))
    p.quit()
    report.check(by_imap == files, "IMAP gives the bytes of the files",
                 "%d and %d" % (len(by_imap), len(files)))
    report.check(by_pop == files, "POP3 gives the bytes of the files",
                 "%d and %d" % (len(by_pop), len(files)))
    wrong = [f for f in files if pwload.whole(
        ledger.seed, f.replace(b"\r\n", b"\n"))[1]]
    report.check(not wrong, "they are what was sent", len(wrong))
    return len(files)


def while_arriving(pw, dove, ledger):
    """A reader at work while senders send."""
    senders = [pwload.Sender(pw, ledger, i, rate=40) for i in range(3)]
    reader = pwload.Reader(dove, pw, ledger, PASSWORD, dove.imap)
    for w in senders + [reader]:
        w.start()
        w.go.set()
    time.sleep(5)
    for w in senders + [reader]:
        w.hold()
    for w in senders + [reader]:
        w.wait_held()
    pw.wait_idle()
    counts = pwload.compare(report, pw, ledger)
    report.check(min(reader.did.values()) > 0, "the reader did it all",
                 reader.did)
    slowest = max(agrees(pw, "work while mail arrives", u) for u in pw.users)
    print("while %d mails arrived: %s; index followed within %.1f s" % (
        counts["stored"], reader.did, slowest))
    for w in senders + [reader]:
        w.end.set()


def one_by_one(pw, dove):
    """Each thing that a reader can do, and the index after it."""
    user = "bob"
    folders = {"INBOX": ""}
    with Reader(dove, user) as r:
        for name in ("Work", "Work/Deep", "M&APw-ll"):
            r.do("create", name)
            folders[name] = name.replace("/", ".")
        uids = r.uids()
        report.check(len(uids) >= 12, "mail to work on", len(uids))
        r.uid("MOVE", uids[0], "Work")
        r.uid("MOVE", uids[1], "Work/Deep")
        r.uid("COPY", uids[2], "Work")
        r.uid("COPY", uids[2] + b"," + uids[3], "M&APw-ll")
        agrees(pw, "MOVE and COPY", user)
        r.uid("STORE", uids[4], "+FLAGS", "(\\Seen \\Flagged)")
        r.uid("STORE", uids[5], "+FLAGS", "(\\Answered $Label1)")
        r.uid("STORE", uids[6], "+FLAGS", "(\\Deleted)")
        r.uid("EXPUNGE", uids[6])
        r.uid("STORE", uids[4], "-FLAGS", "(\\Flagged)")
        agrees(pw, "flags and EXPUNGE", user)
        raw = b"From: me@example.test\r\nSubject: my own draft\r\n" \
            b"Message-ID: <draft@example.test>\r\n\r\ntext\r\n"
        r.do("append", "Work", "(\\Seen)",
             '"01-Jan-2026 10:00:00 +0000"', raw)
        agrees(pw, "APPEND", user)

        def parsed():
            return [x for x in rows(pw, user, "Work")
                    if x["subject"] == "my own draft"]
        try:
            pwtest.wait_for(parsed, SECONDS)
            report.check(True, "APPEND is read")
        except RuntimeError:
            report.check(False, "content of an APPEND on the index")
        r.do("rename", "Work/Deep", "Elsewhere")
        folders["Elsewhere"] = "Elsewhere"
        del folders["Work/Deep"]
        agrees(pw, "RENAME of a folder", user)
    uids_agree(pw, dove, "all of it", user, folders)
    copies = [x for x in rows(pw, user) if x["id"]]
    report.check(len({x["id"] for x in copies}) < len(copies),
                 "copies bear the id of their message")
    with Reader(dove, user) as r:
        r.do("delete", "M&APw-ll")
        uids = r.uids()
        r.uid("STORE", b",".join(uids), "+FLAGS.SILENT", "(\\Deleted)")
        r.do("expunge")
    agrees(pw, "a folder deleted, all expunged", user)
    report.check(not rows(pw, user, ""), "no row is left in INBOX")


def rejects(pw, user, size):
    with rawsmtp.Client(pw.port) as c:
        c.cmd("EHLO mx.friend.test")
        c.cmd("MAIL FROM:<q@friend.test> SIZE=%d" % size)
        return c.cmd("RCPT TO:<%s@example.test>" % user)


def quotas(pw, dove):
    """Full by our count is full by Dovecot's, and a reader makes room."""
    user = "dora"
    pw.verb("mailbox", "add", user + "@example.test", "--quota", "200K",
            "--password", input=PASSWORD + "\n")
    pwtest.wait_for(lambda: rejects(pw, user, 12000)[0] == 250, SECONDS,
                    say="a new mailbox")
    with rawsmtp.Client(pw.port) as c:
        c.cmd("EHLO mx.friend.test")
        taken = 0
        for i in range(60):
            c.cmd("MAIL FROM:<q@friend.test> SIZE=12000")
            code, text = c.cmd("RCPT TO:<%s@example.test>" % user)
            if code != 250:
                report.check((code, text[:5]) == (452, "4.2.2"), "full",
                             "%d %s" % (code, text))
                break
            c.cmd("DATA")
            c.send(pwload.stuffed(b"Subject: q%d\r\n\r\n" % i +
                                  b"x" * 70 + b"\r\n" * 2 +
                                  (b"y" * 70 + b"\r\n") * 160))
            taken += c.reply()[0] == 250
            time.sleep(0.05)
    report.check(10 <= taken <= 20, "mails until it is full", taken)
    with Reader(dove, user) as r:
        code, data = r.c.getquotaroot("INBOX")
        found = re.search(rb"STORAGE (\d+) (\d+)", b" ".join(
            x if isinstance(x, bytes) else b" ".join(x) for y in data
            for x in (y if isinstance(y, list) else [y])))
        used, limit = map(int, found.groups()) if found else (0, 0)
        report.check(limit == 200, "Dovecot has the same limit", limit)
        vsize = sum(x["vsize"] for x in rows(pw, user))
        report.check(abs(used * 1024 - vsize) < 2048,
                     "Dovecot counts what we count", (used * 1024, vsize))
        code, data = r.c.append("INBOX", None, None, b"a: b\r\n\r\n" +
                                (b"z" * 70 + b"\r\n") * 500)
        report.check(code == "NO", "APPEND is over quota too", data)
        uids = r.uids()
        r.uid("STORE", b",".join(uids[:5]), "+FLAGS.SILENT", "(\\Deleted)")
        r.do("expunge")
    try:
        pwtest.wait_for(lambda: rejects(pw, user, 12000)[0] == 250, SECONDS)
        report.check(True, "room again")
    except RuntimeError:
        report.check(False, "room again", rejects(pw, user, 12000))


def password_and_rights(pw, dove):
    c = imaplib.IMAP4("127.0.0.1", dove.imap)
    try:
        c.login("alice@example.test", "wrong")
        report.check(False, "a wrong password is refused")
    except imaplib.IMAP4.error:
        report.check(True, "wrong password")
    c.shutdown()
    mode = os.stat(os.path.join(pw.state, "accounts.db")).st_mode & 0o777
    report.check(mode & 0o007 == 0, "accounts.db is not for everybody",
                 oct(mode))
    for path in pw.maildir("alice"):
        if os.stat(path).st_mode & 0o077:
            report.check(False, "mode of " + path)
            break


def main():
    folder = pwtest.scratch("dovecot")
    pw = pwtest.Postward(folder, tls=False, users=("alice", "bob", "carol"),
                         listener='stages = [ "none" ]',
                         store='checkpoint = "500ms"; journal = "16M"; '
                         'min-free = "1M"', smtp='max-messages = 1000')
    pw.accounts(PASSWORD)
    dove = dovecot.Dovecot(os.path.join(folder, "dovecot"), pw)
    ledger = pwload.Ledger(5)
    try:
        pw.start()
        dove.start()
        senders = [pwload.Sender(pw, ledger, 70 + i) for i in range(2)]
        for s in senders:
            s.start()
            s.go.set()
        pwtest.wait_for(lambda: len(ledger.stored) > 150, 30)
        for s in senders:
            s.hold()
        for s in senders:
            s.wait_held()
            s.end.set()
        for step in (lambda: same_bytes(pw, dove, ledger),
                     lambda: while_arriving(pw, dove, ledger),
                     lambda: same_bytes(pw, dove, ledger),
                     lambda: one_by_one(pw, dove),
                     lambda: quotas(pw, dove),
                     lambda: password_and_rights(pw, dove)):
            step()
    except Exception as e:
        report.check(False, type(e).__name__, e)
        raise
    finally:
        dove.stop()
        pw.stop()
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
