#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Who sent it: SPF, iprev and DKIM against a real name server, what of it
stands in the header, in the record and in `postward explain`, and what policy
makes of it.  Clients have addresses by PROXY headers."""
import base64
import hashlib
import os
import re
import socket
import subprocess
import sys
import threading
import time

import dkim
import dkim.crypto
import nacl.signing

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pwtest
import rawsmtp

GOOD, LIAR, NAMELESS, LOST = ("192.0.2.10", "192.0.2.20", "192.0.2.30",
                              "192.0.2.40")
OTHER = "198.51.100.1"


def arpa(ip):
    return ".".join(reversed(ip.split("."))) + ".in-addr.arpa"


# ---- keys and signatures -------------------------------------------------------


class Keys:
    def __init__(self):
        self.rsa = self.make(2048)
        self.short = self.make(512)
        self.seed = nacl.signing.SigningKey.generate()

    @staticmethod
    def make(bits):
        return subprocess.run(
            ["openssl", "genrsa", "-traditional", str(bits)], check=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout

    @staticmethod
    def record(pem):
        der = subprocess.run(
            ["openssl", "rsa", "-pubout", "-outform", "DER"], check=True,
            input=pem, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL).stdout
        return "v=DKIM1; k=rsa; p=" + base64.b64encode(der).decode()

    def ed(self):
        return "v=DKIM1; k=ed25519; p=" + base64.b64encode(
            bytes(self.seed.verify_key)).decode()

    def sign(self, raw, selector=b"rsa", domain=b"pass.test", **more):
        """By dkimpy, as a stranger's server does it."""
        if selector == b"ed":
            more["signature_algorithm"] = b"ed25519-sha256"
            key = base64.b64encode(bytes(self.seed))
        else:
            key = self.short if selector == b"short" else self.rsa
        more.setdefault("include_headers", [b"from", b"to", b"subject",
                                            b"date"])
        return dkim.sign(raw, selector, domain, key, **more) + raw

    def by_hand(self, raw, **tags):
        """A signature with tags that dkimpy does not write: relaxed/simple
        over From and Subject."""
        head, body = raw.split(b"\r\n\r\n", 1)
        body = body.rstrip(b"\r\n") + b"\r\n"
        tag = {"v": "1", "a": "rsa-sha256", "c": "relaxed/simple",
               "d": "pass.test", "s": "rsa", "h": "from:subject"}
        tag.update(tags)
        tag["bh"] = base64.b64encode(hashlib.sha256(body).digest()).decode()
        value = "; ".join("%s=%s" % t for t in tag.items()) + "; b="
        fields = dict(f.split(b":", 1) for f in head.split(b"\r\n"))
        signed = b"".join(
            n.lower() + b":" + fields[n].strip() + b"\r\n"
            for n in (b"From", b"Subject")) + \
            b"dkim-signature:" + value.encode()
        b = dkim.crypto.RSASSA_PKCS1_v1_5_sign(
            hashlib.sha256(signed),
            dkim.crypto.parse_pem_private_key(self.rsa))
        return b"DKIM-Signature: " + value.encode() + \
            base64.b64encode(b) + b"\r\n" + raw


