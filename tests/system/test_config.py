#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The configuration, its generations, and the daemon's own life: --check,
reload, restart of roles, stop, exit codes, log, ordinary users."""
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pwtest
import rawsmtp

ROOT = os.geteuid() == 0
SMALL = 'journal = "8M";'


def run(*words, timeout=30, prefix=()):
    return subprocess.run(
        list(prefix) + [os.path.join(pwtest.BUILD, words[0]), *words[1:]],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        stdin=subprocess.DEVNULL, timeout=timeout)


def rewrite(pw, old, new):
    with open(pw.file) as f:
        text = f.read()
    if old not in text:
        raise RuntimeError("no %r in the configuration" % old)
    with open(pw.file, "w") as f:
        f.write(text.replace(old, new))


def generation(pw):
    return int(pw.status()["master.generation"])


def settled(pw):
    pwtest.wait_for(lambda: "draining" not in pw.verb("status"), 20,
                    say="the old generation ended")


# ---- without a daemon ---------------------------------------------------------


BAD = """server: { hostname = "mx.example.test"; hostnam = "x"; };
listener: ( { name = "mx"; adress = "127.0.0.1"; port = 70000; } );
smtp: { max-message = "50 MB"; max-hops = 5;
	no-such-thing = 1; };
dns: { timeout = "soon"; };
smpt: { max-line = 5; };
policy: { spf-fail = "drop"; weights = [ "X" ]; actions = [ "X=drop" ]; };
log: { level = "loud"; };
"""


def check(report, folder):
    path = os.path.join(folder, "bad.conf")
    with open(path, "w") as f:
        f.write(BAD)
    r = run("postwardd", "--check", path)
    report.check(r.returncode == 78, "--check of a bad file",
                 "exit %d" % r.returncode)
    for line, key, words in (
            (1, "server.hostnam", "hostname"),
            (2, "listener.adress", "address"), (2, "listener.port", "65535"),
            (3, "smtp.max-message", "64K"), (3, "smtp.max-hops", "10"),
            (4, "smtp.no-such-thing", ""), (5, "dns.timeout", ""),
            (6, "smpt", "smtp"), (7, "policy.spf-fail", "refuse"),
            (7, "policy.weights", "SYMBOL=NUMBER"),
            (7, "policy.actions", "refuse-keep"), (8, "log.level", "info")):
        said = [l for l in r.stdout.splitlines()
                if l.startswith("%s:%d: %s: " % (path, line, key))]
        report.check(len(said) == 1 and words in said[0] and "; " in said[0],
                     "--check: line %d, %s" % (line, key), r.stdout)
    near = next((l for l in r.stdout.splitlines() if "adress" in l), "")
    report.check('"address"' in near, "the nearest name", near)
    with open(path, "w") as f:
        f.write("server: { hostname = \"mx.example.test\"\nlistener: (\n")
    r = run("postwardd", "--check", path)
    report.check(r.returncode == 78 and path + ":" in r.stdout,
                 "--check of what does not parse", r.stdout)
    for name in ("absent.conf", "."):
        r = run("postwardd", "--check", os.path.join(folder, name))
        report.check(r.returncode == 78, "--check of " + name,
                     "exit %d" % r.returncode)
    r = run("postwardd", "-f", "-c", os.path.join(folder, "bad.conf"))
    report.check(r.returncode == 78, "start with a bad file",
                 "exit %d" % r.returncode)
    r = run("postwardd", "-f", "-c", os.path.join(folder, "absent.conf"))
    report.check(r.returncode == 66, "start without a file",
                 "exit %d" % r.returncode)
    for words in (["--nonsense"], ["-c"], ["-f", "x"]):
        r = run("postwardd", *words)
        report.check(r.returncode == 64, "postwardd " + " ".join(words),
                     "exit %d" % r.returncode)
    r = run("postwardd", "--version")
    report.check(r.returncode == 0 and re.fullmatch(
        r"postwardd \S+( \(sanitizer build\))?\n", r.stdout), "--version",
        r.stdout)


def generated(report, pw):
    """The example, the manual and `config show` have the table's options."""
    with open(os.path.join(pwtest.SRC, "server/config/options.def")) as f:
        text = f.read()
    names = ["%s.%s" % (s, o.replace("_", "-")) for s, o in re.findall(
        r"(?m)^PW_OPT\((\w+), (\w+), ", text)]
    report.check(len(names) > 70, "options", str(len(names)))
    r = run("postward", "-c", pw.file, "config", "example")
    for place in (os.path.join(pwtest.BUILD, "postward.conf.example"),
                  os.path.join(pwtest.SRC,
                               "server/config/postward.conf.example")):
        if os.path.exists(place):
            with open(place) as f:
                report.check(f.read() == r.stdout, place, "differs")
    manuals = [p for p in (
        os.path.join(pwtest.BUILD, "postward.conf.5"),
        os.path.join(pwtest.SRC, "server/config/postward.conf.5"))
        if os.path.exists(p)]
    for place in manuals:
        with open(place) as f:
            manual = f.read().replace("\\-", "-")
        missing = [n for n in names if n.split(".")[1] not in manual]
        report.check(not missing, place, str(missing))
    report.check(manuals, "a manual page")
    shown = pw.verb("config", "show")
    missing = [n for n in names if n.split(".")[1] not in shown and
               not n.startswith("stage.")]  # there is none
    report.check(not missing, "config show", str(missing))
    line = next((l for l in shown.splitlines()
                 if l.startswith("server.hostname")), "")
    report.check('"mx.example.test"' in line and "postward.conf:2" in line,
                 "where it was set", line)
    line = next((l for l in shown.splitlines()
                 if l.startswith("smtp.max-hops")), "")
    report.check("50" in line and "default" in line, "a default", line)
    shown = json.dumps(pw.verb("config", "show", json_out=True))
    report.check("mx.example.test" in shown and "max-hops" in shown,
                 "config show --json")
    example = os.path.join(pw.folder, "example.conf")
    with open(example, "w") as f:
        f.write(r.stdout)
    r = run("postwardd", "--check", example)
    errors = [l for l in r.stdout.splitlines() if "warning" not in l and
              "user-" not in l and "hostname" not in l and
              "trust-anchor" not in l and not l.endswith(": ok") and
              (ROOT or "cannot be made in" not in l)]
    report.check(not errors, "the example is valid", str(errors))


