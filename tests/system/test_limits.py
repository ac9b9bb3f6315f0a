#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Every bound of the SMTP receiver: its reply, its log line, its counter, and
that honest clients are served beside those who meet it."""
import os
import resource
import selectors
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pwtest
import rawsmtp


class Bound:
    """Checks one bound: what was replied, what was counted, what was logged."""

    def __init__(self, report, pw, name, counter, log):
        self.report, self.pw, self.name = report, pw, name
        self.counter, self.log = "front.smtp.limit." + counter, log
        self.reply = None

    def __enter__(self):
        self.before = int(self.pw.status()[self.counter])
        self.lines = len(self.pw.logged(*self.log))
        return self

    def __exit__(self, kind, error, _):
        if kind is not None and issubclass(kind, (OSError, RuntimeError,
                                                  rawsmtp.Closed)):
            self.report.check(False, self.name, repr(error))
            return True
        if kind is None:
            self.end()
        return False

    def end(self):
        def counted():
            return int(self.pw.status()[self.counter]) > self.before

        def logged():
            return len(self.pw.logged(*self.log)) > self.lines
        for what, ask in (("counter", counted), ("log line", logged)):
            try:
                pwtest.wait_for(ask, 3)
                self.report.check(True, self.name)
            except RuntimeError:
                self.report.check(False, self.name, "no " + what)

    def says(self, reply, code, enhanced, text, closes=None, client=None):
        said = "%d %s" % reply
        self.report.check(reply[0] == code and
                          reply[1].startswith(enhanced + " ") and
                          text in reply[1], self.name, said)
        if closes is not None:
            self.report.check(closes == client.closed(), self.name,
                              "closed" if not closes else "still open")


def limit(report, pw, option, counter=None, log=None):
    counter = counter or option.replace("max-", "").replace("-", "_")
    return Bound(report, pw, "smtp." + option, counter,
                 log or ("smtp.limit", "limit=smtp." + option))


def client(pw, **more):
    c = rawsmtp.Client(pw.port, **more)
    c.cmd("EHLO client.friend.test")
    return c


def again(report, pw, what):
    """Whoever met a bound may come back, and others never noticed."""
    code, text = rawsmtp.send(pw.port, rawsmtp.mail("again"))
    report.check(code == 250, "a mail after " + what, "%d %s" % (code, text))


# ---- counted things --------------------------------------------------------------

COUNTS = """max-message = "64K"; max-recipients = 100; max-messages = 3;
max-commands = 200; max-errors = 5; max-junk-commands = 10;
max-unknown-recipients = 3; max-command-line = 512; max-line = 1000;
max-header = "8K"; max-hops = 10;"""


def message_bounds(report, pw):
    """Bounds that refuse a message and leave the session."""
    line = b"z" * 1001 + b"\r\n"
    cases = [
        ("max-message", "message", 552, "5.3.4", "above the size bound",
         b"", b"x" * 70 + b"\r\n", 1000),
        ("max-line", "line", 554, "5.6.0", "line too long", b"", line, 1),
        ("max-header", "header", 552, "5.3.4", "header section too large",
         b"X-Long: a\r\n" * 800, b"", 0),
        ("max-hops", "hops", 554, "5.4.6", "loop",
         b"Received: by a; Mon, 06 Jul 2026 10:00:00 +0200\r\n" * 11, b"", 0),
    ]
    for option, counter, code, enhanced, text, head, body, n in cases:
        log = ("smtp.message", "action=refuse", text)
        with limit(report, pw, option, counter, log) as b:
            with client(pw) as c:
                c.envelope(helo=None)
                b.says(c.data(head + rawsmtp.mail(option) + body * n), code,
                       enhanced, text)
                report.check(c.cmd("NOOP")[0] == 250, option, "session ended")
                # Just below it is taken.
                c.envelope(helo=None)
                n = n * 9 // 10
                head = head[:len(head) * 9 // 10]
                head = head[:head.rfind(b"\n") + 1]
                body = body.replace(b"zzz", b"", 1)
                body = body if option != "max-line" else b"z" * 998 + b"\r\n"
                reply = c.data(head + rawsmtp.mail(option) + body * n)
                report.check(reply[0] == 250, "below " + option,
                             "%d %s" % reply)
    with limit(report, pw, "max-message", "message",
               ("smtp.reject", "above the size bound")) as b:
        with client(pw) as c:
            b.says(c.cmd("MAIL FROM:<ines@friend.test> SIZE=65537"), 552,
                   "5.3.4", "above the size bound")
    with limit(report, pw, "max-message", "message") as b:
        with client(pw) as c:
            c.envelope(helo=None)
            b.says(c.cmd("BDAT 1000000000000"), 552, "5.3.4", "size bound",
                   True, c)
    with limit(report, pw, "max-message", "message") as b:
        with client(pw) as c:
            # Far above it the rest is not even read.
            c.envelope(helo=None)
            c.cmd("DATA")
            try:
                for _ in range(2000):
                    c.send(b"x" * 998 + b"\r\n")
            except OSError:
                pass
            try:
                b.says(c.reply(), 552, "5.3.4", "far above the size bound")
            except rawsmtp.Closed:
                pass  # our own octets under way made it a reset


def recipients(report, pw):
    for n in range(101):
        pw.verb("alias", "add", "r%d@example.test" % n, "alice@example.test")
    with limit(report, pw, "max-recipients",
               log=("smtp.reject", "too many recipients")) as b:
        with client(pw) as c:
            c.cmd("MAIL FROM:<ines@friend.test>")
            c.send("".join("RCPT TO:<r%d@example.test>\r\n" % n
                           for n in range(101)))
            replies = [c.reply() for _ in range(101)]
            report.check([code for code, _ in replies[:100]] == [250] * 100,
                         "100 recipients", str(replies[:100]))
            b.says(replies[100], 452, "4.5.3", "too many recipients")
            code, text = c.data(rawsmtp.mail("100 recipients"))
            report.check(code == 250, "those accepted", text)


def sessions_end(report, pw):
    """Bounds that end the session."""
    with limit(report, pw, "max-messages") as b, client(pw) as c:
        for _ in range(3):
            c.envelope(helo=None)
            report.check(c.data(rawsmtp.mail("one"))[0] == 250, b.name)
        b.says(c.cmd("MAIL FROM:<ines@friend.test>"), 421, "4.7.0",
               "too many messages", True, c)
    with limit(report, pw, "max-commands") as b, client(pw) as c:
        # MAIL and RSET by turns would be junk; EHLO is not.
        c.send("EHLO client.friend.test\r\n" * 200)
        replies = [c.reply() for _ in range(200)]
        report.check(all(code == 250 for code, _ in replies[:199]), b.name,
                     str(replies[:199]))
        b.says(replies[199], 421, "4.7.0", "too many commands", True, c)
    with limit(report, pw, "max-errors") as b, client(pw) as c:
        for _ in range(6):
            report.check(c.cmd("WHAT")[0] == 500, b.name)
        b.says(c.reply(), 421, "4.7.0", "too many errors", True, c)
    with limit(report, pw, "max-junk-commands") as b, client(pw) as c:
        for word in ("NOOP", "RSET", "HELP", "VRFY alice", "NOOP x") * 2:
            report.check(c.cmd(word)[0] < 300, b.name, word)
        code, text = c.cmd("NOOP")
        b.says(c.reply() if code == 250 else (code, text), 421, "4.7.0",
               "too many commands without mail", True, c)
    with limit(report, pw, "max-unknown-recipients",
               "unknown_recipients") as b, client(pw) as c:
        c.cmd("MAIL FROM:<ines@friend.test>")
        for n in range(4):
            report.check(c.cmd("RCPT TO:<u%d@example.test>" % n)[0] == 550,
                         b.name)
        b.says(c.reply(), 421, "4.7.0", "too many unknown recipients", True, c)


def command_lines(report, pw):
    with limit(report, pw, "max-command-line", "command_line",
               ("smtp.reject", "line too long")) as b, client(pw) as c:
        report.check(c.cmd("NOOP " + "x" * 505)[0] == 250, "512 octets")
        b.says(c.cmd("NOOP " + "x" * 506), 500, "5.5.2", "line too long")
        b.says(c.cmd("NOOP " + "x" * 300000), 500, "5.5.2", "line too long")
        c.envelope(helo=None)
        report.check(c.data(rawsmtp.mail("after it"))[0] == 250,
                     "a mail after a long line")


def counts(report):
    pw = pwtest.Postward(pwtest.scratch("limits"), tls=False, smtp=COUNTS,
                         listener='stages = [ "none" ];',
                         store='journal = "8M";')
    pw.accounts()
    pw.start()
    try:
        for step in (message_bounds, recipients, sessions_end, command_lines):
            step(report, pw)
            again(report, pw, step.__name__)
    finally:
        report.check(pw.stop() == 0, "stop")


# ---- sessions, time ------------------------------------------------------------------

TIMES = """max-sessions = 30; max-sessions-address = 5;
max-sessions-network = 8; command-timeout = "1s"; data-timeout = "1s";
session-timeout = "10s"; max-commands = 200000; memory-budget = "8M";"""


def session_time(report, pw, out):
    """In a thread beside the others: nobody may stay for ever."""
    with client(pw, source="127.0.9.1") as c:
        try:
            start = time.monotonic()
            while time.monotonic() - start < 15:
                code, text = c.cmd("NOOP")
                if code != 250:
                    out.append((code, text, time.monotonic() - start))
                    return
                time.sleep(0.4)
        except rawsmtp.Closed:
            out.append((0, "closed without reply",
                        time.monotonic() - start))


def sessions(report, pw, port2):
    with limit(report, pw, "max-sessions-address") as b:
        held = [client(pw, source="127.0.1.1") for _ in range(5)]
        with rawsmtp.Client(pw.port, source="127.0.1.1") as c:
            b.says(c.banner, 421, "4.7.0", "too many sessions from your",
                   True, c)
        more = [client(pw, source="127.0.1.%d" % n) for n in (2, 3, 4)]
        report.check(all(c.banner[0] == 220 for c in held + more), b.name)
    with limit(report, pw, "max-sessions-network") as b:
        with rawsmtp.Client(pw.port, source="127.0.1.99") as c:
            b.says(c.banner, 421, "4.7.0", "too many sessions from your",
                   True, c)
        with rawsmtp.Client(pw.port, source="127.0.2.1") as c:
            report.check(c.banner[0] == 220, "another network")
    # By the address in PROXY headers, IPv6 by /64.
    with limit(report, pw, "max-sessions-network") as b:
        six = [rawsmtp.Client(port2, proxy="2001:db8:1:2::%x" % n)
               for n in range(1, 9)]
        with rawsmtp.Client(port2, proxy="2001:db8:1:2:ffff::1") as c:
            b.says(c.banner, 421, "4.7.0", "too many sessions from your",
                   True, c)
        with rawsmtp.Client(port2, proxy="2001:db8:1:3::1") as c:
            report.check(c.banner[0] == 220, "another /64", str(c.banner))
    with limit(report, pw, "max-sessions", "sessions") as b:
        # Trusted ones count as well, here.
        own = []
        for _ in range(40):
            c = rawsmtp.Client(port2, proxy="198.51.100.1")
            own.append(c)
            if c.banner[0] != 220:
                break
        b.says(own[-1].banner, 421, "4.3.2", "too many sessions", True,
               own[-1])
        report.check(len(own) > 6, "trusted networks are not counted by "
                     "address", str(len(own)))
    for c in held + more + six + own:
        c.close()
    pwtest.wait_for(lambda: int(pw.status()["front.smtp.sessions.now"]) <= 1,
                    5, say="sessions gone")
    held = [client(pw, source="127.0.1.1") for _ in range(5)]
    report.check(all(c.banner[0] == 220 for c in held),
                 "room again after they left")
    for c in held:
        c.close()


def times(report, pw):
    with limit(report, pw, "command-timeout",
               "command_timeout") as b, client(pw) as c:
        start = time.monotonic()
        b.says(c.reply(), 421, "4.4.2", "waited too long", True, c)
        took = time.monotonic() - start
        report.check(0.9 < took < 2.5, b.name, "%.1f s" % took)
    with limit(report, pw, "command-timeout",
               "command_timeout") as b, client(pw) as c:
        # Half a line, octet by octet, is no command either.
        start = time.monotonic()
        try:
            for octet in "NOOP xxxxxxxxxxxxx":
                c.send(octet)
                time.sleep(0.2)
        except OSError:
            pass
        b.says(c.reply(), 421, "4.4.2", "waited too long")
        took = time.monotonic() - start
        report.check(took < 4.5, "half a line", "%.1f s" % took)
    for way in ("DATA", "BDAT 100"):
        with limit(report, pw, "data-timeout",
                   "data_timeout") as b, client(pw) as c:
            c.envelope(helo=None)
            c.send(way + "\r\n")
            if way == "DATA":
                c.reply()
            c.send("Subject: x\r\n")
            start = time.monotonic()
            b.says(c.reply(), 421, "4.4.2", "waited too long", True, c)
            took = time.monotonic() - start
            report.check(0.9 < took < 2.5, b.name, "%.1f s" % took)
    aborted = pw.logged("smtp.abort")
    report.check(len(aborted) >= 2, "transactions dropped", str(aborted))


def unread(report, pw):
    """A client that asks and never reads: bounded, and ended."""
    before = pw.status()
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect(("127.0.0.1", pw.port))
    s.setblocking(False)
    end, sent = time.monotonic() + 6, 0
    ask = b"EHLO a.test\r\n" * 1000
    gone = False
    while time.monotonic() < end and not gone:
        try:
            sent += s.send(ask)
        except BlockingIOError:
            time.sleep(0.05)
        except OSError:
            gone = True
    s.close()
    after = pw.status()
    ends = sum(int(after[k]) - int(before[k]) for k in (
        "front.smtp.limit.output", "front.smtp.limit.command_timeout"))
    report.check(gone and ends >= 1, "replies not read",
                 "%d octets sent, gone %s, %d ends" % (sent, gone, ends))


def memory(report, pw):
    """Bodies under way share a budget; without it: later, please."""
    held = []
    with limit(report, pw, "memory-budget", "memory",
               ("smtp.reject", "no memory now")) as b:
        chunk = (b"m" * 98 + b"\r\n") * 10200
        replies = []
        for n in range(10):
            c = client(pw, source="127.0.3.%d" % (n % 2 + 1)) if n < 8 else \
                client(pw, source="127.0.4.1")
            held.append(c)
            code, text = c.envelope(helo=None)[0]
            if code != 250:
                replies.append((code, text))
                continue
            c.cmd("DATA")
            c.send(rawsmtp.mail("big") + chunk[:1000000])
            for other in held[:-1]:  # none of them may time out
                try:
                    other.send(b"\r\n")
                except OSError:
                    pass
        used = int(pw.status()["front.smtp.memory"])
        report.check(used <= 8 << 20, "memory within the budget", str(used))
        for c in held:
            try:
                c.send(b"\r\n.\r\n")
                replies.append(c.reply())
            except (OSError, rawsmtp.Closed):
                pass
        refused = [r for r in replies if r[0] == 452]
        report.check(any(r[0] == 250 for r in replies), "those that fit",
                     str(replies))
        if report.check(refused, "one was refused", str(replies)):
            b.says(refused[0], 452, "4.3.1", "no memory now")
    for c in held:
        c.close()
    pwtest.wait_for(lambda: pw.status()["front.smtp.memory"] == "0", 5,
                    say="memory given back")


def time_bounds(report):
    port2 = pwtest.free_port()
    pw = pwtest.Postward(
        pwtest.scratch("limits-time"), tls=False, smtp=TIMES,
        listener='stages = [ "none" ];', store='journal = "8M";',
        more_listeners=''', { name = "proxy"; address = "127.0.0.1";
            port = %d; tls = false; stages = [ "none" ];
            proxy = [ "127.0.0.1" ]; trusted = [ "198.51.100.0/24" ]; }''' %
        port2)
    pw.accounts()
    pw.start()
    try:
        out = []
        whole = Bound(report, pw, "smtp.session-timeout", "session_timeout",
                      ("smtp.limit", "limit=smtp.session-timeout"))
        whole.__enter__()
        thread = threading.Thread(target=session_time, args=(report, pw, out))
        thread.start()
        sessions(report, pw, port2)
        times(report, pw)
        memory(report, pw)
        unread(report, pw)
        again(report, pw, "all of these")
        thread.join()
        code, text, took = out[0] if out else (0, "no end", 0)
        whole.says((code, text), 421, "4.4.2", "session lasts too long")
        report.check(9 < took < 12, whole.name, "%.1f s" % took)
        whole.end()
    finally:
        report.check(pw.stop() == 0, "stop")


# ---- the least rate --------------------------------------------------------------

# The first minute is not measured: in this daemon minutes are short.
CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int
clock_gettime(clockid_t id, struct timespec *ts)
{
	static int (*real)(clockid_t, struct timespec *);
	static long long base;
	long long ns;

	if (real == NULL)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT,
		    "clock_gettime");
	if (real(id, ts) != 0)
		return -1;
	if (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE)
		return 0;
	ns = ts->tv_sec * 1000000000LL + ts->tv_nsec;
	if (base == 0)
		base = ns;
	ns = base + (ns - base) * 40;
	ts->tv_sec = ns / 1000000000LL;
	ts->tv_nsec = ns % 1000000000LL;
	return 0;
}
"""


