#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""What follows from the evidence, for each recipient: every pair of actions
with PRDR and without, the allow and block lists, thresholds by domain and
mailbox, the Junk folder as Dovecot shows it, the quarantine, the record."""
import imaplib
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dovecot
import pwtest
import rawsmtp

CLIENT, OTHER = "192.0.2.10", "192.0.2.20"
ACTIONS = ("deliver", "junk", "hold", "refuse-keep", "refuse", "defer",
           "discard")
REFUSED = ("refuse", "refuse-keep")


def arpa(ip):
    return ".".join(reversed(ip.split("."))) + ".in-addr.arpa"


WORLD = {
    "good.test": [("TXT", "v=spf1 ip4:%s -all" % CLIENT), ("A", CLIENT)],
    "open.test": [("TXT", "v=spf1 +all"), ("A", CLIENT)],
    "bad.test": [("TXT", "v=spf1 ip4:192.0.2.99 -all"), ("A", CLIENT)],
    "silent.test": [("MX", (0, ".")), ("A", CLIENT)],
    "list.test": [("A", CLIENT)],
    arpa(CLIENT): [("PTR", "good.test")],
}


def message(what, sender="x@list.test"):
    return rawsmtp.mail(what).replace(b"Ines <ines@friend.test>",
                                      sender.encode())


class World:
    def __init__(self, report, pw, port, imap):
        self.report, self.pw, self.port, self.imap = report, pw, port, imap
        self.count = 0

    def check(self, ok, what, detail=""):
        return self.report.check(ok, what, detail)

    def box(self, name):
        return "%s@example.test" % name

    def mail(self, what, to, sender="ines@list.test", author="x@list.test",
             prdr=False, ip=CLIENT):
        """[(code, text)] of RCPT, and then of the end of data."""
        self.count += 1
        with rawsmtp.Client(self.port, proxy=ip) as c:
            c.cmd("EHLO good.test")
            c.cmd("MAIL FROM:<%s>%s" % (sender, " PRDR" if prdr else ""))
            rcpt = [c.cmd("RCPT TO:<%s>" % self.box(t)) for t in to]
            if all(r[0] != 250 for r in rcpt):
                return rcpt, []
            end = [c.data(message("%s %d" % (what, self.count), author))]
            if end[0][0] == 353:
                end += [c.reply() for r in rcpt if r[0] == 250]
                end.append(c.reply())
            c.cmd("QUIT")
            return rcpt, end

    def record(self, sender):
        """The newest record of mail from SENDER."""
        def newest():
            rows = self.pw.verb("trace", sender, json_out=True)
            return rows[0] if rows else None
        return pwtest.wait_for(newest, 10, say="record of " + sender)

    def judged(self, sender):
        return {r["given"].split("@")[0]: r for r in
                self.record(sender)["recipients"]}

    def quarantine(self):
        root = os.path.join(self.pw.state, "quarantine")
        out = []
        for sub in ("new", "cur"):
            d = os.path.join(root, sub)
            for name in os.listdir(d) if os.path.isdir(d) else ():
                with open(os.path.join(d, name), "rb") as f:
                    out.append(f.read())
        return out


# ---- pairs --------------------------------------------------------------------------


def done(a, b):
    if "defer" in (a, b):
        return "defer"
    return "hold" if a in REFUSED and b not in REFUSED else a


def code_of(action):
    return 451 if action == "defer" else 550 if action in REFUSED else 250


def files(w, a, b):
    n = {name: len(w.pw.maildir(name, folder)) for name, folder in
         ((a, ""), (b, ""), ("j" + a, "Junk"), ("j" + b, "Junk"))
         if not name.startswith("j") or name == "junk"}
    n["Junk"] = len(w.pw.maildir("junk", "Junk"))
    n["quarantine"] = len(w.quarantine())
    return n


def pair(w, a, b, prdr):
    what = "%s and %s%s" % (a, b, " with PRDR" if prdr else "")
    sender = "p%d@list.test" % w.count
    before = files(w, a, b)
    rcpt, end = w.mail(what, (a, b), sender=sender, prdr=prdr)
    if not w.check([r[0] for r in rcpt] == [250, 250], what, str(rcpt)):
        return
    want = (a, b) if prdr else (done(a, b), done(b, a))
    codes = [code_of(x) for x in want]
    last = 250 if 250 in codes else 451 if 451 in codes else 550
    w.check([e[0] for e in end] == ([353] + codes if prdr else []) + [last],
            what, str(end))
    rows = w.judged(sender)
    w.check((rows[a]["action"], rows[b]["action"]) == want, what, str(rows))
    for name, verdict, act in ((a, a, want[0]), (b, b, want[1])):
        step = rows[name]["step"]
        w.check(("one reply must do" in step) == (verdict != act) and
                (name == "deliver" or "block entry" in step), what, step)
    copies = {"Junk": "junk" in want,
              "quarantine": any(x in ("hold", "refuse-keep") for x in want)}
    for name, act in zip((a, b), want):
        copies[name] = act == "deliver"

    def there():
        after = files(w, a, b)
        return all(after[k] - before[k] == int(v) for k, v in copies.items())
    try:
        pwtest.wait_for(there, 3, say="copies")
    except (RuntimeError, AssertionError):
        w.check(False, what, "%s, then %s; wanted one more of %s" % (
            before, files(w, a, b), copies))


def pairs(w):
    """The verdict is that of a block entry for the mailbox, by From, so that it
    is not known at RCPT."""
    for action in ACTIONS[1:]:
        w.pw.verb("block", "add", "x@list.test", "--for", w.box(action),
                  "--action", action, "--comment", "pairs")
    settle(w)
    for a in ACTIONS:
        for b in ACTIONS:
            if a != b:
                pair(w, a, b, False)
                pair(w, a, b, True)
    rcpt, end = w.mail("alone", ("refuse",), prdr=True)
    w.check([e[0] for e in end] == [550] and
            end[0][1].startswith("5.7.1 the sender is blocked"),
            "one recipient", str(end))


def settle(w):
    """The front has the accounts as they are now."""
    time.sleep(1.0)


# ---- what is seen of it ----------------------------------------------------------------


def seen(w):
    with imaplib.IMAP4("127.0.0.1", w.imap) as m:
        m.login(w.box("junk"), "secret")
        count = int(m.select("Junk", readonly=True)[1][0])
        w.check(count > 0, "Junk in Dovecot", str(count))
        text = m.fetch("1", "(BODY[HEADER])")[1][0][1].decode()
        w.check(re.search(r"(?s)X-Postward: junk; score=[0-9.]+; block\s+entry",
                          text), "X-Postward", text[:300])
        inbox = int(m.select("INBOX", readonly=True)[1][0])
        w.check(inbox == 0, "INBOX in Dovecot", str(inbox))
    held = [b for b in w.quarantine() if b"alone" not in b]
    w.check(held and all(b"\nX-Postward: " in b for b in held), "quarantine",
            "%d files" % len(held))
    ident = re.search(rb" id (\w{16})\b", held[0]).group(1).decode()
    text = w.pw.verb("explain", ident)
    w.check("Recipients\n" in text and "block entry" in text and
            ("held" in text or "copy kept" in text), "explain of held mail",
            text)
    before = len(held)
    w.pw.stop()
    w.pw.start()
    w.check(len(w.quarantine()) == before, "held mail after a restart")


# ---- lists --------------------------------------------------------------------------------


def verdict(w, what, want, to="alice", **mail):
    """The action for one mailbox, by the record."""
    sender = mail.setdefault("sender", "ines@good.test")
    before = None
    rows = w.pw.verb("trace", sender, json_out=True)
    if rows:
        before = rows[0]["id"]
    rcpt, end = w.mail(what, (to,), **mail)

    def newer():
        got = w.pw.verb("trace", sender, json_out=True)
        return got[0] if got and got[0]["id"] != before else None
    if not end:
        w.check(want == "early", what, str(rcpt))
        return ""
    row = pwtest.wait_for(newer, 10, say="record of " + what)
    r = row["recipients"][0]
    w.check(r["action"] == want, what, "%s: %s" % (r["action"], r["step"]))
    return r["step"]


def lists(w):
    pw = w.pw
    fail = dict(sender="ines@bad.test", author="ines@bad.test")
    good = dict(sender="ines@good.test", author="ines@good.test")
    verdict(w, "SPF fail", "junk", **fail)
    pw.verb("allow", "add", "bad.test")
    settle(w)
    step = verdict(w, "allowed, not authenticated", "junk", **fail)
    w.check("does not count: the domain did not authenticate" in step,
            "step of it", step)
    pw.verb("allow", "remove", "bad.test")
    pw.verb("allow", "add", CLIENT + "/32", "--for", "example.test",
            "--comment", "our branch office", "--expires", "30d")
    settle(w)
    step = verdict(w, "allowed by network", "deliver", **fail)
    w.check("our branch office" in step and "without it: junk" in step,
            "step of it", step)
    r = w.record(fail["sender"])["recipients"][0]
    w.check([(e["pattern"], e["comment"]) for e in r["lists"]] ==
            [(CLIENT + "/32", "our branch office")], "entries on record",
            str(r.get("lists")))
    verdict(w, "another network", "junk", ip=OTHER, **fail)
    verdict(w, "null MX from an allowed network", "deliver",
            sender="ines@silent.test")
    pw.verb("allow", "remove", CLIENT, "--for", "example.test")
    settle(w)
    verdict(w, "null MX", "early", sender="ines@silent.test")
    # allow before block, whatever the scope is; where it authenticated
    pw.verb("block", "add", "good.test", "--for", w.box("alice"))
    settle(w)
    verdict(w, "blocked at RCPT", "early", **good)
    verdict(w, "blocked for another", "deliver", to="bob", **good)
    verdict(w, "blocked by From", "refuse", sender="ines@list.test",
            author="eva@mail.good.test")
    pw.verb("allow", "add", "good.test")
    settle(w)
    step = verdict(w, "allowed and blocked", "deliver", **good)
    w.check("good.test authenticated; it goes before block entry" in step,
            "step of it", step)
    verdict(w, "allowed only by From", "refuse", sender="ines@open.test",
            author="eva@good.test")
    pw.verb("allow", "add", "open.test")
    settle(w)
    verdict(w, "SPF of everybody proves nothing", "refuse",
            sender="ines@open.test", author="eva@good.test")
    pw.verb("block", "remove", "good.test", "--for", w.box("alice"))
    # what the verbs say
    said = pw.verb("allow", "list")
    w.check("good.test  for all" in said and "(20" in said, "allow list", said)
    rows = pw.verb("block", "list", "--for", w.box("junk"), json_out=True)
    w.check(len(rows) == 1 and rows[0]["action"] == "junk" and
            rows[0]["comment"] == "pairs" and rows[0]["author"] != "",
            "block list", str(rows))
    for words, part in ((("allow", "add", "good.test"), "already"),
                        (("allow", "add", "192.0.2.1/24"), "no network"),
                        (("allow", "add", "x.test", "--for", "y@z.test"),
                         "no mailbox"),
                        (("allow", "remove", "y.test"), "not on that list"),
                        (("block", "add", "x.test", "--action", "keep"),
                         "refuse-keep"),
                        (("block", "add", "x.test", "--expires", "soon"),
                         "30d")):
        out = pw.verb(*words, check=False)
        w.check(part in out, " ".join(words), out)
    pw.verb("block", "add", "good.test", "--for", w.box("bob"), "--expires",
            "2s")
    time.sleep(3.2)
    verdict(w, "an entry that expired", "deliver", to="bob", **good)


# ---- thresholds ------------------------------------------------------------------------------


def thresholds(w):
    def configure(policy, more):
        with open(w.pw.file) as f:
            text = f.read()
        text = re.sub(r"(?m)^policy: .*$", "policy: { %s };" % policy, text)
        text = text.split("# more\n")[0] + "# more\n" + more
        with open(w.pw.file, "w") as f:
            f.write(text)
        return w.pw.verb("reload", check=False)
    said = configure("", 'thresholds: ( { recipient = "nodomain"; } );')
    w.check("thresholds" in said and "example.org" in said, "wrong recipient",
            said)
    said = configure('actions = [ "SPF_FIAL=junk" ];', "")
    w.check("SPF_FIAL" in said, "unknown symbol", said)
    score = "weights = [ \"SPF_FAIL=7.00\" ];"
    fail = dict(sender="ines@bad.test", author="ines@bad.test")
    configure(score + " junk-score = 500;", '''thresholds: (
        { recipient = "alice@example.test"; junk-score = 100000; },
        { recipient = "example.test"; refuse-keep-score = 650; } );
''')
    step = verdict(w, "threshold of the domain", "refuse-keep", to="bob",
                   **fail)
    w.check("of example.test" in step, "step of it", step)
    before = len(w.quarantine())
    rcpt, end = w.mail("kept", ("bob",), **fail)
    w.check(end[0][0] == 550, "refuse-keep", str(end))
    pwtest.wait_for(lambda: len(w.quarantine()) == before + 1, 5,
                    say="a kept copy")
    configure(score + " junk-score = 500;", '''thresholds: (
        { recipient = "alice@example.test"; junk-score = 100000; } );
''')
    verdict(w, "the mailbox goes before", "deliver", **fail)
    verdict(w, "policy for others", "junk", to="bob", **fail)
    configure(score + ' actions = [ "SPF_FAIL=discard" ];', "")
    verdict(w, "an action by itself", "discard", **fail)
    configure('malware = "hold"; actions = [ "SPF_FAIL=inform" ];', "")
    verdict(w, "and none", "deliver", **fail)
    shown = w.pw.verb("pipeline", "show")
    w.check("asks for refuse" in shown, "pipeline show", "NULL_MX")


def main():
    report = pwtest.Report("policy")
    folder = pwtest.scratch("policy")
    dns = pwtest.Dnsd(os.path.join(folder, "dns"), WORLD)
    port = pwtest.free_port()
    pw = pwtest.Postward(
        folder, dns=dns, tls=False, store='journal = "8M";',
        smtp="max-sessions-network = 1000;", policy='spf-fail = "junk";',
        users=("alice", "bob", "postmaster") + ACTIONS,
        dns_more='timeout = "1s";',
        more_listeners=''', { name = "proxy"; address = "127.0.0.1";
            port = %d; tls = false; proxy = [ "127.0.0.1" ]; }''' % port)
    pw.accounts("secret")
    reader = dovecot.Dovecot(os.path.join(folder, "dovecot"), pw)
    w = World(report, pw, port, reader.imap)
    try:
        pw.start()
        reader.start()
        for step in (pairs, seen, lists, thresholds):
            start = time.monotonic()
            try:
                step(w)
            except (OSError, RuntimeError, rawsmtp.Closed, KeyError, TypeError,
                    IndexError, AttributeError, imaplib.IMAP4.error) as e:
                report.check(False, step.__name__, repr(e))
            print("%s: %.1f s" % (step.__name__, time.monotonic() - start))
    finally:
        reader.stop()
        report.check(pw.stop() == 0, "stop")
        dns.stop()
    crashed = pw.logged("role.end", "signal=")
    report.check(not crashed, "no role crashed", "".join(crashed[:3]))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
