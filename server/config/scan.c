/* SPDX-License-Identifier: ISC */
/*
 * The scanner of scan.h.  It follows libconfig's lexical rules (comments by #,
 * // and slash-star, texts in double quotes with backslash escapes, names of
 * letters, digits, '-', '_' and '*') and is stricter in one: a text ends on
 * its line, so that a forgotten quote is found where it was forgotten.
 */
#include "config/scan.h"

#include <stdio.h>

#include "base/log.h"

void
pw_scan_init(struct pw_scan *s, struct pw_config_report *report)
{
	*s = (struct pw_scan){ .report = report };
}

static bool
is_name(int c)
{
	return pw_is_alpha(c) || pw_is_digit(c) || c == '-' || c == '_' ||
	    c == '*';
}

/* The first character of B that is no space. */
static size_t
skip_space(struct pw_bytes b, size_t i)
{
	while (i < b.len &&
	    (b.ptr[i] == ' ' || b.ptr[i] == '\t' || b.ptr[i] == '\r'))
		i++;
	return i;
}

/* Index behind the closing quote of the text that begins at I; 0 when the line
 * ends first. */
static size_t
skip_text(struct pw_bytes b, size_t i)
{
	for (i++; i < b.len; i++) {
		if (b.ptr[i] == '\\')
			i++;
		else if (b.ptr[i] == '"')
			return i + 1;
	}
	return 0;
}

static bool
is_line_comment(struct pw_bytes b, size_t i)
{
	return b.ptr[i] == '#' ||
	    (b.ptr[i] == '/' && i + 1 < b.len && b.ptr[i + 1] == '/');
}

enum pw_rc
pw_scan_include(struct pw_scan *s, const struct pw_origin *at,
    struct pw_bytes line, struct pw_bytes *name)
{
	const struct pw_bytes word = PW_LIT("@include");
	size_t i = skip_space(line, 0);

	if (s->in_comment ||
	    !pw_bytes_eq(pw_bytes_sub(line, i, word.len), word))
		return PW_DECLINED;
	i = skip_space(line, i + word.len);
	size_t end = i < line.len && line.ptr[i] == '"' ? skip_text(line, i) :
							  0;
	if (end > 0) {
		size_t rest = skip_space(line, end);
		if (rest == line.len || is_line_comment(line, rest))
			*name = pw_bytes_sub(line, i + 1, end - i - 2);
		else
			end = 0;
	}
	if (end == 0 || name->len == 0 || memchr(name->ptr, '\0', name->len) ||
	    memchr(name->ptr, '\\', name->len)) {
		pw_report_at(s->report, at, "@include",
		    "this is no include; write @include \"FILE\" on a line of "
		    "its own");
		return PW_FAIL;
	}
	return PW_OK;
}

static int
open_bracket(struct pw_scan *s, const struct pw_origin *at, char c)
{
	if (s->failed)
		return 0;
	if (s->nopen == PW_CONFIG_MAX_NESTING) {
		pw_report_at(s->report, at, "syntax",
		    "more than %d brackets are open; close those before",
		    PW_CONFIG_MAX_NESTING);
		return -1;
	}
	s->open[s->nopen].c = c == '(' ? ')' : c == '[' ? ']' : '}';
	s->open[s->nopen].at = *at;
	s->nopen++;
	return 0;
}

/* -1 when the brackets do not pair; the rest would only repeat it.  A quote
 * left open may have hidden a bracket, so nothing is said then. */
static int
close_bracket(struct pw_scan *s, const struct pw_origin *at, char c)
{
	if (s->failed)
		return 0;
	if (s->nopen == 0) {
		pw_report_at(s->report, at, "syntax",
		    "'%c' closes nothing; remove it, or write what it closes",
		    c);
		return -1;
	}
	s->nopen--;
	if (s->open[s->nopen].c == c)
		return 0;
	const struct pw_origin *o = &s->open[s->nopen].at;
	char word[PW_WORD];
	pw_report_at(s->report, at, "syntax",
	    "'%c' cannot close what was opened at %s:%u; write '%c' first", c,
	    pw_report_word(word, sizeof(word), o->file), o->line,
	    s->open[s->nopen].c);
	return -1;
}

static int
bracket(struct pw_scan *s, const struct pw_origin *at, char c)
{
	return c == ')' || c == ']' || c == '}' ? close_bracket(s, at, c) :
						  open_bracket(s, at, c);
}

/*
 * A number, sign and all.  libconfig 1.5 reads what does not fit 32 bits
 * wrongly unless it bears an L, so that is put behind it.
 */
static void
number(struct pw_scan *s, const struct pw_origin *at, struct pw_bytes b,
    struct pw_strbuf *out)
{
	size_t sign = b.ptr[0] == '-' || b.ptr[0] == '+' ? 1 : 0;
	struct pw_bytes digits = pw_bytes_sub(b, sign, b.len);
	uint64_t v;
	char word[PW_WORD];

	pw_strbuf_add(out, b);
	for (size_t i = 0; i < digits.len; i++)
		if (!pw_is_digit(digits.ptr[i])) {
			/* Fractions fit nowhere and are refused later; so are
			 * words that the grammar does not know. */
			if (digits.len < 2 || (digits.ptr[1] | 0x20) != 'x')
				return;
			pw_report_at(s->report, at, "syntax",
			    "%.*s is a hexadecimal number; write it in decimal",
			    (int)(b.len < 40 ? b.len : 40), b.ptr);
			s->failed = true;
			return;
		}
	if (pw_bytes_u64(digits, INT64_MAX, &v) != 0) {
		pw_escape(word, sizeof(word), pw_peer(b));
		pw_report_at(s->report, at, "syntax",
		    "%s is too large a number; write a smaller one", word);
		s->failed = true;
	} else if (v > INT32_MAX) {
		pw_strbuf_addc(out, 'L');
	}
}

