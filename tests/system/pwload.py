# SPDX-License-Identifier: ISC
"""Load whose fate can be proven: numbered mails that can be made again from
their number, clients that keep account of every answer, a reader that moves,
flags and deletes through Dovecot and keeps account of that, and the comparison
of all three with what lies in the Maildirs and stands in the index."""
import hashlib
import imaplib
import os
import random
import re
import threading
import time

import pwtest
import rawsmtp

FOLDERS = ("Archive", "Kept/Deep")  # as IMAP names them
SHOWN = 5
BLOCK = "".join(
    hashlib.sha512(b"%d" % i).hexdigest()[:72 - i % 9] + "\r\n"
    for i in range(30000)).encode()


def mail(seed, number, large=True):
    """Mail NUMBER as it goes over the wire, always the same bytes."""
    r = random.Random(seed * 1000003 + number)
    lot = r.random()
    if lot < 0.80:
        size = r.randrange(10, 6000)
    elif lot < 0.97:
        size = r.randrange(6000, 60000)
    elif lot < 0.99 or not large:
        size = r.randrange(60000, 400000)
    else:
        size = r.randrange(1200000, 1900000)
    at = r.randrange(0, len(BLOCK) - size) if size < len(BLOCK) else 0
    at = BLOCK.rfind(b"\n", 0, at + 1) + 1
    end = BLOCK.find(b"\n", at + size - 1) + 1
    body = BLOCK[at:end]
    return (b"X-Number: %d\r\nFrom: Sender <n%d@friend.test>\r\n"
            b"To: somebody@example.test\r\nSubject: number %d\r\n"
            b"Message-ID: <%d.%d@friend.test>\r\n"
            b"Date: Mon, 01 Jun 2026 10:00:00 +0000\r\nX-Sum: %s\r\n\r\n"
            b"%s.dotted\r\nend of %d\r\n" % (
                number, number, number, seed, number,
                hashlib.sha256(body).hexdigest().encode(), body, number))


def stuffed(raw):
    return re.sub(rb"(?m)^\.", b"..", raw) + b".\r\n"


class Ledger:
    """What clients and readers were told; every method from any thread."""

    def __init__(self, seed):
        self.seed = seed
        self.lock = threading.Lock()
        self.next = 1
        self.sent = {}      # number: users
        self.stored = {}    # number: id, its 250 was seen
        self.refused = {}   # number: reply of 4xx or 5xx at the end of data
        self.removed = {}   # (number, user): how; the reader was told so
        self.in_doubt = set()  # (number, user): a removal without an answer

    def begin(self, users):
        with self.lock:
            number = self.next
            self.next += 1
            self.sent[number] = users
        return number

    def told(self, number, code, text):
        with self.lock:
            if code == 250:
                self.stored[number] = text.split()[1]
            else:
                self.refused[number] = "%d %s" % (code, text)

    def remove(self, number, user, sure, how="expunge"):
        with self.lock:
            if sure:
                self.removed[(number, user)] = how
                self.in_doubt.discard((number, user))
            elif (number, user) not in self.removed:
                self.in_doubt.add((number, user))

    def forget(self, numbers):
        """They were compared and are gone for good: only their removal is
        remembered."""
        with self.lock:
            for n in numbers:
                self.sent.pop(n, None)
                self.stored.pop(n, None)
                self.refused.pop(n, None)


class Worker(threading.Thread):
    """A thread that can be held: everything of it stands still then."""

    def __init__(self):
        super().__init__(daemon=True)
        self.go, self.held, self.end = (threading.Event(), threading.Event(),
                                        threading.Event())
        self.fault = None

    def run(self):
        try:
            while not self.end.is_set():
                if not self.go.is_set():
                    self.pause()
                    self.held.set()
                    self.go.wait(0.2)
                    continue
                self.held.clear()
                self.work()
            self.pause()
        except Exception as e:  # shown by whoever waits for us
            self.fault = e
            self.held.set()

    def hold(self):
        self.go.clear()

    def wait_held(self, seconds=60):
        if not self.held.wait(seconds):
            raise RuntimeError("%s does not stop" % type(self).__name__)
        if self.fault:
            raise self.fault

    def pause(self):
        pass


