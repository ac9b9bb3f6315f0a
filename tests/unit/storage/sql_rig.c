/* SPDX-License-Identifier: ISC */
/* See sql_rig.h. */
#include "sql_rig.h"

#include <sqlite3.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "scratch.h"

char sql_dir[64];

#define NASTY(s) { s, sizeof(s) - 1 }
const struct sql_text sql_nasty[] = {
	NASTY("'"),
	NASTY("''"),
	NASTY("\""),
	NASTY("--"),
	NASTY(";"),
	NASTY("'; DROP TABLE message; --"),
	NASTY("x'/**/UNION/**/SELECT/**/X'00'--"),
	NASTY("X'00'"),
	NASTY("a\0b"),
	NASTY("\0"),
	NASTY("%s%n%x"),
	NASTY("$(id)"),
	NASTY("${run{x}}"),
	NASTY("{{7*7}}"),
	NASTY("%"),
	NASTY("_"),
	NASTY("\\"),
	NASTY("?1"),
	NASTY(":name"),
	NASTY("\xff\xfe"),
	NASTY("\xc3\xa4\xe2\x80\xae"),
	NASTY("1 OR 1=1"),
};
const size_t sql_nnasty = PW_COUNT(sql_nasty);

void
sql_setup(void)
{
	scratch_folder(sql_dir, sizeof(sql_dir), "pw-sql");
}

void
sql_teardown(void)
{
	int st;
	pid_t pid = fork();

	if (pid == 0) {
		(void)execlp("rm", "rm", "-rf", sql_dir, (char *)NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &st, 0), pid);
	ck_assert_int_eq(st, 0);
}

const char *
sql_path(const char *name)
{
	static char path[8][256];
	static unsigned n;
	char *p = path[n++ % 8];

	(void)snprintf(p, 256, "%s/%s", sql_dir, name);
	return p;
}

static sqlite3 *
raw_open(const char *path)
{
	sqlite3 *sq;

	ck_assert_int_eq(sqlite3_open(path, &sq), SQLITE_OK);
	(void)sqlite3_busy_timeout(sq, 5000);
	return sq;
}

int64_t
sql_number(const char *path, const char *sql)
{
	sqlite3 *sq = raw_open(path);
	sqlite3_stmt *st;

	ck_assert_msg(sqlite3_prepare_v2(sq, sql, -1, &st, NULL) == SQLITE_OK,
	    "%s: %s", sql, sqlite3_errmsg(sq));
	ck_assert_int_eq(sqlite3_step(st), SQLITE_ROW);
	int64_t n = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	(void)sqlite3_close(sq);
	return n;
}

void
sql_exec(const char *path, const char *sql)
{
	sqlite3 *sq = raw_open(path);
	char *why = NULL;

	ck_assert_msg(sqlite3_exec(sq, sql, NULL, NULL, &why) == SQLITE_OK,
	    "%s: %s", sql, why);
	(void)sqlite3_close(sq);
}

char *
sql_shape(const char *path)
{
	sqlite3 *sq = raw_open(path);
	sqlite3_stmt *st;
	struct pw_strbuf sb;

	pw_strbuf_init(&sb, 1u << 20);
	ck_assert_int_eq(sqlite3_prepare_v2(sq,
			     "SELECT type, name, coalesce(sql, '') FROM "
			     "sqlite_schema ORDER BY type, name",
			     -1, &st, NULL),
	    SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW)
		pw_strbuf_addf(&sb, "%s %s %s\n", sqlite3_column_text(st, 0),
		    sqlite3_column_text(st, 1), sqlite3_column_text(st, 2));
	(void)sqlite3_finalize(st);
	(void)sqlite3_close(sq);
	return sb.ptr;
}

/* ---- mail ---------------------------------------------------------------- */

static struct pw_bytes
or_else(struct pw_bytes b, struct pw_bytes other)
{
	return b.ptr != NULL ? b : other;
}

