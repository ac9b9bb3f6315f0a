/* SPDX-License-Identifier: ISC */
/*
 * Master: holds the configuration, the keys and the listening sockets, starts
 * the roles with dropped rights, connects them with each other, restarts what
 * dies, and changes generations.  It never reads a byte from the network.
 * One thread.
 */
#ifndef PW_MAIN_MASTER_H
#define PW_MAIN_MASTER_H

#include <sys/types.h>

#include "config/config.h"
#include "host/folders.h"
#include "host/role.h"
#include "base/valid.h"
#include "net/ipc.h"
#include "net/loop.h"
#include "smtp/front.h"

#define PW_MAX_PROCS 256
#define PW_MAX_LISTEN 64

struct pw_master;

/* A role's process, as master sees it. */
struct pw_proc {
	struct pw_master *m;
	enum pw_role_id id;
	unsigned number;     /* within its kind and generation */
	unsigned generation; /* 0: common to all (store, resolve, log) */
	unsigned lanes;      /* channels that each peer gets to it */
	pid_t pid;
	struct pw_ipc *ipc;
	bool ready;
	bool draining;       /* a front that ends with its last session */
	bool stopping;       /* told to stop: its end is no failure */
	unsigned fails;      /* starts in a row that ended within 5 s */
	uint64_t started_ms;
	struct pw_timer timer; /* for starting it again */
	int limits_fd;       /* front: its segment of the session counts */
	char failed[256];    /* what it said of a failed set-up */
};

struct pw_listen_socket {
	int fd;          /* of this generation; others may have duplicates */
	size_t listener; /* place in cfg->listener */
	struct pw_ip ip;
	uint16_t port;
	bool given;      /* opened by the service manager */
};

/* One generation's configuration, keys and listening sockets; freed when the
 * next one serves, or when it has failed. */
struct pw_generation {
	struct pw_config *cfg;
	struct pw_pem *pem;
	size_t npem;
	struct pw_listen_socket listen[PW_MAX_LISTEN];
	size_t nlisten;
	unsigned number;
};

/* A channel to be made again, unless one of its ends was started again. */
struct pw_mend {
	pid_t a, b;
	unsigned lane;
};

struct pw_master {
	struct pw_loop *loop;
	const char *config_file;
	bool foreground;
	struct pw_generation gen[2]; /* [0] serves, [1] is starting */
	int control_fd;
	int log_pipe[2];
	int signal_fd;
	struct pw_io signal_io;
	struct pw_defer reap; /* after the frames of this round */
	struct pw_proc *proc[PW_MAX_PROCS];
	size_t nproc;
	bool stopping;
	bool started;      /* the first generation serves */
	int *ready_fd;     /* who waits to hear that */
	int exit_code;
	uint64_t reload_id;           /* of the admin who waits, 0: a signal */
	bool reloading;
	struct pw_timer reload_timer; /* a new generation's bounded time */
	struct pw_timer stop_timer;
	struct pw_mend *mend;
	size_t nmend, mend_cap;
	struct pw_timer mend_timer;
	char boot_id[64];
	pid_t log_pid;
	const char *log_path; /* NULL: no file */
	int log_ctl;          /* descriptors of a file opened anew go here */
	struct status_query *status;  /* STATUS_ALL being answered */
	struct pw_timer status_timer;
	uint64_t status_next;
};

/* server/main/master.c: runs until told to stop; an exit code.  Once the first
 * generation serves, an octet 0 is written to *READY_FD, if it is none below 0,
 * and that is closed and made -1. */
int pw_master_run(const char *config_file, struct pw_config *cfg,
    bool foreground, int *ready_fd);
void pw_master_stop(struct pw_master *m, int exit_code);

/* spawn.c */
struct pw_proc *pw_spawn(struct pw_master *m, struct pw_generation *g,
    enum pw_role_id id, unsigned number);
void pw_spawn_reaped(struct pw_master *m, pid_t pid, int status);
void pw_proc_forget(struct pw_proc *p);
struct pw_generation *pw_generation_of(struct pw_master *m,
    const struct pw_proc *p);

/* In a child: closes all descriptors from 3 on that KEEP lacks; sorts KEEP. */
void pw_close_others(int *keep, size_t nkeep);

/* switchboard.c: channels between roles that are ready. */
void pw_connect_all(struct pw_proc *p);
/* P lost a channel; FRAME says which. */
void pw_connect_lost(struct pw_proc *p, struct pw_frame *frame);
/* The store gets to know the scan processes of the generation that serves. */
void pw_connect_store(struct pw_master *m);

/* generation.c */
int pw_generation_load(struct pw_master *m, struct pw_generation *g,
    struct pw_strbuf *report);
void pw_generation_free(struct pw_generation *g);
/* Starts what the generation still lacks; called at each READY. */
void pw_generation_advance(struct pw_master *m);
void pw_reload(struct pw_master *m, uint64_t admin_id);
/* A process of the starting generation failed. */
void pw_reload_failed(struct pw_master *m, const char *why);

/*
 * sockets.c.  Opens what G listens on; what OLD (may be NULL) has open already
 * is shared.  Without OLD a port that is taken is waited for, 2 s at most; with
 * it nothing waits.  What was opened stays with G when it fails.
 */
int pw_sockets_open(struct pw_generation *g, const struct pw_generation *old,
    struct pw_err *err);
/* Closes G's; what KEEP does not have (NULL: shares them all) stops listening,
 * also for processes that still hold it. */
void pw_sockets_close(struct pw_generation *g,
    const struct pw_generation *keep);
/* New clients are refused from now on, so that they try another MX at once. */
void pw_sockets_shut(struct pw_master *m);
int pw_control_open(const struct pw_config *cfg, struct pw_err *err);

/* lock.c: run and state folder are ours alone until this process ends; -1 with
 * EBUSY: another daemon has one of them.  At most a second. */
int pw_lock_take(const struct pw_config *cfg, struct pw_err *err);

/* status.c */
void pw_status_all(struct pw_master *m, uint64_t admin_id);
void pw_status_answer(struct pw_proc *p, struct pw_frame *f);

/* logger.c: the child that writes the log; a file is opened here, by master,
 * and again at pw_logger_reopen(). */
int pw_logger_start(struct pw_master *m, const struct pw_config *cfg,
    bool foreground, struct pw_err *err);
void pw_logger_reopen(struct pw_master *m);

/* notify.c: systemd's protocols (sd_notify(3), sd_listen_fds(3)). */
void pw_notify(const char *state);
int pw_notify_listen_fd(const char *address, uint16_t port);

#endif
