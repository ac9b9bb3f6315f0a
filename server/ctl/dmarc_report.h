/* SPDX-License-Identifier: ISC */
/*
 * DMARC aggregate reports, RFC 9990: gathered from the decision records of a
 * day by the admin's program, and written as the files that another mailer
 * sends.  Everything runs in that program; the daemon only hands out records.
 */
#ifndef PW_CTL_DMARC_REPORT_H
#define PW_CTL_DMARC_REPORT_H

#include <jansson.h>

#include "config/config.h"
#include "filters/dmarc/dmarc.h"

#define PW_REPORT_DOMAINS_MAX 100000u
#define PW_REPORT_ROWS_MAX 10000u /* of one report; the rest is counted */
#define PW_REPORT_DKIM_MAX 8u     /* signatures of a row */

/* ---- dmarc_xml.c ------------------------------------------------------------- */

struct pw_report_auth {
	const char *domain, *selector, *result, *human; /* human "": none */
};
struct pw_report_row {
	const char *source_ip, *disposition;
	bool dkim_aligned, spf_aligned;
	const char *reason, *comment; /* of an override, or NULL */
	const char *header_from, *envelope_from;
	struct pw_report_auth dkim[PW_REPORT_DKIM_MAX], spf;
	unsigned ndkim;
	bool has_spf;
};
/* The element record but for the number in count: what stands before it and
 * what behind. */
void pw_report_xml_row(const struct pw_report_row *row, struct pw_strbuf *head,
    struct pw_strbuf *tail);

struct pw_report_head {
	const char *org_name, *email, *report_id, *domain, *error;
	int64_t begin, end; /* seconds */
	bool psl;           /* how the record was found */
	struct pw_dmarc_record record;
};
/* The whole document.  ROWS: {any: {head, tail, count}}. */
void pw_report_xml(const struct pw_report_head *h, const json_t *rows,
    struct pw_strbuf *out);
/* TEXT gzipped as file NAME in folder DIR; an older one of the name is
 * replaced.  0, or -1 and ERR. */
int pw_report_write(int dir, const char *name, struct pw_bytes text,
    struct pw_err *err);

/* ---- dmarc_day.c ---------------------------------------------------------------- */

struct pw_report_day;
/* An option of stage dmarc as CFG has it; DEF where it is not set. */
const char *pw_report_option(const struct pw_config *cfg, const char *name,
    const char *def);
int pw_report_day_new(const struct pw_config *cfg, struct pw_report_day **out,
    struct pw_err *err);
void pw_report_day_free(struct pw_report_day **day);
/* A row of pw_index_day(). */
void pw_report_day_add(struct pw_report_day *day, const json_t *row);
/* {policy domain: {record, org, verified, messages, dropped, rows}}, borrowed.
 * verified: names below _report._dmarc that were on record as there. */
const json_t *pw_report_day_result(const struct pw_report_day *day);

/* ---- dmarc_report.c ------------------------------------------------------------- */

/* Runs a verb with JSON for an answer, wherever it is run: its exit code. */
typedef int (*pw_report_fetch)(void *arg, const char *const *word,
    size_t nword, struct pw_strbuf *out);
/* `postward dmarc report` with the words behind it; EX_... */
int pw_report_run(const struct pw_config *cfg, const char *const *word,
    size_t nword, bool json, pw_report_fetch fetch, void *arg);

#endif
