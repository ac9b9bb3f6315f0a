#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Power cuts under load.

    powercut.py [--rounds N] [--seed S]

State and mail lie on lossyfs (see lossyfs.c), which forgets at a cut what was
not synced: all of it, or any part of it down to sectors and single names.
Each round starts the daemon under another boot id, sends numbered mails while
files are moved as a reader would, at times kills a role first, and cuts the
power; sometimes again while the next start still replays.  After every start:

  - every mail that was answered 250 is there once, byte for byte
  - nothing is torn
  - the index says of every file what the file says
  - every answered mail's decision can be explained

One more round lets no sync do anything: then mail must be lost, or these
checks would prove nothing."""
import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system"))
import pwload
import pwtest

SOURCES = ("lossyfs.c", "lossymodel.c", "lossyimage.c")


def flags(*words):
    return subprocess.run(["pkg-config", *words, "fuse3"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.split()


CC = [os.environ.get("CC", "cc"), "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-g",
      "-Wall", "-Wextra", "-Werror"]


def build_preload(folder):
    path = os.path.join(folder, "lossypreload.so")
    subprocess.run([*CC, "-fPIC", "-shared", os.path.join(
        HERE, "lossypreload.c"), "-o", path], check=True)
    return path


def build(folder):
    subprocess.run([*CC, *flags("--cflags"),
                    *(os.path.join(HERE, s) for s in SOURCES), "-o",
                    os.path.join(folder, "lossyfs"), *flags("--libs")],
                   check=True)
    build_preload(folder)


def missing():
    """Why this cannot run here, or None."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse, which is not there or not for us"
    if subprocess.run(["pkg-config", "--exists", "fuse3"],
                      check=False).returncode:
        return "package libfuse3-dev"
    if shutil.which("fusermount3") is None:
        return "package fuse3"
    return None


