/* SPDX-License-Identifier: ISC */
/* See session_env.h. */
#include "session_env.h"

#include <stdlib.h>

#include "base/log.h"

struct pw_smtp_env test_env;
struct pw_config *test_cfg;
struct pw_counters test_count;
struct pw_budget test_budget;

void
session_env_init(bool tls)
{
	static struct pw_config_listener listener;
	struct pw_err err = { 0 };
	void *segment;

	if (test_cfg != NULL)
		return;
	pw_log_to(2, PW_LOG_ERROR, PW_LOG_KV);
	test_cfg = pw_config_defaults();
	listener.name = "mx";
	listener.tls = true;
	test_cfg->listener = &listener;
	test_cfg->nlistener = 1;
	segment = aligned_alloc(64, pw_limits_segment_size());
	memset(segment, 0, pw_limits_segment_size());
	pw_limits_segment_init(segment);
	test_budget.max = 64u << 20;
	test_env = (struct pw_smtp_env){ .cfg = test_cfg,
		.hostname = "mx.example.test", .count = &test_count,
		.budget = &test_budget };
	test_env.limits = pw_limits_new(segment, NULL, 0);
	test_env.loop = pw_loop_new(&err);
	PW_ASSERT(test_env.loop != NULL);
	if (tls) {
		struct pw_pem pem;
		struct pw_tls *made;

		test_certificate("mx.example.test", false, &pem);
		PW_ASSERT(pw_tls_open(test_cfg, &pem, 1, &made, &err) == 0);
		free(pem.chain);
		free(pem.key);
		test_env.tls = made;
	}
	fake_reset();
}

void
session_env_unlimited(void)
{
	test_cfg->smtp.max_errors = 1000000;
	test_cfg->smtp.max_commands = 10000000;
	test_cfg->smtp.max_junk_commands = 1000000;
	test_cfg->smtp.max_unknown_recipients = 1000000;
	test_cfg->smtp.max_messages = 100000;
}

void
session_env_proxy(bool on)
{
	static struct pw_net net = { .bits = 24 };

	PW_ASSERT(pw_ip_parse(PW_LIT("192.0.2.0"), &net.ip) == 0);
	test_cfg->listener[0].proxy = (struct pw_netlist){ .v = &net,
		.n = on ? 1 : 0 };
}

void
session_settle(void)
{
	while (fake_parts_run() || fake_conn_run())
		;
}

void
session_open(void)
{
	struct pw_ip ip;

	(void)pw_ip_parse(PW_LIT("192.0.2.1"), &ip);
	pw_session_new(&test_env, -1, 0, &ip, 4711);
	session_settle();
}

void
session_close(void)
{
	if (fake_conn_last() != NULL)
		fake_conn_eof(fake_conn_last());
	session_settle();
	if (fake_conn_last() != NULL) {
		/* It waits for what never comes. */
		struct pw_session *s = test_env.first;

		pw_session_free(&s, "test");
	}
	PW_ASSERT(test_env.nsession == 0 && fake.pipes_open == 0 &&
	    fake.phases_open == 0 && fake.calls_open == 0);
	PW_ASSERT(atomic_load(&test_budget.used) == 0);
	PW_ASSERT(pw_limits_total(test_env.limits) == 0);
}

void
session_feed(struct pw_bytes b, size_t n)
{
	if (n == 0)
		n = b.len;
	for (size_t at = 0; at < b.len && fake_conn_alive(); at += n) {
		fake_conn_feed(fake_conn_last(), pw_bytes_sub(b, at, n));
		session_settle();
	}
}

const char *
session_codes(struct pw_bytes out)
{
	static char text[8192];
	size_t n = 0;

	for (size_t at = 0; at + 4 <= out.len;) {
		struct pw_bytes line = pw_bytes_sub(out, at, out.len);
		ptrdiff_t lf = pw_bytes_chr(line, '\n');

		PW_ASSERT(lf > 0);
		if (line.ptr[3] == ' ' && n + 5 < sizeof(text)) {
			memcpy(text + n, line.ptr, 3);
			text[n + 3] = ' ';
			n += 4;
		}
		at += (size_t)lf + 1;
	}
	text[n > 0 ? n - 1 : 0] = '\0';
	return text;
}
