#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The dialogue scripts of tests/smtp against the daemon: real accounts, stages,
DNS and store behind the same words that the engine says in its harness.  Each is
played whole, octet by octet and inside TLS, as the script allows."""
import os
import re
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pwtest
import rawsmtp

SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "smtp")
PLAYER = os.path.join(SCRIPTS, "run.py")
# Mailboxes of these are judged by the harness as their names say; what policy
# makes of mail in the daemon is shown in test_policy.py.
JUDGED = ("prdr.smtp", "prdr_one.smtp", "verdicts.smtp")
# The names that scripts use; every other one does not exist.
WORLD = {
    "client.test": [("A", "127.0.0.1")],
    "sender.test": [("A", "127.0.0.1"), ("TXT", "v=spf1 a -all")],
    "1.0.0.127.in-addr.arpa": [("PTR", "client.test")],
}


def accounts(pw):
    """As tests/unit/smtp/fake.h says."""
    pw.accounts()
    pw.verb("domain", "add", "bücher.test")
    for user in pw.users:
        pw.verb("alias", "add", user + "@bücher.test", user + "@example.test")
    pw.verb("alias", "add", "team@example.test", "alice@example.test",
            "bob@example.test")
    # No verb closes a circle; another program with the table open could.
    pw.verb("alias", "add", "ring@example.test", "alice@example.test")
    pw.verb("alias", "add", "loop@example.test", "ring@example.test")
    with sqlite3.connect(os.path.join(pw.state, "accounts.db")) as db:
        db.execute("UPDATE alias SET target = 'loop@example.test' "
                   "WHERE source = 'ring@example.test'")
    db.close()


def fill(report, pw):
    """The mailbox of full is over its quota from here on."""
    code, text = rawsmtp.send(
        pw.port, rawsmtp.mail("much", "0123456789\r\n" * 400),
        to=("full@example.test",))
    report.check(code == 250, "mail before there is a quota", text)
    pw.verb("mailbox", "quota", "full@example.test", "1K")

    def refused():
        with rawsmtp.Client(pw.port) as c:
            return c.envelope(to=("full@example.test",))[-1][0] == 452
    pwtest.wait_for(refused, 10, say="quota in force")


def dialogues(report, pw):
    scripts = sorted(os.path.join(SCRIPTS, n) for n in os.listdir(SCRIPTS)
                     if n.endswith(".smtp") and n not in JUDGED)
    r = subprocess.run([sys.executable, PLAYER, "--port", str(pw.port),
                        *scripts],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, timeout=300)
    print(r.stdout, end="")
    m = re.search(r"(\d+) passed, (\d+) failed", r.stdout)
    if report.check(m is not None, "the player ended", r.stdout[-300:]):
        report.passed += int(m.group(1))
        report.failed += int(m.group(2))


def afterwards(report, pw):
    """None of that hurt anybody, and all of it is on record."""
    status = pw.status()
    for role in ("front", "scan", "resolve", "store"):
        states = [v for k, v in status.items()
                  if k.startswith("role.%s." % role)]
        report.check(states and all("restarts=0" in s or "restarts" not in s
                                    for s in states), role, str(states))
    report.check(not pw.logged("role.crash"), "no role crashed")
    pwtest.wait_for(lambda: int(pw.status()["front.smtp.sessions.now"]) == 0,
                    15, say="all sessions ended")
    code, text = rawsmtp.send(pw.port, rawsmtp.mail("after"))
    report.check(code == 250, "a mail afterwards", text)
    pw.wait_idle()
    for user in ("alice", "bob"):
        report.check(len(pw.maildir(user)) > 0, "mail of " + user)
    report.check(len(pw.maildir("full")) == 1, "none above a quota")


def main():
    report = pwtest.Report("dialogues")
    folder = pwtest.scratch("dialogues")
    dns = pwtest.Dnsd(os.path.join(folder, "dns"), WORLD)
    pw = pwtest.Postward(
        os.path.join(folder, "pw"), dns=dns,
        users=("alice", "bob", "full", "postmaster"),
        smtp='max-message = "64K"; max-header = "64K"; max-errors = 200')
    try:
        accounts(pw)
        pw.start()
        fill(report, pw)
        dialogues(report, pw)
        afterwards(report, pw)
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as e:
        report.check(False, "to the end", repr(e))
    finally:
        report.check(pw.stop() == 0, "stop")
        dns.stop()
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
