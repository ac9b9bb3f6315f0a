#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Rules of the house that a program can check, over the whole tree."""
import os
import re
import subprocess
import sys

SRC = os.environ.get("POSTWARD_SRC") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", ".."))
os.chdir(SRC)

# From the bottom up; a folder includes only those before it and itself.
FLOORS = ["server/base", "server/net", "server/dns", "server/config", "schema",
          "storage", "server/state", "filters", "server/host", "server/smtp",
          "server/ctl", "server/main"]
STRANGERS = {("filters", "storage"), ("storage", "filters"),
             ("filters", "server/smtp"), ("storage", "server/smtp")}
BANNED = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|"
                    r"alloca|system|popen|mktemp|tmpnam)\s*\(")
WORDS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b|not (yet )?"
                   r"implemented")
MAX_FILE, MAX_HEADER, MAX_FUNCTION = 800, 330, 120

passed = failed = 0


def check(ok, what):
    global passed, failed
    if ok:
        passed += 1
    else:
        failed += 1
        print("FAIL lint: " + what)


def floor_of(path):
    best = None
    for f in FLOORS:
        if path.startswith(f + "/") and (best is None or len(f) > len(best)):
            best = f
    return best


def sources():
    for top in ("server", "filters", "storage", "tests"):
        for d, _, names in os.walk(top):
            for n in sorted(names):
                if n.endswith((".c", ".h", ".def")):
                    yield os.path.join(d, n)


def without_comments(text):
    def blank(m):
        return re.sub(r"[^\n]", " ", m.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(\\.|[^"\\\n])*"', blank, text,
                  flags=re.S)


def includes(path, text):
    here = floor_of(path)
    for m in re.finditer(r'^#\s*include\s+"([^"]+)"', text, re.M):
        name = m.group(1)
        for root in ("server/" + name, name,
                     os.path.join(os.path.dirname(path), name)):
            there = floor_of(root)
            if there and (os.path.exists(root) or there == "schema"):
                break
        else:
            continue
        if here is None or there is None:
            continue
        check(FLOORS.index(there) <= FLOORS.index(here) and
              (here, there) not in STRANGERS,
              "%s includes %s, which is above it or a stranger" % (path, name))


def functions(path, text):
    """Length of each function body (KNF: braces in the first column)."""
    start = None
    for n, line in enumerate(text.split("\n"), 1):
        if line == "{":
            start = n
        elif line == "}" and start is not None:
            check(n - start <= MAX_FUNCTION, "%s:%d: function of %d lines" % (
                path, start, n - start))
            start = None


for path in sources():
    with open(path, encoding="utf-8") as f:
        text = f.read()
    code = without_comments(text)
    lines = text.count("\n")
    check(text.startswith("/* SPDX-License-Identifier: ISC */\n"),
          path + ": no SPDX line first")
    check(lines <= (MAX_HEADER if path.endswith(".h") else MAX_FILE),
          "%s: %d lines" % (path, lines))
    m = BANNED.search(code)
    check(m is None, "%s: call of %s" % (path, m.group(1) if m else ""))
    includes(path, text)
    functions(path, code)

tracked = subprocess.run(["git", "ls-files"], stdout=subprocess.PIPE, text=True)
names = tracked.stdout.split("\n") if tracked.returncode == 0 else []
for path in names:
    if not os.path.isfile(path) or path.endswith((".eml", ".pem")) or \
            "/corpus/" in path:
        continue
    try:
        with open(path, encoding="utf-8") as f:
            text = f.read()
    except UnicodeDecodeError:
        continue
    if path != "tests/lint/lint.py":
        m = WORDS.search(text)
        check(m is None, "%s: unfinished: %s" % (path, m.group(0) if m else ""))

# Statements are constants of schema/queries.sql: no SQL is built in code.
for path in sources():
    if path.startswith("tests/"):
        continue
    with open(path, encoding="utf-8") as f:
        m = re.search(r'"\s*(SELECT|INSERT|UPDATE|DELETE)\b.*%[sd]', f.read())
    check(m is None, "%s: SQL built by printf" % path)

# Everything that is installed for admins has its manual page.
for program in ("postwardd", "postward", "postward.conf"):
    found = [p for p in names if re.search(r"/%s\.[1-8]$" % re.escape(program),
                                           p)]
    check(bool(found), "no manual page for " + program)

# Every event of the log is in the manual.
with open("server/main/postwardd.8", encoding="utf-8") as f:
    manual = f.read()
for path in sources():
    if path.startswith("tests/"):
        continue
    with open(path, encoding="utf-8") as f:
        for m in re.finditer(r'pw_log(?:f|_begin)\([^;]*?"([a-z]+\.[a-z.]+)"',
                             f.read()):
            check(m.group(1) in manual, "%s: log event %s is not in "
                  "postwardd.8" % (path, m.group(1)))

print("lint: %d passed, %d failed" % (passed, failed))
sys.exit(1 if failed else 0)
