#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""What goes wrong on a machine, and what Postward makes of it: a 4xx reply, a
line in the log that names the cause, no mail lost or half there, and mail again
as soon as it is put right, without a restart.

    test_faults.py [NAME...]"""
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "storage"))
import powercut
import pwload
import pwtest
import rawsmtp

report = pwtest.Report("test_faults")
ROOT = os.geteuid() == 0
STORE = 'checkpoint = "300ms"; journal = "8M"; min-free = "2M"; ' \
    'rescan = "2s"; journal-message = "256K"'


class Bench:
    """A daemon without judgement, and the account of all that it was sent."""

    def __init__(self, name, disk=None, users=("u1", "u2"), prefix=(),
                 store=STORE, smtp="", before=None):
        self.name, self.disk = name, disk
        self.folder = pwtest.scratch("faults-" + name)
        self.mounts = []
        if disk:
            self.disk = os.path.join(self.folder, "disk")
            os.makedirs(self.disk)
            self.mount(["-t", "tmpfs", "-o", disk, "none", self.disk],
                       self.disk)
        self.pw = pwtest.Postward(
            self.folder, disk=self.disk, tls=False, users=users, store=store,
            prefix=prefix, smtp=smtp, dns_more='timeout = "1s";',
            listener='stages = [ "none" ]')
        self.pw.accounts()
        if before:
            before(self)
        self.pw.start()
        self.ledger = pwload.Ledger(7)
        self.mark = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                self.settle()
        finally:
            if self.pw.process is not None and self.pw.process.poll() is None:
                self.pw.stop()
            for path in reversed(self.mounts):
                subprocess.run(["umount", "-l", path], check=False)

    def mount(self, words, path):
        subprocess.run(["mount", *words], check=True)
        self.mounts.append(path)

    def check(self, ok, what, detail=""):
        return report.check(ok, "%s: %s" % (self.name, what), detail)

    def send(self, *users, min_size=0, declare=False):
        """Sends the next mail; (code, text) of the first refusal, or of the
        end."""
        number = self.ledger.begin(users or (self.pw.users[0],))
        raw = pwload.mail(7, number)
        while len(raw) < min_size:
            self.ledger.sent[number] = ()
            number = self.ledger.begin(users or (self.pw.users[0],))
            raw = pwload.mail(7, number)
        with rawsmtp.Client(self.pw.port) as c:
            c.cmd("EHLO mx.friend.test")
            lines = ["MAIL FROM:<n@friend.test>" + (
                " SIZE=%d" % len(raw) if declare else "")]
            lines += ["RCPT TO:<%s@%s>" % (u, self.pw.domain)
                      for u in self.ledger.sent[number]]
            for line in lines + ["DATA"]:
                code, text = c.cmd(line)
                if code not in (250, 354):
                    break
            else:
                c.send(pwload.stuffed(raw))
                code, text = c.reply()
        self.ledger.told(number, code, text)
        return code, text

    def send_on(self, c, min_size):
        """The next mail on an open session: (its number, code, text)."""
        number = self.ledger.begin((self.pw.users[0],))
        raw = pwload.mail(7, number)
        while len(raw) < min_size:
            self.ledger.sent[number] = ()
            number = self.ledger.begin((self.pw.users[0],))
            raw = pwload.mail(7, number)
        for line in ("MAIL FROM:<n@friend.test>",
                     "RCPT TO:<%s@%s>" % (self.pw.users[0], self.pw.domain),
                     "DATA"):
            c.cmd(line)
        c.send(pwload.stuffed(raw))
        code, text = c.reply()
        self.ledger.told(number, code, text)
        return number, code, text

    def expect(self, want, what, *users, **more):
        """The next mail is answered as WANT says ("452 4.3.1")."""
        code, text = self.send(*users, **more)
        return self.check(("%d %s" % (code, text)).startswith(want), what,
                          "answered %d %s" % (code, text))

    def recovers(self, what, seconds=20, **more):
        try:
            pwtest.wait_for(lambda: self.send(**more)[0] == 250, seconds, 0.2)
            self.check(True, what)
        except RuntimeError:
            self.check(False, what, "no mail is taken")

    def note(self):
        """What is logged from now on counts."""
        self.mark = os.path.getsize(self.pw.log)

    def logged(self, pattern, what="the log names the cause"):
        def look():
            with open(self.pw.log, errors="replace") as f:
                f.seek(self.mark)
                return re.search(pattern, f.read())
        try:
            pwtest.wait_for(look, 5)
            self.check(True, what)
        except RuntimeError:
            with open(self.pw.log, errors="replace") as f:
                f.seek(self.mark)
                lines = [l for l in f if "smtp.end" not in l]
            self.check(False, what, "no /%s/ in:\n%s" % (
                pattern, "".join(lines[-8:])))

    def store(self):
        return self.pw.processes()["store"][0]

    def settle(self):
        """Everything is as it was told, and the store still the same
        process."""
        self.pw.wait_idle()
        counts = pwload.compare(report, self.pw, self.ledger)
        self.check(counts["refused there"] == 0, "nothing refused is there",
                   counts)
        pwload.index_agrees(report, self.pw)
        self.check(not pwload.strays(self.pw), "nothing is left in tmp/",
                   pwload.strays(self.pw)[:3])


def needs_root(why):
    if not ROOT:
        print("skipped: %s needs root" % why, flush=True)
    return ROOT


# ---- the disk ---------------------------------------------------------------------


def disk_full():
    if not needs_root("disk full (mount)"):
        return
    with Bench("disk-full", disk="size=48m,mode=755") as b:
        for _ in range(5):
            b.expect("250", "before")
        ballast = os.path.join(b.disk, "ballast")

        def fill(left):
            st = os.statvfs(b.disk)
            try:
                with open(ballast, "ab") as f:
                    f.write(b"\0" * max(0, st.f_bavail * st.f_frsize - left))
            except OSError:  # the daemon was quicker
                pass
        b.note()
        fill(1 << 20)
        pwtest.wait_for(lambda: b.send() == (452, "4.3.1 no space, try later"),
                        10, 0.2, "452 below min-free")
        b.logged("min-free|space")
        os.remove(ballast)
        b.recovers("space again")
        b.note()
        # Not a byte, before anybody has looked.
        fill(0)
        codes = {b.send("u1", "u2")[0] for _ in range(30)}
        b.check(codes <= {250, 451, 452} and codes != {250}, "no byte left",
                codes)
        code, text = b.send(min_size=300000)
        b.check((code, text) == (452, "4.3.1 no space, try later"),
                "no byte left, a large one", "%d %s" % (code, text))
        b.logged("[Nn]o space|min-free")
        os.remove(ballast)
        b.recovers("space again after none")
        b.recovers("a large one again", min_size=300000)


def no_inodes():
    if not needs_root("no inodes left (mount)"):
        return
    with Bench("no-inodes", disk="size=64m,nr_inodes=120,mode=755") as b:
        b.expect("250", "before")
        held = []
        b.note()
        try:
            while True:
                path = os.path.join(b.disk, "i%d" % len(held))
                open(path, "w").close()
                held.append(path)
        except OSError:
            pass
        codes = {b.send("u1", "u2")[0] for _ in range(10)}
        b.check(codes <= {451, 452}, "no inode left", codes)
        b.logged("[Nn]o space|min-free|inode")
        for path in held:
            os.remove(path)
        b.recovers("inodes again")


def read_only():
    if not needs_root("read-only file system (mount)"):
        return

    def before(b):
        os.makedirs(b.pw.mail, exist_ok=True)
        shutil.chown(b.pw.mail, "mail", "mail")
        b.mount(["--bind", b.pw.mail, b.pw.mail], b.pw.mail)
    with Bench("read-only", before=before) as b:
        b.expect("250", "before")
        b.pw.wait_idle()
        b.note()
        subprocess.run(["mount", "-o", "remount,bind,ro", b.pw.mail],
                       check=True)
        b.expect("45", "read-only")
        b.expect("45", "read-only, a large one", min_size=300000)
        b.logged("[Rr]ead-only")
        subprocess.run(["mount", "-o", "remount,bind,rw", b.pw.mail],
                       check=True)
        b.recovers("writable again")


def sync_fails():
    """A failed sync is final: what it covered is refused and not there."""
    library = powercut.build_preload(pwtest.scratch("faults-tools"))
    folder = pwtest.scratch("faults-triggers")
    eio, slow = os.path.join(folder, "eio"), os.path.join(folder, "slow")
    with Bench("sync-fails", prefix=(
            "env", "LD_PRELOAD=" + library, "LOSSY_PLAIN=1",
            "LOSSY_EIO=" + eio, "LOSSY_SLOW=" + slow)) as b:
        b.expect("250", "before")
        b.note()
        open(eio, "w").close()
        for large in (0, 300000, 0):
            b.expect("45", "a sync fails", min_size=large)
        b.logged("[Ii]nput/output")
        os.remove(eio)
        b.recovers("syncs work again")
        b.recovers("a large one", min_size=300000)
        slow_disk(b, slow)


def slow_disk(b, slow):
    """While the disk takes a second for each sync, nobody else waits."""
    open(slow, "w").close()
    stop, waits = threading.Event(), []
    sender = threading.Thread(target=lambda: [
        b.send() for _ in range(4)])
    with rawsmtp.Client(b.pw.port) as c:
        c.cmd("EHLO mx.friend.test")
        sender.start()
        while sender.is_alive() and not stop.is_set():
            begin = time.monotonic()
            c.cmd("NOOP" if len(waits) % 3 else "RSET")
            waits.append(time.monotonic() - begin)
            time.sleep(0.1)
        sender.join()
    os.remove(slow)
    b.check(waits and max(waits) < 0.3, "other sessions go on",
            "slowest answer %.3f s" % max(waits))
    b.recovers("fast again")


# ---- databases ----------------------------------------------------------------------


def db_locked():
    with Bench("db-locked", store=STORE.replace('"8M"', '"32M"')) as b:
        b.expect("250", "before")
        b.pw.wait_idle()
        for name in ("index.db", "decisions.db", "accounts.db"):
            b.note()
            c = sqlite3.connect(os.path.join(b.pw.state, name), timeout=10,
                                isolation_level=None)
            c.execute("BEGIN EXCLUSIVE")
            end = time.monotonic() + 4
            codes = set()
            while time.monotonic() < end:
                codes.add(b.send("u1", "u2")[0])
                time.sleep(0.05)
            b.check(codes == {250}, name + " locked: mail goes on", codes)
            if name != "accounts.db":
                b.logged("lock|busy", name + ": the log names the cause")
            c.execute("ROLLBACK")
            c.close()
            b.recovers(name + " free again")
            b.pw.wait_idle()


def accounts_locked():
    """A mailbox whose path the store does not remember waits for accounts.db;
    nobody else does."""
    with Bench("accounts-locked", users=("u1", "u2", "u3", "u4")) as b:
        b.expect("250", "before", "u1")
        b.pw.wait_idle()
        c = sqlite3.connect(os.path.join(b.pw.state, "accounts.db"),
                            timeout=10, isolation_level=None)
        c.execute("BEGIN EXCLUSIVE")
        answers = {}

        def to(user):
            begin = time.monotonic()
            answers[user] = (*b.send(user), time.monotonic() - begin)
        late = threading.Thread(target=to, args=("u2",))
        late.start()
        slowest, end = 0, time.monotonic() + 3
        while time.monotonic() < end:
            begin = time.monotonic()
            b.expect("250", "u1 while locked", "u1")
            slowest = max(slowest, time.monotonic() - begin)
            time.sleep(0.05)
        b.check(slowest < 0.5, "nobody else waits", "%.2f s" % slowest)
        b.check(late.is_alive(), "the unknown path waits", answers)
        c.execute("ROLLBACK")
        late.join(10)
        b.check(answers["u2"][0] == 250, "taken afterwards", answers)
        b.note()
        c.execute("BEGIN EXCLUSIVE")
        to("u3")
        b.check(answers["u3"][0] == 451 and 3 < answers["u3"][2] < 8,
                "refused when it takes too long", answers)
        b.logged("accounts.db is locked")
        c.execute("ROLLBACK")
        c.close()
        b.recovers("afterwards")


def scribble(path):
    """Overwrites the middle and the begin of a database in its place."""
    with open(path, "r+b") as f:
        size = os.fstat(f.fileno()).st_size
        f.write(b"this is no database" * 10)
        for at in range(4096, size, 8192):
            f.seek(at)
            f.write(b"\xa5" * min(4096, size - at))


def db_corrupt():
    """Pages may be seen in the cache only until the next start; then the
    damaged file goes aside."""
    with Bench("db-corrupt") as b:
        for _ in range(20):
            b.expect("250", "before")
        b.pw.wait_idle()
        for name in ("index.db", "decisions.db"):
            scribble(os.path.join(b.pw.state, name))
            codes = many(b)
            b.check(codes == {250}, name + " corrupt: mail goes on", codes)
            pwload.index_agrees(report, b.pw, 20)
            b.pw.wait_idle()
            b.note()
            pwtest.ended(b.pw.kill_all())
            path = os.path.join(b.pw.state, name)
            for end in ("-wal", "-shm"):  # or whole pages would be in there
                if os.path.exists(path + end):
                    os.remove(path + end)
            scribble(path)
            b.pw.start()
            b.logged("damaged.*set aside", name + ": the log says it")
            codes = many(b)
            b.check(codes == {250}, name + " corrupt at the start", codes)
            pwload.index_agrees(report, b.pw, 20)
            b.pw.wait_idle()
        explainable(b, list(b.ledger.stored)[-5:])


def many(b):
    codes = set()
    for _ in range(20):
        codes.add(b.send("u1", "u2")[0])
        time.sleep(0.02)
    return codes


def db_deleted():
    with Bench("db-deleted") as b:
        for _ in range(20):
            b.expect("250", "before")
        b.pw.wait_idle()
        for name in ("index.db", "decisions.db"):
            b.note()
            for end in ("", "-wal", "-shm"):
                try:
                    os.remove(os.path.join(b.pw.state, name + end))
                except FileNotFoundError:
                    pass
            codes = many(b)
            b.check(codes == {250}, name + " deleted: mail goes on", codes)
            b.logged(name + " was removed", name + ": the log says it")
            pwtest.wait_for(lambda: os.path.exists(os.path.join(
                b.pw.state, name)), 5, say=name + " again")
            many(b)
            pwload.index_agrees(report, b.pw, 20)
            b.pw.wait_idle()
        explainable(b, list(b.ledger.stored)[-5:])


def explainable(b, numbers):
    for n in numbers:
        try:
            b.pw.verb("explain", b.ledger.stored[n])
            b.check(True, "explain")
        except RuntimeError as e:
            b.check(False, "explain of a new mail", e)


def accounts_lost():
    """Addresses are answered from a snapshot: mail goes on."""
    with Bench("accounts-lost") as b:
        b.expect("250", "before")
        path = os.path.join(b.pw.state, "accounts.db")
        copy = os.path.join(b.folder, "accounts.copy")
        shutil.copy2(path, copy)
        b.note()
        os.remove(path)
        time.sleep(2.5)
        code, text = b.send()
        b.check(code in (250, 451), "deleted", "%d %s" % (code, text))
        os.chmod(copy, os.stat(copy).st_mode)
        shutil.copy2(copy, path)
        if ROOT:
            shutil.chown(path, "mail", "mail")
        b.recovers("there again")
        scribble(path)
        time.sleep(2.5)
        code, text = b.send()
        b.check(code in (250, 451), "corrupt", "%d %s" % (code, text))
        shutil.copy2(copy, path)
        b.recovers("whole again")
        b.pw.verb("mailbox", "add", "u9@example.test")
        b.pw.users = ("u1", "u2", "u9")

        def new_one():
            return b.send("u9")[0] == 250
        try:
            pwtest.wait_for(new_one, 10, 0.3)
            b.check(True, "accounts can be changed again")
        except RuntimeError:
            b.check(False, "accounts can be changed again")


# ---- mailboxes -------------------------------------------------------------------------


def mailbox_gone():
    with Bench("mailbox") as b:
        for _ in range(3):
            b.expect("250", "before", "u1", "u2")
        b.pw.wait_idle()
        box = os.path.join(b.pw.mail, "example.test", "u1")
        away = os.path.join(b.folder, "away")
        target = os.path.join(b.folder, "target")
        for sub in ("new", "cur", "tmp"):
            os.makedirs(os.path.join(target, sub))
        os.chmod(target, 0o777)

        def broken(what, reply="451 4.2.0", two=True):
            b.note()
            b.expect(reply, what, "u1")
            if two:
                b.expect(reply, what + ", one of two", "u1", "u2")
            b.logged("u1", what + ": the log names the mailbox")
            b.expect("250", what + ": others go on", "u2")
        os.rename(box, away)
        code, text = b.send("u1")
        b.check(code in (250, 451), "folder missing", "%d %s" % (code, text))
        b.pw.wait_idle()
        made = dict(pwload.files_of(b.pw, "u1"))
        shutil.rmtree(box, ignore_errors=True)
        if code == 250:  # it was made anew; that mail goes with it
            for path in made.values():
                n = re.search(r"", path) and max(b.ledger.sent)
                b.ledger.remove(n, "u1", True, "test")
        with open(box, "w"):
            pass
        broken("a file in its place")
        os.remove(box)
        os.symlink(target, box)
        broken("a symbolic link in its place")
        os.remove(box)
        os.rename(away, box)
        b.recovers("the mailbox is back")
        new = os.path.join(box, "new")
        os.rename(new, away)
        os.symlink(os.path.join(target, "new"), new)
        # A descriptor that was open before may still be used, and is right.
        code, text = b.send("u1")
        b.check(code in (250, 451), "new/ is a link", "%d %s" % (code, text))
        os.remove(new)
        os.rename(away, new)
        b.check(not any(files for _, _, files in os.walk(target)),
                "nothing went through a link")
        b.recovers("new/ is back")
        os.chmod(box, 0)
        code, text = b.send("u1")  # through a descriptor from before, or not
        b.check(code in (250, 451), "no right to enter", "%d %s" % (code,
                                                                    text))
        os.chmod(box, 0o700)
        shutil.rmtree(os.path.join(box, "tmp"))
        code, text = b.send("u1")
        b.check(code in (250, 451), "tmp/ is gone", "%d %s" % (code, text))
        b.recovers("tmp/ is made again")


def quota():
    with Bench("quota") as b:
        b.pw.verb("mailbox", "quota", "u1@example.test", "100K")
        time.sleep(1.5)
        b.expect("250", "below it", "u1", min_size=20000)
        b.pw.wait_idle()
        b.expect("452 4.2.2", "declared too large", "u1", min_size=120000,
                 declare=True)
        b.note()
        b.expect("452 4.2.2", "too large, undeclared", "u1", min_size=150000)
        b.logged("u1.*quota|quota.*u1|over quota|mailbox is full")
        b.expect("250", "others have room", "u2", min_size=150000)
        # One of two is over it: held for that one, delivered to the other.
        code, text = b.send("u1", "u2", min_size=150000)
        b.check(code == 250, "one of two over quota", "%d %s" % (code, text))
        held = max(b.ledger.stored)
        b.ledger.remove(held, "u1", False)
        b.pw.wait_idle()
        there = [p for p in pwload.files_of(b.pw, "u1").values()
                 if b"X-Number: %d\r\n" % held in read(p).replace(
                     b"\n", b"\r\n")]
        b.check(not there, "not in the full mailbox", there)
        for _ in range(100):
            code, text = b.send("u1", min_size=5000)
            if code != 250:
                break
        b.check("%d %s" % (code, text) == "452 4.2.2 mailbox is full", "full",
                "%d %s" % (code, text))
        # Its owner makes room.
        for path in pwload.files_of(b.pw, "u1").values():
            number = pwload.whole(7, read(path))[0]
            os.remove(path)
            b.ledger.remove(number, "u1", True, "owner")
        try:
            pwtest.wait_for(lambda: b.send("u1", declare=True)[0] == 250, 10,
                            0.3)
            b.check(True, "room again")
        except RuntimeError:
            b.check(False, "room again")


def read(path):
    with open(path, "rb") as f:
        return f.read()


# ---- descriptors -----------------------------------------------------------------------


def limit_of(pid):
    with open("/proc/%d/limits" % pid) as f:
        return re.search(r"Max open files\s+(\d+)\s+(\d+)", f.read()).groups()


def limit(pid, soft, hard):
    """As the process's own user: root may lack the right to."""
    with open("/proc/%d/status" % pid) as f:
        text = f.read()
    uid = re.search(r"Uid:\s+(\d+)", text).group(1)
    gid = re.search(r"Gid:\s+(\d+)", text).group(1)
    who = ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups"] \
        if ROOT else []
    subprocess.run([*who, "prlimit", "--pid", str(pid),
                    "--nofile=%s:%s" % (soft, hard)], check=True)