class Disk:
    """A lossy file system, mounted between insert() and eject()."""

    def __init__(self, folder):
        self.program = os.path.join(folder, "lossyfs")
        self.image = os.path.join(folder, "image")
        self.mount = os.path.join(folder, "disk")
        self.process = None
        os.makedirs(self.image)
        os.makedirs(self.mount)
        self.lost = [0, 0, 0]

    def insert(self, how="drop", seed=1):
        self.process = subprocess.Popen(
            [self.program, self.image, self.mount, how, str(seed)],
            stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError("lossyfs does not start")

    def cut(self):
        """From now on nothing is answered; returns when it is decided what is
        lost."""
        self.process.send_signal(signal.SIGUSR1)
        words = self.process.stdout.readline().split()
        lost = [int(words[i]) for i in (1, 3, 5)]
        self.lost = [a + b for a, b in zip(self.lost, lost)]

    def eject(self):
        """Its end, after a cut or with all that is on it."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.process.stdout.close()
        self.process = None
        subprocess.run(["umount", "-l", self.mount] if os.geteuid() == 0 else
                       ["fusermount3", "-uz", self.mount], check=True)
        if code != 0:
            raise RuntimeError("lossyfs ended with %d" % code)


def test_disk(report, folder):
    """The shim itself: what it keeps and what it forgets."""
    disk = Disk(os.path.join(folder, "self"))
    disk.program = os.path.join(folder, "lossyfs")
    disk.insert()

    def put(name, data=b"x" * 10000, sync=True):
        with open(os.path.join(disk.mount, name), "wb") as f:
            f.write(data)
            f.flush()
            if sync:
                os.fsync(f.fileno())

    def sync_dir(name=""):
        fd = os.open(os.path.join(disk.mount, name), os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    for d in ("a", "b"):
        os.mkdir(os.path.join(disk.mount, d))
    sync_dir()
    put("a/whole")
    put("a/empty", sync=False)
    put("a/moved")
    sync_dir("a")
    put("a/nameless")
    put("a/whole", b"y" * 10000, sync=False)
    os.rename(os.path.join(disk.mount, "a/moved"),
              os.path.join(disk.mount, "b/moved"))
    sync_dir("b")
    os.rename(os.path.join(disk.mount, "b/moved"),
              os.path.join(disk.mount, "b/again"))
    disk.cut()
    disk.eject()
    got = {}
    for d in ("a", "b"):
        for n in os.listdir(os.path.join(disk.image, d)):
            with open(os.path.join(disk.image, d, n), "rb") as f:
                got[d + "/" + n] = f.read()
    report.check(got == {"a/whole": b"x" * 10000, "a/empty": b"",
                         "b/moved": b"x" * 10000},
                 "lossyfs itself", {k: len(v) for k, v in got.items()})


class Cuts:
    def __init__(self, args, folder, report, no_sync=False):
        self.args, self.report, self.folder = args, report, folder
        self.random = random.Random(args.seed)
        self.disk = Disk(folder)
        self.disk.program = os.path.join(args.tools, "lossyfs")
        self.boot = os.path.join(folder, "boot_id")
        prefix = ["env", "LD_PRELOAD=" + os.path.join(args.tools,
                                                      "lossypreload.so"),
                  "LOSSY_BOOT_ID=" + self.boot]
        if no_sync:
            prefix.append("LOSSY_NO_SYNC=1")
        self.disk.insert()
        os.chmod(self.disk.mount, 0o755)
        self.pw = pwtest.Postward(
            folder, disk=self.disk.mount, prefix=prefix, tls=False,
            users=("u1", "u2", "u3"), listener='stages = [ "none" ]',
            store='checkpoint = "400ms"; journal = "8M"; min-free = "1M"; '
            'rescan = "2s"; journal-message = "256K"',
            smtp="max-messages = 1000; max-errors = 10000")
        self.pw.accounts()
        self.disk.eject()
        self.ledger = pwload.Ledger(args.seed)
        self.counts = {}
        self.stored = self.cuts = self.moved = 0

    def start(self):
        with open(self.boot, "w") as f:
            f.write("%s\n" % uuid.UUID(int=self.random.getrandbits(128)))
        self.how = self.random.choice(("drop", "torn"))
        self.disk.insert(self.how, self.random.randrange(1 << 30))

    def power_off(self):
        """The power goes; what a process does after that is for nothing."""
        pids = self.pw.kill_all() if self.random.random() < 0.3 else []
        self.disk.cut()
        pids += self.pw.kill_all()
        self.disk.eject()
        pwtest.ended(pids)
        self.cuts += 1

    def check(self):
        self.pw.wait_idle()
        counts = pwload.compare(self.report, self.pw, self.ledger,
                                removals=False)
        pwload.index_agrees(self.report, self.pw)
        ids = list(self.ledger.stored.values())
        for ident in self.random.sample(ids, min(10, len(ids))):
            try:
                self.pw.verb("explain", ident)
                self.report.check(True, "decision")
            except RuntimeError as e:
                self.report.check(False, "decision of " + ident, e)
        for k, v in counts.items():
            self.counts[k] = self.counts.get(k, 0) + v
        return counts

    def tidy(self):
        """Most mails go; the rest must survive the next cut too."""
        left = set()
        for user in self.pw.users:
            for path in list(pwload.files_of(self.pw, user).values()):
                with open(path, "rb") as f:
                    number = pwload.whole(self.ledger.seed, f.read())[0]
                if number in self.ledger.stored and \
                        self.random.random() < 0.15 and \
                        len(self.ledger.sent[number]) == 1:
                    left.add(number)
                else:
                    os.unlink(path)
        self.stored += len([n for n in self.ledger.stored if n not in left])
        self.ledger.forget(set(self.ledger.sent) - left)

    def move_some(self):
        """Files move as Dovecot moves them, and nobody syncs that."""
        user = self.random.choice(self.pw.users)
        files = list(pwload.files_of(self.pw, user).items())
        for (_, name), path in self.random.sample(files, min(8, len(files))):
            base = os.path.basename(name).split(":")[0]
            folder = os.path.dirname(os.path.dirname(path)) \
                if self.random.random() < 0.7 else \
                os.path.join(self.pw.mail, self.pw.domain, user)
            try:
                os.rename(path, os.path.join(
                    folder, "cur", base + ":2," + self.random.choice(
                        ("", "S", "FS"))))
                self.moved += 1
            except OSError:
                pass

    def load(self, seconds):
        senders = [pwload.Sender(self.pw, self.ledger, self.cuts * 10 + i)
                   for i in range(4)]
        for s in senders:
            s.start()
            s.go.set()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.03)
            self.move_some()
        return senders

    def round(self):
        self.start()
        self.pw.launch()
        if self.cuts and self.random.random() < 0.3:
            # Again while it puts things right.
            time.sleep(self.random.uniform(0, 0.3))
            self.power_off()
            self.start()
            self.pw.launch()
        self.wait_up()
        if self.cuts:
            counts = self.check()
            print("cut %d (%s): %s" % (self.cuts, self.last, ", ".join(
                "%s %d" % kv for kv in counts.items())), flush=True)
            self.tidy()
        senders = self.load(self.random.uniform(0.2, 1.2))
        if self.random.random() < 0.25:
            for pid in self.pw.processes().get("store", []):
                os.kill(pid, signal.SIGKILL)
            time.sleep(self.random.uniform(0, 0.3))
        self.last = self.how
        self.power_off()
        for s in senders:
            s.end.set()
        for s in senders:
            s.join(60)
            if s.fault:
                raise s.fault

    def wait_up(self):
        def up():
            if self.pw.process.poll() is not None:
                raise RuntimeError("postwardd ended with %d: %s" % (
                    self.pw.process.returncode, self.pw.tail()))
            return self.pw.up()
        pwtest.wait_for(up, 60, say="postwardd ready")

    def run(self, rounds):
        try:
            for _ in range(rounds):
                self.round()
            self.start()
            self.pw.launch()
            self.wait_up()
            self.check()
            self.stored += len(self.ledger.stored)
        finally:
            self.close()

    def close(self):
        self.pw.kill_all()
        if self.disk.process is not None:
            self.disk.eject()


class Silent(pwtest.Report):
    """Counts the failures that are wanted."""

    def check(self, ok, what, detail=""):
        self.passed += ok
        self.failed += not ok
        return ok


def control(args, folder, report):
    """Without any sync, the same checks must find losses."""
    silent = Silent("control")
    cuts = Cuts(args, folder, silent, no_sync=True)
    try:
        cuts.run(1)
        ended = ""
    except RuntimeError as e:
        ended = str(e)
    print("control, no sync works: %d mails answered, %d checks failed %s" % (
        cuts.stored, silent.failed, ended.split("\n")[0]), flush=True)
    report.check(silent.failed > 0 or ended, "a loss would be seen")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=12)
    p.add_argument("--seed", type=int, default=int(time.time()) % 100000)
    args = p.parse_args()
    why = missing()
    if why:
        print("skipped: powercut needs %s" % why)
        return 0
    print("seed %d" % args.seed, flush=True)
    report = pwtest.Report("powercut")
    folder = args.tools = pwtest.scratch("powercut")
    build(folder)
    test_disk(report, folder)
    cuts = Cuts(args, os.path.join(folder, "real"), report)
    try:
        cuts.run(args.rounds)
    except Exception as e:
        report.check(False, type(e).__name__, e)
    print("%d cuts lost %d pages, %d torn ones, %d names; %d mails answered "
          "250, %d moved by readers; %d there without a 250" % (
              cuts.cuts, *cuts.disk.lost, cuts.stored, cuts.moved,
              cuts.counts.get("unanswered there", 0) +
              cuts.counts.get("refused there", 0)))
    control(args, os.path.join(folder, "control"), report)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
