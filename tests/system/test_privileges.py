#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""What each role may do: tried from inside its sandbox (probe.c), and read off
the processes of a running daemon; who may use the control socket; whose the
files are."""
import base64
import json
import os
import pwd
import re
import shutil
import socket
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pwtest
import rawsmtp

ROOT = os.geteuid() == 0
ROLES = ("front", "scan", "resolve", "store")

# ---- from inside ----------------------------------------------------------------

EVERYWHERE = {
    "read_passwd": "no", "read_shadow": "no", "read_proc": "no",
    "list_root": "no", "write_tmp": "no", "write_readable": "no",
    "climb": "no", "make_link": "no", "tcp4": "no", "udp6": "no",
    "local": "no", "netlink": "no", "packet": "no", "connect": "no",
    "bind": "no", "listen": "no", "execve": "killed", "ptrace": "killed",
    "fork": "no", "thread": "ok", "signal": "no", "signal_tkill": "no",
    "signal_tgkill": "no", "limit_other": "no", "setuid": "no",
    "chroot": "killed", "mount": "killed", "unshare": "killed",
    "dumpable": "no", "keyctl": "killed", "bpf": "killed", "io_uring": "no",
    "ioctl": "no", "memory": "ok", "write_own": "no", "read_own": "no",
    "raise": "ok", "fcntl_owner": "no", "fcntl_owner_ex": "no",
    "fcntl_signal": "no", "fcntl_signal_wide": "no", "fcntl_lease": "no",
    "fcntl_notify": "no", "fcntl_pipe": "no", "fcntl_flags": "ok",
    "fcntl_dup": "ok", "fcntl_seal": "no", "fcntl_lock": "no",
}
ALLOWED = {
    "front": {"fcntl_seal": "ok"},
    "scan": {"read_own": "ok"},
    "resolve": {"tcp4": "ok", "udp6": "ok", "connect": "ok", "bind": "ok"},
    "store": {"write_own": "ok", "fcntl_seal": "ok", "fcntl_lock": "ok"},
    "log": {"local": "ok", "connect": "ok"},  # syslog
}


def build_probe(folder):
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                          "probe.c")
    library = os.path.join(pwtest.BUILD, "libpostward.a")
    probe = os.path.join(folder, "probe")
    if not shutil.which(os.environ.get("CC", "cc")):
        print("skipped: no C compiler for probe.c")
        return None
    subprocess.run(
        [os.environ.get("CC", "cc"), "-std=gnu17", "-D_GNU_SOURCE", "-O1",
         "-I" + os.path.join(pwtest.SRC, "server"), "-I" + pwtest.SRC,
         "-o", probe, source, library, "-lseccomp", "-lpthread"], check=True)
    return probe


def from_inside(report):
    folder = pwtest.scratch("privileges-probe")
    probe = build_probe(folder)
    if probe is None:
        return
    own, other = os.path.join(folder, "own"), os.path.join(folder, "other")
    for path in (own, other):
        os.mkdir(path)
        os.chmod(path, 0o777)
    with open(os.path.join(other, "probe-file"), "w") as f:
        f.write("x")
    os.chmod(os.path.join(other, "probe-file"), 0o666)
    for role in ALLOWED:
        out = subprocess.run(
            (pwtest.as_user("nobody") if ROOT else []) +
            [probe, role, own if role == "store" else "-",
             other if role == "scan" else "-"], check=True, timeout=60,
            stdout=subprocess.PIPE, text=True).stdout
        got = dict(line.split(" ") for line in out.splitlines())
        want = dict(EVERYWHERE, **ALLOWED[role])
        report.check(set(got) == set(want), role, str(set(got) ^ set(want)))
        for name, expected in sorted(want.items()):
            said = got.get(name, "missing")
            ok = said == expected if expected != "no" else \
                said == "killed" or said.isdigit()
            report.check(ok, "%s in the role %s" % (name, role),
                         "%s, not %s" % (said, expected))


# ---- a running daemon -----------------------------------------------------------------


def status_of(pid):
    with open("/proc/%d/status" % pid) as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f
                    if ":\t" in line)


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return [int(word) for word in f.read().split()]


def processes(pw):
    """{role: [pid]}, with the log's process and master."""
    out = {role: pw.pids(role) for role in ROLES}
    known = {pid for pids in out.values() for pid in pids}
    master = int(open(os.path.join(pw.run, "postwardd.pid")).read())
    out["log"] = [p for p in children(master) if p not in known]
    out["master"] = [master]
    return out


