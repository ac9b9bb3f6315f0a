/* SPDX-License-Identifier: ISC */
/*
 * A small DNS for the tests of filters/spf: what there is, what the evaluator
 * was told so far, and the loop that a caller of pw_spf_eval() runs.
 */
#ifndef PW_TESTS_UNIT_FILTERS_SPF_WORLD_H
#define PW_TESTS_UNIT_FILTERS_SPF_WORLD_H

#include "filters/spf/spf.h"

struct spf_world {
	struct pw_pool *pool;
	struct pw_dns_set *set;	  /* what the evaluator may see */
	struct pw_dns_set *world; /* what there is */
	struct pw_spf_request req;
	struct pw_spf_outcome out;
	unsigned rounds, questions; /* of the last evaluation */
};
extern struct spf_world spf;

/* The checked fixture: nothing in DNS, 192.0.2.1 sends for example.com. */
void spf_world_setup(void);
void spf_world_teardown(void);

/* Records of one name and type, as text, up to a NULL; none: no data.  Names
 * that nothing is said of do not exist. */
void spf_have(const char *name, unsigned type, ...);
void spf_have_status(const char *name, uint16_t type, uint8_t status);
#define SPF_TXT(name, ...) spf_have(name, PW_DNS_TXT, __VA_ARGS__, NULL)

void spf_evaluate(void);
/* Evaluates and fails the test when the result is another. */
void spf_expect(enum pw_spf_result result);
void spf_expect_from(const char *client, enum pw_spf_result result);

#endif
