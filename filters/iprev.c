/* SPDX-License-Identifier: ISC */
/*
 * Stage iprev: does the client's address have a name, and does that name point
 * back at the address (RFC 8601 section 3)?  Runs in front, in the background:
 * neither the banner nor any reply waits for it, the end of data does.
 */
#include <stdio.h>

#include "base/valid.h"
#include "dns/dns.h"
#include "filters/eval.h"
#include "filters/rdns.h"
#include "filters/registry.h"

#define NAMES_MAX 10u /* PTR records looked at */

static const char *const needs[] = { "peer.ip", NULL };
static const char *const provides[] = { "iprev.name", "iprev.result", NULL };
static const struct pw_symbol symbols[] = {
	{ "IPREV_PASS", 0.0, "the client's address has a confirmed name" },
	{ "IPREV_FAIL", 0.5, "the client's name does not point back at it" },
	{ "IPREV_TEMPERROR", 0.0, "the client's name could not be looked up" },
	{ "IPREV_NONE", 1.0, "the client's address has no name" },
	{ "IPREV_GENERIC", 0.5, "the client's name is made of its address" },
	{ NULL, 0, NULL }
};

static void
report(struct pw_ctx *ctx, const char *symbol, const char *result,
    const struct pw_ip *ip, const char *name, const char *text)
{
	const struct pw_host *h = pw_host_table();
	char ip_text[PW_IP_STRLEN], props[96];
	struct pw_fact f = { .type = PW_FACT_TEXT };

	pw_ip_format(ip, ip_text);
	snprintf(props, sizeof(props), "policy.iprev=%s", ip_text);
	h->evidence(ctx, symbol, 1, text);
	h->authres(ctx, "iprev", result, props, NULL);
	if (name != NULL && pw_rdns_is_generic(name, ip))
		h->evidence(ctx, "IPREV_GENERIC", 1, name);
	f.text = (struct pw_slice){ result, strlen(result) };
	h->provide(ctx, "iprev.result", 0, &f);
	if (name == NULL)
		return;
	f.text = (struct pw_slice){ name, strlen(name) };
	h->provide(ctx, "iprev.name", 0, &f);
}

static bool
points_back(const struct pw_dns_reply *r, const struct pw_ip *ip)
{
	size_t len = ip->family == 4 ? 4 : 16;

	for (size_t i = 0; i < r->count; i++)
		if (r->record[i].data.len == len &&
		    memcmp(r->record[i].data.ptr, ip->b, len) == 0)
			return true;
	return false;
}

/* The names' addresses: the name that points back, or NULL. */
static const char *
confirm(struct pw_ctx *ctx, const struct pw_dns_reply *names,
    const struct pw_ip *ip, bool *pending, bool *temporary)
{
	const struct pw_host *h = pw_host_table();
	uint16_t type = ip->family == 4 ? PW_DNS_A : PW_DNS_AAAA;

	for (size_t i = 0; i < names->count && i < NAMES_MAX; i++) {
		struct pw_dns_reply r;
		char *name = h->alloc(ctx, names->record[i].data.len + 1);

		if (name == NULL)
			return NULL;
		memcpy(name, names->record[i].data.ptr,
		    names->record[i].data.len);
		if (h->dns(ctx, name, type, &r) == 1)
			*pending = true;
		else if (pw_dns_is_temporary(r.status))
			*temporary = true;
		else if (r.status == PW_DNS_OK && points_back(&r, ip))
			return name;
	}
	return NULL;
}

static enum pw_run
run(void *instance, struct pw_ctx *ctx, enum pw_phase phase)
{
	const struct pw_host *h = pw_host_table();
	char arpa[PW_IP_ARPA_LEN];
	bool pending = false, temporary = false;
	struct pw_dns_reply names;
	struct pw_ip ip = { 0 };
	struct pw_fact f;
	const char *name;

	(void)instance;
	(void)phase;
	if (h->fact(ctx, "peer.ip", 0, &f) < 0 || f.type != PW_FACT_IP)
		return PW_RUN_NA;
	ip.family = f.family;
	memcpy(ip.b, f.ip, sizeof(ip.b));
	pw_ip_arpa(&ip, arpa);
	if (h->dns(ctx, arpa, PW_DNS_PTR, &names) == 1)
		return PW_RUN_PENDING;
	if (names.status != PW_DNS_OK) {
		temporary = pw_dns_is_temporary(names.status);
		report(ctx, temporary ? "IPREV_TEMPERROR" : "IPREV_NONE",
		    temporary ? "temperror" : "permerror", &ip, NULL, temporary ? "the name could not be looked up" :
		    "the address has no name");
		return PW_RUN_NEXT;
	}
	name = confirm(ctx, &names, &ip, &pending, &temporary);
	if (name != NULL)
		report(ctx, "IPREV_PASS", "pass", &ip, name, name);
	else if (pending)
		return PW_RUN_PENDING;
	else
		report(ctx, temporary ? "IPREV_TEMPERROR" : "IPREV_FAIL",
		    temporary ? "temperror" : "fail", &ip, NULL, temporary ? "a name could not be looked up" :
		    "none of its names points back at the address");
	return PW_RUN_NEXT;
}

const struct pw_stage pw_stage_iprev = {
	.size = sizeof(struct pw_stage),
	.abi = PW_STAGE_ABI,
	.features = PW_STAGE_FEATURES,
	.name = "iprev",
	.version = "1",
	.help = "the client's name and whether it points back (RFC 8601)",
	.phases = PW_PHASE_BIT(PW_PHASE_CONNECT),
	.needs = needs,
	.provides = provides,
	.symbols = symbols,
	.roles = PW_ROLE_FRONT | PW_ROLE_SCAN,
	.role = PW_ROLE_FRONT,
	.cost = PW_COST_CHEAP,
	.scope = PW_SCOPE_SESSION,
	.on_error = PW_ERR_SKIP,
	.flags = PW_FLAG_BACKGROUND,
	.timeout_ms = 20000,
	.run = run,
};
