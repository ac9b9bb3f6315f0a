/* SPDX-License-Identifier: ISC */
/*
 * A store without SMTP, for tests of what readers do to a Maildir: accounts,
 * the SQLite writer, the follower and the index, driven by lines on standard
 * input; each is answered by lines that end in "." alone.
 *
 *   follow_tool STATE_DIR MAIL_ROOT [RESCAN_MS]
 *
 *   domain D              mailbox ADDRESS PASSWORD [QUOTA]
 *   alias FROM TO         deliver ADDRESS SUBJECT
 *   list ADDRESS          (JSON)
 *   show ADDRESS ID       (JSON)
 *   usage ADDRESS         rescan            status
 *   sync                  until the follower and the writer rest
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "net/loop.h"
#include "storage/accounts.h"
#include "storage/follow.h"
#include "storage/index.h"
#include "storage/writer.h"

static struct pw_loop *loop;
static struct pw_accounts *accounts;
static struct pw_writer *writer;
static struct pw_follow *follow;
static struct pw_index *idx;
static const char *mail_root;

/* The value of a field of a header, cut out of TEXT. */
static struct pw_bytes
field(char *text, const char *name)
{
	char *p = strcasestr(text, name);

	if (p == NULL)
		return PW_LIT("");
	p += strlen(name);
	return pw_bytes_trim(pw_bytes(p, strcspn(p, "\r\n")));
}

/* In place of the scan role: a few fields, no MIME. */
static void
parse(void *host, int fd, pw_parse_cb cb, void *arg)
{
	static char text[65536];
	struct pw_meta m = { 0 };
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	(void)host;
	(void)close(fd);
	if (n < 0) {
		cb(arg, NULL);
		return;
	}
	text[n] = '\0';
	m.message_id = field(text, "\nMessage-ID:");
	m.from = field(text, "\nFrom:");
	m.to = field(text, "\nTo:");
	m.subject = field(text, "\nSubject:");
	m.in_reply_to = m.references = m.cc = PW_LIT("");
	m.structure = PW_LIT("{\"type\":\"text\",\"subtype\":\"plain\"}");
	m.envelope = PW_LIT("{}");
	cb(arg, &m);
}

static int
make_dirs(const char *path)
{
	char p[4096];

	(void)snprintf(p, sizeof(p), "%s/%s/", mail_root, path);
	for (char *s = p + strlen(mail_root) + 1; *s != '\0'; s++)
		if (*s == '/') {
			*s = '\0';
			if (mkdir(p, 0700) != 0 && errno != EEXIST)
				return -1;
			*s = '/';
		}
	static const char *const sub[] = { "tmp", "new", "cur" };
	for (int i = 0; i < 3; i++) {
		char q[4200];
		(void)snprintf(q, sizeof(q), "%s%s", p, sub[i]);
		if (mkdir(q, 0700) != 0 && errno != EEXIST)
			return -1;
	}
	return 0;
}

static int
deliver(const char *address, const char *subject)
{
	static int count;
	char path[1024], text[2048], base[256], tmp[4096], new[4096];
	struct pw_decision_rcpt rcpt = { .given = pw_bytes_of(address),
		.mailbox = pw_bytes_of(address),
		.reply = "250 2.1.5 ok",
		.fate = "stored" };
	struct pw_decision d = { .id = pw_id_new(),
		.session = pw_id_new(),
		.time_us = pw_clock_real_us(),
		.listener = "test",
		.helo = PW_LIT("client.example"),
		.rdns = "",
		.tls = "",
		.mail_from = PW_LIT("sender@example.org"),
		.reply = "250 2.0.0 stored",
		.step = "test",
		.auth_results = "mx.example.test; spf=none",
		.nrcpt = 1,
		.rcpt = &rcpt };
	struct pw_meta m = { .message_id = PW_LIT(""),
		.in_reply_to = PW_LIT(""),
		.references = PW_LIT(""),
		.from = PW_LIT("sender@example.org"),
		.to = pw_bytes_of(address),
		.cc = PW_LIT(""),
		.subject = pw_bytes_of(subject),
		.structure = PW_LIT(""),
		.envelope = PW_LIT("") };
	struct pw_enc de, me;
	struct stat sb;

	if (pw_accounts_path(accounts, address, path, sizeof(path)) != 0 ||
	    make_dirs(path) != 0)
		return -1;
	int n = snprintf(text, sizeof(text),
	    "Return-Path: <sender@example.org>\nFrom: sender@example.org\n"
	    "To: %s\nSubject: %s\nMessage-ID: <%s@example.org>\n\nHello.\n",
	    address, subject, d.id.s);
	int64_t us = pw_clock_real_us();
	(void)snprintf(base, sizeof(base),
	    "%lld.M%lldP%d_%d_0a1b2c3d.mx.example.test,S=%d,W=%d",
	    (long long)(us / 1000000), (long long)(us % 1000000),
	    (int)getpid(), ++count, n, n + 7);
	(void)snprintf(tmp, sizeof(tmp), "%s/%s/tmp/%s", mail_root, path, base);
	(void)snprintf(new, sizeof(new), "%s/%s/new/%s", mail_root, path, base);
	int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, (size_t)n) != n || fstat(fd, &sb) != 0)
		return -1;
	(void)close(fd);
	struct pw_filed f = { .mailbox = pw_bytes_of(address),
		.folder = PW_LIT(""),
		.base = pw_bytes_of(base),
		.path = pw_bytes_of(path),
		.in_new = true,
		.size = (uint64_t)n,
		.vsize = (uint64_t)n + 7,
		.internal_us = us,
		.inode = (uint64_t)sb.st_ino };
	pw_enc_init(&de, 65536);
	pw_enc_init(&me, 65536);
	pw_decision_enc(&de, &d);
	pw_meta_enc(&me, &m);
	uint64_t t = pw_writer_delivered(writer, pw_enc_done(&de),
	    pw_enc_done(&me), &f, 1);
	pw_enc_free(&de);
	pw_enc_free(&me);
	pw_follow_expect(follow, f.base);
	if (t == 0 || rename(tmp, new) != 0)
		return -1;
	printf("%s %s\n", d.id.s, base);
	return 0;
}

