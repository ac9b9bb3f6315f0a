/* SPDX-License-Identifier: ISC */
/*
 * postward: the admin's program.  Sends the verb to the control socket; when
 * the daemon is not running, runs it here on the same files.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include "base/pool.h"
#include "ctl/dmarc_report.h"
#include "ctl/replay.h"
#include "ctl/verb.h"
#include "host/checks.h"
#include "host/folders.h"

#define INPUT_MAX (8u << 20)
#define ANSWER_MAX (256u << 20)
#define ANSWER_MS 120000
#define PASSWORD_MAX 512

struct request {
	const char **word;
	size_t nword;
	bool json;
	struct pw_strbuf input;
};

/* ---- what is read here and not by the daemon ---------------------------------------- */

static int
read_all(const char *path, struct pw_strbuf *out)
{
	bool std = strcmp(path, "-") == 0;
	int fd = std ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;

	if (fd < 0) {
		(void)fprintf(stderr, "postward: %s: %s\n", path,
		    strerror(errno));
		return -1;
	}
	for (;;) {
		char *p = pw_strbuf_reserve(out, 65536);

		if (p == NULL) {
			(void)fprintf(stderr,
			    "postward: %s is larger than 8 MiB; split it\n",
			    path);
			n = -1;
			break;
		}
		n = read(fd, p, 65536);
		if (n <= 0)
			break;
		out->len += (size_t)n;
	}
	if (!std)
		(void)close(fd);
	return n < 0 ? -1 : 0;
}

/* A line without echo from the terminal, or the first line of a pipe. */
static int
read_password(char out[PASSWORD_MAX])
{
	struct termios old, quiet;
	bool tty = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &old) == 0;
	char *got;

	if (tty) {
		(void)fputs("Password: ", stderr);
		quiet = old;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	}
	got = fgets(out, PASSWORD_MAX, stdin);
	if (tty) {
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
		(void)fputc('\n', stderr);
	}
	if (got == NULL)
		return -1;
	out[strcspn(out, "\r\n")] = '\0';
	return out[0] != '\0' ? 0 : -1;
}

static bool
verb_is(const struct request *rq, const char *a, const char *b)
{
	return rq->nword >= 2 && strcmp(rq->word[0], a) == 0 &&
	    strcmp(rq->word[1], b) == 0;
}

/* Entries of the lists bear the name of who made them: as the user says, else
 * who became root, else who runs this. */
static void
name_author(struct request *rq)
{
	static char word[120];
	const char *name = getenv("SUDO_USER");
	const struct passwd *pw;

	for (size_t i = 2; i < rq->nword; i++)
		if (strncmp(rq->word[i], "--author", 8) == 0)
			return;
	if (name == NULL || name[0] == '\0')
		name = (pw = getpwuid(getuid())) != NULL ? pw->pw_name : "";
	(void)snprintf(word, sizeof(word), "--author=%.100s", name);
	rq->word[rq->nword++] = word;
}

/* Files and passwords become part of the request. */
static int
complete(struct request *rq)
{
	static char password[PASSWORD_MAX];
	bool ask = verb_is(rq, "mailbox", "passwd") && rq->nword == 3;

	if (verb_is(rq, "allow", "add") || verb_is(rq, "block", "add"))
		name_author(rq);
	if (verb_is(rq, "mailbox", "import")) {
		if (rq->nword != 3) {
			(void)fputs(
			    "postward: mailbox import takes one FILE\n",
			    stderr);
			return -1;
		}
		rq->nword = 2;
		return read_all(rq->word[2], &rq->input);
	}
	for (size_t i = 0; verb_is(rq, "mailbox", "add") && i < rq->nword; i++)
		if (strcmp(rq->word[i], "--password") == 0) {
			memmove(&rq->word[i], &rq->word[i + 1],
			    (rq->nword - i - 1) * sizeof(rq->word[0]));
			rq->nword--;
			ask = true;
		}
	if (!ask)
		return 0;
	if (read_password(password) != 0) {
		(void)fputs("postward: no password was given\n", stderr);
		return -1;
	}
	rq->word[rq->nword++] = password;
	return 0;
}

/* ---- by the control socket ------------------------------------------------------------ */

static int
connect_daemon(const struct pw_config *cfg)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd, n;

	n = snprintf(un.sun_path, sizeof(un.sun_path), "%s/control.sock",
	    cfg->server.run_dir);
	if (n < 0 || (size_t)n >= sizeof(un.sun_path))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&un, sizeof(un)) != 0) {
		int e = errno;

		(void)close(fd);
		if (e == EACCES || e == EPERM) {
			(void)fprintf(stderr,
			    "postward: you may not use %s; ask as root, or "
			    "have your user added to control.admins\n",
			    un.sun_path);
			exit(EX_NOPERM);
		}
		return -1;
	}
	return fd;
}

