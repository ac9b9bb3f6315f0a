/* SPDX-License-Identifier: ISC */
/*
 * How fast the filer files: deliveries a second, CPU a message, batch sizes.
 *
 *   storebench [-n messages] [-w window] [-s octets] [-b mailboxes]
 *              [-t writer threads] [-j journal MB] [-r rate]
 *              [-c checkpoint ms] DIR
 *
 * DIR should lie on the kind of disk that mail will lie on (a journaled file
 * system), and be new: creating files after a mass deletion costs ext4 many
 * times more.  WINDOW deliveries are under way at any time, or, with a RATE, so
 * many are begun each second.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "storage/filer_private.h"

static unsigned total = 20000, window = 50, size = 8192, boxes = 50;
static unsigned writers = 2, journal_mb = 64, rate;
static unsigned checkpoint_ms = 5000;
static unsigned begun, ended, failed;
static char *text;
static struct pw_filer *filer;
static uint64_t *began_ns, *took_ns;

struct one {
	unsigned n;
};

static void begin(void);

static void
on_result(void *arg, const struct pw_store_result *r)
{
	struct one *o = arg;

	took_ns[o->n] = pw_clock_mono_ns() - began_ns[o->n];
	if (r->code != PW_STORE_OK && failed++ == 0)
		(void)fprintf(stderr, "storebench: %s\n", r->reason);
	free(o);
	ended++;
	if (rate == 0 && begun < total)
		begin();
}

/* A decision and meta of usual weight. */
static void
begin(void)
{
	static const struct pw_bytes prefix =
	    PW_LIT("Return-Path: <sender@example.net>\r\n"
		   "Delivered-To: user@example.org\r\n"
		   "Received: from mail.example.net (mail.example.net "
		   "[192.0.2.1])\r\n\tby mx.example.org with ESMTPS id 0123\r\n"
		   "\tfor <user@example.org>; Mon, 2 Jan 2006 15:04:05 +0000\r\n"
		   "Authentication-Results: mx.example.org; spf=pass "
		   "smtp.mailfrom=example.net; dkim=pass\r\n");
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_delivery *d = pw_pool_alloc(pool, sizeof(*d));
	struct pw_decision *c = pw_pool_alloc(pool, sizeof(*c));
	const char **path = pw_pool_array(pool, 1, sizeof(*path));
	struct one *o = calloc(1, sizeof(*o));
	unsigned n = begun++;

	path[0] = pw_pool_printf(pool, "bench/u%u", n % boxes);
	*c = (struct pw_decision){ .id = pw_id_new(), .listener = "mx",
		.time_us = pw_clock_real_us(), .session = pw_id_new(),
		.helo = PW_LIT("mail.example.net"), .rdns = "mail.example.net",
		.tls = "TLSv1.3 TLS_AES_256_GCM_SHA384", .esmtp = true,
		.mail_from = PW_LIT("sender@example.net"), .size = size,
		.reply = "250 2.0.0 stored", .step = "default",
		.auth_results = "mx.example.org; spf=pass; dkim=pass",
		.nrcpt = 1,
		.rcpt = pw_pool_array(pool, 1, sizeof(*c->rcpt)),
		.nevidence = 4,
		.evidence = pw_pool_array(pool, 4, sizeof(*c->evidence)) };
	for (int i = 0; i < 4; i++)
		c->evidence[i] = (struct pw_evidence){ "spf", "SPF_PASS", 0.5,
			1, false, PW_LIT("192.0.2.1 is designated") };
	c->rcpt[0] = (struct pw_decision_rcpt){ PW_LIT("user@example.org"),
		pw_bytes_of(pw_pool_printf(pool, "u%u@example.org", n % boxes)),
		PW_ACT_DELIVER, "250 2.1.5 ok", "",
		"", 0, NULL, 0 };
	d->decision = c;
	d->meta = pw_pool_alloc(pool, sizeof(*d->meta));
	*d->meta = (struct pw_meta){ .header_len = 400,
		.message_id = pw_bytes_of(pw_pool_printf(pool,
		    "<%u.%s@example.net>", n, c->id.s)),
		.from = PW_LIT("Sender <sender@example.net>"),
		.to = PW_LIT("user@example.org"), .subject = PW_LIT("A test"),
		.in_reply_to = PW_LIT(""), .references = PW_LIT(""),
		.cc = PW_LIT(""),
		.structure = PW_LIT("{\"type\":\"text\",\"subtype\":\"plain\","
				    "\"params\":{\"charset\":\"utf-8\"},"
				    "\"encoding\":\"7bit\",\"size\":8000}"),
		.envelope = PW_LIT("{\"from\":[[\"Sender\",\"sender\","
				   "\"example.net\"]]}") };
	d->ntarget = 1;
	d->target = pw_pool_array(pool, 1, sizeof(*d->target));
	d->target[0] = (struct pw_target){ .mailbox = c->rcpt[0].mailbox,
		.folder = "", .prefix = prefix };
	d->fd = memfd_create("mail", MFD_CLOEXEC);
	if (d->fd < 0 || write(d->fd, text, size) != (ssize_t)size) {
		perror("memfd");
		exit(1);
	}
	d->size = size;
	o->n = n;
	began_ns[n] = pw_clock_mono_ns();
	pw_filer_deliver(filer, d, path, pool, on_result, o);
}

