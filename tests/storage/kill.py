#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""kill -9 in a loop under load.

    kill.py [--rounds N] [--seed S] [--every N] [--senders N] [--role NAME]

Clients send numbered mails and keep account of every answer; a reader moves,
flags and deletes through a real Dovecot; each round a process of the daemon,
by lot, is killed at a time by lot (master: then all is started again).  Every
few rounds all stand still and what lies in the Maildirs is compared with what
everybody was told:

  - every mail that was answered 250 is there once, byte for byte, in whatever
    folder, unless its reader removed it
  - nothing is torn, nothing is there twice unless its 250 was not seen
  - nothing that a reader removed is there again
  - the index says of every file what the file says"""
import argparse
import os
import random
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system"))
import dovecot
import pwload
import pwtest

PASSWORD = "secret"
ROLES = ("store",) * 9 + ("master",) * 3 + ("front",) * 3 + \
    ("scan-0", "scan-1", "scan-2") + ("resolve",) * 2
WORLD = {
    "friend.test": [("MX", (10, "mx.friend.test")),
                    ("TXT", "v=spf1 ip4:127.0.0.1 -all")],
    "mx.friend.test": [("A", "127.0.0.1")],
    "1.0.0.127.in-addr.arpa": [("PTR", "mx.friend.test")],
}


class Loop:
    def __init__(self, args):
        self.args = args
        self.random = random.Random(args.seed)
        self.report = pwtest.Report("kill")
        folder = pwtest.scratch("kill")
        self.dns = pwtest.Dnsd(os.path.join(folder, "dns"), WORLD)
        self.pw = pwtest.Postward(
            folder, dns=self.dns, users=("u1", "u2", "u3", "u4"),
            store='checkpoint = "700ms"; journal = "16M"; '
            'journal-message = "1M"; rescan = "5s"; min-free = "1M"',
            smtp="max-messages = 1000; max-errors = 10000", tls=False)
        self.pw.accounts(PASSWORD)
        self.dovecot = dovecot.Dovecot(os.path.join(folder, "dovecot"),
                                       self.pw, imap=pwtest.free_port(),
                                       pop3=pwtest.free_port())
        self.ledger = pwload.Ledger(args.seed)
        self.senders = [pwload.Sender(self.pw, self.ledger, i)
                        for i in range(args.senders)]
        self.reader = pwload.Reader(self.dovecot, self.pw, self.ledger,
                                    PASSWORD, self.dovecot.imap)
        self.workers = self.senders + [self.reader]
        self.kills, self.stored, self.removed = {}, 0, 0
        self.doubtful = self.slowest = 0

    def run(self):
        try:
            self.pw.start()
            self.dovecot.start()
            for w in self.workers:
                w.start()
            for n in range(1, self.args.rounds + 1):
                self.round(n)
                if n % self.args.every == 0 or n == self.args.rounds:
                    self.check(n)
        finally:
            for w in self.workers:
                w.end.set()
            self.dovecot.stop()
            self.pw.stop()
            self.dns.stop()

    def round(self, n):
        for w in self.workers:
            w.go.set()
        time.sleep(self.random.uniform(0.05, 0.7))
        role = self.args.role or self.random.choice(ROLES)
        self.kill(role)
        # Again while it is still putting things right.
        while role in ("store", "master") and self.random.random() < 0.25:
            time.sleep(self.random.uniform(0, 0.25))
            self.kill(role)
        begin = time.monotonic()
        pwtest.wait_for(self.up, 60, 0.02, "recovery after %s" % role)
        self.slowest = max(self.slowest, time.monotonic() - begin)

    def up(self):
        if self.pw.process.poll() is not None:
            raise RuntimeError("postwardd ended with %d:\n%s" % (
                self.pw.process.returncode, self.pw.tail()))
        return self.pw.up()

    def kill(self, role):
        try:
            pids = [self.pw.process.pid] if role == "master" else \
                self.pw.processes().get(role, [])
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        if not pids:
            return
        self.kills[role] = self.kills.get(role, 0) + 1
        if role == "master":
            self.pw.process.wait()
            self.pw.logfile.close()
            self.pw.process = None
            self.pw.launch()

    def check(self, n):
        for w in self.workers:
            w.hold()
        for w in self.workers:
            w.wait_held()
        self.pw.wait_idle()
        before = self.report.failed
        pwload.index_agrees(self.report, self.pw)
        counts = pwload.compare(self.report, self.pw, self.ledger)
        # What was never answered may leave a file in tmp/ where the journal
        # knows of no other mail of that folder: the next start's round over
        # all folders takes it away.
        counts["in tmp/"] = len(pwload.strays(self.pw))
        try:
            pwtest.wait_for(lambda: not pwload.strays(self.pw), 20, 0.2)
        except RuntimeError:
            self.report.check(False, "files left in tmp/",
                              pwload.strays(self.pw)[:3])
        if self.report.failed > before:
            print("round %d, seed %d; the log is %s" % (
                n, self.args.seed, self.pw.log), flush=True)
        self.stored += counts["stored"]
        self.doubtful += counts["unanswered there"] + counts["refused there"]
        print("round %d: %s" % (n, ", ".join(
            "%s %d" % kv for kv in counts.items())), flush=True)
        self.retire()

    def retire(self):
        """Most of what was compared goes, so that many rounds take no more
        time each than few; it must not come back either."""
        self.removed += self.reader.did["removed"]
        self.reader.clear(0.9)
        self.reader.did["removed"] = 0
        left = set()
        for user in self.pw.users:
            for path in pwload.files_of(self.pw, user).values():
                with open(path, "rb") as f:
                    left.add(pwload.whole(self.ledger.seed, f.read())[0])
        self.ledger.forget(set(self.ledger.sent) - left)
        # What is left counts again, as mail of the next rounds.
        self.stored -= len(self.ledger.stored)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=30)
    p.add_argument("--seed", type=int, default=int(time.time()) % 100000)
    p.add_argument("--every", type=int, default=6)
    p.add_argument("--senders", type=int, default=4)
    p.add_argument("--role", help="kill this one only")
    args = p.parse_args()
    print("seed %d" % args.seed, flush=True)
    loop = Loop(args)
    try:
        loop.run()
    except Exception as e:
        loop.report.check(False, type(e).__name__, e)
    print("%s kills (%s); %d mails answered 250, %d moved and %d removed by "
          "the reader; %d there without a 250; slowest recovery %.2f s" % (
              sum(loop.kills.values()),
              ", ".join("%s %d" % kv for kv in sorted(loop.kills.items())),
              loop.stored + len(loop.ledger.stored),
              loop.reader.did["moved"], loop.removed,
              loop.doubtful, loop.slowest))
    return loop.report.end()


if __name__ == "__main__":
    sys.exit(main())
