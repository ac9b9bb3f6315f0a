/* SPDX-License-Identifier: ISC */
/*
 * What the files of server/config share: places in files, the collected
 * report, the text with its includes, the table of sections, and values.  For
 * them and their unit tests only.
 */
#ifndef PW_CONFIG_CONFIG_PRIV_H
#define PW_CONFIG_CONFIG_PRIV_H

#include "base/pool.h"
#include "config/config.h"

/* Bounds of a configuration; passing one is an error with a line of its own. */
#define PW_CONFIG_MAX_BYTES ((size_t)1 << 20) /* all files together */
#define PW_CONFIG_MAX_FILES 100
#define PW_CONFIG_MAX_INCLUDE 8    /* files open above one another */
#define PW_CONFIG_MAX_NESTING 8    /* brackets open */
#define PW_CONFIG_MAX_SETTINGS 10000
#define PW_CONFIG_MAX_GROUPS 1000  /* in a section that is a list */
#define PW_CONFIG_MAX_ELEMENTS 10000 /* in one LIST or NETS */
#define PW_CONFIG_MAX_TEXT 4096    /* bytes of one text */
#define PW_CONFIG_MAX_REPORT 100   /* lines of a report */

/* Where something was written.  FILE NULL: nowhere, it is a default. */
struct pw_origin {
	const char *file; /* as an admin would name it */
	unsigned line;
	unsigned flat;    /* line in the text with all includes in place */
	bool bad;         /* refused: the default stands in for it */
};

/* ---- table.c ---- */

struct pw_section {
	const char *name;
	const char *help;
	bool in_list;
	size_t first, n;  /* its rows of the option table */
	size_t size;      /* of its struct */
	size_t offset;    /* in struct pw_config: of the struct, or of the
	                   * pointer to the first group */
	size_t count_offset; /* in_list: of the number of groups */
};
const struct pw_section *pw_section_table(size_t *n);
const struct pw_section *pw_section_find(const char *name);
/* A row of SECTION by key, or NULL. */
const struct pw_option *pw_option_find(const struct pw_section *section,
    const char *key);

/* One group of the file (or of the defaults) and where its values came from. */
struct pw_group {
	void *base;              /* the section's struct */
	struct pw_origin at;
	struct pw_origin *opt;   /* one for each row of the section */
};
struct pw_groups {
	struct pw_group *v;
	size_t n;
	bool bad; /* written wrongly: the file has them, we do not */
};
struct pw_config_priv {
	struct pw_pool *pool;
	struct pw_origin file;    /* line 1 of the main file */
	const char *dir;          /* absolute folder of the main file */
	struct pw_groups *groups; /* one for each section */
};
/* The groups of SECTION; a section that is no list has exactly one. */
struct pw_groups *pw_config_groups(const struct pw_config *cfg,
    const struct pw_section *section);
/* True when the file's value was refused, so that the default stands there. */
bool pw_config_is_bad(const struct pw_config *cfg, const char *section,
    size_t index, const char *key);
/* "listener[0].port", "smtp.max-line". */
void pw_option_name(char *out, size_t size, const struct pw_option *opt,
    size_t index);

/* ---- value_unit.c; pw_unit_parse() is in config.h ---- */

/* The shortest text for it: "50M", "90s". */
void pw_unit_format(enum pw_opt_type type, uint64_t v, char *out,
    size_t size);

/* ---- value.c, value_print.c ---- */

/* A value as the file has it. */
struct pw_raw {
	enum {
		PW_RAW_BOOL,
		PW_RAW_NUMBER,
		PW_RAW_FRACTION,
		PW_RAW_TEXT,
		PW_RAW_TEXTS,
		PW_RAW_MIXED, /* a list of other things than texts */
		PW_RAW_GROUP
	} kind;
	bool truth;
	int64_t number;
	double fraction;
	const char *text;
	const char **texts;
	size_t ntexts;
};
/*
 * Writes RAW into FIELD, of OPT's C type; texts are copied into POOL, relative
 * paths get DIR in front.  -1 with "what is wrong; what to write" in ERR, FIELD
 * then unchanged.
 */
int pw_value_set(const struct pw_option *opt, const struct pw_raw *raw,
    const char *dir, struct pw_pool *pool, void *field, struct pw_err *err);
