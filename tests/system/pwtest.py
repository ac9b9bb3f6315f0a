# SPDX-License-Identifier: ISC
"""What system tests and the demo share: a Postward with its own folder, a name
server, a Dovecot, and the small things that wait for them.

Everything listens on 127.0.0.1, lives below one folder, and is ended by the
process id that was started here."""
import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

SRC = os.environ.get("POSTWARD_SRC") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("POSTWARD_BUILD") or os.path.join(SRC, "build")
DATA = os.environ.get("POSTWARD_DATA") or os.path.join(SRC, "..", "shared", "data")


def free_port():
    """A port that is free for TCP and UDP, and that the system gives to no
    client of a test that runs beside this one."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        low, high = (int(n) for n in f.read().split())
    ports = range(10000, low) if low > 12000 else range(high + 1, 65536)
    for _ in range(1000):
        port = random.SystemRandom().choice(ports or range(10000, 65536))
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as s:
                    s.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port
    raise RuntimeError("no free port")


def wait_for(what, seconds, step=0.05, say="condition"):
    """Until WHAT() is true; its value. RuntimeError after SECONDS."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise RuntimeError("%s not met in %s s" % (say, seconds))
        time.sleep(step)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def certificate(folder, names=("mx.example.test",), kind="ec", days=30):
    """A throw-away certificate; (chain, key)."""
    os.makedirs(folder, exist_ok=True)
    chain = os.path.join(folder, "%s-%s.pem" % (names[0], kind))
    key = chain.replace(".pem", ".key")
    algorithm = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] \
        if kind == "ec" else ["-newkey", "rsa:2048"]
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-days", str(days), *algorithm,
         "-keyout", key, "-out", chain, "-subj", "/CN=" + names[0], "-addext",
         "subjectAltName=" + ",".join("DNS:" + n for n in names)],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.chmod(key, 0o600)
    return chain, key


class Dnsd:
    """An authoritative server with the zones of a table (see zones.py)."""

    def __init__(self, folder, table):
        sys.path.insert(0, os.path.dirname(__file__))
        import zones
        self.folder = folder
        self.port = free_port()
        os.makedirs(folder, exist_ok=True)
        zones.write(folder, table)
        self.script = os.path.join(os.path.dirname(__file__), "dnsd.sh")
        subprocess.run([self.script, "start", folder, str(self.port)],
                       check=True)

    def stop(self):
        subprocess.run([self.script, "stop", self.folder], check=True)