class Sender(Worker):
    """A connection after the other, many mails in each."""

    def __init__(self, pw, ledger, number, large=True, rate=0):
        super().__init__()
        self.pw, self.ledger, self.large = pw, ledger, large
        self.random = random.Random(ledger.seed * 100 + number)
        self.client, self.left, self.rate = None, 0, rate

    def pause(self):
        if self.client is not None:
            try:
                self.client.cmd("QUIT")
            except (OSError, rawsmtp.Closed, ValueError):
                pass
            self.client.close()
            self.client = None

    def drop(self):
        if self.client is not None:
            self.client.close()
        self.client = None

    def connect(self):
        self.client = rawsmtp.Client(self.pw.port, greet=False, timeout=30)
        code, _ = self.client.reply()
        if code != 220:
            raise rawsmtp.Closed()
        self.client.cmd("EHLO mx.friend.test")
        self.left = self.random.randrange(1, 40)

    def work(self):
        try:
            if self.client is None:
                self.connect()
            self.one()
            self.left -= 1
            if self.left == 0:
                self.pause()
        except (OSError, rawsmtp.Closed, ValueError):
            self.drop()
            time.sleep(0.02)
        if self.rate:
            time.sleep(self.random.random() * 2 / self.rate)

    def one(self):
        users = tuple(self.random.sample(
            self.pw.users, 2 if self.random.random() < 0.1 else 1))
        number = self.ledger.begin(users)
        raw = mail(self.ledger.seed, number, self.large)
        c = self.client
        if self.random.random() < 0.15:
            self.by_bdat(c, users, number, raw)
            return
        c.send("MAIL FROM:<n%d@friend.test>\r\n" % number + "".join(
            "RCPT TO:<%s@%s>\r\n" % (u, self.pw.domain) for u in users) +
            "DATA\r\n")
        codes = [c.reply() for _ in range(len(users) + 2)]
        if codes[-1][0] != 354:
            self.refusal(number, codes)
            return
        if any(code != 250 for code, _ in codes[:-1]):
            # One was taken, one was not: who gets it is not our question.
            self.ledger.told(number, *next(x for x in codes if x[0] != 250))
        c.send(stuffed(raw))
        code, text = c.reply()
        if number not in self.ledger.refused:
            self.ledger.told(number, code, text)

    def by_bdat(self, c, users, number, raw):
        cut = self.random.randrange(0, len(raw))
        c.send("MAIL FROM:<n%d@friend.test>\r\n" % number + "".join(
            "RCPT TO:<%s@%s>\r\n" % (u, self.pw.domain) for u in users))
        codes = [c.reply() for _ in range(len(users) + 1)]
        if any(code != 250 for code, _ in codes):
            self.refusal(number, codes)
            return
        c.send(b"BDAT %d\r\n" % cut + raw[:cut] +
               b"BDAT %d LAST\r\n" % (len(raw) - cut) + raw[cut:])
        first = c.reply()
        code, text = c.reply()
        self.ledger.told(number, *(first if first[0] != 250 else (code, text)))

    def refusal(self, number, codes):
        self.ledger.told(number, *next(x for x in codes
                                       if x[0] not in (250, 354)))
        self.client.cmd("RSET")
        time.sleep(0.02)


