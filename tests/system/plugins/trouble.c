/* SPDX-License-Identifier: ISC */
/*
 * A stage that does what the message's field X-Do says: for tests of what its
 * host makes of crashes, hangs and garbage.  Built by test_stages.py.  NAME,
 * NEED, ROLES and COST may be given to the compiler.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <postward/stage.h>

#ifndef NAME
#define NAME "trouble"
#endif
#ifndef NEED
#define NEED 0
#endif
#ifndef ROLES
#define ROLES (PW_ROLE_SCAN | PW_ROLE_FRONT)
#endif
#ifndef COST
#define COST PW_COST_NORMAL
#endif
#ifndef TIMEOUT
#define TIMEOUT 1000
#endif
#ifndef ABI
#define ABI PW_STAGE_ABI
#endif
#ifndef FEATURES
#define FEATURES PW_STAGE_FEATURES
#endif
#ifndef SIZE
#define SIZE sizeof(struct pw_stage)
#endif

static const struct pw_host *host;

static void
pause_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	(void)nanosleep(&ts, NULL);
}

static void
eat_memory(void)
{
	size_t step = (size_t)16 << 20;
	char *p;

	while ((p = malloc(step)) != NULL)
		memset(p, 1, step);
	abort();
}

static void
huge(struct pw_ctx *ctx)
{
	size_t n = (size_t)1 << 20;
	char *text = malloc(n + 1);

	if (text == NULL)
		return;
	memset(text, 'x', n);
	text[n] = '\0';
	host->evidence(ctx, "TROUBLE", 1, text);
	host->evidence(ctx, "TROUBLE", 1e300, "a factor above its bound");
	free(text);
}

static void
garble(struct pw_ctx *ctx)
{
	static const char odd[] = "one\r\nX-Injected: two\x01\xff\0three";
	struct pw_fact f = { .type = PW_FACT_TEXT,
		.text = { odd, sizeof(odd) - 1 } };

	host->evidence(ctx, "TROUBLE", 1, odd);
	(void)host->provide(ctx, "trouble.fact", 0, &f);
	(void)host->add_field(ctx, "X-Trouble", odd);
	(void)host->add_field(ctx, "Subject\r\nX-Injected", "x");
	(void)host->add_field(ctx, "Received", "forged");
	(void)host->authres(ctx, "spf\r\n", "pass;", "smtp.mailfrom=\"", odd);
	(void)host->cut(ctx, 0, 10, "not its business");
}

static void
facts(struct pw_ctx *ctx)
{
	struct pw_fact f = { .type = PW_FACT_TEXT, .text = { "pass", 4 } };

	(void)host->provide(ctx, "spf.mailfrom.result", 0, &f);
	f.type = 9;
	(void)host->provide(ctx, "trouble.fact", 0, &f);
	f.type = PW_FACT_TEXT;
	(void)host->provide(ctx, "trouble.fact", SIZE_MAX, &f);
	host->evidence(ctx, "TROUBLE", 1, "undeclared facts");
}

static void
parts(struct pw_ctx *ctx)
{
	struct pw_part p;
	char text[128];

	for (size_t i = 0; host->part(ctx, i, &p) == 0; i++) {
		snprintf(text, sizeof(text), "%.*s/%.*s: %.*s",
		    (int)p.type.len, p.type.ptr, (int)p.subtype.len,
		    p.subtype.ptr, (int)(p.content.len < 40 ? p.content.len :
		    40), p.content.ptr);
		host->evidence(ctx, "TROUBLE", 0.01, text);
	}
}

static enum pw_run
act(struct pw_ctx *ctx, const char *what)
{
	if (strncmp(what, "crash", 5) == 0)
		raise(SIGSEGV);
	else if (strncmp(what, "hang", 4) == 0)
		for (;;)
			pause_ms(1000);
	else if (strncmp(what, "sleep ", 6) == 0)
		pause_ms(strtol(what + 6, NULL, 10));
	else if (strncmp(what, "memory", 6) == 0)
		eat_memory();
	else if (strncmp(what, "outcome", 7) == 0)
		return (enum pw_run)77;
	else if (strncmp(what, "symbol", 6) == 0)
		host->evidence(ctx, "SPF_PASS", 1, "not its own");
	else if (strncmp(what, "huge", 4) == 0)
		huge(ctx);
	else if (strncmp(what, "garble", 6) == 0)
		garble(ctx);
	else if (strncmp(what, "many", 4) == 0)
		for (int i = 0; i < 10000; i++)
			host->evidence(ctx, "TROUBLE", 0.001, "one of many");
	else if (strncmp(what, "facts", 5) == 0)
		facts(ctx);
	else if (strncmp(what, "error", 5) == 0) {
		host->fail(ctx, "as it was told");
		return PW_RUN_ERROR;
	} else if (strncmp(what, "pending", 7) == 0)
		return PW_RUN_PENDING;
	else if (strncmp(what, "parts", 5) == 0)
		parts(ctx);
	else if (strncmp(what, "hit", 3) == 0)
		host->evidence(ctx, "TROUBLE", 1, "as it was told");
	return PW_RUN_NEXT;
}

static int
init(const struct pw_host *h, const struct pw_stage_conf *conf,
    void **instance, char *err, size_t errlen)
{
	host = h;
	*instance = NULL;
	if (strcmp(h->option(conf, "start"), "no") != 0)
		return 0;
	snprintf(err, errlen, "it does not want to start; write start=yes");
	return -1;
}

static enum pw_run
run(void *instance, struct pw_ctx *ctx, enum pw_phase phase)
{
	struct pw_slice name, raw;
	char what[64] = "";

	(void)instance;
	(void)phase;
	for (size_t i = 0; host->field(ctx, i, &name, &raw) == 0; i++) {
		if (name.len != 4 || strncasecmp(name.ptr, "X-Do", 4) != 0 ||
		    raw.len < 8)
			continue;
		size_t n = raw.len - 6 < sizeof(what) - 1 ? raw.len - 6 :
		    sizeof(what) - 1;
		memcpy(what, raw.ptr + 6, n);
		what[n] = '\0';
	}
	return act(ctx, what);
}

static const struct pw_symbol symbols[] = {
	{ "TROUBLE", 2, "it was told to say so" }, { NULL, 0, NULL } };
static const struct pw_stage_option options[] = {
	{ "start", "yes", "whether it starts" }, { NULL, NULL, NULL } };
static const char *const provides[] = { NAME ".fact", NULL };
static const struct pw_stage stage = { .size = SIZE, .abi = ABI,
	.features = FEATURES, .name = NAME, .version = "1",
	.help = "does what it is told", .phases = PW_PHASE_BIT(PW_PHASE_BODY),
	.provides = provides, .symbols = symbols, .options = options,
	.roles = ROLES, .role = ROLES & PW_ROLE_SCAN ? PW_ROLE_SCAN :
	PW_ROLE_FRONT, .cost = COST, .scope = PW_SCOPE_MESSAGE,
	.on_error = PW_ERR_SKIP, .environment = NEED, .timeout_ms = TIMEOUT,
	.init = init, .run = run };

const struct pw_stage *
pw_stage_entry(void)
{
	return &stage;
}
