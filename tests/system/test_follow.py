#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A real Dovecot on the shipped configuration, and the index that follows it.

    test_follow.py [FOLLOW_TOOL] [--keep] [-v]

Accounts are made through Postward's code (follow_tool.c: a store without
SMTP), Dovecot is started on storage/dovecot/ with them, mail is delivered and
then moved, copied, flagged, appended and deleted by IMAP and POP3; after each
step the index must say what lies on disk.  Then the same while nobody follows,
with the index deleted, and with the index overwritten.  Runs as root or as an
ordinary user."""
import imaplib
import json
import os
import poplib
import pwd
import shutil
import subprocess
import sys
import tempfile
import time

import dovecot as dovecots
import pwtest

ALICE = "alice@example.test"
ODD = "o'brien+x%u@example.test"
PASSWORD = "correct,horse\"battery'--;"

report = pwtest.Report("follow")


def check(what, ok, detail=""):
    return report.check(ok, what, detail)


class Owner:
    """What dovecot.Dovecot has to know of a Postward."""

    def __init__(self, user, state, mail):
        self.store_user, self.state, self.mail = user, state, mail


class Tool:
    """follow_tool at the other end of two pipes, as the owner of the mail."""

    def __init__(self, path, state, mail, user):
        self.args = [path, state, mail]
        self.user = {"user": user.pw_uid, "group": user.pw_gid,
                     "extra_groups": []} if user else {}
        self.start()

    def start(self):
        self.proc = subprocess.Popen(self.args, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True,
                                     **self.user)

    def ask(self, *words):
        self.proc.stdin.write(" ".join(words) + "\n")
        self.proc.stdin.flush()
        lines = []
        while True:
            line = self.proc.stdout.readline()
            if line == "":
                raise RuntimeError("follow_tool ended")
            if line == ".\n":
                return "".join(lines)
            lines.append(line)

    def rows(self, who):
        self.ask("sync")
        return json.loads(self.ask("list", who))

    def stop(self):
        self.proc.stdin.close()
        return self.proc.wait(30)


def login(server, who, password=PASSWORD):
    c = imaplib.IMAP4("127.0.0.1", server.imap, timeout=20)
    c.login(who, password)
    return c


def on_disk(mail, who):
    """(folder, file, inode) of all files of a mailbox."""
    user, domain = who.rsplit("@", 1)
    top = os.path.join(mail, domain, user)
    found = set()
    for entry in [""] + [e for e in os.listdir(top)
                         if e.startswith(".") and not e.startswith("..")]:
        for sub in ("new", "cur"):
            d = os.path.join(top, entry, sub)
            if os.path.isdir(d):
                for f in os.listdir(d):
                    found.add((entry[1:], f"{sub}/{f}",
                               os.stat(os.path.join(d, f)).st_ino))
    return found


def uids_of(mail, who):
    """(folder, base) -> uid by Dovecot's own lists."""
    user, domain = who.rsplit("@", 1)
    top = os.path.join(mail, domain, user)
    result = {}
    for entry in [""] + [e for e in os.listdir(top)
                         if e.startswith(".") and not e.startswith("..")]:
        try:
            with open(os.path.join(top, entry, "dovecot-uidlist")) as f:
                next(f)
                for line in f:
                    head, name = line.rstrip("\n").split(" :", 1)
                    result[(entry[1:], name.split(":")[0])] = \
                        int(head.split()[0])
        except FileNotFoundError:
            pass
    return result


def agree(what, tool, mail, who):
    """The index says what lies on disk; once more if it was not at rest."""
    rows = []
    for _ in range(5):
        rows = tool.rows(who)
        have = {(r["folder"], r["file"], r["inode"]) for r in rows}
        want = on_disk(mail, who)
        uids = uids_of(mail, who)
        wrong = [(r["folder"], r["base"], r["uid"]) for r in rows
                 if uids.get((r["folder"], r["base"])) != r["uid"]]
        if have == want and not wrong:
            break
        time.sleep(0.3)
    check(f"{what}: files", have == want,
          f"\n  only on disk {sorted(want - have)}"
          f"\n  only on the index {sorted(have - want)}")
    check(f"{what}: UIDs", not wrong, str(wrong))
    size = sum(r["size"] for r in rows)
    usage = int(tool.ask("usage", who))
    check(f"{what}: usage", usage == size, f"{usage} != {size}")
    return rows


def ids(rows, folder):
    return sorted(r["id"] or "" for r in rows if r["folder"] == folder)