class Reader(Worker):
    """A person with a mail program: sees, flags, moves, deletes."""

    def __init__(self, dovecot, pw, ledger, password, port):
        super().__init__()
        self.dovecot, self.pw, self.ledger = dovecot, pw, ledger
        self.password, self.port = password, port
        self.random = random.Random(ledger.seed * 100 + 99)
        self.did = {"seen": 0, "moved": 0, "removed": 0}

    def login(self, user):
        c = imaplib.IMAP4("127.0.0.1", self.port, timeout=30)
        c.login("%s@%s" % (user, self.pw.domain), self.password)
        return c

    def work(self):
        user = self.random.choice(self.pw.users)
        try:
            c = self.login(user)
            try:
                self.session(c, user)
            finally:
                c.logout()
        except (OSError, imaplib.IMAP4.error):
            time.sleep(0.1)

    @staticmethod
    def numbers(c, uids):
        """{uid: number}"""
        got = c.uid("FETCH", b",".join(uids),
                    "(BODY.PEEK[HEADER.FIELDS (X-Number)])")[1]
        out = {}
        for item in got:
            if not isinstance(item, tuple):
                continue
            uid = re.search(rb"UID (\d+)", item[0])
            number = re.search(rb"X-Number: (\d+)", item[1])
            if uid and number:
                out[uid.group(1)] = int(number.group(1))
        return out

    def session(self, c, user):
        folder = self.random.choice(("INBOX", "INBOX") + FOLDERS)
        if c.select(folder)[0] != "OK":
            for f in FOLDERS:
                c.create(f)
            return
        uids = c.uid("SEARCH", None, "ALL")[1][0].split()
        if not uids:
            time.sleep(0.02)
            return
        some = self.random.sample(uids, min(len(uids), 12))
        numbers = self.numbers(c, some)
        for i, (uid, number) in enumerate(numbers.items()):
            if i % 3 == 0:
                c.uid("STORE", uid, "+FLAGS", self.random.choice(
                    ("(\\Seen)", "(\\Flagged)", "(\\Seen \\Answered)",
                     "($Label1)")))
                self.did["seen"] += 1
            elif i % 3 == 1:
                to = self.random.choice([f for f in ("INBOX",) + FOLDERS
                                         if f != folder])
                self.did["moved"] += c.uid("MOVE", uid, to)[0] == "OK"
            else:
                self.expunge(c, user, {uid: number})

    def expunge(self, c, user, numbers, how="expunge"):
        for n in numbers.values():
            self.ledger.remove(n, user, False)
        uids = b",".join(numbers)
        if c.uid("STORE", uids, "+FLAGS.SILENT", "(\\Deleted)")[0] != "OK" or \
                c.uid("EXPUNGE", uids)[0] != "OK":
            return
        for n in numbers.values():
            self.ledger.remove(n, user, True, how)
        self.did["removed"] += len(numbers)

    def clear(self, share):
        """Removes SHARE of all mails of everybody, as a reader does."""
        for user in self.pw.users:
            c = self.login(user)
            for folder in ("INBOX",) + FOLDERS:
                if c.select(folder)[0] != "OK":
                    continue
                uids = c.uid("SEARCH", None, "ALL")[1][0].split()
                uids = uids[:int(len(uids) * share)]
                for i in range(0, len(uids), 500):
                    self.expunge(c, user, self.numbers(c, uids[i:i + 500]),
                                 "clear")
            c.logout()


# ---- what is on disk --------------------------------------------------------------


def box_folders(pw, user):
    """{folder name, "" for INBOX: path}"""
    root = os.path.join(pw.mail, pw.domain, user)
    out = {"": root} if os.path.isdir(root) else {}
    for name in os.listdir(root) if out else []:
        if name.startswith(".") and os.path.isdir(os.path.join(root, name,
                                                               "cur")):
            out[name[1:]] = os.path.join(root, name)
    return out


def files_of(pw, user):
    """{(folder, "new/name"): path} of everything in a mailbox."""
    out = {}
    for folder, path in box_folders(pw, user).items():
        for sub in ("new", "cur"):
            d = os.path.join(path, sub)
            for name in os.listdir(d) if os.path.isdir(d) else []:
                out[(folder, sub + "/" + name)] = os.path.join(d, name)
    return out


def whole(seed, data, large=True):
    """The number of a stored mail if it is there byte for byte, else None and
    what is wrong."""
    at = data.find(b"X-Number: ")
    found = re.match(rb"X-Number: (\d+)\r?\n", data[at:at + 40]) \
        if at >= 0 else None
    if not found:
        return None, "no number in it (%d bytes)" % len(data)
    number = int(found.group(1))
    want = mail(seed, number, large).replace(b"\r\n", b"\n")
    if data[at:] != want:
        return number, "differs: %d of %d bytes" % (len(data) - at, len(want))
    return number, None


