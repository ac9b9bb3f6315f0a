#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Stages built outside the tree, by following postward-stage(7) only: that they
load, run in scan, in front and in shadow, and are refused with a clear line
where they do not fit; and real stages that crash, hang, give garbage, eat
memory, answer twice, late and never: each costs what the configuration says,
and nobody else.

    test_stages.py [NAME...]"""
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import dead_dns
import pwtest
import rawsmtp

report = pwtest.Report("test_stages")
MAN = os.path.join(pwtest.SRC, "filters", "postward-stage.7")
ZONE = {"friend.test": [("TXT", "v=spf1 ip4:127.0.0.1 -all"),
                        ("A", "127.0.0.1")],
        "client.friend.test": [("A", "127.0.0.1")]}


# ---- building -----------------------------------------------------------------

class Outside:
    """What a developer elsewhere has: an installation, and a folder."""

    def __init__(self):
        self.folder = pwtest.scratch("stages-outside")
        self.dest = os.path.join(self.folder, "dest")
        self.plugins = os.path.join(self.folder, "plugins")
        os.makedirs(self.plugins, mode=0o755)
        r = subprocess.run(["make", "-s", "install", "DESTDIR=" + self.dest],
                           cwd=pwtest.BUILD, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
        if r.returncode != 0:
            raise RuntimeError("make install: " + r.stdout[-2000:])
        self.prefix = self.find("bin/postward-stage-test")[
            :-len("/bin/postward-stage-test")]
        self.env = dict(os.environ, PKG_CONFIG_SYSROOT_DIR=self.dest,
                        PKG_CONFIG_PATH=self.prefix + "/lib/pkgconfig")

    def find(self, tail):
        for folder, _, names in os.walk(self.dest):
            for n in names:
                path = os.path.join(folder, n)
                if path.endswith("/" + tail):
                    return path
        raise RuntimeError("not installed: " + tail)

    def build(self, source, name=None, flags="", folder=None):
        """By the command of the manual page; the plug-in's path."""
        name = name or os.path.splitext(os.path.basename(source))[0]
        out = os.path.join(folder or self.plugins, name + ".so")
        subprocess.run("cc -shared -fPIC %s -pthread $(pkg-config --cflags "
                       "postward-stage) -o %s %s" % (flags, out, source),
                       shell=True, check=True, env=self.env, cwd=self.folder)
        os.chmod(out, 0o755)
        return out

    def harness(self, *words):
        """postward-stage-test: (exit, result, errors)."""
        r = subprocess.run([self.prefix + "/bin/postward-stage-test", *words],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True, cwd=self.folder, timeout=60)
        return r.returncode, json.loads(r.stdout) if r.stdout else None, \
            r.stderr


def manual_example():
    """The program that stands in the manual page."""
    with open(MAN) as f:
        page = f.read()
    text = re.search(r"\.SH EXAMPLE\n\.EX\n(.*?)\n\.EE", page, re.S).group(1)
    text = re.sub(r"^\\&", "", text, flags=re.M)
    return text.replace("\\-", "-").replace("\\e", "\\") + "\n"


def source(name):
    return os.path.join(HERE, "plugins", name)


def mail(subject="test", do=None):
    return rawsmtp.mail(subject, fields="X-Do: %s\r\n" % do if do else "")


# ---- a daemon with them ----------------------------------------------------------