def no_descriptors():
    with Bench("descriptors") as b:
        b.expect("250", "before")
        b.pw.wait_idle()
        pid = b.store()
        old = limit_of(pid)
        b.note()
        limit(pid, 8, old[1])
        codes = [b.send("u1", "u2")[0] for _ in range(5)]
        b.check(set(codes) <= {250, 451, 452}, "store without descriptors",
                codes)
        code, _ = b.send("u1", min_size=300000)
        b.check(code in (451, 452), "store without descriptors, a large one",
                code)
        limit(pid, *old)
        b.logged("[Tt]oo many open files|descriptor")
        b.recovers("store has descriptors again")
        b.check(b.store() == pid, "store is the same process")
        if not needs_root("front without descriptors (its /proc/PID/fd)"):
            return
        front = b.pw.processes()["front"][0]
        old = limit_of(front)
        used = len(os.listdir("/proc/%d/fd" % front))
        b.note()
        limit(front, used + 2, old[1])
        refused = 0
        for _ in range(6):
            try:
                refused += b.send("u1")[0] != 250
            except (OSError, rawsmtp.Closed):
                refused += 1
        limit(front, *old)
        b.recovers("front has descriptors again")
        b.check(b.pw.processes()["front"][0] == front,
                "front is the same process")
        b.ledger.refused.update({n: "?" for n in b.ledger.sent
                                 if n not in b.ledger.stored})


