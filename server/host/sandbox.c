/* SPDX-License-Identifier: ISC */
/*
 * seccomp allow-lists by role.  A call that is not listed fails with EPERM; a
 * call that only an intruder makes ends the process, which master logs and
 * restarts.
 */
#include "host/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "host/landlock.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PW_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PW_SANITIZED 1
#endif
#endif

/* What every role does: its loop, its channels, its memory, its threads. */
static const int calls_all[] = { SCMP_SYS(read), SCMP_SYS(readv),
	SCMP_SYS(pread64), SCMP_SYS(preadv), SCMP_SYS(write), SCMP_SYS(writev),
	SCMP_SYS(pwrite64), SCMP_SYS(pwritev), SCMP_SYS(close),
	SCMP_SYS(close_range), SCMP_SYS(fstat), SCMP_SYS(newfstatat),
	SCMP_SYS(statx), SCMP_SYS(lseek), SCMP_SYS(mmap), SCMP_SYS(munmap),
	SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise), SCMP_SYS(brk),
	SCMP_SYS(futex), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigtimedwait),
	SCMP_SYS(sigaltstack), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2),
	SCMP_SYS(eventfd2), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6),
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres),
	SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday),
	SCMP_SYS(time), SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(gettid),
	SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
	SCMP_SYS(getegid), SCMP_SYS(getrandom), SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity), SCMP_SYS(exit), SCMP_SYS(exit_group),
	SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom),
	SCMP_SYS(sendto), SCMP_SYS(recvmmsg), SCMP_SYS(sendmmsg),
	SCMP_SYS(shutdown), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(dup), SCMP_SYS(dup3), SCMP_SYS(restart_syscall),
	SCMP_SYS(rseq), SCMP_SYS(set_robust_list),
	SCMP_SYS(membarrier), SCMP_SYS(memfd_create), SCMP_SYS(ftruncate),
	SCMP_SYS(getrusage), SCMP_SYS(uname), SCMP_SYS(sysinfo),
	SCMP_SYS(getrlimit), SCMP_SYS(fadvise64), SCMP_SYS(times),
	SCMP_SYS(clock_adjtime) };

static const int calls_front[] = { SCMP_SYS(accept4), SCMP_SYS(accept) };

static const int calls_resolve[] = { SCMP_SYS(connect), SCMP_SYS(bind),
	SCMP_SYS(pipe2) };

/* Character-set modules are loaded when a message asks for them; Landlock
 * leaves only their folder. */
static const int calls_scan[] = { SCMP_SYS(openat), SCMP_SYS(open),
	SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
	SCMP_SYS(readlink), SCMP_SYS(stat), SCMP_SYS(lstat) };

static const int calls_store[] = { SCMP_SYS(open), SCMP_SYS(openat),
	SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rename),
	SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(mkdir),
	SCMP_SYS(mkdirat), SCMP_SYS(rmdir), SCMP_SYS(link), SCMP_SYS(linkat),
	SCMP_SYS(getdents64), SCMP_SYS(fsync), SCMP_SYS(fdatasync),
	SCMP_SYS(syncfs), SCMP_SYS(sync_file_range), SCMP_SYS(fallocate),
	SCMP_SYS(truncate), SCMP_SYS(fchmod), SCMP_SYS(chmod),
	SCMP_SYS(fchmodat), SCMP_SYS(fchown), SCMP_SYS(fchownat),
	SCMP_SYS(chown), SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(stat),
	SCMP_SYS(lstat), SCMP_SYS(access), SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
	SCMP_SYS(utimensat), SCMP_SYS(flock), SCMP_SYS(inotify_init1),
	SCMP_SYS(inotify_add_watch), SCMP_SYS(inotify_rm_watch),
	SCMP_SYS(accept4), SCMP_SYS(accept), SCMP_SYS(umask), SCMP_SYS(getcwd),
	SCMP_SYS(copy_file_range), SCMP_SYS(sendfile) };

static const int fcntl_all[] = { F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD,
	F_GETFL, F_SETFL };
/* Messages and snapshots are handed over sealed. */
static const int fcntl_seals[] = { F_ADD_SEALS, F_GET_SEALS };
static const int fcntl_locks[] = { F_GETLK, F_SETLK, F_SETLKW };

/* Nothing of ours makes these: whoever does is not us. */
static const int calls_deadly[] = { SCMP_SYS(execve), SCMP_SYS(execveat),
	SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev), SCMP_SYS(bpf), SCMP_SYS(init_module),
	SCMP_SYS(finit_module), SCMP_SYS(kexec_load), SCMP_SYS(mount),
	SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot),
	SCMP_SYS(setns), SCMP_SYS(unshare), SCMP_SYS(keyctl),
	SCMP_SYS(add_key), SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd) };

