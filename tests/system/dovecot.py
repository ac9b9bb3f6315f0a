# SPDX-License-Identifier: ISC
"""A real Dovecot on the shipped configuration (storage/dovecot/), serving the
mailboxes of a pwtest.Postward by IMAP and POP3 on 127.0.0.1."""
import grp
import os
import pwd
import signal
import subprocess

import pwtest

CONF = os.path.join(pwtest.SRC, "storage", "dovecot")
PROGRAM = "/usr/sbin/dovecot"


class Dovecot:
    def __init__(self, folder, pw, imap=None, pop3=None):
        """PW's accounts and mail, as the user that owns the mail."""
        root = os.geteuid() == 0
        self.folder = os.path.abspath(folder)
        self.imap = imap or pwtest.free_port()
        self.pop3 = pop3 or pwtest.free_port()
        self.process = None
        self.detached = False  # outlives the terminal that started it
        owner = pwd.getpwnam(pw.store_user) if root else \
            pwd.getpwuid(os.geteuid())
        me = pwd.getpwuid(os.geteuid()).pw_name
        group = grp.getgrgid(os.getegid()).gr_name
        os.makedirs(self.folder, exist_ok=True)
        os.chmod(self.folder, 0o755)
        self.conf = os.path.join(self.folder, "dovecot.conf")
        sql = os.path.join(self.folder, "sql.conf")
        words = {
            "RUN_DIR": os.path.join(self.folder, "run"),
            "STATE_DIR": pw.state, "MAIL_ROOT": pw.mail,
            "LOG": os.path.join(self.folder, "dovecot.log"),
            "ADDRESS": "127.0.0.1", "IMAP_PORT": str(self.imap),
            "POP3_PORT": str(self.pop3), "MAIL_UID": str(owner.pw_uid),
            "MAIL_GID": str(owner.pw_gid),
            "MAIL_GROUP": grp.getgrgid(owner.pw_gid).gr_name,
            "INTERNAL_USER": "dovecot" if root else me,
            "INTERNAL_GROUP": "dovecot" if root else group,
            "LOGIN_USER": "dovenull" if root else me, "SQL_CONF": sql,
            "UNPRIVILEGED": "" if root else
                os.path.join(CONF, "unprivileged.conf"),
        }
        os.makedirs(words["RUN_DIR"], exist_ok=True)
        for source, target in (("dovecot.conf.in", self.conf),
                               ("dovecot-sql.conf.ext.in", sql)):
            with open(os.path.join(CONF, source)) as f:
                text = f.read()
            for key, value in words.items():
                text = text.replace("@%s@" % key, value)
            with open(target, "w") as f:
                f.write(text.replace("!include_try \n", ""))

    def start(self):
        self.process = subprocess.Popen([PROGRAM, "-F", "-c", self.conf],
                                        stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL,
                                        start_new_session=self.detached)
        with open(os.path.join(self.folder, "pid"), "w") as f:
            f.write(str(self.process.pid))
        pwtest.wait_for(lambda: pwtest.listens(self.imap) and
                        pwtest.listens(self.pop3), 20, say="dovecot ready")
        return self

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.process = None
        os.remove(os.path.join(self.folder, "pid"))


def stop_folder(folder):
    """Ends a Dovecot that an earlier process started in FOLDER."""
    path = os.path.join(folder, "pid")
    try:
        with open(path) as f:
            pid = int(f.read())
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            if b"dovecot" not in f.read():
                return
    except (OSError, ValueError):
        return
    os.kill(pid, signal.SIGTERM)

    def gone():
        try:
            with open("/proc/%d/stat" % pid) as f:
                return f.read().split(") ")[1][0] == "Z"
        except OSError:
            return True
    pwtest.wait_for(gone, 20, say="dovecot ended")
    os.remove(path)