def is_running(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False


def ended(pids):
    """Waits until none of them runs any more."""
    wait_for(lambda: not any(is_running(p) for p in pids), 30,
             say="end of all roles")


class Postward:
    """One daemon below FOLDER.  CONF is text added to the configuration;
    sections given there must not repeat those made here.  MORE_LISTENERS is
    ", { ... }" for each further one; CERTIFICATES are (chain, key) pairs in
    place of the one that is made here; OWNER, for root, is the user as whom
    daemon and folder are, by way of setpriv; DISK is where state and mail lie
    instead."""

    def __init__(self, folder, dns=None, conf="", listener="", tls=True,
                 domain="example.test", users=("alice", "bob", "postmaster"),
                 server="", smtp="", store="", dns_more="", policy="",
                 port=None, build=None, prefix=(), more_listeners="",
                 certificates=None, owner=None, disk=None):
        self.folder = os.path.abspath(folder)
        self.build = build or BUILD
        self.port = port or free_port()
        disk = os.path.abspath(disk or self.folder)
        self.state = os.path.join(disk, "state")
        self.mail = os.path.join(disk, "mail")
        self.run = os.path.join(self.folder, "run")
        self.file = os.path.join(self.folder, "postward.conf")
        self.log = os.path.join(self.folder, "postwardd.log")
        self.domain, self.users = domain, users
        self.prefix = list(prefix)
        self.process = None
        self.detached = False  # outlives the terminal that started it
        os.makedirs(self.folder, exist_ok=True)
        cert = ""
        if tls and certificates is None:
            certificates = [certificate(os.path.join(self.folder, "tls"),
                                        ("mx." + domain,))]
        if tls:
            cert = "certificate: ( %s );\n" % ", ".join(
                '{ chain = "%s"; key = "%s"; }' % pair
                for pair in certificates)
        servers = '"127.0.0.1@%d"' % dns.port if dns else '"127.0.0.1@9"'
        self.store_user = "mail"  # when it runs as root
        users_conf = 'user-front = "nobody"; user-store = "mail";' \
            if os.geteuid() == 0 else ""
        with open(self.file, "w") as f:
            f.write('''# Made by a test.
server: { hostname = "mx.%s"; state-dir = "%s"; run-dir = "%s"; %s %s };
listener: ( { name = "mx"; address = "127.0.0.1"; port = %d; tls = %s; %s } %s );
%sdns: { servers = [ %s ]; trust-anchor = ""; allow-loopback = true; %s };
store: { mail-root = "%s"; %s };
smtp: { %s };
policy: { %s };
log: { target = "stderr"; };
%s''' % (domain, self.state, self.run, users_conf, server, self.port,
         "true" if tls else "false", listener, more_listeners, cert, servers,
         dns_more, self.mail, store, smtp, policy, conf))
        if os.geteuid() == 0:
            os.chmod(self.folder, 0o755)
        if owner is not None:
            self.prefix = as_user(owner)
            subprocess.run(["chown", "-R", owner, self.folder], check=True)

    def program(self, name):
        return os.path.join(self.build, name)

    def verb(self, *words, check=True, input=None, json_out=False):
        """Runs `postward WORDS`; its output (parsed with json_out)."""
        cmd = [self.program("postward"), "-c", self.file]
        if json_out:
            cmd.append("--json")
        drained = len(self.logged("front.drain")) \
            if words == ("reload",) and os.path.exists(self.log) else None
        r = subprocess.run(cmd + list(words), input=input, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           timeout=130)
        if drained is not None and r.returncode == 0:
            # The old front takes sessions until it hears of it.
            end = time.monotonic() + 2
            while len(self.logged("front.drain")) <= drained and \
                    time.monotonic() < end:
                time.sleep(0.01)
        if check and r.returncode != 0:
            raise RuntimeError("postward %s: exit %d: %s%s" % (
                " ".join(words), r.returncode, r.stdout, r.stderr))
        return json.loads(r.stdout) if json_out else r.stdout + (
            "" if check else r.stderr)

    def accounts(self, password=None):
        """The domain and its mailboxes (before or after the start)."""
        self.verb("domain", "add", self.domain, check=False)
        there = self.verb("mailbox", "list")
        for u in self.users:
            if "%s@%s " % (u, self.domain) in there:
                continue
            words = ["mailbox", "add", "%s@%s" % (u, self.domain)]
            if password:
                self.verb(*words, "--password", input=password + "\n")
            else:
                self.verb(*words)

    def launch(self):
        """Starts the daemon and does not wait for it."""
        self.logfile = open(self.log, "ab")
        self.process = subprocess.Popen(
            self.prefix + [self.program("postwardd"), "-f", "-c", self.file],
            stdout=self.logfile, stderr=self.logfile,
            stdin=subprocess.DEVNULL, start_new_session=self.detached)

    def start(self, wait=30):
        self.launch()

        def ready():
            if self.process.poll() is not None:
                raise RuntimeError("postwardd ended with %d: %s" % (
                    self.process.returncode, self.tail()))
            return self.up()
        wait_for(ready, wait, say="postwardd ready")
        return self

    def up(self):
        r = subprocess.run([self.program("postward"), "-c", self.file,
                            "status"], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True)
        return r.returncode == 0 and "role.front" in r.stdout and \
            any(l.startswith("role.front.") and " ready " in l
                for l in r.stdout.splitlines())

    def status(self):
        """`postward status` as a dictionary."""
        out = {}
        for line in self.verb("status").splitlines():
            key, _, value = line.partition(" ")
            out[key] = value
        return out

    def pids(self, role):
        """Process ids of a role ("front", "scan", "store", "resolve")."""
        return [int(v.rsplit("pid=", 1)[1]) for k, v in self.status().items()
                if k.startswith("role.%s." % role) and "pid=" in v]

    def explained(self, ident):
        """The decision record of a transaction, or None."""
        try:
            return self.verb("explain", ident, json_out=True)
        except RuntimeError:
            return None

    def logged(self, *words):
        """Lines of the log in which all WORDS occur."""
        with open(self.log, errors="replace") as f:
            return [l for l in f if all(w in l for w in words)]

    def processes(self):
        """{name: [process id]} of the roles that run now ("front", "scan-0",
        ...), whatever state they are in."""
        out = {}
        try:
            with open("/proc/%d/task/%d/children" % (
                    self.process.pid, self.process.pid)) as f:
                pids = f.read().split()
        except OSError:
            pids = []
        for pid in pids:
            try:
                with open("/proc/%s/comm" % pid) as f:
                    out.setdefault(f.read().strip(), []).append(int(pid))
            except OSError:
                pass
        return out

    def kill_all(self):
        """kill -9 of every process at once; their ids, for ended()."""
        if self.process is None:
            return []
        pids = [p for l in self.processes().values() for p in l]
        self.process.kill()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.process = None
        self.logfile.close()
        return pids

    def idle(self):
        """Nothing is under way: all that was taken is durable in file and
        rows, and the journal is free again."""
        try:
            s = self.status()
        except RuntimeError:
            return False
        return all(s.get("store." + k, "0") == "0" for k in (
            "store.waiting", "journal.segments_used", "journal.segments_dead",
            "writer.queued")) and "store.writer.queued" in s

    def wait_idle(self, seconds=60):
        wait_for(self.idle, seconds, 0.05, "an idle store")

    def stop(self, how=signal.SIGTERM, wait=60):
        if self.process is None:
            return None
        self.process.send_signal(how)
        code = self.process.wait(wait)
        self.process = None
        self.logfile.close()
        return code

    def tail(self, lines=20):
        with open(self.log, errors="replace") as f:
            return "".join(f.readlines()[-lines:])

    def maildir(self, user, folder=""):
        """Files of a mailbox: {path: bytes}."""
        root = os.path.join(self.mail, self.domain, user)
        if folder:
            root = os.path.join(root, "." + folder)
        out = {}
        for sub in ("new", "cur"):
            d = os.path.join(root, sub)
            for name in sorted(os.listdir(d)) if os.path.isdir(d) else []:
                path = os.path.join(d, name)
                try:
                    with open(path, "rb") as f:
                        out[path] = f.read()
                except FileNotFoundError:
                    pass
        return out


class Report:
    """Counts and prints the checks of one test program."""

    def __init__(self, name):
        self.name, self.passed, self.failed = name, 0, 0

    def check(self, ok, what, detail=""):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            print("FAIL %s: %s %s" % (self.name, what, detail), flush=True)
        return ok

    def end(self):
        print("%s: %d passed, %d failed" % (self.name, self.passed,
                                            self.failed), flush=True)
        return 0 if self.failed == 0 and self.passed > 0 else 1


def as_user(user):
    """Words before a command that make it run as USER, without groups."""
    who = pwd.getpwnam(user)
    return ["setpriv", "--reuid=%d" % who.pw_uid, "--regid=%d" % who.pw_gid,
            "--clear-groups"]


def reachable(path):
    """Can users without rights enter PATH?"""
    while path != "/":
        if os.path.exists(path) and not os.stat(path).st_mode & 0o001:
            return False
        path = os.path.dirname(path)
    return True


def sanitized():
    """Is this a build with sanitizers, which confines nothing?"""
    r = subprocess.run([os.path.join(BUILD, "postwardd"), "--version"],
                       stdout=subprocess.PIPE, text=True)
    return "sanitizer" in r.stdout


def scratch(name):
    """An empty folder for a test; for root, where the roles may go."""
    base = os.environ.get("POSTWARD_TMP") or os.path.join(BUILD, "test-tmp")
    if os.geteuid() == 0 and not reachable(os.path.abspath(base)):
        base = "/var/tmp/postward-test-%d" % os.getpid()
    path = os.path.join(base, name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path