def world(keys):
    spf = {
        "pass": "v=spf1 ip4:192.0.2.10 -all",
        "fail": "v=spf1 ip4:192.0.2.99 -all",
        "soft": "v=spf1 ip4:192.0.2.99 ~all",
        "neutral": "v=spf1 ip4:192.0.2.99 ?all",
        "perm": "v=spf1 ip4:192.0.2.999 -all",
        "include": "v=spf1 include:pass.test -all",
        "deadinclude": "v=spf1 include:spf.dead.test -all",
        "all": "v=spf1 +all",
        "wide": "v=spf1 ip4:128.0.0.0/1 -all",
        "mx": "v=spf1 mx -all",
        "exists": "v=spf1 exists:%{ir}.%{l1r-}.x.exists.test -all",
        "lookups": "v=spf1 " + " ".join("include:fail.test"
                                        for _ in range(11)) + " -all",
    }
    table = {name + ".test": [("TXT", record), ("A", "192.0.2.200")]
             for name, record in spf.items()}
    table.update({
        "none.test": [("A", "192.0.2.200")],
        "twice.test": [("TXT", "v=spf1 -all"), ("TXT", "v=spf1 +all")],
        "silent.test": [("MX", (0, ".")), ("A", "192.0.2.200")],
        "helo.pass.test": [("A", GOOD), ("TXT", "v=spf1 a -all")],
        "helo.fail.test": [("A", GOOD), ("TXT", "v=spf1 -all")],
        "good.pass.test": [("A", GOOD)],
        "bad.pass.test": [("A", "192.0.2.99")],
        "10.2.0.192.ines.x.exists.test": [("A", "127.0.0.2")],
        arpa(GOOD): [("PTR", "good.pass.test")],
        arpa(LIAR): [("PTR", "bad.pass.test"), ("PTR", "none.test")],
        arpa(LOST): [("PTR", "host.dead.test")],
        "dead.test": "TIMEOUT",
        "rsa._domainkey.pass.test": [("TXT", keys.record(keys.rsa))],
        "ed._domainkey.pass.test": [("TXT", keys.ed())],
        "short._domainkey.pass.test": [("TXT", keys.record(keys.short))],
        "test._domainkey.pass.test": [("TXT", keys.record(keys.rsa).replace(
            "k=rsa", "k=rsa; t=y"))],
        "revoked._domainkey.pass.test": [("TXT", "v=DKIM1; k=rsa; p=")],
    })
    table["mx.test"].append(("MX", (10, "good.pass.test")))
    return table


# ---- one mail and what is said of it ------------------------------------------------


class Seen:
    """What became of one mail."""

    def __init__(self, reply, stored, record):
        self.reply, self.stored, self.record = reply, stored, record
        head = stored.decode("utf-8", "replace").split("\n\n")[0] + "\n"
        unfolded = re.sub(r"\n[ \t]+", " ", head)
        own = unfolded.split("\nReceived: ")[0]
        self.fields = re.findall(r"(?m)^([!-9;-~]+): ?(.*)$", own)
        self.results = [v for n, v in self.fields
                        if n == "Authentication-Results"]
        self.spf = [v for n, v in self.fields if n == "Received-SPF"]
        self.symbols = {e["symbol"]: e for e in
                        (record or {}).get("evidence", [])}

    def entries(self):
        return [e.strip() for e in self.results[0].split(";")[1:]] \
            if self.results else []


class World:
    def __init__(self, report, pw, port, keys):
        self.report, self.pw, self.port, self.keys = report, pw, port, keys
        self.seen = set()

    def check(self, ok, what, detail=""):
        return self.report.check(ok, what, detail)

    def mail(self, what, message=None, sender="ines@pass.test", ip=GOOD,
             helo="good.pass.test", code=250, folder=""):
        """Sends it; a Seen.  The same results must stand in the header, in the
        record, and in what explain prints."""
        reply = rawsmtp.send(self.port, message or rawsmtp.mail(what), sender,
                             helo=helo, proxy=ip)
        if not self.check(reply[0] == code, what, "%d %s" % reply):
            return Seen(reply, b"", None)
        if code != 250:
            return Seen(reply, b"", None)
        ident = rawsmtp.ident(reply[1])

        def found():
            return [b for b in self.pw.maildir("alice", folder).values()
                    if (" id %s\n" % ident).encode() in b]
        stored = pwtest.wait_for(found, 5, say="file of " + what) \
            if folder is not None else [b""]
        record = pwtest.wait_for(lambda: self.pw.explained(ident), 10,
                                 say="record of " + what)
        s = Seen(reply, stored[0], record)
        told = re.sub(r"\s+", " ", record["auth_results"])
        if folder is None:
            return s
        self.check(len(s.results) == 1 and s.results[0] == told, what,
                   "header %s, record %s" % (s.results, told))
        self.check(told.startswith("mx.example.test;"), what, told)
        text = re.sub(r"\s+", " ", self.pw.verb("explain", ident))
        self.check("Authentication-Results: " + told in text, what,
                   "not in explain")
        return s


