/* SPDX-License-Identifier: ISC */
/*
 * Paths and parameters.  What was taken must be fit to print, and must be taken
 * again, with the same meaning, when it is written anew.
 */
#include <stdlib.h>

#include "base/err.h"
#include "smtp/address.h"
#include "smtp/param.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct pw_path *p, struct pw_pool *pool)
{
	struct pw_path again;
	struct pw_bytes ok;

	if (p->null)
		return;
	PW_ASSERT(pw_valid_utf8_text(pw_peer(p->text), PW_ADDR_MAILBOX_MAX,
		      &ok) == 0);
	PW_ASSERT(pw_is_ascii(p->domain) && p->domain.len <= 255);
	PW_ASSERT(p->local.len <= PW_ADDR_LOCAL_MAX);
	PW_ASSERT(p->utf8 || pw_is_ascii(p->text));
	PW_ASSERT(pw_mailbox_parse(pw_peer(p->text), PW_PATH_POSTMASTER, pool,
		      &again) == PW_ADDR_OK);
	PW_ASSERT(pw_bytes_eq(again.local, p->local) &&
	    pw_bytes_eq(again.domain, p->domain));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_bytes in = pw_bytes(data, size);
	struct pw_path p;
	struct pw_mail_param param;
	char out[64];
	size_t used;

	if (pw_path_parse(pw_peer(in), PW_PATH_NULL | PW_PATH_POSTMASTER, pool,
		&p, &used) == PW_ADDR_OK) {
		PW_ASSERT(used <= size);
		check(&p, pool);
		(void)pw_param_mail(pw_bytes_sub(in, used, size), true,
		    &param);
	}
	if (pw_mailbox_parse(pw_peer(in), 0, pool, &p) == PW_ADDR_OK)
		check(&p, pool);
	(void)pw_param_mail(in, false, &param);
	(void)pw_xtext_decode(in, out, sizeof(out));
	pw_pool_free(&pool);
	return 0;
}
