/* SPDX-License-Identifier: ISC */
/*
 * SMTP sessions over real TCP and TLS on the stand-ins of tests/unit/smtp, for
 * the dialogue scripts under sanitizers: no store, no stages, no privileges.
 * Usage: testd [OPTION=NUMBER...]; prints "port N" and ends with its stdin.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit/smtp/fake.h"
#include "base/log.h"

static struct pw_smtp_env env;
static struct pw_counters count;
static struct pw_budget budget = { .max = 256u << 20 };
static struct pw_io listen_io, stdin_io;
static bool closing;

static void
on_accept(struct pw_io *io, uint32_t ready)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	int fd = accept4(io->fd, (struct sockaddr *)&sin, &len,
	    SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct pw_ip ip;
	uint16_t port;

	(void)ready;
	if (fd >= 0 && pw_ip_from_sockaddr((struct sockaddr *)&sin, &ip,
		&port) >= 0)
		pw_session_new(&env, fd, 0, &ip, port);
}

static void
on_stdin(struct pw_io *io, uint32_t ready)
{
	char c;

	(void)ready;
	if (read(io->fd, &c, 1) <= 0)
		closing = true;
}

static void
option(struct pw_config *cfg, const char *arg)
{
	unsigned long long v = strtoull(strchr(arg, '=') + 1, NULL, 10);

	if (strncmp(arg, "max_message=", 12) == 0)
		cfg->smtp.max_message = v;
	else if (strncmp(arg, "max_errors=", 11) == 0)
		cfg->smtp.max_errors = (int64_t)v;
	else if (strncmp(arg, "body_in_memory=", 15) == 0)
		cfg->smtp.body_in_memory = v;
	else if (strncmp(arg, "async=", 6) == 0)
		fake.async = v != 0;
}

static int
open_port(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);

	PW_ASSERT(bind(fd, (struct sockaddr *)&sin, len) == 0 &&
	    listen(fd, 128) == 0);
	PW_ASSERT(getsockname(fd, (struct sockaddr *)&sin, &len) == 0);
	printf("port %u\n", ntohs(sin.sin_port));
	(void)fflush(stdout);
	return fd;
}

int
main(int argc, char **argv)
{
	static struct pw_config_listener listener = { .name = "mx",
		.tls = true };
	struct pw_config *cfg = pw_config_defaults();
	struct pw_err err = { 0 };
	struct pw_pem pem;
	struct pw_tls *tls;
	void *segment = aligned_alloc(64, pw_limits_segment_size());

	pw_log_to(2, PW_LOG_WARN, PW_LOG_KV);
	fake_reset();
	cfg->listener = &listener;
	cfg->nlistener = 1;
	for (int i = 1; i < argc; i++)
		if (strchr(argv[i], '=') != NULL)
			option(cfg, argv[i]);
	test_certificate("mx.example.test", false, &pem);
	PW_ASSERT(pw_tls_open(cfg, &pem, 1, &tls, &err) == 0);
	memset(segment, 0, pw_limits_segment_size());
	pw_limits_segment_init(segment);
	env = (struct pw_smtp_env){ .cfg = cfg, .tls = tls, .count = &count,
		.hostname = "mx.example.test", .budget = &budget,
		.limits = pw_limits_new(segment, NULL, 0),
		.loop = pw_loop_new(&err) };
	PW_ASSERT(env.loop != NULL &&
	    pw_conn_thread_init(env.loop, 65536) == 0);
	PW_ASSERT(pw_io_add(env.loop, &listen_io, open_port(), EPOLLIN,
		      on_accept) >= 0);
	(void)pw_io_add(env.loop, &stdin_io, 0, EPOLLIN, on_stdin);
	while (!closing) {
		pw_loop_step(env.loop, 50);
		while (fake_parts_run())
			pw_loop_step(env.loop, 0);
	}
	while (env.first != NULL) {
		struct pw_session *s = env.first;

		pw_session_free(&s, "stop");
	}
	pw_conn_thread_fini(env.loop);
	pw_loop_free(&env.loop);
	pw_limits_free(&env.limits);
	pw_tls_drop(&tls);
	free(pem.chain);
	free(pem.key);
	free(segment);
	cfg->listener = NULL;
	cfg->nlistener = 0;
	pw_config_free(&cfg);
	fake_reset();
	return atomic_load(&budget.used) == 0 ? 0 : 1;
}
