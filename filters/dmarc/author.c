/* SPDX-License-Identifier: ISC */
/*
 * Stage from: who the message says that it is from, and what is wrong with how
 * it says so.  It also asks for the policy records of those domains, beside the
 * keys that dkim asks for: so dmarc, which runs after both, finds them there.
 */
#include <gmime/gmime.h>
#include <stdio.h>

#include "filters/dmarc/dmarc.h"
#include "filters/eval.h"
#include "filters/registry.h"

static const char *const provides[] = { "from.domain", "from.fields",
	"from.fault", NULL };
static const struct pw_symbol symbols[] = {
	{ "FROM_MISSING", 2.0, "there is no From field" },
	{ "FROM_FIELDS", 3.0, "several From fields" },
	{ "FROM_SEVERAL", 0.5, "several author addresses" },
	{ "FROM_DOMAINS", 1.0, "author addresses of several domains" },
	{ "FROM_MALFORMED", 1.0, "a From field that is malformed" },
	{ NULL, 0, NULL }
};

static int
init(const struct pw_host *host, const struct pw_stage_conf *conf,
    void **instance, char *err, size_t errlen)
{
	(void)host;
	(void)conf;
	(void)err;
	(void)errlen;
	*instance = NULL;
	g_mime_init();
	return 0;
}

static void
say(struct pw_ctx *ctx, const char *name, size_t index, const char *text)
{
	struct pw_fact f = { .type = PW_FACT_TEXT,
		.text = { text, strlen(text) } };

	(void)pw_host_table()->provide(ctx, name, index, &f);
}

static bool
is_from(struct pw_slice name)
{
	return pw_bytes_caseeq(pw_bytes(name.ptr, name.len), PW_LIT("From"));
}

static void
read_from(struct pw_ctx *ctx, struct pw_dmarc_from *f)
{
	const struct pw_host *h = pw_host_table();
	struct pw_slice name, raw;

	*f = (struct pw_dmarc_from){ 0 };
	for (size_t i = 0; h->field(ctx, i, &name, &raw) == 0; i++) {
		struct pw_bytes all = pw_bytes(raw.ptr, raw.len);
		ptrdiff_t colon = pw_bytes_chr(all, ':');

		if (is_from(name) && colon >= 0)
			pw_dmarc_from_add(f, pw_bytes_sub(all,
			    (size_t)colon + 1, all.len));
	}
}

static void
report_from(struct pw_ctx *ctx, const struct pw_dmarc_from *f)
{
	const struct pw_host *h = pw_host_table();
	struct pw_fact fields = { .type = PW_FACT_INT, .num = f->fields };
	char text[80];

	h->provide(ctx, "from.fields", 0, &fields);
	for (unsigned i = 0; i < f->n; i++)
		say(ctx, "from.domain", i, f->domain[i]);
	if (f->fields == 0)
		h->evidence(ctx, "FROM_MISSING", 1, "");
	if (f->fields > 1) {
		snprintf(text, sizeof(text), "%u fields", f->fields);
		h->evidence(ctx, "FROM_FIELDS", 1, text);
	}
	snprintf(text, sizeof(text), "%u addresses of %u domains",
	    f->addresses, f->n);
	if (f->n > 1)
		h->evidence(ctx, "FROM_DOMAINS", 1, text);
	else if (f->addresses > 1)
		h->evidence(ctx, "FROM_SEVERAL", 1, text);
	if (f->fault != NULL) {
		say(ctx, "from.fault", 0, f->fault);
		h->evidence(ctx, "FROM_MALFORMED", 1, f->fault);
	}
}

static int
ask(void *arg, const char *name, uint16_t type, struct pw_dns_reply *out)
{
	return pw_host_table()->dns(arg, name, type, out);
}

static enum pw_run
run(void *instance, struct pw_ctx *ctx, enum pw_phase phase)
{
	/* With the public suffix list the names are some of these. */
	struct pw_dmarc_source src = { ask, ctx, NULL };
	struct pw_dmarc_from f;
	struct pw_dmarc_walk w;
	bool pending = false;

	(void)instance;
	(void)phase;
	read_from(ctx, &f);
	for (unsigned i = 0; i < f.n; i++)
		pending |= pw_dmarc_walk(&src, f.domain[i], &w) == PW_AGAIN;
	if (pending)
		return PW_RUN_PENDING;
	if (f.more) {
		/* Whom it would be shown to be from is anybody's guess. */
		pw_host_table()->fail(ctx, "more From fields or author "
		    "domains than are judged");
		return PW_RUN_ERROR;
	}
	report_from(ctx, &f);
	return PW_RUN_NEXT;
}

const struct pw_stage pw_stage_from = {
	.size = sizeof(struct pw_stage),
	.abi = PW_STAGE_ABI,
	.features = PW_STAGE_FEATURES,
	.name = "from",
	.version = "1",
	.help = "who the message says that it is from (RFC 5322)",
	.phases = PW_PHASE_BIT(PW_PHASE_HEADER),
	.provides = provides,
	.symbols = symbols,
	.roles = PW_ROLE_SCAN,
	.role = PW_ROLE_SCAN,
	.cost = PW_COST_CHEAP,
	.scope = PW_SCOPE_MESSAGE,
	.on_error = PW_ERR_HOLD,
	.timeout_ms = 20000,
	.init = init,
	.run = run,
};