# ---- reload --------------------------------------------------------------------


def reload_good(report, pw):
    before = generation(pw)
    old = rawsmtp.Client(pw.port)
    _, text = old.cmd("EHLO client.friend.test")
    report.check("SIZE 52428800" in text, "before a reload", text)
    rewrite(pw, "smtp: { ", 'smtp: { max-message = "1M"; ')
    out = pw.verb("reload")
    report.check("generation %d serves" % (before + 1) in out, "reload", out)
    report.check(generation(pw) == before + 1, "reload", str(generation(pw)))
    report.check(any(" draining " in l for l in
                     pw.verb("status").splitlines()), "old front drains")
    with rawsmtp.Client(pw.port) as new:
        _, text = new.cmd("EHLO client.friend.test")
        report.check("SIZE 1048576" in text, "after a reload", text)
    # The session in flight keeps what it began with, and delivers.
    _, text = old.cmd("EHLO client.friend.test")
    report.check("SIZE 52428800" in text, "a session in flight", text)
    old.envelope(helo=None)
    code, text = old.data(rawsmtp.mail("in flight") + b"x" * 70 + b"\r\n")
    report.check(code == 250, "a mail in flight", text)
    ident = rawsmtp.ident(text)
    record = pwtest.wait_for(lambda: pw.explained(ident), 10)
    report.check(record["config_generation"] == before,
                 "its generation in the record",
                 str(record["config_generation"]))
    old.cmd("QUIT")
    old.close()
    settled(pw)
    # The same by the signal.
    rewrite(pw, 'max-message = "1M"; ', 'max-message = "2M"; ')
    pw.process.send_signal(signal.SIGHUP)
    pwtest.wait_for(lambda: generation(pw) == before + 2, 20, say="SIGHUP")
    with rawsmtp.Client(pw.port) as new:
        _, text = new.cmd("EHLO client.friend.test")
        report.check("SIZE 2097152" in text, "after SIGHUP", text)
    rewrite(pw, 'max-message = "2M"; ', "")
    pw.verb("reload")
    settled(pw)