def slow_rate(report):
    if pwtest.sanitized():
        print("skipped: the test of smtp.min-rate preloads a clock, which "
              "sanitizers refuse")
        return
    folder = pwtest.scratch("limits-rate")
    source, shim = (os.path.join(folder, n) for n in ("clock.c", "clock.so"))
    with open(source, "w") as f:
        f.write(CLOCK)
    made = subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC",
                           "-O2", "-o", shim, source, "-ldl"])
    if made.returncode != 0:
        print("skipped: no C compiler for the test of smtp.min-rate")
        return
    pw = pwtest.Postward(folder, tls=False, listener='stages = [ "none" ];',
                         store='journal = "8M";', smtp="min-rate = 64;",
                         prefix=["env", "LD_PRELOAD=" + shim])
    pw.accounts()
    pw.start()
    try:
        # 40 octets in a tenth of a second are 10 in one of its seconds.
        for way in ("DATA", "BDAT"):
            with limit(report, pw, "min-rate", "min_rate") as b, \
                    client(pw) as c:
                c.envelope(helo=None)
                if way == "DATA":
                    c.cmd("DATA")
                else:
                    c.send("BDAT 100000\r\n")
                start = time.monotonic()
                try:
                    for _ in range(60):
                        c.send("x" * 38 + "\r\n")
                        time.sleep(0.1)
                except OSError:
                    pass
                b.says(c.reply(), 421, "4.4.2", "data comes too slowly")
                took = time.monotonic() - start
                report.check(took > 1.3, "the first minute is free",
                             "%.1f s" % took)
        with client(pw) as c:
            c.envelope(helo=None)
            c.cmd("DATA")
            c.send(rawsmtp.mail("slow enough"))
            for _ in range(25):
                c.send(("x" * 78 + "\r\n") * 6)
                time.sleep(0.1)
            c.send(".\r\n")
            code, text = c.reply()
            report.check(code == 250, "above the least rate", text)
    finally:
        report.check(pw.stop() == 0, "stop")