def confinement(report, pw, procs):
    report.check(len(procs["log"]) == 1 and len(procs["scan"]) == 3 and
                 len(procs["front"]) == 1, "processes", str(procs))
    for role in ROLES + ("log",):
        user = "mail" if role == "store" else "nobody"
        who = pwd.getpwnam(user) if ROOT else pwd.getpwuid(os.geteuid())
        for pid in procs[role]:
            s = status_of(pid)
            report.check(s["NoNewPrivs"] == "1", role, "no_new_privs")
            report.check(s["Seccomp"] == "2", role, "seccomp")
            report.check(s["Uid"].split() == [str(who.pw_uid)] * 4, role,
                         "uid " + s["Uid"])
            report.check(s["Gid"].split() == [str(who.pw_gid)] * 4, role,
                         "gid " + s["Gid"])
            if ROOT:
                report.check(set(s["Groups"].split()) <= {str(who.pw_gid)},
                             role, "groups " + s["Groups"])
            report.check(all(int(s[c], 16) == 0 for c in (
                "CapInh", "CapPrm", "CapEff", "CapAmb")), role,
                "capabilities " + s["CapEff"])
            with open("/proc/%d/limits" % pid) as f:
                core = next(l for l in f if l.startswith("Max core"))
            report.check(core.split()[4:6] == ["0", "0"], role, core)


def sockets():
    """{inode: (kind, local address, state)} of the machine."""
    out = {}
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        with open("/proc/net/" + kind) as f:
            for line in f.readlines()[1:]:
                w = line.split()
                out[w[9]] = (kind, w[1], w[3])
    with open("/proc/net/unix") as f:
        for line in f.readlines()[1:]:
            w = line.split()
            out[w[6]] = ("unix", w[7] if len(w) > 7 else "", w[5])
    return out


def descriptors(report, pw, procs):
    """What each process holds open: no more than its work needs."""
    if not ROOT:
        print("skipped: only root sees descriptors of confined processes")
        return
    net = sockets()
    for role, pids in procs.items():
        for pid in pids:
            for fd in os.listdir("/proc/%d/fd" % pid):
                try:
                    target = os.readlink("/proc/%d/fd/%s" % (pid, fd))
                except FileNotFoundError:
                    continue
                judge_descriptor(report, pw, role, int(fd), target, net)


def judge_descriptor(report, pw, role, fd, target, net):
    what = "descriptor %d of %s: %s" % (fd, role, target)
    m = re.match(r"socket:\[(\d+)\]", target)
    if m:
        kind, local, state = net.get(m.group(1), ("other", "", ""))
        if kind.startswith("tcp") and state == "0A":
            report.check(int(local.split(":")[1], 16) == pw.port and
                         role in ("front", "master"), what, local)
        elif kind[:3] in ("tcp", "udp"):
            report.check(role == "resolve" or (
                role == "front" and kind.startswith("tcp")), what, kind)
        elif kind == "unix" and local:
            report.check(local == os.path.join(pw.run, "control.sock") and
                         role in ("store", "master"), what, local)
        else:
            report.check(kind == "unix", what, kind)
    elif target.startswith(("pipe:", "anon_inode:", "/memfd:", "/dev/null")):
        report.check(True, what)
    elif target == os.path.join(pw.state, "lock"):
        report.check(role == "master", what)
    elif target.startswith(pw.state) or target.startswith(pw.mail):
        report.check(role == "store", what)
    elif target == pw.log or target == pw.log + ".file":
        report.check(fd < 3 or role == "log", what)
    elif target == os.path.join(pw.run, "postwardd.pid"):
        report.check(role == "master", what)
    else:
        report.check(fd < 3 or target.startswith("/dev/urandom"), what)


def memory_has(pid, words):
    """The words that stand in the memory of a process."""
    found = set()
    with open("/proc/%d/maps" % pid) as maps, \
            open("/proc/%d/mem" % pid, "rb", 0) as mem:
        for line in maps:
            span, rights = line.split()[:2]
            if not rights.startswith("rw") or "[vvar" in line:
                continue
            start, end = (int(x, 16) for x in span.split("-"))
            if end - start > 256 << 20:
                continue
            try:
                mem.seek(start)
                data = mem.read(end - start)
            except (OSError, ValueError):
                continue
            found |= {name for name, word in words.items() if word in data}
    return found


