#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Signed mail through the stage dkim: the public sets of $POSTWARD_DATA/dkim
where they are there, and mail signed here by Debian's python3-dkim, altered in
every way that a verifier must notice.

Usage: dkim_suite.py DRIVER"""
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


def verify(message, answers):
    """Results in the order of signatures: [(result, props, reason)]."""
    with tempfile.NamedTemporaryFile() as f:
        f.write(message)
        f.flush()
        text = "".join("%s %d %s\n" % (n, s, t) for n, s, t in answers)
        out = subprocess.run([DRIVER, f.name], input=text.encode(),
                             stdout=subprocess.PIPE, timeout=20, check=True)
    rows = []
    for line in out.stdout.decode().splitlines():
        head, reason = line.split("; ", 1)
        result, _, props = head.partition(" ")
        rows.append((result, props, reason))
    return rows


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


def main():
    if os.path.isdir(DATA + "/chasquid"):
        chasquid()
    else:
        print("skipped: no data in", DATA)
    signed()
    print("dkim: %d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


sys.exit(main())
