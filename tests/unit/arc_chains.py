# SPDX-License-Identifier: ISC
"""ARC chains made here: sealed by python3-dkim, or by hand where that does not
write what is wanted.  For arc_suite.py and for the system tests."""
import base64
import hashlib
import re
import subprocess
import types

import dkim
import dkim.crypto
import nacl.signing

if not hasattr(dkim, "authres"):
    # python3-dkim wants python3-authres only to find "arc=" in the field that
    # it is given; this much does.
    def _parse(text):
        value = text.split(":", 1)[1]
        parts = [p.strip() for p in value.split(";")]
        results = [types.SimpleNamespace(
            method=p.split("=")[0], result=p.split("=")[1].split()[0])
            for p in parts[1:] if "=" in p]
        return types.SimpleNamespace(authserv_id=parts[0], results=results)
    dkim.authres = types.SimpleNamespace(
        AuthenticationResultsHeader=types.SimpleNamespace(parse=_parse),
        core=types.SimpleNamespace(SyntaxError=ValueError))


def openssl(*words, stdin=None):
    return subprocess.run(["openssl", *words], check=True, input=stdin,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout


def rsa_key(bits, exponent=65537):
    pem = openssl("genpkey", "-algorithm", "RSA", "-pkeyopt",
                  "rsa_keygen_bits:%d" % bits, "-pkeyopt",
                  "rsa_keygen_pubexp:%d" % exponent)
    return openssl("rsa", "-traditional", stdin=pem)


def rsa_record(pem):
    der = openssl("rsa", "-pubout", "-outform", "DER", stdin=pem)
    return "v=DKIM1; k=rsa; p=" + base64.b64encode(der).decode()


def seal(message, domain, results, key, cv=b"none", selector=b"s", **more):
    """MESSAGE with one more set, by python3-dkim."""
    srv = b"mx." + domain
    stamped = (b"Authentication-Results: " + srv + b"; " + results +
               b"; arc=" + cv + b"\r\n" + message)
    fields = dkim.ARC(stamped).sign(selector, domain, key, srv, **more)
    assert len(fields) == 3, "not sealed"
    return b"".join(f.rstrip(b"\r\n") + b"\r\n" for f in fields) + message


def chain(message, hops, key, **more):
    """HOPS: (domain, results), oldest first."""
    for n, (domain, results) in enumerate(hops):
        message = seal(message, domain, results, key,
                       b"pass" if n else b"none", **more)
    return message


# ---- by hand -------------------------------------------------------------------


def relaxed(field):
    name, value = field.split(b":", 1)
    value = re.sub(rb"[ \t]+", b" ", re.sub(rb"\r\n", b"", value)).strip()
    return name.strip().lower() + b":" + value


def relaxed_body(body):
    lines = [re.sub(rb"[ \t]+", b" ", l).rstrip()
             for l in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(l + b"\r\n" for l in lines)


def by_hand(message, domain=b"a.test", key=None, seed=None, ams="", seal="",
            results=b"dmarc=pass", h=b"from:subject", length=None, cut=None):
    """The first set, relaxed throughout.  AMS and SEAL are tags to add; H is
    the value of h=; LENGTH is that of l=; CUT removes tags by name."""
    head, body = message.split(b"\r\n\r\n", 1)
    fields = re.split(rb"\r\n(?![ \t])", head)
    text = relaxed_body(body)
    alg = b"ed25519-sha256" if seed else b"rsa-sha256"

    def sign(data):
        if seed:
            return base64.b64encode(seed.sign(
                hashlib.sha256(data).digest()).signature)
        return base64.b64encode(dkim.crypto.RSASSA_PKCS1_v1_5_sign(
            hashlib.sha256(data), dkim.crypto.parse_pem_private_key(key)))

    def tags(*pairs):
        return b"; ".join(b"%s=%s" % p for p in pairs
                          if p[0] != (cut or b"")) + b"; b="
    aar = b"ARC-Authentication-Results: i=1; mx." + domain + b"; " + results
    l = [(b"l", b"%d" % length)] if length is not None else []
    extra = [tuple(t.encode().split(b"=", 1)) for t in ams.split()]
    own = b"ARC-Message-Signature: " + tags(
        (b"i", b"1"), (b"a", alg), (b"c", b"relaxed/relaxed"), (b"d", domain),
        (b"s", b"s"), (b"h", h), *l, *extra, (b"bh", base64.b64encode(
            hashlib.sha256(text[:length]).digest())))
    signed, pool = b"", list(fields)
    for name in h.split(b":"):
        for f in reversed(pool):
            if f.split(b":")[0].strip().lower() == name.strip().lower():
                pool.remove(f)
                signed += relaxed(f) + b"\r\n"
                break
    own += sign(signed + relaxed(own))
    top = b"ARC-Seal: " + tags(
        (b"i", b"1"), (b"a", alg), (b"cv", b"none"), (b"d", domain),
        (b"s", b"s"), *[tuple(t.encode().split(b"=", 1))
                        for t in seal.split()])
    top += sign(relaxed(aar) + b"\r\n" + relaxed(own) + b"\r\n" +
                relaxed(top))
    return b"\r\n".join([top, own, aar, message])


def dkim_by_hand(message, key, **more):
    """A DKIM-Signature field, relaxed/relaxed over From and Subject."""
    head, body = message.split(b"\r\n\r\n", 1)
    fields = re.split(rb"\r\n(?![ \t])", head)
    tag = {"v": "1", "a": "rsa-sha256", "c": "relaxed/relaxed",
           "d": "example.com", "h": "from:subject"}
    tag.update(more)
    tag["bh"] = base64.b64encode(hashlib.sha256(
        relaxed_body(body)).digest()).decode()
    own = ("DKIM-Signature: " + "; ".join("%s=%s" % t for t in tag.items()) +
           "; b=").encode()
    data = b"".join(relaxed(f) + b"\r\n" for n in tag["h"].split(":")
                    for f in fields
                    if f.lower().startswith(n.encode() + b":")) + relaxed(own)
    return own + base64.b64encode(dkim.crypto.RSASSA_PKCS1_v1_5_sign(
        hashlib.sha256(data), dkim.crypto.parse_pem_private_key(key))) + \
        b"\r\n"


# ---- the tests -------------------------------------------------------------------


def run(suite):
    check, verify, mail, good = (suite.check, suite.verify, suite.MAIL,
                                 suite.GOOD)
    key = rsa_key(2048)
    record = rsa_record(key)
    names = ["%s._domainkey.%s" % (s, d) for s in ("s", "t")
             for d in ("a.test", "b.test", "c.test")]
    zone = [(n, 0, record) for n in names]

    def want(what, message, result, trusted=None, answers=zone, allow="",
             oldest=None, reason=""):
        got = verify(message, answers, allow)
        check(got[0] == result and reason in got[5] and
              (oldest is None or got[1] == oldest) and
              (trusted is None or got[2] == trusted), what, str(got))
        return got

    one = chain(mail, [(b"a.test", good)], key)
    two = chain(mail, [(b"a.test", good), (b"b.test", b"dmarc=fail")], key)
    five = chain(mail, [(b"a.test", good)] + [(b"b.test", good)] * 4, key)
    want("one", one, "pass", 0, oldest=0)
    want("two", two, "pass", 0, oldest=0)
    want("five", five, "pass", 0, oldest=0)
    alterations(want, one, two, five)
    trust(want, mail, one, two, key, good)
    keys(want, mail, one, two, names, record, key)
    hand(want, mail, key)
    bounds(want, check, verify, mail, one, key, zone)
    options(check, verify, one, zone)


def alterations(want, one, two, five):
    for what, message in (("one", one), ("two", two), ("five", five)):
        want(what + ", body", message.replace(b"hello", b"hallo"), "fail",
             reason="body was changed")
        want(what + ", Subject", message.replace(b"Subject: one",
             b"Subject: two"), "fail", reason="header was changed")
        want(what + ", AAR", message.replace(b"dmarc=pass", b"dmarc=fail", 1),
             "fail")
        want(what + ", second From", b"From: x@evil.test\r\n" + message,
             "fail", reason="header")
        want(what + ", folds", message.replace(b"Subject: one",
             b"subject:\tone"), "pass")
        want(what + ", blank lines below", message + b"\r\n\r\n", "pass")
        want(what + ", line below", message + b"x\r\n", "fail")
    for name in (b"ARC-Seal", b"ARC-Message-Signature",
                 b"ARC-Authentication-Results"):
        gone = re.sub(rb"(?m)^" + name + rb":.*\r\n([ \t].*\r\n)*", b"", two,
                      count=1)
        want("two without %s" % name.decode(), gone, "fail",
             reason="not complete")
        twice = re.search(rb"(?m)^" + name + rb":.*\r\n([ \t].*\r\n)*",
                          two).group(0)
        want("two, %s twice" % name.decode(), twice + two, "fail",
             reason="stands twice")
    # What the first sealer signed is changed, and then sealed by the second.
    want("newest set gone", re.sub(
        rb"(?m)^ARC-[^:]*: i=5;.*\r\n([ \t].*\r\n)*", b"", five), "pass")
    want("cv=fail", two.replace(b"cv=pass", b"cv=fail"), "fail",
         reason="says that the chain is broken")
    want("cv=none", two.replace(b"cv=pass", b"cv=none"), "fail",
         reason="does not fit")


def trust(want, mail, one, two, key, good):
    want("trusted", one, "pass", 1, allow="a.test")
    want("trusted, of several", one, "pass", 1, allow="x.test, a.test b.test")
    want("trusted, other case", one, "pass", 1, allow="A.Test")
    want("not a subdomain", one, "pass", 0, allow="test.test x.a.test")
    want("last is not trusted", two, "pass", 0, allow="a.test")
    want("last is trusted, says fail", two, "pass", 0, allow="b.test")
    want("both are trusted", two, "pass", 1, allow="a.test b.test")
    gap = chain(mail, [(b"a.test", good), (b"c.test", b"dmarc=fail"),
                       (b"b.test", b"dmarc=fail")], key)
    want("a gap", gap, "pass", 0, allow="a.test b.test")
    want("no gap", gap, "pass", 1, allow="a.test b.test c.test")
    late = chain(mail, [(b"a.test", b"dmarc=fail"), (b"b.test", good)], key)
    want("the last says pass", late, "pass", 1, allow="b.test")
    want("the first says fail", late, "pass", 0, allow="a.test b.test")
    want("broken", one.replace(b"hello", b"x"), "fail", 0, allow="a.test")
    for results, trusted in (
            (b"dkim=pass header.d=author.test", 1),
            (b"dkim=pass header.d=other.test", 0),
            (b"spf=pass smtp.mailfrom=bounce@author.test", 1),
            (b"spf=pass smtp.mailfrom=other.test; dkim=fail", 0),
            (b"dmarc=pass header.from=other.test", 0),
            (b"dmarc=pass", 1), (b"dmarc=none", 0)):
        want("says " + results.decode(), chain(mail, [(b"a.test", results)],
             key), "pass", trusted, allow="a.test")
    for results in (b"none", b"", b"dmarc", b";;", b"x y z"):
        want("says %r" % results, by_hand(mail, key=key, results=results),
             "pass", 0, allow="a.test")
    # The list rewrote the mail: its seal holds, the older signature does not.
    changed = chain(chain(mail, [(b"a.test", good)], key).replace(
        b"hello", b"hello, list"), [], key)
    relay = seal(changed, b"b.test", good, key, b"pass")
    want("changed between", relay, "pass", 1, allow="b.test", oldest=2)


def keys(want, mail, one, two, names, record, key):
    want("no key", one, "fail", answers=[], reason="there is no key")
    for status in (3, 4, 5):
        zone = [(n, status, "") for n in names]
        want("status %d" % status, one, "temperror", answers=zone,
             reason="looked up")
        # The newest signature can be read, the seal below it cannot.
        zone = [(n, status if "a.test" in n else 0, record) for n in names]
        want("status %d of one" % status, two, "temperror", answers=zone)
        want("status %d, but broken" % status,
             two.replace(b"hello", b"x"), "fail", answers=zone)
    for what, text in (("revoked", "v=DKIM1; p="), ("nonsense", "nonsense"),
                       ("type", record.replace("rsa", "ed25519")),
                       ("data", "v=DKIM1; k=rsa; p=AAAA"),
                       ("hash", record + "; h=sha1"),
                       ("service", record + "; s=tlsrpt")):
        want("key " + what, one, "fail", answers=[(n, 0, text)
                                                  for n in names])
    for bits, result in ((512, "fail"), (768, "fail"), (1024, "pass"),
                         (4096, "pass")):
        k = rsa_key(bits)
        want("%d bits" % bits, chain(mail, [(b"a.test", b"dmarc=pass")], k),
             result, answers=[(n, 0, rsa_record(k)) for n in names],
             reason="" if result == "pass" else "shorter")
    k = rsa_key(2048, (1 << 66) + 3)
    want("long exponent", chain(mail, [(b"a.test", b"dmarc=pass")], k),
         "fail", answers=[(n, 0, rsa_record(k)) for n in names],
         reason="exponent")
    other = rsa_key(2048)
    want("other key", one, "fail", answers=[(n, 0, rsa_record(other))
                                            for n in names])


def hand(want, mail, key):
    seed = nacl.signing.SigningKey.generate()
    ed = "v=DKIM1; k=ed25519; p=" + base64.b64encode(
        bytes(seed.verify_key)).decode()
    zone = [("s._domainkey.a.test", 0, ed)]
    want("ed25519", by_hand(mail, seed=seed), "pass", 1, answers=zone,
         allow="a.test")
    want("ed25519, changed", by_hand(mail, seed=seed).replace(b"hello",
         b"x"), "fail", answers=zone)
    want("by hand", by_hand(mail, key=key), "pass", 1, allow="a.test")
    want("From is not signed", by_hand(mail, key=key, h=b"subject"), "pass",
         0, allow="a.test")
    want("From is there twice", by_hand(mail, key=key).replace(
        b"From:", b"From: x@evil.test\r\nFrom:", 1), "pass", 0,
        allow="a.test")
    whole = len(relaxed_body(mail.split(b"\r\n\r\n", 1)[1]))
    want("l= whole", by_hand(mail, key=key, length=whole), "pass", 1,
         allow="a.test")
    want("l= with a tail", by_hand(mail, key=key, length=5), "pass", 0,
         allow="a.test")
    want("l= too large", by_hand(mail, key=key, length=whole + 1), "fail",
         reason="l=")
    want("expired", by_hand(mail, key=key, ams="t=1 x=2"), "fail",
         reason="expired")
    want("not expired", by_hand(mail, key=key, ams="x=99999999999"), "pass")
    want("x= malformed", by_hand(mail, key=key, ams="x=1a"), "fail",
         reason="x=")
    want("seal with h=", by_hand(mail, key=key, seal="h=from"), "fail",
         reason="has no h=")
    want("h= names the seal", by_hand(mail, key=key, h=b"from:ARC-Seal"),
         "fail", reason="names ARC-Seal")


def bounds(want, check, verify, mail, one, key, zone):
    many = one
    for n in range(2, 51):
        many = seal(many, b"a.test", b"dmarc=pass", key, b"pass")
    want("fifty", many, "pass", 1, allow="a.test", oldest=0)
    extra = re.sub(rb"i=50;", b"i=51;", many.split(b"From: ")[0].split(
        b"ARC-Seal: i=49;")[0])
    want("fifty-one", extra + many, "fail", reason="i=")
    want("more fields than fifty sets have", (b"ARC-Seal: i=1\r\n" * 151) +
         mail, "fail")
    want("i=0", b"ARC-Seal: i=0; a=rsa-sha256\r\n" + mail, "fail",
         reason="i=")
    want("too long", one.replace(b"ARC-Seal: i=1;", b"ARC-Seal: i=1; z=" +
         b"y" * 8200 + b";"), "fail", reason="too long")
    names = b":".join([b"from"] * 101)
    want("101 names", by_hand(mail, key=key, h=names), "fail",
         reason="more than 100")
    # Different sealers, more than the questions of one run.
    hops = [(b"d%d.test" % n, b"dmarc=pass") for n in range(50)]
    other = chain(mail, hops, key)
    record = zone[0][2]
    got = want("fifty sealers", other, "pass", answers=[
        ("s._domainkey.d%d.test" % n, 0, record) for n in range(50)])
    check(got[3] == 1, "fifty sealers", str(got))
    got = verify(other, [])
    check(got[0] == "fail" and got[3] == 3, "fifty questions", str(got))


def options(check, verify, one, zone):
    for value in ("nodots", "a..test", "-a.test", "*.a.test"):
        got = verify(one, zone, value)
        check(got[0] == "refused" and value in got[5], "trusted=" + value,
              str(got))
    got = verify(one, zone, " ".join("a%d.test" % n for n in range(101)))
    check(got[0] == "refused" and "100" in got[5], "101 trusted", str(got))


def cost(suite):
    """CPU time of chains, keys in the answers: on the machine that runs it."""
    key = rsa_key(2048)
    zone = [("s._domainkey.a.test", 0, rsa_record(key))]
    for size in (1, 8, 1024):
        mail = suite.MAIL + b"0123456789 abcdef\r\n" * (size * 1024 // 19)
        for sets in (1, 2, 3, 5):
            m = chain(mail, [(b"a.test", b"dmarc=pass")] * sets, key)
            got = suite.verify(m, zone, "", 20 if size > 100 else 300)
            print("%4d KB, %d sets: %d us, %d us a set" % (
                size, sets, got[4], got[4] // sets))
