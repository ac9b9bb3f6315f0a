/* SPDX-License-Identifier: ISC */
/*
 * A whole stage, as one writes it outside Postward: it looks for the word of
 * its option "word" in the Subject field.  Build it with
 *   cc -shared -fPIC $(pkg-config --cflags postward-stage) \
 *     -o subject-words.so subject-words.c
 */
#define _GNU_SOURCE /* memmem */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <postward/stage.h>

static const struct pw_host *host; /* the same for every instance */

static const struct pw_symbol symbols[] = {
	{ "SUBJECT_WORD", 0.5, "a word stands in the subject" },
	{ NULL, 0, NULL } };
static const struct pw_stage_option options[] = {
	{ "word", "lottery", "what to look for" }, { NULL, NULL, NULL } };

static int
init(const struct pw_host *h, const struct pw_stage_conf *conf,
    void **instance, char *err, size_t errlen)
{
	host = h;
	*instance = strdup(h->option(conf, "word"));
	if (*instance != NULL && strlen(*instance) > 0)
		return 0;
	snprintf(err, errlen, "its option word is empty; write word=WORD");
	return -1;
}

static enum pw_run
run(void *instance, struct pw_ctx *ctx, enum pw_phase phase)
{
	struct pw_slice name, raw;
	const char *word = instance;

	(void)phase; /* there is one only */
	for (size_t i = 0; host->field(ctx, i, &name, &raw) == 0; i++) {
		if (name.len == 7 && strncasecmp(name.ptr, "Subject", 7) == 0 &&
		    memmem(raw.ptr, raw.len, word, strlen(word)) != NULL)
			host->evidence(ctx, "SUBJECT_WORD", 1, word);
	}
	return PW_RUN_NEXT;
}

static const struct pw_stage stage = { .size = sizeof(struct pw_stage),
	.abi = PW_STAGE_ABI, .features = PW_STAGE_FEATURES,
	.name = "subject-words", .version = "1", .help = "words in subjects",
	.phases = PW_PHASE_BIT(PW_PHASE_HEADER), .symbols = symbols,
	.options = options, .roles = PW_ROLE_SCAN | PW_ROLE_FRONT,
	.role = PW_ROLE_SCAN, .scope = PW_SCOPE_MESSAGE, .timeout_ms = 1000,
	.init = init, .fini = free, .run = run };

const struct pw_stage *
pw_stage_entry(void)
{
	return &stage;
}