static int
send_request(int fd, const struct request *rq)
{
	json_t *argv = json_array(), *o;
	char *line;
	size_t n;
	int rc = 0;

	for (size_t i = 0; i < rq->nword; i++)
		if (json_array_append_new(argv, json_string(rq->word[i])) != 0) {
			(void)fputs("postward: a word is not UTF-8\n", stderr);
			json_decref(argv);
			return -1;
		}
	o = json_pack("{s:o,s:b}", "argv", argv, "json", rq->json);
	if (rq->input.len > 0 &&
	    json_object_set_new(o, "input",
		json_stringn(rq->input.ptr, rq->input.len)) != 0) {
		(void)fputs("postward: the file is not UTF-8\n", stderr);
		json_decref(o);
		return -1;
	}
	line = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	n = line != NULL ? strlen(line) : 0;
	if (n > 0)
		line[n++] = '\n'; /* in place of the NUL */
	for (size_t at = 0; at < n && rc == 0;) {
		ssize_t w = send(fd, line + at, n - at, MSG_NOSIGNAL);

		if (w < 0 && (errno == EPIPE || errno == ECONNRESET))
			break; /* it said why before it hung up */
		if (w < 0 && errno != EINTR)
			rc = -1;
		else if (w > 0)
			at += (size_t)w;
	}
	free(line);
	return n > 0 ? rc : -1;
}

static int
read_answer(int fd, struct pw_strbuf *in)
{
	for (;;) {
		struct pollfd p = { fd, POLLIN, 0 };
		char *room;
		ssize_t n;

		if (poll(&p, 1, ANSWER_MS) != 1)
			return -1;
		room = pw_strbuf_reserve(in, 65536);
		if (room == NULL)
			return -1;
		n = recv(fd, room, 65536, 0);
		if (n < 0 && errno == EINTR)
			continue;
		/* A reset may follow the answer of who did not read all. */
		if (n <= 0)
			return in->len > 0 ? 0 : -1;
		in->len += (size_t)n;
	}
}

/* KEEP gets the text in place of standard output; NULL: it is printed. */
static int
ask(int fd, const struct request *rq, struct pw_strbuf *keep)
{
	struct pw_strbuf in;
	json_t *o = NULL;
	const char *text;
	int code = EX_TEMPFAIL;

	pw_strbuf_init(&in, ANSWER_MAX);
	if (send_request(fd, rq) == 0 && read_answer(fd, &in) == 0)
		o = json_loadb(in.ptr, in.len, 0, NULL);
	text = json_string_value(json_object_get(o, "out"));
	if (o == NULL || text == NULL) {
		(void)fputs("postward: the daemon gave no answer\n", stderr);
	} else {
		code = (int)json_integer_value(json_object_get(o, "exit"));
		if (keep != NULL)
			pw_strbuf_adds(keep, text);
		else
			(void)fputs(text, code == EX_OK ? stdout : stderr);
	}
	json_decref(o);
	pw_strbuf_free(&in);
	(void)close(fd);
	return code;
}

/* ---- without the daemon ------------------------------------------------------------------ */

static int
run_here(const struct pw_config *cfg, const struct request *rq,
    const struct pw_verb *v, size_t used)
{
	struct pw_strbuf out;
	struct pw_err err = { 0 };
	struct pw_verb_ctx ctx = { .cfg = cfg, .json = rq->json,
		.word = rq->word + used, .nword = rq->nword - used,
		.input = pw_strbuf_bytes(&rq->input), .out = &out };
	bool accounts = v >= pw_verbs_account &&
	    v < pw_verbs_account + pw_nverbs_account;
	bool messages = v >= pw_verbs_message &&
	    v < pw_verbs_message + pw_nverbs_message;
	int rc;

	pw_strbuf_init(&out, ANSWER_MAX);
	/* Files that are made here belong to the role that will use them. */
	if ((accounts || messages) &&
	    (pw_folders_make(cfg, &err) != 0 ||
		pw_rights_drop(cfg->server.user_store, &err) != 0))
		rc = pw_verb_failed(&ctx, &err);
	else if (accounts &&
	    pw_accounts_open(cfg->server.state_dir, cfg->store.mailbox_path,
		true, &ctx.accounts, &err) != 0)
		rc = pw_verb_failed(&ctx, &err);
	else if (messages &&
	    pw_index_open(cfg->server.state_dir, &ctx.index, &err) != 0)
		rc = pw_verb_failed(&ctx, &err);
	else
		rc = pw_verb_run(v, &ctx);
	(void)fputs(pw_strbuf_cstr(&out), rc == EX_OK ? stdout : stderr);
	pw_index_close(&ctx.index);
	pw_accounts_close(&ctx.accounts);
	pw_strbuf_free(&out);
	return rc;
}

/* run_here() gives rights up for good, so a child of ours does it; its output
 * goes to OUT. */
