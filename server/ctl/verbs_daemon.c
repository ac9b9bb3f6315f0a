/* SPDX-License-Identifier: ISC */
/*
 * postward config, pipeline, status, reload, stop, index, help.
 */
#include <sysexits.h>

#include "ctl/verb.h"
#include "filters/pipeline.h"

static int
config_show(struct pw_verb_ctx *ctx)
{
	pw_config_show(ctx->cfg, ctx->json, ctx->out);
	return EX_OK;
}

static int
config_example(struct pw_verb_ctx *ctx)
{
	pw_config_example(ctx->out);
	return EX_OK;
}

static int
config_man(struct pw_verb_ctx *ctx)
{
	pw_config_man(ctx->out);
	return EX_OK;
}

static int
pipeline_show(struct pw_verb_ctx *ctx)
{
	struct pw_pipeline *pl = NULL;
	struct pw_err err = { 0 };

	if (ctx->daemon != NULL)
		return pw_verb_misuse(ctx, "the program postward shows it "
		    "itself");
	if (pw_pipeline_new(ctx->cfg, NULL, NULL, NULL, &pl, &err) != 0)
		return pw_verb_failed(ctx, &err);
	pw_pipeline_show(pl, ctx->out);
	pw_pipeline_free(&pl);
	return EX_OK;
}

static int
status(struct pw_verb_ctx *ctx)
{
	ctx->daemon->status(ctx->daemon->arg, ctx);
	return PW_VERB_LATER;
}

static int
reload(struct pw_verb_ctx *ctx)
{
	ctx->daemon->reload(ctx->daemon->arg, ctx);
	return PW_VERB_LATER;
}

static int
stop(struct pw_verb_ctx *ctx)
{
	ctx->daemon->shutdown(ctx->daemon->arg, ctx);
	pw_strbuf_adds(ctx->out, "stopping\n");
	return EX_OK;
}

static int
index_rescan(struct pw_verb_ctx *ctx)
{
	ctx->daemon->rescan(ctx->daemon->arg,
	    ctx->nword > 0 ? ctx->word[0] : NULL);
	pw_strbuf_adds(ctx->out, "comparing mailboxes with the index\n");
	return EX_OK;
}

static int
help(struct pw_verb_ctx *ctx)
{
	pw_strbuf_adds(ctx->out,
	    "usage: postward [-c FILE] [--json] VERB [WORD...]\n\n");
	pw_verb_usage(ctx->out);
	return EX_OK;
}

/* The program postward does it itself: the daemon has better to do. */
static int
replay(struct pw_verb_ctx *ctx)
{
	return pw_verb_misuse(ctx, "replay is not done by the daemon");
}

const struct pw_verb pw_verbs_daemon[] = {
	{ "config show", "", "every option: value, default, where it was set",
	    true, config_show },
	{ "config example", "", "a commented configuration with all defaults",
	    true, config_example },
	{ "config man", "", "postward.conf(5) as this program knows it", true,
	    config_man },
	{ "pipeline show", "", "the stages, what they need, their order", true,
	    pipeline_show },
	{ "replay",
	    "[--config FILE] [--since T] [--folder F] [--plugin-dir D]",
	    "judge stored mail again by another configuration", true, replay },
	{ "status", "", "roles, counters, queues, states", false, status },
	{ "reload", "", "take up the changed configuration", false, reload },
	{ "stop", "", "finish sessions, make all durable, end", false, stop },
	{ "index rescan", "[MAILBOX]",
	    "compare the mailboxes on disk with the index now", false,
	    index_rescan },
	{ "help", "", "this list", true, help },
};
const size_t pw_nverbs_daemon = PW_COUNT(pw_verbs_daemon);