static int
sync_all(void)
{
	/* inotify is given a moment to say what it knows. */
	for (int quiet = 0, i = 0; i < 1000; i++) {
		pw_loop_step(loop, 10);
		(void)nanosleep(&(struct timespec){ .tv_nsec = 10000000 },
		    NULL);
		if (pw_follow_idle(follow) &&
		    pw_writer_done(writer) == pw_writer_last(writer))
			quiet++;
		else
			quiet = 0;
		(void)pw_writer_wait(writer, pw_writer_last(writer), 1000);
		if (quiet >= 15)
			return 0;
	}
	printf("not at rest\n");
	return -1;
}

static int
print_json(json_t *v)
{
	char *s = json_dumps(v, JSON_COMPACT);

	printf("%s\n", s != NULL ? s : "null");
	free(s);
	json_decref(v);
	return 0;
}

static int
command(char *w[4], int n, struct pw_err *err)
{
	struct pw_message_filter mf = { .limit = 10000 };
	struct pw_strbuf sb;
	json_t *v;
	int r;

	if (strcmp(w[0], "domain") == 0 && n == 2)
		return pw_accounts_domain_add(accounts, w[1], err);
	if (strcmp(w[0], "mailbox") == 0 && n >= 3) {
		r = pw_accounts_mailbox_add(accounts, w[1], w[2],
		    n > 3 ? strtoull(w[3], NULL, 10) : 0, err);
		pw_follow_accounts_changed(follow);
		return r;
	}
	if (strcmp(w[0], "alias") == 0 && n == 3)
		return pw_accounts_alias_add(accounts, w[1], w[2], err);
	if (strcmp(w[0], "deliver") == 0 && n == 3)
		return deliver(w[1], w[2]) == 0 ? 0 :
						  pw_err_sys(err, "deliver");
	if (strcmp(w[0], "list") == 0 && n == 2) {
		mf.mailbox = w[1];
		r = pw_index_messages(idx, &mf, &v, err);
		return r == 0 ? print_json(v) : r;
	}
	if (strcmp(w[0], "show") == 0 && n == 3) {
		r = pw_index_message(idx, NULL, w[1], w[2], &v, err);
		return r == 0 ? print_json(v) : r;
	}
	if (strcmp(w[0], "usage") == 0 && n == 2) {
		printf("%" PRIu64 "\n",
		    pw_writer_usage(writer, pw_bytes_of(w[1])));
		return 0;
	}
	if (strcmp(w[0], "rescan") == 0) {
		pw_follow_rescan(follow, NULL);
		return 0;
	}
	if (strcmp(w[0], "sync") == 0)
		return sync_all();
	if (strcmp(w[0], "status") == 0) {
		pw_strbuf_init(&sb, 65536);
		pw_writer_status(writer, &sb);
		pw_follow_status(follow, &sb);
		fputs(pw_strbuf_cstr(&sb), stdout);
		pw_strbuf_free(&sb);
		return 0;
	}
	return pw_err_set(err, EINVAL, "no such command");
}

static void
serve(void)
{
	char line[1024];
	struct pw_err err;

	while (fgets(line, sizeof(line), stdin) != NULL) {
		char *w[4] = { NULL }, *save = NULL, *p = line;
		int n = 0;
		while (n < 4 && (w[n] = strtok_r(p, " \n", &save)) != NULL) {
			p = NULL;
			n++;
		}
		if (n > 0 && command(w, n, &err) != 0)
			printf("error: %s\n", err.text);
		printf(".\n");
		(void)fflush(stdout);
	}
}

int
main(int argc, char **argv)
{
	struct pw_err err = { 0 };
	struct pw_writer_opts opts = { .keep_decisions_ms = 86400000 };
	uint64_t rescan = 3600000;

	if (argc < 3) {
		fprintf(stderr,
		    "usage: follow_tool STATE_DIR MAIL_ROOT [RESCAN_MS]\n");
		return 64;
	}
	if (argc > 3)
		rescan = strtoull(argv[3], NULL, 10);
	opts.state_dir = argv[1];
	mail_root = argv[2];
	pw_log_role("test");
	if ((loop = pw_loop_new(&err)) == NULL ||
	    pw_accounts_open(argv[1], "%d/%u", true, &accounts, &err) != 0 ||
	    pw_writer_open(&opts, &writer, &err) != 0 ||
	    pw_index_open(argv[1], &idx, &err) != 0 ||
	    pw_follow_open(loop, mail_root, accounts, writer, rescan, &follow,
		&err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	pw_follow_set_parser(follow, parse, NULL);
	serve();
	pw_follow_close(&follow);
	pw_index_close(&idx);
	pw_writer_close(&writer);
	pw_accounts_close(&accounts);
	pw_loop_free(&loop);
	return 0;
}
