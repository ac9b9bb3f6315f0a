#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Mail and zones for the benchmark of authentication.

    signmail.py CORPUS OUT ZONES SENDER_DOMAIN [COUNT]

Takes COUNT mails of CORPUS, puts them in the name of SENDER_DOMAIN, signs each
with RSA-2048 and writes them to OUT; ZONES gets the zones that hold the key,
an SPF record that lets 127.0.0.0/8 pass, and a DMARC record."""
import os
import re
import subprocess
import sys

import dkim

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system"))
import zones

DROPPED = re.compile(rb"(?i)(from|sender|dkim-signature|domainkey-signature|"
                     rb"authentication-results|arc-[a-z-]+)[ \t]*:")


def make_key(folder):
    path = os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "genrsa", "-out", path, "2048"], check=True,
                   stderr=subprocess.DEVNULL)
    public = subprocess.run(["openssl", "rsa", "-in", path, "-pubout"],
                            check=True, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True).stdout
    with open(path, "rb") as f:
        return f.read(), "".join(public.split("\n")[1:-2])


def in_name_of(raw, domain):
    """The mail with our From, CRLF line ends, without old signatures."""
    raw = re.sub(rb"\AFrom [^\n]*\n", b"", raw)
    raw = re.sub(rb"\r?\n", b"\r\n", raw.replace(b"\0", b" "))
    head, found, body = raw.partition(b"\r\n\r\n")
    if not found:
        return None
    fields = re.split(rb"\r\n(?![ \t])", head)
    kept = [f for f in fields
            if re.match(rb"[!-9;-~]+[ \t]*:", f) and not DROPPED.match(f)]
    kept.insert(0, b"From: Sender <sender@%s>" % domain.encode())
    return b"\r\n".join(kept) + b"\r\n\r\n" + body


def main():
    corpus, out, folder, domain = sys.argv[1:5]
    count = int(sys.argv[5]) if len(sys.argv) > 5 else 2000
    os.makedirs(out)
    os.makedirs(folder)
    key, public = make_key(folder)
    zones.write(folder, {
        domain: [("A", "127.0.0.1"), ("MX", (10, "mx." + domain)),
                 ("TXT", "v=spf1 ip4:127.0.0.0/8 -all")],
        "mx." + domain: [("A", "127.0.0.1")],
        "bench._domainkey." + domain: [("TXT", "v=DKIM1; k=rsa; p=" + public)],
        "_dmarc." + domain: [("TXT", "v=DMARC1; p=reject")],
        "1.0.0.127.in-addr.arpa": [("PTR", "mx." + domain)],
    })
    done = 0
    for name in sorted(os.listdir(corpus)):
        if done == count:
            break
        with open(os.path.join(corpus, name), "rb") as f:
            raw = in_name_of(f.read(), domain)
        if raw is None:
            continue
        signature = dkim.sign(raw, b"bench", domain.encode(), key,
                              canonicalize=(b"relaxed", b"relaxed"),
                              include_headers=[b"from", b"to", b"subject",
                                               b"date", b"message-id"])
        with open(os.path.join(out, name), "wb") as f:
            f.write((signature + raw).replace(b"\r\n", b"\n"))
        done += 1
    print("%d mails signed" % done)


if __name__ == "__main__":
    main()
