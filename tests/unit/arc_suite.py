#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""ARC chains through the stage arc: the public suite of $POSTWARD_DATA/arc where
it is there (all validation cases), and chains sealed here by Debian's
python3-dkim: what a trusted sealer's word is worth, alterations, keys, bounds.

Usage: arc_suite.py DRIVER [cost]"""
import os
import re
import subprocess
import sys
import tempfile

DRIVER = sys.argv[1]
DATA = os.path.join(os.environ.get("POSTWARD_DATA", "../shared/data"))
SUITE = DATA + "/arc/tests/arc-draft-validation-tests.yml"
passed = failed = 0


def crlf(b):
    return re.sub(rb"\r?\n", b"\r\n", b)


def verify(message, answers, trusted="", times=0):
    """(result, oldest-pass, trusted pass, rounds, microseconds, reason)."""
    with tempfile.NamedTemporaryFile() as f:
        f.write(message)
        f.flush()
        text = "".join("%s %d %s\n" % (n, s, t) for n, s, t in answers)
        out = subprocess.run([DRIVER, f.name, trusted, str(times)],
                             input=text.encode(), stdout=subprocess.PIPE,
                             timeout=60, check=True)
    head, reason = out.stdout.decode().rstrip("\n").split("; ", 1)
    if head == "refused":
        return head, 0, 0, 0, 0, reason
    result, *numbers = head.split(" ")
    return (result, *map(int, numbers), reason)


def check(ok, what, detail=""):
    global passed, failed
    if ok:
        passed += 1
    else:
        failed += 1
        print("FAILED %s: %s" % (what, detail))


# ---- the public suite --------------------------------------------------------


def pairs(yaml):
    """A loader that keeps mappings as lists: some cases share a name."""
    class Loader(yaml.SafeLoader):
        pass

    def mapping(loader, node):
        return [(loader.construct_object(k, deep=True),
                 loader.construct_object(v, deep=True))
                for k, v in node.value]
    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG,
                           mapping)
    return Loader


def public():
    import yaml
    # A chain that a sealer declared broken has ended; RFC 8617 section 5.2
    # step 2 calls that a fail.
    want = {"None": "NA", "Pass": "pass", "Fail": "fail", "": "fail"}
    cases = 0
    with open(SUITE) as f:
        scenarios = list(yaml.load_all(f, Loader=pairs(yaml)))
    for scenario in scenarios:
        s = dict(scenario)
        zone = [(n, 0, " ".join(t.split())) for n, t in s["txt-records"]]
        for name, case in s["tests"]:
            case = dict(case)
            got = verify(crlf(case["message"].encode()), zone)
            check(got[0] == want[case["cv"] or ""], name,
                  "want %s, got %s" % (case["cv"], got))
            cases += 1
    check(cases >= 175, "cases", "only %d" % cases)


# ---- chains of our own ----------------------------------------------------------

MAIL = (b"From: Ann <ann@author.test>\r\nTo: list@a.test\r\n"
        b"Subject: one\r\n  two\r\nDate: Tue, 3 Jan 2017 12:31:41 -0800\r\n"
        b"Message-ID: <1@author.test>\r\n\r\n"
        b"hello\r\n\r\n  two  words \r\n\r\n\r\n")
GOOD = b"dmarc=pass header.from=author.test"


def main():
    if sys.argv[2:] == ["cost"]:
        import arc_chains
        arc_chains.cost(sys.modules[__name__])
        return 0
    if os.path.exists(SUITE):
        public()
    else:
        print("skipped: no data in", DATA)
    try:
        import arc_chains
    except ImportError as e:
        print("skipped: %s" % e)
    else:
        arc_chains.run(sys.modules[__name__])
    print("arc: %d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
