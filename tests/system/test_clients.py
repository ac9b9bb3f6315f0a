#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Real clients deliver: swaks, smtplib, Postfix's smtp-source, openssl
s_client; each extension does what it announces; TLS, IPv6 and PROXY."""
import os
import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pwtest
import rawsmtp

SOURCE = shutil.which("smtp-source") or "/usr/sbin/smtp-source"


def original(stored):
    """A stored file as it came: what follows our own Received, with CRLF."""
    lines = stored.split(b"\n")
    crlf = lines[0].endswith(b"\r")
    i = next(n for n, line in enumerate(lines) if line.startswith(b"Received:"))
    i += 1
    while lines[i][:1] in (b" ", b"\t"):
        i += 1
    return (b"\n" if crlf else b"\r\n").join(lines[i:])


class World:
    def __init__(self, report, pw):
        self.report, self.pw = report, pw
        self.seen = set()

    def new(self, user="alice", count=1, wait=10):
        """The files that came since the last call."""
        def there():
            files = {p: b for p, b in self.pw.maildir(user).items()
                     if os.path.basename(p).split(":")[0] not in self.seen}
            return files if len(files) >= count else None
        try:
            files = pwtest.wait_for(there, wait, say="mail of " + user)
        except RuntimeError:
            files = {}
        self.seen |= {os.path.basename(p).split(":")[0] for p in files}
        return list(files.values())

    def check(self, ok, what, detail=""):
        return self.report.check(ok, what, detail)

    def run(self, what, *cmd, input=None, timeout=60):
        r = subprocess.run(cmd, input=input, text=True, timeout=timeout,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.check(r.returncode == 0, what, "exit %d: %s" % (
            r.returncode, r.stdout[-600:]))
        return r.stdout


# ---- clients ------------------------------------------------------------------


def swaks(w):
    for tls in ([], ["--tls"]):
        name = "swaks " + " ".join(tls)
        out = w.run(name, "swaks", "--server", "127.0.0.1", "--port",
                    str(w.pw.port), "--helo", "client.friend.test", "--from",
                    "ines@friend.test", "--to", "alice@example.test",
                    "--body", "by swaks", *tls)
        files = w.new()
        w.check(len(files) == 1, name, "%d files" % len(files))
        if len(files) != 1:
            continue
        reply = re.search(r"250 2\.0\.0 (\S+) stored", out)
        w.check(reply is not None and
                (" id " + reply.group(1)).encode() in files[0], name,
                "id of the reply is not in Received")
        w.check(b"with ESMTPS id" in files[0] if tls
                else b"with ESMTP id" in files[0], name, "protocol")
        w.check(b"(using TLSv1.3 with cipher" in files[0] if tls
                else b"(using" not in files[0], name, "TLS in Received")


def python(w):
    with smtplib.SMTP("127.0.0.1", w.pw.port, "client.friend.test",
                      timeout=30) as c:
        c.starttls(context=rawsmtp.trusting())
        refused = c.sendmail("ines@friend.test", ["alice@example.test",
                                                  "bob@example.test",
                                                  "nobody@example.test"],
                             rawsmtp.mail("smtplib"))
        w.check(list(refused) == ["nobody@example.test"] and
                refused["nobody@example.test"][0] == 550, "smtplib refused",
                str(refused))
        body = "Gr\u00fc\u00dfe aus K\u00f6ln\r\n"
        c.sendmail("ines@friend.test", "alice@example.test",
                   rawsmtp.mail("eight bits", body,
                                "MIME-Version: 1.0\r\nContent-Type: text/plain;"
                                " charset=utf-8\r\n"
                                "Content-Transfer-Encoding: 8bit\r\n"),
                   mail_options=["BODY=8BITMIME"])
        c.sendmail("in\u00e9s@friend.test", "alice@example.test",
                   rawsmtp.mail("Gr\u00fc\u00dfe", body),
                   mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    files = w.new(count=3)
    w.check(len(files) == 3, "smtplib", "%d files" % len(files))
    w.check(len(w.new("bob")) == 1, "smtplib second recipient")
    whole = b"".join(files)
    w.check(whole.count(body.replace("\r\n", "\n").encode()) == 2,
            "8BITMIME bytes")
    w.check("Return-Path: <in\u00e9s@friend.test>".encode() in whole and
            b"with UTF8SMTPS id" in whole, "SMTPUTF8 fields")
    first = next((f for f in files if b"Subject: smtplib\n" in f), b"")
    w.check(b"\n\tfor <" not in first, "Received for with two recipients")
    w.check(b"X-Original-To: alice@example.test\n" in first and
            b"Delivered-To: alice@example.test\n" in first, "delivery fields")


def source(w):
    """Postfix's own load generator: sessions at once, kept open or not."""
    for words, count in ((["-s", "10", "-m", "150", "-l", "4000"], 150),
                         (["-s", "5", "-m", "50", "-d", "-l", "20000"], 50),
                         (["-s", "2", "-m", "6", "-l", "3000000"], 6)):
        name = "smtp-source " + " ".join(words)
        w.run(name, SOURCE, *words, "-f", "ines@friend.test", "-t",
              "bob@example.test", "-M", "client.friend.test",
              "inet:127.0.0.1:%d" % w.pw.port)
        files = w.new("bob", count)
        w.check(len(files) == count, name, "%d files" % len(files))
    for name in os.listdir(os.path.join(w.pw.mail, "example.test/bob/new")):
        os.unlink(os.path.join(w.pw.mail, "example.test/bob/new", name))