static void
fill_decision(struct sql_mail *m, struct pw_decision *d,
    struct pw_evidence *ev, struct pw_stage_run *run)
{
	*ev = (struct pw_evidence){ .stage = "spf",
		.symbol = "SPF_PASS",
		.weight = -1.25,
		.scope = 1,
		.text = or_else(m->text, PW_LIT("192.0.2.1 is allowed")) };
	*run = (struct pw_stage_run){ .stage = "spf",
		.phase = 3,
		.outcome = PW_OUT_HIT,
		.reason = "",
		.wall_us = 1200,
		.cpu_us = 30 };
	*d = (struct pw_decision){ .id = m->id,
		.session = pw_id_new(),
		.time_us = m->time_us,
		.peer = { 4, { 192, 0, 2, 1 } },
		.peer_port = 4711,
		.listener = "mx",
		.helo = or_else(m->text, PW_LIT("client.example")),
		.rdns = "client.example",
		.tls = "TLSv1.3",
		.esmtp = true,
		.mail_from = or_else(m->from, PW_LIT("Sender@Example.org")),
		.size = m->size,
		.reply = "250 2.0.0 stored",
		.action = PW_ACT_DELIVER,
		.step = "nothing against it",
		.score = -1.25,
		.auth_results = "mx.example.test; spf=pass",
		.config_generation = 3,
		.nevidence = 1,
		.evidence = ev,
		.nrun = 1,
		.run = run,
		.dns = m->dns };
}

static void
fill_meta(const struct sql_mail *m, struct pw_meta *meta)
{
	*meta = (struct pw_meta){ .header_len = 100,
		.message_id = or_else(m->message_id, PW_LIT("")),
		.in_reply_to = PW_LIT(""),
		.references = PW_LIT(""),
		.from = or_else(m->from, PW_LIT("Sender <sender@example.org>")),
		.to = or_else(m->mailbox, PW_LIT("x@example.test")),
		.cc = PW_LIT(""),
		.subject = or_else(m->subject, PW_LIT("Hello")),
		.date = 1700000000,
		.structure =
		    PW_LIT("{\"type\":\"text\",\"subtype\":\"plain\"}"),
		.envelope = PW_LIT("{\"from\":[]}") };
}

static uint64_t
queue_mail(struct pw_writer *w, const struct sql_mail *m, struct pw_decision *d,
    const struct pw_filed *files, size_t n)
{
	struct pw_meta meta;
	struct pw_enc de, me;
	uint64_t ticket;

	fill_meta(m, &meta);
	pw_enc_init(&de, 1u << 20);
	pw_enc_init(&me, 1u << 20);
	pw_decision_enc(&de, d);
	pw_meta_enc(&me, &meta);
	ck_assert_ptr_nonnull(pw_enc_done(&de).ptr);
	ck_assert_ptr_nonnull(pw_enc_done(&me).ptr);
	ticket = n > 0 ? pw_writer_delivered(w, pw_enc_done(&de),
			     pw_enc_done(&me), files, n) :
			 pw_writer_decision(w, pw_enc_done(&de));
	pw_enc_free(&de);
	pw_enc_free(&me);
	return ticket;
}

