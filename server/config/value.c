/* SPDX-License-Identifier: ISC */
/*
 * Values: from what a file holds to C, with units and ranges, and what is
 * wrong with those that do not fit, in words that say what to write instead.
 * Called by load and, for the defaults, by whoever needs a configuration.
 */
#include "config/config_priv.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"

/* What to write, by example; the last half of most messages. */
static int
wrong(struct pw_err *err, const struct pw_option *opt, const char *what)
{
	struct pw_strbuf range;

	pw_strbuf_init(&range, sizeof(err->text) / 2);
	pw_value_range(opt, &range);
	pw_err_set(err, 0, "%s; write %s", what, pw_strbuf_cstr(&range));
	pw_strbuf_free(&range);
	return -1;
}

static int
wrong_text(struct pw_err *err, const struct pw_option *opt, const char *text,
    const char *what)
{
	char word[PW_WORD], msg[PW_WORD + 160];

	snprintf(msg, sizeof(msg), "\"%s\" %s",
	    pw_report_word(word, sizeof(word), text), what);
	return wrong(err, opt, msg);
}

/* A value of another kind than the option takes. */
static int
wrong_kind(struct pw_err *err, const struct pw_option *opt,
    const struct pw_raw *raw)
{
	char word[PW_WORD], msg[PW_WORD + 40];

	switch (raw->kind) {
	case PW_RAW_BOOL:
		return wrong(err, opt, raw->truth ? "true does not fit here" :
						    "false does not fit here");
	case PW_RAW_NUMBER:
		snprintf(msg, sizeof(msg),
		    "the number %" PRId64 " does not fit here", raw->number);
		return wrong(err, opt, msg);
	case PW_RAW_FRACTION:
		snprintf(msg, sizeof(msg),
		    "the number %g does not fit here", raw->fraction);
		return wrong(err, opt, msg);
	case PW_RAW_TEXT:
		snprintf(msg, sizeof(msg), "the text \"%s\" does not fit here",
		    pw_report_word(word, sizeof(word), raw->text));
		return wrong(err, opt, msg);
	case PW_RAW_TEXTS:
		return wrong(err, opt, "a list does not fit here");
	case PW_RAW_MIXED:
		return wrong(err, opt,
		    "a list of other things does not fit here");
	default:
		return wrong(err, opt, "a group does not fit here");
	}
}

