/* SPDX-License-Identifier: ISC */
/*
 * Judges the cases that spf_suite.py writes to its standard input (the format
 * is described there) and prints "N passed, M failed", each failure before it.
 * Answers are handed to the evaluator one question at a time, as the stage does
 * with real DNS.  Exit status 0 when all passed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filters/spf/spf.h"

#define MAX_RR 512
#define MAX_ROUNDS 200

struct zone_rr {
	char *name;
	uint16_t type; /* 0: other types time out */
	uint16_t pref;
	struct pw_bytes data;
};

static struct zone_rr zone[MAX_RR];
static size_t nzone;
static char scenario[128];

static int
hex_value(char c)
{
	return pw_is_digit(c) ? c - '0' : pw_lower(c) - 'a' + 10;
}

/* Undoes percent-encoding; the result is also NUL-terminated. */
static struct pw_bytes
decode(const char *s)
{
	char *out = pw_xcalloc(1, strlen(s) + 1);
	size_t n = 0;

	for (; *s != '\0'; s++) {
		if (*s == '%') {
			out[n++] =
			    (char)(hex_value(s[1]) << 4 | hex_value(s[2]));
			s += 2;
		} else {
			out[n++] = *s;
		}
	}
	return pw_bytes(out, n);
}

static void
forget_zone(void)
{
	for (size_t i = 0; i < nzone; i++) {
		free(zone[i].name);
		free((void *)(uintptr_t)zone[i].data.ptr);
	}
	nzone = 0;
}

/* The canonical form of a name in the zone, where spaces are no escapes. */
static char *
canonical(const char *name)
{
	char out[256];

	if (pw_dns_name(pw_bytes_of(name), out) != 0)
		snprintf(out, sizeof(out), "%.255s", name);
	return pw_xstrdup(out);
}

static void
add_rr(const char *name, const char *type, struct pw_bytes data, int pref)
{
	static const struct {
		const char *name;
		uint16_t type;
	} types[] = {{"A", PW_DNS_A}, {"AAAA", PW_DNS_AAAA}, {"MX", PW_DNS_MX},
	    {"PTR", PW_DNS_PTR}, {"TXT", PW_DNS_TXT}, {"CNAME", PW_DNS_CNAME}};
	struct zone_rr *rr = &zone[nzone];
	struct pw_ip ip;

	PW_ASSERT(nzone < MAX_RR);
	*rr = (struct zone_rr){.pref = (uint16_t)pref, .data = data};
	for (size_t i = 0; i < PW_COUNT(types); i++)
		if (strcmp(type, types[i].name) == 0)
			rr->type = types[i].type;
	if (rr->type == PW_DNS_A || rr->type == PW_DNS_AAAA) {
		PW_ASSERT(pw_ip_parse(data, &ip) == 0);
		rr->data = pw_bytes(pw_xcalloc(1, 16), ip.family == 6 ? 16 : 4);
		memcpy((void *)(uintptr_t)rr->data.ptr, ip.b, rr->data.len);
		free((void *)(uintptr_t)data.ptr);
	} else if (rr->type == PW_DNS_MX || rr->type == PW_DNS_PTR ||
		   rr->type == PW_DNS_CNAME) {
		rr->data = pw_bytes_of(
		    data.len > 0 ? canonical(data.ptr) : pw_xstrdup(""));
		free((void *)(uintptr_t)data.ptr);
	}
	rr->name = canonical(name);
	nzone++;
}

static void
answer(const struct pw_spf_need *need, struct pw_dns_set *set)
{
	struct pw_dns_rr rr[64];
	struct pw_dns_answer a = {.name = need->name,
	    .type = need->type,
	    .status = PW_DNS_NXDOMAIN,
	    .rr = rr};
	const char *name = need->name;
	bool timeout = false, again = true;

	for (int hops = 0; again && hops < 10; hops++) {
		again = false;
		for (size_t i = 0; i < nzone; i++) {
			if (strcmp(zone[i].name, name) != 0)
				continue;
			if (zone[i].type == 0)
				timeout = true;
			if (a.status == PW_DNS_NXDOMAIN)
				a.status = PW_DNS_NODATA;
			if (zone[i].type == need->type && a.nrr < 64)
				rr[a.nrr++] = (struct pw_dns_rr){
				    zone[i].pref, zone[i].data};
			if (zone[i].type == PW_DNS_CNAME) {
				name = zone[i].data.ptr;
				again = true;
				break;
			}
		}
	}
	if (a.nrr > 0)
		a.status = PW_DNS_OK;
	else if (timeout)
		a.status = PW_DNS_TIMEOUT;
	PW_ASSERT(pw_dns_set_add(set, &a) == 0);
}