uint64_t
sql_deliver(struct pw_writer *w, struct sql_mail *m)
{
	static unsigned count;
	struct pw_decision_rcpt rcpt[8];
	struct pw_filed files[8] = { 0 };
	char mailbox[8][320], base[8][160];
	struct pw_evidence ev;
	struct pw_stage_run run;
	struct pw_decision d;
	size_t n = m->nmailbox > 0 ? m->nmailbox : 1;
	int64_t us = pw_clock_real_us();

	if (m->id.s[0] == '\0')
		m->id = pw_id_new();
	if (m->time_us == 0)
		m->time_us = us;
	if (m->size == 0)
		m->size = 1000;
	if (m->mailbox.ptr == NULL)
		m->mailbox = PW_LIT("alice@example.test");
	fill_decision(m, &d, &ev, &run);
	ck_assert_uint_le(n, 8);
	for (size_t i = 0; i < n; i++) {
		struct pw_bytes box = m->mailbox;
		if (m->nmailbox > 0) {
			int k = snprintf(mailbox[i], sizeof(mailbox[i]),
			    "user%zu@example.test", i);
			box = pw_bytes(mailbox[i], (size_t)k);
		}
		(void)snprintf(base[i], sizeof(base[i]),
		    "%lld.M%lldP77_%u_0badcafe.mx.example.test,S=%llu,W=%llu",
		    (long long)(us / 1000000), (long long)(us % 1000000),
		    ++count, (unsigned long long)m->size,
		    (unsigned long long)m->size + 20);
		rcpt[i] = (struct pw_decision_rcpt){
			.given = or_else(m->given, box),
			.mailbox = box,
			.reply = "250 2.1.5 ok",
			.fate = "stored"
		};
		files[i] = (struct pw_filed){ .mailbox = box,
			.folder = pw_bytes_of(
			    m->folder != NULL ? m->folder : ""),
			.base = m->base.ptr != NULL ? m->base :
						      pw_bytes_of(base[i]),
			.path = PW_LIT("x"),
			.in_new = true,
			.size = m->size,
			.vsize = m->size + 20,
			.internal_us = us,
			.inode = 1000 + count,
			.rcpt = i,
			.prefix = 33 };
	}
	(void)snprintf(m->made_base, sizeof(m->made_base), "%.*s",
	    (int)files[0].base.len, files[0].base.ptr);
	d.nrcpt = n;
	d.rcpt = rcpt;
	return queue_mail(w, m, &d, files, m->no_file ? 0 : n);
}

struct pw_writer *
sql_writer(void)
{
	struct pw_writer_opts opts = { .state_dir = sql_dir,
		.keep_decisions_ms = 90ull * 86400 * 1000 };
	struct pw_writer *w;
	struct pw_err err;

	ck_assert_msg(pw_writer_open(&opts, &w, &err) == 0, "%s", err.text);
	return w;
}

void *
sql_lock(const char *path)
{
	sqlite3 *sq;

	ck_assert_int_eq(sqlite3_open(path, &sq), SQLITE_OK);
	(void)sqlite3_busy_timeout(sq, 2000);
	ck_assert_int_eq(sqlite3_exec(sq, "BEGIN EXCLUSIVE", NULL, NULL, NULL),
	    SQLITE_OK);
	return sq;
}

void
sql_unlock(void *lock)
{
	ck_assert_int_eq(sqlite3_exec(lock, "ROLLBACK", NULL, NULL, NULL),
	    SQLITE_OK);
	(void)sqlite3_close(lock);
}

struct sql_rig rig;

void
sql_open(void)
{
	struct pw_err err;

	sql_setup();
	rig.w = sql_writer();
	ck_assert_msg(pw_index_open(sql_dir, &rig.x, &err) == 0, "%s",
	    err.text);
}

void
sql_close(void)
{
	pw_writer_close(&rig.w);
	pw_index_close(&rig.x);
	sql_teardown();
}

void
sql_reopen(void)
{
	pw_writer_close(&rig.w);
	rig.w = sql_writer();
}

uint64_t
sql_usage(const char *mailbox)
{
	return pw_writer_usage(rig.w, pw_bytes_of(mailbox));
}

void
sql_wait(struct pw_writer *w, uint64_t ticket)
{
	ck_assert_uint_ne(ticket, 0);
	ck_assert_int_eq(pw_writer_wait(w, ticket, 10000), 0);
}

struct pw_filed
sql_file(const char *mailbox, const char *folder, const char *base)
{
	return (struct pw_filed){ .mailbox = pw_bytes_of(mailbox),
		.folder = pw_bytes_of(folder),
		.base = pw_bytes_of(base),
		.size = 500,
		.vsize = 510,
		.internal_us = 1700000000000000,
		.inode = 99 };
}

json_t *
sql_list(struct pw_index *x, const char *mailbox)
{
	struct pw_message_filter f = { .mailbox = mailbox, .limit = 10000 };
	struct pw_err err;
	json_t *rows;

	ck_assert_msg(pw_index_messages(x, &f, &rows, &err) == 0, "%s",
	    err.text);
	return rows;
}

const char *
sql_str(const json_t *row, const char *key)
{
	const char *s = json_string_value(json_object_get(row, key));

	return s != NULL ? s : "";
}
