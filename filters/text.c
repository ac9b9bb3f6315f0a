/* SPDX-License-Identifier: ISC */
/*
 * Cleaning and folding of text from stages: the one place through which such
 * bytes go before they reach a record, a log line or a header field.
 */
#include "filters/text.h"

#include "base/valid.h"
#include "filters/eval.h"

#define FOLD_AT 78
#define FOLD_HARD 900

static struct pw_bytes
clean(struct pw_pool *pool, struct pw_bytes in, size_t max, bool ascii)
{
	char *out = pw_pool_alloc(pool, (in.len < max ? in.len : max) + 1);
	size_t o = 0, i = 0;

	if (out == NULL)
		return PW_LIT("");
	while (i < in.len && o < max) {
		uint32_t cp;
		unsigned char c = (unsigned char)in.ptr[i];
		size_t n;

		if (c >= 0x20 && c < 0x7f) {
			out[o++] = (char)c;
			i++;
			continue;
		}
		n = pw_utf8_next(pw_bytes_sub(in, i, 4), &cp);
		if (c == '\t' || c == '\r' || c == '\n') {
			/* A line end goes where white space follows: unfolding. */
			bool fold = c != '\t' && i + 1 < in.len &&
			    strchr(" \t\r\n", in.ptr[i + 1]) != NULL;

			if (!fold && o > 0 && out[o - 1] != ' ')
				out[o++] = ' ';
			i++;
		} else if (ascii || n == 0 || pw_is_deceptive(cp)) {
			out[o++] = '?';
			i += n > 0 ? n : 1;
		} else {
			if (n > max - o)
				break;
			memcpy(out + o, in.ptr + i, n);
			o += n;
			i += n;
		}
	}
	out[o] = '\0';
	return pw_bytes(out, o);
}

struct pw_bytes
pw_text_line(struct pw_pool *pool, struct pw_bytes in, size_t max)
{
	return clean(pool, in, max, false);
}

struct pw_bytes
pw_text_ascii(struct pw_pool *pool, struct pw_bytes in, size_t max)
{
	return clean(pool, in, max, true);
}

/* Where the word that begins at S ends. */
static size_t
word_len(const char *s)
{
	size_t n = 0;

	while (s[n] == ' ')
		n++;
	while (s[n] != '\0' && s[n] != ' ')
		n++;
	return n;
}

const char *
pw_text_fold(struct pw_pool *pool, const char *value, size_t name_len)
{
	struct pw_strbuf sb;
	size_t column = name_len + 2;
	const char *out;

	pw_strbuf_init(&sb, 64u << 10);
	while (*value != '\0') {
		size_t n = word_len(value), cut = n;

		if (*value == ' ' && column > name_len + 2 &&
		    column + n > FOLD_AT && n > 1) {
			pw_strbuf_adds(&sb, "\r\n\t");
			column = 8;
			value++;
			n--;
			cut = n;
		}
		if (cut > FOLD_HARD)
			cut = FOLD_HARD;
		pw_strbuf_add(&sb, pw_bytes(value, cut));
		column += cut;
		value += cut;
		if (cut < n) {
			pw_strbuf_adds(&sb, "\r\n\t");
			column = 8;
		}
	}
	out = pw_pool_cstr(pool, pw_strbuf_bytes(&sb));
	pw_strbuf_free(&sb);
	return out != NULL ? out : "";
}

bool
pw_text_field_name(const char *name)
{
	size_t n = 0;

	for (; name[n] != '\0'; n++)
		if (name[n] < 0x21 || name[n] > 0x7e || name[n] == ':')
			return false;
	return n > 0 && n <= 64;
}

bool
pw_host_field_allowed(const char *name)
{
	static const char *const kept[] = { "Received", "Return-Path", "From",
		"Sender", "Reply-To", "To", "Cc", "Bcc", "Date", "Message-ID",
		"Subject", "MIME-Version", "Content-Type", "DKIM-Signature",
		"Content-Transfer-Encoding", "Authentication-Results",
		"Delivered-To", "X-Original-To", "X-Postward" };

	for (size_t i = 0; i < PW_COUNT(kept); i++)
		if (pw_bytes_caseeq(pw_bytes_of(kept[i]), pw_bytes_of(name)))
			return false;
	return pw_text_field_name(name);
}
