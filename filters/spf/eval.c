/* SPDX-License-Identifier: ISC */
/*
 * check_host(): one run of libspf2 over the records as far as the given answers
 * go, and what it means.
 */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>

#include <spf2/spf_request.h>
#include <spf2/spf_response.h>

#include "filters/spf/run.h"

/* Records and their terms; 11 records of 4 KB stay well below. */
#define POOL_MAX (8u << 20)

void
pw_spf_stop(
    struct pw_spf_run *run, enum pw_spf_result result, const char *fmt, ...)
{
	va_list ap;

	if (run->stopped)
		return;
	run->stopped = true;
	run->out->result = result;
	va_start(ap, fmt);
	vsnprintf(run->out->why, sizeof(run->out->why), fmt, ap);
	va_end(ap);
}

const struct pw_dns_answer *
pw_spf_ask(struct pw_spf_run *run, const char *name, uint16_t type)
{
	const struct pw_dns_answer *a =
	    pw_dns_set_get(run->answers, name, type);
	struct pw_spf_outcome *out = run->out;

	if (a != NULL)
		return a;
	run->again = true;
	for (unsigned i = 0; i < out->nneed; i++)
		if (out->need[i].type == type &&
		    strcmp(out->need[i].name, name) == 0)
			return NULL;
	if (out->nneed < PW_COUNT(out->need)) {
		struct pw_spf_need *need = &out->need[out->nneed++];

		need->type = type;
		snprintf(need->name, sizeof(need->name), "%s", name);
	}
	return NULL;
}

int
pw_spf_name(const char *text, char out[256])
{
	char plain[2 * 256];
	size_t n = 0;

	out[0] = '\0';
	for (; *text != '\0'; text++) {
		if (*text < ' ' || *text > '~' || n + 2 > sizeof(plain))
			return -1;
		if (*text == '\\') /* dns.h takes it for an escape */
			plain[n++] = '\\';
		plain[n++] = *text;
	}
	return pw_dns_name(pw_bytes(plain, n), out);
}

/* The term of the first record, or of where it redirects to, that decided:
 * the last match, or the outermost include around it. */
static const struct pw_spf_slot *
deciding_slot(const struct pw_spf_slot *leaf)
{
	const struct pw_spf_slot *slot = leaf, *via;

	for (via = leaf->frame->via; via->frame != NULL; via = via->frame->via)
		if (via->term->mech == PW_SPF_INCLUDE)
			slot = via;
	return slot;
}

/* Addresses that TERM gives its pass to, for clients of FAMILY; IPv6 in units
 * of a /48. */
static uint64_t
granted_by(const struct pw_spf_term *term, uint8_t family)
{
	bool net6 = family == 6 && term->mech != PW_SPF_IP4;
	bool net4 = family == 4 && term->mech != PW_SPF_IP6;
	bool is_net = term->mech == PW_SPF_IP4 || term->mech == PW_SPF_IP6 ||
	    term->mech == PW_SPF_A || term->mech == PW_SPF_MX;

	if (!is_net || term->qualifier != PW_SPF_PASS)
		return 0;
	if (net4 && term->bits4 <= 32)
		return UINT64_C(1) << (32 - term->bits4);
	if (net6 && term->bits6 <= 48)
		return UINT64_C(1) << (48 - term->bits6);
	return 0;
}

/*
 * Do the networks of all records that were read, up to the match, reach the
 * size of a wide one together?  Many small networks are as wide as one large.
 */
static bool
is_wide_together(const struct pw_spf_run *run)
{
	uint8_t family = run->req->client.family;
	uint64_t sum = 0, wide = family == 6 ?
	    UINT64_C(1) << (48 - PW_SPF_WIDE_6) :
	    UINT64_C(1) << (32 - PW_SPF_WIDE_4);

	for (unsigned f = 0; f < run->nframes; f++) {
		const struct pw_spf_record *r = &run->frames[f].record;

		for (size_t i = 0; i < r->nterms && sum < wide; i++)
			sum += granted_by(&r->terms[i], family);
	}
	return sum >= wide;
}

