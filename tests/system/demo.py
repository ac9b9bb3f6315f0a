#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The demonstration of quickstart: a mail exchanger for example.test with its
own name server and a Dovecot, all on 127.0.0.1, below build/demo/.

    demo.py start    makes what is missing, starts it, says how to use it
    demo.py once     starts it fresh, sends tests/mail/, checks everything, stops
    demo.py stop     stops what start has started
"""
import email
import glob
import imaplib
import json
import os
import poplib
import re
import shutil
import signal
import smtplib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dovecot
import pwtest

PASSWORD = "demo"
PORT, IMAP, POP3 = 2525, 2143, 2110
LINK = os.path.join(pwtest.BUILD, "demo")


def reachable(path):
    """Can users without rights enter PATH?"""
    while path != "/":
        if os.path.exists(path) and not os.stat(path).st_mode & 0o001:
            return False
        path = os.path.dirname(path)
    return True


def place():
    """build/demo/; as root in a private folder, a link to where the roles,
    which are not root, may go."""
    if os.path.islink(LINK) and os.path.isdir(LINK):
        return os.path.realpath(LINK)
    if os.geteuid() == 0 and not reachable(os.path.abspath(pwtest.BUILD)):
        real = tempfile.mkdtemp(prefix="postward-demo-", dir="/var/tmp")
        os.chmod(real, 0o755)
        shutil.rmtree(LINK, ignore_errors=True)
        os.symlink(real, LINK)
        return real
    os.makedirs(LINK, exist_ok=True)
    return LINK


def dkim_key(folder):
    """A throw-away key of friend.test: (private PEM, record)."""
    path = os.path.join(folder, "friend.test.key")
    if not os.path.exists(path):
        subprocess.run(["openssl", "genrsa", "-traditional", "-out", path,
                        "2048"], check=True, stderr=subprocess.DEVNULL)
    public = subprocess.run(
        ["openssl", "rsa", "-in", path, "-pubout", "-outform", "PEM"],
        check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True).stdout
    b64 = "".join(l for l in public.splitlines() if "-----" not in l)
    with open(path, "rb") as f:
        return f.read(), "v=DKIM1; k=rsa; p=" + b64


def world(record):
    """The demonstration's DNS."""
    return {
        "example.test": [("MX", (10, "mx.example.test"))],
        "mx.example.test": [("A", "127.0.0.1")],
        "friend.test": [("MX", (10, "mx.friend.test")),
                        ("TXT", "v=spf1 ip4:127.0.0.1 -all")],
        "mx.friend.test": [("A", "127.0.0.1")],
        "demo._domainkey.friend.test": [("TXT", record)],
        "news.test": [("TXT", "v=spf1 include:_spf.news.test ~all")],
        "_spf.news.test": [("TXT", "v=spf1 ip4:127.0.0.0/29 -all")],
        "bank.test": [("TXT", "v=spf1 ip4:192.0.2.1 -all")],
        "utility.test": [("A", "192.0.2.7")],
        "silent.test": [("MX", (0, "."))],
        "1.0.0.127.in-addr.arpa": [("PTR", "mx.friend.test")],
    }


class Demo:
    def __init__(self):
        self.folder = place()
        self.key, record = dkim_key(self.folder)
        zone_folder = os.path.join(self.folder, "dns")
        self.dns = pwtest.Dnsd(zone_folder, world(record))
        self.pw = pwtest.Postward(self.folder, dns=self.dns, port=PORT)
        self.dovecot = dovecot.Dovecot(os.path.join(self.folder, "dovecot"),
                                       self.pw, imap=IMAP, pop3=POP3)

    def start(self):
        self.pw.accounts(PASSWORD)
        self.pw.start()
        self.dovecot.start()

    def stop(self):
        self.dovecot.stop()
        self.pw.stop()
        self.dns.stop()