def spf(w):
    cases = [("pass.test", "pass"), ("fail.test", "fail"),
             ("soft.test", "softfail"), ("neutral.test", "neutral"),
             ("none.test", "none"), ("perm.test", "permerror"),
             ("twice.test", "permerror"), ("lookups.test", "permerror"),
             ("include.test", "pass"), ("all.test", "pass"),
             ("wide.test", "pass"), ("mx.test", "pass"),
             ("exists.test", "pass"), ("PASS.Test", "pass"),
             ("nx.pass.test", "none"), ("dead.test", "temperror"),
             ("deadinclude.test", "temperror"),
             ("outside-the-zones.invalid", "temperror")]
    for domain, result in cases:
        what = "SPF %s %s" % (result, domain)
        start = time.monotonic()
        s = w.mail(what, sender="ines@" + domain)
        took = time.monotonic() - start
        low = domain.lower()
        want = "spf=%s smtp.mailfrom=%s" % (result, low)
        if result == "temperror" and low.endswith(".invalid") and \
                not any(want in e for e in s.entries()):
            want = "spf=none smtp.mailfrom=" + low  # answered by NXDOMAIN
        w.check(any(e.startswith(want) for e in s.entries()), what,
                str(s.results))
        w.check(took < 8, what, "%.1f s" % took)
        symbol = "SPF_" + want[4:].split(" ")[0].upper()
        w.check(symbol in s.symbols, what, str(list(s.symbols)))
        w.check(len(s.spf) == 1 and s.spf[0].startswith(
            want[4:].split(" ")[0] + " (") and
            "client-ip=192.0.2.10;" in s.spf[0] and
            'envelope-from="ines@%s";' % low in s.spf[0] and
            "identity=mailfrom" in s.spf[0] and
            "receiver=mx.example.test" in s.spf[0], what,
            "Received-SPF: %s" % s.spf)
    s = w.mail("SPF +all", sender="ines@all.test")
    w.check("SPF_PASS_ALL" in s.symbols, "SPF +all", str(list(s.symbols)))
    s = w.mail("SPF wide", sender="ines@wide.test")
    w.check("SPF_PASS_WIDE" in s.symbols, "SPF wide", str(list(s.symbols)))
    s = w.mail("SPF other client", ip=OTHER)
    w.check("SPF_FAIL" in s.symbols, "SPF other client", str(s.results))
    names = {(a["name"].rstrip("."), a["type"]): a["status"]
             for a in s.record["dns"]}
    w.check(names.get(("pass.test", "TXT")) == "ok", "answers are kept",
            str(names))


def helo(w):
    for name, result in (("helo.pass.test", "pass"),
                         ("helo.fail.test", "fail")):
        what = "HELO " + result
        s = w.mail(what, helo=name)
        w.check(any(e.startswith("spf=%s smtp.helo=%s" % (result, name))
                    for e in s.entries()), what, str(s.results))
        w.check("SPF_HELO_" + result.upper() in s.symbols, what)
        # Reports come from nobody: judged as postmaster of the HELO name.
        what = "null sender, HELO " + result
        s = w.mail(what, sender="", helo=name)
        w.check(any(e.startswith("spf=%s smtp.mailfrom=%s" % (result, name))
                    for e in s.entries()), what, str(s.results))
        w.check(s.spf and 'envelope-from="postmaster@%s"' % name in s.spf[0],
                what, str(s.spf))
        w.check(s.stored.startswith(b"Return-Path: <>\n"), what)
    for name in ("[192.0.2.10]", "nodots", "x_y.pass.test"):
        s = w.mail("HELO " + name, helo=name, sender="")
        w.check(s.results, "HELO " + name, str(s.fields))


def iprev(w):
    for ip, result, symbol, name in (
            (GOOD, "pass", "IPREV_PASS", "good.pass.test"),
            (LIAR, "fail", "IPREV_FAIL", ""),
            (NAMELESS, "permerror", "IPREV_NONE", ""),
            (LOST, "temperror", "IPREV_TEMPERROR", "")):
        s = w.mail("iprev " + result, ip=ip)
        w.check(any(e.startswith("iprev=%s" % result) and
                    "policy.iprev=%s" % ip in e for e in s.entries()),
                "iprev " + result, str(s.results))
        w.check(symbol in s.symbols, "iprev " + result)
        w.check((s.record["rdns"] or "") == name, "iprev " + result,
                s.record["rdns"])
        received = re.search(rb"Received: from [^\n]+", s.stored).group(0)
        want = ("(%s%s[%s])" % (name, " " if name else "", ip)).encode()
        w.check(received.endswith(want), "iprev " + result, str(received))