def judged(b):
    """The answer to one mail, and its Authentication-Results."""
    code, text = rawsmtp.send(b.pw.port, timeout=5)
    results = ""
    if code == 250:
        try:
            results = pwtest.wait_for(lambda: b.pw.explained(
                rawsmtp.ident(text)), 3)["auth_results"]
        except RuntimeError:
            pass
    return code, results


def is_judged(b):
    """By SPF (resolve, scan) and DKIM (scan, with the message)."""
    try:
        code, results = judged(b)
    except (OSError, rawsmtp.Closed):
        return False
    return code == 250 and "spf=pass" in results and "dkim=none" in results


def channels():
    """Roles without descriptors lose channels; they come back by
    themselves, and nobody is started again but who was killed."""
    if not needs_root("channels (their /proc/PID/fd)"):
        return
    dns = pwtest.Dnsd(pwtest.scratch("faults-channels-dns"), {
        "friend.test": [("MX", (10, "mx.friend.test")),
                        ("TXT", "v=spf1 ip4:127.0.0.1 -all")],
        "mx.friend.test": [("A", "127.0.0.1")]})
    b = Bench.__new__(Bench)
    b.name = "channels"
    b.pw = pwtest.Postward(pwtest.scratch("faults-channels"), dns=dns,
                           tls=False, users=("alice",), store=STORE,
                           dns_more='timeout = "1s";')
    b.pw.accounts()
    b.pw.start()
    try:
        b.note()
        pwtest.wait_for(lambda: is_judged(b), 10, 0.2, "a judged mail")
        before = b.pw.processes()
        for role in ("scan", "resolve", "front", "store"):
            starve(b, role)
        # Who is killed meanwhile is connected all the same, later.
        for starved, killed in (("front", "resolve"), ("front", "scan-1"),
                                ("front", "store"), ("store", "scan-1"),
                                ("scan-2", "store")):
            starve(b, starved, killed)
            before[killed] = b.pw.processes()[killed]
        b.check(b.pw.processes() == before, "no other process is started "
                "again", "%s, before %s" % (b.pw.processes(), before))
    finally:
        b.check(b.pw.stop() == 0, "stop")
        dns.stop()


