/* SPDX-License-Identifier: ISC */
/*
 * The resolve role and a client of it in one loop, and a real authoritative
 * server (knot) on loopback behind it.  For the suites of the resolver; each
 * starts a server of its own.
 *
 * Needs tests/system/dnsd.sh (looked for from POSTWARD_SRC or upwards from the
 * current folder) and knotd; without them the suites say so and are empty.
 */
#ifndef PW_TESTS_DNS_REAL_H
#define PW_TESTS_DNS_REAL_H

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "dns/wire.h"

#define NAMES 1000 /* n0.test.. */

static char dir[] = "/tmp/pw-dns-XXXXXX";
static char script[4096];
static char server[32];
static char anchor[64], wrong_anchor[64], fragment[64];

/* ---- the server -------------------------------------------------------- */

static inline bool
find_script(void)
{
	static const char *const up[] = {".", "..", "../..", "../../.."};
	const char *src = getenv("POSTWARD_SRC");
	char rel[512];

	for (size_t i = 0; i < PW_COUNT(up); i++) {
		(void)snprintf(rel, sizeof(rel), "%s/tests/system/dnsd.sh",
		    src != NULL && i == 0 ? src : up[i]);
		if (access(rel, X_OK) == 0 && realpath(rel, script) != NULL)
			return access("/usr/sbin/knotd", X_OK) == 0;
	}
	return false;
}

/* Runs the script with standard output to OUT (or to nowhere). */
static inline int
run(const char *out, const char *verb, const char *arg)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open(out != NULL ? out : "/dev/null",
		    O_WRONLY | O_CREAT | O_TRUNC, 0600);
		if (fd < 0 || dup2(fd, 1) < 0)
			_exit(126);
		(void)execl(
		    "/bin/sh", "sh", script, verb, dir, arg, (char *)NULL);
		_exit(127);
	}
	if (pid > 0)
		(void)waitpid(pid, &status, 0);
	return status;
}

static FILE *
create(const char *name)
{
	char path[4096];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	return f;
}

static inline void
put_texts(FILE *f, const char *name, size_t records, size_t bytes)
{
	for (size_t r = 0; r < records; r++) {
		size_t left = bytes;

		fprintf(f, "%s TXT", name);
		while (left > 0) {
			size_t n = left < 255 ? left : 255;
			fprintf(f, " \"%0*zu\"", (int)n, r);
			left -= n;
		}
		fprintf(f, "\n");
	}
}

static inline void
write_zones(void)
{
	FILE *f = create("test.zone");

	fprintf(f, "$ORIGIN test.\n$TTL 60\n"
		   "@ SOA ns hostmaster 1 3600 600 86400 7\n@ NS ns\n"
		   "ns A 127.0.0.1\n"
		   "a A 192.0.2.1\na A 192.0.2.2\na AAAA 2001:db8::1\n"
		   "a MX 10 MX1\na MX 20 mx2.a\n"
		   "nullmx MX 0 .\n"
		   "txt TXT \"v=spf1 \" \"ip4:192.0.2.1 \" \"-all\"\n"
		   "txt TXT \"other\" \"\"\ntxt TXT \"\\000\\255\\\"\"\n"
		   "c1 CNAME c2\nc2 CNAME c3\nc3 CNAME a\n"
		   "gone CNAME nowhere\nloop CNAME loop2\nloop2 CNAME loop\n"
		   "*.wild A 192.0.2.9\n"
		   "we\\.ird\\032x A 192.0.2.7\n"
		   "_25._tcp.a TLSA 3 1 1 00ff\n");
	put_texts(f, "t4096", 1, 4096);
	put_texts(f, "t4097", 1, 4097);
	put_texts(f, "tmany", 40, 1000);
	for (int i = 0; i < 100; i++)
		fprintf(f, "many A 192.0.2.%d\n", i);
	for (int i = 0; i < NAMES; i++)
		fprintf(f, "n%d A 10.0.%d.%d\n", i, i / 250, i % 250);
	(void)fclose(f);

	f = create("2.0.192.in-addr.arpa.zone");
	fprintf(f, "$TTL 60\n@ SOA ns.test. h.test. 1 3600 600 86400 7\n"
		   "@ NS ns.test.\n1 PTR A.test.\n");
	(void)fclose(f);
	f = create("signed.zone");
	fprintf(f, "$TTL 60\n@ SOA ns h 1 3600 600 86400 7\n@ NS ns\n"
		   "ns A 127.0.0.1\na A 192.0.2.3\n");
	(void)fclose(f);
	(void)fclose(create("signed.dnssec"));
	f = create("silent");
	fprintf(f, "dead.test.\n");
	(void)fclose(f);
	f = create("wrong.key");
	fprintf(f, "test. DS 16100 13 2 22096bcf5a4098b66cb72b75f0c06d9bfda"
		   "9789a6ef9aa2d3ca8eea6dcd0ac22\n");
	(void)fclose(f);
	f = create("bad.conf");
	fprintf(f, "server:\n no-such-option: yes\n");
	(void)fclose(f);
	f = create("bad.key");
	fprintf(f, "test. DS 16100 13 2 nonsense\n");
	(void)fclose(f);
}