# ---- many ----------------------------------------------------------------------------


def rss(pid):
    with open("/proc/%d/status" % pid) as f:
        return next(int(l.split()[1]) for l in f if l.startswith("VmRSS:"))


def cpu(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def honest(report, pw, what, bound):
    worst = 0
    for _ in range(10):
        start = time.monotonic()
        code, text = rawsmtp.send(pw.port, rawsmtp.mail("honest"),
                                  source="127.0.7.7")
        worst = max(worst, time.monotonic() - start)
        report.check(code == 250, "a mail beside " + what, text)
    report.check(worst < bound, "beside " + what, "%.2f s" % worst)
    print("beside %s: %.0f ms at worst" % (what, worst * 1000))


def connect_many(pw, n):
    out, sel = [], selectors.DefaultSelector()
    for i in range(n):
        s = socket.socket()
        s.bind(("127.0.%d.%d" % (20 + i % 4, 1 + i % 8), 0))
        s.connect(("127.0.0.1", pw.port))
        s.setblocking(False)
        out.append(s)
        sel.register(s, selectors.EVENT_READ)
    greeted, end = 0, time.monotonic() + 15
    while greeted < n and time.monotonic() < end:
        for key, _ in sel.select(0.5):
            greeted += key.fileobj.recv(512).startswith(b"220 ")
            sel.unregister(key.fileobj)
    sel.close()
    return out, greeted


def many(report):
    n = 2000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < n + 200:
        print("skipped: %d idle connections need as many descriptors" % n)
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, n + 200), hard))
    pw = pwtest.Postward(
        pwtest.scratch("limits-many"), tls=False, store='journal = "8M";',
        listener='stages = [ "none" ];',
        smtp="max-sessions-address = 5000; max-sessions-network = 5000;")
    pw.accounts()
    pw.start()
    try:
        honest(report, pw, "nobody", 1)
        front = pw.pids("front")[0]
        empty = rss(front)
        start = time.monotonic()
        idle, greeted = connect_many(pw, n)
        report.check(greeted == n, "idle connections", "%d of %d greeted" % (
            greeted, n))
        took = time.monotonic() - start
        report.check(took < 10, "idle connections", "%.1f s" % took)
        each = (rss(front) - empty) * 1024 / n
        print("idle connection: %.0f octets resident" % each)
        report.check(each < 16384, "memory of an idle connection", "%d" % each)
        honest(report, pw, "2,000 idle connections", 1)
        # Some of them send an octet of a message now and then.
        for s in idle[:300]:
            s.setblocking(True)
            s.sendall(b"EHLO slow.test\r\nMAIL FROM:<>\r\n"
                      b"RCPT TO:<alice@example.test>\r\nDATA\r\n")
        before = cpu(front)
        stop = threading.Event()

        def drip():
            while not stop.is_set():
                for s in idle[:300]:
                    s.sendall(b"x")
                stop.wait(0.3)
        thread = threading.Thread(target=drip)
        thread.start()
        honest(report, pw, "300 dripping connections", 1)
        time.sleep(1)
        stop.set()
        thread.join()
        spent = cpu(front) - before
        report.check(spent < 1, "CPU of dripping connections", "%.2f s" % spent)
        for s in idle:
            s.close()
        pwtest.wait_for(
            lambda: int(pw.status()["front.smtp.sessions.now"]) == 0, 10,
            say="idle sessions gone")
        report.check(pw.status()["front.smtp.memory"] == "0", "memory back")
    finally:
        report.check(pw.stop() == 0, "stop")


