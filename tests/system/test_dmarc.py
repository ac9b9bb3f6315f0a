#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""DMARC against a real name server with mails signed by dkimpy: results in the
header, in the record and in explain; what policy makes of them; and the
aggregate reports of the day, held against the schema."""
import base64
import glob
import gzip
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET

import dkim

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pwtest
import rawsmtp

GOOD, STRANGER = "192.0.2.10", "192.0.2.99"
NS = "{urn:ietf:params:xml:ns:dmarc-2.0}"


def rsa_key():
    pem = subprocess.run(["openssl", "genrsa", "-traditional", "2048"],
                         check=True, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL).stdout
    der = subprocess.run(["openssl", "rsa", "-pubout", "-outform", "DER"],
                         check=True, input=pem, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL).stdout
    return pem, "v=DKIM1; k=rsa; p=" + base64.b64encode(der).decode()


POLICIES = {
    "reject.test": "v=DMARC1; p=reject; rua=mailto:agg@reject.test",
    "quar.test": "v=DMARC1; p=quarantine; rua=mailto:q@collector.test!5m,"
                 "mailto:agg@sub.quar.test",
    "none.test": "v=DMARC1; p=none; rua=https://none.test/put",
    "strict.test": "v=DMARC1; p=reject; adkim=s; aspf=s",
    "org.test": "v=DMARC1; p=none; sp=quarantine; np=reject; "
                "rua=mailto:agg@org.test; ri=x; fo=1:d",
    "trial.test": "v=DMARC1; p=reject; t=y; rua=mailto:agg@trial.test",
}


def world(record):
    table = {}
    for domain, policy in POLICIES.items():
        table[domain] = [("A", "192.0.2.200"),
                         ("TXT", "v=spf1 ip4:%s -all" % GOOD)]
        table["_dmarc." + domain] = [("TXT", policy)]
        table["k._domainkey." + domain] = [("TXT", record)]
    table.update({
        "mail.org.test": [("A", "192.0.2.201")],
        "own.org.test": [("A", "192.0.2.202")],
        "_dmarc.own.org.test": [("TXT", "v=DMARC1; p=none; psd=n")],
        "k._domainkey.own.org.test": [("TXT", record)],
        "k._domainkey.sub.reject.test": [("TXT", record)],
        "plain.test": [("A", "192.0.2.203"),
                       ("TXT", "v=spf1 ip4:%s -all" % GOOD)],
        "k._domainkey.plain.test": [("TXT", record)],
        "twice.test": [("A", "192.0.2.204")],
        "_dmarc.twice.test": [("TXT", "v=DMARC1; p=reject"),
                              ("TXT", "v=DMARC1; p=none")],
        "dead.test": "TIMEOUT",
        "deadpolicy.test": [("A", "192.0.2.205"),
                            ("TXT", "v=spf1 ip4:%s -all" % GOOD)],
        "_dmarc.deadpolicy.test": "TIMEOUT",
        "good.plain.test": [("A", GOOD)],
    })
    return table


class World:
    def __init__(self, report, pw, port, pem):
        self.report, self.pw, self.port, self.pem = report, pw, port, pem
        self.sent = 0

    def mail(self, what, author, signer=None, sender="x@plain.test", ip=GOOD,
             code=250, result="none", policy=None, symbol=None, action=None,
             header=None, body="One.\r\n", tail=b"", **more):
        """One mail; what it must be judged to be."""
        check = self.report.check
        self.sent += 1
        raw = rawsmtp.mail("%s %d" % (what, self.sent), body)
        if header is None:
            header = "From: <%s>" % author if author else None
        raw = raw.replace(b"From: Ines <ines@friend.test>\r\n",
                          (header + "\r\n").encode() if header else b"", 1)
        if signer:
            raw = dkim.sign(raw, b"k", signer.encode(), self.pem,
                            include_headers=[b"from", b"to", b"subject"],
                            **more) + raw
        reply = rawsmtp.send(self.port, raw + tail, sender,
                             helo="good.plain.test", proxy=ip)
        if not check(reply[0] == code, what, "%d %s" % reply) or code != 250:
            return reply
        ident = rawsmtp.ident(reply[1])
        record = pwtest.wait_for(lambda: self.pw.explained(ident), 10,
                                 say="record of " + what)
        told = re.sub(r"\s+", " ", record["auth_results"])
        entries = [e.strip() for e in told.split(";")
                   if e.strip().startswith("dmarc=")]
        want = "dmarc=" + result
        if policy:
            want += " .*policy\\.dmarc=" + policy
        check(entries and re.match(want, entries[0]), what, told)
        symbols = {e["symbol"]: e["text"] for e in record["evidence"]}
        check(symbol is None or symbol in symbols, what, str(symbols))
        check(action is None or record["action"] == action, what,
              "%s: %s" % (record["action"], record["step"]))
        text = re.sub(r"\s+", " ", self.pw.verb("explain", ident))
        check(entries and entries[0] in text, what, "not in explain")
        return record


def policies(w):
    w.mail("reject aligned by DKIM", "a@reject.test", "reject.test",
           result="pass", policy="reject", symbol="DMARC_PASS",
           action="deliver")
    w.mail("reject aligned by a subdomain", "a@reject.test",
           "sub.reject.test", result="pass", policy="reject")
    w.mail("reject aligned by SPF", "a@reject.test", sender="b@reject.test",
           result="pass", policy="reject", action="deliver")
    for n in range(3):
        w.mail("reject, stranger", "a@reject.test", ip=STRANGER,
               result="fail", policy="reject", symbol="DMARC_FAIL_REJECT",
               action="hold")
    w.mail("reject, signed by another", "a@reject.test", "plain.test",
           result="fail", policy="reject", action="hold")
    w.mail("reject, unsigned tail", "a@reject.test", "reject.test",
           length=True, tail=b"More.\r\n", result="fail", policy="reject",
           symbol="DKIM_UNSIGNED_TAIL", action="hold")
    w.mail("quarantine", "a@quar.test", result="fail", policy="quarantine",
           symbol="DMARC_FAIL_QUARANTINE", action="junk")
    w.mail("none", "a@none.test", result="fail", policy="none",
           symbol="DMARC_FAIL_NONE", action="deliver")
    w.mail("test mode", "a@trial.test", result="fail", policy="quarantine",
           symbol="DMARC_TESTING", action="junk")
    w.mail("no policy", "a@plain.test", "plain.test", result="none",
           symbol="DMARC_NONE", action="deliver")
    w.mail("two records", "a@twice.test", result="none",
           symbol="DMARC_BAD_RECORD", action="deliver")
    w.mail("strict, equal", "a@strict.test", "strict.test", result="pass")
    w.mail("strict, below", "a@mail.strict.test", "strict.test",
           result="fail", policy="reject", action="hold")


def subdomains(w):
    w.mail("existing subdomain", "a@mail.org.test", result="fail",
           policy="quarantine", action="junk")
    w.mail("subdomain that is not there", "a@ghost.org.test", result="fail",
           policy="reject", action="hold")
    w.mail("subdomain, aligned", "a@mail.org.test", "org.test",
           result="pass", policy="quarantine")
    w.mail("own organization", "a@own.org.test", "org.test", result="fail",
           policy="none", action="deliver")
    w.mail("own organization, own signature", "a@own.org.test",
           "own.org.test", result="pass", policy="none")


def authors(w):
    w.mail("no From", None, result="permerror", symbol="FROM_MISSING")
    w.mail("malformed From", None, header="From: the boss",
           result="permerror", symbol="FROM_MALFORMED")
    w.mail("two From fields", None,
           header="From: <a@none.test>\r\nFrom: <a@reject.test>",
           result="fail", symbol="FROM_FIELDS", action="hold")
    w.mail("two domains", None,
           header="From: <a@none.test>, <a@reject.test>", result="fail",
           symbol="FROM_DOMAINS", action="hold")
    ident = rawsmtp.ident(rawsmtp.send(
        w.port, rawsmtp.mail("many", fields="From: a@x.test\r\n" * 9),
        "x@plain.test", helo="good.plain.test", proxy=GOOD)[1])
    many = pwtest.wait_for(lambda: w.pw.explained(ident), 10, say="many From")
    w.report.check(many["action"] == "hold" and "stage from could not run" in
                   many["step"], "many From", many["step"])
    w.mail("hidden behind a name", None,
           header="From: a@reject.test <a@plain.test>", signer="plain.test",
           result="fail", symbol="FROM_MALFORMED", action="hold")


def dead(w):
    for what, author, sender in (
            ("dead domain", "a@dead.test", "x@plain.test"),
            ("dead policy", "a@deadpolicy.test", "x@deadpolicy.test")):
        start = time.monotonic()
        w.mail(what, author, sender=sender, result="temperror",
               symbol="DMARC_TEMPERROR", action="deliver")
        w.report.check(time.monotonic() - start < 9, what, "%.1f s" % (
            time.monotonic() - start))


def refuse(w):
    with open(w.pw.file) as f:
        text = f.read()
    with open(w.pw.file, "w") as f:
        f.write(text + 'stage: ( { name = "dmarc"; options = '
                '[ "refuse=true", "report-org=Example & Sons", '
                '"report-email=dmarc@example.test" ]; } );\n')
    w.pw.verb("reload")
    code, said = w.mail("refused", "a@reject.test", ip=STRANGER, code=550)
    w.report.check(said.startswith("5.7.26 "), "refused", said)
    w.mail("quarantine is not refused", "a@quar.test", result="fail",
           action="junk")
    with open(w.pw.file, "w") as f:
        f.write(text + 'stage: ( { name = "dmarc"; options = '
                '[ "organizational-domain=psl" ]; } );\n')
    w.pw.verb("reload")
    w.mail("by the public suffix list", "a@mail.org.test", "org.test",
           result="pass", policy="quarantine")
    with open(w.pw.file, "w") as f:
        f.write(text + 'stage: ( { name = "dmarc"; options = '
                '[ "organizational-domain=tree" ]; } );\n')
    bad = w.pw.verb("reload", check=False)
    w.report.check("write tree-walk or psl" in bad, "wrong mode", bad)
    with open(w.pw.file, "w") as f:
        f.write(text + 'stage: ( { name = "dmarc"; options = '
                '[ "report-org=Example & Sons", '
                '"report-email=dmarc@example.test" ]; } );\n')


# ---- reports -----------------------------------------------------------------------


def text_of(element, path):
    found = element.find("/".join(NS + p for p in path.split("/")))
    return None if found is None else found.text


def look_at(w, folder, day, day_start):
    check = w.report.check
    schema = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                          "aggregate.xsd")
    out = w.pw.verb("dmarc", "report", "--day", day, "--out", folder)
    files = sorted(glob.glob(folder + "/*"))
    names = [os.path.basename(f).split("!") for f in files]
    check([n[1] for n in names] == ["org.test", "quar.test", "reject.test",
                                    "trial.test"], "who asked", str(files))
    check(all(n[0] == "mx.example.test" and n[2] == str(day_start) and
              n[3] == "%d.xml.gz" % (day_start + 86399) for n in names),
          "file names", str(files))
    check("mailto:agg@reject.test\n" in out, "own address", out)
    check("mailto:q@collector.test  (unverified: send only if TXT quar.test."
          "_report._dmarc.collector.test says v=DMARC1)" in out,
          "address elsewhere", out)
    reports = {}
    for path, name in zip(files, names):
        with gzip.open(path) as f:
            text = f.read()
        r = subprocess.run(["xmllint", "--noout", "--nonet", "--schema",
                            schema, "-"], input=text, stderr=subprocess.PIPE)
        check(r.returncode == 0, "schema of " + name[1],
              r.stderr.decode()[:500])
        reports[name[1]] = ET.fromstring(text)
    return reports


def reports(w):
    check = w.report.check
    day_start = int(time.time()) // 86400 * 86400
    day = time.strftime("%Y-%m-%d", time.gmtime(day_start))
    w.pw.wait_idle()
    with tempfile.TemporaryDirectory() as folder:
        got = look_at(w, folder, day, day_start)
    r = got["reject.test"]
    check(text_of(r, "report_metadata/org_name") == "Example & Sons" and
          text_of(r, "report_metadata/email") == "dmarc@example.test",
          "who reports", ET.tostring(r)[:600])
    rows = {}
    for rec in r.findall(NS + "record"):
        key = tuple(text_of(rec, p) for p in (
            "row/source_ip", "row/policy_evaluated/disposition",
            "row/policy_evaluated/dkim", "row/policy_evaluated/spf",
            "row/policy_evaluated/reason/type", "identifiers/envelope_from",
            "auth_results/dkim/result"))
        rows[key] = rows.get(key, 0) + int(text_of(rec, "row/count"))
    want = {
        (GOOD, "pass", "pass", "fail", None, "plain.test", "pass"): 2,
        (GOOD, "pass", "fail", "pass", None, "reject.test", None): 1,
        (STRANGER, "quarantine", "fail", "fail", "local_policy", "plain.test",
         None): 3,
        (STRANGER, "reject", "fail", "fail", None, "plain.test", None): 1,
        (GOOD, "quarantine", "fail", "fail", "local_policy", "plain.test",
         "policy"): 1,
        (GOOD, "quarantine", "fail", "fail", "local_policy", "plain.test",
         "pass"): 2,
        (GOOD, "quarantine", "fail", "fail", "local_policy", "plain.test",
         None): 2,
    }
    check(rows == want, "rows of reject.test", "want %s, got %s" % (want,
                                                                     rows))
    o = got["org.test"]
    check([text_of(o, "policy_published/" + k) for k in (
        "p", "sp", "np", "fo", "adkim", "testing", "discovery_method")] ==
        ["none", "quarantine", "reject", "1:d", "r", "n", "treewalk"],
        "policy of org.test")
    froms = {text_of(x, "identifiers/header_from")
             for x in o.findall(NS + "record")}
    check(froms == {"mail.org.test", "ghost.org.test"}, "authors of org.test",
          str(froms))
    t = got["trial.test"].find(NS + "record")
    check(text_of(t, "row/policy_evaluated/reason/type") ==
          "policy_test_mode", "test mode", ET.tostring(t))
    total = sum(int(text_of(x, "row/count")) for x in got["quar.test"].findall(
        NS + "record"))
    check(total == 2, "counts of quar.test", str(total))
    # The same without the daemon, and what is wrong.
    with tempfile.TemporaryDirectory() as folder:
        w.pw.stop()
        again = look_at(w, folder, day, day_start)
        check({k: ET.tostring(v) for k, v in again.items()} ==
              {k: ET.tostring(v) for k, v in got.items()},
              "the same without the daemon")
        out = w.pw.verb("dmarc", "report", "--day", "2020-01-01", "--out",
                        folder)
        check(out == "0 reports\n", "a day without mail", out)
        for words in (["--day", "2020-13-01"], ["--day"], [],
                      ["--day", "2020-01-01", "--out", "/nonexistent"]):
            out = w.pw.verb("dmarc", "report", *words, check=False)
            check(out.startswith("postward: "), "misuse %s" % words, out)


def main():
    report = pwtest.Report("dmarc")
    pem, record = rsa_key()
    folder = pwtest.scratch("dmarc")
    zones = os.path.join(folder, "dns")
    dns = pwtest.Dnsd(zones, world(record))
    port = pwtest.free_port()
    pw = pwtest.Postward(
        folder, dns=dns, tls=False,
        dns_more='timeout = "1s"; unbound-conf = "%s/unbound.conf";' % zones,
        more_listeners=''', { name = "proxy"; address = "127.0.0.1";
            port = %d; tls = false; proxy = [ "127.0.0.1" ]; }''' % port)
    pw.accounts()
    pw.start()
    w = World(report, pw, port, pem)
    try:
        for step in (policies, subdomains, authors, dead, refuse, reports):
            start = time.monotonic()
            try:
                step(w)
            except (OSError, RuntimeError, rawsmtp.Closed, KeyError, TypeError,
                    IndexError, AttributeError) as e:
                report.check(False, step.__name__, repr(e))
            print("%s: %.1f s" % (step.__name__, time.monotonic() - start))
    finally:
        if pw.process is not None:
            report.check(pw.stop() == 0, "stop")
        dns.stop()
    crashed = pw.logged("role.end", "signal=")
    report.check(not crashed, "no role crashed", "".join(crashed[:3]))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