def signatures(w):
    k = w.keys
    plain = rawsmtp.mail("signed", "One.\r\nTwo.\r\n")
    now = int(time.time())
    signed = k.sign(plain)
    cases = [
        ("rsa", signed, ["pass"], "DKIM_PASS", ""),
        ("ed25519", k.sign(plain, b"ed"), ["pass"], "DKIM_PASS", ""),
        ("by hand", k.by_hand(plain), ["pass"], "DKIM_PASS", ""),
        ("body changed", signed.replace(b"Two.", b"Too."), ["fail"],
         "DKIM_FAIL", ""),
        ("header changed", signed.replace(b"Subject: signed",
                                          b"Subject: forged"), ["fail"],
         "DKIM_FAIL", ""),
        ("no key", k.sign(plain, b"missing"), ["permerror"],
         "DKIM_PERMERROR", "there is no key"),
        ("dead key server", k.sign(plain, b"rsa", b"dead.test"),
         ["temperror"], "DKIM_TEMPERROR", "looked up"),
        ("revoked", k.sign(plain, b"revoked"), ["permerror"],
         "DKIM_PERMERROR", "revoked"),
        ("short key", k.sign(plain, b"short"), ["permerror"],
         "DKIM_PERMERROR", "1024"),
        ("test mode, broken", k.sign(plain, b"test").replace(b"Two", b"Too"),
         ["neutral"], "DKIM_TEST_MODE", ""),
        ("two", k.sign(k.sign(plain), b"ed"), ["pass", "pass"], "DKIM_PASS",
         ""),
        ("two, one broken",
         k.sign(k.sign(plain).replace(b"Two", b"Too"), b"ed"),
         ["pass", "fail"], "DKIM_FAIL", ""),
        ("sha1", k.sign(plain, signature_algorithm=b"rsa-sha1"),
         ["permerror"], "DKIM_PERMERROR", "SHA-1"),
        ("expired", k.by_hand(plain, t=now - 9000, x=now - 3600), ["fail"],
         "DKIM_FAIL", "expired"),
        ("not expired", k.by_hand(plain, t=now - 100, x=now + 600), ["pass"],
         "DKIM_PASS", ""),
        ("from the future", k.by_hand(plain, t=now + 86400 * 3), ["fail"],
         "DKIM_FAIL", "future"),
        ("l= whole", k.sign(plain, length=True), ["pass"], "DKIM_PASS", ""),
        ("l= with a tail", k.sign(plain, length=True) + b"Added.\r\n",
         ["policy"], "DKIM_UNSIGNED_TAIL", "l="),
        ("second From", b"From: evil@bank.test\r\n" + signed, ["policy"],
         "DKIM_POLICY", "From"),
        ("From not signed", k.by_hand(plain, h="subject"), ["permerror"],
         "DKIM_PERMERROR", "From is not signed"),
        ("malformed", b"DKIM-Signature: v=1; a=rsa-sha256\r\n" + plain,
         ["permerror"], "DKIM_PERMERROR", ""),
        ("ten", b"".join(b"DKIM-Signature: v=1; d=x%d.test\r\n" % n
                         for n in range(10)) + plain, ["permerror"] * 8,
         "DKIM_MANY", ""),
        ("none", plain, ["none"], "DKIM_NONE", ""),
    ]
    for what, message, results, symbol, reason in cases:
        what = "DKIM " + what
        s = w.mail(what, message)
        entries = [e for e in s.entries() if e.startswith("dkim=")]
        got = [e[5:].split(" ")[0] for e in entries]
        w.check(sorted(got) == sorted(results) or
                (results == ["none"] and got == []), what, str(s.results))
        w.check(symbol in s.symbols, what, str(list(s.symbols)))
        w.check(reason in " ".join(entries), what, str(entries))
        if results == ["pass"]:
            w.check("header.d=pass.test" in entries[0] and
                    "header.b=" in entries[0], what, str(entries))
        # Stored bytes still verify, where they did.
        if what == "DKIM rsa":
            raw = s.stored.replace(b"\n", b"\r\n")
            ok = dkim.verify(raw, dnsfunc=lambda n, **_: k.record(
                k.rsa).encode())
            w.check(ok, "DKIM of the stored file")


