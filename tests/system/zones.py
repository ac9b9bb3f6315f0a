#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Zone files for dnsd.sh from a table of names.

The table maps a name to a list of records, each a pair (TYPE, VALUE):

    write("dir", {
        "example.test": [("A", "192.0.2.1"), ("MX", (10, "mx.example.test")),
                         ("TXT", "v=spf1 mx -all"),
                         ("TXT", ["two ", "strings of one record"])],
        "www.example.test": [("CNAME", "example.test")],
        "1.2.0.192.in-addr.arpa": [("PTR", "example.test")],
        "dead.test": "TIMEOUT",
    })

One zone is made for each top-level domain that occurs, so that every other
name in it does not exist.  A name that is TIMEOUT has, with all below it, a
name server that never answers; no zone of the table need hold it.

Commands:  zones.py write DIR <table.json      zones.py silent PORT
"""
import json
import os
import signal
import socket
import sys

TTL = 60


def quoted(data):
    """One character-string in presentation form."""
    out = ""
    for byte in data:
        char = chr(byte)
        if char in '"\\':
            out += "\\" + char
        elif 0x20 <= byte < 0x7F:
            out += char
        else:
            out += "\\%03d" % byte
    return '"' + out + '"'


def text(value):
    """TXT: a string is cut where it must be, a list gives the cuts."""
    parts = value if isinstance(value, (list, tuple)) else [value]
    strings = []
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8")
        if isinstance(value, (list, tuple)) and len(data) > 255:
            raise ValueError("a character-string above 255 bytes")
        strings += [data[i:i + 255] for i in range(0, len(data), 255)] or [b""]
    return " ".join(quoted(s) for s in strings)


def name_of(value):
    """An absolute name in presentation form."""
    out = ""
    for byte in value.rstrip(".").encode("utf-8"):
        char = chr(byte)
        if char.isascii() and (char.isalnum() or char in "-_.\\"):
            out += char
        else:
            out += "\\%03d" % byte
    return out + "."


def rdata(kind, value):
    if kind == "TXT":
        return text(value)
    if kind == "MX":
        return "%d %s" % (int(value[0]), name_of(value[1]))
    if kind in ("CNAME", "PTR", "NS", "DNAME"):
        return name_of(value)
    return value


def top(name):
    return name.rstrip(".").rsplit(".", 1)[-1].lower()


def write(folder, table, serial=1):
    """Writes the zone files, and the list of silent names if there are any."""
    os.makedirs(folder, exist_ok=True)
    zones, silent = {}, []
    for name, records in table.items():
        if records == "TIMEOUT":
            silent.append(name_of(name))
            continue
        lines = zones.setdefault(top(name), [])
        for kind, value in records:
            lines.append("%s %s %s" % (name_of(name), kind, rdata(kind, value)))
    for zone, lines in zones.items():
        with open(os.path.join(folder, zone + ".zone"), "w") as file:
            file.write("$TTL %d\n" % TTL)
            file.write("%s. SOA ns.%s. hostmaster.%s. %d 3600 600 86400 %d\n"
                       % (zone, zone, zone, serial, TTL))
            file.write("%s. NS ns.%s.\nns.%s. A 127.0.0.1\n"
                       % (zone, zone, zone))
            file.write("".join(line + "\n" for line in lines))
    with open(os.path.join(folder, "silent"), "w") as file:
        file.write("".join(name + "\n" for name in silent))


def hold(port):
    """Opens PORT, says so, and reads nothing that comes until a signal."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", port))
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    tcp.bind(("127.0.0.1", port))
    tcp.listen(16)
    print("ready", flush=True)
    while True:
        signal.pause()


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "write":
        write(sys.argv[2], json.load(sys.stdin))
    elif len(sys.argv) == 3 and sys.argv[1] == "silent":
        hold(int(sys.argv[2]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