def end_timeout():
    """smtp.end-timeout: a store, then a stage, that does not answer.  The
    client hears 451 in time, and nothing of the mail appears later."""
    with Bench("end-timeout", smtp='end-timeout = "2s"; '
               'body-in-memory = "64K";') as b:
        b.expect("250", "before")
        b.pw.wait_idle()
        store = b.store()
        b.note()
        with rawsmtp.Client(b.pw.port) as small, \
                rawsmtp.Client(b.pw.port) as large:
            small.cmd("EHLO mx.friend.test")
            large.cmd("EHLO mx.friend.test")
            os.kill(store, signal.SIGSTOP)
            try:
                # The large one waits for the store in mid-data.
                for c, size, want in ((small, 0, 451), (large, 300000, 421)):
                    begin = time.monotonic()
                    _, code, text = b.send_on(c, size)
                    took = time.monotonic() - begin
                    b.check(code == want and 1.5 < took < 4,
                            "a store that stands still, %d octets" % size,
                            "%d %s after %.1f s" % (code, text, took))
                b.check(small.cmd("NOOP")[0] == 250, "the session goes on")
            finally:
                os.kill(store, signal.SIGCONT)
            count = [v for k, v in b.pw.status().items()
                     if k.endswith("smtp.limit.end_timeout")]
            b.check(count and int(count[0]) == 2, "counted", count)
            _, code, text = b.send_on(small, 0)
            b.check(code == 250, "the next mail of the session", text)
        b.logged("nobody waits")
        b.recovers("a large one afterwards", min_size=300000)
        b.pw.wait_idle()
        left = os.listdir(os.path.join(b.pw.mail, ".spool"))
        b.check(not left, "no spool file is left", left)
        # settle() finds what was refused and is there.