def s_client(w):
    """By hand, over openssl's client."""
    p = subprocess.Popen(
        ["openssl", "s_client", "-starttls", "smtp", "-crlf", "-quiet",
         "-name", "client.friend.test", "-connect",
         "127.0.0.1:%d" % w.pw.port], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def until(code, text):
        p.stdin.write(text + "\n")
        p.stdin.flush()
        for line in p.stdout:
            if line[:3] == code and line[3:4] == " ":
                return line
            if line[:3] > "400" and line[3:4] in " -":
                return line
        return ""
    try:
        for code, text in (("250", "EHLO client.friend.test"),
                           ("250", "MAIL FROM:<ines@friend.test>"),
                           ("250", "RCPT TO:<alice@example.test>"),
                           ("354", "DATA")):
            line = until(code, text)
            w.check(line.startswith(code), "s_client " + text, line)
        line = until("250", "Subject: by hand\n\n..a dot\n.")
        w.check(" stored" in line, "s_client end", line)
        w.check(until("221", "QUIT").startswith("221"), "s_client quit")
        w.check(p.wait(10) == 0, "s_client exit")
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
    files = w.new()
    w.check(len(files) == 1 and files[0].endswith(
        b"Subject: by hand\n\n.a dot\n"), "s_client mail")


# ---- extensions ----------------------------------------------------------------


def pipelining(w):
    with rawsmtp.Client(w.pw.port) as c:
        _, text = c.cmd("EHLO client.friend.test")
        have = set(text.split("\n")[1:])
        want = {"PIPELINING", "SIZE 52428800", "STARTTLS", "8BITMIME",
                "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES", "HELP",
                "LIMITS RCPTMAX=1000 MAILMAX=100", "PRDR"}
        w.check(have == want, "extensions", str(have ^ want))
        batch = ""
        for n in range(5):
            batch += ("RSET\r\nMAIL FROM:<ines@friend.test> SIZE=100\r\n"
                      "RCPT TO:<alice@example.test>\r\n"
                      "RCPT TO:<nobody@example.test>\r\n"
                      "RCPT TO:<bob@example.test>\r\n")
        c.send(batch + "DATA\r\n")
        codes = [c.reply()[0] for _ in range(26)]
        w.check(codes == [250, 250, 250, 550, 250] * 5 + [354], "pipelining",
                str(codes))
        # The next transaction follows the dot at once.
        c.send(rawsmtp.mail("first") + b".\r\nMAIL FROM:<>\r\n"
               b"RCPT TO:<alice@example.test>\r\nDATA\r\n")
        codes = [c.reply()[0] for _ in range(4)]
        w.check(codes == [250, 250, 250, 354], "pipelined after the dot",
                str(codes))
        c.send(rawsmtp.mail("second") + b".\r\nQUIT\r\n")
        codes = [c.reply()[0], c.reply()[0]]
        w.check(codes == [250, 221] and c.closed(), "pipelined quit",
                str(codes))
    w.check(len(w.new(count=2)) == 2 and len(w.new("bob")) == 1,
            "pipelined mail")


def chunking(w):
    text = rawsmtp.mail("chunks", ".\r\n..\r\n.. dots stay\r\n.\r\n")
    with rawsmtp.Client(w.pw.port) as c:
        c.envelope()
        for part in (text[:7], text[7:100], b"", text[100:]):
            c.send(b"BDAT %d\r\n" % len(part) + part)
            code, said = c.reply()
            w.check(code == 250, "BDAT", said)
        code, said = c.cmd("BDAT 0 LAST")
        w.check(code == 250 and rawsmtp.ident(said), "BDAT LAST", said)
        # All in one write, and DATA after it.
        c.send(b"MAIL FROM:<ines@friend.test>\r\nRCPT TO:<alice@example.test>"
               b"\r\nBDAT %d LAST\r\n" % len(text) + text + b"NOOP\r\n")
        codes = [c.reply()[0] for _ in range(4)]
        w.check(codes == [250] * 4, "BDAT pipelined", str(codes))
        c.cmd("MAIL FROM:<ines@friend.test>")
        c.cmd("RCPT TO:<alice@example.test>")
        c.send(b"BDAT 5\r\nab\r\nc")
        c.reply()
        code, said = c.cmd("DATA")
        w.check(code == 503, "DATA after BDAT", said)
        c.cmd("RSET")
    files = w.new(count=2)
    w.check([original(f) for f in files] == [text] * 2, "BDAT bytes")
    # Octets that DATA refuses are data here, and come back as they came.
    odd = rawsmtp.mail("odd octets", "bare\nLF and bare\rCR\r\nNUL \0 here\r\n")
    with rawsmtp.Client(w.pw.port) as c:
        c.envelope()
        c.send(b"BDAT %d LAST\r\n" % len(odd) + odd)
        code, said = c.reply()
        w.check(code == 250, "BDAT odd octets", "%d %s" % (code, said))
    files = w.new(count=1 if code == 250 else 0)
    if code == 250:
        w.check(files and files[0].endswith(odd), "BDAT odd bytes")


def large(w):
    """30 MB by DATA and by BDAT: through the store in pieces."""
    row = b"".join(bytes([0x21 + (i * 7 + k) % 90]) for k, i in
                   enumerate(range(74)))
    body = b"".join(b".%06d" % n + row[n % 60:] + row[:n % 60] + b"\r\n"
                    for n in range(30 * 1000 * 1000 // 83))
    text = rawsmtp.mail("large") + body
    for way in ("DATA", "BDAT"):
        start = time.monotonic()
        with rawsmtp.Client(w.pw.port, timeout=60) as c:
            c.envelope(mail=" SIZE=%d" % len(text))
            if way == "DATA":
                code, said = c.data(text)
            else:
                for at in range(0, len(text), 5000000):
                    part = text[at:at + 5000000]
                    last = b" LAST" if at + len(part) == len(text) else b""
                    c.send(b"BDAT %d%s\r\n" % (len(part), last) + part)
                    code, said = c.reply()
                    if code != 250:
                        break
        w.check(code == 250, "30 MB by " + way, "%d %s" % (code, said))
        files = w.new(wait=20)
        w.check(len(files) == 1 and original(files[0]) == text,
                "30 MB by %s: bytes" % way)
        took = time.monotonic() - start
        w.check(took < 10, "30 MB by %s: time" % way, "%.1f s" % took)
    with rawsmtp.Client(w.pw.port) as c:
        code, said = c.envelope(mail=" SIZE=52428801")[1]
        w.check(code == 552, "SIZE above the bound", said)
    wait_no_spool(w)


def wait_no_spool(w):
    """Nothing is left of what came in pieces, also when the client left."""
    with rawsmtp.Client(w.pw.port) as c:
        c.envelope()
        c.cmd("DATA")
        c.send(rawsmtp.mail("left") + b"x" * 70 + b"\r\n")
        c.send((b"y" * 70 + b"\r\n") * 60000)

    def left():
        out = []
        for folder, _, names in os.walk(w.pw.folder):
            if os.path.basename(folder) in ("tmp", "spool"):
                out += [os.path.join(folder, n) for n in names]
        return out
    try:
        pwtest.wait_for(lambda: not left(), 10, say="no pieces left")
        w.check(True, "pieces of a client that left")
    except RuntimeError:
        w.check(False, "pieces of a client that left", str(left()))


# ---- TLS -------------------------------------------------------------------------


def handshake(w, name, **limits):
    """One mail under TLS: (session's version, cipher, certificate, file)."""
    with rawsmtp.Client(w.pw.port) as c:
        c.cmd("EHLO client.friend.test")
        tls = c.starttls(name, rawsmtp.trusting(**limits))
        version, cipher = tls.version(), tls.cipher()
        der = tls.getpeercert(True)
        c.envelope()
        code, said = c.data(rawsmtp.mail("tls"))
        w.check(code == 250, "mail under TLS", said)
    files = w.new()
    return version, cipher, ssl.DER_cert_to_PEM_cert(der), \
        files[0] if files else b"", rawsmtp.ident(said)


def tls(w, certificates):
    pem = {}
    for key, (chain, _) in certificates.items():
        with open(chain) as f:
            pem[key] = f.read().strip()
    v12, v13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    ec, rsa = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"
    cases = [("mx.example.test", dict(minimum=v13), ("mx", "ec"), "TLSv1.3"),
             ("mx.example.test", dict(maximum=v12, ciphers=ec), ("mx", "ec"),
              "TLSv1.2"),
             ("mx.example.test", dict(maximum=v12, ciphers=rsa), ("mx", "rsa"),
              "TLSv1.2"),
             ("MX2.Example.Test", dict(minimum=v13), ("mx2", "ec"), "TLSv1.3"),
             ("mx2.example.test", dict(maximum=v12, ciphers=ec), ("mx2", "ec"),
              "TLSv1.2"),
             ("mx2.example.test", dict(maximum=v12, ciphers=rsa),
              ("mx2", "rsa"), "TLSv1.2"),
             ("a.wild.example.test", dict(minimum=v13), ("wild", "ec"),
              "TLSv1.3"),
             ("unknown.test", dict(minimum=v13), ("mx", "ec"), "TLSv1.3"),
             (None, dict(minimum=v13), ("mx", "ec"), "TLSv1.3"),
             (None, dict(maximum=v12, ciphers=rsa), ("mx", "rsa"), "TLSv1.2")]
    for name, limits, which, want in cases:
        label = "SNI %s %s" % (name, want)
        version, cipher, cert, stored, ident = handshake(w, name, **limits)
        w.check(version == want, label, version)
        got = [k for k, v in pem.items() if v == cert.strip()]
        w.check(got == [which], label, "certificate %s, not %s" % (got, which))
        line = "(using %s with cipher %s (%d bits))" % (
            version, cipher[0], cipher[2])
        w.check(line.encode() in stored and b" with ESMTPS id " in stored,
                label, line)
    decision = pwtest.wait_for(lambda: w.pw.explained(ident), 10)
    w.check(decision["tls"] == "%s %s" % (version, cipher[0]), "TLS record",
            str(decision["tls"]))
    old(w)
    resumed(w)
    after(w)


def old(w):
    """Versions and ciphers that are not spoken."""
    for words in (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
                  ["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
                  ["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"],
                  ["-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"]):
        r = subprocess.run(
            ["openssl", "s_client", "-starttls", "smtp", "-connect",
             "127.0.0.1:%d" % w.pw.port, *words], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
        w.check(r.returncode != 0 and b"Cipher is (NONE)" in r.stdout,
                "refused: " + " ".join(words))


def resumed(w):
    """A session ticket is taken; afterwards all works as before."""
    context, session = rawsmtp.trusting(maximum=ssl.TLSVersion.TLSv1_2), None
    for again in (False, True):
        with rawsmtp.Client(w.pw.port) as c:
            c.cmd("EHLO client.friend.test")
            c.cmd("STARTTLS")
            c.sock = context.wrap_socket(c.sock, session=session)
            w.check(c.sock.session_reused == again, "resumption",
                    str(c.sock.session_reused))
            session = c.sock.session
            w.check(c.cmd("EHLO client.friend.test")[0] == 250, "resumed")


def after(w):
    """What was said before STARTTLS is forgotten, and what came with it is
    never read."""
    with rawsmtp.Client(w.pw.port) as c:
        c.envelope()
        code, _ = c.cmd("STARTTLS")
        w.check(code == 503, "STARTTLS in a transaction", str(code))
        c.cmd("RSET")
        c.starttls()
        code, said = c.cmd("MAIL FROM:<ines@friend.test>")
        w.check(code == 503, "EHLO is forgotten", said)
        _, text = c.cmd("EHLO client.friend.test")
        have = text.split("\n")
        w.check("STARTTLS" not in have and "REQUIRETLS" in have,
                "extensions under TLS", text)
        code, said = c.cmd("STARTTLS")
        w.check(code == 503, "STARTTLS twice", said)
        code, said = c.cmd("MAIL FROM:<ines@friend.test> REQUIRETLS")
        w.check(code == 250, "REQUIRETLS", said)
    with rawsmtp.Client(w.pw.port) as c:
        c.cmd("EHLO client.friend.test")
        code, said = c.cmd("MAIL FROM:<ines@friend.test> REQUIRETLS")
        w.check(code == 555, "REQUIRETLS without TLS", said)
        c.send("STARTTLS\r\nMAIL FROM:<evil@friend.test>\r\n")
        code, said = c.reply()
        w.check(code == 554 and c.closed(), "injection", "%d %s" % (code, said))


# ---- where they come from ------------------------------------------------------------


def six(w, port):
    code, said = rawsmtp.send(port, rawsmtp.mail("six"), host="::1")
    w.check(code == 250, "IPv6", "%d %s" % (code, said))
    files = w.new()
    w.check(files and b"[IPv6:::1])" in files[0], "IPv6 in Received")
    decision = pwtest.wait_for(lambda: w.pw.explained(rawsmtp.ident(said)), 10)
    w.check(decision["peer"] == "::1", "IPv6 record", decision["peer"])


def proxy(w, port):
    cases = [("v1", rawsmtp.proxy_v1("192.0.2.77"), "192.0.2.77"),
             ("v1 six", rawsmtp.proxy_v1("2001:db8::77"), "2001:db8::77"),
             ("v2", rawsmtp.proxy_v2("192.0.2.78"), "192.0.2.78"),
             ("v2 six", rawsmtp.proxy_v2("2001:db8::78"), "2001:db8::78"),
             ("v1 unknown", b"PROXY UNKNOWN\r\n", "127.0.0.1"),
             ("v2 local", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", "127.0.0.1")]
    for name, header, peer in cases:
        code, said = rawsmtp.send(port, rawsmtp.mail("proxy " + name),
                                  proxy=header)
        w.check(code == 250, "PROXY " + name, "%d %s" % (code, said))
        files = w.new()
        form = "[IPv6:%s])" if ":" in peer else "[%s])"
        w.check(files and (form % peer).encode() in files[0],
                "PROXY %s in Received" % name)
    # In two halves; then what is none.
    with rawsmtp.Client(port, greet=False) as c:
        c.send(b"PROXY TCP4 192.0.")
        time.sleep(0.1)
        c.send(b"2.79 127.0.0.1 4242 25\r\n")
        w.check(c.reply()[0] == 220, "PROXY in halves")
    for junk in (b"EHLO x\r\n", b"PROXY TCP4 x y 1 2\r\n",
                 b"PROXY TCP4 192.0.2.1 127.0.0.1 1 25" + b" " * 200 + b"\r\n",
                 b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\1x",
                 b"PROXY TCP4 192.0.2.1 127.0.0.1 99999 25\r\n"):
        with rawsmtp.Client(port, greet=False) as c:
            c.send(junk)
            code, said = c.reply()
            w.check(code == 421 and c.closed(), "no PROXY header: %r" % junk,
                    "%d %s" % (code, said))
    # From anybody who is not listed it is a command that there is not.
    with rawsmtp.Client(w.pw.port) as c:
        code, said = c.cmd("PROXY TCP4 192.0.2.1 127.0.0.1 1 25")
        w.check(code == 500, "PROXY from others", "%d %s" % (code, said))
        c.envelope()
        code, _ = c.data(rawsmtp.mail("not by proxy"))
    files = w.new()
    w.check(files and b"192.0.2.1" not in files[0], "PROXY from others: peer")


def same_id(w):
    """One id in reply, Received, log, record and index."""
    code, said = rawsmtp.send(w.pw.port, rawsmtp.mail("ident"))
    ident = rawsmtp.ident(said)
    files = w.new()
    w.check(code == 250 and ident and files and
            (" id %s\n\tfor <alice@example.test>;" % ident).encode()
            in files[0], "id in Received", said)
    decision = pwtest.wait_for(lambda: w.pw.explained(ident), 10)
    w.check(decision["id"] == ident and decision["reply"] ==
            "250 2.0.0 %s stored" % ident, "id in the record",
            decision["reply"])
    rows = pwtest.wait_for(lambda: w.pw.verb(
        "message", "list", "--id", ident, json_out=True), 10)
    w.check(len(rows) == 1 and rows[0]["mailbox"] == "alice@example.test",
            "id in the index", str(rows))
    lines = w.pw.logged("smtp.message", ident)
    w.check(len(lines) == 1 and "deliver" in lines[0], "id in the log",
            str(lines))
    text = w.pw.verb("explain", ident)
    w.check(text.startswith("Message " + ident) and
            "<alice@example.test> -> alice@example.test" in text, "explain",
            text[:200])
    w.check(w.pw.verb("explain", "<ident@friend.test>") == text,
            "explain by Message-ID")


def main():
    report = pwtest.Report("clients")
    folder = pwtest.scratch("clients")
    dns = pwtest.Dnsd(os.path.join(folder, "dns"), {
        "friend.test": [("TXT", "v=spf1 ip4:127.0.0.1 ip6:::1 -all"),
                        ("MX", (10, "mx.friend.test"))],
        "client.friend.test": [("A", "127.0.0.1")],
        "1.0.0.127.in-addr.arpa": [("PTR", "client.friend.test")]})
    tls_folder = os.path.join(folder, "tls")
    names = {"mx": ("mx.example.test",), "mx2": ("mx2.example.test",),
             "wild": ("*.wild.example.test",)}
    certificates = {(key, kind): pwtest.certificate(tls_folder, n, kind)
                    for key, n in names.items() for kind in ("ec", "rsa")}
    port6, port_proxy = pwtest.free_port(), pwtest.free_port()
    v6 = socket.has_ipv6 and os.path.exists("/proc/net/if_inet6")
    more = ''', { name = "proxy"; address = "127.0.0.1"; port = %d;
        tls = false; proxy = [ "127.0.0.1" ]; }''' % port_proxy
    if v6:
        more += ''', { name = "six"; address = "::1"; port = %d;
            tls = false; }''' % port6
    else:
        print("skipped: no IPv6 on this machine")
    pw = pwtest.Postward(folder, dns=dns, more_listeners=more,
                         certificates=list(certificates.values()))
    pw.accounts()
    pw.start()
    w = World(report, pw)
    steps = [(swaks,), (python,), (source,), (s_client,), (pipelining,),
             (chunking,), (large,), (tls, certificates), (proxy, port_proxy),
             (same_id,)] + ([(six, port6)] if v6 else [])
    try:
        for step, *arguments in steps:
            start = time.monotonic()
            try:
                step(w, *arguments)
            except (OSError, RuntimeError, rawsmtp.Closed, StopIteration,
                    subprocess.SubprocessError, smtplib.SMTPException) as e:
                report.check(False, step.__name__, repr(e))
                w.new(count=0), w.new("bob", count=0)
            print("%s: %.1f s" % (step.__name__, time.monotonic() - start))
    finally:
        report.check(pw.stop() == 0, "stop")
        dns.stop()
    bad = [l for l in pw.logged(" error ") + pw.logged("role.end")
           if "exit=0" not in l]
    report.check(not bad, "log", "".join(bad[:5]))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
