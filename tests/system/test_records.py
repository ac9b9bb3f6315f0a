#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The records: every connection of some generated traffic is explained and
traced, those that never became a message too; who may see what; stored mail is
judged again; a flood of refused connections shares its records.  Clients have
addresses by PROXY headers, one address each, so that each can be traced."""
import concurrent.futures
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pwtest
import rawsmtp
import test_auth

OTHER_DOMAIN = "other.test"


class Traffic:
    """One client address for each connection: 203.0.113.N, then 198.18.N.M."""

    def __init__(self, report, pw, port, keys):
        self.report, self.pw, self.port, self.keys = report, pw, port, keys
        self.clients = {}  # address: (what, kind)
        self.stored = {}   # id: what
        self.n = 0

    def address(self, what, kind):
        self.n += 1
        ip = "203.0.%d.%d" % (self.n // 200, self.n % 200 + 1)
        self.clients[ip] = (what, kind)
        return ip

    def mail(self, what, sender="ines@pass.test", to=("alice@example.test",),
             ip=None, message=None, code=250, port=None, **more):
        if ip is None:
            ip = self.address(what, "message")
        reply = rawsmtp.send(port or self.port, message or rawsmtp.mail(what),
                             sender, to, proxy=ip, **more)
        self.report.check(reply[0] == code, what, "%d %s" % reply)
        ident = rawsmtp.ident(reply[1])
        if ident:
            self.stored[ident] = what
        return ident

    def talk(self, what, kind, *lines, closes=False, raw=None):
        """A session of these commands; the last reply."""
        ip = self.address(what, kind)
        reply = None
        with rawsmtp.Client(self.port, proxy=ip) as c:
            try:
                for line in lines:
                    reply = c.cmd(line)
                if raw is not None:
                    c.send(raw)
                    if closes:
                        c.closed()
                elif not closes:
                    c.cmd("QUIT")
            except (rawsmtp.Closed, ConnectionError):
                pass
        return ip, reply


def messages(t):
    """Mail of every sort that is filed."""
    k = t.keys
    plain = rawsmtp.mail("signed", "One.\r\nTwo.\r\n")
    for domain in ("pass", "fail", "soft", "neutral", "none", "perm", "twice",
                   "include", "all", "wide", "mx", "lookups", "dead"):
        t.mail("SPF of " + domain, "ines@%s.test" % domain)
    t.mail("known client", ip=test_auth.GOOD)
    t.clients[test_auth.GOOD] = ("known client", "message")
    t.mail("liar", "ines@soft.test", ip=test_auth.LIAR)
    t.mail("signed", message=k.sign(plain))
    t.mail("signed, ed25519", message=k.sign(plain, b"ed"))
    t.mail("changed", message=k.sign(plain).replace(b"Two.", b"Too."))
    t.mail("no key", message=k.sign(plain, b"missing"))
    t.mail("null sender", "")
    forged = b"Authentication-Results: mx.example.test; spf=pass\r\n"
    t.mail("forged", message=forged + rawsmtp.mail("forged"))
    t.mail("forged within", message=b"X-A: b\r\n" + forged + b"X-C: d\r\n" +
           forged + rawsmtp.mail("forged within"))
    t.mail("several", to=("alice@example.test", "bob@example.test"))
    t.mail("long", message=rawsmtp.mail("long", "x" * 70 + "\r\n") +
           b"line\r\n" * 40000)
    t.mail("without end", message=rawsmtp.mail("short", ""))
    t.both = t.mail("both domains", to=("alice@example.test",
                                        "carol@" + OTHER_DOMAIN))
    # A list entry that is gone when it is judged again: it is on record.
    t.pw.verb("block", "add", "mixed@none.test", "--for", "bob@example.test",
              "--action", "junk")
    time.sleep(0.5)
    t.mixed = t.mail("mixed", "mixed@none.test",
                     to=("alice@example.test", "bob@example.test"))
    t.pw.verb("block", "remove", "mixed@none.test", "--for",
              "bob@example.test")
    ip = t.address("two messages", "message")
    with rawsmtp.Client(t.port, proxy=ip) as c:
        for n in range(2):
            c.cmd("EHLO again%d.test" % n)
            c.envelope("ines@soft.test", helo=None)
            _, text = c.data(rawsmtp.mail("two %d" % n))
            t.stored[rawsmtp.ident(text)] = "two"


def no_messages(t):
    """Everything that ends before its end of data, or is refused at it."""
    ehlo, mail = "EHLO client.friend.test", "MAIL FROM:<ines@pass.test>"
    rcpt = "RCPT TO:<alice@example.test>"
    talks = [
        ("unknown", "transaction", 550, ehlo, mail,
         "RCPT TO:<nobody@example.test>"),
        ("relay", "transaction", 550, ehlo, mail,
         "RCPT TO:<a@elsewhere.test>"),
        ("null MX", "transaction", 550, ehlo, "MAIL FROM:<i@silent.test>",
         rcpt),
        ("wrong sender", "transaction", 501, ehlo, "MAIL FROM:<i@>"),
        ("too large", "transaction", 552, ehlo, mail + " SIZE=999999999"),
        ("taken back", "transaction", 250, ehlo, mail, rcpt, "RSET"),
        ("gives up", "transaction", 250, ehlo, mail, rcpt),
        ("no recipients", "transaction", 554, ehlo, mail,
         "RCPT TO:<nobody@example.test>", "DATA"),
        ("only hello", "connection", 250, ehlo),
        ("wrong command", "connection", 500, "WHAT"),
        ("no hello", "connection", 503, mail),
        ("nothing", "connection", None),
    ]
    for what, kind, code, *lines in talks:
        _, reply = t.talk(what, kind, *lines)
        t.report.check(reply is None or reply[0] == code, what, str(reply))
    t.talk("foreign", "connection", raw="GET / HTTP/1.0\r\n\r\n", closes=True)
    t.talk("TLS at once", "connection", raw=b"\x16\x03\x01\x02\0\1\0\1\xfc",
           closes=True)
    t.talk("bad handshake", "connection", ehlo, "STARTTLS",
           raw=b"this is no handshake at all\r\n", closes=True)
    t.talk("hangs up", "connection", closes=True)
    t.talk("cut off", "transaction", ehlo, mail, rcpt, "DATA",
           raw="Subject: x\r\n\r\nhalf")
    t.talk("many errors", "connection", *["WRONG"] * 30)
    t.talk("guesses", "transaction", ehlo, mail,
           *["RCPT TO:<guess%d@example.test>" % n for n in range(30)])
    t.mail("bare LF", message=rawsmtp.mail("bare") + b"a\nb\r\n", code=550)
    early = t.address("speaks early", "connection")
    with socket.create_connection(("127.0.0.1", t.port)) as s:
        s.sendall(rawsmtp.proxy_v1(early) + b"EHLO x.test\r\nQUIT\r\n")
        while s.recv(4096):
            pass
    held = t.address("too many", "connection")
    first = [rawsmtp.Client(t.port, proxy=held) for _ in range(3)]
    c = rawsmtp.Client(t.port, proxy=held)
    t.report.check(c.banner[0] == 421, "sessions of an address", str(c.banner))
    for c in first + [c]:
        c.close()


def answers(t):
    """explain and trace answer for every client, in words and as JSON."""
    pw, report = t.pw, t.report
    day = time.strftime("%Y-%m-%d", time.gmtime())

    def traced(ip):
        return pw.verb("trace", ip, "--since", "1h", json_out=True)
    for ip, (what, kind) in t.clients.items():
        pwtest.wait_for(lambda: traced(ip), 10, say="record of " + what)
        rows = traced(ip)
        report.check(any(r["kind"] == kind for r in rows) and
                     all(r["peer"] == ip for r in rows), what,
                     str([(r["kind"], r["peer"]) for r in rows]))
        line = pw.verb("trace", ip)
        for r in rows:
            report.check(r["id"] in line, what, line)
            text = pw.verb("explain", r["id"])
            whole = pw.explained(r["id"])
            report.check(whole["reply"] == r["reply"] and
                         whole["step"], what, str(whole))
            report.check("On " in text and ip in text and (
                not r["reply"] or r["reply"] in text), what, text)
            report.check(("Stages" in text) == bool(whole["stages"]) or
                         "Stages" in text, what, text)
            for e in whole["evidence"]:
                report.check(e["symbol"] in text, what, text)
    text = pw.verb("explain", "nobody@example.test", day)
    report.check(text.count("tried to send a message") == 2 and
                 "no such recipient" in text, "explain ADDRESS DAY", text)
    rows = pw.verb("trace", "nobody@example.test", json_out=True)
    report.check(len(rows) == 2 and all(
        r["kind"] == "transaction" for r in rows), "trace of a refused one",
        str(len(rows)))
    rows = pw.verb("trace", "ines@soft.test", json_out=True)
    report.check(len(rows) == 4, "trace of a sender", str(len(rows)))
    whole = pw.explained(t.both)
    report.check(len(whole["recipients"]) == 2 and
                 len(whole["places"]) == 2 and
                 whole["recipients"][0]["fate"] == "stored", "both", str(whole))
    text = pw.verb("explain", "nothing-like-this", check=False)
    report.check("no decision on record" in text, "unknown id", text)


def scope(t):
    """Who asks for one domain or mailbox learns nothing of others."""
    pw, report = t.pw, t.report
    secrets = {"example.test": ("carol", OTHER_DOMAIN),
               "alice@example.test": ("carol", OTHER_DOMAIN),
               OTHER_DOMAIN: ("alice", "bob"),
               "carol@" + OTHER_DOMAIN: ("alice", "bob")}
    for view, hidden in secrets.items():
        told = [pw.verb("explain", t.both, "--as", view),
                pw.verb("--json", "explain", t.both, "--as", view),
                pw.verb("--json", "trace", "ines@pass.test", "--as", view),
                pw.verb("trace", "ines@pass.test", "--as", view),
                pw.verb("mailbox", "list", "--as", view),
                pw.verb("domain", "list", "--as", view),
                pw.verb("alias", "list", "--as", view)]
        for text in told:
            for word in hidden:
                # The message's own To is for whoever has the message.
                report.check(word not in text, "view of " + view,
                             "%s in %s" % (word, text[:2000]))
        listed = pw.verb("message", "list", "--as", view, json_out=True)
        domain = view.rsplit("@", 1)[-1]
        report.check(listed and all(
            m["mailbox"].endswith("@" + domain) for m in listed),
            "list of " + view, str([m["mailbox"] for m in listed]))
    for view, ident in (("bob@example.test", t.both),
                        ("third.test", t.both)):
        text = pw.verb("explain", ident, "--as", view, check=False)
        report.check("no decision on record" in text, "other's message", text)
    # That a message of ours went to somebody else as well is not told.
    for view in ("example.test", "alice@example.test"):
        rows = pw.verb("trace", "carol@" + OTHER_DOMAIN, "--as", view,
                       json_out=True)
        report.check(rows == [], "trace of a stranger", str(rows))
    rows = pw.verb("trace", "carol@" + OTHER_DOMAIN, "--as", OTHER_DOMAIN,
                   json_out=True)
    report.check(len(rows) == 1, "trace of an own one", str(len(rows)))
    found = [ip for ip, (what, _) in t.clients.items() if what == "nothing"]
    rows = pw.verb("trace", found[0], "--as", "example.test", json_out=True)
    report.check(rows == [], "connections are the admin's", str(rows))
    text = pw.verb("message", "show", "alice@example.test", t.both, "--as",
                   OTHER_DOMAIN, check=False)
    report.check("has no message" in text, "message of another", text)
    for verb in (("status",), ("block", "list"), ("domain", "add", "x.test")):
        text = pw.verb(*verb, "--as", "example.test", check=False)
        report.check("takes no --as" in text, "a verb without views", text)
    text = pw.verb("explain", t.both, "--as", "not a name", check=False)
    report.check("takes a DOMAIN" in text, "malformed view", text)


# ---- judging again --------------------------------------------------------------


def variant(pw, name, *changes):
    """The configuration with some words exchanged."""
    with open(pw.file) as f:
        text = f.read()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path = os.path.join(pw.folder, name)
    with open(path, "w") as f:
        f.write(text)
    return path


def replay(t):
    pw, report = t.pw, t.report
    pw.wait_idle()
    records = {i: pw.explained(i) for i in t.stored}

    r = pw.verb("replay", json_out=True)
    report.check(r["judged"] == len(t.stored) == r["same"] and
                 not r["changed"] and not r["not_judged"] and
                 r["other_evidence"] == 0, "the same configuration",
                 json.dumps(r)[:3000])
    report.check(r["not_stored"] == 1, "messages that were refused", str(r))

    mixed = {m["mailbox"]: m["action"]
             for m in records[t.mixed]["recipients"]}
    report.check(mixed == {"alice@example.test": "deliver",
                           "bob@example.test": "junk"}, "mixed", str(mixed))

    scores = sorted({round(d["score"] * 100) for d in records.values()})
    for hundredths, action in ((scores[len(scores) // 2], "junk"),
                               (scores[-1], "hold")):
        new = variant(pw, "new.conf", ("policy: { ", "policy: { %s-score = %d;"
                                       % (action, hundredths)))
        r = pw.verb("replay", "--config", new, json_out=True)
        want = {i for i, d in records.items()
                if d["score"] * 100 >= hundredths - 1e-6}
        got = {c["id"] for c in r["changed"]}
        report.check(want and got == want and len(want) < len(records),
                     "threshold of " + action, "want %s got %s" % (
                         {t.stored[i] for i in want},
                         {t.stored[i] for i in got}))
        report.check(all(e["would_be"]["action"] == action and
                         e["was"]["action"] == "deliver"
                         for c in r["changed"] for e in c["recipients"]
                         if c["id"] != t.mixed),
                     "threshold of " + action, str(r["changed"][:2]))
    text = pw.verb("replay", "--config", new)
    report.check("-> hold" in text and "because:" in text, "in words", text)

    # A refusal that would have come before the data, too.
    new = variant(pw, "new.conf", ("policy: { ", 'policy: { spf-fail = '
                                   '"refuse";'))
    r = pw.verb("replay", "--config", new, json_out=True)
    want = {i for i, d in records.items()
            if "SPF_FAIL" in {e["symbol"] for e in d["evidence"]}}
    report.check(want and {c["id"] for c in r["changed"]} == want and all(
        e["would_be"]["action"] == "refuse" for c in r["changed"]
        for e in c["recipients"]), "refused", str(r["changed"]))


def replay_more(t):
    """Stages that were not there, mail that was moved, changed, deleted."""
    pw, report = t.pw, t.report
    few = t.mail("few stages", "ines@fail.test", port=t.few)
    pw.wait_idle()
    r = pw.verb("replay", json_out=True)
    report.check(not r["changed"] and r["same"] == len(t.stored),
                 "few stages", json.dumps(r)[:2000])
    new = variant(pw, "new.conf", ('stages = [ "structure" ];', ""))
    r = pw.verb("replay", "--config", new, json_out=True)
    asked = {(q["id"], q["question"]) for q in r["not_recorded"]}
    report.check({i for i, _ in asked} == {few} and any(
        q == "not recorded: MX fail.test" for _, q in asked),
        "not recorded", str(r["not_recorded"]))

    plugins = os.environ.get("PW_TEST_PLUGINS")
    if plugins and os.access(plugins + "/subject-words.so", os.R_OK):
        new = variant(pw, "new.conf", ('stages = [ "structure" ];',
                      'stages = [ "structure", "subject-words" ];'),
                      ('#stage', '''stage: ( { name = "subject-words";
                       options = [ "word=stages" ]; } );\n#'''))
        r = pw.verb("replay", "--config", new, "--plugin-dir", plugins,
                    json_out=True)
        report.check(r["other_evidence"] + len(r["changed"]) == 1,
                     "a plug-in", json.dumps(r)[:2000])

    files = pw.maildir("alice")
    paths = {t.stored[i]: p for p, b in files.items() for i in t.stored
             if (" id %s\n" % i).encode() in b or
             (" id %s;" % i).encode() in b}
    os.unlink(paths["liar"])
    os.rename(paths["signed"], paths["signed"].replace("/new/", "/cur/") +
              ":2,S")
    with open(paths["no key"], "ab") as f:
        f.write(b"more\n")

    def settled():
        r = pw.verb("replay", json_out=True)
        return r["gone"] == 1 and r
    r = pwtest.wait_for(settled, 20, 0.5, "a deleted message is noticed")
    report.check(r["changed_on_disk"] == 1 and not r["changed"] and
                 r["same"] == len(t.stored) - 2, "gone and changed",
                 json.dumps(r)[:2000])
    r = pw.verb("replay", "--folder", "Junk", json_out=True)
    report.check(r["judged"] == 1, "a folder", str(r))
    r = pw.verb("replay", "--since", "0s", json_out=True)
    report.check(r["messages"] == 0, "--since", str(r))
    text = pw.verb("replay", "--config", "/nowhere.conf", check=False)
    report.check("/nowhere.conf" in text, "no such configuration", text)


# ---- a flood ------------------------------------------------------------------------


def size_of(pw):
    pw.wait_idle()
    db = os.path.join(pw.state, "decisions.db")
    with sqlite3.connect("file:%s?mode=ro" % db, uri=True) as c:
        pages = c.execute("PRAGMA page_count").fetchone()[0]
        free = c.execute("PRAGMA freelist_count").fetchone()[0]
        rows, total = c.execute(
            "SELECT count(*), coalesce(sum(count), 0) FROM decision "
            "WHERE kind > 0").fetchone()
    return (pages - free) * 4096, rows, total


def cpu(pw, role):
    """Microseconds of processor time."""
    total = 0
    for pid in pw.pids(role):
        with open("/proc/%d/stat" % pid) as f:
            v = f.read().rsplit(") ", 1)[1].split()
        total += int(v[11]) + int(v[12])
    return total * 1000000 // os.sysconf("SC_CLK_TCK")


def refused(port, n):
    """One connection that guesses an address, in one go."""
    ip = "100.64.%d.%d" % (n % 20, n % 250 + 1)
    with socket.create_connection(("127.0.0.1", port), 20) as s:
        s.sendall(rawsmtp.proxy_v1(ip))
        s.recv(512)
        s.sendall(b"EHLO flood.test\r\n")
        s.recv(1024)
        s.sendall(b"MAIL FROM:<x@pass.test>\r\n"
                  b"RCPT TO:<guess%d@example.test>\r\nQUIT\r\n" % n)
        while s.recv(1024):
            pass


def flood(t, n, name):
    before, rows, total = size_of(t.pw)
    front, store = cpu(t.pw, "front"), cpu(t.pw, "store")
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: refused(t.port, i), range(n)))
    took = time.monotonic() - start
    time.sleep(5.5)  # what is held leaves
    pwtest.wait_for(lambda: size_of(t.pw)[2] - total >= n, 20,
                    say="records of the flood")
    after, rows2, total2 = size_of(t.pw)
    front, store = cpu(t.pw, "front") - front, cpu(t.pw, "store") - store
    print("%s: %d connections in %.1f s: %d rows, %d bytes of disk a row; "
          "CPU a connection: front %d us, store %d us" % (
              name, n, took, rows2 - rows, (after - before) //
              max(1, rows2 - rows), front // n, store // n))
    t.report.check(total2 - total == n, name, "%d counted" % (total2 - total))
    return rows2 - rows


def floods(t):
    pw, report = t.pw, t.report
    rows = flood(t, 5000, "flood")
    # 60 alone, some more as a minute goes by, and 20 networks every 5 s.
    report.check(rows < 500, "a flood shares its records", str(rows))
    merged = pw.verb("trace", "100.64.7.8", json_out=True)
    many = [r for r in merged if r["count"] > 1]
    report.check(many and all(r["peer"] == "100.64.7.0/24" for r in many),
                 "trace of one of many", str(merged[:2]))
    text = pw.verb("explain", many[0]["id"])
    report.check("This happened %d times" % many[0]["count"] in text and
                 "100.64.7.0/24" in text, "explain of many", text)
    s = pw.status()
    lag = int(s["front.front.0.lag_max_us"])
    report.check(lag < 200000, "lag of the loop", "%d us" % lag)
    report.check(int(s["front.smtp.records.lost"]) == 0 and
                 int(s["store.records-lost"]) == 0, "nothing was lost")


def cost(report, folder):
    """What a record of its own costs, against merged ones."""
    port = pwtest.free_port()
    for rate in (0, 1000000):
        pw = pwtest.Postward(
            os.path.join(folder, "cost%d" % rate), tls=False,
            store='journal = "8M"; checkpoint = "200ms";', listener="proxy = "
            '[ "127.0.0.1" ]; stages = [ "structure" ];', port=port,
            smtp="max-sessions-network = 1000; record-rate = %d;" % rate)
        pw.accounts()
        pw.start()
        t = Traffic(report, pw, port, None)
        rows = flood(t, 3000, "rate %d" % rate)
        report.check(rows == 3000 or rate == 0, "each its own", str(rows))
        report.check(pw.stop() == 0, "stop")


def main():
    report = pwtest.Report("records")
    keys = test_auth.Keys()
    folder = pwtest.scratch("records")
    zones = os.path.join(folder, "dns")
    dns = pwtest.Dnsd(zones, test_auth.world(keys))
    port, few = pwtest.free_port(), pwtest.free_port()
    pw = pwtest.Postward(
        folder, dns=dns, store='journal = "8M"; checkpoint = "200ms";',
        smtp="max-sessions-network = 1000; max-sessions-address = 3; "
             "record-rate = 60; max-errors = 20; max-unknown-recipients = 20;",
        dns_more='timeout = "1s"; unbound-conf = "%s/unbound.conf";' % zones,
        conf="#stage\n",
        more_listeners=''', { name = "proxy"; address = "127.0.0.1";
            port = %d; proxy = [ "127.0.0.1" ]; },
            { name = "few"; address = "127.0.0.1"; port = %d;
            proxy = [ "127.0.0.1" ]; stages = [ "structure" ]; }''' % (
                port, few))
    pw.accounts()
    pw.verb("domain", "add", OTHER_DOMAIN)
    pw.verb("mailbox", "add", "carol@" + OTHER_DOMAIN)
    pw.start()
    t = Traffic(report, pw, port, keys)
    t.few = few
    steps = (messages, no_messages, answers, scope, replay, replay_more,
             floods)
    try:
        for step in steps:
            start = time.monotonic()
            try:
                step(t)
            except (OSError, RuntimeError, rawsmtp.Closed, KeyError, TypeError,
                    IndexError, AttributeError, ValueError) as e:
                report.check(False, step.__name__, repr(e))
            print("%s: %.1f s" % (step.__name__, time.monotonic() - start))
    finally:
        report.check(pw.stop() == 0, "stop")
        dns.stop()
    crashed = pw.logged("role.end", "signal=")
    report.check(not crashed, "no role crashed", "".join(crashed[:3]))
    report.check(not pw.logged("store.row_refused"), "every row was taken")
    cost(report, folder)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
