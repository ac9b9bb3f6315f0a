/* SPDX-License-Identifier: ISC */
/*
 * A whole pipeline in one process, for tests: configuration by defaults, a
 * loop, a scanner that runs jobs in place, answers from a table.
 */
#ifndef PW_TESTS_FILTERS_RIG_H
#define PW_TESTS_FILTERS_RIG_H

#include "filters/pipe_int.h"

enum rig_scan { RIG_RUN, RIG_CRASH, RIG_GARBAGE, RIG_REFUSE, RIG_HANG };

struct rig {
	struct pw_config *cfg;
	struct pw_config_listener listener;
	const char *stages[16];
	struct pw_loop *loop;
	struct pw_scanner *scanner;
	struct pw_scan_runner runner;
	struct pw_pipeline *p;
	struct pw_pipe *pipe;
	struct pw_pool *pool;
	struct pw_dns_set *dns;
	enum rig_scan mode;
	unsigned jobs, cancelled, calls;
	int fd;
};

/* STAGES: words set apart by spaces; descriptors of TABLE in place of the
 * built-in ones unless NULL. */
void rig_open(struct rig *r, const char *stages,
    const struct pw_stage *const *table, size_t ntable);
void rig_close(struct rig *r);
/* Answers: TXT and names as text, A as dotted text; NULL with a STATUS. */
void rig_answer(struct rig *r, const char *name, uint16_t type,
    uint8_t status, const char *data);
/* A session from IP to the end of data with MESSAGE; the result. */
const struct pw_pipe_result *rig_judge(struct rig *r, const char *ip,
    const char *helo, const char *from, const void *message, size_t len);
/* Phases one by one; waits up to MS for the end of each. True: it ended. */
bool rig_phase(struct rig *r, enum pw_phase phase, unsigned ms);
void rig_session(struct rig *r, const char *ip, bool trusted);
void rig_mail(struct rig *r, const char *helo, const char *from);
void rig_message(struct rig *r, const void *message, size_t len);
bool rig_has(const struct pw_pipe_result *res, const char *symbol);

#endif
