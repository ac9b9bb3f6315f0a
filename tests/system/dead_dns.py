#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Mail while every DNS server is dead: no session stalls, every message has its
configured answer within the budget, and no loop of front is held up.

    dead_dns.py [--mails 10000] [--clients 50] [--refuse]

Dead is a port that takes questions and answers none; with --refuse a port
that nobody has."""
import argparse
import os
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import pwtest
import rawsmtp

BUDGET = 20.0       # smtp.end-timeout below, and the bound of a whole mail
LAG_MS = 20
TIMEOUT = 3.0       # dns.timeout below


class Silent:
    """A name server that takes questions and answers none."""

    def __init__(self, refuse=False):
        self.port = pwtest.free_port()
        self.process = None
        if not refuse:
            self.process = subprocess.Popen(
                [sys.executable, os.path.join(HERE, "zones.py"), "silent",
                 str(self.port)], stdout=subprocess.PIPE)
            self.process.stdout.readline()

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class Load:
    """CLIENTS that send until MAILS are sent, each mail in a session and of a
    domain of its own."""

    def __init__(self, port, mails, clients):
        self.port, self.left, self.clients = port, mails, clients
        self.lock = threading.Lock()
        self.replies, self.times, self.errors = {}, [], []

    def next(self):
        with self.lock:
            self.left -= 1
            return self.left if self.left >= 0 else None

    def client(self):
        while True:
            n = self.next()
            if n is None:
                return
            begin = time.monotonic()
            try:
                code, text = rawsmtp.send(
                    self.port, rawsmtp.mail("m%d" % n), timeout=2 * BUDGET,
                    sender="s@d%d.friend.test" % n,
                    helo="h%d.friend.test" % n)
                with self.lock:
                    self.replies[code] = self.replies.get(code, 0) + 1
                    self.times.append(time.monotonic() - begin)
            except (OSError, rawsmtp.Closed, socket.timeout) as e:
                with self.lock:
                    self.errors.append(repr(e))

    def run(self):
        threads = [threading.Thread(target=self.client)
                   for _ in range(self.clients)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()


def check(report, mails, clients, refuse=False):
    """Sends them; False when anything did not hold."""
    silent = Silent(refuse)
    # The lag that counts is our own, not that of a busy machine's scheduler.
    first = ["nice", "-n", "-15"] if os.geteuid() == 0 else []
    busy = os.getloadavg()[0] > os.cpu_count()
    pw = pwtest.Postward(
        pwtest.scratch("dead-dns"), tls=False, dns=silent, prefix=first,
        dns_more='timeout = "%ds"' % TIMEOUT,
        smtp='end-timeout = "%ds"; max-sessions-address = 1000; '
             'max-sessions-network = 1000' % BUDGET)
    pw.accounts()
    pw.start()
    try:
        load = Load(pw.port, mails, clients)
        begin = time.monotonic()
        load.run()
        took = time.monotonic() - begin
        status = pw.status()
    finally:
        pw.stop()
        silent.stop()
    lags = [int(v) for k, v in status.items() if k.endswith("lag_worst_us")]
    errors = sum(int(v) for k, v in status.items()
                 if k.startswith("front.stage.") and k.endswith(".errors"))
    load.times.sort()
    worst = load.times[-1] if load.times else 0
    half = load.times[len(load.times) // 2] if load.times else 0
    print("dead DNS (%s): %d mails in %.1f s, half within %.2f s, the last "
          "within %.2f s; worst lag of front %.1f ms" % (
              "refused" if refuse else "silent", mails, took, half, worst,
              max(lags) / 1000))
    report.check(not load.errors, "dead DNS: no session stalls",
                 load.errors[:3])
    report.check(load.replies == {250: mails}, "dead DNS: every mail has its "
                 "configured answer", load.replies)
    report.check(worst < BUDGET, "dead DNS: within the budget",
                 "%.1f s" % worst)
    if busy and not first:
        print("skipped: lag of front (the machine is busy, and only root can "
              "go first)")
    else:
        report.check(max(lags) < LAG_MS * 1000, "dead DNS: lag of front",
                     "%.1f ms; %s" % (max(lags) / 1000, {
                         k: v for k, v in status.items() if ".lag." in k}))
    report.check(errors == 0, "dead DNS: temporary errors are answers",
                 errors)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mails", type=int, default=10000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--refuse", action="store_true")
    args = parser.parse_args()
    report = pwtest.Report("dead_dns")
    check(report, args.mails, args.clients, args.refuse)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