FORGED = [
    b"Authentication-Results: mx.example.test; spf=pass smtp.mailfrom=b.test",
    b"authentication-results:mx.example.test;dkim=pass header.d=bank.test",
    b"AUTHENTICATION-RESULTS: MX.EXAMPLE.TEST; dkim=pass",
    b"Authentication-Results: mx.example.test 1; dkim=pass",
    b"Authentication-Results: mx.example.test; none",
    b"Authentication-Results: mx.example.test",
    b"Authentication-Results: mx.example.test.; dkim=pass",
    b"Authentication-Results:\r\n mx.example.test; dkim=pass",
    b"Authentication-Results:\r\n\tmx.example.test;\r\n\tdkim=pass",
    b"Authentication-Results: (a comment) mx.example.test; dkim=pass",
    b"Authentication-Results: (a (nested\\) one)) mx.example.test; dkim=pass",
    b"Authentication-Results: (folded\r\n comment) mx.example.test; dkim=pass",
    b"Authentication-Results: \"mx.example.test\"; dkim=pass",
    b"Authentication-Results: \"mx\\.example.test\"; dkim=pass",
    b"Authentication-Results: mx.example.test/1; dkim=pass",
    b"Authentication-Results : mx.example.test; dkim=pass",
    b"Authentication-Results\t: mx.example.test; dkim=pass",
    b"Authentication-Results:\t mx.example.test\t; dkim=pass",
    b"Authentication-Results: mx.example.test(x); dkim=pass",
    b"Authentication-Results: mx.example.test=; dkim=pass",
]
KEPT = [
    b"Authentication-Results: mx.other.test; dkim=pass",
    b"Authentication-Results: xmx.example.test; dkim=pass",
    b"Authentication-Results: mx.example.test.evil.test; dkim=pass",
    b"Authentication-Results: example.test; dkim=pass",
    b"Authentication-Results: other.test; x=mx.example.test",
    b"X-Authentication-Results: mx.example.test; dkim=pass",
    b"Authentication-Results-Old: mx.example.test; dkim=pass",
    b"ARC-Authentication-Results: i=1; mx.example.test; dkim=pass",
    b"Subject: Authentication-Results: mx.example.test; dkim=pass",
]


def restore(stored, cuts):
    """The message as it came, from what is stored and the record."""
    lines = stored.split(b"\n")
    i = next(n for n, l in enumerate(lines) if l.startswith(b"Received:")) + 1
    while lines[i][:1] in (b" ", b"\t"):
        i += 1
    raw = b"\r\n".join(lines[i:])
    for cut in sorted(cuts, key=lambda c: c["offset"]):
        at, text = cut["offset"], cut["bytes"].encode()
        raw = raw[:at] + text + raw[at:]
    return raw


def forged(w):
    base = rawsmtp.mail("forged")
    for field in FORGED:
        message = base.replace(b"Subject:", field + b"\r\nSubject:", 1)
        what = "forged %r" % field[:60]
        s = w.mail(what, message)
        w.check(b"dkim=pass" not in s.stored and
                b"smtp.mailfrom=b.test" not in s.stored and
                len(s.results) == 1, what,
                "kept")
        w.check("AUTHRES_FORGED" in s.symbols, what, str(list(s.symbols)))
        cuts = s.record.get("cuts") or []
        w.check(restore(s.stored, cuts) == message, what,
                "not restored: %s" % cuts)
    for field in KEPT:
        message = base.replace(b"To:", field + b"\r\nTo:", 1)
        s = w.mail("kept %r" % field[:60], message)
        w.check(field in s.stored and not s.record.get("cuts") and
                "AUTHRES_FORGED" not in s.symbols, "kept %r" % field, "gone")
        w.check(restore(s.stored, []) == message, "kept %r" % field)
    # All at once, first and last among the fields, and in the body.
    message = b"\r\n".join(FORGED) + b"\r\n" + base.replace(
        b"\r\n\r\n", b"\r\n" + b"\r\n".join(FORGED) + b"\r\n\r\n" +
        FORGED[0] + b"\r\n", 1)
    s = w.mail("forged, many", message)
    cuts = s.record.get("cuts") or []
    w.check(s.stored.count(b"dkim=pass") == 0 and
            s.stored.count(FORGED[0]) == 1, "forged, many",
            str(s.stored[-500:]))
    w.check(restore(s.stored, cuts) == message, "forged, many",
            "not restored")
    # A signature over what was cut is judged on what came.
    signed = w.keys.sign(base.replace(
        b"To:", FORGED[1] + b"\r\nTo:", 1), include_headers=[
            b"from", b"authentication-results", b"subject"])
    s = w.mail("forged and signed", signed)
    w.check("DKIM_PASS" in s.symbols and b"bank.test" not in s.stored,
            "forged and signed", str(s.results))