def reload_bad(report, pw):
    """Whatever is wrong, the old generation goes on, and says why."""
    before = generation(pw)
    pids = pw.pids("front")
    with open(pw.file) as f:
        good = f.read()
    broken = os.path.join(pw.folder, "broken.pem")
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen(1)
    with open(broken, "w") as f:
        f.write("-----BEGIN CERTIFICATE-----\nnonsense\n")
    cases = [
        ("an unknown key", "smtp: { ", "smtp: { max-mesage = 1; ",
         "max-message"),
        ("a bad value", "smtp: { ", 'smtp: { max-line = "x"; ', "max-line"),
        ("no syntax", "smtp: { ", "smtp: { {{ ", "postward.conf:"),
        ("a broken certificate", 'chain = "', 'chain = "%s"; chaim = "' %
         broken, "postward.conf:"),
        ("a certificate that is not there", "mx.example.test-ec.pem",
         "absent.pem", "absent.pem"),
        ("an unknown stage", '[ "none" ]', '[ "nosuch" ]', "nosuch"),
        ("an unknown symbol's weight", "policy: { ",
         'policy: { weights = [ "NO_SUCH=1" ]; ', "NO_SUCH"),
        ("another state folder", 'state-dir = "%s"' % pw.state,
         'state-dir = "%s2"' % pw.state, "restart"),
        ("another mail root", 'mail-root = "%s"' % pw.mail,
         'mail-root = "%s2"' % pw.mail, "restart"),
        ("a port that another program has", "listener: ( ",
         'listener: ( { name = "more"; address = "127.0.0.1"; port = %d; }, '
         % taken.getsockname()[1], "listener more: cannot bind to"),
        ("an address that is not ours", "listener: ( ",
         'listener: ( { name = "more"; address = "192.0.2.1"; port = %d; }, '
         % pwtest.free_port(), "listener more: cannot bind to"),
        ("our port by another address", 'address = "127.0.0.1"; port = %d' %
         pw.port, 'address = "*"; port = %d' % pw.port, "restart"),
    ]
    for what, old, new, words in cases:
        if old not in good:
            report.check(False, "reload with " + what, "no place for it")
            continue
        with open(pw.file, "w") as f:
            f.write(good.replace(old, new, 1))
        lines = len(pw.logged("reload.failed"))
        r = subprocess.run(
            [pw.program("postward"), "-c", pw.file + ".good", "reload"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=60)
        report.check(r.returncode == 78 and words in r.stdout,
                     "reload with " + what, "exit %d: %s" % (
                         r.returncode, r.stdout))
        pwtest.wait_for(
            lambda: len(pw.logged("reload.failed")) == lines + 1, 5,
            say="log of a reload with " + what)
    # By the signal as well.
    lines = len(pw.logged("reload.failed"))
    pw.process.send_signal(signal.SIGHUP)
    pwtest.wait_for(lambda: len(pw.logged("reload.failed")) > lines, 10,
                    say="SIGHUP refused")
    taken.close()
    with open(pw.file, "w") as f:
        f.write(good)
    report.check(generation(pw) == before and pw.pids("front") == pids,
                 "the old generation goes on")
    code, text = rawsmtp.send(pw.port)
    report.check(code == 250, "a mail after refused reloads", text)


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
        return False
    except ConnectionRefusedError:
        return True


def listeners(report, pw):
    """Added, changed, moved and removed by reloads; nobody who is connected
    or mails meanwhile notices."""
    extra, later = pwtest.free_port(), pwtest.free_port()
    with open(pw.file) as f:
        good = f.read()
    first = "{ name = \"mx\"; address = \"127.0.0.1\"; port = %d;" % pw.port
    more = '{ name = "more"; address = "127.0.0.1"; port = %d; ' \
        'backlog = 7; stages = [ "none" ]; max-message = "1K"; }'

    def reload(old, new):
        with open(pw.file, "w") as f:
            f.write(good.replace(old, new, 1))
        pw.verb("reload")

    def codes(port, size=0):
        return rawsmtp.send(port, rawsmtp.mail() + b"x" * 70 * size)[0] \
            if not size else rawsmtp.send(
                port, rawsmtp.mail() + (b"x" * 70 + b"\r\n") * size)[0]

    report.check(first in good, "place for listeners", good[:500])
    # One more, before the first: its place in the list changes.
    reload(first, more % extra + ", " + first)
    report.check(codes(extra) == 250 and codes(pw.port) == 250, "added")
    report.check(codes(extra, 100) == 552 and codes(pw.port, 100) == 250,
                 "each with its own limits")
    settled(pw)
    with rawsmtp.Client(extra) as old:
        old.cmd("EHLO client.friend.test")
        # It moves to another port; a session on the former one goes on.
        reload(first, more % later + ", " + first)
        report.check(refused(extra), "the former port is closed at once")
        report.check(codes(later) == 250, "the new port")
        code, _ = old.data(rawsmtp.mail()) if all(
            c == 250 for c, _ in (old.cmd("MAIL FROM:<a@friend.test>"),
                                  old.cmd("RCPT TO:<alice@example.test>"))
        ) else (0, "")
        report.check(code == 250, "a session of the former port", code)
    settled(pw)
    # One that cannot be bound: the good one before it does not stay.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        with open(pw.file, "w") as f:
            f.write(good.replace(first, more % extra + ", " + more.replace(
                '"more"', '"bad"') % taken.getsockname()[1] + ", " + first, 1))
        out = pw.verb("reload", check=False)
        report.check("listener bad: cannot bind to" in out, "one of two", out)
    report.check(refused(extra) and codes(later) == 250,
                 "the old listeners go on")
    # A generation that fails after its sockets were opened.
    reload(first, first)
    report.check(refused(later) and codes(pw.port) == 250, "removed")
    settled(pw)
    # Under load, back and forth: no client is turned away.
    end, lost = threading.Event(), []

    def load():
        while not end.is_set():
            try:
                code, text = rawsmtp.send(pw.port)
                if code != 250:
                    lost.append(text)
            except (OSError, rawsmtp.Closed) as e:
                lost.append(repr(e))
    thread = threading.Thread(target=load)
    thread.start()
    for n in range(6):
        reload(first, first if n % 2 else first + " backlog = 99;")
        reload(first, more % extra + ", " + first)
    reload(first, first)
    end.set()
    thread.join()
    report.check(not lost, "mail during reloads", lost[:3])
    settled(pw)
    master = "/proc/%d/fd" % pw.process.pid
    count = len(os.listdir(master))
    reload(first, more % extra + ", " + first)
    reload(first, first)
    settled(pw)
    report.check(len(os.listdir(master)) == count, "no descriptor is left",
                 "%d, then %d" % (count, len(os.listdir(master))))


def peer_certificate(client, name="mx.example.test"):
    client.cmd("EHLO client.friend.test")
    return ssl.DER_cert_to_PEM_cert(
        client.starttls(name).getpeercert(True)).strip()


def new_certificate(report, pw):
    chain = os.path.join(pw.folder, "tls", "mx.example.test-ec.pem")
    with open(chain) as f:
        old_pem = f.read().strip()
    held = rawsmtp.Client(pw.port)
    pwtest.certificate(os.path.join(pw.folder, "tls"))
    with open(chain) as f:
        new_pem = f.read().strip()
    with rawsmtp.Client(pw.port) as c:
        report.check(peer_certificate(c) == old_pem, "before the reload")
    pw.verb("reload")
    with rawsmtp.Client(pw.port) as c:
        report.check(peer_certificate(c) == new_pem, "new certificate")
    report.check(peer_certificate(held) == old_pem,
                 "the certificate of a session in flight")
    held.close()
    settled(pw)


def limits_overlap(report, pw):
    """Two generations count one client together."""
    rewrite(pw, "smtp: { ", "smtp: { max-sessions-address = 3; ")
    pw.verb("reload")
    settled(pw)
    held = [rawsmtp.Client(pw.port) for _ in range(3)]
    pw.verb("reload")
    with rawsmtp.Client(pw.port) as c:
        report.check(c.banner[0] == 421, "sessions of the old generation "
                     "count", str(c.banner))
    held.pop().close()

    def room():
        with rawsmtp.Client(pw.port) as c:
            return c.banner[0] == 220
    pwtest.wait_for(room, 5, say="room after one left")
    for c in held:
        c.close()
    rewrite(pw, "max-sessions-address = 3; ", "")
    pw.verb("reload")
    settled(pw)


def many_reloads(report, pw):
    """Reloads under load: nobody is dropped."""
    stop, replies = threading.Event(), []

    def load():
        while not stop.is_set():
            try:
                replies.append(rawsmtp.send(pw.port))
            except (OSError, rawsmtp.Closed) as e:
                replies.append((0, repr(e)))
    threads = [threading.Thread(target=load) for _ in range(4)]
    for t in threads:
        t.start()
    before = generation(pw)
    for _ in range(6):
        pw.verb("reload")
    stop.set()
    for t in threads:
        t.join()
    bad = [r for r in replies if r[0] != 250]
    report.check(len(replies) > 20 and not bad, "reloads under load",
                 "%d mails, %s" % (len(replies), bad[:3]))
    report.check(generation(pw) == before + 6, "reloads under load")
    settled(pw)


def live_store(report, pw):
    """LIVE options of the store are taken up as well."""
    with rawsmtp.Client(pw.port) as c:
        code, _ = c.envelope(to=("postmaster",))[-1]
        report.check(code == 250, "postmaster without domain", str(code))
    rewrite(pw, 'log: {', 'accounts: { postmaster = "bob@example.test"; '
            'delimiters = "-"; };\nlog: { level = "notice";')
    pw.verb("reload")
    for to, mailbox in (("postmaster", "bob"),
                        ("alice-list@example.test", "alice")):
        def arrives():
            before = len(pw.maildir(mailbox))
            code, text = rawsmtp.send(pw.port, to=(to,))
            return code == 250 and len(pw.maildir(mailbox)) == before + 1
        pwtest.wait_for(arrives, 5, say="reload: " + to)
        report.check(True, "reload: " + to)
    code, text = rawsmtp.send(pw.port, to=("alice+list@example.test",))
    report.check(code == 550, "reload: delimiters", text)
    report.check(not pw.logged("smtp.message", "alice-list"),
                 "reload: log.level")
    settled(pw)


def reloads(report):
    pw = pwtest.Postward(pwtest.scratch("config"), store=SMALL,
                         listener='stages = [ "none" ];')
    rewrite(pw, 'stages = [ "none" ]; ', 'stages = [ "none" ];')
    pw.accounts()
    pw.start()
    # What is asked while the configuration is a broken one.
    shutil.copy(pw.file, pw.file + ".good")
    try:
        generated(report, pw)
        for step in (reload_good, reload_bad, listeners, new_certificate,
                     limits_overlap, many_reloads, live_store):
            start = time.monotonic()
            try:
                step(report, pw)
            except (OSError, RuntimeError, rawsmtp.Closed) as e:
                report.check(False, step.__name__, repr(e))
                shutil.copy(pw.file + ".good", pw.file)
            print("  %s: %.1f s" % (step.__name__, time.monotonic() - start))
    finally:
        report.check(pw.stop() == 0, "stop")


# ---- restart, stop ---------------------------------------------------------------


def restarts(report, pw):
    """Whichever role dies, it comes back, and mail is taken again."""
    for role in ("scan", "resolve", "store", "front"):
        before = pw.pids(role)
        os.kill(before[-1], signal.SIGKILL)

        def back():
            r = run("postward", "-c", pw.file, "status")
            now = re.findall(r"(?m)^role\.%s\.\S+ ready pid=(\d+)" % role,
                             r.stdout)
            return len(now) == len(before) and str(before[-1]) not in now
        pwtest.wait_for(back, 10, say=role + " is back")

        def works():
            try:
                return rawsmtp.send(pw.port)[0] == 250
            except (OSError, rawsmtp.Closed):
                return False
        pwtest.wait_for(works, 10, say="mail after the death of " + role)
        report.check(pw.logged("role.end", "role=" + role, "signal=9"),
                     "log of the death of " + role)


def backs_off(report):
    """A role that ends again and again is started later and later; who mails
    meanwhile is told to come again, and after a quiet time it starts at
    once."""
    pw = pwtest.Postward(pwtest.scratch("config-backoff"), tls=False,
                         store=SMALL, listener='stages = [ "none" ];')
    pw.accounts()
    pw.start()

    def process(role):
        return pw.processes().get(role, [None])[0]

    def kill(role):
        """Ends it; how long it was gone, and what clients heard."""
        pid, heard = process(role), set()
        os.kill(pid, signal.SIGKILL)
        begin = time.monotonic()
        while process(role) in (pid, None) and time.monotonic() < begin + 15:
            if role == "store":
                with rawsmtp.Client(pw.port) as c:
                    c.cmd("EHLO client.friend.test")
                    heard.add(c.cmd("MAIL FROM:<ines@friend.test>")[0])
            time.sleep(0.02)
        return time.monotonic() - begin, heard
    try:
        for role in ("store", "front"):
            gone, codes = [], set()
            for _ in range(7):
                took, heard = kill(role)
                gone.append(took)
                codes |= heard
            what = "%s: gone for %s s" % (role, ", ".join(
                "%.1f" % t for t in gone))
            report.check(gone[0] < 0.5 and 1.2 < gone[-1] < 10 and
                         gone[-2] > gone[-4], what)
            if role == "store":
                report.check(codes and codes <= {250, 421, 451} and
                             codes & {421, 451}, "mail meanwhile", str(codes))
            code, text = rawsmtp.send(pw.port)  # or waits for the front
            pwtest.wait_for(lambda: rawsmtp.send(pw.port)[0] == 250, 10,
                            say="mail after " + what)
            time.sleep(5.5)
            took, _ = kill(role)
            report.check(took < 0.5, role + " after a quiet time",
                         "%.1f s" % took)
        pwtest.wait_for(lambda: rawsmtp.send(pw.port)[0] == 250, 10,
                        say="mail at the end")
    finally:
        report.check(pw.stop() == 0, "stop")


def in_flight(report, pw, port):
    """A mail whose checks take a while when the daemon is told to stop."""
    c = rawsmtp.Client(port)
    c.envelope(sender="ines@slow.test")
    c.cmd("DATA")
    c.send(rawsmtp.mail("past the dot") + b".\r\n")
    return c


def stop(report, pw, slow):
    idle = rawsmtp.Client(pw.port)
    idle.cmd("EHLO client.friend.test")
    envelope = rawsmtp.Client(pw.port)
    envelope.envelope()
    half = rawsmtp.Client(pw.port)
    half.envelope()
    half.cmd("DATA")
    half.send(rawsmtp.mail("finishes in time"))
    stuck = rawsmtp.Client(pw.port)
    stuck.envelope()
    stuck.cmd("DATA")
    stuck.send("Subject: never ends\r\n")
    past = in_flight(report, pw, slow)
    time.sleep(0.2)
    start = time.monotonic()
    pw.process.send_signal(signal.SIGTERM)
    code, text = idle.reply()
    report.check(code == 421 and idle.closed(), "stop: idle session",
                 "%d %s" % (code, text))
    code, text = envelope.reply()
    report.check(code == 421 and envelope.closed(), "stop: before data",
                 "%d %s" % (code, text))
    half.send("Rest.\r\n.\r\n")
    code, text = half.reply()
    report.check(code == 250, "stop: data under way", "%d %s" % (code, text))
    report.check(half.reply()[0] == 421, "stop: after its data")
    code, text = past.reply()
    report.check(code == 250, "stop: past the dot", "%d %s" % (code, text))
    report.check(past.reply()[0] == 421, "stop: past the dot, then 421")
    report.check(not pwtest.listens(pw.port), "stop: nobody new")
    try:
        code, text = stuck.reply()
        report.check(code == 421, "stop: data that never ends",
                     "%d %s" % (code, text))
    except rawsmtp.Closed:
        report.check(False, "stop: data that never ends", "no 421")
    rc = pw.process.wait(30)
    pw.process = None
    took = time.monotonic() - start
    report.check(rc == 0, "stop: exit code", str(rc))
    report.check(took < 15, "stop: time", "%.1f s" % took)
    subjects = b"".join(pw.maildir("alice").values())
    report.check(b"finishes in time" in subjects and b"past the dot" in
                 subjects and b"never ends" not in subjects, "stop: mail")
    for c in (idle, envelope, half, stuck, past):
        c.close()


def life(report):
    slow = pwtest.free_port()
    import socket
    hole = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    hole.bind(("127.0.0.1", 0))
    pw = pwtest.Postward(
        pwtest.scratch("config-life"), tls=False, store=SMALL,
        listener='stages = [ "none" ];', dns_more='timeout = "2s";',
        more_listeners=''', { name = "slow"; address = "127.0.0.1";
            port = %d; tls = false; }''' % slow)
    rewrite(pw, '"127.0.0.1@9"', '"127.0.0.1@%d"' % hole.getsockname()[1])
    pw.accounts()
    pw.start()
    with open(os.path.join(pw.run, "postwardd.pid")) as f:
        report.check(int(f.read()) == pw.process.pid, "pid file")
    try:
        second(report, pw)
        restarts(report, pw)
        stop(report, pw, slow)
        hole.close()
        r = run("postward", "-c", pw.file, "status")
        report.check(r.returncode == 69, "status without a daemon",
                     "exit %d" % r.returncode)
        # Killed outright, all its roles are gone, and it starts again.
        pw.start()
        pids = [p for role in ("front", "scan", "store", "resolve")
                for p in pw.pids(role)]
        pw.process.kill()
        pw.process.wait()
        pwtest.wait_for(lambda: not any(os.path.exists("/proc/%d" % p)
                                        for p in pids), 5, say="roles ended")
        pw.start()
        code, text = rawsmtp.send(pw.port)
        report.check(code == 250, "after a killed master", text)
    finally:
        report.check(pw.stop() in (0, None), "stop")


def second(report, pw):
    """Two daemons never share a state folder."""
    r = run("postwardd", "-f", "-c", pw.file)
    report.check(r.returncode == 75 and pw.run in r.stdout and
                 "process %d;" % pw.process.pid in r.stdout,
                 "a second daemon", "exit %d: %s" % (r.returncode, r.stdout))
    other = pwtest.Postward(pwtest.scratch("config-second"), tls=False,
                            store=SMALL)
    rewrite(other, "port = %d" % other.port, "port = %d" % pw.port)
    r = run("postwardd", "-f", "-c", other.file)
    report.check(r.returncode == 71 and "listener mx" in r.stdout,
                 "a port in use", "exit %d: %s" % (r.returncode, r.stdout))
    r = run("postwardd", "-c", other.file)
    report.check(r.returncode == 71, "a port in use, in the background",
                 "exit %d: %s" % (r.returncode, r.stdout))
    report.check(pw.up(), "the first daemon goes on")


def shared(report):
    """Two daemons with folders of their own, but for the state: the second is
    refused at once; when the first was killed it starts at once."""
    first = pwtest.Postward(pwtest.scratch("config-shared"), tls=False,
                            store=SMALL)
    first.start()
    other = pwtest.Postward(pwtest.scratch("config-shared2"), tls=False,
                            store=SMALL)
    rewrite(other, other.state, first.state)
    rewrite(other, other.mail, first.mail)
    for words in ((), ("-f",)):
        begin = time.monotonic()
        r = run("postwardd", *words, "-c", other.file)
        took = time.monotonic() - begin
        report.check(r.returncode == 75 and first.state in r.stdout and
                     "process %d;" % first.process.pid in r.stdout and
                     "errno" not in r.stdout and took < 2,
                     "a second daemon on one state", "exit %d in %.1f s: %s" %
                     (r.returncode, took, r.stdout))
    report.check(first.up(), "the first one goes on")
    first.process.kill()  # its roles may still be dying
    first.process.wait()
    first.process = None
    begin = time.monotonic()
    other.start()
    took = time.monotonic() - begin
    report.check(took < 3, "started after a kill", "%.1f s" % took)
    report.check(other.stop() == 0, "stop")


# ---- in the background -------------------------------------------------------------


def background(report):
    """Without -f: back when it serves, with a log file that can be moved."""
    folder = pwtest.scratch("config-background")
    log = os.path.join(folder, "log", "postward.log")
    os.mkdir(os.path.dirname(log))
    pw = pwtest.Postward(folder, tls=False, store=SMALL,
                         listener='stages = [ "none" ];')
    rewrite(pw, 'target = "stderr"', 'target = "%s"' % log)
    pw.accounts()
    try:
        r = run("postwardd", "-c", pw.file)
        report.check(r.returncode == 0, "start in the background", r.stdout)
        with open(os.path.join(pw.run, "postwardd.pid")) as f:
            pid = int(f.read())
        code, text = rawsmtp.send(pw.port)
        report.check(code == 250, "served at once", text)
        pwtest.wait_for(lambda: rawsmtp.ident(text) in open(log).read(), 5,
                        say="log file")
        os.rename(log, log + ".1")
        os.kill(pid, signal.SIGUSR1)
        pwtest.wait_for(lambda: os.path.exists(log), 5, say="a new log file")
        code, text = rawsmtp.send(pw.port)
        pwtest.wait_for(lambda: rawsmtp.ident(text) in open(log).read(), 5,
                        say="lines in the new log file")
        report.check(rawsmtp.ident(text) not in open(log + ".1").read(),
                     "not in the old one")
        report.check(os.stat(log).st_mode & 0o777 == 0o640, "its mode")
    finally:
        out = pw.verb("stop", check=False)
    report.check("stopping" in out, "postward stop", out)
    pwtest.wait_for(lambda: not os.path.exists("/proc/%d" % pid), 20,
                    say="stopped")
    report.check("master.end" in open(log).read(), "last line")


def formats(report):
    """-f writes to standard error; JSON is one object a line."""
    pw = pwtest.Postward(pwtest.scratch("config-json"), tls=False,
                         store=SMALL, listener='stages = [ "none" ];')
    rewrite(pw, 'target = "stderr"', 'target = "syslog"; format = "json"')
    pw.accounts()
    pw.start()
    code, text = rawsmtp.send(pw.port, rawsmtp.mail("json"),
                              helo="h\u00fcr.friend.test")
    report.check(pw.stop() == 0, "stop")
    with open(pw.log) as f:
        lines = [l for l in f if not l.startswith("warning:")]
    try:
        events = [json.loads(l) for l in lines]
        report.check(any(rawsmtp.ident(text) in json.dumps(e)
                         for e in events), "JSON lines")
    except ValueError:
        report.check(False, "JSON lines", str(lines[:3]))


def ordinary(report):
    """All of it as a user without rights."""
    folder = pwtest.scratch("config-user")
    pw = pwtest.Postward(folder, store=SMALL, owner="nobody" if ROOT else None,
                         dns_more='timeout = "500ms";')
    prefix = pwtest.as_user("nobody") if ROOT else []
    for words in (["domain", "add", "example.test"],
                  ["mailbox", "add", "alice@example.test"]):
        r = run("postward", "-c", pw.file, *words, prefix=prefix)
        report.check(r.returncode == 0, "as a user: " + " ".join(words),
                     r.stdout)
    pw.start()
    try:
        uid = str(os.stat(folder).st_uid)
        with open(os.path.join(pw.run, "postwardd.pid")) as f:
            master = int(f.read())
        with open("/proc/%d/task/%d/children" % (master, master)) as f:
            pids = [int(p) for p in f.read().split()] + [master]
        report.check(len(pids) == 8, "as a user: processes", str(pids))
        for pid in pids:
            with open("/proc/%d/status" % pid) as f:
                status = f.read()
            report.check("\nUid:\t" + "\t".join([uid] * 4) + "\n" in status,
                         "as a user: uid of %d" % pid)
            report.check(pid == master or pwtest.sanitized() or
                         "\nSeccomp:\t2\n" in status,
                         "as a user: seccomp of %d" % pid)
        code, text = rawsmtp.send(pw.port)
        report.check(code == 250 and len(pw.maildir("alice")) == 1,
                     "as a user: mail", text)
        r = run("postward", "-c", pw.file, "status", prefix=prefix)
        report.check(r.returncode == 0 and "role.store" in r.stdout,
                     "as a user: status", r.stdout)
        pw.verb("reload")
        settled(pw)
        with rawsmtp.Client(pw.port) as c:
            c.cmd("EHLO client.friend.test")
            c.starttls()
            report.check(c.cmd("EHLO client.friend.test")[0] == 250,
                         "as a user: TLS after a reload")
    finally:
        report.check(pw.stop() == 0, "stop")


def main():
    report = pwtest.Report("config")
    steps = [(check, (pwtest.scratch("config-check"),)), (reloads, ()),
             (life, ()), (backs_off, ()), (shared, ()), (background, ()), (formats, ()), (ordinary, ())]
    for step, arguments in steps:
        start = time.monotonic()
        try:
            step(report, *arguments)
        except (OSError, RuntimeError, rawsmtp.Closed, ValueError,
                subprocess.SubprocessError) as e:
            report.check(False, step.__name__, repr(e))
        print("%s: %.1f s" % (step.__name__, time.monotonic() - start))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