def compare(report, pw, ledger, large=True, removals=True):
    """Everything stored against everything told.  Nobody writes now."""
    copies = {}  # (number, user): paths
    shown = {}

    def fail(what, detail):
        """All are counted, the first of each kind are shown."""
        shown[what] = shown.get(what, 0) + 1
        if shown[what] <= SHOWN:
            report.check(False, what, detail)
        else:
            report.failed += 1
    torn = 0
    for user in pw.users:
        for path in files_of(pw, user).values():
            with open(path, "rb") as f:
                data = f.read()
            size = re.search(r",S=(\d+)", path)
            number, fault = whole(ledger.seed, data, large)
            if fault is None and size and int(size.group(1)) != len(data):
                fault = "S= says %s, it has %d" % (size.group(1), len(data))
            if fault is not None:
                torn += 1
                fail("torn", "%s: %s" % (path, fault))
            copies.setdefault((number, user), []).append(path)
    counts = {"stored": len(ledger.stored), "files": sum(
        len(p) for p in copies.values()), "torn": torn, "lost": 0, "twice": 0,
        "back": 0, "unanswered there": 0, "refused there": 0,
        "unanswered twice": 0}
    for number, users in ledger.sent.items():
        for user in users:
            key = (number, user)
            n = len(copies.get(key, ()))
            gone = key in ledger.removed
            if number in ledger.stored:
                if n == 0 and not gone and key not in ledger.in_doubt:
                    counts["lost"] += 1
                    fail("lost", "mail %d, id %s, of %s" % (
                        number, ledger.stored[number], user))
                if n > 1:
                    counts["twice"] += 1
                    fail("twice", " ".join(copies[key]))
            elif n and number in ledger.refused:
                counts["refused there"] += n
            elif n:
                counts["unanswered there"] += 1
                counts["unanswered twice"] += n > 1
    for key, paths in copies.items():
        if removals and key in ledger.removed:
            counts["back"] += 1
            fail("back after %s" % ledger.removed[key],
                 "%s %s" % (key, " ".join(paths)))
    for what in ("torn", "lost", "twice"):
        if counts[what] == 0:
            report.check(True, what)
    if removals and counts["back"] == 0:
        report.check(True, "back")
    return counts


def index_faults(pw, user):
    """How the index of a mailbox differs from its Maildir now."""
    rows = pw.verb("message", "list", "%s@%s" % (user, pw.domain), "--limit",
                   "10000", json_out=True)
    index = {(r["folder"] or "", r["file"]): r for r in rows}
    files = files_of(pw, user)
    faults = ["row without file: %s %s" % k for k in index.keys() - files.keys()]
    faults += ["file without row: %s %s" % k for k in files.keys() - index.keys()]
    if len(index) != len(rows):
        faults.append("%d rows for %d names" % (len(rows), len(index)))
    for key in index.keys() & files.keys():
        try:
            st = os.stat(files[key])
        except FileNotFoundError:
            faults.append("gone: %s %s" % key)
            continue
        if index[key]["size"] != st.st_size:
            faults.append("%s: size %s, not %d" % (
                key[1], index[key]["size"], st.st_size))
    return faults


def index_agrees(report, pw, seconds=15):
    """Waits until index and Maildirs say the same."""
    for user in pw.users:
        faults = []

        def same():
            nonlocal faults
            faults = index_faults(pw, user)
            return not faults
        try:
            pwtest.wait_for(same, seconds, 0.2)
            report.check(True, "index")
        except RuntimeError:
            report.check(False, "index of %s" % user, "%d faults: %s" % (
                len(faults), "; ".join(faults[:4])))


def strays(pw):
    """Files in tmp/ folders."""
    out = []
    for user in pw.users:
        for path in box_folders(pw, user).values():
            d = os.path.join(path, "tmp")
            out += [os.path.join(d, n) for n in
                    (os.listdir(d) if os.path.isdir(d) else [])]
    return out
