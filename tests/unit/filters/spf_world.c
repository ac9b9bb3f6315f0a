/* SPDX-License-Identifier: ISC */
/* The world of spf_world.h. */
#include <check.h>
#include <stdarg.h>

#include "spf_world.h"

#define MAX_ANSWERS 240

struct spf_world spf;

void
spf_world_setup(void)
{
	spf.pool = pw_pool_new(0);
	spf.set = pw_dns_set_new(spf.pool);
	spf.world = pw_dns_set_new(spf.pool);
	spf.req = (struct pw_spf_request){.domain = "example.com",
	    .local = "user",
	    .helo = "mx.example.com",
	    .explain = true};
	ck_assert_int_eq(pw_ip_parse(PW_LIT("192.0.2.1"), &spf.req.client), 0);
}

void
spf_world_teardown(void)
{
	pw_pool_free(&spf.pool);
}

void
spf_have(const char *name, unsigned type, ...)
{
	struct pw_dns_rr rr[64];
	struct pw_dns_answer a = {
	    .name = name, .type = (uint16_t)type, .rr = rr};
	const char *text;
	va_list ap;

	va_start(ap, type);
	while ((text = va_arg(ap, const char *)) != NULL) {
		struct pw_bytes b = pw_pool_copy(spf.pool, pw_bytes_of(text));
		struct pw_ip ip;

		if (type == PW_DNS_A || type == PW_DNS_AAAA) {
			ck_assert_int_eq(pw_ip_parse(b, &ip), 0);
			b = pw_pool_copy(spf.pool,
			    pw_bytes(ip.b, type == PW_DNS_A ? 4 : 16));
		}
		rr[a.nrr++] = (struct pw_dns_rr){0, b};
	}
	va_end(ap);
	a.status = a.nrr > 0 ? PW_DNS_OK : PW_DNS_NODATA;
	ck_assert_int_eq(pw_dns_set_add(spf.world, &a), 0);
}

void
spf_have_status(const char *name, uint16_t type, uint8_t status)
{
	struct pw_dns_answer a = {.name = name, .type = type, .status = status};

	ck_assert_int_eq(pw_dns_set_add(spf.world, &a), 0);
}

void
spf_evaluate(void)
{
	spf.rounds = spf.questions = 0;
	while (pw_spf_eval(&spf.req, spf.set, &spf.out) == PW_AGAIN) {
		ck_assert_uint_gt(spf.out.nneed, 0);
		ck_assert_uint_lt(spf.rounds++, MAX_ANSWERS);
		for (unsigned i = 0; i < spf.out.nneed; i++) {
			const struct pw_spf_need *need = &spf.out.need[i];
			struct pw_dns_answer none = {.name = need->name,
			    .type = need->type,
			    .status = PW_DNS_NXDOMAIN};
			const struct pw_dns_answer *a =
			    pw_dns_set_get(spf.world, need->name, need->type);

			spf.questions++;
			ck_assert_str_ne(need->name, "");
			ck_assert_int_eq(
			    pw_dns_set_add(spf.set, a != NULL ? a : &none), 0);
		}
	}
}

void
spf_expect_from(const char *client, enum pw_spf_result result)
{
	ck_assert_int_eq(pw_ip_parse(pw_bytes_of(client), &spf.req.client), 0);
	spf_evaluate();
	ck_assert_msg(spf.out.result == result, "%s: %s (%s), not %s", client,
	    pw_spf_result_name(spf.out.result), spf.out.why,
	    pw_spf_result_name(result));
}

void
spf_expect(enum pw_spf_result result)
{
	spf_expect_from("192.0.2.1", result);
}