/* Texts: UTF-8 without control characters, of bounded length. */
static int
check_text(struct pw_err *err, const struct pw_option *opt, const char *s)
{
	struct pw_bytes b = pw_bytes_of(s);

	if (b.len > PW_CONFIG_MAX_TEXT)
		return pw_err_set(err, 0,
		    "a text of %zu bytes is too long; write at most %d",
		    b.len, PW_CONFIG_MAX_TEXT);
	if (!pw_is_utf8(b))
		return wrong_text(err, opt, s, "is not valid UTF-8");
	for (size_t i = 0; i < b.len; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return wrong_text(err, opt, s,
			    "has a control character in it");
	return 0;
}

static const char *
copy(struct pw_pool *pool, const char *s)
{
	const char *c = pw_pool_cstr(pool, pw_bytes_of(s));

	PW_ASSERT(c != NULL);
	return c;
}

static int
set_bool(const struct pw_option *opt, const struct pw_raw *raw, bool *out,
    struct pw_err *err)
{
	if (raw->kind != PW_RAW_BOOL)
		return wrong_kind(err, opt, raw);
	*out = raw->truth;
	return 0;
}

/* INT, SIZE and TIME as one number: bytes, milliseconds, or just counted. */
static int
to_number(const struct pw_option *opt, const struct pw_raw *raw, uint64_t *out,
    struct pw_err *err)
{
	const char *what = NULL;

	if (raw->kind == PW_RAW_TEXT) {
		if (pw_unit_parse(opt->type, raw->text, out, &what) != 0)
			return wrong_text(err, opt, raw->text, what);
		return 0;
	}
	if (raw->kind != PW_RAW_NUMBER)
		return wrong_kind(err, opt, raw);
	if (opt->type == PW_OPT_TIME && raw->number != 0) {
		char msg[80];
		snprintf(msg, sizeof(msg), "%" PRId64 " has no unit",
		    raw->number);
		return wrong(err, opt, msg);
	}
	if (raw->number < 0) {
		char msg[80];
		snprintf(msg, sizeof(msg), "%" PRId64 " is below zero",
		    raw->number);
		return wrong(err, opt, msg);
	}
	*out = (uint64_t)raw->number;
	return 0;
}

static int
set_number(const struct pw_option *opt, const struct pw_raw *raw,
    uint64_t *out, struct pw_err *err)
{
	uint64_t v, limit;
	const char *what;
	char msg[120], text[40];

	if (to_number(opt, raw, &v, err) != 0)
		return -1;
	pw_unit_format(opt->type, v, text, sizeof(text));
	if (opt->min[0] != '\0') {
		PW_ASSERT(
		    pw_unit_parse(opt->type, opt->min, &limit, &what) == 0);
		if (v < limit) {
			snprintf(msg, sizeof(msg), "%s is too little", text);
			return wrong(err, opt, msg);
		}
	}
	if (opt->max[0] != '\0') {
		PW_ASSERT(
		    pw_unit_parse(opt->type, opt->max, &limit, &what) == 0);
		if (v > limit) {
			snprintf(msg, sizeof(msg), "%s is too much", text);
			return wrong(err, opt, msg);
		}
	}
	*out = v;
	return 0;
}

static int
set_text(const struct pw_option *opt, const struct pw_raw *raw,
    const char *dir, struct pw_pool *pool, const char **out,
    struct pw_err *err)
{
	if (raw->kind != PW_RAW_TEXT)
		return wrong_kind(err, opt, raw);
	if (check_text(err, opt, raw->text) != 0)
		return -1;
	if (opt->type == PW_OPT_PATH && raw->text[0] != '/' &&
	    raw->text[0] != '\0') {
		*out = pw_pool_printf(pool, "%s/%s",
		    strcmp(dir, "/") == 0 ? "" : dir, raw->text);
		PW_ASSERT(*out != NULL);
		return 0;
	}
	*out = copy(pool, raw->text);
	return 0;
}

/* The words of an ENUM one after another; false behind the last. */
static bool
next_word(const char **rest, struct pw_bytes *word)
{
	const char *s = *rest;

	if (*s == '\0')
		return false;
	size_t n = strcspn(s, "|");
	*word = pw_bytes(s, n);
	*rest = s[n] == '|' ? s + n + 1 : s + n;
	return true;
}

static int
set_enum(const struct pw_option *opt, const struct pw_raw *raw, int *out,
    struct pw_err *err)
{
	const char *rest = opt->min;
	struct pw_bytes word;

	if (raw->kind != PW_RAW_TEXT)
		return wrong_kind(err, opt, raw);
	for (int i = 0; next_word(&rest, &word); i++)
		if (pw_bytes_eq(word, pw_bytes_of(raw->text))) {
			*out = i;
			return 0;
		}
	return wrong_text(err, opt, raw->text, "is none of its words");
}

/* A single text may stand for a list of one. */
static int
to_texts(const struct pw_option *opt, const struct pw_raw *raw,
    const char *const **v, size_t *n, struct pw_err *err)
{
	if (raw->kind == PW_RAW_TEXT) {
		*v = (const char *const *)&raw->text;
		*n = 1;
	} else if (raw->kind == PW_RAW_TEXTS) {
		*v = (const char *const *)raw->texts;
		*n = raw->ntexts;
	} else {
		return wrong_kind(err, opt, raw);
	}
	if (*n > PW_CONFIG_MAX_ELEMENTS)
		return pw_err_set(err, 0,
		    "a list of %zu is too long; write at most %d", *n,
		    PW_CONFIG_MAX_ELEMENTS);
	for (size_t i = 0; i < *n; i++) {
		if (check_text(err, opt, (*v)[i]) != 0)
			return -1;
		if ((*v)[i][0] == '\0')
			return wrong(err, opt, "an empty text in the list");
	}
	return 0;
}

static int
set_list(const struct pw_option *opt, const struct pw_raw *raw,
    struct pw_pool *pool, struct pw_strlist *out, struct pw_err *err)
{
	const char *const *v;
	size_t n;

	if (to_texts(opt, raw, &v, &n, err) != 0)
		return -1;
	const char **list = pw_pool_array(pool, n, sizeof(*list));
	PW_ASSERT(list != NULL);
	for (size_t i = 0; i < n; i++)
		list[i] = copy(pool, v[i]);
	*out = (struct pw_strlist){ list, n };
	return 0;
}

/* Says what is wrong with TEXT, which is no network; bits set behind the mask
 * are the usual slip, so the network that was meant is named. */
static int
wrong_net(const struct pw_option *opt, const char *text, struct pw_err *err)
{
	struct pw_bytes b = pw_bytes_of(text);
	ptrdiff_t slash = pw_bytes_chr(b, '/');
	struct pw_ip ip;
	uint64_t bits;
	char right[PW_IP_STRLEN], word[PW_WORD];

	if (slash < 0 || pw_ip_parse(pw_bytes(b.ptr, (size_t)slash), &ip) != 0)
		return wrong_text(err, opt, text, "is not a network");
	if (pw_bytes_u64(pw_bytes_sub(b, (size_t)slash + 1, b.len),
		ip.family == 4 ? 32 : 128, &bits) != 0)
		return wrong_text(err, opt, text,
		    ip.family == 4 ? "has no prefix length from 0 to 32" :
				     "has no prefix length from 0 to 128");
	ip = pw_ip_mask(&ip, (unsigned)bits);
	pw_ip_format(&ip, right);
	return pw_err_set(err, 0,
	    "\"%s\" has bits set behind its prefix; write \"%s/%" PRIu64 "\"",
	    pw_report_word(word, sizeof(word), text), right, bits);
}

static int
set_nets(const struct pw_option *opt, const struct pw_raw *raw,
    struct pw_pool *pool, struct pw_netlist *out, struct pw_err *err)
{
	const char *const *v;
	size_t n;

	if (to_texts(opt, raw, &v, &n, err) != 0)
		return -1;
	struct pw_net *nets = pw_pool_array(pool, n, sizeof(*nets));
	PW_ASSERT(nets != NULL);
	for (size_t i = 0; i < n; i++)
		if (pw_net_parse(pw_bytes_of(v[i]), &nets[i]) != 0)
			return wrong_net(opt, v[i], err);
	*out = (struct pw_netlist){ nets, n };
	return 0;
}

int
pw_value_set(const struct pw_option *opt, const struct pw_raw *raw,
    const char *dir, struct pw_pool *pool, void *field, struct pw_err *err)
{
	uint64_t v;

	switch (opt->type) {
	case PW_OPT_BOOL:
		return set_bool(opt, raw, field, err);
	case PW_OPT_INT:
		if (set_number(opt, raw, &v, err) != 0)
			return -1;
		*(int64_t *)field = (int64_t)v;
		return 0;
	case PW_OPT_SIZE:
	case PW_OPT_TIME:
		return set_number(opt, raw, field, err);
	case PW_OPT_STR:
	case PW_OPT_PATH:
		return set_text(opt, raw, dir, pool, field, err);
	case PW_OPT_ENUM:
		return set_enum(opt, raw, field, err);
	case PW_OPT_LIST:
		return set_list(opt, raw, pool, field, err);
	case PW_OPT_NETS:
		return set_nets(opt, raw, pool, field, err);
	}
	PW_ASSERT(!"a type of option");
}