static int
run_child(const struct pw_config *cfg, const struct request *rq,
    const struct pw_verb *v, size_t used, struct pw_strbuf *out)
{
	int p[2], status = 0;
	pid_t pid;
	FILE *in;
	size_t n;
	char *room;

	(void)fflush(NULL);
	if (pipe2(p, O_CLOEXEC) != 0 || (pid = fork()) < 0)
		return EX_OSERR;
	if (pid == 0) {
		(void)dup2(p[1], STDOUT_FILENO);
		status = run_here(cfg, rq, v, used);
		(void)fflush(NULL);
		_exit(status);
	}
	(void)close(p[1]);
	in = fdopen(p[0], "r");
	while (in != NULL && (room = pw_strbuf_reserve(out, 65536)) != NULL &&
	    (n = fread(room, 1, 65536, in)) > 0)
		out->len += n;
	if (in != NULL)
		(void)fclose(in);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE;
}

/* A verb's answer as JSON, from the daemon or without it. */
static int
fetch(void *arg, const char *const *word, size_t nword, struct pw_strbuf *out)
{
	const struct pw_config *cfg = arg;
	struct request rq = { .nword = nword, .json = true,
		.word = (const char **)(uintptr_t)word };
	const struct pw_verb *v;
	size_t used;
	int fd = connect_daemon(cfg);

	if (fd >= 0)
		return ask(fd, &rq, out);
	v = pw_verb_find(word, nword, &used);
	return v != NULL ? run_child(cfg, &rq, v, used, out) : EX_SOFTWARE;
}

static int
run(const struct pw_config *cfg, struct request *rq)
{
	const struct pw_verb *v;
	size_t used;
	int fd;

	v = pw_verb_find(rq->word, rq->nword, &used);
	if (v == NULL) {
		(void)fputs("postward: unknown verb; see `postward help`\n",
		    stderr);
		return EX_USAGE;
	}
	if (verb_is(rq, "dmarc", "report"))
		return pw_report_run(cfg, rq->word + used, rq->nword - used,
		    rq->json, fetch, (void *)(uintptr_t)cfg);
	if (strcmp(v->words, "replay") == 0)
		return pw_replay_verb(cfg, rq->word + used, rq->nword - used,
		    rq->json);
	if (complete(rq) != 0)
		return EX_USAGE;
	/* It loads plug-ins, which the daemon's store must never do, and shows
	 * what the file says now. */
	if (verb_is(rq, "pipeline", "show"))
		return run_here(cfg, rq, v, used);
	fd = connect_daemon(cfg);
	if (fd >= 0)
		return ask(fd, rq, NULL);
	if (!v->offline) {
		(void)fprintf(stderr,
		    "postward: the daemon does not run (no answer at "
		    "%s/control.sock)\n",
		    cfg->server.run_dir);
		return EX_UNAVAILABLE;
	}
	return run_here(cfg, rq, v, used);
}

static int
print_help(void)
{
	struct pw_strbuf out;

	pw_strbuf_init(&out, 64 * 1024);
	pw_verb_usage(&out);
	(void)printf("usage: postward [-c FILE] [--json] VERB [WORD...]\n\n%s",
	    pw_strbuf_cstr(&out));
	pw_strbuf_free(&out);
	return EX_OK;
}

/* Verbs that need no configuration of this host; -1: not one of them. */
static int
print_generated(const struct request *rq)
{
	struct pw_strbuf out;

	if (!verb_is(rq, "config", "example") && !verb_is(rq, "config", "man"))
		return -1;
	pw_strbuf_init(&out, 1u << 20);
	if (verb_is(rq, "config", "man"))
		pw_config_man(&out);
	else
		pw_config_example(&out);
	(void)fputs(pw_strbuf_cstr(&out), stdout);
	pw_strbuf_free(&out);
	return EX_OK;
}

int
main(int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' }, { NULL, 0, NULL, 0 }
	};
	const char *file = PW_SYSCONFDIR "/postward/postward.conf";
	struct pw_config *cfg = NULL;
	struct pw_strbuf report;
	struct request rq = { 0 };
	int c, rc;

	while ((c = getopt_long(argc, argv, "+c:jh", longopts, NULL)) != -1) {
		if (c == 'c')
			file = optarg;
		else if (c == 'j')
			rq.json = true;
		else if (c == 'v')
			return printf("postward %s\n", PW_VERSION) < 0;
		else
			return c == 'h' ? print_help() : EX_USAGE;
	}
	if (optind >= argc || strcmp(argv[optind], "help") == 0)
		return optind >= argc ? (print_help(), EX_USAGE) : print_help();
	rq.word = pw_xcalloc((size_t)(argc - optind) + 3, sizeof(char *));
	for (int i = optind; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			rq.json = true;
		else
			rq.word[rq.nword++] = argv[i];
	}
	rc = print_generated(&rq);
	if (rc >= 0) {
		free(rq.word);
		return rc;
	}
	pw_checks_init();
	pw_strbuf_init(&rq.input, INPUT_MAX);
	pw_strbuf_init(&report, 256 * 1024);
	if (pw_config_load(file, false, &cfg, &report) != 0) {
		(void)fputs(pw_strbuf_cstr(&report), stderr);
		rc = EX_CONFIG;
	} else {
		rc = run(cfg, &rq);
	}
	pw_strbuf_free(&report);
	pw_strbuf_free(&rq.input);
	free(rq.word);
	pw_config_free(&cfg);
	return rc;
}
