#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""DMARC cases through the stages from and dmarc: those of $POSTWARD_DATA/dmarc
where they are there, and ours.  Every case names its mode: by the tree walk of
RFC 9989, or by the public suffix list as RFC 7489 has it.

Usage: dmarc_suite.py DRIVER [-v]"""
import json
import os
import re
import subprocess
import sys

DRIVER = sys.argv[1]
VERBOSE = "-v" in sys.argv
DATA = os.path.join(os.environ.get("POSTWARD_DATA", "../shared/data"),
                    "dmarc", "dmarc_cases.jsonl")
TYPES = {"A": 1, "MX": 15, "TXT": 16, "AAAA": 28}
STATUS = {"ETIMEOUT": 4, "ESERVFAIL": 3}
passed = failed = 0

# Cases that are not of the tree walk, with the reason.
MODES = {
    # RFC 9989 section 4.10 steps 2 and 6 discard several records of a name and
    # walk on; that they end the search is RFC 7489 section 6.6.3 step 5.
    "does not inherit the org policy when the author domain publishes multiple "
    "records (§4.10 step 2)": "psl",
}


def run(lines):
    """What the stages found: {kind: [text]}, kinds fact.X, record.X, asked,
    authres, evidence."""
    out = subprocess.run([DRIVER], input="".join(x + "\n" for x in lines),
                         stdout=subprocess.PIPE, timeout=20, check=True,
                         encoding="utf-8")
    found = {}
    for line in out.stdout.splitlines():
        kind, _, text = line.partition(" ")
        if kind in ("fact", "record"):
            name, _, text = text.partition(" ")
            kind += "." + name
        found.setdefault(kind, []).append(text)
    return found


def report(ok, name, detail):
    global passed, failed
    if ok:
        passed += 1
        if VERBOSE:
            print("ok", name)
    else:
        failed += 1
        print("FAILED %s: %s" % (name, detail))


# ---- the public cases ------------------------------------------------------------


def case_lines(call, mode):
    """The input of one call; a bare domain as author is that interface's
    shorthand for any address there."""
    given = call["input"]
    author = given["headerFrom"]
    yield "mode " + mode
    yield "field From: <%s>" % (author if "@" in author else "x@" + author)
    for d in given.get("dkimDomains", []):
        d = d if isinstance(d, dict) else {"domain": d}
        if d.get("underSized"):
            # As stage dkim tells it: such a signature does not count.
            yield "fact dkim.signature.domain " + d["domain"]
            yield "fact dkim.signature.tail =%d" % d["underSized"]
        else:
            yield "fact dkim.domain " + d["domain"]
    for d in given.get("spfDomains", []):
        yield "fact spf.mailfrom.result pass"
        yield "fact spf.mailfrom.domain " + d["domain"]
    arc = given.get("arcResult", {}).get("status", {}).get("result")
    if arc == "pass":
        yield "fact arc.trusted_pass =1"
    for name, records in call["zone"].items():
        if "error" in records:
            yield "dns %s 16 %d " % (name, STATUS[records["error"]])
            continue
        for kind, values in records.items():
            for value in values:
                if kind == "TXT":
                    value = "".join(value)
                elif kind == "MX":
                    value = value["exchange"]
                yield "dns %s %d 0 %s" % (name, TYPES[kind], value)


def as_object(found):
    """The findings in the shape that the cases look into."""
    def one(kind):
        return found.get(kind, [None])[0]
    head, _, reason = one("authres").partition("; ")
    text = found.get("evidence", [""])[0]
    tail = re.search(r"leaves (\d+) octets unsigned", text)
    sender = re.search(r"header\.from=(\S+)", head)
    return {
        "status": {"result": one("fact.dmarc.result"), "comment": text,
                   "header": {"from": sender and sender.group(1),
                              "d": one("fact.dmarc.domain")}},
        "policy": one("fact.dmarc.policy"), "domain": one("fact.dmarc.domain"),
        "rr": one("fact.dmarc.record"), "info": head, "error": reason,
        "list": [a.split()[0] for a in found.get("asked", [])
                 if a.endswith(" 16")],
        "p": one("record.p"), "sp": one("record.sp"),
        "alignment": {
            "spf": {"result": one("fact.dmarc.spf"),
                    "strict": one("record.aspf") == "s"},
            "dkim": {"result": one("fact.dmarc.dkim"),
                     "strict": one("record.adkim") == "s",
                     "underSized": int(tail.group(1)) if tail else None}},
    }


def value_at(got, path, suite):
    if path == "":
        return {k: v for k, v in got.items() if v is not None}
    if path.startswith("value:"):
        return got[json.loads(path[6:])]
    if path == "pct" and suite.endswith("DMARC record parsing"):
        # Historic (RFC 9989 appendix A.6): it is in the record that was found,
        # and in nothing else.
        return int(re.search(r"pct=(\d+)", got["rr"]).group(1))
    for key in path.split("."):
        got = got[key]
    return got


def holds(value, how, want):
    return {
        "to equal": lambda: value == want,
        "to deep equal": lambda: value == want,
        "to include": lambda: want in value,
        "to contain": lambda: want in value,
        "to be a": lambda: isinstance(value, {"string": str}[want]),
        "to be true": lambda: value is True,
        "to be false": lambda: value is False,
        "to not be ok": lambda: not value,
        "to be undefined": lambda: value is None,
        "to not have property": lambda: want not in value,
    }[how]()


def public():
    if not os.path.exists(DATA):
        print("skipped: no data in", DATA)
        return
    with open(DATA, encoding="utf-8") as f:
        cases = [json.loads(line) for line in f]
    for case in cases:
        mode = MODES.get(case["name"], "tree-walk")
        got = [as_object(run(case_lines(c, mode))) for c in case["calls"]]
        each = len(case["expect"]) // len(got)  # assertions a call, in order
        bad = []
        for i, e in enumerate(case["expect"]):
            value = value_at(got[min(i // each, len(got) - 1)], e["path"],
                             case["suite"])
            if not holds(value, e["assert"], e.get("value")):
                bad.append((e, value))
        report(not bad, "[%s] %s > %s" % (mode, case["suite"], case["name"]),
               bad)


# ---- ours ---------------------------------------------------------------------------

PASS = ["fact spf.mailfrom.result pass", "fact spf.mailfrom.domain a.test"]
REJECT = "dns _dmarc.a.test 16 0 v=DMARC1; p=reject"
FROM = "field From: x@a.test"
BROKEN = ["fact dkim.signature.result temperror"]

# (name, mode, lines, result, symbol that must be there, or None)
OURS = [
    ("several records walk on", "tree-walk",
     ["field From: x@m.a.test", REJECT, "dns _dmarc.m.a.test 16 0 v=DMARC1;p=none",
      "dns _dmarc.m.a.test 16 0 v=DMARC1;p=none"], "fail", "DMARC_FAIL_REJECT"),
    ("reject", "tree-walk", [FROM, REJECT], "fail", "DMARC_FAIL_REJECT"),
    ("refuse", "tree-walk", ["refuse", FROM, REJECT], "fail", "DMARC_REFUSE"),
    ("quarantine", "tree-walk",
     [FROM, "dns _dmarc.a.test 16 0 v=DMARC1; p=quarantine"], "fail",
     "DMARC_FAIL_QUARANTINE"),
    ("test mode", "tree-walk", [FROM, REJECT + "; t=y"], "fail",
     "DMARC_FAIL_QUARANTINE"),
    ("test mode is told", "tree-walk", [FROM, REJECT + "; t=y"], "fail",
     "DMARC_TESTING"),
    ("by SPF", "tree-walk", [FROM, REJECT] + PASS, "pass", "DMARC_PASS"),
    ("upper case", "tree-walk", ["field FROM: x@A.TEST", REJECT] + PASS,
     "pass", None),
    ("trailing dot in From", "tree-walk", ["field From: x@a.test.", REJECT] +
     PASS, "pass", "DMARC_PASS"),
    ("SPF temperror of another", "tree-walk",
     [FROM, REJECT, "fact spf.mailfrom.result temperror",
      "fact spf.mailfrom.domain b.test"], "fail", None),
    ("SPF temperror of the author", "tree-walk",
     [FROM, REJECT, "fact spf.mailfrom.result temperror",
      "fact spf.mailfrom.domain a.test"], "temperror", "DMARC_TEMPERROR"),
    ("DKIM temperror below the author", "tree-walk",
     [FROM, REJECT, *BROKEN, "fact dkim.signature.domain m.a.test"], "temperror", None),
    ("DKIM temperror, strict", "tree-walk",
     [FROM, REJECT + "; adkim=s", *BROKEN, "fact dkim.signature.domain m.a.test"], "fail",
     None),
    ("temperror beside a pass", "tree-walk",
     [FROM, REJECT, *BROKEN, "fact dkim.signature.domain a.test"] + PASS, "pass", None),
    ("DKIM could not run", "tree-walk", ["blind", FROM, REJECT], "temperror",
     "DMARC_TEMPERROR"),
    ("DKIM could not run, SPF did", "tree-walk", ["blind", FROM, REJECT] +
     PASS, "pass", None),
    ("SPF could not run", "tree-walk",
     [FROM, REJECT, "fact mail.domain m.a.test"], "temperror", None),
    ("SPF of another could not run", "tree-walk",
     [FROM, REJECT, "fact mail.domain b.test"], "fail", None),
    ("unsigned tail", "tree-walk",
     [FROM, REJECT, "fact dkim.signature.domain a.test",
      "fact dkim.signature.tail =9"],
     "fail", "DMARC_FAIL_REJECT"),
    ("own record, dead parent", "tree-walk",
     [FROM, REJECT, "dns _dmarc.test 16 3 "] + PASS, "pass", None),
    ("own record, dead parent, relaxed", "tree-walk",
     [FROM, REJECT, "dns _dmarc.test 16 3 ", "fact dkim.domain m.a.test"],
     "temperror", None),
    ("own record, dead parent, stranger", "tree-walk",
     [FROM, REJECT, "dns _dmarc.test 16 3 ", "fact dkim.domain b.org"],
     "fail", None),
    ("dead own name", "tree-walk",
     ["field From: x@m.a.test", REJECT, "dns _dmarc.m.a.test 16 5 "],
     "temperror", "DMARC_TEMPERROR"),
    ("dead existence", "tree-walk",
     ["field From: x@m.a.test", REJECT + "; np=none", "dns m.a.test 1 3 "],
     "temperror", None),
    ("dead existence, pass", "tree-walk",
     ["field From: x@m.a.test", REJECT + "; np=none", "dns m.a.test 1 3 "] +
     PASS, "pass", None),
    ("trusted sealer", "tree-walk", [FROM, REJECT, "fact arc.trusted_pass =1"],
     "fail", "DMARC_FAIL_FORWARDED"),
    ("known forwarder", "tree-walk", [FROM, REJECT, "fact forwarder.known =1"],
     "fail", "DMARC_FAIL_FORWARDED"),
    ("untrusted sealer", "tree-walk",
     [FROM, REJECT, "fact arc.trusted_pass =0"], "fail", "DMARC_FAIL_REJECT"),
    ("no From", "tree-walk", ["field To: x@a.test", REJECT] + PASS,
     "permerror", "FROM_MISSING"),
    ("no address", "tree-walk", ["field From: boss", REJECT] + PASS,
     "permerror", "FROM_MALFORMED"),
    ("empty From", "tree-walk", ["field From:", REJECT] + PASS, "permerror",
     "FROM_MALFORMED"),
    ("empty group", "tree-walk", ["field From: undisclosed:;", REJECT] + PASS,
     "permerror", "FROM_MALFORMED"),
    ("group", "tree-walk", ["field From: us: x@a.test, y@a.test;", REJECT] +
     PASS, "pass", "FROM_SEVERAL"),
    ("address literal", "tree-walk", ["field From: x@[192.0.2.1]", REJECT] +
     PASS, "permerror", "FROM_MALFORMED"),
    ("two fields", "tree-walk", [FROM, FROM, REJECT] + PASS, "permerror",
     "FROM_FIELDS"),
    ("two fields, fail", "tree-walk", ["field From: y@b.test", FROM, REJECT],
     "fail", "DMARC_FAIL_REJECT"),
    ("five domains: not judged, held by the rule for errors", "tree-walk",
     ["field From: x@a.test, x@b.test, x@c.test, x@d.test, x@e.test", REJECT],
     None, None),
    ("nine fields: likewise", "tree-walk", [FROM] * 9 + [REJECT], None, None),
    ("eight fields", "tree-walk", [FROM] * 8 + [REJECT], "fail",
     "FROM_FIELDS"),
    ("two domains, one fails", "tree-walk",
     ["field From: x@a.test, y@b.test", REJECT,
      "dns _dmarc.b.test 16 0 v=DMARC1; p=quarantine"] + PASS, "fail",
     "DMARC_FAIL_QUARANTINE"),
    ("two domains, both fail: the strictest", "tree-walk",
     ["field From: y@b.test, x@a.test", REJECT,
      "dns _dmarc.b.test 16 0 v=DMARC1; p=quarantine"], "fail",
     "DMARC_FAIL_REJECT"),
    ("two domains, both pass", "tree-walk",
     ["field From: x@a.test, y@m.a.test", REJECT] + PASS, "pass",
     "FROM_DOMAINS"),
    ("address as a bare name", "tree-walk",
     ["field From: boss@a.test <x@evil.test>", REJECT,
      "fact dkim.domain evil.test"], "fail", "FROM_MALFORMED"),
    ("address in a comment", "tree-walk",
     ["field From: x@a.test (y@b.test)", REJECT] + PASS, "pass",
     "DMARC_PASS"),
    ("address in a quoted name", "tree-walk",
     ['field From: "y@b.test" <x@a.test>', REJECT] + PASS, "pass",
     "DMARC_PASS"),
    ("open quote", "tree-walk",
     ['field From: "y <x@a.test>', REJECT], "fail", "FROM_MALFORMED"),
    ("source route", "tree-walk",
     ["field From: <@b.test:x@a.test>", REJECT], "fail", "FROM_MALFORMED"),
    ("international", "tree-walk",
     ["field From: x@bücher.test",
      "dns _dmarc.xn--bcher-kva.test 16 0 v=DMARC1; p=reject",
      "fact dkim.domain xn--bcher-kva.test"], "pass", "DMARC_PASS"),
    ("public suffix does not align", "psl",
     ["field From: x@a.co.uk", "dns _dmarc.a.co.uk 16 0 v=DMARC1; p=reject",
      "fact dkim.domain b.co.uk"], "fail", None),
    ("suffix itself does not align", "psl",
     ["field From: x@me.github.io",
      "dns _dmarc.me.github.io 16 0 v=DMARC1; p=reject",
      "fact dkim.domain github.io"], "fail", None),
    ("wildcard suffix", "psl",
     ["field From: x@m.a.b.kobe.jp",
      "dns _dmarc.a.b.kobe.jp 16 0 v=DMARC1; p=reject",
      "fact dkim.domain a.b.kobe.jp"], "pass", None),
    ("by the list", "psl",
     ["field From: x@m.a.co.uk", "dns _dmarc.a.co.uk 16 0 v=DMARC1; p=reject",
      "fact dkim.domain n.a.co.uk"], "pass", None),
    ("psd does nothing there", "psl",
     ["field From: x@m.a.co.uk",
      "dns _dmarc.m.a.co.uk 16 0 v=DMARC1; p=reject; psd=n",
      "fact dkim.domain n.a.co.uk"], "pass", None),
    ("dead organizational domain", "psl",
     ["field From: x@m.a.co.uk", "dns _dmarc.a.co.uk 16 4 "], "temperror",
     None),
    ("psd=n parts siblings", "tree-walk",
     ["field From: x@m.a.test", REJECT,
      "dns _dmarc.m.a.test 16 0 v=DMARC1; p=reject; psd=n",
      "fact dkim.domain n.a.test"], "fail", None),
    ("record at the top only", "tree-walk",
     ["field From: x@m.a.test", "dns _dmarc.test 16 0 v=DMARC1; p=none; psd=y; "
      "np=reject"], "fail", "DMARC_FAIL_REJECT"),
]


def ours():
    for name, mode, lines, result, symbol in OURS:
        found = run(["mode " + mode] + lines)
        got = found.get("fact.dmarc.result", [None])[0]
        symbols = [e.split(" ")[0] for e in found.get("evidence", [])]
        report(got == result and (symbol is None or symbol in symbols),
               "[%s] %s" % (mode, name),
               "want %s %s, got %s" % (result, symbol, found))


public()
ours()
print("dmarc: %d passed, %d failed" % (passed, failed))
sys.exit(1 if failed else 0)