static int
add_calls(scmp_filter_ctx f, uint32_t action, const int *calls, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int rc = seccomp_rule_add(f, action, calls[i], 0);

		/* -EDOM and -EACCES: not on this architecture, or it is the
		 * default already. */
		if (rc != 0 && rc != -EDOM && rc != -EACCES && rc != -EINVAL)
			return rc;
	}
	return 0;
}

/* Threads, but no processes; clone3 hides its flags behind a pointer, and the
 * C library falls back to clone when it is told that there is none. */
static int
add_threads(scmp_filter_ctx f)
{
	int rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
	    SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));

	if (rc == 0)
		rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS),
		    SCMP_SYS(clone3), 0);
	if (rc == 0) /* names of threads and the like; nothing that gains */
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
		    SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0));
	return rc;
}

/*
 * fcntl by command: what ours and the libraries use, and nothing that makes the
 * kernel send signals to others (F_SETOWN, F_SETSIG, F_NOTIFY) or holds up
 * their files (F_SETLEASE).  The kernel looks at 32 bits of the command.
 */
static int
add_fcntl(scmp_filter_ctx f, const int *cmds, size_t n)
{
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
		    SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu,
			(scmp_datum_t)cmds[i]));
	return rc;
}

/* Calls that could reach other processes of the same user: on this one only. */
static int
add_self(scmp_filter_ctx f)
{
	int rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
	    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));

	if (rc == 0)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64),
		    1, SCMP_A0(SCMP_CMP_EQ, 0, 0));
	return rc;
}

/* syslog(3) connects again after its daemon was restarted. */
static int
add_syslog(scmp_filter_ctx f)
{
	int rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
	    SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));

	if (rc == 0)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(connect), 0);
	return rc;
}

static int
add_sockets(scmp_filter_ctx f)
{
	static const int family[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < PW_COUNT(family); i++) {
		int rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket),
		    1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family[i], 0));

		if (rc != 0)
			return rc;
	}
	/* FIONBIO only: other requests have no business here. */
	return seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
	    SCMP_A1(SCMP_CMP_EQ, 0x5421, 0));
}

static int
add_role(scmp_filter_ctx f, enum pw_role_id role)
{
	int rc = 0;

	switch (role) {
	case PW_RID_FRONT:
		rc = add_fcntl(f, fcntl_seals, PW_COUNT(fcntl_seals));
		if (rc == 0)
			rc = add_calls(f, SCMP_ACT_ALLOW, calls_front,
			    PW_COUNT(calls_front));
		return rc;
	case PW_RID_RESOLVE:
		rc = add_sockets(f);
		if (rc == 0)
			rc = add_calls(f, SCMP_ACT_ALLOW, calls_resolve,
			    PW_COUNT(calls_resolve));
		return rc;
	case PW_RID_SCAN:
		return add_calls(f, SCMP_ACT_ALLOW, calls_scan,
		    PW_COUNT(calls_scan));
	case PW_RID_STORE:
		rc = add_fcntl(f, fcntl_seals, PW_COUNT(fcntl_seals));
		if (rc == 0)
			rc = add_fcntl(f, fcntl_locks, PW_COUNT(fcntl_locks));
		if (rc == 0)
			rc = add_calls(f, SCMP_ACT_ALLOW, calls_store,
			    PW_COUNT(calls_store));
		return rc;
	case PW_RID_LOG:
		return add_syslog(f);
	default:
		return rc;
	}
}

static int
load_filter(enum pw_role_id role, struct pw_err *err)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc;

	if (f == NULL)
		return pw_err_set(err, ENOMEM, "sandbox: seccomp_init");
	rc = add_calls(f, SCMP_ACT_KILL_PROCESS, calls_deadly,
	    PW_COUNT(calls_deadly));
	if (rc == 0)
		rc = add_calls(f, SCMP_ACT_ALLOW, calls_all,
		    PW_COUNT(calls_all));
	if (rc == 0)
		rc = add_threads(f);
	if (rc == 0)
		rc = add_self(f);
	if (rc == 0)
		rc = add_fcntl(f, fcntl_all, PW_COUNT(fcntl_all));
	if (rc == 0)
		rc = add_role(f, role);
	if (rc == 0)
		rc = seccomp_load(f);
	seccomp_release(f);
	if (rc != 0)
		return pw_err_set(err, -rc,
		    "sandbox: seccomp filter not loaded (error %d)", -rc);
	return 0;
}

bool
pw_sandbox_available(void)
{
#ifdef PW_SANITIZED
	return false;
#else
	return true;
#endif
}

int
pw_sandbox_enter(const struct pw_sandbox *sb, struct pw_err *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return pw_err_sys(err, "sandbox: no_new_privs");
	if (!pw_sandbox_available()) {
		pw_logf(PW_LOG_NOTICE, "sandbox.off",
		    "this build has a sanitizer: the role is not confined");
		return 0;
	}
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return pw_err_sys(err, "sandbox: dumpable");
	if (pw_landlock_enter(sb, err) != 0)
		return -1;
	return load_filter(sb->role, err);
}