def scenario(tool, dovecot, mail):
    sent = [tool.ask("deliver", ALICE, f"subject-{i}").split()[0]
            for i in range(10)]
    rows = agree("delivered", tool, mail, ALICE)
    check("all delivered", ids(rows, "") == sorted(sent))
    check("no UID yet", all(r["uid"] is None for r in rows))

    c = login(dovecot, ALICE)
    check("IMAP sees them", c.select()[1] == [b"10"])
    rows = agree("selected", tool, mail, ALICE)
    check("UIDs came", all(r["uid"] for r in rows))
    check("moved to cur", all(r["file"].startswith("cur/") for r in rows))

    c.store("1:3", "+FLAGS", "(\\Seen)")
    c.store("2", "+FLAGS", "(\\Flagged)")
    rows = agree("flags", tool, mail, ALICE)
    check("flags on the index",
          sorted(r["flags"] for r in rows if r["flags"]) == ["FS", "S", "S"],
          str([r["flags"] for r in rows]))

    c.create("Archive/2026")
    check("MOVE", c._simple_command("MOVE", "1:2", "Archive/2026")[0] == "OK")
    rows = agree("MOVE", tool, mail, ALICE)
    check("content moved along", len(ids(rows, "Archive.2026")) == 2 and
          set(ids(rows, "Archive.2026")) <= set(sent))
    check("verdict moved along",
          all(r["verdict"] == "deliver" for r in rows))

    c.copy("1:3", "Archive/2026")
    rows = agree("COPY", tool, mail, ALICE)
    check("copies know their transaction",
          "" not in ids(rows, "Archive.2026") and
          len(ids(rows, "Archive.2026")) == 5, str(ids(rows, "Archive.2026")))
    check("copy in the same folder", c.copy("1", "INBOX")[0] == "OK")
    rows = agree("COPY to itself", tool, mail, ALICE)
    check("copy to itself knows its transaction", "" not in ids(rows, ""))

    c.append("INBOX", "\\Seen", None,
             b"From: me@example.test\r\nMessage-ID: <own@example.test>\r\n"
             b"Subject: appended\r\n\r\nText\r\n")
    rows = agree("APPEND", tool, mail, ALICE)
    own = [r for r in rows if r["subject"] == "appended"]
    check("appended mail was read", len(own) == 1 and own[0]["id"] is None and
          own[0]["message_id"] == "<own@example.test>", str(own))

    c.store("1:2", "+FLAGS", "(\\Deleted)")
    c.expunge()
    rows = agree("EXPUNGE", tool, mail, ALICE)

    c.rename("Archive/2026", "Old")
    rows = agree("RENAME", tool, mail, ALICE)
    check("renamed folder keeps content", len(ids(rows, "Old")) == 5 and
          "" not in ids(rows, "Old"), str(ids(rows, "Old")))
    c.create("Entw&APw-rfe")
    c.copy("1", "Entw&APw-rfe")
    rows = agree("UTF-7 folder", tool, mail, ALICE)
    check("UTF-7 name is kept", len(ids(rows, "Entw&APw-rfe")) == 1)
    c.delete("Old")
    rows = agree("DELETE", tool, mail, ALICE)
    check("deleted folder has no rows", ids(rows, "Old") == [])
    c.logout()

    p = poplib.POP3("127.0.0.1", dovecot.pop3, timeout=20)
    p.user(ALICE)
    p.pass_(PASSWORD)
    n = p.stat()[0]
    check("POP3 sees INBOX", n == len(ids(rows, "")), str(n))
    text = b"\n".join(p.retr(1)[1])
    check("POP3 gives a message", b"Hello." in text)
    p.dele(1)
    p.quit()
    rows = agree("POP3 DELE", tool, mail, ALICE)
    return rows


def many(tool, dovecot, mail):
    """Delivery while a client moves: more than one round of everything."""
    c = login(dovecot, ALICE)
    c.create("Many")
    for i in range(300):
        tool.ask("deliver", ALICE, f"many-{i}")
        if i % 25 == 0:
            n = int(c.select()[1][0])
            if n > 0:
                c._simple_command("MOVE", "1:*", "Many")
    c.select()
    rows = agree("many", tool, mail, ALICE)
    known = [r for r in rows if (r["subject"] or "").startswith("many-")]
    check("300 are there", len(known) == 300, str(len(known)))
    check("all know their transaction", all(r["id"] for r in known))
    c.logout()


def while_down(tool, dovecot, mail, state):
    """What happens while nobody follows is found at the start."""
    before = tool.rows(ALICE)
    tool.stop()
    c = login(dovecot, ALICE)
    c.select("Many")
    c._simple_command("MOVE", "1:10", "INBOX")
    c.store("1:5", "+FLAGS", "(\\Seen \\Deleted)")
    c.expunge()
    c.logout()
    tool.start()
    rows = agree("while down", tool, mail, ALICE)
    moved = [r for r in rows if r["folder"] == ""]
    check("moved while down, still known",
          sum(1 for r in moved if r["id"]) >= 10)
    check("nothing else is lost", len(rows) == len(before) - 5,
          f"{len(rows)} of {len(before)}")

    # The index is a cache: deleted, it comes back the same.
    def view(rows):
        return sorted((r["folder"], r["file"], r["uid"], r["size"], r["id"]
                       or "", r["subject"], r["message_id"], r["verdict"] or
                       "", r["auth_results"], r["vsize"], r["prefix"])
                      for r in rows)
    want = view(rows)
    tool.stop()
    for name in os.listdir(state):
        if name.startswith("index.db"):
            os.unlink(os.path.join(state, name))
    tool.start()
    rows = agree("rebuilt", tool, mail, ALICE)
    got = view(rows)
    check("rebuilt the same", strip(got) == strip(want), "\n" + "\n".join(
        str(x) for x in set(strip(want)) ^ set(strip(got))))


