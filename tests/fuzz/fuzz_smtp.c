/* SPDX-License-Identifier: ISC */
/*
 * An SMTP session on the stand-ins of tests/unit/smtp.  The first octet says
 * how the input is cut, the second what the surroundings do; the rest is what
 * the client sends.  Fed twice, cut in two ways: the replies must be the same.
 */
#include <stdlib.h>

#include "../unit/smtp/session_env.h"
#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *
replies(struct pw_bytes in, size_t piece, unsigned how, size_t *len)
{
	struct pw_bytes out;
	struct pw_strbuf all;

	fake_reset();
	fake.async = (how & 1) != 0;
	fake.code = (how & 2) != 0 ? PW_STORE_NOSPACE : PW_STORE_OK;
	fake.result.action = (how >> 2) % 7;
	if ((how & 32) != 0)
		fake.early[(how >> 6) + 1] = "550 5.7.1 no";
	session_open();
	session_feed(in, piece);
	out = fake_conn_output();
	pw_strbuf_init(&all, 1u << 24);
	/* Ids differ; their place does not. */
	for (size_t i = 0; i < out.len; i++) {
		if (out.len - i > 10 &&
		    memcmp(out.ptr + i, "250 2.0.0 ", 10) == 0 &&
		    out.len - i > 33 &&
		    memcmp(out.ptr + i + 26, " stored", 7) == 0) {
			pw_strbuf_adds(&all, "250 stored");
			i += 32;
			continue;
		}
		pw_strbuf_addc(&all, out.ptr[i]);
	}
	session_close();
	*len = all.len;
	return all.ptr;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pw_bytes in;
	size_t n1, n2;
	char *a, *b;

	session_env_init(true);
	session_env_unlimited();
	pw_log_to(2, PW_LOG_ERROR, PW_LOG_KV);
	test_cfg->smtp.max_message = 65536;
	test_cfg->smtp.body_in_memory = 8192;
	if (size < 2 || size > 32768)
		return 0;
	in = pw_bytes(data + 2, size - 2);
	a = replies(in, 0, data[1], &n1);
	b = replies(in, 1u + data[0] % 16, data[1], &n2);
	/* STARTTLS drops what came with it, which depends on the cut. */
	if (memmem(in.ptr, in.len, "TLS", 3) == NULL &&
	    memmem(in.ptr, in.len, "tls", 3) == NULL &&
	    memmem(in.ptr, in.len, "ls", 2) == NULL &&
	    memmem(in.ptr, in.len, "LS", 2) == NULL &&
	    memmem(in.ptr, in.len, "Ls", 2) == NULL &&
	    memmem(in.ptr, in.len, "lS", 2) == NULL)
		PW_ASSERT(n1 == n2 && (n1 == 0 || memcmp(a, b, n1) == 0));
	free(a);
	free(b);
	return 0;
}
