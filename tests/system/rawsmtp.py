# SPDX-License-Identifier: ISC
"""A client that sends exactly what a test says, and what tests ask of its
replies.  Nothing is added, completed or tried again."""
import re
import socket
import ssl
import struct


class Closed(Exception):
    """The server closed the connection."""


class Client:
    """A connection to PORT.  SOURCE is our own address, PROXY an address that
    a PROXY header of version 1 names (bytes: sent as they are)."""

    def __init__(self, port, host="127.0.0.1", source=None, proxy=None,
                 greet=True, timeout=20):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        if source:
            self.sock.bind((source, 0))
        self.sock.connect((host, port))
        self.buffer = b""
        if isinstance(proxy, bytes):
            self.sock.sendall(proxy)
        elif proxy:
            self.sock.sendall(proxy_v1(proxy))
        self.banner = self.reply() if greet else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        if isinstance(data, str):
            data = data.encode("utf-8")
        self.sock.sendall(data)

    def line(self):
        """One line without its end; Closed at the end of input."""
        while b"\r\n" not in self.buffer:
            try:
                got = self.sock.recv(65536)
            except ConnectionResetError:
                got = b""
            if not got:
                raise Closed(self.buffer)
            self.buffer += got
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("utf-8", "replace")

    def reply(self):
        """A whole reply as (code, text); lines of it are parted by \\n."""
        lines = []
        while True:
            line = self.line()
            lines.append(line[4:])
            if line[3:4] != "-":
                return int(line[:3]), "\n".join(lines)

    def cmd(self, text):
        self.send(text + "\r\n")
        return self.reply()

    def starttls(self, name=None, context=None):
        code, text = self.cmd("STARTTLS")
        if code != 220:
            raise RuntimeError("STARTTLS: %d %s" % (code, text))
        if context is None:
            context = trusting()
        self.sock = context.wrap_socket(self.sock, server_hostname=name)
        return self.sock

    def closed(self):
        """Does the server close within our time-out, saying nothing more?"""
        try:
            return not self.buffer and self.sock.recv(1) == b""
        except ConnectionResetError:
            return True
        except OSError:
            return False

    def envelope(self, sender="ines@friend.test", to=("alice@example.test",),
                 helo="client.friend.test", mail=""):
        """EHLO, MAIL and RCPT; the replies."""
        out = [self.cmd("EHLO " + helo)] if helo else []
        out.append(self.cmd("MAIL FROM:<%s>%s" % (sender, mail)))
        out += [self.cmd("RCPT TO:<%s>" % r) for r in to]
        return out

    def data(self, message):
        """DATA with MESSAGE (bytes, CRLF), dots stuffed; the last reply."""
        code, text = self.cmd("DATA")
        if code != 354:
            return code, text
        stuffed = re.sub(rb"(?m)^\.", b"..", message)
        self.send(stuffed + b".\r\n")
        return self.reply()


def trusting(minimum=None, maximum=None, ciphers=None):
    """A TLS context that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if minimum:
        context.minimum_version = minimum
    if maximum:
        context.maximum_version = maximum
    if ciphers:
        context.set_ciphers(ciphers)
    return context


def proxy_v1(address, port=4242):
    six = ":" in address
    return ("PROXY TCP%s %s %s %d 25\r\n" % (
        "6" if six else "4", address, "::1" if six else "127.0.0.1",
        port)).encode()


def proxy_v2(address, port=4242):
    six = ":" in address
    family = socket.AF_INET6 if six else socket.AF_INET
    body = socket.inet_pton(family, address) + socket.inet_pton(
        family, "::1" if six else "127.0.0.1") + struct.pack("!HH", port, 25)
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x21, 0x21 if six else 0x11]) + \
        struct.pack("!H", len(body)) + body


def ident(text):
    """The transaction's id in the reply to the end of data, or None."""
    m = re.match(r"2\.0\.0 (\S+) stored", text)
    return m.group(1) if m else None


def mail(subject="test", body="Hello.\r\n", fields=""):
    return ("From: Ines <ines@friend.test>\r\nTo: alice@example.test\r\n"
            "Subject: %s\r\nDate: Mon, 06 Jul 2026 10:00:00 +0200\r\n"
            "Message-ID: <%s@friend.test>\r\n%s\r\n%s" % (
                subject, re.sub(r"[^a-z0-9]+", ".", subject.lower()), fields,
                body)).encode("utf-8")


def send(port, message=None, sender="ines@friend.test",
         to=("alice@example.test",), helo="client.friend.test", **more):
    """One mail in one session: (code, text) of the reply that ended it."""
    with Client(port, **more) as c:
        if c.banner[0] != 220:
            return c.banner
        accepted = 0
        for code, text in c.envelope(sender, to, helo):
            if code >= 400:
                last = (code, text)
            else:
                accepted += 1
        if accepted < 3:
            return last
        reply = c.data(message if message is not None else mail())
        c.cmd("QUIT")
        return reply