def strip(view):
    # The tool's parser is not what gave the test's deliveries their content,
    # but the fields that both know must agree.
    return [v[:6] + (v[7], v[8], v[9]) for v in view]


def damaged(tool, mail, state):
    """index.db overwritten while it is in use: made anew, mail goes on."""
    with open(os.path.join(state, "index.db"), "r+b") as f:
        f.write(b"\0" * 100000)
    for i in range(5):
        tool.ask("deliver", ALICE, f"damaged-{i}")
        time.sleep(0.3)
    rows = []
    for _ in range(20):
        time.sleep(0.5)
        try:
            rows = tool.rows(ALICE)
        except ValueError:
            continue
        if {(r["folder"], r["file"]) for r in rows} == \
                {x[:2] for x in on_disk(mail, ALICE)}:
            break
    rows = agree("after damage", tool, mail, ALICE)
    check("mails of the damage are there",
          sum(1 for r in rows if (r["subject"] or "").startswith("damaged-"))
          == 5)


def people(tool, server, mail, state):
    """Accounts, and who may not log in."""
    for line in (("domain", "example.test"),
                 ("mailbox", ALICE, PASSWORD, "1000000"),
                 ("mailbox", ODD, PASSWORD)):
        check(" ".join(line), tool.ask(*line) == "")
    mode = os.stat(os.path.join(state, "accounts.db")).st_mode & 0o777
    check("accounts.db is for the group only", mode == 0o640, oct(mode))
    server.start()
    c = login(server, ODD)
    check("an odd address logs in", c.select()[0] == "OK")
    c.logout()
    tool.ask("deliver", ODD, "odd")
    agree("odd", tool, mail, ODD)
    c = login(server, ALICE)
    q = c.getquotaroot("INBOX")
    check("quota from accounts", b"STORAGE" in q[1][1][0] and
          b" 977)" in q[1][1][0], str(q))
    c.logout()
    for who, word in ((ALICE, "wrong"), ("x' OR '1'='1", PASSWORD)):
        try:
            login(server, who, word)
            check(f"login of {who} refused", False)
        except imaplib.IMAP4.error:
            check("refused", True)


def run(top, program):
    root = os.geteuid() == 0
    # Dovecot does not serve mail of root: any other user will do.
    user = pwd.getpwnam("mail") if root else None
    state, mail = os.path.join(top, "state"), os.path.join(top, "mail")
    os.chmod(top, 0o755)
    for d, mode in ((state, 0o750), (mail, 0o700)):
        os.mkdir(d, mode)
        if root:
            os.chown(d, user.pw_uid, user.pw_gid)
    # The build folder may be closed to that user.
    program = shutil.copy(program, os.path.join(top, "follow_tool"))
    os.chmod(program, 0o755)
    tool = Tool(program, state, mail, user)
    server = dovecots.Dovecot(os.path.join(top, "dovecot"),
                              Owner("mail", state, mail))
    try:
        people(tool, server, mail, state)
        scenario(tool, server, mail)
        many(tool, server, mail)
        while_down(tool, server, mail, state)
        damaged(tool, mail, state)
        if "-v" in sys.argv:
            print(tool.ask("status"))
        check("the tool ends well", tool.stop() == 0)
    finally:
        server.stop()
        if tool.proc.poll() is None:
            tool.proc.terminate()
            tool.proc.wait(10)


def main():
    args = [a for a in sys.argv[1:] if not a.startswith("-")]
    program = args[0] if args else os.path.join(pwtest.BUILD, "tests",
                                                "system", "follow_tool")
    if not os.path.exists(program):
        print("skipped: there is no", program)
        return 0
    if not os.path.exists(dovecots.PROGRAM):
        print("skipped: there is no Dovecot")
        return 0
    top = tempfile.mkdtemp(prefix="postward-follow-")
    try:
        run(top, program)
    finally:
        log = os.path.join(top, "dovecot", "dovecot.log")
        if report.failed and os.path.exists(log):
            with open(log) as f:
                print("".join(f.readlines()[-15:]))
        if "--keep" in sys.argv:
            print("kept", top)
        else:
            shutil.rmtree(top, ignore_errors=True)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
