#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Plays the dialogue scripts (*.smtp) against an SMTP receiver.

usage: run.py [--port N | --program PATH [ARG...]] [SCRIPT...]

--port speaks to what listens on 127.0.0.1:N; --program starts PATH, which
prints "port N" and ends with its stdin (tests/smtp/testd, or a wrapper that
starts the daemon).  Each script is played whole, octet by octet and inside TLS;
"only: whole bytes tls" in a script restricts that.

A script has lines of
  # text           a comment
  only: MODE...    see above
  C: text          sent with CRLF; escapes \\r \\n \\0 \\xNN \\\\ are understood
  C| text          sent without CRLF
  C* N text        text sent N times, without CRLF
  S: pattern       the next reply line: '*' is any text, '?' one character
  S* pattern       lines up to and with the first that matches
  TLS              a handshake now
  HALF             we close our side
  END              the other side must have closed
C lines in a row leave together.  A receiver for these scripts knows alice, bob,
full, postmaster, team (alice and bob) and loop at example.test and
bücher.test, as fake.h says, takes 64 KiB a message (max_message=65536) and
200 errors.
"""
import fnmatch
import glob
import os
import socket
import ssl
import subprocess
import sys

TIME = 10
HERE = os.path.dirname(os.path.abspath(__file__))


class Failed(Exception):
    pass


def unescape(text):
    out = bytearray()
    raw = text.encode('utf-8')
    i = 0
    names = {ord('r'): 13, ord('n'): 10, ord('0'): 0, ord('\\'): 92}
    while i < len(raw):
        if raw[i] == 92 and i + 1 < len(raw):
            if raw[i + 1] in names:
                out.append(names[raw[i + 1]])
                i += 2
                continue
            if raw[i + 1:i + 2] == b'x':
                out.append(int(raw[i + 2:i + 4], 16))
                i += 4
                continue
        out.append(raw[i])
        i += 1
    return bytes(out)


def parse(path):
    steps, modes = [], {'whole', 'bytes', 'tls'}
    with open(path, encoding='utf-8') as f:
        for number, line in enumerate(f, 1):
            line = line.rstrip('\n')
            if line.startswith('only:'):
                modes = set(line[5:].split())
            elif line.startswith('C: ') or line == 'C:':
                steps.append((number, 'C', unescape(line[3:]) + b'\r\n'))
            elif line.startswith('C| '):
                steps.append((number, 'C', unescape(line[3:])))
            elif line.startswith('C* '):
                n, text = line[3:].split(' ', 1)
                steps.append((number, 'C', unescape(text) * int(n)))
            elif line[:3] in ('S: ', 'S* '):
                steps.append((number, line[:2], line[3:]))
            elif line in ('TLS', 'HALF', 'END'):
                steps.append((number, line, None))
            elif line and not line.startswith('#'):
                raise Failed('%s:%d: not understood' % (path, number))
    return steps, modes


class Peer:
    def __init__(self, port):
        self.sock = socket.create_connection(('127.0.0.1', port), TIME)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b''

    def tls(self):
        if self.buf:
            raise Failed('text before the handshake: %r' % self.buf)
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ctx.check_hostname = False
        ctx.verify_mode = ssl.CERT_NONE
        self.sock = ctx.wrap_socket(self.sock)

    def line(self):
        while b'\r\n' not in self.buf:
            try:
                more = self.sock.recv(65536)
            except (ConnectionError, ssl.SSLError):
                more = b''
            if not more:
                return None
            self.buf += more
        line, self.buf = self.buf.split(b'\r\n', 1)
        return line.decode('utf-8', 'backslashreplace')

    def send(self, data, single):
        step = 1 if single and len(data) <= 4096 else max(len(data), 1)
        try:
            for i in range(0, len(data), step):
                self.sock.sendall(data[i:i + step])
        except (ConnectionError, ssl.SSLError):
            pass  # closed in the middle: the next S line or END says so


def matches(line, pattern):
    # Brackets are ordinary characters here.
    pattern = pattern.replace('[', '[[]')
    return line is not None and fnmatch.fnmatchcase(line, pattern)


def begin_tls(peer):
    peer.line()
    peer.send(b'EHLO tls.test\r\n', False)
    while (peer.line() or ' ' * 4)[3:4] == '-':
        pass
    peer.send(b'STARTTLS\r\n', False)
    if not matches(peer.line(), '220 *'):
        raise Failed('no STARTTLS')
    peer.tls()


def play(port, steps, mode):
    peer = Peer(port)
    pending = b''
    if mode == 'tls':
        begin_tls(peer)
        # The banner was read already.
        first = next(i for i, s in enumerate(steps) if s[1][0] == 'S')
        steps = steps[:first] + steps[first + 1:]
    for number, what, arg in steps:
        if what == 'C':
            pending += arg
            continue
        if pending:
            peer.send(pending, mode == 'bytes')
            pending = b''
        if what == 'S:':
            line = peer.line()
            if not matches(line, arg):
                raise Failed('line %d: %r, not %r' % (number, line, arg))
        elif what == 'S*':
            line = peer.line()
            while line is not None and not matches(line, arg):
                line = peer.line()
            if line is None:
                raise Failed('line %d: closed, no %r' % (number, arg))
        elif what == 'TLS':
            peer.tls()
        elif what == 'HALF':
            peer.sock.shutdown(socket.SHUT_WR)
        elif what == 'END':
            line = peer.line()
            if line is not None:
                raise Failed('line %d: %r, not the end' % (number, line))
    if pending:
        peer.send(pending, mode == 'bytes')
    peer.sock.close()


def main(argv):
    port, program, scripts = None, None, []
    if argv[:1] == ['--port']:
        port, scripts = int(argv[1]), argv[2:]
    elif argv[:1] == ['--program']:
        child = [a for a in argv[1:] if not a.endswith('.smtp')]
        scripts = [a for a in argv[1:] if a.endswith('.smtp')]
        program = subprocess.Popen(child, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        port = int(program.stdout.readline().split()[1])
    else:
        print(__doc__)
        return 64
    scripts = scripts or sorted(glob.glob(os.path.join(HERE, '*.smtp')))
    passed = failed = 0
    for path in scripts:
        for mode in ('whole', 'bytes', 'tls'):
            try:
                steps, modes = parse(path)
                if mode not in modes:
                    continue
                play(port, steps, mode)
                passed += 1
            except (Failed, OSError) as why:
                failed += 1
                print('FAIL %s (%s): %s' % (os.path.basename(path), mode, why))
    if program is not None:
        program.stdin.close()
        if program.wait(TIME) != 0:
            failed += 1
            print('FAIL %s ended with %d' % (program.args[0],
                                             program.returncode))
    print('%d dialogues: %d passed, %d failed' %
          (len(scripts), passed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