class Daemon:
    """A Postward with plug-ins; STAGES are their names, SECTIONS the text of
    the stage group."""

    def __init__(self, outside, name, stages, sections="", server="", smtp="",
                 policy="", dns=None, users=("alice",)):
        self.name = name
        self.folder = pwtest.scratch("stages-" + name)
        self.plugins = os.path.join(self.folder, "plugins")
        self.pw = pwtest.Postward(
            self.folder, tls=False, dns=dns, users=users,
            listener="stages = [ %s ]" % ", ".join(
                '"%s"' % s for s in ["default", *stages]),
            server='plugin-dir = "%s"; %s' % (self.plugins, server),
            smtp=smtp, policy=policy, conf="stage: ( %s );\n" % sections,
            dns_more='timeout = "2s"')
        shutil.copytree(outside.plugins, self.plugins)
        os.chmod(self.plugins, 0o755)

    def __enter__(self):
        self.pw.accounts()
        self.pw.start()
        return self

    def __exit__(self, *_):
        if self.pw.process is not None and self.pw.process.poll() is None:
            self.pw.stop()

    def check(self, ok, what, detail=""):
        return report.check(ok, "%s: %s" % (self.name, what), detail)

    def change(self, old, new):
        """Edits the configuration."""
        with open(self.pw.file) as f:
            text = f.read()
        if old not in text:
            raise RuntimeError("not in the configuration: " + old)
        with open(self.pw.file, "w") as f:
            f.write(text.replace(old, new))

    def checked(self):
        """postwardd --check: (exit, what it says)."""
        r = subprocess.run([self.pw.program("postwardd"), "--check",
                            self.pw.file], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
        return r.returncode, "".join(
            l for l in r.stdout.splitlines(True)
            if not l.startswith("warning: "))

    def send(self, message, **more):
        return rawsmtp.send(self.pw.port, message, timeout=60, **more)

    def record(self, text):
        """The record of a mail that was answered TEXT, when it is written."""
        ident = rawsmtp.ident(text)
        return pwtest.wait_for(lambda: self.pw.explained(ident), 20, 0.1,
                               "record of " + str(ident))

    def evidence(self, rec, symbol):
        return [e for e in rec["evidence"] if e["symbol"] == symbol]

    def run(self, rec, stage):
        return [s for s in rec["stages"] if s["stage"] == stage]

    def count(self, name):
        return int(self.pw.status().get("front." + name, "0"))

    def accepted(self, what, message=None, **more):
        """A mail that is taken; its record, or None."""
        code, text = self.send(message or mail(what), **more)
        if not self.check(code == 250, what, "%d %s" % (code, text)):
            return None
        return self.record(text)


# ---- built outside ------------------------------------------------------------------

def third_party(out):
    with open(os.path.join(pwtest.SRC, "filters", "example.c")) as f:
        report.check(f.read() == manual_example(), "the manual page has "
                     "filters/example.c")
    for tail in ("include/postward/stage.h", "pkgconfig/postward-stage.pc",
                 "man7/postward-stage.7"):
        report.check(os.path.exists(out.find(tail)), tail)
    path = os.path.join(out.folder, "subject-words.c")
    with open(path, "w") as f:
        f.write(manual_example())
    plugin = out.build(path)
    with open(out.folder + "/won.eml", "w") as f:
        f.write("From: a@b.test\nSubject: You won the lottery\n\nHi.\n")
    for name, want in (("good", "lottery"), ("bad", "prize")):
        with open(out.folder + "/%s.json" % name, "w") as f:
            json.dump({"outcomes": {"header": "hit"}, "evidence": [
                {"symbol": "SUBJECT_WORD", "weight": 0.5, "text": want}]}, f)
    code, result, err = out.harness(plugin, "--message", "won.eml",
                                    "--expect", "good.json")
    report.check(code == 0, "harness: as expected", err)
    code, result, err = out.harness(plugin, "--message", "won.eml",
                                    "--expect", "bad.json")
    report.check(code == 1 and "evidence[0].text" in err,
                 "harness: tells a difference", err)
    code, result, err = out.harness(plugin, "--message", "won.eml",
                                    "--option", "word=prize")
    report.check(code == 0 and result["outcomes"]["header"] == "no hit",
                 "harness: options", result)
    code, result, err = out.harness(plugin, "--option", "word=")
    report.check(code != 0 and "write word=WORD" in err,
                 "harness: a stage that does not start", err)
    harness_dns(out)


def harness_dns(out):
    """Facts and recorded answers."""
    plugin = out.build(source("asking.c"), folder=out.folder)
    with open(out.folder + "/facts.json", "w") as f:
        json.dump({"peer.ip": "192.0.2.1", "mail.domain": "x.test",
                   "rcpt.address": ["a@y.test", "b@y.test"]}, f)
    with open(out.folder + "/answers.json", "w") as f:
        json.dump({"dns": [{"name": "x.test", "type": "MX", "status": "ok",
                            "records": ["10 mx.x.test"]},
                           {"name": "mx.x.test", "type": "A", "status": "ok",
                            "records": ["192.0.2.1"]}]}, f)
    words = (plugin, "--facts", "facts.json")
    code, result, err = out.harness(*words, "--answers", "answers.json")
    report.check(code == 0 and result and result["facts"] == {
        "asking.mx": "mx.x.test", "asking.rcpts": 2, "asking.mine": 1} and
        result["asked"] == ["x.test MX", "mx.x.test A"],
        "harness: facts and answers", (result, err))
    code, result, err = out.harness(*words)
    report.check(code == 0 and result and result["outcomes"]["mail"] ==
                 "could not run: not recorded",
                 "harness: a question without an answer", (result, err))


def roles(out):
    """One word moves a stage; one word puts it in shadow."""
    section = '{ name = "subject-words"; role = "auto"; shadow = false; }'
    with Daemon(out, "roles", ["subject-words"], section) as d:
        won = "you won the lottery"
        for role, old in (("scan", "auto"), ("front", "scan")):
            d.change('role = "%s"' % old, 'role = "%s"' % role)
            d.pw.verb("reload")
            rec = d.accepted("in " + role, mail(won))
            got = rec and d.evidence(rec, "SUBJECT_WORD")
            d.check(got and not got[0]["shadow"] and got[0]["weight"] == 0.5,
                    "evidence in " + role, rec)
            shown = d.pw.verb("pipeline", "show")
            d.check(re.search(r"subject-words 1: .*\n    runs in %s at header"
                              % role, shown), "pipeline show: " + role, shown)
        score = rec["score"]
        d.change("shadow = false", "shadow = true")
        d.pw.verb("reload")
        rec = d.accepted("in shadow", mail(won))
        got = rec and d.evidence(rec, "SUBJECT_WORD")
        d.check(got and got[0]["shadow"] and
                abs(score - rec["score"] - 0.5) < 1e-6,
                "recorded, not counted", rec)
        d.change("shadow = true", "shadow = false")
        d.change("policy: { ", 'policy: { shadow = [ "SUBJECT_WORD" ]; ')
        d.pw.verb("reload")
        rec = d.accepted("one symbol in shadow", mail(won))
        got = rec and d.evidence(rec, "SUBJECT_WORD")
        d.check(got and got[0]["shadow"] and
                abs(score - rec["score"] - 0.5) < 1e-6,
                "a symbol is recorded, not counted", rec)
        d.change('role = "front"', 'role = "bridge"')
        said = d.pw.verb("reload", check=False)
        d.check("stage[0].role" in said and "goes on unchanged" in said,
                "a reload that does not fit", said)
        body = b"x" * 70 + b"\r\n"
        rec = d.accepted("larger than front holds in memory",
                         mail(won) + body * 20000)
        d.check(rec and d.run(rec, "subject-words")[0]["reason"] ==
                "too large for the role front", "is could not run", rec)


def refused(out):
    """Everything that does not fit is told in one line."""
    d = Daemon(out, "refused", ["trouble"], '{ name = "trouble"; }')
    so = os.path.join(d.plugins, "trouble.so")
    src = source("trouble.c")
    where = d.pw.file + ":"

    def case(what, *parts, do=None, undo=None):
        if do:
            do()
        code, text = d.checked()
        d.check(code != 0 and text.count("\n") == 1 and where in text and
                all(p in text for p in parts), what, text)
        if undo:
            undo()

    def rebuild(*flags):
        out.build(src, "trouble", " ".join(flags), d.plugins)

    def option(text):
        d.change('{ name = "trouble"; }', '{ name = "trouble"; %s }' % text)

    def plain(text):
        d.change('{ name = "trouble"; %s }' % text, '{ name = "trouble"; }')

    rebuild()
    code, text = d.checked()
    d.check(code == 0, "it fits", text)
    case("a file that others may write to", "0777", "chmod",
         do=lambda: os.chmod(so, 0o777), undo=lambda: os.chmod(so, 0o755))
    case("a folder that others may write to", "0775", "chmod",
         do=lambda: os.chmod(d.plugins, 0o775),
         undo=lambda: os.chmod(d.plugins, 0o755))
    if os.geteuid() == 0:
        case("a file of another user", "belong to root",
             do=lambda: os.chown(so, 1, 1), undo=lambda: os.chown(so, 0, 0))
        case("a folder of another user", "belong to root",
             do=lambda: os.chown(d.plugins, 1, 1),
             undo=lambda: os.chown(d.plugins, 0, 0))
    for flags, parts in (
            (["-DABI=9"], ["interface 9"]), (["-DSIZE=8"], ["8 bytes"]),
            (["-DFEATURES='\"abi1-lp32-be\"'"], ["abi1-lp32-be"]),
            (["-DNAME='\"other\"'"], ["named 'other'"]),
            (["-Dpw_stage_entry=nothing"], ["exports no pw_stage_entry"]),
            (["-DNEED=PW_NEED_NETWORK"], ["needs the network"]),
            (["-DNEED=PW_NEED_EXEC"], ["to start programs"])):
        rebuild(*flags)
        case(" ".join(flags), *parts)
    rebuild("-DROLES=PW_ROLE_SCAN")
    for text, parts in (
            ('role = "front";', ["role", "cannot run in the role front",
                                 "write scan"]),
            ('role = "bridge";', ["stage[0].role"]),
            ('options = [ "nonsense=1" ];', ["stage[0].options", "nonsense"]),
            ('options = [ "start=no" ];', ["stage[0].options",
                                           "write start=yes"])):
        option(text)
        case(text, *parts)
        plain(text)
    out.build(source("patient.c"), folder=d.plugins)
    d.change('"trouble" ]', '"patient" ]')
    d.change('{ name = "trouble"; }', '{ name = "patient"; role = "scan"; }')
    case("waits for answers from outside", "write front")
    d.change('{ name = "patient"; role = "scan"; }', '{ name = "patient"; }')
    d.change("policy: { ", 'policy: { shadow = [ "NO_SUCH" ]; ')
    case("a symbol that nobody has", "policy.shadow", "NO_SUCH")
    d.change('shadow = [ "NO_SUCH" ]; ', "")
    d.change('"patient" ]', '"no-such" ]')
    case("a file that is not there", "listener[0].stages", "no-such.so")


# ---- misbehaving ----------------------------------------------------------------------

def aside(d):
    folder = os.path.join(d.pw.state, "aside")
    return os.listdir(folder) if os.path.isdir(folder) else []


def crashes(out):
    """A crash: one 451, a line, the message aside; the second time the stage's
    own rule, and nobody else's."""
    with Daemon(out, "crash", ["trouble"], server="scan-processes = 1;") as d:
        bad = mail("crash", "crash")
        before = len(d.pw.logged("scan.failed", "crashed"))
        code, text = d.send(bad)
        d.check(code == 451, "the first time", "%d %s" % (code, text))
        d.check(len(d.pw.logged("scan.failed", "crashed")) == before + 1,
                "one line", d.pw.tail())
        d.check(d.pw.logged("scan.failed", "crashed", "stage=trouble"),
                "which names the stage", d.pw.tail())
        pwtest.wait_for(lambda: aside(d), 10, say="kept aside")
        rec = d.accepted("the second time: its rule is skip", bad)
        if rec:
            d.check(d.run(rec, "trouble")[0]["reason"] == "crashed" and
                    all(s["reason"] == "" for s in rec["stages"]
                        if s["stage"] != "trouble"),
                    "the others have run", rec["stages"])
            d.check(rec["action"] == "deliver", "delivered", rec["action"])
        d.accepted("another mail")
        d.check(d.count("stage.trouble.errors") == 2, "counted")


def others_unhurt(out):
    """Several threads share the processes; mails that crash them come between
    others."""
    with Daemon(out, "threads", ["trouble"],
                server="scan-processes = 2; front-threads = 4;") as d:
        replies, lock = [], threading.Lock()

        def client(number):
            for i in range(12):
                do = "crash" if number == 0 and i % 4 == 0 else "sleep 5"
                subject = "n%d-%d" % (number, i)
                got = d.send(mail(subject, do))
                with lock:
                    replies.append((do, got))
        threads = [threading.Thread(target=client, args=(n,))
                   for n in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        good = [r for do, r in replies if do != "crash"]
        bad = [r for do, r in replies if do == "crash"]
        d.check(len(good) == 69 and all(c == 250 for c, _ in good),
                "good mails", [r for r in good if r[0] != 250])
        d.check(len(bad) == 3 and all(c == 451 for c, _ in bad),
                "mails that crash", bad)
        d.check(d.count("stage.structure.errors") == 0 and
                d.count("stage.dkim.errors") == 0 and
                d.count("stage.spf.errors") == 0,
                "no other stage failed", d.pw.status())


def hangs(out):
    """A hang ends at the stage's limit; what follows is configured."""
    want = {"skip": 250, "tag": 250, "tempfail": 451, "hold": 250}
    section = '{ name = "trouble"; on-error = "skip"; timeout = "700ms"; }'
    with Daemon(out, "hang", ["trouble"], section) as d:
        last = "skip"
        for rule, code_wanted in want.items():
            if rule != last:
                d.change('on-error = "%s"' % last, 'on-error = "%s"' % rule)
                d.pw.verb("reload")
                last = rule
            begin = time.monotonic()
            code, text = d.send(mail("hang " + rule, "hang"))
            took = time.monotonic() - begin
            # The dead name server costs two time limits of 2 s more: names
            # in the envelope, and those that only the message tells.
            d.check(code == code_wanted and 0.6 < took < 6,
                    "rule " + rule, "%d %s after %.1f s" % (code, text, took))
            if code != 250:
                continue
            rec = d.record(text)
            d.check(d.run(rec, "trouble")[0]["reason"] == "time limit",
                    "reason in the record", rec["stages"])
            d.check(rec["action"] == ("hold" if rule == "hold" else
                                      "deliver"), "action of " + rule,
                    rec["action"])
            d.check(d.run(rec, "structure")[0]["reason"] == "",
                    "others have run", rec["stages"])
        noted = [m for m in d.pw.maildir("alice").values()
                 if b"X-Postward-Note: not checked: trouble (time limit)" in m]
        d.check(len(noted) == 1, "tag leaves a note")
        d.check(d.pw.logged("scan.late"), "a line in the log")
        d.accepted("another mail")


def garbage(out):
    """Whatever a stage gives: left out, counted, harmless."""
    with Daemon(out, "garbage", ["trouble"]) as d:
        before = 0
        for do, outcome, pieces in (
                ("outcome", "could not run", 0), ("symbol", "no hit", 0),
                ("huge", "hit", 2), ("garble", "hit", 1),
                ("many", "hit", 64), ("facts", "hit", 1),
                ("pending", "could not run", 0), ("error", "could not run",
                                                  0)):
            rec = d.accepted(do, mail(do, do))
            if not rec:
                continue
            run = d.run(rec, "trouble")[0]
            got = d.evidence(rec, "TROUBLE")
            d.check(run["outcome"] in (outcome, ["hit", "no hit", "n/a",
                    "could not run"].index(outcome)) and len(got) == pieces,
                    "outcome of " + do, (run, len(got)))
            d.check(all(len(e["text"]) <= 404 and e["text"].isprintable()
                        for e in got), "texts of " + do)
            d.check("SPF_PASS" not in [e["symbol"] for e in rec["evidence"]
                                       if e["stage"] == "trouble"],
                    "symbols of " + do)
            rejected = d.count("stage.trouble.rejected")
            if outcome != "could not run":
                d.check(rejected == before + (do != "huge"),
                        "counted: " + do, (before, rejected))
            before = rejected
        mails = d.pw.maildir("alice").values()
        d.check(mails and all(b"\nX-Injected" not in m and
                              b"Received: forged" not in m for m in mails),
                "no field was smuggled in")
        d.check(d.count("pipeline.crashes") == 0, "no process ended")


def decoded(out):
    """The host decodes the parts of a message for a stage; only in scan."""
    message = rawsmtp.mail("parts", "--x\r\nContent-Type: text/html\r\n"
                           "Content-Transfer-Encoding: quoted-printable\r\n"
                           "\r\na=3Db\r\n--x\r\n\r\nc\r\n--x--\r\n",
                           "X-Do: parts\r\nMIME-Version: 1.0\r\n"
                           "Content-Type: multipart/mixed; boundary=x\r\n")
    with Daemon(out, "decoded", ["trouble"],
                '{ name = "trouble"; role = "auto"; }') as d:
        for role, want in (("scan", ["text/html: a=b", "text/plain: c"]),
                           ("front", [])):
            rec = d.accepted("parts in " + role, message)
            got = rec and [e["text"].strip()
                           for e in d.evidence(rec, "TROUBLE")]
            d.check(got == want, "what it got in " + role, got)
            if role == "scan":
                d.change('role = "auto"', 'role = "front"')
                d.pw.verb("reload")


def memory(out):
    """Memory has a bound: what passes it is a crash of one process."""
    with Daemon(out, "memory", ["trouble"],
                '{ name = "trouble"; timeout = "20s"; }',
                server='scan-processes = 1; scan-memory = "600M";') as d:
        if pwtest.sanitized():
            print("skipped: memory (a sanitizer build confines nothing)")
            return
        code, text = d.send(mail("memory", "memory"))
        d.check(code == 451, "451", "%d %s" % (code, text))
        d.accepted("another mail")


def answers(out):
    """Answers of a thread: once, twice, late, never, and to nobody."""
    with Daemon(out, "answers", ["patient"]) as d:
        for who, outcome in (("once", 1), ("twice", 1), ("late", 0),
                             ("never", 0), ("once", 1)):
            begin = time.monotonic()
            rec = d.accepted(who, mail(who), sender=who + "@friend.test")
            took = time.monotonic() - begin
            if rec:
                d.check(len(d.evidence(rec, "PATIENT")) == outcome,
                        "evidence of " + who, rec["evidence"])
                d.check(outcome == 1 or d.run(rec, "patient")[0]["reason"] ==
                        "time limit", "reason of " + who, rec["stages"])
            d.check(took < 5, "time of " + who, took)
        with rawsmtp.Client(d.pw.port) as c:
            c.cmd("EHLO client.friend.test")
            c.send("MAIL FROM:<late@friend.test>\r\n")
        time.sleep(1.5)
        d.accepted("after one that left", sender="once@friend.test")
        d.check(d.count("pipeline.late_answers") >= 2, "counted",
                d.count("pipeline.late_answers"))
        d.check(len(d.pw.logged("stage.log", "given up")) >= 3,
                "the stage was told")


def envelope(out, dns):
    """SPF never waits behind an archive: all processes for messages are busy,
    and the commands of other clients are answered at once."""
    with Daemon(out, "envelope", ["trouble"], dns=dns,
                sections='{ name = "trouble"; timeout = "10s"; }',
                server="scan-processes = 1;",
                policy='spf-fail = "refuse"') as d:
        d.accepted("first")  # fills the resolver's cache
        slow = threading.Thread(target=d.send, args=(
            mail("slow", "sleep 2500"),))
        slow.start()
        time.sleep(0.4)
        worst, n = 0, 0
        while slow.is_alive() and n < 20:
            with rawsmtp.Client(d.pw.port) as c:
                begin = time.monotonic()
                replies = c.envelope()
                worst = max(worst, time.monotonic() - begin)
                n += 1
                if any(code != 250 for code, _ in replies):
                    d.check(False, "envelope", replies)
        still = slow.is_alive()
        slow.join()
        d.check(n >= 10 and still, "while the mail was read", n)
        d.check(worst < 0.5, "EHLO, MAIL and RCPT with SPF",
                "%.3f s" % worst)
        print("envelope: worst of %d sessions beside a busy scan process "
              "%.1f ms" % (n, worst * 1000))


def budget(out):
    """The time for a message is short: dear stages are given up first, and the
    record says so."""
    plugin = out.build(source("trouble.c"), "dear", "-DNAME='\"dear\"' "
                       "-DCOST=PW_COST_DEAR -DTIMEOUT=20000")
    normal = out.build(source("trouble.c"), "normal", "-DNAME='\"normal\"' "
                       "-DTIMEOUT=20000")
    with Daemon(out, "budget", ["normal", "dear"],
                server="scan-processes = 3;", smtp='end-timeout = "4s"') as d:
        with rawsmtp.Client(d.pw.port, timeout=60) as c:
            c.envelope()
            begin = time.monotonic()
            code, text = c.data(mail("both", "sleep 15000"))
            took = time.monotonic() - begin
        d.check(code == 250, "both sleep", "%d %s" % (code, text))
        rec = d.record(text) if code == 250 else None
        if rec:
            for stage in ("dear", "normal"):
                run = d.run(rec, stage)[0]
                d.check(run["reason"] == "no time left for this message",
                        "%s is given up" % stage, run)
            d.check(d.run(rec, "structure")[0]["reason"] == "",
                    "the rest has run", rec["stages"])
        d.check(took < 4, "answered within the budget", took)
    os.unlink(plugin)
    os.unlink(normal)


def slow_front(out):
    """A stage that holds up a loop of front is counted and told."""
    with Daemon(out, "slow", ["trouble"],
                '{ name = "trouble"; role = "front"; }') as d:
        d.accepted("slow", mail("slow", "sleep 60"))
        s = d.pw.status()
        d.check(s["front.stage.trouble.slow"] == "1" and
                d.pw.logged("stage.slow", "trouble"), "counted and told",
                s["front.stage.trouble.slow"])
        d.check(int(s["front.front.0.lag_worst_us"]) > 55000, "lag",
                s["front.front.0.lag_worst_us"])
        for name in ("runs", "hits", "nohits", "na", "errors", "wall_us",
                     "cpu_us"):
            d.check("front.stage.trouble." + name in s, "counter " + name)


def dead(_):
    """Every DNS server dead, in short."""
    dead_dns.check(report, mails=300, clients=20)


def main():
    out = Outside()
    out.build(source("trouble.c"))
    out.build(source("patient.c"))
    tests = [third_party, refused, roles, crashes, others_unhurt, hangs,
             garbage, decoded, memory, answers, budget, slow_front, dead]
    dns = pwtest.Dnsd(os.path.join(pwtest.scratch("stages-dns"), "dns"), ZONE)

    def with_dns(out):
        envelope(out, dns)
    with_dns.__name__ = "envelope"
    tests.append(with_dns)
    try:
        for t in tests:
            if len(sys.argv) < 2 or t.__name__ in sys.argv[1:]:
                try:
                    t(out)
                except (OSError, RuntimeError, rawsmtp.Closed,
                        subprocess.SubprocessError) as e:
                    report.check(False, t.__name__, repr(e))
    finally:
        dns.stop()
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
