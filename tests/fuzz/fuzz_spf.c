/* SPDX-License-Identifier: ISC */
/*
 * libFuzzer target: the SPF guard and libspf2 behind it.
 *
 * Input: three bytes that choose client, sender and what DNS says of names,
 * then lines: the TXT records.  A question for TXT of a name that begins with a
 * digit is answered with that line, any other with the line that its hash
 * chooses;
 * "=" at a line's end adds the next line to the same answer.
 */
#include <stdio.h>
#include <stdlib.h>

#include "filters/spf/spf.h"

#define MAX_LINES 16
#define MAX_QUESTIONS 140 /* as spf.h promises */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	struct pw_spf_request req;
	uint8_t world;
	struct pw_bytes line[MAX_LINES];
	size_t nlines;
};

static const char *const clients[] = {"192.0.2.1", "127.0.0.1", "2001:db8::1",
    "::1", "255.255.255.255", "0.0.0.0", "10.1.2.3", "fe80::ffff:1"};
static const char *const senders[][3] = {
    {"user", "example.com", "mx.example.com"},
    {NULL, "mx.example.com", "mx.example.com"},
    {"a.b-c+d=e_f/g,h!i%j", "a-b.c_d.example.com", "[192.0.2.1]"},
    {"with space\\and\"quotes", "example.com", "JUMPIN' JUPITER"},
    {"\xc3\xa4\xc3\xb6", "xn--bcher-kva.example", ""},
    {"............", "a.b.c.d.e.f.g.h.i.j.k.l.m.example.com", "x"},
};

static unsigned
hash(const char *s, unsigned h)
{
	for (; *s != '\0'; s++)
		h = h * 31 + (unsigned char)*s;
	return h ^ h >> 7;
}

static void
parse_input(struct input *in, const uint8_t *data, size_t size)
{
	const char *const *sender = senders[data[1] % PW_COUNT(senders)];
	struct pw_bytes rest = pw_bytes(data + 3, size - 3);

	if (pw_ip_parse(pw_bytes_of(clients[data[0] % PW_COUNT(clients)]),
		&in->req.client) != 0)
		abort();
	in->req.local = sender[0];
	in->req.domain = sender[1];
	in->req.helo = sender[2];
	in->req.now = 1700000000;
	in->req.explain = (data[1] & 0x80) != 0;
	in->world = data[2];
	while (in->nlines < MAX_LINES) {
		ptrdiff_t end = pw_bytes_chr(rest, '\n');
		size_t len = end < 0 ? rest.len : (size_t)end;

		in->line[in->nlines++] = pw_bytes_sub(
		    rest, 0, len < PW_SPF_MAX_RECORD ? len : PW_SPF_MAX_RECORD);
		if (end < 0)
			break;
		rest = pw_bytes_sub(rest, len + 1, rest.len);
	}
}

static void
answer_txt(const struct input *in, const char *name, struct pw_dns_rr *rr,
    struct pw_dns_answer *a)
{
	size_t i = pw_is_digit(name[0]) ? (unsigned)(name[0] - '0')
					: hash(name, in->world);

	for (i %= in->nlines; i < in->nlines && a->nrr < 4; i++) {
		struct pw_bytes line = in->line[i];
		bool more = line.len > 0 && line.ptr[line.len - 1] == '=';

		if (more)
			line.len--;
		rr[a->nrr++].data = line;
		if (!more)
			break;
	}
}

static void
answer(const struct input *in, const struct pw_spf_need *need,
    struct pw_dns_set *set)
{
	static const uint8_t other[16] = {198, 51, 100, 7, 1};
	struct pw_dns_rr rr[16] = {{0}};
	struct pw_dns_answer a = {
	    .name = need->name, .type = need->type, .rr = rr};
	unsigned h = hash(need->name, in->world + need->type);
	char names[16][32];

	if (need->type == PW_DNS_TXT) {
		answer_txt(in, need->name, rr, &a);
	} else if (need->type == PW_DNS_A || need->type == PW_DNS_AAAA) {
		rr[0].data = pw_bytes(h % 4 == 0 ? in->req.client.b : other,
		    need->type == PW_DNS_A ? 4 : 16);
		a.nrr = h % 5 != 0;
	} else {
		for (a.nrr = 0; a.nrr < h % 13; a.nrr++) {
			snprintf(names[a.nrr], sizeof(names[0]),
			    "h%u.example.com", h % 97 + a.nrr);
			rr[a.nrr].data = pw_bytes_of(names[a.nrr]);
		}
	}
	if (h % 23 == 0)
		a.nrr = 0;
	a.status = (uint8_t)(a.nrr > 0 ? PW_DNS_OK : PW_DNS_NODATA + h % 4);
	if (pw_dns_set_add(set, &a) != 0)
		abort();
}

static void
check_text(const char *s, size_t size)
{
	size_t n = strnlen(s, size);

	if (n == size)
		abort();
	for (size_t i = 0; i < n; i++)
		if (s[i] < ' ' || s[i] > '~')
			abort();
}

static void
check_outcome(const struct pw_spf_outcome *out)
{
	check_text(out->mechanism, sizeof(out->mechanism));
	check_text(out->domain, sizeof(out->domain));
	check_text(out->why, sizeof(out->why));
	check_text(out->explanation, sizeof(out->explanation));
	if (out->why[0] == '\0' || out->terms > PW_SPF_MAX_TERMS ||
	    out->voids > PW_SPF_MAX_VOIDS ||
	    (out->result == PW_SPF_PASS && out->mechanism[0] == '\0') ||
	    (out->result != PW_SPF_FAIL && out->explanation[0] != '\0'))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {.nlines = 0};
	struct pw_spf_outcome out;
	struct pw_pool *pool;
	struct pw_dns_set *set;
	unsigned questions = 0;

	if (size < 4)
		return 0;
	parse_input(&in, data, size);
	pool = pw_pool_new(0);
	set = pw_dns_set_new(pool);
	while (pw_spf_eval(&in.req, set, &out) == PW_AGAIN) {
		questions += out.nneed;
		if (out.nneed == 0 || questions > MAX_QUESTIONS)
			abort();
		for (unsigned i = 0; i < out.nneed; i++)
			answer(&in, &out.need[i], set);
	}
	check_outcome(&out);
	pw_pool_free(&pool);
	return 0;
}