def secrets(report, pw, procs, key):
    """Private keys are in master's and front's memory, nowhere else."""
    if not ROOT:
        print("skipped: only root sees memory of confined processes")
        return
    with open(key, "rb") as f:
        lines = f.read().splitlines()
    text = subprocess.run(["openssl", "pkey", "-in", key, "-text", "-noout"],
                          check=True, stdout=subprocess.PIPE).stdout.decode()
    scalar = bytes.fromhex(re.sub(r"[^0-9a-f]", "", re.search(
        r"priv:([0-9a-f:\s]+)pub", text).group(1)))[-32:]
    words = {"PEM": lines[1][20:60], "key": scalar, "key, reversed":
             scalar[::-1], "DER": base64.b64decode(b"".join(
                 l for l in lines if b"-" not in l))[-100:-70]}
    for role in ("scan", "resolve", "store", "log"):
        for pid in procs[role]:
            found = memory_has(pid, words)
            report.check(not found, "private key in " + role, str(found))
    for pid in procs["front"]:
        found = memory_has(pid, words) - {"key", "key, reversed", "DER"}
        report.check(not found, "PEM text in front", str(found))


def names_below(folder):
    for path, folders, files in os.walk(folder):
        for name in folders + files:
            yield os.path.join(path, name)


def files(report, pw):
    user = pwd.getpwnam("mail") if ROOT else pwd.getpwuid(os.geteuid())
    for top in (pw.state, pw.mail):
        st = os.stat(top)
        report.check(st.st_uid == user.pw_uid and st.st_mode & 0o027 == 0,
                     top, "%o of %d" % (st.st_mode, st.st_uid))
        for path in names_below(top):
            st = os.lstat(path)
            report.check(st.st_uid == user.pw_uid and
                         st.st_mode & 0o007 == 0 and
                         not st.st_mode & 0o6020 and
                         not stat.S_ISLNK(st.st_mode), path,
                         "%o of %d" % (st.st_mode, st.st_uid))
            if "/new/" in path or "/journal/" in path:
                report.check(st.st_mode & 0o777 == 0o600, path,
                             "%o" % st.st_mode)
    st = os.stat(os.path.join(pw.run, "postwardd.pid"))
    report.check(st.st_uid == os.geteuid() and st.st_mode & 0o022 == 0,
                 "pid file", "%o of %d" % (st.st_mode, st.st_uid))
    st = os.stat(os.path.join(pw.run, "control.sock"))
    report.check(st.st_mode & 0o777 == 0o600 and st.st_uid == user.pw_uid,
                 "control socket", "%o of %d" % (st.st_mode, st.st_uid))


# ---- the control socket --------------------------------------------------------------------

ASK = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
try:
    s.connect(sys.argv[1])
    s.settimeout(5)
    try:
        s.sendall(sys.argv[2].encode() + b"\\n")
    except BrokenPipeError:
        pass  # it hung up, but may have said why
    print(s.recv(65536).decode().strip())
except PermissionError:
    print("EACCES")
except (BrokenPipeError, ConnectionResetError):
    print("closed")
