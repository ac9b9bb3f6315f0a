#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Postward takes mail for its own recipients only: every form of path that has
made some server a relay, each as a recipient in a session of its own kind."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pwtest
import rawsmtp

# What follows "RCPT TO:", and the codes that may answer it.
FOREIGN = [
    ("<bob@elsewhere.test>", (550,)),
    ("<BOB@ELSEWHERE.TEST>", (550,)),
    ("<bob@elsewhere.test.>", (501, 550)),
    ("<bob%elsewhere.test@example.test>", (550,)),
    ("<bob%elsewhere.test@mx.example.test>", (550,)),
    ("<elsewhere.test!bob@example.test>", (550,)),
    ("<elsewhere.test!bob>", (501, 550)),
    ("<\"bob@elsewhere.test\"@example.test>", (550,)),
    ("<\"bob%elsewhere.test\"@example.test>", (550,)),
    ("<\"alice@example.test\"@elsewhere.test>", (550,)),
    ("<@example.test:bob@elsewhere.test>", (550,)),
    ("<@example.test,@mx.example.test:bob@elsewhere.test>", (550,)),
    ("<@elsewhere.test:bob@example.test>", (250,)),  # the route is ignored
    ("<bob@elsewhere.test@example.test>", (501,)),
    ("<bob@example.test@elsewhere.test>", (501,)),
    ("<bob@[127.0.0.1]>", (550,)),
    ("<bob@[192.0.2.1]>", (550,)),
    ("<bob@[IPv6:::1]>", (550,)),
    ("<bob@[IPv6:2001:db8::1]>", (550,)),
    ("<bob@127.0.0.1>", (501, 550)),
    ("<bob@localhost>", (550,)),
    ("<bob@mx.example.test>", (550,)),
    ("<bob@sub.example.test>", (550,)),
    ("<bob@xexample.test>", (550,)),
    ("<bob@example.test.elsewhere.test>", (550,)),
    ("<bob@example>", (550,)),
    ("<bob@test>", (550,)),
    ("<bob@>", (501,)),
    ("<@example.test>", (501,)),
    ("<bob>", (501, 550)),
    ("<>", (501,)),
    ("bob@elsewhere.test", (501, 550)),
    ("bob@elsewhere.test, <alice@example.test>", (501, 550)),
    ("<bob@elsewhere.test> <alice@example.test>", (501, 550, 555)),
    ("<alice@example.test> <bob@elsewhere.test>", (501, 555)),
    ("<alice@example.test>,<bob@elsewhere.test>", (501, 555)),
    ("<alice@example.test\0@elsewhere.test>", (500, 501)),
    ("<\"alice@example.test\\\0\"@elsewhere.test>", (500, 501)),
    ("<postmaster@elsewhere.test>", (550,)),
    ("<postmaster%elsewhere.test>", (501, 550)),
    ("<bob@ex\u00e4mple.test>", (501, 550, 553)),
    ("<bob@xn--exmple-cua.test>", (550,)),
    ("<bob+x@elsewhere.test@example.test>", (501,)),
    ("<bob+elsewhere.test@elsewhere.test>", (550,)),
    ("<alice@EXAMPLE.test>", (250,)),
    ("<bob+elsewhere.test@example.test>", (250,)),
    ("<|/bin/sh@example.test>", (550,)),
    ("<\"|/bin/sh\"@example.test>", (550,)),
    ("</etc/passwd@example.test>", (550,)),
    ("<../bob@example.test>", (501, 550)),
    ("<;id;@example.test>", (501, 550)),
    ("<${run{id}}@example.test>", (550,)),
    ("<\"' OR 1=1 --\"@example.test>", (550,)),
    ("<\"x'/**/UNION/**/SELECT/**/X'..'--\"@example.test>", (550,)),
]
SENDERS = ["<>", "<ines@friend.test>", "<alice@example.test>",
           "<bob@elsewhere.test>", "<bob@[127.0.0.1]>"]


def ask(pw, sender, path, proxy=None):
    with rawsmtp.Client(pw.port if proxy is None else pw.port2,
                        proxy=proxy) as c:
        c.cmd("EHLO client.friend.test")
        code, text = c.cmd("MAIL FROM:" + sender)
        if code != 250:
            return code, text
        reply = c.cmd("RCPT TO:" + path)
        if reply[0] == 250:
            return reply
        # Whatever was said of it: without a recipient there is no message.
        after = c.cmd("DATA")
        if after[0] < 500:
            return 250, "DATA: %d %s" % after
        return reply