static void
describe_match(struct pw_spf_run *run)
{
	const struct pw_spf_slot *leaf = run->leaf, *slot = deciding_slot(leaf);
	const struct pw_spf_term *t = leaf->term;
	struct pw_bytes shown = pw_bytes_sub(t->text, 0, PW_SPF_SHOWN);
	struct pw_spf_outcome *out = run->out;
	int n;

	snprintf(out->mechanism, sizeof(out->mechanism), "%.*s",
	    (int)slot->term->text.len, slot->term->text.ptr);
	snprintf(out->domain, sizeof(out->domain), "%s", slot->frame->domain);
	n = snprintf(out->why, sizeof(out->why),
	    "matched \"%.*s\" in the record of %s", (int)shown.len, shown.ptr,
	    leaf->frame->domain);
	if (slot != leaf && (size_t)n < sizeof(out->why))
		snprintf(out->why + n, sizeof(out->why) - (size_t)n,
		    ", included by %s", slot->frame->domain);
	if (t->mech == PW_SPF_IP4 || t->mech == PW_SPF_IP6 ||
	    t->mech == PW_SPF_A || t->mech == PW_SPF_MX)
		out->bits = run->req->client.family == 6 ? t->bits6 : t->bits4;
	if (out->result != PW_SPF_PASS)
		return;
	out->pass_all = t->mech == PW_SPF_ALL;
	out->pass_wide = !out->pass_all && is_wide_together(run);
}

/* The library's verdict where the run was not stopped. */
static void
take_verdict(struct pw_spf_run *run, SPF_response_t *response)
{
	struct pw_spf_outcome *out = run->out;

	switch (SPF_response_result(response)) {
	case SPF_RESULT_PASS:
		out->result = PW_SPF_PASS;
		break;
	case SPF_RESULT_FAIL:
		out->result = PW_SPF_FAIL;
		break;
	case SPF_RESULT_SOFTFAIL:
		out->result = PW_SPF_SOFTFAIL;
		break;
	case SPF_RESULT_NEUTRAL:
		out->result = PW_SPF_NEUTRAL;
		break;
	default:
		pw_spf_stop(run, PW_SPF_TEMPERROR, "libspf2: %s",
		    SPF_strerror(SPF_response_errcode(response)));
		return;
	}
	if (SPF_response_reason(response) == SPF_REASON_MECH &&
	    run->leaf != NULL) {
		describe_match(run);
		return;
	}
	snprintf(out->mechanism, sizeof(out->mechanism), "default");
	snprintf(out->domain, sizeof(out->domain), "%s", run->top->domain);
	snprintf(out->why, sizeof(out->why),
	    "no term of the record of %s matched", run->top->domain);
}

/*
 * The library is told a client and a sender of ours: all that depends on the
 * real ones is decided in mech.c, its free pass for loopback clients and its
 * own expansion of macros included.
 */
static void
walk(struct pw_spf_run *run)
{
	SPF_response_t *response = NULL;
	SPF_dns_server_t layer;
	SPF_server_t *server;
	SPF_request_t *request;

	pw_spf_layer_init(&layer, run);
	server = SPF_server_new_dns(&layer, 0);
	PW_ASSERT(server != NULL);
	/* counted by us, over the whole evaluation */
	SPF_server_set_max_dns_mech(server, PW_SPF_MAX_SLOTS);
	request = SPF_request_new(server);
	PW_ASSERT(request != NULL);
	SPF_request_set_ipv4_str(request, "192.0.2.1");
	SPF_request_set_env_from(request, "x@" PW_SPF_ROOT_NAME);
	SPF_request_query_mailfrom(request, &response);
	PW_ASSERT(response != NULL);
	if (!run->again && !run->stopped)
		take_verdict(run, response);
	SPF_response_free(response);
	SPF_request_free(request);
	SPF_server_free(server);
}

int
pw_spf_eval(const struct pw_spf_request *req, const struct pw_dns_set *answers,
    struct pw_spf_outcome *out)
{
	struct pw_pool *pool = pw_pool_new(POOL_MAX);
	struct pw_spf_run *run = pw_pool_alloc(pool, sizeof(*run));
	struct pw_bytes host;

	PW_ASSERT(run != NULL);
	*out = (struct pw_spf_outcome){.bits = -1};
	run->req = req;
	run->answers = answers;
	run->out = out;
	run->pool = pool;
	run->nslots = 1; /* slot 0: the request */
	if (req->client.family == 0) {
		pw_spf_stop(run, PW_SPF_NONE, "the client has no address");
	} else if (pw_valid_hostname(
		       pw_peer(pw_bytes_of(req->domain)), false, &host) != 0) {
		pw_spf_stop(run, PW_SPF_NONE, "the sender has no domain name");
	} else {
		walk(run);
		if (out->result == PW_SPF_FAIL && req->explain && !run->again)
			pw_spf_explain(run);
	}
	pw_pool_free(&pool);
	return out->nneed > 0 ? PW_AGAIN : PW_OK;
}

const char *
pw_spf_result_name(enum pw_spf_result result)
{
	static const char *const names[] = {"none", "neutral", "pass", "fail",
	    "softfail", "temperror", "permerror"};

	return (unsigned)result < PW_COUNT(names) ? names[result] : "none";
}
