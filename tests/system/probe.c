/* SPDX-License-Identifier: ISC */
/*
 * Confines itself as a role of Postward does and then tries what an intruder
 * in that role would.  Built and read by test_privileges.py:
 *
 *   probe ROLE WRITABLE READABLE
 *
 * Each attempt is made in a child of its own, which has entered the role's
 * sandbox; a line "ATTEMPT RESULT" is printed for it, where RESULT is "ok", the
 * error's number, or "killed".  WRITABLE and READABLE are the folders that the
 * role's profile names ("-": none).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/sandbox.h"

static const char *writable, *readable;

static int
try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd >= 0)
		(void)close(fd);
	return fd;
}

static int
read_passwd(void)
{
	return try_open("/etc/passwd", O_RDONLY);
}

static int
read_shadow(void)
{
	return try_open("/etc/shadow", O_RDONLY);
}

static int
read_proc(void)
{
	return try_open("/proc/self/environ", O_RDONLY);
}

static int
list_root(void)
{
	return try_open("/", O_RDONLY | O_DIRECTORY);
}

static int
write_tmp(void)
{
	return try_open("/tmp/postward-probe", O_WRONLY | O_CREAT);
}

static int
below(const char *folder, int flags)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/probe-file", folder);
	return try_open(path, flags);
}

static int
write_own(void)
{
	return below(writable, O_WRONLY | O_CREAT);
}

static int
read_own(void)
{
	return below(readable, O_RDONLY);
}

static int
write_readable(void)
{
	return below(readable, O_WRONLY);
}

/* Out of the folder by a name in it. */
static int
climb(void)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/../../../../../etc/passwd",
	    writable);
	return try_open(path, O_RDONLY);
}

static int
make_link(void)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/probe-link", writable);
	if (symlink("/etc/passwd", path) != 0)
		return -1;
	return try_open(path, O_RDONLY);
}

static int
socket_of(int family, int type)
{
	int fd = socket(family, type, 0);

	if (fd >= 0)
		(void)close(fd);
	return fd;
}

static int
tcp4(void)
{
	return socket_of(AF_INET, SOCK_STREAM);
}

static int
udp6(void)
{
	return socket_of(AF_INET6, SOCK_DGRAM);
}

static int
local(void)
{
	return socket_of(AF_UNIX, SOCK_STREAM);
}

static int
netlink(void)
{
	return socket_of(AF_NETLINK, SOCK_RAW);
}

static int
packet(void)
{
	return socket_of(AF_PACKET, SOCK_RAW);
}

/* By a socket that the role was given: to the discard port of loopback. */
static int inherited = -1;

static int
connect_out(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons(9) };

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return connect(inherited, (struct sockaddr *)&in, sizeof(in)) == 0 ||
		errno == ECONNREFUSED ? 0 : -1;
}

static int
bind_port(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return bind(inherited, (struct sockaddr *)&in, sizeof(in));
}

static int
listen_port(void)
{
	return listen(inherited, 1);
}

static int
run_program(void)
{
	char *const argv[] = { (char[]){ "true" }, NULL };

	return execve("/bin/true", argv, NULL);
}

