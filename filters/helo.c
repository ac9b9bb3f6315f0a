/* SPDX-License-Identifier: ISC */
/*
 * Stage helo: is the name that the client gives itself plausible?  RFC 5321
 * section 4.1.4 forbids to refuse mail because the name does not point at the
 * client, so all of this is evidence of modest weight.  Runs in front, in the
 * background.
 *
 * Looked at with the sender, not with HELO, since a client greets again behind
 * STARTTLS and only the name that it sends under counts.
 */
#include <stdio.h>

#include "base/valid.h"
#include "dns/dns.h"
#include "filters/eval.h"
#include "filters/registry.h"

static const char *const needs[] = { "peer.ip", "helo.name?", "host.name",
	NULL };
static const char *const provides[] = { "helo.result", NULL };
static const struct pw_symbol symbols[] = {
	{ "HELO_NOT_NAME", 1.0, "HELO is neither a host name nor an address "
	    "literal" },
	{ "HELO_OURS", 2.0, "HELO is our own name or address" },
	{ "HELO_LITERAL", 0.2, "HELO is the client's address in brackets" },
	{ "HELO_LITERAL_OTHER", 1.0, "HELO is another address in brackets" },
	{ "HELO_UNKNOWN", 0.5, "the HELO name has no address" },
	{ "HELO_MISMATCH", 0.2, "the HELO name has other addresses" },
	{ NULL, 0, NULL }
};

struct asking {
	struct pw_ctx *ctx;
	struct pw_ip peer;
	bool pending, temporary;
};

static const char *
text_of(struct pw_ctx *ctx, const char *fact)
{
	const struct pw_host *h = pw_host_table();
	struct pw_fact f;
	char *s;

	if (h->fact(ctx, fact, 0, &f) < 0 || f.type != PW_FACT_TEXT ||
	    (s = h->alloc(ctx, f.text.len + 1)) == NULL)
		return "";
	if (f.text.len > 0)
		memcpy(s, f.text.ptr, f.text.len);
	return s;
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]"; also without brackets where BARE. */
static bool
read_literal(struct pw_bytes s, bool bare, struct pw_ip *out)
{
	if (s.len > 2 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']') {
		s = pw_bytes_sub(s, 1, s.len - 2);
		if (pw_bytes_has_prefix_ci(s, PW_LIT("IPv6:")))
			s = pw_bytes_sub(s, 5, s.len);
		return pw_ip_parse(s, out) == 0;
	}
	return bare && pw_ip_parse(s, out) == 0;
}

/* Does NAME have the address IP?  *any: it has some of that family. */
static bool
points_at(struct asking *a, const char *name, const struct pw_ip *ip,
    bool *any)
{
	size_t len = ip->family == 4 ? 4 : 16;
	struct pw_dns_reply r;

	if (pw_host_table()->dns(a->ctx, name, ip->family == 4 ? PW_DNS_A :
	    PW_DNS_AAAA, &r) == 1) {
		a->pending = true;
		return false;
	}
	if (pw_dns_is_temporary(r.status))
		a->temporary = true;
	for (size_t i = 0; r.status == PW_DNS_OK && i < r.count; i++) {
		*any = true;
		if (r.record[i].data.len == len &&
		    memcmp(r.record[i].data.ptr, ip->b, len) == 0)
			return true;
	}
	return false;
}

/* The result, "" while answers are missing; *symbol may stay NULL. */
static const char *
judge_literal(struct asking *a, const struct pw_ip *ip, const char *ours,
    bool bare, const char **symbol)
{
	bool any = false;

	if (pw_ip_eq(ip, &a->peer)) {
		*symbol = bare ? "HELO_NOT_NAME" : "HELO_LITERAL";
		return "literal";
	}
	if (points_at(a, ours, ip, &any)) {
		*symbol = "HELO_OURS";
		return "ours";
	}
	*symbol = bare ? "HELO_NOT_NAME" : "HELO_LITERAL_OTHER";
	return a->pending ? "" : "mismatch";
}

static const char *
judge_name(struct asking *a, const char *name, bool is_ours,
    const char **symbol)
{
	struct pw_ip other = { .family = a->peer.family == 4 ? 6 : 4 };
	bool any = false;

	if (points_at(a, name, &a->peer, &any))
		return "match";
	/* Of the other family it cannot be the peer's, but then it is known. */
	if (!any && !is_ours && !a->pending && !a->temporary)
		(void)points_at(a, name, &other, &any);
	if (a->pending)
		return "";
	if (a->temporary)
		return "temperror";
	*symbol = is_ours ? "HELO_OURS" : any ? "HELO_MISMATCH" :
	    "HELO_UNKNOWN";
	return is_ours ? "ours" : any ? "mismatch" : "unknown";
}

static enum pw_run
run(void *instance, struct pw_ctx *ctx, enum pw_phase phase)
{
	const struct pw_host *h = pw_host_table();
	struct asking a = { .ctx = ctx };
	const char *helo = text_of(ctx, "helo.name");
	const char *ours = text_of(ctx, "host.name");
	const char *symbol = NULL, *result;
	struct pw_bytes name = pw_bytes_of(helo);
	struct pw_fact f;
	struct pw_ip ip;

	(void)instance;
	(void)phase;
	if (h->fact(ctx, "peer.ip", 0, &f) < 0 || f.type != PW_FACT_IP ||
	    helo[0] == '\0')
		return PW_RUN_NA;
	a.peer.family = f.family;
	memcpy(a.peer.b, f.ip, sizeof(a.peer.b));
	if (pw_ip_is_loopback(&a.peer))
		return PW_RUN_NA;
	if (read_literal(name, true, &ip)) {
		result = judge_literal(&a, &ip, ours, helo[0] != '[',
		    &symbol);
	} else if (pw_valid_hostname(pw_peer(name), false, &name) < 0) {
		symbol = "HELO_NOT_NAME";
		result = "none";
	} else {
		result = judge_name(&a, helo, pw_bytes_caseeq(name,
		    pw_bytes_of(ours)), &symbol);
	}
	if (result[0] == '\0')
		return PW_RUN_PENDING;
	f = (struct pw_fact){ .type = PW_FACT_TEXT,
		.text = { result, strlen(result) } };
	h->provide(ctx, "helo.result", 0, &f);
	if (symbol != NULL)
		h->evidence(ctx, symbol, 1, helo);
	return PW_RUN_NEXT;
}

const struct pw_stage pw_stage_helo = {
	.size = sizeof(struct pw_stage),
	.abi = PW_STAGE_ABI,
	.features = PW_STAGE_FEATURES,
	.name = "helo",
	.version = "1",
	.help = "whether the client's HELO name is plausible (RFC 5321)",
	.phases = PW_PHASE_BIT(PW_PHASE_MAIL),
	.needs = needs,
	.provides = provides,
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