# ---- policy ------------------------------------------------------------------------------


def null_mx(w):
    with rawsmtp.Client(w.port, proxy=GOOD) as c:
        replies = c.envelope(sender="ines@silent.test",
                             to=("alice@example.test",))
        code, text = replies[-1] if replies[1][0] == 250 else replies[1]
        w.check(code == 550 and text.startswith("5.7.27 "), "null MX",
                str(replies))
        c.cmd("RSET")
        code, text = c.envelope(helo=None)[-1]
        w.check(code == 250, "after a null MX", text)


def configure(w, policy, more=""):
    """Another policy by a reload."""
    with open(w.pw.file) as f:
        text = f.read()
    text = re.sub(r"(?m)^policy: .*$", "policy: { %s };" % policy, text)
    text = text.split("# policy test\n")[0] + "# policy test\n" + more
    with open(w.pw.file, "w") as f:
        f.write(text)
    w.pw.verb("reload")


def policy(w):
    configure(w, 'null-mx = "inform";')
    s = w.mail("null MX informs", sender="ines@silent.test")
    w.check("NULL_MX" in s.symbols, "null MX informs")
    bad = dict(sender="ines@fail.test")
    configure(w, 'spf-fail = "junk";')
    s = w.mail("SPF fail to Junk", folder="Junk", **bad)
    w.check(s.record["action"] == "junk" and
            "spf-fail is junk" in s.record["step"], "SPF fail to Junk",
            s.record["step"])
    configure(w, 'spf-fail = "hold";')
    s = w.mail("SPF fail held", folder=None, **bad)
    ident = s.record["id"].encode()
    w.check(s.record["action"] == "hold" and not any(
        ident in b for f in ("", "Junk")
        for b in w.pw.maildir("alice", f).values()), "SPF fail held",
        str(s.record["action"]))
    configure(w, 'spf-fail = "refuse";')
    with rawsmtp.Client(w.port, proxy=GOOD) as c:
        replies = c.envelope(**bad)
        if replies[-1][0] == 250:
            replies.append(c.data(rawsmtp.mail("refused")))
        w.check(replies[-1][0] == 550 and "5.7.23" in replies[-1][1],
                "SPF fail refused", str(replies))
    w.mail("SPF pass under refuse")
    w.mail("SPF softfail under refuse", sender="ines@soft.test")
    w.mail("SPF temperror under refuse", sender="ines@dead.test")
    scores(w)


def scores(w):
    weights = 'weights = [ "SPF_SOFTFAIL=5", "SPF_FAIL=7", ' \
        '"SPF_NEUTRAL=3", "DKIM_NONE=0", "IPREV_PASS=0" ];'
    configure(w, "junk-score = 300; hold-score = 500; refuse-score = 700;" +
              weights)
    s = w.mail("score to Junk", sender="ines@neutral.test", folder="Junk")
    w.check(s.record["action"] == "junk" and abs(s.record["score"] - 3) < 0.01
            and "junk-score" in s.record["step"], "score to Junk",
            "%s %s" % (s.record["score"], s.record["step"]))
    s = w.mail("score held", sender="ines@soft.test", folder=None)
    w.check(s.record["action"] == "hold", "score held", s.record["step"])
    s = w.mail("score refused", sender="ines@fail.test", code=550)
    w.check(s.reply[1].startswith("5.7.1 "), "score refused", s.reply[1])
    w.mail("score of a pass")
    configure(w, "junk-score = 300; hold-score = 500; refuse-score = 700;" +
              weights, 'stage: ( { name = "spf"; shadow = true; } );\n')
    s = w.mail("in shadow", sender="ines@fail.test")
    w.check(s.symbols.get("SPF_FAIL", {}).get("shadow") is True and
            s.record["score"] < 3 and "spf=" not in s.results[0], "in shadow",
            str(s.results))
    configure(w, "")


