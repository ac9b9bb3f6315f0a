/* SPDX-License-Identifier: ISC */
/*
 * The files of a test case for a stage (postward-stage-test): facts, recorded
 * DNS answers and the expected result as JSON, and the message.
 */
#ifndef PW_MAIN_STAGE_CASE_H
#define PW_MAIN_STAGE_CASE_H

#include <jansson.h>

#include "dns/dns.h"
#include "filters/eval.h"

/* A JSON file; NULL and a line with file and place. */
json_t *pw_case_json(const char *file, struct pw_err *err);
/* {"helo.name": "mx.test", "mail.size": 3, "peer.ip": "192.0.2.1",
 * "rcpt.address": ["a@x.test", "b@x.test"]}: 0, or -1 and a line. */
int pw_case_facts(const json_t *o, struct pw_facts *facts,
    struct pw_pool *pool, struct pw_err *err);
/* The array that `postward --json explain` has under "dns", or an object with
 * that key: 0, or -1 and a line. */
int pw_case_answers(const json_t *o, struct pw_dns_set *set,
    struct pw_pool *pool, struct pw_err *err);
/* A message in POOL with CRLF line ends; -1 and a line. */
int pw_case_message(const char *file, struct pw_pool *pool,
    struct pw_bytes *out, struct pw_err *err);

/* Adds what a run of PHASE gave to RESULT (see pw_case_result()). */
void pw_case_add(json_t *result, const char *phase, const struct pw_stage *d,
    const struct pw_out *out);
json_t *pw_case_result(const struct pw_stage *d);
/* True when FOUND has all that WANT says: objects may have more keys, arrays
 * must be as long.  Else PLACE says where they differ. */
bool pw_case_matches(const json_t *want, const json_t *found,
    struct pw_strbuf *place);

#endif