"""


def ask_as(user, pw, request='{"argv":["status"]}'):
    return subprocess.run(
        pwtest.as_user(user) + ["/usr/bin/python3", "-c", ASK,
                                os.path.join(pw.run, "control.sock"),
                                request],
        stdout=subprocess.PIPE, text=True, check=True, timeout=20
    ).stdout.strip()


def control(report, pw, admins):
    """ADMINS: does the configuration name one (daemon)?"""
    if not ROOT:
        print("skipped: only root can ask as other users")
        return
    refused = "EACCES" if not admins else '"exit":77'
    for user in ("nobody", "bin"):
        said = ask_as(user, pw)
        report.check(refused in said and "role.front" not in said,
                     "control socket for " + user, said[:200])
    for user in ["mail"] + (["daemon"] if admins else []):
        said = ask_as(user, pw)
        report.check("role.front" in said, "control socket for " + user,
                     said[:200])
    r = subprocess.run(pwtest.as_user("nobody") + [
        pw.program("postward"), "-c", pw.file, "mailbox", "add",
        "evil@example.test"], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=20)
    report.check(r.returncode == 77 and "evil" not in pw.verb(
        "mailbox", "list"), "postward as nobody", "exit %d: %s" % (
            r.returncode, r.stdout))


def hostile_requests(report, pw):
    """What is no request harms only who sent it."""
    path = os.path.join(pw.run, "control.sock")
    pid = pw.pids("store")
    deep = "[" * 100000
    for request in (b"", b"\n", b"\0\n", b"{}\n", b"[]\n", b'{"argv":[]}\n',
                    b'{"argv":"status"}\n', b'{"argv":[1]}\n',
                    b'{"argv":[null,"status"]}\n', b'{"argv":["no such"]}\n',
                    b'{"argv":["explain","\'; DROP TABLE decision; --"]}\n',
                    b'{"argv":["message","list","\\u0000"]}\n',
                    b'{"argv":["mailbox","add","../../x@example.test"]}\n',
                    b'{"argv":["domain","add","x/../../y"]}\n',
                    b'{"argv":["mailbox","import"],"input":"\\n\\n,,,,\\n"}\n',
                    b"\xff\xfe\n", deep.encode() + b"\n",
                    b'{"argv":[' + b'"x",' * 500 + b'"x"]}\n',
                    b"x" * 3000000 + b"\n"):
        start = time.monotonic()
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(path)
            try:
                s.sendall(request)
                s.shutdown(socket.SHUT_WR)
                got = b""
                while True:
                    part = s.recv(65536)
                    if not part:
                        break
                    got += part
            except (BrokenPipeError, ConnectionResetError):
                got = b""
            ok = not got or json.loads(got)["exit"] != 0
            took = time.monotonic() - start
            report.check(ok and took < 2, "request %r" % request[:50],
                         "%.1f s %s" % (took, got[:200]))
    many = []
    for _ in range(80):
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        many.append(s)
    for s in many:
        s.close()
    pwtest.wait_for(pw.up, 5, say="control socket answers again")
    report.check(pw.pids("store") == pid, "store lives on")
    report.check("example.test" in pw.verb("domain", "list"), "accounts")


def refusals(report):
    """Users that a role must not be."""
    if not ROOT:
        return
    for server, text in (('user-front = "root"; user-store = "mail";', "root"),
                         ('user-front = "mail"; user-store = "mail";',
                          "must not read mail"),
                         ('user-front = "nosuch"; user-store = "mail";',
                          "nosuch")):
        folder = pwtest.scratch("privileges-refused")
        pw = pwtest.Postward(folder, tls=False)
        with open(pw.file) as f:
            conf = f.read()
        with open(pw.file, "w") as f:
            f.write(re.sub(r'user-front = "nobody"; user-store = "mail";',
                           server, conf))
        r = subprocess.run([pw.program("postwardd"), "-f", "-c", pw.file],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, timeout=30)
        report.check(r.returncode == 78 and text in r.stdout, server,
                     "exit %d: %s" % (r.returncode, r.stdout))


def running(report, admins):
    folder = pwtest.scratch("privileges")
    chain = pwtest.certificate(os.path.join(folder, "tls"))
    pw = pwtest.Postward(
        folder, store='journal = "8M";', certificates=[chain],
        dns_more='timeout = "500ms";',
        conf='control: { admins = [ "daemon" ]; };' if admins else "")
    pw.accounts()
    pw.start()
    try:
        if admins:
            control(report, pw, True)
            return
        code, text = rawsmtp.send(pw.port)
        report.check(code == 250, "mail", text)
        with rawsmtp.Client(pw.port) as c:  # a key that was used
            c.cmd("EHLO x.test")
            c.starttls()
            c.cmd("EHLO x.test")
            procs = processes(pw)
            descriptors(report, pw, procs)
        confinement(report, pw, procs)
        secrets(report, pw, procs, chain[1])
        pw.verb("reload")
        pwtest.wait_for(lambda: "draining" not in pw.verb("status"), 10,
                        say="the old generation ended")
        procs = processes(pw)
        confinement(report, pw, procs)
        secrets(report, pw, procs, chain[1])
        files(report, pw)
        control(report, pw, False)
        hostile_requests(report, pw)
    finally:
        report.check(pw.stop() == 0, "stop")


def main():
    report = pwtest.Report("privileges")
    if pwtest.sanitized():
        print("skipped: a build with sanitizers confines nothing")
        return 0
    for step, arguments in ((from_inside, ()), (running, (False,)),
                            (running, (True,)), (refusals, ())):
        start = time.monotonic()
        try:
            step(report, *arguments)
        except (OSError, RuntimeError, KeyError, ValueError,
                subprocess.SubprocessError) as e:
            report.check(False, step.__name__, repr(e))
        print("%s: %.1f s" % (step.__name__, time.monotonic() - start))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
