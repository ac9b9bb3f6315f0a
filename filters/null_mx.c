/* SPDX-License-Identifier: ISC */
/*
 * Stage null-mx: a sender whose domain says by a null MX that it takes no mail
 * cannot be answered (RFC 7505 section 4.2).  Runs in front; RCPT waits for it
 * where policy.null-mx is refuse.
 */
#include "dns/dns.h"
#include "filters/eval.h"
#include "filters/registry.h"

static const char *const needs[] = { "mail.domain?", NULL };
static const struct pw_symbol symbols[] = {
	{ "NULL_MX", 5.0, "the sender's domain has a null MX" },
	{ NULL, 0, NULL }
};

static bool
is_root(struct pw_slice s)
{
	return s.len == 0 || (s.len == 1 && s.ptr[0] == '.');
}

static enum pw_run
run(void *instance, struct pw_ctx *ctx, enum pw_phase phase)
{
	const struct pw_host *h = pw_host_table();
	struct pw_dns_reply r;
	struct pw_fact f;
	char *name;

	(void)instance;
	(void)phase;
	if (h->fact(ctx, "mail.domain", 0, &f) < 0 || f.text.len == 0 ||
	    f.text.ptr[0] == '[')
		return PW_RUN_NA;
	name = h->alloc(ctx, f.text.len + 1);
	if (name == NULL) {
		h->fail(ctx, "memory bound");
		return PW_RUN_ERROR;
	}
	memcpy(name, f.text.ptr, f.text.len);
	if (h->dns(ctx, name, PW_DNS_MX, &r) == 1)
		return PW_RUN_PENDING;
	if (r.status == PW_DNS_OK && r.count == 1 &&
	    is_root(r.record[0].data))
		h->evidence(ctx, "NULL_MX", 1, name);
	return PW_RUN_NEXT;
}

const struct pw_stage pw_stage_null_mx = {
	.size = sizeof(struct pw_stage),
	.abi = PW_STAGE_ABI,
	.features = PW_STAGE_FEATURES,
	.name = "null-mx",
	.version = "1",
	.help = "refuses senders whose domain takes no mail (RFC 7505)",
	.phases = PW_PHASE_BIT(PW_PHASE_MAIL),
	.needs = needs,
	.symbols = symbols,
	.roles = PW_ROLE_FRONT | PW_ROLE_SCAN,
	.role = PW_ROLE_FRONT,
	.cost = PW_COST_CHEAP,
	.scope = PW_SCOPE_MESSAGE,
	.on_error = PW_ERR_SKIP,
	.flags = PW_FLAG_BACKGROUND,
	.timeout_ms = 15000,
	.run = run,
};