def probes(report, pw):
    for sender in SENDERS:
        for path, codes in FOREIGN:
            code, text = ask(pw, sender, path)
            report.check(code in codes, "%s -> %r" % (sender, path),
                         "%d %s" % (code, text))
    # Trusted clients are not screened, but are no exception to this.
    for path, codes in FOREIGN:
        code, text = ask(pw, "<alice@example.test>", path, "198.51.100.9")
        report.check(code in codes, "trusted -> %r" % path,
                     "%d %s" % (code, text))


def parameters(report, pw):
    """What clients of ours, relays or admins say elsewhere changes nothing."""
    for line in ("AUTH PLAIN AGEAYg==", "XCLIENT ADDR=127.0.0.1",
                 "XFORWARD NAME=x ADDR=127.0.0.1", "ETRN elsewhere.test",
                 "TURN", "SEND FROM:<a@example.test>", "ONEX", "VERB",
                 "PROXY TCP4 127.0.0.1 127.0.0.1 1 25"):
        with rawsmtp.Client(pw.port) as c:
            c.cmd("EHLO client.friend.test")
            code, text = c.cmd(line)
            report.check(500 <= code < 600, line, "%d %s" % (code, text))
            c.cmd("MAIL FROM:<ines@friend.test>")
            code, text = c.cmd("RCPT TO:<bob@elsewhere.test>")
            report.check(code == 550, "relay after " + line,
                         "%d %s" % (code, text))
    for mail in (" AUTH=<>", " AUTH=alice@example.test"):
        with rawsmtp.Client(pw.port) as c:
            c.cmd("EHLO client.friend.test")
            c.cmd("MAIL FROM:<ines@friend.test>" + mail)
            c.cmd("MAIL FROM:<ines@friend.test>")
            code, _ = c.cmd("RCPT TO:<bob@elsewhere.test>")
            report.check(code == 550, "relay with" + mail, str(code))


def nothing_stored(report, pw):
    """A foreign recipient beside a local one leaves only the local copy."""
    with rawsmtp.Client(pw.port) as c:
        codes = [code for code, _ in c.envelope(
            to=("bob@elsewhere.test", "alice@example.test",
                "bob@mx.example.test"))]
        report.check(codes == [250, 250, 550, 250, 550], "mixed recipients",
                     str(codes))
        code, text = c.data(rawsmtp.mail("mixed"))
        report.check(code == 250, "mixed data", text)
    found = [u for u in pw.users for _ in pw.maildir(u)]
    report.check(found == ["alice"], "mixed copies", str(found))
    decision = pwtest.wait_for(
        lambda: pw.explained(rawsmtp.ident(text)), 10, say="record")
    given = {r["given"]: r["action"] for r in decision["recipients"]}
    report.check(given == {"bob@elsewhere.test": "refuse",
                           "bob@mx.example.test": "refuse",
                           "alice@example.test": "deliver"},
                 "mixed record", str(given))
    domains = [d for d in os.listdir(pw.mail) if d[0] != "."]
    report.check(domains == ["example.test"], "folders", str(domains))


def aliases(report, pw):
    """An alias cannot lead out."""
    for target in ("bob@elsewhere.test", "|/bin/sh", "/etc/passwd",
                   "bob@[192.0.2.1]", "smtp:elsewhere.test"):
        out = pw.verb("alias", "add", "out@example.test", target, check=False)
        code, text = ask(pw, "<ines@friend.test>", "<out@example.test>")
        report.check(code == 550 and out.strip() != "", "alias to " + target,
                     "%s: %d %s" % (out.strip(), code, text))


def main():
    report = pwtest.Report("relay")
    port2 = pwtest.free_port()
    pw = pwtest.Postward(
        pwtest.scratch("relay"), tls=False, listener='stages = [ "none" ];',
        smtp="max-errors = 10000; max-sessions-address = 1000;",
        more_listeners=''', { name = "own"; address = "127.0.0.1";
            port = %d; tls = false; proxy = [ "127.0.0.1" ];
            trusted = [ "198.51.100.0/24" ]; }''' % port2)
    pw.port2 = port2
    pw.accounts()
    pw.start()
    try:
        probes(report, pw)
        parameters(report, pw)
        nothing_stored(report, pw)
        aliases(report, pw)
        status = pw.status()
        report.check(int(status["front.smtp.rcpt.relay"]) > 100, "counter",
                     status["front.smtp.rcpt.relay"])
    finally:
        report.check(pw.stop() == 0, "stop")
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