def leftovers():
    """What a killed store left in tmp/, and what is none of ours."""
    with Bench("leftovers") as b:
        b.expect("250", "before")
        b.pw.wait_idle()
        pwtest.ended(b.pw.kill_all())
        tmp = os.path.join(b.pw.mail, "example.test", "u1", "tmp")
        left = os.path.join(tmp, "%d.M000001P99999_0_00000000abcd.%s,S=9,W=9" %
                            (time.time(), "mx.example.test"))
        other = os.path.join(tmp, "1700000000.M1P2.mx.example.test")
        for path in (left, other):
            with open(path, "w") as f:
                f.write("half of")
            if ROOT:
                shutil.chown(path, "mail", "mail")
        # Nothing of that folder is in the journal.
        shutil.rmtree(os.path.join(b.pw.state, "journal"))
        b.note()
        b.pw.start()
        try:
            pwtest.wait_for(lambda: not os.path.exists(left), 10)
            b.logged("tmp_cleaned.*u1@example.test")
        except RuntimeError:
            b.check(False, "ours is removed", os.listdir(tmp))
        b.check(os.path.exists(other), "another program's stays")
        os.remove(other)
        b.expect("250", "afterwards")


def starve(b, role, killed=None):
    """No descriptor more for ROLE, while mails come, and a role is KILLED."""
    procs = b.pw.processes()
    pids = [p for name, l in procs.items() for p in l
            if name == role or name.startswith(role + "-")]
    old = {pid: limit_of(pid) for pid in pids}
    # The lowest number that is free is one too many, and so are those of
    # channels that will end.
    for pid in pids:
        used = {int(n) for n in os.listdir("/proc/%d/fd" % pid)}
        limit(pid, min(8, *(set(range(len(used) + 2)) - used)),
              old[pid][1])
    what = "%s without descriptors" % role
    try:
        if killed:
            what += ", %s killed" % killed
            os.kill(procs[killed][0], 9)
            pwtest.wait_for(lambda: b.pw.processes().get(
                killed, procs[killed]) != procs[killed], 10,
                say=killed + " again")
            time.sleep(1.5)
        else:
            for _ in range(4):
                try:
                    code, text = rawsmtp.send(b.pw.port, timeout=5)
                    b.check(code in (250, 421, 451, 452), what,
                            "%d %s" % (code, text))
                except (OSError, rawsmtp.Closed):
                    pass
    finally:
        for pid in pids:
            limit(pid, *old[pid])
    try:
        pwtest.wait_for(lambda: is_judged(b), 15, 0.3)
        b.check(True, what + ": all works again")
    except (RuntimeError, OSError, rawsmtp.Closed) as e:
        b.check(False, what + ": all works again", "%s %s" % (e, judged(b)))


TESTS = (disk_full, no_inodes, read_only, sync_fails, db_locked,
         accounts_locked, db_corrupt,
         db_deleted, accounts_lost, mailbox_gone, quota, no_descriptors,
         end_timeout, leftovers, channels)


def main():
    for test in TESTS:
        if len(sys.argv) > 1 and test.__name__ not in sys.argv[1:]:
            continue
        begin = time.monotonic()
        try:
            test()
        except Exception as e:
            report.check(False, test.__name__, "%s: %s" % (
                type(e).__name__, e))
        print("%s: %.1f s" % (test.__name__, time.monotonic() - begin),
              flush=True)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
