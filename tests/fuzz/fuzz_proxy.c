/* SPDX-License-Identifier: ISC */
/*
 * PROXY headers: as octets, where what was final must stay so however much
 * follows, and before a session, which must say the same however they were cut.
 * The first octet says how.
 */
#include <stdlib.h>

#include "../unit/smtp/session_env.h"
#include "base/log.h"
#include "net/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
same(const struct pw_proxy *a, const struct pw_proxy *b)
{
	return a->used == b->used && pw_ip_eq(&a->src, &b->src) &&
	    pw_ip_eq(&a->dst, &b->dst) && a->src_port == b->src_port &&
	    a->dst_port == b->dst_port;
}

static void
octets(struct pw_bytes in)
{
	struct pw_proxy whole = { 0 }, part = { 0 };
	enum pw_proxy_rc want = pw_proxy_parse(in, &whole), got;
	size_t end = want == PW_PROXY_LOCAL || want == PW_PROXY_ADDRESS ?
	    whole.used :
	    in.len;

	PW_ASSERT(end <= in.len && end <= PW_PROXY_MAX + in.len);
	PW_ASSERT(want != PW_PROXY_MORE || in.len < PW_PROXY_MAX);
	for (size_t n = 1; n < in.len && n < PW_PROXY_MAX; n++) {
		/* Of its exact size: what is behind it is not looked at. */
		char *copy = malloc(n);

		PW_ASSERT(copy != NULL);
		memcpy(copy, in.ptr, n);
		got = pw_proxy_parse(pw_bytes(copy, n), &part);
		free(copy);
		if (want == PW_PROXY_MORE || (want != PW_PROXY_BAD && n < end))
			PW_ASSERT(got == PW_PROXY_MORE);
		else if (want != PW_PROXY_BAD)
			PW_ASSERT(got == want && same(&part, &whole));
		else
			PW_ASSERT(got == PW_PROXY_MORE || got == PW_PROXY_BAD);
	}
}

static char *
replies(struct pw_bytes in, size_t piece, size_t *len)
{
	struct pw_bytes out;
	char *copy;

	fake_reset();
	session_open();
	session_feed(in, piece);
	out = fake_conn_output();
	copy = pw_xbytesdup(out);
	*len = out.len;
	session_close();
	return copy;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pw_bytes in;
	size_t n1, n2;
	char *a, *b;

	session_env_init(false);
	session_env_unlimited();
	session_env_proxy(true);
	pw_log_to(2, PW_LOG_ERROR, PW_LOG_KV);
	if (size < 2 || size > 8192)
		return 0;
	in = pw_bytes(data + 1, size - 1);
	octets(in);
	/* Ids of deliveries would differ. */
	if (memmem(in.ptr, in.len, "\n.", 2) != NULL ||
	    memmem(in.ptr, in.len, "LAST", 4) != NULL ||
	    memmem(in.ptr, in.len, "last", 4) != NULL)
		return 0;
	a = replies(in, 0, &n1);
	b = replies(in, 1u + data[0] % 16, &n2);
	/* Text before its turn is told by what came together. */
	if (memmem(in.ptr, in.len, "BDAT", 4) == NULL &&
	    memmem(in.ptr, in.len, "bdat", 4) == NULL)
		PW_ASSERT(n1 == n2 && (n1 == 0 || memcmp(a, b, n1) == 0));
	free(a);
	free(b);
	return 0;
}