/* The default of the table. */
void pw_value_default(const struct pw_option *opt, struct pw_pool *pool,
    void *field);
/* The value as it would be written in the file; this is JSON too. */
void pw_value_print(const struct pw_option *opt, const void *field,
    struct pw_strbuf *out);
/* A text in quotes, for file and JSON; S has no control characters. */
void pw_value_quote(struct pw_strbuf *out, const char *s);
bool pw_value_equal(const struct pw_option *opt, const void *a,
    const void *b);
/* "a number from 1 to 64", for the manual and the example. */
void pw_value_range(const struct pw_option *opt, struct pw_strbuf *out);
/* The default, written as in the file. */
void pw_value_print_default(const struct pw_option *opt,
    struct pw_strbuf *out);

/* ---- report.c ---- */

struct pw_config_report {
	const struct pw_config *cfg;
	struct pw_report_line *v;
	size_t n, cap;
	size_t errors;
	size_t dropped;
};
void pw_report_init(struct pw_config_report *r, const struct pw_config *cfg);
void pw_report_free(struct pw_config_report *r);
/* "file:line: KEY: text". */
void pw_report_at(struct pw_config_report *r, const struct pw_origin *at,
    const char *key, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* All lines in the order of the file. */
void pw_report_print(struct pw_config_report *r, struct pw_strbuf *out);
/* S escaped for a line of a report and cut to fit SIZE; returns OUT. */
const char *pw_report_word(char *out, size_t size, const char *s);
#define PW_WORD 120

/* ---- source.c ---- */

/* The main file's text with every include in its place. */
struct pw_source {
	struct pw_strbuf text;
	struct pw_source_line *lines; /* of .text */
	size_t nlines, cap;
	size_t nfiles;
	size_t bytes;
	struct pw_pool *pool;
};
/*
 * Reads and checks what a parser could not explain or should never see: files
 * that cannot be read, includes that go round, quotes and brackets left open.
 * DISPLAY is the main file's name in the report, PATH how it is opened.  0, or
 * -1 with the reasons in R.  Names of files live in POOL.
 */
int pw_source_read(struct pw_source *src, const char *path,
    const char *display, struct pw_pool *pool, struct pw_config_report *r);
void pw_source_free(struct pw_source *src);
/* Where line FLAT (from 1) of .text was written. */
struct pw_origin pw_source_at(const struct pw_source *src, unsigned flat);
/* Line FLAT of .text without white space around it. */
struct pw_bytes pw_source_line(const struct pw_source *src, unsigned flat);

/* ---- load.c ---- */

/* Everything of pw_config_load but the checks for sense; the pool and all else
 * are there even when R has errors.  -1 when nothing could be parsed. */
int pw_config_parse(struct pw_config *cfg, const char *file,
    struct pw_config_report *r);

/* ---- show.c ---- */

/* One option of one group. */
struct pw_row {
	const struct pw_section *section;
	const struct pw_option *opt;
	size_t index;      /* of the group */
	const void *field; /* the value */
	/* Where it was set; where its default stands in, the file is NULL. */
	const struct pw_origin *at;
	const struct pw_origin *group_at; /* never a NULL file */
};
/* Calls EACH for every option of every group, in the order of the table. */
void pw_config_walk(const struct pw_config *cfg,
    void (*each)(const struct pw_row *row, void *arg), void *arg);

/* ---- check.c, check_mail.c, check_tls.c, check_deep.c ---- */

/* Runs them all, and the checks that other floors added. */
void pw_check_all(struct pw_config *cfg, bool deep,
    struct pw_config_report *r);
/* Names, users, listeners. */
void pw_check_server(struct pw_config *cfg, struct pw_config_report *r);
void pw_check_listeners(const struct pw_config *cfg,
    struct pw_config_report *r);
/* smtp, dns, store, accounts, stages, policy, log, control. */
void pw_check_mail(const struct pw_config *cfg, struct pw_config_report *r);
/* tls and certificates: their files are read.  Without DEEP those that may not
 * be read by this user are passed over. */
void pw_check_tls(const struct pw_config *cfg, bool deep,
    struct pw_config_report *r);
/* What the roles will need: folders, files, descriptors. */
void pw_check_deep(const struct pw_config *cfg, struct pw_config_report *r);

#endif