def is_ours(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return b"postwardd" in f.read()
    except OSError:
        return False


def daemon_pid(folder):
    """The daemon that serves FOLDER, or 0."""
    try:
        with open(os.path.join(folder, "run", "postwardd.pid")) as f:
            pid = int(f.read())
    except (OSError, ValueError):
        return 0
    return pid if is_ours(pid) else 0


def stop_running():
    """Ends what an earlier start left running; True if there was something."""
    folder = os.path.realpath(LINK)
    pid = daemon_pid(folder)
    dovecot.stop_folder(os.path.join(folder, "dovecot"))
    if pid:
        os.kill(pid, signal.SIGTERM)
        pwtest.wait_for(lambda: not is_ours(pid), 60, say="postwardd ended")
    if os.path.isdir(os.path.join(folder, "dns")):
        subprocess.run([os.path.join(os.path.dirname(__file__), "dnsd.sh"),
                        "stop", os.path.join(folder, "dns")], check=False)
    return bool(pid)


def start():
    stop_running()
    for port in (PORT, IMAP, POP3):
        if pwtest.listens(port):
            print("quickstart: something else listens on 127.0.0.1:%d; "
                  "stop it first" % port, file=sys.stderr)
            return 69
    demo = Demo()
    demo.pw.detached = demo.dovecot.detached = True
    try:
        demo.start()
    except Exception as e:
        print("quickstart: %s" % e, file=sys.stderr)
        demo.stop()
        return 70
    conf = os.path.relpath(os.path.join(LINK, "postward.conf"))
    verb = "%s -c %s" % (os.path.relpath(os.path.join(pwtest.BUILD,
                                                      "postward")), conf)
    print("""
Postward takes mail for example.test on 127.0.0.1:%d.
Mailboxes: alice, bob, postmaster; their password is "%s".

Send a mail:
  swaks --server 127.0.0.1:%d --helo mx.friend.test --from ines@friend.test --to alice@example.test --tls
  (the last reply names its id: 250 2.0.0 ID stored)
Read it back:
  curl -s 'imap://127.0.0.1:%d/INBOX;MAILINDEX=1' --user alice@example.test:%s
  %s message list alice@example.test
See why it was judged so:
  %s explain ID
The log:
  tail -f %s
Stop it:
  ./quickstart --stop
""" % (PORT, PASSWORD, PORT, IMAP, PASSWORD, verb, verb,
       os.path.relpath(os.path.join(LINK, "postwardd.log"))))
    return 0


# ---- once ------------------------------------------------------------------------


def signed(raw, key):
    import dkim
    field = dkim.sign(raw, b"demo", b"friend.test", key,
                      include_headers=[b"from", b"to", b"subject", b"date"])
    return field + raw


def wire(path, key):
    """The mail as a client sends it: CRLF, the last one signed now."""
    with open(path, "rb") as f:
        raw = re.sub(rb"\r?\n", b"\r\n", f.read())
    return signed(raw, key) if "signed" in path else raw


def envelope(raw):
    m = email.message_from_bytes(raw)
    if m["Auto-Submitted"]:
        sender = ""
    else:
        sender = email.utils.parseaddr(m["From"])[1]
    to = [a for _, a in email.utils.getaddresses(m.get_all("To", []))
          if a.endswith("@example.test")]
    return sender, to or ["alice@example.test"]


def without_ours(stored):
    """The stored file as it came: our fields off the top, CRLF."""
    lines = stored.split(b"\n")
    ours = (b"return-path:", b"delivered-to:", b"x-original-to:", b"received:",
            b"received-spf:", b"authentication-results:", b"x-postward")
    i, seen = 0, set()
    while i < len(lines):
        name = lines[i].split(b":", 1)[0].lower() + b":"
        if lines[i][:1] in (b" ", b"\t"):
            i += 1
        elif name in ours and not (name == b"authentication-results:" and
                                   name in seen):
            seen.add(name)
            i += 1
        else:
            break
    return b"\r\n".join(lines[i:])


def send(report, demo, path):
    raw = wire(path, demo.key)
    sender, to = envelope(raw)
    before = {p for u in demo.pw.users for p in demo.pw.maildir(u)}
    client = smtplib.SMTP("127.0.0.1", PORT, "mx.friend.test", timeout=30)
    client.ehlo()
    client.starttls()
    client.ehlo()
    code, text = client.mail(sender, ["SIZE=%d" % len(raw)])
    report.check(code == 250, path, "MAIL %d" % code)
    for rcpt in to:
        code, text = client.rcpt(rcpt)
        report.check(code == 250, path, "RCPT %s %d %s" % (rcpt, code, text))
    code, text = client.data(raw)
    client.quit()
    text = text.decode()
    print("\n%s\n  reply    %d %s" % (os.path.basename(path), code, text))
    if not report.check(code == 250, path, "DATA %d %s" % (code, text)):
        return
    ident = text.split()[1]
    files = [(p, b) for u in demo.pw.users
             for p, b in demo.pw.maildir(u).items() if p not in before]
    report.check(len(files) == len(to), path, "%d files" % len(files))

    def row():
        rows = demo.pw.verb("message", "list", "--id", ident, json_out=True)
        return rows if len(rows) == len(to) else None
    rows = pwtest.wait_for(row, 10, say="index row of " + ident)
    for name, stored in files:
        print("  file     %s" % os.path.relpath(name, demo.folder))
        base = os.path.basename(name).split(":")[0]
        mine = [r for r in rows
                if os.path.basename(r["file"]).split(":")[0] == base]
        report.check(len(mine) == 1, path, "index row of " + name)
        if mine:
            print("  index    " + json.dumps(
                {k: mine[0].get(k) for k in ("mailbox", "size", "subject")},
                ensure_ascii=False))
        want = raw
        if "forged" in path:
            report.check(b"dkim=pass header.d=bank.test" not in stored, path,
                         "a forged result was kept")
        else:
            report.check(without_ours(stored) == want, path,
                         "bytes differ in " + name)
    decision = demo.pw.verb("explain", ident, json_out=True)
    verdict = re.sub(r"\s+", " ", decision.get("auth_results") or "")
    print("  verdict  %s" % verdict)
    report.check("spf=" in verdict, path, "no SPF result")
    if "signed" in path:
        report.check("dkim=pass" in verdict, path, "DKIM: " + verdict)
    if "forged" in path:
        report.check("spf=fail" in verdict, path, "SPF: " + verdict)
    if "plain" in path:
        report.check("spf=pass" in verdict, path, "SPF: " + verdict)


def read_back(report, demo):
    want = sorted(without_ours(b) for b in demo.pw.maildir("alice").values())
    client = imaplib.IMAP4("127.0.0.1", IMAP)
    client.login("alice@example.test", PASSWORD)
    client.select("INBOX", readonly=True)
    _, found = client.search(None, "ALL")
    got = sorted(without_ours(client.fetch(n, "(BODY.PEEK[])")[1][0][1]
                              .replace(b"\r\n", b"\n"))
                 for n in found[0].split())
    client.logout()
    report.check(got == want and want, "IMAP", "%d of %d mails the same" % (
        sum(a == b for a, b in zip(got, want)), len(want)))
    print("\nIMAP gave back %d mails of alice, byte for byte" % len(got))
    client = poplib.POP3("127.0.0.1", POP3)
    client.user("alice@example.test")
    client.pass_(PASSWORD)
    got = sorted(without_ours(b"\n".join(client.retr(i + 1)[1]) + b"\n")
                 for i in range(client.stat()[0]))
    client.quit()
    report.check(got == want and want, "POP3", "%d of %d mails the same" % (
        sum(a == b for a, b in zip(got, want)), len(want)))
    print("POP3 gave back %d mails of alice, byte for byte" % len(got))


def once():
    report = pwtest.Report("quickstart")
    stop_running()
    for sub in ("state", "mail", "run", "dovecot", "dns"):
        shutil.rmtree(os.path.join(place(), sub), ignore_errors=True)
    demo = Demo()
    try:
        demo.start()
        for path in sorted(glob.glob(os.path.join(pwtest.SRC, "tests", "mail",
                                                  "*.eml"))):
            send(report, demo, path)
        read_back(report, demo)
    finally:
        demo.stop()
    for port in (PORT, IMAP, POP3):
        report.check(not pwtest.listens(port), "stopped", "port %d" % port)
    return report.end()


if __name__ == "__main__":
    verb = sys.argv[1] if len(sys.argv) == 2 else ""
    if verb == "start":
        sys.exit(start())
    if verb == "once":
        sys.exit(once())
    if verb == "stop":
        print("stopped" if stop_running() else "nothing was running")
        sys.exit(0)
    print(__doc__)
    sys.exit(64)