/* A port that is free, and the next one too. */
static inline int
free_port(void)
{
	for (int i = 0; i < 100; i++) {
		struct sockaddr_in sin = {.sin_family = AF_INET,
		    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		socklen_t len = sizeof(sin);
		int a = socket(AF_INET, SOCK_STREAM, 0);
		int b = socket(AF_INET, SOCK_STREAM, 0);
		int port = -1;

		if (bind(a, (struct sockaddr *)&sin, len) == 0 &&
		    getsockname(a, (struct sockaddr *)&sin, &len) == 0) {
			port = ntohs(sin.sin_port);
			sin.sin_port = htons((uint16_t)(port + 1));
			if (bind(b, (struct sockaddr *)&sin, len) != 0)
				port = -1;
		}
		close(a);
		close(b);
		if (port > 0)
			return port;
	}
	return -1;
}

static inline void
start_server(void)
{
	char port[16];
	int n = -1;
	bool started = false;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	write_zones();
	/* Another test may take the port in between. */
	for (int tries = 0; !started && tries < 5; tries++) {
		n = free_port();
		ck_assert_int_gt(n, 0);
		(void)snprintf(port, sizeof(port), "%d", n);
		started = run(NULL, "start", port) == 0;
	}
	ck_assert(started);
	(void)snprintf(server, sizeof(server), "127.0.0.1@%d", n);
	(void)snprintf(anchor, sizeof(anchor), "%s/anchor.key", dir);
	(void)snprintf(wrong_anchor, sizeof(wrong_anchor), "%s/wrong.key", dir);
	(void)snprintf(fragment, sizeof(fragment), "%s/unbound.conf", dir);
	ck_assert_int_eq(run(anchor, "anchor", "signed"), 0);
}

static inline void
stop_server(void)
{
	pid_t pid;
	int status;

	(void)run(NULL, "stop", NULL);
	pid = fork();
	if (pid == 0) {
		(void)execl("/bin/rm", "rm", "-rf", dir, (char *)NULL);
		_exit(127);
	}
	(void)waitpid(pid, &status, 0);
}

/* ---- role and client in one loop --------------------------------------- */

static struct pw_loop *loop;
static struct pw_resolver *resolver;
static struct pw_dns_client *client;
static struct pw_pool *pool;

static inline struct pw_resolver_opts
options(void)
{
	static const char *servers[1];

	servers[0] = server;
	return (struct pw_resolver_opts){.servers = servers,
	    .nservers = 1,
	    .config = fragment,
	    .cache_bytes = (size_t)8 << 20,
	    .allow_loopback = true};
}

static inline void
connect_client(void)
{
	struct pw_err err;
	int fds[2];

	ck_assert_int_eq(pw_ipc_pair(fds, &err), 0);
	pw_dns_client_channel(client, fds[0]);
	ck_assert_int_eq(pw_resolver_serve(resolver, fds[1]), 0);
}

static inline void
open_resolver(const struct pw_resolver_opts *opts)
{
	struct pw_err err;

	resolver = pw_resolver_new(loop, opts, &err);
	ck_assert_msg(resolver != NULL, "%s", err.text);
	connect_client();
}

static inline void
set_up(void)
{
	struct pw_resolver_opts opts = options();
	struct pw_err err;

	pw_log_to(2, PW_LOG_ERROR, PW_LOG_KV);
	loop = pw_loop_new(&err);
	client = pw_dns_client_new(loop);
	pool = pw_pool_new(0);
	open_resolver(&opts);
}

static inline void
tear_down(void)
{
	pw_resolver_free(&resolver);
	pw_dns_client_free(&client);
	pw_loop_free(&loop);
	pw_pool_free(&pool);
}

static size_t waiting;

static inline void
on_answer(void *arg, const struct pw_dns_answer *a)
{
	*(struct pw_dns_answer **)arg = pw_dns_answer_copy(a, pool);
	waiting--;
}

static inline void
run_loop(unsigned ms)
{
	uint64_t end = pw_clock_mono_ms() + ms;

	while (waiting > 0 && pw_clock_mono_ms() < end)
		pw_loop_step(loop, 20);
}

static inline struct pw_dns_query *
begin(const char *name, uint16_t type, unsigned ms, struct pw_dns_answer **out)
{
	*out = NULL;
	waiting++;
	return pw_dns_ask(client, name, type, ms, on_answer, out);
}

static inline struct pw_dns_answer *
ask(const char *name, uint16_t type)
{
	struct pw_dns_answer *a;

	(void)begin(name, type, 10000, &a);
	run_loop(11000);
	ck_assert_msg(a != NULL, "no answer to %s", name);
	return a;
}

static inline struct pw_resolver_stats
stats(void)
{
	struct pw_resolver_stats s;

	pw_resolver_stats(resolver, &s);
	return s;
}

#endif
