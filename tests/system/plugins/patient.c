/* SPDX-License-Identifier: ISC */
/*
 * An asynchronous stage that lets a thread answer: once, twice, late or never,
 * as the sender's local part says.  Built by test_stages.py.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <postward/stage.h>

static const struct pw_host *host;

struct job {
	struct pw_ticket ticket;
	unsigned after_ms, times;
};

static void
pause_ms(unsigned ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	(void)nanosleep(&ts, NULL);
}

static void *
answer(void *arg)
{
	struct job *j = arg;

	pause_ms(j->after_ms);
	for (unsigned i = 0; i < j->times; i++)
		host->finish(j->ticket);
	free(j);
	return NULL;
}

static void
begin(struct pw_ctx *ctx, unsigned after_ms, unsigned times)
{
	struct job *j = malloc(sizeof(*j));
	pthread_t id;

	if (j == NULL)
		return;
	*j = (struct job){ host->ticket(ctx), after_ms, times };
	if (pthread_create(&id, NULL, answer, j) == 0)
		(void)pthread_detach(id);
	else
		free(j);
}

static int
init(const struct pw_host *h, const struct pw_stage_conf *conf,
    void **instance, char *err, size_t errlen)
{
	(void)conf, (void)err, (void)errlen;
	host = h;
	*instance = NULL;
	return 0;
}

/* Of the session that is under way; the test has one at a time. */
static _Thread_local int asked;

static int
is(const struct pw_fact *f, const char *word)
{
	return f->text.len == strlen(word) &&
	    memcmp(f->text.ptr, word, f->text.len) == 0;
}

static enum pw_run
run(void *instance, struct pw_ctx *ctx, enum pw_phase phase)
{
	struct pw_fact f;

	(void)instance;
	(void)phase;
	if (host->fact(ctx, "mail.local", 0, &f) != 0)
		return PW_RUN_NA;
	if (asked) {
		asked = 0;
		host->evidence(ctx, "PATIENT", 1, "answered");
		return PW_RUN_NEXT;
	}
	if (is(&f, "once"))
		begin(ctx, 50, 1);
	else if (is(&f, "twice"))
		begin(ctx, 50, 2);
	else if (is(&f, "late"))
		begin(ctx, 1200, 1);
	else if (is(&f, "never"))
		begin(ctx, 1, 0);
	else
		return PW_RUN_NA;
	asked = 1;
	return PW_RUN_PENDING;
}

static void
cancel(void *instance, struct pw_ctx *ctx)
{
	(void)instance;
	asked = 0;
	host->log(ctx, 1, "given up");
}

static const struct pw_symbol symbols[] = {
	{ "PATIENT", 1, "an answer came" }, { NULL, 0, NULL } };
static const struct pw_stage stage = { .size = sizeof(struct pw_stage),
	.abi = PW_STAGE_ABI, .features = PW_STAGE_FEATURES, .name = "patient",
	.version = "1", .help = "asks a thread",
	.phases = PW_PHASE_BIT(PW_PHASE_MAIL), .symbols = symbols,
	.roles = PW_ROLE_FRONT | PW_ROLE_SCAN, .role = PW_ROLE_FRONT,
	.flags = PW_FLAG_ASYNC, .scope = PW_SCOPE_MESSAGE,
	.on_error = PW_ERR_TAG, .timeout_ms = 600, .init = init, .run = run,
	.cancel = cancel };

const struct pw_stage *
pw_stage_entry(void)
{
	return &stage;
}