def files(report):
    """No descriptor left: new clients wait, those inside are served."""
    pw = pwtest.Postward(
        pwtest.scratch("limits-files"), tls=False, store='journal = "8M";',
        listener='stages = [ "none" ];', smtp="max-sessions-address = 1000;"
        "max-sessions-network = 1000;",
        prefix=["prlimit", "--nofile=128:128"])
    pw.accounts()
    pw.start()
    try:
        inside = client(pw)
        before = int(pw.status()["front.smtp.limit.files"])
        crowd = []
        for _ in range(200):
            s = socket.socket()
            s.connect(("127.0.0.1", pw.port))
            crowd.append(s)
        pwtest.wait_for(lambda: int(pw.status()["front.smtp.limit.files"]) >
                        before, 5, say="counter of descriptors")
        report.check(pw.logged("smtp.accept", "no descriptor"), "log line")
        inside.envelope(helo=None)
        code, text = inside.data(rawsmtp.mail("inside"))
        report.check(code in (250, 452), "a mail without descriptors", text)
        inside.close()
        for s in crowd:
            s.close()
        again(report, pw, "the lack of descriptors")
    finally:
        report.check(pw.stop() == 0, "stop")


def main():
    report = pwtest.Report("limits")
    for step in (counts, time_bounds, slow_rate, many, files):
        start = time.monotonic()
        try:
            step(report)
        except (OSError, RuntimeError, rawsmtp.Closed) as e:
            report.check(False, step.__name__, repr(e))
        print("%s: %.1f s" % (step.__name__, time.monotonic() - start))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
