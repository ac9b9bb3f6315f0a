#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Signed mail through the stage dkim: the public sets of $POSTWARD_DATA/dkim
where they are there, and mail signed here by Debian's python3-dkim, altered in
every way that a verifier must notice.

Usage: dkim_suite.py DRIVER"""
import base64
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

DRIVER = sys.argv[1]
DATA = os.path.join(os.environ.get("POSTWARD_DATA", "../shared/data"), "dkim")
passed = failed = 0


def judged(message, answers):
    """What the driver says, by lines."""
    with tempfile.NamedTemporaryFile() as f:
        f.write(message)
        f.flush()
        text = "".join("%s %d %s\n" % (n, s, t) for n, s, t in answers)
        out = subprocess.run([DRIVER, f.name], input=text.encode(),
                             stdout=subprocess.PIPE, timeout=20, check=True)
    return out.stdout.decode().splitlines()


def verify(message, answers):
    """Results in the order of signatures: [(result, props, reason)]."""
    rows = []
    for line in judged(message, answers):
        if line.startswith("@"):
            break
        head, reason = line.split("; ", 1)
        result, _, props = head.partition(" ")
        rows.append((result, props, reason))
    return rows


def told(what, message, answers, symbols=(), without=(), **want):
    """SYMBOLS are evidence, those in WITHOUT are not; facts are given by their
    name with "_" for ".", as a list by index."""
    global passed, failed
    lines = judged(message, answers)
    have = [l.split(" ")[1] for l in lines if l.startswith("@evidence")]
    facts = {}
    for l in lines:
        if l.startswith("@fact"):
            _, name, index, value = l.split(" ", 3)
            facts.setdefault(name, {})[int(index)] = value
    ok = all(s in have for s in symbols) and \
        not any(s in have for s in without)
    for name, values in want.items():
        got = facts.get(name.replace("_", "."), {})
        ok = ok and got == {i: v for i, v in enumerate(values)
                            if v is not None}
    if ok:
        passed += 1
    else:
        failed += 1
        print("FAILED %s: %s %s" % (what, have, facts))
    return facts


def check(name, want, message, answers):
    global passed, failed
    got = verify(message, answers)
    if [g[0] for g in got] == want:
        passed += 1
    else:
        failed += 1
        print("FAILED %s: want %s, got %s" % (name, want, got))


def crlf(b):
    return re.sub(rb"\r?\n", b"\r\n", b)


def zone(path):
    text = open(path).read().replace("\\\n", " ")
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if not colon:
            continue
        value = " ".join(value.split())
        status = {"TEMPERROR": 3, "PERMERROR": 2}.get(value, 0)
        yield name.strip(), status, "" if status else value


def chasquid():
    states = {"SUCCESS": "pass", "TEMPFAIL": "temperror",
              "PERMFAIL": "permerror"}
    base = DATA + "/chasquid/01-rfc8463"
    for res in sorted(glob.glob(DATA + "/chasquid/*.result")):
        stem = res[:-len(".result")]
        name = os.path.basename(stem)
        msg, dns = stem + ".msg", stem + ".dns"
        msg = msg if os.path.exists(msg) else base + ".msg"
        if not os.path.exists(dns):
            dns = DATA + "/chasquid/08-our_signature.dns"
        rows = json.load(open(res)).get("Results") or []
        want = [states.get(r["State"], r["State"]) for r in rows]
        # That set looks at 5 signatures, we at 8; its l= mail passes, ours is
        # a pass that does not count.
        got = verify(crlf(open(msg, "rb").read()), zone(dns))
        have = [g[0] for g in got][:len(want)]
        have = ["pass" if h == "policy" else h for h in have]
        report(name, want or ["none"], have or ["none"], got)


def report(name, want, have, got):
    global passed, failed
    if want == have:
        passed += 1
    else:
        failed += 1
        print("FAILED %s: want %s, got %s" % (name, want, got))


def signed():
    try:
        import dkim
    except ImportError:
        print("skipped: python3-dkim is not there")
        return
    keydir = DATA + "/dkimpy"
    if not os.path.isdir(keydir):
        print("skipped: no keys in", keydir)
        return
    rsa = open(keydir + "/test.private", "rb").read()
    rsa_txt = " ".join(open(keydir + "/test.txt").read().split())
    key = [("s._domainkey.example.com", 0, rsa_txt)]
    body = b"hello\r\n\r\n  two  words \r\n\r\n\r\n"
    mail = (b"From: a@example.com\r\nTo: b@example.net\r\n"
            b"Subject: one\r\n  two\r\nX-E: \r\n\r\n" + body)
    for canon in ((a, b) for a in (b"simple", b"relaxed")
                  for b in (b"simple", b"relaxed")):
        tag = (canon[0] + b"/" + canon[1]).decode()

        def sign(**kw):
            return dkim.sign(mail, b"s", b"example.com", rsa,
                             canonicalize=canon, **kw)
        sig = sign()
        check(tag, ["pass"], sig + mail, key)
        check(tag + " twice", ["pass", "pass"], sig + sig + mail, key)
        check(tag + " body", ["fail"], sig + mail + b"x\r\n", key)
        check(tag + " subject", ["fail"],
              sig + mail.replace(b"one", b"two"), key)
        check(tag + " no key", ["permerror"], sig + mail, [])
        for status in (3, 4, 5):
            check(tag + " status", ["temperror"], sig + mail,
                  [(key[0][0], status, "")])
        for rec in ("v=DKIM1; p=", "v=DKIM2; " + rsa_txt, "nonsense",
                    rsa_txt.replace("rsa", "ed25519"),
                    rsa_txt + "; h=sha1", rsa_txt + "; s=tlsrpt",
                    "v=DKIM1; k=rsa; p=!!!!"):
            check(tag + " key " + rec[:24], ["permerror"], sig + mail,
                  [(key[0][0], 0, rec)])
        check(tag + " test mode", ["pass"], sig + mail,
              [(key[0][0], 0, rsa_txt + "; t=y")])
        check(tag + " test mode fail", ["neutral"], sig + mail + b"x\r\n",
              [(key[0][0], 0, rsa_txt + "; t=y")])
        part = sign(length=True)
        check(tag + " l= whole", ["pass"], part + mail, key)
        check(tag + " l= tail", ["policy"], part + mail + b"tail\r\n", key)
        # python3-dkim signs From twice, so that a second one breaks it.
        check(tag + " two From", ["fail"], b"From: x@evil.test\r\n" + sig +
              mail, key)
        check(tag + " nine", ["pass"] * 8, sig * 9 + mail, key)
        check(tag + " no From", ["permerror"], sig +
              mail.replace(b"From:", b"Form:"), key)
        check(tag + " v=", ["permerror"], sig.replace(b"v=1", b"v=2") + mail,
              key)
        check(tag + " sha1", ["permerror"],
              sig.replace(b"rsa-sha256", b"rsa-sha1") + mail, key)


def evidence():
    """Evidence and facts: what DMARC may build on."""
    try:
        import arc_chains
        import dkim
        import nacl.signing
    except ImportError as e:
        print("skipped: %s" % e)
        return
    mail = (b"From: a@example.com\r\nTo: b@example.net\r\n"
            b"Subject: one\r\n\r\nhello\r\n")
    keys = {n: arc_chains.rsa_key(n) for n in (512, 1024, 2048)}
    zone = [("k%d._domainkey.example.com" % n, 0, arc_chains.rsa_record(k))
            for n, k in keys.items()]
    seed = nacl.signing.SigningKey.generate()
    zone.append(("ed._domainkey.example.com", 0, "v=DKIM1; k=ed25519; p=" +
                 base64.b64encode(bytes(seed.verify_key)).decode()))
    zone.append(("test._domainkey.example.com", 0, zone[2][2] + "; t=y"))
    headers = [b"from", b"to", b"subject"]

    def sign(bits=2048, selector=None, message=mail, **kw):
        kw.setdefault("include_headers", headers)
        return dkim.sign(message, selector or b"k%d" % bits, b"example.com",
                         keys[bits], **kw)

    def retag(**tags):
        """Signed by hand, with tags that python3-dkim does not write."""
        return arc_chains.dkim_by_hand(mail, keys[2048], s="k2048", **tags)
    good = sign()
    one = dict(dkim_domain=["example.com"], dkim_signature_counts=["1"])
    none = dict(dkim_domain=[], dkim_signature_counts=["0"])
    told("2048 bits", good + mail, zone, ["DKIM_PASS"],
         ["DKIM_WEAK_KEY", "DKIM_MANY"], dkim_result=["pass"],
         dkim_signature_selector=["k2048"], **one)
    told("1024 bits", sign(1024) + mail, zone, ["DKIM_PASS", "DKIM_WEAK_KEY"],
         **one)
    told("512 bits", sign(512) + mail, zone, ["DKIM_SHORT_KEY",
         "DKIM_PERMERROR"], ["DKIM_PASS"], **none)
    ed = dkim.sign(mail, b"ed", b"example.com", base64.b64encode(bytes(seed)),
                   signature_algorithm=b"ed25519-sha256",
                   include_headers=headers)
    told("ed25519", ed + mail, zone, ["DKIM_PASS"], ["DKIM_WEAK_KEY"], **one)
    told("test mode", sign(selector=b"test") + mail, zone,
         ["DKIM_PASS", "DKIM_TEST_MODE"], dkim_result=["pass"], **none)
    told("sha1", sign(signature_algorithm=b"rsa-sha1") + mail, zone,
         ["DKIM_SHA1"], ["DKIM_PASS"], **none)
    told("l= whole", sign(length=True) + mail, zone, ["DKIM_PASS"],
         ["DKIM_UNSIGNED_TAIL"], **one)
    told("l= tail", sign(length=True) + mail + b"more\r\n", zone,
         ["DKIM_UNSIGNED_TAIL", "DKIM_POLICY"], ["DKIM_PASS"],
         dkim_result=["policy"], dkim_hash=[], **none)
    told("two From", b"From: x@evil.test\r\n" + good + mail, zone,
         ["DKIM_FROM_DOUBLED"] if b"from : from" not in good else
         ["DKIM_FAIL"], ["DKIM_PASS"], **none)
    told("by hand", retag() + mail, zone, ["DKIM_PASS"], **one)
    told("two From, by hand", b"From: x@evil.test\r\n" + retag() + mail,
         zone, ["DKIM_FROM_DOUBLED", "DKIM_POLICY"], ["DKIM_PASS"], **none)
    told("From unsigned", retag(h="subject") + mail, zone,
         ["DKIM_FROM_UNSIGNED", "DKIM_PERMERROR"], **none)
    told("expired", retag(t=1000, x=2000) + mail, zone, ["DKIM_EXPIRED",
         "DKIM_FAIL"], **none)
    told("future", retag(t=99999999999) + mail, zone, ["DKIM_FUTURE",
         "DKIM_FAIL"], **none)
    broken = good.replace(b"c=", b"z=x; c=")
    told("second counts", broken + sign(1024) + mail, zone,
         ["DKIM_PASS", "DKIM_FAIL"], dkim_domain=["example.com"],
         dkim_signature_counts=["0", "1"],
         dkim_signature_result=["fail", "pass"],
         dkim_signature_selector=["k2048", "k1024"])
    told("nine", good * 9 + mail, zone, ["DKIM_MANY"],
         dkim_domain=["example.com"] * 8, dkim_count=["9"])
    told("none", mail, zone, ["DKIM_NONE"], dkim_domain=[], dkim_count=["0"],
         dkim_result=["none"])
    # The same signature, folded anew, has the same hash; another has not.
    head, b = good.rsplit(b"b=", 1)
    folded = head + b"b=" + re.sub(rb"\s", b"", b)[:40] + b"\r\n " + \
        re.sub(rb"\s", b"", b)[40:] + b"\r\n"
    hashes = [told("hash", s + mail, zone, ["DKIM_PASS"])["dkim.hash"][0]
              for s in (good, folded, sign(1024))]
    global passed, failed
    if hashes[0] == hashes[1] != hashes[2] and len(hashes[0]) == 32:
        passed += 1
    else:
        failed += 1
        print("FAILED hashes: %s" % hashes)


def main():
    if os.path.isdir(DATA + "/chasquid"):
        chasquid()
    else:
        print("skipped: no data in", DATA)
    signed()
    evidence()
    print("dkim: %d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


sys.exit(main())
