/* SPDX-License-Identifier: ISC */
/*
 * A look at the configuration's text, line by line, before libconfig parses
 * it: what is a comment, a text, a bracket, a number.  It finds faults that
 * the parser would report at the end of the file, if at all.
 */
#ifndef PW_CONFIG_SCAN_H
#define PW_CONFIG_SCAN_H

#include "config/config_priv.h"

struct pw_scan {
	struct pw_config_report *report;
	bool in_comment;
	bool failed;              /* a fault that makes parsing pointless */
	bool too_many;            /* settings, said once */
	char before;              /* first character of the token before */
	struct pw_origin comment; /* where it begins */
	struct {
		char c;           /* the bracket that closes it */
		struct pw_origin at;
	} open[PW_CONFIG_MAX_NESTING];
	size_t nopen;
	size_t nsettings;
};

void pw_scan_init(struct pw_scan *s, struct pw_config_report *report);
/* Whether LINE is an include: PW_OK with the file's name, PW_DECLINED when it
 * is another line, PW_FAIL when it is a wrong one (reported). */
enum pw_rc pw_scan_include(struct pw_scan *s, const struct pw_origin *at,
    struct pw_bytes line, struct pw_bytes *name);
/* Scans LINE (without line feed) and appends what the parser shall read.  -1
 * when the rest cannot be read any more; other faults are reported and make
 * pw_scan_end() fail. */
int pw_scan_line(struct pw_scan *s, const struct pw_origin *at,
    struct pw_bytes line, struct pw_strbuf *out);
/* The end of all text: 0, or -1 when a fault was reported. */
int pw_scan_end(struct pw_scan *s);

#endif
