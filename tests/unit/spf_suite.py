#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Runs the public SPF suites through the evaluator.

    spf_suite.py DRIVER [rfc7208|rfc4408]...

Turns the YAML of each suite into lines, feeds them to DRIVER (spf_driver.c) and
exits as it does.  The suites lie under $POSTWARD_DATA (default: ../shared/data
beside the repository); without them there is nothing to run, which is said and
is exit status 77.

A line is a letter and fields, tab-separated and percent-encoded:

    S description                        a new zone begins
    R name type data [preference]        a record; data of A, AAAA as text
    T name                               other types of this name time out
    C case client helo mailfrom results explanation
                                         results comma-separated; explanation
                                         "DEFAULT" for none, empty: any
"""
import os
import subprocess
import sys
from urllib.parse import quote_from_bytes

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))


def field(value):
    if not isinstance(value, bytes):
        value = str(value)
        try:
            value = value.encode("latin-1")
        except UnicodeEncodeError:
            value = value.encode("utf-8")
    return quote_from_bytes(value, safe=" :@=/")


def line(letter, *fields):
    return letter + "".join("\t" + field(f) for f in fields) + "\n"


def text(value):
    """The strings of one TXT record, joined as RFC 7208 section 3.3 says."""
    return "".join(value) if isinstance(value, list) else value


def zone_lines(name, records):
    # A record of the old type SPF stands for a TXT one too, unless the zone
    # says what there is of TXT.
    has_txt = any(isinstance(r, dict) and "TXT" in r for r in records)
    for record in records:
        if record == "TIMEOUT":
            yield line("T", name)
            continue
        (rtype, value), = record.items()
        if value == "NONE" or (rtype == "SPF" and has_txt):
            continue
        if rtype in ("SPF", "TXT"):
            yield line("R", name, "TXT", text(value))
        elif rtype == "MX":
            yield line("R", name, "MX", value[1], value[0])
        else:
            yield line("R", name, rtype, value)


def suite_lines(path):
    with open(path, encoding="utf-8") as f:
        for scenario in yaml.safe_load_all(f):
            yield line("S", scenario["description"])
            for name, records in scenario["zonedata"].items():
                yield from zone_lines(name, records)
            for name, case in scenario["tests"].items():
                results = case["result"]
                if not isinstance(results, list):
                    results = [results]
                yield line("C", name, case["host"], case["helo"],
                           case["mailfrom"], ",".join(results).lower(),
                           case.get("explanation", ""))


def main():
    driver = sys.argv[1]
    suites = sys.argv[2:] or ["rfc7208", "rfc4408"]
    data = os.environ.get("POSTWARD_DATA") or os.path.join(
        HERE, "..", "..", "..", "shared", "data")
    status = 0
    for suite in suites:
        path = os.path.join(data, "spf", suite + "-tests.yml")
        if not os.path.exists(path):
            print(f"skipped: {path} is not there (see POSTWARD_DATA)")
            return 77
        lines = "".join(suite_lines(path))
        print(f"{suite}: ", end="", flush=True)
        run = subprocess.run([driver], input=lines.encode("ascii"),
                             check=False, timeout=120)
        if run.returncode != 0:
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