static size_t
skip_number(struct pw_bytes b, size_t i)
{
	if (b.ptr[i] == '-' || b.ptr[i] == '+')
		i++;
	while (i < b.len && (is_name(b.ptr[i]) || b.ptr[i] == '.'))
		i++;
	return i;
}

static size_t
skip_name(struct pw_bytes b, size_t i)
{
	while (i < b.len && is_name(b.ptr[i]))
		i++;
	return i;
}

static void
count_setting(struct pw_scan *s, const struct pw_origin *at)
{
	if (++s->nsettings <= PW_CONFIG_MAX_SETTINGS || s->too_many)
		return;
	s->too_many = s->failed = true;
	pw_report_at(s->report, at, "file",
	    "more than %d settings; write fewer", PW_CONFIG_MAX_SETTINGS);
}

/* Whether a text may stand here, by what stands before it: behind a comma only
 * in a list; behind a text it is part of that. */
static bool
may_be_text(const struct pw_scan *s)
{
	if (s->before == ',')
		return s->nopen > 0 && s->open[s->nopen - 1].c != '}';
	return s->before != '\0' && strchr("=:[(\"", s->before) != NULL;
}

/* A text that begins at I; returns the index behind it. */
static size_t
text(struct pw_scan *s, const struct pw_origin *at, struct pw_bytes b,
    size_t i, struct pw_strbuf *out)
{
	size_t end = skip_text(b, i);

	if (!may_be_text(s)) {
		pw_report_at(s->report, at, "syntax",
		    "a text stands where none can; write NAME = before it");
		s->failed = true;
	}
	if (end == 0) {
		pw_report_at(s->report, at, "syntax",
		    "a quote is not closed on its line; write \" at the end of "
		    "the text");
		s->failed = true;
		pw_strbuf_addc(out, '"');
		end = b.len;
	}
	pw_strbuf_add(out, pw_bytes_sub(b, i, end - i));
	return end;
}

/* Up to the end of the comment or of the line. */
static size_t
comment(struct pw_scan *s, struct pw_bytes b, size_t i)
{
	for (; i + 1 < b.len; i++)
		if (b.ptr[i] == '*' && b.ptr[i + 1] == '/') {
			s->in_comment = false;
			return i + 2;
		}
	return b.len;
}

/* What begins at I; returns the index behind it, 0 when all is lost. */
static size_t
token(struct pw_scan *s, const struct pw_origin *at, struct pw_bytes b,
    size_t i, struct pw_strbuf *out)
{
	char c = b.ptr[i];
	bool more = i + 1 < b.len;
	size_t end = i + 1;

	if (c == '"') {
		end = text(s, at, b, i, out);
		s->before = c;
		return end;
	}
	if (c == '/' && more && b.ptr[i + 1] == '*') {
		s->in_comment = true;
		s->comment = *at;
		pw_strbuf_addc(out, ' ');
		return comment(s, b, i + 2);
	}
	if (is_line_comment(b, i))
		return b.len;
	if (c != ' ' && c != '\t' && c != '\r')
		s->before = c;
	if (pw_is_digit(c) || c == '.' ||
	    ((c == '-' || c == '+') && more && pw_is_digit(b.ptr[i + 1]))) {
		end = skip_number(b, i);
		number(s, at, pw_bytes_sub(b, i, end - i), out);
		return end;
	}
	if (pw_is_alpha(c) || c == '*')
		end = skip_name(b, i);
	else if (memchr("()[]{}", c, 6) != NULL && bracket(s, at, c) != 0)
		return 0;
	else if (c == '=' || c == ':')
		count_setting(s, at);
	pw_strbuf_add(out, pw_bytes_sub(b, i, end - i));
	return end;
}

int
pw_scan_line(struct pw_scan *s, const struct pw_origin *at,
    struct pw_bytes line, struct pw_strbuf *out)
{
	size_t i = 0;

	if (line.len > 0 && memchr(line.ptr, '\0', line.len) != NULL) {
		pw_report_at(s->report, at, "file",
		    "a NUL byte; write plain text");
		return -1;
	}
	if (s->in_comment)
		i = comment(s, line, 0);
	while (i < line.len) {
		i = token(s, at, line, i, out);
		if (i == 0)
			return -1;
	}
	pw_strbuf_addc(out, '\n');
	return 0;
}

int
pw_scan_end(struct pw_scan *s)
{
	char word[PW_WORD];

	if (s->in_comment) {
		pw_report_at(s->report, &s->comment, "syntax",
		    "a comment is not closed; write */ at its end");
		return -1;
	}
	if (s->nopen > 0 && !s->failed) {
		const struct pw_origin *o = &s->open[s->nopen - 1].at;
		char c = s->open[s->nopen - 1].c;
		pw_report_at(s->report, o, "syntax",
		    "a bracket is not closed; write '%c' where its content "
		    "ends in %s", c,
		    pw_report_word(word, sizeof(word), o->file));
		return -1;
	}
	return s->failed ? -1 : 0;
}