static int
trace(void)
{
	return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static int
new_process(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid;
}

static void *
nothing(void *arg)
{
	return arg;
}

static int
new_thread(void)
{
	pthread_t t;

	errno = pthread_create(&t, NULL, nothing, NULL);
	return errno == 0 ? pthread_join(t, NULL) : -1;
}

static int
signal_parent(void)
{
	return kill(getppid(), 0);
}

static int
signal_tkill(void)
{
	return (int)syscall(SYS_tkill, getppid(), 0);
}

static int
signal_tgkill(void)
{
	return (int)syscall(SYS_tgkill, getppid(), getppid(), 0);
}

/* What abort() and assertions need. */
static int
raise_own(void)
{
	return signal(SIGUSR1, SIG_IGN) == SIG_ERR ? -1 : raise(SIGUSR1);
}

static int
limit_other(void)
{
	struct rlimit rl = { 0, 0 };

	return prlimit(getppid(), RLIMIT_NPROC, NULL, &rl);
}

static int
become_root(void)
{
	return setuid(0);
}

static int
change_root(void)
{
	return chroot("/");
}

static int
mount_tmp(void)
{
	return mount("none", "/mnt", "tmpfs", 0, NULL);
}

static int
new_space(void)
{
	return unshare(0x10000000); /* CLONE_NEWUSER */
}

static int
dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static int
load_keys(void)
{
	return (int)syscall(SYS_keyctl, 0, 0, 0, 0, 0);
}

static int
load_bpf(void)
{
	return (int)syscall(SYS_bpf, 0, NULL, 0);
}

static int
io_ring(void)
{
	return (int)syscall(SYS_io_uring_setup, 1, NULL);
}

static int
terminal(void)
{
	struct winsize {
		unsigned short v[4];
	} w;

	return (int)syscall(SYS_ioctl, 0, 0x5412, &w); /* TIOCSTI */
}

/* A memfd of the role's own, so that only the command can be refused. */
static int
control_file(int cmd, long arg)
{
	int fd = memfd_create("probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int rc = fd < 0 ? -1 : fcntl(fd, cmd, arg);

	return rc;
}

static int
set_owner(void)
{
	return control_file(F_SETOWN, getpid());
}

static int
set_owner_ex(void)
{
	struct f_owner_ex owner = { .type = F_OWNER_PID, .pid = getpid() };

	return control_file(F_SETOWN_EX, (long)&owner);
}

static int
set_signal(void)
{
	return control_file(F_SETSIG, SIGUSR1);
}

/* A command whose upper half the kernel does not look at. */
static int
set_signal_wide(void)
{
	int fd = memfd_create("probe", MFD_CLOEXEC);

	return (int)syscall(SYS_fcntl, fd, 0x100000000L | F_SETSIG, SIGUSR1);
}

static int
set_lease(void)
{
	int fd = memfd_create("probe", MFD_CLOEXEC);

	return (int)syscall(SYS_fcntl, fd, F_SETLEASE, F_UNLCK) == 0 ||
		errno == EAGAIN || errno == EINVAL ? 0 : -1;
}

static int
notify(void)
{
	return control_file(F_NOTIFY, 0) == 0 || errno == ENOTDIR ? 0 : -1;
}

static int
set_pipe(void)
{
	return control_file(F_SETPIPE_SZ, 4096) >= 0 || errno == EBADF ? 0 :
									   -1;
}

static int
set_flags(void)
{
	return control_file(F_SETFL, O_NONBLOCK) != 0 ||
		control_file(F_SETFD, FD_CLOEXEC) != 0 ||
		control_file(F_GETFL, 0) < 0 ? -1 : 0;
}

static int
duplicate(void)
{
	return control_file(F_DUPFD_CLOEXEC, 3);
}

static int
seal(void)
{
	return control_file(F_ADD_SEALS, F_SEAL_SHRINK) != 0 ||
		control_file(F_GET_SEALS, 0) < 0 ? -1 : 0;
}

static int
lock(void)
{
	struct flock l = { .l_type = F_RDLCK };

	return control_file(F_SETLK, (long)&l);
}

static int
memory(void)
{
	void *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -1 : munmap(p, 1 << 20);
}

static const struct {
	const char *name;
	int (*run)(void);
} attempts[] = { { "read_passwd", read_passwd },
	{ "read_shadow", read_shadow }, { "read_proc", read_proc },
	{ "list_root", list_root }, { "write_tmp", write_tmp },
	{ "write_own", write_own }, { "read_own", read_own },
	{ "write_readable", write_readable }, { "climb", climb },
	{ "make_link", make_link }, { "tcp4", tcp4 }, { "udp6", udp6 },
	{ "local", local }, { "netlink", netlink }, { "packet", packet },
	{ "connect", connect_out }, { "bind", bind_port },
	{ "listen", listen_port }, { "execve", run_program },
	{ "ptrace", trace }, { "fork", new_process },
	{ "thread", new_thread }, { "signal", signal_parent },
	{ "signal_tkill", signal_tkill },
	{ "signal_tgkill", signal_tgkill }, { "raise", raise_own },
	{ "limit_other", limit_other }, { "setuid", become_root },
	{ "chroot", change_root }, { "mount", mount_tmp },
	{ "unshare", new_space }, { "dumpable", dumpable },
	{ "keyctl", load_keys }, { "bpf", load_bpf }, { "io_uring", io_ring },
	{ "ioctl", terminal }, { "memory", memory },
	{ "fcntl_owner", set_owner }, { "fcntl_owner_ex", set_owner_ex },
	{ "fcntl_signal", set_signal },
	{ "fcntl_signal_wide", set_signal_wide },
	{ "fcntl_lease", set_lease }, { "fcntl_notify", notify },
	{ "fcntl_pipe", set_pipe }, { "fcntl_flags", set_flags },
	{ "fcntl_dup", duplicate }, { "fcntl_seal", seal },
	{ "fcntl_lock", lock } };

static _Noreturn void
child(const struct pw_sandbox *sb, size_t i, int out)
{
	struct pw_err err = { 0 };
	char said[128];
	int n, rc;

	if (pw_sandbox_enter(sb, &err) != 0) {
		(void)fprintf(stderr, "probe: %s\n", err.text);
		_exit(1);
	}
	errno = 0;
	rc = attempts[i].run();
	n = snprintf(said, sizeof(said), "%d", rc >= 0 ? 0 : errno);
	if (write(out, said, (size_t)n) != n)
		_exit(1);
	_exit(0);
}

static void
attempt(const struct pw_sandbox *sb, size_t i)
{
	char said[128] = "";
	int fds[2], status = 0;
	pid_t pid;
	ssize_t n;

	if (pipe(fds) != 0 || (pid = fork()) < 0)
		exit(1);
	if (pid == 0) {
		(void)close(fds[0]);
		child(sb, i, fds[1]);
	}
	(void)close(fds[1]);
	n = read(fds[0], said, sizeof(said) - 1);
	said[n > 0 ? n : 0] = '\0';
	(void)close(fds[0]);
	if (waitpid(pid, &status, 0) != pid)
		exit(1);
	if (WIFSIGNALED(status))
		printf("%s %s\n", attempts[i].name,
		    WTERMSIG(status) == SIGSYS ? "killed" : "crashed");
	else if (WEXITSTATUS(status) != 0 || said[0] == '\0')
		printf("%s broken\n", attempts[i].name);
	else
		printf("%s %s\n", attempts[i].name,
		    strcmp(said, "0") == 0 ? "ok" : said);
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		enum pw_role_id id;
	} roles[] = { { "front", PW_RID_FRONT }, { "scan", PW_RID_SCAN },
		{ "resolve", PW_RID_RESOLVE }, { "store", PW_RID_STORE },
		{ "log", PW_RID_LOG } };
	struct pw_sandbox sb = { .role = PW_RID_MASTER };

	if (argc != 4)
		return 64;
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (strcmp(argv[1], roles[i].name) == 0)
			sb.role = roles[i].id;
	if (sb.role == PW_RID_MASTER)
		return 64;
	writable = argv[2];
	readable = argv[3];
	sb.rw = &writable;
	sb.nrw = strcmp(writable, "-") != 0;
	sb.ro = &readable;
	sb.nro = strcmp(readable, "-") != 0;
	inherited = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setvbuf(stdout, NULL, _IONBF, 0);
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		attempt(&sb, i);
	return 0;
}