# ---- without DNS ---------------------------------------------------------------------------


def dead(report, keys):
    """Every name server is silent, or gone: mail still comes in, in time."""
    hole = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    hole.bind(("127.0.0.1", 0))
    port = pwtest.free_port()
    pw = pwtest.Postward(
        pwtest.scratch("auth-dead"), tls=False, store='journal = "8M";',
        dns_more='timeout = "2s";', more_listeners=''',
        { name = "proxy"; address = "127.0.0.1"; port = %d; tls = false;
          proxy = [ "127.0.0.1" ]; }''' % port)
    with open(pw.file) as f:
        text = f.read()
    with open(pw.file, "w") as f:
        f.write(text.replace('"127.0.0.1@9"', '"127.0.0.1@%d"' %
                             hole.getsockname()[1]))
    pw.accounts()
    pw.start()
    w = World(report, pw, port, keys)
    signed = keys.sign(rawsmtp.mail("silent"))
    took, replies = [], []

    def one(n):
        start = time.monotonic()
        replies.append(rawsmtp.send(port, signed, "ines@pass%d.test" % n,
                                    helo="h%d.pass.test" % n,
                                    proxy="192.0.2.%d" % (n + 50)))
        took.append(time.monotonic() - start)
    try:
        threads = [threading.Thread(target=one, args=(n,)) for n in range(20)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        report.check([c for c, _ in replies] == [250] * 20, "without DNS",
                     str(replies[:3]))
        report.check(max(took) < 10, "without DNS", "%.1f s" % max(took))
        print("without DNS: %.1f s at worst for 20 mails at once" % max(took))
        record = pwtest.wait_for(
            lambda: pw.explained(rawsmtp.ident(replies[0][1])), 10)
        told = re.sub(r"\s+", " ", record["auth_results"])
        report.check("spf=temperror" in told and "dkim=temperror" in told and
                     "iprev=temperror" in told and "pass " not in told and
                     "fail" not in told, "without DNS", told)
        lag = int(pw.status().get("front.front.0.lag_max_us") or
                  pw.status()["front.0.lag_max_us"])
        report.check(lag < 500000, "loop lag without DNS", "%d us" % lag)
        hole.close()  # now the port refuses
        s = w.mail("DNS refused")
        report.check(any(e.startswith("spf=temperror") for e in s.entries()),
                     "DNS refused", str(s.results))
    finally:
        report.check(pw.stop() == 0, "stop")


def main():
    report = pwtest.Report("auth")
    keys = Keys()
    folder = pwtest.scratch("auth")
    zones = os.path.join(folder, "dns")
    dns = pwtest.Dnsd(zones, world(keys))
    port = pwtest.free_port()
    pw = pwtest.Postward(
        folder, dns=dns, tls=False, store='journal = "8M";',
        smtp="max-sessions-network = 1000;",
        dns_more='timeout = "1s"; unbound-conf = "%s/unbound.conf";' % zones,
        more_listeners=''', { name = "proxy"; address = "127.0.0.1";
            port = %d; tls = false; proxy = [ "127.0.0.1" ]; }''' % port)
    pw.accounts()
    pw.start()
    w = World(report, pw, port, keys)
    steps = [(s.__name__, s, (w,)) for s in (spf, helo, iprev, signatures,
                                             forged, null_mx, policy)]
    try:
        for name, step, arguments in steps:
            start = time.monotonic()
            try:
                step(*arguments)
            except (OSError, RuntimeError, rawsmtp.Closed, KeyError, TypeError,
                    IndexError, AttributeError) as e:
                report.check(False, name, repr(e))
            print("%s: %.1f s" % (name, time.monotonic() - start))
    finally:
        report.check(pw.stop() == 0, "stop")
        dns.stop()
    crashed = pw.logged("role.end", "signal=")
    report.check(not crashed, "no role crashed", "".join(crashed[:3]))
    dead(report, keys)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
