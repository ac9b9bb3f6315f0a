#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Forwarded mail and doubtful clients against a real name server: chains
sealed by python3-dkim and who is trusted to seal, what the sender's SPF
record may say in our reply, names that clients give themselves."""
import os
import re
import sys

import dkim

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "unit"))
import arc_chains
import pwtest
import rawsmtp
import test_auth

GOOD, POOL = "192.0.2.10", "192.0.2.50"
KEY = arc_chains.rsa_key(2048)
RECORD = arc_chains.rsa_record(KEY)


def world():
    return {
        "s._domainkey.list.test": [("TXT", RECORD)],
        "s._domainkey.other.test": [("TXT", RECORD)],
        "s._domainkey.strange.test": [("TXT", arc_chains.rsa_record(
            arc_chains.rsa_key(2048)))],
        "dead.test": "TIMEOUT",
        "pass.test": [("TXT", "v=spf1 ip4:192.0.2.10 -all"), ("A", GOOD)],
        "fail.test": [("TXT", "v=spf1 -all exp=why.fail.test"), ("A", GOOD)],
        "why.fail.test": [("TXT", "%{i} may not send for %{d}, see "
                                  "http://fail.test/")],
        "evil.test": [("TXT", "v=spf1 -all exp=why.evil.test"), ("A", GOOD)],
        "why.evil.test": [("TXT", b"no\r\n250 2.0.0 stored")],
        "quiet.test": [("TXT", "v=spf1 -all"), ("A", GOOD)],
        "perm.test": [("TXT", "v=spf1 ip4:192.0.2.999 -all"), ("A", GOOD)],
        "halves.test": [("TXT", "v=spf1 ip4:192.0.0.0/9 ip4:10.0.0.0/9 "
                                "-all"), ("A", GOOD)],
        "good.pass.test": [("A", GOOD)],
        "elsewhere.pass.test": [("A", "192.0.2.77")],
        "mx.example.test": [("A", "198.51.100.25")],
        "192-0-2-50.pool.test": [("A", POOL)],
        test_auth.arpa(GOOD): [("PTR", "good.pass.test")],
        test_auth.arpa(POOL): [("PTR", "192-0-2-50.pool.test")],
    }


def arc_of(s):
    return [e for e in s.entries() if e.startswith("arc=")]


def chains(w):
    plain = rawsmtp.mail("sealed", "One.\r\nTwo.\r\n")
    sender = re.search(rb"(?m)^From:.*@([^\s>]+)", plain).group(1)
    good = b"dmarc=pass header.from=" + sender
    hop = (b"list.test", good)
    one = arc_chains.chain(plain, [hop], KEY)
    two = arc_chains.chain(plain, [hop, (b"other.test", b"dmarc=fail")], KEY)
    doubt = arc_chains.chain(plain, [(b"list.test", b"dmarc=fail")], KEY)
    cases = [  # message, result, symbol, trusted
        ("one", one, "pass", "ARC_PASS", True),
        ("two", two, "pass", "ARC_PASS", False),
        ("in doubt", doubt, "pass", "ARC_PASS", False),
        ("changed", one.replace(b"Two.", b"Too."), "fail", "ARC_FAIL",
         False),
        ("cv=fail", two.replace(b"cv=pass", b"cv=fail"), "fail", "ARC_FAIL",
         False),
        ("other key", arc_chains.chain(plain, [(b"strange.test", good)], KEY),
         "fail", "ARC_FAIL", False),
        ("no key", arc_chains.chain(plain, [(b"none.list.test", good)], KEY),
         "fail", "ARC_FAIL", False),
        ("dead key server", arc_chains.chain(plain, [(b"dead.test", good)],
         KEY), "temperror", "ARC_TEMPERROR", False),
    ]
    for what, message, result, symbol, trusted in cases:
        what = "ARC " + what
        s = w.mail(what, message)
        w.check([e.split(" ")[0] for e in arc_of(s)] == ["arc=" + result],
                what, str(s.results))
        w.check(symbol in s.symbols, what, str(list(s.symbols)))
        w.check(("ARC_TRUSTED" in s.symbols) == trusted, what,
                str(list(s.symbols)))
        w.check((result == "pass") == ("header.oldest-pass=0" in
                                       " ".join(arc_of(s))), what,
                str(arc_of(s)))
        if what != "ARC two":
            continue
        cv, sets, why = dkim.arc_verify(
            s.stored.replace(b"\n", b"\r\n"),
            dnsfunc=lambda n, **_: RECORD.encode())
        w.check(cv == b"pass", "ARC of the stored file", "%s %s" % (cv, why))
    s = w.mail("ARC none", plain)
    w.check(not arc_of(s) and not any(x.startswith("ARC") for x in s.symbols),
            "ARC none", str(s.results))
    run = [r for r in s.record["stages"] if r["stage"] == "arc"]
    w.check(run and run[0]["outcome"] == "not applicable", "ARC none",
            str(run))


STAGES = 'stage: ( { name = "arc"; options = [ "trusted=%s" ]; },' \
    ' { name = "spf"; options = [ "explain=%s" ]; } );\n'


def options(w):
    """Who is trusted is for the admin to say, and a wrong word is named."""
    plain = rawsmtp.mail("sealed", "One.\r\n")
    one = arc_chains.chain(plain, [(b"list.test", b"dmarc=pass")], KEY)
    test_auth.configure(w, "", STAGES % ("x.test other.test", "no"))
    s = w.mail("not trusted", one)
    w.check("ARC_TRUSTED" not in s.symbols, "not trusted")
    test_auth.configure(w, "", STAGES % ("x.test, list.test", "no"))
    s = w.mail("trusted", one)
    w.check("ARC_TRUSTED" in s.symbols, "trusted", str(list(s.symbols)))
    for text, named in ((STAGES % ("*.test", "no"), "'*.test' is not a domain"),
                        (STAGES % ("a.test", "maybe"), "yes or no"),
                        (STAGES.replace("trusted", "trust") % ("a", "no"),
                         "'trust=a' is not one of its options")):
        try:
            test_auth.configure(w, "", text)
            told = "taken"
        except RuntimeError as e:
            told = str(e)
        w.check(named in told, "wrong option", told)
    test_auth.configure(w, "", STAGES % ("list.test", "yes"))
    shown = w.pw.verb("pipeline", "show")
    for words in ("option trusted=:", "option explain=no:",
                  "arc.trusted_pass", "HELO_OURS"):
        w.check(words in shown, "pipeline show", words)


def refused(w, sender):
    """The reply that ends an attempt of SENDER."""
    with rawsmtp.Client(w.port, proxy=GOOD) as c:
        replies = c.envelope(sender=sender)
        if replies[-1][0] == 250:
            replies.append(c.data(rawsmtp.mail("refused")))
        return replies[-1]


def spf(w):
    s = w.mail("halves", sender="ines@halves.test")
    w.check("SPF_PASS_WIDE" in s.symbols, "halves", str(list(s.symbols)))
    s = w.mail("explained", sender="ines@fail.test")
    w.check("192.0.2.10 may not send for fail.test" in
            s.symbols.get("SPF_EXPLANATION", {}).get("text", ""), "explained",
            str(s.symbols.get("SPF_EXPLANATION")))
    s = w.mail("permerror informs", sender="ines@perm.test")
    s = w.mail("temperror informs", sender="ines@dead.test")
    stages = STAGES % ("list.test", "yes")
    test_auth.configure(w, 'spf-fail = "refuse"; spf-permerror = "refuse"; '
                        'spf-temperror = "defer";', stages)
    code, text = refused(w, "ines@fail.test")
    w.check(code == 550 and text == "5.7.23 SPF validation failed; fail.test "
            "explains: 192.0.2.10 may not send for fail.test, see "
            "http://fail.test/", "explanation", "%d %s" % (code, text))
    for sender in ("evil", "quiet"):
        code, text = refused(w, "ines@%s.test" % sender)
        w.check((code, text) == (550, "5.7.23 SPF validation failed"), sender,
                "%d %s" % (code, text))
    code, text = refused(w, "ines@perm.test")
    w.check(code == 550 and text.startswith("5.7.24 "), "permerror", text)
    code, text = refused(w, "ines@dead.test")
    w.check(code == 451 and text.startswith("4.7.24 "), "temperror", text)
    w.mail("SPF pass under refuse")
    test_auth.configure(w, 'spf-fail = "refuse";', STAGES % ("a.test", "no"))
    code, text = refused(w, "ines@fail.test")
    w.check((code, text) == (550, "5.7.23 SPF validation failed"),
            "no explanation", "%d %s" % (code, text))
    test_auth.configure(w, "", stages)


def helo(w):
    for name, symbol in (("good.pass.test", None),
                         ("elsewhere.pass.test", "HELO_MISMATCH"),
                         ("nx.pass.test", "HELO_UNKNOWN"),
                         ("WIN-01", "HELO_NOT_NAME"),
                         ("[192.0.2.10]", "HELO_LITERAL"),
                         ("[192.0.2.11]", "HELO_LITERAL_OTHER"),
                         ("mx.example.test", "HELO_OURS"),
                         ("[198.51.100.25]", "HELO_OURS"),
                         ("x.dead.test", None)):
        s = w.mail("HELO " + name, helo=name)
        got = [x for x in s.symbols if re.match("HELO_", x)]
        w.check(got == ([symbol] if symbol else []), "HELO " + name, str(got))
    s = w.mail("generic name", ip=POOL)
    w.check("IPREV_GENERIC" in s.symbols and "IPREV_PASS" in s.symbols,
            "generic name", str(list(s.symbols)))


def main():
    report = pwtest.Report("arc")
    folder = pwtest.scratch("arc")
    zones = os.path.join(folder, "dns")
    dns = pwtest.Dnsd(zones, world())
    port = pwtest.free_port()
    pw = pwtest.Postward(
        folder, dns=dns, tls=False, store='journal = "8M";',
        smtp="max-sessions-network = 1000;",
        dns_more='timeout = "1s"; unbound-conf = "%s/unbound.conf";' % zones,
        conf="# policy test\n" + STAGES % ("list.test", "yes"),
        more_listeners=''', { name = "proxy"; address = "127.0.0.1";
            port = %d; tls = false; proxy = [ "127.0.0.1" ]; }''' % port)
    pw.accounts()
    pw.start()
    w = test_auth.World(report, pw, port, None)
    try:
        for step in (chains, options, spf, helo):
            try:
                step(w)
            except (OSError, RuntimeError, rawsmtp.Closed, KeyError, TypeError,
                    IndexError, AttributeError) as e:
                report.check(False, step.__name__, repr(e))
    finally:
        report.check(pw.stop() == 0, "stop")
        dns.stop()
    crashed = pw.logged("role.end", "signal=")
    report.check(not crashed, "no role crashed", "".join(crashed[:3]))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