/* NULL when well, else what is wrong with the outcome. */
static const char *
wrong(const struct pw_spf_outcome *out, char *results, const char *explanation)
{
	bool listed = false;
	char *save = NULL;

	for (char *r = strtok_r(results, ",", &save); r != NULL;
	     r = strtok_r(NULL, ",", &save))
		if (strcmp(r, pw_spf_result_name(out->result)) == 0)
			listed = true;
	if (!listed)
		return "result";
	if (strcmp(explanation, "DEFAULT") == 0)
		return out->explanation[0] == '\0' ? NULL : "explanation";
	/* the suite writes IPv6 nibbles in the other case */
	if (explanation[0] != '\0' &&
	    strcasecmp(explanation, out->explanation) != 0)
		return "explanation";
	return NULL;
}

static bool
judge(char *const *field)
{
	struct pw_pool *pool = pw_pool_new(0);
	struct pw_dns_set *set = pw_dns_set_new(pool);
	struct pw_spf_request req = {.helo = field[2],
	    .domain = field[2],
	    .receiver = "receiver.test",
	    .now = 1,
	    .explain = true};
	struct pw_spf_outcome out;
	char *at = strrchr(field[3], '@'), *expected = pw_xstrdup(field[4]);
	const char *what;
	int rounds = 0;

	PW_ASSERT(pw_ip_parse(pw_bytes_of(field[1]), &req.client) == 0);
	if (at != NULL) {
		*at = '\0';
		req.local = field[3];
		req.domain = at + 1;
	}
	while (pw_spf_eval(&req, set, &out) == PW_AGAIN) {
		PW_ASSERT(rounds++ < MAX_ROUNDS);
		for (unsigned i = 0; i < out.nneed; i++)
			answer(&out.need[i], set);
	}
	what = wrong(&out, expected, field[5]);
	if (what != NULL)
		printf("\nFAILED %s / %s: %s\n  expected %s \"%s\"\n"
		       "  got %s \"%s\": %s\n",
		    scenario, field[0], what, field[4], field[5],
		    pw_spf_result_name(out.result), out.explanation, out.why);
	else if (getenv("SPF_VERBOSE") != NULL)
		printf("\n%s: %s %s [%s of %s] %d rounds, %u terms, %u voids",
		    field[0], pw_spf_result_name(out.result), out.why,
		    out.mechanism, out.domain, rounds, out.terms, out.voids);
	free(expected);
	pw_pool_free(&pool);
	return what == NULL;
}

int
main(void)
{
	static char text[65536];
	unsigned passed = 0, failed = 0;

	while (fgets(text, sizeof(text), stdin) != NULL) {
		struct pw_bytes field[8] = {{NULL, 0}};
		char *word[8] = {NULL};
		size_t n = 0;
		char *rest = text, *tab;

		text[strcspn(text, "\n")] = '\0';
		while (n < 8 && (tab = strsep(&rest, "\t")) != NULL) {
			field[n] = decode(tab);
			word[n] = (char *)(uintptr_t)field[n].ptr;
			n++;
		}
		if (text[0] == 'S') {
			forget_zone();
			snprintf(scenario, sizeof(scenario), "%.127s", word[1]);
		} else if (text[0] == 'R') {
			add_rr(word[1], word[2], field[3],
			    n > 4 ? (int)strtol(word[4], NULL, 10) : 0);
			word[3] = NULL; /* the zone's now */
		} else if (text[0] == 'T') {
			add_rr(word[1], "", PW_BYTES_NONE, 0);
		} else if (text[0] == 'C' && n == 7) {
			if (judge(word + 1))
				passed++;
			else
				failed++;
		}
		for (size_t i = 0; i < n; i++)
			free(word[i]);
	}
	forget_zone();
	printf("%s%u passed, %u failed\n",
	    getenv("SPF_VERBOSE") != NULL ? "\n" : "", passed, failed);
	return failed > 0 || passed == 0;
}
