/* SPDX-License-Identifier: ISC */
/*
 * A stage that asks DNS in two steps and provides facts: is one of the sender's
 * mail exchangers the client itself?  For the test of postward-stage-test.
 */
#include <string.h>

#include <postward/stage.h>

#define TYPE_A 1
#define TYPE_MX 15

static const struct pw_host *host;

static int
init(const struct pw_host *h, const struct pw_stage_conf *conf,
    void **instance, char *err, size_t errlen)
{
	(void)conf, (void)err, (void)errlen;
	host = h;
	*instance = NULL;
	return 0;
}

static void
provide_int(struct pw_ctx *ctx, const char *name, int64_t n)
{
	struct pw_fact f = { .type = PW_FACT_INT, .num = n };

	(void)host->provide(ctx, name, 0, &f);
}

static enum pw_run
run(void *instance, struct pw_ctx *ctx, enum pw_phase phase)
{
	struct pw_fact domain, ip, f;
	struct pw_dns_reply mx, a;
	char name[256];
	size_t n = 0;

	(void)instance;
	(void)phase;
	if (host->fact(ctx, "mail.domain", 0, &domain) != 0 ||
	    host->fact(ctx, "peer.ip", 0, &ip) != 0 || domain.text.len > 255)
		return PW_RUN_NA;
	memcpy(name, domain.text.ptr, domain.text.len);
	name[domain.text.len] = '\0';
	if (host->dns(ctx, name, TYPE_MX, &mx) != 0)
		return PW_RUN_PENDING;
	if (mx.count == 0)
		return PW_RUN_NEXT;
	memcpy(name, mx.record[0].data.ptr, mx.record[0].data.len);
	name[mx.record[0].data.len] = '\0';
	if (host->dns(ctx, name, TYPE_A, &a) != 0)
		return PW_RUN_PENDING;
	f = (struct pw_fact){ .type = PW_FACT_TEXT,
		.text = mx.record[0].data };
	(void)host->provide(ctx, "asking.mx", 0, &f);
	while (host->fact(ctx, "rcpt.address", n, &f) == 0)
		n++;
	provide_int(ctx, "asking.rcpts", (int64_t)n);
	provide_int(ctx, "asking.mine", a.count > 0 && ip.family == 4 &&
	    memcmp(a.record[0].data.ptr, ip.ip, 4) == 0);
	return PW_RUN_NEXT;
}

static const char *const provides[] = { "asking.mx", "asking.rcpts",
	"asking.mine", NULL };
static const struct pw_stage stage = { .size = sizeof(struct pw_stage),
	.abi = PW_STAGE_ABI, .features = PW_STAGE_FEATURES, .name = "asking",
	.version = "1", .help = "asks DNS",
	.phases = PW_PHASE_BIT(PW_PHASE_MAIL), .provides = provides,
	.roles = PW_ROLE_SCAN | PW_ROLE_FRONT, .role = PW_ROLE_SCAN,
	.scope = PW_SCOPE_MESSAGE, .timeout_ms = 5000, .init = init,
	.run = run };

const struct pw_stage *
pw_stage_entry(void)
{
	return &stage;
}