static double
cpu_s(int who)
{
	struct rusage u;

	(void)getrusage(who, &u);
	return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int
by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
report(double t0, double t1, double t2, double c0, double c1, double c2)
{
	struct pw_journal_stats j;

	pw_journal_stats(filer->journal, &j);
	qsort(took_ns, total, sizeof(took_ns[0]), by_number);
	(void)printf("%u messages of %u octets, window %u, %u mailboxes: "
		     "%.0f/s; CPU %.1f us a message (%.1f with all caught up "
		     "%.2f s later); p50 %.2f p99 %.2f ms; batches of %.1f "
		     "(largest %llu), checkpoints %llu, failed %u\n",
	    total, size, window, boxes, total / (t1 - t0),
	    (c1 - c0) * 1e6 / total, (c2 - c0) * 1e6 / total, t2 - t1,
	    (double)took_ns[total / 2] / 1e6,
	    (double)took_ns[total / 100 * 99] / 1e6,
	    (double)j.records / (double)(j.batches > 0 ? j.batches : 1),
	    (unsigned long long)atomic_load(&filer->batch_max),
	    (unsigned long long)atomic_load(&filer->checkpoints), failed);
}

static double
now_s(void)
{
	return (double)pw_clock_mono_ns() / 1e9;
}

static void
make_text(void)
{
	static const char line[] =
	    "the quick brown fox jumps over the lazy dog and back again\r\n";
	size_t n = sizeof(line) - 1;

	text = malloc(size + 1);
	for (size_t i = 0; i < size; i++)
		text[i] = line[i % n];
	if (size >= 2)
		memcpy(text + size - 2, "\r\n", 2);
	/* No CR by itself before it. */
	if (size >= 3 && text[size - 3] == '\r')
		text[size - 3] = 'x';
}

static int
options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "n:w:s:b:t:j:r:c:")) != -1) {
		unsigned v = optarg != NULL ?
		    (unsigned)strtoul(optarg, NULL, 10) : 0;
		switch (c) {
		case 'n':
			total = v;
			break;
		case 'w':
			window = v;
			break;
		case 's':
			size = v;
			break;
		case 'b':
			boxes = v > 0 ? v : 1;
			break;
		case 't':
			writers = v;
			break;
		case 'j':
			journal_mb = v;
			break;
		case 'r':
			rate = v;
			break;
		case 'c':
			checkpoint_ms = v;
			break;
		default:
			return -1;
		}
	}
	return argc - optind == 1 && total > 0 ? 0 : -1;
}

static void
run(struct pw_loop *loop)
{
	uint64_t t0 = pw_clock_mono_ns();

	while (rate == 0 && begun < window && begun < total)
		begin();
	while (ended < total) {
		uint64_t passed = pw_clock_mono_ns() - t0;
		while (rate > 0 && begun < total &&
		    passed / 1000 >= (uint64_t)begun * 1000000 / rate)
			begin();
		pw_loop_step(loop, rate > 0 ? 1 : 1000);
	}
}

int
main(int argc, char **argv)
{
	char state[256], mail[256];
	struct pw_filer_opts o = { .host = "mx.test", .boot_id = "bench",
		.journal_message = 1 << 20,
		.min_free = 1, .quota_grace = 10 };
	struct pw_writer_opts w = { .state_dir = state,
		.keep_decisions_ms = UINT64_C(90) * 86400 * 1000 };
	struct pw_err err;
	struct pw_loop *loop = pw_loop_new(&err);

	if (options(argc, argv) < 0) {
		(void)fprintf(stderr, "usage: storebench [-n messages] "
				      "[-w window] [-s octets] [-b mailboxes] "
				      "[-t threads] [-j MB] [-r rate] "
				      "[-c ms] DIR\n");
		return 2;
	}
	pw_log_to(2, PW_LOG_NOTICE, PW_LOG_KV);
	(void)snprintf(state, sizeof(state), "%s/state", argv[optind]);
	(void)snprintf(mail, sizeof(mail), "%s/mail", argv[optind]);
	(void)mkdir(argv[optind], 0700);
	(void)mkdir(state, 0700);
	o.state_dir = state;
	o.mail_root = mail;
	o.journal = (uint64_t)journal_mb << 20;
	o.writers = writers;
	o.checkpoint_ms = checkpoint_ms;
	make_text();
	began_ns = calloc(total, sizeof(*began_ns));
	took_ns = calloc(total, sizeof(*took_ns));
	if (pw_writer_open(&w, &o.writer, &err) < 0 ||
	    pw_filer_open(loop, &o, &filer, &err) < 0) {
		(void)fprintf(stderr, "storebench: %s\n", err.text);
		return 1;
	}
	double t0 = now_s(), c0 = cpu_s(RUSAGE_SELF);
	run(loop);
	double t1 = now_s(), c1 = cpu_s(RUSAGE_SELF);
	o.checkpoint_ms = 20;
	pw_filer_set(filer, &o);
	while (!pw_filer_idle(filer)) {
		pw_checkpoint_now(filer);
		pw_loop_step(loop, 20);
	}
	report(t0, t1, now_s(), c0, c1, cpu_s(RUSAGE_SELF));
	pw_filer_close(&filer);
	pw_writer_close(&o.writer);
	pw_loop_free(&loop);
	return failed > 0;
}
